//! Our driver and our disks, honest both: every command ends, and what is written is what is read.

use std::collections::HashMap;

use hvcall::GuestMemory as _;
use storvsc_proto::guest::{
    Data, Disk, Event, Identify, Outcome, Properties, Queue as Guest, RangeError, Request, RequestId,
    SubmitError, unmap_list,
};
use storvsc_proto::host::{BlockBackend as _, Config, Lun, Next, Queue as Host, Ticket};
use storvsc_proto::scsi::{Cdb, Command};
use storvsc_proto::wire::LunAddress;
use vmbus_ringbuf::gpa::GpaRange;
use vmbus_ringbuf::{Halves, RingMem, RingPair};
use zerocopy::little_endian::U64;

use super::content::Content;
use super::disk::Disk as Backend;
use crate::input::Steps;
use crate::memory::{Kind, Ram, ring};
use crate::steps;

const DEPTH: usize = 8;
/// Disks.
const LUNS: usize = 5;
/// Blocks of the first disk.
const BLOCKS: usize = 64;
const BLOCK: usize = 512;
/// Bytes of each disk that the driver keeps in mind.
const MOST: u64 = (BLOCKS * BLOCK) as u64;
/// Pages of the guest: a buffer for each command, and more.
const PAGES: u64 = 2 * DEPTH as u64;

steps! {
    /// What either end does.
    pub enum Step {
        /// The driver writes blocks, with this in each byte.
        Write(lba: u8, blocks: u8, byte: u8),
        Read(lba: u8, blocks: u8),
        Flush,
        ResetBus,
        SubChannels(count: u8),
        Poll,
        Serve(budget: u8),
        /// The host takes a request, does it, and tells so later.
        Accept,
        Complete(which: u8),
        EnumerateBus,
        /// All that is under way ends, and the driver asks what a disk is.
        Identify(lun: u8),
        /// Of a disk of which it knows that.
        Blocks(lun: u8, what: What, lba: u8, blocks: u8),
    }
}

steps! {
    /// What is done with blocks.
    pub enum What {
        Read,
        /// With this in each byte; stable at once or not.
        Write(byte: u8, durable: bool),
        Flush,
        /// They are given up, and as many after a gap.
        Discard(gap: u8),
    }
}

steps! {
    pub struct Input {
        pub kind: Kind,
        pub steps: Steps<Step>,
    }
}

/// Whether these blocks are none of the disk's.
fn is_beyond(disk: &Disk, lba: u64, count: u32) -> bool {
    let end = lba.checked_add(count.into());
    count == 0 || end.is_none_or(|end| end > disk.blocks())
}

/// A block of a disk: of the first ones, or of the last.
fn place(disk: &Disk, lba: u8) -> u64 {
    match lba {
        0..192 => lba.into(),
        _ => disk.blocks().saturating_sub((256 - u64::from(lba)) / 2),
    }
}

/// What a command that is under way does.
enum Doing {
    Write,
    /// Reads these blocks, and the disk had this when it was sent; nothing where a write was under way too.
    Read(Option<Content>),
    Other,
    /// May fail: it asks what the disk is, or is of blocks that there are only by what the disk says.
    Question,
}

struct Model<'a> {
    guest: Guest<&'a dyn RingMem, DEPTH>,
    host: Host<&'a dyn RingMem, Vec<u8>, 4>,
    luns: Vec<Lun<Backend>>,
    ram: Ram,
    tickets: Vec<(Ticket, Result<(), storvsc_proto::host::BlockError>)>,
    /// Commands under way, with the page of their buffer.
    doing: HashMap<RequestId, (u64, Doing)>,
    /// What the driver knows of the disks.
    disks: [Option<Disk>; LUNS],
    contents: [Content; LUNS],
    ready: bool,
    properties: Option<Properties>,
    /// How the last command that is none of the above ended.
    outcome: Option<Outcome>,
}

