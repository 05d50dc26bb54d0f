//! The golden scripts' expected outputs were printed by PostgreSQL 15 itself.
use std::error::Error;

use goldenscript::{Command, Context, Runner};
use test_each_file::test_each_path;

use super::*;

test_each_path! { in "tests/golden/pg/types" as golden => run_script }

fn run_script(path: &std::path::Path) {
    goldenscript::run(&mut Reading, path).expect("the script's output is as expected");
}

/// `read TYPE TEXT [zone=NAME]`: reads as a client's text parameter, prints as a
/// result's text. On the way the value goes through the binary form too.
struct Reading;

impl Runner for Reading {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &Context) -> Result<String, Box<dyn Error>> {
        let mut arguments = command.consume_args();
        let zone = arguments.take_key("zone").unwrap_or_default().to_owned();
        let name = arguments.next_pos().ok_or("no type")?;
        let text = arguments.next_pos().ok_or("no text")?;
        arguments.reject_next()?;
        let oid = type_by_name(name).ok_or("no such type")?;
        let display = Display { time_zone: zone, ..Display::default() };
        Ok(match decode(text.as_bytes(), oid, Format::Text, &display) {
            Ok(value) => {
                let mut binary = BytesMut::new();
                encode_binary(value.as_ref(), oid, &mut binary)?;
                let back = decode(&binary, oid, Format::Binary, &display)?;
                assert_eq!(back, value, "{name} {text}: the binary form says the same");
                let mut out = BytesMut::new();
                encode_text(value.as_ref(), oid, -1, &display, &mut out)?;
                String::from_utf8(out.to_vec())?
            }
            Err(error) => {
                let mut out = format!("ERROR {}: {}", error.state, error.message);
                for (label, field) in [("DETAIL", error.detail), ("HINT", error.hint)] {
                    out.extend(field.map(|field| format!("\n{label}: {field}")));
                }
                out
            }
        })
    }
}

/// Reads text, gives the binary form.
fn binary(text: &str, oid: Oid) -> BytesMut {
    let value = decode(text.as_bytes(), oid, Format::Text, &Display::default());
    let mut out = BytesMut::new();
    encode_binary(value.expect("it is readable").as_ref(), oid, &mut out).expect("it is encodable");
    out
}

/// Another implementation reads what we write, and we read what it writes.
fn agrees<T>(text: &str, oid: Oid, value: &T)
where
    T: postgres_types::ToSql + for<'a> postgres_types::FromSql<'a> + PartialEq + std::fmt::Debug,
{
    let kind = postgres_types::Type::from_oid(oid.0).expect("the oracle knows the type");
    let ours = binary(text, oid);
    assert_eq!(&T::from_sql(&kind, &ours).expect("the oracle reads ours"), value, "{text}");
    let mut theirs = BytesMut::new();
    value.to_sql(&kind, &mut theirs).expect("the oracle writes it");
    let back = decode(&theirs, oid, Format::Binary, &Display::default());
    let canonical = decode(text.as_bytes(), oid, Format::Text, &Display::default());
    assert_eq!(back, canonical, "{text}");
}

