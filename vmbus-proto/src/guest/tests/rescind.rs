//! The host takes channels back, in every state of them.

use super::*;

/// Rescinds the channel with relid 1, and gives what the embedder is told.
fn rescind(guest: &mut SmallGuest) -> Vec<Event<Contiguous>> {
    guest.hear(&tell::rescind(1)).unwrap();
    guest.events()
}

/// An open that a rescind ends.
fn failed(channel: ChannelId) -> Event<Contiguous> {
    Event::OpenFailed {
        channel,
        error: OpenError::Rescinded,
    }
}

const RELEASED: &str = "RELID_RELEASED relid 1";

#[test]
fn case_10_a_rescind_before_the_embedder_knows_of_the_offer() {
    let mut guest = guest_at(Version::IRON);
    guest.hear(&tell::offers(1, 1)).unwrap();
    assert_eq!(rescind(&mut guest), []);
    assert_eq!(guest.says(), [RELEASED]);
    guest.offered(1, 1);
}

#[test]
fn case_10_a_rescind_of_a_closed_channel() {
    let (mut guest, channel) = guest_with_channel();
    assert_eq!(rescind(&mut guest), [Event::Rescinded { channel }]);
    assert_eq!(guest.says(), [""; 0]);
    assert_eq!(
        guest.open(channel, RINGS, params()).unwrap_err().error,
        CallError::Rescinded { channel }
    );
    guest.release(channel).unwrap();
    assert_eq!(guest.says(), [RELEASED]);
    assert_eq!(guest.release(channel), Err(CallError::UnknownChannel { channel }));
}

#[test]
fn case_10_a_rescind_while_the_rings_are_lent() {
    // Nothing posted.
    let (mut guest, channel) = guest_with_channel();
    let gpadl = guest.open(channel, RINGS, params()).unwrap();
    assert_eq!(
        rescind(&mut guest),
        [
            failed(channel),
            Event::Rescinded { channel },
            returned(channel, gpadl, RINGS, ReturnReason::NeverLent)
        ]
    );
    guest.release(channel).unwrap();
    assert_eq!(guest.says(), [RELEASED]);
    // Posted, and answered after the rescind: success, as hosts do, or failure.
    for status in [Status::SUCCESS, Status::UNSUCCESSFUL] {
        let (mut guest, channel) = guest_with_channel();
        let gpadl = guest.open(channel, RINGS, params()).unwrap();
        guest.said();
        assert_eq!(
            rescind(&mut guest),
            [failed(channel), Event::Rescinded { channel }]
        );
        guest.release(channel).unwrap();
        assert_eq!(guest.says(), [""; 0]);
        guest.hear(&tell::created(1, gpadl, status)).unwrap();
        if status.is_success() {
            assert_eq!(guest.says(), [teardown(gpadl)]);
            guest.hear(&tell::torndown(gpadl)).unwrap();
        }
        assert_eq!(guest.says(), [RELEASED]);
        assert_eq!(guest.events().len(), 1);
    }
}

#[test]
fn case_10_a_rescind_while_the_channel_is_opening() {
    for posted in [false, true] {
        let (mut guest, channel) = guest_with_channel();
        let gpadl = guest.open(channel, RINGS, params()).unwrap();
        guest.said();
        guest.hear(&tell::created(1, gpadl, Status::SUCCESS)).unwrap();
        if posted {
            assert_eq!(guest.said().len(), 1);
        }
        // There is no answer to the open any more, and no close.
        assert_eq!(
            rescind(&mut guest),
            [failed(channel), Event::Rescinded { channel }]
        );
        assert_eq!(guest.says(), [teardown(gpadl)]);
        assert!(guest.hear(&tell::opened(1, 1, Status::SUCCESS)).is_err());
        guest.release(channel).unwrap();
        assert_eq!(guest.says(), [""; 0]);
        guest.hear(&tell::torndown(gpadl)).unwrap();
        assert_eq!(guest.says(), [RELEASED]);
    }
}

#[test]
fn case_10_a_rescind_of_an_open_channel() {
    let (mut guest, channel) = guest_with_channel();
    let ring = open(&mut guest, channel, 1);
    let buffer = lent(&mut guest, channel, memory(0x900, 2));
    assert_eq!(rescind(&mut guest), [Event::Rescinded { channel }]);
    // Nothing is done before the embedder has dropped the rings.
    assert_eq!(guest.says(), [""; 0]);
    assert_eq!(guest.rings(channel), Some((&RINGS, 2)));
    guest.release(channel).unwrap();
    let said = guest.says();
    assert_eq!(said[0], "CLOSE_CHANNEL relid 1");
    assert_eq!(said.len(), 3);
    guest.hear(&tell::torndown(buffer)).unwrap();
    assert_eq!(guest.says(), [""; 0]);
    guest.hear(&tell::torndown(ring)).unwrap();
    assert_eq!(guest.says(), [RELEASED]);
    assert_eq!(guest.events().len(), 2);
}

#[test]
fn case_10_a_rescind_of_a_channel_that_is_open_and_not_told_so() {
    let (mut guest, channel) = guest_with_channel();
    let gpadl = guest.open(channel, RINGS, params()).unwrap();
    guest.said();
    guest.hear(&tell::created(1, gpadl, Status::SUCCESS)).unwrap();
    guest.said();
    guest.hear(&tell::opened(1, 1, Status::SUCCESS)).unwrap();
    assert_eq!(
        rescind(&mut guest),
        [failed(channel), Event::Rescinded { channel }]
    );
    assert_eq!(
        guest.says(),
        ["CLOSE_CHANNEL relid 1".to_string(), teardown(gpadl)]
    );
}

