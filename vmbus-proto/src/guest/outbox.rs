//! What the guest has to say, in which order.

use core::time::Duration;

use hvcall::{ConnectionId, HvStatus};
use zerocopy::little_endian::U32;

use super::channel::{Channel, Modify, Standing, Usage};
use super::connection::Connection;
use super::engine::Guest;
use super::event::{ConnectError, DisconnectReason};
use super::gpadl::State;
use super::pages::Pages;
use super::params::ChannelId;
use super::session::{ModifyPages, Offers, Pause};
use super::timer::Timer;
use crate::channel_state::ChannelState;
use crate::wire::{
    CloseChannel, Encoded, GpadlId, GpadlTeardown, GuestMessage, ModifyChannel, RelId, RelIdReleased, Version,
};

/// A message to be posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outbound {
    /// The connection.
    pub connection: ConnectionId,
    /// The message: the payload of a post of type [`VMBUS`](hvcall::synic::MessageType::VMBUS).
    pub payload: Encoded,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Posted {
    /// The host has it, or does not know the version that it was asked for, and is asked for another one next.
    Done,
    /// It will be given again, after a while.
    Later,
    /// It will not be given again. What it was for fails, now or when its answer is overdue.
    Refused,
}

/// Which message, and so what follows when it is posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Contact(Version),
    Unload,
    Pause,
    Resume,
    RequestOffers,
    ModifyConnection,
    Close(ChannelId),
    Teardown(GpadlId),
    Release(ChannelId),
    /// Of an offer that was not taken up.
    Refuse(RelId),
    Open(ChannelId),
    Modify(ChannelId),
    Gpadl(GpadlId),
}

/// A message that could not be posted, for which there is no room at the moment.
#[derive(Debug, Default)]
pub(super) struct Retry {
    attempts: u32,
    /// When it is to be tried again.
    pub(super) again: Timer,
    /// When it is to be given up.
    pub(super) until: Timer,
    pub(super) exhausted: bool,
}

impl Retry {
    /// A delay that grows from a millisecond to a quarter of a second.
    pub(super) fn delay(&self) -> Duration {
        Duration::from_millis(1 << self.attempts.min(8))
    }

    fn defer(&mut self) {
        if self.until == Timer::Off {
            self.until = Timer::Started;
        }
        self.again = Timer::Started;
        self.attempts = self.attempts.saturating_add(1);
    }
}

impl<M: Pages, const CHANNELS: usize, const GPADLS: usize> Guest<M, CHANNELS, GPADLS> {
    /// The message that is to be posted next, if it is time for it: post it, then [say](Self::message_posted) what came of that, before
    /// any other call.
    #[must_use]
    pub fn next_message(&mut self) -> Option<Outbound> {
        let due = self.due();
        if self.posting != due {
            self.posting = due;
            self.retry = Retry::default();
        }
        if self.retry.again != Timer::Off {
            return None;
        }
        let action = due?;
        Some(Outbound {
            connection: match (action, &self.connection) {
                (Action::Contact(version), _) => Self::contact_connection(version),
                (_, Connection::Connected(session)) => session.connected.message_connection,
                (_, Connection::Unloading { connection, .. }) => *connection,
                _ => return None,
            },
            payload: self.make_message(action)?,
        })
    }

    /// Tells what came of posting the message that [`next_message`](Self::next_message) gave: the status of the hypercall.
    pub fn message_posted(&mut self, status: HvStatus) -> Posted {
        let Some(action) = self.posting else {
            return Posted::Refused;
        };
        match (action, status) {
            (_, HvStatus::SUCCESS) => self.apply(action),
            // A host that does not know 5.0 has nothing where it is asked for it.
            (Action::Contact(version), HvStatus::INVALID_CONNECTION_ID)
                if version >= Version::WIN10_RS3_1 =>
            {
                self.contact_refused(version);
            }
            (_, status) if status.is_passing_for_post() && !self.retry.exhausted => {
                self.retry.defer();
                return Posted::Later;
            }
            _ => {
                self.posting = None;
                self.retry = Retry::default();
                match action {
                    Action::Contact(version) => {
                        self.fail_contact(ConnectError::NotPosted { version, status })
                    }
                    Action::Unload => self.disconnect(DisconnectReason::NoAnswer),
                    // Its answer will be overdue, should it have one.
                    action => self.apply(action),
                }
                return Posted::Refused;
            }
        }
        self.posting = None;
        self.retry = Retry::default();
        Posted::Done
    }

