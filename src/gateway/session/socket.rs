//! The client's socket as replies go to it.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::BytesMut;

use crate::gateway::ReplySink;
use crate::net::ClientWriter;
use crate::routing::reply::ReplyScan;

/// What the socket's sink and the session both see.
#[derive(Default)]
pub(super) struct SocketState {
    pub(super) broken: AtomicBool,
    pub(super) scan: Mutex<Option<ReplyScan>>,
}

pub(super) struct SocketSink {
    pub(super) writer: ClientWriter,
    pub(super) state: Arc<SocketState>,
}

impl ReplySink for SocketSink {
    fn send<'a>(
        &'a mut self,
        bytes: &'a mut BytesMut,
    ) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send + 'a>> {
        Box::pin(async move {
            if let Some(scan) = &mut *self.state.scan() {
                scan.feed(bytes);
            }
            let sent = self.writer.write(bytes).await;
            if sent.is_err() {
                self.state.broken.store(true, Ordering::Relaxed);
            }
            sent
        })
    }

    /// Over TLS too: libpq takes a mere end of the stream for the error.
    fn close<'a>(&'a mut self) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send + 'a>> {
        Box::pin(self.writer.shutdown())
    }
}

impl SocketState {
    pub(super) fn scan(&self) -> std::sync::MutexGuard<'_, Option<ReplyScan>> {
        self.scan.lock().expect("nobody panics while holding it")
    }
}
