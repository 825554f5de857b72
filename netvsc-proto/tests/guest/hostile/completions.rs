//! Completions of what the host does not have.

use netvsc_proto::guest::{Event, Fault, TransmitId, TransmitInfo};
use netvsc_proto::wire::nvsp::{MessageType, Status, Version};
use netvsc_proto::wire::nvsp_message::HostMessage;

use crate::pair::DEPTH;
use crate::scripted::Script;
use crate::support::{MAC, frame};

/// Sends a frame with this tag. Returns what it is told complete by.
fn sent(script: &mut Script<4096>, tag: u8) -> TransmitId {
    let frame = frame(MAC, tag, 60);
    script.queue.transmit(&frame, &TransmitInfo::NONE).unwrap().id
}

#[test]
fn case_05_completions_of_what_the_host_does_not_have() {
    for id in [
        0,
        DEPTH as u64,
        DEPTH as u64 + 1,
        2,
        1 << 32,
        u64::MAX - 1,
        u64::from(u32::MAX),
    ] {
        let mut script = Script::<4096>::up();
        let submitted = script
            .queue
            .transmit(&frame(MAC, 1, 60), &TransmitInfo::NONE)
            .unwrap();
        assert_ne!(submitted.id.number(), id);
        script.host.complete_transfer(id, Status::SUCCESS);
        let fault = Fault::Completion { transaction_id: id };
        assert_eq!(script.poll(), Err(fault));
        assert_eq!(script.events, [] as [&str; 0]);
        assert_eq!(
            script
                .queue
                .abort()
                .map(|aborted| (aborted.id, aborted.pages_lent)),
            Some((submitted.id, false))
        );
        assert_eq!(script.queue.abort(), None);
        script.dead(fault);
    }
    // An answer to nothing.
    let mut script = Script::<4096>::up();
    script.host.complete_transfer(u64::MAX, Status::SUCCESS);
    let fault = Fault::Unexpected {
        message: MessageType::SEND_RNDIS_PACKET_COMPLETE,
        version: Version::V6_1,
    };
    assert_eq!(script.poll(), Err(fault));
    script.dead(fault);
}

#[test]
fn case_05_a_completion_twice_and_a_stale_one() {
    let mut script = Script::<4096>::up();
    let first = sent(&mut script, 1);
    script.host.complete_transfer(first.number(), Status::SUCCESS);
    script.poll().unwrap();
    script.told_only(&Event::Transmitted {
        id: first,
        status: Status::SUCCESS,
    });
    let second = sent(&mut script, 1);
    assert_eq!((second.place(), second == first), (first.place(), false));
    script.host.complete_transfer(first.number(), Status::SUCCESS);
    let fault = Fault::Completion {
        transaction_id: first.number(),
    };
    assert_eq!(script.poll(), Err(fault));
    assert_eq!(script.queue.abort().map(|aborted| aborted.id), Some(second));
    script.dead(fault);
}

#[test]
fn a_completion_that_is_no_completion_ends_nothing() {
    let mut script = Script::<4096>::up();
    let id = sent(&mut script, 1);
    script
        .host
        .complete(id.number(), &HostMessage::InitComplete(Default::default()));
    let fault = Fault::Unexpected {
        message: MessageType::INIT_COMPLETE,
        version: Version::V6_1,
    };
    assert_eq!(script.poll(), Err(fault));
    assert_eq!(script.queue.abort().map(|aborted| aborted.id), Some(id));
    script.dead(fault);
}

#[test]
fn case_09_a_completion_before_the_call_has_returned() {
    let mut script = Script::<4096>::up();
    // The host guesses which id comes next, and is faster than the guest: the second place was never used.
    let first = sent(&mut script, 1);
    assert_eq!(first.place(), 0);
    let next = 2;
    script.host.complete_transfer(next, Status::SUCCESS);
    let second = sent(&mut script, 2);
    assert_eq!(second.number(), next);
    script.poll().unwrap();
    script.told_only(&Event::Transmitted {
        id: second,
        status: Status::SUCCESS,
    });
    assert_eq!(script.queue.outstanding(), 1);
}
