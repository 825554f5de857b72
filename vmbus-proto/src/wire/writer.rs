//! Messages that are put into a buffer of the caller's.

use thiserror::Error;

/// The caller's buffer is too small for a message, or the message too long for its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the message takes more than {len} bytes")]
pub struct NoRoom {
    /// Bytes that there are.
    pub len: usize,
}

/// Puts bytes one after another into a buffer.
pub(crate) struct Writer<'o> {
    out: &'o mut [u8],
    at: usize,
}

impl<'o> Writer<'o> {
    pub(crate) const fn new(out: &'o mut [u8]) -> Self {
        Self { out, at: 0 }
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<(), NoRoom> {
        let len = self.out.len();
        let end = self.at.checked_add(bytes.len()).ok_or(NoRoom { len })?;
        let to = self.out.get_mut(self.at..end).ok_or(NoRoom { len })?;
        to.copy_from_slice(bytes);
        self.at = end;
        Ok(())
    }

    /// Puts zeros up to the place `end`; nothing where that is behind already.
    pub(crate) fn fill_to(&mut self, end: usize) -> Result<(), NoRoom> {
        let len = self.out.len();
        if let Some(range) = (self.at < end).then_some(self.at..end) {
            self.out.get_mut(range).ok_or(NoRoom { len })?.fill(0);
            self.at = end;
        }
        Ok(())
    }

    /// Bytes put so far.
    pub(crate) const fn len(&self) -> usize {
        self.at
    }
}
