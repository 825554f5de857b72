//! The leaves with little in them.

use crate::macros::open_code;

use super::CpuidRegisters;

/// Leaves 0x40000000 and 0x40000080: the highest leaf of the range, and who made it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct VendorLeaf {
    /// EAX: the highest leaf of this range.
    pub max_leaf: u32,
    /// EBX, ECX, EDX: the maker, as text. For display only, says the specification.
    pub vendor: [u8; 12],
}

impl VendorLeaf {
    /// The leaf from its registers.
    #[must_use]
    pub const fn from_registers(registers: CpuidRegisters) -> Self {
        let [a, b, c, d] = registers.ebx.to_le_bytes();
        let [e, f, g, h] = registers.ecx.to_le_bytes();
        let [i, j, k, l] = registers.edx.to_le_bytes();
        Self {
            max_leaf: registers.eax,
            vendor: [a, b, c, d, e, f, g, h, i, j, k, l],
        }
    }

    /// The leaf as its registers.
    #[must_use]
    pub const fn to_registers(self) -> CpuidRegisters {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = self.vendor;
        CpuidRegisters {
            eax: self.max_leaf,
            ebx: u32::from_le_bytes([a, b, c, d]),
            ecx: u32::from_le_bytes([e, f, g, h]),
            edx: u32::from_le_bytes([i, j, k, l]),
        }
    }
}

/// Leaf 0x40000002: the version of the hypervisor; on Hyper-V that of Windows.
///
/// Sources: TLFS "Hypervisor System Identity"; Linux `union hv_hypervisor_version_info`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct HypervisorVersion {
    /// EBX 31:16.
    pub major: u16,
    /// EBX 15:0.
    pub minor: u16,
    /// EAX.
    pub build: u32,
    /// ECX.
    pub service_pack: u32,
    /// EDX: the service branch in bits 31:24 and the service number below.
    pub service: u32,
}

impl HypervisorVersion {
    /// The leaf from its registers.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "each cast takes the field that the shift left"
    )]
    pub const fn from_registers(registers: CpuidRegisters) -> Self {
        Self {
            major: (registers.ebx >> 16) as u16,
            minor: registers.ebx as u16,
            build: registers.eax,
            service_pack: registers.ecx,
            service: registers.edx,
        }
    }

    /// The leaf as its registers.
    #[must_use]
    pub const fn to_registers(self) -> CpuidRegisters {
        CpuidRegisters {
            eax: self.build,
            ebx: (self.major as u32) << 16 | self.minor as u32,
            ecx: self.service_pack,
            edx: self.service,
        }
    }
}

/// Leaf 0x40000005: how much the hypervisor can do; 0 where it does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LimitsLeaf {
    /// EAX: virtual processors in a partition.
    pub virtual_processors: u32,
    /// EBX: logical processors.
    pub logical_processors: u32,
    /// ECX: physical interrupt vectors that can be remapped.
    pub interrupt_vectors: u32,
    /// EDX: reserved.
    pub reserved: u32,
}

impl LimitsLeaf {
    /// The leaf from its registers.
    #[must_use]
    pub const fn from_registers(registers: CpuidRegisters) -> Self {
        Self {
            virtual_processors: registers.eax,
            logical_processors: registers.ebx,
            interrupt_vectors: registers.ecx,
            reserved: registers.edx,
        }
    }

    /// The leaf as its registers.
    #[must_use]
    pub const fn to_registers(self) -> CpuidRegisters {
        CpuidRegisters {
            eax: self.virtual_processors,
            ebx: self.logical_processors,
            ecx: self.interrupt_vectors,
            edx: self.reserved,
        }
    }
}

