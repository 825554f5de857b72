//! Transfers of a guest that make no sense.

use netvsc_proto::host::{Fault, PACKET_SCRATCH_LEN, Refusal, Scratch};
use netvsc_proto::wire::nvsp::{self, ChannelType, NO_SECTION, Status};
use netvsc_proto::wire::ppi::PpiFault;
use vmbus_proto::hvcall::{GuestMemory, MemoryError};
use vmbus_proto::ringbuf::gpa::GpaRange;
use vmbus_proto::ringbuf::{ControlWord, Descriptor, OutOfBounds, PacketType, RingFault, RingMem, SharedMem};

use super::{alive, dead};
use crate::config;
use crate::support::{MAC, Mem, Rig, frame, packet, rndis_packet};

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
        let at = written(&rig);
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
        let at = written(&rig);
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

/// Where the guest writes next in the ring to the host.
fn written<const WORDS: usize>(rig: &Rig<WORDS>) -> u32 {
    RingMem::load(rig.guest[0].rings.outgoing.mem(), ControlWord::WriteIndex)
}

/// Overwrites bytes in the ring to the host.
fn tamper<const WORDS: usize>(rig: &Rig<WORDS>, at: u32, bytes: &[u8]) {
    rig.guest[0]
        .rings
        .outgoing
        .mem()
        .write(at % (WORDS as u32 * 8), bytes);
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
    let (mut queue, mut guest) = crate::support::channel::<4096, Changing>(1);
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
