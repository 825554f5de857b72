//! The connection: contact, version, features, leave, pause.

use hvcall::{ConnectionId, Sint};
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U32};

use super::channel::Standing;
use super::config::MonitorAddresses;
use super::engine::{Guest, Notices};
use super::event::{
    ConnectError, Connected, DisconnectReason, ModifyConnectionError, ModifyError, OpenError, ReturnReason,
};
use super::fault::{Breach, CallError, HandleError};
use super::gpadl::State;
use super::pages::Pages;
use super::session::{ModifyPages, Offers, Pause, Session, addresses};
use super::timer::Timer;
use crate::wire::{
    ConnectionState, ContactRequest, FeatureFlags, GuestMessage, InitiateContact, MESSAGE_CONNECTION,
    MESSAGE_CONNECTION_5_0, MessageInfo, MessageType, TargetInfo, Version, VersionResponse,
};

/// Whether there is a connection.
#[derive(Debug)]
pub(super) enum Connection {
    /// There is none.
    Disconnected,
    /// The host is asked for a version.
    Contacting {
        version: Version,
        /// Whether INITIATE_CONTACT is posted.
        posted: bool,
        timer: Timer,
    },
    /// There is one.
    Connected(Session),
    /// There was one, and UNLOAD is to be sent or answered.
    Unloading {
        /// The connection to post it to.
        connection: ConnectionId,
        posted: bool,
        timer: Timer,
    },
}

impl Connection {
    pub(super) const fn session(&self) -> Option<&Session> {
        match self {
            Self::Connected(session) => Some(session),
            _ => None,
        }
    }

    pub(super) const fn session_mut(&mut self) -> Option<&mut Session> {
        match self {
            Self::Connected(session) => Some(session),
            _ => None,
        }
    }
}

impl<M: Pages, const CHANNELS: usize, const GPADLS: usize> Guest<M, CHANNELS, GPADLS> {
    /// Makes contact with the host: asks for versions from the highest downwards until the host speaks one, and then for its offers.
    /// [`Event::Connected`](super::Event::Connected) or [`Event::ConnectFailed`](super::Event::ConnectFailed) tells what came of it.
    ///
    /// # Errors
    /// When there is a connection already, what came of the one before was not polled yet, or there is no version to ask for.
    pub fn connect(&mut self) -> Result<(), CallError> {
        let Connection::Disconnected = self.connection else {
            return Err(CallError::AlreadyConnected);
        };
        if self.notices.failed.is_some() || self.notices.disconnected.is_some() {
            return Err(CallError::UnderWay);
        }
        let version = self.config.next_version(None).ok_or(CallError::NoVersion)?;
        self.contact(version);
        Ok(())
    }

    fn contact(&mut self, version: Version) {
        self.connection = Connection::Contacting {
            version,
            posted: false,
            timer: Timer::Off,
        };
    }

