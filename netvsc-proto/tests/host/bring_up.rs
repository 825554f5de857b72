//! A driver negotiates, lends its buffers, goes away and comes again.

use netvsc_proto::host::{MacAddress, NicConfig, ReceiveError, ReceiveInfo, Received, Refusal};
use netvsc_proto::wire::ndis::ObjectHeader;
use netvsc_proto::wire::nvsp::{self, Status, Version};
use netvsc_proto::wire::nvsp_message::{GuestMessage, HostMessage};
use netvsc_proto::wire::offload::{Offload, OffloadParameters};
use netvsc_proto::wire::oid::Oid;
use netvsc_proto::wire::rndis::{self, PacketFilter};
use netvsc_proto::wire::rndis_message::{self, HostMessage as RndisHost};
use netvsc_proto::wire::rss::ReceiveScaleCapabilities;
use netvsc_proto::wire::status::RndisStatus;
use vmbus_proto::wire::GpadlId;
use zerocopy::{FromBytes, IntoBytes};

use crate::config;
use crate::support::{MAC, Mem, RECEIVE_GPADL, Rig, SEND_GPADL, frame, packet};

#[test]
fn bring_up_as_linux_does() {
    let mut rig = Rig::<4096>::new(config());
    rig.connect();
    assert_eq!(rig.nic.version(), Some(Version::V6_1));
    let complete = rig.initialize();
    assert_eq!(complete.max_packets_per_message.get(), 8);
    assert_eq!(complete.packet_alignment_factor.get(), 3);
    assert_eq!(rig.query_u32(Oid::GEN_MAXIMUM_FRAME_SIZE), 1500);
    assert_eq!(rig.query(Oid::ETHERNET_PERMANENT_ADDRESS).unwrap(), MAC.0);
    assert_eq!(rig.query(Oid::GEN_FRIENDLY_NAME).unwrap().len(), 512);
    let offload =
        Offload::read_from_bytes(&rig.query(Oid::TCP_OFFLOAD_HARDWARE_CAPABILITIES).unwrap()).unwrap();
    assert_eq!((offload.header.revision, offload.header.size.get()), (3, 156));
    assert_eq!(offload.checksum, Default::default());
    let parameters = OffloadParameters {
        header: ObjectHeader::new(netvsc_proto::wire::ndis::ObjectType::DEFAULT, 3, 28),
        ipv4_checksum: netvsc_proto::wire::offload::ChecksumSetting::DISABLED,
        ..Default::default()
    };
    assert_eq!(
        rig.set(Oid::TCP_OFFLOAD_PARAMETERS, parameters.as_bytes()),
        RndisStatus::SUCCESS
    );
    // What is on now is told.
    let (status, info) = rig.guest[0].indications.pop_front().unwrap();
    assert_eq!(
        (status, info.len()),
        (RndisStatus::TASK_OFFLOAD_CURRENT_CONFIG, 156)
    );
    assert_eq!(rig.query_u32(Oid::GEN_MEDIA_CONNECT_STATUS), 0);
    assert_eq!(rig.query_u32(Oid::GEN_LINK_SPEED), 100_000_000);
    let caps = rig.query(Oid::GEN_RECEIVE_SCALE_CAPABILITIES).unwrap();
    let caps = ReceiveScaleCapabilities::read_from_bytes(&caps).unwrap();
    assert_eq!((caps.queue_count.get(), caps.table_len.get()), (1, 128));
    rig.set_filter(PacketFilter::DIRECTED | PacketFilter::BROADCAST);
    assert_eq!(rig.refused, []);
}

/// Sends a frame, and gives the status of its completion.
fn send_one(rig: &mut Rig) -> Status {
    rig.send_section(0, 0, &packet(&[], &frame(MAC, 1, 60)))
}

