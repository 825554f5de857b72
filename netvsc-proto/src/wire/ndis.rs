//! NDIS objects that OIDs carry, except those about offloads ([`offload`](super::offload)) and receive scaling
//! ([`rss`](super::rss)).

use bitflags::bitflags;
use zerocopy::little_endian::{U16, U32, U64};

use super::code::{layout, open_code, wire};

open_code! {
    /// What an NDIS object is. Source: OpenVMM, Linux.
    pub struct ObjectType(u8);
    /// Objects that need no type of their own.
    DEFAULT = 0x80 => "DEFAULT";
    /// Receive scaling, what the device can do.
    RSS_CAPABILITIES = 0x88 => "RSS_CAPABILITIES";
    /// Receive scaling, how it is set.
    RSS_PARAMETERS = 0x89 => "RSS_PARAMETERS";
    /// An OID request.
    OID_REQUEST = 0x96 => "OID_REQUEST";
    /// Offloads.
    OFFLOAD = 0xa7 => "OFFLOAD";
    /// Which headers offloads look behind.
    OFFLOAD_ENCAPSULATION = 0xa8 => "OFFLOAD_ENCAPSULATION";
}

wire! {
    /// What most NDIS 6 objects begin with.
    pub struct ObjectHeader {
        /// What it is.
        pub object_type: ObjectType,
        /// Which revision of it; a higher one has more fields at the end.
        pub revision: u8,
        /// Bytes of the object at this revision, header included.
        pub size: U16,
    }
}
layout!(ObjectHeader, 4, { object_type @ 0, revision @ 1, size @ 2 });

impl ObjectHeader {
    /// A header for an object of `size` bytes.
    pub const fn new(object_type: ObjectType, revision: u8, size: u16) -> Self {
        Self {
            object_type,
            revision,
            size: U16::new(size),
        }
    }
}

bitflags! {
    /// What the MAC can and will do (`OID_GEN_MAC_OPTIONS`). Source: OpenVMM.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct MacOptions: u32 {
        /// Data that is looked at ahead may be copied.
        const COPY_LOOKAHEAD_DATA = 0x1;
        /// Indications come one after the other.
        const RECEIVE_SERIALIZED = 0x2;
        /// Transfers are done at once.
        const TRANSFERS_NOT_PEND = 0x4;
        /// What is sent does not come back.
        const NO_LOOPBACK = 0x8;
        /// Full duplex.
        const FULL_DUPLEX = 0x10;
        /// Tells the end of a transmission.
        const EOTX_INDICATION = 0x20;
        /// Priorities of 802.1p.
        const PRIORITY_8021P = 0x40;
        /// The address may be changed.
        const MAC_ADDRESS_OVERWRITE = 0x80;
        /// Receives at dispatch level.
        const RECEIVE_AT_DPC = 0x100;
        /// VLANs of 802.1Q.
        const VLAN_8021Q = 0x200;
    }
}

open_code! {
    /// The state of a link in NDIS 6 structures: note that connected is 1 here and 0 in RNDIS.
    pub struct ConnectState(U32);
    /// Nobody knows.
    UNKNOWN = 0 => "unknown";
    /// There is a link.
    CONNECTED = 1 => "connected";
    /// There is none.
    DISCONNECTED = 2 => "disconnected";
}

open_code! {
    /// Duplex of a link.
    pub struct DuplexState(U32);
    /// Nobody knows.
    UNKNOWN = 0 => "unknown";
    /// One direction at a time.
    HALF = 1 => "half";
    /// Both at a time.
    FULL = 2 => "full";
}

wire! {
    /// `OID_GEN_LINK_STATE`. Source: OpenVMM.
    pub struct LinkState {
        /// Type default, revision 1.
        pub header: ObjectHeader,
        /// Whether there is a link.
        pub connect_state: ConnectState,
        /// Its duplex.
        pub duplex_state: DuplexState,
        /// Zero.
        pub padding: U32,
        /// Bit/s towards the network.
        pub transmit_speed: U64,
        /// Bit/s from the network.
        pub receive_speed: U64,
        /// 0: pause frames are not supported.
        pub pause_functions: U32,
        /// 0: nothing was negotiated.
        pub auto_negotiation: U32,
    }
}
layout!(LinkState, 40, {
    header @ 0, connect_state @ 4, duplex_state @ 8, padding @ 12, transmit_speed @ 16, receive_speed @ 24,
    pause_functions @ 32, auto_negotiation @ 36,
});

