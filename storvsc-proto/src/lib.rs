//! SCSI over VMBus: wire formats, guest adapter and host target.
#![no_std]
#![forbid(unsafe_code)]

pub mod host;
mod macros;
pub mod scsi;
pub mod wire;
