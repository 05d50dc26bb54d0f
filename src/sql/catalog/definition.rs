//! Definitions as PostgreSQL prints them: of indexes, constraints, views, and the
//! quoting of names and texts that they need.

use super::pg_catalog::stored_default;
use super::printed::Place;
use super::{Attribute, Catalog, Constraint, ConstraintKind, DomainCheck, Index, PUBLIC, Relation};
use crate::pg::Oid;
use crate::pg::types::IntervalStyle;
use crate::pg::types::interval::Interval;
use crate::sql::scan::{Scanner, Token};
use crate::sql::translate::as_written;

/// Words that must be quoted to be a name: PostgreSQL 15's reserved words, and those
/// that name a type or function only. Sorted.
#[rustfmt::skip]
const QUOTED_WORDS: &[&str] = &[
    "all", "analyse", "analyze", "and", "any", "array", "as", "asc", "asymmetric",
    "authorization", "between", "bigint", "binary", "bit", "boolean", "both", "case", "cast",
    "char", "character", "check", "coalesce", "collate", "collation", "column", "concurrently",
    "constraint", "create", "cross", "current_catalog", "current_date", "current_role",
    "current_schema", "current_time", "current_timestamp", "current_user", "dec", "decimal",
    "default", "deferrable", "desc", "distinct", "do", "else", "end", "except", "exists",
    "extract", "false", "fetch", "float", "for", "foreign", "freeze", "from", "full", "grant",
    "greatest", "group", "grouping", "having", "ilike", "in", "initially", "inner", "inout",
    "int", "integer", "intersect", "interval", "into", "is", "isnull", "join", "lateral",
    "leading", "least", "left", "like", "limit", "localtime", "localtimestamp", "national",
    "natural", "nchar", "none", "normalize", "not", "notnull", "null", "nullif", "numeric",
    "offset", "on", "only", "or", "order", "out", "outer", "overlaps", "overlay", "placing",
    "position", "precision", "primary", "real", "references", "returning", "right", "row",
    "select", "session_user", "setof", "similar", "smallint", "some", "substring", "symmetric",
    "table", "tablesample", "then", "time", "timestamp", "to", "trailing", "treat", "trim",
    "true", "union", "unique", "user", "using", "values", "varchar", "variadic", "verbose",
    "when", "where", "window", "with", "xmlattributes", "xmlconcat", "xmlelement", "xmlexists",
    "xmlforest", "xmlnamespaces", "xmlparse", "xmlpi", "xmlroot", "xmlserialize", "xmltable",
];

