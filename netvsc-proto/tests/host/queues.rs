//! Sub-channels, and how received frames are spread over them.

use netvsc_proto::host::{NicConfig, ReceiveInfo, Spreader};
use netvsc_proto::wire::nvsp::{self, Status, Version};
use netvsc_proto::wire::nvsp_message::{GuestMessage, HostMessage};
use netvsc_proto::wire::oid::Oid;
use netvsc_proto::wire::rss::HashInfo;
use netvsc_proto::wire::status::RndisStatus;
use zerocopy::IntoBytes;

use crate::config;
use crate::support::{MAC, Rig, frame, packet};

#[test]
fn subchannels_are_granted_offered_and_used() {
    let mut rig = Rig::<4096>::up(NicConfig {
        max_queues: 4,
        ..config()
    });
    let ask = |rig: &mut Rig, operation, count: u32| {
        let request = nvsp::SubchannelRequest {
            operation,
            count: count.into(),
        };
        let payload = rig.ask(&GuestMessage::Subchannel(request));
        match Rig::<4096>::host_message(&payload) {
            HostMessage::Subchannel(complete) => (complete.status, complete.count.get()),
            other => panic!("{other}"),
        }
    };
    use nvsp::SubchannelOperation as Operation;
    assert_eq!(ask(&mut rig, Operation::NONE, 1), (Status::FAILURE, 0));
    assert_eq!(ask(&mut rig, Operation::ALLOCATE, 63), (Status::SUCCESS, 3));
    assert_eq!(rig.offered, 3);
    assert_eq!(ask(&mut rig, Operation::ALLOCATE, 1), (Status::FAILURE, 0));
    for _ in 0..3 {
        assert!(rig.guest[0].messages.is_empty());
        rig.open_subchannel();
        rig.run();
    }
    let message = rig.guest[0].messages.pop_front().unwrap();
    let HostMessage::SendIndirectionTable(table) = HostMessage::decode(&message, Version::V6).unwrap() else {
        panic!()
    };
    assert_eq!(
        table.map(|entry| entry.get()),
        [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3]
    );

    for channel in 0..4 {
        let tag = channel as u8;
        assert_eq!(
            rig.send_section(channel, 2, &packet(&[], &frame(MAC, tag, 100))),
            Status::SUCCESS
        );
        rig.queues[channel]
            .receive(&frame(MAC, tag, 90), &ReceiveInfo::NONE)
            .unwrap();
        assert!(rig.queues[channel].flush().unwrap().is_needed());
        rig.run();
        assert_eq!(
            rig.guest[channel].frames.pop_front().unwrap().data,
            frame(MAC, tag, 90)
        );
    }
    let queues: Vec<_> = rig
        .net
        .frames
        .borrow()
        .iter()
        .map(|(_, info)| info.queue)
        .collect();
    assert_eq!(queues, [0, 1, 2, 3]);
}

#[test]
fn case_13_never_more_subchannels_than_asked_for() {
    for (asked, granted) in [(0, 0), (1, 1), (2, 2), (7, 7), (8, 7), (u32::MAX, 7)] {
        let mut rig = Rig::<4096>::up(NicConfig {
            max_queues: 8,
            sections_per_queue: 16,
            ..config()
        });
        let operation = nvsp::SubchannelOperation::ALLOCATE;
        let request = nvsp::SubchannelRequest {
            operation,
            count: asked.into(),
        };
        let payload = rig.ask(&GuestMessage::Subchannel(request));
        let HostMessage::Subchannel(complete) = Rig::<4096>::host_message(&payload) else {
            panic!()
        };
        assert_eq!(
            (complete.status, complete.count.get()),
            (Status::SUCCESS, granted)
        );
        assert_eq!(u32::from(rig.offered), granted);
    }
}

/// Parameters as `rndis_set_rss_param_msg` has them.
fn rss(flags: u16, hash_info: HashInfo, table: &[u32], key: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x89, 2, 40, 0];
    bytes.extend(flags.to_le_bytes());
    bytes.extend([0; 2]);
    bytes.extend(hash_info.bits().to_le_bytes());
    bytes.extend((table.len() as u32 * 4).to_le_bytes());
    bytes.extend(40_u32.to_le_bytes());
    bytes.extend((key.len() as u32).to_le_bytes());
    bytes.extend((40 + table.len() as u32 * 4).to_le_bytes());
    bytes.extend([0; 12]);
    bytes.extend(table.as_bytes());
    bytes.extend(key);
    bytes
}

