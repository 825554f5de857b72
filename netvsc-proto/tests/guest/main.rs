//! The guest's engine: against the host's, and against hosts that break the protocol.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod bounds;
mod bring_up;
mod data;
mod found;
mod hostile;
mod hostile_bring_up;
mod pair;
mod random;
mod scripted;
mod settings;
#[path = "../support/mod.rs"]
mod support;
mod told;
