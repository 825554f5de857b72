//! What the tests of both ends use.

extern crate std;

use std::cell::RefCell;
use std::rc::Rc;
use std::vec;
use std::vec::Vec;

use vmbus_ringbuf::{ControlWord, RingMem};

/// A generator that is the same everywhere.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) % sides
    }
}

/// One ring, in memory of the test.
#[derive(Clone)]
pub(crate) struct Ring(Rc<RefCell<Vec<u8>>>);

impl Ring {
    pub(crate) fn new(pages: u32) -> Self {
        Self(Rc::new(RefCell::new(vec![0; pages as usize * 4096])))
    }

    fn word(word: ControlWord) -> usize {
        match word {
            ControlWord::WriteIndex => 0,
            ControlWord::ReadIndex => 4,
            ControlWord::InterruptMask => 8,
            ControlWord::PendingSendSize => 12,
            ControlWord::FeatureBits => 64,
        }
    }
}

impl RingMem for Ring {
    fn data_len(&self) -> u32 {
        u32::try_from(self.0.borrow().len()).unwrap() - 4096
    }

    fn load(&self, word: ControlWord) -> u32 {
        let at = Self::word(word);
        u32::from_le_bytes(self.0.borrow()[at..at + 4].try_into().unwrap())
    }

    fn store(&self, word: ControlWord, value: u32) {
        let at = Self::word(word);
        self.0.borrow_mut()[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    fn fence(&self) {}

    fn read(&self, offset: u32, dst: &mut [u8]) {
        let (memory, len) = (self.0.borrow(), self.data_len() as usize);
        for (index, byte) in dst.iter_mut().enumerate() {
            *byte = memory[4096 + (offset as usize + index) % len];
        }
    }

    fn write(&self, offset: u32, src: &[u8]) {
        let len = self.data_len() as usize;
        let mut memory = self.0.borrow_mut();
        for (index, byte) in src.iter().enumerate() {
            memory[4096 + (offset as usize + index) % len] = *byte;
        }
    }
}
