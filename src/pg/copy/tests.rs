//! What the two make of each other.

use bytes::{BufMut, BytesMut};
use proptest::prelude::*;

use super::*;

type Fields = Vec<Option<Vec<u8>>>;

fn names(count: usize) -> Vec<String> {
    (0..count).map(|at| format!("c{at}")).collect()
}

/// Decodes with the bytes fed in pieces of `step`.
fn read(
    options: &CopyOptions,
    columns: usize,
    bytes: &[u8],
    step: usize,
) -> Result<Vec<Fields>, SqlError> {
    let mut decoder = Decoder::new(options.clone(), "t".to_owned(), names(columns));
    let (mut rows, mut row) = (Vec::new(), Row::default());
    let mut take = |decoder: &mut Decoder| -> Result<(), SqlError> {
        while decoder.next_row(&mut row)? {
            rows.push(row.fields().map(|field| field.map(<[u8]>::to_vec)).collect());
        }
        Ok(())
    };
    for piece in bytes.chunks(step) {
        decoder.feed(piece);
        take(&mut decoder)?;
    }
    decoder.finish();
    take(&mut decoder)?;
    Ok(rows)
}

fn write(options: &CopyOptions, columns: usize, rows: &[Fields]) -> Vec<u8> {
    let mut encoder = Encoder::new(options.clone(), names(columns));
    let mut out = BytesMut::new();
    encoder.begin(&mut out);
    for fields in rows {
        let mut row = encoder.row(&mut out);
        for field in fields {
            match field {
                None => row.null(),
                Some(bytes) => row
                    .field(|out| {
                        out.put_slice(bytes);
                        Ok(())
                    })
                    .expect("it is short"),
            }
        }
        row.finish();
    }
    encoder.end(&mut out);
    out.to_vec()
}

