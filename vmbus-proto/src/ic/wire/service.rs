//! What there is to know of each service: its interface, its message's type, its versions.

use super::{MessageType, Version};
use crate::wire::{Guid, interface};

/// Versions of the framework, the newest first.
///
/// Source: Linux `UTIL_FW_VERSION` and `UTIL_WS2K8_FW_VERSION`; OpenVMM `hyperv_ic`.
pub const FRAMEWORKS: &[Version] = &[Version::new(3, 0), Version::new(1, 0)];

/// An integration service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// A short name.
    pub name: &'static str,
    /// The class of device that a channel is offered as, in pipe mode with messages.
    pub interface: Guid,
    /// The type of its messages.
    pub message_type: MessageType,
    /// Versions of its messages, the newest first.
    ///
    /// Sources: Linux `drivers/hv/hv_util.c`, `hv_kvp.c`, `hv_snapshot.c`, `hv_fcopy.c`; OpenVMM `hyperv_ic_protocol` for KVP 5.0.
    pub versions: &'static [Version],
    /// Bytes of its longest packet, the headers included: the scratch that either end needs.
    pub packet_max: usize,
}

/// Every service that this module knows.
pub const SERVICES: [&Service; 6] = [
    &Service::HEARTBEAT,
    &Service::SHUTDOWN,
    &Service::TIME_SYNC,
    &Service::KVP,
    &Service::VSS,
    &Service::FILE_COPY,
];

/// Room for a packet whose body has so many bytes, or whose body lists versions; rounded up as the ring does.
const fn packet(body: usize) -> usize {
    let body = if body < 256 { 256 } else { body };
    super::HEADERS_SIZE.saturating_add(body).next_multiple_of(8)
}

impl Service {
    /// Heartbeat. 1.0 and 3.0 are alike.
    pub const HEARTBEAT: Self = Self {
        name: "heartbeat",
        interface: interface::HEARTBEAT,
        message_type: MessageType::HEARTBEAT,
        versions: &[Version::new(3, 0), Version::new(1, 0)],
        packet_max: packet(size_of::<super::HeartbeatData>()),
    };
    /// Orderly shutdown. Hyper-V asks for hibernation since 3.2 only.
    pub const SHUTDOWN: Self = Self {
        name: "shutdown",
        interface: interface::SHUTDOWN,
        message_type: MessageType::SHUTDOWN,
        versions: &[
            Version::new(3, 2),
            Version::new(3, 1),
            Version::new(3, 0),
            Version::new(1, 0),
        ],
        packet_max: packet(size_of::<super::ShutdownData>()),
    };
    /// Time synchronization. Since 4.0 with the guest's reference time.
    pub const TIME_SYNC: Self = Self {
        name: "time sync",
        interface: interface::TIME_SYNC,
        message_type: MessageType::TIME_SYNC,
        versions: &[Version::new(4, 0), Version::new(3, 0), Version::new(1, 0)],
        packet_max: packet(size_of::<super::TimeSample>()),
    };
    /// Key-value pair exchange. Since 5.0 addresses are binary.
    pub const KVP: Self = Self {
        name: "kvp",
        interface: interface::KVP,
        message_type: MessageType::KVP_EXCHANGE,
        versions: &[
            Version::new(5, 0),
            Version::new(4, 0),
            Version::new(3, 0),
            Version::new(1, 0),
        ],
        packet_max: packet(super::KVP_MAX),
    };
    /// Volume snapshots.
    pub const VSS: Self = Self {
        name: "vss",
        interface: interface::VSS,
        message_type: MessageType::VSS,
        versions: &[Version::new(5, 0)],
        packet_max: packet(super::VSS_MAX),
    };
    /// File copy.
    pub const FILE_COPY: Self = Self {
        name: "file copy",
        interface: interface::FILE_COPY,
        message_type: MessageType::FILE_COPY,
        versions: &[Version::new(1, 1)],
        packet_max: packet(super::FILE_COPY_MAX),
    };
}
