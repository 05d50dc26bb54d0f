//! Parsing with `sqlparser`, its errors put into PostgreSQL's words, and what to do
//! with SQL that only SQLite knows.

use sqlparser::ast::Statement;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::{limits, tokens};
use crate::pg::{SqlError, SqlState};
use crate::sql::catalog::FIRST_DATABASE;
use crate::sql::scan::{self, Scanner};
use crate::sql::translated::{Kind, Tag, TranslateContext, Translated};
use crate::sql::{Class, classify};

/// Parses exactly one statement.
pub(super) fn parse(text: &str) -> Result<Statement, SqlError> {
    limits::with_stack(|| {
        let mut parser = parser(text)?;
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

/// A parser of what stands in the text, which is no longer than [`limits`] have it.
pub(super) fn parser(text: &str) -> Result<Parser<'static>, SqlError> {
    check_numbers(text)?;
    let mut tokens = tokens::tokens(text).map_err(|error| into_error(&error.into(), text))?;
    tokens::literals::unescape(&mut tokens, text)?;
    Ok(Parser::new(&PostgreSqlDialect {})
        .with_recursion_limit(limits::PARSER_DEPTH)
        .with_tokens_with_locations(tokens))
}

/// Refuses `123abc`, in which the parser would see a number and a name, and `0x1F` and
/// `1_000`, which are numbers to it.
fn check_numbers(text: &str) -> Result<(), SqlError> {
    let mut scanner = Scanner::new(text);
    while let Ok(Some(token)) = scanner.next() {
        let scan::Token::Number(number) = token else { continue };
        let number = number.strip_suffix('.').unwrap_or(number);
        let digits = number.trim_start_matches(|char: char| char.is_ascii_digit() || char == '.');
        let exponent = digits
            .strip_prefix(['e', 'E'])
            .map(|rest| rest.strip_prefix(['+', '-']).unwrap_or(rest));
        let is_number = digits.is_empty()
            || exponent.is_some_and(|rest| {
                !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit())
            });
        if !is_number {
            let message = format!("trailing junk after numeric literal at or near \"{number}\"");
            let at = text[..scanner.start].chars().count() + 1;
            return Err(SqlError::new(SqlState::SYNTAX_ERROR, message).with_position(at));
        }
    }
    Ok(())
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
    limits::with_stack(|| parser(text)?.parse_expr().map_err(|error| into_error(&error, text)))
}

/// Parses one query, spelled out of parts that have been parsed before.
pub(super) fn parse_query(text: &str) -> Result<sqlparser::ast::Query, SqlError> {
    match parse(text)? {
        Statement::Query(query) => Ok(*query),
        _ => Err(syntax_error(text, None)),
    }
}

/// Parses text that is one expression and nothing else.
pub(in crate::sql) fn parse_whole_expression(text: &str) -> Result<sqlparser::ast::Expr, SqlError> {
    limits::check(text)?;
    limits::with_stack(|| {
        let mut parser = parser(text)?;
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
        rows_of: None,
        no_wait: None,
        current_of: None,
        keys_off: false,
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
