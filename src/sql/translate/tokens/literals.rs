//! Literals that go on in a further line, and names and literals with `U&` in front.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::Tokens;
use crate::pg::SqlError;
use crate::pg::types::unicode;
use crate::sql::translate::syntax::position;

/// `'a'` and `'b'` in the next line are `'ab'`.
pub(super) fn continue_over_lines(tokens: &mut Tokens) {
    for at in (1..tokens.len()).rev() {
        let Token::SingleQuotedString(more) = &tokens[at].token else { continue };
        let (before, span) = (tokens[at - 1].span, tokens[at].span);
        if before.end.line >= span.start.line {
            continue;
        }
        let more = more.clone();
        if append(&mut tokens[at - 1].token, &more) {
            tokens[at - 1].span.end = span.end;
            tokens.remove(at);
        }
    }
}

/// A literal's continuation has the kind of its beginning, so that escapes in it can't be
/// told here: such a literal stays as it is.
fn append(token: &mut Token, more: &str) -> bool {
    match token {
        Token::SingleQuotedString(text)
        | Token::SingleQuotedByteStringLiteral(text)
        | Token::HexStringLiteral(text) => text.push_str(more),
        Token::EscapedStringLiteral(text) | Token::UnicodeStringLiteral(text)
            if !more.contains('\\') =>
        {
            text.push_str(more);
        }
        _ => return false,
    }
    true
}

/// Puts `U&"…"` and `U&'…' UESCAPE 'c'` in place, whose text they are.
pub(in crate::sql::translate) fn unescape(tokens: &mut Tokens, text: &str) -> Result<(), SqlError> {
    if !(text.contains("U&") || text.contains("u&")) {
        return Ok(());
    }
    for at in (0..tokens.len()).rev() {
        if let Token::UnicodeStringLiteral(_) = &tokens[at].token
            && let Some(escape) = escape_at(tokens, at + 1)
            && let Some(raw) = written(&tokens[at], text)
        {
            let value = unicode::unescape(&raw.replace("''", "'"), escape)?;
            tokens[at].token = Token::UnicodeStringLiteral(value);
            tokens.drain(at + 1..at + 3);
        } else if let [mark, and, name, ..] = &tokens[at..]
            && let (Token::Word(u), Token::Ampersand, Token::Word(word)) =
                (&mark.token, &and.token, &name.token)
            && u.quote_style.is_none()
            && u.value.eq_ignore_ascii_case("u")
            && word.quote_style == Some('"')
            && mark.span.end == and.span.start
            && and.span.end == name.span.start
        {
            let escape = escape_at(tokens, at + 3);
            let value = unicode::unescape(&word.value, escape.unwrap_or('\\'))?;
            tokens[at].token = Token::make_word(&value, Some('"'));
            tokens.drain(at + 1..at + if escape.is_some() { 5 } else { 3 });
        }
    }
    Ok(())
}

/// The character of `UESCAPE 'c'` at a place.
fn escape_at(tokens: &Tokens, at: usize) -> Option<char> {
    let [word, literal] = tokens.get(at..at + 2)? else { return None };
    let (Token::Word(word), Token::SingleQuotedString(text)) = (&word.token, &literal.token) else {
        return None;
    };
    let mut chars = text.chars();
    let char = chars.next().filter(|_| chars.next().is_none())?;
    let is_free = !char.is_ascii_hexdigit()
        && !char.is_ascii_whitespace()
        && !matches!(char, '+' | '\'' | '"');
    let is_word = word.quote_style.is_none() && word.value.eq_ignore_ascii_case("uescape");
    (is_word && is_free).then_some(char)
}

/// What stands between the quotes of `U&'…'`.
fn written<'t>(token: &TokenWithSpan, text: &'t str) -> Option<&'t str> {
    let byte = |line, column| {
        let at = position(text, line, column)?;
        Some(text.char_indices().nth(at - 1).map_or(text.len(), |(byte, _)| byte))
    };
    let (start, end) = (token.span.start, token.span.end);
    let written = &text[byte(start.line, start.column)?..byte(end.line, end.column)?];
    written.trim_end().get(3..)?.strip_suffix('\'')
}
