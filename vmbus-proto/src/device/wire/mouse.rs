//! The mouse's messages: a HID device whose reports go through a pipe.

use core::fmt;

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, IntoBytes};

use super::{DecodeError, DeviceVersion, body};
use crate::wire::macros::{wire_number, wire_struct};
use crate::wire::writer::Writer;
use crate::wire::{NoRoom, PipeHeader};

/// Every version. Source: Linux `SYNTHHID_INPUT_VERSION`.
pub const VERSIONS: &[DeviceVersion] = &[DeviceVersion::new(2, 0)];

wire_number! {
    /// The type of a message.
    ///
    /// Source: Linux `enum synthhid_msg_type`.
    pub struct MessageType(U32: u32), "{}" {
        /// The guest asks for a version.
        PROTOCOL_REQUEST = 0,
        /// The host accepts it or not.
        PROTOCOL_RESPONSE = 1,
        /// The host tells what the device is.
        INITIAL_DEVICE_INFO = 2,
        /// The guest has seen that.
        INITIAL_DEVICE_INFO_ACK = 3,
        /// A report of the device's.
        INPUT_REPORT = 4,
    }
}

wire_struct! {
    /// The header of a message, after the pipe's.
    ///
    /// Source: Linux `struct synthhid_msg_hdr`.
    pub struct MessageHeader at 0, 8 bytes {
        /// What the message is.
        0: message_type: MessageType,
        /// Bytes that follow.
        4: size: U32,
    }
}

wire_struct! {
    /// Who made the device.
    ///
    /// Source: Linux `struct hv_input_dev_info`.
    #[derive(Default)]
    pub struct HidAttributes at 0, 32 bytes {
        /// Bytes of this structure.
        0: size: U32,
        /// The vendor.
        4: vendor: U16,
        /// The product.
        6: product: U16,
        /// Its version.
        8: version: U16,
        /// 0.
        10: reserved: [U16; 11],
    }
}

wire_struct! {
    /// The HID descriptor.
    ///
    /// Source: the USB device class definition for HID 1.11, 6.2.1; Linux `struct hid_descriptor`.
    #[derive(Default)]
    pub struct HidDescriptor at 0, 9 bytes {
        /// Bytes of this structure.
        0: size: u8,
        /// 0x21.
        1: descriptor_type: u8,
        /// Version of HID, in BCD.
        2: hid_version: U16,
        /// The country that the device is for; 0.
        4: country: u8,
        /// Descriptors that follow: 1.
        5: descriptors: u8,
        /// 0x22: a report descriptor.
        6: report_type: u8,
        /// Bytes of the report descriptor.
        7: report_size: U16,
    }
}

/// What a guest sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestMessage {
    /// It asks for a version.
    ProtocolRequest(DeviceVersion),
    /// It has seen what the device is.
    DeviceInfoAck,
}

/// What a host sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostMessage<'a> {
    /// Whether the version is accepted.
    ProtocolResponse {
        /// The version that was asked for.
        version: DeviceVersion,
        /// Whether it is accepted.
        accepted: bool,
    },
    /// What the device is.
    DeviceInfo {
        /// Who made it.
        attributes: HidAttributes,
        /// Its HID descriptor.
        descriptor: HidDescriptor,
        /// Its report descriptor: as many bytes as the HID descriptor says.
        report: &'a [u8],
    },
    /// A report, of the form that the report descriptor says.
    InputReport(&'a [u8]),
}

const HEADER: usize = size_of::<MessageHeader>();

fn split(payload: &[u8]) -> Result<(MessageType, &[u8]), DecodeError> {
    let (_, message) = PipeHeader::split(payload)?;
    let (header, rest) = MessageHeader::read_from_prefix(message).map_err(|_| DecodeError::NoHeader {
        len: message.len(),
        needed: HEADER,
    })?;
    let size = header.size.get();
    let rest = usize::try_from(size)
        .ok()
        .and_then(|size| rest.get(..size))
        .ok_or(DecodeError::Size {
            size,
            len: rest.len(),
        })?;
    Ok((header.message_type, rest))
}

fn encode(out: &mut [u8], message_type: MessageType, parts: &[&[u8]]) -> Result<usize, NoRoom> {
    let no_room = NoRoom { len: out.len() };
    let len = parts
        .iter()
        .fold(0_usize, |len, part| len.saturating_add(part.len()));
    let pipe = PipeHeader::data(len.saturating_add(HEADER)).ok_or(no_room)?;
    let header = MessageHeader {
        message_type,
        size: U32::new(u32::try_from(len).map_err(|_| no_room)?),
    };
    let mut out = Writer::new(out);
    out.put(pipe.as_bytes())?;
    out.put(header.as_bytes())?;
    parts.iter().try_for_each(|part| out.put(part))?;
    Ok(out.len())
}

