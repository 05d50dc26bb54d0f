//! CREATE DATABASE, DROP DATABASE and ALTER DATABASE. What they do depends on who is
//! connected, so the node carries them out; here their texts are read, and said what
//! changes in the file.

use super::ddl::nothing;
use super::utility::Words;
use super::{names, translated};
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::catalog::{
    Catalog, ConstraintKind, EMPTY_TEMPLATES, ObjectKind, RESERVED_PREFIX, RelationKind,
    database_pattern,
};
use crate::sql::scan::Token;
use crate::sql::translated::{DatabaseChange, Kind, Tag, Translated};

/// CREATE DATABASE, behind those words.
pub(super) fn create(words: &mut Words<'_>) -> Result<Translated, SqlError> {
    let name = words.name()?;
    if name.is_empty() {
        return Err(SqlError::new(SqlState::SYNTAX_ERROR, "zero-length delimited identifier"));
    }
    if name.starts_with(RESERVED_PREFIX) {
        return Err(SqlError::new(SqlState("42939"), format!("unacceptable name \"{name}\""))
            .with_detail("Names that begin with \"towline_\" are reserved."));
    }
    let name = super::ddl::shortened(&name);
    words.take("with");
    options(words)?;
    words.done(Kind::Database(DatabaseChange::Create { name }), "CREATE DATABASE")
}

/// The options of CREATE DATABASE to the end. Those that say how texts are kept must say
/// what is so; those of rights and places have nothing to change.
fn options(words: &mut Words<'_>) -> Result<(), SqlError> {
    while words.more() {
        let option = words.name()?;
        if option == "connection" {
            words.expect("limit")?;
        }
        words.take_symbol(b'=');
        let value = words.option_value()?;
        match option.as_str() {
            "template" => {
                let empty = EMPTY_TEMPLATES.iter().any(|(name, _)| *name == value);
                if !empty && value != "default" {
                    return Err(SqlError::unsupported(format_args!(
                        "CREATE DATABASE with a TEMPLATE other than template0 and template1 \
                         (\"{value}\")"
                    )));
                }
            }
            "encoding" => {
                let plain: String = value.chars().filter(char::is_ascii_alphanumeric).collect();
                let plain = plain.to_ascii_lowercase();
                if !matches!(plain.as_str(), "utf8" | "unicode" | "default" | "6") {
                    return Err(SqlError::unsupported(format_args!(
                        "a database with the encoding \"{value}\""
                    )));
                }
            }
            "owner" | "strategy" | "locale" | "lc_collate" | "lc_ctype" | "icu_locale"
            | "locale_provider" | "collation_version" | "tablespace" | "allow_connections"
            | "connection" | "is_template" | "oid" => {}
            other => {
                return Err(SqlError::new(
                    SqlState::SYNTAX_ERROR,
                    format!("option \"{other}\" not recognized"),
                ));
            }
        }
    }
    Ok(())
}

/// DROP DATABASE, behind those words.
pub(super) fn drop(words: &mut Words<'_>) -> Result<Translated, SqlError> {
    let if_exists = words.take("if");
    if if_exists {
        words.expect("exists")?;
    }
    let name = words.name()?;
    let mut force = false;
    if words.take("with") || words.more() {
        if !words.take_symbol(b'(') {
            return Err(words.syntax_error());
        }
        words.expect("force")?;
        if !words.take_symbol(b')') {
            return Err(words.syntax_error());
        }
        force = true;
    }
    words.done(Kind::Database(DatabaseChange::Drop { name, if_exists, force }), "DROP DATABASE")
}

/// ALTER DATABASE, behind those words.
pub(super) fn alter(words: &mut Words<'_>) -> Result<Translated, SqlError> {
    let from = words.name()?;
    if words.take("rename") {
        words.expect("to")?;
        let to = super::ddl::shortened(&words.name()?);
        let change = DatabaseChange::Rename { from, to };
        return words.done(Kind::Database(change), "ALTER DATABASE");
    }
    if words.take("owner") {
        words.expect("to")?;
        let to = super::role::role_name(words)?;
        let change = DatabaseChange::Own { name: from, to };
        return words.done(Kind::Database(change), "ALTER DATABASE");
    }
    if words.take("refresh") {
        words.expect("collation")?;
        words.expect("version")?;
        return words.done(Kind::Nothing, "ALTER DATABASE");
    }
    let mut ahead = words.scanner;
    if ["set", "reset"].iter().any(|word| ahead.take_word(word)) {
        return super::role::configure_database(from, words);
    }
    words.take("with");
    options(words)?;
    Ok(nothing("ALTER DATABASE"))
}

/// What makes a database.
pub fn create_database(name: &str, owner: Oid) -> Translated {
    let name = names::quote_literal(name);
    let class = ObjectKind::Database.class();
    change(
        "CREATE DATABASE",
        false,
        vec![
            format!(
                "INSERT INTO towline_access (class, object, owner) SELECT {class}, next, {} FROM \
                 towline_oid",
                owner.0
            ),
            format!(
                "INSERT INTO towline_database (oid, name) SELECT next, {name} FROM towline_oid"
            ),
            "UPDATE towline_oid SET next = next + 1".to_owned(),
        ],
    )
}

/// What gives the database with this number another name.
pub fn rename_database(database: u32, name: &str) -> Translated {
    let name = names::quote_literal(name);
    let text = format!("UPDATE towline_database SET name = {name} WHERE oid = {database}");
    change("ALTER DATABASE", false, vec![text])
}

