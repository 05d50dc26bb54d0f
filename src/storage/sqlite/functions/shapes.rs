//! The geometric types' operators and functions, under the internal names that the
//! translator emits. A value comes with the name of its type, for its text doesn't tell it:
//!
//! | names | what they are |
//! |---|---|
//! | `towline_shape_distance(a, type, b, type)` | `<->` |
//! | `towline_shape_contains`, `…_overlaps`, `…_same` | `@>`, `&&`, `~=` |
//! | `towline_shape_lies(a, type, b, type, operator)` | `<<`, `&<`, `>>`, `&>` and the same from below |
//! | `towline_shape_compares(a, type, b, type, operator)` | `=`, `<`, … of sizes |
//! | `towline_shape_moved(a, type, b, type, operator)` | `+`, `-`, `*`, `/` with a point |
//! | `towline_shape_cast(a, type, to)` | casts |
//! | `towline_shape_part(a, type, name)` | `area`, `center`, `length`, … |

use rusqlite::Connection;
use rusqlite::types::Value;

use super::Surroundings;
use super::operators::{Arguments, strict};
use crate::pg::types::geometry::Shape;
use crate::pg::types::shapes::Figure;
use crate::pg::types::type_by_name;
use crate::pg::{Oid, SqlError, SqlState};

fn figure(arguments: &Arguments<'_, '_>, at: usize) -> Result<Figure, SqlError> {
    let oid = type_by_name(&arguments.text(at + 1)?).unwrap_or(Oid::POINT);
    let shape = Shape::parse(&arguments.text(at)?, oid)?;
    Ok(Figure { oid, shape })
}

/// What the translator has let pass is there, but for what depends on the value.
fn missing() -> SqlError {
    SqlError::unsupported("this geometric operator for these values")
}

fn truth(value: Option<bool>) -> Result<Value, SqlError> {
    value.map(|value| Value::Integer(value.into())).ok_or_else(missing)
}

fn printed(figure: &Figure) -> Value {
    Value::Text(figure.shape.print(figure.oid))
}

pub(super) fn register(
    connection: &Connection,
    surroundings: &Surroundings,
) -> rusqlite::Result<()> {
    type Test = fn(&Figure, &Figure) -> Option<bool>;
    let tests: [(&str, Test); 3] = [
        ("towline_shape_contains", Figure::contains),
        ("towline_shape_overlaps", Figure::overlaps),
        ("towline_shape_same", Figure::is_same),
    ];
    for (name, test) in tests {
        strict(connection, surroundings, name, 4, move |arguments| {
            truth(test(&figure(arguments, 0)?, &figure(arguments, 2)?))
        })?;
    }
    strict(connection, surroundings, "towline_shape_lies", 5, |arguments| {
        truth(figure(arguments, 0)?.lies(&arguments.text(4)?, &figure(arguments, 2)?))
    })?;
    strict(connection, surroundings, "towline_shape_compares", 5, |arguments| {
        truth(figure(arguments, 0)?.compares(&arguments.text(4)?, &figure(arguments, 2)?))
    })?;
    strict(connection, surroundings, "towline_shape_distance", 4, |arguments| {
        let distance = figure(arguments, 0)?.distance(&figure(arguments, 2)?);
        distance.map(Value::Real).ok_or_else(missing)
    })?;
    strict(connection, surroundings, "towline_shape_moved", 5, |arguments| {
        let by = figure(arguments, 2)?.shape.numbers;
        let op = arguments.text(4)?;
        let moved = figure(arguments, 0)?.moved(&op, (by[0], by[1]));
        moved.as_ref().map(printed).ok_or_else(|| match &*op {
            "/" => SqlError::new(SqlState::DIVISION_BY_ZERO, "division by zero"),
            _ => missing(),
        })
    })?;
    strict(connection, surroundings, "towline_shape_cast", 3, |arguments| {
        let to = type_by_name(&arguments.text(2)?).unwrap_or(Oid::POINT);
        let figure = figure(arguments, 0)?;
        figure.cast(to).as_ref().map(printed).ok_or_else(|| {
            let message = "open path cannot be converted to polygon";
            SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message)
        })
    })?;
    strict(connection, surroundings, "towline_shape_part", 3, |arguments| {
        part(figure(arguments, 0)?, &arguments.text(2)?)
    })
}

fn part(mut figure: Figure, name: &str) -> Result<Value, SqlError> {
    let numbers = &figure.shape.numbers;
    Ok(match name {
        // An open path has none.
        "area" => figure.area().map_or(Value::Null, Value::Real),
        "length" => figure.length().map(Value::Real).ok_or_else(missing)?,
        "center" => {
            let (x, y) = figure.center().ok_or_else(missing)?;
            printed(&Figure::new(Oid::POINT, vec![x, y]))
        }
        "diameter" => Value::Real(2.0 * numbers[2]),
        "radius" => Value::Real(numbers[2]),
        "width" => Value::Real(numbers[0] - numbers[2]),
        "height" => Value::Real(numbers[1] - numbers[3]),
        "npoints" => Value::Integer((numbers.len() / 2) as i64),
        "isclosed" => Value::Integer(figure.shape.closed.into()),
        "isopen" => Value::Integer((!figure.shape.closed).into()),
        _ => {
            figure.shape.closed = name == "pclose";
            printed(&figure)
        }
    })
}
