//! SQL as clients write it, through the translator, on a real SQLite database.
//!
//! Golden scripts in `tests/golden/sql/translate`: each line is a PostgreSQL statement
//! (`> SELECT …`); below it stand what SQLite gets, the types that the client is told,
//! and the rows or the error that come of it.

use std::error::Error;
use std::path::Path;

use goldenscript::{Argument, Command, Context};
use proptest::prelude::*;
use tempfile::TempDir;
use test_each_file::test_each_path;
use towline::log::{Context as Frozen, Value, ValueRef};
use towline::pg::types::type_info;
use towline::pg::{Oid, SqlError};
use towline::sql::catalog::Catalog;
use towline::sql::{Kind, TranslateContext, Translated, classify, split, translate};
use towline::storage::sqlite::{ConnectionKind, Sqlite, SqliteError};

test_each_path! { in "tests/golden/sql/translate" => golden }

fn golden(path: &Path) {
    goldenscript::run(&mut Session::open(), path).expect("the script runs");
}

/// A database, and how the next statement is translated.
struct Session {
    _directory: TempDir,
    sqlite: Sqlite,
    params: Vec<Oid>,
    sqlite_dialect: bool,
    time_zone: String,
}

impl Session {
    fn open() -> Self {
        let directory = TempDir::new().expect("a directory");
        let sqlite = Sqlite::open(&directory.path().join("test.db"), ConnectionKind::Writer)
            .expect("a database");
        Self {
            _directory: directory,
            sqlite,
            params: Vec::new(),
            sqlite_dialect: false,
            time_zone: String::new(),
        }
    }

    fn translate(&mut self, statement: &str) -> Result<Translated, SqlError> {
        let catalog = self.sqlite.catalog().expect("a catalog");
        let context = TranslateContext {
            param_types: &self.params,
            temporary_schema: "pg_temp_1",
            time_zone: &self.time_zone,
            sqlite_dialect: self.sqlite_dialect,
            ..TranslateContext::new(&catalog)
        };
        translate(statement, &context)
    }

    /// Runs a translation in a transaction of its own, as the writer would.
    fn run(&mut self, translated: &Translated) -> Result<Vec<Vec<String>>, SqliteError> {
        let rebuild = matches!(translated.kind, Kind::Ddl { rebuild: true });
        self.sqlite.execute_batch("BEGIN IMMEDIATE")?;
        if rebuild {
            self.sqlite.set_foreign_keys(false)?;
        }
        let result = self.run_statements(translated);
        if rebuild {
            self.sqlite.set_foreign_keys(true)?;
        }
        let end = if result.is_ok() { "COMMIT" } else { "ROLLBACK" };
        if self.sqlite.in_transaction() {
            self.sqlite.execute_batch(end)?;
        }
        result
    }

    fn run_statements(&mut self, translated: &Translated) -> Result<Vec<Vec<String>>, SqliteError> {
        let mut rows = Vec::new();
        let mut kept = Vec::new();
        for statement in &translated.statements {
            rows.clear();
            self.sqlite.set_context(&Frozen {
                // 2024-02-29 12:34:56.789 UTC
                now_us: 1_709_210_096_789_000,
                clock_us: 1_709_210_096_789_000,
                seed: 7,
                ..Frozen::default()
            });
            // A statement that draws beyond a range is run again once there is one.
            for sequence in self.sqlite.catalog()?.sequences.values() {
                self.sqlite
                    .sequence_ranges()
                    .entry(sequence.name.clone())
                    .or_insert((sequence.start, sequence.start + 1000));
            }
            let mut prepared = self.sqlite.prepare(&statement.text)?;
            prepared.bind_all(&kept)?;
            if let Some(at) = statement.keeps {
                let mut texts = Vec::new();
                while prepared.step()? {
                    if let ValueRef::Text(row) = prepared.column(0) {
                        texts.push(row.to_owned());
                    }
                }
                assert_eq!(at, kept.len(), "kept in order, behind no parameters");
                kept.push(Value::Text(serde_json::Value::from(texts).to_string()));
                continue;
            }
            while prepared.step()? {
                let row = (0..prepared.column_count()).map(|at| show(prepared.column(at)));
                rows.push(row.collect());
            }
        }
        Ok(rows)
    }

