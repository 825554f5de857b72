//! What a driver asks of a NIC that is up.

use vmbus_proto::ringbuf::SharedMem;
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U32};

use crate::nic::{MacAddress, Offloads, Rss};
use crate::wire::ndis::{ConfigParameter, ObjectHeader, ObjectType, ParameterType};
use crate::wire::nvsp::Version;
use crate::wire::oid::Oid;
use crate::wire::rndis::{KeepaliveRequest, PacketFilter, ResetRequest};
use crate::wire::rndis_message::GuestMessage;
use crate::wire::rss::{KEY_LEN, MAX_TABLE_LEN, ReceiveScaleParameters, RssFlags};

use super::control::oid_request;
use super::fault::ControlError;
use super::nic::{Nic, Stage, SubChannels};
use super::offload;
use super::requests::{Effect, Kind, REQUEST_LEN, RequestId};

/// The setting by which Linux and Windows change the MAC address: twelve hexadecimal digits.
const NETWORK_ADDRESS: &str = "NetworkAddress";

/// Bytes of the receive scaling parameters before the table.
const RSS_HEAD: usize = size_of::<ReceiveScaleParameters>();

/// Bytes of all of them.
const RSS_LEN: usize = RSS_HEAD + MAX_TABLE_LEN * 4 + KEY_LEN;

/// Bytes put together one after the other.
struct Bytes<const N: usize>(heapless::Vec<u8, N>);

impl<const N: usize> Bytes<N> {
    const fn new() -> Self {
        Self(heapless::Vec::new())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), ControlError> {
        let len = self.0.len().saturating_add(bytes.len());
        self.0
            .extend_from_slice(bytes)
            .map_err(|_| ControlError::TooLong { len, limit: N })
    }
}

