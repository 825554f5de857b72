//! What the engine holds at most. What happens at the bound and over it is tested where the rest of it is:
//! `few_sections_bound_what_is_copied`, `a_full_ring_takes_nothing_and_loses_nothing`,
//! `case_15_a_full_ring_keeps_completions_for_later`.

use netvsc_proto::guest::{Nic, Queue};
use netvsc_proto::wire::nvsp::ChannelType;
use vmbus_proto::ringbuf::mem::ContiguousRing;

use crate::scripted::Script;
use crate::support::{MAC, frame, packet};

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

#[test]
fn a_poll_takes_one_packet_or_one_frame_however_many_there_are() {
    const PACKETS: u8 = 8;
    const FRAMES: u8 = 3;
    let mut script = Script::<4096>::up();
    let message = |tag| packet(&[], &frame(MAC, tag, 60));
    for id in 0..PACKETS {
        let ranges: Vec<_> = (0..FRAMES)
            .map(|at| script.host.put(&message(id * FRAMES + at)))
            .collect();
        script
            .host
            .transfer(u64::from(id) + 1, ChannelType::DATA, &ranges);
    }
    let (mut frames, mut returned, mut again) = (0, 0, true);
    while again {
        again = script.poll_once().unwrap();
        script.host.serve(&mut |_, _, _| false);
        let read: u32 = script.reads.borrow().iter().sum();
        script.reads.borrow_mut().fill(0);
        assert!(
            read as usize <= message(0).len(),
            "{read} bytes of the receive buffer"
        );
        let now = (script.frames.len(), script.host.returned.len());
        assert!(now.0 - frames <= 1 && now.1 - returned <= 1, "{now:?}");
        (frames, returned) = now;
    }
    assert_eq!(
        (frames, returned),
        (usize::from(PACKETS * FRAMES), usize::from(PACKETS))
    );
}
