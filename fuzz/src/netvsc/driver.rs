//! A driver with our guest's engine: what it asks for, what it is told, and what has to hold of both.

use std::collections::{HashMap, HashSet};

use netvsc_proto::guest::{
    Buffer, Checksums, ControlError, DataPath, Event, Fault, HEAD_LEN, MacAddress, Nic, NicConfig, Offloads,
    Pages, PollError, Queue, QueueMemory, REQUEST_LEN, ReceiveInfo, RequestId, Rss, TransmitError,
    TransmitId, TransmitInfo,
};
use netvsc_proto::wire::nvsp::Version;
use netvsc_proto::wire::rndis::PacketFilter;
use netvsc_proto::wire::rss::{HashInfo, KEY_LEN, MAX_TABLE_LEN};
use vmbus_proto::wire::GpadlId;
use vmbus_ringbuf::gpa::GpaRange;
use vmbus_ringbuf::{RingMem, RingPair, SharedMem};
use zerocopy::little_endian::U64;

use super::guest_rndis::WhichOid;
use super::region::Region;
use crate::input::Bytes;
use crate::steps;

pub const DEPTH: usize = 8;
/// Bytes of the guest's memory.
const RAM: usize = 0x3_0000;
const REQUESTS: usize = 0x1000;
const REQUEST_PAGES: &[U64] = &[U64::new(1)];
/// Heads lie across a page's end.
const HEADS: [usize; 2] = [0x2fe0, 0x4fe0];
const HEAD_PAGES: [&[U64]; 2] = [&[U64::new(2), U64::new(3)], &[U64::new(4), U64::new(5)]];
/// Frames that are sent in pages, of two pages each.
const FRAMES: usize = 0x8000;
const FRAME_LEN: usize = 0x2000;
const FRAME_OFFSET: usize = 0xf00;

steps! {
    /// What a driver asks of its NIC.
    pub enum Ask {
        Filter(bits: u16),
        Query(oid: WhichOid, info: Bytes),
        Set(oid: WhichOid, info: Bytes),
        Multicast(count: u8),
        Mac(last: u8),
        Offloads(which: u8),
        Rss(on: bool, channel: u8),
        Keepalive,
        Reset,
    }
}

/// What a driver is told, as something that lives on.
#[derive(Debug)]
pub enum Told {
    Nothing,
    Frame(Vec<u8>, ReceiveInfo),
    Ready,
    SubChannels(u16),
    ShutDown,
    /// The host has answered what it was asked.
    Answered,
    Other,
}

/// What a call to poll came to.
pub struct Polled {
    pub told: Told,
    pub again: bool,
}

/// The memory that a NIC takes.
#[derive(Clone)]
pub struct Memory {
    pub ram: Region,
    pub receive: Region,
    pub send: Region,
}

impl Memory {
    /// As much as two queues take.
    pub fn new() -> Self {
        Self {
            ram: Region::new(RAM),
            receive: Region::new(28 * 4096),
            send: Region::new(8 * 4096),
        }
    }

    fn of_queue(&self, index: usize) -> QueueMemory<'static, Region> {
        let heads = self.ram.part(HEADS[index], DEPTH * HEAD_LEN as usize);
        let heads = Pages::new(heads, (HEADS[index] % 4096) as u32, HEAD_PAGES[index]);
        QueueMemory {
            receive: self.receive.clone(),
            send: self.send.clone(),
            heads: Some(heads.expect("two pages")),
        }
    }
}

/// Both engines, and what their embedder knows.
pub struct Driver<M> {
    pub nic: Nic<'static, Region>,
    pub queues: [Option<Queue<'static, M, Region, DEPTH>>; 2],
    memory: Memory,
    buffer: Vec<u8>,
    /// What the sub-channel's queue was told last.
    path: DataPath,
    /// Frames under way by channel, and where those in pages lie.
    under_way: [HashMap<TransmitId, Option<usize>>; 2],
    requests: HashSet<RequestId>,
    /// Signals that are due to the host.
    pub signals: [bool; 2],
    /// What poisoned a channel.
    pub fault: [Option<Fault>; 2],
    pub ready: bool,
    pub leaving: bool,
    pub down: bool,
}

impl<M: RingMem> Driver<M> {
    /// Of a channel that was just opened.
    pub fn new(rings: RingPair<M>, memory: Memory, max_version: Version) -> Self {
        let buffer = |gpadl, region: &Region| Buffer {
            gpadl: GpadlId::new(gpadl),
            len: SharedMem::len(region) as u32,
        };
        let config = NicConfig {
            max_queues: 2,
            max_version,
            ..NicConfig::new(buffer(1, &memory.receive), buffer(2, &memory.send))
        };
        let requests = Pages::new(memory.ram.part(REQUESTS, 4 * REQUEST_LEN), 0, REQUEST_PAGES);
        let nic = Nic::new(config, requests.expect("a page")).expect("a good configuration");
        Self {
            buffer: vec![0; nic.receive_len()],
            nic,
            queues: [Some(Queue::primary(rings, memory.of_queue(0))), None],
            memory,
            path: DataPath::default(),
            under_way: Default::default(),
            requests: HashSet::new(),
            signals: [false; 2],
            fault: [None; 2],
            ready: false,
            leaving: false,
            down: false,
        }
    }

