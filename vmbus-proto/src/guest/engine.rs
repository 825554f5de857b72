//! The engine: its state, what the embedder calls, and which message goes where.

use hvcall::synic::EVENT_FLAG_COUNT;

use super::channel::{ChannelTable, Usage};
use super::config::GuestConfig;
use super::connection::Connection;
use super::event::{ConnectError, Connected, DisconnectReason, ModifyConnectionError};
use super::fault::{Breach, HandleError};
use super::gpadl::GpadlTable;
use super::outbox::{Action, Retry};
use super::pages::Pages;
use super::params::{ChannelId, ChannelOffer, ChannelSignal, Flagged};
use super::relid_set::RelIdSet;
use crate::wire::{GpadlId, HostMessage, MessageInfo, Version};

/// What the embedder is still to be told of the connection.
#[derive(Debug, Default)]
pub(super) struct Notices {
    pub(super) connected: Option<Connected>,
    pub(super) failed: Option<ConnectError>,
    pub(super) disconnected: Option<DisconnectReason>,
    pub(super) all_offers: bool,
    pub(super) offers_overdue: bool,
    pub(super) paused: bool,
    pub(super) pause_overdue: bool,
    pub(super) modified: Option<Result<(), ModifyConnectionError>>,
}

/// The guest's end of the control plane.
///
/// A value that does no input or output: the host's messages go [in](Self::handle_message), the guest's messages and what the embedder
/// has to act on come [out](Self::next_message) [again](Self::poll_event), and time goes in by
/// [one call](Self::handle_timeout). After each call that changes something, all three should be gone through until they give nothing
/// more. [`Bus`](super::Bus) does that.
///
/// `M` is memory that is lent: see [`Pages`]. What a host can make it hold is set by the embedder: `CHANNELS` offers, those included that
/// are rescinded and not yet released. `GPADLS` bounds what the embedder lends at the same time. Messages are made from the state
/// when they can be posted, so no queue of them can run over.
///
/// # Bounds
///
/// | | at most |
/// |---|---|
/// | memory | the value, 37 KB with the defaults for memory of two words, whatever is lent; nothing for a host's message after the call |
/// | offers | `CHANNELS`; one more is [released](super::Capacity::Channels) at once, and is a bit until that is posted |
/// | lent memory | `GPADLS` values `M`; one more is [refused](super::CallError::Gpadls) to the embedder |
/// | messages queued | none: one is made at a time, from the state |
/// | work of one call | each channel looked at with each memory list; of the memory that a call lends, its 8191 values |
///
/// A host that breaks the protocol harms itself: the message is dropped with a [`Breach`](super::Breach) and counted, and everything
/// else goes on.
#[derive(Debug)]
pub struct Guest<M, const CHANNELS: usize = 64, const GPADLS: usize = 128> {
    pub(super) config: GuestConfig,
    pub(super) connection: Connection,
    pub(super) channels: ChannelTable<CHANNELS>,
    pub(super) gpadls: GpadlTable<M, GPADLS>,
    /// Offers that were not taken up, of which the host is to be told RELID_RELEASED.
    pub(super) refused: RelIdSet,
    /// Offers that the host was told RELID_RELEASED of without having rescinded them. Its rescind may be on the way.
    pub(super) let_go: RelIdSet,
    pub(super) last_open_id: u32,
    /// What [`next_message`](Self::next_message) gave last.
    pub(super) posting: Option<Action>,
    pub(super) retry: Retry,
    pub(super) notices: Notices,
    breaches: u64,
}

impl<M: Pages, const CHANNELS: usize, const GPADLS: usize> Guest<M, CHANNELS, GPADLS> {
    /// A guest without a connection.
    #[must_use]
    pub fn new(config: GuestConfig) -> Self {
        const {
            assert!(
                CHANNELS > 0 && CHANNELS < EVENT_FLAG_COUNT as usize,
                "a SINT has event flags for 1 to 2047 channels"
            );
            assert!(GPADLS > 0, "without a GPADL there is no channel");
        }
        Self {
            config,
            connection: Connection::Disconnected,
            channels: ChannelTable::new(),
            gpadls: GpadlTable::new(),
            refused: RelIdSet::new(),
            let_go: RelIdSet::new(),
            last_open_id: 0,
            posting: None,
            retry: Retry::default(),
            notices: Notices::default(),
            breaches: 0,
        }
    }

    /// What host and guest agreed on, while they are connected.
    #[must_use]
    pub fn connected(&self) -> Option<Connected> {
        self.connection.session().map(|session| session.connected)
    }

    /// Messages of the host that were dropped as breaches of the protocol, since the engine was made. An honest host too can cause some,
    /// when a guest is restarted while messages are under way.
    #[must_use]
    pub const fn breaches(&self) -> u64 {
        self.breaches
    }

