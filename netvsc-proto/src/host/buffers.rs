//! The two buffers that a guest lends: mapped by the embedder, divided into sections, given back.

use vmbus_proto::ringbuf::{RingMem, SharedMem};
use zerocopy::little_endian::U32;

use crate::nic::VLAN_TAG;
use crate::wire::nvsp::{
    MessageType, ReceiveBufferSection, RevokeBuffer, SendBuffer, SendReceiveBufferComplete,
    SendSendBufferComplete, Status,
};
use crate::wire::nvsp_message::HostMessage;

use super::config::SEND_SECTION_SIZE;
use super::fault::Refusal;
use super::nic::{Event, Nic};
use super::queue::{Queue, ReceiveLayout, Request, SendLayout};
use super::receive::HEADERS;

/// Bytes at the end of a section that stay unused: newer Windows drivers do not look at the last 36 (OpenVMM).
const UNUSED_TAIL: u32 = 36;

/// The smallest section: every control message fits.
const MIN_SECTION: u32 = 1024;

/// A buffer that the guest lends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Buffer<L> {
    /// There is none.
    None,
    /// The embedder is mapping it.
    Mapping(Request, SendBuffer),
    /// It is used.
    Lent(u16, L),
    /// The embedder is taking it from the queues.
    Releasing(Request),
}

impl<L> Buffer<L> {
    /// Whether the embedder is to do something about it.
    pub(super) fn is_changing(&self) -> bool {
        matches!(self, Self::Mapping(..) | Self::Releasing(_))
    }
}

impl Nic {
    /// How the receive buffer is divided, while there is one.
    pub fn receive_layout(&self) -> Option<ReceiveLayout> {
        if let Buffer::Lent(_, layout) = self.receive {
            Some(layout)
        } else {
            None
        }
    }

    /// How the send buffer is divided, while there is one.
    pub fn send_layout(&self) -> Option<SendLayout> {
        if let Buffer::Lent(_, layout) = self.send {
            Some(layout)
        } else {
            None
        }
    }

    /// The guest lends a receive buffer. A second one, while there is one, is refused.
    pub(super) fn lend_receive_buffer<M: RingMem, B: SharedMem, const SECTIONS: usize>(
        &mut self,
        queue: &mut Queue<M, B, SECTIONS>,
        request: Request,
        buffer: &SendBuffer,
    ) {
        if let Buffer::None = self.receive {
            self.receive = Buffer::Mapping(request, *buffer);
            self.event(Event::MapReceiveBuffer(buffer.gpadl));
        } else {
            queue.refuse(Refusal::Buffer(MessageType::SEND_RECEIVE_BUFFER));
            self.refuse_receive_buffer(request);
        }
    }

    /// The guest lends a send buffer. A second one, while there is one, is refused.
    pub(super) fn lend_send_buffer<M: RingMem, B: SharedMem, const SECTIONS: usize>(
        &mut self,
        queue: &mut Queue<M, B, SECTIONS>,
        request: Request,
        buffer: &SendBuffer,
    ) {
        if let Buffer::None = self.send {
            self.send = Buffer::Mapping(request, *buffer);
            self.event(Event::MapSendBuffer(buffer.gpadl));
        } else {
            queue.refuse(Refusal::Buffer(MessageType::SEND_SEND_BUFFER));
            self.refuse_send_buffer(request);
        }
    }

    /// The guest takes its receive buffer back. One that there is not is given back at once.
    pub(super) fn revoke_receive_buffer<M: RingMem, B: SharedMem, const SECTIONS: usize>(
        &mut self,
        queue: &mut Queue<M, B, SECTIONS>,
        request: Request,
        buffer: &RevokeBuffer,
    ) {
        match self.receive {
            Buffer::Lent(id, _) if id == buffer.id.get() => {
                queue.take_receive_buffer();
                self.receive = Buffer::Releasing(request);
                self.event(Event::ReleaseReceiveBuffer);
            }
            _ => {
                queue.refuse(Refusal::Buffer(MessageType::REVOKE_RECEIVE_BUFFER));
                self.acknowledge(request);
            }
        }
    }

    /// The guest takes its send buffer back. One that there is not is given back at once.
    pub(super) fn revoke_send_buffer<M: RingMem, B: SharedMem, const SECTIONS: usize>(
        &mut self,
        queue: &mut Queue<M, B, SECTIONS>,
        request: Request,
        buffer: &RevokeBuffer,
    ) {
        match self.send {
            Buffer::Lent(id, _) if id == buffer.id.get() => {
                queue.take_send_buffer();
                self.send = Buffer::Releasing(request);
                self.event(Event::ReleaseSendBuffer);
            }
            _ => {
                queue.refuse(Refusal::Buffer(MessageType::REVOKE_SEND_BUFFER));
                self.acknowledge(request);
            }
        }
    }

