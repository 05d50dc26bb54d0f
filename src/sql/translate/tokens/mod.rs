//! What PostgreSQL's grammar has and `sqlparser`'s has not, told in tokens that it knows.
//!
//! White space goes first. Then one walk from behind, so that places stay what they are, puts
//! each form in place:
//!
//! | written                             | told as                                      |
//! |-------------------------------------|----------------------------------------------|
//! | `inet '1.2.3.4'`                    | `CAST('1.2.3.4' AS inet)`                    |
//! | `INTERVAL(2) '…'`                   | `CAST('…' AS INTERVAL(2))`                   |
//! | `SUBSTRING(a SIMILAR b ESCAPE c)`   | `SUBSTRING(a, b, c)`                         |
//! | `SUBSTRING(a FOR b FROM c)`         | `SUBSTRING(a FROM c FOR b)`                  |
//! | `pg_catalog.substring(a, b)`        | `pg_catalog."substring"(a, b)`               |
//! | `a ISNULL`                          | `a IS NULL`                                  |
//! | `ROWS FROM (f(a))`                  | `f(a)`                                       |
//! | `INSERT INTO t (WITH …)`            | `INSERT INTO t WITH …`                       |
//! | CREATE's `TABLESPACE pg_default`    | nothing                                      |
//! | `CREATE RECURSIVE VIEW v (a) AS …`  | `CREATE VIEW v (a) AS WITH RECURSIVE v (a) AS (…) SELECT a FROM v` |
//! | `f(VARIADIC a)`                     | `f(towline_variadic => a)`                   |
//! | `f(a := b)`                         | `f(a => b)`                                  |
//! | `USING (a, b) AS c`                 | `USING (a, b, "␁c")`                         |
//! | `(row).*`                           | `(row)."*"`                                  |
//! | `ON CONFLICT (lower(a)) WHERE b DO` | `ON CONFLICT ("( lower ( a ) ) WHERE b") DO` |
//! | `a OPERATOR(pg_catalog.=) ANY (b)`  | `a = ANY (b)`                                |
//! | MERGE's `INSERT DEFAULT VALUES`     | `INSERT VALUES (DEFAULT)`                    |
//! | `a IN ((SELECT b), c)`              | `a = ANY (ARRAY[(SELECT b), c])`             |
//! | `FETCH FIRST (a) ROWS ONLY`         | `LIMIT (a)`                                  |
//! | `ALTER a RESTART WITH 5`            | `ALTER a SET DEFAULT towline_identity('…')`  |
//! | `TRIM(BOTH FROM a)`                 | `TRIM(BOTH a)`                               |
//! | a frame's `EXCLUDE TIES`            | `ORDER BY "␁EXCLUDE TIES"` before the frame  |
//! | `'a'`, and `'b'` in the next line   | `'ab'`                                       |
//!
//! What depends on more than the tokens beside it has walks of its own, in the files here.

mod exclusion;
pub(super) mod literals;
mod sets;
mod subscripts;
mod written;

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Span, Token, TokenWithSpan, Tokenizer, TokenizerError, Word};

use crate::sql::scan::{Scanner, fold};

/// How an argument is named that was written `VARIADIC array`.
pub(super) const VARIADIC: &str = "towline_variadic";

/// Before the name of what USING merges, where it stands among the columns.
pub(super) const MERGED_AS: char = '\u{1}';

/// The function whose text says how an identity column changes.
pub(super) const IDENTITY: &str = "towline_identity";

/// The name that stands for all fields of a row.
pub(super) const ALL_FIELDS: &str = "*";

pub(super) use self::exclusion::taken as taken_exclusion;
pub(in crate::sql) use self::written::as_written;

type Tokens = Vec<TokenWithSpan>;

