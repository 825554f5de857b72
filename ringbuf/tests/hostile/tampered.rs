//! Memory that changes between any two accesses, and what is read of it once.

use std::cell::{Cell, RefCell};

use vmbus_ringbuf::mem::ArrayRing;
use vmbus_ringbuf::{Consumer, ControlWord, PacketType, RingMem};

use crate::{LEN, WORDS, head};

/// What changes before an access.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tamper {
    Nothing,
    Word(ControlWord, u32),
    Data(u32, u64),
}

/// Memory that is tampered with before every access, and that knows what was accessed.
pub(crate) struct Tampered {
    ring: ArrayRing<WORDS>,
    script: RefCell<Vec<Tamper>>,
    pub(crate) accesses: Cell<usize>,
    pub(crate) loads: RefCell<Vec<ControlWord>>,
    pub(crate) stores: RefCell<Vec<(ControlWord, u32)>>,
    /// How often each byte of data was read.
    reads: RefCell<Vec<u32>>,
}

impl Tampered {
    pub(crate) fn new() -> Self {
        Self {
            ring: ArrayRing::new(),
            script: RefCell::default(),
            accesses: Cell::new(0),
            loads: RefCell::default(),
            stores: RefCell::default(),
            reads: RefCell::new(vec![0; LEN as usize]),
        }
    }

    fn tamper(&self) {
        let access = self.accesses.replace(self.accesses.get() + 1);
        let script = self.script.borrow();
        match script.get(access % script.len().max(1)) {
            Some(Tamper::Word(word, value)) => self.ring.store(*word, *value),
            Some(Tamper::Data(at, value)) => self.ring.write_word(*at, *value),
            Some(Tamper::Nothing) | None => {}
        }
    }

    /// Tampers by `script` from now on, and forgets what was accessed so far.
    pub(crate) fn follow(&self, script: Vec<Tamper>) {
        self.script.replace(script);
        self.accesses.set(0);
        self.loads.take();
        self.stores.take();
        self.reads.borrow_mut().fill(0);
    }
}

impl RingMem for Tampered {
    fn data_len(&self) -> u32 {
        LEN
    }
    fn load(&self, word: ControlWord) -> u32 {
        self.tamper();
        self.loads.borrow_mut().push(word);
        self.ring.load(word)
    }
    fn store(&self, word: ControlWord, value: u32) {
        self.tamper();
        self.stores.borrow_mut().push((word, value));
        self.ring.store(word, value);
    }
    fn fence(&self) {
        self.tamper();
    }
    fn read(&self, offset: u32, dst: &mut [u8]) {
        self.tamper();
        assert!(offset < 2 * LEN && dst.len() < LEN as usize);
        for at in offset..offset + dst.len() as u32 {
            self.reads.borrow_mut()[(at % LEN) as usize] += 1;
        }
        self.ring.read(offset, dst);
    }
    fn write(&self, offset: u32, src: &[u8]) {
        self.tamper();
        assert!(offset < 2 * LEN && src.len() < LEN as usize);
        self.ring.write(offset, src);
    }
}

#[test]
fn case_08_each_byte_of_the_peer_is_read_once_and_then_judged() {
    let absurd = Tamper::Data(0, head(PacketType::COMPLETION, 0, 0xffff));
    let shorter = Tamper::Data(0, head(PacketType::COMPLETION, 2, 2));
    for len8 in 2..8 {
        for (write_index, descriptor) in [(4, absurd), (0, absurd), (LEN, shorter), (u32::MAX, shorter)] {
            let mem = Tampered::new();
            let mut consumer = Consumer::new(&mem).unwrap();
            mem.ring.write_word(0, head(PacketType::IN_BAND, 2, len8));
            mem.ring.write_word(8, 0x1234);
            mem.ring.store(ControlWord::WriteIndex, u32::from(len8) * 8 + 8);
            // The write index changes once it was read, and so does the descriptor.
            let index = Tamper::Word(ControlWord::WriteIndex, write_index);
            mem.follow(vec![Tamper::Nothing, index, descriptor]);
            let mut scratch = [0; LEN as usize];
            let packet = consumer.read(&mut scratch).unwrap().unwrap();
            assert_eq!(
                (packet.kind(), packet.transaction_id()),
                (PacketType::IN_BAND, 0x1234)
            );
            assert_eq!(packet.payload().len(), usize::from(len8) * 8 - 16);
            assert_eq!(mem.loads.borrow()[..], [ControlWord::WriteIndex]);
            let read_once = |(at, &times): (usize, &u32)| times == u32::from(at < usize::from(len8) * 8);
            assert!(mem.reads.borrow().iter().enumerate().all(read_once));
            let _ = consumer.release();
            assert_eq!(
                mem.stores.borrow()[0],
                (ControlWord::ReadIndex, u32::from(len8) * 8 + 8)
            );
        }
    }
}
