//! What `pg_stat_activity` shows.

use super::TestNode;
use super::roles::run;
use crate::gateway::{SessionParams, SettingsMap};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_sessions_of_a_node_are_shown() {
    let node = TestNode::leading().await;
    let mut watcher = node.client();
    let settings = SettingsMap::from([("application_name".to_owned(), "worker".to_owned())]);
    let mut worker = node.client_with(SessionParams {
        user: "test".to_owned(),
        backend_pid: 4711,
        client: Some("192.0.2.7:5000".parse().expect("an address")),
        settings,
        ..SessionParams::default()
    });
    run(&mut watcher, &["create table t (a int)"]).await;
    let of_worker = |columns: &str| {
        format!("select {columns} from pg_stat_activity where application_name = 'worker'")
    };
    let state = of_worker("concat_ws('|', pid, state, wait_event, xact_start is null, query)");
    let who = of_worker("concat_ws('|', usename, datname, host(client_addr), client_port)");
    let times = of_worker(
        "backend_start <= query_start and query_start <= state_change and state_change <= clock_timestamp()",
    );

    worker.query("select 1").await;
    assert_eq!(watcher.value(&state).await, "4711|idle|ClientRead|t|select 1");
    assert_eq!(watcher.value(&who).await, "test|towline|192.0.2.7|5000");
    assert_eq!(watcher.value(&times).await, "t");
    worker.query("begin").await;
    assert_eq!(watcher.value(&state).await, "4711|idle in transaction|ClientRead|f|begin");
    worker.parse("", "insert into t values ($1)", &[]);
    worker.bind("", "", &[Some("x")]);
    worker.execute("", 0);
    worker.sync().await;
    let aborted = "4711|idle in transaction (aborted)|ClientRead|f|begin";
    assert_eq!(watcher.value(&state).await, aborted);
    worker.query("rollback").await;
    worker.parse("", "insert into t values ($1)", &[]);
    worker.bind("", "", &[Some("1")]);
    worker.execute("", 0);
    worker.sync().await;
    let executed = "4711|idle|ClientRead|t|insert into t values ($1)";
    assert_eq!(watcher.value(&state).await, executed);
    worker.query("set application_name = 'elsewhere'").await;
    assert_eq!(watcher.value(&of_worker("count(*)")).await, "0");
    worker.query("set application_name = 'worker'").await;
    let own = "select state || ' ' || (query like '%own%') from pg_stat_activity \
               where pid = pg_backend_pid() -- own";
    assert_eq!(watcher.value(own).await, "active true");
    let counted = "select numbackends from pg_stat_database where datname = current_database()";
    assert_eq!(watcher.value(counted).await, "2");
    assert_eq!(worker.value("select host(inet_client_addr())").await, "192.0.2.7");
    assert_eq!(watcher.value("select inet_client_addr() is null").await, "t");

    drop(worker);
    assert_eq!(watcher.value(counted).await, "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_do_is_for_superusers() {
    let node = TestNode::leading().await;
    let mut admin = node.client();
    run(&mut admin, &["create role bob login"]).await;
    let mut bob = node.client_of("bob");
    let seen = "select concat_ws('|', usename, state, query) from pg_stat_activity \
                where usename <> current_user";
    assert_eq!(bob.value(seen).await, "test|<insufficient privilege>");
    assert_eq!(admin.value(seen).await, format!("bob|idle|{seen}"));
    let own = "select usesysid from pg_stat_activity where usename = 'test'";
    let itself = admin.value(own).await;
    run(&mut admin, &["set role bob"]).await;
    assert_eq!(admin.value(own).await, itself);
}
