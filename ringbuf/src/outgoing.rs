//! A packet to be written.

use core::mem::size_of;

use crate::fault::WriteError;
use crate::gpa::GpaRange;
use crate::model::Span;
use crate::packet::{DESCRIPTOR, Head, TRAILER};
use crate::wire::{GpaDirectHeader, PacketFlags, PacketType, TransferPageHeader, TransferPageRange};

/// A packet to be written, with its payload in one or several pieces that are copied straight into the ring.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Comes back in the completion. Hyper-V completes no packet whose id is 0.
    pub transaction_id: u64,
    /// Whether the peer is to answer with a completion.
    pub request_completion: bool,
    /// What the packet is.
    pub descriptor: Descriptor<'a>,
    /// The payload's pieces, in order. Padded with zeros to a multiple of 8.
    pub payload: &'a [&'a [u8]],
}

/// What a packet to be written is, with the lists that its type takes.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Descriptor<'a> {
    /// [`PacketType::IN_BAND`]
    InBand,
    /// [`PacketType::COMPLETION`]
    Completion,
    /// [`PacketType::GPA_DIRECT`]
    GpaDirect(&'a [GpaRange<'a>]),
    /// [`PacketType::TRANSFER_PAGES`]
    TransferPages {
        /// Which transfer page set the ranges lie in.
        set_id: u16,
        /// Ranges of the set.
        ranges: &'a [TransferPageRange],
    },
}

impl Descriptor<'_> {
    #[inline]
    pub(crate) const fn kind(&self) -> PacketType {
        match self {
            Self::InBand => PacketType::IN_BAND,
            Self::Completion => PacketType::COMPLETION,
            Self::GpaDirect(_) => PacketType::GPA_DIRECT,
            Self::TransferPages { .. } => PacketType::TRANSFER_PAGES,
        }
    }

    /// Bytes after the first 16, a multiple of 8.
    #[inline]
    fn extension_len(&self) -> usize {
        match self {
            Self::InBand | Self::Completion => 0,
            Self::GpaDirect(ranges) => ranges.iter().fold(size_of::<GpaDirectHeader>(), |len, range| {
                len.saturating_add(range.wire_len())
            }),
            Self::TransferPages { ranges, .. } => {
                size_of::<TransferPageHeader>().saturating_add(size_of_val(*ranges))
            }
        }
    }
}

/// Where the parts of a packet lie, in bytes from its start. All but `payload_len` are multiples of 8.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) payload_at: u32,
    pub(crate) payload_len: u32,
    pub(crate) end: u32,
}

impl Layout {
    /// Judges whether a packet can be in a ring of `span` at all.
    #[inline]
    pub(crate) fn new(
        span: Span,
        descriptor: &Descriptor<'_>,
        payload_len: usize,
    ) -> Result<Self, WriteError> {
        let extension = descriptor.extension_len() as u64;
        let payload_at = u64::from(DESCRIPTOR).saturating_add(extension);
        let end = payload_at.saturating_add(payload_len as u64).saturating_add(7) & !7;
        let needed = end.saturating_add(u64::from(TRAILER));
        // len8 has 16 bits.
        let max = span.max_packet().min((0xffff << 3) + TRAILER);
        if needed > u64::from(max) {
            return Err(WriteError::TooLarge { needed, max });
        }
        // Nothing above `max` is left, so none of these takes the second way.
        let narrow = |bytes: u64| u32::try_from(bytes).unwrap_or(u32::MAX);
        Ok(Self {
            payload_at: narrow(payload_at),
            payload_len: narrow(payload_len as u64),
            end: narrow(end),
        })
    }

    /// Bytes in the ring, trailer included.
    #[inline]
    pub(crate) const fn needed(&self) -> u32 {
        self.end.wrapping_add(TRAILER)
    }

    #[inline]
    pub(crate) fn head(&self, kind: PacketType, flags: PacketFlags) -> Head {
        // At most 0xffff, by `new`.
        let units = |bytes: u32| u16::try_from(bytes >> 3).unwrap_or(u16::MAX);
        Head {
            kind,
            offset8: units(self.payload_at),
            len8: units(self.end),
            flags,
        }
    }
}

/// Bytes that an in-band or completion packet of `payload_len` bytes takes in the ring. It fits when more than this
/// are free.
pub const fn in_band_size(payload_len: usize) -> usize {
    (DESCRIPTOR.wrapping_add(TRAILER) as usize).saturating_add(payload_len.saturating_add(7) & !7)
}
