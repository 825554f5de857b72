//! What an optical drive answers with. Big-endian, as all of SCSI.

use bitflags::bitflags;
use zerocopy::big_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::macros::{layout, open_code};

open_code! {
    /// What READ TOC/PMA/ATIP is to return. Source: MMC-6, "READ TOC/PMA/ATIP".
    pub struct TocFormat(u8) {
        /// Every track from a given one on, and the lead-out: [`TocHeader`] and [`TocTrack`]s.
        TOC = 0, "TOC";
        /// The first track of the last session, in the same form.
        SESSIONS = 1, "SESSIONS";
        /// The raw table of contents.
        FULL_TOC = 2, "FULL TOC";
        /// The program memory area.
        PMA = 3, "PMA";
        /// The absolute time in the pregroove.
        ATIP = 4, "ATIP";
        /// CD-TEXT.
        CD_TEXT = 5, "CD-TEXT";
    }
}

/// The number of the lead-out in a [`TocTrack`].
pub const LEAD_OUT_TRACK: u8 = 0xaa;

/// What the answer to READ TOC begins with. Source: MMC-6, "READ TOC/PMA/ATIP".
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct TocHeader {
    /// Bytes that follow these two.
    pub length: U16,
    /// The first track, or session.
    pub first: u8,
    /// The last track, or session.
    pub last: u8,
}
layout!(TocHeader, size 4, length @ 0, first @ 2, last @ 3);

/// A track in the answer to READ TOC. Source: MMC-6, "READ TOC/PMA/ATIP".
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct TocTrack {
    /// 0.
    pub reserved: u8,
    /// Bits 7:4: 1, the address is a position. Bits 3:0: 4 for data.
    pub address_control: u8,
    /// The track, or [`LEAD_OUT_TRACK`].
    pub track: u8,
    /// 0.
    pub reserved2: u8,
    /// Where it begins: a block of 2048 bytes, or 0, minutes, seconds, frames.
    pub start: U32,
}
layout!(TocTrack, size 8, reserved @ 0, address_control @ 1, track @ 2, reserved2 @ 3, start @ 4);

open_code! {
    /// What kind of disc is in the drive. Source: MMC-6, "features and profiles".
    pub struct Profile(u16) {
        /// None.
        NONE = 0x0000, "none";
        /// CD-ROM.
        CD_ROM = 0x0008, "CD-ROM";
        /// CD-R.
        CD_R = 0x0009, "CD-R";
        /// CD-RW.
        CD_RW = 0x000a, "CD-RW";
        /// DVD-ROM.
        DVD_ROM = 0x0010, "DVD-ROM";
        /// DVD-R.
        DVD_R = 0x0011, "DVD-R";
        /// DVD-RAM.
        DVD_RAM = 0x0012, "DVD-RAM";
        /// BD-ROM.
        BD_ROM = 0x0040, "BD-ROM";
    }
}

open_code! {
    /// Something that a drive can do. Source: MMC-6, "features and profiles".
    pub struct Feature(u16) {
        /// Which profiles there are.
        PROFILE_LIST = 0x0000, "PROFILE LIST";
        /// What every drive does.
        CORE = 0x0001, "CORE";
        /// It tells when the disc is changed.
        MORPHING = 0x0002, "MORPHING";
        /// The disc can be taken out.
        REMOVABLE_MEDIUM = 0x0003, "REMOVABLE MEDIUM";
        /// Blocks can be read in any order.
        RANDOM_READABLE = 0x0010, "RANDOM READABLE";
        /// It knows how CDs are made.
        MULTI_READ = 0x001d, "MULTI READ";
        /// It reads CDs.
        CD_READ = 0x001e, "CD READ";
        /// It reads DVDs.
        DVD_READ = 0x001f, "DVD READ";
        /// It can save power.
        POWER_MANAGEMENT = 0x0100, "POWER MANAGEMENT";
        /// Commands end in time.
        TIMEOUT = 0x0105, "TIMEOUT";
    }
}

/// What the answer to GET CONFIGURATION begins with. Source: MMC-6, "GET CONFIGURATION".
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct FeatureHeader {
    /// Bytes that follow these four.
    pub length: U32,
    /// 0.
    pub reserved: U16,
    /// The [`Profile`] in force.
    pub profile: U16,
}
layout!(FeatureHeader, size 8, length @ 0, reserved @ 4, profile @ 6);

/// What each feature begins with. Source: MMC-6, "features and profiles".
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct FeatureDescriptor {
    /// The [`Feature`].
    pub feature: U16,
    /// Bits 5:2 its version, bit 1 it is always there, bit 0 it is there now.
    pub flags: u8,
    /// Bytes that follow this one: a multiple of 4.
    pub additional: u8,
}
layout!(FeatureDescriptor, size 4, feature @ 0, flags @ 2, additional @ 3);

/// A profile in the list of them. Source: MMC-6, "features and profiles".
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ProfileDescriptor {
    /// The [`Profile`].
    pub profile: U16,
    /// Bit 0: it is in force.
    pub flags: u8,
    /// 0.
    pub reserved: u8,
}
layout!(ProfileDescriptor, size 4, profile @ 0, flags @ 2, reserved @ 3);

