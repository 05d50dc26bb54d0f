//! Owners and privileges: what a statement demands of its user, GRANT and REVOKE, and
//! who owns what is made.
//!
//! Demands are noted where names are resolved, and held against the user by the node when
//! the statement runs; what a view reads was demanded of its maker.

use std::collections::BTreeSet;

use sqlparser::ast::{Expr, ObjectType, visit_expressions};

use super::ddl::{About, nothing, routine_in};
use super::utility::Words;
use super::{Translator, default_access, role};
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::catalog::{
    BOOTSTRAP_ROLE, ObjectKind, Relation, Rights, Routine, Sequence, UserType,
};
use crate::sql::scan::{self, Scanner, Token};
use crate::sql::translated::{
    ColumnRights, Counts, Demand, Grantee, Kind, Owned, RoleChange, SqliteStatement, Tag,
    TranslateContext, Translated,
};

/// How a statement begins that allots OIDs, before the count.
const ALLOTS: &str = "UPDATE towline_oid SET next = next + ";
/// The role that may stop what other sessions do.
const SIGNALS_BACKENDS: Oid = Oid(4200);
/// The first OID that is not PostgreSQL's own.
const FIRST_MADE: Oid = Oid(16_384);
/// OIDs from here on follow from the names of what came with a file.
const HASHED: u32 = 0x4000_0000;

/// Functions that superusers may call, and what others are told.
pub(super) const RESERVED: &[(&str, &str)] = &[
    ("pg_reload_conf", "permission denied for function pg_reload_conf"),
    ("pg_stat_reset", "permission denied for function pg_stat_reset"),
    ("pg_stat_reset_shared", "permission denied for function pg_stat_reset_shared"),
    (
        "pg_stat_reset_single_table_counters",
        "permission denied for function pg_stat_reset_single_table_counters",
    ),
];

/// A demand for a superuser.
pub(super) fn superuser(message: &'static str) -> Demand {
    Demand::Member { role: BOOTSTRAP_ROLE, message }
}

/// `rights`, and to read where the statement does.
pub(super) fn reading(rights: Rights, reads: bool) -> Rights {
    if reads { rights.with(Rights::SELECT) } else { rights }
}

/// Whether an expression reads columns.
pub(super) fn reads(expr: &Expr) -> bool {
    visit_expressions(expr, |part: &Expr| match part {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => std::ops::ControlFlow::Break(()),
        _ => std::ops::ControlFlow::Continue(()),
    })
    .is_break()
}

/// Lets what a statement makes belong to its user, and forgets the owners of what is gone.
pub(super) fn own(translated: &mut Translated, context: &TranslateContext<'_>) {
    if !matches!(translated.kind, Kind::Ddl { .. }) {
        return;
    }
    let counts = translated.statements.iter().filter_map(|s| s.text.strip_prefix(ALLOTS));
    let allotted: u32 = counts.filter_map(|count| count.parse::<u32>().ok()).sum();
    if allotted > 0 && context.owner != BOOTSTRAP_ROLE {
        let owner = context.owner.0;
        for (kind, table) in [
            (ObjectKind::Table, "relation"),
            (ObjectKind::Sequence, "sequence"),
            (ObjectKind::Schema, "schema"),
            (ObjectKind::Type, "type"),
            (ObjectKind::Routine, "routine"),
        ] {
            translated.statements.push(uncounted(format!(
                "INSERT INTO towline_access (class, object, owner) SELECT {}, oid, {owner} FROM \
                 towline_{table} WHERE oid >= (SELECT next - {allotted} FROM towline_oid)",
                kind.class()
            )));
        }
    }
    if allotted > 0 {
        translated.statements.extend(default_access::give(allotted, context));
    }
    let drops = matches!(translated.tag, Tag::Fixed(tag) if tag.starts_with("DROP "));
    if drops && !context.catalog.default_access.is_empty() {
        translated.statements.push(uncounted(
            "DELETE FROM towline_default_access WHERE schema >= 16384 AND schema NOT IN (SELECT \
             oid FROM towline_schema)"
                .to_owned(),
        ));
    }
    if drops && !context.catalog.column_access.is_empty() {
        translated.statements.push(uncounted(
            "DELETE FROM towline_column_access WHERE relation NOT IN (SELECT oid FROM \
             towline_relation)"
                .to_owned(),
        ));
    }
    if (drops || allotted > 0) && !context.catalog.access.is_empty() {
        translated.statements.push(uncounted(format!(
            "DELETE FROM towline_access WHERE object BETWEEN 16384 AND {} AND class <> {} AND \
             object NOT IN (SELECT oid FROM towline_relation UNION ALL SELECT oid FROM \
             towline_sequence UNION ALL SELECT oid FROM towline_schema UNION ALL SELECT oid FROM \
             towline_type UNION ALL SELECT oid FROM towline_routine UNION ALL SELECT oid FROM \
             towline_database)",
            HASHED - 1,
            ObjectKind::Database.class()
        )));
    }
}

