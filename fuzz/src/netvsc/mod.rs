//! Network cards.

pub mod host;
mod rndis;

use std::cell::RefCell;
use std::rc::Rc;

use vmbus_ringbuf::{OutOfBounds, SharedMem};

/// A region that both ends have.
#[derive(Clone, Debug)]
pub struct Region(Rc<RefCell<Vec<u8>>>);

impl Region {
    /// So many bytes of zeros.
    pub fn new(len: usize) -> Self {
        Self(Rc::new(RefCell::new(vec![0; len])))
    }

    /// The peer writes there, as far as there is room.
    pub fn put(&self, at: usize, src: &[u8]) {
        let mut bytes = self.0.borrow_mut();
        for (to, from) in bytes.iter_mut().skip(at).zip(src) {
            *to = *from;
        }
    }

    /// What stands there.
    pub fn bytes(&self, at: usize, len: usize) -> Option<Vec<u8>> {
        let end = at.checked_add(len)?;
        self.0.borrow().get(at..end).map(<[u8]>::to_vec)
    }

    fn range<T>(
        &self,
        offset: usize,
        len: usize,
        act: impl FnOnce(&mut [u8]) -> T,
    ) -> Result<T, OutOfBounds> {
        let mut bytes = self.0.borrow_mut();
        let region = bytes.len();
        let range = offset.checked_add(len).and_then(|end| bytes.get_mut(offset..end));
        range.map(act).ok_or(OutOfBounds { offset, len, region })
    }
}

impl SharedMem for Region {
    fn len(&self) -> usize {
        self.0.borrow().len()
    }

    fn read(&self, offset: usize, dst: &mut [u8]) -> Result<(), OutOfBounds> {
        self.range(offset, dst.len(), |bytes| dst.copy_from_slice(bytes))
    }

    fn write(&self, offset: usize, src: &[u8]) -> Result<(), OutOfBounds> {
        self.range(offset, src.len(), |bytes| bytes.copy_from_slice(src))
    }
}
