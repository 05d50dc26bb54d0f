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
//! | `towline_shape_at(a, type, place)` | `a[place]` |

use super::call::{Call, Registry};
use crate::log::Value;
use crate::pg::types::geometry::Shape;
use crate::pg::types::shapes::Figure;
use crate::pg::types::type_by_name;
use crate::pg::{Oid, SqlError, SqlState};

fn figure(call: &Call<'_, '_>, at: usize) -> Result<Figure, SqlError> {
    let oid = type_by_name(&call.text(at + 1)?).unwrap_or(Oid::POINT);
    let shape = Shape::parse(&call.text(at)?, oid)?;
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

pub(super) fn register(registry: Registry<'_>) -> rusqlite::Result<()> {
    type Test = fn(&Figure, &Figure) -> Option<bool>;
    let tests: [(&str, Test); 3] = [
        ("towline_shape_contains", Figure::contains),
        ("towline_shape_overlaps", Figure::overlaps),
        ("towline_shape_same", Figure::is_same),
    ];
    for (name, test) in tests {
        registry.strict(name, 4, move |call| truth(test(&figure(call, 0)?, &figure(call, 2)?)))?;
    }
    registry.strict("towline_shape_lies", 5, |call| {
        truth(figure(call, 0)?.lies(&call.text(4)?, &figure(call, 2)?))
    })?;
    registry.strict("towline_shape_compares", 5, |call| {
        truth(figure(call, 0)?.compares(&call.text(4)?, &figure(call, 2)?))
    })?;
    registry.strict("towline_shape_distance", 4, |call| {
        let distance = figure(call, 0)?.distance(&figure(call, 2)?);
        distance.map(Value::Real).ok_or_else(missing)
    })?;
    registry.strict("towline_shape_moved", 5, |call| {
        let by = figure(call, 2)?.shape.numbers;
        let op = call.text(4)?;
        let moved = figure(call, 0)?.moved(&op, (by[0], by[1]));
        moved.as_ref().map(printed).ok_or_else(|| match &*op {
            "/" => SqlError::new(SqlState::DIVISION_BY_ZERO, "division by zero"),
            _ => missing(),
        })
    })?;
    registry.strict("towline_shape_cast", 3, |call| {
        let to = type_by_name(&call.text(2)?).unwrap_or(Oid::POINT);
        let figure = figure(call, 0)?;
        figure.cast(to).as_ref().map(printed).ok_or_else(|| {
            let message = "open path cannot be converted to polygon";
            SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message)
        })
    })?;
    registry.strict("towline_shape_at", 3, |call| {
        let figure = figure(call, 0)?;
        let width = if matches!(figure.oid, Oid::POINT | Oid::LINE) { 1 } else { 2 };
        let place = usize::try_from(call.integer(2)?).ok();
        Ok(match place.and_then(|place| figure.shape.numbers.chunks(width).nth(place)) {
            Some([number]) => Value::Real(*number),
            Some([x, y]) => printed(&Figure::new(Oid::POINT, vec![*x, *y])),
            _ => Value::Null,
        })
    })?;
    registry.strict("towline_shape_part", 3, |call| part(figure(call, 0)?, &call.text(2)?))
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
