//! Arrays: PostgreSQL's literals (`{1,NULL,"a b"}`, `[0:1]={..}`), and the binary
//! form:
//!
//! | bytes        | meaning                               |
//! |--------------|---------------------------------------|
//! | i32          | dimensions, 0 for an empty array      |
//! | i32          | 1 if there are NULLs                  |
//! | u32          | OID of the element type               |
//! | (i32 i32) ×  | a dimension's length and lower bound  |
//! | (i32 bytes) ×| an element's length (-1 NULL), itself |
use bytes::{BufMut, Bytes, BytesMut};

use super::{Oid, invalid_binary, type_name};
use crate::pg::wire::Reader;
use crate::pg::{SqlError, SqlState};

/// Most dimensions, as in PostgreSQL.
const DIMENSIONS_MAX: usize = 6;

/// An array of any type, elements in their text form, row-major.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Array {
    /// Length and lower bound of each dimension; none for an empty array.
    pub dimensions: Vec<(i32, i32)>,
    pub elements: Vec<Option<String>>,
}

impl Array {
    /// A one-dimensional array with lower bound 1.
    pub fn new(elements: Vec<Option<String>>) -> Self {
        let dimensions =
            if elements.is_empty() { Vec::new() } else { vec![(elements.len() as i32, 1)] };
        Self { dimensions, elements }
    }

    /// Reads a literal.
    pub fn parse(text: &str) -> Result<Self, SqlError> {
        Parser { text, at: 0, array: Self::default() }.run().map_err(|problem| match problem {
            Problem::Malformed(detail) => SqlError::new(
                SqlState::INVALID_TEXT_REPRESENTATION,
                format!("malformed array literal: \"{text}\""),
            )
            .with_detail(detail),
            Problem::Other(error) => *error,
        })
    }

    /// Prints the literal.
    pub fn print(&self, out: &mut String) {
        if self.dimensions.is_empty() {
            out.push_str("{}");
            return;
        }
        if self.dimensions.iter().any(|(_, lower)| *lower != 1) {
            for (length, lower) in &self.dimensions {
                let upper = i64::from(*lower) + i64::from(*length) - 1;
                out.push_str(&format!("[{lower}:{upper}]"));
            }
            out.push('=');
        }
        let mut elements = self.elements.iter();
        self.print_level(0, &mut elements, out);
    }

    fn print_level<'a>(
        &self,
        level: usize,
        elements: &mut impl Iterator<Item = &'a Option<String>>,
        out: &mut String,
    ) {
        out.push('{');
        for at in 0..self.dimensions[level].0 {
            if at > 0 {
                out.push(',');
            }
            if level + 1 < self.dimensions.len() {
                self.print_level(level + 1, elements, out);
            } else {
                match elements.next() {
                    Some(Some(element)) => print_element(element, out),
                    _ => out.push_str("NULL"),
                }
            }
        }
        out.push('}');
    }

    /// Appends the binary form; `encode` appends an element's.
    pub fn encode_binary(
        &self,
        element_type: Oid,
        out: &mut BytesMut,
        mut encode: impl FnMut(&str, &mut BytesMut) -> Result<(), SqlError>,
    ) -> Result<(), SqlError> {
        out.put_i32(self.dimensions.len() as i32);
        out.put_i32(self.elements.iter().any(Option::is_none).into());
        out.put_u32(element_type.0);
        for (length, lower) in &self.dimensions {
            out.put_i32(*length);
            out.put_i32(*lower);
        }
        for element in &self.elements {
            let Some(element) = element else {
                out.put_i32(-1);
                continue;
            };
            let at = out.len();
            out.put_i32(0);
            encode(element, out)?;
            let length = i32::try_from(out.len() - at - 4)
                .map_err(|_| too_large("an array element is too long"))?;
            out[at..at + 4].copy_from_slice(&length.to_be_bytes());
        }
        Ok(())
    }

    /// Reads the binary form; `decode` turns an element's into its text form.
    pub fn decode_binary(
        bytes: &[u8],
        element_type: Oid,
        mut decode: impl FnMut(&[u8]) -> Result<String, SqlError>,
    ) -> Result<Self, SqlError> {
        let mut body = Reader(Bytes::copy_from_slice(bytes));
        let short = |_| invalid_binary("array");
        let count = body.i32().map_err(short)?;
        let flags = body.i32().map_err(short)?;
        let found = Oid(body.u32().map_err(short)?);
        let count = usize::try_from(count).map_err(|_| invalid_binary("array"))?;
        if count > DIMENSIONS_MAX {
            return Err(too_many_dimensions(count));
        }
        if !matches!(flags, 0 | 1) {
            return Err(SqlError::new(
                SqlState::INVALID_BINARY_REPRESENTATION,
                "invalid array flags",
            ));
        }
        if found != element_type {
            return Err(SqlError::new(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "binary data has array element type {} ({}) instead of expected {} ({})",
                    found.0,
                    type_name(found),
                    element_type.0,
                    type_name(element_type)
                ),
            ));
        }
        let mut array = Self::default();
        let mut total: usize = 1;
        for _ in 0..count {
            let (length, lower) = (body.i32().map_err(short)?, body.i32().map_err(short)?);
            if length < 0 || lower.checked_add(length).is_none() {
                return Err(invalid_binary("array"));
            }
            total = total.saturating_mul(length as usize);
            array.dimensions.push((length, lower));
        }
        if count == 0 {
            total = 0;
        }
        // Each element has at least its length.
        body.demand(total.saturating_mul(4)).map_err(short)?;
        for _ in 0..total {
            let element = body.value().map_err(short)?;
            array.elements.push(element.map(|bytes| decode(&bytes)).transpose()?);
        }
        body.finish().map_err(short)?;
        if total == 0 {
            array.dimensions.clear();
        }
        Ok(array)
    }
}