/// The tokens of a statement or an expression, without white space.
pub(super) fn tokens(text: &str) -> Result<Tokens, TokenizerError> {
    let mut tokens = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize_with_location()?;
    tokens.retain(|token| !matches!(token.token, Token::Whitespace(_)));
    literals::continue_over_lines(&mut tokens);
    let starts = |words: &[&str]| {
        let mut scanner = Scanner::new(text);
        words.iter().all(|word| scanner.take_word(word))
    };
    if starts(&["create", "type"]) || starts(&["alter", "type"]) {
        plain_labels(&mut tokens);
    }
    if starts(&["create", "domain"]) {
        put_as(&mut tokens);
    }
    let creates = starts(&["create"]);
    if creates {
        recursive_view(&mut tokens);
    }
    let alters_table = starts(&["alter", "table"]);
    for at in (0..tokens.len()).rev() {
        let word = match &tokens[at].token {
            Token::Word(word) => word,
            Token::RParen => {
                all_fields(&mut tokens, at);
                continue;
            }
            Token::Assignment => {
                tokens[at].token = Token::RArrow;
                continue;
            }
            _ => continue,
        };
        match word.keyword {
            Keyword::EXCLUDE => exclusion::place(&mut tokens, at),
            Keyword::FETCH => computed_limit(&mut tokens, at),
            Keyword::IN => list_of_queries(&mut tokens, at),
            Keyword::INTO => query_in_parentheses(&mut tokens, at),
            Keyword::INTERVAL => interval_precision(&mut tokens, at),
            Keyword::ON => inference(&mut tokens, at),
            Keyword::OPERATOR => compared_with_any(&mut tokens, at),
            Keyword::ROWS => rows_from(&mut tokens, at),
            Keyword::SUBSTRING | Keyword::TRIM
                if at > 0 && tokens[at - 1].token == Token::Period =>
            {
                let name = fold(&word.value);
                tokens[at].token = Token::make_word(&name, Some('"'));
            }
            Keyword::SUBSTRING => {
                similar_pattern(&mut tokens, at);
                length_first(&mut tokens, at);
            }
            Keyword::TABLESPACE if creates => default_tablespace(&mut tokens, at),
            Keyword::THEN => default_row(&mut tokens, at),
            Keyword::TRIM => trimmed(&mut tokens, at),
            Keyword::USING => {
                merged_name(&mut tokens, at);
                if creates {
                    index_of_constraint(&mut tokens, at);
                }
            }
            Keyword::ALTER if alters_table => changed_identity(&mut tokens, at),
            Keyword::VARIADIC => variadic(&mut tokens, at),
            Keyword::NoKeyword if is_null(word) => is_null_test(&mut tokens, at),
            Keyword::NoKeyword | Keyword::NAME => typed_literal(&mut tokens, at),
            Keyword::BIT | Keyword::CHAR | Keyword::CHARACTER => unbounded_literal(&mut tokens, at),
            _ => {}
        }
    }
    subscripts::place(&mut tokens);
    sets::place(&mut tokens);
    Ok(tokens)
}

fn is(token: &TokenWithSpan, keyword: Keyword) -> bool {
    matches!(&token.token, Token::Word(word) if word.keyword == keyword)
}

fn is_literal(token: &TokenWithSpan) -> bool {
    matches!(token.token, Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_))
}

/// A token that nobody wrote, for what was written at `span`.
fn made(token: Token, span: Span) -> TokenWithSpan {
    TokenWithSpan { token, span }
}

/// Tokens as text that gives them again.
fn text_of(tokens: &[TokenWithSpan]) -> String {
    let words: Vec<String> = tokens.iter().map(|token| token.token.to_string()).collect();
    words.join(" ")
}

/// An enum's labels are names to `sqlparser`, which it does not take from `E'…'`.
fn plain_labels(tokens: &mut Tokens) {
    for token in tokens {
        if let Token::EscapedStringLiteral(label) = &mut token.token {
            token.token = Token::SingleQuotedString(std::mem::take(label));
        }
    }
}

/// The AS that CREATE DOMAIN may leave out, behind the name.
fn put_as(tokens: &mut Tokens) {
    let mut at = 3;
    while tokens.get(at).is_some_and(|token| token.token == Token::Period) {
        at += 2;
    }
    if let Some(token) = tokens.get(at)
        && !is(token, Keyword::AS)
    {
        let word = made(Token::make_keyword("AS"), token.span);
        tokens.insert(at, word);
    }
}

