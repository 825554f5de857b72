//! Delivery of messages and events to guests that take them at the same time.

use std::cell::Cell;
use std::sync::atomic::{Ordering, fence};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::support::{FakeMemory, Watched};
use hvcall::host::synic::{Delivery, EventFlagError, post_message, set_event_flag};
use hvcall::synic::{Message, MessageError, MessageFlags, MessageType};
use hvcall::{GuestMemory, MemoryError, Sint};
use proptest::prelude::*;
use zerocopy::FromZeros;

const SIMP: u64 = 0x7000;
const SLOT: u64 = SIMP + 2 * 256;

fn message(payload: &[u8]) -> Message {
    Message::new(MessageType::VMBUS, 4, payload).unwrap()
}

fn slot(memory: &FakeMemory) -> Message {
    let mut message = Message::new_zeroed();
    memory
        .read(SLOT, zerocopy::IntoBytes::as_mut_bytes(&mut message))
        .unwrap();
    message
}

fn pending(memory: &FakeMemory) -> bool {
    slot(memory).header.flags.contains(MessageFlags::PENDING)
}

#[test]
fn a_free_slot_takes_a_message() {
    let memory = FakeMemory::new(SIMP, 1);
    memory.write(SLOT + 4, &[0xee; 252]).unwrap();
    assert_eq!(
        post_message(&memory, SIMP, Sint::VMBUS, &message(b"abc")),
        Ok(Delivery::Delivered)
    );
    assert_eq!(slot(&memory), message(b"abc"));
    assert_eq!(slot(&memory).payload(), Some(&b"abc"[..]));
}

#[test]
fn a_busy_slot_keeps_its_message_and_tells_of_more() {
    let memory = FakeMemory::new(SIMP, 1);
    assert_eq!(
        post_message(&memory, SIMP, Sint::VMBUS, &message(b"abc")),
        Ok(Delivery::Delivered)
    );
    assert_eq!(
        post_message(&memory, SIMP, Sint::VMBUS, &message(b"def")),
        Ok(Delivery::SlotBusy)
    );
    assert_eq!(slot(&memory).payload(), Some(&b"abc"[..]));
    assert!(pending(&memory));
    memory.store_u32(SLOT, 0).unwrap();
    assert_eq!(
        post_message(&memory, SIMP, Sint::VMBUS, &message(b"def")),
        Ok(Delivery::Delivered)
    );
    assert_eq!(slot(&memory), message(b"def"));
}

#[test]
fn each_sint_has_its_own_slot() {
    let memory = FakeMemory::new(SIMP, 1);
    for sint in Sint::all() {
        let delivery = post_message(&memory, SIMP, sint, &message(&[sint.number()]));
        assert_eq!(delivery, Ok(Delivery::Delivered));
    }
    for sint in 0..16u8 {
        let mut byte = [0];
        memory.read(SIMP + u64::from(sint) * 256 + 16, &mut byte).unwrap();
        assert_eq!(byte, [sint]);
    }
}

#[test]
fn a_page_that_is_not_memory_is_an_error() {
    let memory = FakeMemory::new(SIMP, 1);
    for simp in [SIMP + 0x1000, SIMP - 0x1000, !0xfff, u64::MAX, SIMP + 2] {
        assert!(
            post_message(&memory, simp, Sint::VMBUS, &message(b"")).is_err(),
            "{simp:#x}"
        );
        let flag = set_event_flag(&memory, simp, Sint::VMBUS, 0);
        assert!(matches!(flag, Err(EventFlagError::Memory(_))), "{simp:#x}");
    }
    let odd_end = FakeMemory::new(SLOT - 0xf00, 1);
    let delivery = post_message(&odd_end, SIMP, Sint::new(3).unwrap(), &message(b""));
    assert!(matches!(delivery, Err(MemoryError { .. })));
}

#[test]
fn a_message_has_a_type_and_at_most_240_bytes() {
    assert_eq!(Message::new(MessageType::NONE, 0, b""), Err(MessageError::NoType));
    let too_long = Message::new(MessageType::VMBUS, 0, &[0; 241]);
    assert_eq!(too_long, Err(MessageError::PayloadTooLong { len: 241 }));
    let mut message = message(&[7; 240]);
    assert_eq!(message.payload(), Some(&[7; 240][..]));
    message.header.payload_size = 241;
    assert_eq!(message.payload(), None);
}