fn print_element(element: &str, out: &mut String) {
    let plain = !element.is_empty()
        && !element.eq_ignore_ascii_case("null")
        && !element.contains(|c: char| matches!(c, '"' | '\\' | '{' | '}' | ',') || is_space(c));
    if plain {
        out.push_str(element);
        return;
    }
    out.push('"');
    for c in element.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}

fn is_space(c: char) -> bool {
    c.is_ascii_whitespace() || c == '\x0b'
}

enum Problem {
    Malformed(String),
    Other(Box<SqlError>),
}

fn other(error: SqlError) -> Problem {
    Problem::Other(Box::new(error))
}

fn malformed<T>(detail: &str) -> Result<T, Problem> {
    Err(Problem::Malformed(detail.to_owned()))
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    array: Array,
}

impl Parser<'_> {
    fn run(mut self) -> Result<Array, Problem> {
        let bounds = self.bounds()?;
        if self.peek() != Some('{') {
            return malformed(if bounds.is_empty() {
                "Array value must start with \"{\" or dimension information."
            } else {
                "Array contents must start with \"{\"."
            });
        }
        self.level(0)?;
        if self.peek().is_some() {
            return malformed("Junk after closing right brace.");
        }
        if self.array.elements.is_empty() {
            // However many braces: empty, and without dimensions.
            self.array.dimensions.clear();
        }
        if !bounds.is_empty() {
            let lengths = |dimensions: &[(i32, i32)]| -> Vec<i32> {
                dimensions.iter().map(|(length, _)| *length).collect()
            };
            if lengths(&bounds) != lengths(&self.array.dimensions) {
                return malformed("Specified array dimensions do not match array contents.");
            }
            self.array.dimensions = bounds;
        }
        Ok(self.array)
    }

    /// The next character that is no white space.
    fn peek(&mut self) -> Option<char> {
        let rest = &self.text[self.at..];
        let trimmed = rest.trim_start_matches(is_space);
        self.at += rest.len() - trimmed.len();
        trimmed.chars().next()
    }

    /// `[l:u]…=` or `[n]…=`.
    fn bounds(&mut self) -> Result<Vec<(i32, i32)>, Problem> {
        let mut bounds = Vec::new();
        while self.peek() == Some('[') {
            let rest = &self.text[self.at + 1..];
            let Some((inner, _)) = rest.split_once(']') else {
                return malformed("Missing \"]\" after array dimensions.");
            };
            self.at += inner.len() + 2;
            let (lower, upper) = inner.split_once(':').unwrap_or(("1", inner));
            let (Ok(lower), Ok(upper)) = (lower.parse::<i32>(), upper.parse::<i32>()) else {
                return malformed("\"[\" must introduce explicitly-specified array dimensions.");
            };
            if upper < lower {
                return Err(other(SqlError::new(
                    SqlState("2202E"),
                    "upper bound cannot be less than lower bound",
                )));
            }
            let length = upper.checked_sub(lower).and_then(|length| length.checked_add(1));
            let Some(length) = length else {
                return Err(other(too_large("array size exceeds the maximum allowed")));
            };
            bounds.push((length, lower));
            if bounds.len() > DIMENSIONS_MAX {
                return Err(other(too_many_dimensions(bounds.len())));
            }
        }
        if !bounds.is_empty() {
            if self.peek() != Some('=') {
                return malformed("Missing \"=\" after array dimensions.");
            }
            self.at += 1;
        }
        Ok(bounds)
    }

    /// Reads from `{` to its `}`.
    fn level(&mut self, level: usize) -> Result<(), Problem> {
        if level >= DIMENSIONS_MAX {
            return Err(other(too_many_dimensions(level + 1)));
        }
        self.at += 1;
        // What lies in the first brace of a level fixes it for all.
        let known = self.array.dimensions.len() > level;
        if !known {
            self.array.dimensions.push((-1, 1));
        }
        let mut count = 0;
        loop {
            match self.peek() {
                None => return malformed("Unexpected end of input."),
                Some('}') if count == 0 && level == 0 => {}
                Some('}') => return malformed("Unexpected \"}\" character."),
                Some('{') => {
                    // Elements were seen at this depth before, or braces were not.
                    let is_leaf = self.array.dimensions.len() == level + 1
                        && (count > 0 || self.array.dimensions[level].0 >= 0);
                    if is_leaf {
                        return malformed("Unexpected \"{\" character.");
                    }
                    self.level(level + 1)?;
                    count += 1;
                }
                Some(_) => {
                    if self.array.dimensions.len() > level + 1 {
                        return malformed("Unexpected array element.");
                    }
                    let element = self.element()?;
                    self.array.elements.push(element);
                    count += 1;
                }
            }
            match self.peek() {
                Some(',') if count > 0 => self.at += 1,
                Some('}') => break,
                None => return malformed("Unexpected end of input."),
                Some(_) => return malformed("Unexpected array element."),
            }
            if self.peek() == Some('}') {
                return malformed("Unexpected \"}\" character.");
            }
        }
        self.at += 1;
        let length = &mut self.array.dimensions[level].0;
        if *length == -1 {
            *length = count;
        } else if *length != count {
            return malformed(
                "Multidimensional arrays must have sub-arrays with matching dimensions.",
            );
        }
        Ok(())
    }

    fn element(&mut self) -> Result<Option<String>, Problem> {
        let mut element = String::new();
        if self.text[self.at..].starts_with('"') {
            let mut chars = self.text[self.at + 1..].char_indices();
            while let Some((at, c)) = chars.next() {
                match c {
                    '"' => {
                        self.at += at + 2;
                        return Ok(Some(element));
                    }
                    '\\' => match chars.next() {
                        Some((_, c)) => element.push(c),
                        None => break,
                    },
                    _ => element.push(c),
                }
            }
            return malformed("Unexpected end of input.");
        }
        let rest = &self.text[self.at..];
        let mut chars = rest.char_indices();
        // Escaped characters count even if they are white space.
        let mut kept = 0;
        let mut escaped = false;
        let mut end = rest.len();
        while let Some((at, c)) = chars.next() {
            match c {
                ',' | '}' => {
                    end = at;
                    break;
                }
                '{' => return malformed("Unexpected \"{\" character."),
                '"' => return malformed("Unexpected array element."),
                '\\' => {
                    let Some((_, c)) = chars.next() else {
                        return malformed("Unexpected end of input.");
                    };
                    element.push(c);
                    kept = element.len();
                    escaped = true;
                }
                _ => {
                    element.push(c);
                    if !is_space(c) {
                        kept = element.len();
                    }
                }
            }
        }
        self.at += end;
        element.truncate(kept);
        if element.is_empty() {
            let next = rest[end..].chars().next();
            return match next {
                Some(c) => malformed(&format!("Unexpected \"{c}\" character.")),
                None => malformed("Unexpected end of input."),
            };
        }
        Ok(if !escaped && element.eq_ignore_ascii_case("null") { None } else { Some(element) })
    }
}

fn too_many_dimensions(count: usize) -> SqlError {
    too_large(&format!(
        "number of array dimensions ({count}) exceeds the maximum allowed ({DIMENSIONS_MAX})"
    ))
}

fn too_large(message: &str) -> SqlError {
    SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message)
}
