//! Whole messages: one type for each direction.

use core::fmt;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, IntoBytes};

use super::{CapabilitiesReport, MessageHeader, MessageType, PageRange, Pages, StatusReport};
use crate::device::wire::{DecodeError, DeviceVersion, body};
use crate::wire::NoRoom;
use crate::wire::writer::Writer;

/// What a guest sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuestMessage<'a> {
    /// The guest counts; an answer has the number of what it answers.
    pub transaction: u32,
    /// What it says.
    pub body: GuestBody<'a>,
}

/// What a guest says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GuestBody<'a> {
    /// It asks for a version.
    VersionRequest {
        /// Which.
        version: DeviceVersion,
        /// Whether it has no other to ask for.
        last: bool,
    },
    /// What it can do.
    CapabilitiesReport(CapabilitiesReport),
    /// How its memory is used.
    StatusReport(StatusReport),
    /// The pages that it gave up.
    BalloonResponse(Pages<'a>),
    /// It took pages back.
    UnballoonResponse,
    /// It took so many pages of new memory.
    HotAddResponse {
        /// Pages.
        pages: u32,
        /// Whether it may be offered more.
        success: bool,
    },
    /// The pages that it gave up for good.
    HotRemoveResponse {
        /// How it went.
        result: u32,
        /// The pages.
        pages: Pages<'a>,
    },
}

/// What a host sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostMessage<'a> {
    /// In an answer, that of the request.
    pub transaction: u32,
    /// What it says.
    pub body: HostBody<'a>,
}

/// What a host says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostBody<'a> {
    /// Whether it accepts the version.
    VersionResponse {
        /// Whether it does.
        accepted: bool,
    },
    /// Whether it accepts what the guest can do: bit 0. Bits 1 and 2, since 2.0: that it asks for hot remove, that it wants no reports.
    CapabilitiesResponse {
        /// The bits.
        flags: u64,
    },
    /// Give up pages.
    BalloonRequest {
        /// How many.
        pages: u32,
    },
    /// Take pages back.
    UnballoonRequest(Pages<'a>),
    /// Here is new memory.
    HotAddRequest {
        /// The pages.
        range: PageRange,
        /// The whole region that they lie in, where it is told.
        region: Option<PageRange>,
    },
    /// Something to know: a type, bytes, and so on.
    InfoMessage(&'a [u8]),
    /// Give up pages for good.
    HotRemoveRequest {
        /// Of which virtual node.
        node: u32,
        /// How many.
        pages: u32,
        /// Bit 0: large ones. Bit 1: of this node alone.
        qos: u32,
    },
}

const HEADER: usize = size_of::<MessageHeader>();

fn split(payload: &[u8]) -> Result<(MessageHeader, &[u8]), DecodeError> {
    let len = payload.len();
    let (header, _) = MessageHeader::read_from_prefix(payload)
        .map_err(|_| DecodeError::NoHeader { len, needed: HEADER })?;
    let size = header.size.get();
    let rest = payload.get(HEADER..usize::from(size)).ok_or(DecodeError::Size {
        size: u32::from(size),
        len,
    })?;
    Ok((header, rest))
}

fn encode(
    out: &mut [u8],
    message_type: MessageType,
    transaction: u32,
    parts: &[&[u8]],
) -> Result<usize, NoRoom> {
    let no_room = NoRoom { len: out.len() };
    let size = parts
        .iter()
        .fold(HEADER, |len, part| len.saturating_add(part.len()));
    let header = MessageHeader {
        message_type,
        size: U16::new(u16::try_from(size).map_err(|_| no_room)?),
        transaction: U32::new(transaction),
    };
    let mut out = Writer::new(out);
    out.put(header.as_bytes())?;
    parts.iter().try_for_each(|part| out.put(part))?;
    Ok(out.len())
}

impl<'a> GuestMessage<'a> {
    /// Reads a packet's payload, which must be a private copy.
    ///
    /// # Errors
    /// When it is no message of a guest's.
    pub fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let (header, rest) = split(payload)?;
        let number = u32::from(header.message_type.value());
        let body = match header.message_type {
            MessageType::VERSION_REQUEST => {
                let ([version, last], _) = body::<[U32; 2]>(number, HEADER, rest)?;
                GuestBody::VersionRequest {
                    version: DeviceVersion(version.get()),
                    last: last.get() & 1 != 0,
                }
            }
            MessageType::CAPABILITIES_REPORT => GuestBody::CapabilitiesReport(body(number, HEADER, rest)?.0),
            MessageType::STATUS_REPORT => GuestBody::StatusReport(body(number, HEADER, rest)?.0),
            MessageType::BALLOON_RESPONSE => {
                let ([_, count], rest) = body::<[U32; 2]>(number, HEADER, rest)?;
                let count = count.get();
                GuestBody::BalloonResponse(Pages::read(count & 1 != 0, count >> 1, rest)?)
            }
            MessageType::UNBALLOON_RESPONSE => GuestBody::UnballoonResponse,
            MessageType::HOT_ADD_RESPONSE => {
                let ([pages, result], _) = body::<[U32; 2]>(number, HEADER, rest)?;
                GuestBody::HotAddResponse {
                    pages: pages.get(),
                    success: result.get() != 0,
                }
            }
            MessageType::HOT_REMOVE_RESPONSE => {
                let ([result, count, more, _], rest) = body::<[U32; 4]>(number, HEADER, rest)?;
                GuestBody::HotRemoveResponse {
                    result: result.get(),
                    pages: Pages::read(more.get() & 1 != 0, count.get(), rest)?,
                }
            }
            _ => return Err(DecodeError::Type { message_type: number }),
        };
        Ok(Self {
            transaction: header.transaction.get(),
            body,
        })
    }

    /// Puts the payload into `out`, and gives how many bytes it has.
    ///
    /// # Errors
    /// When `out` is too small, or the message longer than its header can tell.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        let message_type = self.message_type();
        let mut put = |parts: &[&[u8]]| encode(out, message_type, self.transaction, parts);
        match &self.body {
            GuestBody::VersionRequest { version, last } => {
                put(&[words([version.0, u32::from(*last)]).as_bytes()])
            }
            GuestBody::CapabilitiesReport(report) => put(&[report.as_bytes()]),
            GuestBody::StatusReport(report) => put(&[report.as_bytes()]),
            GuestBody::BalloonResponse(pages) => {
                let count = pages.count() << 1 | u32::from(pages.more);
                put(&[words([0, count]).as_bytes(), pages.ranges.as_bytes()])
            }
            GuestBody::UnballoonResponse => put(&[]),
            GuestBody::HotAddResponse { pages, success } => {
                put(&[words([*pages, u32::from(*success)]).as_bytes()])
            }
            GuestBody::HotRemoveResponse { result, pages } => {
                let head = words([*result, pages.count(), u32::from(pages.more), 0]);
                put(&[head.as_bytes(), pages.ranges.as_bytes()])
            }
        }
    }

    /// The type of the message.
    #[must_use]
    pub const fn message_type(&self) -> MessageType {
        match self.body {
            GuestBody::VersionRequest { .. } => MessageType::VERSION_REQUEST,
            GuestBody::CapabilitiesReport(_) => MessageType::CAPABILITIES_REPORT,
            GuestBody::StatusReport(_) => MessageType::STATUS_REPORT,
            GuestBody::BalloonResponse(_) => MessageType::BALLOON_RESPONSE,
            GuestBody::UnballoonResponse => MessageType::UNBALLOON_RESPONSE,
            GuestBody::HotAddResponse { .. } => MessageType::HOT_ADD_RESPONSE,
            GuestBody::HotRemoveResponse { .. } => MessageType::HOT_REMOVE_RESPONSE,
        }
    }
}

