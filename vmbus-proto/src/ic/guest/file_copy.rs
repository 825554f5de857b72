//! File copy, at the guest: the host sends a file in pieces, the driver writes it.

use vmbus_ringbuf::RingMem;

use super::Refusal;
use super::channel::{Channel, Deferred, Duty, Taken};
use crate::ic::wire::{self, Body, FileCopyOperation, Service};

/// The service for file copies.
///
/// The event tells what is asked; [`request`](Channel::request) has the names, and the bytes to write. Where a file may go is for the driver
/// to judge: names and folders are the host's words.
pub type FileCopy<'s, M> = Channel<'s, M, FileCopyDuty>;

/// [`FileCopy`]'s.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileCopyDuty(());

impl Duty for FileCopyDuty {
    const SERVICE: &'static Service = &Service::FILE_COPY;
    type Request = FileCopyOperation;

    fn take(&mut self, body: &Body<'_>) -> Taken<FileCopyOperation> {
        match body {
            Body::FileCopy(request) => Taken::Keep(request.operation()),
            _ => Taken::Refuse(Refusal::of(body)),
        }
    }
}

impl Deferred for FileCopyDuty {}

impl<M: RingMem> FileCopy<'_, M> {
    /// What is asked, while it waits for its answer.
    #[must_use]
    pub fn request(&self) -> Option<wire::FileCopy<'_>> {
        match self.asked()? {
            Body::FileCopy(request) => Some(request),
            _ => None,
        }
    }
}
