//! Values of types that are made of others: arrays of a client's type, rows, and the
//! composite types that are named rows. Their OIDs alone don't tell what they are made of.
//!
//! A row's text is `(a,"b c",)`: fields between commas, an empty one is NULL, quotes
//! around what would be misread, quotes and backslashes inside doubled. Its binary form:
//!
//! | bytes | what |
//! |---|---|
//! | 4 | number of fields |
//! | for each: 4 | its type's OID |
//! | 4 | its length, -1 for NULL |
//! | n | its binary form |

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use super::array::Array;
use super::{Display, Format, Oid, decode, encode_binary};
use crate::log::{Value, ValueRef};
use crate::pg::wire::{Reader, utf8};
use crate::pg::{SqlError, SqlState};

/// What a type is made of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Made {
    /// An array of elements of this type, perhaps made of others.
    Array(Oid, Option<Box<Self>>),
    /// A row of fields of these types, each perhaps made of others.
    Row(Vec<(Oid, Option<Self>)>),
    /// An enum of that name, as a part of something; its labels in their order.
    Enum(String, Vec<String>),
}

/// As names of collations and arguments of functions have it: `(23,1007[23])` is a row of
/// an integer and an array of integers.
impl fmt::Display for Made {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Array(element, made) => {
                write!(out, "[{}", element.0)?;
                made.iter().try_for_each(|made| write!(out, "{made}"))?;
                out.write_str("]")
            }
            Self::Row(fields) => {
                out.write_str("(")?;
                for (at, (oid, made)) in fields.iter().enumerate() {
                    let comma = if at > 0 { "," } else { "" };
                    write!(out, "{comma}{}", oid.0)?;
                    made.iter().try_for_each(|made| write!(out, "{made}"))?;
                }
                out.write_str(")")
            }
            Self::Enum(name, labels) => {
                out.write_str("<")?;
                for text in std::iter::once(name).chain(labels) {
                    write!(out, "{}:{text}", text.len())?;
                }
                out.write_str(">")
            }
        }
    }
}

impl Made {
    /// Reads what [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text;
        let made = Self::read(&mut rest)??;
        rest.is_empty().then_some(made)
    }

    /// What stands at the front; `Some(None)` where there is nothing of the kind.
    fn read(rest: &mut &str) -> Option<Option<Self>> {
        let mut chars = rest.chars();
        let (made, end) = match chars.next() {
            Some('[') => {
                *rest = chars.as_str();
                let element = Oid(number(rest)?);
                (Self::Array(element, Self::read(rest)?.map(Box::new)), ']')
            }
            Some('(') => {
                *rest = chars.as_str();
                let mut fields = Vec::new();
                while !rest.starts_with(')') {
                    *rest = rest.strip_prefix(',').unwrap_or(rest);
                    fields.push((Oid(number(rest)?), Self::read(rest)?));
                }
                (Self::Row(fields), ')')
            }
            Some('<') => {
                *rest = chars.as_str();
                let mut texts = Vec::new();
                while !rest.starts_with('>') {
                    let length = number(rest)? as usize;
                    let (text, after) = rest.strip_prefix(':')?.split_at_checked(length)?;
                    texts.push(text.to_owned());
                    *rest = after;
                }
                (Self::Enum((!texts.is_empty()).then(|| texts.remove(0))?, texts), '>')
            }
            _ => return Some(None),
        };
        *rest = rest.strip_prefix(end)?;
        Some(Some(made))
    }
}

impl Made {
    fn depends_on_display(&self, display: &Display) -> bool {
        let part = |oid: Oid, made: Option<&Self>| match made {
            Some(made) => made.depends_on_display(display),
            None => super::depends_on_display(super::element_of(oid).unwrap_or(oid), display),
        };
        match self {
            Self::Array(element, made) => part(*element, made.as_deref()),
            Self::Row(fields) => fields.iter().any(|(oid, made)| part(*oid, made.as_ref())),
            Self::Enum(..) => false,
        }
    }
}

