//! Offloads: declared, switched on, used, done without.

use netvsc_proto::host::{Checksums, NicConfig, Offloads, ReceiveInfo, Refusal};
use netvsc_proto::wire::nvsp::{ChannelType, NO_SECTION, Status};
use netvsc_proto::wire::offload::Offload;
use netvsc_proto::wire::oid::Oid;
use netvsc_proto::wire::ppi::{
    ChecksumTransmit, LargeSend, PpiList, PpiType, PpiWalk, ReceiveChecksums, TransmitChecksums, Vlan,
};
use netvsc_proto::wire::status::RndisStatus;
use zerocopy::FromBytes;

use crate::config;
use crate::support::{MAC, Rig, frame, packet};

fn offloading() -> Offloads {
    Offloads {
        transmit: Checksums::ALL,
        receive: Checksums::ALL,
        large_send_ipv4: 60000,
        large_send_ipv6: 50000,
        vlan: true,
    }
}

#[test]
fn offloads_are_declared_as_linux_looks_for_them() {
    let mut rig = Rig::<4096>::up(NicConfig {
        offloads: offloading(),
        ..config()
    });
    let offload =
        Offload::read_from_bytes(&rig.query(Oid::TCP_OFFLOAD_HARDWARE_CAPABILITIES).unwrap()).unwrap();
    let checksum = offload.checksum;
    assert_eq!(checksum.ipv4_transmit.get() & 0x14, 0x14, "TCP with options");
    assert_eq!(
        checksum.ipv6_transmit.get() & 0x15,
        0x15,
        "TCP with options and extension headers"
    );
    assert_eq!(
        checksum.ipv4_transmit.get() & checksum.ipv6_transmit.get() & 0x40,
        0x40,
        "UDP"
    );
    assert_eq!(offload.large_send_v2.ipv4_encapsulation.get() & 2, 2);
    assert_eq!(offload.large_send_v2.ipv4_max_size.get(), 60000);
    assert_eq!(offload.large_send_v2.ipv6_options.get() & 5, 5);
    assert_eq!(
        rig.query(Oid::TCP_OFFLOAD_CURRENT_CONFIG).unwrap()[4..112],
        [0; 108]
    );

    let mut parameters = [0; 28];
    parameters[..4].copy_from_slice(&[0x80, 3, 28, 0]);
    parameters[5] = 4; // TCP over IPv4, both ways
    parameters[6] = 2; // UDP over IPv4, transmit only
    parameters[11] = 2; // large send over IPv4
    assert_eq!(
        rig.set(Oid::TCP_OFFLOAD_PARAMETERS, &parameters),
        RndisStatus::SUCCESS
    );
    let enabled = rig.nic.data_path().enabled;
    let tcp4 = Checksums {
        tcp4: true,
        ..Checksums::NONE
    };
    assert_eq!(
        (enabled.receive, enabled.transmit),
        (tcp4, Checksums { udp4: true, ..tcp4 })
    );
    assert_eq!((enabled.large_send_ipv4, enabled.large_send_ipv6), (60000, 0));
    // With NVSP 4 and before Linux sends 22 bytes.
    assert_eq!(
        rig.set(Oid::TCP_OFFLOAD_PARAMETERS, &parameters[..22]),
        RndisStatus::SUCCESS
    );
    assert_eq!(
        rig.set(Oid::TCP_OFFLOAD_PARAMETERS, &parameters[..19]),
        RndisStatus::BUFFER_TOO_SHORT
    );
    parameters[5] = 5;
    assert_eq!(
        rig.set(Oid::TCP_OFFLOAD_PARAMETERS, &parameters),
        RndisStatus::INVALID_DATA
    );
    assert_eq!(rig.nic.data_path().enabled, enabled);
}

#[test]
fn per_packet_info_reaches_a_backend_that_offered_it() {
    let mut rig = Rig::<4096>::up(NicConfig {
        offloads: offloading(),
        ..config()
    });
    let mut ppi = PpiList::<4>::new();
    let flags = TransmitChecksums::IS_IPV4 | TransmitChecksums::TCP;
    ppi.push(PpiType::CHECKSUM, &ChecksumTransmit::new(flags, 34))
        .unwrap();
    ppi.push(PpiType::LARGE_SEND, &LargeSend::v2(1448, 34, false))
        .unwrap();
    ppi.push(PpiType::VLAN, &Vlan::new(3, false, 42)).unwrap();
    ppi.push(PpiType::HASH_VALUE, &0xdead_beef_u32.to_le_bytes())
        .unwrap();
    let large = frame(MAC, 1, 20000);
    let id = rig.id();
    rig.send_pages(
        0,
        id,
        ChannelType::DATA,
        (NO_SECTION, 0),
        &packet(ppi.as_bytes(), &large),
    );
    rig.run();
    assert_eq!(rig.transfer_status(0, id), Status::SUCCESS);
    let (sent, info) = rig.net.frames.borrow_mut().pop().unwrap();
    assert_eq!(sent, large);
    assert_eq!(info.checksum.unwrap().flags(), flags);
    assert_eq!(info.checksum.unwrap().transport_offset(), 34);
    assert_eq!(info.large_send.unwrap().mss(), 1448);
    assert_eq!(info.vlan.unwrap().tci(), 3 << 13 | 42);
    assert_eq!(info.hash, Some(0xdead_beef));
}