    /// The first message that the state asks for.
    fn due(&self) -> Option<Action> {
        let session = match &self.connection {
            Connection::Contacting {
                version,
                posted: false,
                ..
            } => return Some(Action::Contact(*version)),
            Connection::Unloading { posted: false, .. } => return Some(Action::Unload),
            Connection::Connected(session) => session,
            _ => return None,
        };
        match session.pause {
            Pause::ResumeWanted => return Some(Action::Resume),
            Pause::Pausing(_) | Pause::Paused => return None,
            Pause::No | Pause::Wanted => (),
        }
        // The messages of one GPADL go one after the other.
        if let Some(gpadl) = self.gpadls.iter().find(|gpadl| gpadl.is_on_the_way()) {
            return Some(Action::Gpadl(gpadl.id));
        }
        if let Pause::Wanted = session.pause {
            return Some(Action::Pause);
        }
        if let Offers::NotRequested = session.offers {
            return Some(Action::RequestOffers);
        }
        // What ends comes before what begins.
        self.due_end()
            .or(match session.modify {
                ModifyPages::Pending(_) => Some(Action::ModifyConnection),
                _ => None,
            })
            .or_else(|| self.due_begin())
    }

    fn due_end(&self) -> Option<Action> {
        // A channel is closed before the memory of its rings is torn down.
        let mut channels = self.channels.iter();
        if let Some(channel) = channels.find(|channel| channel.usage == Usage::ClosePending) {
            return Some(Action::Close(channel.id()));
        }
        let mut gpadls = self.gpadls.iter();
        if let Some(gpadl) = gpadls.find(|gpadl| gpadl.state == State::TeardownPending) {
            return Some(Action::Teardown(gpadl.id));
        }
        let mut channels = self.channels.iter();
        if let Some(channel) = channels.find(|channel| self.is_released(channel)) {
            return Some(Action::Release(channel.id()));
        }
        self.refused.first().map(Action::Refuse)
    }

    /// Whether nothing of a channel that the embedder let go of is lent any more, and no answer is to come.
    fn is_released(&self, channel: &Channel) -> bool {
        matches!(channel.standing, Standing::Releasing { .. })
            && channel.state() == ChannelState::Closed
            && !matches!(channel.modify, Modify::Sent { .. })
            && !self
                .gpadls
                .iter()
                .any(|gpadl| gpadl.channel == channel.id() && gpadl.is_lent())
    }

    fn due_begin(&self) -> Option<Action> {
        let channel = self.channels.iter().find_map(|channel| {
            match (channel.usage, channel.modify) {
                (Usage::OpenPending(_), _) => Some(Action::Open(channel.id())),
                (_, Modify::Pending { .. }) => Some(Action::Modify(channel.id())),
                _ => None,
            }
            .filter(|_| !channel.is_gone())
        });
        channel.or_else(|| {
            let mut gpadls = self.gpadls.iter();
            let gpadl = gpadls.find(|gpadl| matches!(gpadl.state, State::Sending { .. }))?;
            Some(Action::Gpadl(gpadl.id))
        })
    }

