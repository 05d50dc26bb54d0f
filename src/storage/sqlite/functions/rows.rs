//! Rows and other values that are made of others, as texts; see [`crate::pg::types::made`].
//!
//! | function                                                 | what                             |
//! |-----------------------------------------------------------|----------------------------------|
//! | `towline_record(field, …)`                                | a row's text                     |
//! | `towline_record_field(row, at)`                           | a field's text, counted from 0   |
//! | `towline_record_with(row, count, at, field, …)`           | a row with other fields          |
//! | `towline_cast_made(text, made, zone)`                     | text read as what `made` says    |
//! | `towline_greatest_of(made, value, …)`, `towline_least_of` | by the order of what `made` says, or of a type's OID |
//!
//! A collation is there for everything that is made of others: its name is what the values
//! are made of, `"(23,25)"`, and they are in order field by field.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::arrays::compare_elements;
use super::call::{Call, Registry, text};
use super::{array_text, extents};
use crate::log::Value;
use crate::pg::types::interval::Interval;
use crate::pg::types::json;
use crate::pg::types::made::{self, Made};
use crate::pg::types::{Display, Format, element_of, network, numeric, parse_lsn, range};
use crate::pg::{Oid, SqlError};

pub(super) fn register(registry: Registry<'_>) -> rusqlite::Result<()> {
    registry.lenient("towline_record", -1, |call| {
        let fields: Result<Vec<_>, _> = (0..call.len()).map(|at| field(call, at)).collect();
        text(made::print_row(&fields?))
    })?;
    registry.strict("towline_record_field", 2, |call| {
        let at = usize::try_from(call.integer(1)?).unwrap_or(usize::MAX);
        let field = made::parse_row(&call.text(0)?)?.into_iter().nth(at).flatten();
        Ok(field.map_or(Value::Null, Value::Text))
    })?;
    registry.lenient("towline_record_with", -1, |call| {
        let mut fields = match call.optional_text(0)? {
            Some(row) => made::parse_row(&row)?,
            None => Vec::new(),
        };
        let number = |at| call.integer(at).map(|number| usize::try_from(number).unwrap_or(0));
        fields.resize(number(1)?, None);
        for at in (2..call.len()).step_by(2) {
            fields[number(at)?] = field(call, at + 1)?;
        }
        text(made::print_row(&fields))
    })?;
    registry.strict("towline_cast_made", 3, |call| {
        let made = Made::parse(&call.text(1)?);
        let made = made.expect("the translator's own text");
        let display = Display { time_zone: call.text(2)?.into_owned(), ..Display::default() };
        let text = call.text(0)?;
        match made::decode_made(text.as_bytes(), &made, Format::Text, &display)? {
            text @ Value::Text(_) => Ok(text),
            _ => Ok(Value::Null),
        }
    })?;
    for (name, wanted) in
        [("towline_greatest_of", Ordering::Greater), ("towline_least_of", Ordering::Less)]
    {
        registry.lenient(name, -1, move |call| {
            let kind = call.text(0)?;
            let made = Made::parse(&kind);
            let oid = Oid(kind.parse().unwrap_or_default());
            let mut best: Option<String> = None;
            for at in 1..call.len() {
                let Some(other) = field(call, at)? else { continue };
                let is_better =
                    |best: &String| compare_part(&other, best, oid, made.as_ref()) == wanted;
                if best.as_ref().is_none_or(is_better) {
                    best = Some(other);
                }
            }
            Ok(best.map_or(Value::Null, Value::Text))
        })?;
    }
    registry.connection.collation_needed(|connection, name| {
        let Some(made) = Made::parse(name) else { return Ok(()) };
        connection.create_collation(name, move |left, right| compare(left, right, &made))
    })
}

/// A field of a row as it is written there.
fn field(call: &Call<'_, '_>, at: usize) -> Result<Option<String>, SqlError> {
    Ok(call.optional_text(at)?.map(Cow::into_owned))
}

