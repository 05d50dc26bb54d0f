use std::fmt::Write as _;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::cluster::Position;
use crate::gateway::{Canceller, Mode, NodeSession, Out, Refusal, Reply, ReplySink, Request};
use crate::log::ClientToken;
use crate::node::engine::EngineSession;

/// A client that speaks the protocol to a session, and prints what it hears.
pub(super) struct Client {
    session: EngineSession,
    out: Out,
    sent: Arc<Mutex<BytesMut>>,
    /// Messages that wait for Sync or Flush.
    queued: BytesMut,
    pub(super) last: Reply,
    pub(super) see: Position,
    pub(super) token: Option<ClientToken>,
    pub(super) mode: Mode,
}

/// Keeps what is flushed.
struct Kept(Arc<Mutex<BytesMut>>);

impl ReplySink for Kept {
    fn send<'a>(
        &'a mut self,
        buffer: &'a mut BytesMut,
    ) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send + 'a>> {
        self.0.lock().expect("no panic").extend_from_slice(buffer);
        buffer.clear();
        Box::pin(async { Ok(()) })
    }
}

impl Client {
    pub(super) fn new(session: EngineSession) -> Self {
        let sent = Arc::new(Mutex::new(BytesMut::new()));
        Self {
            session,
            out: Out::new(Box::new(Kept(Arc::clone(&sent)))),
            sent,
            queued: BytesMut::new(),
            last: Reply::default(),
            see: Position::default(),
            token: None,
            mode: Mode::Client,
        }
    }

    pub(super) fn canceller(&self) -> Canceller {
        self.session.canceller()
    }

    /// Sends a Query.
    pub(super) async fn query(&mut self, text: &str) -> String {
        self.queue(b'Q', |body| put_string(body, text));
        self.send().await
    }

    /// The first column of the first row that a Query gives.
    pub(super) async fn value(&mut self, text: &str) -> String {
        let said = self.query(text).await;
        let row = said.lines().find_map(|line| line.strip_prefix("row "));
        row.unwrap_or_else(|| panic!("no row from {text}: {said}")).to_owned()
    }

    pub(super) fn parse(&mut self, name: &str, text: &str, types: &[u32]) {
        self.queue(b'P', |body| {
            put_string(body, name);
            put_string(body, text);
            body.put_u16(types.len() as u16);
            types.iter().for_each(|oid| body.put_u32(*oid));
        });
    }

    pub(super) fn bind(&mut self, portal: &str, statement: &str, params: &[Option<&str>]) {
        self.queue(b'B', |body| {
            put_string(body, portal);
            put_string(body, statement);
            body.put_u16(0);
            body.put_u16(params.len() as u16);
            for param in params {
                match param {
                    None => body.put_i32(-1),
                    Some(text) => {
                        body.put_i32(text.len() as i32);
                        body.put_slice(text.as_bytes());
                    }
                }
            }
            body.put_u16(0);
        });
    }

    pub(super) fn describe(&mut self, kind: u8, name: &str) {
        self.queue(b'D', |body| {
            body.put_u8(kind);
            put_string(body, name);
        });
    }

    pub(super) fn execute(&mut self, portal: &str, max: i32) {
        self.queue(b'E', |body| {
            put_string(body, portal);
            body.put_i32(max);
        });
    }

    pub(super) fn close(&mut self, kind: u8, name: &str) {
        self.queue(b'C', |body| {
            body.put_u8(kind);
            put_string(body, name);
        });
    }

    pub(super) fn copy_data(&mut self, data: &[u8]) {
        self.queue(b'd', |body| body.put_slice(data));
    }

    pub(super) fn copy_done(&mut self) {
        self.queue(b'c', |_| {});
    }

    pub(super) async fn sync(&mut self) -> String {
        self.queue(b'S', |_| {});
        self.send().await
    }

    pub(super) async fn flush(&mut self) -> String {
        self.queue(b'H', |_| {});
        self.send().await
    }

