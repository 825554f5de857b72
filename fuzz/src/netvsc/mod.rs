//! Network cards.

mod driver;
pub mod guest;
mod guest_message;
mod guest_rndis;
pub mod host;
mod host_message;
pub mod pair;
mod region;
mod vmm;
