//! Set operations of queries in parentheses where a value stands, `((SELECT …) UNION (SELECT …))`:
//! `sqlparser` reads the first query as the value, so all of it becomes a query's source.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::Token;

use super::{Tokens, made};

/// What the source is called.
const NAME: &str = "towline_set";

/// Puts such set operations behind `SELECT * FROM`.
pub(super) fn place(tokens: &mut Tokens) {
    if !tokens.iter().any(|token| is_set_operator(&token.token)) {
        return;
    }
    let kinds: Vec<&Token> = tokens.iter().map(|token| &token.token).collect();
    let found = (1..kinds.len()).filter_map(|at| Some((at, value_at(&kinds, at)?)));
    let mut marks: Vec<(usize, bool)> =
        found.flat_map(|(open, close)| [(open, true), (close, false)]).collect();
    // From behind, so that places stay what they are; each may lie within the one before it.
    marks.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    for (at, opens) in marks {
        let span = tokens[at].span;
        let words = match opens {
            true => vec![
                Token::make_keyword("SELECT"),
                Token::Mul,
                Token::make_keyword("FROM"),
                Token::LParen,
            ],
            false => vec![Token::RParen, Token::make_keyword("AS"), Token::make_word(NAME, None)],
        };
        let at = if opens { at + 1 } else { at };
        tokens.splice(at..at, words.into_iter().map(|token| made(token, span)));
    }
}

/// Where the parenthesis at `open` closes, if such a set operation is in it.
fn value_at(tokens: &[&Token], open: usize) -> Option<usize> {
    if *tokens[open] != Token::LParen || !expects_value(tokens, open - 1) {
        return None;
    }
    let first = (open + 1..tokens.len()).find(|at| *tokens[*at] != Token::LParen)?;
    if first == open + 1 || !is_any_of(tokens[first], &[Keyword::SELECT, Keyword::WITH]) {
        return None;
    }
    let inner = closing(tokens, open + 1)?;
    is_set_operator(tokens.get(inner + 1)?).then(|| closing(tokens, open)).flatten()
}

fn closing(tokens: &[&Token], open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    (open..tokens.len()).find(|at| {
        match tokens[*at] {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => {}
        }
        depth == 0
    })
}

/// Whether a value comes behind the token at `at`.
fn expects_value(tokens: &[&Token], at: usize) -> bool {
    const WORDS: &[Keyword] = &[
        Keyword::SELECT,
        Keyword::DISTINCT,
        Keyword::WHERE,
        Keyword::HAVING,
        Keyword::AND,
        Keyword::OR,
        Keyword::NOT,
        Keyword::ON,
        Keyword::WHEN,
        Keyword::THEN,
        Keyword::ELSE,
        Keyword::BY,
        Keyword::BETWEEN,
        Keyword::RETURNING,
        Keyword::ANY,
        Keyword::SOME,
    ];
    let compares = |token: &Token| {
        matches!(
            token,
            Token::Eq
                | Token::Neq
                | Token::Lt
                | Token::Gt
                | Token::LtEq
                | Token::GtEq
                | Token::Plus
                | Token::Minus
                | Token::Mul
                | Token::Div
                | Token::StringConcat
        )
    };
    let all = is_any_of(tokens[at], &[Keyword::ALL]) && at > 0 && compares(tokens[at - 1]);
    *tokens[at] == Token::Comma || all || compares(tokens[at]) || is_any_of(tokens[at], WORDS)
}

fn is_set_operator(token: &Token) -> bool {
    is_any_of(token, &[Keyword::UNION, Keyword::INTERSECT, Keyword::EXCEPT])
}

fn is_any_of(token: &Token, keywords: &[Keyword]) -> bool {
    matches!(token, Token::Word(word) if word.quote_style.is_none() && keywords.contains(&word.keyword))
}

#[cfg(test)]
mod tests {
    use super::super::tests::told;

    #[test]
    fn a_set_operation_that_is_a_value_is_a_source() {
        let cases = [
            (
                "SELECT ((SELECT 1) UNION (SELECT 2)) AS a",
                "SELECT (SELECT * FROM ((SELECT 1) UNION (SELECT 2)) AS towline_set) AS a",
            ),
            (
                "SELECT 1 WHERE 1 = ALL ((SELECT 1) EXCEPT SELECT 2)",
                "SELECT 1 WHERE 1 = ALL (SELECT * FROM ((SELECT 1) EXCEPT SELECT 2) AS towline_set)",
            ),
            (
                "SELECT ((SELECT 1) + 1) UNION (SELECT 2)",
                "SELECT ((SELECT 1) + 1) UNION (SELECT 2)",
            ),
            ("((SELECT 1) UNION (SELECT 2))", "((SELECT 1) UNION (SELECT 2))"),
            (
                "SELECT a FROM ((SELECT 1) UNION (SELECT 2)) b (a)",
                "SELECT a FROM ((SELECT 1) UNION (SELECT 2)) b (a)",
            ),
        ];
        for (written, meant) in cases {
            told(written, meant);
        }
    }
}
