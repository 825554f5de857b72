//! A SCSI controller with one disk, whose blocks are memory of the host's.

use std::cell::{RefCell, RefMut};

use storvsc_proto::host::{
    BlockBackend, BlockError, BlockSize, Config, Discard, Event, Geometry, Identity, Lun, Queue, Segments,
    Serial,
};
use storvsc_proto::wire::ProtocolVersion;
use vmbus_proto::ringbuf::RingPair;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{Done, HostOptions, Signal};
use crate::error::{Result, unexpected};
use crate::ram::{PAGE, Ram, Ring};

/// A channel's service, with a scratch of its own.
pub(super) type DiskQueue = Queue<Ring, Vec<u8>, 1>;

/// Packets that are served before the host looks at other things.
const BUDGET: usize = 256;

/// The controller.
#[derive(Debug)]
pub(super) struct Controller {
    luns: [Lun<RamDisk>; 1],
    config: Config,
    /// What the primary channel agreed on, and sub-channels speak.
    version: Option<ProtocolVersion>,
}

impl Controller {
    pub(super) fn new(options: &HostOptions) -> Self {
        Self {
            luns: [Lun::new(0, RamDisk::new(options.disk_len))],
            config: Config {
                max_sub_channels: options.sub_channels,
                ..Config::default()
            },
            version: None,
        }
    }

    pub(super) fn open(&self, index: u16, rings: RingPair<Ring>) -> Result<DiskQueue> {
        let scratch = vec![0; self.config.scratch_len()];
        let queue = match (index, self.version) {
            (0, _) => Queue::primary(rings, scratch, self.config),
            (_, Some(version)) => Queue::sub_channel(rings, scratch, self.config, version),
            (_, None) => return Err(unexpected("the host's disk", "a sub-channel before the version")),
        };
        queue.map_err(|error| unexpected("the host's disk", error))
    }

    pub(super) fn serve(&mut self, queue: &mut DiskQueue, ram: &Ram, signal: impl Signal) -> Result<Done> {
        let mut done = Done {
            again: true,
            sub_channels: None,
        };
        let begun = queue.counters().packets;
        // It returns whenever the guest is to be signalled, and more may be in the ring.
        while done.again && queue.counters().packets.wrapping_sub(begun) < BUDGET as u64 {
            let served = queue.service(&self.luns, ram, BUDGET)?;
            if served.signal.is_needed() {
                signal()?;
            }
            match served.event {
                Some(Event::Ready { version }) => self.version = Some(version),
                Some(Event::SubChannels { count }) => done.sub_channels = Some(count),
                Some(Event::Refused(refusal)) => return Err(unexpected("the host's disk refused", refusal)),
                _ => {}
            }
            done.again = served.again;
        }
        Ok(done)
    }
}

/// Blocks that lie as a mapped file would: copies between pages take a third longer where they lie askew.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C, align(4096))]
struct Page([u8; PAGE]);

/// A disk in memory.
#[derive(Debug)]
struct RamDisk {
    pages: RefCell<Vec<Page>>,
}

impl RamDisk {
    fn new(len: usize) -> Self {
        Self {
            pages: RefCell::new(vec![Page([0; PAGE]); len.div_ceil(PAGE)]),
        }
    }

    /// The bytes of a range, which the caller has found to be on the disk.
    #[inline]
    fn range(&self, offset: u64, len: u64) -> Result<RefMut<'_, [u8]>, BlockError> {
        let start = usize::try_from(offset).map_err(|_| BlockError::OutOfRange)?;
        let len = usize::try_from(len).map_err(|_| BlockError::OutOfRange)?;
        let pages = self.pages.try_borrow_mut().map_err(|_| BlockError::Internal)?;
        RefMut::filter_map(pages, |pages| {
            pages.as_mut_bytes().get_mut(start..)?.get_mut(..len)
        })
        .map_err(|_| BlockError::OutOfRange)
    }
}

impl BlockBackend for RamDisk {
    type Memory = Ram;

    #[inline]
    fn geometry(&self) -> Geometry {
        let len = self.pages.try_borrow().map_or(0, |pages| size_of_val(&**pages));
        Geometry {
            blocks: len as u64 / u64::from(BlockSize::B512.bytes()),
            block_size: BlockSize::B512,
            physical_block_size: BlockSize::B4096,
            write_cache: true,
            discard: Some(Discard {
                granularity: 4096,
                reads_zero: true,
            }),
            ..Geometry::default()
        }
    }

    fn identity(&self) -> Identity {
        Identity {
            serial: Serial::new("loopback").unwrap_or_default(),
            ..Identity::default()
        }
    }

    #[inline]
    fn read(&self, offset: u64, memory: &Ram, segments: Segments<'_>) -> Result<(), BlockError> {
        let range = self.range(offset, segments.total_bytes())?;
        segments.write(memory, &range)?;
        Ok(())
    }

    fn write(&self, offset: u64, memory: &Ram, segments: Segments<'_>) -> Result<(), BlockError> {
        let mut range = self.range(offset, segments.total_bytes())?;
        segments.read(memory, &mut range)?;
        Ok(())
    }

    fn flush(&self) -> Result<(), BlockError> {
        Ok(())
    }

    fn discard(&self, offset: u64, len: u64) -> Result<(), BlockError> {
        self.write_zeroes(offset, len)
    }

    fn write_zeroes(&self, offset: u64, len: u64) -> Result<(), BlockError> {
        self.range(offset, len)?.fill(0);
        Ok(())
    }
}
