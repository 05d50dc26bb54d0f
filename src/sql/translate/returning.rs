//! What INSERT, UPDATE and DELETE share: the target's scope, assignments, RETURNING.

use sqlparser::ast::{Assignment, AssignmentTarget, Expr, ObjectName, Query, SelectItem};

use super::part::{Part, Step, assigned_part};
use super::place::Place;
use super::query::{Item, Wish, printed_reference};
use super::scope::{Scope, Source};
use super::target::Target;
use super::{Form, OutputColumn, Translator, Typed, names, one_row, source};
use crate::pg::{SqlError, SqlState};
use crate::sql::catalog::{Attribute, Catalog, Identity, Relation, RelationKind, Rights};
use crate::sql::types::{self, Type};

/// A changed row's text and result.
pub(super) struct Returned {
    /// ` RETURNING …`, or nothing.
    pub sql: String,
    pub columns: Vec<OutputColumn>,
}

/// A table's columns under the name that the statement gives it.
pub(super) fn target_source(catalog: &Catalog, relation: &Relation, alias: &str) -> Source {
    let (schema, name) = catalog.split_name(&relation.name);
    Source {
        schema: Some(schema.to_owned()).filter(|_| name == alias),
        ..Source::new(alias, source::relation_columns(catalog, relation))
    }
}

/// The target, under the name that the statement gives it.
pub(super) fn target_text(relation: &Relation, visible: &str) -> String {
    if visible == relation.name {
        names::quote(visible)
    } else {
        format!("{} AS {}", names::quote(&relation.name), names::quote(visible))
    }
}

/// Refuses to change what is no table.
pub(super) fn check_table(relation: &Relation, verb: &str) -> Result<(), SqlError> {
    match relation.kind {
        RelationKind::Table => Ok(()),
        RelationKind::MaterializedView => Err(SqlError::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("cannot change materialized view \"{}\"", relation.name),
        )),
        RelationKind::View if verb == "merge into" => Err(SqlError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("cannot execute MERGE on relation \"{}\"", relation.name),
        )
        .with_detail("This operation is not supported for views.")),
        RelationKind::View => Err(SqlError::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("cannot {verb} view \"{}\"", relation.name),
        )),
    }
}

pub(super) fn undefined_column(relation: &Relation, column: &str) -> SqlError {
    SqlError::new(
        SqlState::UNDEFINED_COLUMN,
        format!("column \"{column}\" of relation \"{}\" does not exist", relation.name),
    )
}

