//! Our guest against our host.

use storvsc_proto::guest::{
    Data, Disk, Event, Identify, IdentifyError, Outcome, Properties, Queue, RangeError, Request, RequestId,
    SubmitError, unmap_list,
};
use storvsc_proto::host::{self, Attention, Config, Discard, Geometry, Lun};
use storvsc_proto::scsi::{Cdb, Command, SenseKey};
use storvsc_proto::wire::{LunAddress, NtStatus, Operation, ProtocolVersion, SrbStatus};
use vmbus_proto::hvcall::GuestMemory;
use vmbus_proto::ringbuf::gpa::GpaRange;

use crate::support::{Op, PAGE, Ram, RamDisk, Ring, buffer_pages, channel, large_blocks, pattern};

const DEPTH: usize = 4;

struct Pair {
    guest: Queue<&'static Ring, DEPTH>,
    host: host::Queue<&'static Ring, Vec<u8>>,
    luns: Vec<Lun<RamDisk>>,
    ram: Ram,
    events: Vec<Event>,
    host_events: Vec<host::Event>,
}

impl Pair {
    fn new(luns: Vec<Lun<RamDisk>>, config: Config) -> Self {
        let (guest, host) = channel();
        let scratch = vec![0; config.scratch_len()];
        Self {
            guest: Queue::primary(guest),
            host: host::Queue::primary(host, scratch, config).unwrap(),
            luns,
            ram: Ram::new(8 << 20),
            events: Vec::new(),
            host_events: Vec::new(),
        }
    }

    fn ready(luns: Vec<Lun<RamDisk>>) -> (Self, Properties) {
        let mut pair = Self::new(luns, Config::default());
        pair.run();
        let [
            Event::Ready {
                version: ProtocolVersion::WIN10,
                properties,
            },
        ] = pair.events[..]
        else {
            panic!("{:?}", pair.events);
        };
        pair.events.clear();
        (pair, properties)
    }

    /// Lets both ends work until neither has anything to do. Each is called only when the other signalled it.
    fn run(&mut self) {
        let (mut guest_turn, mut host_turn) = (true, true);
        while guest_turn || host_turn {
            if guest_turn {
                let polled = self.guest.poll().unwrap();
                guest_turn = polled.again;
                host_turn |= polled.signal.is_needed();
                self.events.extend(polled.event);
            }
            if host_turn {
                let served = self.host.service(&self.luns, &self.ram, 8).unwrap();
                host_turn = served.again;
                guest_turn |= served.signal.is_needed();
                self.host_events.extend(served.event);
            }
        }
    }

    /// Submits a command without data.
    fn submit(&mut self, cdb: &Cdb) -> RequestId {
        let submitted = self.guest.submit(LunAddress::lun(0), cdb, Data::None);
        submitted.unwrap().id
    }

    /// Runs a command, whose buffer is filled with `out` before, and returned afterwards.
    fn execute(&mut self, lun: u8, request: &Request, out: Option<&[u8]>) -> (Outcome, Vec<u8>) {
        let len = request.len as usize;
        let pages = buffer_pages(0, len);
        let gpa = |at: usize| pages[at / PAGE].get() * PAGE as u64;
        if let Some(bytes) = out {
            for (at, piece) in bytes.chunks(PAGE).enumerate() {
                self.ram.write(gpa(at * PAGE), piece).unwrap();
            }
        }
        let range = (len > 0).then(|| GpaRange::new(0, request.len, &pages).unwrap());
        let data = match range {
            None => Data::None,
            Some(range) if out.is_some() => Data::Out(range),
            Some(range) => Data::In(range),
        };
        let submitted = self
            .guest
            .submit(LunAddress::lun(lun), &request.cdb, data)
            .unwrap();
        self.run();
        let mut bytes = vec![0; len];
        for (at, piece) in bytes.chunks_mut(PAGE).enumerate() {
            self.ram.read(gpa(at * PAGE), piece).unwrap();
        }
        let Some(Event::Completed { id, outcome }) = self.events.pop() else {
            panic!("nothing was completed")
        };
        assert_eq!(id, submitted.id);
        (outcome, bytes)
    }

    fn identify(&mut self, lun: u8, properties: Properties) -> Result<Disk, IdentifyError> {
        let mut identify = Identify::new(LunAddress::lun(lun), properties);
        for _ in 0..20 {
            let Some(request) = identify.request() else { break };
            let (outcome, bytes) = self.execute(lun, &request, None);
            identify.answer(&outcome, &bytes)?;
        }
        Ok(identify.disk().unwrap())
    }
}

