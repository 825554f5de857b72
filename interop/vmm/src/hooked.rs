//! A ring that somebody stands beside: a gate of `faults`, or the trace.

use std::cell::OnceCell;
use vmbus_proto::ringbuf::{ControlWord, RingMem};

/// Who stands beside a ring, and sees what the device does with it.
pub trait Hook {
    /// The device loads a word of the control page; gives what it gets to see in place of `value`.
    fn load(&self, _ring: &dyn RingMem, _word: ControlWord, value: u32) -> u32 {
        value
    }

    /// It is about to store a word of the control page.
    fn store(&self, _ring: &dyn RingMem, _word: ControlWord, _value: u32) {}

    /// It has read what starts a packet.
    fn read_head(&self, _ring: &dyn RingMem, _offset: u32, _head: [u64; 2]) {}
}

/// A ring that can have a hook.
#[derive(Debug)]
pub struct HookedRing<R, H> {
    ring: R,
    hook: OnceCell<H>,
}

impl<R: RingMem, H: Hook> HookedRing<R, H> {
    /// A ring without a hook.
    pub fn new(ring: R) -> Self {
        Self {
            ring,
            hook: OnceCell::new(),
        }
    }

    /// The ring without the hook.
    pub(crate) fn ring(&self) -> &R {
        &self.ring
    }

    /// Has the hook see the ring from now on, unless there is one.
    pub(crate) fn attach(&self, hook: H) {
        let _attached = self.hook.set(hook);
    }
}

impl<R: RingMem, H: Hook> RingMem for HookedRing<R, H> {
    fn data_len(&self) -> u32 {
        self.ring.data_len()
    }

    fn load(&self, word: ControlWord) -> u32 {
        let value = self.ring.load(word);
        match self.hook.get() {
            Some(hook) => hook.load(&self.ring, word, value),
            None => value,
        }
    }

    fn store(&self, word: ControlWord, value: u32) {
        if let Some(hook) = self.hook.get() {
            hook.store(&self.ring, word, value);
        }
        self.ring.store(word, value);
    }

    fn store_fence(&self, word: ControlWord, value: u32) {
        if let Some(hook) = self.hook.get() {
            hook.store(&self.ring, word, value);
        }
        self.ring.store_fence(word, value);
    }

    fn fence(&self) {
        self.ring.fence();
    }

    fn read(&self, offset: u32, dst: &mut [u8]) {
        self.ring.read(offset, dst);
    }

    fn write(&self, offset: u32, src: &[u8]) {
        self.ring.write(offset, src);
    }

    fn read_head(&self, offset: u32) -> [u64; 2] {
        let head = self.ring.read_head(offset);
        if let Some(hook) = self.hook.get() {
            hook.read_head(&self.ring, offset, head);
        }
        head
    }

    fn write_word(&self, offset: u32, value: u64) {
        self.ring.write_word(offset, value);
    }

    fn write_head(&self, offset: u32, words: [u64; 2]) {
        self.ring.write_head(offset, words);
    }

    fn write_packet(&self, offset: u32, head: [u64; 2], payload: &[u8], trailer: u64) {
        self.ring.write_packet(offset, head, payload, trailer);
    }
}
