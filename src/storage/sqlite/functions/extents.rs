//! Ranges, network addresses and bits, under the internal names that the translator
//! emits.
//!
//! | names | what they are |
//! |---|---|
//! | `towline_range(type, lower, upper, bounds)` | a range of two values; NULL is no bound |
//! | `towline_range_<operator>(range, range)` | `contains`, `overlaps`, `adjacent`, `before`, `ends_within`, `begins_within`, `union`, `intersection`, `difference`, `merge` |
//! | `towline_range_contains_element(range, value)` | `@>` of a value |
//! | `towline_range_<part>(range)` | `lower`, `upper`, `isempty`, `lower_inc`, `upper_inc`, `lower_inf`, `upper_inf` |
//! | `towline_network_contains(network, network, strictly)`, `…_overlaps` | of addresses |
//! | `towline_network_<part>(address)` | `host`, `text`, `abbrev`, `masklen`, `family`, `network`, `netmask`, `hostmask`, `broadcast` |
//! | `towline_network_<operator>(address, …)` | `plus`, `minus`, `distance`, `and`, `or`, `not` |
//! | `towline_mac_<operator>(address, …)` | `and`, `or`, `not`, `trunc`, `set7bit`, `short` |
//! | `towline_bits_<operator>(bits, …)` | `and`, `or`, `xor`, `not`, `shl`, `shr`, `get`, `set`, `count`, `octets`, `fit`, `of_int`, `to_int` |
//! | collations `network`, `range` | the order of the types' text forms |

use std::borrow::Cow;
use std::cmp::Ordering;

use super::call::{Answer, Call, Registry};
use crate::log::Lsn;
use crate::log::Value;
use crate::pg::types::bits::fit_bits;
use crate::pg::types::network::{self, Inet};
use crate::pg::types::numeric;
use crate::pg::types::range::{self, Bound, Range};
use crate::pg::types::zone::Zone;
use crate::pg::types::{datetime, parse_lsn, type_by_name};
use crate::pg::{Oid, SqlError, SqlState};

pub(super) fn register(registry: Registry<'_>) -> rusqlite::Result<()> {
    registry.connection.create_collation("network", network::compare)?;
    registry.connection.create_collation("range", compare_ranges)?;
    registry.connection.create_collation("timetz", compare_timetz)?;
    registry.connection.create_collation("lsn", |left, right| {
        let place = |text: &str| parse_lsn(text).map(|lsn| lsn.0).unwrap_or_default();
        place(left).cmp(&place(right))
    })?;
    register_ranges(registry)?;
    register_networks(registry)?;
    register_bits(registry)
}

/// A range in its text form, and what it ranges over as far as order goes: its type is
/// not told, but numbers don't look like moments.
fn read_range(text: &str) -> Result<(Range, Oid), SqlError> {
    let range = Range::parse(text, |bound| Ok(bound.to_owned()))?;
    let bound = match &range {
        Range::Between { lower, upper } => lower.value.as_ref().or(upper.value.as_ref()),
        Range::Empty => None,
    };
    let element = match bound {
        Some(value) if numeric::canonical(value).is_err() => Oid::TIMESTAMP,
        _ => Oid::NUMERIC,
    };
    Ok((range, element))
}

/// Two ranges of one type.
fn two_ranges(call: &Call<'_, '_>) -> Result<(Range, Range, Oid), SqlError> {
    let (left, element) = read_range(&call.text(0)?)?;
    let (right, other) = read_range(&call.text(1)?)?;
    // One without bounds does not tell.
    Ok((left, right, if element == Oid::NUMERIC { other } else { element }))
}

/// Times of day by their moment, those of one moment the more eastern first.
pub(super) fn compare_timetz(left: &str, right: &str) -> Ordering {
    let key = |text| {
        let (micros, east) = datetime::parse_timetz(text, &Zone::UTC, None).ok()?;
        Some((micros - i64::from(east) * 1_000_000, -east))
    };
    key(left).cmp(&key(right))
}

pub(super) fn compare_ranges(left: &str, right: &str) -> Ordering {
    match (read_range(left), read_range(right)) {
        (Ok((left, element)), Ok((right, other))) => {
            left.compare(&right, if element == Oid::NUMERIC { other } else { element })
        }
        _ => left.cmp(right),
    }
}

