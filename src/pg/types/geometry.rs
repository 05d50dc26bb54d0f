//! The geometric types. Their form in SQLite is the text that PostgreSQL prints; in the
//! binary form each number is a float8, and a list of points has its length, an i32,
//! before it.
//!
//! | type      | text                    | binary                                     |
//! |-----------|-------------------------|--------------------------------------------|
//! | `point`   | `(x,y)`                 | x, y                                       |
//! | `line`    | `{A,B,C}`; two points are read, too | A, B, C                        |
//! | `lseg`    | `[(x,y),(x,y)]`         | two points                                 |
//! | `box`     | `(x,y),(x,y)`           | two points, the upper right one first      |
//! | `path`    | `((x,y),…)`, `[(x,y),…]`| u8: 1 if it is closed, as in round brackets; points |
//! | `polygon` | `((x,y),…)`             | points                                     |
//! | `circle`  | `<(x,y),r>`             | center, radius                             |

use bytes::{Buf, BufMut, BytesMut};

use super::number::{parse_float8, print_float8};
use super::shapes::equal;
use super::{Oid, invalid_binary, invalid_text, type_name};
use crate::pg::{SqlError, SqlState};

/// A value of any of the types: its numbers in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    pub numbers: Vec<f64>,
    /// Of a path: whether its end is its beginning.
    pub closed: bool,
}

/// How many numbers a value has; `None` where it has as many points as it likes.
fn arity(oid: Oid) -> Option<usize> {
    match oid {
        Oid::POINT => Some(2),
        Oid::LINE | Oid::CIRCLE => Some(3),
        Oid::LSEG | Oid::BOX => Some(4),
        _ => None,
    }
}

impl Shape {
    /// Reads a value's text. Brackets beyond those that tell types apart may be left out,
    /// as in PostgreSQL.
    pub fn parse(text: &str, oid: Oid) -> Result<Self, SqlError> {
        let invalid = || invalid_text(type_name(oid), text);
        let trimmed = text.trim();
        let mut numbers = Vec::new();
        let mut depth = Vec::new();
        let mut rest = trimmed;
        let mut expects_number = true;
        while let Some(char) = rest.chars().next() {
            match char {
                '(' | '[' | '<' | '{' if expects_number => depth.push(char),
                ')' | ']' | '>' | '}' if !expects_number => {
                    let opened = match char {
                        ')' => '(',
                        ']' => '[',
                        '>' => '<',
                        _ => '{',
                    };
                    if depth.pop() != Some(opened) {
                        return Err(invalid());
                    }
                }
                ',' if !expects_number => expects_number = true,
                char if char.is_whitespace() => {}
                _ if expects_number => {
                    let end = rest.find([',', ')', ']', '>', '}', ' ']).unwrap_or(rest.len());
                    numbers.push(parse_float8(&rest[..end]).map_err(|_| invalid())?);
                    expects_number = false;
                    rest = &rest[end..];
                    continue;
                }
                _ => return Err(invalid()),
            }
            rest = &rest[char.len_utf8()..];
        }
        let first = trimmed.chars().next().unwrap_or_default();
        let brackets = match first {
            '[' => matches!(oid, Oid::PATH | Oid::LSEG | Oid::LINE),
            '{' => oid == Oid::LINE,
            '<' => oid == Oid::CIRCLE,
            _ => true,
        };
        if expects_number || !depth.is_empty() || !brackets {
            return Err(invalid());
        }
        if oid == Oid::LINE && first != '{' {
            let [x1, y1, x2, y2] = numbers[..] else { return Err(invalid()) };
            return Self::line_through((x1, y1), (x2, y2));
        }
        Self { numbers, closed: first != '[' }.checked(oid).ok_or_else(invalid)?
    }

    /// The line through two points.
    fn line_through((x1, y1): (f64, f64), (x2, y2): (f64, f64)) -> Result<Self, SqlError> {
        let numbers = match (equal(x1, x2), equal(y1, y2)) {
            (true, true) => {
                return Err(SqlError::new(
                    SqlState::INVALID_TEXT_REPRESENTATION,
                    "invalid line specification: must be two distinct points",
                ));
            }
            (true, false) => vec![-1.0, 0.0, x1],
            (false, true) => vec![0.0, -1.0, y1],
            (false, false) => {
                let slope = (y1 - y2) / (x1 - x2);
                // Zero without its sign.
                vec![slope, -1.0, y1 - slope * x1 + 0.0]
            }
        };
        Ok(Self { numbers, closed: true })
    }

