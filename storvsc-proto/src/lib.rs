//! SCSI over VMBus, as Hyper-V's guests speak it to their storage controller: wire formats, and a host that
//! serves disks.
//!
//! A guest's storvsc driver sends SCSI commands in packets on a VMBus channel, lists its own pages beside
//! them, and gets a completion with a status. This crate has both halves of that conversation's vocabulary,
//! and the host's half of its logic: a VMM that brings a disk gets a controller which unmodified Linux,
//! FreeBSD and Windows guests boot from. It is `no_std`, allocates nothing and knows no operating system.
//!
//! # A walk through the layers
//!
//! * [`wire`] is what stands in packets: the vstor header, the SRB in its two lengths, the negotiation. Two enums tell
//!   apart what a guest sends ([`wire::GuestMessage`]) and what a host sends ([`wire::HostMessage`]).
//! * [`scsi`] is what stands in an SRB: CDBs, judged as [`scsi::Command`]s, sense data, the tables of INQUIRY, MODE SENSE and so on.
//! * [`host`] serves a channel. [`host::Queue`] is one channel's service, [`host::Lun`] a disk at an address,
//!   [`host::BlockBackend`] what a VMM implements.
//!
//! # Serving disks
//!
//! The VMM offers a channel of the class [`vmbus_proto::wire::interface::SCSI`], and, when the guest has
//! opened it, makes a [`host::Queue`] of the channel's two rings. Whoever owns the queue calls
//! [`service`](host::Queue::service) when the guest signals:
//!
//! ```
//! use std::sync::Mutex;
//! use storvsc_proto::host::{BlockBackend, BlockError, Config, Event, Fault, Geometry, Lun, Queue, Segments};
//! use vmbus_proto::hvcall::GuestMemory;
//! use vmbus_proto::ringbuf::{RingMem, RingPair};
//!
//! /// A disk in memory. One in a file makes an `iovec` of each segment and calls `preadv`.
//! struct RamDisk<G> {
//!     bytes: Mutex<Vec<u8>>,
//!     guest: std::marker::PhantomData<G>,
//! }
//!
//! impl<G: GuestMemory> BlockBackend for RamDisk<G> {
//!     type Memory = G;
//!
//!     fn geometry(&self) -> Geometry {
//!         Geometry { blocks: self.bytes.lock().unwrap().len() as u64 / 512, ..Geometry::default() }
//!     }
//!
//!     fn read(&self, offset: u64, memory: &G, segments: Segments<'_>) -> Result<(), BlockError> {
//!         segments.write(memory, &self.bytes.lock().unwrap()[offset as usize..])?;
//!         Ok(())
//!     }
//!
//!     fn write(&self, offset: u64, memory: &G, segments: Segments<'_>) -> Result<(), BlockError> {
//!         segments.read(memory, &mut self.bytes.lock().unwrap()[offset as usize..])?;
//!         Ok(())
//!     }
//!
//!     fn flush(&self) -> Result<(), BlockError> {
//!         Ok(())
//!     }
//!
//!     fn discard(&self, _: u64, _: u64) -> Result<(), BlockError> {
//!         Err(BlockError::Unsupported) // `Geometry::discard` is not set
//!     }
//!
//!     fn write_zeroes(&self, offset: u64, len: u64) -> Result<(), BlockError> {
//!         self.bytes.lock().unwrap()[offset as usize..][..len as usize].fill(0);
//!         Ok(())
//!     }
//! }
//!
//! fn serve<M: RingMem, G: GuestMemory>(
//!     rings: RingPair<M>,
//!     luns: &[Lun<RamDisk<G>>],
//!     memory: &G,
//!     signal_guest: impl Fn(),
//!     wait_for_guest: impl Fn(),
//! ) -> Result<(), Fault> {
//!     let config = Config::default();
//!     let mut scratch = vec![0; config.scratch_len()];
//!     let mut queue: Queue<'_, M> = Queue::primary(rings, &mut scratch, config).expect("the scratch is large enough");
//!     loop {
//!         let served = queue.service(luns, memory, 64)?;
//!         if served.signal.is_needed() {
//!             signal_guest();
//!         }
//!         if let Some(Event::SubChannels { count }) = served.event {
//!             println!("the guest wants {count} more channels");
//!         }
//!         if !served.again {
//!             wait_for_guest();
//!         }
//!     }
//! }
//! ```
//!
//! # Several channels
//!
//! With [`Config::max_sub_channels`](host::Config::max_sub_channels) set, a guest asks for sub-channels, one
//! for each of its processors but the first. The embedder offers them, and makes a
//! [`sub_channel`](host::Queue::sub_channel) queue of each that is opened. Queues share the slice of LUNs and
//! nothing else, so each can have a thread of its own.
//!
//! # Several requests at a time
//!
//! Who has an asynchronous disk calls [`accept`](host::Queue::accept) instead of `service`: it returns the
//! work with a [`Ticket`](host::Ticket), to be given to [`complete`](host::Queue::complete) when the work is
//! done, in whichever order.
//!
//! # What a guest cannot do
//!
//! Packets are copied out of the ring once, then judged. What is wrong with a packet is answered in the
//! packet's own terms, by a status or sense data, and told to the embedder as
//! [`Event::Refused`](host::Event::Refused); the channel goes on. What has no answer, a corrupt ring for one,
//! is a [`Fault`](host::Fault) that ends the channel. The longest packet, the longest transfer, the number of
//! requests that are under way and that of sub-channels have bounds that the embedder sets.
//!
//! # Memory
//!
//! A queue of depth 1 takes about 1.4 KiB and what its ring memory's handles take, and 100 bytes more for
//! each further request. Its scratch takes 4.1 KiB with the default of 1 MiB a transfer, 1.1 KiB with 256
//! KiB. A block that WRITE SAME repeats is looked at on the stack, 4 KiB.
#![no_std]
#![forbid(unsafe_code)]

pub mod host;
mod macros;
pub mod scsi;
pub mod wire;