/// Reads as text, shown as `a|b|NULL` a row.
fn shown(options: &CopyOptions, columns: usize, text: &str) -> Result<Vec<String>, SqlError> {
    let whole = read(options, columns, text.as_bytes(), usize::MAX);
    for step in 1..4 {
        assert_eq!(read(options, columns, text.as_bytes(), step), whole, "pieces of {step}");
    }
    let show = |field: &Option<Vec<u8>>| match field {
        None => "NULL".to_owned(),
        Some(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    };
    whole.map(|rows| {
        rows.iter().map(|row| row.iter().map(show).collect::<Vec<_>>().join("|")).collect()
    })
}

#[test]
fn text_is_read() {
    let options = CopyOptions::new(CopyFormat::Text);
    for (text, rows) in [
        ("1\ta\n2\t\\N\n", vec!["1|a", "2|NULL"]),
        ("1\ta", vec!["1|a"]),
        ("1\ta\r\n2\tb\r\n", vec!["1|a", "2|b"]),
        ("1\ta\r2\tb\r", vec!["1|a", "2|b"]),
        ("1\ta\\\nb\n", vec!["1|a\nb"]),
        ("\\\\N\t\\\\\\N\n", vec!["\\N|\\N"]),
        ("\\b\\f\\n\\r\\t\\v\t\\x41\\101\\q\n", vec!["\x08\x0c\n\r\t\x0b|AAq"]),
        ("\t\n", vec!["|"]),
        ("1\ta\n\\.\n2\tb\n", vec!["1|a"]),
        ("1\ta\n\\.", vec!["1|a"]),
        ("", vec![]),
    ] {
        assert_eq!(shown(&options, 2, text), Ok(rows.iter().map(|s| (*s).into()).collect()));
    }
    let bars = CopyOptions { delimiter: b'|', null: "-".into(), header: true, ..options };
    assert_eq!(shown(&bars, 2, "a|b\n1|-\n\\||x\n"), Ok(vec!["1|NULL".into(), "||x".into()]));
    let matched = CopyOptions { header_matches: true, ..bars };
    assert_eq!(shown(&matched, 2, "c0|c1\n1|-\n"), Ok(vec!["1|NULL".into()]));
    for (header, message) in [
        ("c0", "wrong number of fields in header line: field count is 1, expected 2"),
        ("c0|C1", "column name mismatch in header line field 2: got \"C1\", expected \"c1\""),
        (
            "-|c1",
            "column name mismatch in header line field 1: got null value (\"-\"), expected \"c0\"",
        ),
    ] {
        let error = read(&matched, 2, format!("{header}\n1|2\n").as_bytes(), 99);
        let error = error.expect_err("no match");
        assert_eq!(
            (error.state, error.message.as_str()),
            (SqlState::BAD_COPY_FILE_FORMAT, message)
        );
    }
}

#[test]
fn csv_is_read() {
    let options = CopyOptions::new(CopyFormat::Csv);
    for (text, rows) in [
        ("1,a\n2,\n3,\"\"\n", vec!["1|a", "2|NULL", "3|"]),
        ("\"a\"\"b\",\"c,d\"\n", vec!["a\"b|c,d"]),
        ("\"a\nb\r\",c\r\n", vec!["a\nb\r|c"]),
        ("a\"b,c\"d,e\n", vec!["ab,cd|e"]),
        ("\\N,\\x\n\\.\nzzz", vec!["\\N|\\x"]),
        (" a , b\n", vec![" a | b"]),
    ] {
        assert_eq!(
            shown(&options, 2, text),
            Ok(rows.iter().map(|s| (*s).into()).collect()),
            "{text:?}"
        );
    }
    let options = CopyOptions {
        escape: b'\\',
        quote: b'\'',
        null: "nil".into(),
        force_not_null: vec![0],
        force_null: vec![1],
        ..options
    };
    assert_eq!(
        shown(&options, 2, "nil,'nil'\n'a\\'b\\\\',nil\n"),
        Ok(vec!["nil|NULL".into(), "a'b\\|NULL".into()])
    );
}

#[test]
fn errors_name_the_line() {
    let error = |format, text: &str| {
        let error = shown(&CopyOptions::new(format), 2, text).expect_err("it is wrong");
        assert_eq!(error.state, SqlState::BAD_COPY_FILE_FORMAT);
        format!("{} ({})", error.message, error.context.unwrap_or_default())
    };
    use CopyFormat::{Csv, Text};
    for (format, text, expected) in [
        (Text, "1\ta\n2\n", "missing data for column \"c1\" (COPY t, line 2: \"2\")"),
        (Text, "1\t2\t3\n", "extra data after last expected column (COPY t, line 1: \"1\t2\t3\")"),
        (Text, "1\t2\n\n", "missing data for column \"c1\" (COPY t, line 2: \"\")"),
        (Text, "1\t2\n3\t4\r\n", "literal carriage return found in data (COPY t, line 2)"),
        (Text, "1\t2\r\n3\t4\n", "literal newline found in data (COPY t, line 2)"),
        (Text, "1\t\\.\n", "end-of-copy marker corrupt (COPY t, line 1: \"1\t\\.\")"),
        (Csv, "1,\"a\n", "unterminated CSV quoted field (COPY t, line 1: \"1,\"a\n\")"),
        (Csv, "1,2\n3,4\r\n", "unquoted carriage return found in data (COPY t, line 2)"),
        (Csv, "1,2,3\n", "extra data after last expected column (COPY t, line 1: \"1,2,3\")"),
    ] {
        assert_eq!(error(format, text), expected);
    }
}

#[test]
fn rows_are_written() {
    let field = |text: &str| Some(text.as_bytes().to_vec());
    let rows = [vec![field("a\tb\\"), None], vec![field(""), field("x\r\ny")]];
    let text = CopyOptions { header: true, ..CopyOptions::new(CopyFormat::Text) };
    assert_eq!(
        String::from_utf8_lossy(&write(&text, 2, &rows)),
        "c0\tc1\na\\tb\\\\\t\\N\n\tx\\r\\ny\n"
    );
    let csv = CopyOptions { force_quote: vec![1], ..CopyOptions::new(CopyFormat::Csv) };
    let rows = [vec![field("a\"b,"), None], vec![field(""), field("x")]];
    assert_eq!(String::from_utf8_lossy(&write(&csv, 2, &rows)), "\"a\"\"b,\",\n\"\",\"x\"\n");
    assert_eq!(write(&CopyOptions::new(CopyFormat::Csv), 1, &[vec![field("\\.")]]), b"\"\\.\"\n");
}

#[test]
fn binary_is_checked() {
    let options = CopyOptions::new(CopyFormat::Binary);
    let whole = write(&options, 1, &[vec![Some(b"ab".to_vec())]]);
    assert_eq!(read(&options, 1, &whole, 1), Ok(vec![vec![Some(b"ab".to_vec())]]));
    let message = |bytes: &[u8]| read(&options, 1, bytes, 7).expect_err("it is wrong").message;
    assert_eq!(message(b"PGCOPX\n\xff\r\n\0"), "COPY file signature not recognized");
    assert_eq!(message(b"PGC"), "COPY file signature not recognized");
    let with = |tail: &[u8]| [&whole[..BINARY_HEADER], tail].concat();
    assert_eq!(message(&with(b"\0\x02")), "row field count is 2, expected 1");
    assert_eq!(message(&with(b"\0\x01\0\0")), "unexpected EOF in COPY data");
    assert_eq!(message(&with(b"\0\x01\xff\xff\xff\xfe")), "invalid field size");
    assert_eq!(read(&options, 1, &with(b""), 7), Ok(vec![]));
}

#[test]
fn a_row_may_not_grow_without_bound() {
    let options = CopyOptions::new(CopyFormat::Binary);
    let header = [&SIGNATURE[..], &[0; 8], b"\0\x01\x7f\xff\xff\xff"].concat();
    let error = read(&options, 1, &header, 99).expect_err("it is too long");
    assert_eq!(error.state, SqlState::PROGRAM_LIMIT_EXCEEDED);
}

fn any_options() -> impl Strategy<Value = CopyOptions> {
    let format =
        prop_oneof![Just(CopyFormat::Text), Just(CopyFormat::Csv), Just(CopyFormat::Binary)];
    (format, any::<bool>(), any::<bool>()).prop_map(|(format, header, escape)| {
        let binary = format == CopyFormat::Binary;
        let options = CopyOptions::new(format);
        let escape = if escape { b'\\' } else { options.escape };
        CopyOptions { header: header && !binary, escape, ..options }
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_back_in_any_pieces(
        options in any_options(),
        rows in proptest::collection::vec(
            proptest::collection::vec(
                proptest::option::of(proptest::collection::vec(
                    prop_oneof![
                        proptest::sample::select(&b"\t\n\r\\,\"N.'"[..]),
                        b'a'..b'd',
                    ],
                    0..6,
                )),
                2,
            ),
            0..5,
        ),
        step in 1_usize..20,
    ) {
        let bytes = write(&options, 2, &rows);
        prop_assert_eq!(read(&options, 2, &bytes, step), Ok(rows));
    }

    #[test]
    fn any_bytes_are_read_or_refused_however_they_come(
        options in any_options(),
        bytes in proptest::collection::vec(
            prop_oneof![
                proptest::sample::select(&b"\t\n\r\\,\"N.\0\x01\xff"[..]),
                any::<u8>(),
            ],
            0..80,
        ),
        step in 1_usize..20,
    ) {
        let bytes = match options.format {
            CopyFormat::Binary => [&SIGNATURE[..], &[0; 8], &bytes].concat(),
            _ => bytes,
        };
        let whole = read(&options, 2, &bytes, usize::MAX);
        prop_assert_eq!(read(&options, 2, &bytes, step), whole);
    }
}
