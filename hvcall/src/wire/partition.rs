//! Partitions: identity, properties, the system's.

use zerocopy::little_endian::{U32, U64};

use super::memory::ProximityDomainInfo;
use crate::macros::wire_struct;

/// The caller's own partition, in place of an id.
pub const PARTITION_SELF: u64 = u64::MAX;

wire_struct! {
    /// Output of [`GET_PARTITION_ID`](crate::CallCode::GET_PARTITION_ID), and input of
    /// [`INITIALIZE_PARTITION`](crate::CallCode::INITIALIZE_PARTITION), [`FINALIZE_PARTITION`](crate::CallCode::FINALIZE_PARTITION)
    /// and [`DELETE_PARTITION`](crate::CallCode::DELETE_PARTITION), and output of
    /// [`CREATE_PARTITION`](crate::CallCode::CREATE_PARTITION).
    ///
    /// Source: Linux `struct hv_get_partition_id`.
    pub struct PartitionId, 8 bytes {
        /// The partition.
        0: partition_id: U64,
    }
}

wire_struct! {
    /// Input of [`CREATE_PARTITION`](crate::CallCode::CREATE_PARTITION).
    ///
    /// Source: Linux `struct hv_input_create_partition` (`include/hyperv`).
    pub struct CreatePartitionInput, 56 bytes {
        /// What it is to have. (Linux `HV_PARTITION_CREATION_FLAG_*`.)
        0: flags: U64,
        /// The NUMA node of its memory.
        8: proximity_domain: ProximityDomainInfo,
        /// The version that it is compatible with. (Linux `HV_COMPATIBILITY_*`.)
        16: compatibility_version: U32,
        /// Zero.
        20: padding: U32,
        /// Features of the processor that it shall not have: 16 bytes of features, 8 of those of XSAVE.
        24: disabled_features: [U64; 3],
        /// Bits 4:0 the [`IsolationType`](crate::cpuid::IsolationType), 63:12 the page number of the boundary above which
        /// memory is shared.
        48: isolation: U64,
    }
}

wire_struct! {
    /// Input of [`GET_PARTITION_PROPERTY`](crate::CallCode::GET_PARTITION_PROPERTY). The output is the value, u64.
    ///
    /// Source: Linux `struct hv_input_get_partition_property` (`include/hyperv`).
    pub struct PartitionPropertyInput, 16 bytes {
        /// The partition.
        0: partition_id: U64,
        /// Which property. (Linux `enum hv_partition_property_code`.)
        8: property_code: U32,
        /// Zero.
        12: padding: U32,
    }
}

wire_struct! {
    /// Input of [`SET_PARTITION_PROPERTY`](crate::CallCode::SET_PARTITION_PROPERTY).
    ///
    /// Source: Linux `struct hv_input_set_partition_property` (`include/hyperv`).
    pub struct SetPartitionPropertyInput, 24 bytes {
        /// The partition.
        0: partition_id: U64,
        /// Which property.
        8: property_code: U32,
        /// Zero.
        12: padding: U32,
        /// Its value.
        16: property_value: U64,
    }
}

wire_struct! {
    /// Input of [`GET_SYSTEM_PROPERTY`](crate::CallCode::GET_SYSTEM_PROPERTY). The output is 8 bytes, by the property.
    ///
    /// Source: Linux `struct hv_input_get_system_property` (`include/hyperv`).
    pub struct SystemPropertyInput, 16 bytes {
        /// Which property. (Linux `enum hv_system_property`.)
        0: property_id: U32,
        /// Zero.
        4: reserved: U32,
        /// What else the property takes.
        8: parameter: U64,
    }
}
