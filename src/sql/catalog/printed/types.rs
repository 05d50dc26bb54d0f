//! What literals, operators and functions are over: PostgreSQL's rules of implicit casts
//! and of choosing among namesakes, for the types that the tables here know.

use super::{Node, Place, Shape};
use crate::pg::Oid;
use crate::pg::types::{Display, Format, canonical_text, decode};
use crate::sql::catalog::functions::{BuiltinFunction, builtin_functions};
use crate::sql::catalog::types::builtin_type;
use crate::sql::catalog::{Catalog, UserTypeKind};

const ANY: Oid = Oid(2276);
const ANY_ARRAY: Oid = Oid(2277);
const ANY_ELEMENTS: [Oid; 2] = [Oid(2283), Oid(2776)];
const MOMENTS: [Oid; 3] = [Oid::DATE, Oid::TIMESTAMP, Oid::TIMESTAMPTZ];
const INTEGERS: [Oid; 3] = [Oid::INT2, Oid::INT4, Oid::INT8];
/// From the narrowest.
const NUMBERS: [Oid; 6] = [Oid::INT2, Oid::INT4, Oid::INT8, Oid::NUMERIC, Oid::FLOAT4, Oid::FLOAT8];
const COMPARISONS: [&str; 6] = ["=", "<>", "<", ">", "<=", ">="];

fn is_float(oid: Oid) -> bool {
    matches!(oid, Oid::FLOAT4 | Oid::FLOAT8)
}

/// Whether a value of one type is taken for one of another by itself.
fn is_implicit(from: Oid, to: Oid) -> bool {
    let place = |oid| NUMBERS.iter().position(|number| *number == oid);
    if let (Some(from), Some(to)) = (place(from), place(to)) {
        return from < to;
    }
    matches!(
        (from, to),
        (Oid::VARCHAR | Oid::BPCHAR | Oid::NAME, Oid::TEXT)
            | (Oid::TEXT | Oid::BPCHAR, Oid::VARCHAR)
            | (Oid::TEXT | Oid::VARCHAR, Oid::BPCHAR)
            | (Oid::DATE, Oid::TIMESTAMP | Oid::TIMESTAMPTZ)
            | (Oid::TIMESTAMP, Oid::TIMESTAMPTZ)
            | (Oid::TIME, Oid::INTERVAL)
    )
}

/// Whether PostgreSQL casts by a function, not by relabelling or by the text.
pub(super) fn is_function_cast(from: &Node, to: &Node) -> bool {
    let is_text = |oid| matches!(oid, Oid::TEXT | Oid::VARCHAR);
    let is_array = |oid| builtin_type(oid).is_some_and(|kind| kind.is_array());
    match (from.oid, to.oid) {
        (from_oid, oid) if from_oid == oid => to.typmod >= 0,
        (_, oid) if is_array(oid) => false,
        (Oid::BPCHAR, oid) => is_text(oid),
        (from_oid, oid) => !is_text(from_oid) && !is_text(oid),
    }
}

fn element_of(oid: Oid) -> Option<Oid> {
    builtin_type(oid).filter(|kind| kind.is_array()).map(|kind| kind.element)
}

pub(super) fn array_of(oid: Oid) -> Option<Oid> {
    builtin_type(oid).map(|kind| kind.array).filter(|array| array.0 != 0)
}

fn category(oid: Oid) -> Option<&'static str> {
    builtin_type(oid).map(|kind| kind.category)
}

fn is_preferred(oid: Oid) -> bool {
    builtin_type(oid).is_some_and(|kind| kind.preferred)
}

/// A literal as values of the type are printed.
fn constant(catalog: &Catalog, text: &str, oid: Oid) -> Option<String> {
    if let Some(kind) = catalog.user_type(oid) {
        let is_label = matches!(&kind.kind, UserTypeKind::Enum(labels)
            if kind.oid == oid && labels.iter().any(|label| label == text));
        return is_label.then(|| text.to_owned());
    }
    // Words as `now` are a moment already, and a zone depends on the session.
    let has_words = MOMENTS.contains(&oid) && text.contains(char::is_alphabetic);
    if has_words || oid == Oid::TIMESTAMPTZ {
        return None;
    }
    if oid == Oid::BOOL {
        let value = decode(text.as_bytes(), oid, Format::Text, &Display::default()).ok()?;
        return Some((value == crate::log::Value::Integer(1)).to_string());
    }
    let value = decode(text.as_bytes(), oid, Format::Text, &Display::default()).ok()?;
    canonical_text(&value, oid).ok()
}

