//! From registers and memory to a typed request.

use core::fmt;
use core::mem::size_of;
use core::ops::Deref;

use zerocopy::{FromZeros, IntoBytes};

use super::input::{CallRegisters, check_output, read_input};
use crate::synic::{EVENT_FLAG_COUNT, MESSAGE_PAYLOAD_MAX, MessageType};
use crate::wire::{
    DEBUG_DATA_MAX, ExtendedCapabilities, PostDebugDataInput, PostDebugDataOutput, PostMessageInput,
    ResetDebugSessionInput, ResetDebugSessionOutput, RetrieveDebugDataInput, RetrieveDebugDataOutput,
    SignalEventInput,
};
use crate::{CallCode, ConnectionId, GuestMemory, HvStatus};

/// A hypercall that a VMM has to answer: what KVM hands on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[expect(
    clippy::large_enum_variant,
    reason = "there is no allocator to box it with, and a request lives for one exit"
)]
pub enum Request {
    /// A message is posted. Whether there is such a connection only the embedder knows: it answers
    /// [`HvStatus::INVALID_CONNECTION_ID`] when there is none, and [`HvStatus::INSUFFICIENT_BUFFERS`] when the guest
    /// shall try again.
    PostMessage {
        /// Where to.
        connection_id: ConnectionId,
        /// What it is; neither 0 nor one of the hypervisor's. VMBus: [`MessageType::VMBUS`].
        message_type: MessageType,
        /// The bytes that count, in a private copy.
        payload: Payload,
    },
    /// An event is signalled. KVM answers it by itself where an eventfd is bound to the connection.
    SignalEvent {
        /// On which connection.
        connection_id: ConnectionId,
        /// Which flag, counted from the port's first, below 2048. VMBus: 0.
        flag_number: u16,
    },
    /// The guest's kernel debugger sends.
    PostDebugData {
        /// Bytes to send, at most [`DEBUG_DATA_MAX`].
        count: u32,
        /// As in [`PostDebugDataInput::options`].
        options: u32,
        /// Where they are. They do not leave the page.
        data_gpa: u64,
        /// Where a [`PostDebugDataOutput`] goes.
        output_gpa: u64,
    },
    /// The guest's kernel debugger wants to receive.
    RetrieveDebugData {
        /// Bytes that it wants; no more than [`DEBUG_DATA_MAX`] fit.
        count: u32,
        /// As in [`RetrieveDebugDataInput::options`].
        options: u32,
        /// As in [`RetrieveDebugDataInput::timeout`].
        timeout: u64,
        /// Where a [`RetrieveDebugDataOutput`] goes, and the bytes behind it up to the end of the page.
        output_gpa: u64,
    },
    /// The guest's kernel debugger begins anew.
    ResetDebugSession {
        /// As in [`ResetDebugSessionInput::options`].
        options: u32,
        /// Where a [`ResetDebugSessionOutput`] goes.
        output_gpa: u64,
    },
    /// The guest asks which extended calls there are: see [`answer_query_capabilities`].
    QueryCapabilities {
        /// Where [`ExtendedCapabilities`] go.
        output_gpa: u64,
    },
}

/// The bytes of a posted message, at most 240 of them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Payload {
    bytes: [u8; MESSAGE_PAYLOAD_MAX],
    len: usize,
}

impl Payload {
    /// A copy of the first `len` bytes, or `None` when there are not so many.
    fn new(mut bytes: [u8; MESSAGE_PAYLOAD_MAX], len: usize) -> Option<Self> {
        // What does not count is not kept, so that equal messages are equal.
        bytes.get_mut(len..)?.fill(0);
        Some(Self { bytes, len })
    }
}

impl Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&self.bytes)
    }
}

