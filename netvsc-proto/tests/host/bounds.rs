//! What the host's NIC holds at most. What happens at the bound and over it is tested where the rest of it is:
//! `a_budget_is_kept_and_the_rest_asked_for`, `case_15_so_many_answers_wait_and_then_nothing_is_read`,
//! `case_15_so_many_completions_wait_and_then_nothing_is_read`, `case_15_frames_wait_for_a_full_ring`,
//! `case_19_a_flood_of_control_messages_is_told_to_wait`, `case_19_more_multicast_addresses_than_there_is_room_for`.

use netvsc_proto::host::{Nic, Queue};
use vmbus_proto::ringbuf::mem::ContiguousRing;

#[test]
fn engines_are_of_a_fixed_size() {
    // As their documentation says, on a 64-bit machine; buffers are handles of two words.
    type Buffer = &'static [u8];
    let nic = size_of::<Nic>();
    let queue = size_of::<Queue<ContiguousRing, Buffer, 256>>();
    let more = size_of::<Queue<ContiguousRing, Buffer, 512>>() - queue;
    assert!(
        nic <= 4608 && queue <= 2560 + 256 * 8 && more <= 256 * 8,
        "{nic} {queue} {more}"
    );
}
