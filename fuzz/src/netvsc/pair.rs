//! Our driver and our NIC, honest both: every frame arrives once and in order, either way, everything that is asked is
//! answered, and the NIC goes down in order, by ends that work when they are signalled and no more.

use std::collections::VecDeque;

use netvsc_proto::guest::TransmitInfo;
use netvsc_proto::host::{Offloads, Queue, ReceiveError, ReceiveInfo, Received, Spreader};
use netvsc_proto::wire::nvsp::Version;
use netvsc_proto::wire::ppi::Vlan;
use vmbus_ringbuf::{Halves, RingMem, RingPair};

pub use super::driver::Ask;
use super::driver::{Driver, Memory, Told};
use super::region::Region;
use super::vmm::{OFFLOADS, SECTIONS, Vmm, config};
use crate::input::Steps;
use crate::memory::{Kind, ring};
use crate::steps;

steps! {
    /// What either end does.
    pub enum Step {
        Poll(sub_channel: bool),
        Serve(sub_channel: bool, budget: u8),
        /// The driver sends a frame.
        Transmit(sub_channel: bool, in_pages: bool, len: u16, tag: u16),
        /// The network has a frame for the guest.
        Frame(sub_channel: bool, destination: u8, len: u16, tag: u16),
        Flush(sub_channel: bool),
        /// The network takes frames, or takes none.
        Ready(ready: bool),
        Link(up: bool),
        Speed(speed: u32),
        Ask(ask: Ask),
        /// The driver asks for a sub-channel, or opens the one that is offered: it may see that before it is answered.
        SubChannels,
        /// Both work, as long as they signal each other.
        Settle,
        ShutDown,
    }
}

steps! {
    pub struct Input {
        pub kind: Kind,
        /// The highest version that the driver asks for.
        pub version: u8,
        pub offloads: bool,
        /// Brought up before the steps, or with a sub-channel too.
        pub start: u8,
        pub steps: Steps<Step>,
    }
}

/// A frame under way, and the tag beside it.
type Frame = (Vec<u8>, Option<u16>);

struct Model<'a> {
    driver: Driver<&'a dyn RingMem>,
    vmm: Vmm,
    queues: [Queue<&'a dyn RingMem, Region, SECTIONS>; 2],
    ram: Region,
    /// The driver's end of the sub-channel, until it opens it.
    sub_channel: Option<RingPair<&'a dyn RingMem>>,
    /// Frames under way to the network and to the guest, by channel.
    out: [VecDeque<Frame>; 2],
    into: [VecDeque<Frame>; 2],
    /// Who has something to do.
    guest_due: [bool; 2],
    host_due: [bool; 2],
    /// The guest asked for something by which frames that are under way may not be wanted any more.
    unwanted: bool,
    count: u8,
}

impl Input {
    /// Runs the steps.
    pub fn run(self) {
        // Netvsc wants a ring of a page at least.
        let kind = match self.kind {
            Kind::Small => Kind::PageList,
            kind => kind,
        };
        let rings = [(); 4].map(|()| ring(&kind));
        let [primary, sub] = [0, 2].map(|at| Halves {
            to_host: &*rings[at],
            to_guest: &*rings[at + 1],
        });
        let mut config = config();
        config.offloads = if self.offloads {
            OFFLOADS
        } else {
            Offloads {
                vlan: true,
                ..Offloads::NONE
            }
        };
        let memory = Memory::new();
        let version = Version::NAMED[usize::from(self.version) % Version::NAMED.len()];
        let guest = |halves| RingPair::guest(halves).expect("a new ring");
        let host = |halves| RingPair::host(halves).expect("a new ring");
        let mut model = Model {
            driver: Driver::new(guest(primary), memory.clone(), version),
            vmm: Vmm::new(config, memory.receive.clone(), memory.send.clone()),
            queues: [Queue::new(0, host(primary)), Queue::new(1, host(sub))],
            ram: memory.ram,
            sub_channel: Some(guest(sub)),
            out: Default::default(),
            into: Default::default(),
            guest_due: [true; 2],
            host_due: [true; 2],
            unwanted: false,
            count: 0,
        };
        if !self.start.is_multiple_of(4) {
            model.settle();
            assert!(model.driver.ready, "they come to terms");
            model.step(Step::Ask(Ask::Filter(0x2f)));
            model.settle();
            model.unwanted = false;
        }
        if self.start % 4 > 1 {
            model.step(Step::SubChannels);
            model.settle();
        }
        for step in self.steps {
            model.step(step);
            model.driver.check();
        }
        model.finish();
    }
}

