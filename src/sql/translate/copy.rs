//! COPY, old and new syntax.

use super::query::printed_reference;
use super::scope::Scope;
use super::{Translator, Typed, names};
use crate::pg::{SqlError, SqlState};
use crate::sql::catalog::{Attribute, Relation, RelationKind, Rights};
use crate::sql::scan::{self, Scanner, Token};
use crate::sql::translate::returning::{is_rowid, type_of};
use crate::sql::translated::{
    Column, CopyFormat, CopyOptions, Kind, Tag, TranslateContext, Translated,
};

/// Options as they are said; what is missing depends on the format.
#[derive(Default)]
struct Said {
    format: Option<CopyFormat>,
    delimiter: Option<String>,
    null: Option<String>,
    header: bool,
    header_matches: bool,
    quote: Option<String>,
    escape: Option<String>,
    force_quote: Option<Vec<String>>,
    force_not_null: Vec<String>,
    force_null: Vec<String>,
    /// What stands behind WHERE.
    condition: Option<String>,
}

/// Translates what stands behind the word COPY.
pub(super) fn translate(
    text: &str,
    scanner: Scanner<'_>,
    context: &TranslateContext<'_>,
) -> Result<Translated, SqlError> {
    let mut copy = Copy { text, scanner };
    copy.scanner.take_word("binary");
    if copy.scanner.take_symbol(b'(') {
        let query = copy.parenthesised()?;
        if !copy.scanner.take_word("to") {
            return Err(copy.syntax_error());
        }
        copy.end_point()?;
        let said = copy.options()?;
        if said.condition.is_some() {
            return Err(super::syntax::syntax_error("WHERE", None));
        }
        let mut inner = super::translate(&query, context)?;
        match inner.kind {
            Kind::Read { .. } => {}
            _ => return Err(SqlError::unsupported("COPY of a statement that is no query")),
        }
        let columns = inner.columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>();
        if said.header_matches {
            return Err(SqlError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "cannot use \"match\" with HEADER in COPY TO",
            ));
        }
        inner.kind = Kind::CopyOut { options: said.resolve(&columns)? };
        inner.tag = Tag::Copy;
        return Ok(inner);
    }
    let mut name = copy.name()?;
    let mut schema = None;
    while copy.scanner.take_symbol(b'.') {
        schema = Some(std::mem::replace(&mut name, copy.name()?));
    }
    let listed = if copy.scanner.take_symbol(b'(') { Some(copy.column_list()?) } else { None };
    let mut translator = Translator::new(text, context);
    let (schema, name) = translator.qualified_parts(schema.into_iter().chain([name]).collect())?;
    let Some(relation) = translator.find_relation(schema.as_deref(), &name) else {
        let shown = schema.map_or_else(|| name.clone(), |schema| format!("{schema}.{name}"));
        return Err(SqlError::new(
            SqlState::UNDEFINED_TABLE,
            format!("relation \"{shown}\" does not exist"),
        ));
    };
    let attributes = copied_columns(relation, listed.as_deref())?;
    let from = copy.scanner.take_word("from");
    let needed = if from { Rights::INSERT } else { Rights::SELECT };
    translator.demand_table(relation, needed);
    if !from && !copy.scanner.take_word("to") {
        return Err(copy.syntax_error());
    }
    copy.end_point()?;
    let mut said = copy.options()?;
    let condition = said.condition.take();
    if condition.is_some() && !from {
        return Err(super::syntax::syntax_error("WHERE", None));
    }
    let columns: Vec<String> =
        attributes.iter().map(|(_, attribute)| attribute.name.clone()).collect();
    translator.demand_columns(relation, &columns, needed);
    let options = said.resolve(&columns)?;
    let translated = if from {
        copy_in(&mut translator, relation, &attributes, options, condition.as_deref())?
    } else {
        if relation.kind == RelationKind::View {
            return Err(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("cannot copy from view \"{name}\""),
            )
            .with_hint("Try the COPY (SELECT ...) TO variant."));
        }
        translator.check_populated(relation)?;
        let shown = attributes.iter().map(|(_, attribute)| {
            printed_reference(Typed::of(names::quote(&attribute.name), type_of(attribute))).sql
        });
        let shown: Vec<String> = shown.collect();
        let sql = format!("SELECT {} FROM {}", shown.join(", "), names::quote(&relation.name));
        super::translated(
            Kind::CopyOut { options },
            Tag::Copy,
            described(&translator, relation, &attributes),
            vec![sql],
        )
    };
    Ok(translator.finish(translated))
}

