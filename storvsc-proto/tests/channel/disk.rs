//! Commands, as a guest sends them, and what it gets.

use storvsc_proto::host::{Attention, BlockError, BlockSize, Discard, Geometry, Identity, Lun, Serial};
use storvsc_proto::scsi::{Command, OperationCode, PageControl, Sense, SenseKey, VpdPage};
use storvsc_proto::wire::{LunAddress, NtStatus, SrbStatus};
use vmbus_proto::hvcall::MemoryError;

use crate::support::{Data, Op, RamDisk, Rig, large_blocks, one_disk, pattern};

fn inquiry(page: Option<VpdPage>, allocation: u16) -> Command {
    Command::Inquiry { page, allocation }
}

fn read(lba: u64, blocks: u32) -> Command {
    Command::Read {
        lba,
        blocks,
        force_unit_access: false,
    }
}

fn write(lba: u64, blocks: u32) -> Command {
    Command::Write {
        lba,
        blocks,
        force_unit_access: false,
    }
}

fn with(geometry: Geometry) -> Rig {
    Rig::ready(vec![Lun::new(0, RamDisk::with(geometry))])
}

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
fn data_comes_back_in_every_form_and_from_any_offset_in_a_page() {
    let mut rig = one_disk();
    let at = LunAddress::lun(0);
    let data = pattern(9 * 512, 1);
    // READ(6) has 21 bits of address, of which the top three bits of its byte are not part.
    let writes: [&[u8]; 4] = [
        &[0x0a, 0x00, 0x01, 0x00, 9, 0],
        &[0x2a, 0, 0, 0, 0x02, 0x00, 0, 0, 9, 0],
        &[0xaa, 0, 0, 0, 0x03, 0x00, 0, 0, 0, 9, 0, 0],
        &[0x8a, 0, 0, 0, 0, 0, 0, 0, 0x04, 0x00, 0, 0, 0, 9, 0, 0],
    ];
    for (which, cdb) in writes.iter().enumerate() {
        let lba = 0x100 * (which as u64 + 1);
        for offset in [0, 512, 1, 4095] {
            rig.disk(0).take_ops();
            rig.scsi_at(at, cdb, Data::Out(&data), offset).good();
            assert_eq!(rig.disk(0).take_ops(), [Op::Write(lba * 512, 9 * 512)]);
            assert_eq!(
                rig.disk(0).data.lock().unwrap()[lba as usize * 512..][..9 * 512],
                data
            );
            let mut back = cdb.to_vec();
            back[0] -= 2;
            assert_eq!(rig.scsi_at(at, &back, Data::In(9 * 512), offset).good(), data);
        }
    }
    let top = rig
        .scsi(0, &[0x08, 0xe0, 0x01, 0x00, 9, 0], Data::In(9 * 512))
        .good();
    assert_eq!(top, data);
    assert_eq!(
        rig.scsi(0, &[0x08, 0, 0, 0, 0, 0], Data::In(256 * 512))
            .good()
            .len(),
        256 * 512,
        "0 is 256"
    );
    assert_eq!(rig.command(0, read(0, 0), Data::None).good(), []);
    assert_eq!(rig.command(0, write(4096, 0), Data::None).good(), []);
}

#[test]
fn a_transfer_of_the_largest_size_goes_in_one_piece() {
    let mut rig = one_disk();
    let data = pattern(1 << 20, 7);
    let at = LunAddress::lun(0);
    rig.scsi_at(at, write(0, 2048).to_cdb().as_bytes(), Data::Out(&data), 512)
        .good();
    assert_eq!(
        rig.scsi_at(at, read(0, 2048).to_cdb().as_bytes(), Data::In(1 << 20), 2048)
            .good(),
        data
    );
}

#[test]
fn only_what_the_cdb_says_is_transferred() {
    let mut rig = one_disk();
    let data = rig.command(0, read(0, 2), Data::In(4096)).good();
    assert_eq!(data.len(), 1024);
    let data = pattern(4096, 3);
    let ended = rig.command(0, write(10, 2), Data::Out(&data));
    assert_eq!(ended.srb.transfer_length.get(), 1024);
    let disk = rig.disk(0).data.lock().unwrap();
    assert_eq!(disk[10 * 512..12 * 512], data[..1024]);
    assert_eq!(disk[12 * 512..16 * 512], [0; 2048]);
}

