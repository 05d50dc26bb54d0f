//! Reading JSON texts, with PostgreSQL's errors.

use std::borrow::Cow;

use super::Json;
use crate::pg::{SqlError, SqlState, with_stack};

/// Deepest nesting; each level costs stack.
const DEPTH_MAX: usize = 256;

/// Fails unless the text is one JSON value.
pub fn check_json(text: &str) -> Result<(), SqlError> {
    Parser { text, at: 0, build: false }.document().map(|_| ())
}

impl Json {
    pub fn parse(text: &str) -> Result<Self, SqlError> {
        Parser { text, at: 0, build: true }.document()
    }
}

/// What a JSON text is made of, each part as it stands there.
pub enum Parts<'a> {
    Scalar,
    Elements(Vec<&'a str>),
    Members(Vec<(Cow<'a, str>, &'a str)>),
}

pub fn parts(text: &str) -> Result<Parts<'_>, SqlError> {
    let mut parser = Parser { text, at: 0, build: true };
    let (mut elements, mut members) = (Vec::new(), Vec::new());
    let first = parser.peek();
    match first {
        Some(b'{') => parser.members(|parser, key| {
            members.push((key, parser.part()?));
            Ok(())
        })?,
        Some(b'[') => parser.elements(|parser| {
            elements.push(parser.part()?);
            Ok(())
        })?,
        _ => return Ok(Parts::Scalar),
    }
    Ok(if first == Some(b'{') { Parts::Members(members) } else { Parts::Elements(elements) })
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    /// Whether the values are wanted, or only the verdict.
    build: bool,
}

impl<'a> Parser<'a> {
    fn document(mut self) -> Result<Json, SqlError> {
        let json = self.value(0, "JSON value")?;
        match self.peek() {
            None => Ok(json),
            Some(_) => Err(self.expected("end of input")),
        }
    }

