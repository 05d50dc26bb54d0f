//! MERGE, in steps: one query says what is to be done with which row, and keeps that
//! with the source's columns; then deletes, updates and inserts do it. So every row is
//! judged before the first is changed, as in PostgreSQL.

use sqlparser::ast::{
    Merge, MergeAction, MergeClause, MergeClauseKind, MergeInsertKind, MergeUpdateKind, TableFactor,
};

use super::part::{Part, assigned_part};
use super::returning::{assigns_rowid, check_table, target_source, target_text};
use super::scope::Scope;
use super::target::{Change, Target};
use super::{Translator, names};
use crate::pg::{SqlError, SqlState};
use crate::sql::catalog::{Relation, Rights};
use crate::sql::translated::{Counts, Kind, SqliteStatement, Tag, Translated};

impl Translator<'_> {
    pub(super) fn merge(&mut self, merge: &Merge) -> Result<Translated, SqlError> {
        if merge.output.is_some() {
            return Err(SqlError::unsupported("MERGE with RETURNING"));
        }
        let TableFactor::Table { name, alias, .. } = &merge.table else {
            return Err(super::syntax::syntax_error("MERGE", None));
        };
        let relation = self.target(name)?;
        check_table(relation, "merge into")?;
        self.note_changed(relation);
        check_reachable(&merge.clauses)?;
        for clause in &merge.clauses {
            let rights = match clause.action {
                MergeAction::Insert(_) => Rights::INSERT,
                MergeAction::Update(_) => Rights::UPDATE,
                MergeAction::Delete { .. } => Rights::DELETE,
                MergeAction::DoNothing { .. } => Rights::NONE,
            };
            self.demand_table(relation, rights.with(Rights::SELECT));
        }
        let catalog = self.context.catalog;
        let visible = match alias {
            Some(alias) => names::fold(&alias.name),
            None => catalog.bare(&relation.name).to_owned(),
        };
        // The source comes first: it is the outer side of the join.
        self.scopes.push(Scope::default());
        let result = self.merge_in_scope(merge, relation, &visible);
        self.scopes.pop();
        let statements = result?;
        let mut translated = super::translated(Kind::Write, Tag::Merge, Vec::new(), Vec::new());
        translated.statements = statements;
        Ok(translated)
    }

    fn merge_in_scope(
        &mut self,
        merge: &Merge,
        relation: &Relation,
        visible: &str,
    ) -> Result<Vec<SqliteStatement>, SqlError> {
        let source = self.from(&[sqlparser::ast::TableWithJoins {
            relation: merge.source.clone(),
            joins: Vec::new(),
        }])?;
        let source_of_target = target_source(self.context.catalog, relation, visible);
        if let Some(scope) = self.scopes.last_mut() {
            if scope.sources.iter().any(|source| source.alias == source_of_target.alias) {
                return Err(SqlError::new(
                    SqlState("42712"),
                    format!("name \"{visible}\" specified more than once"),
                )
                .with_detail("The name is used both as MERGE target table and data source."));
            }
            scope.sources.push(source_of_target);
        }
        let on = self.condition(&merge.on, "JOIN/ON")?;
        let (mut matched, mut unmatched) = (String::new(), String::new());
        for (at, clause) in merge.clauses.iter().enumerate() {
            let condition = match &clause.predicate {
                Some(predicate) => self.condition(predicate, "MERGE WHEN")?,
                None => "TRUE".to_owned(),
            };
            let number =
                if matches!(clause.action, MergeAction::DoNothing { .. }) { 0 } else { at + 1 };
            let branch = match clause.clause_kind {
                MergeClauseKind::Matched => &mut matched,
                MergeClauseKind::NotMatched | MergeClauseKind::NotMatchedByTarget => &mut unmatched,
                MergeClauseKind::NotMatchedBySource => {
                    return Err(SqlError::unsupported("WHEN NOT MATCHED BY SOURCE"));
                }
            };
            branch.push_str(&format!(" WHEN {condition} THEN {number}"));
        }
        let case = |branch: &str| match branch {
            "" => "0".to_owned(),
            branch => format!("CASE{branch} ELSE 0 END"),
        };
        let row = format!("{}.rowid", names::quote(visible));
        let rows = self.fresh_name("merge");
        let kept = self.keep()?;
        let scope = self.scopes.last().expect("the scope of the statement");
        let count = scope.sources.len() - 1;
        let columns = self.kept_columns(0..count, &rows, 2);
        let fields: Vec<String> = (1..=columns.len()).map(|at| format!(", c{at}")).collect();
        let named: Vec<String> =
            columns.iter().enumerate().map(|(at, sql)| format!(", {sql} AS c{}", at + 1)).collect();
        let plan = format!(
            "SELECT towline_pack(action, CASE WHEN row IS NULL THEN NULL ELSE towline_once(row, \
             count(*) OVER (PARTITION BY row)) END{}) FROM (SELECT CASE WHEN {row} IS NOT NULL THEN {} \
             ELSE {} END AS action, {row} AS row{} FROM {source} LEFT JOIN {} ON {on}) WHERE action > 0",
            fields.concat(),
            case(&matched),
            case(&unmatched),
            named.concat(),
            target_text(relation, visible),
        );
        let mut steps = vec![SqliteStatement { counts: Counts::Nothing, ..kept.of(plan) }];
        let changing = merge.clauses.iter().filter(|clause| {
            matches!(clause.action, MergeAction::Update(_) | MergeAction::Delete { .. })
        });
        let alone = changing.count() == 1;
        // Keys that go make room for those that come.
        let rank = |clause: &MergeClause| match clause.action {
            MergeAction::Delete { .. } => 0,
            MergeAction::Update(_) => 1,
            MergeAction::Insert(_) => 2,
            MergeAction::DoNothing { .. } => 3,
        };
        let mut ordered: Vec<(usize, &MergeClause)> = merge.clauses.iter().enumerate().collect();
        ordered.sort_by_key(|(_, clause)| rank(clause));
        let read = format!("json_each({}) AS {rows}", kept.parameter());
        for (at, clause) in ordered {
            let due = format!("towline_unpack({rows}.value, 0) = {}", at + 1);
            let matched = clause.clause_kind == MergeClauseKind::Matched;
            let text = match &clause.action {
                MergeAction::DoNothing { .. } => continue,
                MergeAction::Delete { .. } if matched => format!(
                    "DELETE FROM {} WHERE rowid IN (SELECT towline_unpack({rows}.value, 1) FROM \
                     {read} WHERE {due})",
                    names::quote(&relation.name)
                ),
                MergeAction::Update(update) if matched => {
                    let MergeUpdateKind::Set(assignments) = &update.kind else {
                        return Err(SqlError::unsupported("this UPDATE in MERGE"));
                    };
                    let target =
                        Target::table(self.context.catalog, relation, Change::Update, visible);
                    if !alone && assigns_rowid(assignments, &target) {
                        return Err(SqlError::unsupported(
                            "MERGE that changes the primary key beside other changes",
                        ));
                    }
                    let set = self.assignments(assignments, &target)?;
                    format!(
                        "UPDATE {} SET {set} FROM {read} WHERE {row} = towline_unpack({rows}.value, 1) \
                         AND {due}",
                        target_text(relation, visible)
                    )
                }
                MergeAction::Insert(insert) if !matched => {
                    let listed: Vec<Part<'_>> = if insert.columns.is_empty() {
                        let whole = |attribute| Part { attribute, steps: Vec::new() };
                        relation.attributes.iter().map(whole).collect()
                    } else {
                        let catalog = self.context.catalog;
                        let target = Target::table(catalog, relation, Change::Insert, visible);
                        let part = |name| assigned_part(&target, name);
                        insert.columns.iter().map(part).collect::<Result<_, _>>()?
                    };
                    let given: Vec<String> =
                        listed.iter().map(|part| part.attribute.name.clone()).collect();
                    self.demand_columns(relation, &given, Rights::INSERT);
                    let MergeInsertKind::Values(values) = &insert.kind else {
                        return Err(SqlError::unsupported("this INSERT in MERGE"));
                    };
                    let named = !insert.columns.is_empty();
                    let (columns, values) = self.value_rows(values, &listed, named, relation)?;
                    // One row of values, as a query over the kept rows.
                    let values = values
                        .strip_prefix("VALUES (")
                        .and_then(|values| values.strip_suffix(')'))
                        .ok_or_else(|| SqlError::unsupported("this INSERT in MERGE"))?;
                    format!(
                        "INSERT INTO {} ({}) SELECT {values} FROM {read} WHERE {due}",
                        names::quote(&relation.name),
                        names::quote_all(&columns)
                    )
                }
                _ => return Err(super::syntax::syntax_error("THEN", None)),
            };
            steps.push(SqliteStatement { counts: Counts::AddsChanges, ..super::shipped(text) });
        }
        Ok(steps)
    }
}

/// A clause behind an unconditional one of its kind would never be reached.
fn check_reachable(clauses: &[MergeClause]) -> Result<(), SqlError> {
    let kind = |clause: &MergeClause| matches!(clause.clause_kind, MergeClauseKind::Matched);
    let shadowed = |(at, clause): (usize, &MergeClause)| {
        let before = clauses.iter().take(at);
        before.filter(|other| kind(other) == kind(clause)).any(|other| other.predicate.is_none())
    };
    if clauses.iter().enumerate().any(shadowed) {
        return Err(SqlError::new(
            SqlState::SYNTAX_ERROR,
            "unreachable WHEN clause specified after unconditional WHEN clause",
        ));
    }
    Ok(())
}