impl Place<'_> {
    /// The node as one of the type under its domain.
    fn based(self, node: Node) -> Node {
        match self.catalog.domain_base(node.oid) {
            Some((base, _)) if !node.is_untyped() => {
                Node::new(Shape::Cast { of: Box::new(node), implicit: true }, base)
            }
            _ => node,
        }
    }

    /// The node as one of type `oid`, by a cast that needs no word of the client's.
    pub(super) fn coerced(self, node: Node, oid: Oid) -> Option<Node> {
        if node.oid == oid && !node.is_untyped() {
            return Some(node);
        }
        if let Shape::Untyped(text) = &node.shape {
            let text = match text {
                Some(text) => Some(constant(self.catalog, text, oid)?),
                None => None,
            };
            return Some(Node::new(Shape::Constant(text), oid));
        }
        let node = self.based(node);
        if node.oid == oid {
            return Some(node);
        }
        let implicit = match (element_of(node.oid), element_of(oid)) {
            (Some(from), Some(to)) => is_implicit(from, to),
            _ => is_implicit(node.oid, oid),
        };
        implicit.then(|| Node::new(Shape::Cast { of: Box::new(node), implicit: true }, oid))
    }

    /// The type that all nodes are taken for.
    pub(super) fn common_type(self, nodes: &[&Node]) -> Option<Oid> {
        let mut common = None;
        for node in nodes.iter().filter(|node| !node.is_untyped()) {
            let oid = self.catalog.domain_base(node.oid).map_or(node.oid, |(base, _)| base);
            common = match common {
                None => Some(oid),
                Some(known) if known == oid => Some(known),
                Some(known) if category(known) != category(oid) => return None,
                Some(known)
                    if !is_preferred(known)
                        && is_implicit(known, oid)
                        && !is_implicit(oid, known) =>
                {
                    Some(oid)
                }
                known => known,
            };
        }
        Some(common.unwrap_or(Oid::TEXT))
    }

    /// An operator between two operands, with the casts that it needs.
    pub(super) fn binary(self, operator: &str, left: Node, right: Node) -> Option<Node> {
        let (left, right, oid) = self.operands(operator, left, right)?;
        let operands = Box::new([left, right]);
        Some(Node::new(Shape::Binary(operator.to_owned(), operands), oid))
    }

    /// The operands with their casts, and the type of the result.
    pub(super) fn operands(
        self,
        operator: &str,
        left: Node,
        right: Node,
    ) -> Option<(Node, Node, Oid)> {
        let (left, right) = (self.based(left), self.based(right));
        let both = |oid: Oid, left: Node, right: Node| {
            Some((self.coerced(left, oid)?, self.coerced(right, oid)?))
        };
        let is_text = |node: &Node| matches!(node.oid, Oid::TEXT | Oid::VARCHAR);
        match operator {
            "~~" | "!~~" | "~~*" | "!~~*" | "~" | "!~" | "~*" | "!~*" => {
                let keeps = matches!(left.oid, Oid::BPCHAR | Oid::NAME) && !left.is_untyped();
                let left = if keeps { left } else { self.coerced(left, Oid::TEXT)? };
                return Some((left, self.coerced(right, Oid::TEXT)?, Oid::BOOL));
            }
            "->" | "->>" if matches!(left.oid, Oid::JSON | Oid::JSONB) => {
                let result = if operator == "->" { left.oid } else { Oid::TEXT };
                let key = if right.oid == Oid::INT4 { Oid::INT4 } else { Oid::TEXT };
                return Some((left, self.coerced(right, key)?, result));
            }
            "#>" | "#>>" if matches!(left.oid, Oid::JSON | Oid::JSONB) => {
                let result = if operator == "#>" { left.oid } else { Oid::TEXT };
                return Some((left, self.coerced(right, array_of(Oid::TEXT)?)?, result));
            }
            "?" if left.oid == Oid::JSONB => {
                return Some((left, self.coerced(right, Oid::TEXT)?, Oid::BOOL));
            }
            "?|" | "?&" if left.oid == Oid::JSONB => {
                return Some((left, self.coerced(right, array_of(Oid::TEXT)?)?, Oid::BOOL));
            }
            "@>" | "<@" | "&&" => {
                let oid = if left.is_untyped() { right.oid } else { left.oid };
                let known = oid == Oid::JSONB && operator != "&&" || element_of(oid).is_some();
                let (left, right) = known.then(|| both(oid, left, right))??;
                return Some((left, right, Oid::BOOL));
            }
            "||" => {
                let texts = |node: &Node| node.is_untyped() || is_text(node);
                if texts(&left) && texts(&right) {
                    let (left, right) = both(Oid::TEXT, left, right)?;
                    return Some((left, right, Oid::TEXT));
                }
                let jsonb = left.oid == Oid::JSONB || right.oid == Oid::JSONB;
                let (left, right) = jsonb.then(|| both(Oid::JSONB, left, right))??;
                return Some((left, right, Oid::JSONB));
            }
            _ => {}
        }
        let compares = COMPARISONS.contains(&operator);
        if !compares && !matches!(operator, "+" | "-" | "*" | "/" | "%") {
            return None;
        }
        if !compares && let Some(oid) = time_arithmetic(operator, left.oid, right.oid) {
            return Some((left, right, oid));
        }
        let (left, right) = self.alike(left, right)?;
        if compares {
            return is_ordered(self.catalog, left.oid).then_some((left, right, Oid::BOOL));
        }
        let wider = |oid: Oid| NUMBERS.iter().position(|number| *number == oid);
        let (first, second) = (wider(left.oid)?, wider(right.oid)?);
        let mut oid = NUMBERS[first.max(second)];
        if is_float(oid) && operator == "%" {
            return None;
        }
        if left.oid != right.oid && is_float(oid) {
            oid = Oid::FLOAT8;
        }
        Some((left, right, oid))
    }

    /// Two operands as there are operators between them.
    fn alike(self, left: Node, right: Node) -> Option<(Node, Node)> {
        let known = match (left.is_untyped(), right.is_untyped()) {
            (true, true) => Oid::TEXT,
            (true, false) => right.oid,
            (false, true) => left.oid,
            (false, false) => return self.cast_alike(left, right),
        };
        let oid = if known == Oid::VARCHAR { Oid::TEXT } else { known };
        Some((self.coerced(left, oid)?, self.coerced(right, oid)?))
    }

    fn cast_alike(self, left: Node, right: Node) -> Option<(Node, Node)> {
        let all = |set: &[Oid]| set.contains(&left.oid) && set.contains(&right.oid);
        let floats = is_float(left.oid) && is_float(right.oid);
        if all(&INTEGERS) || all(&MOMENTS) || floats {
            return Some((left, right));
        }
        if all(&NUMBERS) {
            if is_float(left.oid) {
                return Some((left, self.coerced(right, Oid::FLOAT8)?));
            }
            if is_float(right.oid) {
                return Some((self.coerced(left, Oid::FLOAT8)?, right));
            }
            return Some((self.coerced(left, Oid::NUMERIC)?, self.coerced(right, Oid::NUMERIC)?));
        }
        if all(&[Oid::TEXT, Oid::NAME]) && left.oid != right.oid {
            return Some((left, right));
        }
        if all(&[Oid::TEXT, Oid::VARCHAR])
            || all(&[Oid::TEXT, Oid::BPCHAR]) && left.oid != right.oid
        {
            return Some((self.coerced(left, Oid::TEXT)?, self.coerced(right, Oid::TEXT)?));
        }
        (left.oid == right.oid).then_some((left, right))
    }

    /// A call of the function that PostgreSQL would choose.
    pub(super) fn call(self, name: &str, arguments: Vec<Node>) -> Option<(Vec<Node>, Oid)> {
        let arguments: Vec<Node> = arguments.into_iter().map(|node| self.based(node)).collect();
        let named = builtin_functions().iter().filter(|function| function.name == name);
        let fitting: Vec<Candidate> =
            named.filter_map(|function| Candidate::new(function, &arguments)).collect();
        let chosen = chosen(fitting, &arguments)?;
        let function = chosen.function;
        if function.kind != "f" || function.returns_set {
            return None;
        }
        if builtin_type(function.result).is_none_or(|kind| kind.kind == "p") {
            return None;
        }
        let pairs = arguments.into_iter().zip(&chosen.over);
        let coerced = pairs.map(|(node, oid)| match *oid {
            ANY | ANY_ARRAY => Some(node),
            oid if ANY_ELEMENTS.contains(&oid) => Some(node).filter(|node| !node.is_untyped()),
            oid => self.coerced(node, oid),
        });
        Some((coerced.collect::<Option<_>>()?, function.result))
    }
}

