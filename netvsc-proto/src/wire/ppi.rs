//! Per-packet info (PPI): records in a packet message that tell what its frame needs or has.
//!
//! A record is a [`PpiHeader`] and data at the offset that it names. [`PpiWalk`] reads records from a private copy
//! and ends at the first that makes no sense. Sizes are those of the type information in Linux 6.1's hv_netvsc; bits
//! from Linux `drivers/net/hyperv/hyperv_net.h` and OpenVMM `netvsp/src/rndisprot.rs`.

use bitflags::bitflags;
use thiserror::Error;
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, IntoBytes};

use super::code::{wire_number, wire_struct};

/// Bytes of [`PpiHeader`].
pub const PPI_HEADER_LEN: usize = 12;

/// Bytes of a record whose data is one u32, as all that netvsc knows are.
pub const PPI_RECORD_LEN: usize = 16;

/// The bit of [`PpiHeader::kind`] that marks a type of RNDIS's own.
pub const PPI_INTERNAL: u32 = 0x8000_0000;

wire_number! {
    /// What a record is about, with the internal bit.
    pub struct PpiType(U32: u32), "{:#x}" {
        /// Checksums: [`ChecksumTransmit`] or [`ChecksumReceive`].
        CHECKSUM = 0 => "checksum",
        /// IPsec.
        IPSEC = 1 => "ipsec",
        /// Large send: [`LargeSend`].
        LARGE_SEND = 2 => "lso",
        /// Classification handle.
        CLASSIFICATION_HANDLE = 3 => "classification",
        /// Reserved.
        RESERVED = 4 => "reserved",
        /// Scatter-gather list.
        SG_LIST = 5 => "sg-list",
        /// VLAN: [`Vlan`].
        VLAN = 6 => "vlan",
        /// The packet that this was made of.
        ORIGINAL = 7 => "original",
        /// Hash value, u32. In NDIS 5 the id for cancelling.
        HASH_VALUE = 8 => "hash",
        /// The buffer list that this was made of.
        ORIGINAL_LIST = 9 => "original-list",
        /// A cached buffer list.
        CACHED_LIST = 10 => "cached-list",
        /// How much padding a short frame got.
        SHORT_PADDING = 11 => "short-padding",
        /// Which fragment of a coalesced frame this is: [`PacketId`]. Since NVSP 6.1.
        PACKET_ID = 0x8000_0001 => "packet-id",
    }
}

wire_struct! {
    /// The head of a record.
    #[derive(Default)]
    pub struct PpiHeader, 12 bytes {
        /// Bytes of the record, head included.
        0: size: U32,
        /// What it is about.
        4: kind: PpiType,
        /// Where the data begins, counted from the record.
        8: offset: U32,
    }
}

wire_struct! {
    /// Checksums that the guest leaves to the host. Bits: 0 IPv4, 1 IPv6, 2 TCP, 3 UDP, 4 IP header; from 16 on ten
    /// bits with the offset of the transport header in the frame.
    #[derive(Default)]
    pub struct ChecksumTransmit, 4 bytes {
        /// The bits.
        0: value: U32,
    }
}

bitflags! {
    /// The flags of [`ChecksumTransmit`].
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct TransmitChecksums: u32 {
        /// The frame is IPv4.
        const IS_IPV4 = 0x1;
        /// The frame is IPv6.
        const IS_IPV6 = 0x2;
        /// Make the TCP checksum.
        const TCP = 0x4;
        /// Make the UDP checksum.
        const UDP = 0x8;
        /// Make the IPv4 header's checksum.
        const IP_HEADER = 0x10;
    }
}

impl ChecksumTransmit {
    /// Flags, and the offset of the transport header in the frame, of which ten bits are kept.
    pub const fn new(flags: TransmitChecksums, transport_offset: u16) -> Self {
        let offset = (transport_offset & 0x3ff) as u32;
        Self {
            value: U32::new(flags.bits() | offset << 16),
        }
    }

    /// The flags.
    pub fn flags(self) -> TransmitChecksums {
        TransmitChecksums::from_bits_truncate(self.value.get())
    }

    /// Where the transport header begins in the frame, in bytes; up to 1023.
    pub fn transport_offset(self) -> u16 {
        u16::try_from(self.value.get() >> 16 & 0x3ff).unwrap_or_default()
    }
}

bitflags! {
    /// What the host found when it checked a received frame's checksums.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct ReceiveChecksums: u32 {
        /// TCP is wrong.
        const TCP_FAILED = 0x1;
        /// UDP is wrong.
        const UDP_FAILED = 0x2;
        /// The IP header is wrong.
        const IP_FAILED = 0x4;
        /// TCP is right.
        const TCP_SUCCEEDED = 0x8;
        /// UDP is right.
        const UDP_SUCCEEDED = 0x10;
        /// The IP header is right.
        const IP_SUCCEEDED = 0x20;
        /// The frame never was on a wire.
        const LOOPBACK = 0x40;
        /// TCP was found right, but the field does not hold the checksum.
        const TCP_VALUE_INVALID = 0x80;
        /// The IP header was found right, but the field does not hold the checksum.
        const IP_VALUE_INVALID = 0x100;
    }
}

