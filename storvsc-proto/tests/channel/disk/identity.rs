//! What a disk says of itself.

use storvsc_proto::host::{BlockSize, Discard, Geometry, Identity, Lun, Serial};
use storvsc_proto::scsi::{Command, PageControl, VpdPage};
use storvsc_proto::wire::{LunAddress, NtStatus, SrbStatus};

use super::{inquiry, read, with, write};
use crate::support::{Data, Op, RamDisk, Rig, large_blocks, one_disk};

#[test]
fn inquiry_names_the_disk() {
    let mut rig = one_disk();
    let data = rig.command(0, inquiry(None, 96), Data::In(96)).good();
    assert_eq!(data.len(), 96);
    assert_eq!(data[..8], [0x00, 0x00, 0x05, 0x02, 91, 0, 0, 0x02]);
    assert_eq!(&data[8..36], b"Msft    Virtual Disk    1.0 ");
    // Linux asks for 36 bytes first.
    assert_eq!(rig.command(0, inquiry(None, 36), Data::In(36)).good(), data[..36]);
    // What the buffer has no room for is left out, whatever the CDB says.
    assert_eq!(rig.command(0, inquiry(None, 96), Data::In(5)).good(), data[..5]);
    assert_eq!(rig.command(0, inquiry(None, 0), Data::None).good(), []);
    // A page code without the bit for pages, and the obsolete bit for commands.
    assert_eq!(
        rig.scsi(0, &[0x12, 0, 0x80, 0, 96, 0], Data::In(96)).failed(),
        (5, 0x24, 0)
    );
    assert_eq!(
        rig.scsi(0, &[0x12, 2, 0, 0, 96, 0], Data::In(96)).failed(),
        (5, 0x24, 0)
    );
}

#[test]
fn vital_product_data_lists_its_pages_and_each_says_its_length() {
    let mut rig = one_disk();
    let list = rig
        .command(0, inquiry(Some(VpdPage::SUPPORTED_PAGES), 255), Data::In(255))
        .good();
    assert_eq!(list, [0, 0, 0, 6, 0x00, 0x80, 0x83, 0xb0, 0xb1, 0xb2]);
    for page in &list[4..] {
        let data = rig
            .command(0, inquiry(Some(VpdPage(*page)), 255), Data::In(255))
            .good();
        assert_eq!(data[..2], [0, *page]);
        assert_eq!(
            usize::from(u16::from_be_bytes([data[2], data[3]])),
            data.len() - 4
        );
        let short = rig
            .command(0, inquiry(Some(VpdPage(*page)), 4), Data::In(255))
            .good();
        assert_eq!(short, data[..4]);
    }
    for page in [0x01, 0x82, 0x86, 0xb3, 0xb9, 0xff] {
        assert_eq!(
            rig.command(0, inquiry(Some(VpdPage(page)), 255), Data::In(255))
                .failed(),
            (5, 0x24, 0)
        );
    }
    let serial = rig
        .command(0, inquiry(Some(VpdPage::UNIT_SERIAL_NUMBER), 255), Data::In(255))
        .good();
    assert_eq!(&serial[4..], b"SN-0001");
    let rotation = rig
        .command(
            0,
            inquiry(Some(VpdPage::BLOCK_DEVICE_CHARACTERISTICS), 255),
            Data::In(255),
        )
        .good();
    assert_eq!((rotation.len(), rotation[4], rotation[5]), (64, 0, 1));
}

