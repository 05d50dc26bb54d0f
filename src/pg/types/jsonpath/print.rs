//! Prints a path as PostgreSQL does.

use super::super::json::print_json_string;
use super::{Arithmetic, Chain, JsonPath, LEAVES, Node, RegexFlags};

pub(super) fn print(path: &JsonPath) -> String {
    let mut out = String::from(if path.strict { "strict " } else { "" });
    chain(&path.expression, true, &mut out);
    out
}

/// How tightly an operation binds.
fn priority(node: &Node) -> u8 {
    match node {
        Node::Or(..) => 0,
        Node::And(..) => 1,
        Node::Compare(..) | Node::StartsWith(..) => 2,
        Node::Arithmetic(Arithmetic::Add | Arithmetic::Subtract, ..) => 3,
        Node::Arithmetic(..) => 4,
        Node::Sign(..) => 5,
        _ => 6,
    }
}

/// An operand, in parentheses unless it binds more tightly than the operation.
fn operand(operand: &Chain, operation: &Node, out: &mut String) {
    let binds = operand.first().map_or(6, priority);
    chain(operand, binds <= priority(operation), out);
}

fn chain(nodes: &Chain, parentheses: bool, out: &mut String) {
    for (at, node) in nodes.iter().enumerate() {
        let followed = at + 1 < nodes.len();
        match node {
            Node::Number(number) if followed && at == 0 => {
                out.push('(');
                out.push_str(number);
                out.push(')');
            }
            _ => print_node(node, parentheses || at > 0, out),
        }
    }
}

fn binary(left: &Chain, symbol: &str, right: &Chain, operation: &Node, out: &mut String) {
    operand(left, operation, out);
    out.push(' ');
    out.push_str(symbol);
    out.push(' ');
    operand(right, operation, out);
}

fn print_node(node: &Node, parentheses: bool, out: &mut String) {
    let enclosed = parentheses
        && matches!(
            node,
            Node::Or(..)
                | Node::And(..)
                | Node::Compare(..)
                | Node::StartsWith(..)
                | Node::LikeRegex { .. }
                | Node::Arithmetic(..)
                | Node::Sign(..)
        );
    if enclosed {
        out.push('(');
    }
    match node {
        Node::Null => out.push_str("null"),
        Node::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Node::Number(number) => out.push_str(number),
        Node::Text(text) => print_json_string(text, out),
        Node::Variable(name) => {
            out.push('$');
            print_json_string(name, out);
        }
        Node::Root => out.push('$'),
        Node::Current => out.push('@'),
        Node::Last => out.push_str("last"),
        Node::Arithmetic(op, left, right) => binary(left, op.symbol(), right, node, out),
        Node::And(left, right) => binary(left, "&&", right, node, out),
        Node::Or(left, right) => binary(left, "||", right, node, out),
        Node::Compare(op, left, right) => binary(left, op.symbol(), right, node, out),
        Node::StartsWith(left, right) => binary(left, "starts with", right, node, out),
        Node::Sign(minus, value) => {
            out.push(if *minus { '-' } else { '+' });
            operand(value, node, out);
        }
        Node::LikeRegex { value, pattern, flags } => {
            operand(value, node, out);
            out.push_str(" like_regex ");
            print_json_string(pattern, out);
            print_flags(*flags, out);
        }
        Node::Not(test) => around("!(", test, ")", out),
        Node::IsUnknown(test) => around("(", test, ") is unknown", out),
        Node::Exists(value) => around("exists (", value, ")", out),
        Node::Filter(test) => around("?(", test, ")", out),
        Node::Key(name) => {
            out.push('.');
            print_json_string(name, out);
        }
        Node::AnyKey => out.push_str(".*"),
        Node::AnyElement => out.push_str("[*]"),
        Node::Subscripts(subscripts) => {
            out.push('[');
            for (at, (first, last)) in subscripts.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                chain(first, false, out);
                if let Some(last) = last {
                    out.push_str(" to ");
                    chain(last, false, out);
                }
            }
            out.push(']');
        }
        Node::Levels(first, last) => {
            let level =
                |level: u32| if level == LEAVES { "last".to_owned() } else { level.to_string() };
            out.push_str(&match (*first, *last) {
                (0, LEAVES) => ".**".to_owned(),
                (first, last) if first == last => format!(".**{{{}}}", level(first)),
                (first, last) => format!(".**{{{} to {}}}", level(first), level(last)),
            });
        }
        Node::Method(method) => {
            out.push('.');
            out.push_str(method.name());
            out.push_str("()");
        }
        Node::DateTime(template) => {
            out.push_str(".datetime(");
            if let Some(template) = template {
                print_json_string(template, out);
            }
            out.push(')');
        }
    }
    if enclosed {
        out.push(')');
    }
}

fn around(open: &str, inner: &Chain, close: &str, out: &mut String) {
    out.push_str(open);
    chain(inner, false, out);
    out.push_str(close);
}

fn print_flags(flags: RegexFlags, out: &mut String) {
    let letters: String = [
        (flags.ignore_case, 'i'),
        (flags.dot_matches_all, 's'),
        (flags.lines, 'm'),
        (flags.literal, 'q'),
    ]
    .into_iter()
    .filter_map(|(set, letter)| set.then_some(letter))
    .collect();
    if !letters.is_empty() {
        out.push_str(&format!(" flag \"{letters}\""));
    }
}
