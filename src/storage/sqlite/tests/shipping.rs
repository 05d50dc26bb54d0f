//! Statement shipping: a follower that runs the leader's statements in their contexts
//! holds the leader's rows, and where it does not, the effect hash tells.

use super::*;
use crate::log::Statement as Logged;

/// A leader and a follower, each with a file of its own.
struct Pair {
    leader: Sqlite,
    follower: Sqlite,
    directories: [TempDir; 2],
    /// Ticks with every statement, so that time differs between them.
    clock_us: i64,
    /// What the session that runs on the leader has drawn from sequences.
    session: Environment,
}

/// 2026-11-24 12:00:00 UTC.
const START_US: i64 = 1_795_521_600_000_000;

impl Pair {
    fn new() -> Self {
        let (leader_directory, leader) = writer();
        let (follower_directory, follower) = writer();
        Self {
            leader,
            follower,
            directories: [leader_directory, follower_directory],
            clock_us: START_US,
            session: Environment::default(),
        }
    }

    /// Runs a statement on the leader, reserving what it draws from sequences;
    /// returns it as it would be logged.
    fn lead(&mut self, sql: &str, params: &[Value]) -> Result<Logged, SqliteError> {
        self.clock_us += 1_234_567;
        let mut context = Context {
            now_us: START_US,
            clock_us: self.clock_us,
            seed: self.clock_us.cast_unsigned().wrapping_mul(0x9E37_79B9),
            last_insert_rowid: self.leader.last_insert_rowid(),
            changes: self.leader.changes(),
            sequences: Vec::new(),
        };
        loop {
            self.leader.set_environment(self.session.clone());
            self.leader.set_context(&context);
            self.leader.execute_batch("SAVEPOINT one").expect("opens");
            let mark = self.leader.effect_mark();
            let result = query(&mut self.leader, sql, params);
            if result.is_err() {
                self.leader.execute_batch("ROLLBACK TO one").expect("undoes");
                self.leader.effect_undo(mark);
            }
            self.leader.execute_batch("RELEASE one").expect("closes");
            match result {
                Err(error) if error.raised.as_ref().is_some_and(|e| e.state.0 == "TL001") => {
                    let name = error.raised.expect("raised").message;
                    self.reserve(&name);
                }
                Err(error) => return Err(error),
                Ok(_) => break,
            }
        }
        context.sequences = self.leader.drawn_context().sequences;
        let (drawn, latest) = self.leader.drawn_sequences();
        let mut values = (*self.session.sequence_values).clone();
        values.extend(drawn);
        self.session.sequence_values = Arc::new(values);
        self.session.last_sequence = latest.or(self.session.last_sequence.take());
        Ok(Logged { text: Arc::from(sql), params: params.to_vec(), context, is_rows: false })
    }

    /// Reserves five more values of a sequence, on both nodes.
    fn reserve(&mut self, name: &str) {
        let sequence = self.leader.catalog().expect("loads").sequences[name].clone();
        let remaining = self.leader.sequence_ranges().get(name).copied();
        let first = match sequence.reserved {
            Some(reserved) => reserved + sequence.increment,
            None => sequence.start,
        };
        let last = first + 4 * sequence.increment;
        let next = remaining.filter(|(next, last)| next <= last).map_or(first, |(next, _)| next);
        let move_it =
            format!("UPDATE towline_sequence SET reserved = {last} WHERE name = '{name}'");
        for sqlite in [&mut self.leader, &mut self.follower] {
            let mark = sqlite.effect_mark();
            run(sqlite, &move_it);
            sqlite.effect_undo(mark);
        }
        self.leader.sequence_ranges().insert(name.to_owned(), (next, last));
    }

    /// Runs a logged statement on the follower.
    fn follow(&mut self, logged: &Logged) {
        self.follower.set_context(&logged.context);
        query(&mut self.follower, &logged.text, &logged.params)
            .unwrap_or_else(|error| panic!("{}: {error}", logged.text));
    }

    /// Runs a statement on both.
    fn ship(&mut self, sql: &str) {
        let logged = self.lead(sql, &[]).unwrap_or_else(|error| panic!("{sql}: {error}"));
        self.follow(&logged);
        assert_eq!(self.leader.effect(), self.follower.effect(), "effect of {sql}");
    }

    /// Both files hold the same.
    fn assert_equal(&mut self) {
        let [leader, follower] = [&mut self.leader, &mut self.follower]
            .map(|sqlite| content_digest(sqlite).expect("digests"));
        assert_eq!(leader, follower);
    }
}