#[test]
fn names_are_those_of_the_embedder() {
    let mut disk = RamDisk::new(64);
    let naa: [u8; 16] = *b"\x60\x02\x24\x80\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb";
    disk.identity = Identity {
        vendor: *b"ACME    ",
        serial: Serial::new("X1").unwrap(),
        naa: Some(naa),
        ..disk.identity
    };
    let mut plain = RamDisk::new(64);
    plain.identity.serial = Serial::EMPTY;
    let mut rig = Rig::ready(vec![Lun::new(0, disk), Lun::new(1, plain)]);
    let page = rig
        .command(
            0,
            inquiry(Some(VpdPage::DEVICE_IDENTIFICATION), 255),
            Data::In(255),
        )
        .good();
    assert_eq!(page[4..8], [1, 3, 0, 16]);
    assert_eq!(page[8..24], naa);
    assert_eq!(page[24..28], [2, 1, 0, 10]);
    assert_eq!(&page[28..], b"ACME    X1");
    // Without a serial number there is no page of it.
    let list = rig
        .command(1, inquiry(Some(VpdPage::SUPPORTED_PAGES), 255), Data::In(255))
        .good();
    assert_eq!(list[4..], [0x00, 0x83, 0xb0, 0xb1, 0xb2]);
    let page = inquiry(Some(VpdPage::UNIT_SERIAL_NUMBER), 255);
    assert_eq!(rig.command(1, page, Data::In(255)).failed(), (5, 0x24, 0));
    assert!(Serial::new("a serial number of more than 32 bytes").is_err());
    assert!(Serial::new("tab\t").is_err());
}

#[test]
fn limits_follow_from_the_geometry() {
    let mut rig = one_disk();
    let limits = rig
        .command(0, inquiry(Some(VpdPage::BLOCK_LIMITS), 255), Data::In(255))
        .good();
    let word = |at: usize| u32::from_be_bytes(limits[at..at + 4].try_into().unwrap());
    assert_eq!(limits.len(), 64);
    assert_eq!(limits[4], 1, "a WRITE SAME of 0 blocks is not taken");
    assert_eq!(word(8), 2048, "1 MiB in blocks");
    assert_eq!((word(20), word(24)), (u32::MAX, 64), "UNMAP");
    assert_eq!((word(28), word(32)), (8, 0x8000_0000), "4096 bytes in blocks");
    assert_eq!((word(36), word(40)), (0, 65536), "32 MiB in blocks");

    let mut rig = with(large_blocks());
    let limits = rig
        .command(0, inquiry(Some(VpdPage::BLOCK_LIMITS), 255), Data::In(255))
        .good();
    assert_eq!(limits[8..12], 256_u32.to_be_bytes());
    assert_eq!(limits[20..32], [0; 12], "no UNMAP");
    let page = rig
        .command(
            0,
            inquiry(Some(VpdPage::LOGICAL_BLOCK_PROVISIONING), 255),
            Data::In(255),
        )
        .good();
    assert_eq!(page[4..], [0, 0, 0, 0]);
}

#[test]
fn provisioning_is_told_in_both_places_alike() {
    for reads_zero in [false, true] {
        let discard = Some(Discard {
            granularity: 0,
            reads_zero,
        });
        let mut rig = with(Geometry {
            blocks: 64,
            discard,
            ..Geometry::default()
        });
        let page = rig
            .command(
                0,
                inquiry(Some(VpdPage::LOGICAL_BLOCK_PROVISIONING), 255),
                Data::In(255),
            )
            .good();
        assert_eq!(page[4..], [0, if reads_zero { 0xe4 } else { 0xe0 }, 2, 0]);
        let capacity = rig
            .command(0, Command::ReadCapacity16 { allocation: 32 }, Data::In(32))
            .good();
        assert_eq!(capacity[14], if reads_zero { 0xc0 } else { 0x80 });
    }
}

#[test]
fn capacity_is_the_last_block_and_saturates_in_the_short_form() {
    for (blocks, last32) in [
        (1, 0),
        (4096, 4095),
        (1 << 32, u32::MAX),
        ((1 << 32) + 1, u32::MAX),
        (u64::MAX, u32::MAX),
    ] {
        let geometry = Geometry {
            blocks,
            physical_block_size: BlockSize::B4096,
            ..Geometry::default()
        };
        let mut rig = with(geometry);
        let short = rig.command(0, Command::ReadCapacity10, Data::In(8)).good();
        assert_eq!(short[..4], last32.to_be_bytes());
        assert_eq!(short[4..], 512_u32.to_be_bytes());
        let long = rig
            .command(0, Command::ReadCapacity16 { allocation: 32 }, Data::In(32))
            .good();
        assert_eq!(long[..8], (blocks - 1).to_be_bytes());
        assert_eq!(
            long[8..16],
            [0, 0, 2, 0, 0, 3, 0, 0],
            "8 logical blocks are a physical one"
        );
        // Linux 3.x asked for 12 bytes.
        let part = rig
            .command(0, Command::ReadCapacity16 { allocation: 12 }, Data::In(32))
            .good();
        assert_eq!(part, long[..12]);
    }
    let mut rig = with(large_blocks());
    assert_eq!(
        rig.command(0, Command::ReadCapacity10, Data::In(8)).good(),
        [0, 0, 1, 255, 0, 0, 16, 0]
    );
}

