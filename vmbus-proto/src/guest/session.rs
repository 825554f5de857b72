//! What goes on while there is a connection: the end of the offers, pauses, other monitor pages.

use zerocopy::little_endian::U64;

use super::config::MonitorAddresses;
use super::engine::Guest;
use super::event::{Connected, ModifyConnectionError};
use super::fault::{Breach, CallError, HandleError};
use super::pages::Pages;
use super::timer::Timer;
use crate::wire::{ConnectionState, GuestMessage, MessageType, ModifyConnection};

/// What a connection consists of.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) connected: Connected,
    pub(super) offers: Offers,
    pub(super) pause: Pause,
    pub(super) modify: ModifyPages,
}

/// Whether the host was asked for offers.
#[derive(Debug)]
pub(super) enum Offers {
    NotRequested,
    Requested(Timer),
    Delivered,
}

/// Whether the host sends messages.
#[derive(Debug)]
pub(super) enum Pause {
    No,
    /// PAUSE is to be sent.
    Wanted,
    /// PAUSE is sent.
    Pausing(Timer),
    Paused,
    /// RESUME is to be sent.
    ResumeWanted,
}

impl Pause {
    /// Whether the host has nothing to say.
    pub(super) const fn is_paused(&self) -> bool {
        matches!(self, Self::Paused | Self::ResumeWanted)
    }
}

/// A change of the monitor pages.
#[derive(Debug)]
pub(super) enum ModifyPages {
    None,
    Pending(Option<MonitorAddresses>),
    Sent(Timer),
}

/// The address as it stands in messages: 0 for none.
pub(super) fn addresses(pages: Option<MonitorAddresses>) -> (U64, U64) {
    pages.map_or((U64::ZERO, U64::ZERO), |pages| {
        (pages.parent_to_child.into(), pages.child_to_parent.into())
    })
}

impl<M: Pages, const CHANNELS: usize, const GPADLS: usize> Guest<M, CHANNELS, GPADLS> {
    pub(super) fn handle_all_offers_delivered(&mut self) -> Result<(), HandleError> {
        let message_type = MessageType::ALL_OFFERS_DELIVERED;
        match self.connection.session_mut() {
            Some(Session {
                offers: offers @ Offers::Requested(_),
                ..
            }) => {
                *offers = Offers::Delivered;
                self.notices.all_offers = true;
                self.notices.offers_overdue = false;
                Ok(())
            }
            _ => Err(Breach::Unrequested { message_type }.into()),
        }
    }

    /// Asks the host to send no messages for now; [`Event::Paused`](super::Event::Paused) tells when. Answers that are outstanding then
    /// come after [`resume`](Self::resume), and their time starts anew.
    ///
    /// # Errors
    /// Without a connection or the feature, or when the same is under way.
    pub fn pause(&mut self) -> Result<(), CallError> {
        let session = self.session_for(MessageType::PAUSE)?;
        let Pause::No = session.pause else {
            return Err(CallError::UnderWay);
        };
        session.pause = Pause::Wanted;
        Ok(())
    }

    /// Asks the host to send messages again.
    ///
    /// # Errors
    /// Without a connection, or when it is not paused.
    pub fn resume(&mut self) -> Result<(), CallError> {
        let session = self.session_for(MessageType::RESUME)?;
        let Pause::Paused = session.pause else {
            return Err(CallError::UnderWay);
        };
        session.pause = Pause::ResumeWanted;
        Ok(())
    }

    pub(super) fn handle_pause_response(&mut self) -> Result<(), HandleError> {
        let message_type = MessageType::PAUSE_RESPONSE;
        match self.connection.session_mut() {
            Some(Session {
                pause: pause @ Pause::Pausing(_),
                ..
            }) => {
                *pause = Pause::Paused;
                self.notices.paused = true;
                self.notices.pause_overdue = false;
                Ok(())
            }
            _ => Err(Breach::Unrequested { message_type }.into()),
        }
    }

    /// Has the host use other monitor pages, or none.
    ///
    /// # Errors
    /// Without a connection or the feature, or when the same is under way.
    pub fn modify_connection(&mut self, monitor_pages: Option<MonitorAddresses>) -> Result<(), CallError> {
        let untold = self.notices.modified.is_some();
        let session = self.session_for(MessageType::MODIFY_CONNECTION)?;
        let (ModifyPages::None, false) = (&session.modify, untold) else {
            return Err(CallError::UnderWay);
        };
        session.modify = ModifyPages::Pending(monitor_pages);
        Ok(())
    }

    pub(super) fn make_modify_connection(pages: Option<MonitorAddresses>) -> GuestMessage<'static> {
        let (parent_to_child_monitor_page, child_to_parent_monitor_page) = addresses(pages);
        GuestMessage::ModifyConnection(ModifyConnection {
            parent_to_child_monitor_page,
            child_to_parent_monitor_page,
        })
    }

    pub(super) fn handle_modify_connection_response(
        &mut self,
        state: ConnectionState,
    ) -> Result<(), HandleError> {
        let message_type = MessageType::MODIFY_CONNECTION_RESPONSE;
        match self.connection.session_mut() {
            Some(Session {
                modify: modify @ ModifyPages::Sent(_),
                ..
            }) => {
                *modify = ModifyPages::None;
                self.notices.modified = Some(if state == ConnectionState::SUCCESSFUL {
                    Ok(())
                } else {
                    Err(ModifyConnectionError::Refused(state))
                });
                Ok(())
            }
            _ => Err(Breach::Unrequested { message_type }.into()),
        }
    }

    /// The connection, if this message may be sent on it.
    pub(super) fn session_for(&mut self, message_type: MessageType) -> Result<&mut Session, CallError> {
        let version = self.connected().ok_or(CallError::NotConnected)?.version;
        self.allows(message_type, version)?;
        self.connection.session_mut().ok_or(CallError::NotConnected)
    }
}
