//! Completions of nothing, and rings that are full or corrupt.

use netvsc_proto::host::{Fault, ReceiveError, ReceiveInfo, Received};
use netvsc_proto::wire::nvsp::{self, ChannelType, NO_SECTION, Version};
use netvsc_proto::wire::nvsp_message::GuestMessage;
use netvsc_proto::wire::status::RndisStatus;
use vmbus_proto::ringbuf::{ControlWord, Descriptor, SharedMem};

use super::{alive, dead, keepalive, request_id};
use crate::config;
use crate::support::{MAC, Rig, SECTIONS, frame, packet, rndis_packet};

/// Sends a frame that the guest keeps, and gives the transaction id with which it is to return it.
fn held_by_the_guest(rig: &mut Rig<4096>) -> u64 {
    rig.guest[0].hold = true;
    rig.queues[0]
        .receive(&frame(MAC, 1, 60), &ReceiveInfo::NONE)
        .unwrap();
    let _ = rig.queues[0].flush().unwrap();
    rig.run();
    rig.guest[0].held[0]
}

#[test]
fn case_05_completions_of_what_the_guest_does_not_have() {
    let complete = [108_u32.to_le_bytes(), 1_u32.to_le_bytes()].concat();
    let mut rig = Rig::<4096>::up(config());
    let outstanding = held_by_the_guest(&mut rig);
    let capacity = rig
        .nic
        .receive_layout()
        .unwrap()
        .sections_per_queue
        .min(SECTIONS as u16);
    let bad = [
        0,
        u64::MAX,
        u64::from(capacity),
        u64::from(capacity) + 1,
        outstanding + 1,
        outstanding ^ 1 << 32,
    ];
    for transaction_id in bad {
        let mut rig = Rig::<4096>::up(config());
        assert_eq!(held_by_the_guest(&mut rig), outstanding);
        rig.guest[0]
            .write(Descriptor::Completion, transaction_id, false, &complete)
            .unwrap();
        assert_eq!(
            rig.serve_once(0).unwrap_err(),
            Fault::Completion { transaction_id }
        );
        dead(&mut rig, 0, Fault::Completion { transaction_id });
    }
    // Twice.
    rig.guest[0]
        .write(Descriptor::Completion, outstanding, false, &complete)
        .unwrap();
    rig.serve(0).unwrap();
    rig.guest[0]
        .write(Descriptor::Completion, outstanding, false, &complete)
        .unwrap();
    dead(
        &mut rig,
        0,
        Fault::Completion {
            transaction_id: outstanding,
        },
    );
}

/// The buffer is revoked on another channel than the one on which it is returned.
#[test]
fn what_is_returned_after_the_buffer_was_taken_back_is_no_fault_once() {
    let complete = [108_u32.to_le_bytes(), 1_u32.to_le_bytes()].concat();
    for is_lent_again in [false, true] {
        let mut rig = Rig::<4096>::up(config());
        let transaction_id = held_by_the_guest(&mut rig);
        if is_lent_again {
            let layout = rig.nic.receive_layout().unwrap();
            rig.queues[0].lend_receive_buffer(rig.receive.clone(), layout);
        } else {
            assert!(rig.queues[0].take_receive_buffer().is_some());
        }
        rig.guest[0].return_held();
        rig.serve(0).unwrap();
        rig.guest[0]
            .write(Descriptor::Completion, transaction_id, false, &complete)
            .unwrap();
        dead(&mut rig, 0, Fault::Completion { transaction_id });
    }
}

#[test]
fn case_05_a_stale_completion() {
    let mut rig = Rig::<4096>::up(config());
    let complete = [108_u32.to_le_bytes(), 1_u32.to_le_bytes()].concat();
    rig.guest[0].hold = true;
    let mut ids = Vec::new();
    for tag in 0..2 {
        rig.queues[0]
            .receive(&frame(MAC, tag, 60), &ReceiveInfo::NONE)
            .unwrap();
        let _ = rig.queues[0].flush().unwrap();
        rig.run();
        ids.push(*rig.guest[0].held.back().unwrap());
        if tag == 0 {
            rig.guest[0].return_held();
            rig.run();
        }
    }
    assert_eq!(
        ids[0] & 0xffff_ffff,
        ids[1] & 0xffff_ffff,
        "the same section, another time"
    );
    rig.guest[0]
        .write(Descriptor::Completion, ids[0], false, &complete)
        .unwrap();
    dead(
        &mut rig,
        0,
        Fault::Completion {
            transaction_id: ids[0],
        },
    );
}

