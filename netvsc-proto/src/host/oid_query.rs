//! OIDs that a guest asks.

use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U32, U64};

use crate::nic::ETHERNET_HEADER;
use crate::wire::ndis::{
    ConnectState, DuplexState, InterruptModeration, InterruptModerationState, LinkSpeed, LinkState,
    MacOptions, ObjectHeader, ObjectType, PnpCapabilities, Statistics, StatisticsFlags,
};
use crate::wire::nvsp::Version;
use crate::wire::offload::{Encapsulation, Offload, OffloadEncapsulation};
use crate::wire::oid::Oid;
use crate::wire::rndis::{MediaState, Medium};
use crate::wire::rss::{MAX_TABLE_LEN, ReceiveScaleCapabilities, RssCapabilities};
use crate::wire::status::RndisStatus;

use super::config::MAX_MULTICAST;
use super::nic::Nic;
use super::offload;
use super::stats::QueueStats;

/// What the guest shows for this NIC. Linux takes this very name for "has none".
const FRIENDLY_NAME: &str = "Network Adapter";

/// UTF-16 units of a friendly name, the zero at the end included.
const FRIENDLY_NAME_UNITS: usize = 256;

/// Who made this NIC, as guests print it.
const VENDOR: &[u8] = b"vmbus-proto";

/// The vendor's three bytes of a MAC address: Microsoft's, which Hyper-V gives and drivers know.
const VENDOR_ID: u32 = 0x0000_155d;

/// "Meaningless for virtual NICs": what Hyper-V says (OpenVMM).
const BUFFER_SPACE: u32 = 256 * 1024;

/// 6.30.
const DRIVER_VERSION: u16 = 0x061e;

/// What any guest may ask or set.
const COMMON: &[Oid] = &[
    Oid::GEN_SUPPORTED_LIST,
    Oid::GEN_HARDWARE_STATUS,
    Oid::GEN_MEDIA_SUPPORTED,
    Oid::GEN_MEDIA_IN_USE,
    Oid::GEN_MAXIMUM_LOOKAHEAD,
    Oid::GEN_CURRENT_LOOKAHEAD,
    Oid::GEN_MAXIMUM_FRAME_SIZE,
    Oid::GEN_MAXIMUM_TOTAL_SIZE,
    Oid::GEN_TRANSMIT_BLOCK_SIZE,
    Oid::GEN_RECEIVE_BLOCK_SIZE,
    Oid::GEN_LINK_SPEED,
    Oid::GEN_TRANSMIT_BUFFER_SPACE,
    Oid::GEN_RECEIVE_BUFFER_SPACE,
    Oid::GEN_VENDOR_ID,
    Oid::GEN_VENDOR_DESCRIPTION,
    Oid::GEN_VENDOR_DRIVER_VERSION,
    Oid::GEN_DRIVER_VERSION,
    Oid::GEN_CURRENT_PACKET_FILTER,
    Oid::GEN_PROTOCOL_OPTIONS,
    Oid::GEN_MAC_OPTIONS,
    Oid::GEN_MEDIA_CONNECT_STATUS,
    Oid::GEN_MAXIMUM_SEND_PACKETS,
    Oid::GEN_NETWORK_LAYER_ADDRESSES,
    Oid::GEN_PHYSICAL_MEDIUM,
    Oid::GEN_FRIENDLY_NAME,
    Oid::GEN_RNDIS_CONFIG_PARAMETER,
    Oid::GEN_XMIT_OK,
    Oid::GEN_RCV_OK,
    Oid::GEN_XMIT_ERROR,
    Oid::GEN_RCV_ERROR,
    Oid::GEN_RCV_NO_BUFFER,
    Oid::GEN_TRANSMIT_QUEUE_LENGTH,
    Oid::ETHERNET_PERMANENT_ADDRESS,
    Oid::ETHERNET_CURRENT_ADDRESS,
    Oid::ETHERNET_MULTICAST_LIST,
    Oid::ETHERNET_MAXIMUM_LIST_SIZE,
    Oid::ETHERNET_MAC_OPTIONS,
    Oid::ETHERNET_RCV_ERROR_ALIGNMENT,
    Oid::ETHERNET_XMIT_ONE_COLLISION,
    Oid::ETHERNET_XMIT_MORE_COLLISIONS,
    Oid::PNP_CAPABILITIES,
];

