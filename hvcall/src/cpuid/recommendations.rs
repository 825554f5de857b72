//! Leaves 0x40000004 and 0x40000006: what the guest had better use, and what of the hardware is in use.

use super::CpuidRegisters;

bitflags::bitflags! {
    /// EAX of leaf 0x40000004: what the hypervisor recommends.
    ///
    /// Sources: TLFS "Implementation Recommendations"; Linux `HV_X64_*_RECOMMENDED`; OpenVMM
    /// `HvEnlightenmentInformation`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Recommendations: u32 {
        /// Change address spaces by hypercall.
        const ADDRESS_SPACE_SWITCH = 1 << 0;
        /// Flush the own TLB by hypercall.
        const LOCAL_TLB_FLUSH = 1 << 1;
        /// Flush other TLBs by hypercall.
        const REMOTE_TLB_FLUSH = 1 << 2;
        /// Use the MSRs for EOI, ICR and TPR.
        const APIC_MSRS = 1 << 3;
        /// Reset through the MSR.
        const SYSTEM_RESET_MSR = 1 << 4;
        /// Run without watchdogs that rely on timely interrupts.
        const RELAXED_TIMING = 1 << 5;
        /// Use DMA remapping. Deprecated.
        const DMA_REMAPPING = 1 << 6;
        /// Use interrupt remapping. Deprecated.
        const INTERRUPT_REMAPPING = 1 << 7;
        /// Use the MSRs of x2APIC.
        const X2APIC_MSRS = 1 << 8;
        /// Do without AutoEOI.
        const DEPRECATING_AEOI = 1 << 9;
        /// Send interrupts between processors by hypercall.
        const CLUSTER_IPI = 1 << 10;
        /// Use the calls with sparse sets of processors.
        const EX_PROCESSOR_MASKS = 1 << 11;
        /// The hypervisor is itself a guest of Hyper-V.
        const NESTED = 1 << 12;
        /// Use INT for system calls under mode-based execution control.
        const INT_FOR_MBEC_SYSTEM_CALLS = 1 << 13;
        /// Use the enlightened VMCS; leaf 0x4000000A tells more.
        const ENLIGHTENED_VMCS = 1 << 14;
        /// Take the root partition's bias of the performance counter.
        const SYNCED_TIMELINE = 1 << 15;
        /// Schedule by cores.
        const CORE_SCHEDULER = 1 << 16;
        /// Flush the own TLB by toggling CR4.PGE.
        const DIRECT_LOCAL_FLUSH_ENTIRE = 1 << 17;
        /// No core is shared with other processors than its SMT siblings, so STIBP is not needed.
        const NO_NONARCH_CORE_SHARING = 1 << 18;
        /// Use x2APIC.
        const X2APIC = 1 << 19;
        /// Restore the time after a resume.
        const RESTORE_TIME_ON_RESUME = 1 << 20;
        /// Access device memory by hypercall.
        const MMIO_HYPERCALLS = 1 << 21;
        /// Pin pages by hypercall.
        const GPA_PINNING = 1 << 22;
        /// Wake processors.
        const WAKE_VPS = 1 << 23;
        const _ = !0;
    }
}

/// Leaf 0x40000004.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RecommendationLeaf {
    /// EAX.
    pub recommendations: Recommendations,
    /// EBX: how often to try for a spin lock before telling the hypervisor;
    /// [`NEVER_NOTIFY`](Self::NEVER_NOTIFY) for never.
    pub spin_lock_retries: u32,
    /// ECX: bits 6:0 are the width of physical addresses in bits, or 0 when it is not told. The rest is reserved.
    pub physical_address_bits: u32,
    /// EDX: reserved.
    pub reserved: u32,
}

impl RecommendationLeaf {
    /// As [`spin_lock_retries`](Self::spin_lock_retries): the guest does not tell of locks that it waits for.
    pub const NEVER_NOTIFY: u32 = u32::MAX;

    /// The leaf from its registers.
    #[must_use]
    pub const fn from_registers(registers: CpuidRegisters) -> Self {
        Self {
            recommendations: Recommendations::from_bits_retain(registers.eax),
            spin_lock_retries: registers.ebx,
            physical_address_bits: registers.ecx,
            reserved: registers.edx,
        }
    }

    /// The leaf as its registers.
    #[must_use]
    pub const fn to_registers(self) -> CpuidRegisters {
        CpuidRegisters {
            eax: self.recommendations.bits(),
            ebx: self.spin_lock_retries,
            ecx: self.physical_address_bits,
            edx: self.reserved,
        }
    }
}

bitflags::bitflags! {
    /// EAX of leaf 0x40000006: what of the hardware the hypervisor found and uses.
    ///
    /// Sources: TLFS "Implementation Hardware Features"; OpenVMM `HvHardwareFeatures` from bit 10 on.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct HardwareFeatures: u32 {
        /// Assistance for the APIC's page.
        const APIC_OVERLAY_ASSIST = 1 << 0;
        /// MSR bitmaps.
        const MSR_BITMAPS = 1 << 1;
        /// The architecture's performance counters.
        const PERFORMANCE_COUNTERS = 1 << 2;
        /// Second-level address translation.
        const SECOND_LEVEL_TRANSLATION = 1 << 3;
        /// DMA remapping.
        const DMA_REMAPPING = 1 << 4;
        /// Interrupt remapping.
        const INTERRUPT_REMAPPING = 1 << 5;
        /// A memory patrol scrubber is there.
        const MEMORY_PATROL_SCRUBBER = 1 << 6;
        /// Protection from DMA.
        const DMA_PROTECTION = 1 << 7;
        /// HPET is asked for.
        const HPET_REQUESTED = 1 << 8;
        /// Synthetic timers lose their state when the processor sleeps.
        const SYNTHETIC_TIMERS_VOLATILE = 1 << 9;
        /// How deep the hypervisor is nested: bits 13:10 as a number.
        const HYPERVISOR_LEVEL = 0xf << 10;
        /// Interrupts have to be sent to physical destinations.
        const PHYSICAL_DESTINATION_MODE = 1 << 14;
        /// VMFUNC switches alias maps.
        const VMFUNC_ALIAS_MAP = 1 << 15;
        /// A register zeroes memory.
        const MEMORY_ZEROING = 1 << 16;
        /// Unrestricted guests.
        const UNRESTRICTED_GUEST = 1 << 17;
        /// Resource allocation.
        const RDT_A = 1 << 18;
        /// Resource monitoring.
        const RDT_M = 1 << 19;
        /// Performance monitoring for children.
        const CHILD_PERFMON_PMU = 1 << 20;
        /// Last branch records for children.
        const CHILD_PERFMON_LBR = 1 << 21;
        /// Processor trace for children.
        const CHILD_PERFMON_IPT = 1 << 22;
        /// The APIC is emulated.
        const APIC_EMULATION = 1 << 23;
        /// x2APIC is recommended for children.
        const CHILD_X2APIC = 1 << 24;
        /// The hardware's watchdog is taken.
        const HARDWARE_WATCHDOG_RESERVED = 1 << 25;
        /// Accesses of devices can be tracked.
        const DEVICE_ACCESS_TRACKING = 1 << 26;
        /// The hardware tracks accesses to guest-physical addresses.
        const HARDWARE_GPA_ACCESS_TRACKING = 1 << 27;
        const _ = !0;
    }
}
