//! Heartbeat: tells when the guest stops, and when it is back.

use super::{describe, offer, serve};
use crate::vmbus::{Device, Port, Ring};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::{debug, info, warn};
use vmbus_proto::host::OfferParams;
use vmbus_proto::ic::host::{self, Beat, Event, HeartbeatConfig};
use vmbus_proto::ic::wire::Service;
use vmbus_proto::ringbuf::{PacketType, RingPair};
use vmbus_proto::wire::Guid;

/// The name that Hyper-V gives the service.
const INSTANCE: Guid = Guid::new(0xfd14_9e91, 0x82e0, 0x4a7d, 0xafa6_2a41_66cb_d7c0);

/// The heartbeat service.
#[derive(Debug)]
pub(super) struct Heartbeat {
    config: HeartbeatConfig,
}

/// What was counted on a channel.
#[derive(Debug, Default)]
struct Counted {
    beats: u64,
    lost: u64,
    recovered: u64,
    is_lost: bool,
}

impl Heartbeat {
    pub(super) fn new(patience: Duration) -> Self {
        let config = HeartbeatConfig::default();
        Self {
            config: HeartbeatConfig { patience, ..config },
        }
    }
}

impl Device for Heartbeat {
    fn name(&self) -> &'static str {
        "heartbeat"
    }

    fn offer(&self) -> OfferParams {
        offer(&Service::HEARTBEAT, INSTANCE)
    }

    fn serve(&self, rings: RingPair<Ring>, port: &Arc<Port>) -> Vec<(&'static str, u64)> {
        let mut scratch = [0; Service::HEARTBEAT.packet_max];
        let begin = Instant::now();
        let mut service = match host::Heartbeat::with_config(rings, &mut scratch, self.config) {
            Ok(service) => service,
            Err(error) => {
                warn!("heartbeat: {error}");
                return Vec::new();
            }
        };
        let mut counted = Counted::default();
        serve(
            &mut counted,
            port,
            begin,
            |_| {
                let polled = service.poll(begin.elapsed())?;
                Ok((polled, service.poll_timeout()))
            },
            Counted::take,
        );
        if counted.beats > 0 {
            info!("the guest has closed its heartbeat");
        }
        vec![
            ("beats", counted.beats),
            ("lost", counted.lost),
            ("recovered", counted.recovered),
        ]
    }

    fn describe(&self, from_guest: bool, _kind: PacketType, payload: &[u8]) -> Option<String> {
        describe(from_guest, payload)
    }
}

impl Counted {
    fn take(&mut self, event: Event<Beat>) {
        match event {
            Event::Answered(Beat::Lost { silent }) => {
                self.lost += 1;
                self.is_lost = true;
                warn!("the guest's heartbeat has stopped: no answer for {silent:.1?}");
            }
            Event::Answered(beat) => {
                self.beats += 1;
                if std::mem::take(&mut self.is_lost) {
                    self.recovered += 1;
                    warn!("the guest's heartbeat is back");
                }
                if let Beat::Failed(status) = beat {
                    debug!("the guest answers heartbeats with {status}");
                }
            }
            Event::Ready(versions) => info!("the guest has a heartbeat: {versions}"),
            other => debug!("heartbeat: {other:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_that_comes_back_is_counted_once() {
        let mut counted = Counted::default();
        let alive = Event::Answered(Beat::Alive {
            sequence: 1,
            state: 0.into(),
        });
        let lost = Event::Answered(Beat::Lost {
            silent: Duration::from_secs(10),
        });
        for event in [alive, alive, lost, alive, alive, lost] {
            counted.take(event);
        }
        assert_eq!((counted.beats, counted.lost, counted.recovered), (4, 2, 1));
        assert!(counted.is_lost);
    }
}