/// `CREATE RECURSIVE VIEW v (a) AS query` is a view of
/// `WITH RECURSIVE v (a) AS (query) SELECT a FROM v`.
fn recursive_view(tokens: &mut Tokens) -> Option<()> {
    // Behind CREATE, OR REPLACE, TEMPORARY.
    let word = tokens.iter().take(5).position(|token| is(token, Keyword::RECURSIVE))?;
    if !is(tokens.get(word + 1)?, Keyword::VIEW) {
        return None;
    }
    let open = tokens.iter().position(|token| token.token == Token::LParen)?;
    let close = closing(tokens, open)?;
    let body = close + 1 + tokens[close..].iter().position(|token| is(token, Keyword::AS))?;
    let span = tokens[word].span;
    let keyword = |word| made(Token::make_keyword(word), span);
    let name = tokens[open - 1].clone();
    let columns = tokens[open..=close].to_vec();
    let mut select = vec![made(Token::RParen, span), keyword("SELECT")];
    select.extend_from_slice(&columns[1..columns.len() - 1]);
    select.extend([keyword("FROM"), name.clone()]);
    let mut with = vec![keyword("WITH"), keyword("RECURSIVE"), name];
    with.extend(columns);
    with.extend([keyword("AS"), made(Token::LParen, span)]);
    tokens.extend(select);
    tokens.splice(body..body, with);
    tokens.remove(word);
    Some(())
}

/// `sqlparser` knows few types in front of a literal.
fn typed_literal(tokens: &mut Tokens, name: usize) {
    let qualified = name == 0 || tokens[name - 1].token == Token::Period;
    if !qualified && tokens.get(name + 1).is_some_and(is_literal) {
        put_cast(tokens, name..name + 1);
    }
}

/// In front of a literal these types have no length, as they have none by a quoted name.
fn unbounded_literal(tokens: &mut Tokens, at: usize) {
    let Token::Word(word) = &tokens[at].token else { return };
    if word.quote_style.is_none() && tokens.get(at + 1).is_some_and(is_literal) {
        let name = if word.keyword == Keyword::BIT { "bit" } else { "bpchar" };
        tokens[at].token = Token::make_word(name, Some('"'));
        typed_literal(tokens, at);
    }
}

fn trimmed(tokens: &mut Tokens, at: usize) {
    if let [open, side, from, ..] = &tokens[at + 1..]
        && open.token == Token::LParen
        && [Keyword::BOTH, Keyword::LEADING, Keyword::TRAILING].iter().any(|word| is(side, *word))
        && is(from, Keyword::FROM)
    {
        tokens.remove(at + 3);
    }
}

/// `sqlparser` reads it as an interval of 2.
fn interval_precision(tokens: &mut Tokens, at: usize) {
    if let [open, number, close, literal, ..] = &tokens[at + 1..]
        && open.token == Token::LParen
        && matches!(number.token, Token::Number(..))
        && close.token == Token::RParen
        && is_literal(literal)
    {
        put_cast(tokens, at..at + 4);
    }
}

/// The type at `of` and the literal behind it as a cast.
fn put_cast(tokens: &mut Tokens, of: std::ops::Range<usize>) {
    let literal = tokens[of.end].clone();
    let at_literal = |token| made(token, literal.span);
    let mut cast = vec![
        at_literal(Token::make_keyword("CAST")),
        at_literal(Token::LParen),
        literal.clone(),
        at_literal(Token::make_keyword("AS")),
    ];
    cast.extend_from_slice(&tokens[of.clone()]);
    cast.push(at_literal(Token::RParen));
    tokens.splice(of.start..=of.end, cast);
}

