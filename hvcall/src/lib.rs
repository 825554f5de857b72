//! Hypercalls, SynIC, MSRs, CPUID leaves and reference time of the Hyper-V ABI, for guests and VMMs.
//!
//! This is what a guest and its hypervisor agree on before any device speaks: how a guest finds out what it runs on,
//! how it calls, and how it is told of messages and events. VMBus and its devices stand on it; the crates
//! `vmbus-proto`, `storvsc-proto` and `netvsc-proto` go on from here.
//!
//! # What both sides share
//!
//! | module | holds |
//! |---|---|
//! | [`cpuid`] | the leaves from 0x40000000 on, with their feature bits |
//! | [`msr`] | numbers of the synthetic MSRs, and the registers that belong nowhere else |
//! | the root | [`CallCode`], [`HypercallControl`], [`HypercallResult`], [`HvStatus`], [`GuestOsId`] |
//! | [`wire`] | parameters of the calls that a VMM answers |
//! | [`synic`] | SINTs, the registers of the SynIC, [`Message`] and event flags |
//! | [`time`] | the reference TSC page and synthetic timers |
//! | [`vpset`] | sparse sets of virtual processors |
//! | [`crash`] | what a guest tells when it crashes |
//!
//! Structures of the wire are `zerocopy` types of bytes in little-endian order, with their sizes and offsets checked
//! at compile time. Codes are open: a number without a name is kept as it is, and shown as a number. Registers are
//! types that keep reserved bits.
//!
//! # The host's side
//!
//! [`host`] is for a VMM that leaves processors, interrupts and the SynIC's registers to KVM. It needs
//!
//! * [`GuestMemory`]: copies to and from guest-physical addresses, ready-made for the crate `vm-memory` behind the
//!   feature of that name;
//! * [`host::decode`]: a hypercall exit becomes a [`host::Request`], or the status that refuses it;
//! * [`host::synic`]: a [`Message`] is put into a slot of a guest's message page, or a flag set in its event page.
//!
//! ```
//! use hvcall::host::synic::{Delivery, post_message};
//! use hvcall::host::{CallRegisters, Request, decode};
//! use hvcall::synic::{MessageType, Simp};
//! use hvcall::{GuestMemory, HvStatus, Message, Sint};
//!
//! /// What `KVM_EXIT_HYPERV_HCALL` is answered with.
//! fn hypercall(memory: &impl GuestMemory, input: u64, params: [u64; 2]) -> HvStatus {
//!     let registers = CallRegisters { control: input, input: params[0], output: params[1], xmm: None };
//!     match decode(&registers, memory) {
//!         Ok(Request::PostMessage { connection_id, payload, .. }) if connection_id.0 == 1 => {
//!             println!("the guest says {payload:x?}");
//!             HvStatus::SUCCESS
//!         }
//!         Ok(_) => HvStatus::INVALID_CONNECTION_ID,
//!         Err(status) => status,
//!     }
//! }
//!
//! /// Tells the guest something. `false`: again, after the guest's EOM.
//! fn tell(memory: &impl GuestMemory, simp: Simp, text: &[u8]) -> Result<bool, Box<dyn std::error::Error>> {
//!     let page = simp.page().ok_or("the guest has no message page")?;
//!     let message = Message::new(MessageType::VMBUS, 0, text)?;
//!     match post_message(memory, page, Sint::VMBUS, &message)? {
//!         Delivery::Delivered => Ok(true), // and raise the interrupt of SINT 2
//!         Delivery::SlotBusy => Ok(false),
//!     }
//! }
//! ```
//!
//! A guest is hostile: parameters are copied out of its memory once and judged then, and nothing that it can say or
//! do to its memory panics or hangs.
#![no_std]
#![deny(unsafe_code)]

#[cfg(any(test, feature = "vm-memory"))]
extern crate std;

mod code;
mod control;
pub mod cpuid;
pub mod crash;
pub mod guest;
mod guest_os_id;
pub mod host;
mod id;
mod macros;
mod memory;
pub mod msr;
mod page_register;
mod register_name;
mod status;
pub mod synic;
pub mod time;
#[cfg(feature = "vm-memory")]
mod vm_memory;
pub mod vpset;
pub mod wire;

pub use code::CallCode;
pub use control::{HypercallControl, HypercallResult, RepFault};
pub use guest_os_id::{GuestOs, GuestOsId, OsType, Vendor};
pub use id::{ConnectionId, VpIndex};
pub use memory::{GuestMemory, MemoryError};
pub use msr::Msr;
pub use register_name::RegisterName;
pub use status::HvStatus;
pub use synic::{Message, Sint};
#[cfg(feature = "vm-memory")]
pub use vm_memory::VmMemory;
