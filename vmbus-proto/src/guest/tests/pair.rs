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