impl Translator<'_> {
    /// RETURNING over the target alone, whose columns SQLite sees under the table's own
    /// name. Views check what was written here.
    pub(super) fn returning(
        &mut self,
        returning: Option<&[SelectItem]>,
        target: &Target<'_>,
    ) -> Result<Returned, SqlError> {
        let checks = self.row_checks(target, &target.table.name)?;
        let Some(items) = returning else {
            let sql =
                checks.map(|checks| format!(" RETURNING towline_check_option({checks}, NULL)"));
            return Ok(Returned { sql: sql.unwrap_or_default(), columns: Vec::new() });
        };
        let source = self.target_columns(target, &target.visible, &target.table.name)?;
        let outer = std::mem::replace(
            &mut self.scopes,
            vec![Scope { sources: vec![source], ..Scope::default() }],
        );
        let result = self.returned_items(items);
        self.scopes = outer;
        let mut items = result?;
        for item in &mut items {
            item.typed = self.settle(item.typed.clone())?;
            item.column.ty = item.typed.ty;
        }
        if let (Some(checks), Some(first)) = (checks, items.first_mut()) {
            first.typed.sql = format!("towline_check_option({checks}, {})", first.typed.sql);
        }
        Ok(Returned {
            sql: format!(" RETURNING {}", self.returned_list(&items)),
            columns: items.into_iter().map(|item| item.column).collect(),
        })
    }

    /// The texts of RETURNING, as clients are shown them or packed into one.
    pub(super) fn returned_list(&self, items: &[Item]) -> String {
        let text = |item: &Item| match self.packing {
            true => item.typed.sql.clone(),
            false => printed_reference(item.typed.clone()).sql,
        };
        let texts = items.iter().map(text).collect::<Vec<_>>().join(", ");
        if self.packing { format!("towline_pack({texts})") } else { texts }
    }

    /// What RETURNING asks for.
    pub(super) fn returned_items(&mut self, items: &[SelectItem]) -> Result<Vec<Item>, SqlError> {
        let place = Place::Clause("RETURNING");
        self.standing(place, |this| this.projection(items, Wish::default()))
    }

    /// RETURNING over everything in scope, as the select list of a query.
    pub(super) fn returned_query(
        &mut self,
        returning: &[SelectItem],
    ) -> Result<Returned, SqlError> {
        let mut items = self.returned_items(returning)?;
        for item in &mut items {
            item.typed = self.settle(item.typed.clone())?;
            item.column.ty = item.typed.ty;
        }
        Ok(Returned {
            sql: self.returned_list(&items),
            columns: items.into_iter().map(|item| item.column).collect(),
        })
    }

    /// As [`Self::returning`], if RETURNING asks for the target's columns alone. `None`
    /// where it may ask for those of other tables.
    pub(super) fn returning_alone(
        &mut self,
        returning: Option<&[SelectItem]>,
        target: &Target<'_>,
        others: bool,
    ) -> Result<Option<Returned>, SqlError> {
        let all = |item: &SelectItem| matches!(item, SelectItem::Wildcard(_));
        if others && returning.is_some_and(|items| items.iter().any(all)) {
            return Ok(None);
        }
        match self.returning(returning, target) {
            Ok(returned) => Ok(Some(returned)),
            Err(error)
                if others
                    && (error.state == SqlState::UNDEFINED_COLUMN
                        || error.state == SqlState::UNDEFINED_TABLE) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// `SET a = …, (b, c) = …, d.x = …, e[1] = …`.
    pub(super) fn assignments(
        &mut self,
        assignments: &[Assignment],
        target: &Target<'_>,
    ) -> Result<String, SqlError> {
        let mut texts = Vec::new();
        let mut set: Vec<Set<'_>> = Vec::with_capacity(assignments.len());
        for assignment in assignments {
            match (&assignment.target, &assignment.value) {
                (AssignmentTarget::ColumnName(name), value) => {
                    self.set_part(&mut set, name, value, target)?;
                }
                (AssignmentTarget::Tuple(targets), Expr::Tuple(values)) => {
                    if values.len() != targets.len() {
                        return Err(mismatch());
                    }
                    for (name, value) in targets.iter().zip(values) {
                        self.set_part(&mut set, name, value, target)?;
                    }
                }
                (AssignmentTarget::Tuple(targets), Expr::Nested(value)) if targets.len() == 1 => {
                    self.set_part(&mut set, &targets[0], value, target)?;
                }
                (AssignmentTarget::Tuple(targets), Expr::Subquery(query)) => {
                    texts.push(self.assigned_row(targets, query, target)?);
                }
                (AssignmentTarget::Tuple(_), other) => {
                    return Err(SqlError::unsupported(format_args!(
                        "{other} as the source of several columns"
                    )));
                }
            }
        }
        let set = set
            .into_iter()
            .map(|set| format!("{} = {}", names::quote(&set.attribute.name), set.value.sql));
        texts.extend(set);
        Ok(texts.join(", "))
    }

    /// One column's value, or one part's, beside what is set before.
    fn set_part<'r>(
        &mut self,
        set: &mut Vec<Set<'r>>,
        name: &ObjectName,
        value: &Expr,
        target: &Target<'r>,
    ) -> Result<(), SqlError> {
        let Part { attribute, steps } = assigned_part(target, name)?;
        self.demand_column(target.origin(attribute), Rights::UPDATE);
        let before = set.iter_mut().find(|set| set.attribute.name == attribute.name);
        if before.as_ref().is_some_and(|before| steps.is_empty() || before.whole) {
            return Err(SqlError::new(
                SqlState::SYNTAX_ERROR,
                format!("multiple assignments to same column \"{}\"", attribute.name),
            ));
        }
        if steps.is_empty() {
            let sql = self.assigned(value, attribute, target.table)?;
            let value = Typed::of(sql, type_of(attribute));
            set.push(Set { attribute, value, whole: true });
            return Ok(());
        }
        check_updatable(attribute)?;
        let value =
            self.standing(Place::Clause("UPDATE"), |this| this.part_value(value, &steps))?;
        let ty = self.base_of(type_of(attribute));
        let column = format!("{}.{}", names::quote(&target.alias), names::quote(&attribute.name));
        match before {
            Some(before) => {
                let base = before.value.clone();
                before.value = self.assign_part(base, &steps, value, &attribute.name)?;
            }
            None => {
                let base = Typed::of(column, ty);
                let value = self.assign_part(base, &steps, value, &attribute.name)?;
                set.push(Set { attribute, value, whole: false });
            }
        }
        Ok(())
    }

    /// A value for a part of a column.
    pub(super) fn part_value(&mut self, value: &Expr, steps: &[Step]) -> Result<Typed, SqlError> {
        if !is_default(value) {
            return self.expression(value);
        }
        Err(SqlError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            match steps.first() {
                Some(Step::Subscripts(_)) => "cannot set an array element to DEFAULT",
                _ => "cannot set a subfield to DEFAULT",
            },
        ))
    }

    /// `(a, b) = (SELECT …)`.
    fn assigned_row(
        &mut self,
        targets: &[ObjectName],
        query: &Query,
        target: &Target<'_>,
    ) -> Result<String, SqlError> {
        let mut attributes = Vec::with_capacity(targets.len());
        for name in targets {
            let part = assigned_part(target, name)?;
            if !part.steps.is_empty() {
                return Err(SqlError::unsupported("a part of a column that a subquery assigns to"));
            }
            self.demand_column(target.origin(part.attribute), Rights::UPDATE);
            attributes.push(part.attribute);
        }
        let wanted: Vec<Type> = attributes.iter().map(|attribute| type_of(attribute)).collect();
        let selected =
            self.query(query, Wish { types: Some(&wanted), inner: true, ..Wish::default() })?;
        if selected.columns.len() != attributes.len() {
            return Err(mismatch());
        }
        let names: Vec<String> =
            attributes.iter().map(|attribute| names::quote(&attribute.name)).collect();
        let mut sql = self.with_column_types(selected, &wanted)?;
        if !one_row::gives_one_row(query) {
            sql = self.only_row(&sql, names.len());
        }
        Ok(format!("({}) = ({sql})", names.join(", ")))
    }

    /// A value for a column, DEFAULT included.
    pub(super) fn assigned(
        &mut self,
        value: &Expr,
        attribute: &Attribute,
        relation: &Relation,
    ) -> Result<String, SqlError> {
        if is_default(value) {
            return self.default_value(attribute, relation);
        }
        check_updatable(attribute)?;
        let typed = self.standing(Place::Clause("UPDATE"), |this| this.expression(value))?;
        Ok(self.assign(typed, type_of(attribute), &attribute.name)?.sql)
    }

    /// A column's default, as an expression.
    pub(super) fn default_value(
        &mut self,
        attribute: &Attribute,
        relation: &Relation,
    ) -> Result<String, SqlError> {
        let of_type = || self.default_of_type(attribute.oid).map(str::to_owned);
        if let Some(default) = attribute.default.clone().or_else(of_type) {
            return self.kept_expression(&default, attribute);
        }
        if attribute.identity.is_some() {
            let sequence = self.context.catalog.sequences.values().find(|sequence| {
                sequence.owner.as_ref().is_some_and(|(table, column)| {
                    *table == relation.name && *column == attribute.name
                })
            });
            if let Some(sequence) = sequence {
                self.leader = true;
                return Ok(format!("nextval({})", names::quote_literal(&sequence.name)));
            }
        }
        if is_rowid(relation, &attribute.name) && !relation.is_sqlites() {
            let null = Typed { form: Form::Null, ..Typed::plain("NULL", attribute.oid) };
            return Ok(self.never_null(null, attribute, relation));
        }
        Ok("NULL".to_owned())
    }

    /// An expression that the catalog keeps in PostgreSQL's spelling, as a value for a column.
    pub(super) fn kept_expression(
        &mut self,
        text: &str,
        attribute: &Attribute,
    ) -> Result<String, SqlError> {
        let expr = super::syntax::parse_expression(text)?;
        let outer = std::mem::take(&mut self.scopes);
        let before = std::mem::replace(&mut self.expression_only, true);
        let place = Place::Clause("DEFAULT expressions");
        let typed = self.standing(place, |this| this.expression(&expr));
        (self.scopes, self.expression_only) = (outer, before);
        Ok(self.assign(typed?, type_of(attribute), &attribute.name)?.sql)
    }
}

