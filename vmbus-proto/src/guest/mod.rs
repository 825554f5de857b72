//! The guest's end of the control plane: what a kernel needs to use the devices of its host.
//!
//! [`Guest`] is the engine, a value without input or output. [`Bus`] ties it to a [`Hal`]: it posts messages, repeats those that the
//! hypervisor has no room for, and makes rings, so that what is left to the embedder is to use channels. What a kernel adds comes down to
//! this, whether it polls or takes interrupts:
//!
//! ```
//! use vmbus_proto::guest::{Bus, Event, Flagged, Hal, OpenParams};
//! use vmbus_proto::hvcall::{Message, VpIndex};
//! use vmbus_proto::wire::interface;
//!
//! /// The interrupt of SINT 2 came, or it is time to look: `message` is a copy of the slot of the message page, if there is one.
//! /// The slot is freed afterwards.
//! fn message<H: Hal>(bus: &mut Bus<H>, message: &Message) {
//!     if let Err(error) = bus.handle_message(message) {
//!         // To be logged: it says what the host broke. Nothing else is to be done.
//!         let _ = error;
//!     }
//! }
//!
//! /// A flag was taken from the slot of the event page.
//! fn flag<H: Hal>(bus: &Bus<H>, flag: u16, serve: impl Fn(vmbus_proto::guest::ChannelId)) {
//!     if let Flagged::Channel(channel) = bus.flagged(flag) {
//!         serve(channel);
//!     }
//! }
//!
//! /// After each call on the bus, and when `poll_timeout` says so.
//! fn act<H: Hal>(bus: &mut Bus<H>, ring_memory: impl Fn() -> H::Memory) {
//!     while let Some(event) = bus.poll() {
//!         match event {
//!             Ok(Event::Offered(offer)) if offer.interface == interface::SCSI => {
//!                 // 16 zeroed pages: 8 for each ring, its control page included. Interrupts to VP 0.
//!                 if let Err(rejected) = bus.open(offer.channel, ring_memory(), OpenParams::new(8, VpIndex(0))) {
//!                     // To be logged, and `rejected.memory` to be used for something else.
//!                     let _ = rejected;
//!                 }
//!             }
//!             Ok(Event::Opened(opened)) => {
//!                 // Give `opened.rings` to the driver, and let it look at them once.
//!                 let _ = opened;
//!             }
//!             Ok(Event::Rescinded { channel }) => {
//!                 // Stop the driver and drop its rings. Then:
//!                 let _ = bus.release(channel);
//!             }
//!             // The host does not touch it any more.
//!             Ok(Event::MemoryReturned { memory, .. }) => drop(memory),
//!             // Connected, AllOffersDelivered, OpenFailed, GpadlCreated, Disconnected and others.
//!             Ok(_) => {}
//!             // The platform failed. What had to be done about it is done: this is to be logged.
//!             Err(error) => {
//!                 let _ = error;
//!             }
//!         }
//!     }
//! }
//! ```
//!
//! # Memory
//!
//! Lent memory is owned by the engine until the host has let go of it, and comes back by [`Event::MemoryReturned`], once: after
//! GPADL_TORNDOWN, a refusal, a rescind, UNLOAD_RESPONSE, or the answer to a renewed contact. When a host does not answer,
//! [`Event::Overdue`] tells that the memory stays lent. Dropping the engine does not drop memory that is lent: what a host may still
//! write must not be used for anything else.
//!
//! Page numbers are asked of the memory when a message is made, so no list of them is kept.
//!
//! # What the embedder may count on
//!
//! - Each call that asks the host for something is followed by one event that tells what came of it: connected or not, opened or not,
//!   moved or not, memory created or returned. A host that does not answer within the [`Timeouts`] is an outcome like others; what it
//!   answers later is put right without the embedder: a channel that opens too late is closed, memory that is taken too late is torn down.
//! - What ends is told before what begins. Each offer that was told is told to be rescinded, unless the connection ends.
//! - A device that is offered again while the one before is not [released](Guest::release) is told after that.
//! - Calls do not fail for want of room in a queue, as there is none: messages are made from the state when they can be posted.
//!
//! # What the host may send
//!
//! Everything is judged by private state: length, direction, version and feature, whether it was asked for, whether ids exist and are in
//! the state for it. What does not pass is a [`Breach`] with its values; **the message is dropped and counted, and everything else goes
//! on**. The connection is not poisoned by any of it, on purpose: a message has no effect before it is judged as a whole, so one that
//! is wrong makes none of the others less trustworthy; and an honest host can cause some, by messages that cross a restart of the guest
//! or were new to it. (The ring of a channel is another matter: there a breach leaves no place to go on from, so it stays corrupt.)
//!
//! An offer that cannot be taken up, as it is ill-formed or there is no place, is released at once, so that the host knows; its rescind, if
//! that comes nevertheless, is completed. An honest but old host is taken as it is: short forms of VERSION_RESPONSE, messages rounded up
//! to 8 bytes, fields that its version does not have.
//!
//! # What is not here
//!
//! Signalling through monitor pages (offers that could be are signalled by hypercall, which works too), hvsock, reserved channels,
//! confidential channels and pinned memory, saving and restoring an engine.

mod bus;
mod channel;
mod config;
mod connection;
mod engine;
mod event;
mod fault;
mod gpadl;
mod hal;
mod lend;
mod offer;
mod open;
mod outbox;
mod pages;
mod params;
mod poll;
mod relid_set;
mod session;
mod timeout;
mod timer;

pub use crate::channel_state::ChannelState;
pub use bus::{Bus, BusCallError, BusError, BusEvent, BusRejected, MessageError, OpenedChannel};
pub use config::{FEATURES, GuestConfig, MonitorAddresses, Timeouts, VERSIONS};
pub use engine::Guest;
pub use event::{
    ConnectError, Connected, DisconnectReason, Event, ModifyConnectionError, ModifyError, OpenError, Opened,
    Overdue, ReturnReason,
};
pub use fault::{Breach, CallError, Capacity, HandleError, MemoryError, Rejected};
pub use hal::Hal;
pub use outbox::{Outbound, Posted};
pub use pages::{Contiguous, PageRange, Pages};
pub use params::{ChannelId, ChannelOffer, ChannelSignal, Flagged, OpenParams, SignalParams};

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests;
