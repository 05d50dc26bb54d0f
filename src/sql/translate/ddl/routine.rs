//! CREATE, ALTER and DROP FUNCTION and PROCEDURE, in the language SQL.
//!
//! The catalog keeps a function as it was written; views that call it are made anew with
//! it, for they hold its body.

use std::sync::LazyLock;

use sqlparser::ast::{DataType, ObjectName};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, Word};

use super::rows::{self, Oids};
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::catalog::{
    Attribute, Catalog, ConstraintKind, Mode, Object, Parameter, Relation, RelationKind, Routine,
    RoutineType, Said, UserTypeKind, Volatility, routine_object,
};
use crate::sql::translate::{Translator, names, routine, syntax, translated};
use crate::sql::translated::{Kind, Tag, TranslateContext, Translated};

static DIALECT: LazyLock<PostgreSqlDialect> = LazyLock::new(|| PostgreSqlDialect {});

/// What kind of routine a statement is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::sql::translate) enum About {
    Function,
    Procedure,
    /// Either.
    Routine,
}

impl About {
    pub(in crate::sql::translate) fn of_word(word: &str) -> Option<Self> {
        match word {
            "function" => Some(Self::Function),
            "procedure" => Some(Self::Procedure),
            "routine" => Some(Self::Routine),
            _ => None,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Function => "function",
            Self::Procedure => "procedure",
            Self::Routine => "routine",
        }
    }

    fn tag(self, verb: &str) -> Tag {
        Tag::Fixed(match (verb, self) {
            ("CREATE", Self::Function | Self::Routine) => "CREATE FUNCTION",
            ("CREATE", Self::Procedure) => "CREATE PROCEDURE",
            ("ALTER", Self::Function) => "ALTER FUNCTION",
            ("ALTER", Self::Procedure) => "ALTER PROCEDURE",
            ("ALTER", Self::Routine) => "ALTER ROUTINE",
            (_, Self::Function) => "DROP FUNCTION",
            (_, Self::Procedure) => "DROP PROCEDURE",
            (_, Self::Routine) => "DROP ROUTINE",
        })
    }
}

/// A statement that is read token by token.
struct Reader<'t> {
    text: &'t str,
    parser: Parser<'static>,
}

/// A parameter as it is written.
struct Written {
    mode: Mode,
    name: String,
    data_type: DataType,
    default: Option<String>,
}

impl<'t> Reader<'t> {
    fn new(text: &'t str) -> Result<Self, SqlError> {
        let parser = Parser::new(&*DIALECT).try_with_sql(text);
        Ok(Self { text, parser: parser.map_err(|error| syntax::into_error(&error, text))? })
    }

    fn said<T>(&self, result: Result<T, ParserError>) -> Result<T, SqlError> {
        result.map_err(|error| syntax::into_error(&error, self.text))
    }

    fn peek_word(&self) -> Option<String> {
        match self.parser.peek_token().token {
            Token::Word(Word { value, quote_style: None, .. }) => Some(value.to_ascii_lowercase()),
            _ => None,
        }
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.peek_word().is_some_and(|next| next == word);
        if found {
            self.parser.next_token();
        }
        found
    }

    fn take_any(&mut self, words: &[&str]) -> Option<String> {
        let next = self.peek_word().filter(|next| words.contains(&next.as_str()))?;
        self.parser.next_token();
        Some(next)
    }

    fn expect(&mut self, word: &str) -> Result<(), SqlError> {
        if self.take(word) { Ok(()) } else { Err(self.wrong()) }
    }

    fn take_token(&mut self, token: &Token) -> bool {
        self.parser.consume_token(token)
    }

    fn is_over(&self) -> bool {
        matches!(self.parser.peek_token().token, Token::EOF | Token::SemiColon)
    }

    /// The byte offset of the next token.
    fn offset(&self) -> usize {
        let start = self.parser.peek_token().span.start;
        let at = syntax::position(self.text, start.line, start.column);
        at.and_then(|at| self.text.char_indices().nth(at - 1)).map_or(self.text.len(), |(at, _)| at)
    }

    fn wrong(&self) -> SqlError {
        let next = self.parser.peek_token();
        let near = next.token.to_string();
        let at = syntax::position(self.text, next.span.start.line, next.span.start.column);
        syntax::syntax_error(&near, at.or(Some(self.text.chars().count() + 1)))
    }

