//! Rings that are full or corrupt, and packets that no host sends.

use netvsc_proto::guest::{Event, Fault, TransmitError, TransmitInfo};
use netvsc_proto::wire::DecodeError;
use netvsc_proto::wire::nvsp::{self, ChannelType, MessageType, NO_SECTION, Status, Version};
use netvsc_proto::wire::nvsp_message::HostMessage;
use vmbus_proto::ringbuf::{ControlWord, Descriptor, PacketType, RingFault, RingMem};

use super::plain;
use crate::scripted::Script;
use crate::support::{MAC, frame, rndis_packet};

#[test]
fn case_07_a_host_that_moves_its_indices() {
    let mut script = Script::<4096>::up();
    let ring = script.host.rings.outgoing.mem();
    let data_len = RingMem::data_len(ring);
    ring.word(ControlWord::WriteIndex)
        .store(data_len + 8, std::sync::atomic::Ordering::SeqCst);
    let fault = Fault::Ring(RingFault::WriteIndex {
        index: data_len + 8,
        data_len,
    });
    assert_eq!(script.poll(), Err(fault));
    script.dead(fault);
    // Found while sending: the frame is not under way.
    let mut script = Script::<128>::up();
    script
        .host
        .rings
        .incoming
        .mem()
        .word(ControlWord::ReadIndex)
        .store(3, std::sync::atomic::Ordering::SeqCst);
    let mut sent = 0;
    let error = loop {
        match script.queue.transmit(&frame(MAC, 1, 60), &TransmitInfo::NONE) {
            Ok(_) => sent += 1,
            Err(error) => break error,
        }
    };
    let fault = Fault::Ring(RingFault::ReadIndex {
        index: 3,
        data_len: 1024,
    });
    assert_eq!((error, script.queue.outstanding()), (fault.into(), sent));
    script.dead(fault);
}

#[test]
fn case_15_a_full_ring_keeps_completions_for_later() {
    // 1 KiB of ring towards the host.
    let mut script = Script::<128>::up();
    while script
        .queue
        .transmit(&frame(MAC, 1, 60), &TransmitInfo::NONE)
        .is_ok()
    {}
    let mut given = 0;
    // The guest takes frames for as long as it can keep completions, and not one more.
    for round in 0..60 {
        let range = script.host.put(&plain(round));
        let message = rndis_packet(ChannelType::DATA, NO_SECTION, 0);
        let outgoing = vmbus_proto::ringbuf::Outgoing {
            transaction_id: 100 + u64::from(round),
            request_completion: true,
            descriptor: Descriptor::TransferPages {
                set_id: nvsp::RECEIVE_BUFFER_ID,
                ranges: &[range],
            },
            payload: &[&message],
        };
        if script.host.rings.outgoing.write(&outgoing).is_ok() {
            given += 1;
        }
        script.poll().unwrap();
    }
    let taken = script.frames.len();
    assert!(taken >= 32 && taken < given, "{taken} of {given}");
    assert_eq!(script.host.returned.len(), 0);
    assert_eq!(script.queue.stats().completions_delayed, 32);
    script.run().unwrap();
    assert_eq!(script.frames.len(), given);
    let ids: Vec<_> = script.host.returned.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, (100..100 + given as u64).collect::<Vec<_>>());
    script.host.returned.clear();
    for id in core::mem::take(&mut script.host.frames) {
        script.host.complete_transfer(id, Status::SUCCESS);
    }
    script.run().unwrap();
    script.alive();
}

/// A frame that took the room could keep the guest from reading, while the host reads no more of them before it is read.
#[test]
fn case_15_no_frame_takes_the_room_that_a_completion_waits_for() {
    let mut script = full_with_a_completion();
    let mut scratch = vec![0; 4096];
    let incoming = &mut script.host.rings.incoming;
    assert!(incoming.read(&mut scratch).unwrap().is_some());
    let _ = incoming.release();
    assert_eq!(script.queue.can_transmit(), Ok(false));
    let refused = script.queue.transmit(&frame(MAC, 1, 60), &TransmitInfo::NONE);
    assert_eq!(refused, Err(TransmitError::RingFull));
    script.host.serve(&mut |_, _, _| false);
    assert_eq!(script.host.returned, [(7, Status::SUCCESS)]);
    // What was sent before a frame tells its signal with it: the host has read everything.
    let submitted = script.queue.transmit(&frame(MAC, 1, 60), &TransmitInfo::NONE);
    assert!(submitted.unwrap().signal.is_needed());
}

