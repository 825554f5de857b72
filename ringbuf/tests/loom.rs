//! Both ends under every interleaving that loom can find, on a memory as weakly ordered as the language allows: nothing
//! lost, nothing twice, no lost wake-up. And each barrier and ordering is needed: without it the model fails.
//!
//! `cargo test -p vmbus-ringbuf --release --test loom` takes seconds. It leaves out interleavings with more than a few
//! preemptions; `LOOM_MAX_PREEMPTIONS=1000` leaves out none, and takes minutes to hours.
//!
//! A wake-up that is lost shows as a deadlock, data that is read before it is written as a race.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

// Not loom's: that one cannot be dropped while a failed model unwinds.
use std::sync::Arc;

use loom::cell::UnsafeCell;
use loom::sync::Notify;
use loom::sync::atomic::{AtomicU32, Ordering, fence};
use loom::thread;
use vmbus_ringbuf::{Consumer, ControlWord, Descriptor, Outgoing, Producer, RingMem, Signal, WriteError};

/// What is left out of the protocol.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Without {
    Nothing,
    /// The barrier after this word is stored.
    Barrier(ControlWord),
    /// The release of this word's store.
    Release(ControlWord),
    /// The acquire of this word's load.
    Acquire(ControlWord),
}

/// A ring's memory in loom's atomics; the data in cells that loom watches for races.
struct Memory {
    words: [AtomicU32; 5],
    data: Vec<UnsafeCell<u64>>,
    without: Without,
}

// SAFETY: loom itself checks that the cells are not raced for.
unsafe impl Sync for Memory {}

impl Memory {
    fn new(units: usize, without: Without) -> Self {
        let words = [0; 5].map(|_: u8| AtomicU32::new(0));
        Self {
            words,
            data: (0..units).map(|_| UnsafeCell::new(0)).collect(),
            without,
        }
    }

    fn cell(&self, offset: u32, unit: usize) -> &UnsafeCell<u64> {
        &self.data[(offset as usize / 8 + unit) % self.data.len()]
    }
}

#[derive(Clone)]
struct Ring(Arc<Memory>);

impl Ring {
    fn word(&self, word: ControlWord) -> &AtomicU32 {
        let index = match word {
            ControlWord::WriteIndex => 0,
            ControlWord::ReadIndex => 1,
            ControlWord::InterruptMask => 2,
            ControlWord::PendingSendSize => 3,
            ControlWord::FeatureBits => 4,
        };
        &self.0.words[index]
    }
}

impl RingMem for Ring {
    fn data_len(&self) -> u32 {
        u32::try_from(self.0.data.len() * 8).unwrap()
    }
    fn load(&self, word: ControlWord) -> u32 {
        let order = if self.0.without == Without::Acquire(word) {
            Ordering::Relaxed
        } else {
            Ordering::Acquire
        };
        self.word(word).load(order)
    }
    fn store(&self, word: ControlWord, value: u32) {
        let order = if self.0.without == Without::Release(word) {
            Ordering::Relaxed
        } else {
            Ordering::Release
        };
        self.word(word).store(value, order);
    }
    fn fence(&self) {
        fence(Ordering::SeqCst);
    }
    fn store_fence(&self, word: ControlWord, value: u32) {
        self.store(word, value);
        if self.0.without != Without::Barrier(word) {
            self.fence();
        }
    }
    fn read(&self, offset: u32, dst: &mut [u8]) {
        for (unit, dst) in dst.chunks_exact_mut(8).enumerate() {
            // SAFETY: loom hands out the pointer and checks that nobody writes meanwhile.
            let value = self.0.cell(offset, unit).with(|cell| unsafe { *cell });
            dst.copy_from_slice(&value.to_le_bytes());
        }
    }
    fn write(&self, offset: u32, src: &[u8]) {
        for (unit, src) in src.chunks_exact(8).enumerate() {
            let value = u64::from_le_bytes(src.try_into().unwrap());
            // SAFETY: loom hands out the pointer and checks that nobody accesses it meanwhile.
            self.0
                .cell(offset, unit)
                .with_mut(|cell| unsafe { *cell = value });
        }
    }
}

/// How each end is told of the other: an interrupt, or an event.
#[derive(Clone)]
struct Wires {
    packets: Arc<Notify>,
    room: Arc<Notify>,
}

impl Wires {
    fn new() -> Self {
        Self {
            packets: Arc::new(Notify::new()),
            room: Arc::new(Notify::new()),
        }
    }
}

