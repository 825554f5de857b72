//! NIC and driver, and what the host does with its end.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use netvsc_proto::host::{Event, Fault, Nic, NicConfig, Outcome, PACKET_SCRATCH_LEN, Refusal, Scratch};
use netvsc_proto::wire::nvsp::Version;
use netvsc_proto::wire::rndis::PacketFilter;
use vmbus_proto::ringbuf::SharedMem;
use vmbus_proto::wire::GpadlId;

use super::{GuestChannel, HostQueue, Mem, Net, RECEIVE_GPADL, SEND_GPADL, channel};

/// NIC and driver.
pub(crate) struct Rig<const WORDS: usize = 4096> {
    pub(crate) nic: Nic,
    pub(crate) net: Rc<Net>,
    pub(crate) queues: Vec<HostQueue<WORDS>>,
    pub(crate) guest: Vec<GuestChannel<WORDS>>,
    pub(crate) ram: Mem,
    pub(crate) receive: Mem,
    pub(crate) send: Mem,
    pub(crate) budget: usize,
    pub(crate) next_id: u64,
    pub(crate) request_id: u32,
    pub(crate) refused: Vec<Refusal>,
    /// Sub-channels that the NIC asked to be offered.
    pub(crate) offered: u16,
    pub(crate) version: Version,
}

impl<const WORDS: usize> Rig<WORDS> {
    /// A NIC whose primary channel was just opened.
    pub(crate) fn new(config: NicConfig) -> Self {
        let (queue, guest) = channel(0);
        Self {
            nic: Nic::new(config).unwrap(),
            net: Rc::new(Net {
                frames: RefCell::default(),
                link: Cell::new(true),
                ready: Cell::new(true),
                drops: Cell::new(false),
            }),
            queues: vec![queue],
            guest: vec![guest],
            ram: Mem::new(1 << 20),
            receive: Mem::new(1 << 20),
            send: Mem::new(16 * 6144),
            budget: 64,
            next_id: 0x1000,
            request_id: 1,
            refused: Vec::new(),
            offered: 0,
            version: Version::V6_1,
        }
    }

    /// As Linux has it after bringing the interface up.
    pub(crate) fn up(config: NicConfig) -> Self {
        let mut rig = Self::new(config);
        rig.connect();
        rig.initialize();
        rig.set_filter(PacketFilter::DIRECTED | PacketFilter::BROADCAST | PacketFilter::ALL_MULTICAST);
        rig
    }

    pub(crate) fn serve_once(&mut self, index: usize) -> Result<Outcome, Fault> {
        let mut packet = vec![0; PACKET_SCRATCH_LEN];
        let mut transfer = vec![0; self.nic.config().transfer_scratch_len()];
        let mut scratch = Scratch {
            packet: &mut packet,
            transfer: &mut transfer,
        };
        let queue = &mut self.queues[index];
        let outcome = if index == 0 {
            self.nic
                .service(queue, &self.ram, &*self.net, &mut scratch, self.budget)
        } else {
            queue.service(&self.ram, &*self.net, &mut scratch, self.budget)
        }?;
        self.refused.extend(outcome.refused);
        Ok(outcome)
    }

    /// What an embedder's thread does when it is woken.
    pub(crate) fn serve(&mut self, index: usize) -> Result<(), Fault> {
        for _ in 0..1000 {
            let outcome = self.serve_once(index)?;
            let events = self.events();
            if !outcome.again && !events {
                return Ok(());
            }
        }
        panic!("the host is busy for ever");
    }

    pub(crate) fn events(&mut self) -> bool {
        let mut any = false;
        while let Some(event) = self.nic.poll_event() {
            any = true;
            match event {
                Event::MapReceiveBuffer(gpadl) => {
                    assert_eq!(gpadl, GpadlId::new(RECEIVE_GPADL));
                    if let Some(layout) = self.nic.receive_buffer_mapped(SharedMem::len(&self.receive)) {
                        self.queues[0].lend_receive_buffer(self.receive.clone(), layout);
                    }
                }
                Event::MapSendBuffer(gpadl) => {
                    assert_eq!(gpadl, GpadlId::new(SEND_GPADL));
                    if let Some(layout) = self.nic.send_buffer_mapped(SharedMem::len(&self.send)) {
                        self.queues[0].lend_send_buffer(self.send.clone(), layout);
                    }
                }
                Event::ReleaseReceiveBuffer => {
                    for queue in &mut self.queues[1..] {
                        queue.take_receive_buffer();
                    }
                    self.nic.receive_buffer_released();
                }
                Event::ReleaseSendBuffer => {
                    for queue in &mut self.queues[1..] {
                        queue.take_send_buffer();
                    }
                    self.nic.send_buffer_released();
                }
                Event::OfferSubchannels(count) => self.offered = count,
                Event::DataPathChanged => {
                    for queue in &mut self.queues[1..] {
                        queue.set_data_path(self.nic.data_path());
                    }
                }
                event => panic!("{event:?}"),
            }
        }
        any
    }

    /// Both ends until nothing moves.
    pub(crate) fn run(&mut self) {
        for _ in 0..3 {
            for index in 0..self.queues.len() {
                self.serve(index).unwrap();
                self.guest[index].poll(&self.receive);
                self.serve(index).unwrap();
            }
        }
    }

    /// The guest opens a sub-channel that was offered.
    pub(crate) fn open_subchannel(&mut self) {
        let index = u16::try_from(self.queues.len()).unwrap();
        let (mut queue, guest) = channel(index);
        queue.lend_receive_buffer(self.receive.clone(), self.nic.receive_layout().unwrap());
        queue.lend_send_buffer(self.send.clone(), self.nic.send_layout().unwrap());
        queue.set_data_path(self.nic.data_path());
        self.queues.push(queue);
        self.guest.push(guest);
        self.nic.set_open_queues(index + 1);
    }

    pub(crate) fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// The channels are closed, and the primary one opened again.
    pub(crate) fn reopen(&mut self) {
        self.nic.reset();
        let (queue, guest) = channel(0);
        self.queues = vec![queue];
        self.guest = vec![guest];
    }
}
