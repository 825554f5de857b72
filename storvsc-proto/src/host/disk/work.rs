//! What a command asks of the disk.

use super::DiscardRanges;
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

    /// Whether it writes to the medium, for the sense data of a failure.
    #[inline]
    pub(crate) const fn writes(&self) -> bool {
        !matches!(self, Self::Read { .. })
    }
}
