//! A guest that breaks the protocol, and rings that are full.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod support;

use netvsc_proto::host::{
    Fault, MacAddress, NicConfig, PACKET_SCRATCH_LEN, ReceiveError, ReceiveInfo, Received, Refusal, Scratch,
};
use netvsc_proto::wire::DecodeError;
use netvsc_proto::wire::nvsp::{self, ChannelType, MessageType, NO_SECTION, Status, Version};
use netvsc_proto::wire::nvsp_message::GuestMessage;
use netvsc_proto::wire::oid::Oid;
use netvsc_proto::wire::ppi::PpiFault;
use netvsc_proto::wire::rndis::{self, PacketFilter};
use netvsc_proto::wire::rndis_message::{self, HostMessage as RndisHost};
use netvsc_proto::wire::status::RndisStatus;
use proptest::prelude::*;
use support::{MAC, Mem, Rig, SECTIONS, frame, packet, rndis_packet};
use vmbus_proto::hvcall::{GuestMemory, MemoryError};
use vmbus_proto::ringbuf::gpa::GpaRange;
use vmbus_proto::ringbuf::{ControlWord, Descriptor, OutOfBounds, PacketType, RingFault, SharedMem};

fn config() -> NicConfig {
    NicConfig::new(MAC)
}

/// The NIC goes on: a frame gets through either way.
fn alive<const WORDS: usize>(rig: &mut Rig<WORDS>) {
    rig.run();
    rig.net.take();
    rig.guest[0].frames.clear();
    assert_eq!(
        rig.send_section(0, 15, &packet(&[], &frame(MAC, 1, 60))),
        Status::SUCCESS
    );
    assert_eq!(rig.net.take().len(), 1);
    assert_eq!(
        rig.queues[0].receive(&frame(MAC, 2, 60), &ReceiveInfo::NONE),
        Ok(Received::Staged)
    );
    let _ = rig.queues[0].flush().unwrap();
    rig.run();
    assert_eq!(rig.guest[0].frames.len(), 1);
    assert_eq!(rig.query_u32(Oid::GEN_MAXIMUM_FRAME_SIZE), 1500);
}

/// The channel is poisoned, and stays so, whatever is called.
fn dead<const WORDS: usize>(rig: &mut Rig<WORDS>, channel: usize, fault: Fault) {
    for _ in 0..2 {
        assert_eq!(rig.serve_once(channel).unwrap_err(), fault);
    }
    let queue = &mut rig.queues[channel];
    assert_eq!(queue.fault(), Some(fault));
    assert_eq!(queue.flush().unwrap_err(), fault);
    assert_eq!(
        queue
            .receive(&frame(MacAddress::BROADCAST, 0, 60), &ReceiveInfo::NONE)
            .unwrap_err(),
        ReceiveError::Fault(fault)
    );
}

fn ppi_record(size: u32, kind: u32, offset: u32) -> Vec<u8> {
    [size, kind, offset, 0]
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect()
}

#[test]
fn case_01_per_packet_info_that_makes_no_sense() {
    let mut rig = Rig::<4096>::up(config());
    let cases = [
        (
            ppi_record(0, 6, 12),
            PpiFault::Size {
                size: 0,
                remaining: 16,
            },
        ),
        (
            ppi_record(17, 6, 12),
            PpiFault::Size {
                size: 17,
                remaining: 16,
            },
        ),
        (
            ppi_record(u32::MAX, 6, 12),
            PpiFault::Size {
                size: u32::MAX,
                remaining: 16,
            },
        ),
        (ppi_record(16, 6, 16), PpiFault::Offset { offset: 16, size: 16 }),
        (ppi_record(16, 6, 0), PpiFault::Offset { offset: 0, size: 16 }),
        (vec![0; 11], PpiFault::Remainder { remaining: 11 }),
    ];
    for (ppi, fault) in cases {
        let transfer = [packet(&[], &frame(MAC, 1, 60)), packet(&ppi, &frame(MAC, 2, 60))].concat();
        assert_eq!(rig.send_section(0, 0, &transfer), Status::INVALID_RNDIS_PACKET);
        assert_eq!(rig.refused.pop(), Some(Refusal::Ppi(fault)));
        // What came before it is sent.
        assert_eq!(rig.net.take(), [frame(MAC, 1, 60)]);
    }
    // A type that nobody knows is passed over.
    assert_eq!(
        rig.send_section(0, 0, &packet(&ppi_record(16, 99, 12), &frame(MAC, 1, 60))),
        Status::SUCCESS
    );
    alive(&mut rig);
}

