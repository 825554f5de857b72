//! Memory: lent to the hypervisor, shown to the host, read and written as a device's.

use zerocopy::little_endian::{U16, U32, U64};

use super::InputVtl;
use crate::macros::{open_code, wire_struct};

wire_struct! {
    /// Input of [`DEPOSIT_MEMORY`](crate::CallCode::DEPOSIT_MEMORY), followed by page numbers, u64 each.
    ///
    /// Source: Linux `struct hv_deposit_memory`.
    pub struct DepositMemoryInput, 8 bytes {
        /// The partition that gets them, or [`PARTITION_SELF`](super::PARTITION_SELF).
        0: partition_id: U64,
    }
}

wire_struct! {
    /// Input of [`WITHDRAW_MEMORY`](crate::CallCode::WITHDRAW_MEMORY). The output is a list of page numbers, u64 each.
    ///
    /// Source: Linux `struct hv_input_withdraw_memory` (`include/hyperv`).
    pub struct WithdrawMemoryInput, 16 bytes {
        /// The partition that gives them back.
        0: partition_id: U64,
        /// From which memory.
        8: proximity_domain: ProximityDomainInfo,
    }
}

bitflags::bitflags! {
    /// Flags of [`ProximityDomainInfo`]. Source: Linux `struct hv_proximity_domain_flags`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct ProximityDomainFlags: u32 {
        /// Another domain will do.
        const PREFERRED = 1 << 0;
        /// The domain counts.
        const INFO_VALID = 1 << 31;
        const _ = !0;
    }
}

wire_struct! {
    /// The NUMA node that something shall be near to.
    ///
    /// Source: Linux `union hv_proximity_domain_info`.
    pub struct ProximityDomainInfo, 8 bytes {
        /// Its number in the host's ACPI tables.
        0: domain_id: U32,
        /// [`ProximityDomainFlags`].
        4: flags: U32,
    }
}

open_code! {
    /// How much of a page of an isolated guest the host sees. Source: Linux `enum hv_mem_host_visibility`; TLFS
    /// "HV_GPA_PAGE_VISIBILITY".
    pub struct HostVisibility(u8) as "VMBUS_PAGE_" {
        /// Nothing.
        NOT_VISIBLE = 0,
        /// It may read it.
        VISIBLE_READ_ONLY = 1,
        /// It may read and write it.
        VISIBLE_READ_WRITE = 3,
    }
}

wire_struct! {
    /// Input of [`MODIFY_SPARSE_GPA_PAGE_HOST_VISIBILITY`](crate::CallCode::MODIFY_SPARSE_GPA_PAGE_HOST_VISIBILITY), followed
    /// by page numbers, u64 each.
    ///
    /// Sources: TLFS "HvCallModifySparseGpaPageHostVisibility"; Linux `struct hv_gpa_range_for_visibility`.
    pub struct ModifyHostVisibilityInput, 16 bytes {
        /// The partition, or [`PARTITION_SELF`](super::PARTITION_SELF).
        0: partition_id: U64,
        /// [`HostVisibility`] in bits 1:0.
        8: host_visibility: U32,
        /// Zero.
        12: reserved: U32,
    }
}

/// Page numbers that fit the page of a [`ModifyHostVisibilityInput`].
pub const HOST_VISIBILITY_PAGES_MAX: usize = 510;

wire_struct! {
    /// Input of [`QUERY_SPARSE_GPA_PAGE_HOST_VISIBILITY`](crate::CallCode::QUERY_SPARSE_GPA_PAGE_HOST_VISIBILITY), followed by
    /// page numbers, u64 each. The output is a [`HostVisibility`] for each, one byte.
    ///
    /// Source: OpenVMM hvdef `QuerySparsePageVisibility`.
    pub struct QueryHostVisibilityInput, 8 bytes {
        /// The partition, or [`PARTITION_SELF`](super::PARTITION_SELF).
        0: partition_id: U64,
    }
}

wire_struct! {
    /// Input of [`ACQUIRE_SPARSE_SPA_PAGE_HOST_ACCESS`](crate::CallCode::ACQUIRE_SPARSE_SPA_PAGE_HOST_ACCESS) and of its
    /// contrary, followed by page numbers, u64 each. For the root partition.
    ///
    /// Source: Linux `struct hv_input_modify_sparse_spa_page_host_access` (`include/hyperv`).
    pub struct ModifyHostAccessInput, 16 bytes {
        /// The access in bits 1:0: read, write.
        0: host_access: U32,
        /// 1 for exclusive access.
        4: flags: U32,
        /// The partition.
        8: partition_id: U64,
    }
}

