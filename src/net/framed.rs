use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{
    AsyncReadExt as _, AsyncWriteExt as _, BufReader, ReadHalf, WriteHalf, split as split_stream,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

use super::{HelloReply, NetError};

/// The TLS stream below the frames. TLS reads a few KiB at a time; the buffer
/// below it makes that one system call for many records.
pub(super) type Socket = TlsStream<BufReader<TcpStream>>;

/// Bytes read ahead below TLS, and asked for at once above it.
pub(super) const READ_AHEAD: usize = 64 * 1024;

/// A mutual-TLS connection that carries frames: a length, then a body of at most
/// [`FrameStream::FRAME_MAX`] bytes (`docs/format.md`).
///
/// Its reading and writing halves can be split. Receiving is cancel-safe: a
/// dropped `recv` loses nothing. So is flushing, when called again.
pub struct FrameStream {
    reader: FrameReader,
    writer: FrameWriter,
}

/// The reading half.
pub struct FrameReader {
    half: ReadHalf<Socket>,
    buffer: BytesMut,
    peer: Arc<str>,
}

/// The writing half: `feed` queues, `flush` sends what is queued in one write.
pub struct FrameWriter {
    half: WriteHalf<Socket>,
    buffer: BytesMut,
    peer: Arc<str>,
}

impl FrameStream {
    /// The largest frame accepted, bytes.
    pub const FRAME_MAX: usize = 16 << 20;

    pub(super) fn new(socket: Socket, peer: &str) -> Self {
        let peer: Arc<str> = peer.into();
        let (read, write) = split_stream(socket);
        Self {
            reader: FrameReader { half: read, buffer: BytesMut::new(), peer: Arc::clone(&peer) },
            writer: FrameWriter { half: write, buffer: BytesMut::new(), peer },
        }
    }

    /// The next frame; `None` after a clean end.
    pub async fn recv(&mut self) -> Result<Option<Bytes>, NetError> {
        self.reader.recv().await
    }

    /// Queues and flushes one frame.
    pub async fn send(&mut self, body: &[u8]) -> Result<(), NetError> {
        self.writer.feed(&[body]);
        self.writer.flush().await
    }

    /// Answers the hello with which the connection began.
    pub async fn answer(&mut self, reply: &HelloReply) -> Result<(), NetError> {
        let body = serde_json::to_vec(reply).expect("a hello's answer is plain JSON");
        self.send(&body).await
    }

    /// Splits into independently owned halves.
    pub fn split(self) -> (FrameReader, FrameWriter) {
        (self.reader, self.writer)
    }
}

/// Appends a frame whose body `write` appends, for [`FrameWriter::feed_frames`].
///
/// # Panics
/// When the body exceeds [`FrameStream::FRAME_MAX`].
pub fn put_frame(out: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out);
    let length = out.len() - start - 4;
    assert!(length <= FrameStream::FRAME_MAX, "a frame of {length} bytes");
    out[start..start + 4].copy_from_slice(&(length as u32).to_be_bytes());
}

impl FrameReader {
    /// The next frame; `None` after a clean end.
    pub async fn recv(&mut self) -> Result<Option<Bytes>, NetError> {
        loop {
            if let Some(frame) = self.take()? {
                return Ok(Some(frame));
            }
            self.buffer.reserve(READ_AHEAD);
            let read = self
                .half
                .read_buf(&mut self.buffer)
                .await
                .map_err(|source| NetError::from_stream(&self.peer, source))?;
            if read == 0 {
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    Err(self.violation("the connection ended inside a frame"))
                };
            }
        }
    }

    /// A frame that has already arrived, without waiting.
    pub fn take(&mut self) -> Result<Option<Bytes>, NetError> {
        let Some(header) = self.buffer.first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*header) as usize;
        if length > FrameStream::FRAME_MAX {
            return Err(self.violation(&format!("a frame of {length} bytes")));
        }
        if self.buffer.len() < 4 + length {
            // One growth for a large frame instead of many.
            self.buffer.reserve((4 + length).saturating_sub(self.buffer.len()));
            return Ok(None);
        }
        self.buffer.advance(4);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }

    fn violation(&self, cause: &str) -> NetError {
        NetError::Protocol { peer: self.peer.as_ref().to_owned(), cause: cause.to_owned() }
    }
}

impl FrameWriter {
    /// Queues a frame made of `parts`, one behind the other.
    ///
    /// # Panics
    /// When the parts together exceed [`FrameStream::FRAME_MAX`].
    pub fn feed(&mut self, parts: &[&[u8]]) {
        let length = parts.iter().map(|part| part.len()).sum::<usize>();
        assert!(length <= FrameStream::FRAME_MAX, "a frame of {length} bytes");
        self.buffer.reserve(4 + length);
        self.buffer.extend_from_slice(&(length as u32).to_be_bytes());
        for part in parts {
            self.buffer.extend_from_slice(part);
        }
    }

    /// Queues whole frames written by [`put_frame`], and leaves `frames` empty.
    pub fn feed_frames(&mut self, frames: &mut BytesMut) {
        if self.buffer.is_empty() {
            self.buffer.clear();
            std::mem::swap(&mut self.buffer, frames);
        } else {
            self.buffer.extend_from_slice(frames);
            frames.clear();
        }
    }

    /// Sends what is queued. Called again after it was dropped, it goes on where it was.
    pub async fn flush(&mut self) -> Result<(), NetError> {
        while self.buffer.has_remaining() {
            self.half
                .write_buf(&mut self.buffer)
                .await
                .map_err(|source| NetError::from_stream(&self.peer, source))?;
        }
        self.half.flush().await.map_err(|source| NetError::from_stream(&self.peer, source))
    }

    /// Bytes queued and not flushed.
    pub fn queued(&self) -> usize {
        self.buffer.len()
    }
}
