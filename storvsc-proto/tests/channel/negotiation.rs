//! From the first message to the first command, in and out of order.

use crate::support::{Data, RamDisk, Rig, channel, srb};
use storvsc_proto::host::{Config, Event, Lun, Queue, Refusal, Reset, SetupError};
use storvsc_proto::wire::{
    GuestMessage, LunAddress, NtStatus, Operation, PacketForm, PropertyFlags, ProtocolVersion, SrbStatus,
};

fn rig(config: Config) -> Rig {
    Rig::new(vec![Lun::new(0, RamDisk::new(64))], config)
}

#[test]
fn every_version_can_be_agreed_on_and_its_packets_have_its_length() {
    for version in ProtocolVersion::ALL {
        let mut rig = rig(Config {
            max_sub_channels: 3,
            ..Config::default()
        });
        rig.driver.form = version.packet_form();
        assert_eq!(
            rig.ask(&GuestMessage::BeginInitialization).status,
            NtStatus::SUCCESS
        );
        let answer = rig.ask(&GuestMessage::QueryProtocolVersion(version));
        assert_eq!(
            (answer.status, answer.version()),
            (NtStatus::SUCCESS, Ok(version))
        );
        let properties = rig.ask(&GuestMessage::QueryProperties).properties().unwrap();
        let many = version >= ProtocolVersion::WIN8;
        assert_eq!(properties.max_sub_channels.get(), if many { 3 } else { 0 });
        assert_eq!(
            properties.flags.get() & PropertyFlags::MULTI_CHANNEL.bits(),
            u32::from(many)
        );
        assert_eq!(properties.max_transfer_bytes.get(), 1 << 20);
        assert_eq!(rig.queue.version(), Some(version));
        assert_eq!(
            rig.ask(&GuestMessage::EndInitialization).status,
            NtStatus::SUCCESS
        );
        assert_eq!(rig.events, [Event::Ready { version }]);
        rig.scsi(0, &[0; 6], Data::None).good();
        // 18 bytes of sense data fit in either form.
        assert_eq!(rig.scsi(0, &[0xff; 6], Data::None).failed(), (0x5, 0x20, 0x00));
    }
}

#[test]
fn a_version_that_is_unknown_is_refused_by_status_and_the_next_one_taken() {
    let mut rig = rig(Config::default());
    rig.ask(&GuestMessage::BeginInitialization);
    for unknown in [0x0000, 0x0100, 0x0201, 0x0500, 0x0601, 0x0603, 0x0700, 0xffff] {
        let answer = rig.ask(&GuestMessage::QueryProtocolVersion(ProtocolVersion(unknown)));
        assert_eq!(answer.status, NtStatus::REVISION_MISMATCH);
        assert_eq!(answer.version(), Ok(ProtocolVersion(unknown)));
        assert_eq!(rig.queue.version(), None);
    }
    let answer = rig.ask(&GuestMessage::QueryProtocolVersion(ProtocolVersion::WIN8));
    assert_eq!(answer.status, NtStatus::SUCCESS);
}

#[test]
fn what_comes_out_of_order_is_answered_so_and_changes_nothing() {
    let order = [
        GuestMessage::BeginInitialization,
        GuestMessage::QueryProtocolVersion(ProtocolVersion::WIN10),
        GuestMessage::QueryProperties,
        GuestMessage::EndInitialization,
    ];
    let mut rig = rig(Config::default());
    for (at, right) in order.iter().enumerate() {
        for (other, wrong) in order.iter().enumerate() {
            if other != at {
                assert_eq!(
                    rig.ask(wrong).status,
                    NtStatus::INVALID_DEVICE_STATE,
                    "{wrong} for {right}"
                );
            }
        }
        assert_eq!(
            rig.ask(&GuestMessage::ResetBus { path: 0 }).status,
            NtStatus::INVALID_DEVICE_STATE
        );
        let early = rig.ask(&GuestMessage::ExecuteSrb(srb(
            LunAddress::lun(0),
            &[0; 6],
            Data::None,
        )));
        assert_eq!(early.status, NtStatus::INVALID_DEVICE_STATE);
        assert_eq!(
            early.srb().unwrap().srb_status.status(),
            SrbStatus::INVALID_REQUEST
        );
        assert_eq!(rig.ask(right).status, NtStatus::SUCCESS);
    }
    assert!(rig.events.contains(&Event::Refused(Refusal::OutOfOrder {
        operation: Operation::EXECUTE_SRB
    })));
    assert_eq!(
        rig.ask(&GuestMessage::BeginInitialization).status,
        NtStatus::INVALID_DEVICE_STATE
    );
    rig.scsi(0, &[0; 6], Data::None).good();
}

