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
/// type of a literal (`'x'::text`, `(0)::numeric`), escapes in strings resolved, and with
/// SQLite's forms of casts, `= ANY (ARRAY[…])`, `~~` and `TRIM(BOTH FROM …)`. Whether it
/// knows what is left is for it to say.
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
            let behind = after_type(&after[1..]);
            bare_number(&mut kept, &after[1..]);
            rest = behind;
        } else if is_symbol(piece, b':')
            && next == Some(Token::Symbol(b':'))
            && cast(&mut kept, &after[1..])
        {
            rest = after_type(&after[1..]);
        } else {
            kept.push(Piece { ..*piece });
            rest = after;
        }
    }
    let kept = with_operators(kept);
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

/// A number that was written as a text, for its sign, is one again.
fn bare_number(kept: &mut [Piece<'_>], written: &[Piece<'_>]) {
    const NUMBERS: [&str; 6] = ["smallint", "integer", "bigint", "numeric", "real", "double"];
    let is_number = NUMBERS.iter().any(|word| written.first().is_some_and(|it| it.token.is(word)));
    if let Some(piece) = kept.last_mut().filter(|_| is_number)
        && let Token::Literal(token) = piece.token
        && let Some(digits) = token.strip_prefix('\'').and_then(|token| token.strip_suffix('\''))
        && digits.parse::<f64>().is_ok_and(f64::is_finite)
    {
        (piece.token, piece.text) = (Token::Number(digits), digits);
    }
}

/// Makes `CAST(… AS …)` of the parentheses that end here, if SQLite has such a type; an array
/// that is written out loses its type.
fn cast(kept: &mut Vec<Piece<'_>>, written: &[Piece<'_>]) -> bool {
    let Some(open) = opening(kept) else { return false };
    let word = |at: usize, word: &str| written.get(at).is_some_and(|it| it.token.is(word));
    let behind = after_type(written);
    let ends = |symbol| {
        let last = written.len().checked_sub(behind.len() + 1).and_then(|at| written.get(at));
        last.is_some_and(|last| is_symbol(last, symbol))
    };
    if ends(b']') {
        return kept.get(open + 1).is_some_and(|piece| piece.token.is("array"));
    }
    let kind = match () {
        _ if ends(b')') => return false,
        _ if word(0, "text") || word(0, "bpchar") || word(1, "varying") => " AS TEXT",
        _ if word(0, "numeric") => " AS NUMERIC",
        _ if word(0, "real") || word(0, "double") => " AS REAL",
        _ => return false,
    };
    let plain = |text| Piece { token: Token::Word(text), text, apart: false };
    let apart = std::mem::replace(&mut kept[open].apart, false);
    kept.insert(kept.len() - 1, plain(kind));
    kept.insert(open, Piece { apart, ..plain("CAST") });
    true
}

/// Where the parenthesis opened that closes at the end.
fn opening(pieces: &[Piece<'_>]) -> Option<usize> {
    if !pieces.last().is_some_and(|last| is_symbol(last, b')')) {
        return None;
    }
    let mut depth = 0_usize;
    for (at, piece) in pieces.iter().enumerate().rev() {
        match piece.token {
            Token::Symbol(b')') => depth += 1,
            Token::Symbol(b'(') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// PostgreSQL's operators as SQLite has them.
fn with_operators(pieces: Vec<Piece<'_>>) -> Vec<Piece<'_>> {
    let mut kept = Vec::with_capacity(pieces.len());
    let mut rest = pieces.as_slice();
    while !rest.is_empty() {
        let symbols = |symbols: &[u8]| {
            let are = rest.iter().zip(symbols).all(|(piece, symbol)| is_symbol(piece, *symbol));
            are && rest.len() > symbols.len()
        };
        let found = [
            ("IN", b"=".as_slice(), "any"),
            ("NOT IN", b"<>", "all"),
            ("LIKE", b"~~*", ""),
            ("NOT LIKE", b"!~~*", ""),
            ("LIKE", b"~~", ""),
            ("NOT LIKE", b"!~~", ""),
            ("trim(", b"", "trim"),
        ]
        .into_iter()
        .find_map(|(word, operator, quantifier)| {
            let behind = symbols(operator).then(|| &rest[operator.len()..])?;
            match quantifier {
                "" => Some((word, &behind[..0], behind)),
                "trim" => {
                    let words = [quantifier, "(", "both", "from"];
                    let are = behind.len() > words.len()
                        && behind
                            .iter()
                            .zip(words)
                            .all(|(it, word)| it.text.eq_ignore_ascii_case(word));
                    are.then(|| (word, &behind[..0], &behind[words.len()..]))
                }
                _ => {
                    let (elements, behind) = elements_of(behind, quantifier)?;
                    Some((word, elements, behind))
                }
            }
        });
        let Some((word, elements, behind)) = found else {
            kept.push(Piece { ..rest[0] });
            rest = &rest[1..];
            continue;
        };
        let plain = |text, apart| Piece { token: Token::Word(text), text, apart };
        kept.push(plain(word, rest[0].apart));
        if word.ends_with("IN") {
            kept.push(plain("(", true));
            kept.extend(elements.iter().map(|piece| Piece { ..*piece }));
            kept.push(plain(")", false));
        }
        rest = behind;
        if word == "trim("
            && let [first, after @ ..] = rest
        {
            kept.push(Piece { apart: false, ..*first });
            rest = after;
        }
    }
    kept
}

/// What stands in the brackets of `ANY (ARRAY[…])`, and what follows.
fn elements_of<'a, 't>(
    rest: &'a [Piece<'t>],
    quantifier: &str,
) -> Option<(&'a [Piece<'t>], &'a [Piece<'t>])> {
    let [first, rest @ ..] = rest else { return None };
    if !first.token.is(quantifier) {
        return None;
    }
    let opened = rest.iter().take_while(|piece| is_symbol(piece, b'(')).count();
    let [array, open, inside @ ..] = &rest[opened..] else { return None };
    if opened == 0 || !array.token.is("array") || !is_symbol(open, b'[') {
        return None;
    }
    let mut depth = 0_usize;
    let end = inside.iter().position(|piece| match piece.token {
        Token::Symbol(b'[') => {
            depth += 1;
            false
        }
        Token::Symbol(b']') if depth == 0 => true,
        Token::Symbol(b']') => {
            depth -= 1;
            false
        }
        _ => false,
    })?;
    let (elements, behind) = (&inside[..end], &inside[end + 1..]);
    let closed = behind.iter().take_while(|piece| is_symbol(piece, b')')).count();
    (closed >= opened).then(|| (elements, &behind[opened..]))
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
            ("((v)::text <> ''::text)", "(CAST(v AS TEXT) <> '')"),
            ("(((a + b))::numeric > n)", "(CAST((a + b) AS NUMERIC) > n)"),
            ("(a)::character varying(3)", "(a)::character varying(3)"),
            ("(s = ANY (ARRAY['a'::text, 'b'::text]))", "(s IN ('a', 'b'))"),
            (
                "((v)::text <> ALL ((ARRAY['a'::character varying, 'b'::text])::text[]))",
                "(CAST(v AS TEXT) NOT IN ('a', 'b'))",
            ),
            ("(s ~~ 'a%'::text) OR (s !~~* 'b'::text)", "(s LIKE 'a%') OR (s NOT LIKE 'b')"),
            ("(TRIM(BOTH FROM s) <> ''::text)", "(trim(s) <> '')"),
            ("(length(s) > '-1'::integer)", "(length(s) > -1)"),
        ];
        for (text, expected) in cases {
            assert_eq!(for_sqlite(text), expected, "{text}");
        }
    }
}