/// Takes the number at the front.
fn number(rest: &mut &str) -> Option<u32> {
    let end = rest.find(|char: char| !char.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, after) = rest.split_at(end);
    *rest = after;
    digits.parse().ok()
}

/// Appends the binary form of a value of such a type.
pub fn encode_made(value: ValueRef<'_>, made: &Made, out: &mut BytesMut) -> Result<(), SqlError> {
    let text = super::text_of(value);
    match made {
        Made::Array(element, made) => {
            Array::parse(&text)?.encode_binary(*element, out, |text, out| {
                encode_part(text, *element, made.as_deref(), out)
            })
        }
        Made::Row(types) => {
            let fields = parse_row(&text)?;
            out.put_i32(types.len() as i32);
            for (at, (oid, made)) in types.iter().enumerate() {
                out.put_u32(oid.0);
                let Some(Some(field)) = fields.get(at) else {
                    out.put_i32(-1);
                    continue;
                };
                let begin = out.len();
                out.put_i32(0);
                encode_part(field, *oid, made.as_ref(), out)?;
                let length = (out.len() - begin - 4) as i32;
                out[begin..begin + 4].copy_from_slice(&length.to_be_bytes());
            }
            Ok(())
        }
        Made::Enum(..) => {
            out.put_slice(text.as_bytes());
            Ok(())
        }
    }
}

/// Appends the text of a value of such a type, as the session wants to see its parts.
pub fn encode_made_text(
    value: ValueRef<'_>,
    made: &Made,
    display: &Display,
    out: &mut BytesMut,
) -> Result<(), SqlError> {
    let shown = show(&super::text_of(value), made, display)?;
    out.put_slice(shown.as_bytes());
    Ok(())
}

fn show(text: &str, made: &Made, display: &Display) -> Result<String, SqlError> {
    if !made.depends_on_display(display) && !super::datetime::is_marked(text) {
        return Ok(text.to_owned());
    }
    let part = |text: &str, oid: Oid, made: Option<&Made>| match made {
        Some(made) => show(text, made, display),
        None => {
            let value = super::part(text, oid)?;
            let mut out = BytesMut::new();
            super::encode_text(value.as_ref(), oid, -1, display, &mut out)?;
            Ok(utf8(&out)?.to_owned())
        }
    };
    match made {
        Made::Array(element, made) => {
            let mut array = Array::parse(text)?;
            for text in array.elements.iter_mut().flatten() {
                *text = part(text, *element, made.as_deref())?;
            }
            let mut text = String::new();
            array.print(&mut text);
            Ok(text)
        }
        Made::Row(types) => {
            let mut fields = parse_row(text)?;
            for (field, (oid, made)) in fields.iter_mut().zip(types) {
                if let Some(text) = field {
                    *text = part(text, *oid, made.as_ref())?;
                }
            }
            Ok(print_row(&fields))
        }
        Made::Enum(..) => Ok(text.to_owned()),
    }
}

fn encode_part(
    text: &str,
    oid: Oid,
    made: Option<&Made>,
    out: &mut BytesMut,
) -> Result<(), SqlError> {
    match made {
        Some(made) => encode_made(ValueRef::Text(text), made, out),
        None => encode_text_as_binary(text, oid, out),
    }
}

/// Appends the binary form of a value in its text form.
pub(super) fn encode_text_as_binary(
    text: &str,
    oid: Oid,
    out: &mut BytesMut,
) -> Result<(), SqlError> {
    encode_binary(super::part(text, oid)?.as_ref(), oid, out)
}

