//! The host: a VMM's end of each service.
//!
//! A VMM offers a channel of the service's [interface](crate::ic::wire::Service::interface) in pipe mode with
//! [messages](crate::wire::PipeType::MESSAGE), and makes the service of its rings when the guest has opened it. [`Heartbeat`] and
//! [`TimeSync`] go by a clock: call `poll` when the guest signals, and at the time that `poll_timeout` says. The others ask when told to,
//! one request at a time.

mod channel;
mod event;
mod file_copy;
mod heartbeat;
mod kvp;
mod shutdown;
mod time_sync;
mod vss;

pub use channel::{Channel, Duty, OnDemand};
pub use event::{Event, Fault, RequestError};
pub use file_copy::{FileCopy, FileCopyAnswer, FileCopyDuty};
pub use heartbeat::{Beat, Heartbeat, HeartbeatConfig, HeartbeatDuty};
pub use kvp::{Kvp, KvpAnswer, KvpDuty};
pub use shutdown::{Shutdown, ShutdownDuty, ShutdownOrder};
pub use time_sync::{Clocks, TimeSync, TimeSyncDuty};
pub use vss::{Vss, VssAnswer, VssDuty};