/// Ships each statement, and compares.
fn ship_all(script: &[&str]) -> Pair {
    let mut pair = Pair::new();
    for sql in script {
        pair.ship(sql);
    }
    pair.assert_equal();
    pair
}

#[test]
fn defaults_triggers_views_and_generated_columns_agree() {
    let mut pair = ship_all(&[
        "CREATE TABLE event (
             id INTEGER PRIMARY KEY,
             at TEXT DEFAULT CURRENT_TIMESTAMP,
             precise TEXT DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now')),
             local TEXT DEFAULT (datetime('now', 'localtime')),
             pg TEXT DEFAULT (now()), tick TEXT DEFAULT (clock_timestamp()),
             luck INTEGER DEFAULT (random()), token BLOB DEFAULT (randomblob(8)),
             uuid TEXT DEFAULT (gen_random_uuid()),
             day TEXT GENERATED ALWAYS AS (date(at)) STORED,
             hour TEXT GENERATED ALWAYS AS (strftime('%H', at)) VIRTUAL)",
        "CREATE INDEX event_day ON event (date(at)) WHERE date(at) > '2000-01-01'",
        "CREATE TABLE journal (event INTEGER, at TEXT, luck)",
        "CREATE TRIGGER log AFTER INSERT ON event BEGIN
             INSERT INTO journal VALUES (new.id, datetime('now'), random() % 100); END",
        "CREATE VIEW recent AS SELECT *, julianday('now') AS seen, random() AS r FROM event",
        "CREATE TRIGGER into_recent INSTEAD OF INSERT ON recent BEGIN
             INSERT INTO event (at, luck) VALUES (time('now'), new.luck + random() % 10); END",
        "INSERT INTO event (id) VALUES (1), (2), (3)",
        "INSERT INTO recent (luck) VALUES (5)",
        "INSERT INTO journal SELECT id, seen, r FROM recent",
        "UPDATE event SET luck = random() WHERE id > 1",
        "DELETE FROM event WHERE id > 1 AND luck % 2 = 0",
    ]);
    let clock = one(&mut pair.follower, "SELECT at FROM event WHERE id = 1");
    assert_eq!(clock, one(&mut pair.follower, "SELECT local FROM event WHERE id = 1"));
    let Value::Text(clock) = clock else { panic!("no time") };
    assert!(clock.starts_with("2026-11-24 12:"), "{clock}");
    assert_eq!(
        one(&mut pair.follower, "SELECT pg FROM event WHERE id = 1"),
        text("2026-11-24 12:00:00+00")
    );
}

#[test]
fn every_row_draws_once_and_differs() {
    let mut pair = ship_all(&[
        "CREATE TABLE t (a, b, c)",
        "INSERT INTO t SELECT random(), randomblob(4), gen_random_uuid() FROM towline_oid
             UNION ALL SELECT random(), randomblob(4), gen_random_uuid() FROM towline_oid",
        "INSERT INTO t SELECT random(), b, c FROM t ORDER BY random()",
    ]);
    let distinct = "SELECT count(DISTINCT a) FROM t";
    assert_eq!(one(&mut pair.follower, distinct), Value::Integer(4));
}

#[test]
fn upserts_replacements_and_cascades_agree() {
    ship_all(&[
        "CREATE TABLE parent (id INTEGER PRIMARY KEY, name TEXT UNIQUE)",
        "CREATE TABLE child (parent INTEGER REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE,
             n, PRIMARY KEY (parent, n)) WITHOUT ROWID",
        "INSERT INTO parent VALUES (1, 'a'), (2, 'b'), (3, 'c')",
        "INSERT INTO child SELECT id, id * 10 FROM parent UNION ALL SELECT 1, 99",
        "INSERT INTO parent VALUES (9, 'a') ON CONFLICT (name) DO UPDATE SET name = 'aa' || random()",
        "INSERT OR REPLACE INTO parent VALUES (10, 'b')",
        "REPLACE INTO child VALUES (3, 30)",
        "UPDATE parent SET id = id + 100 WHERE name = 'c'",
        "DELETE FROM parent WHERE id = 1",
        "INSERT OR IGNORE INTO parent VALUES (10, 'x'), (11, 'y')",
        "DELETE FROM child",
        "DELETE FROM parent",
    ]);
}