fn text(range: &Range) -> Value {
    Value::Text(range.print())
}

fn bound_value(bound: &Bound) -> Value {
    bound.value.clone().map_or(Value::Null, Value::Text)
}

fn boolean(value: bool) -> Value {
    Value::Integer(value.into())
}

fn register_ranges(registry: Registry<'_>) -> rusqlite::Result<()> {
    registry.lenient("towline_range", 4, |call| {
        let read = |at| call.optional_text(at).map(|text| text.map(Cow::into_owned));
        construct(&call.text(0)?, read(1)?, read(2)?, read(3)?)
    })?;
    type Test = fn(&Range, &Range, Oid) -> bool;
    let tests: [(&str, Test); 6] = [
        ("contains", Range::contains),
        ("overlaps", |left, right, element| left.intersection(right, element) != Range::Empty),
        ("adjacent", Range::is_adjacent),
        ("before", Range::is_before),
        ("ends_within", Range::ends_within),
        ("begins_within", Range::begins_within),
    ];
    for (name, test) in tests {
        registry.strict(&format!("towline_range_{name}"), 2, move |call| {
            let (left, right, element) = two_ranges(call)?;
            Ok(boolean(test(&left, &right, element)))
        })?;
    }
    type Combination = fn(&Range, &Range, Oid) -> Result<Range, SqlError>;
    let combinations: [(&str, Combination); 4] = [
        ("intersection", |left, right, element| Ok(left.intersection(right, element))),
        ("merge", |left, right, element| Ok(left.merge(right, element))),
        ("union", union),
        ("difference", difference),
    ];
    for (name, combine) in combinations {
        registry.strict(&format!("towline_range_{name}"), 2, move |call| {
            let (left, right, element) = two_ranges(call)?;
            combine(&left, &right, element).map(|range| text(&range))
        })?;
    }
    registry.strict("towline_range_contains_element", 2, |call| {
        let (range, element) = read_range(&call.text(0)?)?;
        let bound = Bound { value: Some(call.text(1)?.into_owned()), inclusive: true };
        let one = Range::Between { lower: bound.clone(), upper: bound };
        Ok(boolean(range.contains(&one, element)))
    })?;
    type Part = fn(&Bound, &Bound) -> Value;
    let parts: [(&str, Part, Value); 7] = [
        ("lower", |lower, _| bound_value(lower), Value::Null),
        ("upper", |_, upper| bound_value(upper), Value::Null),
        ("isempty", |_, _| boolean(false), boolean(true)),
        ("lower_inc", |lower, _| boolean(lower.inclusive), boolean(false)),
        ("upper_inc", |_, upper| boolean(upper.inclusive), boolean(false)),
        ("lower_inf", |lower, _| boolean(lower.value.is_none()), boolean(false)),
        ("upper_inf", |_, upper| boolean(upper.value.is_none()), boolean(false)),
    ];
    for (name, part, of_empty) in parts {
        registry.strict(&format!("towline_range_{name}"), 1, move |call| {
            Ok(match read_range(&call.text(0)?)?.0 {
                Range::Empty => of_empty.clone(),
                Range::Between { lower, upper } => part(&lower, &upper),
            })
        })?;
    }
    Ok(())
}

fn construct(
    name: &str,
    lower: Option<String>,
    upper: Option<String>,
    bounds: Option<String>,
) -> Answer {
    let invalid = |message: &str| SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message);
    let bounds = bounds.ok_or_else(|| {
        SqlError::new(SqlState("22000"), "range constructor flags argument must not be null")
    })?;
    let (lower_in, upper_in) = match bounds.as_str() {
        "[]" => (true, true),
        "[)" => (true, false),
        "(]" => (false, true),
        "()" => (false, false),
        _ => {
            return Err(SqlError::new(SqlState::SYNTAX_ERROR, "invalid range bound flags")
                .with_hint("Valid values are \"[]\", \"[)\", \"(]\", and \"()\"."));
        }
    };
    let element = type_by_name(name).and_then(range::subtype);
    let element = element.ok_or_else(|| invalid("not a range type"))?;
    let range = Range::Between {
        lower: Bound { value: lower, inclusive: lower_in },
        upper: Bound { value: upper, inclusive: upper_in },
    };
    range.canonical(element).map(|range| text(&range))
}