#[test]
fn binary_forms_are_those_of_another_implementation() {
    agrees("t", Oid::BOOL, &true);
    agrees("-2", Oid::INT2, &-2_i16);
    agrees("-2", Oid::INT4, &-2_i32);
    agrees("-2", Oid::INT8, &-2_i64);
    agrees("4294967295", Oid::OID, &u32::MAX);
    agrees("1.5", Oid::FLOAT4, &1.5_f32);
    agrees("-1e300", Oid::FLOAT8, &-1e300_f64);
    agrees("a\u{e4}", Oid::TEXT, &"a\u{e4}".to_owned());
    agrees("\\x00ff", Oid::BYTEA, &vec![0_u8, 255]);
    let id = uuid::Uuid::from_u128(0xa0ee_bc99_9c0b_4ef8_bb6d_6bb9_bd38_0a11);
    agrees(&id.to_string(), Oid::UUID, &id);
    agrees("[1, 2]", Oid::JSONB, &serde_json::json!([1, 2]));
    agrees("{1,NULL,3}", Oid::INT4_ARRAY, &vec![Some(1), None, Some(3)]);
    agrees("{}", Oid::TEXT_ARRAY, &Vec::<String>::new());
    agrees("{a,\"b c\"}", Oid::TEXT_ARRAY, &vec!["a".to_owned(), "b c".to_owned()]);
    let after = |seconds: u64, micros: u64| {
        std::time::UNIX_EPOCH
            + std::time::Duration::from_secs(946_684_800 + seconds)
            + std::time::Duration::from_micros(micros)
    };
    agrees("2000-01-01 00:00:01.5", Oid::TIMESTAMP, &after(1, 500_000));
    agrees("2024-02-29 12:34:56+00", Oid::TIMESTAMPTZ, &after(762_525_296, 0));
    // Those that it has no values for, by PostgreSQL 15's own bytes.
    for (text, oid, bytes) in [
        ("12.50", Oid::NUMERIC, "0002 0000 0000 0002 000c 1388"),
        ("-0.00012", Oid::NUMERIC, "0002 ffff 4000 0005 0001 07d0"),
        ("100000000", Oid::NUMERIC, "0001 0002 0000 0000 0001"),
        ("0.000", Oid::NUMERIC, "0000 0000 0000 0003"),
        ("NaN", Oid::NUMERIC, "0000 0000 c000 0000"),
        ("Infinity", Oid::NUMERIC, "0000 0000 d000 0020"),
        ("2024-01-31", Oid::DATE, "0000 225c"),
        ("infinity", Oid::DATE, "7fff ffff"),
        ("12:34:56.789", Oid::TIME, "0000 000a 8be6 2608"),
        ("12:34:56+02", Oid::TIMETZ, "0000 000a 8bda 1c00 ffff e3e0"),
        ("-infinity", Oid::TIMESTAMPTZ, "8000 0000 0000 0000"),
        ("1 mon 2 days 00:00:03", Oid::INTERVAL, "0000 0000 002d c6c0 0000 0002 0000 0001"),
        ("x", Oid::CHAR, "78"),
        ("{\"a\": 1}", Oid::JSONB, "017b 2261 223a 2031 7d"),
        ("$.\"a\"", Oid::JSONPATH, "0124 2e22 6122"),
        (
            "[0:1]={7,NULL}",
            Oid::INT2_ARRAY,
            "0000 0001 0000 0001 0000 0015 0000 0002 0000 0000 0000 0002 0007 ffff ffff",
        ),
        (
            "1 2",
            Oid::INT2VECTOR,
            "0000 0001 0000 0000 0000 0015 0000 0002 0000 0000 0000 0002 0001 0000 0002 0002",
        ),
        ("1/FF", Oid::PG_LSN, "0000 0001 0000 00ff"),
    ] {
        let digits: String = bytes.split(' ').collect();
        let expected = parse_bytea(&format!("\\x{digits}")).expect("they are digits");
        assert_eq!(binary(text, oid).to_vec(), expected, "{text}");
    }
}

#[test]
fn malformed_binary_values_are_refused() {
    let bad = |bytes: &[u8], oid| {
        let error = decode(bytes, oid, Format::Binary, &Display::default());
        error.expect_err("it is malformed").state.0
    };
    for info in TYPES {
        // One byte too few or too many for every type of fixed length.
        if info.size > 0 && !matches!(info.name, "name" | "tid" | "aclitem") && info.kind == 'b' {
            for length in [info.size as usize - 1, info.size as usize + 1] {
                assert_eq!(bad(&vec![0; length], info.oid), "22P03", "{}", info.name);
            }
        }
    }
    let words =
        |words: &[u16]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<_>>();
    assert_eq!(bad(&words(&[1, 0, 0, 0]), Oid::NUMERIC), "22P03");
    assert_eq!(bad(&words(&[1, 0, 0, 0, 10_000]), Oid::NUMERIC), "22P03");
    assert_eq!(bad(&words(&[0, 0, 1, 0]), Oid::NUMERIC), "22P03");
    assert_eq!(bad(&words(&[0, 0, 0, 16_384]), Oid::NUMERIC), "22P03");
    assert_eq!(bad(&words(&[1, 32_767, 0, 0, 1]), Oid::NUMERIC), "22003");
    assert_eq!(bad(&words(&[1, 0x8000, 0, 16_000, 1]), Oid::NUMERIC), "22003");
    assert_eq!(bad(b"", Oid::JSONB), "22P03");
    assert_eq!(bad(b"\x02{}", Oid::JSONB), "22P03");
    assert_eq!(bad(b"\x02$", Oid::JSONPATH), "22P03");
    assert_eq!(bad(b"\xff", Oid::TEXT), "22021");
    assert_eq!(bad(b"a\0b", Oid::TEXT), "22021");
    let array =
        |words: &[i32]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<_>>();
    for (words, state) in [
        (&[7, 0, 23][..], "54000"),
        (&[-1, 0, 23], "22P03"),
        (&[1, 2, 23, 0, 1], "22P03"),
        (&[1, 0, 25, 0, 1], "42804"),
        (&[1, 0, 23, i32::MAX, 1], "22P03"),
        (&[2, 0, 23, i32::MAX - 1, 1, i32::MAX - 1, 1], "22P03"),
        (&[1, 0, 23, 1, 1, 4], "22P03"),
        (&[1, 0, 23, 1, 1, 4, 0, 0], "22P03"),
    ] {
        assert_eq!(bad(&array(words), Oid::INT4_ARRAY), state, "{words:?}");
    }
}