/// A name as SQL must write it: quoted where it would fold or be a keyword.
pub fn quote_ident(name: &str) -> String {
    let mut chars = name.chars();
    let starts_well = chars.next().is_some_and(|char| char.is_ascii_lowercase() || char == '_');
    let is_plain = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '_';
    if starts_well && chars.all(is_plain) && QUOTED_WORDS.binary_search(&name).is_err() {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

/// A text as an SQL literal.
pub fn quote_literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if text.contains('\\') {
        format!("E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

/// A stored name with its schema, each quoted where needed.
pub fn quote_qualified(catalog: &Catalog, stored: &str) -> String {
    let (schema, name) = catalog.split_name(stored);
    format!("{}.{}", quote_ident(schema), quote_ident(name))
}

/// A stored name, with its schema unless that is `public`.
pub fn quote_stored(catalog: &Catalog, stored: &str) -> String {
    match catalog.split_name(stored) {
        (PUBLIC, name) => quote_ident(name),
        _ => quote_qualified(catalog, stored),
    }
}

fn quote_list(names: &[String]) -> String {
    names.iter().map(|name| quote_ident(name)).collect::<Vec<_>>().join(", ")
}

impl Catalog {
    /// The table or view of this OID.
    pub fn relation(&self, oid: Oid) -> Option<&Relation> {
        self.relations.values().find(|relation| relation.oid == oid)
    }

    /// The index of this OID, with its table.
    pub fn index(&self, oid: Oid) -> Option<(&Relation, &Index)> {
        self.relations.values().find_map(|relation| {
            relation.indexes.iter().find(|index| index.oid == oid).map(|index| (relation, index))
        })
    }

    /// The type of one of [`Index::columns`], if it is known.
    pub fn key_type(&self, relation: &Relation, written: &str) -> Option<Oid> {
        let key = index_key(relation, written);
        match relation.attribute(key.text).filter(|_| key.is_column) {
            Some(attribute) => Some(attribute.oid),
            None => Place::of_row(self, relation).type_of(key.text),
        }
    }

    /// The constraint of this OID, with its table.
    pub fn constraint(&self, oid: Oid) -> Option<(&Relation, &Constraint)> {
        self.relations.values().find_map(|relation| {
            let found = relation.constraints.iter().find(|constraint| constraint.oid == oid);
            found.map(|constraint| (relation, constraint))
        })
    }

    /// The columns that a foreign key refers to: those named, or else the primary key.
    pub fn referenced_columns<'a>(&'a self, table: &str, named: &'a [String]) -> &'a [String] {
        if !named.is_empty() {
            return named;
        }
        let target = self.relations.get(table);
        let key = target.and_then(|target| {
            let is_primary =
                |constraint: &&Constraint| matches!(constraint.kind, ConstraintKind::PrimaryKey);
            target.constraints.iter().find(is_primary)
        });
        key.map_or(&[], |key| &key.columns)
    }
}

impl Relation {
    /// A column's number, from 1.
    pub fn number(&self, column: &str) -> Option<i64> {
        let at = self.attributes.iter().position(|attribute| attribute.name == column)?;
        i64::try_from(at + 1).ok()
    }

    pub fn has_constraint(&self, name: &str) -> bool {
        self.constraints.iter().any(|constraint| constraint.name == name)
    }

    /// A column by name.
    pub fn attribute(&self, column: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| attribute.name == column)
    }
}

/// `pg_get_expr` of a column's default or generating expression.
pub(super) fn default_definition(
    catalog: &Catalog,
    relation: &Relation,
    attribute: &Attribute,
) -> Option<String> {
    let oid = catalog.domain_base(attribute.oid).map_or(attribute.oid, |(oid, _)| oid);
    let text = stored_default(attribute)?;
    if let Some(printed) = Place::of_row(catalog, relation).printed(text, Some(oid), false) {
        return Some(printed);
    }
    let inside = without_parentheses(text);
    Some(match is_string(inside) {
        true => format!("{inside}::{}", catalog.format_type(oid, Some(-1))),
        false => text.clone(),
    })
}

/// What is printed of an expression over a table's columns, with no more parentheses than
/// it needs.
pub fn pretty(catalog: &Catalog, table: Oid, printed: &str) -> String {
    let place = Place { catalog, relation: catalog.relation(table), value: None };
    place.printed(printed, None, true).unwrap_or_else(|| printed.to_owned())
}

/// What is printed of an expression, with its intervals in a session's style.
pub fn with_intervals(printed: &str, style: IntervalStyle) -> String {
    let mut out = String::with_capacity(printed.len());
    let mut copied = 0;
    let mut scanner = Scanner::new(printed);
    while let Ok(Some(token)) = scanner.next() {
        let Token::Literal(literal) = token else { continue };
        let inside = literal.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
        if scanner.rest().starts_with("::interval")
            && let Some(Ok(interval)) = inside.map(Interval::parse)
        {
            out.push_str(&printed[copied..=scanner.start]);
            style.print(interval, &mut out);
            copied = scanner.offset() - 1;
        }
    }
    out.push_str(&printed[copied..]);
    out
}

/// Whether it is one string literal, without escapes.
fn is_string(text: &str) -> bool {
    let mut scanner = Scanner::new(text);
    let first = scanner.next();
    matches!(first, Ok(Some(Token::Literal(literal))) if literal.starts_with('\''))
        && scanner.peek().is_none()
}

/// A key of an index: a column or an expression, and its order.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct IndexKey<'a> {
    /// The column's name, or the expression without the parentheses around it.
    pub(super) text: &'a str,
    pub(super) is_column: bool,
    pub(super) descending: bool,
    pub(super) nulls_first: bool,
}

/// Reads one of [`Index::columns`].
pub(super) fn index_key<'a>(relation: &Relation, written: &'a str) -> IndexKey<'a> {
    let is_column = |text: &str| relation.attribute(text).is_some();
    let mut text = written.trim();
    let (mut descending, mut nulls_first) = (false, None);
    if !is_column(written) {
        for (suffix, first) in [(" NULLS FIRST", true), (" NULLS LAST", false)] {
            if let Some(rest) = strip_suffix_ignore_case(text, suffix) {
                (text, nulls_first) = (rest, Some(first));
            }
        }
        for (suffix, down) in [(" DESC", true), (" ASC", false)] {
            if let Some(rest) = strip_suffix_ignore_case(text, suffix) {
                (text, descending) = (rest, down);
            }
        }
        if let Some(name) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'))
            && is_column(name)
        {
            text = name;
        }
    }
    IndexKey {
        is_column: is_column(text),
        text: if is_column(text) { text } else { without_parentheses(text) },
        descending,
        nulls_first: nulls_first.unwrap_or(descending),
    }
}

