//! A controller with its disks, and commands that are run on them.

use storvsc_proto::host::{Config, Event, Fault, Lun, Queue};
use storvsc_proto::scsi::{Cdb, Command, Sense};
use storvsc_proto::wire::{
    Completion, DataDirection, GuestMessage, LunAddress, NtStatus, PacketForm, ProtocolVersion, ScsiRequest,
};
use vmbus_proto::hvcall::GuestMemory;
use vmbus_proto::ringbuf::gpa::GpaRange;
use zerocopy::little_endian::{U16, U32};

use super::{Driver, PAGE, Ram, RamDisk, Ring, buffer_pages, channel};

/// Data of a command.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Data<'a> {
    None,
    In(usize),
    Out(&'a [u8]),
}

impl Data<'_> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Data::None => 0,
            Data::In(len) => *len,
            Data::Out(bytes) => bytes.len(),
        }
    }
}

/// How a command ended.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) nt: NtStatus,
    pub(crate) srb: ScsiRequest,
    pub(crate) sense: Option<Sense>,
    /// The bytes transferred to the guest.
    pub(crate) data: Vec<u8>,
}

impl Ended {
    #[track_caller]
    pub(crate) fn good(self) -> Vec<u8> {
        assert_eq!(self.srb.srb_status.0, 0x01, "{self:?}");
        assert_eq!(self.srb.scsi_status.0, 0x00);
        assert_eq!(self.nt, NtStatus::SUCCESS);
        assert_eq!(self.sense, None);
        self.data
    }

    /// Sense key, code and qualifier.
    #[track_caller]
    pub(crate) fn failed(self) -> (u8, u8, u8) {
        assert_eq!(self.srb.scsi_status.0, 0x02, "{self:?}");
        assert!(self.srb.srb_status.autosense_valid());
        assert_eq!(self.srb.transfer_length.get(), 0);
        let sense = self.sense.unwrap();
        (sense.key.0, sense.additional.code(), sense.additional.qualifier())
    }
}

/// An SRB with these contents.
pub(crate) fn srb(at: LunAddress, cdb: &[u8], data: Data<'_>) -> ScsiRequest {
    let mut cdb_or_sense = [0; 20];
    cdb_or_sense[..cdb.len()].copy_from_slice(cdb);
    ScsiRequest {
        length: U16::new(52),
        path: at.path,
        target: at.target,
        lun: at.lun,
        cdb_length: cdb.len() as u8,
        sense_length: 20,
        direction: match data {
            Data::None => DataDirection::NONE,
            Data::In(_) => DataDirection::IN,
            Data::Out(_) => DataDirection::OUT,
        },
        transfer_length: U32::new(data.len() as u32),
        cdb_or_sense,
        ..Default::default()
    }
}

/// A controller, its channel and the driver at the other end.
pub(crate) struct Rig<const DEPTH: usize = 1> {
    pub(crate) driver: Driver,
    pub(crate) queue: Queue<&'static Ring, Vec<u8>, DEPTH>,
    pub(crate) luns: Vec<Lun<RamDisk>>,
    pub(crate) ram: Ram,
    pub(crate) events: Vec<Event>,
    /// Signals that the host gave.
    pub(crate) signals: usize,
}

impl Rig {
    /// A channel in its newest version.
    pub(crate) fn ready(luns: Vec<Lun<RamDisk>>) -> Self {
        let mut rig = Self::new(luns, Config::default());
        rig.negotiate(ProtocolVersion::WIN10);
        rig.events.clear();
        rig
    }
}

impl<const DEPTH: usize> Rig<DEPTH> {
    /// A channel on which nothing was said.
    pub(crate) fn new(luns: Vec<Lun<RamDisk>>, config: Config) -> Self {
        let (guest, host) = channel();
        let scratch = vec![0; config.scratch_len()];
        Self {
            driver: Driver {
                ring: guest,
                form: PacketForm::Long,
                next_id: 0,
            },
            queue: Queue::primary(host, scratch, config).unwrap(),
            luns,
            ram: Ram::new(8 << 20),
            events: Vec::new(),
            signals: 0,
        }
    }

