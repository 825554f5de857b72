//! NVSP structures: the protocol of netvsc itself, carried as payload of VMBus packets.
//!
//! A message is a [`MessageType`] and one of the structures below it. Sizes and offsets are those of the type
//! information in Linux 6.1's hv_netvsc (`struct nvsp_*`), unless a structure says otherwise; meanings were read in
//! Linux `drivers/net/hyperv/hyperv_net.h` and OpenVMM `netvsp/src/protocol.rs`. All integers are little-endian.

use bitflags::bitflags;
use vmbus_proto::wire::GpadlId;
use zerocopy::little_endian::{U16, U32, U64};

use super::code::{layout, open_code, wire};
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

open_code! {
    /// The type of an NVSP message, its first four bytes. The digit in a name is the version that brought it.
    pub struct MessageType(U32);
    /// Guest: asks for a protocol version.
    INIT = 1 => "INIT";
    /// Host: answers [`Self::INIT`].
    INIT_COMPLETE = 2 => "INIT_COMPLETE";
    /// Guest: the NDIS version that it speaks.
    SEND_NDIS_VERSION = 100 => "SEND_NDIS_VER";
    /// Guest: lends the host a receive buffer.
    SEND_RECEIVE_BUFFER = 101 => "SEND_RECV_BUF";
    /// Host: answers [`Self::SEND_RECEIVE_BUFFER`] with sections.
    SEND_RECEIVE_BUFFER_COMPLETE = 102 => "SEND_RECV_BUF_COMPLETE";
    /// Guest: takes the receive buffer back.
    REVOKE_RECEIVE_BUFFER = 103 => "REVOKE_RECV_BUF";
    /// Guest: lends the host a send buffer.
    SEND_SEND_BUFFER = 104 => "SEND_SEND_BUF";
    /// Host: answers [`Self::SEND_SEND_BUFFER`] with the section size.
    SEND_SEND_BUFFER_COMPLETE = 105 => "SEND_SEND_BUF_COMPLETE";
    /// Guest: takes the send buffer back.
    REVOKE_SEND_BUFFER = 106 => "REVOKE_SEND_BUF";
    /// Both: RNDIS messages.
    SEND_RNDIS_PACKET = 107 => "SEND_RNDIS_PKT";
    /// Both: completes [`Self::SEND_RNDIS_PACKET`].
    SEND_RNDIS_PACKET_COMPLETE = 108 => "SEND_RNDIS_PKT_COMPLETE";
    /// TCP chimney, gone since Windows Server 2012.
    SEND_CHIMNEY_DELEGATED_BUFFER = 109 => "SEND_CHIMNEY_DELEGATED_BUF";
    /// TCP chimney.
    SEND_CHIMNEY_DELEGATED_BUFFER_COMPLETE = 110 => "SEND_CHIMNEY_DELEGATED_BUF_COMP";
    /// TCP chimney.
    REVOKE_CHIMNEY_DELEGATED_BUFFER = 111 => "REVOKE_CHIMNEY_DELEGATED_BUF";
    /// TCP chimney.
    RESUME_CHIMNEY_RX_INDICATION = 112 => "RESUME_CHIMNEY_RX_INDICATION";
    /// TCP chimney.
    TERMINATE_CHIMNEY = 113 => "TERMINATE_CHIMNEY";
    /// TCP chimney.
    TERMINATE_CHIMNEY_COMPLETE = 114 => "TERMINATE_CHIMNEY_COMP";
    /// TCP chimney.
    INDICATE_CHIMNEY_EVENT = 115 => "INDICATE_CHIMNEY_EVENT";
    /// TCP chimney.
    SEND_CHIMNEY_PACKET = 116 => "SEND_CHIMNEY_PKT";
    /// TCP chimney.
    SEND_CHIMNEY_PACKET_COMPLETE = 117 => "SEND_CHIMNEY_PKT_COMP";
    /// TCP chimney.
    POST_CHIMNEY_RECEIVE_REQUEST = 118 => "POST_CHIMNEY_RECV_REQ";
    /// TCP chimney.
    POST_CHIMNEY_RECEIVE_REQUEST_COMPLETE = 119 => "POST_CHIMNEY_RECV_REQ_COMP";
    /// VMQ shared memory, deprecated.
    ALLOC_RECEIVE_BUFFER = 120 => "ALLOC_RXBUF";
    /// VMQ shared memory, deprecated.
    ALLOC_RECEIVE_BUFFER_COMPLETE = 121 => "ALLOC_RXBUF_COMP";
    /// VMQ shared memory, deprecated.
    FREE_RECEIVE_BUFFER = 122 => "FREE_RXBUF";
    /// VMQ shared memory, deprecated.
    SEND_VMQ_RNDIS_PACKET = 123 => "SEND_VMQ_RNDIS_PKT";
    /// VMQ shared memory, deprecated.
    SEND_VMQ_RNDIS_PACKET_COMPLETE = 124 => "SEND_VMQ_RNDIS_PKT_COMP";
    /// Guest: its MTU and what it is capable of. Since 2.
    SEND_NDIS_CONFIG = 125 => "SEND_NDIS_CONFIG";
    /// TCP chimney.
    ALLOC_CHIMNEY_HANDLE = 126 => "ALLOC_CHIMNEY_HANDLE";
    /// TCP chimney.
    ALLOC_CHIMNEY_HANDLE_COMPLETE = 127 => "ALLOC_CHIMNEY_HANDLE_COMP";
    /// Host: a virtual function that belongs to this NIC came or went. Since 4.
    SEND_VF_ASSOCIATION = 128 => "SEND_VF_ASSOCIATION";
    /// Both: which data path is used. Since 4.
    SWITCH_DATA_PATH = 129 => "SWITCH_DATA_PATH";
    /// Deprecated before its release.
    UPLINK_CONNECT_STATE = 130 => "UPLINK_CONNECT_STATE_DEPRECATED";
    /// Guest: asks an OID without RNDIS. Since 5.
    OID_QUERY_EX = 131 => "OID_QUERY_EX";
    /// Host: answers [`Self::OID_QUERY_EX`]. Since 5.
    OID_QUERY_EX_COMPLETE = 132 => "OID_QUERY_EX_COMP";
    /// Guest: asks for sub-channels; host: answers. One type for both. Since 5.
    SUBCHANNEL = 133 => "SUBCHANNEL";
    /// Host: which channel to send on. Since 5.
    SEND_INDIRECTION_TABLE = 134 => "SEND_INDIRECTION_TABLE";
    /// Both: PacketDirect control. Since 6.1.
    PD_API = 135 => "PD_API";
    /// Both: PacketDirect buffers. Since 6.1.
    PD_POST_BATCH = 136 => "PD_POST_BATCH";
}

