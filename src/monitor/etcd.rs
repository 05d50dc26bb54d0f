//! What a monitor asks of etcd, over its JSON gateway: a lease, a key held under it, and
//! keys changed by compare-and-swap.
//!
//! HTTP/1.1 without TLS: etcd is expected on the monitors' own hosts or in a network of
//! their own. One connection a request; every request has a bound.
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::net::TcpStream;

/// An answer that is larger is refused, bytes.
const ANSWER_MAX: usize = 1 << 20;

/// etcd did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum EtcdError {
    #[error("etcd at {endpoint}: {cause}")]
    Unreachable { endpoint: String, cause: String },
    #[error("etcd at {endpoint} answered {status}: {body}")]
    Status { endpoint: String, status: u16, body: String },
    #[error("etcd: the lease has expired")]
    Expired,
}

/// A cluster of etcd servers.
#[derive(Clone, Debug)]
pub(super) struct Etcd {
    /// host:port each; tried in turn.
    endpoints: Vec<String>,
    /// For one attempt.
    timeout: Duration,
}

/// A key as it is stored.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub value: Vec<u8>,
    /// The revision in which it was made.
    pub created: i64,
    /// The revision in which it was changed last.
    pub changed: i64,
}

/// What must hold for a change to be made.
pub(super) enum Compare<'a> {
    /// The key was made in this revision; 0: it is not there.
    Created(&'a str, i64),
    /// The key was changed last in this revision; 0: it is not there.
    Changed(&'a str, i64),
}

impl Compare<'_> {
    fn json(&self) -> Value {
        let (key, target, field, revision) = match self {
            Self::Created(key, revision) => (key, "CREATE", "create_revision", revision),
            Self::Changed(key, revision) => (key, "MOD", "mod_revision", revision),
        };
        json!({ "key": encode(key), "target": target, "result": "EQUAL", field: revision.to_string() })
    }
}

#[derive(Deserialize)]
struct Header {
    #[serde(default)]
    revision: String,
}

#[derive(Deserialize)]
struct Done {
    header: Header,
    #[serde(default)]
    succeeded: bool,
}

#[derive(Deserialize)]
struct Granted {
    #[serde(rename = "ID")]
    id: String,
}

#[derive(Deserialize)]
struct Kept {
    result: KeptResult,
}

#[derive(Deserialize)]
struct KeptResult {
    /// Left out by etcd when it is zero: the lease is gone.
    #[serde(rename = "TTL", default)]
    ttl: String,
}

#[derive(Deserialize)]
struct Range {
    #[serde(default)]
    kvs: Vec<KeyValue>,
}

#[derive(Deserialize)]
struct KeyValue {
    #[serde(default)]
    value: String,
    create_revision: String,
    mod_revision: String,
}

impl Etcd {
    pub(super) fn new(endpoints: Vec<String>, timeout: Duration) -> Self {
        Self { endpoints, timeout }
    }

    /// A new lease, which lasts for `ttl` unless it is kept alive.
    pub(super) async fn grant(&self, ttl: Duration) -> Result<String, EtcdError> {
        let request = json!({ "TTL": ttl.as_secs().max(1).to_string() });
        Ok(self.ask::<Granted>("/v3/lease/grant", &request).await?.id)
    }

    /// Lets a lease last for its whole time again, from the sending of this on.
    pub(super) async fn keep_alive(&self, lease: &str) -> Result<(), EtcdError> {
        let kept = self.ask::<Kept>("/v3/lease/keepalive", &json!({ "ID": lease })).await?;
        match kept.result.ttl.parse::<i64>() {
            Ok(ttl) if ttl > 0 => Ok(()),
            _ => Err(EtcdError::Expired),
        }
    }

    /// Gives a lease up, and the keys that are held under it.
    pub(super) async fn revoke(&self, lease: &str) -> Result<(), EtcdError> {
        self.ask::<Value>("/v3/lease/revoke", &json!({ "ID": lease })).await.map(drop)
    }

    /// A key, if it is there.
    pub(super) async fn get(&self, key: &str) -> Result<Option<Stored>, EtcdError> {
        let range: Range = self.ask("/v3/kv/range", &json!({ "key": encode(key) })).await?;
        let Some(found) = range.kvs.into_iter().next() else { return Ok(None) };
        let number = |text: &str| text.parse::<i64>().map_err(|_| self.malformed(text));
        Ok(Some(Stored {
            value: BASE64_STANDARD
                .decode(&found.value)
                .map_err(|_| self.malformed(&found.value))?,
            created: number(&found.create_revision)?,
            changed: number(&found.mod_revision)?,
        }))
    }

    /// Sets a key, under a lease or for good, if everything holds: in which revision, or
    /// `None` if something does not hold.
    pub(super) async fn put_if(
        &self,
        compare: &[Compare<'_>],
        key: &str,
        value: &[u8],
        lease: Option<&str>,
    ) -> Result<Option<i64>, EtcdError> {
        let mut put = json!({ "key": encode(key), "value": BASE64_STANDARD.encode(value) });
        if let Some(lease) = lease {
            put["lease"] = json!(lease);
        }
        let compare: Vec<Value> = compare.iter().map(Compare::json).collect();
        let request = json!({ "compare": compare, "success": [{ "request_put": put }] });
        let done: Done = self.ask("/v3/kv/txn", &request).await?;
        let revision = done.header.revision;
        let revision = revision.parse::<i64>().map_err(|_| self.malformed(&revision))?;
        Ok(done.succeeded.then_some(revision))
    }

    fn malformed(&self, text: &str) -> EtcdError {
        EtcdError::Unreachable {
            endpoint: self.endpoints.join(", "),
            cause: format!("malformed answer: {text:?}"),
        }
    }

    /// Of the first server that answers.
    async fn ask<A: DeserializeOwned>(&self, path: &str, request: &Value) -> Result<A, EtcdError> {
        let mut failure = None;
        for endpoint in &self.endpoints {
            let unreachable =
                |cause: String| EtcdError::Unreachable { endpoint: endpoint.clone(), cause };
            let asked = tokio::time::timeout(self.timeout, post(endpoint, path, request)).await;
            match asked {
                Ok(Ok((200, body))) => {
                    return serde_json::from_slice(&body)
                        .map_err(|error| unreachable(format!("malformed answer: {error}")));
                }
                Ok(Ok((status, body))) => {
                    let body = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
                    failure = Some(EtcdError::Status { endpoint: endpoint.clone(), status, body });
                }
                Ok(Err(cause)) => failure = Some(unreachable(cause)),
                Err(_) => {
                    failure = Some(unreachable(format!("no answer within {:?}", self.timeout)));
                }
            }
        }
        Err(failure.expect("a configuration names at least one endpoint"))
    }
}

async fn post(endpoint: &str, path: &str, request: &Value) -> Result<(u16, Bytes), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let stream = TcpStream::connect(endpoint).await.map_err(|error| text(&error))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| text(&e))?;
    let connection = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(connection));
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(HOST, endpoint)
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(request.to_string())))
        .map_err(|error| text(&error))?;
    let response = sender.send_request(request).await.map_err(|error| text(&error))?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), ANSWER_MAX);
    let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
    drop(connection);
    Ok((status, body))
}

fn encode(key: &str) -> String {
    BASE64_STANDARD.encode(key)
}
