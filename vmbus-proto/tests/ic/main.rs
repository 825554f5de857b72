//! Integration services: their messages, and both ends of each service against one another and against peers without manners.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "numbers here are the tests' own, and a test that fails panics"
)]

mod bounds;
mod hostile_guest;
mod hostile_host;
mod meaning;
mod pair;
mod support;
mod wire;
