//! GPADLs: whole, half, too many, ill-formed.

use std::vec;
use std::vec::Vec;

use super::*;
use crate::wire::MessageType;
use vmbus_ringbuf::RangeFault;

const OTHER: GpadlId = GpadlId::new(0xe1e12);

/// A host with an offered channel, connected.
fn with_channel(storage: &mut [u64]) -> (SmallHost<'_>, ChannelId, RelId) {
    let mut host = small_host(storage);
    let channel = host.offer(device(1)).unwrap();
    host.connect(Version::IRON);
    (host, channel, channel.relid())
}

#[test]
fn a_gpadl_takes_as_many_messages_as_it_needs() {
    for pages in [1, 26, 27, 54, 55, 4096, 8190] {
        let mut storage = vec![0; 8191];
        let (mut host, channel, relid) = with_channel(&mut storage);
        assert_eq!(host.lend(relid, GPADL, pages), Status::SUCCESS, "{pages}");
        let view = host.gpadl(channel, GPADL).unwrap();
        assert_eq!(view.total_bytes(), u64::from(pages) * 4096);
        let segments: Vec<(u64, usize)> = view.ranges().segments().collect();
        assert_eq!(segments, [(0x100_0000, pages as usize * 4096)]);
    }
}

#[test]
fn several_ranges_with_offsets() {
    let mut storage = vec![0; 16];
    let (mut host, channel, relid) = with_channel(&mut storage);
    let values = [100 << 32 | 50, 7, 4000 << 32 | 4192, 9, 8, 3].map(U64::new);
    host.hear(&say::header(relid, GPADL, 48, 2, &values)).unwrap();
    assert_eq!(host.said(), [created(relid, GPADL, Status::SUCCESS)]);
    let segments: Vec<(u64, usize)> = host.gpadl(channel, GPADL).unwrap().ranges().segments().collect();
    assert_eq!(segments, [(0x7064, 50), (0x9fa0, 96), (0x8000, 4096)]);
}

#[test]
fn case_04_a_body_after_the_gpadl_is_full() {
    let mut storage = vec![0; 64];
    let (mut host, _, relid) = with_channel(&mut storage);
    let values = say::range(1, 40);
    host.hear(&say::header(relid, GPADL, 41 * 8, 1, &values[..27]))
        .unwrap();
    // 14 are missing.
    let breach = Breach::GpadlOverflow {
        gpadl: GPADL,
        values: 15,
        missing: 14,
    };
    assert_eq!(host.hear(&say::body(GPADL, &values[..15])), Err(breach.into()));
    assert_eq!(host.said(), [created(relid, GPADL, Status::INVALID_PARAMETER)]);
    // Whole, and then more.
    assert_eq!(host.lend(relid, OTHER, 40), Status::SUCCESS);
    let breach = Breach::UnknownGpadl {
        message_type: MessageType::GPADL_BODY,
        gpadl: OTHER,
    };
    assert_eq!(host.hear(&say::body(OTHER, &values[..1])), Err(breach.into()));
    assert_eq!(host.said(), []);
}

#[test]
fn case_04_a_range_that_is_not_in_the_message() {
    let mut storage = vec![0; 64];
    let (mut host, _, relid) = with_channel(&mut storage);
    let huge = [U64::new(0xffff_f000), U64::new(1)];
    let good = [U64::new(4096), U64::new(1)];
    let more = [U64::new(4096), U64::new(1), U64::new(2)];
    let sizes = |range_bytes, range_count, values| Breach::GpadlSizes {
        gpadl: GPADL,
        range_bytes,
        range_count,
        values,
    };
    let ranges = |fault| Breach::GpadlRanges { gpadl: GPADL, fault };
    let cases: [(u16, u16, &[U64], Breach); 12] = [
        (0, 1, &huge[..1], sizes(0, 1, 1)),
        (0, 1, &[], sizes(0, 1, 0)),
        (0, 0, &[], sizes(0, 0, 0)),
        (16, 0, &huge, sizes(16, 0, 2)),
        (12, 1, &huge[..1], sizes(12, 1, 1)),
        (8, 1, &huge[..1], sizes(8, 1, 1)),
        (16, 2, &huge, sizes(16, 2, 2)),
        (16, 0xffff, &huge, sizes(16, 0xffff, 2)),
        (8, 1, &huge, sizes(8, 1, 2)),
        // A well-formed range, and half a value or a value more.
        (20, 1, &good, sizes(20, 1, 2)),
        (16, 1, &more, sizes(16, 1, 3)),
        (
            16,
            1,
            &huge,
            ranges(RangeFault::Pfns {
                range: 0,
                needed: 0xfffff,
                present: 1,
            }),
        ),
    ];
    for (range_bytes, range_count, values, breach) in cases {
        let result = host.hear(&say::header(relid, GPADL, range_bytes, range_count, values));
        assert_eq!(result, Err(breach.into()));
        assert_eq!(host.said(), [created(relid, GPADL, Status::INVALID_PARAMETER)]);
    }
    assert_eq!(host.lend(relid, GPADL, 63), Status::SUCCESS);
}

