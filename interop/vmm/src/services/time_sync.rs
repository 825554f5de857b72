//! Time: the guest is told the host's clock.

use super::{describe, offer, serve};
use crate::vmbus::{Device, Port, Ring};
use kvm_ioctls::VmFd;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tracing::warn;
use vmbus_proto::host::OfferParams;
use vmbus_proto::ic::host::{self, Clocks};
use vmbus_proto::ic::wire::{HostTime, Service};
use vmbus_proto::ringbuf::{PacketType, RingPair};
use vmbus_proto::wire::Guid;

/// The name that Hyper-V gives the service. Source: OpenVMM `hyperv_ic_protocol`.
const INSTANCE: Guid = Guid::new(0x2dd1_ce17, 0x079e, 0x403c, 0xb352_a192_1ee2_07ee);

/// The time service.
pub(super) struct TimeSync {
    vm: Arc<VmFd>,
    /// The open channel.
    port: Mutex<Option<Arc<Port>>>,
    /// The guest is to set its clock.
    wanted: AtomicBool,
}

impl TimeSync {
    pub(super) fn new(vm: Arc<VmFd>) -> Self {
        Self {
            vm,
            port: Mutex::default(),
            wanted: AtomicBool::new(false),
        }
    }

    /// Has the guest set its clock. Without a driver there is nothing to do: one that comes sets it first of all.
    pub(super) fn sync(&self) {
        if let Some(port) = &*self.port() {
            self.wanted.store(true, Ordering::Release);
            port.wake();
        }
    }

    fn port(&self) -> MutexGuard<'_, Option<Arc<Port>>> {
        self.port.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The clocks of now. KVM's clock is what it makes the guest's reference time of; where it cannot be read, a guest is no worse off
    /// than by a reference time of 0, which is wrong by as long as the machine runs.
    fn clocks(&self, begin: Instant) -> Clocks {
        let nanos = self.vm.get_clock().map_or(0, |clock| clock.clock);
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Clocks {
            now: begin.elapsed(),
            host_time: HostTime::from_unix(unix),
            reference_time: nanos / 100,
        }
    }
}

impl Device for TimeSync {
    fn name(&self) -> &'static str {
        "time"
    }

    fn offer(&self) -> OfferParams {
        offer(&Service::TIME_SYNC, INSTANCE)
    }

    fn serve(&self, rings: RingPair<Ring>, port: &Arc<Port>) -> Vec<(&'static str, u64)> {
        let mut scratch = [0; Service::TIME_SYNC.packet_max];
        let mut service = match host::TimeSync::new(rings, &mut scratch) {
            Ok(service) => service,
            Err(error) => {
                warn!("time: {error}");
                return Vec::new();
            }
        };
        *self.port() = Some(Arc::clone(port));
        let begin = Instant::now();
        serve(
            &mut service,
            port,
            begin,
            |service| {
                if self.wanted.swap(false, Ordering::AcqRel) {
                    service.resync();
                }
                let polled = service.poll(self.clocks(begin))?;
                Ok((polled, service.poll_timeout()))
            },
            // Acknowledgements are of no interest.
            |_, _| {},
        );
        *self.port() = None;
        vec![("messages", service.messages())]
    }

    fn describe(&self, from_guest: bool, _kind: PacketType, payload: &[u8]) -> Option<String> {
        describe(from_guest, payload)
    }
}

impl fmt::Debug for TimeSync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeSync")
            .field("wanted", &self.wanted)
            .finish_non_exhaustive()
    }
}
