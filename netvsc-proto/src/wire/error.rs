//! What can be wrong with bytes that claim to be a message.

use thiserror::Error;

use super::{nvsp, rndis};

/// Why bytes do not decode. Always the sender's doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Fewer bytes than the structure has.
    #[error("{what} has {got} bytes, needs {needed}")]
    Short {
        /// The structure that was to be read.
        what: &'static str,
        /// Bytes that it takes.
        needed: usize,
        /// Bytes that were there.
        got: usize,
    },
    /// More bytes than the message can have.
    #[error("{what} has {got} bytes, takes at most {limit}")]
    Long {
        /// The structure that was to be read.
        what: &'static str,
        /// The most bytes that it can take, padding included.
        limit: usize,
        /// Bytes that were there.
        got: usize,
    },
    /// A part that an offset and a length name lies outside of the message.
    #[error("{what} at offset {offset} with length {length} is outside of {within} bytes")]
    OutOfBounds {
        /// The part.
        what: &'static str,
        /// Its offset in bytes, counted as the message counts it.
        offset: u32,
        /// Its length in bytes.
        length: u32,
        /// Bytes that there are from where the offset counts.
        within: usize,
    },
    /// An NVSP message of a type that this direction does not have, or whose layout is not known.
    #[error("NVSP message {0} does not come in this direction")]
    NvspType(nvsp::MessageType),
    /// An RNDIS message of a type that this direction does not have.
    #[error("RNDIS message {0} does not come in this direction")]
    RndisType(rndis::MessageType),
    /// An NDIS object whose header names another type than the OID takes.
    #[error("NDIS object type {got:#x}, expected {expected:#x}")]
    ObjectType {
        /// What the OID takes.
        expected: u8,
        /// What the header says.
        got: u8,
    },
    /// A count that the message cannot have.
    #[error("{what} has {got} entries, takes {limit}")]
    Count {
        /// What is counted.
        what: &'static str,
        /// How many there may be.
        limit: u32,
        /// How many there are said to be.
        got: u32,
    },
}

/// The buffer to encode into is too small. The caller's doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("encoding takes {needed} bytes, the buffer has {got}")]
pub struct BufferTooSmall {
    /// Bytes that the message takes.
    pub needed: usize,
    /// Bytes that the buffer has.
    pub got: usize,
}