    fn name(&mut self) -> Result<ObjectName, SqlError> {
        let name = self.parser.parse_object_name(false);
        self.said(name)
    }

    fn identifier(&mut self) -> Result<String, SqlError> {
        let ident = self.parser.parse_identifier();
        Ok(names::fold(&self.said(ident)?))
    }

    fn data_type(&mut self) -> Result<DataType, SqlError> {
        let data_type = self.parser.parse_data_type();
        self.said(data_type)
    }

    /// A string's contents.
    fn string(&mut self) -> Result<String, SqlError> {
        match self.parser.peek_token().token {
            Token::SingleQuotedString(text)
            | Token::EscapedStringLiteral(text)
            | Token::UnicodeStringLiteral(text) => {
                self.parser.next_token();
                Ok(text)
            }
            Token::DollarQuotedString(quoted) => {
                self.parser.next_token();
                Ok(quoted.value)
            }
            _ => Err(self.wrong()),
        }
    }

    /// `(…)`, if it stands there.
    fn parameters(&mut self) -> Result<Option<Vec<Written>>, SqlError> {
        if !self.take_token(&Token::LParen) {
            return Ok(None);
        }
        let mut parameters = Vec::new();
        if self.take_token(&Token::RParen) {
            return Ok(Some(parameters));
        }
        loop {
            parameters.push(self.parameter()?);
            if self.take_token(&Token::RParen) {
                return Ok(Some(parameters));
            }
            if !self.take_token(&Token::Comma) {
                return Err(self.wrong());
            }
        }
    }

    fn parameter(&mut self) -> Result<Written, SqlError> {
        let mode = match self.take_any(&["in", "out", "inout", "variadic"]).as_deref() {
            Some("in") if self.take("out") => Mode::InOut,
            Some("out") => Mode::Out,
            Some("inout") => Mode::InOut,
            Some("variadic") => Mode::Variadic,
            _ => Mode::In,
        };
        let first = self.parser.peek_token().token;
        let mut data_type = self.data_type()?;
        let mut name = String::new();
        let ends = matches!(
            self.parser.peek_token().token,
            Token::Comma | Token::RParen | Token::Eq | Token::EOF
        ) || self.peek_word().as_deref() == Some("default");
        if !ends {
            let Token::Word(word) = first else { return Err(self.wrong()) };
            name = match word.quote_style {
                Some(_) => word.value,
                None => crate::sql::scan::fold(&word.value),
            };
            data_type = self.data_type()?;
        }
        let default = if self.take("default") || self.take_token(&Token::Eq) {
            let expr = self.parser.parse_expr();
            Some(self.said(expr)?.to_string())
        } else {
            None
        };
        Ok(Written { mode, name, data_type, default })
    }
}

/// What is behind CREATE FUNCTION's result.
struct Options {
    language: Option<String>,
    body: Option<(String, bool)>,
    said: Said,
}

impl Options {
    fn read(reader: &mut Reader<'_>, said: Said) -> Result<Self, SqlError> {
        let mut options = Self { language: None, body: None, said };
        while !reader.is_over() {
            let at = reader.offset();
            if options.said.option(reader)? {
                continue;
            }
            if reader.take("language") {
                options.language = Some(match reader.string() {
                    Ok(name) => name.to_ascii_lowercase(),
                    Err(_) => reader.identifier()?,
                });
            } else if reader.take("as") {
                let text = reader.string()?;
                if reader.take_token(&Token::Comma) {
                    return Err(SqlError::unsupported("a function in a library"));
                }
                options.body = Some((text, false));
            } else if reader.take_any(&["return", "begin"]).is_some() {
                let rest = reader.text[at..].trim_end().trim_end_matches(';').trim_end();
                options.body = Some((rest.to_owned(), true));
                break;
            } else {
                return Err(reader.wrong());
            }
        }
        Ok(options)
    }
}

