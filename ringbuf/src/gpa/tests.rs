//! Lists that are made up, well-formed and not.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "small numbers of the tests' own"
)]

use std::vec;
use std::vec::Vec;

use proptest::prelude::*;
use zerocopy::little_endian::U64;

use super::*;
use crate::fault::RangeFault;

/// A range as the tests make it: offset, bytes, PFNs.
type Plain = (u32, u32, Vec<u64>);

fn encode(ranges: &[Plain]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (byte_offset, byte_count, pfns) in ranges {
        bytes.extend(byte_count.to_le_bytes());
        bytes.extend(byte_offset.to_le_bytes());
        bytes.extend(pfns.iter().flat_map(|pfn| pfn.to_le_bytes()));
    }
    bytes
}

/// Well-formed, with neighbouring pages often.
fn range() -> impl Strategy<Value = Plain> {
    (
        0..4096u32,
        1..20_000u32,
        prop::collection::vec((any::<bool>(), 0..1u64 << 52), 1..8),
        0..1u64 << 50,
    )
        .prop_map(|(offset, count, jumps, first)| {
            let needed = (offset + count).div_ceil(4096) as usize;
            let mut pfn = first;
            let mut pfns = vec![];
            for page in 0..needed {
                let (jump, to) = jumps[page % jumps.len()];
                pfn = if jump { to } else { pfn + 1 };
                pfns.push(pfn);
            }
            (offset, count, pfns)
        })
}

/// Every byte's address.
fn addresses(ranges: &[Plain]) -> Vec<u64> {
    let bytes = |(offset, count, pfns): &Plain| {
        let pfns = pfns.clone();
        (*offset..offset + count).map(move |at| pfns[at as usize / 4096] * 4096 + u64::from(at) % 4096)
    };
    ranges.iter().flat_map(bytes).collect()
}

fn flatten(segments: Segments<'_>) -> Vec<u64> {
    segments.flat_map(|(gpa, len)| gpa..gpa + len as u64).collect()
}

proptest! {
    #[test]
    fn ranges_survive_and_segments_name_every_byte(
        ranges in prop::collection::vec(range(), 0..5),
        slack in prop::collection::vec(any::<u8>(), 0..30),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = encode(&ranges);
        let wire_len = bytes.len();
        bytes.extend(slack);
        let parsed = GpaRanges::parse(ranges.len() as u32, &bytes).unwrap();
        prop_assert_eq!(parsed.wire_len(), wire_len);
        prop_assert_eq!(parsed.len(), ranges.len());
        let back: Vec<Plain> = parsed
            .clone()
            .map(|range| (range.byte_offset(), range.byte_count(), range.pfns().iter().map(|pfn| pfn.get()).collect()))
            .collect();
        prop_assert_eq!(&back, &ranges);

        let addresses = addresses(&ranges);
        prop_assert_eq!(parsed.total_bytes(), addresses.len() as u64);
        prop_assert_eq!(flatten(parsed.segments()), &addresses[..]);
        // Neighbours are one run: no run goes on where the last one ended.
        let runs: Vec<_> = parsed.segments().collect();
        prop_assert!(runs.windows(2).all(|pair| pair[0].0 + pair[0].1 as u64 != pair[1].0));

        let at = cut.index(addresses.len() + 1);
        let (first, rest) = parsed.segments().split_at(at as u64);
        prop_assert_eq!((first.total_bytes(), rest.total_bytes()), (at as u64, (addresses.len() - at) as u64));
        prop_assert_eq!(flatten(first), &addresses[..at]);
        prop_assert_eq!(flatten(rest), &addresses[at..]);
    }

    #[test]
    fn a_sent_range_takes_what_it_says(plain in range()) {
        let (offset, count, pfns) = plain;
        let pfns: Vec<U64> = pfns.into_iter().map(U64::new).collect();
        let range = GpaRange::new(offset, count, &pfns).unwrap();
        prop_assert_eq!(range.wire_len(), 8 + 8 * pfns.len());
        let short = GpaRange::new(offset, count, &pfns[1..]);
        prop_assert_eq!(
            short,
            Err(RangeFault::Pfns { range: 0, needed: pfns.len() as u32, present: pfns.len() - 1 })
        );
    }

    #[test]
    fn any_bytes_are_ranges_or_a_fault(count in any::<u32>(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for count in [count, count % 8] {
            if let Ok(ranges) = GpaRanges::parse(count, &bytes) {
                prop_assert_eq!(ranges.len(), count as usize);
                let total = ranges.total_bytes();
                prop_assert_eq!(ranges.segments().map(|(_, len)| len as u64).sum::<u64>(), total);
            }
        }
    }
}

#[test]
fn ill_formed_ranges_are_told_by_their_values() {
    let fault = |ranges: &[Plain]| GpaRanges::parse(ranges.len() as u32, &encode(ranges)).unwrap_err();
    let good = (0, 4096, vec![1]);
    assert_eq!(
        fault(&[good.clone(), (4096, 1, vec![1])]),
        RangeFault::ByteOffset {
            range: 1,
            byte_offset: 4096
        }
    );
    assert_eq!(fault(&[(0, 0, vec![1])]), RangeFault::Empty { range: 0 });
    assert_eq!(
        fault(&[(1, 4096, vec![1])]),
        RangeFault::Pfns {
            range: 0,
            needed: 2,
            present: 1
        }
    );
    assert_eq!(
        fault(&[good.clone(), (0, 1, vec![1 << 52])]),
        RangeFault::Pfn { range: 1 }
    );
    // Case 4 of what broke elsewhere: a byte count that wraps with its offset.
    assert_eq!(
        fault(&[(0, 0xffff_f000, vec![1])]),
        RangeFault::Pfns {
            range: 0,
            needed: 0xf_ffff,
            present: 1
        }
    );
    assert_eq!(
        fault(&[(0xfff, u32::MAX, vec![1])]),
        RangeFault::Pfns {
            range: 0,
            needed: 0x10_0001,
            present: 1
        }
    );
    assert_eq!(
        GpaRanges::parse(u32::MAX, &[0; 64]).unwrap_err(),
        RangeFault::Count {
            count: u32::MAX,
            len: 64
        }
    );
    assert_eq!(
        GpaRanges::parse(1, &[0; 15]).unwrap_err(),
        RangeFault::Count { count: 1, len: 15 }
    );
    assert_eq!(GpaRanges::parse(0, &[]).unwrap().segments().next(), None);
}

#[test]
fn a_count_beyond_the_ranges_is_refused() {
    let mut bytes = encode(&[(0, 4096, vec![1])]);
    bytes.extend([0; 8]);
    // 24 bytes could not be two ranges; 32 could, if the first had not taken more than its share.
    assert_eq!(
        GpaRanges::parse(2, &bytes).unwrap_err(),
        RangeFault::Count { count: 2, len: 24 }
    );
    let bytes = encode(&[(0, 3 * 4096, vec![1, 2, 3])]);
    assert_eq!(
        GpaRanges::parse(2, &bytes).unwrap_err(),
        RangeFault::Count { count: 2, len: 0 }
    );
}

#[test]
fn the_last_page_of_all_joins_nothing() {
    let ranges = [(0, 4096, vec![(1 << 52) - 1]), (0, 4096, vec![0])];
    let bytes = encode(&ranges);
    let parsed = GpaRanges::parse(2, &bytes).unwrap();
    let runs: Vec<_> = parsed.segments().collect();
    assert_eq!(runs, [(!0xfff, 4096), (0, 4096)]);
}
