//! Against a plain queue, and against a peer that says anything.
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
