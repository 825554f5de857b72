//! The engine: its state, what the embedder calls, and which message goes where.

use heapless::Deque;
use hvcall::synic::EVENT_FLAG_COUNT;
use hvcall::{ConnectionId, VpIndex};

use super::channel::{Channel, ChannelTable, Modify, Standing, Usage};
use super::config::HostConfig;
use super::connection::{Connection, Pause};
use super::event::Connected;
use super::fault::{Breach, HandleError};
use super::gpadl::{GpadlTable, GpadlView, Recall, RingPages, State};
use super::lend::Discarded;
use super::outbox::Outbound;
use super::params::{
    ChannelId, ChannelSignal, MessageTarget, OfferError, OfferParams, UnknownChannel, connection_id,
};
use super::ticket::{CloseTicket, ForeignTicket, GpadlTicket, ModifyTicket, OpenTicket};
use crate::wire::{
    GpadlId, GpadlTorndown, GuestMessage, HostMessage, MESSAGE_CONNECTION, MESSAGE_CONNECTION_5_0,
    MESSAGE_CONNECTION_REDIRECTED, MessageInfo, ModifyChannelResponse, NO_INTERRUPTS_VP, OpenResult, RelId,
    Status, Version,
};

/// The host's end of the control plane, for one guest.
///
/// A value that does no input or output: the guest's messages go [in](Self::handle_message), the host's messages and what the embedder
/// has to act on come [out](Self::next_message) [again](Self::poll_event). After each call that changes something, both should be
/// polled until they give nothing more.
///
/// What a guest can make it hold is set by the embedder: `CHANNELS` offers, those included that are rescinded and not yet released;
/// `GPADLS` memory lists, whose page numbers stand in storage that is lent (one `u64` for each page, and one for each range); and
/// `REPLIES` answers, those included that the embedder owes. A guest that goes beyond it gets a refusal, or has to wait.
///
/// # Bounds
///
/// | | at most |
/// |---|---|
/// | memory | the value, 33 KB with the defaults, and the storage that it is lent; nothing for a guest's message after the call |
/// | offers | `CHANNELS`; one more is the embedder's [`OfferError::Full`] |
/// | memory lists | `GPADLS`, with as many pages as the storage has values; one more is answered with a status that refuses it |
/// | messages queued | `REPLIES` answers, one that goes before them, and one that is being delivered; a guest that causes more has its post answered as [busy](HandleError::Busy). Offers and recalls are made when they can be sent |
/// | work of one call | each channel looked at with each memory list, and each list with each other; the storage moved once |
///
/// A guest that breaks the protocol harms itself: the message is refused with a [`Breach`](super::Breach), and everything else
/// goes on.
#[derive(Debug)]
pub struct Host<'a, const CHANNELS: usize = 64, const GPADLS: usize = 128, const REPLIES: usize = 32> {
    pub(super) config: HostConfig<'a>,
    pub(super) connection: Connection,
    /// Where messages go; that of the last contact when there is no connection.
    pub(super) target: MessageTarget,
    pub(super) channels: ChannelTable<CHANNELS>,
    pub(super) gpadls: GpadlTable<'a, GPADLS>,
    /// A GPADL that was refused, whose further messages are on their way.
    pub(super) discarded: Option<Discarded>,
    /// Answers to messages about channels and GPADLs, in their order.
    pub(super) replies: Deque<HostMessage, REPLIES>,
    /// The answer to INITIATE_CONTACT or UNLOAD, which goes before everything else.
    pub(super) urgent: Option<(MessageTarget, HostMessage)>,
    /// The message that is being delivered.
    pub(super) outbox: Option<Outbound>,
    pub(super) notice_connected: Option<Connected>,
    pub(super) notice_disconnected: bool,
    /// Whether the embedder knows of the connection.
    pub(super) announced: bool,
}

