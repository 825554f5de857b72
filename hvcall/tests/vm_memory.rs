//! Guest memory of rust-vmm.
#![cfg(feature = "vm-memory")]
#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use std::sync::Arc;

use hvcall::host::synic::{Delivery, post_message, set_event_flag};
use hvcall::synic::{Message, MessageType};
use hvcall::{GuestMemory, MemoryError, Sint, VmMemory};
use vm_memory::bitmap::{AtomicBitmap, Bitmap};
use vm_memory::{GuestAddress, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion};

type Memory = GuestMemoryMmap<AtomicBitmap>;

/// Two regions that touch, and one apart.
fn memory() -> Memory {
    let ranges = [(0, 0x1000), (0x1000, 0x1000), (0x4000, 0x1000)];
    Memory::from_ranges(&ranges.map(|(base, len)| (GuestAddress(base), len))).unwrap()
}

fn dirty(memory: &Memory, gpa: u64) -> bool {
    let (region, offset) = memory.to_region_addr(GuestAddress(gpa)).unwrap();
    region.bitmap().dirty_at(usize::try_from(offset.0).unwrap())
}

/// Copies and atomic accesses, on whatever kind of it.
fn exercise(memory: &impl GuestMemory) {
    memory.write(0xff8, &[1, 2, 3, 4, 5, 6, 7, 8, 9]).unwrap();
    let mut bytes = [0; 9];
    memory.read(0xff8, &mut bytes).unwrap();
    assert_eq!(bytes, [1, 2, 3, 4, 5, 6, 7, 8, 9], "across two regions");
    assert_eq!(memory.load_u32(0xff8), Ok(0x0403_0201));
    assert_eq!(memory.store_u32(0xff8, 0x8000_0001), Ok(()));
    assert_eq!(memory.fetch_or_u32(0xff8, 6), Ok(0x8000_0001));
    assert_eq!(memory.load_u32(0xff8), Ok(0x8000_0007));
}

#[test]
fn a_mapping_is_guest_memory() {
    exercise(&memory());
    exercise(&VmMemory(&memory()));
    exercise(&VmMemory(Arc::new(memory())));
}

#[test]
fn what_is_not_memory_is_an_error() {
    let memory = memory();
    for (gpa, len) in [
        (0x1ff9, 8),
        (0x2000, 1),
        (0x3fff, 2),
        (u64::MAX, 1),
        (u64::MAX - 3, 8),
        (0x5000, 1),
    ] {
        let mut bytes = vec![0; len];
        assert_eq!(
            memory.read(gpa, &mut bytes),
            Err(MemoryError { gpa, len }),
            "{gpa:#x}"
        );
        assert_eq!(
            memory.write(gpa, &bytes),
            Err(MemoryError { gpa, len }),
            "{gpa:#x}"
        );
    }
    // Not aligned; in two regions; outside.
    for gpa in [0x102, 0xffe, 0x1ffe, 0x2000, 0x3ffe, u64::MAX - 3, u64::MAX] {
        assert_eq!(memory.load_u32(gpa), Err(MemoryError { gpa, len: 4 }), "{gpa:#x}");
        assert_eq!(
            memory.store_u32(gpa, 1),
            Err(MemoryError { gpa, len: 4 }),
            "{gpa:#x}"
        );
        assert_eq!(
            memory.fetch_or_u32(gpa, 1),
            Err(MemoryError { gpa, len: 4 }),
            "{gpa:#x}"
        );
    }
}

#[test]
fn atomic_writes_are_marked_dirty() {
    let memory = memory();
    memory.load_u32(0x10).unwrap();
    assert!(!dirty(&memory, 0x10));
    memory.store_u32(0x10, 1).unwrap();
    assert!(dirty(&memory, 0x10));
    assert!(!dirty(&memory, 0x1010));
    memory.fetch_or_u32(0x1010, 1).unwrap();
    assert!(dirty(&memory, 0x1010));
}

#[test]
fn a_synic_lives_in_it() {
    let memory = memory();
    let message = Message::new(MessageType::VMBUS, 4, b"hello").unwrap();
    assert_eq!(
        post_message(&memory, 0x4000, Sint::VMBUS, &message),
        Ok(Delivery::Delivered)
    );
    assert_eq!(set_event_flag(&memory, 0x1000, Sint::VMBUS, 0), Ok(true));
    let mut payload = [0; 5];
    vm_memory::Bytes::read_slice(&memory, &mut payload, GuestAddress(0x4210)).unwrap();
    assert_eq!(&payload, b"hello", "as the other crate sees it");
}
