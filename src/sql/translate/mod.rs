//! PostgreSQL's SQL, turned into SQLite's.
//!
//! A statement goes through three hands: utility statements (SET, COPY, FETCH, …)
//! are read by a small parser of our own ([`utility`]); everything else is parsed by
//! `sqlparser` and walked once, from the leaves up. Every expression comes back as
//! [`Typed`]: its SQLite text with PostgreSQL's type, for what `a / b` means depends
//! on both. What PostgreSQL would do and SQLite can't is refused with 0A000.
//!
//! Untyped literals and parameters (`'x'`, `$1`, NULL) stay of type `unknown` until
//! something tells what they are (an operand, a column, a cast), as in PostgreSQL.
//!
//! | of                 | files                                                                |
//! |--------------------|----------------------------------------------------------------------|
//! | the text           | `syntax`, `tokens`, `limits`, `clauses`, `features`; `utility`, `copy`, `anonymous` |
//! | names              | `names`, `schema`, `scope`; `access`: who may                        |
//! | queries            | `query`, `with`, `set_operation`, `source`, `set_returning`, `grouping*`, `order`, `locks`, `one_row`, `existence` |
//! | expressions        | `expression`, `operator`, `comparison`, `pattern`, `cast`, `function`, `known`, `aggregate`; `routine`: functions of clients'; `large_object` |
//! | values made of others | `row`, `part`, `json`, `extent`, `user_type`                      |
//! | writes             | `insert`, `update`, `delete`, `merge`; `target`, `current`, `returning`, `steps` |
//! | definitions        | `ddl`; `database`, `role`                                            |

mod access;
mod aggregate;
mod anonymous;
mod cast;
mod clauses;
mod comparison;
mod copy;
mod current;
mod database;
mod ddl;
mod default_access;
mod delete;
mod existence;
mod expression;
mod extent;
mod features;
mod function;
mod grouping;
mod grouping_sets;
mod inference;
mod insert;
mod json;
mod known;
mod large_object;
mod lifted;
mod limits;
mod locks;
mod merge;
pub(in crate::sql) mod names;
mod one_row;
mod operator;
mod order;
mod part;
mod pattern;
mod place;
mod query;
mod returning;
mod role;
mod routine;
mod row;
mod schema;
mod scope;
mod set_operation;
mod set_returning;
mod shapes;
mod source;
mod steps;
mod syntax;
mod target;
mod tokens;
mod update;
mod user_type;
mod utility;
mod view_query;
mod with;

pub(in crate::sql) use self::grouping::has_aggregate as calls_aggregate;
pub(in crate::sql) use self::routine::{calls as calls_routine, statements as statements_of_body};
pub(in crate::sql) use self::set_returning::is_set_returning;
pub(in crate::sql) use self::syntax::parse_whole_expression;
pub(in crate::sql) use self::tokens::as_written;

pub use self::database::{create_database, drop_database, rename_database};
pub use self::default_access::write_default_access;
pub use self::role::{
    add_member, forget_role, oid_of_role, remove_member, rename_settings, role_change,
    write_access, write_column_access, write_role, write_start_setting,
};

use std::cell::RefCell;
use std::sync::Arc;

use sqlparser::ast::{Ident, ObjectName, Statement};

use self::clauses::Clauses;
use self::place::Place;
use self::scope::{Scope, SourceColumn};
use super::determinism::{self, Reads};
use super::translated::{
    Column, Counts, CurrentOf, Demand, Kind, SqliteStatement, Tag, TranslateContext, Translated,
};
use super::types::{self, Family, Type};
use crate::pg::{Oid, Severity, SqlError, SqlState};
use crate::sql::catalog::{Catalog, Relation};

/// Translates one statement.
pub fn translate(statement: &str, context: &TranslateContext<'_>) -> Result<Translated, SqlError> {
    let mut translated = translate_plainly(statement, context)
        .map_err(|error| with_bare_names(error, context.catalog))?;
    access::own(&mut translated, context);
    Ok(translated)
}

