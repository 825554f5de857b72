//! Whole packets, decoded: one type for each direction.

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::parts::{EncodedPacket, SrbPacket, WireError, body, body_of, padded, split, srb_copy};
use super::properties::{ChannelProperties, FcHbaData, NotificationBody, SubChannelsBody};
use super::{
    LunAddress, MAX_BODY_LEN, NtStatus, Operation, PacketFlags, PacketForm, PacketHeader, ProtocolVersion,
    ScsiRequest, VersionBody,
};
use crate::scsi::Sense;

/// What a guest sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestMessage {
    /// The first message.
    BeginInitialization,
    /// The last message of the negotiation.
    EndInitialization,
    /// Whether the host speaks this version.
    QueryProtocolVersion(ProtocolVersion),
    /// What the channel can do.
    QueryProperties,
    /// The names of the fibre-channel adapter.
    FcHbaData,
    /// Offer so many sub-channels.
    CreateSubChannels(u16),
    /// Run a command.
    ExecuteSrb(ScsiRequest),
    /// Reset a LUN.
    ResetLun(LunAddress),
    /// Reset the adapter.
    ResetAdapter,
    /// Reset the bus of this path.
    ResetBus {
        /// The path.
        path: u8,
    },
}

impl GuestMessage {
    /// What holds the [SRB](srb) of a packet that says `EXECUTE_SRB`; `None` for any other packet.
    ///
    /// Nearly all packets do, and need no detour over the enum.
    #[inline]
    pub(crate) fn command(bytes: &[u8]) -> Option<&[u8]> {
        body_of(Operation::EXECUTE_SRB, bytes)
    }

    /// Decodes a packet's payload.
    ///
    /// # Errors
    /// When it is too short for its operation, longer than any packet, or nothing that a guest sends.
    #[inline]
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let (header, rest) = split(bytes)?;
        let operation = Operation(header.operation.get());
        Ok(match operation {
            Operation::BEGIN_INITIALIZATION => Self::BeginInitialization,
            Operation::END_INITIALIZATION => Self::EndInitialization,
            Operation::QUERY_PROTOCOL_VERSION => {
                let version: VersionBody = body(operation, rest)?;
                Self::QueryProtocolVersion(ProtocolVersion(version.major_minor.get()))
            }
            Operation::QUERY_PROPERTIES => Self::QueryProperties,
            Operation::FC_HBA_DATA => Self::FcHbaData,
            Operation::CREATE_SUB_CHANNELS => {
                let wanted: SubChannelsBody = body(operation, rest)?;
                Self::CreateSubChannels(wanted.count.get())
            }
            Operation::EXECUTE_SRB => Self::ExecuteSrb(srb_copy(operation, rest)?),
            Operation::RESET_LUN => Self::ResetLun(srb_copy(operation, rest)?.address()),
            Operation::RESET_ADAPTER => Self::ResetAdapter,
            Operation::RESET_BUS => Self::ResetBus {
                path: srb_copy(operation, rest)?.path,
            },
            _ => return Err(WireError::NotForThisDirection { operation }),
        })
    }

    /// Its operation.
    #[must_use]
    #[inline]
    pub const fn operation(&self) -> Operation {
        match self {
            Self::BeginInitialization => Operation::BEGIN_INITIALIZATION,
            Self::EndInitialization => Operation::END_INITIALIZATION,
            Self::QueryProtocolVersion(_) => Operation::QUERY_PROTOCOL_VERSION,
            Self::QueryProperties => Operation::QUERY_PROPERTIES,
            Self::FcHbaData => Operation::FC_HBA_DATA,
            Self::CreateSubChannels(_) => Operation::CREATE_SUB_CHANNELS,
            Self::ExecuteSrb(_) => Operation::EXECUTE_SRB,
            Self::ResetLun(_) => Operation::RESET_LUN,
            Self::ResetAdapter => Operation::RESET_ADAPTER,
            Self::ResetBus { .. } => Operation::RESET_BUS,
        }
    }

    /// Encodes it, with the flag that asks for a completion.
    #[must_use]
    #[inline]
    pub fn encode(&self, form: PacketForm) -> EncodedPacket {
        let header = PacketHeader::new(
            self.operation(),
            PacketFlags::REQUEST_COMPLETION,
            NtStatus::SUCCESS,
        );
        match self {
            Self::QueryProtocolVersion(version) => {
                let version = VersionBody {
                    major_minor: U16::new(version.0),
                    revision: U16::ZERO,
                };
                EncodedPacket::new(form, header, &version)
            }
            Self::CreateSubChannels(count) => EncodedPacket::new(
                form,
                header,
                &SubChannelsBody {
                    count: U16::new(*count),
                },
            ),
            Self::ExecuteSrb(request) => EncodedPacket::srb(form, SrbPacket::command(*request)),
            Self::ResetLun(at) => {
                let request = ScsiRequest {
                    path: at.path,
                    target: at.target,
                    lun: at.lun,
                    ..Default::default()
                };
                EncodedPacket::new(form, header, &request)
            }
            Self::ResetBus { path } => EncodedPacket::new(
                form,
                header,
                &ScsiRequest {
                    path: *path,
                    ..Default::default()
                },
            ),
            Self::BeginInitialization
            | Self::EndInitialization
            | Self::QueryProperties
            | Self::FcHbaData
            | Self::ResetAdapter => EncodedPacket::new(form, header, &[0_u8; 0]),
        }
    }
}