#[test]
fn mode_pages_say_how_the_disk_caches_and_whether_it_can_be_written() {
    let sense = |long, control, page, allocation| Command::ModeSense {
        long,
        no_block_descriptor: true,
        control,
        page,
        subpage: 0,
        allocation,
    };
    let mut rig = one_disk();
    let caching = rig
        .command(0, sense(false, PageControl::Current, 8, 192), Data::In(192))
        .good();
    assert_eq!(caching[..7], [23, 0, 0x10, 0, 0x08, 18, 0x04]);
    assert_eq!(caching.len(), 24);
    // Linux asks for the header first, and then for as much as that says.
    assert_eq!(
        rig.command(0, sense(false, PageControl::Current, 8, 4), Data::In(4))
            .good(),
        caching[..4]
    );
    let changeable = rig
        .command(0, sense(false, PageControl::Changeable, 8, 192), Data::In(192))
        .good();
    assert_eq!(changeable[4..7], [0x08, 18, 0], "nothing can be changed");
    let default = rig
        .command(0, sense(false, PageControl::Default, 8, 192), Data::In(192))
        .good();
    assert_eq!(default, caching);
    assert_eq!(
        rig.command(0, sense(false, PageControl::Saved, 8, 192), Data::In(192))
            .failed(),
        (5, 0x39, 0)
    );
    let all = rig
        .command(0, sense(true, PageControl::Current, 0x3f, 255), Data::In(255))
        .good();
    assert_eq!(all[..8], [0, 38, 0, 0x10, 0, 0, 0, 0]);
    assert_eq!((all[8], all[28], all[31], all.len()), (0x08, 0x0a, 0x10, 40));
    for page in [0x00, 0x01, 0x1c, 0x3e] {
        assert_eq!(
            rig.command(0, sense(false, PageControl::Current, page, 192), Data::In(192))
                .failed(),
            (5, 0x24, 0)
        );
    }
    // The subpage 0xff is all of them, others are none.
    assert_eq!(
        rig.scsi(0, &[0x1a, 8, 0x3f, 0xff, 192, 0], Data::In(192))
            .good()
            .len(),
        36
    );
    assert_eq!(
        rig.scsi(0, &[0x1a, 8, 0x0a, 0x05, 192, 0], Data::In(192))
            .failed(),
        (5, 0x24, 0)
    );
    // With a block descriptor, of 4096 blocks of 512 bytes.
    let described = rig.scsi(0, &[0x1a, 0, 8, 0, 192, 0], Data::In(192)).good();
    assert_eq!(described[..12], [31, 0, 0x10, 8, 0, 0, 0x10, 0, 0, 0, 2, 0]);

    let mut rig = with(Geometry {
        blocks: 64,
        read_only: true,
        ..Geometry::default()
    });
    let caching = rig
        .command(0, sense(false, PageControl::Current, 8, 192), Data::In(192))
        .good();
    assert_eq!(
        (caching[2], caching[6]),
        (0x90, 0),
        "write protected, and no write cache"
    );
}

