//! `generate_series` and its kin: table-valued functions that count.
//!
//! | function                     | arguments                          |
//! |------------------------------|------------------------------------|
//! | `generate_series`            | integers: start, stop, step (1)    |
//! | `towline_generate_numerics`  | numerics: start, stop, step (1)    |
//! | `towline_generate_timestamps`| timestamps: start, stop; interval; the zone whose days they count, of those with one |
//! | `pg_partition_ancestors`     | a relation's OID: that OID alone   |
//!
//! Each has a column `value`; the arguments are hidden columns. A NULL argument gives
//! no rows.

use std::ffi::c_int;
use std::str::FromStr;

use bigdecimal::{BigDecimal, Zero};
use rusqlite::types::ToSqlOutput;
use rusqlite::vtab::{IndexConstraintOp, IndexInfo};

use super::super::functions::Surroundings;
use super::table::{Cursor, Table, result};
use crate::log::Value;
use crate::pg::types::datetime::{
    parse_timestamp, parse_timestamptz, print_timestamp, print_timestamptz,
};
use crate::pg::types::interval::{Interval, timestamp_plus, timestamptz_plus};
use crate::pg::types::zone::Zone;
use crate::pg::{SqlError, SqlState};

/// The functions of this module.
pub(super) const NAMES: [&str; 4] = [
    "generate_series",
    "towline_generate_numerics",
    "towline_generate_timestamps",
    "pg_partition_ancestors",
];

/// Column numbers of the arguments.
const FIRST_ARGUMENT: c_int = 1;
const ARGUMENTS: usize = 4;

pub(in crate::storage::sqlite) struct Series {
    surroundings: Surroundings,
    name: &'static str,
}

