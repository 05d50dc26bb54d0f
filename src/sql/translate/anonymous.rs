//! DO: PL/pgSQL is not run, but for the blocks by which migrations make what may be
//! there already:
//!
//! ```sql
//! DO $$ BEGIN
//!     CREATE TYPE mood AS ENUM ('sad', 'ok');
//! EXCEPTION WHEN duplicate_object THEN NULL;
//! END $$;
//! ```
//!
//! and the same with `IF NOT EXISTS (SELECT … FROM pg_type WHERE typname = 'mood') THEN
//! … END IF;` around the statement.

use super::translated;
use crate::pg::{SqlError, SqlState};
use crate::sql::scan::{self, Scanner, Token};
use crate::sql::translated::{Kind, Tag, TranslateContext, Translated};

/// What stands behind DO.
pub(super) fn translate(
    text: &str,
    mut scanner: Scanner<'_>,
    context: &TranslateContext<'_>,
) -> Result<Translated, SqlError> {
    let unsupported = || SqlError::unsupported("PL/pgSQL beyond making what may be there already");
    if scanner.take_word("language") {
        let language = scanner.next().map_err(|error| error.into_error(text))?;
        let language = language.and_then(scan::identifier);
        if language.as_deref() != Some("plpgsql") {
            return Err(unsupported());
        }
    }
    let body = match scanner.next() {
        Ok(Some(Token::Literal(literal))) => scan::literal(literal).ok_or_else(unsupported)?,
        _ => return Err(super::syntax::syntax_error("DO", None)),
    };
    let block = Block::read(&body).ok_or_else(unsupported)?;
    let nothing = || translated(Kind::Nothing, Tag::Fixed("DO"), Vec::new(), Vec::new());
    let made = match super::translate(block.statement, context) {
        Ok(made) => made,
        Err(error) if block.forgives(error.state) => return Ok(nothing()),
        Err(error) => return Err(error),
    };
    match made.kind {
        Kind::Ddl { .. } | Kind::Write | Kind::Nothing => {
            Ok(Translated { tag: Tag::Fixed("DO"), columns: Vec::new(), ..made })
        }
        _ => Err(unsupported()),
    }
}

/// A block of one statement.
struct Block<'b> {
    statement: &'b str,
    /// Conditions after which it ends in peace; for a guarded one all that say that
    /// the object is there.
    forgiven: Vec<String>,
    guarded: bool,
}

impl<'b> Block<'b> {
    /// `BEGIN statement; [EXCEPTION WHEN condition THEN NULL;] END`, or the statement
    /// inside `IF NOT EXISTS (…) THEN … END IF`.
    fn read(body: &'b str) -> Option<Self> {
        let mut scanner = Scanner::new(body);
        if !scanner.take_word("begin") {
            return None;
        }
        let guarded = scanner.take_word("if");
        if guarded {
            let asks = scanner.take_word("not") && scanner.take_word("exists");
            if !asks || !asks_the_catalog(&mut scanner)? || !scanner.take_word("then") {
                return None;
            }
        }
        let start = scanner.offset();
        let statement = loop {
            if let Token::Symbol(b';') = scanner.next().ok()?? {
                break body.get(start..scanner.start)?;
            }
        };
        if guarded {
            let ends = scanner.take_word("end") && scanner.take_word("if");
            if !ends || !scanner.take_symbol(b';') {
                return None;
            }
        }
        let mut forgiven = Vec::new();
        if scanner.take_word("exception") {
            while scanner.take_word("when") {
                forgiven.push(scanner.next().ok()?.and_then(scan::identifier)?);
                while scanner.take_word("or") {
                    forgiven.push(scanner.next().ok()?.and_then(scan::identifier)?);
                }
                if !scanner.take_word("then") || !scanner.take_word("null") {
                    return None;
                }
                scanner.take_symbol(b';');
            }
        }
        if !scanner.take_word("end") {
            return None;
        }
        scanner.take_symbol(b';');
        let ended = scanner.next().ok()?.is_none();
        ended.then_some(Self { statement, forgiven, guarded })
    }

    fn forgives(&self, state: SqlState) -> bool {
        let there = [
            ("duplicate_object", SqlState::DUPLICATE_OBJECT),
            ("duplicate_table", SqlState::DUPLICATE_TABLE),
            ("duplicate_column", SqlState::DUPLICATE_COLUMN),
            ("duplicate_schema", SqlState("42P06")),
        ];
        there.iter().any(|(name, known)| {
            *known == state
                && (self.guarded
                    || self.forgiven.iter().any(|said| said == name || said == "others"))
        })
    }
}

/// Passes over `(SELECT … FROM pg_… …)`; whether it asks a system catalog.
fn asks_the_catalog(scanner: &mut Scanner<'_>) -> Option<bool> {
    if !scanner.take_symbol(b'(') {
        return None;
    }
    let (mut depth, mut asks) = (1, false);
    while depth > 0 {
        match scanner.next().ok()?? {
            Token::Symbol(b'(') => depth += 1,
            Token::Symbol(b')') => depth -= 1,
            Token::Word(word) => {
                let word = word.to_ascii_lowercase();
                asks |= word.starts_with("pg_") || word == "information_schema";
            }
            _ => {}
        }
    }
    Some(asks)
}
