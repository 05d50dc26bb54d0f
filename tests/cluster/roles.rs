//! Roles, as clients log in as them at every process of a cluster.

use nix::sys::signal::Signal;
use tokio_postgres::{Client, NoTls};

use crate::demo::{Demo, assert_success, wait_for};

/// Logs in; the SQLSTATE where that is refused.
async fn log_in(demo: &Demo, process: &str, user: &str, password: &str) -> Result<Client, String> {
    let mut config = demo.config(process);
    match config.user(user).password(password).connect(NoTls).await {
        Ok((client, connection)) => {
            tokio::spawn(connection);
            Ok(client)
        }
        Err(error) => Err(error.code().map(|code| code.code().to_owned()).unwrap_or_default()),
    }
}

async fn value(client: &Client, query: &str) -> String {
    client.query_one(query, &[]).await.unwrap_or_else(|error| panic!("{query}: {error:?}")).get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_logs_in_everywhere_with_the_password_it_has_now() {
    let demo = Demo::start(&[]);
    let (leader, term) = (demo.leader(), demo.term());
    let root = demo.connect("proxy").await;
    root.batch_execute(
        "CREATE ROLE staff; CREATE USER bob PASSWORD 'first' IN ROLE staff;
         ALTER ROLE bob SET synchronous_commit = off",
    )
    .await
    .expect("roles");
    let processes = || demo.nodes().into_iter().chain(["proxy".to_owned()]);
    for process in processes() {
        let bob = log_in(&demo, &process, "bob", "first").await.expect(&process);
        assert_eq!(value(&bob, "SHOW synchronous_commit").await, "off");
        assert_eq!(value(&bob, "SELECT session_user::text").await, "bob");
        let denied = bob.batch_execute("CREATE ROLE x").await.expect_err("it may not");
        assert_eq!(denied.code().map(|code| code.code()), Some("42501"));
    }
    let session = log_in(&demo, "proxy", "bob", "first").await.expect("it may");
    session.batch_execute("SET ROLE staff").await.expect("a member");
    root.batch_execute("ALTER ROLE bob PASSWORD 'second'").await.expect("changed");
    for process in processes() {
        let old = log_in(&demo, &process, "bob", "first").await.map(|_| ());
        assert_eq!(old, Err("28P01".to_owned()), "{process}");
        log_in(&demo, &process, "bob", "second").await.expect(&process);
    }
    demo.signal(&leader, Signal::SIGKILL);
    wait_for("a new leader", || {
        let view = demo.view()?;
        (view["term"].as_u64()? > term && view["open"] == true).then_some(())
    });
    // Who a session is goes with it, and roles are where the log is.
    assert_eq!(value(&session, "SELECT current_user::text").await, "staff");
    log_in(&demo, "proxy", "bob", "second").await.expect("it may");
    root.batch_execute("ALTER ROLE bob NOLOGIN").await.expect("changed");
    let refused = log_in(&demo, "proxy", "bob", "second").await.map(|_| ());
    assert_eq!(refused, Err("28000".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn psql_shows_roles_and_createuser_makes_them() {
    let demo = Demo::start(&[]);
    let tool = |program: &str, arguments: &[&str]| {
        let output = demo.client_command(program, "proxy").args(arguments).output();
        assert_success(program, &output.expect("it runs"));
    };
    tool("createuser", &["--createdb", "--connection-limit=3", "ann"]);
    demo.psql("CREATE ROLE staff; GRANT staff TO ann; ALTER ROLE ann SET work_mem = '8MB'");
    let shown = demo.psql("\\du");
    assert!(shown.contains("ann|Create DB") && shown.contains("3 connections"), "{shown}");
    assert!(shown.contains("{staff}") && shown.contains("staff|Cannot login"), "{shown}");
    let shown = demo.psql("\\drds");
    assert!(shown.contains("ann||work_mem=8MB"), "{shown}");
    tool("dropuser", &["ann"]);
    assert!(!demo.psql("\\du").contains("ann|"));
}
