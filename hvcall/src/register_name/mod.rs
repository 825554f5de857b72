//! Names of a virtual processor's registers, as hypercalls have them.

mod arm64;
mod x64;

pub use arm64::RegisterNameArm64;
pub use x64::RegisterNameX64;

use crate::Msr;
use crate::macros::open_code;

open_code! {
    /// The name of a synthetic register in calls that read and set registers: on AArch64 the only way to them. Both
    /// architectures have these.
    ///
    /// Sources: TLFS "HV_REGISTER_NAME"; Linux `enum hv_register_name` (`include/hyperv`); OpenVMM `HvAllArchRegisterName`.
    pub struct RegisterName(u32) as "HV_REGISTER_" {
        /// Suspended by whoever made the partition.
        EXPLICIT_SUSPEND = 0x0000_0000,
        /// Suspended by an intercept.
        INTERCEPT_SUSPEND = 0x0000_0001,
        /// What an emulator of instructions has to know. (OpenVMM.)
        INSTRUCTION_EMULATION_HINTS = 0x0000_0002,
        /// Suspended by the root's scheduler.
        DISPATCH_SUSPEND = 0x0000_0003,
        /// Halted, idle or not started. (OpenVMM.)
        INTERNAL_ACTIVITY_STATE = 0x0000_0004,
        /// The version of the hypervisor, 128 bits:
        /// [`HypervisorVersion`](crate::cpuid::HypervisorVersion).
        HYPERVISOR_VERSION = 0x0000_0100,
        /// What the guest may use, 128 bits, of which the low 64 are [`MsrAccess`](crate::cpuid::MsrAccess) and
        /// [`CallAccess`](crate::cpuid::CallAccess); the rest differs from x86-64.
        PRIVILEGES_AND_FEATURES_INFO = 0x0000_0200,
        /// What the guest had better use, 128 bits, in an order of its own.
        FEATURES_INFO = 0x0000_0201,
        /// Limits, 128 bits: [`LimitsLeaf`](crate::cpuid::LimitsLeaf).
        IMPLEMENTATION_LIMITS_INFO = 0x0000_0202,
        /// What of the hardware is in use, 128 bits, in an order of its own.
        HARDWARE_FEATURES_INFO = 0x0000_0203,
        /// What leaf 0x4000_0007 tells on x86-64.
        CPU_MANAGEMENT_FEATURES_INFO = 0x0000_0204,
        /// What leaf 0x4000_0008 tells on x86-64.
        SVM_FEATURES_INFO = 0x0000_0205,
        /// What leaf 0x4000_0009 tells on x86-64, in part.
        SKIP_LEVEL_FEATURES_INFO = 0x0000_0206,
        /// What leaf 0x4000000A tells on x86-64.
        NESTED_VIRT_FEATURES_INFO = 0x0000_0207,
        /// Processor tracing.
        IPT_FEATURES_INFO = 0x0000_0208,
        /// What leaf 0x4000000C tells on x86-64. (OpenVMM.)
        ISOLATION_CONFIGURATION = 0x0000_0209,
        /// [`Msr::CRASH_P0`].
        GUEST_CRASH_P0 = 0x0000_0210,
        /// [`Msr::CRASH_P1`].
        GUEST_CRASH_P1 = 0x0000_0211,
        /// [`Msr::CRASH_P2`].
        GUEST_CRASH_P2 = 0x0000_0212,
        /// [`Msr::CRASH_P3`].
        GUEST_CRASH_P3 = 0x0000_0213,
        /// [`Msr::CRASH_P4`].
        GUEST_CRASH_P4 = 0x0000_0214,
        /// [`Msr::CRASH_CTL`].
        GUEST_CRASH_CTL = 0x0000_0215,
        /// [`Msr::GUEST_IDLE`].
        GUEST_IDLE = 0x0000_0250,
        /// An interruption that is to be delivered. (OpenVMM.)
        PENDING_INTERRUPTION = 0x0001_0002,
        /// Whether interrupts are held off. (OpenVMM.)
        INTERRUPT_STATE = 0x0001_0003,
        /// An event that is to be delivered. (OpenVMM.)
        PENDING_EVENT0 = 0x0001_0004,
        /// The second half of it. (OpenVMM.)
        PENDING_EVENT1 = 0x0001_0005,
        /// Of what deliverability a message is wanted. (OpenVMM.)
        DELIVERABILITY_NOTIFICATIONS = 0x0001_0006,
        /// AArch64: address of the interrupt redistributor. (OpenVMM.)
        GICR_BASE_GPA = 0x0006_3000,
        /// [`Msr::VP_RUNTIME`].
        VP_RUNTIME = 0x0009_0000,
        /// x86-64: [`HypercallPage`](crate::msr::HypercallPage). (OpenVMM.)
        HYPERCALL = 0x0009_0001,
        /// [`Msr::GUEST_OS_ID`].
        GUEST_OS_ID = 0x0009_0002,
        /// [`Msr::VP_INDEX`].
        VP_INDEX = 0x0009_0003,
        /// [`Msr::TIME_REF_COUNT`].
        TIME_REF_COUNT = 0x0009_0004,
        /// Version of the management of processors.
        CPU_MANAGEMENT_VERSION = 0x0009_0007,
        /// [`Msr::VP_ASSIST_PAGE`].
        VP_ASSIST_PAGE = 0x0009_0013,
        /// Signals of the root's scheduler.
        VP_ROOT_SIGNAL_COUNT = 0x0009_0014,
        /// [`Msr::REFERENCE_TSC`].
        REFERENCE_TSC = 0x0009_0017,
        /// Configuration of the processor. (OpenVMM.)
        VP_CONFIG = 0x0009_0018,
        /// AMD SEV: the page for exits. (OpenVMM.)
        GHCB = 0x0009_0019,
        /// Sequence of the reference TSC page. (OpenVMM.)
        REFERENCE_TSC_SEQUENCE = 0x0009_001a,
        /// Event of the guest's scheduler. (OpenVMM.)
        GUEST_SCHEDULER_EVENT = 0x0009_001b,
        /// x86-64: where the page of registers is.
        REG_PAGE = 0x0009_001c,
        /// [`Msr::SINT0`]; the others follow.
        SINT0 = 0x000a_0000,
        /// [`SintRegister`](crate::synic::SintRegister) of SINT 1.
        SINT1 = 0x000a_0001,
        /// [`SintRegister`](crate::synic::SintRegister) of SINT 2.
        SINT2 = 0x000a_0002,
        /// [`SintRegister`](crate::synic::SintRegister) of SINT 3.
        SINT3 = 0x000a_0003,
        /// [`SintRegister`](crate::synic::SintRegister) of SINT 4.
        SINT4 = 0x000a_0004,
        /// [`SintRegister`](crate::synic::SintRegister) of SINT 5.
        SINT5 = 0x000a_0005,
        /// [`SintRegister`](crate::synic::SintRegister) of SINT 6.
        SINT6 = 0x000a_0006,
        /// [`SintRegister`](crate::synic::SintRegister) of SINT 7.
        SINT7 = 0x000a_0007,
        /// [`SintRegister`](crate::synic::SintRegister) of SINT 8.
        SINT8 = 0x000a_0008,
        /// [`SintRegister`](crate::synic::SintRegister) of SINT 9.
        SINT9 = 0x000a_0009,
        /// [`SintRegister`](crate::synic::SintRegister) of SINT 10.
        SINT10 = 0x000a_000a,
        /// [`SintRegister`](crate::synic::SintRegister) of SINT 11.
        SINT11 = 0x000a_000b,
        /// [`SintRegister`](crate::synic::SintRegister) of SINT 12.
        SINT12 = 0x000a_000c,
        /// [`SintRegister`](crate::synic::SintRegister) of SINT 13.
        SINT13 = 0x000a_000d,
        /// [`SintRegister`](crate::synic::SintRegister) of SINT 14.
        SINT14 = 0x000a_000e,
        /// [`SintRegister`](crate::synic::SintRegister) of SINT 15.
        SINT15 = 0x000a_000f,
        /// [`Msr::SCONTROL`].
        SCONTROL = 0x000a_0010,
        /// [`Msr::SVERSION`].
        SVERSION = 0x000a_0011,
        /// [`Msr::SIEFP`].
        SIEFP = 0x000a_0012,
        /// [`Msr::SIMP`].
        SIMP = 0x000a_0013,
        /// [`Msr::EOM`].
        EOM = 0x000a_0014,
        /// [`Msr::SIRBP`].
        SIRBP = 0x000a_0015,
        /// [`SINT0`](Self::SINT0) of the hypervisor below.
        NESTED_SINT0 = 0x000a_1000,
        /// [`SINT1`](Self::SINT1) of the hypervisor below.
        NESTED_SINT1 = 0x000a_1001,
        /// [`SINT2`](Self::SINT2) of the hypervisor below.
        NESTED_SINT2 = 0x000a_1002,
        /// [`SINT3`](Self::SINT3) of the hypervisor below.
        NESTED_SINT3 = 0x000a_1003,
        /// [`SINT4`](Self::SINT4) of the hypervisor below.
        NESTED_SINT4 = 0x000a_1004,
        /// [`SINT5`](Self::SINT5) of the hypervisor below.
        NESTED_SINT5 = 0x000a_1005,
        /// [`SINT6`](Self::SINT6) of the hypervisor below.
        NESTED_SINT6 = 0x000a_1006,
        /// [`SINT7`](Self::SINT7) of the hypervisor below.
        NESTED_SINT7 = 0x000a_1007,
        /// [`SINT8`](Self::SINT8) of the hypervisor below.
        NESTED_SINT8 = 0x000a_1008,
        /// [`SINT9`](Self::SINT9) of the hypervisor below.
        NESTED_SINT9 = 0x000a_1009,
        /// [`SINT10`](Self::SINT10) of the hypervisor below.
        NESTED_SINT10 = 0x000a_100a,
        /// [`SINT11`](Self::SINT11) of the hypervisor below.
        NESTED_SINT11 = 0x000a_100b,
        /// [`SINT12`](Self::SINT12) of the hypervisor below.
        NESTED_SINT12 = 0x000a_100c,
        /// [`SINT13`](Self::SINT13) of the hypervisor below.
        NESTED_SINT13 = 0x000a_100d,
        /// [`SINT14`](Self::SINT14) of the hypervisor below.
        NESTED_SINT14 = 0x000a_100e,
        /// [`SINT15`](Self::SINT15) of the hypervisor below.
        NESTED_SINT15 = 0x000a_100f,
        /// [`SCONTROL`](Self::SCONTROL) of the hypervisor below.
        NESTED_SCONTROL = 0x000a_1010,
        /// [`SVERSION`](Self::SVERSION) of the hypervisor below.
        NESTED_SVERSION = 0x000a_1011,
        /// [`SIEFP`](Self::SIEFP) of the hypervisor below.
        NESTED_SIFP = 0x000a_1012,
        /// [`SIMP`](Self::SIMP) of the hypervisor below.
        NESTED_SIPP = 0x000a_1013,
        /// [`EOM`](Self::EOM) of the hypervisor below.
        NESTED_EOM = 0x000a_1014,
        /// [`SIRBP`](Self::SIRBP) of the hypervisor below.
        NESTED_SIRBP = 0x000a_1015,
        /// [`Msr::STIMER0_CONFIG`]; its count and the other timers follow.
        STIMER0_CONFIG = 0x000b_0000,
        /// When synthetic timer 0 expires, or its period, in 100 ns.
        STIMER0_COUNT = 0x000b_0001,
        /// Where in the hypercall page calls and returns between virtual trust levels are.
        VSM_CODE_PAGE_OFFSETS = 0x000d_0002,
        /// The processor's virtual trust level.
        VSM_VP_STATUS = 0x000d_0003,
        /// Which virtual trust levels are enabled. (OpenVMM.)
        VSM_PARTITION_STATUS = 0x000d_0004,
        /// The interrupt that tells of interrupts for lower levels. (OpenVMM.)
        VSM_VINA = 0x000d_0005,
        /// What of virtual trust levels there is.
        VSM_CAPABILITIES = 0x000d_0006,
        /// How virtual trust levels are set up.
        VSM_PARTITION_CONFIG = 0x000d_0007,
        /// How many the guest may use. (OpenVMM.)
        GUEST_VSM_PARTITION_CONFIG = 0x000d_0008,
    }
}