bitflags::bitflags! {
    /// EAX of leaf 0x40000007: how the root partition manages processors. Source: Linux
    /// `HV_X64_START_LOGICAL_PROCESSOR` and on.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct CpuManagement: u32 {
        /// It starts logical processors.
        const START_LOGICAL_PROCESSOR = 1 << 0;
        /// It creates its own virtual processors.
        const CREATE_ROOT_VIRTUAL_PROCESSOR = 1 << 1;
        /// It synchronizes the performance counter.
        const PERFORMANCE_COUNTER_SYNC = 1 << 2;
        /// Reserved.
        const RESERVED_IDENTITY = 1 << 31;
        const _ = !0;
    }
}

bitflags::bitflags! {
    /// EAX of leaf 0x40000008, of which bits 31:11 are a number: see [`SvmLeaf::max_pasids`].
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct SvmFeatures: u32 {
        /// Devices can use a process's virtual memory.
        const SUPPORTED = 1 << 0;
        const _ = !0;
    }
}

/// Leaf 0x40000008: memory that devices share with processes, for the root partition.
///
/// Source: Microsoft's hypervisor development kit, `HV_HYPERVISOR_SVM_FEATURES`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SvmLeaf {
    /// EAX.
    pub features: SvmFeatures,
    /// EBX: the most spaces of process address space ids (PASIDs).
    pub max_pasid_spaces: u32,
    /// ECX: the most entries of a device's queue of page requests.
    pub max_device_queue: u32,
    /// EDX: reserved.
    pub reserved: u32,
}

impl SvmLeaf {
    /// The leaf from its registers.
    #[must_use]
    pub const fn from_registers(registers: CpuidRegisters) -> Self {
        Self {
            features: SvmFeatures::from_bits_retain(registers.eax),
            max_pasid_spaces: registers.ebx,
            max_device_queue: registers.ecx,
            reserved: registers.edx,
        }
    }

    /// The leaf as its registers.
    #[must_use]
    pub const fn to_registers(self) -> CpuidRegisters {
        CpuidRegisters {
            eax: self.features.bits(),
            ebx: self.max_pasid_spaces,
            ecx: self.max_device_queue,
            edx: self.reserved,
        }
    }

    /// The most PASIDs in a space, 21 bits.
    #[must_use]
    pub const fn max_pasids(self) -> u32 {
        self.features.bits() >> 11
    }
}

bitflags::bitflags! {
    /// EAX of leaf 0x40000009: which MSRs a nested hypervisor may use of the one below. EDX is
    /// [`Features`](super::Features).
    ///
    /// Source: TLFS "Nested Hypervisor Feature Identification", which has the last at bit 12 where leaf 0x40000003
    /// has bit 13.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct NestedAccess: u32 {
        /// The SynIC.
        const SYNIC = 1 << 2;
        /// EOI, ICR and TPR.
        const APIC = 1 << 4;
        /// The guest OS id and the hypercall page.
        const HYPERCALL = 1 << 5;
        /// The VP index.
        const VP_INDEX = 1 << 6;
        /// The controls of a reenlightenment.
        const REENLIGHTENMENT = 1 << 12;
        const _ = !0;
    }
}

bitflags::bitflags! {
    /// EAX of leaf 0x4000000A: enlightenments for a nested hypervisor.
    ///
    /// Sources: TLFS "Hypervisor Nested Virtualization Features"; Linux `HV_X64_NESTED_*`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct NestedFeatures: u32 {
        /// The lowest version of the enlightened VMCS: bits 7:0 as a number.
        const EVMCS_VERSION_LOW = 0xff;
        /// The highest version of the enlightened VMCS: bits 15:8 as a number.
        const EVMCS_VERSION_HIGH = 0xff << 8;
        /// Flushes by hypercall straight from the nested guest.
        const DIRECT_FLUSH = 1 << 17;
        /// The flush of guest-physical addresses by hypercall.
        const GUEST_MAPPING_FLUSH = 1 << 18;
        /// The enlightened MSR bitmap.
        const MSR_BITMAP = 1 << 19;
        /// Virtualization exceptions in the class of page faults.
        const VIRTUALIZATION_EXCEPTION = 1 << 20;
        /// AMD: a flush of an ASID leaves what the nested page table gave.
        const ENLIGHTENED_TLB = 1 << 22;
        const _ = !0;
    }
}