/// What a guest of NDIS 6 may ask or set besides.
const NDIS_6: &[Oid] = &[
    Oid::GEN_LINK_STATE,
    Oid::GEN_LINK_PARAMETERS,
    Oid::GEN_MAX_LINK_SPEED,
    Oid::GEN_INTERRUPT_MODERATION,
    Oid::GEN_STATISTICS,
    Oid::GEN_DIRECTED_BYTES_XMIT,
    Oid::GEN_DIRECTED_FRAMES_XMIT,
    Oid::GEN_MULTICAST_BYTES_XMIT,
    Oid::GEN_MULTICAST_FRAMES_XMIT,
    Oid::GEN_BROADCAST_BYTES_XMIT,
    Oid::GEN_BROADCAST_FRAMES_XMIT,
    Oid::GEN_DIRECTED_BYTES_RCV,
    Oid::GEN_DIRECTED_FRAMES_RCV,
    Oid::GEN_MULTICAST_BYTES_RCV,
    Oid::GEN_MULTICAST_FRAMES_RCV,
    Oid::GEN_BROADCAST_BYTES_RCV,
    Oid::GEN_BROADCAST_FRAMES_RCV,
    Oid::GEN_BYTES_RCV,
    Oid::GEN_BYTES_XMIT,
    Oid::GEN_RCV_DISCARDS,
    Oid::GEN_XMIT_DISCARDS,
    Oid::ETHERNET_ADD_MULTICAST_ADDRESS,
    Oid::ETHERNET_DELETE_MULTICAST_ADDRESS,
    Oid::TCP_OFFLOAD_PARAMETERS,
    Oid::TCP_OFFLOAD_CURRENT_CONFIG,
    Oid::TCP_OFFLOAD_HARDWARE_CAPABILITIES,
    Oid::OFFLOAD_ENCAPSULATION,
];

/// What a guest of NDIS 6.30 may ask or set besides.
const NDIS_6_30: &[Oid] = &[
    Oid::GEN_RECEIVE_SCALE_CAPABILITIES,
    Oid::GEN_RECEIVE_SCALE_PARAMETERS,
];

/// Puts an answer's bytes one after the other.
struct Writer<'o> {
    out: &'o mut [u8],
    len: usize,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), RndisStatus> {
        let rest = self.out.get_mut(self.len..).unwrap_or_default();
        let target = rest.get_mut(..bytes.len()).ok_or(RndisStatus::BUFFER_OVERFLOW)?;
        target.copy_from_slice(bytes);
        self.len = self.len.saturating_add(bytes.len());
        Ok(())
    }

    fn put_u32(&mut self, value: u32) -> Result<(), RndisStatus> {
        self.put(&value.to_le_bytes())
    }
}

