use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::{FrameReader, FrameStream, FrameWriter, NetError};

/// The sending side of a connection that is served by a task each way, for owners that
/// must never wait for a peer. Dropping it closes the connection.
pub struct Outbox {
    frames: mpsc::Sender<Vec<u8>>,
    _reader: AbortOnDropHandle<()>,
}

impl Outbox {
    /// Queues a frame. False if the connection is gone or the peer reads so slowly that
    /// the queue is full: the caller drops it then.
    #[must_use]
    pub fn post(&self, frame: Vec<u8>) -> bool {
        self.frames.try_send(frame).is_ok()
    }
}

impl FrameStream {
    /// Splits into an [`Outbox`] of at most `capacity` frames and what arrives, at most
    /// `capacity` frames ahead. The receiver ends with the connection; an error is its
    /// last item.
    pub fn attend(self, capacity: usize) -> (Outbox, mpsc::Receiver<Result<Bytes, NetError>>) {
        let (reader, writer) = self.split();
        let (frames, queued) = mpsc::channel(capacity);
        let (arrivals, arrived) = mpsc::channel(capacity);
        let reader = AbortOnDropHandle::new(tokio::spawn(read(reader, arrivals)));
        // The writer ends by itself, so that what is queued when the outbox is dropped
        // still leaves.
        tokio::spawn(write(writer, queued));
        (Outbox { frames, _reader: reader }, arrived)
    }
}

async fn read(mut reader: FrameReader, arrivals: mpsc::Sender<Result<Bytes, NetError>>) {
    loop {
        let arrival = match reader.recv().await {
            Ok(Some(frame)) => Ok(frame),
            Ok(None) => return,
            Err(error) => Err(error),
        };
        let ended = arrival.is_err();
        if arrivals.send(arrival).await.is_err() || ended {
            return;
        }
    }
}

async fn write(mut writer: FrameWriter, mut queued: mpsc::Receiver<Vec<u8>>) {
    while let Some(frame) = queued.recv().await {
        writer.feed(&[&frame]);
        while let Ok(frame) = queued.try_recv() {
            writer.feed(&[&frame]);
        }
        // An error shows at the reading side as well.
        if writer.flush().await.is_err() {
            return;
        }
    }
}