    /// Lets the host work until there is nothing more to do.
    pub(crate) fn run(&mut self) -> Result<(), Fault> {
        for _ in 0..10_000 {
            let served = self.queue.service(&self.luns, &self.ram, 16)?;
            self.signals += usize::from(served.signal.is_needed());
            self.events.extend(served.event);
            if !served.again {
                return Ok(());
            }
        }
        panic!("the queue always wants to be called again");
    }

    #[track_caller]
    pub(crate) fn ask(&mut self, message: &GuestMessage) -> Completion {
        let id = self.driver.send(message);
        self.run().unwrap();
        let received = self.driver.receive().expect("an answer");
        assert_eq!(received.id, id);
        assert_eq!(received.len, self.driver.form.packet_len());
        received.completion()
    }

    pub(crate) fn negotiate(&mut self, version: ProtocolVersion) {
        self.driver.form = version.packet_form();
        for message in [
            GuestMessage::BeginInitialization,
            GuestMessage::QueryProtocolVersion(version),
            GuestMessage::QueryProperties,
            GuestMessage::EndInitialization,
        ] {
            assert_eq!(self.ask(&message).status, NtStatus::SUCCESS, "{message}");
        }
    }

    /// Runs a command with a buffer that starts at `offset` in its first page.
    #[track_caller]
    pub(crate) fn scsi_at(&mut self, at: LunAddress, cdb: &[u8], data: Data<'_>, offset: usize) -> Ended {
        let pages = buffer_pages(offset, data.len());
        let ranges: Vec<_> = (data.len() > 0)
            .then(|| GpaRange::new(offset as u32, data.len() as u32, &pages).unwrap())
            .into_iter()
            .collect();
        let page_at = |byte: usize| {
            let page = pages[(offset + byte) / PAGE].get() * PAGE as u64;
            page + ((offset + byte) % PAGE) as u64
        };
        if let Data::Out(bytes) = data {
            for (at, byte) in bytes.iter().enumerate() {
                self.ram.write(page_at(at), &[*byte]).unwrap();
            }
        }
        let id = self
            .driver
            .send_with(&GuestMessage::ExecuteSrb(srb(at, cdb, data)), &ranges);
        self.run().unwrap();
        let received = self.driver.receive().expect("an answer");
        assert_eq!(received.id, id);
        let completion = received.completion();
        let srb = completion.srb().unwrap();
        assert_eq!(srb.address(), at);
        assert_eq!(usize::from(srb.length.get()), self.driver.form.body_len());
        let sense = srb.sense(self.driver.form).expect("sense data that fits");
        let sense = (!sense.is_empty()).then(|| Sense::decode(sense).unwrap());
        let transferred = srb.transfer_length.get() as usize;
        assert!(transferred <= data.len());
        let mut bytes = Vec::new();
        if let Data::In(_) = data {
            for at in 0..transferred {
                let mut byte = [0];
                self.ram.read(page_at(at), &mut byte).unwrap();
                bytes.push(byte[0]);
            }
        }
        Ended {
            nt: completion.status,
            srb,
            sense,
            data: bytes,
        }
    }

    #[track_caller]
    pub(crate) fn scsi(&mut self, lun: u8, cdb: &[u8], data: Data<'_>) -> Ended {
        self.scsi_at(LunAddress::lun(lun), cdb, data, 0)
    }

    #[track_caller]
    pub(crate) fn command(&mut self, lun: u8, command: Command, data: Data<'_>) -> Ended {
        let cdb: Cdb = command.to_cdb();
        self.scsi(lun, cdb.as_bytes(), data)
    }

    pub(crate) fn disk(&self, index: usize) -> &RamDisk {
        self.luns[index].backend()
    }
}

/// One disk of 4096 blocks of 512 bytes.
pub(crate) fn one_disk() -> Rig {
    Rig::ready(vec![Lun::new(0, RamDisk::new(4096))])
}