/// Messages name what exists without the schema under which it is stored.
fn with_bare_names(mut error: SqlError, catalog: &Catalog) -> SqlError {
    // PostgreSQL names the schema in this one alone.
    if error.message.starts_with("cannot refresh materialized view") {
        return error;
    }
    let shorten = |text: &mut String| {
        let quoted = text.split('"').enumerate().map(|(at, part)| match at % 2 == 1 {
            true if part.contains('.') && catalog.is_stored(part) => catalog.bare(part),
            _ => part,
        });
        *text = quoted.collect::<Vec<_>>().join("\"");
    };
    shorten(&mut error.message);
    [&mut error.detail, &mut error.hint].into_iter().flatten().for_each(shorten);
    error
}

fn translate_plainly(
    statement: &str,
    context: &TranslateContext<'_>,
) -> Result<Translated, SqlError> {
    if let Some(translated) = utility::translate(statement, context)? {
        return Ok(translated);
    }
    if context.sqlite_dialect {
        return syntax::pass_through(statement, context);
    }
    limits::check(statement)?;
    let (plain, clauses) = clauses::take_out(statement)?;
    let parsed = match syntax::parse(
        plain.as_deref().or_else(|| syntax::bare_select(statement)).unwrap_or(statement),
    ) {
        Ok(parsed) => parsed,
        // SQL that only SQLite knows still runs: SQLite judges it.
        Err(error) if syntax::only_sqlite_knows(statement) => {
            return syntax::pass_through(statement, context)
                .map_err(|_| features::judged(error, statement));
        }
        Err(error) => return Err(features::judged(error, statement)),
    };
    let mut translator = Translator::new(statement, context);
    translator.clauses = clauses;
    let translated = translator.statement(&parsed)?;
    translator.check_readable(&translated)?;
    Ok(translator.finish(translated))
}

/// The state of one translation.
struct Translator<'a> {
    text: &'a str,
    context: &'a TranslateContext<'a>,
    /// Types of the parameters seen so far; `UNSPECIFIED` until something tells.
    params: Vec<Oid>,
    /// FROM clauses around the current expression, innermost last.
    scopes: Vec<Scope>,
    /// Common table expressions in sight, innermost last.
    ctes: Vec<CommonTable>,
    /// Whether it calls something that belongs on the leader.
    leader: bool,
    /// Whether it takes or releases advisory locks.
    advisory: bool,
    /// Whether rows are to be locked.
    locks: bool,
    /// What the clauses said that the parser doesn't know.
    clauses: Clauses,
    /// A definition is being read, not the client's text.
    defining: bool,
    /// How deep the walk is.
    depth: usize,
    /// For names that no client can have chosen.
    fresh: usize,
    /// Set-returning functions met in the select list that is being translated.
    set_returning: Vec<SetReturning>,
    /// Where the expression stands that is being translated.
    place: Place,
    /// The grouping set whose select list is being translated.
    grouping_set: Option<grouping_sets::GroupingSet>,
    /// How many statements keep rows for those behind them.
    kept: usize,
    /// Whether rows of RETURNING are packed, for a statement behind this one.
    packing: bool,
    /// What the client should be told besides.
    notices: Vec<SqlError>,
    /// What its user must be allowed.
    demands: RefCell<Vec<Demand>>,
    /// What the rows are that are of no composite type.
    shapes: Vec<row::Shape>,
    /// Functions whose bodies are being read, innermost last.
    frames: Vec<routine::Frame<'a>>,
    /// Names of the common table expressions around those functions' calls, which SQLite
    /// sees in their bodies.
    shadows: Vec<String>,
    /// The functions of clients' that were met, and whether outside of others.
    called: Vec<(Oid, bool)>,
    /// SQLite takes no subquery here.
    expression_only: bool,
    /// The cursor whose row is changed.
    current_of: Option<CurrentOf>,
    /// Whether the tables that are changed have their triggers off, all of them; `None`
    /// where none is.
    triggers_off: Option<bool>,
    /// NOWAIT: what to say where rows can't be locked at once.
    no_wait: Option<String>,
    /// What each `*` is that a view's query has, where that is asked for.
    stars: Option<Vec<view_query::Star>>,
}

