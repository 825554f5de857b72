//! Names of things that hypercalls take: connections, virtual processors, partitions.

/// The connection that a message is posted to or an event signalled on, as the guest names it.
///
/// 24 bits are the number; a host refuses one with any of the top 8 bits set. Source: Linux `union hv_connection_id`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct ConnectionId(pub u32);

impl ConnectionId {
    /// The bits that are the number.
    pub const MASK: u32 = 0x00ff_ffff;

    /// Whether none of the reserved top bits is set.
    #[must_use]
    pub const fn is_valid(self) -> bool {
        self.0 & !Self::MASK == 0
    }
}

/// The port at which messages and events arrive, as the partition that it belongs to names it: 24 bits.
///
/// Source: Linux `union hv_port_id`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct PortId(pub u32);

impl PortId {
    /// The bits that are the number.
    pub const MASK: u32 = 0x00ff_ffff;
}

/// The number of a virtual processor as hypercalls and MSRs name it; it need not equal the APIC id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct VpIndex(pub u32);

impl VpIndex {
    /// Any processor (`HV_ANY_VP`).
    pub const ANY: Self = Self(u32::MAX);
    /// The processor that makes the call (`HV_VP_INDEX_SELF`).
    pub const SELF: Self = Self(u32::MAX - 1);
}