impl GuestMessage {
    /// Reads a packet's payload.
    ///
    /// # Errors
    /// When it is no message of a guest's.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let (message_type, rest) = split(payload)?;
        match message_type {
            MessageType::PROTOCOL_REQUEST => {
                let (version, _) = body::<U32>(message_type.value(), HEADER, rest)?;
                Ok(Self::ProtocolRequest(DeviceVersion(version.get())))
            }
            // Its one byte is reserved, and Linux says that it has none.
            MessageType::INITIAL_DEVICE_INFO_ACK => Ok(Self::DeviceInfoAck),
            _ => Err(DecodeError::Type {
                message_type: message_type.value(),
            }),
        }
    }

    /// Puts the payload into `out`, and gives how many bytes it has.
    ///
    /// # Errors
    /// When `out` is too small.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        match self {
            Self::ProtocolRequest(version) => {
                encode(out, MessageType::PROTOCOL_REQUEST, &[&version.0.to_le_bytes()])
            }
            Self::DeviceInfoAck => encode(out, MessageType::INITIAL_DEVICE_INFO_ACK, &[&[0]]),
        }
    }
}

impl fmt::Display for GuestMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ProtocolRequest(version) => write!(f, "PROTOCOL_REQUEST {version}"),
            Self::DeviceInfoAck => f.write_str("INITIAL_DEVICE_INFO_ACK"),
        }
    }
}

impl<'a> HostMessage<'a> {
    /// Reads a packet's payload, which must be a private copy.
    ///
    /// # Errors
    /// When it is no message of a host's.
    pub fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let (message_type, rest) = split(payload)?;
        let number = message_type.value();
        match message_type {
            MessageType::PROTOCOL_RESPONSE => {
                let (version, rest) = body::<U32>(number, HEADER, rest)?;
                let ([approved], _) = body::<[u8; 1]>(number, HEADER.saturating_add(4), rest)?;
                Ok(Self::ProtocolResponse {
                    version: DeviceVersion(version.get()),
                    accepted: approved != 0,
                })
            }
            MessageType::INITIAL_DEVICE_INFO => {
                let (attributes, rest) = body::<HidAttributes>(number, HEADER, rest)?;
                let at = HEADER.saturating_add(size_of::<HidAttributes>());
                let (descriptor, rest) = body::<HidDescriptor>(number, at, rest)?;
                let size = descriptor.report_size.get();
                let report = rest.get(..usize::from(size)).ok_or(DecodeError::Count {
                    count: u32::from(size),
                    len: rest.len(),
                })?;
                Ok(Self::DeviceInfo {
                    attributes,
                    descriptor,
                    report,
                })
            }
            MessageType::INPUT_REPORT => Ok(Self::InputReport(rest)),
            _ => Err(DecodeError::Type { message_type: number }),
        }
    }

    /// Puts the payload into `out`, and gives how many bytes it has.
    ///
    /// # Errors
    /// When `out` is too small.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        match self {
            Self::ProtocolResponse { version, accepted } => encode(
                out,
                MessageType::PROTOCOL_RESPONSE,
                &[&version.0.to_le_bytes(), &[u8::from(*accepted)]],
            ),
            Self::DeviceInfo {
                attributes,
                descriptor,
                report,
            } => encode(
                out,
                MessageType::INITIAL_DEVICE_INFO,
                &[attributes.as_bytes(), descriptor.as_bytes(), report],
            ),
            Self::InputReport(report) => encode(out, MessageType::INPUT_REPORT, &[report]),
        }
    }
}

impl fmt::Display for HostMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ProtocolResponse { version, accepted } => {
                let how = if *accepted { "accepted" } else { "refused" };
                write!(f, "PROTOCOL_RESPONSE {version} {how}")
            }
            Self::DeviceInfo {
                attributes, report, ..
            } => write!(
                f,
                "INITIAL_DEVICE_INFO {:04x}:{:04x} version {}, report descriptor of {} bytes",
                attributes.vendor,
                attributes.product,
                attributes.version,
                report.len()
            ),
            Self::InputReport(report) => write!(f, "INPUT_REPORT of {} bytes", report.len()),
        }
    }
}
