//! Utility statements, read word by word: transactions, settings, prepared
//! statements, cursors, LISTEN and kin. The queries inside them (`DECLARE c CURSOR
//! FOR …`) are handed on as text.

use super::{Translator, access, copy, database, default_access, names, role, translated};
use crate::pg::types::interval::Interval;
use crate::pg::{Oid, SqlError, SqlState};
use crate::sql::catalog::{ObjectKind, Relation, RelationKind, Rights};
use crate::sql::classify::{TransactionModes, locks_for_reading, transaction_modes};
use crate::sql::scan::{self, Scanner, Token};
use crate::sql::translated::{Demand, Kind, Movement, Tag, TranslateContext, Translated};
use crate::sql::types;

/// Translates a utility statement; `None` if it is none.
pub(super) fn translate(
    text: &str,
    context: &TranslateContext<'_>,
) -> Result<Option<Translated>, SqlError> {
    let mut words = Words { text, scanner: Scanner::new(text) };
    let first = match words.scanner.next() {
        Ok(Some(token)) => token,
        Ok(None) => return Ok(Some(plain(Kind::Empty, ""))),
        Err(error) => return Err(error.into_error(text)),
    };
    let Token::Word(word) = first else { return Ok(None) };
    let translated = match word.to_ascii_lowercase().as_str() {
        "begin" => words.begin("BEGIN")?,
        "start" => {
            words.expect("transaction")?;
            words.begin("START TRANSACTION")?
        }
        "commit" | "end" => {
            if words.take("prepared") {
                return Err(words.no_prepared_transaction()?);
            }
            let chain = words.and_chain()?;
            words.done(Kind::Commit { chain }, "COMMIT")?
        }
        "rollback" | "abort" => words.rollback()?,
        "savepoint" => {
            let name = words.name()?;
            words.done(Kind::Savepoint(name), "SAVEPOINT")?
        }
        "release" => {
            words.take("savepoint");
            let name = words.name()?;
            words.done(Kind::Release(name), "RELEASE")?
        }
        "set" if words.take("constraints") => words.set_constraints(context)?,
        "set" => words.set()?,
        "show" => words.show()?,
        "reset" => words.reset()?,
        "discard" => {
            let what = words.name()?;
            let tag = match what.as_str() {
                "all" => "DISCARD ALL",
                "plans" => "DISCARD PLANS",
                "sequences" => "DISCARD SEQUENCES",
                "temp" | "temporary" => "DISCARD TEMP",
                _ => return Err(words.syntax_error()),
            };
            words.done(Kind::Discard(what), tag)?
        }
        "prepare" => words.prepare(context)?,
        "execute" => words.execute()?,
        "deallocate" => {
            words.take("prepare");
            let all = words.take("all");
            let name = if all { None } else { Some(words.name()?) };
            words.done(Kind::Deallocate(name), if all { "DEALLOCATE ALL" } else { "DEALLOCATE" })?
        }
        "declare" => words.declare()?,
        "fetch" => words.fetch(false)?,
        "move" => words.fetch(true)?,
        "close" => {
            let all = words.take("all");
            let name = if all { None } else { Some(words.name()?) };
            words.done(Kind::Close(name), if all { "CLOSE CURSOR ALL" } else { "CLOSE CURSOR" })?
        }
        "listen" => {
            let channel = words.name()?;
            words.done(Kind::Listen(channel), "LISTEN")?
        }
        "unlisten" => {
            let channel = if words.scanner.take_symbol(b'*') { None } else { Some(words.name()?) };
            words.done(Kind::Unlisten(channel), "UNLISTEN")?
        }
        "notify" => {
            let channel = words.name()?;
            let payload =
                if words.scanner.take_symbol(b',') { words.string()? } else { String::new() };
            words.done(Kind::Notify { channel, payload }, "NOTIFY")?
        }
        "lock" => words.lock(context)?,
        "vacuum" => words.vacuum(),
        "analyze" | "analyse" => words.analyze(context)?,
        "table" => {
            let select = format!("SELECT * FROM {}", words.scanner.rest());
            return super::translate(&select, context).map(Some);
        }
        "create" if words.take("database") => database::create(&mut words)?,
        "drop" if words.take("database") => database::drop(&mut words)?,
        "alter" if words.take("database") => database::alter(&mut words)?,
        "create" if let Some(word) = role::take_word(&mut words) => role::create(word, &mut words)?,
        "alter" if let Some(word) = role::take_word(&mut words) => role::alter(word, &mut words)?,
        "create" if words.makes_routine() => {
            return super::ddl::create_routine(text, context).map(Some);
        }
        "drop" if words.names_routine() => {
            return super::ddl::drop_routines(text, context).map(Some);
        }
        "drop" if words.take("owned") => return Err(SqlError::unsupported("DROP OWNED")),
        "drop" if role::take_word(&mut words).is_some() => role::drop(&mut words)?,
        "grant" if role::is_membership(words.scanner) => role::grant(&mut words)?,
        "revoke" if role::is_membership(words.scanner) => role::revoke(&mut words)?,
        "create" if words.take("sequence") => {
            return super::ddl::create_sequence(text, words.scanner, context).map(Some);
        }
        "alter" if let Some(change) = access::owner_change(text, words.scanner, context) => change?,
        "alter" if words.names_routine() => {
            return super::ddl::alter_routine(text, context).map(Some);
        }
        "alter" if words.take("default") => {
            words.expect("privileges")?;
            return default_access::change(text, &mut words, context).map(Some);
        }
        "alter" if let Some(changed) = words.storage(context) => changed?,
        "alter" if words.take("domain") => {
            return super::ddl::alter_domain(text, words.scanner, context).map(Some);
        }
        "alter" if let Some(kind) = words.view() => {
            return super::ddl::alter_view(text, words.scanner, kind, context).map(Some);
        }
        "create" if words.take("rule") => return Err(SqlError::unsupported("CREATE RULE")),
        "alter" if words.take("sequence") => {
            return super::ddl::alter_sequence(text, words.scanner, context).map(Some);
        }
        "copy" => return copy::translate(text, words.scanner, context).map(Some),
        "explain" => return explain(text, words.scanner, context),
        "checkpoint" => plain(Kind::Nothing, "CHECKPOINT"),
        "load" => plain(Kind::Nothing, "LOAD"),
        "comment" => {
            return super::ddl::comment_on(text, words.scanner, context).map(Some);
        }
        "grant" => access::change(true, text, &mut words, context)?,
        "revoke" => access::change(false, text, &mut words, context)?,
        "reassign" => role::reassign(&mut words)?,
        "security" => plain(Kind::Nothing, "SECURITY LABEL"),
        "cluster" => plain(Kind::Nothing, "CLUSTER"),
        "reindex" => {
            translated(Kind::Write, Tag::Fixed("REINDEX"), Vec::new(), vec!["REINDEX".to_owned()])
        }
        "refresh" => return super::ddl::refresh(text, words.scanner, context).map(Some),
        "do" => return super::anonymous::translate(text, words.scanner, context).map(Some),
        "import" => return Err(SqlError::unsupported("IMPORT FOREIGN SCHEMA")),
        "attach" | "detach" => return Err(SqlError::unsupported("ATTACH")),
        _ => return Ok(None),
    };
    Ok(Some(translated))
}

