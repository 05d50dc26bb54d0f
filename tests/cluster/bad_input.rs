//! Bad input: one clear error that names what and where, and nobody else is harmed.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use crate::demo::{Demo, TOWLINE, assert_success, free_ports};

/// Sends bytes to an SQL endpoint and reads until it closes the connection.
fn talk(address: &str, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("the endpoint accepts");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    stream.write_all(bytes).expect("bytes are sent");
    let mut answer = Vec::new();
    // A reset is as good an end as a close.
    let _ = stream.read_to_end(&mut answer);
    answer
}

fn startup(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut body = 196_608_u32.to_be_bytes().to_vec();
    for (key, value) in pairs {
        body.extend_from_slice(format!("{key}\0{value}\0").as_bytes());
    }
    body.push(0);
    let mut message = u32::try_from(body.len() + 4).expect("short").to_be_bytes().to_vec();
    message.extend_from_slice(&body);
    message
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_on_the_sql_port_harms_only_its_own_connection() {
    let demo = Demo::start(&[]);
    for endpoint in ["proxy", "node1"] {
        let address = demo.sql(endpoint);
        let client = demo.connect(endpoint).await;
        let start = startup(&[("user", "demo"), ("database", "demo")]);
        let cases: [&[u8]; 6] = [
            b"GET / HTTP/1.1\r\n\r\n",
            &[0xff; 64],
            &[0, 0, 0, 3],
            &[0x7f, 0xff, 0xff, 0xff, 0, 3, 0, 0],
            &[0, 0, 0, 8, 0x12, 0x34, 0, 0],
            &start[..start.len() - 1],
        ];
        for bytes in cases {
            let mut stream = TcpStream::connect(&address).expect("the endpoint accepts");
            stream.write_all(bytes).expect("bytes are sent");
            stream.shutdown(std::net::Shutdown::Write).expect("the sending half is closed");
            stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            assert!(answer.is_empty() || answer[0] == b'E', "{bytes:?}: {answer:?}");
        }
        // Plaintext that follows an SSLRequest in the same segment is refused.
        let mut smuggled = vec![0, 0, 0, 8, 4, 210, 22, 47];
        smuggled.extend_from_slice(&start);
        let answer = talk(&address, &smuggled);
        assert!(answer.first() != Some(&b'R'), "smuggled start-up was served: {answer:?}");
        let row = client.query_one("SELECT 1", &[]).await.expect("others go on");
        assert_eq!(row.get::<_, i32>(0), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_password_user_or_database_is_said_with_its_sqlstate() {
    let demo = Demo::start(&[]);
    let address = demo.sql("proxy");
    let (host, port) = address.rsplit_once(':').expect("host:port");
    for (user, password, database, state) in [
        ("demo", "wrong", "demo", "28P01"),
        ("nobody", "demo", "demo", "28P01"),
        ("demo", "demo", "nowhere", "3D000"),
    ] {
        let error = tokio_postgres::Config::new()
            .host(host)
            .port(port.parse().expect("a port"))
            .user(user)
            .password(password)
            .dbname(database)
            .connect(tokio_postgres::NoTls)
            .await
            .err()
            .expect("refused");
        let code = error.code().map(|code| code.code().to_owned());
        assert_eq!(code.as_deref(), Some(state), "{user}/{database}: {error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_messages_get_an_sqlstate() {
    let demo = Demo::start(&[]);
    let client = demo.connect("proxy").await;
    for (sql, state) in [
        ("SELEC 1", "42601"),
        ("SELECT * FROM nowhere", "42P01"),
        ("SELECT nothing", "42703"),
        ("SELECT 'x'::int", "22P02"),
        ("SELECT 1 / 0", "22012"),
        ("SELECT no_such_function(1)", "42883"),
    ] {
        let error = client.simple_query(sql).await.expect_err(sql);
        let code = error.code().map(|code| code.code().to_owned());
        assert_eq!(code.as_deref(), Some(state), "{sql}: {error:?}");
    }
    let deep = format!("SELECT {}1{}", "(".repeat(50_000), ")".repeat(50_000));
    assert!(client.simple_query(&deep).await.is_err());
    client.simple_query("SELECT 1").await.expect("the session goes on");
}

fn node(config: &Path) -> Output {
    Command::new(TOWLINE).args(["node", "--config"]).arg(config).output().expect("towline runs")
}

#[track_caller]
fn assert_refused(output: &Output, parts: &[&str]) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "it ran: {errors}");
    for part in parts {
        assert!(errors.contains(part), "no {part:?} in {errors:?}");
    }
}

/// A directory with certificates and a node's configuration, ports of its own.
fn lone_node(dir: &Path) -> (std::path::PathBuf, u16) {
    let port = free_ports();
    let certs = Command::new(TOWLINE)
        .args(["certs", "--dir"])
        .arg(dir)
        .args(["node1", "sql"])
        .output()
        .expect("towline certs runs");
    assert_success("towline certs", &certs);
    let text = format!(
        "name = \"node1\"\ncluster = \"c\"\ndata = \"data\"\npeer_listen = \"127.0.0.1:{}\"\n\
         policy = \"async\"\n[sql]\nlisten = \"127.0.0.1:{}\"\ndatabase = \"d\"\nusers = []\n\
         [tls]\nca = \"ca.crt\"\ncertificate = \"node1.crt\"\nkey = \"node1.key\"\n\
         [[members]]\nname = \"node1\"\npeer = \"127.0.0.1:{}\"\n",
        port,
        port + 1,
        port
    );
    let config = dir.join("node.toml");
    fs::write(&config, text).expect("the configuration is written");
    (config, port)
}

#[test]
fn configuration_that_is_nonsense_or_half_written_names_its_place() {
    let dir = tempfile::tempdir().expect("a directory");
    let (config, _) = lone_node(dir.path());
    let good = fs::read_to_string(&config).expect("readable");
    let name = config.display().to_string();
    for (text, parts) in [
        (good.replace("policy", "polizy"), &[name.as_str(), ":5:1", "polizy"][..]),
        (good[..40].to_owned(), &[name.as_str(), ":"]),
        (good.replace("\"async\"", "\"any 7\""), &[name.as_str(), "any 7"]),
        (String::new(), &[name.as_str(), "missing field"]),
    ] {
        fs::write(&config, text).expect("written");
        assert_refused(&node(&config), parts);
    }
    assert_refused(&node(Path::new("/nowhere.toml")), &["/nowhere.toml", "No such file"]);
}

#[test]
fn port_in_use_and_unwritable_directory_are_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let (config, port) = lone_node(dir.path());
    let taken = TcpListener::bind(("127.0.0.1", port + 1)).expect("the port is free");
    assert_refused(&node(&config), &[&format!("127.0.0.1:{}", port + 1), "in use"]);
    drop(taken);
    // A file where the directory should be is unwritable for root, too.
    let _ = fs::remove_dir_all(dir.path().join("data"));
    fs::write(dir.path().join("data"), "").expect("written");
    assert_refused(&node(&config), &["data"]);
}

#[test]
fn certificates_that_are_missing_expired_or_foreign_are_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let (config, _) = lone_node(dir.path());
    fs::rename(dir.path().join("ca.crt"), dir.path().join("ca.old")).expect("renamed");
    assert_refused(&node(&config), &["ca.crt"]);
    fs::rename(dir.path().join("ca.old"), dir.path().join("ca.crt")).expect("renamed");
    fs::write(dir.path().join("node1.key"), "no key").expect("written");
    assert_refused(&node(&config), &["node1.key"]);
    let expired = Command::new(TOWLINE)
        .args(["certs", "--from", "2020-01-01", "--years", "1", "--dir"])
        .arg(dir.path())
        .arg("node1")
        .output()
        .expect("towline certs runs");
    assert_success("towline certs", &expired);
    assert_refused(&node(&config), &["node1.crt", "expired"]);
    let mode = fs::metadata(dir.path().join("node1.key")).expect("a key").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn status_with_a_foreign_authority_is_refused() {
    let demo = Demo::start(&[]);
    let other = tempfile::tempdir().expect("a directory");
    let certs = Command::new(TOWLINE)
        .args(["certs", "--dir"])
        .arg(other.path())
        .arg("admin")
        .output()
        .expect("towline certs runs");
    assert_success("towline certs", &certs);
    let monitor = demo.processes()["monitor"]["peer"].as_str().expect("an address").to_owned();
    let ask = |cluster: &str, certs: &Path| {
        Command::new(TOWLINE)
            .args(["status", "--monitor", &monitor, "--cluster", cluster, "--certs"])
            .arg(certs)
            .output()
            .expect("towline runs")
    };
    assert_refused(&ask("demo", other.path()), &[&monitor]);
    assert_refused(&ask("another", &demo.dir().join("certs")), &["another"]);
    assert_success("status", &ask("demo", &demo.dir().join("certs")));
}

#[test]
fn damaged_segment_or_control_file_stops_the_node_and_is_named() {
    let mut demo = Demo::start(&["--restart", "never"]);
    demo.psql("CREATE TABLE t (i int PRIMARY KEY, x text)");
    for i in 0..5 {
        demo.psql(&format!("INSERT INTO t VALUES ({i}, 'some text that is long enough')"));
    }
    demo.wait_until_equal();
    demo.stop();
    let node1 = demo.dir().join("node1");
    let config = demo.dir().join("conf/node1.toml");
    let segment = fs::read_dir(node1.join("log"))
        .expect("a log directory")
        .map(|entry| entry.expect("an entry").path())
        .min()
        .expect("a segment");
    let good = fs::read(&segment).expect("readable");
    let mut bad = good.clone();
    let middle = bad.windows(4).position(|bytes| bytes == b"some").expect("the text is in the log");
    bad[middle] ^= 0x40;
    fs::write(&segment, bad).expect("written");
    assert_refused(&node(&config), &[&segment.display().to_string(), "damaged"]);
    fs::write(&segment, good).expect("written");
    let control = node1.join("control");
    let mut bytes = fs::read(&control).expect("readable");
    for byte in &mut bytes {
        *byte ^= 0x55;
    }
    fs::write(&control, bytes).expect("written");
    assert_refused(&node(&config), &[&control.display().to_string(), "damaged"]);
    // The others are enough.
    demo.resume();
    demo.psql("INSERT INTO t VALUES (5, 'without the damaged node')");
}
