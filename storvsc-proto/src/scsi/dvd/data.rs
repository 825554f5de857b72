//! What an optical drive answers with. Big-endian, as all of SCSI.

use bitflags::bitflags;
use zerocopy::big_endian::{U16, U32};

use crate::macros::{open_code, wire_struct};

open_code! {
    /// What READ TOC/PMA/ATIP is to return. Source: MMC-6, "READ TOC/PMA/ATIP".
    pub struct TocFormat(u8) {
        /// Every track from a given one on, and the lead-out: [`TocHeader`] and [`TocTrack`]s.
        TOC = 0 => "TOC",
        /// The first track of the last session, in the same form.
        SESSIONS = 1 => "SESSIONS",
        /// The raw table of contents.
        FULL_TOC = 2 => "FULL TOC",
        /// The program memory area.
        PMA = 3 => "PMA",
        /// The absolute time in the pregroove.
        ATIP = 4 => "ATIP",
        /// CD-TEXT.
        CD_TEXT = 5 => "CD-TEXT",
    }
}

/// The number of the lead-out in a [`TocTrack`].
pub const LEAD_OUT_TRACK: u8 = 0xaa;

wire_struct! {
    /// What the answer to READ TOC begins with. Source: MMC-6, "READ TOC/PMA/ATIP".
    pub struct TocHeader, 4 bytes {
        /// Bytes that follow these two.
        0: length: U16,
        /// The first track, or session.
        2: first: u8,
        /// The last track, or session.
        3: last: u8,
    }
}

wire_struct! {
    /// A track in the answer to READ TOC. Source: MMC-6, "READ TOC/PMA/ATIP".
    pub struct TocTrack, 8 bytes {
        /// 0.
        0: reserved: u8,
        /// Bits 7:4: 1, the address is a position. Bits 3:0: 4 for data.
        1: address_control: u8,
        /// The track, or [`LEAD_OUT_TRACK`].
        2: track: u8,
        /// 0.
        3: reserved2: u8,
        /// Where it begins: a block of 2048 bytes, or 0, minutes, seconds, frames.
        4: start: U32,
    }
}

open_code! {
    /// What kind of disc is in the drive. Source: MMC-6, "features and profiles".
    pub struct Profile(u16) {
        /// None.
        NONE = 0x0000 => "none",
        /// CD-ROM.
        CD_ROM = 0x0008 => "CD-ROM",
        /// CD-R.
        CD_R = 0x0009 => "CD-R",
        /// CD-RW.
        CD_RW = 0x000a => "CD-RW",
        /// DVD-ROM.
        DVD_ROM = 0x0010 => "DVD-ROM",
        /// DVD-R.
        DVD_R = 0x0011 => "DVD-R",
        /// DVD-RAM.
        DVD_RAM = 0x0012 => "DVD-RAM",
        /// BD-ROM.
        BD_ROM = 0x0040 => "BD-ROM",
    }
}

open_code! {
    /// Something that a drive can do. Source: MMC-6, "features and profiles".
    pub struct Feature(u16) {
        /// Which profiles there are.
        PROFILE_LIST = 0x0000 => "PROFILE LIST",
        /// What every drive does.
        CORE = 0x0001 => "CORE",
        /// It tells when the disc is changed.
        MORPHING = 0x0002 => "MORPHING",
        /// The disc can be taken out.
        REMOVABLE_MEDIUM = 0x0003 => "REMOVABLE MEDIUM",
        /// Blocks can be read in any order.
        RANDOM_READABLE = 0x0010 => "RANDOM READABLE",
        /// It knows how CDs are made.
        MULTI_READ = 0x001d => "MULTI READ",
        /// It reads CDs.
        CD_READ = 0x001e => "CD READ",
        /// It reads DVDs.
        DVD_READ = 0x001f => "DVD READ",
        /// It can save power.
        POWER_MANAGEMENT = 0x0100 => "POWER MANAGEMENT",
        /// Commands end in time.
        TIMEOUT = 0x0105 => "TIMEOUT",
    }
}

wire_struct! {
    /// What the answer to GET CONFIGURATION begins with. Source: MMC-6, "GET CONFIGURATION".
    pub struct FeatureHeader, 8 bytes {
        /// Bytes that follow these four.
        0: length: U32,
        /// 0.
        4: reserved: U16,
        /// The [`Profile`] in force.
        6: profile: U16,
    }
}

