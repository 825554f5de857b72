//! A channel, and what a driver does with its end.

use std::collections::VecDeque;

use netvsc_proto::host::Queue;
use netvsc_proto::wire::nvsp::{self, ChannelType, NO_SECTION, Status, Version};
use netvsc_proto::wire::nvsp_message::{GuestMessage, HostMessage};
use netvsc_proto::wire::ppi::PpiWalk;
use netvsc_proto::wire::rndis_message::{self, PacketMessage};
use netvsc_proto::wire::status::RndisStatus;
use vmbus_proto::ringbuf::mem::ArrayRing;
use vmbus_proto::ringbuf::{
    Descriptor, Halves, Outgoing, PacketType, RingPair, SharedMem, TransferPageRange, WriteError,
};

use super::{Mem, SECTIONS};

pub(crate) type Ring<const WORDS: usize> = &'static ArrayRing<WORDS>;
pub(crate) type HostQueue<const WORDS: usize, B = Mem> = Queue<Ring<WORDS>, B, SECTIONS>;

/// A frame as the driver got it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Got {
    pub(crate) data: Vec<u8>,
    pub(crate) ppi: Vec<u8>,
}

/// The guest's end of one channel.
pub(crate) struct GuestChannel<const WORDS: usize> {
    pub(crate) rings: RingPair<Ring<WORDS>>,
    /// Transactions that the host has completed, with the payload.
    pub(crate) completed: VecDeque<(u64, Vec<u8>)>,
    /// Messages of the host's own.
    pub(crate) messages: VecDeque<Vec<u8>>,
    pub(crate) frames: VecDeque<Got>,
    pub(crate) replies: VecDeque<Vec<u8>>,
    pub(crate) indications: VecDeque<(RndisStatus, Vec<u8>)>,
    /// Receive completions that are not sent.
    pub(crate) held: VecDeque<u64>,
    pub(crate) hold: bool,
    /// Status of receive completions.
    pub(crate) verdict: Status,
    pub(crate) signals: usize,
}

pub(crate) fn channel<const WORDS: usize, B: SharedMem>(
    index: u16,
) -> (HostQueue<WORDS, B>, GuestChannel<WORDS>) {
    let halves = Halves {
        to_host: &*Box::leak(Box::new(ArrayRing::<WORDS>::new())),
        to_guest: &*Box::leak(Box::new(ArrayRing::<WORDS>::new())),
    };
    let guest = GuestChannel {
        rings: RingPair::guest(halves).unwrap(),
        completed: VecDeque::new(),
        messages: VecDeque::new(),
        frames: VecDeque::new(),
        replies: VecDeque::new(),
        indications: VecDeque::new(),
        held: VecDeque::new(),
        hold: false,
        verdict: Status::SUCCESS,
        signals: 0,
    };
    (Queue::new(index, RingPair::host(halves).unwrap()), guest)
}

impl<const WORDS: usize> GuestChannel<WORDS> {
    pub(crate) fn write(
        &mut self,
        descriptor: Descriptor<'_>,
        transaction_id: u64,
        request_completion: bool,
        payload: &[u8],
    ) -> Result<(), WriteError> {
        let outgoing = Outgoing {
            transaction_id,
            request_completion,
            descriptor,
            payload: &[payload],
        };
        self.rings.outgoing.write(&outgoing).map(|_| ())
    }

    pub(crate) fn in_band(&mut self, transaction_id: u64, request_completion: bool, payload: &[u8]) {
        self.write(Descriptor::InBand, transaction_id, request_completion, payload)
            .unwrap();
    }

    /// Linux sends every message with 40 bytes, whatever the version.
    pub(crate) fn message(
        &mut self,
        transaction_id: u64,
        request_completion: bool,
        message: &GuestMessage<'_>,
    ) {
        let mut bytes = [0; 512];
        let bytes = message.encode(Version::V6_1, &mut bytes).unwrap();
        self.in_band(transaction_id, request_completion, bytes);
    }

    /// Returns what the host gave, with 8 bytes as Linux does.
    pub(crate) fn return_sections(&mut self, transaction_id: u64) {
        let payload = [108_u32.to_le_bytes(), self.verdict.value().to_le_bytes()].concat();
        if self
            .write(Descriptor::Completion, transaction_id, false, &payload)
            .is_err()
        {
            self.held.push_back(transaction_id);
        }
    }

    /// Sends receive completions that are held, as many as fit.
    pub(crate) fn return_held(&mut self) {
        for _ in 0..self.held.len() {
            let id = self.held.pop_front().unwrap();
            self.return_sections(id);
        }
    }

    /// Takes everything that the host has sent.
    pub(crate) fn poll(&mut self, receive: &Mem) {
        let mut scratch = vec![0; 16384];
        while let Some(packet) = self.rings.incoming.read(&mut scratch).unwrap() {
            let id = packet.transaction_id();
            match packet.kind() {
                PacketType::COMPLETION => self.completed.push_back((id, packet.payload().to_vec())),
                PacketType::IN_BAND => self.messages.push_back(packet.payload().to_vec()),
                PacketType::TRANSFER_PAGES => {
                    assert_eq!(packet.transfer_set_id().unwrap(), nvsp::RECEIVE_BUFFER_ID);
                    assert!(packet.wants_completion());
                    let ranges: Vec<TransferPageRange> = packet.transfer_ranges().unwrap().to_vec();
                    let message = HostMessage::decode(packet.payload(), Version::V6_1).unwrap();
                    let HostMessage::SendRndisPacket(message) = message else {
                        panic!("{message}")
                    };
                    assert_eq!(message.section_index.get(), NO_SECTION);
                    for range in ranges {
                        self.take_range(receive, &range, message.channel_type);
                    }
                    if self.hold {
                        self.held.push_back(id);
                    } else {
                        self.return_sections(id);
                    }
                }
                kind => panic!("packet type {kind}"),
            }
        }
        if self.rings.incoming.release().is_needed() {
            self.signals += 1;
        }
        let _ = self.rings.incoming.unmask_interrupts();
    }

    fn take_range(&mut self, receive: &Mem, range: &TransferPageRange, channel_type: ChannelType) {
        let mut bytes = vec![0; usize::try_from(range.byte_count.get()).unwrap()];
        SharedMem::read(
            receive,
            usize::try_from(range.byte_offset.get()).unwrap(),
            &mut bytes,
        )
        .unwrap();
        let message = rndis_message::HostMessage::decode(&bytes).unwrap();
        if let rndis_message::HostMessage::IndicateStatus(status, info) = message {
            self.indications.push_back((status.status, info.to_vec()));
            return;
        }
        if channel_type == ChannelType::CONTROL {
            self.replies.push_back(bytes);
            return;
        }
        let rndis_message::HostMessage::Packet(PacketMessage { ppi, data }) = message else {
            panic!("{message}")
        };
        // Linux loops for ever over a record that is not right.
        assert!(PpiWalk::new(ppi).all(|record| record.is_ok()));
        self.frames.push_back(Got {
            data: data.to_vec(),
            ppi: ppi.to_vec(),
        });
    }
}