#[test]
fn tables_made_from_queries_agree() {
    let mut pair = ship_all(&[
        "CREATE TABLE source (a)",
        "INSERT INTO source VALUES (1), (2), (3)",
        "CREATE TABLE made AS SELECT a, random() AS r, datetime('now') AS at FROM source",
        "ALTER TABLE made ADD COLUMN d DEFAULT 'x'",
        "ALTER TABLE made DROP COLUMN a",
        "UPDATE made SET d = r",
    ]);
    for sqlite in [&mut pair.leader, &mut pair.follower] {
        sqlite.effect_add_schema(&["made", "missing"]).expect("adds");
    }
    assert_eq!(pair.leader.effect(), pair.follower.effect());
}

#[test]
fn a_table_made_with_other_rows_is_found_by_the_digest_of_the_schema() {
    let mut effects = Vec::new();
    for (rows, tables) in [("1", &["t"][..]), ("2", &["t"]), ("1", &[]), ("1", &["t"])] {
        let (_directory, mut sqlite) = writer();
        run(&mut sqlite, &format!("CREATE TABLE t AS SELECT {rows} AS a"));
        sqlite.effect_add_schema(tables).expect("adds");
        effects.push(sqlite.effect());
    }
    assert_ne!(effects[0], effects[1]);
    assert_ne!(effects[0], effects[2]);
    assert_eq!(effects[0], effects[3]);
}

#[test]
fn failed_and_undone_statements_and_reads_between_leave_no_trace() {
    let mut pair = Pair::new();
    pair.ship("CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER UNIQUE, r DEFAULT (random()))");
    pair.ship("INSERT INTO t (a) VALUES (1)");
    for fails in ["INSERT INTO t (a) VALUES (random()), (1)", "INSERT INTO nothing VALUES (1)"] {
        assert!(pair.lead(fails, &[]).is_err());
        pair.lead("SELECT random(), (SELECT max(r) FROM t)", &[]).expect("reads");
        pair.ship("INSERT INTO t (a) SELECT max(a) + 1 FROM t");
    }
    pair.leader.execute_batch("BEGIN; SAVEPOINT s").expect("begins");
    let mark = pair.leader.effect_mark();
    pair.lead("UPDATE t SET r = random()", &[]).expect("runs");
    assert_ne!(pair.leader.effect(), pair.follower.effect());
    pair.leader.execute_batch("ROLLBACK TO s").expect("undoes");
    pair.leader.effect_undo(mark);
    pair.ship("UPDATE t SET r = r + random() % 10 WHERE a = 2");
    pair.leader.execute_batch("COMMIT").expect("commits");
    pair.assert_equal();
}

#[test]
fn connection_state_is_the_context_s() {
    let mut pair = Pair::new();
    pair.ship("CREATE TABLE t (id INTEGER PRIMARY KEY, a)");
    pair.ship("CREATE TABLE seen (rowid_was, changes_were)");
    pair.ship("INSERT INTO t (a) VALUES (1), (2), (3)");
    // The follower did something of its own in between.
    run(&mut pair.follower, "UPDATE towline_oid SET next = next");
    pair.follower.effect_reset();
    pair.leader.effect_reset();
    pair.ship("INSERT INTO seen SELECT last_insert_rowid(), changes()");
    assert_eq!(
        run(&mut pair.follower, "SELECT * FROM seen"),
        [[Value::Integer(3), Value::Integer(3)]]
    );
    // A trigger that asks what its own statement changed.
    pair.ship(
        "CREATE TRIGGER upsert AFTER INSERT ON seen BEGIN
             UPDATE t SET a = a + 1 WHERE id = new.rowid_was;
             INSERT INTO t (id, a) SELECT new.rowid_was, 0 WHERE changes() = 0; END",
    );
    pair.ship("INSERT INTO seen VALUES (2, 0)");
    pair.ship("INSERT INTO seen VALUES (20, changes())");
    assert_eq!(one(&mut pair.follower, "SELECT a FROM t WHERE id = 20"), Value::Integer(0));
    assert_eq!(one(&mut pair.follower, "SELECT count(*) FROM t"), Value::Integer(4));
    pair.assert_equal();
    let context = Context { changes: 5_000_000, ..Context::default() };
    pair.follower.set_context(&context);
    assert_eq!(one(&mut pair.follower, "SELECT changes()"), Value::Integer(5_000_000));
}