open_code! {
    /// A version of NVSP. Numbers grow with the version.
    pub struct Version(U32);
    /// Windows Server 2008.
    V1 = 0x2 => "1";
    /// Windows Server 2008 R2: NDIS configuration, VMQ.
    V2 = 0x3_0002 => "2";
    /// Windows Server 2012: virtual functions.
    V4 = 0x4_0000 => "4";
    /// Windows Server 2012 R2: sub-channels.
    V5 = 0x5_0000 => "5";
    /// Windows Server 2016.
    V6 = 0x6_0000 => "6";
    /// Windows Server 2019: PacketDirect, receive coalescing, messages of 40 bytes.
    V6_1 = 0x6_0001 => "6.1";
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

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.value().cmp(&other.value())
    }
}

open_code! {
    /// The outcome of an NVSP request. Success is 1, not 0.
    pub struct Status(U32);
    /// Nothing was done; what Hyper-V answers to a version that it does not speak (source: OpenVMM).
    NONE = 0 => "NONE";
    /// Done.
    SUCCESS = 1 => "SUCCESS";
    /// Not done.
    FAILURE = 2 => "FAIL";
    /// The guest's protocol is too new.
    PROTOCOL_TOO_NEW = 3 => "PROTOCOL_TOO_NEW";
    /// The guest's protocol is too old.
    PROTOCOL_TOO_OLD = 4 => "PROTOCOL_TOO_OLD";
    /// The RNDIS message is malformed.
    INVALID_RNDIS_PACKET = 5 => "INVALID_RNDIS_PKT";
    /// No room for it now.
    BUSY = 6 => "BUSY";
    /// The protocol is not spoken.
    PROTOCOL_UNSUPPORTED = 7 => "PROTOCOL_UNSUPPORTED";
}

open_code! {
    /// Which of RNDIS's two pipes a message belongs to; NVSP has one channel for both.
    pub struct ChannelType(U32);
    /// Frames.
    DATA = 0 => "DATA";
    /// Everything else.
    CONTROL = 1 => "CONTROL";
}

open_code! {
    /// A path that frames take.
    pub struct DataPath(U32);
    /// Through this protocol.
    SYNTHETIC = 0 => "SYNTHETIC";
    /// Through a virtual function.
    VF = 1 => "VF";
}

