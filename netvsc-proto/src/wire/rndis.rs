//! RNDIS structures: Remote NDIS, which netvsc carries inside of NVSP.
//!
//! A message is a [`MessageHeader`] and one of the structures below it. **Every offset counts from the byte after the
//! 8-byte header**, not from the start of the message. Sizes and offsets are those of the type information in Linux
//! 6.1's hv_netvsc (`struct rndis_*`); meanings were read in Microsoft's "Remote NDIS" documentation, Linux
//! `drivers/net/hyperv/hyperv_net.h` and OpenVMM `netvsp/src/rndisprot.rs`. Connection-oriented RNDIS is in
//! [`condis`](super::condis).

use bitflags::bitflags;
use zerocopy::little_endian::U32;

use super::code::{layout, open_code, wire};
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

open_code! {
    /// The type of an RNDIS message. An answer has the request's number with the highest bit set.
    pub struct MessageType(U32);
    /// Both: a frame.
    PACKET = 0x1 => "PACKET";
    /// Guest: begins.
    INITIALIZE = 0x2 => "INITIALIZE";
    /// Guest: ends. Not answered.
    HALT = 0x3 => "HALT";
    /// Guest: asks an OID.
    QUERY = 0x4 => "QUERY";
    /// Guest: sets an OID.
    SET = 0x5 => "SET";
    /// Guest: asks for a reset.
    RESET = 0x6 => "RESET";
    /// Host: the link's state changed, and the like. Not answered.
    INDICATE_STATUS = 0x7 => "INDICATE";
    /// Both: is anyone there. A guest asks; a device may as well (Linux `drivers/net/usb/rndis_host.c` answers it).
    KEEPALIVE = 0x8 => "KEEPALIVE";
    /// Guest: sets an OID and wants data back. Source: OpenVMM.
    SET_EX = 0x9 => "SET_EX";
    /// Host: answers [`Self::INITIALIZE`].
    INITIALIZE_COMPLETE = 0x8000_0002 => "INITIALIZE_CMPLT";
    /// Host: answers [`Self::QUERY`].
    QUERY_COMPLETE = 0x8000_0004 => "QUERY_CMPLT";
    /// Host: answers [`Self::SET`].
    SET_COMPLETE = 0x8000_0005 => "SET_CMPLT";
    /// Host: answers [`Self::RESET`].
    RESET_COMPLETE = 0x8000_0006 => "RESET_CMPLT";
    /// Both: answers [`Self::KEEPALIVE`].
    KEEPALIVE_COMPLETE = 0x8000_0008 => "KEEPALIVE_CMPLT";
    /// Host: answers [`Self::SET_EX`].
    SET_EX_COMPLETE = 0x8000_0009 => "SET_EX_CMPLT";
    /// Reserved for private use between the two ends.
    BUS = 0xff00_0001 => "BUS";
}

open_code! {
    /// A medium (`NdisMedium`).
    pub struct Medium(U32);
    /// Ethernet.
    ETHERNET = 0 => "802.3";
    /// Token ring.
    TOKEN_RING = 1 => "802.5";
    /// Fibre distributed data interface.
    FDDI = 2 => "FDDI";
    /// Wide area network.
    WAN = 3 => "WAN";
    /// AppleTalk.
    LOCAL_TALK = 4 => "LocalTalk";
    /// Asynchronous transfer mode.
    ATM = 8 => "ATM";
    /// Wireless wide area network.
    WIRELESS_WAN = 9 => "WirelessWan";
}

