//! Our driver and our disks, honest both: every command ends, and what is written is what is read.

use std::collections::HashMap;

use hvcall::GuestMemory as _;
use storvsc_proto::guest::Disk;
use storvsc_proto::guest::{
    Data, Event, Identify, Outcome, Properties, Queue as Guest, RequestId, SubmitError,
};
use storvsc_proto::host::{BlockBackend as _, Config, Lun, Next, Queue as Host, Ticket};
use storvsc_proto::scsi::Command;
use storvsc_proto::wire::LunAddress;
use vmbus_ringbuf::gpa::GpaRange;
use vmbus_ringbuf::{Halves, RingMem, RingPair};
use zerocopy::little_endian::U64;

use super::disk::Disk as Backend;
use crate::input::Steps;
use crate::memory::{Kind, Ram, ring};
use crate::steps;

const DEPTH: usize = 8;
/// Blocks of the disk.
const BLOCKS: usize = 64;
const BLOCK: usize = 512;
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
    }
}

steps! {
    pub struct Input {
        pub kind: Kind,
        pub steps: Steps<Step>,
    }
}

/// What a command that is under way does.
enum Doing {
    Write,
    /// Reads these blocks, and the disk had this when it was sent; nothing where a write was under way too.
    Read(Option<Vec<u8>>),
    Other,
    /// Asks what the disk is.
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
    /// What the driver wrote.
    disk: Vec<u8>,
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
            disk: vec![0; BLOCKS * BLOCK],
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
                let result = self.guest.submit(LunAddress::lun(0), &cdb, Data::None);
                self.submitted(result.map(|submitted| submitted.id), PAGES, Doing::Other);
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
        }
    }

    fn transfer(&mut self, lba: u8, blocks: u8, write: Option<u8>) {
        let blocks = usize::from(blocks % 8) + 1;
        let lba = usize::from(lba) % (BLOCKS - blocks);
        let range = lba * BLOCK..(lba + blocks) * BLOCK;
        let page = self.free_page();
        let pages = [U64::new(page)];
        let memory = GpaRange::new(0, range.len() as u32, &pages).expect("a page");
        let (lba, blocks) = (lba as u64, blocks as u32);
        let (command, data) = match write {
            Some(byte) => {
                let bytes = vec![byte; range.len()];
                self.ram.write(page * 4096, &bytes).expect("a page");
                let command = Command::Write {
                    lba,
                    blocks,
                    force_unit_access: false,
                };
                (command, Data::Out(memory))
            }
            None => {
                let command = Command::Read {
                    lba,
                    blocks,
                    force_unit_access: false,
                };
                (command, Data::In(memory))
            }
        };
        // Commands go in order, but those that were accepted may be done at once, and told later.
        let writing = self
            .doing
            .values()
            .any(|(_, doing)| matches!(doing, Doing::Write));
        let doing = match write {
            Some(_) => Doing::Write,
            None => Doing::Read((!writing).then(|| self.disk[range.clone()].to_vec())),
        };
        let result = self.guest.submit(LunAddress::lun(0), &command.to_cdb(), data);
        if let (Ok(_), Some(byte)) = (&result, write) {
            self.disk[range].fill(byte);
        }
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
                    assert!(found == expected, "it is not what was written");
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

    /// In the end everything is done, by ends that work when they are signalled and no more.
    fn finish(&mut self) {
        self.settle();
        assert!(
            self.ready && self.doing.is_empty(),
            "{} commands do not end",
            self.doing.len()
        );
        assert_eq!((self.guest.outstanding(), self.host.outstanding()), (0, 0));
        let blocks = [0, 1, 2, 3, 4, 5].map(|lun| self.identify(lun).map(|disk| disk.blocks()));
        let told = self.luns.iter().map(|lun| Some(lun.backend().geometry().blocks));
        // Without a block it is none.
        let expected: Vec<_> = told.map(|blocks| blocks.filter(|blocks| *blocks > 0)).collect();
        assert_eq!(
            (&blocks[..5], blocks[5]),
            (&expected[..], None),
            "what the disks are"
        );
    }
}
