//! Parsing with `sqlparser`, its errors put into PostgreSQL's words, and what to do
//! with SQL that only SQLite knows.

use sqlparser::ast::Statement;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer, TokenizerError};

use super::{limits, part_syntax, sets};
use crate::pg::{SqlError, SqlState};
use crate::sql::catalog::FIRST_DATABASE;
use crate::sql::scan::Scanner;
use crate::sql::translated::{Kind, Tag, TranslateContext, Translated};
use crate::sql::{Class, classify};

/// Parses exactly one statement.
pub(super) fn parse(text: &str) -> Result<Statement, SqlError> {
    limits::with_stack(|| {
        let dialect = PostgreSqlDialect {};
        let tokens = tokens(text, &dialect).map_err(|error| into_error(&error.into(), text))?;
        check_numbers(&tokens, text)?;
        let mut parser = Parser::new(&dialect)
            .with_recursion_limit(limits::PARSER_DEPTH)
            .with_tokens_with_locations(tokens);
        let statement = parser.parse_statement().map_err(|error| into_error(&error, text))?;
        let next = parser.peek_token();
        if next.token != Token::EOF {
            let near = next.token.to_string();
            let at = position(text, next.span.start.line, next.span.start.column);
            return Err(syntax_error(&near, at));
        }
        Ok(statement)
    })
}

/// Refuses `123abc`, in which the parser would see a number and a name.
fn check_numbers(tokens: &[TokenWithSpan], text: &str) -> Result<(), SqlError> {
    let junk = tokens.windows(2).find_map(|pair| match (&pair[0].token, &pair[1].token) {
        (Token::Number(number, _), Token::Word(word)) if word.quote_style.is_none() => {
            Some((&pair[0], format!("{number}{}", word.value.chars().next()?)))
        }
        _ => None,
    });
    let Some((number, near)) = junk else { return Ok(()) };
    let message = format!("trailing junk after numeric literal at or near \"{near}\"");
    let error = SqlError::new(SqlState::SYNTAX_ERROR, message);
    let start = number.span.start;
    Err(match position(text, start.line, start.column) {
        Some(position) => error.with_position(position),
        None => error,
    })
}

/// The tokens of a statement. An enum's labels are names to `sqlparser`, which it does not
/// take from `E'…'`, and it wants the AS that CREATE DOMAIN may leave out.
fn tokens(text: &str, dialect: &PostgreSqlDialect) -> Result<Vec<TokenWithSpan>, TokenizerError> {
    let mut tokens = Tokenizer::new(dialect, text).tokenize_with_location()?;
    let mut scanner = Scanner::new(text);
    if (scanner.take_word("create") || scanner.take_word("alter")) && scanner.take_word("type") {
        for token in &mut tokens {
            if let Token::EscapedStringLiteral(label) = &mut token.token {
                token.token = Token::SingleQuotedString(std::mem::take(label));
            }
        }
    }
    let mut scanner = Scanner::new(text);
    if scanner.take_word("create") && scanner.take_word("domain") {
        put_as(&mut tokens);
    }
    let words = ["select", "insert", "update", "delete", "with", "values"];
    if words.iter().any(|word| Scanner::new(text).take_word(word)) {
        put_casts(&mut tokens);
    }
    let tokens = variadic(with_pattern(with_precision(tokens)));
    Ok(sets::place(part_syntax::place(default_rows(using_aliases(tokens)))))
}

/// AS behind the name of CREATE DOMAIN, where it is not.
fn put_as(tokens: &mut Vec<TokenWithSpan>) {
    let solid = (0..tokens.len()).filter(|at| !matches!(tokens[*at].token, Token::Whitespace(_)));
    let mut solid = solid.skip(2);
    let mut behind_name = false;
    let type_at = solid.find(|at| match &tokens[*at].token {
        Token::Period => {
            behind_name = false;
            false
        }
        _ => std::mem::replace(&mut behind_name, true),
    });
    if let Some(at) = type_at
        && !matches!(&tokens[at].token, Token::Word(word) if word.keyword == Keyword::AS)
    {
        let span = tokens[at].span;
        tokens.insert(at, TokenWithSpan { token: Token::make_keyword("AS"), span });
    }
}

/// Before the name of what USING merges, where it stands among the columns.
pub(super) const MERGED_AS: char = '\u{1}';

/// Where the tokens stand that are no white space.
fn solid(tokens: &[TokenWithSpan]) -> Vec<usize> {
    (0..tokens.len()).filter(|at| !matches!(tokens[*at].token, Token::Whitespace(_))).collect()
}

fn keyword(token: &TokenWithSpan, keyword: Keyword) -> bool {
    matches!(&token.token, Token::Word(word) if word.keyword == keyword)
}