#[test]
fn a_buffer_that_is_too_small_is_an_overrun_and_nothing_is_transferred() {
    let mut rig = one_disk();
    for ended in [
        rig.command(0, read(0, 3), Data::In(1024)),
        rig.command(0, write(0, 3), Data::Out(&[1; 1024])),
        rig.command(0, read(0, 1), Data::None),
        rig.command(0, read(0, 4096), Data::In(512)),
    ] {
        assert_eq!(ended.srb.srb_status.status(), SrbStatus::DATA_OVERRUN);
        assert_eq!(ended.nt, NtStatus::BUFFER_OVERFLOW);
        assert_eq!(ended.failed(), (5, 0x24, 0));
    }
    assert_eq!(rig.disk(0).take_ops(), []);
}

#[test]
fn blocks_beyond_the_last_are_out_of_range_at_every_extreme() {
    let ranges = [
        (4096, 1),
        (4095, 2),
        (0, 4097),
        (4097, 0),
        (u64::from(u32::MAX), 1),
        (1 << 32, 1),
        (u64::MAX, 1),
        (u64::MAX, u32::MAX),
        (u64::MAX - u64::from(u32::MAX) + 1, u32::MAX),
        (u64::MAX / 512, 1),
        (u64::MAX / 512 + 1, 1),
    ];
    let mut rig = one_disk();
    for (lba, blocks) in ranges {
        for command in [
            read(lba, blocks),
            write(lba, blocks),
            Command::Verify { lba, blocks },
            Command::WriteSame {
                lba,
                blocks: blocks.max(1),
                unmap: true,
                no_data_out: true,
            },
        ] {
            let ended = rig.command(0, command, Data::In(512));
            let information = ended.sense.unwrap().information;
            assert_eq!(information, u32::try_from(lba).ok().map(u64::from), "{command:?}");
            assert_eq!(ended.failed(), (5, 0x21, 0), "{command:?}");
        }
        if blocks > 0 {
            let command = Command::SynchronizeCache { lba, blocks };
            assert_eq!(rig.command(0, command, Data::None).failed(), (5, 0x21, 0));
        }
    }
    assert_eq!(rig.disk(0).take_ops(), []);
    // The last block is not.
    rig.command(0, read(4095, 1), Data::In(512)).good();

    // A disk whose last byte has no 64-bit offset: its blocks are there as far as bytes can be counted.
    let mut rig = with(Geometry {
        blocks: u64::MAX,
        discard: Some(Discard::default()),
        ..Geometry::default()
    });
    for lba in [u64::MAX - 1, u64::MAX / 512, u64::MAX / 512 - 1] {
        let ended = rig.command(0, Command::Verify { lba, blocks: 1 }, Data::None);
        if lba < u64::MAX / 512 {
            ended.good();
        } else {
            assert_eq!(ended.failed(), (5, 0x21, 0));
        }
    }
}

#[test]
fn a_forced_write_is_flushed_where_there_is_a_cache() {
    let mut rig = one_disk();
    let forced = Command::Write {
        lba: 0,
        blocks: 1,
        force_unit_access: true,
    };
    rig.command(0, forced, Data::Out(&[1; 512])).good();
    assert_eq!(rig.disk(0).take_ops(), [Op::Write(0, 512), Op::Flush]);
    rig.command(
        0,
        Command::Read {
            lba: 0,
            blocks: 1,
            force_unit_access: true,
        },
        Data::In(512),
    )
    .good();
    assert_eq!(rig.disk(0).take_ops(), [Op::Read(0, 512)]);
    let mut rig = with(Geometry {
        blocks: 64,
        ..Geometry::default()
    });
    rig.command(0, forced, Data::Out(&[1; 512])).good();
    assert_eq!(rig.disk(0).take_ops(), [Op::Write(0, 512)]);
}

