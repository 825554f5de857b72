//! Volume snapshots, at the guest: the host asks to hold file systems still, the driver answers when they are.

use vmbus_ringbuf::{RingMem, Signal};
use zerocopy::FromBytes;

use super::channel::{Channel, Deferred, Duty, Taken};
use super::{AnswerError, Refusal};
use crate::ic::wire::{Body, NoRoom, Service, Status, VssData, VssFlags, VssOperation};

/// The service for volume snapshots. A host waits for the answer to a freeze before it takes its snapshot.
pub type Vss<'s, M> = Channel<'s, M, VssDuty>;

/// [`Vss`]'s.
#[derive(Clone, Copy, Debug, Default)]
pub struct VssDuty(());

impl Duty for VssDuty {
    const SERVICE: &'static Service = &Service::VSS;
    type Request = VssOperation;

    fn take(&mut self, body: &Body<'_>) -> Taken<VssOperation> {
        match body {
            Body::Vss(request) => Taken::Keep(request.data.operation),
            _ => Taken::Refuse(Refusal::of(body)),
        }
    }
}

impl Deferred for VssDuty {}

impl<M: RingMem> Vss<'_, M> {
    /// Answers HOT_BACKUP or GET_DM_INFO: what the guest can do.
    ///
    /// # Errors
    /// When nothing is asked, or the channel is poisoned.
    pub fn answer_flags(&mut self, flags: VssFlags) -> Result<Signal, AnswerError> {
        self.answer_with(Status::SUCCESS, |body| {
            let len = body.len();
            let (data, _) = VssData::mut_from_prefix(body).map_err(|_| NoRoom { len })?;
            data.flags = flags;
            Ok(())
        })
    }
}
