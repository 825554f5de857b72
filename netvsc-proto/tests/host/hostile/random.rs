//! Any guest.

use netvsc_proto::host::{MacAddress, ReceiveInfo};
use netvsc_proto::wire::nvsp::{ChannelType, NO_SECTION, Status};
use netvsc_proto::wire::oid::Oid;
use netvsc_proto::wire::rndis::{self, PacketFilter};
use netvsc_proto::wire::rndis_message::{self, HostMessage as RndisHost};
use proptest::prelude::*;
use vmbus_proto::ringbuf::{Descriptor, PacketType, SharedMem};

use super::alive;
use crate::config;
use crate::support::{Rig, SECTIONS, frame, rndis_packet};

/// One thing that a guest may do.
#[derive(Clone, Debug)]
enum Act {
    /// A packet with any payload.
    Payload(u16, u64, bool, Vec<u8>),
    /// Control bytes, in pages.
    Control(Vec<u8>),
    /// A section of any content.
    Section(u32, u32, Vec<u8>),
    /// A frame for the guest.
    Receive(u8),
    /// Returns everything, or lies about it.
    Return(bool, u64),
    /// A query or set of a known OID with any input.
    Oid(bool, usize, Vec<u8>),
    /// A known NVSP message with any body.
    Nvsp(u32, Vec<u8>),
}

fn act() -> impl Strategy<Value = Act> {
    let bytes = |max| prop::collection::vec(any::<u8>(), 0..max);
    prop_oneof![
        (0_u16..3, any::<u64>(), any::<bool>(), bytes(80)).prop_map(|(a, b, c, d)| Act::Payload(a, b, c, d)),
        bytes(120).prop_map(Act::Control),
        (0_u32..20, 0_u32..7000, bytes(200)).prop_map(|(a, b, c)| Act::Section(a, b, c)),
        any::<u8>().prop_map(Act::Receive),
        (prop::bool::weighted(0.1), any::<u64>()).prop_map(|(a, b)| Act::Return(a, b)),
        (any::<bool>(), any::<usize>(), bytes(100)).prop_map(|(a, b, c)| Act::Oid(a, b, c)),
        (prop_oneof![Just(1_u32), 100_u32..137], bytes(36)).prop_map(|(a, b)| Act::Nvsp(a, b)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever the guest does, the host ends each call, holds no more than it may, and a fault sticks.
    #[test]
    fn any_guest(acts in prop::collection::vec(act(), 1..60), up in any::<bool>()) {
        let mut rig = if up { Rig::<4096>::up(config()) } else { Rig::<4096>::new(config()) };
        rig.guest[0].hold = true;
        let mut fault = None;
        for act in acts {
            match act {
                Act::Payload(kind, id, completion, bytes) => {
                    let pfns = [zerocopy::little_endian::U64::new(id % 300)];
                    let ranges = [vmbus_proto::ringbuf::gpa::GpaRange::new(3, 1000, &pfns).unwrap()];
                    let descriptor = match kind {
                        0 => Descriptor::InBand,
                        1 => Descriptor::Completion,
                        _ => Descriptor::GpaDirect(&ranges),
                    };
                    let _ = rig.guest[0].write(descriptor, id, completion, &bytes);
                }
                Act::Control(bytes) if !bytes.is_empty() => {
                    rig.send_pages(0, 1, ChannelType::CONTROL, (NO_SECTION, 0), &bytes);
                }
                Act::Control(_) => {}
                Act::Section(index, size, bytes) => {
                    let _ = SharedMem::write(&rig.send, index as usize * 6144, &bytes);
                    let payload = rndis_packet(ChannelType::DATA, index, size);
                    let _ = rig.guest[0].write(Descriptor::InBand, 1, true, &payload);
                }
                Act::Receive(tag) => {
                    let _ = rig.queues[0].receive(&frame(MacAddress::BROADCAST, tag, 100), &ReceiveInfo::NONE);
                    let _ = rig.queues[0].flush();
                }
                Act::Return(true, id) => rig.guest[0].return_sections(id),
                Act::Return(false, _) => rig.guest[0].return_held(),
                Act::Oid(set, index, info) => {
                    let oid = Oid::NAMED[index % Oid::NAMED.len()];
                    let request = rndis::OidRequest { request_id: 1.into(), oid, ..Default::default() };
                    let message = if set {
                        rndis_message::GuestMessage::Set(request, &info)
                    } else {
                        rndis_message::GuestMessage::Query(request, &info)
                    };
                    let mut bytes = [0; 256];
                    let bytes = message.encode(&mut bytes).unwrap().to_vec();
                    rig.send_pages(0, 1, ChannelType::CONTROL, (NO_SECTION, 0), &bytes);
                }
                Act::Nvsp(kind, body) => {
                    let _ = rig.guest[0].write(Descriptor::InBand, 1, true, &[&kind.to_le_bytes()[..], &body].concat());
                }
            }
            let outcome = rig.serve_once(0);
            while let Some(event) = rig.nic.poll_event() {
                use netvsc_proto::host::Event;
                match event {
                    Event::MapReceiveBuffer(_) => {
                        if let Some(layout) = rig.nic.receive_buffer_mapped(1 << 20) {
                            rig.queues[0].lend_receive_buffer(rig.receive.clone(), layout);
                        }
                    }
                    Event::MapSendBuffer(_) => {
                        if let Some(layout) = rig.nic.send_buffer_mapped(16 * 6144) {
                            rig.queues[0].lend_send_buffer(rig.send.clone(), layout);
                        }
                    }
                    Event::ReleaseReceiveBuffer => rig.nic.receive_buffer_released(),
                    Event::ReleaseSendBuffer => rig.nic.send_buffer_released(),
                    _ => {}
                }
            }
            match (fault, outcome) {
                (Some(fault), outcome) => prop_assert_eq!(outcome.unwrap_err(), fault),
                (None, Err(found)) => fault = Some(found),
                (None, Ok(outcome)) => prop_assert!(outcome.packets <= rig.budget),
            }
            prop_assert!(rig.queues[0].outstanding() <= SECTIONS as u16);
            poll_loosely(&mut rig);
        }
    }

    /// Control messages of any bytes, well-framed: each is answered, by RNDIS or by a refusal, and the NIC goes on.
    #[test]
    fn case_14_any_control_message(
        kind in prop_oneof![4_u32..10, Just(2), any::<u32>()],
        body in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        prop_assume!(kind != 3 && kind != 6);
        let mut rig = Rig::<4096>::up(config());
        let mut bytes = kind.to_le_bytes().to_vec();
        bytes.extend((body.len() as u32 + 8).to_le_bytes());
        bytes.extend(&body);
        let status = rig.control(&bytes);
        let answered = !rig.guest[0].replies.is_empty();
        prop_assert_eq!(answered, status == Status::SUCCESS);
        for reply in rig.guest[0].replies.drain(..) {
            prop_assert!(RndisHost::decode(&reply).is_ok());
        }
        rig.set_filter(PacketFilter::DIRECTED);
        alive(&mut rig);
    }
}

/// Takes what the host has sent without insisting that it makes sense to this guest.
fn poll_loosely(rig: &mut Rig<4096>) {
    let mut scratch = vec![0; 8192];
    let guest = &mut rig.guest[0];
    while let Ok(Some(packet)) = guest.rings.incoming.read(&mut scratch) {
        if packet.kind() == PacketType::TRANSFER_PAGES {
            guest.held.push_back(packet.transaction_id());
        }
    }
    let _ = guest.rings.incoming.release();
}
