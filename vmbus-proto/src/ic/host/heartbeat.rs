//! Heartbeat, at the host: asks in an interval, tells when answers stop.

use core::time::Duration;

use vmbus_ringbuf::{RingMem, RingPair};

use super::channel::{Channel, Duty};
use super::{Event, Fault, RequestError};
use crate::ic::wire::{ApplicationState, Body, HeartbeatData, Service, Status};
use crate::ic::{Polled, ScratchTooSmall};

/// The heartbeat service.
pub type Heartbeat<'s, M> = Channel<'s, M, HeartbeatDuty>;

/// How often a guest is asked, and how long it may be silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeartbeatConfig {
    /// From one request to the next. Hyper-V has two seconds.
    pub interval: Duration,
    /// From a request without an answer to [`Beat::Lost`].
    pub patience: Duration,
}

impl Default for HeartbeatConfig {
    /// Two seconds, and ten.
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(2),
            patience: Duration::from_secs(10),
        }
    }
}

/// How long after `then` it is, up to 584 years. By nanoseconds, as the difference of two durations has a way to a panic that not every
/// optimizer sees to be closed.
fn elapsed(now: Duration, then: Duration) -> Duration {
    let nanoseconds = now.as_nanos().saturating_sub(then.as_nanos());
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}

/// [`Heartbeat`]'s.
#[derive(Clone, Copy, Debug)]
pub struct HeartbeatDuty {
    config: HeartbeatConfig,
    sequence: u64,
    /// When the last request was sent, or first found no room.
    sent: Option<Duration>,
    /// A request finds no room: a guest that takes nothing is as silent as one that answers nothing.
    stuck: bool,
    lost: bool,
    beats: u64,
}

/// How the guest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Beat {
    /// It has answered.
    Alive {
        /// Its number; guests add one to the host's.
        sequence: u64,
        /// What it says of its applications. Linux says nothing.
        state: ApplicationState,
    },
    /// It has not answered in time. It is told once; an answer may still come.
    Lost {
        /// How long it has been silent.
        silent: Duration,
    },
    /// It answers, but not as asked.
    Failed(Status),
}

impl Duty for HeartbeatDuty {
    const SERVICE: &'static Service = &Service::HEARTBEAT;
    type Answer = Beat;

    fn answer(&mut self, status: Status, body: Option<&Body<'_>>) -> Result<Beat, Fault> {
        self.lost = false;
        self.beats = self.beats.wrapping_add(1);
        match body {
            Some(Body::Heartbeat(data)) => Ok(Beat::Alive {
                sequence: data.sequence.get(),
                state: data.state,
            }),
            Some(_) => Err(Fault::Mismatch),
            None => Ok(Beat::Failed(status)),
        }
    }
}

impl<'s, M: RingMem> Heartbeat<'s, M> {
    /// The service on a channel that the guest has just opened, in Hyper-V's interval.
    ///
    /// # Errors
    /// When the scratch is smaller than [`Service::packet_max`].
    pub fn new(ring: RingPair<M>, scratch: &'s mut [u8]) -> Result<Self, ScratchTooSmall> {
        Self::with_config(ring, scratch, HeartbeatConfig::default())
    }

    /// The same, as configured.
    ///
    /// # Errors
    /// When the scratch is smaller than [`Service::packet_max`].
    pub fn with_config(
        ring: RingPair<M>,
        scratch: &'s mut [u8],
        config: HeartbeatConfig,
    ) -> Result<Self, ScratchTooSmall> {
        let duty = HeartbeatDuty {
            config,
            sequence: 0,
            sent: None,
            stuck: false,
            lost: false,
            beats: 0,
        };
        Self::with(ring, scratch, duty)
    }

    /// Negotiates versions, asks when it is time, and takes the next answer. `now` counts from any moment, and never goes back.
    ///
    /// # Errors
    /// A breach of the protocol, or a guest that speaks no version of this end; from then on always.
    pub fn poll(&mut self, now: Duration) -> Result<Polled<Event<Beat>>, Fault> {
        let mut polled = self.step()?;
        if polled.event.is_some() || self.versions().is_none() {
            return Ok(polled);
        }
        let since = self.duty.sent.map(|sent| elapsed(now, sent));
        if !self.is_busy()
            && (self.duty.stuck || since.is_none_or(|since| since >= self.duty.config.interval))
        {
            match self.send(Body::Heartbeat(HeartbeatData::new(self.duty.sequence))) {
                Ok(signal) => {
                    self.duty.sequence = self.duty.sequence.wrapping_add(1);
                    polled.signal = polled.signal | signal;
                    if !core::mem::take(&mut self.duty.stuck) {
                        self.duty.sent = Some(now);
                    }
                }
                Err(RequestError::Fault(fault)) => return Err(fault),
                Err(_) => {
                    if !core::mem::replace(&mut self.duty.stuck, true) {
                        self.duty.sent = Some(now);
                    }
                }
            }
        }
        let silent = self.duty.sent.map(|sent| elapsed(now, sent)).unwrap_or_default();
        if self.waits() && !self.duty.lost && silent >= self.duty.config.patience {
            self.duty.lost = true;
            polled.event = Some(Event::Answered(Beat::Lost { silent }));
        }
        Ok(polled)
    }

    const fn waits(&self) -> bool {
        self.is_busy() || self.duty.stuck
    }

    /// When to call [`poll`](Self::poll) at the latest, even if the guest does not signal; `None` when only a signal brings something new.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        let HeartbeatDuty {
            config, sent, lost, ..
        } = &self.duty;
        self.versions()?;
        match (sent, self.waits()) {
            (Some(sent), true) if !lost => Some(sent.saturating_add(config.patience)),
            (_, true) => None,
            (Some(sent), false) => Some(sent.saturating_add(config.interval)),
            (None, false) => Some(Duration::ZERO),
        }
    }

    /// How often the guest has answered.
    #[must_use]
    pub const fn beats(&self) -> u64 {
        self.duty.beats
    }
}
