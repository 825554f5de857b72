//! What a host can make the guest hold, and what a call costs. What happens at the bound and over it is tested where the rest of it is:
//! `case_19_more_offers_than_there_is_room_for_are_released_and_told`, `case_19_what_is_lent_at_the_same_time_has_a_bound`,
//! `the_largest_gpadl_and_one_page_more`.

use core::cell::Cell;
use std::rc::Rc;

use super::*;

#[test]
fn the_engine_is_of_a_fixed_size() {
    // As the crate's documentation says, on a 64-bit machine.
    let size = size_of::<Guest<Contiguous>>();
    assert!(size <= 37 * 1024, "{size}");
}

/// As many single pages as a GPADL takes, which count how often they are looked at.
#[derive(Debug)]
struct Counting(Rc<Cell<u32>>);

impl Counting {
    const RANGES: u16 = 4095;
}

impl Pages for Counting {
    fn range(&self, index: u16) -> Option<PageRange> {
        self.0.set(self.0.get() + 1);
        (index < Self::RANGES).then_some(PageRange {
            byte_offset: 0,
            byte_count: 4096,
        })
    }
    fn pfn(&self, range: u16, _: u32) -> u64 {
        self.0.set(self.0.get() + 1);
        range.into()
    }
}

#[test]
fn a_call_looks_at_the_memory_of_its_own_message() {
    let mut guest = Guest::<Counting, 6, 5>::new(config());
    guest.connect().unwrap();
    assert!(guest.next_message().is_some());
    assert_eq!(guest.message_posted(HvStatus::SUCCESS), Posted::Done);
    let version = tell::version(FeatureFlags::empty());
    guest.handle_message(&version.encode()).unwrap();
    assert!(guest.next_message().is_some());
    assert_eq!(guest.message_posted(HvStatus::SUCCESS), Posted::Done);
    guest.handle_message(&tell::offers(1, 1).encode()).unwrap();
    let channel = guest.channels.iter().next().unwrap().id();

    let looks = Rc::new(Cell::new(0));
    guest.lend(channel, Counting(Rc::clone(&looks))).unwrap();
    assert!(looks.take() <= 8191);
    let mut messages = 0;
    while guest.next_message().is_some() {
        assert_eq!(guest.message_posted(HvStatus::SUCCESS), Posted::Done);
        messages += 1;
        // When it is made and when it is posted, each of at most 28 values by its range and its page.
        assert!(looks.take() <= 2 * 2 * 28);
    }
    assert_eq!(messages, 1 + (8190_u32 - 27).div_ceil(28));
    let _ = guest.handle_message(&tell::created(1, GpadlId::new(1), Status::SUCCESS).encode());
    assert!(matches!(guest.poll_event(), Some(Event::Connected(_))));
    assert_eq!(looks.take(), 0);
}
