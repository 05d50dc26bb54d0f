//! COMMENT ON, read word by word: what it may stand on is more than `sqlparser` knows.

use super::nothing;
use super::rows;
use super::{About, routine_in};
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::catalog::PUBLIC;
use crate::sql::scan::{self, Scanner, Token};
use crate::sql::translate::{Translator, names, syntax, translated};
use crate::sql::translated::{Kind, Tag, TranslateContext, Translated};

/// The system catalogs that list what can be commented on.
pub(super) const PG_CLASS: u32 = 1259;
const PG_TYPE: u32 = 1247;
const PG_CONSTRAINT: u32 = 2606;
const PG_NAMESPACE: u32 = 2615;
const PG_PROC: u32 = 1255;

/// What stands behind COMMENT.
pub(in crate::sql::translate) fn comment_on(
    text: &str,
    mut scanner: Scanner<'_>,
    context: &TranslateContext<'_>,
) -> Result<Translated, SqlError> {
    let mut translator = Translator::new(text, context);
    let wrong = |scanner: &Scanner<'_>| {
        let near = scanner.rest().split_whitespace().next().unwrap_or_default();
        syntax::syntax_error(near, Some(text.chars().count() - scanner.rest().chars().count() + 1))
    };
    if !scanner.take_word("on") {
        return Err(wrong(&scanner));
    }
    let kind = match scanner.next() {
        Ok(Some(Token::Word(word))) => word.to_ascii_lowercase(),
        _ => return Err(wrong(&scanner)),
    };
    if kind == "materialized" {
        scanner.take_word("view");
    }
    let mut name = || -> Result<Vec<String>, SqlError> {
        let mut parts = Vec::new();
        loop {
            let token = scanner.next().map_err(|error| error.into_error(text))?;
            parts.push(token.and_then(scan::identifier).ok_or_else(|| wrong(&scanner))?);
            if !scanner.take_symbol(b'.') {
                return Ok(parts);
            }
        }
    };
    let (object, class, number) = match kind.as_str() {
        "table" | "view" | "materialized" | "sequence" | "index" | "foreign" => {
            let (schema, bare) = translator.qualified_parts(name()?)?;
            let stored = translator.find_object(schema.as_deref(), &bare);
            if let Some(stored) = &stored {
                translator.demand_owner_of_stored(stored);
            }
            let oid = stored.and_then(|stored| context.catalog.oid_of_stored(&stored));
            (oid.ok_or_else(|| no_relation(&bare))?, PG_CLASS, 0)
        }
        "column" => {
            let mut parts = name()?;
            let column = parts.pop().unwrap_or_default();
            let (schema, bare) = translator.qualified_parts(parts)?;
            let relation = translator
                .find_relation(schema.as_deref(), &bare)
                .ok_or_else(|| no_relation(&bare))?;
            translator.demand_owner_of(relation);
            let number = relation.number(&column).ok_or_else(|| {
                crate::sql::translate::returning::undefined_column(relation, &column)
            })?;
            (relation.oid, PG_CLASS, number)
        }
        "constraint" => {
            let constraint = name()?.pop().unwrap_or_default();
            if !scanner.take_word("on") {
                return Err(wrong(&scanner));
            }
            scanner.take_word("domain");
            let mut parts = Vec::new();
            while let Ok(Some(token)) = scanner.next() {
                parts.push(scan::identifier(token).ok_or_else(|| wrong(&scanner))?);
                if !scanner.take_symbol(b'.') {
                    break;
                }
            }
            let (schema, bare) = translator.qualified_parts(parts)?;
            let relation = translator
                .find_relation(schema.as_deref(), &bare)
                .ok_or_else(|| no_relation(&bare))?;
            translator.demand_owner_of(relation);
            let found = relation.constraints.iter().find(|known| known.name == constraint);
            let found = found.ok_or_else(|| {
                SqlError::new(
                    SqlState::UNDEFINED_OBJECT,
                    format!("constraint \"{constraint}\" for table \"{bare}\" does not exist"),
                )
            })?;
            (found.oid, PG_CONSTRAINT, 0)
        }
        "schema" => {
            let schema = name()?.pop().unwrap_or_default();
            translator.check_schema(&schema)?;
            translator.demand_owner_of_schema(&schema);
            let oid = u32::try_from(context.catalog.schema_oid(&schema)).unwrap_or(0);
            let public = schema == PUBLIC;
            let key = if public { context.catalog.key_of_public() } else { Oid(oid) };
            (key, PG_NAMESPACE, 0)
        }
        "type" | "domain" => {
            let (schema, bare) = translator.qualified_parts(name()?)?;
            let found = context
                .catalog
                .find_stored(schema.as_deref(), &bare, &translator.path(), |stored| {
                    context.catalog.types.contains_key(stored)
                })
                .and_then(|stored| context.catalog.types.get(&stored));
            let found = found.ok_or_else(|| super::drop::undefined("type", &bare))?;
            translator.demand_owner_of_type(found);
            (found.oid, PG_TYPE, 0)
        }
        "function" | "procedure" | "routine" => {
            let about = About::of_word(&kind).unwrap_or(About::Routine);
            let (found, rest) = routine_in(&mut translator, about, scanner.rest())?;
            translator.demand_owner_of_routine(found);
            scanner = Scanner::new(rest);
            (found.oid, PG_PROC, 0)
        }
        // Databases, roles: there is nothing that would show it.
        _ => return Ok(nothing("COMMENT")),
    };
    if !scanner.take_word("is") {
        return Err(wrong(&scanner));
    }
    let comment = match scanner.next() {
        Ok(Some(Token::Literal(literal))) => scan::literal(literal),
        Ok(Some(Token::Word(word))) if word.eq_ignore_ascii_case("null") => None,
        _ => return Err(wrong(&scanner)),
    };
    let (object, comment) = (object.0, comment.filter(|comment| !comment.is_empty()));
    let mut statements = vec![format!(
        "DELETE FROM towline_comment WHERE object = {object} AND class = {class} AND number = {number}"
    )];
    statements.extend(comment.map(|comment| {
        format!(
            "INSERT INTO towline_comment (object, class, number, text) VALUES ({object}, {class}, \
             {number}, {})",
            names::quote_literal(&comment)
        )
    }));
    statements.extend(rows::touch());
    let kind = Kind::Ddl { rebuild: false };
    Ok(translator.demanding(translated(kind, Tag::Fixed("COMMENT"), Vec::new(), statements)))
}

fn no_relation(name: &str) -> SqlError {
    SqlError::new(SqlState::UNDEFINED_TABLE, format!("relation \"{name}\" does not exist"))
}
