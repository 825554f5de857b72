//! The guest's end: what a kernel's network driver is made of.
//!
//! | type | is | lives |
//! |---|---|---|
//! | [`Nic`] | control engine: NVSP and RNDIS | with the primary channel |
//! | [`Queue`] | data path of one channel | with the thread that serves the channel |
//! | [`DataPath`] | what queues have to know of the NIC | copied |
//!
//! # Driving a NIC
//!
//! The embedder opens the channel, shares two buffers with the host as GPADLs of that channel, and makes a [`Nic`] and a
//! [`Queue`] of them. [`Nic::poll`] brings the NIC up by itself; from [`Event::Ready`] on, frames can be sent, and once
//! a [packet filter](Nic::set_packet_filter) is set, they are received.
//!
//! What is polled gives one event at a time, and a received frame in a buffer of the embedder's. It says whether to
//! signal the host, and whether to come again: otherwise the host signals when there is more.
//!
//! ```
//! use netvsc_proto::guest::{Event, Nic, NicConfig, Pages, PollError, Queue, QueueMemory, TransmitError, TransmitInfo};
//! use netvsc_proto::wire::rndis::PacketFilter;
//! use vmbus_proto::ringbuf::{RingMem, RingPair, SharedMem};
//!
//! /// A driver: up to 64 frames under way.
//! struct Driver<'p, M, B> {
//!     nic: Nic<'p, B>,
//!     queue: Queue<'p, M, B, 64>,
//!     buffer: [u8; 2048],
//! }
//!
//! impl<'p, M: RingMem, B: SharedMem> Driver<'p, M, B> {
//!     /// Of a channel that was just opened, memory behind its two GPADLs, and a page for requests.
//!     fn new(config: NicConfig, rings: RingPair<M>, receive: B, send: B, page: Pages<'p, B>) -> Option<Self> {
//!         let memory = QueueMemory { receive, send, heads: None };
//!         Some(Self {
//!             nic: Nic::new(config, page).ok()?,
//!             queue: Queue::primary(rings, memory),
//!             buffer: [0; 2048],
//!         })
//!     }
//!
//!     /// To be called once, and when the host signals.
//!     fn on_signal(&mut self, signal_host: impl Fn(), deliver: impl Fn(&[u8])) -> Result<(), PollError> {
//!         loop {
//!             let polled = self.nic.poll(&mut self.queue, &mut self.buffer)?;
//!             if polled.signal.is_needed() {
//!                 signal_host();
//!             }
//!             match polled.event {
//!                 Some(Event::Ready(properties)) => {
//!                     println!("{}, MTU {}", properties.mac, properties.mtu);
//!                     let filter = PacketFilter::DIRECTED | PacketFilter::BROADCAST;
//!                     let _ = self.nic.set_packet_filter(filter); // goes out with the next call
//!                 }
//!                 Some(Event::Received { frame, .. }) => deliver(frame),
//!                 Some(Event::Link { up }) => println!("link {up}"),
//!                 _ => {}
//!             }
//!             if !polled.again {
//!                 return Ok(());
//!             }
//!         }
//!     }
//!
//!     /// Sends a frame, or says why not now.
//!     fn send(&mut self, frame: &[u8], signal_host: impl Fn()) -> Result<(), TransmitError> {
//!         if self.queue.transmit(frame, &TransmitInfo::NONE)?.signal.is_needed() {
//!             signal_host();
//!         }
//!         Ok(())
//!     }
//! }
//! ```
//!
//! # Sending
//!
//! [`Queue::transmit`] copies a frame into a section of the send buffer: right for short ones.
//! [`Queue::transmit_pages`] lists the frame's own pages, which are the host's until [`Event::Transmitted`] names the
//! frame, and needs [memory for heads](QueueMemory::heads). Whichever it is, a frame that cannot be sent now is refused
//! with [`NoRoom`](TransmitError::NoRoom) or [`RingFull`](TransmitError::RingFull), and was not touched.
//!
//! # Several channels
//!
//! With [`NicConfig::max_queues`] above 1, [`Nic::create_sub_channels`] asks for more. The embedder opens those that are
//! offered and makes a [`Queue::sub_channel`] of each. Queues share the two buffers and nothing else: each has its own
//! sections of the send buffer, so each can have a thread of its own. [`Nic::send_table`] tells on which one to send,
//! [`Nic::set_rss`] where to receive.
//!
//! # With `smoltcp`
//!
//! The feature `smoltcp` has a device for that TCP/IP stack, which polls the NIC by itself.
//!
//! # Going away
//!
//! [`Nic::shut_down`] halts the NIC, waits for frames under way, revokes the buffers, and tells [`Event::ShutDown`]. Then
//! the embedder closes the channel and tears the GPADLs down, in the order of [`Teardown`]. Where the channel was rescinded
//! or a [`Fault`] came, [`Queue::abort`] and [`Nic::abort`] name what was under way, each once.
//!
//! # What a hostile host can do
//!
//! Nothing but withhold frames, or send wrong ones. Each byte of its is copied out once and then judged; what breaks the
//! protocol is a [`Fault`] with the value, and poisons the channel. Ids are checked by generation, and all that a host
//! can make the guest hold has a bound. The receive buffer is the host's to write until its GPADL is torn down, fault or
//! not: see [`Nic::lent`].
//!
//! # Memory
//!
//! On a 64-bit machine a [`Nic`] takes 400 bytes, a [`Queue`] for 64 frames 5.25 KiB and 16 bytes for each frame more or
//! less, both with the handles of rings and buffers. The embedder lends two buffers, of which 1 MiB and 384 KiB (64
//! sections of 6144 bytes) are plenty for one queue, a page for requests, [`HEAD_LEN`] bytes for each frame that is sent in
//! pages, and, while polling, [`receive_len`] bytes.
//!
//! # Bounds
//!
//! | | at most |
//! |---|---|
//! | frames under way | `DEPTH` of a queue, those in the send buffer as many as its sections; one more is [`TransmitError::NoRoom`] |
//! | requests under way | [`MAX_REQUESTS`] to RNDIS and one to NVSP; one more is refused to the embedder |
//! | what the host can queue | 32 completions that wait for room: beyond, nothing more is read; one packet, whose frames are told one by one; one question whether anyone is there |
//! | work of one poll | one packet of the host's, or one frame of it; the completions and requests that wait are sent |

mod config;
mod control;
mod event;
mod fault;
mod nic;
mod offload;
mod pages;
mod queue;
mod receive;
mod requests;
mod settings;
#[cfg(feature = "smoltcp")]
pub mod smoltcp;
mod stats;
mod teardown;
mod transmit;

pub use crate::nic::{Checksums, MAX_QUEUES, MacAddress, Offloads, ReceiveInfo, Rss, Traffic};
/// A frame that the host has. It is told complete once, and its id then means nothing any more.
pub use vmbus_proto::ringbuf::TransactionId as TransmitId;

pub use config::{Buffer, ConfigError, DataPath, NicConfig, Properties, RssProperties, SendLayout};
pub use event::{Event, Polled, SendTable, Submitted};
pub use fault::{ControlError, Fault, PollError, TransmitError};
pub use nic::{LentMemory, Nic};
pub use pages::Pages;
pub use queue::{Aborted, Queue, QueueMemory};
pub use receive::receive_len;
pub use requests::{MAX_REQUESTS, REQUEST_LEN, RequestId};
pub use stats::QueueStats;
pub use teardown::Teardown;
pub use transmit::{HEAD_LEN, MAX_PIECES, TransmitInfo};
