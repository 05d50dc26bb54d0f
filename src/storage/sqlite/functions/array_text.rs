//! Arrays as texts: PostgreSQL's array literals (`{1,NULL,"a b"}`), and the vectors
//! of its catalogs (`1 2 3`), which count from 0.

use std::borrow::Cow;

use crate::pg::{SqlError, SqlState};

/// An element of an array.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Element {
    Null,
    Text(String),
    /// A row of a further dimension.
    Array(Vec<Self>),
}

/// Dimensions that PostgreSQL allows.
const DIMENSIONS_MAX: usize = 6;

fn malformed(text: &str) -> SqlError {
    SqlError::new(
        SqlState::INVALID_TEXT_REPRESENTATION,
        format!("malformed array literal: \"{text}\""),
    )
}

/// Whether a text is a vector, not an array literal.
pub(super) fn is_vector(text: &str) -> bool {
    !text.trim_start().starts_with(['{', '['])
}

/// Reads an array literal or a vector.
pub(super) fn parse(text: &str) -> Result<Vec<Element>, SqlError> {
    let trimmed = text.trim();
    if is_vector(trimmed) {
        return Ok(trimmed.split_whitespace().map(|word| Element::Text(word.to_owned())).collect());
    }
    // Bounds, as in `[0:1]={a,b}`, are read by themselves.
    let literal = match trimmed.strip_prefix('[') {
        Some(_) => trimmed.split_once('=').map_or(trimmed, |(_, literal)| literal.trim_start()),
        None => trimmed,
    };
    let mut parser = Parser { chars: literal.char_indices().peekable(), text, literal };
    let elements = parser.array(1)?;
    match parser.chars.next() {
        None => Ok(elements),
        Some(_) => Err(malformed(text)),
    }
}

/// The elements' texts, of all dimensions; NULL is none.
pub(super) fn texts(array: &str) -> Result<Vec<Option<Cow<'_, str>>>, SqlError> {
    if let Some(elements) = plain_texts(array) {
        return Ok(elements);
    }
    let text = |element| match element {
        Element::Text(text) => Some(text.into()),
        _ => None,
    };
    Ok(flatten(parse(array)?).into_iter().map(text).collect())
}

/// Those of a literal in which they stand as they are.
fn plain_texts(array: &str) -> Option<Vec<Option<Cow<'_, str>>>> {
    let inner = array.strip_prefix('{')?.strip_suffix('}')?;
    let special =
        |byte: u8| matches!(byte, b'"' | b'\\' | b'{' | b'}') || byte.is_ascii_whitespace();
    if inner.bytes().any(special) {
        return None;
    }
    if inner.is_empty() {
        return Some(Vec::new());
    }
    inner
        .split(',')
        .map(|element| match element {
            "" => None,
            null if null.eq_ignore_ascii_case("null") => Some(None),
            text => Some(Some(text.into())),
        })
        .collect()
}

/// Where the subscripts of each dimension begin: from 1, a vector's from 0, unless the
/// literal says otherwise.
pub(super) struct Bounds(Vec<i64>, i64);

impl Bounds {
    pub(super) fn of(text: &str) -> Self {
        let trimmed = text.trim_start();
        let usual = i64::from(!is_vector(trimmed));
        let Some((bounds, _)) = trimmed.strip_prefix('[').and_then(|rest| rest.split_once('='))
        else {
            return Self(Vec::new(), usual);
        };
        let lower = |part: &str| part.split_once(':').and_then(|(lower, _)| lower.parse().ok());
        let parts = bounds.trim_end().trim_end_matches(']').split("][");
        Self(parts.map(|part| lower(part).unwrap_or(usual)).collect(), usual)
    }

    /// Of a dimension, from 0.
    pub(super) fn lower(&self, dimension: usize) -> i64 {
        self.0.get(dimension).copied().unwrap_or(self.1)
    }

    /// Writes an array literal that begins there.
    pub(super) fn print(&self, elements: &[Element]) -> String {
        let mut text = String::new();
        if self.0.iter().any(|lower| *lower != 1) && !elements.is_empty() {
            let mut rows = Some(elements);
            for at in 0.. {
                let Some(row) = rows else { break };
                let lower = self.lower(at);
                let upper = lower + i64::try_from(row.len()).unwrap_or(i64::MAX) - 1;
                text.push_str(&format!("[{lower}:{upper}]"));
                rows = match row.first() {
                    Some(Element::Array(inner)) => Some(inner),
                    _ => None,
                };
            }
            text.push('=');
        }
        print_into(elements, &mut text);
        text
    }
}

struct Parser<'a> {
    chars: std::iter::Peekable<std::str::CharIndices<'a>>,
    text: &'a str,
    literal: &'a str,
}