#[test]
fn a_backend_that_offered_nothing_gets_complete_frames() {
    let mut rig = Rig::<4096>::up(config());
    let plain = frame(MAC, 1, 100);
    let mut ppi = PpiList::<2>::new();
    ppi.push(PpiType::VLAN, &Vlan::new(5, true, 100)).unwrap();
    // A checksum record that asks for nothing is no offload.
    ppi.push(
        PpiType::CHECKSUM,
        &ChecksumTransmit::new(TransmitChecksums::IS_IPV4, 34),
    )
    .unwrap();
    let transfer = [
        packet(&[], &plain),
        packet(ppi.as_bytes(), &plain),
        packet(&[], &plain),
    ]
    .concat();
    assert_eq!(rig.send_section(0, 0, &transfer), Status::SUCCESS);
    let mut tagged = plain.clone();
    tagged.splice(12..12, [0x81, 0, 0xb0, 100]);
    assert_eq!(rig.net.take(), [plain.clone(), tagged, plain.clone()]);
    for (kind, value) in [
        (
            PpiType::CHECKSUM,
            ChecksumTransmit::new(TransmitChecksums::TCP, 34).value,
        ),
        (
            PpiType::CHECKSUM,
            ChecksumTransmit::new(TransmitChecksums::IS_IPV6 | TransmitChecksums::UDP, 54).value,
        ),
        (
            PpiType::CHECKSUM,
            ChecksumTransmit::new(TransmitChecksums::IP_HEADER, 0).value,
        ),
        (PpiType::LARGE_SEND, LargeSend::v1(1000, 34).value),
        (PpiType::LARGE_SEND, LargeSend::v2(1000, 54, true).value),
    ] {
        let mut ppi = PpiList::<1>::new();
        ppi.push(kind, &value).unwrap();
        assert_eq!(
            rig.send_section(0, 0, &packet(ppi.as_bytes(), &plain)),
            Status::FAILURE
        );
        assert_eq!(rig.refused.pop(), Some(Refusal::Offload));
    }
    assert!(rig.net.take().is_empty());
}

#[test]
fn offsets_move_with_a_tag_that_is_put_in() {
    let mut rig = Rig::<4096>::up(NicConfig {
        offloads: Offloads {
            vlan: false,
            ..offloading()
        },
        ..config()
    });
    for (send, moved) in [
        (LargeSend::v2(1448, 34, false), LargeSend::v2(1448, 38, false)),
        (LargeSend::v2(1428, 54, true), LargeSend::v2(1428, 58, true)),
        (LargeSend::v1(1448, 34), LargeSend::v1(1448, 38)),
    ] {
        let mut ppi = PpiList::<3>::new();
        let flags = TransmitChecksums::IS_IPV4 | TransmitChecksums::TCP;
        ppi.push(PpiType::CHECKSUM, &ChecksumTransmit::new(flags, 34))
            .unwrap();
        ppi.push(PpiType::LARGE_SEND, &send).unwrap();
        ppi.push(PpiType::VLAN, &Vlan::new(0, false, 9)).unwrap();
        assert_eq!(
            rig.send_section(0, 0, &packet(ppi.as_bytes(), &frame(MAC, 1, 3000))),
            Status::SUCCESS
        );
        let (sent, info) = rig.net.frames.borrow_mut().pop().unwrap();
        assert_eq!((sent.len(), &sent[12..16]), (3004, &[0x81, 0, 0, 9][..]));
        assert_eq!((info.vlan, info.large_send), (None, Some(moved)));
        assert_eq!(info.checksum, Some(ChecksumTransmit::new(flags, 38)));
    }
}

#[test]
fn what_is_known_of_a_received_frame_is_told() {
    let mut rig = Rig::<4096>::up(NicConfig {
        offloads: offloading(),
        ..config()
    });
    let info = ReceiveInfo {
        vlan: Some(Vlan::new(1, false, 7)),
        checksums: ReceiveChecksums::TCP_SUCCEEDED | ReceiveChecksums::IP_SUCCEEDED,
        hash: Some(0x1234_5678),
    };
    let records = |rig: &mut Rig, info: &ReceiveInfo| {
        rig.queues[0].receive(&frame(MAC, 0, 60), info).unwrap();
        let _ = rig.queues[0].flush().unwrap();
        rig.run();
        let got = rig.guest[0].frames.pop_front().unwrap();
        assert_eq!(got.data, frame(MAC, 0, 60));
        let word = |data: &[u8]| u32::from_le_bytes(data.try_into().unwrap());
        PpiWalk::new(&got.ppi)
            .map(|ppi| ppi.map(|ppi| (ppi.kind, word(ppi.data))).unwrap())
            .collect::<Vec<_>>()
    };
    let (vlan, hash) = ((PpiType::VLAN, 7 << 4 | 1), (PpiType::HASH_VALUE, 0x1234_5678));
    // Checksums only once the guest has switched them on.
    assert_eq!(records(&mut rig, &info), [vlan, hash]);
    let mut parameters = [0; 28];
    parameters[..4].copy_from_slice(&[0x80, 3, 28, 0]);
    parameters[5] = 3;
    assert_eq!(
        rig.set(Oid::TCP_OFFLOAD_PARAMETERS, &parameters),
        RndisStatus::SUCCESS
    );
    assert_eq!(records(&mut rig, &info), [(PpiType::CHECKSUM, 0x8), vlan, hash]);
    assert_eq!(records(&mut rig, &ReceiveInfo::NONE), []);
}
