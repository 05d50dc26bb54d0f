//! What a node does over time: crashes, replays, ends of leadership.

use super::client::Client;
use super::{READERS, TestNode};
use crate::cluster::{Position, Role};
use crate::gateway::Mode;
use crate::log::{ClientToken, Lsn, Term};
use crate::node::replicate::FollowerNews;
use crate::replication::message::Ack;
use crate::storage::sqlite::{ConnectionKind, Sqlite};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let mut node = TestNode::leading().await;
    let mut client = node.client();
    client.query("create table t (id int primary key, v text)").await;
    for id in 0..20 {
        let said = client.query(&format!("insert into t values ({id}, 'x')")).await;
        assert_eq!(said, "done INSERT 0 1\nready, idle\n");
    }
    drop(client);
    node.stop();
    node.start();
    node.lead(2).await;
    assert_eq!(node.client().value("select count(*) from t").await, "20");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vacuum_gives_pages_back_and_leaves_the_content() {
    let node = TestNode::leading().await;
    let mut client = node.client();
    client.query("create table t (id int primary key, v text)").await;
    client.query("insert into t select g, repeat('x', 1000) from generate_series(1, 4000) g").await;
    client.query("delete from t where id > 10").await;
    let free = || {
        let mut file = Sqlite::open(&node.database(), ConnectionKind::Reader).expect("opens");
        file.free_pages().expect("tells")
    };
    // More than the writer gives back at once.
    assert!(free() > 600, "{}", free());
    assert_eq!(client.query("vacuum").await, "done VACUUM\nready, idle\n");
    let mut surplus = node.hub().surplus.subscribe();
    let given = tokio::time::timeout(super::PATIENCE, surplus.wait_for(|pages| *pages == 0));
    given.await.expect("given back in time").expect("the node lives");
    assert_eq!(free(), 0);
    assert_eq!(client.value("select count(*) from t").await, "10");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_can_be_made_again_from_the_log() {
    let mut node = TestNode::leading().await;
    let mut client = node.client();
    for statement in [
        "create table t (id serial primary key, v text default 'd', at timestamptz default now())",
        "insert into t (v) select md5(gen_random_uuid()) from generate_series(1, 100)",
        "create index on t (v)",
        "update t set v = v || '!' where id % 2 = 0",
        "begin; insert into t (v) values ('a'); savepoint s; insert into t (v) values ('b'); \
         rollback to s; insert into t (v) values ('c'); commit",
        "create table u as select id, v from t where id < 10",
        "delete from t where id < 5",
    ] {
        let said = client.query(statement).await;
        assert!(!said.contains("error"), "{statement}: {said}");
    }
    drop(client);
    let commit = *node.hub().commit.borrow();
    node.stop();
    let before = super::digest(&node.database());
    for suffix in ["", "-wal", "-shm"] {
        let path = node.dir.path().join(format!("db{suffix}"));
        if path.exists() {
            std::fs::remove_file(path).expect("removed");
        }
    }
    node.start_from(commit);
    node.applied(commit).await;
    assert_eq!(super::digest(&node.database()), before);
    assert!(commit > Lsn(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_the_log_does_not_reach_back_to_is_asked_for() {
    let mut node = TestNode::leading().await;
    let mut client = node.client();
    client.query("create table t (id int primary key, v text)").await;
    // Segments of one megabyte.
    for id in 0..3 {
        client.query(&format!("insert into t values ({id}, '{}')", "x".repeat(1 << 20))).await;
    }
    drop(client);
    let commit = *node.hub().commit.borrow();
    crate::node::writer::lock(&node.running().log).release_before(commit).expect("released");
    node.stop();
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(node.dir.path().join(format!("db{suffix}")));
    }
    node.start_from(commit);
    // It has nobody to have it from yet.
    assert_eq!(*node.hub().quarantine.borrow(), None);
    let mut quarantine = node.hub().quarantine.subscribe();
    let leader = Some((Term(2), "n2".parse().expect("a name")));
    node.hub().upstream.send_replace(leader);
    let told = tokio::time::timeout(super::PATIENCE, quarantine.wait_for(Option::is_some));
    let told = *told.await.expect("in time").expect("told");
    assert_eq!(told, Some(crate::node::Quarantine::LeftBehind(Lsn(0))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_runs_the_log_has_the_same_content() {
    let leader = TestNode::leading().await;
    let mut client = leader.client();
    client
        .query("create table t (id serial primary key, v text, at timestamptz default now())")
        .await;
    client
        .query("insert into t (v) select md5(gen_random_uuid()) from generate_series(1, 50)")
        .await;
    // Larger than a part: shipped while it runs, with a savepoint undone across parts.
    client.query("set towline.transactions = 'locking'").await;
    client.query("begin").await;
    let before = leader.hub().end.borrow().lsn;
    let filler = "x".repeat(1000);
    client.query("savepoint s").await;
    for _ in 0..3 {
        client
            .query(&format!(
                "insert into t (v) select '{filler}' || g from generate_series(1, 10) g"
            ))
            .await;
        let values = vec![format!("('{filler}')"); 700].join(", ");
        client.query(&format!("insert into t (v) values {values}")).await;
    }
    // Text counts as parameters do.
    assert!(leader.hub().end.borrow().lsn > before, "no part was shipped");
    client.query("rollback to s").await;
    client.query("insert into t (v) values ('kept')").await;
    client.query("alter table t add column w int default 5").await;
    assert_eq!(client.query("commit").await, "done COMMIT\nready, idle\n");
    // Undone after parts were shipped.
    client.query("begin").await;
    for _ in 0..2 {
        let values = vec![format!("('{filler}')"); 700].join(", ");
        client.query(&format!("insert into t (v) values {values}")).await;
    }
    client.query("rollback").await;
    client.query("copy t (v) from stdin").await;
    for chunk in 0..20 {
        let lines: String = (0..500).map(|row| format!("row {chunk} {row}\n")).collect();
        client.copy_data(lines.as_bytes());
    }
    client.copy_done();
    assert_eq!(client.send().await, "done COPY 10000\nready, idle\n");
    // Against foreign keys, as far as triggers are off.
    client.query("create table c (id int primary key, t int references t)").await;
    client.query("alter table c disable trigger all; insert into c values (1, -1)").await;
    client.query("copy c from stdin").await;
    client.copy_data(b"2\t-2\n");
    client.copy_done();
    assert_eq!(client.send().await, "done COPY 1\nready, idle\n");
    client.query("alter table c enable trigger all; insert into c values (3, -3)").await;

    let follower = TestNode::new();
    follower.receive(&leader);
    follower.applied(*leader.hub().applied.borrow()).await;
    assert_eq!(super::digest(&follower.database()), super::digest(&leader.database()));
    assert_eq!(follower.client().value("select count(*) from t").await, "10051");
    assert_eq!(follower.client().value("select count(*) from c").await, "2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statistics_are_the_same_in_whichever_order_a_node_knows_its_tables() {
    let leader = TestNode::leading().await;
    let mut client = leader.client();
    for table in 0..40 {
        let made = format!("create table t{table} (i int); insert into t{table} values (1)");
        client.query(&made).await;
    }
    for table in (0..40).step_by(2) {
        client.query(&format!("drop table t{table}")).await;
    }
    // Undone, it has SQLite read the schema anew, here alone.
    client.query("set towline.transactions = 'locking'; begin; create table u (i int)").await;
    client.query("rollback").await;
    assert_eq!(client.query("analyze").await, "done ANALYZE\nready, idle\n");

    let follower = TestNode::new();
    follower.receive(&leader);
    follower.applied(*leader.hub().applied.borrow()).await;
    assert_eq!(super::digest(&follower.database()), super::digest(&leader.database()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_by_what_only_the_session_knows_reaches_a_follower_as_rows() {
    let leader = TestNode::leading().await;
    let mut client = leader.client();
    for statement in [
        "create table t (id serial primary key, who text default current_user, v text)",
        "insert into t (v) values ('a'), ('b')",
        "insert into t (v) select setting from pg_settings where name = 'TimeZone'",
        "create view mine as select * from t where who = current_user",
        "begin; insert into t (v) select current_database() from mine; select current_user; \
         savepoint s; update t set v = pg_backend_pid() where id = 1; rollback to s; \
         update t set v = version() where who = session_user and id = 2; commit",
        "create table made as select id, current_user as who from mine",
        "alter table t add column by text default current_user",
        "with gone as (delete from t where who = current_user and id = 1 returning *) \
         insert into made select id, who from gone",
        "select nextval('t_id_seq'), current_user",
        "set towline.dialect = 'sqlite'",
        "create trigger g after insert on made begin insert into t (v) values ('by trigger'); end",
        "insert into made values (7, current_user())",
    ] {
        let said = client.query(statement).await;
        assert!(!said.contains("error"), "{statement}: {said}");
    }
    client.query("set towline.dialect = 'postgresql'").await;
    client.query("copy t (v) from stdin").await;
    client.copy_data(b"one\ntwo\n");
    client.copy_done();
    assert_eq!(client.send().await, "done COPY 2\nready, idle\n");
    // What ran twice drew once: 7 is nextval's.
    assert_eq!(
        client.value("select string_agg(id::text, ' ') from t where v in ('one', 'two')").await,
        "8 9"
    );
    for statement in [
        "create schema a; create table a.here (x int); create table found (n text, o oid, r text)",
        "set search_path = a, public",
        "insert into found select n, to_regclass(n), to_regclass(n)::text \
         from (values ('here'), ('t')) names (n)",
        "insert into found select n, n::regclass, format_type(23, null) \
         from (values ('here'), ('found')) names (n)",
        "insert into found select rolname, oid from pg_roles",
        "insert into found select table_catalog from information_schema.tables",
        "select setval(pg_get_serial_sequence('t', 'id'), 40)",
        "insert into t (v) values ('later')",
    ] {
        let said = client.query(statement).await;
        assert!(!said.contains("error"), "{statement}: {said}");
    }
    assert_eq!(client.value("select id from t where v = 'later'").await, "41");

    let follower = TestNode::new();
    follower.receive(&leader);
    follower.applied(*leader.hub().applied.borrow()).await;
    assert_eq!(super::digest(&follower.database()), super::digest(&leader.database()));
    let mut there = follower.client();
    let rows = there.value("select count(*) from t where who is not null and by is not null").await;
    assert_eq!(rows, client.value("select count(*) from t").await);
}

/// Begins a transaction that has the writer to itself, and adds rows to `t (v)` until two
/// parts are shipped and committed.
async fn begin_large(leader: &TestNode) -> Client {
    let mut client = leader.client();
    client.query("set towline.transactions = 'locking'").await;
    client.query("begin").await;
    let values = vec![format!("('{}')", "x".repeat(1000)); 700].join(", ");
    for _ in 0..2 {
        let before = leader.hub().end.borrow().lsn;
        while leader.hub().end.borrow().lsn == before {
            client.query(&format!("insert into t (v) values {values}")).await;
        }
    }
    let end = leader.hub().end.borrow().lsn;
    let mut commit = leader.hub().commit.subscribe();
    let committed = commit.wait_for(|commit| *commit >= end);
    tokio::time::timeout(super::PATIENCE, committed).await.expect("in time").expect("lives");
    client
}

/// Waits until a follower has run all that it holds, in an open transaction.
async fn until_run(node: &TestNode) {
    let end = node.hub().end.borrow().lsn;
    let mut run = node.hub().run.subscribe();
    let waited = tokio::time::timeout(super::PATIENCE, run.wait_for(|run| *run == end)).await;
    waited.expect("in time").expect("the hub lives");
    assert!(*node.hub().applied.borrow() < end);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_runs_the_parts_of_a_large_transaction_as_they_come() {
    let leader = TestNode::leading().await;
    leader.client().query("create table t (id serial primary key, v text)").await;
    let mut follower = TestNode::new();
    follower.receive(&leader);
    let before = *leader.hub().applied.borrow();
    follower.applied(before).await;
    let mut client = begin_large(&leader).await;
    client.query("savepoint s").await;
    follower.receive(&leader);
    until_run(&follower).await;
    assert_eq!(follower.client().value("select count(*) from t").await, "0");
    assert_eq!(*follower.hub().applied.borrow(), before);
    // A start anew meets the parts again.
    follower.stop();
    follower.start();
    follower.receive(&leader);
    follower.hub().verified.send_replace(follower.hub().end.borrow().lsn);
    until_run(&follower).await;
    client.query("insert into t (v) values ('undone')").await;
    client.query("rollback to s").await;
    client.query("insert into t (v) values ('kept')").await;
    assert_eq!(client.query("commit").await, "done COMMIT\nready, idle\n");
    client.query("insert into t (v) values ('behind')").await;
    follower.receive(&leader);
    follower.applied(*leader.hub().applied.borrow()).await;
    assert_eq!(super::digest(&follower.database()), super::digest(&leader.database()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_that_were_run_are_undone_where_their_end_never_comes() {
    let leader = TestNode::leading().await;
    leader.client().query("create table t (id serial primary key, v text)").await;
    let follower = TestNode::new();
    // By the client; by the end of the leadership.
    let mut client = begin_large(&leader).await;
    follower.receive(&leader);
    until_run(&follower).await;
    client.query("rollback").await;
    client.query("insert into t (v) values ('after')").await;
    follower.receive(&leader);
    follower.applied(*leader.hub().applied.borrow()).await;
    assert_eq!(super::digest(&follower.database()), super::digest(&leader.database()));
    let client = begin_large(&leader).await;
    follower.receive(&leader);
    until_run(&follower).await;
    leader.follow(2);
    drop(client);
    // The follower itself takes over: its first frame ends what was open.
    follower.lead(2).await;
    let mut client = follower.client();
    assert_eq!(client.value("select count(*) from t").await, "1");
    // No value that was drawn comes again.
    let said = client.query("insert into t (v) values ('anew') returning id > 1400").await;
    assert!(said.contains("row t"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_transaction_with_another_effect_leaves_nothing() {
    let leader = TestNode::leading().await;
    leader.client().query("create table t (id serial primary key, v text)").await;
    leader.client().query("insert into t (id, v) values (1000000, 'x')").await;
    let mut follower = TestNode::new();
    follower.receive(&leader);
    let before = *leader.hub().applied.borrow();
    follower.applied(before).await;
    follower.stop();
    Sqlite::open(&follower.database(), ConnectionKind::Writer)
        .and_then(|mut sqlite| sqlite.execute_batch("UPDATE t SET v = 'y'"))
        .expect("changed");
    follower.start();
    let mut client = begin_large(&leader).await;
    client.query("update t set v = v || '!' where id = 1000000").await;
    client.query("commit").await;
    follower.receive(&leader);
    let mut quarantine = follower.hub().quarantine.subscribe();
    let told = quarantine.wait_for(Option::is_some);
    tokio::time::timeout(super::PATIENCE, told).await.expect("in time").expect("lives");
    assert_eq!(*follower.hub().applied.borrow(), before);
    let mut file = Sqlite::open(&follower.database(), ConnectionKind::Reader).expect("opens");
    let mut rows = file.prepare("SELECT count(*) FROM t").expect("prepares");
    assert!(rows.step().expect("steps"));
    assert_eq!(format!("{:?}", rows.column(0)), "Integer(1)");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_knows_how_far_each_sequence_was_drawn() {
    let leader = TestNode::leading().await;
    let mut client = leader.client();
    for statement in [
        "create sequence moved",
        "create sequence back",
        "begin",
        "create table made (id serial, v int)",
        "insert into made (v) values (1)",
        "select setval('moved', 1000)",
        "select nextval('moved')",
        "commit",
        "begin",
        "select nextval('back')",
        "select setval('back', 2000)",
        "alter sequence back increment by 2",
        "commit",
        "begin",
        "create sequence gone",
        "select nextval('gone')",
        "drop sequence gone",
        "commit",
        "create table both (id serial, v int); insert into both (v) values (1)",
        "create table filled (v int)",
        "insert into filled values (1), (2)",
        "alter table filled add column id serial",
        "alter table filled drop column id",
        "alter table filled add column id serial primary key",
        "insert into filled values (3)",
    ] {
        let said = client.query(statement).await;
        assert!(!said.contains("error"), "{statement}: {said}");
    }
    let follower = TestNode::new();
    follower.receive(&leader);
    follower.applied(*leader.hub().applied.borrow()).await;
    let reserved = |node: &TestNode| {
        let mut file = Sqlite::open(&node.database(), ConnectionKind::Reader).expect("opens");
        let query = "SELECT name || ' ' || coalesce(reserved, 'nothing') FROM towline_sequence";
        let mut rows = file.prepare(query).expect("prepares");
        let mut found = Vec::new();
        while rows.step().expect("steps") {
            found.push(format!("{:?}", rows.column(0)));
        }
        found
    };
    let there = reserved(&leader);
    assert_eq!(there.len(), 5, "{there:?}");
    assert!(!there.iter().any(|line| line.contains("nothing")), "{there:?}");
    assert_eq!(reserved(&follower), there);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_effect_than_the_leaders_quarantines_the_node() {
    let leader = TestNode::leading().await;
    let mut client = leader.client();
    client.query("create table t (id int primary key, v int)").await;
    client.query("insert into t values (1, 1), (2, 2)").await;
    let mut follower = TestNode::new();
    follower.receive(&leader);
    follower.applied(*leader.hub().applied.borrow()).await;
    follower.stop();
    {
        use crate::storage::sqlite::{ConnectionKind, Sqlite};
        let mut sqlite =
            Sqlite::open(&follower.database(), ConnectionKind::Writer).expect("it opens");
        sqlite.execute_batch("DELETE FROM t WHERE id = 2").expect("deleted");
    }
    follower.start();
    let good = *leader.hub().applied.borrow();
    client.query("insert into t values (3, 3)").await;
    let before = *leader.hub().applied.borrow();
    client.query("update t set v = v + 1").await;
    client.query("insert into t values (4, 4)").await;
    follower.receive(&leader);
    let mut quarantine = follower.hub().quarantine.subscribe();
    let told = quarantine.wait_for(Option::is_some);
    let frame = *tokio::time::timeout(super::PATIENCE, told).await.expect("in time").expect("told");
    assert_eq!(frame, Some(crate::node::Quarantine::Differs(before)));
    // The frame before it was applied, nothing behind it.
    assert_eq!(*follower.hub().applied.borrow(), before);
    assert!(before > good);
    let said = follower.client().query("select count(*) from t").await;
    assert!(said.starts_with("refused: this node can't serve now"), "{said}");
    assert!(follower.hub().reason.borrow().contains("quarantined"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_sent_again_is_answered_and_not_repeated() {
    let node = TestNode::leading().await;
    let mut client = node.client();
    client.query("create table t (id serial primary key, v int)").await;
    client.token = Some(ClientToken { session: 7, sequence: 1 });
    let first = client.query("insert into t (v) values (1) returning id").await;
    assert_eq!(client.query("insert into t (v) values (1) returning id").await, first);
    client.mode = Mode::Lookup;
    assert_eq!(client.query("insert into t (v) values (1) returning id").await, first);
    client.token = Some(ClientToken { session: 7, sequence: 2 });
    let said = client.query("insert into t (v) values (2)").await;
    assert_eq!(said, "refused: the write was never run\n");
    // A COMMIT's outcome, asked for by a session that never had the transaction.
    client.mode = Mode::Client;
    client.token = None;
    client.query("begin; insert into t (v) values (3)").await;
    client.token = Some(ClientToken { session: 7, sequence: 3 });
    client.query("commit").await;
    let mut other = node.client();
    other.mode = Mode::Lookup;
    other.token = client.token;
    assert_eq!(other.query("commit").await, "done COMMIT\nready, idle\n");
    other.token = Some(ClientToken { session: 7, sequence: 2 });
    assert!(other.query("commit").await.contains("08007"));
    assert_eq!(node.client().value("select count(*) from t").await, "2");
    // What another session's outcome has displaced may have been carried out, or not.
    let slot = |session: u128| xxhash_rust::xxh3::xxh3_64(&session.to_le_bytes()) % 65_536;
    let session = (8..).find(|session| slot(*session) == slot(7)).expect("one of many");
    other.token = Some(ClientToken { session, sequence: 1 });
    assert!(other.query("insert into t (v) values (4)").await.contains("08007"));
    other.mode = Mode::Client;
    assert_eq!(other.query("insert into t (v) values (4)").await, "done INSERT 0 1\nready, idle\n");
    // Several statements, which have the writer to themselves.
    client.token = Some(ClientToken { session: 10, sequence: 1 });
    for _ in 0..2 {
        client.query("insert into t (v) values (5); insert into t (v) values (6)").await;
    }
    assert_eq!(node.client().value("select count(*) from t").await, "5");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_seen_or_told_before_it_is_committed() {
    let node = TestNode::leading().await;
    node.client().query("create table t (id int primary key)").await;
    node.commit(false);
    let mut writing = node.client();
    let write = tokio::spawn(async move { writing.query("insert into t values (1)").await });
    let mut weak = node.client();
    weak.query("set synchronous_commit = local").await;
    let mut durable = node.hub().durable.subscribe();
    let before = *node.hub().commit.borrow();
    durable.wait_for(|durable| *durable > before).await.expect("the hub lives");
    assert_eq!(node.client().value("select count(*) from t").await, "0");
    assert_eq!(strong(&node).await.value("select count(*) from t").await, "0");
    assert!(!write.is_finished());
    // The leadership ends: nobody knows what will become of it, whatever another leader
    // has committed at its place.
    node.follow(2);
    node.hub().commit.send_replace(node.hub().end.borrow().lsn);
    assert_eq!(write.await.expect("no panic"), "refused: the outcome is unknown\n");
    assert_eq!(node.client().value("select count(*) from t").await, "0");
    // It is in the log, and the next leadership commits it.
    node.commit(true);
    node.lead(3).await;
    assert_eq!(node.client().value("select count(*) from t").await, "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_ends_while_a_write_waits_for_followers() {
    let mut node = TestNode::leading().await;
    node.client().query("create table t (id int primary key)").await;
    node.commit(false);
    let mut writing = node.client();
    let mut durable = node.hub().durable.subscribe();
    let before = *durable.borrow_and_update();
    let write = tokio::spawn(async move { writing.query("insert into t values (1)").await });
    durable.wait_for(|durable| *durable > before).await.expect("the hub lives");
    let (ended, end) = tokio::sync::oneshot::channel();
    // A thread that may be left behind: the writer's end is waited for in it.
    std::thread::spawn(move || {
        node.stop();
        let _ = ended.send(node);
    });
    let _node = tokio::time::timeout(super::PATIENCE, end).await.expect("in time");
    assert_eq!(write.await.expect("no panic"), "refused: the outcome is unknown\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn remote_write_is_answered_for_what_a_follower_wrote_and_did_not_sync() {
    let node = TestNode::leading().await;
    node.client().query("create table t (id int primary key)").await;
    node.commit(false);
    // An autocommit write, and a transaction that has the writer to itself.
    for unit in
        ["insert into t values (1)", "begin; lock table t; insert into t values (2); commit"]
    {
        let mut waiting = node.client();
        waiting.query("set synchronous_commit = remote_write").await;
        let before = *node.hub().durable.borrow();
        let write = tokio::spawn(async move { waiting.query(unit).await });
        let mut durable = node.hub().durable.subscribe();
        let synced = durable.wait_for(|durable| *durable > before);
        tokio::time::timeout(super::PATIENCE, synced).await.expect("in time").expect("lives");
        assert!(!write.is_finished());
        let (n2, end) = ("n2".parse().expect("a name"), node.hub().end.borrow().lsn);
        let ack = Ack { term: Term(1), durable: before, applied: before, written: end };
        node.hub().count(Some(FollowerNews::Acked(&n2, ack)));
        let said = tokio::time::timeout(super::PATIENCE, write).await.expect("in time");
        assert!(said.expect("no panic").ends_with("ready, idle\n"));
        // Told, and not safe: seen by nobody.
        assert!(*node.hub().commit.borrow() <= before);
        assert_eq!(node.client().value("select count(*) from t").await, "0");
        node.commit(true);
        node.applied(end).await;
        node.client().query("delete from t").await;
        node.commit(false);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_holder_gives_way_when_others_wait() {
    let node = TestNode::leading().await;
    let mut holder = node.client();
    holder.query("create table t (id int primary key)").await;
    holder.query("begin; lock table t; insert into t values (1)").await;
    let mut other = node.client();
    assert_eq!(other.query("insert into t values (2)").await, "done INSERT 0 1\nready, idle\n");
    let said = holder.query("insert into t values (3)").await;
    assert!(said.contains("error 25P03"), "{said}");
    assert_eq!(other.value("select count(*) from t").await, "1");
    // Dropping a session returns the writer at once.
    let mut gone = node.client();
    gone.query("begin; insert into t values (4)").await;
    drop(gone);
    other.query("insert into t values (5)").await;
    assert_eq!(other.value("select max(id) from t").await, "5");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_stop_when_told_and_when_their_time_is_up() {
    const FOREVER: &str = "select count(*) from generate_series(1, 1000000) a, \
                           generate_series(1, 1000000) b";
    let node = TestNode::leading().await;
    let mut client = node.client();
    client.query("create table t (id int primary key)").await;
    client.query("set statement_timeout = 50").await;
    for statement in [FOREVER, &format!("insert into t {FOREVER}")] {
        let said = client.query(statement).await;
        assert!(
            said.contains("error 57014: canceling statement due to statement timeout"),
            "{said}"
        );
    }
    client.query("set statement_timeout = 0").await;
    for statement in [FOREVER.to_owned(), format!("insert into t {FOREVER}")] {
        let cancel = client.canceller();
        let run = tokio::spawn(async move {
            let said = client.query(&statement).await;
            (client, said)
        });
        let (back, said) = super::until_ended(run, || (cancel.0)()).await;
        assert!(said.contains("error 57014: canceling statement due to user request"), "{said}");
        client = back;
    }
    // Waiting for the writer ends as well, and does nothing later.
    let mut holder = node.client();
    holder.query("begin; lock table t; insert into t values (1)").await;
    client.query("set lock_timeout = 50").await;
    let said = client.query("insert into t values (2)").await;
    assert!(said.contains("error 55P03"), "{said}");
    let said = client.query("begin; lock table t").await;
    assert!(said.contains("error 55P03"), "{said}");
    holder.query("commit").await;
    client.query("rollback").await;
    assert_eq!(client.value("select count(*) from t").await, "1");
    assert_eq!(client.value("select count(*) from t where id > 1").await, "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_never_rests_starts_a_long_wal_over() {
    let node = TestNode::leading().await;
    let mut client = node.client();
    client.query("create table t (id int primary key, v text)").await;
    client.query("insert into t select g, repeat('x', 500) from generate_series(1, 3000) g").await;
    let mut long = node.hub().wal_is_long.subscribe();
    node.hub().wal_is_long.send_replace(true);
    let short = tokio::time::timeout(super::PATIENCE, long.wait_for(|long| !long));
    drop(short.await.expect("the writer looks").expect("it runs"));
    client.query("insert into t values (3001)").await;
    let mut file = Sqlite::open(&node.database(), ConnectionKind::Reader).expect("opens");
    let met = file.checkpoint().expect("checkpointed").expect("no other runs");
    assert!(met.pages < 30, "{met:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_that_go_on_for_long_are_ended_running_or_not() {
    let node = TestNode::leading().await;
    let mut writing = node.client();
    writing.query("create table t (id int primary key, v text)").await;
    writing.query("insert into t select g, repeat('x', 500) from generate_series(1, 3000) g").await;
    let readers = &node.running().readers;
    // Pages of the WAL that a snapshot keeps from the file.
    let kept = || {
        let mut file = Sqlite::open(&node.database(), ConnectionKind::Reader).expect("opens");
        file.checkpoint().expect("checkpointed").map_or(0, |met| met.left)
    };
    assert_eq!(kept(), 0);
    let mut snapshot = node.client();
    snapshot.query("begin isolation level repeatable read").await;
    snapshot.query("select count(*) from t").await;
    let mut cursor = node.client();
    cursor.query("begin; declare c cursor for select * from t").await;
    assert!(cursor.query("fetch 2 from c").await.contains("done FETCH 2"));
    let mut portal = node.client();
    portal.parse("", "select id from t", &[]);
    portal.bind("", "", &[]);
    portal.execute("", 2);
    assert!(portal.flush().await.contains("row 2"));
    writing.query("update t set v = 'y'").await;
    assert!(kept() > 0);
    // Young ones are let be.
    assert_eq!(readers.end_older(super::PATIENCE), 0);
    assert_eq!(readers.end_older(std::time::Duration::ZERO), 3);
    assert_eq!(kept(), 0);
    let ended = "error 40001: canceling statement due to conflict with recovery";
    assert!(snapshot.query("select count(*) from t").await.contains(ended));
    assert!(snapshot.query("rollback").await.contains("done ROLLBACK"));
    assert_eq!(snapshot.value("select count(*) from t where v = 'y'").await, "3000");
    assert!(cursor.query("fetch 2 from c").await.contains(ended));
    assert!(cursor.query("rollback").await.contains("done ROLLBACK"));
    portal.execute("", 2);
    assert!(portal.sync().await.contains(ended));
    assert_eq!(portal.value("select 1").await, "1");
    // One that runs stops by itself.
    let mut running = node.client();
    let run = tokio::spawn(async move {
        let forever = "select count(*) from t a, t b, t c, t d where a.v < b.v || c.v || d.v";
        running.query(forever).await
    });
    let end_older = || {
        readers.end_older(std::time::Duration::from_millis(50));
    };
    assert!(super::until_ended(run, end_older).await.contains(ended));
    assert_eq!(readers.end_older(std::time::Duration::ZERO), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_waits_for_what_it_must_see() {
    let leader = TestNode::leading().await;
    let mut client = leader.client();
    client.query("create table t (id int primary key)").await;
    client.query("insert into t values (1)").await;
    let follower = TestNode::new();
    follower.follow(1);
    let mut reading = follower.client();
    reading.see = client.last.position;
    assert_eq!(
        reading.query("select count(*) from t").await,
        "refused: this node has not caught up with the session\n"
    );
    let read = tokio::spawn(async move { reading.query("select count(*) from t").await });
    follower.receive(&leader);
    assert!(read.await.expect("no panic").contains("row 1"));
    // A position of a later term may lie in a log that this node does not know.
    let mut later = follower.client();
    later.see = Position { term: Term(2), lsn: Lsn(1) };
    assert_eq!(
        later.query("select count(*) from t").await,
        "refused: this node has not caught up with the session\n"
    );
    follower.follow(2);
    assert_eq!(later.value("select count(*) from t").await, "1");
}

/// A client whose reads are strong.
async fn strong(node: &TestNode) -> Client {
    let mut client = node.client();
    client.query("set towline.read_level = strong").await;
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strong_read_misses_nothing_that_a_new_leader_has_yet_to_apply() {
    let before = TestNode::leading().await;
    let mut client = before.client();
    client.query("create table t (id int primary key)").await;
    let node = TestNode::new();
    node.follow(1);
    node.receive(&before);
    node.applied(client.last.position.lsn).await;
    // It takes its time when it is applied, too.
    client.query("insert into t select count(*) from generate_series(1, 1000000)").await;
    node.receive_log(&before);
    node.begin_leading(2);
    let mut commit = node.hub().commit.subscribe();
    let started =
        || (node.hub().term_start.borrow().0 == Term(2)).then(|| node.hub().term_start.borrow().1);
    let committed = commit.wait_for(|commit| started().is_some_and(|end| *commit >= end));
    tokio::time::timeout(super::PATIENCE, committed).await.expect("in time").expect("committed");
    node.is(2, Role::Leader);
    let mut reading = strong(&node).await;
    let said = reading.query("select count(*) from t").await;
    let behind = "refused: this node has not caught up with the session\n";
    assert!(said == behind || said.contains("row 1"), "{said}");
    node.applied(*node.hub().commit.borrow()).await;
    assert_eq!(reading.value("select count(*) from t").await, "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strong_read_is_inside_the_lease_once_it_has_its_snapshot() {
    let node = TestNode::leading().await;
    node.client().query("create table t (id int primary key)").await;
    for begin in ["", "begin isolation level repeatable read"] {
        let mut reading = strong(&node).await;
        assert_eq!(reading.value("select count(*) from t").await, "0");
        reading.query(begin).await;
        // All connections are in use, until the lease has run out.
        let mut taken = Vec::new();
        for _ in 0..READERS {
            taken.push(node.running().readers.take().await.expect("a connection"));
        }
        let read = tokio::spawn(async move { reading.query("select count(*) from t").await });
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        node.hub().set_lease_until(i64::MIN);
        drop(taken);
        let said = read.await.expect("no panic");
        let over = "refused: this node can't serve now: the lease of term 1 has run out\n";
        assert_eq!(said, over, "{begin}");
        node.hub().set_lease_until(i64::MAX);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_told_once_that_what_it_saw_is_lost() {
    let node = TestNode::leading().await;
    let mut client = node.client();
    client.query("create table t (id int primary key)").await;
    let before = client.last.position;
    node.follow(2);
    node.lead(2).await;
    client.query("insert into t values (1)").await;
    let end = client.last.position;
    // Seen in term 1, beyond where the log went on with term 2.
    client.see = Position { term: Term(1), lsn: Lsn(end.lsn.0 + 100) };
    assert_eq!(
        client.query("select count(*) from t").await,
        "refused: a write this session saw was lost in a failover\n"
    );
    client.see = client.last.position;
    assert_eq!(client.value("select count(*) from t").await, "1");
    // All of term 1 that there is.
    client.see = before;
    assert_eq!(client.value("select count(*) from t").await, "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_file_that_was_removed_is_served_no_longer() {
    let node = TestNode::leading().await;
    node.client().query("create table t (id int primary key)").await;
    std::fs::remove_file(node.database()).expect("removed");
    let mut quarantine = node.hub().quarantine.subscribe();
    let noticed = quarantine.wait_for(Option::is_some);
    let noticed =
        *tokio::time::timeout(super::PATIENCE, noticed).await.expect("in time").expect("told");
    assert!(matches!(noticed, Some(crate::node::Quarantine::Edited(_))), "{noticed:?}");
    let said = node.client().query("select count(*) from t").await;
    assert!(said.starts_with("refused: this node can't serve now"), "{said}");
}
