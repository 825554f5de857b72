//! The tables that commands move: what INQUIRY, MODE SENSE, READ CAPACITY and REPORT LUNS return, what UNMAP
//! takes.

use zerocopy::big_endian::{U16, U32, U64};

use crate::macros::{open_code, wire_struct};

wire_struct! {
    /// What INQUIRY returns without a page. Source: SPC-4, table 175.
    pub struct InquiryData, 96 bytes {
        /// Bits 7 to 5: qualifier; bits 4 to 0: device type.
        0: peripheral: u8,
        /// Bit 7: the medium can be taken out.
        1: removable: u8,
        /// Which SPC the LUN claims: 5 is SPC-3, 6 is SPC-4.
        2: version: u8,
        /// Low four bits: 2, the format of this table.
        3: response_format: u8,
        /// How many bytes follow this one.
        4: additional_length: u8,
        /// Bits 7: storage array; 5 and 4: target port groups; 3: third-party copy; 0: protection information.
        5: flags5: u8,
        /// Bit 4: more ports than one.
        6: flags6: u8,
        /// Bit 1: commands are queued.
        7: flags7: u8,
        /// Vendor, ASCII padded with blanks.
        8: vendor: [u8; 8],
        /// Product, ASCII padded with blanks.
        16: product: [u8; 16],
        /// Revision, ASCII padded with blanks.
        32: revision: [u8; 4],
        /// The vendor's own.
        36: vendor_specific: [u8; 20],
        /// 0.
        56: reserved: [u8; 2],
        /// Standards claimed.
        58: version_descriptors: [U16; 8],
        /// 0.
        74: reserved2: [u8; 22],
    }
}

impl InquiryData {
    /// Device type: a disk. Read-only disks say so too: type 0 with write protection, because guests take
    /// other types for something else.
    pub const DISK: u8 = 0x00;
    /// Qualifier 3 and device type 0x1f: there is no device at this LUN, and there cannot be one.
    pub const NOT_PRESENT: u8 = 0x7f;
    /// SPC-3, as Hyper-V's disks claim. Linux looks for thin provisioning from here on.
    pub const SPC_3: u8 = 5;
    /// The format of this table.
    pub const FORMAT: u8 = 2;
    /// Commands are queued.
    pub const COMMAND_QUEUE: u8 = 0x02;
    /// What stands in [`additional_length`](Self::additional_length) of the whole table.
    pub const ADDITIONAL_LENGTH: u8 = 91;
}

open_code! {
    /// A page of vital product data.
    pub struct VpdPage(u8) {
        /// Which pages there are.
        SUPPORTED_PAGES = 0x00 => "supported pages",
        /// The serial number.
        UNIT_SERIAL_NUMBER = 0x80 => "unit serial number",
        /// Names of the LUN.
        DEVICE_IDENTIFICATION = 0x83 => "device identification",
        /// Limits of commands.
        BLOCK_LIMITS = 0xb0 => "block limits",
        /// Whether it rotates.
        BLOCK_DEVICE_CHARACTERISTICS = 0xb1 => "block device characteristics",
        /// How it unmaps.
        LOGICAL_BLOCK_PROVISIONING = 0xb2 => "logical block provisioning",
    }
}

wire_struct! {
    /// What a page of vital product data starts with.
    pub struct VpdHeader, 4 bytes {
        /// As in [`InquiryData`].
        0: peripheral: u8,
        /// The [`VpdPage`].
        1: page: u8,
        /// Bytes that follow.
        2: length: U16,
    }
}

wire_struct! {
    /// What a name in the page 0x83 starts with.
    pub struct DesignatorHeader, 4 bytes {
        /// Low four bits: 1 binary, 2 ASCII, 3 UTF-8.
        0: code_set: u8,
        /// Low four bits: 1 vendor and more, 2 EUI-64, 3 NAA; bits 5 and 4: 0 for the LUN itself.
        1: kind: u8,
        /// 0.
        2: reserved: u8,
        /// Bytes that follow.
        3: length: u8,
    }
}

impl DesignatorHeader {
    /// Bytes.
    pub const BINARY: u8 = 1;
    /// Text.
    pub const ASCII: u8 = 2;
    /// The vendor and what it likes.
    pub const T10_VENDOR: u8 = 1;
    /// A name of the network address authority.
    pub const NAA: u8 = 3;
}

