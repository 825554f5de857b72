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
//! | the root | [`RegisterName`], [`CallCode`], [`HypercallControl`], [`HypercallResult`], [`HvStatus`], [`GuestOsId`] |
//! | [`wire`] | parameters of the calls, payloads of intercept messages, shared pages |
//! | [`synic`] | SINTs, the registers of the SynIC, [`Message`] and event flags |
//! | [`time`] | the reference TSC page and synthetic timers |
//! | [`vpset`] | sparse sets of virtual processors |
//! | [`crash`] | what a guest tells when it crashes |
//!
//! [`guest`] and [`host`] are the two sides, which know each other by these types alone.
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
//!
//! # The guest's side
//!
//! [`guest`] is for a kernel, from the question what it runs on to the first message of the host. A kernel lends pages
//! ([`guest::SharedPage`], the one `unsafe` constructor that everything rests on) and says how the processor's
//! registers are reached ([`guest::Msrs`]) and how a hypercall is made ([`guest::Gate`]), of which each architecture has
//! implementations ready-made: `guest::x86_64` with the hypercall page, VMCALL and VMMCALL, `guest::aarch64` with HVC.
//!
//! ```
//! use hvcall::guest::{
//!     CallPage, Cpuid, EventPage, Gate, Hypervisor, MessagePage, MsrError, Msrs, Post, Posted, SharedPage,
//!     SintSetup, Synic, identify,
//! };
//! use hvcall::synic::MessageType;
//! use hvcall::{ConnectionId, GuestOsId, OsType, Sint};
//!
//! /// Brings up the first processor. On x86-64 `cpuid` is `NativeCpuid` and `msrs` is `NativeMsrs`; then
//! /// `PageGate::new(&call_page)` is a [`Gate`].
//! fn start(
//!     cpuid: &impl Cpuid,
//!     msrs: &impl Msrs,
//!     [code, messages, events]: [SharedPage; 3],
//! ) -> Result<(CallPage, Synic), Box<dyn std::error::Error>> {
//!     let hypervisor = Hypervisor::detect(cpuid)?;
//!     hypervisor.require_vmbus()?;
//!     identify(msrs, GuestOsId::open_source(OsType::UNDEFINED, 0, 1, 0))?;
//!     let mut call_page = CallPage::new(code);
//!     call_page.enable(msrs)?;
//!     let mut synic = Synic::new(MessagePage::new(messages), EventPage::new(events));
//!     synic.enable(msrs)?;
//!     synic.enable_sint(msrs, Sint::VMBUS, SintSetup::recommended(&hypervisor, 0x50))?;
//!     Ok((call_page, synic))
//! }
//!
//! /// What the handler of vector 0x50 does.
//! fn interrupt(synic: &mut Synic, msrs: &impl Msrs) -> Result<(), MsrError> {
//!     while let Some(received) = synic.messages().take(Sint::VMBUS) {
//!         match received.message {
//!             Ok(message) => println!("the host says {message:?}"),
//!             Err(fault) => println!("the host is out of order: {fault}"),
//!         }
//!         if let Some(eom) = received.eom {
//!             eom.write(msrs)?;
//!         }
//!     }
//!     for flag in synic.events().take(Sint::VMBUS) {
//!         println!("channel {flag} has something");
//!     }
//!     Ok(())
//! }
//!
//! /// Says something to the host, by way of a page that is free for it.
//! fn say(gate: &impl Gate, page: &mut SharedPage, text: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
//!     let mut post = Post::new(ConnectionId(1), MessageType::VMBUS, text)?;
//!     while let Posted::Again { wait } = post.attempt(gate, page)? {
//!         std::thread::sleep(wait);
//!     }
//!     Ok(())
//! }
//! ```
//!
//! A host is hostile as well: see [`guest`]. The memory that this takes is what the interface asks for. There are no
//! buffers beside it, and no value above is larger than 300 bytes:
//!
//! | page of 4096 bytes | how many | |
//! |---|---|---|
//! | [`guest::CallPage`] | 1 | x86-64 only |
//! | [`guest::MessagePage`] | 1 for each processor | |
//! | [`guest::EventPage`] | 1 for each processor | |
//! | input of [`guest::Post`] | 1 for each processor that posts | 256 bytes of it are used |
//! | [`guest::TscPage`] | 1, if the time is told by it | |
//!
//! So a guest with one processor sets 20,480 bytes aside, and 12,288 for each further one.
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
pub use id::{ConnectionId, PortId, VpIndex};
#[doc(hidden)]
pub use macros::Byte;
pub use memory::{GuestMemory, MemoryError};
pub use msr::Msr;
pub use register_name::{RegisterName, RegisterNameArm64, RegisterNameX64};
pub use status::HvStatus;
pub use synic::{Message, Sint};
#[cfg(feature = "vm-memory")]
pub use vm_memory::VmMemory;
