//! Processors: made, started, moved between virtual trust levels, read and written.

use core::fmt;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::memory::ProximityDomainInfo;
use crate::macros::{open_code, wire_struct};

/// Which virtual trust level a call is about: bits 3:0 are its number, which counts when bit 4 is set; else it is the
/// caller's.
///
/// Sources: TLFS "HV_INPUT_VTL"; Linux `union hv_input_vtl`.
#[derive(
    Clone, Copy, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(transparent)]
pub struct InputVtl(pub u8);

impl InputVtl {
    /// The caller's own.
    pub const CURRENT: Self = Self(0);
    /// The number counts.
    pub const USE_TARGET_VTL: u8 = 1 << 4;
    /// The number.
    pub const TARGET_VTL: u8 = 0xf;

    /// This level, of which 4 bits are kept.
    #[must_use]
    pub const fn target(vtl: u8) -> Self {
        Self(vtl & Self::TARGET_VTL | Self::USE_TARGET_VTL)
    }

    /// The level's number, or `None` for the caller's own.
    #[must_use]
    pub const fn vtl(self) -> Option<u8> {
        if self.0 & Self::USE_TARGET_VTL != 0 {
            Some(self.0 & Self::TARGET_VTL)
        } else {
            None
        }
    }
}

impl fmt::Debug for InputVtl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.vtl() {
            Some(vtl) => write!(f, "InputVtl({vtl})"),
            None => write!(f, "InputVtl(current, {:#x})", self.0),
        }
    }
}

wire_struct! {
    /// A segment register of x86-64.
    ///
    /// Source: Linux `struct hv_x64_segment_register`; OpenVMM `HvX64SegmentRegister`.
    pub struct SegmentRegister, 16 bytes {
        /// Base.
        0: base: U64,
        /// Limit, in bytes.
        8: limit: U32,
        /// Selector.
        12: selector: U16,
        /// Bits 3:0 type, 4 code or data, 6:5 privilege level, 7 present, 12 available, 13 long, 14 default, 15
        /// granularity.
        14: attributes: U16,
    }
}

wire_struct! {
    /// A table register of x86-64: GDTR or IDTR.
    ///
    /// Source: Linux `struct hv_x64_table_register`; OpenVMM `HvX64TableRegister`.
    pub struct TableRegister, 16 bytes {
        /// Zero.
        0: padding: [u8; 6],
        /// Limit, in bytes.
        6: limit: U16,
        /// Base.
        8: base: U64,
    }
}

wire_struct! {
    /// With what a processor of x86-64 starts.
    ///
    /// Sources: TLFS "HV_INITIAL_VP_CONTEXT"; Linux `struct hv_init_vp_context`.
    pub struct InitialVpContextX64, 224 bytes {
        /// RIP.
        0: rip: U64,
        /// RSP.
        8: rsp: U64,
        /// RFLAGS.
        16: rflags: U64,
        /// CS.
        24: cs: SegmentRegister,
        /// DS.
        40: ds: SegmentRegister,
        /// ES.
        56: es: SegmentRegister,
        /// FS.
        72: fs: SegmentRegister,
        /// GS.
        88: gs: SegmentRegister,
        /// SS.
        104: ss: SegmentRegister,
        /// TR.
        120: tr: SegmentRegister,
        /// LDTR.
        136: ldtr: SegmentRegister,
        /// IDTR.
        152: idtr: TableRegister,
        /// GDTR.
        168: gdtr: TableRegister,
        /// EFER.
        184: efer: U64,
        /// CR0.
        192: cr0: U64,
        /// CR3.
        200: cr3: U64,
        /// CR4.
        208: cr4: U64,
        /// The page attribute table.
        216: pat: U64,
    }
}

wire_struct! {
    /// With what a processor of AArch64 starts.
    ///
    /// Source: OpenVMM hvdef `InitialVpContextArm64`.
    pub struct InitialVpContextArm64, 72 bytes {
        /// PC.
        0: pc: U64,
        /// SP of the exception level.
        8: sp_elh: U64,
        /// SCTLR_EL1.
        16: sctlr_el1: U64,
        /// MAIR_EL1.
        24: mair_el1: U64,
        /// TCR_EL1.
        32: tcr_el1: U64,
        /// VBAR_EL1.
        40: vbar_el1: U64,
        /// TTBR0_EL1.
        48: ttbr0_el1: U64,
        /// TTBR1_EL1.
        56: ttbr1_el1: U64,
        /// X18.
        64: x18: U64,
    }
}

