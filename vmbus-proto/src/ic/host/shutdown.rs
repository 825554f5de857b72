//! Shutdown, at the host: asks the guest to end, and learns whether it will.

use core::time::Duration;

use vmbus_ringbuf::{RingMem, Signal};
use zerocopy::little_endian::U32;

use super::channel::{Channel, Duty, OnDemand};
use super::{Fault, RequestError};
use crate::ic::wire::{
    Body, Service, ShutdownData, ShutdownFlags, ShutdownKind, ShutdownReason, Status, Version,
};

/// The shutdown service. An answer of [`SUCCESS`](Status::SUCCESS) says that the guest will; that it has is for the machine to tell.
pub type Shutdown<'s, M> = Channel<'s, M, ShutdownDuty>;

/// [`Shutdown`]'s.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShutdownDuty(());

/// What to ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShutdownOrder {
    /// What.
    pub kind: ShutdownKind,
    /// Whether the guest's applications are not to be asked.
    pub force: bool,
    /// How long the guest may take, in whole seconds; zero where nothing is told.
    pub timeout: Duration,
}

/// The version from which on Hyper-V asks for hibernation.
const HIBERNATE_SINCE: Version = Version::new(3, 2);

impl Duty for ShutdownDuty {
    const SERVICE: &'static Service = &Service::SHUTDOWN;
    type Answer = Status;

    fn answer(&mut self, status: Status, body: Option<&Body<'_>>) -> Result<Status, Fault> {
        match body {
            Some(Body::Shutdown(_)) | None => Ok(status),
            Some(_) => Err(Fault::Mismatch),
        }
    }
}

impl OnDemand for ShutdownDuty {}

impl<M: RingMem> Shutdown<'_, M> {
    /// Asks the guest.
    ///
    /// # Errors
    /// When it cannot be asked, or not now, or its version has no hibernation.
    pub fn ask(&mut self, order: ShutdownOrder) -> Result<Signal, RequestError> {
        let version = self.ready()?.message;
        if order.kind == ShutdownKind::Hibernate && version < HIBERNATE_SINCE {
            return Err(RequestError::Version { version });
        }
        let force = if order.force {
            ShutdownFlags::FORCE
        } else {
            ShutdownFlags::empty()
        };
        let data = ShutdownData {
            reason: ShutdownReason::PLANNED,
            timeout: U32::new(u32::try_from(order.timeout.as_secs()).unwrap_or(u32::MAX)),
            flags: U32::new((order.kind.flag() | force).bits()),
            ..ShutdownData::default()
        };
        self.send(Body::Shutdown(&data))
    }
}
