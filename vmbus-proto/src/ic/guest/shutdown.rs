//! Shutdown, at the guest: the host asks, the driver answers whether it will.

use core::time::Duration;

use vmbus_ringbuf::RingMem;

use super::Refusal;
use super::channel::{Channel, Deferred, Duty, Taken};
use crate::ic::wire::{Body, Bytes, Service, ShutdownFlags, ShutdownKind, ShutdownReason};

/// The shutdown service. Answer each request before doing what it asks for: afterwards there may be nobody to answer.
pub type Shutdown<'s, M> = Channel<'s, M, ShutdownDuty>;

/// [`Shutdown`]'s.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShutdownDuty(());

/// What the host asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShutdownRequest {
    /// What.
    pub kind: ShutdownKind,
    /// Whether applications are not to be asked.
    pub force: bool,
    /// Why.
    pub reason: ShutdownReason,
    /// How long the guest may take; zero where nothing is told.
    pub timeout: Duration,
}

impl Duty for ShutdownDuty {
    const SERVICE: &'static Service = &Service::SHUTDOWN;
    type Request = ShutdownRequest;

    fn take(&mut self, body: &Body<'_>) -> Taken<ShutdownRequest> {
        let Body::Shutdown(data) = body else {
            return Taken::Refuse(Refusal::of(body));
        };
        match data.kind() {
            Some(kind) => Taken::Keep(ShutdownRequest {
                kind,
                force: data.flags().contains(ShutdownFlags::FORCE),
                reason: data.reason,
                timeout: Duration::from_secs(data.timeout.get().into()),
            }),
            None => Taken::Refuse(Refusal::ShutdownFlags {
                flags: data.flags.get(),
            }),
        }
    }
}

impl Deferred for ShutdownDuty {}

impl<M: RingMem> Shutdown<'_, M> {
    /// What the request that waits for its answer has to say to the person at the guest.
    #[must_use]
    pub fn message(&self) -> Option<&Bytes<2048>> {
        match self.asked()? {
            Body::Shutdown(data) => Some(&data.message),
            _ => None,
        }
    }
}
