//! What a database holds, as its catalogs tell.

use std::collections::HashMap;

use anyhow::Context;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::sql::portable::quoted;

/// A row as text, NULL as `None`.
type Row = Vec<Option<String>>;

/// A name in a schema.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Name {
    pub schema: String,
    pub name: String,
}

/// A user's type.
pub(super) struct Type {
    pub name: Name,
    pub kind: TypeKind,
}

pub(super) enum TypeKind {
    /// Labels, in order.
    Enum(Vec<String>),
    /// Fields and their types.
    Composite(Vec<(String, String)>),
    Domain {
        base: String,
        default: Option<String>,
        not_null: bool,
        /// Names and definitions.
        checks: Vec<(String, String)>,
    },
}

/// A table, view or materialized view.
pub(super) struct Relation {
    pub oid: u32,
    pub name: Name,
    pub columns: Vec<Column>,
    pub constraints: Vec<Constraint>,
    pub indexes: Vec<Index>,
    /// A view's query.
    pub query: String,
    pub kind: RelationKind,
    /// The relations that a view reads, or that a table's foreign keys refer to.
    pub needs: Vec<u32>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum RelationKind {
    Table,
    View,
    /// A materialized view, and whether it holds rows.
    Materialized(bool),
}

pub(super) struct Column {
    pub name: String,
    /// As PostgreSQL spells it.
    pub written: String,
    /// Of the type itself, or of a domain's base: its name in the catalog.
    pub base: String,
    /// The same, as PostgreSQL spells it, with its modifiers.
    pub base_written: String,
    pub is_array: bool,
    pub not_null: bool,
    /// A default's or a generated column's expression.
    pub expression: Option<String>,
    pub is_generated: bool,
    pub identity: Option<Identity>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Identity {
    Always,
    ByDefault,
}

pub(super) struct Constraint {
    pub name: String,
    /// As PostgreSQL spells it.
    pub definition: String,
    pub columns: Vec<String>,
    pub kind: ConstraintKind,
}

pub(super) enum ConstraintKind {
    Primary,
    Unique,
    Check,
    /// What is referred to, and what happens and when, in words that both databases know.
    Foreign {
        table: Name,
        columns: Vec<String>,
        actions: String,
        is_valid: bool,
    },
}

pub(super) struct Index {
    pub name: String,
    pub is_unique: bool,
    pub method: String,
    /// From the parenthesis before its columns on.
    pub definition: String,
}

pub(super) struct Sequence {
    pub name: Name,
    /// Its options, as `CREATE SEQUENCE` takes them.
    pub options: String,
    pub owner: Option<Owner>,
}

/// The column that a sequence goes with.
pub(super) struct Owner {
    pub table: u32,
    pub column: String,
    pub is_identity: bool,
}

/// What a comment is on, as `COMMENT` names it, and the comment.
pub(super) struct Comment {
    pub relation: Option<u32>,
    pub on: String,
    pub text: String,
}

/// A function or procedure.
pub(super) struct Routine {
    /// Its CREATE statement.
    pub definition: String,
    /// Whether its types are those of tables' rows.
    pub needs_tables: bool,
}

pub(super) struct Schema {
    pub schemas: Vec<String>,
    pub types: Vec<Type>,
    pub routines: Vec<Routine>,
    pub sequences: Vec<Sequence>,
    pub relations: Vec<Relation>,
    pub comments: Vec<Comment>,
}

impl Name {
    fn new(schema: &str, name: &str) -> Self {
        Self { schema: schema.to_owned(), name: name.to_owned() }
    }

    fn is_public(&self) -> bool {
        self.schema == "public"
    }

    /// As PostgreSQL writes it, `public` being where it looks.
    pub(super) fn postgresql(&self) -> String {
        if self.is_public() {
            quoted(&self.name)
        } else {
            format!("{}.{}", quoted(&self.schema), quoted(&self.name))
        }
    }

    /// As SQLite, which has no schemas, writes it.
    pub(super) fn sqlite(&self) -> String {
        if self.is_public() {
            quoted(&self.name)
        } else {
            quoted(&format!("{}.{}", self.schema, self.name))
        }
    }

