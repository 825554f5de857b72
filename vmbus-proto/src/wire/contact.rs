//! The connection itself: version and features, and changes to them.

use core::fmt;

use zerocopy::byteorder::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, IntoBytes};

use super::macros::wire_struct;
use super::message::{Body, Encoded, put, take};
use super::{ConnectionState, FeatureFlags, Guid, Version};

wire_struct! {
    /// What INITIATE_CONTACT says at every version.
    ///
    /// Source: Linux `struct vmbus_channel_initiate_contact`.
    pub struct ContactRequest at 8, 32 bytes {
        /// The version that the guest would like.
        8: version: Version,
        /// The VP to whose message page the host shall send; a host heeds it from 3.0 on and sends to VP 0 before.
        12: target_vp: U32,
        /// Before 5.0 the address of the interrupt page, in use up to 1.1; from then on [`TargetInfo`]. See
        /// [`interrupt_page`](Self::interrupt_page) and [`target_info`](Self::target_info).
        16: interrupt_page_or_target: [u8; 8],
        /// The page by which the host would signal the guest; a guest-physical address. 0 with the other one 0: none.
        24: parent_to_child_monitor_page: U64,
        /// The page by which the guest signals the host; a guest-physical address.
        32: child_to_parent_monitor_page: U64,
    }
}

impl ContactRequest {
    /// The guest-physical address of the interrupt page, before 5.0. From 2.4 on no host looks there.
    #[must_use]
    pub fn interrupt_page(&self) -> Option<u64> {
        (self.version < Version::WIN10_RS3_1).then(|| u64::from_le_bytes(self.interrupt_page_or_target))
    }

    /// Where the host shall send and what the guest can do, from 5.0 on.
    #[must_use]
    pub fn target_info(&self) -> Option<TargetInfo> {
        let info = TargetInfo::read_from_bytes(&self.interrupt_page_or_target).ok()?;
        (self.version >= Version::WIN10_RS3_1).then_some(info)
    }

    /// The features that the guest asks for; none before 6.0.
    #[must_use]
    pub fn features(&self) -> FeatureFlags {
        match self.target_info() {
            Some(info) if self.version >= Version::COPPER => info.features(),
            _ => FeatureFlags::empty(),
        }
    }
}

wire_struct! {
    /// Where the host shall send messages and interrupts, and what the guest can do.
    ///
    /// Source: Linux `struct vmbus_channel_initiate_contact` as of 6.6 and later.
    pub struct TargetInfo at 16, 8 bytes {
        /// The SINT. From 5.0 on.
        16: sint: u8,
        /// The virtual trust level. From 5.1 on.
        17: vtl: u8,
        /// Zero.
        18: reserved: U16,
        /// [`FeatureFlags`]. From 6.0 on. (The protocol notes say 5.0; the firmware's header and OpenVMM say 6.0.)
        20: features: U32,
    }
}

impl TargetInfo {
    /// The features.
    #[must_use]
    pub fn features(&self) -> FeatureFlags {
        FeatureFlags::from_bits_retain(self.features.get())
    }
}

/// INITIATE_CONTACT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InitiateContact {
    /// What every version has.
    pub request: ContactRequest,
    /// Who the guest is. From 6.0 on, with [`FeatureFlags::CLIENT_ID`].
    pub client_id: Option<Guid>,
}

impl Body<'_> for InitiateContact {
    fn read(bytes: &[u8]) -> Option<Self> {
        let (request, rest) = take(bytes)?;
        let client_id = match rest {
            [] => None,
            rest => Some(Guid::read_from_bytes(rest).ok()?),
        };
        Some(Self { request, client_id })
    }

    fn write(&self, out: &mut Encoded) {
        put(out, self.request.as_bytes());
        if let Some(client_id) = &self.client_id {
            put(out, client_id.as_bytes());
        }
    }
}

