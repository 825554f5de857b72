//! What a guest should not send.

use storvsc_proto::host::{Event, Fault, Refusal};
use storvsc_proto::scsi::Command;
use storvsc_proto::wire::{
    Completion, CompletionBody, GuestMessage, HostMessage, LunAddress, NtStatus, Operation, PacketForm,
    ScsiRequest, SrbStatus, WireError,
};
use vmbus_proto::hvcall::GuestMemory;
use vmbus_proto::ringbuf::gpa::GpaRange;
use vmbus_proto::ringbuf::wire::GpaRangeHeader;
use vmbus_proto::ringbuf::{ControlWord, Descriptor, Outgoing, PacketType, RingMem, TransferPageRange};
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U32, U64};

use crate::support::{Data, Rig, Sent, buffer_pages, one_disk, srb};

fn read_one() -> Vec<u8> {
    Command::Read {
        lba: 0,
        blocks: 1,
        force_unit_access: false,
    }
    .to_cdb()
    .as_bytes()
    .to_vec()
}

/// Sends an SRB with these ranges, and returns its answer and what the embedder was told.
fn send(rig: &mut Rig, request: ScsiRequest, ranges: &[GpaRange<'_>]) -> (NtStatus, ScsiRequest, Refusal) {
    rig.driver.send_with(&GuestMessage::ExecuteSrb(request), ranges);
    rig.run().unwrap();
    let completion = rig.driver.receive().unwrap().completion();
    let Some(Event::Refused(refusal)) = rig.events.pop() else {
        panic!("nothing was told")
    };
    (completion.status, completion.srb().unwrap(), refusal)
}

/// Sends bytes that are no packet of a guest's: they are answered, and the embedder is told why they are refused.
#[track_caller]
fn assert_no_packet(rig: &mut Rig, bytes: &[u8], status: NtStatus, error: WireError) {
    let id = rig.driver.send_bytes(bytes);
    rig.run().unwrap();
    let received = rig.driver.receive().unwrap();
    assert_eq!((received.id, received.completion().status), (id, status));
    assert_eq!(rig.events.pop(), Some(Event::Refused(Refusal::Packet(error))));
}

#[track_caller]
fn assert_refused(rig: &mut Rig, request: ScsiRequest, ranges: &[GpaRange<'_>], expected: Refusal) {
    let (nt, srb, refusal) = send(rig, request, ranges);
    assert_eq!(refusal, expected);
    assert_eq!(nt, NtStatus::INVALID_PARAMETER);
    assert_eq!(
        srb.srb_status.0,
        SrbStatus::INVALID_REQUEST.0,
        "Linux fails the command at this status"
    );
    assert_eq!(
        (srb.scsi_status.0, srb.transfer_length.get(), srb.sense_length),
        (0, 0, 0)
    );
    assert_eq!(rig.disk(0).take_ops(), []);
    // The channel goes on.
    rig.command(0, Command::TestUnitReady, Data::None).good();
}

#[test]
fn case_16_a_packet_shorter_than_its_operation_needs() {
    let mut rig = one_disk();
    let srb =
        GuestMessage::ExecuteSrb(srb(LunAddress::lun(0), &read_one(), Data::None)).encode(PacketForm::Long);
    // The ring pads payloads to 8 bytes, so that no other lengths can come.
    for (len, error) in [
        (0, WireError::NoHeader { len: 0, needed: 12 }),
        (8, WireError::NoHeader { len: 8, needed: 12 }),
        (
            16,
            WireError::TooShort {
                operation: Operation::EXECUTE_SRB,
                len: 16,
                needed: 48,
            },
        ),
        (
            40,
            WireError::TooShort {
                operation: Operation::EXECUTE_SRB,
                len: 40,
                needed: 48,
            },
        ),
    ] {
        assert_no_packet(
            &mut rig,
            &srb.as_bytes()[..len],
            NtStatus::INVALID_PARAMETER,
            error,
        );
    }
    rig.command(0, Command::TestUnitReady, Data::None).good();
}

/// The copy that packets are judged in still has what a longer one left there.
#[test]
fn a_short_packet_has_nothing_beyond_its_end() {
    let mut rig = one_disk();
    let pages = buffer_pages(0, 512);
    let range = GpaRange::new(0, 512, &pages).unwrap();
    let mut request = srb(LunAddress::lun(0), &read_one(), Data::In(512));
    request.flags = U32::new(!0);
    request.queue_sort_key = U32::new(!0);
    let long = GuestMessage::ExecuteSrb(request).encode(PacketForm::Long);
    for len in [64, 56, 48, 40] {
        let id = rig.driver.id();
        rig.driver.send_packet(&Sent {
            id,
            wants_completion: true,
            ranges: &[range],
            payload: &long.as_bytes()[..len],
        });
        rig.run().unwrap();
        let received = rig.driver.receive().unwrap();
        let refused = rig.events.pop();
        if len == 40 {
            let error = WireError::TooShort {
                operation: Operation::EXECUTE_SRB,
                len,
                needed: 48,
            };
            assert_eq!(refused, Some(Event::Refused(Refusal::Packet(error))));
            continue;
        }
        assert_eq!(refused, None, "{len}");
        let form = PacketForm::of_packet_len(len);
        assert_eq!(received.len, form.packet_len(), "{len}");
        let answer = received.completion().srb().unwrap();
        assert_eq!((answer.srb_status.0, answer.transfer_length.get()), (1, 512));
        // What the short form lacks is zero, also where there is room for a part of it.
        let tail = if len == 64 { !0 } else { 0 };
        assert_eq!((answer.flags.get(), answer.queue_sort_key.get()), (tail, tail));
        let GuestMessage::ExecuteSrb(decoded) = GuestMessage::decode(&long.as_bytes()[..len]).unwrap() else {
            panic!("another message");
        };
        assert_eq!((decoded.flags.get(), decoded.queue_sort_key.get()), (tail, tail));
    }
}

#[test]
fn case_16_a_packet_longer_than_any() {
    let mut rig = one_disk();
    let mut bytes = [0; 72];
    bytes[..64].copy_from_slice(GuestMessage::ResetAdapter.encode(PacketForm::Long).as_bytes());
    let error = WireError::TooLong {
        operation: Operation::RESET_ADAPTER,
        len: 72,
        most: 64,
    };
    assert_no_packet(&mut rig, &bytes, NtStatus::INVALID_PARAMETER, error);
    rig.command(0, Command::TestUnitReady, Data::None).good();
}

#[test]
fn case_16_a_cdb_length_over_16_or_0() {
    let mut rig = one_disk();
    for len in [0, 17, 20, 128, 255] {
        let request = ScsiRequest {
            cdb_length: len,
            ..srb(LunAddress::lun(0), &read_one(), Data::None)
        };
        assert_refused(&mut rig, request, &[], Refusal::CdbLength { len });
    }
}

#[test]
fn case_16_a_sense_length_over_20_gets_no_more_than_there_is_room_for() {
    let mut rig = one_disk();
    for len in [0, 18, 20, 21, 252, 255] {
        let request = ScsiRequest {
            sense_length: len,
            ..srb(LunAddress::lun(0), &[0xff; 6], Data::None)
        };
        rig.driver.send(&GuestMessage::ExecuteSrb(request));
        rig.run().unwrap();
        let answer = rig.driver.receive().unwrap().completion().srb().unwrap();
        assert_eq!(answer.sense_length, 18);
        assert_eq!(answer.cdb_or_sense[18..], [0, 0]);
    }
}

#[test]
fn case_16_a_transfer_length_that_differs_from_the_gpa_ranges() {
    let mut rig = one_disk();
    let pages = buffer_pages(0, 8192);
    let whole = GpaRange::new(0, 8192, &pages).unwrap();
    let part = GpaRange::new(512, 4096, &pages).unwrap();
    let request = |length: u32| ScsiRequest {
        transfer_length: U32::new(length),
        ..srb(LunAddress::lun(0), &read_one(), Data::None)
    };
    // Less memory than the transfer, or none.
    for (length, ranges, listed) in [
        (8193, &[whole][..], 8192),
        (8192, &[part], 4096),
        (1 << 20, &[whole, part], 12288),
        (512, &[], 0),
    ] {
        assert_refused(
            &mut rig,
            request(length),
            ranges,
            Refusal::TransferLength { length, listed },
        );
    }
    for length in [(1 << 20) + 1, u32::MAX] {
        assert_refused(
            &mut rig,
            request(length),
            &[whole],
            Refusal::TransferTooLong {
                length,
                most: 1 << 20,
            },
        );
    }
    // More memory is listed than is transferred: it is not touched.
    let fill = vec![0xaa; 8192];
    let gpa = pages[0].get() * 4096;
    GuestMemory::write(&rig.ram, gpa, &fill).unwrap();
    rig.driver
        .send_with(&GuestMessage::ExecuteSrb(request(512)), &[whole]);
    rig.run().unwrap();
    let answer = rig.driver.receive().unwrap().completion().srb().unwrap();
    assert_eq!((answer.srb_status.0, answer.transfer_length.get()), (1, 512));
    let mut after = vec![0; 8192];
    GuestMemory::read(&rig.ram, gpa, &mut after).unwrap();
    assert_eq!((&after[..512], &after[512..]), (&[0; 512][..], &fill[512..]));
    // Nor when the device has more to tell than the transfer takes.
    let inquiry = Command::Inquiry {
        page: None,
        allocation: 96,
    }
    .to_cdb();
    let request = ScsiRequest {
        transfer_length: U32::new(36),
        ..srb(LunAddress::lun(0), inquiry.as_bytes(), Data::None)
    };
    rig.driver.send_with(&GuestMessage::ExecuteSrb(request), &[whole]);
    rig.run().unwrap();
    let answer = rig.driver.receive().unwrap().completion().srb().unwrap();
    assert_eq!((answer.srb_status.0, answer.transfer_length.get()), (1, 36));
    GuestMemory::read(&rig.ram, gpa, &mut after).unwrap();
    assert_eq!(
        (&after[..5], &after[36..512]),
        (&[0, 0, 5, 2, 91][..], &[0; 476][..])
    );
}

#[test]
fn case_16_an_unsolicited_completion_poisons_the_channel() {
    let mut rig = one_disk();
    let message = HostMessage::CompleteIo(Completion::new(NtStatus::SUCCESS, &CompletionBody::Empty));
    let packet = message.encode(PacketForm::Long);
    let _ = rig
        .driver
        .ring
        .outgoing
        .write(&Outgoing {
            transaction_id: 1,
            request_completion: false,
            descriptor: Descriptor::Completion,
            payload: &[packet.as_bytes()],
        })
        .unwrap();
    let fault = Fault::PacketType {
        kind: PacketType::COMPLETION,
    };
    assert_eq!(rig.run(), Err(fault));
    assert_eq!(rig.run(), Err(fault), "it stays so");
    assert_eq!(rig.queue.fault(), Some(fault));
    assert_eq!(rig.queue.enumerate_bus(), Err(fault));
    assert!(rig.driver.receive().is_none());
}

#[test]
fn transfer_pages_are_not_for_storage() {
    let mut rig = one_disk();
    let range = TransferPageRange {
        byte_count: U32::new(64),
        byte_offset: U32::new(0),
    };
    let _ = rig
        .driver
        .ring
        .outgoing
        .write(&Outgoing {
            transaction_id: 1,
            request_completion: true,
            descriptor: Descriptor::TransferPages {
                set_id: 0,
                ranges: &[range],
            },
            payload: &[&[0; 64]],
        })
        .unwrap();
    assert_eq!(
        rig.run(),
        Err(Fault::PacketType {
            kind: PacketType::TRANSFER_PAGES
        })
    );
}

#[test]
fn operations_of_the_host_are_refused_when_the_guest_sends_them() {
    let mut rig = one_disk();
    for operation in [0, 1, 2, 11, 14, 15, u32::MAX] {
        let mut bytes = [0; 64];
        bytes[..4].copy_from_slice(&operation.to_le_bytes());
        let error = WireError::NotForThisDirection {
            operation: Operation(operation),
        };
        assert_no_packet(&mut rig, &bytes, NtStatus::INVALID_DEVICE_REQUEST, error);
    }
    assert_eq!(rig.queue.counters().refused, 7);
}

#[test]
fn what_asks_for_no_answer_gets_none_and_is_done_none_the_less() {
    let mut rig = one_disk();
    let flush = Command::SynchronizeCache { lba: 0, blocks: 0 }.to_cdb();
    let request = srb(LunAddress::lun(0), flush.as_bytes(), Data::None);
    let packet = GuestMessage::ExecuteSrb(request).encode(PacketForm::Long);
    for (id, wants_completion) in [(77, false), (0, true), (0, false)] {
        rig.driver.send_packet(&Sent {
            id,
            wants_completion,
            ranges: &[],
            payload: packet.as_bytes(),
        });
        rig.run().unwrap();
        assert!(rig.driver.receive().is_none());
        assert_eq!(rig.disk(0).take_ops().len(), 1);
    }
    // Nor do these take places for ever.
    rig.command(0, Command::TestUnitReady, Data::None).good();
    // Any other id comes back as it was.
    for id in [u64::MAX, u64::MAX - 1, 1 << 63] {
        rig.driver.send_packet(&Sent {
            id,
            wants_completion: true,
            ranges: &[],
            payload: packet.as_bytes(),
        });
        rig.run().unwrap();
        assert_eq!(rig.driver.receive().unwrap().id, id);
    }
}

/// Sends a GPA direct packet with a hand-made list of ranges, by writing it over the ring's memory.
fn send_ranges(rig: &mut Rig, count: u32, ranges: &[u8]) {
    let request = srb(LunAddress::lun(0), &read_one(), Data::In(512));
    let packet = GuestMessage::ExecuteSrb(request).encode(PacketForm::Long);
    let pages = vec![U64::new(1); ranges.len() / 8 - 1];
    let range = GpaRange::new(0, pages.len() as u32 * 4096, &pages).unwrap();
    let at = rig.driver.ring.outgoing.mem().load(ControlWord::WriteIndex);
    rig.driver.send_packet(&Sent {
        id: 5,
        wants_completion: true,
        ranges: &[range],
        payload: packet.as_bytes(),
    });
    rig.driver
        .ring
        .outgoing
        .mem()
        .write(at + 20, &count.to_le_bytes());
    rig.driver.ring.outgoing.mem().write(at + 24, ranges);
}

#[test]
fn case_02_an_ill_formed_list_of_memory_is_answered() {
    let range = |count: u32, offset: u32, pfns: &[u64]| {
        let header = GpaRangeHeader {
            byte_count: U32::new(count),
            byte_offset: U32::new(offset),
        };
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend(pfns.iter().flat_map(|pfn| pfn.to_le_bytes()));
        bytes
    };
    let mut rig = one_disk();
    for (count, ranges) in [
        (u32::MAX - 2, range(512, 0, &[1])),
        (u32::MAX - 1, range(512, 0, &[1])),
        (u32::MAX, range(512, 0, &[1])),
        (3, range(512, 0, &[1, 2, 3])),
        (1, range(0, 0, &[1])),
        (1, range(512, 4096, &[1])),
        (1, range(8192, 1, &[1, 2])),
        (1, range(u32::MAX, 4095, &[1])),
        (1, range(512, 0, &[u64::MAX])),
    ] {
        send_ranges(&mut rig, count, &ranges);
        rig.run().unwrap();
        let srb = rig.driver.receive().unwrap().completion().srb().unwrap();
        assert_eq!(srb.srb_status.0, SrbStatus::INVALID_REQUEST.0);
        assert!(
            matches!(rig.events.pop(), Some(Event::Refused(Refusal::Ranges(_)))),
            "{ranges:02x?}"
        );
    }
    // No ranges at all: the transfer has no memory.
    send_ranges(&mut rig, 0, &range(512, 0, &[1]));
    rig.run().unwrap();
    assert_eq!(
        rig.events.pop(),
        Some(Event::Refused(Refusal::TransferLength {
            length: 512,
            listed: 0
        }))
    );
    assert_eq!(rig.disk(0).take_ops(), []);
}

#[test]
fn memory_that_is_not_there_fails_the_command_alone() {
    let mut rig = one_disk();
    let nowhere = [U64::new((1 << 52) - 1)];
    let range = [GpaRange::new(0, 512, &nowhere).unwrap()];
    let inquiry = Command::Inquiry {
        page: None,
        allocation: 96,
    }
    .to_cdb();
    let same = Command::WriteSame {
        lba: 0,
        blocks: 1,
        unmap: false,
        no_data_out: false,
    }
    .to_cdb();
    let unmap = Command::Unmap { parameter_length: 24 }.to_cdb();
    let luns = Command::ReportLuns {
        ordinary: true,
        allocation: 16,
    }
    .to_cdb();
    for cdb in [
        &read_one()[..],
        inquiry.as_bytes(),
        same.as_bytes(),
        unmap.as_bytes(),
        luns.as_bytes(),
    ] {
        rig.driver.send_with(
            &GuestMessage::ExecuteSrb(srb(LunAddress::lun(0), cdb, Data::In(512))),
            &range,
        );
        rig.run().unwrap();
        let srb = rig.driver.receive().unwrap().completion().srb().unwrap();
        assert_eq!(srb.srb_status.0, SrbStatus::INVALID_REQUEST.0, "{cdb:02x?}");
        assert_eq!((srb.scsi_status.0, srb.transfer_length.get()), (0, 0));
    }
    rig.command(0, Command::TestUnitReady, Data::None).good();
}

#[test]
fn a_packet_that_no_transfer_needs_poisons_the_channel() {
    // The small ring has no room for such a packet with the usual configuration.
    use storvsc_proto::host::Config;
    let mut rig: Rig = Rig::new(
        Vec::new(),
        Config {
            max_transfer_bytes: 4096,
            ..Config::default()
        },
    );
    let most = Config {
        max_transfer_bytes: 4096,
        ..Config::default()
    }
    .scratch_len();
    let pages = vec![U64::new(1); 32];
    let range = [GpaRange::new(0, 32 * 4096, &pages).unwrap()];
    rig.driver.send_with(&GuestMessage::BeginInitialization, &range);
    let fault = Fault::PacketTooLong {
        len: 8 + 8 + 32 * 8 + 64,
        most,
    };
    assert_eq!(rig.run(), Err(fault));
}

#[test]
fn case_07_a_corrupt_ring_poisons_the_channel() {
    let mut rig = one_disk();
    rig.driver.ring.outgoing.mem().store(ControlWord::WriteIndex, 12);
    let fault = rig.run().unwrap_err();
    assert!(matches!(fault, Fault::Ring(_)), "{fault}");
    // The guest's index of what it has read is judged when room is looked for.
    let mut rig = one_disk();
    rig.driver.ring.incoming.mem().store(ControlWord::ReadIndex, 4);
    let fault = (0..100).find_map(|_| {
        rig.driver.send(&GuestMessage::ResetAdapter);
        rig.run().err()
    });
    assert!(matches!(fault, Some(Fault::Ring(_))), "{fault:?}");
}
