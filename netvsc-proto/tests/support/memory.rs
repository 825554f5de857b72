//! Memory of a guest.

use std::sync::{Arc, Mutex};

use vmbus_proto::hvcall::{GuestMemory, MemoryError};
use vmbus_proto::ringbuf::{OutOfBounds, SharedMem};

/// Memory of the guest, as a region and by address.
#[derive(Clone)]
pub(crate) struct Mem(pub(crate) Arc<Mutex<Vec<u8>>>);

impl Mem {
    pub(crate) fn new(len: usize) -> Self {
        Self(Arc::new(Mutex::new(vec![0; len])))
    }
}

impl SharedMem for Mem {
    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn read(&self, offset: usize, dst: &mut [u8]) -> Result<(), OutOfBounds> {
        let (region, len) = (SharedMem::len(self), dst.len());
        let memory = self.0.lock().unwrap();
        let src = offset.checked_add(len).and_then(|end| memory.get(offset..end));
        dst.copy_from_slice(src.ok_or(OutOfBounds { offset, len, region })?);
        Ok(())
    }

    fn write(&self, offset: usize, src: &[u8]) -> Result<(), OutOfBounds> {
        let (region, len) = (SharedMem::len(self), src.len());
        let mut memory = self.0.lock().unwrap();
        let dst = offset
            .checked_add(len)
            .and_then(|end| memory.get_mut(offset..end));
        dst.ok_or(OutOfBounds { offset, len, region })?
            .copy_from_slice(src);
        Ok(())
    }
}

impl GuestMemory for Mem {
    fn read(&self, gpa: u64, dst: &mut [u8]) -> Result<(), MemoryError> {
        let len = dst.len();
        SharedMem::read(self, usize::try_from(gpa).unwrap(), dst).map_err(|_| MemoryError { gpa, len })
    }
    fn write(&self, gpa: u64, src: &[u8]) -> Result<(), MemoryError> {
        let len = src.len();
        SharedMem::write(self, usize::try_from(gpa).unwrap(), src).map_err(|_| MemoryError { gpa, len })
    }
    fn load_u32(&self, gpa: u64) -> Result<u32, MemoryError> {
        Err(MemoryError { gpa, len: 4 })
    }
    fn store_u32(&self, gpa: u64, _: u32) -> Result<(), MemoryError> {
        Err(MemoryError { gpa, len: 4 })
    }
    fn fetch_or_u32(&self, gpa: u64, _: u32) -> Result<u32, MemoryError> {
        Err(MemoryError { gpa, len: 4 })
    }
}
