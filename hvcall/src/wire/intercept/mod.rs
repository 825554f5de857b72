//! Intercepts: how they are asked for, and the payloads of the messages by which they come.
//!
//! For who creates partitions, and for a paravisor. Structures without a kernel's name are from OpenVMM's hvdef alone.

mod aarch64;
mod x86_64;

use zerocopy::little_endian::{U32, U64};

use crate::macros::{open_code, wire_struct};

pub use aarch64::{
    HypercallInterceptArm64, InterceptHeaderArm64, MemoryInterceptArm64, ResetInterceptArm64,
    SintDeliverableArm64,
};
pub use x86_64::{
    ApicEoiX64, CpuidInterceptX64, ExceptionInterceptX64, ExecutionStateX64, HypercallInterceptX64,
    InterceptHeaderX64, InterruptionDeliverableX64, IoPortInterceptX64, MemoryInterceptX64, MsrInterceptX64,
    SintDeliverableX64, SipiInterceptX64,
};

open_code! {
    /// What is intercepted. Sources: Linux `enum hv_intercept_type` (`include/hyperv`) up to 12; OpenVMM `HvInterceptType` above, which has
    /// no name for 13 down to 9.
    pub struct InterceptType(u32) as "HV_INTERCEPT_TYPE_" {
        /// x86-64: an I/O port.
        X64_IO_PORT = 0x0,
        /// x86-64: MSRs.
        X64_MSR = 0x1,
        /// x86-64: CPUID.
        X64_CPUID = 0x2,
        /// An exception.
        EXCEPTION = 0x3,
        /// Device memory. (Linux; reserved in older versions of the specification.)
        MMIO = 0x5,
        /// x86-64: CPUID, for all processors.
        X64_GLOBAL_CPUID = 0x6,
        /// x86-64: an SMI sent through the local APIC.
        X64_APIC_SMI = 0x7,
        /// Hypercalls that the hypervisor does not know.
        HYPERCALL = 0x8,
        /// x86-64: INIT and start-up interrupts sent through the local APIC.
        X64_APIC_INIT_SIPI = 0x9,
        /// x86-64: reads of the microcode's patch level.
        MC_UPDATE_PATCH_LEVEL_MSR_READ = 0xa,
        /// x86-64: writes to the local APIC.
        X64_APIC_WRITE = 0xb,
        /// x86-64: one MSR.
        X64_MSR_INDEX = 0xc,
        /// A connection that the hypervisor does not know. (OpenVMM.)
        UNKNOWN_SYNIC_CONNECTION = 0xd,
        /// x86-64: an EOI at the local APIC. (OpenVMM.)
        X64_APIC_EOI = 0xe,
        /// `RETARGET_INTERRUPT` for a device that the hypervisor does not know. (OpenVMM.)
        RETARGET_INTERRUPT_WITH_UNKNOWN_DEVICE_ID = 0xf,
        /// x86-64: I/O ports. (OpenVMM.)
        X64_IO_PORT_RANGE = 0x11,
        /// None.
        INVALID = u32::MAX,
    }
}

open_code! {
    /// How something was accessed. Source: Linux `enum hv_intercept_access_type` (`include/hyperv`); OpenVMM `HvInterceptAccessType`.
    pub struct InterceptAccess(u8) as "HV_INTERCEPT_ACCESS_" {
        /// Read.
        READ = 0,
        /// Written.
        WRITE = 1,
        /// Executed.
        EXECUTE = 2,
    }
}

bitflags::bitflags! {
    /// Which accesses an intercept is for. Source: OpenVMM `HV_INTERCEPT_ACCESS_MASK_*`; Linux the same.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct InterceptAccessMask: u32 {
        /// Reads.
        const READ = 1 << 0;
        /// Writes.
        const WRITE = 1 << 1;
        /// Executions.
        const EXECUTE = 1 << 2;
        const _ = !0;
    }
}

wire_struct! {
    /// Input of [`INSTALL_INTERCEPT`](crate::CallCode::INSTALL_INTERCEPT).
    ///
    /// Sources: TLFS "HvCallInstallIntercept"; OpenVMM hvdef `InstallIntercept`; Linux `union hv_intercept_parameters` (`include/hyperv`).
    pub struct InstallInterceptInput, 24 bytes {
        /// The partition.
        0: partition_id: U64,
        /// [`InterceptAccessMask`]; 0 takes the intercept away.
        8: access_mask: U32,
        /// The [`InterceptType`].
        12: intercept_type: U32,
        /// By the type: the port (u16, and the last one of a range in bits 31:16), the leaf, the vector, the MSR.
        16: parameters: U64,
    }
}

open_code! {
    /// How memory is cached. Source: OpenVMM `HvCacheType`.
    pub struct CacheType(u32) as "HV_CACHE_TYPE_" {
        /// Not.
        UNCACHED = 0,
        /// Writes are combined.
        WRITE_COMBINING = 1,
        /// Writes go through.
        WRITE_THROUGH = 4,
        /// Reads are cached, writes are not.
        WRITE_PROTECTED = 5,
        /// All is cached.
        WRITE_BACK = 6,
    }
}

bitflags::bitflags! {
    /// What is known of an access to memory. Source: Linux `union hv_x64_memory_access_info` (`include/hyperv`); OpenVMM
    /// `HvX64MemoryAccessInfo`, which names bit 3 `tlb_locked` and has bit 4.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct MemoryAccessInfo: u8 {
        /// The guest-virtual address counts.
        const GVA_VALID = 1 << 0;
        /// The guest-physical address is that of the guest-virtual one.
        const GVA_GPA_VALID = 1 << 1;
        /// It is a hypercall's output.
        const HYPERCALL_OUTPUT_PENDING = 1 << 2;
        /// The TLB is locked.
        const TLB_LOCKED = 1 << 3;
        /// It is a supervisor's shadow stack. (OpenVMM.)
        const SUPERVISOR_SHADOW_STACK = 1 << 4;
        const _ = !0;
    }
}

wire_struct! {
    /// Payload of [`INVALID_VP_REGISTER_VALUE`](crate::synic::MessageType::INVALID_VP_REGISTER_VALUE).
    ///
    /// Source: OpenVMM `HvInvalidVpRegisterMessage`.
    pub struct InvalidVpRegister, 8 bytes {
        /// The [`VpIndex`](crate::VpIndex) of the processor.
        0: vp_index: U32,
        /// Zero.
        4: reserved: U32,
    }
}