fn plain(kind: Kind, tag: &'static str) -> Translated {
    translated(kind, Tag::Fixed(tag), Vec::new(), Vec::new())
}

/// EXPLAIN: SQLite's plan of the inner statement, in PostgreSQL's one text column.
fn explain(
    text: &str,
    mut scanner: Scanner<'_>,
    context: &TranslateContext<'_>,
) -> Result<Option<Translated>, SqlError> {
    let (mut json, mut analyze) = (false, false);
    // What a query in parentheses begins with is no option.
    let mut ahead = scanner;
    let options = ahead.take_symbol(b'(')
        && !["select", "with", "values", "table"].iter().any(|word| ahead.take_word(word))
        && !ahead.take_symbol(b'(');
    if options && scanner.take_symbol(b'(') {
        loop {
            if scanner.take_word("format") {
                json = scanner.take_word("json");
                if !json && !scanner.take_word("text") {
                    return Err(SqlError::unsupported("this FORMAT of EXPLAIN"));
                }
            } else if scanner.take_word("analyze") || scanner.take_word("analyse") {
                analyze = !scanner.take_word("false") && !scanner.take_word("off");
            }
            match scanner.next().map_err(|error| error.into_error(text))? {
                Some(Token::Symbol(b')')) => break,
                Some(_) => {}
                None => return Err(super::syntax::syntax_error("", None)),
            }
        }
    }
    while scanner.take_word("verbose")
        || scanner.take_word("query")
        || scanner.take_word("plan")
        || scanner.take_word("analyze")
        || scanner.take_word("analyse")
    {}
    let inner = super::translate(scanner.rest(), context)?;
    let column = crate::sql::translated::Column {
        name: "QUERY PLAN".to_owned(),
        oid: if json { Oid::JSON } else { Oid::TEXT },
        typmod: -1,
        table: Oid(0),
        number: 0,
        made: None,
    };
    let explained = |analyze, prepared, statements| {
        let kind = Kind::Explain { json, analyze, prepared };
        translated(kind, Tag::Fixed("EXPLAIN"), vec![column], statements)
    };
    let (last, reads) = match (inner.kind, inner.statements.last()) {
        (Kind::Execute { name, arguments }, _) => {
            return Ok(Some(explained(analyze, Some((name, arguments)), Vec::new())));
        }
        (Kind::Read { .. }, Some(last)) => (last, true),
        (Kind::Write, Some(last)) => (last, false),
        _ => return Err(SqlError::unsupported("EXPLAIN of this statement")),
    };
    let plan = format!("EXPLAIN QUERY PLAN {}", last.text);
    let mut explained = explained(analyze && reads, None, vec![plan]);
    // What is explained, for ANALYZE and for the command's name.
    explained.statements.push(last.clone());
    explained.params = inner.params;
    explained.demands = inner.demands;
    Ok(Some(explained))
}

