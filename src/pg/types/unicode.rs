//! Characters by their numbers: `unistr('\00e9')` and `U&'\00e9'`.

use crate::pg::{SqlError, SqlState};

/// What `unistr` makes of a text: `\XXXX`, `\+XXXXXX`, `\uXXXX` and `\UXXXXXXXX` are
/// characters, two backslashes are one.
pub fn unistr(text: &str) -> Result<String, SqlError> {
    Reader { escape: '\\', long: true }.read(text)
}

/// What `U&'…' UESCAPE 'c'` stands for: behind `c` are four digits, or `+` and six.
pub fn unescape(text: &str, escape: char) -> Result<String, SqlError> {
    Reader { escape, long: false }.read(text)
}

struct Reader {
    escape: char,
    /// Whether `\u` and `\U` are known, too.
    long: bool,
}

impl Reader {
    fn read(&self, text: &str) -> Result<String, SqlError> {
        let invalid_pair = || syntax("invalid Unicode surrogate pair");
        let mut result = String::with_capacity(text.len());
        // The first half of a pair of surrogates.
        let mut first = None;
        let mut rest = text;
        while let Some(char) = rest.chars().next() {
            rest = &rest[char.len_utf8()..];
            if char != self.escape || rest.starts_with(self.escape) {
                if first.is_some() {
                    return Err(invalid_pair());
                }
                rest =
                    rest.strip_prefix(self.escape).filter(|_| char == self.escape).unwrap_or(rest);
                result.push(char);
                continue;
            }
            let (point, after) = self.point(rest).ok_or_else(|| self.invalid_escape())?;
            rest = after;
            if point == 0 || point > 0x10_ffff {
                return Err(self.invalid_point(point));
            }
            match (first.take(), point) {
                (Some(high), 0xdc00..=0xdfff) => {
                    let whole = 0x1_0000_u32 + ((high - 0xd800) << 10) + (point - 0xdc00);
                    result.extend(char::from_u32(whole));
                }
                (Some(_), _) | (None, 0xdc00..=0xdfff) => return Err(invalid_pair()),
                (None, 0xd800..=0xdbff) => first = Some(point),
                (None, _) => result.extend(char::from_u32(point)),
            }
        }
        if first.is_some() { Err(invalid_pair()) } else { Ok(result) }
    }

    /// The number that an escape names, and what comes behind it.
    fn point<'a>(&self, rest: &'a str) -> Option<(u32, &'a str)> {
        let (mark, digits) = match rest.as_bytes().first() {
            Some(b'+') => (1, 6),
            Some(b'u') if self.long => (1, 4),
            Some(b'U') if self.long => (1, 8),
            _ => (0, 4),
        };
        let hex = rest.get(mark..mark + digits)?;
        let is_hex = hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        let point = u32::from_str_radix(hex, 16).ok().filter(|_| is_hex)?;
        Some((point, &rest[mark + digits..]))
    }

    fn invalid_escape(&self) -> SqlError {
        syntax("invalid Unicode escape").with_hint(if self.long {
            r"Unicode escapes must be \XXXX, \+XXXXXX, \uXXXX, or \UXXXXXXXX."
        } else {
            r"Unicode escapes must be \XXXX or \+XXXXXX."
        })
    }

    fn invalid_point(&self, point: u32) -> SqlError {
        if self.long {
            let message = format!("invalid Unicode code point: {point:04X}");
            return SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message);
        }
        syntax("invalid Unicode escape value")
    }
}

fn syntax(message: &str) -> SqlError {
    SqlError::new(SqlState::SYNTAX_ERROR, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_stand_for_characters() {
        assert_eq!(unistr(r"a\0062\+000063\u0064\U00000065\\f").as_deref(), Ok(r"abcde\f"));
        assert_eq!(unistr(r"\d83d\de00").as_deref(), Ok("\u{1f600}"));
        assert_eq!(unescape("d!0061t!+000061!!", '!').as_deref(), Ok("data!"));
    }

    #[test]
    fn what_names_no_character_is_refused() {
        for (text, state) in [
            (r"\db99", "42601"),
            (r"\db99x", "42601"),
            (r"\de00", "42601"),
            (r"\06", "42601"),
            (r"\+2FFFFF", "22023"),
        ] {
            assert_eq!(unistr(text).map_err(|error| error.state.0), Err(state), "{text}");
        }
        assert!(unescape(r"\u0061", '\\').is_err());
    }
}
