//! What a VMM brings: the disk behind a LUN.

use thiserror::Error;
use vmbus_proto::hvcall::{GuestMemory, MemoryError};

use super::Segments;

/// A disk.
///
/// Offsets and lengths are bytes, multiples of [`Geometry::block_size`], and lie within the capacity that
/// [`geometry`](Self::geometry) told for this request: the caller has checked it. If the disk shrank since
/// then, answer [`BlockError::OutOfRange`].
///
/// Data goes straight between the disk and the guest's pages: `segments` lists them in order, and their
/// lengths add up to the length of the transfer. A VMM that maps guest memory makes an `iovec` of each and
/// calls `preadv`. The guest may change its pages at any time, also while they are written out.
///
/// Methods take `&self`: queues of several channels use one disk at the same time.
pub trait BlockBackend {
    /// The guest's memory.
    type Memory: GuestMemory + ?Sized;

    /// Size and abilities. Asked for with every request, so it should be cheap.
    fn geometry(&self) -> Geometry;

    /// Names. Asked for when the guest asks.
    fn identity(&self) -> Identity {
        Identity::default()
    }

    /// Reads from `offset` on into guest memory.
    ///
    /// # Errors
    /// When the data could not be read, or not all of it be put into guest memory.
    fn read(&self, offset: u64, memory: &Self::Memory, segments: Segments<'_>) -> Result<(), BlockError>;

    /// Writes from guest memory, from `offset` on. Volatile until the next [`flush`](Self::flush) returns,
    /// unless [`Geometry::write_cache`] is false.
    ///
    /// # Errors
    /// When the data could not be had from guest memory, or not be written.
    fn write(&self, offset: u64, memory: &Self::Memory, segments: Segments<'_>) -> Result<(), BlockError>;

    /// Makes everything that was written before stable.
    ///
    /// # Errors
    /// When it may not be stable.
    fn flush(&self) -> Result<(), BlockError>;

    /// Takes note that these bytes are of no use any more. Called only with [`Geometry::discard`] set. The
    /// range need not be aligned to its granularity, and what is done about it is free, but for
    /// [`Discard::reads_zero`].
    ///
    /// # Errors
    /// When it failed.
    fn discard(&self, offset: u64, len: u64) -> Result<(), BlockError>;

    /// Makes these bytes zero, in whichever way is cheapest; giving up their space is as good as writing.
    /// Volatile as [`write`](Self::write) is.
    ///
    /// # Errors
    /// When they may not be zero.
    fn write_zeroes(&self, offset: u64, len: u64) -> Result<(), BlockError>;
}

impl<T: BlockBackend + ?Sized> BlockBackend for &T {
    type Memory = T::Memory;

    fn geometry(&self) -> Geometry {
        (**self).geometry()
    }

    fn identity(&self) -> Identity {
        (**self).identity()
    }

    fn read(&self, offset: u64, memory: &Self::Memory, segments: Segments<'_>) -> Result<(), BlockError> {
        (**self).read(offset, memory, segments)
    }

    fn write(&self, offset: u64, memory: &Self::Memory, segments: Segments<'_>) -> Result<(), BlockError> {
        (**self).write(offset, memory, segments)
    }

    fn flush(&self) -> Result<(), BlockError> {
        (**self).flush()
    }

    fn discard(&self, offset: u64, len: u64) -> Result<(), BlockError> {
        (**self).discard(offset, len)
    }

    fn write_zeroes(&self, offset: u64, len: u64) -> Result<(), BlockError> {
        (**self).write_zeroes(offset, len)
    }
}

/// Why a disk did not do what it was asked for. Each becomes the status and the sense data that a guest expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BlockError {
    /// The guest named memory that it does not have, or that cannot be written. The guest's fault.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The storage failed: MEDIUM ERROR.
    #[error("the storage failed")]
    Medium,
    /// The disk shrank meanwhile: LOGICAL BLOCK ADDRESS OUT OF RANGE.
    #[error("beyond the end")]
    OutOfRange,
    /// The storage is full: DATA PROTECT, SPACE ALLOCATION FAILED.
    #[error("no space left")]
    NoSpace,
    /// The disk takes no more at the moment, and nothing was done: the status BUSY, without sense data. Linux tries again after a
    /// moment, for as long as it takes.
    #[error("busy")]
    Busy,
    /// Not to be written: DATA PROTECT, WRITE PROTECTED.
    #[error("read only")]
    ReadOnly,
    /// The storage does not do this: ILLEGAL REQUEST, INVALID COMMAND OPERATION CODE.
    #[error("not supported")]
    Unsupported,
    /// Something else failed: HARDWARE ERROR, INTERNAL TARGET FAILURE.
    #[error("internal failure")]
    Internal,
}

/// Bytes of a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BlockSize {
    /// 512.
    #[default]
    B512,
    /// 4096.
    B4096,
}

