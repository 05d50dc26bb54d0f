use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::BytesMut;
use tokio::sync::Notify;

use crate::net::{FrameWriter, NetError, put_frame};

/// Frames queued beyond this make producers of data wait.
const QUEUE_MAX: usize = 4 << 20;

/// Frames that many tasks queue and one task writes.
pub(super) struct Outgoing {
    queue: Mutex<BytesMut>,
    closed: AtomicBool,
    /// Frames queued since the last write.
    frames: AtomicUsize,
    /// Whether the last write carried several frames: then more are likely on their way.
    crowded: AtomicBool,
    filled: Notify,
    drained: Notify,
}

impl Outgoing {
    pub(super) fn new() -> Self {
        Self {
            queue: Mutex::default(),
            closed: AtomicBool::new(false),
            frames: AtomicUsize::new(0),
            crowded: AtomicBool::new(false),
            filled: Notify::new(),
            drained: Notify::new(),
        }
    }

    /// Queues frames and wakes the writer.
    pub(super) fn push(&self, write: impl FnOnce(&mut FrameQueue<'_>)) {
        let mut queue = self.lock();
        let was_empty = queue.is_empty();
        write(&mut FrameQueue(&mut queue));
        drop(queue);
        self.frames.fetch_add(1, Ordering::Relaxed);
        if was_empty {
            self.filled.notify_one();
        }
    }

    /// Waits until the queue is short enough for more data.
    pub(super) async fn has_room(&self) {
        loop {
            let drained = self.drained.notified();
            tokio::pin!(drained);
            drained.as_mut().enable();
            if self.lock().len() < QUEUE_MAX {
                return;
            }
            drained.await;
        }
    }

    /// Waits until something is queued.
    pub(super) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Sends all that is queued, in one write.
    pub(super) async fn write_to(&self, writer: &mut FrameWriter) -> Result<(), NetError> {
        // Everybody who is ready may add theirs first; one who is alone waits for nobody.
        if self.crowded.load(Ordering::Relaxed) || self.frames.load(Ordering::Relaxed) > 1 {
            tokio::task::yield_now().await;
        }
        self.crowded.store(self.frames.swap(0, Ordering::Relaxed) > 1, Ordering::Relaxed);
        writer.feed_frames(&mut self.lock());
        writer.flush().await?;
        self.drained.notify_waiters();
        Ok(())
    }

    /// Nothing follows what is queued now.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.filled.notify_one();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BytesMut> {
        self.queue.lock().expect("nobody panics while queueing")
    }
}

/// The queue while it is locked.
pub(super) struct FrameQueue<'a>(&'a mut BytesMut);

impl FrameQueue<'_> {
    /// Appends one frame.
    pub(super) fn frame(&mut self, write: impl FnOnce(&mut BytesMut)) {
        put_frame(self.0, write);
    }
}
