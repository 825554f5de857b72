//! The arithmetic of the indices, apart from memory.
//!
//! [`Span`] is the data area as a circle of bytes; [`Sender`] and [`Receiver`] are what each end knows: its own index,
//! which nobody else can change, how far that is published, and what it last saw of the peer's. They tell what fits,
//! what moved, and when the other end has to be signalled. Nothing here reads memory, so that everything here can be
//! tested against a plain queue.

use crate::fault::RingFault;

/// Length of a ring's data area, and the arithmetic of positions in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    len: u32,
}

impl Span {
    /// The smallest ring: one packet without payload takes 24 bytes, and one unit stays free.
    pub const MIN_LEN: u32 = 32;
    /// The largest ring, so that a position and a length add up in 32 bits.
    pub const MAX_LEN: u32 = 1 << 31;

    /// A data area of `len` bytes: a multiple of 8, from [`MIN_LEN`](Self::MIN_LEN) to [`MAX_LEN`](Self::MAX_LEN).
    pub const fn new(len: u32) -> Result<Self, RingFault> {
        if len.is_multiple_of(8) && len >= Self::MIN_LEN && len <= Self::MAX_LEN {
            Ok(Self { len })
        } else {
            Err(RingFault::DataLen { len })
        }
    }

    /// Bytes of the data area.
    #[inline]
    pub const fn len(self) -> u32 {
        self.len
    }

    /// Whether the data area is empty: it never is.
    #[inline]
    pub const fn is_empty(self) -> bool {
        false
    }

    /// The most that one packet with its trailer can take: a full ring looks like an empty one, so 8 bytes stay free.
    #[inline]
    pub const fn max_packet(self) -> u32 {
        self.len.wrapping_sub(8)
    }

    /// Whether `index` is a position where a packet can start.
    #[inline]
    pub const fn holds(self, index: u32) -> bool {
        index < self.len && index & 7 == 0
    }

    /// Bytes between the read and the write index. Both must be [held](Self::holds).
    #[inline]
    pub const fn used(self, write: u32, read: u32) -> u32 {
        let distance = write.wrapping_sub(read);
        if write >= read {
            distance
        } else {
            distance.wrapping_add(self.len)
        }
    }

    /// Bytes that are not used. Both indices must be [held](Self::holds). At least 8.
    #[inline]
    pub const fn free(self, write: u32, read: u32) -> u32 {
        self.len.wrapping_sub(self.used(write, read))
    }

    /// The position `by` bytes after `index`, with `index` below the length and `by` at most the length.
    #[inline]
    pub const fn advance(self, index: u32, by: u32) -> u32 {
        let end = index.wrapping_add(by);
        if end >= self.len {
            end.wrapping_sub(self.len)
        } else {
            end
        }
    }

    /// Whether a receiver that moved its read index from `from` to `to` has to signal a sender that waits for `pending`
    /// bytes. `write` is the write index as read *after* the pending send size.
    ///
    /// Senders do not agree on what they wait for. Linux goes on when more than `pending` bytes are free, QEMU
    /// when at least `pending` are, and Windows sets the ring's size less one for "all of it". So the low 3 bits do not
    /// count, both ways of crossing do, and what is more than the whole ring means the whole ring.
    pub const fn room_crossed(self, write: u32, from: u32, to: u32, pending: u32) -> bool {
        if pending == 0 {
            return false;
        }
        let wanted = if pending > self.len {
            self.len
        } else {
            pending & !7
        };
        self.free(write, from) <= wanted && self.free(write, to) >= wanted
    }
}

/// The sending end's indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    span: Span,
    next: u32,
    published: u32,
    peer_read: u32,
    /// From `next` to `peer_read`; 0 in a corrupt ring, where nothing fits any more.
    free: u32,
}

/// What [`Sender::publish`] and [`Receiver::release`] moved: the index to store, and the one that it replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The index as the peer last saw it.
    pub from: u32,
    /// The index that the peer is to see now.
    pub to: u32,
}

impl Sender {
    /// The sending end of a ring whose indices are `write` and `read` now.
    ///
    /// # Errors
    ///
    /// An index that is no position in `span`.
    pub const fn new(span: Span, write: u32, read: u32) -> Result<Self, RingFault> {
        if !span.holds(write) {
            return Err(RingFault::WriteIndex {
                index: write,
                data_len: span.len,
            });
        }
        if !span.holds(read) {
            return Err(RingFault::ReadIndex {
                index: read,
                data_len: span.len,
            });
        }
        Ok(Self {
            span,
            next: write,
            published: write,
            peer_read: read,
            free: span.free(write, read),
        })
    }

    /// The data area.
    #[inline]
    pub const fn span(&self) -> Span {
        self.span
    }

    /// Where the next packet starts.
    #[inline]
    pub const fn next(&self) -> u32 {
        self.next
    }

