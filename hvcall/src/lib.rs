//! Hypercalls, SynIC, MSRs, CPUID leaves and reference time of the Hyper-V ABI, for guests and VMMs.
#![no_std]

mod id;
mod macros;
mod memory;
mod status;
pub mod synic;

pub use id::{ConnectionId, VpIndex};
pub use memory::{GuestMemory, MemoryError};
pub use status::HvStatus;
pub use synic::{Message, Sint};
