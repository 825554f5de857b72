//! Hypercalls, SynIC, MSRs, CPUID leaves and reference time of the Hyper-V ABI, for guests and VMMs.
#![no_std]
#![deny(unsafe_code)]

#[cfg(any(test, feature = "vm-memory"))]
extern crate std;

mod code;
mod control;
pub mod cpuid;
pub mod crash;
mod guest_os_id;
pub mod host;
mod id;
mod macros;
mod memory;
pub mod msr;
mod page_register;
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
pub use status::HvStatus;
pub use synic::{Message, Sint};
#[cfg(feature = "vm-memory")]
pub use vm_memory::VmMemory;
