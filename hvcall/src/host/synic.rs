//! Delivery to a guest's SynIC: messages into its message page, flags into its event page.
//!
//! The addresses of the pages come from the registers: [`Simp::page`](crate::synic::Simp::page) and
//! [`Siefp::page`](crate::synic::Siefp::page), which KVM tells with the exit that it makes when a guest writes them.

use thiserror::Error;
use zerocopy::IntoBytes;

use crate::synic::{EVENT_FLAG_COUNT, EVENT_FLAGS_SIZE, MESSAGE_SIZE, Message, MessageFlags};
use crate::{GuestMemory, MemoryError, Sint};

/// Where in a slot the size and the flags are, as a word.
const SIZE_AND_FLAGS: u64 = 4;
/// [`MessageFlags::PENDING`] in that word.
const PENDING: u32 = (MessageFlags::PENDING.bits() as u32) << 8;

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a delivered message needs its interrupt, and one that was not has to be kept"]
pub enum Delivery {
    /// It stands in the slot: raise the SINT's interrupt.
    Delivered,
    /// The slot holds an earlier message, which now says that more are pending. Keep this one, and post it again when
    /// the guest writes EOM or ends the interrupt. KVM tells both by the resample eventfd of the SINT's irqfd.
    SlotBusy,
}

/// Puts a message into the slot of `sint` in the message page at `simp_gpa`.
///
/// One caller at a time may post to a slot. KVM's synthetic timers post, too, where a guest has them send messages:
/// Linux gives those a SINT of their own.
///
/// # Order
///
/// A guest is done with a message when it stores type 0; after a full barrier it reads the pending flag, and writes
/// EOM when that is set.
///
/// * Free slot: everything but the type is written first, and the type with release ordering last. A guest that sees
///   the type sees the message.
/// * Busy slot: the flag is set, and after a full barrier the type is looked at again. Each side writes its own word
///   before it reads the other's, with a full barrier between, so one of the two at least sees what the other wrote:
///   either the guest reads the flag and will write EOM, or the type is found to be 0 here, and the message is
///   delivered after all. A message is never kept for an EOM that does not come. Where both see the other's, an EOM
///   comes that nobody waits for, which does no harm.
///
/// # Errors
/// When the slot is not wholly in guest memory. What it holds then is not said.
pub fn post_message(
    memory: &(impl GuestMemory + ?Sized),
    simp_gpa: u64,
    sint: Sint,
    message: &Message,
) -> Result<Delivery, MemoryError> {
    let slot = slot(simp_gpa, sint, MESSAGE_SIZE)?;
    let size_and_flags = offset(slot, SIZE_AND_FLAGS, 4)?;
    if memory.load_u32(slot)? != 0 {
        memory.fetch_or_u32(size_and_flags, PENDING)?;
        memory.fence();
        if memory.load_u32(slot)? != 0 {
            return Ok(Delivery::SlotBusy);
        }
    }
    let (_, behind_type) = message.as_bytes().split_at_checked(4).unwrap_or_default();
    memory.write(size_and_flags, behind_type)?;
    memory.store_u32(slot, message.header.message_type.get())?;
    Ok(Delivery::Delivered)
}

/// Sets a flag of `sint` in the event page at `siefp_gpa`. Returns whether it was clear before: only then raise the
/// SINT's interrupt.
///
/// It may be called by several threads at once, and at the same time as the guest takes flags.
///
/// # Errors
/// When the flag is none of the 2048, or its word is not in guest memory.
pub fn set_event_flag(
    memory: &(impl GuestMemory + ?Sized),
    siefp_gpa: u64,
    sint: Sint,
    flag: u16,
) -> Result<bool, EventFlagError> {
    if flag >= EVENT_FLAG_COUNT {
        return Err(EventFlagError::NoSuchFlag { flag });
    }
    let word = offset(
        slot(siefp_gpa, sint, EVENT_FLAGS_SIZE)?,
        u64::from(flag / 32) << 2,
        4,
    )?;
    let bit = 1 << (flag % 32);
    Ok(memory.fetch_or_u32(word, bit)? & bit == 0)
}

/// Why a flag was not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EventFlagError {
    /// The caller named a flag that a slot does not have.
    #[error("there is no event flag {flag}; they count from 0 to 2047")]
    NoSuchFlag {
        /// The flag.
        flag: u16,
    },
    /// The event page that the guest named is not in its memory.
    #[error(transparent)]
    Memory(#[from] MemoryError),
}

/// The address of a slot. Both pages have slots of 256 bytes.
fn slot(page: u64, sint: Sint, size: usize) -> Result<u64, MemoryError> {
    const { assert!(MESSAGE_SIZE == 256 && EVENT_FLAGS_SIZE == 256) };
    offset(page, u64::from(sint.number()) << 8, size)
}

fn offset(gpa: u64, offset: u64, len: usize) -> Result<u64, MemoryError> {
    gpa.checked_add(offset).ok_or(MemoryError { gpa, len })
}
