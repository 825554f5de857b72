//! Shutdown: the guest is asked to end in order, by a signal to the VMM or from a test.

use super::{describe, offer, serve};
use crate::vmbus::{Device, Port, Ring};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tracing::{info, warn};
use vmbus_proto::host::OfferParams;
use vmbus_proto::ic::host::{self, Event, RequestError, ShutdownOrder};
use vmbus_proto::ic::wire::{Service, ShutdownKind, Status};
use vmbus_proto::ringbuf::{PacketType, RingPair, Signal};
use vmbus_proto::wire::Guid;

/// The name that Hyper-V gives the service. Source: OpenVMM `hyperv_ic_protocol`.
const INSTANCE: Guid = Guid::new(0xb665_0ff7, 0x33bc, 0x4840, 0x8048_e067_6786_f393);

/// The shutdown service.
#[derive(Debug, Default)]
pub(super) struct Shutdown {
    shared: Mutex<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// The open channel.
    port: Option<Arc<Port>>,
    /// What the guest is to be asked for.
    wanted: Option<ShutdownKind>,
}

/// What was counted on a channel.
#[derive(Debug, Default)]
struct Counted {
    asked: u64,
    accepted: u64,
    refused: u64,
}

impl Shutdown {
    /// Asks the guest. `false` when no driver listens.
    pub(super) fn ask(&self, kind: ShutdownKind) -> bool {
        let mut shared = self.shared();
        let Some(port) = shared.port.clone() else {
            return false;
        };
        shared.wanted = Some(kind);
        port.wake();
        true
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a wish into the ring, if there is one and it fits.
    fn order(&self, service: &mut host::Shutdown<'_, Ring>, counted: &mut Counted) -> Signal {
        let mut shared = self.shared();
        let Some(kind) = shared.wanted else {
            return Signal::NotNeeded;
        };
        let order = ShutdownOrder {
            kind,
            ..ShutdownOrder::default()
        };
        match service.ask(order) {
            Ok(signal) => {
                counted.asked += 1;
                shared.wanted = None;
                signal
            }
            // It is asked as soon as it can be.
            Err(RequestError::NotReady | RequestError::Busy | RequestError::RingFull) => Signal::NotNeeded,
            Err(error) => {
                warn!("the guest cannot be asked to {kind}: {error}");
                shared.wanted = None;
                Signal::NotNeeded
            }
        }
    }
}

impl Device for Shutdown {
    fn name(&self) -> &'static str {
        "shutdown"
    }

    fn offer(&self) -> OfferParams {
        offer(&Service::SHUTDOWN, INSTANCE)
    }

    fn serve(&self, rings: RingPair<Ring>, port: &Arc<Port>) -> Vec<(&'static str, u64)> {
        let mut scratch = [0; Service::SHUTDOWN.packet_max];
        let mut service = match host::Shutdown::new(rings, &mut scratch) {
            Ok(service) => service,
            Err(error) => {
                warn!("shutdown: {error}");
                return Vec::new();
            }
        };
        self.shared().port = Some(Arc::clone(port));
        let mut counted = Counted::default();
        serve(
            &mut counted,
            port,
            Instant::now(),
            |counted| {
                let mut polled = service.poll()?;
                polled.signal = polled.signal | self.order(&mut service, counted);
                Ok((polled, None))
            },
            Counted::take,
        );
        self.shared().port = None;
        vec![
            ("asked", counted.asked),
            ("accepted", counted.accepted),
            ("refused", counted.refused),
        ]
    }

    fn describe(&self, from_guest: bool, _kind: PacketType, payload: &[u8]) -> Option<String> {
        describe(from_guest, payload)
    }
}

impl Counted {
    fn take(&mut self, event: Event<Status>) {
        match event {
            Event::Answered(Status::SUCCESS) => {
                self.accepted += 1;
                info!("the guest ends in order");
            }
            Event::Answered(status) => {
                self.refused += 1;
                warn!("the guest will not end: {status}");
            }
            _ => {}
        }
    }
}