#[test]
fn case_02_range_counts_that_cannot_be() {
    for count in [u32::MAX - 2, u32::MAX - 1, u32::MAX, 2, 0x1000_0000] {
        let mut rig = Rig::<4096>::up(config());
        // No guest sends transfer pages. Whatever its count says, nothing is acknowledged.
        let ranges = [vmbus_proto::ringbuf::TransferPageRange::new(0, 60)];
        let payload = rndis_packet(ChannelType::DATA, NO_SECTION, 0);
        let descriptor = Descriptor::TransferPages {
            set_id: nvsp::RECEIVE_BUFFER_ID,
            ranges: &ranges,
        };
        let at = rig.guest[0]
            .rings
            .outgoing
            .mem()
            .word(ControlWord::WriteIndex)
            .load(std::sync::atomic::Ordering::SeqCst);
        rig.guest[0].write(descriptor, 5, true, &payload).unwrap();
        tamper(&rig, at + 20, &count.to_le_bytes());
        rig.guest[0].completed.clear();
        assert_eq!(
            rig.serve_once(0).unwrap_err(),
            Fault::PacketType(PacketType::TRANSFER_PAGES)
        );
        rig.guest[0].poll(&rig.receive.clone());
        assert!(rig.guest[0].completed.is_empty());
        dead(&mut rig, 0, Fault::PacketType(PacketType::TRANSFER_PAGES));

        // The same count in a GPA direct packet: refused, and the NIC goes on.
        let mut rig = Rig::<4096>::up(config());
        let at = rig.guest[0]
            .rings
            .outgoing
            .mem()
            .word(ControlWord::WriteIndex)
            .load(std::sync::atomic::Ordering::SeqCst);
        let id = rig.id();
        rig.send_pages(
            0,
            id,
            ChannelType::DATA,
            (NO_SECTION, 0),
            &packet(&[], &frame(MAC, 1, 60)),
        );
        tamper(&rig, at + 20, &count.to_le_bytes());
        rig.run();
        assert_eq!(rig.transfer_status(0, id), Status::FAILURE);
        assert!(matches!(rig.refused[..], [Refusal::Ranges(_)]));
        assert!(rig.net.take().is_empty());
        alive(&mut rig);
    }
}

/// Overwrites bytes in the ring to the host.
fn tamper<const WORDS: usize>(rig: &Rig<WORDS>, at: u32, bytes: &[u8]) {
    use vmbus_proto::ringbuf::RingMem;
    rig.guest[0]
        .rings
        .outgoing
        .mem()
        .write(at % (WORDS as u32 * 8), bytes);
}

#[test]
fn case_05_completions_of_what_the_guest_does_not_have() {
    let complete = [108_u32.to_le_bytes(), 1_u32.to_le_bytes()].concat();
    let mut rig = Rig::<4096>::up(config());
    rig.guest[0].hold = true;
    rig.queues[0]
        .receive(&frame(MAC, 1, 60), &ReceiveInfo::NONE)
        .unwrap();
    let _ = rig.queues[0].flush().unwrap();
    rig.run();
    let outstanding = rig.guest[0].held[0];
    let capacity = rig
        .nic
        .receive_layout()
        .unwrap()
        .sections_per_queue
        .min(SECTIONS as u16);
    let bad = [
        0,
        u64::MAX,
        u64::from(capacity),
        u64::from(capacity) + 1,
        outstanding + 1,
        outstanding ^ 1 << 32,
    ];
    for transaction_id in bad {
        let mut rig = Rig::<4096>::up(config());
        rig.guest[0].hold = true;
        rig.queues[0]
            .receive(&frame(MAC, 1, 60), &ReceiveInfo::NONE)
            .unwrap();
        let _ = rig.queues[0].flush().unwrap();
        rig.run();
        assert_eq!(rig.guest[0].held[0], outstanding);
        rig.guest[0]
            .write(Descriptor::Completion, transaction_id, false, &complete)
            .unwrap();
        assert_eq!(
            rig.serve_once(0).unwrap_err(),
            Fault::Completion { transaction_id }
        );
        dead(&mut rig, 0, Fault::Completion { transaction_id });
    }
    // Twice.
    rig.guest[0]
        .write(Descriptor::Completion, outstanding, false, &complete)
        .unwrap();
    rig.serve(0).unwrap();
    rig.guest[0]
        .write(Descriptor::Completion, outstanding, false, &complete)
        .unwrap();
    dead(
        &mut rig,
        0,
        Fault::Completion {
            transaction_id: outstanding,
        },
    );
}

#[test]
fn case_05_a_stale_completion() {
    let mut rig = Rig::<4096>::up(config());
    let complete = [108_u32.to_le_bytes(), 1_u32.to_le_bytes()].concat();
    rig.guest[0].hold = true;
    let mut ids = Vec::new();
    for tag in 0..2 {
        rig.queues[0]
            .receive(&frame(MAC, tag, 60), &ReceiveInfo::NONE)
            .unwrap();
        let _ = rig.queues[0].flush().unwrap();
        rig.run();
        ids.push(*rig.guest[0].held.back().unwrap());
        if tag == 0 {
            rig.guest[0].return_held();
            rig.run();
        }
    }
    assert_eq!(
        ids[0] & 0xffff_ffff,
        ids[1] & 0xffff_ffff,
        "the same section, another time"
    );
    rig.guest[0]
        .write(Descriptor::Completion, ids[0], false, &complete)
        .unwrap();
    dead(
        &mut rig,
        0,
        Fault::Completion {
            transaction_id: ids[0],
        },
    );
}

/// Memory that changes under its reader: what was read reads otherwise the next time.
#[derive(Clone)]
struct Changing(Mem);

