//! The guest's end of a handshake: it asks for one version after another, the newest first, until the host accepts one.

use core::fmt;
use core::marker::PhantomData;

use thiserror::Error;

use super::Device;
use super::wire::DeviceVersion;

/// A guest's handshake. See [the module](super) for both ends.
pub struct Handshake<D> {
    state: State,
    transaction: u32,
    device: PhantomData<fn() -> D>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The version at this place of the device's is to be asked for.
    Ask(usize),
    /// It was asked for.
    Asked(usize),
    Agreed(DeviceVersion),
    Failed(Fault),
}

/// The handshake has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Fault {
    /// The host accepted none of the versions.
    #[error("no version in common")]
    NoVersion,
    /// The host answers what was not asked: its fault.
    #[error("an answer to no request")]
    Unasked,
    /// Something else than an answer, before the handshake is over: the host's fault.
    #[error("a message before a version is agreed on")]
    Early,
}

impl<D: Device> Handshake<D> {
    /// A channel that was just opened.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: State::Ask(0),
            transaction: 0,
            device: PhantomData,
        }
    }

    /// The message to send now, if there is one.
    pub fn next_message(&mut self) -> Option<D::GuestMessage<'static>> {
        let State::Ask(at) = self.state else { return None };
        let version = *D::VERSIONS.get(at)?;
        let last = at.saturating_add(1) >= D::VERSIONS.len();
        self.state = State::Asked(at);
        self.transaction = self.transaction.wrapping_add(1);
        Some(D::request(version, last, self.transaction))
    }

    /// Takes the host's answer. `None`: ask again. The transaction in it is not judged, as Linux does not either.
    ///
    /// # Errors
    /// When the handshake has failed, from then on always.
    pub fn handle(&mut self, message: &D::HostMessage<'_>) -> Result<Option<DeviceVersion>, Fault> {
        let next = match (self.state, D::accepted(message)) {
            (State::Failed(fault), _) => return Err(fault),
            (State::Asked(at), Some(true)) => match D::VERSIONS.get(at) {
                Some(version) => State::Agreed(*version),
                None => State::Failed(Fault::NoVersion),
            },
            (State::Asked(at), Some(false)) => {
                let at = at.saturating_add(1);
                if at < D::VERSIONS.len() {
                    State::Ask(at)
                } else {
                    State::Failed(Fault::NoVersion)
                }
            }
            (State::Ask(_) | State::Agreed(_), Some(_)) => State::Failed(Fault::Unasked),
            (State::Agreed(version), None) => State::Agreed(version),
            (_, None) => State::Failed(Fault::Early),
        };
        self.state = next;
        match next {
            State::Failed(fault) => Err(fault),
            State::Agreed(version) => Ok(Some(version)),
            _ => Ok(None),
        }
    }

    /// The version, once it is agreed on.
    #[must_use]
    pub const fn version(&self) -> Option<DeviceVersion> {
        match self.state {
            State::Agreed(version) => Some(version),
            _ => None,
        }
    }
}

impl<D: Device> Default for Handshake<D> {
    fn default() -> Self {
        Self::new()
    }
}

impl<D> fmt::Debug for Handshake<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake").field("state", &self.state).finish()
    }
}