fn similar_pattern(tokens: &mut Tokens, at: usize) {
    if tokens.get(at + 1).is_none_or(|token| token.token != Token::LParen) {
        return;
    }
    let mut depth = 0_usize;
    let mut similar = None;
    for place in at + 1..tokens.len() {
        match &tokens[place].token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            Token::Word(word) if depth == 1 && word.keyword == Keyword::SIMILAR => {
                let compares = tokens.get(place + 1).is_some_and(|next| is(next, Keyword::TO));
                similar = (!compares).then_some(place);
            }
            Token::Word(word) if depth == 1 && word.keyword == Keyword::ESCAPE => {
                if let Some(similar) = similar.take() {
                    tokens[similar].token = Token::Comma;
                    tokens[place].token = Token::Comma;
                }
            }
            _ => {}
        }
        if depth == 0 {
            return;
        }
    }
}

/// `sqlparser` wants a substring's start before its length.
fn length_first(tokens: &mut Tokens, at: usize) {
    let open = at + 1;
    let Some(close) = closing(tokens, open) else { return };
    let mut depth = 0_usize;
    let (mut length, mut start) = (None, None);
    for (place, token) in tokens.iter().enumerate().take(close).skip(open) {
        match &token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            Token::Word(word) if depth == 1 && word.keyword == Keyword::FOR => length = Some(place),
            Token::Word(word) if depth == 1 && word.keyword == Keyword::FROM => start = Some(place),
            _ => {}
        }
    }
    if let (Some(length), Some(start)) = (length, start)
        && length < start
    {
        tokens[length..close].rotate_left(start - length);
    }
}

fn is_null(word: &Word) -> bool {
    word.quote_style.is_none() && word.value.eq_ignore_ascii_case("isnull")
}

/// `sqlparser` takes ISNULL for a name: here it is one where it is called, behind a period
/// or behind AS.
fn is_null_test(tokens: &mut Tokens, at: usize) {
    let called = tokens.get(at + 1).is_some_and(|next| next.token == Token::LParen);
    let named =
        at == 0 || tokens[at - 1].token == Token::Period || is(&tokens[at - 1], Keyword::AS);
    if !called && !named {
        let span = tokens[at].span;
        tokens[at].token = Token::make_keyword("IS");
        tokens.insert(at + 1, made(Token::make_keyword("NULL"), span));
    }
}

/// The rows of one function are those of its call.
fn rows_from(tokens: &mut Tokens, at: usize) {
    let open = at + 2;
    if !tokens.get(at + 1).is_some_and(|token| is(token, Keyword::FROM))
        || tokens.get(open).is_none_or(|token| token.token != Token::LParen)
    {
        return;
    }
    let Some(close) = closing(tokens, open) else { return };
    let arguments = tokens[open + 1..close].iter().position(|token| token.token == Token::LParen);
    if arguments.and_then(|before| closing(tokens, open + 1 + before)) == Some(close - 1) {
        tokens.remove(close);
        tokens.drain(at..=open);
    }
}

/// `sqlparser` takes what the parentheses hold for columns.
fn query_in_parentheses(tokens: &mut Tokens, at: usize) {
    let Some(length) = tokens[at..].iter().position(|token| token.token == Token::LParen) else {
        return;
    };
    let open = at + length;
    let name = &tokens[at + 1..open];
    let named = |token: &TokenWithSpan| matches!(token.token, Token::Word(_) | Token::Period);
    if name.is_empty()
        || !name.iter().all(named)
        || !tokens.get(open + 1).is_some_and(|token| is(token, Keyword::WITH))
    {
        return;
    }
    if let Some(close) = closing(tokens, open) {
        tokens.remove(close);
        tokens.remove(open);
    }
}

/// The one tablespace that there is, in which everything lies anyway.
fn default_tablespace(tokens: &mut Tokens, at: usize) {
    let names_it = |token: &TokenWithSpan| matches!(&token.token, Token::Word(word) if word.value == "pg_default");
    if tokens.get(at + 1).is_some_and(names_it) {
        tokens.drain(at..=at + 1);
    }
}

