//! Operators, functions and casts of the geometric types.

use sqlparser::ast::UnaryOperator;

use super::{Translator, Typed, names};
use crate::pg::types::type_info;
use crate::pg::{Oid, SqlError};
use crate::sql::types::{self, Family, Type, family};

/// A value and its type's name, as the functions take them.
fn argument(typed: &Typed) -> String {
    format!("{}, {}", typed.sql, names::quote_literal(&types::internal_name(typed.oid())))
}

/// Whether the type has an operator with the other.
fn has(op: &str, left: Oid, right: Oid) -> bool {
    let same = left == right;
    match op {
        "@>" => matches!(
            (left, right),
            (Oid::BOX, Oid::POINT | Oid::LSEG | Oid::BOX)
                | (Oid::CIRCLE, Oid::POINT | Oid::CIRCLE)
                | (Oid::PATH | Oid::POLYGON | Oid::LSEG | Oid::LINE, Oid::POINT)
        ),
        "&&" => same && matches!(left, Oid::BOX | Oid::CIRCLE | Oid::POLYGON),
        "~=" => same && matches!(left, Oid::POINT | Oid::BOX | Oid::CIRCLE | Oid::POLYGON),
        "<<" | ">>" | "<<|" | "|>>" => {
            same && matches!(left, Oid::POINT | Oid::BOX | Oid::CIRCLE | Oid::POLYGON)
        }
        "&<" | "&>" | "&<|" | "|&>" => {
            same && matches!(left, Oid::BOX | Oid::CIRCLE | Oid::POLYGON)
        }
        "=" | "<" | ">" | "<=" | ">=" => {
            same && matches!(left, Oid::BOX | Oid::CIRCLE | Oid::LSEG | Oid::PATH)
        }
        "<>" => same && matches!(left, Oid::CIRCLE | Oid::LSEG),
        "<->" => matches!(
            (left, right),
            (Oid::POINT, _)
                | (_, Oid::POINT)
                | (Oid::BOX, Oid::BOX | Oid::LSEG)
                | (Oid::LSEG, Oid::BOX | Oid::LSEG | Oid::LINE)
                | (Oid::LINE, Oid::LSEG)
                | (Oid::CIRCLE, Oid::CIRCLE | Oid::POLYGON)
                | (Oid::POLYGON, Oid::CIRCLE)
                | (Oid::PATH, Oid::PATH)
        ),
        "+" | "-" | "*" | "/" => {
            right == Oid::POINT && matches!(left, Oid::POINT | Oid::BOX | Oid::CIRCLE | Oid::PATH)
        }
        _ => false,
    }
}

/// The number or point at a place, from 0 on, of a shape that has such.
pub(super) fn shape_at(shape: &Typed, index: &str) -> Option<Typed> {
    let part = type_info(shape.oid()).filter(|info| info.category == 'G')?.element;
    let sql = format!("towline_shape_at({}, {index})", argument(shape));
    (part != Oid::UNSPECIFIED).then(|| Typed::plain(sql, part))
}

impl Translator<'_> {
    /// `left op right`; `None` if there is no such operator.
    pub(super) fn shape_operator(
        &mut self,
        left: Typed,
        op: &str,
        right: Typed,
    ) -> Result<Option<Typed>, SqlError> {
        let (left, op, right) = if op == "<@" { (right, "@>", left) } else { (left, op, right) };
        // An untyped side is taken for what the other is; a cast says otherwise.
        let left = match left.is_unknown() {
            true => self.coerce(left, Type::plain(right.oid()))?,
            false => left,
        };
        let right = match right.is_unknown() {
            true => self.coerce(right, Type::plain(left.oid()))?,
            false => right,
        };
        let geometric = |typed: &Typed| family(typed.oid()) == Family::Geometric;
        if !geometric(&left) || !geometric(&right) || !has(op, left.oid(), right.oid()) {
            return Ok(None);
        }
        let both = format!("{}, {}", argument(&left), argument(&right));
        let quoted = names::quote_literal(op);
        let (sql, oid) = match op {
            "@>" => (format!("towline_shape_contains({both})"), Oid::BOOL),
            "&&" => (format!("towline_shape_overlaps({both})"), Oid::BOOL),
            "~=" => (format!("towline_shape_same({both})"), Oid::BOOL),
            "<->" => (format!("towline_shape_distance({both})"), Oid::FLOAT8),
            "+" | "-" | "*" | "/" => (format!("towline_shape_moved({both}, {quoted})"), left.oid()),
            "=" | "<>" | "<" | ">" | "<=" | ">=" => {
                (format!("towline_shape_compares({both}, {quoted})"), Oid::BOOL)
            }
            _ => (format!("towline_shape_lies({both}, {quoted})"), Oid::BOOL),
        };
        Ok(Some(Typed::plain(sql, oid)))
    }

    /// `@@ shape`, `@-@ shape`, `# shape`.
    pub(super) fn shape_unary(op: UnaryOperator, shape: &Typed) -> Option<Typed> {
        let name = match op.to_string().as_str() {
            "@@" => "center",
            "@-@" => "length",
            "#" => "npoints",
            _ => return None,
        };
        shape_part(name, shape)
    }

    /// A call of a function that the types have.
    pub(super) fn shape_call(name: &str, arguments: &[Typed]) -> Option<Typed> {
        match arguments {
            [shape] if family(shape.oid()) == Family::Geometric => {
                let to = types::by_name(name).filter(|oid| family(*oid) == Family::Geometric);
                match to {
                    Some(to) => shape_cast(shape, to),
                    None => shape_part(name, shape),
                }
            }
            _ => None,
        }
    }
}

/// `shape::to`.
pub(super) fn shape_cast(shape: &Typed, to: Oid) -> Option<Typed> {
    let known = matches!(
        (shape.oid(), to),
        (Oid::BOX | Oid::CIRCLE | Oid::LSEG | Oid::POLYGON, Oid::POINT)
            | (Oid::BOX, Oid::LSEG | Oid::POLYGON | Oid::CIRCLE)
            | (Oid::POINT | Oid::CIRCLE, Oid::BOX)
            | (Oid::POLYGON, Oid::BOX | Oid::PATH | Oid::CIRCLE)
            | (Oid::PATH, Oid::POLYGON)
    );
    let name = names::quote_literal(&types::internal_name(to));
    known.then(|| Typed::plain(format!("towline_shape_cast({}, {name})", argument(shape)), to))
}

fn shape_part(name: &str, shape: &Typed) -> Option<Typed> {
    let oid = match (name, shape.oid()) {
        ("area", Oid::BOX | Oid::CIRCLE | Oid::PATH)
        | ("length", Oid::LSEG | Oid::PATH)
        | ("diameter" | "radius", Oid::CIRCLE)
        | ("width" | "height", Oid::BOX) => Oid::FLOAT8,
        ("center", Oid::BOX | Oid::CIRCLE | Oid::LSEG | Oid::POLYGON) => Oid::POINT,
        ("npoints", Oid::PATH | Oid::POLYGON) => Oid::INT4,
        ("isclosed" | "isopen", Oid::PATH) => Oid::BOOL,
        ("pclose" | "popen", Oid::PATH) => Oid::PATH,
        _ => return None,
    };
    let name = names::quote_literal(name);
    Some(Typed::plain(format!("towline_shape_part({}, {name})", argument(shape)), oid))
}