    /// Bytes that are free for all that this end knows; there may be more.
    #[inline]
    pub const fn free(&self) -> u32 {
        self.free
    }

    /// Whether a packet that takes `needed` bytes fits for all that this end knows.
    #[inline]
    pub const fn fits(&self, needed: u32) -> bool {
        self.free > needed
    }

    /// Takes `needed` bytes, which must [fit](Self::fits).
    #[inline]
    pub const fn take(&mut self, needed: u32) {
        self.next = self.span.advance(self.next, needed);
        self.free = self.free.wrapping_sub(needed);
    }

    /// Whether packets were taken that are not published.
    #[inline]
    pub const fn has_unpublished(&self) -> bool {
        self.next != self.published
    }

    /// Publishes what was taken. `None` if that is nothing.
    #[inline]
    pub const fn publish(&mut self) -> Option<Moved> {
        if self.next == self.published {
            return None;
        }
        let moved = Moved {
            from: self.published,
            to: self.next,
        };
        self.published = self.next;
        Some(moved)
    }

    /// Gives back what was taken and not published.
    #[inline]
    pub const fn abandon(&mut self) {
        if self.next != self.published {
            self.next = self.published;
            self.free = self.span.free(self.next, self.peer_read);
        }
    }

    /// Gives back what was not published, and lets nothing fit any more: the ring is corrupt.
    pub const fn poison(&mut self) {
        self.next = self.published;
        self.free = 0;
    }

    /// Takes note of the peer's read index.
    ///
    /// # Errors
    ///
    /// An index that is no position, or that moved otherwise than forwards, up to what is published.
    #[inline]
    pub const fn observe_read(&mut self, read: u32) -> Result<(), RingFault> {
        if !self.span.holds(read) {
            return Err(RingFault::ReadIndex {
                index: read,
                data_len: self.span.len,
            });
        }
        let free = self.span.free(self.next, read);
        // What is not published was not read. The first test spares the usual case the second.
        let unread = self.next != self.published && free > self.span.free(self.next, self.published);
        if free < self.free || unread {
            return Err(RingFault::ReadIndexMoved {
                from: self.peer_read,
                to: read,
                written: self.published,
            });
        }
        self.peer_read = read;
        self.free = free;
        Ok(())
    }

    /// Whether the peer had read all that was published before `moved`: it may sleep, and is to be signalled. To be
    /// asked once the peer's read index was [observed](Self::observe_read) after a full barrier after publishing.
    #[inline]
    pub const fn was_empty(&self, moved: Moved) -> bool {
        self.peer_read == moved.from
    }
}

/// The receiving end's indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receiver {
    span: Span,
    next: u32,
    released: u32,
    /// From `next` to the peer's write index as it was last seen.
    available: u32,
}

impl Receiver {
    /// The receiving end of a ring whose indices are `write` and `read` now.
    ///
    /// # Errors
    ///
    /// An index that is no position in `span`.
    pub const fn new(span: Span, write: u32, read: u32) -> Result<Self, RingFault> {
        if !span.holds(read) {
            return Err(RingFault::ReadIndex {
                index: read,
                data_len: span.len,
            });
        }
        if !span.holds(write) {
            return Err(RingFault::WriteIndex {
                index: write,
                data_len: span.len,
            });
        }
        Ok(Self {
            span,
            next: read,
            released: read,
            available: span.used(write, read),
        })
    }

    /// The data area.
    #[inline]
    pub const fn span(&self) -> Span {
        self.span
    }

    /// Where the next packet starts.
    #[inline]
    pub const fn next(&self) -> u32 {
        self.next
    }

    /// Bytes that can be read for all that this end knows; there may be more.
    #[inline]
    pub const fn available(&self) -> u32 {
        self.available
    }

    /// Takes `len` bytes, of those that are [available](Self::available).
    #[inline]
    pub const fn take(&mut self, len: u32) {
        self.next = self.span.advance(self.next, len);
        self.available = self.available.wrapping_sub(len);
    }

    /// Whether packets were taken that are not released.
    #[inline]
    pub const fn has_unreleased(&self) -> bool {
        self.next != self.released
    }

    /// Bytes that were taken and are not released.
    #[inline]
    pub const fn unreleased(&self) -> u32 {
        self.span.used(self.next, self.released)
    }

    /// Releases what was taken. `None` if that is nothing.
    #[inline]
    pub const fn release(&mut self) -> Option<Moved> {
        if self.next == self.released {
            return None;
        }
        let moved = Moved {
            from: self.released,
            to: self.next,
        };
        self.released = self.next;
        Some(moved)
    }

    /// Lets nothing be available or released any more: the ring is corrupt.
    pub const fn poison(&mut self) {
        self.released = self.next;
        self.available = 0;
    }