    /// The name of something else in the same schema.
    pub(super) fn beside(&self, name: &str) -> Self {
        Self::new(&self.schema, name)
    }

    /// Whether `asked`, with or without a schema, means this.
    pub(super) fn is(&self, asked: &str) -> bool {
        asked == self.name || asked == format!("{}.{}", self.schema, self.name)
    }
}

/// Of no system's schema and no session's.
const OURS: &str = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";

/// The rows of a query.
pub(super) async fn rows(client: &Client, query: &str) -> anyhow::Result<Vec<Row>> {
    let messages = client.simple_query(query).await.with_context(|| query.to_owned())?;
    Ok(messages
        .into_iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect())
            }
            _ => None,
        })
        .collect())
}

fn text(row: &Row, at: usize) -> String {
    row[at].clone().unwrap_or_default()
}

fn oid(row: &Row, at: usize) -> u32 {
    text(row, at).parse().unwrap_or_default()
}

fn is(row: &Row, at: usize) -> bool {
    row[at].as_deref() == Some("t")
}

impl Schema {
    pub(super) async fn read(client: &Client) -> anyhow::Result<Self> {
        let schemas = format!(
            "SELECT nspname FROM pg_namespace n WHERE {OURS} AND nspname <> 'public' ORDER BY oid"
        );
        let schemas = rows(client, &schemas).await?.iter().map(|row| text(row, 0)).collect();
        Ok(Self {
            schemas,
            types: types(client).await?,
            routines: routines(client).await?,
            sequences: sequences(client).await?,
            relations: relations(client).await?,
            comments: comments(client).await?,
        })
    }
}

