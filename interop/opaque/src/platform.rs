//! A kernel and a VMM, with a disk and a network.

use core::time::Duration;

use hvcall::host::synic::Delivery;
use hvcall::{ConnectionId, HvStatus, Message};
use netvsc_proto::host::{NetBackend, TransmitInfo, Transmitted};
use storvsc_proto::host::{BlockBackend, BlockError, Geometry, Segments};
use vmbus_proto::guest::{self, Hal, PageRange, Pages};
use vmbus_proto::host::{self, GpadlView, MessageTarget, RingPages, Vmm};
use vmbus_ringbuf::Halves;

use crate::{Opaque, looked_at, made};

impl Pages for Opaque {
    fn range(&self, index: u16) -> Option<PageRange> {
        looked_at(&index);
        made()
    }

    fn pfn(&self, range: u16, page: u32) -> u64 {
        looked_at(&(range, page));
        made()
    }
}

impl Hal for Opaque {
    type Memory = Self;
    type Ring = Self;
    type Error = Self;

    fn post(&self, connection: ConnectionId, payload: &[u8]) -> HvStatus {
        looked_at(&connection);
        looked_at(payload);
        made()
    }

    fn signal(&self, signal: guest::ChannelSignal) -> Result<(), Self::Error> {
        looked_at(&signal);
        made()
    }

    fn now(&self) -> Duration {
        made()
    }

    fn rings(&self, memory: &Self::Memory, downstream: u32) -> Result<Halves<Self::Ring>, Self::Error> {
        looked_at(memory);
        looked_at(&downstream);
        made()
    }
}

impl Vmm for Opaque {
    type Ring = Self;
    type Region = Self;
    type Error = Self;

    fn post(&self, target: MessageTarget, message: &Message) -> Result<Delivery, Self::Error> {
        looked_at(&target);
        looked_at(message);
        made()
    }

    fn signal(&self, signal: host::ChannelSignal) -> Result<(), Self::Error> {
        looked_at(&signal);
        made()
    }

    fn map_rings(&self, pages: &RingPages<'_>) -> Result<Halves<Self::Ring>, Self::Error> {
        looked_at(pages);
        made()
    }

    fn map_region(&self, memory: &GpadlView<'_>) -> Result<Self::Region, Self::Error> {
        looked_at(memory);
        made()
    }
}

impl BlockBackend for Opaque {
    type Memory = Self;

    fn geometry(&self) -> Geometry {
        made()
    }

    fn read(&self, offset: u64, memory: &Self, segments: Segments<'_>) -> Result<(), BlockError> {
        looked_at(&(offset, memory, segments));
        made()
    }

    fn write(&self, offset: u64, memory: &Self, segments: Segments<'_>) -> Result<(), BlockError> {
        looked_at(&(offset, memory, segments));
        made()
    }

    fn flush(&self) -> Result<(), BlockError> {
        made()
    }

    fn discard(&self, offset: u64, len: u64) -> Result<(), BlockError> {
        looked_at(&(offset, len));
        made()
    }

    fn write_zeroes(&self, offset: u64, len: u64) -> Result<(), BlockError> {
        looked_at(&(offset, len));
        made()
    }
}

impl NetBackend for Opaque {
    fn transmit(&self, frame: &[u8], info: &TransmitInfo) -> Transmitted {
        looked_at(frame);
        looked_at(info);
        made()
    }
}
