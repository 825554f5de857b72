//! What goes wrong, and whose doing it is.

use thiserror::Error;
use vmbus_proto::hvcall::MemoryError;
use vmbus_proto::ringbuf::{OutOfBounds, PacketType, RangeFault, RingFault};

use crate::wire::DecodeError;
use crate::wire::nvsp::{MessageType, Version};
use crate::wire::ppi::PpiFault;
use crate::wire::rndis;

/// The guest broke the protocol where the protocol has no answer. The channel is poisoned: every later call returns
/// the same fault, and the embedder closes or ignores the channel. The NIC's other channels go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Fault {
    /// The ring is corrupt.
    #[error("ring: {0}")]
    Ring(#[from] RingFault),
    /// A packet is larger than any that a guest has reason to send, and than the scratch for it.
    #[error("packet of {needed} bytes, at most {limit} are taken")]
    PacketTooLarge {
        /// Bytes of scratch that it takes.
        needed: usize,
        /// Bytes of scratch that there are.
        limit: usize,
    },
    /// No guest sends this type of packet to a NIC.
    #[error("packet of type {0}")]
    PacketType(PacketType),
    /// An NVSP message does not decode.
    #[error("NVSP: {0}")]
    Message(#[from] DecodeError),
    /// An NVSP message that is not for now: of a version that was not agreed on, or in the wrong kind of packet.
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
    /// A completion for something that the guest does not have: never sent, returned before, or of another time.
    #[error("completion of transaction {transaction_id:#x}, which the guest does not have")]
    Completion {
        /// What the guest named.
        transaction_id: u64,
    },
}

/// Why a transfer of the guest was refused. It was answered with a failure and the NIC goes on; this is for counting
/// and for a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The list of guest memory is ill-formed.
    #[error("guest memory: {0}")]
    Ranges(#[from] RangeFault),
    /// Memory that the list names is not there.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// A section of the send buffer that does not exist, or more bytes than one has.
    #[error("{size} bytes in section {index} of the send buffer")]
    Section {
        /// Which section.
        index: u32,
        /// Bytes in it.
        size: u32,
    },
    /// The send buffer that the embedder mapped is smaller than it said. The embedder's doing.
    #[error("send buffer: {0}")]
    SendBuffer(OutOfBounds),
    /// More bytes than the scratch takes.
    #[error("transfer of {length} bytes, at most {limit} are taken")]
    TransferTooLong {
        /// Bytes of the transfer.
        length: u64,
        /// Bytes of the scratch.
        limit: usize,
    },
    /// An RNDIS message does not decode.
    #[error("RNDIS: {0}")]
    Rndis(#[from] DecodeError),
    /// A message that is no packet among packets, a packet among control messages, or an answer to nothing.
    #[error("RNDIS message {0} in the wrong transfer")]
    MessageType(rndis::MessageType),
    /// More messages than a transfer may have.
    #[error("more than {0} packet messages in a transfer")]
    TooManyPackets(usize),
    /// Nothing in it.
    #[error("a transfer without data")]
    NoData,
    /// Per-packet info is ill-formed.
    #[error(transparent)]
    Ppi(#[from] PpiFault),
    /// A frame that is shorter than an Ethernet header or longer than was agreed on.
    #[error("frame of {length} bytes, takes 14 to {limit}")]
    FrameLength {
        /// Bytes of the frame.
        length: usize,
        /// The most that are taken.
        limit: u32,
    },
    /// Per-packet info asks for what was not offered.
    #[error("an offload that was not offered")]
    Offload,
    /// Frames before RNDIS was initialised.
    #[error("frames before RNDIS was initialised")]
    NotInitialized,
    /// Control messages belong to the primary channel.
    #[error("control messages on a sub-channel")]
    ControlOnSubchannel,
    /// More control messages than are kept; the guest is told to try again.
    #[error("too many control messages at once")]
    Busy,
    /// A buffer that is not the guest's current one, or a second one.
    #[error("NVSP message {0} does not fit the buffers that there are")]
    Buffer(MessageType),
}

/// Why a frame for the guest was not taken. The frame is the embedder's still.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[must_use = "the frame was not taken"]
#[non_exhaustive]
pub enum ReceiveError {
    /// The guest has all sections. Some come back when the queue is served after the guest's next signal.
    #[error("no section of the receive buffer is free")]
    NoBuffer,
    /// The ring is full and as much waits for it as may wait. The guest signals when there is room.
    #[error("the ring is full")]
    RingFull,
    /// The guest has lent no receive buffer.
    #[error("no receive buffer")]
    NoReceiveBuffer,
    /// The frame is shorter than an Ethernet header or longer than the guest takes.
    #[error("frame of {length} bytes, the guest takes 14 to {limit}")]
    FrameLength {
        /// Bytes of the frame.
        length: usize,
        /// The most that the guest takes.
        limit: u32,
    },
    /// The receive buffer that the embedder mapped is smaller than it said. The embedder's doing.
    #[error("receive buffer: {0}")]
    ReceiveBuffer(#[from] OutOfBounds),
    /// The channel is poisoned.
    #[error(transparent)]
    Fault(#[from] Fault),
}
