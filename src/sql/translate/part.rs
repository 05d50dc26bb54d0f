//! Assignments to parts of columns: `SET c.x = …`, `SET a[1] = …`, and the same in the
//! column list of INSERT. The column gets its old value with the part changed.

use sqlparser::ast::{AccessExpr, Expr, Ident, ObjectName, ObjectNamePart, Subscript};

use super::target::Target;
use super::{Translator, Typed, cast, limits, names, syntax};
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::catalog::Attribute;
use crate::sql::types::{Family, Type, family, is_integer};

/// Longest text of a value whose part is assigned, in bytes.
const BASE_MAX: usize = 1 << 20;

/// A step from a value to a part of it.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Field(String),
    /// As many as there are in a row.
    Subscripts(Vec<Subscript>),
}

/// A column, or the part of it, that is given a value.
pub(super) struct Part<'r> {
    pub attribute: &'r Attribute,
    pub steps: Vec<Step>,
}

/// What an assignment names. The column may be qualified by the table.
pub(super) fn assigned_part<'r>(
    target: &Target<'r>,
    name: &ObjectName,
) -> Result<Part<'r>, SqlError> {
    let idents: Vec<&Ident> = name
        .0
        .iter()
        .filter_map(|part| match part {
            ObjectNamePart::Identifier(ident) => Some(ident),
            ObjectNamePart::Function(_) => None,
        })
        .collect();
    let Some((first, rest)) = idents.split_first() else {
        return Err(syntax::syntax_error("SET", None));
    };
    match (target.attribute(&names::fold(first)), rest.split_first()) {
        (Ok(attribute), _) => Ok(Part { attribute, steps: steps(rest)? }),
        (Err(error), None) => Err(error),
        (Err(error), Some((column, rest))) => match target.attribute(&names::fold(column)) {
            Ok(attribute) => Ok(Part { attribute, steps: steps(rest)? }),
            Err(_) => Err(error),
        },
    }
}

fn steps(idents: &[&Ident]) -> Result<Vec<Step>, SqlError> {
    let mut steps: Vec<Step> = Vec::new();
    for ident in idents {
        match subscript(ident)? {
            None => steps.push(Step::Field(names::fold(ident))),
            Some(subscript) => match steps.last_mut() {
                Some(Step::Subscripts(before)) => before.push(subscript),
                _ => steps.push(Step::Subscripts(vec![subscript])),
            },
        }
    }
    Ok(steps)
}

/// The subscript that stands where the parser knows only a name; see [`super::tokens`].
fn subscript(ident: &Ident) -> Result<Option<Subscript>, SqlError> {
    if ident.quote_style.is_none() || !ident.value.starts_with('[') {
        return Ok(None);
    }
    match syntax::parse_expression(&format!("a{}", ident.value))? {
        Expr::CompoundFieldAccess { access_chain, .. } => match access_chain.into_iter().next() {
            Some(AccessExpr::Subscript(subscript)) => Ok(Some(subscript)),
            _ => Ok(None),
        },
        _ => Ok(None),
    }
}

