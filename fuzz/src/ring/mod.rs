//! The ring between two partitions.

pub mod hostile;
mod packet;
pub mod pair;

use vmbus_ringbuf::gpa::{GpaRanges, Segments};

/// Ranges that were judged, in `len` bytes, tell the same memory in every way of walking them.
pub(crate) fn check_ranges(ranges: &GpaRanges<'_>, len: usize) {
    assert!(ranges.wire_len() <= len);
    let total = ranges.total_bytes();
    let by_range: u64 = ranges.clone().map(|range| u64::from(range.byte_count())).sum();
    assert_eq!(total, by_range);
    let pages: usize = ranges.clone().map(|range| range.pfns().len()).sum();
    let mut runs = 0;
    let mut bytes = 0;
    for (gpa, len) in ranges.segments() {
        assert!(len > 0 && gpa.checked_add(len as u64 - 1).is_some());
        runs += 1;
        bytes += len as u64;
    }
    assert!(bytes == total && runs <= pages);
    // Cut in two, it is as long as before.
    let cut = total / 3;
    let (first, second) = ranges.segments().split_at(cut);
    assert_eq!((first.total_bytes(), second.total_bytes()), (cut, total - cut));
    let sum = |part: Segments<'_>| part.map(|(_, len)| len as u64).sum::<u64>();
    assert_eq!((sum(first), sum(second)), (cut, total - cut));
}
