//! The guest's SynIC against the host's.

use std::collections::BTreeSet;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::support::FakeMemory;
use crate::support::guest::{FakeMsrs, page};
use hvcall::guest::{
    EventPage, FIRST_VECTOR, MessagePage, MsrError, RegisterError, SintSetup, SlotFault, StillOn, Synic,
    SynicError,
};
use hvcall::host::synic::{Delivery, post_message, set_event_flag};
use hvcall::synic::{MessageType, SintRegister};
use hvcall::{Message, Msr, Sint};
use proptest::prelude::*;

const SIMP: u64 = 0x7000;
const SIEFP: u64 = 0x1_0000_8000;
const SLOT: u64 = 2 * 256;

fn message(payload: &[u8]) -> Message {
    Message::new(MessageType::VMBUS, 4, payload).unwrap()
}

fn message_page() -> (MessagePage, &'static FakeMemory) {
    let (guest, host) = page(SIMP);
    host.put(0, &[0; 4096]);
    (MessagePage::new(guest), host)
}

fn event_page() -> (EventPage, &'static FakeMemory) {
    let (guest, host) = page(SIEFP);
    host.put(0, &[0; 4096]);
    (EventPage::new(guest), host)
}

fn synic() -> (Synic, &'static FakeMemory, &'static FakeMemory) {
    let ((messages, simp), (events, siefp)) = (page(SIMP), page(SIEFP));
    (
        Synic::new(MessagePage::new(messages), EventPage::new(events)),
        simp,
        siefp,
    )
}

/// Registers as they are at reset, with reserved bits set that have to stay.
fn msrs() -> FakeMsrs {
    let msrs = FakeMsrs::with(&[(Msr::SIMP, 0x10), (Msr::SIEFP, 0x20), (Msr::SCONTROL, 0x8000)]);
    for sint in Sint::all() {
        msrs.set(Msr::sint(sint), SintRegister::RESET.bits());
    }
    msrs
}

#[test]
fn what_the_host_posts_comes_once_and_frees_the_slot() {
    let (mut messages, host) = message_page();
    assert_eq!(messages.take(Sint::VMBUS), None);
    assert!(!messages.has_message(Sint::VMBUS));
    assert_eq!(
        post_message(host, SIMP, Sint::VMBUS, &message(b"abc")),
        Ok(Delivery::Delivered)
    );
    assert!(messages.has_message(Sint::VMBUS));
    assert_eq!(messages.take(Sint::new(3).unwrap()), None);
    let received = messages.take(Sint::VMBUS).unwrap();
    assert_eq!((received.message, received.eom), (Ok(message(b"abc")), None));
    assert_eq!(host.u32(SLOT), 0);
    assert_eq!(messages.take(Sint::VMBUS), None);
}

#[test]
fn a_host_that_waits_gets_its_eom() {
    let (mut messages, host) = message_page();
    assert_eq!(
        post_message(host, SIMP, Sint::VMBUS, &message(b"1")),
        Ok(Delivery::Delivered)
    );
    assert_eq!(
        post_message(host, SIMP, Sint::VMBUS, &message(b"2")),
        Ok(Delivery::SlotBusy)
    );
    let received = messages.take(Sint::VMBUS).unwrap();
    assert_eq!(received.message.unwrap().payload(), Some(&b"1"[..]));
    let msrs = FakeMsrs::default();
    received.eom.unwrap().write(&msrs).unwrap();
    assert_eq!(*msrs.log.borrow(), [(Msr::EOM, 0)]);

    host.put(SLOT, &[1, 0, 0, 0, 0, 1]);
    let received = messages.take(Sint::VMBUS).unwrap();
    let gone = FakeMsrs::default();
    gone.absent.borrow_mut().push(Msr::EOM);
    assert_eq!(
        received.eom.unwrap().write(&gone),
        Err(MsrError::Unavailable { msr: Msr::EOM })
    );
}

