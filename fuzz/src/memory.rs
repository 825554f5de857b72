//! Memory that a peer changes between any two accesses of ours.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ptr::NonNull;
use std::rc::Rc;

use hvcall::{GuestMemory, MemoryError};
use vmbus_ringbuf::mem::{ArrayRing, ContiguousRing, PageListRing, PagePtr};
use vmbus_ringbuf::{ControlWord, RingMem};

use crate::steps;

/// A page by itself, so that the address sanitizer sees an access beyond its end.
#[derive(Debug)]
pub struct Pages {
    base: NonNull<u8>,
    layout: Layout,
}

impl Pages {
    /// As many pages in a row, of zeros.
    pub fn new(count: usize) -> Self {
        let layout = Layout::from_size_align(count * 4096, 4096).expect("a few pages");
        // SAFETY: the layout is not empty, as no caller asks for 0 pages.
        let base = unsafe { alloc_zeroed(layout) };
        Self {
            base: NonNull::new(base).unwrap_or_else(|| handle_alloc_error(layout)),
            layout,
        }
    }

    /// Where the page with this number is.
    pub fn page(&self, index: usize) -> NonNull<u8> {
        assert!(index < self.layout.size() / 4096);
        // SAFETY: within the allocation.
        unsafe { self.base.add(index * 4096) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.base.as_ptr(), self.layout) }
    }
}

steps! {
    /// Which memory a ring is made of.
    pub enum Kind {
        /// 256 bytes of atomics: the end is near.
        Small,
        /// A control page and a contiguous data area, of a page.
        Contiguous,
        /// The same, as a list of pages that lie apart, two of them with data.
        PageList,
    }
}

/// A ring of this kind, that both ends share by reference.
pub fn ring(kind: &Kind) -> Box<dyn RingMem> {
    struct Owned<R> {
        ring: R,
        /// Freed after the ring.
        _pages: Vec<Pages>,
    }
    impl<R: RingMem> RingMem for Owned<R> {
        fn data_len(&self) -> u32 {
            self.ring.data_len()
        }
        fn load(&self, word: ControlWord) -> u32 {
            self.ring.load(word)
        }
        fn store(&self, word: ControlWord, value: u32) {
            self.ring.store(word, value);
        }
        fn fence(&self) {
            self.ring.fence();
        }
        fn store_fence(&self, word: ControlWord, value: u32) {
            self.ring.store_fence(word, value);
        }
        fn read(&self, offset: u32, dst: &mut [u8]) {
            self.ring.read(offset, dst);
        }
        fn write(&self, offset: u32, src: &[u8]) {
            self.ring.write(offset, src);
        }
        fn read_head(&self, offset: u32) -> [u64; 2] {
            self.ring.read_head(offset)
        }
        fn write_head(&self, offset: u32, words: [u64; 2]) {
            self.ring.write_head(offset, words);
        }
        fn write_word(&self, offset: u32, value: u64) {
            self.ring.write_word(offset, value);
        }
    }

    match kind {
        Kind::Small => Box::new(ArrayRing::<32>::new()),
        Kind::Contiguous => {
            let (control, data) = (Pages::new(1), Pages::new(1));
            // SAFETY: the pages are freed after the ring, and nothing else accesses them.
            let ring = unsafe { ContiguousRing::new(control.page(0), data.page(0), 4096) };
            Box::new(Owned {
                ring: ring.expect("a ring of a page"),
                _pages: vec![control, data],
            })
        }
        Kind::PageList => {
            let pages: Vec<_> = (0..3).map(|_| Pages::new(1)).collect();
            let list: Vec<_> = pages.iter().map(|page| PagePtr::new(page.page(0))).collect();
            // SAFETY: as above.
            let ring = unsafe { PageListRing::new(list) };
            Box::new(Owned {
                ring: ring.expect("a ring of two pages"),
                _pages: pages,
            })
        }
    }
}

steps! {
    /// A word of the control page.
    pub enum Word {
        /// [`ControlWord::WriteIndex`]
        Write,
        /// [`ControlWord::ReadIndex`]
        Read,
        /// [`ControlWord::InterruptMask`]
        Mask,
        /// [`ControlWord::PendingSendSize`]
        Pending,
        /// [`ControlWord::FeatureBits`]
        Features,
    }
}

impl From<&Word> for ControlWord {
    fn from(word: &Word) -> Self {
        match word {
            Word::Write => Self::WriteIndex,
            Word::Read => Self::ReadIndex,
            Word::Mask => Self::InterruptMask,
            Word::Pending => Self::PendingSendSize,
            Word::Features => Self::FeatureBits,
        }
    }
}

