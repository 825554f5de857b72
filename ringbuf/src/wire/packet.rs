//! A packet in the ring: descriptor, extension, payload, trailer.

use core::fmt;
use core::mem::{offset_of, size_of};

use bitflags::bitflags;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// What a packet is. An open code: a value that this crate does not name survives reading and writing.
///
/// In use are [`IN_BAND`](Self::IN_BAND), [`TRANSFER_PAGES`](Self::TRANSFER_PAGES),
/// [`GPA_DIRECT`](Self::GPA_DIRECT) and [`COMPLETION`](Self::COMPLETION); the others are declared by Linux, and no
/// known driver sends them.
///
/// Source: Linux 6.1 `enum vmbus_packet_type`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct PacketType(pub u16);

impl PacketType {
    /// No packet.
    pub const INVALID: Self = Self(0);
    /// Declared as "synch".
    pub const SYNCH: Self = Self(1);
    /// Add a transfer page set.
    pub const ADD_TRANSFER_PAGE_SET: Self = Self(2);
    /// Remove a transfer page set.
    pub const REMOVE_TRANSFER_PAGE_SET: Self = Self(3);
    /// Establish a GPADL.
    pub const ESTABLISH_GPADL: Self = Self(4);
    /// Tear a GPADL down.
    pub const TEARDOWN_GPADL: Self = Self(5);
    /// All data stands in the packet.
    pub const IN_BAND: Self = Self(6);
    /// Data stands in ranges of a transfer page set, which is a GPADL known to both ends: netvsc's receive buffer.
    pub const TRANSFER_PAGES: Self = Self(7);
    /// Data stands in a GPADL.
    pub const GPADL: Self = Self(8);
    /// Data stands in guest pages that the packet lists.
    pub const GPA_DIRECT: Self = Self(9);
    /// Cancels a request.
    pub const CANCEL_REQUEST: Self = Self(10);
    /// Answers the packet with the same transaction id.
    pub const COMPLETION: Self = Self(11);
    /// Data goes on in additional packets.
    pub const ADDITIONAL_PACKETS: Self = Self(12);
    /// An additional packet.
    pub const ADDITIONAL_DATA: Self = Self(13);

    /// Every value that has a name, in ascending order.
    pub const NAMED: &'static [Self] = &[
        Self::INVALID,
        Self::SYNCH,
        Self::ADD_TRANSFER_PAGE_SET,
        Self::REMOVE_TRANSFER_PAGE_SET,
        Self::ESTABLISH_GPADL,
        Self::TEARDOWN_GPADL,
        Self::IN_BAND,
        Self::TRANSFER_PAGES,
        Self::GPADL,
        Self::GPA_DIRECT,
        Self::CANCEL_REQUEST,
        Self::COMPLETION,
        Self::ADDITIONAL_PACKETS,
        Self::ADDITIONAL_DATA,
    ];

    const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::INVALID => "INVALID",
            Self::SYNCH => "SYNCH",
            Self::ADD_TRANSFER_PAGE_SET => "ADD_TRANSFER_PAGE_SET",
            Self::REMOVE_TRANSFER_PAGE_SET => "REMOVE_TRANSFER_PAGE_SET",
            Self::ESTABLISH_GPADL => "ESTABLISH_GPADL",
            Self::TEARDOWN_GPADL => "TEARDOWN_GPADL",
            Self::IN_BAND => "IN_BAND",
            Self::TRANSFER_PAGES => "TRANSFER_PAGES",
            Self::GPADL => "GPADL",
            Self::GPA_DIRECT => "GPA_DIRECT",
            Self::CANCEL_REQUEST => "CANCEL_REQUEST",
            Self::COMPLETION => "COMPLETION",
            Self::ADDITIONAL_PACKETS => "ADDITIONAL_PACKETS",
            Self::ADDITIONAL_DATA => "ADDITIONAL_DATA",
            _ => return None,
        })
    }
}

impl fmt::Debug for PacketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "PacketType({:#x})", self.0),
        }
    }
}

impl fmt::Display for PacketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

bitflags! {
    /// Flags of a packet. Unknown bits are kept.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct PacketFlags: u16 {
        /// The sender wants a [`PacketType::COMPLETION`] with the same transaction id. Hyper-V never completes
        /// transaction id 0.
        const COMPLETION_REQUESTED = 1;
        const _ = !0;
    }
}

/// The 16 bytes that start every packet.
///
/// Source: Linux 6.1 `struct vmpacket_descriptor`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PacketDescriptor {
    /// [`PacketType`]
    pub kind: U16,
    /// Where the payload starts, in 8-byte units from the start of the packet; at least 2. What lies between these 16
    /// bytes and the payload is the descriptor's extension.
    pub offset8: U16,
    /// Where the payload ends, in 8-byte units from the start of the packet. Leaves out the [`PacketTrailer`].
    pub len8: U16,
    /// [`PacketFlags`]
    pub flags: U16,
    /// Chosen by the sender, comes back in the completion.
    pub transaction_id: U64,
}

