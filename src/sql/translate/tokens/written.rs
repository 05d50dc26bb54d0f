//! The way back: a query that was printed with the forms of [`super`], as clients write it.

use super::VARIADIC;
use crate::sql::scan::{Scanner, Token};

/// What stands for other forms begins so, within quotes.
const MARK: &str = "\"\u{1}";

/// Spells a printed query in PostgreSQL's grammar.
pub(in crate::sql) fn as_written(printed: &str) -> String {
    let mut text =
        printed.replace(&format!("{VARIADIC} => "), "VARIADIC ").replace(").\"*\"", ").*");
    while let Some(next) = text.find(MARK).and_then(|at| unmarked(&text, at)) {
        text = next;
    }
    text
}

/// The text without the mark at a place; `None` where it stands in no known form.
fn unmarked(text: &str, at: usize) -> Option<String> {
    let before = &text[..at];
    let (name, behind) = text[at + MARK.len()..].split_once('"')?;
    match name.strip_prefix("EXCLUDE ") {
        Some(kind) => {
            let closed = closing(behind)?;
            let (frame, rest) = behind.split_at(closed);
            Some(match before.strip_suffix(", ") {
                Some(order) => format!("{order}{frame} EXCLUDE {kind}{rest}"),
                None => {
                    let before = before.strip_suffix("ORDER BY ")?;
                    format!("{before}{} EXCLUDE {kind}{rest}", frame.trim_start())
                }
            })
        }
        None => {
            let (columns, rest) = (before.strip_suffix(", ")?, behind.strip_prefix(')')?);
            Some(format!("{columns}) AS {name}{rest}"))
        }
    }
}

/// Where the parenthesis closes that is open at the start.
fn closing(text: &str) -> Option<usize> {
    let mut scanner = Scanner::new(text);
    let mut depth = 0_usize;
    loop {
        match scanner.next().ok()?? {
            Token::Symbol(b'(') => depth += 1,
            Token::Symbol(b')') if depth == 0 => return Some(scanner.start),
            Token::Symbol(b')') => depth -= 1,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tokens;
    use super::*;

    #[test]
    fn printed_forms_are_spelled_as_they_were_written() {
        for written in [
            "SELECT sum ( a ) OVER ( ORDER BY f ( b ) ROWS 1 PRECEDING EXCLUDE TIES ) FROM t",
            "SELECT sum ( a ) OVER ( PARTITION BY b ROWS 1 PRECEDING EXCLUDE GROUP ) FROM t",
            "SELECT 1 FROM t WINDOW w AS ( ROWS 1 PRECEDING EXCLUDE CURRENT ROW )",
            "SELECT * FROM a JOIN b USING ( x, y ) AS c",
            "SELECT concat ( VARIADIC a ), ( r ).* FROM t",
        ] {
            let told: Vec<String> = tokens(written)
                .expect("is well formed")
                .iter()
                .map(|token| token.token.to_string())
                .collect();
            let printed = told.join(" ").replace(" ,", ",").replace(") . ", ").");
            assert_eq!(as_written(&printed.replace(" )", ")")), written.replace(" )", ")"));
        }
    }
}
