//! Statements whose results depend on time, chance and order must give the same on
//! every node.

use nix::sys::signal::Signal;

use crate::demo::{Demo, assert_success, wait_for};

#[test]
fn statements_with_time_and_randomness_give_equal_files() {
    let demo = Demo::start(&[]);
    demo.psql(
        "CREATE TABLE e (id bigserial PRIMARY KEY, at timestamptz DEFAULT now(),
             made timestamp DEFAULT current_timestamp, u uuid DEFAULT gen_random_uuid(),
             r double precision DEFAULT random(), n int, day date DEFAULT current_date);
         CREATE TABLE audit (id bigserial PRIMARY KEY, what text, at timestamptz DEFAULT now());
         CREATE VIEW recent AS SELECT id, n FROM e WHERE at <= now();
         CREATE UNIQUE INDEX e_u ON e (u);
         CREATE INDEX e_day ON e (day, n)",
    );
    demo.psql("INSERT INTO e (n) SELECT g FROM generate_series(1, 500) g");
    demo.psql("INSERT INTO e (n, r) SELECT g, random() FROM generate_series(1, 500) g");
    demo.psql("UPDATE e SET r = random() * n, at = clock_timestamp() WHERE n % 3 = 0");
    demo.psql("DELETE FROM e WHERE r < 0.2");
    demo.psql("INSERT INTO audit (what) SELECT u::text FROM e ORDER BY random() LIMIT 50");
    demo.psql("CREATE TABLE copied AS SELECT id, random() AS x, now() AS at, u FROM e");
    demo.psql(
        "INSERT INTO e (id, n) VALUES (1, 7), (100000, 8)
               ON CONFLICT (id) DO UPDATE SET n = excluded.n + 1, at = now(), r = random()",
    );
    demo.psql(
        "BEGIN; INSERT INTO e (n) VALUES (nextval('audit_id_seq')); SAVEPOINT s;
               INSERT INTO e (n) SELECT random() * 10 FROM generate_series(1, 9);
               ROLLBACK TO s; INSERT INTO e (n, r) VALUES (-1, random()); COMMIT",
    );
    demo.psql("BEGIN; INSERT INTO e (n) VALUES (1); ROLLBACK");
    demo.psql("INSERT INTO e (n) VALUES (2) RETURNING u");
    demo.psql("ALTER TABLE e ADD COLUMN note text DEFAULT 'none'");
    demo.psql("ALTER TABLE audit ADD COLUMN who text DEFAULT current_user");
    demo.psql("INSERT INTO audit (what) SELECT pg_backend_pid() FROM generate_series(1, 5)");
    demo.psql(
        "CREATE TEMP TABLE mine AS SELECT id, current_user AS who FROM audit; \
               INSERT INTO audit (what) SELECT who FROM mine",
    );
    demo.psql("UPDATE audit SET what = version() WHERE who = current_user AND id % 2 = 0");
    demo.psql("INSERT INTO e (n, note) SELECT n, md5(random()::text) FROM recent LIMIT 20");
    demo.assert_equal_content();
}

#[test]
fn sqlite_spellings_are_frozen_too() {
    let demo = Demo::start(&[]);
    demo.psql(
        "SET towline.dialect = 'sqlite';
         CREATE TABLE s (id INTEGER PRIMARY KEY, at TEXT DEFAULT (datetime('now')),
             j REAL DEFAULT (julianday('now')), r INTEGER DEFAULT (random()),
             b BLOB DEFAULT (randomblob(8)), d TEXT GENERATED ALWAYS AS (date(at)) STORED);
         CREATE INDEX s_date ON s (date(at));
         CREATE TABLE t (id INTEGER PRIMARY KEY, what TEXT, at TEXT);
         CREATE TRIGGER s_insert AFTER INSERT ON s BEGIN
             INSERT INTO t (what, at) VALUES (hex(randomblob(4)), strftime('%s', 'now')); END;
         INSERT INTO s (id) VALUES (1), (2), (3);
         INSERT INTO s (r) SELECT random() FROM s;
         INSERT OR REPLACE INTO s (id) VALUES (2);
         UPDATE s SET at = datetime('now', 'localtime') WHERE id % 2 = 0;
         INSERT INTO t (what) VALUES (last_insert_rowid()), (changes());
         CREATE TABLE w (k TEXT PRIMARY KEY, v) WITHOUT ROWID;
         INSERT INTO w SELECT hex(randomblob(4)), random() FROM s",
    );
    demo.assert_equal_content();
}

#[test]
fn verify_names_the_row_that_differs_and_compares_under_load() {
    let demo = Demo::start(&[]);
    demo.psql("CREATE TABLE t (i int PRIMARY KEY, x text); CREATE TABLE n (k text PRIMARY KEY)");
    demo.psql("INSERT INTO t SELECT g, md5(g::text) FROM generate_series(1, 10000) g");
    demo.psql("INSERT INTO n SELECT md5(g::text) FROM generate_series(1, 100) g");
    let writes = std::sync::atomic::AtomicBool::new(true);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut n = 10_000;
            while writes.load(std::sync::atomic::Ordering::Relaxed) {
                n += 1;
                demo.psql(&format!("INSERT INTO t VALUES ({n}, 'under load')"));
            }
        });
        for _ in 0..3 {
            let verified = demo.towline(&["verify"]);
            assert_success("towline verify", &verified);
            let said = String::from_utf8_lossy(&verified.stdout).into_owned();
            assert!(said.contains("3 nodes hold equal content at"), "{said}");
        }
        writes.store(false, std::sync::atomic::Ordering::Relaxed);
    });
    // Edited while its node was down, one follower's file is not noticed until then.
    let leader = demo.leader();
    let follower = demo.followers(&leader).remove(0);
    demo.wait_until_equal();
    demo.signal(&follower, Signal::SIGKILL);
    demo.edit(&follower, "UPDATE t SET x = 'another' WHERE i = 7777");
    demo.wait_until_equal();
    let verified = demo.towline(&["verify"]);
    assert!(!verified.status.success());
    let said = String::from_utf8_lossy(&verified.stdout).into_owned();
    let expected = format!("{follower} differs in 1 tables, first in t: rowid = 7777 has other");
    assert!(said.contains(&expected), "{said}");
}

