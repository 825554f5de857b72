//! A NIC and a driver that does what Linux's does, joined by real rings and plain memory, on one thread.
#![allow(dead_code, unused_imports, reason = "each test file uses its part")]

mod channel;
mod memory;
mod net;
mod nvsp;
mod packets;
mod rig;
mod rndis;

use netvsc_proto::host::MacAddress;

pub(crate) use channel::{Got, GuestChannel, HostQueue, Ring, channel};
pub(crate) use memory::Mem;
pub(crate) use net::Net;
pub(crate) use packets::{frame, packet, rndis_packet};
pub(crate) use rig::Rig;

pub(crate) const MAC: MacAddress = MacAddress([0x52, 0x54, 0, 0x12, 0x34, 0x56]);
pub(crate) const RECEIVE_GPADL: u32 = 0xe1e10;
pub(crate) const SEND_GPADL: u32 = 0xe1e11;
pub(crate) const SECTIONS: usize = 256;
