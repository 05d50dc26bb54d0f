use std::path::PathBuf;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use super::listen::HELLO_MAX;
use super::{
    Authority, FrameStream, Hello, HelloReply, NetError, PeerListener, PeerTls, Purpose, put_frame,
};
use crate::log::Term;
use crate::log::format_page::Known::{Number, Raw};
use crate::log::format_page::{assert_limit, assert_names, assert_object, assert_table};

const TODAY: (i32, u8, u8) = (2026, 1, 1);
const PATIENCE: Duration = Duration::from_secs(20);

/// A directory with one authority and certificates by name.
struct Certificates {
    directory: tempfile::TempDir,
    authority: Authority,
}

impl Certificates {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (authority, ca) = Authority::generate(TODAY, 100).expect("an authority");
        std::fs::write(directory.path().join("ca.crt"), ca.certificate).expect("written");
        Self { directory, authority }
    }

    fn issue(&self, name: &str, years: i32) {
        let issued = self.authority.issue(name, &[], TODAY, years).expect("a certificate");
        let file = |suffix: &str| self.directory.path().join(format!("{name}.{suffix}"));
        std::fs::write(file("crt"), issued.certificate).expect("written");
        std::fs::write(file("key"), issued.key).expect("written");
    }

    fn files(&self, name: &str) -> [PathBuf; 3] {
        let file = |name: String| self.directory.path().join(name);
        [file("ca.crt".to_owned()), file(format!("{name}.crt")), file(format!("{name}.key"))]
    }

    fn tls(&self, name: &str) -> PeerTls {
        self.issue(name, 100);
        let [ca, certificate, key] = self.files(name);
        PeerTls::load(&ca, &certificate, &key).expect("certificates load")
    }
}

fn hello(name: &str, purpose: Purpose) -> Hello {
    Hello { version: 1, cluster: "c".to_owned(), name: name.to_owned(), purpose, instance: 0 }
}

/// Answers every hello with a welcome, and every frame with itself.
fn echo(mut listener: PeerListener) {
    tokio::spawn(async move {
        while let Ok((mut stream, _, identity)) = listener.accept().await {
            tokio::spawn(async move {
                let welcome = HelloReply::Welcome { name: identity.0, term: Term(7), leader: None };
                stream.answer(&welcome).await?;
                let (mut reader, mut writer) = stream.split();
                while let Some(frame) = reader.recv().await? {
                    writer.feed(&[&frame[..frame.len() / 2], &frame[frame.len() / 2..]]);
                    writer.flush().await?;
                }
                Ok::<_, NetError>(())
            });
        }
    });
}

async fn listener(certificates: &Certificates) -> String {
    let listener = PeerListener::bind("127.0.0.1:0", certificates.tls("node1")).await;
    let listener = listener.expect("a free port");
    let address = listener.local_address().to_string();
    echo(listener);
    address
}

#[tokio::test]
async fn frames_of_every_size_come_back_in_order() {
    let certificates = Certificates::new();
    let address = listener(&certificates).await;
    let tls = certificates.tls("node_2");
    let (stream, reply) =
        dial(&address, &tls, Some("node1"), "node_2", Purpose::Link).await.expect("welcome");
    match reply {
        HelloReply::Welcome { name, term, .. } => {
            assert_eq!((name.as_str(), term), ("node_2", Term(7)));
        }
        refusal => panic!("{refusal:?}"),
    }
    let sizes = [0, 1, 100, 5, 70_000, 3 << 20, 17];
    let (mut reader, mut writer) = stream.split();
    let sender = tokio::spawn(async move {
        for (tag, size) in sizes.into_iter().enumerate() {
            writer.feed(&[&vec![tag as u8; size]]);
        }
        writer.flush().await.expect("sent");
        assert_eq!(writer.queued(), 0);
        writer
    });
    for (tag, size) in sizes.into_iter().enumerate() {
        let frame = reader.recv().await.expect("no error").expect("a frame");
        assert_eq!(frame, vec![tag as u8; size]);
    }
    drop(sender.await);
}

async fn dial(
    address: &str,
    tls: &PeerTls,
    expected: Option<&str>,
    name: &str,
    purpose: Purpose,
) -> Result<(FrameStream, HelloReply), NetError> {
    super::dial(address, tls, expected, &hello(name, purpose), PATIENCE).await
}

#[tokio::test]
async fn names_are_checked_at_both_ends() {
    let certificates = Certificates::new();
    let address = listener(&certificates).await;
    let tls = certificates.tls("node2");

    let wrong_server = dial(&address, &tls, Some("node3"), "node2", Purpose::Link).await;
    let error = wrong_server.map(|_| ()).expect_err("the server is node1").to_string();
    assert!(error.contains("names somebody else"), "{error}");

    let wrong_client = dial(&address, &tls, None, "node1", Purpose::Replication).await;
    let error = wrong_client.map(|_| ()).expect_err("the caller is node2").to_string();
    assert!(error.contains("the certificate names \"node2\""), "{error}");

    // A tool calls under whatever name, with the certificate of the node beside it.
    assert!(dial(&address, &tls, None, "status", Purpose::Admin).await.is_ok());
}