impl Changing {
    fn change(&self, at: usize, bytes: &[u8]) {
        let other: Vec<u8> = bytes.iter().map(|byte| !byte).collect();
        SharedMem::write(&self.0, at, &other).unwrap();
    }
}

impl SharedMem for Changing {
    fn len(&self) -> usize {
        SharedMem::len(&self.0)
    }
    fn read(&self, offset: usize, dst: &mut [u8]) -> Result<(), OutOfBounds> {
        SharedMem::read(&self.0, offset, dst)?;
        self.change(offset, dst);
        Ok(())
    }
    fn write(&self, offset: usize, src: &[u8]) -> Result<(), OutOfBounds> {
        SharedMem::write(&self.0, offset, src)
    }
}

impl GuestMemory for Changing {
    fn read(&self, gpa: u64, dst: &mut [u8]) -> Result<(), MemoryError> {
        GuestMemory::read(&self.0, gpa, dst)?;
        self.change(gpa as usize, dst);
        Ok(())
    }
    fn write(&self, gpa: u64, src: &[u8]) -> Result<(), MemoryError> {
        GuestMemory::write(&self.0, gpa, src)
    }
    fn load_u32(&self, gpa: u64) -> Result<u32, MemoryError> {
        self.0.load_u32(gpa)
    }
    fn store_u32(&self, gpa: u64, value: u32) -> Result<(), MemoryError> {
        self.0.store_u32(gpa, value)
    }
    fn fetch_or_u32(&self, gpa: u64, bits: u32) -> Result<u32, MemoryError> {
        self.0.fetch_or_u32(gpa, bits)
    }
}

#[test]
fn case_08_bytes_that_change_are_read_once() {
    let rig = Rig::<4096>::up(config());
    let (mut queue, mut guest) = support::channel::<4096, Changing>(1);
    let (ram, send) = (Changing(rig.ram.clone()), Changing(rig.send.clone()));
    queue.set_data_path(rig.nic.data_path());
    queue.lend_send_buffer(send.clone(), rig.nic.send_layout().unwrap());
    // Messages in a section, in pages, and begun in a section and ended in pages.
    let transfer: Vec<u8> = (1..=4)
        .flat_map(|tag| packet(&ppi_record(16, 8, 12), &frame(MAC, tag, 100)))
        .collect();
    let frames: Vec<_> = (1..=4).map(|tag| frame(MAC, tag, 100)).collect();
    for in_section in [transfer.len(), 0, 52] {
        let (section, pages) = transfer.split_at(in_section);
        SharedMem::write(&send, 6144, section).unwrap();
        GuestMemory::write(&ram, 0x3f80, pages).unwrap();
        let index = if section.is_empty() { NO_SECTION } else { 1 };
        let payload = rndis_packet(ChannelType::DATA, index, section.len() as u32);
        let pfns = [3, 4].map(zerocopy::little_endian::U64::new);
        let ranges = (!pages.is_empty()).then(|| GpaRange::new(0xf80, pages.len() as u32, &pfns).unwrap());
        let descriptor = match &ranges {
            Some(range) => Descriptor::GpaDirect(std::slice::from_ref(range)),
            None => Descriptor::InBand,
        };
        guest.write(descriptor, 7, true, &payload).unwrap();
        let (mut packet, mut transfer) = (vec![0; PACKET_SCRATCH_LEN], vec![0; 8192]);
        let mut scratch = Scratch {
            packet: &mut packet,
            transfer: &mut transfer,
        };
        let outcome = queue.service(&ram, &*rig.net, &mut scratch, 64).unwrap();
        assert_eq!(outcome.refused, None);
        assert_eq!(rig.net.take(), frames);
    }
}

#[test]
fn case_14_malformed_control_messages_are_answered() {
    let mut rig = Rig::<4096>::up(config());
    let words = |words: &[u32]| {
        words
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect::<Vec<u8>>()
    };
    // Type, length, request id, then what is wrong. The answer has the highest bit of the type.
    let answered = [
        words(&[4, 28, 7, 0x0001_0106, 1, 21, 0]),
        words(&[4, 28, 7, 0x0001_0106, u32::MAX, 20, 0]),
        words(&[4, 28, 7, 0x0001_0106, 4, u32::MAX, 0]),
        words(&[4, 12, 7]),
        words(&[4, 999, 7, 0x0001_0106, 0, 0, 0]),
        words(&[5, 28, 7, 0x0001_010e, 4, 20, 0]),
        words(&[5, 7, 7, 0x0001_010e, 4, 20, 0]),
        words(&[2, 12, 7]),
        words(&[8, 11, 7]),
        words(&[9, 12, 7]),
    ];
    for message in answered {
        assert_eq!(rig.control(&message), Status::SUCCESS);
        let reply = rig.guest[0].replies.pop_front().expect("no answer");
        let word = |at: usize| u32::from_le_bytes(reply[at..at + 4].try_into().unwrap());
        assert_eq!(
            word(0),
            u32::from_le_bytes(message[..4].try_into().unwrap()) | 0x8000_0000
        );
        assert_eq!((word(8), word(12)), (7, RndisStatus::INVALID_DATA.value()));
    }
    // No id to answer to: the transfer itself is refused.
    let refused = [
        words(&[4, 8]),
        words(&[4]),
        vec![0; 3],
        words(&[6, 8]),
        words(&[3, 8]),
        words(&[0x8000_0004, 24, 7, 0, 0, 0]),
        words(&[0xff00_0001, 12, 7]),
        words(&[0, 12, 7]),
        packet(&[], &frame(MAC, 1, 60)),
    ];
    for message in refused {
        assert_eq!(
            rig.control(&message),
            Status::INVALID_RNDIS_PACKET,
            "{message:x?}"
        );
        assert!(rig.guest[0].replies.is_empty());
    }
    alive(&mut rig);
}

