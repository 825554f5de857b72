//! GPADLs: memory that the guest lends to a channel's host, as lists of page numbers too long for one message.

use core::fmt;

use zerocopy::byteorder::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, IntoBytes};

use super::macros::wire_struct;
use super::message::{Body, Encoded, HEADER_SIZE, ListTooLong, MESSAGE_MAX, MessageType, put, take};
use super::{GpadlId, RelId, Status};

/// Values of 8 bytes that fit into a GPADL_HEADER: a range's header and 26 PFNs.
pub const HEADER_VALUES_MAX: usize = values(size_of::<GpadlRequest>());
/// Values of 8 bytes, all PFNs, that fit into a GPADL_BODY.
pub const BODY_VALUES_MAX: usize = values(size_of::<GpadlMore>());
/// PFNs that a GPADL of one range can have: its bytes, range header included, must fit the 16 bits of
/// [`range_bytes`](GpadlRequest::range_bytes).
pub const RANGE_PFNS_MAX: usize = 8190;

const fn values(fixed: usize) -> usize {
    match MESSAGE_MAX
        .saturating_sub(HEADER_SIZE)
        .saturating_sub(fixed)
        .checked_div(size_of::<U64>())
    {
        Some(values) => values,
        None => 0,
    }
}

const _: () = assert!(HEADER_VALUES_MAX == 27 && BODY_VALUES_MAX == 28);

wire_struct! {
    /// The fixed part of GPADL_HEADER.
    ///
    /// Source: Linux `struct vmbus_channel_gpadl_header`.
    pub struct GpadlRequest at 8, 12 bytes {
        /// The channel that the memory is lent to.
        8: relid: RelId,
        /// The id that the guest gives it.
        12: gpadl: GpadlId,
        /// Bytes of all ranges together, their headers included: those in this message and those in GPADL_BODY messages.
        16: range_bytes: U16,
        /// Ranges.
        18: range_count: U16,
    }
}

/// GPADL_HEADER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpadlHeader<'a> {
    /// Which memory for whom, and how much of it.
    pub request: GpadlRequest,
    /// The first values of the ranges: for each range its byte count (low half) and byte offset (high half), then its PFNs. At most
    /// [`HEADER_VALUES_MAX`].
    pub values: &'a [U64],
}

impl<'a> Body<'a> for GpadlHeader<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let (request, rest) = take(bytes)?;
        Some(Self {
            request,
            values: FromBytes::ref_from_bytes(rest).ok()?,
        })
    }

    fn write(&self, out: &mut Encoded) {
        put(out, self.request.as_bytes());
        put(out, self.values.as_bytes());
    }

    fn check(&self) -> Result<(), ListTooLong> {
        check(MessageType::GPADL_HEADER, self.values.len(), HEADER_VALUES_MAX)
    }
}

impl fmt::Display for GpadlHeader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let request = &self.request;
        write!(
            f,
            "relid {} gpadl {} {} bytes of ranges, {} ranges, {} values here",
            request.relid,
            request.gpadl,
            request.range_bytes,
            request.range_count,
            self.values.len()
        )
    }
}

wire_struct! {
    /// The fixed part of GPADL_BODY.
    ///
    /// Source: Linux `struct vmbus_channel_gpadl_body`.
    pub struct GpadlMore at 8, 8 bytes {
        /// Which message of the GPADL it is; Linux leaves it 0, so it means nothing.
        8: message_number: U32,
        /// The GPADL. It does not say of which channel.
        12: gpadl: GpadlId,
    }
}

/// GPADL_BODY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpadlBody<'a> {
    /// Which GPADL.
    pub more: GpadlMore,
    /// The next values. At most [`BODY_VALUES_MAX`].
    pub values: &'a [U64],
}

impl<'a> Body<'a> for GpadlBody<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let (more, rest) = take(bytes)?;
        Some(Self {
            more,
            values: FromBytes::ref_from_bytes(rest).ok()?,
        })
    }

    fn write(&self, out: &mut Encoded) {
        put(out, self.more.as_bytes());
        put(out, self.values.as_bytes());
    }

    fn check(&self) -> Result<(), ListTooLong> {
        check(MessageType::GPADL_BODY, self.values.len(), BODY_VALUES_MAX)
    }
}

impl fmt::Display for GpadlBody<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "gpadl {} message {} {} values",
            self.more.gpadl,
            self.more.message_number,
            self.values.len()
        )
    }
}

fn check(message_type: MessageType, values: usize, most: usize) -> Result<(), ListTooLong> {
    if values > most {
        Err(ListTooLong {
            message_type,
            values,
            most,
        })
    } else {
        Ok(())
    }
}

wire_struct! {
    /// GPADL_CREATED.
    ///
    /// Source: Linux `struct vmbus_channel_gpadl_created`.
    pub struct GpadlCreated at 8, 12 bytes {
        /// The channel.
        8: relid: RelId,
        /// The GPADL.
        12: gpadl: GpadlId,
        /// Whether the host took it.
        16: status: Status,
    }
}

impl fmt::Display for GpadlCreated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "relid {} gpadl {} {}", self.relid, self.gpadl, self.status)
    }
}

wire_struct! {
    /// GPADL_TEARDOWN.
    ///
    /// Source: Linux `struct vmbus_channel_gpadl_teardown`.
    pub struct GpadlTeardown at 8, 8 bytes {
        /// The channel.
        8: relid: RelId,
        /// The GPADL.
        12: gpadl: GpadlId,
    }
}

impl fmt::Display for GpadlTeardown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "relid {} gpadl {}", self.relid, self.gpadl)
    }
}

wire_struct! {
    /// GPADL_TORNDOWN: the host no longer touches the memory.
    ///
    /// Source: Linux `struct vmbus_channel_gpadl_torndown`.
    pub struct GpadlTorndown at 8, 4 bytes {
        /// The GPADL.
        8: gpadl: GpadlId,
    }
}

impl fmt::Display for GpadlTorndown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gpadl {}", self.gpadl)
    }
}
