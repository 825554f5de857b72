//! Reads, writes and flushes.

use storvsc_proto::host::{BlockError, Discard, Geometry};
use storvsc_proto::scsi::Command;
use storvsc_proto::wire::{LunAddress, NtStatus, SrbStatus};

use super::{read, with, write};
use crate::support::{Data, Op, one_disk, pattern};

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
