//! What a queue has counted.

use crate::nic::Traffic;

/// What a queue has counted since it was made. Counters go on at 0 after their highest value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueStats {
    /// Frames that the host was given.
    pub transmitted: Traffic,
    /// Frames that were told as received.
    pub received: Traffic,
    /// Frames that the host did not send.
    pub transmit_failed: u64,
    /// Times that no place or section was free.
    pub transmit_no_room: u64,
    /// Times that the ring was full for a frame.
    pub transmit_ring_full: u64,
    /// Frames that came while the packet filter was 0.
    pub receive_unwanted: u64,
    /// Frames that were dropped because they are longer than the MTU.
    pub receive_too_long: u64,
    /// Receive completions that had to wait for room in the ring.
    pub completions_delayed: u64,
}
