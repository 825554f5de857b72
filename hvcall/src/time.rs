//! Reference time and synthetic timers. Time is counted in units of 100 ns since the partition was created.

use core::fmt;
use core::mem::{offset_of, size_of};

use zerocopy::little_endian::{I64, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::Sint;
use crate::page_register::page_register;

/// Ticks of the reference time in a second.
pub const TICKS_PER_SECOND: u64 = 10_000_000;

page_register! {
    /// Where the reference TSC page is; 0 at reset. Sources: TLFS "Reference Time Stamp Counter (TSC) Page MSR";
    /// Linux `hv_reference_tsc_msr`.
    ReferenceTsc;
}

/// The sequence number that says that the page cannot be used and the MSR has to be read.
pub const TSC_SEQUENCE_INVALID: u32 = 0;

/// The page from which a guest computes the reference time without leaving the guest, 4096 bytes.
///
/// A guest reads the sequence, then scale and offset, then the sequence again, and begins anew when it changed.
/// Sources: TLFS "Partition Reference Time Stamp Counter Page"; Linux `struct ms_hyperv_tsc_page`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ReferenceTscPage {
    /// Changes whenever scale or offset do; [`TSC_SEQUENCE_INVALID`] while they cannot be used.
    pub sequence: U32,
    /// Zero.
    pub reserved: U32,
    /// 2^64 times the ticks of reference time in one tick of the TSC.
    pub scale: U64,
    /// Reference time at TSC 0, in 100 ns.
    pub offset: I64,
    /// Zero.
    pub reserved2: [U64; 509],
}

const _: () = {
    assert!(size_of::<ReferenceTscPage>() == 4096);
    assert!(offset_of!(ReferenceTscPage, sequence) == 0);
    assert!(offset_of!(ReferenceTscPage, reserved) == 4);
    assert!(offset_of!(ReferenceTscPage, scale) == 8);
    assert!(offset_of!(ReferenceTscPage, offset) == 16);
    assert!(offset_of!(ReferenceTscPage, reserved2) == 24);
};

/// How the TSC becomes reference time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TscConversion {
    /// 2^64 times the ticks of reference time in one tick of the TSC.
    pub scale: u64,
    /// Reference time at TSC 0, in 100 ns; it wraps.
    pub offset: i64,
}

impl TscConversion {
    /// The scale for a TSC of this frequency in Hz, with offset 0, or `None` when it is not above 10 MHz: such a
    /// scale does not fit.
    #[must_use]
    pub const fn for_frequency(hz: u64) -> Option<Self> {
        if hz <= TICKS_PER_SECOND {
            return None;
        }
        let Some(scale) = ((TICKS_PER_SECOND as u128) << 64).checked_div(hz as u128) else {
            return None;
        };
        #[expect(
            clippy::cast_possible_truncation,
            reason = "below 2^64, as the frequency is above that of the ticks"
        )]
        Some(Self {
            scale: scale as u64,
            offset: 0,
        })
    }

    /// The reference time at this value of the TSC: the high half of TSC times scale, plus offset.
    #[must_use]
    pub const fn reference_time(self, tsc: u64) -> u64 {
        // A product of two factors below 2^64 is below 2^128.
        let product = (tsc as u128).wrapping_mul(self.scale as u128);
        ((product >> 64) as u64).wrapping_add_signed(self.offset)
    }
}

const DIRECT_MODE: u64 = 1 << 12;

bitflags::bitflags! {
    /// How a synthetic timer runs.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct StimerFlags: u64 {
        /// It runs.
        const ENABLE = 1 << 0;
        /// The count is a period, not a point in time.
        const PERIODIC = 1 << 1;
        /// An expiration that comes late may be dropped.
        const LAZY = 1 << 2;
        /// Writing a count other than 0 starts it.
        const AUTO_ENABLE = 1 << 3;
        /// It raises an interrupt instead of sending a message.
        const DIRECT_MODE = DIRECT_MODE;
    }
}

/// The configuration of a synthetic timer; 0 at reset.
///
/// | bits | field |
/// |---|---|
/// | 0 | enabled |
/// | 1 | periodic |
/// | 2 | lazy |
/// | 3 | auto-enable |
/// | 11:4 | vector, in direct mode |
/// | 12 | direct mode |
/// | 15:13 | reserved, zero |
/// | 19:16 | SINT, 1 to 15 unless in direct mode |
/// | 63:20 | reserved, zero |
///
/// Sources: TLFS "Synthetic Timer Configuration Register"; Linux `union hv_stimer_config`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct StimerConfig(u64);

