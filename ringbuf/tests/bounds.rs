//! What an end of a ring holds and does at most, whatever the other one writes.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

use std::cell::Cell;

use vmbus_ringbuf::mem::{ArrayRing, ContiguousRing};
use vmbus_ringbuf::{
    Consumer, ControlWord, Descriptor, Outgoing, Producer, RingMem, RingPair, Transactions, WriteError,
};

const LEN: u32 = 4096;

/// A ring that counts what is done with it.
#[derive(Default)]
struct Counting {
    ring: ArrayRing<512>,
    accesses: Cell<u32>,
    bytes: Cell<u32>,
}

impl Counting {
    fn count(&self, bytes: usize) {
        self.accesses.set(self.accesses.get() + 1);
        self.bytes.set(self.bytes.get() + bytes as u32);
    }

    /// Accesses and bytes since the last time.
    fn done(&self) -> (u32, u32) {
        (self.accesses.take(), self.bytes.take())
    }
}

impl RingMem for Counting {
    fn data_len(&self) -> u32 {
        self.ring.data_len()
    }
    fn load(&self, word: ControlWord) -> u32 {
        self.count(4);
        self.ring.load(word)
    }
    fn store(&self, word: ControlWord, value: u32) {
        self.count(4);
        self.ring.store(word, value);
    }
    fn fence(&self) {
        self.ring.fence();
    }
    fn read(&self, offset: u32, dst: &mut [u8]) {
        self.count(dst.len());
        self.ring.read(offset, dst);
    }
    fn write(&self, offset: u32, src: &[u8]) {
        self.count(src.len());
        self.ring.write(offset, src);
    }
}

#[test]
fn ends_are_small_and_hold_no_packet() {
    // As the crate's documentation says, on a 64-bit machine.
    let sizes = [
        size_of::<Producer<&ArrayRing<512>>>(),
        size_of::<Consumer<&ArrayRing<512>>>(),
    ];
    assert!(sizes.iter().all(|size| *size <= 64 + 8), "{sizes:?}");
    assert!(size_of::<RingPair<ContiguousRing>>() <= 256);
}

#[test]
fn a_read_takes_one_packet_however_many_there_are() {
    let mem = Counting::default();
    let mut producer = Producer::new(&mem).unwrap();
    let packet = Outgoing {
        transaction_id: 1,
        request_completion: false,
        descriptor: Descriptor::InBand,
        payload: &[&[7; 8]],
    };
    while producer.write(&packet).is_ok() {}
    let mut consumer = Consumer::new(&mem).unwrap();
    let mut scratch = vec![0; consumer.max_scratch()];
    mem.done();
    assert!(consumer.read(&mut scratch).unwrap().is_some());
    let (accesses, bytes) = mem.done();
    assert!(accesses <= 3 && bytes <= 4 + 32, "{accesses} {bytes}");
    let _ = consumer.release();
    assert!(mem.done().0 <= 4);
}

#[test]
fn one_packet_is_as_long_as_the_ring_at_most() {
    let mem = Counting::default();
    let mut consumer = Consumer::new(&mem).unwrap();
    let mut producer = Producer::new(&mem).unwrap();
    let most = consumer.max_scratch();
    assert!(most < LEN as usize);
    let payload = vec![7; LEN as usize];
    let mut write = |len: usize| {
        producer.write(&Outgoing {
            transaction_id: 1,
            request_completion: false,
            descriptor: Descriptor::InBand,
            payload: &[&payload[..len]],
        })
    };
    // To the bound and over it.
    assert!(matches!(write(most + 1), Err(WriteError::TooLarge { .. })));
    let _ = write(most).unwrap();
    let mut scratch = vec![0; most];
    mem.done();
    assert_eq!(
        consumer.read(&mut scratch).unwrap().unwrap().payload().len(),
        most
    );
    let (accesses, bytes) = mem.done();
    assert!(accesses <= 3 && bytes <= 4 + LEN, "{accesses} {bytes}");
}

#[test]
fn indices_that_jump_make_no_call_longer() {
    let mem = Counting::default();
    let mut consumer = Consumer::new(&mem).unwrap();
    let mut scratch = vec![0; consumer.max_scratch()];
    // A packet that says it is as long as can be, in a ring that says it is full.
    mem.ring.write(0, &[6, 0, 2, 0, 0xfe, 1, 0, 0]);
    mem.ring.store(ControlWord::WriteIndex, LEN - 8);
    mem.done();
    let read = consumer.read(&mut scratch).map(|packet| packet.is_some());
    assert_eq!(read, Ok(true));
    let (accesses, bytes) = mem.done();
    assert!(accesses <= 3 && bytes <= 4 + LEN, "{accesses} {bytes}");
    mem.ring.store(ControlWord::WriteIndex, u32::MAX);
    assert!(consumer.read(&mut scratch).is_err());
    assert!(mem.done().0 <= 2);
}

#[test]
fn requests_under_way_have_a_bound() {
    let mut transactions = Transactions::<u64, 4>::new();
    let size = size_of::<Transactions<u64, 4>>();
    assert!(size <= 24 + 4 * 24, "{size}");
    let ids = [1, 2, 3, 4].map(|request| {
        let id = transactions.next().unwrap();
        transactions.start(id, request);
        id
    });
    // Over it: there is no id, and one of one's own making is none.
    assert_eq!(transactions.next(), None);
    transactions.start(ids[0], 5);
    assert_eq!(transactions.pending(), 4);
    assert_eq!(transactions.end(ids[0].number()), Some((ids[0], 1)));
    assert!(transactions.next().is_some());
}
