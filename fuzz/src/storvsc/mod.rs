//! Disks.

pub mod commands;
mod content;
mod disk;
pub mod guest;
pub mod host;
pub mod pair;