#[test]
fn a_file_that_another_program_edits_is_seeded_anew() {
    let demo = Demo::start(&[]);
    demo.psql("CREATE TABLE t (i int PRIMARY KEY, x text)");
    demo.psql("INSERT INTO t SELECT g, md5(g::text) FROM generate_series(1, 1000) g");
    demo.wait_until_equal();
    // Of a leader, another takes the lead. Without a write it is noticed, too.
    let cases = [(false, true), (false, false), (true, true), (true, false)];
    for (edits, (leads, writes)) in cases.into_iter().enumerate() {
        let leader = demo.leader();
        let edited = demo.nodes().into_iter().find(|node| (*node == leader) == leads);
        let edited = edited.expect("a node");
        demo.edit(&edited, "UPDATE t SET x = 'edited'");
        if writes {
            demo.psql("INSERT INTO t SELECT min(i) - 1, 'notices' FROM t");
        }
        let told = format!("{edited}: another program changed the database file");
        wait_for("the edit to be noticed", || {
            let events = demo.towline(&["events"]);
            let events = String::from_utf8_lossy(&events.stdout).into_owned();
            (events.matches("another program changed the database file").count() > edits
                && events.contains(&told))
            .then_some(())
        });
        demo.wait_until_well();
        demo.assert_equal_content();
        assert_eq!(demo.psql("SELECT count(*) FROM t WHERE x = 'edited'"), "0");
        assert_success("towline verify", &demo.towline(&["verify"]));
    }
    assert_eq!(demo.psql("SELECT count(*) FROM t WHERE x = 'notices'"), "2");
}

#[test]
fn a_damaged_file_is_seeded_anew() {
    let demo = Demo::start(&[]);
    demo.psql("CREATE TABLE t (i int PRIMARY KEY, x text)");
    demo.psql("INSERT INTO t SELECT g, repeat(md5(g::text), 8) FROM generate_series(1, 20000) g");
    demo.wait_until_equal();
    let read = |node: &str| {
        let query = "SELECT count(*), sum(length(x)) FROM t";
        let output =
            demo.client_command("psql", node).args(["-X", "-A", "-t", "-c", query]).output();
        String::from_utf8(output.expect("psql runs").stdout).expect("UTF-8")
    };
    // Of a leader, another takes the lead.
    for leads in [false, true] {
        let leader = demo.leader();
        let damaged = demo.nodes().into_iter().find(|node| (*node == leader) == leads);
        let damaged = damaged.expect("a node");
        demo.damage(&damaged);
        let told = format!("{damaged}: the database file is damaged");
        wait_for("the damage to be noticed", || {
            if leads {
                // Whether this read comes upon it depends on what is cached.
                read(&damaged);
            } else {
                demo.towline(&["verify"]);
            }
            let events = demo.towline(&["events"]);
            String::from_utf8_lossy(&events.stdout).contains(&told).then_some(())
        });
        demo.wait_until_well();
        demo.assert_equal_content();
        assert_eq!(read(&damaged), "20000|5120000\n");
        // However many statements came upon it.
        let log = std::fs::read_to_string(demo.dir().join(format!("logs/{damaged}.log")));
        let said =
            log.expect("the node's log").matches("ERROR the database file is damaged").count();
        assert_eq!(said, 1);
        assert_success("towline verify", &demo.towline(&["verify"]));
    }
}

#[test]
fn a_file_that_was_edited_while_its_node_was_down_is_seeded_anew() {
    let told = "another program changed the database file while this node was down";
    let mut demo = Demo::start(&[]);
    let noticed = |demo: &Demo| {
        let events = demo.towline(&["events"]);
        String::from_utf8_lossy(&events.stdout).contains(told)
    };
    demo.psql("CREATE TABLE t (i int PRIMARY KEY, x text)");
    demo.psql("INSERT INTO t SELECT g, md5(g::text) FROM generate_series(1, 1000) g");
    // Killed, or stopped and read: that is no edit.
    demo.kill_all();
    demo.resume();
    demo.psql("INSERT INTO t VALUES (1001, 'after a kill')");
    demo.wait_until_equal();
    demo.stop();
    for node in demo.nodes() {
        demo.sqlite(&node, "SELECT count(*) FROM t");
    }
    demo.resume();
    demo.psql("INSERT INTO t VALUES (1002, 'after a stop')");
    demo.wait_until_equal();
    assert!(!noticed(&demo));

    let leader = demo.leader();
    let edited = demo.followers(&leader).remove(0);
    // Whose view does not outlast the nodes.
    assert_success("towline verify", &demo.towline(&["verify"]));
    demo.stop();
    demo.edit(&edited, "UPDATE t SET x = 'edited' WHERE i = 7");
    demo.resume();
    wait_for("the edit to be noticed", || noticed(&demo).then_some(()));
    demo.wait_until_well();
    demo.assert_equal_content();
    assert_eq!(demo.psql("SELECT count(*) FROM t WHERE x = 'edited'"), "0");
    assert_success("towline verify", &demo.towline(&["verify"]));
}
