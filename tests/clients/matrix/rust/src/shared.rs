//! What both programs share.

use std::path::Path;
use std::process::ExitStatus;

pub type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// The lines of a file beside this crate.
pub fn lines(name: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("it lies in one").join(name);
    let text = std::fs::read_to_string(path).expect("the matrix' files are there");
    text.lines().map(str::to_owned).collect()
}

pub fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

/// (type, literal) of every type.
pub fn types() -> Vec<(String, String)> {
    let pair = |line: &String| line.split_once('\t').map(|(l, r)| (l.to_owned(), r.to_owned()));
    lines("types.tsv").iter().filter_map(pair).collect()
}

pub fn quoted(literal: &str) -> String {
    format!("'{}'", literal.replace('\'', "''"))
}

pub fn expect<T: PartialEq<U> + std::fmt::Debug, U: std::fmt::Debug>(
    found: T,
    wanted: U,
    what: &str,
) -> Outcome {
    if found == wanted {
        Ok(())
    } else {
        Err(format!("{what}: {found:?} instead of {wanted:?}").into())
    }
}

/// What must fail, and with which SQLSTATE.
pub const ERRORS: &[(&str, &str)] = &[
    ("INSERT INTO parent (name) VALUES ('one')", "23505"),
    ("INSERT INTO child (parent, amount) VALUES (99, 1)", "23503"),
    ("INSERT INTO child (parent, amount) VALUES (1, 0)", "23514"),
    ("INSERT INTO parent (name) VALUES (NULL)", "23502"),
    ("SELECT 'x'::integer", "22P02"),
    ("SELECT 1 / 0", "22012"),
    ("SELECT * FROM nowhere", "42P01"),
    ("SELECT nothing FROM parent", "42703"),
    ("SELEC 1", "42601"),
];

/// Has another node become the leader.
pub fn new_leader() -> tokio::task::JoinHandle<std::io::Result<ExitStatus>> {
    let mut change = tokio::process::Command::new("sh");
    change.arg("-c").arg(variable("TOWLINE_TEST_NEW_LEADER"));
    tokio::spawn(async move { change.status().await })
}

/// Tells of a check in a line.
pub fn tell(name: &str, outcome: Result<Outcome, &str>) {
    match outcome {
        Ok(Ok(())) => println!("ok {name}"),
        Err(reason) => println!("none {name}: {reason}"),
        Ok(Err(error)) => {
            let mut told = error.to_string();
            let mut cause = error.source();
            while let Some(error) = cause {
                told.push_str(&format!(": {error}"));
                cause = error.source();
            }
            println!("fails {name}: {}", told.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
}
