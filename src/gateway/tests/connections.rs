//! Who may come in, who is turned away, and how it ends.

use super::*;

#[tokio::test]
async fn a_vanished_client_is_noticed_while_its_statement_runs() {
    let bench = Bench::new(&["a"]).await;
    let mut raw = RawClient::connect(&bench).await;
    raw.query("select pg_sleep()").await;
    let asleep = Arc::clone(&bench.nodes[0].asleep);
    until(|| asleep.load(Ordering::SeqCst) == 1).await;
    drop(raw);
    let cancels = Arc::clone(&bench.nodes[0].cancels);
    until(|| cancels.load(Ordering::SeqCst) > 0).await;
}

#[tokio::test]
async fn passwords_are_checked() {
    let bench = Bench::with(&["a"], sql(vec![user("ann", "secret")])).await;
    assert!(bench.client_as("user=ann password=secret dbname=app").await.is_ok());
    for wrong in ["user=ann password=wrong dbname=app", "user=bob password=secret dbname=app"] {
        let error = bench.client_as(wrong).await.map(|_| ()).expect_err("refused");
        assert_eq!(error.code(), Some(&SqlState::INVALID_PASSWORD), "{wrong}");
    }
    let error = bench.client_as("user=ann password=secret dbname=no").await.map(|_| ());
    assert_eq!(error.expect_err("refused").code(), Some(&SqlState::INVALID_CATALOG_NAME));
}

#[tokio::test]
async fn too_many_clients_are_told_so() {
    let mut config = sql(Vec::new());
    config.max_connections = 2;
    let bench = Bench::with(&["a"], config).await;
    let (first, _second) = (bench.client().await, bench.client().await);
    let error = bench.client_as("user=any dbname=app").await.map(|_| ()).expect_err("refused");
    assert_eq!(error.code(), Some(&SqlState::TOO_MANY_CONNECTIONS));
    drop(first);
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while bench.client_as("user=any dbname=app").await.is_err() {
        assert!(tokio::time::Instant::now() < deadline);
    }
}

#[tokio::test]
async fn who_comes_while_all_places_are_taken_by_the_silent_is_told_so() {
    let mut config = sql(Vec::new());
    config.max_connections = 1;
    let bench = Bench::with(&["a"], config).await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(TcpStream::connect(bench.address).await.expect("connected"));
    }
    let mut last = silent.pop().expect("the last one");
    let mut told = Vec::new();
    let read = tokio::time::timeout(PATIENCE, last.read_to_end(&mut told));
    read.await.expect("in time").expect("read");
    assert!(contains(&told, b"53300"), "{told:?}");
    drop(silent);
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while bench.client_as("user=any dbname=app").await.is_err() {
        assert!(tokio::time::Instant::now() < deadline);
    }
}

#[tokio::test]
async fn a_shutdown_finishes_what_runs_and_says_goodbye() {
    let bench = Bench::new(&["a"]).await;
    let mut raw = RawClient::connect(&bench).await;
    raw.query("select 1").await;
    raw.until_ready().await;
    bench.shutdown.cancel();
    let rest = raw.rest().await;
    assert!(contains(&rest, b"57P01"), "{rest:?}");
    assert!(TcpStream::connect(bench.address).await.is_err());
}

#[tokio::test]
async fn nonsense_harms_only_its_own_connection() {
    let bench = Bench::new(&["a"]).await;
    let good = bench.client().await;
    for nonsense in [
        &b"\xff\xff\xff\xff"[..],
        b"Q\xff\xff\xff\xff",
        b"Q\x7f\xff\xff\xffselect",
        b"!\0\0\0\x04",
        b"p\0\0\0\x05x",
    ] {
        let mut raw = RawClient::connect(&bench).await;
        raw.stream.write_all(nonsense).await.expect("sent");
        let rest = raw.rest().await;
        assert!(contains(&rest, b"08P01"), "{nonsense:?}: {rest:?}");
    }
    let mut stream = TcpStream::connect(bench.address).await.expect("connected");
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.expect("sent");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert_eq!(ask(&good, "select 1").await, "1");
}

#[tokio::test]
async fn bytes_behind_an_encryption_request_are_refused() {
    let bench = Bench::new(&["a"]).await;
    let mut stream = TcpStream::connect(bench.address).await.expect("connected");
    let mut packet = vec![0, 0, 0, 8];
    packet.extend_from_slice(&80_877_103_i32.to_be_bytes());
    packet.extend_from_slice(b"Q\0\0\0\x05\0");
    stream.write_all(&packet).await.expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("closed");
    assert!(contains(&answer, b"08P01"), "{answer:?}");
}