#[test]
fn case_14_malformed_packet_messages_are_refused() {
    let mut rig = Rig::<4096>::up(config());
    let good = packet(&[], &frame(MAC, 1, 60));
    let with = |at: usize, word: u32| {
        let mut bytes = good.clone();
        bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
        bytes
    };
    let invalid = [
        with(4, 0),
        with(4, 7),
        with(4, 200),
        with(4, u32::MAX),
        with(0, 2),
        with(0, 3),
        with(0, 0xdead),
        with(8, 35),
        with(8, 45),
        with(8, u32::MAX),
        with(12, 69),
        with(12, u32::MAX),
        with(32, 16),
        good[..43].to_vec(),
    ];
    for bytes in invalid {
        assert_eq!(
            rig.send_section(0, 0, &bytes),
            Status::INVALID_RNDIS_PACKET,
            "{bytes:x?}"
        );
    }
    for (length, what) in [(13, "short"), (0, "empty")] {
        assert_eq!(
            rig.send_section(0, 0, &with(12, length)),
            Status::FAILURE,
            "{what}"
        );
        let length = length as usize;
        assert_eq!(
            rig.refused.pop(),
            Some(Refusal::FrameLength { length, limit: 1518 })
        );
    }
    let long = packet(&[], &frame(MAC, 1, 1519));
    assert_eq!(rig.send_section(0, 0, &long), Status::FAILURE);
    assert!(rig.net.take().is_empty());
    // Nine packets: eight go, and the ninth is refused.
    assert_eq!(rig.send_section(0, 0, &good.repeat(9)), Status::FAILURE);
    assert_eq!(rig.refused.pop(), Some(Refusal::TooManyPackets(8)));
    assert_eq!(rig.net.take().len(), 8);
    alive(&mut rig);
}

#[test]
fn case_19_a_flood_of_control_messages_is_told_to_wait() {
    let mut rig = Rig::<4096>::up(config());
    // The guest returns nothing, so that answers run out of sections.
    rig.guest[0].hold = true;
    let keepalive = |id: u32| {
        let mut bytes = [0; 16];
        let request = rndis::KeepaliveRequest {
            request_id: id.into(),
        };
        rndis_message::GuestMessage::Keepalive(request)
            .encode(&mut bytes)
            .unwrap()
            .to_vec()
    };
    let mut statuses = Vec::new();
    for id in 0..2000 {
        let status = rig.control(&keepalive(id));
        statuses.push(status);
        if status != Status::SUCCESS {
            break;
        }
    }
    assert_eq!(statuses.last(), Some(&Status::BUSY));
    assert_eq!(rig.refused.pop(), Some(Refusal::Busy));
    // Four more answers wait for sections.
    assert_eq!(statuses.len() - 1, rig.guest[0].replies.len() + 4);
    rig.guest[0].hold = false;
    rig.guest[0].return_held();
    rig.run();
    let ids: Vec<u32> = rig.guest[0]
        .replies
        .drain(..)
        .map(|reply| u32::from_le_bytes(reply[8..12].try_into().unwrap()))
        .collect();
    assert_eq!(ids, (0..statuses.len() as u32 - 1).collect::<Vec<_>>());
    alive(&mut rig);
}

#[test]
fn frames_leave_sections_to_control_messages() {
    let mut rig = Rig::<4096>::up(config());
    rig.guest[0].hold = true;
    let mut taken = 0;
    while rig.queues[0]
        .receive(&frame(MAC, 0, 60), &ReceiveInfo::NONE)
        .is_ok()
    {
        taken += 1;
        let _ = rig.queues[0].flush().unwrap();
        rig.run();
        assert!(taken <= SECTIONS);
    }
    let error = rig.queues[0]
        .receive(&frame(MAC, 0, 60), &ReceiveInfo::NONE)
        .unwrap_err();
    assert_eq!(error, ReceiveError::NoBuffer);
    assert!(rig.queues[0].stats().receive_no_buffer >= 1);
    assert_eq!(rig.query_u32(Oid::GEN_MAXIMUM_FRAME_SIZE), 1500);
    rig.guest[0].hold = false;
    rig.guest[0].return_held();
    alive(&mut rig);
}

