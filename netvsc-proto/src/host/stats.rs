//! What a queue has counted.

use crate::nic::Traffic;

/// What a queue has counted since it was made. Counters go on at 0 after their highest value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueStats {
    /// Frames that the guest sent and the backend took.
    pub transmitted: Traffic,
    /// Frames that the guest was given.
    pub received: Traffic,
    /// Frames that the guest sent and the backend dropped.
    pub transmit_dropped: u64,
    /// Transfers of the guest that were refused.
    pub transmit_refused: u64,
    /// Frames that the guest does not listen to.
    pub receive_filtered: u64,
    /// Times that no section was free.
    pub receive_no_buffer: u64,
    /// Times that the ring was full.
    pub receive_ring_full: u64,
    /// Frames that the guest returned as bad.
    pub receive_rejected: u64,
    /// Frames that the embedder dropped, see [`Queue::count_dropped`](super::Queue::count_dropped).
    pub receive_dropped: u64,
}

impl QueueStats {
    /// The sum of two queues' counters.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            transmitted: self.transmitted.plus(other.transmitted),
            received: self.received.plus(other.received),
            transmit_dropped: self.transmit_dropped.wrapping_add(other.transmit_dropped),
            transmit_refused: self.transmit_refused.wrapping_add(other.transmit_refused),
            receive_filtered: self.receive_filtered.wrapping_add(other.receive_filtered),
            receive_no_buffer: self.receive_no_buffer.wrapping_add(other.receive_no_buffer),
            receive_ring_full: self.receive_ring_full.wrapping_add(other.receive_ring_full),
            receive_rejected: self.receive_rejected.wrapping_add(other.receive_rejected),
            receive_dropped: self.receive_dropped.wrapping_add(other.receive_dropped),
        }
    }
}
