//! Conversions between types: implicit (operands), assignment (columns), explicit
//! (`::`). Literals are converted here and now, so that what reaches SQLite is a
//! constant in the type's stored form; everything else by the functions of
//! `storage::sqlite::functions::casts`.

use super::ddl::shortened;
use super::row::has_shape;
use super::{Form, Translator, Typed, names};
use crate::log::Value;
use crate::pg::types::date_style::DateStyle;
use crate::pg::types::{Display, Format, decode};
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::types::{self, Family, Type, family, is_integer};

/// Who asks for a conversion; each may do what those before it may.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum How {
    Implicit,
    Assignment,
    Explicit,
}

impl Translator<'_> {
    /// Converts where PostgreSQL would without being asked.
    pub(super) fn coerce(&mut self, typed: Typed, ty: Type) -> Result<Typed, SqlError> {
        self.convert(typed, ty, How::Implicit)
    }

    /// `typed::ty`.
    pub(super) fn cast(&mut self, typed: Typed, ty: Type) -> Result<Typed, SqlError> {
        self.convert(typed, ty, How::Explicit)
    }

    /// Converts for storing in column `column`.
    pub(super) fn assign(
        &mut self,
        typed: Typed,
        ty: Type,
        column: &str,
    ) -> Result<Typed, SqlError> {
        let from = typed.oid();
        self.convert(typed, ty, How::Assignment).map_err(|error| {
            // One with a detail says what it is about a row.
            if error.state != SqlState("42846") || error.detail.is_some() {
                return error;
            }
            SqlError::new(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "column \"{column}\" is of type {} but expression is of type {}",
                    self.type_name(ty.oid),
                    self.type_name(from)
                ),
            )
            .with_hint("You will need to rewrite or cast the expression.")
        })
    }

    pub(super) fn convert(&mut self, typed: Typed, ty: Type, how: How) -> Result<Typed, SqlError> {
        if types::is_unknown(ty.oid) {
            return Ok(typed);
        }
        if ty.oid.0 >= 16_384
            && let Some(converted) = self.convert_to_user_type(&typed, ty, how)
        {
            return converted;
        }
        if has_shape(ty.oid) {
            return self.convert_to_shape(&typed, ty, how);
        }
        let typed = if typed.is_unknown() { self.give_type(typed, ty, how)? } else { typed };
        if let Some(bits) = Self::bits_of_integer(&typed, ty).filter(|_| how == How::Explicit) {
            return Ok(bits);
        }
        let typed =
            if typed.oid() == ty.oid { typed } else { self.change_type(typed, ty.oid, how)? };
        apply_modifier(typed, ty, how)
    }

    /// Types what had no type: NULL, a parameter, a literal, or a column nobody knows.
    fn give_type(&mut self, typed: Typed, ty: Type, how: How) -> Result<Typed, SqlError> {
        match typed.form.clone() {
            Form::Null => Ok(Typed { ty, ..typed }),
            Form::Parameter(number) => {
                let oid = self.type_parameter(number, ty.oid);
                Ok(super::bound(number, oid))
            }
            Form::Text(text) => self.literal(&text, ty.oid),
            // A column of a table whose columns are not known is taken at its word.
            _ if how == How::Explicit => {
                self.change_type(Typed { ty: Type::TEXT, ..typed }, ty.oid, how)
            }
            _ => Ok(Typed { ty: Type::plain(ty.oid), ..typed }),
        }
    }

    /// How literals are read: in the session's time zone.
    pub(super) fn display(&self) -> Display {
        let order = self.context.date_order;
        Display {
            time_zone: self.context.time_zone.to_owned(),
            date_style: DateStyle { order, ..DateStyle::default() },
            ..Display::default()
        }
    }

    /// `, 'zone'`: the session's time zone as a last argument.
    pub(super) fn zone_argument(&self) -> String {
        let zone = if self.context.time_zone.is_empty() { "UTC" } else { self.context.time_zone };
        format!(", {}", names::quote_literal(zone))
    }

    /// Each element of an array, or of an array's text, cast from `from`.
    fn array_cast(&self, typed: &Typed, from: Oid, to: Oid) -> Typed {
        let element = types::element_of(to).unwrap_or(Oid::TEXT);
        let name = |oid| names::quote_literal(&types::internal_name(oid));
        let moment = |oid| family(oid) == Family::DateTime;
        let zone = if moment(from) || moment(element) {
            format!(", {}{}", name(from), self.zone_argument())
        } else {
            String::new()
        };
        Typed::plain(format!("towline_cast_array({}, {}{zone})", typed.sql, name(element)), to)
    }

    /// A string literal read as a type's text form.
    fn literal(&mut self, text: &str, oid: Oid) -> Result<Typed, SqlError> {
        let quoted = |text: &str| Typed {
            form: Form::Text(text.to_owned()),
            ..Typed::plain(names::quote_literal(text), oid)
        };
        match family(oid) {
            Family::String if oid == Oid::NAME => return Ok(quoted(&shortened(text))),
            Family::String if oid != Oid::CHAR => return Ok(quoted(text)),
            Family::Reference => return Ok(reference(text, oid)),
            Family::Other | Family::Void if !has_own_form(oid) => return Ok(quoted(text)),
            // The moment of the transaction, not of the translation.
            Family::DateTime => {
                if let Some(special) = self.special_moment(text, oid)? {
                    return Ok(special);
                }
            }
            _ => {}
        }
        if matches!(oid, Oid::INT2VECTOR | Oid::OIDVECTOR) {
            return Ok(quoted(text));
        }
        let value = decode(text.as_bytes(), oid, Format::Text, &self.display())?;
        Ok(match value {
            Value::Null => Typed { form: Form::Null, ..Typed::plain("NULL", oid) },
            Value::Integer(value) if oid == Oid::BOOL => {
                Typed::plain(if value == 0 { "FALSE" } else { "TRUE" }, oid)
            }
            Value::Integer(value) if oid == Oid::NUMERIC => {
                super::expression::numeric(value.to_string())
            }
            Value::Integer(value) if oid == Oid::MONEY => {
                Typed { atomic: value >= 0, ..Typed::plain(value.to_string(), oid) }
            }
            Value::Integer(value) => Typed {
                form: Form::Number(value.to_string()),
                atomic: value >= 0,
                ..Typed::plain(value.to_string(), oid)
            },
            Value::Real(value) => real_literal(value, oid),
            Value::Text(value) if oid == Oid::NUMERIC => super::expression::numeric(value),
            Value::Text(value) => Typed::plain(names::quote_literal(&value), oid),
            Value::Blob(bytes) => {
                let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                Typed::plain(format!("X'{hex}'"), oid)
            }
        })
    }

    /// `'now'`, `'today'` and kin.
    fn special_moment(&mut self, text: &str, oid: Oid) -> Result<Option<Typed>, SqlError> {
        let now = Typed::plain("now()", Oid::TIMESTAMPTZ);
        let days = match text.trim().to_ascii_lowercase().as_str() {
            "now" => return self.cast(now, Type::plain(oid)).map(Some),
            "today" => 0,
            "tomorrow" => 1,
            "yesterday" => -1,
            _ => return Ok(None),
        };
        let today = self.cast(now, Type::plain(Oid::DATE))?;
        let day = Typed::plain(format!("towline_date_add({}, {days})", today.sql), Oid::DATE);
        self.cast(day, Type::plain(oid)).map(Some)
    }

    /// Converts between two different, known types.
    fn change_type(&mut self, typed: Typed, to: Oid, how: How) -> Result<Typed, SqlError> {
        let from = typed.oid();
        if let Form::Null = typed.form {
            return Ok(Typed { ty: Type::plain(to), ..typed });
        }
        if let Form::Number(text) = &typed.form
            && let Some(constant) = number_literal(text, to)
        {
            return Ok(constant);
        }
        let names = (self.type_name(from), self.type_name(to));
        let refused = || {
            Err(SqlError::new(
                SqlState("42846"),
                format!("cannot cast type {} to {}", names.0, names.1),
            ))
        };
        let same = |typed: Typed| {
            let form = match typed.form {
                Form::Column { not_null } => Form::Column { not_null },
                _ => Form::Plain,
            };
            Ok(Typed { ty: Type::plain(to), form, ..typed })
        };
        let call = |function: &str| Ok(Typed::plain(format!("{function}({})", typed.sql), to));
        let zone = self.zone_argument();
        let call_in_zone =
            |function: &str| Ok(Typed::plain(format!("{function}({}{zone})", typed.sql), to));
        let name = types::internal_name(to);
        let (source, target) = (family(from), family(to));
        let explicit = how == How::Explicit;
        match (source, target) {
            (Family::String, Family::String) => match (from, to) {
                (Oid::BPCHAR, Oid::TEXT | Oid::VARCHAR) => {
                    Ok(Typed::plain(format!("rtrim({}, ' ')", typed.sql), to))
                }
                (Oid::BPCHAR, Oid::NAME) => {
                    Ok(Typed::plain(format!("towline_cast_name(rtrim({}, ' '))", typed.sql), to))
                }
                (_, Oid::CHAR) => call("towline_cast_char"),
                (_, Oid::NAME) => call("towline_cast_name"),
                _ => same(typed),
            },
            (Family::Other, Family::String) if how >= How::Assignment && self.is_enum(from) => {
                same(typed)
            }
            (Family::Geometric, Family::Geometric) => {
                super::shapes::shape_cast(&typed, to).map_or_else(refused, Ok)
            }
            (_, Family::Geometric | Family::Range) if source != Family::String => refused(),
            (Family::Network | Family::Bits, Family::Network | Family::Bits | Family::Number) => {
                Self::extent_cast(&typed, to, explicit).map_or_else(refused, Ok)
            }
            (_, Family::String) if how >= How::Assignment => self.text_of(typed, to),
            (Family::String, _) if explicit => match target {
                Family::Array => Ok(self.array_cast(&typed, Oid::TEXT, to)),
                Family::Other | Family::Void if !has_own_form(to) => same(typed),
                Family::Reference => call(&format!("towline_{name}")),
                Family::DateTime if matches!(to, Oid::TIMESTAMPTZ | Oid::TIMETZ) => {
                    call_in_zone(&format!("towline_cast_{name}"))
                }
                _ => call(&format!("towline_cast_{name}")),
            },
            (Family::Number, Family::Number) => {
                let widening = types::wider_number(from, to) == to;
                if !widening && how == How::Implicit {
                    return refused();
                }
                match (from, to) {
                    // A negative int4 has the bits of an OID, too; more than that is none.
                    (Oid::INT8, Oid::OID) => call("towline_oid"),
                    (_, Oid::OID) if is_integer(from) => same(typed),
                    (Oid::OID, _) if is_integer(to) => same(typed),
                    _ if is_integer(from) && is_integer(to) && widening => same(typed),
                    (_, Oid::FLOAT8) if is_integer(from) => {
                        Ok(Typed::plain(format!("CAST({} AS REAL)", typed.sql), to))
                    }
                    (Oid::FLOAT4, Oid::FLOAT8) => same(typed),
                    // As many digits as a real is sure of.
                    (Oid::FLOAT4, Oid::NUMERIC) => call("towline_real_numeric"),
                    (_, Oid::NUMERIC) if is_integer(from) => {
                        Ok(Typed::plain(format!("CAST({} AS TEXT)", typed.sql), to))
                    }
                    _ => call(&format!("towline_{name}")),
                }
            }
            (Family::Number, Family::Other)
                if to == Oid::MONEY
                    && how >= How::Assignment
                    && (from == Oid::NUMERIC || is_integer(from)) =>
            {
                call("towline_money")
            }
            (Family::Other, Family::Number)
                if (from, to) == (Oid::MONEY, Oid::NUMERIC) && how >= How::Assignment =>
            {
                call("towline_money_numeric")
            }
            (Family::Number, Family::Boolean) if explicit && is_integer(from) => {
                Ok(Typed::compound(format!("{} <> 0", typed.operand()), to))
            }
            (Family::Boolean, Family::Number) if explicit && is_integer(to) => same(typed),
            (Family::Number, Family::Reference) if is_integer(from) || from == Oid::OID => {
                // Shown as a name, so no longer a plain column.
                Ok(Typed { form: Form::Plain, ty: Type::plain(to), ..typed })
            }
            (Family::Reference, Family::Number) if is_integer(to) || to == Oid::OID => same(typed),
            (Family::Reference, Family::Reference) => same(typed),
            (Family::DateTime, Family::DateTime) => {
                let zoned = matches!(from, Oid::TIMESTAMPTZ | Oid::TIMETZ)
                    != matches!(to, Oid::TIMESTAMPTZ | Oid::TIMETZ)
                    || (from, to) == (Oid::TIMESTAMPTZ, Oid::TIMETZ);
                let allowed = match (from, to) {
                    (Oid::DATE, Oid::TIMESTAMP | Oid::TIMESTAMPTZ) => true,
                    (Oid::TIMESTAMP, Oid::TIMESTAMPTZ) | (Oid::TIME, Oid::TIMETZ) => true,
                    (Oid::DATE, _) => false,
                    (Oid::TIME | Oid::TIMETZ, Oid::TIME | Oid::TIMETZ) => how >= How::Assignment,
                    (Oid::TIME | Oid::TIMETZ, _) => false,
                    _ => how >= How::Assignment,
                };
                if !allowed {
                    return refused();
                }
                let function = format!("towline_{name}");
                if zoned { call_in_zone(&function) } else { call(&function) }
            }
            (Family::DateTime, Family::Interval) if from == Oid::TIME => call("towline_interval"),
            (Family::Interval, Family::DateTime) if to == Oid::TIME && how >= How::Assignment => {
                call("towline_time")
            }
            (Family::Json, Family::Json) => match to {
                Oid::JSONB => call("towline_cast_jsonb"),
                _ => same(typed),
            },
            (Family::Json, Family::Number | Family::Boolean) if explicit && from == Oid::JSONB => {
                call(&format!("towline_jsonb_{name}"))
            }
            (Family::Array, Family::Other) if to == Oid::ANYARRAY => Ok(typed),
            (Family::Array, Family::Array) => {
                let (Some(a), Some(b)) = (types::element_of(from), types::element_of(to)) else {
                    return refused();
                };
                let vectors = matches!(from, Oid::INT2VECTOR | Oid::OIDVECTOR);
                if let Form::Array(elements) = typed.form {
                    let elements = elements
                        .into_iter()
                        .map(|element| {
                            // Rows of further dimensions are arrays themselves.
                            let nested = family(element.oid()) == Family::Array;
                            self.convert(element, Type::plain(if nested { to } else { b }), how)
                        })
                        .collect::<Result<Vec<_>, _>>()?;
                    let nested = elements.iter().any(|element| element.oid() == to);
                    let element = if nested { to } else { b };
                    return Ok(self.array_of(elements, Type::plain(element)));
                }
                if vectors {
                    return Ok(Typed::plain(format!("towline_vector_array({})", typed.sql), to));
                }
                let textual = family(a) == Family::String && family(b) == Family::String;
                let textual = textual && b != Oid::NAME;
                if textual || (is_integer(a) && is_integer(b) && types::wider_number(a, b) == b) {
                    return same(typed);
                }
                if how < How::Assignment && types::common(a, b) != Some(b) {
                    return refused();
                }
                Ok(self.array_cast(&typed, a, to))
            }
            (Family::Other, Family::Other | Family::Number)
                if explicit && from != Oid::MONEY && to != Oid::MONEY =>
            {
                same(typed)
            }
            _ => refused(),
        }
    }

    /// As text, the way that PostgreSQL prints the type.
    fn text_of(&mut self, typed: Typed, to: Oid) -> Result<Typed, SqlError> {
        let from = typed.oid();
        let name = types::internal_name(from);
        let sql = match family(from) {
            Family::Number if matches!(from, Oid::FLOAT4 | Oid::FLOAT8) => {
                format!("towline_text_{name}({})", typed.sql)
            }
            Family::Number => match &typed.form {
                Form::Number(text) => names::quote_literal(text),
                // Digits count now, not the number.
                _ if from == Oid::NUMERIC => format!("{} COLLATE BINARY", typed.operand()),
                _ => format!("CAST({} AS TEXT)", typed.sql),
            },
            Family::Boolean | Family::Bytes | Family::Reference => {
                format!("towline_text_{name}({})", typed.sql)
            }
            Family::Other if from == Oid::MONEY => format!("towline_text_money({})", typed.sql),
            Family::Network if from == Oid::INET => {
                format!("towline_network_text({})", typed.sql)
            }
            Family::DateTime if from == Oid::TIMESTAMPTZ => {
                format!("towline_text_{name}({}{})", typed.sql, self.zone_argument())
            }
            Family::DateTime if matches!(from, Oid::DATE | Oid::TIMESTAMP) => {
                format!("towline_text_moment({})", typed.sql)
            }
            Family::Array
                if types::element_of(from)
                    .is_some_and(|element| family(element) == Family::DateTime) =>
            {
                let texts = Type::plain(Oid::TEXT_ARRAY);
                self.convert(typed, texts, How::Explicit)?.sql
            }
            _ if to == Oid::CHAR => format!("substr({}, 1, 1)", typed.sql),
            _ if self.collation(typed.ty).is_some() => {
                format!("{} COLLATE BINARY", typed.operand())
            }
            _ => {
                return Ok(Typed { ty: Type::plain(to), form: Form::Plain, ..typed });
            }
        };
        Ok(Typed::plain(sql, to))
    }
}