fn union(left: &Range, right: &Range, element: Oid) -> Result<Range, SqlError> {
    let apart = *left != Range::Empty
        && *right != Range::Empty
        && left.intersection(right, element) == Range::Empty
        && !left.is_adjacent(right, element);
    if apart {
        return Err(SqlError::new(
            SqlState("22000"),
            "result of range union would not be contiguous",
        ));
    }
    Ok(left.merge(right, element))
}

fn difference(left: &Range, right: &Range, element: Oid) -> Result<Range, SqlError> {
    let common = left.intersection(right, element);
    let (Range::Between { lower, upper }, Range::Between { lower: from, upper: to }) =
        (left, &common)
    else {
        return Ok(left.clone());
    };
    let outside = |bound: &Bound| Bound { inclusive: !bound.inclusive, ..bound.clone() };
    match (from == lower, to == upper) {
        (true, true) => Ok(Range::Empty),
        (true, false) => Ok(Range::Between { lower: outside(to), upper: upper.clone() }),
        (false, true) => Ok(Range::Between { lower: lower.clone(), upper: outside(from) }),
        (false, false) => Err(SqlError::new(
            SqlState("22000"),
            "result of range difference would not be contiguous",
        )),
    }
}

/// An address in either type's text form.
fn read_inet(text: &str) -> Result<Inet, SqlError> {
    Inet::parse(text, false)
}

/// Arithmetic of addresses.
fn register_addresses(registry: Registry<'_>) -> rusqlite::Result<()> {
    let beyond = || {
        let message = "result is out of range";
        SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message)
    };
    let shown = |inet: Inet| Ok(Value::Text(inet.to_string()));
    for (name, sign) in [("towline_network_plus", 1), ("towline_network_minus", -1)] {
        registry.strict(name, 2, move |call| {
            let count = call.integer(1)?.checked_mul(sign).ok_or_else(beyond)?;
            let inet = read_inet(&call.text(0)?)?;
            shown(inet.plus(count).ok_or_else(beyond)?)
        })?;
    }
    let pair = |call: &Call<'_, '_>, what: &str| {
        let (left, right) = (read_inet(&call.text(0)?)?, read_inet(&call.text(1)?)?);
        if left.address.is_ipv4() == right.address.is_ipv4() {
            return Ok((left, right));
        }
        let message = format!("cannot {what} inet values of different sizes");
        Err(SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message))
    };
    registry.strict("towline_network_distance", 2, move |call| {
        let (left, right) = pair(call, "subtract")?;
        left.distance(&right).map(Value::Integer).ok_or_else(beyond)
    })?;
    registry.strict("towline_network_and", 2, move |call| {
        let (left, right) = pair(call, "AND")?;
        shown(left.combined(&right, |left, right| left & right))
    })?;
    registry.strict("towline_network_or", 2, move |call| {
        let (left, right) = pair(call, "OR")?;
        shown(left.combined(&right, |left, right| left | right))
    })?;
    registry.strict("towline_network_not", 1, move |call| {
        shown(read_inet(&call.text(0)?)?.complement())
    })
}

/// Hardware addresses, byte by byte.
fn register_macs(registry: Registry<'_>) -> rusqlite::Result<()> {
    // Six bytes or eight: what is stored has two digits and a colon for each.
    let read = |text: &str| match text.len() {
        17 => network::parse_mac::<6>(text).map(|bytes| bytes.to_vec()),
        _ => network::parse_mac::<8>(text).map(|bytes| bytes.to_vec()),
    };
    let print = |bytes: &[u8]| Ok(Value::Text(network::print_mac(bytes)));
    type Pair = fn(u8, u8) -> u8;
    let pairs: [(&str, Pair); 2] =
        [("towline_mac_and", |a, b| a & b), ("towline_mac_or", |a, b| a | b)];
    for (name, operation) in pairs {
        registry.strict(name, 2, move |call| {
            let (left, right) = (read(&call.text(0)?)?, read(&call.text(1)?)?);
            let bytes = left.iter().zip(&right).map(|(left, right)| operation(*left, *right));
            print(&bytes.collect::<Vec<_>>())
        })?;
    }
    registry.strict("towline_mac_not", 1, move |call| {
        let bytes = read(&call.text(0)?)?;
        print(&bytes.iter().map(|byte| !byte).collect::<Vec<_>>())
    })?;
    // The maker's part.
    registry.strict("towline_mac_trunc", 1, move |call| {
        let mut bytes = read(&call.text(0)?)?;
        bytes[3..].fill(0);
        print(&bytes)
    })?;
    registry.strict("towline_mac_set7bit", 1, move |call| {
        let mut bytes = read(&call.text(0)?)?;
        bytes[0] |= 2;
        print(&bytes)
    })?;
    registry.strict("towline_mac_short", 1, move |call| {
        let mut bytes = read(&call.text(0)?)?;
        if bytes[3..5] != [0xff, 0xfe] {
            let message = "macaddr8 data out of range to convert to macaddr";
            return Err(SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message).with_hint(
                "Only addresses that have FF and FE as values in the 4th and 5th bytes from the \
                 left, for example xx:xx:xx:ff:fe:xx:xx:xx, are eligible to be converted from \
                 macaddr8 to macaddr.",
            ));
        }
        bytes.drain(3..5);
        print(&bytes)
    })
}

