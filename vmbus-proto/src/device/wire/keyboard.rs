//! The keyboard's messages. Its channel carries them without any header of a pipe.

use core::fmt;

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, IntoBytes};

use super::{DecodeError, DeviceVersion, body};
use crate::wire::NoRoom;
use crate::wire::macros::{wire_number, wire_struct};
use crate::wire::writer::Writer;

/// Every version. Source: OpenVMM `uidevices`, `VERSION_WIN8`; Linux `SYNTH_KBD_VERSION`.
pub const VERSIONS: &[DeviceVersion] = &[DeviceVersion::new(1, 0)];

/// Bytes of the longest message.
pub const MESSAGE_MAX: usize = 12;

wire_number! {
    /// The type of a message.
    ///
    /// Source: Linux `enum synth_kbd_msg_type`.
    pub struct MessageType(U32: u32), "{}" {
        /// The guest asks for a version.
        PROTOCOL_REQUEST = 1,
        /// The host accepts it or not.
        PROTOCOL_RESPONSE = 2,
        /// A key went down or up.
        EVENT = 3,
        /// The guest switches lights.
        LED_INDICATORS = 4,
    }
}

bitflags::bitflags! {
    /// What a keystroke is.
    ///
    /// Source: OpenVMM `uidevices`, `KEYSTROKE_IS_*`; Linux has the same.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct KeystrokeFlags: u32 {
        /// The code is a unit of UTF-16, not a scan code.
        const UNICODE = 0x1;
        /// The key went up.
        const BREAK = 0x2;
        /// The scan code has the prefix E0.
        const E0 = 0x4;
        /// The scan code has the prefix E1.
        const E1 = 0x8;
        const _ = !0;
    }
}

bitflags::bitflags! {
    /// Lights.
    ///
    /// Source: the Windows driver kit's `KEYBOARD_INDICATOR_PARAMETERS`, which OpenVMM passes over.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct LedFlags: u16 {
        /// Scroll lock.
        const SCROLL_LOCK = 0x1;
        /// Num lock.
        const NUM_LOCK = 0x2;
        /// Caps lock.
        const CAPS_LOCK = 0x4;
        const _ = !0;
    }
}

wire_struct! {
    /// A key went down or up.
    ///
    /// Source: Linux `struct synth_kbd_keystroke`.
    #[derive(Default)]
    pub struct Keystroke at 4, 8 bytes {
        /// A scan code of set 1 without its prefix, or a unit of UTF-16.
        4: make_code: U16,
        /// 0.
        6: reserved: U16,
        /// [`KeystrokeFlags`].
        8: flags: U32,
    }
}

/// What a guest sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestMessage {
    /// It asks for a version.
    ProtocolRequest(DeviceVersion),
    /// It switches lights.
    LedIndicators(LedFlags),
}

/// What a host sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostMessage {
    /// Whether the version is accepted.
    ProtocolResponse {
        /// Whether it is.
        accepted: bool,
    },
    /// A key went down or up.
    Event(Keystroke),
}

const HEADER: usize = size_of::<MessageType>();

fn split(payload: &[u8]) -> Result<(MessageType, &[u8]), DecodeError> {
    MessageType::read_from_prefix(payload).map_err(|_| DecodeError::NoHeader {
        len: payload.len(),
        needed: HEADER,
    })
}

impl GuestMessage {
    /// Reads a packet's payload.
    ///
    /// # Errors
    /// When it is no message of a guest's.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let (message_type, rest) = split(payload)?;
        let number = message_type.value();
        match message_type {
            MessageType::PROTOCOL_REQUEST => {
                let (version, _) = body::<U32>(number, HEADER, rest)?;
                Ok(Self::ProtocolRequest(DeviceVersion(version.get())))
            }
            MessageType::LED_INDICATORS => {
                let ([leds, _], _) = body::<[U16; 2]>(number, HEADER, rest)?;
                Ok(Self::LedIndicators(LedFlags::from_bits_retain(leds.get())))
            }
            _ => Err(DecodeError::Type { message_type: number }),
        }
    }

    /// Puts the payload into `out`, and gives how many bytes it has.
    ///
    /// # Errors
    /// When `out` is too small.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        let mut out = Writer::new(out);
        match self {
            Self::ProtocolRequest(version) => {
                out.put(MessageType::PROTOCOL_REQUEST.as_bytes())?;
                out.put(&version.0.to_le_bytes())?;
            }
            Self::LedIndicators(leds) => {
                out.put(MessageType::LED_INDICATORS.as_bytes())?;
                out.put(&u32::from(leds.bits()).to_le_bytes())?;
            }
        }
        Ok(out.len())
    }
}

impl fmt::Display for GuestMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ProtocolRequest(version) => write!(f, "PROTOCOL_REQUEST {version}"),
            Self::LedIndicators(leds) => write!(f, "LED_INDICATORS {:#x}", leds.bits()),
        }
    }
}

impl HostMessage {
    /// Reads a packet's payload.
    ///
    /// # Errors
    /// When it is no message of a host's.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let (message_type, rest) = split(payload)?;
        let number = message_type.value();
        match message_type {
            MessageType::PROTOCOL_RESPONSE => {
                let (status, _) = body::<U32>(number, HEADER, rest)?;
                let accepted = status.get() & 1 != 0;
                Ok(Self::ProtocolResponse { accepted })
            }
            MessageType::EVENT => Ok(Self::Event(body(number, HEADER, rest)?.0)),
            _ => Err(DecodeError::Type { message_type: number }),
        }
    }

    /// Puts the payload into `out`, and gives how many bytes it has.
    ///
    /// # Errors
    /// When `out` is too small.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        let mut out = Writer::new(out);
        match self {
            Self::ProtocolResponse { accepted } => {
                out.put(MessageType::PROTOCOL_RESPONSE.as_bytes())?;
                out.put(&u32::from(*accepted).to_le_bytes())?;
            }
            Self::Event(keystroke) => {
                out.put(MessageType::EVENT.as_bytes())?;
                out.put(keystroke.as_bytes())?;
            }
        }
        Ok(out.len())
    }
}

impl fmt::Display for HostMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ProtocolResponse { accepted: true } => f.write_str("PROTOCOL_RESPONSE accepted"),
            Self::ProtocolResponse { accepted: false } => f.write_str("PROTOCOL_RESPONSE refused"),
            Self::Event(key) => write!(f, "EVENT code {:#x} flags {:#x}", key.make_code, key.flags),
        }
    }
}
