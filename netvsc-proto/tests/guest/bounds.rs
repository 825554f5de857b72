//! What the engine holds at most. What happens at the bound and over it is tested where the rest of it is:
//! `few_sections_bound_what_is_copied`, `a_full_ring_takes_nothing_and_loses_nothing`,
//! `case_15_a_full_ring_keeps_completions_for_later`.

use netvsc_proto::guest::{Nic, Queue};
use vmbus_proto::ringbuf::mem::ContiguousRing;

#[test]
fn engines_are_of_a_fixed_size() {
    // As the module's documentation says, on a 64-bit machine; buffers are handles of two words.
    type Buffer = &'static [u8];
    let nic = size_of::<Nic<'_, Buffer>>();
    let queue = size_of::<Queue<'_, ContiguousRing, Buffer, 64>>();
    let more = size_of::<Queue<'_, ContiguousRing, Buffer, 128>>() - queue;
    assert!(
        nic <= 400 && queue <= 5376 && more <= 64 * 16,
        "{nic} {queue} {more}"
    );
}