/// Whether a type that belongs to no family is not simply kept as it is written.
fn has_own_form(oid: Oid) -> bool {
    matches!(oid, Oid::JSONPATH | Oid::PG_LSN | Oid::XID | Oid::XID8 | Oid::CID | Oid::MONEY)
}

/// A name of a relation, type or function as its OID.
fn reference(text: &str, oid: Oid) -> Typed {
    if let Ok(number) = text.parse::<u32>() {
        return Typed::plain(number.to_string(), oid);
    }
    if oid == Oid::REGTYPE
        && let Some(known) = types::by_text(text)
    {
        return Typed::plain(known.0.to_string(), oid);
    }
    let function = types::internal_name(oid);
    Typed::plain(format!("towline_{function}({})", names::quote_literal(text)), oid)
}

/// A number literal in another number type, where that takes no rounding.
fn number_literal(text: &str, to: Oid) -> Option<Typed> {
    let form = Form::Number(text.to_owned());
    match to {
        Oid::NUMERIC => Some(super::expression::numeric(text.to_owned())),
        Oid::FLOAT8 | Oid::FLOAT4 => {
            let value: f64 = text.parse().ok()?;
            Some(real_literal(value, to))
        }
        Oid::INT2 | Oid::INT4 | Oid::INT8 | Oid::OID => {
            let value: i64 = text.parse().ok()?;
            let fits = match to {
                Oid::INT2 => i16::try_from(value).is_ok(),
                Oid::INT4 => i32::try_from(value).is_ok(),
                Oid::OID => u32::try_from(value).is_ok(),
                _ => true,
            };
            fits.then(|| Typed { form, atomic: value >= 0, ..Typed::plain(text, to) })
        }
        _ => None,
    }
}