fn register_networks(registry: Registry<'_>) -> rusqlite::Result<()> {
    registry.strict("towline_network_contains", 3, |call| {
        let (outer, inner) = (read_inet(&call.text(0)?)?, read_inet(&call.text(1)?)?);
        let strictly = call.integer(2)? != 0;
        Ok(boolean(outer.contains(&inner) && (!strictly || outer.bits < inner.bits)))
    })?;
    registry.strict("towline_network_overlaps", 2, |call| {
        let (left, right) = (read_inet(&call.text(0)?)?, read_inet(&call.text(1)?)?);
        Ok(boolean(left.contains(&right) || right.contains(&left)))
    })?;
    type Part = fn(&Inet) -> Value;
    let parts: [(&str, Part); 9] = [
        ("abbrev", |inet| Value::Text(inet.abbreviated())),
        ("host", |inet| {
            let host = Inet { bits: inet.max_bits(), cidr: false, ..*inet };
            Value::Text(host.to_string())
        }),
        ("text", |inet| Value::Text(Inet { cidr: true, ..*inet }.to_string())),
        ("masklen", |inet| Value::Integer(inet.bits.into())),
        ("family", |inet| Value::Integer(if inet.address.is_ipv4() { 4 } else { 6 })),
        ("network", |inet| Value::Text(inet.network().to_string())),
        ("netmask", |inet| Value::Text(inet.netmask().to_string())),
        ("hostmask", |inet| Value::Text(inet.hostmask().to_string())),
        ("broadcast", |inet| Value::Text(inet.broadcast().to_string())),
    ];
    for (name, part) in parts {
        registry.strict(&format!("towline_network_{name}"), 1, move |call| {
            Ok(part(&read_inet(&call.text(0)?)?))
        })?;
    }
    registry.strict("towline_lsn_add", 3, |call| {
        let place = i128::from(parse_lsn(&call.text(0)?)?.0);
        let (count, sign) = (call.text(1)?, call.integer(2)?);
        let failed = |message: &str| SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message);
        if count == "NaN" {
            let way = if sign > 0 { "add NaN to" } else { "subtract NaN from" };
            let message = format!("cannot {way} pg_lsn");
            return Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        let sum = numeric::round(&count, 0)
            .parse::<i128>()
            .ok()
            .and_then(|count| place.checked_add(count.checked_mul(sign.into())?));
        let sum = sum.and_then(|sum| u64::try_from(sum).ok());
        sum.map(|sum| Value::Text(Lsn(sum).to_string()))
            .ok_or_else(|| failed("pg_lsn out of range"))
    })?;
    register_addresses(registry)?;
    register_macs(registry)?;
    registry.strict("towline_network_set_masklen", 2, |call| {
        let inet = read_inet(&call.text(0)?)?;
        let bits = call.integer(1)?;
        let bits =
            u8::try_from(bits).ok().filter(|bits| *bits <= inet.max_bits()).ok_or_else(|| {
                SqlError::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("invalid mask length: {bits}"),
                )
            })?;
        Ok(Value::Text(Inet { bits, ..inet }.to_string()))
    })
}

