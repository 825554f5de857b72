//! Dynamic memory, keyboard and mouse: their messages, and the handshake by which guest and host agree on a version.
//!
//! What comes after the handshake, a balloon's policy or where keys go, is the embedder's: it has the [messages](wire). Each device is a
//! type that implements [`Device`], and [`guest::Handshake`] and [`host::Handshake`] are the two ends.
//!
//! ```
//! use vmbus_proto::device::{Keyboard, guest, host};
//!
//! let mut guest = guest::Handshake::<Keyboard>::new();
//! let mut host = host::Handshake::<Keyboard>::new();
//!
//! let asked = guest.next_message().expect("a request");
//! assert_eq!(asked.to_string(), "PROTOCOL_REQUEST 1.0");
//! let answer = host.handle(&asked)?;
//! assert_eq!(answer.to_string(), "PROTOCOL_RESPONSE accepted");
//! assert_eq!(guest.handle(&answer)?.map(|version| version.to_string()).as_deref(), Some("1.0"));
//! assert_eq!(host.version(), guest.version());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod guest;
pub mod host;
pub mod wire;

use self::wire::{DeviceVersion, dynamic_memory, keyboard, mouse};

/// A device whose guest asks for a version, and whose host accepts it or not.
pub trait Device {
    /// What a guest sends.
    type GuestMessage<'a>;
    /// What a host sends.
    type HostMessage<'a>;

    /// Every version that there is, the newest first: the order in which a guest asks.
    const VERSIONS: &'static [DeviceVersion];

    /// A guest's request for a version; `last` when it has no other to ask for. `transaction` counts the requests, where they are counted.
    fn request(version: DeviceVersion, last: bool, transaction: u32) -> Self::GuestMessage<'static>;

    /// What a guest asks for, and in which transaction; `None` when the message asks for no version.
    fn requested(message: &Self::GuestMessage<'_>) -> Option<(DeviceVersion, u32)>;

    /// A host's answer to a request.
    fn response(version: DeviceVersion, accepted: bool, transaction: u32) -> Self::HostMessage<'static>;

    /// Whether the host accepts; `None` when the message answers no request for a version.
    fn accepted(message: &Self::HostMessage<'_>) -> Option<bool>;
}

/// Dynamic memory: the balloon, and memory that comes while the guest runs.
#[derive(Clone, Copy, Debug)]
pub struct DynamicMemory;

impl Device for DynamicMemory {
    type GuestMessage<'a> = dynamic_memory::GuestMessage<'a>;
    type HostMessage<'a> = dynamic_memory::HostMessage<'a>;

    const VERSIONS: &'static [DeviceVersion] = dynamic_memory::VERSIONS;

    fn request(version: DeviceVersion, last: bool, transaction: u32) -> Self::GuestMessage<'static> {
        dynamic_memory::GuestMessage {
            transaction,
            body: dynamic_memory::GuestBody::VersionRequest { version, last },
        }
    }

    fn requested(message: &Self::GuestMessage<'_>) -> Option<(DeviceVersion, u32)> {
        match message.body {
            dynamic_memory::GuestBody::VersionRequest { version, .. } => Some((version, message.transaction)),
            _ => None,
        }
    }

    fn response(_: DeviceVersion, accepted: bool, transaction: u32) -> Self::HostMessage<'static> {
        dynamic_memory::HostMessage {
            transaction,
            body: dynamic_memory::HostBody::VersionResponse { accepted },
        }
    }

    fn accepted(message: &Self::HostMessage<'_>) -> Option<bool> {
        match message.body {
            dynamic_memory::HostBody::VersionResponse { accepted } => Some(accepted),
            _ => None,
        }
    }
}

/// The keyboard.
#[derive(Clone, Copy, Debug)]
pub struct Keyboard;

impl Device for Keyboard {
    type GuestMessage<'a> = keyboard::GuestMessage;
    type HostMessage<'a> = keyboard::HostMessage;

    const VERSIONS: &'static [DeviceVersion] = keyboard::VERSIONS;

    fn request(version: DeviceVersion, _: bool, _: u32) -> keyboard::GuestMessage {
        keyboard::GuestMessage::ProtocolRequest(version)
    }

    fn requested(message: &keyboard::GuestMessage) -> Option<(DeviceVersion, u32)> {
        match message {
            keyboard::GuestMessage::ProtocolRequest(version) => Some((*version, 0)),
            keyboard::GuestMessage::LedIndicators(_) => None,
        }
    }

    fn response(_: DeviceVersion, accepted: bool, _: u32) -> keyboard::HostMessage {
        keyboard::HostMessage::ProtocolResponse { accepted }
    }

    fn accepted(message: &keyboard::HostMessage) -> Option<bool> {
        match message {
            keyboard::HostMessage::ProtocolResponse { accepted } => Some(*accepted),
            keyboard::HostMessage::Event(_) => None,
        }
    }
}

/// The mouse.
#[derive(Clone, Copy, Debug)]
pub struct Mouse;

impl Device for Mouse {
    type GuestMessage<'a> = mouse::GuestMessage;
    type HostMessage<'a> = mouse::HostMessage<'a>;

    const VERSIONS: &'static [DeviceVersion] = mouse::VERSIONS;

    fn request(version: DeviceVersion, _: bool, _: u32) -> mouse::GuestMessage {
        mouse::GuestMessage::ProtocolRequest(version)
    }

    fn requested(message: &mouse::GuestMessage) -> Option<(DeviceVersion, u32)> {
        match message {
            mouse::GuestMessage::ProtocolRequest(version) => Some((*version, 0)),
            mouse::GuestMessage::DeviceInfoAck => None,
        }
    }

    fn response(version: DeviceVersion, accepted: bool, _: u32) -> mouse::HostMessage<'static> {
        mouse::HostMessage::ProtocolResponse { version, accepted }
    }

    fn accepted(message: &mouse::HostMessage<'_>) -> Option<bool> {
        match message {
            mouse::HostMessage::ProtocolResponse { accepted, .. } => Some(*accepted),
            _ => None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests;
