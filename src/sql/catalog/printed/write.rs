//! Nodes into text: `get_rule_expr` and `isSimpleNode` of PostgreSQL's `ruleutils.c`.

use super::types::is_function_cast;
use super::{Boolean, Node, Piece, Shape};
use crate::pg::Oid;
use crate::sql::catalog::Catalog;

const INDENT: usize = 4;

/// Prints a node; `pretty` leaves out parentheses where the order is plain.
pub(super) fn write(catalog: &Catalog, node: &Node, pretty: bool) -> String {
    let mut writer = Writer { catalog, pretty, indent: 0, out: String::new() };
    writer.node(node, false);
    writer.out
}

/// What a node stands in, as far as its parentheses depend on it.
#[derive(Clone, Copy)]
enum Parent<'a> {
    Operator {
        name: &'a str,
        is_first: bool,
    },
    Boolean(Boolean),
    /// Words or a cast's `::` around.
    Open,
}

struct Writer<'a> {
    catalog: &'a Catalog,
    pretty: bool,
    indent: usize,
    out: String,
}

/// + and - are -1, the operators that bind tighter 1; all others have no known priority.
fn priority(operator: &str) -> Option<i8> {
    match operator {
        "+" | "-" => Some(-1),
        "*" | "/" | "%" => Some(1),
        _ => None,
    }
}

fn is_simple(node: &Node, parent: Parent<'_>) -> bool {
    let within = matches!(parent, Parent::Boolean(_));
    match &node.shape {
        Shape::Name(_)
        | Shape::Untyped(_)
        | Shape::Constant(_)
        | Shape::Call { .. }
        | Shape::Syntax(_)
        | Shape::Zone(_)
        | Shape::Array(_)
        | Shape::Subscript(_)
        | Shape::Case { .. } => true,
        Shape::Cast { of, .. } => is_function_cast(of, node) || is_simple(of, Parent::Open),
        Shape::Unary(..) | Shape::Test(..) | Shape::Distinct(_) => within,
        Shape::Binary(name, _) => match parent {
            Parent::Operator { name: outer, is_first } => match (priority(name), priority(outer)) {
                (Some(inner), Some(outer)) => inner > outer || inner == outer && is_first,
                _ => false,
            },
            _ => within,
        },
        Shape::Boolean(kind, _) => match parent {
            Parent::Boolean(Boolean::Or) => true,
            Parent::Boolean(Boolean::And) => *kind != Boolean::Or,
            _ => false,
        },
        Shape::Quantified { .. } | Shape::Collate(..) => false,
    }
}