    /// The embedder has mapped the receive buffer, of `length` bytes. Returns how it is divided: lend it to the
    /// primary channel's queue so, and to those of sub-channels when they are opened. `None`: it is too small or was
    /// not asked for; unmap it.
    pub fn receive_buffer_mapped(&mut self, length: usize) -> Option<ReceiveLayout> {
        let Buffer::Mapping(request, buffer) = self.receive else {
            return None;
        };
        let frame = self.data_path.max_frame.saturating_add(VLAN_TAG);
        let part_size = frame
            .saturating_add(HEADERS)
            .saturating_add(UNUSED_TAIL)
            .max(MIN_SECTION);
        let part_size = part_size.checked_next_multiple_of(64)?;
        // Linux reads the end of the section as a u32; a buffer of that size has more sections than are used.
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        let parts = length.checked_div(part_size).unwrap_or_default();
        let per_queue = parts
            .checked_div(self.config.max_queues.into())
            .unwrap_or_default();
        let sections_per_queue = u16::try_from(per_queue)
            .unwrap_or(u16::MAX)
            .min(self.config.sections_per_queue);
        // Fewer would leave the primary channel none for frames.
        if sections_per_queue < 8 {
            self.refuse_receive_buffer(request);
            self.receive = Buffer::None;
            return None;
        }
        let part_count = u32::from(sections_per_queue).saturating_mul(self.config.max_queues.into());
        let section = ReceiveBufferSection {
            offset: U32::ZERO,
            part_size: U32::new(part_size),
            part_count: U32::new(part_count),
            end_offset: U32::new(part_size.saturating_mul(part_count)),
        };
        let complete = SendReceiveBufferComplete {
            status: Status::SUCCESS,
            section_count: U32::new(1),
            section,
        };
        self.answer(request, &HostMessage::SendReceiveBufferComplete(complete));
        let layout = ReceiveLayout {
            buffer_id: buffer.id.get(),
            section_size: part_size,
            sections_per_queue,
        };
        self.receive = Buffer::Lent(buffer.id.get(), layout);
        Some(layout)
    }

    /// The embedder cannot map the receive buffer: the guest is told.
    pub fn receive_buffer_refused(&mut self) {
        if let Buffer::Mapping(request, _) = self.receive {
            self.refuse_receive_buffer(request);
            self.receive = Buffer::None;
        }
    }

    /// No queue has the receive buffer any more: the guest may take it back.
    pub fn receive_buffer_released(&mut self) {
        if let Buffer::Releasing(request) = self.receive {
            self.acknowledge(request);
            self.receive = Buffer::None;
        }
    }

    /// The embedder has mapped the send buffer, of `length` bytes. As
    /// [`receive_buffer_mapped`](Self::receive_buffer_mapped).
    pub fn send_buffer_mapped(&mut self, length: usize) -> Option<SendLayout> {
        let Buffer::Mapping(request, buffer) = self.send else {
            return None;
        };
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        let section_count = length.checked_div(SEND_SECTION_SIZE).unwrap_or_default();
        if section_count == 0 {
            self.refuse_send_buffer(request);
            self.send = Buffer::None;
            return None;
        }
        let complete = SendSendBufferComplete {
            status: Status::SUCCESS,
            section_size: U32::new(SEND_SECTION_SIZE),
        };
        self.answer(request, &HostMessage::SendSendBufferComplete(complete));
        let layout = SendLayout {
            section_size: SEND_SECTION_SIZE,
            section_count,
        };
        self.send = Buffer::Lent(buffer.id.get(), layout);
        Some(layout)
    }

    /// The embedder cannot map the send buffer: the guest is told.
    pub fn send_buffer_refused(&mut self) {
        if let Buffer::Mapping(request, _) = self.send {
            self.refuse_send_buffer(request);
            self.send = Buffer::None;
        }
    }

    /// No queue has the send buffer any more: the guest may take it back.
    pub fn send_buffer_released(&mut self) {
        if let Buffer::Releasing(request) = self.send {
            self.acknowledge(request);
            self.send = Buffer::None;
        }
    }

    fn refuse_receive_buffer(&mut self, request: Request) {
        let complete = SendReceiveBufferComplete {
            status: Status::FAILURE,
            ..SendReceiveBufferComplete::default()
        };
        self.answer(request, &HostMessage::SendReceiveBufferComplete(complete));
    }

    fn refuse_send_buffer(&mut self, request: Request) {
        let complete = SendSendBufferComplete {
            status: Status::FAILURE,
            section_size: U32::ZERO,
        };
        self.answer(request, &HostMessage::SendSendBufferComplete(complete));
    }
}
