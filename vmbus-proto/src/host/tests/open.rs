//! Open, close, move, sub-channels.

use std::vec;
use std::vec::Vec;

use super::*;
use crate::wire::{MessageType, NO_INTERRUPTS_VP};
use hvcall::VpIndex;

fn state(message_type: MessageType, relid: RelId, state: ChannelState) -> HandleError {
    Breach::ChannelState {
        message_type,
        relid,
        state,
    }
    .into()
}

#[test]
fn a_channel_opens_closes_and_opens_again() {
    let mut storage = vec![0; 64];
    let mut host = small_host(&mut storage);
    let channel = host.offer(device(1)).unwrap();
    let relid = channel.relid();
    host.connect(Version::IRON);
    for round in 0..3 {
        let ring = GpadlId::new(0xe1e10 + round);
        assert_eq!(host.lend(relid, ring, 4), Status::SUCCESS);
        let mut request = say::open(relid, ring);
        request.user_data[0] = 7;
        host.hear(&say::open_channel(request)).unwrap();
        assert_eq!(host.said(), []);
        let (opening, ticket, params) = host.open_event();
        assert_eq!(opening, channel);
        let signal = ChannelSignal {
            vp: Some(VpIndex(1)),
            sint: Sint::VMBUS,
            flag: u16::try_from(relid.value()).unwrap(),
        };
        assert_eq!(params.signal, signal);
        assert_eq!(params.connection_id, host.connection_id(channel));
        assert_eq!(params.user_data[..2], [7, 0]);
        let rings = host.rings(channel).unwrap();
        assert_eq!((rings.count(), rings.downstream()), (4, 2));
        let pages: Vec<u64> = rings.addresses().collect();
        assert_eq!(pages, [0x100_0000, 0x100_1000, 0x100_2000, 0x100_3000]);

        Host::complete_open(&mut host, ticket, Status::SUCCESS).unwrap();
        let result = host.say().unwrap();
        assert_eq!(result.message, opened(relid, Status::SUCCESS));
        // A guest may have ignored interrupts until now.
        assert_eq!(result.then_signal, Some(signal));

        host.hear(&say::close_channel(relid)).unwrap();
        host.hear(&say::teardown(relid, ring)).unwrap();
        let ticket = host.close_event();
        // The device still works on the rings.
        assert_eq!(host.said(), []);
        host.complete_close(ticket).unwrap();
        assert_eq!(host.said(), [torndown(ring)]);
        host.no_event();
    }
}

#[test]
fn case_12_a_refused_open_is_told() {
    let mut storage = vec![0; 64];
    let mut host = small_host(&mut storage);
    let relid = host.offer(device(1)).unwrap().relid();
    host.connect(Version::IRON);
    host.lend(relid, RING, 4);
    host.hear(&say::open_channel(say::open(relid, RING))).unwrap();
    let (_, ticket, _) = host.open_event();
    Host::complete_open(&mut host, ticket, Status::UNSUCCESSFUL).unwrap();
    let result = host.say().unwrap();
    assert_eq!(result.message, opened(relid, Status::UNSUCCESSFUL));
    assert_eq!(result.then_signal, None);
    host.no_event();
    // The guest gets its memory back, and may try again.
    host.hear(&say::teardown(relid, RING)).unwrap();
    assert_eq!(host.said(), [torndown(RING)]);
    host.open(relid, RING);
}