impl Writer<'_> {
    fn push(&mut self, text: &str) {
        self.out.push_str(text);
    }

    /// Around what is no word and no call.
    fn enclosed(&mut self, write: impl FnOnce(&mut Self)) {
        let bare = self.pretty;
        if !bare {
            self.push("(");
        }
        write(self);
        if !bare {
            self.push(")");
        }
    }

    /// A node inside another.
    fn part(&mut self, node: &Node, parent: Parent<'_>, implicit: bool) {
        let enclose = self.pretty && !is_simple(node, parent);
        if enclose {
            self.push("(");
        }
        self.node(node, implicit);
        if enclose {
            self.push(")");
        }
    }

    fn list(&mut self, nodes: &[Node]) {
        for (at, node) in nodes.iter().enumerate() {
            if at > 0 {
                self.push(", ");
            }
            self.node(node, true);
        }
    }

    fn operand(&mut self, node: &Node, name: &str, is_first: bool) {
        self.part(node, Parent::Operator { name, is_first }, true);
    }

    /// Prints a node; of a cast that was added only what it is of, unless `implicit`.
    fn node(&mut self, node: &Node, implicit: bool) {
        match &node.shape {
            Shape::Name(name) => self.push(name),
            Shape::Untyped(text) => match text {
                Some(text) => self.push(&quoted(text)),
                None => self.push("NULL"),
            },
            Shape::Constant(text) => self.constant(text.as_deref(), node.oid),
            Shape::Call { name, arguments, .. } => {
                self.push(name);
                self.push("(");
                self.list(arguments);
                self.push(")");
            }
            Shape::Syntax(pieces) => {
                for piece in pieces {
                    match piece {
                        Piece::Word(word) => self.push(word),
                        Piece::Of(node) => self.node(node, false),
                    }
                }
            }
            Shape::Zone(operands) => {
                self.push("(");
                self.part(&operands[0], Parent::Open, false);
                self.push(" AT TIME ZONE ");
                self.part(&operands[1], Parent::Open, false);
                self.push(")");
            }
            Shape::Unary(operator, of) => self.enclosed(|this| {
                this.push(operator);
                this.push(" ");
                this.operand(of, "", true);
            }),
            Shape::Binary(operator, operands) => self.enclosed(|this| {
                this.operand(&operands[0], operator, true);
                this.push(&format!(" {operator} "));
                this.operand(&operands[1], operator, false);
            }),
            Shape::Boolean(kind, nodes) => self.enclosed(|this| this.boolean(*kind, nodes)),
            Shape::Test(of, test) => self.enclosed(|this| {
                this.part(of, Parent::Open, test.ends_with("NULL"));
                this.push(&format!(" {test}"));
            }),
            Shape::Distinct(operands) => self.enclosed(|this| {
                this.part(&operands[0], Parent::Open, true);
                this.push(" IS DISTINCT FROM ");
                this.part(&operands[1], Parent::Open, true);
            }),
            Shape::Quantified { operator, word, operands } => self.enclosed(|this| {
                this.part(&operands[0], Parent::Open, true);
                this.push(&format!(" {operator} {word} ("));
                this.part(&operands[1], Parent::Open, true);
                this.push(")");
            }),
            Shape::Cast { of, implicit: added } => {
                if *added && !implicit {
                    self.part(of, Parent::Open, false);
                } else {
                    self.cast(of, node);
                }
            }
            Shape::Array(elements) => {
                self.push("ARRAY[");
                self.list(elements);
                self.push("]");
            }
            Shape::Subscript(parts) => {
                let bare = matches!(parts[0].shape, Shape::Name(_));
                self.push(if bare { "" } else { "(" });
                self.node(&parts[0], true);
                self.push(if bare { "[" } else { ")[" });
                self.node(&parts[1], false);
                self.push("]");
            }
            Shape::Collate(of, collation) => self.enclosed(|this| {
                this.part(of, Parent::Open, implicit);
                this.push(&format!(" COLLATE {collation}"));
            }),
            Shape::Case { operand, whens, otherwise } => {
                self.case(operand.as_deref(), whens, otherwise);
            }
        }
    }

    fn boolean(&mut self, kind: Boolean, nodes: &[Node]) {
        let word = match kind {
            Boolean::Not => {
                self.push("NOT ");
                ""
            }
            Boolean::And => " AND ",
            Boolean::Or => " OR ",
        };
        for (at, node) in nodes.iter().enumerate() {
            if at > 0 {
                self.push(word);
            }
            self.part(node, Parent::Boolean(kind), false);
        }
    }

    fn cast(&mut self, of: &Node, cast: &Node) {
        if let (Shape::Constant(text), true) = (&of.shape, of.oid == cast.oid) {
            self.literal(text.as_deref(), of.oid);
        } else {
            self.enclosed(|this| this.part(of, Parent::Open, false));
        }
        self.label(cast.oid, cast.typmod);
    }

    fn label(&mut self, oid: Oid, typmod: i32) {
        let name = self.catalog.format_type(oid, Some(typmod));
        self.push(&format!("::{name}"));
    }

    /// A literal with its type, unless the parser would take it for that by itself.
    fn constant(&mut self, text: Option<&str>, oid: Oid) {
        if !self.literal(text, oid) {
            self.label(oid, -1);
        }
    }

    /// A literal; whether it tells its type.
    fn literal(&mut self, text: Option<&str>, oid: Oid) -> bool {
        let Some(text) = text else {
            self.push("NULL");
            return false;
        };
        let is_number = text.starts_with(|char: char| char.is_ascii_digit());
        let is_bare = match oid {
            Oid::BOOL => true,
            Oid::INT4 => is_number,
            Oid::NUMERIC => is_number && text.contains(['.', 'e', 'E']),
            _ => false,
        };
        if is_bare {
            self.push(text);
        } else {
            self.push(&quoted(text));
        }
        is_bare
    }

    fn line(&mut self, text: &str) {
        let end = self.out.trim_end_matches(' ').len();
        self.out.truncate(end);
        self.out.push('\n');
        self.out.push_str(&" ".repeat(self.indent));
        self.out.push_str(text);
    }

    fn case(&mut self, operand: Option<&Node>, whens: &[[Node; 2]], otherwise: &Node) {
        self.line("CASE");
        self.indent += INDENT;
        if let Some(operand) = operand {
            self.push(" ");
            self.node(operand, true);
        }
        for [condition, result] in whens {
            self.line("WHEN ");
            self.node(condition, false);
            self.push(" THEN ");
            self.node(result, true);
        }
        self.line("ELSE ");
        self.node(otherwise, true);
        self.indent -= INDENT;
        self.line("END");
    }
}

/// As the deparser writes strings, under `standard_conforming_strings`.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