#[test]
fn case_13_sub_channels_are_asked_for_before_or_after_the_end_and_in_bounds() {
    for after in [false, true] {
        let mut rig = rig(Config {
            max_sub_channels: 3,
            ..Config::default()
        });
        rig.ask(&GuestMessage::BeginInitialization);
        assert_eq!(
            rig.ask(&GuestMessage::CreateSubChannels(1)).status,
            NtStatus::INVALID_DEVICE_STATE
        );
        rig.ask(&GuestMessage::QueryProtocolVersion(ProtocolVersion::WIN10));
        rig.ask(&GuestMessage::QueryProperties);
        if after {
            rig.ask(&GuestMessage::EndInitialization);
        }
        rig.events.clear();
        assert_eq!(
            rig.ask(&GuestMessage::CreateSubChannels(4)).status,
            NtStatus::INVALID_PARAMETER
        );
        let refused = Event::Refused(Refusal::NotOffered {
            operation: Operation::CREATE_SUB_CHANNELS,
        });
        assert_eq!(rig.events, [refused]);
        rig.events.clear();
        for count in [2, 1, 2, 0, 3] {
            assert_eq!(
                rig.ask(&GuestMessage::CreateSubChannels(count)).status,
                NtStatus::SUCCESS
            );
        }
        // The count is a total, so that asking again for what there is asks for nothing.
        assert_eq!(
            rig.events,
            [Event::SubChannels { count: 2 }, Event::SubChannels { count: 3 }]
        );
    }
}

#[test]
fn old_versions_have_no_sub_channels() {
    let mut rig = rig(Config {
        max_sub_channels: 3,
        ..Config::default()
    });
    rig.negotiate(ProtocolVersion::WIN7);
    assert_eq!(
        rig.ask(&GuestMessage::CreateSubChannels(1)).status,
        NtStatus::INVALID_PARAMETER
    );
}

#[test]
fn a_sub_channel_is_ready_at_once_and_has_no_sub_channels_itself() {
    let mut rig = rig(Config {
        max_sub_channels: 3,
        ..Config::default()
    });
    let (guest, host) = channel();
    let config = Config {
        max_sub_channels: 3,
        ..Config::default()
    };
    let scratch = vec![0; config.scratch_len()];
    rig.driver.ring = guest;
    rig.queue = Queue::sub_channel(host, scratch, config, ProtocolVersion::WIN8).unwrap();
    rig.scsi(0, &[0; 6], Data::None).good();
    for message in [
        GuestMessage::BeginInitialization,
        GuestMessage::QueryProtocolVersion(ProtocolVersion::WIN8),
        GuestMessage::QueryProperties,
        GuestMessage::EndInitialization,
        GuestMessage::CreateSubChannels(1),
    ] {
        assert_eq!(
            rig.ask(&message).status,
            NtStatus::INVALID_DEVICE_STATE,
            "{message}"
        );
    }
    // Notices go through the primary channel.
    assert!(!rig.queue.enumerate_bus().unwrap().is_needed());
    assert!(rig.driver.receive().is_none());
}

#[test]
fn resets_are_answered_and_told() {
    let mut rig = rig(Config::default());
    rig.negotiate(ProtocolVersion::WIN10);
    rig.events.clear();
    let at = LunAddress {
        path: 0,
        target: 1,
        lun: 2,
    };
    for message in [
        GuestMessage::ResetLun(at),
        GuestMessage::ResetBus { path: 3 },
        GuestMessage::ResetAdapter,
    ] {
        assert_eq!(rig.ask(&message).status, NtStatus::SUCCESS);
    }
    assert_eq!(
        rig.events,
        [
            Event::Reset(Reset::Lun(at)),
            Event::Reset(Reset::Bus { path: 3 }),
            Event::Reset(Reset::Adapter)
        ]
    );
    // No unit attention follows: Linux would print a warning for it.
    rig.scsi(0, &[0; 6], Data::None).good();
}

#[test]
fn there_is_no_fibre_channel() {
    let mut rig = rig(Config::default());
    rig.negotiate(ProtocolVersion::WIN10);
    assert_eq!(
        rig.ask(&GuestMessage::FcHbaData).status,
        NtStatus::INVALID_DEVICE_REQUEST
    );
}

#[test]
fn linux_sends_long_packets_before_it_knows_that_the_version_is_old() {
    let mut rig = rig(Config::default());
    rig.driver.form = PacketForm::Long;
    rig.ask(&GuestMessage::BeginInitialization);
    rig.ask(&GuestMessage::QueryProtocolVersion(ProtocolVersion::WIN7));
    rig.ask(&GuestMessage::QueryProperties);
    rig.ask(&GuestMessage::EndInitialization);
    // Each answer is as long as what it answers: the harness asserts it.
    rig.driver.form = PacketForm::Short;
    rig.scsi(0, &[0; 6], Data::None).good();
    rig.driver.form = PacketForm::Long;
    rig.scsi(0, &[0; 6], Data::None).good();
}

#[test]
fn what_the_embedder_gets_wrong_is_told() {
    let make = |config: Config, len: usize| {
        let (_, host) = channel();
        let scratch = vec![0; len];
        Queue::<_, _, 1>::primary(host, scratch, config).err()
    };
    let config = Config::default();
    let needed = config.scratch_len();
    assert_eq!(make(config, needed), None);
    assert_eq!(
        make(config, needed - 1),
        Some(SetupError::Scratch {
            len: needed - 1,
            needed
        })
    );
    for bytes in [0, 4095, 4097, u32::MAX] {
        let config = Config {
            max_transfer_bytes: bytes,
            ..config
        };
        assert_eq!(
            make(config, 1 << 16),
            Some(SetupError::MaxTransferBytes { bytes })
        );
    }
}
