//! RNDIS structures: Remote NDIS, which netvsc carries inside of NVSP.
//!
//! A message is a [`MessageHeader`] and one of the structures below it. **Every offset counts from the byte after the
//! 8-byte header**, not from the start of the message. Sizes and offsets are those of the type information in Linux
//! 6.1's hv_netvsc (`struct rndis_*`); meanings were read in Microsoft's "Remote NDIS" documentation, Linux
//! `drivers/net/hyperv/hyperv_net.h` and OpenVMM `netvsp/src/rndisprot.rs`. Connection-oriented RNDIS is in
//! [`condis`](super::condis).

use bitflags::bitflags;
use zerocopy::little_endian::U32;

use super::code::{wire_number, wire_struct};
use super::oid::Oid;
use super::status::RndisStatus;

/// Bytes of [`MessageHeader`]: what offsets do not count.
pub const HEADER_LEN: usize = 8;

/// Bytes of a packet message up to per-packet info and data: header and [`Packet`].
pub const PACKET_HEADER_LEN: usize = 44;

/// The version of RNDIS, major and minor: 1.0. There is no other.
pub const VERSION: (u32, u32) = (1, 0);

/// Packet messages that one transfer may have; Hyper-V says so in [`InitializeComplete`].
pub const MAX_PACKETS_PER_TRANSFER: usize = 8;

wire_number! {
    /// The type of an RNDIS message. An answer has the request's number with the highest bit set.
    pub struct MessageType(U32: u32), "{:#x}" {
        /// Both: a frame.
        PACKET = 0x1 => "PACKET",
        /// Guest: begins.
        INITIALIZE = 0x2 => "INITIALIZE",
        /// Guest: ends. Not answered.
        HALT = 0x3 => "HALT",
        /// Guest: asks an OID.
        QUERY = 0x4 => "QUERY",
        /// Guest: sets an OID.
        SET = 0x5 => "SET",
        /// Guest: asks for a reset.
        RESET = 0x6 => "RESET",
        /// Host: the link's state changed, and the like. Not answered.
        INDICATE_STATUS = 0x7 => "INDICATE",
        /// Both: is anyone there. A guest asks; a device may as well (Linux `drivers/net/usb/rndis_host.c` answers it).
        KEEPALIVE = 0x8 => "KEEPALIVE",
        /// Guest: sets an OID and wants data back. Source: OpenVMM.
        SET_EX = 0x9 => "SET_EX",
        /// Host: answers [`Self::INITIALIZE`].
        INITIALIZE_COMPLETE = 0x8000_0002 => "INITIALIZE_CMPLT",
        /// Host: answers [`Self::QUERY`].
        QUERY_COMPLETE = 0x8000_0004 => "QUERY_CMPLT",
        /// Host: answers [`Self::SET`].
        SET_COMPLETE = 0x8000_0005 => "SET_CMPLT",
        /// Host: answers [`Self::RESET`].
        RESET_COMPLETE = 0x8000_0006 => "RESET_CMPLT",
        /// Both: answers [`Self::KEEPALIVE`].
        KEEPALIVE_COMPLETE = 0x8000_0008 => "KEEPALIVE_CMPLT",
        /// Host: answers [`Self::SET_EX`].
        SET_EX_COMPLETE = 0x8000_0009 => "SET_EX_CMPLT",
        /// Reserved for private use between the two ends.
        BUS = 0xff00_0001 => "BUS",
    }
}

wire_number! {
    /// A medium (`NdisMedium`).
    pub struct Medium(U32: u32), "{:#x}" {
        /// Ethernet.
        ETHERNET = 0 => "802.3",
        /// Token ring.
        TOKEN_RING = 1 => "802.5",
        /// Fibre distributed data interface.
        FDDI = 2 => "FDDI",
        /// Wide area network.
        WAN = 3 => "WAN",
        /// AppleTalk.
        LOCAL_TALK = 4 => "LocalTalk",
        /// Asynchronous transfer mode.
        ATM = 8 => "ATM",
        /// Wireless wide area network.
        WIRELESS_WAN = 9 => "WirelessWan",
    }
}