/// `USING (a, b) AS name`, which `sqlparser` does not know: the name becomes a last column.
fn using_aliases(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let solid = solid(&tokens);
    // From behind, so that places stay what they are.
    for (at, open) in solid.windows(2).enumerate().rev() {
        if !keyword(&tokens[open[0]], Keyword::USING) || tokens[open[1]].token != Token::LParen {
            continue;
        }
        let rest = &solid[at + 2..];
        let listed = |place: &&usize| {
            matches!(&tokens[**place].token, Token::Comma | Token::Word(_))
                && !keyword(&tokens[**place], Keyword::SELECT)
        };
        let length = rest.iter().take_while(listed).count();
        let [close, word, name, ..] = rest[length..] else { continue };
        let Token::Word(alias) = &tokens[name].token else { continue };
        if length == 0
            || tokens[close].token != Token::RParen
            || !keyword(&tokens[word], Keyword::AS)
        {
            continue;
        }
        let folded = match alias.quote_style {
            Some(_) => alias.value.clone(),
            None => crate::sql::scan::fold(&alias.value),
        };
        let span = tokens[name].span;
        let column = Token::make_word(&format!("{MERGED_AS}{folded}"), Some('"'));
        tokens.drain(word..=name);
        tokens.insert(close, TokenWithSpan { token: column, span });
        tokens.insert(close, TokenWithSpan { token: Token::Comma, span });
    }
    tokens
}

/// MERGE … `INSERT DEFAULT VALUES`, which is `INSERT VALUES (DEFAULT)`.
fn default_rows(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    if !tokens.iter().any(|token| keyword(token, Keyword::MERGE)) {
        return tokens;
    }
    for places in solid(&tokens).windows(4).rev() {
        let [then, insert, default, values] = places else { continue };
        if keyword(&tokens[*then], Keyword::THEN)
            && keyword(&tokens[*insert], Keyword::INSERT)
            && keyword(&tokens[*default], Keyword::DEFAULT)
            && keyword(&tokens[*values], Keyword::VALUES)
        {
            let (word, list) = (tokens[*default].clone(), tokens[*values].clone());
            let of = |token| TokenWithSpan { token, span: word.span };
            let row = [list, of(Token::LParen), word.clone(), of(Token::RParen)];
            tokens.splice(*default..=*values, row);
        }
    }
    tokens
}

/// How an argument is named that was written `VARIADIC array`, which `sqlparser` does not know.
pub(super) const VARIADIC: &str = "towline_variadic";

/// `f(VARIADIC array)` as the call with a named argument that `sqlparser` knows.
fn variadic(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut placed = Vec::with_capacity(tokens.len());
    let mut begins = false;
    for token in tokens {
        let is_word = matches!(&token.token, Token::Word(word)
            if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("variadic"));
        if is_word && begins {
            let span = token.span;
            placed.push(TokenWithSpan { token: Token::make_word(VARIADIC, None), span });
            placed.push(TokenWithSpan { token: Token::RArrow, span });
            continue;
        }
        if !matches!(token.token, Token::Whitespace(_)) {
            begins = matches!(token.token, Token::LParen | Token::Comma);
        }
        placed.push(token);
    }
    placed
}

/// `inet '1.2.3.4'` as the cast that it is: `sqlparser` knows few types in front of a literal.
fn put_casts(tokens: &mut Vec<TokenWithSpan>) {
    let solid: Vec<usize> =
        (0..tokens.len()).filter(|at| !matches!(tokens[*at].token, Token::Whitespace(_))).collect();
    // From behind, so that places stay what they are.
    for places in solid.windows(3).rev() {
        let [before, name, literal] = places else { continue };
        let is_name = matches!(
            &tokens[*name].token,
            Token::Word(word) if matches!(word.keyword, Keyword::NoKeyword | Keyword::NAME)
        );
        let is_literal = matches!(
            tokens[*literal].token,
            Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_)
        );
        if !is_name || !is_literal || tokens[*before].token == Token::Period {
            continue;
        }
        let of = |token| TokenWithSpan { token, span: tokens[*literal].span };
        let cast = [
            of(Token::make_keyword("CAST")),
            of(Token::LParen),
            tokens[*literal].clone(),
            of(Token::make_keyword("AS")),
            tokens[*name].clone(),
            of(Token::RParen),
        ];
        tokens.splice(*name..=*literal, cast);
    }
}