#[test]
fn a_scan_finds_the_disks_and_nothing_else_without_a_failure() {
    let mut rig = Rig::ready(vec![
        Lun::new(1, RamDisk::new(64)),
        Lun::new(200, RamDisk::new(64)),
        Lun::new(7, RamDisk::new(64)),
    ]);
    let report = Command::ReportLuns {
        ordinary: true,
        allocation: 4096,
    };
    let expected = |luns: &[u8]| {
        let mut list = vec![0, 0, 0, 8 * luns.len() as u8, 0, 0, 0, 0];
        for lun in luns {
            list.extend([0, *lun, 0, 0, 0, 0, 0, 0]);
        }
        list
    };
    // LUN 0 answers although there is no disk.
    assert_eq!(
        rig.command(0, report, Data::In(4096)).good(),
        expected(&[1, 7, 200])
    );
    let none = rig.command(0, inquiry(None, 36), Data::In(36)).good();
    assert_eq!((none[0], none[2], &none[8..12]), (0x7f, 5, &b"Msft"[..]));
    let none = rig.command(2, inquiry(None, 36), Data::In(36)).good();
    assert_eq!((none[0], &none[8..]), (0x7f, &[0; 28][..]));
    // Other targets and paths: Linux asks LUN 0 of each.
    for at in [
        LunAddress {
            target: 1,
            ..LunAddress::lun(0)
        },
        LunAddress {
            path: 7,
            ..LunAddress::lun(0)
        },
    ] {
        let none = rig
            .scsi_at(at, inquiry(None, 36).to_cdb().as_bytes(), Data::In(36), 0)
            .good();
        assert_eq!(none[0], 0x7f);
        assert_eq!(
            rig.scsi_at(at, report.to_cdb().as_bytes(), Data::In(4096), 0)
                .good(),
            expected(&[])
        );
    }
    // The list is cut off where the guest says, and its length tells how long it would be.
    let short = Command::ReportLuns {
        ordinary: true,
        allocation: 20,
    };
    assert_eq!(
        rig.command(1, short, Data::In(4096)).good(),
        expected(&[1, 7, 200])[..20]
    );
    assert_eq!(
        rig.command(1, report, Data::In(12)).good(),
        expected(&[1, 7, 200])[..12]
    );
    let well_known = Command::ReportLuns {
        ordinary: false,
        allocation: 4096,
    };
    assert_eq!(rig.command(1, well_known, Data::In(4096)).good(), expected(&[]));

    rig.luns[0].detach();
    assert_eq!(rig.command(0, report, Data::In(4096)).good(), expected(&[7, 200]));
    rig.luns[0].attach();
    rig.command(1, Command::TestUnitReady, Data::None).good();
}

#[test]
fn a_lun_that_is_not_there_says_so_in_the_way_that_makes_linux_drop_it() {
    let mut rig = one_disk();
    rig.luns[0].detach();
    for ended in [
        rig.command(0, Command::TestUnitReady, Data::None),
        rig.command(0, read(0, 1), Data::In(512)),
        rig.scsi(3, &[0xff; 6], Data::None),
    ] {
        assert_eq!(ended.srb.srb_status.status(), SrbStatus::INVALID_LUN);
        assert_eq!(ended.nt, NtStatus::DEVICE_DOES_NOT_EXIST);
        assert_eq!(ended.failed(), (5, 0x25, 0));
    }
    let page = inquiry(Some(VpdPage::SUPPORTED_PAGES), 255);
    assert_eq!(rig.command(0, page, Data::In(255)).failed(), (5, 0x24, 0));
    assert_eq!(rig.disk(0).take_ops(), []);
}

#[test]
fn disks_of_two_luns_are_two() {
    let mut rig = Rig::ready(vec![
        Lun::new(0, RamDisk::new(64)),
        Lun::new(1, RamDisk::with(large_blocks())),
    ]);
    rig.command(0, write(0, 1), Data::Out(&[1; 512])).good();
    rig.command(1, write(0, 1), Data::Out(&[2; 4096])).good();
    assert_eq!(rig.command(0, read(0, 1), Data::In(512)).good(), [1; 512]);
    assert_eq!(rig.command(1, read(0, 1), Data::In(4096)).good(), [2; 4096]);
    assert_eq!(rig.disk(1).take_ops(), [Op::Write(0, 4096), Op::Read(0, 4096)]);
}
