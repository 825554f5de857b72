//! Host and guest at one page under every order of accesses that loom can find, on a memory as weakly ordered as the
//! language allows: no message is half, none is waited for in vain, no flag is lost. And each barrier and ordering is
//! needed: without it the model fails.

#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]

use core::sync::atomic::Ordering;
use std::sync::Arc;
use std::sync::atomic::AtomicU32 as Quiet;

use loom::cell::UnsafeCell;
use loom::sync::Notify;
use loom::sync::atomic::{AtomicU32, fence};
use loom::thread;

use super::words::Words;
use super::{events, messages};
use crate::host::synic::{Delivery, post_message, set_event_flag};
use crate::synic::MessageType;
use crate::{GuestMemory, MemoryError, Message, Sint};

/// What is left out of the protocol.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Without {
    Nothing,
    GuestBarrier,
    HostBarrier,
    GuestAcquire,
    GuestRelease,
    HostAcquire,
    HostRelease,
    Atomicity,
}

/// The slot of SINT 0 in a page at address 0: the words that the two ends meet at in loom's atomics, the first word of
/// the payload in a cell that loom watches for races, and the rest unwatched, as it goes the payload's way.
struct Slot {
    met: [AtomicU32; 2],
    payload: UnsafeCell<u32>,
    rest: [Quiet; 64],
    without: Without,
}

// SAFETY: loom itself checks that the cell is not raced for.
#[allow(unsafe_code, reason = "a model of shared memory")]
unsafe impl Sync for Slot {}

const PAYLOAD: u16 = 4;

impl Slot {
    fn new(without: Without) -> Arc<Self> {
        Arc::new(Self {
            met: [0; 2].map(|_: u8| AtomicU32::new(0)),
            payload: UnsafeCell::new(0),
            rest: [const { Quiet::new(0) }; 64],
            without,
        })
    }

    fn order(&self, without: Without, order: Ordering) -> Ordering {
        if self.without == without {
            Ordering::Relaxed
        } else {
            order
        }
    }

    fn barrier(&self, without: Without) {
        if self.without != without {
            fence(Ordering::SeqCst);
        }
    }

    #[allow(unsafe_code, reason = "a model of shared memory")]
    fn word(&self, index: u16) -> u32 {
        match index {
            0 | 1 => self.met[usize::from(index)].load(Ordering::Relaxed),
            // SAFETY: loom checks that nobody writes meanwhile.
            PAYLOAD => self.payload.with(|word| unsafe { *word }),
            _ => self.rest[usize::from(index)].load(Ordering::Relaxed),
        }
    }

    #[allow(unsafe_code, reason = "a model of shared memory")]
    fn set_word(&self, index: u16, value: u32) {
        match index {
            0 | 1 => self.met[usize::from(index)].store(value, Ordering::Relaxed),
            // SAFETY: loom checks that nobody accesses it meanwhile.
            PAYLOAD => self.payload.with_mut(|word| unsafe { *word = value }),
            _ => self.rest[usize::from(index)].store(value, Ordering::Relaxed),
        }
    }
}

/// The guest's end.
impl Words for Slot {
    fn load(&self, index: u16) -> u32 {
        self.word(index)
    }

    fn load_acquire(&self, index: u16) -> u32 {
        let order = self.order(Without::GuestAcquire, Ordering::Acquire);
        self.met[usize::from(index)].load(order)
    }

    fn store_release(&self, index: u16, value: u32) {
        let order = self.order(Without::GuestRelease, Ordering::Release);
        self.met[usize::from(index)].store(value, order);
    }

    fn clear_bits(&self, index: u16, mask: u32) -> u32 {
        let word = &self.met[usize::from(index)];
        if self.without == Without::Atomicity {
            let value = word.load(Ordering::Acquire);
            word.store(value & !mask, Ordering::Release);
            return value;
        }
        word.fetch_and(!mask, self.order(Without::GuestAcquire, Ordering::AcqRel))
    }

    fn read(&self, index: u16, dst: &mut [u8]) {
        for (index, bytes) in (index..).zip(dst.chunks_mut(4)) {
            bytes.copy_from_slice(&self.word(index).to_ne_bytes());
        }
    }

    fn fence(&self) {
        self.barrier(Without::GuestBarrier);
    }
}

fn index(gpa: u64) -> u16 {
    u16::try_from(gpa / 4).unwrap()
}

/// The host's end.
impl GuestMemory for Slot {
    fn read(&self, gpa: u64, dst: &mut [u8]) -> Result<(), MemoryError> {
        Words::read(self, index(gpa), dst);
        Ok(())
    }