    /// The next byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(self.at) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    fn value(&mut self, depth: usize, what: &str) -> Result<Json, SqlError> {
        if depth > DEPTH_MAX {
            return Err(SqlError::new(
                SqlState::STATEMENT_TOO_COMPLEX,
                format!("a JSON value is nested more than {DEPTH_MAX} levels deep"),
            ));
        }
        match self.peek() {
            Some(b'{') => with_stack(|| self.object(depth)),
            Some(b'[') => with_stack(|| self.array(depth)),
            Some(b'"') => {
                let string = self.string()?;
                Ok(Json::String(if self.build { string.into_owned() } else { String::new() }))
            }
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(byte) if byte.is_ascii_alphabetic() || byte >= 0x80 => match self.token() {
                "null" => self.word("null", Json::Null),
                "true" => self.word("true", Json::Bool(true)),
                "false" => self.word("false", Json::Bool(false)),
                token => Err(invalid_token(token)),
            },
            _ => Err(self.expected(what)),
        }
    }

    fn word(&mut self, word: &str, json: Json) -> Result<Json, SqlError> {
        self.at += word.len();
        Ok(json)
    }

    /// The text of the value that comes next.
    fn part(&mut self) -> Result<&'a str, SqlError> {
        self.peek();
        let mut skipped = Parser { build: false, ..*self };
        skipped.value(1, "JSON value")?;
        let part = &self.text[self.at..skipped.at];
        self.at = skipped.at;
        Ok(part)
    }

    fn array(&mut self, depth: usize) -> Result<Json, SqlError> {
        let mut elements = Vec::new();
        self.elements(|parser| {
            let element = parser.value(depth + 1, "JSON value")?;
            if parser.build {
                elements.push(element);
            }
            Ok(())
        })?;
        Ok(Json::Array(elements))
    }

    /// Has `take` read each element.
    fn elements(
        &mut self,
        mut take: impl FnMut(&mut Self) -> Result<(), SqlError>,
    ) -> Result<(), SqlError> {
        self.at += 1;
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            take(self)?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.expected("\",\" or \"]\"")),
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json, SqlError> {
        let mut members = Vec::new();
        self.members(|parser, key| {
            let value = parser.value(depth + 1, "JSON value")?;
            if parser.build {
                members.push((key.into_owned(), value));
            }
            Ok(())
        })?;
        Ok(Json::Object(members))
    }

    /// Reads the keys and has `take` read each value.
    fn members(
        &mut self,
        mut take: impl FnMut(&mut Self, Cow<'a, str>) -> Result<(), SqlError>,
    ) -> Result<(), SqlError> {
        self.at += 1;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        let mut what = "string or \"}\"";
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.expected(what));
            }
            what = "string";
            let key = self.string()?;
            if self.peek() != Some(b':') {
                return Err(self.expected("\":\""));
            }
            self.at += 1;
            take(self, key)?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.expected("\",\" or \"}\"")),
            }
        }
    }

    fn number(&mut self) -> Result<Json, SqlError> {
        let start = self.at;
        let token = self.token_of(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
        let digits = token.strip_prefix('-').unwrap_or(token);
        let is_digits =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let is_whole = |part: &str| is_digits(part) && (part == "0" || !part.starts_with('0'));
        let valid = || {
            let (mantissa, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
            let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
            is_whole(whole)
                && is_digits(fraction)
                && is_digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))
        };
        if !is_whole(digits) && !valid() {
            return Err(invalid_token(token));
        }
        let number = if self.build { token.to_owned() } else { String::new() };
        self.at = start + token.len();
        Ok(Json::Number(number))
    }

    /// Reads a string, which has a text only if values are wanted.
    fn string(&mut self) -> Result<Cow<'a, str>, SqlError> {
        let start = self.at;
        self.at += 1;
        let mut text = Cow::Borrowed("");
        loop {
            let rest = &self.text[self.at..];
            let ends = |byte: u8| matches!(byte, b'"' | b'\\' | 0..b' ');
            let end = rest.bytes().position(ends).ok_or_else(|| {
                // The token is the string from its quote on.
                invalid_token(&self.text[start..])
            })?;
            if self.build {
                text += &rest[..end];
            }
            self.at += end;
            match rest.as_bytes()[end] {
                b'"' => {
                    self.at += 1;
                    return Ok(text);
                }
                b'\\' => self.escape(text.to_mut())?,
                byte => {
                    return Err(syntax(format!(
                        "Character with value 0x{byte:02x} must be escaped."
                    )));
                }
            }
        }
    }

    fn escape(&mut self, text: &mut String) -> Result<(), SqlError> {
        let Some(kind) = self.text[self.at + 1..].chars().next() else {
            return Err(syntax("The input string ended unexpectedly.".to_owned()));
        };
        self.at += 1 + kind.len_utf8();
        text.push(match kind {
            '"' | '\\' | '/' => kind,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => return self.unicode(text),
            _ => return Err(syntax(format!("Escape sequence \"\\{kind}\" is invalid."))),
        });
        Ok(())
    }

    fn unicode(&mut self, text: &mut String) -> Result<(), SqlError> {
        let unit = self.hex4()?;
        if !self.build {
            return Ok(());
        }
        let code = match unit {
            0xd800..=0xdbff => {
                let low = if self.text[self.at..].starts_with("\\u") {
                    self.at += 2;
                    self.hex4()?
                } else {
                    0
                };
                if !(0xdc00..=0xdfff).contains(&low) {
                    return Err(syntax(
                        "Unicode low surrogate must follow a high surrogate.".to_owned(),
                    ));
                }
                0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00)
            }
            0xdc00..=0xdfff => {
                return Err(syntax(
                    "Unicode low surrogate must follow a high surrogate.".to_owned(),
                ));
            }
            0 => {
                return Err(SqlError::new(
                    SqlState("22P05"),
                    "unsupported Unicode escape sequence",
                )
                .with_detail("\\u0000 cannot be converted to text."));
            }
            _ => unit,
        };
        text.extend(char::from_u32(code));
        Ok(())
    }

    fn hex4(&mut self) -> Result<u32, SqlError> {
        let digits = self
            .text
            .get(self.at..self.at + 4)
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .ok_or_else(|| {
                syntax("\"\\u\" must be followed by four hexadecimal digits.".to_owned())
            })?;
        self.at += 4;
        Ok(u32::from_str_radix(digits, 16).unwrap_or_default())
    }

    fn token(&self) -> &str {
        self.token_of(|c| c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii())
    }

    fn token_of(&self, belongs: impl Fn(char) -> bool) -> &str {
        let rest = &self.text[self.at..];
        let end = rest.find(|c| !belongs(c)).unwrap_or(rest.len());
        &rest[..end]
    }

    fn expected(&mut self, what: &str) -> SqlError {
        if self.peek().is_none() {
            return syntax("The input string ended unexpectedly.".to_owned());
        }
        let token = self.token();
        if !token.is_empty() {
            return syntax(format!("Expected {what}, but found \"{}\".", shorten(token)));
        }
        match self.text[self.at..].chars().next() {
            Some(c @ ('{' | '}' | '[' | ']' | ':' | ',' | '"')) => {
                syntax(format!("Expected {what}, but found \"{c}\"."))
            }
            other => invalid_token(&other.map(String::from).unwrap_or_default()),
        }
    }
}

fn invalid_token(token: &str) -> SqlError {
    syntax(format!("Token \"{}\" is invalid.", shorten(token)))
}

fn syntax(detail: String) -> SqlError {
    SqlError::new(SqlState::INVALID_TEXT_REPRESENTATION, "invalid input syntax for type json")
        .with_detail(detail)
}

/// As much of a token as an error message should hold.
fn shorten(token: &str) -> &str {
    token.char_indices().nth(100).map_or(token, |(at, _)| &token[..at])
}
