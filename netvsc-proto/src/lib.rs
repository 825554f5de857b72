//! Network over VMBus: NVSP and RNDIS wire formats, guest adapter and host NIC.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod host;
pub mod toeplitz;
pub mod wire;
