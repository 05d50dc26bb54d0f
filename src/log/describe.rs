//! Frames as text for people: SQL with its values, and around it as comments where
//! the frame stands, when its statements ran, and for which client. Nothing reads it
//! back.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::{Entry, FrameSpan, Statement, Value};

/// The frame, as some lines of SQL.
pub fn describe(span: &FrameSpan, entry: &Entry) -> String {
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
            if transaction.database != 0 {
                let _ = write!(text, ", database {}", transaction.database);
            }
            let _ = match transaction.id {
                0 => writeln!(text),
                id => writeln!(text, ", the end of transaction {id}"),
            };
            writeln!(text, "BEGIN;\n{}COMMIT;", statements(&transaction.statements))
        }
        Entry::TransactionPart { id, statements: part, .. } => {
            write!(text, ", a part of transaction {id}\n{}", statements(part))
        }
        Entry::Abort { id } => writeln!(text, ": transaction {id} was rolled back"),
        Entry::Marker { id } => writeln!(text, ": marker {id}"),
        Entry::TermStart(start) => {
            let time = time(start.time_us);
            writeln!(text, ": {} began to lead at {time}", one_line(&start.leader))
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

/// A wall clock's microseconds, as RFC 3339 has them.
pub fn time(us: i64) -> String {
    match Timestamp::from_microsecond(us) {
        Ok(time) => time.to_string(),
        Err(_) => format!("{us} µs"),
    }
}

fn statements(statements: &[Statement]) -> String {
    let mut text = String::new();
    let mut told = None;
    for statement in statements {
        let clock = statement.context.clock_us;
        if told.replace(clock) != Some(clock) {
            let _ = writeln!(text, "-- at {}", time(clock));
        }
        text.push_str(if statement.is_rows { "-- row changes\n" } else { "" });
        text.push_str(&statement.text);
        text.push_str(";\n");
        for (place, value) in statement.params.iter().enumerate() {
            let _ = writeln!(text, "--   ?{} = {}", place + 1, literal(value));
        }
    }
    text
}

/// The value as a SQL literal on one line.
pub fn literal(value: &Value) -> String {
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
    use crate::log::{ClientToken, Context, Lsn, Term, Transaction};

    #[test]
    fn a_transaction_reads_as_sql_with_its_values() {
        let statement = Statement {
            text: "INSERT INTO t VALUES (?1, ?2, ?3)".into(),
            params: vec![
                Value::Integer(7),
                Value::Text("it's\ntwo".to_owned()),
                Value::Blob(vec![1, 255]),
            ],
            context: Context { clock_us: 1_500_000, ..Context::default() },
            is_rows: true,
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
            -- at 1970-01-01T00:00:01.5Z\n\
            -- row changes\n\
            INSERT INTO t VALUES (?1, ?2, ?3);\n\
            --   ?1 = 7\n\
            --   ?2 = 'it''s' || char(10) || 'two'\n\
            --   ?3 = x'01ff'\n\
            COMMIT;\n";
        assert_eq!(describe(&span, &entry), expected);
    }
}