/// USING INDEX, behind which a tablespace stood.
fn index_of_constraint(tokens: &mut Tokens, at: usize) {
    if tokens.get(at + 1).is_some_and(|token| is(token, Keyword::INDEX))
        && !tokens.get(at + 2).is_some_and(|token| is(token, Keyword::TABLESPACE))
    {
        tokens.drain(at..=at + 1);
    }
}

fn variadic(tokens: &mut Tokens, at: usize) {
    if at > 0 && matches!(tokens[at - 1].token, Token::LParen | Token::Comma) {
        let span = tokens[at].span;
        tokens[at].token = Token::make_word(VARIADIC, None);
        tokens.insert(at + 1, made(Token::RArrow, span));
    }
}

fn merged_name(tokens: &mut Tokens, at: usize) {
    let [open, rest @ ..] = &tokens[at + 1..] else { return };
    let listed = |token: &&TokenWithSpan| {
        matches!(&token.token, Token::Comma | Token::Word(_)) && !is(token, Keyword::SELECT)
    };
    let length = rest.iter().take_while(listed).count();
    let [close, word, name, ..] = &rest[length..] else { return };
    let Token::Word(alias) = &name.token else { return };
    if open.token != Token::LParen
        || length == 0
        || close.token != Token::RParen
        || !is(word, Keyword::AS)
    {
        return;
    }
    let folded = match alias.quote_style {
        Some(_) => alias.value.clone(),
        None => fold(&alias.value),
    };
    let column = Token::make_word(&format!("{MERGED_AS}{folded}"), Some('"'));
    let (span, close) = (name.span, at + 2 + length);
    let last = [Token::Comma, column, Token::RParen].map(|token| made(token, span));
    tokens.splice(close..=close + 2, last);
}

fn all_fields(tokens: &mut [TokenWithSpan], at: usize) {
    if let [period, star, ..] = &mut tokens[at + 1..]
        && period.token == Token::Period
        && star.token == Token::Mul
    {
        star.token = Token::make_word(ALL_FIELDS, Some('"'));
    }
}

/// What an index is inferred from as one name, up to DO, but for columns alone.
fn inference(tokens: &mut Tokens, at: usize) {
    let start = at + 2;
    if tokens.get(at + 1).is_none_or(|token| !is(token, Keyword::CONFLICT))
        || tokens.get(start).is_none_or(|token| token.token != Token::LParen)
    {
        return;
    }
    let Some(length) = tokens[start..].iter().position(|token| is(token, Keyword::DO)) else {
        return;
    };
    let inferred = &tokens[start..start + length];
    let (mut parentheses, mut plain) = (0, true);
    for token in inferred {
        match &token.token {
            Token::LParen | Token::RParen => parentheses += 1,
            Token::Comma => {}
            Token::Word(word) => plain &= word.keyword != Keyword::WHERE,
            _ => plain = false,
        }
    }
    if plain && parentheses == 2 {
        return;
    }
    let span = tokens[start].span;
    let name = Token::make_word(&text_of(inferred), Some('"'));
    let name = [Token::LParen, name, Token::RParen].map(|token| made(token, span));
    tokens.splice(start..start + length, name);
}

fn compared_with_any(tokens: &mut Tokens, at: usize) {
    let close = match &tokens[at + 1..] {
        [open, _, close, ..] if open.token == Token::LParen && close.token == Token::RParen => 3,
        [open, _, period, _, close, ..]
            if open.token == Token::LParen
                && period.token == Token::Period
                && close.token == Token::RParen =>
        {
            5
        }
        _ => return,
    };
    let quantified =
        |token| [Keyword::ANY, Keyword::ALL, Keyword::SOME].iter().any(|word| is(token, *word));
    if tokens.get(at + close + 1).is_some_and(quantified) {
        tokens.remove(at + close);
        tokens.drain(at..at + close - 1);
    }
}

fn default_row(tokens: &mut Tokens, at: usize) {
    if let [insert, default, values, ..] = &tokens[at + 1..]
        && is(insert, Keyword::INSERT)
        && is(default, Keyword::DEFAULT)
        && is(values, Keyword::VALUES)
    {
        let (word, span) = (default.clone(), default.span);
        let row = [values.clone(), made(Token::LParen, span), word, made(Token::RParen, span)];
        tokens.splice(at + 2..at + 4, row);
    }
}