wire_struct! {
    /// The page 0xb0 after its header. Source: SBC-3, table 180.
    #[derive(Default)]
    pub struct BlockLimitsPage, 60 bytes {
        /// Bit 0: a WRITE SAME of 0 blocks is not taken.
        0: flags: u8,
        /// COMPARE AND WRITE: most blocks; 0 for none.
        1: max_compare_and_write: u8,
        /// Transfers are best in multiples of so many blocks; 0 for no preference.
        2: optimal_granularity: U16,
        /// Most blocks of a transfer; 0 for no limit.
        4: max_transfer: U32,
        /// Best number of blocks of a transfer; 0 for no preference.
        8: optimal_transfer: U32,
        /// Most blocks of a prefetch.
        12: max_prefetch: U32,
        /// UNMAP: most blocks in all; 0 when not supported.
        16: max_unmap_blocks: U32,
        /// UNMAP: most descriptors; 0 when not supported.
        20: max_unmap_descriptors: U32,
        /// UNMAP is best in multiples of so many blocks; 0 for no preference.
        24: unmap_granularity: U32,
        /// Bit 31: valid; else the first block of such a multiple.
        28: unmap_alignment: U32,
        /// WRITE SAME: most blocks; 0 for no limit.
        32: max_write_same: U64,
        /// 0.
        40: reserved: [u8; 20],
    }
}

impl BlockLimitsPage {
    /// A WRITE SAME of 0 blocks is not taken.
    pub const WRITE_SAME_NON_ZERO: u8 = 0x01;
    /// The alignment is valid.
    pub const UNMAP_ALIGNMENT_VALID: u32 = 0x8000_0000;
}

wire_struct! {
    /// The page 0xb1 after its header. Source: SBC-3, table 177.
    pub struct RotationPage, 60 bytes {
        /// Rotations a minute; 0 not told, 1 does not rotate.
        0: rotation_rate: U16,
        /// Product type.
        2: product: u8,
        /// Form factor and more.
        3: form: u8,
        /// Flags.
        4: flags: u8,
        /// 0.
        5: reserved: [u8; 55],
    }
}

impl RotationPage {
    /// Does not rotate.
    pub const NON_ROTATING: u16 = 1;
}

wire_struct! {
    /// The page 0xb2 after its header. Source: SBC-3, table 184.
    pub struct ProvisioningPage, 4 bytes {
        /// Threshold sets are of 2 to the power of this many blocks; 0 for none.
        0: threshold_exponent: u8,
        /// Bit 7: UNMAP; bit 6: WRITE SAME(16) unmaps; bit 5: WRITE SAME(10) unmaps; bit 2: unmapped blocks read
        /// as zero.
        1: flags: u8,
        /// Low three bits: 0 not told or full, 1 resource, 2 thin.
        2: kind: u8,
        /// 0.
        3: reserved: u8,
    }
}

impl ProvisioningPage {
    /// UNMAP is supported.
    pub const UNMAP: u8 = 0x80;
    /// WRITE SAME(16) with its unmap bit is supported.
    pub const WRITE_SAME_16: u8 = 0x40;
    /// WRITE SAME(10) with its unmap bit is supported.
    pub const WRITE_SAME_10: u8 = 0x20;
    /// Unmapped blocks read as zero.
    pub const READS_ZERO: u8 = 0x04;
    /// Thin.
    pub const THIN: u8 = 2;
}

wire_struct! {
    /// What READ CAPACITY(10) returns.
    pub struct ReadCapacity10Data, 8 bytes {
        /// The last block, or `0xffff_ffff` when it does not fit.
        0: last_lba: U32,
        /// Bytes of a block.
        4: block_len: U32,
    }
}

wire_struct! {
    /// What READ CAPACITY(16) returns. Source: SBC-3, table 65.
    pub struct ReadCapacity16Data, 32 bytes {
        /// The last block.
        0: last_lba: U64,
        /// Bytes of a block.
        8: block_len: U32,
        /// Bits 3 to 1: protection type; bit 0: protection.
        12: protection: u8,
        /// Low four bits: a physical block has 2 to the power of this many logical ones.
        13: exponents: u8,
        /// Bit 15: blocks can be unmapped; bit 14: these read as zero; bits 13 to 0: the first aligned block.
        14: flags_and_alignment: U16,
        /// 0.
        16: reserved: [u8; 16],
    }
}

impl ReadCapacity16Data {
    /// Blocks can be unmapped (LBPME).
    pub const UNMAPS: u16 = 0x8000;
    /// Unmapped blocks read as zero (LBPRZ).
    pub const READS_ZERO: u16 = 0x4000;
}

