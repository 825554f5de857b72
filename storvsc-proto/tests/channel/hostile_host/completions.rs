//! Completions of nothing, too early, twice, or of sizes that cannot be.

use storvsc_proto::guest::{Event, Fault};
use storvsc_proto::wire::{
    Completion, CompletionBody, HostMessage, NtStatus, Operation, PacketForm, ScsiRequest, SrbStatus,
    SrbStatusByte, WireError,
};
use vmbus_proto::ringbuf::{ControlWord, Descriptor, RingFault, RingMem};
use zerocopy::little_endian::U32;

use super::{CONTROL_ID, Rig, done};

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
