//! The synthetic interrupt controller: 16 sources (SINTs) for each virtual processor, each with a message slot and
//! 2048 event flags.

mod event;
mod message;
mod message_type;
mod register;

use thiserror::Error;

pub use event::{EVENT_FLAG_COUNT, EVENT_FLAGS_SIZE, EventFlags, EventFlagsPage};
pub use message::{
    MESSAGE_PAYLOAD_MAX, MESSAGE_SIZE, Message, MessageError, MessageFlags, MessageHeader, MessagePage,
};
pub use message_type::MessageType;
pub use register::{EOM, SYNIC_VERSION, Scontrol, Siefp, Simp, SintRegister, Sirbp};

/// Number of SINTs of a virtual processor.
pub const SINT_COUNT: usize = 16;

/// A synthetic interrupt source, 0 to 15.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sint(u8);

impl Sint {
    /// Reserved for the hypervisor's intercept messages to a parent partition.
    pub const INTERCEPTION: Self = Self(0);
    /// What VMBus uses.
    pub const VMBUS: Self = Self(2);

    /// The source with this number, or `None` from 16 on.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if number < 16 { Some(Self(number)) } else { None }
    }

    /// The source with the low 4 bits of this number.
    #[must_use]
    pub(crate) const fn truncate(number: u8) -> Self {
        Self(number & 0xf)
    }

    /// All sources, in ascending order.
    pub fn all() -> impl DoubleEndedIterator<Item = Self> + Clone {
        (0..16).map(Self)
    }

    /// The number, 0 to 15.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for Sint {
    type Error = NoSuchSint;

    fn try_from(number: u8) -> Result<Self, NoSuchSint> {
        Self::new(number).ok_or(NoSuchSint { number })
    }
}

impl From<Sint> for u8 {
    fn from(sint: Sint) -> u8 {
        sint.0
    }
}

/// A number that names no SINT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("there is no SINT {number}; they count from 0 to 15")]
pub struct NoSuchSint {
    /// The number.
    pub number: u8,
}
