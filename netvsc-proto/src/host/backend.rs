//! What the embedder implements: the network behind the NIC.

use crate::wire::ppi::{ChecksumTransmit, LargeSend, Vlan};

/// The network behind the NIC.
///
/// All queues share one backend, each calling from its own thread, so the methods take `&self`. They are called while a
/// queue is served and must not block: a backend that cannot take a frame says so with [`ready`](Self::ready).
pub trait NetBackend {
    /// Takes a frame from the guest, Ethernet header first, without frame check sequence.
    ///
    /// The slice is the caller's private copy. With [`Offloads::NONE`](super::Offloads::NONE) the frame is complete;
    /// otherwise `info` tells what is still to be done.
    fn transmit(&self, frame: &[u8], info: &TransmitInfo) -> Transmitted;

    /// Whether a frame from this queue can be taken now. While it cannot, frames stay in the guest's ring; the queue
    /// must be served again when it can.
    fn ready(&self, queue: u16) -> bool {
        let _ = queue;
        true
    }

    /// Whether there is a link. Looked at whenever the primary channel is served, and told to the guest when it
    /// changes.
    fn link_up(&self) -> bool {
        true
    }
}

impl<T: NetBackend + ?Sized> NetBackend for &T {
    fn transmit(&self, frame: &[u8], info: &TransmitInfo) -> Transmitted {
        (**self).transmit(frame, info)
    }

    fn ready(&self, queue: u16) -> bool {
        (**self).ready(queue)
    }

    fn link_up(&self) -> bool {
        (**self).link_up()
    }
}

/// What became of a frame from the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "what was dropped has to be counted"]
pub enum Transmitted {
    /// It is on its way.
    Sent,
    /// It was dropped, as any network may do. Counted, and completed as a success.
    Dropped,
}

/// What is known of a frame from the guest, and what is still to be done with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransmitInfo {
    /// The queue that it came by.
    pub queue: u16,
    /// A VLAN tag that is not in the frame. Only with [`Offloads::vlan`](super::Offloads::vlan).
    pub vlan: Option<Vlan>,
    /// Checksums to be made. Only those of [`Offloads::transmit`](super::Offloads::transmit).
    pub checksum: Option<ChecksumTransmit>,
    /// The frame is to be cut into segments. Only within
    /// [`Offloads::large_send_ipv4`](super::Offloads::large_send_ipv4) and its like.
    pub large_send: Option<LargeSend>,
    /// The hash that the guest computed for the frame's flow.
    pub hash: Option<u32>,
}
