//! Hosts that are older, that refuse, or that have less than they are asked for.

use storvsc_proto::guest::{Data, Event, Fault, Properties, Queue, SubmitError};
use storvsc_proto::scsi::Command;
use storvsc_proto::wire::{
    ChannelProperties, CompletionBody, GuestMessage, LunAddress, NtStatus, Operation, ProtocolVersion,
};
use zerocopy::little_endian::U32;

use super::Rig;
use crate::support::channel;

/// A guest whose host has let it begin.
fn begun() -> Rig {
    let mut rig = Rig::new();
    rig.negotiate(
        &GuestMessage::BeginInitialization,
        NtStatus::SUCCESS,
        &CompletionBody::Empty,
    )
    .unwrap();
    rig
}

#[test]
fn older_hosts_are_asked_for_older_versions() {
    let properties = |flags| {
        CompletionBody::Properties(ChannelProperties {
            max_transfer_bytes: U32::new(0x40000),
            max_sub_channels: 7.into(),
            flags: U32::new(flags),
            ..Default::default()
        })
    };
    for (at, version) in ProtocolVersion::ALL.into_iter().enumerate() {
        let mut rig = begun();
        for refused in &ProtocolVersion::ALL[..at] {
            let message = GuestMessage::QueryProtocolVersion(*refused);
            rig.negotiate(&message, NtStatus::REVISION_MISMATCH, &CompletionBody::Empty)
                .unwrap();
        }
        let message = GuestMessage::QueryProtocolVersion(version);
        rig.negotiate(&message, NtStatus::SUCCESS, &CompletionBody::Version(version))
            .unwrap();
        rig.negotiate(&GuestMessage::QueryProperties, NtStatus::SUCCESS, &properties(1))
            .unwrap();
        let ready = rig
            .negotiate(
                &GuestMessage::EndInitialization,
                NtStatus::SUCCESS,
                &CompletionBody::Empty,
            )
            .unwrap();
        let max_sub_channels = if version.has_sub_channels() { 7 } else { 0 };
        let properties = Properties {
            max_transfer_bytes: 0x40000,
            max_sub_channels,
        };
        assert_eq!(ready, Some(Event::Ready { version, properties }));
        // Packets have the version's length.
        let _ = rig
            .guest
            .submit(LunAddress::lun(0), &Command::TestUnitReady.to_cdb(), Data::None)
            .unwrap();
        let mut scratch = [0; 256];
        let packet = rig.host.incoming.read(&mut scratch).unwrap().unwrap();
        assert_eq!(packet.payload().len(), version.packet_form().packet_len());
    }
    let mut rig = begun();
    let results: Vec<_> = ProtocolVersion::ALL
        .into_iter()
        .map(|version| {
            let message = GuestMessage::QueryProtocolVersion(version);
            rig.negotiate(&message, NtStatus::REVISION_MISMATCH, &CompletionBody::Empty)
        })
        .collect();
    assert_eq!(
        results,
        [Ok(None), Ok(None), Ok(None), Ok(None), Err(Fault::NoVersion)]
    );
}

#[test]
fn a_refusal_ends_the_negotiation_and_is_told() {
    let mut rig = Rig::new();
    let status = NtStatus::INVALID_DEVICE_STATE;
    let fault = Fault::Refused {
        operation: Operation::BEGIN_INITIALIZATION,
        status,
    };
    let refused = rig.negotiate(&GuestMessage::BeginInitialization, status, &CompletionBody::Empty);
    assert_eq!(refused, Err(fault));
    assert_eq!(rig.poll(), Err(fault));
    assert_eq!(rig.guest.fault(), Some(fault));

    let mut rig = begun();
    let message = GuestMessage::QueryProtocolVersion(ProtocolVersion::WIN10);
    rig.negotiate(&message, NtStatus::SUCCESS, &CompletionBody::Empty)
        .unwrap();
    let none = CompletionBody::Properties(ChannelProperties::default());
    let refused = rig.negotiate(&GuestMessage::QueryProperties, NtStatus::SUCCESS, &none);
    assert_eq!(
        refused,
        Err(Fault::Properties {
            max_transfer_bytes: 0
        })
    );
}

#[test]
fn case_13_more_sub_channels_than_the_host_has() {
    let (guest, mut host) = channel();
    let properties = Properties {
        max_transfer_bytes: 1 << 20,
        max_sub_channels: 2,
    };
    let mut guest: Queue<_, 2> = Queue::sub_channel(guest, ProtocolVersion::WIN10, properties);
    for count in [3, u16::MAX] {
        let error = SubmitError::TooLong {
            len: count.into(),
            most: 2,
        };
        assert_eq!(guest.create_sub_channels(count), Err(error));
    }
    let mut scratch = [0; 256];
    assert!(
        host.incoming.read(&mut scratch).unwrap().is_none(),
        "nothing is asked"
    );
    let _ = guest.create_sub_channels(2).unwrap();
    assert!(host.incoming.read(&mut scratch).unwrap().is_some());
}
