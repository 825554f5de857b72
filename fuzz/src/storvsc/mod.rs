//! Disks.

pub mod commands;
mod disk;
pub mod guest;
pub mod host;
pub mod pair;