    fn queue(&mut self, tag: u8, body: impl FnOnce(&mut BytesMut)) {
        self.queued.put_u8(tag);
        let start = self.queued.len();
        self.queued.put_i32(0);
        body(&mut self.queued);
        let length = (self.queued.len() - start) as i32;
        self.queued[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }

    /// Sends what is queued, and prints the answer.
    pub(super) async fn send(&mut self) -> String {
        match self.try_send().await {
            Ok(said) => said,
            Err(refusal) => format!("refused: {refusal}\n"),
        }
    }

    /// Has an errand run, and reads the answer.
    pub(super) async fn errand<T: serde::de::DeserializeOwned>(&mut self, errand: &[u8]) -> T {
        self.queued.extend_from_slice(errand);
        let request = Request {
            messages: self.queued.split().freeze(),
            see: self.see,
            token: None,
            mode: Mode::Errand,
        };
        self.session.run(request, &mut self.out).await.expect("it is run");
        serde_json::from_slice(&self.out.buffer.split()).expect("an answer")
    }

    pub(super) async fn try_send(&mut self) -> Result<String, Refusal> {
        let request = Request {
            messages: self.queued.split().freeze(),
            see: self.see,
            token: self.token,
            mode: self.mode,
        };
        self.last = self.session.run(request, &mut self.out).await?;
        let mut said = self.sent.lock().expect("no panic").split();
        said.extend_from_slice(&self.out.buffer.split());
        Ok(print(said.freeze()))
    }
}

fn put_string(body: &mut BytesMut, text: &str) {
    body.put_slice(text.as_bytes());
    body.put_u8(0);
}

fn string(body: &mut Bytes) -> String {
    let end = body.iter().position(|byte| *byte == 0).expect("a terminated string");
    let text = String::from_utf8(body.split_to(end).to_vec()).expect("UTF-8");
    body.advance(1);
    text
}

/// Backend messages, one a line.
fn print(mut said: Bytes) -> String {
    let mut lines = String::new();
    while said.has_remaining() {
        let tag = said.get_u8();
        let length = said.get_i32() as usize - 4;
        let mut body = said.split_to(length);
        let line = match tag {
            b'T' => {
                let count = body.get_u16();
                let fields: Vec<String> = (0..count)
                    .map(|_| {
                        let name = string(&mut body);
                        body.advance(6);
                        let oid = crate::pg::Oid(body.get_u32());
                        body.advance(8);
                        format!("{name}:{}", crate::pg::types::type_name(oid))
                    })
                    .collect();
                format!("columns {}", fields.join(", "))
            }
            b'D' => {
                let count = body.get_u16();
                let fields: Vec<String> = (0..count)
                    .map(|_| match body.get_i32() {
                        -1 => "NULL".to_owned(),
                        length => {
                            let bytes = body.split_to(length as usize);
                            String::from_utf8_lossy(&bytes).into_owned()
                        }
                    })
                    .collect();
                format!("row {}", fields.join(" | "))
            }
            b'C' => format!("done {}", string(&mut body)),
            b'Z' => {
                let status = match body.get_u8() {
                    b'I' => "idle",
                    b'T' => "in transaction",
                    _ => "failed",
                };
                format!("ready, {status}")
            }
            b'E' => format!("error {}", fields(body)),
            b'N' => format!("notice {}", fields(body)),
            b'S' => format!("setting {} = {}", string(&mut body), string(&mut body)),
            b'A' => {
                body.advance(4);
                format!("notification {} {}", string(&mut body), string(&mut body))
            }
            b't' => {
                let count = body.get_u16();
                let types: Vec<&str> = (0..count)
                    .map(|_| crate::pg::types::type_name(crate::pg::Oid(body.get_u32())))
                    .collect();
                format!("parameters {}", types.join(", "))
            }
            b'd' => format!("data {}", String::from_utf8_lossy(&body).trim_end()),
            b'1' => "parsed".to_owned(),
            b'2' => "bound".to_owned(),
            b'3' => "closed".to_owned(),
            b'n' => "no data".to_owned(),
            b's' => "suspended".to_owned(),
            b'I' => "empty".to_owned(),
            b'G' => "copy in".to_owned(),
            b'H' => "copy out".to_owned(),
            b'c' => "copy done".to_owned(),
            other => format!("message {}", other as char),
        };
        let _ = writeln!(lines, "{line}");
    }
    lines
}

fn fields(mut body: Bytes) -> String {
    let (mut state, mut message, mut rest) = (String::new(), String::new(), Vec::new());
    loop {
        match body.get_u8() {
            0 => break,
            b'C' => state = string(&mut body),
            b'M' => message = string(&mut body),
            b'D' => rest.push(format!("detail: {}", string(&mut body))),
            b'W' => rest.push(format!("context: {}", string(&mut body))),
            b't' => rest.push(format!("table: {}", string(&mut body))),
            b'c' => rest.push(format!("column: {}", string(&mut body))),
            b'n' => rest.push(format!("constraint: {}", string(&mut body))),
            b'P' => rest.push(format!("position: {}", string(&mut body))),
            _ => drop(string(&mut body)),
        }
    }
    let rest = if rest.is_empty() { String::new() } else { format!(" ({})", rest.join("; ")) };
    format!("{state}: {message}{rest}")
}
