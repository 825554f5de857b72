//! What a queue tells its driver.

use thiserror::Error;
use vmbus_proto::ringbuf::{PacketType, RingFault};

use super::{Outcome, Properties, RequestId};
use crate::wire::{FcHbaData, NotificationBody, NtStatus, Operation, ProtocolVersion, WireError};

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The negotiation is over: commands may be sent.
    Ready {
        /// The version. Sub-channels speak it as well.
        version: ProtocolVersion,
        /// What the controller can do.
        properties: Properties,
    },
    /// A command is complete. The host is done with its buffer.
    Completed {
        /// Which.
        id: RequestId,
        /// How it ended.
        outcome: Outcome,
    },
    /// The answer to [`Queue::create_sub_channels`](super::Queue::create_sub_channels) or
    /// [`Queue::reset_bus`](super::Queue::reset_bus).
    Answered {
        /// What was asked.
        operation: Operation,
        /// Whether it was done.
        status: NtStatus,
    },
    /// LUNs came or went: look again which there are.
    EnumerateBus,
    /// A device went away: look again which there are.
    RemoveDevice,
    /// Something happened at a LUN.
    Notification(NotificationBody),
    /// The names of the fibre-channel adapter changed.
    FcHbaData(FcHbaData),
}

/// A breach of the protocol by the host. The queue returns it from then on. What it had under way did not end:
/// [`Queue::abort`](super::Queue::abort) tells what that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Fault {
    /// The ring is corrupt.
    #[error(transparent)]
    Ring(#[from] RingFault),
    /// A packet that is longer than any that a host may send here.
    #[error("a packet of {len} bytes")]
    PacketTooLong {
        /// Bytes that it has, without its first 16.
        len: usize,
    },
    /// A packet of a type that a host does not send here.
    #[error("a packet of type {kind}")]
    PacketType {
        /// The type.
        kind: PacketType,
    },
    /// A packet that is no message of a host's.
    #[error(transparent)]
    Packet(#[from] WireError),
    /// An answer to what was not asked, or was answered before.
    #[error("an answer to the request {transaction_id:#x}, which the host does not have")]
    UnknownRequest {
        /// The id that the host named.
        transaction_id: u64,
    },
    /// A notice where an answer was due, or an answer where none was.
    #[error("{operation} with the transaction id {transaction_id:#x}")]
    Misplaced {
        /// What came.
        operation: Operation,
        /// Its transaction id.
        transaction_id: u64,
    },
    /// More bytes transferred than the buffer has.
    #[error("{transferred} bytes transferred with a buffer of {buffer}")]
    TransferLength {
        /// Bytes that the host says.
        transferred: u32,
        /// Bytes of the buffer.
        buffer: u32,
    },
    /// The host refused a step of the negotiation. No fault of its, but the end of the channel all the same.
    #[error("{operation} was refused with {status}")]
    Refused {
        /// The step.
        operation: Operation,
        /// How it was refused.
        status: NtStatus,
    },
    /// The host speaks none of the versions that there are.
    #[error("no version in common")]
    NoVersion,
    /// The host allows no transfer at all.
    #[error("transfers of at most {max_transfer_bytes} bytes")]
    Properties {
        /// Bytes that the host says.
        max_transfer_bytes: u32,
    },
    /// The driver has given the channel up.
    #[error("the channel is closed")]
    Closed,
}

/// Why a command was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// The negotiation is not over. The caller's fault.
    #[error("the negotiation is not over")]
    NotReady,
    /// As many commands are under way as the queue has places for. Try again when one is complete.
    #[error("{depth} requests are under way")]
    NoTicket {
        /// Places.
        depth: usize,
    },
    /// The ring is full. Try again when the host signals.
    #[error("the ring is full")]
    RingFull,
    /// More data than one command transfers, or than a packet can list. The caller's fault.
    #[error("{len} bytes, of which {most} are the most")]
    TooLong {
        /// Bytes of the buffer.
        len: u64,
        /// The most there may be.
        most: u64,
    },
    /// An operation of this kind is under way already.
    #[error("an operation is under way")]
    Busy,
    /// The channel is poisoned or closed.
    #[error(transparent)]
    Fault(#[from] Fault),
}
