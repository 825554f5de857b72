//! Memory: flushed, lent to the hypervisor, shown to the host, read and written as a device's.

use zerocopy::little_endian::{U16, U32, U64};

use super::InputVtl;
use crate::macros::{open_code, wire_struct};
use crate::vpset::VpSetHeader;

bitflags::bitflags! {
    /// What a flush is about. Sources: TLFS "HV_FLUSH_FLAGS"; Linux `HV_FLUSH_*`; OpenVMM `HvFlushFlags`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct FlushFlags: u64 {
        /// On every processor of the partition: the mask or set does not count.
        const ALL_PROCESSORS = 1 << 0;
        /// Every address space: the one that is named does not count.
        const ALL_VIRTUAL_ADDRESS_SPACES = 1 << 1;
        /// Global mappings may stay.
        const NON_GLOBAL_MAPPINGS_ONLY = 1 << 2;
        /// Ranges in a list may be of large pages: see [`GvaRange`].
        const USE_EXTENDED_RANGE_FORMAT = 1 << 3;
        /// The two bits that follow count.
        const USE_TARGET_VTL = 1 << 4;
        /// Virtual trust level 0.
        const TARGET_VTL0 = 1 << 8;
        /// Virtual trust level 1.
        const TARGET_VTL1 = 1 << 9;
        const _ = !0;
    }
}

wire_struct! {
    /// Input of [`FLUSH_VIRTUAL_ADDRESS_SPACE`](crate::CallCode::FLUSH_VIRTUAL_ADDRESS_SPACE) and, followed by [`GvaRange`]s,
    /// of [`FLUSH_VIRTUAL_ADDRESS_LIST`](crate::CallCode::FLUSH_VIRTUAL_ADDRESS_LIST).
    ///
    /// Sources: TLFS "HvCallFlushVirtualAddressSpace"; Linux `struct hv_tlb_flush`.
    pub struct FlushInput, 24 bytes {
        /// The page table's root (CR3), as a guest-physical address.
        0: address_space: U64,
        /// [`FlushFlags`].
        8: flags: U64,
        /// Processor `n` is bit `n`.
        16: processor_mask: U64,
    }
}

wire_struct! {
    /// Input of [`FLUSH_VIRTUAL_ADDRESS_SPACE_EX`](crate::CallCode::FLUSH_VIRTUAL_ADDRESS_SPACE_EX) and of
    /// [`FLUSH_VIRTUAL_ADDRESS_LIST_EX`](crate::CallCode::FLUSH_VIRTUAL_ADDRESS_LIST_EX), followed by the set's banks and then by
    /// [`GvaRange`]s.
    ///
    /// Sources: TLFS "HvCallFlushVirtualAddressSpaceEx"; Linux `struct hv_tlb_flush_ex`.
    pub struct FlushExInput, 32 bytes {
        /// The page table's root (CR3), as a guest-physical address.
        0: address_space: U64,
        /// [`FlushFlags`].
        8: flags: U64,
        /// The processors.
        16: processor_set: VpSetHeader,
    }
}

/// Consecutive pages of guest-virtual memory, as a flush lists them: the first page's number from bit 12 on, and below
/// how many pages follow it.
///
/// With [`FlushFlags::USE_EXTENDED_RANGE_FORMAT`] only 11 bits are the count; bit 11 tells of large pages, then bit 12 is
/// their size (0 is 2 MiB, 1 is 1 GiB) and the number of the first begins at bit 21.
///
/// Sources: TLFS "HV_GVA_RANGE"; OpenVMM `HvGvaRange`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct GvaRange(pub u64);

/// Consecutive pages of guest-physical memory, in the form of a [`GvaRange`] with the large pages always allowed.
///
/// Sources: TLFS "HV_GPA_PAGE_RANGE"; Linux `union hv_gpa_page_range`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct GpaPageRange(pub u64);

/// The page's number in either kind of range.
const PAGE_NUMBER: u64 = !0xfff;
/// The count of further pages in a simple range.
const COUNT: u64 = 0xfff;
/// The count of further pages in an extended range.
const EXTENDED_COUNT: u64 = 0x7ff;

impl GvaRange {
    /// The page with this address, and `further` pages behind it, of which 12 bits are kept.
    #[must_use]
    pub const fn new(address: u64, further: u16) -> Self {
        Self(address & PAGE_NUMBER | further as u64 & COUNT)
    }