steps! {
    /// What the peer does to shared memory.
    pub enum Tamper {
        /// Not yet.
        Nothing,
        /// Sets a control word to what could be an index.
        Index(word: Word, units: u16),
        /// Moves a control word on by so many units of 8 bytes.
        Advance(word: Word, units: u8),
        /// Sets a control word to anything.
        Word(word: Word, value: u32),
        /// Puts the start of a packet there: type, offset8, len8, flags.
        Head(unit: u16, kind: u8, offset8: u8, len8: u8, flags: u8),
        /// Puts a word there.
        Data(unit: u16, value: u64),
    }
}

impl Tamper {
    /// Does so.
    pub fn apply(&self, ring: &dyn RingMem) {
        let units = ring.data_len() / 8;
        let at = |unit: &u16| u32::from(*unit) % units * 8;
        match self {
            Self::Nothing => {}
            Self::Index(word, unit) => ring.store(word.into(), at(unit)),
            Self::Advance(word, unit) => {
                let now = ring.load(word.into());
                let to = now.wrapping_add(u32::from(*unit) * 8) % ring.data_len();
                ring.store(word.into(), to);
            }
            Self::Word(word, value) => ring.store(word.into(), *value),
            Self::Head(unit, kind, offset8, len8, flags) => {
                let word = [kind, offset8, len8, flags]
                    .into_iter()
                    .rev()
                    .fold(0u64, |word, part| word << 16 | u64::from(*part));
                ring.write_word(at(unit), word);
            }
            Self::Data(unit, value) => ring.write_word(at(unit), *value),
        }
    }
}

/// What was accessed.
#[derive(Debug, Default)]
pub struct Accesses {
    /// How many accesses there were.
    pub count: Cell<usize>,
    /// The words that were loaded.
    pub loads: RefCell<Vec<ControlWord>>,
    /// What was stored, in order.
    pub stores: RefCell<Vec<(ControlWord, u32)>>,
    /// How many bytes of data were read.
    pub bytes_read: Cell<usize>,
}

impl Accesses {
    /// Forgets what was accessed so far.
    pub fn clear(&self) {
        self.count.set(0);
        self.bytes_read.set(0);
        self.loads.borrow_mut().clear();
        self.stores.borrow_mut().clear();
    }
}

/// A ring whose peer changes it between any two accesses of ours, and that knows what was accessed.
#[derive(Clone)]
pub struct Hostile {
    /// The memory itself.
    pub ring: Rc<dyn RingMem>,
    /// What the peer does before the accesses to come.
    pub script: Rc<RefCell<VecDeque<Tamper>>>,
    /// What was accessed since this was cleared.
    pub accesses: Rc<Accesses>,
    /// The peer's own access, which nobody disturbs.
    is_peers: bool,
}

impl Hostile {
    /// A ring of this kind.
    pub fn new(kind: &Kind) -> Self {
        Self {
            ring: ring(kind).into(),
            script: Rc::default(),
            accesses: Rc::default(),
            is_peers: false,
        }
    }

    /// The same memory as the peer has it.
    pub fn peers(&self) -> Self {
        Self {
            is_peers: true,
            ..self.clone()
        }
    }

    /// The peer does this before the next access for which it has nothing to do yet.
    pub fn later(&self, tamper: Tamper) {
        self.script.borrow_mut().push_back(tamper);
    }

    fn access(&self) {
        if self.is_peers {
            return;
        }
        self.accesses.count.set(self.accesses.count.get() + 1);
        let next = self.script.borrow_mut().pop_front();
        if let Some(tamper) = next {
            tamper.apply(&*self.ring);
        }
    }

    fn check(&self, offset: u32, len: usize) {
        if self.is_peers {
            return;
        }
        let data_len = self.ring.data_len();
        assert!(
            offset < 2 * data_len && len < data_len as usize,
            "beyond the contract"
        );
    }
}

impl RingMem for Hostile {
    fn data_len(&self) -> u32 {
        self.ring.data_len()
    }

    fn load(&self, word: ControlWord) -> u32 {
        self.access();
        if !self.is_peers {
            self.accesses.loads.borrow_mut().push(word);
        }
        self.ring.load(word)
    }

    fn store(&self, word: ControlWord, value: u32) {
        self.access();
        if !self.is_peers {
            self.accesses.stores.borrow_mut().push((word, value));
        }
        self.ring.store(word, value);
    }

    fn fence(&self) {
        self.access();
        self.ring.fence();
    }

    fn read(&self, offset: u32, dst: &mut [u8]) {
        self.access();
        self.check(offset, dst.len());
        self.accesses
            .bytes_read
            .set(self.accesses.bytes_read.get() + dst.len());
        self.ring.read(offset, dst);
    }

