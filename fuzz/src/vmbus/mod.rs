//! The control plane.

pub mod host;