#[test]
fn sequences_are_drawn_from_reservations_and_repeated() {
    let mut pair = Pair::new();
    pair.ship("INSERT INTO towline_sequence (oid, name, increment) VALUES (20000, 's', 10)");
    pair.ship("INSERT INTO towline_sequence (oid, name) VALUES (20001, 'Odd')");
    pair.ship("CREATE TABLE t (id INTEGER DEFAULT (nextval('s')), a, b)");
    pair.ship("INSERT INTO t (a) VALUES (1), (2), (3)");
    assert!(pair.lead("INSERT INTO t (a) VALUES (nextval('s'), 1)", &[]).is_err());
    // More than is left of the range, and than one reservation gives.
    pair.ship("INSERT INTO t (a) SELECT oid FROM towline_sequence, (VALUES (1), (2), (3), (4))");
    pair.ship(
        "INSERT INTO t (id, a, b) VALUES (nextval(20001), currval('public.\"Odd\"'), lastval())",
    );
    pair.ship("INSERT INTO t (id, a) VALUES (currval('s'), lastval())");
    let rows = run(&mut pair.follower, "SELECT id, a, b FROM t ORDER BY rowid DESC LIMIT 2");
    let [last, odd] = rows.try_into().expect("two");
    assert_eq!(odd, [1, 1, 1].map(Value::Integer));
    let highest = one(&mut pair.leader, "SELECT max(id) FROM t");
    assert_eq!(last, [highest, Value::Integer(1), Value::Null]);
    let repeated = "SELECT count(*) - count(DISTINCT id) FROM t WHERE b IS NULL AND id % 10 = 1";
    assert_eq!(one(&mut pair.follower, repeated), Value::Integer(1));
    pair.assert_equal();
}

#[test]
fn setval_moves_the_sequence_on_every_node() {
    let mut pair = Pair::new();
    pair.ship("INSERT INTO towline_sequence (oid, name, max) VALUES (20000, 's', 1000)");
    pair.ship("CREATE TABLE t (a)");
    pair.ship("INSERT INTO t VALUES (nextval('s'))");
    pair.ship("SELECT setval('s', 500)");
    pair.ship("INSERT INTO t VALUES (nextval('s'))");
    pair.ship("SELECT setval('s', 700, false)");
    pair.ship("INSERT INTO t VALUES (nextval('s')), (nextval('s'))");
    pair.ship("UPDATE towline_sequence SET reserved = NULL");
    pair.ship("INSERT INTO t VALUES (nextval('s'))");
    let drawn = run(&mut pair.follower, "SELECT a FROM t").concat();
    assert_eq!(drawn, [1, 501, 700, 701, 1].map(Value::Integer));
    let state = |result: Result<Logged, SqliteError>| match result {
        Ok(logged) => panic!("{} ran", logged.text),
        Err(error) => error.raised.expect("raised").state.0,
    };
    assert_eq!(state(pair.lead("SELECT setval('s', 0)", &[])), "22003");
    assert_eq!(state(pair.lead("SELECT nextval('missing')", &[])), "42P01");
    pair.ship("SELECT setval('s', 1000)");
    assert_eq!(state(pair.lead("SELECT nextval('s')", &[])), "2200H");
    let mut reader = open(&pair.directories[0], ConnectionKind::Reader);
    assert_eq!(fails(&mut reader, "SELECT nextval('s')").kind, SqliteErrorKind::ReadOnly);
    let undefined = fails(&mut reader, "SELECT currval('s')");
    assert_eq!(undefined.raised.expect("raised").state.0, "55000");
    pair.assert_equal();
}

