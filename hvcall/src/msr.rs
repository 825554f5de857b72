//! Synthetic MSRs of x86-64, and the layouts of those that belong to no other module.

use crate::Sint;
use crate::macros::open_code;
use crate::page_register::page_register;

open_code! {
    /// The number of a synthetic MSR.
    ///
    /// Sources: TLFS appendix F and the chapters of each; Linux `HV_X64_MSR_*`; QEMU for the synthetic debugger's.
    pub struct Msr(u32) as "HV_X64_MSR_" {
        /// Who the guest is: [`GuestOsId`](crate::GuestOsId). For the whole partition.
        GUEST_OS_ID = 0x4000_0000,
        /// Where the hypercall page is: [`HypercallPage`]. For the whole partition.
        HYPERCALL = 0x4000_0001,
        /// The [`VpIndex`](crate::VpIndex) of this processor. Read-only.
        VP_INDEX = 0x4000_0002,
        /// Bit 0 resets the machine.
        RESET = 0x4000_0003,
        /// Time that this processor has run, in 100 ns. Read-only.
        VP_RUNTIME = 0x4000_0010,
        /// The partition's reference time, in 100 ns. Read-only.
        TIME_REF_COUNT = 0x4000_0020,
        /// Where the reference TSC page is: [`ReferenceTsc`](crate::time::ReferenceTsc). For the whole partition.
        REFERENCE_TSC = 0x4000_0021,
        /// Frequency of the TSC in Hz. Read-only.
        TSC_FREQUENCY = 0x4000_0022,
        /// Frequency of the local APIC's timer in Hz. Read-only.
        APIC_FREQUENCY = 0x4000_0023,
        /// The local APIC's EOI register.
        EOI = 0x4000_0070,
        /// The local APIC's ICR, the high half in bits 63:32.
        ICR = 0x4000_0071,
        /// The local APIC's TPR.
        TPR = 0x4000_0072,
        /// Where this processor's assist page is: [`VpAssistPage`].
        VP_ASSIST_PAGE = 0x4000_0073,
        /// [`Scontrol`](crate::synic::Scontrol).
        SCONTROL = 0x4000_0080,
        /// [`SYNIC_VERSION`](crate::synic::SYNIC_VERSION). Read-only.
        SVERSION = 0x4000_0081,
        /// [`Siefp`](crate::synic::Siefp).
        SIEFP = 0x4000_0082,
        /// [`Simp`](crate::synic::Simp).
        SIMP = 0x4000_0083,
        /// Writing [`EOM`](crate::synic::EOM) asks for the next message.
        EOM = 0x4000_0084,
        /// [`Sirbp`](crate::synic::Sirbp), in a parent partition.
        SIRBP = 0x4000_0085,
        /// [`SintRegister`](crate::synic::SintRegister) of SINT 0; the others follow, see [`Msr::sint`].
        SINT0 = 0x4000_0090,
        /// [`SintRegister`](crate::synic::SintRegister) of SINT 1.
        SINT1 = 0x4000_0091,
        /// [`SintRegister`](crate::synic::SintRegister) of SINT 2.
        SINT2 = 0x4000_0092,
        /// [`SintRegister`](crate::synic::SintRegister) of SINT 3.
        SINT3 = 0x4000_0093,
        /// [`SintRegister`](crate::synic::SintRegister) of SINT 4.
        SINT4 = 0x4000_0094,
        /// [`SintRegister`](crate::synic::SintRegister) of SINT 5.
        SINT5 = 0x4000_0095,
        /// [`SintRegister`](crate::synic::SintRegister) of SINT 6.
        SINT6 = 0x4000_0096,
        /// [`SintRegister`](crate::synic::SintRegister) of SINT 7.
        SINT7 = 0x4000_0097,
        /// [`SintRegister`](crate::synic::SintRegister) of SINT 8.
        SINT8 = 0x4000_0098,
        /// [`SintRegister`](crate::synic::SintRegister) of SINT 9.
        SINT9 = 0x4000_0099,
        /// [`SintRegister`](crate::synic::SintRegister) of SINT 10.
        SINT10 = 0x4000_009a,
        /// [`SintRegister`](crate::synic::SintRegister) of SINT 11.
        SINT11 = 0x4000_009b,
        /// [`SintRegister`](crate::synic::SintRegister) of SINT 12.
        SINT12 = 0x4000_009c,
        /// [`SintRegister`](crate::synic::SintRegister) of SINT 13.
        SINT13 = 0x4000_009d,
        /// [`SintRegister`](crate::synic::SintRegister) of SINT 14.
        SINT14 = 0x4000_009e,
        /// [`SintRegister`](crate::synic::SintRegister) of SINT 15.
        SINT15 = 0x4000_009f,
        /// [`StimerConfig`](crate::time::StimerConfig) of synthetic timer 0.
        STIMER0_CONFIG = 0x4000_00b0,
        /// When synthetic timer 0 expires, or its period, in 100 ns.
        STIMER0_COUNT = 0x4000_00b1,
        /// [`StimerConfig`](crate::time::StimerConfig) of synthetic timer 1.
        STIMER1_CONFIG = 0x4000_00b2,
        /// When synthetic timer 1 expires, or its period, in 100 ns.
        STIMER1_COUNT = 0x4000_00b3,
        /// [`StimerConfig`](crate::time::StimerConfig) of synthetic timer 2.
        STIMER2_CONFIG = 0x4000_00b4,
        /// When synthetic timer 2 expires, or its period, in 100 ns.
        STIMER2_COUNT = 0x4000_00b5,
        /// [`StimerConfig`](crate::time::StimerConfig) of synthetic timer 3.
        STIMER3_CONFIG = 0x4000_00b6,
        /// When synthetic timer 3 expires, or its period, in 100 ns.
        STIMER3_COUNT = 0x4000_00b7,
        /// Reading it idles the processor until an interrupt comes.
        GUEST_IDLE = 0x4000_00f0,
        /// Synthetic debugger: send or receive.
        SYNDBG_CONTROL = 0x4000_00f1,
        /// Synthetic debugger: what came of it.
        SYNDBG_STATUS = 0x4000_00f2,
        /// Synthetic debugger: address of what is sent.
        SYNDBG_SEND_BUFFER = 0x4000_00f3,
        /// Synthetic debugger: address of what is received.
        SYNDBG_RECV_BUFFER = 0x4000_00f4,
        /// Synthetic debugger: address of the word that tells of data.
        SYNDBG_PENDING_BUFFER = 0x4000_00f5,
        /// Synthetic debugger: bit 2 has it use hypercalls.
        SYNDBG_OPTIONS = 0x4000_00ff,
        /// First parameter of a crash.
        CRASH_P0 = 0x4000_0100,
        /// Second parameter of a crash.
        CRASH_P1 = 0x4000_0101,
        /// Third parameter of a crash.
        CRASH_P2 = 0x4000_0102,
        /// Fourth parameter of a crash, or the address of the message.
        CRASH_P3 = 0x4000_0103,
        /// Fifth parameter of a crash, or the length of the message.
        CRASH_P4 = 0x4000_0104,
        /// [`CrashControl`](crate::crash::CrashControl).
        CRASH_CTL = 0x4000_0105,
        /// [`ReenlightenmentControl`].
        REENLIGHTENMENT_CONTROL = 0x4000_0106,
        /// [`TscEmulation`]: accesses to the TSC are emulated after a migration.
        TSC_EMULATION_CONTROL = 0x4000_0107,
        /// [`TscEmulation`]: accesses to the TSC are being emulated.
        TSC_EMULATION_STATUS = 0x4000_0108,
        /// Bit 0: the guest sees the architecture's bit for an invariant TSC.
        TSC_INVARIANT_CONTROL = 0x4000_0118,
        /// [`SCONTROL`](Self::SCONTROL) of the hypervisor below.
        NESTED_SCONTROL = 0x4000_1080,
        /// [`SVERSION`](Self::SVERSION) of the hypervisor below.
        NESTED_SVERSION = 0x4000_1081,
        /// [`SIEFP`](Self::SIEFP) of the hypervisor below.
        NESTED_SIEFP = 0x4000_1082,
        /// [`SIMP`](Self::SIMP) of the hypervisor below.
        NESTED_SIMP = 0x4000_1083,
        /// [`EOM`](Self::EOM) of the hypervisor below.
        NESTED_EOM = 0x4000_1084,
        /// [`SINT0`](Self::SINT0) of the hypervisor below; the others follow.
        NESTED_SINT0 = 0x4000_1090,
    }
}