    fn write(&self, offset: u32, src: &[u8]) {
        self.access();
        self.check(offset, src.len());
        self.ring.write(offset, src);
    }

    fn read_head(&self, offset: u32) -> [u64; 2] {
        self.access();
        self.check(offset, 16);
        self.accesses.bytes_read.set(self.accesses.bytes_read.get() + 16);
        self.ring.read_head(offset)
    }

    fn write_head(&self, offset: u32, words: [u64; 2]) {
        self.access();
        self.check(offset, 16);
        self.ring.write_head(offset, words);
    }

    fn write_word(&self, offset: u32, value: u64) {
        self.access();
        self.check(offset, 8);
        self.ring.write_word(offset, value);
    }
}

steps! {
    /// What a guest writes into its own memory.
    pub struct Poke {
        pub at: u16,
        pub value: u32,
    }
}

/// A guest's memory, from an address on, which the guest changes between any two accesses of ours.
#[derive(Debug)]
pub struct Ram {
    base: u64,
    bytes: RefCell<Vec<u8>>,
    script: RefCell<VecDeque<Poke>>,
    /// Accesses since this was cleared.
    pub accesses: Cell<usize>,
}

impl Ram {
    /// So many bytes of zeros.
    pub fn new(base: u64, len: usize) -> Self {
        Self {
            base,
            bytes: RefCell::new(vec![0; len]),
            script: RefCell::default(),
            accesses: Cell::new(0),
        }
    }

    /// The guest writes this now.
    pub fn poke(&self, poke: &Poke) {
        self.put(usize::from(poke.at), &poke.value.to_le_bytes());
    }

    /// The guest writes this before the next access for which it has nothing to do yet.
    pub fn later(&self, poke: Poke) {
        self.script.borrow_mut().push_back(poke);
    }

    /// The guest changes nothing any more.
    pub fn calm(&self) {
        self.script.borrow_mut().clear();
    }

    /// The guest writes these bytes, so many bytes from the begin on and as far as there is memory.
    pub fn put(&self, at: usize, src: &[u8]) {
        let mut bytes = self.bytes.borrow_mut();
        let len = bytes.len();
        for (at, byte) in (at..).zip(src) {
            bytes[at % len] = *byte;
        }
    }

    /// What stands there.
    pub fn bytes(&self, at: usize, len: usize) -> Vec<u8> {
        self.bytes.borrow()[at..at + len].to_vec()
    }

    fn access<T>(&self, gpa: u64, len: usize, act: impl FnOnce(&mut [u8]) -> T) -> Result<T, MemoryError> {
        self.accesses.set(self.accesses.get() + 1);
        let next = self.script.borrow_mut().pop_front();
        if let Some(poke) = next {
            self.poke(&poke);
        }
        let failed = MemoryError { gpa, len };
        let at = gpa.checked_sub(self.base).and_then(|at| usize::try_from(at).ok());
        let at = at.ok_or(failed)?;
        let end = at.checked_add(len).ok_or(failed)?;
        self.bytes.borrow_mut().get_mut(at..end).map(act).ok_or(failed)
    }

    fn word<T>(&self, gpa: u64, act: impl FnOnce(&mut [u8; 4]) -> T) -> Result<T, MemoryError> {
        let failed = MemoryError { gpa, len: 4 };
        if !gpa.is_multiple_of(4) {
            return Err(failed);
        }
        self.access(gpa, 4, |bytes| bytes.first_chunk_mut().map(act))?
            .ok_or(failed)
    }
}

impl GuestMemory for Ram {
    fn read(&self, gpa: u64, dst: &mut [u8]) -> Result<(), MemoryError> {
        self.access(gpa, dst.len(), |bytes| dst.copy_from_slice(bytes))
    }

    fn write(&self, gpa: u64, src: &[u8]) -> Result<(), MemoryError> {
        self.access(gpa, src.len(), |bytes| bytes.copy_from_slice(src))
    }

    fn load_u32(&self, gpa: u64) -> Result<u32, MemoryError> {
        self.word(gpa, |word| u32::from_le_bytes(*word))
    }

    fn store_u32(&self, gpa: u64, value: u32) -> Result<(), MemoryError> {
        self.word(gpa, |word| *word = value.to_le_bytes())
    }

    fn fetch_or_u32(&self, gpa: u64, bits: u32) -> Result<u32, MemoryError> {
        self.word(gpa, |word| {
            let old = u32::from_le_bytes(*word);
            *word = (old | bits).to_le_bytes();
            old
        })
    }
}