pub(super) fn type_of(attribute: &Attribute) -> Type {
    Type { oid: attribute.oid, typmod: attribute.typmod }
}

/// A column, and what an UPDATE sets it to.
struct Set<'r> {
    attribute: &'r Attribute,
    value: Typed,
    /// It is set as a whole, not in parts.
    whole: bool,
}

fn mismatch() -> SqlError {
    SqlError::new(SqlState::SYNTAX_ERROR, "number of columns does not match number of values")
}

fn check_updatable(attribute: &Attribute) -> Result<(), SqlError> {
    if attribute.generated.is_none() && attribute.identity != Some(Identity::Always) {
        return Ok(());
    }
    Err(SqlError::new(
        SqlState("428C9"),
        format!("column \"{}\" can only be updated to DEFAULT", attribute.name),
    ))
}

/// The type of a result's column.
pub(super) fn type_of_column(column: &crate::sql::translated::Column) -> Type {
    Type { oid: column.oid, typmod: column.typmod }
}

/// Whether the column is assigned by which SQLite numbers rows.
pub(super) fn assigns_rowid(assignments: &[Assignment], target: &Target<'_>) -> bool {
    let is = |name: &ObjectName| {
        assigned_part(target, name).is_ok_and(|part| is_rowid(target.table, &part.attribute.name))
    };
    assignments.iter().any(|assignment| match &assignment.target {
        AssignmentTarget::ColumnName(name) => is(name),
        AssignmentTarget::Tuple(targets) => targets.iter().any(is),
    })
}

/// Whether an expression is the word DEFAULT.
pub(super) fn is_default(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(ident)
        if ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("default"))
}

/// Whether SQLite numbers a table's rows by this column.
pub(super) fn is_rowid(relation: &Relation, column: &str) -> bool {
    use crate::sql::catalog::ConstraintKind;
    relation.constraints.iter().any(|constraint| {
        matches!(constraint.kind, ConstraintKind::PrimaryKey)
            && !constraint.deferrable
            && matches!(constraint.columns.as_slice(), [only] if only == column)
    }) && relation
        .attributes
        .iter()
        .any(|attribute| attribute.name == column && types::is_integer(attribute.oid))
}
