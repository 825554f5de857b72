//! CDBs of an optical drive as bytes: the raw form. Big-endian, as all of SCSI.

use zerocopy::big_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::macros::layout;

/// READ TOC/PMA/ATIP. Source: MMC-6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ReadTocCdb {
    /// The operation.
    pub operation: u8,
    /// Bit 1: addresses in the answer are minutes, seconds and frames.
    pub flags: u8,
    /// Bits 3:0 the [`TocFormat`](super::TocFormat).
    pub format: u8,
    /// 0.
    pub reserved: [u8; 3],
    /// The first track, or the session, by the format.
    pub track: u8,
    /// Most bytes to return.
    pub allocation: U16,
    /// Control; old hosts have the format in bits 7:6.
    pub control: u8,
}
layout!(
    ReadTocCdb, size 10,
    operation @ 0, flags @ 1, format @ 2, reserved @ 3, track @ 6, allocation @ 7, control @ 9,
);

/// GET CONFIGURATION. Source: MMC-6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct GetConfigurationCdb {
    /// The operation.
    pub operation: u8,
    /// Bits 1:0: 0 all features, 1 those in force, 2 the one named.
    pub flags: u8,
    /// The first [`Feature`](super::Feature) wanted.
    pub feature: U16,
    /// 0.
    pub reserved: [u8; 3],
    /// Most bytes to return.
    pub allocation: U16,
    /// Control.
    pub control: u8,
}
layout!(
    GetConfigurationCdb, size 10,
    operation @ 0, flags @ 1, feature @ 2, reserved @ 4, allocation @ 7, control @ 9,
);

/// GET EVENT STATUS NOTIFICATION. Source: MMC-6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct GetEventStatusCdb {
    /// The operation.
    pub operation: u8,
    /// Bit 0: answer at once. Nobody implements anything else.
    pub flags: u8,
    /// 0.
    pub reserved: [u8; 2],
    /// The [`EventClasses`](super::EventClasses) wanted.
    pub classes: u8,
    /// 0.
    pub reserved2: [u8; 2],
    /// Most bytes to return.
    pub allocation: U16,
    /// Control.
    pub control: u8,
}
layout!(
    GetEventStatusCdb, size 10,
    operation @ 0, flags @ 1, reserved @ 2, classes @ 4, reserved2 @ 5, allocation @ 7, control @ 9,
);

/// READ DISC INFORMATION. Source: MMC-6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ReadDiscInformationCdb {
    /// The operation.
    pub operation: u8,
    /// Bits 2:0: 0 the standard information, the only kind here.
    pub data_type: u8,
    /// 0.
    pub reserved: [u8; 5],
    /// Most bytes to return.
    pub allocation: U16,
    /// Control.
    pub control: u8,
}
layout!(
    ReadDiscInformationCdb, size 10,
    operation @ 0, data_type @ 1, reserved @ 2, allocation @ 7, control @ 9,
);

/// READ TRACK INFORMATION. Source: MMC-6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ReadTrackInformationCdb {
    /// The operation.
    pub operation: u8,
    /// Bits 1:0: what the number is, 0 a block, 1 a track, 2 a session.
    pub flags: u8,
    /// The number.
    pub number: U32,
    /// 0.
    pub reserved: u8,
    /// Most bytes to return.
    pub allocation: U16,
    /// Control.
    pub control: u8,
}
layout!(
    ReadTrackInformationCdb, size 10,
    operation @ 0, flags @ 1, number @ 2, reserved @ 6, allocation @ 7, control @ 9,
);

/// PREVENT ALLOW MEDIUM REMOVAL. Source: MMC-6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PreventRemovalCdb {
    /// The operation.
    pub operation: u8,
    /// 0.
    pub reserved: [u8; 3],
    /// Bit 0: prevent; bit 1: also by an eject button that asks first.
    pub prevent: u8,
    /// Control.
    pub control: u8,
}
layout!(PreventRemovalCdb, size 6, operation @ 0, reserved @ 1, prevent @ 4, control @ 5);

/// READ DISC STRUCTURE. Source: MMC-6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ReadDiscStructureCdb {
    /// The operation.
    pub operation: u8,
    /// Bits 3:0: 0 for a DVD, 1 for a BD.
    pub media_type: u8,
    /// The format's own.
    pub address: U32,
    /// Which layer.
    pub layer: u8,
    /// What is wanted: 0 is how the disc is made, 1 its copyright.
    pub format: u8,
    /// Most bytes to return.
    pub allocation: U16,
    /// Bits 7:6 the authentication grant.
    pub grant: u8,
    /// Control.
    pub control: u8,
}
layout!(
    ReadDiscStructureCdb, size 12,
    operation @ 0, media_type @ 1, address @ 2, layer @ 6, format @ 7, allocation @ 8, grant @ 10, control @ 11,
);

/// MECHANISM STATUS. Source: MMC-6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct MechanismStatusCdb {
    /// The operation.
    pub operation: u8,
    /// 0.
    pub reserved: [u8; 7],
    /// Most bytes to return.
    pub allocation: U16,
    /// 0.
    pub reserved2: u8,
    /// Control.
    pub control: u8,
}
layout!(
    MechanismStatusCdb, size 12,
    operation @ 0, reserved @ 1, allocation @ 8, reserved2 @ 10, control @ 11,
);

/// SET CD SPEED. Source: MMC-6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SetCdSpeedCdb {
    /// The operation.
    pub operation: u8,
    /// Bits 1:0: 0 the angular velocity may change, 1 it stays.
    pub rotation: u8,
    /// kB/s; 0xffff is the fastest.
    pub read_speed: U16,
    /// kB/s; 0xffff is the fastest.
    pub write_speed: U16,
    /// 0.
    pub reserved: [u8; 5],
    /// Control.
    pub control: u8,
}
layout!(
    SetCdSpeedCdb, size 12,
    operation @ 0, rotation @ 1, read_speed @ 2, write_speed @ 4, reserved @ 6, control @ 11,
);
