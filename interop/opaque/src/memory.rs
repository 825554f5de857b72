//! Memory that is shared with a peer.

use hvcall::{GuestMemory, MemoryError};
use vmbus_ringbuf::mem::PagePtr;
use vmbus_ringbuf::wire::ControlWord;
use vmbus_ringbuf::{OutOfBounds, RingMem, SharedMem};

use crate::{Opaque, filled, looked_at, made};

impl RingMem for Opaque {
    fn data_len(&self) -> u32 {
        made()
    }

    fn load(&self, word: ControlWord) -> u32 {
        looked_at(&word);
        made()
    }

    fn store(&self, word: ControlWord, value: u32) {
        looked_at(&(word, value));
    }

    fn fence(&self) {
        looked_at(self);
    }

    fn read(&self, offset: u32, dst: &mut [u8]) {
        looked_at(&offset);
        filled(dst);
    }

    fn write(&self, offset: u32, src: &[u8]) {
        looked_at(&offset);
        looked_at(src);
    }
}

impl SharedMem for Opaque {
    fn len(&self) -> usize {
        made()
    }

    fn read(&self, offset: usize, dst: &mut [u8]) -> Result<(), OutOfBounds> {
        looked_at(&offset);
        filled(dst);
        made()
    }

    fn write(&self, offset: usize, src: &[u8]) -> Result<(), OutOfBounds> {
        looked_at(&offset);
        looked_at(src);
        made()
    }
}

impl GuestMemory for Opaque {
    fn read(&self, gpa: u64, dst: &mut [u8]) -> Result<(), MemoryError> {
        looked_at(&gpa);
        filled(dst);
        made()
    }

    fn write(&self, gpa: u64, src: &[u8]) -> Result<(), MemoryError> {
        looked_at(&gpa);
        looked_at(src);
        made()
    }

    fn load_u32(&self, gpa: u64) -> Result<u32, MemoryError> {
        looked_at(&gpa);
        made()
    }

    fn store_u32(&self, gpa: u64, value: u32) -> Result<(), MemoryError> {
        looked_at(&(gpa, value));
        made()
    }

    fn fetch_or_u32(&self, gpa: u64, bits: u32) -> Result<u32, MemoryError> {
        looked_at(&(gpa, bits));
        made()
    }
}

/// What an embedder lends: bytes.
impl AsRef<[u8]> for Opaque {
    fn as_ref(&self) -> &[u8] {
        made()
    }
}

impl AsMut<[u8]> for Opaque {
    fn as_mut(&mut self) -> &mut [u8] {
        made()
    }
}

/// And pages.
impl AsRef<[PagePtr]> for Opaque {
    fn as_ref(&self) -> &[PagePtr] {
        made()
    }
}
