//! A channel with an engine of ours at one end and a peer at the other.

use std::collections::HashMap;
use std::fmt::Debug;

use vmbus_ringbuf::gpa::GpaRange;
use vmbus_ringbuf::wire::PacketType;
use vmbus_ringbuf::{Descriptor, Halves, Outgoing, RingPair, TransferPageRange, WriteError};
use zerocopy::little_endian::U64;

use crate::memory::{Hostile, Kind, Tamper};
use crate::steps;

steps! {
    /// What a packet lists, and so what it is.
    pub enum Lists {
        /// Nothing: it is in band.
        Nothing,
        /// Nothing: it is a completion.
        Completion,
        /// Ranges of guest memory, all alike but for their pages.
        Memory(ranges: u8, offset: u16, bytes: u16, first_page: u8),
        /// Ranges of a transfer page set, one after the other.
        Set(set_id: u16, ranges: u8, offset: u16, bytes: u16),
    }
}

steps! {
    /// What becomes of a well-formed message on its way.
    pub enum Mangle {
        /// Nothing.
        Nothing,
        /// Bits are other ones.
        Flip(at: u8, bits: u8),
        /// A word is another one.
        Word(at: u8, value: u32),
        /// It ends early.
        Cut(len: u16),
        /// It goes on.
        Grow(len: u8),
    }
}

impl Mangle {
    /// Does so.
    pub fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Nothing => {}
            Self::Flip(at, bits) => {
                if let Some(byte) = bytes.get_mut(usize::from(*at)) {
                    *byte ^= bits;
                }
            }
            Self::Word(at, value) => {
                let at = usize::from(*at) * 4;
                if let Some(word) = bytes.get_mut(at..at + 4) {
                    word.copy_from_slice(&value.to_le_bytes());
                }
            }
            Self::Cut(len) => bytes.truncate((*len).into()),
            Self::Grow(len) => bytes.resize(bytes.len() + usize::from(*len), 0x5a),
        }
    }
}

steps! {
    /// What the peer does to the memory of the rings.
    pub struct Disturb {
        pub to_host: bool,
        pub later: bool,
        pub tamper: Tamper,
    }
}

/// Packets that ask for an answer, by transaction id, and how many answers there are to come.
#[derive(Debug, Default)]
pub struct Asked {
    waiting: HashMap<u64, usize>,
}

impl Asked {
    /// One more answer is to come.
    pub fn ask(&mut self, id: u64) {
        *self.waiting.entry(id).or_default() += 1;
    }

    /// It came. `false`: nobody waits for it.
    pub fn answer(&mut self, id: u64) -> bool {
        match self.waiting.get_mut(&id) {
            Some(1) => {
                self.waiting.remove(&id);
                true
            }
            Some(count) => {
                *count -= 1;
                true
            }
            None => false,
        }
    }

    /// Whether one is still to come.
    pub fn waits(&self, id: u64) -> bool {
        self.waiting.contains_key(&id)
    }

    /// Whether all came.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// The memory of both rings, and the peer's end.
pub struct Line {
    to_host: Hostile,
    to_guest: Hostile,
    /// The peer's end of it.
    pub peer: RingPair<Hostile>,
    scratch: Vec<u8>,
    /// The peer wrote into the memory otherwise than through its end, so that nothing is known of its packets.
    pub disturbed: bool,
}

impl Line {
    /// A channel whose peer is the guest, and our end, the host's.
    pub fn host(kind: &Kind) -> (Self, RingPair<Hostile>) {
        Self::new(kind, RingPair::guest, RingPair::host)
    }

    /// A channel whose peer is the host, and our end, the guest's.
    pub fn guest(kind: &Kind) -> (Self, RingPair<Hostile>) {
        Self::new(kind, RingPair::host, RingPair::guest)
    }

    fn new<E: std::fmt::Debug>(
        kind: &Kind,
        peers: impl FnOnce(Halves<Hostile>) -> Result<RingPair<Hostile>, E>,
        ours: impl FnOnce(Halves<Hostile>) -> Result<RingPair<Hostile>, E>,
    ) -> (Self, RingPair<Hostile>) {
        let (to_host, to_guest) = (Hostile::new(kind), Hostile::new(kind));
        let peer = peers(Halves {
            to_host: to_host.peers(),
            to_guest: to_guest.peers(),
        });
        let ours = ours(Halves {
            to_host: to_host.clone(),
            to_guest: to_guest.clone(),
        });
        let peer = peer.expect("a new ring");
        let line = Self {
            scratch: vec![0; peer.incoming.max_scratch()],
            peer,
            to_host,
            to_guest,
            disturbed: false,
        };
        (line, ours.expect("a new ring"))
    }

