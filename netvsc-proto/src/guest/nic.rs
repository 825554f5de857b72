//! The control engine: NVSP on the primary channel.

use vmbus_proto::ringbuf::{RingMem, SharedMem};
use zerocopy::little_endian::U32;

use crate::nic::{ETHERNET_HEADER, MacAddress, Offloads};
use crate::wire::DecodeError;
use crate::wire::nvsp::{
    Init, MessageType, RECEIVE_BUFFER_ID, RevokeBuffer, SEND_BUFFER_ID, SendBuffer, SendNdisConfig,
    SendNdisVersion, SendReceiveBufferComplete, SendSendBufferComplete, Status, SubchannelComplete,
    SubchannelOperation, SubchannelRequest, Version,
};
use crate::wire::nvsp_message::{GuestMessage, HostMessage};
use crate::wire::rndis::PacketFilter;

use super::config::{ConfigError, DataPath, NicConfig, Properties, SendLayout};
use super::event::{Event, Polled, SendTable};
use super::fault::{Fault, PollError};
use super::pages::Pages;
use super::queue::{Queue, Step};
use super::requests::{RequestId, Requests};

/// Versions to ask for, from the highest down.
const VERSIONS: [Version; 6] = [
    Version::V6_1,
    Version::V6,
    Version::V5,
    Version::V4,
    Version::V2,
    Version::V1,
];

/// The smallest part of a receive buffer: a packet message's head and the shortest frame. Linux takes no smaller one.
const MIN_PART: u32 = 68;

/// The smallest section of a send buffer: the longest head and the shortest frame fit.
const MIN_SECTION: u32 = 256;

/// How far the NIC is: what is asked next, or waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub(super) enum Stage {
    /// The version in this place of [`VERSIONS`], or a later one.
    Version(usize),
    NdisConfig,
    NdisVersion,
    ReceiveBuffer,
    SendBuffer,
    Initialize,
    /// The OID in this place of the list of those that are asked.
    Query(usize),
    Up,
    Halt,
    /// The host is to complete what is under way.
    Drain,
    RevokeReceive,
    RevokeSend,
    /// The host is to read what was sent. It does not signal that it has: it is looked at with each poll.
    Leave,
    Down,
}

/// Memory that the host may touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LentMemory {
    /// It may write to the receive buffer.
    pub receive_buffer: bool,
    /// It may read the send buffer.
    pub send_buffer: bool,
}

/// The control engine of a NIC: NVSP and RNDIS state, on the primary channel.
///
/// [`poll`](Self::poll) brings the NIC up by itself and serves the primary channel's queue from then on. What the host
/// is asked for after that goes out with the next poll, and is answered by an event.
#[derive(Debug)]
pub struct Nic<'p, B> {
    pub(super) config: NicConfig,
    pub(super) stage: Stage,
    /// Whether the stage's message was sent, and its answer did not come.
    pub(super) asked: bool,
    /// The NIC goes away.
    pub(super) leaving: bool,
    pub(super) requests: Requests<'p, B>,
    /// The host's question whether anyone is there, by its id. A later one takes the place of one that waits.
    pub(super) keepalive_due: Option<U32>,
    pub(super) properties: Properties,
    /// The properties are complete, and were told.
    pub(super) was_up: bool,
    pub(super) filter: PacketFilter,
    pub(super) data_path: DataPath,
    /// The queues of sub-channels have an older data path.
    pub(super) path_changed: bool,
    /// Sub-channels that are to be asked for, that were, and that the host granted.
    pub(super) sub_channels: SubChannels,
    send_table: SendTable,
    lent: LentMemory,
}

/// How far sub-channels are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SubChannels {
    None,
    Wanted(u16),
    Asked(u16),
    Granted(u16),
}

