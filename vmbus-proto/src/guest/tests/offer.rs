//! Offers: in order and late, ill-formed, too many, of sub-channels.

use super::*;

#[test]
fn offers_are_told_in_their_order_and_late_ones_too() {
    let mut guest = guest_at(Version::IRON);
    guest.hear(&tell::offers(4, 1)).unwrap();
    guest.hear(&tell::offers(9, 2)).unwrap();
    guest.hear(&HostMessage::AllOffersDelivered).unwrap();
    let events = guest.events();
    let [
        Event::Offered(first),
        Event::Offered(second),
        Event::AllOffersDelivered,
    ] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!(
        (first.channel.relid(), second.channel.relid()),
        (RelId::new(4), RelId::new(9))
    );
    assert_eq!(first.interface, interface::SCSI);
    assert_eq!(first.instance, Guid::new(0, 0, 0, 1));
    assert_eq!(first.user_defined, [7; USER_DEFINED_SIZE]);
    assert_eq!((first.mmio_megabytes, first.sub_channel_index), (8, 0));
    assert_eq!(
        first.signal,
        ChannelSignal {
            connection_id: ConnectionId(0x2004),
            interrupt_page_flag: None
        }
    );
    assert_eq!(guest.channel(first.channel), Some(first));
    let late = guest.offered(2, 3);
    assert_eq!(guest.channels().count(), 3);
    assert_eq!(late.relid(), RelId::new(2));
}

#[test]
fn case_03_an_ill_formed_offer_and_then_its_rescind() {
    let version = Version::IRON;
    let relid = RelId::new(5);
    let mut no_signal = tell::offer(5, 1, 0);
    no_signal.signal = None;
    let mut no_connection = tell::offer(5, 1, 0);
    no_connection.signal = Some(OfferSignal::dedicated(0x4500_0000));
    let instance = Guid::new(0, 0, 0, 1);
    for (offer, breach) in [
        (no_signal, Breach::NoSignal { relid, version }),
        (
            no_connection,
            Breach::ConnectionId {
                relid,
                connection_id: ConnectionId(0x4500_0000),
            },
        ),
        (
            tell::offer(5, 1, 3),
            Breach::NoPrimary {
                relid,
                instance,
                sub_channel_index: 3,
            },
        ),
    ] {
        let mut guest = guest_at(version);
        let offer = HostMessage::OfferChannel(offer);
        assert_eq!(guest.hear(&offer), Err(breach.into()));
        assert_eq!(guest.breaches(), 1);
        // The rescind comes before the release is sent, or crosses it: one release, either way.
        guest.hear(&tell::rescind(5)).unwrap();
        assert_eq!(guest.says(), ["RELID_RELEASED relid 5"]);
        assert_eq!(guest.hear(&offer), Err(breach.into()));
        assert_eq!(guest.says(), ["RELID_RELEASED relid 5"]);
        guest.hear(&tell::rescind(5)).unwrap();
        assert_eq!(guest.says(), [""; 0]);
        // The id is good for another channel.
        guest.offered(5, 2);
        assert_eq!(guest.events(), []);
    }
}

#[test]
fn case_03_an_offer_that_cannot_be_read_and_then_its_rescind() {
    let mut guest = guest_at(Version::IRON);
    let mut bytes = tell::offers(5, 1).encode().to_vec();
    bytes.extend([0; 12]);
    assert!(matches!(
        guest.handle_message(&bytes),
        Err(HandleError::Breach(Breach::Decode(_)))
    ));
    assert!(guest.hear(&tell::rescind(5)).is_err());
    assert_eq!(guest.says(), ["RELID_RELEASED relid 5"]);
}

#[test]
fn an_offer_whose_id_can_be_none_is_dropped() {
    let mut guest = guest_at(Version::IRON);
    for relid in [0, 2048, u32::MAX] {
        let breach = Breach::RelId {
            relid: RelId::new(relid),
        };
        assert_eq!(guest.hear(&tell::offers(relid, 1)), Err(breach.into()));
        assert!(guest.hear(&tell::rescind(relid)).is_err());
    }
    assert_eq!((guest.says().len(), guest.events().len()), (0, 0));
    guest.offered(2047, 1);
}

#[test]
fn an_offer_with_an_id_that_is_taken_leaves_the_channel_alone() {
    let (mut guest, channel) = guest_with_channel();
    let relid = channel.relid();
    assert_eq!(
        guest.hear(&tell::offers(1, 9)),
        Err(Breach::DuplicateRelId { relid }.into())
    );
    assert_eq!(guest.channel(channel).unwrap().instance, Guid::new(0, 0, 0, 1));
    assert_eq!((guest.says().len(), guest.events().len()), (0, 0));
    open(&mut guest, channel, 1);
}

