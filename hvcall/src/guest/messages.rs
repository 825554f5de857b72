//! The message page as the guest sees it.

use thiserror::Error;
use zerocopy::{FromZeros, IntoBytes};

use super::gate::{MsrError, Msrs, Plain, SharedPage, write_plain};
use super::words::Words;
use crate::Sint;
use crate::synic::{MESSAGE_PAYLOAD_MAX, MESSAGE_SIZE, Message, MessageFlags, MessageType};

/// Words of 4 bytes in a slot, as a shift.
const SLOT_SHIFT: u32 = 6;
const _: () = assert!(1usize << SLOT_SHIFT == MESSAGE_SIZE / size_of::<u32>());
/// The word of a slot that has size and flags.
const SIZE_AND_FLAGS: u16 = 1;
/// [`MessageFlags::PENDING`] in that word.
const PENDING: u32 = (MessageFlags::PENDING.bits() as u32) << 8;

/// A processor's message page (SIMP), with a slot for each SINT.
#[derive(Debug)]
pub struct MessagePage {
    page: SharedPage,
}

impl MessagePage {
    /// The slots of this page. [`Synic`](super::Synic) switches it on.
    #[must_use]
    pub const fn new(page: SharedPage) -> Self {
        Self { page }
    }

    /// Takes the message out of a slot and frees the slot; `None` when there is no message.
    ///
    /// # Order
    ///
    /// The message is copied out, each word once. Then type 0 frees the slot, and after a full barrier the flags are read
    /// again: a host that found the slot taken meanwhile says there that more is pending, and waits for EOM. So either
    /// the host sees the slot free, or this sees the flag: [`host::synic::post_message`](crate::host::synic::post_message)
    /// has the other half.
    ///
    /// A host can fill the slot again at once: bound how many messages you take for one interrupt.
    #[must_use = "the slot is free again, and the message is nowhere else"]
    pub fn take(&mut self, sint: Sint) -> Option<Received> {
        take(&self.page, sint)
    }

    /// Whether a message waits in a slot.
    #[must_use]
    pub fn has_message(&self, sint: Sint) -> bool {
        let slot = u16::from(sint.number()) << SLOT_SHIFT;
        self.page.load_acquire(slot) != MessageType::NONE.0
    }

    pub(super) fn page(&mut self) -> &mut SharedPage {
        &mut self.page
    }

    /// Gives the page back.
    #[must_use]
    pub fn into_page(self) -> SharedPage {
        self.page
    }
}

/// [`MessagePage::take`], for any page.
pub(super) fn take(words: &impl Words, sint: Sint) -> Option<Received> {
    let slot = u16::from(sint.number()) << SLOT_SHIFT;
    let message_type = words.load_acquire(slot);
    if message_type == MessageType::NONE.0 {
        return None;
    }
    let mut message = Message::new_zeroed();
    message.header.message_type = message_type.into();
    if let Some((_, behind_type)) = message.as_mut_bytes().split_at_mut_checked(4) {
        words.read(slot | SIZE_AND_FLAGS, behind_type);
    }

    words.store_release(slot, MessageType::NONE.0);
    words.fence();
    let flags = words.load(slot | SIZE_AND_FLAGS);

    Some(Received {
        message: judge(message),
        eom: (flags & PENDING != 0).then_some(Eom(())),
    })
}

fn judge(mut message: Message) -> Result<Message, SlotFault> {
    let (message_type, len) = (message.message_type(), message.header.payload_size);
    match message.payload.get_mut(usize::from(len)..) {
        Some(rest) => {
            // What does not count is not kept, so that equal messages are equal.
            rest.fill(0);
            Ok(message)
        }
        None => Err(SlotFault::PayloadTooLong { message_type, len }),
    }
}

/// What was in a slot.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the host may wait for the EOM"]
pub struct Received {
    /// The message, in a private copy. When it is ill-formed the slot is free again all the same, and the next message
    /// comes.
    pub message: Result<Message, SlotFault>,
    /// There are more messages for this slot, and the host waits to be told that it is free.
    pub eom: Option<Eom>,
}

/// An end of message that the host waits for.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the host sends no more messages to this processor until it is written"]
pub struct Eom(());

impl Eom {
    /// Tells the hypervisor, on the processor whose slot it was.
    ///
    /// # Errors
    ///
    /// The register cannot be written.
    pub fn write(self, msrs: &(impl Msrs + ?Sized)) -> Result<(), MsrError> {
        write_plain(msrs, Plain::Eom)
    }
}

/// A slot held no message: the host's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SlotFault {
    /// The message claims more payload than there is.
    #[error(
        "a message of type {message_type} claims {len} bytes of payload, and a slot has {MESSAGE_PAYLOAD_MAX}"
    )]
    PayloadTooLong {
        /// What it is.
        message_type: MessageType,
        /// Bytes that it claims.
        len: u8,
    },
}
