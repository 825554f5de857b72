//! A driver that says what a test wants, through a real ring.

use storvsc_proto::wire::{Completion, GuestMessage, HostMessage, PacketForm};
use vmbus_proto::ringbuf::gpa::GpaRange;
use vmbus_proto::ringbuf::{Descriptor, Outgoing, RingPair};

use super::Ring;

/// A guest's end of a channel.
pub(crate) struct Driver {
    pub(crate) ring: RingPair<&'static Ring>,
    pub(crate) form: PacketForm,
    pub(super) next_id: u64,
}

/// What the host sent.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) id: u64,
    pub(crate) len: usize,
    pub(crate) message: HostMessage,
}

impl Received {
    pub(crate) fn completion(&self) -> Completion {
        match self.message {
            HostMessage::CompleteIo(completion) => completion,
            other => panic!("{other} is no completion"),
        }
    }
}

/// A packet that a driver sends.
pub(crate) struct Sent<'a> {
    pub(crate) id: u64,
    pub(crate) wants_completion: bool,
    pub(crate) ranges: &'a [GpaRange<'a>],
    pub(crate) payload: &'a [u8],
}

impl Driver {
    pub(crate) fn send_packet(&mut self, sent: &Sent<'_>) {
        let descriptor = if sent.ranges.is_empty() {
            Descriptor::InBand
        } else {
            Descriptor::GpaDirect(sent.ranges)
        };
        let _ = self
            .ring
            .outgoing
            .write(&Outgoing {
                transaction_id: sent.id,
                request_completion: sent.wants_completion,
                descriptor,
                payload: &[sent.payload],
            })
            .unwrap();
    }

    pub(crate) fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub(crate) fn send_bytes(&mut self, payload: &[u8]) -> u64 {
        let id = self.id();
        self.send_packet(&Sent {
            id,
            wants_completion: true,
            ranges: &[],
            payload,
        });
        id
    }

    pub(crate) fn send(&mut self, message: &GuestMessage) -> u64 {
        let packet = message.encode(self.form);
        self.send_bytes(packet.as_bytes())
    }

    pub(crate) fn send_with(&mut self, message: &GuestMessage, ranges: &[GpaRange<'_>]) -> u64 {
        let id = self.id();
        let packet = message.encode(self.form);
        self.send_packet(&Sent {
            id,
            wants_completion: true,
            ranges,
            payload: packet.as_bytes(),
        });
        id
    }

    pub(crate) fn receive(&mut self) -> Option<Received> {
        let mut scratch = [0; 256];
        let packet = self.ring.incoming.read(&mut scratch).unwrap()?;
        let received = Received {
            id: packet.transaction_id(),
            len: packet.payload().len(),
            message: HostMessage::decode(packet.payload()).unwrap(),
        };
        let _ = self.ring.incoming.release();
        Some(received)
    }
}