#[test]
fn both_forms_of_synchronize_cache_flush() {
    let mut rig = one_disk();
    rig.command(0, Command::SynchronizeCache { lba: 0, blocks: 0 }, Data::None)
        .good();
    rig.scsi(
        0,
        &[0x91, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        Data::None,
    )
    .good();
    assert_eq!(rig.disk(0).take_ops(), [Op::Flush, Op::Flush]);
    *rig.disk(0).fail.lock().unwrap() = Some(BlockError::Medium);
    let ended = rig.command(0, Command::SynchronizeCache { lba: 0, blocks: 0 }, Data::None);
    assert_eq!(ended.failed(), (3, 0x0c, 0));
}

/// An UNMAP parameter list.
fn unmap_list(ranges: &[(u64, u32)]) -> Vec<u8> {
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

fn unmap(list: &[u8]) -> Command {
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

#[test]
fn a_read_only_disk_refuses_all_that_writes_and_nothing_else() {
    let mut rig = with(Geometry {
        blocks: 64,
        read_only: true,
        discard: Some(Discard::default()),
        ..Geometry::default()
    });
    let list = unmap_list(&[(0, 1)]);
    rig.command(0, read(0, 1), Data::In(512)).good();
    rig.command(0, Command::TestUnitReady, Data::None).good();
    rig.command(0, Command::SynchronizeCache { lba: 0, blocks: 0 }, Data::None)
        .good();
    rig.disk(0).take_ops();
    for ended in [
        rig.command(0, write(0, 1), Data::Out(&[1; 512])),
        rig.command(0, write(0, 0), Data::None),
        rig.command(0, unmap(&list), Data::Out(&list)),
        rig.command(
            0,
            Command::WriteSame {
                lba: 0,
                blocks: 1,
                unmap: false,
                no_data_out: true,
            },
            Data::None,
        ),
    ] {
        assert_eq!(ended.failed(), (7, 0x27, 0));
    }
    assert_eq!(rig.disk(0).take_ops(), []);
}

#[test]
fn a_disk_without_a_medium_is_not_ready() {
    let mut rig = with(Geometry::default());
    for command in [
        Command::TestUnitReady,
        Command::ReadCapacity10,
        Command::ReadCapacity16 { allocation: 32 },
        read(0, 1),
        write(0, 1),
        Command::Verify { lba: 0, blocks: 0 },
        Command::SynchronizeCache { lba: 0, blocks: 0 },
    ] {
        assert_eq!(
            rig.command(0, command, Data::In(512)).failed(),
            (2, 0x3a, 0),
            "{command:?}"
        );
    }
    rig.command(0, inquiry(None, 36), Data::In(36)).good();
}

#[test]
fn what_the_disk_says_becomes_sense_data() {
    let mut rig = one_disk();
    for (error, reading, writing) in [
        (BlockError::Medium, (3, 0x11, 0), (3, 0x0c, 0)),
        (BlockError::NoSpace, (7, 0x27, 7), (7, 0x27, 7)),
        (BlockError::ReadOnly, (7, 0x27, 0), (7, 0x27, 0)),
        (BlockError::OutOfRange, (5, 0x21, 0), (5, 0x21, 0)),
        (BlockError::Unsupported, (5, 0x20, 0), (5, 0x20, 0)),
        (BlockError::Internal, (4, 0x44, 0), (4, 0x44, 0)),
    ] {
        *rig.disk(0).fail.lock().unwrap() = Some(error);
        assert_eq!(
            rig.command(0, read(0, 1), Data::In(512)).failed(),
            reading,
            "{error}"
        );
        assert_eq!(
            rig.command(0, write(0, 1), Data::Out(&[0; 512])).failed(),
            writing,
            "{error}"
        );
    }
    // Memory that the guest does not have is no matter of the disk's.
    *rig.disk(0).fail.lock().unwrap() = Some(BlockError::Memory(MemoryError { gpa: 0, len: 1 }));
    let ended = rig.command(0, read(0, 1), Data::In(512));
    assert_eq!(ended.srb.srb_status.0, SrbStatus::INVALID_REQUEST.0);
    assert_eq!(
        (
            ended.srb.scsi_status.0,
            ended.sense,
            ended.srb.transfer_length.get()
        ),
        (0, None, 0)
    );
}

#[test]
fn start_and_stop_flush_and_nothing_can_be_ejected() {
    let mut rig = one_disk();
    let start = |start, load_eject, power_condition| Command::StartStopUnit {
        start,
        load_eject,
        power_condition,
    };
    rig.command(0, start(true, false, 0), Data::None).good();
    assert_eq!(rig.disk(0).take_ops(), []);
    rig.command(0, start(false, false, 0), Data::None).good();
    assert_eq!(rig.disk(0).take_ops(), [Op::Flush]);
    rig.command(0, start(false, false, 3), Data::None).good();
    assert_eq!(
        rig.command(0, start(false, true, 0), Data::None).failed(),
        (5, 0x24, 0)
    );
    // It still reads.
    rig.command(0, read(0, 1), Data::In(512)).good();
}

#[test]
fn an_attention_is_told_once_to_the_first_command_that_is_to_know() {
    let mut rig = one_disk();
    rig.luns[0].raise(Attention::InquiryChanged);
    rig.luns[0].raise(Attention::CapacityChanged);
    rig.command(0, inquiry(None, 36), Data::In(36)).good();
    rig.command(
        0,
        Command::ReportLuns {
            ordinary: true,
            allocation: 16,
        },
        Data::In(16),
    )
    .good();
    let ended = rig.command(0, write(0, 1), Data::Out(&[1; 512]));
    assert_eq!(
        ended.srb.srb_status.status(),
        SrbStatus::ERROR,
        "Linux looks again at this status only"
    );
    assert_eq!(ended.failed(), (6, 0x2a, 9));
    assert_eq!(rig.disk(0).take_ops(), [], "the command was not run");
    // REQUEST SENSE takes the next one as its data.
    let sense = rig
        .command(
            0,
            Command::RequestSense {
                descriptor: false,
                allocation: 18,
            },
            Data::In(18),
        )
        .good();
    assert_eq!(Sense::decode(&sense).unwrap().key, SenseKey::UNIT_ATTENTION);
    assert_eq!(sense[12..14], [0x3f, 0x03]);
    let sense = rig
        .command(
            0,
            Command::RequestSense {
                descriptor: true,
                allocation: 255,
            },
            Data::In(255),
        )
        .good();
    assert_eq!(Sense::decode(&sense).unwrap(), Sense::default());
    rig.command(0, write(0, 1), Data::Out(&[1; 512])).good();
    for (attention, code) in [
        (Attention::PowerOn, (6, 0x29, 0)),
        (Attention::ConditionsChanged, (6, 0x3f, 0)),
    ] {
        rig.luns[0].raise(attention);
        // A command that is not supported is to know as well.
        assert_eq!(rig.scsi(0, &[0xff; 6], Data::None).failed(), code);
    }
}

#[test]
fn what_is_not_supported_is_an_invalid_operation_code() {
    let mut rig = one_disk();
    for code in [
        OperationCode::FORMAT_UNIT,
        OperationCode::MODE_SELECT_6,
        OperationCode::MODE_SELECT_10,
        OperationCode::RESERVE_6,
        OperationCode::PERSISTENT_RESERVE_IN,
        OperationCode::PERSISTENT_RESERVE_OUT,
        OperationCode::LOG_SENSE,
        OperationCode::MAINTENANCE_IN,
        OperationCode::ATA_PASS_THROUGH_16,
        OperationCode::COMPARE_AND_WRITE,
        OperationCode::EXTENDED_COPY,
        OperationCode::VARIABLE_LENGTH,
    ] {
        let mut cdb = [0; 16];
        cdb[0] = code.0;
        let ended = rig.scsi(0, &cdb, Data::In(512));
        assert_eq!(ended.srb.srb_status.status(), SrbStatus::INVALID_REQUEST);
        assert_eq!(ended.failed(), (5, 0x20, 0), "{code}");
    }
    // A service action that is not, is an invalid field.
    let mut cdb = [0; 16];
    (cdb[0], cdb[1]) = (0x9e, 0x12);
    assert_eq!(rig.scsi(0, &cdb, Data::In(512)).failed(), (5, 0x24, 0));
}

#[test]
fn fields_that_are_not_supported_are_named() {
    let mut rig = one_disk();
    for (cdb, byte, bit) in [
        (&[0x28, 0x20, 0, 0, 0, 0, 0, 0, 1, 0][..], 1, Some(5)),
        (&[0x28, 0x01, 0, 0, 0, 0, 0, 0, 1, 0], 1, Some(0)),
        (&[0x2f, 0x02, 0, 0, 0, 0, 0, 0, 1, 0], 1, Some(1)),
        (&[0x28, 0x00, 0, 0, 0, 0, 0, 0, 1, 0x04], 9, Some(2)),
        (&[0x00, 0, 0, 0, 0, 0x04], 5, Some(2)),
        (&[0x25, 0, 0, 0, 0, 1, 0, 0, 0, 0], 2, None),
        (&[0xa0, 0, 3, 0, 0, 0, 0, 0, 0, 16, 0, 0], 2, None),
    ] {
        let ended = rig.scsi(0, cdb, Data::In(512));
        // REPORT LUNS is the controller's, which asks the LUN when it is not legal.
        let field = ended.sense.unwrap().field.unwrap();
        assert_eq!(
            (field.in_cdb, field.byte, field.bit),
            (true, byte, bit),
            "{cdb:02x?}"
        );
        assert_eq!(ended.failed(), (5, 0x24, 0));
    }
    // A CDB that ends too early.
    assert_eq!(
        rig.scsi(0, &[0x28, 0, 0, 0, 0, 0], Data::In(512)).failed(),
        (5, 0x24, 0)
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
