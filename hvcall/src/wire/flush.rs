//! Memory whose translations are flushed: the calls, and the ranges of pages that they list.

use zerocopy::little_endian::U64;

use crate::macros::wire_struct;
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