impl Model<'_> {
    fn step(&mut self, step: Step) {
        match step {
            Step::Poll(sub) => self.poll(sub.into()),
            Step::Serve(sub, budget) => self.serve(sub.into(), budget.into()),
            Step::Transmit(sub, in_pages, len, tag) => self.transmit(sub.into(), in_pages, len, tag),
            Step::Frame(sub, destination, len, tag) => self.frame(sub.into(), destination, len, tag),
            Step::Flush(sub) => {
                let signal = self.queues[usize::from(sub)].flush().expect("an honest guest");
                self.guest_due[usize::from(sub)] |= signal.is_needed();
            }
            Step::Ready(ready) => {
                self.vmm.net.ready.set(ready);
                self.host_due = [true; 2];
            }
            Step::Link(up) => {
                self.vmm.net.link.set(up);
                self.host_due[0] = true;
            }
            Step::Speed(speed) => {
                self.vmm.nic.set_link_speed(speed.into());
                self.host_due[0] = true;
            }
            Step::Ask(ask) => {
                self.unwanted |= matches!(ask, Ask::Filter(_) | Ask::Reset | Ask::Set(..) | Ask::Mac(_));
                self.driver.ask(&ask);
                self.guest_due[0] = true;
            }
            Step::SubChannels if self.vmm.offered => self.open_sub_channel(),
            Step::SubChannels => {
                let _ = self.driver.nic.create_sub_channels(1);
                self.guest_due[0] = true;
            }
            Step::Settle => self.settle(),
            Step::ShutDown => {
                // What the sub-channel had under way ends with it.
                self.unwanted = true;
                self.out[1].clear();
                self.driver.shut_down();
                self.guest_due[0] = true;
            }
        }
    }

    fn open_sub_channel(&mut self) {
        if !self.driver.leaving
            && let Some(rings) = self.sub_channel.take()
        {
            self.driver.open_sub_channel(rings);
            self.guest_due[1] = true;
            self.host_due[1] = true;
        }
    }

    /// Bytes that no other frame has.
    fn bytes(&mut self, destination: [u8; 6], len: u16) -> Vec<u8> {
        self.count = self.count.wrapping_add(1);
        let mut bytes = destination.to_vec();
        let len = 14 + usize::from(len) % 1501;
        bytes.extend((6..len).map(|at| self.count ^ (at as u8).wrapping_mul(7)));
        // IPv4 without options, and TCP, so that there is a flow to be hashed.
        for (at, byte) in [(12, 8), (13, 0), (14, 0x45), (20, 0), (21, 0), (23, 6)] {
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
        }
        bytes
    }

    fn transmit(&mut self, index: usize, in_pages: bool, len: u16, tag: u16) {
        let frame = self.bytes([0xff; 6], len);
        let tag = (tag % 2 == 1).then_some(tag);
        let info = TransmitInfo {
            vlan: tag
                .map(Vlan::from_tci)
                .filter(|_| self.driver.nic.data_path().offloads.vlan),
            hash: tag.map(u32::from),
            ..TransmitInfo::NONE
        };
        if self.driver.transmit(index, in_pages, &frame, &info) {
            self.out[index].push_back((frame, info.vlan.map(Vlan::tci)));
        }
        self.host_due[index] |= std::mem::take(&mut self.driver.signals[index]);
    }

    fn frame(&mut self, index: usize, destination: u8, len: u16, tag: u16) {
        if self.driver.queues[index].is_none() {
            return;
        }
        let destination = match destination % 3 {
            0 => self.vmm.nic.data_path().mac.0,
            1 => [0xff; 6],
            _ => [1, 0, 0x5e, 0, 0, 1],
        };
        let frame = self.bytes(destination, len);
        let tag = (tag % 2 == 1).then_some(tag);
        let path = self.vmm.nic.data_path();
        let spreader = Spreader::new(path);
        assert!(spreader.queue_for(&frame) < path.open_queues.max(1));
        let info = ReceiveInfo {
            vlan: tag.map(Vlan::from_tci),
            hash: spreader.hash(&frame),
            ..ReceiveInfo::NONE
        };
        match self.queues[index].receive(&frame, &info) {
            Ok(Received::Staged) => self.into[index].push_back((frame, tag)),
            Ok(Received::Filtered) | Err(ReceiveError::NoBuffer | ReceiveError::RingFull) => {}
            Err(ReceiveError::Fault(fault)) => panic!("{fault}"),
            Err(_) => {}
        }
    }

    fn poll(&mut self, index: usize) {
        let Some(polled) = self.driver.poll(index) else {
            assert_eq!(self.driver.fault, [None; 2], "an honest host");
            self.guest_due[index] = false;
            return;
        };
        self.guest_due[index] = polled.again;
        self.host_due[index] |= std::mem::take(&mut self.driver.signals[index]);
        match polled.told {
            Told::SubChannels(1) => self.open_sub_channel(),
            Told::Frame(frame, info) => {
                let found = (frame, info.vlan.map(Vlan::tci));
                while self.unwanted && self.into[index].front().is_some_and(|next| *next != found) {
                    self.into[index].pop_front();
                }
                assert_eq!(self.into[index].pop_front(), Some(found), "not the next frame");
            }
            _ => {}
        }
    }

    fn serve(&mut self, index: usize, budget: usize) {
        let served = self.vmm.serve(&mut self.queues[index], &self.ram, budget);
        let served = served.expect("an honest guest");
        self.guest_due[index] |= served.signal;
        self.host_due[index] = served.again;
        let [primary, sub] = &mut self.queues;
        if self.vmm.events(primary, sub).any {
            self.host_due = [true; 2];
        }
        for (out, found) in self.out.iter_mut().zip(&self.vmm.net.frames) {
            for (frame, info) in found.borrow_mut().drain(..) {
                let found = (frame, info.vlan.map(Vlan::tci));
                if self.driver.queues[1].is_some() || info.queue == 0 {
                    assert_eq!(out.pop_front(), Some(found), "not the next frame");
                }
            }
        }
    }

    fn settle(&mut self) {
        for round in 0.. {
            // A driver that goes down looks whether the host has read its last message, which waits for the network too.
            if round > 1000 && self.driver.leaving && !self.vmm.net.ready.get() {
                return;
            }
            assert!(round < 10_000, "it goes on and on");
            for index in [0, 1] {
                if self.guest_due[index] {
                    self.poll(index);
                }
                if self.host_due[index] {
                    self.serve(index, 16);
                }
            }
            if self.guest_due == [false; 2] && self.host_due == [false; 2] {
                return;
            }
        }
    }

    /// In the end everything is done, and the NIC goes down.
    fn finish(&mut self) {
        self.step(Step::Ready(true));
        for sub in [false, true] {
            self.step(Step::Flush(sub));
        }
        self.settle();
        assert!(self.driver.ready || self.driver.leaving, "it does not come up");
        assert!(self.driver.is_idle(), "something without an end");
        assert!(self.driver.is_told(), "a queue that was not told");
        assert!(self.out.iter().all(VecDeque::is_empty), "frames that got lost");
        assert!(
            self.unwanted || self.into.iter().all(VecDeque::is_empty),
            "frames that got lost"
        );
        for (index, queue) in self.queues.iter().enumerate() {
            let open = self.driver.queues[index].is_some();
            assert!(
                !open || queue.outstanding() == 0,
                "sections that are not returned"
            );
        }
        if !self.driver.leaving {
            self.step(Step::ShutDown);
            self.settle();
        }
        assert!(self.driver.down, "it does not go down");
        assert!(!self.vmm.nic.data_path().initialized && self.vmm.nic.receive_layout().is_none());
    }
}