/// What drops the database that `catalog` is of, which is none that is always there.
pub fn drop_database(catalog: &Catalog) -> Translated {
    let mut statements = Vec::new();
    let relations = || catalog.relations.values();
    for view in relations().filter(|relation| relation.kind == RelationKind::View) {
        statements.push(format!("DROP VIEW {}", names::quote(&view.name)));
    }
    for table in relations().filter(|relation| relation.kind != RelationKind::View) {
        statements.push(format!("DROP TABLE {}", names::quote(&table.name)));
    }
    let number = catalog.database;
    let here = format!("name GLOB {}", names::quote_literal(&database_pattern(number)));
    let relation = format!("relation IN (SELECT oid FROM towline_relation WHERE {here})");
    let named = ["relation", "sequence", "type", "routine", "schema"];
    let mut objects =
        named.map(|table| format!("SELECT oid FROM towline_{table} WHERE {here}")).to_vec();
    for table in ["constraint", "index"] {
        objects.push(format!("SELECT oid FROM towline_{table} WHERE {relation}"));
    }
    // The comment on `public` is kept under the database's own number.
    objects.push(format!("SELECT {number}"));
    statements.push(format!(
        "DELETE FROM towline_comment WHERE object IN ({})",
        objects.join(" UNION ALL ")
    ));
    statements.push(format!(
        "DELETE FROM towline_access WHERE object IN ({})",
        objects.join(" UNION ALL ")
    ));
    statements.push(format!("DELETE FROM towline_column_access WHERE {relation}"));
    statements.push(format!("DELETE FROM towline_default_access WHERE database = {number}"));
    for table in ["attribute", "constraint", "index"] {
        statements.push(format!("DELETE FROM towline_{table} WHERE {relation}"));
    }
    for table in named {
        statements.push(format!("DELETE FROM towline_{table} WHERE {here}"));
    }
    let objects = format!("SELECT oid FROM towline_large_object WHERE database = {number}");
    statements.push(format!("DELETE FROM towline_large_object_page WHERE oid IN ({objects})"));
    statements.push(format!("DELETE FROM towline_large_object WHERE database = {number}"));
    statements.push(format!("DELETE FROM towline_database WHERE oid = {number}"));
    // Tables that refer to each other go in any order.
    let refers = relations().flat_map(|relation| &relation.constraints);
    let refers = refers.into_iter().any(|c| matches!(c.kind, ConstraintKind::ForeignKey { .. }));
    change("DROP DATABASE", refers, statements)
}

fn change(tag: &'static str, rebuild: bool, mut statements: Vec<String>) -> Translated {
    statements.extend(super::ddl::touch());
    translated(Kind::Ddl { rebuild }, Tag::Fixed(tag), Vec::new(), statements)
}

impl Words<'_> {
    /// Whether something is left.
    fn more(&self) -> bool {
        self.scanner.peek().is_some()
    }

    fn take_symbol(&mut self, symbol: u8) -> bool {
        self.scanner.take_symbol(symbol)
    }

    /// A name, a string or a number, as text.
    fn option_value(&mut self) -> Result<String, SqlError> {
        let error = self.syntax_error();
        let negative = self.take_symbol(b'-');
        match self.next()? {
            Token::Literal(literal) => crate::sql::scan::literal(literal).ok_or(error),
            Token::Number(digits) => Ok(format!("{}{digits}", if negative { "-" } else { "" })),
            token => crate::sql::scan::identifier(token).ok_or(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{TranslateContext, translate};

    fn read(text: &str) -> Result<DatabaseChange, SqlError> {
        match translate(text, &TranslateContext::new(&Catalog::default()))?.kind {
            Kind::Database(change) => Ok(change),
            other => panic!("{text} is {other:?}"),
        }
    }

    #[test]
    fn what_tools_send_is_read() {
        let create = |name: &str| Ok(DatabaseChange::Create { name: name.to_owned() });
        for (text, name) in [
            ("CREATE DATABASE x", "x"),
            ("create database \"Test_X\" ", "Test_X"),
            ("CREATE DATABASE \"x\" ENCODING = 'unicode'", "x"),
            ("CREATE DATABASE x WITH OWNER ann ENCODING 'UTF8' TEMPLATE template0", "x"),
            ("CREATE DATABASE x TEMPLATE \"template1\" LC_COLLATE 'C' CONNECTION LIMIT -1", "x"),
            (
                "CREATE DATABASE x WITH TEMPLATE = template0 ENCODING = 'UTF8' \
                 LOCALE_PROVIDER = libc LOCALE = 'C.UTF-8'",
                "x",
            ),
        ] {
            assert_eq!(read(text).map_err(|error| error.message), create(name), "{text}");
        }
        let drop =
            |if_exists, force| DatabaseChange::Drop { name: "x".to_owned(), if_exists, force };
        for (text, change) in [
            ("DROP DATABASE x", drop(false, false)),
            ("DROP DATABASE IF EXISTS \"x\"", drop(true, false)),
            ("drop database x with (force)", drop(false, true)),
            ("DROP DATABASE IF EXISTS x (FORCE)", drop(true, true)),
        ] {
            assert_eq!(read(text).map_err(|error| error.message), Ok(change), "{text}");
        }
        let rename = DatabaseChange::Rename { from: "x".to_owned(), to: "y".to_owned() };
        assert_eq!(read("ALTER DATABASE x RENAME TO y").map_err(|e| e.message), Ok(rename));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (text, state) in [
            ("CREATE DATABASE", "42601"),
            ("CREATE DATABASE x y", "42601"),
            ("CREATE DATABASE x COLOUR red", "42601"),
            ("CREATE DATABASE x TEMPLATE y", "0A000"),
            ("CREATE DATABASE x ENCODING 'LATIN1'", "0A000"),
            ("CREATE DATABASE towline_x", "42939"),
            ("DROP DATABASE x WITH (SPEED)", "42601"),
            ("DROP DATABASE x CASCADE", "42601"),
        ] {
            assert_eq!(read(text).expect_err(text).state.0, state, "{text}");
        }
    }
}
