//! VMBus channel messages and the connection engines of guest and host.
#![no_std]
#![forbid(unsafe_code)]

pub mod host;
pub mod wire;

pub use hvcall;
pub use vmbus_ringbuf as ringbuf;