wire_struct! {
    /// Input of [`START_VP`](crate::CallCode::START_VP) and [`ENABLE_VP_VTL`](crate::CallCode::ENABLE_VP_VTL), followed by an
    /// [`InitialVpContextX64`] or an [`InitialVpContextArm64`].
    ///
    /// Sources: TLFS "HvCallStartVirtualProcessor"; Linux `struct hv_enable_vp_vtl`.
    pub struct StartVpInput, 16 bytes {
        /// The partition, or [`PARTITION_SELF`](super::PARTITION_SELF).
        0: partition_id: U64,
        /// The [`VpIndex`](crate::VpIndex) of the processor.
        8: vp_index: U32,
        /// The virtual trust level that it starts in, or that is enabled.
        12: target_vtl: u8,
        /// Zero.
        13: reserved: [u8; 3],
    }
}

wire_struct! {
    /// Input of [`ENABLE_PARTITION_VTL`](crate::CallCode::ENABLE_PARTITION_VTL).
    ///
    /// Source: OpenVMM hvdef `EnablePartitionVtl`.
    pub struct EnablePartitionVtlInput, 16 bytes {
        /// The partition, or [`PARTITION_SELF`](super::PARTITION_SELF).
        0: partition_id: U64,
        /// The virtual trust level to enable.
        8: target_vtl: u8,
        /// Bit 0 mode-based execute control, bit 1 supervisor shadow stacks, bit 2 hypervisor-enforced paging translation.
        9: flags: u8,
        /// Zero.
        10: reserved: [u8; 6],
    }
}

wire_struct! {
    /// Input of [`GET_VP_INDEX_FROM_APIC_ID`](crate::CallCode::GET_VP_INDEX_FROM_APIC_ID), followed by APIC ids, u32 each. The
    /// output is a [`VpIndex`](crate::VpIndex) for each.
    ///
    /// Source: Linux `struct hv_get_vp_from_apic_id_in` (6.12); OpenVMM hvdef `GetVpIndexFromApicId`.
    pub struct VpIndexFromApicIdInput, 16 bytes {
        /// The partition, or [`PARTITION_SELF`](super::PARTITION_SELF).
        0: partition_id: U64,
        /// The virtual trust level.
        8: target_vtl: InputVtl,
        /// Zero.
        9: reserved: [u8; 7],
    }
}

wire_struct! {
    /// Input of [`GET_VP_REGISTERS`](crate::CallCode::GET_VP_REGISTERS), followed by [`RegisterName`](crate::RegisterName)s, u32
    /// each, and of [`SET_VP_REGISTERS`](crate::CallCode::SET_VP_REGISTERS), followed by [`RegisterAssoc`]s. The output of the
    /// former is a [`RegisterValue`] for each.
    ///
    /// Sources: TLFS "HvCallGetVpRegisters"; Linux `struct hv_input_get_vp_registers`.
    pub struct VpRegistersInput, 16 bytes {
        /// The partition, or [`PARTITION_SELF`](super::PARTITION_SELF).
        0: partition_id: U64,
        /// The [`VpIndex`](crate::VpIndex) of the processor.
        8: vp_index: U32,
        /// The virtual trust level.
        12: input_vtl: InputVtl,
        /// Zero.
        13: reserved: [u8; 3],
    }
}

wire_struct! {
    /// The value of a register: 1 to 16 bytes, by the register, and zeroes behind.
    ///
    /// Source: Linux `union hv_register_value`.
    pub struct RegisterValue, 16 bytes {
        /// The value's low half.
        0: low: U64,
        /// Its high half.
        8: high: U64,
    }
}

wire_struct! {
    /// A register and the value that it gets.
    ///
    /// Source: Linux `struct hv_register_assoc`.
    pub struct RegisterAssoc, 32 bytes {
        /// The [`RegisterName`](crate::RegisterName).
        0: name: U32,
        /// Zero.
        4: reserved: [u8; 12],
        /// The value.
        16: value: RegisterValue,
    }
}

