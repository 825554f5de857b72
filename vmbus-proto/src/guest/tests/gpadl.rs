//! Memory is lent and comes back.

use super::*;
use crate::ringbuf::gpa::GpaRanges;

/// Memory in ranges that are not of whole pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pieces(&'static [(PageRange, u64)]);

impl Pages for Pieces {
    fn range(&self, index: u16) -> Option<PageRange> {
        self.0.get(usize::from(index)).map(|(range, _)| *range)
    }

    fn pfn(&self, range: u16, page: u32) -> u64 {
        self.0[usize::from(range)].1 + u64::from(page)
    }
}

/// A guest whose memory is in pieces, with one channel.
fn guest_of_pieces() -> (Guest<Pieces, 2, 2>, ChannelId) {
    let mut guest: Guest<Pieces, 2, 2> = Guest::new(config());
    guest.connect().unwrap();
    let post = |guest: &mut Guest<Pieces, 2, 2>| {
        assert!(guest.next_message().is_some());
        guest.message_posted(HvStatus::SUCCESS)
    };
    assert_eq!(post(&mut guest), Posted::Done);
    guest
        .handle_message(&tell::version(FeatureFlags::empty()).encode())
        .unwrap();
    assert_eq!(post(&mut guest), Posted::Done);
    guest.handle_message(&tell::offers(1, 1).encode()).unwrap();
    loop {
        match guest.poll_event() {
            Some(Event::Offered(offer)) => return (guest, offer.channel),
            Some(_) => (),
            None => panic!("no offer"),
        }
    }
}

/// The ranges that the messages of a GPADL tell, with the number of values in each message.
fn told(messages: &[Outbound]) -> (u16, u16, Vec<u64>, Vec<usize>) {
    let (mut values, mut lens) = (Vec::new(), Vec::new());
    let mut head = None;
    for message in messages {
        let list = match GuestMessage::decode(&message.payload).unwrap() {
            GuestMessage::GpadlHeader(header) => {
                assert_eq!(head, None);
                head = Some((
                    header.request.range_bytes.get(),
                    header.request.range_count.get(),
                    header.request.gpadl,
                ));
                header.values
            }
            GuestMessage::GpadlBody(body) => {
                assert_eq!(head.map(|(.., gpadl)| gpadl), Some(body.more.gpadl));
                body.values
            }
            other => panic!("{other}"),
        };
        lens.push(list.len());
        values.extend(list.iter().map(|value| value.get()));
    }
    let (bytes, count, _) = head.unwrap();
    (bytes, count, values, lens)
}

#[test]
fn a_gpadl_goes_in_as_many_messages_as_it_needs() {
    for (pages, expected) in [
        (1, &[2][..]),
        (26, &[27]),
        (27, &[27, 1]),
        (54, &[27, 28]),
        (55, &[27, 28, 1]),
    ] {
        let (mut guest, channel) = guest_with_channel();
        guest.lend(channel, memory(0x100, pages)).unwrap();
        let (bytes, count, values, lens) = told(&guest.said());
        assert_eq!(lens, expected);
        assert_eq!((u32::from(bytes), count), ((pages + 1) * 8, 1));
        assert_eq!(values[0], u64::from(pages) * 4096);
        assert!(values[1..].iter().copied().eq((0x100..).take(pages as usize)));
    }
}

#[test]
fn the_largest_gpadl_and_one_page_more() {
    let (mut guest, channel) = guest_with_channel();
    guest.lend(channel, memory(0x100, 8190)).unwrap();
    let (bytes, _, values, _) = told(&guest.said());
    assert_eq!((bytes, values.len()), (8191 * 8, 8191));
    let rejected = guest.lend(channel, memory(0x100, 8191)).unwrap_err();
    assert_eq!(
        rejected.error,
        CallError::Memory(MemoryError::TooLong { values: 8192 })
    );
    assert_eq!(rejected.memory, memory(0x100, 8191));
}

