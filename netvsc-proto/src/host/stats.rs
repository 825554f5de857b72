//! What a queue has counted.

use crate::host::config::MacAddress;

/// Frames and bytes of one direction, by whom they were for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Frames to one address.
    pub directed_frames: u64,
    /// Bytes of them.
    pub directed_bytes: u64,
    /// Frames to a group.
    pub multicast_frames: u64,
    /// Bytes of them.
    pub multicast_bytes: u64,
    /// Frames to everyone.
    pub broadcast_frames: u64,
    /// Bytes of them.
    pub broadcast_bytes: u64,
}

impl Traffic {
    /// All frames.
    pub const fn frames(&self) -> u64 {
        self.directed_frames
            .wrapping_add(self.multicast_frames)
            .wrapping_add(self.broadcast_frames)
    }

    /// All bytes.
    pub const fn bytes(&self) -> u64 {
        self.directed_bytes
            .wrapping_add(self.multicast_bytes)
            .wrapping_add(self.broadcast_bytes)
    }

    pub(super) fn count(&mut self, destination: MacAddress, length: usize) {
        let (frames, bytes) = if destination == MacAddress::BROADCAST {
            (&mut self.broadcast_frames, &mut self.broadcast_bytes)
        } else if destination.is_group() {
            (&mut self.multicast_frames, &mut self.multicast_bytes)
        } else {
            (&mut self.directed_frames, &mut self.directed_bytes)
        };
        *frames = frames.wrapping_add(1);
        *bytes = bytes.wrapping_add(u64::try_from(length).unwrap_or_default());
    }

    const fn plus(self, other: Self) -> Self {
        Self {
            directed_frames: self.directed_frames.wrapping_add(other.directed_frames),
            directed_bytes: self.directed_bytes.wrapping_add(other.directed_bytes),
            multicast_frames: self.multicast_frames.wrapping_add(other.multicast_frames),
            multicast_bytes: self.multicast_bytes.wrapping_add(other.multicast_bytes),
            broadcast_frames: self.broadcast_frames.wrapping_add(other.broadcast_frames),
            broadcast_bytes: self.broadcast_bytes.wrapping_add(other.broadcast_bytes),
        }
    }
}

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