impl Said {
    /// One of the options that ALTER FUNCTION knows too.
    fn option(&mut self, reader: &mut Reader<'_>) -> Result<bool, SqlError> {
        let Some(word) = reader.peek_word() else { return Ok(false) };
        match word.as_str() {
            "immutable" => self.volatility = Volatility::Immutable,
            "stable" => self.volatility = Volatility::Stable,
            "volatile" => self.volatility = Volatility::Volatile,
            "strict" => self.is_strict = true,
            "leakproof" => self.is_leakproof = true,
            "called" | "returns" => {
                reader.parser.next_token();
                if word == "returns" {
                    reader.expect("null")?;
                }
                reader.expect("on")?;
                reader.expect("null")?;
                self.is_strict = word == "returns";
                return reader.expect("input").map(|()| true);
            }
            "not" => {
                reader.parser.next_token();
                self.is_leakproof = false;
                return reader.expect("leakproof").map(|()| true);
            }
            "external" | "security" => {
                reader.parser.next_token();
                if word == "external" {
                    reader.expect("security")?;
                }
                let who = reader.take_any(&["definer", "invoker"]).ok_or_else(|| reader.wrong())?;
                self.is_definer = who == "definer";
                return Ok(true);
            }
            "parallel" => {
                reader.parser.next_token();
                let how = reader.take_any(&["unsafe", "restricted", "safe"]);
                let how = how.ok_or_else(|| reader.wrong())?;
                self.parallel = how.chars().next().unwrap_or('u');
                return Ok(true);
            }
            "cost" | "rows" => {
                reader.parser.next_token();
                let Token::Number(number, _) = reader.parser.next_token().token else {
                    return Err(reader.wrong());
                };
                let kept = if word == "cost" { &mut self.cost } else { &mut self.rows };
                *kept = Some(number);
                return Ok(true);
            }
            "window" => return Err(SqlError::unsupported("a window function in SQL")),
            "support" | "transform" => {
                return Err(SqlError::unsupported(word.to_uppercase() + " of a function"));
            }
            "set" | "reset" => return Err(SqlError::unsupported("a setting of a function")),
            _ => return Ok(false),
        }
        reader.parser.next_token();
        Ok(true)
    }
}

fn invalid(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState("42P13"), message)
}

/// CREATE [OR REPLACE] FUNCTION or PROCEDURE.
pub(in crate::sql::translate) fn create_routine(
    text: &str,
    context: &TranslateContext<'_>,
) -> Result<Translated, SqlError> {
    let mut reader = Reader::new(text)?;
    reader.expect("create")?;
    let replaces = reader.take("or") && reader.take("replace");
    let about = if reader.take("procedure") { About::Procedure } else { About::Function };
    if about == About::Function {
        reader.expect("function")?;
    }
    let mut translator = Translator::new(text, context);
    let name = reader.name()?;
    let stored = translator.new_name_in(translator.qualified(&name)?)?;
    let written = reader.parameters()?.ok_or_else(|| reader.wrong())?;
    let mut said = translator.declared(&mut reader, about, written)?;
    let options = Options::read(&mut reader, said)?;
    said = options.said;
    match options.language.as_deref() {
        Some("sql") => {}
        None if options.body.as_ref().is_some_and(|(_, standard)| *standard) => {}
        None => return Err(invalid("no language specified")),
        Some(known @ ("plpgsql" | "c" | "internal")) => {
            return Err(SqlError::unsupported(format_args!("a function in the language {known}")));
        }
        Some(other) => {
            let message = format!("language \"{other}\" does not exist");
            return Err(SqlError::new(SqlState::UNDEFINED_OBJECT, message));
        }
    }
    let (body, is_standard_body) =
        options.body.ok_or_else(|| invalid("no function body specified"))?;
    (said.body, said.is_standard_body) = (body, is_standard_body);
    let made = Routine { oid: Oid(0), name: stored, said };
    translator.make_routine(about, made, replaces)
}