/// A function that a call may mean, and what it takes each argument for.
struct Candidate {
    function: &'static BuiltinFunction,
    over: Vec<Oid>,
}

impl Candidate {
    fn new(function: &'static BuiltinFunction, arguments: &[Node]) -> Option<Self> {
        let mut over = function.arguments.clone();
        if function.variadic.0 != 0 && arguments.len() >= over.len() {
            over.pop();
            over.resize(arguments.len(), function.variadic);
        }
        let least = over.len().checked_sub(usize::try_from(function.defaults).ok()?)?;
        if !(least..=over.len()).contains(&arguments.len()) {
            return None;
        }
        let takes = |(node, oid): (&Node, &Oid)| {
            let is_any = *oid == ANY || ANY_ELEMENTS.contains(oid);
            let is_array = *oid == ANY_ARRAY && element_of(node.oid).is_some();
            is_any
                || is_array
                || node.is_untyped()
                || node.oid == *oid
                || is_implicit(node.oid, *oid)
        };
        arguments.iter().zip(&over).all(takes).then_some(Self { function, over })
    }

    fn count(&self, arguments: &[Node], fits: Fits) -> usize {
        arguments.iter().zip(&self.over).filter(|(node, oid)| fits(node, **oid)).count()
    }
}

/// Whether an argument fits a parameter.
type Fits = fn(&Node, Oid) -> bool;

