//! Heartbeat, at the guest: a host that asks is answered.

use vmbus_ringbuf::RingMem;
use zerocopy::FromBytes;

use super::Refusal;
use super::channel::{Channel, Duty, Taken};
use crate::ic::wire::{ApplicationState, Body, HeartbeatData, Service};

/// The heartbeat service. Requests are answered by themselves; nobody needs to look at its events.
pub type Heartbeat<'s, M> = Channel<'s, M, HeartbeatDuty>;

/// [`Heartbeat`]'s.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeartbeatDuty {
    state: Option<ApplicationState>,
    answer: u64,
}

/// The host has asked, and was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat {
    /// The host's number.
    pub sequence: u64,
}

impl Duty for HeartbeatDuty {
    const SERVICE: &'static Service = &Service::HEARTBEAT;
    type Request = Beat;

    fn take(&mut self, body: &Body<'_>) -> Taken<Beat> {
        let Body::Heartbeat(data) = body else {
            return Taken::Refuse(Refusal::of(body));
        };
        let sequence = data.sequence.get();
        self.answer = sequence.wrapping_add(1);
        Taken::Answer(Beat { sequence })
    }

    fn fill(&self, body: &mut [u8]) {
        if let Some(bytes) = body.get_mut(..HeartbeatData::LEAST) {
            bytes.copy_from_slice(&self.answer.to_le_bytes());
        }
        // A host that sends no more than its number has no room for a state.
        let state = body
            .get_mut(HeartbeatData::LEAST..)
            .map(ApplicationState::mut_from_prefix);
        if let (Some(Ok((to, _))), Some(state)) = (state, self.state) {
            *to = state;
        }
    }
}

impl<M: RingMem> Heartbeat<'_, M> {
    /// What the host is told of the guest's applications from now on; before, it gets back what it sent, as from Linux.
    pub const fn set_state(&mut self, state: ApplicationState) {
        self.duty.state = Some(state);
    }
}