#[tokio::test]
async fn a_certificate_of_another_ca_is_refused() {
    let (ours, theirs) = (Certificates::new(), Certificates::new());
    let address = listener(&ours).await;
    let stranger = theirs.tls("node2");
    let refused = dial(&address, &stranger, Some("node1"), "node2", Purpose::Link).await;
    let error = refused.map(|_| ()).expect_err("another CA").to_string();
    assert!(error.contains("not signed by the cluster's CA"), "{error}");
}

#[test]
fn errors_name_the_file_and_its_fault() {
    let certificates = Certificates::new();
    let other = Certificates::new();
    certificates.issue("good", 100);
    certificates.issue("old", 0);
    other.issue("foreign", 100);
    let load = |[ca, certificate, key]: [PathBuf; 3]| {
        PeerTls::load(&ca, &certificate, &key).map(|_| ()).map_err(|error| error.to_string())
    };
    let [ca, certificate, key] = certificates.files("good");
    assert_eq!(load([ca.clone(), certificate.clone(), key.clone()]), Ok(()));

    let expect = |result: Result<(), String>, file: &str, cause: &str| {
        let error = result.expect_err(cause);
        assert!(error.contains(file) && error.contains(cause), "{error}");
    };
    expect(load(certificates.files("none")), "none.crt", "No such file");
    expect(load(certificates.files("old")), "old.crt", "has expired");
    let [_, foreign, foreign_key] = other.files("foreign");
    expect(
        load([ca.clone(), foreign, foreign_key.clone()]),
        "foreign.crt",
        "not signed by the cluster's CA",
    );
    expect(load([ca.clone(), certificate.clone(), foreign_key]), "foreign.key", "");
    expect(load([ca, key, certificate]), "good.key", "no certificate");
}

#[tokio::test]
async fn a_stalled_handshake_delays_nobody_and_leaving_is_harmless() {
    let certificates = Certificates::new();
    let address = listener(&certificates).await;
    let mut stalled = Vec::new();
    for _ in 0..20 {
        stalled.push(TcpStream::connect(&address).await.expect("connected"));
    }
    drop(TcpStream::connect(&address).await.expect("connected"));
    let tls = certificates.tls("node2");
    assert!(dial(&address, &tls, Some("node1"), "node2", Purpose::Link).await.is_ok());
    // The stalled ones are still there: nobody has been waited for.
    let mut byte = [0];
    assert!(
        tokio::time::timeout(Duration::ZERO, stalled[0].read(&mut byte)).await.is_err(),
        "dropped before its time"
    );
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let certificates = Certificates::new();
    let address = listener(&certificates).await;
    let again = PeerListener::bind(&address, certificates.tls("node1")).await;
    let error = again.map(|_| ()).expect_err("the port is taken").to_string();
    assert!(error.contains(&address) && error.contains("in use"), "{error}");
}

#[tokio::test]
async fn a_listener_that_is_gone_refuses_at_once() {
    let certificates = Certificates::new();
    let tls = certificates.tls("node1");
    let listener = PeerListener::bind("127.0.0.1:0", tls.clone()).await.expect("a free port");
    let address = listener.local_address().to_string();
    drop(listener);
    let refused = dial(&address, &tls, None, "node1", Purpose::View).await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn reload_takes_the_new_certificate_and_keeps_the_old_after_an_error() {
    let certificates = Certificates::new();
    let tls = certificates.tls("node1");
    let [_, certificate, _] = certificates.files("node1");
    certificates.issue("node9", 100);
    let [_, new_certificate, new_key] = certificates.files("node9");
    std::fs::write(&certificate, "nonsense").expect("written");
    assert!(tls.reload().is_err());
    assert_eq!(tls.name().0, "node1");
    std::fs::copy(new_certificate, &certificate).expect("copied");
    std::fs::copy(new_key, certificates.files("node1")[2].clone()).expect("copied");
    tls.reload().expect("certificates load");
    assert_eq!(tls.name().0, "node9");
}

#[test]
fn the_outermost_bytes_are_as_the_page_says() {
    let mut out = BytesMut::new();
    put_frame(&mut out, |body| body.extend_from_slice(b"body"));
    assert_table("Connection frame", &out, &[("length", Number(4)), ("body", Raw(b"body"))]);
    assert_limit("frame of a connection", FrameStream::FRAME_MAX as u64);
    assert_limit("hello", HELLO_MAX as u64);
    let purposes =
        [Purpose::Replication, Purpose::Control, Purpose::Link, Purpose::View, Purpose::Admin];
    let names = purposes.map(|purpose| {
        let hello = hello("n1", purpose);
        assert_object("Hello", &hello);
        let json = serde_json::to_value(&hello).expect("it is JSON");
        json["purpose"].as_str().expect("a name").to_owned()
    });
    assert_names("Hello", "purpose", &names.each_ref().map(String::as_str));
    let welcome = HelloReply::Welcome { name: "n1".to_owned(), term: Term(7), leader: None };
    let json = serde_json::to_string(&welcome).expect("it is JSON");
    assert_eq!(json, r#"{"Welcome":{"name":"n1","term":7,"leader":null}}"#);
    let refused = serde_json::to_string(&HelloReply::Refused("why".to_owned()));
    assert_eq!(refused.expect("it is JSON"), r#"{"Refused":"why"}"#);
}