/// A statement being read word by word.
pub(super) struct Words<'a> {
    pub(super) text: &'a str,
    pub(super) scanner: Scanner<'a>,
}

impl Words<'_> {
    /// Whether `[OR REPLACE] FUNCTION` or `PROCEDURE` comes next.
    fn makes_routine(&self) -> bool {
        let mut ahead = self.scanner;
        if ahead.take_word("or") {
            ahead.take_word("replace");
        }
        ahead.take_word("function") || ahead.take_word("procedure")
    }

    /// What kind of view comes next, if one does.
    fn view(&mut self) -> Option<RelationKind> {
        let kind = match self.take("materialized") {
            true => RelationKind::MaterializedView,
            false => RelationKind::View,
        };
        self.take("view").then_some(kind)
    }

    fn names_routine(&self) -> bool {
        let mut ahead = self.scanner;
        ["function", "procedure", "routine"].iter().any(|word| ahead.take_word(word))
    }

    pub(super) fn take(&mut self, word: &str) -> bool {
        self.scanner.take_word(word)
    }

    pub(super) fn expect(&mut self, word: &str) -> Result<(), SqlError> {
        if self.take(word) { Ok(()) } else { Err(self.syntax_error()) }
    }

    pub(super) fn next(&mut self) -> Result<Token<'_>, SqlError> {
        let text = self.text;
        match self.scanner.next() {
            Ok(Some(token)) => Ok(token),
            Ok(None) => Err(super::syntax::syntax_error("", Some(text.chars().count() + 1))),
            Err(error) => Err(error.into_error(text)),
        }
    }

    /// An error at the next token.
    pub(super) fn syntax_error(&self) -> SqlError {
        let mut ahead = self.scanner;
        match ahead.next() {
            Ok(Some(_)) => {
                let near = &self.text[ahead.start..ahead.offset()];
                let at = self.text[..ahead.start].chars().count() + 1;
                super::syntax::syntax_error(near, Some(at))
            }
            _ => super::syntax::syntax_error("", Some(self.text.chars().count() + 1)),
        }
    }

    /// An identifier.
    pub(super) fn name(&mut self) -> Result<String, SqlError> {
        let error = self.syntax_error();
        scan::identifier(self.next()?).ok_or(error)
    }

    /// A string literal.
    pub(super) fn string(&mut self) -> Result<String, SqlError> {
        let error = self.syntax_error();
        match self.next()? {
            Token::Literal(literal) => scan::literal(literal).ok_or(error),
            _ => Err(error),
        }
    }

    /// Ends the statement.
    pub(super) fn done(&mut self, kind: Kind, tag: &'static str) -> Result<Translated, SqlError> {
        match self.scanner.peek() {
            None => Ok(plain(kind, tag)),
            Some(_) => Err(self.syntax_error()),
        }
    }

    fn modes(&mut self) -> Result<TransactionModes, SqlError> {
        let modes = transaction_modes(&mut self.scanner);
        if modes.complete { Ok(modes) } else { Err(self.syntax_error()) }
    }

    fn begin(&mut self, tag: &'static str) -> Result<Translated, SqlError> {
        let modes = self.modes()?;
        Ok(plain(Kind::Begin(modes), tag))
    }

    /// `[WORK|TRANSACTION] [AND [NO] CHAIN]`.
    fn and_chain(&mut self) -> Result<bool, SqlError> {
        let _ = self.take("work") || self.take("transaction");
        if !self.take("and") {
            return Ok(false);
        }
        let no = self.take("no");
        self.expect("chain")?;
        Ok(!no)
    }

    /// There is none: PREPARE TRANSACTION is refused.
    fn no_prepared_transaction(&mut self) -> Result<SqlError, SqlError> {
        let message =
            format!("prepared transaction with identifier \"{}\" does not exist", self.string()?);
        Ok(SqlError::new(SqlState::UNDEFINED_OBJECT, message))
    }

    fn rollback(&mut self) -> Result<Translated, SqlError> {
        if self.take("prepared") {
            return Err(self.no_prepared_transaction()?);
        }
        let chain = self.and_chain()?;
        if self.take("to") {
            self.take("savepoint");
            let name = self.name()?;
            return self.done(Kind::RollbackTo(name), "ROLLBACK");
        }
        self.done(Kind::Rollback { chain }, "ROLLBACK")
    }

    fn set(&mut self) -> Result<Translated, SqlError> {
        if self.take("transaction") {
            if self.take("snapshot") {
                return Err(SqlError::unsupported("SET TRANSACTION SNAPSHOT"));
            }
            let modes = self.modes()?;
            return Ok(plain(Kind::SetTransaction { modes, session: false }, "SET"));
        }
        let local = self.take("local");
        if !local && self.take("session") {
            if self.take("characteristics") {
                self.expect("as")?;
                self.expect("transaction")?;
                let modes = self.modes()?;
                return Ok(plain(Kind::SetTransaction { modes, session: true }, "SET"));
            }
            if self.take("authorization") {
                let value = self.role_value()?;
                return self.done(
                    Kind::Set { name: "session_authorization".to_owned(), value, local },
                    "SET",
                );
            }
        }
        if self.take("time") {
            self.expect("zone")?;
            let value = if self.take("local") { None } else { self.zone()? };
            return self.done(Kind::Set { name: "timezone".to_owned(), value, local }, "SET");
        }
        if self.take("names") {
            let value = self.setting_value()?;
            return self
                .done(Kind::Set { name: "client_encoding".to_owned(), value, local }, "SET");
        }
        if self.take("role") {
            let _ = self.take("to") || self.scanner.take_symbol(b'=');
            let value = self.role_value()?;
            return self.done(Kind::Set { name: "role".to_owned(), value, local }, "SET");
        }
        let name = self.setting_name()?;
        if !(self.take("to") || self.scanner.take_symbol(b'=')) {
            return Err(self.syntax_error());
        }
        let value = self.setting_value()?;
        self.done(Kind::Set { name, value, local }, "SET")
    }

    /// `name` or `prefix.name`; names of settings ignore case.
    pub(super) fn setting_name(&mut self) -> Result<String, SqlError> {
        let mut name = self.name()?;
        while self.scanner.take_symbol(b'.') {
            name.push('.');
            name.push_str(&self.name()?);
        }
        Ok(name.to_ascii_lowercase())
    }

    /// One value or several; `None` is DEFAULT.
    pub(super) fn setting_value(&mut self) -> Result<Option<String>, SqlError> {
        if self.take("default") {
            return Ok(None);
        }
        let mut values = Vec::new();
        loop {
            let error = self.syntax_error();
            let value = match self.next()? {
                Token::Literal(literal) => scan::literal(literal).ok_or(error)?,
                Token::Word(word) => word.to_owned(),
                token @ Token::Quoted(_) => scan::identifier(token).ok_or(error)?,
                Token::Number(number) => signed(String::new(), number),
                Token::Symbol(sign @ (b'-' | b'+')) => {
                    let sign = if sign == b'-' { "-" } else { "" };
                    match self.next()? {
                        Token::Number(number) => signed(sign.to_owned(), number),
                        _ => return Err(error),
                    }
                }
                _ => return Err(error),
            };
            values.push(value);
            if !self.scanner.take_symbol(b',') {
                return Ok(Some(values.join(", ")));
            }
        }
    }

    /// The name of a role, as an identifier or a string; `None` is DEFAULT.
    fn role_value(&mut self) -> Result<Option<String>, SqlError> {
        if self.take("default") {
            return Ok(None);
        }
        let error = self.syntax_error();
        let value = match self.next()? {
            Token::Literal(literal) => scan::literal(literal),
            token => scan::identifier(token),
        };
        value.map(Some).ok_or(error)
    }

    /// The value of SET TIME ZONE: also `INTERVAL '…' HOUR TO MINUTE`.
    fn zone(&mut self) -> Result<Option<String>, SqlError> {
        if self.take("interval") {
            let offset = Interval::parse(&self.string()?)?;
            if self.take("hour") && self.take("to") {
                self.expect("minute")?;
            }
            let seconds = i32::try_from(offset.micros / 1_000_000).unwrap_or(i32::MAX);
            return Ok(Some((f64::from(seconds) / 3600.0).to_string()));
        }
        self.setting_value()
    }

    fn show(&mut self) -> Result<Translated, SqlError> {
        let name = if self.take("time") {
            self.expect("zone")?;
            "timezone".to_owned()
        } else if self.take("transaction") {
            self.expect("isolation")?;
            self.expect("level")?;
            "transaction_isolation".to_owned()
        } else if self.take("session") {
            self.expect("authorization")?;
            "session_authorization".to_owned()
        } else if self.take("all") {
            "ALL".to_owned()
        } else {
            self.setting_name()?
        };
        self.done(Kind::Show(name), "SHOW")
    }

    fn reset(&mut self) -> Result<Translated, SqlError> {
        let name = if self.take("all") {
            "ALL".to_owned()
        } else if self.take("session") {
            self.expect("authorization")?;
            "session_authorization".to_owned()
        } else if self.take("time") {
            self.expect("zone")?;
            "timezone".to_owned()
        } else {
            self.setting_name()?
        };
        self.done(Kind::Reset(name), "RESET")
    }

    fn prepare(&mut self, context: &TranslateContext<'_>) -> Result<Translated, SqlError> {
        if self.take("transaction") {
            self.string()?;
            let message = "prepared transactions are disabled";
            return Err(SqlError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
                .with_hint("Two-phase commit is not supported."));
        }
        let name = self.name()?;
        let mut params = Vec::new();
        if self.scanner.take_symbol(b'(') {
            for text in self.list()? {
                let oid = match types::by_text(&text) {
                    Some(oid) => oid,
                    // A client's own is known to a cast.
                    None => {
                        let cast = super::translate(&format!("SELECT NULL::{text}"), context)?;
                        cast.columns.first().map_or(Oid::UNKNOWN, |column| column.oid)
                    }
                };
                params.push(oid);
            }
        }
        self.expect("as")?;
        let statement = self.scanner.rest().trim().to_owned();
        Ok(plain(Kind::Prepare { name, params, statement }, "PREPARE"))
    }

    fn execute(&mut self) -> Result<Translated, SqlError> {
        let name = self.name()?;
        let arguments = if self.scanner.take_symbol(b'(') { self.list()? } else { Vec::new() };
        self.done(Kind::Execute { name, arguments }, "EXECUTE")
    }

    /// Texts between commas up to the closing parenthesis, which is taken.
    fn list(&mut self) -> Result<Vec<String>, SqlError> {
        let mut items = Vec::new();
        let mut begin = self.scanner.offset();
        let mut depth = 0_usize;
        loop {
            let token = self.next()?;
            let end = match token {
                Token::Symbol(b'(' | b'[') => {
                    depth += 1;
                    continue;
                }
                Token::Symbol(b']') => {
                    depth = depth.saturating_sub(1);
                    continue;
                }
                Token::Symbol(b')') if depth > 0 => {
                    depth -= 1;
                    continue;
                }
                Token::Symbol(b')') => true,
                Token::Symbol(b',') if depth == 0 => false,
                _ => continue,
            };
            let item = self.text[begin..self.scanner.start].trim();
            if item.is_empty() && !(end && items.is_empty()) {
                return Err(super::syntax::syntax_error(if end { ")" } else { "," }, None));
            }
            if !item.is_empty() {
                items.push(item.to_owned());
            }
            begin = self.scanner.offset();
            if end {
                return Ok(items);
            }
        }
    }

    fn declare(&mut self) -> Result<Translated, SqlError> {
        let name = self.name()?;
        let (mut binary, mut scroll) = (false, false);
        while self.take_once("binary", &mut binary)
            || self.take("insensitive")
            || self.take("asensitive")
            || self.take_scroll(&mut scroll)
        {}
        self.expect("cursor")?;
        let mut hold = false;
        if self.take("with") {
            self.expect("hold")?;
            hold = true;
        } else if self.take("without") {
            self.expect("hold")?;
        }
        self.expect("for")?;
        let query = self.scanner.rest().trim().to_owned();
        Ok(plain(Kind::Declare { name, binary, hold, scroll, query }, "DECLARE CURSOR"))
    }

    fn take_once(&mut self, word: &str, said: &mut bool) -> bool {
        let taken = self.take(word);
        *said |= taken;
        taken
    }

    /// `SCROLL` or `NO SCROLL`.
    fn take_scroll(&mut self, scroll: &mut bool) -> bool {
        let no = self.take("no");
        let said = self.take("scroll");
        *scroll |= said && !no;
        said
    }

    fn fetch(&mut self, discard: bool) -> Result<Translated, SqlError> {
        let movement = self.movement()?;
        let _ = self.take("from") || self.take("in");
        let cursor = self.name()?;
        if self.scanner.peek().is_some() {
            return Err(self.syntax_error());
        }
        let tag = if discard { Tag::Move } else { Tag::Fetch };
        Ok(translated(Kind::Fetch { cursor, movement, discard }, tag, Vec::new(), Vec::new()))
    }

    fn movement(&mut self) -> Result<Movement, SqlError> {
        if self.take("first") {
            return Ok(Movement::Absolute(1));
        }
        if self.take("last") {
            return Ok(Movement::Absolute(-1));
        }
        if self.take("absolute") {
            return Ok(Movement::Absolute(self.whole_number()?));
        }
        if self.take("relative") {
            return Ok(Movement::Relative(self.whole_number()?));
        }
        if self.take("next") {
            return Ok(Movement::Forward(Some(1)));
        }
        let backward = self.take("backward");
        if !backward && self.take("prior") {
            return Ok(Movement::Backward(Some(1)));
        }
        if !backward {
            self.take("forward");
        }
        let count = if self.take("all") {
            None
        } else if matches!(self.scanner.peek(), Some(Token::Number(_) | Token::Symbol(b'-' | b'+')))
        {
            Some(self.whole_number()?)
        } else {
            Some(1)
        };
        let back = backward != count.is_some_and(|count| count < 0);
        let count = count.map(i64::unsigned_abs);
        Ok(if back { Movement::Backward(count) } else { Movement::Forward(count) })
    }

    pub(super) fn whole_number(&mut self) -> Result<i64, SqlError> {
        let minus = self.scanner.take_symbol(b'-');
        if !minus {
            self.scanner.take_symbol(b'+');
        }
        let error = self.syntax_error();
        let Some(Token::Number(digits)) = self.scanner.peek() else { return Err(error) };
        self.next()?;
        let number: i64 = digits.parse().map_err(|_| error)?;
        Ok(if minus { -number } else { number })
    }

    /// `[TABLE] [ONLY] table [*], … [IN mode MODE] [NOWAIT]`.
    fn lock(&mut self, context: &TranslateContext<'_>) -> Result<Translated, SqlError> {
        // A reader has its snapshot, which no change of a table's definition reaches.
        let reads = locks_for_reading(self.scanner);
        self.take("table");
        let mut tables = Vec::new();
        loop {
            self.take("only");
            tables.push(self.relation(context)?);
            self.scanner.take_symbol(b'*');
            if !self.scanner.take_symbol(b',') {
                break;
            }
        }
        let mut mode = Vec::new();
        if self.take("in") {
            while !self.take("mode") {
                mode.push(self.name()?);
            }
        }
        let changing = Rights::UPDATE.with(Rights::DELETE).with(Rights::TRUNCATE);
        let rights = match mode.join(" ").as_str() {
            "access share" => Rights::SELECT,
            "row exclusive" => changing.with(Rights::INSERT),
            ""
            | "row share"
            | "share update exclusive"
            | "share"
            | "share row exclusive"
            | "exclusive"
            | "access exclusive" => changing,
            _ => return Err(self.syntax_error()),
        };
        let no_wait = self.take("nowait");
        let kind = if reads { Kind::Nothing } else { Kind::Lock };
        let mut lock = self.done(kind, "LOCK TABLE")?;
        let kind = ObjectKind::Table;
        let one_of = |object: Oid| Demand::OneOf { kind, object, rights };
        lock.no_wait = tables.first().filter(|_| no_wait).map(|table| {
            let table = context.catalog.bare(&table.name);
            format!("could not obtain lock on relation \"{table}\"")
        });
        lock.demands = tables.into_iter().map(|table| one_of(table.oid)).collect();
        Ok(lock)
    }

    /// `[VERBOSE] [table [(column, …)], …]`. Table by table: SQLite's ANALYZE of all goes
    /// through them in the order of its cache, which is another on each node.
    fn analyze(&mut self, context: &TranslateContext<'_>) -> Result<Translated, SqlError> {
        self.skip_parenthesised()?;
        self.take("verbose");
        let mut named = Vec::new();
        while self.scanner.peek().is_some() {
            named.push(&self.relation(context)?.name);
            self.skip_parenthesised()?;
            if !self.scanner.take_symbol(b',') {
                break;
            }
        }
        let relations = context.catalog.relations.values();
        let analyzed: Vec<String> = relations
            .filter(|relation| relation.kind != RelationKind::View)
            .filter(|relation| named.is_empty() || named.contains(&&relation.name))
            .map(|relation| format!("ANALYZE {}", names::quote(&relation.name)))
            .collect();
        let done = self.done(Kind::Nothing, "ANALYZE")?;
        if analyzed.is_empty() {
            return Ok(done);
        }
        Ok(translated(Kind::Write, done.tag, Vec::new(), analyzed))
    }

    /// The relation that a name finds.
    pub(super) fn relation<'c>(
        &mut self,
        context: &TranslateContext<'c>,
    ) -> Result<&'c Relation, SqlError> {
        let begin = self.scanner.offset();
        let parts = self.dotted_name()?;
        let translator = Translator::new(self.text, context);
        let (schema, name) = translator.qualified_parts(parts)?;
        let catalog = context.catalog;
        let found = catalog.find_stored(schema.as_deref(), &name, &translator.path(), |stored| {
            catalog.relations.contains_key(stored)
        });
        found.and_then(|stored| catalog.relations.get(&stored)).ok_or_else(|| {
            let name = self.text[begin..self.scanner.offset()].trim();
            SqlError::new(SqlState::UNDEFINED_TABLE, format!("relation \"{name}\" does not exist"))
        })
    }

    /// `ALL | name, … DEFERRED | IMMEDIATE`. A name means all constraints that have it in the
    /// first schema where there is one.
    fn set_constraints(&mut self, context: &TranslateContext<'_>) -> Result<Translated, SqlError> {
        let mut named = None;
        if !self.take("all") {
            let found: &mut Vec<Oid> = named.get_or_insert_default();
            loop {
                found.extend(self.constraints(context)?);
                if !self.scanner.take_symbol(b',') {
                    break;
                }
            }
        }
        let deferred = self.take("deferred");
        if !deferred {
            self.expect("immediate")?;
        }
        self.done(Kind::SetConstraints { constraints: named, deferred }, "SET CONSTRAINTS")
    }

    /// The constraints that a name in SET CONSTRAINTS finds.
    fn constraints(&mut self, context: &TranslateContext<'_>) -> Result<Vec<Oid>, SqlError> {
        let parts = self.dotted_name()?;
        let translator = Translator::new(self.text, context);
        let (schema, name) = translator.qualified_parts(parts)?;
        let catalog = context.catalog;
        if let Some(schema) = &schema
            && !catalog.has_schema(schema)
        {
            return Err(SqlError::new(
                SqlState::INVALID_SCHEMA_NAME,
                format!("schema \"{schema}\" does not exist"),
            ));
        }
        let path = schema.map_or_else(|| translator.path(), |schema| vec![schema]);
        let of_schema = |schema: &String| {
            let lies_there =
                |relation: &&Relation| catalog.split_name(&relation.name).0 == schema.as_str();
            let relations = catalog.relations.values().filter(lies_there);
            relations
                .flat_map(|relation| &relation.constraints)
                .filter(|constraint| constraint.name == name)
                .collect::<Vec<_>>()
        };
        let found = path.iter().map(of_schema).find(|found| !found.is_empty());
        let found = found.ok_or_else(|| {
            let text = format!("constraint \"{name}\" does not exist");
            SqlError::new(SqlState::UNDEFINED_OBJECT, text)
        })?;
        if found.iter().any(|constraint| !constraint.deferrable) {
            let text = format!("constraint \"{name}\" is not deferrable");
            return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, text));
        }
        Ok(found.iter().map(|constraint| constraint.oid).collect())
    }

    /// `[schema.]name`, as its parts.
    pub(super) fn dotted_name(&mut self) -> Result<Vec<String>, SqlError> {
        let mut parts = vec![self.name()?];
        while self.scanner.take_symbol(b'.') {
            parts.push(self.name()?);
        }
        Ok(parts)
    }

    /// ALTER TABLE that says how PostgreSQL is to store a table, which makes no difference here.
    fn storage(&mut self, context: &TranslateContext<'_>) -> Option<Result<Translated, SqlError>> {
        let mut ahead = Words { text: self.text, scanner: self.scanner };
        if !ahead.take("table") {
            return None;
        }
        let if_exists = ahead.take("if") && ahead.take("exists");
        ahead.take("only");
        let relation = ahead.relation(context);
        let of_column = ahead.take("alter");
        if of_column {
            ahead.take("column");
            ahead.name().ok()?;
        }
        let physical = match of_column {
            true if ahead.take("set") => {
                ["statistics", "storage", "compression"].iter().any(|word| ahead.take(word))
            }
            true => false,
            false if ahead.take("set") => {
                if ahead.take("schema") {
                    return Some(relation.and_then(|relation| ahead.stays_in(relation, context)));
                }
                ahead.take("without")
            }
            false => ahead.take("reset") || ahead.take("cluster"),
        };
        let mut rest = ahead.scanner;
        while let Ok(Some(token)) = rest.next() {
            // Another action comes behind it.
            if token != Token::Symbol(b',') || !of_column {
                continue;
            }
            return None;
        }
        physical.then(|| match relation {
            Err(error) if !if_exists => Err(error),
            _ => Ok(plain(Kind::Nothing, "ALTER TABLE")),
        })
    }

    /// `SET SCHEMA name`, of the schema where the relation is.
    fn stays_in(
        &mut self,
        relation: &Relation,
        context: &TranslateContext<'_>,
    ) -> Result<Translated, SqlError> {
        let schema = self.name()?;
        Translator::new(self.text, context).check_schema(&schema)?;
        if context.catalog.split_name(&relation.name).0 != schema {
            return Err(SqlError::unsupported("ALTER TABLE … SET SCHEMA"));
        }
        self.done(Kind::Nothing, "ALTER TABLE")
    }

    pub(super) fn skip_parenthesised(&mut self) -> Result<(), SqlError> {
        if self.scanner.take_symbol(b'(') {
            while !self.scanner.take_symbol(b')') {
                self.next()?;
            }
        }
        Ok(())
    }

    fn vacuum(&mut self) -> Translated {
        let mut analyze = false;
        while let Ok(Some(token)) = self.scanner.next() {
            analyze |= token.is("analyze") || token.is("analyse");
        }
        plain(Kind::Vacuum { analyze }, "VACUUM")
    }
}

fn signed(mut sign: String, number: &str) -> String {
    sign.push_str(number);
    sign
}
