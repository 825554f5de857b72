//! The tables that commands move: what INQUIRY, MODE SENSE, READ CAPACITY and REPORT LUNS return, what UNMAP
//! takes.

use zerocopy::big_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::macros::{layout, open_code};

/// What INQUIRY returns without a page. Source: SPC-4, table 175.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct InquiryData {
    /// Bits 7 to 5: qualifier; bits 4 to 0: device type.
    pub peripheral: u8,
    /// Bit 7: the medium can be taken out.
    pub removable: u8,
    /// Which SPC the LUN claims: 5 is SPC-3, 6 is SPC-4.
    pub version: u8,
    /// Low four bits: 2, the format of this table.
    pub response_format: u8,
    /// How many bytes follow this one.
    pub additional_length: u8,
    /// Bits 7: storage array; 5 and 4: target port groups; 3: third-party copy; 0: protection information.
    pub flags5: u8,
    /// Bit 4: more ports than one.
    pub flags6: u8,
    /// Bit 1: commands are queued.
    pub flags7: u8,
    /// Vendor, ASCII padded with blanks.
    pub vendor: [u8; 8],
    /// Product, ASCII padded with blanks.
    pub product: [u8; 16],
    /// Revision, ASCII padded with blanks.
    pub revision: [u8; 4],
    /// The vendor's own.
    pub vendor_specific: [u8; 20],
    /// 0.
    pub reserved: [u8; 2],
    /// Standards claimed.
    pub version_descriptors: [U16; 8],
    /// 0.
    pub reserved2: [u8; 22],
}
layout!(
    InquiryData, size 96,
    peripheral @ 0, removable @ 1, version @ 2, response_format @ 3, additional_length @ 4, flags5 @ 5, flags6 @ 6,
    flags7 @ 7, vendor @ 8, product @ 16, revision @ 32, vendor_specific @ 36, reserved @ 56, version_descriptors @ 58,
    reserved2 @ 74,
);

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
        SUPPORTED_PAGES = 0x00, "supported pages";
        /// The serial number.
        UNIT_SERIAL_NUMBER = 0x80, "unit serial number";
        /// Names of the LUN.
        DEVICE_IDENTIFICATION = 0x83, "device identification";
        /// Limits of commands.
        BLOCK_LIMITS = 0xb0, "block limits";
        /// Whether it rotates.
        BLOCK_DEVICE_CHARACTERISTICS = 0xb1, "block device characteristics";
        /// How it unmaps.
        LOGICAL_BLOCK_PROVISIONING = 0xb2, "logical block provisioning";
    }
}

/// What a page of vital product data starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct VpdHeader {
    /// As in [`InquiryData`].
    pub peripheral: u8,
    /// The [`VpdPage`].
    pub page: u8,
    /// Bytes that follow.
    pub length: U16,
}
layout!(VpdHeader, size 4, peripheral @ 0, page @ 1, length @ 2);

/// What a name in the page 0x83 starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct DesignatorHeader {
    /// Low four bits: 1 binary, 2 ASCII, 3 UTF-8.
    pub code_set: u8,
    /// Low four bits: 1 vendor and more, 2 EUI-64, 3 NAA; bits 5 and 4: 0 for the LUN itself.
    pub kind: u8,
    /// 0.
    pub reserved: u8,
    /// Bytes that follow.
    pub length: u8,
}
layout!(DesignatorHeader, size 4, code_set @ 0, kind @ 1, reserved @ 2, length @ 3);

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

/// The page 0xb0 after its header. Source: SBC-3, table 180.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct BlockLimitsPage {
    /// Bit 0: a WRITE SAME of 0 blocks is not taken.
    pub flags: u8,
    /// COMPARE AND WRITE: most blocks; 0 for none.
    pub max_compare_and_write: u8,
    /// Transfers are best in multiples of so many blocks; 0 for no preference.
    pub optimal_granularity: U16,
    /// Most blocks of a transfer; 0 for no limit.
    pub max_transfer: U32,
    /// Best number of blocks of a transfer; 0 for no preference.
    pub optimal_transfer: U32,
    /// Most blocks of a prefetch.
    pub max_prefetch: U32,
    /// UNMAP: most blocks in all; 0 when not supported.
    pub max_unmap_blocks: U32,
    /// UNMAP: most descriptors; 0 when not supported.
    pub max_unmap_descriptors: U32,
    /// UNMAP is best in multiples of so many blocks; 0 for no preference.
    pub unmap_granularity: U32,
    /// Bit 31: valid; else the first block of such a multiple.
    pub unmap_alignment: U32,
    /// WRITE SAME: most blocks; 0 for no limit.
    pub max_write_same: U64,
    /// 0.
    pub reserved: [u8; 20],
}
layout!(
    BlockLimitsPage, size 60,
    flags @ 0, max_compare_and_write @ 1, optimal_granularity @ 2, max_transfer @ 4, optimal_transfer @ 8,
    max_prefetch @ 12, max_unmap_blocks @ 16, max_unmap_descriptors @ 20, unmap_granularity @ 24, unmap_alignment @ 28,
    max_write_same @ 32, reserved @ 40,
);

