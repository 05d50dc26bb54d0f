//! Which node serves a session, and what a change of leader costs it.

use super::*;

#[tokio::test]
async fn reads_and_writes_go_through_links() {
    let bench = Bench::new(&["a", "b"]).await;
    let client = bench.client().await;
    assert_eq!(ask(&client, "select 42").await, "42");
    client.batch_execute("insert one").await.expect("written");
    assert_eq!(ask(&client, "select rows").await, "one");
    // Its own write is seen, though only the leader has it.
    assert_eq!(ask(&client, "select node").await, "a");
    let other = bench.client().await;
    assert!(["a", "b"].contains(&ask(&other, "select node").await.as_str()));
}

/// A node as a view shows it, at an address.
fn shown(name: &NodeId, peer: &str) -> NodeView {
    NodeView {
        name: name.clone(),
        maintenance: false,
        joining: false,
        peer: peer.to_owned(),
        sql: None,
        healthy: true,
        role: Role::Follower,
        term: Term(0),
        end: LogEnd::default(),
        durable: Lsn(0),
        commit: Lsn(0),
        applied: Lsn(0),
        lag_bytes: 0,
        through: None,
        reason: String::new(),
    }
}

#[tokio::test]
async fn who_joins_is_reached_and_who_was_dropped_gets_no_work() {
    let bench = Bench::new(&["a"]).await;
    let client = bench.client().await;
    client.batch_execute("insert one").await.expect("written");
    // One that no file names takes over, and one view tells of it.
    let tls = certificate(&bench.directory, &bench.authority, "b");
    let listener = PeerListener::bind("127.0.0.1:0", tls).await.expect("a free port");
    let address = listener.local_address().to_string();
    let node = FakeNode::new("b", &bench.cluster);
    tokio::spawn(node_process(listener, node.clone(), Fate::default()));
    let tell = |version: u64, nodes: Vec<NodeView>| {
        let term = {
            let mut state = bench.cluster.state.lock().expect("whole");
            (state.term, state.leader) = (2, Some(node.name.clone()));
            Term(2)
        };
        let leader = Some(node.name.clone());
        let configuration = Some(Configuration { version, members: Vec::new() });
        let view = View { term, leader, open: true, nodes, configuration, ..View::default() };
        bench.views.send_replace(view);
    };
    let (a, at) = bench.addresses[0].clone();
    tell(2, vec![shown(&a, &at), shown(&node.name, &address)]);
    client.batch_execute("insert two").await.expect("written");
    assert_eq!(ask(&client, "select node").await, "b");
    // Older members, from a monitor that has lost its state, change nothing.
    tell(1, vec![shown(&a, &at)]);
    client.batch_execute("insert three").await.expect("written");
    // Without `a` all reads go to the other, as soon as the view is there.
    tell(3, vec![shown(&node.name, &address)]);
    until(|| bench.watch.status().nodes == 1).await;
    for _ in 0..5 {
        let fresh = bench.client().await;
        assert_eq!(ask(&fresh, "select node").await, "b");
    }
    assert_eq!(bench.rows(), ["one", "two", "three"]);
}

#[tokio::test]
async fn nodes_come_and_go_by_the_thousand() {
    let bench = Bench::new(&["a", "b"]).await;
    let tls = certificate(&bench.directory, &bench.authority, "router");
    let [(a, at_a), (b, at_b)] = &bench.addresses[..] else { panic!("two nodes") };
    let members = [(a.clone(), at_a.clone())];
    let nodes = Nodes::<NoNode>::new("c", "router", &members, &tls, None, Arc::default());
    let see = |version: u64, joined: NodeView| {
        let leader = Some(joined.name.clone());
        let shown = vec![shown(a, at_a), joined];
        let configuration = Some(Configuration { version, members: Vec::new() });
        let view =
            View { term: Term(version), leader, open: true, nodes: shown, ..View::default() };
        nodes.see(View { configuration, ..view });
    };
    let mut candidates = Vec::new();
    for version in 1..=3000 {
        see(version, shown(&format!("joined{version}").parse().expect("a name"), "127.0.0.1:1"));
        nodes.candidates(&[], &mut candidates);
        assert_eq!(candidates.len(), 2);
        assert!(candidates[1].leads && !candidates[0].leads);
    }
    see(3001, shown(b, at_b));
    until(|| nodes.reachable() == (2, 2)).await;
    nodes.candidates(&[], &mut candidates);
    assert!(candidates.iter().all(|node| node.connected));
    assert_eq!(candidates[0].number, 0);
}