impl BlockSize {
    /// As a number of bytes.
    #[must_use]
    pub const fn bytes(self) -> u32 {
        match self {
            Self::B512 => 512,
            Self::B4096 => 4096,
        }
    }
}

/// Size and abilities of a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Geometry {
    /// Logical blocks. 0: no medium is present.
    pub blocks: u64,
    /// Bytes of a logical block.
    pub block_size: BlockSize,
    /// Bytes of a physical block; one smaller than a logical block counts as equal.
    pub physical_block_size: BlockSize,
    /// Not to be written.
    pub read_only: bool,
    /// Writes are volatile until a flush. Otherwise each one is stable when it has returned.
    pub write_cache: bool,
    /// It rotates: a guest orders its requests.
    pub rotational: bool,
    /// Blocks can be given up.
    pub discard: Option<Discard>,
}

/// How a disk gives up blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Discard {
    /// Bytes of the units in which space is given up. 0 for no preference.
    pub granularity: u32,
    /// What was given up reads as zero afterwards, always.
    pub reads_zero: bool,
}

/// Names of a disk. Text is ASCII, padded with blanks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Vendor.
    pub vendor: [u8; 8],
    /// Product.
    pub product: [u8; 16],
    /// Revision.
    pub revision: [u8; 4],
    /// Serial number; empty for none.
    pub serial: Serial,
    /// World-wide name: an NAA designator of 16 bytes, whose first half-byte is 6.
    pub naa: Option<[u8; 16]>,
}

impl Default for Identity {
    /// The vendor and product of Hyper-V's own disks, because guests go by them: Linux's hv_storvsc sends
    /// WRITE SAME only to the vendor `Msft`.
    fn default() -> Self {
        Self {
            vendor: *b"Msft    ",
            product: *b"Virtual Disk    ",
            revision: *b"1.0 ",
            serial: Serial::EMPTY,
            naa: None,
        }
    }
}

/// A serial number: up to 32 printable ASCII characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Serial {
    bytes: [u8; Self::MAX],
    len: u8,
}

/// Text that is no serial number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a serial number of {len} bytes: not up to {most} printable ASCII characters", most = Serial::MAX)]
pub struct SerialError {
    /// Bytes of the text.
    pub len: usize,
}

impl Serial {
    /// Most characters.
    pub const MAX: usize = 32;

    /// None.
    pub const EMPTY: Self = Self {
        bytes: [0; Self::MAX],
        len: 0,
    };

    /// A serial number.
    ///
    /// # Errors
    /// When it is too long, or not printable ASCII.
    pub fn new(text: &str) -> Result<Self, SerialError> {
        let error = SerialError { len: text.len() };
        if text.len() > Self::MAX || !text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
            return Err(error);
        }
        let mut serial = Self {
            bytes: [0; Self::MAX],
            len: u8::try_from(text.len()).map_err(|_| error)?,
        };
        for (to, from) in serial.bytes.iter_mut().zip(text.bytes()) {
            *to = from;
        }
        Ok(serial)
    }

    /// The characters.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl Default for Serial {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl core::fmt::Debug for Serial {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Serial(\"{}\")", self.as_bytes().escape_ascii())
    }
}
