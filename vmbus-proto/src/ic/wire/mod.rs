//! The messages of integration services, as they stand in packets.
//!
//! A packet is the header of a [pipe](crate::wire::PipeHeader), that of a [message](MessageHeader), and a body. The host asks, the guest
//! answers with the same transaction and body, filled in: [`HostMessage`] and [`GuestMessage`] are the two directions, told apart by a
//! [flag](MessageFlags).
//!
//! | type | body | what it is |
//! |---|---|---|
//! | NEGOTIATE | [`VersionOffer`], [`VersionChoice`] | which versions, on every channel first |
//! | HEARTBEAT | [`HeartbeatData`] | whether the guest is alive |
//! | SHUTDOWN | [`ShutdownData`] | power off, restart, hibernate |
//! | TIME_SYNC | [`TimeSync`] | the host's clock, since 4.0 with the guest's reference time |
//! | KVP_EXCHANGE | [`Kvp`] | key-value pairs and addresses |
//! | VSS | [`Vss`] | hold file systems still |
//! | FILE_COPY | [`FileCopy`] | write a file in the guest |
//!
//! ```
//! use vmbus_proto::ic::wire::{Body, Envelope, HeartbeatData, HostMessage, GuestMessage, MessageFlags, Version};
//!
//! let envelope = Envelope {
//!     framework: Version::new(3, 0),
//!     version: Version::new(3, 0),
//!     transaction_id: 7,
//!     flags: MessageFlags::TRANSACTION | MessageFlags::REQUEST,
//!     ..Envelope::default()
//! };
//! let beat = HostMessage::Request(Body::Heartbeat(HeartbeatData::new(41)));
//! let mut out = [0; 128];
//! let payload = beat.encode(&envelope, &mut out)?;
//! assert_eq!(payload.len(), 8 + 20 + 40);
//! assert_eq!(HostMessage::decode(payload), Ok((envelope, beat)));
//! assert_eq!(beat.to_string(), "HEARTBEAT sequence 41 UNKNOWN");
//!
//! // A host's message is none of a guest's.
//! let error = GuestMessage::decode(payload).unwrap_err();
//! assert_eq!(error.to_string(), "HEARTBEAT with flags 0x3 goes the other way");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Codes without a name stay as they are, types and operations without one keep their bodies as bytes. Bytes beyond what the headers say
//! mean nothing: the ring rounds packets up, and Linux answers with as many bytes as it was asked with. Sizes and counts that go beyond
//! the packet or the field are a [`DecodeError`] that tells both.

mod bytes;
mod file_copy;
mod frame;
mod heartbeat;
mod kvp;
mod kvp_ip;
mod message;
mod service;
mod shutdown;
mod time_sync;
mod version;
mod vss;

pub use crate::wire::NoRoom;
pub use bytes::{Bytes, Text, TextTooLong};
pub use file_copy::{
    FILE_COPY_MAX, FRAGMENT_MAX, FileCopy, FileCopyFlags, FileCopyHeader, FileCopyOperation, FileFragment,
    FileStart,
};
pub use frame::{
    DecodeError, Envelope, Frame, HEADERS_SIZE, MessageFlags, MessageHeader, MessageType, PACKET_MAX, Status,
};
pub use heartbeat::{ApplicationState, HeartbeatData};
pub use kvp::{
    IpInfo, KEY_MAX, KVP_MAX, Kvp, KvpHeader, KvpItem, KvpKey, KvpOperation, KvpPair, KvpPool, KvpValue,
    VALUE_MAX, ValueType,
};
pub use kvp_ip::{ADDRESSES_MAX, AddressFamilies, GATEWAYS_MAX, IpBinary, IpText, Ipv4, Ipv6};
pub use message::{Body, GuestMessage, HostMessage};
pub use service::{FRAMEWORKS, SERVICES, Service};
pub use shutdown::{ShutdownData, ShutdownFlags, ShutdownKind, ShutdownReason};
pub use time_sync::{HostTime, TimeReference, TimeSample, TimeSync, TimeSyncFlags};
pub use version::{NegotiateHeader, Version, VersionChoice, VersionOffer, Versions};
pub use vss::{VSS_MAX, Vss, VssData, VssFlags, VssOperation};