#[test]
fn case_18_a_message_that_claims_too_much_is_a_fault_and_the_next_one_comes() {
    let (mut messages, host) = message_page();
    for (len, good) in [(240, true), (241, false), (255, false)] {
        host.put(SLOT, &[1, 0, 0, 0, len, 0xff, 0xff, 0xff]);
        let received = messages.take(Sint::VMBUS).unwrap();
        let expected = SlotFault::PayloadTooLong {
            message_type: MessageType::VMBUS,
            len,
        };
        assert_eq!(received.message.err(), (!good).then_some(expected), "{len}");
        assert!(
            received.eom.is_some(),
            "flags may hold garbage, and the pending flag among it counts"
        );
        assert_eq!(host.u32(SLOT), 0);
    }
    assert_eq!(
        post_message(host, SIMP, Sint::VMBUS, &message(b"next")),
        Ok(Delivery::Delivered)
    );
    assert_eq!(messages.take(Sint::VMBUS).unwrap().message, Ok(message(b"next")));
}

#[test]
fn what_does_not_count_of_a_payload_is_not_kept() {
    let (mut messages, host) = message_page();
    host.put(SLOT, &[0xee; 256]);
    host.put(SLOT, &[1, 0, 0, 0, 3, 0, 0, 0]);
    host.put(SLOT + 16, b"abc");
    let received = messages.take(Sint::VMBUS).unwrap().message.unwrap();
    assert_eq!(received.payload(), Some(&b"abc"[..]));
    assert_eq!(received.payload[3..], [0; 237]);
}

/// Two threads: every message arrives, once and in order, and none is left waiting.
#[test]
fn a_stream_of_messages_arrives_in_order() {
    const COUNT: u32 = 5_000;
    const HUNG: Duration = Duration::from_secs(60);
    let (mut messages, host) = message_page();
    let (interrupt, interrupts) = mpsc::channel();
    let (eom, eoms) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            for n in 0..COUNT {
                while post_message(host, SIMP, Sint::VMBUS, &message(&n.to_le_bytes()))
                    == Ok(Delivery::SlotBusy)
                {
                    eoms.recv_timeout(HUNG).unwrap();
                }
                interrupt.send(()).unwrap();
            }
        });
        for n in 0..COUNT {
            interrupts.recv_timeout(HUNG).unwrap();
            let received = messages.take(Sint::VMBUS).unwrap();
            assert_eq!(received.message.unwrap().payload(), Some(&n.to_le_bytes()[..]));
            if received.eom.is_some() {
                let _the_host_may_be_gone = eom.send(());
            }
        }
    });
}

/// A host that changes the slot at any time yields some message or a fault, never more than a slot holds.
#[test]
fn a_slot_that_changes_meanwhile_does_no_harm() {
    let (mut messages, host) = message_page();
    thread::scope(|scope| {
        let (done, stop) = mpsc::channel::<()>();
        scope.spawn(move || {
            let mut n = 0u32;
            while stop.try_recv() == Err(mpsc::TryRecvError::Empty) {
                n = n.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                host.put(SLOT, &n.to_le_bytes());
                host.put(SLOT + 4, &n.rotate_left(13).to_le_bytes());
            }
        });
        let mut taken = 0;
        while taken < 1_000 {
            let Some(received) = messages.take(Sint::VMBUS) else {
                continue;
            };
            taken += 1;
            match received.message {
                Ok(message) => {
                    assert!(message.payload().is_some() && message.message_type() != MessageType::NONE)
                }
                Err(fault) => assert!(matches!(fault, SlotFault::PayloadTooLong { len: 241.., .. })),
            }
        }
        drop(done);
    });
}