#[test]
fn case_04_half_sent_torn_down_and_used_again() {
    let mut storage = vec![0; 64];
    let (mut host, channel, relid) = with_channel(&mut storage);
    let values = say::range(1, 40);
    for _ in 0..100 {
        host.hear(&say::header(relid, GPADL, 41 * 8, 1, &values[..27]))
            .unwrap();
        assert!(host.gpadl(channel, GPADL).is_none());
        host.hear(&say::teardown(relid, GPADL)).unwrap();
        assert_eq!(host.said(), [torndown(GPADL)]);
    }
    // The same id while it is half sent: neither is taken, and what still comes of either goes nowhere.
    host.hear(&say::header(relid, GPADL, 41 * 8, 1, &values[..27]))
        .unwrap();
    let breach = Breach::DuplicateGpadl { gpadl: GPADL };
    assert_eq!(
        host.hear(&say::header(relid, GPADL, 41 * 8, 1, &values[..27])),
        Err(breach.into())
    );
    assert_eq!(host.said(), [created(relid, GPADL, Status::INVALID_PARAMETER)]);
    host.hear(&say::body(GPADL, &values[27..])).unwrap();
    assert_eq!(host.said(), []);
    assert_eq!(host.lend(relid, GPADL, 63), Status::SUCCESS);
}

#[test]
fn an_id_in_use_is_refused_and_keeps_its_memory() {
    let mut storage = vec![0; 64];
    let (mut host, channel, relid) = with_channel(&mut storage);
    host.lend(relid, GPADL, 3);
    assert_eq!(host.lend(relid, GPADL, 5), Status::INVALID_PARAMETER);
    assert_eq!(host.gpadl(channel, GPADL).unwrap().total_bytes(), 3 * 4096);
}

#[test]
fn case_12_a_gpadl_for_no_channel_is_refused_with_a_status() {
    let mut storage = vec![0; 64];
    let (mut host, ..) = with_channel(&mut storage);
    assert_eq!(host.lend(RelId::new(99), GPADL, 40), Status::UNSUCCESSFUL);
    assert_eq!(host.lend(RelId::new(0), GPADL, 1), Status::UNSUCCESSFUL);
}

#[test]
fn case_19_more_gpadls_than_there_is_room_for() {
    let mut storage = vec![0; 20];
    let (mut host, _, relid) = with_channel(&mut storage);
    // Storage: 20 values are 19 pages.
    assert_eq!(host.lend(relid, GPADL, 20), Status::INSUFFICIENT_RESOURCES);
    assert_eq!(host.lend(relid, GPADL, 8190), Status::INSUFFICIENT_RESOURCES);
    assert_eq!(host.lend(relid, GPADL, 19), Status::SUCCESS);
    assert_eq!(host.lend(relid, OTHER, 1), Status::INSUFFICIENT_RESOURCES);
    host.hear(&say::teardown(relid, GPADL)).unwrap();
    assert_eq!(host.said(), [torndown(GPADL)]);
    // Entries: 5, of which half sent ones count.
    for id in 0..5 {
        let values = say::range(1, 2);
        host.hear(&say::header(relid, GpadlId::new(id), 24, 1, &values[..2]))
            .unwrap();
        assert_eq!(host.said(), []);
    }
    assert_eq!(host.lend(relid, OTHER, 1), Status::INSUFFICIENT_RESOURCES);
    let capacity = Capacity::Gpadls { capacity: 5 };
    assert_eq!(
        host.hear(&say::header(relid, OTHER, 16, 1, &say::range(1, 1))),
        Err(capacity.into())
    );
    host.said();
    host.hear(&say::teardown(relid, GpadlId::new(3))).unwrap();
    host.said();
    assert_eq!(host.lend(relid, OTHER, 1), Status::SUCCESS);
}

#[test]
fn free_room_in_pieces_is_room() {
    let mut storage = vec![0; 20];
    let (mut host, channel, relid) = with_channel(&mut storage);
    let id = GpadlId::new;
    for number in 0..5 {
        assert_eq!(host.lend(relid, id(number), 3), Status::SUCCESS);
    }
    for number in [1, 3] {
        host.hear(&say::teardown(relid, id(number))).unwrap();
    }
    host.said();
    // 8 values are free, 4 and 4.
    assert_eq!(host.lend(relid, id(9), 7), Status::SUCCESS);
    for (number, pages) in [(0, 3), (2, 3), (4, 3), (9, 7)] {
        let view = host.gpadl(channel, id(number)).unwrap();
        assert_eq!(
            view.ranges().segments().collect::<Vec<_>>(),
            [(0x100_0000, pages * 4096)],
            "{number}"
        );
    }
}