async fn types(client: &Client) -> anyhow::Result<Vec<Type>> {
    let labels =
        rows(client, "SELECT enumtypid, enumlabel FROM pg_enum ORDER BY enumtypid, enumsortorder");
    let labels = grouped(labels.await?);
    let fields = rows(
        client,
        "SELECT attrelid, attname, format_type(atttypid, atttypmod) FROM pg_attribute
         WHERE attnum > 0 AND NOT attisdropped ORDER BY attrelid, attnum",
    );
    let fields = grouped(fields.await?);
    let checks = rows(
        client,
        "SELECT contypid, conname, pg_get_constraintdef(oid) FROM pg_constraint
         WHERE contypid <> 0 ORDER BY oid",
    );
    let checks = grouped(checks.await?);
    let query = format!(
        "SELECT t.oid, n.nspname, t.typname, t.typtype, t.typrelid,
             format_type(t.typbasetype, t.typtypmod), t.typdefault, t.typnotnull
         FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
         WHERE {OURS} AND t.typtype IN ('e', 'd', 'c') AND (t.typtype <> 'c' OR EXISTS (
             SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c'))
         ORDER BY t.oid"
    );
    let pairs = |rows: Option<&Vec<Row>>| -> Vec<(String, String)> {
        rows.into_iter().flatten().map(|row| (text(row, 1), text(row, 2))).collect()
    };
    let types = rows(client, &query).await?;
    Ok(types
        .iter()
        .map(|row| Type {
            name: Name::new(&text(row, 1), &text(row, 2)),
            kind: match row[3].as_deref() {
                Some("e") => {
                    let labels = labels.get(&oid(row, 0)).into_iter().flatten();
                    TypeKind::Enum(labels.map(|label| text(label, 1)).collect())
                }
                Some("c") => TypeKind::Composite(pairs(fields.get(&oid(row, 4)))),
                _ => TypeKind::Domain {
                    base: text(row, 5),
                    default: row[6].clone(),
                    not_null: is(row, 7),
                    checks: pairs(checks.get(&oid(row, 0))),
                },
            },
        })
        .collect())
}

async fn routines(client: &Client) -> anyhow::Result<Vec<Routine>> {
    let query = format!(
        "SELECT pg_get_functiondef(p.oid), EXISTS (SELECT FROM pg_depend d
             WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
             AND d.refclassid = 'pg_class'::regclass)
         FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
         WHERE {OURS} ORDER BY p.oid"
    );
    let found = rows(client, &query).await?;
    let routine = |row: &Row| Routine { definition: text(row, 0), needs_tables: is(row, 1) };
    Ok(found.iter().map(routine).collect())
}

async fn sequences(client: &Client) -> anyhow::Result<Vec<Sequence>> {
    let query = format!(
        "SELECT c.oid, n.nspname, c.relname, format_type(s.seqtypid, NULL), s.seqstart,
             s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle, d.refobjid, a.attname,
             d.deptype
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         JOIN pg_sequence s ON s.seqrelid = c.oid
         LEFT JOIN pg_depend d ON d.objid = c.oid AND d.classid = 'pg_class'::regclass
             AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
         LEFT JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
         WHERE {OURS} AND c.relkind = 'S' AND c.relpersistence <> 't' ORDER BY c.oid"
    );
    let sequence = |row: &Row| {
        let owner = row[10].as_ref().zip(row[11].clone()).map(|(_, column)| Owner {
            table: oid(row, 10),
            column,
            is_identity: row[12].as_deref() == Some("i"),
        });
        // An identity column's has the column's type.
        let of = match &owner {
            Some(owner) if owner.is_identity => String::new(),
            _ => format!("AS {} ", text(row, 3)),
        };
        let cycle = if is(row, 9) { " CYCLE" } else { "" };
        let options = format!(
            "{of}START WITH {} INCREMENT BY {} MINVALUE {} MAXVALUE {} CACHE {}{cycle}",
            text(row, 4),
            text(row, 5),
            text(row, 6),
            text(row, 7),
            text(row, 8),
        );
        Sequence { name: Name::new(&text(row, 1), &text(row, 2)), options, owner }
    };
    Ok(rows(client, &query).await?.iter().map(sequence).collect())
}

async fn relations(client: &Client) -> anyhow::Result<Vec<Relation>> {
    let mut columns = grouped(columns(client).await?);
    let mut constraints = grouped(constraints(client).await?);
    let mut indexes = grouped(indexes(client).await?);
    let needs = rows(
        client,
        "SELECT r.ev_class, d.refobjid FROM pg_rewrite r JOIN pg_depend d ON d.objid = r.oid
         WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid <> r.ev_class
         UNION SELECT conrelid, confrelid FROM pg_constraint
         WHERE contype = 'f' AND conrelid <> confrelid ORDER BY 1, 2",
    );
    let needs = grouped(needs.await?);
    let query = format!(
        "SELECT c.oid, n.nspname, c.relname, c.relkind, c.relispopulated,
             CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE {OURS} AND c.relkind IN ('r', 'v', 'm') AND c.relpersistence <> 't' ORDER BY c.oid"
    );
    let relation = |row: &Row| {
        let id = oid(row, 0);
        Relation {
            oid: id,
            name: Name::new(&text(row, 1), &text(row, 2)),
            columns: columns.remove(&id).unwrap_or_default().iter().map(column).collect(),
            constraints: constraints
                .remove(&id)
                .unwrap_or_default()
                .iter()
                .map(constraint)
                .collect(),
            indexes: indexes.remove(&id).unwrap_or_default().iter().filter_map(index).collect(),
            query: text(row, 5).trim().trim_end_matches(';').to_owned(),
            kind: match row[3].as_deref() {
                Some("v") => RelationKind::View,
                Some("m") => RelationKind::Materialized(is(row, 4)),
                _ => RelationKind::Table,
            },
            needs: needs.get(&id).into_iter().flatten().map(|row| oid(row, 1)).collect(),
        }
    };
    let relations = rows(client, &query).await?.iter().map(relation).collect();
    Ok(in_order(relations))
}

/// Each after those that it needs, else as they were made.
fn in_order(mut left: Vec<Relation>) -> Vec<Relation> {
    let mut ordered: Vec<Relation> = Vec::new();
    while !left.is_empty() {
        let ready = left.iter().position(|relation| {
            let waits = |need: &u32| left.iter().any(|other| other.oid == *need);
            !relation.needs.iter().any(waits)
        });
        // In a circle anyone is first.
        ordered.push(left.remove(ready.unwrap_or(0)));
    }
    ordered
}

async fn columns(client: &Client) -> anyhow::Result<Vec<Row>> {
    let bases = rows(
        client,
        "SELECT oid, typname, typcategory, typtype, typbasetype, format_type(typbasetype, typtypmod)
         FROM pg_type",
    );
    let bases: HashMap<u32, Row> =
        bases.await?.into_iter().map(|row| (oid(&row, 0), row)).collect();
    let query = "SELECT a.attrelid, a.attname, format_type(a.atttypid, a.atttypmod), a.atttypid,
             a.attnotnull, pg_get_expr(d.adbin, d.adrelid), a.attgenerated, a.attidentity
         FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
         LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
         WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'v', 'm')
         ORDER BY a.attrelid, a.attnum";
    let mut found = rows(client, query).await?;
    for row in &mut found {
        let mut written = text(row, 2);
        let mut of = bases.get(&oid(row, 3));
        // Down from domain to domain to what is none.
        while let Some(domain) = of.filter(|of| of[3].as_deref() == Some("d")) {
            written = text(domain, 5);
            of = bases.get(&oid(domain, 4));
        }
        row.push(Some(written));
        row.push(of.and_then(|of| of[1].clone()));
        row.push(of.and_then(|of| of[2].clone()));
    }
    Ok(found)
}