#[test]
fn case_07_a_guest_that_moves_its_read_index() {
    let mut rig = Rig::<4096>::up(config());
    let word = rig.guest[0].rings.incoming.mem().word(ControlWord::ReadIndex);
    word.store(12, std::sync::atomic::Ordering::SeqCst);
    // The index is looked at when room is needed.
    let mut fault = None;
    for _ in 0..2000 {
        match rig.queues[0].receive(&frame(MAC, 0, 60), &ReceiveInfo::NONE) {
            Ok(_) | Err(ReceiveError::NoBuffer | ReceiveError::RingFull) => {}
            Err(ReceiveError::Fault(found)) => fault = Some(found),
            Err(other) => panic!("{other}"),
        }
        if let Err(found) = rig.queues[0].flush() {
            fault = Some(found);
        }
    }
    assert!(matches!(fault, Some(Fault::Ring(_))), "{fault:?}");
}

#[test]
fn case_15_a_full_ring_loses_no_completion_and_no_frame() {
    // A ring of one page.
    let mut rig = Rig::<512>::up(config());
    let mut sent = Vec::new();
    let mut staged = 0_u32;
    let mut full = 0;
    // The guest sends and reads nothing; the host has frames for it all the while.
    for round in 0..400_u32 {
        let id = u64::from(round) + 0x9000;
        let transfer = packet(&[], &frame(MAC, 1, 60));
        SharedMem::write(&rig.send, 0, &transfer).unwrap();
        let payload = rndis_packet(ChannelType::DATA, 0, transfer.len() as u32);
        if rig.guest[0].write(Descriptor::InBand, id, true, &payload).is_ok() {
            sent.push(id);
        }
        rig.serve(0).unwrap();
        let mut bytes = frame(MAC, 2, 60);
        bytes[14..18].copy_from_slice(&staged.to_le_bytes());
        match rig.queues[0].receive(&bytes, &ReceiveInfo::NONE) {
            Ok(Received::Staged) => staged += 1,
            Err(ReceiveError::RingFull) => full += 1,
            other => panic!("{other:?}"),
        }
        let _ = rig.queues[0].flush().unwrap();
    }
    assert!(full > 0, "the ring never got full");
    assert_eq!(rig.queues[0].stats().receive_ring_full, full);
    assert!(sent.len() < 400, "reading never stopped");
    // The ring that was full has asked for a signal, and gets one as soon as there is room.
    rig.guest[0].signals = 0;
    rig.guest[0].poll(&rig.receive.clone());
    assert!(rig.guest[0].signals > 0);
    for _ in 0..50 {
        rig.run();
    }
    let completed: Vec<u64> = rig.guest[0].completed.iter().map(|(id, _)| *id).collect();
    assert_eq!(completed, sent);
    let got: Vec<u32> = rig.guest[0]
        .frames
        .drain(..)
        .map(|got| u32::from_le_bytes(got.data[14..18].try_into().unwrap()))
        .collect();
    assert_eq!(got, (0..staged).collect::<Vec<_>>());
    assert_eq!(rig.net.take().len(), sent.len());
    alive(&mut rig);
}

#[test]
fn case_15_frames_wait_for_a_full_ring() {
    let mut rig = Rig::<512>::up(config());
    let capacity = rig.queues[0].receive_capacity();
    let mut staged = 0_u16;
    let error = loop {
        let mut bytes = frame(MAC, 2, 60);
        bytes[14..16].copy_from_slice(&staged.to_le_bytes());
        match rig.queues[0].receive(&bytes, &ReceiveInfo::NONE) {
            Ok(_) => staged += 1,
            Err(error) => break error,
        }
        let _ = rig.queues[0].flush().unwrap();
    };
    assert_eq!(error, ReceiveError::RingFull);
    assert!(staged < capacity, "sections ran out first");
    // Some are in the ring, the others wait in their sections.
    assert_eq!(staged - rig.queues[0].outstanding(), 32);
    assert_eq!(rig.queues[0].receive_capacity(), capacity - staged);
    rig.run();
    let tag = |data: &[u8]| u16::from_le_bytes(data[14..16].try_into().unwrap());
    let got: Vec<u16> = rig.guest[0].frames.drain(..).map(|got| tag(&got.data)).collect();
    assert_eq!(got, (0..staged).collect::<Vec<_>>());
    assert_eq!(rig.queues[0].receive_capacity(), capacity);
    alive(&mut rig);
}