#[test]
fn the_newest_version_is_agreed_on_and_properties_are_told() {
    let config = Config {
        max_sub_channels: 3,
        max_transfer_bytes: 64 << 10,
    };
    let mut pair = Pair::new(Vec::new(), config);
    assert!(matches!(
        pair.guest
            .submit(LunAddress::lun(0), &Command::TestUnitReady.to_cdb(), Data::None),
        Err(SubmitError::NotReady)
    ));
    pair.run();
    let properties = Properties {
        max_transfer_bytes: 64 << 10,
        max_sub_channels: 3,
    };
    assert_eq!(
        pair.events,
        [Event::Ready {
            version: ProtocolVersion::WIN10,
            properties
        }]
    );
    assert_eq!(pair.host.version(), Some(ProtocolVersion::WIN10));
    pair.events.clear();
    assert!(matches!(
        pair.guest.create_sub_channels(4),
        Err(SubmitError::TooLong { len: 4, most: 3 })
    ));
    let _ = pair.guest.create_sub_channels(2).unwrap();
    assert_eq!(pair.guest.reset_bus(0), Err(SubmitError::Busy));
    pair.host_events.clear();
    pair.run();
    assert_eq!(pair.host_events, [host::Event::SubChannels { count: 2 }]);
    let answered = |operation| Event::Answered {
        operation,
        status: NtStatus::SUCCESS,
    };
    assert_eq!(pair.events, [answered(Operation::CREATE_SUB_CHANNELS)]);
    let _ = pair.guest.reset_bus(0).unwrap();
    pair.run();
    assert_eq!(pair.events[1..], [answered(Operation::RESET_BUS)]);
}

