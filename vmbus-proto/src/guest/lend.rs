//! The embedder lends memory and takes it back.

use zerocopy::little_endian::{U16, U32, U64};

use super::channel::Usage;
use super::engine::Guest;
use super::event::{OpenError, ReturnReason};
use super::fault::{Breach, CallError, HandleError, Rejected};
use super::gpadl::{Gpadl, State};
use super::pages::{Cursor, Pages, Shape};
use super::params::ChannelId;
use crate::wire::{
    BODY_VALUES_MAX, Encoded, GpadlBody, GpadlCreated, GpadlHeader, GpadlId, GpadlMore, GpadlRequest,
    GuestMessage, HEADER_VALUES_MAX, MessageType,
};

/// How many values the next message of a GPADL takes.
fn next_len(shape: Shape, sent: u16) -> usize {
    let left = usize::from(shape.values.saturating_sub(sent));
    let most = if sent == 0 {
        HEADER_VALUES_MAX
    } else {
        BODY_VALUES_MAX
    };
    left.min(most)
}

impl<M: Pages, const CHANNELS: usize, const GPADLS: usize> Guest<M, CHANNELS, GPADLS> {
    /// Lends memory to a channel's device. [`Event::GpadlCreated`](super::Event::GpadlCreated) tells that the host has taken it, and
    /// [`Event::MemoryReturned`](super::Event::MemoryReturned), with or without that before it, that it is free again.
    ///
    /// # Errors
    /// With the memory, when a GPADL cannot list it, the channel is rescinded, or there is no place.
    pub fn lend(&mut self, channel: ChannelId, memory: M) -> Result<GpadlId, Rejected<M>> {
        let judged = self
            .connected()
            .ok_or(CallError::NotConnected)
            .and_then(|_| self.usable(channel))
            .and_then(|_| Ok(Shape::of(&memory)?));
        match judged {
            Ok(shape) => self.add_gpadl(channel, false, memory, shape),
            Err(error) => Err(Rejected { memory, error }),
        }
    }

    pub(super) fn add_gpadl(
        &mut self,
        channel: ChannelId,
        is_ring: bool,
        memory: M,
        shape: Shape,
    ) -> Result<GpadlId, Rejected<M>> {
        self.gpadls
            .add(channel, is_ring, memory, shape)
            .map_err(|memory| Rejected {
                memory,
                error: CallError::Gpadls { capacity: GPADLS },
            })
    }

    /// Wants memory back. [`Event::MemoryReturned`](super::Event::MemoryReturned) brings it. That of a channel's rings comes back by
    /// itself when the channel is closed.
    ///
    /// # Errors
    /// When there is no such GPADL, it is that of rings, or it is being torn down already.
    pub fn teardown(&mut self, gpadl: GpadlId) -> Result<(), CallError> {
        self.gpadls
            .find_mut(gpadl)
            .filter(|gpadl| !gpadl.is_ring && !gpadl.unwanted && gpadl.is_lent())
            .ok_or(CallError::UnknownGpadl { gpadl })?
            .recall();
        Ok(())
    }

    /// The next message of a GPADL.
    pub(super) fn make_gpadl(gpadl: &Gpadl<M>) -> Option<Encoded> {
        let State::Sending { mut cursor, sent } = gpadl.state else {
            return None;
        };
        let mut values = [U64::ZERO; BODY_VALUES_MAX];
        let values = values.get_mut(..next_len(gpadl.shape, sent))?;
        for value in values.iter_mut() {
            (*value, cursor) = cursor.next(gpadl.memory());
        }
        let message = if sent == 0 {
            GuestMessage::GpadlHeader(GpadlHeader {
                request: GpadlRequest {
                    relid: gpadl.channel.relid,
                    gpadl: gpadl.id,
                    range_bytes: U16::new(gpadl.shape.values.saturating_mul(8)),
                    range_count: gpadl.shape.ranges.into(),
                },
                values,
            })
        } else {
            GuestMessage::GpadlBody(GpadlBody {
                more: GpadlMore {
                    // Linux leaves it 0 too.
                    message_number: U32::ZERO,
                    gpadl: gpadl.id,
                },
                values,
            })
        };
        message.encode().ok()
    }

    /// That message is posted.
    pub(super) fn gpadl_posted(gpadl: &mut Gpadl<M>) {
        let State::Sending { mut cursor, sent } = gpadl.state else {
            return;
        };
        let len = next_len(gpadl.shape, sent);
        for _ in 0..len {
            cursor = Cursor::next(cursor, gpadl.memory()).1;
        }
        let sent = sent.saturating_add(u16::try_from(len).unwrap_or(u16::MAX));
        if sent < gpadl.shape.values {
            gpadl.state = State::Sending { cursor, sent };
        } else {
            gpadl.await_answer(State::Sent);
        }
    }

    pub(super) fn handle_gpadl_created(&mut self, created: &GpadlCreated) -> Result<(), HandleError> {
        let message_type = MessageType::GPADL_CREATED;
        let (id, relid, status) = (created.gpadl, created.relid, created.status);
        let Some(gpadl) = self
            .gpadls
            .find_mut(id)
            .filter(|gpadl| gpadl.channel.relid == relid && gpadl.is_lent())
        else {
            return Err(Breach::UnknownGpadl {
                message_type,
                gpadl: id,
            }
            .into());
        };
        match gpadl.state {
            State::Sent => (),
            // A host may refuse before it has seen all. The rest is not sent then.
            State::Sending { sent, .. } if sent > 0 && !status.is_success() => (),
            _ => {
                return Err(Breach::GpadlState {
                    message_type,
                    gpadl: id,
                }
                .into());
            }
        }
        gpadl.timer = super::timer::Timer::Off;
        gpadl.notice_overdue = false;
        let is_ring = gpadl.is_ring && !gpadl.unwanted;
        let channel = gpadl.channel;
        if status.is_success() {
            gpadl.state = State::Ready;
            gpadl.notice_created = !gpadl.is_ring;
            if gpadl.unwanted {
                gpadl.recall();
            }
        } else {
            gpadl.unwanted = true;
            gpadl.give_back(ReturnReason::Refused(status));
        }
        if is_ring
            && let Some(channel) = self.channels.find_mut(channel)
            && let Usage::Lending(params) = channel.usage
        {
            if status.is_success() {
                channel.usage = Usage::OpenPending(params);
            } else {
                channel.usage = Usage::Closed;
                channel.notice_open = Some(Err(OpenError::Memory(status)));
            }
        }
        Ok(())
    }

    pub(super) fn handle_gpadl_torndown(&mut self, id: GpadlId) -> Result<(), HandleError> {
        let message_type = MessageType::GPADL_TORNDOWN;
        let Some(gpadl) = self.gpadls.find_mut(id).filter(|gpadl| gpadl.is_lent()) else {
            return Err(Breach::UnknownGpadl {
                message_type,
                gpadl: id,
            }
            .into());
        };
        if gpadl.state != State::TearingDown {
            return Err(Breach::GpadlState {
                message_type,
                gpadl: id,
            }
            .into());
        }
        gpadl.give_back(ReturnReason::TornDown);
        Ok(())
    }
}