    /// The sub-channel was just opened.
    pub fn open_sub_channel(&mut self, rings: RingPair<M>) {
        let memory = self.memory.of_queue(1);
        self.path = *self.nic.data_path();
        let queue = Queue::sub_channel(1, rings, memory, &self.path);
        assert!(self.queues[1].replace(queue).is_none());
    }

    /// Sends a frame, of at most 4096 bytes. Tells whether it was taken.
    pub fn transmit(&mut self, index: usize, in_pages: bool, frame: &[u8], info: &TransmitInfo) -> bool {
        let frame = &frame[..frame.len().min(4096)];
        let used = |slot: &usize| {
            self.under_way
                .iter()
                .any(|of| of.values().any(|at| *at == Some(*slot)))
        };
        let slot = (0..2 * DEPTH).find(|slot| !used(slot));
        let Some(queue) = &mut self.queues[index] else {
            return false;
        };
        let (result, slot) = match (in_pages, slot) {
            (true, Some(slot)) => {
                let at = FRAMES + slot * FRAME_LEN + FRAME_OFFSET;
                self.memory.ram.put(at, frame);
                let first = frame.len().min(4096 - FRAME_OFFSET);
                let pages = [at / 4096, at / 4096 + 1].map(|page| [U64::new(page as u64)]);
                let pieces: Vec<_> = [
                    GpaRange::new(FRAME_OFFSET as u32, first as u32, &pages[0]),
                    GpaRange::new(0, (frame.len() - first) as u32, &pages[1]),
                ]
                .into_iter()
                .flatten()
                .collect();
                let destination = MacAddress(*frame.first_chunk().unwrap_or(&[0; 6]));
                (queue.transmit_pages(destination, &pieces, info), Some(slot))
            }
            _ => (queue.transmit(frame, info), None),
        };
        match result {
            Ok(submitted) => {
                // A queue learns with the next poll that the NIC goes down.
                assert!(self.ready && !self.down, "before it is up");
                let under_way = self.under_way[index].insert(submitted.id, slot);
                assert!(under_way.is_none(), "ids are unique");
                self.signals[index] |= submitted.signal.is_needed();
                return true;
            }
            Err(TransmitError::Fault(fault)) => self.judge(index, fault),
            Err(TransmitError::NotReady) => assert!(!self.ready || self.leaving || index == 1),
            Err(_) => {}
        }
        false
    }

    /// Asks for something.
    pub fn ask(&mut self, ask: &Ask) {
        let nic = &mut self.nic;
        let result = match ask {
            Ask::Filter(bits) => nic.set_packet_filter(PacketFilter::from_bits_retain((*bits).into())),
            Ask::Query(oid, info) => nic.query(oid.oid(), &info.0),
            Ask::Set(oid, info) => nic.set(oid.oid(), &info.0),
            Ask::Multicast(count) => {
                nic.set_multicast(&vec![MacAddress([1, 0, 0x5e, 0, 0, 1]); (*count).into()])
            }
            Ask::Mac(last) => nic.set_mac(MacAddress([2, 0, 0, 0, 0, *last])),
            Ask::Offloads(which) => nic.set_offloads(&Offloads {
                transmit: if which & 1 == 0 {
                    Checksums::NONE
                } else {
                    Checksums::ALL
                },
                receive: if which & 2 == 0 {
                    Checksums::NONE
                } else {
                    Checksums::ALL
                },
                large_send_ipv4: u32::from(which & 4) * 1000,
                large_send_ipv6: u32::from(which & 8) * 500,
                vlan: true,
            }),
            Ask::Rss(on, channel) => nic.set_rss(
                on.then_some(Rss {
                    hash_info: HashInfo::from_bits_retain(0x301),
                    key: [7; KEY_LEN],
                    table: std::array::from_fn(|at| if at == 3 { (*channel).into() } else { 0 }),
                })
                .as_ref(),
            ),
            Ask::Keepalive => nic.keepalive(),
            Ask::Reset => nic.reset(),
        };
        const _: () = assert!(MAX_TABLE_LEN > 3);
        match result {
            Ok(id) => {
                assert!(self.ready && !self.leaving, "before it is up");
                assert!(self.requests.insert(id), "ids are unique");
            }
            Err(ControlError::NotReady) => assert!(!self.ready || self.leaving || self.fault[0].is_some()),
            Err(_) => {}
        }
    }

    fn judge(&mut self, index: usize, fault: Fault) {
        assert_eq!(*self.fault[index].get_or_insert(fault), fault, "sticky");
    }

