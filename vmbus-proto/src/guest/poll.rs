//! What the embedder has to act on, derived from the state.

use super::channel::{Channel, Standing};
use super::engine::Guest;
use super::event::{Event, Opened, Overdue};
use super::gpadl::State;
use super::pages::Pages;
use crate::wire::MessageType;

impl<M: Pages, const CHANNELS: usize, const GPADLS: usize> Guest<M, CHANNELS, GPADLS> {
    /// What the embedder has to act on next. Events are not queued but found in the state, so none can get lost.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Event<M>> {
        // What ends comes before what begins.
        self.poll_failed()
            .or_else(|| self.poll_rescind())
            .or_else(|| {
                let (gpadl, channel, memory, reason) = self.gpadls.take_returned()?;
                Some(Event::MemoryReturned {
                    channel,
                    gpadl,
                    memory,
                    reason,
                })
            })
            .or_else(|| self.poll_overdue())
            .or_else(|| self.poll_connection())
            .or_else(|| self.poll_offer())
            .or_else(|| self.poll_created())
            .or_else(|| self.poll_done())
    }

    fn poll_failed(&mut self) -> Option<Event<M>> {
        let event = self.channels.iter_mut().find_map(|channel| {
            let id = channel.id();
            if let Some(Err(error)) = channel.notice_open {
                channel.notice_open = None;
                return Some(Event::OpenFailed { channel: id, error });
            }
            // A success too comes before the channel's end.
            let ends = channel.standing != Standing::Offered;
            let result = channel.notice_modify.take_if(|result| ends || result.is_err())?;
            Some(Event::Modified { channel: id, result })
        });
        if event.is_some() {
            self.channels.sweep();
        }
        event
    }

    fn poll_rescind(&mut self) -> Option<Event<M>> {
        let channel = self.channels.iter_mut().find(|channel| {
            channel.standing == Standing::Rescinded && channel.announced && !channel.rescind_announced
        })?;
        channel.rescind_announced = true;
        Some(Event::Rescinded {
            channel: channel.id(),
        })
    }

    fn poll_overdue(&mut self) -> Option<Event<M>> {
        if let Some(gpadl) = self.gpadls.iter_mut().find(|gpadl| gpadl.notice_overdue) {
            gpadl.notice_overdue = false;
            gpadl.overdue_told = true;
            return Some(Event::Overdue(Overdue::Gpadl {
                channel: gpadl.channel,
                gpadl: gpadl.id,
                request: match gpadl.state {
                    State::Stranded => MessageType::UNLOAD,
                    State::TearingDown => MessageType::GPADL_TEARDOWN,
                    _ => MessageType::GPADL_HEADER,
                },
            }));
        }
        if core::mem::take(&mut self.notices.offers_overdue) {
            return Some(Event::Overdue(Overdue::Offers));
        }
        core::mem::take(&mut self.notices.pause_overdue).then_some(Event::Overdue(Overdue::Pause))
    }

    fn poll_connection(&mut self) -> Option<Event<M>> {
        let notices = &mut self.notices;
        if let Some(result @ Err(_)) = notices.modified {
            notices.modified = None;
            return Some(Event::ConnectionModified(result));
        }
        if let Some(error) = notices.failed.take() {
            return Some(Event::ConnectFailed(error));
        }
        if let Some(reason) = notices.disconnected.take() {
            return Some(Event::Disconnected(reason));
        }
        notices.connected.take().map(Event::Connected)
    }

    fn poll_offer(&mut self) -> Option<Event<M>> {
        let offer = self
            .channels
            .iter()
            .find(|channel| {
                channel.standing == Standing::Offered && !channel.announced && !self.is_held_back(channel)
            })?
            .offer;
        let channel = self.channels.find_mut(offer.channel)?;
        channel.announced = true;
        Some(Event::Offered(offer))
    }

    /// Whether the same device was offered before, and the embedder has not let go of that yet; or the primary channel is held back so.
    fn is_held_back(&self, channel: &Channel) -> bool {
        let is_held = |channel: &Channel| {
            self.channels.iter().any(|other| {
                other.id() != channel.id()
                    && other.is_twin(&channel.offer)
                    && other.standing == Standing::Rescinded
            })
        };
        is_held(channel)
            || channel
                .offer
                .primary
                .and_then(|primary| self.channels.find(primary))
                .is_some_and(is_held)
    }

    fn poll_created(&mut self) -> Option<Event<M>> {
        // There is nothing to be done with the memory of a channel that goes.
        let channels = &self.channels;
        let gpadl = self.gpadls.iter_mut().find(|gpadl| {
            gpadl.notice_created
                && channels
                    .find(gpadl.channel)
                    .is_some_and(|channel| channel.standing == Standing::Offered)
        })?;
        gpadl.notice_created = false;
        Some(Event::GpadlCreated {
            channel: gpadl.channel,
            gpadl: gpadl.id,
        })
    }

    fn poll_done(&mut self) -> Option<Event<M>> {
        if core::mem::take(&mut self.notices.all_offers) {
            return Some(Event::AllOffersDelivered);
        }
        let event = self.channels.iter_mut().find_map(|channel| {
            let id = channel.id();
            if channel.notice_open.take().is_some() {
                return Some((id, None));
            }
            let result = channel.notice_modify.take()?;
            Some((id, Some(result)))
        });
        if event.is_some() {
            self.channels.sweep();
        }
        match event {
            Some((channel, Some(result))) => return Some(Event::Modified { channel, result }),
            Some((channel, None)) => {
                if let Some(signal) = self.signal(channel) {
                    return Some(Event::Opened(Opened { channel, signal }));
                }
            }
            None => (),
        }
        if core::mem::take(&mut self.notices.paused) {
            return Some(Event::Paused);
        }
        self.notices.modified.take().map(Event::ConnectionModified)
    }
}