#[test]
fn case_15_a_full_ring_loses_no_completion_and_no_frame() {
    // A ring of one page.
    let mut rig = Rig::<512>::up(config());
    let mut sent = Vec::new();
    let mut staged = 0_u32;
    let mut full = 0;
    // The guest sends and reads nothing; the host has frames for it all the while.
    for round in 0..400_u32 {
        let id = u64::from(round) + 0x9000;
        let transfer = packet(&[], &frame(MAC, 1, 60));
        SharedMem::write(&rig.send, 0, &transfer).unwrap();
        let payload = rndis_packet(ChannelType::DATA, 0, transfer.len() as u32);
        if rig.guest[0].write(Descriptor::InBand, id, true, &payload).is_ok() {
            sent.push(id);
        }
        rig.serve(0).unwrap();
        let mut bytes = frame(MAC, 2, 60);
        bytes[14..18].copy_from_slice(&staged.to_le_bytes());
        match rig.queues[0].receive(&bytes, &ReceiveInfo::NONE) {
            Ok(Received::Staged) => staged += 1,
            Err(ReceiveError::RingFull) => full += 1,
            other => panic!("{other:?}"),
        }
        let _ = rig.queues[0].flush().unwrap();
    }
    assert!(full > 0, "the ring never got full");
    assert_eq!(rig.queues[0].stats().receive_ring_full, full);
    assert!(sent.len() < 400, "reading never stopped");
    // The ring that was full has asked for a signal, and gets one as soon as there is room.
    rig.guest[0].signals = 0;
    rig.guest[0].poll(&rig.receive.clone());
    assert!(rig.guest[0].signals > 0);
    for _ in 0..50 {
        rig.run();
    }
    let completed: Vec<u64> = rig.guest[0].completed.iter().map(|(id, _)| *id).collect();
    assert_eq!(completed, sent);
    let got: Vec<u32> = rig.guest[0]
        .frames
        .drain(..)
        .map(|got| u32::from_le_bytes(got.data[14..18].try_into().unwrap()))
        .collect();
    assert_eq!(got, (0..staged).collect::<Vec<_>>());
    assert_eq!(rig.net.take().len(), sent.len());
    alive(&mut rig);
}

#[test]
fn case_15_frames_wait_for_a_full_ring() {
    let mut rig = Rig::<512>::up(config());
    let capacity = rig.queues[0].receive_capacity();
    let mut staged = 0_u16;
    let error = loop {
        let mut bytes = frame(MAC, 2, 60);
        bytes[14..16].copy_from_slice(&staged.to_le_bytes());
        match rig.queues[0].receive(&bytes, &ReceiveInfo::NONE) {
            Ok(_) => staged += 1,
            Err(error) => break error,
        }
        let _ = rig.queues[0].flush().unwrap();
    };
    assert_eq!(error, ReceiveError::RingFull);
    assert!(staged < capacity, "sections ran out first");
    // Some are in the ring, the others wait in their sections.
    assert!(rig.queues[0].outstanding() < staged);
    assert_eq!(rig.queues[0].receive_capacity(), capacity - staged);
    rig.run();
    let tag = |data: &[u8]| u16::from_le_bytes(data[14..16].try_into().unwrap());
    let got: Vec<u16> = rig.guest[0].frames.drain(..).map(|got| tag(&got.data)).collect();
    assert_eq!(got, (0..staged).collect::<Vec<_>>());
    assert_eq!(rig.queues[0].receive_capacity(), capacity);
    alive(&mut rig);
}

#[test]
fn case_15_answers_wait_for_a_full_ring() {
    let mut rig = Rig::<512>::up(config());
    // Fill the ring to the guest.
    while rig.queues[0]
        .receive(&frame(MAC, 0, 60), &ReceiveInfo::NONE)
        .is_ok()
    {
        let _ = rig.queues[0].flush().unwrap();
    }
    let ids: Vec<u64> = (0..20).collect();
    for id in &ids {
        rig.guest[0].message(*id, true, &GuestMessage::OidQueryEx(nvsp::OidQueryEx::default()));
        rig.serve(0).unwrap();
    }
    rig.net.link.set(false);
    rig.serve(0).unwrap();
    for _ in 0..20 {
        rig.run();
    }
    let completed: Vec<u64> = rig.guest[0].completed.drain(..).map(|(id, _)| id).collect();
    assert_eq!(completed, ids);
    assert_eq!(
        rig.guest[0].indications.pop_front(),
        Some((RndisStatus::MEDIA_DISCONNECT, vec![]))
    );
    assert!(rig.guest[0].indications.is_empty());
    alive(&mut rig);
}