    fn make_message(&self, action: Action) -> Option<Encoded> {
        let message = match action {
            Action::Contact(version) => self.make_contact(version),
            Action::Unload => GuestMessage::Unload,
            Action::Pause => GuestMessage::Pause,
            Action::Resume => GuestMessage::Resume,
            Action::RequestOffers => GuestMessage::RequestOffers,
            Action::ModifyConnection => match self.connection.session()?.modify {
                ModifyPages::Pending(pages) => Self::make_modify_connection(pages),
                _ => return None,
            },
            Action::Close(channel) => GuestMessage::CloseChannel(CloseChannel { relid: channel.relid }),
            Action::Teardown(gpadl) => GuestMessage::GpadlTeardown(GpadlTeardown {
                relid: self.gpadls.find(gpadl)?.channel.relid,
                gpadl,
            }),
            Action::Release(channel) => released(channel.relid),
            Action::Refuse(relid) => released(relid),
            Action::Open(channel) => {
                let channel = self.channels.find(channel)?;
                let Usage::OpenPending(params) = channel.usage else {
                    return None;
                };
                self.make_open(channel, &params, self.last_open_id.wrapping_add(1))?
            }
            Action::Modify(channel) => match self.channels.find(channel)?.modify {
                Modify::Pending { target_vp } => GuestMessage::ModifyChannel(ModifyChannel {
                    relid: channel.relid,
                    target_vp: U32::new(target_vp),
                }),
                _ => return None,
            },
            Action::Gpadl(gpadl) => return Self::make_gpadl(self.gpadls.find(gpadl)?),
        };
        message.encode().ok()
    }

    /// The message is posted.
    fn apply(&mut self, action: Action) {
        let timer = Timer::Started;
        match action {
            Action::Contact(version) => {
                self.connection = Connection::Contacting {
                    version,
                    posted: true,
                    timer,
                };
            }
            Action::Unload => {
                if let Connection::Unloading {
                    posted,
                    timer: running,
                    ..
                } = &mut self.connection
                {
                    (*posted, *running) = (true, timer);
                }
            }
            Action::Pause | Action::Resume | Action::RequestOffers | Action::ModifyConnection => {
                self.apply_to_session(action);
            }
            Action::Close(id) => {
                if let Some(channel) = self.channels.find_mut(id) {
                    channel.usage = Usage::Closed;
                }
            }
            Action::Teardown(gpadl) => {
                if let Some(gpadl) = self.gpadls.find_mut(gpadl) {
                    gpadl.await_answer(State::TearingDown);
                }
            }
            Action::Release(id) => {
                if let Some(channel) = self.channels.find_mut(id) {
                    if !channel.is_rescinded() {
                        self.let_go.insert(id.relid);
                    }
                    channel.standing = Standing::Gone;
                }
                self.channels.sweep();
            }
            Action::Refuse(relid) => {
                self.refused.remove(relid);
                self.let_go.insert(relid);
            }
            Action::Open(id) => {
                self.last_open_id = self.last_open_id.wrapping_add(1);
                let open_id = self.last_open_id;
                if let Some(channel) = self.channels.find_mut(id)
                    && let Usage::OpenPending(params) = channel.usage
                {
                    channel.usage = Usage::Opening {
                        open_id,
                        params,
                        timer,
                        abandoned: false,
                    };
                }
            }
            Action::Modify(id) => {
                let is_answered = self
                    .connected()
                    .is_some_and(|connected| connected.version >= Version::IRON);
                if let Some(channel) = self.channels.find_mut(id) {
                    if is_answered {
                        channel.modify = Modify::Sent {
                            timer,
                            abandoned: false,
                        };
                    } else {
                        channel.modify = Modify::None;
                        channel.notice_modify = Some(Ok(()));
                    }
                }
            }
            Action::Gpadl(gpadl) => {
                if let Some(gpadl) = self.gpadls.find_mut(gpadl) {
                    Self::gpadl_posted(gpadl);
                }
            }
        }
    }

    fn apply_to_session(&mut self, action: Action) {
        let timer = Timer::Started;
        let Some(session) = self.connection.session_mut() else {
            return;
        };
        match action {
            Action::Pause => session.pause = Pause::Pausing(timer),
            Action::RequestOffers => session.offers = Offers::Requested(timer),
            Action::ModifyConnection => session.modify = ModifyPages::Sent(timer),
            Action::Resume => {
                session.pause = Pause::No;
                self.restart_timers();
            }
            _ => (),
        }
    }
}

fn released(relid: RelId) -> GuestMessage<'static> {
    GuestMessage::RelIdReleased(RelIdReleased { relid })
}
