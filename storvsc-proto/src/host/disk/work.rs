//! What a command asks of the disk.

use super::DiscardRanges;
use super::blocks::Range;
use crate::host::{BlockBackend, BlockError, Segments};

/// What a command asks of the disk. Offsets and lengths are bytes, judged already.
///
/// It borrows the queue's copy of the packet: who does it later makes an `iovec` of it first, or whatever its
/// engine takes.
#[derive(Clone, Debug)]
#[must_use = "the guest waits for it"]
pub enum Work<'a> {
    /// Read into guest memory.
    Read {
        /// Where on the disk.
        offset: u64,
        /// Where in guest memory.
        segments: Segments<'a>,
    },
    /// Write from guest memory.
    Write {
        /// Where on the disk.
        offset: u64,
        /// Where in guest memory. A segment may stand there many times.
        segments: Segments<'a>,
        /// It has to be stable before it is told done: flush after it.
        durable: bool,
    },
    /// Make all that is written stable.
    Flush,
    /// Give these ranges up, each `(offset, len)`.
    Discard(DiscardRanges<'a>),
    /// Make this range zero.
    WriteZeroes {
        /// Where on the disk.
        offset: u64,
        /// Bytes.
        len: u64,
    },
}

/// What a command asks of the disk, apart from the guest's buffer.
#[derive(Debug)]
pub(crate) enum Job<'a> {
    Read(Range),
    Write {
        range: Range,
        durable: bool,
    },
    /// Write the first block of the buffer over and over.
    WriteSame {
        range: Range,
        block: u32,
    },
    Flush,
    Discard(DiscardRanges<'a>),
    WriteZeroes(Range),
}

impl<'a> Job<'a> {
    /// Whether it writes to the medium, for the sense data of a failure.
    #[inline]
    pub(crate) const fn writes(&self) -> bool {
        !matches!(self, Self::Read(_))
    }

    /// The same with the buffer, which is long enough.
    #[inline]
    pub(crate) fn with(&self, buffer: Segments<'a>) -> Work<'a> {
        match self {
            Self::Read(Range { offset, len }) => Work::Read {
                offset: *offset,
                segments: buffer.limit(*len),
            },
            Self::Write { range, durable } => Work::Write {
                offset: range.offset,
                segments: buffer.limit(range.len),
                durable: *durable,
            },
            Self::WriteSame { range, block } => Work::Write {
                offset: range.offset,
                segments: buffer.limit(u64::from(*block)).repeated(range.len),
                durable: false,
            },
            Self::Flush => Work::Flush,
            Self::Discard(ranges) => Work::Discard(ranges.clone()),
            Self::WriteZeroes(Range { offset, len }) => Work::WriteZeroes {
                offset: *offset,
                len: *len,
            },
        }
    }

    /// [`Work::perform`] of it.
    #[inline]
    pub(crate) fn perform<B: BlockBackend + ?Sized>(
        &self,
        buffer: Segments<'a>,
        backend: &B,
        memory: &B::Memory,
    ) -> Result<(), BlockError> {
        match self {
            // What is asked for most goes without a copy of the segments.
            Self::Read(Range { offset, len }) => backend.read(*offset, memory, buffer.limit(*len)),
            other => other.with(buffer).perform(backend, memory),
        }
    }
}

impl Work<'_> {
    /// Does it, and returns when it is done.
    ///
    /// # Errors
    /// What the disk returned. Of several ranges, those before the failed one are done.
    #[inline]
    pub fn perform<B: BlockBackend + ?Sized>(
        &self,
        backend: &B,
        memory: &B::Memory,
    ) -> Result<(), BlockError> {
        match self {
            Self::Read { offset, segments } => backend.read(*offset, memory, segments.clone()),
            Self::Write {
                offset,
                segments,
                durable,
            } => {
                backend.write(*offset, memory, segments.clone())?;
                if *durable { backend.flush() } else { Ok(()) }
            }
            Self::Flush => backend.flush(),
            Self::Discard(ranges) => ranges
                .clone()
                .try_for_each(|(offset, len)| backend.discard(offset, len)),
            Self::WriteZeroes { offset, len } => backend.write_zeroes(*offset, *len),
        }
    }
}
