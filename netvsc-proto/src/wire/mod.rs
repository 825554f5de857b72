//! Wire formats: what stands in rings, receive and send buffers, byte by byte.
//!
//! | module | holds | form |
//! |---|---|---|
//! | [`nvsp`], [`packet_direct`] | NVSP messages, payload of VMBus packets | structures |
//! | [`nvsp_message`] | the same | one enum for each direction |
//! | [`rndis`], [`condis`] | RNDIS messages, carried by NVSP | structures |
//! | [`rndis_message`] | the same | one enum for each direction |
//! | [`ppi`] | per-packet info, in RNDIS packet messages | structures, walk, list |
//! | [`oid`], [`status`] | object identifiers, NDIS status codes | names |
//! | [`ndis`], [`offload`], [`rss`] | NDIS objects, in OID buffers | structures |
//!
//! Structures have the layout of the wire and no logic; a code that has no name survives a round trip. The enums are
//! what engines see: their decoders check every length and offset, and what has the wrong direction does not decode.
//!
//! ```
//! use netvsc_proto::wire::nvsp::{Init, Version};
//! use netvsc_proto::wire::nvsp_message::GuestMessage;
//!
//! let ask = GuestMessage::Init(Init { min_version: Version::V6_1, max_version: Version::V6_1 });
//! let mut buffer = [0; 40];
//! let bytes = ask.encode(Version::V1, &mut buffer)?;
//! assert_eq!(bytes.len(), 28);
//! assert_eq!(GuestMessage::decode(bytes)?, ask);
//! assert_eq!(ask.to_string(), "INIT version 6.1 to 6.1");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub(crate) mod code;
pub mod condis;
mod error;
pub mod ndis;
pub mod nvsp;
pub mod nvsp_message;
pub mod offload;
pub mod oid;
pub mod packet_direct;
pub(crate) mod packet_head;
pub mod ppi;
pub mod rndis;
pub mod rndis_message;
pub mod rss;
pub mod status;

pub use error::{BufferTooSmall, DecodeError};
