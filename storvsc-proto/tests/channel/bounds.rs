//! What either end holds at most. What happens at the bound and over it is tested where the rest of it is:
//! `as_many_commands_are_under_way_as_there_are_places`, `requests_complete_in_any_order_and_each_is_answered_once`,
//! `a_budget_ends_a_call_and_none_is_no_work`, `case_15_answers_that_find_no_room_are_all_kept`,
//! `write_same_writes_zeroes_and_anything_else`, `case_16_a_transfer_length_that_differs_from_the_gpa_ranges`.

use storvsc_proto::host::{Config, DEFAULT_MAX_TRANSFER_BYTES};
use storvsc_proto::{guest, host};
use vmbus_proto::ringbuf::mem::ContiguousRing;

#[test]
fn engines_are_of_a_fixed_size() {
    // As their documentation says, on a 64-bit machine.
    let small = size_of::<guest::Queue<ContiguousRing, 1>>();
    let large = size_of::<guest::Queue<ContiguousRing, 65>>();
    assert!(small <= 280 && large - small <= 64 * 12, "{small} {large}");
    let small = size_of::<host::Queue<ContiguousRing, &mut [u8], 1>>();
    let large = size_of::<host::Queue<ContiguousRing, &mut [u8], 65>>();
    assert!(small <= 1433 && large - small <= 64 * 96, "{small} {large}");
}

#[test]
fn the_longest_packet_fits_the_scratch_and_has_a_bound() {
    let config = Config::default();
    // 257 pages, each a range of its own: 16 bytes for each, a count, an SRB.
    assert_eq!(config.max_transfer_bytes, DEFAULT_MAX_TRANSFER_BYTES);
    assert_eq!(config.scratch_len(), 257 * 16 + 8 + 64);
}
