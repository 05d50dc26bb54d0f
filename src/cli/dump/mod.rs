//! `towline dump`: a database as one SQL text that PostgreSQL, SQLite and Towline load.
//!
//! All of it is read in one read-only transaction, so from one node's snapshot at one
//! LSN. Most statements are both databases' own; the rest stands in marks (see
//! `script`). The whole is one transaction: a text that was cut off loads nothing.

mod data;
mod schema;
mod script;
mod table;

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, NoTls};

use self::schema::{Relation, RelationKind, Schema, TypeKind, rows};
use self::script::{Marks, Reader, Script};
use self::table::{Maker, add_foreign_key};
use super::status::{Target, block_on};
use crate::net::SqlTls;
use crate::sql::catalog::quote_literal;
use crate::sql::portable::{one_line, quoted};

/// What makes a session's texts the same everywhere, and then its snapshot.
const BEGIN: &str = "SET search_path = public; SET TimeZone = 'UTC'; SET DateStyle = 'ISO';
    SET IntervalStyle = 'postgres'; SET bytea_output = 'hex'; SET extra_float_digits = 1;
    SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0;
    BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    target: Target,
    /// Where the cluster's clients connect, as libpq spells it; a demo's proxy if not given.
    #[arg(long, value_name = "CONNECTION")]
    proxy: Option<String>,
    /// The certificate of the authority that signed the server's: the connection is inside
    /// TLS, and the server must be the one that it was asked for.
    #[arg(long, value_name = "FILE", requires = "proxy")]
    ca: Option<PathBuf>,
    /// Which database, if not the one that the connection names.
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// Write to this file, which is there once it is whole, instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,
    /// No rows, and no positions of sequences.
    #[arg(long, short, conflicts_with = "data_only")]
    schema_only: bool,
    /// Rows and positions of sequences only.
    #[arg(long, short = 'a')]
    data_only: bool,
    /// Only this table or view, with what goes with it: NAME or SCHEMA.NAME; more than once
    /// for several.
    #[arg(long, short, value_name = "NAME")]
    table: Vec<String>,
    /// Without the marks that let both read it.
    #[arg(long = "for", value_name = "READER")]
    reader: Option<Reader>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    match &arguments.file {
        None => block_on(dump(arguments, BufWriter::new(io::stdout().lock()))).map(drop),
        Some(file) => {
            let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty());
            let dir = dir.unwrap_or(Path::new("."));
            let partial = tempfile::NamedTempFile::new_in(dir);
            let partial = partial.with_context(|| format!("{}", dir.display()))?;
            let written = block_on(dump(arguments, BufWriter::new(partial)))?;
            let whole = written.into_inner().map_err(io::IntoInnerError::into_error)?;
            whole.as_file().sync_all()?;
            whole.persist(file).with_context(|| format!("{}", file.display()))?;
            Ok(())
        }
    }
}

async fn dump<W: Write>(arguments: &Arguments, out: W) -> anyhow::Result<W> {
    let mut config = match &arguments.proxy {
        Some(proxy) => proxy.parse().context("--proxy")?,
        None => arguments.target.demo_sql()?.context("--dir or --proxy says which cluster")?,
    };
    if let Some(database) = &arguments.database {
        config.dbname(database);
    }
    config.application_name("towline dump");
    let (client, connection) = match &arguments.ca {
        Some(ca) => {
            config.ssl_mode(SslMode::Require);
            let (client, connection) = config.connect(SqlTls::trusting(ca)?).await?;
            (client, tokio::spawn(connection))
        }
        None => {
            let (client, connection) = config.connect(NoTls).await?;
            (client, tokio::spawn(connection))
        }
    };
    client.batch_execute(BEGIN).await?;
    let mut schema = Schema::read(&client).await?;
    choose(&mut schema, &arguments.table)?;
    let marks = Marks { only: arguments.reader };
    let mut dump = Dump { script: Script::new(out, marks), maker: Maker::new(marks)?, marks };
    let database = config.get_dbname().unwrap_or_default();
    dump.write(&client, &schema, arguments, database).await?;
    client.batch_execute("COMMIT").await?;
    connection.abort();
    Ok(dump.script.finish()?)
}