#[test]
fn every_version_comes_up() {
    for &version in Version::NAMED {
        let mut rig = Rig::<4096>::new(NicConfig {
            max_version: version,
            ..config()
        });
        rig.connect();
        assert_eq!(rig.nic.version(), Some(version));
        rig.initialize();
        rig.set_filter(PacketFilter::DIRECTED);
        let sizes = [(Version::V5, 156), (Version::V4, 144), (Version::V1, 112)];
        let size = sizes.iter().find(|(since, _)| version >= *since).unwrap().1;
        assert_eq!(
            rig.query(Oid::TCP_OFFLOAD_HARDWARE_CAPABILITIES).unwrap().len(),
            size
        );
        assert_eq!(send_one(&mut rig), Status::SUCCESS);
        rig.queues[0]
            .receive(&frame(MAC, 2, 60), &ReceiveInfo::NONE)
            .unwrap();
        let _ = rig.queues[0].flush().unwrap();
        rig.run();
        assert_eq!(
            (rig.net.take().len(), rig.guest[0].frames.len()),
            (1, 1),
            "{version}"
        );
    }
}

#[test]
fn versions_that_are_not_spoken_are_refused() {
    let mut rig = Rig::<4096>::new(NicConfig {
        max_version: Version::V5,
        ..config()
    });
    for version in [
        Version::V6_1,
        Version::V6,
        Version::new(0x3_0000),
        Version::new(7),
        Version::new(0),
    ] {
        assert_eq!(rig.init(version), Status::NONE, "{version}");
    }
    assert_eq!(rig.nic.version(), None);
    assert_eq!(rig.init(Version::V5), Status::SUCCESS);
    // Once is enough.
    assert_eq!(rig.init(Version::V4), Status::NONE);
    assert_eq!(rig.nic.version(), Some(Version::V5));
}

#[test]
fn a_range_of_versions_gets_the_highest() {
    let mut rig = Rig::<4096>::new(config());
    let range = nvsp::Init {
        min_version: Version::V2,
        max_version: Version::new(0x5_0001),
    };
    rig.ask(&GuestMessage::Init(range));
    assert_eq!(rig.nic.version(), Some(Version::V5));
}

#[test]
fn reset_keepalive_and_halt() {
    let mut rig = Rig::<4096>::up(config());
    let keepalive = rndis::KeepaliveRequest {
        request_id: 0x77.into(),
    };
    let reply = rig.request(&rndis_message::GuestMessage::Keepalive(keepalive));
    let RndisHost::KeepaliveComplete(complete) = RndisHost::decode(&reply).unwrap() else {
        panic!()
    };
    assert_eq!(
        (complete.request_id.get(), complete.status),
        (0x77, RndisStatus::SUCCESS)
    );

    let reply = rig.request(&rndis_message::GuestMessage::Reset(rndis::ResetRequest::default()));
    let RndisHost::ResetComplete(complete) = RndisHost::decode(&reply).unwrap() else {
        panic!()
    };
    assert_eq!(
        (complete.status, complete.addressing_reset.get()),
        (RndisStatus::SUCCESS, 1)
    );
    assert_eq!(rig.query_u32(Oid::GEN_CURRENT_PACKET_FILTER), 0);

    let request = rndis::OidRequest {
        request_id: 5.into(),
        ..Default::default()
    };
    let reply = rig.request(&rndis_message::GuestMessage::SetEx(request, &[1]));
    let RndisHost::SetExComplete(complete, _) = RndisHost::decode(&reply).unwrap() else {
        panic!()
    };
    assert_eq!(
        (complete.request_id.get(), complete.status),
        (5, RndisStatus::NOT_SUPPORTED)
    );

    let mut bytes = [0; 16];
    let halt = rndis_message::GuestMessage::Halt(rndis::HaltRequest { request_id: 9.into() });
    let bytes = halt.encode(&mut bytes).unwrap().to_vec();
    assert_eq!(rig.control(&bytes), Status::SUCCESS);
    assert!(rig.guest[0].replies.is_empty(), "there is no answer to HALT");
    assert_eq!(
        rig.query(Oid::GEN_LINK_SPEED),
        Err(RndisStatus::ADAPTER_NOT_READY)
    );
    assert_eq!(
        rig.set(Oid::GEN_CURRENT_PACKET_FILTER, &[1, 0, 0, 0]),
        RndisStatus::ADAPTER_NOT_READY
    );
    assert_eq!(send_one(&mut rig), Status::FAILURE);
    rig.initialize();
    rig.set_filter(PacketFilter::DIRECTED);
    assert_eq!(send_one(&mut rig), Status::SUCCESS);
}

