//! Reads a path: tokens first, then by recursive descent.

use super::{Arithmetic, Chain, Comparison, JsonPath, LEAVES, Method, Node, RegexFlags};
use crate::pg::types::numeric;
use crate::pg::{SqlError, SqlState, with_stack};

/// Deeper nesting is refused: reading recurses, and so does evaluating.
const DEPTH_MAX: usize = 64;

/// Operations in one path, whose evaluation recurses as well.
const OPERATIONS_MAX: usize = 300;

#[derive(Clone, Debug, PartialEq)]
enum Token {
    /// A bare word: a keyword or a key.
    Word(String),
    Text(String),
    Number(String),
    Variable(String),
    Symbol(&'static str),
}

const SYMBOLS: &[&str] = &[
    "==", "!=", "<>", "<=", ">=", "&&", "||", "**", "<", ">", "=", "!", "(", ")", "[", "]", "{",
    "}", "?", "@", "$", ".", ",", "+", "-", "*", "/", "%", "&", "|", "#", ":",
];

/// Reads a path expression.
pub fn parse(text: &str) -> Result<JsonPath, SqlError> {
    let tokens = Lexer { text, at: 0 }.tokens()?;
    if tokens.is_empty() {
        return Err(SqlError::new(
            SqlState::INVALID_TEXT_REPRESENTATION,
            format!("invalid input syntax for type jsonpath: \"{text}\""),
        ));
    }
    let mut parser = Parser { text, tokens, at: 0, depth: 0, operations: 0, filters: 0, arrays: 0 };
    let strict = parser.take_word("strict");
    if !strict {
        parser.take_word("lax");
    }
    let expression = parser.or()?;
    if parser.at < parser.tokens.len() {
        return Err(parser.unexpected());
    }
    Ok(JsonPath { strict, expression })
}

fn syntax(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::SYNTAX_ERROR, message)
}

