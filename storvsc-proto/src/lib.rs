//! SCSI over VMBus: wire formats, guest adapter and host target.
#![no_std]
#![forbid(unsafe_code)]

mod macros;
pub mod scsi;
pub mod wire;
