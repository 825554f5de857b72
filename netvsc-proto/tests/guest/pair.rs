//! Our guest against our host, each called only when the other signals it.

use std::collections::VecDeque;

use netvsc_proto::guest::{
    Buffer, DataPath, Event, HEAD_LEN, Nic, NicConfig, Pages, Properties, Queue, QueueMemory, REQUEST_LEN,
    ReceiveInfo, RequestId, SendTable, Submitted, TransmitInfo,
};
use netvsc_proto::host;
use netvsc_proto::nic::MacAddress;
use netvsc_proto::wire::nvsp::Status;
use netvsc_proto::wire::rndis::PacketFilter;
use netvsc_proto::wire::status::RndisStatus;
use vmbus_proto::hvcall::GuestMemory;
use vmbus_proto::ringbuf::gpa::GpaRange;
use vmbus_proto::ringbuf::{OutOfBounds, RingPair, SharedMem};
use vmbus_proto::wire::GpadlId;
use zerocopy::little_endian::U64;

use crate::support::{MAC, Mem, RECEIVE_GPADL, Rig, Ring, SEND_GPADL};

pub(crate) const DEPTH: usize = 8;
/// Where requests and heads lie in the guest's memory: heads across a page's end.
const REQUESTS_GPA: u64 = 0x8000;
const HEADS_GPA: u64 = 0x10fe0;
/// Where frames in pages lie: across a page's end.
const FRAMES_GPA: u64 = 0x20f00;

/// A part of a memory.
#[derive(Clone)]
pub(crate) struct View {
    pub(crate) mem: Mem,
    pub(crate) start: usize,
    pub(crate) len: usize,
}

impl View {
    pub(crate) fn all(mem: &Mem) -> Self {
        let len = SharedMem::len(mem);
        Self {
            mem: mem.clone(),
            start: 0,
            len,
        }
    }
}

impl SharedMem for View {
    fn len(&self) -> usize {
        self.len
    }
    fn read(&self, offset: usize, dst: &mut [u8]) -> Result<(), OutOfBounds> {
        let (len, region) = (dst.len(), self.len);
        let fits = offset.checked_add(len).is_some_and(|end| end <= region);
        let all = OutOfBounds { offset, len, region };
        if fits {
            SharedMem::read(&self.mem, self.start + offset, dst)
        } else {
            Err(all)
        }
    }
    fn write(&self, offset: usize, src: &[u8]) -> Result<(), OutOfBounds> {
        let (len, region) = (src.len(), self.len);
        let fits = offset.checked_add(len).is_some_and(|end| end <= region);
        let all = OutOfBounds { offset, len, region };
        if fits {
            SharedMem::write(&self.mem, self.start + offset, src)
        } else {
            Err(all)
        }
    }
}

/// Pages of a guest's memory that is as large as `mem`, by address.
pub(crate) fn pages(mem: &Mem, gpa: u64, len: usize) -> Pages<'static, View> {
    let start = usize::try_from(gpa).unwrap();
    let pfns: Vec<U64> = (gpa / 4096..(gpa + len as u64).div_ceil(4096))
        .map(U64::new)
        .collect();
    let view = View {
        mem: mem.clone(),
        start,
        len,
    };
    Pages::new(view, (gpa % 4096) as u32, Box::leak(pfns.into_boxed_slice())).unwrap()
}

pub(crate) fn requests(ram: &Mem) -> Pages<'static, View> {
    pages(ram, REQUESTS_GPA, 4 * REQUEST_LEN)
}

pub(crate) fn memory(ram: &Mem, receive: &Mem, send: &Mem, index: u16) -> QueueMemory<'static, View> {
    let len = DEPTH * HEAD_LEN as usize;
    QueueMemory {
        receive: View::all(receive),
        send: View::all(send),
        heads: Some(pages(ram, HEADS_GPA + u64::from(index) * 0x1000, len)),
    }
}

pub(crate) type GuestQueue<const WORDS: usize> = Queue<'static, Ring<WORDS>, View, DEPTH>;

/// What happened, as something that lives on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Happened {
    Ready(Properties),
    Transmitted(netvsc_proto::guest::TransmitId, Status),
    Answered(RequestId, RndisStatus, Vec<u8>),
    SendTable(SendTable),
    Other(String),
}