impl Msr {
    /// The register of this source.
    #[must_use]
    pub const fn sint(sint: Sint) -> Self {
        Self(Self::SINT0.0 | sint.number() as u32)
    }

    /// The configuration of the synthetic timer with this number, or `None` from 4 on.
    #[must_use]
    pub const fn stimer_config(timer: u8) -> Option<Self> {
        if timer < 4 {
            Some(Self(Self::STIMER0_CONFIG.0 | (timer as u32) << 1))
        } else {
            None
        }
    }

    /// The count of the synthetic timer with this number, or `None` from 4 on.
    #[must_use]
    pub const fn stimer_count(timer: u8) -> Option<Self> {
        if timer < 4 {
            Some(Self(Self::STIMER0_COUNT.0 | (timer as u32) << 1))
        } else {
            None
        }
    }
}

page_register! {
    /// Where the hypercall page is; 0 at reset. It stays off while the guest OS id is 0. Sources: TLFS "Establishing
    /// the Hypercall Interface"; Linux `hv_x64_msr_hypercall_contents`.
    HypercallPage;
    /// Where a processor's assist page is. Source: Linux `hv_vp_assist_msr_contents`.
    VpAssistPage;
}

impl HypercallPage {
    /// Whether the register can't be changed until the machine is reset (bit 1).
    #[must_use]
    pub const fn is_locked(self) -> bool {
        self.bits() & 2 != 0
    }
}

