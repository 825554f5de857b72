//! The guest's engine against the host's.

use std::vec;
use std::vec::Vec;

use super::*;
use crate::host::{self, Host, HostConfig, OfferParams};
use crate::wire::{Guid, Status, interface};

type SmallHost<'a> = Host<'a, 8, 8, 4>;

fn device(number: u64) -> OfferParams {
    OfferParams::new(interface::SCSI, Guid::new(0, 0, 0, number))
}

/// Carries messages until both have nothing to say, with devices that do at once what they are asked to. Gives what the guest's
/// embedder was told.
fn settle(guest: &mut SmallGuest, host: &mut SmallHost<'_>) -> Vec<Event<Contiguous>> {
    let mut events = Vec::new();
    for _ in 0..1000 {
        let mut idle = true;
        while let Some(outbound) = guest.say() {
            assert!(host.takes_messages_on(outbound.connection));
            host.handle_message(&outbound.payload).unwrap();
            idle = false;
            // A host that has no room would have refused the post.
            if host.next_message().is_some() {
                break;
            }
        }
        while let Some(event) = host.poll_event() {
            idle = false;
            match event {
                host::Event::Open { ticket, .. } => host.complete_open(ticket, Status::SUCCESS).unwrap(),
                host::Event::Close { ticket, .. } => host.complete_close(ticket).unwrap(),
                host::Event::Modify { ticket, .. } => host.complete_modify(ticket),
                _ => (),
            }
        }
        while let Some(outbound) = host.next_message().cloned() {
            host.message_delivered();
            guest.handle_message(&outbound.payload()).unwrap();
            idle = false;
        }
        events.extend(guest.events());
        if idle {
            return events;
        }
    }
    panic!("it does not end");
}

#[test]
fn a_channel_is_opened_used_and_closed_at_every_version() {
    for &version in host::VERSIONS {
        let mut storage = vec![0; 4096];
        let mut host: SmallHost<'_> = Host::new(HostConfig::new(4), &mut storage);
        host.offer(device(1)).unwrap();
        let mut guest = SmallGuest::new(GuestConfig {
            highest: version,
            ..config()
        });
        guest.connect().unwrap();
        let events = settle(&mut guest, &mut host);
        let [
            Event::Connected(connected),
            Event::Offered(offer),
            Event::AllOffersDelivered,
        ] = events.as_slice()
        else {
            panic!("{version}: {events:?}");
        };
        assert_eq!(connected.version, version);
        let channel = offer.channel;
        // More pages than go into 2 messages.
        let gpadl = guest.open(channel, memory(0x100, 100), params()).unwrap();
        let events = settle(&mut guest, &mut host);
        assert_eq!(
            events,
            [Event::Opened(Opened {
                channel,
                signal: offer.signal
            })]
        );
        assert_eq!(guest.flagged(1), Flagged::Channel(channel));
        let other = guest.lend(channel, memory(0x1000, 1000)).unwrap();
        let events = settle(&mut guest, &mut host);
        assert_eq!(
            events,
            [Event::GpadlCreated {
                channel,
                gpadl: other
            }]
        );
        guest.close(channel).unwrap();
        let events = settle(&mut guest, &mut host);
        assert_eq!(
            events,
            [Event::MemoryReturned {
                channel,
                gpadl,
                memory: memory(0x100, 100),
                reason: ReturnReason::TornDown
            }]
        );
        guest.unload().unwrap();
        let events = settle(&mut guest, &mut host);
        assert_eq!(
            events,
            [
                Event::MemoryReturned {
                    channel,
                    gpadl: other,
                    memory: memory(0x1000, 1000),
                    reason: ReturnReason::Unloaded
                },
                Event::Disconnected(DisconnectReason::Unloaded)
            ]
        );
        assert_eq!(guest.breaches(), 0);
    }
}

/// Both ends at the newest version, and the device's channel open.
fn opened<'a>(storage: &'a mut [u64]) -> (SmallGuest, SmallHost<'a>, host::ChannelId, ChannelId, GpadlId) {
    let mut host: SmallHost<'_> = Host::new(HostConfig::new(4), storage);
    let device = host.offer(device(1)).unwrap();
    let mut guest = SmallGuest::new(config());
    guest.connect().unwrap();
    let events = settle(&mut guest, &mut host);
    let [Event::Connected(_), Event::Offered(offer), _] = events[..] else {
        panic!("{events:?}");
    };
    let gpadl = guest.open(offer.channel, RINGS, params()).unwrap();
    assert!(matches!(settle(&mut guest, &mut host)[..], [Event::Opened(_)]));
    (guest, host, device, offer.channel, gpadl)
}

#[test]
fn sub_channels_come_and_go_with_their_primary() {
    let mut storage = vec![0; 64];
    let (mut guest, mut host, device, channel, _) = opened(&mut storage);
    for index in 1..=2 {
        host.offer_subchannel(device, index).unwrap();
    }
    let events = settle(&mut guest, &mut host);
    let [Event::Offered(first), Event::Offered(second)] = events[..] else {
        panic!("{events:?}");
    };
    assert_eq!((first.primary, second.primary), (Some(channel), Some(channel)));
    let ring = guest.open(first.channel, memory(0x200, 4), params()).unwrap();
    settle(&mut guest, &mut host);
    guest.close(channel).unwrap();
    let events = settle(&mut guest, &mut host);
    let of = |channel| Event::Rescinded { channel };
    assert!(events.contains(&of(first.channel)) && events.contains(&of(second.channel)));
    guest.release(first.channel).unwrap();
    guest.release(second.channel).unwrap();
    assert_eq!(
        settle(&mut guest, &mut host),
        [returned(
            first.channel,
            ring,
            memory(0x200, 4),
            ReturnReason::TornDown
        )]
    );
    assert_eq!((guest.channels().count(), host.channels().count()), (1, 1));
    assert_eq!(guest.breaches(), 0);
}

#[test]
fn a_guest_that_starts_anew_without_an_unload_gets_its_memory_back() {
    let mut storage = vec![0; 64];
    let (mut guest, mut host, _, channel, gpadl) = opened(&mut storage);
    guest.connection_lost();
    assert_eq!(guest.events().len(), 2);
    guest.connect().unwrap();
    let events = settle(&mut guest, &mut host);
    let [
        back,
        Event::Connected(_),
        Event::Offered(_),
        Event::AllOffersDelivered,
    ] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!(*back, returned(channel, gpadl, RINGS, ReturnReason::Reconnected));
}

#[test]
fn a_pause_and_other_monitor_pages() {
    let mut storage = vec![0; 64];
    let (mut guest, mut host, _, channel, _) = opened(&mut storage);
    guest.pause().unwrap();
    assert_eq!(settle(&mut guest, &mut host), [Event::Paused]);
    guest.modify(channel, Some(VpIndex(3))).unwrap();
    host.offer(device(2)).unwrap();
    assert_eq!(settle(&mut guest, &mut host), []);
    guest.resume().unwrap();
    guest.modify_connection(None).unwrap();
    let events = settle(&mut guest, &mut host);
    assert!(events.contains(&Event::ConnectionModified(Ok(()))));
    assert!(events.contains(&Event::Modified {
        channel,
        result: Ok(())
    }));
    assert!(events.iter().any(|event| matches!(event, Event::Offered(_))));
    assert_eq!((events.len(), guest.breaches()), (3, 0));
}