/// Keeps the tables that were asked for, with what goes with them.
fn choose(schema: &mut Schema, asked: &[String]) -> anyhow::Result<()> {
    if asked.is_empty() {
        return Ok(());
    }
    for name in asked {
        let found = schema.relations.iter().any(|relation| relation.name.is(name));
        ensure!(found, "there is no table or view {name:?}");
    }
    schema.relations.retain(|relation| asked.iter().any(|name| relation.name.is(name)));
    schema.schemas.clear();
    schema.types.clear();
    schema.routines.clear();
    let kept = |oid: u32| schema.relations.iter().any(|relation| relation.oid == oid);
    schema.sequences.retain(|it| it.owner.as_ref().is_some_and(|owner| kept(owner.table)));
    schema.comments.retain(|comment| comment.relation.is_some_and(kept));
    Ok(())
}

struct Dump<W> {
    script: Script<W>,
    maker: Maker,
    marks: Marks,
}

impl<W: Write> Dump<W> {
    async fn write(
        &mut self,
        client: &Client,
        schema: &Schema,
        arguments: &Arguments,
        database: &str,
    ) -> anyhow::Result<()> {
        let (makes, fills) = (!arguments.data_only, !arguments.schema_only);
        self.head(database)?;
        if makes {
            self.types(schema)?;
            self.sequences(schema)?;
            self.routines(schema, false)?;
        }
        let is_table = |it: &&Relation| it.kind == RelationKind::Table;
        let mut tables = Vec::new();
        for table in schema.relations.iter().filter(is_table) {
            let (create, filled) = self.maker.table(table, &schema.sequences);
            if makes {
                self.script.both(&create)?;
            }
            tables.push((table, filled));
        }
        if makes {
            self.routines(schema, true)?;
            self.owners(schema)?;
        }
        if fills {
            for (table, filled) in &tables {
                data::write(client, &mut self.script, self.marks, table, filled).await?;
            }
            self.positions(client, schema).await?;
        }
        if makes {
            self.rest(schema)?;
        }
        self.script.both("COMMIT")?;
        Ok(())
    }

    fn head(&mut self, database: &str) -> io::Result<()> {
        let name = one_line(&quoted(database));
        self.script.line(&format!("-- The database {name}, written by towline dump."))?;
        if self.marks.only.is_none() {
            self.script.line(
                "-- PostgreSQL and SQLite both load it. What stands between /*/**/ and --*/ is",
            )?;
            self.script.line(
                "-- SQLite's alone, what stands behind that, to the line's end, PostgreSQL's.",
            )?;
        }
        self.script.statement("", "PRAGMA foreign_keys=OFF")?;
        self.script.both("BEGIN")?;
        for setting in [
            "client_encoding = 'UTF8'",
            "standard_conforming_strings = on",
            "check_function_bodies = off",
            "search_path = public",
        ] {
            self.script.statement(&format!("SET {setting}"), "")?;
        }
        Ok(())
    }