impl Translator<'_> {
    /// `base` with its part at the end of `steps` given a value; `column` is what messages
    /// call it.
    pub(super) fn assign_part(
        &mut self,
        base: Typed,
        steps: &[Step],
        value: Typed,
        column: &str,
    ) -> Result<Typed, SqlError> {
        // A part of a part says what it is a part of twice.
        if base.sql.len() > BASE_MAX {
            return Err(limits::too_deep());
        }
        match steps.split_first() {
            None => self.assign(value, base.ty, column),
            Some((Step::Field(field), rest)) => self.assign_field(base, field, rest, value, column),
            Some((Step::Subscripts(subscripts), rest)) => {
                self.assign_element(base, subscripts, rest, value, column)
            }
        }
    }

    /// The type of the part at the end of `steps`, where there is one.
    pub(super) fn part_type(&self, ty: Type, steps: &[Step]) -> Type {
        let Some((step, rest)) = steps.split_first() else { return ty };
        let ty = self.base_of(ty);
        let part = match step {
            Step::Field(field) => self
                .field_types(ty)
                .and_then(|fields| fields.into_iter().find(|(name, _)| name == field))
                .map(|(_, ty)| ty),
            Step::Subscripts(_) if ty.oid == Oid::JSONB => Some(ty),
            Step::Subscripts(all) if all.iter().any(|s| matches!(s, Subscript::Slice { .. })) => {
                Some(ty)
            }
            Step::Subscripts(_) => self.element_of(ty),
        };
        part.map_or(Type::plain(Oid::UNKNOWN), |part| self.part_type(part, rest))
    }

    fn assign_field(
        &mut self,
        base: Typed,
        field: &str,
        rest: &[Step],
        value: Typed,
        column: &str,
    ) -> Result<Typed, SqlError> {
        let fields = self.row_fields(&base).ok_or_else(|| {
            SqlError::new(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "cannot assign to field \"{field}\" of column \"{column}\" because its type \
                     {} is not a composite type",
                    self.type_name(base.oid())
                ),
            )
        })?;
        let found = fields.iter().position(|known| known.name.as_deref() == Some(field));
        let at = found.ok_or_else(|| {
            SqlError::new(
                SqlState::UNDEFINED_COLUMN,
                format!(
                    "cannot assign to field \"{field}\" of column \"{column}\" because there is \
                     no such column in data type {}",
                    self.type_name(base.oid())
                ),
            )
        })?;
        let value = match rest {
            [] => self.assign_as(value, fields[at].ty, |this, wanted, given| {
                format!(
                    "subfield \"{field}\" is of type {} but expression is of type {}",
                    this.type_name(wanted),
                    this.type_name(given)
                )
            })?,
            _ => self.assign_part(fields[at].clone(), rest, value, field)?,
        };
        let sql = format!(
            "towline_record_with({}, {}, {at}, {})",
            base.sql,
            fields.len(),
            cast::array_element(&value)
        );
        Ok(Typed::of(sql, base.ty))
    }

    fn assign_element(
        &mut self,
        base: Typed,
        subscripts: &[Subscript],
        rest: &[Step],
        value: Typed,
        column: &str,
    ) -> Result<Typed, SqlError> {
        if base.oid() == Oid::JSONB {
            return self.assign_member(base, subscripts, rest, value, column);
        }
        let element = self.element_of(base.ty).ok_or_else(|| {
            SqlError::new(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "cannot subscript type {} because it does not support subscripting",
                    self.type_name(base.oid())
                ),
            )
        })?;
        let slice = subscripts.iter().any(|one| matches!(one, Subscript::Slice { .. }));
        let bounds = self.subscripts(subscripts, slice)?;
        let wanted = if slice { base.ty } else { element };
        let value = match rest {
            [] => self.assign_as(value, wanted, |this, wanted, given| {
                format!(
                    "subscripted assignment to \"{column}\" requires type {} but expression is of \
                     type {}",
                    this.type_name(wanted),
                    this.type_name(given)
                )
            })?,
            _ if slice || subscripts.len() > 1 => {
                return Err(SqlError::unsupported("assignment to a part of this subscript"));
            }
            _ => {
                let old = format!("towline_array_get({}, {bounds}, 1)", base.sql);
                let old = Typed { ty: element, ..cast::from_array_element(old, element.oid) };
                self.assign_part(old, rest, value, column)?
            }
        };
        let (function, value) = match slice {
            true => ("towline_array_set_slice", value.sql),
            false => ("towline_array_set", cast::array_element(&value)),
        };
        Ok(Typed::of(format!("{function}({}, {value}, {bounds})", base.sql), base.ty))
    }

    /// Subscripts of jsonb are a path.
    fn assign_member(
        &mut self,
        base: Typed,
        subscripts: &[Subscript],
        rest: &[Step],
        value: Typed,
        column: &str,
    ) -> Result<Typed, SqlError> {
        if !rest.is_empty() {
            return Err(SqlError::new(
                SqlState::DATATYPE_MISMATCH,
                format!("cannot assign to a field of column \"{column}\" of type jsonb"),
            ));
        }
        let mut arguments = vec![base.sql];
        let value = self.assign_as(value, base.ty, |this, wanted, given| {
            format!(
                "subscripted assignment to \"{column}\" requires type {} but expression is of type {}",
                this.type_name(wanted),
                this.type_name(given)
            )
        })?;
        arguments.push(value.sql);
        for subscript in subscripts {
            let Subscript::Index { index } = subscript else {
                return Err(SqlError::new(
                    SqlState::DATATYPE_MISMATCH,
                    "jsonb subscript does not support slices",
                ));
            };
            let typed = self.settled(index)?;
            match family(typed.oid()) {
                Family::String => arguments.push(typed.sql),
                _ if is_integer(typed.oid()) => arguments.push(typed.sql),
                _ => {
                    let ty = self.type_name(typed.oid());
                    return Err(SqlError::new(
                        SqlState::DATATYPE_MISMATCH,
                        format!("subscript type {ty} is not supported"),
                    )
                    .with_hint("jsonb subscript must be coercible to either integer or text."));
                }
            }
        }
        let sql = format!("towline_jsonb_assign({})", arguments.join(", "));
        Ok(Typed::of(sql, base.ty))
    }

    /// Subscripts as arguments; beside a slice all are pairs of bounds, one alone from 1.
    fn subscripts(&mut self, subscripts: &[Subscript], slice: bool) -> Result<String, SqlError> {
        let mut texts = Vec::new();
        for subscript in subscripts {
            let (lower, upper) = match subscript {
                Subscript::Index { index } => (None, Some(index)),
                Subscript::Slice { lower_bound, upper_bound, stride: None } => {
                    (lower_bound.as_ref(), upper_bound.as_ref())
                }
                Subscript::Slice { .. } => {
                    return Err(SqlError::unsupported("this kind of subscript"));
                }
            };
            let index = matches!(subscript, Subscript::Index { .. });
            if slice {
                texts.push(match lower {
                    Some(lower) => self.subscript(lower)?,
                    None => if index { "1" } else { "''" }.to_owned(),
                });
            }
            texts.push(match upper {
                Some(upper) => self.subscript(upper)?,
                None => "''".to_owned(),
            });
        }
        Ok(texts.join(", "))
    }

    fn subscript(&mut self, expr: &Expr) -> Result<String, SqlError> {
        let typed = self.expression(expr)?;
        Ok(self.convert(typed, Type::plain(Oid::INT4), cast::How::Assignment)?.sql)
    }

    /// Converts for a part of a column; `mismatch` says why it can't be.
    fn assign_as(
        &mut self,
        value: Typed,
        ty: Type,
        mismatch: impl FnOnce(&Self, Oid, Oid) -> String,
    ) -> Result<Typed, SqlError> {
        let given = value.oid();
        self.convert(value, ty, cast::How::Assignment).map_err(|error| {
            if error.state != SqlState("42846") || error.detail.is_some() {
                return error;
            }
            SqlError::new(SqlState::DATATYPE_MISMATCH, mismatch(self, ty.oid, given))
                .with_hint("You will need to rewrite or cast the expression.")
        })
    }
}
