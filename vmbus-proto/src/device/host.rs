//! The host's end of a handshake: it accepts versions that it knows, and no other.

use core::fmt;
use core::marker::PhantomData;

use thiserror::Error;

use super::Device;
use super::wire::DeviceVersion;

/// A host's handshake. See [the module](super) for both ends.
pub struct Handshake<D> {
    /// The newest version that is accepted.
    newest: Option<DeviceVersion>,
    agreed: Option<DeviceVersion>,
    device: PhantomData<fn() -> D>,
}

/// A message that asks for no version, before one is agreed on: the guest's fault. The handshake goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a message before a version is agreed on")]
pub struct Early;

impl<D: Device> Handshake<D> {
    /// A channel that was just opened. Every version of the device's is accepted.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            newest: None,
            agreed: None,
            device: PhantomData,
        }
    }

    /// The same, which accepts no version newer than this.
    #[must_use]
    pub const fn up_to(newest: DeviceVersion) -> Self {
        Self {
            newest: Some(newest),
            ..Self::new()
        }
    }

    /// Takes a message of the guest's, and gives the answer to send. A guest may ask again at any time, as its driver does when it was
    /// loaded anew.
    ///
    /// # Errors
    /// When it asks for no version. Once one is agreed on, such messages are none of the handshake.
    pub fn handle(&mut self, message: &D::GuestMessage<'_>) -> Result<D::HostMessage<'static>, Early> {
        let (version, transaction) = D::requested(message).ok_or(Early)?;
        let accepted = D::VERSIONS.contains(&version) && self.newest.is_none_or(|newest| version <= newest);
        self.agreed = accepted.then_some(version);
        Ok(D::response(version, accepted, transaction))
    }

    /// The version, once it is agreed on.
    #[must_use]
    pub const fn version(&self) -> Option<DeviceVersion> {
        self.agreed
    }
}

impl<D: Device> Default for Handshake<D> {
    fn default() -> Self {
        Self::new()
    }
}

impl<D> fmt::Debug for Handshake<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake").field("agreed", &self.agreed).finish()
    }
}
