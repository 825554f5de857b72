//! NVSP structures: the protocol of netvsc itself, carried as payload of VMBus packets.
//!
//! A message is a [`MessageType`] and one of the structures below it. Sizes and offsets are those of the type
//! information in Linux 6.1's hv_netvsc (`struct nvsp_*`), unless a structure says otherwise; meanings were read in
//! Linux `drivers/net/hyperv/hyperv_net.h` and OpenVMM `netvsp/src/protocol.rs`. All integers are little-endian.

use bitflags::bitflags;
use vmbus_proto::wire::GpadlId;
use zerocopy::little_endian::{U16, U32, U64};

use super::code::{wire_number, wire_struct};
use super::ndis::ObjectHeader;
use super::oid::Oid;

/// Bytes of the largest fixed-size message, header included: that of version 6.1. Linux sends every message with
/// this length, whatever the version.
pub const MAX_MESSAGE_LEN: usize = 40;

/// Bytes that hosts before 6.1 read of every in-band message, and so the least that a guest sends.
pub const LEGACY_MESSAGE_LEN: usize = 28;

/// Entries of the send indirection table: exactly so many, since 5.
pub const SEND_TABLE_LEN: usize = 16;

/// Where the send indirection table begins in a message that is laid out right: after the largest message.
pub const SEND_TABLE_OFFSET: usize = MAX_MESSAGE_LEN;

/// The receive buffer id that guests use, and therefore the transfer page set id of received packets.
pub const RECEIVE_BUFFER_ID: u16 = 0xcafe;

/// The send buffer id that guests use.
pub const SEND_BUFFER_ID: u16 = 0;

/// "No section": in [`SendRndisPacket::section_index`], the data is not in the send buffer.
pub const NO_SECTION: u32 = u32::MAX;

/// The most transfer-page ranges that a host puts into one packet. Source: OpenVMM.
pub const MAX_RECEIVE_RANGES: usize = 375;

/// The most transfer-page ranges in one packet when receive coalescing was negotiated. Source: Linux
/// (`NVSP_RSC_MAX`), OpenVMM.
pub const MAX_RECEIVE_RANGES_RSC: usize = 562;

