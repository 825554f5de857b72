//! A freestanding x86-64 kernel that drives the host's disks and network card by the published crates, and checks them.
//!
//! It is the guest's counterpart of `interop/vmm`: a list of [`checks`] on whatever offers VMBus devices, told on the
//! serial port and by the status with which the virtual machine ends. It boots by PVH and by the Linux boot protocol.
//!
//! What a kernel author may want to look at is [`platform`]: the glue between a kernel and the crates, all of it in one
//! file. [`disk`] and [`nic`] are drivers on top of it. The rest is what any kernel has already.
//!
//! The crate is a library, so that its logic can be tested on any machine; the kernel itself is the binary of the same name,
//! built for `x86_64-unknown-none` by `cargo xtask guest`.
#![cfg_attr(target_os = "none", no_std)]

pub mod attack;
pub mod kept;
pub mod memory;
pub mod options;
pub mod pattern;
pub mod report;

#[cfg(target_arch = "x86_64")]
pub mod boot;
#[cfg(target_arch = "x86_64")]
pub mod checks;
#[cfg(target_arch = "x86_64")]
pub mod cpu;
#[cfg(target_arch = "x86_64")]
pub mod disk;
#[cfg(target_arch = "x86_64")]
pub mod nic;
#[cfg(target_arch = "x86_64")]
pub mod platform;
#[cfg(target_arch = "x86_64")]
pub mod serial;
#[cfg(target_arch = "x86_64")]
pub mod session;
