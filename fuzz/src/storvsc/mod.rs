//! Disks.

pub mod disk;
pub mod guest;
pub mod host;
pub mod pair;
