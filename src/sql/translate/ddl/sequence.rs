//! CREATE SEQUENCE, ALTER SEQUENCE and the options of identity columns, read word by word: their options come in any
//! order, which `sqlparser` does not accept.

use super::nothing;
use super::rows::{self, Oids};
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::catalog::Sequence;
use crate::sql::scan::{self, Scanner, Token};
use crate::sql::translate::{Translator, names, syntax, translated};
use crate::sql::translated::{Kind, Tag, TranslateContext, Translated};
use crate::sql::types;

/// What the options of a sequence say; `None` is not said.
#[derive(Default)]
pub(super) struct Said {
    /// SEQUENCE NAME of an identity column.
    name: Option<Vec<String>>,
    oid: Option<Oid>,
    increment: Option<i64>,
    /// The inner `None` is NO MINVALUE.
    min: Option<Option<i64>>,
    max: Option<Option<i64>>,
    start: Option<i64>,
    cycle: Option<bool>,
    /// RESTART, with a value or without.
    restart: Option<Option<i64>>,
    /// OWNED BY; the inner `None` is NONE.
    owner: Option<Option<(Vec<String>, String)>>,
    /// RENAME TO.
    renamed: Option<String>,
}

/// What stands behind CREATE SEQUENCE.
pub(in crate::sql::translate) fn create_sequence(
    text: &str,
    scanner: Scanner<'_>,
    context: &TranslateContext<'_>,
) -> Result<Translated, SqlError> {
    let mut reader = Reader { text, scanner };
    let if_not_exists = reader.take("if") && reader.take("not") && reader.take("exists");
    let name = reader.relation()?;
    let said = reader.options()?;
    let translator = Translator::new(text, context);
    let name = translator.new_name_in(translator.qualified_parts(name)?)?;
    if if_not_exists && translator.is_taken(&name) {
        return Ok(nothing("CREATE SEQUENCE"));
    }
    translator.check_free(&name)?;
    let mut sequence = said.make(&name)?;
    sequence.owner = match said.owner.flatten() {
        Some(owner) => Some(owning_column(&translator, owner)?),
        None => None,
    };
    let mut oids = Oids::default();
    let mut statements = vec![rows::sequence(&sequence, &mut oids)];
    statements.extend(oids.taken());
    statements.extend(rows::touch());
    Ok(translator.demanding(translated(
        Kind::Ddl { rebuild: false },
        Tag::Fixed("CREATE SEQUENCE"),
        Vec::new(),
        statements,
    )))
}

/// What stands behind ALTER SEQUENCE.
pub(in crate::sql::translate) fn alter_sequence(
    text: &str,
    scanner: Scanner<'_>,
    context: &TranslateContext<'_>,
) -> Result<Translated, SqlError> {
    let mut reader = Reader { text, scanner };
    let if_exists = reader.take("if") && reader.take("exists");
    let parts = reader.relation()?;
    let translator = Translator::new(text, context);
    let (schema, bare) = translator.qualified_parts(parts)?;
    let name = translator.find_sequence(schema.as_deref(), &bare).unwrap_or(bare);
    let Some(old) = context.catalog.sequences.get(&name) else {
        if if_exists {
            return Ok(nothing("ALTER SEQUENCE"));
        }
        return Err(SqlError::new(
            SqlState::UNDEFINED_TABLE,
            format!("relation \"{name}\" does not exist"),
        ));
    };
    translator.demand_owner_of_sequence(old);
    let said = reader.options()?;
    let mut sets = Vec::new();
    match &said.owner {
        None => {}
        Some(None) => sets.push("owner_table = NULL, owner_column = NULL".to_owned()),
        Some(Some(owner)) => {
            let (table, column) = owning_column(&translator, owner.clone())?;
            sets.push(format!(
                "owner_table = {}, owner_column = {}",
                names::quote_literal(&table),
                names::quote_literal(&column)
            ));
        }
    }
    if let Some(renamed) = &said.renamed {
        let schema = context.catalog.split_name(&name).0.to_owned();
        let renamed = translator.new_name_in((Some(schema), renamed.clone()))?;
        translator.check_free(&renamed)?;
        sets.push(format!("name = {}", names::quote_literal(&renamed)));
    }
    let statements = said.changes(old, sets);
    Ok(translator.demanding(translated(
        Kind::Ddl { rebuild: false },
        Tag::Fixed("ALTER SEQUENCE"),
        Vec::new(),
        statements,
    )))
}