impl<'a, const CHANNELS: usize, const GPADLS: usize, const REPLIES: usize>
    Host<'a, CHANNELS, GPADLS, REPLIES>
{
    /// A host without offers and without a connection. The page numbers of GPADLs are kept in `storage`: a page takes one value, a range
    /// another one.
    #[must_use]
    pub fn new(config: HostConfig<'a>, storage: &'a mut [u64]) -> Self {
        const {
            assert!(
                CHANNELS > 0 && CHANNELS < EVENT_FLAG_COUNT as usize,
                "a SINT has event flags for 1 to 2047 channels"
            );
            assert!(
                GPADLS > 0 && REPLIES > 0,
                "without a GPADL and an answer there is no channel"
            );
        }
        Self {
            target: MessageTarget {
                vp: VpIndex(0),
                sint: config.sint,
            },
            config,
            connection: Connection::Disconnected,
            channels: ChannelTable::new(),
            gpadls: GpadlTable::new(storage),
            discarded: None,
            replies: Deque::new(),
            urgent: None,
            outbox: None,
            notice_connected: None,
            notice_disconnected: false,
            announced: false,
        }
    }

    /// Whether posts on this connection are channel messages.
    #[must_use]
    pub fn takes_messages_on(&self, connection: ConnectionId) -> bool {
        [
            MESSAGE_CONNECTION,
            MESSAGE_CONNECTION_5_0,
            MESSAGE_CONNECTION_REDIRECTED,
            self.config.message_connection,
        ]
        .contains(&connection)
    }

    /// What guest and host agreed on, while they are connected.
    #[must_use]
    pub fn connected(&self) -> Option<Connected> {
        self.connection.session().map(|session| session.connected)
    }

    /// Takes a guest's message, a private copy of what it posted.
    ///
    /// # Errors
    /// [`HandleError::Busy`] when the message has to be given again later; otherwise why it was refused, or not followed to the end. The
    /// guest has its answer, or will get it, where the protocol has one.
    pub fn handle_message(&mut self, payload: &[u8]) -> Result<(), HandleError> {
        let message = GuestMessage::decode(payload).map_err(Breach::from)?;
        let message_type = message.message_type();
        match message {
            GuestMessage::InitiateContact(contact) => return self.handle_contact(&contact),
            GuestMessage::Unload => return self.handle_unload(),
            _ => (),
        }
        let Some(session) = self.connection.session() else {
            return Err(Breach::NotConnected { message_type }.into());
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
        if let GuestMessage::Resume = message {
            return self.handle_resume();
        }
        if !self.has_room_for_reply() {
            return Err(HandleError::Busy);
        }
        match message {
            GuestMessage::RequestOffers => self.handle_request_offers(),
            GuestMessage::OpenChannel(open) => self.handle_open(&open),
            GuestMessage::CloseChannel(close) => self.handle_close(close.relid),
            GuestMessage::GpadlHeader(header) => self.handle_gpadl_header(&header),
            GuestMessage::GpadlBody(body) => self.handle_gpadl_body(&body),
            GuestMessage::GpadlTeardown(teardown) => self.handle_gpadl_teardown(&teardown),
            GuestMessage::RelIdReleased(released) => self.handle_released(released.relid),
            GuestMessage::TlConnectRequest(connect) => self.handle_tl_connect(&connect.request),
            GuestMessage::ModifyChannel(modify) => self.handle_modify(&modify),
            GuestMessage::ModifyConnection(modify) => self.handle_modify_connection(&modify),
            GuestMessage::Pause => self.handle_pause(),
            _ => Err(HandleError::Unsupported { message_type }),
        }
    }

    /// Offers a channel: now if the guest has asked for offers, else when it does, and again on each new connection. While a channel
    /// of the same interface and instance that was rescinded is not released, the offer waits for that.
    ///
    /// # Errors
    /// When there is no place, or the same is offered already.
    pub fn offer(&mut self, params: OfferParams) -> Result<ChannelId, OfferError> {
        self.add_offer(params, None)
    }

    /// Offers a sub-channel of an open channel: the guest sees the same interface and instance with this index, which counts from 1. It
    /// is taken back by itself when the guest closes the primary, or the connection ends.
    ///
    /// # Errors
    /// When there is no place, `parent` is not an open primary channel, or this index is offered already.
    pub fn offer_subchannel(&mut self, parent: ChannelId, index: u16) -> Result<ChannelId, OfferError> {
        let primary = self
            .channels
            .find(parent.0)
            .ok_or(OfferError::UnknownChannel { channel: parent })?;
        if index == 0 || primary.sub_channel.is_some() {
            return Err(OfferError::NoPrimary { parent, index });
        }
        if !matches!(primary.usage, Usage::Open { .. }) {
            return Err(OfferError::ParentNotOpen { parent });
        }
        let params = primary.params;
        self.add_offer(params, Some((parent.0, index)))
    }

    fn add_offer(
        &mut self,
        params: OfferParams,
        sub_channel: Option<(RelId, u16)>,
    ) -> Result<ChannelId, OfferError> {
        let index = sub_channel.map_or(0, |(_, index)| index);
        if let Some(twin) = self
            .channels
            .iter()
            .find(|other| !other.doomed && other.is_twin(&params, index))
        {
            return Err(OfferError::Duplicate { channel: twin.id() });
        }
        let full = OfferError::Full { capacity: CHANNELS };
        if self.channels.is_full() {
            return Err(full);
        }
        self.channels.add(params, sub_channel).ok_or(full)
    }

    /// Takes an offer back, with its sub-channels. If the channel is open, [`Event::Close`](super::Event::Close) follows at once, and
    /// [`Event::GpadlTeardown`](super::Event::GpadlTeardown) for each GPADL that its device uses. Once the device has let go of all
    /// this, the guest is told; when the guest has let go too, [`Event::Released`](super::Event::Released) comes.
    ///
    /// # Errors
    /// When there is no such channel.
    pub fn rescind(&mut self, channel: ChannelId) -> Result<(), UnknownChannel> {
        if self.channels.find(channel.0).is_none() {
            return Err(UnknownChannel { channel });
        }
        self.doom(|other| {
            other.relid == channel.0 || other.sub_channel.is_some_and(|(primary, _)| primary == channel.0)
        });
        Ok(())
    }

    pub(super) fn rescind_sub_channels(&mut self, primary: RelId) {
        self.doom(|channel| channel.sub_channel.is_some_and(|(parent, _)| parent == primary));
    }

    fn doom(&mut self, which: impl Fn(&Channel) -> bool) {
        let modify_is_answered = self.answers_modify();
        for channel in self
            .channels
            .iter_mut()
            .filter(|channel| !channel.doomed && which(channel))
        {
            channel.doomed = true;
            if channel.standing == Standing::Offered {
                channel.standing = Standing::RescindPending;
            }
            // The answer to a move comes after a rescind too; that to an open does not.
            if modify_is_answered
                && let Usage::Open {
                    modify: Modify::Pending { .. },
                    ..
                } = channel.usage
            {
                let _ = self
                    .replies
                    .push_back(modify_response(channel.relid, Status::UNSUCCESSFUL));
            }
            channel.stop();
            for gpadl in self
                .gpadls
                .iter_mut()
                .filter(|gpadl| gpadl.relid == channel.relid)
            {
                gpadl.recall();
            }
        }
        self.settle_gpadls();
    }

    /// Answers an open request: whether the device serves the channel. If the guest or the embedder has changed its mind in the meantime, a
    /// success is followed by [`Event::Close`](super::Event::Close).
    ///
    /// # Errors
    /// When the ticket is not of this host.
    pub fn complete_open(&mut self, ticket: OpenTicket, status: Status) -> Result<(), ForeignTicket> {
        let channel = self
            .channels
            .find_mut(ticket.relid)
            .filter(|channel| channel.serial == ticket.serial);
        let channel = channel.ok_or(ForeignTicket)?;
        let Usage::Opening {
            opened, abandoned, ..
        } = channel.usage
        else {
            return Err(ForeignTicket);
        };
        channel.usage = match (status.is_success(), abandoned) {
            (true, false) => Usage::Open {
                opened,
                modify: Modify::None,
            },
            (true, true) => Usage::Closing {
                ring: opened.ring,
                announced: false,
            },
            (false, _) => Usage::Closed,
        };
        if !abandoned {
            self.reply(HostMessage::OpenChannelResult(OpenResult {
                relid: ticket.relid,
                open_id: opened.open_id.into(),
                status,
            }));
        }
        self.settle();
        Ok(())
    }

    /// Tells that the device no longer touches the channel's rings. If the guest has asked for their memory back, it gets it now.
    ///
    /// # Errors
    /// When the ticket is not of this host.
    pub fn complete_close(&mut self, ticket: CloseTicket) -> Result<(), ForeignTicket> {
        let channel = self
            .channels
            .find_mut(ticket.relid)
            .filter(|channel| channel.serial == ticket.serial);
        let channel = channel.ok_or(ForeignTicket)?;
        let Usage::Closing { announced: true, .. } = channel.usage else {
            return Err(ForeignTicket);
        };
        channel.usage = Usage::Closed;
        self.settle();
        Ok(())
    }

    /// Tells that the device signals by the new VP. A ticket that a later move or a close has overtaken has no effect.
    pub fn complete_modify(&mut self, ticket: ModifyTicket) {
        let modify_is_answered = self.answers_modify();
        let Some(channel) = self
            .channels
            .find_mut(ticket.relid)
            .filter(|channel| channel.serial == ticket.serial)
        else {
            return;
        };
        if let Usage::Open {
            modify: modify @ Modify::Pending { .. },
            ..
        } = &mut channel.usage
        {
            *modify = Modify::None;
            if modify_is_answered {
                self.reply(modify_response(ticket.relid, Status::SUCCESS));
            }
        }
    }

    /// The memory of a GPADL, to be mapped. Whoever goes on using it after the next call on this host needs a
    /// [ticket](Self::use_gpadl), for the guest may want it back.
    #[must_use]
    pub fn gpadl(&self, channel: ChannelId, gpadl: GpadlId) -> Option<GpadlView<'_>> {
        let gpadl = self.gpadls.find(channel.0, gpadl)?;
        if gpadl.state != State::Ready {
            return None;
        }
        let ranges = self.gpadls.ranges(gpadl).ok()?;
        Some(GpadlView { ranges })
    }

    /// Marks a GPADL as used by a device. When the guest wants the memory back, or forgets it,
    /// [`Event::GpadlTeardown`](super::Event::GpadlTeardown) asks for the ticket. The GPADL of a channel's rings needs none.
    ///
    /// `None` when there is no such GPADL, or it is wanted back already.
    pub fn use_gpadl(&mut self, channel: ChannelId, gpadl: GpadlId) -> Option<GpadlTicket> {
        if self.channels.find(channel.0)?.doomed {
            return None;
        }
        let gpadl = self.gpadls.find_mut(channel.0, gpadl)?;
        if gpadl.state != State::Ready || gpadl.recall != Recall::No {
            return None;
        }
        gpadl.uses = gpadl.uses.checked_add(1)?;
        Some(GpadlTicket { serial: gpadl.serial })
    }

    /// Tells that a device no longer touches the memory of a GPADL.
    ///
    /// # Errors
    /// When the ticket is not of this host.
    pub fn release_gpadl(&mut self, ticket: GpadlTicket) -> Result<(), ForeignTicket> {
        let gpadl = self.gpadls.by_serial(ticket.serial).ok_or(ForeignTicket)?;
        gpadl.uses = gpadl.uses.checked_sub(1).ok_or(ForeignTicket)?;
        self.settle();
        Ok(())
    }

    /// The pages of the rings of a channel that is opening or open.
    #[must_use]
    pub fn rings(&self, channel: ChannelId) -> Option<RingPages<'_>> {
        let (Usage::Opening { opened, .. } | Usage::Open { opened, .. }) =
            self.channels.find(channel.0)?.usage
        else {
            return None;
        };
        RingPages::new(self.gpadl(channel, opened.ring)?.ranges, opened.downstream).ok()
    }

    /// All channels: those offered, those to be offered, and those rescinded and not yet released.
    pub fn channels(&self) -> impl Iterator<Item = ChannelId> {
        self.channels.iter().map(Channel::id)
    }

    /// How to interrupt the guest for a channel that is opening or open.
    #[must_use]
    pub fn signal(&self, channel: ChannelId) -> Option<ChannelSignal> {
        let (Usage::Opening { opened, .. } | Usage::Open { opened, .. }) =
            self.channels.find(channel.0)?.usage
        else {
            return None;
        };
        Some(self.signal_of(channel.0, opened.target_vp))
    }

    pub(super) fn signal_of(&self, relid: RelId, target_vp: u32) -> ChannelSignal {
        ChannelSignal {
            vp: (target_vp != NO_INTERRUPTS_VP).then_some(VpIndex(target_vp)),
            sint: self.config.sint,
            // Ids of channels are below 2048.
            flag: u16::try_from(relid.value()).unwrap_or(0),
        }
    }

    /// The connection by which the guest signals a channel.
    #[must_use]
    pub fn connection_id(&self, channel: ChannelId) -> ConnectionId {
        connection_id(channel.0, self.config.sint)
    }

    pub(super) fn answers_modify(&self) -> bool {
        self.connected()
            .is_some_and(|connected| connected.version >= Version::IRON)
    }

    /// Answers that will have to be queued once the embedder has answered its tickets.
    pub(super) fn replies_owed(&self) -> usize {
        let modify_is_answered = self.answers_modify();
        let channels = self
            .channels
            .iter()
            .filter(|channel| channel.owes_answer(modify_is_answered))
            .count();
        let gpadls = self
            .gpadls
            .iter()
            .filter(|gpadl| gpadl.state == State::TearingDown)
            .count();
        channels.saturating_add(gpadls)
    }

    /// Each message is answered once, now or after a ticket. With this true before each, an answer always has its place.
    pub(super) fn has_room_for_reply(&self) -> bool {
        self.replies.len().saturating_add(self.replies_owed()) < REPLIES
    }

    pub(super) fn reply(&mut self, message: HostMessage) {
        let has_room = self.replies.push_back(message).is_ok();
        debug_assert!(has_room, "an answer for which no room was kept");
    }

    /// Gives memory back that the guest waits for, and goes on with what waited for devices to let go.
    fn settle(&mut self) {
        self.settle_gpadls();
        self.finish_leaving();
    }

    pub(super) fn settle_gpadls(&mut self) {
        let Self {
            gpadls,
            channels,
            replies,
            ..
        } = self;
        while let Some(gpadl) = gpadls.remove(|gpadl| {
            let is_ring = channels
                .find(gpadl.relid)
                .is_some_and(|channel| channel.ring() == Some(gpadl.id));
            gpadl.uses == 0 && !is_ring && gpadl.state == State::TearingDown
        }) {
            let has_room = replies
                .push_back(HostMessage::GpadlTorndown(GpadlTorndown { gpadl }))
                .is_ok();
            debug_assert!(has_room, "an answer for which no room was kept");
        }
        while gpadls
            .remove(|gpadl| gpadl.uses == 0 && gpadl.is_orphan())
            .is_some()
        {}
    }

    pub(super) fn is_paused(&self) -> bool {
        self.connection
            .session()
            .is_some_and(|session| session.pause == Pause::Paused)
    }
}

pub(super) fn modify_response(relid: RelId, status: Status) -> HostMessage {
    HostMessage::ModifyChannelResponse(ModifyChannelResponse { relid, status })
}
