//! What bounds a statement: size, nesting, chains. Trees are walked and dropped
//! recursively, so depth is bounded before a tree exists; the walk itself grows its
//! stack where it must.

pub(super) use crate::pg::with_stack;
use crate::pg::{SqlError, SqlState};
use crate::sql::scan::{Scanner, Token};

/// Depth of nested expressions and queries.
pub(super) const DEPTH_MAX: usize = 4096;
/// Highest parameter number, as in the protocol.
pub(super) const PARAMETERS_MAX: usize = 65_535;
/// Nesting that the parser accepts (its own measure).
pub(super) const PARSER_DEPTH: usize = 400;
/// Tokens of a statement: the parser holds all of them.
const TOKENS_MAX: usize = 4_000_000;
/// Tokens between two commas or parentheses: operators chain into deep trees.
const CHAIN_MAX: usize = 6_000;
/// Set operations at one level chain too.
const SET_OPERATIONS_MAX: usize = 500;
/// Brackets open at once.
const NESTING_MAX: usize = 400;

pub(super) fn too_deep() -> SqlError {
    SqlError::new(SqlState::STATEMENT_TOO_COMPLEX, "statement is too complex")
        .with_detail("Expressions or queries are nested too deeply.")
}

/// Refuses statements whose trees would be too deep or too large.
pub(super) fn check(text: &str) -> Result<(), SqlError> {
    // A token is a byte at least, so short statements need no count of tokens.
    if text.len() < CHAIN_MAX.min(NESTING_MAX) {
        return Ok(());
    }
    let mut scanner = Scanner::new(text);
    let (mut tokens, mut chain, mut set_operations) = (0_usize, 0_usize, 0_usize);
    // The chain interrupted by each open bracket goes on behind it.
    let mut outer = Vec::new();
    while let Some(token) = scanner.next().map_err(|error| error.into_error(text))? {
        tokens += 1;
        chain += 1;
        match token {
            Token::Symbol(b'(' | b'[') => {
                outer.push(chain);
                chain = 0;
            }
            Token::Symbol(b')' | b']') => chain = outer.pop().unwrap_or(0),
            Token::Symbol(b',') => chain = 0,
            Token::Word(_) if token.is("select") || token.is("from") || token.is("where") => {
                chain = 0;
            }
            Token::Word(_) if token.is("union") || token.is("except") || token.is("intersect") => {
                set_operations += 1;
            }
            _ => {}
        }
        if chain > CHAIN_MAX || outer.len() > NESTING_MAX || set_operations > SET_OPERATIONS_MAX {
            return Err(too_deep());
        }
        if tokens > TOKENS_MAX {
            return Err(SqlError::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("statement has more than {TOKENS_MAX} tokens"),
            ));
        }
    }
    Ok(())
}