#[test]
fn several_ranges_with_offsets_are_told_as_a_host_reads_them() {
    static PIECES: &[(PageRange, u64)] = &[
        (
            PageRange {
                byte_offset: 4000,
                byte_count: 200,
            },
            0x10,
        ),
        (
            PageRange {
                byte_offset: 1,
                byte_count: 40 * 4096,
            },
            0x20,
        ),
        (
            PageRange {
                byte_offset: 0,
                byte_count: 4096,
            },
            0x99,
        ),
    ];
    let (mut guest, channel) = guest_of_pieces();
    guest.lend(channel, Pieces(PIECES)).unwrap();
    let mut said = Vec::new();
    while let Some(outbound) = guest.next_message() {
        said.push(outbound);
        assert_eq!(guest.message_posted(HvStatus::SUCCESS), Posted::Done);
    }
    let (bytes, count, values, lens) = told(&said);
    assert_eq!((bytes, count, lens), (8 * (3 + 2 + 41 + 1), 3, std::vec![27, 20]));
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let ranges = GpaRanges::parse(3, &bytes).unwrap();
    for (range, (expected, first)) in ranges.zip(PIECES) {
        assert_eq!(range.byte_offset(), expected.byte_offset);
        assert_eq!(range.byte_count(), expected.byte_count);
        assert!(
            range
                .pfns()
                .iter()
                .map(|pfn| pfn.get())
                .eq((*first..).take(range.pfns().len()))
        );
    }
    // They are no memory for rings.
    let rejected = guest.open(channel, Pieces(PIECES), params()).unwrap_err();
    assert!(matches!(
        rejected.error,
        CallError::Memory(MemoryError::RingLayout { pages: None, .. })
    ));
}

#[test]
fn memory_that_is_none_is_not_lent() {
    let (mut guest, channel) = guest_of_pieces();
    static FAR: &[(PageRange, u64)] = &[(
        PageRange {
            byte_offset: 4096,
            byte_count: 1,
        },
        0,
    )];
    static EMPTY: &[(PageRange, u64)] = &[(
        PageRange {
            byte_offset: 0,
            byte_count: 0,
        },
        0,
    )];
    static HUGE: &[(PageRange, u64)] = &[(
        PageRange {
            byte_offset: 4095,
            byte_count: u32::MAX,
        },
        0,
    )];
    for (pieces, error) in [
        (&[][..], MemoryError::Nothing),
        (
            FAR,
            MemoryError::Range {
                byte_offset: 4096,
                byte_count: 1,
            },
        ),
        (
            EMPTY,
            MemoryError::Range {
                byte_offset: 0,
                byte_count: 0,
            },
        ),
        (
            HUGE,
            MemoryError::Range {
                byte_offset: 4095,
                byte_count: u32::MAX,
            },
        ),
    ] {
        let rejected = guest.lend(channel, Pieces(pieces)).unwrap_err();
        assert_eq!(rejected.error, CallError::Memory(error));
    }
    assert_eq!(guest.next_message(), None);
}

/// Memory that tells something else each time.
#[derive(Clone, Debug, Default)]
struct Fickle(core::cell::Cell<u32>);

impl Pages for Fickle {
    fn range(&self, index: u16) -> Option<PageRange> {
        let count = self.0.get();
        self.0.set(count + 1);
        (count < 2 && index == 0).then_some(PageRange {
            byte_offset: 0,
            byte_count: 100 * 4096,
        })
    }

    fn pfn(&self, range: u16, page: u32) -> u64 {
        u64::from(range) + u64::from(page)
    }
}

#[test]
fn memory_that_changes_its_mind_ends_all_the_same() {
    let fickle = Fickle::default();
    let shape = super::super::pages::Shape::of(&fickle).unwrap();
    assert_eq!(shape.values, 101);
    let mut cursor = super::super::pages::Cursor::default();
    for _ in 0..101 {
        cursor = cursor.next(&fickle).1;
    }
    assert_ne!(cursor, super::super::pages::Cursor::default());
}

#[test]
fn case_12_a_gpadl_that_is_refused_is_told_with_its_status() {
    let (mut guest, channel) = guest_with_channel();
    let status = Status::INSUFFICIENT_RESOURCES;
    let all = memory(0x100, 100);
    // After all of it, and in the middle: the rest is not sent then.
    for sent in [4, 2] {
        let gpadl = guest.lend(channel, all).unwrap();
        for _ in 0..sent {
            assert!(guest.say().is_some());
        }
        guest.hear(&tell::created(1, gpadl, status)).unwrap();
        assert_eq!(
            guest.events(),
            [returned(channel, gpadl, all, ReturnReason::Refused(status))]
        );
        assert_eq!(guest.says(), [""; 0]);
        assert_eq!(guest.gpadl(gpadl), None);
    }
}

