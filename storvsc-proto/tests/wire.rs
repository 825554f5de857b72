//! Packets and CDBs: what is encoded decodes again, and what is no packet does not.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "numbers here are the tests' own"
)]

use proptest::prelude::*;
use storvsc_proto::scsi::{
    AdditionalSense, Cdb, CdbError, Command, FieldPointer, OperationCode, PageControl, ScsiStatus, Sense,
    SenseError, SenseKey, VpdPage,
};
use storvsc_proto::wire::{
    ChannelProperties, Completion, CompletionBody, FcHbaData, GuestMessage, HostMessage, LunAddress,
    NotificationBody, NtStatus, Operation, PacketForm, ProtocolVersion, ScsiRequest, SrbFlags, SrbStatus,
    SrbStatusByte, WireError,
};
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U32};

fn srb() -> impl Strategy<Value = ScsiRequest> {
    (any::<[u8; 32]>(), any::<[u8; 20]>()).prop_map(|(head, tail)| {
        let mut bytes = [0; 52];
        bytes[..32].copy_from_slice(&head);
        bytes[32..].copy_from_slice(&tail);
        zerocopy::transmute!(bytes)
    })
}

fn guest_message() -> impl Strategy<Value = GuestMessage> {
    prop_oneof![
        Just(GuestMessage::BeginInitialization),
        Just(GuestMessage::EndInitialization),
        any::<u16>().prop_map(|version| GuestMessage::QueryProtocolVersion(ProtocolVersion(version))),
        Just(GuestMessage::QueryProperties),
        Just(GuestMessage::FcHbaData),
        any::<u16>().prop_map(GuestMessage::CreateSubChannels),
        srb().prop_map(GuestMessage::ExecuteSrb),
        any::<(u8, u8, u8)>().prop_map(|(path, target, lun)| GuestMessage::ResetLun(LunAddress {
            path,
            target,
            lun
        })),
        Just(GuestMessage::ResetAdapter),
        any::<u8>().prop_map(|path| GuestMessage::ResetBus { path }),
    ]
}

fn fc_hba() -> impl Strategy<Value = FcHbaData> {
    any::<([u8; 18], [u8; 18])>().prop_map(|halves| {
        let mut bytes = [0; 36];
        bytes[..18].copy_from_slice(&halves.0);
        bytes[18..].copy_from_slice(&halves.1);
        zerocopy::transmute!(bytes)
    })
}

fn host_message() -> impl Strategy<Value = HostMessage> {
    let body = prop_oneof![
        Just(CompletionBody::Empty),
        any::<u16>().prop_map(|version| CompletionBody::Version(ProtocolVersion(version))),
        any::<[u8; 24]>().prop_map(|bytes| CompletionBody::Properties(zerocopy::transmute!(bytes))),
        fc_hba().prop_map(CompletionBody::FcHba),
        srb().prop_map(CompletionBody::Srb),
    ];
    prop_oneof![
        (any::<u32>(), body)
            .prop_map(|(status, body)| HostMessage::CompleteIo(Completion::new(NtStatus(status), &body))),
        Just(HostMessage::RemoveDevice),
        Just(HostMessage::EnumerateBus),
        fc_hba().prop_map(HostMessage::FcHbaData),
        any::<[u8; 4]>().prop_map(|bytes| HostMessage::EventNotification(zerocopy::transmute!(bytes))),
    ]
}

/// The SRB as the short form leaves it.
fn shortened(mut request: ScsiRequest) -> ScsiRequest {
    request.as_mut_bytes()[36..].fill(0);
    request
}

