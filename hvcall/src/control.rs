//! The two words around a hypercall: what is asked, and what came of it.

use core::fmt;

use thiserror::Error;

use crate::{CallCode, HvStatus};

const FAST: u64 = 1 << 16;
const VARIABLE_HEADER_SHIFT: u32 = 17;
const VARIABLE_HEADER_MAX: u16 = 0x3ff;
const NESTED: u64 = 1 << 31;
const REP_COUNT_SHIFT: u32 = 32;
const REP_START_SHIFT: u32 = 48;
const REP_MAX: u16 = 0xfff;
const RESERVED: u64 = 0x7800_0000 | 0xf << 44 | 0xf << 60;

/// The 16 bits of `word` from `shift` on that `mask` keeps.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the mask is of 16 bits, so nothing is lost"
)]
const fn field(word: u64, shift: u32, mask: u16) -> u16 {
    (word >> shift) as u16 & mask
}

/// The hypercall input value: which call, in which form, with how many elements.
///
/// | bits | field |
/// |---|---|
/// | 15:0 | call code |
/// | 16 | fast: the parameters are in registers |
/// | 26:17 | size of the variable header, in units of 8 bytes |
/// | 30:27 | reserved, zero |
/// | 31 | nested: for the hypervisor below the one that the caller runs on |
/// | 43:32 | rep count: elements in the list, 0 for a simple call |
/// | 47:44 | reserved, zero |
/// | 59:48 | rep start: the first element that is to be processed |
/// | 63:60 | reserved, zero |
///
/// A guest passes it in RCX on x86-64 and in X0 on AArch64. Sources: TLFS "Hypercall Inputs"; Linux `HV_HYPERCALL_*`.
///
/// ```
/// use hvcall::{CallCode, HypercallControl};
///
/// let control = HypercallControl::new(CallCode::SIGNAL_EVENT).with_fast();
/// assert_eq!(control.bits(), 0x1_005d);
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct HypercallControl(u64);

impl HypercallControl {
    /// A simple call in the memory form.
    #[must_use]
    pub const fn new(code: CallCode) -> Self {
        Self(code.0 as u64)
    }

    /// The word as a guest passed it, whatever it holds.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The word as it is passed.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Which call.
    #[must_use]
    pub const fn code(self) -> CallCode {
        CallCode(field(self.0, 0, u16::MAX))
    }

    /// Whether the parameters are in registers.
    #[must_use]
    pub const fn is_fast(self) -> bool {
        self.0 & FAST != 0
    }

    /// Size of the variable header in units of 8 bytes, 0 to 1023.
    #[must_use]
    pub const fn variable_header_qwords(self) -> u16 {
        field(self.0, VARIABLE_HEADER_SHIFT, VARIABLE_HEADER_MAX)
    }

    /// Whether the call is for the hypervisor below. Source: Linux `HV_HYPERCALL_NESTED`.
    #[must_use]
    pub const fn is_nested(self) -> bool {
        self.0 & NESTED != 0
    }

    /// Elements in the list of a rep call, 0 to 4095; 0 for a simple call.
    #[must_use]
    pub const fn rep_count(self) -> u16 {
        field(self.0, REP_COUNT_SHIFT, REP_MAX)
    }

    /// The first element that is to be processed, 0 to 4095.
    #[must_use]
    pub const fn rep_start(self) -> u16 {
        field(self.0, REP_START_SHIFT, REP_MAX)
    }

    /// Whether a bit is set that has to be zero.
    #[must_use]
    pub const fn has_reserved_bits(self) -> bool {
        self.0 & RESERVED != 0
    }

    /// The same call with its parameters in registers.
    #[must_use]
    pub const fn with_fast(self) -> Self {
        Self(self.0 | FAST)
    }

    /// The same call for the hypervisor below.
    #[must_use]
    pub const fn with_nested(self) -> Self {
        Self(self.0 | NESTED)
    }

    /// The same call with a variable header of so many units of 8 bytes, or `None` from 1024 on.
    ///
    /// What counts as variable differs from call to call: see [`VpSet`](crate::vpset::VpSet).
    #[must_use]
    pub const fn with_variable_header(self, qwords: u16) -> Option<Self> {
        if qwords > VARIABLE_HEADER_MAX {
            return None;
        }
        let cleared = self.0 & !((VARIABLE_HEADER_MAX as u64) << VARIABLE_HEADER_SHIFT);
        Some(Self(cleared | (qwords as u64) << VARIABLE_HEADER_SHIFT))
    }

    /// The same call as a rep call on the elements `start..count`, or `None` when there is none of them or more than
    /// 4095.
    #[must_use]
    pub const fn with_reps(self, start: u16, count: u16) -> Option<Self> {
        if start >= count || count > REP_MAX {
            return None;
        }
        let cleared = self.0 & !((REP_MAX as u64) << REP_COUNT_SHIFT | (REP_MAX as u64) << REP_START_SHIFT);
        Some(Self(
            cleared | (count as u64) << REP_COUNT_SHIFT | (start as u64) << REP_START_SHIFT,
        ))
    }