/// Reads a value of such a type into its form in SQLite, the text of an array or a row.
pub fn decode_made(
    bytes: &[u8],
    made: &Made,
    format: Format,
    display: &Display,
) -> Result<Value, SqlError> {
    let part = |bytes: &[u8], oid: Oid, made: Option<&Made>| {
        let value = match made {
            Some(made) => decode_made(bytes, made, format, display)?,
            None => decode(bytes, oid, format, display)?,
        };
        super::canonical_text(&value, oid)
    };
    match (made, format) {
        (Made::Array(element, made), Format::Binary) => {
            let array = Array::decode_binary(bytes, *element, |bytes| {
                part(bytes, *element, made.as_deref())
            })?;
            Ok(super::array_value(&array))
        }
        (Made::Array(element, made), Format::Text) => {
            let mut array = Array::parse(utf8(bytes)?)?;
            for text in array.elements.iter_mut().flatten() {
                *text = part(text.as_bytes(), *element, made.as_deref())?;
            }
            Ok(super::array_value(&array))
        }
        (Made::Row(types), Format::Text) => {
            let text = utf8(bytes)?;
            let fields = parse_row(text)?;
            if fields.len() != types.len() && !(fields.is_empty() && types.len() == 1) {
                let much = if fields.len() < types.len() { "few" } else { "many" };
                let malformed = format!("malformed record literal: \"{text}\"");
                return Err(SqlError::new(SqlState::INVALID_TEXT_REPRESENTATION, malformed)
                    .with_detail(format!("Too {much} columns.")));
            }
            let mut row = Vec::with_capacity(types.len());
            for (at, (oid, made)) in types.iter().enumerate() {
                let field = fields.get(at).and_then(Option::as_deref);
                let field = field.map(|field| part(field.as_bytes(), *oid, made.as_ref()));
                row.push(field.transpose()?);
            }
            Ok(Value::Text(print_row(&row)))
        }
        (Made::Row(types), Format::Binary) => {
            let mut reader = Reader(Bytes::copy_from_slice(bytes));
            let count = reader.i32()?;
            if usize::try_from(count) != Ok(types.len()) {
                return Err(SqlError::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!("wrong number of columns: {count}, expected {}", types.len()),
                ));
            }
            let mut row = Vec::with_capacity(types.len());
            for (oid, made) in types {
                let given = Oid(reader.u32()?);
                if given != *oid {
                    return Err(SqlError::new(
                        SqlState::DATATYPE_MISMATCH,
                        format!("binary data has type {}, expected {}", given.0, oid.0),
                    ));
                }
                let field = reader.value()?;
                row.push(field.map(|field| part(&field, *oid, made.as_ref())).transpose()?);
            }
            reader.finish()?;
            Ok(Value::Text(print_row(&row)))
        }
        (Made::Enum(name, labels), _) => {
            let text = utf8(bytes)?;
            if labels.iter().any(|label| label == text) {
                return Ok(Value::Text(text.to_owned()));
            }
            Err(SqlError::new(
                SqlState::INVALID_TEXT_REPRESENTATION,
                format!("invalid input value for enum {name}: \"{text}\""),
            ))
        }
    }
}

/// A row's text.
pub fn print_row<T: AsRef<str>>(fields: &[Option<T>]) -> String {
    let mut out = String::from("(");
    for (at, field) in fields.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        if let Some(field) = field {
            super::push_quoted(field.as_ref(), "(),", &mut out);
        }
    }
    out.push(')');
    out
}

