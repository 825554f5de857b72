//! Channels are opened, closed and moved.

use super::*;
use crate::wire::{OpenChannel, OpenSignal};

fn opens(outbound: &Outbound) -> OpenChannel {
    match GuestMessage::decode(&outbound.payload).unwrap() {
        GuestMessage::OpenChannel(open) => open,
        other => panic!("{other}"),
    }
}

/// A guest with a channel whose OPEN_CHANNEL is posted.
fn opening() -> (SmallGuest, ChannelId, GpadlId) {
    let (mut guest, channel) = guest_with_channel();
    let gpadl = guest.open(channel, RINGS, params()).unwrap();
    guest.said();
    guest.hear(&tell::created(1, gpadl, Status::SUCCESS)).unwrap();
    assert_eq!(guest.said().len(), 1);
    (guest, channel, gpadl)
}

#[test]
fn a_channel_opens_closes_and_opens_again() {
    let (mut guest, channel) = guest_with_channel();
    for open_id in 1..4 {
        let gpadl = open(&mut guest, channel, open_id);
        assert_eq!(guest.rings(channel), Some((&RINGS, 2)));
        assert_eq!(guest.flagged(1), Flagged::Channel(channel));
        guest.close(channel).unwrap();
        assert_eq!(guest.rings(channel), None);
        assert_eq!((guest.flagged(1), guest.signal(channel)), (Flagged::Nobody, None));
        // The close goes before the teardown.
        assert_eq!(
            guest.says(),
            ["CLOSE_CHANNEL relid 1".to_string(), teardown(gpadl)]
        );
        assert_eq!(guest.events(), []);
        guest.hear(&tell::torndown(gpadl)).unwrap();
        assert_eq!(
            guest.events(),
            [returned(channel, gpadl, RINGS, ReturnReason::TornDown)]
        );
    }
}

#[test]
fn an_open_says_what_the_parameters_and_the_version_do() {
    for (version, vp, len) in [
        (Version::WIN7, 0, 148),
        (Version::WIN8, 1, 148),
        (Version::COPPER, 1, 148),
    ] {
        let mut guest = SmallGuest::new(GuestConfig {
            highest: version,
            interrupt_page: Some(0x7000),
            ..config()
        });
        guest.meet(FeatureFlags::empty());
        let channel = guest.offered(1, 1);
        let params = OpenParams {
            user_data: [9; USER_DEFINED_SIZE],
            ..OpenParams::new(3, VpIndex(1))
        };
        let gpadl = guest.open(channel, memory(1, 9), params).unwrap();
        guest.said();
        guest.hear(&tell::created(1, gpadl, Status::SUCCESS)).unwrap();
        let said = guest.said();
        let OpenChannel { request, signal } = opens(&said[0]);
        assert_eq!((said[0].payload.len(), signal), (len, None));
        assert_eq!(request.target_vp.get(), vp);
        assert_eq!(request.downstream_page_offset.get(), 3);
        assert_eq!((request.ring_gpadl, request.relid), (gpadl, RelId::new(1)));
        assert_eq!(request.user_data, [9; USER_DEFINED_SIZE]);
    }
}

#[test]
fn the_long_form_stands_with_either_feature() {
    let by_signal = FeatureFlags::GUEST_SPECIFIED_SIGNAL_PARAMETERS;
    let by_redirection = FeatureFlags::CHANNEL_INTERRUPT_REDIRECTION;
    let chosen = SignalParams {
        connection_id: ConnectionId(0x77),
        event_flag: 900,
    };
    for feature in [by_signal, by_redirection] {
        let mut guest = SmallGuest::new(GuestConfig {
            features: feature,
            ..config()
        });
        guest.meet(feature);
        let channel = guest.offered(1, 1);
        let params = OpenParams {
            signal: (feature == by_signal).then_some(chosen),
            redirect_interrupt: feature == by_redirection,
            ..params()
        };
        let gpadl = guest.open(channel, RINGS, params).unwrap();
        guest.said();
        guest.hear(&tell::created(1, gpadl, Status::SUCCESS)).unwrap();
        let said = guest.said();
        assert_eq!(said[0].payload.len(), 156);
        let expected = if feature == by_signal {
            (0x77, 900, 0)
        } else {
            (0x2001, 1, 1)
        };
        assert_eq!(
            opens(&said[0]).signal,
            Some(OpenSignal {
                connection_id: U32::new(expected.0),
                event_flag: U16::new(expected.1),
                flags: U16::new(expected.2)
            })
        );
        guest.hear(&tell::opened(1, 1, Status::SUCCESS)).unwrap();
        let [Event::Opened(opened)] = guest.events()[..] else {
            panic!();
        };
        assert_eq!(opened.signal.connection_id, ConnectionId(expected.0));
        assert_eq!(guest.flagged(expected.1), Flagged::Channel(channel));
        // Not asked for, not to be used.
        let other = guest.offered(2, 2);
        let wanted = OpenParams {
            signal: Some(chosen),
            redirect_interrupt: true,
            ..params
        };
        let missing = (by_signal | by_redirection) - feature;
        assert_eq!(
            guest.open(other, RINGS, wanted).unwrap_err().error,
            CallError::NoFeature { feature: missing }
        );
    }
}