    /// As the type wants it; `None` if the count of numbers is wrong.
    fn checked(mut self, oid: Oid) -> Option<Result<Self, SqlError>> {
        let count = self.numbers.len();
        if arity(oid).map_or(count == 0 || !count.is_multiple_of(2), |arity| arity != count) {
            return None;
        }
        match (oid, &mut self.numbers[..]) {
            (Oid::BOX, [x1, y1, x2, y2]) => {
                for (high, low) in [(x1, x2), (y1, y2)] {
                    if *high < *low {
                        std::mem::swap(high, low);
                    }
                }
            }
            (Oid::LINE, [a, b, _]) if *a == 0.0 && *b == 0.0 => {
                return Some(Err(SqlError::new(
                    SqlState::INVALID_TEXT_REPRESENTATION,
                    "invalid line specification: A and B cannot both be zero",
                )));
            }
            (Oid::CIRCLE, [.., radius]) if *radius < 0.0 => return None,
            _ => {}
        }
        Some(Ok(self))
    }

    pub fn print(&self, oid: Oid) -> String {
        let mut out = BytesMut::new();
        let number = |value: f64, out: &mut BytesMut| print_float8(value, false, out);
        let points = |numbers: &[f64], out: &mut BytesMut| {
            for (at, point) in numbers.chunks(2).enumerate() {
                if at > 0 {
                    out.put_u8(b',');
                }
                out.put_u8(b'(');
                number(point[0], out);
                out.put_u8(b',');
                number(point[1], out);
                out.put_u8(b')');
            }
        };
        let (open, close) = match oid {
            Oid::POINT | Oid::BOX => ("", ""),
            Oid::LINE => ("{", "}"),
            Oid::CIRCLE => ("<", ">"),
            Oid::LSEG => ("[", "]"),
            Oid::PATH if !self.closed => ("[", "]"),
            _ => ("(", ")"),
        };
        out.put_slice(open.as_bytes());
        match (oid, &self.numbers[..]) {
            (Oid::LINE, numbers) => {
                for (at, value) in numbers.iter().enumerate() {
                    if at > 0 {
                        out.put_u8(b',');
                    }
                    number(*value, &mut out);
                }
            }
            (Oid::CIRCLE, [center @ .., radius]) => {
                points(center, &mut out);
                out.put_u8(b',');
                number(*radius, &mut out);
            }
            (_, numbers) => points(numbers, &mut out),
        }
        out.put_slice(close.as_bytes());
        String::from_utf8_lossy(&out).into_owned()
    }

    pub fn encode_binary(&self, oid: Oid, out: &mut BytesMut) {
        if oid == Oid::PATH {
            out.put_u8(self.closed.into());
        }
        if arity(oid).is_none() {
            out.put_i32((self.numbers.len() / 2) as i32);
        }
        for number in &self.numbers {
            out.put_f64(*number);
        }
    }

    pub fn decode_binary(mut bytes: &[u8], oid: Oid) -> Result<Self, SqlError> {
        let invalid = || invalid_binary(type_name(oid));
        let closed = match oid {
            Oid::PATH => bytes.try_get_u8().map_err(|_| invalid())? != 0,
            _ => oid != Oid::LSEG,
        };
        let count = match arity(oid) {
            Some(arity) => arity,
            None => {
                let points = bytes.try_get_i32().map_err(|_| invalid())?;
                usize::try_from(points).map_err(|_| invalid())?.saturating_mul(2)
            }
        };
        if bytes.len() != count.saturating_mul(8) {
            return Err(invalid());
        }
        let mut numbers = Vec::with_capacity(count);
        while let Ok(number) = bytes.try_get_f64() {
            numbers.push(number);
        }
        Self { numbers, closed }.checked(oid).ok_or_else(invalid)?
    }
}
