//! Time synchronization: what the host's clock says.

use core::fmt;

use zerocopy::IntoBytes;
use zerocopy::little_endian::U64;

use super::frame::padded;
use super::{DecodeError, MessageType, NoRoom, Version};
use crate::wire::macros::wire_struct;
use crate::wire::writer::Writer;

bitflags::bitflags! {
    /// What a sample is for; none of them is a probe.
    ///
    /// Source: Linux `ICTIMESYNCFLAG_*`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct TimeSyncFlags: u8 {
        /// The guest is to set its clock: after a start, a restore, a long pause.
        const SYNC = 0x1;
        /// One of a series, by which a guest may discipline its clock.
        const SAMPLE = 0x2;
        const _ = !0;
    }
}

/// A host's wall clock: units of 100 ns since 1601-01-01 00:00 UTC, leap seconds not counted.
///
/// ```
/// use vmbus_proto::ic::wire::HostTime;
/// let time = HostTime::from_unix(core::time::Duration::from_millis(1_700_000_000_123));
/// assert_eq!(time.0, 133_444_736_001_230_000);
/// assert_eq!(time.since_unix().map(|since| since.as_millis()), Some(1_700_000_000_123));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostTime(pub u64);

impl HostTime {
    /// 1970-01-01 00:00 UTC. Source: Linux `WLTIMEDELTA`.
    pub const UNIX_EPOCH: Self = Self(116_444_736_000_000_000);

    /// The time that is so long after 1970; the last one that there is where it is later.
    #[must_use]
    pub fn from_unix(since: core::time::Duration) -> Self {
        let units = since.as_nanos() / 100;
        Self(
            Self::UNIX_EPOCH
                .0
                .saturating_add(u64::try_from(units).unwrap_or(u64::MAX)),
        )
    }

    /// How long after 1970 it is; `None` for a time before.
    #[must_use]
    pub fn since_unix(self) -> Option<core::time::Duration> {
        let units = self.0.checked_sub(Self::UNIX_EPOCH.0)?;
        let nanos = (units % 10_000_000)
            .checked_mul(100)
            .and_then(|nanos| u32::try_from(nanos).ok())?;
        Some(core::time::Duration::new(units / 10_000_000, nanos))
    }
}

impl fmt::Display for HostTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.since_unix() {
            Some(since) => write!(f, "unix {}.{:07}", since.as_secs(), since.subsec_nanos() / 100),
            None => write!(f, "{:#x}", self.0),
        }
    }
}

wire_struct! {
    /// The body of TIME_SYNC before 4.0.
    ///
    /// Sources: Linux `struct ictimesync_data`, which ends with the flags; OpenVMM `TimesyncMessage`, which has the rest.
    #[derive(Default)]
    pub struct TimeSample at 0, 28 bytes {
        /// [`HostTime`].
        0: host_time: U64,
        /// Means nothing.
        8: guest_time: U64,
        /// How long the last answer took, in units of 100 ns.
        16: round_trip_time: U64,
        /// [`TimeSyncFlags`].
        24: flags: u8,
        /// 0.
        25: reserved: [u8; 3],
    }
}

wire_struct! {
    /// The body of TIME_SYNC since 4.0.
    ///
    /// Sources: Linux `struct ictimesync_ref_data`, of 22 bytes; OpenVMM `TimesyncMessageV4`, which has two more.
    #[derive(Default)]
    pub struct TimeReference at 0, 24 bytes {
        /// [`HostTime`].
        0: host_time: U64,
        /// What the guest's reference time was at that moment, in units of 100 ns.
        8: reference_time: U64,
        /// [`TimeSyncFlags`].
        16: flags: u8,
        /// NTP's leap indicator.
        17: leap: u8,
        /// NTP's stratum.
        18: stratum: u8,
        /// 0.
        19: reserved: [u8; 5],
    }
}

/// The body of TIME_SYNC, in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeSync {
    /// Before 4.0.
    Sample(TimeSample),
    /// Since 4.0.
    Reference(TimeReference),
}

impl TimeSync {
    /// The version from which on there is a reference time.
    pub const REFERENCE_SINCE: Version = Version::new(4, 0);

    pub(crate) fn read(body: &[u8], version: Version) -> Result<Self, DecodeError> {
        let message_type = MessageType::TIME_SYNC;
        if version >= Self::REFERENCE_SINCE {
            padded(message_type, body, 22, size_of::<TimeReference>()).map(Self::Reference)
        } else {
            // A compiler that aligns the first three to 8 rounds up to 32.
            padded(message_type, body, 25, 32).map(Self::Sample)
        }
    }

    pub(crate) fn write(&self, out: &mut Writer<'_>) -> Result<(), NoRoom> {
        match self {
            Self::Sample(sample) => out.put(sample.as_bytes()),
            Self::Reference(reference) => out.put(reference.as_bytes()),
        }
    }

    /// The host's time.
    #[must_use]
    pub const fn host_time(&self) -> HostTime {
        HostTime(match self {
            Self::Sample(sample) => sample.host_time.get(),
            Self::Reference(reference) => reference.host_time.get(),
        })
    }

    /// The guest's reference time at that moment, where it is told.
    #[must_use]
    pub const fn reference_time(&self) -> Option<u64> {
        match self {
            Self::Sample(_) => None,
            Self::Reference(reference) => Some(reference.reference_time.get()),
        }
    }

    /// What the sample is for, unknown flags included.
    #[must_use]
    pub const fn flags(&self) -> TimeSyncFlags {
        TimeSyncFlags::from_bits_retain(match self {
            Self::Sample(sample) => sample.flags,
            Self::Reference(reference) => reference.flags,
        })
    }
}

impl fmt::Display for TimeSync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = self.flags();
        match flags {
            TimeSyncFlags::SYNC => f.write_str("sync")?,
            TimeSyncFlags::SAMPLE => f.write_str("sample")?,
            flags if flags.is_empty() => f.write_str("probe")?,
            flags => write!(f, "flags {:#x}", flags.bits())?,
        }
        write!(f, " {}", self.host_time())?;
        match self {
            Self::Sample(sample) => write!(f, " round trip {}", sample.round_trip_time),
            Self::Reference(reference) => write!(f, " reference {}", reference.reference_time),
        }
    }
}