#[test]
fn the_same_device_for_the_second_time_is_released() {
    let (mut guest, channel) = guest_with_channel();
    assert_eq!(
        guest.hear(&tell::offers(2, 1)),
        Err(Breach::DuplicateOffer {
            relid: RelId::new(2),
            channel,
            instance: Guid::new(0, 0, 0, 1),
            sub_channel_index: 0
        }
        .into())
    );
    assert_eq!(guest.says(), ["RELID_RELEASED relid 2"]);
    assert_eq!(guest.events(), []);
}

#[test]
fn case_19_more_offers_than_there_is_room_for_are_released_and_told() {
    let mut guest = guest_at(Version::IRON);
    for relid in 1..=6 {
        guest.offered(relid, relid.into());
    }
    for relid in 7..2048 {
        let error = Capacity::Channels {
            capacity: 6,
            relid: RelId::new(relid),
            interface: interface::SCSI,
            instance: Guid::new(0, 0, 0, relid.into()),
        };
        assert_eq!(guest.hear(&tell::offers(relid, relid.into())), Err(error.into()));
    }
    // It is no breach.
    assert_eq!((guest.breaches(), guest.events().len()), (0, 0));
    let said: Vec<_> = (0..2041).map(|_| line(&guest.say().unwrap())).collect();
    assert_eq!(said[0], "RELID_RELEASED relid 7");
    assert_eq!(said[2040], "RELID_RELEASED relid 2047");
    assert_eq!(guest.says(), [""; 0]);
    // Where one goes, another has room.
    guest.hear(&tell::rescind(3)).unwrap();
    let [Event::Rescinded { channel }] = guest.events()[..] else {
        panic!();
    };
    guest.release(channel).unwrap();
    assert_eq!(guest.says(), ["RELID_RELEASED relid 3"]);
    guest.offered(700, 700);
}

#[test]
fn sub_channels_are_told_with_their_primary() {
    let (mut guest, primary) = guest_with_channel();
    open(&mut guest, primary, 1);
    guest.hear(&tell::sub_channel(2, 1, 1)).unwrap();
    guest.hear(&tell::sub_channel(3, 1, 2)).unwrap();
    let events = guest.events();
    let [Event::Offered(first), Event::Offered(second)] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!((first.sub_channel_index, first.primary), (1, Some(primary)));
    assert_eq!((second.sub_channel_index, second.primary), (2, Some(primary)));
    open(&mut guest, first.channel, 2);
    assert_eq!(guest.flagged(2), Flagged::Channel(first.channel));
}