/// A statement whose changes the client is not told.
pub(super) fn uncounted(text: String) -> SqliteStatement {
    SqliteStatement { counts: Counts::Nothing, ..super::shipped(text) }
}

impl Translator<'_> {
    pub(super) fn demand(&self, demand: Demand) {
        // A definition's demands were its maker's.
        if !self.defining && !self.demands.borrow().contains(&demand) {
            self.demands.borrow_mut().push(demand);
        }
    }

    /// Hands what was demanded so far to a translation that is not finished otherwise.
    pub(super) fn demanding(self, mut translated: Translated) -> Translated {
        translated.demands = self.demands.into_inner();
        translated
    }

    pub(super) fn demand_table(&self, relation: &Relation, rights: Rights) {
        self.demand(Demand::Rights { kind: ObjectKind::Table, object: relation.oid, rights });
    }

    /// A column, by its table's OID and its number, for which a right on its table is
    /// needed; other places are passed over.
    pub(super) fn demand_column(&self, (table, number): (Oid, i16), wanted: Rights) {
        if self.defining || table < FIRST_MADE || number <= 0 {
            return;
        }
        let mut demands = self.demands.borrow_mut();
        let known = demands.iter_mut().find_map(|demand| match demand {
            Demand::Columns { table: known, right, numbers } => {
                (*known == table && *right == wanted).then_some(numbers)
            }
            _ => None,
        });
        match known {
            Some(numbers) => drop(numbers.insert(number)),
            None => {
                let numbers = BTreeSet::from([number]);
                demands.push(Demand::Columns { table, right: wanted, numbers });
            }
        }
    }

    /// Columns of a table by their names.
    pub(super) fn demand_columns(&self, relation: &Relation, names: &[String], wanted: Rights) {
        for (number, attribute) in (1..).zip(&relation.attributes) {
            if names.contains(&attribute.name) {
                self.demand_column((relation.oid, number), wanted);
            }
        }
    }

    pub(super) fn demand_sequence(&self, stored: &str, rights: Rights) {
        if let Some(sequence) = self.context.catalog.sequences.get(stored) {
            let (kind, object) = (ObjectKind::Sequence, sequence.oid);
            self.demand(Demand::Rights { kind, object, rights });
        }
    }

    /// To do something with the database as a whole.
    pub(super) fn demand_database(&self, rights: Rights) {
        let object = self.context.catalog.own_oid();
        self.demand(Demand::Rights { kind: ObjectKind::Database, object, rights });
    }

    /// To make something in a schema, which for temporary objects is the session's own.
    pub(super) fn demand_creation(&self, schema: &str) {
        if schema == self.context.temporary_schema {
            return self.demand_database(Rights::TEMPORARY);
        }
        let (kind, object) = (ObjectKind::Schema, self.schema_oid(schema));
        self.demand(Demand::Rights { kind, object, rights: Rights::CREATE });
    }

    pub(super) fn schema_oid(&self, schema: &str) -> Oid {
        Oid(u32::try_from(self.context.catalog.schema_oid(schema)).unwrap_or(0))
    }

    pub(super) fn demand_owner_of(&self, relation: &Relation) {
        self.demand_owner(ObjectKind::Table, relation.oid, relation.kind.word(), &relation.name);
    }

    pub(super) fn demand_owner_of_sequence(&self, sequence: &Sequence) {
        self.demand_owner(ObjectKind::Sequence, sequence.oid, "sequence", &sequence.name);
    }

    pub(super) fn demand_owner_of_type(&self, kind: &UserType) {
        self.demand_owner(ObjectKind::Type, kind.oid, "type", &kind.name);
    }

    pub(super) fn demand_owner_of_routine(&self, routine: &Routine) {
        self.demand_owner(ObjectKind::Routine, routine.oid, routine.word(), &routine.name);
    }

    pub(super) fn demand_owner_of_schema(&self, schema: &str) {
        self.demand_owner(ObjectKind::Schema, self.schema_oid(schema), "schema", schema);
    }

    /// Of a table, a view, a sequence, or the table of an index.
    pub(super) fn demand_owner_of_stored(&self, stored: &str) {
        let catalog = self.context.catalog;
        if let Some(relation) = catalog.relations.get(stored) {
            self.demand_owner_of(relation);
        } else if let Some(sequence) = catalog.sequences.get(stored) {
            self.demand_owner_of_sequence(sequence);
        } else if let Some((relation, _)) = self.find_index(stored) {
            self.demand_owner_of(relation);
        }
    }

    /// Of all that DROP names.
    pub(super) fn demand_owners(&self, kind: &ObjectType, wanted: &[String]) {
        for stored in wanted {
            match kind {
                // Schemas and types are asked for where they are dropped.
                ObjectType::Schema | ObjectType::Type => {}
                _ => self.demand_owner_of_stored(stored),
            }
        }
    }

    fn demand_owner(&self, kind: ObjectKind, object: Oid, word: &'static str, stored: &str) {
        let name = self.context.catalog.bare(stored).to_owned();
        self.demand(Demand::Owner { kind, object, word, name });
    }

    /// To stop other sessions, or what they do.
    pub(super) fn demand_signalling(&self) {
        let message = "must be a superuser or a member of pg_signal_backend to signal sessions";
        self.demand(Demand::Member { role: SIGNALS_BACKENDS, message });
    }

    /// An object that GRANT, REVOKE or OWNER TO names.
    fn owned(&self, said: Said, parts: Vec<String>) -> Result<Owned, SqlError> {
        let catalog = self.context.catalog;
        let shown = parts.join(".");
        let missing = |what: &str, state| {
            Err(SqlError::new(state, format!("{what} \"{shown}\" does not exist")))
        };
        if said == Said::Schema {
            let name = shown.clone();
            self.check_schema(&name)?;
            let object = self.schema_oid(&name);
            return Ok(Owned { kind: ObjectKind::Schema, object, word: "schema", name });
        }
        if said == Said::Database {
            // The node knows the first one's name.
            let number = match catalog.databases.get(&shown) {
                Some(number) => *number,
                None if shown == self.context.database => catalog.database,
                None => return missing("database", SqlState::INVALID_CATALOG_NAME),
            };
            let kind = ObjectKind::Database;
            return Ok(Owned { kind, object: Oid(number), word: "database", name: shown });
        }
        let (schema, name) = self.qualified_parts(parts)?;
        if said == Said::Type {
            let found = catalog.find_stored(schema.as_deref(), &name, &self.path(), |stored| {
                catalog.types.contains_key(stored)
            });
            return match found.and_then(|stored| catalog.types.get(&stored)) {
                Some(found) => {
                    Ok(Owned { kind: ObjectKind::Type, object: found.oid, word: "type", name })
                }
                None => missing("type", SqlState::UNDEFINED_OBJECT),
            };
        }
        if let Some(relation) = self.find_relation(schema.as_deref(), &name) {
            let (kind, word) = (ObjectKind::Table, relation.kind.word());
            return Ok(Owned { kind, object: relation.oid, word, name });
        }
        let sequence = self.find_sequence(schema.as_deref(), &name);
        match sequence.and_then(|stored| catalog.sequences.get(&stored)) {
            Some(sequence) => {
                let (kind, object) = (ObjectKind::Sequence, sequence.oid);
                Ok(Owned { kind, object, word: "sequence", name })
            }
            None => missing("relation", SqlState::UNDEFINED_TABLE),
        }
    }

    /// All tables, or sequences, of a schema.
    fn all_in(&self, said: Said, schema: &str) -> Result<Vec<Owned>, SqlError> {
        self.check_schema(schema)?;
        let catalog = self.context.catalog;
        let here = |stored: &str| catalog.split_name(stored).0 == schema;
        let owned = |kind, object, word, stored: &str| Owned {
            kind,
            object,
            word,
            name: catalog.bare(stored).to_owned(),
        };
        if said == Said::Sequence {
            let sequences = catalog.sequences.values().filter(|sequence| here(&sequence.name));
            let found = sequences
                .map(|found| owned(ObjectKind::Sequence, found.oid, "sequence", &found.name));
            return Ok(found.collect());
        }
        let relations = catalog.relations.values().filter(|relation| here(&relation.name));
        let found = relations
            .map(|found| owned(ObjectKind::Table, found.oid, found.kind.word(), &found.name));
        Ok(found.collect())
    }
}

