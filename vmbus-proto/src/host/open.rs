//! The guest opens, closes, moves and releases channels.

use super::channel::{Channel, Modify, Opened, Standing, Usage};
use super::engine::{Host, modify_response};
use super::fault::{Breach, HandleError};
use super::gpadl::{RingPages, State};
use crate::channel_state::ChannelState;
use crate::wire::{
    HostMessage, MessageType, ModifyChannel, NO_INTERRUPTS_VP, OpenChannel, OpenRequest, OpenResult, RelId,
    Status,
};

impl<const CHANNELS: usize, const GPADLS: usize, const REPLIES: usize> Host<'_, CHANNELS, GPADLS, REPLIES> {
    pub(super) fn handle_open(&mut self, open: &OpenChannel) -> Result<(), HandleError> {
        let message_type = MessageType::OPEN_CHANNEL;
        let request = &open.request;
        let relid = request.relid;
        let Some(channel) = self
            .channels
            .find(relid)
            .filter(|channel| channel.standing.is_known())
        else {
            return self.refuse_open(
                request,
                Status::UNSUCCESSFUL,
                Breach::UnknownChannel { message_type, relid },
            );
        };
        // The guest learns of the rescind, and expects no answer besides.
        if channel.standing.is_rescinded() {
            return Ok(());
        }
        match channel.state() {
            ChannelState::Closed => (),
            // The device is about to stop; there is no answer to a close that the guest could have waited for.
            ChannelState::Closing => return Err(HandleError::Busy),
            state @ (ChannelState::Opening | ChannelState::Open) => {
                let breach = Breach::ChannelState {
                    message_type,
                    relid,
                    state,
                };
                return self.refuse_open(request, Status::INVALID_DEVICE_STATE, breach);
            }
        }
        if let Err(breach) = self.judge_open(request) {
            return self.refuse_open(request, Status::INVALID_PARAMETER, breach);
        }
        if let Some(channel) = self.channels.find_mut(relid) {
            let opened = Opened {
                open_id: request.open_id.get(),
                ring: request.ring_gpadl,
                downstream: request.downstream_page_offset.get(),
                target_vp: request.target_vp.get(),
                user_data: request.user_data,
            };
            channel.usage = Usage::Opening {
                opened,
                announced: false,
                abandoned: false,
            };
        }
        Ok(())
    }

    /// Whether the device could serve the channel like this.
    fn judge_open(&self, request: &OpenRequest) -> Result<(), Breach> {
        let message_type = MessageType::OPEN_CHANNEL;
        self.judge_vp(message_type, request.target_vp.get())?;
        let id = request.ring_gpadl;
        let gpadl = self.gpadls.find(request.relid, id).ok_or(Breach::UnknownGpadl {
            message_type,
            gpadl: id,
        })?;
        if gpadl.state != State::Ready {
            return Err(Breach::GpadlState {
                message_type,
                gpadl: id,
            });
        }
        let ranges = self
            .gpadls
            .ranges(gpadl)
            .map_err(|fault| Breach::GpadlRanges { gpadl: id, fault })?;
        let downstream = request.downstream_page_offset.get();
        RingPages::new(ranges, downstream).map_err(|pages| Breach::RingLayout {
            gpadl: id,
            pages,
            downstream,
        })?;
        Ok(())
    }

    fn judge_vp(&self, message_type: MessageType, vp: u32) -> Result<(), Breach> {
        let vp_count = self.config.vp_count;
        if vp < vp_count || vp == NO_INTERRUPTS_VP {
            Ok(())
        } else {
            Err(Breach::NoSuchVp {
                message_type,
                vp,
                vp_count,
            })
        }
    }

    fn refuse_open(
        &mut self,
        request: &OpenRequest,
        status: Status,
        breach: Breach,
    ) -> Result<(), HandleError> {
        self.reply(HostMessage::OpenChannelResult(OpenResult {
            relid: request.relid,
            open_id: request.open_id,
            status,
        }));
        Err(breach.into())
    }

    pub(super) fn handle_close(&mut self, relid: RelId) -> Result<(), HandleError> {
        let message_type = MessageType::CLOSE_CHANNEL;
        let channel = self.known_channel(message_type, relid)?;
        match channel.state() {
            ChannelState::Open => (),
            // The device was told by the rescind.
            _ if channel.standing.is_rescinded() => return Ok(()),
            state => {
                return Err(Breach::ChannelState {
                    message_type,
                    relid,
                    state,
                }
                .into());
            }
        }
        let owes_answer = matches!(
            channel.usage,
            Usage::Open {
                modify: Modify::Pending { .. },
                ..
            }
        );
        channel.stop();
        if owes_answer && self.answers_modify() {
            self.reply(modify_response(relid, Status::UNSUCCESSFUL));
        }
        // A guest that opens the channel again asks for its sub-channels again, and wants new ones.
        self.rescind_sub_channels(relid);
        Ok(())
    }

    pub(super) fn handle_modify(&mut self, modify: &ModifyChannel) -> Result<(), HandleError> {
        let (relid, vp) = (modify.relid, modify.target_vp.get());
        let result = self.modify_channel(relid, vp);
        if result.is_err() && self.answers_modify() {
            self.reply(modify_response(relid, Status::UNSUCCESSFUL));
        }
        result.map_err(HandleError::from)
    }

    fn modify_channel(&mut self, relid: RelId, vp: u32) -> Result<(), Breach> {
        let message_type = MessageType::MODIFY_CHANNEL;
        self.judge_vp(message_type, vp)?;
        let one_at_a_time = self.answers_modify();
        let channel = self.known_channel(message_type, relid)?;
        let state = channel.state();
        match &mut channel.usage {
            // Where moves are not answered, the guest cannot know that one is under way.
            Usage::Open { opened, modify } if *modify == Modify::None || !one_at_a_time => {
                opened.target_vp = vp;
                *modify = Modify::Pending { announced: false };
                Ok(())
            }
            _ => Err(Breach::ChannelState {
                message_type,
                relid,
                state,
            }),
        }
    }

    pub(super) fn handle_released(&mut self, relid: RelId) -> Result<(), HandleError> {
        let message_type = MessageType::RELID_RELEASED;
        let channel = self.known_channel(message_type, relid)?;
        let state = channel.state();
        // Without a rescind it has to be closed first.
        if !channel.standing.is_rescinded() && matches!(state, ChannelState::Opening | ChannelState::Open) {
            return Err(Breach::ChannelState {
                message_type,
                relid,
                state,
            }
            .into());
        }
        channel.standing = Standing::Released;
        self.gpadls.forget(|gpadl| gpadl.relid == relid);
        self.settle_gpadls();
        Ok(())
    }

    fn known_channel(&mut self, message_type: MessageType, relid: RelId) -> Result<&mut Channel, Breach> {
        self.channels
            .find_mut(relid)
            .filter(|channel| channel.standing.is_known())
            .ok_or(Breach::UnknownChannel { message_type, relid })
    }
}
