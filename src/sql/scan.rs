//! A light lexer over PostgreSQL's surface: enough to tell words, strings,
//! comments and semicolons apart, without allocation. `split`, `classify` and the
//! parser of utility statements stand on it; everything else is parsed by
//! `sqlparser`.

use crate::pg::{SqlError, SqlState};

/// A token, as a slice of the text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Token<'a> {
    /// An unquoted identifier or keyword, as written.
    Word(&'a str),
    /// `"…"`, with its quotes.
    Quoted(&'a str),
    /// `'…'`, `E'…'`, `$tag$…$tag$` and kin, with prefix and quotes.
    Literal(&'a str),
    Number(&'a str),
    /// `$n`.
    Parameter(&'a str),
    /// Any other single byte.
    Symbol(u8),
}

impl Token<'_> {
    /// Whether this is the unquoted word `keyword`, in any case.
    pub(super) fn is(&self, keyword: &str) -> bool {
        matches!(self, Token::Word(word) if word.eq_ignore_ascii_case(keyword))
    }
}

/// What never closes: its kind and where it began.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Unterminated {
    pub what: &'static str,
    pub offset: usize,
}

impl Unterminated {
    /// The client's error; `text` is the statement that was scanned.
    pub(super) fn into_error(self, text: &str) -> SqlError {
        let mut near: String = text[self.offset..].chars().take(64).collect();
        near.truncate(near.trim_end().len());
        SqlError::new(
            SqlState::SYNTAX_ERROR,
            format!("unterminated {} at or near \"{near}\"", self.what),
        )
        .with_position(text[..self.offset].chars().count() + 1)
    }
}

/// Walks over the tokens of a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scanner<'a> {
    text: &'a str,
    /// Byte offset of what comes next.
    offset: usize,
    /// Byte offset where the last token began.
    pub start: usize,
}

fn is_word_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn is_word_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, offset: 0, start: 0 }
    }

    /// Byte offset of the first byte not yet read.
    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    /// What has not been read yet.
    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.offset..]
    }

    fn byte(&self, ahead: usize) -> u8 {
        self.text.as_bytes().get(self.offset + ahead).copied().unwrap_or(0)
    }

    /// The next token; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Token<'a>>, Unterminated> {
        self.skip_blank()?;
        let bytes = self.text.as_bytes();
        self.start = self.offset;
        let Some(&first) = bytes.get(self.offset) else { return Ok(None) };
        let token = match first {
            b'\'' => {
                self.quoted(b'\'', false, "quoted string")?;
                Token::Literal(self.taken())
            }
            b'"' => {
                self.quoted(b'"', false, "quoted identifier")?;
                Token::Quoted(self.taken())
            }
            b'e' | b'E' if self.byte(1) == b'\'' => {
                self.offset += 1;
                self.quoted(b'\'', true, "quoted string")?;
                Token::Literal(self.taken())
            }
            b'b' | b'B' | b'x' | b'X' | b'n' | b'N' if self.byte(1) == b'\'' => {
                self.offset += 1;
                self.quoted(b'\'', false, "quoted string")?;
                Token::Literal(self.taken())
            }
            b'u' | b'U' if self.byte(1) == b'&' && self.byte(2) == b'\'' => {
                self.offset += 2;
                self.quoted(b'\'', false, "quoted string")?;
                Token::Literal(self.taken())
            }
            b'u' | b'U' if self.byte(1) == b'&' && self.byte(2) == b'"' => {
                self.offset += 2;
                self.quoted(b'"', false, "quoted identifier")?;
                Token::Quoted(self.taken())
            }
            b'$' if self.byte(1).is_ascii_digit() => {
                self.offset += 1;
                self.take_while(|byte| byte.is_ascii_digit());
                Token::Parameter(self.taken())
            }
            b'$' => match self.dollar_tag() {
                Some(tag) => {
                    self.offset += tag.len();
                    match self.text[self.offset..].find(tag) {
                        Some(at) => self.offset += at + tag.len(),
                        None => return Err(self.never_ends("dollar-quoted string")),
                    }
                    Token::Literal(self.taken())
                }
                None => {
                    self.offset += 1;
                    Token::Symbol(b'$')
                }
            },
            _ if is_word_start(first) => {
                self.take_while(is_word_part);
                Token::Word(self.taken())
            }
            _ if first.is_ascii_digit() || (first == b'.' && self.byte(1).is_ascii_digit()) => {
                self.number();
                Token::Number(self.taken())
            }
            _ => {
                self.offset += 1;
                Token::Symbol(first)
            }
        };
        Ok(Some(token))
    }

    /// The next token without taking it; a text that never closes is no token.
    pub(super) fn peek(&self) -> Option<Token<'a>> {
        let mut ahead = *self;
        ahead.next().ok().flatten()
    }

    /// Takes the next token if it is the word `keyword`.
    pub(super) fn take_word(&mut self, keyword: &str) -> bool {
        let mut ahead = *self;
        if matches!(ahead.next(), Ok(Some(token)) if token.is(keyword)) {
            *self = ahead;
            return true;
        }
        false
    }

    /// Takes the next token if it is `symbol`.
    pub(super) fn take_symbol(&mut self, symbol: u8) -> bool {
        let mut ahead = *self;
        if matches!(ahead.next(), Ok(Some(Token::Symbol(found))) if found == symbol) {
            *self = ahead;
            return true;
        }
        false
    }

    fn taken(&self) -> &'a str {
        &self.text[self.start..self.offset]
    }

    fn never_ends(&self, what: &'static str) -> Unterminated {
        Unterminated { what, offset: self.start }
    }

    fn take_while(&mut self, accept: impl Fn(u8) -> bool) {
        let bytes = self.text.as_bytes();
        while bytes.get(self.offset).is_some_and(|byte| accept(*byte)) {
            self.offset += 1;
        }
    }

    fn number(&mut self) {
        self.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        // `1..2` is two dots, not a fraction.
        if self.byte(0) == b'.' && self.byte(1) != b'.' {
            self.offset += 1;
            self.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        }
        let last = self.text.as_bytes()[self.offset - 1];
        if matches!(last, b'e' | b'E') && matches!(self.byte(0), b'+' | b'-') {
            self.offset += 1;
            self.take_while(|byte| byte.is_ascii_digit());
        }
    }

    fn skip_blank(&mut self) -> Result<(), Unterminated> {
        loop {
            self.take_while(|byte| byte.is_ascii_whitespace() || byte == 0x0b);
            match (self.byte(0), self.byte(1)) {
                (b'-', b'-') => match self.text[self.offset..].find('\n') {
                    Some(at) => self.offset += at + 1,
                    None => self.offset = self.text.len(),
                },
                (b'/', b'*') => self.block_comment()?,
                _ => return Ok(()),
            }
        }
    }

    /// Comments nest in PostgreSQL.
    fn block_comment(&mut self) -> Result<(), Unterminated> {
        let bytes = self.text.as_bytes();
        let begin = self.offset;
        let mut depth = 0_usize;
        let mut at = self.offset;
        while at < bytes.len() {
            match (bytes[at], bytes.get(at + 1)) {
                (b'/', Some(b'*')) => {
                    depth += 1;
                    at += 2;
                }
                (b'*', Some(b'/')) => {
                    depth -= 1;
                    at += 2;
                    if depth == 0 {
                        self.offset = at;
                        return Ok(());
                    }
                }
                _ => at += 1,
            }
        }
        Err(Unterminated { what: "/* comment", offset: begin })
    }

    /// From the opening quote to behind the closing one.
    fn quoted(
        &mut self,
        quote: u8,
        backslashes: bool,
        what: &'static str,
    ) -> Result<(), Unterminated> {
        let bytes = self.text.as_bytes();
        let mut at = self.offset + 1;
        while at < bytes.len() {
            if bytes[at] == b'\\' && backslashes {
                at += 2;
            } else if bytes[at] != quote {
                at += 1;
            } else if bytes.get(at + 1) == Some(&quote) {
                at += 2;
            } else {
                self.offset = at + 1;
                return Ok(());
            }
        }
        Err(self.never_ends(what))
    }

    /// `$$` or `$tag$`, if that is what comes.
    fn dollar_tag(&self) -> Option<&'a str> {
        let rest = &self.text[self.offset..];
        let inside = &rest.as_bytes()[1..];
        let end = inside.iter().position(|byte| *byte == b'$')?;
        let tag = &inside[..end];
        let is_tag = tag.first().is_none_or(|byte| is_word_start(*byte))
            && tag.iter().all(|byte| is_word_part(*byte));
        is_tag.then(|| &rest[..end + 2])
    }
}