fn strip_suffix_ignore_case<'a>(text: &'a str, suffix: &str) -> Option<&'a str> {
    let at = text.len().checked_sub(suffix.len())?;
    let tail = text.get(at..)?;
    tail.eq_ignore_ascii_case(suffix).then(|| text[..at].trim_end())
}

/// Takes off the parentheses that stand around all of the text.
pub(super) fn without_parentheses(text: &str) -> &str {
    let text = text.trim();
    let Some(inside) = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')) else {
        return text;
    };
    let (mut depth, mut quote) = (0_i64, None);
    for char in inside.chars() {
        match (quote, char) {
            (Some(open), char) if char == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(char),
            (None, '(') => depth += 1,
            (None, ')') => depth -= 1,
            (None, _) => {}
        }
        if depth < 0 {
            return text;
        }
    }
    if depth == 0 { without_parentheses(inside) } else { text }
}

/// Whether an expression may stand without parentheses in a list of index keys.
fn is_call_or_name(expression: &str) -> bool {
    let name = expression.split('(').next().unwrap_or(expression);
    let is_name = !name.is_empty()
        && name.chars().all(|char| char.is_alphanumeric() || matches!(char, '_' | '.' | '"'));
    let open = expression.find('(');
    is_name
        && open.is_none_or(|at| {
            // The parentheses that open after the name must close at the very end.
            let arguments = &expression[at..];
            arguments.len() > without_parentheses(arguments).len() || arguments == "()"
        })
}

fn printed_key(catalog: &Catalog, relation: &Relation, key: &IndexKey<'_>, pretty: bool) -> String {
    if key.is_column {
        quote_ident(key.text)
    } else if let Some(printed) = Place::of_row(catalog, relation).printed_key(key.text, pretty) {
        printed
    } else if is_call_or_name(key.text) {
        key.text.to_owned()
    } else if pretty {
        format!("({})", key.text)
    } else {
        format!("(({}))", key.text)
    }
}

/// Splits one of [`Index::columns`] into the key and the order that is written behind it.
pub fn split_order(written: &str) -> (&str, &str) {
    let orders = [" DESC NULLS LAST", " NULLS FIRST", " DESC"];
    let order = orders.into_iter().find(|order| written.ends_with(order)).unwrap_or("");
    written.split_at(written.len() - order.len())
}

/// `pg_get_indexdef(oid, 0, pretty)`.
pub fn index_definition(
    catalog: &Catalog,
    relation: &Relation,
    index: &Index,
    pretty: bool,
) -> String {
    let unique = if index.unique { "UNIQUE " } else { "" };
    let table = if pretty {
        quote_stored(catalog, &relation.name)
    } else {
        quote_qualified(catalog, &relation.name)
    };
    let keys = index.columns.iter().enumerate().map(|(at, written)| {
        let key = index_key(relation, written);
        let class = match index.class(at) {
            Some(class) => format!(" {}", quote_ident(class)),
            None => String::new(),
        };
        let order = match (key.descending, key.nulls_first) {
            (false, false) => "",
            (false, true) => " NULLS FIRST",
            (true, true) => " DESC",
            (true, false) => " DESC NULLS LAST",
        };
        printed_key(catalog, relation, &key, pretty) + &class + order
    });
    let keys = keys.collect::<Vec<_>>().join(", ");
    let mut text = format!(
        "CREATE {unique}INDEX {} ON {table} USING {} ({keys})",
        quote_ident(catalog.bare(&index.name)),
        index.method,
    );
    text.push_str(&printed_included(&index.included));
    if index.nulls_equal {
        text.push_str(" NULLS NOT DISTINCT");
    }
    if let Some(predicate) = &index.predicate {
        text.push_str(" WHERE ");
        let place = Place::of_row(catalog, relation);
        text.push_str(&printed_condition(place, predicate, pretty));
    }
    text
}

