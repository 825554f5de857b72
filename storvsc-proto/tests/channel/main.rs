//! The host against a fake driver, the guest against a fake host, and both against each other: over real rings,
//! with disks in memory.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "numbers here are the tests' own, and a test that goes wrong may panic"
)]

mod bounds;
mod disk;
mod hostile;
mod hostile_host;
mod negotiation;
mod pair;
mod queue;
mod random;
mod support;
