//! What happens on a primary channel before the first command.

use super::event::{Event, Fault};
use crate::wire::{
    Completion, GuestMessage, NtStatus, Operation, PacketForm, PropertyFlags, ProtocolVersion,
};

/// What a controller can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Properties {
    /// Most bytes that one command transfers.
    pub max_transfer_bytes: u32,
    /// How many sub-channels may be asked for, the primary channel not counted.
    pub max_sub_channels: u16,
}

/// How far a channel is: which message is next, or waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Begin,
    /// The version in this place of [`ProtocolVersion::ALL`].
    Version(usize),
    Properties(ProtocolVersion),
    End(ProtocolVersion, Properties),
    Ready(ProtocolVersion, Properties),
}

/// The state of a channel's negotiation, and of what is asked after it besides commands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Negotiation {
    stage: Stage,
    /// What is asked after the negotiation.
    asking: Option<GuestMessage>,
    /// Whether the message was sent, and its answer did not come.
    sent: bool,
}

impl Negotiation {
    pub(super) const fn primary() -> Self {
        Self {
            stage: Stage::Begin,
            asking: None,
            sent: false,
        }
    }

    pub(super) const fn sub_channel(version: ProtocolVersion, properties: Properties) -> Self {
        Self {
            stage: Stage::Ready(version, properties),
            asking: None,
            sent: false,
        }
    }

    #[inline]
    pub(super) const fn ready(&self) -> Option<(ProtocolVersion, Properties)> {
        match self.stage {
            Stage::Ready(version, properties) => Some((version, properties)),
            _ => None,
        }
    }

    /// The form of packets: the long one until a version says otherwise, as Linux does.
    #[inline]
    pub(super) fn form(&self) -> PacketForm {
        match self.stage {
            Stage::Begin | Stage::Version(_) => PacketForm::Long,
            Stage::Properties(version) | Stage::End(version, _) | Stage::Ready(version, _) => {
                version.packet_form()
            }
        }
    }

    /// Whether there is nothing to be sent: between commands, the usual case.
    #[inline]
    pub(super) const fn is_silent(&self) -> bool {
        matches!(self.stage, Stage::Ready(..)) && self.asking.is_none()
    }

    /// The message that is to be sent now.
    pub(super) fn outbound(&self) -> Option<GuestMessage> {
        if self.sent {
            return None;
        }
        match self.stage {
            Stage::Begin => Some(GuestMessage::BeginInitialization),
            Stage::Version(at) => ProtocolVersion::ALL
                .get(at)
                .copied()
                .map(GuestMessage::QueryProtocolVersion),
            Stage::Properties(_) => Some(GuestMessage::QueryProperties),
            Stage::End(..) => Some(GuestMessage::EndInitialization),
            Stage::Ready(..) => self.asking,
        }
    }

    pub(super) const fn mark_sent(&mut self) {
        self.sent = true;
    }

    /// Asks for something after the negotiation. `false` when something is asked already.
    pub(super) fn ask(&mut self, message: GuestMessage) -> bool {
        if self.asking.is_some() {
            return false;
        }
        self.asking = Some(message);
        true
    }

    /// The answer to what was sent. `None` when nothing was.
    pub(super) fn answer(&mut self, completion: &Completion) -> Option<Result<Option<Event>, Fault>> {
        if !self.sent {
            return None;
        }
        self.sent = false;
        Some(self.step(completion))
    }

    fn step(&mut self, completion: &Completion) -> Result<Option<Event>, Fault> {
        let status = completion.status;
        match self.stage {
            Stage::Begin => {
                accepted(Operation::BEGIN_INITIALIZATION, status)?;
                self.stage = Stage::Version(0);
                Ok(None)
            }
            Stage::Version(at) => {
                let asked = ProtocolVersion::ALL.get(at).copied().ok_or(Fault::NoVersion)?;
                if status == NtStatus::SUCCESS {
                    self.stage = Stage::Properties(asked);
                    return Ok(None);
                }
                let next = at.saturating_add(1);
                if next >= ProtocolVersion::ALL.len() {
                    return Err(Fault::NoVersion);
                }
                self.stage = Stage::Version(next);
                Ok(None)
            }
            Stage::Properties(version) => {
                accepted(Operation::QUERY_PROPERTIES, status)?;
                let told = completion.properties()?;
                let max_transfer_bytes = told.max_transfer_bytes.get();
                if max_transfer_bytes == 0 {
                    return Err(Fault::Properties { max_transfer_bytes });
                }
                let flags = PropertyFlags::from_bits_retain(told.flags.get());
                let many = version.has_sub_channels() && flags.contains(PropertyFlags::MULTI_CHANNEL);
                let max_sub_channels = if many { told.max_sub_channels.get() } else { 0 };
                self.stage = Stage::End(
                    version,
                    Properties {
                        max_transfer_bytes,
                        max_sub_channels,
                    },
                );
                Ok(None)
            }
            Stage::End(version, properties) => {
                accepted(Operation::END_INITIALIZATION, status)?;
                self.stage = Stage::Ready(version, properties);
                Ok(Some(Event::Ready { version, properties }))
            }
            Stage::Ready(..) => Ok(self.asking.take().map(|asked| Event::Answered {
                operation: asked.operation(),
                status,
            })),
        }
    }
}

fn accepted(operation: Operation, status: NtStatus) -> Result<(), Fault> {
    if status == NtStatus::SUCCESS {
        Ok(())
    } else {
        Err(Fault::Refused { operation, status })
    }
}