impl Translator<'_> {
    /// What the parameters and RETURNS say.
    fn declared(
        &mut self,
        reader: &mut Reader<'_>,
        about: About,
        written: Vec<Written>,
    ) -> Result<Said, SqlError> {
        let mut parameters = Vec::with_capacity(written.len());
        for parameter in written {
            parameters.push(self.described(parameter)?);
        }
        let void = RoutineType { oid: Oid::VOID, table: Oid(0) };
        let (mut returns, mut returns_set) = (None, false);
        if about == About::Function && reader.take("returns") {
            if reader.take("table") {
                returns_set = true;
                for column in reader.parameters()?.ok_or_else(|| reader.wrong())? {
                    let column = self.described(Written { mode: Mode::Table, ..column })?;
                    parameters.push(column);
                }
            } else {
                returns_set = reader.take("setof");
                let data_type = reader.data_type()?;
                returns = Some(self.result_type(&data_type)?);
            }
        }
        check_parameters(&parameters)?;
        if about == About::Procedure && parameters.iter().any(|p| p.mode == Mode::Out) {
            return Err(SqlError::unsupported("an OUT parameter of a procedure"));
        }
        let outputs: Vec<&Parameter> =
            parameters.iter().filter(|parameter| parameter.mode.is_output()).collect();
        let own = match outputs.as_slice() {
            [] => None,
            [only] => Some(only.ty),
            _ => Some(RoutineType { oid: Oid::RECORD, table: Oid(0) }),
        };
        let result = match (own, returns) {
            (None, None) if about == About::Procedure => void,
            (None, None) => return Err(invalid("function result type must be specified")),
            (Some(own), Some(given)) if own != given => {
                let own =
                    if outputs.len() > 1 { "record".to_owned() } else { self.type_name(own.oid) };
                return Err(invalid(format!(
                    "function result type must be {own} because of OUT parameters"
                )));
            }
            (Some(ty), _) | (None, Some(ty)) => ty,
        };
        Ok(Said {
            is_procedure: about == About::Procedure,
            parameters,
            result,
            returns_set,
            is_strict: false,
            volatility: Volatility::Volatile,
            is_leakproof: false,
            is_definer: false,
            parallel: 'u',
            cost: None,
            rows: None,
            body: String::new(),
            is_standard_body: false,
        })
    }

    fn described(&mut self, written: Written) -> Result<Parameter, SqlError> {
        let ty = self.declared_type(&written.data_type)?;
        if written.mode == Mode::Variadic
            && self.element_of(crate::sql::types::Type::plain(ty.oid)).is_none()
        {
            return Err(invalid("VARIADIC parameter must be an array"));
        }
        let Written { mode, name, default, .. } = written;
        if default.is_some() && !mode.is_input() {
            return Err(invalid("only input parameters can have default values"));
        }
        Ok(Parameter { mode, name, ty, default })
    }

    fn result_type(&mut self, data_type: &DataType) -> Result<RoutineType, SqlError> {
        let word = data_type.to_string().to_ascii_lowercase();
        match word.as_str() {
            "void" => Ok(RoutineType { oid: Oid::VOID, table: Oid(0) }),
            "record" => Ok(RoutineType { oid: Oid::RECORD, table: Oid(0) }),
            "trigger" | "event_trigger" => Err(SqlError::unsupported("a trigger function")),
            _ => self.declared_type(data_type),
        }
    }

    fn declared_type(&mut self, data_type: &DataType) -> Result<RoutineType, SqlError> {
        let word = data_type.to_string().to_ascii_lowercase();
        if word.starts_with("any") {
            return Err(SqlError::unsupported(format_args!("a function of type {word}")));
        }
        let ty = self.resolve_type(data_type)?;
        match ty.oid {
            Oid::RECORD => match self.row_shape(ty).and_then(|shape| shape.table) {
                Some(table) => Ok(RoutineType { oid: Oid::RECORD, table }),
                None => Err(invalid("SQL functions cannot have arguments of type record")),
            },
            Oid::RECORD_ARRAY => Err(SqlError::unsupported("a function of arrays of rows")),
            oid => Ok(RoutineType { oid, table: Oid(0) }),
        }
    }

    fn make_routine(
        &mut self,
        about: About,
        mut made: Routine,
        replaces: bool,
    ) -> Result<Translated, SqlError> {
        let catalog = self.context.catalog;
        let signature = made.said.signature();
        let old = catalog.overloads(&made.name).find(|old| old.said.signature() == signature);
        if let Some(old) = old {
            let bare = catalog.bare(&made.name);
            let shown = old.with_types(catalog, bare);
            if old.said.is_procedure != made.said.is_procedure {
                return Err(SqlError::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    "cannot change routine kind",
                )
                .with_detail(format!("\"{bare}\" is a {}.", old.word())));
            }
            if !replaces {
                return Err(SqlError::new(
                    SqlState("42723"),
                    format!("function \"{bare}\" already exists with same argument types"),
                ));
            }
            check_replacement(old, &made, &shown)?;
            self.demand_owner_of_routine(old);
            made.oid = old.oid;
        }
        if self.context.check_function_bodies {
            Translator::new("", self.context).check_body(&made)?;
        }
        let said = serde_json::to_string(&made.said)
            .map_err(|_| SqlError::unsupported("this function"))?;
        let said = names::quote_literal(&said);
        let mut statements = self.schema_for(&made.name);
        match old {
            None => {
                let mut oids = Oids::default();
                statements.push(format!(
                    "INSERT INTO towline_routine (oid, name, signature, said) VALUES ({}, {}, {}, \
                     {said})",
                    oids.allot(),
                    names::quote_literal(&made.name),
                    names::quote_literal(&signature)
                ));
                statements.extend(oids.taken());
            }
            Some(old) => {
                let oid = old.oid.0;
                statements
                    .push(format!("UPDATE towline_routine SET said = {said} WHERE oid = {oid}"));
                statements.extend(self.remade_callers(old, &made)?);
            }
        }
        statements.extend(rows::touch());
        let kind = Kind::Ddl { rebuild: false };
        Ok(self.with_demands(translated(kind, about.tag("CREATE"), Vec::new(), statements)))
    }

    fn with_demands(&mut self, mut translated: Translated) -> Translated {
        translated.demands = self.demands.take();
        translated.notices = std::mem::take(&mut self.notices);
        translated
    }

    /// The views that hold a function's body, with a new one.
    fn remade_callers(&mut self, old: &Routine, new: &Routine) -> Result<Vec<String>, SqlError> {
        let bare = self.context.catalog.bare(&old.name);
        if let Some(user) = self.table_calling(bare) {
            return Err(SqlError::unsupported(format_args!(
                "CREATE OR REPLACE of the function \"{bare}\", which {user} calls,"
            )));
        }
        let mut catalog: Catalog = self.context.catalog.clone();
        for routine in catalog.routines.iter_mut().filter(|known| known.oid == old.oid) {
            routine.said = new.said.clone();
        }
        let context = TranslateContext { catalog: &catalog, ..*self.context };
        let mut statements = Vec::new();
        for (view, _) in self.views_calling(old) {
            if view.kind == RelationKind::View
                && let Some(made) = Translator::new("", &context).view_again(view)?
            {
                statements.push(format!("DROP VIEW {}", names::quote(&view.name)));
                statements.push(made);
            }
        }
        Ok(statements)
    }

    /// Views whose queries call a function, and whether themselves.
    fn views_calling(&self, routine: &Routine) -> Vec<(&Relation, bool)> {
        let mut found = Vec::new();
        for view in self.context.catalog.relations.values() {
            if view.definition.is_none() {
                continue;
            }
            let mut translator = Translator::new("", self.context);
            if translator.view_again(view).is_err() {
                continue;
            }
            let mut calls = translator.called.iter().filter(|(oid, _)| *oid == routine.oid);
            if let Some((_, first)) = calls.next() {
                found.push((view, *first || calls.any(|(_, direct)| *direct)));
            }
        }
        found
    }

    /// What of a table calls a function of a name, for messages.
    fn table_calling(&self, bare: &str) -> Option<String> {
        let calls = |text: &str| {
            syntax::parse_expression(text).is_ok_and(|expr| routine::calls(&expr, bare))
        };
        for relation in self.context.catalog.relations.values() {
            let table = self.shown(&relation.name);
            let of_column = |attribute: &&Attribute| {
                [&attribute.default, &attribute.generated].into_iter().flatten().any(|t| calls(t))
            };
            if let Some(attribute) = relation.attributes.iter().find(of_column) {
                let column = &attribute.name;
                return Some(format!("default value for column {column} of table {table}"));
            }
            let checks =
                |kind: &ConstraintKind| matches!(kind, ConstraintKind::Check(text) if calls(text));
            if let Some(check) = relation.constraints.iter().find(|c| checks(&c.kind)) {
                return Some(format!("constraint {} on table {table}", check.name));
            }
            let of_index = |index: &&crate::sql::catalog::Index| {
                index.columns.iter().chain(&index.predicate).any(|text| calls(text))
            };
            if let Some(index) = relation.indexes.iter().find(of_index) {
                return Some(format!("index {}", self.shown(&index.name)));
            }
        }
        self.context.catalog.types.values().find_map(|kind| match &kind.kind {
            UserTypeKind::Domain { default, checks, .. } => {
                let mut texts = checks.iter().map(|(_, text)| text).chain(default);
                let name = self.shown(&kind.name);
                texts.any(|text| calls(text)).then(|| format!("type {name}"))
            }
            _ => None,
        })
    }
}

