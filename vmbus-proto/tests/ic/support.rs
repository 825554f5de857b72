//! Two ends of a channel in one program.

use vmbus_proto::ic::wire::{
    Envelope, GuestMessage, HostMessage, MessageFlags, PACKET_MAX, Version, Versions,
};
use vmbus_proto::ringbuf::mem::ArrayRing;
use vmbus_proto::ringbuf::{Descriptor, Halves, Outgoing, RingPair, WriteError};

/// 8 KiB of data.
pub(crate) type Ring = ArrayRing<1024>;
pub(crate) type End = RingPair<&'static Ring>;

/// The host's end and the guest's.
pub(crate) fn channel() -> (End, End) {
    let halves = Halves {
        to_host: &*Box::leak(Box::new(Ring::new())),
        to_guest: &*Box::leak(Box::new(Ring::new())),
    };
    (RingPair::host(halves).unwrap(), RingPair::guest(halves).unwrap())
}

pub(crate) fn scratch() -> &'static mut [u8] {
    Box::leak(vec![0; PACKET_MAX].into_boxed_slice())
}

pub(crate) const NEWEST: Versions = Versions {
    framework: Version::new(3, 0),
    message: Version::new(3, 0),
};

/// A peer that is made up packet by packet.
pub(crate) struct Peer {
    pub(crate) ring: End,
    scratch: Vec<u8>,
}

impl Peer {
    pub(crate) fn new(ring: End) -> Self {
        Self {
            ring,
            scratch: vec![0; PACKET_MAX],
        }
    }

    /// Sends bytes as a packet, if there is room.
    pub(crate) fn try_send(&mut self, payload: &[u8]) {
        let packet = Outgoing {
            transaction_id: 1,
            request_completion: false,
            descriptor: Descriptor::InBand,
            payload: &[payload],
        };
        match self.ring.outgoing.write(&packet) {
            Ok(_) | Err(WriteError::Full { .. } | WriteError::TooLarge { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// Sends bytes as a packet.
    pub(crate) fn send(&mut self, transaction_id: u64, descriptor: Descriptor<'_>, payload: &[u8]) {
        let packet = Outgoing {
            transaction_id,
            request_completion: false,
            descriptor,
            payload: &[payload],
        };
        let _ = self.ring.outgoing.write(&packet).unwrap();
    }

    /// Sends a host's message.
    pub(crate) fn ask(&mut self, versions: Versions, transaction_id: u8, message: &HostMessage<'_>) {
        let envelope = Envelope {
            framework: versions.framework,
            version: versions.message,
            transaction_id,
            flags: MessageFlags::TRANSACTION | MessageFlags::REQUEST,
            ..Envelope::default()
        };
        let mut out = vec![0; PACKET_MAX];
        let payload = message.encode(&envelope, &mut out).unwrap();
        self.send(100 + u64::from(transaction_id), Descriptor::InBand, payload);
    }

    /// Sends a guest's message.
    pub(crate) fn answer(&mut self, envelope: Envelope, message: &GuestMessage<'_>) {
        let mut out = vec![0; PACKET_MAX];
        let payload = message.encode(&envelope, &mut out).unwrap();
        self.send(envelope.transaction_id.into(), Descriptor::InBand, payload);
    }

    /// Takes what the other end sent: the ring's transaction id, and the payload.
    pub(crate) fn received(&mut self) -> Option<(u64, Vec<u8>)> {
        let packet = self.ring.incoming.read(&mut self.scratch).unwrap()?;
        let received = (packet.transaction_id(), packet.payload().to_vec());
        let _ = self.ring.incoming.release();
        Some(received)
    }
}