fn command() -> impl Strategy<Value = Command> {
    let range = || (any::<u64>(), any::<u32>());
    let small = || (any::<u32>().prop_map(u64::from), any::<u16>().prop_map(u32::from));
    let any_range = move || prop_oneof![range(), small()];
    let control = prop_oneof![
        Just(PageControl::Current),
        Just(PageControl::Changeable),
        Just(PageControl::Default),
        Just(PageControl::Saved)
    ];
    prop_oneof![
        Just(Command::TestUnitReady),
        Just(Command::ReadCapacity10),
        any::<(bool, u8)>().prop_map(|(descriptor, allocation)| Command::RequestSense {
            descriptor,
            allocation
        }),
        any::<(Option<u8>, u16)>().prop_map(|(page, allocation)| Command::Inquiry {
            page: page.map(VpdPage),
            allocation
        }),
        (any::<(bool, bool, u8, u8, u16)>(), control).prop_map(
            |((long, dbd, page, subpage, allocation), control)| {
                Command::ModeSense {
                    long: long || allocation > 255,
                    no_block_descriptor: dbd,
                    control,
                    page: page & 0x3f,
                    subpage,
                    allocation,
                }
            }
        ),
        any::<(bool, bool, u8)>().prop_map(|(start, load_eject, power)| Command::StartStopUnit {
            start,
            load_eject,
            power_condition: power & 0xf
        }),
        any::<u32>().prop_map(|allocation| Command::ReadCapacity16 { allocation }),
        any::<(bool, u32)>().prop_map(|(ordinary, allocation)| Command::ReportLuns { ordinary, allocation }),
        (any_range(), any::<bool>()).prop_map(|((lba, blocks), force_unit_access)| Command::Read {
            lba,
            blocks,
            force_unit_access
        }),
        (any_range(), any::<bool>()).prop_map(|((lba, blocks), force_unit_access)| Command::Write {
            lba,
            blocks,
            force_unit_access
        }),
        any_range().prop_map(|(lba, blocks)| Command::Verify { lba, blocks }),
        any_range().prop_map(|(lba, blocks)| Command::SynchronizeCache { lba, blocks }),
        (any_range(), any::<(bool, bool)>()).prop_map(|((lba, blocks), (unmap, no_data_out))| {
            Command::WriteSame {
                lba,
                blocks,
                unmap,
                no_data_out,
            }
        }),
        any::<u16>().prop_map(|parameter_length| Command::Unmap { parameter_length }),
    ]
}

fn sense() -> impl Strategy<Value = Sense> {
    let field = any::<Option<(bool, u16, Option<u8>)>>().prop_map(|field| {
        field.map(|(in_cdb, byte, bit)| FieldPointer {
            in_cdb,
            byte,
            bit: bit.map(|bit| bit & 7),
        })
    });
    (0..16_u8, any::<u16>(), any::<bool>(), any::<Option<u64>>(), field).prop_map(
        |(key, additional, deferred, information, field)| Sense {
            key: SenseKey(key),
            additional: AdditionalSense(additional),
            deferred,
            information,
            field,
        },
    )
}