fn is_exact(node: &Node, oid: Oid) -> bool {
    !node.is_untyped() && node.oid == oid
}

fn is_exact_or_preferred(node: &Node, oid: Oid) -> bool {
    let is_alike = category(node.oid) == category(oid) && is_preferred(oid);
    is_exact(node, oid) || !node.is_untyped() && is_alike
}

fn is_text_for_untyped(node: &Node, oid: Oid) -> bool {
    node.is_untyped() && oid == Oid::TEXT
}

/// The one that fits best: by exact types, then by preferred ones, then by those that take
/// an untyped literal for a text.
fn chosen(mut fitting: Vec<Candidate>, arguments: &[Node]) -> Option<Candidate> {
    let rules: [Fits; 3] = [is_exact, is_exact_or_preferred, is_text_for_untyped];
    for rule in rules {
        let best = fitting.iter().map(|one| one.count(arguments, rule)).max()?;
        fitting.retain(|one| one.count(arguments, rule) == best);
    }
    let only = fitting.pop()?;
    fitting.is_empty().then_some(only)
}

/// What arithmetic on moments gives, where both operands are taken as they are.
fn time_arithmetic(operator: &str, left: Oid, right: Oid) -> Option<Oid> {
    Some(match (left, operator, right) {
        (Oid::DATE, "+" | "-", Oid::INT4) | (Oid::INT4, "+", Oid::DATE) => Oid::DATE,
        (Oid::DATE, "-", Oid::DATE) => Oid::INT4,
        (Oid::DATE, "+" | "-", Oid::INTERVAL) => Oid::TIMESTAMP,
        (Oid::TIMESTAMP | Oid::TIMESTAMPTZ | Oid::TIME, "+" | "-", Oid::INTERVAL) => left,
        (Oid::INTERVAL, "+" | "-", Oid::INTERVAL) => Oid::INTERVAL,
        (Oid::TIMESTAMP, "-", Oid::TIMESTAMP) => Oid::INTERVAL,
        (Oid::TIMESTAMPTZ, "-", Oid::TIMESTAMPTZ) => Oid::INTERVAL,
        _ => return None,
    })
}

/// Whether values of the type are compared by operators of its own.
fn is_ordered(catalog: &Catalog, oid: Oid) -> bool {
    let is_enum =
        || catalog.user_type(oid).is_some_and(|kind| matches!(kind.kind, UserTypeKind::Enum(_)));
    match builtin_type(oid) {
        Some(kind) => {
            oid != Oid::JSON
                && matches!(kind.category, "A" | "B" | "D" | "I" | "N" | "S" | "T" | "U")
        }
        None => is_enum(),
    }
}
