//! What a statement costs before it runs: prints microseconds a statement, new and
//! seen before. `cargo bench --bench translate`.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use towline::sql::catalog::Catalog;
use towline::sql::{self, TranslateContext};
use towline::storage::sqlite::{ConnectionKind, Sqlite};

/// pgbench's, with values in the text.
const STATEMENTS: &[&str] = &[
    "SELECT abalance FROM pgbench_accounts WHERE aid = 123456;",
    "UPDATE pgbench_accounts SET abalance = abalance + -4321 WHERE aid = 123456;",
    "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (17, 2, 123456, -4321, CURRENT_TIMESTAMP);",
];

const TABLES: &[&str] = &[
    "CREATE TABLE pgbench_accounts (aid INTEGER PRIMARY KEY, bid INTEGER, abalance INTEGER, filler TEXT)",
    "CREATE TABLE pgbench_history (tid INTEGER, bid INTEGER, aid INTEGER, delta INTEGER, mtime TEXT, filler TEXT)",
];

const ROUNDS: u32 = 20_000;

fn main() {
    let catalog = catalog();
    for text in STATEMENTS {
        println!("{text}");
        report("new: split, translate", || {
            let statements = sql::split(black_box(text)).expect("it splits");
            let context = TranslateContext::new(&catalog);
            black_box(sql::translate(statements[0], &context).expect("it translates"));
        });
        report("seen: split, shape", || {
            let statements = sql::split(black_box(text)).expect("it splits");
            black_box(sql::shape(statements[0]).expect("it has a shape"));
        });
        report("routing: classify", || {
            black_box(sql::classify(black_box(text)));
        });
    }
}

/// The catalog of a database with pgbench's tables.
fn catalog() -> Arc<Catalog> {
    let memory = std::path::Path::new(":memory:");
    let mut sqlite = Sqlite::open(memory, ConnectionKind::Writer).expect("a database in memory");
    for table in TABLES {
        sqlite.execute_batch(table).expect("a table");
    }
    sqlite.catalog().expect("a catalog")
}

/// Prints the median of a few runs.
fn report(what: &str, mut run: impl FnMut()) {
    let mut times: Vec<f64> = (0..7)
        .map(|_| {
            let begin = Instant::now();
            for _ in 0..ROUNDS {
                run();
            }
            begin.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS)
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!("  {what:<24} {:8.2} µs", times[times.len() / 2]);
}