impl Nic {
    /// Answers a query into `out`, and tells how many bytes. What a guest sends along only tells which revision of an
    /// object it takes, which its NVSP version tells as well.
    pub(super) fn query_oid(&self, oid: Oid, _input: &[u8], out: &mut [u8]) -> Result<usize, RndisStatus> {
        let mut writer = Writer { out, len: 0 };
        let stats = self.control.stats();
        if let Some(counter) = counter(&stats, oid) {
            match counter {
                Counter::U32(value) => writer.put_u32(u32::try_from(value).unwrap_or(u32::MAX))?,
                Counter::U64(value) => writer.put(&value.to_le_bytes())?,
            }
            return Ok(writer.len);
        }
        let max_frame = self.data_path.max_frame;
        match oid {
            Oid::GEN_SUPPORTED_LIST => {
                let (major, minor) = self.control.ndis_version;
                writer.put(COMMON.as_bytes())?;
                if major >= 6 {
                    writer.put(NDIS_6.as_bytes())?;
                }
                if (major, minor) >= (6, 30) {
                    writer.put(NDIS_6_30.as_bytes())?;
                }
            }
            Oid::GEN_HARDWARE_STATUS | Oid::GEN_PHYSICAL_MEDIUM | Oid::GEN_PHYSICAL_MEDIUM_EX => {
                writer.put_u32(0)?
            }
            Oid::GEN_MEDIA_SUPPORTED | Oid::GEN_MEDIA_IN_USE => writer.put(Medium::ETHERNET.as_bytes())?,
            Oid::GEN_MAXIMUM_LOOKAHEAD | Oid::GEN_CURRENT_LOOKAHEAD | Oid::GEN_MAXIMUM_FRAME_SIZE => {
                writer.put_u32(max_frame.saturating_sub(ETHERNET_HEADER))?;
            }
            Oid::GEN_MAXIMUM_TOTAL_SIZE | Oid::GEN_TRANSMIT_BLOCK_SIZE | Oid::GEN_RECEIVE_BLOCK_SIZE => {
                writer.put_u32(max_frame)?;
            }
            Oid::GEN_LINK_SPEED => writer.put_u32(self.link_speed_100bps())?,
            Oid::GEN_TRANSMIT_BUFFER_SPACE | Oid::GEN_RECEIVE_BUFFER_SPACE => writer.put_u32(BUFFER_SPACE)?,
            Oid::GEN_VENDOR_ID => writer.put_u32(VENDOR_ID)?,
            Oid::GEN_VENDOR_DESCRIPTION => writer.put(VENDOR)?,
            Oid::GEN_VENDOR_DRIVER_VERSION => writer.put_u32(DRIVER_VERSION.into())?,
            Oid::GEN_DRIVER_VERSION => writer.put(&DRIVER_VERSION.to_le_bytes())?,
            Oid::GEN_CURRENT_PACKET_FILTER => writer.put_u32(self.data_path.filter.bits())?,
            Oid::GEN_MAC_OPTIONS => writer.put_u32(self.mac_options().bits())?,
            Oid::GEN_MEDIA_CONNECT_STATUS => {
                let up = self.control.link_up;
                writer.put(
                    if up {
                        MediaState::CONNECTED
                    } else {
                        MediaState::DISCONNECTED
                    }
                    .as_bytes(),
                )?;
            }
            Oid::GEN_MAXIMUM_SEND_PACKETS => writer.put_u32(u32::MAX)?,
            Oid::GEN_FRIENDLY_NAME => {
                let units = FRIENDLY_NAME.encode_utf16().chain(core::iter::repeat(0));
                for unit in units.take(FRIENDLY_NAME_UNITS) {
                    writer.put(&unit.to_le_bytes())?;
                }
            }
            Oid::ETHERNET_PERMANENT_ADDRESS => writer.put(&self.config.mac.0)?,
            Oid::ETHERNET_CURRENT_ADDRESS => writer.put(&self.data_path.mac.0)?,
            Oid::ETHERNET_MULTICAST_LIST => {
                for address in self.data_path.multicast.as_slice() {
                    writer.put(&address.0)?;
                }
            }
            Oid::ETHERNET_MAXIMUM_LIST_SIZE => {
                writer.put_u32(u32::try_from(MAX_MULTICAST).unwrap_or_default())?
            }
            Oid::ETHERNET_MAC_OPTIONS
            | Oid::ETHERNET_RCV_ERROR_ALIGNMENT
            | Oid::ETHERNET_XMIT_ONE_COLLISION
            | Oid::ETHERNET_XMIT_MORE_COLLISIONS
            | Oid::GEN_TRANSMIT_QUEUE_LENGTH => writer.put_u32(0)?,
            Oid::PNP_CAPABILITIES => writer.put(PnpCapabilities::default().as_bytes())?,
            Oid::GEN_LINK_STATE => writer.put(self.link_state().as_bytes())?,
            Oid::GEN_MAX_LINK_SPEED => {
                let speed = U64::new(self.config.link_speed);
                writer.put(
                    LinkSpeed {
                        transmit: speed,
                        receive: speed,
                    }
                    .as_bytes(),
                )?;
            }
            Oid::GEN_INTERRUPT_MODERATION => {
                let header = ObjectHeader::new(ObjectType::DEFAULT, 1, 12);
                let state = InterruptModerationState::NOT_SUPPORTED;
                writer.put(
                    InterruptModeration {
                        header,
                        flags: U32::ZERO,
                        state,
                    }
                    .as_bytes(),
                )?;
            }
            Oid::GEN_STATISTICS => writer.put(statistics(&stats).as_bytes())?,
            Oid::TCP_OFFLOAD_HARDWARE_CAPABILITIES | Oid::TCP_OFFLOAD_CURRENT_CONFIG => {
                let current = oid == Oid::TCP_OFFLOAD_CURRENT_CONFIG;
                let offloads = if current {
                    &self.data_path.enabled
                } else {
                    &self.data_path.offered
                };
                let mut bytes = [0; size_of::<Offload>()];
                let len = offload::describe(offloads, self.version().unwrap_or(Version::V1), &mut bytes);
                writer.put(bytes.get(..len).unwrap_or_default())?;
            }
            Oid::OFFLOAD_ENCAPSULATION => writer.put(encapsulation().as_bytes())?,
            Oid::GEN_RECEIVE_SCALE_CAPABILITIES => writer.put(self.rss_capabilities().as_bytes())?,
            _ => return Err(RndisStatus::NOT_SUPPORTED),
        }
        Ok(writer.len)
    }

