//! The network behind the NIC.

use std::cell::{Cell, RefCell};

use netvsc_proto::host::{NetBackend, TransmitInfo, Transmitted};

/// A network that keeps what it is given.
pub(crate) struct Net {
    pub(crate) frames: RefCell<Vec<(Vec<u8>, TransmitInfo)>>,
    pub(crate) link: Cell<bool>,
    pub(crate) ready: Cell<bool>,
    pub(crate) drops: Cell<bool>,
}

impl Net {
    pub(crate) fn take(&self) -> Vec<Vec<u8>> {
        self.frames
            .borrow_mut()
            .drain(..)
            .map(|(frame, _)| frame)
            .collect()
    }
}

impl NetBackend for Net {
    fn transmit(&self, frame: &[u8], info: &TransmitInfo) -> Transmitted {
        if self.drops.get() {
            return Transmitted::Dropped;
        }
        self.frames.borrow_mut().push((frame.to_vec(), *info));
        Transmitted::Sent
    }
    fn ready(&self, _: u16) -> bool {
        self.ready.get()
    }
    fn link_up(&self) -> bool {
        self.link.get()
    }
}
