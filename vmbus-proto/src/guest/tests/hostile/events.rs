//! What the guest tells its embedder.

use super::*;

impl World {
    pub(super) fn take_event(&mut self) {
        match self.guest.poll_event() {
            None => (),
            Some(Event::Connected(connected)) => {
                assert!(core::mem::take(&mut self.connecting), "not asked for");
                assert!(!self.connected);
                assert!(connected.message_connection.is_valid());
                assert!(FEATURES.contains(connected.features));
                self.connected = true;
            }
            Some(Event::ConnectFailed(_)) => {
                assert!(core::mem::take(&mut self.connecting), "not asked for");
            }
            Some(Event::Disconnected(_)) => {
                self.connected = false;
                self.open.clear();
            }
            Some(Event::Offered(offer)) => {
                assert!((1..2048).contains(&offer.channel.relid().value()));
                assert!(self.told.insert(offer.channel), "offered twice");
                self.offered.insert(offer.channel);
                assert_eq!(offer.primary.is_some(), offer.sub_channel_index > 0);
                let of_same = |channel: &&ChannelId| {
                    self.guest.channel(**channel).is_some_and(|other| {
                        (other.instance, other.sub_channel_index) == (offer.instance, offer.sub_channel_index)
                    })
                };
                assert_eq!(
                    self.offered.iter().filter(of_same).count(),
                    1,
                    "the same device twice"
                );
                assert_eq!(self.rescinded.iter().filter(of_same).count(), 0, "told too early");
            }
            Some(Event::Rescinded { channel }) => {
                assert!(self.offered.remove(&channel), "of what was not offered");
                assert!(!self.opening.contains(&channel), "an open is untold");
                assert!(!self.moving.contains(&channel), "a move is untold");
                self.rescinded.insert(channel);
            }
            Some(Event::Opened(opened)) => {
                assert!(self.opening.remove(&opened.channel), "not asked for");
                let (memory, _) = self.guest.rings(opened.channel).expect("it has rings");
                assert!(self.lent.values().any(|lent| {
                    lent.ring_of == Some(opened.channel) && lent.memory == Some(*memory) && !lent.teardown
                }));
                self.open.insert(opened.channel);
            }
            Some(Event::OpenFailed { channel, .. }) => {
                assert!(self.opening.remove(&channel), "not asked for");
            }
            Some(Event::Modified { channel, .. }) => {
                assert!(self.moving.remove(&channel), "not asked for");
            }
            Some(Event::GpadlCreated { channel, gpadl }) => {
                let lent = self.lent[&gpadl];
                assert!(lent.header && lent.ring_of.is_none() && !lent.teardown);
                assert!(self.offered.contains(&channel), "of a channel that goes");
            }
            Some(Event::MemoryReturned {
                gpadl,
                memory,
                reason,
                ..
            }) => {
                let lent = self.lent.remove(&gpadl).expect("returned once");
                assert_eq!(lent.memory, Some(memory));
                match reason {
                    ReturnReason::NeverLent => assert!(!lent.header),
                    ReturnReason::TornDown => assert!(lent.teardown),
                    ReturnReason::Refused(_) | ReturnReason::Rescinded => {
                        assert!(lent.header || lent.teardown)
                    }
                    _ => (),
                }
                // A host that is refused its post may be told by the engine to have it; the embedder has let go in any case.
                assert!(
                    lent.ring_of.is_none_or(|channel| !self.open.contains(&channel)),
                    "while the embedder has the rings"
                );
            }
            Some(Event::ConnectionModified(_)) => {
                assert!(core::mem::take(&mut self.modifying), "not asked for");
            }
            Some(Event::Overdue(Overdue::Gpadl { gpadl, .. })) => assert!(self.lent.contains_key(&gpadl)),
            Some(_) => (),
        }
    }
}
