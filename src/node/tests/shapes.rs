//! Values in a statement's text mean the same whether they stay there or not.

use super::TestNode;
use crate::storage::sqlite::{ConnectionKind, Sqlite, query};

/// Types of columns with literals for them.
const COLUMNS: &[(&str, &[&str])] = &[
    ("int", &["5", "-5", "'7'", "' 8 '"]),
    ("smallint", &["5", "'7'"]),
    ("bigint", &["5", "2147483648", "-9000000000", "'7'"]),
    ("numeric", &["5", "-5", "'7.50'", "'7'"]),
    ("numeric(6, 2)", &["5", "'7.5'"]),
    ("real", &["5", "'7.5'"]),
    ("double precision", &["5", "-5", "'7.5'"]),
    ("text", &["'x'", "'it''s'", "''"]),
    ("varchar(10)", &["'x'"]),
    ("char(4)", &["'x'"]),
    ("boolean", &["'t'", "'off'"]),
    ("date", &["'2024-02-29'"]),
    ("timestamp", &["'2024-02-29 10:00'"]),
    ("timestamptz", &["'2024-02-29 10:00+02'"]),
    ("time", &["'10:00'"]),
    ("interval", &["'1 day'"]),
    ("uuid", &["'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'"]),
    ("bytea", &["'\\x6162'"]),
    ("json", &["'{\"a\": 1}'"]),
    ("jsonb", &["'{\"b\": 1, \"a\": [1, 2]}'"]),
    ("int[]", &["'{1,2}'"]),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_is_stored_and_found_as_if_it_stood_in_the_text() {
    let node = TestNode::leading().await;
    let mut client = node.client();
    for (number, (column, literals)) in COLUMNS.iter().enumerate() {
        let table = format!("t{number}");
        client.query(&format!("create table {table} (way text, n int, a {column})")).await;
        for (n, literal) in literals.iter().enumerate() {
            // In parentheses a literal is left where it is.
            for (way, value) in [("taken", (*literal).to_owned()), ("left", format!("({literal})"))]
            {
                let insert = format!("insert into {table} values (('{way}'), ({n}), {value})");
                assert_eq!(
                    client.query(&insert).await,
                    "done INSERT 0 1\nready, idle\n",
                    "{insert}"
                );
            }
            if matches!(*column, "json" | "char(4)") {
                continue;
            }
            let mut found = Vec::new();
            for value in [(*literal).to_owned(), format!("({literal})")] {
                let select =
                    format!("select way, n, a from {table} where a = {value} order by 1, 2");
                let said = client.query(&select).await;
                assert!(!said.contains("error"), "{select}: {said}");
                found.push(said);
            }
            assert_eq!(found[0], found[1], "{column} {literal}");
        }
        let mut sqlite = Sqlite::open(&node.database(), ConnectionKind::Reader).expect("it opens");
        let differing = query(
            &mut sqlite,
            &format!(
                "SELECT t.n FROM {table} t JOIN {table} l ON t.n = l.n
                 WHERE t.way = 'taken' AND l.way = 'left'
                   AND (typeof(t.a) <> typeof(l.a) OR quote(t.a) <> quote(l.a))"
            ),
            &[],
        );
        assert_eq!(differing.expect("rows"), Vec::<Vec<_>>::new(), "{column}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_value_is_told_as_ever() {
    let node = TestNode::leading().await;
    let mut client = node.client();
    client.query("create table t (a int, b text)").await;
    for statement in [
        "insert into t values ('x', 'y')",
        "insert into t values (2147483648, 'y')",
        "select * from t where a = 'x'",
        "select * from t where b = 5",
        "update t set a = 'x' where b = 'y'",
        "select * from nowhere where a = 5",
    ] {
        // Parentheses move what follows them, not what they are around.
        let plain = statement
            .replace("('x', 'y')", "(('x'), ('y'))")
            .replace("(2147483648, 'y')", "((2147483648), ('y'))")
            .replace("= 'x'", "= ('x')")
            .replace("= 5", "= (5)")
            .replace("= 'y'", "= ('y')");
        assert_ne!(plain, statement);
        let state = |said: &str| said.split(':').next().unwrap_or_default().to_owned();
        let (taken, left) = (client.query(statement).await, client.query(&plain).await);
        assert_eq!(state(&taken), state(&left), "{statement}: {taken} {left}");
        assert!(taken.contains("error"), "{taken}");
    }
}
