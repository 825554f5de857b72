//! The messages of the control plane, as they stand in a SynIC message's 240 bytes of payload.
//!
//! [`GuestMessage`] is what a guest sends, [`HostMessage`] what a host sends; a message of the wrong direction does not decode. Both
//! come, with their decoders and encoders, out of one table, [`TABLE`], which tells number, direction, minimum version, feature and sizes
//! of each.
//!
//! ```
//! use vmbus_proto::wire::{GuestMessage, HostMessage, MessageInfo, MessageType, Version};
//!
//! let bytes = GuestMessage::RequestOffers.encode()?;
//! assert_eq!(bytes[..], [3, 0, 0, 0, 0, 0, 0, 0]);
//! assert_eq!(GuestMessage::decode(&bytes), Ok(GuestMessage::RequestOffers));
//!
//! // A guest's message is none of a host, and each has its sizes.
//! let error = HostMessage::decode(&bytes).unwrap_err();
//! assert_eq!(error.to_string(), "REQUEST_OFFERS is a message of the guest, and came from the other end");
//! let error = GuestMessage::decode(&[7, 0, 0, 0, 0, 0, 0, 0, 1]).unwrap_err();
//! assert_eq!(error.to_string(), "CLOSE_CHANNEL of 9 bytes; it has 12");
//!
//! assert_eq!(MessageInfo::of(MessageType::MODIFY_CHANNEL).map(|info| info.since), Some(Version::WIN10_RS3_0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A message may be sent rounded up to a multiple of 8 bytes, as QEMU does; no other size is taken.
//!
//! Structures are laid over the bytes as they are: reserved fields keep what a peer left in them, codes keep values that have no name,
//! and every offset is asserted. Where the size of a message depends on version or features, the part that may be missing is an
//! `Option`, or the message is an enum of its forms. Whether version and features allow what was sent is not decided here but by who
//! knows them: [`MessageInfo::is_allowed`].

mod channel;
mod contact;
mod gpadl;
mod guid;
mod id;
pub mod interface;
pub(crate) mod macros;
mod message;
mod monitor;
mod offer;
mod pipe;
mod socket;
mod table;
mod version;
pub(crate) mod writer;

pub use channel::{
    CloseChannel, CloseReservedChannel, CloseReservedResponse, ModifyChannel, ModifyChannelResponse,
    NO_INTERRUPTS_VP, OpenChannel, OpenFlags, OpenRequest, OpenReservedChannel, OpenResult, OpenSignal,
    RelIdReleased,
};
pub use contact::{
    ContactRequest, InitiateContact, ModifyConnection, ModifyConnectionResponse, MonitorPages, TargetInfo,
    VersionAnswer, VersionResponse,
};
pub use gpadl::{
    BODY_VALUES_MAX, GpadlBody, GpadlCreated, GpadlHeader, GpadlMore, GpadlRequest, GpadlTeardown,
    GpadlTorndown, HEADER_VALUES_MAX, RANGE_PFNS_MAX,
};
pub use guid::{Guid, NoGuid};
pub use id::{
    ConnectionState, EVENT_CONNECTION, GpadlId, MESSAGE_CONNECTION, MESSAGE_CONNECTION_5_0,
    MESSAGE_CONNECTION_REDIRECTED, RelId, Status,
};
pub use message::{
    DecodeError, Direction, Encoded, HEADER_SIZE, ListTooLong, MESSAGE_MAX, MessageHeader, MessageInfo,
    MessageType, Sizes,
};
pub use monitor::{MONITOR_GROUPS, MONITOR_TRIGGERS, MonitorPage, MonitorParameter, MonitorTriggerGroup};
pub use offer::{
    Offer, OfferChannel, OfferFlags, OfferSignal, PipeParameters, PipeType, RescindChannelOffer,
    SocketParameters, SocketParametersVersion, USER_DEFINED_SIZE,
};
pub use pipe::{PipeError, PipeHeader, PipePacketType};
pub use socket::{ConnectRequest, TlConnectRequest, TlConnectResult};
pub use table::{GuestMessage, HostMessage, TABLE};
pub use version::{Dotted, FeatureFlags, Version};
pub use writer::NoRoom;

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests;