    fn mac_options(&self) -> MacOptions {
        let mut options = MacOptions::COPY_LOOKAHEAD_DATA
            | MacOptions::TRANSFERS_NOT_PEND
            | MacOptions::NO_LOOPBACK
            | MacOptions::PRIORITY_8021P
            | MacOptions::VLAN_8021Q;
        options.set(MacOptions::MAC_ADDRESS_OVERWRITE, self.config.mac_may_change);
        options
    }

    fn link_state(&self) -> LinkState {
        let up = self.control.link_up;
        let speed = U64::new(self.config.link_speed);
        LinkState {
            header: ObjectHeader::new(ObjectType::DEFAULT, 1, 40),
            connect_state: if up {
                ConnectState::CONNECTED
            } else {
                ConnectState::DISCONNECTED
            },
            duplex_state: if up {
                DuplexState::FULL
            } else {
                DuplexState::UNKNOWN
            },
            transmit_speed: speed,
            receive_speed: speed,
            ..LinkState::default()
        }
    }

    fn rss_capabilities(&self) -> ReceiveScaleCapabilities {
        let capabilities = RssCapabilities::TOEPLITZ
            | RssCapabilities::TCP_IPV4
            | RssCapabilities::TCP_IPV6
            | RssCapabilities::TCP_IPV6_EX
            | RssCapabilities::UDP_IPV4
            | RssCapabilities::UDP_IPV6
            | RssCapabilities::UDP_IPV6_EX;
        ReceiveScaleCapabilities {
            header: ObjectHeader::new(ObjectType::RSS_CAPABILITIES, 2, 18),
            capabilities: U32::new(capabilities.bits()),
            interrupt_count: U32::new(1),
            queue_count: U32::new(self.config.max_queues.into()),
            table_len: U16::new(u16::try_from(MAX_TABLE_LEN).unwrap_or_default()),
        }
    }
}

fn encapsulation() -> OffloadEncapsulation {
    let supported = U32::new(1);
    let ethernet = U32::new(Encapsulation::IEEE_802_3.bits());
    let header_size = U32::new(ETHERNET_HEADER);
    OffloadEncapsulation {
        header: ObjectHeader::new(ObjectType::OFFLOAD_ENCAPSULATION, 1, 28),
        ipv4_enabled: supported,
        ipv4_encapsulation: ethernet,
        ipv4_header_size: header_size,
        ipv6_enabled: supported,
        ipv6_encapsulation: ethernet,
        ipv6_header_size: header_size,
    }
}

