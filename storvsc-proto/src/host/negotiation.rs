//! What happens on a primary channel before the first command.

use zerocopy::little_endian::{U16, U32, U64};

use super::{Config, Event, Reset};
use crate::wire::{
    ChannelProperties, CompletionBody, GuestMessage, NtStatus, PropertyFlags, ProtocolVersion,
};

/// How far a channel is.
///
/// ```text
/// Begin ── BEGIN_INITIALIZATION ──▶ Version ── QUERY_PROTOCOL_VERSION, one that is known ──▶ Properties
///       ── QUERY_PROPERTIES ──▶ End ── END_INITIALIZATION ──▶ Ready
/// ```
///
/// What comes out of order is answered with `INVALID_DEVICE_STATE` and changes nothing. A sub-channel is
/// ready from the start. `CREATE_SUB_CHANNELS` is taken before `END_INITIALIZATION` as OpenVMM does, and after
/// it, where Linux sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing came.
    Begin,
    /// A version is to be agreed on.
    Version,
    /// Properties are to be asked for.
    Properties(ProtocolVersion),
    /// Everything was said.
    End(ProtocolVersion),
    /// Commands.
    Ready(ProtocolVersion),
}

impl Stage {
    /// The version, once agreed on.
    pub(crate) const fn version(self) -> Option<ProtocolVersion> {
        match self {
            Self::Begin | Self::Version => None,
            Self::Properties(version) | Self::End(version) | Self::Ready(version) => Some(version),
        }
    }
}

/// The state of a channel's negotiation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Negotiation {
    stage: Stage,
    primary: bool,
    sub_channels: u16,
}

/// An answer to a message, other than one that runs a command.
pub(crate) struct Answer {
    pub(crate) status: NtStatus,
    pub(crate) body: CompletionBody,
    pub(crate) event: Option<Event>,
}

impl Answer {
    const fn status(status: NtStatus) -> Self {
        Self {
            status,
            body: CompletionBody::Empty,
            event: None,
        }
    }

    const fn done(event: Option<Event>) -> Self {
        Self {
            status: NtStatus::SUCCESS,
            body: CompletionBody::Empty,
            event,
        }
    }
}

impl Negotiation {
    pub(crate) const fn primary() -> Self {
        Self {
            stage: Stage::Begin,
            primary: true,
            sub_channels: 0,
        }
    }

    pub(crate) const fn sub_channel(version: ProtocolVersion) -> Self {
        Self {
            stage: Stage::Ready(version),
            primary: false,
            sub_channels: 0,
        }
    }

    pub(crate) const fn stage(&self) -> Stage {
        self.stage
    }

    pub(crate) const fn is_primary(&self) -> bool {
        self.primary
    }

    /// Answers a message that runs no command.
    pub(crate) fn handle(&mut self, message: &GuestMessage, config: &Config) -> Answer {
        match (message, self.stage) {
            (GuestMessage::BeginInitialization, Stage::Begin) => {
                self.stage = Stage::Version;
                Answer::done(None)
            }
            (GuestMessage::QueryProtocolVersion(version), Stage::Version) => self.version(*version),
            (GuestMessage::QueryProperties, Stage::Properties(version)) => {
                self.stage = Stage::End(version);
                let body = CompletionBody::Properties(properties(version, config));
                Answer {
                    status: NtStatus::SUCCESS,
                    body,
                    event: None,
                }
            }
            (GuestMessage::EndInitialization, Stage::End(version)) => {
                self.stage = Stage::Ready(version);
                Answer::done(Some(Event::Ready { version }))
            }
            (GuestMessage::CreateSubChannels(count), Stage::End(version) | Stage::Ready(version))
                if self.primary =>
            {
                self.create(*count, version, config)
            }
            (GuestMessage::ResetLun(at), Stage::Ready(_)) => {
                Answer::done(Some(Event::Reset(Reset::Lun(*at))))
            }
            (GuestMessage::ResetBus { path }, Stage::Ready(_)) => {
                Answer::done(Some(Event::Reset(Reset::Bus { path: *path })))
            }
            (GuestMessage::ResetAdapter, Stage::Ready(_)) => Answer::done(Some(Event::Reset(Reset::Adapter))),
            // This is no fibre-channel adapter.
            (GuestMessage::FcHbaData, _) => Answer::status(NtStatus::INVALID_DEVICE_REQUEST),
            _ => Answer::status(NtStatus::INVALID_DEVICE_STATE),
        }
    }

    fn version(&mut self, version: ProtocolVersion) -> Answer {
        let body = CompletionBody::Version(version);
        // A guest goes on to its next version when this one is refused.
        if !version.is_known() {
            return Answer {
                status: NtStatus::REVISION_MISMATCH,
                body,
                event: None,
            };
        }
        self.stage = Stage::Properties(version);
        Answer {
            status: NtStatus::SUCCESS,
            body,
            event: None,
        }
    }

    fn create(&mut self, count: u16, version: ProtocolVersion, config: &Config) -> Answer {
        if count > max_sub_channels(version, config) {
            return Answer::status(NtStatus::INVALID_PARAMETER);
        }
        // The number is a total: asking twice does not make more.
        let event = (count > self.sub_channels).then_some(Event::SubChannels { count });
        self.sub_channels = self.sub_channels.max(count);
        Answer::done(event)
    }
}

fn max_sub_channels(version: ProtocolVersion, config: &Config) -> u16 {
    if version.has_sub_channels() {
        config.max_sub_channels
    } else {
        0
    }
}

fn properties(version: ProtocolVersion, config: &Config) -> ChannelProperties {
    let flags = if version.has_sub_channels() {
        PropertyFlags::MULTI_CHANNEL
    } else {
        PropertyFlags::empty()
    };
    ChannelProperties {
        reserved: U32::ZERO,
        max_sub_channels: U16::new(max_sub_channels(version, config)),
        reserved2: U16::ZERO,
        flags: U32::new(flags.bits()),
        max_transfer_bytes: U32::new(config.max_transfer_bytes),
        reserved3: U64::ZERO,
    }
}