wire_struct! {
    /// Input of [`ACCEPT_GPA_PAGES`](crate::CallCode::ACCEPT_GPA_PAGES): the rep count is the count of pages.
    ///
    /// Source: OpenVMM hvdef `AcceptGpaPages`.
    pub struct AcceptGpaPagesInput, 24 bytes {
        /// The partition, or [`PARTITION_SELF`](super::PARTITION_SELF).
        0: partition_id: U64,
        /// Bits 5:0 the memory's type (0 any, 1 RAM), 7:6 the [`HostVisibility`], 10:8 for which virtual trust levels from 1
        /// on the permissions count.
        8: attributes: U32,
        /// [`MapGpaFlags`] for virtual trust levels 1 and 2.
        12: vtl_permissions: [U16; 2],
        /// Number of the first page.
        16: first_page: U64,
    }
}

bitflags::bitflags! {
    /// What may be done with a page. Source: OpenVMM `HvMapGpaFlags`; Linux `HV_MAP_GPA_*`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct MapGpaFlags: u32 {
        /// Read.
        const READABLE = 1 << 0;
        /// Write.
        const WRITABLE = 1 << 1;
        /// Execute as a supervisor.
        const KERNEL_EXECUTABLE = 1 << 2;
        /// Execute as a user.
        const USER_EXECUTABLE = 1 << 3;
        /// Hold a supervisor's shadow stack.
        const SUPERVISOR_SHADOW_STACK = 1 << 4;
        /// The page holds page tables that are written.
        const PAGING_WRITABILITY = 1 << 5;
        /// Check that.
        const VERIFY_PAGING_WRITABILITY = 1 << 6;
        /// The hypervisor may change the mapping by itself.
        const ADJUSTABLE = 1 << 15;
        const _ = !0;
    }
}

wire_struct! {
    /// Input of [`MODIFY_VTL_PROTECTION_MASK`](crate::CallCode::MODIFY_VTL_PROTECTION_MASK), followed by page numbers, u64
    /// each.
    ///
    /// Sources: TLFS "HvCallModifyVtlProtectionMask"; OpenVMM hvdef `ModifyVtlProtectionMask`.
    pub struct ModifyVtlProtectionInput, 16 bytes {
        /// The partition, or [`PARTITION_SELF`](super::PARTITION_SELF).
        0: partition_id: U64,
        /// [`MapGpaFlags`].
        8: map_flags: U32,
        /// The virtual trust level whose view changes.
        12: target_vtl: InputVtl,
        /// Zero.
        13: reserved: [u8; 3],
    }
}

wire_struct! {
    /// Input of [`CHECK_SPARSE_GPA_PAGE_VTL_ACCESS`](crate::CallCode::CHECK_SPARSE_GPA_PAGE_VTL_ACCESS), followed by page
    /// numbers, u64 each. The output is a [`VtlAccess`] for each.
    ///
    /// Source: OpenVMM hvdef `CheckSparseGpaPageVtlAccess`.
    pub struct CheckVtlAccessInput, 16 bytes {
        /// The partition, or [`PARTITION_SELF`](super::PARTITION_SELF).
        0: partition_id: U64,
        /// The virtual trust level.
        8: target_vtl: InputVtl,
        /// The low [`MapGpaFlags`] that are wanted.
        9: desired_access: u8,
        /// Zero.
        10: reserved0: U16,
        /// Zero.
        12: reserved1: U32,
    }
}

wire_struct! {
    /// What a virtual trust level may do with a page.
    ///
    /// Source: OpenVMM hvdef `CheckSparseGpaPageVtlAccessOutput`.
    pub struct VtlAccess, 8 bytes {
        /// 0: all that was wanted; 1: there would be an intercept.
        0: result_code: u8,
        /// The low [`MapGpaFlags`] that are denied.
        1: denied_access: u8,
        /// Bits 3:0 the virtual trust level that denies them.
        2: intercepting_vtl: U16,
        /// Zero.
        4: reserved: U32,
    }
}

wire_struct! {
    /// Input of [`PIN_GPA_PAGE_RANGES`](crate::CallCode::PIN_GPA_PAGE_RANGES) and
    /// [`UNPIN_GPA_PAGE_RANGES`](crate::CallCode::UNPIN_GPA_PAGE_RANGES), followed by [`GpaPageRange`](super::GpaPageRange)s.
    ///
    /// Source: OpenVMM hvdef `PinUnpinGpaPageRangesHeader`.
    pub struct PinGpaPageRangesInput, 8 bytes {
        /// Zero.
        0: reserved: U64,
    }
}

