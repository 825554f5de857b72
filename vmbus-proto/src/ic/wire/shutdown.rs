//! Shutdown: the host asks, the guest answers whether it will, and then does.

use core::fmt;

use zerocopy::little_endian::U32;

use super::Bytes;
use crate::wire::macros::{wire_number, wire_struct};

bitflags::bitflags! {
    /// What the host asks for. Neither of the two kinds is power-off.
    ///
    /// Sources: OpenVMM `hyperv_ic_protocol`; Linux `shutdown_onchannelcallback`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct ShutdownFlags: u32 {
        /// Applications are not asked. Linux never asks them.
        const FORCE = 0x1;
        /// Restart.
        const RESTART = 0x2;
        /// Hibernate. Hyper-V asks for it since 3.2.
        const HIBERNATE = 0x4;
        const _ = !0;
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ShutdownKind {
    /// Power off.
    #[default]
    PowerOff,
    /// Restart.
    Restart,
    /// Save the state to a disk and power off.
    Hibernate,
}

impl ShutdownKind {
    /// The flag that tells it.
    #[must_use]
    pub const fn flag(self) -> ShutdownFlags {
        match self {
            Self::PowerOff => ShutdownFlags::empty(),
            Self::Restart => ShutdownFlags::RESTART,
            Self::Hibernate => ShutdownFlags::HIBERNATE,
        }
    }
}

impl fmt::Display for ShutdownKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PowerOff => "power off",
            Self::Restart => "restart",
            Self::Hibernate => "hibernate",
        })
    }
}

wire_number! {
    /// Why: a reason of the Windows SDK's, with bit 31 for what was planned.
    ///
    /// Source: OpenVMM `hyperv_ic_protocol`, `SHTDN_REASON_FLAG_PLANNED`.
    pub struct ShutdownReason(U32: u32), "{:#x}" {
        /// No reason.
        NONE = 0,
        /// It was planned, no more is known.
        PLANNED = 0x8000_0000,
    }
}

wire_struct! {
    /// The body of SHUTDOWN, in both directions.
    ///
    /// Source: Linux `struct shutdown_msg_data`.
    #[derive(Default)]
    pub struct ShutdownData at 0, 2060 bytes {
        /// Why.
        0: reason: ShutdownReason,
        /// How long the guest may take, in seconds. Linux does not look at it.
        4: timeout: U32,
        /// [`ShutdownFlags`].
        8: flags: U32,
        /// Words for the person at the guest. No known guest shows them, and their encoding is told nowhere.
        12: message: Bytes<2048>,
    }
}

impl ShutdownData {
    /// The flags, unknown ones included.
    #[must_use]
    pub fn flags(&self) -> ShutdownFlags {
        ShutdownFlags::from_bits_retain(self.flags.get())
    }

    /// What is asked for; `None` when the flags say two things at a time, or one that has no name.
    #[must_use]
    pub fn kind(&self) -> Option<ShutdownKind> {
        let kind = self.flags().difference(ShutdownFlags::FORCE);
        [
            ShutdownKind::PowerOff,
            ShutdownKind::Restart,
            ShutdownKind::Hibernate,
        ]
        .into_iter()
        .find(|named| named.flag() == kind)
    }
}

impl fmt::Display for ShutdownData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind() {
            Some(kind) => kind.fmt(f)?,
            None => write!(f, "flags {:#x}", self.flags)?,
        }
        if self.flags().contains(ShutdownFlags::FORCE) {
            f.write_str(" by force")?;
        }
        write!(f, ", reason {}, timeout {} s", self.reason, self.timeout)
    }
}
