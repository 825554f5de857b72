//! What a host should not send, and what an old one does.

mod completions;
mod negotiation;

use proptest::prelude::*;
use storvsc_proto::guest::{Data, Event, Fault, Properties, Queue, SubmitError};
use storvsc_proto::scsi::{Cdb, Command};
use storvsc_proto::wire::{
    Completion, CompletionBody, GuestMessage, HostMessage, LunAddress, NtStatus, PacketForm, ProtocolVersion,
    ScsiRequest, SrbStatus, SrbStatusByte,
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
