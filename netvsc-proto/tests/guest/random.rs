//! Any host, honest or not, in any order.

use std::collections::HashSet;

use netvsc_proto::guest::{Fault, TransmitInfo};
use netvsc_proto::wire::nvsp::{ChannelType, NO_SECTION, RECEIVE_BUFFER_ID, Status};
use netvsc_proto::wire::oid::Oid;
use netvsc_proto::wire::rndis::PacketFilter;
use proptest::prelude::*;
use vmbus_proto::ringbuf::{Descriptor, Outgoing, TransferPageRange};

use crate::scripted::{RECEIVE_LEN, Script};
use crate::support::{MAC, frame, packet, rndis_packet};

#[derive(Clone, Debug)]
enum Act {
    /// The guest sends a frame, by copy or in pages.
    Transmit(bool),
    /// The guest asks for something.
    Ask(u8),
    /// The guest works, so many calls.
    Poll(u8),
    /// The host answers what it has.
    Serve,
    /// The host completes the oldest frame that it has, or an id of its own.
    Complete(Option<u64>, u32),
    /// The host gives a frame.
    Give(u8),
    /// The host puts bytes into a range.
    Transfer(Vec<u8>),
    /// A frame in which one byte is another.
    Damaged(u8, u8, Vec<u8>),
    /// Ranges of its own.
    Ranges(u16, Vec<(u32, u32)>),
    /// A packet of bytes.
    Raw(bool, u64, Vec<u8>),
    /// Any RNDIS control message.
    Control(u32, Vec<u32>),
}

fn act() -> impl Strategy<Value = Act> {
    let bytes = |most| prop::collection::vec(any::<u8>(), 0..most);
    let offset = prop_oneof![0..RECEIVE_LEN, any::<u32>(), Just(RECEIVE_LEN)];
    let len = prop_oneof![0..300_u32, any::<u32>()];
    let message = prop_oneof![
        Just(2_u32),
        Just(7),
        Just(8),
        Just(0x8000_0002),
        Just(0x8000_0004),
        Just(0x8000_0005),
        Just(0x8000_0006),
        Just(0x8000_0008),
        any::<u32>()
    ];
    let word = prop_oneof![
        0..40_u32,
        any::<u32>(),
        Just(0x101),
        Just(0x102),
        Just(0x201),
        Just(0x4001_000b)
    ];
    prop_oneof![
        4 => any::<bool>().prop_map(Act::Transmit),
        3 => any::<u8>().prop_map(Act::Ask),
        6 => (1..20_u8).prop_map(Act::Poll),
        3 => Just(Act::Serve),
        4 => (Just(None), 0..3_u32).prop_map(|(id, status)| Act::Complete(id, status)),
        1 => (prop_oneof![0..20_u64, any::<u64>(), Just(u64::MAX)], any::<u32>()).prop_map(|(id, status)| Act::Complete(Some(id), status)),
        4 => any::<u8>().prop_map(Act::Give),
        1 => bytes(200).prop_map(Act::Transfer),
        2 => (any::<u8>(), any::<u8>(), bytes(20)).prop_map(|(at, to, ppi)| Act::Damaged(at, to, ppi)),
        1 => (prop_oneof![Just(RECEIVE_BUFFER_ID), any::<u16>()], prop::collection::vec((offset, len), 0..400)).prop_map(|(set, ranges)| Act::Ranges(set, ranges)),
        1 => (any::<bool>(), prop_oneof![0..20_u64, Just(u64::MAX)], bytes(120)).prop_map(|(completion, id, bytes)| Act::Raw(completion, id, bytes)),
        1 => (message, prop::collection::vec(word, 0..30)).prop_map(|(kind, words)| Act::Control(kind, words)),
    ]
}

/// Writes a packet of the host's. A ring that is full keeps it from that.
fn write(script: &mut Script<512>, id: u64, descriptor: Descriptor<'_>, payload: &[u8]) {
    let _ = script.host.rings.outgoing.write(&Outgoing {
        transaction_id: id,
        request_completion: true,
        descriptor,
        payload: &[payload],
    });
}

fn give(script: &mut Script<512>, channel_type: ChannelType, bytes: &[u8]) {
    let ranges = [script.host.put(bytes)];
    let set_id = RECEIVE_BUFFER_ID;
    let message = rndis_packet(channel_type, NO_SECTION, 0);
    write(
        script,
        5,
        Descriptor::TransferPages {
            set_id,
            ranges: &ranges,
        },
        &message,
    );
}