impl core::fmt::Display for GuestMessage {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}", self.operation())?;
        match self {
            Self::QueryProtocolVersion(version) => write!(f, " {version}"),
            Self::CreateSubChannels(count) => write!(f, " {count}"),
            Self::ExecuteSrb(request) => {
                write!(f, " {} ", request.address())?;
                match request.cdb() {
                    Ok(cdb) => write!(f, "{cdb}")?,
                    Err(_) => write!(f, "CDB of {} bytes", request.cdb_length)?,
                }
                write!(f, ", {} {} bytes", request.direction, request.transfer_length)
            }
            Self::ResetLun(at) => write!(f, " {at}"),
            Self::ResetBus { path } => write!(f, " {path}"),
            Self::BeginInitialization
            | Self::EndInitialization
            | Self::QueryProperties
            | Self::FcHbaData
            | Self::ResetAdapter => Ok(()),
        }
    }
}

/// An answer. What its body is follows from what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// How it went.
    pub status: NtStatus,
    body: [u8; MAX_BODY_LEN],
    len: usize,
}

/// What a host puts into an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompletionBody {
    /// Nothing.
    Empty,
    /// To `QUERY_PROTOCOL_VERSION`: the version asked for.
    Version(ProtocolVersion),
    /// To `QUERY_PROPERTIES`.
    Properties(ChannelProperties),
    /// To `FC_HBA_DATA`.
    FcHba(FcHbaData),
    /// To `EXECUTE_SRB`.
    Srb(ScsiRequest),
}

impl Completion {
    /// An answer with this status and body.
    #[must_use]
    #[inline]
    pub fn new(status: NtStatus, body: &CompletionBody) -> Self {
        fn fill<B: IntoBytes + Immutable>(status: NtStatus, value: &B) -> Completion {
            const { assert!(size_of::<B>() <= MAX_BODY_LEN, "an SRB is the longest body") };
            let mut body = [0; MAX_BODY_LEN];
            let _ = value.write_to_prefix(&mut body);
            Completion {
                status,
                body,
                len: MAX_BODY_LEN,
            }
        }
        match body {
            CompletionBody::Empty => fill(status, &[0_u8; 0]),
            CompletionBody::Version(version) => fill(
                status,
                &VersionBody {
                    major_minor: U16::new(version.0),
                    revision: U16::ZERO,
                },
            ),
            CompletionBody::Properties(properties) => fill(status, properties),
            CompletionBody::FcHba(names) => fill(status, names),
            CompletionBody::Srb(request) => fill(status, request),
        }
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        self.body.get(..self.len).unwrap_or(&self.body)
    }

    /// The body as an SRB, when an SRB was asked to be run.
    ///
    /// # Errors
    /// When it is too short.
    #[inline]
    pub fn srb(&self) -> Result<ScsiRequest, WireError> {
        srb_copy(Operation::COMPLETE_IO, self.bytes())
    }

    /// The body as properties, when these were asked for.
    ///
    /// # Errors
    /// When it is too short.
    pub fn properties(&self) -> Result<ChannelProperties, WireError> {
        body(Operation::COMPLETE_IO, self.bytes())
    }

    /// The body as a version, when that was asked for.
    ///
    /// # Errors
    /// When it is too short.
    pub fn version(&self) -> Result<ProtocolVersion, WireError> {
        let version: VersionBody = body(Operation::COMPLETE_IO, self.bytes())?;
        Ok(ProtocolVersion(version.major_minor.get()))
    }

    /// The body as names of an adapter, when these were asked for.
    ///
    /// # Errors
    /// When it is too short.
    pub fn fc_hba(&self) -> Result<FcHbaData, WireError> {
        body(Operation::COMPLETE_IO, self.bytes())
    }
}