pub(crate) fn other(event: &Event<'_>) -> Happened {
    Happened::Other(format!("{event:?}"))
}

pub(crate) struct Pair<const WORDS: usize = 4096> {
    pub(crate) rig: Rig<WORDS>,
    pub(crate) nic: Nic<'static, View>,
    pub(crate) queues: Vec<GuestQueue<WORDS>>,
    /// Frames that came, by channel.
    pub(crate) frames: Vec<Vec<(Vec<u8>, ReceiveInfo)>>,
    pub(crate) events: VecDeque<Happened>,
    /// Whether the guest works: otherwise its rings fill.
    pub(crate) guest_works: bool,
}

pub(crate) fn guest_config(rig_receive: usize, rig_send: usize) -> NicConfig {
    let buffer = |gpadl, len| Buffer {
        gpadl: GpadlId::new(gpadl),
        len: u32::try_from(len).unwrap(),
    };
    NicConfig::new(buffer(RECEIVE_GPADL, rig_receive), buffer(SEND_GPADL, rig_send))
}

impl<const WORDS: usize> Pair<WORDS> {
    pub(crate) fn new(config: host::NicConfig, change: impl FnOnce(&mut NicConfig)) -> Self {
        let mut rig = Rig::new(config);
        let rings: RingPair<Ring<WORDS>> = rig.guest.remove(0).rings;
        let mut config = guest_config(SharedMem::len(&rig.receive), SharedMem::len(&rig.send));
        change(&mut config);
        let nic = Nic::new(config, requests(&rig.ram)).unwrap();
        let memory = memory(&rig.ram, &rig.receive, &rig.send, 0);
        Self {
            rig,
            nic,
            queues: vec![Queue::primary(rings, memory)],
            frames: vec![vec![]],
            events: VecDeque::new(),
            guest_works: true,
        }
    }

    /// Brought up, with a packet filter.
    pub(crate) fn up(config: host::NicConfig) -> Self {
        Self::up_with(config, |_| ())
    }

    pub(crate) fn up_with(config: host::NicConfig, change: impl FnOnce(&mut NicConfig)) -> Self {
        let mut pair = Self::new(config, change);
        pair.run();
        pair.ready();
        pair.set_filter(PacketFilter::DIRECTED | PacketFilter::BROADCAST | PacketFilter::ALL_MULTICAST);
        pair
    }

    pub(crate) fn ready(&mut self) -> Properties {
        match self.events.pop_front() {
            Some(Happened::Ready(properties)) => properties,
            other => panic!("{other:?}, {:?}", self.queues[0].fault()),
        }
    }

    pub(crate) fn set_filter(&mut self, filter: PacketFilter) {
        let id = self.nic.set_packet_filter(filter).unwrap();
        self.run();
        assert_eq!(
            self.events.pop_front(),
            Some(Happened::Answered(id, RndisStatus::SUCCESS, vec![]))
        );
        assert_eq!(self.nic.packet_filter(), filter);
    }

    /// One call of the guest's. Returns what it said of signal and again.
    pub(crate) fn poll_once(&mut self, index: usize) -> (bool, bool) {
        let mut buffer = vec![0xaa; self.nic.receive_len()];
        let queue = &mut self.queues[index];
        let polled = if index == 0 {
            self.nic.poll(queue, &mut buffer)
        } else {
            queue.poll(&mut buffer)
        };
        let polled = polled.unwrap();
        let turn = (polled.signal.is_needed(), polled.again);
        match polled.event {
            None => {}
            Some(Event::Received { frame, info }) => self.frames[index].push((frame.to_vec(), info)),
            Some(Event::Ready(properties)) => self.events.push_back(Happened::Ready(properties)),
            Some(Event::Transmitted { id, status }) => {
                self.events.push_back(Happened::Transmitted(id, status))
            }
            Some(Event::Answered { id, status, info }) => {
                self.events
                    .push_back(Happened::Answered(id, status, info.to_vec()));
            }
            Some(Event::SendTable(table)) => self.events.push_back(Happened::SendTable(table)),
            Some(Event::DataPathChanged) => {
                let path: DataPath = *self.nic.data_path();
                self.queues[1..]
                    .iter_mut()
                    .for_each(|queue| queue.set_data_path(&path));
            }
            Some(event) => self.events.push_back(other(&event)),
        }
        turn
    }