fn column(row: &Row) -> Column {
    Column {
        name: text(row, 1),
        written: text(row, 2),
        base_written: text(row, 8),
        base: text(row, 9),
        is_array: row[10].as_deref() == Some("A"),
        not_null: is(row, 4),
        expression: row[5].clone(),
        is_generated: row[6].as_deref() == Some("s"),
        identity: match row[7].as_deref() {
            Some("a") => Some(Identity::Always),
            Some("d") => Some(Identity::ByDefault),
            _ => None,
        },
    }
}

async fn constraints(client: &Client) -> anyhow::Result<Vec<Row>> {
    let names = |keys: &str, of: &str| {
        format!(
            "(SELECT json_agg(a.attname ORDER BY k.at) FROM unnest({keys}) WITH ORDINALITY k(num, at)
              JOIN pg_attribute a ON a.attrelid = {of} AND a.attnum = k.num)"
        )
    };
    let query = format!(
        "SELECT c.conrelid, c.conname, pg_get_constraintdef(c.oid), c.contype, {}, n.nspname,
             f.relname, {}, c.confupdtype, c.confdeltype, c.condeferrable, c.condeferred,
             c.convalidated, c.confmatchtype
         FROM pg_constraint c LEFT JOIN pg_class f ON f.oid = c.confrelid
         LEFT JOIN pg_namespace n ON n.oid = f.relnamespace
         WHERE c.conrelid <> 0 AND c.contype IN ('p', 'u', 'c', 'f')
         ORDER BY c.conrelid, c.contype = 'p' DESC, c.oid",
        names("c.conkey", "c.conrelid"),
        names("c.confkey", "c.confrelid"),
    );
    rows(client, &query).await
}

fn constraint(row: &Row) -> Constraint {
    let names = |at: usize| -> Vec<String> {
        serde_json::from_str(row[at].as_deref().unwrap_or("[]")).unwrap_or_default()
    };
    let action = |at: usize, on: &str| match row[at].as_deref() {
        Some("r") => format!(" ON {on} RESTRICT"),
        Some("c") => format!(" ON {on} CASCADE"),
        Some("n") => format!(" ON {on} SET NULL"),
        Some("d") => format!(" ON {on} SET DEFAULT"),
        _ => String::new(),
    };
    let deferral = match (is(row, 10), is(row, 11)) {
        (true, true) => " DEFERRABLE INITIALLY DEFERRED",
        (true, false) => " DEFERRABLE",
        _ => "",
    };
    Constraint {
        name: text(row, 1),
        definition: text(row, 2),
        columns: names(4),
        kind: match row[3].as_deref() {
            Some("p") => ConstraintKind::Primary,
            Some("u") => ConstraintKind::Unique,
            Some("f") => ConstraintKind::Foreign {
                table: Name::new(&text(row, 5), &text(row, 6)),
                columns: names(7),
                actions: format!(
                    "{}{}{}{deferral}",
                    if row[13].as_deref() == Some("f") { " MATCH FULL" } else { "" },
                    action(8, "UPDATE"),
                    action(9, "DELETE")
                ),
                is_valid: is(row, 12),
            },
            _ => ConstraintKind::Check,
        },
    }
}