    /// Everything a script shows of one statement.
    fn describe(&mut self, statement: &str) -> String {
        let mut out = String::new();
        let translated = match self.translate(statement) {
            Ok(translated) => translated,
            Err(error) => return show_error(&error),
        };
        match translated.kind {
            Kind::Read { for_update: false } => {}
            ref kind => out.push_str(&format!("{kind:?}\n")),
        }
        let mut kept = 0;
        for statement in &translated.statements {
            // The catalog's own rows repeat what the statement says.
            if statement.text.contains(" towline_oid ")
                || statement.text.contains("towline_relation")
            {
                kept += 1;
                continue;
            }
            let keeps = statement.keeps.map_or(String::new(), |at| format!("?{} is: ", at + 1));
            out.push_str(&format!("{keeps}{}\n", statement.text));
        }
        if kept > 0 {
            out.push_str(&format!("and {kept} statements on the catalog\n"));
        }
        if !translated.params.is_empty() {
            let params: Vec<String> = translated.params.iter().map(|oid| name(*oid, -1)).collect();
            out.push_str(&format!("parameters: {}\n", params.join(", ")));
        }
        if !translated.columns.is_empty() {
            let columns: Vec<String> = translated
                .columns
                .iter()
                .map(|column| format!("{} {}", column.name, name(column.oid, column.typmod)))
                .collect();
            out.push_str(&format!("columns: {}\n", columns.join(", ")));
        }
        if translated.params.is_empty() && !translated.statements.is_empty() {
            match self.run(&translated) {
                Ok(rows) => {
                    for row in rows {
                        out.push_str(&format!("({})\n", row.join(", ")));
                    }
                }
                Err(error) => match &error.raised {
                    Some(raised) => out.push_str(&show_error(raised)),
                    None => out.push_str(&format!("{:?}: {error}\n", error.kind)),
                },
            }
        }
        out
    }
}

impl goldenscript::Runner for Session {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &Context) -> Result<String, Box<dyn Error>> {
        // `params int4 text`, `zone Europe/Berlin`, `dialect sqlite`: for what follows.
        let arguments: Vec<&str> = command
            .args
            .iter()
            .filter_map(|argument| match argument {
                Argument::Positional(value) => Some(value.as_str()),
                _ => None,
            })
            .collect();
        match (command.name.as_str(), arguments.as_slice()) {
            ("params", names) => {
                self.params = names
                    .iter()
                    .map(|name| towline::pg::types::type_by_name(name).unwrap_or_default())
                    .collect();
                Ok(String::new())
            }
            ("zone", [zone]) => {
                (*zone).clone_into(&mut self.time_zone);
                Ok(String::new())
            }
            ("dialect", [dialect]) => {
                self.sqlite_dialect = *dialect == "sqlite";
                Ok(String::new())
            }
            (statement, _) => Ok(self.describe(statement)),
        }
    }
}

fn name(oid: Oid, typmod: i32) -> String {
    let name = type_info(oid).map_or_else(|| oid.0.to_string(), |info| info.name.to_owned());
    if typmod < 0 { name } else { format!("{name}/{typmod}") }
}

fn show(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(value) => value.to_string(),
        ValueRef::Real(value) => format!("{value:?}"),
        ValueRef::Text(text) => format!("'{text}'"),
        ValueRef::Blob(bytes) => {
            bytes.iter().fold("x".to_owned(), |text, byte| format!("{text}{byte:02x}"))
        }
    }
}

fn show_error(error: &SqlError) -> String {
    let mut out = format!("{}: {}", error.state, error.message);
    if let Some(position) = error.position {
        out.push_str(&format!(" at {position}"));
    }
    for more in [&error.detail, &error.hint].into_iter().flatten() {
        out.push_str(&format!(" [{more}]"));
    }
    out.push('\n');
    out
}

proptest! {
    /// Whatever a client sends, it gets a translation or an error.
    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,200}") {
        let catalog = Catalog::default();
        let _ = split(&text);
        let _ = classify(&text);
        let _ = translate(&text, &TranslateContext::new(&catalog));
    }

    /// Text made of SQL's own pieces gets further into the translator.
    #[test]
    fn shuffled_sql_never_panics(words in prop::collection::vec(prop::sample::select(PIECES), 0..40)) {
        let text = words.join(" ");
        let catalog = Catalog::default();
        let _ = classify(&text);
        if let Ok(statements) = split(&text) {
            for statement in statements {
                let _ = translate(statement, &TranslateContext::new(&catalog));
            }
        }
    }
}

