//! A channel's life: open, close, moved to another VP, released.

use core::fmt;

use zerocopy::byteorder::little_endian::{U16, U32};
use zerocopy::{FromBytes, IntoBytes};

use super::macros::wire_struct;
use super::message::{Body, Encoded, put, take};
use super::offer::USER_DEFINED_SIZE;
use super::{GpadlId, RelId, Status};

/// The target VP by which a guest asks for no interrupts on a channel.
///
/// Source: OpenVMM `vmbus_core/src/protocol.rs`.
pub const NO_INTERRUPTS_VP: u32 = u32::MAX;

wire_struct! {
    /// What OPEN_CHANNEL says at every version.
    ///
    /// Source: Linux `struct vmbus_channel_open_channel`.
    pub struct OpenRequest at 8, 140 bytes {
        /// The channel.
        8: relid: RelId,
        /// A number of the guest's choice, which the answer repeats.
        12: open_id: U32,
        /// The GPADL of both rings: first the one from guest to host, then the one from host to guest.
        16: ring_gpadl: GpadlId,
        /// The VP that the host shall interrupt, or [`NO_INTERRUPTS_VP`]. From 2.4 on.
        20: target_vp: U32,
        /// Where the ring from host to guest begins in the GPADL, counted in pages of 4096 bytes.
        24: downstream_page_offset: U32,
        /// The device's own.
        28: user_data: [u8; USER_DEFINED_SIZE],
    }
}

bitflags::bitflags! {
    /// Flags of an open request.
    ///
    /// Source: OpenVMM `vmbus_core/src/protocol.rs`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct OpenFlags: u16 {
        /// The channel's interrupts go to the VTL and SINT that they are redirected to, if there are such.
        const REDIRECT_INTERRUPT = 0x1;
        const _ = !0;
    }
}

wire_struct! {
    /// How both ends signal on the channel, chosen by the guest.
    ///
    /// Source: OpenVMM `vmbus_core/src/protocol.rs` (`OpenChannel2`).
    pub struct OpenSignal at 148, 8 bytes {
        /// The connection by which the guest signals, in place of the offer's. With the feature
        /// [`GUEST_SPECIFIED_SIGNAL_PARAMETERS`](super::FeatureFlags::GUEST_SPECIFIED_SIGNAL_PARAMETERS).
        148: connection_id: U32,
        /// The event flag that the host sets, in place of the relid. With the same feature.
        152: event_flag: U16,
        /// [`OpenFlags`]. With the feature
        /// [`CHANNEL_INTERRUPT_REDIRECTION`](super::FeatureFlags::CHANNEL_INTERRUPT_REDIRECTION).
        154: flags: U16,
    }
}

/// OPEN_CHANNEL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenChannel {
    /// What every version has.
    pub request: OpenRequest,
    /// Signals of the guest's choice. Stands from 6.0 on, with either feature; which field counts depends on which.
    pub signal: Option<OpenSignal>,
}

impl Body<'_> for OpenChannel {
    fn read(bytes: &[u8]) -> Option<Self> {
        let (request, rest) = take(bytes)?;
        let signal = match rest {
            [] => None,
            rest => Some(OpenSignal::read_from_bytes(rest).ok()?),
        };
        Some(Self { request, signal })
    }

    fn write(&self, out: &mut Encoded) {
        put(out, self.request.as_bytes());
        if let Some(signal) = &self.signal {
            put(out, signal.as_bytes());
        }
    }
}

impl fmt::Display for OpenChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let request = &self.request;
        write!(
            f,
            "relid {} open id {} gpadl {}",
            request.relid, request.open_id, request.ring_gpadl
        )?;
        match request.target_vp.get() {
            NO_INTERRUPTS_VP => f.write_str(" vp none")?,
            vp => write!(f, " vp {vp}")?,
        }
        write!(f, " downstream at page {}", request.downstream_page_offset)?;
        match &self.signal {
            Some(signal) => write!(
                f,
                " connection {:#x} event flag {} flags {:#x}",
                signal.connection_id, signal.event_flag, signal.flags
            ),
            None => Ok(()),
        }
    }
}

