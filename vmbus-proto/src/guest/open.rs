//! The embedder opens, closes and moves channels.

use hvcall::VpIndex;
use zerocopy::little_endian::{U16, U32};

use super::channel::{Channel, Modify, Standing, Usage};
use super::engine::Guest;
use super::event::{ModifyError, OpenError};
use super::fault::{Breach, CallError, HandleError, MemoryError, Rejected};
use super::pages::{Pages, Shape};
use super::params::{ChannelId, OpenParams};
use super::relid_set::is_channels;
use super::timer::Timer;
use crate::channel_state::ChannelState;
use crate::wire::{
    FeatureFlags, GpadlId, GuestMessage, MessageType, ModifyChannelResponse, NO_INTERRUPTS_VP, OpenChannel,
    OpenFlags, OpenRequest, OpenResult, OpenSignal, RelId, Version,
};

impl<M: Pages, const CHANNELS: usize, const GPADLS: usize> Guest<M, CHANNELS, GPADLS> {
    /// Opens a channel: lends the memory of its rings, which must be zeroed, and asks the host to serve it.
    /// [`Event::Opened`](super::Event::Opened) or [`Event::OpenFailed`](super::Event::OpenFailed) tells what came of it.
    ///
    /// # Errors
    /// With the memory, when it cannot hold two rings, or the channel is not closed, or there is no place.
    pub fn open(
        &mut self,
        channel: ChannelId,
        memory: M,
        params: OpenParams,
    ) -> Result<GpadlId, Rejected<M>> {
        let shape = match self.judge_open(channel, &memory, &params) {
            Ok(shape) => shape,
            Err(error) => return Err(Rejected { memory, error }),
        };
        let gpadl = self.add_gpadl(channel, true, memory, shape)?;
        if let Some(channel) = self.channels.find_mut(channel) {
            channel.usage = Usage::Lending(params);
        }
        Ok(gpadl)
    }

    fn judge_open(&self, channel: ChannelId, memory: &M, params: &OpenParams) -> Result<Shape, CallError> {
        let connected = self.connected().ok_or(CallError::NotConnected)?;
        let entry = self.usable(channel)?;
        match entry.state() {
            ChannelState::Closed if entry.notice_open.is_some() => return Err(CallError::UnderWay),
            ChannelState::Closed => (),
            state => return Err(CallError::ChannelState { channel, state }),
        }
        let needs = [
            (
                params.signal.is_some(),
                FeatureFlags::GUEST_SPECIFIED_SIGNAL_PARAMETERS,
            ),
            (
                params.redirect_interrupt,
                FeatureFlags::CHANNEL_INTERRUPT_REDIRECTION,
            ),
        ];
        for (needed, feature) in needs {
            if needed && !connected.features.contains(feature) {
                return Err(CallError::NoFeature { feature });
            }
        }
        if let Some(signal) = params.signal
            && !is_channels(RelId::new(signal.event_flag.into()))
        {
            return Err(CallError::EventFlag {
                event_flag: signal.event_flag,
            });
        }
        let shape = Shape::of(memory)?;
        let downstream = params.downstream;
        // A ring has a control page, and one page for data at least.
        match shape.whole_pages {
            Some(pages) if downstream >= 2 && pages.saturating_sub(downstream) >= 2 => Ok(shape),
            pages => Err(MemoryError::RingLayout { pages, downstream }.into()),
        }
    }

    /// The channel, if it is one that the embedder may use.
    pub(super) fn usable(&self, channel: ChannelId) -> Result<&Channel, CallError> {
        let entry = self
            .channels
            .find(channel)
            .ok_or(CallError::UnknownChannel { channel })?;
        match entry.standing {
            Standing::Offered => Ok(entry),
            _ => Err(CallError::Rescinded { channel }),
        }
    }