/// `INTERVAL(2) '…'` as the cast that it is, which `sqlparser` reads as an interval of 2.
fn with_precision(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let solid = solid(&tokens);
    let literal = |token: &Token| {
        matches!(token, Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_))
    };
    // From behind, so that places stay what they are.
    for places in solid.windows(5).rev() {
        let [first, open, number, close, last] = places else { continue };
        if matches!(&tokens[*first].token, Token::Word(word) if word.keyword == Keyword::INTERVAL)
            && tokens[*open].token == Token::LParen
            && matches!(tokens[*number].token, Token::Number(..))
            && tokens[*close].token == Token::RParen
            && literal(&tokens[*last].token)
        {
            let text = tokens[*last].clone();
            let precision = tokens[*number].clone();
            let of = |token| TokenWithSpan { token, span: text.span };
            let cast = [
                of(Token::make_keyword("CAST")),
                of(Token::LParen),
                text.clone(),
                of(Token::make_keyword("AS")),
                of(Token::make_keyword("INTERVAL")),
                of(Token::LParen),
                precision,
                of(Token::RParen),
                of(Token::RParen),
            ];
            tokens.splice(*first..=*last, cast);
        }
    }
    tokens
}

/// `SUBSTRING(text SIMILAR pattern ESCAPE character)` as the call that it is.
fn with_pattern(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let is = |token: &Token, keyword| matches!(token, Token::Word(word) if word.keyword == keyword);
    let solid: Vec<usize> =
        (0..tokens.len()).filter(|at| !matches!(tokens[*at].token, Token::Whitespace(_))).collect();
    // Whether each open parenthesis is of such a call, and its SIMILAR.
    let mut open: Vec<(bool, Option<usize>)> = Vec::new();
    for (place, at) in solid.iter().copied().enumerate() {
        let beside = |place: usize, keyword| {
            solid.get(place).is_some_and(|at| is(&tokens[*at].token, keyword))
        };
        match (&tokens[at].token, open.last_mut()) {
            (Token::LParen, _) => {
                open.push((beside(place.wrapping_sub(1), Keyword::SUBSTRING), None))
            }
            (Token::RParen, _) => {
                open.pop();
            }
            (token, Some((true, similar))) if is(token, Keyword::SIMILAR) => {
                *similar = (!beside(place + 1, Keyword::TO)).then_some(at);
            }
            (token, Some((true, similar))) if is(token, Keyword::ESCAPE) => {
                if let Some(similar) = similar.take() {
                    tokens[similar].token = Token::Comma;
                    tokens[at].token = Token::Comma;
                }
            }
            _ => {}
        }
    }
    tokens
}

/// `SELECT` alone, which `sqlparser` does not know: one row without columns.
pub(super) fn bare_select(text: &str) -> Option<&'static str> {
    let mut scanner = Scanner::new(text);
    (scanner.take_word("select") && matches!(scanner.next(), Ok(None)))
        .then_some("SELECT FROM (VALUES (1)) AS one_row")
}

/// Parses one expression, as kept in the catalog (defaults, checks).
pub(super) fn parse_expression(text: &str) -> Result<sqlparser::ast::Expr, SqlError> {
    limits::check(text)?;
    limits::with_stack(|| {
        let dialect = PostgreSqlDialect {};
        Parser::new(&dialect)
            .with_recursion_limit(limits::PARSER_DEPTH)
            .try_with_sql(text)
            .and_then(|mut parser| parser.parse_expr())
            .map_err(|error| into_error(&error, text))
    })
}

/// Parses one query, spelled out of parts that have been parsed before.
pub(super) fn parse_query(text: &str) -> Result<sqlparser::ast::Query, SqlError> {
    match parse(text)? {
        Statement::Query(query) => Ok(*query),
        _ => Err(syntax_error(text, None)),
    }
}

/// Parses text that is one expression and nothing else.
pub(super) fn parse_whole_expression(text: &str) -> Result<sqlparser::ast::Expr, SqlError> {
    limits::check(text)?;
    limits::with_stack(|| {
        let dialect = PostgreSqlDialect {};
        let mut parser = Parser::new(&dialect)
            .with_recursion_limit(limits::PARSER_DEPTH)
            .try_with_sql(text)
            .map_err(|error| into_error(&error, text))?;
        let expr = parser.parse_expr().map_err(|error| into_error(&error, text))?;
        match parser.peek_token().token {
            Token::EOF => Ok(expr),
            token => Err(syntax_error(&token.to_string(), None)),
        }
    })
}

pub(super) fn syntax_error(near: &str, position: Option<usize>) -> SqlError {
    let message = if near.is_empty() || near == "EOF" {
        "syntax error at end of input".to_owned()
    } else {
        format!("syntax error at or near \"{near}\"")
    };
    let error = SqlError::new(SqlState::SYNTAX_ERROR, message);
    match position {
        Some(position) => error.with_position(position),
        None => error,
    }
}