open_code! {
    /// What a sub-channel request asks for.
    pub struct SubchannelOperation(U32);
    /// Nothing.
    NONE = 0 => "NONE";
    /// New sub-channels. They go with the primary channel, so there is no way to ask the contrary.
    ALLOCATE = 1 => "ALLOCATE";
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

wire! {
    /// [`MessageType::INIT`]. The only message before the version is agreed on; it never changes.
    pub struct Init {
        /// The lowest version that the guest takes. All known guests put one version in both fields.
        pub min_version: Version,
        /// The highest version that the guest takes.
        pub max_version: Version,
    }
}
layout!(Init, 8, { min_version @ 0, max_version @ 4 });

wire! {
    /// [`MessageType::INIT_COMPLETE`].
    pub struct InitComplete {
        /// Was the negotiated version; hosts since Windows 7 put `0xffff_ffff` here and guests ignore it.
        pub negotiated_version: U32,
        /// How many memory descriptors one packet may chain. Hyper-V says 34; Linux ignores it.
        pub max_mdl_chain_length: U32,
        /// [`Status::SUCCESS`] when the version is spoken.
        pub status: Status,
    }
}
layout!(InitComplete, 12, { negotiated_version @ 0, max_mdl_chain_length @ 4, status @ 8 });

wire! {
    /// [`MessageType::SEND_NDIS_VERSION`]. Not answered.
    pub struct SendNdisVersion {
        /// 6 in all guests of today.
        pub major: U32,
        /// 1 with versions up to 4, 30 (0x1e) from 5 on (Linux).
        pub minor: U32,
    }
}
layout!(SendNdisVersion, 8, { major @ 0, minor @ 4 });

wire! {
    /// [`MessageType::SEND_RECEIVE_BUFFER`] and [`MessageType::SEND_SEND_BUFFER`]: memory that the guest lends.
    pub struct SendBuffer {
        /// The GPADL that describes the memory.
        pub gpadl: GpadlId,
        /// The guest's name for the buffer: [`RECEIVE_BUFFER_ID`] or [`SEND_BUFFER_ID`] in Linux.
        pub id: U16,
    }
}
layout!(SendBuffer, 6, { gpadl @ 0, id @ 4 });

wire! {
    /// One section of a receive buffer: equal parts, each for one packet at a time.
    pub struct ReceiveBufferSection {
        /// Where the section begins in the buffer, in bytes. Linux takes nothing but 0.
        pub offset: U32,
        /// Bytes of each part. Linux takes at least 68.
        pub part_size: U32,
        /// How many parts there are. Times the size it must not go beyond the buffer.
        pub part_count: U32,
        /// Where the section ends, in bytes.
        pub end_offset: U32,
    }
}
layout!(ReceiveBufferSection, 16, { offset @ 0, part_size @ 4, part_count @ 8, end_offset @ 12 });

wire! {
    /// [`MessageType::SEND_RECEIVE_BUFFER_COMPLETE`]. The field for sections is an array, but no host has ever sent
    /// more than one section (OpenVMM) and Linux takes exactly one.
    pub struct SendReceiveBufferComplete {
        /// Whether the host uses the buffer.
        pub status: Status,
        /// Sections: 1, or 0 with a failure.
        pub section_count: U32,
        /// The section.
        pub section: ReceiveBufferSection,
    }
}
layout!(SendReceiveBufferComplete, 24, { status @ 0, section_count @ 4, section @ 8 });

wire! {
    /// [`MessageType::SEND_SEND_BUFFER_COMPLETE`].
    pub struct SendSendBufferComplete {
        /// Whether the host uses the buffer.
        pub status: Status,
        /// Bytes of a section. The guest chooses the buffer's size, the host this. Hyper-V says 6144.
        pub section_size: U32,
    }
}
layout!(SendSendBufferComplete, 8, { status @ 0, section_size @ 4 });

wire! {
    /// [`MessageType::REVOKE_RECEIVE_BUFFER`] and [`MessageType::REVOKE_SEND_BUFFER`]. Once completed, the host
    /// does not touch the buffer again.
    pub struct RevokeBuffer {
        /// The id that the guest gave the buffer.
        pub id: U16,
    }
}
layout!(RevokeBuffer, 2, { id @ 0 });

wire! {
    /// [`MessageType::SEND_RNDIS_PACKET`]: RNDIS messages in the send buffer, in the packet's pages, or first in the
    /// one and then in the other (Linux sends headers so).
    pub struct SendRndisPacket {
        /// Frames or control.
        pub channel_type: ChannelType,
        /// Which section of the send buffer the data begins in, or [`NO_SECTION`].
        pub section_index: U32,
        /// Bytes of data in the section.
        pub section_size: U32,
    }
}
layout!(SendRndisPacket, 12, { channel_type @ 0, section_index @ 4, section_size @ 8 });

wire! {
    /// [`MessageType::SEND_RNDIS_PACKET_COMPLETE`]: everything that the packet lent is free again.
    pub struct SendRndisPacketComplete {
        /// What became of the packet as a whole.
        pub status: Status,
    }
}
layout!(SendRndisPacketComplete, 4, { status @ 0 });

wire! {
    /// [`MessageType::SEND_NDIS_CONFIG`]. Since 2; not answered.
    pub struct SendNdisConfig {
        /// The largest frame that the guest takes, Ethernet header included, in bytes.
        pub mtu: U32,
        /// Zero.
        pub reserved: U32,
        /// [`NdisCapabilities`].
        pub capabilities: U64,
    }
}
layout!(SendNdisConfig, 16, { mtu @ 0, reserved @ 4, capabilities @ 8 });

impl SendNdisConfig {
    /// The capabilities, with bits that have no name kept.
    pub fn capabilities(&self) -> NdisCapabilities {
        NdisCapabilities::from_bits_retain(self.capabilities.get())
    }
}

wire! {
    /// [`MessageType::ALLOC_RECEIVE_BUFFER`], deprecated. Since 2.
    pub struct AllocReceiveBuffer {
        /// Matches request and answer.
        pub allocation_id: U32,
        /// Bytes wanted.
        pub length: U32,
    }
}
layout!(AllocReceiveBuffer, 8, { allocation_id @ 0, length @ 4 });

wire! {
    /// [`MessageType::ALLOC_RECEIVE_BUFFER_COMPLETE`], deprecated. Since 2.
    pub struct AllocReceiveBufferComplete {
        /// An NDIS status.
        pub status: U32,
        /// Of the request.
        pub allocation_id: U32,
        /// The GPADL of the buffer.
        pub gpadl: U32,
        /// The buffer's id.
        pub receive_buffer_id: U64,
    }
}
layout!(AllocReceiveBufferComplete, 20, { status @ 0, allocation_id @ 4, gpadl @ 8, receive_buffer_id @ 12 });

wire! {
    /// [`MessageType::FREE_RECEIVE_BUFFER`], deprecated. Since 2.
    pub struct FreeReceiveBuffer {
        /// The buffer's id.
        pub receive_buffer_id: U64,
    }
}
layout!(FreeReceiveBuffer, 8, { receive_buffer_id @ 0 });

wire! {
    /// [`MessageType::SEND_VF_ASSOCIATION`]. Since 4.
    pub struct SendVfAssociation {
        /// 1 when there is a virtual function, 0 when there is none.
        pub allocated: U32,
        /// The serial number of the function, valid only with 1.
        pub serial: U32,
    }
}
layout!(SendVfAssociation, 8, { allocated @ 0, serial @ 4 });

wire! {
    /// [`MessageType::SWITCH_DATA_PATH`]. Since 4. A guest's is completed with an empty payload.
    pub struct SwitchDataPath {
        /// The path to use.
        pub active: DataPath,
    }
}
layout!(SwitchDataPath, 4, { active @ 0 });

wire! {
    /// [`MessageType::OID_QUERY_EX`]. Since 5. Source: OpenVMM.
    pub struct OidQueryEx {
        /// NDIS object type 0x96 (`OID_REQUEST`).
        pub header: ObjectHeader,
        /// What is asked.
        pub oid: Oid,
    }
}
layout!(OidQueryEx, 8, { header @ 0, oid @ 4 });

wire! {
    /// [`MessageType::OID_QUERY_EX_COMPLETE`]. Since 5. Source: OpenVMM.
    pub struct OidQueryExComplete {
        /// An NDIS status.
        pub status: U32,
        /// Bytes of the answer.
        pub bytes: U32,
    }
}
layout!(OidQueryExComplete, 8, { status @ 0, bytes @ 4 });

wire! {
    /// [`MessageType::SUBCHANNEL`] from the guest. Since 5.
    pub struct SubchannelRequest {
        /// What to do.
        pub operation: SubchannelOperation,
        /// Sub-channels wanted, beside the primary channel.
        pub count: U32,
    }
}
layout!(SubchannelRequest, 8, { operation @ 0, count @ 4 });

wire! {
    /// [`MessageType::SUBCHANNEL`] from the host. Since 5. The offers follow as channel messages.
    pub struct SubchannelComplete {
        /// Whether there will be sub-channels.
        pub status: Status,
        /// How many. Never more than asked for: a guest takes that for a failure.
        pub count: U32,
    }
}
layout!(SubchannelComplete, 8, { status @ 0, count @ 4 });

wire! {
    /// [`MessageType::SEND_INDIRECTION_TABLE`] without the table. Since 5.
    pub struct SendIndirectionTable {
        /// Entries: [`SEND_TABLE_LEN`].
        pub count: U32,
        /// Where the table begins, counted from the start of the NVSP message. Hosts up to 6 send a wrong one; a
        /// message with room for it has the table at [`SEND_TABLE_OFFSET`] then.
        pub offset: U32,
    }
}
layout!(SendIndirectionTable, 8, { count @ 0, offset @ 4 });
