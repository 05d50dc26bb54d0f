//! How stored definitions are respelled for texts that more than one database reads.

use super::scan::{Scanner, Token, literal};

/// A token and whether blank or a comment stood before it.
struct Piece<'a> {
    token: Token<'a>,
    text: &'a str,
    apart: bool,
}

/// `name` as an identifier that no database takes for a keyword, nor folds.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// PostgreSQL's `text` without line ends, nor comments; those inside strings and names are escaped.
pub fn one_line(text: &str) -> String {
    let line = |piece: &Piece<'_>| match piece.token {
        Token::Literal(token) if token.contains('\n') => {
            let value = literal(token).unwrap_or_default();
            let value = value.replace('\\', "\\\\").replace('\'', "''").replace('\n', "\\n");
            format!("E'{value}'")
        }
        Token::Quoted(token) if token.contains('\n') && token.starts_with('"') => {
            format!("U&{}", token.replace('\\', "\\\\").replace('\n', "\\000a"))
        }
        _ => piece.text.to_owned(),
    };
    join(&pieces(text), line)
}

/// PostgreSQL's `text` as SQLite may read it: without the schema `public`, without the
/// type of a literal (`'x'::text`, `(0)::numeric`), escapes in strings resolved. Whether
/// SQLite knows what is left is for it to say.
pub fn for_sqlite(text: &str) -> String {
    let pieces = pieces(text);
    let mut kept: Vec<Piece<'_>> = Vec::new();
    let mut rest = pieces.as_slice();
    while let [piece, after @ ..] = rest {
        let next = after.first().map(|piece| piece.token);
        if piece.token.is("public") && next == Some(Token::Symbol(b'.')) {
            rest = &after[1..];
            if let Some(name) = rest.first() {
                kept.push(Piece { apart: piece.apart, ..*name });
                rest = &rest[1..];
            }
        } else if is_symbol(piece, b':') && next == Some(Token::Symbol(b':')) && ends_literal(&kept)
        {
            rest = after_type(&after[1..]);
        } else {
            kept.push(Piece { ..*piece });
            rest = after;
        }
    }
    join(&kept, |piece| match piece.token {
        Token::Literal(token) if !token.starts_with(['b', 'B', 'x', 'X']) => match literal(token) {
            Some(value) => format!("'{}'", value.replace('\'', "''")),
            None => token.to_owned(),
        },
        _ => piece.text.to_owned(),
    })
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut scanner = Scanner::new(text);
    let mut pieces = Vec::new();
    let mut end = 0;
    // What does not end is the rest.
    while let Ok(Some(token)) = scanner.next() {
        let piece = &text[scanner.start..scanner.offset()];
        pieces.push(Piece { token, text: piece, apart: scanner.start > end && end > 0 });
        end = scanner.offset();
    }
    pieces
}

fn join(pieces: &[Piece<'_>], spelled: impl Fn(&Piece<'_>) -> String) -> String {
    let mut joined = String::new();
    for piece in pieces {
        if piece.apart {
            joined.push(' ');
        }
        joined.push_str(&spelled(piece));
    }
    joined
}

fn is_symbol(piece: &Piece<'_>, symbol: u8) -> bool {
    piece.token == Token::Symbol(symbol)
}

/// Whether a literal ends here, or a literal in parentheses.
fn ends_literal(pieces: &[Piece<'_>]) -> bool {
    let is_literal =
        |piece: &Piece<'_>| matches!(piece.token, Token::Literal(_) | Token::Number(_));
    let [inside @ .., close] = pieces else { return false };
    match inside {
        _ if !is_symbol(close, b')') => is_literal(close),
        [.., open, sign, inside] if is_symbol(open, b'(') => {
            is_symbol(sign, b'-') && is_literal(inside)
        }
        [.., open, inside] => is_symbol(open, b'(') && is_literal(inside),
        _ => false,
    }
}

/// What follows a type's name.
fn after_type<'a, 't>(mut rest: &'a [Piece<'t>]) -> &'a [Piece<'t>] {
    let word = |rest: &[Piece<'_>], word: &str| rest.first().is_some_and(|it| it.token.is(word));
    let symbol = |rest: &[Piece<'_>], sign| rest.first().is_some_and(|it| is_symbol(it, sign));
    let first = rest.first();
    rest = rest.get(1..).unwrap_or_default();
    while symbol(rest, b'.') {
        rest = rest.get(2..).unwrap_or_default();
    }
    let timed = first.is_some_and(|it| it.token.is("timestamp") || it.token.is("time"));
    if word(rest, "varying") || word(rest, "precision") {
        rest = &rest[1..];
    }
    if symbol(rest, b'(') {
        let close = rest.iter().position(|piece| is_symbol(piece, b')'));
        rest = &rest[close.map_or(rest.len(), |at| at + 1)..];
    }
    if timed && (word(rest, "with") || word(rest, "without")) {
        rest = rest.get(3..).unwrap_or_default();
    }
    while symbol(rest, b'[') {
        let close = rest.iter().position(|piece| is_symbol(piece, b']'));
        rest = &rest[close.map_or(rest.len(), |at| at + 1)..];
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_on_one_line_means_the_same() {
        assert_eq!(one_line("a -- no\n  + 'x'"), "a + 'x'");
        assert_eq!(one_line("'a\nb\\''c'"), "E'a\\nb\\\\''c'");
        assert_eq!(one_line("E'\\t\n'"), "E'\t\\n'");
        assert_eq!(one_line("\"a\nb\\\""), "U&\"a\\000ab\\\\\"");
        assert_eq!(one_line("a /* b /* c */ */\r\nc"), "a c");
    }

    #[test]
    fn literals_lose_their_types_and_names_their_schema_for_sqlite() {
        let cases = [
            ("'x'::character varying(3) || b", "'x' || b"),
            ("(n >= (0)::numeric(8, 2))", "(n >= (0))"),
            ("n > (-1)::double precision AND m", "n > (-1) AND m"),
            ("d = '2024-01-01'::timestamp(3) without time zone", "d = '2024-01-01'"),
            ("a = ANY ('{x}'::public.mood[])", "a = ANY ('{x}')"),
            ("SELECT public.a.id FROM public.a", "SELECT a.id FROM a"),
            ("E'a\\'b' = n::text", "'a''b' = n::text"),
            ("x'ff'", "x'ff'"),
        ];
        for (text, expected) in cases {
            assert_eq!(for_sqlite(text), expected, "{text}");
        }
    }
}