#[test]
fn settings_change_how_values_print() {
    let shown = |value: ValueRef<'_>, oid, typmod, display: &Display| {
        let mut out = BytesMut::new();
        encode_text(value, oid, typmod, display, &mut out).expect("it is printable");
        String::from_utf8(out.to_vec()).expect("it is text")
    };
    let berlin = Display { time_zone: "Europe/Berlin".into(), ..Display::default() };
    let moment = ValueRef::Text("2024-07-31 22:30:00+00");
    assert_eq!(shown(moment, Oid::TIMESTAMPTZ, -1, &berlin), "2024-08-01 00:30:00+02");
    let moments = ValueRef::Text("{\"2024-07-31 22:30:00+00\",NULL}");
    assert_eq!(
        shown(moments, Oid::TIMESTAMPTZ_ARRAY, -1, &berlin),
        "{\"2024-08-01 00:30:00+02\",NULL}"
    );
    let terse = Display { bytea_escape: true, short_floats: true, ..Display::default() };
    assert_eq!(shown(ValueRef::Blob(b"a\\\x00\xff"), Oid::BYTEA, -1, &terse), "a\\\\\\000\\377");
    assert_eq!(shown(ValueRef::Real(0.1 + 0.2), Oid::FLOAT8, -1, &terse), "0.3");
    assert_eq!(shown(ValueRef::Real(1e15), Oid::FLOAT8, -1, &terse), "1e+15");
    let plain = Display::default();
    assert_eq!(shown(ValueRef::Text("ab"), Oid::BPCHAR, 4 + 4, &plain), "ab  ");
    // What other tools put into a column is shown as it is.
    assert_eq!(shown(ValueRef::Text("soon"), Oid::DATE, -1, &plain), "soon");
    assert_eq!(shown(ValueRef::Integer(7), Oid::TEXT, -1, &plain), "7");
    assert_eq!(shown(ValueRef::Real(2.5), Oid::NUMERIC, -1, &plain), "2.5");
    assert_eq!(shown(ValueRef::Integer(2), Oid::FLOAT8, -1, &plain), "2");
    assert_eq!(shown(ValueRef::Text("NaN"), Oid::FLOAT8, -1, &plain), "NaN");
}

#[test]
fn years_with_marks_are_shown_without() {
    let plain = Display::default();
    for (stored, oid, expected) in [
        ("/9999956-03-15", Oid::DATE, "0044-03-15 BC"),
        ("/9999999-12-31 10:00:00", Oid::TIMESTAMP, "0001-12-31 10:00:00 BC"),
        ("Y0010000-01-01 00:00:00+00", Oid::TIMESTAMPTZ, "10000-01-01 00:00:00+00"),
        ("[/9999956-03-15,Y0012024-01-01)", Oid::DATERANGE, "[\"0044-03-15 BC\",12024-01-01)"),
        ("{/9999956-03-15,2024-01-01}", Oid::DATE_ARRAY, "{\"0044-03-15 BC\",2024-01-01}"),
    ] {
        let mut out = BytesMut::new();
        encode_text(ValueRef::Text(stored), oid, -1, &plain, &mut out).expect("it prints");
        assert_eq!(out, expected);
        let read = decode(expected.as_bytes(), oid, Format::Text, &plain);
        assert_eq!(read, Ok(Value::Text(stored.to_owned())));
    }
    // Nobody writes it so.
    assert!(decode(b"Y0010000-01-01", Oid::DATE, Format::Text, &plain).is_err());
}