wire_struct! {
    /// Input of [`TRANSLATE_VIRTUAL_ADDRESS`](crate::CallCode::TRANSLATE_VIRTUAL_ADDRESS) and of its `EX` form.
    ///
    /// Sources: TLFS "HvCallTranslateVirtualAddress"; OpenVMM hvdef `TranslateVirtualAddressX64`.
    pub struct TranslateAddressInput, 32 bytes {
        /// The partition, or [`PARTITION_SELF`](super::PARTITION_SELF).
        0: partition_id: U64,
        /// The [`VpIndex`](crate::VpIndex) of the processor whose page tables count.
        8: vp_index: U32,
        /// Zero.
        12: reserved: U32,
        /// [`TranslateFlags`], and the [`InputVtl`] in bits 63:56.
        16: control_flags: U64,
        /// Number of the page to translate.
        24: gva_page: U64,
    }
}

bitflags::bitflags! {
    /// As what an address is translated. Source: OpenVMM hvdef `TranslateGvaControlFlagsX64`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct TranslateFlags: u64 {
        /// To be read.
        const VALIDATE_READ = 1 << 0;
        /// To be written.
        const VALIDATE_WRITE = 1 << 1;
        /// To be executed.
        const VALIDATE_EXECUTE = 1 << 2;
        /// x86-64: without regard to privilege.
        const PRIVILEGE_EXEMPT = 1 << 3;
        /// Note the access in the page tables.
        const SET_PAGE_TABLE_BITS = 1 << 4;
        /// Lock the TLB.
        const TLB_FLUSH_INHIBIT = 1 << 5;
        /// As a supervisor.
        const SUPERVISOR_ACCESS = 1 << 6;
        /// As a user.
        const USER_ACCESS = 1 << 7;
        /// x86-64: as if EFLAGS.AC were 0; AArch64: as if PSTATE.PAN were 1.
        const ENFORCE_SMAP = 1 << 8;
        /// x86-64: as if EFLAGS.AC were 1; AArch64: as if PSTATE.PAN were 0.
        const OVERRIDE_SMAP = 1 << 9;
        /// x86-64: as an access of the shadow stack.
        const SHADOW_STACK = 1 << 10;
        const _ = !0;
    }
}

open_code! {
    /// What came of a translation. Source: OpenVMM hvdef `TranslateGvaResultCode`.
    pub struct TranslateResult(u32) as "HV_TRANSLATE_GVA_" {
        /// There is a page.
        SUCCESS = 0,
        /// The page tables have none.
        PAGE_NOT_PRESENT = 1,
        /// The page may not be used so.
        PRIVILEGE_VIOLATION = 2,
        /// The page tables are wrong.
        INVALID_PAGE_TABLE_FLAGS = 3,
        /// There is no memory.
        GPA_UNMAPPED = 4,
        /// The memory may not be read.
        GPA_NO_READ_ACCESS = 5,
        /// The memory may not be written.
        GPA_NO_WRITE_ACCESS = 6,
        /// It is the hypervisor's overlay.
        GPA_ILLEGAL_OVERLAY_ACCESS = 7,
        /// A higher virtual trust level or a nested hypervisor intercepts it.
        INTERCEPT = 8,
        /// An isolated guest has not accepted the page.
        GPA_UNACCEPTED = 9,
    }
}

wire_struct! {
    /// Output of [`TRANSLATE_VIRTUAL_ADDRESS`](crate::CallCode::TRANSLATE_VIRTUAL_ADDRESS), and on AArch64 of its `EX` form.
    ///
    /// Source: OpenVMM hvdef `TranslateVirtualAddressOutput`.
    pub struct TranslateAddressOutput, 16 bytes {
        /// The [`TranslateResult`].
        0: result_code: U32,
        /// Bits 7:0 the memory's type, bit 8 it is an overlay.
        4: attributes: U32,
        /// Number of the page.
        8: gpa_page: U64,
    }
}

