//! What the bus needs of the kernel.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hvcall::guest::{Post, PostError, Posted, SharedPage, signal_event};
use hvcall::synic::MessageType;
use hvcall::{ConnectionId, HvStatus};
use vmbus_proto::guest::{ChannelSignal, Hal};
use vmbus_proto::ringbuf::Halves;

use crate::error::PlatformError;
use crate::hypervisor::Hypervisor;
use crate::ram::{Frames, Ring};

/// The platform under the bus.
#[derive(Debug)]
pub(super) struct Kernel {
    hypervisor: Arc<Hypervisor>,
    /// Parameters of hypercalls go through it.
    parameters: RefCell<SharedPage>,
    started: Instant,
}

impl Kernel {
    pub(super) const fn new(hypervisor: Arc<Hypervisor>, parameters: SharedPage, started: Instant) -> Self {
        Self {
            hypervisor,
            parameters: RefCell::new(parameters),
            started,
        }
    }
}

impl Hal for Kernel {
    type Memory = Frames;
    type Ring = Ring;
    type Error = PlatformError;

    fn post(&self, connection: ConnectionId, payload: &[u8]) -> HvStatus {
        let Ok(mut post) = Post::new(connection, MessageType::VMBUS, payload) else {
            return HvStatus::INVALID_PARAMETER;
        };
        // The bus repeats what is refused for now.
        match post.attempt(&*self.hypervisor, &mut self.parameters.borrow_mut()) {
            Ok(Posted::Done) => HvStatus::SUCCESS,
            Ok(Posted::Again { .. }) => HvStatus::INSUFFICIENT_BUFFERS,
            Err(PostError::Refused { status } | PostError::GaveUp { status, .. }) => status,
            Err(_) => HvStatus::INVALID_PARAMETER,
        }
    }

    fn signal(&self, signal: ChannelSignal) -> Result<(), PlatformError> {
        signal_event(&*self.hypervisor, signal.connection_id, 0)
            .map_err(|status| PlatformError::Signal { status })
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn rings(&self, memory: &Frames, downstream: u32) -> Result<Halves<Ring>, PlatformError> {
        memory.rings(downstream)
    }
}