async fn indexes(client: &Client) -> anyhow::Result<Vec<Row>> {
    let query = "SELECT i.indrelid, c.relname, i.indisunique, m.amname,
             pg_get_indexdef(i.indexrelid)
         FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
         LEFT JOIN pg_am m ON m.oid = c.relam
         WHERE NOT EXISTS (SELECT FROM pg_constraint o WHERE o.conindid = i.indexrelid
             AND o.contype IN ('p', 'u'))
         ORDER BY i.indrelid, c.oid";
    rows(client, query).await
}

fn index(row: &Row) -> Option<Index> {
    let whole = text(row, 4);
    let method = row[3].clone().unwrap_or_else(|| "btree".to_owned());
    let (_, definition) = whole.split_once(&format!(" USING {method} "))?;
    let definition = definition.to_owned();
    Some(Index { name: text(row, 1), is_unique: is(row, 2), method, definition })
}

async fn comments(client: &Client) -> anyhow::Result<Vec<Comment>> {
    let query = format!(
        "SELECT c.oid, n.nspname, c.relname, c.relkind, a.attname, d.description
         FROM pg_description d JOIN pg_class c ON c.oid = d.objoid
         JOIN pg_namespace n ON n.oid = c.relnamespace
         LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.objsubid AND d.objsubid > 0
         WHERE d.classoid = 'pg_class'::regclass AND {OURS} AND c.relpersistence <> 't'
             AND c.relkind IN ('r', 'v', 'm', 'S', 'i')
         ORDER BY c.oid, d.objsubid"
    );
    let comment = |row: &Row| {
        let name = Name::new(&text(row, 1), &text(row, 2)).postgresql();
        let on = match (row[4].as_deref(), row[3].as_deref()) {
            (Some(column), _) => format!("COLUMN {name}.{}", quoted(column)),
            (None, Some("v")) => format!("VIEW {name}"),
            (None, Some("m")) => format!("MATERIALIZED VIEW {name}"),
            (None, Some("S")) => format!("SEQUENCE {name}"),
            (None, Some("i")) => format!("INDEX {name}"),
            (None, _) => format!("TABLE {name}"),
        };
        Comment { relation: Some(oid(row, 0)), on, text: text(row, 5) }
    };
    let mut found: Vec<Comment> = rows(client, &query).await?.iter().map(comment).collect();
    let query = format!(
        "SELECT n.nspname, t.typname, t.typtype, d.description
         FROM pg_description d JOIN pg_type t ON t.oid = d.objoid
         JOIN pg_namespace n ON n.oid = t.typnamespace
         WHERE d.classoid = 'pg_type'::regclass AND {OURS} ORDER BY t.oid"
    );
    found.extend(rows(client, &query).await?.iter().map(|row| {
        let kind = if row[2].as_deref() == Some("d") { "DOMAIN" } else { "TYPE" };
        let on = format!("{kind} {}", Name::new(&text(row, 0), &text(row, 1)).postgresql());
        Comment { relation: None, on, text: text(row, 3) }
    }));
    Ok(found)
}

/// Rows by the OID that they begin with.
fn grouped(rows: Vec<Row>) -> HashMap<u32, Vec<Row>> {
    let mut groups: HashMap<u32, Vec<Row>> = HashMap::new();
    for row in rows {
        groups.entry(oid(&row, 0)).or_default().push(row);
    }
    groups
}
