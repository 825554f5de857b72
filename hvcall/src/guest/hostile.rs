//! A host that writes into a page between any two accesses of the guest's.

#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]

use core::cell::{Cell, RefCell};
use std::vec::Vec;

use proptest::prelude::*;

use super::words::Words;
use super::{events, messages};
use crate::Sint;
use crate::synic::{EVENT_FLAG_COUNT, MESSAGE_PAYLOAD_MAX};

/// A slot of SINT 0, which the host changes before each access, and how often each word was loaded.
struct Slot {
    words: RefCell<Vec<u32>>,
    /// Words that the host writes, one before each access.
    script: RefCell<Vec<(usize, u32)>>,
    loads: RefCell<[u8; 64]>,
    /// All that were cleared, and what they were.
    cleared: Cell<u32>,
}

impl Slot {
    fn new(words: Vec<u32>, mut script: Vec<(usize, u32)>) -> Self {
        script.reverse();
        Self {
            words: RefCell::new(words),
            script: RefCell::new(script),
            loads: RefCell::new([0; 64]),
            cleared: Cell::new(0),
        }
    }

    fn access(&self, index: u16) -> usize {
        if let Some((at, value)) = self.script.borrow_mut().pop() {
            self.words.borrow_mut()[at] = value;
        }
        usize::from(index)
    }
}

impl Words for Slot {
    fn load(&self, index: u16) -> u32 {
        let at = self.access(index);
        self.loads.borrow_mut()[at] += 1;
        self.words.borrow()[at]
    }

    fn load_acquire(&self, index: u16) -> u32 {
        self.load(index)
    }

    fn store_release(&self, index: u16, value: u32) {
        let at = self.access(index);
        self.words.borrow_mut()[at] = value;
    }

    fn clear_bits(&self, index: u16, mask: u32) -> u32 {
        let at = self.access(index);
        let word = self.words.borrow()[at];
        self.words.borrow_mut()[at] = word & !mask;
        self.cleared.set(self.cleared.get() + word.count_ones());
        word
    }

    fn read(&self, index: u16, dst: &mut [u8]) {
        for (index, bytes) in (index..).zip(dst.chunks_mut(4)) {
            bytes.copy_from_slice(&self.load(index).to_ne_bytes());
        }
    }

    fn fence(&self) {}
}

/// Words, and what the host writes: mostly into the first, which are type, size and flags.
fn page() -> impl Strategy<Value = (Vec<u32>, Vec<(usize, u32)>)> {
    let word = || prop_oneof![Just(0), Just(1), 0..0x400u32, any::<u32>()];
    let at = prop_oneof![0..4usize, 0..64usize];
    (
        proptest::collection::vec(word(), 64),
        proptest::collection::vec((at, word()), 0..80),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The message is judged by the copy: its size is what was read once, whatever stands in the slot since.
    #[test]
    fn case_08_a_slot_that_changes_between_two_reads_is_a_message_or_a_fault((words, script) in page()) {
        let slot = Slot::new(words, script);
        let received = messages::take(&slot, Sint::INTERCEPTION);
        let loads = *slot.loads.borrow();
        let Some(received) = received else {
            prop_assert_eq!(loads[0], 1);
            prop_assert_eq!(loads.iter().map(|loads| u32::from(*loads)).sum::<u32>(), 1);
            return Ok(());
        };
        // Each word once, but for size and flags, which are looked at again when the slot is free.
        let twice = core::array::from_fn(|at| 1 + u8::from(at == 1));
        prop_assert_eq!(loads, twice);
        if let Ok(message) = received.message {
            let len = message.payload().unwrap().len();
            prop_assert!(len <= MESSAGE_PAYLOAD_MAX && message.header.message_type.get() != 0);
            prop_assert!(message.payload[len..].iter().all(|byte| *byte == 0));
        }
    }

    /// What is taken is what was cleared, neither more nor less.
    #[test]
    fn case_08_flags_that_change_between_two_reads_are_taken_once((words, script) in page()) {
        let slot = Slot::new(words, script);
        let taken: Vec<_> = events::take(&slot, Sint::INTERCEPTION).collect();
        prop_assert_eq!(taken.len(), usize::try_from(slot.cleared.get()).unwrap());
        prop_assert!(taken.is_sorted() && taken.iter().all(|flag| *flag < EVENT_FLAG_COUNT));
    }
}