fn near(token: &str) -> SqlError {
    if token.is_empty() {
        return syntax("syntax error at end of jsonpath input");
    }
    syntax(format!("syntax error at or near \"{token}\" of jsonpath input"))
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

fn is_word(char: char) -> bool {
    !char.is_ascii_whitespace() && !"?%$.[]{}()|&!=<>@#,*:-+/\"\\".contains(char)
}

impl Lexer<'_> {
    /// Each token with where it starts.
    fn tokens(mut self) -> Result<Vec<(Token, usize)>, SqlError> {
        let mut tokens = Vec::new();
        loop {
            self.skip_blanks()?;
            let start = self.at;
            let rest = &self.text[start..];
            let Some(first) = rest.chars().next() else { return Ok(tokens) };
            let digit = |at: usize| rest.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
            let token = if first == '"' {
                Token::Text(self.string()?)
            } else if first == '$' && rest[1..].starts_with('"') {
                self.at += 1;
                Token::Variable(self.string()?)
            } else if first == '$' && rest[1..].starts_with(|c| is_word(c) || c == '\\') {
                self.at += 1;
                Token::Variable(self.word()?)
            } else if first.is_ascii_digit() || (first == '.' && digit(1)) {
                Token::Number(self.number()?)
            } else if is_word(first) || first == '\\' {
                Token::Word(self.word()?)
            } else {
                let found = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol));
                let symbol = found.ok_or_else(|| near(&first.to_string()))?;
                self.at += symbol.len();
                Token::Symbol(symbol)
            };
            tokens.push((token, start));
        }
    }

    fn skip_blanks(&mut self) -> Result<(), SqlError> {
        loop {
            let rest = &self.text[self.at..];
            let trimmed = rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']);
            self.at += rest.len() - trimmed.len();
            let Some(comment) = trimmed.strip_prefix("/*") else { return Ok(()) };
            let end = comment
                .find("*/")
                .ok_or_else(|| syntax("unexpected end of comment at end of jsonpath input"))?;
            self.at += end + 4;
        }
    }

    fn number(&mut self) -> Result<String, SqlError> {
        let rest = &self.text[self.at..];
        let digits = |from: usize| rest[from..].bytes().take_while(u8::is_ascii_digit).count();
        let mut end = digits(0);
        let leading_zero = end > 1 && rest.starts_with('0');
        if rest[end..].starts_with('.') {
            end += 1;
            end += digits(end);
        }
        if rest[end..].starts_with(['e', 'E']) {
            let sign = usize::from(rest[end + 1..].starts_with(['+', '-']));
            let exponent = digits(end + 1 + sign);
            if exponent > 0 {
                end += 1 + sign + exponent;
            }
        }
        let junk = rest[end..].chars().next().filter(|next| is_word(*next) || *next == '\\');
        if leading_zero || junk.is_some() {
            let token = &rest[..end + junk.map_or(0, char::len_utf8)];
            return Err(syntax(format!(
                "trailing junk after numeric literal at or near \"{token}\" of jsonpath input"
            )));
        }
        self.at += end;
        let digits = rest[..end].trim_end_matches('.');
        numeric::canonical(&if digits.starts_with('.') {
            format!("0{digits}")
        } else {
            digits.to_owned()
        })
    }

    fn word(&mut self) -> Result<String, SqlError> {
        let mut word = String::new();
        while let Some(next) = self.text[self.at..].chars().next() {
            if next == '\\' {
                self.escape(&mut word)?;
            } else if is_word(next) {
                word.push(next);
                self.at += next.len_utf8();
            } else {
                break;
            }
        }
        Ok(word)
    }

    /// From the opening quote on.
    fn string(&mut self) -> Result<String, SqlError> {
        self.at += 1;
        let mut string = String::new();
        loop {
            match self.text[self.at..].chars().next() {
                None => {
                    return Err(syntax("unterminated quoted string at end of jsonpath input"));
                }
                Some('"') => {
                    self.at += 1;
                    return Ok(string);
                }
                Some('\\') => self.escape(&mut string)?,
                Some(next) => {
                    string.push(next);
                    self.at += next.len_utf8();
                }
            }
        }
    }

    /// From the backslash on.
    fn escape(&mut self, into: &mut String) -> Result<(), SqlError> {
        let rest = &self.text[self.at + 1..];
        let Some(kind) = rest.chars().next() else {
            return Err(syntax("unexpected end after backslash at end of jsonpath input"));
        };
        self.at += 1 + kind.len_utf8();
        into.push(match kind {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            'x' => self.hex(2, "invalid hexadecimal character sequence")?,
            'u' => self.unicode()?,
            other => other,
        });
        Ok(())
    }

    fn unicode(&mut self) -> Result<char, SqlError> {
        let wrong = "invalid Unicode escape sequence";
        if self.text[self.at..].starts_with('{') {
            let rest = &self.text[self.at + 1..];
            let length = rest.find('}').filter(|length| (1..=6).contains(length));
            let length = length.ok_or_else(|| near(wrong))?;
            self.at += 1;
            let found = self.hex(length, wrong)?;
            self.at += 1;
            return Ok(found);
        }
        let high = self.code(4, wrong)?;
        if !(0xd800..0xdc00).contains(&high) {
            return character(high);
        }
        if !self.text[self.at..].starts_with("\\u") {
            return Err(lone_surrogate());
        }
        self.at += 2;
        let low = self.code(4, wrong)?;
        if !(0xdc00..0xe000).contains(&low) {
            return Err(lone_surrogate());
        }
        character(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))
    }

    fn hex(&mut self, digits: usize, wrong: &str) -> Result<char, SqlError> {
        character(self.code(digits, wrong)?)
    }

    fn code(&mut self, digits: usize, wrong: &str) -> Result<u32, SqlError> {
        let code = self
            .text
            .get(self.at..self.at + digits)
            .filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|hex| u32::from_str_radix(hex, 16).ok())
            .ok_or_else(|| syntax(format!("{wrong} at or near \"\\\" of jsonpath input")))?;
        self.at += digits;
        Ok(code)
    }
}

fn lone_surrogate() -> SqlError {
    SqlError::new(SqlState::INVALID_TEXT_REPRESENTATION, "invalid input syntax for type jsonpath")
        .with_detail("Unicode low surrogate must follow a high surrogate.")
}

