//! What a host should not send, and what an old one does.

use proptest::prelude::*;
use storvsc_proto::guest::{Data, Event, Fault, Properties, Queue, SubmitError};
use storvsc_proto::scsi::{Cdb, Command};
use storvsc_proto::wire::{
    ChannelProperties, Completion, CompletionBody, GuestMessage, HostMessage, LunAddress, NtStatus,
    Operation, PacketForm, ProtocolVersion, ScsiRequest, SrbStatus, SrbStatusByte, WireError,
};
use vmbus_proto::ringbuf::gpa::GpaRange;
use vmbus_proto::ringbuf::{ControlWord, Descriptor, Outgoing, PacketType, RingFault, RingMem, RingPair};
use zerocopy::little_endian::U32;

use crate::support::{Ring, buffer_pages, channel};

const CONTROL_ID: u64 = u64::MAX;

/// A guest, and a host that is made up packet by packet.
struct Rig {
    guest: Queue<&'static Ring, 2>,
    host: RingPair<&'static Ring>,
    /// The guest's write index when it was last looked at.
    seen: u32,
}

impl Rig {
    fn new() -> Self {
        let (guest, host) = channel();
        Self {
            guest: Queue::primary(guest),
            host,
            seen: 0,
        }
    }

    fn ready() -> Self {
        let (guest, host) = channel();
        let properties = Properties {
            max_transfer_bytes: 1 << 20,
            max_sub_channels: 0,
        };
        Self {
            guest: Queue::sub_channel(guest, ProtocolVersion::WIN10, properties),
            host,
            seen: 0,
        }
    }

    fn send(&mut self, transaction_id: u64, descriptor: Descriptor<'_>, payload: &[u8]) {
        let packet = Outgoing {
            transaction_id,
            request_completion: false,
            descriptor,
            payload: &[payload],
        };
        let _ = self.host.outgoing.write(&packet).unwrap();
    }

    fn complete(&mut self, transaction_id: u64, status: NtStatus, body: &CompletionBody) {
        let packet = HostMessage::CompleteIo(Completion::new(status, body)).encode(PacketForm::Long);
        self.send(transaction_id, Descriptor::Completion, packet.as_bytes());
    }

    /// What the guest sent: its transaction id and message.
    fn received(&mut self) -> Option<(u64, GuestMessage)> {
        let mut scratch = [0; 256];
        let packet = self.host.incoming.read(&mut scratch).unwrap()?;
        Some((
            packet.transaction_id(),
            GuestMessage::decode(packet.payload()).unwrap(),
        ))
    }

    /// Answers what the guest asks next.
    fn negotiate(
        &mut self,
        expected: &GuestMessage,
        status: NtStatus,
        body: &CompletionBody,
    ) -> Result<Option<Event>, Fault> {
        let _ = self.guest.poll()?;
        assert_eq!(self.received(), Some((CONTROL_ID, *expected)));
        assert_eq!(self.received(), None, "one at a time");
        self.complete(CONTROL_ID, status, body);
        self.guest.poll().map(|polled| polled.event)
    }

    /// Answers a reset without making room. Whether it was sent at all.
    fn answered_reset(&mut self) -> bool {
        let write = self.host.incoming.mem().load(ControlWord::WriteIndex);
        if write == self.seen {
            return false;
        }
        self.seen = write;
        self.complete(CONTROL_ID, NtStatus::SUCCESS, &CompletionBody::Empty);
        while self.guest.poll().unwrap().again {}
        true
    }

    fn submit(&mut self) -> u64 {
        let pages = buffer_pages(0, 512);
        let range = GpaRange::new(0, 512, &pages).unwrap();
        let cdb = Command::Read {
            lba: 0,
            blocks: 1,
            force_unit_access: false,
        }
        .to_cdb();
        let _ = self
            .guest
            .submit(LunAddress::lun(0), &cdb, Data::In(range))
            .unwrap();
        self.received().unwrap().0
    }

    fn poll(&mut self) -> Result<Option<Event>, Fault> {
        self.guest.poll().map(|polled| polled.event)
    }
}