impl Msr {
    /// The name of the register that has this MSR's meaning, where there is one.
    ///
    /// ```
    /// use hvcall::{Msr, RegisterName};
    ///
    /// assert_eq!(Msr::SIMP.register_name(), Some(RegisterName::SIMP));
    /// assert_eq!(Msr::HYPERCALL.register_name(), None); // there is no hypercall page on AArch64
    /// ```
    #[must_use]
    pub const fn register_name(self) -> Option<RegisterName> {
        Some(match self {
            Self::CRASH_P0 => RegisterName::GUEST_CRASH_P0,
            Self::CRASH_P1 => RegisterName::GUEST_CRASH_P1,
            Self::CRASH_P2 => RegisterName::GUEST_CRASH_P2,
            Self::CRASH_P3 => RegisterName::GUEST_CRASH_P3,
            Self::CRASH_P4 => RegisterName::GUEST_CRASH_P4,
            Self::CRASH_CTL => RegisterName::GUEST_CRASH_CTL,
            Self::GUEST_IDLE => RegisterName::GUEST_IDLE,
            Self::VP_RUNTIME => RegisterName::VP_RUNTIME,
            Self::GUEST_OS_ID => RegisterName::GUEST_OS_ID,
            Self::VP_INDEX => RegisterName::VP_INDEX,
            Self::TIME_REF_COUNT => RegisterName::TIME_REF_COUNT,
            Self::VP_ASSIST_PAGE => RegisterName::VP_ASSIST_PAGE,
            Self::REFERENCE_TSC => RegisterName::REFERENCE_TSC,
            Self::SCONTROL => RegisterName::SCONTROL,
            Self::SVERSION => RegisterName::SVERSION,
            Self::SIEFP => RegisterName::SIEFP,
            Self::SIMP => RegisterName::SIMP,
            Self::EOM => RegisterName::EOM,
            Self::SIRBP => RegisterName::SIRBP,
            // Both number the sources, and the timers' registers, in the same order.
            Self(0x4000_0090..=0x4000_009f) => RegisterName(RegisterName::SINT0.0 | self.0 & 0xf),
            Self(0x4000_00b0..=0x4000_00b7) => RegisterName(RegisterName::STIMER0_CONFIG.0 | self.0 & 7),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sint;

    #[test]
    fn numbered_registers_follow_one_another() {
        let names = Sint::all().map(|sint| Msr::sint(sint).register_name().unwrap().0);
        assert!(names.eq(0xa_0000..0xa_0010));
        assert_eq!(Msr::STIMER3_COUNT.register_name(), Some(RegisterName(0xb_0007)));
        assert_eq!(Msr(0x4000_00b8).register_name(), None);
        assert_eq!(Msr::RESET.register_name(), None);
    }
}