wire_struct! {
    /// Output of [`TRANSLATE_VIRTUAL_ADDRESS_EX`](crate::CallCode::TRANSLATE_VIRTUAL_ADDRESS_EX) on x86-64.
    ///
    /// Source: OpenVMM hvdef `TranslateVirtualAddressExOutputX64`.
    pub struct TranslateAddressExOutput, 64 bytes {
        /// The [`TranslateResult`].
        0: result_code: U32,
        /// Bits 7:0 the memory's type, bit 8 it is an overlay.
        4: attributes: U32,
        /// Zero.
        8: reserved0: U64,
        /// The event that the access would raise, as in the pending event registers.
        16: event: [u8; 32],
        /// Number of the page.
        48: gpa_page: U64,
        /// Zero.
        56: reserved1: U64,
    }
}

wire_struct! {
    /// Input of [`CREATE_VP`](crate::CallCode::CREATE_VP), for the root partition.
    ///
    /// Source: Linux `struct hv_create_vp`.
    pub struct CreateVpInput, 40 bytes {
        /// The partition.
        0: partition_id: U64,
        /// The [`VpIndex`](crate::VpIndex) of the processor.
        8: vp_index: U32,
        /// Zero.
        12: padding: [u8; 3],
        /// The [`SubnodeType`], low byte.
        15: subnode_type: u8,
        /// Which of its kind.
        16: subnode_id: U64,
        /// The NUMA node.
        24: proximity_domain: ProximityDomainInfo,
        /// Zero.
        32: flags: U64,
    }
}

open_code! {
    /// A part of a machine that a processor is in. Sources: Linux `enum HV_SUBNODE_TYPE` (6.1), which calls 2 an AMD node, and
    /// `HV_SUBNODE_*` (`include/hyperv`), which calls it a cluster.
    pub struct SubnodeType(u32) as "HV_SUBNODE_" {
        /// Anywhere.
        ANY = 0,
        /// In a socket.
        SOCKET = 1,
        /// In a cluster.
        CLUSTER = 2,
        /// At a third-level cache.
        L3 = 3,
        /// None.
        INVALID = u32::MAX,
    }
}

wire_struct! {
    /// Input of [`DELETE_VP`](crate::CallCode::DELETE_VP), for the root partition.
    ///
    /// Source: Linux `union hv_input_delete_vp` (`include/hyperv`).
    pub struct DeleteVpInput, 16 bytes {
        /// The partition.
        0: partition_id: U64,
        /// The [`VpIndex`](crate::VpIndex) of the processor.
        8: vp_index: U32,
        /// Zero.
        12: reserved: U32,
    }
}

wire_struct! {
    /// Input of [`ADD_LOGICAL_PROCESSOR`](crate::CallCode::ADD_LOGICAL_PROCESSOR), for the root partition.
    ///
    /// Source: Linux `struct hv_input_add_logical_processor` (6.12). Linux 6.1 declares u64 flags behind
    /// (`hv_add_logical_processor_in`, 24 bytes) and leaves them 0.
    pub struct AddLogicalProcessorInput, 16 bytes {
        /// The number of the logical processor.
        0: lp_index: U32,
        /// Its APIC id.
        4: apic_id: U32,
        /// Its NUMA node.
        8: proximity_domain: ProximityDomainInfo,
    }
}

wire_struct! {
    /// Output of [`ADD_LOGICAL_PROCESSOR`](crate::CallCode::ADD_LOGICAL_PROCESSOR): how it started.
    ///
    /// Source: Linux `struct hv_lp_startup_status`.
    pub struct AddLogicalProcessorOutput, 56 bytes {
        /// The [`HvStatus`](crate::HvStatus).
        0: status: U64,
        /// More about it; the hypervisor's own.
        8: substatus: [U64; 6],
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::format;

    use super::*;

    #[test]
    fn a_level_counts_only_with_its_bit() {
        assert_eq!(InputVtl::CURRENT.vtl(), None);
        assert_eq!(InputVtl::target(2), InputVtl(0x12));
        assert_eq!(InputVtl::target(0xff).vtl(), Some(15));
        assert_eq!(
            format!("{:?} {:?}", InputVtl::target(1), InputVtl(3)),
            "InputVtl(1) InputVtl(current, 0x3)"
        );
    }
}