    fn write(&self, gpa: u64, src: &[u8]) -> Result<(), MemoryError> {
        for (index, bytes) in (index(gpa)..).zip(src.chunks(4)) {
            self.set_word(index, u32::from_ne_bytes(bytes.try_into().unwrap()));
        }
        Ok(())
    }

    fn load_u32(&self, gpa: u64) -> Result<u32, MemoryError> {
        let word = &self.met[usize::from(index(gpa))];
        Ok(word.load(self.order(Without::HostAcquire, Ordering::Acquire)))
    }

    fn store_u32(&self, gpa: u64, value: u32) -> Result<(), MemoryError> {
        let word = &self.met[usize::from(index(gpa))];
        word.store(value, self.order(Without::HostRelease, Ordering::Release));
        Ok(())
    }

    fn fetch_or_u32(&self, gpa: u64, bits: u32) -> Result<u32, MemoryError> {
        let word = &self.met[usize::from(index(gpa))];
        Ok(word.fetch_or(bits, self.order(Without::HostRelease, Ordering::SeqCst)))
    }

    fn fence(&self) {
        self.barrier(Without::HostBarrier);
    }
}

const SINT: Sint = Sint::INTERCEPTION;

fn message(number: u32) -> Message {
    Message::new(MessageType::VMBUS, 0, &number.to_ne_bytes()).unwrap()
}

/// Every interleaving with at most this many preemptions, unless the environment says otherwise.
fn model() -> loom::model::Builder {
    let mut model = loom::model::Builder::new();
    model.preemption_bound.get_or_insert(3);
    model
}

/// The host sends two messages, and waits for an EOM when there is no room for the second.
fn two_messages(without: Without) {
    model().check(move || {
        let slot = Slot::new(without);
        let (interrupt, eom) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let host = thread::spawn({
            let (slot, interrupt, eom) = (slot.clone(), interrupt.clone(), eom.clone());
            move || {
                for number in [1, 2] {
                    while post_message(&*slot, 0, SINT, &message(number)) == Ok(Delivery::SlotBusy) {
                        eom.wait();
                    }
                    interrupt.notify();
                }
            }
        });
        for number in [1u32, 2] {
            let received = loop {
                match messages::take(&*slot, SINT) {
                    Some(received) => break received,
                    None => interrupt.wait(),
                }
            };
            assert_eq!(
                received.message.unwrap().payload(),
                Some(&number.to_ne_bytes()[..])
            );
            if received.eom.is_some() {
                eom.notify();
            }
        }
        host.join().unwrap();
    });
}

#[test]
fn two_messages_arrive() {
    two_messages(Without::Nothing);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_the_guests_barrier_the_host_waits_in_vain() {
    two_messages(Without::GuestBarrier);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_the_hosts_barrier_the_host_waits_in_vain() {
    two_messages(Without::HostBarrier);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn without_the_guests_acquire_a_message_is_read_before_it_is_there() {
    two_messages(Without::GuestAcquire);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn without_the_hosts_release_a_message_is_read_before_it_is_there() {
    two_messages(Without::HostRelease);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn without_the_guests_release_a_message_is_written_over_while_it_is_read() {
    two_messages(Without::GuestRelease);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn without_the_hosts_acquire_a_message_is_written_over_while_it_is_read() {
    two_messages(Without::HostAcquire);
}

/// The host signals two flags of one word, with something written before each.
fn two_flags(without: Without) {
    model().check(move || {
        let page = Slot::new(without);
        let news = Arc::new([0; 2].map(|_: u8| AtomicU32::new(0)));
        let host = thread::spawn({
            let (page, news) = (page.clone(), news.clone());
            move || {
                for flag in [0, 1] {
                    news[usize::from(flag)].store(1, Ordering::Relaxed);
                    assert_eq!(set_event_flag(&*page, 0, SINT, flag), Ok(true));
                }
            }
        });
        let mut taken = 0;
        let mut look = || {
            for flag in events::take(&*page, SINT) {
                taken += 1;
                assert_eq!(
                    news[usize::from(flag)].load(Ordering::Relaxed),
                    1,
                    "signalled, and nothing there"
                );
            }
        };
        look();
        host.join().unwrap();
        look();
        assert_eq!(taken, 2, "each flag once");
    });
}

#[test]
fn two_flags_arrive() {
    two_flags(Without::Nothing);
}

#[test]
#[should_panic(expected = "each flag once")]
fn without_an_atomic_exchange_a_flag_is_lost_or_doubled() {
    two_flags(Without::Atomicity);
}

#[test]
#[should_panic(expected = "nothing there")]
fn without_acquire_a_flag_comes_before_what_it_tells_of() {
    two_flags(Without::GuestAcquire);
}

#[test]
#[should_panic(expected = "nothing there")]
fn without_release_a_flag_comes_before_what_it_tells_of() {
    two_flags(Without::HostRelease);
}
