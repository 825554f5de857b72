//! Codes: operations, and the status that ends them.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::macros::open_code;

open_code! {
    /// The first byte of a CDB.
    pub struct OperationCode(u8) {
        /// Whether the LUN is ready.
        TEST_UNIT_READY = 0x00 => "TEST UNIT READY",
        /// Sense data, by command.
        REQUEST_SENSE = 0x03 => "REQUEST SENSE",
        /// Format.
        FORMAT_UNIT = 0x04 => "FORMAT UNIT",
        /// Read, with a 21-bit address.
        READ_6 = 0x08 => "READ(6)",
        /// Write, with a 21-bit address.
        WRITE_6 = 0x0a => "WRITE(6)",
        /// What the LUN is.
        INQUIRY = 0x12 => "INQUIRY",
        /// Set mode pages.
        MODE_SELECT_6 = 0x15 => "MODE SELECT(6)",
        /// Reserve, as SPC-2 had it.
        RESERVE_6 = 0x16 => "RESERVE(6)",
        /// Release, as SPC-2 had it.
        RELEASE_6 = 0x17 => "RELEASE(6)",
        /// Tell mode pages.
        MODE_SENSE_6 = 0x1a => "MODE SENSE(6)",
        /// Start, stop, change the power condition.
        START_STOP_UNIT = 0x1b => "START STOP UNIT",
        /// Test itself.
        SEND_DIAGNOSTIC = 0x1d => "SEND DIAGNOSTIC",
        /// Lock the medium in.
        PREVENT_ALLOW_MEDIUM_REMOVAL = 0x1e => "PREVENT ALLOW MEDIUM REMOVAL",
        /// Capacity, up to 2^32 blocks.
        READ_CAPACITY_10 = 0x25 => "READ CAPACITY(10)",
        /// Read, with a 32-bit address.
        READ_10 = 0x28 => "READ(10)",
        /// Write, with a 32-bit address.
        WRITE_10 = 0x2a => "WRITE(10)",
        /// Write and read back.
        WRITE_AND_VERIFY_10 = 0x2e => "WRITE AND VERIFY(10)",
        /// Read without transfer.
        VERIFY_10 = 0x2f => "VERIFY(10)",
        /// Flush.
        SYNCHRONIZE_CACHE_10 = 0x35 => "SYNCHRONIZE CACHE(10)",
        /// Write one block many times.
        WRITE_SAME_10 = 0x41 => "WRITE SAME(10)",
        /// Say which blocks are of no use any more.
        UNMAP = 0x42 => "UNMAP",
        /// An optical drive's table of contents.
        READ_TOC = 0x43 => "READ TOC/PMA/ATIP",
        /// What an optical drive can do.
        GET_CONFIGURATION = 0x46 => "GET CONFIGURATION",
        /// What happened at an optical drive.
        GET_EVENT_STATUS_NOTIFICATION = 0x4a => "GET EVENT STATUS NOTIFICATION",
        /// Tell logs.
        LOG_SENSE = 0x4d => "LOG SENSE",
        /// What is on an optical disc.
        READ_DISC_INFORMATION = 0x51 => "READ DISC INFORMATION",
        /// What is in a track of an optical disc.
        READ_TRACK_INFORMATION = 0x52 => "READ TRACK INFORMATION",
        /// Set mode pages.
        MODE_SELECT_10 = 0x55 => "MODE SELECT(10)",
        /// Tell mode pages.
        MODE_SENSE_10 = 0x5a => "MODE SENSE(10)",
        /// Tell reservations.
        PERSISTENT_RESERVE_IN = 0x5e => "PERSISTENT RESERVE IN",
        /// Make and take reservations.
        PERSISTENT_RESERVE_OUT = 0x5f => "PERSISTENT RESERVE OUT",
        /// A CDB of more than 16 bytes.
        VARIABLE_LENGTH = 0x7f => "VARIABLE LENGTH CDB",
        /// Third-party copy.
        EXTENDED_COPY = 0x83 => "EXTENDED COPY",
        /// Results of a third-party copy.
        RECEIVE_COPY_RESULTS = 0x84 => "RECEIVE COPY RESULTS",
        /// An ATA command.
        ATA_PASS_THROUGH_16 = 0x85 => "ATA PASS-THROUGH(16)",
        /// Read, with a 64-bit address.
        READ_16 = 0x88 => "READ(16)",
        /// Write if the same.
        COMPARE_AND_WRITE = 0x89 => "COMPARE AND WRITE",
        /// Write, with a 64-bit address.
        WRITE_16 = 0x8a => "WRITE(16)",
        /// Write and read back.
        WRITE_AND_VERIFY_16 = 0x8e => "WRITE AND VERIFY(16)",
        /// Read without transfer.
        VERIFY_16 = 0x8f => "VERIFY(16)",
        /// Flush.
        SYNCHRONIZE_CACHE_16 = 0x91 => "SYNCHRONIZE CACHE(16)",
        /// Write one block many times.
        WRITE_SAME_16 = 0x93 => "WRITE SAME(16)",
        /// A family of commands that return data, of which READ CAPACITY(16) is one.
        SERVICE_ACTION_IN_16 = 0x9e => "SERVICE ACTION IN(16)",
        /// Which LUNs there are.
        REPORT_LUNS = 0xa0 => "REPORT LUNS",
        /// An ATA command.
        ATA_PASS_THROUGH_12 = 0xa1 => "ATA PASS-THROUGH(12)",
        /// A family of commands that tell what the LUN can do.
        MAINTENANCE_IN = 0xa3 => "MAINTENANCE IN",
        /// Read, with a 32-bit address and a 32-bit length.
        READ_12 = 0xa8 => "READ(12)",
        /// Write, with a 32-bit address and a 32-bit length.
        WRITE_12 = 0xaa => "WRITE(12)",
        /// How an optical disc is made.
        READ_DISC_STRUCTURE = 0xad => "READ DISC STRUCTURE",
        /// Write and read back.
        WRITE_AND_VERIFY_12 = 0xae => "WRITE AND VERIFY(12)",
        /// Read without transfer.
        VERIFY_12 = 0xaf => "VERIFY(12)",
        /// How fast an optical drive is to turn.
        SET_CD_SPEED = 0xbb => "SET CD SPEED",
        /// What an optical drive's mechanism does.
        MECHANISM_STATUS = 0xbd => "MECHANISM STATUS",
    }
}

impl OperationCode {
    /// Bytes of this operation's CDB: they follow from its top three bits. `None` for the variable-length
    /// group and the vendors' own.
    #[must_use]
    pub const fn cdb_len(self) -> Option<usize> {
        match self.0 >> 5 {
            0 => Some(6),
            1 | 2 => Some(10),
            4 => Some(16),
            5 => Some(12),
            _ => None,
        }
    }
}

open_code! {
    /// What the device says at the end of a command. Source: SAM-5, Linux `SAM_STAT_*`.
    #[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
    pub struct ScsiStatus(u8) {
        /// Done.
        GOOD = 0x00 => "GOOD",
        /// Sense data tells more.
        CHECK_CONDITION = 0x02 => "CHECK CONDITION",
        /// Done, and what was looked for is there.
        CONDITION_MET = 0x04 => "CONDITION MET",
        /// Busy.
        BUSY = 0x08 => "BUSY",
        /// Another initiator holds a reservation.
        RESERVATION_CONFLICT = 0x18 => "RESERVATION CONFLICT",
        /// No room for another command.
        TASK_SET_FULL = 0x28 => "TASK SET FULL",
        /// Another initiator gave it up.
        TASK_ABORTED = 0x40 => "TASK ABORTED",
    }
}
