//! The memory that is lent, which is the engine's until the host has let go of it.

use core::mem::ManuallyDrop;

use super::event::ReturnReason;
use super::pages::{Cursor, Shape};
use super::params::ChannelId;
use super::timer::Timer;
use crate::wire::GpadlId;

/// Where a GPADL is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Its messages are to be sent, from there on.
    Sending { cursor: Cursor, sent: u16 },
    /// All is sent; the host has not answered.
    Sent,
    /// The host has it.
    Ready,
    /// GPADL_TEARDOWN is to be sent.
    TeardownPending,
    /// GPADL_TEARDOWN is sent; the host has not answered.
    TearingDown,
    /// The connection has ended without the host's saying so.
    Stranded,
    /// The host has let go; the embedder is still to be given the memory.
    Returned(ReturnReason),
}

/// A GPADL.
#[derive(Debug)]
pub(super) struct Gpadl<M> {
    pub(super) id: GpadlId,
    pub(super) channel: ChannelId,
    /// The channel's rings are in it.
    pub(super) is_ring: bool,
    pub(super) shape: Shape,
    pub(super) state: State,
    /// Of the answer that is waited for.
    pub(super) timer: Timer,
    /// It is to be torn down as soon as the host has it.
    pub(super) unwanted: bool,
    /// The embedder is still to be told that the host has it.
    pub(super) notice_created: bool,
    /// The embedder is still to be told that an answer is overdue.
    pub(super) notice_overdue: bool,
    /// The embedder was told so, of the answer that is waited for.
    pub(super) overdue_told: bool,
    /// Not dropped while the host may touch it, not even with the engine.
    memory: ManuallyDrop<M>,
}

impl<M> Gpadl<M> {
    pub(super) fn memory(&self) -> &M {
        &self.memory
    }

    /// Whether the host knows of it, or is yet to be told.
    pub(super) fn is_lent(&self) -> bool {
        !matches!(self.state, State::Returned(_) | State::Stranded)
    }

    pub(super) fn is_on_the_way(&self) -> bool {
        matches!(self.state, State::Sending { sent, .. } if sent > 0)
    }

    pub(super) fn give_back(&mut self, reason: ReturnReason) {
        self.state = State::Returned(reason);
        self.timer = Timer::Off;
        self.notice_created = false;
        self.notice_overdue = false;
    }

    pub(super) fn await_answer(&mut self, state: State) {
        self.state = state;
        self.timer = Timer::Started;
        self.overdue_told = false;
    }

    /// Gives the host the time for an answer anew.
    pub(super) fn restart(&mut self) {
        if let State::Sent | State::TearingDown = self.state {
            self.timer = Timer::Started;
        }
    }

    /// Has it torn down, at once or as soon as the host has it.
    pub(super) fn recall(&mut self) {
        self.unwanted = true;
        match self.state {
            State::Sending { sent: 0, .. } => self.give_back(ReturnReason::NeverLent),
            State::Ready => {
                self.state = State::TeardownPending;
                self.notice_created = false;
            }
            _ => (),
        }
    }
}

/// All GPADLs.
#[derive(Debug)]
pub(super) struct GpadlTable<M, const GPADLS: usize> {
    entries: heapless::Vec<Gpadl<M>, GPADLS>,
    last_id: u32,
}

impl<M, const GPADLS: usize> GpadlTable<M, GPADLS> {
    pub(super) const fn new() -> Self {
        Self {
            entries: heapless::Vec::new(),
            last_id: 0,
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Gpadl<M>> + Clone {
        self.entries.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Gpadl<M>> {
        self.entries.iter_mut()
    }

    pub(super) fn find(&self, id: GpadlId) -> Option<&Gpadl<M>> {
        self.entries.iter().find(|gpadl| gpadl.id == id)
    }

    pub(super) fn find_mut(&mut self, id: GpadlId) -> Option<&mut Gpadl<M>> {
        self.entries.iter_mut().find(|gpadl| gpadl.id == id)
    }

    /// The rings of a channel that is being opened or open.
    pub(super) fn ring_mut(&mut self, channel: ChannelId) -> Option<&mut Gpadl<M>> {
        self.entries
            .iter_mut()
            .find(|gpadl| gpadl.is_ring && gpadl.channel == channel && !gpadl.unwanted)
    }

    pub(super) fn ring(&self, channel: ChannelId) -> Option<&Gpadl<M>> {
        self.entries
            .iter()
            .find(|gpadl| gpadl.is_ring && gpadl.channel == channel && !gpadl.unwanted)
    }

    pub(super) fn of(&mut self, channel: ChannelId) -> impl Iterator<Item = &mut Gpadl<M>> {
        self.entries
            .iter_mut()
            .filter(move |gpadl| gpadl.channel == channel)
    }

    /// Takes up memory that is to be lent; gives it back when there is no place.
    pub(super) fn add(
        &mut self,
        channel: ChannelId,
        is_ring: bool,
        memory: M,
        shape: Shape,
    ) -> Result<GpadlId, M> {
        let id = self.free_id();
        let gpadl = Gpadl {
            id,
            channel,
            is_ring,
            shape,
            state: State::Sending {
                cursor: Cursor::default(),
                sent: 0,
            },
            timer: Timer::Off,
            unwanted: false,
            notice_created: false,
            notice_overdue: false,
            overdue_told: false,
            memory: ManuallyDrop::new(memory),
        };
        match self.entries.push(gpadl) {
            Ok(()) => Ok(id),
            Err(gpadl) => Err(ManuallyDrop::into_inner(gpadl.memory)),
        }
    }

    /// An id that is as long unused as can be. 0 is none.
    fn free_id(&mut self) -> GpadlId {
        // One more than there are GPADLs is enough to find one that is free.
        for _ in 0..=self.entries.len() {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if self.find(GpadlId::new(self.last_id)).is_none() {
                break;
            }
        }
        GpadlId::new(self.last_id)
    }

    /// Takes out the first one that the host has let go of.
    pub(super) fn take_returned(&mut self) -> Option<(GpadlId, ChannelId, M, ReturnReason)> {
        let index = self
            .entries
            .iter()
            .position(|gpadl| matches!(gpadl.state, State::Returned(_)))?;
        let gpadl = self.entries.swap_remove(index);
        let State::Returned(reason) = gpadl.state else {
            return None;
        };
        Some((
            gpadl.id,
            gpadl.channel,
            ManuallyDrop::into_inner(gpadl.memory),
            reason,
        ))
    }
}