wire_struct! {
    /// What each feature begins with. Source: MMC-6, "features and profiles".
    pub struct FeatureDescriptor, 4 bytes {
        /// The [`Feature`].
        0: feature: U16,
        /// Bits 5:2 its version, bit 1 it is always there, bit 0 it is there now.
        2: flags: u8,
        /// Bytes that follow this one: a multiple of 4.
        3: additional: u8,
    }
}

wire_struct! {
    /// A profile in the list of them. Source: MMC-6, "features and profiles".
    pub struct ProfileDescriptor, 4 bytes {
        /// The [`Profile`].
        0: profile: U16,
        /// Bit 0: it is in force.
        2: flags: u8,
        /// 0.
        3: reserved: u8,
    }
}

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

wire_struct! {
    /// What the answer to GET EVENT STATUS NOTIFICATION begins with. Source: MMC-6, "GET EVENT STATUS NOTIFICATION".
    pub struct EventHeader, 4 bytes {
        /// Bytes that follow these two.
        0: length: U16,
        /// Bit 7: none of the classes wanted is there. Bits 2:0: the number of the class that follows.
        2: class: u8,
        /// The [`EventClasses`] that there are.
        3: supported: u8,
    }
}

open_code! {
    /// What happened to the disc. Source: MMC-6, "GET EVENT STATUS NOTIFICATION".
    pub struct MediaEventCode(u8) {
        /// Nothing.
        NO_CHANGE = 0 => "NO CHANGE",
        /// The user wants it out.
        EJECT_REQUEST = 1 => "EJECT REQUEST",
        /// It came.
        NEW_MEDIA = 2 => "NEW MEDIA",
        /// It went.
        MEDIA_REMOVAL = 3 => "MEDIA REMOVAL",
        /// Another came in its place.
        MEDIA_CHANGED = 4 => "MEDIA CHANGED",
    }
}

wire_struct! {
    /// An event of the class [`EventClasses::MEDIA`]. Linux asks for it to know of a change. Source: MMC-6, "GET EVENT STATUS NOTIFICATION".
    pub struct MediaEvent, 4 bytes {
        /// Bits 3:0: the [`MediaEventCode`].
        0: code: u8,
        /// Bit 1: there is a disc; bit 0: the tray is open.
        1: status: u8,
        /// 0, with one slot.
        2: start_slot: u8,
        /// 0, with one slot.
        3: end_slot: u8,
    }
}

wire_struct! {
    /// The answer to READ DISC INFORMATION. Source: MMC-6, "READ DISC INFORMATION".
    #[derive(Default)]
    pub struct DiscInformation, 34 bytes {
        /// Bytes that follow these two: 32.
        0: length: U16,
        /// Bits 1:0: 2 for a finished disc; bits 3:2: 3 for a finished session; bit 4: it can be erased.
        2: status: u8,
        /// The first track.
        3: first_track: u8,
        /// Sessions, low byte.
        4: sessions: u8,
        /// First track of the last session, low byte.
        5: first_track_in_last_session: u8,
        /// Last track of the last session, low byte.
        6: last_track_in_last_session: u8,
        /// Bit 7: the disc's id counts; bit 5: it may be used as one pleases.
        7: validity: u8,
        /// 0 for CD-ROM and DVD.
        8: disc_type: u8,
        /// The three numbers above, their high bytes.
        9: high_bytes: [u8; 3],
        /// The disc's id.
        12: disc_id: U32,
        /// Where the lead-in of the last session begins.
        16: last_session_lead_in: U32,
        /// The last place for a lead-out.
        20: last_lead_out: U32,
        /// Its bar code.
        24: bar_code: [u8; 8],
        /// What it is for.
        32: application_code: u8,
        /// Entries of power calibration that follow: 0.
        33: calibrations: u8,
    }
}

wire_struct! {
    /// The answer to MECHANISM STATUS of a drive without a changer. Source: MMC-6, "MECHANISM STATUS".
    #[derive(Default)]
    pub struct MechanismStatus, 8 bytes {
        /// Bit 7: a fault; bits 6:5 the changer's state; bits 4:0 the slot.
        0: changer: u8,
        /// Bits 7:5 what the drive does; bit 4: the tray is open.
        1: mechanism: u8,
        /// Where it is.
        2: address: [u8; 3],
        /// Slots: 0.
        5: slots: u8,
        /// Bytes of the slots' table: 0.
        6: table_length: U16,
    }
}