proptest! {
    #[test]
    fn a_cdb_has_nothing_beyond_its_length(request in srb(), len in 0..=u8::MAX) {
        let request = ScsiRequest { cdb_length: len, ..request };
        let len = usize::from(len);
        let bytes = request.cdb_or_sense.get(..len.min(17)).unwrap_or_default();
        let cdb = request.cdb();
        prop_assert_eq!(cdb.is_ok(), (1..=16).contains(&len));
        match cdb {
            // Equal in all of its 16 bytes, of which those beyond the length are zero.
            Ok(cdb) => prop_assert_eq!(cdb, Cdb::new(bytes).unwrap()),
            Err(error) => prop_assert_eq!(error.len, len),
        }
    }

    #[test]
    fn what_a_guest_sends_decodes_again(message in guest_message()) {
        let long = message.encode(PacketForm::Long);
        prop_assert_eq!(long.as_bytes().len(), 64);
        prop_assert_eq!(GuestMessage::decode(long.as_bytes()), Ok(message));
        let short = message.encode(PacketForm::Short);
        prop_assert_eq!(short.as_bytes(), &long.as_bytes()[..48]);
        let expected = match message {
            GuestMessage::ExecuteSrb(request) => GuestMessage::ExecuteSrb(shortened(request)),
            other => other,
        };
        prop_assert_eq!(GuestMessage::decode(short.as_bytes()), Ok(expected));
        // The other side's decoder takes none of it, but for the one operation that goes both ways.
        prop_assert!(matches!(message, GuestMessage::FcHbaData) || HostMessage::decode(long.as_bytes()).is_err());
        prop_assert!(!message.to_string().contains('\n'));
    }

    #[test]
    fn what_a_host_sends_decodes_again(message in host_message()) {
        let long = message.encode(PacketForm::Long);
        prop_assert_eq!(HostMessage::decode(long.as_bytes()), Ok(message));
        prop_assert!(matches!(message, HostMessage::FcHbaData(_)) || GuestMessage::decode(long.as_bytes()).is_err());
        if let HostMessage::CompleteIo(completion) = message {
            let short = message.encode(PacketForm::Short);
            let Ok(HostMessage::CompleteIo(decoded)) = HostMessage::decode(short.as_bytes()) else {
                panic!("{message}");
            };
            prop_assert_eq!(decoded.status, completion.status);
            prop_assert_eq!(decoded.srb(), completion.srb().map(shortened));
            prop_assert_eq!(decoded.version(), completion.version());
            prop_assert_eq!(decoded.properties(), completion.properties());
            prop_assert_eq!(decoded.fc_hba(), completion.fc_hba());
        }
        prop_assert!(!message.to_string().contains('\n'));
    }

    #[test]
    fn any_bytes_decode_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        for decoded in [GuestMessage::decode(&bytes).map(|m| m.to_string()), HostMessage::decode(&bytes).map(|m| m.to_string())] {
            match decoded {
                Ok(text) => prop_assert!(bytes.len() <= 64 && !text.is_empty()),
                Err(WireError::TooLong { len, .. } | WireError::TooShort { len, .. } | WireError::NoHeader { len, .. }) => {
                    prop_assert_eq!(len, bytes.len());
                }
                Err(error) => {
let other = matches!(error, WireError::NotForThisDirection { .. });
prop_assert!(other);
}
            }
        }
    }

    #[test]
    fn a_command_is_its_cdb(command in command()) {
        let cdb = command.to_cdb();
        prop_assert_eq!(Some(cdb.as_bytes().len()), cdb.operation().cdb_len());
        prop_assert_eq!(Command::parse(&cdb), Ok(command));
        prop_assert!(!cdb.to_string().contains('\n'));
    }

    #[test]
    fn any_cdb_is_a_command_or_has_sense_data(bytes in prop::collection::vec(any::<u8>(), 1..17)) {
        let cdb = Cdb::new(&bytes).unwrap();
        prop_assert_eq!(cdb.as_bytes(), &bytes[..]);
        if let Err(error) = Command::parse(&cdb) {
            prop_assert_eq!(error.sense().key, SenseKey::ILLEGAL_REQUEST);
        }
        prop_assert!(!cdb.to_string().is_empty());
    }

    #[test]
    fn sense_data_comes_back_in_both_formats(sense in sense()) {
        prop_assert_eq!(Sense::decode(&sense.to_descriptor()), Ok(sense));
        let mut fixed = sense;
        fixed.information = sense.information.filter(|lba| u32::try_from(*lba).is_ok());
        prop_assert_eq!(Sense::decode(&sense.to_fixed()), Ok(fixed));
    }

    #[test]
    fn any_sense_data_decodes_or_is_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..40), code in 0x70..0x74_u8) {
        let _ = Sense::decode(&bytes);
        if let Some(first) = bytes.first_mut() {
            *first = code;
        }
        prop_assert_eq!(Sense::decode(&bytes).is_ok(), bytes.len() >= 8);
    }
}

#[test]
fn a_request_as_linux_sends_it() {
    // READ(10) of 8 blocks from 0x12345678 on, at LUN 3, as hv_storvsc of Linux 6.1 fills it in.
    let mut bytes = [0_u8; 64];
    bytes[0] = 3;
    bytes[4] = 1;
    bytes[12] = 52;
    bytes[16..20].copy_from_slice(&[2, 0, 0, 3]);
    bytes[20..24].copy_from_slice(&[10, 20, 1, 0]);
    bytes[24..28].copy_from_slice(&4096_u32.to_le_bytes());
    bytes[28..38].copy_from_slice(&[0x28, 0, 0x12, 0x34, 0x56, 0x78, 0, 0, 8, 0]);
    bytes[50..52].copy_from_slice(&[0xff, 0x20]);
    bytes[52..56].copy_from_slice(&0x14a_u32.to_le_bytes());
    bytes[56] = 60;
    let message = GuestMessage::decode(&bytes).unwrap();
    let GuestMessage::ExecuteSrb(request) = message else {
        panic!("{message}")
    };
    assert_eq!(request.address(), LunAddress::lun(3));
    assert_eq!(
        (request.length.get(), request.port, request.sense_length),
        (52, 2, 20)
    );
    assert_eq!(
        (request.timeout.get(), request.queue_tag, request.queue_action.0),
        (60, 0xff, 0x20)
    );
    assert_eq!(
        request.flags(),
        SrbFlags::QUEUE_ACTION_ENABLE
            | SrbFlags::DISABLE_SYNCH_TRANSFER
            | SrbFlags::DATA_IN
            | SrbFlags::NO_QUEUE_FREEZE
    );
    assert_eq!(
        message.to_string(),
        "EXECUTE_SRB 0:0:3 READ(10) block 305419896 count 8, in 4096 bytes"
    );
    let cdb = request.cdb().unwrap();
    assert_eq!(
        Command::parse(&cdb),
        Ok(Command::Read {
            lba: 0x1234_5678,
            blocks: 8,
            force_unit_access: false
        })
    );
    assert_eq!(message.encode(PacketForm::Long).as_bytes(), bytes);
}