#[test]
fn case_12_an_ill_formed_open_is_refused_with_a_status() {
    let mut storage = vec![0; 256];
    let mut host = small_host(&mut storage);
    let relid = host.offer(device(1)).unwrap().relid();
    let other = host.offer(device(2)).unwrap().relid();
    host.connect(Version::IRON);
    host.lend(relid, RING, 4);
    let unaligned = GpadlId::new(77);
    // 3 pages from byte 16 on.
    let mut values = say::range(1, 3);
    values[0] = U64::new((16 << 32) | (3 * 4096 - 16));
    host.hear(&say::header(relid, unaligned, 32, 1, &values)).unwrap();
    assert_eq!(host.said(), [created(relid, unaligned, Status::SUCCESS)]);
    host.hear(&say::header(relid, GPADL, 80, 1, &values[..3]))
        .unwrap();

    let good = say::open(relid, RING);
    let message_type = MessageType::OPEN_CHANNEL;
    let layout = |pages, downstream| Breach::RingLayout {
        gpadl: RING,
        pages,
        downstream,
    };
    let cases = [
        (
            OpenRequest {
                relid: RelId::new(99),
                ..good
            },
            Breach::UnknownChannel {
                message_type,
                relid: RelId::new(99),
            },
        ),
        (
            OpenRequest {
                ring_gpadl: GpadlId::new(5),
                ..good
            },
            Breach::UnknownGpadl {
                message_type,
                gpadl: GpadlId::new(5),
            },
        ),
        // A GPADL of another channel.
        (
            OpenRequest { relid: other, ..good },
            Breach::UnknownGpadl {
                message_type,
                gpadl: RING,
            },
        ),
        // Half sent.
        (
            OpenRequest {
                ring_gpadl: GPADL,
                ..good
            },
            Breach::GpadlState {
                message_type,
                gpadl: GPADL,
            },
        ),
        (
            OpenRequest {
                downstream_page_offset: U32::new(0),
                ..good
            },
            layout(4, 0),
        ),
        (
            OpenRequest {
                downstream_page_offset: U32::new(1),
                ..good
            },
            layout(4, 1),
        ),
        (
            OpenRequest {
                downstream_page_offset: U32::new(3),
                ..good
            },
            layout(4, 3),
        ),
        (
            OpenRequest {
                downstream_page_offset: U32::new(4),
                ..good
            },
            layout(4, 4),
        ),
        (
            OpenRequest {
                downstream_page_offset: U32::new(u32::MAX),
                ..good
            },
            layout(4, u32::MAX),
        ),
        (
            OpenRequest {
                ring_gpadl: unaligned,
                ..good
            },
            Breach::RingLayout {
                gpadl: unaligned,
                pages: 0,
                downstream: 2,
            },
        ),
        (
            OpenRequest {
                target_vp: U32::new(VP_COUNT),
                ..good
            },
            Breach::NoSuchVp {
                message_type,
                vp: VP_COUNT,
                vp_count: VP_COUNT,
            },
        ),
    ];
    for (request, breach) in cases {
        assert_eq!(host.hear(&say::open_channel(request)), Err(breach.into()));
        match host.said().as_slice() {
            [HostMessage::OpenChannelResult(result)] => {
                assert_eq!((result.relid, result.open_id), (request.relid, request.open_id));
                assert!(!result.status.is_success());
            }
            other => panic!("{other:?}"),
        }
        host.no_event();
    }
    // Nothing of it has harmed the channel.
    host.hear(&say::open_channel(good)).unwrap();
    let _ticket = host.open_event();
}

#[test]
fn a_second_open_is_refused() {
    let mut storage = vec![0; 64];
    let mut host = small_host(&mut storage);
    let relid = host.offer(device(1)).unwrap().relid();
    host.connect(Version::IRON);
    host.lend(relid, RING, 4);
    let open = say::open_channel(say::open(relid, RING));
    host.hear(&open).unwrap();
    assert_eq!(
        host.hear(&open),
        Err(state(MessageType::OPEN_CHANNEL, relid, ChannelState::Opening))
    );
    assert_eq!(host.said(), [opened(relid, Status::INVALID_DEVICE_STATE)]);
    let (_, ticket, _) = host.open_event();
    Host::complete_open(&mut host, ticket, Status::SUCCESS).unwrap();
    assert_eq!(host.said(), [opened(relid, Status::SUCCESS)]);
    assert_eq!(
        host.hear(&open),
        Err(state(MessageType::OPEN_CHANNEL, relid, ChannelState::Open))
    );
    host.no_event();
}

