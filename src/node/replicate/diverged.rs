//! What is cut off the log is first written down for people: a file of SQL with the
//! values as comments, one transaction after the other. Nothing reads it back.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use super::{Replication, StreamError};
use crate::log::{Entry, FrameSpan, Lsn, Statement, Value};

impl Replication {
    /// Saves the log from `at` to its end below `diverged/`, durably. The same tail
    /// saved twice is the same file.
    pub(super) fn save_diverged(&self, at: Lsn) -> Result<(), StreamError> {
        let end = self.reader.end();
        let dir = self.data.join("diverged");
        let path = dir.join(format!("term-{}-{:016x}-{:016x}.sql", end.term, at.0, end.lsn.0));
        let io = |source| StreamError::File { path: path.clone(), source };
        fs::create_dir_all(&dir).map_err(io)?;
        let mut out = BufWriter::new(File::create(&path).map_err(io)?);
        let head = format!(
            "-- Frames that {} held and that are not in the log of the cluster: from {at} to {}.\n\
             -- They were not acknowledged under the sync policy. Parameters are in the comments.\n",
            self.hub.me, end.lsn
        );
        out.write_all(head.as_bytes()).map_err(io)?;
        let reader = self.reader.clone();
        let mut from = at;
        while let Some((span, entry)) = reader.entry(from)? {
            out.write_all(describe(&span, &entry).as_bytes()).map_err(io)?;
            from = span.end;
        }
        let file = out.into_inner().map_err(|error| io(error.into_error()))?;
        file.sync_all().map_err(io)?;
        sync_dir(&dir)?;
        sync_dir(&self.data)?;
        tracing::warn!(file = %path.display(), rule = "23", "saved the log's diverged end");
        Ok(())
    }
}

pub(super) fn sync_dir(dir: &Path) -> Result<(), StreamError> {
    let io = |source| StreamError::File { path: PathBuf::from(dir), source };
    File::open(dir).and_then(|file| file.sync_all()).map_err(io)
}

fn describe(span: &FrameSpan, entry: &Entry) -> String {
    let mut text = format!("\n-- frame {} to {} of term {}", span.start, span.end, span.term);
    // Writing to a String can't fail.
    let _ = match entry {
        Entry::Transaction(transaction) => {
            if let Some(token) = &transaction.token {
                let _ = write!(text, ", client token {:032x}/{}", token.session, token.sequence);
            }
            if let Some(outcome) = &transaction.outcome {
                let _ = write!(text, ", outcome {}", one_line(&outcome.tag));
            }
            let _ = match transaction.id {
                0 => writeln!(text),
                id => writeln!(text, ", the end of transaction {id}"),
            };
            writeln!(text, "BEGIN;\n{}COMMIT;", statements(&transaction.statements))
        }
        Entry::TransactionPart { id, statements: part } => {
            write!(text, ", a part of transaction {id}\n{}", statements(part))
        }
        Entry::Abort { id } => writeln!(text, ": transaction {id} was rolled back"),
        Entry::TermStart(start) => {
            writeln!(text, ": {} began to lead", one_line(&start.leader))
        }
        Entry::Configuration(json) => {
            writeln!(text, ": configuration {}", one_line(&String::from_utf8_lossy(json)))
        }
        Entry::SequenceReservation { name, last, .. } => {
            writeln!(text, ": sequence {} reserved up to {last}", one_line(name))
        }
    };
    text
}

fn statements(statements: &[Statement]) -> String {
    let mut text = String::new();
    for statement in statements {
        text.push_str(&statement.text);
        text.push_str(";\n");
        for (place, value) in statement.params.iter().enumerate() {
            let _ = writeln!(text, "--   ?{} = {}", place + 1, literal(value));
        }
    }
    text
}

/// The value as a SQL literal on one line.
fn literal(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Integer(value) => value.to_string(),
        Value::Real(value) => format!("{value:?}"),
        Value::Text(value) => {
            let quoted = format!("'{}'", value.replace('\'', "''"));
            let breaks = [('\n', "10"), ('\r', "13")];
            breaks.iter().fold(quoted, |text, (from, code)| {
                text.replace(*from, &format!("' || char({code}) || '"))
            })
        }
        Value::Blob(value) => {
            let mut text = "x'".to_owned();
            for byte in value {
                let _ = write!(text, "{byte:02x}");
            }
            text.push('\'');
            text
        }
    }
}

fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{ClientToken, Context, Term, Transaction};

    #[test]
    fn a_transaction_reads_as_sql_with_its_values() {
        let statement = Statement {
            text: "INSERT INTO t VALUES (?1, ?2, ?3)".into(),
            params: vec![
                Value::Integer(7),
                Value::Text("it's\ntwo".to_owned()),
                Value::Blob(vec![1, 255]),
            ],
            context: Context::default(),
        };
        let entry = Entry::Transaction(Transaction {
            id: 0,
            database: 0,
            functions: 1,
            token: Some(ClientToken { session: 0xab, sequence: 3 }),
            outcome: None,
            statements: vec![statement],
            effect: 0,
        });
        let span = FrameSpan { term: Term(2), start: Lsn(256), end: Lsn(300) };
        let expected = "\n-- frame 0/100 to 0/12C of term 2, client token \
            000000000000000000000000000000ab/3\n\
            BEGIN;\n\
            INSERT INTO t VALUES (?1, ?2, ?3);\n\
            --   ?1 = 7\n\
            --   ?2 = 'it''s' || char(10) || 'two'\n\
            --   ?3 = x'01ff'\n\
            COMMIT;\n";
        assert_eq!(describe(&span, &entry), expected);
    }
}