bitflags! {
    /// Kinds of events, by their numbers. Source: MMC-6, "GET EVENT STATUS NOTIFICATION".
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct EventClasses: u8 {
        /// What the drive can do.
        const OPERATIONAL_CHANGE = 1 << 1;
        /// Power.
        const POWER_MANAGEMENT = 1 << 2;
        /// Buttons.
        const EXTERNAL_REQUEST = 1 << 3;
        /// The disc: [`MediaEvent`].
        const MEDIA = 1 << 4;
        /// Other hosts.
        const MULTI_HOST = 1 << 5;
        /// Commands that take long.
        const DEVICE_BUSY = 1 << 6;
        const _ = !0;
    }
}

/// What the answer to GET EVENT STATUS NOTIFICATION begins with. Source: MMC-6, "GET EVENT STATUS NOTIFICATION".
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct EventHeader {
    /// Bytes that follow these two.
    pub length: U16,
    /// Bit 7: none of the classes wanted is there. Bits 2:0: the number of the class that follows.
    pub class: u8,
    /// The [`EventClasses`] that there are.
    pub supported: u8,
}
layout!(EventHeader, size 4, length @ 0, class @ 2, supported @ 3);

open_code! {
    /// What happened to the disc. Source: MMC-6, "GET EVENT STATUS NOTIFICATION".
    pub struct MediaEventCode(u8) {
        /// Nothing.
        NO_CHANGE = 0, "NO CHANGE";
        /// The user wants it out.
        EJECT_REQUEST = 1, "EJECT REQUEST";
        /// It came.
        NEW_MEDIA = 2, "NEW MEDIA";
        /// It went.
        MEDIA_REMOVAL = 3, "MEDIA REMOVAL";
        /// Another came in its place.
        MEDIA_CHANGED = 4, "MEDIA CHANGED";
    }
}

/// An event of the class [`EventClasses::MEDIA`]. Linux asks for it to know of a change. Source: MMC-6, "GET EVENT STATUS NOTIFICATION".
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct MediaEvent {
    /// Bits 3:0: the [`MediaEventCode`].
    pub code: u8,
    /// Bit 1: there is a disc; bit 0: the tray is open.
    pub status: u8,
    /// 0, with one slot.
    pub start_slot: u8,
    /// 0, with one slot.
    pub end_slot: u8,
}
layout!(MediaEvent, size 4, code @ 0, status @ 1, start_slot @ 2, end_slot @ 3);

/// The answer to READ DISC INFORMATION. Source: MMC-6, "READ DISC INFORMATION".
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct DiscInformation {
    /// Bytes that follow these two: 32.
    pub length: U16,
    /// Bits 1:0: 2 for a finished disc; bits 3:2: 3 for a finished session; bit 4: it can be erased.
    pub status: u8,
    /// The first track.
    pub first_track: u8,
    /// Sessions, low byte.
    pub sessions: u8,
    /// First track of the last session, low byte.
    pub first_track_in_last_session: u8,
    /// Last track of the last session, low byte.
    pub last_track_in_last_session: u8,
    /// Bit 7: the disc's id counts; bit 5: it may be used as one pleases.
    pub validity: u8,
    /// 0 for CD-ROM and DVD.
    pub disc_type: u8,
    /// The three numbers above, their high bytes.
    pub high_bytes: [u8; 3],
    /// The disc's id.
    pub disc_id: U32,
    /// Where the lead-in of the last session begins.
    pub last_session_lead_in: U32,
    /// The last place for a lead-out.
    pub last_lead_out: U32,
    /// Its bar code.
    pub bar_code: [u8; 8],
    /// What it is for.
    pub application_code: u8,
    /// Entries of power calibration that follow: 0.
    pub calibrations: u8,
}
layout!(
    DiscInformation, size 34,
    length @ 0, status @ 2, first_track @ 3, sessions @ 4, first_track_in_last_session @ 5,
    last_track_in_last_session @ 6, validity @ 7, disc_type @ 8, high_bytes @ 9, disc_id @ 12,
    last_session_lead_in @ 16, last_lead_out @ 20, bar_code @ 24, application_code @ 32, calibrations @ 33,
);

/// The answer to MECHANISM STATUS of a drive without a changer. Source: MMC-6, "MECHANISM STATUS".
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct MechanismStatus {
    /// Bit 7: a fault; bits 6:5 the changer's state; bits 4:0 the slot.
    pub changer: u8,
    /// Bits 7:5 what the drive does; bit 4: the tray is open.
    pub mechanism: u8,
    /// Where it is.
    pub address: [u8; 3],
    /// Slots: 0.
    pub slots: u8,
    /// Bytes of the slots' table: 0.
    pub table_length: U16,
}
layout!(
    MechanismStatus, size 8,
    changer @ 0, mechanism @ 1, address @ 2, slots @ 5, table_length @ 6,
);