fn send(producer: &mut Producer<Ring>, wires: &Wires, id: u64) {
    let packet = Outgoing {
        transaction_id: id,
        request_completion: false,
        descriptor: Descriptor::InBand,
        payload: &[],
    };
    loop {
        match producer.write(&packet) {
            Ok(signal) => {
                if signal.is_needed() {
                    wires.packets.notify();
                }
                return;
            }
            Err(WriteError::Full { .. }) => wires.room.wait(),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Receives packets up to number `last`, sleeping whenever there are none.
fn receive(consumer: &mut Consumer<Ring>, wires: &Wires, next: &mut u64, last: u64, mask: bool) {
    loop {
        if mask {
            consumer.mask_interrupts();
        }
        while let Some(packet) = consumer.read(&mut []).unwrap() {
            assert_eq!(packet.transaction_id(), *next, "in order, each once");
            *next += 1;
        }
        if consumer.release() == Signal::Needed {
            wires.room.notify();
        }
        if *next > last {
            return;
        }
        if !consumer.unmask_interrupts() {
            wires.packets.wait();
        }
    }
}

/// A model of every interleaving in which no more threads than this are interrupted while they could go on, unless the
/// environment says otherwise.
fn model(preemptions: usize) -> loom::model::Builder {
    let mut model = loom::model::Builder::new();
    model.preemption_bound.get_or_insert(preemptions);
    model
}

/// Two packets go one way, over a ring of so many units of 8 bytes: a packet takes three, and one stays free.
fn one_way(units: usize, mask: bool, without: Without) {
    model(3).check(move || {
        let ring = Ring(Arc::new(Memory::new(units, without)));
        let wires = Wires::new();
        let mut producer = Producer::new(ring.clone()).unwrap();
        let mut consumer = Consumer::new(ring).unwrap();
        let sender = thread::spawn({
            let wires = wires.clone();
            move || {
                send(&mut producer, &wires, 1);
                send(&mut producer, &wires, 2);
            }
        });
        receive(&mut consumer, &wires, &mut 1, 2, mask);
        sender.join().unwrap();
        assert_eq!(consumer.read(&mut []), Ok(None), "nothing twice");
    });
}

/// As [`one_way`], but the receiver opens the ring while the sender already sends, and finds the mask set by who had it before.
fn opened_late(without: Without) {
    model(3).check(move || {
        let ring = Ring(Arc::new(Memory::new(ROOMY, without)));
        let wires = Wires::new();
        ring.store(ControlWord::InterruptMask, 1);
        let mut producer = Producer::new(ring.clone()).unwrap();
        let sender = thread::spawn({
            let wires = wires.clone();
            move || {
                send(&mut producer, &wires, 1);
                send(&mut producer, &wires, 2);
            }
        });
        let mut consumer = Consumer::new(ring).unwrap();
        receive(&mut consumer, &wires, &mut 1, 2, false);
        sender.join().unwrap();
    });
}

/// Room for both packets, and for one only.
const ROOMY: usize = 7;
const TIGHT: usize = 4;

#[test]
fn two_packets_arrive_without_a_mask() {
    one_way(ROOMY, false, Without::Nothing);
}

#[test]
fn two_packets_arrive_with_a_mask() {
    one_way(ROOMY, true, Without::Nothing);
}

#[test]
fn two_packets_arrive_where_one_has_to_wait_for_room() {
    one_way(TIGHT, false, Without::Nothing);
}

#[test]
fn two_packets_arrive_where_one_has_to_wait_for_room_with_a_mask() {
    one_way(TIGHT, true, Without::Nothing);
}

/// Each end answers every packet with one of its own.
#[test]
fn two_packets_arrive_each_way() {
    model(2).check(|| {
        let [there, back] = [(); 2].map(|()| Ring(Arc::new(Memory::new(TIGHT, Without::Nothing))));
        let [there_wires, back_wires] = [(); 2].map(|()| Wires::new());
        let answering = thread::spawn({
            let mut incoming = Consumer::new(there.clone()).unwrap();
            let mut outgoing = Producer::new(back.clone()).unwrap();
            let (there_wires, back_wires) = (there_wires.clone(), back_wires.clone());
            move || {
                let mut next = 1;
                for id in 1..=2 {
                    receive(&mut incoming, &there_wires, &mut next, id, false);
                    send(&mut outgoing, &back_wires, id);
                }
            }
        });
        let mut outgoing = Producer::new(there).unwrap();
        let mut incoming = Consumer::new(back).unwrap();
        send(&mut outgoing, &there_wires, 1);
        send(&mut outgoing, &there_wires, 2);
        receive(&mut incoming, &back_wires, &mut 1, 2, false);
        answering.join().unwrap();
    });
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_the_barrier_after_publishing_a_packet_goes_unnoticed() {
    one_way(ROOMY, false, Without::Barrier(ControlWord::WriteIndex));
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_the_barrier_after_releasing_room_goes_unnoticed() {
    one_way(TIGHT, false, Without::Barrier(ControlWord::ReadIndex));
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_the_barrier_after_asking_for_room_the_answer_goes_unnoticed() {
    one_way(TIGHT, false, Without::Barrier(ControlWord::PendingSendSize));
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_the_barrier_after_unmasking_a_packet_goes_unnoticed() {
    one_way(ROOMY, true, Without::Barrier(ControlWord::InterruptMask));
}

#[test]
#[should_panic(expected = "Causality violation")]
fn without_release_a_packet_is_read_before_it_is_there() {
    one_way(ROOMY, false, Without::Release(ControlWord::WriteIndex));
}

#[test]
#[should_panic(expected = "Causality violation")]
fn without_acquire_a_packet_is_read_before_it_is_there() {
    one_way(ROOMY, false, Without::Acquire(ControlWord::WriteIndex));
}

#[test]
#[should_panic(expected = "Causality violation")]
fn without_release_room_is_written_over_while_it_is_read() {
    one_way(TIGHT, false, Without::Release(ControlWord::ReadIndex));
}

#[test]
#[should_panic(expected = "Causality violation")]
fn without_acquire_room_is_written_over_while_it_is_read() {
    one_way(TIGHT, false, Without::Acquire(ControlWord::ReadIndex));
}

#[test]
fn packets_arrive_that_were_sent_before_the_ring_was_opened() {
    opened_late(Without::Nothing);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_the_barrier_after_opening_a_packet_goes_unnoticed() {
    opened_late(Without::Barrier(ControlWord::InterruptMask));
}

/// The words that tell who sleeps are between barriers of both ends, which do what an ordering of theirs would. So memory that orders
/// nothing but the indices loses nothing.
#[test]
fn words_beside_the_indices_need_no_ordering_of_their_own() {
    for word in [ControlWord::InterruptMask, ControlWord::PendingSendSize] {
        for without in [Without::Release(word), Without::Acquire(word)] {
            for units in [ROOMY, TIGHT] {
                one_way(units, true, without);
            }
        }
    }
}
