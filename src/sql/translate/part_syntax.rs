//! What `sqlparser` doesn't know of parts of rows and arrays and of what ON CONFLICT is about,
//! told by names: `(row).*` is `(row)."*"`, where a value is assigned, `a[1]` is `a."[1]"`, and
//! `ON CONFLICT (lower(a)) WHERE b` is `ON CONFLICT ("(lower(a)) WHERE b")`.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Whitespace};

/// The name that stands for all fields of a row.
pub(super) const ALL_FIELDS: &str = "*";

/// Puts the names in their places.
pub(super) fn place(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let assigns = tokens.iter().any(|token| is_word(&token.token, Keyword::SET))
        || tokens.iter().any(|token| is_word(&token.token, Keyword::INTO));
    let subscripts = assigns && tokens.iter().any(|token| token.token == Token::LBracket);
    let tokens = if subscripts { with_subscripts(tokens) } else { tokens };
    with_all_fields(with_inference(tokens))
}

/// What ON CONFLICT infers an index from as one name, up to DO, but for columns alone.
fn with_inference(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let solid: Vec<usize> =
        (0..tokens.len()).filter(|at| !matches!(tokens[*at].token, Token::Whitespace(_))).collect();
    let starts = solid.windows(3).filter(|places| {
        is_word(&tokens[places[0]].token, Keyword::ON)
            && is_word(&tokens[places[1]].token, Keyword::CONFLICT)
            && tokens[places[2]].token == Token::LParen
    });
    let starts: Vec<usize> = starts.map(|places| places[2]).collect();
    for start in starts.into_iter().rev() {
        let Some(length) =
            tokens[start..].iter().position(|token| is_word(&token.token, Keyword::DO))
        else {
            continue;
        };
        let inferred = &tokens[start..start + length];
        let (mut parentheses, mut plain) = (0, true);
        for token in inferred {
            match &token.token {
                Token::LParen | Token::RParen => parentheses += 1,
                Token::Comma | Token::Whitespace(_) => {}
                Token::Word(word) => plain &= word.keyword != Keyword::WHERE,
                _ => plain = false,
            }
        }
        if plain && parentheses == 2 {
            continue;
        }
        let text: String = inferred.iter().map(|token| token.token.to_string()).collect();
        let span = tokens[start].span;
        let name = [Token::LParen, Token::make_word(text.trim_end(), Some('"')), Token::RParen];
        let name = name.into_iter().map(|token| TokenWithSpan { token, span });
        tokens.splice(
            start..start + length,
            name.chain([TokenWithSpan { token: Token::Whitespace(Whitespace::Space), span }]),
        );
    }
    tokens
}

fn with_all_fields(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let solid: Vec<usize> =
        (0..tokens.len()).filter(|at| !matches!(tokens[*at].token, Token::Whitespace(_))).collect();
    for places in solid.windows(3) {
        let [paren, period, star] = places else { continue };
        if tokens[*paren].token == Token::RParen
            && tokens[*period].token == Token::Period
            && tokens[*star].token == Token::Mul
        {
            tokens[*star].token = Token::make_word(ALL_FIELDS, Some('"'));
        }
    }
    tokens
}

fn is_word(token: &Token, keyword: Keyword) -> bool {
    matches!(token, Token::Word(word) if word.keyword == keyword)
}

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

fn with_subscripts(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut out = Vec::with_capacity(tokens.len());
    let (mut place, mut depth) = (Place::Elsewhere, 0_usize);
    // Whether the columns are those of an INSERT.
    let mut listed = false;
    let mut tokens = tokens.into_iter();
    while let Some(token) = tokens.next() {
        match (&token.token, place) {
            (Token::LBracket, Place::Target(_)) => {
                let mut text = String::from("[");
                let (mut open, start) = (1, token.span);
                for inside in tokens.by_ref() {
                    match inside.token {
                        Token::LBracket => open += 1,
                        Token::RBracket => open -= 1,
                        _ => {}
                    }
                    text.push_str(&inside.token.to_string());
                    if open == 0 {
                        break;
                    }
                }
                out.push(TokenWithSpan { token: Token::Period, span: start });
                out.push(TokenWithSpan { token: Token::make_word(&text, Some('"')), span: start });
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
    out
}

#[cfg(test)]
mod tests {
    use sqlparser::dialect::PostgreSqlDialect;
    use sqlparser::tokenizer::Tokenizer;

    use super::place;

    #[test]
    fn parts_are_named_where_values_are_assigned() {
        let cases = [
            ("SELECT (a).*, b[1]", "SELECT (a).\"*\", b[1]"),
            ("UPDATE t SET a[1] = b[2], c = d[1]", "UPDATE t SET a.\"[1]\" = b[2], c = d[1]"),
            (
                "UPDATE t SET a[1][f(x[2], 3)] = 1 WHERE a[1] = 2",
                "UPDATE t SET a.\"[1]\".\"[f(x[2], 3)]\" = 1 WHERE a[1] = 2",
            ),
            (
                "UPDATE t SET (a[1], b[2:3]) = (x[1], y[2]), c[1] = 0",
                "UPDATE t SET (a.\"[1]\", b.\"[2:3]\") = (x[1], y[2]), c.\"[1]\" = 0",
            ),
            (
                "UPDATE t SET a = (SELECT x[1] FROM u WHERE y[1] = 1), b[1] = 2",
                "UPDATE t SET a = (SELECT x[1] FROM u WHERE y[1] = 1), b.\"[1]\" = 2",
            ),
            (
                "MERGE INTO t USING (VALUES (1)) s(n) ON a[1] = n WHEN MATCHED THEN UPDATE SET a[1] = n WHEN NOT MATCHED THEN INSERT (b[1]) VALUES (c[1])",
                "MERGE INTO t USING (VALUES (1)) s(n) ON a[1] = n WHEN MATCHED THEN UPDATE SET a.\"[1]\" = n WHEN NOT MATCHED THEN INSERT (b.\"[1]\") VALUES (c[1])",
            ),
            (
                "INSERT INTO t VALUES (1) ON CONFLICT (lower(a), b) WHERE c DO NOTHING",
                "INSERT INTO t VALUES (1) ON CONFLICT (\"(lower(a), b) WHERE c\") DO NOTHING",
            ),
            (
                "INSERT INTO t VALUES (1) ON CONFLICT (a, b) DO NOTHING",
                "INSERT INTO t VALUES (1) ON CONFLICT (a, b) DO NOTHING",
            ),
            (
                "INSERT INTO t AS u (a[1], b) VALUES (x[1], 2) ON CONFLICT (a) DO UPDATE SET b[1] = a[1]",
                "INSERT INTO t AS u (a.\"[1]\", b) VALUES (x[1], 2) ON CONFLICT (a) DO UPDATE SET b.\"[1]\" = a[1]",
            ),
        ];
        for (text, expected) in cases {
            let tokens = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize_with_location();
            let placed = place(tokens.expect("well formed"));
            let placed: String = placed.iter().map(|token| token.token.to_string()).collect();
            assert_eq!(placed, expected);
        }
    }
}
