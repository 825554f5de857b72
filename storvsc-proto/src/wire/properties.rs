//! Bodies of the negotiation, besides the version, and of notices.

use bitflags::bitflags;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::macros::layout;

bitflags! {
    /// What a channel can do.
    ///
    /// Source: Linux `STORAGE_CHANNEL_SUPPORTS_MULTI_CHANNEL`. Linux also names 0x1 `REMOVABLE` and 0x2
    /// `EMULATED_IDE`: those belong to [`OfferProperties`].
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct PropertyFlags: u32 {
        /// The host offers sub-channels when asked to.
        const MULTI_CHANNEL = 0x1;
        const _ = !0;
    }
}

/// The body of the answer to `QUERY_PROPERTIES`. Source: Linux `struct vmstorage_channel_properties`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct ChannelProperties {
    /// 0.
    pub reserved: U32,
    /// How many sub-channels a guest may ask for, the primary channel not counted.
    pub max_sub_channels: U16,
    /// 0.
    pub reserved2: U16,
    /// [`PropertyFlags`].
    pub flags: U32,
    /// Most bytes that one SRB transfers. Linux derives its scatter list from it, in whole pages.
    pub max_transfer_bytes: U32,
    /// 0.
    pub reserved3: U64,
}
layout!(
    ChannelProperties, size 24,
    reserved @ 0, max_sub_channels @ 4, reserved2 @ 6, flags @ 8, max_transfer_bytes @ 12, reserved3 @ 16,
);

/// The body of `CREATE_SUB_CHANNELS`. Source: Linux `struct vstor_packet`, `sub_channel_count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SubChannelsBody {
    /// How many sub-channels the guest wants, the primary channel not counted.
    pub count: U16,
}
layout!(SubChannelsBody, size 2, count @ 0);

/// The names of a fibre-channel adapter: the body of the answer to `FC_HBA_DATA`. Source: Linux `struct
/// hv_fc_wwn_packet`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct FcHbaData {
    /// Not 0: the primary port is the one in use.
    pub primary_active: u8,
    /// 0.
    pub reserved: [u8; 3],
    /// World-wide name of the primary port, as bytes in the order in which it is written.
    pub primary_port_wwn: [u8; 8],
    /// World-wide name of the primary node.
    pub primary_node_wwn: [u8; 8],
    /// World-wide name of the secondary port.
    pub secondary_port_wwn: [u8; 8],
    /// World-wide name of the secondary node.
    pub secondary_node_wwn: [u8; 8],
}
layout!(
    FcHbaData, size 36,
    primary_active @ 0, reserved @ 1, primary_port_wwn @ 4, primary_node_wwn @ 12, secondary_port_wwn @ 20,
    secondary_node_wwn @ 28,
);

/// The body of `EVENT_NOTIFICATION`. Source: OpenVMM `storvsp/src/protocol.rs`, `NotificationPacket`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct NotificationBody {
    /// LUN at which something happened.
    pub lun: u8,
    /// Its target.
    pub target: u8,
    /// Its path.
    pub path: u8,
    /// What happened. No value is documented.
    pub flags: u8,
}
layout!(NotificationBody, size 4, lun @ 0, target @ 1, path @ 2, flags @ 3);

bitflags! {
    /// Flags of [`OfferProperties`]. Sources: Linux `STORAGE_CHANNEL_REMOVABLE_FLAG`,
    /// `STORAGE_CHANNEL_EMULATED_IDE_FLAG`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct OfferFlags: u32 {
        /// The disk can be taken out.
        const REMOVABLE = 0x1;
        /// The channel speeds up an emulated IDE disk.
        const EMULATED_IDE = 0x2;
        const _ = !0;
    }
}

/// The first user-defined bytes of a storage channel's offer; all zero for a SCSI controller.
///
/// Old Windows drivers read here which IDE disk the channel belongs to. Source: OpenVMM
/// `storvsp/src/protocol.rs`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct OfferProperties {
    /// 0.
    pub reserved: U16,
    /// IDE channel.
    pub path: u8,
    /// IDE device.
    pub target: u8,
    /// 0.
    pub reserved2: U32,
    /// [`OfferFlags`].
    pub flags: U32,
    /// 0.
    pub reserved3: [U32; 3],
}
layout!(
    OfferProperties, size 24,
    reserved @ 0, path @ 2, target @ 3, reserved2 @ 4, flags @ 8, reserved3 @ 12,
);
