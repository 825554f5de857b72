//! What fuzzing found.

use netvsc_proto::guest::{ControlError, DataPath, Fault, PollError, Queue};
use netvsc_proto::wire::DecodeError;
use netvsc_proto::wire::oid::Oid;
use netvsc_proto::wire::rndis::PacketFilter;
use vmbus_proto::ringbuf::mem::ArrayRing;
use vmbus_proto::ringbuf::{Descriptor, Halves, Outgoing, RingPair};

use crate::pair::{DEPTH, memory};
use crate::scripted::{Ask, Script};
use crate::support::{MAC, Mem, frame, packet};

/// The fault was told, and forgotten.
#[test]
fn a_sub_channel_is_poisoned_by_a_message_that_does_not_decode() {
    let (to_host, to_guest) = (ArrayRing::<512>::new(), ArrayRing::<512>::new());
    let halves = Halves {
        to_host: &to_host,
        to_guest: &to_guest,
    };
    let ram = Mem::new(1 << 18);
    let lent = memory(&ram, &Mem::new(4096), &Mem::new(4096), 1);
    let path = DataPath::default();
    let mut queue = Queue::<_, _, DEPTH>::sub_channel(1, RingPair::guest(halves).unwrap(), lent, &path);
    let _ = RingPair::host(halves)
        .unwrap()
        .outgoing
        .write(&Outgoing {
            transaction_id: 1,
            request_completion: false,
            descriptor: Descriptor::InBand,
            payload: &[],
        })
        .unwrap();
    let fault = Fault::Message(DecodeError::Short {
        what: "NVSP message",
        needed: 4,
        got: 0,
    });
    let mut buffer = vec![0; queue.receive_len()];
    for _ in 0..2 {
        assert_eq!(queue.poll(&mut buffer), Err(PollError::Fault(fault)));
        assert_eq!(queue.fault(), Some(fault));
    }
}

/// What was asked between the call and the next poll went out before the halt.
#[test]
fn nothing_can_be_asked_of_a_nic_that_is_to_go_down() {
    let mut script = Script::<4096>::up();
    script.nic.shut_down();
    let refused = Some(ControlError::NotReady);
    assert_eq!(script.nic.query(Oid::GEN_LINK_SPEED, &[]).err(), refused);
    assert_eq!(script.nic.create_sub_channels(1).err(), refused);
}

/// The answer to a packet filter that was under way had frames told again.
#[test]
fn no_frame_is_told_once_the_nic_is_to_go_down() {
    let mut script = Script::<4096>::up();
    script.nic.set_packet_filter(PacketFilter::BROADCAST).unwrap();
    script.poll().unwrap();
    script.nic.shut_down();
    script.host.serve(&mut |host, _, ask| {
        // The frame comes behind the answer.
        if let Ask::Rndis(_) = ask {
            host.give(7, &packet(&[], &frame(MAC, 1, 60)));
        }
        false
    });
    script.host.give(8, &packet(&[], &frame(MAC, 2, 60)));
    for _ in 0..50 {
        script.poll_once().unwrap();
        script.host.serve(&mut |_, _, _| false);
    }
    assert_eq!(script.answered.len(), 1);
    assert_eq!(script.frames, [] as [Vec<u8>; 0]);
    assert_eq!(script.host.returned.len(), 3, "two frames and an answer");
}