impl StimerConfig {
    /// A timer that sends a message to this SINT, or `None` for SINT 0, with which no timer runs.
    #[must_use]
    pub const fn message(sint: Sint, flags: StimerFlags) -> Option<Self> {
        if sint.number() == 0 {
            return None;
        }
        Some(Self(
            flags.difference(StimerFlags::DIRECT_MODE).bits() | (sint.number() as u64) << 16,
        ))
    }

    /// A timer that raises the interrupt with this vector.
    #[must_use]
    pub const fn direct(vector: u8, flags: StimerFlags) -> Self {
        Self(flags.bits() | DIRECT_MODE | (vector as u64) << 4)
    }

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

    /// How it runs.
    #[must_use]
    pub const fn flags(self) -> StimerFlags {
        StimerFlags::from_bits_truncate(self.0)
    }

    /// The vector that it raises in direct mode.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the field is a byte")]
    pub const fn vector(self) -> u8 {
        (self.0 >> 4) as u8
    }

    /// The SINT that it sends its messages to.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "four bits are left")]
    pub const fn sint(self) -> Sint {
        Sint::truncate((self.0 >> 16) as u8)
    }

    /// Whether a bit is set that has to be zero.
    #[must_use]
    pub const fn has_reserved_bits(self) -> bool {
        self.0 & !0xf_1fff != 0
    }
}

impl fmt::Debug for StimerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StimerConfig")
            .field("flags", &self.flags())
            .field("vector", &self.vector())
            .field("sint", &self.sint())
            .field("bits", &format_args!("{:#x}", self.0))
            .finish()
    }
}

/// The payload of a message of type [`TIMER_EXPIRED`](crate::synic::MessageType::TIMER_EXPIRED), 24 bytes.
///
/// Sources: TLFS "HV_TIMER_MESSAGE_PAYLOAD"; Linux `struct hv_timer_message_payload`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct TimerMessage {
    /// Which timer, 0 to 3.
    pub timer_index: U32,
    /// Zero.
    pub reserved: U32,
    /// Reference time at which it expired, in 100 ns.
    pub expiration_time: U64,
    /// Reference time at which the message was delivered, in 100 ns.
    pub delivery_time: U64,
}

const _: () = {
    assert!(size_of::<TimerMessage>() == 24);
    assert!(offset_of!(TimerMessage, timer_index) == 0);
    assert!(offset_of!(TimerMessage, reserved) == 4);
    assert!(offset_of!(TimerMessage, expiration_time) == 8);
    assert!(offset_of!(TimerMessage, delivery_time) == 16);
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_second_of_tsc_is_a_second() {
        let clock = TscConversion::for_frequency(2_500_000_000).unwrap();
        let hour = clock.reference_time(2_500_000_000 * 3600);
        assert!((TICKS_PER_SECOND * 3600 - 1..=TICKS_PER_SECOND * 3600).contains(&hour));
        assert_eq!(TscConversion::for_frequency(TICKS_PER_SECOND), None);
        assert_eq!(TscConversion::for_frequency(0), None);
    }

    #[test]
    fn the_offset_moves_time_back_and_forth() {
        let clock = TscConversion {
            scale: 1 << 63,
            offset: -3,
        };
        assert_eq!(clock.reference_time(10), 2);
        assert_eq!(TscConversion { offset: 7, ..clock }.reference_time(10), 12);
        assert_eq!(
            TscConversion {
                scale: u64::MAX,
                offset: i64::MAX
            }
            .reference_time(u64::MAX),
            (1 << 63) - 3
        );
    }

    #[test]
    fn timer_fields_stand_where_linux_has_them() {
        let flags = StimerFlags::ENABLE | StimerFlags::AUTO_ENABLE;
        let message = StimerConfig::message(Sint::new(4).unwrap(), flags).unwrap();
        assert_eq!(message.bits(), 0x4_0009);
        assert_eq!(StimerConfig::message(Sint::INTERCEPTION, flags), None);
        let direct = StimerConfig::direct(0xed, flags);
        assert_eq!(direct.bits(), 0x1ed9);
        assert_eq!(
            (direct.vector(), direct.flags()),
            (0xed, flags | StimerFlags::DIRECT_MODE)
        );
    }

    proptest! {
        #[test]
        fn any_timer_register_is_told(bits: u64) {
            let config = StimerConfig::from_bits(bits);
            let rebuilt = config.flags().bits()
                | u64::from(config.vector()) << 4
                | u64::from(config.sint().number()) << 16;
            prop_assert_eq!(rebuilt == bits, !config.has_reserved_bits());
        }

        #[test]
        fn time_never_runs_backwards(hz in 10_000_001u64..1 << 40, tsc: u64, more: u64) {
            let clock = TscConversion::for_frequency(hz).unwrap();
            prop_assert!(clock.reference_time(tsc) <= clock.reference_time(tsc.saturating_add(more)));
        }
    }
}