#[test]
fn sections_and_memory_that_do_not_exist() {
    let mut rig = Rig::<4096>::up(config());
    for (index, size) in [(16, 60), (u32::MAX - 1, 60), (0, 6145), (0, u32::MAX), (15, 6145)] {
        let id = rig.id();
        rig.guest[0].in_band(id, true, &rndis_packet(ChannelType::DATA, index, size));
        rig.run();
        assert_eq!(rig.transfer_status(0, id), Status::FAILURE);
        assert_eq!(rig.refused.pop(), Some(Refusal::Section { index, size }));
    }
    for (index, size) in [(NO_SECTION, 0), (NO_SECTION, 60), (0, 0)] {
        let id = rig.id();
        rig.guest[0].in_band(id, true, &rndis_packet(ChannelType::DATA, index, size));
        rig.run();
        assert_eq!(rig.transfer_status(0, id), Status::INVALID_RNDIS_PACKET);
        assert_eq!(rig.refused.pop(), Some(Refusal::NoData));
    }
    // Pages beyond the end of memory, and more of them than can be.
    let pfns = [zerocopy::little_endian::U64::new(1 << 40)];
    let range = [GpaRange::new(0, 100, &pfns).unwrap()];
    let id = rig.id();
    let payload = rndis_packet(ChannelType::DATA, NO_SECTION, 0);
    rig.guest[0]
        .write(Descriptor::GpaDirect(&range), id, true, &payload)
        .unwrap();
    rig.run();
    assert_eq!(rig.transfer_status(0, id), Status::FAILURE);
    assert!(matches!(rig.refused.pop(), Some(Refusal::Memory(error)) if error.gpa == 1 << 52));
    let id = rig.id();
    rig.send_pages(0, id, ChannelType::DATA, (NO_SECTION, 0), &vec![0; 9000]);
    rig.run();
    assert_eq!(rig.transfer_status(0, id), Status::FAILURE);
    let limit = config().transfer_scratch_len();
    assert_eq!(
        rig.refused.pop(),
        Some(Refusal::TransferTooLong { length: 9000, limit })
    );
    alive(&mut rig);
}

#[test]
fn a_transfer_without_completion_gets_none() {
    let mut rig = Rig::<4096>::up(config());
    let transfer = packet(&[], &frame(MAC, 1, 60));
    SharedMem::write(&rig.send, 0, &transfer).unwrap();
    rig.guest[0].in_band(
        77,
        false,
        &rndis_packet(ChannelType::DATA, 0, transfer.len() as u32),
    );
    rig.run();
    assert_eq!(rig.net.take().len(), 1);
    assert_eq!(rig.completion(0, 77), None);
}

#[test]
fn messages_out_of_order_poison_the_channel() {
    let unexpected = |message, version| Fault::Unexpected { message, version };
    let buffer = GuestMessage::SendReceiveBuffer(nvsp::SendBuffer::default());
    let mut rig = Rig::<4096>::new(config());
    rig.guest[0].message(1, true, &buffer);
    dead(
        &mut rig,
        0,
        unexpected(MessageType::SEND_RECEIVE_BUFFER, Version::new(0)),
    );

    // A message of a version that was not agreed on.
    let mut rig = Rig::<4096>::new(config());
    rig.init(Version::V4);
    rig.guest[0].message(
        1,
        true,
        &GuestMessage::Subchannel(nvsp::SubchannelRequest::default()),
    );
    dead(&mut rig, 0, unexpected(MessageType::SUBCHANNEL, Version::V4));

    // The completion of a packet that is no completion packet, and the other way round.
    let mut rig = Rig::<4096>::up(config());
    rig.guest[0].message(
        1,
        true,
        &GuestMessage::SendRndisPacketComplete(Default::default()),
    );
    dead(
        &mut rig,
        0,
        unexpected(MessageType::SEND_RNDIS_PACKET_COMPLETE, Version::V6_1),
    );
    let mut rig = Rig::<4096>::up(config());
    rig.guest[0]
        .write(
            Descriptor::Completion,
            1,
            false,
            &rndis_packet(ChannelType::DATA, 0, 0),
        )
        .unwrap();
    dead(
        &mut rig,
        0,
        unexpected(MessageType::SEND_RNDIS_PACKET, Version::V6_1),
    );
}

#[test]
fn messages_that_do_not_decode_poison_the_channel() {
    for (bytes, error) in [
        (vec![0; 8], DecodeError::NvspType(MessageType::new(0))),
        (
            2_u32.to_le_bytes().repeat(7),
            DecodeError::NvspType(MessageType::INIT_COMPLETE),
        ),
        (
            101_u32.to_le_bytes().to_vec(),
            DecodeError::Short {
                what: "SEND_RECV_BUF",
                needed: 10,
                got: 8,
            },
        ),
        (
            101_u32.to_le_bytes().repeat(20),
            DecodeError::Long {
                what: "SEND_RECV_BUF",
                limit: 40,
                got: 80,
            },
        ),
    ] {
        let mut rig = Rig::<4096>::up(config());
        rig.guest[0].in_band(1, true, &bytes);
        dead(&mut rig, 0, Fault::Message(error));
    }
}

#[test]
fn a_poisoned_channel_leaves_the_others_alone() {
    let mut rig = Rig::<4096>::up(NicConfig {
        max_queues: 2,
        ..config()
    });
    rig.tell(&GuestMessage::Subchannel(nvsp::SubchannelRequest {
        operation: nvsp::SubchannelOperation::ALLOCATE,
        count: 1.into(),
    }));
    rig.open_subchannel();
    rig.run();
    // Control messages: RNDIS is refused, NVSP is a fault.
    let id = rig.id();
    rig.send_pages(1, id, ChannelType::CONTROL, (NO_SECTION, 0), &[0; 12]);
    rig.run();
    assert_eq!(rig.transfer_status(1, id), Status::FAILURE);
    assert_eq!(rig.refused.pop(), Some(Refusal::ControlOnSubchannel));
    rig.guest[1].message(1, true, &GuestMessage::Init(nvsp::Init::default()));
    dead(&mut rig, 1, Fault::OnSubchannel(MessageType::INIT));
    rig.queues.pop();
    rig.guest.pop();
    alive(&mut rig);
}

