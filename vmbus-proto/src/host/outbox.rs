//! What the host has to say, in which order.

use zerocopy::little_endian::U16;

use super::channel::{Channel, Standing, Usage};
use super::connection::{Offers, Pause};
use super::engine::Host;
use super::params::{ChannelSignal, MessageTarget, connection_id};
use crate::wire::{Encoded, HostMessage, Offer, OfferChannel, OfferSignal, OpenResult, RescindChannelOffer};

/// A message to be put into a slot of the guest's message page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outbound {
    /// Whose slot.
    pub target: MessageTarget,
    /// The message.
    pub message: HostMessage,
    /// To be raised once the message is delivered: a guest may ignore a channel's interrupts until it knows that the channel is open.
    pub then_signal: Option<ChannelSignal>,
}

impl Outbound {
    /// The message's bytes: the payload of a SynIC message of type [`VMBUS`](hvcall::synic::MessageType::VMBUS).
    #[must_use]
    pub fn payload(&self) -> Encoded {
        self.message.encode()
    }
}

impl<const CHANNELS: usize, const GPADLS: usize, const REPLIES: usize> Host<'_, CHANNELS, GPADLS, REPLIES> {
    /// The message that is to be delivered next: put it into the target's slot, and if that is free,
    /// [say so](Self::message_delivered). It stays the same until then, or until another call on this host makes it void, so it should not
    /// be kept.
    pub fn next_message(&mut self) -> Option<&Outbound> {
        if self.outbox.is_none() {
            self.outbox = self.make_message();
        }
        self.outbox.as_ref()
    }

    /// Tells that the message which [`next_message`](Self::next_message) gave is delivered.
    pub fn message_delivered(&mut self) {
        self.outbox = None;
    }

    fn make_message(&mut self) -> Option<Outbound> {
        if let Some((target, message)) = self.urgent.take() {
            return Some(Outbound {
                target,
                message,
                then_signal: None,
            });
        }
        if self.is_paused() {
            return None;
        }
        let message = match self.replies.pop_front() {
            Some(reply) => reply,
            None => self.make_unasked()?,
        };
        if let (HostMessage::PauseResponse, Some(session)) = (&message, self.connection.session_mut()) {
            session.pause = Pause::Paused;
        }
        let then_signal = match &message {
            HostMessage::OpenChannelResult(OpenResult { relid, status, .. }) if status.is_success() => {
                self.channels.find(*relid).and_then(|channel| {
                    let Usage::Open { opened, .. } = channel.usage else {
                        return None;
                    };
                    Some(self.signal_of(*relid, opened.target_vp))
                })
            }
            _ => None,
        };
        Some(Outbound {
            target: self.target,
            message,
            then_signal,
        })
    }

    /// Offers, their end, and their recall.
    fn make_unasked(&mut self) -> Option<HostMessage> {
        let session = self.connection.session_mut()?;
        let connected = session.connected;
        if session.offers == Offers::NotRequested || session.pause != Pause::No {
            return None;
        }
        // Recalled first: another offer may wait for it. But not before the device has let go of everything: upon a rescind, Linux
        // frees the memory that it lent without asking for it back.
        let gpadls = &self.gpadls;
        if let Some(channel) = self.channels.iter_mut().find(|channel| {
            channel.standing == Standing::RescindPending
                && !channel.is_in_use()
                && !gpadls
                    .iter()
                    .any(|gpadl| gpadl.relid == channel.relid && gpadl.uses > 0)
        }) {
            channel.standing = Standing::Rescinded;
            return Some(HostMessage::RescindChannelOffer(RescindChannelOffer {
                relid: channel.relid,
            }));
        }
        if let Some(channel) = self.channels.next_to_offer() {
            channel.standing = Standing::Offered;
            let flags = channel
                .params
                .flags
                .for_version(connected.version, connected.features);
            let connection = connection_id(channel.relid, self.config.sint);
            return Some(HostMessage::OfferChannel(OfferChannel {
                offer: offer(channel, flags.bits()),
                signal: Some(OfferSignal::dedicated(connection.0)),
            }));
        }
        if session.offers == Offers::Sending {
            session.offers = Offers::Delivered;
            return Some(HostMessage::AllOffersDelivered);
        }
        None
    }
}

fn offer(channel: &Channel, flags: u16) -> Offer {
    let params = &channel.params;
    Offer {
        interface: params.interface,
        instance: params.instance,
        reserved: [0; 16],
        flags: U16::new(flags),
        mmio_megabytes: U16::new(params.mmio_megabytes),
        user_defined: params.user_defined,
        sub_channel_index: U16::new(channel.sub_channel_index()),
        mmio_megabytes_optional: U16::new(params.mmio_megabytes_optional),
        relid: channel.relid,
        // Not monitored: the guest signals by hypercall.
        monitor_id: 0xff,
        monitor_allocated: 0,
    }
}