#[tokio::test]
async fn clients_may_ask_for_encryption() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (authority, ca) = Authority::generate((2026, 1, 1), 100).expect("an authority");
    std::fs::write(directory.path().join("ca.crt"), ca.certificate).expect("written");
    certificate(&directory, &authority, "sql");
    let mut config = sql(vec![user("ann", "secret")]);
    let file = |name: &str| directory.path().join(name);
    config.certificate = Some((file("sql.crt"), file("sql.key")));
    let bench = Bench::with(&["a"], config).await;

    // Without it, too.
    assert!(bench.client_as("user=ann password=secret dbname=app").await.is_ok());
    let mut options = tokio_postgres::Config::new();
    options.host("localhost").hostaddr(bench.address.ip()).port(bench.address.port());
    options.user("ann").password("secret").dbname("app");
    options.ssl_mode(tokio_postgres::config::SslMode::Require);
    let tls = SqlTls::trusting(&file("ca.crt")).expect("an authority");
    let (client, connection) = options.connect(tls.clone()).await.expect("authenticated");
    tokio::spawn(connection);
    assert_eq!(ask(&client, "select 7").await, "7");
    let rows = client.simple_query("select big 3000").await.expect("rows");
    assert_eq!(rows.iter().filter(|row| matches!(row, SimpleQueryMessage::Row(_))).count(), 3000);
    // A cancel's connection is closed in order, or libpq takes it for a failure.
    let mut tcp = TcpStream::connect(bench.address).await.expect("connected");
    tcp.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).await.expect("asked for TLS");
    assert_eq!(tcp.read_u8().await.expect("an answer"), b'S');
    let connector = MakeTlsConnect::<TcpStream>::make_tls_connect(&mut tls.clone(), "localhost");
    let mut encrypted = connector.expect("a name").connect(tcp).await.expect("TLS");
    let cancel = [[0, 0, 0, 16], [4, 210, 22, 46], [0, 0, 0, 1], [0, 0, 0, 2]].concat();
    encrypted.write_all(&cancel).await.expect("asked");
    assert_eq!(encrypted.read(&mut [0]).await.expect("a goodbye"), 0);
    // Under a name that the certificate does not have.
    let other = "host=other user=ann password=secret dbname=app sslmode=require";
    let mut other: tokio_postgres::Config = other.parse().expect("a connection");
    other.hostaddr(bench.address.ip()).port(bench.address.port());
    assert!(other.connect(tls).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_log_in_by_what_a_node_tells_of_them_now() {
    let bench = Bench::with(&["n1"], sql(vec![user("ann", "secret")])).await;
    let connect = async |password: &str| {
        let parameters = format!(
            "host=127.0.0.1 port={} user=bob password={password} dbname=app",
            bench.address.port()
        );
        tokio_postgres::connect(&parameters, NoTls).await
    };
    let state = |result: Result<_, tokio_postgres::Error>| match result {
        Ok((client, connection)) => {
            tokio::spawn(connection);
            Ok::<tokio_postgres::Client, String>(client)
        }
        Err(error) => Err(error.code().map_or_else(String::new, |code| code.code().to_owned())),
    };
    let role = LoginRole {
        can_login: true,
        may_connect: true,
        superuser: false,
        verifier: Some(user("bob", "first").1),
        expired: false,
        connection_limit: 1,
    };
    let set = |role: Option<LoginRole>| bench.cluster.state.lock().expect("whole").bob = role;
    assert_eq!(state(connect("first").await).err().as_deref(), Some("28P01"));
    set(Some(role.clone()));
    let client = state(connect("first").await).expect("it may");
    let shown = client.simple_query("select setting work_mem").await.expect("it runs");
    let SimpleQueryMessage::Row(row) = &shown[1] else { panic!("{shown:?}") };
    assert_eq!(row.get(0), Some("64MB"));
    assert_eq!(state(connect("first").await).err().as_deref(), Some("53300"));
    set(Some(LoginRole { connection_limit: -1, ..role.clone() }));
    assert!(state(connect("first").await).is_ok());
    let changed = Some(user("bob", "second").1);
    set(Some(LoginRole { connection_limit: -1, verifier: changed, ..role.clone() }));
    assert_eq!(state(connect("first").await).err().as_deref(), Some("28P01"));
    assert!(state(connect("second").await).is_ok());
    for (role, expected) in [
        (LoginRole { can_login: false, ..role.clone() }, "28000"),
        (LoginRole { may_connect: false, ..role.clone() }, "42501"),
        (LoginRole { expired: true, ..role.clone() }, "28P01"),
        (LoginRole { verifier: None, ..role }, "28P01"),
    ] {
        set(Some(role));
        assert_eq!(state(connect("first").await).err().as_deref(), Some(expected));
    }
}