impl<'a> Translator<'a> {
    fn check_body(&mut self, routine: &'a Routine) -> Result<(), SqlError> {
        let bare = self.context.catalog.bare(&routine.name);
        let recursive = |error: SqlError| {
            let calls_itself = error.state == SqlState::UNDEFINED_FUNCTION
                && routine::statements(&routine.said)
                    .is_ok_and(|statements| routine::calls(&statements, bare));
            match calls_itself {
                true => SqlError::unsupported(format_args!("the recursive function \"{bare}\"")),
                false => error,
            }
        };
        self.check_routine(routine).map_err(recursive)
    }
}

fn check_parameters(parameters: &[Parameter]) -> Result<(), SqlError> {
    let mut has_default = false;
    for (at, parameter) in parameters.iter().enumerate() {
        let name = &parameter.name;
        let clashes = parameters[..at].iter().any(|other| {
            other.name == *name
                && (other.mode.is_output() == parameter.mode.is_output()
                    || other.mode.is_input() == parameter.mode.is_input()
                    || parameter.mode == Mode::Table)
        });
        if !name.is_empty() && clashes {
            return Err(invalid(format!("parameter name \"{name}\" used more than once")));
        }
        if !parameter.mode.is_input() {
            continue;
        }
        if has_default && parameter.default.is_none() && parameter.mode != Mode::Variadic {
            return Err(invalid(
                "input parameters after one with a default value must also have defaults",
            ));
        }
        has_default |= parameter.default.is_some();
        let behind = &parameters[at + 1..];
        if parameter.mode == Mode::Variadic && behind.iter().any(|other| other.mode.is_input()) {
            return Err(invalid("VARIADIC parameter must be the last input parameter"));
        }
    }
    Ok(())
}