const _: () = {
    assert!(size_of::<PacketDescriptor>() == 16);
    assert!(offset_of!(PacketDescriptor, kind) == 0);
    assert!(offset_of!(PacketDescriptor, offset8) == 2);
    assert!(offset_of!(PacketDescriptor, len8) == 4);
    assert!(offset_of!(PacketDescriptor, flags) == 6);
    assert!(offset_of!(PacketDescriptor, transaction_id) == 8);
};

/// The 8 bytes that end every packet, after its `len8`.
///
/// Source: Linux 6.1, which writes the index of the packet's start, shifted left by 32, as one 64-bit word. Receivers
/// do not look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PacketTrailer {
    /// Reserved, 0.
    pub reserved: U32,
    /// Where the packet started, in bytes from the start of the data area.
    pub packet_offset: U32,
}

const _: () = {
    assert!(size_of::<PacketTrailer>() == 8);
    assert!(offset_of!(PacketTrailer, reserved) == 0);
    assert!(offset_of!(PacketTrailer, packet_offset) == 4);
};

/// First part of the extension of a [`PacketType::TRANSFER_PAGES`] descriptor: packet bytes 16 to 24. The
/// [`TransferPageRange`]s follow.
///
/// Source: Linux 6.1 `struct vmtransfer_page_packet_header`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct TransferPageHeader {
    /// Which transfer page set the ranges lie in: netvsc's receive buffer is 0xcafe.
    pub set_id: U16,
    /// 1 where the sender owns the set. May hold garbage.
    pub sender_owns_set: u8,
    /// Reserved; may hold garbage.
    pub reserved: u8,
    /// Number of ranges that follow.
    pub range_count: U32,
}

const _: () = {
    assert!(size_of::<TransferPageHeader>() == 8);
    assert!(offset_of!(TransferPageHeader, set_id) == 0);
    assert!(offset_of!(TransferPageHeader, sender_owns_set) == 2);
    assert!(offset_of!(TransferPageHeader, reserved) == 3);
    assert!(offset_of!(TransferPageHeader, range_count) == 4);
};

/// A range of a transfer page set.
///
/// Source: Linux 6.1 `struct vmtransfer_page_range`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct TransferPageRange {
    /// Length in bytes.
    pub byte_count: U32,
    /// Start, in bytes from the start of the set.
    pub byte_offset: U32,
}

impl TransferPageRange {
    /// A range of `byte_count` bytes that starts `byte_offset` bytes into the set.
    pub const fn new(byte_offset: u32, byte_count: u32) -> Self {
        Self {
            byte_count: U32::new(byte_count),
            byte_offset: U32::new(byte_offset),
        }
    }
}

const _: () = {
    assert!(size_of::<TransferPageRange>() == 8);
    assert!(offset_of!(TransferPageRange, byte_count) == 0);
    assert!(offset_of!(TransferPageRange, byte_offset) == 4);
};

/// First part of the extension of a [`PacketType::GPA_DIRECT`] descriptor: packet bytes 16 to 24. The ranges follow,
/// each a [`GpaRangeHeader`] and its PFNs.
///
/// Source: Linux 6.1 `struct vmdata_gpa_direct`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct GpaDirectHeader {
    /// Reserved; may hold garbage.
    pub reserved: U32,
    /// Number of ranges that follow.
    pub range_count: U32,
}

const _: () = {
    assert!(size_of::<GpaDirectHeader>() == 8);
    assert!(offset_of!(GpaDirectHeader, reserved) == 0);
    assert!(offset_of!(GpaDirectHeader, range_count) == 4);
};

/// What stands in front of the PFNs of one range of guest memory, in a GPA direct packet as in a GPADL message.
///
/// As many 64-bit PFNs follow as the range touches pages.
///
/// Source: Linux 6.1 `struct gpa_range`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct GpaRangeHeader {
    /// Length in bytes.
    pub byte_count: U32,
    /// Start within the first page, in bytes.
    pub byte_offset: U32,
}

const _: () = {
    assert!(size_of::<GpaRangeHeader>() == 8);
    assert!(offset_of!(GpaRangeHeader, byte_count) == 0);
    assert!(offset_of!(GpaRangeHeader, byte_offset) == 4);
};

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn types_are_named_and_unknown_ones_keep_their_value() {
        assert_eq!(format!("{:?}", PacketType::GPA_DIRECT), "GPA_DIRECT");
        assert_eq!(format!("{}", PacketType(0x1234)), "PacketType(0x1234)");
        assert!(
            (0..)
                .map(PacketType)
                .zip(PacketType::NAMED)
                .all(|(one, named)| one == *named)
        );
        assert!(PacketType::NAMED.iter().all(|named| named.name().is_some()));
        assert_eq!(PacketType(14).name(), None);
        assert_eq!(PacketFlags::from_bits_retain(0x8001).bits(), 0x8001);
    }
}