impl BlockLimitsPage {
    /// A WRITE SAME of 0 blocks is not taken.
    pub const WRITE_SAME_NON_ZERO: u8 = 0x01;
    /// The alignment is valid.
    pub const UNMAP_ALIGNMENT_VALID: u32 = 0x8000_0000;
}

/// The page 0xb1 after its header. Source: SBC-3, table 177.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct RotationPage {
    /// Rotations a minute; 0 not told, 1 does not rotate.
    pub rotation_rate: U16,
    /// Product type.
    pub product: u8,
    /// Form factor and more.
    pub form: u8,
    /// Flags.
    pub flags: u8,
    /// 0.
    pub reserved: [u8; 55],
}
layout!(RotationPage, size 60, rotation_rate @ 0, product @ 2, form @ 3, flags @ 4, reserved @ 5);

impl RotationPage {
    /// Does not rotate.
    pub const NON_ROTATING: u16 = 1;
}

/// The page 0xb2 after its header. Source: SBC-3, table 184.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ProvisioningPage {
    /// Threshold sets are of 2 to the power of this many blocks; 0 for none.
    pub threshold_exponent: u8,
    /// Bit 7: UNMAP; bit 6: WRITE SAME(16) unmaps; bit 5: WRITE SAME(10) unmaps; bit 2: unmapped blocks read
    /// as zero.
    pub flags: u8,
    /// Low three bits: 0 not told or full, 1 resource, 2 thin.
    pub kind: u8,
    /// 0.
    pub reserved: u8,
}
layout!(ProvisioningPage, size 4, threshold_exponent @ 0, flags @ 1, kind @ 2, reserved @ 3);

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

/// What READ CAPACITY(10) returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ReadCapacity10Data {
    /// The last block, or `0xffff_ffff` when it does not fit.
    pub last_lba: U32,
    /// Bytes of a block.
    pub block_len: U32,
}
layout!(ReadCapacity10Data, size 8, last_lba @ 0, block_len @ 4);

/// What READ CAPACITY(16) returns. Source: SBC-3, table 65.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ReadCapacity16Data {
    /// The last block.
    pub last_lba: U64,
    /// Bytes of a block.
    pub block_len: U32,
    /// Bits 3 to 1: protection type; bit 0: protection.
    pub protection: u8,
    /// Low four bits: a physical block has 2 to the power of this many logical ones.
    pub exponents: u8,
    /// Bit 15: blocks can be unmapped; bit 14: these read as zero; bits 13 to 0: the first aligned block.
    pub flags_and_alignment: U16,
    /// 0.
    pub reserved: [u8; 16],
}
layout!(
    ReadCapacity16Data, size 32,
    last_lba @ 0, block_len @ 8, protection @ 12, exponents @ 13, flags_and_alignment @ 14, reserved @ 16,
);

impl ReadCapacity16Data {
    /// Blocks can be unmapped (LBPME).
    pub const UNMAPS: u16 = 0x8000;
    /// Unmapped blocks read as zero (LBPRZ).
    pub const READS_ZERO: u16 = 0x4000;
}

/// What MODE SENSE(6) returns before block descriptors and pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ModeHeader6 {
    /// How many bytes follow this one.
    pub length: u8,
    /// 0 of a disk.
    pub medium: u8,
    /// Bit 7: write protected; bit 4: DPO and FUA are supported.
    pub device_specific: u8,
    /// Bytes of block descriptors.
    pub descriptors_length: u8,
}
layout!(ModeHeader6, size 4, length @ 0, medium @ 1, device_specific @ 2, descriptors_length @ 3);

