//! Hypercalls and the SynIC.

pub mod guest;
pub mod host;
pub mod hypervisor;
pub mod pages;
pub mod words;