impl<'p, B: SharedMem> Nic<'p, B> {
    /// A NIC whose primary channel was just opened, and whose two GPADLs were made. `requests` is memory for RNDIS
    /// requests: [`REQUEST_LEN`](super::REQUEST_LEN) bytes for each that may be under way, of which up to
    /// [`MAX_REQUESTS`](super::MAX_REQUESTS) are used: a page is enough.
    ///
    /// # Errors
    ///
    /// A value of the configuration is out of range, or the memory is too small.
    pub fn new(config: NicConfig, requests: Pages<'p, B>) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self {
            config,
            stage: Stage::Version(0),
            asked: false,
            leaving: false,
            requests: Requests::new(requests)?,
            keepalive_due: None,
            properties: Properties {
                version: Version::default(),
                mac: MacAddress::default(),
                mtu: config.mtu,
                link_up: true,
                link_speed: 0,
                offloads: Offloads::NONE,
                rss: None,
            },
            was_up: false,
            filter: PacketFilter::empty(),
            data_path: DataPath {
                max_frame: config.mtu.saturating_add(ETHERNET_HEADER),
                ..DataPath::default()
            },
            path_changed: false,
            sub_channels: SubChannels::None,
            send_table: SendTable::default(),
            lent: LentMemory {
                receive_buffer: false,
                send_buffer: false,
            },
        })
    }

    /// What the host told while the NIC was brought up, and of the link since; once it [is up](Event::Ready).
    #[must_use]
    pub fn properties(&self) -> Option<&Properties> {
        self.was_up.then_some(&self.properties)
    }

    /// The packet filter that the host has confirmed.
    #[must_use]
    pub fn packet_filter(&self) -> PacketFilter {
        self.filter
    }

    /// What the queues of sub-channels have to know.
    #[must_use]
    pub fn data_path(&self) -> &DataPath {
        &self.data_path
    }

    /// On which channels the host wants frames sent.
    #[must_use]
    pub fn send_table(&self) -> &SendTable {
        &self.send_table
    }

    /// Memory that the host may touch, until the channel is closed and the GPADLs are torn down: a fault changes
    /// nothing of it.
    #[must_use]
    pub fn lent(&self) -> LentMemory {
        self.lent
    }

    /// Bytes of a buffer that [`poll`](Self::poll) takes.
    #[must_use]
    pub fn receive_len(&self) -> usize {
        super::receive_len(self.data_path.max_frame)
    }

    /// Takes what the host sends next on the primary channel, and sends what is to be asked. To be called once when
    /// the channel was opened, after something was asked for, when the host signals, and when [`Polled`] says so. A
    /// received frame, or an answer, is put into `buffer`, of [`receive_len`](Self::receive_len) bytes at least.
    ///
    /// # Errors
    ///
    /// The host broke the protocol, and the channel is poisoned; or the buffer is too small.
    pub fn poll<'b, M: RingMem, const DEPTH: usize>(
        &mut self,
        queue: &mut Queue<'p, M, B, DEPTH>,
        buffer: &'b mut [u8],
    ) -> Result<Polled<'b>, PollError> {
        queue.set_data_path(&self.data_path);
        queue.begin(buffer)?;
        self.send(queue)?;
        let outcome = match queue.step(buffer)? {
            step @ (Step::Idle | Step::Blocked) => {
                if let Some(event) = self.notice(queue)? {
                    return Ok(queue.again(Some(event)));
                }
                let mut polled = queue.sleep(&step);
                polled.again |= self.stage == Stage::Leave;
                return Ok(polled);
            }
            Step::Event(event) => Ok(Some(event)),
            Step::Done => Ok(None),
            // What was asked before the NIC went away does not matter any more.
            Step::Nvsp { answers: true } if self.stage >= Stage::Halt => Ok(None),
            Step::Nvsp { answers } => match queue.message() {
                Ok(message) => self.nvsp(&message, answers),
                // Linux passes them over, so that newer hosts may send what older guests do not know.
                Err(Fault::Message(DecodeError::NvspType(unknown)))
                    if !answers
                        && (unknown.name().is_none() || unknown == MessageType::UPLINK_CONNECT_STATE) =>
                {
                    Ok(Some(Event::UnknownMessage(unknown)))
                }
                Err(fault) => Err(fault),
            },
            Step::Taken { place, status } => self.taken(place, status),
            Step::Rndis(bytes) => self.rndis(bytes),
        };
        let event = outcome.map_err(|fault| queue.poison(fault))?;
        queue.set_data_path(&self.data_path);
        let sent = self.send(queue).map_err(|fault| queue.poison(fault));
        if event.is_some() {
            // What happened is told first, as nobody would tell it again; a fault sticks, and the next call tells it.
            return Ok(queue.again(event));
        }
        sent?;
        let notice = self.notice(queue)?;
        Ok(queue.again(notice))
    }

    /// What is to be told by itself.
    fn notice<'b, M: RingMem, const DEPTH: usize>(
        &mut self,
        queue: &mut Queue<'p, M, B, DEPTH>,
    ) -> Result<Option<Event<'b>>, Fault> {
        if self.stage == Stage::Leave && queue.is_drained()? {
            self.stage = Stage::Down;
            return Ok(Some(Event::ShutDown));
        }
        let changed = core::mem::take(&mut self.path_changed);
        // They are offered on the bus, so that they may be open before the answer on this channel is read.
        let anyone = matches!(self.sub_channels, SubChannels::Asked(_) | SubChannels::Granted(_));
        Ok((changed && anyone).then_some(Event::DataPathChanged))
    }

    /// Sends what is to be sent now.
    fn send<M: RingMem, const DEPTH: usize>(
        &mut self,
        queue: &mut Queue<'p, M, B, DEPTH>,
    ) -> Result<(), Fault> {
        while self.advance(queue)? {}
        self.answer_keepalive();
        while let Some((place, pages)) = self.requests.waiting() {
            if !queue.send_request(place, pages)? {
                break;
            }
            self.requests.mark_sent(place);
        }
        Ok(())
    }

    /// Sends the stage's message. `true`: there is no answer to it, so that the next stage is on.
    fn advance<M: RingMem, const DEPTH: usize>(
        &mut self,
        queue: &mut Queue<'p, M, B, DEPTH>,
    ) -> Result<bool, Fault> {
        if self.asked {
            return Ok(false);
        }
        if self.leaving && self.stage < Stage::Halt {
            self.stage = match self.stage {
                Stage::Initialize | Stage::Query(_) | Stage::Up => Stage::Halt,
                _ if self.lent.receive_buffer => Stage::RevokeReceive,
                _ => Stage::Leave,
            };
        }
        let version = self.data_path.version;
        let (message, next) = match self.stage {
            Stage::Version(from) => {
                let asked = self.version(from).ok_or(Fault::NoVersion);
                let (_, version) = asked.map_err(|fault| queue.poison(fault))?;
                let init = Init {
                    min_version: version,
                    max_version: version,
                };
                (GuestMessage::Init(init), None)
            }
            Stage::NdisConfig if version < Version::V2 => {
                self.stage = Stage::NdisVersion;
                return Ok(true);
            }
            Stage::NdisConfig => {
                let config = SendNdisConfig {
                    mtu: self.data_path.max_frame.into(),
                    reserved: 0.into(),
                    capabilities: self.config.capabilities.bits().into(),
                };
                (GuestMessage::SendNdisConfig(config), Some(Stage::NdisVersion))
            }
            Stage::NdisVersion => {
                let minor = if version < Version::V5 { 1 } else { 30 };
                let version = SendNdisVersion {
                    major: 6.into(),
                    minor: minor.into(),
                };
                (GuestMessage::SendNdisVersion(version), Some(Stage::ReceiveBuffer))
            }
            Stage::ReceiveBuffer => {
                let gpadl = self.config.receive_buffer.gpadl;
                let id = RECEIVE_BUFFER_ID.into();
                self.lent.receive_buffer = true;
                (GuestMessage::SendReceiveBuffer(SendBuffer { gpadl, id }), None)
            }
            Stage::SendBuffer => {
                let gpadl = self.config.send_buffer.gpadl;
                let id = SEND_BUFFER_ID.into();
                self.lent.send_buffer = true;
                (GuestMessage::SendSendBuffer(SendBuffer { gpadl, id }), None)
            }
            Stage::Initialize | Stage::Query(_) | Stage::Halt => {
                self.asked = self.request_of_stage();
                return Ok(false);
            }
            Stage::Up => {
                let SubChannels::Wanted(count) = self.sub_channels else {
                    return Ok(false);
                };
                let request = SubchannelRequest {
                    operation: SubchannelOperation::ALLOCATE,
                    count: u32::from(count).into(),
                };
                if queue.send(&GuestMessage::Subchannel(request), true)? {
                    self.sub_channels = SubChannels::Asked(count);
                }
                return Ok(false);
            }
            Stage::Drain => {
                if queue.outstanding() > 0 {
                    return Ok(false);
                }
                self.stage = Stage::RevokeReceive;
                return Ok(true);
            }
            Stage::RevokeReceive => {
                let id = RECEIVE_BUFFER_ID.into();
                let message = GuestMessage::RevokeReceiveBuffer(RevokeBuffer { id });
                (message, Some(Stage::RevokeSend))
            }
            Stage::RevokeSend if !self.lent.send_buffer => {
                self.stage = Stage::Leave;
                return Ok(true);
            }
            Stage::RevokeSend => {
                let id = SEND_BUFFER_ID.into();
                let message = GuestMessage::RevokeSendBuffer(RevokeBuffer { id });
                (message, Some(Stage::Leave))
            }
            Stage::Leave | Stage::Down => return Ok(false),
        };
        let sent = queue.send(&message, next.is_none())?;
        if sent {
            self.asked = next.is_none();
            self.stage = next.unwrap_or(self.stage);
        }
        Ok(sent && next.is_some())
    }

    /// The first version from this place on that may be asked for.
    fn version(&self, from: usize) -> Option<(usize, Version)> {
        VERSIONS
            .iter()
            .copied()
            .enumerate()
            .skip(from)
            .find(|(_, version)| *version <= self.config.max_version)
    }

    /// Handles an NVSP message that is not RNDIS.
    fn nvsp(&mut self, message: &HostMessage<'_>, answers: bool) -> Result<Option<Event<'static>>, Fault> {
        let unexpected = Fault::Unexpected {
            message: message.message_type(),
            version: self.data_path.version,
        };
        if !answers {
            return match message {
                HostMessage::SendIndirectionTable(table) => {
                    self.send_table = SendTable::new(table.iter().map(|entry| entry.get()));
                    Ok(Some(Event::SendTable(self.send_table)))
                }
                HostMessage::SendVfAssociation(association) => Ok(Some(Event::VirtualFunction {
                    present: association.allocated.get() != 0,
                    serial: association.serial.get(),
                })),
                _ => Err(unexpected),
            };
        }
        if let (SubChannels::Asked(asked), HostMessage::Subchannel(complete)) = (self.sub_channels, message) {
            return self.granted(asked, complete).map(Some);
        }
        if !self.asked {
            return Err(unexpected);
        }
        match (self.stage, message) {
            (Stage::Version(from), HostMessage::InitComplete(complete)) => {
                let (at, version) = self.version(from).ok_or(unexpected)?;
                if complete.status == Status::SUCCESS {
                    self.data_path.version = version;
                    self.properties.version = version;
                    self.stage = Stage::NdisConfig;
                } else {
                    self.stage = Stage::Version(at.saturating_add(1));
                }
            }
            (Stage::ReceiveBuffer, HostMessage::SendReceiveBufferComplete(complete)) => {
                self.receive_buffer(complete)?;
                self.stage = Stage::SendBuffer;
            }
            (Stage::SendBuffer, HostMessage::SendSendBufferComplete(complete)) => {
                self.send_buffer(complete)?;
                self.stage = Stage::Initialize;
            }
            _ => return Err(unexpected),
        }
        self.asked = false;
        Ok(None)
    }

    /// Judges how the host divides the receive buffer. What it does with the parts is judged with each transfer.
    fn receive_buffer(&mut self, complete: &SendReceiveBufferComplete) -> Result<(), Fault> {
        accepted(MessageType::SEND_RECEIVE_BUFFER_COMPLETE, complete.status)?;
        let section = &complete.section;
        let (sections, offset) = (complete.section_count.get(), section.offset.get());
        let (size, count) = (section.part_size.get(), section.part_count.get());
        let len = self.config.receive_buffer.len;
        let end = size
            .checked_mul(count)
            .and_then(|bytes| bytes.checked_add(offset));
        if sections != 1 || size < MIN_PART || count == 0 || end.is_none_or(|end| end > len) {
            return Err(Fault::ReceiveSections {
                sections,
                offset,
                size,
                count,
                len,
            });
        }
        self.data_path.receive_len = len;
        Ok(())
    }

    fn send_buffer(&mut self, complete: &SendSendBufferComplete) -> Result<(), Fault> {
        accepted(MessageType::SEND_SEND_BUFFER_COMPLETE, complete.status)?;
        let section_size = complete.section_size.get();
        let (len, queues) = (self.config.send_buffer.len, self.config.max_queues);
        let sections = len.checked_div(section_size).unwrap_or_default();
        let sections_per_queue = sections.checked_div(queues.into()).unwrap_or_default();
        if section_size < MIN_SECTION || sections_per_queue == 0 {
            return Err(Fault::SendSections {
                section_size,
                len,
                queues,
            });
        }
        self.data_path.send = Some(SendLayout {
            section_size,
            sections_per_queue,
        });
        Ok(())
    }

    fn granted(&mut self, asked: u16, complete: &SubchannelComplete) -> Result<Event<'static>, Fault> {
        let status = complete.status;
        if status != Status::SUCCESS {
            self.sub_channels = SubChannels::None;
            return Ok(Event::SubChannels { status, count: 0 });
        }
        let granted = complete.count.get();
        let count = u16::try_from(granted).ok().filter(|count| *count <= asked);
        let count = count.ok_or(Fault::SubChannels { asked, granted })?;
        self.sub_channels = SubChannels::Granted(count);
        Ok(Event::SubChannels { status, count })
    }

    /// Gives the NIC up, when its channel was rescinded or a [`Fault`] came: names each request that was not answered,
    /// once, until there is none. [`Queue::abort`] does so for frames.
    pub fn abort(&mut self) -> Option<RequestId> {
        self.stage = Stage::Down;
        self.data_path.ready = false;
        self.requests.end_any()
    }
}

fn accepted(message: MessageType, status: Status) -> Result<(), Fault> {
    if status == Status::SUCCESS {
        Ok(())
    } else {
        Err(Fault::Refused { message, status })
    }
}