#[test]
fn a_half_sent_gpadl_survives_being_moved() {
    let mut storage = vec![0; 12];
    let (mut host, channel, relid) = with_channel(&mut storage);
    let id = GpadlId::new;
    let values = say::range(5, 3);
    assert_eq!(host.lend(relid, id(0), 3), Status::SUCCESS);
    host.hear(&say::header(relid, id(1), 32, 1, &values[..2]))
        .unwrap();
    host.hear(&say::teardown(relid, id(0))).unwrap();
    host.said();
    assert_eq!(host.lend(relid, id(2), 7), Status::SUCCESS);
    host.hear(&say::body(id(1), &values[2..])).unwrap();
    assert_eq!(host.said(), [created(relid, id(1), Status::SUCCESS)]);
    let segments: Vec<_> = host.gpadl(channel, id(1)).unwrap().ranges().segments().collect();
    assert_eq!(segments, [(5 * 4096, 3 * 4096)]);
}

#[test]
fn memory_in_use_is_given_back_when_the_device_lets_go() {
    let mut storage = vec![0; 64];
    let (mut host, channel, relid) = with_channel(&mut storage);
    host.lend(relid, GPADL, 3);
    let first = host.use_gpadl(channel, GPADL).unwrap();
    let second = host.use_gpadl(channel, GPADL).unwrap();
    host.hear(&say::teardown(relid, GPADL)).unwrap();
    assert_eq!(
        host.events(),
        [Event::GpadlTeardown {
            channel,
            gpadl: GPADL
        }]
    );
    assert_eq!(host.said(), []);
    assert!(host.gpadl(channel, GPADL).is_none());
    assert!(host.use_gpadl(channel, GPADL).is_none());
    let breach = Breach::GpadlState {
        message_type: MessageType::GPADL_TEARDOWN,
        gpadl: GPADL,
    };
    assert_eq!(host.hear(&say::teardown(relid, GPADL)), Err(breach.into()));
    host.release_gpadl(first).unwrap();
    assert_eq!(host.said(), []);
    host.release_gpadl(second).unwrap();
    assert_eq!(host.said(), [torndown(GPADL)]);
    host.no_event();
}

#[test]
fn memory_out_of_use_is_given_back_at_once() {
    let mut storage = vec![0; 64];
    let (mut host, channel, relid) = with_channel(&mut storage);
    host.lend(relid, GPADL, 3);
    let ticket = host.use_gpadl(channel, GPADL).unwrap();
    host.release_gpadl(ticket).unwrap();
    host.hear(&say::teardown(relid, GPADL)).unwrap();
    assert_eq!(host.said(), [torndown(GPADL)]);
    host.no_event();
}

#[test]
fn a_teardown_of_nothing_is_answered_but_not_for_another_channel() {
    let mut storage = vec![0; 64];
    let (mut host, _, relid) = with_channel(&mut storage);
    let unknown = |gpadl| Breach::UnknownGpadl {
        message_type: MessageType::GPADL_TEARDOWN,
        gpadl,
    };
    assert_eq!(
        host.hear(&say::teardown(relid, GPADL)),
        Err(unknown(GPADL).into())
    );
    assert_eq!(host.said(), [torndown(GPADL)]);
    host.lend(relid, GPADL, 1);
    // It would say that memory is free which is not.
    assert_eq!(
        host.hear(&say::teardown(RelId::new(99), GPADL)),
        Err(unknown(GPADL).into())
    );
    assert_eq!(host.said(), []);
}

/// A success before the host has seen all of it is none that a guest can believe: ours dropped it, and waited for another one.
#[test]
fn what_is_taken_for_a_rescinded_channel_without_room_is_answered_when_it_is_whole() {
    let mut storage = vec![0; 16];
    let (mut host, channel, relid) = with_channel(&mut storage);
    host.rescind(channel).unwrap();
    let values = say::range(1, 59);
    let header = say::header(relid, GPADL, 480, 1, &values[..20]);
    let capacity = |needed| {
        let (free, capacity) = (16, 16);
        Err(HandleError::from(Capacity::Pfns {
            needed,
            free,
            capacity,
        }))
    };
    assert_eq!(host.hear(&header), capacity(60));
    assert_eq!(host.said(), [rescind(relid)]);
    host.hear(&say::body(GPADL, &values[20..40])).unwrap();
    assert_eq!(host.said(), []);
    host.hear(&say::body(GPADL, &values[40..])).unwrap();
    assert_eq!(host.said(), [created(relid, GPADL, Status::SUCCESS)]);
    // One that does not go on is answered before the next.
    assert_eq!(host.hear(&header), capacity(60));
    let other = say::header(relid, OTHER, 160, 1, &values[..20]);
    assert_eq!(host.hear(&other), capacity(20));
    assert_eq!(
        host.said(),
        [GPADL, OTHER].map(|gpadl| created(relid, gpadl, Status::SUCCESS))
    );
}
