//! The connection: contact, version, features, leave, pause.

use hvcall::{Sint, VpIndex};
use zerocopy::little_endian::{U16, U32};

use super::channel::{Standing, Usage};
use super::engine::Host;
use super::event::Connected;
use super::fault::{Breach, HandleError};
use super::params::MessageTarget;
use crate::wire::{
    ConnectRequest, ConnectionState, HostMessage, InitiateContact, MessageType, ModifyConnection,
    ModifyConnectionResponse, Status, TlConnectResult, Version, VersionAnswer, VersionResponse,
};

/// Whether there is a connection.
#[derive(Debug)]
pub(super) enum Connection {
    /// There is none.
    Disconnected,
    /// There is one.
    Connected(Session),
    /// The one that there was has ended; devices are still letting go.
    Leaving(Next),
}

impl Connection {
    pub(super) fn session(&self) -> Option<&Session> {
        match self {
            Self::Connected(session) => Some(session),
            _ => None,
        }
    }

    pub(super) fn session_mut(&mut self) -> Option<&mut Session> {
        match self {
            Self::Connected(session) => Some(session),
            _ => None,
        }
    }
}

/// What a connection consists of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Session {
    pub(super) connected: Connected,
    pub(super) offers: Offers,
    pub(super) pause: Pause,
}

/// Whether the guest gets offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offers {
    /// It has not asked.
    NotRequested,
    /// Those that stood when it asked.
    Sending,
    /// It was told that it has those; now it gets what comes.
    Delivered,
}

/// Whether the guest takes messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pause {
    No,
    /// It wants none, and is still to be told that it will get none.
    Pausing,
    Paused,
}

/// What follows once devices have let go.
#[derive(Clone, Copy, Debug)]
pub(super) enum Next {
    AnswerUnload,
    AnswerContact(Contact),
}

/// What a guest asks for in INITIATE_CONTACT.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contact {
    message: InitiateContact,
    target: MessageTarget,
    refused: bool,
}