#[test]
fn another_value_row_or_order_is_found_by_the_hash() {
    let effect = |script: &[&str]| {
        let (_directory, mut sqlite) = writer();
        run(&mut sqlite, "CREATE TABLE t (id INTEGER PRIMARY KEY, a)");
        run(&mut sqlite, "CREATE TABLE u (id INTEGER PRIMARY KEY, a)");
        run(&mut sqlite, "CREATE TABLE w (id TEXT PRIMARY KEY, a) WITHOUT ROWID");
        run(&mut sqlite, "CREATE TABLE g (v AS (a + 1), w AS (a + 2), a, s AS (a + 3) STORED, b)");
        run(&mut sqlite, "CREATE TABLE gw (v AS (a + 1), a, b, PRIMARY KEY (b)) WITHOUT ROWID");
        for sql in script {
            run(&mut sqlite, sql);
        }
        sqlite.effect()
    };
    let scripts: &[&[&str]] = &[
        &[],
        &["INSERT INTO t VALUES (1, 'x')"],
        &["INSERT INTO t VALUES (2, 'x')"],
        &["INSERT INTO t VALUES (1, 'y')"],
        &["INSERT INTO t VALUES (1, x'78')"],
        &["INSERT INTO t VALUES (1, NULL)"],
        &["INSERT INTO t VALUES (1, 1)"],
        &["INSERT INTO t VALUES (1, 1.5)"],
        &["INSERT INTO t VALUES (1, '1')"],
        &["INSERT INTO u VALUES (1, 'x')"],
        &["INSERT INTO w VALUES (1, 'x')"],
        &["INSERT INTO w VALUES (1, 'y')"],
        &["INSERT INTO t VALUES (1, 'x'), (2, 'x')"],
        &["INSERT INTO t VALUES (2, 'x'), (1, 'x')"],
        &["INSERT INTO t VALUES (1, 'x')", "DELETE FROM t"],
        &["INSERT INTO t VALUES (1, 'x')", "UPDATE t SET a = 'x'"],
        &["INSERT INTO t VALUES (1, 'x')", "UPDATE t SET a = 'y'"],
        &["INSERT INTO t VALUES (1, 'x')", "UPDATE t SET id = 2"],
        &["INSERT INTO w VALUES (1, 'x')", "UPDATE w SET id = 2"],
        &["INSERT INTO g VALUES (1, 2)"],
        &["INSERT INTO g VALUES (2, 2)"],
        &["INSERT INTO g VALUES (1, 3)"],
        &["INSERT INTO g VALUES (1, 3)", "UPDATE g SET b = 4"],
        &["INSERT INTO g VALUES (1, 3)", "UPDATE g SET b = 5"],
        &["INSERT INTO gw VALUES (1, 2)"],
        &["INSERT INTO gw VALUES (2, 2)"],
        &["INSERT INTO gw VALUES (1, 3)"],
    ];
    let effects: BTreeMap<u64, usize> =
        scripts.iter().enumerate().map(|(index, script)| (effect(script), index)).collect();
    assert_eq!(effects.len(), scripts.len(), "two scripts have one hash: {effects:?}");
}

#[test]
fn the_shell_reads_the_file_meanwhile() {
    let (directory, mut sqlite) = writer();
    run(&mut sqlite, "CREATE TABLE city (name TEXT)");
    run(&mut sqlite, "INSERT INTO city VALUES ('Kiel')");
    sqlite.execute_batch("BEGIN IMMEDIATE; INSERT INTO city VALUES ('Bonn')").expect("runs");
    let output = std::process::Command::new("sqlite3")
        .arg(directory.path().join("demo.db"))
        .arg("SELECT name FROM city")
        .output();
    match output {
        Ok(output) => assert_eq!(String::from_utf8_lossy(&output.stdout), "Kiel\n", "{output:?}"),
        // The shell is not a part of Towline: without one there is nothing to try.
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound),
    }
    sqlite.execute_batch("COMMIT").expect("commits");
}

/// Runs a statement on the leader as a session's, and on the follower its row changes.
fn ship_rows(pair: &mut Pair, sql: &str) -> Result<Vec<Logged>, SqliteError> {
    pair.session.user = "ann".to_owned();
    pair.leader.set_shipped(Shipped::AsRows)?;
    let logged = pair.lead(sql, &[]);
    pair.leader.set_shipped(Shipped::Not)?;
    let statements = pair.leader.take_rows(&logged?.context)?;
    pair.follower.without_consequences(|follower| {
        for Logged { text, params, context, is_rows } in &statements {
            assert!(is_rows);
            follower.set_context(context);
            let width = follower.prepare(text)?.parameter_count();
            for row in params.chunks(width) {
                query(follower, text, row)?;
            }
        }
        Ok(())
    })?;
    assert_eq!(pair.leader.effect(), pair.follower.effect(), "effect of {sql}");
    pair.assert_equal();
    Ok(statements)
}