wire_number! {
    /// The type of an NVSP message, its first four bytes. The digit in a name is the version that brought it.
    pub struct MessageType(U32: u32), "{:#x}" {
        /// Guest: asks for a protocol version.
        INIT = 1 => "INIT",
        /// Host: answers [`Self::INIT`].
        INIT_COMPLETE = 2 => "INIT_COMPLETE",
        /// Guest: the NDIS version that it speaks.
        SEND_NDIS_VERSION = 100 => "SEND_NDIS_VER",
        /// Guest: lends the host a receive buffer.
        SEND_RECEIVE_BUFFER = 101 => "SEND_RECV_BUF",
        /// Host: answers [`Self::SEND_RECEIVE_BUFFER`] with sections.
        SEND_RECEIVE_BUFFER_COMPLETE = 102 => "SEND_RECV_BUF_COMPLETE",
        /// Guest: takes the receive buffer back.
        REVOKE_RECEIVE_BUFFER = 103 => "REVOKE_RECV_BUF",
        /// Guest: lends the host a send buffer.
        SEND_SEND_BUFFER = 104 => "SEND_SEND_BUF",
        /// Host: answers [`Self::SEND_SEND_BUFFER`] with the section size.
        SEND_SEND_BUFFER_COMPLETE = 105 => "SEND_SEND_BUF_COMPLETE",
        /// Guest: takes the send buffer back.
        REVOKE_SEND_BUFFER = 106 => "REVOKE_SEND_BUF",
        /// Both: RNDIS messages.
        SEND_RNDIS_PACKET = 107 => "SEND_RNDIS_PKT",
        /// Both: completes [`Self::SEND_RNDIS_PACKET`].
        SEND_RNDIS_PACKET_COMPLETE = 108 => "SEND_RNDIS_PKT_COMPLETE",
        /// TCP chimney, gone since Windows Server 2012.
        SEND_CHIMNEY_DELEGATED_BUFFER = 109 => "SEND_CHIMNEY_DELEGATED_BUF",
        /// TCP chimney.
        SEND_CHIMNEY_DELEGATED_BUFFER_COMPLETE = 110 => "SEND_CHIMNEY_DELEGATED_BUF_COMP",
        /// TCP chimney.
        REVOKE_CHIMNEY_DELEGATED_BUFFER = 111 => "REVOKE_CHIMNEY_DELEGATED_BUF",
        /// TCP chimney.
        RESUME_CHIMNEY_RX_INDICATION = 112 => "RESUME_CHIMNEY_RX_INDICATION",
        /// TCP chimney.
        TERMINATE_CHIMNEY = 113 => "TERMINATE_CHIMNEY",
        /// TCP chimney.
        TERMINATE_CHIMNEY_COMPLETE = 114 => "TERMINATE_CHIMNEY_COMP",
        /// TCP chimney.
        INDICATE_CHIMNEY_EVENT = 115 => "INDICATE_CHIMNEY_EVENT",
        /// TCP chimney.
        SEND_CHIMNEY_PACKET = 116 => "SEND_CHIMNEY_PKT",
        /// TCP chimney.
        SEND_CHIMNEY_PACKET_COMPLETE = 117 => "SEND_CHIMNEY_PKT_COMP",
        /// TCP chimney.
        POST_CHIMNEY_RECEIVE_REQUEST = 118 => "POST_CHIMNEY_RECV_REQ",
        /// TCP chimney.
        POST_CHIMNEY_RECEIVE_REQUEST_COMPLETE = 119 => "POST_CHIMNEY_RECV_REQ_COMP",
        /// VMQ shared memory, deprecated.
        ALLOC_RECEIVE_BUFFER = 120 => "ALLOC_RXBUF",
        /// VMQ shared memory, deprecated.
        ALLOC_RECEIVE_BUFFER_COMPLETE = 121 => "ALLOC_RXBUF_COMP",
        /// VMQ shared memory, deprecated.
        FREE_RECEIVE_BUFFER = 122 => "FREE_RXBUF",
        /// VMQ shared memory, deprecated.
        SEND_VMQ_RNDIS_PACKET = 123 => "SEND_VMQ_RNDIS_PKT",
        /// VMQ shared memory, deprecated.
        SEND_VMQ_RNDIS_PACKET_COMPLETE = 124 => "SEND_VMQ_RNDIS_PKT_COMP",
        /// Guest: its MTU and what it is capable of. Since 2.
        SEND_NDIS_CONFIG = 125 => "SEND_NDIS_CONFIG",
        /// TCP chimney.
        ALLOC_CHIMNEY_HANDLE = 126 => "ALLOC_CHIMNEY_HANDLE",
        /// TCP chimney.
        ALLOC_CHIMNEY_HANDLE_COMPLETE = 127 => "ALLOC_CHIMNEY_HANDLE_COMP",
        /// Host: a virtual function that belongs to this NIC came or went. Since 4.
        SEND_VF_ASSOCIATION = 128 => "SEND_VF_ASSOCIATION",
        /// Both: which data path is used. Since 4.
        SWITCH_DATA_PATH = 129 => "SWITCH_DATA_PATH",
        /// Deprecated before its release.
        UPLINK_CONNECT_STATE = 130 => "UPLINK_CONNECT_STATE_DEPRECATED",
        /// Guest: asks an OID without RNDIS. Since 5.
        OID_QUERY_EX = 131 => "OID_QUERY_EX",
        /// Host: answers [`Self::OID_QUERY_EX`]. Since 5.
        OID_QUERY_EX_COMPLETE = 132 => "OID_QUERY_EX_COMP",
        /// Guest: asks for sub-channels; host: answers. One type for both. Since 5.
        SUBCHANNEL = 133 => "SUBCHANNEL",
        /// Host: which channel to send on. Since 5.
        SEND_INDIRECTION_TABLE = 134 => "SEND_INDIRECTION_TABLE",
        /// Both: PacketDirect control. Since 6.1.
        PD_API = 135 => "PD_API",
        /// Both: PacketDirect buffers. Since 6.1.
        PD_POST_BATCH = 136 => "PD_POST_BATCH",
    }
}

