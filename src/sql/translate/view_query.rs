//! `*` in a view's query: the columns that there are when the view is made.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Query, Select, SelectItem, SetExpr, VisitMut, VisitorMut, WildcardAdditionalOptions,
};
use sqlparser::tokenizer::Span;

use super::query::Wish;
use super::scope::Source;
use super::{Translator, names};
use crate::pg::SqlError;
use crate::sql::catalog::RESERVED_PREFIX;

/// A `*`, by where it stands, and the columns that it is; `None` where they have no names
/// of their own.
pub(super) struct Star {
    at: Span,
    columns: Option<Vec<SelectItem>>,
}

impl Translator<'_> {
    /// A query with what each `*` is written out.
    pub(super) fn with_columns_named(&mut self, query: &Query) -> Result<Query, SqlError> {
        if !query.to_string().contains('*') {
            return Ok(query.clone());
        }
        let notices = self.notices.len();
        let outer = self.stars.replace(Vec::new());
        let wish = Wish { inner: true, ..Wish::default() };
        let understood = self.query(query, wish);
        let stars = std::mem::replace(&mut self.stars, outer).unwrap_or_default();
        self.notices.truncate(notices);
        understood?;
        let mut named = query.clone();
        let _ = VisitMut::visit(&mut named, &mut Naming { stars: &stars });
        Ok(named)
    }

    /// Notes what a `*` is in the innermost scope, or of one of its tables.
    pub(super) fn note_star(&mut self, said: &WildcardAdditionalOptions, table: Option<&str>) {
        let Some(stars) = &mut self.stars else { return };
        let sources = self.scopes.last().map_or(&[][..], |scope| &scope.sources);
        let meant = sources.iter().filter(|source| table.is_none_or(|table| table == source.alias));
        let columns: Option<Vec<_>> =
            meant.map(|source| columns_of(source, sources, table.is_none())).collect();
        let columns = columns.map(|columns| columns.concat()).filter(|all| !all.is_empty());
        stars.push(Star { at: said.wildcard_token.0.span, columns });
    }
}

fn columns_of(source: &Source, among: &[Source], bare: bool) -> Option<Vec<SelectItem>> {
    let namesakes = among.iter().filter(|other| other.alias == source.alias).count();
    if source.open || source.alias.starts_with(RESERVED_PREFIX) || namesakes > 1 {
        return None;
    }
    let columns = source.columns.iter().filter(|column| !(bare && column.merged));
    let item = |column: &str| {
        SelectItem::UnnamedExpr(match source.alias.as_str() {
            "" => Expr::Identifier(names::ident(column)),
            alias => Expr::CompoundIdentifier(vec![names::ident(alias), names::ident(column)]),
        })
    };
    Some(columns.map(|column| item(&column.name)).collect())
}

/// Writes out each `*` that is known by one meaning.
struct Naming<'s> {
    stars: &'s [Star],
}

impl Naming<'_> {
    fn in_body(&self, body: &mut SetExpr) {
        match body {
            SetExpr::Select(select) => self.in_select(select),
            SetExpr::SetOperation { left, right, .. } => {
                self.in_body(left);
                self.in_body(right);
            }
            _ => {}
        }
    }

    fn in_select(&self, select: &mut Select) {
        let items = std::mem::take(&mut select.projection);
        for item in items {
            let (SelectItem::Wildcard(said) | SelectItem::QualifiedWildcard(_, said)) = &item
            else {
                select.projection.push(item);
                continue;
            };
            let at = said.wildcard_token.0.span;
            let mut meanings = self.stars.iter().filter(|star| star.at == at);
            match meanings.next().and_then(|star| star.columns.clone()) {
                Some(columns) if meanings.all(|other| other.columns.as_ref() == Some(&columns)) => {
                    select.projection.extend(columns);
                }
                _ => select.projection.push(item),
            }
        }
    }
}

impl VisitorMut for Naming<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.in_body(&mut query.body);
        ControlFlow::Continue(())
    }
}