/// The fields of a row's text.
pub fn parse_row(text: &str) -> Result<Vec<Option<String>>, SqlError> {
    let malformed = || {
        SqlError::new(
            SqlState::INVALID_TEXT_REPRESENTATION,
            format!("malformed record literal: \"{text}\""),
        )
    };
    let inner = text.strip_prefix('(').and_then(|text| text.strip_suffix(')'));
    let mut chars = inner.ok_or_else(malformed)?.chars().peekable();
    let mut fields = Vec::new();
    if chars.peek().is_none() {
        return Ok(fields);
    }
    loop {
        let mut field: Option<String> = None;
        let mut quoted = false;
        loop {
            match chars.next() {
                None if quoted => return Err(malformed()),
                None => {
                    fields.push(field);
                    return Ok(fields);
                }
                Some(',') if !quoted => break,
                Some('"') if quoted && chars.peek() == Some(&'"') => {
                    chars.next();
                    field.get_or_insert_default().push('"');
                }
                Some('"') => {
                    quoted = !quoted;
                    field.get_or_insert_default();
                }
                Some('\\') => {
                    let next = chars.next().ok_or_else(malformed)?;
                    field.get_or_insert_default().push(next);
                }
                Some(char) => field.get_or_insert_default().push(char),
            }
        }
        fields.push(field);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_as_they_are_written() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(parse_row("()").expect("well formed"), []);
        assert_eq!(
            parse_row(r#"(1,,"a ""b"" \\,","")"#).expect("well formed"),
            [some("1"), None, some(r#"a "b" \,"#), some("")]
        );
        assert_eq!(parse_row("(,)").expect("well formed"), [None, None]);
        assert!(parse_row("(1").is_err());
        assert!(parse_row(r#"("1)"#).is_err());
    }

    #[test]
    fn what_rows_are_made_of_is_written_and_read() {
        let labels = ["sad", "o)k", ""].map(str::to_owned).to_vec();
        let made = Made::Row(vec![
            (Oid::INT4, None),
            (Oid(20_000), Some(Made::Array(Oid(20_001), Some(Box::new(Made::Row(vec![])))))),
            (Oid(20_002), Some(Made::Enum("mood".to_owned(), labels))),
        ]);
        let text = made.to_string();
        assert_eq!(text, "(23,20000[20001()],20002<4:mood3:sad3:o)k0:>)");
        assert_eq!(Made::parse(&text), Some(made));
        for end in 0..text.len() {
            assert_eq!(Made::parse(&text[..end]), None);
        }
        assert_eq!(Made::parse("()x"), None);
    }

    #[test]
    fn rows_have_their_fields_types() {
        let made = Made::Row(vec![
            (Oid::INT4, None),
            (Oid::TEXT, None),
            (Oid::RECORD, Some(Made::Row(vec![(Oid::BOOL, None)]))),
        ]);
        let mut out = BytesMut::new();
        encode_made(ValueRef::Text("(7,,(t))"), &made, &mut out).expect("well formed");
        assert_eq!(
            &out[..],
            [
                &[0, 0, 0, 3, 0, 0, 0, 23, 0, 0, 0, 4, 0, 0, 0, 7][..],
                &[0, 0, 0, 25, 255, 255, 255, 255],
                &[0, 0, 8, 201, 0, 0, 0, 13],
                &[0, 0, 0, 1, 0, 0, 0, 16, 0, 0, 0, 1, 1],
            ]
            .concat()
        );
    }

    #[test]
    fn composites_go_through_both_formats() {
        let made = Made::Row(vec![
            (Oid::INT4, None),
            (Oid::NUMERIC_ARRAY, None),
            (
                Oid(20_000),
                Some(Made::Array(Oid(20_001), Some(Box::new(Made::Row(vec![(Oid::TEXT, None)]))))),
            ),
        ]);
        let display = Display::default();
        let read = |bytes: &[u8], format| decode_made(bytes, &made, format, &display);
        let text = r#"(7,"{1.50,NULL}","{(a),""(\\""b c\\"")""}")"#;
        let value = read(text.replace("(7,", "( 7,").as_bytes(), Format::Text);
        let value = value.expect("well formed");
        assert_eq!(value, Value::Text(text.to_owned()));
        let mut binary = BytesMut::new();
        encode_made(value.as_ref(), &made, &mut binary).expect("well formed");
        assert_eq!(read(&binary, Format::Binary).expect("its own form"), value);
        for end in 0..binary.len() {
            assert!(read(&binary[..end], Format::Binary).is_err(), "cut at {end}");
        }
        assert!(read(&[&binary[..], &[0]].concat(), Format::Binary).is_err());
        for malformed in ["", "(1,{},{}", "(1,{})", "(1,{},{},)", "(x,{},{})", "(1,{,{})"] {
            assert!(read(malformed.as_bytes(), Format::Text).is_err(), "{malformed}");
        }
    }
}