#[test]
fn a_teardown_in_every_state() {
    let (mut guest, channel) = guest_with_channel();
    let all = memory(0x100, 100);
    let back = |gpadl, reason| returned(channel, gpadl, all, reason);
    // Before anything of it is sent.
    let gpadl = guest.lend(channel, all).unwrap();
    guest.teardown(gpadl).unwrap();
    assert_eq!(guest.says(), [""; 0]);
    assert_eq!(guest.events(), [back(gpadl, ReturnReason::NeverLent)]);
    // Half sent, wholly sent: it is lent, and then torn down.
    for sent in [1, 4] {
        let gpadl = guest.lend(channel, all).unwrap();
        for _ in 0..sent {
            assert!(guest.say().is_some());
        }
        guest.teardown(gpadl).unwrap();
        assert_eq!(guest.teardown(gpadl), Err(CallError::UnknownGpadl { gpadl }));
        assert_eq!(guest.said().len(), 4 - sent);
        guest.hear(&tell::created(1, gpadl, Status::SUCCESS)).unwrap();
        assert_eq!(guest.events(), []);
        let said = guest.says();
        assert_eq!(said, [teardown(gpadl)]);
        guest.hear(&tell::torndown(gpadl)).unwrap();
        assert_eq!(guest.events(), [back(gpadl, ReturnReason::TornDown)]);
    }
    // There, and the embedder was not told: it is not told any more.
    let gpadl = guest.lend(channel, all).unwrap();
    guest.said();
    guest.hear(&tell::created(1, gpadl, Status::SUCCESS)).unwrap();
    guest.teardown(gpadl).unwrap();
    assert_eq!(guest.events(), []);
    assert_eq!(guest.gpadl(gpadl), Some(&all));
    assert_eq!(guest.said().len(), 1);
    // That of rings is closed, not torn down.
    let ring = open(&mut guest, channel, 1);
    assert_eq!(guest.teardown(ring), Err(CallError::UnknownGpadl { gpadl: ring }));
}

#[test]
fn memory_of_a_device_outlives_the_close_of_its_channel() {
    let (mut guest, channel) = guest_with_channel();
    let ring = open(&mut guest, channel, 1);
    let buffer = lent(&mut guest, channel, memory(0x800, 30));
    guest.close(channel).unwrap();
    assert_eq!(guest.said().len(), 2);
    guest.hear(&tell::torndown(ring)).unwrap();
    assert_eq!(guest.events().len(), 1);
    // netvsc from 4.0 on: after the close.
    guest.teardown(buffer).unwrap();
    assert_eq!(guest.said().len(), 1);
    guest.hear(&tell::torndown(buffer)).unwrap();
    let reason = ReturnReason::TornDown;
    assert_eq!(
        guest.events(),
        [returned(channel, buffer, memory(0x800, 30), reason)]
    );
}

#[test]
fn case_19_what_is_lent_at_the_same_time_has_a_bound() {
    let (mut guest, channel) = guest_with_channel();
    let gpadls: Vec<_> = (0..5)
        .map(|number| guest.lend(channel, memory(number, 1)).unwrap())
        .collect();
    let rejected = guest.lend(channel, memory(9, 1)).unwrap_err();
    assert_eq!(
        (rejected.memory, rejected.error),
        (memory(9, 1), CallError::Gpadls { capacity: 5 })
    );
    assert_eq!(
        guest.open(channel, RINGS, params()).unwrap_err().error,
        CallError::Gpadls { capacity: 5 }
    );
    guest.teardown(gpadls[3]).unwrap();
    assert_eq!(guest.events().len(), 1);
    let again = guest.lend(channel, memory(9, 1)).unwrap();
    assert!(!gpadls.contains(&again), "an id of before");
}

#[test]
fn memory_that_is_lent_is_not_dropped_with_the_engine() {
    use std::rc::Rc;

    #[derive(Debug)]
    struct Counted(#[allow(dead_code, reason = "only its count matters")] Rc<()>);

    impl Pages for Counted {
        fn range(&self, index: u16) -> Option<PageRange> {
            RINGS.range(index)
        }

        fn pfn(&self, range: u16, page: u32) -> u64 {
            RINGS.pfn(range, page)
        }
    }

    let count = Rc::new(());
    let mut table: super::super::gpadl::GpadlTable<Counted, 1> = super::super::gpadl::GpadlTable::new();
    let shape = super::super::pages::Shape::of(&RINGS).unwrap();
    let id = ChannelId {
        relid: RelId::new(1),
        serial: 1,
    };
    table.add(id, false, Counted(Rc::clone(&count)), shape).unwrap();
    drop(table);
    assert_eq!(Rc::strong_count(&count), 2);
}

#[test]
fn the_messages_of_a_gpadl_go_one_after_the_other() {
    let (mut guest, channel) = guest_with_channel();
    let ready = lent(&mut guest, channel, memory(0x900, 1));
    guest.lend(channel, memory(0x300, 60)).unwrap();
    assert!(guest.say().is_some());
    // What would come first otherwise.
    guest.teardown(ready).unwrap();
    guest.open(channel, RINGS, params()).unwrap();
    let said = guest.says();
    let starts: Vec<_> = said.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(
        starts,
        ["GPADL_BODY", "GPADL_BODY", "GPADL_TEARDOWN", "GPADL_HEADER"]
    );
}