impl Table for Series {
    type Shared = (Surroundings, &'static str);
    type Cursor = SeriesCursor;

    fn connect(
        (surroundings, name): &(Surroundings, &'static str),
        _schema: &str,
        _name: &str,
    ) -> rusqlite::Result<(String, Self)> {
        let declaration =
            "CREATE TABLE x(value, start HIDDEN, stop HIDDEN, step HIDDEN, zone HIDDEN)";
        Ok((declaration.to_owned(), Self { surroundings: surroundings.clone(), name }))
    }

    /// The plan is the set of arguments given, a bit each.
    fn plan(&self, info: &mut IndexInfo) -> rusqlite::Result<bool> {
        let mut given = [None; ARGUMENTS];
        for (at, constraint) in info.constraints().enumerate() {
            let argument = usize::try_from(constraint.column() - FIRST_ARGUMENT).ok();
            let Some(argument) = argument.filter(|argument| *argument < ARGUMENTS) else {
                continue;
            };
            if constraint.operator() != IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_EQ {
                continue;
            }
            // The argument is known only in another order of the join.
            if !constraint.is_usable() {
                return Ok(false);
            }
            given[argument] = Some(at);
        }
        let (mut plan, mut position) = (0, 0);
        for (argument, at) in given.iter().enumerate() {
            if let Some(at) = at {
                position += 1;
                plan |= 1 << argument;
                let mut usage = info.constraint_usage(*at);
                usage.set_argv_index(position);
                usage.set_omit(true);
            }
        }
        info.set_idx_num(plan);
        info.set_estimated_cost(100.0);
        info.set_estimated_rows(1000);
        Ok(true)
    }

    fn open(&self) -> SeriesCursor {
        SeriesCursor {
            surroundings: self.surroundings.clone(),
            name: self.name,
            walk: Walk::Done,
            value: Value::Null,
            row: 0,
        }
    }
}

pub(in crate::storage::sqlite) struct SeriesCursor {
    surroundings: Surroundings,
    name: &'static str,
    walk: Walk,
    value: Value,
    row: i64,
}

enum Walk {
    Done,
    Integers {
        next: i64,
        stop: i64,
        step: i64,
    },
    Numerics {
        next: BigDecimal,
        stop: BigDecimal,
        step: BigDecimal,
    },
    /// Microseconds since 2000-01-01; `next` is `None` behind the last that there is.
    Moments {
        next: Option<i64>,
        stop: i64,
        step: Interval,
        zone: Option<Zone>,
    },
    Once(i64),
}

impl Walk {
    fn start(name: &str, arguments: [Option<Value>; ARGUMENTS]) -> Result<Self, SqlError> {
        if arguments.iter().flatten().any(|value| *value == Value::Null) {
            return Ok(Self::Done);
        }
        let [start, stop, step, zone] = arguments;
        let Some(start) = start else { return Err(too_few(name)) };
        if name == "pg_partition_ancestors" {
            return Ok(Self::Once(integer(&start)?));
        }
        let Some(stop) = stop else { return Err(too_few(name)) };
        match name {
            "generate_series" => {
                let step = step.as_ref().map_or(Ok(1), integer)?;
                if step == 0 {
                    return Err(zero_step());
                }
                Ok(Self::Integers { next: integer(&start)?, stop: integer(&stop)?, step })
            }
            "towline_generate_numerics" => {
                let step = step.as_ref().map_or_else(|| Ok(BigDecimal::from(1)), numeric)?;
                if step.is_zero() {
                    return Err(zero_step());
                }
                Ok(Self::Numerics { next: numeric(&start)?, stop: numeric(&stop)?, step })
            }
            _ => {
                let step = step.as_ref().ok_or_else(|| too_few(name))?;
                Self::moments(&start, &stop, step, zone.as_ref())
            }
        }
    }

    /// A series of timestamps; of those with a zone days and months are `zone`'s.
    fn moments(
        start: &Value,
        stop: &Value,
        step: &Value,
        zone: Option<&Value>,
    ) -> Result<Self, SqlError> {
        let text = |value: &Value| match value {
            Value::Text(text) => Ok(text.clone()),
            _ => Err(SqlError::new(
                SqlState::INVALID_DATETIME_FORMAT,
                "invalid input syntax for type timestamp",
            )),
        };
        let (start, stop) = (text(start)?, text(stop)?);
        let step = Interval::parse(&text(step)?)?;
        if step.estimate() == 0 {
            return Err(zero_step());
        }
        let zone = zone.map(text).transpose()?.map(|name| {
            Zone::parse(&name).ok_or_else(|| {
                let message = format!("time zone \"{name}\" not recognized");
                SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message)
            })
        });
        let zone = zone.transpose()?;
        let parse = |text: &str| match zone {
            Some(_) => parse_timestamptz(text, &Zone::UTC, None),
            None => parse_timestamp(text, &Zone::UTC, None),
        };
        Ok(Self::Moments { next: Some(parse(&start)?), stop: parse(&stop)?, step, zone })
    }

    /// The next value, if the series goes on.
    fn advance(&mut self) -> Option<Value> {
        match self {
            Self::Done => None,
            Self::Integers { next, stop, step } => {
                let value = *next;
                if (*step > 0 && value > *stop) || (*step < 0 && value < *stop) {
                    *self = Self::Done;
                    return None;
                }
                match value.checked_add(*step) {
                    Some(after) => *next = after,
                    None => *self = Self::Done,
                }
                Some(Value::Integer(value))
            }
            Self::Numerics { next, stop, step } => {
                let value = next.clone();
                let ascending = *step > BigDecimal::zero();
                if (ascending && value > *stop) || (!ascending && value < *stop) {
                    *self = Self::Done;
                    return None;
                }
                *next += &*step;
                Some(Value::Text(value.to_plain_string()))
            }
            Self::Moments { next, stop, step, zone } => {
                let ascending = step.estimate() > 0;
                let value =
                    next.filter(|value| if ascending { *value <= *stop } else { *value >= *stop });
                let Some(value) = value else {
                    *self = Self::Done;
                    return None;
                };
                let mut printed = String::new();
                let after = match zone {
                    Some(zone) => {
                        print_timestamptz(value, &Zone::UTC, &mut printed);
                        timestamptz_plus(value, *step, zone)
                    }
                    None => {
                        print_timestamp(value, &mut printed);
                        timestamp_plus(value, *step)
                    }
                };
                *next = after.ok().filter(|after| *after != value);
                Some(Value::Text(printed))
            }
            Self::Once(value) => {
                let value = *value;
                *self = Self::Done;
                Some(Value::Integer(value))
            }
        }
    }
}

fn too_few(name: &str) -> SqlError {
    SqlError::new(
        SqlState::UNDEFINED_FUNCTION,
        format!("function {name} does not exist with so few arguments"),
    )
}

fn zero_step() -> SqlError {
    SqlError::new(SqlState::INVALID_PARAMETER_VALUE, "step size cannot equal zero")
}

fn integer(value: &Value) -> Result<i64, SqlError> {
    let parsed = match value {
        Value::Integer(value) => Some(*value),
        Value::Text(text) => text.trim().parse().ok(),
        _ => None,
    };
    parsed.ok_or_else(|| {
        SqlError::new(SqlState::INVALID_TEXT_REPRESENTATION, "invalid input syntax for type bigint")
    })
}

fn numeric(value: &Value) -> Result<BigDecimal, SqlError> {
    let parsed = match value {
        Value::Integer(value) => Some(BigDecimal::from(*value)),
        Value::Real(value) => BigDecimal::try_from(*value).ok(),
        Value::Text(text) => BigDecimal::from_str(text.trim()).ok(),
        _ => None,
    };
    parsed.ok_or_else(|| {
        SqlError::new(
            SqlState::INVALID_TEXT_REPRESENTATION,
            "invalid input syntax for type numeric",
        )
    })
}

impl SeriesCursor {
    fn step(&mut self) {
        match self.walk.advance() {
            Some(value) => self.value = value,
            None => self.value = Value::Null,
        }
    }
}

impl Cursor for SeriesCursor {
    fn filter(&mut self, plan: c_int, values: Vec<Value>) -> rusqlite::Result<()> {
        let mut values = values.into_iter();
        let arguments =
            std::array::from_fn(|bit| if plan & (1 << bit) != 0 { values.next() } else { None });
        self.walk =
            Walk::start(self.name, arguments).map_err(|error| self.surroundings.raise(error))?;
        self.row = 1;
        self.step();
        Ok(())
    }

    fn next(&mut self) -> rusqlite::Result<()> {
        self.row += 1;
        self.step();
        Ok(())
    }

    fn at_end(&self) -> bool {
        self.value == Value::Null
    }

    fn column(&self, column: usize) -> ToSqlOutput<'_> {
        if column == 0 { result(&self.value) } else { result(&Value::Null) }
    }

    fn row_number(&self) -> i64 {
        self.row
    }
}