/// Where the parenthesis that opens at `open` closes.
fn closing(tokens: &[TokenWithSpan], open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return (at > open).then_some(at);
        }
    }
    None
}

/// `sqlparser` takes the first query for the whole list.
fn list_of_queries(tokens: &mut Tokens, at: usize) {
    let [open, inner, query, ..] = &tokens[at + 1..] else { return };
    let nested = open.token == Token::LParen && inner.token == Token::LParen;
    if !nested || ![Keyword::SELECT, Keyword::WITH, Keyword::VALUES].iter().any(|k| is(query, *k)) {
        return;
    }
    let behind = closing(tokens, at + 2).and_then(|close| tokens.get(close + 1));
    let (true, Some(close)) =
        (behind.is_some_and(|token| token.token == Token::Comma), closing(tokens, at + 1))
    else {
        return;
    };
    let span = tokens[at].span;
    tokens.insert(close, made(Token::RBracket, span));
    let array = [Token::make_keyword("ARRAY"), Token::LBracket].map(|token| made(token, span));
    tokens.splice(at + 2..at + 2, array);
    if at > 0 && is(&tokens[at - 1], Keyword::NOT) {
        tokens[at - 1].token = Token::Neq;
        tokens[at].token = Token::make_keyword("ALL");
    } else {
        tokens[at].token = Token::make_keyword("ANY");
        tokens.insert(at, made(Token::Eq, span));
    }
}

fn computed_limit(tokens: &mut Tokens, at: usize) {
    if tokens.get(at + 2).is_none_or(|token| token.token != Token::LParen) {
        return;
    }
    let Some(close) = closing(tokens, at + 2) else { return };
    if let [rows, only, ..] = &tokens[close + 1..]
        && (is(rows, Keyword::ROW) || is(rows, Keyword::ROWS))
        && is(only, Keyword::ONLY)
    {
        tokens.drain(close + 1..=close + 2);
        tokens.remove(at + 1);
        tokens[at].token = Token::make_keyword("LIMIT");
    }
}

/// What ALTER COLUMN says of the sequence behind an identity column, as the text of a default.
fn changed_identity(tokens: &mut Tokens, at: usize) {
    const OPTIONS: [&str; 8] =
        ["cache", "cycle", "generated", "increment", "maxvalue", "minvalue", "no", "start"];
    let column = tokens.get(at + 1).is_some_and(|token| is(token, Keyword::COLUMN));
    let begin = at + if column { 3 } else { 2 };
    let says = |at: usize, words: &[&str]| match tokens.get(at).map(|token| &token.token) {
        Some(Token::Word(word)) => words.iter().any(|it| word.value.eq_ignore_ascii_case(it)),
        _ => false,
    };
    let changes = says(begin, &["restart"]) || (says(begin, &["set"]) && says(begin + 1, &OPTIONS));
    // The first ALTER is the statement's.
    if at == 0 || !changes {
        return;
    }
    let ends = |token: &TokenWithSpan| matches!(token.token, Token::Comma | Token::SemiColon);
    let end = tokens[begin..].iter().position(ends).map_or(tokens.len(), |end| begin + end);
    let span = tokens[begin].span;
    let said = Token::SingleQuotedString(text_of(&tokens[begin..end]));
    let call = [
        Token::make_keyword("SET"),
        Token::make_keyword("DEFAULT"),
        Token::make_word(IDENTITY, None),
        Token::LParen,
        said,
        Token::RParen,
    ];
    tokens.splice(begin..end, call.map(|token| made(token, span)));
}

#[cfg(test)]
mod tests {
    use sqlparser::dialect::PostgreSqlDialect;
    use sqlparser::tokenizer::{Token, Tokenizer};