impl fmt::Display for InitiateContact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let request = &self.request;
        write!(f, "version {} vp {}", request.version.dotted(), request.target_vp)?;
        match request.target_info() {
            Some(info) => write!(
                f,
                " sint {} vtl {} features {:#x}",
                info.sint, info.vtl, info.features
            )?,
            None => write!(
                f,
                " interrupt page {:#x}",
                u64::from_le_bytes(request.interrupt_page_or_target)
            )?,
        }
        write!(
            f,
            " monitor pages {:#x} and {:#x}",
            request.parent_to_child_monitor_page, request.child_to_parent_monitor_page
        )?;
        match self.client_id {
            Some(client_id) => write!(f, " client {client_id}"),
            None => Ok(()),
        }
    }
}

wire_struct! {
    /// The answer to INITIATE_CONTACT as Linux declares it.
    ///
    /// Source: Linux `struct vmbus_channel_version_response`.
    pub struct VersionAnswer at 8, 8 bytes {
        /// Not 0: the host speaks the version.
        8: version_supported: u8,
        /// Whether the connection came to be; to be looked at only if the version is supported.
        9: connection_state: ConnectionState,
        /// Zero.
        10: reserved: U16,
        /// From 5.0 on the connection for messages; before, the version that was selected.
        12: connection_id_or_version: U32,
    }
}

wire_struct! {
    /// Monitor pages that the host gives; guest-physical addresses.
    ///
    /// Source: the Hyper-V UEFI firmware's `ChannelMessages.h`.
    pub struct MonitorPages at 20, 20 bytes {
        /// Zero.
        20: reserved: U32,
        /// The page by which the host would signal the guest; may be 0.
        24: parent_to_child: U64,
        /// The page by which the guest signals the host.
        32: child_to_parent: U64,
    }
}

/// VERSION_RESPONSE. The size alone tells which form it is.
///
/// Guests differ in the least that they take: Linux 6.1 drops what is shorter than 16 bytes, so a host should send at least
/// [`Full`](Self::Full). A refusal has no more than that, whatever was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionResponse {
    /// 9 bytes: supported or not.
    Bare {
        /// Not 0: the host speaks the version.
        version_supported: u8,
    },
    /// 10 bytes.
    WithState {
        /// Not 0: the host speaks the version.
        version_supported: u8,
        /// Whether the connection came to be.
        connection_state: ConnectionState,
    },
    /// 16 bytes.
    Full(VersionAnswer),
    /// 20 bytes, from 6.0 on: with the features that the host grants.
    WithFeatures(VersionAnswer, U32),
    /// 40 bytes, from 6.0 on with [`FeatureFlags::SERVER_SPECIFIED_MONITOR_PAGES`].
    WithMonitorPages(VersionAnswer, U32, MonitorPages),
}

impl VersionResponse {
    /// A refusal: the host does not speak the version.
    pub const REFUSAL: Self = Self::Full(VersionAnswer {
        version_supported: 0,
        connection_state: ConnectionState::SUCCESSFUL,
        reserved: U16::ZERO,
        connection_id_or_version: U32::ZERO,
    });

    /// Whether the host speaks the version.
    #[must_use]
    pub const fn version_supported(&self) -> bool {
        match self {
            Self::Bare { version_supported }
            | Self::WithState {
                version_supported, ..
            } => *version_supported != 0,
            Self::Full(answer) | Self::WithFeatures(answer, _) | Self::WithMonitorPages(answer, ..) => {
                answer.version_supported != 0
            }
        }
    }

    /// Whether the connection came to be; `None` where the message does not say.
    #[must_use]
    pub const fn connection_state(&self) -> Option<ConnectionState> {
        match self {
            Self::Bare { .. } => None,
            Self::WithState { connection_state, .. } => Some(*connection_state),
            Self::Full(answer) | Self::WithFeatures(answer, _) | Self::WithMonitorPages(answer, ..) => {
                Some(answer.connection_state)
            }
        }
    }

    /// The part of 16 bytes, in the forms that have it.
    #[must_use]
    pub const fn answer(&self) -> Option<&VersionAnswer> {
        match self {
            Self::Bare { .. } | Self::WithState { .. } => None,
            Self::Full(answer) | Self::WithFeatures(answer, _) | Self::WithMonitorPages(answer, ..) => {
                Some(answer)
            }
        }
    }

