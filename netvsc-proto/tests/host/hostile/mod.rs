//! A guest that breaks the protocol, and rings that are full.

mod control;
mod random;
mod rings;
mod transfers;

use netvsc_proto::host::{Fault, MacAddress, ReceiveError, ReceiveInfo, Received};
use netvsc_proto::wire::nvsp::Status;
use netvsc_proto::wire::oid::Oid;
use netvsc_proto::wire::{rndis, rndis_message};

use crate::support::{MAC, Rig, frame, packet};

/// The NIC goes on: a frame gets through either way.
fn alive<const WORDS: usize>(rig: &mut Rig<WORDS>) {
    rig.run();
    rig.net.take();
    rig.guest[0].frames.clear();
    assert_eq!(
        rig.send_section(0, 15, &packet(&[], &frame(MAC, 1, 60))),
        Status::SUCCESS
    );
    assert_eq!(rig.net.take().len(), 1);
    assert_eq!(
        rig.queues[0].receive(&frame(MAC, 2, 60), &ReceiveInfo::NONE),
        Ok(Received::Staged)
    );
    let _ = rig.queues[0].flush().unwrap();
    rig.run();
    assert_eq!(rig.guest[0].frames.len(), 1);
    assert_eq!(rig.query_u32(Oid::GEN_MAXIMUM_FRAME_SIZE), 1500);
}

/// The channel is poisoned, and stays so, whatever is called.
fn dead<const WORDS: usize>(rig: &mut Rig<WORDS>, channel: usize, fault: Fault) {
    for _ in 0..2 {
        assert_eq!(rig.serve_once(channel).unwrap_err(), fault);
    }
    let queue = &mut rig.queues[channel];
    assert_eq!(queue.fault(), Some(fault));
    assert_eq!(queue.flush().unwrap_err(), fault);
    assert_eq!(
        queue
            .receive(&frame(MacAddress::BROADCAST, 0, 60), &ReceiveInfo::NONE)
            .unwrap_err(),
        ReceiveError::Fault(fault)
    );
}

/// The question whether anyone is there, with this id.
fn keepalive(request_id: u32) -> Vec<u8> {
    let mut bytes = [0; 16];
    let request = rndis::KeepaliveRequest {
        request_id: request_id.into(),
    };
    rndis_message::GuestMessage::Keepalive(request)
        .encode(&mut bytes)
        .unwrap()
        .to_vec()
}

/// That of an answer.
fn request_id(reply: &[u8]) -> u32 {
    u32::from_le_bytes(reply[8..12].try_into().unwrap())
}
