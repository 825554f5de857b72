//! A packet that was read.

use core::fmt;
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
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    pub(crate) head: Head,
    pub(crate) transaction_id: u64,
    /// What was copied: the descriptor's extension, then the payload unless that was left out.
    pub(crate) body: &'a [u8],
}

impl fmt::Debug for Packet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packet")
            .field("kind", &self.kind())
            .field("flags", &self.flags())
            .field("transaction_id", &self.transaction_id)
            .field("extension_len", &self.extension().len())
            .field("payload_len", &self.payload_len())
            .finish()
    }
}

impl<'a> Packet<'a> {
    /// What the packet is.
    #[inline]
    pub const fn kind(&self) -> PacketType {
        self.head.kind()
    }

    /// The flags, unknown ones included.
    #[inline]
    pub const fn flags(&self) -> PacketFlags {
        self.head.flags()
    }

    /// Chosen by the sender. In a completion, that of the packet which is answered.
    #[inline]
    pub const fn transaction_id(&self) -> u64 {
        self.transaction_id
    }

    /// Whether the sender asked for a completion.
    #[inline]
    pub const fn wants_completion(&self) -> bool {
        self.flags().contains(PacketFlags::COMPLETION_REQUESTED)
    }

    /// The payload, up to 7 bytes of padding included: lengths in the ring are multiples of 8. Empty after
    /// [`Consumer::read_descriptor`](crate::Consumer::read_descriptor).
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.body.get(self.head.extension_len() as usize..).unwrap_or(&[])
    }

    /// Bytes of the payload in the ring, whether they were copied or not.
    #[inline]
    pub const fn payload_len(&self) -> usize {
        self.head.end().wrapping_sub(self.head.payload_at()) as usize
    }

    /// What stands between the first 16 bytes and the payload.
    #[inline]
    pub fn extension(&self) -> &'a [u8] {
        self.body.get(..self.head.extension_len() as usize).unwrap_or(&[])
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
        if self.kind() != kind {
            return Err(RangeFault::Kind { kind: self.kind() });
        }
        let extension = self.extension();
        T::ref_from_prefix(extension).map_err(|_| RangeFault::NoCount { len: extension.len() })
    }
}

/// The first word of a packet's descriptor, all but the transaction id: type, offset8, len8 and flags of 16 bits each,
/// from the lowest on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head(pub(crate) u64);

impl Head {
    /// `payload_at` and `end` are multiples of 8, and fit in 16 bits when divided by it.
    #[inline]
    pub(crate) fn new(kind: PacketType, flags: PacketFlags, payload_at: u32, end: u32) -> Self {
        // From bytes to units of 8 is a shift by 3 to the right.
        Self(
            u64::from(kind.0)
                | u64::from(payload_at) << (16 - 3)
                | u64::from(end) << (32 - 3)
                | u64::from(flags.bits()) << 48,
        )
    }

    #[inline]
    pub(crate) const fn kind(self) -> PacketType {
        PacketType(self.quarter(0))
    }

    #[inline]
    pub(crate) const fn offset8(self) -> u16 {
        self.quarter(1)
    }

    #[inline]
    pub(crate) const fn len8(self) -> u16 {
        self.quarter(2)
    }

    #[inline]
    pub(crate) const fn flags(self) -> PacketFlags {
        PacketFlags::from_bits_retain(self.quarter(3))
    }

    /// Where the payload starts, in bytes.
    #[inline]
    pub(crate) const fn payload_at(self) -> u32 {
        self.bytes(16)
    }

    /// Where the payload ends, in bytes.
    #[inline]
    pub(crate) const fn end(self) -> u32 {
        self.bytes(32)
    }

    /// Bytes of the descriptor's extension, of a descriptor that was judged.
    #[inline]
    pub(crate) const fn extension_len(self) -> u32 {
        self.payload_at().wrapping_sub(DESCRIPTOR)
    }

    /// The 16 bits from `shift` on, as units of 8 bytes.
    #[inline]
    const fn bytes(self, shift: u32) -> u32 {
        let [b0, b1, b2, ..] = (self.0 >> shift.wrapping_sub(3)).to_le_bytes();
        u32::from_le_bytes([b0, b1, b2, 0]) & (0xffff << 3)
    }

    #[inline]
    const fn quarter(self, index: u32) -> u16 {
        let [low, high, ..] = (self.0 >> index.wrapping_mul(16)).to_le_bytes();
        u16::from_le_bytes([low, high])
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
