//! Ids and status codes that many messages carry.

use hvcall::ConnectionId;
use zerocopy::little_endian::U32;

use super::macros::{Byte, wire_number};

wire_number! {
    /// The id by which messages name an offered channel, and the number of its event flag. 0 is none: that event flag is the
    /// protocol's own.
    pub struct RelId(U32: u32), "{}" {}
}

wire_number! {
    /// The id that the guest gives to a GPADL. GPADLs are a channel's, yet GPADL_BODY and GPADL_TORNDOWN carry only this.
    pub struct GpadlId(U32: u32), "{:#x}" {}
}

wire_number! {
    /// A result: an `NTSTATUS`. Guests look at 0 or not; Windows shows the others to the user.
    ///
    /// Sources: OpenVMM `vmbus_core/src/protocol.rs`; the values of `NTSTATUS` in MS-ERREF.
    pub struct Status(U32: u32), "{:#010x}" {
        /// Done.
        SUCCESS = 0,
        /// It failed and no more is said. Hyper-V uses this number, an `HRESULT`, in these messages.
        UNSUCCESSFUL = 0x8000_ffff,
        /// A parameter is wrong.
        INVALID_PARAMETER = 0xc000_000d,
        /// A bound was reached.
        INSUFFICIENT_RESOURCES = 0xc000_009a,
        /// The state does not allow it.
        INVALID_DEVICE_STATE = 0xc000_0184,
        /// Nobody takes the connection.
        CONNECTION_REFUSED = 0xc000_0236,
    }
}

impl Status {
    /// Whether it is 0.
    #[must_use]
    pub fn is_success(self) -> bool {
        self == Self::SUCCESS
    }
}

wire_number! {
    /// Whether a connection that the host's version allows came to be. Not to be looked at in a refusal, nor before 2.4: it may be
    /// left-over memory there.
    ///
    /// Source: the Hyper-V UEFI firmware's `ChannelMessages.h`; OpenVMM agrees.
    pub struct ConnectionState(Byte: u8), "{}" {
        /// It did.
        SUCCESSFUL = 0,
        /// The host is short of something.
        FAILED_LOW_RESOURCES = 1,
        /// It did not.
        FAILED_UNKNOWN_FAILURE = 2,
    }
}

/// The connection that a guest posts messages to up to 4.1.
pub const MESSAGE_CONNECTION: ConnectionId = ConnectionId(1);
/// The connection that a guest posts INITIATE_CONTACT to from 5.0 on; the answer names the one for everything after it.
pub const MESSAGE_CONNECTION_5_0: ConnectionId = ConnectionId(4);
/// The connection that a guest posts to when a paravisor in a higher VTL is to answer.
pub const MESSAGE_CONNECTION_REDIRECTED: ConnectionId = ConnectionId(0x0080_0074);
/// The connection that a guest signals for channels which have none of their own: before 1.1 all, and at 1.1 those that are not
/// [dedicated](super::OfferSignal::is_dedicated).
///
/// Source: Linux `VMBUS_EVENT_CONNECTION_ID`.
pub const EVENT_CONNECTION: ConnectionId = ConnectionId(2);
