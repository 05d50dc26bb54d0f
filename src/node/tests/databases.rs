//! Several databases in one file: that each has its own, on leader and follower.

use super::TestNode;
use super::client::Client;
use crate::gateway::SessionParams;
use crate::storage::sqlite::{ConnectionKind, Sqlite, query};

impl TestNode {
    fn client_in(&self, database: &str) -> Client {
        self.client_with(SessionParams {
            user: "test".to_owned(),
            database: database.to_owned(),
            backend_pid: 4711,
            ..SessionParams::default()
        })
    }
}

/// Runs statements of which none may fail.
async fn run(client: &mut Client, statements: &[&str]) {
    for statement in statements {
        let said = client.query(statement).await;
        assert!(!said.contains("error"), "{statement}: {said}");
    }
}

/// What is made in every database, under the same names.
const SAME: &[&str] = &[
    "create type mood as enum ('sad', 'ok')",
    "create domain percent as int check (value between 0 and 100)",
    "create type pair as (a int, b mood)",
    "create schema s",
    "create table t (id serial primary key, m mood default 'ok', p percent, u text unique)",
    "create index t_p on t (p) where p > 1",
    "create table s.t (id int generated always as identity, r int references t (id))",
    "alter table s.t add constraint t_u_key unique (r)",
    "create view v as select id, u from t",
    "create materialized view mv as select count(*) as n from t",
    "create sequence q",
    "comment on table t is 'the same'",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn databases_keep_to_themselves_and_followers_hold_the_same() {
    let leader = TestNode::leading().await;
    let mut first = leader.client();
    run(&mut first, SAME).await;
    run(&mut first, &["insert into t (u) values ('first')"]).await;
    let done = "done CREATE DATABASE\nready, idle\n";
    assert_eq!(first.query("create database shop").await, done);
    let mut shop = leader.client_in("shop");
    assert_eq!(shop.value("select current_database()").await, "shop");
    let said = shop.query("select * from t").await;
    assert!(said.contains("42P01") && said.contains("relation \"t\" does not exist"), "{said}");
    run(&mut shop, SAME).await;
    run(
        &mut shop,
        &[
            "comment on schema public is 'of the shop'",
            "create temp table mine (a int)",
            "insert into mine values (1)",
            "create table pairs (p pair)",
            "create function first_of(t) returns text language sql as 'select $1.u'",
            "create view firsts as select first_of(t) from t",
            "insert into pairs values (row(1, 'ok')::pair)",
            "insert into t (u, p) values ('shop', 7), ('two', 8)",
            "insert into s.t (r) select id from t",
            "alter table t add column extra numeric(5,2) default 1.5",
            "alter table t alter column extra type numeric(8,3)",
            "alter table t rename column extra to more",
            "update t set more = 2.25 where id = 1",
            // What reads the catalog while it runs, so at followers too.
            "create table told (a text, b text, c bigint)",
            "insert into told select 't'::regclass::text, 's.t'::regclass::oid::regclass::text, \
             nextval('q')",
            "insert into told values ('x', 'y', currval('q'))",
            "begin",
            "insert into t (u) values ('three')",
            "select nextval(pg_get_serial_sequence('t', 'id'))",
            "savepoint a",
            "insert into t (u) values ('undone')",
            "rollback to a",
            "commit",
        ],
    )
    .await;
    shop.parse("", "insert into told select 'p', 'q', nextval($1)", &[]);
    shop.bind("", "", &[Some("q")]);
    shop.execute("", 0);
    let said = shop.sync().await;
    assert!(said.contains("INSERT 0 1"), "{said}");
    // Large enough to be shipped in parts, which followers run before they know the end.
    let before = leader.hub().end.borrow().lsn;
    run(&mut shop, &["begin", "insert into told select 't'::regclass::text, 'part', nextval('q')"])
        .await;
    let values = vec![format!("('{}')", "x".repeat(1000)); 700].join(", ");
    for _ in 0..2 {
        run(&mut shop, &[&format!("insert into told (b) values {values}")]).await;
    }
    assert!(leader.hub().end.borrow().lsn > before, "no part was shipped");
    run(&mut shop, &["commit"]).await;
    assert_eq!(shop.value("select string_agg(u, ',' order by id) from t").await, "shop,two,three");
    assert_eq!(first.value("select string_agg(u, ',') from t").await, "first");
    assert_eq!(shop.value("select max(c) from told").await, "3");
    assert_eq!(shop.value("select string_agg(first_of, ',') from firsts").await, "shop,two,three");
    assert_eq!(shop.value("select a from told where b = 'part'").await, "t");
    assert_eq!(first.value("select nextval('q')").await, "1");
    assert_eq!(first.value("select count(*) from pg_class where relname = 'told'").await, "0");
    for query in [
        "select count(*) from pg_class where relname in ('t', 'v', 'mv', 'q', 't_p', 't_pkey')",
        "select count(*) from pg_type where typname in ('mood', 'percent', 'pair')",
        "select count(*) from information_schema.tables where table_name = 't'",
        "select obj_description('t'::regclass)",
        "select count(*) from pg_description",
        "select count(*) from pg_namespace where nspname = 's'",
        "select pg_get_viewdef('v')",
        "select column_default from information_schema.columns where table_name = 't' and \
         table_schema = 'public' and column_name = 'id'",
        "select pg_get_constraintdef(oid) from pg_constraint where contype = 'f'",
    ] {
        let (here, there) = (first.value(query).await, shop.value(query).await);
        assert_eq!(here, there, "{query}");
        assert!(!here.contains('@') && here != "0", "{query}: {here}");
    }
    let told = "select obj_description('public'::regnamespace, 'pg_namespace')";
    assert_eq!(first.value(told).await, "standard public schema");
    assert_eq!(shop.value(told).await, "of the shop");
    let listed = "select string_agg(datname, ' ' order by datname) from pg_database";
    assert_eq!(shop.value(listed).await, "postgres shop template0 template1 towline");
    assert_eq!(first.value(listed).await, shop.value(listed).await);
    let own = "select count(*) from pg_database d join pg_stat_activity a on a.datid = d.oid \
               where d.datname = current_database()";
    assert_eq!((first.value(own).await, shop.value(own).await), ("1".to_owned(), "1".to_owned()));

    let follower = TestNode::new();
    follower.receive(&leader);
    follower.applied(*leader.hub().applied.borrow()).await;
    assert_eq!(super::digest(&follower.database()), super::digest(&leader.database()));
    assert_eq!(follower.client_in("shop").value("select count(*) from t").await, "3");
    assert_eq!(follower.client().value("select count(*) from t").await, "1");

    drop(shop);
    assert_eq!(first.query("drop database shop").await, "done DROP DATABASE\nready, idle\n");
    let mut file = Sqlite::open(&leader.database(), ConnectionKind::Reader).expect("opens");
    for text in [
        "SELECT name FROM sqlite_schema WHERE name GLOB '@*'",
        "SELECT name FROM towline_relation WHERE name GLOB '@*'",
        "SELECT name FROM towline_sequence WHERE name GLOB '@*'",
        "SELECT name FROM towline_type WHERE name GLOB '@*'",
        "SELECT name FROM towline_routine WHERE name GLOB '@*'",
        "SELECT name FROM towline_schema WHERE name GLOB '@*'",
        "SELECT name FROM towline_database",
        "SELECT relation FROM towline_attribute WHERE relation NOT IN (SELECT oid FROM \
         towline_relation)",
        "SELECT relation FROM towline_constraint WHERE relation NOT IN (SELECT oid FROM \
         towline_relation)",
        "SELECT object FROM towline_comment WHERE object NOT IN (SELECT oid FROM \
         towline_relation)",
    ] {
        assert_eq!(query(&mut file, text, &[]).expect("reads").len(), 0, "{text}");
    }
    assert_eq!(first.value("select string_agg(u, ',') from t").await, "first");
    follower.receive(&leader);
    follower.applied(*leader.hub().applied.borrow()).await;
    assert_eq!(super::digest(&follower.database()), super::digest(&leader.database()));
    let said = leader.client_in("shop").query("select 1").await;
    assert!(said.contains("3D000") && said.contains("\"shop\" does not exist"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_database_or_in_use_is_said_as_postgresql_does() {
    let node = TestNode::leading().await;
    let mut client = node.client();
    run(&mut client, &["create database shop"]).await;
    let mut shop = node.client_in("shop");
    run(&mut shop, &["create table t (a int not null, b int check (b > 0) unique)"]).await;
    for (text, state, told) in [
        ("create database shop", "42P04", "database \"shop\" already exists"),
        ("create database towline", "42P04", "database \"towline\" already exists"),
        ("create database postgres", "42P04", "database \"postgres\" already exists"),
        ("create database template0", "42P04", "database \"template0\" already exists"),
        ("drop database nowhere", "3D000", "database \"nowhere\" does not exist"),
        ("drop database towline", "55006", "cannot drop the currently open database"),
        ("drop database postgres", "0A000", "which is always there"),
        ("drop database template1", "42809", "cannot drop a template database"),
        ("alter database towline rename to x", "0A000", "current database cannot be renamed"),
        ("alter database nowhere rename to x", "3D000", "database \"nowhere\" does not exist"),
        ("begin; create database x", "25001", "cannot run inside a transaction block"),
        ("select * from shop.public.t", "0A000", "cross-database reference"),
        ("select nextval('@16384:t')", "42P01", "does not exist"),
    ] {
        let said = client.query(text).await;
        assert!(said.contains(state) && said.contains(told), "{text}: {said}");
        client.query("rollback").await;
    }
    let said = client.query("drop database if exists nowhere").await;
    assert!(said.contains("does not exist, skipping") && said.contains("DROP DATABASE"), "{said}");
    for (text, state, told) in [
        ("drop database shop", "55006", "cannot drop the currently open database"),
        ("insert into t (b) values (1)", "23502", "column \"a\" of relation \"t\""),
        ("insert into t values (1, 0)", "23514", "new row for relation \"t\" violates"),
        ("create table t (a int)", "42P07", "relation \"t\" already exists"),
        ("create table u (a int references nowhere)", "42P01", "\"nowhere\" does not exist"),
        ("drop table nowhere", "42P01", "table \"nowhere\" does not exist"),
        ("pragma table_info('t')", "0A000", "SQLite's dialect"),
        ("select * from towline.public.t", "0A000", "cross-database reference"),
    ] {
        let said = shop.query(text).await;
        assert!(said.contains(state) && said.contains(told), "{text}: {said}");
        assert!(!said.contains('@'), "{text}: {said}");
    }
    assert_eq!(shop.value("select count(*) from shop.public.t").await, "0");
    let said = shop.query("set towline.dialect = 'sqlite'; select 1").await;
    assert!(said.contains("0A000"), "{said}");

    let said = client.query("drop database shop").await;
    assert!(said.contains("55006") && said.contains("is being accessed by other users"), "{said}");
    assert!(said.contains("There is 1 other session using the database."), "{said}");
    assert!(client.query("alter database shop rename to mall").await.contains("55006"));
    drop(shop);
    run(&mut client, &["alter database shop rename to mall"]).await;
    assert_eq!(node.client_in("mall").value("select count(*) from t").await, "0");
    assert!(node.client_in("shop").query("select 1").await.contains("3D000"));
    assert!(node.client_in("template1").query("select 1").await.contains("55000"));
    let said = node.client_in("postgres").query("select * from t").await;
    assert!(said.contains("42P01"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locks_channels_and_large_objects_are_a_databases_own() {
    let node = TestNode::leading().await;
    let mut first = node.client();
    run(&mut first, &["create database shop"]).await;
    let mut shop = node.client_in("shop");
    for client in [&mut first, &mut shop] {
        assert_eq!(client.value("select pg_try_advisory_lock(1)").await, "t");
    }
    assert_eq!(node.client_in("shop").value("select pg_try_advisory_lock(1)").await, "f");

    let mut told = node.hub().notifications.subscribe();
    run(&mut first, &["listen news", "notify news, 'one'"]).await;
    run(&mut shop, &["listen news", "notify news, 'two'"]).await;
    let channels = |client: &Client| {
        let settings = client.last.settings.as_ref().expect("LISTEN changed them");
        settings[crate::gateway::CHANNELS].clone()
    };
    run(&mut first, &["listen other"]).await;
    run(&mut shop, &["listen other"]).await;
    assert_ne!(channels(&first), channels(&shop));
    let (one, two) = (told.recv().await.expect("sent"), told.recv().await.expect("sent"));
    assert_eq!((one.channel.as_str(), one.payload.as_str()), ("news", "one"));
    assert_ne!(two.channel, "news");
    let shown = crate::storage::sqlite::bare_channel(&two.channel);
    assert_eq!((shown, two.payload.as_str()), ("news", "two"));
    assert!(shop.query("listen \"\u{1}3\u{1}x\"").await.contains("22023"));
}