fn character(code: u32) -> Result<char, SqlError> {
    if code == 0 {
        return Err(SqlError::new(SqlState("22P05"), "unsupported Unicode escape sequence")
            .with_detail("\\u0000 cannot be converted to text."));
    }
    char::from_u32(code).ok_or_else(lone_surrogate)
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<(Token, usize)>,
    at: usize,
    depth: usize,
    operations: usize,
    /// Filters and subscripts around this place, which allow `@` and `last`.
    filters: usize,
    arrays: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    fn take(&mut self, symbol: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Symbol(found)) if *found == symbol);
        self.at += usize::from(found);
        found
    }

    /// Keywords are of any case, but for the JSON literals.
    fn take_word(&mut self, word: &str) -> bool {
        let found =
            matches!(self.peek(), Some(Token::Word(found)) if found.eq_ignore_ascii_case(word));
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, symbol: &str) -> Result<(), SqlError> {
        if self.take(symbol) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn text(&mut self) -> Result<String, SqlError> {
        let Some(Token::Text(text)) = self.peek() else { return Err(self.unexpected()) };
        let text = text.clone();
        self.at += 1;
        Ok(text)
    }

    fn unexpected(&self) -> SqlError {
        let Some((_, start)) = self.tokens.get(self.at) else { return near("") };
        let end = self.tokens.get(self.at + 1).map_or(self.text.len(), |(_, start)| *start);
        near(self.text[*start..end].trim_end())
    }

    fn operation(&mut self) -> Result<(), SqlError> {
        self.operations += 1;
        if self.operations > OPERATIONS_MAX {
            return Err(too_complex());
        }
        Ok(())
    }

    /// A condition or a value, inside of something.
    fn nested(&mut self) -> Result<Chain, SqlError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(too_complex());
        }
        let chain = with_stack(|| self.or());
        self.depth -= 1;
        chain
    }

    fn condition(&mut self) -> Result<Chain, SqlError> {
        let chain = self.nested()?;
        if is_test(&chain) { Ok(chain) } else { Err(self.unexpected()) }
    }

    fn or(&mut self) -> Result<Chain, SqlError> {
        let mut left = self.and()?;
        while is_test(&left) && self.take("||") {
            self.operation()?;
            let right = self.and()?;
            if !is_test(&right) {
                return Err(self.unexpected());
            }
            left = vec![Node::Or(left, right)];
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Chain, SqlError> {
        let mut left = self.not()?;
        while is_test(&left) && self.take("&&") {
            self.operation()?;
            let right = self.not()?;
            if !is_test(&right) {
                return Err(self.unexpected());
            }
            left = vec![Node::And(left, right)];
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Chain, SqlError> {
        if !self.take("!") {
            return self.test();
        }
        if self.take_word("exists") {
            return Ok(vec![Node::Not(vec![self.exists()?])]);
        }
        self.expect("(")?;
        let test = self.condition()?;
        self.expect(")")?;
        Ok(vec![Node::Not(test)])
    }

    fn exists(&mut self) -> Result<Node, SqlError> {
        self.expect("(")?;
        let value = self.nested()?;
        if is_test(&value) {
            return Err(self.unexpected());
        }
        self.expect(")")?;
        Ok(Node::Exists(value))
    }

    fn test(&mut self) -> Result<Chain, SqlError> {
        let left = self.sum()?;
        if is_test(&left) {
            if self.take_word("is") {
                if !self.take_word("unknown") {
                    return Err(self.unexpected());
                }
                return Ok(vec![Node::IsUnknown(left)]);
            }
            return Ok(left);
        }
        let comparison = match self.peek() {
            Some(Token::Symbol("==" | "=")) => Some(Comparison::Equal),
            Some(Token::Symbol("!=" | "<>")) => Some(Comparison::NotEqual),
            Some(Token::Symbol("<")) => Some(Comparison::Less),
            Some(Token::Symbol("<=")) => Some(Comparison::LessOrEqual),
            Some(Token::Symbol(">")) => Some(Comparison::Greater),
            Some(Token::Symbol(">=")) => Some(Comparison::GreaterOrEqual),
            _ => None,
        };
        if let Some(comparison) = comparison {
            self.at += 1;
            let right = self.sum()?;
            if is_test(&right) {
                return Err(self.unexpected());
            }
            return Ok(vec![Node::Compare(comparison, left, right)]);
        }
        if self.take_word("starts") {
            if !self.take_word("with") {
                return Err(self.unexpected());
            }
            let start = match self.peek().cloned() {
                Some(Token::Text(text)) => Node::Text(text),
                Some(Token::Variable(name)) => Node::Variable(name),
                _ => return Err(self.unexpected()),
            };
            self.at += 1;
            return Ok(vec![Node::StartsWith(left, vec![start])]);
        }
        if self.take_word("like_regex") {
            let pattern = self.text()?;
            let flags = if self.take_word("flag") {
                regex_flags(&self.text()?)?
            } else {
                RegexFlags::default()
            };
            return Ok(vec![Node::LikeRegex { value: left, pattern, flags }]);
        }
        Ok(left)
    }

    fn sum(&mut self) -> Result<Chain, SqlError> {
        let mut left = self.product()?;
        while !is_test(&left) {
            let op = match self.peek() {
                Some(Token::Symbol("+")) => Arithmetic::Add,
                Some(Token::Symbol("-")) => Arithmetic::Subtract,
                _ => break,
            };
            self.at += 1;
            let right = self.product()?;
            left = self.arithmetic(op, left, right)?;
        }
        Ok(left)
    }

    fn product(&mut self) -> Result<Chain, SqlError> {
        let mut left = self.sign()?;
        while !is_test(&left) {
            let op = match self.peek() {
                Some(Token::Symbol("*")) => Arithmetic::Multiply,
                Some(Token::Symbol("/")) => Arithmetic::Divide,
                Some(Token::Symbol("%")) => Arithmetic::Modulo,
                _ => break,
            };
            self.at += 1;
            let right = self.sign()?;
            left = self.arithmetic(op, left, right)?;
        }
        Ok(left)
    }

    fn arithmetic(&mut self, op: Arithmetic, left: Chain, right: Chain) -> Result<Chain, SqlError> {
        self.operation()?;
        if is_test(&right) {
            return Err(self.unexpected());
        }
        Ok(vec![Node::Arithmetic(op, left, right)])
    }

    fn sign(&mut self) -> Result<Chain, SqlError> {
        let minus = match self.peek() {
            Some(Token::Symbol("+")) => false,
            Some(Token::Symbol("-")) => true,
            _ => return self.primary(),
        };
        self.at += 1;
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(too_complex());
        }
        let value = self.sign()?;
        self.depth -= 1;
        if is_test(&value) {
            return Err(self.unexpected());
        }
        Ok(match value.as_slice() {
            [Node::Number(_)] if !minus => value,
            [Node::Number(number)] => vec![Node::Number(match number.strip_prefix('-') {
                Some(positive) => positive.to_owned(),
                None if number == "0" => number.clone(),
                None => format!("-{number}"),
            })],
            _ => vec![Node::Sign(minus, value)],
        })
    }

    fn primary(&mut self) -> Result<Chain, SqlError> {
        let Some(token) = self.peek().cloned() else { return Err(self.unexpected()) };
        let mut chain = match token {
            Token::Symbol("(") => {
                self.at += 1;
                let inner = self.nested()?;
                self.expect(")")?;
                inner
            }
            Token::Symbol("$") => self.one(Node::Root),
            Token::Symbol("@") if self.filters == 0 => {
                return Err(syntax("@ is not allowed in root expressions"));
            }
            Token::Symbol("@") => self.one(Node::Current),
            Token::Text(text) => self.one(Node::Text(text)),
            Token::Number(number) => self.one(Node::Number(number)),
            Token::Variable(name) => self.one(Node::Variable(name)),
            Token::Word(word) => match word.as_str() {
                "null" => self.one(Node::Null),
                "true" => self.one(Node::Bool(true)),
                "false" => self.one(Node::Bool(false)),
                _ if word.eq_ignore_ascii_case("last") => {
                    if self.arrays == 0 {
                        return Err(syntax("LAST is allowed only in array subscripts"));
                    }
                    self.one(Node::Last)
                }
                _ if word.eq_ignore_ascii_case("exists") => {
                    self.at += 1;
                    return Ok(vec![self.exists()?]);
                }
                _ => return Err(self.unexpected()),
            },
            Token::Symbol(_) => return Err(self.unexpected()),
        };
        while let Some(accessor) = self.accessor()? {
            self.operation()?;
            chain.push(accessor);
        }
        Ok(chain)
    }

    fn one(&mut self, node: Node) -> Chain {
        self.at += 1;
        vec![node]
    }

    fn accessor(&mut self) -> Result<Option<Node>, SqlError> {
        if self.take("?") {
            self.expect("(")?;
            self.filters += 1;
            let condition = self.condition()?;
            self.filters -= 1;
            self.expect(")")?;
            return Ok(Some(Node::Filter(condition)));
        }
        if self.take("[") {
            if self.take("*") {
                self.expect("]")?;
                return Ok(Some(Node::AnyElement));
            }
            self.arrays += 1;
            let subscripts = self.subscripts()?;
            self.arrays -= 1;
            return Ok(Some(Node::Subscripts(subscripts)));
        }
        if !self.take(".") {
            return Ok(None);
        }
        if self.take("*") {
            return Ok(Some(Node::AnyKey));
        }
        if self.take("**") {
            return self.levels().map(Some);
        }
        let name = match self.peek().cloned() {
            Some(Token::Text(text)) => {
                self.at += 1;
                return Ok(Some(Node::Key(text)));
            }
            Some(Token::Word(word)) => word,
            _ => return Err(self.unexpected()),
        };
        self.at += 1;
        if !matches!(self.peek(), Some(Token::Symbol("("))) {
            return Ok(Some(Node::Key(name)));
        }
        let lower = name.to_ascii_lowercase();
        if lower == "datetime" {
            self.at += 1;
            let template = if self.take(")") {
                None
            } else {
                let template = self.text()?;
                self.expect(")")?;
                Some(template)
            };
            return Ok(Some(Node::DateTime(template)));
        }
        let Some(method) = Method::named(&lower) else { return Err(self.unexpected()) };
        self.at += 1;
        self.expect(")")?;
        Ok(Some(Node::Method(method)))
    }

    fn subscripts(&mut self) -> Result<Vec<(Chain, Option<Chain>)>, SqlError> {
        let mut subscripts = Vec::new();
        loop {
            let first = self.subscript()?;
            let last = if self.take_word("to") { Some(self.subscript()?) } else { None };
            subscripts.push((first, last));
            if self.take("]") {
                return Ok(subscripts);
            }
            self.expect(",")?;
        }
    }

    fn subscript(&mut self) -> Result<Chain, SqlError> {
        let chain = self.nested()?;
        if is_test(&chain) { Err(self.unexpected()) } else { Ok(chain) }
    }

    /// Behind `.**`.
    fn levels(&mut self) -> Result<Node, SqlError> {
        if !self.take("{") {
            return Ok(Node::Levels(0, LEAVES));
        }
        let first = self.level()?;
        let last = if self.take_word("to") { self.level()? } else { first };
        self.expect("}")?;
        Ok(Node::Levels(first, last))
    }

    fn level(&mut self) -> Result<u32, SqlError> {
        if self.take_word("last") {
            return Ok(LEAVES);
        }
        let level = match self.peek() {
            Some(Token::Number(number)) => number.parse().ok(),
            _ => None,
        };
        let level = level.ok_or_else(|| self.unexpected())?;
        self.at += 1;
        Ok(level)
    }
}

/// Whether the whole of a chain is a test.
fn is_test(chain: &Chain) -> bool {
    matches!(chain.as_slice(), [only] if only.is_test())
}

fn too_complex() -> SqlError {
    SqlError::new(SqlState::STATEMENT_TOO_COMPLEX, "a JSON path is nested too deeply")
}

fn regex_flags(letters: &str) -> Result<RegexFlags, SqlError> {
    let mut flags = RegexFlags::default();
    for letter in letters.chars() {
        match letter {
            'i' => flags.ignore_case = true,
            's' => flags.dot_matches_all = true,
            'm' => flags.lines = true,
            'q' => flags.literal = true,
            'x' => {
                return Err(SqlError::unsupported(
                    "XQuery \"x\" flag (expanded regular expressions)",
                ));
            }
            other => {
                return Err(SqlError::new(
                    SqlState::SYNTAX_ERROR,
                    "invalid input syntax for type jsonpath",
                )
                .with_detail(format!(
                    "Unrecognized flag character \"{other}\" in LIKE_REGEX predicate."
                )));
            }
        }
    }
    Ok(flags)
}
