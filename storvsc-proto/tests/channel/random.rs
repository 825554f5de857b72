//! Anything at all: no panic, and every answer well-formed.

use proptest::prelude::*;
use storvsc_proto::host::{Discard, Geometry, Lun};
use storvsc_proto::wire::{GuestMessage, LunAddress, ScsiRequest};

use crate::support::{Data, Ended, RamDisk, Rig, large_blocks};

/// Disks of every kind.
fn rig() -> Rig {
    let small = Geometry {
        blocks: 64,
        write_cache: true,
        discard: Some(Discard::default()),
        ..Geometry::default()
    };
    Rig::ready(vec![
        Lun::new(0, RamDisk::with(small)),
        Lun::new(
            1,
            RamDisk::with(Geometry {
                read_only: true,
                ..small
            }),
        ),
        Lun::new(2, RamDisk::with(large_blocks())),
        Lun::new(3, RamDisk::with(Geometry::default())),
        Lun::new(
            4,
            RamDisk::with(Geometry {
                blocks: u64::MAX,
                ..small
            }),
        ),
    ])
}

fn assert_well_formed(ended: &Ended) {
    let check_condition = ended.srb.scsi_status.0 == 2;
    assert_eq!(
        check_condition,
        ended.srb.srb_status.autosense_valid(),
        "{ended:?}"
    );
    assert_eq!(check_condition, ended.sense.is_some(), "{ended:?}");
    assert!(!ended.srb.srb_status.queue_frozen());
    assert_eq!(ended.srb.srb_status.status().nt_status(), ended.nt);
    if ended.srb.srb_status.0 == 1 {
        assert_eq!(ended.srb.scsi_status.0, 0);
    } else {
        assert_eq!(ended.srb.transfer_length.get(), 0);
    }
}

/// CDBs of which the first byte is a command that there is, more often than not.
fn cdb() -> impl Strategy<Value = Vec<u8>> {
    let codes = storvsc_proto::scsi::OperationCode::NAMED;
    let first = prop_oneof![4 => (0..codes.len()).prop_map(|at| codes[at].0), 1 => any::<u8>()];
    // Small numbers reach further than random ones.
    let byte = prop_oneof![3 => Just(0_u8), 1 => 0..8_u8, 1 => any::<u8>()];
    (first, prop::collection::vec(byte, 0..16), 1..17_usize).prop_map(|(first, rest, len)| {
        let mut cdb = vec![first];
        cdb.extend(rest);
        cdb.resize(len.max(1), 0);
        cdb
    })
}

proptest! {
    #[test]
    fn any_cdb_gets_a_well_formed_answer(
        cdbs in prop::collection::vec((cdb(), 0..6_u8, 0..3_usize, 0..1200_usize, any::<u8>()), 1..12),
    ) {
        let mut rig = rig();
        for (cdb, lun, direction, len, seed) in cdbs {
            let bytes = vec![seed & 3; len];
            let data = match direction {
                0 => Data::None,
                1 => Data::In(len),
                _ => Data::Out(&bytes),
            };
            let ended = rig.scsi(lun, &cdb, data);
            assert_well_formed(&ended);
        }
    }

    #[test]
    fn any_packet_gets_an_answer_or_none_was_wanted(packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 1..20)) {
        let mut rig = rig();
        for packet in packets {
            let id = rig.driver.send_bytes(&packet);
            prop_assert!(rig.run().is_ok());
            prop_assert_eq!(rig.driver.receive().map(|received| received.id), Some(id));
        }
    }

    #[test]
    fn any_srb_gets_an_answer(
        head in any::<[u8; 16]>(), payload in any::<[u8; 20]>(), tail in any::<[u8; 16]>(), lun in 0..6_u8,
    ) {
        let mut bytes = [0; 52];
        bytes[..16].copy_from_slice(&head);
        bytes[16..36].copy_from_slice(&payload);
        bytes[36..].copy_from_slice(&tail);
        let mut request: ScsiRequest = zerocopy::transmute!(bytes);
        LunAddress { path: request.path, target: request.target, lun: request.lun } = LunAddress::lun(lun);
        let mut rig = rig();
        let id = rig.driver.send(&GuestMessage::ExecuteSrb(request));
        prop_assert!(rig.run().is_ok());
        prop_assert_eq!(rig.driver.receive().unwrap().id, id);
    }

    #[test]
    fn what_is_written_is_what_is_read(
        writes in prop::collection::vec((0..60_u64, 1..5_u32, any::<u8>(), 0..4096_usize), 1..12),
    ) {
        let mut rig = rig();
        let mut model = vec![0; 64 * 512];
        let at = LunAddress::lun(0);
        for (lba, blocks, seed, offset) in writes {
            let data = crate::support::pattern(blocks as usize * 512, seed);
            let command = storvsc_proto::scsi::Command::Write { lba, blocks, force_unit_access: seed & 1 == 0 };
            rig.scsi_at(at, command.to_cdb().as_bytes(), Data::Out(&data), offset).good();
            model[lba as usize * 512..][..data.len()].copy_from_slice(&data);
        }
        let command = storvsc_proto::scsi::Command::Read { lba: 0, blocks: 64, force_unit_access: false };
        prop_assert_eq!(rig.scsi_at(at, command.to_cdb().as_bytes(), Data::In(64 * 512), 1).good(), model);
    }
}
