//! The host's end of the control plane: what a VMM or an emulator needs to offer devices to a guest.
//!
//! [`Host`] is the engine, a value without input or output. [`Bus`] ties it to a [`Vmm`]: it delivers messages and interrupts and maps
//! rings, so that what is left to the embedder is to serve channels. A VMM with one thread for the control plane and one for each channel
//! comes down to this:
//!
//! ```
//! use vmbus_proto::host::{Bus, BusEvent, Vmm};
//! use vmbus_proto::hvcall::synic::MessageType;
//! use vmbus_proto::hvcall::{ConnectionId, HvStatus};
//!
//! /// A virtual processor's thread: the guest made the hypercall post-message.
//! fn post<V: Vmm>(bus: &mut Bus<'_, V>, connection: ConnectionId, message_type: MessageType, payload: &[u8]) -> HvStatus {
//!     match bus.post(connection, message_type, payload) {
//!         Ok(()) => HvStatus::SUCCESS,
//!         // To be logged: it says which guest broke what.
//!         Err(error) => error.status(),
//!     }
//! }
//!
//! /// After each call on the bus, and when the guest has ended a message's interrupt.
//! fn act<V: Vmm>(bus: &mut Bus<'_, V>) {
//!     while let Some(event) = bus.poll() {
//!         match event {
//!             BusEvent::ChannelOpened(opened) => {
//!                 // Bind an eventfd to `opened.connection_id`; give it, `opened.rings` and `opened.signal` to the thread that serves
//!                 // `opened.channel`.
//!                 let _ = bus.accept(opened.ticket);
//!             }
//!             BusEvent::ChannelClosed { channel: _, ticket } => {
//!                 // Stop that thread. When it has ended and the rings are dropped:
//!                 let _ = bus.closed(ticket);
//!             }
//!             BusEvent::ChannelMoved { channel: _, ticket, signal: _ } => {
//!                 // Give the new signal to that thread. Then:
//!                 bus.moved(ticket);
//!             }
//!             // Connected, Disconnected, GpadlTeardown, Released, Failed.
//!             _ => {}
//!         }
//!     }
//! }
//! ```
//!
//! # What the guest may count on
//!
//! - Each message that has an answer gets one, a refusal with a status included. The exceptions are those of the protocol: an open that
//!   meets a rescind, and what is still unanswered when the guest unloads or makes contact anew.
//! - Memory that it lent is touched no more once GPADL_TORNDOWN, RESCIND_CHANNEL_OFFER, UNLOAD_RESPONSE, or the answer to a renewed
//!   contact is there.
//! - After OPEN_CHANNEL_RESULT the channel is signalled once.
//! - An id is used for another channel as late as can be, and a device is not offered again before the guest has let go of it.
//!
//! # What the embedder may count on
//!
//! - Whatever a guest sends, memory and work stay within what the embedder set; a guest that sends faster than answers can be
//!   delivered is told to [wait](HandleError::Busy).
//! - Each channel goes through [`Event::Open`] and [`Event::Close`] in turn, whatever guest and embedder do in the meantime. Each
//!   [ticket](OpenTicket) can be answered at any time after it was given.
//! - What ends is told before what begins.
//!
//! # What is not here
//!
//! Monitored signalling (offers say that they are not monitored), hvsock (connections are refused), reserved channels, confidential
//! channels, redirected interrupts, versions before 2.4.

mod bus;
mod channel;
mod config;
mod connection;
mod engine;
mod event;
mod fault;
mod gpadl;
mod lend;
mod open;
mod outbox;
mod params;
mod poll;
mod ticket;

pub use crate::channel_state::ChannelState;
pub use bus::{Bus, BusError, BusEvent, MapError, OpenedChannel, PostError, Vmm};
pub use config::{FEATURES, HostConfig, VERSIONS};
pub use engine::Host;
pub use event::{Connected, Event, OpenParams};
pub use fault::{Breach, Capacity, HandleError};
pub use gpadl::{GpadlView, RingPages};
pub use outbox::Outbound;
pub use params::{ChannelId, ChannelSignal, MessageTarget, OfferError, OfferParams, UnknownChannel};
pub use ticket::{CloseTicket, ForeignTicket, GpadlTicket, ModifyTicket, OpenTicket};

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests;