#[test]
fn events_that_the_host_sets_are_taken_once() {
    let (events, host) = event_page();
    let flags = [0, 1, 31, 32, 1000, 2047];
    for flag in flags {
        assert_eq!(set_event_flag(host, SIEFP, Sint::VMBUS, flag), Ok(true));
    }
    assert_eq!(set_event_flag(host, SIEFP, Sint::new(15).unwrap(), 7), Ok(true));
    let taken = events.take(Sint::VMBUS);
    assert_eq!((taken.len(), taken.is_empty()), (6, false));
    assert!(taken.eq(flags));
    assert!(events.take(Sint::VMBUS).is_empty());
    assert!(events.take(Sint::new(15).unwrap()).eq([7]));
    assert_eq!(
        set_event_flag(host, SIEFP, Sint::VMBUS, 31),
        Ok(true),
        "the flag is new again"
    );
}

#[test]
fn one_flag_is_taken_and_the_others_stay() {
    let (events, host) = event_page();
    for flag in [5, 6] {
        assert_eq!(set_event_flag(host, SIEFP, Sint::VMBUS, flag), Ok(true));
    }
    assert!(events.take_flag(Sint::VMBUS, 5));
    assert!(!events.take_flag(Sint::VMBUS, 5));
    assert!(events.take(Sint::VMBUS).eq([6]));
    let next = Sint::new(3).unwrap();
    assert_eq!(set_event_flag(host, SIEFP, next, 0), Ok(true));
    assert!(!events.take_flag(Sint::VMBUS, 2048), "no flag of the next SINT");
    assert!(events.take_flag(next, 0));
}

/// The host sets flags while two threads take them: each comes to one of them.
#[test]
fn no_flag_is_lost_or_doubled() {
    const ROUNDS: usize = 20;
    let (events, host) = event_page();
    let (set, taken) = thread::scope(|scope| {
        let events = &events;
        let (done, stop) = mpsc::channel::<()>();
        let (count, counts) = mpsc::channel();
        for stop in [Some(stop), None] {
            let count = count.clone();
            scope.spawn(move || {
                let mut taken = 0;
                let more = || {
                    stop.as_ref()
                        .is_some_and(|stop| stop.try_recv() == Err(mpsc::TryRecvError::Empty))
                };
                let mut round = 0;
                while more() || round < ROUNDS {
                    taken += events.take(Sint::VMBUS).len();
                    taken += usize::from(events.take_flag(Sint::VMBUS, 77));
                    round += 1;
                }
                count.send(taken).unwrap();
            });
        }
        let mut set = 0;
        for flag in (0..ROUNDS).flat_map(|_| 0..2048) {
            set += usize::from(set_event_flag(host, SIEFP, Sint::VMBUS, flag).unwrap());
        }
        drop(done);
        (set, counts.recv().unwrap() + counts.recv().unwrap())
    });
    assert_eq!(taken + events.take(Sint::VMBUS).len(), set);
}

#[test]
fn a_synic_is_switched_on_and_off_and_keeps_reserved_bits() {
    let (mut synic, simp, siefp) = synic();
    let msrs = msrs();
    let before = synic.enable(&msrs).unwrap();
    assert_eq!(
        (before.simp.bits(), before.siefp.bits(), before.scontrol.bits()),
        (0x10, 0x20, 0x8000)
    );
    assert_eq!(synic.before(), Some(before));
    assert_eq!(msrs.get(Msr::SIMP), SIMP | 0x11);
    assert_eq!(msrs.get(Msr::SIEFP), SIEFP | 0x21);
    assert_eq!(msrs.get(Msr::SCONTROL), 0x8001);
    assert!(
        (0..1024).all(|word| simp.u32(word * 4) == 0 && siefp.u32(word * 4) == 0),
        "no old message, no old flag"
    );

    let setup = SintSetup::interrupt(0xf3).with_auto_eoi(true);
    assert_eq!(
        synic.enable_sint(&msrs, Sint::VMBUS, setup),
        Ok(SintRegister::RESET)
    );
    assert_eq!(msrs.get(Msr::SINT2), 0x2_00f3);

    synic.disable(&msrs).unwrap();
    assert_eq!(msrs.get(Msr::SINT2), 0x3_00f3);
    assert_eq!(
        (msrs.get(Msr::SIMP), msrs.get(Msr::SIEFP), msrs.get(Msr::SCONTROL)),
        (0x10, 0x20, 0x8000)
    );
    let written = msrs.written();
    let order = [
        Msr::SIMP,
        Msr::SIEFP,
        Msr::SCONTROL,
        Msr::SINT2,
        Msr::SINT2,
        Msr::SIMP,
        Msr::SIEFP,
        Msr::SCONTROL,
    ];
    assert_eq!(written, order);
    assert!(synic.into_pages().is_ok());
}

