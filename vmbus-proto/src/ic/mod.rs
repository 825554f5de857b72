//! Integration services: heartbeat, shutdown, time, key-value pairs, volume snapshots, file copy.
//!
//! Each is a channel in pipe mode, on which the host asks and the guest answers. [`wire`] has the messages.

pub mod wire;
