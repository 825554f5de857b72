//! Memory that both ends have.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use hvcall::{GuestMemory, MemoryError};
use vmbus_ringbuf::{OutOfBounds, SharedMem};

use crate::memory::Poke;

#[derive(Debug)]
struct Memory {
    bytes: RefCell<Vec<u8>>,
    script: RefCell<VecDeque<Poke>>,
}

/// Memory that both ends have, or a part of it. The peer writes it with [`put`](Self::put), and may do so between any two
/// accesses of ours.
#[derive(Clone, Debug)]
pub struct Region {
    memory: Rc<Memory>,
    start: usize,
    len: usize,
}

impl Region {
    /// So many bytes of zeros.
    pub fn new(len: usize) -> Self {
        let memory = Memory {
            bytes: RefCell::new(vec![0; len]),
            script: RefCell::default(),
        };
        Self {
            memory: Rc::new(memory),
            start: 0,
            len,
        }
    }

    /// A part of it.
    pub fn part(&self, at: usize, len: usize) -> Self {
        assert!(at + len <= self.len);
        Self {
            start: self.start + at,
            len,
            ..self.clone()
        }
    }

    /// The peer writes there, as far as there is room.
    pub fn put(&self, at: usize, src: &[u8]) {
        let mut bytes = self.memory.bytes.borrow_mut();
        let part = &mut bytes[self.start..self.start + self.len];
        for (to, from) in part.iter_mut().skip(at).zip(src) {
            *to = *from;
        }
    }

    /// The peer writes this before the next access for which it has nothing to do yet.
    pub fn later(&self, poke: Poke) {
        self.memory.script.borrow_mut().push_back(poke);
    }

    /// The peer changes nothing any more.
    pub fn calm(&self) {
        self.memory.script.borrow_mut().clear();
    }

    /// What stands there.
    pub fn bytes(&self, at: usize, len: usize) -> Option<Vec<u8>> {
        let end = at.checked_add(len).filter(|end| *end <= self.len)?;
        let bytes = self.memory.bytes.borrow();
        Some(bytes[self.start + at..self.start + end].to_vec())
    }

    fn range<T>(
        &self,
        offset: usize,
        len: usize,
        act: impl FnOnce(&mut [u8]) -> T,
    ) -> Result<T, OutOfBounds> {
        let next = self.memory.script.borrow_mut().pop_front();
        if let Some(poke) = next {
            self.put(usize::from(poke.at), &poke.value.to_le_bytes());
        }
        let region = self.len;
        let all = OutOfBounds { offset, len, region };
        let end = offset.checked_add(len).filter(|end| *end <= region).ok_or(all)?;
        let mut bytes = self.memory.bytes.borrow_mut();
        Ok(act(&mut bytes[self.start + offset..self.start + end]))
    }

    fn at<T>(&self, gpa: u64, len: usize, act: impl FnOnce(&mut [u8]) -> T) -> Result<T, MemoryError> {
        let at = usize::try_from(gpa).unwrap_or(usize::MAX);
        self.range(at, len, act).map_err(|_| MemoryError { gpa, len })
    }
}

impl SharedMem for Region {
    fn len(&self) -> usize {
        self.len
    }

    fn read(&self, offset: usize, dst: &mut [u8]) -> Result<(), OutOfBounds> {
        self.range(offset, dst.len(), |bytes| dst.copy_from_slice(bytes))
    }

    fn write(&self, offset: usize, src: &[u8]) -> Result<(), OutOfBounds> {
        self.range(offset, src.len(), |bytes| bytes.copy_from_slice(src))
    }
}

/// As a guest's memory: from address 0 on.
impl GuestMemory for Region {
    fn read(&self, gpa: u64, dst: &mut [u8]) -> Result<(), MemoryError> {
        self.at(gpa, dst.len(), |bytes| dst.copy_from_slice(bytes))
    }

    fn write(&self, gpa: u64, src: &[u8]) -> Result<(), MemoryError> {
        self.at(gpa, src.len(), |bytes| bytes.copy_from_slice(src))
    }

    fn load_u32(&self, gpa: u64) -> Result<u32, MemoryError> {
        let mut word = [0; 4];
        GuestMemory::read(self, gpa, &mut word)?;
        Ok(u32::from_le_bytes(word))
    }

    fn store_u32(&self, gpa: u64, value: u32) -> Result<(), MemoryError> {
        GuestMemory::write(self, gpa, &value.to_le_bytes())
    }

    fn fetch_or_u32(&self, gpa: u64, bits: u32) -> Result<u32, MemoryError> {
        let old = self.load_u32(gpa)?;
        self.store_u32(gpa, old | bits)?;
        Ok(old)
    }
}