/// `INCLUDE (columns)`, behind a key's columns.
fn printed_included(columns: &[String]) -> String {
    if columns.is_empty() { String::new() } else { format!(" INCLUDE ({})", quote_list(columns)) }
}

/// `pg_get_indexdef(oid, number, pretty)` for a column's number from 1: the column alone.
pub fn index_key_definition(
    catalog: &Catalog,
    relation: &Relation,
    index: &Index,
    number: usize,
    pretty: bool,
) -> Option<String> {
    let at = number.checked_sub(1)?;
    match index.columns.get(at) {
        Some(written) => {
            Some(printed_key(catalog, relation, &index_key(relation, written), pretty))
        }
        None => index.included.get(at - index.columns.len()).map(|name| quote_ident(name)),
    }
}

/// A condition, in parentheses unless it is to be pretty or is but a name.
fn printed_condition(place: Place<'_>, condition: &str, pretty: bool) -> String {
    if let Some(printed) = place.printed(condition, Some(Oid::BOOL), pretty) {
        return printed;
    }
    let inside = without_parentheses(condition);
    if pretty || is_call_or_name(inside) { inside.to_owned() } else { format!("({inside})") }
}

/// `pg_get_constraintdef(oid, pretty)`.
pub fn constraint_definition(
    catalog: &Catalog,
    relation: &Relation,
    constraint: &Constraint,
    pretty: bool,
    path: &[String],
) -> String {
    let columns = quote_list(&constraint.columns);
    let included = printed_included(&constraint.included);
    let mut text = match &constraint.kind {
        ConstraintKind::PrimaryKey => format!("PRIMARY KEY ({columns}){included}"),
        ConstraintKind::Unique if constraint.nulls_equal => {
            format!("UNIQUE NULLS NOT DISTINCT ({columns}){included}")
        }
        ConstraintKind::Unique => format!("UNIQUE ({columns}){included}"),
        ConstraintKind::Check(condition) => {
            check_definition(Place::of_row(catalog, relation), condition, pretty)
        }
        ConstraintKind::ForeignKey { table, columns: named, on_update, on_delete } => {
            let target = quote_list(catalog.referenced_columns(table, named));
            format!(
                "FOREIGN KEY ({columns}) REFERENCES {}({target}){}{}",
                catalog.shown_relation(table, path),
                printed_action("UPDATE", *on_update),
                printed_action("DELETE", *on_delete),
            )
        }
    };
    if constraint.deferrable {
        text.push_str(" DEFERRABLE");
    }
    if constraint.deferred {
        text.push_str(" INITIALLY DEFERRED");
    }
    text
}

/// `pg_get_constraintdef` of a domain's check.
pub fn domain_check_definition(catalog: &Catalog, check: &DomainCheck<'_>, pretty: bool) -> String {
    let mut text = check.condition.to_owned();
    let mut scanner = Scanner::new(check.condition);
    while let Ok(Some(token)) = scanner.next() {
        if token.is("value") {
            text.replace_range(scanner.start..scanner.offset(), "VALUE");
        }
    }
    let value = catalog.domain_base(check.domain.oid).map(|(base, _)| base);
    check_definition(Place { catalog, relation: None, value }, &text, pretty)
}

fn check_definition(place: Place<'_>, condition: &str, pretty: bool) -> String {
    format!("CHECK ({})", printed_condition(place, condition, pretty))
}

/// A check's condition, as `information_schema` has it.
pub(super) fn check_clause(catalog: &Catalog, relation: &Relation, condition: &str) -> String {
    format!("({})", printed_condition(Place::of_row(catalog, relation), condition, false))
}

fn printed_action(event: &str, letter: char) -> String {
    match action_rule(letter) {
        "NO ACTION" => String::new(),
        rule => format!(" ON {event} {rule}"),
    }
}

/// A referential action in words.
pub(super) fn action_rule(letter: char) -> &'static str {
    match letter {
        'r' => "RESTRICT",
        'c' => "CASCADE",
        'n' => "SET NULL",
        'd' => "SET DEFAULT",
        _ => "NO ACTION",
    }
}

