//! The control plane.

mod devices;
pub mod guest;
pub mod host;
mod kernel;
pub mod pair;
