//! The SynIC's registers: MSRs on x86-64, synthetic registers on AArch64.

use core::fmt;

use crate::page_register::page_register;

page_register! {
    /// Where the message page of a virtual processor is (SIMP); 0 at reset. Source: TLFS "SIMP Register"; Linux
    /// `hv_synic_simp`.
    Simp;
    /// Where the event flags page of a virtual processor is (SIEFP); 0 at reset. Source: TLFS "SIEFP Register"; Linux
    /// `hv_synic_siefp`.
    Siefp;
    /// Where the event ring page of a virtual processor is (SIRBP); only a parent partition has one. Source: Linux
    /// `hv_synic_sirbp`.
    Sirbp;
}

/// The version that SVERSION tells. Source: Linux `HV_SYNIC_VERSION_1`.
pub const SYNIC_VERSION: u32 = 1;

/// What a guest writes to EOM: the value does not matter, the specification asks for 0.
pub const EOM: u64 = 0;

bitflags::bitflags! {
    /// SCONTROL: whether a virtual processor takes messages and events; 0 at reset.
    ///
    /// Who changes it preserves the other bits. Source: TLFS "SCONTROL Register"; Linux `hv_synic_scontrol`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Scontrol: u64 {
        /// It takes them.
        const ENABLE = 1 << 0;
        const _ = !0;
    }
}

const MASKED: u64 = 1 << 16;
const AUTO_EOI: u64 = 1 << 17;
const POLLING: u64 = 1 << 18;
const INTERCEPT: u64 = 1 << 19;
const PROXY: u64 = 1 << 20;

/// SINTx: what one synthetic interrupt source does when a message or an event comes.
///
/// | bits | field |
/// |---|---|
/// | 7:0 | vector, 16 to 255 |
/// | 16 | masked: no interrupt |
/// | 17 | AutoEOI: the hypervisor ends the interrupt as it delivers it |
/// | 18 | polling: taken, but without an interrupt |
/// | 19 | as an intercept, in a parent partition |
/// | 20 | proxy, in a parent partition |
///
/// Who changes it preserves the other bits. Sources: TLFS "SINTx Registers"; Linux `hv_synic_sint`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct SintRegister(u64);

impl SintRegister {
    /// The register at reset: masked, without a vector.
    pub const RESET: Self = Self(MASKED);
    /// The lowest vector that an unmasked source may have.
    pub const FIRST_VECTOR: u8 = 16;

    /// The register as it was read or written, whatever it holds.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The register as it is read or written.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The vector, which counts when the source is neither masked nor polled.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the vector is the lowest byte")]
    pub const fn vector(self) -> u8 {
        self.0 as u8
    }

    /// Whether no interrupt comes.
    #[must_use]
    pub const fn is_masked(self) -> bool {
        self.0 & MASKED != 0
    }

    /// Whether the hypervisor ends the interrupt by itself, so that the handler must not.
    #[must_use]
    pub const fn is_auto_eoi(self) -> bool {
        self.0 & AUTO_EOI != 0
    }

    /// Whether messages and events are taken without an interrupt.
    #[must_use]
    pub const fn is_polling(self) -> bool {
        self.0 & POLLING != 0
    }

    /// Whether an interrupt of this source becomes an intercept message, in a parent partition.
    #[must_use]
    pub const fn is_intercept(self) -> bool {
        self.0 & INTERCEPT != 0
    }

    /// Whether this source stands for an interrupt of a child, in a parent partition.
    #[must_use]
    pub const fn is_proxy(self) -> bool {
        self.0 & PROXY != 0
    }

    /// The register unmasked with this vector, or `None` below [`FIRST_VECTOR`](Self::FIRST_VECTOR), where the write
    /// would fault.
    #[must_use]
    pub const fn with_vector(self, vector: u8) -> Option<Self> {
        if vector < Self::FIRST_VECTOR {
            return None;
        }
        Some(Self(self.0 & !(0xff | MASKED) | vector as u64))
    }

    /// The register masked.
    #[must_use]
    pub const fn with_masked(self) -> Self {
        Self(self.0 | MASKED)
    }

    /// The register with AutoEOI on or off. A hypervisor that sets
    /// [`DEPRECATING_AEOI`](crate::cpuid::Recommendations::DEPRECATING_AEOI) asks to leave it off.
    #[must_use]
    pub const fn with_auto_eoi(self, on: bool) -> Self {
        if on {
            Self(self.0 | AUTO_EOI)
        } else {
            Self(self.0 & !AUTO_EOI)
        }
    }

    /// The register with polling on or off.
    #[must_use]
    pub const fn with_polling(self, on: bool) -> Self {
        if on {
            Self(self.0 | POLLING)
        } else {
            Self(self.0 & !POLLING)
        }
    }
}

impl Default for SintRegister {
    fn default() -> Self {
        Self::RESET
    }
}

impl fmt::Debug for SintRegister {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SintRegister")
            .field("vector", &self.vector())
            .field("masked", &self.is_masked())
            .field("auto_eoi", &self.is_auto_eoi())
            .field("polling", &self.is_polling())
            .field("bits", &format_args!("{:#x}", self.0))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_source_is_masked_at_reset_and_unmasked_with_a_vector() {
        assert_eq!(SintRegister::default().bits(), 0x1_0000);
        let sint = SintRegister::RESET.with_vector(0xf3).unwrap().with_auto_eoi(true);
        assert_eq!(sint.bits(), 0x2_00f3);
        assert_eq!(SintRegister::RESET.with_vector(15), None);
        assert_eq!(sint.with_masked().bits(), 0x3_00f3);
    }

    #[test]
    fn a_page_is_switched_on_at_its_address_only() {
        let simp = Simp::default().with_page(0x1_2345_6000).unwrap();
        assert_eq!(simp.bits(), 0x1_2345_6001);
        assert_eq!(simp.page(), Some(0x1_2345_6000));
        assert_eq!(simp.without_page().page(), None);
        assert_eq!(Simp::default().with_page(0x800), None);
    }

    proptest! {
        #[test]
        fn reserved_bits_are_preserved(bits: u64, vector in 16u8.., gpa: u64) {
            let kept = bits & !(0xff | MASKED | AUTO_EOI | POLLING);
            let sint = SintRegister::from_bits(bits).with_vector(vector).unwrap().with_auto_eoi(false).with_polling(false);
            prop_assert_eq!(sint.bits() & !0xff, kept);
            prop_assert_eq!((sint.vector(), sint.is_masked()), (vector, false));
            let page = Siefp::from_bits(bits).with_page(gpa & !0xfff).unwrap();
            prop_assert_eq!(page.bits() & 0xffe, bits & 0xffe);
            prop_assert_eq!(page.page(), Some(gpa & !0xfff));
            prop_assert_eq!(page.without_page().bits(), bits & 0xffe);
        }
    }
}