wire_struct! {
    /// Input of [`MAP_GPA_PAGES`](crate::CallCode::MAP_GPA_PAGES), followed by page numbers of the caller, u64 each.
    ///
    /// Source: Linux `struct hv_input_map_gpa_pages` (`include/hyperv`).
    pub struct MapGpaPagesInput, 24 bytes {
        /// The partition that gets them.
        0: target_partition_id: U64,
        /// Number of the first page there.
        8: target_page: U64,
        /// [`MapGpaFlags`].
        16: map_flags: U32,
        /// Zero.
        20: padding: U32,
    }
}

wire_struct! {
    /// Input of [`UNMAP_GPA_PAGES`](crate::CallCode::UNMAP_GPA_PAGES): the rep count is the count of pages.
    ///
    /// Source: Linux `struct hv_input_unmap_gpa_pages` (`include/hyperv`).
    pub struct UnmapGpaPagesInput, 24 bytes {
        /// The partition that loses them.
        0: target_partition_id: U64,
        /// Number of the first page.
        8: target_page: U64,
        /// 1 for large pages.
        16: unmap_flags: U32,
        /// Zero.
        20: padding: U32,
    }
}

bitflags::bitflags! {
    /// What becomes of the traces of accesses. Source: Linux `union hv_gpa_page_access_state_flags` (`include/hyperv`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct AccessStateFlags: u64 {
        /// Forget that the page was accessed.
        const CLEAR_ACCESSED = 1 << 0;
        /// Note it as accessed.
        const SET_ACCESSED = 1 << 1;
        /// Forget that it was written.
        const CLEAR_DIRTY = 1 << 2;
        /// Note it as written.
        const SET_DIRTY = 1 << 3;
        const _ = !0;
    }
}

wire_struct! {
    /// Input of [`GET_GPA_PAGES_ACCESS_STATES`](crate::CallCode::GET_GPA_PAGES_ACCESS_STATES): the rep count is the count of
    /// pages. The output is a byte for each: bit 0 accessed, bit 1 written.
    ///
    /// Source: Linux `struct hv_input_get_gpa_pages_access_state` (`include/hyperv`).
    pub struct AccessStatesInput, 24 bytes {
        /// The partition.
        0: partition_id: U64,
        /// [`AccessStateFlags`].
        8: flags: U64,
        /// Number of the first page.
        16: first_page: U64,
    }
}

open_code! {
    /// How often memory is used, or that it is not. Source: Linux `HV_EXTMEM_HEAT_HINT_*`.
    pub struct HeatHint(u8) as "HV_EXTMEM_HEAT_HINT_" {
        /// Seldom.
        COLD = 0,
        /// Often.
        HOT = 1,
        /// Never: the host may take it, and gives zeroes when it is used again.
        COLD_DISCARD = 2,
    }
}

wire_struct! {
    /// Input of [`EXT_MEMORY_HEAT_HINT`](crate::CallCode::EXT_MEMORY_HEAT_HINT), followed by [`GpaPageRange`](super::GpaPageRange)s.
    ///
    /// Source: Linux `struct hv_memory_hint`.
    pub struct MemoryHintInput, 8 bytes {
        /// The [`HeatHint`] in bits 1:0.
        0: hint: U64,
    }
}

/// Bytes that [`MMIO_READ`](crate::CallCode::MMIO_READ) and [`MMIO_WRITE`](crate::CallCode::MMIO_WRITE) move at most.
pub const MMIO_DATA_MAX: usize = 64;

wire_struct! {
    /// Input of [`MMIO_READ`](crate::CallCode::MMIO_READ).
    ///
    /// Sources: Linux `struct hv_mmio_read_input` (6.12); OpenVMM hvdef `MemoryMappedIoRead`.
    pub struct MmioReadInput, 16 bytes {
        /// Guest-physical address.
        0: gpa: U64,
        /// Bytes, 1 to [`MMIO_DATA_MAX`].
        8: size: U32,
        /// Zero.
        12: reserved: U32,
    }
}

wire_struct! {
    /// Output of [`MMIO_READ`](crate::CallCode::MMIO_READ).
    ///
    /// Source: Linux `struct hv_mmio_read_output` (6.12).
    pub struct MmioReadOutput, 64 bytes {
        /// As many bytes as were asked for count.
        0: data: [u8; MMIO_DATA_MAX],
    }
}

wire_struct! {
    /// Input of [`MMIO_WRITE`](crate::CallCode::MMIO_WRITE).
    ///
    /// Sources: Linux `struct hv_mmio_write_input` (6.12); OpenVMM hvdef `MemoryMappedIoWrite`.
    pub struct MmioWriteInput, 80 bytes {
        /// Guest-physical address.
        0: gpa: U64,
        /// Bytes, 1 to [`MMIO_DATA_MAX`].
        8: size: U32,
        /// Zero.
        12: reserved: U32,
        /// As many bytes as the size says count.
        16: data: [u8; MMIO_DATA_MAX],
    }
}
