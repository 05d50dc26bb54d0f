//! Enums, composites and domains in expressions.
//!
//! An enum's value is its label, as text; a label that isn't one is refused where text
//! becomes the enum (22P02), and what sorts or compares by order goes by the labels'
//! order. A composite's value is its row's text. A domain's value is one of its base type, and that is the type that
//! expressions see, as in PostgreSQL's own results; its conditions are checked in a
//! cast, and by the tables that have columns of it.

use std::cmp::Ordering;

use sqlparser::ast::{ArrayElemTypeDef, DataType, Expr, Ident, ObjectName, VisitMut, VisitorMut};

use super::cast::How;
use super::row::{has_shape, row_or_null};
use super::scope::{Scope, Source, SourceColumn};
use super::{Form, Translator, Typed, names, syntax};
use crate::log::Value;
use crate::pg::types::Format;
use crate::pg::types::array::Array;
use crate::pg::types::made::{Made, decode_made};
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::catalog::{Attribute, Field, Relation, UserType, UserTypeKind};
use crate::sql::types::{self, Family, Type, family};

impl<'a> Translator<'a> {
    /// The type that a name in a statement means; a domain is not taken for its base.
    pub(super) fn resolve_type(&mut self, data_type: &DataType) -> Result<Type, SqlError> {
        match data_type {
            DataType::Custom(name, modifiers) if modifiers.is_empty() => {
                match (self.user_type_named(name), self.row_type_named(name)) {
                    (Some(kind), _) => Ok(Type::plain(kind.oid)),
                    (None, Some(row)) => Ok(row),
                    (None, None) => types::resolve(data_type),
                }
            }
            DataType::Array(
                ArrayElemTypeDef::SquareBracket(element, _)
                | ArrayElemTypeDef::Qualified(element, _),
            ) => match &**element {
                DataType::Custom(name, modifiers) if modifiers.is_empty() => {
                    match (self.user_type_named(name), self.row_type_named(name)) {
                        (Some(kind), _) => Ok(Type::plain(kind.array)),
                        (None, Some(row)) => Ok(Type { oid: Oid::RECORD_ARRAY, ..row }),
                        (None, None) => types::resolve(data_type),
                    }
                }
                _ => types::resolve(data_type),
            },
            _ => types::resolve(data_type),
        }
    }

    /// The type of the rows of a table that bears the name of no other type.
    fn row_type_named(&mut self, name: &ObjectName) -> Option<Type> {
        if name.0.len() == 1 && types::by_name(&names::last(name)?).is_some() {
            return None;
        }
        let relation = self.relation_named(name)?;
        Some(self.table_row_type(relation))
    }

