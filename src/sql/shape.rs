//! The shape of a statement whose values stand in its text: the text with parameters
//! in their place, and the values. Clients that use the simple protocol, or fill in
//! their values themselves, send one shape with ever new values; what is known of the
//! shape then need not be found out anew.
//!
//! Not every literal is a value. `ORDER BY 1` is a column, `varchar(10)` a type,
//! `interval '1 day'` a constant that the translation must see, and an index over an
//! expression is used only by the same expression. So a literal is taken only where it
//! can hardly be anything else:
//!
//! | before it                                     | behind it                          |
//! |-----------------------------------------------|------------------------------------|
//! | `=`, `<`, `>`, `<=`, `>=`, `<>`, `!=`          | the end, `)`, `,`, AND, OR, WHERE, RETURNING, ON |
//! | `+`, `-` behind a name (`a = a + 1`)          | the same                           |
//! | `(` or `,` in the rows of VALUES, or of an IN | `)` or `,`                         |
//!
//! in each case with one more `-` before a number, which stays. Every other literal
//! stays in the text, and so belongs to the shape. Only whole numbers and plain
//! strings are taken: a number's type is what PostgreSQL gives it by its size, a
//! string's what the place wants.

use std::fmt::Write as _;

use super::scan::{Scanner, Token};
use crate::log::Value;
use crate::pg::Oid;

/// A statement without its values.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// The text with `$1`, `$2`, … for the values.
    pub text: String,
    /// A value for each parameter. A string's is its text, of no type yet.
    pub values: Vec<Value>,
    /// The type of each value; [`Oid::UNSPECIFIED`] for a string.
    pub types: Vec<Oid>,
}

/// Values taken out of one statement at most.
const VALUES_MAX: usize = 100;

/// The shape of a statement, if it is one that reads or changes rows and has values.
pub fn shape(text: &str) -> Option<Shape> {
    let mut scanner = Scanner::new(text);
    let verb = scanner.next().ok()??;
    if !["select", "insert", "update", "delete"].iter().any(|known| verb.is(known)) {
        return None;
    }
    let mut shape = Shape {
        text: String::with_capacity(text.len() + 8),
        values: Vec::new(),
        types: Vec::new(),
    };
    let mut place = Place::default();
    // Of the text that is not yet copied.
    let mut begin = 0;
    while let Some(token) = scanner.next().ok()? {
        let start = scanner.start;
        if matches!(token, Token::Parameter(_)) || is_unshapely(token) {
            return None;
        }
        if place.takes_value()
            && let Some((value, oid)) = value(token)
            && place.ends_value(scanner.peek())
        {
            if shape.values.len() == VALUES_MAX {
                return None;
            }
            shape.values.push(value);
            shape.types.push(oid);
            shape.text.push_str(&text[begin..start]);
            let _ = write!(shape.text, "${}", shape.values.len());
            begin = scanner.offset();
        }
        place.step(token, start, scanner.offset());
    }
    if shape.values.is_empty() {
        return None;
    }
    shape.text.push_str(&text[begin..]);
    Some(shape)
}

/// Words after which one expression must be spelled like another.
fn is_unshapely(token: Token<'_>) -> bool {
    let Token::Word(word) = token else { return false };
    ["group", "distinct", "window", "over", "conflict", "interval"]
        .iter()
        .any(|known| word.eq_ignore_ascii_case(known))
}

/// The value of a literal that can be taken, and its type.
fn value(token: Token<'_>) -> Option<(Value, Oid)> {
    match token {
        Token::Number(digits) => {
            if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            let value: i64 = digits.parse().ok()?;
            let oid = if i32::try_from(value).is_ok() { Oid::INT4 } else { Oid::INT8 };
            Some((Value::Integer(value), oid))
        }
        Token::Literal(quoted) => {
            let inner = quoted.strip_prefix('\'')?.strip_suffix('\'')?;
            let text =
                if inner.contains('\'') { inner.replace("''", "'") } else { inner.to_owned() };
            Some((Value::Text(text), Oid::UNSPECIFIED))
        }
        _ => None,
    }
}

/// What stands before the next token, as far as it matters.
#[derive(Default)]
struct Place {
    before: Before,
    /// Before an operator of [`Before::Operator`].
    operand: Operand,
    /// Where the operator before ends, bytes.
    operator_end: usize,
    /// Open parentheses.
    depth: usize,
    /// The depth inside a list of values, where one is open.
    list: Option<usize>,
    /// VALUES has come: every parenthesis at this depth opens a list.
    rows_at: Option<usize>,
}

#[derive(Clone, Copy, Default, Eq, PartialEq)]
enum Before {
    #[default]
    Other,
    /// IN, behind which a list may open.
    In,
    /// The name of a column, or the like.
    Name,
    /// A number or string.
    Literal,
    /// An operator, as its bytes.
    Operator([u8; 3]),
    /// A list has opened, or goes on.
    Item,
    /// A minus before a number, in a place that takes a value.
    Minus,
}

#[derive(Clone, Copy, Default, Eq, PartialEq)]
enum Operand {
    #[default]
    Other,
    Name,
}

impl Place {
    fn takes_value(&self) -> bool {
        match self.before {
            Before::Item | Before::Minus => true,
            Before::Operator(operator) => self.operator_takes_value(operator),
            _ => false,
        }
    }

    fn operator_takes_value(&self, operator: [u8; 3]) -> bool {
        match &operator {
            b"=\0\0" | b"<\0\0" | b">\0\0" | b"<=\0" | b">=\0" | b"<>\0" | b"!=\0" => true,
            b"+\0\0" | b"-\0\0" => self.operand == Operand::Name,
            _ => false,
        }
    }

