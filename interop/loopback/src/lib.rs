//! A guest and a host of the VMBus crates in one process, over plain shared memory and without a hypervisor: a way to try the crates on
//! any machine, and to measure them without anything else in between.
//!
//! * [`Machine`] is a guest and a host, [on one thread or on two](Threads).
//! * [`Session`] is what a guest does with it, from its first message to its last. Each step is judged and told of.
//! * [`Session::disk_reads`] and its like measure what goes through.
//!
//! ```
//! use loopback::{Options, Session, Threads};
//!
//! let options = Options { threads: Threads::One, ..Options::default() };
//! let mut report = |step: loopback::Step| println!("{}: {}", step.name, step.detail);
//! let session = Session::start(&options, &mut report)?;
//! session.finish(&options, &mut report)?;
//! # Ok::<(), loopback::Failure>(())
//! ```
//!
//! # How it is made
//!
//! ```text
//!   guest    Guest: hvcall::guest's SynIC, vmbus_proto::guest::Bus, storvsc_proto::guest, netvsc_proto::guest
//!     │  hypercalls, registers         ▲  messages and event flags in memory, an interrupt line
//!     ▼                                │
//!   Hypervisor: hvcall::host::decode, hvcall::host::synic, a mailbox, doorbells
//!     │  messages, doorbells           ▲  post, signal, pages of a GPADL
//!     ▼                                │
//!   host     Host: vmbus_proto::host::Bus, storvsc_proto::host, netvsc_proto::host; a disk in memory, a cable
//! ```
//!
//! Both reach the guest's memory in their own way: the host copies to and from guest-physical addresses and maps what the guest lends;
//! the guest has an allocator of pages. On two threads, whoever has nothing to do looks at its line for some microseconds and then
//! sleeps, as VMMs and drivers that poll for a while do. On one thread, the host has its turn when the guest has nothing to do.

mod error;
mod figures;
mod guest;
mod host;
mod hypervisor;
mod line;
mod machine;
#[allow(unsafe_code, reason = "the island: each block has its argument")]
mod ram;
mod session;
mod wire;

pub use error::{Error, PlatformError, Result};
pub use figures::{Amount, Measured};
pub use machine::{Machine, Options, Threads};
pub use session::{Failure, Session, Step};
