//! Time, which comes in by one call alone.

use core::time::Duration;

/// When something is overdue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Timer {
    /// Never.
    #[default]
    Off,
    /// It runs from the next look at the clock on.
    Started,
    /// Then.
    At(Duration),
}

impl Timer {
    /// A look at the clock. Gives whether it is overdue, once.
    pub(super) fn look(&mut self, now: Duration, span: Duration) -> bool {
        match *self {
            Self::Off => false,
            Self::Started => {
                *self = Self::At(now.saturating_add(span));
                false
            }
            Self::At(then) => {
                let overdue = now >= then;
                if overdue {
                    *self = Self::Off;
                }
                overdue
            }
        }
    }

    /// When the next look at the clock is wanted: at once, for one that was just started.
    pub(super) const fn wants(self) -> Option<Duration> {
        match self {
            Self::Off => None,
            Self::Started => Some(Duration::ZERO),
            Self::At(then) => Some(then),
        }
    }

    /// Starts anew, if it runs.
    pub(super) fn restart(&mut self) {
        if *self != Self::Off {
            *self = Self::Started;
        }
    }
}