impl<B: SharedMem> Nic<'_, B> {
    fn request<'m>(
        &mut self,
        kind: Kind,
        message: impl FnOnce(U32) -> GuestMessage<'m>,
    ) -> Result<RequestId, ControlError> {
        if self.stage != Stage::Up || self.leaving {
            return Err(ControlError::NotReady);
        }
        self.requests.add(kind, message)
    }

    fn set_with(&mut self, oid: Oid, value: &[u8], effect: Effect) -> Result<RequestId, ControlError> {
        self.request(Kind::Set(effect), |request_id| {
            GuestMessage::Set(oid_request(request_id, oid), value)
        })
    }

    /// Asks an OID. `input` qualifies the question, and is empty for most.
    ///
    /// # Errors
    ///
    /// When it cannot be asked, or not now.
    pub fn query(&mut self, oid: Oid, input: &[u8]) -> Result<RequestId, ControlError> {
        self.request(Kind::Query, |request_id| {
            GuestMessage::Query(oid_request(request_id, oid), input)
        })
    }

    /// Sets an OID. There are calls of their own for what the engine has to know of.
    ///
    /// # Errors
    ///
    /// When it cannot be asked, or not now; [`NotSupported`](ControlError::NotSupported) for an OID with a call of
    /// its own.
    pub fn set(&mut self, oid: Oid, value: &[u8]) -> Result<RequestId, ControlError> {
        if matches!(oid, Oid::GEN_CURRENT_PACKET_FILTER | Oid::TCP_OFFLOAD_PARAMETERS) {
            return Err(ControlError::NotSupported);
        }
        self.set_with(oid, value, Effect::None)
    }

    /// Chooses which frames are received. Nothing is before it was called; [`PacketFilter::empty`] stops reception:
    /// once it is answered, no frame is told any more.
    ///
    /// # Errors
    ///
    /// When it cannot be asked, or not now.
    pub fn set_packet_filter(&mut self, filter: PacketFilter) -> Result<RequestId, ControlError> {
        let value = filter.bits().to_le_bytes();
        let oid = Oid::GEN_CURRENT_PACKET_FILTER;
        let id = self.set_with(oid, &value, Effect::Filter(filter))?;
        // Frames may come before the answer does.
        if !filter.is_empty() && !self.data_path.receiving {
            self.data_path.receiving = true;
            self.path_changed = true;
        }
        Ok(id)
    }

    /// Lists the multicast addresses to listen to, with [`PacketFilter::MULTICAST`].
    ///
    /// # Errors
    ///
    /// When it cannot be asked, or not now, or there are too many addresses.
    pub fn set_multicast(&mut self, addresses: &[MacAddress]) -> Result<RequestId, ControlError> {
        let mut value = Bytes::<REQUEST_LEN>::new();
        for address in addresses {
            value.put(&address.0)?;
        }
        self.set_with(Oid::ETHERNET_MULTICAST_LIST, &value.0, Effect::None)
    }

    /// Changes the address. Whether that may be is the host's decision.
    ///
    /// # Errors
    ///
    /// When it cannot be asked, or not now.
    pub fn set_mac(&mut self, mac: MacAddress) -> Result<RequestId, ControlError> {
        let mut text = Bytes::<64>::new();
        for unit in NETWORK_ADDRESS.encode_utf16() {
            text.put(&unit.to_le_bytes())?;
        }
        let name_length = text.0.len();
        for byte in mac.0 {
            for digit in [byte >> 4, byte & 0xf] {
                let digit = char::from_digit(digit.into(), 16).unwrap_or('0');
                text.put(
                    &u32::from(digit)
                        .to_le_bytes()
                        .first_chunk::<2>()
                        .copied()
                        .unwrap_or_default(),
                )?;
            }
        }
        let head = size_of::<ConfigParameter>();
        let parameter = ConfigParameter {
            name_offset: wire_len(head),
            name_length: wire_len(name_length),
            parameter_type: ParameterType::STRING,
            value_offset: wire_len(head.saturating_add(name_length)),
            value_length: wire_len(text.0.len().saturating_sub(name_length)),
        };
        let mut value = Bytes::<128>::new();
        value.put(parameter.as_bytes())?;
        value.put(&text.0)?;
        self.set_with(Oid::GEN_RNDIS_CONFIG_PARAMETER, &value.0, Effect::None)
    }

    /// Switches offloads: what is not in `wanted` is off from the answer on.
    /// [`Offloads::vlan`] is not looked at, as that is always on.
    ///
    /// # Errors
    ///
    /// [`NotSupported`](ControlError::NotSupported) for what [`Properties::offloads`](super::Properties::offloads)
    /// does not have; or it cannot be asked now.
    pub fn set_offloads(&mut self, wanted: &Offloads) -> Result<RequestId, ControlError> {
        if !offload::covers(&self.properties.offloads, wanted) {
            return Err(ControlError::NotSupported);
        }
        let (parameters, len) = offload::parameters(wanted, self.data_path.version);
        let value = parameters.as_bytes().get(..len).unwrap_or_default();
        self.set_with(Oid::TCP_OFFLOAD_PARAMETERS, value, Effect::Offloads(*wanted))
    }

    /// Spreads received frames over the channels that are open, or, with `None`, no more. Of the table, as many entries
    /// are used as [`RssProperties::table_len`](super::RssProperties::table_len) says.
    ///
    /// # Errors
    ///
    /// [`NotSupported`](ControlError::NotSupported) where there is no receive scaling, a
    /// [`TableEntry`](ControlError::TableEntry) that leads to a channel that was not granted; or it cannot be asked
    /// now.
    pub fn set_rss(&mut self, rss: Option<&Rss>) -> Result<RequestId, ControlError> {
        let told = self.properties.rss.ok_or(ControlError::NotSupported)?;
        let queues = self.sub_channels().saturating_add(1).min(told.queues);
        let mut parameters = ReceiveScaleParameters {
            header: ObjectHeader::new(ObjectType::RSS_PARAMETERS, 2, 40),
            ..ReceiveScaleParameters::default()
        };
        let mut value = Bytes::<RSS_LEN>::new();
        match rss {
            None => {
                parameters.flags = U16::new(RssFlags::DISABLE.bits());
                value.put(parameters.as_bytes())?;
            }
            Some(rss) => {
                let table = rss.table.get(..told.table_len.into()).unwrap_or(&rss.table);
                let table_size = told.table_len.saturating_mul(4);
                parameters.hash_info = U32::new(rss.hash_info.bits());
                parameters.table_size = U16::new(table_size);
                parameters.table_offset = wire_len(RSS_HEAD);
                parameters.key_size = U16::new(u16::try_from(KEY_LEN).unwrap_or_default());
                parameters.key_offset = wire_len(RSS_HEAD.saturating_add(table_size.into()));
                value.put(parameters.as_bytes())?;
                for (index, channel) in table.iter().copied().enumerate() {
                    if channel >= queues {
                        return Err(ControlError::TableEntry {
                            index,
                            channel,
                            queues,
                        });
                    }
                    value.put(&u32::from(channel).to_le_bytes())?;
                }
                value.put(&rss.key)?;
            }
        }
        self.set_with(Oid::GEN_RECEIVE_SCALE_PARAMETERS, &value.0, Effect::None)
    }

    /// Asks whether anyone is there. The answer has no information.
    ///
    /// # Errors
    ///
    /// When it cannot be asked, or not now.
    pub fn keepalive(&mut self) -> Result<RequestId, ControlError> {
        self.request(Kind::Keepalive, |request_id| {
            GuestMessage::Keepalive(KeepaliveRequest { request_id })
        })
    }

    /// Asks for a reset, of which there is one at a time; answered by [`Event::Reset`](super::Event::Reset).
    ///
    /// # Errors
    ///
    /// When it cannot be asked, or not now.
    pub fn reset(&mut self) -> Result<RequestId, ControlError> {
        let reserved = U32::ZERO;
        self.request(Kind::Reset, |_| GuestMessage::Reset(ResetRequest { reserved }))
    }

    /// Asks for sub-channels, once. Their offers come on the bus, [`Event::SubChannels`](super::Event::SubChannels) on the
    /// primary channel, in any order: one that is offered may be opened at once. Since 5.
    ///
    /// # Errors
    ///
    /// When there cannot be so many, or it was asked before, or cannot be asked now.
    pub fn create_sub_channels(&mut self, count: u16) -> Result<(), ControlError> {
        if self.stage != Stage::Up || self.leaving {
            return Err(ControlError::NotReady);
        }
        if self.data_path.version < Version::V5 {
            return Err(ControlError::NotSupported);
        }
        if self.sub_channels != SubChannels::None {
            return Err(ControlError::Busy { under_way: 1 });
        }
        let limit = self.config.max_queues.saturating_sub(1);
        if count == 0 || count > limit {
            return Err(ControlError::SubChannels { count, limit });
        }
        self.sub_channels = SubChannels::Wanted(count);
        Ok(())
    }

    /// Sub-channels that the host has granted.
    #[must_use]
    pub fn sub_channels(&self) -> u16 {
        if let SubChannels::Granted(count) = self.sub_channels {
            count
        } else {
            0
        }
    }

    /// Takes the NIC down: no frame is sent or told any more, RNDIS is halted, what is under way on the primary channel
    /// is waited for, both buffers are revoked, and [`Event::ShutDown`](super::Event::ShutDown) tells that the host
    /// knows. Close the sub-channels before. At the end, [`Polled::again`](super::Polled::again) asks for calls until the
    /// host has read the last message, as no host signals that.
    ///
    /// A host that never completes what it has keeps that from coming. Close the channel then all the same.
    pub fn shut_down(&mut self) {
        if self.leaving {
            return;
        }
        self.leaving = true;
        // An NVSP request is answered first, or the host would take a revoke for another buffer's.
        if self.stage >= Stage::Initialize {
            self.asked = false;
        }
        self.data_path.ready = false;
        self.data_path.receiving = false;
        self.path_changed = true;
    }
}

fn wire_len(len: usize) -> U32 {
    U32::new(u32::try_from(len).unwrap_or(u32::MAX))
}