    fn user_type_named(&self, name: &ObjectName) -> Option<&'a UserType> {
        let (schema, name) = self.qualified(name).ok()?;
        let catalog = self.context.catalog;
        if catalog.types.is_empty() {
            return None;
        }
        let found = catalog.find_stored(schema.as_deref(), &name, &self.path(), |stored| {
            catalog.types.contains_key(stored)
        })?;
        catalog.types.get(&found)
    }

    fn user_type(&self, oid: Oid) -> Option<&'a UserType> {
        // Those that come with PostgreSQL have lower numbers.
        (oid.0 >= 16_384).then(|| self.context.catalog.user_type(oid)).flatten()
    }

    fn domain(&self, oid: Oid) -> Option<Domain<'a>> {
        let kind = self.user_type(oid).filter(|kind| kind.oid == oid)?;
        match &kind.kind {
            UserTypeKind::Domain { base, typmod, not_null, default, checks } => Some(Domain {
                name: &kind.name,
                base: Type { oid: *base, typmod: *typmod },
                not_null: *not_null,
                default: default.as_deref(),
                checks,
            }),
            _ => None,
        }
    }

    /// The fields of a composite type.
    pub(super) fn fields(&self, oid: Oid) -> Option<(&'a str, &'a [Field])> {
        let kind = self.user_type(oid).filter(|kind| kind.oid == oid)?;
        match &kind.kind {
            UserTypeKind::Composite { fields, .. } => Some((&kind.name, fields)),
            _ => None,
        }
    }

    pub(super) fn missing_field(&self, name: &str, row: Oid) -> SqlError {
        let message = match row {
            Oid::RECORD => format!("could not identify column \"{name}\" in record data type"),
            _ => format!("column \"{name}\" not found in data type {}", self.type_name(row)),
        };
        SqlError::new(SqlState::UNDEFINED_COLUMN, message)
    }

    /// A type's name in messages.
    pub(super) fn type_name(&self, oid: Oid) -> String {
        match self.user_type(oid) {
            Some(kind) if kind.array == oid => format!("{}[]", self.shown(&kind.name)),
            Some(kind) => self.shown(&kind.name).to_owned(),
            None => types::display_name(oid),
        }
    }

    /// The type of arrays of `element`.
    pub(super) fn array_over(&self, element: Type) -> Type {
        let made = || self.user_type(element.oid).map(|kind| kind.array);
        let oid = types::array_of(element.oid).or_else(made).unwrap_or(Oid::TEXT_ARRAY);
        Type { oid, typmod: if has_shape(oid) { element.typmod } else { -1 } }
    }

    /// What subscripts of an array give.
    pub(super) fn element_of(&self, array: Type) -> Option<Type> {
        let made = || self.user_type(array.oid).filter(|kind| kind.array == array.oid);
        let oid = types::element_of(array.oid).or_else(|| made().map(|kind| kind.oid))?;
        Some(Type { oid, typmod: if has_shape(oid) { array.typmod } else { -1 } })
    }

    fn labels(&self, oid: Oid) -> Option<(&'a str, &'a [String])> {
        let kind = self.user_type(oid).filter(|kind| kind.oid == oid)?;
        match &kind.kind {
            UserTypeKind::Enum(labels) => Some((&kind.name, labels)),
            _ => None,
        }
    }

    /// The type that a column or value of `ty` has in expressions.
    pub(super) fn base_of(&self, ty: Type) -> Type {
        self.domain(ty.oid).map_or(ty, |domain| domain.base)
    }

    /// Whether the type itself refuses NULL.
    pub(super) fn is_never_null(&self, oid: Oid) -> bool {
        self.domain(oid).is_some_and(|domain| domain.not_null)
    }

    /// The default that a domain gives its columns.
    pub(super) fn default_of_type(&self, oid: Oid) -> Option<&'a str> {
        self.domain(oid)?.default
    }

    /// Converts to a type that a client made; `None` if `ty` is none.
    pub(super) fn convert_to_user_type(
        &mut self,
        typed: &Typed,
        ty: Type,
        how: How,
    ) -> Option<Result<Typed, SqlError>> {
        if let Some(domain) = self.domain(ty.oid) {
            return Some(self.convert_to_domain(typed.clone(), &domain, how));
        }
        if let Some((name, labels)) = self.labels(ty.oid) {
            return Some(self.convert_to_enum(typed, ty.oid, name, labels, how));
        }
        if let Some((name, fields)) = self.fields(ty.oid) {
            return Some(self.convert_to_composite(typed, ty.oid, name, fields, how));
        }
        let kind = self.user_type(ty.oid)?;
        if let Form::Array(elements) = &typed.form
            && typed.oid() != kind.array
        {
            return Some(self.array_of_user_type(elements.clone(), kind.oid, how));
        }
        let text = family(typed.oid()) == Family::String
            || matches!(typed.oid(), Oid::TEXT_ARRAY | Oid::VARCHAR_ARRAY);
        if text && how == How::Explicit {
            return Some(self.made_of_text(typed, kind.array));
        }
        if typed.is_unknown() || family(typed.oid()) == Family::String || typed.oid() == kind.array
        {
            if let Form::Parameter(number) = typed.form {
                self.type_parameter(number, kind.array);
            }
            let literal = match (&typed.form, self.context.catalog.made_of(ty.oid)) {
                (Form::Text(text), Some(made)) => self.made_literal(text, &made, ty.oid),
                _ => Ok(Typed { ty: Type::plain(kind.array), ..typed.clone() }),
            };
            return Some(match self.domain(kind.oid) {
                Some(domain) if typed.oid() != kind.array => {
                    literal.and_then(|array| self.checked_elements(array, &domain))
                }
                _ => literal,
            });
        }
        None
    }

    fn array_of_user_type(
        &mut self,
        elements: Vec<Typed>,
        oid: Oid,
        how: How,
    ) -> Result<Typed, SqlError> {
        let elements = elements
            .into_iter()
            .map(|element| self.convert(element, Type::plain(oid), how))
            .collect::<Result<Vec<_>, _>>()?;
        let array = self.array_of(elements, Type::plain(oid));
        match self.domain(oid).filter(|_| how != How::Explicit) {
            Some(domain) => self.checked_elements(array, &domain),
            None => Ok(array),
        }
    }

    /// An array of which each element holds what its domain asks.
    fn checked_elements(&mut self, array: Typed, domain: &Domain<'_>) -> Result<Typed, SqlError> {
        let name = self.context.catalog.bare(domain.name).to_owned();
        let mut sql = array.sql.clone();
        for (check, condition) in domain.checks {
            let elements = SourceColumn {
                sql: Some("elements".to_owned()),
                ..SourceColumn::new("elements", self.array_over(domain.base))
            };
            let sources = vec![Source::new("elements", vec![elements])];
            let scope = Scope { sources, ..Scope::default() };
            let outer = std::mem::replace(&mut self.scopes, vec![scope]);
            let all = format!(
                "NOT EXISTS (SELECT 1 FROM unnest(elements) AS each(value) WHERE NOT ({condition}))"
            );
            let condition = syntax::parse_expression(&all)
                .and_then(|expr| self.while_defining(|this| this.condition(&expr, "CHECK")));
            self.scopes = outer;
            sql = format!(
                "(SELECT towline_domain_value(elements, {}, {}, {}) FROM (SELECT {sql} AS elements))",
                condition?,
                names::quote_literal(&name),
                names::quote_literal(check)
            );
        }
        if domain.checks.is_empty() {
            return Ok(array);
        }
        Ok(Typed { form: Form::Plain, atomic: true, sql, ..array })
    }

    /// Text that is read as a value of a type that is made of others.
    fn made_of_text(&self, typed: &Typed, oid: Oid) -> Result<Typed, SqlError> {
        let made = self.context.catalog.made_of(oid);
        let made = made.ok_or_else(|| SqlError::unsupported("text as a value of this type"))?;
        if let Form::Text(text) = &typed.form {
            return self.made_literal(text, &made, oid);
        }
        let made = names::quote_literal(&made.to_string());
        let zone = self.zone_argument();
        Ok(Typed::plain(format!("towline_cast_made({}, {made}{zone})", typed.sql), oid))
    }

    /// A literal of a type that is made of others.
    fn made_literal(&self, text: &str, made: &Made, oid: Oid) -> Result<Typed, SqlError> {
        match decode_made(text.as_bytes(), made, Format::Text, &self.display())? {
            Value::Text(text) => Ok(Typed::plain(names::quote_literal(&text), oid)),
            _ => Ok(Typed { form: Form::Null, ..Typed::plain("NULL", oid) }),
        }
    }

    fn convert_to_composite(
        &mut self,
        typed: &Typed,
        oid: Oid,
        stored: &str,
        fields: &[Field],
        how: How,
    ) -> Result<Typed, SqlError> {
        let name = self.context.catalog.bare(stored);
        let refused = |reason: &str| {
            SqlError::new(
                SqlState("42846"),
                format!("cannot cast type {} to {name}", self.type_name(typed.oid())),
            )
            .with_detail(reason)
        };
        match &typed.form {
            Form::Text(_) => self.made_of_text(typed, oid),
            Form::Null => Ok(Typed { ty: Type::plain(oid), ..typed.clone() }),
            Form::Parameter(number) if typed.is_unknown() => {
                self.type_parameter(*number, oid);
                Ok(Typed { ty: Type::plain(oid), ..typed.clone() })
            }
            _ if typed.oid() == oid || typed.is_unknown() => {
                Ok(Typed { ty: Type::plain(oid), ..typed.clone() })
            }
            _ if typed.oid() == Oid::RECORD => {
                let Some(given) = self.row_fields(typed) else {
                    return Err(SqlError::unsupported(
                        "rows of unknown fields as a composite type",
                    ));
                };
                match given.len().cmp(&fields.len()) {
                    Ordering::Less => return Err(refused("Input has too few columns.")),
                    Ordering::Greater => return Err(refused("Input has too many columns.")),
                    Ordering::Equal => {}
                }
                let fields = self.field_types(Type::plain(oid)).unwrap_or_default();
                let row = self.converted_fields(typed, &fields, how)?;
                Ok(Typed { ty: Type::plain(oid), ..row_or_null(typed, &row) })
            }
            _ if family(typed.oid()) == Family::String && how == How::Explicit => {
                self.made_of_text(typed, oid)
            }
            _ => Err(SqlError { detail: None, ..refused("") }),
        }
    }

    fn convert_to_enum(
        &mut self,
        typed: &Typed,
        oid: Oid,
        stored: &str,
        labels: &[String],
        how: How,
    ) -> Result<Typed, SqlError> {
        let name = self.context.catalog.bare(stored).to_owned();
        let is_label = |text: &str| labels.iter().any(|label| label == text);
        match &typed.form {
            Form::Text(text) if !is_label(text) => Err(SqlError::new(
                SqlState::INVALID_TEXT_REPRESENTATION,
                format!("invalid input value for enum {name}: \"{text}\""),
            )),
            Form::Text(_) | Form::Null => Ok(Typed { ty: Type::plain(oid), ..typed.clone() }),
            _ if typed.oid() == oid => Ok(typed.clone()),
            Form::Parameter(number) if typed.is_unknown() => {
                self.type_parameter(*number, oid);
                Ok(checked_label(typed, oid, &name, labels))
            }
            // A parameter that the client gave a text type is text that it means so.
            _ if typed.is_unknown()
                || (family(typed.oid()) == Family::String
                    && (how == How::Explicit || matches!(typed.form, Form::Parameter(_)))) =>
            {
                Ok(checked_label(typed, oid, &name, labels))
            }
            _ => Err(SqlError::new(
                SqlState("42846"),
                format!("cannot cast type {} to {name}", self.type_name(typed.oid())),
            )),
        }
    }

    fn convert_to_domain(
        &mut self,
        typed: Typed,
        domain: &Domain<'_>,
        how: How,
    ) -> Result<Typed, SqlError> {
        let typed = self.convert(typed, domain.base, how)?;
        // A column's table checks what it gets.
        if how != How::Explicit {
            return Ok(typed);
        }
        let name = self.context.catalog.bare(domain.name).to_owned();
        if domain.not_null && typed.is_null() {
            return Err(SqlError::new(
                SqlState::NOT_NULL_VIOLATION,
                format!("domain {name} does not allow null values"),
            ));
        }
        let mut sql = typed.sql.clone();
        for (check, condition) in domain.checks {
            let value = SourceColumn {
                sql: Some("value".to_owned()),
                ..SourceColumn::new("value", domain.base)
            };
            let sources = vec![Source::new("value", vec![value])];
            let scope = Scope { sources, ..Scope::default() };
            let outer = std::mem::replace(&mut self.scopes, vec![scope]);
            let condition = syntax::parse_expression(condition)
                .and_then(|expr| self.while_defining(|this| this.condition(&expr, "CHECK")));
            self.scopes = outer;
            sql = format!(
                "(SELECT towline_domain_value(value, {}, {}, {}) FROM (SELECT {sql} AS value))",
                condition?,
                names::quote_literal(&name),
                names::quote_literal(check)
            );
        }
        if domain.not_null && !matches!(typed.form, Form::Column { not_null: true }) {
            let name = names::quote_literal(&name);
            sql = format!(
                "(SELECT towline_domain_value(value, value IS NOT NULL, {name}, NULL) FROM \
                 (SELECT {sql} AS value))"
            );
        } else if domain.checks.is_empty() {
            return Ok(typed);
        }
        Ok(Typed { form: Form::Plain, atomic: true, sql, ..typed })
    }

    /// CHECK constraints that a column of a domain has from it.
    pub(super) fn domain_checks(
        &mut self,
        attribute: &Attribute,
        relation: &Relation,
    ) -> Result<String, SqlError> {
        let Some(domain) = self.domain(attribute.oid) else { return Ok(String::new()) };
        let mut text = String::new();
        for (name, condition) in domain.checks {
            let condition = self.domain_condition(condition, attribute, relation)?;
            let domain = self.context.catalog.bare(domain.name);
            text.push_str(&format!(
                " CONSTRAINT {} CHECK ({condition})",
                names::quote(&format!("towline_domain {domain} {name}"))
            ));
        }
        Ok(text)
    }

    /// A condition over VALUE, for a column.
    pub(super) fn domain_condition(
        &mut self,
        condition: &str,
        attribute: &Attribute,
        relation: &Relation,
    ) -> Result<String, SqlError> {
        let mut expr = syntax::parse_expression(condition)?;
        let _ = VisitMut::visit(&mut expr, &mut ValueNamed { column: &attribute.name });
        self.row_condition(&expr.to_string(), relation)
    }

    /// `enum_first`, `enum_last` and `enum_range`, which tell of the type of their argument.
    pub(super) fn enum_call(
        &mut self,
        name: &str,
        arguments: &[Typed],
    ) -> Result<Option<Typed>, SqlError> {
        let known = matches!(
            (name, arguments.len()),
            ("enum_first" | "enum_last", 1) | ("enum_range", 1 | 2)
        );
        let oid = arguments.iter().map(Typed::oid).find(|oid| self.is_enum(*oid));
        let (true, Some(oid)) = (known, oid) else { return Ok(None) };
        let Some((_, labels)) = self.labels(oid) else { return Ok(None) };
        let ty = Type::plain(oid);
        let mut all = String::new();
        Array::new(labels.iter().cloned().map(Some).collect()).print(&mut all);
        let all = names::quote_literal(&all);
        // The argument's value says nothing, but it may be a parameter.
        let whatever = |first: &Typed, value: String| {
            format!("iif({} IS NULL, {value}, {value})", first.operand())
        };
        Ok(match (name, arguments) {
            ("enum_range", [lower, upper]) => {
                let lower = self.coerce(lower.clone(), ty)?;
                let upper = self.coerce(upper.clone(), ty)?;
                let sql = format!("towline_enum_range({all}, {}, {})", lower.sql, upper.sql);
                Some(Typed::of(sql, self.array_over(ty)))
            }
            ("enum_range", [of]) => Some(Typed::of(whatever(of, all), self.array_over(ty))),
            (_, [of]) => {
                let label = if name == "enum_first" { labels.first() } else { labels.last() };
                let label = label.map_or("NULL".to_owned(), |label| names::quote_literal(label));
                Some(Typed::of(whatever(of, label), ty))
            }
            _ => None,
        })
    }

    /// What sorts as the labels stand, for a value of an enum; anything else as it is.
    pub(super) fn ranked(&self, typed: Typed) -> Typed {
        let Some(labels) = self.unsorted_labels(typed.oid()) else { return typed };
        let mut sql = format!("CASE {}", typed.sql);
        for (rank, label) in labels.iter().enumerate() {
            sql.push_str(&format!(" WHEN {} THEN {rank}", names::quote_literal(label)));
        }
        sql.push_str(" END");
        Typed { sql, atomic: false, form: Form::Plain, ..typed }
    }

    /// An enum's labels, where their order is not that of their texts.
    pub(super) fn unsorted_labels(&self, oid: Oid) -> Option<&[String]> {
        let (_, labels) = self.labels(oid)?;
        (!labels.is_sorted()).then_some(labels)
    }

    /// How a cast names its column.
    pub(super) fn type_column_name(&self, ty: Type) -> String {
        let catalog = self.context.catalog;
        let table = self.row_shape(ty).and_then(|shape| catalog.relation(shape.table?));
        match (self.user_type(ty.oid), table) {
            (Some(kind), _) => catalog.bare(&kind.name).to_owned(),
            (None, Some(table)) => catalog.bare(&table.name).to_owned(),
            (None, None) => super::expression::type_column_name(ty.oid),
        }
    }

    pub(super) fn is_enum(&self, oid: Oid) -> bool {
        self.labels(oid).is_some()
    }
}

