//! UNMAP and its parameter list.

use vmbus_proto::hvcall::GuestMemory;
use zerocopy::FromBytes;

use super::blocks::range;
use super::{Call, Job, Outcome, Plan, Step, failure, writable};
use crate::host::Geometry;
use crate::scsi::{AdditionalSense, Sense, UnmapDescriptor, UnmapHeader};

/// Most descriptors in an UNMAP, as the page 0xb0 tells. Linux sends one, Windows as many as it may.
pub const MAX_UNMAP_DESCRIPTORS: usize = 64;

const MAX_LIST_LEN: usize = size_of::<UnmapHeader>() + MAX_UNMAP_DESCRIPTORS * size_of::<UnmapDescriptor>();

/// Room for a private copy of a parameter list.
#[derive(Debug)]
pub(crate) struct ParameterList {
    bytes: [u8; MAX_LIST_LEN],
}

impl ParameterList {
    pub(crate) const fn new() -> Self {
        Self {
            bytes: [0; MAX_LIST_LEN],
        }
    }
}

/// Ranges of the disk to be given up, `(offset, len)` in bytes; an iterator. All lie on the disk, none is
/// empty.
#[derive(Clone, Debug)]
pub struct DiscardRanges<'a> {
    descriptors: &'a [UnmapDescriptor],
    block: u64,
}

impl Iterator for DiscardRanges<'_> {
    type Item = (u64, u64);

    fn next(&mut self) -> Option<(u64, u64)> {
        while let [first, rest @ ..] = self.descriptors {
            self.descriptors = rest;
            if first.blocks.get() > 0 {
                // Judged by `unmap`: neither product goes over.
                let offset = first.lba.get().checked_mul(self.block)?;
                let len = u64::from(first.blocks.get()).checked_mul(self.block)?;
                return Some((offset, len));
            }
        }
        None
    }
}

impl<'a, M: GuestMemory + ?Sized> Call<'a, M> {
    pub(super) fn unmap(
        &self,
        geometry: &Geometry,
        parameter_length: u16,
        parameters: &'a mut ParameterList,
    ) -> Step<Plan<'a>> {
        if geometry.discard.is_none() {
            return Err(Sense::illegal_request(AdditionalSense::INVALID_COMMAND_OPERATION_CODE).into());
        }
        writable(geometry)?;
        let length = usize::from(parameter_length);
        if length == 0 {
            return Err(Outcome::good(0));
        }
        if u64::from(parameter_length) > self.buffer.total_bytes() {
            return Err(Outcome::overrun());
        }
        // A longer list than this has too many descriptors; its header is looked at first none the less.
        let copy = parameters
            .bytes
            .get_mut(..length.min(MAX_LIST_LEN))
            .unwrap_or_default();
        self.buffer
            .clone()
            .read(self.memory, copy)
            .map_err(|error| failure(error.into(), true))?;
        let descriptors = descriptors(copy, length)?;
        for descriptor in descriptors {
            range(geometry, descriptor.lba.get(), u64::from(descriptor.blocks.get()))?;
        }
        let ranges = DiscardRanges {
            descriptors,
            block: u64::from(geometry.block_size.bytes()),
        };
        Ok(Plan {
            job: Job::Discard(ranges),
            transferred: u32::from(parameter_length),
        })
    }
}

/// The descriptors of a list of `length` bytes, of which `copy` holds the first.
fn descriptors(copy: &[u8], length: usize) -> Step<&[UnmapDescriptor]> {
    let cut_off = || {
        Outcome::from(Sense::illegal_request(
            AdditionalSense::PARAMETER_LIST_LENGTH_ERROR,
        ))
    };
    let (header, rest) = UnmapHeader::read_from_prefix(copy).map_err(|_| cut_off())?;
    let told = usize::from(header.length.get()).saturating_add(size_of_val(&header.length));
    let described = usize::from(header.descriptors_length.get());
    let needed = described.saturating_add(size_of::<UnmapHeader>());
    if told > length || needed > length {
        return Err(cut_off());
    }
    // SBC-3: what is left of a last, incomplete descriptor is passed over.
    let count = described.checked_div(size_of::<UnmapDescriptor>()).unwrap_or(0);
    if count > MAX_UNMAP_DESCRIPTORS {
        return Err(Sense::invalid_parameter_field(2).into());
    }
    <[UnmapDescriptor]>::ref_from_prefix_with_elems(rest, count)
        .map(|(all, _)| all)
        .map_err(|_| cut_off())
}