bitflags::bitflags! {
    /// EBX of leaf 0x4000000A. Source: Linux `HV_X64_NESTED_EVMCS1_PERF_GLOBAL_CTRL`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct NestedFeatures2: u32 {
        /// The enlightened VMCS has PERF_GLOBAL_CTRL.
        const EVMCS1_PERF_GLOBAL_CTRL = 1 << 0;
        const _ = !0;
    }
}

open_code! {
    /// How a partition is kept from its host, 0 to 15. Sources: Linux `enum hv_isolation_type`; OpenVMM
    /// `HvPartitionIsolationType`.
    pub struct IsolationType(u8) as "" {
        /// Not at all.
        NONE = 0,
        /// By the hypervisor.
        VBS = 1,
        /// By AMD SEV-SNP.
        SNP = 2,
        /// By Intel TDX.
        TDX = 3,
    }
}

/// Leaf 0x4000000C: how the partition is kept from its host.
///
/// Sources: Linux `HV_ISOLATION_TYPE` and on; OpenVMM `HvIsolationConfiguration`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct IsolationLeaf {
    /// The registers, from which the methods take the fields.
    pub registers: CpuidRegisters,
}

impl IsolationLeaf {
    /// The leaf from its registers.
    #[must_use]
    pub const fn from_registers(registers: CpuidRegisters) -> Self {
        Self { registers }
    }

    /// The leaf as its registers.
    #[must_use]
    pub const fn to_registers(self) -> CpuidRegisters {
        self.registers
    }

    /// EAX bit 0: a paravisor stands between guest and host.
    #[must_use]
    pub const fn has_paravisor(self) -> bool {
        self.registers.eax & 1 != 0
    }

    /// EBX 3:0: by what it is kept.
    #[must_use]
    pub const fn isolation_type(self) -> IsolationType {
        IsolationType((self.registers.ebx & 0xf) as u8)
    }

    /// EBX 11:6, when EBX bit 5 is set: the number of the address bit from which on memory is shared with the host.
    #[must_use]
    pub const fn shared_gpa_boundary_bits(self) -> Option<u8> {
        if self.registers.ebx & 1 << 5 == 0 {
            None
        } else {
            Some((self.registers.ebx >> 6 & 0x3f) as u8)
        }
    }
}

bitflags::bitflags! {
    /// EAX of leaf 0x40000082: the virtualization stack. Sources: OpenVMM `VS1_PARTITION_PROPERTIES_*`; Linux; QEMU
    /// for bit 1.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct VirtStackProperties: u32 {
        /// The partition may be moved to another machine.
        const PORTABLE = 1 << 0;
        /// The synthetic debugger is there.
        const DEBUG_DEVICE = 1 << 1;
        /// I/O APIC entries have the extended form, with destination ids of 15 bits.
        const EXTENDED_IOAPIC_RTE = 1 << 2;
        const _ = !0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn isolation_fields_stand_where_linux_has_them() {
        let leaf = IsolationLeaf::from_registers(CpuidRegisters {
            eax: 1,
            ebx: 0xbe2,
            ecx: 0,
            edx: 0,
        });
        assert!(leaf.has_paravisor());
        assert_eq!(leaf.isolation_type(), IsolationType::SNP);
        assert_eq!(leaf.shared_gpa_boundary_bits(), Some(47));
        let plain = IsolationLeaf::default();
        assert_eq!(
            (plain.isolation_type(), plain.shared_gpa_boundary_bits()),
            (IsolationType::NONE, None)
        );
    }

    #[test]
    fn the_version_of_windows_server_2022() {
        let registers = CpuidRegisters {
            eax: 20348,
            ebx: 10 << 16,
            ecx: 0,
            edx: 0,
        };
        let version = HypervisorVersion::from_registers(registers);
        assert_eq!((version.major, version.minor, version.build), (10, 0, 20348));
    }
}