/// Whoever looks whether there is room, and then sends nothing, must not take the signal away for which a completion waits.
#[test]
fn a_look_for_room_leaves_what_waits_for_it_its_signal() {
    // A completion that waits, or a request.
    for is_request in [false, true] {
        let mut script = if is_request {
            let mut script = full();
            script.nic.keepalive().unwrap();
            script.poll().unwrap();
            script
        } else {
            full_with_a_completion()
        };
        // The host has read everything, and is about to look whether someone waits for that.
        let ring = *script.host.rings.incoming.mem();
        ring.store(ControlWord::ReadIndex, ring.load(ControlWord::WriteIndex));
        assert_eq!(script.queue.can_transmit(), Ok(is_request));
        assert_ne!(ring.load(ControlWord::PendingSendSize), 0);
        script.poll().unwrap();
        assert_eq!(ring.load(ControlWord::PendingSendSize), 0);
    }
}

/// A ring of one page that the host does not read, with no room in it and no frame under way.
fn full() -> Script<512> {
    let mut script = Script::<512>::up();
    script.fill();
    script
}

/// The same, and the guest has taken a transfer whose completion waits.
fn full_with_a_completion() -> Script<512> {
    let mut script = full();
    script.host.give(7, &plain(1));
    script.poll().unwrap();
    assert_eq!(script.queue.stats().completions_delayed, 1);
    script
}

#[test]
fn packets_that_no_host_sends() {
    let cases: [(Descriptor<'_>, Vec<u8>, Fault); 6] = [
        (
            Descriptor::InBand,
            vec![],
            Fault::Message(DecodeError::Short {
                what: "NVSP message",
                needed: 4,
                got: 0,
            }),
        ),
        (
            Descriptor::InBand,
            vec![107, 0, 0, 0, 0, 0, 0, 0],
            Fault::Message(DecodeError::Short {
                what: "SEND_RNDIS_PKT",
                needed: 16,
                got: 8,
            }),
        ),
        (
            Descriptor::InBand,
            vec![1, 0, 0, 0, 0, 0, 0, 0],
            Fault::Message(DecodeError::NvspType(MessageType::INIT)),
        ),
        (
            Descriptor::InBand,
            rndis_packet(ChannelType::DATA, NO_SECTION, 0),
            unexpected(MessageType::SEND_RNDIS_PACKET),
        ),
        (
            Descriptor::InBand,
            [&[133, 0, 0, 0, 1, 0, 0, 0], &[0; 32][..]].concat(),
            unexpected(MessageType::SUBCHANNEL),
        ),
        (
            Descriptor::GpaDirect(&[]),
            vec![0; 40],
            Fault::PacketType(PacketType::GPA_DIRECT),
        ),
    ];
    for (descriptor, payload, fault) in cases {
        let mut script = Script::<4096>::up();
        script.host.write(0, descriptor, &payload);
        assert_eq!(script.poll(), Err(fault));
        script.dead(fault);
    }
    // The message of a transfer is one of RNDIS's.
    let mut script = Script::<4096>::up();
    let ranges = [script.host.put(&plain(1))];
    script.host.write(
        7,
        Descriptor::TransferPages {
            set_id: nvsp::RECEIVE_BUFFER_ID,
            ranges: &ranges,
        },
        &[[128, 0, 0, 0], [0; 4], [0; 4], [0; 4]].concat(),
    );
    assert_eq!(script.poll(), Err(unexpected(MessageType::SEND_VF_ASSOCIATION)));
    // A virtual function that comes is told.
    let mut script = Script::<4096>::up();
    let association = nvsp::SendVfAssociation {
        allocated: 1.into(),
        serial: 77.into(),
    };
    script.host.tell(&HostMessage::SendVfAssociation(association));
    script.run().unwrap();
    script.told_only(&Event::VirtualFunction {
        present: true,
        serial: 77,
    });
}

fn unexpected(message: MessageType) -> Fault {
    Fault::Unexpected {
        message,
        version: Version::V6_1,
    }
}
