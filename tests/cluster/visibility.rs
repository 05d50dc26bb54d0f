//! When a write is safe, who may see it, and what is told to whoever does not wait.

use nix::sys::signal::Signal;

use crate::demo::{Demo, SOON, wait_for};

/// Rows of `t` that a client of this process sees.
async fn seen(demo: &Demo, name: &str) -> i64 {
    let row = demo.connect(name).await.query_one("SELECT count(*) FROM t", &[]).await;
    row.expect("a read is answered").get(0)
}

fn code(error: &tokio_postgres::Error) -> &str {
    error.code().expect("an SQLSTATE").code()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_sees_a_write_before_it_is_safe_and_who_gives_up_is_told_so() {
    let demo = Demo::start(&["--policy", "any 2"]);
    demo.psql("CREATE TABLE t (i int PRIMARY KEY)");
    demo.psql("INSERT INTO t VALUES (0)");
    demo.wait_until_equal();
    let leader = demo.leader();
    let followers = demo.followers(&leader);
    let client = demo.connect(&leader).await;
    let local = demo.connect(&leader).await;
    let through_proxy = demo.connect("proxy").await;
    // One of the two acks that are demanded is held back.
    demo.signal(&followers[1], Signal::SIGSTOP);
    client.batch_execute("SET statement_timeout = '300ms'").await.expect("set");
    let error = client.execute("INSERT INTO t VALUES (1)", &[]).await.expect_err("not safe yet");
    assert_eq!(code(&error), "08007", "{error:?}");
    // The same of a COMMIT, which waits behind the first.
    client.batch_execute("SET statement_timeout = 0").await.expect("set");
    local.batch_execute("SET synchronous_commit = local").await.expect("set");
    let cancel = through_proxy.cancel_token();
    let waiting = tokio::spawn(async move {
        through_proxy.execute("INSERT INTO t VALUES (2)", &[]).await.expect_err("cancelled")
    });
    // Held by the leader and one follower, and seen on neither.
    let followed = demo.connect(&followers[0]).await;
    for _ in 0..20 {
        for name in [&leader, &followers[0]] {
            assert_eq!(seen(&demo, name).await, 1, "on {name}");
        }
        let strong = followed.query_one("SELECT count(*) FROM t", &[]).await.expect("read");
        assert_eq!(strong.get::<_, i64>(0), 1);
    }
    cancel.cancel_query(tokio_postgres::NoTls).await.expect("asked to cancel");
    let error = tokio::time::timeout(SOON, waiting).await.expect("in time").expect("no panic");
    assert!(["08007", "57014"].contains(&code(&error)), "{error:?}");
    demo.signal(&followers[1], Signal::SIGCONT);
    // Safe at last: seen everywhere, the first for certain.
    for name in demo.nodes() {
        let deadline = tokio::time::Instant::now() + SOON;
        while seen(&demo, &name).await < 2 {
            assert!(tokio::time::Instant::now() < deadline, "never seen on {name}");
        }
    }
    demo.assert_equal_content();
}

#[tokio::test(flavor = "multi_thread")]
async fn synchronous_commit_hastens_or_delays_the_reply_alone() {
    let demo = Demo::start(&["--policy", "any 2"]);
    demo.psql("CREATE TABLE t (i int PRIMARY KEY)");
    demo.wait_until_equal();
    let leader = demo.leader();
    let follower = demo.followers(&leader).remove(0);
    let client = demo.connect(&leader).await;
    // What remote_apply answers is seen on every follower at once.
    client.batch_execute("SET synchronous_commit = remote_apply").await.expect("set");
    for i in 0..20 {
        client.execute("INSERT INTO t VALUES ($1)", &[&i]).await.expect("inserted");
        for name in demo.nodes() {
            assert_eq!(seen(&demo, &name).await, i64::from(i) + 1, "on {name}");
        }
    }
    // What off and local answer is not safe, and so not seen.
    demo.signal(&follower, Signal::SIGSTOP);
    client.batch_execute("SET synchronous_commit = local").await.expect("set");
    client.execute("INSERT INTO t VALUES (100)", &[]).await.expect("answered");
    assert_eq!(seen(&demo, &leader).await, 20);
    demo.signal(&follower, Signal::SIGCONT);
    wait_for("what was answered early to be safe", || {
        (demo.sqlite(&leader, "SELECT count(*) FROM t").trim() == "21").then_some(())
    });
    let off = "BEGIN; SET LOCAL synchronous_commit = off; INSERT INTO t VALUES (101); COMMIT";
    client.batch_execute(off).await.expect("answered");
    let now = client.query_one("SHOW synchronous_commit", &[]).await.expect("shown");
    assert_eq!(now.get::<_, String>(0), "local");
    // Both followers tell at once what they have written.
    client.batch_execute("SET synchronous_commit = remote_write").await.expect("set");
    for i in 200..300 {
        client.execute("INSERT INTO t VALUES ($1)", &[&i]).await.expect("answered");
    }
    demo.assert_equal_content();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_is_kept_for_long_does_not_let_the_wal_grow_without_bound() {
    let demo = Demo::start(&["--set", "wal_max_bytes=1048576", "--set", "wal_read_max=\"1s\""]);
    demo.psql("CREATE TABLE t (i int PRIMARY KEY, x text)");
    demo.wait_until_equal();
    let leader = demo.leader();
    let follower = demo.followers(&leader).remove(0);
    // What in the WAL's header is another one whenever it starts over, and its length.
    let wal = |name: &str| {
        let path = demo.dir().join(name).join("gen-0");
        let mut files =
            std::fs::read_dir(path).expect("listed").map(|file| file.expect("an entry"));
        let file = files.find(|file| file.path().to_string_lossy().ends_with("-wal"));
        let bytes = std::fs::read(file.expect("a WAL").path()).expect("read");
        (bytes[12..24].to_vec(), bytes.len())
    };
    let writing = demo.connect(&leader).await;
    let rewrite = "INSERT INTO t SELECT g, repeat(md5(random()::text), 30) \
                   FROM generate_series(1, 500) g ON CONFLICT (i) DO UPDATE SET x = excluded.x";
    for name in [&leader, &follower] {
        let kept = demo.connect(name).await;
        kept.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ").await.expect("begun");
        kept.query_one("SELECT count(*) FROM t", &[]).await.expect("read");
        let deadline = tokio::time::Instant::now() + SOON;
        let error = loop {
            assert!(tokio::time::Instant::now() < deadline, "never ended");
            writing.batch_execute(rewrite).await.expect("written");
            if let Err(error) = kept.query_one("SELECT count(*) FROM t", &[]).await {
                break error;
            }
        };
        assert_eq!(code(&error), "40001", "{error:?}");
        kept.batch_execute("ROLLBACK").await.expect("rolled back");
        // Now it starts over, and by what it could not before.
        let (before, length) = wal(name);
        assert!(length > 1 << 20, "{length}");
        while wal(name).0 == before {
            assert!(tokio::time::Instant::now() < deadline, "never starts over");
            writing.batch_execute(rewrite).await.expect("written");
        }
    }
    demo.assert_equal_content();
}