    pub(super) fn make_open(
        &self,
        channel: &Channel,
        params: &OpenParams,
        open_id: u32,
    ) -> Option<GuestMessage<'static>> {
        let connected = self.connected()?;
        let request = OpenRequest {
            relid: channel.relid(),
            open_id: open_id.into(),
            ring_gpadl: self.gpadls.ring(channel.id())?.id,
            target_vp: if connected.version >= Version::WIN8 {
                vp_number(params.target_vp).into()
            } else {
                U32::ZERO
            },
            downstream_page_offset: params.downstream.into(),
            user_data: params.user_data,
        };
        // The tail stands with either feature, and each of its fields counts with its own.
        let has_tail = connected.features.intersects(
            FeatureFlags::GUEST_SPECIFIED_SIGNAL_PARAMETERS | FeatureFlags::CHANNEL_INTERRUPT_REDIRECTION,
        );
        let flags = if params.redirect_interrupt {
            OpenFlags::REDIRECT_INTERRUPT
        } else {
            OpenFlags::empty()
        };
        let signal = has_tail.then(|| OpenSignal {
            connection_id: params
                .signal
                .map_or(channel.offer.signal.connection_id, |signal| signal.connection_id)
                .0
                .into(),
            event_flag: params.signal.map_or_else(
                || U16::new(u16::try_from(channel.relid().value()).unwrap_or(0)),
                |signal| signal.event_flag.into(),
            ),
            flags: flags.bits().into(),
        });
        Some(GuestMessage::OpenChannel(OpenChannel { request, signal }))
    }

    pub(super) fn handle_open_result(&mut self, result: &OpenResult) -> Result<(), HandleError> {
        let message_type = MessageType::OPEN_CHANNEL_RESULT;
        let (relid, status) = (result.relid, result.status);
        let Some(channel) = self.channels.by_relid_mut(relid) else {
            return Err(Breach::UnknownChannel { message_type, relid }.into());
        };
        let state = channel.state();
        let Usage::Opening {
            open_id: expected,
            params,
            abandoned,
            ..
        } = channel.usage
        else {
            return Err(Breach::ChannelState {
                message_type,
                relid,
                state,
            }
            .into());
        };
        let open_id = result.open_id.get();
        if open_id != expected {
            return Err(Breach::OpenId {
                relid,
                open_id,
                expected,
            }
            .into());
        }
        let id = channel.id();
        channel.usage = match (status.is_success(), abandoned) {
            (true, false) => Usage::Open { params },
            (true, true) => Usage::ClosePending,
            (false, _) => Usage::Closed,
        };
        if !abandoned {
            channel.notice_open = Some(if status.is_success() {
                Ok(())
            } else {
                Err(OpenError::Refused(status))
            });
        }
        if !matches!(channel.usage, Usage::Open { .. })
            && let Some(ring) = self.gpadls.ring_mut(id)
        {
            ring.recall();
        }
        Ok(())
    }

    /// Closes a channel, or has it not opened. The memory of its rings comes back; drop the rings first. Memory that was
    /// [lent](Self::lend) besides stays lent.
    ///
    /// # Errors
    /// When there is no such channel, or it is closed.
    pub fn close(&mut self, channel: ChannelId) -> Result<(), CallError> {
        let entry = self
            .channels
            .find_mut(channel)
            .ok_or(CallError::UnknownChannel { channel })?;
        let state = entry.state();
        if let Usage::Closed | Usage::ClosePending | Usage::Opening { abandoned: true, .. } = entry.usage {
            return Err(CallError::ChannelState { channel, state });
        }
        entry.fail(OpenError::Closed, ModifyError::Closed);
        match &mut entry.usage {
            // The host can be told only once it has answered.
            Usage::Opening { abandoned, timer, .. } => {
                *abandoned = true;
                *timer = Timer::Off;
                return Ok(());
            }
            Usage::Open { .. } => entry.usage = Usage::ClosePending,
            usage => *usage = Usage::Closed,
        }
        if let Some(ring) = self.gpadls.ring_mut(channel) {
            ring.recall();
        }
        Ok(())
    }

    /// Has the host interrupt another virtual processor for an open channel, or none.
    /// [`Event::Modified`](super::Event::Modified) tells what came of it; before 5.3 there is no answer, and it comes when the request is
    /// posted.
    ///
    /// # Errors
    /// When the version has no such message, the channel is not open, or the same is under way.
    pub fn modify(&mut self, channel: ChannelId, target_vp: Option<VpIndex>) -> Result<(), CallError> {
        self.session_for(MessageType::MODIFY_CHANNEL)?;
        let state = self.usable(channel)?.state();
        let entry = self
            .channels
            .find_mut(channel)
            .ok_or(CallError::UnknownChannel { channel })?;
        if state != ChannelState::Open {
            return Err(CallError::ChannelState { channel, state });
        }
        if entry.modify != Modify::None || entry.notice_modify.is_some() {
            return Err(CallError::UnderWay);
        }
        entry.modify = Modify::Pending {
            target_vp: vp_number(target_vp),
        };
        Ok(())
    }

    pub(super) fn handle_modify_response(
        &mut self,
        response: &ModifyChannelResponse,
    ) -> Result<(), HandleError> {
        let message_type = MessageType::MODIFY_CHANNEL_RESPONSE;
        let relid = response.relid;
        let Some(channel) = self.channels.by_relid_mut(relid) else {
            return Err(Breach::UnknownChannel { message_type, relid }.into());
        };
        let Modify::Sent { abandoned, .. } = channel.modify else {
            return Err(Breach::Unrequested { message_type }.into());
        };
        channel.modify = Modify::None;
        if !abandoned {
            channel.notice_modify = Some(if response.status.is_success() {
                Ok(())
            } else {
                Err(ModifyError::Refused(response.status))
            });
        }
        Ok(())
    }
}

/// A virtual processor as messages name it.
fn vp_number(vp: Option<VpIndex>) -> u32 {
    vp.map_or(NO_INTERRUPTS_VP, |vp| vp.0)
}
