//! What stands on the disks, as far as the driver can know.

use std::ops::Range;

/// The bytes of a disk, or of a part of it.
#[derive(Clone, Debug)]
pub struct Content {
    bytes: Vec<u8>,
    /// Those that were given up: they may be zero since.
    given_up: Vec<bool>,
}

impl Content {
    /// So many zeros.
    pub fn new(len: usize) -> Self {
        Self {
            bytes: vec![0; len],
            given_up: vec![false; len],
        }
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// A part of it; none that goes beyond the end.
    pub fn part(&self, range: Range<usize>) -> Option<Self> {
        Some(Self {
            bytes: self.bytes.get(range.clone())?.to_vec(),
            given_up: self.given_up.get(range)?.to_vec(),
        })
    }

    /// This byte is written into all of a range.
    pub fn write(&mut self, range: Range<usize>, byte: u8) {
        self.bytes[range.clone()].fill(byte);
        self.given_up[range].fill(false);
    }

    /// A range is given up.
    pub fn give_up(&mut self, range: Range<usize>) {
        self.given_up[range].fill(true);
    }

    /// Whether this can have been read of it.
    pub fn allows(&self, found: &[u8]) -> bool {
        let mut bytes = self.bytes.iter().zip(&self.given_up).zip(found);
        found.len() == self.len()
            && bytes.all(|((byte, given_up), found)| byte == found || *given_up && *found == 0)
    }
}