wire_struct! {
    /// Checksums that the host has checked, see [`ReceiveChecksums`].
    #[derive(Default)]
    pub struct ChecksumReceive, 4 bytes {
        /// The bits.
        0: value: U32,
    }
}

impl ChecksumReceive {
    /// These flags.
    pub const fn new(flags: ReceiveChecksums) -> Self {
        Self {
            value: U32::new(flags.bits()),
        }
    }

    /// The flags.
    pub fn flags(self) -> ReceiveChecksums {
        ReceiveChecksums::from_bits_truncate(self.value.get())
    }
}

wire_struct! {
    /// A large send: the frame is to be cut into segments. Bits: twenty with the segment size (MSS), ten with the
    /// offset of the TCP header in the frame, 30 version 2, 31 IPv6.
    #[derive(Default)]
    pub struct LargeSend, 4 bytes {
        /// The bits.
        0: value: U32,
    }
}

impl LargeSend {
    /// A version 2 large send.
    pub const fn v2(mss: u32, tcp_offset: u16, ipv6: bool) -> Self {
        let offset = (tcp_offset & 0x3ff) as u32;
        Self {
            value: U32::new(mss & 0xf_ffff | offset << 20 | 1 << 30 | (ipv6 as u32) << 31),
        }
    }

    /// A version 1 large send: always IPv4.
    pub const fn v1(mss: u32, tcp_offset: u16) -> Self {
        let offset = (tcp_offset & 0x3ff) as u32;
        Self {
            value: U32::new(mss & 0xf_ffff | offset << 20),
        }
    }

    /// Bytes of payload in each segment.
    pub fn mss(self) -> u32 {
        self.value.get() & 0xf_ffff
    }

    /// Where the TCP header begins in the frame, in bytes; up to 1023.
    pub fn tcp_offset(self) -> u16 {
        u16::try_from(self.value.get() >> 20 & 0x3ff).unwrap_or_default()
    }

    /// Whether it is version 2.
    pub fn is_v2(self) -> bool {
        self.value.get() & 1 << 30 != 0
    }

    /// Whether the frame is IPv6; always false in version 1.
    pub fn is_ipv6(self) -> bool {
        self.is_v2() && self.value.get() & 1 << 31 != 0
    }
}

wire_struct! {
    /// An 802.1Q tag that is not in the frame. Bits: three with the priority, one with the drop eligible indicator
    /// (once the canonical format indicator), twelve with the VLAN id. Not the order of a tag on the wire.
    #[derive(Default)]
    pub struct Vlan, 4 bytes {
        /// The bits.
        0: value: U32,
    }
}

impl Vlan {
    /// A tag; what goes beyond 3 and 12 bits is cut off.
    pub const fn new(priority: u8, drop_eligible: bool, id: u16) -> Self {
        Self {
            value: U32::new((priority & 7) as u32 | (drop_eligible as u32) << 3 | ((id & 0xfff) as u32) << 4),
        }
    }

    /// From the tag control information of a tag on the wire.
    pub const fn from_tci(tci: u16) -> Self {
        let drop_eligible = (tci >> 12 & 1) as u32;
        Self {
            value: U32::new((tci >> 13) as u32 | drop_eligible << 3 | ((tci & 0xfff) as u32) << 4),
        }
    }

    /// The tag control information of a tag on the wire.
    pub fn tci(self) -> u16 {
        u16::from(self.priority()) << 13 | u16::from(self.drop_eligible()) << 12 | self.id()
    }

    /// Priority, 0 to 7.
    pub fn priority(self) -> u8 {
        u8::try_from(self.value.get() & 7).unwrap_or_default()
    }

    /// Whether it is dropped first.
    pub fn drop_eligible(self) -> bool {
        self.value.get() & 8 != 0
    }

    /// VLAN id.
    pub fn id(self) -> u16 {
        u16::try_from(self.value.get() >> 4 & 0xfff).unwrap_or_default()
    }
}

bitflags! {
    /// Which fragment of a frame that comes in several sections this is.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct FragmentFlags: u8 {
        /// The frame comes in several sections.
        const MULTI = 0x1;
        /// The first.
        const FIRST = 0x2;
        /// The last.
        const LAST = 0x4;
    }
}