fn done(transferred: u32) -> CompletionBody {
    CompletionBody::Srb(ScsiRequest {
        srb_status: SrbStatusByte::new(SrbStatus::SUCCESS),
        transfer_length: U32::new(transferred),
        ..Default::default()
    })
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
        let mut rig = Rig::new();
        rig.negotiate(
            &GuestMessage::BeginInitialization,
            NtStatus::SUCCESS,
            &CompletionBody::Empty,
        )
        .unwrap();
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
    let mut rig = Rig::new();
    rig.negotiate(
        &GuestMessage::BeginInitialization,
        NtStatus::SUCCESS,
        &CompletionBody::Empty,
    )
    .unwrap();
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

    let mut rig = Rig::new();
    rig.negotiate(
        &GuestMessage::BeginInitialization,
        NtStatus::SUCCESS,
        &CompletionBody::Empty,
    )
    .unwrap();
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
fn case_05_ids_that_name_no_request() {
    for offset in 0..7_u32 {
        let mut rig = Rig::ready();
        let first = rig.submit();
        let second = rig.submit();
        rig.complete(first, NtStatus::SUCCESS, &done(512));
        assert!(matches!(rig.poll(), Ok(Some(Event::Completed { .. }))));
        let wrong = match offset {
            // Twice, beyond the table, just at its capacity, of another generation, the negotiation's, made up.
            0 => first,
            1 => second + 2,
            2 => 3,
            3 => second + (1 << 32),
            4 => CONTROL_ID,
            5 => u64::MAX - 1,
            _ => 1 << 32,
        };
        rig.complete(wrong, NtStatus::SUCCESS, &done(512));
        let fault = Fault::UnknownRequest {
            transaction_id: wrong,
        };
        assert_eq!(rig.poll(), Err(fault));
        // Whatever comes now.
        rig.complete(second, NtStatus::SUCCESS, &done(512));
        assert_eq!(rig.poll(), Err(fault));
        // The request that the host had is told failed, once.
        assert!(rig.guest.abort().is_some());
        assert_eq!(rig.guest.abort(), None);
    }
}

#[test]
fn case_07_a_corrupt_ring_poisons_the_channel() {
    let mut rig = Rig::ready();
    let id = rig.submit();
    rig.host.outgoing.mem().store(ControlWord::WriteIndex, 12);
    let fault = Fault::Ring(RingFault::WriteIndex {
        index: 12,
        data_len: 8192,
    });
    assert_eq!(rig.poll(), Err(fault));
    // Whatever the host does now.
    rig.host.outgoing.mem().store(ControlWord::WriteIndex, 0);
    rig.complete(id, NtStatus::SUCCESS, &done(512));
    assert_eq!(rig.poll(), Err(fault));
    assert_eq!(rig.guest.abort().map(|id| id.number()), Some(id));
}

#[test]
fn case_09_a_completion_before_the_call_has_returned() {
    let mut rig = Rig::ready();
    // The host guesses which id comes first, and is faster than the guest.
    rig.complete(1, NtStatus::SUCCESS, &done(512));
    assert_eq!(rig.submit(), 1);
    let Ok(Some(Event::Completed { id, outcome })) = rig.poll() else {
        panic!("no completion")
    };
    assert_eq!((id.number(), outcome.transferred), (1, 512));
    assert_eq!(rig.guest.outstanding(), 0);
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

#[test]
fn case_16_an_unsolicited_completion() {
    let operation = Operation::COMPLETE_IO;
    // As an answer to nothing.
    let mut rig = Rig::ready();
    rig.complete(0, NtStatus::SUCCESS, &done(0));
    assert_eq!(
        rig.poll(),
        Err(Fault::Misplaced {
            operation,
            transaction_id: 0
        })
    );
    // As a notice.
    let mut rig = Rig::ready();
    let id = rig.submit();
    let packet =
        HostMessage::CompleteIo(Completion::new(NtStatus::SUCCESS, &done(0))).encode(PacketForm::Long);
    rig.send(id, Descriptor::InBand, packet.as_bytes());
    assert_eq!(
        rig.poll(),
        Err(Fault::Misplaced {
            operation,
            transaction_id: id
        })
    );
    // A notice as an answer.
    let mut rig = Rig::ready();
    let id = rig.submit();
    rig.send(
        id,
        Descriptor::Completion,
        HostMessage::EnumerateBus.encode(PacketForm::Long).as_bytes(),
    );
    let operation = Operation::ENUMERATE_BUS;
    assert_eq!(
        rig.poll(),
        Err(Fault::Misplaced {
            operation,
            transaction_id: id
        })
    );
    assert_eq!(rig.guest.outstanding(), 1);
}

#[test]
fn case_16_a_sense_longer_than_20_is_what_there_is_room_for() {
    let mut rig = Rig::ready();
    for len in [0, 7, 18, 20, 21, 255] {
        let id = rig.submit();
        let mut cdb_or_sense = [0; 20];
        cdb_or_sense[..18].copy_from_slice(&storvsc_proto::scsi::Sense::lba_out_of_range(9).to_fixed());
        let srb = ScsiRequest {
            srb_status: SrbStatusByte::new(SrbStatus::ERROR).with_autosense(),
            scsi_status: storvsc_proto::scsi::ScsiStatus::CHECK_CONDITION,
            sense_length: len,
            // Hosts leave it as it was.
            transfer_length: U32::new(512),
            cdb_or_sense,
            ..Default::default()
        };
        rig.complete(id, NtStatus::IO_DEVICE_ERROR, &CompletionBody::Srb(srb));
        let Ok(Some(Event::Completed { outcome, .. })) = rig.poll() else {
            panic!("no completion")
        };
        assert_eq!(outcome.transferred, 0);
        assert_eq!(
            outcome.sense.map(|sense| sense.information),
            (len >= 8).then_some(Some(9))
        );
    }
}

#[test]
fn case_16_a_transfer_length_over_the_buffers() {
    for transferred in [513, u32::MAX] {
        let mut rig = Rig::ready();
        let id = rig.submit();
        rig.complete(id, NtStatus::SUCCESS, &done(transferred));
        assert_eq!(
            rig.poll(),
            Err(Fault::TransferLength {
                transferred,
                buffer: 512
            })
        );
        assert!(rig.guest.abort().is_some(), "its memory is not free yet");
    }
}

#[test]
fn case_16_packets_that_are_too_short_or_too_long() {
    let short = |len: usize| -> Fault {
        let mut rig = Rig::ready();
        let id = rig.submit();
        let packet =
            HostMessage::CompleteIo(Completion::new(NtStatus::SUCCESS, &done(512))).encode(PacketForm::Long);
        let mut bytes = packet.as_bytes().to_vec();
        bytes.resize(len, 0);
        rig.send(id, Descriptor::Completion, &bytes);
        rig.poll().unwrap_err()
    };
    assert_eq!(
        short(0),
        Fault::Packet(WireError::NoHeader { len: 0, needed: 12 })
    );
    assert_eq!(
        short(8),
        Fault::Packet(WireError::NoHeader { len: 8, needed: 12 })
    );
    let operation = Operation::COMPLETE_IO;
    assert_eq!(
        short(40),
        Fault::Packet(WireError::TooShort {
            operation,
            len: 40,
            needed: 48
        })
    );
    assert_eq!(short(72), Fault::PacketTooLong { len: 72 });
    // What is unasked has no more than an operation.
    let mut rig = Rig::ready();
    rig.send(0, Descriptor::InBand, &[11, 0, 0, 0]);
    assert_eq!(rig.poll(), Ok(Some(Event::EnumerateBus)));
}

#[test]
fn packets_of_other_types() {
    let mut rig = Rig::ready();
    let pages = buffer_pages(0, 512);
    let range = GpaRange::new(0, 512, &pages).unwrap();
    rig.send(1, Descriptor::GpaDirect(&[range]), &[]);
    assert_eq!(
        rig.poll(),
        Err(Fault::PacketType {
            kind: PacketType::GPA_DIRECT
        })
    );
}

#[test]
fn a_full_ring_takes_the_command_later_and_the_negotiation_too() {
    let (guest, host) = channel();
    let properties = Properties {
        max_transfer_bytes: 1 << 20,
        max_sub_channels: 1,
    };
    let guest: Queue<_, 200> = Queue::sub_channel(guest, ProtocolVersion::WIN10, properties);
    let mut rig = (guest, host);
    let cdb = Command::TestUnitReady.to_cdb();
    let submit =
        |rig: &mut (Queue<&'static Ring, 200>, _)| rig.0.submit(LunAddress::lun(0), &cdb, Data::None);
    let mut sent = 0;
    let error = loop {
        match submit(&mut rig) {
            Ok(_) => sent += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error, SubmitError::RingFull);
    assert_eq!((rig.0.outstanding(), sent), (sent, 93));
    let _ = rig.0.create_sub_channels(1).unwrap();
    let mut scratch = [0; 256];
    while rig.1.incoming.read(&mut scratch).unwrap().is_some() {}
    assert!(rig.1.incoming.release().is_needed(), "the guest waits for room");
    let _ = rig.0.poll().unwrap();
    let packet = rig.1.incoming.read(&mut scratch).unwrap().unwrap();
    assert_eq!(
        GuestMessage::decode(packet.payload()),
        Ok(GuestMessage::CreateSubChannels(1))
    );
    assert!(submit(&mut rig).is_ok());
}

proptest! {
    #[test]
    fn anything_that_a_host_sends_is_taken_or_a_fault(
        packets in prop::collection::vec((any::<bool>(), 0..4_u64, any::<[u8; 8]>(), prop::collection::vec(any::<u8>(), 0..72)), 1..10),
    ) {
        let mut rig = Rig::ready();
        rig.submit();
        rig.submit();
        let mut completed = 0;
        let mut failed = false;
        for (answers, id, head, tail) in packets {
            let mut payload = [&[head[0] & 15, 0, 0, 0], &head[4..], &tail[..]].concat();
            payload.truncate(72);
            let descriptor = if answers { Descriptor::Completion } else { Descriptor::InBand };
            rig.send(id, descriptor, &payload);
            match rig.poll() {
                Ok(Some(Event::Completed { .. })) => completed += 1,
                Ok(_) => prop_assert!(!failed),
                Err(_) => failed = true,
            }
        }
        let aborted = std::iter::from_fn(|| rig.guest.abort()).count();
        prop_assert_eq!(completed + aborted, 2, "each ends exactly once");
    }
}

#[test]
fn cdbs_of_every_length_are_sent_as_they_are() {
    let mut rig = Rig::ready();
    for len in 1..=16 {
        let bytes: Vec<u8> = (1..=len).collect();
        let cdb = Cdb::new(&bytes).unwrap();
        let _ = rig.guest.submit(LunAddress::lun(9), &cdb, Data::None).unwrap();
        let (id, GuestMessage::ExecuteSrb(srb)) = rig.received().unwrap() else {
            panic!("no command")
        };
        assert_eq!(
            (srb.cdb(), srb.lun, srb.sense_length, srb.length.get()),
            (Ok(cdb), 9, 20, 52)
        );
        rig.complete(id, NtStatus::SUCCESS, &done(0));
        assert!(matches!(rig.poll(), Ok(Some(Event::Completed { .. }))));
    }
}

#[test]
fn a_command_that_ends_with_the_channel_is_told_before_the_fault() {
    let mut rig = Rig::ready();
    let id = rig.submit();
    // Until the ring is full and a request of the driver's waits for room.
    let mut sent = true;
    while sent {
        let _ = rig.guest.reset_bus(0).unwrap();
        sent = rig.answered_reset();
    }
    let srb = ScsiRequest {
        srb_status: SrbStatusByte::new(SrbStatus::SUCCESS),
        ..Default::default()
    };
    rig.complete(id, NtStatus::SUCCESS, &CompletionBody::Srb(srb));
    rig.host.incoming.mem().store(ControlWord::ReadIndex, 4);
    let event = rig.guest.poll().unwrap().event;
    assert!(matches!(event, Some(Event::Completed { id: told, .. }) if told.number() == id));
    let fault = RingFault::ReadIndex {
        index: 4,
        data_len: 8192,
    };
    assert_eq!(rig.guest.poll(), Err(Fault::Ring(fault)));
    assert_eq!(rig.guest.abort(), None, "nothing is under way");
}