/// One counter, as wide as its OID has it.
enum Counter {
    U32(u64),
    U64(u64),
}

/// The counter that an OID asks for, if it asks for one. From the guest's side: what it transmitted is out, what it
/// received is in.
fn counter(stats: &QueueStats, oid: Oid) -> Option<Counter> {
    let (sent, received) = (&stats.transmitted, &stats.received);
    Some(match oid {
        Oid::GEN_XMIT_OK => Counter::U32(sent.frames()),
        Oid::GEN_RCV_OK => Counter::U32(received.frames()),
        Oid::GEN_XMIT_ERROR => Counter::U32(stats.transmit_refused),
        Oid::GEN_RCV_ERROR => Counter::U32(stats.receive_rejected),
        Oid::GEN_RCV_NO_BUFFER => Counter::U32(stats.receive_dropped),
        Oid::GEN_DIRECTED_BYTES_XMIT => Counter::U64(sent.directed_bytes),
        Oid::GEN_DIRECTED_FRAMES_XMIT => Counter::U64(sent.directed_frames),
        Oid::GEN_MULTICAST_BYTES_XMIT => Counter::U64(sent.multicast_bytes),
        Oid::GEN_MULTICAST_FRAMES_XMIT => Counter::U64(sent.multicast_frames),
        Oid::GEN_BROADCAST_BYTES_XMIT => Counter::U64(sent.broadcast_bytes),
        Oid::GEN_BROADCAST_FRAMES_XMIT => Counter::U64(sent.broadcast_frames),
        Oid::GEN_DIRECTED_BYTES_RCV => Counter::U64(received.directed_bytes),
        Oid::GEN_DIRECTED_FRAMES_RCV => Counter::U64(received.directed_frames),
        Oid::GEN_MULTICAST_BYTES_RCV => Counter::U64(received.multicast_bytes),
        Oid::GEN_MULTICAST_FRAMES_RCV => Counter::U64(received.multicast_frames),
        Oid::GEN_BROADCAST_BYTES_RCV => Counter::U64(received.broadcast_bytes),
        Oid::GEN_BROADCAST_FRAMES_RCV => Counter::U64(received.broadcast_frames),
        Oid::GEN_BYTES_RCV => Counter::U64(received.bytes()),
        Oid::GEN_BYTES_XMIT => Counter::U64(sent.bytes()),
        Oid::GEN_RCV_DISCARDS => Counter::U64(stats.receive_dropped),
        Oid::GEN_XMIT_DISCARDS => Counter::U64(stats.transmit_dropped),
        _ => return None,
    })
}

fn statistics(stats: &QueueStats) -> Statistics {
    let (sent, received) = (&stats.transmitted, &stats.received);
    Statistics {
        header: ObjectHeader::new(ObjectType::DEFAULT, 1, 152),
        valid: U32::new(StatisticsFlags::all().bits()),
        in_discards: U64::new(stats.receive_dropped),
        in_errors: U64::new(stats.receive_rejected),
        in_bytes: U64::new(received.bytes()),
        in_directed_frames: U64::new(received.directed_frames),
        in_multicast_frames: U64::new(received.multicast_frames),
        in_broadcast_frames: U64::new(received.broadcast_frames),
        out_bytes: U64::new(sent.bytes()),
        out_directed_frames: U64::new(sent.directed_frames),
        out_multicast_frames: U64::new(sent.multicast_frames),
        out_broadcast_frames: U64::new(sent.broadcast_frames),
        out_errors: U64::new(stats.transmit_refused),
        out_discards: U64::new(stats.transmit_dropped),
        in_directed_bytes: U64::new(received.directed_bytes),
        in_multicast_bytes: U64::new(received.multicast_bytes),
        in_broadcast_bytes: U64::new(received.broadcast_bytes),
        out_directed_bytes: U64::new(sent.directed_bytes),
        out_multicast_bytes: U64::new(sent.multicast_bytes),
        out_broadcast_bytes: U64::new(sent.broadcast_bytes),
    }
}