    /// Judges the word of a simple call without a variable header, as a host has to before it looks at anything else.
    ///
    /// # Errors
    /// [`HvStatus::INVALID_HYPERCALL_INPUT`], when a reserved bit is set, the call is for the hypervisor below (KVM
    /// refuses it so, too), or there is a rep count, rep start or variable header.
    pub const fn check_simple(self) -> Result<(), HvStatus> {
        if self.has_reserved_bits()
            || self.is_nested()
            || self.rep_count() != 0
            || self.rep_start() != 0
            || self.variable_header_qwords() != 0
        {
            return Err(HvStatus::INVALID_HYPERCALL_INPUT);
        }
        Ok(())
    }

    /// Judges the word of a rep call. The variable header is left to the call.
    ///
    /// # Errors
    /// [`HvStatus::INVALID_HYPERCALL_INPUT`], when a reserved bit is set, the call is for the hypervisor below, or
    /// the rep start is not below the rep count, which holds for every count of 0.
    pub const fn check_rep(self) -> Result<(), HvStatus> {
        if self.has_reserved_bits() || self.is_nested() || self.rep_start() >= self.rep_count() {
            return Err(HvStatus::INVALID_HYPERCALL_INPUT);
        }
        Ok(())
    }

    /// What to call next, after a rep call returned success: `None` when every element was processed, else the same
    /// call with its start moved to the first element that was not.
    ///
    /// Hyper-V mostly continues a call by itself, but may return to the caller after any element (TLFS "Hypercall
    /// Continuation"); Linux loops in the same way.
    ///
    /// # Errors
    /// When the hypervisor claims more elements than there are, or did none, so that calling again might never end.
    pub const fn continued(self, result: HypercallResult) -> Result<Option<Self>, RepFault> {
        let (start, count, done) = (self.rep_start(), self.rep_count(), result.reps_done());
        if done > count || (done <= start && count != 0) {
            return Err(RepFault { start, count, done });
        }
        Ok(self.with_reps(done, count))
    }
}

impl fmt::Debug for HypercallControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut s = f.debug_struct("HypercallControl");
        s.field("code", &self.code()).field("fast", &self.is_fast());
        if self.variable_header_qwords() != 0 {
            s.field("variable_header_qwords", &self.variable_header_qwords());
        }
        if self.is_nested() {
            s.field("nested", &true);
        }
        if self.rep_count() != 0 || self.rep_start() != 0 {
            s.field("rep_start", &self.rep_start())
                .field("rep_count", &self.rep_count());
        }
        if self.has_reserved_bits() {
            s.field("reserved", &format_args!("{:#x}", self.0 & RESERVED));
        }
        s.finish()
    }
}

/// The hypercall result value: the status, and how many elements of a rep call are done.
///
/// | bits | field |
/// |---|---|
/// | 15:0 | status |
/// | 31:16 | to be ignored |
/// | 43:32 | reps done, counted from the list's begin and not from the rep start |
/// | 63:44 | to be ignored |
///
/// A host returns it in RAX on x86-64 and in X0 on AArch64. Source: TLFS "Hypercall Outputs".
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
#[must_use = "the status tells whether the call did anything"]
pub struct HypercallResult(u64);

impl HypercallResult {
    /// Success of a simple call.
    pub const SUCCESS: Self = Self(0);

    /// A rep call that ended with this status after so many elements, or `None` when there are more than 4095.
    #[must_use]
    pub const fn with_reps(status: HvStatus, done: u16) -> Option<Self> {
        if done > REP_MAX {
            return None;
        }
        Some(Self(status.0 as u64 | (done as u64) << REP_COUNT_SHIFT))
    }

    /// The word as the hypervisor returned it.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The word as it is returned.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// What came of the call.
    #[must_use]
    pub const fn status(self) -> HvStatus {
        HvStatus(field(self.0, 0, u16::MAX))
    }

    /// Elements of a rep call that are done, those before its start included: 0 to 4095.
    #[must_use]
    pub const fn reps_done(self) -> u16 {
        field(self.0, REP_COUNT_SHIFT, REP_MAX)
    }
}

impl From<HvStatus> for HypercallResult {
    fn from(status: HvStatus) -> Self {
        Self(u64::from(status.0))
    }
}

impl fmt::Debug for HypercallResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HypercallResult")
            .field("status", &self.status())
            .field("reps_done", &self.reps_done())
            .finish()
    }
}