pub(super) fn into_error(error: &ParserError, text: &str) -> SqlError {
    let message = match error {
        ParserError::RecursionLimitExceeded => return limits::too_deep(),
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message,
    };
    // "Expected: …, found: X at Line: 1, Column: 8"
    let (head, place) = match message.rsplit_once(" at Line: ") {
        Some((head, place)) => (head, place),
        None => (message.as_str(), ""),
    };
    let at = place.split_once(", Column: ").and_then(|(line, column)| {
        position(text, line.trim().parse().ok()?, column.trim().parse().ok()?)
    });
    match head.rsplit_once("found: ") {
        Some((_, "EOF")) => syntax_error("", Some(text.chars().count() + 1)),
        Some((_, near)) => syntax_error(near, at),
        None => match at {
            Some(at) => syntax_error(&word_at(text, at), Some(at)),
            None => SqlError::new(SqlState::SYNTAX_ERROR, format!("syntax error: {head}")),
        },
    }
}

/// The token at a character position.
fn word_at(text: &str, position: usize) -> String {
    let begin = text.char_indices().nth(position - 1).map_or(text.len(), |(at, _)| at);
    let mut scanner = Scanner::new(&text[begin..]);
    match scanner.next() {
        Ok(Some(_)) => text[begin + scanner.start..begin + scanner.offset()].to_owned(),
        _ => String::new(),
    }
}

/// A line and column of sqlparser's (both from 1, in characters) as a character
/// position in the whole text, from 1; 0 means unknown to it.
pub(super) fn position(text: &str, line: u64, column: u64) -> Option<usize> {
    if line == 0 || column == 0 {
        return None;
    }
    let skip = usize::try_from(line - 1).ok()?;
    let before: usize =
        text.split_inclusive('\n').take(skip).map(|line| line.chars().count()).sum();
    Some(before + usize::try_from(column).ok()?)
}

/// The text itself, for SQLite, with the kind that its first words suggest. Its names are
/// those of the whole file, which are the first database's.
pub(super) fn pass_through(
    text: &str,
    context: &TranslateContext<'_>,
) -> Result<Translated, SqlError> {
    if context.catalog.database != FIRST_DATABASE {
        return Err(SqlError::unsupported("SQLite's dialect in a database other than the first"));
    }
    let mut scanner = Scanner::new(text);
    let first = scanner.next().ok().flatten();
    let is = |word: &str| first.is_some_and(|token| token.is(word));
    let (kind, tag) = match classify(text) {
        Class::Read | Class::Session => (Kind::Read { for_update: false }, Tag::Select),
        _ if is("insert") || is("replace") => (Kind::Write, Tag::Insert),
        _ if is("update") => (Kind::Write, Tag::Update),
        _ if is("delete") => (Kind::Write, Tag::Delete),
        _ if is("select") || is("with") => (Kind::Write, Tag::Select),
        _ if is("create") => (Kind::Ddl { rebuild: false }, Tag::Fixed("CREATE")),
        _ if is("drop") => (Kind::Ddl { rebuild: false }, Tag::Fixed("DROP")),
        _ if is("alter") => (Kind::Ddl { rebuild: false }, Tag::Fixed("ALTER")),
        _ => (Kind::Write, Tag::Fixed("OK")),
    };
    Ok(Translated {
        kind,
        tag,
        params: Vec::new(),
        columns: Vec::new(),
        statements: vec![super::shipped(text.to_owned())],
        notices: Vec::new(),
        demands: vec![super::access::superuser("must be superuser to use SQLite's dialect")],
    })
}

/// Whether it is a statement whose first words no PostgreSQL grammar has, or whose PostgreSQL form
/// is told apart by its words: SQLite may know them.
pub(super) fn only_sqlite_knows(text: &str) -> bool {
    let mut scanner = Scanner::new(text);
    let Ok(Some(first)) = scanner.next() else { return false };
    let second = scanner.peek();
    ["replace", "pragma", "reindex"].iter().any(|word| first.is(word))
        || ((first.is("insert") || first.is("update"))
            && second.is_some_and(|token| token.is("or")))
        || (first.is("create") && mentions_sqlite(scanner))
}

/// CREATE TRIGGER … BEGIN, CREATE VIRTUAL TABLE, AUTOINCREMENT, STRICT, WITHOUT ROWID.
fn mentions_sqlite(mut scanner: Scanner<'_>) -> bool {
    const WORDS: &[&str] = &["begin", "virtual", "autoincrement", "strict", "rowid"];
    while let Ok(Some(token)) = scanner.next() {
        if WORDS.iter().any(|word| token.is(word)) {
            return true;
        }
    }
    false
}
