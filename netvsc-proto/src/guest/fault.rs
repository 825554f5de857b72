//! What goes wrong, and whose doing it is.

use thiserror::Error;
use vmbus_proto::ringbuf::{OutOfBounds, PacketType, RangeFault, RingFault};

use crate::nic::MacAddress;
use crate::wire::DecodeError;
use crate::wire::nvsp::{MessageType, Status, Version};
use crate::wire::oid::Oid;
use crate::wire::ppi::{PpiFault, PpiType};
use crate::wire::rndis::{self, Medium};
use crate::wire::status::RndisStatus;

/// The host broke the protocol, or refused what the NIC cannot be without. The channel is poisoned: every later call
/// returns the same fault.
///
/// A fault on any channel is the end of the NIC: the embedder gives all of its channels up.
///
/// What the channel had under way did not end: [`Queue::abort`](super::Queue::abort) and
/// [`Nic::abort`](super::Nic::abort) name it. The host may still write to the receive buffer, and read the send buffer
/// and the pages of frames, until the channel is closed and both GPADLs are torn down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Fault {
    /// The ring is corrupt.
    #[error("ring: {0}")]
    Ring(#[from] RingFault),
    /// A packet is larger than any that a host may send here.
    #[error("a packet of {len} bytes")]
    PacketTooLarge {
        /// Bytes that it has, without its first 16.
        len: usize,
    },
    /// No host sends this type of packet to a guest's NIC.
    #[error("packet of type {0}")]
    PacketType(PacketType),
    /// An NVSP message does not decode.
    #[error("NVSP: {0}")]
    Message(DecodeError),
    /// An NVSP message that is not for now: not what was asked, or in the wrong kind of packet.
    #[error("NVSP message {message} at version {version}")]
    Unexpected {
        /// The message.
        message: MessageType,
        /// The version agreed on; 0 when none is.
        version: Version,
    },
    /// A control message on a sub-channel.
    #[error("NVSP message {0} on a sub-channel")]
    OnSubchannel(MessageType),
    /// A completion of what the host does not have: never sent, completed before, or of another time.
    #[error("completion of transaction {transaction_id:#x}, which the host does not have")]
    Completion {
        /// What the host named.
        transaction_id: u64,
    },
    /// The host speaks none of the versions that were asked for.
    #[error("no version of NVSP in common")]
    NoVersion,
    /// The host refused a step that nothing goes on without. No breach, but the end of the channel all the same.
    #[error("NVSP message {message} was answered with {status}")]
    Refused {
        /// The answer.
        message: MessageType,
        /// How it was refused.
        status: Status,
    },
    /// The host divides the receive buffer into something that it is not: not one section of parts that a frame fits
    /// in, or more than the buffer has.
    #[error(
        "{sections} sections, the first {count} parts of {size} bytes at {offset}, in a receive buffer of {len}"
    )]
    ReceiveSections {
        /// Sections; there is to be 1.
        sections: u32,
        /// Where the first begins.
        offset: u32,
        /// Bytes of a part.
        size: u32,
        /// Parts.
        count: u32,
        /// Bytes of the buffer.
        len: u32,
    },
    /// The host divides the send buffer into sections that no frame fits in, or that leave a queue none.
    #[error("sections of {section_size} bytes in a send buffer of {len}, for {queues} queues")]
    SendSections {
        /// Bytes of a section.
        section_size: u32,
        /// Bytes of the buffer.
        len: u32,
        /// Queues that the buffer is divided by.
        queues: u16,
    },
    /// A transfer whose list of ranges is ill-formed.
    #[error("transfer: {0}")]
    Ranges(#[from] RangeFault),
    /// A transfer from a set that is not the receive buffer.
    #[error("transfer pages of the set {set_id:#x}")]
    ReceiveSet {
        /// Which set.
        set_id: u16,
    },
    /// A transfer of more ranges than a host may send.
    #[error("{count} ranges in a transfer, {limit} are the most")]
    RangeCount {
        /// Ranges.
        count: usize,
        /// The most there may be.
        limit: usize,
    },
    /// A range that is not in the receive buffer.
    #[error("{len} bytes at {offset:#x} of a receive buffer of {buffer}")]
    Range {
        /// Where it begins.
        offset: u32,
        /// Its bytes.
        len: u32,
        /// Bytes of the buffer.
        buffer: u32,
    },
    /// The receive or send buffer that the embedder lent is smaller than it said. The embedder's doing.
    #[error("lent memory: {0}")]
    Memory(#[from] OutOfBounds),
    /// An RNDIS message does not decode.
    #[error("RNDIS: {0}")]
    Rndis(DecodeError),
    /// A message that is no packet after a packet, or anything after a control message.
    #[error("RNDIS message {0} in the wrong transfer")]
    Misplaced(rndis::MessageType),
    /// More packet messages than a range may have.
    #[error("more than {limit} packet messages in a range")]
    TooManyPackets {
        /// The most there may be.
        limit: usize,
    },
    /// Per-packet info is ill-formed.
    #[error(transparent)]
    Ppi(#[from] PpiFault),
    /// A record of per-packet info with less data than its kind has.
    #[error("{len} bytes of {kind} in per-packet info")]
    PpiLength {
        /// What the record is about.
        kind: PpiType,
        /// Bytes of its data.
        len: usize,
    },
    /// A part of a coalesced frame, which the guest did not say that it takes.
    #[error("a part of a coalesced frame, with the flags {flags:#x}")]
    Coalesced {
        /// The part's flags.
        flags: u8,
    },
    /// A frame that is shorter than an Ethernet header.
    #[error("frame of {len} bytes")]
    FrameLength {
        /// Its bytes.
        len: usize,
    },
    /// An answer to an RNDIS request that the host does not have.
    #[error("RNDIS message {message} with the request id {request_id:#x}, which the host does not have")]
    Answer {
        /// The answer.
        message: rndis::MessageType,
        /// What the host named; 0 in a message without an id.
        request_id: u32,
    },
    /// The host refused a step that RNDIS does not go on without.
    #[error("RNDIS message {message} was answered with {status}")]
    RndisRefused {
        /// The answer.
        message: rndis::MessageType,
        /// How it was refused.
        status: RndisStatus,
    },
    /// A version of RNDIS that nobody speaks.
    #[error("RNDIS version {major}.{minor}")]
    RndisVersion {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A NIC that is none for Ethernet.
    #[error("the medium is {0}")]
    Medium(Medium),
    /// An OID is answered with the wrong number of bytes.
    #[error("{oid} is answered with {len} bytes")]
    OidLength {
        /// Which.
        oid: Oid,
        /// Bytes of the answer.
        len: usize,
    },
    /// An OID is answered with an object of another kind.
    #[error("{oid} is answered with an object of type {object_type:#x} and {size} bytes")]
    OidObject {
        /// Which.
        oid: Oid,
        /// The object's type.
        object_type: u8,
        /// The object's size.
        size: u16,
    },
    /// A NIC cannot have this address.
    #[error("the NIC's address is {0}")]
    Mac(MacAddress),
    /// An MTU that nothing fits in.
    #[error("the NIC's MTU is {0}")]
    Mtu(u32),
    /// More sub-channels than were asked for.
    #[error("{granted} sub-channels, {asked} were asked for")]
    SubChannels {
        /// How many were asked for.
        asked: u16,
        /// How many the host says that there will be.
        granted: u32,
    },
    /// The embedder has given the channel up.
    #[error("the channel is closed")]
    Closed,
}

/// Why nothing was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PollError {
    /// The buffer is too small for what a host may send. The caller's doing; nothing was lost.
    #[error("a buffer of {len} bytes, takes {needed}")]
    BufferTooSmall {
        /// Bytes that it needs.
        needed: usize,
        /// Bytes that it has.
        len: usize,
    },
    /// The channel is poisoned.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why a frame was not sent. The frame is the caller's still.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[must_use = "the frame was not sent"]
#[non_exhaustive]
pub enum TransmitError {
    /// The NIC is not up, or no more. The caller's fault.
    #[error("the NIC is not ready")]
    NotReady,
    /// As many frames are under way as the queue has places or sections for. Try again when one is complete.
    #[error("{under_way} frames are under way")]
    NoRoom {
        /// How many.
        under_way: usize,
    },
    /// The ring is full. Try again when the host signals.
    #[error("the ring is full")]
    RingFull,
    /// The frame is shorter than an Ethernet header or longer than can be sent so. The caller's fault.
    #[error("frame of {len} bytes, takes 14 to {limit}")]
    FrameLength {
        /// Bytes of the frame.
        len: u64,
        /// The most that can be sent.
        limit: u32,
    },
    /// The frame lies in more pieces than a packet can list. The caller's fault.
    #[error("a frame in {pieces} pieces, {limit} are the most")]
    Pieces {
        /// Pieces.
        pieces: usize,
        /// The most there may be.
        limit: usize,
    },
    /// The packet that lists the frame's pieces can never fit in the ring. The caller's fault.
    #[error("a packet of {needed} bytes, and at most {max} are possible")]
    PacketTooLarge {
        /// Bytes that it takes in the ring.
        needed: u64,
        /// Bytes that it may take.
        max: u32,
    },
    /// The queue was lent no memory for heads, or too little. The caller's fault.
    #[error("no memory for the head of a frame in pages")]
    NoHeads,
    /// The frame needs what is not switched on: see [`Nic::set_offloads`](super::Nic::set_offloads).
    #[error("an offload that is not switched on")]
    Offload,
    /// The channel is poisoned or closed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why something was not asked of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The NIC is not up, or no more. The caller's fault.
    #[error("the NIC is not ready")]
    NotReady,
    /// As many requests are under way as there is memory for, or one of this kind is. Try again when one is answered.
    #[error("{under_way} requests are under way")]
    Busy {
        /// How many.
        under_way: usize,
    },
    /// More than a request can carry. The caller's fault.
    #[error("{len} bytes, {limit} are the most")]
    TooLong {
        /// Bytes.
        len: usize,
        /// The most there may be.
        limit: usize,
    },
    /// The NIC cannot do this, or not in the version that was agreed on. The caller's fault.
    #[error("the NIC cannot do this")]
    NotSupported,
    /// An indirection table that leads to a channel that cannot be. The caller's fault.
    #[error("entry {index} of the table is channel {channel}, of {queues}")]
    TableEntry {
        /// Which entry.
        index: usize,
        /// What it says.
        channel: u16,
        /// Channels that there can be.
        queues: u16,
    },
    /// More sub-channels than there can be, or none. The caller's fault.
    #[error("{count} sub-channels, {limit} are the most")]
    SubChannels {
        /// How many.
        count: u16,
        /// The most there may be.
        limit: u16,
    },
}