/// The hypervisor told a count of elements that a rep call cannot be continued with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the hypervisor says that {done} elements are done of a rep call on elements {start} to {count}")]
pub struct RepFault {
    /// First element that the call was to process.
    pub start: u16,
    /// Elements in its list.
    pub count: u16,
    /// Elements that the hypervisor says are done.
    pub done: u16,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_stand_where_the_specification_says() {
        let control = HypercallControl::new(CallCode(0x1234))
            .with_fast()
            .with_variable_header(0x2a5)
            .unwrap()
            .with_nested()
            .with_reps(0x123, 0xabc)
            .unwrap();
        assert_eq!(
            control.bits(),
            0x0123_0abc_0000_1234 | 1 << 16 | 0x2a5 << 17 | 1 << 31
        );
        assert_eq!(control.code(), CallCode(0x1234));
        assert_eq!(control.variable_header_qwords(), 0x2a5);
        assert_eq!((control.rep_start(), control.rep_count()), (0x123, 0xabc));
        assert!(control.is_fast() && control.is_nested() && !control.has_reserved_bits());
    }

    #[test]
    fn builders_refuse_what_does_not_fit() {
        let control = HypercallControl::new(CallCode::FLUSH_VIRTUAL_ADDRESS_LIST);
        assert_eq!(control.with_variable_header(1024), None);
        assert_eq!(control.with_reps(0, 4096), None);
        assert_eq!(control.with_reps(3, 3), None);
        assert_eq!(control.with_reps(0, 0), None);
        assert_eq!(HypercallResult::with_reps(HvStatus::SUCCESS, 4096), None);
    }

    #[test]
    fn every_reserved_bit_is_refused() {
        for bit in (27..31).chain(44..48).chain(60..64) {
            let control = HypercallControl::from_bits(0x5d | 1 << bit);
            assert!(control.has_reserved_bits(), "bit {bit}");
            assert_eq!(
                control.check_simple(),
                Err(HvStatus::INVALID_HYPERCALL_INPUT),
                "bit {bit}"
            );
            let rep = HypercallControl::from_bits(0x3 | 5 << 32 | 1 << bit);
            assert_eq!(
                rep.check_rep(),
                Err(HvStatus::INVALID_HYPERCALL_INPUT),
                "bit {bit}"
            );
        }
    }

    #[test]
    fn case_18_a_rep_start_beyond_its_count_is_refused() {
        for (start, count, good) in [
            (0, 1, true),
            (4, 5, true),
            (5, 5, false),
            (6, 5, false),
            (0, 0, false),
        ] {
            let control = HypercallControl::from_bits(0x3 | count << 32 | start << 48);
            assert_eq!(control.check_rep().is_ok(), good, "start {start} of {count}");
        }
        let simple = HypercallControl::from_bits(0x5c | 1 << 48);
        assert_eq!(simple.check_simple(), Err(HvStatus::INVALID_HYPERCALL_INPUT));
    }

    #[test]
    fn a_rep_call_goes_on_where_it_stopped() {
        let first = HypercallControl::new(CallCode::FLUSH_VIRTUAL_ADDRESS_LIST)
            .with_reps(0, 25)
            .unwrap();
        let part = HypercallResult::with_reps(HvStatus::SUCCESS, 20).unwrap();
        let second = first.continued(part).unwrap().unwrap();
        assert_eq!((second.rep_start(), second.rep_count()), (20, 25));
        let whole = HypercallResult::with_reps(HvStatus::SUCCESS, 25).unwrap();
        assert_eq!(second.continued(whole), Ok(None));
    }

    #[test]
    fn a_rep_call_that_makes_no_progress_is_not_repeated() {
        let control = HypercallControl::new(CallCode::FLUSH_VIRTUAL_ADDRESS_LIST)
            .with_reps(20, 25)
            .unwrap();
        for done in [0, 19, 20, 26, 4095] {
            let result = HypercallResult::with_reps(HvStatus::SUCCESS, done).unwrap();
            assert_eq!(
                control.continued(result),
                Err(RepFault {
                    start: 20,
                    count: 25,
                    done
                })
            );
        }
    }

    proptest! {
        #[test]
        fn any_control_word_survives(bits: u64) {
            let control = HypercallControl::from_bits(bits);
            let mut rebuilt = HypercallControl::new(control.code())
                .with_variable_header(control.variable_header_qwords())
                .unwrap();
            if control.is_fast() { rebuilt = rebuilt.with_fast(); }
            if control.is_nested() { rebuilt = rebuilt.with_nested(); }
            let reps = u64::from(control.rep_count()) << 32 | u64::from(control.rep_start()) << 48;
            prop_assert_eq!(rebuilt.bits() | reps, bits & !RESERVED);
        }

        #[test]
        fn continuing_always_ends(count in 1u16..4096, dones in proptest::collection::vec(0u16..4096, 0..64)) {
            let mut control = HypercallControl::new(CallCode(3)).with_reps(0, count).unwrap();
            for done in dones {
                match control.continued(HypercallResult::with_reps(HvStatus::SUCCESS, done).unwrap()) {
                    Ok(Some(next)) => {
                        prop_assert!(next.rep_start() > control.rep_start());
                        prop_assert!(next.check_rep().is_ok());
                        control = next;
                    }
                    Ok(None) => { prop_assert_eq!(done, count); break }
                    Err(_) => prop_assert!(done <= control.rep_start() || done > count),
                }
            }
        }
    }
}