#[test]
fn rss_spreads_as_the_guest_says() {
    let mut rig = Rig::<4096>::up(NicConfig {
        max_queues: 4,
        ..config()
    });
    rig.tell(&GuestMessage::Subchannel(nvsp::SubchannelRequest {
        operation: nvsp::SubchannelOperation::ALLOCATE,
        count: 3.into(),
    }));
    for _ in 0..3 {
        rig.open_subchannel();
    }
    let tcp = |port: u16| {
        let mut frame = frame(MAC, 0, 54);
        frame[12..14].copy_from_slice(&[0x08, 0x00]);
        frame[14] = 0x45;
        frame[20..22].fill(0);
        frame[23] = 6;
        frame[34..36].copy_from_slice(&port.to_be_bytes());
        frame
    };
    assert_eq!(Spreader::new(rig.nic.data_path()).queue_for(&tcp(1)), 0);
    let info = HashInfo::TOEPLITZ | HashInfo::IPV4 | HashInfo::TCP_IPV4 | HashInfo::IPV6 | HashInfo::TCP_IPV6;
    let table: Vec<u32> = (0..128).map(|index| index % 4).collect();
    let key: Vec<u8> = (0..40_u8).map(|byte| byte.wrapping_mul(37) ^ 11).collect();
    // Linux switches off first, with everything else filled in.
    assert_eq!(
        rig.set(Oid::GEN_RECEIVE_SCALE_PARAMETERS, &rss(0x10, info, &table, &key)),
        RndisStatus::SUCCESS
    );
    assert_eq!(rig.nic.data_path().rss, None);
    assert_eq!(
        rig.set(Oid::GEN_RECEIVE_SCALE_PARAMETERS, &rss(0, info, &table, &key)),
        RndisStatus::SUCCESS
    );
    let spreader = Spreader::new(rig.nic.data_path());
    let mut hits = [0; 4];
    for port in 0..400 {
        let queue = spreader.queue_for(&tcp(port));
        assert_eq!(u32::from(queue), spreader.hash(&tcp(port)).unwrap() % 128 % 4);
        hits[usize::from(queue)] += 1;
    }
    assert!(hits.iter().all(|hits| *hits > 40), "{hits:?}");
    // Only the table changes: what is said to be unchanged is kept.
    let only_one = rss(0x2 | 0x8, HashInfo::empty(), &[3], &[]);
    assert_eq!(
        rig.set(Oid::GEN_RECEIVE_SCALE_PARAMETERS, &only_one),
        RndisStatus::SUCCESS
    );
    assert_eq!(Spreader::new(rig.nic.data_path()).queue_for(&tcp(5)), 3);
    // Switched off again, everything goes to the primary channel.
    assert_eq!(
        rig.set(
            Oid::GEN_RECEIVE_SCALE_PARAMETERS,
            &rss(0, HashInfo::empty(), &[], &[])
        ),
        RndisStatus::SUCCESS
    );
    assert_eq!(Spreader::new(rig.nic.data_path()).queue_for(&tcp(5)), 0);
}

#[test]
fn case_13_rss_tables_that_cannot_be() {
    let mut rig = Rig::<4096>::up(NicConfig {
        max_queues: 2,
        ..config()
    });
    let info = HashInfo::TOEPLITZ | HashInfo::IPV4;
    let key = [7; 40];
    let mut refused = |bytes: &[u8], expected| {
        assert_eq!(rig.set(Oid::GEN_RECEIVE_SCALE_PARAMETERS, bytes), expected);
        assert_eq!(rig.nic.data_path().rss, None);
    };
    refused(&rss(0, info, &[], &key), RndisStatus::INVALID_LENGTH);
    refused(&rss(0, info, &[0, 1, 2], &key), RndisStatus::INVALID_DATA);
    refused(&rss(0, info, &[0, u32::MAX], &key), RndisStatus::INVALID_DATA);
    refused(&rss(0, info, &[0x1_0000], &key), RndisStatus::INVALID_DATA);
    refused(&rss(0, info, &[0; 129], &key), RndisStatus::INVALID_LENGTH);
    refused(&rss(0, info, &[0, 1], &key[..39]), RndisStatus::INVALID_DATA);
    refused(&rss(0, info, &[0, 1], &[7; 41]), RndisStatus::INVALID_DATA);
    refused(&rss(0x4, info, &[], &key), RndisStatus::INVALID_DATA);
    refused(&rss(0x8, info, &[0], &[]), RndisStatus::INVALID_DATA);
    refused(&rss(0x2, info, &[0], &key), RndisStatus::INVALID_DATA);
    refused(
        &rss(0, HashInfo::from_bits_retain(0x102), &[0], &key),
        RndisStatus::NOT_SUPPORTED,
    );
    refused(&rss(0, info, &[0], &key)[..27], RndisStatus::BUFFER_TOO_SHORT);
    let mut odd = rss(0, info, &[0, 1], &key);
    odd[12] = 7;
    refused(&odd, RndisStatus::INVALID_LENGTH);
    for (at, what) in [(16, "table"), (24, "key")] {
        for offset in [86_u32, 0x7fff_ffff, u32::MAX] {
            let mut outside = rss(0, info, &[0, 1], &key);
            outside[at..at + 4].copy_from_slice(&offset.to_le_bytes());
            assert_eq!(
                rig.set(Oid::GEN_RECEIVE_SCALE_PARAMETERS, &outside),
                RndisStatus::INVALID_DATA,
                "{what}"
            );
        }
    }
    assert_eq!(
        rig.set(Oid::GEN_RECEIVE_SCALE_PARAMETERS, &rss(0, info, &[0, 1], &key)),
        RndisStatus::SUCCESS
    );
}
