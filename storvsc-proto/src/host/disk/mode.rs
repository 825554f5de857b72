//! MODE SENSE.

use zerocopy::IntoBytes;
use zerocopy::big_endian::{U16, U32};

use super::Step;
use super::inquiry::{Table, push};
use crate::host::Geometry;
use crate::scsi::{
    AdditionalSense, CachingPage, ControlPage, ModeBlockDescriptor, ModeHeader6, ModeHeader10, PageControl,
    Sense,
};

const ALL_PAGES: u8 = 0x3f;
const ALL_SUBPAGES: u8 = 0xff;

/// What a guest wants to know.
pub(super) struct Wanted {
    pub(super) long: bool,
    pub(super) no_block_descriptor: bool,
    pub(super) control: PageControl,
    pub(super) page: u8,
    pub(super) subpage: u8,
}

impl Wanted {
    fn has(&self, page: u8) -> bool {
        self.page == page || self.page == ALL_PAGES
    }
}

/// The header, the block descriptor and the pages. Nothing can be changed or saved.
pub(super) fn sense(wanted: &Wanted, geometry: &Geometry) -> Step<Table> {
    if wanted.control == PageControl::Saved {
        return Err(Sense::illegal_request(AdditionalSense::SAVING_PARAMETERS_NOT_SUPPORTED).into());
    }
    if wanted.subpage != 0 && wanted.subpage != ALL_SUBPAGES {
        return Err(Sense::invalid_cdb_field(3, None).into());
    }
    let mut pages = Table::new();
    if wanted.has(CachingPage::PAGE) {
        push(&mut pages, &caching(wanted.control, geometry))?;
    }
    if wanted.has(ControlPage::PAGE) {
        push(&mut pages, &control(wanted.control))?;
    }
    if pages.is_empty() {
        return Err(Sense::invalid_cdb_field(2, Some(5)).into());
    }
    let descriptor = (!wanted.no_block_descriptor).then(|| block_descriptor(geometry));
    let descriptor = descriptor.as_ref().map_or(&[][..], IntoBytes::as_bytes);
    let body = pages.len().saturating_add(descriptor.len());

    let mut table = Table::new();
    let mut device_specific = ModeHeader6::DPO_FUA;
    if geometry.read_only {
        device_specific |= ModeHeader6::WRITE_PROTECTED;
    }
    if wanted.long {
        // The length counts what comes after the length itself.
        let length = body
            .saturating_add(size_of::<ModeHeader10>())
            .saturating_sub(size_of::<U16>());
        push(
            &mut table,
            &ModeHeader10 {
                length: U16::new(u16::try_from(length).unwrap_or(u16::MAX)),
                medium: 0,
                device_specific,
                flags: 0,
                reserved: 0,
                descriptors_length: U16::new(u16::try_from(descriptor.len()).unwrap_or(0)),
            },
        )?;
    } else {
        let length = body
            .saturating_add(size_of::<ModeHeader6>())
            .saturating_sub(size_of::<u8>());
        push(
            &mut table,
            &ModeHeader6 {
                length: u8::try_from(length).unwrap_or(u8::MAX),
                medium: 0,
                device_specific,
                descriptors_length: u8::try_from(descriptor.len()).unwrap_or(0),
            },
        )?;
    }
    push(&mut table, descriptor)?;
    push(&mut table, pages.as_slice())?;
    Ok(table)
}

fn caching(wanted: PageControl, geometry: &Geometry) -> CachingPage {
    let flags = if wanted != PageControl::Changeable && geometry.write_cache {
        CachingPage::WRITE_CACHE
    } else {
        0
    };
    CachingPage {
        page: CachingPage::PAGE,
        length: CachingPage::LENGTH,
        flags,
        rest: [0; 17],
    }
}

fn control(wanted: PageControl) -> ControlPage {
    let flags3 = if wanted == PageControl::Changeable {
        0
    } else {
        ControlPage::UNRESTRICTED_REORDERING
    };
    ControlPage {
        page: ControlPage::PAGE,
        length: ControlPage::LENGTH,
        flags3,
        ..Default::default()
    }
}

fn block_descriptor(geometry: &Geometry) -> ModeBlockDescriptor {
    let [_, block_len @ ..] = geometry.block_size.bytes().to_be_bytes();
    ModeBlockDescriptor {
        blocks: U32::new(u32::try_from(geometry.blocks).unwrap_or(u32::MAX)),
        reserved: 0,
        block_len,
    }
}
