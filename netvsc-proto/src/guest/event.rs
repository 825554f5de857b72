//! What queues and the NIC tell their driver.

use vmbus_proto::ringbuf::Signal;

use super::TransmitId;
use super::config::Properties;
use super::requests::RequestId;
use crate::nic::{Offloads, ReceiveInfo};
use crate::wire::nvsp::{MessageType, SEND_TABLE_LEN, Status};
use crate::wire::status::RndisStatus;

/// What a call to `poll` came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "signals, and whether to come again, have to be acted on"]
pub struct Polled<'b> {
    /// Whether the host has to be signalled.
    pub signal: Signal,
    /// Whether to call again at once. If not, it is time when the host signals.
    pub again: bool,
    /// What happened.
    pub event: Option<Event<'b>>,
}

/// A frame that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the host may have to be signalled"]
pub struct Submitted {
    /// What [`Event::Transmitted`] will name.
    pub id: TransmitId,
    /// Whether the host has to be signalled.
    pub signal: Signal,
}

/// Something that happened. Only the first two come on sub-channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'b> {
    /// A frame, Ethernet header first, without frame check sequence. It stands in the buffer that was lent to `poll`.
    Received {
        /// The frame.
        frame: &'b [u8],
        /// What is known of it.
        info: ReceiveInfo,
    },
    /// A frame was taken by the host, which is done with its pages. Told once for each.
    Transmitted {
        /// Which.
        id: TransmitId,
        /// Whether the host sent it.
        status: Status,
    },
    /// The NIC is up: frames can be sent, and are received once a
    /// [packet filter](super::Nic::set_packet_filter) is set.
    Ready(Properties),
    /// The answer to a request. Told once for each, unless [`RequestFailed`](Self::RequestFailed) is.
    Answered {
        /// Which.
        id: RequestId,
        /// Outcome.
        status: RndisStatus,
        /// What was asked for. It stands in the buffer that was lent to `poll`.
        info: &'b [u8],
    },
    /// The host did not take a request. Told once, in place of [`Answered`](Self::Answered).
    RequestFailed {
        /// Which.
        id: RequestId,
        /// Why; [`Status::BUSY`]: try again.
        status: Status,
    },
    /// The answer to a reset.
    Reset {
        /// Which request.
        id: RequestId,
        /// Outcome.
        status: RndisStatus,
        /// Packet filter and multicast list were lost: set them again.
        addressing_lost: bool,
    },
    /// The link came or went.
    Link {
        /// Whether there is one.
        up: bool,
    },
    /// The link's speed changed.
    LinkSpeed {
        /// Bit/s.
        bits_per_second: u64,
    },
    /// The network behind the link is another one: addresses should be renewed.
    NetworkChange,
    /// These offloads are on now.
    Offloads(Offloads),
    /// The host tells something else.
    Indication {
        /// What.
        status: RndisStatus,
        /// What goes with it. It stands in the buffer that was lent to `poll`.
        info: &'b [u8],
    },
    /// The answer to [`Nic::create_sub_channels`](super::Nic::create_sub_channels).
    SubChannels {
        /// Whether there will be any.
        status: Status,
        /// How many are offered, before this or after it. Never more than were asked for.
        count: u16,
    },
    /// The host tells on which channels to send.
    SendTable(SendTable),
    /// A virtual function that belongs to this NIC came or went.
    VirtualFunction {
        /// Whether there is one.
        present: bool,
        /// Its serial number.
        serial: u32,
    },
    /// The host tells something by an NVSP message that has no name here. It was passed over.
    UnknownMessage(MessageType),
    /// [`Nic::data_path`](super::Nic::data_path) has changed: give it to the queues of all sub-channels.
    DataPathChanged,
    /// The host has read that the NIC goes away: close the channel, and tear the GPADLs down in the order of
    /// [`Teardown`](super::Teardown).
    ShutDown,
}

/// On which channel the host wants which flows sent. Since 5.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendTable {
    entries: [u16; SEND_TABLE_LEN],
}

impl SendTable {
    /// An entry that no channel can have is as good as the last number: it is replaced when it is looked up.
    pub(super) fn new(entries: impl IntoIterator<Item = u32>) -> Self {
        let mut table = Self::default();
        for (target, entry) in table.entries.iter_mut().zip(entries) {
            *target = u16::try_from(entry).unwrap_or(u16::MAX);
        }
        table
    }

    /// The channel for a flow with this hash, of `open` that are open, the primary one included. An entry that leads
    /// to none of them is replaced by one that does.
    ///
    /// ```
    /// use netvsc_proto::guest::SendTable;
    ///
    /// // Before the host tells, everything goes to the primary channel.
    /// assert_eq!(SendTable::default().queue_for(0x1234_5678, 4), 0);
    /// ```
    #[must_use]
    pub fn queue_for(&self, hash: u32, open: u16) -> u16 {
        let [low, ..] = hash.to_le_bytes();
        let entry = self
            .entries
            .get(usize::from(low & 0xf))
            .copied()
            .unwrap_or_default();
        entry.checked_rem(open).unwrap_or_default()
    }

    /// The entries as the host sent them; what exceeds 16 bits is `u16::MAX`.
    #[must_use]
    pub const fn entries(&self) -> &[u16; SEND_TABLE_LEN] {
        &self.entries
    }
}
const _: () = assert!(SEND_TABLE_LEN == 16);
