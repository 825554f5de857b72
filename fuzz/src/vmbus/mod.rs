//! The control plane.

pub mod guest;
pub mod host;