/// Runs every interleaving of a post to a busy slot with a guest that is done with the message there.
#[test]
fn a_guest_that_clears_the_slot_meanwhile_is_not_waited_for_in_vain() {
    const MORE_THAN_THE_HOSTS_ACCESSES: usize = 9;
    let (mut busy, mut delivered) = (0, 0);
    for clears_at in 0..MORE_THAN_THE_HOSTS_ACCESSES {
        for looks_at in clears_at..MORE_THAN_THE_HOSTS_ACCESSES {
            let memory = FakeMemory::new(SIMP, 1);
            assert_eq!(
                post_message(&memory, SIMP, Sint::VMBUS, &message(b"1")),
                Ok(Delivery::Delivered)
            );
            let (access, eom) = (Cell::new(0), Cell::new(false));
            let clear = || memory.store_u32(SLOT, 0).unwrap();
            let look = || eom.set(pending(&memory));
            let steps: [(usize, &dyn Fn()); 2] = [(clears_at, &clear), (looks_at, &look)];
            let next = Cell::new(0);
            let run_guest_until = |now: usize| {
                while let Some((_, step)) = steps.get(next.get()).filter(|(at, _)| *at <= now) {
                    next.set(next.get() + 1);
                    step();
                }
            };
            let before_access = || {
                run_guest_until(access.get());
                access.set(access.get() + 1);
            };
            let watched = Watched {
                memory: &memory,
                before_access,
            };
            let delivery = post_message(&watched, SIMP, Sint::VMBUS, &message(b"2")).unwrap();
            assert!(access.get() < MORE_THAN_THE_HOSTS_ACCESSES);
            match delivery {
                Delivery::SlotBusy => {
                    run_guest_until(usize::MAX);
                    assert!(
                        eom.get(),
                        "clears at {clears_at}, looks at {looks_at}: the EOM never comes"
                    );
                    busy += 1;
                }
                Delivery::Delivered => {
                    assert_eq!(slot(&memory).payload(), Some(&b"2"[..]));
                    assert_eq!(slot(&memory).message_type(), MessageType::VMBUS);
                    delivered += 1;
                }
            }
        }
    }
    assert!(busy > 0 && delivered > 0);
}

/// The message has to stand there before its type does.
#[test]
fn a_guest_that_looks_at_any_moment_sees_no_half_message() {
    let memory = FakeMemory::new(SIMP, 1);
    let before_access = || {
        let seen = slot(&memory);
        assert!(seen.message_type() == MessageType::NONE || seen == message(b"whole"));
    };
    let watched = Watched {
        memory: &memory,
        before_access,
    };
    assert_eq!(
        post_message(&watched, SIMP, Sint::VMBUS, &message(b"whole")),
        Ok(Delivery::Delivered)
    );
}

/// Two threads: every message arrives, once and in order, and none is left waiting.
#[test]
fn a_stream_of_messages_arrives_in_order() {
    const COUNT: u32 = 20_000;
    const HUNG: Duration = Duration::from_secs(60);
    let memory = FakeMemory::new(SIMP, 1);
    let (interrupt, interrupts) = mpsc::channel();
    let (eom, eoms) = mpsc::channel();
    thread::scope(|scope| {
        let memory = &memory;
        scope.spawn(move || {
            for n in 0..COUNT {
                while post_message(memory, SIMP, Sint::VMBUS, &message(&n.to_le_bytes()))
                    == Ok(Delivery::SlotBusy)
                {
                    eoms.recv_timeout(HUNG).unwrap();
                }
                interrupt.send(()).unwrap();
            }
        });
        for n in 0..COUNT {
            interrupts.recv_timeout(HUNG).unwrap();
            assert_eq!(memory.load_u32(SLOT), Ok(MessageType::VMBUS.0));
            assert_eq!(slot(memory).payload(), Some(&n.to_le_bytes()[..]));
            memory.store_u32(SLOT, 0).unwrap();
            fence(Ordering::SeqCst);
            if memory.load_u32(SLOT + 4).unwrap() & 1 << 8 != 0 {
                let _the_host_may_be_gone = eom.send(());
            }
        }
    });
}

#[test]
fn an_event_is_new_once() {
    let memory = FakeMemory::new(SIMP, 1);
    assert_eq!(set_event_flag(&memory, SIMP, Sint::VMBUS, 2047), Ok(true));
    assert_eq!(set_event_flag(&memory, SIMP, Sint::VMBUS, 2047), Ok(false));
    assert_eq!(memory.load_u32(SLOT + 252), Ok(0x8000_0000));
}

#[test]
fn case_18_an_event_flag_that_there_is_not_is_not_set() {
    let memory = FakeMemory::new(SIMP, 1);
    for flag in [2048, u16::MAX] {
        let refused = set_event_flag(&memory, SIMP, Sint::VMBUS, flag);
        assert_eq!(refused, Err(EventFlagError::NoSuchFlag { flag }));
    }
    assert_eq!(
        memory.load_u32(SLOT + 256),
        Ok(0),
        "the next SINT's flags are untouched"
    );
}

proptest! {
    #[test]
    fn any_flag_is_set_where_the_guest_looks(sint in 0u8..16, flag in 0u16..2048) {
        let memory = FakeMemory::new(SIMP, 1);
        prop_assert_eq!(set_event_flag(&memory, SIMP, Sint::new(sint).unwrap(), flag), Ok(true));
        let mut page = [0; 4096];
        memory.read(SIMP, &mut page).unwrap();
        let mut expected = [0; 4096];
        expected[usize::from(sint) * 256 + usize::from(flag / 8)] = 1u8 << (flag % 8);
        prop_assert_eq!(page, expected);
    }
}
