//! What the embedder has to act on, derived from the state.

use super::channel::{Modify, Usage};
use super::engine::Host;
use super::event::{Event, OpenParams};
use super::gpadl::Recall;
use super::params::{ChannelId, connection_id};
use super::ticket::{CloseTicket, ModifyTicket, OpenTicket};

impl<const CHANNELS: usize, const GPADLS: usize, const REPLIES: usize> Host<'_, CHANNELS, GPADLS, REPLIES> {
    /// What the embedder has to act on next. Events are not queued but found in the state, so what has become void in the meantime does not
    /// come up, and none can get lost.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Event> {
        // What ends comes before what begins.
        self.poll_close()
            .or_else(|| self.poll_gpadl())
            .or_else(|| {
                Some(Event::Released {
                    channel: self.channels.take_gone()?,
                })
            })
            .or_else(|| self.poll_connection())
            .or_else(|| self.poll_open())
            .or_else(|| self.poll_modify())
    }

    fn poll_close(&mut self) -> Option<Event> {
        self.channels.iter_mut().find_map(|channel| {
            let Usage::Closing {
                announced: announced @ false,
                ..
            } = &mut channel.usage
            else {
                return None;
            };
            *announced = true;
            let ticket = CloseTicket {
                relid: channel.relid,
                serial: channel.next_serial(),
            };
            Some(Event::Close {
                channel: channel.id(),
                ticket,
            })
        })
    }

    fn poll_gpadl(&mut self) -> Option<Event> {
        let gpadl = self
            .gpadls
            .iter_mut()
            .find(|gpadl| gpadl.uses > 0 && gpadl.recall == Recall::Wanted)?;
        gpadl.recall = Recall::Announced;
        Some(Event::GpadlTeardown {
            channel: ChannelId(gpadl.relid),
            gpadl: gpadl.id,
        })
    }

    fn poll_connection(&mut self) -> Option<Event> {
        if core::mem::take(&mut self.notice_disconnected) {
            return Some(Event::Disconnected);
        }
        let connected = self.notice_connected.take()?;
        self.announced = true;
        Some(Event::Connected(connected))
    }

    fn poll_open(&mut self) -> Option<Event> {
        let channel = self
            .channels
            .iter_mut()
            .find(|channel| matches!(channel.usage, Usage::Opening { announced: false, .. }))?;
        let Usage::Opening {
            opened, announced, ..
        } = &mut channel.usage
        else {
            return None;
        };
        *announced = true;
        let opened = *opened;
        let (id, relid, serial) = (channel.id(), channel.relid, channel.next_serial());
        Some(Event::Open {
            channel: id,
            ticket: OpenTicket { relid, serial },
            request: OpenParams {
                ring_gpadl: opened.ring,
                signal: self.signal_of(relid, opened.target_vp),
                connection_id: connection_id(relid, self.config.sint),
                user_data: opened.user_data,
            },
        })
    }

    fn poll_modify(&mut self) -> Option<Event> {
        let channel = self.channels.iter_mut().find(|channel| {
            matches!(
                channel.usage,
                Usage::Open {
                    modify: Modify::Pending { announced: false },
                    ..
                }
            )
        })?;
        let Usage::Open { opened, modify } = &mut channel.usage else {
            return None;
        };
        *modify = Modify::Pending { announced: true };
        let target_vp = opened.target_vp;
        let (id, relid, serial) = (channel.id(), channel.relid, channel.next_serial());
        Some(Event::Modify {
            channel: id,
            ticket: ModifyTicket { relid, serial },
            signal: self.signal_of(relid, target_vp),
        })
    }
}
