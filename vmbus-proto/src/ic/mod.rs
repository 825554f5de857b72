//! Integration services: heartbeat, shutdown, time, key-value pairs, volume snapshots, file copy.
//!
//! Each is a channel in pipe mode, on which the host asks and the guest answers, one request at a time. The first request negotiates
//! versions, by itself at both ends. [`wire`] has the messages; [`host`] and [`guest`] are the two ends, with a type of the same name for each
//! service:
//!
//! | service | the host | the guest |
//! |---|---|---|
//! | `Heartbeat` | asks in an interval, tells when answers stop and when they come again | answers by itself |
//! | `Shutdown` | asks to power off, restart or hibernate | is told, answers whether it will |
//! | `TimeSync` | tells its clock, once to be set and then in an interval | is told |
//! | `Kvp` | asks for pairs and addresses, and sets them | answers from its pools |
//! | `Vss` | asks to hold file systems still | does, and answers when it is done |
//! | `FileCopy` | sends a file in pieces | writes it |
//!
//! ```
//! use core::time::Duration;
//! use vmbus_proto::ic::wire::Service;
//! use vmbus_proto::ic::{guest, host};
//! use vmbus_proto::ringbuf::mem::ArrayRing;
//! use vmbus_proto::ringbuf::{Halves, RingPair};
//!
//! // Both ends of a channel in one program; each has a scratch for one packet.
//! let (to_host, to_guest) = (ArrayRing::<1024>::new(), ArrayRing::<1024>::new());
//! let halves = Halves { to_host: &to_host, to_guest: &to_guest };
//! let mut scratch = [[0; Service::HEARTBEAT.packet_max]; 2];
//! let [for_host, for_guest] = &mut scratch;
//! let mut host = host::Heartbeat::new(RingPair::host(halves)?, for_host)?;
//! let mut guest = guest::Heartbeat::new(RingPair::guest(halves)?, for_guest)?;
//!
//! let mut beats = 0;
//! for second in 0..10 {
//!     // Signals go through the bus; here both ends look anyway.
//!     let polled = host.poll(Duration::from_secs(second))?;
//!     if let Some(host::Event::Answered(beat)) = polled.event {
//!         assert!(matches!(beat, host::Beat::Alive { .. }));
//!         beats += 1;
//!     }
//!     let _ = guest.poll()?;
//! }
//! assert_eq!(beats, 4);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What a peer cannot do
//!
//! Packets are copied into the scratch once, then judged. A request whose headers are sound and whose body is not, of a service that is
//! another's or before versions are agreed on, is answered with a failure and told to the embedder; the channel goes on. What has no answer,
//! and an answer that nobody asked for, is a fault, which the engine returns from then on. At most one request is under way, and a full
//! ring loses nothing: what waits for room stays in the scratch.
//!
//! # Bounds
//!
//! On a 64-bit machine a service of either end takes 256 bytes at most, with handles of its rings of one word, and the scratch that it is
//! lent, of [`Service::packet_max`] bytes. It holds one request or one answer, and no other message: what comes meanwhile stays in the ring. A
//! `poll` takes one packet and sends one; a host's second request before the answer is its embedder's
//! [`Busy`](host::RequestError::Busy).

pub mod guest;
pub mod host;
mod receive;
pub mod wire;

use thiserror::Error;
use vmbus_ringbuf::Signal;

pub use self::receive::Breach;
use self::wire::Service;

/// What a poll found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "signals, and whether to come again, have to be acted on"]
pub struct Polled<E> {
    /// Whether the peer has to be signalled.
    pub signal: Signal,
    /// Whether to call again at once. If not, it is time when the peer signals, or the end that has a clock wants to be called.
    pub again: bool,
    /// What happened.
    pub event: Option<E>,
}

/// The scratch is smaller than the longest packet of the service. The caller's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a scratch of {len} bytes for {service}, which takes {needed}")]
pub struct ScratchTooSmall {
    /// The service.
    pub service: &'static str,
    /// Bytes of the scratch.
    pub len: usize,
    /// Bytes that it takes: [`Service::packet_max`].
    pub needed: usize,
}

fn check_scratch(service: &Service, len: usize) -> Result<(), ScratchTooSmall> {
    if len < service.packet_max {
        return Err(ScratchTooSmall {
            service: service.name,
            len,
            needed: service.packet_max,
        });
    }
    Ok(())
}
