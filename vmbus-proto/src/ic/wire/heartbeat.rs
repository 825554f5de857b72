//! Heartbeat: the host counts, and a guest that is alive counts on.

use core::fmt;

use zerocopy::little_endian::{U32, U64};

use super::Bytes;
use crate::wire::macros::{wire_number, wire_struct};

wire_number! {
    /// What the guest says of its applications.
    ///
    /// Source: OpenVMM `hyperv_ic_protocol`. Linux and FreeBSD leave what the host sent.
    pub struct ApplicationState(U32: u32), "{}" {
        /// Nothing is known.
        UNKNOWN = 0,
        /// All is well.
        HEALTHY = 1,
        /// Something is badly wrong.
        CRITICAL = 2,
        /// They do not run any more.
        STOPPED = 3,
    }
}

wire_struct! {
    /// The body of HEARTBEAT, in both directions.
    ///
    /// Source: Linux `struct heartbeat_msg_data`, which has 8 reserved words after the number.
    #[derive(Default)]
    pub struct HeartbeatData at 0, 40 bytes {
        /// The host's number; the guest answers with the next one.
        0: sequence: U64,
        /// In an answer, how the guest's applications are.
        8: state: ApplicationState,
        /// 0.
        12: reserved: Bytes<28>,
    }
}

impl HeartbeatData {
    /// The fewest bytes that there may be: hosts do not always send what is reserved.
    pub const LEAST: usize = size_of::<U64>();

    /// A host's heartbeat with this number.
    #[must_use]
    pub fn new(sequence: u64) -> Self {
        Self {
            sequence: U64::new(sequence),
            ..Self::default()
        }
    }
}

impl fmt::Display for HeartbeatData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sequence {} {}", self.sequence, self.state)
    }
}