/// One row's insertion, with a parameter a column.
fn copy_in(
    translator: &mut Translator<'_>,
    relation: &Relation,
    attributes: &[(usize, &Attribute)],
    options: CopyOptions,
    condition: Option<&str>,
) -> Result<Translated, SqlError> {
    super::returning::check_table(relation, "copy to")?;
    translator.note_changed(relation);
    let mut values = Vec::with_capacity(attributes.len());
    for (at, (_, attribute)) in attributes.iter().enumerate() {
        let parameter = translator.parameter(at + 1)?;
        translator.type_parameter(at + 1, translator.base_of(type_of(attribute)).oid);
        let value = translator.assign(parameter, type_of(attribute), &attribute.name)?;
        values.push(translator.never_null(value, attribute, relation));
    }
    let mut columns: Vec<String> =
        attributes.iter().map(|(_, attribute)| attribute.name.clone()).collect();
    // As INSERT: SQLite would number the rows by itself.
    let unlisted = relation.attributes.iter().find(|attribute| {
        is_rowid(relation, &attribute.name)
            && (attribute.default.is_some() || !relation.is_sqlites())
            && !columns.contains(&attribute.name)
    });
    if let Some(attribute) = unlisted {
        values.push(translator.default_value(attribute, relation)?);
        columns.push(attribute.name.clone());
    }
    let rows = match condition {
        None => format!("VALUES ({})", values.join(", ")),
        Some(condition) => {
            let condition = super::syntax::parse_whole_expression(condition)?;
            let condition = copied_rows(translator, relation, &columns, &values, &condition)?;
            format!("SELECT {} WHERE {condition}", values.join(", "))
        }
    };
    let sql = format!(
        "INSERT INTO {} ({}) {rows}",
        names::quote(&relation.name),
        names::quote_all(&columns),
    );
    let table = translator.context.catalog.bare(&relation.name).to_owned();
    Ok(super::translated(
        Kind::CopyIn { table, columns: described(translator, relation, attributes), options },
        Tag::Copy,
        Vec::new(),
        vec![sql],
    ))
}

/// The condition of COPY … WHERE, over the values of one row.
fn copied_rows(
    translator: &mut Translator<'_>,
    relation: &Relation,
    columns: &[String],
    values: &[String],
    condition: &sqlparser::ast::Expr,
) -> Result<String, SqlError> {
    let catalog = translator.context.catalog;
    let mut source =
        super::returning::target_source(catalog, relation, catalog.bare(&relation.name));
    for (column, attribute) in source.columns.iter_mut().zip(&relation.attributes) {
        let given = columns.iter().position(|name| *name == column.name);
        column.sql = Some(match given.and_then(|at| values.get(at)) {
            Some(value) => format!("({value})"),
            None if attribute.generated.is_some() => {
                return Err(SqlError::unsupported("COPY … WHERE beside generated columns"));
            }
            None => format!("({})", translator.default_value(attribute, relation)?),
        });
    }
    translator.scopes.push(Scope { sources: vec![source], ..Scope::default() });
    let condition = translator.condition(condition, "WHERE");
    translator.scopes.pop();
    condition
}

/// The columns of a COPY: those listed, or all that aren't generated.
fn copied_columns<'r>(
    relation: &'r Relation,
    listed: Option<&[String]>,
) -> Result<Vec<(usize, &'r Attribute)>, SqlError> {
    let all = || relation.attributes.iter().enumerate();
    let Some(listed) = listed else {
        return Ok(all().filter(|(_, attribute)| attribute.generated.is_none()).collect());
    };
    listed
        .iter()
        .map(|column| match all().find(|(_, attribute)| attribute.name == *column) {
            Some((_, attribute)) if attribute.generated.is_some() => {
                let text = format!("column \"{column}\" is a generated column");
                Err(SqlError::new(SqlState("42P10"), text)
                    .with_detail("Generated columns cannot be used in COPY."))
            }
            Some(found) => Ok(found),
            None => Err(super::returning::undefined_column(relation, column)),
        })
        .collect()
}

