//! Hypercalls and the SynIC.

pub mod host;