wire_number! {
    /// The state of a link in RNDIS: note that connected is 0 here and 1 in NDIS 6 structures.
    pub struct MediaState(U32: u32), "{:#x}" {
        /// There is a link.
        CONNECTED = 0 => "connected",
        /// There is none.
        DISCONNECTED = 1 => "disconnected",
    }
}

bitflags! {
    /// What kind of device it is, in [`InitializeComplete`].
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct DeviceFlags: u32 {
        /// Frames without connections: what netvsc is.
        const CONNECTIONLESS = 0x1;
        /// With connections.
        const CONNECTION_ORIENTED = 0x2;
        /// Frames without RNDIS headers.
        const RAW_DATA = 0x4;
    }
}

bitflags! {
    /// Which received frames the guest wants (`OID_GEN_CURRENT_PACKET_FILTER`). 0 stops reception.
    ///
    /// The four token-ring bits are Microsoft's; Linux's `hyperv_net.h` has them at 0x100 to 0x800 and never uses them.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct PacketFilter: u32 {
        /// To its own address.
        const DIRECTED = 0x1;
        /// To a multicast address of its list.
        const MULTICAST = 0x2;
        /// To any multicast address.
        const ALL_MULTICAST = 0x4;
        /// To everyone.
        const BROADCAST = 0x8;
        /// Source routing.
        const SOURCE_ROUTING = 0x10;
        /// Everything.
        const PROMISCUOUS = 0x20;
        /// Station management frames.
        const SMT = 0x40;
        /// Everything that the host itself sends.
        const ALL_LOCAL = 0x80;
        /// Token ring group address.
        const GROUP = 0x1000;
        /// Any functional address.
        const ALL_FUNCTIONAL = 0x2000;
        /// Functional addresses of its list.
        const FUNCTIONAL = 0x4000;
        /// MAC frames.
        const MAC_FRAME = 0x8000;
    }
}

wire_struct! {
    /// What every RNDIS message begins with.
    #[derive(Default)]
    pub struct MessageHeader, 8 bytes {
        /// Which message.
        0: message_type: MessageType,
        /// Bytes of the message, this header and padding included.
        4: message_length: U32,
    }
}

wire_struct! {
    /// [`MessageType::PACKET`] after the header. Per-packet info and data follow where the offsets say.
    #[derive(Default)]
    pub struct Packet, 36 bytes {
        /// Where the frame begins.
        0: data_offset: U32,
        /// Bytes of the frame.
        4: data_length: U32,
        /// Where out-of-band data begins; netvsc has none.
        8: oob_offset: U32,
        /// Bytes of it.
        12: oob_length: U32,
        /// Records of it.
        16: oob_count: U32,
        /// Where per-packet info begins.
        20: ppi_offset: U32,
        /// Bytes of it, all records.
        24: ppi_length: U32,
        /// Virtual circuit: 0, as there are no connections.
        28: vc_handle: U32,
        /// Zero.
        32: reserved: U32,
    }
}

wire_struct! {
    /// Out-of-band data of a packet: one record's head.
    #[derive(Default)]
    pub struct OutOfBandData, 12 bytes {
        /// Bytes of the record.
        0: size: U32,
        /// Its class.
        4: class: U32,
        /// Where its data begins, counted from the record.
        8: offset: U32,
    }
}

wire_struct! {
    /// [`MessageType::INITIALIZE`].
    #[derive(Default)]
    pub struct InitializeRequest, 16 bytes {
        /// Comes back in the answer.
        0: request_id: U32,
        /// Version, see [`VERSION`].
        4: major_version: U32,
        /// Version, see [`VERSION`].
        8: minor_version: U32,
        /// The most bytes that the guest takes in one transfer. Linux says 0x4000 and takes more.
        12: max_transfer_size: U32,
    }
}

