//! Frames waiting in order, in one block of memory.

use std::collections::VecDeque;

/// A bounded first-in-first-out queue of frames.
///
/// All frames lie one after the other in one allocation, which is kept: in steady state nothing is allocated per
/// frame, and a whole queue changes hands by swapping two values.
#[derive(Debug)]
pub struct Batch {
    bytes: Vec<u8>,
    /// Bytes at the start of `bytes` that belong to frames already taken.
    taken: usize,
    lengths: VecDeque<usize>,
    limit: Limit,
}

/// How much a [`Batch`] holds before it is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Frames.
    pub frames: usize,
    /// Bytes of all frames together.
    pub bytes: usize,
}

impl Batch {
    /// An empty queue. Memory is taken as it is needed, up to about twice the limit's bytes.
    #[must_use]
    pub fn new(limit: Limit) -> Self {
        Self {
            bytes: Vec::new(),
            taken: 0,
            lengths: VecDeque::new(),
            limit,
        }
    }

    /// Frames that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// Whether no frame waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Bytes of the frames that wait.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len() - self.taken
    }

    /// Whether one more frame of `len` bytes keeps within the limit.
    #[must_use]
    pub fn fits(&self, len: usize) -> bool {
        self.len() < self.limit.frames && self.bytes().saturating_add(len) <= self.limit.bytes
    }

    /// Appends a frame; false when that would go over the limit, and then nothing has changed.
    #[must_use]
    pub fn push(&mut self, frame: &[u8]) -> bool {
        if !self.fits(frame.len()) {
            return false;
        }
        self.compact();
        self.bytes.extend_from_slice(frame);
        self.lengths.push_back(frame.len());
        true
    }

    /// Appends a frame of `len` bytes that `fill` writes in place, whatever the limit says: the caller asked
    /// [`fits`](Self::fits) before.
    pub fn push_with<R>(&mut self, len: usize, fill: impl FnOnce(&mut [u8]) -> R) -> R {
        self.compact();
        let start = self.bytes.len();
        self.bytes.resize(start + len, 0);
        self.lengths.push_back(len);
        fill(self.bytes.get_mut(start..).unwrap_or_default())
    }

    /// The oldest frame, which stays in the queue.
    #[must_use]
    pub fn front(&self) -> Option<&[u8]> {
        let len = *self.lengths.front()?;
        self.bytes.get(self.taken..self.taken + len)
    }

    /// Removes the oldest frame.
    pub fn pop(&mut self) {
        if let Some(len) = self.lengths.pop_front() {
            self.taken += len;
            if self.lengths.is_empty() {
                self.clear();
            }
        }
    }

    /// All frames that wait, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.bytes.get(self.taken..).unwrap_or_default();
        self.lengths.iter().map_while(move |&len| {
            let (frame, tail) = rest.split_at_checked(len)?;
            rest = tail;
            Some(frame)
        })
    }

    /// Forgets every frame and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.lengths.clear();
        self.taken = 0;
    }

    /// A reader that never empties the queue would otherwise make it grow for ever. Moving the rest only when as
    /// much has been taken as may wait keeps the cost below one copy of each byte.
    fn compact(&mut self) {
        if self.taken >= self.limit.bytes.max(1) {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_leave_in_order_and_whole() {
        let mut batch = Batch::new(Limit {
            frames: 3,
            bytes: 100,
        });
        assert!(batch.push(b"one"));
        assert!(batch.push(b""));
        batch.push_with(5, |buffer| buffer.copy_from_slice(b"three"));
        assert_eq!(batch.iter().collect::<Vec<_>>(), [&b"one"[..], b"", b"three"]);
        assert_eq!((batch.len(), batch.bytes()), (3, 8));
        for expected in [&b"one"[..], b"", b"three"] {
            assert_eq!(batch.front(), Some(expected));
            batch.pop();
        }
        assert_eq!(batch.front(), None);
        batch.pop();
        assert!(batch.is_empty());
    }

    #[test]
    fn both_limits_hold() {
        let mut batch = Batch::new(Limit { frames: 2, bytes: 10 });
        assert!(!batch.push(&[0; 11]));
        assert!(batch.push(&[0; 6]));
        assert!(!batch.push(&[0; 5]));
        assert!(batch.push(&[0; 4]));
        assert!(!batch.push(b""));
        batch.pop();
        assert!(batch.push(b""));
    }

    #[test]
    fn memory_stays_bounded_when_the_queue_is_never_empty() {
        let mut batch = Batch::new(Limit {
            frames: 10,
            bytes: 1000,
        });
        assert!(batch.push(&[0; 100]));
        for round in 1..10_000_u32 {
            let frame = [round.to_le_bytes()[0]; 100];
            assert!(batch.push(&frame));
            batch.pop();
            assert_eq!(batch.front(), Some(&frame[..]));
        }
        assert!(
            batch.bytes.capacity() <= 4096,
            "grew to {}",
            batch.bytes.capacity()
        );
    }
}