    /// Whether both are the same tokens, the first once it is told so.
    pub(super) fn told(written: &str, meant: &str) {
        let found: Vec<Token> = super::tokens(written)
            .expect("well formed")
            .into_iter()
            .map(|token| token.token)
            .collect();
        let mut expected =
            Tokenizer::new(&PostgreSqlDialect {}, meant).tokenize().expect("well formed");
        expected.retain(|token| !matches!(token, Token::Whitespace(_)));
        assert_eq!(found, expected, "{written}");
    }

    #[test]
    fn types_in_front_of_literals_are_casts() {
        told("SELECT inet '1.2.3.4', a.b", "SELECT CAST('1.2.3.4' AS inet), a.b");
        told(
            "SELECT inet E'1', pg_catalog.inet '1'",
            "SELECT CAST(E'1' AS inet), pg_catalog.inet '1'",
        );
        told("SELECT interval(2) '1 s'", "SELECT CAST('1 s' AS interval(2))");
    }

    #[test]
    fn literals_go_on_in_the_next_line() {
        told("SELECT 'a'\n 'b' -- c\n 'd', E'e'\n'f'", "SELECT 'abd', E'ef'");
        told("SELECT inet '1.2'\n'.3.4'", "SELECT CAST('1.2.3.4' AS inet)");
        told(
            "SELECT bit '101', char 'ab'",
            "SELECT CAST('101' AS \"bit\"), CAST('ab' AS \"bpchar\")",
        );
    }

    #[test]
    fn exclusions_are_a_last_term_of_the_order() {
        told(
            "SELECT sum(a) OVER (ORDER BY f(b) ROWS 1 PRECEDING EXCLUDE TIES), exclude",
            "SELECT sum(a) OVER (ORDER BY f(b), \"\u{1}EXCLUDE TIES\" ROWS 1 PRECEDING), exclude",
        );
        told(
            "SELECT 1 FROM t WINDOW w AS (ROWS 1 PRECEDING EXCLUDE CURRENT ROW)",
            "SELECT 1 FROM t WINDOW w AS (ORDER BY \"\u{1}EXCLUDE CURRENT ROW\" ROWS 1 PRECEDING)",
        );
    }

    #[test]
    fn arguments_are_told_by_commas_and_names() {
        told(
            "SELECT substring(substring(a similar b escape c) SIMILAR d ESCAPE e)",
            "SELECT substring(substring(a, b, c), d, e)",
        );
        told(
            "SELECT substring((a SIMILAR TO b ESCAPE c)::text, 1)",
            "SELECT substring((a SIMILAR TO b ESCAPE c)::text, 1)",
        );
        told("SELECT trim(both FROM a), trim(a FROM b)", "SELECT trim(both a), trim(a FROM b)");
        told(
            "SELECT substring(a FOR 1 + (2) FROM b), substring(a FROM 1 FOR 2), substring(a FOR 1)",
            "SELECT substring(a FROM b FOR 1 + (2)), substring(a FROM 1 FOR 2), substring(a FOR 1)",
        );
        told(
            "SELECT pg_catalog.Substring(a, b), c.trim",
            "SELECT pg_catalog.\"substring\"(a, b), c.\"trim\"",
        );
        told("SELECT f(a, VARIADIC b)", "SELECT f(a, towline_variadic => b)");
    }

    #[test]
    fn what_has_no_place_is_a_name() {
        told("SELECT (a).*, b.*", "SELECT (a).\"*\", b.*");
        told(
            "SELECT 1 FROM a JOIN b USING (c, D) AS e",
            "SELECT 1 FROM a JOIN b USING (c, D, \"\u{1}e\")",
        );
        told(
            "INSERT INTO t VALUES (1) ON CONFLICT (lower(a), b) WHERE c DO NOTHING",
            "INSERT INTO t VALUES (1) ON CONFLICT (\"( lower ( a ) , b ) WHERE c\") DO NOTHING",
        );
        told(
            "INSERT INTO t VALUES (1) ON CONFLICT (a, b) DO NOTHING",
            "INSERT INTO t VALUES (1) ON CONFLICT (a, b) DO NOTHING",
        );
    }