    /// The peer disturbs the memory.
    pub fn disturb(&mut self, disturb: Disturb) {
        self.disturbed = true;
        let ring = if disturb.to_host {
            &self.to_host
        } else {
            &self.to_guest
        };
        if disturb.later {
            ring.later(disturb.tamper);
        } else {
            disturb.tamper.apply(&*ring.ring);
        }
    }

    /// How often our end accessed memory since it was last asked.
    pub fn accesses(&self) -> usize {
        let count = self.to_host.accesses.count.get() + self.to_guest.accesses.count.get();
        self.to_host.accesses.clear();
        self.to_guest.accesses.clear();
        count
    }

    /// The peer sends a packet. Tells whether it did: there may be no room, or nothing that can be listed so.
    pub fn send(&mut self, id: u64, wants_completion: bool, lists: &Lists, payload: &[u8]) -> bool {
        let mut pages = Vec::new();
        let mut memory = Vec::new();
        let mut set = Vec::new();
        let descriptor = match lists {
            Lists::Nothing => Descriptor::InBand,
            Lists::Completion => Descriptor::Completion,
            Lists::Memory(ranges, offset, bytes, first) => {
                let (offset, bytes) = (u32::from(*offset) % 4096, u32::from(*bytes));
                let needed = (offset + bytes).div_ceil(4096);
                pages.extend((0..needed).map(|page| U64::new(u64::from(*first) + u64::from(page))));
                let Ok(range) = GpaRange::new(offset, bytes, &pages) else {
                    return false;
                };
                memory.resize(usize::from(*ranges % 8), range);
                Descriptor::GpaDirect(&memory)
            }
            Lists::Set(set_id, ranges, offset, bytes) => {
                let bytes = u32::from(*bytes);
                set.extend(
                    (0..u32::from(*ranges % 8))
                        .map(|range| TransferPageRange::new(u32::from(*offset) + range * bytes, bytes)),
                );
                Descriptor::TransferPages {
                    set_id: *set_id,
                    ranges: &set,
                }
            }
        };
        let result = self.peer.outgoing.write(&Outgoing {
            transaction_id: id,
            request_completion: wants_completion,
            descriptor,
            payload: &[payload],
        });
        match result {
            Ok(_) => true,
            Err(WriteError::Full { .. } | WriteError::TooLarge { .. }) => false,
            Err(error) => {
                assert!(self.disturbed, "our end broke the ring: {error}");
                false
            }
        }
    }

    /// The peer takes the next packet: its type, its id, whether it wants to be answered, its ranges and its payload.
    pub fn receive(&mut self) -> Option<Received> {
        let result = self.peer.incoming.read(&mut self.scratch);
        let packet = match result {
            Ok(packet) => packet?,
            Err(error) => {
                assert!(self.disturbed, "our end broke the ring: {error}");
                return None;
            }
        };
        let received = Received {
            kind: packet.kind(),
            id: packet.transaction_id(),
            wants_completion: packet.wants_completion(),
            ranges: packet.transfer_ranges().map(<[_]>::to_vec).unwrap_or_default(),
            segments: packet
                .gpa_ranges()
                .map(|ranges| ranges.segments().collect())
                .unwrap_or_default(),
            payload: packet.payload().to_vec(),
        };
        let _ = self.peer.incoming.release();
        Some(received)
    }
}

/// What the peer got.
#[derive(Debug)]
pub struct Received {
    pub kind: PacketType,
    pub id: u64,
    pub wants_completion: bool,
    pub ranges: Vec<TransferPageRange>,
    /// Addresses and lengths of the guest's memory that it lists.
    pub segments: Vec<(u64, usize)>,
    pub payload: Vec<u8>,
}

/// What a call gave. A channel that has told a fault tells it from then on, whatever it is asked.
pub fn judge<T, F: Copy + Debug + PartialEq>(known: &mut Option<F>, result: Result<T, F>) -> Option<T> {
    match result {
        Ok(value) => {
            assert_eq!(*known, None, "a fault is forgotten");
            Some(value)
        }
        Err(fault) => {
            assert_eq!(*known.get_or_insert(fault), fault, "sticky");
            None
        }
    }
}