#[tokio::test]
async fn a_new_leader_serves_the_same_session_prepared_statements_and_all() {
    let bench = Bench::new(&["a", "b"]).await;
    let client = bench.client().await;
    client.batch_execute("set work_mem TO 5").await.expect("set");
    let insert = client.prepare("insert x").await.expect("prepared");
    client.execute(&insert, &[]).await.expect("written");
    bench.appoint("b");
    client.execute(&insert, &[]).await.expect("written at b");
    assert_eq!(bench.rows(), ["x", "x"]);
    bench.nodes[1].applied.store(2, Ordering::SeqCst);
    assert_eq!(ask(&client, "begin; select setting work_mem").await, "5");
}

#[tokio::test]
async fn a_stale_view_costs_a_detour_and_no_error() {
    let bench = Bench::new(&["a", "b"]).await;
    let client = bench.client().await;
    client.batch_execute("insert one").await.expect("written");
    {
        // The monitor has not said so yet.
        let mut state = bench.cluster.state.lock().expect("whole");
        state.term += 1;
        state.leader = Some("b".parse().expect("a name"));
    }
    client.batch_execute("insert two").await.expect("written");
    assert_eq!(bench.rows(), ["one", "two"]);
}

#[tokio::test]
async fn writes_wait_while_there_is_no_leader_and_reads_go_on() {
    let bench = Bench::new(&["a", "b"]).await;
    let (writer, reader) = (bench.client().await, bench.client().await);
    writer.batch_execute("insert one").await.expect("written");
    bench.depose();
    let waiting =
        tokio::spawn(async move { writer.batch_execute("insert two").await.map(|()| writer) });
    assert_eq!(ask(&reader, "select 1").await, "1");
    assert!(!waiting.is_finished());
    bench.appoint("b");
    let done = tokio::time::timeout(PATIENCE, waiting).await.expect("in time").expect("whole");
    assert!(done.is_ok());
    assert_eq!(bench.rows(), ["one", "two"]);
}

#[tokio::test]
async fn a_read_leaves_a_silent_node_before_its_link_is_dead() {
    let bench = Bench::new(&["a", "b"]).await;
    let client = bench.client().await;
    assert_eq!(ask(&client, "select node").await, "a");
    bench.fates[0].silence.cancel();
    let asked = tokio::time::Instant::now();
    assert_eq!(ask(&client, "select node").await, "b");
    assert!(asked.elapsed() < link::SILENCE_MAX, "answered after {:?}", asked.elapsed());
}

#[tokio::test]
async fn a_write_whose_reply_was_lost_is_looked_up_and_never_repeated() {
    let bench = Bench::new(&["a", "b"]).await;
    let client = bench.client().await;
    ask(&client, "select 1").await;
    bench.cluster.state.lock().expect("whole").break_next_write = true;
    client.batch_execute("insert once").await.expect("looked up");
    assert_eq!(bench.rows(), ["once"]);
    bench.cluster.state.lock().expect("whole").drop_next_write = true;
    client.batch_execute("insert twice").await.expect("run again");
    assert_eq!(bench.rows(), ["once", "twice"]);
}

#[tokio::test]
async fn a_statement_that_nodes_do_not_survive_is_run_three_times() {
    let bench = Bench::new(&["a", "b", "c", "d"]).await;
    let client = bench.client().await;
    let error = client.simple_query("select death").await.expect_err("harmful");
    assert_eq!(error.code().map(SqlState::code), Some("58000"), "{error}");
    assert_eq!(bench.cluster.state.lock().expect("whole").losses, 3);
    ask(&client, "select node").await;
}

#[tokio::test]
async fn a_commit_whose_reply_was_lost_is_looked_up() {
    let bench = Bench::new(&["a"]).await;
    let client = bench.client().await;
    client.batch_execute("begin").await.expect("begun");
    client.batch_execute("insert in").await.expect("written");
    bench.cluster.state.lock().expect("whole").break_next_write = true;
    client.batch_execute("commit").await.expect("committed");
    assert_eq!(bench.rows(), ["in"]);
    client.batch_execute("begin").await.expect("begun");
    client.batch_execute("insert out").await.expect("written");
    bench.cluster.state.lock().expect("whole").drop_next_write = true;
    // No newer term has begun: it may still be on its way.
    assert_eq!(code(&client, "commit").await, "08007");
    assert_eq!(bench.rows(), ["in"]);
    assert_eq!(ask(&client, "select 1").await, "1");
}

