//! An optical drive's commands: what is encoded decodes again, and what is none does not.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "numbers here are the tests' own"
)]

use proptest::prelude::*;
use storvsc_proto::scsi::dvd::{
    DiscInformation, DvdCommand, EventClasses, EventHeader, Feature, FeatureSelection, MechanismStatus,
    MediaEvent, Profile, TocFormat, TocTrack,
};
use storvsc_proto::scsi::{Cdb, CdbError, Command, OperationCode};
use zerocopy::{FromBytes, IntoBytes};

fn command() -> impl Strategy<Value = DvdCommand> {
    let which = prop_oneof![
        Just(FeatureSelection::All),
        Just(FeatureSelection::Current),
        Just(FeatureSelection::One)
    ];
    prop_oneof![
        (any::<bool>(), 0u8..16, any::<u8>(), any::<u16>()).prop_map(|(msf, format, track, allocation)| {
            DvdCommand::ReadToc {
                msf,
                format: TocFormat(format),
                track,
                allocation,
            }
        }),
        (which, any::<u16>(), any::<u16>()).prop_map(|(which, feature, allocation)| {
            DvdCommand::GetConfiguration {
                which,
                feature: Feature(feature),
                allocation,
            }
        }),
        (any::<u8>(), any::<u16>()).prop_map(|(classes, allocation)| DvdCommand::GetEventStatus {
            classes: EventClasses::from_bits_retain(classes),
            allocation,
        }),
        any::<u16>().prop_map(|allocation| DvdCommand::ReadDiscInformation { allocation }),
        (0u8..3, any::<u32>(), any::<u16>()).prop_map(|(kind, number, allocation)| {
            DvdCommand::ReadTrackInformation {
                kind,
                number,
                allocation,
            }
        }),
        any::<(bool, bool)>()
            .prop_map(|(prevent, persistent)| DvdCommand::PreventRemoval { prevent, persistent }),
        any::<(u8, u8, u16)>().prop_map(|(format, layer, allocation)| DvdCommand::ReadDiscStructure {
            format,
            layer,
            allocation,
        }),
        any::<u16>().prop_map(|allocation| DvdCommand::MechanismStatus { allocation }),
        any::<(u16, u16)>().prop_map(|(read, write)| DvdCommand::SetCdSpeed { read, write }),
    ]
}

proptest! {
    #[test]
    fn any_command_survives_and_is_none_of_a_disk(command in command()) {
        let cdb = command.to_cdb();
        prop_assert_eq!(DvdCommand::parse(&cdb), Ok(command));
        prop_assert_eq!(Some(cdb.as_bytes().len()), command.operation().cdb_len());
        let operation = command.operation();
        prop_assert_eq!(Command::parse(&cdb), Err(CdbError::UnknownOperation { operation }));
        let name = operation.name().unwrap_or_default();
        prop_assert!(command.to_string().starts_with(name));
    }

    #[test]
    fn a_command_cut_short_is_refused(command in command(), len in 1usize..12) {
        let whole = command.to_cdb();
        let needed = whole.as_bytes().len();
        if len < needed {
            let cut = Cdb::new(&whole.as_bytes()[..len])?;
            prop_assert_eq!(DvdCommand::parse(&cut), Err(CdbError::TooShort { len, needed }));
        }
    }

    #[test]
    fn any_bytes_are_judged(bytes in proptest::collection::vec(any::<u8>(), 1..=16)) {
        let cdb = Cdb::new(&bytes)?;
        if let Ok(command) = DvdCommand::parse(&cdb) {
            prop_assert_eq!(DvdCommand::parse(&command.to_cdb()), Ok(command));
        }
    }

    #[test]
    fn answers_are_bytes(bytes: [u8; 34]) {
        let disc = DiscInformation::read_from_bytes(&bytes);
        prop_assert_eq!(disc.map(|disc| disc.as_bytes().to_vec()), Ok(bytes.to_vec()));
        prop_assert!(MechanismStatus::read_from_bytes(&bytes[..7]).is_err());
        prop_assert!(TocTrack::read_from_bytes(&bytes[..9]).is_err());
        prop_assert!(EventHeader::read_from_bytes(&bytes[..4]).is_ok() && MediaEvent::read_from_bytes(&bytes[..4]).is_ok());
    }
}

#[test]
fn what_a_drive_does_not_support_is_named_by_its_field() {
    for (bytes, byte, bit) in [
        ([0x4a, 0, 0, 0, 0x10, 0, 0, 0, 8, 0], 1, 0),
        ([0x46, 3, 0, 0, 0, 0, 0, 0, 8, 0], 1, 1),
        ([0x51, 1, 0, 0, 0, 0, 0, 0, 8, 0], 1, 2),
        ([0x52, 3, 0, 0, 0, 0, 0, 0, 8, 0], 1, 1),
    ] {
        let cdb = Cdb::new(&bytes).expect("ten bytes");
        let bit = Some(bit);
        assert_eq!(DvdCommand::parse(&cdb), Err(CdbError::InvalidField { byte, bit }));
    }
}

#[test]
fn an_old_hosts_format_stands_in_the_last_byte() {
    let cdb = Cdb::new(&[0x43, 2, 0, 0, 0, 0, 1, 0, 12, 0x40]).expect("ten bytes");
    let expected = DvdCommand::ReadToc {
        msf: true,
        format: TocFormat::SESSIONS,
        track: 1,
        allocation: 12,
    };
    assert_eq!(DvdCommand::parse(&cdb), Ok(expected));
    assert_eq!(
        expected.to_string(),
        "READ TOC/PMA/ATIP SESSIONS from 1 in msf, at most 12 bytes"
    );
}

#[test]
fn codes_without_a_name_stay_numbers() {
    assert_eq!(Profile(0x1234).to_string(), "0x1234");
    assert_eq!(Profile::DVD_ROM.to_string(), "DVD-ROM");
    assert_eq!(OperationCode::READ_TOC.cdb_len(), Some(10));
}
