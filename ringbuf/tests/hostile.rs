//! A peer that breaks the protocol, and memory that changes between any two accesses.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

use std::cell::{Cell, RefCell};

use proptest::prelude::*;
use vmbus_ringbuf::mem::ArrayRing;
use vmbus_ringbuf::{
    Consumer, ControlWord, Descriptor, Outgoing, PacketType, Producer, RangeFault, ReadError, RingFault,
    RingMem, TransferPageRange, WriteError,
};

const WORDS: usize = 32;
const LEN: u32 = WORDS as u32 * 8;

fn in_band<'a>(transaction_id: u64, payload: &'a [&'a [u8]]) -> Outgoing<'a> {
    Outgoing {
        transaction_id,
        request_completion: true,
        descriptor: Descriptor::InBand,
        payload,
    }
}

/// The first word of a descriptor.
fn head(kind: PacketType, offset8: u16, len8: u16) -> u64 {
    u64::from(kind.0) | u64::from(offset8) << 16 | u64::from(len8) << 32
}

/// Puts raw words at the start of an empty ring, and publishes `available` bytes.
fn ring(words: &[u64], available: u32) -> ArrayRing<WORDS> {
    let ring = ArrayRing::new();
    for (at, word) in words.iter().enumerate() {
        ring.write_word(at as u32 * 8, *word);
    }
    ring.store(ControlWord::WriteIndex, available);
    ring
}

fn set(ring: &ArrayRing<WORDS>, word: ControlWord, value: u32) {
    ring.store(word, value);
}

#[test]
fn case_02_absurd_range_counts_are_refused_and_can_be_answered() {
    for count in [0xffff_fffd_u32, 0xffff_fffe, 0xffff_ffff, 3] {
        let counted = u64::from(count) << 32;
        for (kind, fits) in [(PacketType::TRANSFER_PAGES, 2), (PacketType::GPA_DIRECT, 1)] {
            // A descriptor with 16 bytes of ranges, and 8 bytes of payload.
            let bad = [head(kind, 5, 6), 77, counted | 0xcafe, 1 << 32 | 1, 0, 0, 0];
            let mut ring = ring(&bad, 56);
            let mut consumer = Consumer::new(&ring).unwrap();
            let mut scratch = [0; 64];
            let packet = consumer.read(&mut scratch).unwrap().unwrap();
            assert_eq!(packet.transaction_id(), 77);
            let fault = RangeFault::Count { count, len: 16 };
            match kind {
                PacketType::TRANSFER_PAGES => assert_eq!(packet.transfer_ranges(), Err(fault)),
                _ => assert_eq!(packet.gpa_ranges().unwrap_err(), fault),
            }
            // The ring goes on.
            assert_eq!(consumer.read(&mut scratch), Ok(None));
            assert_eq!(consumer.fault(), None);
            // The most that there is room for is no fault of the count.
            ring = ArrayRing::new();
            ring.write_word(0, head(kind, 5, 6));
            ring.write_word(16, fits << 32);
            ring.store(ControlWord::WriteIndex, 56);
            let mut consumer = Consumer::new(&ring).unwrap();
            let packet = consumer.read(&mut scratch).unwrap().unwrap();
            match kind {
                PacketType::TRANSFER_PAGES => assert_eq!(
                    packet.transfer_ranges(),
                    Ok(&[TransferPageRange::new(0, 0); 2][..])
                ),
                _ => assert_eq!(packet.gpa_ranges().unwrap_err(), RangeFault::Empty { range: 0 }),
            }
        }
    }
}

#[test]
fn lists_are_only_in_packets_of_their_type() {
    let ring = ring(
        &[
            head(PacketType::IN_BAND, 2, 2),
            1,
            0,
            head(PacketType::GPA_DIRECT, 2, 3),
            2,
            0,
            0,
        ],
        56,
    );
    let mut consumer = Consumer::new(&ring).unwrap();
    let mut scratch = [0; 64];
    let packet = consumer.read(&mut scratch).unwrap().unwrap();
    let kind = RangeFault::Kind {
        kind: PacketType::IN_BAND,
    };
    assert_eq!(packet.gpa_ranges().unwrap_err(), kind);
    assert_eq!(packet.transfer_ranges().unwrap_err(), kind);
    assert_eq!(packet.transfer_set_id().unwrap_err(), kind);
    let packet = consumer.read(&mut scratch).unwrap().unwrap();
    assert_eq!(packet.gpa_ranges().unwrap_err(), RangeFault::NoCount { len: 0 });
}

#[test]
fn case_06_an_own_index_is_private_and_wins() {
    for garbage in [0, 8, 16, 24, LEN - 8, LEN, 7, u32::MAX] {
        let ring = ArrayRing::<WORDS>::new();
        let mut producer = Producer::new(&ring).unwrap();
        let mut consumer = Consumer::new(&ring).unwrap();
        let mut scratch = [0; 64];
        let mut at = 0;
        for id in 0..50 {
            set(&ring, ControlWord::WriteIndex, garbage);
            let _ = producer.write(&in_band(id, &[&[id as u8; 16]])).unwrap();
            at = (at + 40) % LEN;
            assert_eq!(
                ring.load(ControlWord::WriteIndex),
                at,
                "published from the private index"
            );
            set(&ring, ControlWord::ReadIndex, garbage);
            let packet = consumer.read(&mut scratch).unwrap().unwrap();
            assert_eq!(
                (packet.transaction_id(), packet.payload()),
                (id, &[id as u8; 16][..])
            );
            let _ = consumer.release();
            assert_eq!(
                ring.load(ControlWord::ReadIndex),
                at,
                "published from the private index"
            );
        }
    }
}

#[test]
fn case_07_a_consumer_finds_the_ring_corrupt_and_it_stays_so() {
    let in_band = PacketType::IN_BAND;
    let (at, data_len) = (0, LEN);
    let cases = [
        // What is available, len8 and offset8, and what that is.
        (
            40,
            2,
            5,
            RingFault::PacketLength {
                at,
                len8: 5,
                available: 40,
            },
        ),
        (
            40,
            2,
            6,
            RingFault::PacketLength {
                at,
                len8: 6,
                available: 40,
            },
        ),
        (
            40,
            2,
            0xffff,
            RingFault::PacketLength {
                at,
                len8: 0xffff,
                available: 40,
            },
        ),
        (
            40,
            3,
            2,
            RingFault::PayloadOffset {
                at,
                offset8: 3,
                len8: 2,
            },
        ),
        (
            40,
            0xffff,
            4,
            RingFault::PayloadOffset {
                at,
                offset8: 0xffff,
                len8: 4,
            },
        ),
        (
            40,
            2,
            1,
            RingFault::PayloadOffset {
                at,
                offset8: 2,
                len8: 1,
            },
        ),
        (
            40,
            2,
            0,
            RingFault::PayloadOffset {
                at,
                offset8: 2,
                len8: 0,
            },
        ),
        (
            40,
            1,
            4,
            RingFault::PayloadOffset {
                at,
                offset8: 1,
                len8: 4,
            },
        ),
        (
            40,
            0,
            0,
            RingFault::PayloadOffset {
                at,
                offset8: 0,
                len8: 0,
            },
        ),
        (8, 2, 2, RingFault::Fragment { at, available: 8 }),
        (16, 2, 2, RingFault::Fragment { at, available: 16 }),
        (
            24,
            2,
            3,
            RingFault::PacketLength {
                at,
                len8: 3,
                available: 24,
            },
        ),
    ];
    for (available, offset8, len8, fault) in cases {
        let ring = ring(&[head(in_band, offset8, len8)], available);
        let mut consumer = Consumer::new(&ring).unwrap();
        stays_corrupt(&ring, &mut consumer, fault);
    }
    for index in [4, 36, LEN, LEN + 8, u32::MAX, u32::MAX - 7] {
        let fault = RingFault::WriteIndex { index, data_len };
        let ring = ring(&[head(in_band, 2, 2)], index);
        assert_eq!(Consumer::new(&ring).unwrap_err(), fault, "at the start");
        set(&ring, ControlWord::WriteIndex, 0);
        let mut consumer = Consumer::new(&ring).unwrap();
        set(&ring, ControlWord::WriteIndex, index);
        stays_corrupt(&ring, &mut consumer, fault);
    }
    // Backwards: 24 bytes were read, and now 8 were written.
    let ring = ring(&[head(in_band, 2, 2)], 24);
    let mut consumer = Consumer::new(&ring).unwrap();
    assert!(consumer.read(&mut []).unwrap().is_some());
    set(&ring, ControlWord::WriteIndex, 8);
    stays_corrupt(
        &ring,
        &mut consumer,
        RingFault::WriteIndexMoved {
            from: 24,
            to: 8,
            read: 0,
        },
    );
}

fn stays_corrupt(ring: &ArrayRing<WORDS>, consumer: &mut Consumer<&ArrayRing<WORDS>>, fault: RingFault) {
    let mut scratch = [0; LEN as usize];
    assert_eq!(consumer.read(&mut scratch), Err(ReadError::Fault(fault)));
    // Whatever the peer does now.
    ring.write_word(0, head(PacketType::IN_BAND, 2, 2));
    set(ring, ControlWord::WriteIndex, 24);
    let read_index = ring.load(ControlWord::ReadIndex);
    assert_eq!(consumer.read(&mut scratch), Err(ReadError::Fault(fault)));
    assert_eq!(
        consumer.read_descriptor(&mut scratch),
        Err(ReadError::Fault(fault))
    );
    assert_eq!(consumer.skip(), Err(fault));
    assert_eq!(consumer.fault(), Some(fault));
    assert!(!consumer.release().is_needed());
    assert_eq!(
        ring.load(ControlWord::ReadIndex),
        read_index,
        "a corrupt ring is left alone"
    );
    assert!(
        consumer.unmask_interrupts(),
        "who looks again learns of the fault"
    );
}

#[test]
fn case_07_a_producer_finds_the_ring_corrupt_and_it_stays_so() {
    let data_len = LEN;
    // Never beyond what was published, never backwards, never out of range.
    let moved = |to| RingFault::ReadIndexMoved {
        from: 24,
        to,
        written: 72,
    };
    let cases = [
        (80, moved(80)),
        (LEN - 8, moved(LEN - 8)),
        (16, moved(16)),
        (0, moved(0)),
        (LEN, RingFault::ReadIndex { index: LEN, data_len }),
        (28, RingFault::ReadIndex { index: 28, data_len }),
        (
            u32::MAX,
            RingFault::ReadIndex {
                index: u32::MAX,
                data_len,
            },
        ),
    ];
    for (index, fault) in cases {
        let ring = ArrayRing::<WORDS>::new();
        let mut producer = Producer::new(&ring).unwrap();
        for id in 0..3 {
            let _ = producer.write(&in_band(id, &[])).unwrap();
        }
        set(&ring, ControlWord::ReadIndex, 24);
        assert!(producer.writable().is_ok());
        set(&ring, ControlWord::ReadIndex, index);
        assert_eq!(producer.writable(), Err(fault));
        // Whatever the peer does now.
        set(&ring, ControlWord::ReadIndex, 72);
        let write_index = ring.load(ControlWord::WriteIndex);
        assert_eq!(producer.write(&in_band(9, &[])), Err(WriteError::Fault(fault)));
        assert_eq!(
            producer.batch().push(&in_band(9, &[])),
            Err(WriteError::Fault(fault))
        );
        assert_eq!(producer.set_pending_send_size(8), Err(WriteError::Fault(fault)));
        assert_eq!(producer.is_drained(), Err(fault));
        assert_eq!(producer.fault(), Some(fault));
        assert_eq!(
            ring.load(ControlWord::WriteIndex),
            write_index,
            "a corrupt ring is left alone"
        );
        assert_eq!(ring.load(ControlWord::PendingSendSize), 0);
    }
    // Beyond what was published, and not beyond what was written.
    let ring = ArrayRing::<WORDS>::new();
    let mut producer = Producer::new(&ring).unwrap();
    for id in 0..3 {
        let _ = producer.write(&in_band(id, &[])).unwrap();
    }
    let mut batch = producer.batch();
    for id in 3..9 {
        batch.push(&in_band(id, &[])).unwrap();
    }
    set(&ring, ControlWord::ReadIndex, 96);
    let fault = RingFault::ReadIndexMoved {
        from: 0,
        to: 96,
        written: 72,
    };
    let larger = in_band(9, &[&[0; 32]]);
    assert_eq!(batch.push(&larger), Err(WriteError::Fault(fault)));
    drop(batch);
    assert_eq!(ring.load(ControlWord::WriteIndex), 72);
    for index in [4, LEN] {
        let ring = ArrayRing::<WORDS>::new();
        set(&ring, ControlWord::ReadIndex, index);
        assert_eq!(
            Producer::new(&ring).unwrap_err(),
            RingFault::ReadIndex { index, data_len }
        );
        assert_eq!(
            Consumer::new(&ring).unwrap_err(),
            RingFault::ReadIndex { index, data_len }
        );
    }
}

#[test]
fn a_fault_found_while_publishing_is_told_by_the_next_write() {
    let ring = ArrayRing::<WORDS>::new();
    let mut producer = Producer::new(&ring).unwrap();
    set(&ring, ControlWord::ReadIndex, 4);
    assert!(!producer.write(&in_band(1, &[])).unwrap().is_needed());
    let fault = RingFault::ReadIndex {
        index: 4,
        data_len: LEN,
    };
    assert_eq!(producer.write(&in_band(2, &[])), Err(WriteError::Fault(fault)));
}

/// What changes before an access.
#[derive(Clone, Copy, Debug)]
enum Tamper {
    Nothing,
    Word(ControlWord, u32),
    Data(u32, u64),
}

/// Memory that is tampered with before every access, and that knows what was accessed.
struct Tampered {
    ring: ArrayRing<WORDS>,
    script: RefCell<Vec<Tamper>>,
    accesses: Cell<usize>,
    loads: RefCell<Vec<ControlWord>>,
    stores: RefCell<Vec<(ControlWord, u32)>>,
    /// How often each byte of data was read.
    reads: RefCell<Vec<u32>>,
}

impl Tampered {
    fn new() -> Self {
        Self {
            ring: ArrayRing::new(),
            script: RefCell::default(),
            accesses: Cell::new(0),
            loads: RefCell::default(),
            stores: RefCell::default(),
            reads: RefCell::new(vec![0; LEN as usize]),
        }
    }

    fn tamper(&self) {
        let access = self.accesses.replace(self.accesses.get() + 1);
        let script = self.script.borrow();
        match script.get(access % script.len().max(1)) {
            Some(Tamper::Word(word, value)) => self.ring.store(*word, *value),
            Some(Tamper::Data(at, value)) => self.ring.write_word(*at, *value),
            Some(Tamper::Nothing) | None => {}
        }
    }

    /// Tampers by `script` from now on, and forgets what was accessed so far.
    fn follow(&self, script: Vec<Tamper>) {
        self.script.replace(script);
        self.accesses.set(0);
        self.loads.take();
        self.stores.take();
        self.reads.borrow_mut().fill(0);
    }
}

impl RingMem for Tampered {
    fn data_len(&self) -> u32 {
        LEN
    }
    fn load(&self, word: ControlWord) -> u32 {
        self.tamper();
        self.loads.borrow_mut().push(word);
        self.ring.load(word)
    }
    fn store(&self, word: ControlWord, value: u32) {
        self.tamper();
        self.stores.borrow_mut().push((word, value));
        self.ring.store(word, value);
    }
    fn fence(&self) {
        self.tamper();
    }
    fn read(&self, offset: u32, dst: &mut [u8]) {
        self.tamper();
        assert!(offset < 2 * LEN && dst.len() < LEN as usize);
        for at in offset..offset + dst.len() as u32 {
            self.reads.borrow_mut()[(at % LEN) as usize] += 1;
        }
        self.ring.read(offset, dst);
    }
    fn write(&self, offset: u32, src: &[u8]) {
        self.tamper();
        assert!(offset < 2 * LEN && src.len() < LEN as usize);
        self.ring.write(offset, src);
    }
}

#[test]
fn case_08_each_byte_of_the_peer_is_read_once_and_then_judged() {
    let absurd = Tamper::Data(0, head(PacketType::COMPLETION, 0, 0xffff));
    let shorter = Tamper::Data(0, head(PacketType::COMPLETION, 2, 2));
    for len8 in 2..8 {
        for (write_index, descriptor) in [(4, absurd), (0, absurd), (LEN, shorter), (u32::MAX, shorter)] {
            let mem = Tampered::new();
            let mut consumer = Consumer::new(&mem).unwrap();
            mem.ring.write_word(0, head(PacketType::IN_BAND, 2, len8));
            mem.ring.write_word(8, 0x1234);
            mem.ring.store(ControlWord::WriteIndex, u32::from(len8) * 8 + 8);
            // The write index changes once it was read, and so does the descriptor.
            let index = Tamper::Word(ControlWord::WriteIndex, write_index);
            mem.follow(vec![Tamper::Nothing, index, descriptor]);
            let mut scratch = [0; LEN as usize];
            let packet = consumer.read(&mut scratch).unwrap().unwrap();
            assert_eq!(
                (packet.kind(), packet.transaction_id()),
                (PacketType::IN_BAND, 0x1234)
            );
            assert_eq!(packet.payload().len(), usize::from(len8) * 8 - 16);
            assert_eq!(mem.loads.borrow()[..], [ControlWord::WriteIndex]);
            let read_once = |(at, &times): (usize, &u32)| times == u32::from(at < usize::from(len8) * 8);
            assert!(mem.reads.borrow().iter().enumerate().all(read_once));
            let _ = consumer.release();
            assert_eq!(
                mem.stores.borrow()[0],
                (ControlWord::ReadIndex, u32::from(len8) * 8 + 8)
            );
        }
    }
}

fn tamper() -> impl Strategy<Value = Tamper> {
    let word = prop_oneof![
        Just(ControlWord::WriteIndex),
        Just(ControlWord::ReadIndex),
        Just(ControlWord::InterruptMask),
        Just(ControlWord::PendingSendSize),
        Just(ControlWord::FeatureBits),
    ];
    // Often just what a ring could hold, so that the way through it is long.
    let value = prop_oneof![4 => (0..LEN / 8).prop_map(|units| units * 8), 1 => any::<u32>()];
    let descriptor =
        (0..16u16, 0..6u16, 0..12u16).prop_map(|(kind, offset8, len8)| head(PacketType(kind), offset8, len8));
    let data = prop_oneof![4 => descriptor, 1 => any::<u64>()];
    prop_oneof![
        3 => Just(Tamper::Nothing),
        2 => (word, value).prop_map(|(word, value)| Tamper::Word(word, value)),
        2 => (0..LEN / 8, data).prop_map(|(unit, data)| Tamper::Data(unit * 8, data)),
    ]
}

/// What the embedder does.
#[derive(Clone, Copy, Debug)]
enum Call {
    Read(usize),
    ReadDescriptor(usize),
    Skip,
    Release,
    Mask,
    Unmask,
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        6 => prop_oneof![Just(LEN as usize), 0..LEN as usize].prop_map(Call::Read),
        1 => (0..64usize).prop_map(Call::ReadDescriptor),
        1 => Just(Call::Skip),
        3 => Just(Call::Release),
        1 => Just(Call::Mask),
        1 => Just(Call::Unmask),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn a_consumer_yields_packets_or_faults(
        script in prop::collection::vec(tamper(), 1..60),
        calls in prop::collection::vec(call(), 1..60),
    ) {
        let mem = Tampered::new();
        let mut consumer = Consumer::new(&mem).unwrap();
        mem.follow(script);
        let mut scratch = [0; LEN as usize];
        // Where the private index is, by the packets that were read.
        let mut at = 0;
        let mut released = 0;
        let mut fault = None;
        for call in calls {
            let before = mem.accesses.get();
            let stores = mem.stores.borrow().len();
            mem.loads.borrow_mut().clear();
            let result = match call {
                Call::Read(len) => consumer.read(&mut scratch[..len]),
                Call::ReadDescriptor(len) => consumer.read_descriptor(&mut scratch[..len]),
                Call::Skip => {
                    match consumer.skip() {
                        // It tells nothing of the packet, so where the private index is now is not known.
                        Ok(true) => break,
                        Ok(false) => Ok(None),
                        Err(found) => Err(ReadError::Fault(found)),
                    }
                }
                Call::Release => {
                    let _ = consumer.release();
                    let expected = (at != released && fault.is_none()).then_some((ControlWord::ReadIndex, at));
                    prop_assert_eq!(mem.stores.borrow().get(stores).copied(), expected);
                    released = at;
                    Ok(None)
                }
                Call::Mask => {
                    consumer.mask_interrupts();
                    Ok(None)
                }
                Call::Unmask => {
                    let again = consumer.unmask_interrupts();
                    prop_assert!(again || at == released);
                    Ok(None)
                }
            };
            match result {
                Ok(Some(packet)) => {
                    prop_assert!(fault.is_none());
                    prop_assert!(packet.payload().len() <= packet.payload_len());
                    // What was judged stands in the caller's memory: walking it needs no care.
                    let _ = packet.transfer_ranges().map(<[_]>::len);
                    let _ = packet.gpa_ranges().map(|ranges| ranges.segments().count());
                    let size = 24 + packet.extension().len() + packet.payload_len();
                    prop_assert!(size < LEN as usize);
                    at = (at + size as u32) % LEN;
                }
                Ok(None) => {}
                Err(ReadError::ScratchTooSmall { needed, len }) => prop_assert!(needed > len && needed < LEN as usize),
                Err(ReadError::Fault(found)) => {
                    prop_assert_eq!(*fault.get_or_insert(found), found, "sticky");
                    prop_assert_eq!(consumer.fault(), Some(found));
                }
                Err(error) => panic!("{error}"),
            }
            prop_assert!(mem.accesses.get() - before <= 4, "bounded work");
            prop_assert!(!mem.loads.borrow().contains(&ControlWord::ReadIndex), "the own index is private");
        }
    }

    #[test]
    fn a_producer_publishes_what_it_wrote_or_faults(
        script in prop::collection::vec(tamper(), 1..60),
        calls in prop::collection::vec((0..4usize, 0..200usize), 1..60),
    ) {
        let mem = Tampered::new();
        let mut producer = Producer::new(&mem).unwrap();
        mem.follow(script);
        let payload = [0xa5; 200];
        let mut at = 0;
        let mut fault = None;
        for (batch, len) in calls {
            let before = mem.accesses.get();
            mem.loads.borrow_mut().clear();
            mem.stores.borrow_mut().clear();
            let mut packets = producer.batch();
            let mut next = at;
            for id in 0..batch {
                match packets.push(&in_band(id as u64, &[&payload[..len / 2], &payload[len / 2..len]])) {
                    Ok(()) => next = (next + 24 + len.next_multiple_of(8) as u32) % LEN,
                    Err(WriteError::Full { needed, free }) => prop_assert!(free <= needed),
                    Err(WriteError::TooLarge { .. }) => prop_assert!(len + 24 > LEN as usize - 8),
                    Err(WriteError::Fault(found)) => {
                        prop_assert_eq!(*fault.get_or_insert(found), found, "sticky");
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            let _ = packets.publish();
            let found = producer.fault();
            for &(word, value) in mem.stores.borrow().iter() {
                match word {
                    ControlWord::WriteIndex => at = value,
                    ControlWord::PendingSendSize => {}
                    word => panic!("{word:?} is the receiver's"),
                }
            }
            // What was pushed is published, unless a fault on the way took it back.
            prop_assert!(at == next || found.is_some());
            // For each packet a look at the read index, 4 to publish those before it, 3 to ask for room, 6 to write it; and 4 to
            // publish the batch.
            prop_assert!(mem.accesses.get() - before <= 4 + 14 * batch, "bounded work");
            prop_assert!(!mem.loads.borrow().contains(&ControlWord::WriteIndex), "the own index is private");
            if let Some(found) = found {
                prop_assert_eq!(*fault.get_or_insert(found), found, "sticky");
            }
        }
    }
}
