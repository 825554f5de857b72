//! What a queue tells its embedder: events, refusals, faults.

use thiserror::Error;
use vmbus_proto::ringbuf::{PacketType, RangeFault, RingFault};

use crate::wire::{LunAddress, Operation, ProtocolVersion, WireError};

/// Something that the embedder should know of. The guest has its answer already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The negotiation is over: commands may come, and sub-channels speak this version.
    Ready {
        /// The version.
        version: ProtocolVersion,
    },
    /// The guest wants so many sub-channels in all: offer those that are not offered yet, with indices from 1
    /// on.
    SubChannels {
        /// How many, the primary channel not counted.
        count: u16,
    },
    /// The guest reset something. It waits for all of its requests by itself, so there is nothing that must
    /// be done; who works on requests asynchronously may give up on those that hang.
    Reset(Reset),
    /// Something that the guest sent was wrong, and was answered so. For a log, once a kind.
    Refused(Refusal),
}

/// What was reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// One LUN.
    Lun(LunAddress),
    /// All LUNs of a path.
    Bus {
        /// The path.
        path: u8,
    },
    /// All.
    Adapter,
}

/// What was wrong with a packet that was answered with an error. The guest's fault; the channel goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It is no message of a guest's.
    #[error(transparent)]
    Packet(#[from] WireError),
    /// Its list of guest memory is ill-formed.
    #[error(transparent)]
    Ranges(#[from] RangeFault),
    /// A CDB that is empty, or longer than an SRB has room for.
    #[error("a CDB of {len} bytes")]
    CdbLength {
        /// Bytes that the SRB says.
        len: u8,
    },
    /// A transfer that is longer than the memory that is listed for it.
    #[error("a transfer of {length} bytes with {listed} bytes of memory")]
    TransferLength {
        /// Bytes that the SRB says.
        length: u32,
        /// Bytes that the packet lists.
        listed: u64,
    },
    /// A transfer that is longer than the channel's properties allow.
    #[error("a transfer of {length} bytes, of which {most} are the most")]
    TransferTooLong {
        /// Bytes that the SRB says.
        length: u32,
        /// The most there may be.
        most: u32,
    },
    /// It came at the wrong time.
    #[error("{operation} is out of order")]
    OutOfOrder {
        /// The operation.
        operation: Operation,
    },
    /// It asks for what is not there, or for too much of it.
    #[error("{operation} asks for what is not offered")]
    NotOffered {
        /// The operation.
        operation: Operation,
    },
}

/// A breach of the protocol for which there is no answer. It poisons the channel: the queue returns it from
/// then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Fault {
    /// The ring is corrupt.
    #[error(transparent)]
    Ring(#[from] RingFault),
    /// A packet that is longer than any that a guest may send here.
    #[error("a packet of {len} bytes, of which {most} are the most")]
    PacketTooLong {
        /// Bytes that it has, without its first 16.
        len: usize,
        /// The most that it may have.
        most: usize,
    },
    /// A packet of a type that a guest does not send here: a completion, for instance, as no host asks for
    /// one.
    #[error("a packet of type {kind}")]
    PacketType {
        /// The type.
        kind: PacketType,
    },
    /// The guest made its receiving ring too small for any answer.
    #[error("an answer takes {needed} bytes of a ring that has room for {max}")]
    RingTooSmall {
        /// Bytes that an answer takes.
        needed: u64,
        /// Bytes that a packet can take.
        max: u32,
    },
    /// The embedder has closed the queue.
    #[error("the channel is closed")]
    Closed,
}
