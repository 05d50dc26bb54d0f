//! ALTER DOMAIN. The tables with columns of the domain carry what it asks of them, so they
//! are rebuilt from its new description.

use super::rows;
use crate::pg::{SqlError, SqlState};
use crate::sql::catalog::{Catalog, Relation, RelationKind, UserType, UserTypeKind};
use crate::sql::scan::Scanner;
use crate::sql::translate::utility::Words;
use crate::sql::translate::{Translator, names, syntax, translated};
use crate::sql::translated::{Kind, Tag, TranslateContext, Translated};

/// What stands behind ALTER DOMAIN.
pub(in crate::sql::translate) fn alter_domain(
    text: &str,
    scanner: Scanner<'_>,
    context: &TranslateContext<'_>,
) -> Result<Translated, SqlError> {
    let mut words = Words { text, scanner };
    let mut translator = Translator::new(text, context);
    let old = find(&translator, words.dotted_name()?)?;
    translator.demand_owner_of_type(old);
    let bare = context.catalog.bare(&old.name).to_owned();
    let mut new = old.clone();
    let held = Alteration { bare: &bare, domain: &mut new, translator: &mut translator }
        .read(&mut words)?;
    if words.scanner.peek().is_some() {
        return Err(words.syntax_error());
    }
    let mut catalog = context.catalog.clone();
    catalog.types.remove(&old.name);
    catalog.types.insert(new.name.clone(), new.clone());
    let changed = TranslateContext { catalog: &catalog, ..*context };
    // A place in the condition is none in the statement.
    let unplaced = |error| SqlError { position: None, ..error };
    let rebuilt = rebuilt(text, &changed, old).map_err(unplaced)?;
    let mut statements = held.check(&mut Translator::new(text, &changed), old).map_err(unplaced)?;
    let rebuild = !rebuilt.is_empty();
    statements.push(described(old, &new));
    statements.extend(rebuilt);
    statements.extend(rows::touch());
    let mut altered =
        translated(Kind::Ddl { rebuild }, Tag::Fixed("ALTER DOMAIN"), Vec::new(), statements);
    altered.notices = std::mem::take(&mut translator.notices);
    Ok(translator.demanding(altered))
}

fn find<'c>(translator: &Translator<'c>, parts: Vec<String>) -> Result<&'c UserType, SqlError> {
    let (schema, name) = translator.qualified_parts(parts)?;
    let catalog = translator.context.catalog;
    let found = catalog.find_stored(schema.as_deref(), &name, &translator.path(), |stored| {
        catalog.types.contains_key(stored)
    });
    let Some(kind) = found.and_then(|stored| catalog.types.get(&stored)) else {
        return match crate::sql::catalog::parse_type(&name) {
            Some((oid, _)) => Err(not_a_domain(&translator.type_name(oid))),
            None => Err(super::drop::undefined("type", &name)),
        };
    };
    match kind.kind {
        UserTypeKind::Domain { .. } => Ok(kind),
        _ => Err(not_a_domain(&name)),
    }
}

fn not_a_domain(name: &str) -> SqlError {
    SqlError::new(SqlState::WRONG_OBJECT_TYPE, format!("{name} is not a domain"))
}

/// What rows must hold before the change.
enum Held {
    Nothing,
    NotNull,
    /// A new check.
    Check(String),
}

impl Held {
    /// Statements that fail where a column of the domain does not hold it.
    fn check(
        &self,
        translator: &mut Translator<'_>,
        domain: &UserType,
    ) -> Result<Vec<String>, SqlError> {
        let catalog = translator.context.catalog;
        let mut statements = Vec::new();
        for relation in users(catalog, domain) {
            for attribute in relation.attributes.iter().filter(|a| a.oid == domain.oid) {
                match self {
                    Self::Nothing => {}
                    Self::NotNull => {
                        statements.push(translator.refuse_null(relation, &attribute.name, "table"))
                    }
                    Self::Check(condition) => {
                        statements.push(translator.refuse_domain(relation, attribute, condition)?);
                    }
                }
            }
        }
        Ok(statements)
    }
}

/// A domain that is being changed.
struct Alteration<'d, 'c> {
    bare: &'d str,
    domain: &'d mut UserType,
    translator: &'d mut Translator<'c>,
}