/// What kind of objects a statement says that it names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Said {
    Table,
    Sequence,
    Schema,
    Database,
    Type,
    /// Of kinds that have no privileges here.
    Other,
}

impl Said {
    fn of_word(word: &str) -> Option<Self> {
        Some(match word {
            "table" | "view" | "materialized" | "index" => Self::Table,
            "sequence" => Self::Sequence,
            "schema" => Self::Schema,
            "database" => Self::Database,
            "type" | "domain" => Self::Type,
            "function" | "procedure" | "routine" | "language" | "large" | "foreign"
            | "tablespace" | "parameter" => Self::Other,
            _ => return None,
        })
    }
}

/// `ALTER kind [IF EXISTS] name OWNER TO role`, behind ALTER; `None` if it is none.
pub(super) fn owner_change(
    text: &str,
    mut scanner: Scanner<'_>,
    context: &TranslateContext<'_>,
) -> Option<Result<Translated, SqlError>> {
    const KINDS: [(&str, &str); 10] = [
        ("table", "ALTER TABLE"),
        ("view", "ALTER VIEW"),
        ("materialized", "ALTER MATERIALIZED VIEW"),
        ("sequence", "ALTER SEQUENCE"),
        ("schema", "ALTER SCHEMA"),
        ("type", "ALTER TYPE"),
        ("domain", "ALTER DOMAIN"),
        ("function", "ALTER FUNCTION"),
        ("procedure", "ALTER PROCEDURE"),
        ("routine", "ALTER ROUTINE"),
    ];
    let (word, tag) = KINDS.into_iter().find(|(word, _)| scanner.take_word(word))?;
    if word == "materialized" {
        scanner.take_word("view");
    }
    let if_exists = scanner.take_word("if");
    if if_exists && !scanner.take_word("exists") {
        return None;
    }
    if let Some(about) = About::of_word(word) {
        return routine_owner_change(text, scanner, context, about, tag);
    }
    scanner.take_word("only");
    let mut parts = Vec::new();
    loop {
        parts.push(scan::identifier(scanner.next().ok()??)?);
        if !scanner.take_symbol(b'.') {
            break;
        }
    }
    if !(scanner.take_word("owner") && scanner.take_word("to")) {
        return None;
    }
    let mut words = Words { text, scanner };
    let read = |words: &mut Words<'_>| -> Result<Translated, SqlError> {
        let to = role::role_name(words)?;
        let said = Said::of_word(word).unwrap_or(Said::Other);
        let translator = Translator::new(text, context);
        let object = match translator.owned(said, parts) {
            Err(_) if if_exists => return Ok(nothing(tag)),
            found => found?,
        };
        words.done(Kind::Role(RoleChange::Own { object, to }), tag)
    };
    Some(read(&mut words))
}

