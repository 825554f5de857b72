//! The floor of what one thread does: the same copies and barriers, without a protocol.

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering, fence};

/// Copies of so many bytes into memory and out of it again, by one thread, as packets of a ring are: one after the other, round and round
/// in `LEN` bytes.
pub(crate) struct Copies<const LEN: usize> {
    memory: Vec<u8>,
    /// The writer's index, then the reader's.
    indices: [AtomicU32; 2],
    payload: Vec<u8>,
    scratch: Vec<u8>,
    /// From the start of one to the start of the next.
    step: usize,
    write: usize,
    read: usize,
}

impl<const LEN: usize> Copies<LEN> {
    /// Copies of `size` bytes that are `step` bytes apart.
    pub(crate) fn new(size: usize, step: usize) -> Self {
        Self {
            memory: vec![0; LEN],
            indices: [const { AtomicU32::new(0) }; 2],
            payload: vec![0xa5; size],
            scratch: vec![0; size],
            step,
            write: 0,
            read: 0,
        }
    }

    fn next(&self, at: usize) -> usize {
        let next = at + self.step;
        if next + self.step > LEN { 0 } else { next }
    }

    /// Copies in.
    pub(crate) fn put(&mut self) {
        let payload = black_box(self.payload.as_slice());
        self.memory[self.write..][..payload.len()].copy_from_slice(payload);
        self.write = self.next(self.write);
    }

    /// Copies out.
    pub(crate) fn take(&mut self) {
        let scratch = black_box(self.scratch.as_mut_slice());
        scratch.copy_from_slice(&self.memory[self.read..][..scratch.len()]);
        black_box(scratch);
        self.read = self.next(self.read);
    }

    /// What a sender does once a batch: stores its index, and passes a barrier.
    pub(crate) fn publish(&self) {
        publish(&self.indices[0], self.write);
    }

    /// What a receiver does once a batch.
    pub(crate) fn release(&self) {
        publish(&self.indices[1], self.read);
    }

    /// A batch of them, in and out.
    pub(crate) fn batch(&mut self, batch: u64) {
        (0..batch).for_each(|_| self.put());
        self.publish();
        (0..batch).for_each(|_| self.take());
        self.release();
    }
}

/// Tells the other end how far this one is, and passes the barrier that has to stand before a look at whether that sleeps.
pub(crate) fn publish(index: &AtomicU32, value: usize) {
    index.store(u32::try_from(value).unwrap(), Ordering::Release);
    fence(Ordering::SeqCst);
}