fn check_replacement(old: &Routine, new: &Routine, shown: &str) -> Result<(), SqlError> {
    let hint = format!("Use DROP {} {shown} first.", old.word().to_uppercase());
    let outputs = |said: &Said| -> Vec<(String, RoutineType)> {
        said.outputs().map(|output| (output.name.clone(), output.ty)).collect()
    };
    if old.said.result != new.said.result || old.said.returns_set != new.said.returns_set {
        return Err(invalid("cannot change return type of existing function").with_hint(hint));
    }
    if outputs(&old.said) != outputs(&new.said) {
        return Err(invalid("cannot change return type of existing function")
            .with_detail("Row type defined by OUT parameters is different.")
            .with_hint(hint));
    }
    for (was, is) in old.said.inputs().zip(new.said.inputs()) {
        if !was.name.is_empty() && was.name != is.name {
            let message = format!("cannot change name of input parameter \"{}\"", was.name);
            return Err(invalid(message).with_hint(hint));
        }
        if was.default.is_some() && is.default.is_none() {
            let message = "cannot remove parameter defaults from existing function";
            return Err(invalid(message).with_hint(hint));
        }
    }
    Ok(())
}

/// A function that a statement names, perhaps with the types of its inputs.
struct Named {
    parts: ObjectName,
    inputs: Option<Vec<RoutineType>>,
    /// As messages call it.
    shown: String,
}

impl<'a> Translator<'a> {
    fn named(&mut self, reader: &mut Reader<'_>) -> Result<Named, SqlError> {
        let parts = reader.name()?;
        let bare = names::last(&parts).unwrap_or_default();
        let Some(written) = reader.parameters()? else {
            return Ok(Named { shown: format!("{bare}()"), parts, inputs: None });
        };
        let mut inputs = Vec::new();
        let mut types = Vec::new();
        for parameter in written.into_iter().filter(|parameter| parameter.mode.is_input()) {
            let ty = self.declared_type(&parameter.data_type)?;
            types.push(match self.context.catalog.relation(ty.table) {
                Some(table) => self.shown(&table.name).to_owned(),
                None => self.type_name(ty.oid),
            });
            inputs.push(ty);
        }
        Ok(Named { shown: format!("{bare}({})", types.join(",")), parts, inputs: Some(inputs) })
    }

