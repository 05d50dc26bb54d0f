//! Expressions as PostgreSQL prints them: of checks, defaults, generated columns and
//! indexes. It prints what it has understood, not what was written: literals with their
//! types, the casts that were added, `IN` as `= ANY`. Tools that compare schemas compare
//! these texts.
//!
//! `understand` makes nodes of the parsed text, as far as `types` can tell what operators
//! and functions are over; `write` prints them (PostgreSQL's `ruleutils.c`). What is not
//! known for certain is `None`, and stays as it was written.

mod types;
mod understand;
mod write;

use super::{Catalog, Relation};
use crate::pg::Oid;
use crate::sql::translate::parse_whole_expression;

/// Where an expression stands.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) catalog: &'a Catalog,
    /// The table whose columns it names.
    pub(super) relation: Option<&'a Relation>,
    /// What VALUE is, in a domain's check.
    pub(super) value: Option<Oid>,
}

impl<'a> Place<'a> {
    /// Over a table's columns.
    pub(super) fn of_row(catalog: &'a Catalog, relation: &'a Relation) -> Self {
        Self { catalog, relation: Some(relation), value: None }
    }

    /// Prints what was written. An untyped literal is of type `wanted`.
    pub(super) fn printed(
        self,
        written: &str,
        wanted: Option<Oid>,
        pretty: bool,
    ) -> Option<String> {
        let node = self.node(&parse_whole_expression(written).ok()?)?;
        let node = match (&node.shape, wanted) {
            (Shape::Untyped(_), Some(oid)) => self.coerced(node, oid)?,
            _ => node,
        };
        Some(write::write(self.catalog, &node, pretty))
    }

    /// Prints a key of an index: what is no call stands in parentheses.
    pub(super) fn printed_key(self, written: &str, pretty: bool) -> Option<String> {
        let node = self.node(&parse_whole_expression(written).ok()?)?;
        let (node, collation) = match node.shape {
            Shape::Collate(of, collation) => (*of, format!(" COLLATE {collation}")),
            shape => (Node { shape, ..node }, String::new()),
        };
        let stands = matches!(
            node.shape,
            Shape::Name(_) | Shape::Call { .. } | Shape::Syntax(_) | Shape::Zone(_)
        );
        let text = write::write(self.catalog, &node, pretty);
        Some(if stands { text + &collation } else { format!("({text}){collation}") })
    }

    /// The type of what was written.
    pub(super) fn type_of(self, written: &str) -> Option<Oid> {
        self.node(&parse_whole_expression(written).ok()?).map(|node| node.oid)
    }

    fn column(self, node: &Node) -> Option<Oid> {
        match &node.shape {
            Shape::Name(name) => self.relation?.attribute(name).map(|found| found.oid),
            _ => None,
        }
    }
}

/// A part of an expression, with its type.
#[derive(Clone, Debug)]
struct Node {
    shape: Shape,
    oid: Oid,
    typmod: i32,
}

#[derive(Clone, Debug)]
enum Shape {
    /// A column, as it is quoted, or a word that is a value.
    Name(String),
    /// A literal of no type yet; NULL is `None`.
    Untyped(Option<String>),
    /// A literal, as its type prints it.
    Constant(Option<String>),
    /// `f(a, b)`, by the name as it is written; COALESCE and its kin too.
    Call {
        name: String,
        arguments: Vec<Node>,
    },
    /// A call that is written with words between its arguments.
    Syntax(Vec<Piece>),
    /// `a AT TIME ZONE b`.
    Zone(Box<[Node; 2]>),
    Unary(&'static str, Box<Node>),
    Binary(String, Box<[Node; 2]>),
    Boolean(Boolean, Vec<Node>),
    /// `a IS NULL` and kin, by what stands behind.
    Test(Box<Node>, &'static str),
    Distinct(Box<[Node; 2]>),
    /// `a = ANY (b)`, or ALL.
    Quantified {
        operator: String,
        word: &'static str,
        operands: Box<[Node; 2]>,
    },
    Cast {
        of: Box<Node>,
        implicit: bool,
    },
    Array(Vec<Node>),
    Subscript(Box<[Node; 2]>),
    Collate(Box<Node>, String),
    Case {
        operand: Option<Box<Node>>,
        whens: Vec<[Node; 2]>,
        otherwise: Box<Node>,
    },
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Boolean {
    And,
    Or,
    Not,
}

#[derive(Clone, Debug)]
enum Piece {
    Word(String),
    Of(Node),
}

impl Node {
    fn new(shape: Shape, oid: Oid) -> Self {
        Self { shape, oid, typmod: -1 }
    }

    fn boolean(shape: Shape) -> Self {
        Self::new(shape, Oid::BOOL)
    }

    fn is_untyped(&self) -> bool {
        matches!(self.shape, Shape::Untyped(_))
    }
}

#[cfg(test)]
mod tests;