    /// Takes a host's message, a private copy of what stands in the slot.
    ///
    /// # Errors
    /// Why it was dropped. The host is told of it where the protocol has a way to.
    pub fn handle_message(&mut self, payload: &[u8]) -> Result<(), HandleError> {
        let result = self.judge_message(payload);
        if let Err(HandleError::Breach(_)) = result {
            self.breaches = self.breaches.saturating_add(1);
        }
        result
    }

    fn judge_message(&mut self, payload: &[u8]) -> Result<(), HandleError> {
        let message = HostMessage::decode(payload).map_err(Breach::from)?;
        let message_type = message.message_type();
        match &message {
            HostMessage::VersionResponse(response) => return self.handle_version_response(response),
            HostMessage::UnloadResponse => return self.handle_unload_response(),
            _ => (),
        }
        let session = match &self.connection {
            Connection::Connected(session) => session,
            // What the host had to say before it got the UNLOAD.
            Connection::Unloading { .. } => return Ok(()),
            _ => return Err(Breach::NotConnected { message_type }.into()),
        };
        let Connected {
            version, features, ..
        } = session.connected;
        if !MessageInfo::of(message_type).is_some_and(|info| info.is_allowed(version, features)) {
            return Err(Breach::NotInVersion {
                message_type,
                version,
            }
            .into());
        }
        if session.pause.is_paused() {
            return Err(Breach::Paused { message_type }.into());
        }
        match message {
            HostMessage::OfferChannel(offer) => self.handle_offer(&offer),
            HostMessage::RescindChannelOffer(rescind) => self.handle_rescind(rescind.relid),
            HostMessage::AllOffersDelivered => self.handle_all_offers_delivered(),
            HostMessage::OpenChannelResult(result) => self.handle_open_result(&result),
            HostMessage::GpadlCreated(created) => self.handle_gpadl_created(&created),
            HostMessage::GpadlTorndown(torndown) => self.handle_gpadl_torndown(torndown.gpadl),
            HostMessage::ModifyChannelResponse(response) => self.handle_modify_response(&response),
            HostMessage::ModifyConnectionResponse(response) => {
                self.handle_modify_connection_response(response.connection_state)
            }
            HostMessage::PauseResponse => self.handle_pause_response(),
            // Nothing here asks for the others.
            _ => Err(Breach::Unrequested { message_type }.into()),
        }
    }

    /// All channels that are offered, those that are rescinded and not yet released included.
    pub fn channels(&self) -> impl Iterator<Item = &ChannelOffer> {
        self.channels
            .iter()
            .filter(|channel| channel.announced && !channel.is_gone())
            .map(|channel| &channel.offer)
    }

    /// A channel's offer.
    #[must_use]
    pub fn channel(&self, channel: ChannelId) -> Option<&ChannelOffer> {
        self.channels.find(channel).map(|channel| &channel.offer)
    }

    /// Memory that is lent.
    #[must_use]
    pub fn gpadl(&self, gpadl: GpadlId) -> Option<&M> {
        self.gpadls.find(gpadl).map(super::gpadl::Gpadl::memory)
    }

    /// The memory of the rings of an open channel, and at which page the ring from host to guest begins.
    #[must_use]
    pub fn rings(&self, channel: ChannelId) -> Option<(&M, u32)> {
        let Usage::Open { params } = self.channels.find(channel)?.usage else {
            return None;
        };
        Some((self.gpadls.ring(channel)?.memory(), params.downstream))
    }

    /// How to signal the host for an open channel.
    #[must_use]
    pub fn signal(&self, channel: ChannelId) -> Option<ChannelSignal> {
        let channel = self.channels.find(channel)?;
        let Usage::Open { params } = channel.usage else {
            return None;
        };
        Some(match params.signal {
            Some(signal) => ChannelSignal {
                connection_id: signal.connection_id,
                interrupt_page_flag: None,
            },
            None => channel.offer.signal,
        })
    }

    /// Whom an event flag is for: one that was taken from the SINT's slot of the event page, or from the interrupt page.
    #[must_use]
    pub fn flagged(&self, flag: u16) -> Flagged {
        let by_interrupt_page = || {
            self.connected()
                .is_some_and(|connected| connected.version < Version::WIN8)
        };
        match flag {
            0 if by_interrupt_page() => Flagged::InterruptPage,
            0 => Flagged::Nobody,
            flag => self
                .channels
                .iter()
                .find(|channel| !channel.is_gone() && channel.event_flag() == Some(flag))
                .map_or(Flagged::Nobody, |channel| Flagged::Channel(channel.id())),
        }
    }
}
