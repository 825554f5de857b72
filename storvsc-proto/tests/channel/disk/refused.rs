//! What a disk refuses, and how it says why.

use storvsc_proto::host::{Attention, BlockError, Discard, Geometry};
use storvsc_proto::scsi::{Command, OperationCode, ScsiStatus, Sense, SenseKey};
use storvsc_proto::wire::SrbStatus;
use vmbus_proto::hvcall::MemoryError;

use super::discard::{unmap, unmap_list};
use super::{inquiry, read, with, write};
use crate::support::{Data, one_disk};

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
    // What is busy has no sense data: the guest tries again.
    *rig.disk(0).fail.lock().unwrap() = Some(BlockError::Busy);
    for ended in [
        rig.command(0, read(0, 1), Data::In(512)),
        rig.command(0, write(0, 1), Data::Out(&[0; 512])),
    ] {
        assert_eq!(ended.srb.srb_status.0, SrbStatus::BUSY.0);
        assert_eq!((ended.srb.scsi_status.0, ended.sense), (ScsiStatus::BUSY.0, None));
        assert_eq!(ended.srb.transfer_length.get(), 0);
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
