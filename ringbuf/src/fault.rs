//! Errors: each says whose fault it was and carries the values.

use thiserror::Error;

use crate::wire::PacketType;

/// The ring is corrupt. Sticky: the end that found it returns the same fault from then on, and touches the ring no
/// more.
///
/// All are the peer's doing, but for [`DataLen`](Self::DataLen), which is the embedder's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RingFault {
    /// The memory lent as data area cannot be a ring: [`model::Span::new`](crate::model::Span::new) tells which can.
    #[error("a ring of {len} data bytes is not possible")]
    DataLen {
        /// Bytes of the data area.
        len: u32,
    },
    /// The read index is no multiple of 8, or lies outside of the data area.
    #[error("read index {index:#x} in a ring of {data_len:#x} bytes")]
    ReadIndex {
        /// The index as it was read.
        index: u32,
        /// Bytes of the data area.
        data_len: u32,
    },
    /// The write index is no multiple of 8, or lies outside of the data area.
    #[error("write index {index:#x} in a ring of {data_len:#x} bytes")]
    WriteIndex {
        /// The index as it was read.
        index: u32,
        /// Bytes of the data area.
        data_len: u32,
    },
    /// The receiver moved its read index backwards, or over bytes that were not written yet.
    #[error("read index moved from {from:#x} to {to:#x} with {written:#x} written")]
    ReadIndexMoved {
        /// The index before.
        from: u32,
        /// The index as it was read.
        to: u32,
        /// The write index that had been published.
        written: u32,
    },
    /// The sender moved its write index backwards, or over bytes that were not read yet.
    #[error("write index moved from {from:#x} to {to:#x} with {read:#x} read")]
    WriteIndexMoved {
        /// The index before.
        from: u32,
        /// The index as it was read.
        to: u32,
        /// The read index that had been published.
        read: u32,
    },
    /// Fewer bytes are available than the smallest packet has.
    #[error("{available} bytes at {at:#x} hold no packet")]
    Fragment {
        /// Start of the packet in the data area.
        at: u32,
        /// Bytes up to the write index.
        available: u32,
    },
    /// A packet's payload starts before its descriptor ends, or after its own end.
    #[error("packet at {at:#x} has offset8 {offset8} and len8 {len8}")]
    PayloadOffset {
        /// Start of the packet in the data area.
        at: u32,
        /// [`PacketDescriptor::offset8`](crate::wire::PacketDescriptor::offset8)
        offset8: u16,
        /// [`PacketDescriptor::len8`](crate::wire::PacketDescriptor::len8)
        len8: u16,
    },
    /// A packet with its trailer is longer than what is available.
    #[error("packet at {at:#x} has len8 {len8}, and {available} bytes are available")]
    PacketLength {
        /// Start of the packet in the data area.
        at: u32,
        /// [`PacketDescriptor::len8`](crate::wire::PacketDescriptor::len8)
        len8: u16,
        /// Bytes up to the write index.
        available: u32,
    },
}

/// Why nothing was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The next packet does not fit in the caller's scratch. It stays in the ring: read again with more, or
    /// [skip](crate::Consumer::skip) it.
    #[error("the packet needs {needed} bytes of scratch, not {len}")]
    ScratchTooSmall {
        /// Bytes of scratch that this packet takes.
        needed: usize,
        /// Bytes of the scratch that was given.
        len: usize,
    },
    /// The peer broke the ring.
    #[error(transparent)]
    Fault(#[from] RingFault),
}

/// Why a packet was not written. Nothing of it is in the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WriteError {
    /// There is no room now. The pending send size is set: the peer signals when there is, and the caller tries again
    /// then.
    #[error("the packet takes {needed} bytes, and {free} are free")]
    Full {
        /// Bytes that the packet takes in the ring. It fits when *more* than this are free.
        needed: u32,
        /// Bytes that are free.
        free: u32,
    },
    /// The packet can never fit: it is larger than this ring, or than a packet's 16-bit length can tell.
    #[error("the packet takes {needed} bytes, and at most {max} are possible")]
    TooLarge {
        /// Bytes that the packet would take in the ring.
        needed: u64,
        /// Bytes that a packet in this ring may take.
        max: u32,
    },
    /// The caller put more payload in than the packet was started with.
    #[error("{len} bytes of payload where {remaining} remain")]
    PayloadOverrun {
        /// Bytes that were put.
        len: usize,
        /// Bytes that the packet still had room for.
        remaining: usize,
    },
    /// The peer broke the ring.
    #[error(transparent)]
    Fault(#[from] RingFault),
}

/// A packet's descriptor, or a GPADL's ranges, are ill-formed. The ring itself is sane: what sent this can be told by
/// its transaction id that this was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RangeFault {
    /// The packet is of another type than the one asked for.
    #[error("a packet of type {kind} has no such ranges")]
    Kind {
        /// The packet's type.
        kind: PacketType,
    },
    /// The descriptor ends before the range count.
    #[error("a descriptor extension of {len} bytes has no range count")]
    NoCount {
        /// Bytes of the descriptor after the first 16.
        len: usize,
    },
    /// There cannot be as many ranges in so few bytes.
    #[error("{count} ranges in {len} bytes")]
    Count {
        /// The range count.
        count: u32,
        /// Bytes that hold the ranges.
        len: usize,
    },
    /// A range starts behind the first page that it lists.
    #[error("range {range} starts at byte {byte_offset} of a page")]
    ByteOffset {
        /// Which range, from 0.
        range: u32,
        /// Its start within the first page.
        byte_offset: u32,
    },
    /// A range of no bytes.
    #[error("range {range} is empty")]
    Empty {
        /// Which range, from 0.
        range: u32,
    },
    /// A range with fewer PFNs than its bytes need, or more than the caller's range takes.
    #[error("range {range} touches {needed} pages and has {present} PFNs")]
    Pfns {
        /// Which range, from 0.
        range: u32,
        /// Pages that the range touches.
        needed: u32,
        /// PFNs that are there.
        present: usize,
    },
    /// A PFN whose address does not fit in 64 bits.
    #[error("range {range} has a PFN that is no page's")]
    Pfn {
        /// Which range, from 0.
        range: u32,
    },
}

/// An access beyond the end of a [`SharedMem`](crate::SharedMem): the caller's fault, who passes on what a peer said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{len} bytes at {offset:#x} of a region of {region:#x}")]
pub struct OutOfBounds {
    /// Start of the access in the region.
    pub offset: usize,
    /// Bytes of the access.
    pub len: usize,
    /// Bytes of the region.
    pub region: usize,
}
