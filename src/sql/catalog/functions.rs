//! Functions as `pg_proc` lists them: those that Towline has, with PostgreSQL's OIDs.

use std::sync::LazyLock;

use super::types::{data_lines, format_type};
use crate::pg::Oid;

/// A function's row in `pg_proc`.
#[derive(Debug)]
pub struct BuiltinFunction {
    pub oid: Oid,
    pub name: &'static str,
    /// `f` function, `a` aggregate, `w` window function.
    pub kind: &'static str,
    pub result: Oid,
    pub returns_set: bool,
    pub strict: bool,
    /// `i` immutable, `s` stable, `v` volatile.
    pub volatility: &'static str,
    /// How many of the arguments have defaults.
    pub defaults: i64,
    /// Element type of the last argument, if there may be many of it, else 0.
    pub variadic: Oid,
    pub arguments: Vec<Oid>,
}

static FUNCTIONS: LazyLock<Vec<BuiltinFunction>> =
    LazyLock::new(|| data_lines(include_str!("data/functions.txt")).map(parse).collect());

fn parse(line: &'static str) -> BuiltinFunction {
    let fields: Vec<_> = line.split('\t').collect();
    let oid = |text: &str| Oid(text.parse().expect("built-in table holds an OID"));
    BuiltinFunction {
        oid: oid(fields[0]),
        name: fields[1],
        kind: fields[2],
        result: oid(fields[3]),
        returns_set: fields[4] == "t",
        strict: fields[5] == "t",
        volatility: fields[6],
        defaults: fields[7].parse().expect("built-in table holds a number"),
        variadic: oid(fields[8]),
        arguments: fields[9].split_whitespace().map(oid).collect(),
    }
}

/// Every function that `pg_proc` lists.
pub fn builtin_functions() -> &'static [BuiltinFunction] {
    &FUNCTIONS
}

/// The function of this OID.
pub fn builtin_function(oid: Oid) -> Option<&'static BuiltinFunction> {
    FUNCTIONS.iter().find(|function| function.oid == oid)
}

impl BuiltinFunction {
    /// `pg_get_function_result(oid)`.
    pub fn printed_result(&self) -> String {
        let set = if self.returns_set { "SETOF " } else { "" };
        format!("{set}{}", format_type(self.result, None))
    }

    /// `pg_get_function_arguments(oid)`, without names, which the table lacks.
    pub fn printed_arguments(&self) -> String {
        let last = self.arguments.len().wrapping_sub(1);
        let printed = self.arguments.iter().enumerate().map(|(at, oid)| {
            let variadic = at == last && self.variadic != Oid(0);
            let prefix = if variadic { "VARIADIC " } else { "" };
            format!("{prefix}{}", format_type(*oid, None))
        });
        printed.collect::<Vec<_>>().join(", ")
    }
}

/// The rows of `pg_get_keywords()`, as a JSON array of arrays.
pub fn keywords() -> String {
    let rows = data_lines(include_str!("data/keywords.txt")).map(|line| {
        let mut fields = line.split(' ');
        let mut field = || fields.next().unwrap_or_default();
        let (word, category, label) = (field(), field(), field());
        let reserved = match category {
            "U" => "unreserved",
            "C" => "unreserved (cannot be function or type name)",
            "T" => "reserved (can be function or type name)",
            _ => "reserved",
        };
        let bare = if label == "t" { "can be bare label" } else { "requires AS" };
        format!(r#"["{word}","{category}","{label}","{reserved}","{bare}"]"#)
    });
    format!("[{}]", rows.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_print_as_in_postgresql() {
        let found = builtin_functions().iter().find(|function| function.name == "lower");
        let lower = found.expect("is listed");
        assert_eq!(lower.oid, Oid(870));
        assert_eq!(lower.printed_result(), "text");
        assert_eq!(lower.printed_arguments(), "text");
        assert_eq!(builtin_function(Oid(870)).map(|function| function.name), Some("lower"));
    }
}