const PIECES: &[&str] = &[
    "select",
    "from",
    "where",
    "group by",
    "order by",
    "limit",
    "with",
    "as",
    "(",
    ")",
    ",",
    "*",
    "1",
    "'a'",
    "$1",
    "null",
    "generate_series(1,3)",
    "unnest('{1}'::int[])",
    "x",
    "x.y",
    "+",
    "-",
    "/",
    "||",
    "::int",
    "::text",
    "case when",
    "then",
    "else",
    "end",
    "and",
    "or",
    "not",
    "in",
    "any",
    "array[1,2]",
    "insert into t",
    "values",
    "update t set",
    "delete from t",
    "returning",
    "union",
    "except",
    "distinct on",
    "count(*)",
    "over",
    "partition by",
    "create table t",
    "int",
    "primary key",
    "alter table t",
    "add column",
    "interval '1 day'",
    "at time zone",
    "extract(year from",
    "between",
    "like",
    "is",
    "exists",
    "lateral",
    "join",
    "left join",
    "using",
    "on",
    "^",
    "~",
    "-2",
    "declare",
    "cursor for",
    "fetch",
    "copy t from stdin",
    "set",
    "=",
    "explain",
    "prepare",
    "E'\\x41'",
    "$$a$$",
    "default",
    "on conflict",
    "do nothing",
    "drop table",
    "if exists",
    ";",
    "\"q\"",
    "pg_class",
];

#[test]
fn deep_and_long_statements_end_in_an_error() {
    let catalog = Catalog::default();
    let deep = [
        format!("select {}1{}", "(".repeat(100_000), ")".repeat(100_000)),
        format!("select {}1", "- ".repeat(100_000)),
        format!("select {}true", "not ".repeat(100_000)),
        format!("select 1{}", " + 1".repeat(1_000_000)),
        format!("select 1{}", "::int".repeat(100_000)),
        format!("select true{}", " and true".repeat(1_000_000)),
        format!("select 1{}", " union select 1".repeat(100_000)),
        format!("{}select 1{}", "select * from (".repeat(20_000), ") x".repeat(20_000)),
        format!("select {}1{}", "case when true then ".repeat(50_000), " end".repeat(50_000)),
        format!("select {}1{}", "array[".repeat(50_000), "]".repeat(50_000)),
        format!("select '{}", "a".repeat(10_000_000)),
    ];
    for text in deep {
        let error = translate(&text, &TranslateContext::new(&catalog)).expect_err(&text[..40]);
        assert!(matches!(error.state.0, "54001" | "42601" | "54000"), "{error}");
    }
    let wide = format!("select {}", vec!["1"; 100_000].join(", "));
    let translated = translate(&wide, &TranslateContext::new(&catalog)).expect("wide is not deep");
    assert_eq!(translated.columns.len(), 100_000);
}

#[test]
fn a_chain_of_conditions_is_written_as_a_balanced_tree() {
    let catalog = Catalog::default();
    let chain = vec!["1 = 1"; 1500].join(" or ");
    let mut session = Session::open();
    let translated =
        translate(&format!("select {chain}"), &TranslateContext::new(&catalog)).expect("a chain");
    assert_eq!(session.run(&translated).expect("runs"), [["1"]]);
}

/// Time for one translation, printed; `scripts/bench` holds it to its bound.
#[test]
fn translation_is_quick() {
    let mut session = Session::open();
    let create =
        "create table accounts (aid int primary key, bid int, abalance int, filler char(84))";
    let translated = session.translate(create).expect("translates");
    session.run(&translated).expect("runs");
    let catalog = session.sqlite.catalog().expect("a catalog");
    let update = "UPDATE accounts SET abalance = abalance + $1 WHERE aid = $2";
    let begin = std::time::Instant::now();
    for _ in 0..1000 {
        translate(update, &TranslateContext::new(&catalog)).expect("translates");
    }
    println!("{:?} a statement", begin.elapsed() / 1000);
}
