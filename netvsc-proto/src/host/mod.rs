//! The host's end: a NIC that a VMM offers to a guest.
//!
//! | type | is | lives |
//! |---|---|---|
//! | [`Nic`] | control engine: NVSP and RNDIS | with the primary channel |
//! | [`Queue`] | data path of one channel | with the thread that serves the channel |
//! | [`Spreader`] | chooses the queue for a received frame | wherever frames come in |
//! | [`DataPath`] | the guest's settings that the other two have to know | copied |
//! | [`NetBackend`] | the network behind the NIC | the embedder |
//!
//! # Serving a NIC
//!
//! For each opened channel the embedder makes a [`Queue`] from its rings. When the guest signals, the primary channel is
//! served with [`Nic::service`] and a sub-channel with [`Queue::service`]; each takes a budget, so that one thread can
//! serve several. What they return says whether to signal the guest and whether to come again. After the primary channel
//! was served, the embedder does what [`Nic::poll_event`] asks, and serves it once more.
//!
//! Frames for the guest go to the queue that the [`Spreader`] names, by [`Queue::receive`] and [`Queue::flush`]. Nothing
//! is dropped unnoticed: a queue that cannot take a frame says why, and the embedder keeps it or drops it and
//! [counts](Queue::count_dropped) it.
//!
//! ```
//! use netvsc_proto::host::{
//!     Event, MacAddress, NetBackend, Nic, NicConfig, PACKET_SCRATCH_LEN, Queue, ReceiveInfo, Scratch, TransmitInfo,
//!     Transmitted,
//! };
//! # use vmbus_proto::hvcall::{GuestMemory, MemoryError};
//! # use vmbus_proto::ringbuf::mem::{ArrayRegion, ArrayRing};
//! # use vmbus_proto::ringbuf::{Halves, RingPair, Signal};
//! # struct Ram;
//! # impl GuestMemory for Ram {
//! #     fn read(&self, gpa: u64, dst: &mut [u8]) -> Result<(), MemoryError> { Err(MemoryError { gpa, len: dst.len() }) }
//! #     fn write(&self, gpa: u64, src: &[u8]) -> Result<(), MemoryError> { Err(MemoryError { gpa, len: src.len() }) }
//! #     fn load_u32(&self, gpa: u64) -> Result<u32, MemoryError> { Err(MemoryError { gpa, len: 4 }) }
//! #     fn store_u32(&self, gpa: u64, _: u32) -> Result<(), MemoryError> { Err(MemoryError { gpa, len: 4 }) }
//! #     fn fetch_or_u32(&self, gpa: u64, _: u32) -> Result<u32, MemoryError> { Err(MemoryError { gpa, len: 4 }) }
//! # }
//! # fn signal_guest() {}
//! # fn map(_: vmbus_proto::wire::GpadlId) -> &'static ArrayRegion<8192> { Box::leak(Box::new(ArrayRegion::new())) }
//! struct Wire;
//!
//! impl NetBackend for Wire {
//!     fn transmit(&self, frame: &[u8], _: &TransmitInfo) -> Transmitted {
//!         println!("{} bytes from the guest", frame.len());
//!         Transmitted::Sent
//!     }
//! }
//!
//! let config = NicConfig::new(MacAddress([0x52, 0x54, 0, 0, 0, 1]));
//! let mut nic = Nic::new(config)?;
//! # let (up, down) = (ArrayRing::<1024>::new(), ArrayRing::<1024>::new());
//! # let halves = Halves { to_host: &up, to_guest: &down };
//! // `halves`: the rings of the channel that the guest has opened.
//! let mut queue = Queue::<_, _, 1024>::new(0, RingPair::host(halves)?);
//! let (mut packet, mut transfer) = (vec![0; PACKET_SCRATCH_LEN], vec![0; config.transfer_scratch_len()]);
//!
//! // When the guest signals:
//! loop {
//!     let mut scratch = Scratch { packet: &mut packet, transfer: &mut transfer };
//!     let outcome = nic.service(&mut queue, &Ram, &Wire, &mut scratch, 64)?;
//!     if outcome.signal {
//!         signal_guest();
//!     }
//!     let mut events = false;
//!     while let Some(event) = nic.poll_event() {
//!         events = true;
//!         match event {
//!             Event::MapReceiveBuffer(gpadl) => {
//!                 let memory = map(gpadl);
//!                 if let Some(layout) = nic.receive_buffer_mapped(8 * 8192) {
//!                     queue.lend_receive_buffer(memory, layout);
//!                 }
//!             }
//!             Event::MapSendBuffer(gpadl) => {
//!                 let memory = map(gpadl);
//!                 if let Some(layout) = nic.send_buffer_mapped(8 * 8192) {
//!                     queue.lend_send_buffer(memory, layout);
//!                 }
//!             }
//!             Event::ReleaseReceiveBuffer => nic.receive_buffer_released(),
//!             Event::ReleaseSendBuffer => nic.send_buffer_released(),
//!             _ => {} // one queue has nobody to tell
//!         }
//!     }
//!     if !outcome.again && !events {
//!         break; // sleep until the guest signals
//!     }
//! }
//!
//! // When a frame comes in:
//! let _ = queue.receive(&[0xff; 60], &ReceiveInfo::NONE);
//! if queue.flush()? == Signal::Needed {
//!     signal_guest();
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What a hostile guest can do
//!
//! To itself only. Each byte of its memory is copied out once and then judged. What has an answer in the protocol is
//! answered with a failure ([`Refusal`] tells the embedder why), what has none is a [`Fault`] that poisons that channel.
//! What it can make the host hold is bounded, and so is the work of one call.

mod backend;
mod buffers;
mod config;
mod control;
mod fault;
mod nic;
mod offload;
mod oid_query;
mod oid_set;
mod queue;
mod receive;
mod rss;
mod sections;
mod stats;
mod transmit;

pub use crate::nic::{Checksums, MAX_QUEUES, MacAddress, Offloads, ReceiveInfo, Rss, Traffic};
pub use backend::{NetBackend, TransmitInfo, Transmitted};
pub use config::{ConfigError, DataPath, MAX_MULTICAST, MulticastList, NicConfig, SEND_SECTION_SIZE};
pub use fault::{Fault, ReceiveError, Refusal};
pub use nic::{Event, Nic};
pub use queue::{Outcome, PACKET_SCRATCH_LEN, Queue, ReceiveLayout, Scratch, SendLayout};
pub use receive::Received;
pub use rss::Spreader;
pub use stats::QueueStats;