/// The label of a rank that [`Translator::ranked`] gave.
pub(super) fn label_of(rank: &str, labels: &[String]) -> String {
    let cases = labels
        .iter()
        .enumerate()
        .map(|(rank, label)| format!(" WHEN {rank} THEN {}", names::quote_literal(label)));
    format!("CASE {rank}{} END", cases.collect::<String>())
}

/// A domain of the catalog.
struct Domain<'c> {
    /// As it is stored.
    name: &'c str,
    base: Type,
    not_null: bool,
    default: Option<&'c str>,
    checks: &'c [(String, String)],
}

/// A text that must be one of the labels.
fn checked_label(typed: &Typed, oid: Oid, name: &str, labels: &[String]) -> Typed {
    let list: Vec<String> = labels.iter().map(|label| names::quote_literal(label)).collect();
    let name = names::quote_literal(name);
    Typed::plain(format!("towline_enum({}, {name}, {})", typed.sql, list.join(", ")), oid)
}

/// Puts a column where a domain's condition says VALUE.
struct ValueNamed<'c> {
    column: &'c str,
}

impl VisitorMut for ValueNamed<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> std::ops::ControlFlow<()> {
        if let Expr::Identifier(ident) = expr
            && names::fold(ident) == "value"
        {
            *ident = Ident::with_quote('"', self.column);
        }
        std::ops::ControlFlow::Continue(())
    }
}
