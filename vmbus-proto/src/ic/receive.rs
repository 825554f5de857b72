//! Taking a packet off a ring, which both ends do alike.

use thiserror::Error;
use vmbus_ringbuf::{Consumer, PacketType, ReadError, RingFault, RingMem, Signal, WriteError};

use super::wire::DecodeError;

/// A breach of the protocol by the peer, which ends the channel: no answer is possible, or there is nobody to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Breach {
    /// The ring is corrupt.
    #[error(transparent)]
    Ring(#[from] RingFault),
    /// A packet that is longer than any of the service's.
    #[error("a packet of {len} bytes, of which {most} are the most")]
    PacketTooLong {
        /// Bytes that it has, without its first 16.
        len: usize,
        /// The most that it may have.
        most: usize,
    },
    /// A packet of another type than in-band, or one with something before its payload.
    #[error("a packet of type {kind} with {extension} bytes before its payload")]
    PacketType {
        /// The type.
        kind: PacketType,
        /// Bytes between its first 16 and the payload.
        extension: usize,
    },
    /// A packet that holds no message.
    #[error(transparent)]
    Message(#[from] DecodeError),
    /// The peer's ring has no room for such a packet, ever.
    #[error("a packet takes {needed} bytes of a ring that has room for {max}")]
    RingTooSmall {
        /// Bytes that the packet takes.
        needed: u64,
        /// Bytes that a packet can take.
        max: u32,
    },
}

/// What a look at the ring brought.
#[derive(Clone, Copy, Debug)]
pub(super) enum Received {
    /// A packet, whose payload was copied to the front of the scratch. Its room is given back.
    Packet {
        transaction_id: u64,
        len: usize,
        signal: Signal,
    },
    /// Nothing. From now on the peer signals, unless there is something already.
    Nothing { again: bool },
}

pub(super) fn receive<M: RingMem>(ring: &mut Consumer<M>, scratch: &mut [u8]) -> Result<Received, Breach> {
    ring.mask_interrupts();
    let most = scratch.len();
    let packet = match ring.read(scratch) {
        Ok(Some(packet)) => packet,
        Ok(None) => {
            return Ok(Received::Nothing {
                again: ring.unmask_interrupts(),
            });
        }
        Err(ReadError::Fault(fault)) => return Err(fault.into()),
        Err(ReadError::ScratchTooSmall { needed, .. }) => {
            return Err(Breach::PacketTooLong { len: needed, most });
        }
        Err(_) => {
            return Err(Breach::PacketTooLong {
                len: usize::MAX,
                most,
            });
        }
    };
    let (kind, extension) = (packet.kind(), packet.extension().len());
    if kind != PacketType::IN_BAND || extension != 0 {
        return Err(Breach::PacketType { kind, extension });
    }
    let (transaction_id, len) = (packet.transaction_id(), packet.payload_len());
    Ok(Received::Packet {
        transaction_id,
        len,
        signal: ring.release(),
    })
}

/// What a write that failed means: `None` when there is no room now.
pub(super) fn write_breach(error: WriteError) -> Option<Breach> {
    match error {
        WriteError::Full { .. } => None,
        WriteError::Fault(fault) => Some(fault.into()),
        WriteError::TooLarge { needed, max } => Some(Breach::RingTooSmall { needed, max }),
        // No packet here is built piece by piece.
        _ => Some(Breach::RingTooSmall {
            needed: u64::MAX,
            max: 0,
        }),
    }
}
