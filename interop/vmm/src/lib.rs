//! A small KVM VMM whose only disk and network card are VMBus devices.
//!
//! It exists to prove the protocol crates on real guests: what is protocol stands in them, what is here is the machine around them
//! and the glue.

pub mod acpi;
pub mod boot;
mod cpuid;
pub mod error;
pub mod layout;
pub mod machine;
pub mod memory;
pub mod ports;
mod registers;
pub mod rtc;
pub mod serial;
pub mod synic;
mod sys;
mod vcpu;