fn real_literal(value: f64, oid: Oid) -> Typed {
    let value = if oid == Oid::FLOAT4 { f64::from(value as f32) } else { value };
    let sql = if value.is_nan() {
        "'NaN'".to_owned()
    } else if value == f64::INFINITY {
        "9e999".to_owned()
    } else if value == f64::NEG_INFINITY {
        "-9e999".to_owned()
    } else {
        format!("{value:?}")
    };
    Typed { atomic: !sql.starts_with('-'), ..Typed::plain(sql, oid) }
}

/// Enforces a type's modifier: length, precision, scale.
fn apply_modifier(typed: Typed, ty: Type, how: How) -> Result<Typed, SqlError> {
    if ty.typmod < 0 || typed.ty.typmod == ty.typmod || typed.is_null() {
        return Ok(Typed { ty: if typed.oid() == ty.oid { ty } else { typed.ty }, ..typed });
    }
    let length = ty.typmod - 4;
    let sql = match ty.oid {
        Oid::VARCHAR | Oid::BPCHAR => {
            if let Form::Text(text) = &typed.form {
                return sized_literal(text, ty, how);
            }
            let cut = if how == How::Explicit {
                format!("substr({}, 1, {length})", typed.sql)
            } else {
                typed.sql
            };
            match (ty.oid, how) {
                (Oid::VARCHAR, How::Explicit) => cut,
                (Oid::VARCHAR, _) => format!("towline_varchar({cut}, {length})"),
                _ => format!("towline_bpchar({cut}, {length})"),
            }
        }
        Oid::NUMERIC => match types::numeric_precision(ty.typmod) {
            Some((precision, scale)) => {
                format!("towline_numeric_scale({}, {precision}, {scale})", typed.sql)
            }
            None => typed.sql,
        },
        Oid::BIT | Oid::VARBIT => format!(
            "towline_bits_fit({}, {}, {}, {})",
            typed.sql,
            ty.typmod,
            u8::from(ty.oid == Oid::VARBIT),
            u8::from(how == How::Explicit)
        ),
        Oid::INTERVAL => format!("towline_interval_fit({}, {})", typed.sql, ty.typmod),
        Oid::TIME | Oid::TIMETZ | Oid::TIMESTAMP | Oid::TIMESTAMPTZ if ty.typmod < 6 => {
            format!("towline_time_precision({}, {})", typed.sql, ty.typmod)
        }
        // The modifier of an array is its elements'; that of rows is their shape.
        oid => match types::element_of(oid).filter(|_| !has_shape(oid)) {
            Some(element) => format!(
                "towline_array_fit({}, {}, {}, {})",
                typed.sql,
                element.0,
                ty.typmod,
                u8::from(how == How::Explicit)
            ),
            None => return Ok(Typed { ty, ..typed }),
        },
    };
    Ok(Typed::of(sql, ty))
}