    /// The features that the host grants; none in the forms without.
    #[must_use]
    pub fn features(&self) -> FeatureFlags {
        match self {
            Self::WithFeatures(_, features) | Self::WithMonitorPages(_, features, _) => {
                FeatureFlags::from_bits_retain(features.get())
            }
            _ => FeatureFlags::empty(),
        }
    }

    /// The monitor pages that the host gives.
    #[must_use]
    pub const fn monitor_pages(&self) -> Option<&MonitorPages> {
        match self {
            Self::WithMonitorPages(.., pages) => Some(pages),
            _ => None,
        }
    }
}

impl Body<'_> for VersionResponse {
    fn read(bytes: &[u8]) -> Option<Self> {
        match *bytes {
            [version_supported] => return Some(Self::Bare { version_supported }),
            [version_supported, state] => {
                return Some(Self::WithState {
                    version_supported,
                    connection_state: ConnectionState::new(state),
                });
            }
            _ => (),
        }
        let (answer, rest) = take(bytes)?;
        if rest.is_empty() {
            return Some(Self::Full(answer));
        }
        let (features, rest) = take(rest)?;
        if rest.is_empty() {
            return Some(Self::WithFeatures(answer, features));
        }
        Some(Self::WithMonitorPages(
            answer,
            features,
            MonitorPages::read_from_bytes(rest).ok()?,
        ))
    }

    fn write(&self, out: &mut Encoded) {
        match self {
            Self::Bare { version_supported } => put(out, &[*version_supported]),
            Self::WithState {
                version_supported,
                connection_state,
            } => {
                put(out, &[*version_supported, connection_state.value()]);
            }
            Self::Full(answer) => put(out, answer.as_bytes()),
            Self::WithFeatures(answer, features) => {
                put(out, answer.as_bytes());
                put(out, features.as_bytes());
            }
            Self::WithMonitorPages(answer, features, pages) => {
                put(out, answer.as_bytes());
                put(out, features.as_bytes());
                put(out, pages.as_bytes());
            }
        }
    }
}

impl fmt::Display for VersionResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.version_supported() {
            return f.write_str("refused");
        }
        f.write_str("accepted")?;
        match self.connection_state() {
            None | Some(ConnectionState::SUCCESSFUL) => (),
            Some(state) => write!(f, ", but {state}")?,
        }
        if let Some(answer) = self.answer() {
            write!(f, " connection or version {:#x}", answer.connection_id_or_version)?;
        }
        if let Self::WithFeatures(_, features) | Self::WithMonitorPages(_, features, _) = self {
            write!(f, " features {features:#x}")?;
        }
        match self.monitor_pages() {
            Some(pages) => write!(
                f,
                " monitor pages {:#x} and {:#x}",
                pages.parent_to_child, pages.child_to_parent
            ),
            None => Ok(()),
        }
    }
}

wire_struct! {
    /// MODIFY_CONNECTION: both addresses 0, or neither.
    ///
    /// Source: OpenVMM `vmbus_core/src/protocol.rs`.
    pub struct ModifyConnection at 8, 16 bytes {
        /// The page by which the host would signal the guest; a guest-physical address.
        8: parent_to_child_monitor_page: U64,
        /// The page by which the guest signals the host; a guest-physical address.
        16: child_to_parent_monitor_page: U64,
    }
}

impl fmt::Display for ModifyConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "monitor pages {:#x} and {:#x}",
            self.parent_to_child_monitor_page, self.child_to_parent_monitor_page
        )
    }
}

wire_struct! {
    /// MODIFY_CONNECTION_RESPONSE.
    ///
    /// Source: OpenVMM `vmbus_core/src/protocol.rs`.
    pub struct ModifyConnectionResponse at 8, 1 bytes {
        /// Whether the change was made.
        8: connection_state: ConnectionState,
    }
}

impl fmt::Display for ModifyConnectionResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.connection_state)
    }
}
