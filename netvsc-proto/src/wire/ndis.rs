//! NDIS objects that OIDs carry, except those about offloads ([`offload`](super::offload)) and receive scaling
//! ([`rss`](super::rss)).

use bitflags::bitflags;
use zerocopy::little_endian::{U16, U32, U64};

use super::code::{Byte, wire_number, wire_struct};

wire_number! {
    /// What an NDIS object is. Source: OpenVMM, Linux.
    pub struct ObjectType(Byte: u8), "{:#x}" {
        /// Objects that need no type of their own.
        DEFAULT = 0x80 => "DEFAULT",
        /// Receive scaling, what the device can do.
        RSS_CAPABILITIES = 0x88 => "RSS_CAPABILITIES",
        /// Receive scaling, how it is set.
        RSS_PARAMETERS = 0x89 => "RSS_PARAMETERS",
        /// An OID request.
        OID_REQUEST = 0x96 => "OID_REQUEST",
        /// Offloads.
        OFFLOAD = 0xa7 => "OFFLOAD",
        /// Which headers offloads look behind.
        OFFLOAD_ENCAPSULATION = 0xa8 => "OFFLOAD_ENCAPSULATION",
    }
}

wire_struct! {
    /// What most NDIS 6 objects begin with.
    #[derive(Default)]
    pub struct ObjectHeader, 4 bytes {
        /// What it is.
        0: object_type: ObjectType,
        /// Which revision of it; a higher one has more fields at the end.
        1: revision: u8,
        /// Bytes of the object at this revision, header included.
        2: size: U16,
    }
}

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

wire_number! {
    /// The state of a link in NDIS 6 structures: note that connected is 1 here and 0 in RNDIS.
    pub struct ConnectState(U32: u32), "{:#x}" {
        /// Nobody knows.
        UNKNOWN = 0 => "unknown",
        /// There is a link.
        CONNECTED = 1 => "connected",
        /// There is none.
        DISCONNECTED = 2 => "disconnected",
    }
}

wire_number! {
    /// Duplex of a link.
    pub struct DuplexState(U32: u32), "{:#x}" {
        /// Nobody knows.
        UNKNOWN = 0 => "unknown",
        /// One direction at a time.
        HALF = 1 => "half",
        /// Both at a time.
        FULL = 2 => "full",
    }
}

wire_struct! {
    /// `OID_GEN_LINK_STATE`. Source: OpenVMM.
    #[derive(Default)]
    pub struct LinkState, 40 bytes {
        /// Type default, revision 1.
        0: header: ObjectHeader,
        /// Whether there is a link.
        4: connect_state: ConnectState,
        /// Its duplex.
        8: duplex_state: DuplexState,
        /// Zero.
        12: padding: U32,
        /// Bit/s towards the network.
        16: transmit_speed: U64,
        /// Bit/s from the network.
        24: receive_speed: U64,
        /// 0: pause frames are not supported.
        32: pause_functions: U32,
        /// 0: nothing was negotiated.
        36: auto_negotiation: U32,
    }
}

wire_struct! {
    /// `OID_GEN_MAX_LINK_SPEED`.
    #[derive(Default)]
    pub struct LinkSpeed, 16 bytes {
        /// Bit/s towards the network.
        0: transmit: U64,
        /// Bit/s from the network.
        8: receive: U64,
    }
}

wire_number! {
    /// Whether interrupts are moderated.
    pub struct InterruptModerationState(U32: u32), "{:#x}" {
        /// Nobody knows.
        UNKNOWN = 0 => "unknown",
        /// The device cannot.
        NOT_SUPPORTED = 1 => "not supported",
        /// Yes.
        ENABLED = 2 => "enabled",
        /// No.
        DISABLED = 3 => "disabled",
    }
}

wire_struct! {
    /// `OID_GEN_INTERRUPT_MODERATION`. Source: Microsoft's NDIS reference.
    #[derive(Default)]
    pub struct InterruptModeration, 12 bytes {
        /// Type default, revision 1.
        0: header: ObjectHeader,
        /// Bit 0: a change needs the driver to start anew.
        4: flags: U32,
        /// The state.
        8: state: InterruptModerationState,
    }
}

wire_struct! {
    /// `OID_PNP_CAPABILITIES`: which states the device can be woken from; 0 is none. Source: Microsoft's NDIS
    /// reference.
    #[derive(Default)]
    pub struct PnpCapabilities, 16 bytes {
        /// Zero.
        0: flags: U32,
        /// Deepest sleep from which a magic packet wakes.
        4: min_magic_packet_wake_up: U32,
        /// Deepest sleep from which a pattern wakes.
        8: min_pattern_wake_up: U32,
        /// Deepest sleep from which a change of the link wakes.
        12: min_link_change_wake_up: U32,
    }
}

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

wire_struct! {
    /// `OID_GEN_STATISTICS`: all counters at once, seen from the guest. Source: Microsoft's NDIS reference
    /// (`NDIS_STATISTICS_INFO`).
    #[derive(Default)]
    pub struct Statistics, 152 bytes {
        /// Type default, revision 1.
        0: header: ObjectHeader,
        /// [`StatisticsFlags`].
        4: valid: U32,
        /// Good frames that were not delivered.
        8: in_discards: U64,
        /// Frames with errors.
        16: in_errors: U64,
        /// Bytes delivered.
        24: in_bytes: U64,
        /// Frames to one address.
        32: in_directed_frames: U64,
        /// Frames to a group.
        40: in_multicast_frames: U64,
        /// Frames to everyone.
        48: in_broadcast_frames: U64,
        /// Bytes sent.
        56: out_bytes: U64,
        /// Frames to one address.
        64: out_directed_frames: U64,
        /// Frames to a group.
        72: out_multicast_frames: U64,
        /// Frames to everyone.
        80: out_broadcast_frames: U64,
        /// Frames that could not be sent.
        88: out_errors: U64,
        /// Frames that were dropped.
        96: out_discards: U64,
        /// Bytes of frames to one address.
        104: in_directed_bytes: U64,
        /// Bytes of frames to a group.
        112: in_multicast_bytes: U64,
        /// Bytes of frames to everyone.
        120: in_broadcast_bytes: U64,
        /// Bytes of frames to one address.
        128: out_directed_bytes: U64,
        /// Bytes of frames to a group.
        136: out_multicast_bytes: U64,
        /// Bytes of frames to everyone.
        144: out_broadcast_bytes: U64,
    }
}

wire_number! {
    /// What kind of value a configuration parameter has.
    pub struct ParameterType(U32: u32), "{:#x}" {
        /// u32.
        INTEGER = 0 => "INTEGER",
        /// u32, shown in hexadecimal.
        HEX_INTEGER = 1 => "HEX_INTEGER",
        /// UTF-16 text.
        STRING = 2 => "STRING",
        /// Several texts.
        MULTI_STRING = 3 => "MULTI_STRING",
        /// Bytes.
        BINARY = 4 => "BINARY",
    }
}

wire_struct! {
    /// `OID_GEN_RNDIS_CONFIG_PARAMETER`: a named setting. Offsets count from this structure. Linux sets the MAC
    /// address so: name `NetworkAddress`, value twelve hexadecimal digits, both UTF-16.
    #[derive(Default)]
    pub struct ConfigParameter, 20 bytes {
        /// Where the name begins.
        0: name_offset: U32,
        /// Its bytes.
        4: name_length: U32,
        /// What the value is.
        8: parameter_type: ParameterType,
        /// Where the value begins.
        12: value_offset: U32,
        /// Its bytes.
        16: value_length: U32,
    }
}