    fn found(&self, about: About, named: &Named) -> Result<&'a Routine, SqlError> {
        let (schema, bare) = self.qualified(&named.parts)?;
        let all = self.routines_named(schema.as_deref(), &bare);
        let is_kind = |routine: &Routine| match about {
            About::Function => !routine.said.is_procedure,
            About::Procedure => routine.said.is_procedure,
            About::Routine => true,
        };
        let fits = |routine: &&&Routine| match &named.inputs {
            None => is_kind(routine),
            Some(inputs) => routine.said.inputs().map(|input| input.ty).eq(inputs.iter().copied()),
        };
        let found: Vec<&&Routine> = all.iter().filter(fits).collect();
        let (word, shown) = (about.word(), &named.shown);
        match found.as_slice() {
            [one] if is_kind(one) => Ok(one),
            [_] => {
                Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, format!("{shown} is not a {word}")))
            }
            [] if named.inputs.is_none() => Err(SqlError::new(
                SqlState::UNDEFINED_FUNCTION,
                format!("could not find a {word} named \"{bare}\""),
            )),
            [] => Err(SqlError::new(
                SqlState::UNDEFINED_FUNCTION,
                format!("{word} {shown} does not exist"),
            )),
            _ => Err(SqlError::new(
                SqlState("42725"),
                format!("{word} name \"{bare}\" is not unique"),
            )
            .with_hint(format!("Specify the argument list to select the {word} unambiguously."))),
        }
    }
}

/// DROP FUNCTION, PROCEDURE or ROUTINE.
pub(in crate::sql::translate) fn drop_routines(
    text: &str,
    context: &TranslateContext<'_>,
) -> Result<Translated, SqlError> {
    let mut reader = Reader::new(text)?;
    reader.expect("drop")?;
    let word = reader.take_any(&["function", "procedure", "routine"]).unwrap_or_default();
    let about = About::of_word(&word).ok_or_else(|| reader.wrong())?;
    let if_exists = reader.take("if");
    if if_exists {
        reader.expect("exists")?;
    }
    let mut translator = Translator::new(text, context);
    let mut doomed: Vec<&Routine> = Vec::new();
    loop {
        let named = translator.named(&mut reader)?;
        match translator.found(about, &named) {
            Ok(routine) if doomed.iter().any(|known| known.oid == routine.oid) => {}
            Ok(routine) => doomed.push(routine),
            Err(error) if if_exists && error.state == SqlState::UNDEFINED_FUNCTION => {
                let state = SqlState::SUCCESSFUL_COMPLETION;
                let (word, shown) = (about.word(), &named.shown);
                translator.skipped(state, format_args!("{word} {shown} does not exist"));
            }
            Err(error) => return Err(error),
        }
        if !reader.take_token(&Token::Comma) {
            break;
        }
    }
    let cascade = reader.take("cascade");
    if !cascade {
        reader.take("restrict");
    }
    if !reader.is_over() {
        return Err(reader.wrong());
    }
    let tag = about.tag("DROP");
    if doomed.is_empty() {
        let done = translated(Kind::Nothing, tag, Vec::new(), Vec::new());
        return Ok(translator.with_demands(done));
    }
    let dropped: Vec<Object> = doomed.iter().map(|routine| routine_object(routine.oid)).collect();
    translator.cascade(&dropped, cascade)?;
    let mut statements = Vec::new();
    for routine in doomed {
        translator.demand_owner_of_routine(routine);
        statements.extend(translator.dropped(routine, cascade)?);
    }
    statements.extend(rows::touch());
    let kind = Kind::Ddl { rebuild: false };
    Ok(translator.with_demands(translated(kind, tag, Vec::new(), statements)))
}

