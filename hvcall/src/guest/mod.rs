//! The guest's side: what a kernel needs to find the hypervisor, call it, and hear from it.
//!
//! | step | with |
//! |---|---|
//! | find out what the guest runs on | [`Hypervisor::detect`] |
//! | say who the guest is | [`identify`] |
//! | switch the hypercall page on | [`CallPage`], x86-64 only |
//! | make hypercalls | a [`Gate`]; [`signal_event`], [`Post`], [`call_rep`] |
//! | take messages and events | [`Synic`], one for each processor |
//! | tell the time | [`reference_time`], [`TscPage`] |
//!
//! Nothing here waits, allocates or keeps a global. What touches the processor is a trait ([`Msrs`], [`Gate`],
//! [`Cpuid`]) with an implementation for each architecture beside it, so that a kernel can put its own in place.
//!
//! A host is hostile: what it writes to shared pages is read once and judged then, and no count or status that it
//! returns makes a loop unbounded. What it can do is to deny its services.
//!
//! # Bounds
//!
//! A [`Synic`] is a value of 72 bytes and two pages, a [`TscPage`] one of 24 bytes and a page; no message is kept in either. A look takes
//! one message of 240 bytes, or the 2048 flags of a SINT. The time is tried to be read 8 times, then it is
//! [changing](TscPageUnusable::Changing); a [`Post`] is given up after as many attempts as [`PostBackoff`] allows; a
//! [`RepCall`] ends unless each answer brings it on.

mod detect;
mod events;
#[allow(unsafe_code, reason = "the island: each block has its argument")]
mod gate;
#[cfg(test)]
mod hostile;
mod interface;
mod messages;
#[cfg(test)]
mod model;
mod post;
mod rep;
mod synic;
mod time;
mod words;

pub use detect::{Cpuid, DetectError, Hypervisor, NotOffered, VirtStack};
pub use events::{EventPage, TakenFlags};
pub use gate::*;
pub use interface::{CallPage, InterfaceError, NotEnabled, clear_identity, identify};
pub use messages::{Eom, MessagePage, Received, SlotFault};
pub use post::{Post, PostBackoff, PostError, Posted, signal_event};
pub use rep::{RepCall, RepError};
pub use synic::{FIRST_VECTOR, SintSetup, StillOn, Synic, SynicError, SynicRegisters};
pub use time::{TscPage, TscPageUnusable, reference_time};
