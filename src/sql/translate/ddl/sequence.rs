//! CREATE SEQUENCE, ALTER SEQUENCE and the options of identity columns, read word by word: their options come in any
//! order, which `sqlparser` does not accept.

use super::nothing;
use super::rows::{self, Oids};
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::catalog::{Sequence, format_type};
use crate::sql::scan::{self, Scanner, Token};
use crate::sql::translate::returning::undefined_column;
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
    let (mut rebuild, mut redrawn) = (false, Vec::new());
    if said.owner.is_some()
        && let Some((table, column)) = context.catalog.drawing(old)
        && column.identity.is_some()
    {
        let (sequence, table) = (context.catalog.bare(&name), context.catalog.bare(&table.name));
        let message = "cannot change ownership of identity sequence";
        return Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, message)
            .with_detail(format!("Sequence \"{sequence}\" is linked to table \"{table}\".")));
    }
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
        (rebuild, redrawn) = translator.drawing_from(old, &renamed)?;
    }
    let mut statements = said.changes(old, sets)?;
    statements.extend(redrawn);
    Ok(translator.demanding(translated(
        Kind::Ddl { rebuild },
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
        Some(relation) if relation.attribute(&column).is_none() => {
            Err(undefined_column(relation, &column))
        }
        Some(relation) => Ok((relation.name.clone(), column)),
        None => Err(SqlError::new(
            SqlState::UNDEFINED_TABLE,
            format!("relation \"{table}\" does not exist"),
        )),
    }
}

impl Said {
    /// The statements that change a sequence so; `sets` is what else changes in its row.
    pub(super) fn changes(
        &self,
        old: &Sequence,
        mut sets: Vec<String>,
    ) -> Result<Vec<String>, SqlError> {
        let quoted = names::quote_literal(&old.name);
        let new = self.apply(old, false)?;
        let numbers = [
            ("increment", old.increment, new.increment),
            ("min", old.min, new.min),
            ("max", old.max, new.max),
            ("start", old.start, new.start),
            ("cycle", i64::from(old.cycle), i64::from(new.cycle)),
            ("type", i64::from(old.kind.0), i64::from(new.kind.0)),
        ];
        let changed = numbers.into_iter().filter(|(_, old, new)| old != new);
        sets.extend(changed.map(|(name, _, value)| format!("{name} = {value}")));
        let mut statements = Vec::new();
        if !sets.is_empty() {
            let sets = sets.join(", ");
            statements.push(format!("UPDATE towline_sequence SET {sets} WHERE name = {quoted}"));
        }
        statements.extend(rows::touch());
        if let Some(restart) = self.restart {
            let at = restart.unwrap_or(new.start);
            check_within("RESTART", at, &new)?;
            statements.push(format!("SELECT setval({quoted}, {at}, 0)"));
        }
        Ok(statements)
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
        let base = Sequence {
            oid: Oid(0),
            name: name.to_owned(),
            kind: Oid::INT8,
            start: 1,
            increment: 1,
            min: 1,
            max: i64::MAX,
            cycle: false,
            reserved: None,
            owner: None,
        };
        self.apply(&base, true)
    }

    /// A sequence as it is with these options: what a new one does not say follows from its
    /// type, and with another type the bounds of the old type move.
    fn apply(&self, base: &Sequence, is_new: bool) -> Result<Sequence, SqlError> {
        let kind = self.oid.unwrap_or(base.kind);
        let (lowest, highest) = bounds(kind)?;
        let (old_lowest, old_highest) = bounds(base.kind)?;
        let increment = self.increment.unwrap_or(base.increment);
        if increment == 0 {
            return Err(invalid("INCREMENT must not be zero"));
        }
        let up = increment > 0;
        let typed = self.oid.is_some() && !is_new;
        let (moves_min, moves_max) =
            (typed && base.min == old_lowest, typed && base.max == old_highest);
        let max = match self.max {
            Some(Some(max)) => max,
            None if !is_new && !moves_max => base.max,
            _ => {
                if up || moves_max {
                    highest
                } else {
                    -1
                }
            }
        };
        let min = match self.min {
            Some(Some(min)) => min,
            None if !is_new && !moves_min => base.min,
            _ => {
                if up && !moves_min {
                    1
                } else {
                    lowest
                }
            }
        };
        for (word, value) in [("MAXVALUE", max), ("MINVALUE", min)] {
            if !(lowest..=highest).contains(&value) {
                let name = format_type(kind, None);
                return Err(invalid(format!(
                    "{word} ({value}) is out of range for sequence data type {name}"
                )));
            }
        }
        if min >= max {
            return Err(invalid(format!("MINVALUE ({min}) must be less than MAXVALUE ({max})")));
        }
        let first = if up { min } else { max };
        let start = self.start.unwrap_or(if is_new { first } else { base.start });
        let cycle = self.cycle.unwrap_or(base.cycle);
        let new = Sequence { kind, start, increment, min, max, cycle, ..base.clone() };
        check_within("START", start, &new)?;
        Ok(new)
    }
}

/// The least and the greatest value of a sequence's type.
fn bounds(kind: Oid) -> Result<(i64, i64), SqlError> {
    match kind {
        Oid::INT2 => Ok((i16::MIN.into(), i16::MAX.into())),
        Oid::INT4 => Ok((i32::MIN.into(), i32::MAX.into())),
        Oid::INT8 => Ok((i64::MIN, i64::MAX)),
        _ => Err(invalid("sequence type must be smallint, integer, or bigint")),
    }
}

fn check_within(word: &str, value: i64, sequence: &Sequence) -> Result<(), SqlError> {
    let (than, bound, limit) = match value {
        value if value < sequence.min => ("less", "MINVALUE", sequence.min),
        value if value > sequence.max => ("greater", "MAXVALUE", sequence.max),
        _ => return Ok(()),
    };
    Err(invalid(format!("{word} value ({value}) cannot be {than} than {bound} ({limit})")))
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
                let cached = self.integer()?;
                if cached <= 0 {
                    return Err(invalid(format!("CACHE ({cached}) must be greater than zero")));
                }
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
