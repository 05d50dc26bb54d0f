//! Roles: who makes them, who a session is, and with what it begins.

use super::TestNode;
use super::client::Client;
use crate::gateway::{Errand, Login, Mode, SessionParams, SettingsMap, Standing};
use crate::pg::scram::Verifier;

impl TestNode {
    /// As the gateway opens a session of somebody who has shown who they are.
    pub(super) fn client_of(&self, user: &str) -> Client {
        let standing = Standing::Role;
        let user = user.to_owned();
        self.client_with(SessionParams { user, standing, ..SessionParams::default() })
    }

    async fn login(&self, user: &str, database: &str) -> Login {
        let mut client = self.client();
        client.mode = Mode::Errand;
        let (user, database) = (user.to_owned(), database.to_owned());
        let errand = Errand::LogIn { user, database };
        client.errand(&serde_json::to_vec(&errand).expect("plain JSON")).await
    }
}

pub(super) async fn run(client: &mut Client, statements: &[&str]) {
    for statement in statements {
        let said = client.query(statement).await;
        assert!(!said.contains("error"), "{statement}: {said}");
    }
}

/// Runs a statement that must fail so.
pub(super) async fn refused(client: &mut Client, statement: &str, state: &str, message: &str) {
    let said = client.query(statement).await;
    assert!(said.contains(state) && said.contains(message), "{statement}: {said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_are_made_changed_and_dropped_alike_on_all_nodes() {
    let leader = TestNode::leading().await;
    let mut root = leader.client();
    run(
        &mut root,
        &[
            "create role staff",
            "create user bob password 'first' in role staff",
            "create role eve login noinherit createrole connection limit 2 valid until '2031-02-03 04:05+00'",
            "grant staff to eve with admin option",
            "alter role bob password 'second'",
            "alter role eve rename to ev",
            "create role gone login role bob",
            "drop role gone",
        ],
    )
    .await;
    let seen = root
        .query("select rolname, rolcanlogin, rolinherit, rolcreaterole, rolconnlimit, rolvaliduntil from pg_roles where oid >= 16384 order by 1")
        .await;
    assert!(seen.contains("row bob | t | t | f | -1 | "), "{seen}");
    assert!(seen.contains("row ev | t | f | t | 2 | 2031-02-03 04:05:00+00"), "{seen}");
    assert!(seen.contains("row staff | f | t | f | -1 | "), "{seen}");
    let members = "select m.rolname, admin_option from pg_auth_members a \
                   join pg_roles m on m.oid = a.member join pg_roles r on r.oid = a.roleid \
                   where r.rolname = 'staff' order by 1";
    let seen = root.query(members).await;
    assert!(seen.contains("row bob | f") && seen.contains("row ev | t"), "{seen}");
    let follower = TestNode::new();
    follower.receive(&leader);
    follower.applied(*leader.hub().commit.borrow()).await;
    let mut there = follower.client();
    assert_eq!(there.query(members).await, seen);
    let login = follower.login("bob", "towline").await.role.expect("it is a role");
    let verifier: Verifier = login.verifier.expect("it has one").parse().expect("a verifier");
    assert!(login.can_login && verifier.matches("second") && !verifier.matches("first"));
    refused(&mut root, "create role bob", "42710", "role \"bob\" already exists").await;
    refused(&mut root, "create role root", "42710", "role \"root\" already exists").await;
    refused(&mut root, "drop role nobody", "42704", "role \"nobody\" does not exist").await;
    refused(&mut root, "drop role test", "0A000", "the configuration file lists").await;
    refused(&mut root, "grant bob to staff", "0LP01", "is a member of role").await;
    let said = root.query("drop role if exists nobody").await;
    assert!(said.contains("role \"nobody\" does not exist, skipping"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_password_is_in_the_log() {
    let node = TestNode::leading().await;
    let mut root = node.client();
    run(&mut root, &["create user bob password 'zebra-crossing'"]).await;
    let reader = crate::node::writer::lock(&node.running().log).reader();
    let end = node.hub().end.borrow().lsn;
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < end.0 {
        let at = crate::log::Lsn(bytes.len() as u64);
        bytes.extend_from_slice(&reader.read(at, 1 << 20).expect("the log is whole"));
    }
    let holds = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    assert!(!holds(b"zebra"));
    assert!(holds(b"SCRAM-SHA-256$"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_becomes_whom_it_may() {
    let node = TestNode::leading().await;
    let mut root = node.client();
    run(
        &mut root,
        &["create role staff", "create role other", "create user \"Bob\" in role staff"],
    )
    .await;
    let who = "select session_user || ' ' || current_user";
    let mut bob = node.client_of("Bob");
    assert_eq!(bob.value(who).await, "Bob Bob");
    assert_eq!(bob.value("show is_superuser").await, "off");
    run(&mut bob, &["set role staff"]).await;
    assert_eq!(bob.value(who).await, "Bob staff");
    refused(&mut bob, "set role other", "42501", "permission denied to set role \"other\"").await;
    refused(&mut bob, "set role nobody", "22023", "role \"nobody\" does not exist").await;
    refused(&mut bob, "select set_config('role', 'other', false)", "42501", "permission denied")
        .await;
    refused(&mut bob, "set session authorization root", "42501", "session authorization").await;
    refused(&mut bob, "create role x", "42501", "permission denied to create role").await;
    refused(&mut bob, "create database x", "42501", "permission denied to create database").await;
    refused(&mut bob, "alter role other login", "42501", "permission denied").await;
    run(&mut bob, &["reset role", "alter role current_user password 'mine'"]).await;
    assert_eq!(bob.value(who).await, "Bob Bob");
    // With the transaction goes what it set.
    run(&mut bob, &["begin", "set local role staff"]).await;
    assert_eq!(bob.value("select current_user").await, "staff");
    run(&mut bob, &["commit"]).await;
    assert_eq!(bob.value("select current_user").await, "Bob");
    run(&mut root, &["set session authorization \"Bob\"", "set role staff"]).await;
    assert_eq!(root.value(who).await, "Bob staff");
    refused(&mut root, "create role x", "42501", "permission denied").await;
    run(&mut root, &["reset session authorization", "create role x"]).await;
    assert_eq!(root.value(who).await, "test test");
    assert_eq!(root.value("select pg_has_role('Bob', 'staff', 'member')").await, "t");
    assert_eq!(root.value("select pg_has_role('Bob', 'other', 'member')").await, "f");
    assert_eq!(root.value("select '\"Bob\"'::regrole::oid::regrole::text").await, "\"Bob\"");
    // Where nobody had to show anything, a role's name is the role.
    let params = SessionParams { user: "Bob".to_owned(), ..SessionParams::default() };
    let mut claimed = node.client_with(params);
    refused(&mut claimed, "create role y", "42501", "permission denied").await;
    run(&mut root, &["drop role \"Bob\""]).await;
    refused(&mut bob, "create role y", "42704", "role \"Bob\" does not exist").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_begin_with_the_settings_of_role_and_database() {
    let node = TestNode::leading().await;
    let mut root = node.client();
    run(
        &mut root,
        &[
            "create user bob",
            "create database shop",
            "alter role all set work_mem = '1MB'",
            "alter database shop set work_mem = '2MB'",
            "alter role bob set synchronous_commit = off",
            "alter role bob in database shop set search_path to a, b",
            "alter role root set statement_timeout = '5s'",
            "alter role bob set lock_timeout = '5s'",
            "alter role bob reset lock_timeout",
        ],
    )
    .await;
    let settings = |pairs: &[(&str, &str)]| -> SettingsMap {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let login = node.login("bob", "shop").await;
    let expected = [("search_path", "a, b"), ("synchronous_commit", "off"), ("work_mem", "2MB")];
    assert_eq!(login.settings, settings(&expected));
    let login = node.login("root", "towline").await;
    assert_eq!(login.settings, settings(&[("statement_timeout", "5s"), ("work_mem", "1MB")]));
    assert!(login.role.is_none());
    let shown = "select setconfig from pg_db_role_setting s join pg_roles r on r.oid = s.setrole \
                 where rolname = 'bob' and setdatabase = 0";
    assert_eq!(root.value(shown).await, "{synchronous_commit=off}");
    refused(&mut root, "alter role bob set no_such = 1", "42704", "no_such").await;
    refused(&mut root, "alter role bob set work_mem from current x", "42601", "").await;
    // What a session began with is what it goes back to.
    let mut bob = node.client_with(SessionParams {
        user: "bob".to_owned(),
        standing: Standing::Role,
        settings: settings(&[("work_mem", "2MB")]),
        ..SessionParams::default()
    });
    run(&mut bob, &["set work_mem = '9MB'", "reset work_mem"]).await;
    assert_eq!(bob.value("show work_mem").await, "2MB");
    run(&mut bob, &["set work_mem = '9MB'", "reset all"]).await;
    assert_eq!(bob.value("show work_mem").await, "2MB");
    run(&mut root, &["alter role bob rename to rob", "alter role rob reset all"]).await;
    assert_eq!(node.login("rob", "towline").await.settings, settings(&[("work_mem", "1MB")]));
}