/// Its columns, of the types that their values have: a domain's is its base.
fn described(
    translator: &Translator<'_>,
    relation: &Relation,
    attributes: &[(usize, &Attribute)],
) -> Vec<Column> {
    attributes
        .iter()
        .map(|(at, attribute)| {
            let ty = translator.base_of(type_of(attribute));
            Column {
                name: attribute.name.clone(),
                oid: ty.oid,
                typmod: ty.typmod,
                table: relation.oid,
                number: i16::try_from(at + 1).unwrap_or(0),
                made: None,
            }
        })
        .collect()
}

impl Said {
    fn resolve(self, columns: &[String]) -> Result<CopyOptions, SqlError> {
        let format = self.format.unwrap_or(CopyFormat::Text);
        let csv = format == CopyFormat::Csv;
        let wrong = |message: &str| SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, message);
        let byte = |text: Option<String>, what: &str, default: u8| match text {
            None => Ok(default),
            Some(text) => match text.as_bytes() {
                [byte] => Ok(*byte),
                _ => Err(wrong(&format!("COPY {what} must be a single one-byte character"))),
            },
        };
        let only_csv = |said: bool, what: &str| {
            if said && !csv {
                Err(wrong(&format!("COPY {what} available only in CSV mode")))
            } else {
                Ok(())
            }
        };
        only_csv(self.quote.is_some(), "quote")?;
        only_csv(self.escape.is_some(), "escape")?;
        only_csv(self.force_quote.is_some(), "force quote")?;
        only_csv(!self.force_not_null.is_empty(), "force not null")?;
        only_csv(!self.force_null.is_empty(), "force null")?;
        if format == CopyFormat::Binary
            && (self.delimiter.is_some() || self.null.is_some() || self.header)
        {
            return Err(SqlError::new(
                SqlState::SYNTAX_ERROR,
                "cannot specify DELIMITER, NULL or HEADER in BINARY mode",
            ));
        }
        let numbers = |names: Vec<String>| {
            if names.iter().any(|name| name == "*") {
                return Ok((0..columns.len()).collect());
            }
            names
                .iter()
                .map(|name| {
                    columns.iter().position(|column| column == name).ok_or_else(|| {
                        SqlError::new(
                            SqlState::UNDEFINED_COLUMN,
                            format!("column \"{name}\" does not exist"),
                        )
                    })
                })
                .collect::<Result<Vec<usize>, _>>()
        };
        let quote = byte(self.quote, "quote", b'"')?;
        let delimiter = byte(self.delimiter, "delimiter", if csv { b',' } else { b'\t' })?;
        if matches!(delimiter, b'\n' | b'\r') || (csv && delimiter == quote) {
            return Err(SqlError::new(
                SqlState::INVALID_PARAMETER_VALUE,
                "COPY delimiter cannot be newline, carriage return, or the quote",
            ));
        }
        Ok(CopyOptions {
            format,
            delimiter,
            null: self.null.unwrap_or_else(|| if csv { String::new() } else { "\\N".to_owned() }),
            header: self.header,
            header_matches: self.header_matches,
            quote,
            escape: byte(self.escape, "escape", quote)?,
            force_quote: numbers(self.force_quote.unwrap_or_default())?,
            force_not_null: numbers(self.force_not_null)?,
            force_null: numbers(self.force_null)?,
        })
    }
}

/// COPY being read word by word.
struct Copy<'a> {
    text: &'a str,
    scanner: Scanner<'a>,
}

