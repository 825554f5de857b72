//! What the disk tells about itself: INQUIRY and READ CAPACITY.

use heapless::Vec;
use zerocopy::big_endian::{U16, U32, U64};
use zerocopy::{Immutable, IntoBytes};

use super::blocks::MAX_WRITE_SAME_BYTES;
use super::unmap::MAX_UNMAP_DESCRIPTORS;
use super::{Outcome, Step};
use crate::host::{Geometry, Identity};
use crate::scsi::{
    BlockLimitsPage, DesignatorHeader, InquiryData, ProvisioningPage, ReadCapacity10Data, ReadCapacity16Data,
    RotationPage, Sense, VpdHeader, VpdPage,
};

/// A table that is built in pieces. The longest one has less than 100 bytes.
pub(super) type Table = Vec<u8, 128>;

/// Appends to a table that has room for it.
pub(super) fn push<T: IntoBytes + Immutable + ?Sized>(table: &mut Table, piece: &T) -> Step<()> {
    table
        .extend_from_slice(piece.as_bytes())
        .map_err(|_| super::failure(crate::host::BlockError::Internal, false))
}

/// The standard data.
pub(crate) fn standard(identity: &Identity) -> InquiryData {
    InquiryData {
        peripheral: InquiryData::DISK,
        removable: 0,
        version: InquiryData::SPC_3,
        response_format: InquiryData::FORMAT,
        additional_length: InquiryData::ADDITIONAL_LENGTH,
        flags5: 0,
        flags6: 0,
        flags7: InquiryData::COMMAND_QUEUE,
        vendor: identity.vendor,
        product: identity.product,
        revision: identity.revision,
        vendor_specific: [0; 20],
        reserved: [0; 2],
        version_descriptors: [U16::ZERO; 8],
        reserved2: [0; 22],
    }
}

/// A page of vital product data.
pub(super) fn page(
    page: VpdPage,
    identity: &Identity,
    geometry: &Geometry,
    max_transfer: u32,
) -> Step<Table> {
    let mut body = Table::new();
    match page {
        VpdPage::SUPPORTED_PAGES => {
            for page in VpdPage::NAMED {
                if *page != VpdPage::UNIT_SERIAL_NUMBER || !identity.serial.as_bytes().is_empty() {
                    push(&mut body, &page.0)?;
                }
            }
        }
        VpdPage::UNIT_SERIAL_NUMBER if !identity.serial.as_bytes().is_empty() => {
            push(&mut body, identity.serial.as_bytes())?;
        }
        VpdPage::DEVICE_IDENTIFICATION => {
            if let Some(naa) = identity.naa {
                let header = DesignatorHeader {
                    code_set: DesignatorHeader::BINARY,
                    kind: DesignatorHeader::NAA,
                    reserved: 0,
                    length: 16,
                };
                push(&mut body, &header)?;
                push(&mut body, &naa)?;
            }
            let serial = identity.serial.as_bytes();
            let length = identity.vendor.len().saturating_add(serial.len());
            let header = DesignatorHeader {
                code_set: DesignatorHeader::ASCII,
                kind: DesignatorHeader::T10_VENDOR,
                reserved: 0,
                length: u8::try_from(length).unwrap_or(u8::MAX),
            };
            push(&mut body, &header)?;
            push(&mut body, &identity.vendor)?;
            push(&mut body, serial)?;
        }
        VpdPage::BLOCK_LIMITS => push(&mut body, &block_limits(geometry, max_transfer))?,
        VpdPage::BLOCK_DEVICE_CHARACTERISTICS => {
            let rate = if geometry.rotational {
                0
            } else {
                RotationPage::NON_ROTATING
            };
            let page = RotationPage {
                rotation_rate: U16::new(rate),
                product: 0,
                form: 0,
                flags: 0,
                reserved: [0; 55],
            };
            push(&mut body, &page)?;
        }
        VpdPage::LOGICAL_BLOCK_PROVISIONING => push(&mut body, &provisioning(geometry))?,
        _ => return Err(Outcome::from(Sense::invalid_cdb_field(2, None))),
    }
    let header = VpdHeader {
        peripheral: InquiryData::DISK,
        page: page.0,
        length: U16::new(u16::try_from(body.len()).unwrap_or(u16::MAX)),
    };
    let mut table = Table::new();
    push(&mut table, &header)?;
    push(&mut table, body.as_slice())?;
    Ok(table)
}

/// Bytes as a number of blocks, at least 1.
fn blocks_in(bytes: u32, geometry: &Geometry) -> u32 {
    bytes.checked_div(geometry.block_size.bytes()).unwrap_or(0).max(1)
}

fn block_limits(geometry: &Geometry, max_transfer: u32) -> BlockLimitsPage {
    let per_physical = blocks_in(geometry.physical_block_size.bytes(), geometry);
    let mut page = BlockLimitsPage {
        flags: BlockLimitsPage::WRITE_SAME_NON_ZERO,
        optimal_granularity: U16::new(u16::try_from(per_physical).unwrap_or(1)),
        max_transfer: U32::new(blocks_in(max_transfer, geometry)),
        max_write_same: U64::new(u64::from(blocks_in(MAX_WRITE_SAME_BYTES, geometry))),
        ..Default::default()
    };
    if let Some(discard) = geometry.discard {
        page.max_unmap_blocks = U32::new(u32::MAX);
        page.max_unmap_descriptors = U32::new(u32::try_from(MAX_UNMAP_DESCRIPTORS).unwrap_or(1));
        page.unmap_granularity = U32::new(blocks_in(discard.granularity, geometry));
        page.unmap_alignment = U32::new(BlockLimitsPage::UNMAP_ALIGNMENT_VALID);
    }
    page
}

fn provisioning(geometry: &Geometry) -> ProvisioningPage {
    let Some(discard) = geometry.discard else {
        return ProvisioningPage {
            threshold_exponent: 0,
            flags: 0,
            kind: 0,
            reserved: 0,
        };
    };
    let mut flags =
        ProvisioningPage::UNMAP | ProvisioningPage::WRITE_SAME_16 | ProvisioningPage::WRITE_SAME_10;
    if discard.reads_zero {
        flags |= ProvisioningPage::READS_ZERO;
    }
    ProvisioningPage {
        threshold_exponent: 0,
        flags,
        kind: ProvisioningPage::THIN,
        reserved: 0,
    }
}

/// What READ CAPACITY(10) returns, of a disk with a medium.
pub(super) fn capacity10(geometry: &Geometry) -> ReadCapacity10Data {
    let last = geometry.blocks.saturating_sub(1);
    ReadCapacity10Data {
        last_lba: U32::new(u32::try_from(last).unwrap_or(u32::MAX)),
        block_len: U32::new(geometry.block_size.bytes()),
    }
}

/// What READ CAPACITY(16) returns, of a disk with a medium.
pub(super) fn capacity16(geometry: &Geometry) -> ReadCapacity16Data {
    let per_physical = blocks_in(geometry.physical_block_size.bytes(), geometry);
    let mut flags = 0;
    if let Some(discard) = geometry.discard {
        flags |= ReadCapacity16Data::UNMAPS;
        if discard.reads_zero {
            flags |= ReadCapacity16Data::READS_ZERO;
        }
    }
    ReadCapacity16Data {
        last_lba: U64::new(geometry.blocks.saturating_sub(1)),
        block_len: U32::new(geometry.block_size.bytes()),
        protection: 0,
        exponents: u8::try_from(per_physical.checked_ilog2().unwrap_or(0)).unwrap_or(0),
        flags_and_alignment: U16::new(flags),
        reserved: [0; 16],
    }
}