wire_struct! {
    /// What MODE SENSE(6) returns before block descriptors and pages.
    pub struct ModeHeader6, 4 bytes {
        /// How many bytes follow this one.
        0: length: u8,
        /// 0 of a disk.
        1: medium: u8,
        /// Bit 7: write protected; bit 4: DPO and FUA are supported.
        2: device_specific: u8,
        /// Bytes of block descriptors.
        3: descriptors_length: u8,
    }
}

impl ModeHeader6 {
    /// Write protected.
    pub const WRITE_PROTECTED: u8 = 0x80;
    /// READ and WRITE take the bits DPO and FUA.
    pub const DPO_FUA: u8 = 0x10;
}

wire_struct! {
    /// What MODE SENSE(10) returns before block descriptors and pages.
    pub struct ModeHeader10, 8 bytes {
        /// How many bytes follow this field.
        0: length: U16,
        /// 0 of a disk.
        2: medium: u8,
        /// As in [`ModeHeader6`].
        3: device_specific: u8,
        /// Bit 0: block descriptors are of the long form.
        4: flags: u8,
        /// 0.
        5: reserved: u8,
        /// Bytes of block descriptors.
        6: descriptors_length: U16,
    }
}

wire_struct! {
    /// The short form of the block descriptor.
    pub struct ModeBlockDescriptor, 8 bytes {
        /// Blocks, or `0xffff_ffff` when they do not fit.
        0: blocks: U32,
        /// 0.
        4: reserved: u8,
        /// Bytes of a block.
        5: block_len: [u8; 3],
    }
}

wire_struct! {
    /// The caching page. Source: SBC-3, table 169.
    #[derive(Default)]
    pub struct CachingPage, 20 bytes {
        /// 0x08.
        0: page: u8,
        /// How many bytes follow this one: 18.
        1: length: u8,
        /// Bit 2: a write is answered before it is on the medium; bit 0: reads do not come from the cache.
        2: flags: u8,
        /// Prefetch and other numbers of no use to a virtual disk.
        3: rest: [u8; 17],
    }
}

impl CachingPage {
    /// The page's code.
    pub const PAGE: u8 = 0x08;
    /// What stands in [`length`](Self::length).
    pub const LENGTH: u8 = 18;
    /// A write is answered before it is on the medium (WCE).
    pub const WRITE_CACHE: u8 = 0x04;
}

wire_struct! {
    /// The control page. Source: SPC-4, table 431.
    #[derive(Default)]
    pub struct ControlPage, 12 bytes {
        /// 0x0a.
        0: page: u8,
        /// How many bytes follow this one: 10.
        1: length: u8,
        /// Bits 7 to 5: task set type; bit 2: sense data in the descriptor format.
        2: flags2: u8,
        /// Bits 7 to 4: 1, commands may be reordered without restriction.
        3: flags3: u8,
        /// Bit 3: software write protection.
        4: flags4: u8,
        /// Bit 6: a command given up by another initiator is told.
        5: flags5: u8,
        /// Obsolete.
        6: obsolete: [u8; 2],
        /// Longest time busy.
        8: busy_timeout: U16,
        /// Seconds that an extended self-test takes.
        10: self_test_time: U16,
    }
}

impl ControlPage {
    /// The page's code.
    pub const PAGE: u8 = 0x0a;
    /// What stands in [`length`](Self::length).
    pub const LENGTH: u8 = 10;
    /// Commands may be reordered without restriction.
    pub const UNRESTRICTED_REORDERING: u8 = 0x10;
}

wire_struct! {
    /// What REPORT LUNS returns before the LUNs, of 8 bytes each.
    pub struct LunListHeader, 8 bytes {
        /// Bytes of LUNs.
        0: length: U32,
        /// 0.
        4: reserved: U32,
    }
}

wire_struct! {
    /// What UNMAP's parameter list starts with.
    pub struct UnmapHeader, 8 bytes {
        /// How many bytes follow this field.
        0: length: U16,
        /// Bytes of descriptors.
        2: descriptors_length: U16,
        /// 0.
        4: reserved: [u8; 4],
    }
}

wire_struct! {
    /// A range of blocks in UNMAP's parameter list.
    pub struct UnmapDescriptor, 16 bytes {
        /// First block.
        0: lba: U64,
        /// Blocks.
        8: blocks: U32,
        /// 0.
        12: reserved: U32,
    }
}