/// A common table expression: its name and columns.
#[derive(Clone, Debug)]
struct CommonTable {
    name: String,
    columns: Vec<SourceColumn>,
}

/// A set-returning function that moves from the select list to FROM.
#[derive(Clone, Debug)]
struct SetReturning {
    alias: String,
    /// As a table-valued function.
    sql: String,
}

/// An expression in SQLite's dialect, with PostgreSQL's type.
#[derive(Clone, Debug, PartialEq)]
struct Typed {
    sql: String,
    /// `UNKNOWN` for what has no type of its own yet.
    ty: Type,
    form: Form,
    /// Whether `sql` can be an operand without parentheses.
    atomic: bool,
    /// The column it is, as relation and number; zeros for anything else.
    origin: (Oid, i16),
    /// The name that it gives an output column.
    name: Option<String>,
    /// Whether a cast around it gives its own name instead.
    weak_name: bool,
}

/// What is known of an expression besides its text and type.
#[derive(Clone, Debug, PartialEq)]
enum Form {
    Plain,
    /// A column of a table, whose collation and affinity SQLite knows.
    Column {
        not_null: bool,
    },
    /// `$n`, from 1.
    Parameter(usize),
    /// A string literal, unescaped.
    Text(String),
    /// A numeric literal, in plain decimal notation.
    Number(String),
    Null,
    /// A row constructor's fields.
    Row(Vec<Typed>),
    /// The columns of a table's row.
    Whole(Vec<Typed>),
    /// An array constructor's elements.
    Array(Vec<Typed>),
}

impl Typed {
    fn plain(sql: impl Into<String>, oid: Oid) -> Self {
        Self::of(sql, Type::plain(oid))
    }

    fn of(sql: impl Into<String>, ty: Type) -> Self {
        Self {
            sql: sql.into(),
            ty,
            form: Form::Plain,
            atomic: true,
            origin: (Oid(0), 0),
            name: None,
            weak_name: false,
        }
    }

    /// As [`Typed::plain`], for text that needs parentheses inside an operator.
    fn compound(sql: impl Into<String>, oid: Oid) -> Self {
        Self { atomic: false, ..Self::plain(sql, oid) }
    }

    fn named(self, name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), weak_name: false, ..self }
    }

    /// As [`Typed::named`], until a cast names it otherwise.
    fn named_weakly(self, name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), weak_name: true, ..self }
    }

    fn nameless(self) -> Self {
        Self { name: None, ..self }
    }

    /// The name that survives a cast.
    fn strong_name(&self) -> Option<String> {
        self.name.clone().filter(|_| !self.weak_name)
    }

    /// Its text as an operand.
    fn operand(&self) -> String {
        if self.atomic { self.sql.clone() } else { format!("({})", self.sql) }
    }

    fn oid(&self) -> Oid {
        self.ty.oid
    }

    fn is_unknown(&self) -> bool {
        types::is_unknown(self.ty.oid)
    }

    fn is_null(&self) -> bool {
        self.form == Form::Null
    }
}

/// One column of a query's result.
#[derive(Clone, Debug)]
struct OutputColumn {
    name: String,
    ty: Type,
    origin: (Oid, i16),
    not_null: bool,
}

impl<'a> Translator<'a> {
    fn new(text: &'a str, context: &'a TranslateContext<'a>) -> Self {
        Self {
            text,
            context,
            params: Vec::new(),
            scopes: Vec::new(),
            ctes: Vec::new(),
            leader: false,
            advisory: false,
            locks: false,
            clauses: Clauses::default(),
            defining: false,
            depth: 0,
            fresh: 0,
            set_returning: Vec::new(),
            place: Place::default(),
            grouping_set: None,
            kept: 0,
            packing: false,
            notices: Vec::new(),
            demands: RefCell::default(),
            shapes: Vec::new(),
            frames: Vec::new(),
            shadows: Vec::new(),
            called: Vec::new(),
            expression_only: false,
            current_of: None,
            triggers_off: None,
            no_wait: None,
            stars: None,
        }
    }