#[test]
fn a_close_of_what_is_not_open_is_a_breach() {
    let mut storage = vec![0; 64];
    let mut host = small_host(&mut storage);
    let relid = host.offer(device(1)).unwrap().relid();
    host.connect(Version::IRON);
    let message_type = MessageType::CLOSE_CHANNEL;
    assert_eq!(
        host.hear(&say::close_channel(relid)),
        Err(state(message_type, relid, ChannelState::Closed))
    );
    let unknown = RelId::new(99);
    let breach = Breach::UnknownChannel {
        message_type,
        relid: unknown,
    };
    assert_eq!(host.hear(&say::close_channel(unknown)), Err(breach.into()));
    host.lend(relid, RING, 4);
    host.hear(&say::open_channel(say::open(relid, RING))).unwrap();
    assert_eq!(
        host.hear(&say::close_channel(relid)),
        Err(state(message_type, relid, ChannelState::Opening))
    );
}

#[test]
fn an_open_before_the_device_has_stopped_waits() {
    let mut storage = vec![0; 64];
    let mut host = small_host(&mut storage);
    let relid = host.offer(device(1)).unwrap().relid();
    host.connect(Version::IRON);
    host.open(relid, RING);
    host.hear(&say::close_channel(relid)).unwrap();
    let open = say::open_channel(say::open(relid, RING));
    assert_eq!(host.hear(&open), Err(HandleError::Busy));
    let ticket = host.close_event();
    assert_eq!(host.hear(&open), Err(HandleError::Busy));
    host.complete_close(ticket).unwrap();
    host.hear(&open).unwrap();
    let _ticket = host.open_event();
}

#[test]
fn a_guest_may_want_no_interrupts() {
    let mut storage = vec![0; 64];
    let mut host = small_host(&mut storage);
    let relid = host.offer(device(1)).unwrap().relid();
    host.connect(Version::IRON);
    host.lend(relid, RING, 4);
    let request = OpenRequest {
        target_vp: U32::new(NO_INTERRUPTS_VP),
        ..say::open(relid, RING)
    };
    host.hear(&say::open_channel(request)).unwrap();
    assert_eq!(host.open_event().2.signal.vp, None);
}

#[test]
fn a_move_is_answered_once_the_device_has_followed() {
    let mut storage = vec![0; 64];
    let mut host = small_host(&mut storage);
    let channel = host.offer(device(1)).unwrap();
    let relid = channel.relid();
    host.connect(Version::IRON);
    host.open(relid, RING);
    host.hear(&say::modify(relid, 3)).unwrap();
    let mut events = host.events();
    let Event::Modify { ticket, signal, .. } = events.remove(0) else {
        panic!()
    };
    assert_eq!(signal.vp, Some(VpIndex(3)));
    assert_eq!(host.signal(channel), Some(signal));
    assert_eq!(host.said(), []);
    // From 5.3 on one at a time.
    let message_type = MessageType::MODIFY_CHANNEL;
    assert_eq!(
        host.hear(&say::modify(relid, 2)),
        Err(state(message_type, relid, ChannelState::Open))
    );
    assert_eq!(host.said(), [modified(relid, Status::UNSUCCESSFUL)]);
    host.complete_modify(ticket);
    assert_eq!(host.said(), [modified(relid, Status::SUCCESS)]);
    host.no_event();
    let vp_count = VP_COUNT;
    let breach = Breach::NoSuchVp {
        message_type,
        vp: VP_COUNT,
        vp_count,
    };
    assert_eq!(host.hear(&say::modify(relid, VP_COUNT)), Err(breach.into()));
    assert_eq!(host.said(), [modified(relid, Status::UNSUCCESSFUL)]);
}

#[test]
fn before_5_3_moves_are_not_answered_and_the_last_one_counts() {
    let mut storage = vec![0; 64];
    let mut host = small_host(&mut storage);
    let channel = host.offer(device(1)).unwrap();
    let relid = channel.relid();
    host.connect(Version::WIN10_RS5);
    host.open(relid, RING);
    host.hear(&say::modify(relid, 3)).unwrap();
    let mut events = host.events();
    let Event::Modify { ticket: first, .. } = events.remove(0) else {
        panic!()
    };
    host.hear(&say::modify(relid, 2)).unwrap();
    let mut events = host.events();
    let Event::Modify {
        ticket: second,
        signal,
        ..
    } = events.remove(0)
    else {
        panic!()
    };
    assert_eq!(signal.vp, Some(VpIndex(2)));
    host.complete_modify(first);
    host.complete_modify(second);
    assert_eq!(host.said(), []);
    assert!(host.hear(&say::modify(relid, 99)).is_err());
    assert_eq!(host.said(), []);
}