/// A literal of type varchar(n) or char(n).
fn sized_literal(text: &str, ty: Type, how: How) -> Result<Typed, SqlError> {
    let length = usize::try_from(ty.typmod - 4).unwrap_or(0);
    let count = text.chars().count();
    let mut sized = text.to_owned();
    if count > length {
        let kept: String = text.chars().take(length).collect();
        let only_blanks = text[kept.len()..].bytes().all(|byte| byte == b' ');
        if how != How::Explicit && !only_blanks {
            return Err(SqlError::new(
                SqlState::STRING_DATA_RIGHT_TRUNCATION,
                format!("value too long for type {}({length})", types::display_name(ty.oid)),
            ));
        }
        sized = kept;
    } else if ty.oid == Oid::BPCHAR {
        sized.extend(std::iter::repeat_n(' ', length - count));
    }
    Ok(Typed { form: Form::Text(sized.clone()), ..Typed::of(names::quote_literal(&sized), ty) })
}

/// How a value goes into an array's text: most as they are stored, those whose
/// stored form is not their text form by that form.
pub(super) fn array_element(element: &Typed) -> String {
    match element.oid() {
        Oid::BOOL => format!("towline_array_bool({})", element.sql),
        Oid::BYTEA => format!("towline_text_bytea({})", element.sql),
        oid @ (Oid::FLOAT4 | Oid::FLOAT8 | Oid::MONEY) => {
            format!("towline_text_{}({})", types::internal_name(oid), element.sql)
        }
        oid if family(oid) == Family::Reference => {
            format!("towline_text_{}({})", types::internal_name(oid), element.sql)
        }
        _ => element.sql.clone(),
    }
}