wire! {
    /// `OID_GEN_MAX_LINK_SPEED`.
    pub struct LinkSpeed {
        /// Bit/s towards the network.
        pub transmit: U64,
        /// Bit/s from the network.
        pub receive: U64,
    }
}
layout!(LinkSpeed, 16, { transmit @ 0, receive @ 8 });

open_code! {
    /// Whether interrupts are moderated.
    pub struct InterruptModerationState(U32);
    /// Nobody knows.
    UNKNOWN = 0 => "unknown";
    /// The device cannot.
    NOT_SUPPORTED = 1 => "not supported";
    /// Yes.
    ENABLED = 2 => "enabled";
    /// No.
    DISABLED = 3 => "disabled";
}

wire! {
    /// `OID_GEN_INTERRUPT_MODERATION`. Source: Microsoft's NDIS reference.
    pub struct InterruptModeration {
        /// Type default, revision 1.
        pub header: ObjectHeader,
        /// Bit 0: a change needs the driver to start anew.
        pub flags: U32,
        /// The state.
        pub state: InterruptModerationState,
    }
}
layout!(InterruptModeration, 12, { header @ 0, flags @ 4, state @ 8 });

wire! {
    /// `OID_PNP_CAPABILITIES`: which states the device can be woken from; 0 is none. Source: Microsoft's NDIS
    /// reference.
    pub struct PnpCapabilities {
        /// Zero.
        pub flags: U32,
        /// Deepest sleep from which a magic packet wakes.
        pub min_magic_packet_wake_up: U32,
        /// Deepest sleep from which a pattern wakes.
        pub min_pattern_wake_up: U32,
        /// Deepest sleep from which a change of the link wakes.
        pub min_link_change_wake_up: U32,
    }
}
layout!(PnpCapabilities, 16, {
    flags @ 0, min_magic_packet_wake_up @ 4, min_pattern_wake_up @ 8, min_link_change_wake_up @ 12,
});

bitflags! {
    /// Which counters of [`Statistics`] are valid. Source: Microsoft's NDIS reference.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct StatisticsFlags: u32 {
        /// [`Statistics::in_directed_frames`].
        const DIRECTED_FRAMES_RCV = 0x1;
        /// [`Statistics::in_multicast_frames`].
        const MULTICAST_FRAMES_RCV = 0x2;
        /// [`Statistics::in_broadcast_frames`].
        const BROADCAST_FRAMES_RCV = 0x4;
        /// [`Statistics::in_bytes`].
        const BYTES_RCV = 0x8;
        /// [`Statistics::in_discards`].
        const RCV_DISCARDS = 0x10;
        /// [`Statistics::in_errors`].
        const RCV_ERROR = 0x20;
        /// [`Statistics::out_directed_frames`].
        const DIRECTED_FRAMES_XMIT = 0x40;
        /// [`Statistics::out_multicast_frames`].
        const MULTICAST_FRAMES_XMIT = 0x80;
        /// [`Statistics::out_broadcast_frames`].
        const BROADCAST_FRAMES_XMIT = 0x100;
        /// [`Statistics::out_bytes`].
        const BYTES_XMIT = 0x200;
        /// [`Statistics::out_errors`].
        const XMIT_ERROR = 0x400;
        /// [`Statistics::out_discards`].
        const XMIT_DISCARDS = 0x8000;
        /// [`Statistics::in_directed_bytes`].
        const DIRECTED_BYTES_RCV = 0x1_0000;
        /// [`Statistics::in_multicast_bytes`].
        const MULTICAST_BYTES_RCV = 0x2_0000;
        /// [`Statistics::in_broadcast_bytes`].
        const BROADCAST_BYTES_RCV = 0x4_0000;
        /// [`Statistics::out_directed_bytes`].
        const DIRECTED_BYTES_XMIT = 0x8_0000;
        /// [`Statistics::out_multicast_bytes`].
        const MULTICAST_BYTES_XMIT = 0x10_0000;
        /// [`Statistics::out_broadcast_bytes`].
        const BROADCAST_BYTES_XMIT = 0x20_0000;
    }
}

