//! Ports and connections: where messages and events arrive, and what leads there. For who creates partitions.

use zerocopy::little_endian::{U16, U32, U64};

use super::memory::ProximityDomainInfo;
use crate::macros::{open_code, wire_struct};

open_code! {
    /// What a port or a connection is for. Source: Linux `enum hv_port_type` (`include/hyperv`).
    pub struct PortType(u32) as "HV_PORT_TYPE_" {
        /// Messages.
        MESSAGE = 1,
        /// Event flags.
        EVENT = 2,
        /// A monitor page.
        MONITOR = 3,
        /// A doorbell: writes to an address.
        DOORBELL = 4,
    }
}

wire_struct! {
    /// Where what comes to a port goes.
    ///
    /// Source: Linux `struct hv_port_info` (`include/hyperv`), whose union this has as the fields of an event port.
    pub struct PortInfo, 24 bytes {
        /// The [`PortType`].
        0: port_type: U32,
        /// Zero.
        4: padding: U32,
        /// The [`Sint`](crate::Sint); for a monitor port the low half of the page's address.
        8: target_sint: U32,
        /// The [`VpIndex`](crate::VpIndex); for a monitor port the high half of the page's address.
        12: target_vp: U32,
        /// The first event flag; zero for other ports.
        16: base_flag_number: U16,
        /// How many event flags there are; zero for other ports.
        18: flag_count: U16,
        /// Zero.
        20: reserved: U32,
    }
}

wire_struct! {
    /// Input of [`CREATE_PORT`](crate::CallCode::CREATE_PORT).
    ///
    /// Source: Linux `struct hv_input_create_port` (`include/hyperv`).
    pub struct CreatePortInput, 56 bytes {
        /// The partition that it belongs to.
        0: port_partition_id: U64,
        /// Its [`PortId`](crate::PortId).
        8: port_id: U32,
        /// Its virtual trust level.
        12: port_vtl: u8,
        /// The lowest virtual trust level that may connect.
        13: min_connection_vtl: u8,
        /// Zero.
        14: padding: U16,
        /// The partition that may connect.
        16: connection_partition_id: U64,
        /// Where what comes goes.
        24: port_info: PortInfo,
        /// The NUMA node of its buffers.
        48: proximity_domain: ProximityDomainInfo,
    }
}

wire_struct! {
    /// Input of [`DELETE_PORT`](crate::CallCode::DELETE_PORT).
    ///
    /// Source: Linux `union hv_input_delete_port` (`include/hyperv`).
    pub struct DeletePortInput, 16 bytes {
        /// The partition that it belongs to.
        0: port_partition_id: U64,
        /// Its [`PortId`](crate::PortId).
        8: port_id: U32,
        /// Zero.
        12: reserved: U32,
    }
}

wire_struct! {
    /// What a connection does.
    ///
    /// Source: Linux `struct hv_connection_info` (`include/hyperv`), whose union this has as the fields of a doorbell.
    pub struct ConnectionInfo, 32 bytes {
        /// The [`PortType`].
        0: port_type: U32,
        /// Zero.
        4: padding: U32,
        /// Guest-physical address of the doorbell or of the monitor page; else zero.
        8: gpa: U64,
        /// Doorbell: the value that rings it, when the flags ask for one.
        16: trigger_value: U64,
        /// Doorbell: bits 1:0 how wide a write rings it, bit 31 whatever is written. (Linux `HV_DOORBELL_FLAG_*`.)
        24: flags: U64,
    }
}

wire_struct! {
    /// Input of [`CONNECT_PORT`](crate::CallCode::CONNECT_PORT).
    ///
    /// Source: Linux `struct hv_input_connect_port` (`include/hyperv`).
    pub struct ConnectPortInput, 72 bytes {
        /// The partition that gets the connection.
        0: connection_partition_id: U64,
        /// Its [`ConnectionId`](crate::ConnectionId).
        8: connection_id: U32,
        /// Its virtual trust level.
        12: connection_vtl: u8,
        /// Zero.
        13: reserved0: u8,
        /// Zero.
        14: reserved1: U16,
        /// The partition whose port it leads to.
        16: port_partition_id: U64,
        /// The [`PortId`](crate::PortId).
        24: port_id: U32,
        /// Zero.
        28: reserved2: U32,
        /// What it does.
        32: connection_info: ConnectionInfo,
        /// The NUMA node.
        64: proximity_domain: ProximityDomainInfo,
    }
}

wire_struct! {
    /// Input of [`DISCONNECT_PORT`](crate::CallCode::DISCONNECT_PORT).
    ///
    /// Source: Linux `union hv_input_disconnect_port` (`include/hyperv`).
    pub struct DisconnectPortInput, 16 bytes {
        /// The partition that has the connection.
        0: connection_partition_id: U64,
        /// Its [`ConnectionId`](crate::ConnectionId).
        8: connection_id: U32,
        /// Bit 0: it is a doorbell.
        12: flags: U32,
    }
}

wire_struct! {
    /// Input of [`NOTIFY_PORT_RING_EMPTY`](crate::CallCode::NOTIFY_PORT_RING_EMPTY).
    ///
    /// Source: Linux `union hv_input_notify_port_ring_empty` (`include/hyperv`).
    pub struct NotifyPortRingEmptyInput, 8 bytes {
        /// The [`Sint`](crate::Sint).
        0: sint_index: U32,
        /// Zero.
        4: reserved: U32,
    }
}
