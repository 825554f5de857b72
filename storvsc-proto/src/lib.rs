//! SCSI over VMBus, as Hyper-V and its guests speak it: wire formats, a guest's driver, and a host that serves disks.
//!
//! A guest's storvsc driver sends SCSI commands in packets on a VMBus channel, lists its own pages beside them,
//! and gets a completion with a status. This crate has both halves of that conversation: a VMM that brings a disk
//! gets a controller which unmodified guests boot from, and a kernel gets a driver's logic without the kernel. It
//! is `no_std`, allocates nothing and knows no operating system.
//!
//! # A walk through the layers
//!
//! * [`wire`] is what stands in packets: the vstor header, the SRB in its two lengths, the negotiation. Two enums tell
//!   apart what a guest sends ([`wire::GuestMessage`]) and what a host sends ([`wire::HostMessage`]).
//! * [`scsi`] is what stands in an SRB: CDBs, judged as [`scsi::Command`]s, sense data, the tables of INQUIRY, MODE SENSE and so on.
//! * [`host`] serves a channel. [`host::Queue`] is one channel's service, [`host::Lun`] a disk at an address,
//!   [`host::BlockBackend`] what a VMM implements.
//! * [`guest`] is the other end: [`guest::Queue`] negotiates and sends commands, [`guest::Identify`] and
//!   [`guest::Disk`] know which commands make a block device.
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
//!     let scratch = vec![0; config.scratch_len()];
//!     let mut queue: Queue<M, _> = Queue::primary(rings, scratch, config).expect("the scratch is large enough");
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
//! # Driving disks
//!
//! A kernel opens the channel, makes a [`guest::Queue`] of its rings, and calls [`poll`](guest::Queue::poll) until
//! it says [`Event::Ready`](guest::Event::Ready), and whenever the host signals after that. Each LUN is asked with
//! [`guest::Identify`] what it is; the [`guest::Disk`] that comes of it makes CDBs of blocks, for
//! [`submit`](guest::Queue::submit), or for a [`batch`](guest::Queue::batch) where there are several at once. A queue is
//! its places and its two ring ends: 12 bytes for each command that may be under way and about 300 besides; it needs no
//! other memory.
//!
//! # What a guest cannot do
//!
//! Packets are copied out of the ring once, then judged. What is wrong with a packet is answered in the
//! packet's own terms, by a status or sense data, and told to the embedder as
//! [`Event::Refused`](host::Event::Refused); the channel goes on. What has no answer, a corrupt ring for one,
//! is a [`Fault`](host::Fault) that ends the channel. The longest packet, the longest transfer, the number of
//! requests that are under way and that of sub-channels have bounds that the embedder sets.
//!
//! # What a host cannot do
//!
//! A completion that names no request, or one that was completed before, or more data than the buffer has, is a
//! [`guest::Fault`] that ends the channel. [`guest::Queue::abort`] then names every request that was under way, once:
//! it failed, and its memory is not free before the host has let go of the channel.
//!
//! # Memory of a host's queue
//!
//! A queue of depth 1 takes 1.4 KiB with the handles of its rings, and 96 bytes more for each further
//! request. Its scratch takes 4.1 KiB with the default of 1 MiB a transfer, 1.1 KiB with 256
//! KiB. A block that WRITE SAME repeats is looked at on the stack, 4 KiB.
#![no_std]
#![forbid(unsafe_code)]

pub mod guest;
pub mod host;
mod macros;
pub mod scsi;
pub mod wire;
