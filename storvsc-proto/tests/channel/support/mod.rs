//! A guest's memory, a disk in memory, and a fake driver that talks to a queue through real rings.

mod disk;
mod driver;
mod ram;
mod rig;

use vmbus_proto::ringbuf::mem::ArrayRing;
use vmbus_proto::ringbuf::{Halves, RingPair};
use zerocopy::little_endian::U64;

pub(crate) use disk::{Op, RamDisk, large_blocks};
pub(crate) use driver::{Driver, Sent};
pub(crate) use ram::Ram;
pub(crate) use rig::{Data, Ended, Rig, one_disk, srb};

pub(crate) const PAGE: usize = 4096;

/// 8 KiB of data.
pub(crate) type Ring = ArrayRing<1024>;

/// The first page of data buffers.
pub(crate) const BUFFER_PFN: u64 = 0x100;

/// The pages of a buffer of so many bytes: pairs of neighbours in descending order, so that some pages are
/// merged and some are not.
pub(crate) fn buffer_pages(offset: usize, len: usize) -> Vec<U64> {
    let pages = (offset + len).div_ceil(PAGE);
    (0..pages as u64)
        .map(|page| U64::new(BUFFER_PFN + 2 * (600 - page / 2) + page % 2))
        .collect()
}

/// Memory for the life of the test.
pub(crate) fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

/// Both ends of a channel.
pub(crate) fn channel() -> (RingPair<&'static Ring>, RingPair<&'static Ring>) {
    let halves = Halves {
        to_host: leak(Ring::new()),
        to_guest: leak(Ring::new()),
    };
    (RingPair::guest(halves).unwrap(), RingPair::host(halves).unwrap())
}

/// Bytes that differ from block to block.
pub(crate) fn pattern(len: usize, seed: u8) -> Vec<u8> {
    (0..len)
        .map(|at| {
            (at as u8)
                .wrapping_mul(31)
                .wrapping_add((at / 512) as u8)
                .wrapping_add(seed)
        })
        .collect()
}