impl Copy<'_> {
    fn next(&mut self) -> Result<Option<Token<'_>>, SqlError> {
        let text = self.text;
        self.scanner.next().map_err(|error| error.into_error(text))
    }

    fn syntax_error(&self) -> SqlError {
        let mut ahead = self.scanner;
        match ahead.next() {
            Ok(Some(_)) => super::syntax::syntax_error(
                &self.text[ahead.start..ahead.offset()],
                Some(self.text[..ahead.start].chars().count() + 1),
            ),
            _ => super::syntax::syntax_error("", Some(self.text.chars().count() + 1)),
        }
    }

    fn name(&mut self) -> Result<String, SqlError> {
        let error = self.syntax_error();
        self.next()?.and_then(scan::identifier).ok_or(error)
    }

    /// The text up to the parenthesis that closes the one just taken.
    fn parenthesised(&mut self) -> Result<String, SqlError> {
        let begin = self.scanner.offset();
        let mut depth = 1_usize;
        loop {
            match self.next()? {
                None => return Err(self.syntax_error()),
                Some(Token::Symbol(b'(')) => depth += 1,
                Some(Token::Symbol(b')')) => depth -= 1,
                Some(_) => {}
            }
            if depth == 0 {
                return Ok(self.text[begin..self.scanner.start].to_owned());
            }
        }
    }

    /// Names up to the closing parenthesis.
    fn column_list(&mut self) -> Result<Vec<String>, SqlError> {
        let mut columns = Vec::new();
        loop {
            columns.push(self.name()?);
            if self.scanner.take_symbol(b')') {
                return Ok(columns);
            }
            if !self.scanner.take_symbol(b',') {
                return Err(self.syntax_error());
            }
        }
    }

    /// STDIN or STDOUT; files and programs are the server's own.
    fn end_point(&mut self) -> Result<(), SqlError> {
        if self.scanner.take_word("stdin") || self.scanner.take_word("stdout") {
            return Ok(());
        }
        match self.scanner.peek() {
            Some(Token::Literal(_)) => Err(SqlError::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                "permission denied to COPY to or from a file",
            )
            .with_hint("Anyone can COPY to stdout or from stdin. psql's \\copy command also works for anyone.")),
            Some(token) if token.is("program") => {
                Err(SqlError::new(SqlState::INSUFFICIENT_PRIVILEGE, "permission denied to COPY to or from a program"))
            }
            _ => Err(self.syntax_error()),
        }
    }

    fn options(&mut self) -> Result<Said, SqlError> {
        let mut said = Said::default();
        self.scanner.take_word("with");
        if self.scanner.take_symbol(b'(') {
            self.new_options(&mut said)?;
        } else {
            self.old_options(&mut said)?;
        }
        if self.scanner.take_word("where") {
            said.condition = Some(self.scanner.rest().to_owned());
            return Ok(said);
        }
        if self.scanner.peek().is_some() {
            return Err(self.syntax_error());
        }
        Ok(said)
    }

    fn new_options(&mut self, said: &mut Said) -> Result<(), SqlError> {
        loop {
            let name = self.name()?;
            match name.as_str() {
                "format" => {
                    let format = self.word_or_string()?;
                    said.format = Some(match format.to_ascii_lowercase().as_str() {
                        "text" => CopyFormat::Text,
                        "csv" => CopyFormat::Csv,
                        "binary" => CopyFormat::Binary,
                        _ => {
                            return Err(SqlError::new(
                                SqlState::INVALID_PARAMETER_VALUE,
                                format!("COPY format \"{format}\" not recognized"),
                            ));
                        }
                    });
                }
                "freeze" => {
                    self.flag()?;
                }
                "header" => {
                    said.header_matches = self.scanner.take_word("match");
                    said.header = said.header_matches || self.flag()?;
                }
                "delimiter" => said.delimiter = Some(self.word_or_string()?),
                "null" => said.null = Some(self.word_or_string()?),
                "quote" => said.quote = Some(self.word_or_string()?),
                "escape" => said.escape = Some(self.word_or_string()?),
                "encoding" => check_encoding(&self.word_or_string()?)?,
                "force_quote" => said.force_quote = Some(self.columns_or_all()?),
                "force_not_null" => said.force_not_null = self.columns_or_all()?,
                "force_null" => said.force_null = self.columns_or_all()?,
                _ => {
                    return Err(SqlError::new(
                        SqlState::SYNTAX_ERROR,
                        format!("option \"{name}\" not recognized"),
                    ));
                }
            }
            if self.scanner.take_symbol(b')') {
                return Ok(());
            }
            if !self.scanner.take_symbol(b',') {
                return Err(self.syntax_error());
            }
        }
    }

    fn old_options(&mut self, said: &mut Said) -> Result<(), SqlError> {
        loop {
            if self.scanner.take_word("binary") {
                said.format = Some(CopyFormat::Binary);
            } else if self.scanner.take_word("csv") {
                said.format = Some(CopyFormat::Csv);
            } else if self.scanner.take_word("freeze") {
            } else if self.scanner.take_word("header") {
                said.header = true;
            } else if self.scanner.take_word("delimiter") || self.scanner.take_word("delimiters") {
                self.scanner.take_word("as");
                said.delimiter = Some(self.word_or_string()?);
            } else if self.scanner.take_word("null") {
                self.scanner.take_word("as");
                said.null = Some(self.word_or_string()?);
            } else if self.scanner.take_word("quote") {
                self.scanner.take_word("as");
                said.quote = Some(self.word_or_string()?);
            } else if self.scanner.take_word("escape") {
                self.scanner.take_word("as");
                said.escape = Some(self.word_or_string()?);
            } else if self.scanner.take_word("encoding") {
                check_encoding(&self.word_or_string()?)?;
            } else if self.scanner.take_word("force") {
                if self.scanner.take_word("quote") {
                    said.force_quote = Some(self.bare_columns()?);
                } else if self.scanner.take_word("null") {
                    said.force_null = self.bare_columns()?;
                } else if self.scanner.take_word("not") && self.scanner.take_word("null") {
                    said.force_not_null = self.bare_columns()?;
                } else {
                    return Err(self.syntax_error());
                }
            } else {
                return Ok(());
            }
        }
    }

    fn word_or_string(&mut self) -> Result<String, SqlError> {
        let error = self.syntax_error();
        match self.next()? {
            Some(Token::Literal(literal)) => scan::literal(literal).ok_or(error),
            Some(Token::Word(word)) => Ok(word.to_owned()),
            _ => Err(error),
        }
    }

    /// An optional truth value; without one it is true.
    fn flag(&mut self) -> Result<bool, SqlError> {
        match self.scanner.peek() {
            Some(Token::Symbol(b',' | b')')) | None => Ok(true),
            Some(Token::Number(number)) => {
                let on = number != "0";
                self.next()?;
                Ok(on)
            }
            _ => {
                let word = self.word_or_string()?;
                match word.to_ascii_lowercase().as_str() {
                    "true" | "on" => Ok(true),
                    "false" | "off" => Ok(false),
                    _ => Err(SqlError::new(
                        SqlState::SYNTAX_ERROR,
                        "option requires a Boolean value",
                    )),
                }
            }
        }
    }

    fn columns_or_all(&mut self) -> Result<Vec<String>, SqlError> {
        if self.scanner.take_symbol(b'*') {
            return Ok(vec!["*".to_owned()]);
        }
        if !self.scanner.take_symbol(b'(') {
            return Err(self.syntax_error());
        }
        self.column_list()
    }

    fn bare_columns(&mut self) -> Result<Vec<String>, SqlError> {
        if self.scanner.take_symbol(b'*') {
            return Ok(vec!["*".to_owned()]);
        }
        let mut columns = vec![self.name()?];
        while self.scanner.take_symbol(b',') {
            columns.push(self.name()?);
        }
        Ok(columns)
    }
}

fn check_encoding(encoding: &str) -> Result<(), SqlError> {
    match encoding.to_ascii_lowercase().replace(['-', '_'], "").as_str() {
        "utf8" | "unicode" | "sqlascii" => Ok(()),
        _ => Err(SqlError::unsupported(format_args!("encoding {encoding}"))),
    }
}
