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

impl Outgoing<'_> {
    /// Bytes of payload.
    #[inline]
    pub(crate) fn payload_len(&self) -> usize {
        self.payload
            .iter()
            .fold(0, |len, piece| len.saturating_add(piece.len()))
    }
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
    pub(crate) fn extension_len(&self) -> usize {
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
    /// Longest packet that 16 bits of `len8` can tell, trailer included.
    const LONGEST: u32 = (0xffff << 3) + TRAILER;
    /// Most bytes of extension and payload.
    const MOST: u32 = Self::LONGEST - DESCRIPTOR - TRAILER;

    /// Of a packet without extension, if its length can be told.
    #[inline(always)]
    pub(crate) fn in_band(payload_len: usize) -> Option<Self> {
        let payload_len = u32::try_from(payload_len).ok()?;
        (payload_len <= Self::MOST).then_some(Self {
            payload_at: DESCRIPTOR,
            payload_len,
            end: (payload_len.wrapping_add(7) & !7).wrapping_add(DESCRIPTOR),
        })
    }

    /// Whether the packet fits in a ring at all is judged where it finds no room.
    #[inline]
    pub(crate) fn new(span: Span, extension_len: usize, payload_len: usize) -> Result<Self, WriteError> {
        let body = payload_len.saturating_add(extension_len);
        match (u32::try_from(body), u32::try_from(payload_len)) {
            // Far from 32 bits, so that rounding up does not wrap.
            (Ok(body), Ok(payload_len)) if body <= Self::MOST => Ok(Self {
                payload_at: body.wrapping_sub(payload_len).wrapping_add(DESCRIPTOR),
                payload_len,
                end: (body.wrapping_add(7) & !7).wrapping_add(DESCRIPTOR),
            }),
            _ => {
                let needed = (body as u64).saturating_add(7 + u64::from(DESCRIPTOR + TRAILER)) & !7;
                Err(Self::too_large(span, needed))
            }
        }
    }

    #[cold]
    pub(crate) fn too_large(span: Span, needed: u64) -> WriteError {
        WriteError::TooLarge {
            needed,
            max: span.max_packet().min(Self::LONGEST),
        }
    }

    /// Bytes in the ring, trailer included.
    #[inline]
    pub(crate) const fn needed(&self) -> u32 {
        self.end.wrapping_add(TRAILER)
    }

    /// The first word of a packet that lies like this.
    #[inline]
    pub(crate) fn head_of(&self, packet: &Outgoing<'_>) -> u64 {
        let flags = if packet.request_completion {
            PacketFlags::COMPLETION_REQUESTED
        } else {
            PacketFlags::empty()
        };
        Head::new(packet.descriptor.kind(), flags, self.payload_at, self.end).0
    }
}

/// Bytes that an in-band or completion packet of `payload_len` bytes takes in the ring. It fits when more than this
/// are free.
pub const fn in_band_size(payload_len: usize) -> usize {
    (DESCRIPTOR.wrapping_add(TRAILER) as usize).saturating_add(payload_len.saturating_add(7) & !7)
}