#[test]
fn what_cannot_be_opened_comes_back_at_once() {
    let (mut guest, channel) = guest_with_channel();
    for (memory, downstream) in [
        (memory(1, 4), 1),
        (memory(1, 4), 3),
        (memory(1, 3), 2),
        (memory(1, 4), u32::MAX),
    ] {
        let rejected = guest
            .open(channel, memory, OpenParams::new(downstream, VpIndex(0)))
            .unwrap_err();
        assert_eq!(rejected.memory, memory);
        assert_eq!(
            rejected.error,
            CallError::Memory(MemoryError::RingLayout {
                pages: Some(memory.pages),
                downstream
            })
        );
    }
    open(&mut guest, channel, 1);
    let state = ChannelState::Open;
    assert_eq!(
        guest.open(channel, RINGS, params()).unwrap_err().error,
        CallError::ChannelState { channel, state }
    );
    guest.connection_lost();
    assert_eq!(
        guest.open(channel, RINGS, params()).unwrap_err().error,
        CallError::NotConnected
    );
}

#[test]
fn case_12_memory_of_rings_that_is_refused_is_told() {
    let (mut guest, channel) = guest_with_channel();
    let gpadl = guest.open(channel, RINGS, params()).unwrap();
    guest.said();
    let status = Status::INSUFFICIENT_RESOURCES;
    guest.hear(&tell::created(1, gpadl, status)).unwrap();
    assert_eq!(
        guest.events(),
        [
            Event::OpenFailed {
                channel,
                error: OpenError::Memory(status)
            },
            returned(channel, gpadl, RINGS, ReturnReason::Refused(status))
        ]
    );
    assert_eq!(guest.says(), [""; 0]);
    open(&mut guest, channel, 1);
}

#[test]
fn case_12_an_open_that_is_refused_is_told() {
    let (mut guest, channel, gpadl) = opening();
    let status = Status::UNSUCCESSFUL;
    guest.hear(&tell::opened(1, 1, status)).unwrap();
    assert_eq!(
        guest.events(),
        [Event::OpenFailed {
            channel,
            error: OpenError::Refused(status)
        }]
    );
    // It was lent all the same.
    assert_eq!(guest.says(), [teardown(gpadl)]);
    guest.hear(&tell::torndown(gpadl)).unwrap();
    assert_eq!(
        guest.events(),
        [returned(channel, gpadl, RINGS, ReturnReason::TornDown)]
    );
    open(&mut guest, channel, 2);
}