#[test]
fn traces_read_well() {
    let request = ScsiRequest {
        length: U16::new(52),
        srb_status: SrbStatusByte::new(SrbStatus::INVALID_REQUEST).with_autosense(),
        scsi_status: ScsiStatus::CHECK_CONDITION,
        sense_length: 18,
        ..Default::default()
    };
    let mut failed = request;
    failed.cdb_or_sense[..18].copy_from_slice(&Sense::lba_out_of_range(77).to_fixed());
    let done = ScsiRequest {
        length: U16::new(36),
        srb_status: SrbStatusByte::new(SrbStatus::SUCCESS),
        transfer_length: U32::new(512),
        ..Default::default()
    };
    let complete = |status, body| HostMessage::CompleteIo(Completion::new(status, &body)).to_string();
    for (text, expected) in [
        (
            complete(NtStatus::IO_DEVICE_ERROR, CompletionBody::Srb(failed)),
            "COMPLETE_IO IO_DEVICE_ERROR, 0:0:0 srb INVALID_REQUEST+sense scsi CHECK CONDITION, 0 bytes, \
             ILLEGAL REQUEST, LOGICAL BLOCK ADDRESS OUT OF RANGE (21/00) at block 77",
        ),
        (
            complete(NtStatus::SUCCESS, CompletionBody::Srb(done)),
            "COMPLETE_IO SUCCESS, 0:0:0 srb SUCCESS scsi GOOD, 512 bytes",
        ),
        (
            complete(
                NtStatus::REVISION_MISMATCH,
                CompletionBody::Version(ProtocolVersion::WIN10),
            ),
            "COMPLETE_IO REVISION_MISMATCH",
        ),
        (
            complete(
                NtStatus(0xc000_1234),
                CompletionBody::Properties(ChannelProperties::default()),
            ),
            "COMPLETE_IO 0xc0001234",
        ),
        (
            GuestMessage::QueryProtocolVersion(ProtocolVersion(0x0602)).to_string(),
            "QUERY_PROTOCOL_VERSION 6.2",
        ),
        (
            GuestMessage::ResetLun(LunAddress {
                path: 1,
                target: 2,
                lun: 3,
            })
            .to_string(),
            "RESET_LUN 1:2:3",
        ),
        (
            GuestMessage::CreateSubChannels(3).to_string(),
            "CREATE_SUB_CHANNELS 3",
        ),
        (
            HostMessage::EventNotification(NotificationBody {
                lun: 1,
                target: 2,
                path: 3,
                flags: 4,
            })
            .to_string(),
            "EVENT_NOTIFICATION 3:2:1 flags 0x4",
        ),
        (
            GuestMessage::ExecuteSrb(ScsiRequest {
                cdb_length: 17,
                ..done
            })
            .to_string(),
            "EXECUTE_SRB 0:0:0 CDB of 17 bytes, out 512 bytes",
        ),
    ] {
        assert_eq!(text, expected);
    }
    let cdb = |bytes: &[u8]| Cdb::new(bytes).unwrap().to_string();
    assert_eq!(cdb(&[0x12, 1, 0xb0, 0, 255, 0]), "INQUIRY page block limits");
    assert_eq!(cdb(&[0x12, 1, 0xc5, 0, 255, 0]), "INQUIRY page 0xc5");
    assert_eq!(
        cdb(&[0xa3, 0x0c, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        "MAINTENANCE IN (not supported)"
    );
    assert_eq!(
        cdb(&[0x2a, 8, 0, 0, 0, 1, 0, 0, 2, 0]),
        "WRITE(10) block 1 count 2 FUA"
    );
    assert_eq!(cdb(&[0xc1]), "0xc1 (not supported)");
}

#[test]
fn what_is_unasked_may_be_4_bytes_long() {
    assert_eq!(HostMessage::decode(&[11, 0, 0, 0]), Ok(HostMessage::EnumerateBus));
    assert_eq!(
        HostMessage::decode(&[2, 0, 0, 0, 0, 0, 0, 0]),
        Ok(HostMessage::RemoveDevice)
    );
    assert_eq!(
        HostMessage::decode(&[1, 0, 0, 0]),
        Err(WireError::NoHeader { len: 4, needed: 12 })
    );
    assert_eq!(
        HostMessage::decode(&[11, 0, 0]),
        Err(WireError::NoHeader { len: 3, needed: 12 })
    );
    assert_eq!(
        HostMessage::decode(&[12; 12][..].iter().map(|_| 0).collect::<Vec<_>>()),
        Err(WireError::NotForThisDirection {
            operation: Operation(0)
        })
    );
}

#[test]
fn sense_data_beyond_what_the_form_holds_is_refused() {
    let request = |len| ScsiRequest {
        srb_status: SrbStatusByte::new(SrbStatus::ERROR).with_autosense(),
        sense_length: len,
        ..Default::default()
    };
    for (form, most) in [(PacketForm::Short, 18_u8), (PacketForm::Long, 20)] {
        assert_eq!(
            request(most).sense(form).map(<[u8]>::len),
            Some(usize::from(most))
        );
        assert_eq!(request(most + 1).sense(form), None);
        assert_eq!(request(255).sense(form), None);
    }
    let without = ScsiRequest {
        sense_length: 255,
        ..Default::default()
    };
    assert_eq!(without.sense(PacketForm::Long), Some(&[][..]));
}

#[test]
fn sense_data_that_is_cut_off_or_of_another_kind() {
    assert_eq!(Sense::decode(&[]), Err(SenseError::TooShort { len: 0 }));
    assert_eq!(Sense::decode(&[0x70; 7]), Err(SenseError::TooShort { len: 7 }));
    assert_eq!(
        Sense::decode(&[0x7f; 18]),
        Err(SenseError::ResponseCode { code: 0x7f })
    );
    // An additional length that ends before the additional sense code: it is absent.
    let sense = Sense::decode(&[0x70, 0, 5, 0, 0, 0, 0, 2, 9, 9, 9, 9, 0x24, 0, 0, 0, 0, 0]).unwrap();
    assert_eq!(
        (sense.key, sense.additional),
        (SenseKey::ILLEGAL_REQUEST, AdditionalSense::NONE)
    );
    // Descriptors of which one is unknown, and one is longer than the data.
    let sense = Sense::decode(&[0x72, 3, 0x11, 0, 0, 0, 0, 14, 0x80, 2, 0, 0, 0, 200, 0x80, 0]).unwrap();
    assert_eq!(
        (sense.key, sense.additional),
        (SenseKey::MEDIUM_ERROR, AdditionalSense::UNRECOVERED_READ_ERROR)
    );
    assert_eq!(sense.information, None);
}

#[test]
fn codes_keep_what_they_do_not_know() {
    assert_eq!(Operation(99).name(), None);
    assert_eq!(
        format!("{:?} {}", Operation(99), Operation(99)),
        "Operation(0x63) 0x63"
    );
    assert_eq!(
        format!("{:?}", Operation::EXECUTE_SRB),
        "Operation(0x3 EXECUTE_SRB)"
    );
    let byte = SrbStatusByte(0xd2);
    assert_eq!(
        (byte.status(), byte.autosense_valid(), byte.queue_frozen()),
        (SrbStatus::DATA_OVERRUN, true, true)
    );
    assert_eq!(byte.to_string(), "DATA_OVERRUN+sense+frozen");
    assert_eq!(SrbStatusByte::new(SrbStatus(0xff)).0, 0x3f);
    assert_eq!(OperationCode(0xc0).cdb_len(), None);
    assert_eq!(
        Command::parse(&Cdb::new(&[0x7f; 16]).unwrap()),
        Err(CdbError::UnknownOperation {
            operation: OperationCode::VARIABLE_LENGTH
        })
    );
    for version in ProtocolVersion::ALL {
        assert!(version.is_known());
    }
    assert!(ProtocolVersion::ALL.is_sorted_by(|a, b| a > b));
    assert_eq!(ProtocolVersion::WIN8_1.to_string(), "6.0");
}