    /// One call. Nothing, if the channel is not there, or poisoned.
    pub fn poll(&mut self, index: usize) -> Option<Polled> {
        let queue = self.queues[index].as_mut()?;
        self.buffer
            .resize(self.nic.receive_len().max(queue.receive_len()), 0);
        let result = if index == 0 {
            self.nic.poll(queue, &mut self.buffer)
        } else {
            queue.poll(&mut self.buffer)
        };
        let polled = match result {
            Ok(polled) => polled,
            Err(PollError::Fault(fault)) => {
                self.judge(index, fault);
                return None;
            }
            Err(error) => panic!("{error}"),
        };
        assert_eq!(self.fault[index], None, "a fault is forgotten");
        let told = match polled.event {
            None => Told::Nothing,
            Some(Event::Received { frame, info }) => {
                assert!(self.ready && !(self.leaving && index == 0));
                Told::Frame(frame.to_vec(), info)
            }
            Some(Event::Transmitted { id, .. }) => {
                assert!(
                    self.under_way[index].remove(&id).is_some(),
                    "{id:?} is not under way"
                );
                Told::Other
            }
            Some(Event::Ready(properties)) => {
                assert!(!std::mem::replace(&mut self.ready, true), "ready twice");
                assert!(properties.mac.is_station() && properties.mtu <= 1500);
                Told::Ready
            }
            Some(Event::Answered { id, .. }) => {
                assert!(self.requests.remove(&id), "{id:?} is not asked");
                Told::Answered
            }
            Some(Event::RequestFailed { id, .. } | Event::Reset { id, .. }) => {
                assert!(self.requests.remove(&id), "{id:?} is not asked");
                Told::Other
            }
            Some(Event::SubChannels { count, .. }) => Told::SubChannels(count),
            Some(Event::SendTable(table)) => {
                assert!((0..16).all(|hash| table.queue_for(hash, 2) < 2));
                Told::Other
            }
            Some(Event::DataPathChanged) => {
                self.path = *self.nic.data_path();
                if let Some(queue) = &mut self.queues[1] {
                    queue.set_data_path(&self.path);
                }
                Told::Other
            }
            Some(Event::ShutDown) => {
                assert!(self.leaving && !std::mem::replace(&mut self.down, true));
                Told::ShutDown
            }
            Some(_) => Told::Other,
        };
        self.signals[index] |= polled.signal.is_needed();
        Some(Polled {
            told,
            again: polled.again,
        })
    }

    /// Closes the sub-channel: what it had under way is named, each once.
    pub fn close_sub_channel(&mut self) {
        if let Some(mut queue) = self.queues[1].take() {
            while let Some(aborted) = queue.abort() {
                assert!(self.under_way[1].remove(&aborted.id).is_some());
            }
            assert!(self.under_way[1].is_empty() && queue.outstanding() == 0);
        }
    }

    /// Takes the NIC down in order.
    pub fn shut_down(&mut self) {
        self.close_sub_channel();
        self.leaving = true;
        self.nic.shut_down();
    }

    /// Gives the NIC up: all that was under way is named, each once.
    pub fn abort(&mut self) {
        self.close_sub_channel();
        if let Some(queue) = &mut self.queues[0] {
            while let Some(aborted) = queue.abort() {
                assert!(self.under_way[0].remove(&aborted.id).is_some());
            }
            assert_eq!(queue.outstanding(), 0);
            self.fault[0] = queue.fault();
        }
        while let Some(id) = self.nic.abort() {
            assert!(self.requests.remove(&id));
        }
        self.leaving = true;
        assert!(self.is_idle(), "what was under way did not end");
    }

    /// Whether everything that was sent and asked for has ended.
    pub fn is_idle(&self) -> bool {
        self.under_way.iter().all(HashMap::is_empty) && self.requests.is_empty()
    }

    /// Whether the sub-channel's queue, if it is open, knows what it has to.
    pub fn is_told(&self) -> bool {
        self.queues[1].is_none() || self.path == *self.nic.data_path()
    }

    /// What holds at any time.
    pub fn check(&self) {
        for (index, queue) in self.queues.iter().enumerate() {
            let Some(queue) = queue else { continue };
            assert!(queue.outstanding() >= self.under_way[index].len() && queue.outstanding() <= DEPTH);
            assert!(queue.transmit_capacity() + queue.outstanding() <= DEPTH);
            if let Some(layout) = self.nic.data_path().send
                && queue.outstanding() == 0
                && queue.fault().is_none()
            {
                let sections = DEPTH.min(layout.sections_per_queue as usize);
                assert_eq!(queue.transmit_capacity(), sections, "sections that got lost");
            }
            if let Some(fault) = queue.fault() {
                assert_eq!(self.fault[index].unwrap_or(fault), fault);
            }
        }
        assert!(self.nic.sub_channels() <= 1);
        let path = self.nic.data_path();
        assert!(!path.ready || self.ready);
    }
}
