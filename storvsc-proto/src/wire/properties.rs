//! Bodies of the negotiation, besides the version, and of notices.

use bitflags::bitflags;
use zerocopy::little_endian::{U16, U32, U64};

use crate::macros::wire_struct;

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

wire_struct! {
    /// The body of the answer to `QUERY_PROPERTIES`. Source: Linux `struct vmstorage_channel_properties`.
    #[derive(Default)]
    pub struct ChannelProperties, 24 bytes {
        /// 0.
        0: reserved: U32,
        /// How many sub-channels a guest may ask for, the primary channel not counted.
        4: max_sub_channels: U16,
        /// 0.
        6: reserved2: U16,
        /// [`PropertyFlags`].
        8: flags: U32,
        /// Most bytes that one SRB transfers. Linux derives its scatter list from it, in whole pages.
        12: max_transfer_bytes: U32,
        /// 0.
        16: reserved3: U64,
    }
}

wire_struct! {
    /// The body of `CREATE_SUB_CHANNELS`. Source: Linux `struct vstor_packet`, `sub_channel_count`.
    pub struct SubChannelsBody, 2 bytes {
        /// How many sub-channels the guest wants, the primary channel not counted.
        0: count: U16,
    }
}

wire_struct! {
    /// The names of a fibre-channel adapter: the body of the answer to `FC_HBA_DATA`. Source: Linux `struct
    /// hv_fc_wwn_packet`.
    #[derive(Default)]
    pub struct FcHbaData, 36 bytes {
        /// Not 0: the primary port is the one in use.
        0: primary_active: u8,
        /// 0.
        1: reserved: [u8; 3],
        /// World-wide name of the primary port, as bytes in the order in which it is written.
        4: primary_port_wwn: [u8; 8],
        /// World-wide name of the primary node.
        12: primary_node_wwn: [u8; 8],
        /// World-wide name of the secondary port.
        20: secondary_port_wwn: [u8; 8],
        /// World-wide name of the secondary node.
        28: secondary_node_wwn: [u8; 8],
    }
}

wire_struct! {
    /// The body of `EVENT_NOTIFICATION`. Source: OpenVMM `storvsp/src/protocol.rs`, `NotificationPacket`.
    #[derive(Default)]
    pub struct NotificationBody, 4 bytes {
        /// LUN at which something happened.
        0: lun: u8,
        /// Its target.
        1: target: u8,
        /// Its path.
        2: path: u8,
        /// What happened. No value is documented.
        3: flags: u8,
    }
}

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

wire_struct! {
    /// The first user-defined bytes of a storage channel's offer; all zero for a SCSI controller.
    ///
    /// Old Windows drivers read here which IDE disk the channel belongs to. Source: OpenVMM
    /// `storvsp/src/protocol.rs`.
    #[derive(Default)]
    pub struct OfferProperties, 24 bytes {
        /// 0.
        0: reserved: U16,
        /// IDE channel.
        2: path: u8,
        /// IDE device.
        3: target: u8,
        /// 0.
        4: reserved2: U32,
        /// [`OfferFlags`].
        8: flags: U32,
        /// 0.
        12: reserved3: [U32; 3],
    }
}
