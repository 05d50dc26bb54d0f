//! `json` is kept as written, `jsonb` in PostgreSQL's normal form: members sorted
//! by the length of their key in bytes, then by its bytes; of equal keys the last
//! wins; numbers as numerics, which keep their trailing zeros; one space behind
//! `:` and `,`; only what must be escaped is.
use std::fmt::Write as _;

use crate::pg::{SqlError, SqlState};

/// Deepest nesting; each level costs stack.
const DEPTH_MAX: usize = 256;

/// Fails unless the text is one JSON value.
pub fn check_json(text: &str) -> Result<(), SqlError> {
    Parser { text, at: 0, build: false }.document().map(|_| ())
}

/// The normal form of a JSON text.
pub fn normalize_jsonb(text: &str) -> Result<String, SqlError> {
    let json = Parser { text, at: 0, build: true }.document()?;
    let mut out = String::with_capacity(text.len());
    json.print(&mut out);
    Ok(out)
}

/// Appends a string in quotes, escaped as PostgreSQL does.
pub fn print_json_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => {
                // Writing to memory does not fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

enum Json {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    Array(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl Json {
    fn print(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(true) => out.push_str("true"),
            Self::Bool(false) => out.push_str("false"),
            Self::Number(number) => out.push_str(number),
            Self::Text(text) => print_json_string(text, out),
            Self::Array(elements) => {
                out.push('[');
                for (at, element) in elements.iter().enumerate() {
                    if at > 0 {
                        out.push_str(", ");
                    }
                    element.print(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (at, (key, value)) in members.iter().enumerate() {
                    if at > 0 {
                        out.push_str(", ");
                    }
                    print_json_string(key, out);
                    out.push_str(": ");
                    value.print(out);
                }
                out.push('}');
            }
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    /// Whether the values are wanted, or only the verdict.
    build: bool,
}

impl Parser<'_> {
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
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => Ok(Json::Text(self.string()?)),
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

    fn array(&mut self, depth: usize) -> Result<Json, SqlError> {
        self.at += 1;
        let mut elements = Vec::new();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Json::Array(elements));
        }
        loop {
            let element = self.value(depth + 1, "JSON value")?;
            if self.build {
                elements.push(element);
            }
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Json::Array(elements));
                }
                _ => return Err(self.expected("\",\" or \"]\"")),
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json, SqlError> {
        self.at += 1;
        let mut members: Vec<(String, Json)> = Vec::new();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Json::Object(members));
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
            let value = self.value(depth + 1, "JSON value")?;
            if self.build {
                members.push((key, value));
            }
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Json::Object(sorted(members)));
                }
                _ => return Err(self.expected("\",\" or \"}\"")),
            }
        }
    }

    fn number(&mut self) -> Result<Json, SqlError> {
        let start = self.at;
        let token = self.token_of(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
        let digits = token.strip_prefix('-').unwrap_or(token);
        let (mantissa, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
        let is_digits =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let valid = is_digits(whole)
            && (whole == "0" || !whole.starts_with('0'))
            && is_digits(fraction)
            && is_digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent));
        if !valid {
            return Err(invalid_token(token));
        }
        let number = if self.build { super::numeric::canonical(token)? } else { String::new() };
        self.at = start + token.len();
        Ok(Json::Number(number))
    }

    /// Reads a string; its text is empty unless values are wanted.
    fn string(&mut self) -> Result<String, SqlError> {
        let start = self.at;
        self.at += 1;
        let mut text = String::new();
        loop {
            let rest = &self.text[self.at..];
            let end = rest.find(|c: char| c == '"' || c == '\\' || c < ' ').ok_or_else(|| {
                // The token is the string from its quote on.
                invalid_token(&self.text[start..])
            })?;
            if self.build {
                text.push_str(&rest[..end]);
            }
            self.at += end;
            match rest.as_bytes()[end] {
                b'"' => {
                    self.at += 1;
                    return Ok(text);
                }
                b'\\' => self.escape(&mut text)?,
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

fn sorted(mut members: Vec<(String, Json)>) -> Vec<(String, Json)> {
    // The sort is stable, so that of equal keys the last written stands last.
    members.sort_by(|(a, _), (b, _)| {
        a.len().cmp(&b.len()).then_with(|| a.as_bytes().cmp(b.as_bytes()))
    });
    let mut kept: Vec<(String, Json)> = Vec::with_capacity(members.len());
    for member in members {
        match kept.last_mut() {
            Some(last) if last.0 == member.0 => *last = member,
            _ => kept.push(member),
        }
    }
    kept
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