wire_struct! {
    /// OPEN_CHANNEL_RESULT.
    ///
    /// Source: Linux `struct vmbus_channel_open_result`.
    pub struct OpenResult at 8, 12 bytes {
        /// The channel.
        8: relid: RelId,
        /// The request's number.
        12: open_id: U32,
        /// Whether it is open.
        16: status: Status,
    }
}

impl fmt::Display for OpenResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "relid {} open id {} {}", self.relid, self.open_id, self.status)
    }
}

wire_struct! {
    /// CLOSE_CHANNEL.
    ///
    /// Source: Linux `struct vmbus_channel_close_channel`.
    pub struct CloseChannel at 8, 4 bytes {
        /// The channel.
        8: relid: RelId,
    }
}

impl fmt::Display for CloseChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "relid {}", self.relid)
    }
}

wire_struct! {
    /// RELID_RELEASED.
    ///
    /// Source: Linux `struct vmbus_channel_relid_released`.
    pub struct RelIdReleased at 8, 4 bytes {
        /// The channel. Its id may be used again.
        8: relid: RelId,
    }
}

impl fmt::Display for RelIdReleased {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "relid {}", self.relid)
    }
}

wire_struct! {
    /// MODIFY_CHANNEL.
    ///
    /// Source: Linux `struct vmbus_channel_modifychannel`.
    pub struct ModifyChannel at 8, 8 bytes {
        /// The channel, which must be open.
        8: relid: RelId,
        /// The VP that the host shall interrupt from now on.
        12: target_vp: U32,
    }
}

impl fmt::Display for ModifyChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "relid {} vp {}", self.relid, self.target_vp)
    }
}

wire_struct! {
    /// MODIFY_CHANNEL_RESPONSE: from now on no interrupt comes to the VP of before.
    ///
    /// Source: Linux `struct vmbus_channel_modifychannel_response`.
    pub struct ModifyChannelResponse at 8, 8 bytes {
        /// The channel.
        8: relid: RelId,
        /// Whether it was moved.
        12: status: Status,
    }
}

impl fmt::Display for ModifyChannelResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "relid {} {}", self.relid, self.status)
    }
}

wire_struct! {
    /// OPEN_RESERVED_CHANNEL.
    ///
    /// Source: OpenVMM `vmbus_core/src/protocol.rs`.
    pub struct OpenReservedChannel at 8, 20 bytes {
        /// The channel.
        8: relid: RelId,
        /// The VP that messages about the channel go to. Interrupts are off.
        12: target_vp: U32,
        /// The SINT that messages about the channel go to.
        16: target_sint: U32,
        /// The GPADL of both rings.
        20: ring_gpadl: GpadlId,
        /// Where the ring from host to guest begins in the GPADL, counted in pages of 4096 bytes.
        24: downstream_page_offset: U32,
    }
}

impl fmt::Display for OpenReservedChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "relid {} gpadl {} vp {} sint {} downstream at page {}",
            self.relid, self.ring_gpadl, self.target_vp, self.target_sint, self.downstream_page_offset
        )
    }
}

wire_struct! {
    /// CLOSE_RESERVED_CHANNEL.
    ///
    /// Source: OpenVMM `vmbus_core/src/protocol.rs`.
    pub struct CloseReservedChannel at 8, 12 bytes {
        /// The channel.
        8: relid: RelId,
        /// The VP that the answer goes to.
        12: target_vp: U32,
        /// The SINT that the answer goes to.
        16: target_sint: U32,
    }
}

impl fmt::Display for CloseReservedChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "relid {} vp {} sint {}",
            self.relid, self.target_vp, self.target_sint
        )
    }
}

wire_struct! {
    /// CLOSE_RESERVED_RESPONSE.
    ///
    /// Source: OpenVMM `vmbus_core/src/protocol.rs`.
    pub struct CloseReservedResponse at 8, 4 bytes {
        /// The channel.
        8: relid: RelId,
    }
}

impl fmt::Display for CloseReservedResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "relid {}", self.relid)
    }
}
