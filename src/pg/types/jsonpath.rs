//! The type `jsonpath`: SQL/JSON path expressions, kept as PostgreSQL prints them.
//!
//! ```text
//! path      = [strict | lax] or
//! or        = and { || and }            and  = not { && not }
//! not       = ! ( or ) | ! exists ( or ) | test
//! test      = sum [compare sum | starts with string | like_regex string [flag string]]
//!           | ( or ) is unknown
//! sum       = product { + | - product } product = sign { * | / | % sign }
//! sign      = + sign | - sign | primary { accessor }
//! primary   = literal | $ | @ | last | $name | exists ( or ) | ( or )
//! accessor  = . key | . * | . ** [{levels}] | [*] | [subscripts] | . method ( ) | ? ( or )
//! ```
//!
//! Tests are no values: they stand where a condition is wanted, and at the top.

mod parse;
mod print;

use std::fmt;

pub use parse::parse;

/// A path expression.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPath {
    /// Absent members and elements are errors, and nothing is unwrapped.
    pub strict: bool,
    pub expression: Chain,
}

/// A value, and what is applied to it in turn.
pub type Chain = Vec<Node>;

#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    Null,
    Bool(bool),
    /// As numeric prints it.
    Number(String),
    Text(String),
    Variable(String),
    /// `$`
    Root,
    /// `@`: what a filter tests.
    Current,
    /// The last subscript of the innermost array.
    Last,
    Arithmetic(Arithmetic, Chain, Chain),
    /// A sign; true: minus.
    Sign(bool, Chain),
    And(Chain, Chain),
    Or(Chain, Chain),
    Not(Chain),
    Compare(Comparison, Chain, Chain),
    StartsWith(Chain, Chain),
    LikeRegex {
        value: Chain,
        pattern: String,
        flags: RegexFlags,
    },
    IsUnknown(Chain),
    Exists(Chain),
    Key(String),
    AnyKey,
    AnyElement,
    /// First, and last of a range.
    Subscripts(Vec<(Chain, Option<Chain>)>),
    /// `**{first to last}`; [`LEAVES`]: `last`.
    Levels(u32, u32),
    Filter(Chain),
    Method(Method),
    /// `.datetime([template])`
    DateTime(Option<String>),
}

/// The level of the values that have none below, and of all that there are.
pub const LEAVES: u32 = u32::MAX;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Method {
    Abs,
    Ceiling,
    Double,
    Floor,
    KeyValue,
    Size,
    Type,
}

/// XQuery's flags of a regular expression.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RegexFlags {
    pub ignore_case: bool,
    pub dot_matches_all: bool,
    pub lines: bool,
    pub literal: bool,
}

impl Node {
    /// Whether it is a test, which gives no value but true, false or unknown.
    pub fn is_test(&self) -> bool {
        matches!(
            self,
            Self::And(..)
                | Self::Or(..)
                | Self::Not(_)
                | Self::Compare(..)
                | Self::StartsWith(..)
                | Self::LikeRegex { .. }
                | Self::IsUnknown(_)
                | Self::Exists(_)
        )
    }
}

impl Arithmetic {
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
        }
    }
}

impl Comparison {
    fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

impl Method {
    const ALL: [Self; 7] = [
        Self::Abs,
        Self::Ceiling,
        Self::Double,
        Self::Floor,
        Self::KeyValue,
        Self::Size,
        Self::Type,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Abs => "abs",
            Self::Ceiling => "ceiling",
            Self::Double => "double",
            Self::Floor => "floor",
            Self::KeyValue => "keyvalue",
            Self::Size => "size",
            Self::Type => "type",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name)
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&print::print(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_print_as_in_postgresql() {
        let cases = [
            ("$", "$"),
            ("strict $", "strict $"),
            ("lax $.a", "$.\"a\""),
            ("$.a.*[*].b", "$.\"a\".*[*].\"b\""),
            ("$.a[1,2, 3 to 5, last - 1]", "$.\"a\"[1,2,3 to 5,last - 1]"),
            ("$.**{2 to last}.b", "$.**{2 to last}.\"b\""),
            ("$.**{2}.b", "$.**{2}.\"b\""),
            ("$ ? (@.a > 1 && !(@.b == \"x\"))", "$?(@.\"a\" > 1 && !(@.\"b\" == \"x\"))"),
            ("$.a + 1 * 2", "($.\"a\" + 1 * 2)"),
            ("($ + 1) * 2", "(($ + 1) * 2)"),
            ("-$.a", "(-$.\"a\")"),
            ("-1", "-1"),
            ("1.type()", ""),
            ("(1).type()", "(1).type()"),
            ("$x.\"a b\"", "$\"x\".\"a b\""),
            ("exists ($.a ? (@ > 1))", "exists ($.\"a\"?(@ > 1))"),
            ("($.a > 1) is unknown", "($.\"a\" > 1) is unknown"),
            ("$ ? (@ starts with \"x\")", "$?(@ starts with \"x\")"),
            ("$ ? (@ like_regex \"^a\" flag \"i\")", "$?(@ like_regex \"^a\" flag \"i\")"),
            ("$.datetime(\"YYYY\")", "$.datetime(\"YYYY\")"),
            ("'a'", ""),
            ("@ + 1", ""),
            ("last", ""),
            ("$.a[", ""),
            ("", ""),
        ];
        for (written, printed) in cases {
            let found = parse(written).map(|path| path.to_string()).unwrap_or_default();
            assert_eq!(found, printed, "{written}");
        }
    }

    #[test]
    fn errors_have_a_place() {
        let message = |text| parse(text).expect_err("refused").message;
        assert_eq!(message("$.a["), "syntax error at end of jsonpath input");
        assert_eq!(message("$ ? 1"), "syntax error at or near \"1\" of jsonpath input");
        assert_eq!(message("@"), "@ is not allowed in root expressions");
    }

    #[test]
    fn deep_nesting_is_refused() {
        let deep = "(".repeat(100_000) + "$";
        assert!(parse(&deep).is_err());
        assert!(parse(&("-".repeat(100_000) + "1")).is_err());
    }
}
