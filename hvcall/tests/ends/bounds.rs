//! What a call of the host's or of the guest's does at most, whatever the other one says. That reading the time, posting and rep calls end
//! is tested with the rest of them: `a_page_that_changes_while_it_is_read_is_read_anew`, `a_rep_call_is_continued_to_its_end`.

use std::cell::Cell;

use crate::support::FakeMemory;
use crate::support::guest::page;
use hvcall::guest::{EventPage, MessagePage, Synic, TscPage};
use hvcall::host::synic::{Delivery, post_message, set_event_flag};
use hvcall::host::{CallRegisters, Request, XMM_REGISTERS, decode};
use hvcall::synic::MessageType;
use hvcall::{GuestMemory, MemoryError, Message, Sint};
use proptest::prelude::*;

const BASE: u64 = 0x10_0000;

/// Memory that counts what is done with it.
struct Counting {
    memory: FakeMemory,
    accesses: Cell<usize>,
    bytes: Cell<usize>,
}

impl Counting {
    fn new(pages: usize) -> Self {
        Self {
            memory: FakeMemory::new(BASE, pages),
            accesses: Cell::new(0),
            bytes: Cell::new(0),
        }
    }

    fn count(&self, bytes: usize) {
        self.accesses.set(self.accesses.get() + 1);
        self.bytes.set(self.bytes.get() + bytes);
    }
}

impl GuestMemory for Counting {
    fn read(&self, gpa: u64, dst: &mut [u8]) -> Result<(), MemoryError> {
        self.count(dst.len());
        self.memory.read(gpa, dst)
    }
    fn write(&self, gpa: u64, src: &[u8]) -> Result<(), MemoryError> {
        self.count(src.len());
        self.memory.write(gpa, src)
    }
    fn load_u32(&self, gpa: u64) -> Result<u32, MemoryError> {
        self.count(4);
        self.memory.load_u32(gpa)
    }
    fn store_u32(&self, gpa: u64, value: u32) -> Result<(), MemoryError> {
        self.count(4);
        self.memory.store_u32(gpa, value)
    }
    fn fetch_or_u32(&self, gpa: u64, bits: u32) -> Result<u32, MemoryError> {
        self.count(4);
        self.memory.fetch_or_u32(gpa, bits)
    }
}

#[test]
fn values_are_of_a_fixed_size() {
    // As the documentation says, on a 64-bit machine.
    let sizes = [size_of::<Request>(), size_of::<Synic>(), size_of::<TscPage>()];
    assert!(sizes[0] <= 264 && sizes[1] <= 72 && sizes[2] <= 24, "{sizes:?}");
}

#[test]
fn a_delivery_is_a_few_accesses() {
    let memory = Counting::new(2);
    let message = Message::new(MessageType::VMBUS, 4, &[7; 240]).unwrap();
    let sint = Sint::new(2).unwrap();
    for expected in [Delivery::Delivered, Delivery::SlotBusy] {
        memory.accesses.set(0);
        assert_eq!(post_message(&memory, BASE, sint, &message), Ok(expected));
        assert!(memory.accesses.get() <= 4);
    }
    memory.accesses.set(0);
    assert_eq!(set_event_flag(&memory, BASE + 4096, sint, 2047), Ok(true));
    assert!(set_event_flag(&memory, BASE + 4096, sint, 2048).is_err());
    assert_eq!(memory.accesses.get(), 1);
}

#[test]
fn one_look_takes_2048_flags_at_most() {
    let (guest, host) = page(0x8000);
    let events = EventPage::new(guest);
    host.put(0, &[0xff; 4096]);
    let sint = Sint::new(2).unwrap();
    assert_eq!(events.take(sint).count(), 2048);
    assert_eq!(events.take(sint).count(), 0);
    let _ = MessagePage::new(page(0x9000).0);
}

proptest! {
    #[test]
    fn decoding_any_call_copies_256_bytes_at_most(
        control: u64,
        code in 0..0x200_u64,
        input in BASE..BASE + 0x2000,
        output in BASE..BASE + 0x2000,
        xmm: Option<[u128; XMM_REGISTERS]>,
        bytes: [u8; 32],
    ) {
        let memory = Counting::new(2);
        memory.memory.put((input - BASE) & 0x1f00, &bytes);
        for control in [control, control & !0xffff | code, code] {
            for input in [input, input & !0xfff, input & !7] {
                memory.accesses.set(0);
                memory.bytes.set(0);
                let _any = decode(&CallRegisters { control, input, output, xmm }, &memory);
                prop_assert!(memory.accesses.get() <= 2 && memory.bytes.get() <= 256);
            }
        }
    }
}
