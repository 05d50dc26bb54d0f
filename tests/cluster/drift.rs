//! Statements whose results depend on time, chance and order must give the same on
//! every node.

use crate::demo::Demo;

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