wire_struct! {
    /// Receive coalescing: which frame, which fragment. Since NVSP 6.1, when the guest has
    /// [`RSC_OVER_VMBUS`](super::nvsp::NdisCapabilities::RSC_OVER_VMBUS).
    #[derive(Default)]
    pub struct PacketId, 4 bytes {
        /// 1.
        0: version: u8,
        /// [`FragmentFlags`].
        1: flags: u8,
        /// Which frame.
        2: packet_id: U16,
    }
}

impl PacketId {
    /// The flags.
    pub fn flags(&self) -> FragmentFlags {
        FragmentFlags::from_bits_retain(self.flags)
    }
}

/// Why a walk over per-packet info ended before the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PpiFault {
    /// What remains is no record's head.
    #[error("{remaining} bytes of per-packet info remain, a record's head has 12")]
    Remainder {
        /// Bytes that remain.
        remaining: usize,
    },
    /// The record is smaller than its head or larger than what remains.
    #[error("per-packet info record of {size} bytes where {remaining} remain")]
    Size {
        /// What the record says.
        size: u32,
        /// Bytes that remain, this record included.
        remaining: usize,
    },
    /// The data begins in the head, or at or behind the record's end.
    #[error("per-packet info data at offset {offset} of a record of {size} bytes")]
    Offset {
        /// What the record says.
        offset: u32,
        /// Bytes of the record.
        size: u32,
    },
}

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ppi<'a> {
    /// What it is about.
    pub kind: PpiType,
    /// Its data, never empty.
    pub data: &'a [u8],
}

impl Ppi<'_> {
    /// The data as `T`, or `None` when there are too few bytes.
    pub fn read<T: FromBytes>(&self) -> Option<T> {
        T::read_from_prefix(self.data).ok().map(|(value, _)| value)
    }
}

/// Walks over records. Each step takes at least a head's length off, so that it ends; after a fault it has ended.
#[derive(Clone, Debug)]
pub struct PpiWalk<'a> {
    rest: &'a [u8],
}

impl<'a> PpiWalk<'a> {
    /// Over these bytes.
    pub fn new(records: &'a [u8]) -> Self {
        Self { rest: records }
    }

    fn step(&mut self) -> Result<Ppi<'a>, PpiFault> {
        let all = core::mem::take(&mut self.rest);
        let remaining = all.len();
        let (head, _) = PpiHeader::read_from_prefix(all).map_err(|_| PpiFault::Remainder { remaining })?;
        let size = head.size.get();
        let (record, rest) = usize::try_from(size)
            .ok()
            .filter(|size| *size >= PPI_HEADER_LEN)
            .and_then(|size| all.split_at_checked(size))
            .ok_or(PpiFault::Size { size, remaining })?;
        let offset = head.offset.get();
        let data = usize::try_from(offset)
            .ok()
            .filter(|offset| *offset >= PPI_HEADER_LEN)
            .and_then(|offset| record.get(offset..))
            .filter(|data| !data.is_empty())
            .ok_or(PpiFault::Offset { offset, size })?;
        self.rest = rest;
        Ok(Ppi {
            kind: head.kind,
            data,
        })
    }
}

impl<'a> Iterator for PpiWalk<'a> {
    type Item = Result<Ppi<'a>, PpiFault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            None
        } else {
            Some(self.step())
        }
    }
}

impl core::iter::FusedIterator for PpiWalk<'_> {}

/// Builds records whose data is four bytes, up to `N` of them.
#[derive(Clone, Debug, Default)]
pub struct PpiList<const N: usize> {
    records: heapless::Vec<[u8; PPI_RECORD_LEN], N>,
}

impl<const N: usize> PpiList<N> {
    /// No record.
    pub const fn new() -> Self {
        Self {
            records: heapless::Vec::new(),
        }
    }

    /// Appends a record, or gives it back when there are `N`.
    ///
    /// # Errors
    ///
    /// The list is full.
    pub fn push<T: IntoBytes + zerocopy::Immutable>(
        &mut self,
        kind: PpiType,
        data: &T,
    ) -> Result<(), PpiType> {
        let head = PpiHeader {
            size: U32::new(16),
            kind,
            offset: U32::new(12),
        };
        let mut record = [0; PPI_RECORD_LEN];
        if let Some(target) = record.get_mut(..PPI_HEADER_LEN) {
            target.copy_from_slice(head.as_bytes());
        }
        for (target, byte) in record.iter_mut().skip(PPI_HEADER_LEN).zip(data.as_bytes()) {
            *target = *byte;
        }
        self.records.push(record).map_err(|_| kind)
    }

    /// The records, each with its header.
    pub(crate) fn records(&self) -> &[[u8; PPI_RECORD_LEN]] {
        &self.records
    }

    /// All records.
    pub fn as_bytes(&self) -> &[u8] {
        self.records.as_flattened()
    }
}
