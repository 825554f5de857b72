//! The glue of integration services: heartbeat, shutdown and time, each served by `vmbus-proto`'s engine of that name.

mod heartbeat;
mod shutdown;
mod time_sync;

use crate::vmbus::{Device, Port};
use kvm_ioctls::VmFd;
use std::sync::Arc;
use std::time::{Duration, Instant};
use vmbus_proto::host::OfferParams;
use vmbus_proto::ic::Polled;
use vmbus_proto::ic::host::{Event, Fault};
use vmbus_proto::ic::wire::{GuestMessage, HostMessage, Service, ShutdownKind};
use vmbus_proto::wire::{Guid, PipeType};

use heartbeat::Heartbeat;
use shutdown::Shutdown;
use time_sync::TimeSync;

/// Which services a machine offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServicesConfig {
    /// Heartbeat: after how long without an answer the guest is said to have stopped.
    pub heartbeat: Option<Duration>,
    /// Whether the guest can be asked to shut down.
    pub shutdown: bool,
    /// Whether the guest is told the time.
    pub time_sync: bool,
}

/// The services of one machine, as who has wishes for the guest sees them.
#[derive(Debug)]
pub struct Services {
    heartbeat: Option<Arc<Heartbeat>>,
    shutdown: Option<Arc<Shutdown>>,
    time_sync: Option<Arc<TimeSync>>,
}

impl Services {
    /// The services that are configured, of this machine.
    pub fn new(config: ServicesConfig, vm: &Arc<VmFd>) -> Self {
        Self {
            heartbeat: config
                .heartbeat
                .map(|patience| Arc::new(Heartbeat::new(patience))),
            shutdown: config.shutdown.then(Arc::default),
            time_sync: config.time_sync.then(|| Arc::new(TimeSync::new(Arc::clone(vm)))),
        }
    }

    /// What the bus offers for them.
    pub fn devices(&self) -> impl Iterator<Item = Arc<dyn Device>> + use<> {
        let heartbeat = self.heartbeat.clone().map(|it| it as Arc<dyn Device>);
        let shutdown = self.shutdown.clone().map(|it| it as Arc<dyn Device>);
        let time_sync = self.time_sync.clone().map(|it| it as Arc<dyn Device>);
        [heartbeat, shutdown, time_sync].into_iter().flatten()
    }

    /// Asks the guest to end in order. `false` when it has nobody who listens: no such service, or no driver for it.
    #[must_use]
    pub fn ask(&self, kind: ShutdownKind) -> bool {
        self.shutdown.as_ref().is_some_and(|shutdown| shutdown.ask(kind))
    }

    /// Has the guest set its clock now.
    pub fn sync_time(&self) {
        if let Some(time_sync) = &self.time_sync {
            time_sync.sync();
        }
    }
}

fn offer(service: &Service, instance: Guid) -> OfferParams {
    OfferParams::new(service.interface, instance).pipe(PipeType::MESSAGE)
}

/// Serves a channel until it is closed or its guest breaks the protocol: `step` does what there is to do and tells until when to wait at the
/// latest, by `begin`'s clock; `told` takes the events.
fn serve<S, A>(
    state: &mut S,
    port: &Port,
    begin: Instant,
    mut step: impl FnMut(&mut S) -> Result<(Polled<Event<A>>, Option<Duration>), Fault>,
    mut told: impl FnMut(&mut S, Event<A>),
) {
    while !port.is_closing() {
        let (polled, until) = match step(state) {
            Ok(done) => done,
            Err(fault) => {
                port.note(&fault);
                return;
            }
        };
        if polled.signal.is_needed() {
            port.signal();
        }
        if let Some(event) = polled.event {
            told(state, event);
        }
        if polled.again {
            continue;
        }
        match until {
            Some(until) => port.wait_for(until.saturating_sub(begin.elapsed())),
            None => port.wait(),
        }
    }
}

/// A packet of a service's in words, for a trace.
fn describe(from_guest: bool, payload: &[u8]) -> Option<String> {
    if from_guest {
        let (envelope, message) = GuestMessage::decode(payload).ok()?;
        Some(format!("{message} {envelope}"))
    } else {
        let (envelope, message) = HostMessage::decode(payload).ok()?;
        Some(format!("{message} {envelope}"))
    }
}
