//! Guest and host: each end against the other one, and against one that does what it should not.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that panics fails"
)]

mod bounds;
mod guest;
mod host;
mod support;