impl fmt::Display for GuestMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} #{}", self.message_type(), self.transaction)?;
        match &self.body {
            GuestBody::VersionRequest { version, last } => {
                write!(f, " {version}{}", if *last { ", the last" } else { "" })
            }
            GuestBody::CapabilitiesReport(report) => write!(
                f,
                " {:#x} at least {} pages up to {:#x}",
                report.capabilities, report.min_pages, report.max_page_number
            ),
            GuestBody::StatusReport(report) => {
                write!(
                    f,
                    " {} available {} committed",
                    report.available, report.committed
                )
            }
            GuestBody::BalloonResponse(pages) => write!(f, " {pages}"),
            GuestBody::UnballoonResponse => Ok(()),
            GuestBody::HotAddResponse { pages, success } => {
                write!(
                    f,
                    " {pages} pages, {}",
                    if *success { "success" } else { "failure" }
                )
            }
            GuestBody::HotRemoveResponse { result, pages } => write!(f, " result {result} {pages}"),
        }
    }
}

impl<'a> HostMessage<'a> {
    /// Reads a packet's payload, which must be a private copy.
    ///
    /// # Errors
    /// When it is no message of a host's.
    pub fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let (header, rest) = split(payload)?;
        let number = u32::from(header.message_type.value());
        let body = match header.message_type {
            MessageType::VERSION_RESPONSE => {
                let (accepted, _) = body::<U64>(number, HEADER, rest)?;
                HostBody::VersionResponse {
                    accepted: accepted.get() & 1 != 0,
                }
            }
            MessageType::CAPABILITIES_RESPONSE => HostBody::CapabilitiesResponse {
                flags: body::<U64>(number, HEADER, rest)?.0.get(),
            },
            MessageType::BALLOON_REQUEST => {
                let ([pages, _], _) = body::<[U32; 2]>(number, HEADER, rest)?;
                HostBody::BalloonRequest { pages: pages.get() }
            }
            MessageType::UNBALLOON_REQUEST => {
                let ([more, count], rest) = body::<[U32; 2]>(number, HEADER, rest)?;
                HostBody::UnballoonRequest(Pages::read(more.get() & 1 != 0, count.get(), rest)?)
            }
            MessageType::HOT_ADD_REQUEST => {
                let (range, rest) = body(number, HEADER, rest)?;
                let region = PageRange::read_from_prefix(rest).ok().map(|(region, _)| region);
                HostBody::HotAddRequest { range, region }
            }
            MessageType::INFO_MESSAGE => {
                let ([_, size], rest) = body::<[U32; 2]>(number, HEADER, rest)?;
                let info = usize::try_from(size.get()).ok().and_then(|size| rest.get(..size));
                HostBody::InfoMessage(info.ok_or(DecodeError::Count {
                    count: size.get(),
                    len: rest.len(),
                })?)
            }
            MessageType::HOT_REMOVE_REQUEST => {
                let ([node, pages, qos, _], _) = body::<[U32; 4]>(number, HEADER, rest)?;
                HostBody::HotRemoveRequest {
                    node: node.get(),
                    pages: pages.get(),
                    qos: qos.get(),
                }
            }
            _ => return Err(DecodeError::Type { message_type: number }),
        };
        Ok(Self {
            transaction: header.transaction.get(),
            body,
        })
    }

    /// Puts the payload into `out`, and gives how many bytes it has.
    ///
    /// # Errors
    /// When `out` is too small, or the message longer than its header can tell.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        let message_type = self.message_type();
        let mut put = |parts: &[&[u8]]| encode(out, message_type, self.transaction, parts);
        match &self.body {
            HostBody::VersionResponse { accepted } => put(&[&u64::from(*accepted).to_le_bytes()]),
            HostBody::CapabilitiesResponse { flags } => put(&[&flags.to_le_bytes()]),
            HostBody::BalloonRequest { pages } => put(&[words([*pages, 0]).as_bytes()]),
            HostBody::UnballoonRequest(pages) => put(&[
                words([u32::from(pages.more), pages.count()]).as_bytes(),
                pages.ranges.as_bytes(),
            ]),
            HostBody::HotAddRequest { range, region } => {
                put(&[range.as_bytes(), region.as_ref().map_or(&[], IntoBytes::as_bytes)])
            }
            HostBody::InfoMessage(info) => {
                let size = u32::try_from(info.len()).unwrap_or(u32::MAX);
                put(&[words([0, size]).as_bytes(), info])
            }
            HostBody::HotRemoveRequest { node, pages, qos } => {
                put(&[words([*node, *pages, *qos, 0]).as_bytes()])
            }
        }
    }

    /// The type of the message.
    #[must_use]
    pub const fn message_type(&self) -> MessageType {
        match self.body {
            HostBody::VersionResponse { .. } => MessageType::VERSION_RESPONSE,
            HostBody::CapabilitiesResponse { .. } => MessageType::CAPABILITIES_RESPONSE,
            HostBody::BalloonRequest { .. } => MessageType::BALLOON_REQUEST,
            HostBody::UnballoonRequest(_) => MessageType::UNBALLOON_REQUEST,
            HostBody::HotAddRequest { .. } => MessageType::HOT_ADD_REQUEST,
            HostBody::InfoMessage(_) => MessageType::INFO_MESSAGE,
            HostBody::HotRemoveRequest { .. } => MessageType::HOT_REMOVE_REQUEST,
        }
    }
}

impl fmt::Display for HostMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} #{}", self.message_type(), self.transaction)?;
        match &self.body {
            HostBody::VersionResponse { accepted } => {
                write!(f, " {}", if *accepted { "accepted" } else { "refused" })
            }
            HostBody::CapabilitiesResponse { flags } => write!(f, " {flags:#x}"),
            HostBody::BalloonRequest { pages } => write!(f, " {pages} pages"),
            HostBody::UnballoonRequest(pages) => write!(f, " {pages}"),
            HostBody::HotAddRequest { range, region } => {
                write!(f, " {range}")?;
                region.map_or(Ok(()), |region| write!(f, " in {region}"))
            }
            HostBody::InfoMessage(info) => write!(f, " {} bytes", info.len()),
            HostBody::HotRemoveRequest { node, pages, qos } => {
                write!(f, " {pages} pages of node {node}, qos {qos:#x}")
            }
        }
    }
}

fn words<const N: usize>(words: [u32; N]) -> [U32; N] {
    words.map(U32::new)
}
