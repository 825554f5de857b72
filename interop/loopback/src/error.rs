//! What can go wrong.

use std::io;
use std::time::Duration;

use hvcall::guest::{MsrError, PageError, PostError, SynicError};
use hvcall::host::synic::EventFlagError;
use hvcall::{ConnectionId, HvStatus, MemoryError};
use thiserror::Error;
use vmbus_proto::guest::{BusCallError, CallError, ConnectError, MessageError, OpenError};
use vmbus_proto::ringbuf::mem::LayoutError;

/// What fails in the platform under both ends: memory, and the hypervisor's part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PlatformError {
    /// The guest's allocator has no such run of pages.
    #[error("the guest has no {count} pages left that follow one another")]
    NoFrames {
        /// Pages that were asked for.
        count: usize,
    },
    /// An address that is no memory.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// Pages that make no ring or region.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A region was accessed beyond its end.
    #[error(transparent)]
    OutOfBounds(#[from] vmbus_proto::ringbuf::OutOfBounds),
    /// An address that is no page's.
    #[error(transparent)]
    Page(#[from] PageError),
    /// An event flag was not set.
    #[error(transparent)]
    EventFlag(#[from] EventFlagError),
    /// A GPADL of several ranges for a device's buffer.
    #[error("the buffer has {ranges} ranges instead of one")]
    Ranges {
        /// How many.
        ranges: usize,
    },
    /// The hypercall signal-event failed.
    #[error("signal-event was answered with {status}")]
    Signal {
        /// How.
        status: HvStatus,
    },
    /// More channels are open than the hypervisor has doorbells.
    #[error("no doorbell is left for connection {:#x}", connection.0)]
    NoDoorbell {
        /// The connection.
        connection: ConnectionId,
    },
}

/// Why a run ended early.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The platform failed.
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// The guest's SynIC was not switched on.
    #[error("the SynIC: {0}")]
    Synic(#[from] SynicError),
    /// The guest could not write a register.
    #[error(transparent)]
    Msr(#[from] MsrError),
    /// A message to the host was not posted.
    #[error(transparent)]
    Post(#[from] PostError),
    /// The guest's engine dropped a message of the host's.
    #[error("a message of the host's: {0}")]
    Message(#[from] MessageError),
    /// A call on the guest's bus was refused.
    #[error(transparent)]
    Call(#[from] CallError),
    /// A call on the guest's bus was refused, and it needed the platform.
    #[error(transparent)]
    BusCall(#[from] BusCallError<PlatformError>),
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A channel was not opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The guest's disk driver gave up.
    #[error("the guest's disk: {0}")]
    Disk(#[from] storvsc_proto::guest::Fault),
    /// A command was not sent.
    #[error("the guest's disk: {0}")]
    Submit(#[from] storvsc_proto::guest::SubmitError),
    /// A LUN is no disk.
    #[error("the guest's disk: {0}")]
    Identify(#[from] storvsc_proto::guest::IdentifyError),
    /// Blocks that cannot be asked for.
    #[error("the guest's disk: {0}")]
    Blocks(#[from] storvsc_proto::guest::RangeError),
    /// The other end did not do what was waited for.
    #[error("{what} did not come for {} s", after.as_secs())]
    Silent {
        /// What was waited for.
        what: &'static str,
        /// For how long nothing happened.
        after: Duration,
    },
    /// An end found what an honest other end does not do.
    #[error("{0}")]
    Unexpected(String),
    /// The host's thread was not started.
    #[error("the host's thread: {0}")]
    Thread(#[source] io::Error),
}

impl From<MemoryError> for Error {
    fn from(error: MemoryError) -> Self {
        Self::Platform(error.into())
    }
}

/// What comes of what can fail here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Turns what has no place among the errors into [`Error::Unexpected`].
pub(crate) fn unexpected(who: &str, what: impl std::fmt::Display) -> Error {
    Error::Unexpected(format!("{who}: {what}"))
}
