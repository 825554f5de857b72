//! The reference time, in units of 100 ns since the partition was created.

use core::mem::offset_of;
use core::sync::atomic::{Ordering, fence};

use thiserror::Error;

use super::gate::{MsrError, Msrs, RegisterError, SharedPage, turn_off, turn_on};
use super::words::Words;
use crate::Msr;
use crate::time::{ReferenceTsc, ReferenceTscPage, TSC_SEQUENCE_INVALID, TscConversion};

/// Words of the page: each is where the page's declaration has it.
const SEQUENCE: u16 = 0;
const SCALE: u16 = 2;
const OFFSET: u16 = 4;
const _: () = {
    assert!(offset_of!(ReferenceTscPage, sequence) >> 2 == SEQUENCE as usize);
    assert!(offset_of!(ReferenceTscPage, scale) >> 2 == SCALE as usize);
    assert!(offset_of!(ReferenceTscPage, offset) >> 2 == OFFSET as usize);
};

/// How often the page is read anew because it changed meanwhile. A host changes it when the guest moves to another
/// machine, so twice in a row is rare, and this often is a game.
const TRIES: u8 = 8;

/// Reads the reference time from its MSR, which leaves the guest.
///
/// # Errors
///
/// The register cannot be read: it is offered as
/// [`MsrAccess::TIME_REF_COUNT`](crate::cpuid::MsrAccess::TIME_REF_COUNT).
pub fn reference_time(msrs: &(impl Msrs + ?Sized)) -> Result<u64, MsrError> {
    msrs.read(Msr::TIME_REF_COUNT)
}

/// The reference TSC page, by which the guest tells the reference time without leaving it. One for the whole partition;
/// it is offered as [`MsrAccess::REFERENCE_TSC`](crate::cpuid::MsrAccess::REFERENCE_TSC).
///
/// ```no_run
/// # #[cfg(target_arch = "x86_64")]
/// fn now(page: &hvcall::guest::TscPage, msrs: &impl hvcall::guest::Msrs) -> Result<u64, hvcall::guest::MsrError> {
///     page.time_or_msr(hvcall::guest::x86_64::tsc, msrs)
/// }
/// ```
#[derive(Debug)]
pub struct TscPage {
    page: SharedPage,
    /// It is known to be on.
    enabled: bool,
    /// The register may name it.
    lent: bool,
}

impl TscPage {
    /// A page that is still off.
    #[must_use]
    pub const fn new(page: SharedPage) -> Self {
        Self {
            page,
            enabled: false,
            lent: false,
        }
    }

    /// Switches the page on, and returns the register as it was before.
    ///
    /// # Errors
    ///
    /// The register was not set, and then the page is off again as far as that went; the time is not told by it.
    pub fn enable(&mut self, msrs: &(impl Msrs + ?Sized)) -> Result<ReferenceTsc, RegisterError> {
        // Until the host writes it, the page says that it cannot be used.
        if !self.enabled {
            self.page.clear();
        }
        let before = turn_on(msrs, &self.page, &mut self.lent);
        self.enabled = before.is_ok();
        if before.is_err() {
            // The first error counts.
            let _also = self.disable(msrs);
        }
        before
    }

    /// Switches the page off.
    ///
    /// # Errors
    ///
    /// The register was not set.
    pub fn disable(&mut self, msrs: &(impl Msrs + ?Sized)) -> Result<(), RegisterError> {
        turn_off::<ReferenceTsc>(msrs, &mut self.lent)?;
        self.enabled = false;
        Ok(())
    }

    /// The reference time at the moment at which `counter` reads the TSC: `x86_64::tsc`, or `aarch64::counter`.
    ///
    /// # Errors
    ///
    /// The page cannot be used: read the MSR. While the page is off that is so.
    pub fn time(&self, counter: impl Fn() -> u64) -> Result<u64, TscPageUnusable> {
        let wide = |word: u16| {
            let low = self.page.load(word);
            let high = self.page.load(word | 1);
            u64::from(high) << 32 | u64::from(low)
        };
        if !self.enabled {
            return Err(TscPageUnusable::Invalid);
        }
        for _ in 0..TRIES {
            let sequence = self.page.load_acquire(SEQUENCE);
            if sequence == TSC_SEQUENCE_INVALID {
                return Err(TscPageUnusable::Invalid);
            }
            let scale = wide(SCALE);
            let offset = wide(OFFSET).cast_signed();
            let counter = counter();
            // What was read above is read before the sequence is looked at again.
            fence(Ordering::Acquire);
            if self.page.load(SEQUENCE) == sequence {
                return Ok(TscConversion { scale, offset }.reference_time(counter));
            }
        }
        Err(TscPageUnusable::Changing)
    }

    /// The reference time by the page, or by the MSR when the page cannot be used.
    ///
    /// # Errors
    ///
    /// Both failed: the MSR's error.
    pub fn time_or_msr(
        &self,
        counter: impl Fn() -> u64,
        msrs: &(impl Msrs + ?Sized),
    ) -> Result<u64, MsrError> {
        self.time(counter).or_else(|_| reference_time(msrs))
    }

    /// Gives the page back, which is off.
    ///
    /// # Errors
    ///
    /// It is on, or may be, as it could not be switched off: the value itself. [`disable`](Self::disable) it first.
    pub fn into_page(self) -> Result<SharedPage, Self> {
        if self.lent { Err(self) } else { Ok(self.page) }
    }
}

/// The page does not tell the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TscPageUnusable {
    /// The host says so, or the page is off.
    #[error("the reference TSC page is not valid")]
    Invalid,
    /// The page changed each time while it was read.
    #[error("the reference TSC page changed {TRIES} times while it was read")]
    Changing,
}
