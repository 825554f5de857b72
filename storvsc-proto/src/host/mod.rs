//! The host: a SCSI controller for a guest's storvsc driver.

mod backend;
mod channel;
mod config;
mod disk;
mod event;
mod lun;
mod negotiation;
mod outcome;
mod queue;
mod segments;
mod target;
mod tickets;

pub use backend::{BlockBackend, BlockError, BlockSize, Discard, Geometry, Identity, Serial, SerialError};
pub use channel::Counters;
pub use config::{Config, DEFAULT_MAX_TRANSFER_BYTES, SetupError};
pub use disk::{DiscardRanges, MAX_UNMAP_DESCRIPTORS, Work};
pub use event::{Event, Fault, Refusal, Reset};
pub use lun::{Attention, Lun};
pub use outcome::Outcome;
pub use queue::{Accepted, CompleteError, Next, Queue, Served};
pub use segments::Segments;
pub use tickets::Ticket;
