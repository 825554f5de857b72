//! File copy, at the host: sends a file in pieces.

use vmbus_ringbuf::{RingMem, Signal};

use super::channel::{Channel, Duty, OnDemand};
use super::{Fault, RequestError};
use crate::ic::wire::{
    Body, FileCopy as Request, FileCopyFlags, FileCopyOperation, FileStart, Service, Status,
};

/// The service for file copies: [`start`](Channel::start), [`write`](Channel::write) until all is sent, [`complete`](Channel::complete), each
/// once the one before is answered.
pub type FileCopy<'s, M> = Channel<'s, M, FileCopyDuty>;

/// [`FileCopy`]'s.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileCopyDuty {
    asked: FileCopyOperation,
}

/// How a request went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileCopyAnswer {
    /// What was asked.
    pub operation: FileCopyOperation,
    /// How it went.
    pub status: Status,
}

impl Duty for FileCopyDuty {
    const SERVICE: &'static Service = &Service::FILE_COPY;
    type Answer = FileCopyAnswer;

    fn answer(&mut self, status: Status, body: Option<&Body<'_>>) -> Result<FileCopyAnswer, Fault> {
        let operation = self.asked;
        match body {
            None => {}
            Some(Body::FileCopy(answer)) if answer.operation() == operation => {}
            Some(_) => return Err(Fault::Mismatch),
        }
        Ok(FileCopyAnswer { operation, status })
    }
}

impl OnDemand for FileCopyDuty {}

impl<M: RingMem> FileCopy<'_, M> {
    /// Has the guest make the file `name` in the folder `path`, for `size` bytes.
    ///
    /// # Errors
    /// When a name is too long, or it cannot be asked now.
    pub fn start(
        &mut self,
        name: &str,
        path: &str,
        flags: FileCopyFlags,
        size: u64,
    ) -> Result<Signal, RequestError> {
        self.ask(Request::Start(&FileStart::new(name, path, flags, size)?))
    }

    /// Sends the bytes from `offset` on; at most [`FRAGMENT_MAX`](crate::ic::wire::FRAGMENT_MAX) at a time.
    ///
    /// # Errors
    /// When they are too many, or it cannot be asked now.
    pub fn write(&mut self, offset: u64, data: &[u8]) -> Result<Signal, RequestError> {
        self.ask(Request::Write { offset, data })
    }

    /// Tells that all was sent.
    ///
    /// # Errors
    /// When it cannot be asked now.
    pub fn complete(&mut self) -> Result<Signal, RequestError> {
        self.ask(Request::Complete)
    }

    /// Has the guest remove what it has of the file.
    ///
    /// # Errors
    /// When it cannot be asked now.
    pub fn cancel(&mut self) -> Result<Signal, RequestError> {
        self.ask(Request::Cancel)
    }

    fn ask(&mut self, request: Request<'_>) -> Result<Signal, RequestError> {
        let signal = self.send(Body::FileCopy(request))?;
        self.duty.asked = request.operation();
        Ok(signal)
    }
}