impl Parser<'_> {
    fn skip_white(&mut self) {
        while self.chars.next_if(|(_, char)| char.is_ascii_whitespace()).is_some() {}
    }

    fn array(&mut self, depth: usize) -> Result<Vec<Element>, SqlError> {
        if depth > DIMENSIONS_MAX {
            return Err(SqlError::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!(
                    "number of array dimensions exceeds the maximum allowed ({DIMENSIONS_MAX})"
                ),
            ));
        }
        self.chars.next_if(|(_, char)| *char == '{').ok_or_else(|| malformed(self.text))?;
        let mut elements = Vec::new();
        self.skip_white();
        if self.chars.next_if(|(_, char)| *char == '}').is_some() {
            return Ok(elements);
        }
        loop {
            self.skip_white();
            elements.push(self.element(depth)?);
            self.skip_white();
            match self.chars.next() {
                Some((_, ',')) => {}
                Some((_, '}')) => return Ok(elements),
                _ => return Err(malformed(self.text)),
            }
        }
    }

    fn element(&mut self, depth: usize) -> Result<Element, SqlError> {
        match self.chars.peek() {
            Some((_, '{')) => self.array(depth + 1).map(Element::Array),
            Some((_, '"')) => self.quoted(),
            Some(_) => self.bare(),
            None => Err(malformed(self.text)),
        }
    }

    fn quoted(&mut self) -> Result<Element, SqlError> {
        self.chars.next();
        let mut value = String::new();
        loop {
            match self.chars.next() {
                Some((_, '"')) => return Ok(Element::Text(value)),
                Some((_, '\\')) => match self.chars.next() {
                    Some((_, char)) => value.push(char),
                    None => return Err(malformed(self.text)),
                },
                Some((_, char)) => value.push(char),
                None => return Err(malformed(self.text)),
            }
        }
    }

    fn bare(&mut self) -> Result<Element, SqlError> {
        let start = self.chars.peek().map_or(0, |(at, _)| *at);
        let mut value = String::new();
        let mut escaped = false;
        while let Some((_, char)) =
            self.chars.next_if(|(_, char)| !matches!(char, ',' | '}' | '{' | '"'))
        {
            if char == '\\' {
                escaped = true;
                match self.chars.next() {
                    Some((_, char)) => value.push(char),
                    None => return Err(malformed(self.text)),
                }
            } else {
                value.push(char);
            }
        }
        let end = self.chars.peek().map_or(self.literal.len(), |(at, _)| *at);
        if self.literal[start..end].trim().is_empty() {
            return Err(malformed(self.text));
        }
        let value = value.trim_end_matches(|char: char| char.is_ascii_whitespace()).to_owned();
        if !escaped && value.eq_ignore_ascii_case("null") {
            return Ok(Element::Null);
        }
        Ok(Element::Text(value))
    }
}

/// Writes an array literal.
pub(super) fn print(elements: &[Element]) -> String {
    let mut text = String::new();
    print_into(elements, &mut text);
    text
}

fn print_into(elements: &[Element], text: &mut String) {
    text.push('{');
    for (at, element) in elements.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        match element {
            Element::Null => text.push_str("NULL"),
            Element::Array(inner) => print_into(inner, text),
            Element::Text(value) => print_element(value, text),
        }
    }
    text.push('}');
}

fn print_element(value: &str, text: &mut String) {
    let special = |char: char| {
        matches!(char, '{' | '}' | ',' | '"' | '\\' | ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}')
    };
    if value.is_empty() || value.contains(special) || value.eq_ignore_ascii_case("null") {
        text.push('"');
        for char in value.chars() {
            if matches!(char, '"' | '\\') {
                text.push('\\');
            }
            text.push(char);
        }
        text.push('"');
    } else {
        text.push_str(value);
    }
}

/// The elements of all dimensions, one after another.
pub(super) fn flatten(elements: Vec<Element>) -> Vec<Element> {
    if !elements.iter().any(|element| matches!(element, Element::Array(_))) {
        return elements;
    }
    let mut flat = Vec::new();
    for element in elements {
        match element {
            Element::Array(inner) => flat.extend(flatten(inner)),
            other => flat.push(other),
        }
    }
    flat
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn elements() -> impl Strategy<Value = Vec<Element>> {
        let element = prop_oneof![
            Just(Element::Null),
            any::<String>().prop_map(Element::Text),
            "[a-zA-Z\"\\\\{}, ]{0,6}".prop_map(Element::Text),
        ];
        prop::collection::vec(element, 0..5)
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(elements in elements()) {
            prop_assert_eq!(parse(&print(&elements)).expect("reads"), elements);
        }

        #[test]
        fn any_text_gives_an_answer(text in any::<String>()) {
            let _ = parse(&text);
            let _ = parse(&format!("{{{text}}}"));
        }
    }

    #[test]
    fn literals_read_as_in_postgresql() {
        let text = |value: &str| Element::Text(value.to_owned());
        assert_eq!(parse("{1, 2}").expect("reads"), [text("1"), text("2")]);
        assert_eq!(parse("{NULL,\"NULL\"}").expect("reads"), [Element::Null, text("NULL")]);
        assert_eq!(parse("{}").expect("reads"), []);
        assert_eq!(parse("1 2").expect("reads"), [text("1"), text("2")]);
        assert_eq!(parse("[0:1]={a,b}").expect("reads"), [text("a"), text("b")]);
        let nested = "[0:1][-1:0]={{a,b},{c,d}}";
        assert_eq!(Bounds::of(nested).print(&parse(nested).expect("reads")), nested);
        for wrong in ["{1", "{1,}", "{,1}", "{1}}", "{{{{{{{1}}}}}}}"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