/// The column that OWNED BY names, its table as it is stored.
fn owning_column(
    translator: &Translator<'_>,
    (table, column): (Vec<String>, String),
) -> Result<(String, String), SqlError> {
    let (schema, table) = translator.qualified_parts(table)?;
    match translator.find_relation(schema.as_deref(), &table) {
        Some(relation) => Ok((relation.name.clone(), column)),
        None => Err(SqlError::new(
            SqlState::UNDEFINED_TABLE,
            format!("relation \"{table}\" does not exist"),
        )),
    }
}

impl Said {
    /// The statements that change a sequence so; `sets` is what else changes in its row.
    pub(super) fn changes(&self, old: &Sequence, sets: Vec<String>) -> Vec<String> {
        let quoted = names::quote_literal(&old.name);
        let increment = self.increment.unwrap_or(old.increment);
        let (lowest, highest) = if increment > 0 { (1, i64::MAX) } else { (i64::MIN, -1) };
        let numbers = [
            ("increment", self.increment),
            ("min", self.min.map(|min| min.unwrap_or(lowest))),
            ("max", self.max.map(|max| max.unwrap_or(highest))),
            ("start", self.start),
            ("cycle", self.cycle.map(i64::from)),
        ];
        let said = numbers.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let said = said.map(|(name, value)| format!("{name} = {value}"));
        let sets: Vec<String> = said.chain(sets).collect();
        let mut statements = Vec::new();
        if !sets.is_empty() {
            let sets = sets.join(", ");
            statements.push(format!("UPDATE towline_sequence SET {sets} WHERE name = {quoted}"));
        }
        statements.extend(rows::touch());
        if let Some(restart) = self.restart {
            let at = restart.or(self.start).unwrap_or(old.start);
            statements.push(format!("SELECT setval({quoted}, {at}, 0)"));
        }
        statements
    }

    /// The parts of the name that an identity column's sequence shall have.
    pub(super) fn name(&self) -> Option<&[String]> {
        self.name.as_deref()
    }

    /// The sequence of a column of this type.
    pub(super) fn of_column(self, name: &str, oid: Oid) -> Result<Sequence, SqlError> {
        Self { oid: Some(self.oid.unwrap_or(oid)), ..self }.make(name)
    }

    fn make(&self, name: &str) -> Result<Sequence, SqlError> {
        let bounds = match self.oid {
            Some(Oid::INT2) => (i64::from(i16::MIN), i64::from(i16::MAX)),
            Some(Oid::INT4) => (i64::from(i32::MIN), i64::from(i32::MAX)),
            None | Some(Oid::INT8) => (i64::MIN, i64::MAX),
            Some(_) => return Err(invalid("sequence type must be smallint, integer, or bigint")),
        };
        let increment = self.increment.unwrap_or(1);
        if increment == 0 {
            return Err(invalid("INCREMENT must not be zero"));
        }
        let up = increment > 0;
        let min = self.min.flatten().unwrap_or(if up { 1 } else { bounds.0 });
        let max = self.max.flatten().unwrap_or(if up { bounds.1 } else { -1 });
        let start = self.start.unwrap_or(if up { min } else { max });
        if min >= max {
            return Err(invalid(format!("MINVALUE ({min}) must be less than MAXVALUE ({max})")));
        }
        if start < min {
            return Err(invalid(format!(
                "START value ({start}) cannot be less than MINVALUE ({min})"
            )));
        }
        if start > max {
            return Err(invalid(format!(
                "START value ({start}) cannot be greater than MAXVALUE ({max})"
            )));
        }
        Ok(Sequence {
            oid: Oid(0),
            name: name.to_owned(),
            start,
            increment,
            min,
            max,
            cycle: self.cycle.unwrap_or(false),
            reserved: None,
            owner: None,
        })
    }
}