impl<const CHANNELS: usize, const GPADLS: usize, const REPLIES: usize> Host<'_, CHANNELS, GPADLS, REPLIES> {
    pub(super) fn handle_contact(&mut self, message: &InitiateContact) -> Result<(), HandleError> {
        let message_type = MessageType::INITIATE_CONTACT;
        let request = &message.request;
        let mut result = Ok(());
        let mut contact = Contact {
            message: *message,
            target: MessageTarget {
                vp: VpIndex(0),
                sint: self.config.sint,
            },
            refused: false,
        };
        // Before 3.0 there was no choice, so the field may be anything.
        if request.version >= Version::WIN8_1 {
            let vp = request.target_vp.get();
            let vp_count = self.config.vp_count;
            if vp < vp_count {
                contact.target.vp = VpIndex(vp);
            } else {
                contact.refused = true;
                result = Err(Breach::NoSuchVp {
                    message_type,
                    vp,
                    vp_count,
                }
                .into());
            }
        }
        if let Some(info) = request.target_info() {
            // 0 is left by guests that do not choose: the hypervisor has that SINT for itself.
            let sint = if info.sint == 0 {
                Some(self.config.sint)
            } else {
                Sint::new(info.sint)
            };
            let vtl = if request.version >= Version::WIN10_RS4 {
                info.vtl
            } else {
                0
            };
            contact.target.sint = sint.unwrap_or(self.config.sint);
            if sint != Some(self.config.sint) || vtl != 0 {
                contact.refused = true;
                result = result.and(Err(HandleError::Unsupported { message_type }));
            }
        }
        let pages = (
            request.parent_to_child_monitor_page.get(),
            request.child_to_parent_monitor_page.get(),
        );
        if (pages.0 == 0) != (pages.1 == 0) {
            result = result.and(Err(Breach::OneMonitorPage { message_type }.into()));
        }
        // A guest that is connected has been restarted, and knows nothing of what was before.
        self.leave(Next::AnswerContact(contact));
        result
    }

    pub(super) fn handle_unload(&mut self) -> Result<(), HandleError> {
        // Without a connection it is answered too: a guest that waits for it in a crash has nothing else to do.
        self.leave(Next::AnswerUnload);
        Ok(())
    }

    /// Ends the connection: the guest knows nothing any more, and devices are to let go of its memory.
    fn leave(&mut self, next: Next) {
        self.urgent = None;
        self.outbox = None;
        self.replies.clear();
        self.discarded = None;
        self.notice_connected = None;
        self.gpadls.forget(|_| true);
        for channel in self.channels.iter_mut() {
            channel.standing = Standing::Unknown;
            // The next guest has to ask for sub-channels itself.
            channel.doomed |= channel.sub_channel.is_some();
            channel.stop();
        }
        self.connection = Connection::Leaving(next);
        self.finish_leaving();
    }

    /// Goes on after a connection has ended, once no device uses the guest's memory any more.
    pub(super) fn finish_leaving(&mut self) {
        let Connection::Leaving(next) = self.connection else {
            return;
        };
        if !self.gpadls.is_empty()
            || self
                .channels
                .iter()
                .any(|channel| !matches!(channel.usage, Usage::Closed))
        {
            return;
        }
        self.connection = Connection::Disconnected;
        self.notice_disconnected |= core::mem::take(&mut self.announced);
        match next {
            Next::AnswerUnload => self.urgent = Some((self.target, HostMessage::UnloadResponse)),
            Next::AnswerContact(contact) => self.answer_contact(&contact),
        }
    }

    fn answer_contact(&mut self, contact: &Contact) {
        let Contact {
            message: InitiateContact { request, client_id },
            target,
            refused,
        } = contact;
        self.target = *target;
        let version = request.version;
        if *refused || !self.config.accepts(version) {
            self.urgent = Some((*target, HostMessage::VersionResponse(VersionResponse::REFUSAL)));
            return;
        }
        let pages = (
            request.parent_to_child_monitor_page.get(),
            request.child_to_parent_monitor_page.get(),
        );
        let connection_state = if (pages.0 == 0) == (pages.1 == 0) {
            ConnectionState::SUCCESSFUL
        } else {
            ConnectionState::FAILED_UNKNOWN_FAILURE
        };
        let features = self.config.grants(version, request.features());
        let answer = VersionAnswer {
            version_supported: 1,
            connection_state,
            reserved: U16::ZERO,
            connection_id_or_version: if version >= Version::WIN10_RS3_1 {
                self.config.message_connection.0.into()
            } else {
                version.value().into()
            },
        };
        let response = if version >= Version::COPPER {
            VersionResponse::WithFeatures(answer, U32::new(features.bits()))
        } else {
            VersionResponse::Full(answer)
        };
        self.urgent = Some((*target, HostMessage::VersionResponse(response)));
        if connection_state != ConnectionState::SUCCESSFUL {
            return;
        }
        let client_id = if features.contains(crate::wire::FeatureFlags::CLIENT_ID) {
            *client_id
        } else {
            None
        };
        let connected = Connected {
            version,
            features,
            client_id,
        };
        self.connection = Connection::Connected(Session {
            connected,
            offers: Offers::NotRequested,
            pause: Pause::No,
        });
        self.notice_connected = Some(connected);
    }

    pub(super) fn handle_request_offers(&mut self) -> Result<(), HandleError> {
        match self.connection.session_mut() {
            Some(Session {
                offers: offers @ Offers::NotRequested,
                ..
            }) => {
                *offers = Offers::Sending;
                Ok(())
            }
            _ => Err(Breach::OffersRequestedTwice.into()),
        }
    }

    pub(super) fn handle_pause(&mut self) -> Result<(), HandleError> {
        let message_type = MessageType::PAUSE;
        match self.connection.session_mut() {
            Some(Session {
                pause: pause @ Pause::No,
                ..
            }) => *pause = Pause::Pausing,
            _ => return Err(Breach::PauseState { message_type }.into()),
        }
        self.reply(HostMessage::PauseResponse);
        Ok(())
    }

    pub(super) fn handle_resume(&mut self) -> Result<(), HandleError> {
        let message_type = MessageType::RESUME;
        match self.connection.session_mut() {
            Some(Session {
                pause: pause @ Pause::Paused,
                ..
            }) => {
                *pause = Pause::No;
                Ok(())
            }
            _ => Err(Breach::PauseState { message_type }.into()),
        }
    }

    /// The monitor pages are not used, so only their form matters.
    pub(super) fn handle_modify_connection(&mut self, modify: &ModifyConnection) -> Result<(), HandleError> {
        let message_type = MessageType::MODIFY_CONNECTION;
        let one = (modify.parent_to_child_monitor_page.get() == 0)
            != (modify.child_to_parent_monitor_page.get() == 0);
        let connection_state = if one {
            ConnectionState::FAILED_UNKNOWN_FAILURE
        } else {
            ConnectionState::SUCCESSFUL
        };
        self.reply(HostMessage::ModifyConnectionResponse(ModifyConnectionResponse {
            connection_state,
        }));
        if one {
            Err(Breach::OneMonitorPage { message_type }.into())
        } else {
            Ok(())
        }
    }

    /// There are no hvsock services here. Before 4.1 there is no way to say so.
    pub(super) fn handle_tl_connect(&mut self, request: &ConnectRequest) -> Result<(), HandleError> {
        if self
            .connected()
            .is_some_and(|connected| connected.version >= Version::WIN10_RS3_0)
        {
            self.reply(HostMessage::TlConnectResult(TlConnectResult {
                endpoint: request.endpoint,
                service: request.service,
                status: Status::CONNECTION_REFUSED,
            }));
        }
        Ok(())
    }
}