    /// Both ends until nothing moves. Each is called once, as an embedder does that has just done something, and then
    /// only when the other signals it.
    pub(crate) fn run(&mut self) {
        for index in 0..self.queues.len() {
            let (mut guest_turn, mut host_turn) = (true, true);
            for round in 0.. {
                assert!(round < 10_000, "busy for ever");
                if guest_turn && self.guest_works {
                    let (signal, again) = self.poll_once(index);
                    (guest_turn, host_turn) = (again, host_turn | signal);
                }
                if host_turn {
                    let served = self.rig.serve_once(index).unwrap();
                    host_turn = served.again | self.rig.events();
                    guest_turn |= served.signal;
                }
                if !(host_turn || guest_turn && self.guest_works) {
                    break;
                }
            }
        }
    }

    /// Opens the sub-channels that the host offers.
    pub(crate) fn open_sub_channels(&mut self, count: u16) {
        self.nic.create_sub_channels(count).unwrap();
        self.run();
        let event = Event::SubChannels {
            status: Status::SUCCESS,
            count,
        };
        assert_eq!(self.events.pop_front(), Some(other(&event)));
        assert_eq!((self.rig.offered, self.nic.sub_channels()), (count, count));
        for index in 1..=count {
            self.rig.open_subchannel();
            let rings = self.rig.guest.remove(0).rings;
            let memory = memory(&self.rig.ram, &self.rig.receive, &self.rig.send, index);
            self.queues
                .push(Queue::sub_channel(index, rings, memory, self.nic.data_path()));
            self.frames.push(vec![]);
        }
        self.run();
    }

    /// A frame for the guest, by one of its channels.
    pub(crate) fn give(&mut self, channel: usize, frame: &[u8], info: &ReceiveInfo) {
        let received = self.rig.queues[channel].receive(frame, info).unwrap();
        assert_eq!(received, host::Received::Staged);
        let _ = self.rig.queues[channel].flush().unwrap();
    }

    /// Puts a frame into pages and sends it from there.
    pub(crate) fn transmit_pages(
        &mut self,
        channel: usize,
        frame: &[u8],
        info: &TransmitInfo,
    ) -> Result<Submitted, netvsc_proto::guest::TransmitError> {
        GuestMemory::write(&self.rig.ram, FRAMES_GPA, frame).unwrap();
        let mut pieces = Vec::new();
        let (mut at, end) = (FRAMES_GPA, FRAMES_GPA + frame.len() as u64);
        while at < end {
            let len = (end - at).min(4096 - at % 4096);
            pieces.push(([U64::new(at / 4096)], (at % 4096) as u32, len as u32));
            at += len;
        }
        let ranges: Vec<_> = pieces
            .iter()
            .map(|(pfn, offset, len)| GpaRange::new(*offset, *len, pfn).unwrap())
            .collect();
        let destination = MacAddress(*frame.first_chunk().unwrap());
        self.queues[channel].transmit_pages(destination, &ranges, info)
    }

    /// A frame gets through either way, on every channel.
    pub(crate) fn alive(&mut self) {
        use crate::support::frame;
        self.run();
        self.events.clear();
        self.rig.net.take();
        for index in 0..self.queues.len() {
            self.frames[index].clear();
            let submitted = self.queues[index]
                .transmit(&frame(MAC, 1, 60), &TransmitInfo::NONE)
                .unwrap();
            self.run();
            assert_eq!(
                self.events.pop_front(),
                Some(Happened::Transmitted(submitted.id, Status::SUCCESS))
            );
            assert_eq!(self.rig.net.take(), [frame(MAC, 1, 60)]);
            self.give(index, &frame(MAC, 2, 61), &ReceiveInfo::NONE);
            self.run();
            assert_eq!(self.frames[index], [(frame(MAC, 2, 61), ReceiveInfo::NONE)]);
            assert_eq!(
                (
                    self.queues[index].outstanding(),
                    self.rig.queues[index].outstanding()
                ),
                (0, 0)
            );
        }
    }
}