#[test]
fn a_driver_that_is_loaded_again() {
    let mut rig = Rig::<4096>::up(NicConfig {
        mac_may_change: true,
        ..config()
    });
    assert_eq!(
        rig.set(Oid::ETHERNET_CURRENT_ADDRESS, &[2, 0, 0, 0, 0, 1]),
        RndisStatus::SUCCESS
    );
    for round in 0..3 {
        rig.queues[0]
            .receive(&frame(MacAddress::BROADCAST, round, 60), &ReceiveInfo::NONE)
            .unwrap();
        let _ = rig.queues[0].flush().unwrap();
        rig.run();
        assert_eq!(rig.guest[0].frames.len(), 1);
        rig.remove();
        assert_eq!(
            rig.queues[0]
                .receive(&frame(MacAddress::BROADCAST, round, 60), &ReceiveInfo::NONE)
                .unwrap(),
            Received::Filtered
        );
        rig.reopen();
        assert_eq!(rig.nic.data_path().mac, MAC);
        rig.connect();
        rig.initialize();
        rig.set_filter(PacketFilter::BROADCAST);
        assert_eq!(send_one(&mut rig), Status::SUCCESS);
    }
    assert_eq!(rig.net.take().len(), 3);
}

#[test]
fn buffers_can_be_lent_again_on_the_same_channel() {
    let mut rig = Rig::<4096>::up(config());
    rig.remove();
    rig.lend_buffers();
    rig.initialize();
    rig.set_filter(PacketFilter::DIRECTED);
    assert_eq!(send_one(&mut rig), Status::SUCCESS);
}

#[test]
fn a_revoke_is_completed_when_the_embedder_has_let_go() {
    let mut rig = Rig::<4096>::up(config());
    let revoke = GuestMessage::RevokeReceiveBuffer(nvsp::RevokeBuffer {
        id: nvsp::RECEIVE_BUFFER_ID.into(),
    });
    let id = rig.id();
    rig.guest[0].message(id, true, &revoke);
    let _ = rig.serve_once(0).unwrap();
    rig.guest[0].poll(&rig.receive);
    assert_eq!(rig.completion(0, id), None);
    assert!(
        rig.queues[0].take_receive_buffer().is_none(),
        "the queue has let go by itself"
    );
    rig.run();
    assert_eq!(rig.completion(0, id), Some(vec![]));
}

/// A revoke need not be answered, so that the guest cannot wait before it lends again.
#[test]
fn what_a_guest_says_in_a_row_of_its_buffers_is_done_one_after_the_other() {
    let mut rig = Rig::<4096>::up(config());
    let revoke = |id: u16| nvsp::RevokeBuffer { id: id.into() };
    let lend = |gpadl, id: u16| nvsp::SendBuffer {
        gpadl: GpadlId::new(gpadl),
        id: id.into(),
    };
    let receive = lend(RECEIVE_GPADL, nvsp::RECEIVE_BUFFER_ID);
    let send = lend(SEND_GPADL, nvsp::SEND_BUFFER_ID);
    let (first, last) = (rig.id(), rig.id());
    let guest = &mut rig.guest[0];
    for _ in 0..2 {
        let revoked = revoke(nvsp::RECEIVE_BUFFER_ID);
        guest.message(0, false, &GuestMessage::RevokeReceiveBuffer(revoked));
        let revoked = revoke(nvsp::SEND_BUFFER_ID);
        guest.message(0, false, &GuestMessage::RevokeSendBuffer(revoked));
        guest.message(first, true, &GuestMessage::SendReceiveBuffer(receive));
        guest.message(last, true, &GuestMessage::SendSendBuffer(send));
    }
    rig.run();
    assert_eq!(rig.refused, []);
    for _ in 0..2 {
        let payload = rig.completion(0, first).unwrap();
        let HostMessage::SendReceiveBufferComplete(complete) = Rig::<4096>::host_message(&payload) else {
            panic!()
        };
        assert_eq!(complete.status, Status::SUCCESS);
        let payload = rig.completion(0, last).unwrap();
        let HostMessage::SendSendBufferComplete(complete) = Rig::<4096>::host_message(&payload) else {
            panic!()
        };
        assert_eq!(complete.status, Status::SUCCESS);
    }
    assert_eq!(
        rig.send_section(0, 0, &packet(&[], &frame(MAC, 1, 60))),
        Status::SUCCESS
    );
}