#[test]
fn the_presence_of_a_clock_decides_over_its_words() {
    let noon = datetime::parse_timestamptz("2024-01-31 12:00:00+00", &Zone::UTC, None);
    let now = noon.clone().ok();
    let zone = Zone::Fixed(3600);
    assert_eq!(datetime::parse_timestamptz("now", &zone, now), noon);
    let day = |text| datetime::parse_date(text, &zone, now);
    assert_eq!(day("today"), day("2024-01-31"));
    assert_eq!(day("tomorrow"), day("2024-02-01"));
    assert_eq!(day("yesterday"), day("2024-01-30"));
    let error = datetime::parse_date("today", &zone, None).expect_err("there is no clock");
    assert_eq!(error.state, SqlState::FEATURE_NOT_SUPPORTED);
}

#[test]
fn types_are_found_by_all_their_names() {
    for (name, oid) in [
        ("int", Oid::INT4),
        ("INTEGER", Oid::INT4),
        ("pg_catalog.int8", Oid::INT8),
        ("character varying", Oid::VARCHAR),
        ("varchar[]", Oid::VARCHAR_ARRAY),
        ("_int4", Oid::INT4_ARRAY),
        ("integer[][]", Oid::INT4_ARRAY),
        ("timestamp", Oid::TIMESTAMP),
        ("timestamp with time zone", Oid::TIMESTAMPTZ),
        ("char", Oid::BPCHAR),
        ("\"char\"", Oid::CHAR),
        ("decimal", Oid::NUMERIC),
        ("double precision", Oid::FLOAT8),
    ] {
        assert_eq!(type_by_name(name), Some(oid), "{name}");
    }
    assert_eq!(type_by_name("nonsense"), None);
    assert_eq!(type_name_with(Oid::NUMERIC, numeric::typmod(10, 2)), "numeric(10,2)");
    assert_eq!(type_name_with(Oid::VARCHAR_ARRAY, 24), "character varying(20)[]");
    assert_eq!(type_name_with(Oid::TIMESTAMPTZ, 3), "timestamp(3) with time zone");
    assert!(TYPES.is_sorted_by_key(|info| info.oid));
    for info in TYPES {
        assert_eq!(type_by_name(info.sql_name), Some(info.oid), "{}", info.name);
        if info.array != Oid::UNSPECIFIED {
            assert_eq!(element_of(info.array), Some(info.oid), "{}", info.name);
        }
    }
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    /// A value that reads is printed as itself, and goes both ways through binary.
    fn check(bytes: &[u8], oid: Oid, format: Format) -> Result<(), TestCaseError> {
        let plain = Display::default();
        let Ok(value) = decode(bytes, oid, format, &plain) else { return Ok(()) };
        let mut text = BytesMut::new();
        encode_text(value.as_ref(), oid, -1, &plain, &mut text).expect("it prints");
        // Of these an empty text is not the type's form.
        if !matches!(oid, Oid::VOID | Oid::RECORD) {
            let again = decode(&text, oid, Format::Text, &plain);
            prop_assert_eq!(again.as_ref(), Ok(&value), "text {:?}", text);
        }
        let mut binary = BytesMut::new();
        if encode_binary(value.as_ref(), oid, &mut binary).is_ok() && oid != Oid::VOID {
            let again = decode(&binary, oid, Format::Binary, &plain);
            prop_assert_eq!(again, Ok(value), "binary {:?}", binary);
        }
        Ok(())
    }

    fn any_oid() -> impl Strategy<Value = Oid> {
        let oids: Vec<Oid> =
            TYPES.iter().map(|info| info.oid).filter(|oid| !is_reg(*oid)).collect();
        proptest::sample::select(oids)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

        #[test]
        fn any_binary_value_reads_or_is_refused(
            oid in any_oid(),
            bytes in proptest::collection::vec(prop_oneof![Just(0), Just(1), any::<u8>()], 0..40),
        ) {
            check(&bytes, oid, Format::Binary)?;
        }

        #[test]
        fn any_text_reads_or_is_refused(oid in any_oid(), text in "[-+0-9:. ,{}\\[\\]\"\\\\a-zT/]{0,20}|.{0,12}") {
            check(text.as_bytes(), oid, Format::Text)?;
        }

        #[test]
        fn timestamps_keep_their_value(micros in -63_000_000_000_000_000_i64..250_000_000_000_000_000) {
            check(&micros.to_be_bytes(), Oid::TIMESTAMP, Format::Binary)?;
            check(&micros.to_be_bytes(), Oid::TIMESTAMPTZ, Format::Binary)?;
            let mut text = String::new();
            let zone = Zone::parse("America/New_York").expect("it exists");
            datetime::print_timestamptz(micros, &zone, &mut text);
            prop_assert_eq!(datetime::parse_timestamptz(&text, &Zone::UTC, None), Ok(micros));
        }

        #[test]
        fn stored_moments_are_in_order_as_texts(
            one in -211_813_488_000_000_000_i64..9_223_371_331_200_000_000,
            other in -211_813_488_000_000_000_i64..9_223_371_331_200_000_000,
            apart in 0..100_000_000_000_i64,
        ) {
            let stored = |micros: i64| {
                let mut text = String::new();
                datetime::print_timestamptz(micros, &Zone::UTC, &mut text);
                text
            };
            prop_assert_eq!(stored(one).cmp(&stored(other)), one.cmp(&other));
            let near = one.saturating_sub(apart).max(-211_813_488_000_000_000);
            prop_assert_eq!(stored(near).cmp(&stored(one)), near.cmp(&one));
            prop_assert!(stored(i64::MIN) < stored(one) && stored(one) < stored(i64::MAX));
        }

        #[test]
        fn dates_keep_their_value(days in -2_451_545_i32..2_145_031_948) {
            check(&days.to_be_bytes(), Oid::DATE, Format::Binary)?;
            let civil = calendar::civil_from_days(days.into());
            prop_assert_eq!(
                calendar::days_from_civil(civil.year, civil.month, civil.day),
                i64::from(days)
            );
        }

        #[test]
        fn intervals_keep_their_value(months: i32, days: i32, micros: i64) {
            let interval = Interval { months, days, micros };
            let back = Interval::parse(&interval.to_string());
            // The one hour count that has no text that reads back.
            prop_assume!(micros != i64::MIN);
            prop_assert_eq!(back, Ok(interval));
        }

        #[test]
        fn floats_keep_their_value(bits: u64, single: u32) {
            check(&bits.to_be_bytes(), Oid::FLOAT8, Format::Binary)?;
            check(&single.to_be_bytes(), Oid::FLOAT4, Format::Binary)?;
        }

        #[test]
        fn numerics_order_as_numbers(a in -1_000_000_i64..1_000_000, b in -1_000_000_i64..1_000_000, x in 0_usize..4, y in 0_usize..4) {
            let text = |value: i64, zeros: usize| {
                let text = format!("{}.{:03}{}", value.abs() / 1000, value.abs() % 1000, "0".repeat(zeros));
                numeric::canonical(&format!("{}{text}", if value < 0 { "-" } else { "" })).expect("it is a number")
            };
            prop_assert_eq!(numeric::compare(&text(a, x), &text(b, y)), a.cmp(&b));
        }

        #[test]
        fn numerics_round_half_away_from_zero(value in -10_000_000_i64..10_000_000, scale in 0_i32..6) {
            let sign = if value < 0 { "-" } else { "" };
            let text = format!("{sign}{}.{:04}", value.abs() / 10_000, value.abs() % 10_000);
            let text = numeric::canonical(&text).expect("it is a number");
            let unit = 10_i64.pow((4 - scale.min(4)) as u32);
            let rounded = (value.abs() + unit / 2) / unit * unit;
            let sign = if value < 0 && rounded != 0 { "-" } else { "" };
            let digits = format!("{sign}{}.{:04}00", rounded / 10_000, rounded % 10_000);
            let kept = digits.len() - 6 + scale as usize;
            prop_assert_eq!(
                numeric::round(&text, scale),
                digits[..kept].trim_end_matches('.')
            );
        }

        #[test]
        fn jsonb_is_its_own_normal_form(text in "[\\[\\]{}:,\"ab0-9.eE truefalsn\\\\-]{0,30}") {
            if let Ok(normal) = json::normalize_jsonb(&text) {
                prop_assert_eq!(json::check_json(&text), Ok(()));
                prop_assert_eq!(json::normalize_jsonb(&normal), Ok(normal));
            }
        }
    }
}

#[test]
fn deep_json_is_refused_and_not_a_stack_overflow() {
    let deep = "[".repeat(100_000);
    for check in [json::check_json(&deep).err(), json::normalize_jsonb(&deep).err()] {
        assert_eq!(check.map(|error| error.state), Some(SqlState::STATEMENT_TOO_COMPLEX));
    }
}
