//! Memory of a guest.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use vmbus_proto::hvcall::{GuestMemory, MemoryError};

/// Guest memory.
pub(crate) struct Ram {
    bytes: Mutex<Vec<u8>>,
    /// A guest that never rests: what was read reads otherwise the next time.
    pub(crate) changing: AtomicBool,
}

impl Ram {
    pub(crate) fn new(len: usize) -> Self {
        Self {
            bytes: Mutex::new(vec![0; len]),
            changing: AtomicBool::new(false),
        }
    }

    fn with<T>(&self, gpa: u64, len: usize, f: impl FnOnce(&mut [u8]) -> T) -> Result<T, MemoryError> {
        let mut bytes = self.bytes.lock().unwrap();
        let end = gpa.checked_add(len as u64).ok_or(MemoryError { gpa, len })?;
        if end > bytes.len() as u64 {
            return Err(MemoryError { gpa, len });
        }
        Ok(f(&mut bytes[gpa as usize..end as usize]))
    }
}

impl GuestMemory for Ram {
    fn read(&self, gpa: u64, dst: &mut [u8]) -> Result<(), MemoryError> {
        let changing = self.changing.load(Ordering::Relaxed);
        self.with(gpa, dst.len(), |bytes| {
            dst.copy_from_slice(bytes);
            if changing {
                bytes.iter_mut().for_each(|byte| *byte = !*byte);
            }
        })
    }

    fn write(&self, gpa: u64, src: &[u8]) -> Result<(), MemoryError> {
        self.with(gpa, src.len(), |bytes| bytes.copy_from_slice(src))
    }

    fn load_u32(&self, gpa: u64) -> Result<u32, MemoryError> {
        self.with(gpa, 4, |bytes| u32::from_le_bytes(bytes.try_into().unwrap()))
    }

    fn store_u32(&self, gpa: u64, value: u32) -> Result<(), MemoryError> {
        self.write(gpa, &value.to_le_bytes())
    }

    fn fetch_or_u32(&self, gpa: u64, bits: u32) -> Result<u32, MemoryError> {
        let old = self.load_u32(gpa)?;
        self.store_u32(gpa, old | bits).map(|()| old)
    }
}