/// A row as text: `(1,"a b",)`.
pub(super) fn record_text(fields: &[Typed]) -> String {
    let texts: Vec<String> = fields.iter().map(array_element).collect();
    format!("towline_record({})", texts.join(", "))
}

/// An element's text, taken out of an array, in the type's stored form.
pub(super) fn from_array_element(text: String, element: Oid) -> Typed {
    let sql = match family(element) {
        Family::Other if element == Oid::MONEY => format!("towline_cast_money({text})"),
        Family::String
        | Family::Other
        | Family::DateTime
        | Family::Interval
        | Family::Json
        | Family::Array
        | Family::Network
        | Family::Bits
        | Family::Geometric
        | Family::Range => text,
        // By its name, or its number.
        Family::Reference => format!("towline_{}({text})", types::internal_name(element)),
        Family::Number if element == Oid::NUMERIC => text,
        Family::Number if is_integer(element) || element == Oid::OID => {
            format!("CAST({text} AS INTEGER)")
        }
        Family::Number => format!("towline_cast_float8({text})"),
        _ => format!("towline_cast_{}({text})", types::internal_name(element)),
    };
    Typed::plain(sql, element)
}

/// A table-valued function over an array's elements; see [`array_row_value`].
pub(super) fn array_rows(array: &Typed, element: Oid, alias: &str) -> String {
    format!(
        "json_each(towline_array_json({}, {})) AS {alias}",
        array.sql,
        names::quote_literal(json_kind(element))
    )
}

/// The element of the current row of [`array_rows`].
pub(super) fn array_row_value(element: Oid, alias: &str) -> Typed {
    let value = format!("{alias}.value");
    match element {
        Oid::BYTEA | Oid::MONEY => Typed::plain(
            format!("towline_cast_{}({value})", types::internal_name(element)),
            element,
        ),
        _ if family(element) == Family::Reference => from_array_element(value, element),
        _ => Typed::plain(value, element),
    }
}

/// How elements become JSON: as numbers, truth values, or strings.
fn json_kind(element: Oid) -> &'static str {
    match family(element) {
        Family::Boolean => "bool",
        Family::Number if element == Oid::NUMERIC => "text",
        Family::Number if matches!(element, Oid::FLOAT4 | Oid::FLOAT8) => "float",
        Family::Number => "int",
        _ => "text",
    }
}
