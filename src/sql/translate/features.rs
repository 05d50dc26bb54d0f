//! What PostgreSQL knows and the parser does not: an error of syntax there is the want of a
//! feature.

use crate::pg::{SqlError, SqlState};
use crate::sql::scan::{Scanner, Token};

/// Words that stand one behind another in a feature's syntax; `)` is a parenthesis.
const FEATURES: &[(&[&str], &str)] = &[
    (&["as", "execute"], "CREATE TABLE AS EXECUTE"),
    (&["search", "depth", "first"], "SEARCH in WITH"),
    (&["search", "breadth", "first"], "SEARCH in WITH"),
    (&[")", "cycle"], "CYCLE in WITH"),
    (&["nulls", "not", "distinct"], "NULLS NOT DISTINCT"),
    (&["rows", "from"], "ROWS FROM with several functions"),
    (&["tablespace"], "TABLESPACE"),
    (&["xmlelement"], "xml"),
    (&["xmlforest"], "xml"),
    (&["alter", "constraint"], "ALTER CONSTRAINT"),
];

/// The error of a statement that the parser refuses, by what the statement asks for.
pub(super) fn judged(error: SqlError, text: &str) -> SqlError {
    if error.state != SqlState::SYNTAX_ERROR {
        return error;
    }
    let words = words(text);
    let found = FEATURES.iter().find(|(sequence, _)| {
        words.windows(sequence.len()).any(|words| {
            words.iter().zip(*sequence).all(|(word, wanted)| word.eq_ignore_ascii_case(wanted))
        })
    });
    let has = |wanted: &str| words.iter().any(|word| word.eq_ignore_ascii_case(wanted));
    let begins = |first: &str, second: &str| {
        matches!(words.as_slice(), [a, b, ..]
            if a.eq_ignore_ascii_case(first) && b.eq_ignore_ascii_case(second))
    };
    let sets = words.iter().filter(|word| word.eq_ignore_ascii_case("sets")).count();
    match found {
        Some((_, feature)) => SqlError::unsupported(feature),
        None if has("grouping") && sets > 1 => SqlError::unsupported("nested GROUPING SETS"),
        None if has("create") && has("trigger") && has("execute") => {
            SqlError::unsupported("CREATE TRIGGER")
        }
        None if begins("create", "schema") && (has("table") || has("view")) => {
            SqlError::unsupported("CREATE SCHEMA with elements")
        }
        None if begins("alter", "table") && has("inherit") => SqlError::unsupported("INHERIT"),
        None => error,
    }
}

/// The words of a statement and its closing parentheses; what is quoted is none.
fn words(text: &str) -> Vec<&str> {
    let mut scanner = Scanner::new(text);
    let mut words = Vec::new();
    while let Ok(Some(token)) = scanner.next() {
        words.push(match token {
            Token::Word(word) => word,
            Token::Symbol(b')') => ")",
            _ => "",
        });
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::translate::syntax::syntax_error;

    #[test]
    fn a_feature_that_is_missing_is_named() {
        let cases = [
            ("create table t as execute p", "CREATE TABLE AS EXECUTE is not supported"),
            (
                "with recursive t as (select 1) search depth first by n set o select 1",
                "SEARCH in WITH is not supported",
            ),
            (
                "with recursive t as (select 1) cycle n set c using p select 1",
                "CYCLE in WITH is not supported",
            ),
            (
                "select 1 group by grouping sets (a, grouping sets (b))",
                "nested GROUPING SETS is not supported",
            ),
            (
                "create schema s create table t (a int)",
                "CREATE SCHEMA with elements is not supported",
            ),
            (
                "create or replace trigger a before insert on t for each row execute function f('b')",
                "CREATE TRIGGER is not supported",
            ),
            (
                "select 1 from rows from (f(), g())",
                "ROWS FROM with several functions is not supported",
            ),
            ("select 'current of' from", "syntax error at or near \"x\""),
        ];
        for (text, expected) in cases {
            assert_eq!(judged(syntax_error("x", None), text).message, expected);
        }
    }
}