#[tokio::test]
async fn a_transaction_cut_open_is_told_40001_and_waits_for_rollback() {
    let bench = Bench::new(&["a", "b"]).await;
    let client = bench.client().await;
    client.batch_execute("begin").await.expect("begun");
    client.batch_execute("insert lost").await.expect("written");
    bench.fates[0].death.cancel();
    bench.appoint("b");
    assert_eq!(code(&client, "insert more").await, "40001");
    assert_eq!(code(&client, "select 1").await, "25P02");
    let error = client.query("select 1", &[]).await.expect_err("aborted");
    assert_eq!(error.code(), Some(&SqlState::IN_FAILED_SQL_TRANSACTION));
    client.batch_execute("rollback").await.expect("over");
    client.batch_execute("insert kept").await.expect("written");
    assert_eq!(bench.rows(), ["kept"]);
}

#[tokio::test]
async fn temporary_tables_keep_a_session_where_they_are() {
    let bench = Bench::new(&["a", "b"]).await;
    let client = bench.client().await;
    client.batch_execute("create temp table t").await.expect("made");
    bench.nodes[1].applied.store(9, Ordering::SeqCst);
    for _ in 0..5 {
        assert_eq!(ask(&client, "select node").await, "a");
    }
    bench.fates[0].death.cancel();
    until(|| bench.fates[0].death.is_cancelled()).await;
    bench.appoint("b");
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        match client.simple_query("select node").await {
            Ok(messages) => assert_eq!(value(&messages), "a"),
            Err(error) => {
                assert_eq!(error.code(), Some(&SqlState::T_R_SERIALIZATION_FAILURE));
                break;
            }
        }
        assert!(tokio::time::Instant::now() < deadline);
    }
    assert_eq!(ask(&client, "select node").await, "b");
}

#[tokio::test]
async fn rows_that_went_out_before_a_node_died_are_not_sent_twice() {
    let bench = Bench::new(&["a"]).await;
    let mut raw = RawClient::connect(&bench).await;
    raw.query("select big 100000").await;
    // Some rows have come; the window holds back the rest.
    let mut first = vec![0; 100_000];
    raw.stream.read_exact(&mut first).await.expect("rows");
    bench.fates[0].death.cancel();
    let mut rest = Vec::new();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let ready = b"Z\0\0\0\x05I";
    while !contains(&rest, ready) {
        assert!(tokio::time::Instant::now() < deadline, "no error came");
        let mut some = vec![0; 1 << 20];
        let read = raw.stream.read(&mut some).await.expect("it stays open");
        rest.drain(..rest.len().saturating_sub(1000));
        rest.extend_from_slice(&some[..read]);
    }
    assert!(contains(&rest, b"40001"));
}

#[tokio::test]
async fn a_node_serves_its_own_clients_and_forwards_writes() {
    let bench = Bench::new(&["a", "b"]).await;
    let tls = certificate(&bench.directory, &bench.authority, "b");
    let config = GatewayConfig {
        sql: sql(Vec::new()),
        cluster: "c".to_owned(),
        name: "b".to_owned(),
        nodes: bench.addresses.clone(),
        tls,
        leader_wait: Duration::from_secs(10),
    };
    let local = bench.nodes[1].clone();
    let gateway = Gateway::bind(config, Some((local.name.clone(), local))).await.expect("listens");
    let options =
        format!("host=127.0.0.1 port={} user=u dbname=app", gateway.local_address().port());
    tokio::spawn(gateway.run(bench.views.subscribe(), bench.shutdown.clone()));
    let (client, mut connection) = tokio_postgres::connect(&options, NoTls).await.expect("in");
    let standby = connection.parameter("in_hot_standby").map(str::to_owned);
    tokio::spawn(async move {
        while std::future::poll_fn(|context| connection.poll_message(context)).await.is_some() {}
    });
    assert_eq!(standby.as_deref(), Some("on"));
    assert_eq!(ask(&client, "select node").await, "b");
    client.batch_execute("insert far").await.expect("forwarded");
    assert_eq!(bench.rows(), ["far"]);
    // Its own node has not applied it: the leader answers.
    assert_eq!(ask(&client, "select node").await, "a");
    bench.nodes[1].applied.store(1, Ordering::SeqCst);
    assert_eq!(ask(&client, "select node").await, "b");
}
