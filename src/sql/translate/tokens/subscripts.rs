//! Subscripts where a value is assigned, told as names: `SET a[1] = 2` is `SET a."[ 1 ]" = 2`.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::Token;

use super::{Tokens, is, made, text_of};

/// Where in a statement the next token stands.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Place {
    Elsewhere,
    /// Behind INSERT INTO t, at that depth of parentheses: a list of columns may come.
    Into(usize),
    /// Where a column is named that gets a value, as an element of a list at that depth.
    Target(usize),
    /// Behind `=`: the next comma at that depth ends the value.
    Value(usize),
}

/// Puts the names in their places.
pub(super) fn place(tokens: &mut Tokens) {
    let assigns = |token| is(token, Keyword::SET) || is(token, Keyword::INTO);
    if !tokens.iter().any(|token| token.token == Token::LBracket) || !tokens.iter().any(assigns) {
        return;
    }
    let mut out = Vec::with_capacity(tokens.len());
    let (mut place, mut depth) = (Place::Elsewhere, 0_usize);
    // Whether the columns are those of an INSERT.
    let mut listed = false;
    let mut written = std::mem::take(tokens).into_iter();
    while let Some(token) = written.next() {
        match (&token.token, place) {
            (Token::LBracket, Place::Target(_)) => {
                let (span, mut open) = (token.span, 1);
                let mut part = vec![token];
                for inside in written.by_ref() {
                    match inside.token {
                        Token::LBracket => open += 1,
                        Token::RBracket => open -= 1,
                        _ => {}
                    }
                    part.push(inside);
                    if open == 0 {
                        break;
                    }
                }
                let name = Token::make_word(&text_of(&part), Some('"'));
                out.extend([Token::Period, name].map(|token| made(token, span)));
                continue;
            }
            (Token::LParen, Place::Into(at)) if at == depth => {
                depth += 1;
                (place, listed) = (Place::Target(depth), true);
            }
            (Token::LParen | Token::LBracket, _) => {
                depth += 1;
                // `SET (a, b) = …`
                if place == Place::Target(depth - 1) {
                    place = Place::Target(depth);
                }
            }
            (Token::RParen | Token::RBracket, _) => {
                depth = depth.saturating_sub(1);
                place = match place {
                    Place::Target(at) if at > depth && listed => Place::Elsewhere,
                    Place::Target(at) if at > depth => Place::Target(depth),
                    Place::Value(at) if at > depth => Place::Elsewhere,
                    other => other,
                };
            }
            (Token::Eq, Place::Target(at)) if !listed => place = Place::Value(at),
            (Token::Comma, Place::Value(at)) if at == depth => place = Place::Target(at),
            (Token::Word(word), _) => match word.keyword {
                Keyword::INSERT | Keyword::INTO => (place, listed) = (Place::Into(depth), false),
                Keyword::SET => (place, listed) = (Place::Target(depth), false),
                Keyword::VALUES
                | Keyword::SELECT
                | Keyword::USING
                | Keyword::WHERE
                | Keyword::WHEN
                | Keyword::FROM
                    if !matches!(place, Place::Value(at) if at < depth) =>
                {
                    place = Place::Elsewhere;
                }
                _ => {}
            },
            _ => {}
        }
        out.push(token);
    }
    *tokens = out;
}

#[cfg(test)]
mod tests {
    use super::super::tests::told;

    #[test]
    fn parts_are_named_where_values_are_assigned() {
        let cases = [
            ("SELECT b[1]", "SELECT b[1]"),
            ("UPDATE t SET a[1] = b[2], c = d[1]", "UPDATE t SET a.\"[ 1 ]\" = b[2], c = d[1]"),
            (
                "UPDATE t SET a[1][f(x[2], 3)] = 1 WHERE a[1] = 2",
                "UPDATE t SET a.\"[ 1 ]\".\"[ f ( x [ 2 ] , 3 ) ]\" = 1 WHERE a[1] = 2",
            ),
            (
                "UPDATE t SET (a[1], b[2:3]) = (x[1], y[2]), c[1] = 0",
                "UPDATE t SET (a.\"[ 1 ]\", b.\"[ 2 : 3 ]\") = (x[1], y[2]), c.\"[ 1 ]\" = 0",
            ),
            (
                "UPDATE t SET a = (SELECT x[1] FROM u WHERE y[1] = 1), b[1] = 2",
                "UPDATE t SET a = (SELECT x[1] FROM u WHERE y[1] = 1), b.\"[ 1 ]\" = 2",
            ),
            (
                "MERGE INTO t USING (VALUES (1)) s(n) ON a[1] = n WHEN MATCHED THEN UPDATE SET a[1] = n WHEN NOT MATCHED THEN INSERT (b[1]) VALUES (c[1])",
                "MERGE INTO t USING (VALUES (1)) s(n) ON a[1] = n WHEN MATCHED THEN UPDATE SET a.\"[ 1 ]\" = n WHEN NOT MATCHED THEN INSERT (b.\"[ 1 ]\") VALUES (c[1])",
            ),
            (
                "INSERT INTO t AS u (a[1], b) VALUES (x[1], 2) ON CONFLICT (a) DO UPDATE SET b[1] = a[1]",
                "INSERT INTO t AS u (a.\"[ 1 ]\", b) VALUES (x[1], 2) ON CONFLICT (a) DO UPDATE SET b.\"[ 1 ]\" = a[1]",
            ),
        ];
        for (written, meant) in cases {
            told(written, meant);
        }
    }
}