    fn types(&mut self, schema: &Schema) -> io::Result<()> {
        for name in &schema.schemas {
            self.script.statement(&format!("CREATE SCHEMA {}", quoted(name)), "")?;
        }
        for of in &schema.types {
            let name = of.name.postgresql();
            let make = match &of.kind {
                TypeKind::Enum(labels) => {
                    let labels: Vec<String> =
                        labels.iter().map(|label| quote_literal(label)).collect();
                    format!("CREATE TYPE {name} AS ENUM ({})", labels.join(", "))
                }
                TypeKind::Composite(fields) => {
                    let fields: Vec<String> = fields
                        .iter()
                        .map(|(field, of)| format!("{} {of}", quoted(field)))
                        .collect();
                    format!("CREATE TYPE {name} AS ({})", fields.join(", "))
                }
                TypeKind::Domain { base, default, not_null, checks } => {
                    let mut make = format!("CREATE DOMAIN {name} AS {base}");
                    if let Some(default) = default {
                        make.push_str(&format!(" DEFAULT {default}"));
                    }
                    if *not_null {
                        make.push_str(" NOT NULL");
                    }
                    for (check, definition) in checks {
                        make.push_str(&format!(" CONSTRAINT {} {definition}", quoted(check)));
                    }
                    make
                }
            };
            self.script.statement(&make, "")?;
        }
        Ok(())
    }

    /// Functions, which PostgreSQL alone gets. What their bodies read need not be there.
    fn routines(&mut self, schema: &Schema, needs_tables: bool) -> io::Result<()> {
        for routine in schema.routines.iter().filter(|it| it.needs_tables == needs_tables) {
            self.script.statement(&routine.definition, "")?;
        }
        Ok(())
    }

    /// All but those that an identity column brings itself.
    fn sequences(&mut self, schema: &Schema) -> io::Result<()> {
        for sequence in &schema.sequences {
            if sequence.owner.as_ref().is_none_or(|owner| !owner.is_identity) {
                let (name, options) = (sequence.name.postgresql(), &sequence.options);
                self.script.statement(&format!("CREATE SEQUENCE {name} {options}"), "")?;
            }
        }
        Ok(())
    }

    fn owners(&mut self, schema: &Schema) -> io::Result<()> {
        for sequence in &schema.sequences {
            let Some(owner) = sequence.owner.as_ref().filter(|it| !it.is_identity) else {
                continue;
            };
            let Some(table) = schema.relations.iter().find(|it| it.oid == owner.table) else {
                continue;
            };
            let (name, table) = (sequence.name.postgresql(), table.name.postgresql());
            let column = quoted(&owner.column);
            let owned = format!("ALTER SEQUENCE {name} OWNED BY {table}.{column}");
            self.script.statement(&owned, "")?;
        }
        Ok(())
    }

    async fn positions(&mut self, client: &Client, schema: &Schema) -> anyhow::Result<()> {
        for sequence in &schema.sequences {
            let name = sequence.name.postgresql();
            let query = format!("SELECT last_value, is_called FROM {name}");
            for row in rows(client, &query).await? {
                let [Some(last), Some(called)] = row.as_slice() else { continue };
                let (name, called) = (quote_literal(&name), called == "t");
                let set = format!("SELECT pg_catalog.setval({name}, {last}, {called})");
                self.script.statement(&set, "")?;
            }
        }
        Ok(())
    }

    /// What comes when the rows are there.
    fn rest(&mut self, schema: &Schema) -> io::Result<()> {
        let tables = || schema.relations.iter().filter(|it| it.kind == RelationKind::Table);
        for table in tables() {
            self.indexes(table)?;
        }
        for table in tables() {
            for added in table.constraints.iter().filter_map(|it| add_foreign_key(table, it)) {
                self.script.statement(&added, "")?;
            }
        }
        for view in schema.relations.iter().filter(|it| it.kind != RelationKind::Table) {
            let (postgresql, sqlite) = self.maker.view(view);
            self.script.statement(&postgresql, &sqlite)?;
            self.indexes(view)?;
        }
        for comment in &schema.comments {
            let (on, text) = (&comment.on, quote_literal(&comment.text));
            self.script.statement(&format!("COMMENT ON {on} IS {text}"), "")?;
        }
        Ok(())
    }

    fn indexes(&mut self, table: &Relation) -> io::Result<()> {
        for index in &table.indexes {
            let (postgresql, sqlite) = self.maker.index(table, index);
            self.script.statement(&postgresql, &sqlite)?;
        }
        Ok(())
    }
}
