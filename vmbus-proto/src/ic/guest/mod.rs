//! The guest: a driver's end of each service.
//!
//! A kernel opens the channel, makes the service of its rings, and calls [`poll`](Channel::poll) whenever the host signals. Versions are
//! negotiated and heartbeats and times acknowledged by themselves; the other requests are told as an [`Event::Request`], and wait for
//! [`answer`](Channel::answer).

mod channel;
mod event;
mod file_copy;
mod heartbeat;
mod kvp;
mod shutdown;
mod time_sync;
mod vss;

pub use channel::{Channel, Deferred, Duty};
pub use event::{AnswerError, Event, Fault, Refusal};
pub use file_copy::{FileCopy, FileCopyDuty};
pub use heartbeat::{Beat, Heartbeat, HeartbeatDuty};
pub use kvp::{Kvp, KvpDuty};
pub use shutdown::{Shutdown, ShutdownDuty, ShutdownRequest};
pub use time_sync::{TimeSync, TimeSyncDuty, TimeUpdate};
pub use vss::{Vss, VssDuty};