#[test]
fn case_10_a_rescind_while_the_channel_is_moved() {
    let (mut guest, channel) = guest_with_channel();
    let gpadl = open(&mut guest, channel, 1);
    guest.modify(channel, None).unwrap();
    guest.said();
    assert_eq!(
        rescind(&mut guest),
        [
            Event::Modified {
                channel,
                result: Err(ModifyError::Rescinded)
            },
            Event::Rescinded { channel }
        ]
    );
    guest.release(channel).unwrap();
    assert_eq!(guest.said().len(), 2);
    guest.hear(&tell::torndown(gpadl)).unwrap();
    // The answer is still to come, and the id is not given back before.
    assert_eq!(guest.says(), [""; 0]);
    guest.hear(&tell::modified(1, Status::UNSUCCESSFUL)).unwrap();
    assert_eq!(guest.says(), [RELEASED]);
    assert_eq!(guest.breaches(), 0);
}

#[test]
fn case_10_a_rescind_while_the_channel_is_closed_by_the_guest() {
    for posted in [false, true] {
        let (mut guest, channel) = guest_with_channel();
        let gpadl = open(&mut guest, channel, 1);
        guest.close(channel).unwrap();
        if posted {
            guest.said();
        }
        assert_eq!(rescind(&mut guest), [Event::Rescinded { channel }]);
        guest.release(channel).unwrap();
        assert_eq!(guest.said().len(), if posted { 0 } else { 2 });
        guest.hear(&tell::torndown(gpadl)).unwrap();
        assert_eq!(guest.says(), [RELEASED]);
    }
}

#[test]
fn a_rescind_for_the_second_time_is_dropped() {
    let (mut guest, channel) = guest_with_channel();
    assert_eq!(rescind(&mut guest).len(), 1);
    let breach = Breach::RescindedTwice {
        relid: channel.relid(),
    };
    assert_eq!(guest.hear(&tell::rescind(1)), Err(breach.into()));
    guest.release(channel).unwrap();
    assert_eq!(guest.hear(&tell::rescind(1)), Err(breach.into()));
    assert_eq!(guest.says(), [RELEASED]);
}

#[test]
fn case_10_an_offer_again_while_the_old_one_is_being_released() {
    let (mut guest, channel) = guest_with_channel();
    let ring = open(&mut guest, channel, 1);
    guest.hear(&tell::rescind(1)).unwrap();
    // The same device by another id, with a sub-channel. An honest host waits; this one does not.
    guest.hear(&tell::offers(2, 1)).unwrap();
    guest.hear(&tell::sub_channel(3, 1, 1)).unwrap();
    guest.hear(&tell::offers(4, 4)).unwrap();
    let events = guest.events();
    let [Event::Rescinded { .. }, Event::Offered(other)] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(other.channel.relid(), RelId::new(4));
    // By its old id it cannot be.
    assert!(guest.hear(&tell::offers(1, 1)).is_err());
    guest.release(channel).unwrap();
    let events = guest.events();
    let [Event::Offered(again), Event::Offered(sub_channel)] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(again.channel.relid(), RelId::new(2));
    assert_eq!(sub_channel.primary, Some(again.channel));
    assert_eq!(guest.said().len(), 2);
    open(&mut guest, again.channel, 2);
    guest.hear(&tell::torndown(ring)).unwrap();
    assert_eq!(guest.says(), [RELEASED]);
    // And by the old id, after the release.
    guest.hear(&tell::rescind(2)).unwrap();
    guest.release(again.channel).unwrap();
    guest.hear(&tell::offers(1, 1)).unwrap();
}

#[test]
fn a_host_that_does_not_answer_teardowns_after_a_rescind() {
    let (mut guest, channel) = guest_with_channel();
    guest.hear(&HostMessage::AllOffersDelivered).unwrap();
    assert_eq!(guest.events().len(), 1);
    let ring = open(&mut guest, channel, 1);
    // One that was overdue before, and so is not waited for any more.
    let buffer = lent(&mut guest, channel, memory(0x900, 2));
    guest.teardown(buffer).unwrap();
    guest.said();
    guest.handle_timeout(seconds(0));
    guest.handle_timeout(seconds(10));
    assert_eq!(guest.events().len(), 1);
    assert_eq!(rescind(&mut guest), [Event::Rescinded { channel }]);
    guest.handle_timeout(seconds(10));
    guest.handle_timeout(seconds(20));
    // Not while the embedder may use it.
    assert_eq!(guest.events(), []);
    guest.release(channel).unwrap();
    assert_eq!(guest.said().len(), 2);
    guest.handle_timeout(seconds(20));
    guest.handle_timeout(seconds(30));
    let events = guest.events();
    assert_eq!(events.len(), 2, "{events:?}");
    for (gpadl, memory) in [(ring, RINGS), (buffer, memory(0x900, 2))] {
        assert!(events.contains(&returned(channel, gpadl, memory, ReturnReason::Rescinded)));
    }
    assert_eq!(guest.says(), [RELEASED]);
    // What comes later is for nobody.
    assert!(guest.hear(&tell::torndown(ring)).is_err());
}

#[test]
fn a_rescind_of_what_was_never_offered_is_completed() {
    let mut guest = guest_at(Version::IRON);
    let (message_type, relid) = (crate::wire::MessageType::RESCIND_CHANNEL_OFFER, RelId::new(77));
    let breach = Breach::UnknownChannel { message_type, relid };
    assert_eq!(guest.hear(&tell::rescind(77)), Err(breach.into()));
    assert_eq!(guest.says(), ["RELID_RELEASED relid 77"]);
}
