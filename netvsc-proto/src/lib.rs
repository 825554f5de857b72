//! Network over VMBus (netvsc): NVSP and RNDIS wire formats, the guest's driver, and the host's NIC.
//!
//! netvsc is the network card that Hyper-V gives its guests. Linux, Windows and FreeBSD bring the driver; this crate is
//! what the driver talks to, a driver for kernels that have none, and the description of what they say. It needs no
//! operating system and no allocator.
//!
//! # How a frame travels
//!
//! ```text
//!   guest                                                                host
//!   ------                                                               ----
//!   frame                                                                frame
//!   RNDIS packet message: 44-byte head, per-packet info, frame           RNDIS packet message
//!     |  in a section of the send buffer,                                  |  in a section of the receive buffer
//!     |  or in pages that the packet lists,                                |
//!     |  or first in the one, then in the other                            |
//!   NVSP message SEND_RNDIS_PKT: which section                           NVSP message SEND_RNDIS_PKT
//!     |  payload of an in-band or GPA direct packet                        |  payload of a transfer-page packet
//!     '--------------- ring to the host -------------->                    |  that lists the sections
//!                                          <------------- ring to the guest '
//!   completion: the guest may reuse it  <----          ----> completion: the host may reuse them
//! ```
//!
//! - **Rings** are the bus's matter: [`vmbus_proto::ringbuf`]. Each channel has two.
//! - **NVSP** is the protocol of netvsc itself: versions, the two buffers, sub-channels. [`wire::nvsp`].
//! - **RNDIS** is what a USB network card would speak: initialise, query and set object identifiers (OIDs), frames.
//!   Control messages travel as frames do, marked as control. [`wire::rndis`].
//! - **Sub-channels** are further queues, each with rings of its own, served by itself, on the processor that the guest
//!   chose. Received frames are spread over them by a hash ([`toeplitz`]) and a table that the guest sets.
//!
//! # How a guest brings the NIC up
//!
//! What Linux does, and so what [`host`] is tested with; [`guest`] does the same:
//!
//! 1. It opens the channel and asks for a version of NVSP, from the highest down, until one is spoken.
//! 2. It tells its MTU and NDIS version, and lends a receive buffer, of which the host makes sections, and a send
//!    buffer, whose section size the host chooses.
//! 3. It initialises RNDIS and asks MTU, MAC address, offloads and link state.
//! 4. It asks how many queues there can be, asks for sub-channels, opens them as they are offered, and sets the hash.
//! 5. It sets the packet filter: frames flow.
//!
//! Going away, it halts RNDIS, waits until everything is completed, revokes both buffers and closes the channel.
//!
//! # The crate
//!
//! | module | is for |
//! |---|---|
//! | [`wire`] | who wants to know what stands where: structures, codes with names, one enum of messages for each direction |
//! | [`guest`] | who writes a driver: a kernel, a unikernel, a boot loader |
//! | [`host`] | who offers a NIC to a guest: a VMM, an emulator |
//! | [`nic`] | what both ends call the same: addresses, offloads, receive scaling |
//! | [`toeplitz`] | the hash |
//!
//! Wire types are views of bytes and have no opinion; engines are values that are fed packets and polled for events. They
//! never block, allocate, read a clock or trust the other end. On a 64-bit machine a
//! [`host::Nic`] takes 4.5 KiB, a [`host::Queue`] 2.5 KiB and 8 bytes for each section that the guest can have.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod guest;
pub mod host;
pub mod nic;
pub mod toeplitz;
pub mod wire;