    /// Takes note of the peer's write index.
    ///
    /// # Errors
    ///
    /// An index that is no position, or that moved otherwise than forwards, up to what is released.
    #[inline]
    pub const fn observe_write(&mut self, write: u32) -> Result<(), RingFault> {
        if !self.span.holds(write) {
            return Err(RingFault::WriteIndex {
                index: write,
                data_len: self.span.len,
            });
        }
        let available = self.span.used(write, self.next);
        // What is not released was not written over. The first test spares the usual case the second.
        let overrun = self.next != self.released
            && available
                > self
                    .span
                    .max_packet()
                    .wrapping_sub(self.span.used(self.next, self.released));
        if available < self.available || overrun {
            return Err(RingFault::WriteIndexMoved {
                from: self.span.advance(self.next, self.available),
                to: write,
                read: self.released,
            });
        }
        self.available = available;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, reason = "small numbers of the tests' own")]

    use std::collections::VecDeque;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    /// What the two ends do, in any order.
    #[derive(Clone, Copy, Debug)]
    enum Step {
        /// The sender takes room for a packet of so many units of 8, if it knows of enough.
        Send(u32),
        Abandon,
        Publish,
        /// The sender looks at what the receiver released.
        SeeRead,
        /// The receiver looks at what the sender published.
        SeeWrite,
        /// The receiver takes a packet that it knows of.
        Receive,
        Release,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (3..20u32).prop_map(Step::Send),
            1 => Just(Step::Abandon),
            3 => Just(Step::Publish),
            2 => Just(Step::SeeRead),
            2 => Just(Step::SeeWrite),
            4 => Just(Step::Receive),
            2 => Just(Step::Release),
        ]
    }

    /// The naive ring: packets in queues, and counts of bytes that never wrap.
    #[derive(Default)]
    struct Naive {
        taken: VecDeque<u32>,
        published: VecDeque<u32>,
        sent: u64,
        published_bytes: u64,
        received: u64,
        released: u64,
        /// What each end last saw of the other.
        seen_read: u64,
        seen_write: u64,
    }

    proptest! {
        #[test]
        fn both_ends_agree_with_a_naive_queue(
            len in (4..40u32).prop_map(|units| units * 8),
            start in 0..40u32,
            steps in prop::collection::vec(step(), 1..300),
        ) {
            let span = Span::new(len).unwrap();
            let start = start * 8 % len;
            let at = |count: u64| u32::try_from((u64::from(start) + count) % u64::from(len)).unwrap();
            let mut sender = Sender::new(span, start, start).unwrap();
            let mut receiver = Receiver::new(span, start, start).unwrap();
            let mut naive = Naive::default();
            // What stands in the control page.
            let (mut write, mut read) = (start, start);
            for step in steps {
                match step {
                    Step::Send(units) => {
                        let needed = units * 8;
                        let fits = naive.sent + u64::from(needed) < naive.seen_read + u64::from(len);
                        prop_assert_eq!(sender.fits(needed), fits);
                        if fits {
                            prop_assert_eq!(sender.next(), at(naive.sent));
                            sender.take(needed);
                            naive.taken.push_back(needed);
                            naive.sent += u64::from(needed);
                        }
                    }
                    Step::Abandon => {
                        sender.abandon();
                        naive.taken.clear();
                        naive.sent = naive.published_bytes;
                    }
                    Step::Publish => {
                        let expected = (naive.sent != naive.published_bytes)
                            .then(|| Moved { from: at(naive.published_bytes), to: at(naive.sent) });
                        prop_assert_eq!(sender.publish(), expected);
                        write = sender.next();
                        naive.published.append(&mut naive.taken);
                        naive.published_bytes = naive.sent;
                    }
                    Step::SeeRead => {
                        prop_assert_eq!(sender.observe_read(read), Ok(()));
                        naive.seen_read = naive.released;
                    }
                    Step::SeeWrite => {
                        prop_assert_eq!(receiver.observe_write(write), Ok(()));
                        naive.seen_write = naive.published_bytes;
                    }
                    Step::Receive => {
                        prop_assert_eq!(u64::from(receiver.available()), naive.seen_write - naive.received);
                        if receiver.available() > 0 {
                            prop_assert_eq!(receiver.next(), at(naive.received));
                            let packet = naive.published.pop_front().unwrap();
                            receiver.take(packet);
                            naive.received += u64::from(packet);
                        }
                    }
                    Step::Release => {
                        let expected = (naive.received != naive.released)
                            .then(|| Moved { from: at(naive.released), to: at(naive.received) });
                        prop_assert_eq!(receiver.release(), expected);
                        read = receiver.next();
                        naive.released = naive.received;
                    }
                }
                prop_assert_eq!(u64::from(sender.free()), u64::from(len) - (naive.sent - naive.seen_read));
                prop_assert_eq!(sender.has_unpublished(), naive.sent != naive.published_bytes);
                prop_assert_eq!(receiver.has_unreleased(), naive.received != naive.released);
                prop_assert_eq!(u64::from(receiver.unreleased()), naive.received - naive.released);
            }
        }

        #[test]
        fn only_what_an_honest_peer_could_publish_is_believed(
            len in (4..20u32).prop_map(|units| units * 8),
            start in 0..20u32,
            before in 0..20u32,
            sent in 0..20u32,
            unpublished in 0..20u32,
            index in 0..200u32,
        ) {
            let span = Span::new(len).unwrap();
            let start = start * 8 % len;
            // The receiver has read `before` units, then `sent` were published, and `unpublished` not.
            let mut sender = Sender::new(span, start, start).unwrap();
            let take = |sender: &mut Sender, units: u32| {
                if sender.fits(units * 8) {
                    sender.take(units * 8);
                }
            };
            take(&mut sender, before);
            sender.publish();
            let read = sender.next();
            prop_assert_eq!(sender.observe_read(read), Ok(()));
            take(&mut sender, sent);
            sender.publish();
            take(&mut sender, unpublished);
            let honest: Vec<u32> =
                (0..=sender.span().used(sender.published, sender.peer_read) / 8)
                    .map(|units| span.advance(sender.peer_read, units * 8))
                    .collect();
            let kept = sender;
            let believed = sender.observe_read(index).is_ok();
            prop_assert_eq!(believed, honest.contains(&index));
            if !believed {
                prop_assert_eq!(sender, kept);
            }
        }

        #[test]
        fn only_packets_that_fit_are_believed_to_be_written(
            len in (4..20u32).prop_map(|units| units * 8),
            start in 0..20u32,
            known in 0..20u32,
            taken in 0..20u32,
            index in 0..200u32,
        ) {
            let span = Span::new(len).unwrap();
            let start = start * 8 % len;
            let (known, taken) = (known * 8 % len, (taken * 8 % len).min(known * 8 % len));
            let mut receiver = Receiver::new(span, span.advance(start, known), start).unwrap();
            receiver.take(taken);
            // From what is known up to all but 8 bytes of the ring, counted from what is not released.
            let honest: Vec<u32> =
                (known / 8..=span.max_packet() / 8).map(|units| span.advance(start, units * 8)).collect();
            let kept = receiver;
            let believed = receiver.observe_write(index).is_ok();
            prop_assert_eq!(believed, honest.contains(&index));
            if !believed {
                prop_assert_eq!(receiver, kept);
            }
        }

        /// Whatever a sender compares its free bytes with, it is signalled when that comes to hold.
        #[test]
        fn no_kind_of_sender_waits_in_vain(
            len in (4..40u32).prop_map(|units| units * 8),
            write in 0..40u32,
            from in 0..40u32,
            by in 1..40u32,
            pending in 1..400u32,
        ) {
            let span = Span::new(len).unwrap();
            let (write, from) = (write * 8 % len, from * 8 % len);
            let by = by * 8;
            if by > span.used(write, from) {
                return Ok(());
            }
            let to = span.advance(from, by);
            let (before, after) = (span.free(write, from), span.free(write, to));
            let signalled = span.room_crossed(write, from, to, pending);
            let more = |free: u32| free > pending;
            let at_least = |free: u32| free >= pending;
            let masked = |free: u32| free - 8 >= pending & !7;
            let all = |free: u32| free == len;
            for satisfied in [&more as &dyn Fn(u32) -> bool, &at_least, &masked] {
                if !satisfied(before) && satisfied(after) {
                    prop_assert!(signalled);
                }
            }
            // One less than the ring, or anything larger, means all of it.
            if pending >= len - 1 && !all(before) && all(after) {
                prop_assert!(signalled);
            }
            // And it is not woken when nothing changed for it: the room was there, or is still missing.
            let wanted = pending & !7;
            if before > wanted.min(len) || after < wanted.min(len) {
                prop_assert!(!signalled);
            }
        }
    }

    #[test]
    fn lengths_that_are_no_ring_are_refused() {
        for len in [0, 8, 24, 31, 4095, 4097, 4100, Span::MAX_LEN + 8, u32::MAX] {
            assert_eq!(Span::new(len), Err(RingFault::DataLen { len }));
        }
        for len in [32, 4096, 3 * 4096, Span::MAX_LEN] {
            assert_eq!(Span::new(len).map(Span::len), Ok(len));
        }
    }

    #[test]
    fn positions_add_up_in_the_largest_ring() {
        let span = Span::new(Span::MAX_LEN).unwrap();
        assert_eq!(span.advance(Span::MAX_LEN - 8, Span::MAX_LEN), Span::MAX_LEN - 8);
        assert_eq!(span.used(0, 8), Span::MAX_LEN - 8);
    }
}