#[test]
fn buffers_that_are_too_small_or_refused() {
    let lend = |rig: &mut Rig| {
        let buffer = nvsp::SendBuffer {
            gpadl: RECEIVE_GPADL.into(),
            id: 0xcafe.into(),
        };
        let payload = rig.ask(&GuestMessage::SendReceiveBuffer(buffer));
        match Rig::<4096>::host_message(&payload) {
            HostMessage::SendReceiveBufferComplete(complete) => complete.status,
            other => panic!("{other}"),
        }
    };
    let mut rig = Rig::<4096>::new(NicConfig {
        max_queues: 4,
        ..config()
    });
    rig.init(Version::V6_1);
    rig.receive = Mem::new(4 * 8 * 1664 - 1);
    assert_eq!(lend(&mut rig), Status::FAILURE);
    rig.receive = Mem::new(4 * 8 * 1664);
    assert_eq!(lend(&mut rig), Status::SUCCESS);
    assert_eq!(rig.nic.receive_layout().unwrap().sections_per_queue, 8);
    // A second one, while there is one.
    assert_eq!(lend(&mut rig), Status::FAILURE);
    assert_eq!(
        rig.refused,
        [Refusal::Buffer(nvsp::MessageType::SEND_RECEIVE_BUFFER)]
    );

    let mut rig = Rig::<4096>::new(config());
    rig.init(Version::V6_1);
    let buffer = nvsp::SendBuffer {
        gpadl: 7.into(),
        id: 0.into(),
    };
    let id = rig.id();
    rig.guest[0].message(id, true, &GuestMessage::SendSendBuffer(buffer));
    let _ = rig.serve_once(0).unwrap();
    assert!(rig.nic.poll_event().is_some());
    rig.nic.send_buffer_refused();
    rig.run();
    let payload = rig.completion(0, id).unwrap();
    let HostMessage::SendSendBufferComplete(complete) = Rig::<4096>::host_message(&payload) else {
        panic!()
    };
    assert_eq!(complete.status, Status::FAILURE);
}

#[test]
fn sections_follow_the_mtu() {
    let mut rig = Rig::<4096>::new(NicConfig {
        mtu: 9000,
        ..config()
    });
    rig.init(Version::V6_1);
    rig.tell(&GuestMessage::SendNdisConfig(nvsp::SendNdisConfig {
        mtu: 9014.into(),
        ..Default::default()
    }));
    rig.lend_buffers();
    rig.initialize();
    rig.set_filter(PacketFilter::DIRECTED);
    assert_eq!(rig.query_u32(Oid::GEN_MAXIMUM_FRAME_SIZE), 9000);
    let largest = frame(MAC, 1, 9018);
    rig.queues[0].receive(&largest, &ReceiveInfo::NONE).unwrap();
    let error = rig.queues[0]
        .receive(&frame(MAC, 1, 9019), &ReceiveInfo::NONE)
        .unwrap_err();
    assert_eq!(
        error,
        ReceiveError::FrameLength {
            length: 9019,
            limit: 9018
        }
    );
    let error = rig.queues[0].receive(&MAC.0, &ReceiveInfo::NONE).unwrap_err();
    assert_eq!(
        error,
        ReceiveError::FrameLength {
            length: 6,
            limit: 9018
        }
    );
    let _ = rig.queues[0].flush().unwrap();
    rig.run();
    assert_eq!(rig.guest[0].frames.pop_front().unwrap().data, largest);
    // A new MTU is in force from the next opening on.
    rig.nic.set_mtu(1400).unwrap();
    assert!(rig.nic.set_mtu(100).is_err());
    assert_eq!(rig.query_u32(Oid::GEN_MAXIMUM_FRAME_SIZE), 9000);
    rig.reopen();
    rig.connect();
    rig.initialize();
    assert_eq!(rig.query_u32(Oid::GEN_MAXIMUM_FRAME_SIZE), 1400);
}