/// As [`owner_change`], behind `ALTER FUNCTION`.
fn routine_owner_change(
    text: &str,
    scanner: Scanner<'_>,
    context: &TranslateContext<'_>,
    about: About,
    tag: &'static str,
) -> Option<Result<Translated, SqlError>> {
    let mut translator = Translator::new(text, context);
    let (routine, rest) = routine_in(&mut translator, about, scanner.rest()).ok()?;
    let mut words = Words { text, scanner: Scanner::new(rest) };
    if !(words.take("owner") && words.take("to")) {
        return None;
    }
    let name = context.catalog.bare(&routine.name).to_owned();
    let (kind, word) = (ObjectKind::Routine, routine.word());
    let object = Owned { kind, object: routine.oid, word, name };
    let to = role::role_name(&mut words);
    Some(to.and_then(|to| words.done(Kind::Role(RoleChange::Own { object, to }), tag)))
}

/// GRANT or REVOKE of privileges, behind that word.
pub(super) fn change(
    grants: bool,
    text: &str,
    words: &mut Words<'_>,
    context: &TranslateContext<'_>,
) -> Result<Translated, SqlError> {
    let tag = if grants { "GRANT" } else { "REVOKE" };
    let (mut option, rights, columns) = rights(words, grants)?;
    let all = words.take("all");
    let mut ahead = words.scanner;
    let kind = match ahead.next() {
        Ok(Some(Token::Word(word))) => {
            let word = word.to_ascii_lowercase();
            let singular = if all { word.strip_suffix('s').unwrap_or(&word) } else { &word };
            // A table may have such a name.
            let named = matches!(ahead.peek(), Some(Token::Word(next)) if !all
                && (next.eq_ignore_ascii_case("to") || next.eq_ignore_ascii_case("from")));
            Said::of_word(singular).filter(|_| !named)
        }
        _ => None,
    };
    if kind.is_some() {
        words.scanner = ahead;
    }
    let kind = kind.unwrap_or(Said::Table);
    if kind == Said::Other || kind == Said::Type {
        // What has none of its own anybody may use.
        return Ok(nothing(tag));
    }
    let translator = Translator::new(text, context);
    let mut objects = Vec::new();
    if all {
        words.expect("in")?;
        words.expect("schema")?;
    }
    loop {
        let mut parts = vec![words.name()?];
        while words.scanner.take_symbol(b'.') {
            parts.push(words.name()?);
        }
        if all {
            objects.extend(translator.all_in(kind, &parts.join("."))?);
        } else {
            objects.push(translator.owned(kind, parts)?);
        }
        if !words.scanner.take_symbol(b',') {
            break;
        }
    }
    let grantees = grantees(words, grants, &mut option)?;
    for object in &objects {
        check_fit(rights, object.kind.rights(), object.kind.word())?;
        if !columns.is_empty() && object.kind != ObjectKind::Table {
            let message = "column privileges are only valid for relations";
            return Err(SqlError::new(SqlState("0LP01"), message));
        }
    }
    for listed in &columns {
        check_fit(listed.rights, Rights::ON_COLUMNS, "column")?;
    }
    let change = RoleChange::Rights { grants, objects, rights, columns, grantees, option };
    words.done(Kind::Role(change), tag)
}

