//! What the host's NIC holds at most. What happens at the bound and over it is tested where the rest of it is:
//! `a_budget_is_kept_and_the_rest_asked_for`, `case_15_answers_wait_for_a_full_ring`,
//! `case_15_a_full_ring_loses_no_completion_and_no_frame`, `case_15_frames_wait_for_a_full_ring`.

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