#[test]
fn case_13_more_sub_channels_than_asked_for_can_be_let_go() {
    let (mut guest, primary) = guest_with_channel();
    open(&mut guest, primary, 1);
    for relid in 2..=8 {
        let index = u16::try_from(relid - 1).unwrap();
        let result = guest.hear(&tell::sub_channel(relid, 1, index));
        assert_eq!(result.is_ok(), relid <= 6);
    }
    // The bound is kept, and the embedder need not keep what it did not ask for.
    let offers: Vec<_> = guest
        .events()
        .into_iter()
        .map(|event| match event {
            Event::Offered(offer) => offer.channel,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(offers.len(), 5);
    guest.release(offers[4]).unwrap();
    assert_eq!(
        guest.release(offers[4]),
        Err(CallError::Rescinded { channel: offers[4] })
    );
    assert_eq!(
        guest.says(),
        [
            "RELID_RELEASED relid 6",
            "RELID_RELEASED relid 7",
            "RELID_RELEASED relid 8"
        ]
    );
    // A rescind that crossed it is of no account.
    guest.hear(&tell::rescind(6)).unwrap();
    assert_eq!((guest.says().len(), guest.events().len()), (0, 0));
    assert_eq!(guest.breaches(), 0);
    assert_eq!(
        guest.release(primary),
        Err(CallError::ChannelState {
            channel: primary,
            state: ChannelState::Open
        })
    );
}

#[test]
fn an_old_host_is_signalled_through_the_interrupt_page() {
    let mut of_a_1_1_host = tell::offer(7, 1, 0);
    of_a_1_1_host.signal = Some(OfferSignal {
        is_dedicated: U16::ZERO,
        connection_id: U32::new(0x99),
    });
    let mut of_a_0_13_host = tell::offer(7, 1, 0);
    of_a_0_13_host.signal = None;
    let dedicated = tell::offer(7, 1, 0);
    for (version, offer, connection_id, interrupt_page_flag) in [
        (Version::V1, of_a_0_13_host, 2, Some(7)),
        (Version::V1, dedicated, 2, Some(7)),
        (Version::WIN7, of_a_1_1_host, 0x99, Some(7)),
        (Version::WIN7, dedicated, 0x2007, None),
        (Version::WIN8, of_a_1_1_host, 0x99, None),
    ] {
        let mut guest = SmallGuest::new(GuestConfig {
            highest: version,
            interrupt_page: Some(0x7000),
            ..config()
        });
        guest.meet(FeatureFlags::empty());
        guest.hear(&HostMessage::OfferChannel(offer)).unwrap();
        let [Event::Offered(offered)] = guest.events()[..] else {
            panic!();
        };
        assert_eq!(
            offered.signal,
            ChannelSignal {
                connection_id: ConnectionId(connection_id),
                interrupt_page_flag
            }
        );
        let old = version < Version::WIN8;
        assert_eq!(
            guest.flagged(0),
            if old {
                Flagged::InterruptPage
            } else {
                Flagged::Nobody
            }
        );
        // In the page stands the relid, as in the event flags.
        open(&mut guest, offered.channel, 1);
        assert_eq!(guest.flagged(7), Flagged::Channel(offered.channel));
    }
}

#[test]
fn offers_before_they_are_asked_for_are_released() {
    let mut guest = SmallGuest::new(config());
    guest.connect().unwrap();
    guest.said();
    guest.hear(&tell::version(FeatureFlags::empty())).unwrap();
    let message_type = crate::wire::MessageType::OFFER_CHANNEL;
    assert_eq!(
        guest.hear(&tell::offers(1, 1)),
        Err(Breach::Unrequested { message_type }.into())
    );
    assert_eq!(guest.says(), ["REQUEST_OFFERS", "RELID_RELEASED relid 1"]);
}

#[test]
fn an_offer_again_before_the_release_of_the_one_before_is_sent() {
    let mut guest = guest_at(Version::IRON);
    assert!(guest.hear(&tell::sub_channel(5, 1, 1)).is_err());
    // The release that is on its way would end it.
    let relid = RelId::new(5);
    assert_eq!(
        guest.hear(&tell::offers(5, 2)),
        Err(Breach::DuplicateRelId { relid }.into())
    );
    assert_eq!(guest.says(), ["RELID_RELEASED relid 5"]);
    assert_eq!(guest.events(), []);
    guest.offered(5, 2);
}

#[test]
fn an_id_that_was_let_go_is_forgotten_when_it_is_offered_again() {
    let mut guest = guest_at(Version::IRON);
    assert!(guest.hear(&tell::sub_channel(5, 1, 1)).is_err());
    assert_eq!(guest.says(), ["RELID_RELEASED relid 5"]);
    let channel = guest.offered(5, 2);
    guest.hear(&tell::rescind(5)).unwrap();
    guest.release(channel).unwrap();
    assert_eq!(guest.says(), ["RELID_RELEASED relid 5"]);
    // Of an offer that could not be read. It did not cross anything.
    assert!(guest.hear(&tell::rescind(5)).is_err());
    assert_eq!(guest.says(), ["RELID_RELEASED relid 5"]);
}

#[test]
fn a_rescind_of_what_is_being_let_go_ends_the_wait_for_its_memory() {
    let (mut guest, channel) = guest_with_channel();
    guest.hear(&HostMessage::AllOffersDelivered).unwrap();
    guest.events();
    let gpadl = lent(&mut guest, channel, RINGS);
    guest.release(channel).unwrap();
    assert_eq!(guest.said().len(), 1);
    guest.handle_timeout(seconds(0));
    guest.handle_timeout(seconds(10));
    assert!(matches!(
        guest.events()[..],
        [Event::Overdue(Overdue::Gpadl { .. })]
    ));
    guest.hear(&tell::rescind(1)).unwrap();
    guest.handle_timeout(seconds(10));
    guest.handle_timeout(seconds(20));
    assert_eq!(
        guest.events(),
        [returned(channel, gpadl, RINGS, ReturnReason::Rescinded)]
    );
    assert_eq!(guest.says(), ["RELID_RELEASED relid 1"]);
}
