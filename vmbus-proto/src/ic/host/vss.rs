//! Volume snapshots, at the host: asks the guest to hold its file systems still.

use vmbus_ringbuf::{RingMem, Signal};

use super::channel::{Channel, Duty, OnDemand};
use super::{Fault, RequestError};
use crate::ic::wire::{Body, Service, Status, Vss as Request, VssData, VssFlags, VssOperation};

/// The service for volume snapshots.
///
/// A backup asks HOT_BACKUP whether one can be made, FREEZE, takes its snapshot once that is answered, and asks THAW at once.
pub type Vss<'s, M> = Channel<'s, M, VssDuty>;

/// [`Vss`]'s.
#[derive(Clone, Copy, Debug, Default)]
pub struct VssDuty {
    asked: VssOperation,
}

/// How a request went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VssAnswer {
    /// What was asked.
    pub operation: VssOperation,
    /// How it went.
    pub status: Status,
    /// What the guest says that it can do, where that was asked and it went well.
    pub flags: VssFlags,
}

impl Duty for VssDuty {
    const SERVICE: &'static Service = &Service::VSS;
    type Answer = VssAnswer;

    fn answer(&mut self, status: Status, body: Option<&Body<'_>>) -> Result<VssAnswer, Fault> {
        let operation = self.asked;
        let flags = match body {
            None => VssFlags::default(),
            Some(Body::Vss(answer)) if answer.data.operation == operation => answer.data.flags,
            Some(_) => return Err(Fault::Mismatch),
        };
        Ok(VssAnswer {
            operation,
            status,
            flags,
        })
    }
}

impl OnDemand for VssDuty {}

impl<M: RingMem> Vss<'_, M> {
    /// Asks the guest.
    ///
    /// # Errors
    /// When it cannot be asked now.
    pub fn ask(&mut self, operation: VssOperation) -> Result<Signal, RequestError> {
        let signal = self.send(Body::Vss(Request {
            data: VssData::new(operation),
            tail: &[],
        }))?;
        self.duty.asked = operation;
        Ok(signal)
    }
}
