//! Rows as values.
//!
//! A row's value is its text, `(1,a)`, as a composite's is. What its fields are stands
//! beside it: a composite's in the catalog, those of any other row in the translation's
//! own list of [`Shape`]s, to which the modifier of the type `record` points. Rows compare
//! field by field, under a collation whose name says what they are made of.

use std::borrow::Cow;

use sqlparser::ast::DataType;

use super::operator::undefined_operator;
use super::scope::{Source, SourceColumn};
use super::{Form, Translator, Typed, cast, names};
use crate::pg::types::made::Made;
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::catalog::{Catalog, Relation, RelationKind, Rights};
use crate::sql::types::{self, Type};

/// The fields of rows that are of no composite type.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shape {
    /// The table whose rows they are.
    pub table: Option<Oid>,
    pub fields: Vec<(String, Type)>,
}

/// Whether values of the type are rows of a [`Shape`], or arrays of such.
pub(super) fn has_shape(oid: Oid) -> bool {
    matches!(oid, Oid::RECORD | Oid::RECORD_ARRAY)
}

impl Translator<'_> {
    /// The type of rows of that shape.
    pub(super) fn shaped(&mut self, shape: Shape) -> Type {
        let at = self.shapes.iter().position(|known| *known == shape);
        let at = at.unwrap_or_else(|| {
            self.shapes.push(shape);
            self.shapes.len() - 1
        });
        Type { oid: Oid::RECORD, typmod: i32::try_from(at).unwrap_or(-1) }
    }

    pub(super) fn row_shape(&self, ty: Type) -> Option<&Shape> {
        let at = usize::try_from(ty.typmod).ok().filter(|_| has_shape(ty.oid))?;
        self.shapes.get(at)
    }

    /// A row constructor: its fields are named by their places.
    pub(super) fn constructed_row(&mut self, fields: Vec<Typed>) -> Typed {
        let named = |(at, field): (usize, Typed)| field.named(format!("f{}", at + 1));
        self.row(fields.into_iter().enumerate().map(named).collect())
    }

    /// A row whose fields have their names.
    pub(super) fn row(&mut self, fields: Vec<Typed>) -> Typed {
        let ty = self.row_type(None, &fields);
        let sql = cast::record_text(&fields);
        Typed { form: Form::Row(fields), ..Typed::of(sql, ty).named("row") }
    }

    fn row_type(&mut self, table: Option<Oid>, fields: &[Typed]) -> Type {
        let field = |field: &Typed| {
            let ty = if field.is_unknown() { Type::TEXT } else { field.ty };
            (field.name.clone().unwrap_or_default(), ty)
        };
        self.shaped(Shape { table, fields: fields.iter().map(field).collect() })
    }

    /// The type of a table's rows.
    pub(super) fn table_row_type(&mut self, relation: &Relation) -> Type {
        let columns = super::source::relation_columns(self.context.catalog, relation);
        let fields = columns.into_iter().map(|column| (column.name, column.ty)).collect();
        self.shaped(Shape { table: Some(relation.oid), fields })
    }

    /// A table's row, by the table's name.
    pub(super) fn whole_row(&mut self, name: &str) -> Option<Typed> {
        let mut sources = self.scopes.iter().rev().flat_map(|scope| &scope.sources);
        let source = sources.find(|source| source.alias == name && !source.open)?.clone();
        let items = super::query::expand(&source, false);
        let fields: Vec<Typed> = items.into_iter().map(|item| item.typed).collect();
        for field in &fields {
            self.demand_column(field.origin, Rights::SELECT);
        }
        let ty = self.row_type(source.relation, &fields);
        let text = cast::record_text(&fields);
        let sql = match &source.missing {
            Some(missing) => format!("iif({missing}, NULL, {text})"),
            None => text,
        };
        Some(Typed { form: Form::Whole(fields), ..Typed::of(sql, ty).named(name) })
    }

    /// A row's fields: those of a row that is being made, or of a row that is a value.
    pub(super) fn row_fields(&self, typed: &Typed) -> Option<Vec<Typed>> {
        if let Form::Row(fields) | Form::Whole(fields) = &typed.form {
            return Some(fields.clone());
        }
        let fields = self.field_types(typed.ty)?;
        let field = |(at, (name, ty)): (usize, (String, Type))| {
            let text = format!("towline_record_field({}, {at})", typed.sql);
            Typed { ty, ..cast::from_array_element(text, ty.oid).named(name) }
        };
        Some(fields.into_iter().enumerate().map(field).collect())
    }

    /// `(row).*`.
    pub(super) fn all_fields(&self, row: &Typed) -> Result<Vec<Typed>, SqlError> {
        self.row_fields(row).ok_or_else(|| {
            SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("type {} is not composite", self.type_name(row.oid())),
            )
        })
    }

    /// The names and types of a row type's fields.
    pub(super) fn field_types(&self, ty: Type) -> Option<Vec<(String, Type)>> {
        if ty.oid == Oid::RECORD {
            return Some(self.row_shape(ty)?.fields.clone());
        }
        let (_, fields) = self.fields(ty.oid)?;
        let field = |field: &crate::sql::catalog::Field| {
            (field.name.clone(), Type { oid: field.oid, typmod: field.typmod })
        };
        Some(fields.iter().map(field).collect())
    }

    pub(super) fn is_row(&self, oid: Oid) -> bool {
        oid == Oid::RECORD || self.fields(oid).is_some()
    }

    /// What values of a type are made of, if of others.
    pub(super) fn made_of(&self, ty: Type) -> Option<Made> {
        let Some(shape) = self.row_shape(ty) else { return self.context.catalog.made_of(ty.oid) };
        let catalog = self.context.catalog;
        let part = |ty: Type| match has_shape(ty.oid) {
            true => self.made_of(ty),
            false => catalog.part_of(ty.oid),
        };
        let row = Made::Row(shape.fields.iter().map(|(_, ty)| (ty.oid, part(*ty))).collect());
        Some(match ty.oid {
            Oid::RECORD => row,
            _ => Made::Array(Oid::RECORD, Some(Box::new(row))),
        })
    }

    /// The collation under which stored forms of the type compare as PostgreSQL compares
    /// the values, where SQLite's own order of them is another.
    pub(super) fn collation(&self, ty: Type) -> Option<Cow<'static, str>> {
        if let Some(collation) = types::collation(ty.oid) {
            return Some(collation.into());
        }
        let over = match self.is_row(ty.oid) {
            true => Some(ty.oid),
            false => self.element_of(ty).map(|element| element.oid).filter(|oid| self.is_row(*oid)),
        };
        over.and_then(|_| self.made_of(ty)).map(|made| names::quote(&made.to_string()).into())
    }

    /// The collation by which values are in order, where it is not that of their equality.
    pub(super) fn order_collation(&self, ty: Type) -> Option<Cow<'static, str>> {
        let labels = || {
            let of_enums = self.element_of(ty).is_some_and(|element| self.is_enum(element.oid));
            of_enums.then(|| self.made_of(ty)).flatten()
        };
        self.collation(ty)
            .or_else(|| types::order_collation(ty.oid).map(Cow::Borrowed))
            .or_else(|| labels().map(|made| names::quote(&made.to_string()).into()))
    }

    /// The text of an expression as an operand that compares as columns of its type do.
    pub(super) fn collated(&self, typed: &Typed) -> String {
        match self.collation(typed.ty) {
            Some(collation) if !matches!(typed.form, Form::Column { .. }) && !typed.is_null() => {
                format!("{} COLLATE {collation}", typed.operand())
            }
            _ => typed.operand(),
        }
    }

    /// The text of an expression whose equal values are one value to DISTINCT, GROUP BY and
    /// set operations: 1.0 and 1.00.
    pub(super) fn distinct(&self, typed: &Typed) -> String {
        match self.collation(typed.ty) {
            Some(_) => self.collated(typed),
            None => typed.sql.clone(),
        }
    }

    /// The text of an expression as an operand that sorts as values of its type do.
    pub(super) fn in_order(&self, typed: &Typed) -> String {
        // A column of rows may have been made when their enums had other labels.
        let own =
            types::collation(typed.oid()).is_some() && matches!(typed.form, Form::Column { .. });
        match self.order_collation(typed.ty).filter(|_| !own) {
            Some(collation) => format!("{} COLLATE {collation}", typed.operand()),
            None => typed.operand(),
        }
    }

    /// What SQLite declares for a column of the type.
    pub(super) fn sqlite_column_type(&self, ty: Type) -> Cow<'static, str> {
        match self.collation(ty) {
            Some(collation) if types::collation(ty.oid).is_none() => {
                format!("TEXT COLLATE {collation}").into()
            }
            _ => types::sqlite_column_type(ty.oid).into(),
        }
    }

    /// The modifier of the type `oid` in which two values meet.
    pub(super) fn common_modifier(
        &self,
        oid: Oid,
        left: Type,
        right: Type,
    ) -> Result<i32, SqlError> {
        if left.typmod == right.typmod {
            return Ok(left.typmod);
        }
        if !has_shape(oid) {
            return Ok(-1);
        }
        match (left.oid == oid, right.oid == oid) {
            (true, true) if self.made_of(left) == self.made_of(right) => Ok(left.typmod),
            (true, true) => Err(SqlError::unsupported("rows of different types in one column")),
            (true, false) => Ok(left.typmod),
            _ => Ok(right.typmod),
        }
    }

    /// Compares rows that are values: field by field, NULL greater than all else.
    pub(super) fn compare_whole(
        &mut self,
        left: Typed,
        op: &str,
        right: Typed,
    ) -> Result<Typed, SqlError> {
        let (left, right) = self.rows_alike(left, op, right)?;
        Ok(Typed::compound(format!("{} {op} {}", left.operand(), right.operand()), Oid::BOOL))
    }

    /// Brings two rows to forms that SQLite compares as PostgreSQL does.
    pub(super) fn rows_alike(
        &mut self,
        left: Typed,
        op: &str,
        right: Typed,
    ) -> Result<(Typed, Typed), SqlError> {
        let row = if self.is_row(left.oid()) { left.ty } else { right.ty };
        let as_row = |this: &mut Self, typed: Typed| match typed.is_unknown() {
            true => this.coerce(typed, row),
            false => Ok(typed),
        };
        let (left, right) = (as_row(self, left)?, as_row(self, right)?);
        if !self.is_row(left.oid()) || !self.is_row(right.oid()) {
            return Err(undefined_operator(Some(left.oid()), op, right.oid()));
        }
        if !left.is_null() && !right.is_null() {
            self.check_alike(left.ty, right.ty)?;
        }
        let sql = match self.collation(row) {
            Some(collation) => format!("{} COLLATE {collation}", left.operand()),
            None => left.operand(),
        };
        Ok((Typed { sql, atomic: true, ..left }, right))
    }

    /// Refuses to compare rows whose fields are not of the same types.
    pub(super) fn check_alike(&self, left: Type, right: Type) -> Result<(), SqlError> {
        let (Some(lefts), Some(rights)) = (self.field_types(left), self.field_types(right)) else {
            return Ok(());
        };
        let dissimilar = |message: String| Err(SqlError::new(SqlState::DATATYPE_MISMATCH, message));
        for (at, ((_, left), (_, right))) in lefts.iter().zip(&rights).enumerate() {
            if left.oid != right.oid {
                return dissimilar(format!(
                    "cannot compare dissimilar column types {} and {} at record column {}",
                    self.type_name(left.oid),
                    self.type_name(right.oid),
                    at + 1
                ));
            }
            if !types::is_comparable(left.oid) {
                return Err(SqlError::new(
                    SqlState::UNDEFINED_FUNCTION,
                    format!(
                        "could not identify a comparison function for type {}",
                        self.type_name(left.oid)
                    ),
                ));
            }
            self.check_alike(*left, *right)?;
        }
        if lefts.len() != rights.len() {
            return dissimilar(
                "cannot compare record types with different numbers of columns".to_owned(),
            );
        }
        Ok(())
    }

    /// A row, or an array of rows, as rows of another shape.
    pub(super) fn convert_to_shape(
        &mut self,
        typed: &Typed,
        ty: Type,
        how: cast::How,
    ) -> Result<Typed, SqlError> {
        let same = || Ok(typed.clone());
        if typed.is_null() {
            return Ok(Typed { ty, ..typed.clone() });
        }
        if let Form::Parameter(number) = typed.form
            && typed.is_unknown()
        {
            // Whoever binds a value is told that none can be read.
            self.type_parameter(number, Oid::RECORD);
            return Ok(Typed { ty, ..typed.clone() });
        }
        if typed.is_unknown() {
            return Err(SqlError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "input of anonymous composite types is not implemented",
            ));
        }
        if ty.typmod < 0 || ty == typed.ty || typed.oid() != ty.oid {
            let fits = ty.oid == Oid::RECORD && self.is_row(typed.oid());
            return match fits || typed.oid() == ty.oid {
                true => same(),
                false => Err(self.no_cast(typed.oid(), ty.oid)),
            };
        }
        if self.made_of(typed.ty) == self.made_of(ty) {
            return Ok(Typed { ty, ..typed.clone() });
        }
        let fields = self.field_types(ty).ok_or_else(|| self.no_cast(typed.oid(), ty.oid))?;
        let row = self.converted_fields(typed, &fields, how)?;
        let table = self.row_shape(ty).and_then(|shape| shape.table);
        let ty = self.row_type(table, &row);
        Ok(Typed { ty, ..row_or_null(typed, &row) })
    }

    /// The fields of a row as those of a row type; the row's name for messages is `name`.
    pub(super) fn converted_fields(
        &mut self,
        typed: &Typed,
        fields: &[(String, Type)],
        how: cast::How,
    ) -> Result<Vec<Typed>, SqlError> {
        let Some(given) = self.row_fields(typed) else {
            return Err(self.no_cast(typed.oid(), Oid::RECORD));
        };
        let mut row = Vec::with_capacity(fields.len());
        for (value, (name, ty)) in given.into_iter().zip(fields) {
            row.push(self.convert(value, *ty, how)?.named(name.clone()));
        }
        Ok(row)
    }

    /// The type that a column is given.
    pub(super) fn storable_type(
        &mut self,
        data_type: &DataType,
        column: &str,
    ) -> Result<Type, SqlError> {
        let ty = self.resolve_type(data_type)?;
        self.check_storable(ty, column)?;
        Ok(ty)
    }

    /// Refuses columns of rows that are of no composite type.
    pub(super) fn check_storable(&self, ty: Type, column: &str) -> Result<(), SqlError> {
        if !has_shape(ty.oid) {
            return Ok(());
        }
        if self.row_shape(ty).is_some_and(|shape| shape.table.is_some()) {
            return Err(SqlError::unsupported("a column of a table's row type"));
        }
        Err(SqlError::new(
            SqlState("42P16"),
            format!("column \"{column}\" has pseudo-type {}", types::display_name(ty.oid)),
        ))
    }

    fn no_cast(&self, from: Oid, to: Oid) -> SqlError {
        SqlError::new(
            SqlState("42846"),
            format!("cannot cast type {} to {}", self.type_name(from), self.type_name(to)),
        )
    }
}

/// A row of new fields for a row that may be NULL.
pub(super) fn row_or_null(old: &Typed, fields: &[Typed]) -> Typed {
    let text = cast::record_text(fields);
    match &old.form {
        Form::Row(_) => Typed::plain(text, Oid::RECORD),
        _ => Typed::plain(format!("iif({} IS NULL, NULL, {text})", old.operand()), Oid::RECORD),
    }
}

/// SQL that tells whether an outer join found no row of a source.
pub(super) fn missing(source: &Source, catalog: &Catalog) -> Option<String> {
    let spelled = |column: &SourceColumn| format!("{} IS NULL", column.spelled(&source.alias));
    if let Some(column) = source.columns.iter().find(|column| column.not_null) {
        return Some(spelled(column));
    }
    let relation = source.relation.and_then(|oid| catalog.relation(oid));
    if relation.is_some_and(|relation| relation.kind == RelationKind::Table)
        && source.columns.iter().all(|column| column.sql.is_none())
    {
        return Some(format!("{}.rowid IS NULL", names::quote(&source.alias)));
    }
    let tests: Vec<String> = source.columns.iter().map(spelled).collect();
    Some(tests.join(" AND ")).filter(|tests| !tests.is_empty())
}
