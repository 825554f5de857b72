//! A packet that was read.

use core::mem::size_of;

use zerocopy::FromBytes;

use crate::fault::RangeFault;
use crate::gpa::GpaRanges;
use crate::wire::{
    GpaDirectHeader, PacketDescriptor, PacketFlags, PacketType, TransferPageHeader, TransferPageRange,
};

/// A packet, copied into the caller's scratch: the peer cannot change it any more.
///
/// The ring vouches for its framing only. What the descriptor lists is judged by [`gpa_ranges`](Self::gpa_ranges) and
/// [`transfer_ranges`](Self::transfer_ranges), so that an ill-formed list can be answered by the packet's
/// [`transaction_id`](Self::transaction_id).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    pub(crate) kind: PacketType,
    pub(crate) flags: PacketFlags,
    pub(crate) transaction_id: u64,
    pub(crate) extension: &'a [u8],
    pub(crate) payload: &'a [u8],
    pub(crate) payload_len: u32,
}

impl<'a> Packet<'a> {
    /// What the packet is.
    #[inline]
    pub const fn kind(&self) -> PacketType {
        self.kind
    }

    /// The flags, unknown ones included.
    #[inline]
    pub const fn flags(&self) -> PacketFlags {
        self.flags
    }

    /// Chosen by the sender. In a completion, that of the packet which is answered.
    #[inline]
    pub const fn transaction_id(&self) -> u64 {
        self.transaction_id
    }

    /// Whether the sender asked for a completion.
    #[inline]
    pub const fn wants_completion(&self) -> bool {
        self.flags.contains(PacketFlags::COMPLETION_REQUESTED)
    }

    /// The payload, up to 7 bytes of padding included: lengths in the ring are multiples of 8. Empty after
    /// [`Consumer::read_descriptor`](crate::Consumer::read_descriptor).
    #[inline]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Bytes of the payload in the ring, whether they were copied or not.
    #[inline]
    pub const fn payload_len(&self) -> usize {
        self.payload_len as usize
    }

    /// What stands between the first 16 bytes and the payload.
    #[inline]
    pub const fn extension(&self) -> &'a [u8] {
        self.extension
    }

    /// The guest memory that a GPA direct packet lists.
    ///
    /// # Errors
    ///
    /// The packet is of another type, or its list is ill-formed.
    #[inline]
    pub fn gpa_ranges(&self) -> Result<GpaRanges<'a>, RangeFault> {
        let (header, ranges) = self.header::<GpaDirectHeader>(PacketType::GPA_DIRECT)?;
        GpaRanges::parse(header.range_count.get(), ranges)
    }

    /// Which transfer page set the ranges of a transfer page packet lie in.
    ///
    /// # Errors
    ///
    /// The packet is of another type, or too short.
    pub fn transfer_set_id(&self) -> Result<u16, RangeFault> {
        let (header, _) = self.header::<TransferPageHeader>(PacketType::TRANSFER_PAGES)?;
        Ok(header.set_id.get())
    }

    /// The ranges of a transfer page packet. Whether they lie within the set is for who knows the set.
    ///
    /// # Errors
    ///
    /// The packet is of another type, or has fewer ranges than it says.
    pub fn transfer_ranges(&self) -> Result<&'a [TransferPageRange], RangeFault> {
        let (header, ranges) = self.header::<TransferPageHeader>(PacketType::TRANSFER_PAGES)?;
        let count = header.range_count.get();
        match <[TransferPageRange]>::ref_from_prefix_with_elems(ranges, count as usize) {
            Ok((ranges, _)) => Ok(ranges),
            Err(_) => Err(RangeFault::Count {
                count,
                len: ranges.len(),
            }),
        }
    }

    #[inline]
    fn header<T>(&self, kind: PacketType) -> Result<(&'a T, &'a [u8]), RangeFault>
    where
        T: FromBytes + zerocopy::KnownLayout + zerocopy::Immutable + zerocopy::Unaligned,
    {
        if self.kind != kind {
            return Err(RangeFault::Kind { kind: self.kind });
        }
        T::ref_from_prefix(self.extension).map_err(|_| RangeFault::NoCount {
            len: self.extension.len(),
        })
    }
}

/// The descriptor's two words, decoded and not yet judged.
#[derive(Clone, Copy)]
pub(crate) struct Head {
    pub(crate) kind: PacketType,
    pub(crate) offset8: u16,
    pub(crate) len8: u16,
    pub(crate) flags: PacketFlags,
}

impl Head {
    #[inline]
    pub(crate) fn decode(word: u64) -> Self {
        let [k0, k1, o0, o1, l0, l1, f0, f1] = word.to_le_bytes();
        Self {
            kind: PacketType(u16::from_le_bytes([k0, k1])),
            offset8: u16::from_le_bytes([o0, o1]),
            len8: u16::from_le_bytes([l0, l1]),
            flags: PacketFlags::from_bits_retain(u16::from_le_bytes([f0, f1])),
        }
    }

    #[inline]
    pub(crate) fn encode(self) -> u64 {
        let [k0, k1] = self.kind.0.to_le_bytes();
        let [o0, o1] = self.offset8.to_le_bytes();
        let [l0, l1] = self.len8.to_le_bytes();
        let [f0, f1] = self.flags.bits().to_le_bytes();
        u64::from_le_bytes([k0, k1, o0, o1, l0, l1, f0, f1])
    }
}

/// Bytes of a packet's fixed part, in the ring's own integer.
pub(crate) const DESCRIPTOR: u32 = 16;
/// Bytes of a packet's trailer, in the ring's own integer.
pub(crate) const TRAILER: u32 = 8;
const _: () = {
    assert!(DESCRIPTOR as usize == size_of::<PacketDescriptor>());
    assert!(TRAILER as usize == size_of::<crate::wire::PacketTrailer>());
};
