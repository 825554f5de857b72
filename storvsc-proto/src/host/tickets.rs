//! Requests that are under way, and answers that wait for room in the ring.

use crate::host::{BlockError, Outcome};
use crate::wire::{
    Completion, CompletionBody, EncodedPacket, HostMessage, NtStatus, PacketForm, ScsiRequest,
};

use super::channel::Sender;
use super::outcome::failure;

/// A request that is under way. It is answered exactly once: [`Queue::complete`](super::Queue::complete)
/// takes it.
#[derive(Debug, PartialEq, Eq, Hash)]
#[must_use = "the guest waits for an answer"]
pub struct Ticket {
    slot: usize,
    generation: u32,
}

/// A request, while the copy of its packet is there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) request: &'a ScsiRequest,
    pub(crate) sender: Sender,
    /// Bytes that are transferred when it is done.
    pub(crate) transferred: u32,
    pub(crate) writes: bool,
}

impl Asked<'_> {
    /// What is to be known of it when the packet is gone.
    #[inline]
    pub(crate) const fn running(&self) -> Running {
        Running {
            request: *self.request,
            sender: self.sender,
            transferred: self.transferred,
            writes: self.writes,
        }
    }

    /// How it ended, when the disk has done or not done what it was asked for.
    #[inline]
    pub(crate) fn outcome(&self, result: Result<(), BlockError>) -> Outcome {
        match result {
            Ok(()) => Outcome::good(self.transferred),
            Err(error) => failure(error, self.writes),
        }
    }
}

/// What is known of a request that is under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Running {
    request: ScsiRequest,
    sender: Sender,
    transferred: u32,
    writes: bool,
}

impl Running {
    #[inline]
    const fn asked(&self) -> Asked<'_> {
        Asked {
            request: &self.request,
            sender: self.sender,
            transferred: self.transferred,
            writes: self.writes,
        }
    }
}

/// An answer ready to be sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reply {
    pub(crate) transaction_id: u64,
    pub(crate) packet: EncodedPacket,
}

impl Reply {
    /// An answer, if there is someone to be answered.
    #[inline]
    pub(crate) fn new(
        answer_to: Option<u64>,
        form: PacketForm,
        status: NtStatus,
        body: &CompletionBody,
    ) -> Option<Self> {
        let transaction_id = answer_to?;
        let packet = HostMessage::CompleteIo(Completion::new(status, body)).encode(form);
        Some(Self {
            transaction_id,
            packet,
        })
    }
}

#[derive(Clone, Copy, Debug)]
enum State {
    Free,
    Running(Running),
    Answered(Reply),
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    generation: u32,
    state: State,
}

/// A place for every request that the host has taken and not answered. While there is none free, none is
/// taken.
#[derive(Debug)]
pub(crate) struct Tickets<const DEPTH: usize> {
    slots: [Slot; DEPTH],
    running: usize,
    answered: usize,
}

impl<const DEPTH: usize> Tickets<DEPTH> {
    #[inline]
    pub(crate) const fn new() -> Self {
        Self {
            slots: [Slot {
                generation: 0,
                state: State::Free,
            }; DEPTH],
            running: 0,
            answered: 0,
        }
    }

    pub(crate) const fn running(&self) -> usize {
        self.running
    }

    pub(crate) const fn has_answers(&self) -> bool {
        self.answered > 0
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.running.saturating_add(self.answered) >= DEPTH
    }

    fn free(&mut self) -> Option<(usize, &mut Slot)> {
        self.slots
            .iter_mut()
            .enumerate()
            .find(|(_, slot)| matches!(slot.state, State::Free))
    }

    /// Takes a place for a request. `None` when there is none, which the caller has ruled out.
    #[inline]
    pub(crate) fn start(&mut self, running: Running) -> Option<Ticket> {
        let (index, slot) = self.free()?;
        slot.generation = slot.generation.wrapping_add(1);
        slot.state = State::Running(running);
        let ticket = Ticket {
            slot: index,
            generation: slot.generation,
        };
        self.running = self.running.saturating_add(1);
        Some(ticket)
    }

    /// Takes a place for an answer that waits for room in the ring.
    #[inline]
    pub(crate) fn answer(&mut self, reply: Reply) {
        if let Some((_, slot)) = self.free() {
            slot.state = State::Answered(reply);
            self.answered = self.answered.saturating_add(1);
        }
    }

    /// Ends a request, whose place is free then, and returns its answer, if somebody waits for it. `None` when there is no such
    /// request.
    #[inline]
    pub(crate) fn complete(
        &mut self,
        ticket: &Ticket,
        result: Result<(), BlockError>,
    ) -> Option<Option<Reply>> {
        let slot = self.slots.get_mut(ticket.slot)?;
        let State::Running(running) = &slot.state else {
            return None;
        };
        if slot.generation != ticket.generation {
            return None;
        }
        let outcome = running.asked().outcome(result);
        let reply = running.sender.end(&running.request, &outcome);
        slot.state = State::Free;
        self.running = self.running.saturating_sub(1);
        Some(reply)
    }

    /// Hands answers to `send` until it refuses one, and frees the places of those that it took.
    #[inline]
    pub(crate) fn flush<E>(&mut self, mut send: impl FnMut(&Reply) -> Result<(), E>) -> Result<(), E> {
        if self.answered == 0 {
            return Ok(());
        }
        for slot in &mut self.slots {
            if let State::Answered(reply) = &slot.state {
                send(reply)?;
                slot.state = State::Free;
                self.answered = self.answered.saturating_sub(1);
            }
        }
        Ok(())
    }

    /// Forgets the answers that were not sent.
    pub(crate) fn drop_answers(&mut self) {
        for slot in &mut self.slots {
            if matches!(slot.state, State::Answered(_)) {
                slot.state = State::Free;
            }
        }
        self.answered = 0;
    }
}