#[test]
fn a_synic_that_is_on_keeps_its_pages() {
    let (mut synic, ..) = synic();
    let msrs = msrs();
    assert_eq!(synic.disable(&msrs), Err(SynicError::Off));
    assert_eq!(
        synic.enable_sint(&msrs, Sint::VMBUS, SintSetup::interrupt(0xf3)),
        Err(SynicError::Off)
    );
    synic.enable(&msrs).unwrap();
    assert_eq!(synic.enable(&msrs), Err(SynicError::AlreadyOn));
    let StillOn(mut synic) = synic.into_pages().unwrap_err();
    synic.disable(&msrs).unwrap();
    synic.enable(&msrs).unwrap();
}

#[test]
fn a_register_that_does_not_take_its_value_is_told_and_the_others_are_off() {
    for stuck in [Msr::SIMP, Msr::SIEFP, Msr::SCONTROL] {
        let (mut synic, ..) = synic();
        let msrs = msrs();
        msrs.stuck.borrow_mut().push(stuck);
        let error = synic.enable(&msrs).unwrap_err();
        let SynicError::Register(RegisterError::NotTaken { msr, wrote, reads }) = error else {
            panic!("{error}")
        };
        assert_eq!((msr, wrote & 1, reads & 1), (stuck, 1, 0));
        for msr in [Msr::SIMP, Msr::SIEFP, Msr::SCONTROL] {
            assert_eq!(msrs.get(msr) & 1, 0, "{msr} after {stuck} was stuck");
        }
        assert!(synic.into_pages().is_ok());
    }
}

#[test]
fn pages_that_may_be_on_are_not_given_back() {
    for denying in [Msr::SIMP, Msr::SIEFP] {
        let (mut synic, ..) = synic();
        let msrs = msrs();
        msrs.denying.borrow_mut().push(denying);
        assert!(synic.enable(&msrs).is_err());
        assert_eq!(
            (msrs.get(Msr::SIMP) & 1, msrs.get(Msr::SIEFP) & 1),
            (0, 0),
            "both are switched off again"
        );
        assert_eq!(synic.before(), None);
        let StillOn(mut synic) = synic.into_pages().unwrap_err();
        assert!(synic.disable(&msrs).is_err());
        msrs.denying.borrow_mut().clear();
        synic.disable(&msrs).unwrap();
        assert_eq!(synic.disable(&msrs), Err(SynicError::Off));
        assert!(synic.into_pages().is_ok());
    }
}

#[test]
fn a_sint_that_may_be_unmasked_is_masked_in_the_end() {
    let (mut synic, ..) = synic();
    let msrs = msrs();
    synic.enable(&msrs).unwrap();
    msrs.denying.borrow_mut().push(Msr::SINT2);
    let refused = synic.enable_sint(&msrs, Sint::VMBUS, SintSetup::interrupt(0xf3));
    assert!(refused.is_err() && !SintRegister::from_bits(msrs.get(Msr::SINT2)).is_masked());
    msrs.denying.borrow_mut().clear();
    synic.disable(&msrs).unwrap();
    assert!(SintRegister::from_bits(msrs.get(Msr::SINT2)).is_masked());
}

#[test]
fn a_register_that_is_not_there_is_told() {
    let (mut synic, ..) = synic();
    let msrs = msrs();
    msrs.absent.borrow_mut().push(Msr::SIEFP);
    let absent = RegisterError::Msr(MsrError::Unavailable { msr: Msr::SIEFP });
    assert_eq!(synic.enable(&msrs), Err(SynicError::Register(absent)));
    assert_eq!(msrs.get(Msr::SIMP) & 1, 0);
}

