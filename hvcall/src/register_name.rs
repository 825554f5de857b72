//! Names of a virtual processor's registers, as hypercalls have them.

use crate::Msr;
use crate::macros::open_code;

open_code! {
    /// The name of a synthetic register in calls that read and set registers: on AArch64 the only way to them.
    ///
    /// Sources: TLFS "HV_REGISTER_NAME"; Linux `enum hv_register_name`; OpenVMM `HvArm64RegisterName`.
    pub struct RegisterName(u32) as "HV_REGISTER_" {
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
        /// [`Msr::VP_RUNTIME`].
        VP_RUNTIME = 0x0009_0000,
        /// [`Msr::GUEST_OS_ID`].
        GUEST_OS_ID = 0x0009_0002,
        /// [`Msr::VP_INDEX`].
        VP_INDEX = 0x0009_0003,
        /// [`Msr::TIME_REF_COUNT`].
        TIME_REF_COUNT = 0x0009_0004,
        /// [`Msr::VP_ASSIST_PAGE`].
        VP_ASSIST_PAGE = 0x0009_0013,
        /// [`Msr::REFERENCE_TSC`].
        REFERENCE_TSC = 0x0009_0017,
        /// [`Msr::SINT0`]; the others follow.
        SINT0 = 0x000a_0000,
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
        /// [`Msr::STIMER0_CONFIG`]; its count and the other timers follow.
        STIMER0_CONFIG = 0x000b_0000,
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
