//! Control messages and buffers that make no sense, and too many of them.

use netvsc_proto::host::{Fault, NicConfig, ReceiveError, ReceiveInfo, Refusal};
use netvsc_proto::wire::DecodeError;
use netvsc_proto::wire::nvsp::{self, ChannelType, MessageType, NO_SECTION, Status, Version};
use netvsc_proto::wire::nvsp_message::GuestMessage;
use netvsc_proto::wire::oid::Oid;
use netvsc_proto::wire::status::RndisStatus;
use vmbus_proto::ringbuf::Descriptor;

use super::{alive, dead, keepalive, request_id};
use crate::config;
use crate::support::{MAC, Mem, Rig, SECTIONS, frame, packet, rndis_packet};

#[test]
fn case_14_malformed_control_messages_are_answered() {
    let mut rig = Rig::<4096>::up(config());
    let words = |words: &[u32]| {
        words
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect::<Vec<u8>>()
    };
    // Type, length, request id, then what is wrong. The answer has the highest bit of the type.
    let answered = [
        words(&[4, 28, 7, 0x0001_0106, 1, 21, 0]),
        words(&[4, 28, 7, 0x0001_0106, u32::MAX, 20, 0]),
        words(&[4, 28, 7, 0x0001_0106, 4, u32::MAX, 0]),
        words(&[4, 12, 7]),
        words(&[4, 999, 7, 0x0001_0106, 0, 0, 0]),
        words(&[5, 28, 7, 0x0001_010e, 4, 20, 0]),
        words(&[5, 7, 7, 0x0001_010e, 4, 20, 0]),
        words(&[2, 12, 7]),
        words(&[8, 11, 7]),
        words(&[9, 12, 7]),
    ];
    for message in answered {
        assert_eq!(rig.control(&message), Status::SUCCESS);
        let reply = rig.guest[0].replies.pop_front().expect("no answer");
        let word = |at: usize| u32::from_le_bytes(reply[at..at + 4].try_into().unwrap());
        assert_eq!(
            word(0),
            u32::from_le_bytes(message[..4].try_into().unwrap()) | 0x8000_0000
        );
        assert_eq!((word(8), word(12)), (7, RndisStatus::INVALID_DATA.value()));
    }
    // No id to answer to: the transfer itself is refused.
    let refused = [
        words(&[4, 8]),
        words(&[4]),
        vec![0; 3],
        words(&[6, 8]),
        words(&[3, 8]),
        words(&[0x8000_0004, 24, 7, 0, 0, 0]),
        words(&[0xff00_0001, 12, 7]),
        words(&[0, 12, 7]),
        packet(&[], &frame(MAC, 1, 60)),
    ];
    for message in refused {
        assert_eq!(
            rig.control(&message),
            Status::INVALID_RNDIS_PACKET,
            "{message:x?}"
        );
        assert!(rig.guest[0].replies.is_empty());
    }
    alive(&mut rig);
}

#[test]
fn case_19_a_flood_of_control_messages_is_told_to_wait() {
    let mut rig = Rig::<4096>::up(config());
    // The guest returns nothing, so that answers run out of sections.
    rig.guest[0].hold = true;
    let mut statuses = Vec::new();
    for id in 0..2000 {
        let status = rig.control(&keepalive(id));
        statuses.push(status);
        if status != Status::SUCCESS {
            break;
        }
    }
    assert_eq!(statuses.last(), Some(&Status::BUSY));
    assert_eq!(rig.refused.pop(), Some(Refusal::Busy));
    // Four more answers wait for sections.
    assert_eq!(statuses.len() - 1, rig.guest[0].replies.len() + 4);
    rig.guest[0].hold = false;
    rig.guest[0].return_held();
    rig.run();
    let ids: Vec<u32> = rig.guest[0]
        .replies
        .drain(..)
        .map(|reply| request_id(&reply))
        .collect();
    assert_eq!(ids, (0..statuses.len() as u32 - 1).collect::<Vec<_>>());
    alive(&mut rig);
}

#[test]
fn frames_leave_sections_to_control_messages() {
    let mut rig = Rig::<4096>::up(config());
    rig.guest[0].hold = true;
    let mut taken = 0;
    while rig.queues[0]
        .receive(&frame(MAC, 0, 60), &ReceiveInfo::NONE)
        .is_ok()
    {
        taken += 1;
        let _ = rig.queues[0].flush().unwrap();
        rig.run();
        assert!(taken <= SECTIONS);
    }
    let error = rig.queues[0]
        .receive(&frame(MAC, 0, 60), &ReceiveInfo::NONE)
        .unwrap_err();
    assert_eq!(error, ReceiveError::NoBuffer);
    assert!(rig.queues[0].stats().receive_no_buffer >= 1);
    assert_eq!(rig.query_u32(Oid::GEN_MAXIMUM_FRAME_SIZE), 1500);
    rig.guest[0].hold = false;
    rig.guest[0].return_held();
    alive(&mut rig);
}