wire_number! {
    /// A version of NVSP. Numbers grow with the version.
    pub struct Version(U32: u32), "{:#x}" {
        /// Windows Server 2008.
        V1 = 0x2 => "1",
        /// Windows Server 2008 R2: NDIS configuration, VMQ.
        V2 = 0x3_0002 => "2",
        /// Windows Server 2012: virtual functions.
        V4 = 0x4_0000 => "4",
        /// Windows Server 2012 R2: sub-channels.
        V5 = 0x5_0000 => "5",
        /// Windows Server 2016.
        V6 = 0x6_0000 => "6",
        /// Windows Server 2019: PacketDirect, receive coalescing, messages of 40 bytes.
        V6_1 = 0x6_0001 => "6.1",
    }
}

impl Version {
    /// Bytes to which a message of this version is padded.
    pub fn message_len(self) -> usize {
        if self.value() >= Self::V6_1.value() {
            MAX_MESSAGE_LEN
        } else {
            LEGACY_MESSAGE_LEN
        }
    }
}

wire_number! {
    /// The outcome of an NVSP request. Success is 1, not 0.
    pub struct Status(U32: u32), "{:#x}" {
        /// Nothing was done; what Hyper-V answers to a version that it does not speak (source: OpenVMM).
        NONE = 0 => "NONE",
        /// Done.
        SUCCESS = 1 => "SUCCESS",
        /// Not done.
        FAILURE = 2 => "FAIL",
        /// The guest's protocol is too new.
        PROTOCOL_TOO_NEW = 3 => "PROTOCOL_TOO_NEW",
        /// The guest's protocol is too old.
        PROTOCOL_TOO_OLD = 4 => "PROTOCOL_TOO_OLD",
        /// The RNDIS message is malformed.
        INVALID_RNDIS_PACKET = 5 => "INVALID_RNDIS_PKT",
        /// No room for it now.
        BUSY = 6 => "BUSY",
        /// The protocol is not spoken.
        PROTOCOL_UNSUPPORTED = 7 => "PROTOCOL_UNSUPPORTED",
    }
}

wire_number! {
    /// Which of RNDIS's two pipes a message belongs to; NVSP has one channel for both.
    pub struct ChannelType(U32: u32), "{:#x}" {
        /// Frames.
        DATA = 0 => "DATA",
        /// Everything else.
        CONTROL = 1 => "CONTROL",
    }
}

wire_number! {
    /// A path that frames take.
    pub struct DataPath(U32: u32), "{:#x}" {
        /// Through this protocol.
        SYNTHETIC = 0 => "SYNTHETIC",
        /// Through a virtual function.
        VF = 1 => "VF",
    }
}

wire_number! {
    /// What a sub-channel request asks for.
    pub struct SubchannelOperation(U32: u32), "{:#x}" {
        /// Nothing.
        NONE = 0 => "NONE",
        /// New sub-channels. They go with the primary channel, so there is no way to ask the contrary.
        ALLOCATE = 1 => "ALLOCATE",
    }
}

bitflags! {
    /// What a guest is capable of, in [`SendNdisConfig`]. Since 2; each bit's own version in its doc.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct NdisCapabilities: u64 {
        /// Virtual machine queues.
        const VMQ = 0x1;
        /// TCP chimney.
        const CHIMNEY = 0x2;
        /// Single-root I/O virtualisation: the guest wants to hear of virtual functions.
        const SRIOV = 0x4;
        /// 802.1Q tags in per-packet info.
        const IEEE_8021Q = 0x8;
        /// Correlation ids.
        const CORRELATION_ID = 0x10;
        /// Teaming; also needed to be told of changes of the link's speed (Linux). Since 5.
        const TEAMING = 0x20;
        /// Virtual subnet ids.
        const VIRTUAL_SUBNET_ID = 0x40;
        /// Receive coalescing: one frame may come in several sections. Since 6.1.
        const RSC_OVER_VMBUS = 0x80;
    }
}

wire_struct! {
    /// [`MessageType::INIT`]. The only message before the version is agreed on; it never changes.
    #[derive(Default)]
    pub struct Init, 8 bytes {
        /// The lowest version that the guest takes. All known guests put one version in both fields.
        0: min_version: Version,
        /// The highest version that the guest takes.
        4: max_version: Version,
    }
}