#[test]
fn row_changes_do_on_a_follower_what_triggers_and_foreign_keys_did() {
    let mut pair = ship_all(&[
        "CREATE TABLE account (id INTEGER PRIMARY KEY, \"the name\" TEXT UNIQUE COLLATE NOCASE, r REAL,
             twice AS (r * 2), key TEXT GENERATED ALWAYS AS (lower(\"the name\")) STORED)",
        "CREATE TABLE entry (account INTEGER REFERENCES account ON DELETE CASCADE ON UPDATE CASCADE,
             who TEXT, at TEXT DEFAULT CURRENT_TIMESTAMP, PRIMARY KEY (account, who)) WITHOUT ROWID",
        "CREATE TABLE note (rowid TEXT, x BLOB)",
        "CREATE TRIGGER log AFTER UPDATE ON account BEGIN
             INSERT INTO note VALUES (current_user() || new.id, randomblob(4)); END",
    ]);
    let statements = ship_rows(
        &mut pair,
        "INSERT INTO account (id, \"the name\", r) SELECT n, current_user() || n, n
             FROM (SELECT 1 AS n UNION SELECT 2 UNION SELECT 3)",
    );
    // Three rows of one text: one statement.
    assert_eq!(statements.expect("ships").len(), 1);
    for sql in [
        "INSERT INTO entry (account, who) SELECT id, current_user() FROM account",
        "UPDATE account SET r = length(current_user()), id = id + 10",
        "UPDATE entry SET who = 'x' || current_user() WHERE account > 11",
        "INSERT OR REPLACE INTO account (id, \"the name\") VALUES (11, current_user() || '2')",
        "INSERT INTO account (\"the name\") VALUES (upper(current_user()) || '3')
             ON CONFLICT (\"the name\") DO UPDATE SET r = NULL",
        "UPDATE note SET x = NULL WHERE rowid LIKE current_user() || '1%'",
        "DELETE FROM account WHERE \"the name\" LIKE current_user() || '%'",
        "INSERT INTO note VALUES (current_user(), x''), (NULL, zeroblob(3))",
        "DELETE FROM note WHERE current_user() = 'ann'",
    ] {
        let statements = ship_rows(&mut pair, sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert!(!statements.is_empty(), "{sql}");
    }
    assert_eq!(run(&mut pair.follower, "SELECT * FROM entry").len(), 0);
}

#[test]
fn what_row_changes_cannot_repeat_is_refused() {
    let mut pair = ship_all(&[
        "CREATE TABLE counted (id INTEGER PRIMARY KEY AUTOINCREMENT, who TEXT UNIQUE)",
        "CREATE TABLE nameless (rowid, oid, _rowid_)",
        "CREATE TABLE t (a TEXT)",
    ]);
    ship_rows(&mut pair, "INSERT INTO counted (who) VALUES (current_user())").expect("ships");
    for sql in [
        "INSERT OR IGNORE INTO counted (who) VALUES (current_user())",
        "INSERT INTO nameless VALUES (current_user(), 1, 2)",
        "INSERT INTO t VALUES (CAST(x'ff' AS TEXT))",
        "INSERT INTO t SELECT printf('%.40000000c', 'x') FROM (SELECT 1 UNION SELECT 2)",
    ] {
        pair.leader.execute_batch("BEGIN").expect("begins");
        let error = ship_rows(&mut pair, sql).expect_err(sql);
        pair.leader.execute_batch("ROLLBACK").expect("ends");
        assert!(error.raised.is_some(), "{sql}: {error}");
        pair.leader.effect_reset();
        pair.follower.effect_reset();
    }
    pair.assert_equal();
}

#[test]
fn a_text_that_other_nodes_would_not_repeat_asks_to_be_shipped_as_rows() {
    let mut pair = ship_all(&[
        "CREATE TABLE t (a TEXT DEFAULT (current_user()), b)",
        "CREATE VIEW mine AS SELECT * FROM t WHERE a = current_user()",
    ]);
    pair.leader.set_shipped(Shipped::AsText).expect("sets");
    for sql in [
        "INSERT INTO t VALUES (version(), 1)",
        "INSERT INTO t (b) VALUES (2)",
        "INSERT INTO t SELECT a, 3 FROM mine",
        "INSERT INTO t SELECT name, 4 FROM pg_settings",
        "INSERT INTO t VALUES (has_table_privilege('t', 'select'), 5)",
        "INSERT INTO t VALUES (to_regclass('t'), 6)",
        "INSERT INTO t VALUES (towline_text_regtype(23), 7)",
        "INSERT INTO t SELECT relname, now() FROM pg_class",
    ] {
        pair.leader.set_context(&Context::default());
        match query(&mut pair.leader, sql, &[]) {
            Err(error) => assert_eq!(error.raised.expect("raised").state.0, NEEDS_ROWS, "{sql}"),
            // No row of the empty view was asked about.
            Ok(_) => assert!(sql.contains("mine"), "{sql}"),
        }
    }
    pair.leader.set_context(&Context::default());
    run(&mut pair.leader, "INSERT INTO t VALUES (now(), 1)");
    assert!(!pair.leader.read_local());
}