#[test]
fn messages_out_of_order_poison_the_channel() {
    let unexpected = |message, version| Fault::Unexpected { message, version };
    let buffer = GuestMessage::SendReceiveBuffer(nvsp::SendBuffer::default());
    let mut rig = Rig::<4096>::new(config());
    rig.guest[0].message(1, true, &buffer);
    dead(
        &mut rig,
        0,
        unexpected(MessageType::SEND_RECEIVE_BUFFER, Version::new(0)),
    );

    // A message of a version that was not agreed on.
    let mut rig = Rig::<4096>::new(config());
    rig.init(Version::V4);
    rig.guest[0].message(
        1,
        true,
        &GuestMessage::Subchannel(nvsp::SubchannelRequest::default()),
    );
    dead(&mut rig, 0, unexpected(MessageType::SUBCHANNEL, Version::V4));

    // The completion of a packet that is no completion packet, and the other way round.
    let mut rig = Rig::<4096>::up(config());
    rig.guest[0].message(
        1,
        true,
        &GuestMessage::SendRndisPacketComplete(Default::default()),
    );
    dead(
        &mut rig,
        0,
        unexpected(MessageType::SEND_RNDIS_PACKET_COMPLETE, Version::V6_1),
    );
    let mut rig = Rig::<4096>::up(config());
    rig.guest[0]
        .write(
            Descriptor::Completion,
            1,
            false,
            &rndis_packet(ChannelType::DATA, 0, 0),
        )
        .unwrap();
    dead(
        &mut rig,
        0,
        unexpected(MessageType::SEND_RNDIS_PACKET, Version::V6_1),
    );
}

#[test]
fn messages_that_do_not_decode_poison_the_channel() {
    for (bytes, error) in [
        (vec![0; 8], DecodeError::NvspType(MessageType::new(0))),
        (
            2_u32.to_le_bytes().repeat(7),
            DecodeError::NvspType(MessageType::INIT_COMPLETE),
        ),
        (
            101_u32.to_le_bytes().to_vec(),
            DecodeError::Short {
                what: "SEND_RECV_BUF",
                needed: 10,
                got: 8,
            },
        ),
        (
            101_u32.to_le_bytes().repeat(20),
            DecodeError::Long {
                what: "SEND_RECV_BUF",
                limit: 40,
                got: 80,
            },
        ),
    ] {
        let mut rig = Rig::<4096>::up(config());
        rig.guest[0].in_band(1, true, &bytes);
        dead(&mut rig, 0, Fault::Message(error));
    }
}

#[test]
fn a_poisoned_channel_leaves_the_others_alone() {
    let mut rig = Rig::<4096>::up(NicConfig {
        max_queues: 2,
        ..config()
    });
    rig.tell(&GuestMessage::Subchannel(nvsp::SubchannelRequest {
        operation: nvsp::SubchannelOperation::ALLOCATE,
        count: 1.into(),
    }));
    rig.open_subchannel();
    rig.run();
    // Control messages: RNDIS is refused, NVSP is a fault.
    let id = rig.id();
    rig.send_pages(1, id, ChannelType::CONTROL, (NO_SECTION, 0), &[0; 12]);
    rig.run();
    assert_eq!(rig.transfer_status(1, id), Status::FAILURE);
    assert_eq!(rig.refused.pop(), Some(Refusal::ControlOnSubchannel));
    rig.guest[1].message(1, true, &GuestMessage::Init(nvsp::Init::default()));
    dead(&mut rig, 1, Fault::OnSubchannel(MessageType::INIT));
    rig.queues.pop();
    rig.guest.pop();
    alive(&mut rig);
}

#[test]
fn revokes_that_name_nothing() {
    let mut rig = Rig::<4096>::up(config());
    let revoke = |id: u16| GuestMessage::RevokeReceiveBuffer(nvsp::RevokeBuffer { id: id.into() });
    assert!(rig.ask(&revoke(1)).is_empty());
    assert_eq!(
        rig.refused.pop(),
        Some(Refusal::Buffer(MessageType::REVOKE_RECEIVE_BUFFER))
    );
    alive(&mut rig);
    assert!(rig.ask(&revoke(nvsp::RECEIVE_BUFFER_ID)).is_empty());
    assert!(rig.ask(&revoke(nvsp::RECEIVE_BUFFER_ID)).is_empty());
    let error = rig.queues[0]
        .receive(&frame(MAC, 0, 60), &ReceiveInfo::NONE)
        .unwrap_err();
    assert_eq!(error, ReceiveError::NoReceiveBuffer);
}

#[test]
fn buffers_smaller_than_the_embedder_said() {
    let mut rig = Rig::<4096>::up(config());
    let layout = rig.nic.receive_layout().unwrap();
    rig.queues[0].lend_receive_buffer(Mem::new(100), layout);
    let error = rig.queues[0]
        .receive(&frame(MAC, 0, 60), &ReceiveInfo::NONE)
        .unwrap_err();
    assert!(matches!(error, ReceiveError::ReceiveBuffer(_)));
    assert_eq!(rig.queues[0].outstanding(), 0);
}
