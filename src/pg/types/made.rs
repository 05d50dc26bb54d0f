//! Values of types that are made of others: arrays of a client's type, and rows. Their
//! OIDs alone don't tell what they are made of.
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

use bytes::{BufMut, BytesMut};

use super::array::Array;
use super::{Display, Format, Oid, decode, encode_binary, invalid_text};
use crate::log::{Value, ValueRef};
use crate::pg::SqlError;

/// What a type is made of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Made {
    /// An array of elements of this type.
    Array(Oid),
    /// A row of fields of these types, each perhaps made of others.
    Row(Vec<(Oid, Option<Self>)>),
}

/// Appends the binary form of a value of such a type.
pub fn encode_made(value: ValueRef<'_>, made: &Made, out: &mut BytesMut) -> Result<(), SqlError> {
    let text = super::text_of(value);
    match made {
        Made::Array(element) => Array::parse(&text)?
            .encode_binary(*element, out, |text, out| encode_text_as_binary(text, *element, out)),
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
                match made {
                    Some(made) => encode_made(ValueRef::Text(field), made, out)?,
                    None => encode_text_as_binary(field, *oid, out)?,
                }
                let length = (out.len() - begin - 4) as i32;
                out[begin..begin + 4].copy_from_slice(&length.to_be_bytes());
            }
            Ok(())
        }
    }
}

/// Appends the binary form of a value in its text form.
pub(super) fn encode_text_as_binary(
    text: &str,
    oid: Oid,
    out: &mut BytesMut,
) -> Result<(), SqlError> {
    let value = decode(text.as_bytes(), oid, Format::Text, &Display::default())?;
    encode_binary(value.as_ref(), oid, out)
}

/// Reads the binary form of an array of a client's type.
pub fn decode_array(bytes: &[u8], element: Oid) -> Result<Value, SqlError> {
    Ok(super::array_value(&super::element_texts(bytes, element)?))
}

/// The fields of a row's text.
pub fn parse_row(text: &str) -> Result<Vec<Option<String>>, SqlError> {
    let malformed = || invalid_text("record", text);
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
}
