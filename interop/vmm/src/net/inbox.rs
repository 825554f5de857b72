//! Frames on their way from the link's thread to a queue's.

use crate::vmbus::Port;
use gateway::frames::{Batch, Limit};
use std::sync::Arc;

/// What may wait for a queue. Beyond it the link is held up, and nothing is lost.
const LIMIT: Limit = Limit {
    frames: 1024,
    bytes: 2 << 20,
};

/// An empty batch that holds as much as an inbox.
pub(super) fn batch() -> Batch {
    Batch::new(LIMIT)
}

/// What waits for one queue.
pub(super) struct Inbox {
    frames: Batch,
    /// The queue's thread, while the channel is open.
    pub(super) port: Option<Arc<Port>>,
    /// Frames came since the thread was woken.
    fresh: bool,
    /// The link was held up.
    full: bool,
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self {
            frames: batch(),
            port: None,
            fresh: false,
            full: false,
        }
    }

    /// Takes a frame; `false` when there is no room. What comes to a closed channel is dropped.
    pub(super) fn put(&mut self, frame: &[u8]) -> bool {
        let taken = self.port.is_none() || self.frames.push(frame);
        self.fresh |= taken;
        self.full |= !taken;
        taken
    }

    /// Wakes the thread for what came since the last time.
    pub(super) fn flush(&mut self) {
        if std::mem::take(&mut self.fresh)
            && let Some(port) = &self.port
        {
            port.wake();
        }
    }

    /// Exchanges what waits for an empty batch. Returns whether the link was held up.
    pub(super) fn fetch(&mut self, frames: &mut Batch) -> bool {
        std::mem::swap(&mut self.frames, frames);
        std::mem::take(&mut self.full)
    }

    /// Drops what waits.
    pub(super) fn clear(&mut self) {
        self.frames.clear();
        self.fresh = false;
    }
}