    /// Whether a literal ends where `next` stands, rather than being part of more.
    fn ends_value(&self, next: Option<Token<'_>>) -> bool {
        let in_list = self.list == Some(self.depth);
        match next {
            None => !in_list,
            Some(Token::Symbol(b')' | b',')) => true,
            Some(Token::Symbol(b';')) => !in_list,
            Some(Token::Word(word)) => {
                !in_list
                    && ["and", "or", "where", "returning", "on"]
                        .iter()
                        .any(|known| word.eq_ignore_ascii_case(known))
            }
            Some(_) => false,
        }
    }

    fn step(&mut self, token: Token<'_>, start: usize, end: usize) {
        let before = std::mem::take(&mut self.before);
        self.before = match token {
            Token::Symbol(b'(') => {
                self.depth += 1;
                let opens = before == Before::In || self.rows_at == Some(self.depth - 1);
                if opens && self.list.is_none() {
                    self.list = Some(self.depth);
                    Before::Item
                } else {
                    Before::Other
                }
            }
            Token::Symbol(b')') => {
                if self.list == Some(self.depth) {
                    self.list = None;
                }
                self.depth = self.depth.saturating_sub(1);
                if self.rows_at.is_some_and(|depth| depth > self.depth) {
                    self.rows_at = None;
                }
                Before::Other
            }
            Token::Symbol(b',') if self.list == Some(self.depth) => Before::Item,
            Token::Symbol(symbol) if b"+-*/<>=~!@#%^&|`?".contains(&symbol) => {
                match before {
                    Before::Operator(mut operator) if self.operator_end == start => {
                        match operator.iter_mut().find(|byte| **byte == 0) {
                            Some(byte) => *byte = symbol,
                            // Longer than any that matters.
                            None => operator = *b"???",
                        }
                        self.operator_end = end;
                        Before::Operator(operator)
                    }
                    Before::Operator(operator)
                        if symbol == b'-' && self.operator_takes_value(operator) =>
                    {
                        Before::Minus
                    }
                    Before::Item if symbol == b'-' => Before::Minus,
                    _ => {
                        let named = before == Before::Name;
                        self.operand = if named { Operand::Name } else { Operand::Other };
                        self.operator_end = end;
                        Before::Operator([symbol, 0, 0])
                    }
                }
            }
            Token::Word(word) if word.eq_ignore_ascii_case("values") => {
                self.rows_at = Some(self.depth);
                Before::Other
            }
            Token::Word(word) if word.eq_ignore_ascii_case("in") => Before::In,
            Token::Word(_) | Token::Quoted(_) => {
                // What follows the rows of VALUES holds none.
                if self.rows_at == Some(self.depth) {
                    self.rows_at = None;
                }
                Before::Name
            }
            Token::Number(_) | Token::Literal(_) => Before::Literal,
            _ => Before::Other,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shaped(text: &str) -> (String, Vec<Value>) {
        let shape = shape(text).unwrap_or_else(|| panic!("no shape: {text}"));
        assert_eq!(shape.values.len(), shape.types.len());
        (shape.text, shape.values)
    }

    #[test]
    fn values_leave_the_text() {
        let text = |text: &str| Value::Text(text.to_owned());
        assert_eq!(
            shaped("SELECT abalance FROM pgbench_accounts WHERE aid = 123;"),
            (
                "SELECT abalance FROM pgbench_accounts WHERE aid = $1;".to_owned(),
                vec![Value::Integer(123)]
            )
        );
        assert_eq!(
            shaped("UPDATE t SET a = a + -5, b = 'it''s' WHERE c >= 7 AND d <> -8"),
            (
                "UPDATE t SET a = a + -$1, b = $2 WHERE c >= $3 AND d <> -$4".to_owned(),
                vec![Value::Integer(5), text("it's"), Value::Integer(7), Value::Integer(8)]
            )
        );
        assert_eq!(
            shaped("insert into t (a, b) values (1, 'x'), (-2, now()) returning a"),
            (
                "insert into t (a, b) values ($1, $2), (-$3, now()) returning a".to_owned(),
                vec![Value::Integer(1), text("x"), Value::Integer(2)]
            )
        );
        assert_eq!(
            shaped("delete from t where id in (1, 2) or x = (3)"),
            (
                "delete from t where id in ($1, $2) or x = (3)".to_owned(),
                vec![Value::Integer(1), Value::Integer(2)]
            )
        );
        let shape = shape("select 1 from t where a = 2147483648").expect("a shape");
        assert_eq!(shape.types, vec![Oid::INT8]);
    }

    #[test]
    fn what_is_no_value_stays() {
        for text in [
            "select a from t order by 1",
            "select 1, 'x', 2.5 from t limit 10",
            "select a from t where b = 1.5",
            "select a from t where b = 1 + 2",
            "select a from t where b = '1'::int",
            "select a from t where b = E'x'",
            "select a from t where b -> 'k' = c",
            "select a from t where b ->> 'k' is null",
            "select a from t where b @> '{}'",
            "select cast(a as varchar(10)) from t",
            "select a + 1 from t group by a + 1 having a = 1",
            "select a from t where b = $1 and c = 2",
            "select distinct a = 1 from t",
            "select a from t where b = now() - interval '1 day'",
            "select a from t where b = 'x' collate \"C\"",
            "select f(1, 2), lower('X') from t",
            "create table t (a int default 5)",
            "select a from t where 5 - 3 > b",
        ] {
            assert_eq!(shape(text), None, "{text}");
        }
    }
}
