//! The host's NIC: against a driver that does what Linux's does, and against guests that break the protocol.
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
mod frames;
mod hostile;
mod offloads;
mod queues;
mod settings;
#[path = "../support/mod.rs"]
mod support;

use netvsc_proto::host::NicConfig;

use crate::support::MAC;

pub(crate) fn config() -> NicConfig {
    NicConfig::new(MAC)
}