#[test]
fn a_close_overtakes_a_move() {
    let mut storage = vec![0; 64];
    let mut host = small_host(&mut storage);
    let relid = host.offer(device(1)).unwrap().relid();
    host.connect(Version::IRON);
    host.open(relid, RING);
    host.hear(&say::modify(relid, 3)).unwrap();
    let mut events = host.events();
    let Event::Modify { ticket, .. } = events.remove(0) else {
        panic!()
    };
    host.hear(&say::close_channel(relid)).unwrap();
    assert_eq!(host.said(), [modified(relid, Status::UNSUCCESSFUL)]);
    host.complete_modify(ticket);
    assert_eq!(host.said(), []);
    let ticket = host.close_event();
    host.complete_close(ticket).unwrap();
}

#[test]
fn sub_channels_go_with_their_primary() {
    let mut storage = vec![0; 64];
    let mut host = small_host(&mut storage);
    let primary = host.offer(device(1)).unwrap();
    host.connect(Version::IRON);
    assert_eq!(
        host.offer_subchannel(primary, 1),
        Err(OfferError::ParentNotOpen { parent: primary })
    );
    host.open(primary.relid(), RING);
    assert_eq!(
        host.offer_subchannel(primary, 0),
        Err(OfferError::NoPrimary {
            parent: primary,
            index: 0
        })
    );
    let sub = host.offer_subchannel(primary, 1).unwrap();
    assert_eq!(
        host.offer_subchannel(primary, 1),
        Err(OfferError::Duplicate { channel: sub })
    );
    assert_eq!(
        host.offer_subchannel(sub, 1),
        Err(OfferError::NoPrimary {
            parent: sub,
            index: 1
        })
    );
    let [HostMessage::OfferChannel(offer)] = &host.said()[..] else {
        panic!()
    };
    assert_eq!(offer.offer.sub_channel_index.get(), 1);
    assert_eq!(
        (offer.offer.interface, offer.offer.instance),
        (device(1).interface, device(1).instance)
    );
    assert_eq!(offer.offer.relid, sub.relid());
    assert_ne!(host.connection_id(sub), host.connection_id(primary));
    host.open(sub.relid(), GPADL);

    // Linux closes the sub-channels first, then the primary.
    host.hear(&say::close_channel(sub.relid())).unwrap();
    let ticket = host.close_event();
    host.complete_close(ticket).unwrap();
    assert_eq!(host.said(), []);
    host.hear(&say::close_channel(primary.relid())).unwrap();
    assert_eq!(host.said(), [rescind(sub.relid())]);
    let ticket = host.close_event();
    host.complete_close(ticket).unwrap();
    host.hear(&say::released(sub.relid())).unwrap();
    assert_eq!(host.events(), [Event::Released { channel: sub }]);

    // The next time they are new ones.
    host.hear(&say::open_channel(say::open(primary.relid(), RING)))
        .unwrap();
    let (_, ticket, _) = host.open_event();
    Host::complete_open(&mut host, ticket, Status::SUCCESS).unwrap();
    let again = host.offer_subchannel(primary, 1).unwrap();
    assert_ne!(again.relid(), sub.relid());
}

#[test]
fn a_ticket_is_good_for_one_open_only() {
    let mut storage = vec![0; 64];
    let mut host = small_host(&mut storage);
    let relid = host.offer(device(1)).unwrap().relid();
    host.connect(Version::IRON);
    host.open(relid, RING);
    let forged = OpenTicket { relid, serial: 1 };
    assert_eq!(
        Host::complete_open(&mut host, forged, Status::SUCCESS),
        Err(ForeignTicket)
    );
    let forged = CloseTicket { relid, serial: 1 };
    assert_eq!(host.complete_close(forged), Err(ForeignTicket));
    assert_eq!(host.release_gpadl(GpadlTicket { serial: 99 }), Err(ForeignTicket));
    assert_eq!(host.said(), []);
}
