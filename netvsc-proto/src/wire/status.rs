//! NDIS status codes as RNDIS carries them.

use zerocopy::little_endian::U32;

use super::code::wire_number;

wire_number! {
    /// An NDIS status: an outcome, or what a status indication tells. The top two bits are the severity (0 success,
    /// 1 information, 2 warning, 3 error). Source: OpenVMM `netvsp/src/rndisprot.rs`, Linux `include/linux/rndis.h`.
    pub struct RndisStatus(U32: u32), "{:#x}" {
        /// Done.
        SUCCESS = 0x0000_0000 => "SUCCESS",
        /// Will be done.
        PENDING = 0x0000_0103 => "PENDING",
        /// Nobody knew what it was.
        NOT_RECOGNIZED = 0x0001_0001 => "NOT_RECOGNIZED",
        /// Not copied.
        NOT_COPIED = 0x0001_0002 => "NOT_COPIED",
        /// Not taken.
        NOT_ACCEPTED = 0x0001_0003 => "NOT_ACCEPTED",
        /// A call is active.
        CALL_ACTIVE = 0x0001_0007 => "CALL_ACTIVE",
        /// Indication: online.
        ONLINE = 0x4001_0003 => "ONLINE",
        /// Indication: a reset begins.
        RESET_START = 0x4001_0004 => "RESET_START",
        /// Indication: a reset is over.
        RESET_END = 0x4001_0005 => "RESET_END",
        /// Indication: token ring.
        RING_STATUS = 0x4001_0006 => "RING_STATUS",
        /// Indication: closed.
        CLOSED = 0x4001_0007 => "CLOSED",
        /// Indication: a WAN line is up.
        WAN_LINE_UP = 0x4001_0008 => "WAN_LINE_UP",
        /// Indication: a WAN line is down.
        WAN_LINE_DOWN = 0x4001_0009 => "WAN_LINE_DOWN",
        /// Indication: a WAN fragment.
        WAN_FRAGMENT = 0x4001_000a => "WAN_FRAGMENT",
        /// Indication: the link is up.
        MEDIA_CONNECT = 0x4001_000b => "MEDIA_CONNECT",
        /// Indication: the link is down.
        MEDIA_DISCONNECT = 0x4001_000c => "MEDIA_DISCONNECT",
        /// Indication: a hardware line is up.
        HARDWARE_LINE_UP = 0x4001_000d => "HARDWARE_LINE_UP",
        /// Indication: a hardware line is down.
        HARDWARE_LINE_DOWN = 0x4001_000e => "HARDWARE_LINE_DOWN",
        /// Indication: an interface is up.
        INTERFACE_UP = 0x4001_000f => "INTERFACE_UP",
        /// Indication: an interface is down.
        INTERFACE_DOWN = 0x4001_0010 => "INTERFACE_DOWN",
        /// Indication: the medium is busy.
        MEDIA_BUSY = 0x4001_0011 => "MEDIA_BUSY",
        /// Indication: of the medium.
        MEDIA_SPECIFIC_INDICATION = 0x4001_0012 => "MEDIA_SPECIFIC_INDICATION",
        /// Indication: the link's speed changed; the buffer is the speed, u32, in units of 100 bit/s.
        LINK_SPEED_CHANGE = 0x4001_0013 => "LINK_SPEED_CHANGE",
        /// Indication: the guest should renew its addresses. Linux takes the link down and up.
        NETWORK_CHANGE = 0x4001_0018 => "NETWORK_CHANGE",
        /// Indication: these offloads are on now; the buffer is an `NDIS_OFFLOAD`.
        TASK_OFFLOAD_CURRENT_CONFIG = 0x4002_0006 => "TASK_OFFLOAD_CURRENT_CONFIG",
        /// The answer does not fit.
        BUFFER_OVERFLOW = 0x8000_0005 => "BUFFER_OVERFLOW",
        /// Cannot be reset.
        NOT_RESETTABLE = 0x8001_0001 => "NOT_RESETTABLE",
        /// Soft errors.
        SOFT_ERRORS = 0x8001_0003 => "SOFT_ERRORS",
        /// Hard errors.
        HARD_ERRORS = 0x8001_0004 => "HARD_ERRORS",
        /// Failed.
        FAILURE = 0xc000_0001 => "FAILURE",
        /// Out of resources.
        RESOURCES = 0xc000_009a => "RESOURCES",
        /// Not supported; what an unknown OID gets.
        NOT_SUPPORTED = 0xc000_00bb => "NOT_SUPPORTED",
        /// Closing.
        CLOSING = 0xc001_0002 => "CLOSING",
        /// The version is not spoken.
        BAD_VERSION = 0xc001_0004 => "BAD_VERSION",
        /// Bad characteristics.
        BAD_CHARACTERISTICS = 0xc001_0005 => "BAD_CHARACTERISTICS",
        /// No adapter.
        ADAPTER_NOT_FOUND = 0xc001_0006 => "ADAPTER_NOT_FOUND",
        /// Could not open.
        OPEN_FAILED = 0xc001_0007 => "OPEN_FAILED",
        /// The device failed.
        DEVICE_FAILED = 0xc001_0008 => "DEVICE_FAILED",
        /// More multicast addresses than the list has room for.
        MULTICAST_FULL = 0xc001_0009 => "MULTICAST_FULL",
        /// The multicast address is in the list.
        MULTICAST_EXISTS = 0xc001_000a => "MULTICAST_EXISTS",
        /// The multicast address is not in the list.
        MULTICAST_NOT_FOUND = 0xc001_000b => "MULTICAST_NOT_FOUND",
        /// Aborted.
        REQUEST_ABORTED = 0xc001_000c => "REQUEST_ABORTED",
        /// A reset is under way.
        RESET_IN_PROGRESS = 0xc001_000d => "RESET_IN_PROGRESS",
        /// Closing.
        CLOSING_INDICATING = 0xc001_000e => "CLOSING_INDICATING",
        /// The message is malformed.
        INVALID_PACKET = 0xc001_000f => "INVALID_PACKET",
        /// Too many open.
        OPEN_LIST_FULL = 0xc001_0010 => "OPEN_LIST_FULL",
        /// Not ready.
        ADAPTER_NOT_READY = 0xc001_0011 => "ADAPTER_NOT_READY",
        /// Not open.
        ADAPTER_NOT_OPEN = 0xc001_0012 => "ADAPTER_NOT_OPEN",
        /// Not indicating.
        NOT_INDICATING = 0xc001_0013 => "NOT_INDICATING",
        /// The information buffer has the wrong length.
        INVALID_LENGTH = 0xc001_0014 => "INVALID_LENGTH",
        /// The information buffer has a wrong value.
        INVALID_DATA = 0xc001_0015 => "INVALID_DATA",
        /// The information buffer is too short.
        BUFFER_TOO_SHORT = 0xc001_0016 => "BUFFER_TOO_SHORT",
        /// Not an OID of this device, or not in this direction.
        INVALID_OID = 0xc001_0017 => "INVALID_OID",
        /// The adapter is gone.
        ADAPTER_REMOVED = 0xc001_0018 => "ADAPTER_REMOVED",
        /// Not this medium.
        UNSUPPORTED_MEDIA = 0xc001_0019 => "UNSUPPORTED_MEDIA",
        /// The group address is used.
        GROUP_ADDRESS_IN_USE = 0xc001_001a => "GROUP_ADDRESS_IN_USE",
        /// No such file.
        FILE_NOT_FOUND = 0xc001_001b => "FILE_NOT_FOUND",
        /// The file cannot be read.
        ERROR_READING_FILE = 0xc001_001c => "ERROR_READING_FILE",
        /// Mapped.
        ALREADY_MAPPED = 0xc001_001d => "ALREADY_MAPPED",
        /// Resources conflict.
        RESOURCE_CONFLICT = 0xc001_001e => "RESOURCE_CONFLICT",
        /// No cable.
        NO_CABLE = 0xc001_001f => "NO_CABLE",
        /// Invalid service access point.
        INVALID_SAP = 0xc001_0020 => "INVALID_SAP",
        /// The service access point is used.
        SAP_IN_USE = 0xc001_0021 => "SAP_IN_USE",
        /// Invalid address.
        INVALID_ADDRESS = 0xc001_0022 => "INVALID_ADDRESS",
        /// The virtual circuit is not active.
        VC_NOT_ACTIVATED = 0xc001_0023 => "VC_NOT_ACTIVATED",
        /// Out of order.
        DEST_OUT_OF_ORDER = 0xc001_0024 => "DEST_OUT_OF_ORDER",
        /// No virtual circuit.
        VC_NOT_AVAILABLE = 0xc001_0025 => "VC_NOT_AVAILABLE",
        /// No such cell rate.
        CELLRATE_NOT_AVAILABLE = 0xc001_0026 => "CELLRATE_NOT_AVAILABLE",
        /// Incompatible quality of service.
        INCOMPATIBLE_QOS = 0xc001_0027 => "INCOMPATIBLE_QOS",
        /// ATM adaptation layer parameters are not supported.
        AAL_PARAMS_UNSUPPORTED = 0xc001_0028 => "AAL_PARAMS_UNSUPPORTED",
        /// No route.
        NO_ROUTE_TO_DESTINATION = 0xc001_0029 => "NO_ROUTE_TO_DESTINATION",
        /// Token ring.
        TOKEN_RING_OPEN_ERROR = 0xc001_1000 => "TOKEN_RING_OPEN_ERROR",
    }
}