#[test]
fn commands_of_a_batch_are_sent_together() {
    let (mut pair, _) = Pair::ready(vec![Lun::new(0, RamDisk::new(64))]);
    let cdb = Command::TestUnitReady.to_cdb();
    let mut batch = pair.guest.batch().unwrap();
    let ids: Vec<_> = (0..DEPTH)
        .map(|_| batch.submit(LunAddress::lun(0), &cdb, Data::None).unwrap())
        .collect();
    assert_eq!(
        batch.submit(LunAddress::lun(0), &cdb, Data::None),
        Err(SubmitError::NoTicket { depth: DEPTH })
    );
    let before = pair.host.counters().packets;
    while pair.host.service(&pair.luns, &pair.ram, 8).unwrap().again {}
    assert_eq!(pair.host.counters().packets, before, "nothing is visible yet");
    assert!(batch.finish().is_needed());
    let served = pair.host.service(&pair.luns, &pair.ram, 1).unwrap();
    assert!(served.signal.is_needed());
    pair.run();
    let completed: Vec<_> = pair
        .events
        .iter()
        .map(|event| match event {
            Event::Completed { id, outcome } if outcome.is_good() => *id,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(completed, ids);
}

#[test]
fn a_batch_that_is_dropped_is_sent_and_its_signal_told_later() {
    let (mut pair, _) = Pair::ready(vec![Lun::new(0, RamDisk::new(64))]);
    let cdb = Command::TestUnitReady.to_cdb();
    let mut batch = pair.guest.batch().unwrap();
    let id = batch.submit(LunAddress::lun(0), &cdb, Data::None).unwrap();
    drop(batch);
    // No command is added: what is told is owed from before.
    assert!(pair.guest.batch().unwrap().finish().is_needed());
    assert!(!pair.guest.batch().unwrap().finish().is_needed(), "once");
    let _ = pair.host.service(&pair.luns, &pair.ram, 8).unwrap();
    pair.run();
    assert!(matches!(pair.events[..], [Event::Completed { id: completed, .. }] if completed == id));

    let mut batch = pair.guest.batch().unwrap();
    batch.submit(LunAddress::lun(0), &cdb, Data::None).unwrap();
    drop(batch);
    assert!(pair.guest.poll().unwrap().signal.is_needed());
}

#[test]
fn a_batch_that_fills_the_ring_lets_the_host_see_what_is_there() {
    let (mut pair, _) = Pair::ready(vec![Lun::new(0, RamDisk::new(4096))]);
    let len = 1 << 20;
    let pages = buffer_pages(0, len);
    let range = GpaRange::new(0, len as u32, &pages).unwrap();
    let cdb = Command::Read {
        lba: 0,
        blocks: 2048,
        force_unit_access: false,
    }
    .to_cdb();
    // A list of 256 pages takes 2 KiB of a ring of 8.
    let mut batch = pair.guest.batch().unwrap();
    for _ in 0..3 {
        batch.submit(LunAddress::lun(0), &cdb, Data::In(range)).unwrap();
    }
    let refused = batch.submit(LunAddress::lun(0), &cdb, Data::In(range));
    assert_eq!(refused, Err(SubmitError::RingFull));
    let served = pair.host.service(&pair.luns, &pair.ram, 1).unwrap();
    assert!(served.signal.is_needed(), "the first was visible, and answered");
    // The host was awake when the rest became visible, or is signalled for it.
    batch.submit(LunAddress::lun(0), &cdb, Data::In(range)).unwrap();
    assert!(batch.finish().is_needed());
    pair.run();
    assert_eq!(pair.events.len(), 4);
    assert_eq!(pair.guest.outstanding(), 0);
}

#[test]
fn a_disk_is_identified_read_written_flushed_and_trimmed() {
    let (mut pair, properties) = Pair::ready(vec![Lun::new(0, RamDisk::new(4096))]);
    let disk = pair.identify(0, properties).unwrap();
    assert_eq!(
        (disk.blocks(), disk.block_len(), disk.physical_block_len()),
        (4096, 512, 512)
    );
    assert_eq!((disk.is_read_only(), disk.has_write_cache()), (false, true));
    assert_eq!(
        (
            disk.max_transfer_blocks(),
            disk.max_discard_ranges(),
            disk.discard_granularity()
        ),
        (2048, 64, 8)
    );

    let data = pattern(64 * 512, 5);
    let (outcome, _) = pair.execute(0, &disk.write(100, 64, true).unwrap(), Some(&data));
    assert!(outcome.is_good());
    assert_eq!(outcome.transferred, 64 * 512);
    let (outcome, read) = pair.execute(0, &disk.read(100, 64).unwrap(), None);
    assert!(outcome.is_good());
    assert_eq!(read, data);
    assert!(pair.execute(0, &disk.flush(), None).0.is_good());
    let ops = pair.luns[0].backend().take_ops();
    assert_eq!(
        ops,
        [
            Op::Write(51200, 32768),
            Op::Flush,
            Op::Read(51200, 32768),
            Op::Flush
        ]
    );

    let ranges = [(100, 8), (120, 16)];
    let request = disk.discard(&ranges).unwrap();
    let mut list = [0; 64];
    let len = unmap_list(&ranges, &mut list).unwrap();
    assert_eq!(len, request.len as usize);
    assert!(pair.execute(0, &request, Some(&list[..len])).0.is_good());
    assert_eq!(
        pair.luns[0].backend().take_ops(),
        [Op::Discard(51200, 4096), Op::Discard(61440, 8192)]
    );
}

#[test]
fn other_disks_are_told_apart() {
    let luns = vec![
        Lun::new(
            0,
            RamDisk::with(Geometry {
                read_only: true,
                ..large_blocks()
            }),
        ),
        Lun::new(
            1,
            RamDisk::with(Geometry {
                blocks: u64::MAX,
                discard: Some(Discard::default()),
                ..Geometry::default()
            }),
        ),
        Lun::new(2, RamDisk::with(Geometry::default())),
    ];
    let (mut pair, properties) = Pair::ready(luns);
    let disk = pair.identify(0, properties).unwrap();
    assert_eq!(
        (disk.blocks(), disk.block_len(), disk.is_read_only()),
        (512, 4096, true)
    );
    assert_eq!(disk.max_discard_ranges(), 0);
    assert_eq!(disk.write(0, 1, false), Err(RangeError::ReadOnly));
    assert_eq!(
        disk.discard(&[(0, 1)]),
        Err(RangeError::Discard { count: 1, most: 0 })
    );
    let huge = pair.identify(1, properties).unwrap();
    assert_eq!(huge.blocks(), u64::MAX);
    let unready = pair.identify(2, properties);
    assert!(
        matches!(unready, Err(IdentifyError::Failed { outcome }) if outcome.sense.unwrap().key == SenseKey::NOT_READY)
    );
    assert_eq!(pair.identify(3, properties), Err(IdentifyError::NotPresent));
}

#[test]
fn ranges_are_judged_before_they_are_sent() {
    let (mut pair, properties) = Pair::ready(vec![Lun::new(0, RamDisk::new(4096))]);
    let disk = pair.identify(0, properties).unwrap();
    for (lba, count) in [(4096, 1), (4095, 2), (0, 0), (u64::MAX, 1), (u64::MAX, u32::MAX)] {
        let error = RangeError::OutOfRange {
            lba,
            count,
            blocks: 4096,
        };
        assert_eq!(disk.read(lba, count), Err(error));
        assert_eq!(disk.write(lba, count, false), Err(error));
        assert_eq!(disk.discard(&[(0, 1), (lba, count)]), Err(error));
    }
    assert_eq!(
        disk.read(0, 2049),
        Err(RangeError::TooLong {
            count: 2049,
            most: 2048
        })
    );
    assert_eq!(
        disk.discard(&[(0, 1); 65]),
        Err(RangeError::Discard { count: 65, most: 64 })
    );
    assert_eq!(disk.discard(&[]), Err(RangeError::Discard { count: 0, most: 64 }));
    assert_eq!(unmap_list(&[(0, 1)], &mut [0; 23]), None);
}

#[test]
fn an_attention_does_not_keep_a_disk_from_being_identified() {
    let (mut pair, properties) = Pair::ready(vec![Lun::new(0, RamDisk::new(64))]);
    for attention in [
        Attention::PowerOn,
        Attention::CapacityChanged,
        Attention::InquiryChanged,
    ] {
        pair.luns[0].raise(attention);
    }
    assert_eq!(pair.identify(0, properties).unwrap().blocks(), 64);
}

#[test]
fn failures_come_with_their_sense_data_and_no_data() {
    let (mut pair, properties) = Pair::ready(vec![Lun::new(0, RamDisk::new(64))]);
    let disk = pair.identify(0, properties).unwrap();
    let request = disk.read(0, 1).unwrap();
    *pair.luns[0].backend().fail.lock().unwrap() = Some(host::BlockError::Medium);
    let (outcome, _) = pair.execute(0, &request, None);
    assert!(!outcome.is_good());
    assert_eq!((outcome.srb_status, outcome.transferred), (SrbStatus::ERROR, 0));
    assert_eq!(outcome.sense.unwrap().key, SenseKey::MEDIUM_ERROR);
    pair.luns[0].detach();
    let (outcome, _) = pair.execute(0, &request, None);
    assert_eq!(outcome.srb_status, SrbStatus::INVALID_LUN);
}

#[test]
fn as_many_commands_are_under_way_as_there_are_places() {
    let (mut pair, _) = Pair::ready(vec![Lun::new(0, RamDisk::new(64))]);
    let cdb = Command::TestUnitReady.to_cdb();
    let mut ids: Vec<_> = (0..DEPTH).map(|_| pair.submit(&cdb)).collect();
    let refused = pair.guest.submit(LunAddress::lun(0), &cdb, Data::None);
    assert_eq!(refused, Err(SubmitError::NoTicket { depth: DEPTH }));
    assert_eq!(pair.guest.outstanding(), DEPTH);
    pair.run();
    let mut completed = Vec::new();
    for event in pair.events.drain(..) {
        let Event::Completed { id, outcome } = event else {
            panic!("{event:?}")
        };
        assert!(outcome.is_good());
        completed.push(id);
    }
    assert_eq!(completed, ids);
    assert_eq!(pair.guest.outstanding(), 0);
    // Ids are not used again, places are.
    ids.push(pair.submit(&cdb));
    assert!(!completed.contains(&ids[DEPTH]));
}

#[test]
fn hot_plugging_is_told() {
    let (mut pair, _) = Pair::ready(vec![Lun::new(0, RamDisk::new(64))]);
    let _ = pair.host.enumerate_bus().unwrap();
    let _ = pair.host.remove_device().unwrap();
    pair.run();
    assert_eq!(pair.events, [Event::EnumerateBus, Event::RemoveDevice]);
}

#[test]
fn a_transfer_longer_than_the_host_takes_is_not_sent() {
    let mut pair = Pair::new(
        vec![Lun::new(0, RamDisk::new(64))],
        Config {
            max_transfer_bytes: 8192,
            ..Config::default()
        },
    );
    pair.run();
    let pages = buffer_pages(0, 8193);
    let range = GpaRange::new(0, 8193, &pages).unwrap();
    let refused = pair.guest.submit(
        LunAddress::lun(0),
        &Command::TestUnitReady.to_cdb(),
        Data::In(range),
    );
    assert_eq!(
        refused,
        Err(SubmitError::TooLong {
            len: 8193,
            most: 8192
        })
    );
}

#[test]
fn a_sub_channel_works_with_what_the_primary_one_agreed_on() {
    let (pair, properties) = Pair::ready(vec![Lun::new(0, RamDisk::new(64))]);
    let (guest, host) = channel();
    let config = Config::default();
    let scratch = vec![0; config.scratch_len()];
    let version = ProtocolVersion::WIN10;
    let mut pair = Pair {
        guest: Queue::sub_channel(guest, version, properties),
        host: host::Queue::sub_channel(host, scratch, config, version).unwrap(),
        ..pair
    };
    assert_eq!(pair.identify(0, properties).unwrap().blocks(), 64);
}

#[test]
fn aborting_names_each_command_once() {
    let (mut pair, _) = Pair::ready(vec![Lun::new(0, RamDisk::new(64))]);
    let cdb = Command::TestUnitReady.to_cdb();
    let ids: Vec<_> = (0..3).map(|_| pair.submit(&cdb)).collect();
    let aborted: Vec<_> = std::iter::from_fn(|| pair.guest.abort()).collect();
    assert_eq!(aborted, ids);
    assert_eq!(pair.guest.abort(), None);
    assert!(pair.guest.poll().is_err());
    assert!(matches!(
        pair.guest.submit(LunAddress::lun(0), &cdb, Data::None),
        Err(SubmitError::Fault(_))
    ));
}