/// To whom, or from whom; `option` is set where WITH GRANT OPTION is said.
pub(super) fn grantees(
    words: &mut Words<'_>,
    grants: bool,
    option: &mut bool,
) -> Result<Vec<Grantee>, SqlError> {
    words.expect(if grants { "to" } else { "from" })?;
    let mut grantees = Vec::new();
    loop {
        words.take("group");
        let mut ahead = words.scanner;
        if ahead.take_word("public") {
            words.scanner = ahead;
            grantees.push(Grantee::Everybody);
        } else {
            grantees.push(Grantee::Role(role::role_name(words)?));
        }
        if !words.scanner.take_symbol(b',') {
            break;
        }
    }
    if grants && words.take("with") {
        words.expect("grant")?;
        words.expect("option")?;
        *option = true;
    }
    if words.take("granted") {
        words.expect("by")?;
        role::role_name(words)?;
    }
    let _ = words.take("cascade") || words.take("restrict");
    Ok(grantees)
}

/// `[GRANT OPTION FOR] … ON`: whether the option alone is taken, which rights, and which on
/// columns alone; `ALL [PRIVILEGES]` is `None`.
pub(super) fn rights(
    words: &mut Words<'_>,
    grants: bool,
) -> Result<(bool, Option<Rights>, Vec<ColumnRights>), SqlError> {
    let option = !grants && words.take("grant");
    if option {
        words.expect("option")?;
        words.expect("for")?;
    }
    let (rights, columns) = listed_rights(words)?;
    words.expect("on")?;
    Ok((option, rights, columns))
}

/// Refuses rights that objects of a kind, which has `known`, have none of; `word` is how the
/// error calls them.
pub(super) fn check_fit(rights: Option<Rights>, known: Rights, word: &str) -> Result<(), SqlError> {
    let unfit = rights.map(|rights| rights.without(known));
    match unfit.and_then(|rights| rights.names().next()) {
        Some(what) => {
            let message = format!("invalid privilege type {what} for {word}");
            Err(SqlError::new(SqlState("0LP01"), message))
        }
        None => Ok(()),
    }
}

fn listed_rights(words: &mut Words<'_>) -> Result<(Option<Rights>, Vec<ColumnRights>), SqlError> {
    let mut columns = Vec::new();
    if words.take("all") {
        words.take("privileges");
        let Some(listed) = column_list(words)? else { return Ok((None, columns)) };
        columns.push(ColumnRights { rights: None, columns: listed });
        return Ok((Some(Rights::NONE), columns));
    }
    let mut rights = Rights::NONE;
    loop {
        let name = words.name()?;
        let right = Rights::named(&name).ok_or_else(|| {
            let message = format!("unrecognized privilege type \"{name}\"");
            SqlError::new(SqlState::SYNTAX_ERROR, message)
        })?;
        match column_list(words)? {
            Some(listed) => columns.push(ColumnRights { rights: Some(right), columns: listed }),
            None => rights = rights.with(right),
        }
        if !words.scanner.take_symbol(b',') {
            return Ok((Some(rights), columns));
        }
    }
}

/// `(column, …)`, if it stands here.
fn column_list(words: &mut Words<'_>) -> Result<Option<Vec<String>>, SqlError> {
    if !words.scanner.take_symbol(b'(') {
        return Ok(None);
    }
    let mut columns = vec![words.name()?];
    while words.scanner.take_symbol(b',') {
        columns.push(words.name()?);
    }
    match words.scanner.take_symbol(b')') {
        true => Ok(Some(columns)),
        false => Err(words.syntax_error()),
    }
}
