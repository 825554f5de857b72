//! CDBs of an optical drive as bytes: the raw form. Big-endian, as all of SCSI.

use zerocopy::big_endian::{U16, U32};

use crate::macros::wire_struct;

wire_struct! {
    /// READ TOC/PMA/ATIP. Source: MMC-6.
    pub struct ReadTocCdb, 10 bytes {
        /// The operation.
        0: operation: u8,
        /// Bit 1: addresses in the answer are minutes, seconds and frames.
        1: flags: u8,
        /// Bits 3:0 the [`TocFormat`](super::TocFormat).
        2: format: u8,
        /// 0.
        3: reserved: [u8; 3],
        /// The first track, or the session, by the format.
        6: track: u8,
        /// Most bytes to return.
        7: allocation: U16,
        /// Control; old hosts have the format in bits 7:6.
        9: control: u8,
    }
}

wire_struct! {
    /// GET CONFIGURATION. Source: MMC-6.
    pub struct GetConfigurationCdb, 10 bytes {
        /// The operation.
        0: operation: u8,
        /// Bits 1:0: 0 all features, 1 those in force, 2 the one named.
        1: flags: u8,
        /// The first [`Feature`](super::Feature) wanted.
        2: feature: U16,
        /// 0.
        4: reserved: [u8; 3],
        /// Most bytes to return.
        7: allocation: U16,
        /// Control.
        9: control: u8,
    }
}

wire_struct! {
    /// GET EVENT STATUS NOTIFICATION. Source: MMC-6.
    pub struct GetEventStatusCdb, 10 bytes {
        /// The operation.
        0: operation: u8,
        /// Bit 0: answer at once. Nobody implements anything else.
        1: flags: u8,
        /// 0.
        2: reserved: [u8; 2],
        /// The [`EventClasses`](super::EventClasses) wanted.
        4: classes: u8,
        /// 0.
        5: reserved2: [u8; 2],
        /// Most bytes to return.
        7: allocation: U16,
        /// Control.
        9: control: u8,
    }
}

wire_struct! {
    /// READ DISC INFORMATION. Source: MMC-6.
    pub struct ReadDiscInformationCdb, 10 bytes {
        /// The operation.
        0: operation: u8,
        /// Bits 2:0: 0 the standard information, the only kind here.
        1: data_type: u8,
        /// 0.
        2: reserved: [u8; 5],
        /// Most bytes to return.
        7: allocation: U16,
        /// Control.
        9: control: u8,
    }
}

wire_struct! {
    /// READ TRACK INFORMATION. Source: MMC-6.
    pub struct ReadTrackInformationCdb, 10 bytes {
        /// The operation.
        0: operation: u8,
        /// Bits 1:0: what the number is, 0 a block, 1 a track, 2 a session.
        1: flags: u8,
        /// The number.
        2: number: U32,
        /// 0.
        6: reserved: u8,
        /// Most bytes to return.
        7: allocation: U16,
        /// Control.
        9: control: u8,
    }
}

wire_struct! {
    /// PREVENT ALLOW MEDIUM REMOVAL. Source: MMC-6.
    pub struct PreventRemovalCdb, 6 bytes {
        /// The operation.
        0: operation: u8,
        /// 0.
        1: reserved: [u8; 3],
        /// Bit 0: prevent; bit 1: also by an eject button that asks first.
        4: prevent: u8,
        /// Control.
        5: control: u8,
    }
}

wire_struct! {
    /// READ DISC STRUCTURE. Source: MMC-6.
    pub struct ReadDiscStructureCdb, 12 bytes {
        /// The operation.
        0: operation: u8,
        /// Bits 3:0: 0 for a DVD, 1 for a BD.
        1: media_type: u8,
        /// The format's own.
        2: address: U32,
        /// Which layer.
        6: layer: u8,
        /// What is wanted: 0 is how the disc is made, 1 its copyright.
        7: format: u8,
        /// Most bytes to return.
        8: allocation: U16,
        /// Bits 7:6 the authentication grant.
        10: grant: u8,
        /// Control.
        11: control: u8,
    }
}

wire_struct! {
    /// MECHANISM STATUS. Source: MMC-6.
    pub struct MechanismStatusCdb, 12 bytes {
        /// The operation.
        0: operation: u8,
        /// 0.
        1: reserved: [u8; 7],
        /// Most bytes to return.
        8: allocation: U16,
        /// 0.
        10: reserved2: u8,
        /// Control.
        11: control: u8,
    }
}

wire_struct! {
    /// SET CD SPEED. Source: MMC-6.
    pub struct SetCdSpeedCdb, 12 bytes {
        /// The operation.
        0: operation: u8,
        /// Bits 1:0: 0 the angular velocity may change, 1 it stays.
        1: rotation: u8,
        /// kB/s; 0xffff is the fastest.
        2: read_speed: U16,
        /// kB/s; 0xffff is the fastest.
        4: write_speed: U16,
        /// 0.
        6: reserved: [u8; 5],
        /// Control.
        11: control: u8,
    }
}
