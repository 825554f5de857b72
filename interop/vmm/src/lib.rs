//! A small KVM VMM whose only disk and network card are VMBus devices.
//!
//! It exists to prove the protocol crates on real guests: what is protocol stands in them, what is here is the machine around them
//! and the glue.

pub mod acpi;
pub mod boot;
pub mod breach;
mod cpuid;
pub mod disk;
pub mod error;
pub mod faults;
pub mod hooked;
pub mod image;
pub mod layout;
pub mod machine;
pub mod memory;
pub mod net;
pub mod pages;
pub mod ports;
mod registers;
pub mod resident;
pub mod rtc;
pub mod serial;
pub mod services;
pub mod stats;
pub mod synic;
mod sys;
pub mod test_ports;
pub mod trace;
mod vcpu;
pub mod vectored;
pub mod vmbus;
