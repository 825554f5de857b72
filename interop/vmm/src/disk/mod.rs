//! Disks: what the command line says of them, and image files as storvsc's backends.

mod file;
mod spec;
mod transfer;

pub use file::FileDisk;
pub use spec::{DiskSpec, SpecError};
