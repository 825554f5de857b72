//! Rep calls that continue.

use thiserror::Error;

use crate::{HvStatus, HypercallControl, HypercallResult, RepFault};

/// How often in a row a call is made again that timed out before its first element was done. The specification
/// guarantees that one at least is tried.
const TIME_OUTS_MAX: u8 = 16;

/// A rep call under way: which control word to call with next, judged from the answer before.
///
/// [`call_rep`](super::call_rep) drives it where the parameters are in memory. It is for those who call in another way.
///
/// ```
/// use hvcall::guest::RepCall;
/// use hvcall::{CallCode, HvStatus, HypercallControl, HypercallResult};
///
/// let control = HypercallControl::new(CallCode::FLUSH_VIRTUAL_ADDRESS_LIST).with_reps(0, 25).unwrap();
/// let mut call = RepCall::new(control);
/// assert_eq!(call.next_control(), Some(control));
/// call.answered(HypercallResult::with_reps(HvStatus::SUCCESS, 20).unwrap())?;
/// assert_eq!(call.next_control().map(|control| control.rep_start()), Some(20));
/// call.answered(HypercallResult::with_reps(HvStatus::SUCCESS, 25).unwrap())?;
/// assert_eq!(call.next_control(), None);
/// # Ok::<(), hvcall::guest::RepError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RepCall {
    next: Option<HypercallControl>,
    time_outs: u8,
}

impl RepCall {
    /// Before the first call. The control word has the rep count.
    #[must_use]
    pub const fn new(control: HypercallControl) -> Self {
        Self {
            next: Some(control),
            time_outs: 0,
        }
    }

    /// What to call with next; `None` when every element is done, or the call failed.
    #[must_use]
    pub const fn next_control(&self) -> Option<HypercallControl> {
        self.next
    }

    /// Takes the answer to the call with [`next_control`](Self::next_control).
    ///
    /// [`TIME_OUT`](HvStatus::TIME_OUT) says that the call's time ran out between two elements. A hypervisor continues
    /// such a call by itself, by not advancing the instruction pointer; should it tell the guest, the call is made
    /// again.
    ///
    /// # Errors
    /// The call failed; [`next_control`](Self::next_control) is `None` from then on.
    pub fn answered(&mut self, result: HypercallResult) -> Result<(), RepError> {
        let Some(control) = self.next.take() else {
            return Ok(());
        };
        let (status, done) = (result.status(), result.reps_done());
        if status == HvStatus::TIME_OUT && done <= control.rep_start() {
            if self.time_outs >= TIME_OUTS_MAX {
                return Err(RepError::NoProgress {
                    start: control.rep_start(),
                    count: control.rep_count(),
                });
            }
            self.time_outs = self.time_outs.saturating_add(1);
            self.next = Some(control);
            return Ok(());
        }
        if !status.is_success() && status != HvStatus::TIME_OUT {
            // What was done before stays done: KVM and others tell 0 with an error.
            return Err(RepError::Failed {
                status,
                done: done.max(control.rep_start()).min(control.rep_count()),
            });
        }
        self.time_outs = 0;
        self.next = control.continued(result)?;
        Ok(())
    }
}

/// A rep call came to no good end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RepError {
    /// The hypervisor refused the call, or an element of its list.
    #[error("a rep call failed with {status} after {done} elements")]
    Failed {
        /// Why.
        status: HvStatus,
        /// Elements that are done, counted from the list's begin: which one failed, in most cases. Never fewer than were
        /// done before this call, nor more than the list has.
        done: u16,
    },
    /// The hypervisor broke the protocol.
    #[error(transparent)]
    Fault(#[from] RepFault),
    /// The call timed out again and again without an element done.
    #[error("a rep call on elements {start} to {count} timed out {TIME_OUTS_MAX} times without progress")]
    NoProgress {
        /// The first element that was not done.
        start: u16,
        /// Elements in the list.
        count: u16,
    },
}