open_code! {
    /// The state of a link in RNDIS: note that connected is 0 here and 1 in NDIS 6 structures.
    pub struct MediaState(U32);
    /// There is a link.
    CONNECTED = 0 => "connected";
    /// There is none.
    DISCONNECTED = 1 => "disconnected";
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

wire! {
    /// What every RNDIS message begins with.
    pub struct MessageHeader {
        /// Which message.
        pub message_type: MessageType,
        /// Bytes of the message, this header and padding included.
        pub message_length: U32,
    }
}
layout!(MessageHeader, 8, { message_type @ 0, message_length @ 4 });

wire! {
    /// [`MessageType::PACKET`] after the header. Per-packet info and data follow where the offsets say.
    pub struct Packet {
        /// Where the frame begins.
        pub data_offset: U32,
        /// Bytes of the frame.
        pub data_length: U32,
        /// Where out-of-band data begins; netvsc has none.
        pub oob_offset: U32,
        /// Bytes of it.
        pub oob_length: U32,
        /// Records of it.
        pub oob_count: U32,
        /// Where per-packet info begins.
        pub ppi_offset: U32,
        /// Bytes of it, all records.
        pub ppi_length: U32,
        /// Virtual circuit: 0, as there are no connections.
        pub vc_handle: U32,
        /// Zero.
        pub reserved: U32,
    }
}
layout!(Packet, 36, {
    data_offset @ 0, data_length @ 4, oob_offset @ 8, oob_length @ 12, oob_count @ 16, ppi_offset @ 20,
    ppi_length @ 24, vc_handle @ 28, reserved @ 32,
});

wire! {
    /// Out-of-band data of a packet: one record's head.
    pub struct OutOfBandData {
        /// Bytes of the record.
        pub size: U32,
        /// Its class.
        pub class: U32,
        /// Where its data begins, counted from the record.
        pub offset: U32,
    }
}
layout!(OutOfBandData, 12, { size @ 0, class @ 4, offset @ 8 });

wire! {
    /// [`MessageType::INITIALIZE`].
    pub struct InitializeRequest {
        /// Comes back in the answer.
        pub request_id: U32,
        /// Version, see [`VERSION`].
        pub major_version: U32,
        /// Version, see [`VERSION`].
        pub minor_version: U32,
        /// The most bytes that the guest takes in one transfer. Linux says 0x4000 and takes more.
        pub max_transfer_size: U32,
    }
}
layout!(InitializeRequest, 16, { request_id @ 0, major_version @ 4, minor_version @ 8, max_transfer_size @ 12 });

wire! {
    /// [`MessageType::INITIALIZE_COMPLETE`].
    pub struct InitializeComplete {
        /// Of the request.
        pub request_id: U32,
        /// Outcome.
        pub status: RndisStatus,
        /// Version, see [`VERSION`].
        pub major_version: U32,
        /// Version, see [`VERSION`].
        pub minor_version: U32,
        /// [`DeviceFlags`].
        pub device_flags: U32,
        /// What the frames are.
        pub medium: Medium,
        /// Packet messages that a transfer to the host may have.
        pub max_packets_per_message: U32,
        /// Bytes that a transfer to the host may have.
        pub max_transfer_size: U32,
        /// Each packet message of a transfer begins at a multiple of two to the power of this.
        pub packet_alignment_factor: U32,
        /// Address families, for connection-oriented devices: 0.
        pub af_list_offset: U32,
        /// Bytes of them: 0.
        pub af_list_size: U32,
    }
}
layout!(InitializeComplete, 44, {
    request_id @ 0, status @ 4, major_version @ 8, minor_version @ 12, device_flags @ 16, medium @ 20,
    max_packets_per_message @ 24, max_transfer_size @ 28, packet_alignment_factor @ 32, af_list_offset @ 36,
    af_list_size @ 40,
});

wire! {
    /// [`MessageType::HALT`].
    pub struct HaltRequest {
        /// Of no use, as there is no answer.
        pub request_id: U32,
    }
}
layout!(HaltRequest, 4, { request_id @ 0 });

wire! {
    /// [`MessageType::QUERY`], [`MessageType::SET`] and [`MessageType::SET_EX`]: one layout. The information buffer
    /// is bytes; none of its fields is ever an address.
    pub struct OidRequest {
        /// Comes back in the answer.
        pub request_id: U32,
        /// What is asked or set.
        pub oid: Oid,
        /// Bytes of the information buffer.
        pub info_length: U32,
        /// Where it begins. Meaningless with length 0.
        pub info_offset: U32,
        /// Virtual circuit: 0.
        pub vc_handle: U32,
    }
}
layout!(OidRequest, 20, { request_id @ 0, oid @ 4, info_length @ 8, info_offset @ 12, vc_handle @ 16 });

wire! {
    /// [`MessageType::QUERY_COMPLETE`] and [`MessageType::SET_EX_COMPLETE`].
    pub struct QueryComplete {
        /// Of the request.
        pub request_id: U32,
        /// Outcome.
        pub status: RndisStatus,
        /// Bytes of the information buffer.
        pub info_length: U32,
        /// Where it begins. Linux takes no less than 16.
        pub info_offset: U32,
    }
}
layout!(QueryComplete, 16, { request_id @ 0, status @ 4, info_length @ 8, info_offset @ 12 });

wire! {
    /// [`MessageType::SET_COMPLETE`] and [`MessageType::KEEPALIVE_COMPLETE`].
    pub struct Complete {
        /// Of the request.
        pub request_id: U32,
        /// Outcome.
        pub status: RndisStatus,
    }
}
layout!(Complete, 8, { request_id @ 0, status @ 4 });

wire! {
    /// [`MessageType::RESET`]. The only request without an id, so there can be one at a time.
    pub struct ResetRequest {
        /// Zero.
        pub reserved: U32,
    }
}
layout!(ResetRequest, 4, { reserved @ 0 });

wire! {
    /// [`MessageType::RESET_COMPLETE`].
    pub struct ResetComplete {
        /// Outcome.
        pub status: RndisStatus,
        /// 1 when packet filter and multicast list were lost and must be set again.
        pub addressing_reset: U32,
    }
}
layout!(ResetComplete, 8, { status @ 0, addressing_reset @ 4 });

wire! {
    /// [`MessageType::INDICATE_STATUS`].
    pub struct IndicateStatus {
        /// What happened.
        pub status: RndisStatus,
        /// Bytes of the status buffer.
        pub buffer_length: U32,
        /// Where it begins; 0 when there is none.
        pub buffer_offset: U32,
    }
}
layout!(IndicateStatus, 12, { status @ 0, buffer_length @ 4, buffer_offset @ 8 });

wire! {
    /// The status buffer of an indication that tells of a bad message.
    pub struct DiagnosticInfo {
        /// What was wrong.
        pub status: RndisStatus,
        /// Where in the message.
        pub error_offset: U32,
    }
}
layout!(DiagnosticInfo, 8, { status @ 0, error_offset @ 4 });

wire! {
    /// [`MessageType::KEEPALIVE`].
    pub struct KeepaliveRequest {
        /// Comes back in the answer.
        pub request_id: U32,
    }
}
layout!(KeepaliveRequest, 4, { request_id @ 0 });
