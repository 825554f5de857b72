//! What `vmbus-proto`'s bus needs of a VMM, for this one.

use super::Ring;
use crate::hooked::HookedRing;
use crate::memory::Ram;
use crate::pages::{self, GuestRegion, MapError};
use crate::synic::Synic;
use crate::trace::Tracer;
use hvcall::MemoryError;
use hvcall::host::synic::{Delivery, EventFlagError};
use hvcall::synic::Message;
use std::sync::Arc;
use vmbus_proto::host::{ChannelSignal, GpadlView, MessageTarget, RingPages, Vmm};
use vmbus_proto::ringbuf::Halves;

/// What the bus needs of this machine.
#[derive(Debug)]
pub struct Platform {
    pub(super) synic: Arc<Synic>,
    pub(super) ram: &'static Ram,
    pub(super) tracer: Option<Arc<Tracer>>,
}

/// What can fail in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlatformError {
    /// The guest's message page is no memory.
    #[error(transparent)]
    MessagePage(#[from] MemoryError),
    /// The guest's event page is no memory.
    #[error(transparent)]
    EventPage(#[from] EventFlagError),
    /// What the guest lends is no memory.
    #[error(transparent)]
    Map(#[from] MapError),
}

impl Vmm for Platform {
    type Ring = Ring;
    type Region = GuestRegion;
    type Error = PlatformError;

    fn post(&self, target: MessageTarget, message: &Message) -> std::result::Result<Delivery, PlatformError> {
        let delivery = self.synic.post(target.vp, target.sint, message)?;
        if let (Some(tracer), Delivery::Delivered) = (&self.tracer, delivery) {
            tracer.host_message(message);
        }
        Ok(delivery)
    }

    fn signal(&self, signal: ChannelSignal) -> std::result::Result<(), PlatformError> {
        let Some(vp) = signal.vp else { return Ok(()) };
        Ok(self.synic.signal(vp, signal.sint, signal.flag)?)
    }

    fn map_rings(&self, pages: &RingPages<'_>) -> std::result::Result<Halves<Ring>, PlatformError> {
        let Halves { to_host, to_guest } = pages::rings(self.ram, pages)?;
        Ok(Halves {
            to_host: HookedRing::new(HookedRing::new(to_host)),
            to_guest: HookedRing::new(HookedRing::new(to_guest)),
        })
    }

    fn map_region(&self, memory: &GpadlView<'_>) -> std::result::Result<GuestRegion, PlatformError> {
        Ok(pages::region(self.ram, memory)?)
    }
}