fn compare(left: &str, right: &str, made: &Made) -> Ordering {
    match made {
        Made::Row(types) => {
            let (Ok(lefts), Ok(rights)) = (made::parse_row(left), made::parse_row(right)) else {
                return left.cmp(right);
            };
            let field = |row: &[Option<String>], at: usize| row.get(at).cloned().flatten();
            let orders = types.iter().enumerate().map(|(at, (oid, made))| {
                match (field(&lefts, at), field(&rights, at)) {
                    (Some(left), Some(right)) => compare_part(&left, &right, *oid, made.as_ref()),
                    (left, right) => left.is_none().cmp(&right.is_none()),
                }
            });
            orders.fold(Ordering::Equal, Ordering::then)
        }
        Made::Array(oid, made) => {
            let part = |left: &str, right: &str| compare_part(left, right, *oid, made.as_deref());
            compare_arrays(left, right, &part)
        }
        Made::Enum(_, labels) => {
            let rank = |text| labels.iter().position(|label| label == text).unwrap_or(labels.len());
            rank(left).cmp(&rank(right)).then_with(|| left.cmp(right))
        }
    }
}

fn compare_arrays(left: &str, right: &str, part: &dyn Fn(&str, &str) -> Ordering) -> Ordering {
    match (array_text::parse(left), array_text::parse(right)) {
        (Ok(lefts), Ok(rights)) => compare_elements(&lefts, &rights, part),
        _ => left.cmp(right),
    }
}

fn compare_part(left: &str, right: &str, oid: Oid, made: Option<&Made>) -> Ordering {
    if let Some(made) = made {
        return compare(left, right, made);
    }
    match oid {
        Oid::INT2 | Oid::INT4 | Oid::INT8 | Oid::OID | Oid::NUMERIC => {
            numeric::compare(left, right)
        }
        Oid::FLOAT4 | Oid::FLOAT8 => {
            // NaN is greater than all else.
            let key = |text: &str| text.parse::<f64>().ok().filter(|value| !value.is_nan());
            match (key(left), key(right)) {
                (Some(left), Some(right)) => left.partial_cmp(&right).unwrap_or(Ordering::Equal),
                (left, right) => left.is_none().cmp(&right.is_none()),
            }
        }
        Oid::BPCHAR => left.trim_end_matches(' ').cmp(right.trim_end_matches(' ')),
        Oid::INTERVAL => {
            let estimate = |text| Interval::parse(text).map(Interval::estimate).ok();
            estimate(left).cmp(&estimate(right))
        }
        Oid::DATE | Oid::TIMESTAMP | Oid::TIMESTAMPTZ => range::compare_elements(left, right, oid),
        Oid::TIMETZ => extents::compare_timetz(left, right),
        Oid::INET | Oid::CIDR => network::compare(left, right),
        Oid::PG_LSN => parse_lsn(left).ok().cmp(&parse_lsn(right).ok()),
        Oid::JSONB => json::compare(left, right),
        _ if range::subtype(oid).is_some() => extents::compare_ranges(left, right),
        _ => match element_of(oid) {
            Some(element) => {
                compare_arrays(left, right, &|left, right| compare_part(left, right, element, None))
            }
            None => left.cmp(right),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_in_order_field_by_field() {
        let mood = Made::Enum("mood".to_owned(), ["sad", "ok"].map(str::to_owned).to_vec());
        let made = Made::Row(vec![
            (Oid::INT4, None),
            (Oid::NUMERIC_ARRAY, None),
            (Oid(20_000), Some(mood)),
            (Oid::FLOAT8, None),
        ]);
        let sorted = [
            "(2,{1.50},sad,1)",
            "(2,{1.50},ok,-5)",
            "(2,{1.50},ok,10)",
            "(2,{1.50},ok,NaN)",
            "(2,{1.50},ok,)",
            "(2,\"{1.5,2}\",sad,1)",
            "(10,{1},sad,1)",
            "(,{1},sad,1)",
        ];
        for (at, left) in sorted.iter().enumerate() {
            for (other, right) in sorted.iter().enumerate() {
                assert_eq!(compare(left, right, &made), at.cmp(&other), "{left} {right}");
            }
        }
        assert!(compare("(1,{1.50},ok,1)", "(1,{1.5},ok,1.0)", &made).is_eq());
    }
}
