//! `EXCLUDE …` behind a window's frame, which `sqlparser` does not know.

use sqlparser::ast::{Expr, Ident, OrderByExpr};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::Token;

use super::{Tokens, is, made};

/// What the name of the term begins with that stands for it.
const MARK: &str = "\u{1}EXCLUDE ";

/// The kinds, as SQLite spells them, too.
const KINDS: [&str; 4] = ["NO OTHERS", "CURRENT ROW", "GROUP", "TIES"];

/// The terms of an order that are the window's own, and the frame's exclusion.
pub(in crate::sql::translate) fn taken(order: &[OrderByExpr]) -> (&[OrderByExpr], Option<String>) {
    if let [own @ .., last] = order
        && let Expr::Identifier(Ident { value, .. }) = &last.expr
        && let Some(kind) = value.strip_prefix(MARK)
    {
        return (own, Some(format!("EXCLUDE {kind}")));
    }
    (order, None)
}

/// Puts the exclusion at a place into its window's order.
pub(super) fn place(tokens: &mut Tokens, at: usize) {
    let word = |at: usize| match tokens.get(at).map(|token| &token.token) {
        Some(Token::Word(word)) => word.value.to_ascii_uppercase(),
        _ => String::new(),
    };
    let kind = KINDS.into_iter().find_map(|kind| {
        let end = at + 1 + kind.split(' ').count();
        let written = kind.split(' ').enumerate().all(|(n, part)| word(at + 1 + n) == part);
        let closes = tokens.get(end).is_some_and(|token| token.token == Token::RParen);
        (written && closes).then_some((kind, end))
    });
    let Some((kind, end)) = kind else { return };
    let Some((frame, ordered)) = frame_before(tokens, at) else { return };
    let span = tokens[at].span;
    tokens.drain(at..end);
    let mut order = match ordered {
        true => vec![Token::Comma],
        false => vec![Token::make_keyword("ORDER"), Token::make_keyword("BY")],
    };
    order.push(Token::make_word(&format!("{MARK}{kind}"), Some('"')));
    tokens.splice(frame..frame, order.into_iter().map(|token| made(token, span)));
}

/// Where the frame begins, and whether an order comes before it.
fn frame_before(tokens: &Tokens, end: usize) -> Option<(usize, bool)> {
    const UNITS: [Keyword; 3] = [Keyword::ROWS, Keyword::RANGE, Keyword::GROUPS];
    let (mut depth, mut frame) = (0_usize, None);
    for at in (0..end).rev() {
        match &tokens[at].token {
            Token::RParen => depth += 1,
            Token::LParen if depth == 0 => return frame.map(|frame| (frame, false)),
            Token::LParen => depth -= 1,
            _ if depth > 0 => {}
            _ if frame.is_none() && UNITS.iter().any(|unit| is(&tokens[at], *unit)) => {
                frame = Some(at);
            }
            _ if is(&tokens[at], Keyword::ORDER) => return frame.map(|frame| (frame, true)),
            _ => {}
        }
    }
    None
}
