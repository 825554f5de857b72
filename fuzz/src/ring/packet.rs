//! Packets to be written.

use vmbus_ringbuf::gpa::GpaRange;
use vmbus_ringbuf::wire::{PacketFlags, PacketType};
use vmbus_ringbuf::{Batch, Descriptor, Outgoing, Packet, RingMem, Signal, TransferPageRange, WriteError};
use zerocopy::little_endian::U64;

use crate::steps;

steps! {
    /// A packet, by how much there is of everything.
    pub struct Shape {
        pub transaction_id: u64,
        pub request_completion: bool,
        pub content: Content,
        /// The lengths of the payload's pieces.
        pub first: u16,
        pub second: u8,
    }
}

steps! {
    /// What it is.
    pub enum Content {
        InBand,
        Completion,
        /// Ranges, and pages of each.
        GpaDirect(ranges: u8, pages: u8, offset: u16, bytes: u32),
        TransferPages(ranges: u8, set_id: u16),
    }
}

impl Shape {
    /// Bytes of payload.
    pub fn payload_len(&self) -> usize {
        usize::from(self.first % 8192) + usize::from(self.second)
    }

    /// The bytes of payload: told by the transaction id, so that what arrives can be told from what did not.
    pub fn payload(&self) -> Vec<u8> {
        let salt = self.transaction_id as u8;
        (0..self.payload_len())
            .map(|at| (at as u8).wrapping_mul(31).wrapping_add(salt))
            .collect()
    }

    /// Bytes in the ring.
    pub fn size(&self) -> u32 {
        let extension = match self.content {
            Content::InBand | Content::Completion => 0,
            Content::GpaDirect(ranges, pages, ..) => 8 + usize::from(ranges) * (8 + usize::from(pages) * 8),
            Content::TransferPages(ranges, _) => 8 + usize::from(ranges) * 8,
        };
        (24 + extension + self.payload_len().next_multiple_of(8)) as u32
    }

    /// Calls `act` with the packet to be written, unless its ranges are none.
    pub fn with<T>(&self, act: impl FnOnce(&Outgoing<'_>) -> T) -> Option<T> {
        let payload = self.payload();
        let (first, second) = payload.split_at(usize::from(self.first % 8192));
        // One piece takes another way through the producer than two.
        let pieces: &[&[u8]] = if second.is_empty() {
            &[first]
        } else {
            &[first, second]
        };
        let mut pfns = Vec::new();
        let mut gpa_ranges = Vec::new();
        let mut transfer_ranges = Vec::new();
        let descriptor = match &self.content {
            Content::InBand => Descriptor::InBand,
            Content::Completion => Descriptor::Completion,
            Content::GpaDirect(ranges, pages, offset, bytes) => {
                pfns.extend((0..*pages).map(|page| U64::new(0x1000 + u64::from(page))));
                let range = GpaRange::new(u32::from(*offset), *bytes, &pfns).ok()?;
                gpa_ranges.resize(usize::from(*ranges), range);
                Descriptor::GpaDirect(&gpa_ranges)
            }
            Content::TransferPages(ranges, set_id) => {
                transfer_ranges
                    .extend((0..u32::from(*ranges)).map(|range| TransferPageRange::new(range * 64, 64)));
                Descriptor::TransferPages {
                    set_id: *set_id,
                    ranges: &transfer_ranges,
                }
            }
        };
        Some(act(&Outgoing {
            transaction_id: self.transaction_id,
            request_completion: self.request_completion,
            descriptor,
            payload: pieces,
        }))
    }

    /// Whether what arrived is what was written.
    pub fn check(&self, packet: &Packet<'_>) {
        assert_eq!(packet.transaction_id(), self.transaction_id);
        assert_eq!(packet.wants_completion(), self.request_completion);
        assert!((packet.flags() - PacketFlags::COMPLETION_REQUESTED).is_empty());
        let payload = self.payload();
        assert_eq!(packet.payload_len(), payload.len().next_multiple_of(8));
        // Empty where only the descriptor was read.
        if !packet.payload().is_empty() {
            let (head, padding) = packet.payload().split_at(payload.len());
            assert_eq!(head, payload);
            assert!(padding.iter().all(|&byte| byte == 0), "stale bytes as padding");
        }
        match &self.content {
            Content::InBand => assert_eq!(packet.kind(), PacketType::IN_BAND),
            Content::Completion => assert_eq!(packet.kind(), PacketType::COMPLETION),
            Content::GpaDirect(ranges, pages, offset, bytes) => {
                let found = packet.gpa_ranges().expect("well-formed ranges");
                assert_eq!(found.len(), usize::from(*ranges));
                assert_eq!(found.total_bytes(), u64::from(*ranges) * u64::from(*bytes));
                for range in found {
                    assert_eq!(
                        (range.byte_offset(), range.byte_count()),
                        (u32::from(*offset), *bytes)
                    );
                    assert_eq!(range.pfns().len(), usize::from(*pages));
                }
            }
            Content::TransferPages(ranges, set_id) => {
                assert_eq!(packet.transfer_set_id(), Ok(*set_id));
                let found = packet.transfer_ranges().expect("well-formed ranges");
                assert_eq!(found.len(), usize::from(*ranges));
                for (at, range) in found.iter().enumerate() {
                    assert_eq!(
                        (range.byte_offset.get(), range.byte_count.get()),
                        (at as u32 * 64, 64)
                    );
                }
            }
        }
    }
}

/// Writes the packets as one batch. Returns how many are part of it, the error that ended it, and whether to signal.
pub fn write_batch<M: RingMem>(
    mut batch: Batch<'_, M>,
    shapes: &[Shape],
) -> (usize, Option<WriteError>, Signal) {
    let mut written = 0;
    let mut error = None;
    for shape in shapes {
        match shape.with(|packet| batch.push(packet)) {
            None => break,
            Some(Ok(())) => written += 1,
            Some(Err(found)) => {
                error = Some(found);
                break;
            }
        }
    }
    (written, error, batch.publish())
}