impl core::fmt::Display for Completion {
    /// Shows the body as an SRB when it says to have an SRB's length. Good enough for a trace, and no answer
    /// to what it is.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}", self.status)?;
        let Ok(srb) = self.srb() else { return Ok(()) };
        let length = usize::from(srb.length.get());
        if length != PacketForm::Long.body_len() && length != PacketForm::Short.body_len() {
            return Ok(());
        }
        write!(
            f,
            ", {} srb {} scsi {}, {} bytes",
            srb.address(),
            srb.srb_status,
            srb.scsi_status,
            srb.transfer_length
        )?;
        match srb.sense(PacketForm::Long).map(Sense::decode) {
            Some(Ok(sense)) => write!(f, ", {sense}"),
            _ => Ok(()),
        }
    }
}

/// What a host sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostMessage {
    /// The answer to a request.
    CompleteIo(Completion),
    /// A device went away.
    RemoveDevice,
    /// Devices came or went.
    EnumerateBus,
    /// The names of the fibre-channel adapter changed.
    FcHbaData(FcHbaData),
    /// Something happened at a LUN.
    EventNotification(NotificationBody),
}

impl HostMessage {
    /// What holds the [SRB](srb) of a packet that says `COMPLETE_IO`, if a command was answered; `None` for any other
    /// packet.
    #[inline]
    pub(crate) fn answer(bytes: &[u8]) -> Option<&[u8]> {
        body_of(Operation::COMPLETE_IO, bytes)
    }

    /// Decodes a packet's payload. Of what is unasked and has no body, the first 4 bytes are enough.
    ///
    /// # Errors
    /// When it is too short for its operation, longer than any packet, or nothing that a host sends.
    #[inline]
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        // Linux reads the operation alone of a packet with the transaction id 0.
        let (operation, _) = U32::read_from_prefix(bytes).map_err(|_| WireError::NoHeader {
            len: bytes.len(),
            needed: size_of::<PacketHeader>(),
        })?;
        let unasked = match Operation(operation.get()) {
            Operation::REMOVE_DEVICE => Some(Self::RemoveDevice),
            Operation::ENUMERATE_BUS => Some(Self::EnumerateBus),
            _ => None,
        };
        if let (Some(message), true) = (unasked, bytes.len() < size_of::<PacketHeader>()) {
            return Ok(message);
        }
        let (header, rest) = split(bytes)?;
        let operation = Operation(header.operation.get());
        Ok(match operation {
            Operation::COMPLETE_IO => Self::CompleteIo(Completion {
                status: NtStatus(header.status.get()),
                body: padded(rest),
                len: rest.len().min(MAX_BODY_LEN),
            }),
            Operation::REMOVE_DEVICE => Self::RemoveDevice,
            Operation::ENUMERATE_BUS => Self::EnumerateBus,
            Operation::FC_HBA_DATA => Self::FcHbaData(body(operation, rest)?),
            Operation::EVENT_NOTIFICATION => Self::EventNotification(body(operation, rest)?),
            _ => return Err(WireError::NotForThisDirection { operation }),
        })
    }

    /// Its operation.
    #[must_use]
    #[inline]
    pub const fn operation(&self) -> Operation {
        match self {
            Self::CompleteIo(_) => Operation::COMPLETE_IO,
            Self::RemoveDevice => Operation::REMOVE_DEVICE,
            Self::EnumerateBus => Operation::ENUMERATE_BUS,
            Self::FcHbaData(_) => Operation::FC_HBA_DATA,
            Self::EventNotification(_) => Operation::EVENT_NOTIFICATION,
        }
    }

    /// Encodes it.
    #[must_use]
    #[inline]
    pub fn encode(&self, form: PacketForm) -> EncodedPacket {
        let status = match self {
            Self::CompleteIo(completion) => completion.status,
            _ => NtStatus::SUCCESS,
        };
        let header = PacketHeader::new(self.operation(), PacketFlags::empty(), status);
        match self {
            Self::CompleteIo(completion) => EncodedPacket::new(form, header, &completion.body),
            Self::RemoveDevice | Self::EnumerateBus => EncodedPacket::new(form, header, &[0_u8; 0]),
            Self::FcHbaData(names) => EncodedPacket::new(form, header, names),
            Self::EventNotification(event) => EncodedPacket::new(form, header, event),
        }
    }
}

impl core::fmt::Display for HostMessage {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}", self.operation())?;
        match self {
            Self::CompleteIo(completion) => write!(f, " {completion}"),
            Self::EventNotification(event) => {
                write!(
                    f,
                    " {}:{}:{} flags {:#x}",
                    event.path, event.target, event.lun, event.flags
                )
            }
            Self::RemoveDevice | Self::EnumerateBus | Self::FcHbaData(_) => Ok(()),
        }
    }
}