fn invalid(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

/// What the options of an identity column say.
pub(super) fn said(options: &str) -> Result<Said, SqlError> {
    Reader { text: options, scanner: Scanner::new(options) }.options()
}

/// The statement being read.
struct Reader<'a> {
    text: &'a str,
    scanner: Scanner<'a>,
}

impl Reader<'_> {
    fn take(&mut self, word: &str) -> bool {
        self.scanner.take_word(word)
    }

    fn syntax_error(&self) -> SqlError {
        let mut ahead = self.scanner;
        match ahead.next() {
            Ok(Some(_)) => syntax::syntax_error(
                &self.text[ahead.start..ahead.offset()],
                Some(self.text[..ahead.start].chars().count() + 1),
            ),
            _ => syntax::syntax_error("", Some(self.text.chars().count() + 1)),
        }
    }

    fn name(&mut self) -> Result<String, SqlError> {
        let error = self.syntax_error();
        let text = self.text;
        let token = self.scanner.next().map_err(|unterminated| unterminated.into_error(text))?;
        token.and_then(scan::identifier).ok_or(error)
    }

    /// A name's parts.
    fn relation(&mut self) -> Result<Vec<String>, SqlError> {
        let mut parts = vec![self.name()?];
        while self.scanner.take_symbol(b'.') {
            parts.push(self.name()?);
        }
        Ok(parts)
    }

    fn integer(&mut self) -> Result<i64, SqlError> {
        let error = self.syntax_error();
        let minus = self.scanner.take_symbol(b'-');
        match self.scanner.next() {
            Ok(Some(Token::Number(digits))) => {
                let sign = if minus { "-" } else { "" };
                format!("{sign}{digits}").parse().map_err(|_| error)
            }
            _ => Err(error),
        }
    }

    fn options(&mut self) -> Result<Said, SqlError> {
        let mut said = Said::default();
        while self.scanner.peek().is_some() {
            if self.take("as") {
                let name = self.name()?;
                said.oid = types::by_name(&name);
                if said.oid.is_none() {
                    return Err(SqlError::new(
                        SqlState::UNDEFINED_OBJECT,
                        format!("type \"{name}\" does not exist"),
                    ));
                }
            } else if self.take("increment") {
                self.take("by");
                said.increment = Some(self.integer()?);
            } else if self.take("minvalue") {
                said.min = Some(Some(self.integer()?));
            } else if self.take("maxvalue") {
                said.max = Some(Some(self.integer()?));
            } else if self.take("start") {
                self.take("with");
                said.start = Some(self.integer()?);
            } else if self.take("restart") {
                let with = self.take("with");
                let value = with || matches!(self.scanner.peek(), Some(Token::Number(_)));
                said.restart = Some(if value { Some(self.integer()?) } else { None });
            } else if self.take("cache") {
                self.integer()?;
            } else if self.take("cycle") {
                said.cycle = Some(true);
            } else if self.take("no") {
                if self.take("minvalue") {
                    said.min = Some(None);
                } else if self.take("maxvalue") {
                    said.max = Some(None);
                } else if self.take("cycle") {
                    said.cycle = Some(false);
                } else {
                    return Err(self.syntax_error());
                }
            } else if self.take("sequence") && self.take("name") {
                said.name = Some(self.relation()?);
            } else if self.take("owned") && self.take("by") {
                said.owner = Some(self.owner()?);
            } else if self.take("rename") && self.take("to") {
                said.renamed = Some(self.name()?);
            } else {
                return Err(self.syntax_error());
            }
        }
        Ok(said)
    }

    /// `[schema.]table.column`, or NONE.
    fn owner(&mut self) -> Result<Option<(Vec<String>, String)>, SqlError> {
        let mut parts = self.relation()?;
        let column = parts.pop().unwrap_or_default();
        match parts.is_empty() {
            true if column == "none" => Ok(None),
            true => Err(self.syntax_error()),
            false => Ok(Some((parts, column))),
        }
    }
}