impl AsRef<[u8]> for Payload {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// Decodes a hypercall that a guest made. What it returns as an error is the status to answer with.
///
/// Parameters are copied out of guest memory once, and judged then.
///
/// # Errors
///
/// | status | why |
/// |---|---|
/// | [`INVALID_HYPERCALL_CODE`](HvStatus::INVALID_HYPERCALL_CODE) | it is none of [`Request`] |
/// | [`INVALID_HYPERCALL_INPUT`](HvStatus::INVALID_HYPERCALL_INPUT) | the control word has reserved bits, a rep count, a rep start or a variable header; a fast call whose input does not fit registers; reserved bits of a signal; a connection id above 24 bits |
/// | [`INVALID_ALIGNMENT`](HvStatus::INVALID_ALIGNMENT) | parameters that are misaligned, cross a page, or are not in guest memory |
/// | [`INVALID_PARAMETER`](HvStatus::INVALID_PARAMETER) | a message of type 0, of one of the hypervisor's types, of more than 240 bytes or with reserved bits; an event flag from 2048 on; more debug data than fits |
///
/// Sources: TLFS "Common Hypercall Status Codes", "HvCallPostMessage" and "HvCallSignalEvent". For a payload that is
/// too long QEMU answers `INVALID_HYPERCALL_INPUT` instead, and it takes any type and reserved bits. What to answer
/// to reserved bits of a signal the specification leaves open: KVM and QEMU answer as here.
///
/// ```
/// use hvcall::host::{CallRegisters, Request, decode};
/// use hvcall::{GuestMemory, HvStatus};
///
/// /// A guest signals the event of connection 0x2001 in the fast form.
/// fn example(memory: &impl GuestMemory) -> Result<(), HvStatus> {
///     let registers = CallRegisters { control: 0x1_005d, input: 0x2001, ..CallRegisters::default() };
///     if let Request::SignalEvent { connection_id, flag_number } = decode(&registers, memory)? {
///         assert_eq!((connection_id.0, flag_number), (0x2001, 0));
///     }
///     Ok(())
/// }
/// ```
pub fn decode(registers: &CallRegisters, memory: &(impl GuestMemory + ?Sized)) -> Result<Request, HvStatus> {
    let control = registers.control();
    match control.code() {
        CallCode::POST_MESSAGE => {
            control.check_simple()?;
            post_message(&read(registers, memory)?)
        }
        CallCode::SIGNAL_EVENT => {
            control.check_simple()?;
            signal_event(read(registers, memory)?)
        }
        CallCode::POST_DEBUG_DATA => {
            control.check_simple()?;
            only_in_memory(registers)?;
            let PostDebugDataInput { count, options } = read(registers, memory)?;
            let count = count.get();
            // What is left of the page behind the header, which need not stand at its begin.
            let room = u64::from(DEBUG_DATA_MAX).saturating_sub(registers.input & 0xfff);
            if u64::from(count) > room {
                return Err(HvStatus::INVALID_PARAMETER);
            }
            Ok(Request::PostDebugData {
                count,
                options: options.get(),
                data_gpa: registers.input.saturating_add(8),
                output_gpa: check_output(registers, size_of::<PostDebugDataOutput>())?,
            })
        }
        CallCode::RETRIEVE_DEBUG_DATA => {
            control.check_simple()?;
            only_in_memory(registers)?;
            let RetrieveDebugDataInput {
                count,
                options,
                timeout,
            } = read(registers, memory)?;
            Ok(Request::RetrieveDebugData {
                count: count.get(),
                options: options.get(),
                timeout: timeout.get(),
                output_gpa: check_output(registers, size_of::<RetrieveDebugDataOutput>())?,
            })
        }
        CallCode::RESET_DEBUG_SESSION => {
            control.check_simple()?;
            let ResetDebugSessionInput { options } = read(registers, memory)?;
            let output_gpa = check_output(registers, size_of::<ResetDebugSessionOutput>())?;
            Ok(Request::ResetDebugSession {
                options: options.get(),
                output_gpa,
            })
        }
        CallCode::EXT_QUERY_CAPABILITIES => {
            control.check_simple()?;
            only_in_memory(registers)?;
            let output_gpa = check_output(registers, size_of::<u64>())?;
            Ok(Request::QueryCapabilities { output_gpa })
        }
        _ => Err(HvStatus::INVALID_HYPERCALL_CODE),
    }
}

/// Answers [`Request::QueryCapabilities`].
///
/// # Errors
/// [`HvStatus::INVALID_ALIGNMENT`], the status to answer with, when the guest named what is not its memory.
pub fn answer_query_capabilities(
    memory: &(impl GuestMemory + ?Sized),
    output_gpa: u64,
    capabilities: ExtendedCapabilities,
) -> Result<(), HvStatus> {
    memory
        .write(output_gpa, &capabilities.bits().to_le_bytes())
        .map_err(|_| HvStatus::INVALID_ALIGNMENT)
}

fn read<T: FromZeros + zerocopy::FromBytes + IntoBytes>(
    registers: &CallRegisters,
    memory: &(impl GuestMemory + ?Sized),
) -> Result<T, HvStatus> {
    let mut input = T::new_zeroed();
    read_input(registers, memory, input.as_mut_bytes())?;
    Ok(input)
}

/// Refuses the fast form for calls whose output has no place in registers.
fn only_in_memory(registers: &CallRegisters) -> Result<(), HvStatus> {
    if registers.control().is_fast() {
        Err(HvStatus::INVALID_HYPERCALL_INPUT)
    } else {
        Ok(())
    }
}

fn connection(id: u32) -> Result<ConnectionId, HvStatus> {
    let id = ConnectionId(id);
    if id.is_valid() {
        Ok(id)
    } else {
        Err(HvStatus::INVALID_HYPERCALL_INPUT)
    }
}

fn post_message(input: &PostMessageInput) -> Result<Request, HvStatus> {
    let message_type = MessageType(input.message_type.get());
    if message_type == MessageType::NONE || message_type.is_hypervisor() || input.reserved.get() != 0 {
        return Err(HvStatus::INVALID_PARAMETER);
    }
    let payload = usize::try_from(input.payload_size.get())
        .ok()
        .and_then(|len| Payload::new(input.payload, len))
        .ok_or(HvStatus::INVALID_PARAMETER)?;
    Ok(Request::PostMessage {
        connection_id: connection(input.connection_id.get())?,
        message_type,
        payload,
    })
}

fn signal_event(input: SignalEventInput) -> Result<Request, HvStatus> {
    if input.reserved.get() != 0 {
        return Err(HvStatus::INVALID_HYPERCALL_INPUT);
    }
    let flag_number = input.flag_number.get();
    if flag_number >= EVENT_FLAG_COUNT {
        return Err(HvStatus::INVALID_PARAMETER);
    }
    Ok(Request::SignalEvent {
        connection_id: connection(input.connection_id.get())?,
        flag_number,
    })
}