wire_struct! {
    /// [`MessageType::INIT_COMPLETE`].
    #[derive(Default)]
    pub struct InitComplete, 12 bytes {
        /// Was the negotiated version; hosts since Windows 7 put `0xffff_ffff` here and guests ignore it.
        0: negotiated_version: U32,
        /// How many memory descriptors one packet may chain. Hyper-V says 34; Linux ignores it.
        4: max_mdl_chain_length: U32,
        /// [`Status::SUCCESS`] when the version is spoken.
        8: status: Status,
    }
}

wire_struct! {
    /// [`MessageType::SEND_NDIS_VERSION`]. Not answered.
    #[derive(Default)]
    pub struct SendNdisVersion, 8 bytes {
        /// 6 in all guests of today.
        0: major: U32,
        /// 1 with versions up to 4, 30 (0x1e) from 5 on (Linux).
        4: minor: U32,
    }
}

wire_struct! {
    /// [`MessageType::SEND_RECEIVE_BUFFER`] and [`MessageType::SEND_SEND_BUFFER`]: memory that the guest lends.
    #[derive(Default)]
    pub struct SendBuffer, 6 bytes {
        /// The GPADL that describes the memory.
        0: gpadl: GpadlId,
        /// The guest's name for the buffer: [`RECEIVE_BUFFER_ID`] or [`SEND_BUFFER_ID`] in Linux.
        4: id: U16,
    }
}

wire_struct! {
    /// One section of a receive buffer: equal parts, each for one packet at a time.
    #[derive(Default)]
    pub struct ReceiveBufferSection, 16 bytes {
        /// Where the section begins in the buffer, in bytes. Linux takes nothing but 0.
        0: offset: U32,
        /// Bytes of each part. Linux takes at least 68.
        4: part_size: U32,
        /// How many parts there are. Times the size it must not go beyond the buffer.
        8: part_count: U32,
        /// Where the section ends, in bytes.
        12: end_offset: U32,
    }
}

wire_struct! {
    /// [`MessageType::SEND_RECEIVE_BUFFER_COMPLETE`]. The field for sections is an array, but no host has ever sent
    /// more than one section (OpenVMM) and Linux takes exactly one.
    #[derive(Default)]
    pub struct SendReceiveBufferComplete, 24 bytes {
        /// Whether the host uses the buffer.
        0: status: Status,
        /// Sections: 1, or 0 with a failure.
        4: section_count: U32,
        /// The section.
        8: section: ReceiveBufferSection,
    }
}

wire_struct! {
    /// [`MessageType::SEND_SEND_BUFFER_COMPLETE`].
    #[derive(Default)]
    pub struct SendSendBufferComplete, 8 bytes {
        /// Whether the host uses the buffer.
        0: status: Status,
        /// Bytes of a section. The guest chooses the buffer's size, the host this. Hyper-V says 6144.
        4: section_size: U32,
    }
}

wire_struct! {
    /// [`MessageType::REVOKE_RECEIVE_BUFFER`] and [`MessageType::REVOKE_SEND_BUFFER`]. Once completed, the host
    /// does not touch the buffer again.
    #[derive(Default)]
    pub struct RevokeBuffer, 2 bytes {
        /// The id that the guest gave the buffer.
        0: id: U16,
    }
}

wire_struct! {
    /// [`MessageType::SEND_RNDIS_PACKET`]: RNDIS messages in the send buffer, in the packet's pages, or first in the
    /// one and then in the other (Linux sends headers so).
    #[derive(Default)]
    pub struct SendRndisPacket, 12 bytes {
        /// Frames or control.
        0: channel_type: ChannelType,
        /// Which section of the send buffer the data begins in, or [`NO_SECTION`].
        4: section_index: U32,
        /// Bytes of data in the section.
        8: section_size: U32,
    }
}

wire_struct! {
    /// [`MessageType::SEND_RNDIS_PACKET_COMPLETE`]: everything that the packet lent is free again.
    #[derive(Default)]
    pub struct SendRndisPacketComplete, 4 bytes {
        /// What became of the packet as a whole.
        0: status: Status,
    }
}

