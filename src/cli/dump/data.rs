//! A table's rows as INSERTs that both databases read.

use std::io::Write;
use std::pin::pin;

use anyhow::Context;
use futures_util::TryStreamExt as _;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::schema::{Identity, Relation};
use super::script::{Marks, Script};
use super::table::{Filled, Kind};
use crate::sql::portable::quoted;

/// An INSERT is ended by the row that makes it longer.
const STATEMENT_BYTES: usize = 64 * 1024;

/// Writes the rows as they come.
pub(super) async fn write<W: Write>(
    client: &Client,
    script: &mut Script<W>,
    marks: Marks,
    table: &Relation,
    columns: &[Filled<'_>],
) -> anyhow::Result<()> {
    let names: Vec<String> = columns.iter().map(|it| quoted(&it.column.name)).collect();
    let name = table.name.postgresql();
    let query = format!("SELECT {} FROM ONLY {name}", names.join(", "));
    let head = head(marks, table, columns);
    let mut stream = pin!(client.simple_query_raw(&query).await.context(name.clone())?);
    let mut statement = String::new();
    while let Some(message) = stream.try_next().await.context(name.clone())? {
        let SimpleQueryMessage::Row(row) = message else { continue };
        statement.push_str(if statement.is_empty() { &head } else { ",\n" });
        statement.push('(');
        let mut first = true;
        for (at, column) in columns.iter().enumerate() {
            let value = literal(column.kind, row.get(at));
            item(&mut statement, marks, column.sqlite_only, &value, &mut first);
        }
        statement.push(')');
        if statement.len() >= STATEMENT_BYTES {
            statement.push_str(";\n");
            script.part(&statement)?;
            statement.clear();
        }
    }
    if !statement.is_empty() {
        statement.push_str(";\n");
        script.part(&statement)?;
    }
    Ok(())
}

/// Up to and with VALUES.
fn head(marks: Marks, table: &Relation, columns: &[Filled<'_>]) -> String {
    let mut names = String::new();
    let mut first = true;
    for column in columns {
        let name = Literal::same(quoted(&column.column.name));
        item(&mut names, marks, column.sqlite_only, &name, &mut first);
    }
    let always = columns.iter().any(|it| it.column.identity == Some(Identity::Always));
    let overriding =
        if always { marks.either(" OVERRIDING SYSTEM VALUE", "") } else { String::new() };
    let name = marks.either(&table.name.postgresql(), &table.name.sqlite());
    format!("INSERT INTO {name} ({names}){overriding} VALUES\n")
}

/// A value as each reads it.
struct Literal {
    postgresql: String,
    sqlite: String,
}

impl Literal {
    fn same(text: String) -> Self {
        Self { sqlite: text.clone(), postgresql: text }
    }
}

/// Appends an item of a list, which SQLite alone may have.
fn item(list: &mut String, marks: Marks, sqlite_only: bool, value: &Literal, first: &mut bool) {
    let comma = if std::mem::take(first) { "" } else { ", " };
    if sqlite_only {
        // A string may hold what would end PostgreSQL's comment around it.
        let value = value.sqlite.replace("*/", "*' || '/").replace("/*", "/' || '*");
        list.push_str(&marks.either("", &format!("{comma}{value}")));
    } else {
        list.push_str(comma);
        list.push_str(&marks.either(&value.postgresql, &value.sqlite));
    }
}

fn literal(kind: Kind, value: Option<&str>) -> Literal {
    let Some(value) = value else { return Literal::same("NULL".into()) };
    let quoted = |value: &str| format!("'{}'", value.replace('\'', "''"));
    let text = match kind {
        Kind::Boolean => (if value == "t" { "true" } else { "false" }).to_owned(),
        Kind::Number if value.ends_with("Infinity") => {
            let sign = if value.starts_with('-') { "-" } else { "" };
            return Literal { postgresql: quoted(value), sqlite: format!("{sign}9e999") };
        }
        Kind::Number if value == "NaN" => quoted(value),
        Kind::Number => value.to_owned(),
        Kind::Bytes => {
            let hex = value.trim_start_matches("\\x");
            return Literal { postgresql: quoted(value), sqlite: format!("X'{hex}'") };
        }
        // SQLite's date functions read the offset only so.
        Kind::Moment if value.ends_with("+00") => quoted(&format!("{value}:00")),
        Kind::Moment | Kind::Text => quoted(value),
    };
    Literal::same(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: Marks = Marks { only: None };

    fn written(kind: Kind, value: Option<&str>) -> String {
        let literal = literal(kind, value);
        BOTH.either(&literal.postgresql, &literal.sqlite)
    }

    #[test]
    fn a_value_is_written_as_both_read_it() {
        assert_eq!(written(Kind::Text, None), "NULL");
        assert_eq!(written(Kind::Text, Some("it's\n\\")), "'it''s\n\\'");
        assert_eq!(written(Kind::Boolean, Some("f")), "false");
        assert_eq!(written(Kind::Number, Some("-0.5")), "-0.5");
        assert_eq!(written(Kind::Number, Some("NaN")), "'NaN'");
        assert_eq!(written(Kind::Number, Some("-Infinity")), "/*/**/-9e999--*/'-Infinity'\n");
        assert_eq!(written(Kind::Bytes, Some("\\x00ff")), "/*/**/X'00ff'--*/'\\x00ff'\n");
        assert_eq!(written(Kind::Bytes, Some("\\x")), "/*/**/X''--*/'\\x'\n");
        let moment = "2024-01-01 00:00:00+00";
        assert_eq!(written(Kind::Moment, Some(moment)), format!("'{moment}:00'"));
        assert_eq!(written(Kind::Moment, Some("infinity")), "'infinity'");
    }

    #[test]
    fn what_sqlite_alone_is_given_does_not_end_the_comment() {
        let mut list = String::new();
        item(&mut list, BOTH, true, &literal(Kind::Text, Some("/*/")), &mut true);
        assert_eq!(list, "/*/**/'/' || '*' || '/'--*/\n");
    }
}