impl ModeHeader6 {
    /// Write protected.
    pub const WRITE_PROTECTED: u8 = 0x80;
    /// READ and WRITE take the bits DPO and FUA.
    pub const DPO_FUA: u8 = 0x10;
}

/// What MODE SENSE(10) returns before block descriptors and pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ModeHeader10 {
    /// How many bytes follow this field.
    pub length: U16,
    /// 0 of a disk.
    pub medium: u8,
    /// As in [`ModeHeader6`].
    pub device_specific: u8,
    /// Bit 0: block descriptors are of the long form.
    pub flags: u8,
    /// 0.
    pub reserved: u8,
    /// Bytes of block descriptors.
    pub descriptors_length: U16,
}
layout!(
    ModeHeader10, size 8,
    length @ 0, medium @ 2, device_specific @ 3, flags @ 4, reserved @ 5, descriptors_length @ 6,
);

/// The short form of the block descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ModeBlockDescriptor {
    /// Blocks, or `0xffff_ffff` when they do not fit.
    pub blocks: U32,
    /// 0.
    pub reserved: u8,
    /// Bytes of a block.
    pub block_len: [u8; 3],
}
layout!(ModeBlockDescriptor, size 8, blocks @ 0, reserved @ 4, block_len @ 5);

/// The caching page. Source: SBC-3, table 169.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct CachingPage {
    /// 0x08.
    pub page: u8,
    /// How many bytes follow this one: 18.
    pub length: u8,
    /// Bit 2: a write is answered before it is on the medium; bit 0: reads do not come from the cache.
    pub flags: u8,
    /// Prefetch and other numbers of no use to a virtual disk.
    pub rest: [u8; 17],
}
layout!(CachingPage, size 20, page @ 0, length @ 1, flags @ 2, rest @ 3);

impl CachingPage {
    /// The page's code.
    pub const PAGE: u8 = 0x08;
    /// What stands in [`length`](Self::length).
    pub const LENGTH: u8 = 18;
    /// A write is answered before it is on the medium (WCE).
    pub const WRITE_CACHE: u8 = 0x04;
}

/// The control page. Source: SPC-4, table 431.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct ControlPage {
    /// 0x0a.
    pub page: u8,
    /// How many bytes follow this one: 10.
    pub length: u8,
    /// Bits 7 to 5: task set type; bit 2: sense data in the descriptor format.
    pub flags2: u8,
    /// Bits 7 to 4: 1, commands may be reordered without restriction.
    pub flags3: u8,
    /// Bit 3: software write protection.
    pub flags4: u8,
    /// Bit 6: a command given up by another initiator is told.
    pub flags5: u8,
    /// Obsolete.
    pub obsolete: [u8; 2],
    /// Longest time busy.
    pub busy_timeout: U16,
    /// Seconds that an extended self-test takes.
    pub self_test_time: U16,
}
layout!(
    ControlPage, size 12,
    page @ 0, length @ 1, flags2 @ 2, flags3 @ 3, flags4 @ 4, flags5 @ 5, obsolete @ 6, busy_timeout @ 8,
    self_test_time @ 10,
);

impl ControlPage {
    /// The page's code.
    pub const PAGE: u8 = 0x0a;
    /// What stands in [`length`](Self::length).
    pub const LENGTH: u8 = 10;
    /// Commands may be reordered without restriction.
    pub const UNRESTRICTED_REORDERING: u8 = 0x10;
}

/// What REPORT LUNS returns before the LUNs, of 8 bytes each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct LunListHeader {
    /// Bytes of LUNs.
    pub length: U32,
    /// 0.
    pub reserved: U32,
}
layout!(LunListHeader, size 8, length @ 0, reserved @ 4);

/// What UNMAP's parameter list starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct UnmapHeader {
    /// How many bytes follow this field.
    pub length: U16,
    /// Bytes of descriptors.
    pub descriptors_length: U16,
    /// 0.
    pub reserved: [u8; 4],
}
layout!(UnmapHeader, size 8, length @ 0, descriptors_length @ 2, reserved @ 4);

/// A range of blocks in UNMAP's parameter list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct UnmapDescriptor {
    /// First block.
    pub lba: U64,
    /// Blocks.
    pub blocks: U32,
    /// 0.
    pub reserved: U32,
}
layout!(UnmapDescriptor, size 16, lba @ 0, blocks @ 8, reserved @ 12);