wire_struct! {
    /// [`MessageType::SEND_NDIS_CONFIG`]. Since 2; not answered.
    #[derive(Default)]
    pub struct SendNdisConfig, 16 bytes {
        /// The largest frame that the guest takes, Ethernet header included, in bytes.
        0: mtu: U32,
        /// Zero.
        4: reserved: U32,
        /// [`NdisCapabilities`].
        8: capabilities: U64,
    }
}

impl SendNdisConfig {
    /// The capabilities, with bits that have no name kept.
    pub fn capabilities(&self) -> NdisCapabilities {
        NdisCapabilities::from_bits_retain(self.capabilities.get())
    }
}

wire_struct! {
    /// [`MessageType::ALLOC_RECEIVE_BUFFER`], deprecated. Since 2.
    #[derive(Default)]
    pub struct AllocReceiveBuffer, 8 bytes {
        /// Matches request and answer.
        0: allocation_id: U32,
        /// Bytes wanted.
        4: length: U32,
    }
}

wire_struct! {
    /// [`MessageType::ALLOC_RECEIVE_BUFFER_COMPLETE`], deprecated. Since 2.
    #[derive(Default)]
    pub struct AllocReceiveBufferComplete, 20 bytes {
        /// An NDIS status.
        0: status: U32,
        /// Of the request.
        4: allocation_id: U32,
        /// The GPADL of the buffer.
        8: gpadl: U32,
        /// The buffer's id.
        12: receive_buffer_id: U64,
    }
}

wire_struct! {
    /// [`MessageType::FREE_RECEIVE_BUFFER`], deprecated. Since 2.
    #[derive(Default)]
    pub struct FreeReceiveBuffer, 8 bytes {
        /// The buffer's id.
        0: receive_buffer_id: U64,
    }
}

wire_struct! {
    /// [`MessageType::SEND_VF_ASSOCIATION`]. Since 4.
    #[derive(Default)]
    pub struct SendVfAssociation, 8 bytes {
        /// 1 when there is a virtual function, 0 when there is none.
        0: allocated: U32,
        /// The serial number of the function, valid only with 1.
        4: serial: U32,
    }
}

wire_struct! {
    /// [`MessageType::SWITCH_DATA_PATH`]. Since 4. A guest's is completed with an empty payload.
    #[derive(Default)]
    pub struct SwitchDataPath, 4 bytes {
        /// The path to use.
        0: active: DataPath,
    }
}

wire_struct! {
    /// [`MessageType::OID_QUERY_EX`]. Since 5. Source: OpenVMM.
    #[derive(Default)]
    pub struct OidQueryEx, 8 bytes {
        /// NDIS object type 0x96 (`OID_REQUEST`).
        0: header: ObjectHeader,
        /// What is asked.
        4: oid: Oid,
    }
}

wire_struct! {
    /// [`MessageType::OID_QUERY_EX_COMPLETE`]. Since 5. Source: OpenVMM.
    #[derive(Default)]
    pub struct OidQueryExComplete, 8 bytes {
        /// An NDIS status.
        0: status: U32,
        /// Bytes of the answer.
        4: bytes: U32,
    }
}

wire_struct! {
    /// [`MessageType::SUBCHANNEL`] from the guest. Since 5.
    #[derive(Default)]
    pub struct SubchannelRequest, 8 bytes {
        /// What to do.
        0: operation: SubchannelOperation,
        /// Sub-channels wanted, beside the primary channel.
        4: count: U32,
    }
}

wire_struct! {
    /// [`MessageType::SUBCHANNEL`] from the host. Since 5. The offers follow as channel messages.
    #[derive(Default)]
    pub struct SubchannelComplete, 8 bytes {
        /// Whether there will be sub-channels.
        0: status: Status,
        /// How many. Never more than asked for: a guest takes that for a failure.
        4: count: U32,
    }
}

wire_struct! {
    /// [`MessageType::SEND_INDIRECTION_TABLE`] without the table. Since 5.
    #[derive(Default)]
    pub struct SendIndirectionTable, 8 bytes {
        /// Entries: [`SEND_TABLE_LEN`].
        0: count: U32,
        /// Where the table begins, counted from the start of the NVSP message. Hosts up to 6 send a wrong one; a
        /// message with room for it has the table at [`SEND_TABLE_OFFSET`] then.
        4: offset: U32,
    }
}
