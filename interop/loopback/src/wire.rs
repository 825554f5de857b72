//! What the NIC is plugged into: the far end of its cable, which the guest's side of a run can set.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// What the far end does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FarEnd {
    /// It takes frames, and counts them.
    Sink,
    /// It sends each frame back to who sent it.
    Reflector,
    /// It sends frames of this length, as many as are taken.
    Source(u32),
}

const SINK: u32 = 0;
const REFLECTOR: u32 = 1;

/// The cable, and what is known of its far end.
#[derive(Debug)]
pub(crate) struct Wire {
    /// [`SINK`], [`REFLECTOR`], or the length of frames to send, which is more than both.
    far_end: AtomicU32,
    plugged_in: AtomicBool,
    /// Frames that came to the far end.
    frames: AtomicU64,
}

impl Wire {
    pub(crate) const fn new() -> Self {
        Self {
            far_end: AtomicU32::new(SINK),
            plugged_in: AtomicBool::new(true),
            frames: AtomicU64::new(0),
        }
    }

    pub(crate) fn set_far_end(&self, far_end: FarEnd) {
        let value = match far_end {
            FarEnd::Sink => SINK,
            FarEnd::Reflector => REFLECTOR,
            FarEnd::Source(len) => len.max(REFLECTOR + 1),
        };
        self.far_end.store(value, Ordering::Release);
    }

    pub(crate) fn far_end(&self) -> FarEnd {
        match self.far_end.load(Ordering::Acquire) {
            SINK => FarEnd::Sink,
            REFLECTOR => FarEnd::Reflector,
            len => FarEnd::Source(len),
        }
    }

    pub(crate) fn plug(&self, in_: bool) {
        self.plugged_in.store(in_, Ordering::Release);
    }

    pub(crate) fn is_plugged_in(&self) -> bool {
        self.plugged_in.load(Ordering::Acquire)
    }

    /// Counts a frame that came to the far end.
    pub(crate) fn count(&self) {
        self.frames.fetch_add(1, Ordering::Relaxed);
    }

    /// Frames that came to the far end.
    pub(crate) fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }
}