#[test]
fn packets_that_are_too_large_or_of_no_use() {
    let mut rig = Rig::<4096>::up(config());
    rig.guest[0].in_band(1, true, &[0; 9000]);
    dead(
        &mut rig,
        0,
        Fault::PacketTooLarge {
            needed: 9000,
            limit: 8192,
        },
    );

    let mut rig = Rig::<4096>::up(config());
    let word = rig.guest[0].rings.outgoing.mem().word(ControlWord::WriteIndex);
    word.store(4, std::sync::atomic::Ordering::SeqCst);
    let fault = rig.serve_once(0).unwrap_err();
    assert!(
        matches!(fault, Fault::Ring(RingFault::WriteIndex { index: 4, .. })),
        "{fault}"
    );
    dead(&mut rig, 0, fault);
}

#[test]
fn case_07_a_guest_that_moves_its_read_index() {
    let mut rig = Rig::<4096>::up(config());
    let word = rig.guest[0].rings.incoming.mem().word(ControlWord::ReadIndex);
    word.store(12, std::sync::atomic::Ordering::SeqCst);
    // The index is looked at when room is needed.
    let mut fault = None;
    for _ in 0..2000 {
        match rig.queues[0].receive(&frame(MAC, 0, 60), &ReceiveInfo::NONE) {
            Ok(_) | Err(ReceiveError::NoBuffer | ReceiveError::RingFull) => {}
            Err(ReceiveError::Fault(found)) => fault = Some(found),
            Err(other) => panic!("{other}"),
        }
        if let Err(found) = rig.queues[0].flush() {
            fault = Some(found);
        }
    }
    assert!(matches!(fault, Some(Fault::Ring(_))), "{fault:?}");
}

#[test]
fn revokes_that_name_nothing() {
    let mut rig = Rig::<4096>::up(config());
    let revoke = |id: u16| GuestMessage::RevokeReceiveBuffer(nvsp::RevokeBuffer { id: id.into() });
    assert!(rig.ask(&revoke(1)).is_empty());
    assert_eq!(
        rig.refused.pop(),
        Some(Refusal::Buffer(MessageType::REVOKE_RECEIVE_BUFFER))
    );
    alive(&mut rig);
    assert!(rig.ask(&revoke(nvsp::RECEIVE_BUFFER_ID)).is_empty());
    assert!(rig.ask(&revoke(nvsp::RECEIVE_BUFFER_ID)).is_empty());
    let error = rig.queues[0]
        .receive(&frame(MAC, 0, 60), &ReceiveInfo::NONE)
        .unwrap_err();
    assert_eq!(error, ReceiveError::NoReceiveBuffer);
}

#[test]
fn buffers_smaller_than_the_embedder_said() {
    let mut rig = Rig::<4096>::up(config());
    let layout = rig.nic.receive_layout().unwrap();
    rig.queues[0].lend_receive_buffer(Mem::new(100), layout);
    let error = rig.queues[0]
        .receive(&frame(MAC, 0, 60), &ReceiveInfo::NONE)
        .unwrap_err();
    assert!(matches!(error, ReceiveError::ReceiveBuffer(_)));
    assert_eq!(rig.queues[0].outstanding(), 0);
}

/// One thing that a guest may do.
#[derive(Clone, Debug)]
enum Act {
    /// A packet with any payload.
    Payload(u16, u64, bool, Vec<u8>),
    /// Control bytes, in pages.
    Control(Vec<u8>),
    /// A section of any content.
    Section(u32, u32, Vec<u8>),
    /// A frame for the guest.
    Receive(u8),
    /// Returns everything, or lies about it.
    Return(bool, u64),
    /// A query or set of a known OID with any input.
    Oid(bool, usize, Vec<u8>),
    /// A known NVSP message with any body.
    Nvsp(u32, Vec<u8>),
}

