//! Time synchronization, at the guest: what the host's clock says.

use super::Refusal;
use super::channel::{Channel, Duty, Taken};
use crate::ic::wire::{Body, HostTime, Service, TimeSync as Sample, TimeSyncFlags};

/// The time service. Messages are acknowledged by themselves; what to do with a clock is the driver's.
pub type TimeSync<'s, M> = Channel<'s, M, TimeSyncDuty>;

/// [`TimeSync`]'s.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimeSyncDuty(());

/// What the host's clock said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeUpdate {
    /// The time.
    pub host_time: HostTime,
    /// What this guest's reference time was then, in units of 100 ns; `None` before 4.0, where it is the moment of the message.
    pub reference_time: Option<u64>,
    /// Whether the clock is to be set, or this is one of a series.
    pub flags: TimeSyncFlags,
}

impl TimeUpdate {
    /// The host's time at a reference time of now, in units of 100 ns: later than the message by what has passed since.
    #[must_use]
    pub const fn at(&self, reference_time: u64) -> HostTime {
        match self.reference_time {
            // A host that read the two clocks in another order may name a moment that is still to come.
            Some(then) => HostTime(self.host_time.0.wrapping_add(reference_time.wrapping_sub(then))),
            None => self.host_time,
        }
    }

    /// Whether the guest is to set its clock, rather than to discipline it.
    #[must_use]
    pub const fn is_sync(&self) -> bool {
        self.flags.contains(TimeSyncFlags::SYNC)
    }
}

impl Duty for TimeSyncDuty {
    const SERVICE: &'static Service = &Service::TIME_SYNC;
    type Request = TimeUpdate;

    fn take(&mut self, body: &Body<'_>) -> Taken<TimeUpdate> {
        let Body::TimeSync(sample) = body else {
            return Taken::Refuse(Refusal::of(body));
        };
        Taken::Answer(update(sample))
    }
}

const fn update(sample: &Sample) -> TimeUpdate {
    TimeUpdate {
        host_time: sample.host_time(),
        reference_time: sample.reference_time(),
        flags: sample.flags(),
    }
}
