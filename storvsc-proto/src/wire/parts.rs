//! The parts of packets: header and body, SRBs, and packets ready to be sent.

use thiserror::Error;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{
    MAX_BODY_LEN, MAX_PACKET_LEN, NtStatus, Operation, PacketFlags, PacketForm, PacketHeader, ScsiRequest,
};

/// Why bytes are no packet of this direction. The peer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WireError {
    /// Shorter than a header, so that nothing is known about it.
    #[error("a packet of {len} bytes, shorter than its header of {needed}")]
    NoHeader {
        /// Bytes that came.
        len: usize,
        /// Bytes that a header has.
        needed: usize,
    },
    /// Shorter than its operation needs.
    #[error("{operation} in a packet of {len} bytes, which needs {needed}")]
    TooShort {
        /// The operation.
        operation: Operation,
        /// Bytes that came.
        len: usize,
        /// Bytes that it needs.
        needed: usize,
    },
    /// Longer than any packet.
    #[error("{operation} in a packet of {len} bytes, of which {most} are the most")]
    TooLong {
        /// The operation.
        operation: Operation,
        /// Bytes that came.
        len: usize,
        /// The most there are.
        most: usize,
    },
    /// An operation that is unknown, or that goes the other way.
    #[error("{operation} does not go this way")]
    NotForThisDirection {
        /// The operation.
        operation: Operation,
    },
}

/// A packet ready to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodedPacket {
    bytes: [u8; MAX_PACKET_LEN],
    form: PacketForm,
}

impl EncodedPacket {
    /// A packet with an SRB, of which the short form leaves out the tail.
    #[inline]
    pub(crate) fn srb(form: PacketForm, packet: SrbPacket) -> Self {
        let bytes = zerocopy::transmute!(packet);
        Self { bytes, form }
    }

    #[inline]
    pub(super) fn new<B: IntoBytes + Immutable>(form: PacketForm, header: PacketHeader, body: &B) -> Self {
        const { assert!(size_of::<B>() <= MAX_BODY_LEN, "an SRB is the longest body") };
        let mut bytes = [0; MAX_PACKET_LEN];
        // Both are of known length, and fit.
        let _ = header.write_to_prefix(&mut bytes);
        if let Some(rest) = bytes.get_mut(size_of::<PacketHeader>()..) {
            let _ = body.write_to_prefix(rest);
        }
        if let Some(tail) = bytes.get_mut(form.packet_len()..) {
            tail.fill(0);
        }
        Self { bytes, form }
    }

    /// The bytes: as many as the form has.
    #[must_use]
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.form.packet_len()).unwrap_or(&self.bytes)
    }
}

/// A packet with an SRB: what nearly all packets are, either way.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct SrbPacket {
    pub(crate) header: PacketHeader,
    pub(crate) srb: ScsiRequest,
}
const _: () = assert!(size_of::<SrbPacket>() == MAX_PACKET_LEN);

impl SrbPacket {
    /// A command.
    #[inline]
    pub(crate) const fn command(srb: ScsiRequest) -> Self {
        Self {
            header: PacketHeader::new(
                Operation::EXECUTE_SRB,
                PacketFlags::REQUEST_COMPLETION,
                NtStatus::SUCCESS,
            ),
            srb,
        }
    }

    /// The answer to a command.
    #[inline]
    pub(crate) const fn answer(status: NtStatus, srb: ScsiRequest) -> Self {
        Self {
            header: PacketHeader::new(Operation::COMPLETE_IO, PacketFlags::empty(), status),
            srb,
        }
    }

    /// The bytes that this form has of it.
    #[inline]
    pub(crate) fn bytes(&self, form: PacketForm) -> &[u8] {
        let bytes = self.as_bytes();
        bytes.get(..form.packet_len()).unwrap_or(bytes)
    }
}

/// Splits a packet into header and body.
#[inline]
pub(super) fn split(bytes: &[u8]) -> Result<(PacketHeader, &[u8]), WireError> {
    let (header, body) = PacketHeader::read_from_prefix(bytes).map_err(|_| WireError::NoHeader {
        len: bytes.len(),
        needed: size_of::<PacketHeader>(),
    })?;
    if bytes.len() > MAX_PACKET_LEN {
        return Err(WireError::TooLong {
            operation: Operation(header.operation.get()),
            len: bytes.len(),
            most: MAX_PACKET_LEN,
        });
    }
    Ok((header, body))
}

/// The body of a packet that says this operation and could be a packet at all.
#[inline]
pub(super) fn body_of(operation: Operation, bytes: &[u8]) -> Option<&[u8]> {
    let (header, body) = PacketHeader::ref_from_prefix(bytes).ok()?;
    (header.operation.get() == operation.0 && bytes.len() <= MAX_PACKET_LEN).then_some(body)
}

/// The body of an operation, which the packet has to hold completely.
pub(super) fn body<T: FromBytes + KnownLayout + Immutable + Unaligned>(
    operation: Operation,
    body: &[u8],
) -> Result<T, WireError> {
    T::read_from_prefix(body)
        .map(|(value, _)| value)
        .map_err(|_| too_short(operation, body.len(), size_of::<T>()))
}

#[cold]
fn too_short(operation: Operation, body_len: usize, body_needed: usize) -> WireError {
    let header = size_of::<PacketHeader>();
    WireError::TooShort {
        operation,
        len: header.saturating_add(body_len),
        needed: header.saturating_add(body_needed),
    }
}

/// The SRB of a packet where it lies; one in the short form is copied to `short`, and its tail is zero.
#[inline]
pub(crate) fn srb<'a>(
    operation: Operation,
    body: &'a [u8],
    short: &'a mut ScsiRequest,
) -> Result<&'a ScsiRequest, WireError> {
    match ScsiRequest::ref_from_prefix(body) {
        Ok((srb, _)) => Ok(srb),
        Err(_) => short_srb(operation, body, short),
    }
}

/// Of what is longer than the short form, and not as long as the long one, the rest means nothing.
#[cold]
fn short_srb<'a>(
    operation: Operation,
    body: &[u8],
    short: &'a mut ScsiRequest,
) -> Result<&'a ScsiRequest, WireError> {
    let len = PacketForm::Short.body_len();
    let body = body
        .get(..len)
        .ok_or_else(|| too_short(operation, body.len(), len))?;
    let bytes: [u8; MAX_BODY_LEN] = padded(body);
    *short = zerocopy::transmute!(bytes);
    Ok(short)
}

/// A copy of the SRB of a packet.
pub(super) fn srb_copy(operation: Operation, body: &[u8]) -> Result<ScsiRequest, WireError> {
    srb(operation, body, &mut ScsiRequest::default()).copied()
}

/// The first `N` bytes; what is missing is zero.
#[inline]
pub(super) fn padded<const N: usize>(bytes: &[u8]) -> [u8; N] {
    if let Some(first) = bytes.first_chunk() {
        return *first;
    }
    let mut padded = [0; N];
    for (to, from) in padded.iter_mut().zip(bytes) {
        *to = *from;
    }
    padded
}
