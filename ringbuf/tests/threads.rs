//! Two threads, real memory, real parking: everything arrives, in order, and nobody sleeps for ever.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};

use support::Pages;
use vmbus_ringbuf::mem::ArrayRing;
use vmbus_ringbuf::{Consumer, Descriptor, Outgoing, Producer, RingMem, Signal, WriteError};

const PACKETS: u64 = 100_000;

/// An interrupt line: once raised it stays so until it is taken.
#[derive(Default)]
struct Line(AtomicBool);

impl Line {
    fn raise(&self, of: &Thread) {
        self.0.store(true, Ordering::SeqCst);
        of.unpark();
    }

    fn wait(&self) {
        while !self.0.swap(false, Ordering::SeqCst) {
            thread::park();
        }
    }
}

/// Lengths that differ from packet to packet, the same for both ends.
fn len_of(id: u64) -> usize {
    (id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 55) as usize
}

/// A word of a packet's payload.
fn word_of(id: u64, at: usize) -> u64 {
    id << 16 | at as u64
}

fn send<M: RingMem>(mem: M, packets: &Line, room: &Line, receiver: &Thread) {
    let mut producer = Producer::new(mem).unwrap();
    let mut payload = vec![0; 512];
    let mut id = 0;
    while id < PACKETS {
        let mut batch = producer.batch();
        let mut full = false;
        // Batches of 1 to 8.
        for _ in 0..=id % 8 {
            let len = len_of(id);
            for (at, word) in payload[..len.next_multiple_of(8)].chunks_exact_mut(8).enumerate() {
                word.copy_from_slice(&word_of(id, at).to_le_bytes());
            }
            let packet = Outgoing {
                transaction_id: id,
                request_completion: false,
                descriptor: Descriptor::InBand,
                payload: &[&payload[..len / 2], &payload[len / 2..len.next_multiple_of(8)]],
            };
            match batch.push(&packet) {
                Ok(()) => id += 1,
                Err(WriteError::Full { .. }) => {
                    full = true;
                    break;
                }
                Err(error) => panic!("{error}"),
            }
            if id == PACKETS {
                break;
            }
        }
        if batch.publish() == Signal::Needed {
            packets.raise(receiver);
        }
        if full {
            room.wait();
        }
    }
}

fn receive<M: RingMem>(mem: M, packets: &Line, room: &Line, sender: &Thread, mask: bool) {
    let mut consumer = Consumer::new(mem).unwrap();
    let mut scratch = vec![0; consumer.max_scratch()];
    let mut next = 0;
    while next < PACKETS {
        if mask {
            consumer.mask_interrupts();
        }
        // Releases as it goes, so that the sender is waited for and waits in turn.
        for _ in 0..=next % 16 {
            let Some(packet) = consumer.read(&mut scratch).unwrap() else {
                break;
            };
            assert_eq!(packet.transaction_id(), next);
            let words = packet.payload().chunks_exact(8).enumerate();
            assert_eq!(words.len() * 8, len_of(next).next_multiple_of(8));
            for (at, word) in words {
                assert_eq!(word, word_of(next, at).to_le_bytes());
            }
            next += 1;
        }
        if consumer.release() == Signal::Needed {
            room.raise(sender);
        }
        if next < PACKETS && !consumer.unmask_interrupts() {
            packets.wait();
        }
    }
}

fn exchange<M: RingMem + Send>(to_send: M, to_receive: M, mask: bool) {
    let lines = Arc::new((Line::default(), Line::default()));
    let receiver = thread::current();
    thread::scope(|scope| {
        let sender = {
            let lines = Arc::clone(&lines);
            scope.spawn(move || send(to_send, &lines.0, &lines.1, &receiver))
        };
        receive(to_receive, &lines.0, &lines.1, sender.thread(), mask);
    });
}

#[test]
fn contiguous_memory() {
    let pages = Pages::new(2);
    exchange(pages.contiguous(), pages.contiguous(), true);
}

#[test]
fn page_list_memory() {
    let pages = Pages::new(4);
    exchange(pages.page_list(), pages.page_list(), false);
}

#[test]
fn memory_of_atomics() {
    // Hardly more than the largest packet.
    let ring = ArrayRing::<72>::new();
    exchange(&ring, &ring, true);
}
