//! Time: what becomes of answers that do not come.

use core::time::Duration;

use super::channel::{Modify, Standing, Usage};
use super::connection::Connection;
use super::engine::Guest;
use super::event::{
    ConnectError, DisconnectReason, ModifyConnectionError, ModifyError, OpenError, ReturnReason,
};
use super::gpadl::State;
use super::pages::Pages;
use super::session::{ModifyPages, Offers, Pause};
use super::timer::Timer;

impl<M: Pages, const CHANNELS: usize, const GPADLS: usize> Guest<M, CHANNELS, GPADLS> {
    /// When [`handle_timeout`](Self::handle_timeout) is to be called at the latest; `None` when nothing waits for time to pass, and a
    /// moment that has passed already for at once.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        let connection = match &self.connection {
            Connection::Contacting { timer, .. } | Connection::Unloading { timer, .. } => timer.wants(),
            _ => None,
        };
        let session = self.session_timers().filter_map(Timer::wants);
        [self.retry.again, self.retry.until]
            .into_iter()
            .filter_map(Timer::wants)
            .chain(connection)
            .chain(session)
            .min()
    }

    /// The timers of what goes on while the host may send.
    fn session_timers(&self) -> impl Iterator<Item = Timer> {
        let session = self
            .connection
            .session()
            .filter(|session| !session.pause.is_paused());
        let own = session.map(|session| {
            let offers = match session.offers {
                Offers::Requested(timer) => timer,
                _ => Timer::Off,
            };
            let pause = match session.pause {
                Pause::Pausing(timer) => timer,
                _ => Timer::Off,
            };
            let modify = match session.modify {
                ModifyPages::Sent(timer) => timer,
                _ => Timer::Off,
            };
            let channels = self.channels.iter().flat_map(|channel| {
                let open = match channel.usage {
                    Usage::Opening { timer, .. } => timer,
                    _ => Timer::Off,
                };
                let modify = match channel.modify {
                    Modify::Sent { timer, .. } => timer,
                    _ => Timer::Off,
                };
                [open, modify]
            });
            let gpadls = self.gpadls.iter().map(|gpadl| gpadl.timer);
            [offers, pause, modify].into_iter().chain(channels).chain(gpadls)
        });
        own.into_iter().flatten()
    }

    /// Takes the time: how long ago a moment was that stays the same, by a clock that never goes back. What has waited too long by it
    /// is told to be so, and what was begun since the last call starts to wait.
    pub fn handle_timeout(&mut self, now: Duration) {
        let timeouts = self.config.timeouts;
        let delay = self.retry.delay();
        self.retry.again.look(now, delay);
        if self.retry.until.look(now, timeouts.post) {
            self.retry.exhausted = true;
        }
        match &mut self.connection {
            Connection::Contacting { version, timer, .. } => {
                let version = *version;
                if timer.look(now, timeouts.contact) {
                    self.fail_contact(ConnectError::NoAnswer { version });
                }
            }
            Connection::Unloading { timer, .. } => {
                if timer.look(now, timeouts.unload) {
                    self.disconnect(DisconnectReason::NoAnswer);
                }
            }
            Connection::Connected(session) if !session.pause.is_paused() => {
                if let Offers::Requested(timer) = &mut session.offers {
                    self.notices.offers_overdue |= timer.look(now, timeouts.request);
                }
                if let Pause::Pausing(timer) = &mut session.pause {
                    self.notices.pause_overdue |= timer.look(now, timeouts.request);
                }
                if let ModifyPages::Sent(timer) = &mut session.modify
                    && timer.look(now, timeouts.request)
                {
                    session.modify = ModifyPages::None;
                    self.notices.modified = Some(Err(ModifyConnectionError::NoAnswer));
                }
                self.look_at_channels(now, timeouts.request);
                self.look_at_gpadls(now, timeouts.request);
            }
            Connection::Connected(_) | Connection::Disconnected => (),
        }
    }

    fn look_at_channels(&mut self, now: Duration, request: Duration) {
        for channel in self.channels.iter_mut() {
            if let Usage::Opening { timer, abandoned, .. } = &mut channel.usage
                && timer.look(now, request)
            {
                // Told, and closed should it be opened yet.
                *abandoned = true;
                channel.notice_open = Some(Err(OpenError::NoAnswer));
            }
            if let Modify::Sent { timer, abandoned } = &mut channel.modify
                && timer.look(now, request)
            {
                let told = *abandoned;
                channel.modify = Modify::None;
                if !told {
                    channel.notice_modify = Some(Err(ModifyError::NoAnswer));
                }
            }
        }
    }

    fn look_at_gpadls(&mut self, now: Duration, request: Duration) {
        for gpadl in self.gpadls.iter_mut() {
            if !gpadl.timer.look(now, request) {
                continue;
            }
            let channel = self.channels.find_mut(gpadl.channel);
            if let Some(channel) = &channel
                && channel.standing == (Standing::Releasing { rescinded: true })
            {
                gpadl.give_back(ReturnReason::Rescinded);
                continue;
            }
            gpadl.notice_overdue = !gpadl.overdue_told;
            let is_ring = gpadl.is_ring && gpadl.state == State::Sent && !gpadl.unwanted;
            if let Some(channel) = channel
                && is_ring
                && let Usage::Lending(_) = channel.usage
            {
                channel.usage = Usage::Closed;
                channel.notice_open = Some(Err(OpenError::NoAnswer));
                gpadl.unwanted = true;
            }
        }
    }

    /// Gives the host the time for its answers anew: it was asked not to send any.
    pub(super) fn restart_timers(&mut self) {
        if let Some(session) = self.connection.session_mut() {
            if let Offers::Requested(timer) = &mut session.offers {
                timer.restart();
            }
            if let ModifyPages::Sent(timer) = &mut session.modify {
                timer.restart();
            }
        }
        for channel in self.channels.iter_mut() {
            if let Usage::Opening { timer, .. } = &mut channel.usage {
                timer.restart();
            }
            if let Modify::Sent { timer, .. } = &mut channel.modify {
                timer.restart();
            }
        }
        for gpadl in self.gpadls.iter_mut() {
            gpadl.timer.restart();
        }
    }
}
