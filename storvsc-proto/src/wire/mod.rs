//! What stands in the payload of a packet on a storage channel.
//!
//! Every packet is a [`PacketHeader`] of 12 bytes and a body, padded with zeroes to the length of an SRB: 64
//! bytes in all since version 5.1, 48 before ([`PacketForm`]). Which body it is follows from the
//! [`Operation`]; an answer is always `COMPLETE_IO`, and what its body is only the one who asked knows.
//!
//! | operation | direction | body |
//! |---|---|---|
//! | `BEGIN_INITIALIZATION`, `END_INITIALIZATION`, `QUERY_PROPERTIES`, `FC_HBA_DATA` | guest to host | none |
//! | `QUERY_PROTOCOL_VERSION` | guest to host | [`VersionBody`] |
//! | `CREATE_SUB_CHANNELS` | guest to host | [`SubChannelsBody`] |
//! | `EXECUTE_SRB`, `RESET_LUN`, `RESET_ADAPTER`, `RESET_BUS` | guest to host | [`ScsiRequest`] |
//! | `COMPLETE_IO` | host to guest | [`VersionBody`], [`ChannelProperties`], [`FcHbaData`], [`ScsiRequest`] or none |
//! | `ENUMERATE_BUS`, `REMOVE_DEVICE` | host to guest, unasked | none |
//! | `FC_HBA_DATA` | host to guest, unasked | [`FcHbaData`] |
//! | `EVENT_NOTIFICATION` | host to guest, unasked | [`NotificationBody`] |
//!
//! Direction is a type: [`GuestMessage`] is what a guest sends, [`HostMessage`] what a host sends, and an
//! operation that goes the other way does not decode. Both have a `Display` for traces, of one line.
//!
//! The guest's data is not in the packet. A request that moves data is a GPA-direct packet: its ring header
//! lists the guest's pages, and the host reads and writes them there. What is unasked has the transaction id
//! 0 and may be as short as 4 bytes.

mod message;
mod packet;
mod parts;
mod properties;
mod srb;
mod version;

pub use message::{Completion, CompletionBody, GuestMessage, HostMessage};
pub use packet::{MAX_BODY_LEN, MAX_PACKET_LEN, NtStatus, Operation, PacketFlags, PacketForm, PacketHeader};
pub use parts::{EncodedPacket, WireError};
pub(crate) use parts::{SrbPacket, srb};
pub use properties::{
    ChannelProperties, FcHbaData, NotificationBody, OfferFlags, OfferProperties, PropertyFlags,
    SubChannelsBody,
};
pub use srb::{
    DataDirection, LunAddress, MAX_CDB_LEN, QueueAction, ScsiRequest, SrbFlags, SrbStatus, SrbStatusByte,
};
pub use version::{ProtocolVersion, VersionBody};