/// A ring of one page to a guest that does not read, with no room in it.
fn full() -> Rig<512> {
    let mut rig = Rig::<512>::up(config());
    while rig.queues[0]
        .receive(&frame(MAC, 0, 60), &ReceiveInfo::NONE)
        .is_ok()
    {
        let _ = rig.queues[0].flush().unwrap();
    }
    rig
}

/// What the host has read of the guest's, and the answers to it that found room, while the guest reads nothing. All of it is answered
/// in the end.
fn read_and_answered(mut send: impl FnMut(&mut Rig<512>, u64) -> bool) -> (usize, usize) {
    let mut rig = full();
    let (mut sent, mut read) = (0, 0);
    while send(&mut rig, sent) {
        sent += 1;
        read += rig.serve_once(0).unwrap().packets;
    }
    rig.guest[0].poll(&rig.receive.clone());
    let answered = rig.guest[0].completed.len();
    for _ in 0..50 {
        rig.run();
    }
    let ids: Vec<u64> = rig.guest[0].completed.drain(..).map(|(id, _)| id).collect();
    assert_eq!(ids, (0..sent).collect::<Vec<_>>());
    alive(&mut rig);
    (read, answered)
}

#[test]
fn case_15_so_many_completions_wait_and_then_nothing_is_read() {
    let (read, answered) = read_and_answered(|rig, id| {
        let transfer = packet(&[], &frame(MAC, 1, 60));
        SharedMem::write(&rig.send, 0, &transfer).unwrap();
        let payload = rndis_packet(ChannelType::DATA, 0, transfer.len() as u32);
        rig.guest[0].write(Descriptor::InBand, id, true, &payload).is_ok()
    });
    assert_eq!(read - answered, 64);
}

#[test]
fn case_15_so_many_answers_wait_and_then_nothing_is_read() {
    let mut bytes = [0; 64];
    let query = GuestMessage::OidQueryEx(nvsp::OidQueryEx::default());
    let query = query.encode(Version::V6_1, &mut bytes).unwrap();
    let (read, answered) =
        read_and_answered(|rig, id| rig.guest[0].write(Descriptor::InBand, id, true, query).is_ok());
    // Of eight, two are kept for the buffers.
    assert_eq!(read - answered, 6);
}

#[test]
fn case_15_control_answers_and_indications_wait_for_a_full_ring() {
    for ids in [&[][..], &[1, 2]] {
        let mut rig = full();
        for request_id in ids {
            let id = rig.id();
            let asked = (NO_SECTION, 0);
            rig.send_pages(0, id, ChannelType::CONTROL, asked, &keepalive(*request_id));
            rig.serve(0).unwrap();
        }
        rig.net.link.set(false);
        rig.serve(0).unwrap();
        for _ in 0..20 {
            rig.run();
        }
        let answered: Vec<u32> = rig.guest[0]
            .replies
            .drain(..)
            .map(|reply| request_id(&reply))
            .collect();
        assert_eq!(answered, ids);
        assert_eq!(
            rig.guest[0].indications.pop_front(),
            Some((RndisStatus::MEDIA_DISCONNECT, vec![]))
        );
        alive(&mut rig);
    }
}

#[test]
fn case_15_answers_wait_for_a_full_ring() {
    let mut rig = full();
    let ids: Vec<u64> = (0..20).collect();
    for id in &ids {
        rig.guest[0].message(*id, true, &GuestMessage::OidQueryEx(nvsp::OidQueryEx::default()));
        rig.serve(0).unwrap();
    }
    rig.net.link.set(false);
    rig.serve(0).unwrap();
    for _ in 0..20 {
        rig.run();
    }
    let completed: Vec<u64> = rig.guest[0].completed.drain(..).map(|(id, _)| id).collect();
    assert_eq!(completed, ids);
    assert_eq!(
        rig.guest[0].indications.pop_front(),
        Some((RndisStatus::MEDIA_DISCONNECT, vec![]))
    );
    assert!(rig.guest[0].indications.is_empty());
    alive(&mut rig);
}