bitflags::bitflags! {
    /// Whether accesses to the TSC are emulated. Source: Linux `struct hv_tsc_emulation_control` and
    /// `struct hv_tsc_emulation_status`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct TscEmulation: u64 {
        /// They are.
        const ENABLED = 1 << 0;
        const _ = !0;
    }
}

/// Which processor is told after a migration to a host with another TSC frequency.
///
/// Vector in bits 7:0, enabled in bit 16, the processor's VP index in bits 63:32. Source: Linux
/// `hv_reenlightenment_control`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ReenlightenmentControl {
    /// The interrupt's vector.
    pub vector: u8,
    /// Whether it is sent.
    pub enabled: bool,
    /// The processor that gets it.
    pub target: crate::VpIndex,
}

impl ReenlightenmentControl {
    /// The fields of the register; reserved bits are dropped.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "each cast takes the field that the shift left"
    )]
    pub const fn from_bits(bits: u64) -> Self {
        Self {
            vector: bits as u8,
            enabled: bits & 1 << 16 != 0,
            target: crate::VpIndex((bits >> 32) as u32),
        }
    }

    /// The register.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.vector as u64 | (self.enabled as u64) << 16 | (self.target.0 as u64) << 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbered_registers_are_where_they_are_named() {
        assert_eq!(Msr::sint(Sint::new(15).unwrap()), Msr::SINT15);
        assert_eq!(Msr::sint(Sint::VMBUS), Msr::SINT2);
        assert_eq!(Msr::stimer_config(3), Some(Msr::STIMER3_CONFIG));
        assert_eq!(Msr::stimer_count(3), Some(Msr::STIMER3_COUNT));
        assert_eq!((Msr::stimer_config(4), Msr::stimer_count(4)), (None, None));
    }

    #[test]
    fn names_are_the_specifications() {
        assert_eq!(Msr::SIMP.name(), Some("HV_X64_MSR_SIMP"));
        assert_eq!(Msr(0x4000_0200).name(), None);
    }

    #[test]
    fn reenlightenment_fields_stand_where_linux_has_them() {
        let control = ReenlightenmentControl {
            vector: 0xee,
            enabled: true,
            target: crate::VpIndex(3),
        };
        assert_eq!(control.bits(), 0x3_0001_00ee);
        assert_eq!(ReenlightenmentControl::from_bits(control.bits()), control);
    }
}