wire! {
    /// `OID_GEN_STATISTICS`: all counters at once, seen from the guest. Source: Microsoft's NDIS reference
    /// (`NDIS_STATISTICS_INFO`).
    pub struct Statistics {
        /// Type default, revision 1.
        pub header: ObjectHeader,
        /// [`StatisticsFlags`].
        pub valid: U32,
        /// Good frames that were not delivered.
        pub in_discards: U64,
        /// Frames with errors.
        pub in_errors: U64,
        /// Bytes delivered.
        pub in_bytes: U64,
        /// Frames to one address.
        pub in_directed_frames: U64,
        /// Frames to a group.
        pub in_multicast_frames: U64,
        /// Frames to everyone.
        pub in_broadcast_frames: U64,
        /// Bytes sent.
        pub out_bytes: U64,
        /// Frames to one address.
        pub out_directed_frames: U64,
        /// Frames to a group.
        pub out_multicast_frames: U64,
        /// Frames to everyone.
        pub out_broadcast_frames: U64,
        /// Frames that could not be sent.
        pub out_errors: U64,
        /// Frames that were dropped.
        pub out_discards: U64,
        /// Bytes of frames to one address.
        pub in_directed_bytes: U64,
        /// Bytes of frames to a group.
        pub in_multicast_bytes: U64,
        /// Bytes of frames to everyone.
        pub in_broadcast_bytes: U64,
        /// Bytes of frames to one address.
        pub out_directed_bytes: U64,
        /// Bytes of frames to a group.
        pub out_multicast_bytes: U64,
        /// Bytes of frames to everyone.
        pub out_broadcast_bytes: U64,
    }
}
layout!(Statistics, 152, {
    header @ 0, valid @ 4, in_discards @ 8, in_errors @ 16, in_bytes @ 24, in_directed_frames @ 32,
    in_multicast_frames @ 40, in_broadcast_frames @ 48, out_bytes @ 56, out_directed_frames @ 64,
    out_multicast_frames @ 72, out_broadcast_frames @ 80, out_errors @ 88, out_discards @ 96, in_directed_bytes @ 104,
    in_multicast_bytes @ 112, in_broadcast_bytes @ 120, out_directed_bytes @ 128, out_multicast_bytes @ 136,
    out_broadcast_bytes @ 144,
});

open_code! {
    /// What kind of value a configuration parameter has.
    pub struct ParameterType(U32);
    /// u32.
    INTEGER = 0 => "INTEGER";
    /// u32, shown in hexadecimal.
    HEX_INTEGER = 1 => "HEX_INTEGER";
    /// UTF-16 text.
    STRING = 2 => "STRING";
    /// Several texts.
    MULTI_STRING = 3 => "MULTI_STRING";
    /// Bytes.
    BINARY = 4 => "BINARY";
}

wire! {
    /// `OID_GEN_RNDIS_CONFIG_PARAMETER`: a named setting. Offsets count from this structure. Linux sets the MAC
    /// address so: name `NetworkAddress`, value twelve hexadecimal digits, both UTF-16.
    pub struct ConfigParameter {
        /// Where the name begins.
        pub name_offset: U32,
        /// Its bytes.
        pub name_length: U32,
        /// What the value is.
        pub parameter_type: ParameterType,
        /// Where the value begins.
        pub value_offset: U32,
        /// Its bytes.
        pub value_length: U32,
    }
}
layout!(ConfigParameter, 20, {
    name_offset @ 0, name_length @ 4, parameter_type @ 8, value_offset @ 12, value_length @ 16,
});