impl Translator<'_> {
    /// What drops a function, and with CASCADE the views that call it.
    fn dropped(&mut self, routine: &Routine, cascade: bool) -> Result<Vec<String>, SqlError> {
        let catalog = self.context.catalog;
        let bare = catalog.bare(&routine.name);
        let shown = format!("{} {}", routine.word(), routine.with_types(catalog, bare));
        let (word, name) = shown.split_once(' ').unwrap_or_default();
        if let Some(user) = self.table_calling(bare) {
            if cascade {
                return Err(SqlError::unsupported(format_args!("dropping {user} by CASCADE")));
            }
            return Err(super::drop::depended_on(word, name)
                .with_detail(format!("{user} depends on {shown}")));
        }
        let calling = self.views_calling(routine).into_iter().filter(|(_, direct)| *direct);
        let calling: Vec<Oid> = calling.map(|(view, _)| view.oid).collect();
        let mut statements = Vec::new();
        for kind in [RelationKind::View, RelationKind::MaterializedView] {
            let views = catalog.relations.values().filter(|view| calling.contains(&view.oid));
            let doomed: Vec<&Relation> = views.filter(|view| view.kind == kind).collect();
            if !doomed.is_empty() {
                let dropped = self.drop_all(&doomed, true)?;
                statements.extend(dropped.statements.iter().map(|s| s.text.to_string()));
            }
        }
        statements.extend(rows::forget_routine(routine.oid));
        Ok(statements)
    }
}

/// ALTER FUNCTION, PROCEDURE or ROUTINE, but for OWNER TO; `None` for that.
pub(in crate::sql::translate) fn alter_routine(
    text: &str,
    context: &TranslateContext<'_>,
) -> Result<Translated, SqlError> {
    let mut reader = Reader::new(text)?;
    reader.expect("alter")?;
    let word = reader.take_any(&["function", "procedure", "routine"]).unwrap_or_default();
    let about = About::of_word(&word).ok_or_else(|| reader.wrong())?;
    let mut translator = Translator::new(text, context);
    let named = translator.named(&mut reader)?;
    let routine = translator.found(about, &named)?;
    translator.demand_owner_of_routine(routine);
    let oid = routine.oid.0;
    let (schema, bare) = context.catalog.split_name(&routine.name);
    let rename = |translator: &Translator<'_>, schema: &str, name: &str| {
        let stored = context.catalog.stored_name(schema, name);
        let signature = routine.said.signature();
        if context.catalog.overloads(&stored).any(|other| other.said.signature() == signature) {
            let message = format!("function {} already exists in schema \"{schema}\"", named.shown);
            return Err(SqlError::new(SqlState("42723"), message));
        }
        if let Some(user) = translator.table_calling(bare) {
            return Err(SqlError::unsupported(format_args!(
                "renaming a function that {user} calls"
            )));
        }
        if let Some((view, _)) = translator.views_calling(routine).first() {
            let view = translator.shown(&view.name);
            return Err(SqlError::unsupported(format_args!(
                "renaming a function that view {view} calls"
            )));
        }
        let name = names::quote_literal(&stored);
        Ok(vec![format!("UPDATE towline_routine SET name = {name} WHERE oid = {oid}")])
    };
    let mut statements = if reader.take("rename") {
        reader.expect("to")?;
        let name = reader.identifier()?;
        rename(&translator, schema, &name)?
    } else if reader.take("set") {
        if !reader.take("schema") {
            return Err(SqlError::unsupported("a setting of a function"));
        }
        let schema = reader.identifier()?;
        translator.check_schema(&schema)?;
        translator.demand_creation(&schema);
        rename(&translator, &schema, bare)?
    } else {
        let mut made = routine.clone();
        while made.said.option(&mut reader)? {}
        reader.take("restrict");
        let said = serde_json::to_string(&made.said)
            .map_err(|_| SqlError::unsupported("this function"))?;
        let mut statements = vec![format!(
            "UPDATE towline_routine SET said = {} WHERE oid = {oid}",
            names::quote_literal(&said)
        )];
        statements.extend(translator.remade_callers(routine, &made)?);
        statements
    };
    if !reader.is_over() {
        return Err(reader.wrong());
    }
    statements.extend(rows::touch());
    let kind = Kind::Ddl { rebuild: false };
    Ok(translator.with_demands(translated(kind, about.tag("ALTER"), Vec::new(), statements)))
}

/// The function that a text begins with, and what stands behind it.
pub(in crate::sql::translate) fn routine_in<'a, 't>(
    translator: &mut Translator<'a>,
    about: About,
    text: &'t str,
) -> Result<(&'a Routine, &'t str), SqlError> {
    let mut reader = Reader::new(text)?;
    let named = translator.named(&mut reader)?;
    let routine = translator.found(about, &named)?;
    Ok((routine, &text[reader.offset()..]))
}