impl Alteration<'_, '_> {
    fn read(self, words: &mut Words<'_>) -> Result<Held, SqlError> {
        let UserTypeKind::Domain { not_null, default, checks, .. } = &mut self.domain.kind else {
            return Ok(Held::Nothing);
        };
        let position = |checks: &[(String, String)], name: &str| {
            checks.iter().position(|(known, _)| known == name)
        };
        let missing = |of: &str, name: &str| {
            let text = format!("constraint \"{name}\" {of} does not exist");
            SqlError::new(SqlState::UNDEFINED_OBJECT, text)
        };
        let of_domain = format!("of domain \"{}\"", self.bare);
        if words.take("set") {
            if words.take("default") {
                let expr = syntax::parse_expression(words.scanner.rest())?;
                *default = super::create_table::default_text(&expr)?;
                while words.scanner.peek().is_some() {
                    words.next()?;
                }
            } else if words.take("schema") {
                return Err(SqlError::unsupported("ALTER DOMAIN … SET SCHEMA"));
            } else {
                words.expect("not")?;
                words.expect("null")?;
                *not_null = true;
                return Ok(Held::NotNull);
            }
        } else if words.take("add") {
            return self.add(words);
        } else if words.take("validate") {
            words.expect("constraint")?;
            let name = words.name()?;
            // Rows were held against it when it was added, NOT VALID or not.
            position(checks, &name).ok_or_else(|| missing(&of_domain, &name))?;
        } else if words.take("rename") {
            if words.take("constraint") {
                let old = words.name()?;
                words.expect("to")?;
                let new = words.name()?;
                let of = format!("for domain {}", self.bare);
                let at = position(checks, &old).ok_or_else(|| missing(&of, &old))?;
                if position(checks, &new).is_some() {
                    let text =
                        format!("constraint \"{new}\" for domain {} already exists", self.bare);
                    return Err(SqlError::new(SqlState::DUPLICATE_OBJECT, text));
                }
                checks[at].0 = new;
            } else {
                words.expect("to")?;
                let new = words.name()?;
                let schema = self.translator.context.catalog.split_name(&self.domain.name).0;
                let new = self.translator.new_name_in((Some(schema.to_owned()), new))?;
                self.translator.check_free_type(&new)?;
                self.domain.name = new;
            }
        } else {
            words.expect("drop")?;
            if words.take("default") {
                *default = None;
            } else if words.take("not") {
                words.expect("null")?;
                *not_null = false;
            } else {
                words.expect("constraint")?;
                let if_exists = words.take("if") && words.take("exists");
                let name = words.name()?;
                let _ = words.take("cascade") || words.take("restrict");
                match position(checks, &name) {
                    Some(at) => drop(checks.remove(at)),
                    None if if_exists => self.translator.skipped(
                        SqlState::SUCCESSFUL_COMPLETION,
                        format_args!("constraint \"{name}\" {of_domain} does not exist"),
                    ),
                    None => return Err(missing(&of_domain, &name)),
                }
            }
        }
        Ok(Held::Nothing)
    }

    /// `[CONSTRAINT name] CHECK (…) [NOT VALID]`, behind ADD.
    fn add(self, words: &mut Words<'_>) -> Result<Held, SqlError> {
        let UserTypeKind::Domain { checks, .. } = &mut self.domain.kind else {
            return Ok(Held::Nothing);
        };
        let known = |name: &str| checks.iter().any(|(known, _)| known == name);
        let name = match words.take("constraint") {
            true => words.name()?,
            false => super::chosen_name(self.bare, "", "check", known),
        };
        if known(&name) {
            let text = format!("constraint \"{name}\" for domain \"{}\" already exists", self.bare);
            return Err(SqlError::new(SqlState::DUPLICATE_OBJECT, text));
        }
        if !words.take("check") {
            return Err(SqlError::unsupported("this constraint of a domain"));
        }
        let begin = words.scanner.offset();
        words.skip_parenthesised()?;
        let condition = words.text[begin..words.scanner.offset()].trim();
        let condition = syntax::parse_expression(condition)?;
        let condition = match condition {
            sqlparser::ast::Expr::Nested(inner) => inner.to_string(),
            condition => condition.to_string(),
        };
        if words.take("not") {
            words.expect("valid")?;
        }
        checks.push((name, condition.clone()));
        Ok(Held::Check(condition))
    }
}

/// The tables with columns of a domain.
fn users<'c>(catalog: &'c Catalog, domain: &UserType) -> Vec<&'c Relation> {
    let uses = |relation: &&Relation| {
        relation.kind == RelationKind::Table
            && relation.attributes.iter().any(|attribute| attribute.oid == domain.oid)
    };
    catalog.relations.values().filter(uses).collect()
}

/// The tables of a domain made anew, as it is in this context.
fn rebuilt(
    text: &str,
    context: &TranslateContext<'_>,
    domain: &UserType,
) -> Result<Vec<String>, SqlError> {
    let mut statements = Vec::new();
    for relation in users(context.catalog, domain) {
        let mut translator = Translator::new(text, context);
        statements.extend(translator.rebuilt_as(relation, relation, &[])?);
    }
    Ok(statements)
}

/// The domain's row in the catalog.
fn described(old: &UserType, new: &UserType) -> String {
    let UserTypeKind::Domain { not_null, default, checks, .. } = &new.kind else {
        return String::new();
    };
    let default = default.as_deref().map_or_else(|| "NULL".to_owned(), names::quote_literal);
    format!(
        "UPDATE towline_type SET name = {}, not_null = {}, default_expr = {default}, checks = {} \
         WHERE name = {}",
        names::quote_literal(&new.name),
        u8::from(*not_null),
        rows::pairs(checks),
        names::quote_literal(&old.name)
    )
}