    /// Address of the first page.
    #[must_use]
    pub const fn address(self) -> u64 {
        self.0 & PAGE_NUMBER
    }

    /// Pages, the first included: 1 to 4096.
    #[must_use]
    pub const fn pages(self) -> u64 {
        (self.0 & COUNT).saturating_add(1)
    }
}

impl GpaPageRange {
    /// Large pages.
    pub const LARGE_PAGE: u64 = 1 << 11;
    /// With [`LARGE_PAGE`](Self::LARGE_PAGE): of 1 GiB, not of 2 MiB.
    pub const PAGE_SIZE_1G: u64 = 1 << 12;
    /// With [`LARGE_PAGE`](Self::LARGE_PAGE): the address of the first.
    pub const LARGE_PAGE_NUMBER: u64 = !0x1f_ffff;

    /// The page of 4096 bytes with this guest-physical address, and `further` pages behind it, of which 11 bits are kept.
    #[must_use]
    pub const fn new(gpa: u64, further: u16) -> Self {
        Self(gpa & PAGE_NUMBER | further as u64 & EXTENDED_COUNT)
    }

    /// Whether its pages are larger than 4096 bytes.
    #[must_use]
    pub const fn is_large(self) -> bool {
        self.0 & Self::LARGE_PAGE != 0
    }

    /// Guest-physical address of the first page.
    #[must_use]
    pub const fn gpa(self) -> u64 {
        if self.is_large() {
            self.0 & Self::LARGE_PAGE_NUMBER
        } else {
            self.0 & PAGE_NUMBER
        }
    }

    /// Bytes of each page.
    #[must_use]
    pub const fn page_size(self) -> u64 {
        match (self.is_large(), self.0 & Self::PAGE_SIZE_1G != 0) {
            (false, _) => 1 << 12,
            (true, false) => 1 << 21,
            (true, true) => 1 << 30,
        }
    }

    /// Pages, the first included: 1 to 2048.
    #[must_use]
    pub const fn pages(self) -> u64 {
        (self.0 & EXTENDED_COUNT).saturating_add(1)
    }
}

wire_struct! {
    /// Input of [`FLUSH_GUEST_PHYSICAL_ADDRESS_SPACE`](crate::CallCode::FLUSH_GUEST_PHYSICAL_ADDRESS_SPACE) and, followed by
    /// [`GpaPageRange`]s, of [`FLUSH_GUEST_PHYSICAL_ADDRESS_LIST`](crate::CallCode::FLUSH_GUEST_PHYSICAL_ADDRESS_LIST). For a
    /// nested hypervisor.
    ///
    /// Sources: TLFS "HvCallFlushGuestPhysicalAddressSpace"; Linux `struct hv_guest_mapping_flush`.
    pub struct FlushGpaInput, 16 bytes {
        /// Root of the second-level page table (EPT or NPT), as a guest-physical address.
        0: address_space: U64,
        /// Zero.
        8: flags: U64,
    }
}

/// Ranges that fit the page of a [`FlushGpaInput`].
pub const FLUSH_GPA_RANGES_MAX: usize = 510;

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
    /// [`UNPIN_GPA_PAGE_RANGES`](crate::CallCode::UNPIN_GPA_PAGE_RANGES), followed by [`GpaPageRange`]s.
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
    /// Input of [`EXT_MEMORY_HEAT_HINT`](crate::CallCode::EXT_MEMORY_HEAT_HINT), followed by [`GpaPageRange`]s.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_a_page_and_how_many_follow() {
        let range = GvaRange::new(0xffff_8000_0000_1234, 4);
        assert_eq!((range.address(), range.pages()), (0xffff_8000_0000_1000, 5));
        assert_eq!(GvaRange::new(0, u16::MAX).pages(), 4096);
        let range = GpaPageRange::new(0x1234_5678, u16::MAX);
        assert_eq!(
            (range.gpa(), range.pages(), range.page_size()),
            (0x1234_5000, 2048, 4096)
        );
        let large = GpaPageRange(0x4000_0000 | GpaPageRange::LARGE_PAGE | 1);
        assert_eq!(
            (large.gpa(), large.pages(), large.page_size()),
            (0x4000_0000, 2, 1 << 21)
        );
        let huge = GpaPageRange(large.0 | GpaPageRange::PAGE_SIZE_1G);
        assert_eq!((huge.gpa(), huge.page_size()), (0x4000_0000, 1 << 30));
    }
}
