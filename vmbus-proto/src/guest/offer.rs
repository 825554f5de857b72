//! The host offers channels and takes them back.

use hvcall::ConnectionId;

use super::channel::{Standing, Usage};
use super::connection::is_connection;
use super::engine::Guest;
use super::event::{Connected, ModifyError, OpenError};
use super::fault::{Breach, CallError, Capacity, HandleError};
use super::pages::Pages;
use super::params::{ChannelId, ChannelOffer, ChannelSignal};
use super::relid_set::is_channels;
use super::session::{Offers, Session};
use crate::channel_state::ChannelState;
use crate::wire::{EVENT_CONNECTION, MessageType, Offer, OfferChannel, RelId, Version};

impl<M: Pages, const CHANNELS: usize, const GPADLS: usize> Guest<M, CHANNELS, GPADLS> {
    pub(super) fn handle_offer(&mut self, message: &OfferChannel) -> Result<(), HandleError> {
        let message_type = MessageType::OFFER_CHANNEL;
        let offer = &message.offer;
        let relid = offer.relid;
        if !is_channels(relid) {
            return Err(Breach::RelId { relid }.into());
        }
        if self.channels.by_relid(relid).is_some() || self.refused.contains(relid) {
            return Err(Breach::DuplicateRelId { relid }.into());
        }
        // The host has got the release of the one before.
        self.let_go.remove(relid);
        let Some(Session {
            connected: Connected {
                version, features, ..
            },
            offers: Offers::Requested(_) | Offers::Delivered,
            ..
        }) = self.connection.session()
        else {
            self.refused.insert(relid);
            return Err(Breach::Unrequested { message_type }.into());
        };
        let (version, features) = (*version, *features);
        let sub_channel_index = if version >= Version::WIN8 {
            offer.sub_channel_index.get()
        } else {
            0
        };
        let judged = judge_signal(message, version).and_then(|signal| {
            let primary = self.judge_place(offer, sub_channel_index)?;
            Ok((signal, primary))
        });
        let (signal, primary) = match judged {
            Ok(judged) => judged,
            // The host learns that nobody has it, and can take it back or not.
            Err(breach) => {
                self.refused.insert(relid);
                return Err(breach.into());
            }
        };
        if self.channels.is_full() {
            self.channels.sweep();
        }
        let channel = self.channels.next_id(relid);
        let added = self.channels.add(ChannelOffer {
            channel,
            interface: offer.interface,
            instance: offer.instance,
            flags: offer.flags().for_version(version, features),
            mmio_megabytes: offer.mmio_megabytes.get(),
            mmio_megabytes_optional: offer.mmio_megabytes_optional.get(),
            user_defined: offer.user_defined,
            sub_channel_index,
            primary,
            signal,
            monitor_id: offer.is_monitored().then_some(offer.monitor_id),
        });
        if !added {
            self.refused.insert(relid);
            return Err(Capacity::Channels {
                capacity: CHANNELS,
                relid,
                interface: offer.interface,
                instance: offer.instance,
            }
            .into());
        }
        Ok(())
    }

    /// Whether the offer can stand beside the others. Gives the primary channel of a sub-channel.
    fn judge_place(&self, offer: &Offer, sub_channel_index: u16) -> Result<Option<ChannelId>, Breach> {
        let relid = offer.relid;
        let instance = offer.instance;
        let of_device = |index: u16| {
            self.channels
                .iter()
                .filter(|channel| channel.standing == Standing::Offered)
                .find(|channel| {
                    channel.offer.interface == offer.interface
                        && channel.offer.instance == instance
                        && channel.offer.sub_channel_index == index
                })
                .map(super::channel::Channel::id)
        };
        if let Some(channel) = of_device(sub_channel_index) {
            return Err(Breach::DuplicateOffer {
                relid,
                channel,
                instance,
                sub_channel_index,
            });
        }
        if sub_channel_index == 0 {
            return Ok(None);
        }
        match of_device(0) {
            Some(primary) => Ok(Some(primary)),
            None => Err(Breach::NoPrimary {
                relid,
                instance,
                sub_channel_index,
            }),
        }
    }