    fn statement(&mut self, statement: &Statement) -> Result<Translated, SqlError> {
        match statement {
            Statement::Query(query) => self.top_query(query),
            Statement::Insert(insert) => self.insert(insert, ""),
            Statement::Update(update) => self.update(update, ""),
            Statement::Delete(delete) => self.delete(delete, ""),
            Statement::Merge(merge) => self.merge(merge),
            Statement::Call(call) => self.call_procedure(call),
            other => self.ddl(other),
        }
    }

    /// Fills in what the whole statement has shown: parameter types, and how it ships.
    fn finish(self, mut translated: Translated) -> Translated {
        let given = self.context.param_types;
        let count = self.params.len().max(given.len());
        self.place_kept(&mut translated.statements, count);
        translated.params = (0..count)
            .map(|at| {
                let given = given.get(at).copied().unwrap_or_default();
                let inferred = self.params.get(at).copied().unwrap_or_default();
                match (given, inferred) {
                    (Oid::UNSPECIFIED | Oid::UNKNOWN, Oid::UNSPECIFIED | Oid::UNKNOWN) => Oid::TEXT,
                    (Oid::UNSPECIFIED | Oid::UNKNOWN, inferred) => inferred,
                    (given, _) => given,
                }
            })
            .collect();
        for column in &mut translated.columns {
            column.made = self.made_of(Type { oid: column.oid, typmod: column.typmod });
            if row::has_shape(column.oid) {
                column.typmod = -1;
            }
        }
        translated.notices = self.notices;
        translated.demands = self.demands.into_inner();
        translated.current_of = self.current_of;
        translated.no_wait = self.no_wait;
        let replica =
            self.context.replica && self.context.catalog.roles.is_superuser(self.context.owner);
        translated.keys_off = self.triggers_off.is_some_and(|off| off || replica);
        if let Kind::Read { .. } = translated.kind {
            translated.kind = match (self.leader, self.advisory) {
                (true, _) => Kind::Write,
                (false, true) => Kind::Advisory,
                (false, false) => Kind::Read { for_update: self.locks },
            };
        }
        translated
    }

    /// Something was left undone, as the statement allows: PostgreSQL's NOTICE
    /// `… , skipping`.
    fn skipped(&mut self, state: SqlState, what: std::fmt::Arguments<'_>) {
        let notice = SqlError::new(state, format!("{what}, skipping"));
        self.notices.push(SqlError { severity: Severity::Notice, ..notice });
    }

    /// Parameter `number` (from 1), with its type as far as it is known.
    fn parameter(&mut self, number: usize) -> Result<Typed, SqlError> {
        if let Some(argument) = self.numbered_argument(number) {
            return argument;
        }
        if number == 0 || number > limits::PARAMETERS_MAX {
            return Err(SqlError::new(
                SqlState::UNDEFINED_PARAMETER,
                format!("there is no parameter ${number}"),
            ));
        }
        if self.params.len() < number {
            let from = self.params.len();
            self.params.extend(
                (from..number).map(|at| {
                    self.context.param_types.get(at).copied().unwrap_or(Oid::UNSPECIFIED)
                }),
            );
        }
        let known = self.params[number - 1];
        let oid = if types::is_unknown(known) { Oid::UNKNOWN } else { known };
        Ok(bound(number, oid))
    }

    /// Gives parameter `number` a type, if it has none yet; returns the one it has.
    fn type_parameter(&mut self, number: usize, oid: Oid) -> Oid {
        let slot = &mut self.params[number - 1];
        if types::is_unknown(*slot) {
            *slot = oid;
        }
        *slot
    }

    /// A name that no other part of the statement uses.
    fn fresh_name(&mut self, stem: &str) -> String {
        self.fresh += 1;
        format!("towline_{stem}{}", self.fresh)
    }

