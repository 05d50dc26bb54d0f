//! What clients say and hear.

use super::*;

#[tokio::test]
async fn extended_queries_and_prepared_statements_work() {
    let bench = Bench::new(&["a"]).await;
    let client = bench.client().await;
    let select = client.prepare("select hello").await.expect("prepared");
    let insert = client.prepare("insert x").await.expect("prepared");
    for _ in 0..3 {
        let row = client.query_one(&select, &[]).await.expect("a row");
        assert_eq!(row.get::<_, &str>(0), "hello");
        assert_eq!(client.execute(&insert, &[]).await.expect("written"), 1);
    }
    assert_eq!(bench.rows().len(), 3);
    // Many at once share what there is.
    let many = futures(20, |_| client.query_one(&select, &[])).await;
    assert!(many.into_iter().all(|row| row.is_ok()));
}

#[tokio::test]
async fn statements_that_were_closed_at_another_node_do_not_pile_up() {
    let bench = Bench::new(&["a", "b"]).await;
    // So many wait at the leader that whatever need not go there goes to the other.
    let mut waiting = Vec::new();
    for _ in 0..6 {
        let client = bench.client().await;
        client.batch_execute("SET towline.read_level TO 'strong'").await.expect("set");
        waiting.push(tokio::spawn(async move { client.simple_query("select pg_sleep()").await }));
    }
    let client = bench.client().await;
    for _ in 0..300 {
        drop(client.prepare("insert x").await.expect("prepared"));
    }
    client.execute("insert x", &[]).await.expect("written");
    let most = bench.nodes[0].statements_most.load(Ordering::SeqCst);
    assert!(most < 100, "{most} statements at the leader");
}

#[tokio::test]
async fn an_error_skips_to_sync_and_leaves_the_session_usable() {
    let bench = Bench::new(&["a"]).await;
    let client = bench.client().await;
    let error = client.prepare("syntax").await.expect_err("an error");
    assert_eq!(error.code(), Some(&SqlState::SYNTAX_ERROR));
    assert_eq!(code(&client, "error now").await, "42601");
    assert_eq!(ask(&client, "select 1").await, "1");
}

#[tokio::test]
async fn a_panic_at_a_node_costs_a_statement_and_not_the_client() {
    let bench = Bench::new(&["n1"]).await;
    bench.appoint("n1");
    let client = bench.client().await;
    for _ in 0..2 {
        assert_eq!(code(&client, "select panic").await, "XX000");
        assert_eq!(ask(&client, "select node").await, "n1");
    }
}

#[tokio::test]
async fn copy_passes_through() {
    let bench = Bench::new(&["a"]).await;
    let client = bench.client().await;
    let sink = client.copy_in::<_, bytes::Bytes>("copy t from stdin").await.expect("begun");
    let mut sink = Box::pin(sink);
    for _ in 0..100 {
        let line = bytes::Bytes::from(vec![b'x'; 10_000]);
        send(sink.as_mut(), line).await;
    }
    let rows = tokio::time::timeout(PATIENCE, sink.as_mut().finish()).await;
    assert!(rows.expect("in time").expect("copied") > 0);
    assert_eq!(ask(&client, "select 1").await, "1");
}

#[tokio::test]
async fn large_results_pass_and_a_slow_client_holds_up_nobody() {
    let bench = Bench::new(&["a"]).await;
    let (slow, quick) = (bench.client().await, bench.client().await);
    let mut raw = RawClient::connect(&bench).await;
    // Asks for 200 MB and reads none of it.
    raw.query("select big 200000").await;
    for _ in 0..10 {
        assert_eq!(ask(&quick, "select 1").await, "1");
    }
    let rows = slow.simple_query("select big 5000").await.expect("rows");
    assert_eq!(rows.iter().filter(|row| matches!(row, SimpleQueryMessage::Row(_))).count(), 5000);
}

#[tokio::test]
async fn a_cancel_reaches_the_node_and_a_wrong_secret_does_not() {
    let bench = Bench::new(&["a"]).await;
    let client = bench.client().await;
    let token = client.cancel_token();
    let sleeper = tokio::spawn(async move { code(&client, "select pg_sleep()").await });
    let cancels = Arc::clone(&bench.nodes[0].cancels);
    let mut forged = TcpStream::connect(bench.address).await.expect("connected");
    let mut packet = vec![0, 0, 0, 16];
    packet.extend_from_slice(&80_877_102_i32.to_be_bytes());
    packet.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 2]);
    forged.write_all(&packet).await.expect("sent");
    let mut end = Vec::new();
    forged.read_to_end(&mut end).await.expect("closed");
    assert_eq!(cancels.load(Ordering::SeqCst), 0);
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !sleeper.is_finished() {
        assert!(tokio::time::Instant::now() < deadline);
        token.cancel_query(NoTls).await.expect("asked");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(sleeper.await.expect("whole"), "57014");
}

#[tokio::test]
async fn a_cancel_that_comes_to_another_gateway_is_passed_on() {
    let bench = Bench::new(&["a", "b"]).await;
    let config = GatewayConfig {
        sql: sql(Vec::new()),
        cluster: "c".to_owned(),
        name: "proxy2".to_owned(),
        nodes: bench.addresses.clone(),
        tls: certificate(&bench.directory, &bench.authority, "proxy2"),
        leader_wait: Duration::from_secs(10),
    };
    let other = Gateway::<NoNode>::bind(config, None).await.expect("it listens");
    let address = other.local_address();
    tokio::spawn(other.run(bench.views.subscribe(), bench.shutdown.clone()));
    let client = bench.client().await;
    let token = client.cancel_token();
    let sleeper = tokio::spawn(async move { code(&client, "select pg_sleep()").await });
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !sleeper.is_finished() {
        assert!(tokio::time::Instant::now() < deadline);
        let stream = TcpStream::connect(address).await.expect("connected");
        token.cancel_query_raw(stream, NoTls).await.expect("asked");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(sleeper.await.expect("whole"), "57014");
}

#[tokio::test]
async fn a_session_hears_of_its_own_notification_before_it_is_ready() {
    let bench = Bench::new(&["a"]).await;
    let mut raw = RawClient::connect(&bench).await;
    let channels = serde_json::json!({"news": Position::default()});
    raw.query(&format!("set {CHANNELS} TO '{channels}'; notify news")).await;
    assert_eq!(raw.until_ready().await, b"CCAZ");
    raw.query("select 1").await;
    assert_eq!(raw.until_ready().await, b"TDCZ");
}

#[tokio::test]
async fn a_row_that_is_larger_than_a_frame_of_the_link_arrives() {
    let bench = Bench::new(&["a"]).await;
    let client = bench.client().await;
    let other = bench.client().await;
    assert_eq!(ask(&client, "select wide 20000000").await.len(), 20_000_000);
    assert_eq!(ask(&other, "select 1").await, "1");
}

#[tokio::test]
async fn pipelined_units_are_answered_in_order() {
    let bench = Bench::new(&["a"]).await;
    let client = bench.client().await;
    let answers = futures(50, |n| {
        let client = &client;
        async move { ask(client, &format!("select {n}")).await }
    })
    .await;
    let expected: Vec<String> = (0..50).map(|n| n.to_string()).collect();
    assert_eq!(answers, expected);
}