wire_struct! {
    /// [`MessageType::INITIALIZE_COMPLETE`].
    #[derive(Default)]
    pub struct InitializeComplete, 44 bytes {
        /// Of the request.
        0: request_id: U32,
        /// Outcome.
        4: status: RndisStatus,
        /// Version, see [`VERSION`].
        8: major_version: U32,
        /// Version, see [`VERSION`].
        12: minor_version: U32,
        /// [`DeviceFlags`].
        16: device_flags: U32,
        /// What the frames are.
        20: medium: Medium,
        /// Packet messages that a transfer to the host may have.
        24: max_packets_per_message: U32,
        /// Bytes that a transfer to the host may have.
        28: max_transfer_size: U32,
        /// Each packet message of a transfer begins at a multiple of two to the power of this.
        32: packet_alignment_factor: U32,
        /// Address families, for connection-oriented devices: 0.
        36: af_list_offset: U32,
        /// Bytes of them: 0.
        40: af_list_size: U32,
    }
}

wire_struct! {
    /// [`MessageType::HALT`].
    #[derive(Default)]
    pub struct HaltRequest, 4 bytes {
        /// Of no use, as there is no answer.
        0: request_id: U32,
    }
}

wire_struct! {
    /// [`MessageType::QUERY`], [`MessageType::SET`] and [`MessageType::SET_EX`]: one layout. The information buffer
    /// is bytes; none of its fields is ever an address.
    #[derive(Default)]
    pub struct OidRequest, 20 bytes {
        /// Comes back in the answer.
        0: request_id: U32,
        /// What is asked or set.
        4: oid: Oid,
        /// Bytes of the information buffer.
        8: info_length: U32,
        /// Where it begins. Meaningless with length 0.
        12: info_offset: U32,
        /// Virtual circuit: 0.
        16: vc_handle: U32,
    }
}

wire_struct! {
    /// [`MessageType::QUERY_COMPLETE`] and [`MessageType::SET_EX_COMPLETE`].
    #[derive(Default)]
    pub struct QueryComplete, 16 bytes {
        /// Of the request.
        0: request_id: U32,
        /// Outcome.
        4: status: RndisStatus,
        /// Bytes of the information buffer.
        8: info_length: U32,
        /// Where it begins. Linux takes no less than 16.
        12: info_offset: U32,
    }
}

wire_struct! {
    /// [`MessageType::SET_COMPLETE`] and [`MessageType::KEEPALIVE_COMPLETE`].
    #[derive(Default)]
    pub struct Complete, 8 bytes {
        /// Of the request.
        0: request_id: U32,
        /// Outcome.
        4: status: RndisStatus,
    }
}

wire_struct! {
    /// [`MessageType::RESET`]. The only request without an id, so there can be one at a time.
    #[derive(Default)]
    pub struct ResetRequest, 4 bytes {
        /// Zero.
        0: reserved: U32,
    }
}

wire_struct! {
    /// [`MessageType::RESET_COMPLETE`].
    #[derive(Default)]
    pub struct ResetComplete, 8 bytes {
        /// Outcome.
        0: status: RndisStatus,
        /// 1 when packet filter and multicast list were lost and must be set again.
        4: addressing_reset: U32,
    }
}

wire_struct! {
    /// [`MessageType::INDICATE_STATUS`].
    #[derive(Default)]
    pub struct IndicateStatus, 12 bytes {
        /// What happened.
        0: status: RndisStatus,
        /// Bytes of the status buffer.
        4: buffer_length: U32,
        /// Where it begins; 0 when there is none.
        8: buffer_offset: U32,
    }
}

wire_struct! {
    /// The status buffer of an indication that tells of a bad message.
    #[derive(Default)]
    pub struct DiagnosticInfo, 8 bytes {
        /// What was wrong.
        0: status: RndisStatus,
        /// Where in the message.
        4: error_offset: U32,
    }
}

wire_struct! {
    /// [`MessageType::KEEPALIVE`].
    #[derive(Default)]
    pub struct KeepaliveRequest, 4 bytes {
        /// Comes back in the answer.
        0: request_id: U32,
    }
}