fn act() -> impl Strategy<Value = Act> {
    let bytes = |max| prop::collection::vec(any::<u8>(), 0..max);
    prop_oneof![
        (0_u16..3, any::<u64>(), any::<bool>(), bytes(80)).prop_map(|(a, b, c, d)| Act::Payload(a, b, c, d)),
        bytes(120).prop_map(Act::Control),
        (0_u32..20, 0_u32..7000, bytes(200)).prop_map(|(a, b, c)| Act::Section(a, b, c)),
        any::<u8>().prop_map(Act::Receive),
        (prop::bool::weighted(0.1), any::<u64>()).prop_map(|(a, b)| Act::Return(a, b)),
        (any::<bool>(), any::<usize>(), bytes(100)).prop_map(|(a, b, c)| Act::Oid(a, b, c)),
        (prop_oneof![Just(1_u32), 100_u32..137], bytes(36)).prop_map(|(a, b)| Act::Nvsp(a, b)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever the guest does, the host ends each call, holds no more than it may, and a fault sticks.
    #[test]
    fn any_guest(acts in prop::collection::vec(act(), 1..60), up in any::<bool>()) {
        let mut rig = if up { Rig::<4096>::up(config()) } else { Rig::<4096>::new(config()) };
        rig.guest[0].hold = true;
        let mut fault = None;
        for act in acts {
            match act {
                Act::Payload(kind, id, completion, bytes) => {
                    let pfns = [zerocopy::little_endian::U64::new(id % 300)];
                    let ranges = [vmbus_proto::ringbuf::gpa::GpaRange::new(3, 1000, &pfns).unwrap()];
                    let descriptor = match kind {
                        0 => Descriptor::InBand,
                        1 => Descriptor::Completion,
                        _ => Descriptor::GpaDirect(&ranges),
                    };
                    let _ = rig.guest[0].write(descriptor, id, completion, &bytes);
                }
                Act::Control(bytes) if !bytes.is_empty() => {
                    rig.send_pages(0, 1, ChannelType::CONTROL, (NO_SECTION, 0), &bytes);
                }
                Act::Control(_) => {}
                Act::Section(index, size, bytes) => {
                    let _ = SharedMem::write(&rig.send, index as usize * 6144, &bytes);
                    let payload = rndis_packet(ChannelType::DATA, index, size);
                    let _ = rig.guest[0].write(Descriptor::InBand, 1, true, &payload);
                }
                Act::Receive(tag) => {
                    let _ = rig.queues[0].receive(&frame(MacAddress::BROADCAST, tag, 100), &ReceiveInfo::NONE);
                    let _ = rig.queues[0].flush();
                }
                Act::Return(true, id) => rig.guest[0].return_sections(id),
                Act::Return(false, _) => rig.guest[0].return_held(),
                Act::Oid(set, index, info) => {
                    let oid = Oid::NAMED[index % Oid::NAMED.len()];
                    let request = rndis::OidRequest { request_id: 1.into(), oid, ..Default::default() };
                    let message = if set {
                        rndis_message::GuestMessage::Set(request, &info)
                    } else {
                        rndis_message::GuestMessage::Query(request, &info)
                    };
                    let mut bytes = [0; 256];
                    let bytes = message.encode(&mut bytes).unwrap().to_vec();
                    rig.send_pages(0, 1, ChannelType::CONTROL, (NO_SECTION, 0), &bytes);
                }
                Act::Nvsp(kind, body) => {
                    let _ = rig.guest[0].write(Descriptor::InBand, 1, true, &[&kind.to_le_bytes()[..], &body].concat());
                }
            }
            let outcome = rig.serve_once(0);
            while let Some(event) = rig.nic.poll_event() {
                use netvsc_proto::host::Event;
                match event {
                    Event::MapReceiveBuffer(_) => {
                        if let Some(layout) = rig.nic.receive_buffer_mapped(1 << 20) {
                            rig.queues[0].lend_receive_buffer(rig.receive.clone(), layout);
                        }
                    }
                    Event::MapSendBuffer(_) => {
                        if let Some(layout) = rig.nic.send_buffer_mapped(16 * 6144) {
                            rig.queues[0].lend_send_buffer(rig.send.clone(), layout);
                        }
                    }
                    Event::ReleaseReceiveBuffer => rig.nic.receive_buffer_released(),
                    Event::ReleaseSendBuffer => rig.nic.send_buffer_released(),
                    _ => {}
                }
            }
            match (fault, outcome) {
                (Some(fault), outcome) => prop_assert_eq!(outcome.unwrap_err(), fault),
                (None, Err(found)) => fault = Some(found),
                (None, Ok(outcome)) => prop_assert!(outcome.packets <= rig.budget),
            }
            prop_assert!(rig.queues[0].outstanding() <= SECTIONS as u16);
            poll_loosely(&mut rig);
        }
    }

    /// Control messages of any bytes, well-framed: each is answered, by RNDIS or by a refusal, and the NIC goes on.
    #[test]
    fn case_14_any_control_message(
        kind in prop_oneof![4_u32..10, Just(2), any::<u32>()],
        body in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        prop_assume!(kind != 3 && kind != 6);
        let mut rig = Rig::<4096>::up(config());
        let mut bytes = kind.to_le_bytes().to_vec();
        bytes.extend((body.len() as u32 + 8).to_le_bytes());
        bytes.extend(&body);
        let status = rig.control(&bytes);
        let answered = !rig.guest[0].replies.is_empty();
        prop_assert_eq!(answered, status == Status::SUCCESS);
        for reply in rig.guest[0].replies.drain(..) {
            prop_assert!(RndisHost::decode(&reply).is_ok());
        }
        rig.set_filter(PacketFilter::DIRECTED);
        alive(&mut rig);
    }
}

/// Takes what the host has sent without insisting that it makes sense to this guest.
fn poll_loosely(rig: &mut Rig<4096>) {
    let mut scratch = vec![0; 8192];
    let guest = &mut rig.guest[0];
    while let Ok(Some(packet)) = guest.rings.incoming.read(&mut scratch) {
        if packet.kind() == PacketType::TRANSFER_PAGES {
            guest.held.push_back(packet.transaction_id());
        }
    }
    let _ = guest.rings.incoming.release();
}