    #[test]
    fn operators_by_their_whole_names_compare_with_any() {
        told("SELECT a OPERATOR(pg_catalog.=) ANY (b)", "SELECT a = ANY (b)");
        told("SELECT a OPERATOR(<) ALL (b), c", "SELECT a < ALL (b), c");
        told("SELECT a OPERATOR(pg_catalog.=) b", "SELECT a OPERATOR(pg_catalog.=) b");
    }

    #[test]
    fn lists_may_begin_with_a_query() {
        told(
            "SELECT a IN ((SELECT 1), 2), b NOT IN ((VALUES (1)), (SELECT 2))",
            "SELECT a = ANY (ARRAY[(SELECT 1), 2]), b <> ALL (ARRAY[(VALUES (1)), (SELECT 2)])",
        );
        told("SELECT a IN ((SELECT 1)), b IN (1, 2)", "SELECT a IN ((SELECT 1)), b IN (1, 2)");
        told("SELECT a FETCH NEXT (1 + 1) ROWS ONLY", "SELECT a LIMIT (1 + 1)");
        told("SELECT a FETCH FIRST 2 ROWS ONLY", "SELECT a FETCH FIRST 2 ROWS ONLY");
    }

    #[test]
    fn isnull_is_a_test_where_it_is_no_name() {
        told(
            "SELECT NOT a ISNULL, isnull(b), c.isnull, 1 AS isnull, \"isnull\"",
            "SELECT NOT a IS NULL, isnull(b), c.isnull, 1 AS isnull, \"isnull\"",
        );
    }

    #[test]
    fn parentheses_around_all_go() {
        told(
            "SELECT 1 FROM ROWS FROM (f(1, g(2))) WITH ORDINALITY AS r, ROWS FROM (f(), g())",
            "SELECT 1 FROM f(1, g(2)) WITH ORDINALITY AS r, ROWS FROM (f(), g())",
        );
        told(
            "INSERT INTO a.b (WITH c AS (SELECT 1) SELECT * FROM c) RETURNING d",
            "INSERT INTO a.b WITH c AS (SELECT 1) SELECT * FROM c RETURNING d",
        );
        told("INSERT INTO t (a, b) SELECT 1", "INSERT INTO t (a, b) SELECT 1");
    }

    #[test]
    fn there_is_one_tablespace() {
        told(
            "CREATE TABLE t (a int PRIMARY KEY USING INDEX TABLESPACE pg_default) TABLESPACE \"pg_default\"",
            "CREATE TABLE t (a int PRIMARY KEY)",
        );
        told("CREATE TABLE t (a int) TABLESPACE b", "CREATE TABLE t (a int) TABLESPACE b");
        told("SELECT tablespace pg_default", "SELECT tablespace pg_default");
    }

    #[test]
    fn identity_columns_change() {
        told(
            "ALTER TABLE t ALTER a RESTART, ALTER COLUMN b SET GENERATED ALWAYS SET START 5",
            "ALTER TABLE t ALTER a SET DEFAULT towline_identity('RESTART'), ALTER COLUMN b \
             SET DEFAULT towline_identity('SET GENERATED ALWAYS SET START 5')",
        );
        told("ALTER TABLE t ALTER a SET NOT NULL", "ALTER TABLE t ALTER a SET NOT NULL");
    }

    #[test]
    fn words_are_put_where_they_may_be_left_out() {
        told("CREATE DOMAIN a.b text", "CREATE DOMAIN a.b AS text");
        told("CREATE DOMAIN a AS text", "CREATE DOMAIN a AS text");
        told("CREATE TYPE a AS ENUM (E'b')", "CREATE TYPE a AS ENUM ('b')");
        told(
            "MERGE INTO t USING u ON a WHEN NOT MATCHED THEN INSERT DEFAULT VALUES",
            "MERGE INTO t USING u ON a WHEN NOT MATCHED THEN INSERT VALUES (DEFAULT)",
        );
    }
}