/// Runs acts until the guest faults; checks what holds whatever the host does.
fn run(mut script: Script<512>, acts: Vec<Act>) {
    let mut under_way = HashSet::new();
    let mut requests = HashSet::new();
    let mut fault: Option<Fault> = None;
    for act in acts {
        match act {
            Act::Transmit(copy) => {
                let sent = if copy {
                    script.queue.transmit(&frame(MAC, 1, 60), &TransmitInfo::NONE)
                } else {
                    let pfn = [7.into()];
                    let piece = vmbus_proto::ringbuf::gpa::GpaRange::new(0, 60, &pfn).unwrap();
                    script.queue.transmit_pages(MAC, &[piece], &TransmitInfo::NONE)
                };
                if let Ok(submitted) = sent {
                    assert!(under_way.insert(submitted.id));
                }
            }
            Act::Ask(what) => {
                let asked = match what % 6 {
                    0 => script
                        .nic
                        .set_packet_filter(PacketFilter::from_bits_retain((what / 6).into())),
                    1 => script.nic.query(Oid::GEN_LINK_SPEED, &[]),
                    2 => script.nic.keepalive(),
                    3 => script.nic.reset(),
                    4 => script.nic.set(Oid::GEN_MACHINE_NAME, &[1, 2]),
                    _ => {
                        let _ = script.nic.create_sub_channels(2);
                        continue;
                    }
                };
                if let Ok(id) = asked {
                    assert!(requests.insert(id));
                }
            }
            Act::Poll(calls) => {
                for _ in 0..calls {
                    match script.poll_once() {
                        Ok(true) => {}
                        Ok(false) => break,
                        Err(found) => {
                            fault = Some(found);
                            break;
                        }
                    }
                }
            }
            Act::Serve => {
                // The host's ring may be full, and its answers lost.
                if script.host.rings.outgoing.writable().unwrap() > 2000 {
                    script.host.serve(&mut |_, _, _| false);
                }
            }
            Act::Complete(id, status) => {
                let id = id.or_else(|| script.host.frames.pop_front());
                let Some(id) = id else { continue };
                let payload = [108, status, 0, 0, 0, 0, 0, 0, 0, 0].map(u32::to_le_bytes);
                write(&mut script, id, Descriptor::Completion, payload.as_flattened());
            }
            Act::Give(tag) => give(&mut script, ChannelType::DATA, &packet(&[], &frame(MAC, tag, 60))),
            Act::Transfer(bytes) => give(&mut script, ChannelType::new(0), &bytes),
            Act::Damaged(at, to, ppi) => {
                let mut bytes = packet(&ppi, &frame(MAC, 1, 60));
                let at = usize::from(at) % bytes.len();
                bytes[at] = to;
                give(&mut script, ChannelType::DATA, &bytes);
            }
            Act::Ranges(set_id, ranges) => {
                let ranges: Vec<_> = ranges
                    .iter()
                    .map(|(offset, len)| TransferPageRange::new(*offset, *len))
                    .collect();
                let descriptor = Descriptor::TransferPages {
                    set_id,
                    ranges: &ranges,
                };
                write(
                    &mut script,
                    6,
                    descriptor,
                    &rndis_packet(ChannelType::DATA, NO_SECTION, 0),
                );
            }
            Act::Raw(completion, id, bytes) => {
                let descriptor = if completion {
                    Descriptor::Completion
                } else {
                    Descriptor::InBand
                };
                write(&mut script, id, descriptor, &bytes);
            }
            Act::Control(kind, words) => {
                let len = 8 + words.len() as u32 * 4;
                let bytes: Vec<u8> = [kind, len]
                    .iter()
                    .chain(&words)
                    .flat_map(|word| word.to_le_bytes())
                    .collect();
                give(&mut script, ChannelType::CONTROL, &bytes);
            }
        }
        // Each is told once, and nothing is told that was not asked for.
        for id in script.transmitted.drain(..) {
            assert!(under_way.remove(&id), "{id:?}");
        }
        for id in script.answered.drain(..) {
            assert!(requests.remove(&id), "{id:?}");
        }
        if fault.is_some() {
            break;
        }
    }
    // Nothing that the host has may be more than what was sent, nor less.
    assert!(script.queue.outstanding() >= under_way.len());
    while let Some(aborted) = script.queue.abort() {
        assert!(under_way.remove(&aborted.id));
    }
    while let Some(id) = script.nic.abort() {
        assert!(requests.remove(&id));
    }
    assert!(
        under_way.is_empty() && requests.is_empty(),
        "{under_way:?} {requests:?}"
    );
    let found = script.poll_once().unwrap_err();
    assert_eq!(found, fault.unwrap_or(Fault::Closed));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn any_host(acts in prop::collection::vec(act(), 1..80)) {
        let mut script = Script::<512>::new(|_| ());
        script.run().unwrap();
        script.nic.set_packet_filter(PacketFilter::DIRECTED).unwrap();
        script.run().unwrap();
        script.answered.clear();
        run(script, acts);
    }

    /// From the first message on.
    #[test]
    fn any_host_while_the_nic_comes_up(acts in prop::collection::vec(act(), 1..60)) {
        run(Script::<512>::new(|_| ()), acts);
    }

    /// An honest host with any answer to one of the OIDs that are asked.
    #[test]
    fn any_answer_of_an_oid(which in 0..6_usize, status in prop_oneof![Just(0_u32), any::<u32>()], info in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut script = Script::<4096>::new(|_| ());
        let mut asked = 0;
        let outcome = script.run_with(&mut |host, id, ask| {
            let crate::scripted::Ask::Rndis(netvsc_proto::wire::rndis_message::GuestMessage::Query(request, _)) = ask else {
                return false;
            };
            asked += 1;
            if asked != which + 1 {
                return false;
            }
            host.complete_transfer(id, Status::SUCCESS);
            let status = netvsc_proto::wire::status::RndisStatus::new(status);
            host.reply(&crate::scripted::query_complete(request.request_id.get(), status, &info));
            true
        });
        prop_assert_eq!(outcome.is_ok(), script.ready.is_some());
    }
}