impl Input {
    /// Runs the steps.
    pub fn run(self) {
        let (to_host, to_guest) = (ring(&self.kind), ring(&self.kind));
        let halves = Halves {
            to_host: &*to_host,
            to_guest: &*to_guest,
        };
        let config = Config {
            max_transfer_bytes: 4096,
            max_sub_channels: 3,
        };
        let rings = RingPair::host(halves).expect("a new ring");
        let mut model = Model {
            guest: Guest::primary(RingPair::guest(halves).expect("a new ring")),
            host: Host::primary(rings, vec![0; config.scratch_len()], config).expect("a good configuration"),
            luns: Backend::all(),
            ram: Ram::new(0, PAGES as usize * 4096),
            tickets: Vec::new(),
            doing: HashMap::new(),
            disks: [None; LUNS],
            contents: std::array::from_fn(|_| Content::new(MOST as usize)),
            ready: false,
            properties: None,
            outcome: None,
        };
        for step in self.steps {
            model.step(step);
        }
        model.finish();
    }
}

impl Model<'_> {
    fn step(&mut self, step: Step) {
        match step {
            Step::Write(lba, blocks, byte) => self.transfer(lba, blocks, Some(byte)),
            Step::Read(lba, blocks) => self.transfer(lba, blocks, None),
            Step::Flush => {
                let cdb = Command::SynchronizeCache { lba: 0, blocks: 0 }.to_cdb();
                self.other(0, &cdb, Data::None, PAGES);
            }
            Step::ResetBus => {
                let result = self.guest.reset_bus(0);
                assert!(!matches!(result, Err(SubmitError::Fault(_))));
            }
            Step::SubChannels(count) => {
                let result = self.guest.create_sub_channels(count.into());
                assert!(!matches!(result, Err(SubmitError::Fault(_))));
            }
            Step::Poll => {
                self.poll();
            }
            Step::Serve(budget) => {
                self.serve(budget.into());
            }
            Step::Accept => self.accept(),
            Step::Complete(which) => {
                let count = self.tickets.len();
                if count > 0 {
                    let (ticket, result) = self.tickets.swap_remove(usize::from(which) % count);
                    let _ = self
                        .host
                        .complete(ticket, result)
                        .expect("a ticket of this queue");
                }
            }
            Step::EnumerateBus => {
                let _ = self.host.enumerate_bus().expect("an honest guest");
            }
            Step::Identify(lun) => {
                let lun = lun % LUNS as u8;
                self.settle();
                self.disks[usize::from(lun)] = self.identify(lun);
            }
            Step::Blocks(lun, what, lba, blocks) => self.blocks(lun, &what, lba, blocks),
        }
    }

    fn transfer(&mut self, lba: u8, blocks: u8, write: Option<u8>) {
        let blocks = usize::from(blocks % 8) + 1;
        let lba = usize::from(lba) % (BLOCKS - blocks);
        let (at, len) = ((lba * BLOCK) as u64, (blocks * BLOCK) as u32);
        let (lba, blocks) = (lba as u64, blocks as u32);
        let force_unit_access = false;
        let cdb = match write {
            Some(_) => Command::Write {
                lba,
                blocks,
                force_unit_access,
            },
            None => Command::Read {
                lba,
                blocks,
                force_unit_access,
            },
        };
        self.send(0, &cdb.to_cdb(), at, len, write);
    }

    /// Reads bytes of a disk, or writes this byte into them.
    fn send(&mut self, lun: u8, cdb: &Cdb, at: u64, len: u32, write: Option<u8>) {
        let page = self.free_page();
        let pages = [U64::new(page)];
        let memory = GpaRange::new(0, len, &pages).expect("a page");
        let data = match write {
            Some(byte) => {
                let bytes = vec![byte; len as usize];
                self.ram.write(page * 4096, &bytes).expect("a page");
                Data::Out(memory)
            }
            None => Data::In(memory),
        };
        let content = &mut self.contents[usize::from(lun)];
        // Commands go in order, but those that were accepted may be done at once, and told later.
        let writing = self
            .doing
            .values()
            .any(|(_, doing)| matches!(doing, Doing::Write));
        let end = at.saturating_add(len.into()).min(usize::MAX as u64);
        let range = at.min(end) as usize..end as usize;
        let part = content.part(range.clone());
        let doing = match write {
            _ if part.is_none() => Doing::Question,
            Some(_) => Doing::Write,
            None => Doing::Read(part.filter(|_| !writing)),
        };
        let result = self.guest.submit(LunAddress::lun(lun), cdb, data);
        if let (Ok(_), Some(byte), Doing::Write) = (&result, write, &doing) {
            content.write(range, byte);
        }
        self.submitted(result.map(|submitted| submitted.id), page, doing);
    }

    /// A driver's request for blocks of a disk that it knows.
    fn blocks(&mut self, lun: u8, what: &What, lba: u8, blocks: u8) {
        let lun = lun % LUNS as u8;
        let Some(disk) = self.disks[usize::from(lun)] else {
            return;
        };
        let lba = place(&disk, lba);
        let count = u32::from(blocks);
        let block = u64::from(disk.block_len());
        let end = lba.saturating_add(count.into());
        let result = match what {
            What::Read => disk.read(lba, count).map(|request| (request, None)),
            What::Write(byte, durable) => disk
                .write(lba, count, *durable)
                .map(|request| (request, Some(*byte))),
            What::Flush => return self.other(lun, &disk.flush().cdb, Data::None, PAGES),
            What::Discard(gap) => {
                let second = end.saturating_add((*gap).into());
                return self.discard(lun, &disk, &[(lba, count), (second, count)]);
            }
        };
        match result {
            Ok((Request { cdb, len }, write)) => {
                assert!(!is_beyond(&disk, lba, count) && count <= disk.max_transfer_blocks());
                assert_eq!(u64::from(len), u64::from(count) * block);
                assert!(write.is_none() || !disk.is_read_only());
                self.send(lun, &cdb, lba.saturating_mul(block), len, write);
            }
            Err(RangeError::ReadOnly) => assert!(disk.is_read_only()),
            Err(RangeError::OutOfRange { .. }) => assert!(is_beyond(&disk, lba, count)),
            Err(RangeError::TooLong { most, .. }) => assert!(count > most),
            Err(error) => panic!("{error}"),
        }
    }

    fn discard(&mut self, lun: u8, disk: &Disk, ranges: &[(u64, u32)]) {
        let most = disk.max_discard_ranges() as usize;
        let ranges = &ranges[..ranges.len().min(most.max(1))];
        let Request { cdb, len } = match disk.discard(ranges) {
            Ok(request) => request,
            Err(error) => {
                match error {
                    RangeError::TooLong { count, most } => assert!(count > most),
                    RangeError::ReadOnly => assert!(disk.is_read_only()),
                    RangeError::OutOfRange { .. } => {
                        assert!(ranges.iter().any(|(lba, count)| is_beyond(disk, *lba, *count)));
                    }
                    _ => assert_eq!(most, 0, "{error}"),
                }
                return;
            }
        };
        let mut list = vec![0; len as usize];
        assert_eq!(unmap_list(ranges, &mut list), Some(list.len()));
        let page = self.free_page();
        self.ram.write(page * 4096, &list).expect("a page");
        let pages = [U64::new(page)];
        let memory = GpaRange::new(0, len, &pages).expect("a page");
        let block = u64::from(disk.block_len());
        for (lba, count) in ranges {
            let end = lba
                .saturating_add((*count).into())
                .saturating_mul(block)
                .min(MOST);
            let start = lba.saturating_mul(block).min(end);
            self.contents[usize::from(lun)].give_up(start as usize..end as usize);
        }
        self.other(lun, &cdb, Data::Out(memory), page);
    }

    /// What neither reads nor writes.
    fn other(&mut self, lun: u8, cdb: &Cdb, data: Data<'_>, page: u64) {
        let far = self.disks[usize::from(lun)].is_some_and(|disk| disk.blocks() > MOST);
        let doing = if far { Doing::Question } else { Doing::Other };
        let result = self.guest.submit(LunAddress::lun(lun), cdb, data);
        self.submitted(result.map(|submitted| submitted.id), page, doing);
    }

    fn free_page(&self) -> u64 {
        let used = |page: &u64| self.doing.values().any(|(used, _)| used == page);
        (0..PAGES)
            .find(|page| !used(page))
            .expect("more pages than commands")
    }

    fn submitted(&mut self, result: Result<RequestId, SubmitError>, page: u64, doing: Doing) {
        match result {
            Ok(id) => assert!(self.doing.insert(id, (page, doing)).is_none(), "ids are unique"),
            Err(SubmitError::NotReady) => assert!(!self.ready),
            Err(SubmitError::NoTicket { .. }) => assert_eq!(self.doing.len(), DEPTH),
            Err(SubmitError::RingFull) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// Whether there is more to do, here or for the host.
    fn poll(&mut self) -> bool {
        let polled = self.guest.poll().expect("an honest host");
        match polled.event {
            Some(Event::Ready { properties, .. }) => {
                self.ready = true;
                self.properties = Some(properties);
            }
            Some(Event::Completed { id, outcome }) => {
                let (page, doing) = self.doing.remove(&id).expect("it is under way");
                assert!(
                    outcome.is_good() || matches!(doing, Doing::Question),
                    "{outcome:?}"
                );
                self.outcome = Some(outcome);
                if let Doing::Read(Some(expected)) = doing {
                    let mut found = vec![0; expected.len()];
                    self.ram.read(page * 4096, &mut found).expect("a page");
                    assert_eq!(outcome.transferred as usize, found.len());
                    assert!(expected.allows(&found), "it is not what was written");
                }
            }
            _ => {}
        }
        polled.again || polled.signal.is_needed()
    }

    /// Whether there is more to do, here or for the driver.
    fn serve(&mut self, budget: usize) -> bool {
        let served = self.host.service(&self.luns, &self.ram, budget);
        let served = served.expect("an honest guest");
        served.again || served.signal.is_needed()
    }

    fn accept(&mut self) {
        let accepted = self.host.accept(&self.luns, &self.ram).expect("an honest guest");
        if let Next::Request { ticket, lun, work } = accepted.next {
            let result = work.perform(lun.backend(), &self.ram);
            self.tickets.push((ticket, result));
        }
    }

    /// The driver learns what a disk is.
    fn identify(&mut self, lun: u8) -> Option<Disk> {
        let mut identify = Identify::new(LunAddress::lun(lun), self.properties?);
        while let Some(request) = identify.request() {
            let page = self.free_page();
            let pages = [U64::new(page)];
            let data = match GpaRange::new(0, request.len, &pages) {
                Ok(memory) => Data::In(memory),
                Err(_) => Data::None,
            };
            let result = self.guest.submit(LunAddress::lun(lun), &request.cdb, data);
            self.submitted(result.map(|submitted| submitted.id), page, Doing::Question);
            self.settle();
            let outcome = self.outcome.take().expect("it ends");
            let mut buffer = vec![0; request.len as usize];
            self.ram.read(page * 4096, &mut buffer).expect("a page");
            identify.answer(&outcome, &buffer).ok()?;
        }
        identify.disk()
    }

    fn settle(&mut self) {
        for round in 0.. {
            assert!(round < 1000, "it goes on and on");
            let mut moved = !self.tickets.is_empty();
            self.step(Step::Complete(0));
            moved |= self.serve(16);
            moved |= self.poll();
            if !moved {
                break;
            }
        }
    }

    /// All that is kept in mind of a disk is read, if the driver knows the disk.
    fn read_all(&mut self, lun: u8) {
        let Some(disk) = self.disks[usize::from(lun)] else {
            return;
        };
        let blocks = disk.max_transfer_blocks();
        for lba in (0..MOST / u64::from(disk.block_len())).step_by(blocks as usize) {
            let Request { cdb, len } = disk.read(lba, blocks).expect("a block of the disk's");
            self.send(lun, &cdb, lba * u64::from(disk.block_len()), len, None);
            self.settle();
        }
    }

    /// In the end everything is done, by ends that work when they are signalled and no more.
    fn finish(&mut self) {
        self.settle();
        assert!(
            self.ready && self.doing.is_empty(),
            "{} commands do not end",
            self.doing.len()
        );
        assert_eq!((self.guest.outstanding(), self.host.outstanding()), (0, 0));
        for lun in 0..LUNS as u8 {
            self.read_all(lun);
        }
        let blocks = [0, 1, 2, 3, 4, 5].map(|lun| self.identify(lun).map(|disk| disk.blocks()));
        let told = self.luns.iter().map(|lun| Some(lun.backend().geometry().blocks));
        // Without a block it is none.
        let expected: Vec<_> = told.map(|blocks| blocks.filter(|blocks| *blocks > 0)).collect();
        assert_eq!(
            (&blocks[..LUNS], blocks[LUNS]),
            (&expected[..], None),
            "what the disks are"
        );
    }
}