fn register_bits(registry: Registry<'_>) -> rusqlite::Result<()> {
    type Operation = fn(u8, u8) -> u8;
    let operations: [(&str, &str, Operation); 3] = [
        ("and", "AND", |left, right| left & right),
        ("or", "OR", |left, right| left | right),
        ("xor", "XOR", |left, right| left ^ right),
    ];
    for (name, word, operate) in operations {
        registry.strict(&format!("towline_bits_{name}"), 2, move |call| {
            let (left, right) = (call.text(0)?, call.text(1)?);
            if left.len() != right.len() {
                return Err(SqlError::new(
                    SqlState("22026"),
                    format!("cannot {word} bit strings of different sizes"),
                ));
            }
            let pairs = left.bytes().zip(right.bytes());
            let bits = pairs.map(|(l, r)| char::from(b'0' + operate(l & 1, r & 1)));
            Ok(Value::Text(bits.collect()))
        })?;
    }
    registry.strict("towline_bits_not", 1, |call| {
        let flip = |bit| if bit == '0' { '1' } else { '0' };
        Ok(Value::Text(call.text(0)?.chars().map(flip).collect()))
    })?;
    for (name, left) in [("shl", true), ("shr", false)] {
        registry.strict(&format!("towline_bits_{name}"), 2, move |call| {
            let (bits, by) = (call.text(0)?, call.integer(1)?);
            let left = left == (by >= 0);
            let by = usize::try_from(by.unsigned_abs()).map_or(bits.len(), |by| by.min(bits.len()));
            let zeroes = "0".repeat(by);
            Ok(Value::Text(if left {
                format!("{}{zeroes}", &bits[by..])
            } else {
                format!("{zeroes}{}", &bits[..bits.len() - by])
            }))
        })?;
    }
    let place = |bits: &str, at: i64| {
        usize::try_from(at).ok().filter(|at| *at < bits.len()).ok_or_else(|| {
            SqlError::new(
                SqlState("2202E"),
                format!("bit index {at} out of valid range (0..{})", bits.len() as i64 - 1),
            )
        })
    };
    registry.strict("towline_bits_get", 2, move |call| {
        let bits = call.text(0)?;
        let at = place(&bits, call.integer(1)?)?;
        Ok(boolean(bits.as_bytes()[at] == b'1'))
    })?;
    registry.strict("towline_bits_set", 3, move |call| {
        let mut bits = call.text(0)?.into_owned();
        let at = place(&bits, call.integer(1)?)?;
        let bit = match call.integer(2)? {
            0 => "0",
            1 => "1",
            _ => {
                return Err(SqlError::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    "new bit must be 0 or 1",
                ));
            }
        };
        bits.replace_range(at..=at, bit);
        Ok(Value::Text(bits))
    })?;
    registry.strict("towline_bits_count", 1, |call| {
        Ok(Value::Integer(call.text(0)?.bytes().filter(|bit| *bit == b'1').count() as i64))
    })?;
    registry.strict("towline_bits_octets", 1, |call| {
        Ok(Value::Integer(call.text(0)?.len().div_ceil(8) as i64))
    })?;
    registry.strict("towline_bits_fit", 4, |call| {
        let length = usize::try_from(call.integer(1)?).unwrap_or(0);
        let (varying, explicit) = (call.integer(2)? != 0, call.integer(3)? != 0);
        fit_bits(&call.text(0)?, length, varying, explicit).map(Value::Text)
    })?;
    registry.strict("towline_bits_of_int", 2, |call| {
        let value = call.integer(0)?;
        let length = usize::try_from(call.integer(1)?).unwrap_or(0);
        // The sign goes on to the left.
        let fill = if value < 0 { "1" } else { "0" };
        let bits = format!("{value:064b}");
        Ok(Value::Text(match length.checked_sub(bits.len()) {
            Some(more) => format!("{}{bits}", fill.repeat(more)),
            None => bits[bits.len() - length..].to_owned(),
        }))
    })?;
    registry.strict("towline_bits_to_int", 2, |call| {
        let (bits, size) = (call.text(0)?, call.integer(1)?);
        if bits.len() as i64 > size {
            let name = if size == 32 { "integer" } else { "bigint" };
            return Err(crate::pg::types::out_of_range(name));
        }
        let value = bits.bytes().fold(0_u64, |value, bit| value << 1 | u64::from(bit == b'1'));
        Ok(Value::Integer(if size == 32 {
            i64::from(value as u32 as i32)
        } else {
            value.cast_signed()
        }))
    })
}
