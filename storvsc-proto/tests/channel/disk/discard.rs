//! UNMAP and WRITE SAME.

use storvsc_proto::host::Geometry;
use storvsc_proto::scsi::Command;
use storvsc_proto::wire::SrbStatus;

use super::{read, with, write};
use crate::support::{Data, Op, large_blocks, one_disk, pattern};

/// An UNMAP parameter list.
pub(super) fn unmap_list(ranges: &[(u64, u32)]) -> Vec<u8> {
    let len = 16 * ranges.len() as u16;
    let mut list = vec![0; 8];
    list[..2].copy_from_slice(&(len + 6).to_be_bytes());
    list[2..4].copy_from_slice(&len.to_be_bytes());
    for (lba, blocks) in ranges {
        list.extend(lba.to_be_bytes());
        list.extend(blocks.to_be_bytes());
        list.extend([0; 4]);
    }
    list
}

pub(super) fn unmap(list: &[u8]) -> Command {
    Command::Unmap {
        parameter_length: list.len() as u16,
    }
}

#[test]
fn unmap_discards_every_range_of_its_list() {
    let mut rig = one_disk();
    rig.command(0, write(0, 64), Data::Out(&pattern(64 * 512, 1)))
        .good();
    rig.disk(0).take_ops();
    let list = unmap_list(&[(0, 8), (16, 0), (4088, 8)]);
    rig.command(0, unmap(&list), Data::Out(&list)).good();
    assert_eq!(
        rig.disk(0).take_ops(),
        [Op::Discard(0, 4096), Op::Discard(4088 * 512, 4096)]
    );
    let most = unmap_list(&[(1, 1); 64]);
    rig.command(0, unmap(&most), Data::Out(&most)).good();
    assert_eq!(rig.disk(0).take_ops().len(), 64);
    // No list, and an empty one, are no error.
    rig.command(0, unmap(&[]), Data::None).good();
    let empty = unmap_list(&[]);
    rig.command(0, unmap(&empty), Data::Out(&empty)).good();
    assert_eq!(rig.disk(0).take_ops(), []);
}

#[test]
fn case_08_an_unmap_list_that_changes_is_read_once() {
    let mut rig = one_disk();
    rig.ram.changing.store(true, std::sync::atomic::Ordering::Relaxed);
    // Judged, and then worked on: were it looked at again, it would be none.
    let list = unmap_list(&[(0, 8), (64, 16)]);
    rig.command(0, unmap(&list), Data::Out(&list)).good();
    assert_eq!(
        rig.disk(0).take_ops(),
        [Op::Discard(0, 8 * 512), Op::Discard(64 * 512, 16 * 512)]
    );
}

#[test]
fn an_unmap_list_is_judged_before_any_of_it_is_done() {
    let mut rig = one_disk();
    let good = unmap_list(&[(0, 8), (8, 8)]);
    let changed = |at: usize, value: u16| {
        let mut list = good.clone();
        list[at..at + 2].copy_from_slice(&value.to_be_bytes());
        list
    };
    let beyond = unmap_list(&[(0, 8), (4095, 2)]);
    let extreme = unmap_list(&[(0, 8), (u64::MAX, u32::MAX)]);
    let many = unmap_list(&[(0, 1); 65]);
    for (list, expected) in [
        (good[..7].to_vec(), (5, 0x1a, 0)),
        (good[..39].to_vec(), (5, 0x1a, 0)),
        (changed(0, 39), (5, 0x1a, 0)),
        (changed(0, u16::MAX), (5, 0x1a, 0)),
        (changed(2, 48), (5, 0x1a, 0)),
        (changed(2, u16::MAX), (5, 0x1a, 0)),
        (many, (5, 0x26, 0)),
        (beyond, (5, 0x21, 0)),
        (extreme, (5, 0x21, 0)),
    ] {
        assert_eq!(
            rig.command(0, unmap(&list), Data::Out(&list)).failed(),
            expected,
            "{list:02x?}"
        );
    }
    // A list that the buffer does not hold.
    let ended = rig.command(0, unmap(&good), Data::Out(&good[..24]));
    assert_eq!(ended.srb.srb_status.status(), SrbStatus::DATA_OVERRUN);
    assert_eq!(rig.disk(0).take_ops(), []);
    // The rest of an incomplete descriptor is passed over.
    let partial = changed(2, 31);
    rig.command(0, unmap(&partial), Data::Out(&partial)).good();
    assert_eq!(rig.disk(0).take_ops(), [Op::Discard(0, 4096)]);
    // Keeping the blocks anchored is not supported, nor is any of it without thin provisioning.
    assert_eq!(
        rig.scsi(0, &[0x42, 1, 0, 0, 0, 0, 0, 0, 40, 0], Data::Out(&good))
            .failed(),
        (5, 0x24, 0)
    );
    let mut rig = with(large_blocks());
    assert_eq!(
        rig.command(0, unmap(&good), Data::Out(&good)).failed(),
        (5, 0x20, 0)
    );
}

#[test]
fn write_same_writes_zeroes_and_anything_else() {
    let mut rig = one_disk();
    let same = |lba, blocks, unmap, no_data_out| Command::WriteSame {
        lba,
        blocks,
        unmap,
        no_data_out,
    };
    for command in [
        same(8, 16, true, false),
        same(8, 16, false, false),
        same(1 << 11, 2048, true, false),
    ] {
        let ended = rig.command(0, command, Data::Out(&[0; 512]));
        assert_eq!(ended.srb.transfer_length.get(), 512);
        ended.good();
    }
    rig.command(0, same(8, 16, true, true), Data::None).good();
    assert_eq!(
        rig.disk(0).take_ops(),
        [
            Op::WriteZeroes(4096, 8192),
            Op::WriteZeroes(4096, 8192),
            Op::WriteZeroes(1 << 20, 1 << 20),
            Op::WriteZeroes(4096, 8192)
        ]
    );
    let block = pattern(512, 9);
    rig.command(0, same(3, 5, true, false), Data::Out(&block)).good();
    assert_eq!(rig.disk(0).take_ops(), [Op::Write(3 * 512, 5 * 512)]);
    assert_eq!(
        rig.command(0, read(3, 5), Data::In(5 * 512)).good(),
        block.repeat(5)
    );
    assert_eq!(rig.command(0, read(8, 1), Data::In(512)).good(), [0; 512]);

    assert_eq!(
        rig.command(0, same(0, 0, false, true), Data::None).failed(),
        (5, 0x24, 0),
        "0 blocks"
    );
    let ended = rig.command(0, same(0, 1, false, false), Data::Out(&[0; 511]));
    assert_eq!(ended.srb.srb_status.status(), SrbStatus::DATA_OVERRUN);
    // Anchors, addresses in the data, and a block that is not sent in the short form, are not supported.
    for flags in [0x10, 0x04, 0x02, 0x01, 0x20] {
        let cdb = [0x41, flags, 0, 0, 0, 0, 0, 0, 1, 0];
        assert_eq!(rig.scsi(0, &cdb, Data::Out(&[0; 512])).failed(), (5, 0x24, 0));
    }
    let mut rig = with(Geometry {
        blocks: 1 << 30,
        ..Geometry::default()
    });
    assert_eq!(
        rig.command(0, same(0, 65537, false, true), Data::None).failed(),
        (5, 0x24, 0),
        "over 32 MiB"
    );
    assert_eq!(
        rig.command(0, same(0, 1, true, true), Data::None).failed(),
        (5, 0x24, 0),
        "no unmapping"
    );
    rig.command(0, same(0, 65536, false, true), Data::None).good();
}