    pub(super) fn handle_rescind(&mut self, relid: RelId) -> Result<(), HandleError> {
        let message_type = MessageType::RESCIND_CHANNEL_OFFER;
        if !is_channels(relid) {
            return Err(Breach::UnknownChannel { message_type, relid }.into());
        }
        let Some(channel) = self.channels.by_relid_mut(relid) else {
            // It crossed the release of an offer that was not taken up, or that release is still to be sent and answers it.
            if self.let_go.remove(relid) || self.refused.contains(relid) {
                return Ok(());
            }
            // Maybe an offer that could not be read. The host waits for the release all the same.
            self.refused.insert(relid);
            return Err(Breach::UnknownChannel { message_type, relid }.into());
        };
        match channel.standing {
            Standing::Rescinded | Standing::Releasing { rescinded: true } | Standing::Gone => {
                return Err(Breach::RescindedTwice { relid }.into());
            }
            Standing::Releasing { rescinded: false } => {
                channel.standing = Standing::Releasing { rescinded: true };
            }
            Standing::Offered if channel.announced => channel.standing = Standing::Rescinded,
            // The embedder never had it.
            Standing::Offered => channel.standing = Standing::Releasing { rescinded: true },
        }
        let was_told_open = matches!(channel.usage, Usage::Open { .. }) && channel.notice_open.is_none();
        channel.fail(OpenError::Rescinded, ModifyError::Rescinded);
        let id = channel.id();
        channel.usage = match channel.usage {
            // The embedder has the rings.
            usage @ Usage::Open { .. } if was_told_open => usage,
            Usage::Open { .. } | Usage::ClosePending => Usage::ClosePending,
            // After a rescind there is no answer to an open.
            Usage::Closed | Usage::Lending(_) | Usage::OpenPending(_) | Usage::Opening { .. } => {
                Usage::Closed
            }
        };
        if !matches!(channel.usage, Usage::Open { .. })
            && let Some(ring) = self.gpadls.ring_mut(id)
        {
            ring.recall();
        }
        // What was overdue already is given its time anew: then it comes back without an answer.
        for gpadl in self.gpadls.of(id) {
            gpadl.restart();
        }
        Ok(())
    }

    /// Lets go of a channel: one that was rescinded, or one that is not wanted. If it is open it is closed; all its memory is torn down;
    /// then the host is told. Drop its rings first.
    ///
    /// # Errors
    /// When there is no such channel, it was released already, or it is not rescinded and not closed.
    pub fn release(&mut self, channel: ChannelId) -> Result<(), CallError> {
        let entry = self
            .channels
            .find_mut(channel)
            .ok_or(CallError::UnknownChannel { channel })?;
        let rescinded = match (entry.standing, entry.state()) {
            (Standing::Rescinded, _) => true,
            (Standing::Offered, ChannelState::Closed) => false,
            (Standing::Offered, state) => return Err(CallError::ChannelState { channel, state }),
            (Standing::Releasing { .. } | Standing::Gone, _) => {
                return Err(CallError::Rescinded { channel });
            }
        };
        entry.standing = Standing::Releasing { rescinded };
        entry.rescind_announced = true;
        if let Usage::Open { .. } = entry.usage {
            entry.usage = Usage::ClosePending;
            entry.fail_modify(ModifyError::Closed);
        }
        for gpadl in self.gpadls.of(channel) {
            gpadl.recall();
            gpadl.restart();
        }
        Ok(())
    }
}

/// How the guest signals, as the offer says.
fn judge_signal(message: &OfferChannel, version: Version) -> Result<ChannelSignal, Breach> {
    let relid = message.offer.relid;
    let interrupt_page_flag = u16::try_from(relid.value())
        .ok()
        .filter(|_| version < Version::WIN8);
    // 0.13 has no field for it, whatever stands there.
    let Some(signal) = message.signal.filter(|_| version > Version::V1) else {
        return if version > Version::V1 {
            Err(Breach::NoSignal { relid, version })
        } else {
            Ok(ChannelSignal {
                connection_id: EVENT_CONNECTION,
                interrupt_page_flag,
            })
        };
    };
    let connection_id = ConnectionId(signal.connection_id.get());
    if !is_connection(connection_id) {
        return Err(Breach::ConnectionId { relid, connection_id });
    }
    Ok(ChannelSignal {
        connection_id,
        interrupt_page_flag: interrupt_page_flag.filter(|_| !signal.is_dedicated()),
    })
}
