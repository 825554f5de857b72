//! The guest: what a kernel's storage driver is made of.
//!
//! [`Queue`] is one channel: it negotiates by itself, sends commands, and tells of their outcomes. [`Disk`] is a front
//! for block devices, which knows what commands to send. Neither touches memory but the rings': a driver passes the pages of its
//! buffers along, and has its data in them when a command is complete.

mod disk;
mod event;
mod identify;
mod negotiation;
mod outcome;
mod queue;

pub use disk::{Disk, RangeError, Request, unmap_list};
pub use event::{Event, Fault, SubmitError};
pub use identify::{IDENTIFY_BUFFER_LEN, Identify, IdentifyError};
pub use negotiation::Properties;
pub use outcome::Outcome;
pub use queue::{Batch, Data, Polled, Queue, Submitted};
/// A command that the host has. It is told complete once, and its id then means nothing any more.
pub use vmbus_proto::ringbuf::TransactionId as RequestId;
