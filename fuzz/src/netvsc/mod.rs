//! Network cards.

mod driver;
pub mod guest;
pub mod guest_message;
pub mod guest_rndis;
pub mod host;
pub mod host_message;
pub mod pair;
mod region;
mod vmm;