    /// Notes what a call of `function` reads.
    fn note_function(&mut self, function: &str) {
        if matches!(function, "pg_cancel_backend" | "pg_terminate_backend") {
            self.demand_signalling();
        }
        if let Some((_, message)) = access::RESERVED.iter().find(|(name, _)| *name == function) {
            self.demand(access::superuser(message));
        }
        match determinism::function_reads(function) {
            Reads::Frozen | Reads::Names | Reads::Session | Reads::Node => {}
            Reads::Leader => self.leader = true,
            Reads::Locks => self.advisory = true,
        }
    }

    /// The character position of an identifier in the statement, from 1.
    fn position(&self, ident: &Ident) -> Option<usize> {
        let location = ident.span.start;
        syntax::position(self.text, location.line, location.column)
    }

    /// Attaches an identifier's position to an error that has none.
    fn at(&self, error: SqlError, ident: &Ident) -> SqlError {
        match (error.position, self.position(ident)) {
            (None, Some(position)) => error.with_position(position),
            _ => error,
        }
    }

    /// A table or view of the database by name, for statements that change it.
    fn target(&self, name: &ObjectName) -> Result<&'a Relation, SqlError> {
        let (schema, table) = self.qualified(name)?;
        if matches!(schema.as_deref(), Some("pg_catalog" | "information_schema")) {
            return Err(SqlError::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                format!("permission denied: \"{table}\" is a system catalog"),
            ));
        }
        if let Some(relation) = self.find_relation(schema.as_deref(), &table) {
            return Ok(relation);
        }
        let shown = match &schema {
            Some(schema) => format!("{schema}.{table}"),
            None => table,
        };
        let error = SqlError::new(
            SqlState::UNDEFINED_TABLE,
            format!("relation \"{shown}\" does not exist"),
        );
        Err(match name.0.first().and_then(|part| part.as_ident()) {
            Some(ident) => self.at(error, ident),
            None => error,
        })
    }

    /// Notes that a statement changes a table's rows.
    fn note_changed(&mut self, table: &Relation) {
        self.triggers_off = Some(self.triggers_off.unwrap_or(true) && table.triggers_off);
    }

    /// Runs `inner` one level deeper; too deep is an error, not an overflow.
    fn deeper<T>(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<T, SqlError>,
    ) -> Result<T, SqlError> {
        if self.depth >= limits::DEPTH_MAX {
            return Err(limits::too_deep());
        }
        self.depth += 1;
        let result = limits::with_stack(|| inner(self));
        self.depth -= 1;
        result
    }
}

/// Parameter `number` as a value of a type. A name that is bound as a regclass or its kin is
/// looked up where it is used.
fn bound(number: usize, oid: Oid) -> Typed {
    let sql = match types::family(oid) {
        Family::Reference => format!("towline_{}(?{number})", types::internal_name(oid)),
        _ => format!("?{number}"),
    };
    Typed { form: Form::Parameter(number), ..Typed::plain(sql, oid) }
}

/// A translation to plain statements of the given kind.
fn translated(kind: Kind, tag: Tag, columns: Vec<Column>, statements: Vec<String>) -> Translated {
    let statements = statements.into_iter().map(shipped).collect();
    Translated {
        kind,
        tag,
        params: Vec::new(),
        columns,
        statements,
        notices: Vec::new(),
        demands: Vec::new(),
        rows_of: None,
        no_wait: None,
        current_of: None,
        keys_off: false,
    }
}

/// A statement that followers run too.
fn shipped(text: String) -> SqliteStatement {
    SqliteStatement { text: Arc::from(text), keeps: None, counts: Counts::Changes }
}

/// The columns that the client sees.
fn result_columns(columns: &[OutputColumn]) -> Vec<Column> {
    columns
        .iter()
        .map(|column| Column {
            name: column.name.clone(),
            oid: if column.ty.oid == Oid::UNKNOWN { Oid::TEXT } else { column.ty.oid },
            typmod: column.ty.typmod,
            table: column.origin.0,
            number: column.origin.1,
            made: None,
        })
        .collect()
}
