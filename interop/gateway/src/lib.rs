//! The network behind a virtual NIC: a gateway that lives in the VMM's own process, or a TAP device.
//!
//! # The pieces
//!
//! * [`Gateway`] is the network as a value: it takes frames and the time, and gives frames and a deadline. It answers
//!   ARP, DHCP (RFC 2131) and ping, and runs the TCP [`services`] with which a guest checks its NIC end to end:
//!   echo, sink, source and hash. It is made on smoltcp's stack.
//! * [`Link`] is what a NIC is plugged into. The NIC calls [`Link::transmit`], from as many threads as it has queues,
//!   and lends a [`FrameSink`] for what comes back.
//! * [`Runner`] is the gateway on a thread of its own, as a [`Link`].
//! * `Tap` is a TAP device of the host, as a [`Link`] (on Linux).
//! * [`Capture`] is a [`Link`] around another one, and writes what goes through it to a pcap file.
//!
//! ```text
//!   queue threads ── transmit ──▶ bounded queue ──▶ ┌─────────┐
//!                                                   │ Gateway │  the runner's thread
//!   FrameSink ◀── deliver, deliver, …, flush ────── └─────────┘
//! ```
//!
//! # When something is full
//!
//! Nothing here grows with what the guest does. Connections have slots, leases a range, queues a limit:
//!
//! * The queue to the gateway is full: [`Link::transmit`] says so, and the frame is dropped and counted.
//! * The sink is full: it answers [`Delivery::Full`] and the gateway waits, up to its TCP buffers; nothing is lost. The
//!   sink calls [`Link::resume`] when it has room.
//! * All connections of a service are taken: the next SYN is answered with a reset. Half-open ones are given up after
//!   10 s, and after 1 s when none is left.
//! * All leases are taken: the DHCP server stays silent, as RFC 2131 has it.
//!
//! # Without `std`
//!
//! With `default-features = false` the crate is `no_std` and consists of [`services`] alone: what a bare-metal client
//! needs to talk to the gateway.
#![cfg_attr(not(feature = "std"), no_std)]

pub mod services;

#[cfg(feature = "std")]
mod config;
#[cfg(feature = "std")]
mod dhcp;
#[cfg(feature = "std")]
pub mod frames;
#[cfg(feature = "std")]
mod gateway;
#[cfg(feature = "std")]
mod link;
#[cfg(feature = "std")]
mod pcap;
#[cfg(feature = "std")]
mod runner;
#[cfg(all(feature = "std", target_os = "linux"))]
pub mod tap;
#[cfg(feature = "std")]
mod tcp;
#[cfg(feature = "std")]
mod worker;

#[cfg(feature = "std")]
pub use self::{
    config::{Checksums, Config, ConfigError, DhcpConfig},
    dhcp::DhcpStatistics,
    gateway::{FrameError, Gateway, GatewayStatistics},
    link::{Delivery, Flow, FrameSink, Link, StartError, Statistics, TransmitError},
    pcap::Capture,
    runner::Runner,
    tcp::TcpStatistics,
};
#[cfg(feature = "std")]
pub use smoltcp::time::Instant;
#[cfg(all(feature = "std", target_os = "linux"))]
pub use tap::Tap;
