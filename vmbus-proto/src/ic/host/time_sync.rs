//! Time synchronization, at the host: tells its clock, once to be set and then in an interval.

use core::time::Duration;

use vmbus_ringbuf::{RingMem, RingPair};
use zerocopy::little_endian::U64;

use super::channel::{Channel, Duty};
use super::{Event, Fault, RequestError};
use crate::ic::wire::{
    Body, HostTime, Service, Status, TimeReference, TimeSample, TimeSync as Sample, TimeSyncFlags, Version,
};
use crate::ic::{Polled, ScratchTooSmall};

/// The time service. Guests acknowledge messages or not; nobody waits for it.
pub type TimeSync<'s, M> = Channel<'s, M, TimeSyncDuty>;

/// The clocks that a message tells of, read as near to one another as can be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clocks {
    /// What the service itself goes by: counts from any moment, and never goes back.
    pub now: Duration,
    /// The host's wall clock.
    pub host_time: HostTime,
    /// The guest's reference time, in units of 100 ns.
    pub reference_time: u64,
}

/// [`TimeSync`]'s.
#[derive(Clone, Copy, Debug)]
pub struct TimeSyncDuty {
    interval: Duration,
    /// When the next message is due; at once when there is none.
    next: Option<Duration>,
    /// Whether the next message is to set the guest's clock.
    sync: bool,
    messages: u64,
}

impl Duty for TimeSyncDuty {
    const SERVICE: &'static Service = &Service::TIME_SYNC;
    const ANSWERED: bool = false;
    type Answer = Status;

    fn answer(&mut self, status: Status, body: Option<&Body<'_>>) -> Result<Status, Fault> {
        match body {
            Some(Body::TimeSync(_)) | None => Ok(status),
            Some(_) => Err(Fault::Mismatch),
        }
    }
}

impl<'s, M: RingMem> TimeSync<'s, M> {
    /// From one message to the next, where nothing else is said.
    ///
    /// Source: OpenVMM `hyperv_ic`, `SAMPLE_PERIOD`.
    pub const INTERVAL: Duration = Duration::from_secs(5);

    /// The service on a channel that the guest has just opened.
    ///
    /// # Errors
    /// When the scratch is smaller than [`Service::packet_max`].
    pub fn new(ring: RingPair<M>, scratch: &'s mut [u8]) -> Result<Self, ScratchTooSmall> {
        Self::with_interval(ring, scratch, Self::INTERVAL)
    }

    /// The same, with a message in each of these intervals.
    ///
    /// # Errors
    /// When the scratch is smaller than [`Service::packet_max`].
    pub fn with_interval(
        ring: RingPair<M>,
        scratch: &'s mut [u8],
        interval: Duration,
    ) -> Result<Self, ScratchTooSmall> {
        let duty = TimeSyncDuty {
            interval,
            next: None,
            sync: true,
            messages: 0,
        };
        Self::with(ring, scratch, duty)
    }

    /// Has the guest set its clock by the next message, which is due at once: after the VM was paused or restored. The first message
    /// does it anyway.
    pub const fn resync(&mut self) {
        self.duty.sync = true;
        self.duty.next = None;
    }

    /// Negotiates versions, tells the time when it is due, and takes what the guest sends.
    ///
    /// # Errors
    /// A breach of the protocol, or a guest that speaks no version of this end; from then on always.
    pub fn poll(&mut self, clocks: Clocks) -> Result<Polled<Event<Status>>, Fault> {
        let mut polled = self.step()?;
        let Some(versions) = self.versions() else {
            return Ok(polled);
        };
        if self.duty.next.is_some_and(|next| clocks.now < next) {
            return Ok(polled);
        }
        let flags = if self.duty.sync {
            TimeSyncFlags::SYNC
        } else {
            TimeSyncFlags::SAMPLE
        };
        self.duty.next = Some(clocks.now.saturating_add(self.duty.interval));
        match self.send(Body::TimeSync(sample(&clocks, flags, versions.message))) {
            Ok(signal) => {
                self.duty.sync = false;
                self.duty.messages = self.duty.messages.wrapping_add(1);
                polled.signal = polled.signal | signal;
            }
            Err(RequestError::Fault(fault)) => return Err(fault),
            // A time that waited for room is of no use: another is read next time.
            Err(_) => {}
        }
        Ok(polled)
    }

    /// When to call [`poll`](Self::poll) at the latest, even if the guest does not signal; `None` before versions are agreed on.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.versions()?;
        Some(self.duty.next.unwrap_or_default())
    }

    /// How often the time was told.
    #[must_use]
    pub const fn messages(&self) -> u64 {
        self.duty.messages
    }
}

fn sample(clocks: &Clocks, flags: TimeSyncFlags, version: Version) -> Sample {
    let host_time = U64::new(clocks.host_time.0);
    let flags = flags.bits();
    if version >= Sample::REFERENCE_SINCE {
        Sample::Reference(TimeReference {
            host_time,
            reference_time: U64::new(clocks.reference_time),
            flags,
            ..TimeReference::default()
        })
    } else {
        Sample::Sample(TimeSample {
            host_time,
            flags,
            ..TimeSample::default()
        })
    }
}
