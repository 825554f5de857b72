//! Integration services: their messages, and both ends of each service against one another and against peers without manners.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "numbers here are the tests' own, and a test that fails panics"
)]

mod wire;