    pub(super) fn make_contact(&self, version: Version) -> GuestMessage<'static> {
        let config = &self.config;
        let features = config.asks_for(version);
        let interrupt_page_or_target = if version >= Version::WIN10_RS3_1 {
            let mut bytes = [0; 8];
            let info = TargetInfo {
                sint: config.sint.number(),
                vtl: 0,
                reserved: U16::ZERO,
                features: U32::new(features.bits()),
            };
            for (to, from) in bytes.iter_mut().zip(info.as_bytes()) {
                *to = *from;
            }
            bytes
        } else {
            config.interrupt_page.unwrap_or(0).to_le_bytes()
        };
        let (parent_to_child_monitor_page, child_to_parent_monitor_page) = addresses(config.monitor_pages);
        GuestMessage::InitiateContact(InitiateContact {
            request: ContactRequest {
                version,
                target_vp: if version >= Version::WIN8_1 {
                    config.target_vp.0.into()
                } else {
                    U32::ZERO
                },
                interrupt_page_or_target,
                parent_to_child_monitor_page,
                child_to_parent_monitor_page,
            },
            client_id: config
                .client_id
                .filter(|_| features.contains(FeatureFlags::CLIENT_ID)),
        })
    }

    /// The connection by which a host is asked for this version.
    pub(super) fn contact_connection(version: Version) -> ConnectionId {
        if version >= Version::WIN10_RS3_1 {
            MESSAGE_CONNECTION_5_0
        } else {
            MESSAGE_CONNECTION
        }
    }

    pub(super) fn handle_version_response(&mut self, response: &VersionResponse) -> Result<(), HandleError> {
        let message_type = MessageType::VERSION_RESPONSE;
        // It crossed the UNLOAD.
        if let Connection::Unloading { .. } = self.connection {
            return Ok(());
        }
        let Connection::Contacting {
            version,
            posted: true,
            ..
        } = self.connection
        else {
            return Err(Breach::Unrequested { message_type }.into());
        };
        if !response.version_supported() {
            self.contact_refused(version);
            return Ok(());
        }
        // Before 2.4 it may be left-over memory.
        let state = response
            .connection_state()
            .filter(|_| version >= Version::WIN8)
            .unwrap_or(ConnectionState::SUCCESSFUL);
        if state != ConnectionState::SUCCESSFUL {
            self.fail_contact(ConnectError::Refused { version, state });
            return Ok(());
        }
        let mut message_connection = Self::contact_connection(version);
        if version >= Version::WIN10_RS3_1
            && let Some(answer) = response.answer()
        {
            message_connection = ConnectionId(answer.connection_id_or_version.get());
        }
        if !is_connection(message_connection) {
            self.fail_contact(ConnectError::ConnectionId {
                connection_id: message_connection,
            });
            return Ok(());
        }
        // The host may name all that it knows; what was not asked for is not agreed on.
        let features = response.features() & self.config.asks_for(version);
        let monitor_pages = response
            .monitor_pages()
            .filter(|_| features.contains(FeatureFlags::SERVER_SPECIFIED_MONITOR_PAGES))
            .map(|pages| MonitorAddresses {
                parent_to_child: pages.parent_to_child.get(),
                child_to_parent: pages.child_to_parent.get(),
            });
        // It has let go of everything of the connection before, if there was one.
        self.return_all(ReturnReason::Reconnected);
        let connected = Connected {
            version,
            features,
            message_connection,
            monitor_pages,
        };
        self.refused = super::relid_set::RelIdSet::new();
        self.let_go = super::relid_set::RelIdSet::new();
        self.connection = Connection::Connected(Session {
            connected,
            offers: Offers::NotRequested,
            pause: Pause::No,
            modify: ModifyPages::None,
        });
        self.notices.connected = Some(connected);
        Ok(())
    }

    /// The host does not speak the version: asks for the next one.
    pub(super) fn contact_refused(&mut self, version: Version) {
        match self.config.next_version(Some(version)) {
            Some(next) => self.contact(next),
            None => self.fail_contact(ConnectError::NoCommonVersion {
                highest: self.config.next_version(None).unwrap_or(version),
                lowest: version,
            }),
        }
    }

    pub(super) fn fail_contact(&mut self, error: ConnectError) {
        self.connection = Connection::Disconnected;
        self.notices.failed = Some(error);
    }

    /// Takes leave: all channels and all that is under way end at once, and memory comes back when the host has answered, or not at
    /// all. [`Event::Disconnected`](super::Event::Disconnected) tells which.
    ///
    /// Drop all rings first. A contact that is being made is given up.
    ///
    /// # Errors
    /// Without a connection; and at 0.13, which has no such message: there everything is to be closed and torn down, and then the
    /// connection given up with [`connection_lost`](Self::connection_lost).
    pub fn unload(&mut self) -> Result<(), CallError> {
        let (version, connection) = match &self.connection {
            Connection::Disconnected | Connection::Unloading { .. } => return Err(CallError::NotConnected),
            Connection::Contacting { version, .. } => (*version, Self::contact_connection(*version)),
            Connection::Connected(session) => {
                (session.connected.version, session.connected.message_connection)
            }
        };
        self.allows(MessageType::UNLOAD, version)?;
        if let Connection::Contacting { posted, .. } = self.connection {
            self.notices.failed = Some(ConnectError::GivenUp);
            if !posted {
                self.connection = Connection::Disconnected;
                return Ok(());
            }
        }
        self.end_session();
        self.connection = Connection::Unloading {
            connection,
            posted: false,
            timer: Timer::Off,
        };
        Ok(())
    }

    /// Tells that the host knows nothing of the connection any more, or that there is no sense in waiting for it: for a guest that wakes
    /// from hibernation, or moves on after an answer is overdue. Memory that is lent stays so until the host answers a renewed
    /// [contact](Self::connect).
    pub fn connection_lost(&mut self) {
        match self.connection {
            Connection::Disconnected => return,
            Connection::Contacting { .. } => {
                self.fail_contact(ConnectError::GivenUp);
                return;
            }
            Connection::Connected(_) | Connection::Unloading { .. } => (),
        }
        self.end_session();
        self.disconnect(DisconnectReason::Lost);
    }

    /// Nothing of the connection goes on, and what was under way is told.
    fn end_session(&mut self) {
        for channel in self.channels.iter_mut() {
            channel.fail(OpenError::Disconnected, ModifyError::Disconnected);
            channel.standing = Standing::Gone;
        }
        self.channels.sweep();
        for gpadl in self.gpadls.iter_mut() {
            if let State::Sending { sent: 0, .. } = gpadl.state {
                gpadl.give_back(ReturnReason::NeverLent);
            }
            gpadl.timer = Timer::Off;
            gpadl.notice_created = false;
            gpadl.notice_overdue = false;
        }
        let modified = match self.connection.session() {
            Some(Session {
                modify: ModifyPages::Pending(_) | ModifyPages::Sent(_),
                ..
            }) => Some(Err(ModifyConnectionError::Disconnected)),
            _ => self.notices.modified.take(),
        };
        // A connection that the embedder never knew of did not come to be.
        let failed = match self.notices.connected {
            Some(_) => Some(ConnectError::GivenUp),
            None => self.notices.failed,
        };
        self.notices = Notices {
            modified,
            failed,
            ..Notices::default()
        };
    }

    pub(super) fn disconnect(&mut self, reason: DisconnectReason) {
        self.connection = Connection::Disconnected;
        self.notices.disconnected = Some(reason);
        if reason == DisconnectReason::Unloaded {
            self.return_all(ReturnReason::Unloaded);
            return;
        }
        for gpadl in self.gpadls.iter_mut().filter(|gpadl| gpadl.is_lent()) {
            gpadl.state = State::Stranded;
            gpadl.notice_overdue = true;
        }
    }

    /// The host has let go of all memory.
    fn return_all(&mut self, reason: ReturnReason) {
        for gpadl in self.gpadls.iter_mut() {
            if !matches!(gpadl.state, State::Returned(_)) {
                gpadl.give_back(reason);
            }
        }
    }

    pub(super) fn handle_unload_response(&mut self) -> Result<(), HandleError> {
        let message_type = MessageType::UNLOAD_RESPONSE;
        if let Connection::Unloading { posted: true, .. } = self.connection {
            self.disconnect(DisconnectReason::Unloaded);
            return Ok(());
        }
        // Late, but it says that the memory of the connection before is free.
        let is_late = !matches!(self.connection, Connection::Connected(_))
            && self.gpadls.iter().any(|gpadl| gpadl.state == State::Stranded);
        if is_late {
            self.return_all(ReturnReason::Unloaded);
            return Ok(());
        }
        Err(Breach::Unrequested { message_type }.into())
    }

    pub(super) fn allows(&self, message_type: MessageType, version: Version) -> Result<(), CallError> {
        let features = self
            .connected()
            .map_or(FeatureFlags::empty(), |connected| connected.features);
        if MessageInfo::of(message_type).is_some_and(|info| info.is_allowed(version, features)) {
            Ok(())
        } else {
            Err(CallError::NotInVersion {
                message_type,
                version,
            })
        }
    }

    /// Where messages and interrupts come to: before 3.0 VP 0, and before 5.0 SINT 2, whatever was configured.
    #[must_use]
    pub fn target(&self) -> Option<(hvcall::VpIndex, Sint)> {
        let version = self.connected()?.version;
        let vp = if version >= Version::WIN8_1 {
            self.config.target_vp
        } else {
            hvcall::VpIndex(0)
        };
        let sint = if version >= Version::WIN10_RS3_1 {
            self.config.sint
        } else {
            Sint::VMBUS
        };
        Some((vp, sint))
    }
}

/// Whether a host may name this connection.
pub(super) const fn is_connection(connection: ConnectionId) -> bool {
    connection.is_valid() && connection.0 != 0
}
