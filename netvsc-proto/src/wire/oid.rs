//! Object identifiers: what RNDIS queries and sets.

use zerocopy::little_endian::U32;

use super::code::wire_number;

wire_number! {
    /// What an RNDIS query asks for or a set changes. An OID that is not named here is legal and is answered with
    /// `NOT_SUPPORTED`. Sources: OpenVMM `netvsp/src/rndisprot.rs`, Linux `include/linux/rndis.h`, Microsoft's NDIS
    /// OID reference.
    pub struct Oid(U32: u32), "{:#x}" {
        /// Query: list of OIDs, u32 each.
        GEN_SUPPORTED_LIST = 0x0001_0101 => "OID_GEN_SUPPORTED_LIST",
        /// Query: u32, 0 ready.
        GEN_HARDWARE_STATUS = 0x0001_0102 => "OID_GEN_HARDWARE_STATUS",
        /// Query: list of media, u32 each.
        GEN_MEDIA_SUPPORTED = 0x0001_0103 => "OID_GEN_MEDIA_SUPPORTED",
        /// Query: list of media, u32 each.
        GEN_MEDIA_IN_USE = 0x0001_0104 => "OID_GEN_MEDIA_IN_USE",
        /// Query: u32, bytes after the Ethernet header.
        GEN_MAXIMUM_LOOKAHEAD = 0x0001_0105 => "OID_GEN_MAXIMUM_LOOKAHEAD",
        /// Query: u32, bytes after the Ethernet header: the MTU.
        GEN_MAXIMUM_FRAME_SIZE = 0x0001_0106 => "OID_GEN_MAXIMUM_FRAME_SIZE",
        /// Query: u32, in units of 100 bit/s.
        GEN_LINK_SPEED = 0x0001_0107 => "OID_GEN_LINK_SPEED",
        /// Query: u32, bytes.
        GEN_TRANSMIT_BUFFER_SPACE = 0x0001_0108 => "OID_GEN_TRANSMIT_BUFFER_SPACE",
        /// Query: u32, bytes.
        GEN_RECEIVE_BUFFER_SPACE = 0x0001_0109 => "OID_GEN_RECEIVE_BUFFER_SPACE",
        /// Query: u32, bytes.
        GEN_TRANSMIT_BLOCK_SIZE = 0x0001_010a => "OID_GEN_TRANSMIT_BLOCK_SIZE",
        /// Query: u32, bytes.
        GEN_RECEIVE_BLOCK_SIZE = 0x0001_010b => "OID_GEN_RECEIVE_BLOCK_SIZE",
        /// Query: u32, the vendor's three bytes of a MAC address.
        GEN_VENDOR_ID = 0x0001_010c => "OID_GEN_VENDOR_ID",
        /// Query: text.
        GEN_VENDOR_DESCRIPTION = 0x0001_010d => "OID_GEN_VENDOR_DESCRIPTION",
        /// Query and set: u32, see `PacketFilter`.
        GEN_CURRENT_PACKET_FILTER = 0x0001_010e => "OID_GEN_CURRENT_PACKET_FILTER",
        /// Query and set: u32, bytes.
        GEN_CURRENT_LOOKAHEAD = 0x0001_010f => "OID_GEN_CURRENT_LOOKAHEAD",
        /// Query: u16, major and minor NDIS version.
        GEN_DRIVER_VERSION = 0x0001_0110 => "OID_GEN_DRIVER_VERSION",
        /// Query: u32, bytes of the largest frame, Ethernet header included.
        GEN_MAXIMUM_TOTAL_SIZE = 0x0001_0111 => "OID_GEN_MAXIMUM_TOTAL_SIZE",
        /// Set: u32.
        GEN_PROTOCOL_OPTIONS = 0x0001_0112 => "OID_GEN_PROTOCOL_OPTIONS",
        /// Query: u32, see `MacOptions`.
        GEN_MAC_OPTIONS = 0x0001_0113 => "OID_GEN_MAC_OPTIONS",
        /// Query: u32, 0 connected, 1 disconnected.
        GEN_MEDIA_CONNECT_STATUS = 0x0001_0114 => "OID_GEN_MEDIA_CONNECT_STATUS",
        /// Query: u32.
        GEN_MAXIMUM_SEND_PACKETS = 0x0001_0115 => "OID_GEN_MAXIMUM_SEND_PACKETS",
        /// Query: u32.
        GEN_VENDOR_DRIVER_VERSION = 0x0001_0116 => "OID_GEN_VENDOR_DRIVER_VERSION",
        /// Query: list of GUIDs.
        GEN_SUPPORTED_GUIDS = 0x0001_0117 => "OID_GEN_SUPPORTED_GUIDS",
        /// Set: addresses that the guest has.
        GEN_NETWORK_LAYER_ADDRESSES = 0x0001_0118 => "OID_GEN_NETWORK_LAYER_ADDRESSES",
        /// Set.
        GEN_TRANSPORT_HEADER_OFFSET = 0x0001_0119 => "OID_GEN_TRANSPORT_HEADER_OFFSET",
        /// Query.
        GEN_MEDIA_CAPABILITIES = 0x0001_0201 => "OID_GEN_MEDIA_CAPABILITIES",
        /// Query: u32, 0 unspecified.
        GEN_PHYSICAL_MEDIUM = 0x0001_0202 => "OID_GEN_PHYSICAL_MEDIUM",
        /// Query: `ReceiveScaleCapabilities`.
        GEN_RECEIVE_SCALE_CAPABILITIES = 0x0001_0203 => "OID_GEN_RECEIVE_SCALE_CAPABILITIES",
        /// Query and set: `ReceiveScaleParameters`.
        GEN_RECEIVE_SCALE_PARAMETERS = 0x0001_0204 => "OID_GEN_RECEIVE_SCALE_PARAMETERS",
        /// Query.
        GEN_MAC_ADDRESS = 0x0001_0205 => "OID_GEN_MAC_ADDRESS",
        /// Query: two u64, bit/s.
        GEN_MAX_LINK_SPEED = 0x0001_0206 => "OID_GEN_MAX_LINK_SPEED",
        /// Query: `LinkState`.
        GEN_LINK_STATE = 0x0001_0207 => "OID_GEN_LINK_STATE",
        /// Set.
        GEN_LINK_PARAMETERS = 0x0001_0208 => "OID_GEN_LINK_PARAMETERS",
        /// Query and set: `InterruptModeration`.
        GEN_INTERRUPT_MODERATION = 0x0001_0209 => "OID_GEN_INTERRUPT_MODERATION",
        /// Query.
        GEN_ENUMERATE_PORTS = 0x0001_020d => "OID_GEN_ENUMERATE_PORTS",
        /// Query.
        GEN_PORT_STATE = 0x0001_020e => "OID_GEN_PORT_STATE",
        /// Set.
        GEN_PORT_AUTHENTICATION_PARAMETERS = 0x0001_020f => "OID_GEN_PORT_AUTHENTICATION_PARAMETERS",
        /// Query.
        GEN_TIMEOUT_DPC_REQUEST_CAPABILITIES = 0x0001_0210 => "OID_GEN_TIMEOUT_DPC_REQUEST_CAPABILITIES",
        /// Query: u32, 0 unspecified.
        GEN_PHYSICAL_MEDIUM_EX = 0x0001_0213 => "OID_GEN_PHYSICAL_MEDIUM_EX",
        /// Set: text.
        GEN_MACHINE_NAME = 0x0001_021a => "OID_GEN_MACHINE_NAME",
        /// Set: `ConfigParameter`.
        GEN_RNDIS_CONFIG_PARAMETER = 0x0001_021b => "OID_GEN_RNDIS_CONFIG_PARAMETER",
        /// Query and set: u32.
        GEN_VLAN_ID = 0x0001_021c => "OID_GEN_VLAN_ID",
        /// Query.
        GEN_MINIPORT_RESTART_ATTRIBUTES = 0x0001_021d => "OID_GEN_MINIPORT_RESTART_ATTRIBUTES",
        /// Set.
        GEN_HD_SPLIT_PARAMETERS = 0x0001_021e => "OID_GEN_HD_SPLIT_PARAMETERS",
        /// Query and set.
        GEN_RECEIVE_HASH = 0x0001_021f => "OID_GEN_RECEIVE_HASH",
        /// Query.
        GEN_HD_SPLIT_CURRENT_CONFIG = 0x0001_0220 => "OID_GEN_HD_SPLIT_CURRENT_CONFIG",
        /// Query.
        GEN_PROMISCUOUS_MODE = 0x0001_0280 => "OID_GEN_PROMISCUOUS_MODE",
        /// Query.
        GEN_LAST_CHANGE = 0x0001_0281 => "OID_GEN_LAST_CHANGE",
        /// Query.
        GEN_DISCONTINUITY_TIME = 0x0001_0282 => "OID_GEN_DISCONTINUITY_TIME",
        /// Query.
        GEN_OPERATIONAL_STATUS = 0x0001_0283 => "OID_GEN_OPERATIONAL_STATUS",
        /// Query: u64, bit/s.
        GEN_XMIT_LINK_SPEED = 0x0001_0284 => "OID_GEN_XMIT_LINK_SPEED",
        /// Query: u64, bit/s.
        GEN_RCV_LINK_SPEED = 0x0001_0285 => "OID_GEN_RCV_LINK_SPEED",
        /// Query.
        GEN_UNKNOWN_PROTOS = 0x0001_0286 => "OID_GEN_UNKNOWN_PROTOS",
        /// Query.
        GEN_INTERFACE_INFO = 0x0001_0287 => "OID_GEN_INTERFACE_INFO",
        /// Query.
        GEN_ADMIN_STATUS = 0x0001_0288 => "OID_GEN_ADMIN_STATUS",
        /// Query.
        GEN_ALIAS = 0x0001_0289 => "OID_GEN_ALIAS",
        /// Query.
        GEN_MEDIA_CONNECT_STATUS_EX = 0x0001_028a => "OID_GEN_MEDIA_CONNECT_STATUS_EX",
        /// Query.
        GEN_LINK_SPEED_EX = 0x0001_028b => "OID_GEN_LINK_SPEED_EX",
        /// Query.
        GEN_MEDIA_DUPLEX_STATE = 0x0001_028c => "OID_GEN_MEDIA_DUPLEX_STATE",
        /// Query.
        GEN_IP_OPER_STATUS = 0x0001_028d => "OID_GEN_IP_OPER_STATUS",
        /// Query: u32 or u64, frames.
        GEN_XMIT_OK = 0x0002_0101 => "OID_GEN_XMIT_OK",
        /// Query: u32 or u64, frames.
        GEN_RCV_OK = 0x0002_0102 => "OID_GEN_RCV_OK",
        /// Query: u32 or u64, frames.
        GEN_XMIT_ERROR = 0x0002_0103 => "OID_GEN_XMIT_ERROR",
        /// Query: u32 or u64, frames.
        GEN_RCV_ERROR = 0x0002_0104 => "OID_GEN_RCV_ERROR",
        /// Query: u32 or u64, frames.
        GEN_RCV_NO_BUFFER = 0x0002_0105 => "OID_GEN_RCV_NO_BUFFER",
        /// Query: `Statistics`.
        GEN_STATISTICS = 0x0002_0106 => "OID_GEN_STATISTICS",
        /// Query: u64.
        GEN_DIRECTED_BYTES_XMIT = 0x0002_0201 => "OID_GEN_DIRECTED_BYTES_XMIT",
        /// Query: u64.
        GEN_DIRECTED_FRAMES_XMIT = 0x0002_0202 => "OID_GEN_DIRECTED_FRAMES_XMIT",
        /// Query: u64.
        GEN_MULTICAST_BYTES_XMIT = 0x0002_0203 => "OID_GEN_MULTICAST_BYTES_XMIT",
        /// Query: u64.
        GEN_MULTICAST_FRAMES_XMIT = 0x0002_0204 => "OID_GEN_MULTICAST_FRAMES_XMIT",
        /// Query: u64.
        GEN_BROADCAST_BYTES_XMIT = 0x0002_0205 => "OID_GEN_BROADCAST_BYTES_XMIT",
        /// Query: u64.
        GEN_BROADCAST_FRAMES_XMIT = 0x0002_0206 => "OID_GEN_BROADCAST_FRAMES_XMIT",
        /// Query: u64.
        GEN_DIRECTED_BYTES_RCV = 0x0002_0207 => "OID_GEN_DIRECTED_BYTES_RCV",
        /// Query: u64.
        GEN_DIRECTED_FRAMES_RCV = 0x0002_0208 => "OID_GEN_DIRECTED_FRAMES_RCV",
        /// Query: u64.
        GEN_MULTICAST_BYTES_RCV = 0x0002_0209 => "OID_GEN_MULTICAST_BYTES_RCV",
        /// Query: u64.
        GEN_MULTICAST_FRAMES_RCV = 0x0002_020a => "OID_GEN_MULTICAST_FRAMES_RCV",
        /// Query: u64.
        GEN_BROADCAST_BYTES_RCV = 0x0002_020b => "OID_GEN_BROADCAST_BYTES_RCV",
        /// Query: u64.
        GEN_BROADCAST_FRAMES_RCV = 0x0002_020c => "OID_GEN_BROADCAST_FRAMES_RCV",
        /// Query: u64.
        GEN_RCV_CRC_ERROR = 0x0002_020d => "OID_GEN_RCV_CRC_ERROR",
        /// Query: u32.
        GEN_TRANSMIT_QUEUE_LENGTH = 0x0002_020e => "OID_GEN_TRANSMIT_QUEUE_LENGTH",
        /// Query.
        GEN_GET_TIME_CAPS = 0x0002_020f => "OID_GEN_GET_TIME_CAPS",
        /// Query.
        GEN_GET_NETCARD_TIME = 0x0002_0210 => "OID_GEN_GET_NETCARD_TIME",
        /// Query.
        GEN_NETCARD_LOAD = 0x0002_0211 => "OID_GEN_NETCARD_LOAD",
        /// Query.
        GEN_DEVICE_PROFILE = 0x0002_0212 => "OID_GEN_DEVICE_PROFILE",
        /// Query.
        GEN_INIT_TIME_MS = 0x0002_0213 => "OID_GEN_INIT_TIME_MS",
        /// Query.
        GEN_RESET_COUNTS = 0x0002_0214 => "OID_GEN_RESET_COUNTS",
        /// Query.
        GEN_MEDIA_SENSE_COUNTS = 0x0002_0215 => "OID_GEN_MEDIA_SENSE_COUNTS",
        /// Query: 256 UTF-16 units, zero at the end.
        GEN_FRIENDLY_NAME = 0x0002_0216 => "OID_GEN_FRIENDLY_NAME",
        /// Query: u64.
        GEN_BYTES_RCV = 0x0002_0219 => "OID_GEN_BYTES_RCV",
        /// Query: u64.
        GEN_BYTES_XMIT = 0x0002_021a => "OID_GEN_BYTES_XMIT",
        /// Query: u64.
        GEN_RCV_DISCARDS = 0x0002_021b => "OID_GEN_RCV_DISCARDS",
        /// Query: u64.
        GEN_XMIT_DISCARDS = 0x0002_021c => "OID_GEN_XMIT_DISCARDS",
        /// Query.
        TCP_RSC_STATISTICS = 0x0002_021d => "OID_TCP_RSC_STATISTICS",
        /// Query: 6 bytes.
        ETHERNET_PERMANENT_ADDRESS = 0x0101_0101 => "OID_802_3_PERMANENT_ADDRESS",
        /// Query and set: 6 bytes.
        ETHERNET_CURRENT_ADDRESS = 0x0101_0102 => "OID_802_3_CURRENT_ADDRESS",
        /// Query and set: 6 bytes each.
        ETHERNET_MULTICAST_LIST = 0x0101_0103 => "OID_802_3_MULTICAST_LIST",
        /// Query: u32, multicast addresses.
        ETHERNET_MAXIMUM_LIST_SIZE = 0x0101_0104 => "OID_802_3_MAXIMUM_LIST_SIZE",
        /// Query and set: u32.
        ETHERNET_MAC_OPTIONS = 0x0101_0105 => "OID_802_3_MAC_OPTIONS",
        /// Query and set: `OffloadEncapsulation`.
        OFFLOAD_ENCAPSULATION = 0x0101_010a => "OID_OFFLOAD_ENCAPSULATION",
        /// Set: 6 bytes.
        ETHERNET_ADD_MULTICAST_ADDRESS = 0x0101_0208 => "OID_802_3_ADD_MULTICAST_ADDRESS",
        /// Set: 6 bytes.
        ETHERNET_DELETE_MULTICAST_ADDRESS = 0x0101_0209 => "OID_802_3_DELETE_MULTICAST_ADDRESS",
        /// Query: u32.
        ETHERNET_RCV_ERROR_ALIGNMENT = 0x0102_0101 => "OID_802_3_RCV_ERROR_ALIGNMENT",
        /// Query: u32.
        ETHERNET_XMIT_ONE_COLLISION = 0x0102_0102 => "OID_802_3_XMIT_ONE_COLLISION",
        /// Query: u32.
        ETHERNET_XMIT_MORE_COLLISIONS = 0x0102_0103 => "OID_802_3_XMIT_MORE_COLLISIONS",
        /// Query: u32.
        ETHERNET_XMIT_DEFERRED = 0x0102_0201 => "OID_802_3_XMIT_DEFERRED",
        /// Query: u32.
        ETHERNET_XMIT_MAX_COLLISIONS = 0x0102_0202 => "OID_802_3_XMIT_MAX_COLLISIONS",
        /// Query: u32.
        ETHERNET_RCV_OVERRUN = 0x0102_0203 => "OID_802_3_RCV_OVERRUN",
        /// Query: u32.
        ETHERNET_XMIT_UNDERRUN = 0x0102_0204 => "OID_802_3_XMIT_UNDERRUN",
        /// Query: u32.
        ETHERNET_XMIT_HEARTBEAT_FAILURE = 0x0102_0205 => "OID_802_3_XMIT_HEARTBEAT_FAILURE",
        /// Query: u32.
        ETHERNET_XMIT_TIMES_CRS_LOST = 0x0102_0206 => "OID_802_3_XMIT_TIMES_CRS_LOST",
        /// Query: u32.
        ETHERNET_XMIT_LATE_COLLISIONS = 0x0102_0207 => "OID_802_3_XMIT_LATE_COLLISIONS",
        /// NDIS 5 offloads.
        TCP_TASK_OFFLOAD = 0xfc01_0201 => "OID_TCP_TASK_OFFLOAD",
        /// Query: `Offload`, what is on.
        TCP_OFFLOAD_CURRENT_CONFIG = 0xfc01_020b => "OID_TCP_OFFLOAD_CURRENT_CONFIG",
        /// Set: `OffloadParameters`.
        TCP_OFFLOAD_PARAMETERS = 0xfc01_020c => "OID_TCP_OFFLOAD_PARAMETERS",
        /// Query: `Offload`, what can be on.
        TCP_OFFLOAD_HARDWARE_CAPABILITIES = 0xfc01_020d => "OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES",
        /// Query.
        TCP_CONNECTION_OFFLOAD_CURRENT_CONFIG = 0xfc01_020e => "OID_TCP_CONNECTION_OFFLOAD_CURRENT_CONFIG",
        /// Query.
        TCP_CONNECTION_OFFLOAD_HARDWARE_CAPABILITIES = 0xfc01_020f => "OID_TCP_CONNECTION_OFFLOAD_HARDWARE_CAPABILITIES",
        /// Query: `PnpCapabilities`.
        PNP_CAPABILITIES = 0xfd01_0100 => "OID_PNP_CAPABILITIES",
        /// Set: u32.
        PNP_SET_POWER = 0xfd01_0101 => "OID_PNP_SET_POWER",
        /// Query: u32.
        PNP_QUERY_POWER = 0xfd01_0102 => "OID_PNP_QUERY_POWER",
        /// Set.
        PNP_ADD_WAKE_UP_PATTERN = 0xfd01_0103 => "OID_PNP_ADD_WAKE_UP_PATTERN",
        /// Set.
        PNP_REMOVE_WAKE_UP_PATTERN = 0xfd01_0104 => "OID_PNP_REMOVE_WAKE_UP_PATTERN",
        /// Query.
        PNP_WAKE_UP_PATTERN_LIST = 0xfd01_0105 => "OID_PNP_WAKE_UP_PATTERN_LIST",
        /// Query and set: u32.
        PNP_ENABLE_WAKE_UP = 0xfd01_0106 => "OID_PNP_ENABLE_WAKE_UP",
        /// Query.
        PM_CURRENT_CAPABILITIES = 0xfd01_0107 => "OID_PM_CURRENT_CAPABILITIES",
        /// Query.
        PM_HARDWARE_CAPABILITIES = 0xfd01_0108 => "OID_PM_HARDWARE_CAPABILITIES",
        /// Query and set.
        PM_PARAMETERS = 0xfd01_0109 => "OID_PM_PARAMETERS",
    }
}
