//! VMBus is how Hyper-V offers devices to its guests: a control plane of messages that tells what there is and opens channels, and in each
//! channel two rings that carry packets. This crate is the control plane: its [messages](wire), and both ends of the connection as engines
//! that do no input or output. The [host's end](host) makes a VMM, on KVM and elsewhere, speak to the drivers that Linux and Windows bring
//! along; the [guest's end](guest) gives a kernel the devices of Hyper-V, or of such a VMM.
//!
//! It depends on no operating system and no allocator, and it has no `unsafe`. Data planes and devices are crates of their own:
//! [`ringbuf`] and [`hvcall`], re-exported here, `storvsc-proto` and `netvsc-proto`. What is too small for a crate is here:
//! [integration services](ic) and the messages of [dynamic memory, keyboard and mouse](device).
//!
//! # The life of a connection
//!
//! | guest | host | |
//! |---|---|---|
//! | INITIATE_CONTACT | VERSION_RESPONSE | from the highest version that the guest knows downwards, until the host speaks it |
//! | REQUEST_OFFERS | OFFER_CHANNEL ... ALL_OFFERS_DELIVERED | a channel for each device; more may be offered at any time |
//! | GPADL_HEADER, GPADL_BODY ... | GPADL_CREATED | the guest lends memory: a channel's two rings, later what the device needs |
//! | OPEN_CHANNEL | OPEN_CHANNEL_RESULT | packets flow, and each end signals the other |
//! | MODIFY_CHANNEL | MODIFY_CHANNEL_RESPONSE | the channel's interrupts go to another virtual processor |
//! | CLOSE_CHANNEL, GPADL_TEARDOWN | GPADL_TORNDOWN | the guest has its memory back |
//! | RELID_RELEASED | RESCIND_CHANNEL_OFFER | the host takes a device away, and the guest lets go of it |
//! | UNLOAD | UNLOAD_RESPONSE | the guest takes leave |
//!
//! Messages from guest to host are posted by hypercall; those from host to guest stand in a slot of a page that the guest has set up, one
//! at a time. A channel is signalled by a hypercall in the one direction, and by an event flag, whose number is the channel's
//! [id](wire::RelId), in the other.
//!
//! # A host in few lines
//!
//! ```
//! use vmbus_proto::host::{Event, Host, HostConfig, OfferParams};
//! use vmbus_proto::wire::{Guid, interface};
//!
//! // A VM with 2 processors. Guests may lend 4096 pages.
//! let mut storage = [0; 4096];
//! let mut host: Host<'_> = Host::new(HostConfig::new(2), &mut storage);
//! let disk = host.offer(OfferParams::new(interface::SCSI, Guid::new(1, 2, 3, 4)))?;
//!
//! // What a guest's first message looks like: version 5.3, messages to SINT 2 of processor 0.
//! let mut contact = [0; 40];
//! contact[0] = 14;
//! contact[8..12].copy_from_slice(&[3, 0, 5, 0]);
//! contact[16] = 2;
//! host.handle_message(&contact)?;
//!
//! // The answer goes into the guest's message page.
//! let answer = host.next_message().expect("an answer");
//! assert_eq!(answer.message.to_string(), "VERSION_RESPONSE accepted connection or version 0x4");
//! assert_eq!(answer.payload().len(), 16);
//! host.message_delivered();
//!
//! host.handle_message(&[3, 0, 0, 0, 0, 0, 0, 0])?;
//! let offer = host.next_message().expect("an offer");
//! assert!(offer.message.to_string().starts_with("OFFER_CHANNEL relid 1 scsi instance 00000001-0002-0003"));
//!
//! // What the embedder has to know or to do.
//! assert!(matches!(host.poll_event(), Some(Event::Connected(connected)) if connected.version.dotted().to_string() == "5.3"));
//! # let _ = disk;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`host::Bus`] does the delivery and the mapping of rings, and leaves the embedder the channels to serve; see [`host`].
//!
//! # A guest in few lines
//!
//! ```
//! use core::time::Duration;
//!
//! use vmbus_proto::guest::{Contiguous, Event, Guest, GuestConfig, OpenParams, Posted};
//! use vmbus_proto::hvcall::{HvStatus, VpIndex};
//! use vmbus_proto::wire::Version;
//!
//! // Messages come to VP 0. `Contiguous` stands for the memory that this guest lends.
//! let config = GuestConfig { highest: Version::IRON, ..GuestConfig::new(VpIndex(0)) };
//! let mut guest: Guest<Contiguous> = Guest::new(config);
//! guest.connect()?;
//!
//! // The host is asked for 5.3, by the hypercall post-message; its status is what `message_posted` takes.
//! let contact = guest.next_message().expect("a message");
//! assert_eq!((contact.connection.0, &contact.payload[8..12]), (4, &[3, 0, 5, 0][..]));
//! assert_eq!(guest.message_posted(HvStatus::SUCCESS), Posted::Done);
//! // Time goes in by one call. From here on an answer is waited for.
//! guest.handle_timeout(Duration::ZERO);
//! assert_eq!(guest.poll_timeout(), Some(Duration::from_secs(10)));
//!
//! // What a host's answer looks like in the message page: accepted, and messages go to connection 4.
//! guest.handle_message(&[15, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0])?;
//! let event = guest.poll_event();
//! assert!(matches!(event, Some(Event::Connected(connected)) if connected.version.dotted().to_string() == "5.3"));
//!
//! // The offers are asked for by themselves. Of each, `Event::Offered` tells, and `Guest::open` opens it.
//! assert_eq!(guest.next_message().expect("a message").payload[..], [3, 0, 0, 0, 0, 0, 0, 0]);
//! # let _ = OpenParams::new(2, VpIndex(0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`guest::Bus`] does the posting, the waiting and the making of rings, and leaves the embedder the channels to use; see [`guest`].
//!
//! # Memory
//!
//! All of it is the value that the embedder makes, and the storage for page numbers that it lends: a [`host::Host`] with the default bounds
//! of 64 channels, 128 GPADLs and 32 answers takes 33 KB on a 64-bit machine, and 8 bytes for each page that its guest may lend. A
//! [`guest::Guest`] for 64 channels and 128 GPADLs takes 37 KB, whatever the size of what it lends.
#![no_std]
#![forbid(unsafe_code)]

mod channel_state;
pub mod device;
pub mod guest;
pub mod host;
pub mod ic;
#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod testing;
pub mod wire;

pub use hvcall;
pub use vmbus_ringbuf as ringbuf;
