//! What a VMM has of a NIC besides its channels: the engine of our host, the network, and the buffers that a guest lends.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use hvcall::GuestMemory;
use netvsc_proto::host::{
    Checksums, Event, Fault, MacAddress, NetBackend, Nic, NicConfig, Offloads, Outcome, PACKET_SCRATCH_LEN,
    Queue, Scratch, TransmitInfo, Transmitted,
};
use vmbus_ringbuf::{RingMem, SharedMem};

use super::region::Region;

pub const SECTIONS: usize = 32;

/// All that a guest may leave to its NIC. Large sends have a bound of their own in each version of IP.
pub const OFFLOADS: Offloads = Offloads {
    transmit: Checksums::ALL,
    receive: Checksums::ALL,
    large_send_ipv4: 8000,
    large_send_ipv6: 4000,
    vlan: true,
};

/// A NIC of two queues, whose address the guest may change.
pub fn config() -> NicConfig {
    NicConfig {
        max_queues: 2,
        sections_per_queue: SECTIONS as u16,
        mac_may_change: true,
        ..NicConfig::new(MacAddress([2, 0, 0, 0, 0, 1]))
    }
}

/// Frames from the guest, and what is known of them.
type Frames = VecDeque<(Vec<u8>, TransmitInfo)>;

/// A network that keeps the last frames.
pub struct Net {
    pub ready: Cell<bool>,
    pub link: Cell<bool>,
    /// The frames that came, by queue.
    pub frames: [RefCell<Frames>; 2],
    largest: usize,
}

impl NetBackend for Net {
    fn transmit(&self, frame: &[u8], info: &TransmitInfo) -> Transmitted {
        assert!(self.ready.get(), "not ready");
        assert!(frame.len() >= 14 && frame.len() <= self.largest);
        let mut frames = self.frames[usize::from(info.queue)].borrow_mut();
        frames.push_back((frame.to_vec(), *info));
        Transmitted::Sent
    }

    fn ready(&self, _: u16) -> bool {
        self.ready.get()
    }

    fn link_up(&self) -> bool {
        self.link.get()
    }
}

/// The engine, the network, and the buffers.
pub struct Vmm {
    pub nic: Nic,
    pub net: Net,
    pub receive: Region,
    pub send: Region,
    packet: Vec<u8>,
    transfer: Vec<u8>,
    /// Bytes that the embedder maps of either buffer, at most.
    pub mapped: usize,
    /// A sub-channel is offered.
    pub offered: bool,
}

/// What the engine asked for.
#[derive(Default)]
pub struct Asked {
    pub any: bool,
    /// It gave the receive buffer up.
    pub released: bool,
}

impl Vmm {
    /// A NIC of two queues.
    pub fn new(config: NicConfig, receive: Region, send: Region) -> Self {
        Self {
            nic: Nic::new(config).expect("a good configuration"),
            net: Net {
                ready: Cell::new(true),
                link: Cell::new(true),
                frames: Default::default(),
                largest: 0x1_0000,
            },
            receive,
            send,
            packet: vec![0; PACKET_SCRATCH_LEN],
            transfer: vec![0; config.transfer_scratch_len()],
            mapped: usize::MAX,
            offered: false,
        }
    }

    /// Serves one of the two queues.
    pub fn serve<M: RingMem>(
        &mut self,
        queue: &mut Queue<M, Region, SECTIONS>,
        ram: &impl GuestMemory,
        budget: usize,
    ) -> Result<Outcome, Fault> {
        let mut scratch = Scratch {
            packet: &mut self.packet,
            transfer: &mut self.transfer,
        };
        if queue.index() == 0 {
            self.nic.service(queue, ram, &self.net, &mut scratch, budget)
        } else {
            queue.service(ram, &self.net, &mut scratch, budget)
        }
    }

    /// Does what the engine asks for.
    pub fn events<M: RingMem>(
        &mut self,
        primary: &mut Queue<M, Region, SECTIONS>,
        sub: &mut Queue<M, Region, SECTIONS>,
    ) -> Asked {
        let mut asked = Asked::default();
        while let Some(event) = self.nic.poll_event() {
            asked.any = true;
            match event {
                Event::MapReceiveBuffer(_) if self.mapped == 0 => self.nic.receive_buffer_refused(),
                Event::MapReceiveBuffer(_) => {
                    let len = SharedMem::len(&self.receive).min(self.mapped);
                    if let Some(layout) = self.nic.receive_buffer_mapped(len) {
                        for queue in [&mut *primary, &mut *sub] {
                            queue.lend_receive_buffer(self.receive.clone(), layout);
                        }
                    }
                }
                Event::MapSendBuffer(_) if self.mapped == 0 => self.nic.send_buffer_refused(),
                Event::MapSendBuffer(_) => {
                    let len = SharedMem::len(&self.send).min(self.mapped);
                    if let Some(layout) = self.nic.send_buffer_mapped(len) {
                        for queue in [&mut *primary, &mut *sub] {
                            queue.lend_send_buffer(self.send.clone(), layout);
                        }
                    }
                }
                Event::ReleaseReceiveBuffer => {
                    assert!(primary.take_receive_buffer().is_none(), "given up already");
                    sub.take_receive_buffer();
                    self.nic.receive_buffer_released();
                    asked.released = true;
                }
                Event::ReleaseSendBuffer => {
                    assert!(primary.take_send_buffer().is_none(), "given up already");
                    sub.take_send_buffer();
                    self.nic.send_buffer_released();
                }
                Event::OfferSubchannels(count) => {
                    assert!(count == 1);
                    self.offered = true;
                    self.nic.set_open_queues(2);
                }
                Event::DataPathChanged => sub.set_data_path(self.nic.data_path()),
                event => panic!("{event:?}"),
            }
        }
        asked
    }
}