/// `pg_get_viewdef(oid)`.
pub fn view_definition(relation: &Relation) -> Option<String> {
    let query = relation.definition.as_deref()?.trim().trim_end_matches(';');
    Some(format!(" {};", as_written(query)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Relation {
        let columns = ["parent_id", "j", "ok", "Mixed"].map(|name| (name, Oid::INT4));
        Relation::of_columns("child", &columns)
    }

    fn index(columns: &[&str], predicate: Option<&str>) -> Index {
        Index {
            oid: Oid(16_390),
            name: "child_ex".to_owned(),
            unique: false,
            primary: false,
            columns: columns.iter().map(|&column| column.to_owned()).collect(),
            predicate: predicate.map(str::to_owned),
            nulls_equal: false,
            included: Vec::new(),
            method: "btree".to_owned(),
            classes: Vec::new(),
        }
    }

    #[test]
    fn quotes_names_that_would_not_survive() {
        assert_eq!(quote_ident("plain_1"), "plain_1");
        assert_eq!(quote_ident("Mixed"), "\"Mixed\"");
        assert_eq!(quote_ident("select"), "\"select\"");
        assert_eq!(quote_ident("1a"), "\"1a\"");
        assert_eq!(quote_ident("a\"b"), "\"a\"\"b\"");
        assert_eq!(quote_ident(""), "\"\"");
        assert!(QUOTED_WORDS.is_sorted());
    }

    #[test]
    fn prints_indexes_as_postgresql_does() {
        let relation = table();
        let shown = |columns: &[&str], predicate| {
            let text =
                index_definition(&Catalog::default(), &relation, &index(columns, predicate), false);
            text.replace("CREATE INDEX child_ex ON public.child USING btree ", "")
        };
        assert_eq!(shown(&["parent_id"], None), "(parent_id)");
        assert_eq!(
            shown(&["(lower((j)::text))", "parent_id DESC"], Some("ok")),
            "(lower((j)::text), parent_id DESC) WHERE ok"
        );
        assert_eq!(shown(&["(a + b)"], Some("(a > 1)")), "(((a + b))) WHERE (a > 1)");
        assert_eq!(shown(&["Mixed NULLS FIRST"], None), "(\"Mixed\" NULLS FIRST)");
        assert_eq!(shown(&["(f(a) + f(b))"], None), "(((f(a) + f(b))))");
        let index = index(&["parent_id", "(a+1)"], None);
        let second = index_key_definition(&Catalog::default(), &relation, &index, 2, true);
        assert_eq!(second.as_deref(), Some("(a+1)"));
    }

    #[test]
    fn prints_constraints_as_postgresql_does() {
        let mut catalog = Catalog::default();
        catalog.relations.insert("parent".to_owned(), table());
        let constraint = |kind, deferrable| Constraint {
            oid: Oid(1),
            name: "c".to_owned(),
            kind,
            columns: vec!["parent_id".to_owned()],
            deferrable,
            deferred: deferrable,
            nulls_equal: false,
            included: Vec::new(),
        };
        let check = constraint(ConstraintKind::Check("(amount > 0)".to_owned()), false);
        let public = [PUBLIC.to_owned()];
        let relation = table();
        let printed =
            |check, pretty| constraint_definition(&catalog, &relation, check, pretty, &public);
        assert_eq!(printed(&check, false), "CHECK ((amount > 0))");
        assert_eq!(printed(&check, true), "CHECK (amount > 0)");
        let kind = ConstraintKind::ForeignKey {
            table: "parent".to_owned(),
            columns: vec!["id".to_owned()],
            on_update: 'a',
            on_delete: 'c',
        };
        assert_eq!(
            printed(&constraint(kind, true), true),
            "FOREIGN KEY (parent_id) REFERENCES parent(id) ON DELETE CASCADE \
             DEFERRABLE INITIALLY DEFERRED"
        );
    }

    #[test]
    fn takes_off_only_parentheses_that_belong_together() {
        assert_eq!(without_parentheses("(a)"), "a");
        assert_eq!(without_parentheses("(a) + (b)"), "(a) + (b)");
        assert_eq!(without_parentheses("(a = ')')"), "a = ')'");
        assert_eq!(without_parentheses("(( a ))"), "a");
        assert_eq!(without_parentheses("("), "(");
    }
}
