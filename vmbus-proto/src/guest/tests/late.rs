//! Answers that do not come, and those that come late.

use super::*;
use crate::wire::MessageType;

/// Lets the time for an answer to everything that was just posted pass.
fn wait(guest: &mut SmallGuest) {
    // It begins when it is first looked at.
    assert_eq!(guest.poll_timeout(), Some(Duration::ZERO));
    guest.handle_timeout(seconds(1000));
    let then = guest.poll_timeout().unwrap();
    assert_eq!(then, seconds(1010));
    guest.handle_timeout(then - Duration::from_nanos(1));
    assert_eq!(guest.events(), []);
    guest.handle_timeout(then);
    assert_eq!(guest.poll_timeout(), None);
}

#[test]
fn no_answer_to_a_contact() {
    let mut guest = SmallGuest::new(config());
    guest.connect().unwrap();
    guest.said();
    wait(&mut guest);
    let version = Version::COPPER;
    assert_eq!(
        guest.events(),
        [Event::ConnectFailed(ConnectError::NoAnswer { version })]
    );
    let message_type = MessageType::VERSION_RESPONSE;
    assert_eq!(
        guest.hear(&tell::version(FeatureFlags::empty())),
        Err(Breach::Unrequested { message_type }.into())
    );
}

#[test]
fn no_end_of_the_offers() {
    let mut guest = guest_at(Version::IRON);
    wait(&mut guest);
    assert_eq!(guest.events(), [Event::Overdue(Overdue::Offers)]);
    guest.offered(1, 1);
    guest.hear(&HostMessage::AllOffersDelivered).unwrap();
    assert_eq!(guest.events(), [Event::AllOffersDelivered]);
}

/// A guest whose offers are all there, so that nothing runs but what the test begins.
fn quiet() -> (SmallGuest, ChannelId) {
    let (mut guest, channel) = guest_with_channel();
    guest.hear(&HostMessage::AllOffersDelivered).unwrap();
    assert_eq!(guest.events(), [Event::AllOffersDelivered]);
    assert_eq!(guest.poll_timeout(), None);
    (guest, channel)
}

/// What is told of a request about lent memory that the host does not answer.
fn overdue(channel: ChannelId, gpadl: GpadlId, request: MessageType) -> Event<Contiguous> {
    Event::Overdue(Overdue::Gpadl {
        channel,
        gpadl,
        request,
    })
}

#[test]
fn no_answer_to_a_gpadl() {
    let (mut guest, channel) = quiet();
    let gpadl = guest.lend(channel, RINGS).unwrap();
    guest.said();
    wait(&mut guest);
    assert_eq!(
        guest.events(),
        [overdue(channel, gpadl, MessageType::GPADL_HEADER)]
    );
    // It stays lent, and comes when it comes.
    assert_eq!(guest.gpadl(gpadl), Some(&RINGS));
    guest.hear(&tell::created(1, gpadl, Status::SUCCESS)).unwrap();
    assert_eq!(guest.events(), [Event::GpadlCreated { channel, gpadl }]);
}

#[test]
fn no_answer_to_a_teardown() {
    let (mut guest, channel) = quiet();
    let gpadl = lent(&mut guest, channel, RINGS);
    guest.teardown(gpadl).unwrap();
    guest.said();
    wait(&mut guest);
    assert_eq!(
        guest.events(),
        [overdue(channel, gpadl, MessageType::GPADL_TEARDOWN)]
    );
    // The host may still write to it.
    assert_eq!(guest.gpadl(gpadl), Some(&RINGS));
    guest.hear(&tell::torndown(gpadl)).unwrap();
    assert_eq!(
        guest.events(),
        [returned(channel, gpadl, RINGS, ReturnReason::TornDown)]
    );
}

#[test]
fn no_answer_to_the_memory_of_rings() {
    let (mut guest, channel) = quiet();
    let gpadl = guest.open(channel, RINGS, params()).unwrap();
    guest.said();
    wait(&mut guest);
    assert_eq!(
        guest.events(),
        [
            Event::OpenFailed {
                channel,
                error: OpenError::NoAnswer
            },
            overdue(channel, gpadl, MessageType::GPADL_HEADER)
        ]
    );
    // Late, it is torn down at once, and the channel not opened.
    guest.hear(&tell::created(1, gpadl, Status::SUCCESS)).unwrap();
    assert_eq!(guest.says(), [teardown(gpadl)]);
    open(&mut guest, channel, 1);
}

#[test]
fn no_answer_to_an_open() {
    for status in [Status::SUCCESS, Status::UNSUCCESSFUL] {
        let (mut guest, channel) = quiet();
        let gpadl = guest.open(channel, RINGS, params()).unwrap();
        guest.said();
        guest.hear(&tell::created(1, gpadl, Status::SUCCESS)).unwrap();
        guest.said();
        wait(&mut guest);
        let error = OpenError::NoAnswer;
        assert_eq!(guest.events(), [Event::OpenFailed { channel, error }]);
        assert_eq!(guest.gpadl(gpadl), Some(&RINGS));
        let state = ChannelState::Closing;
        assert_eq!(
            guest.open(channel, RINGS, params()).unwrap_err().error,
            CallError::ChannelState { channel, state }
        );
        // Late, it is closed.
        guest.hear(&tell::opened(1, 1, status)).unwrap();
        let teardown = teardown(gpadl);
        let close = "CLOSE_CHANNEL relid 1".to_string();
        if status.is_success() {
            assert_eq!(guest.says(), [close, teardown]);
        } else {
            assert_eq!(guest.says(), [teardown]);
        }
        assert_eq!(guest.events(), []);
        guest.hear(&tell::torndown(gpadl)).unwrap();
        assert_eq!(guest.events().len(), 1);
        open(&mut guest, channel, 2);
    }
}

#[test]
fn no_answer_to_a_move() {
    let (mut guest, channel) = quiet();
    open(&mut guest, channel, 1);
    guest.modify(channel, None).unwrap();
    guest.said();
    wait(&mut guest);
    let result = Err(ModifyError::NoAnswer);
    assert_eq!(guest.events(), [Event::Modified { channel, result }]);
    assert!(guest.hear(&tell::modified(1, Status::SUCCESS)).is_err());
    guest.modify(channel, None).unwrap();
}

#[test]
fn no_answer_to_a_pause_or_a_change_of_monitor_pages() {
    let mut guest = SmallGuest::new(config());
    guest.meet(FeatureFlags::all());
    guest.hear(&HostMessage::AllOffersDelivered).unwrap();
    guest.events();
    guest.modify_connection(None).unwrap();
    guest.said();
    wait(&mut guest);
    let result = Err(ModifyConnectionError::NoAnswer);
    assert_eq!(guest.events(), [Event::ConnectionModified(result)]);
    guest.pause().unwrap();
    guest.said();
    wait(&mut guest);
    assert_eq!(guest.events(), [Event::Overdue(Overdue::Pause)]);
    guest.hear(&HostMessage::PauseResponse).unwrap();
    assert_eq!(guest.events(), [Event::Paused]);
}