#[test]
fn a_close_before_the_channel_is_open() {
    // What was posted of the open, and what is said then and after the host's answer.
    let (mut guest, channel) = guest_with_channel();
    let closed = Event::OpenFailed {
        channel,
        error: OpenError::Closed,
    };
    // Nothing is posted.
    let gpadl = guest.open(channel, RINGS, params()).unwrap();
    guest.close(channel).unwrap();
    assert_eq!(
        guest.events(),
        [closed, returned(channel, gpadl, RINGS, ReturnReason::NeverLent)]
    );
    assert_eq!(guest.says(), [""; 0]);
    // The memory is lent, or not yet.
    for created_first in [false, true] {
        let gpadl = guest.open(channel, RINGS, params()).unwrap();
        assert_eq!(guest.said().len(), 1);
        if created_first {
            guest.hear(&tell::created(1, gpadl, Status::SUCCESS)).unwrap();
        }
        guest.close(channel).unwrap();
        assert_eq!(guest.events().len(), 1);
        if !created_first {
            assert_eq!(guest.says(), [""; 0]);
            guest.hear(&tell::created(1, gpadl, Status::SUCCESS)).unwrap();
        }
        assert_eq!(guest.says(), [teardown(gpadl)]);
        guest.hear(&tell::torndown(gpadl)).unwrap();
        assert_eq!(
            guest.events(),
            [returned(channel, gpadl, RINGS, ReturnReason::TornDown)]
        );
    }
    // The open is posted: the host is told once it has answered.
    for status in [Status::SUCCESS, Status::UNSUCCESSFUL] {
        let (mut guest, channel, gpadl) = opening();
        guest.close(channel).unwrap();
        assert_eq!(guest.events().len(), 1);
        let state = ChannelState::Closing;
        let error = CallError::ChannelState { channel, state };
        assert_eq!(guest.close(channel), Err(error));
        assert_eq!(guest.open(channel, RINGS, params()).unwrap_err().error, error);
        assert_eq!(guest.says(), [""; 0]);
        guest.hear(&tell::opened(1, 1, status)).unwrap();
        assert_eq!(guest.events(), []);
        let said = guest.says();
        assert_eq!(said.len(), if status.is_success() { 2 } else { 1 });
        guest.hear(&tell::torndown(gpadl)).unwrap();
        assert_eq!(guest.events().len(), 1);
    }
    // It is open, and the embedder was not told yet: now it is told the opposite.
    let (mut guest, channel, _) = opening();
    guest.hear(&tell::opened(1, 1, Status::SUCCESS)).unwrap();
    guest.close(channel).unwrap();
    assert_eq!(
        guest.events(),
        [Event::OpenFailed {
            channel,
            error: OpenError::Closed
        }]
    );
    assert_eq!(guest.says()[0], "CLOSE_CHANNEL relid 1");
}

#[test]
fn a_move_is_answered_from_5_3_on() {
    for version in [Version::WIN10_RS3_0, Version::WIN10_RS5, Version::IRON] {
        let mut guest = guest_at(version);
        let channel = guest.offered(1, 1);
        open(&mut guest, channel, 1);
        guest.modify(channel, Some(VpIndex(3))).unwrap();
        assert_eq!(guest.modify(channel, None), Err(CallError::UnderWay));
        assert_eq!(guest.events(), []);
        assert_eq!(guest.says(), ["MODIFY_CHANNEL relid 1 vp 3"]);
        let answered = version >= Version::IRON;
        assert_eq!(guest.hear(&tell::modified(1, Status::SUCCESS)).is_ok(), answered);
        assert_eq!(
            guest.events(),
            [Event::Modified {
                channel,
                result: Ok(())
            }]
        );
        guest.modify(channel, None).unwrap();
        assert_eq!(
            guest.says(),
            [std::format!("MODIFY_CHANNEL relid 1 vp {}", u32::MAX)]
        );
    }
}

#[test]
fn case_12_a_move_that_is_refused_or_overtaken_is_told() {
    let (mut guest, channel) = guest_with_channel();
    let state = ChannelState::Closed;
    assert_eq!(
        guest.modify(channel, None),
        Err(CallError::ChannelState { channel, state })
    );
    open(&mut guest, channel, 1);
    guest.modify(channel, None).unwrap();
    guest.said();
    let status = Status::UNSUCCESSFUL;
    guest.hear(&tell::modified(1, status)).unwrap();
    let result = Err(ModifyError::Refused(status));
    assert_eq!(guest.events(), [Event::Modified { channel, result }]);
    // A close overtakes it. The host answers nevertheless.
    guest.modify(channel, None).unwrap();
    guest.said();
    guest.close(channel).unwrap();
    let result = Err(ModifyError::Closed);
    assert_eq!(guest.events(), [Event::Modified { channel, result }]);
    guest.said();
    guest.hear(&tell::modified(1, status)).unwrap();
    assert_eq!((guest.events().len(), guest.breaches()), (0, 0));
    // Before 4.1 there is no such message.
    let mut old = guest_at(Version::WIN10);
    let channel = old.offered(1, 1);
    assert!(matches!(
        old.modify(channel, None),
        Err(CallError::NotInVersion { .. })
    ));
}