#[test]
fn what_cannot_be_switched_off_does_not_keep_the_rest_on() {
    let (mut synic, ..) = synic();
    let msrs = msrs();
    synic.enable(&msrs).unwrap();
    for sint in [2, 5] {
        synic
            .enable_sint(&msrs, Sint::new(sint).unwrap(), SintSetup::interrupt(0xf3))
            .unwrap();
    }
    msrs.stuck.borrow_mut().extend([Msr::SINT2, Msr::SIMP]);
    let error = synic.disable(&msrs).unwrap_err();
    assert!(
        matches!(
            error,
            SynicError::Register(RegisterError::NotTaken { msr: Msr::SINT2, .. })
        ),
        "{error}"
    );
    assert_eq!((msrs.get(Msr::SIEFP) & 1, msrs.get(Msr::SCONTROL) & 1), (0, 0));
    assert!(SintRegister::from_bits(msrs.get(Msr::SINT5)).is_masked());
    msrs.stuck.borrow_mut().clear();
    synic.disable(&msrs).unwrap();
    assert!(SintRegister::from_bits(msrs.get(Msr::SINT2)).is_masked());
    assert_eq!(msrs.get(Msr::SIMP), 0x10);
}

#[test]
fn a_vector_of_the_processor_is_refused() {
    let (mut synic, ..) = synic();
    let msrs = msrs();
    synic.enable(&msrs).unwrap();
    for vector in 0..FIRST_VECTOR {
        let refused = synic.enable_sint(&msrs, Sint::VMBUS, SintSetup::interrupt(vector));
        assert_eq!(refused, Err(SynicError::Vector { vector }));
    }
    assert_eq!(msrs.get(Msr::SINT2), SintRegister::RESET.bits());
    synic
        .enable_sint(&msrs, Sint::VMBUS, SintSetup::interrupt(FIRST_VECTOR))
        .unwrap();
    synic.disable_sint(&msrs, Sint::VMBUS).unwrap();
    assert!(SintRegister::from_bits(msrs.get(Msr::SINT2)).is_masked());
}

proptest! {
    #[test]
    fn any_flags_come_in_order(sint in 0u8..16, flags in proptest::collection::btree_set(0u16..2048, 0..300)) {
        let sint = Sint::new(sint).unwrap();
        let (events, host) = event_page();
        for flag in &flags {
            prop_assert_eq!(set_event_flag(host, SIEFP, sint, *flag), Ok(true));
        }
        let taken = events.take(sint);
        prop_assert_eq!(taken.len(), flags.len());
        let taken: Vec<_> = taken.collect();
        prop_assert!(taken.is_sorted());
        prop_assert_eq!(taken.into_iter().collect::<BTreeSet<_>>(), flags);
    }

    #[test]
    fn any_slot_is_a_message_or_a_fault(bytes in proptest::collection::vec(any::<u8>(), 256)) {
        let (mut messages, host) = message_page();
        host.put(SLOT, &bytes);
        let message_type = u32::from_le_bytes(bytes[..4].try_into().unwrap());
        match messages.take(Sint::VMBUS) {
            None => prop_assert_eq!(message_type, 0),
            Some(received) => {
                prop_assert_eq!(received.message.is_ok(), bytes[4] <= 240);
                prop_assert_eq!(received.eom.is_some(), bytes[5] & 1 != 0);
                if let Ok(message) = received.message {
                    prop_assert_eq!(message.message_type().0, message_type);
                    prop_assert_eq!(message.payload().unwrap(), &bytes[16..16 + usize::from(bytes[4])]);
                    prop_assert_eq!(message.header.sender.get().to_le_bytes().to_vec(), &bytes[8..16]);
                }
            }
        }
    }
}