/// The text of a `"…"` token; other identifiers are folded to lower case.
pub(super) fn identifier(token: Token<'_>) -> Option<String> {
    match token {
        Token::Word(word) => Some(fold(word)),
        Token::Quoted(quoted) => {
            let inside = quoted.strip_prefix('"')?.strip_suffix('"')?;
            Some(inside.replace("\"\"", "\""))
        }
        _ => None,
    }
}

/// Folds an unquoted identifier as PostgreSQL does: ASCII letters only.
pub(super) fn fold(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// The value of a string literal token; `None` for forms it does not know.
pub(super) fn literal(token: &str) -> Option<String> {
    if let Some(rest) = token.strip_prefix('$') {
        let tag = rest.find('$')? + 2;
        return token.get(tag..token.len().checked_sub(tag)?).map(str::to_owned);
    }
    if let Some(rest) = token.strip_prefix(['e', 'E']) {
        return unescape(rest.strip_prefix('\'')?.strip_suffix('\'')?);
    }
    let inside = token.strip_prefix(['n', 'N']).unwrap_or(token);
    Some(inside.strip_prefix('\'')?.strip_suffix('\'')?.replace("''", "'"))
}

/// Resolves the escapes of an `E'…'` string, `''` included. `None` where PostgreSQL
/// would refuse (a NUL, an incomplete code point).
pub(super) fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let number = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>, radix, most: usize| {
        let (mut value, mut digits) = (0_u32, 0);
        while digits < most {
            let Some(digit) = chars.peek().and_then(|c| c.to_digit(radix)) else { break };
            chars.next();
            value = value * radix + digit;
            digits += 1;
        }
        (digits > 0).then_some((value, digits))
    };
    let mut utf8 = [0; 4];
    while let Some(char) = chars.next() {
        if char == '\'' {
            chars.next_if_eq(&'\'');
            bytes.push(b'\'');
            continue;
        }
        if char != '\\' {
            bytes.extend_from_slice(char.encode_utf8(&mut utf8).as_bytes());
            continue;
        }
        match chars.next()? {
            'b' => bytes.push(8),
            'f' => bytes.push(12),
            'n' => bytes.push(b'\n'),
            'r' => bytes.push(b'\r'),
            't' => bytes.push(b'\t'),
            'x' => match number(&mut chars, 16, 2) {
                Some((value, _)) => bytes.push(u8::try_from(value).ok()?),
                None => bytes.push(b'x'),
            },
            short @ ('u' | 'U') => {
                let wanted = if short == 'u' { 4 } else { 8 };
                let (mut value, digits) = number(&mut chars, 16, wanted)?;
                if digits != wanted {
                    return None;
                }
                // A surrogate pair is two escapes.
                if (0xd800..0xdc00).contains(&value) {
                    if chars.next()? != '\\' || !matches!(chars.next()?, 'u' | 'U') {
                        return None;
                    }
                    let (low, _) = number(&mut chars, 16, 4)?;
                    value = 0x10000 + ((value - 0xd800) << 10) + low.checked_sub(0xdc00)?;
                }
                let char = char::from_u32(value)?;
                bytes.extend_from_slice(char.encode_utf8(&mut utf8).as_bytes());
            }
            digit @ '0'..='7' => {
                let mut value = digit.to_digit(8)?;
                if let Some((rest, digits)) = number(&mut chars, 8, 2) {
                    value = value * 8_u32.pow(u32::try_from(digits).ok()?) + rest;
                }
                bytes.push(u8::try_from(value & 0xff).ok()?);
            }
            other => bytes.extend_from_slice(other.encode_utf8(&mut utf8).as_bytes()),
        }
    }
    if bytes.contains(&0) {
        return None;
    }
    String::from_utf8(bytes).ok()
}
