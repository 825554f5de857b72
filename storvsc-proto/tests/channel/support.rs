//! A guest's memory, a disk in memory, and a fake driver that talks to a queue through real rings.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use storvsc_proto::host::{
    BlockBackend, BlockError, BlockSize, Config, Discard, Event, Fault, Geometry, Identity, Lun, Queue,
    Segments, Serial,
};
use storvsc_proto::scsi::{Cdb, Command, Sense};
use storvsc_proto::wire::{
    Completion, DataDirection, GuestMessage, HostMessage, LunAddress, NtStatus, PacketForm, ProtocolVersion,
    ScsiRequest,
};
use vmbus_proto::hvcall::{GuestMemory, MemoryError};
use vmbus_proto::ringbuf::gpa::GpaRange;
use vmbus_proto::ringbuf::mem::ArrayRing;
use vmbus_proto::ringbuf::{Descriptor, Halves, Outgoing, RingPair};
use zerocopy::little_endian::{U16, U32, U64};

pub(crate) const PAGE: usize = 4096;

/// Guest memory.
pub(crate) struct Ram {
    bytes: Mutex<Vec<u8>>,
    /// A guest that never rests: what was read reads otherwise the next time.
    pub(crate) changing: AtomicBool,
}

impl Ram {
    pub(crate) fn new(len: usize) -> Self {
        Self {
            bytes: Mutex::new(vec![0; len]),
            changing: AtomicBool::new(false),
        }
    }

    fn with<T>(&self, gpa: u64, len: usize, f: impl FnOnce(&mut [u8]) -> T) -> Result<T, MemoryError> {
        let mut bytes = self.bytes.lock().unwrap();
        let end = gpa.checked_add(len as u64).ok_or(MemoryError { gpa, len })?;
        if end > bytes.len() as u64 {
            return Err(MemoryError { gpa, len });
        }
        Ok(f(&mut bytes[gpa as usize..end as usize]))
    }
}

impl GuestMemory for Ram {
    fn read(&self, gpa: u64, dst: &mut [u8]) -> Result<(), MemoryError> {
        let changing = self.changing.load(Ordering::Relaxed);
        self.with(gpa, dst.len(), |bytes| {
            dst.copy_from_slice(bytes);
            if changing {
                bytes.iter_mut().for_each(|byte| *byte = !*byte);
            }
        })
    }

    fn write(&self, gpa: u64, src: &[u8]) -> Result<(), MemoryError> {
        self.with(gpa, src.len(), |bytes| bytes.copy_from_slice(src))
    }

    fn load_u32(&self, gpa: u64) -> Result<u32, MemoryError> {
        self.with(gpa, 4, |bytes| u32::from_le_bytes(bytes.try_into().unwrap()))
    }

    fn store_u32(&self, gpa: u64, value: u32) -> Result<(), MemoryError> {
        self.write(gpa, &value.to_le_bytes())
    }

    fn fetch_or_u32(&self, gpa: u64, bits: u32) -> Result<u32, MemoryError> {
        let old = self.load_u32(gpa)?;
        self.store_u32(gpa, old | bits).map(|()| old)
    }
}

/// What a disk was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Read(u64, u64),
    Write(u64, u64),
    Flush,
    Discard(u64, u64),
    WriteZeroes(u64, u64),
}

/// A disk in memory. A discarded byte reads as zero.
#[derive(Debug)]
pub(crate) struct RamDisk {
    pub(crate) data: Mutex<Vec<u8>>,
    pub(crate) geometry: Mutex<Geometry>,
    pub(crate) identity: Identity,
    pub(crate) ops: Mutex<Vec<Op>>,
    pub(crate) fail: Mutex<Option<BlockError>>,
}

impl RamDisk {
    pub(crate) fn new(blocks: u64) -> Self {
        Self::with(Geometry {
            blocks,
            write_cache: true,
            discard: Some(Discard {
                granularity: 4096,
                reads_zero: true,
            }),
            ..Geometry::default()
        })
    }

    pub(crate) fn with(geometry: Geometry) -> Self {
        // A disk that pretends to be huge has no data to go with it.
        let len = (u128::from(geometry.blocks) * u128::from(geometry.block_size.bytes())).min(1 << 22);
        Self {
            data: Mutex::new(vec![0; len as usize]),
            geometry: Mutex::new(geometry),
            identity: Identity {
                serial: Serial::new("SN-0001").unwrap(),
                ..Identity::default()
            },
            ops: Mutex::default(),
            fail: Mutex::default(),
        }
    }

    pub(crate) fn take_ops(&self) -> Vec<Op> {
        std::mem::take(&mut self.ops.lock().unwrap())
    }

    fn begin(&self, op: Op) -> Result<(), BlockError> {
        self.ops.lock().unwrap().push(op);
        self.fail.lock().unwrap().map_or(Ok(()), Err)
    }

    fn zero(&self, offset: u64, len: u64) {
        let mut data = self.data.lock().unwrap();
        let end = (offset.saturating_add(len) as usize).min(data.len());
        if let Some(range) = data.get_mut(offset as usize..end) {
            range.fill(0);
        }
    }
}

impl BlockBackend for RamDisk {
    type Memory = Ram;

    fn geometry(&self) -> Geometry {
        *self.geometry.lock().unwrap()
    }

    fn identity(&self) -> Identity {
        self.identity
    }

    fn read(&self, offset: u64, memory: &Ram, segments: Segments<'_>) -> Result<(), BlockError> {
        let total = segments.total_bytes();
        self.begin(Op::Read(offset, total))?;
        let data = self.data.lock().unwrap();
        let range = data
            .get(offset as usize..(offset + total) as usize)
            .ok_or(BlockError::OutOfRange)?;
        assert_eq!(segments.write(memory, range)? as u64, total);
        Ok(())
    }

    fn write(&self, offset: u64, memory: &Ram, segments: Segments<'_>) -> Result<(), BlockError> {
        let total = segments.total_bytes();
        self.begin(Op::Write(offset, total))?;
        let mut data = self.data.lock().unwrap();
        let range = data
            .get_mut(offset as usize..(offset + total) as usize)
            .ok_or(BlockError::OutOfRange)?;
        assert_eq!(segments.read(memory, range)? as u64, total);
        Ok(())
    }

    fn flush(&self) -> Result<(), BlockError> {
        self.begin(Op::Flush)
    }

    fn discard(&self, offset: u64, len: u64) -> Result<(), BlockError> {
        self.begin(Op::Discard(offset, len))?;
        self.zero(offset, len);
        Ok(())
    }

    fn write_zeroes(&self, offset: u64, len: u64) -> Result<(), BlockError> {
        self.begin(Op::WriteZeroes(offset, len))?;
        self.zero(offset, len);
        Ok(())
    }
}

/// 8 KiB of data.
pub(crate) type Ring = ArrayRing<1024>;

/// A guest's end of a channel.
pub(crate) struct Driver {
    pub(crate) ring: RingPair<&'static Ring>,
    pub(crate) form: PacketForm,
    next_id: u64,
}

/// What the host sent.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) id: u64,
    pub(crate) len: usize,
    pub(crate) message: HostMessage,
}

impl Received {
    pub(crate) fn completion(&self) -> Completion {
        match self.message {
            HostMessage::CompleteIo(completion) => completion,
            other => panic!("{other} is no completion"),
        }
    }
}

/// A packet that a driver sends.
pub(crate) struct Sent<'a> {
    pub(crate) id: u64,
    pub(crate) wants_completion: bool,
    pub(crate) ranges: &'a [GpaRange<'a>],
    pub(crate) payload: &'a [u8],
}

impl Driver {
    pub(crate) fn send_packet(&mut self, sent: &Sent<'_>) {
        let descriptor = if sent.ranges.is_empty() {
            Descriptor::InBand
        } else {
            Descriptor::GpaDirect(sent.ranges)
        };
        let _ = self
            .ring
            .outgoing
            .write(&Outgoing {
                transaction_id: sent.id,
                request_completion: sent.wants_completion,
                descriptor,
                payload: &[sent.payload],
            })
            .unwrap();
    }

    pub(crate) fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub(crate) fn send_bytes(&mut self, payload: &[u8]) -> u64 {
        let id = self.id();
        self.send_packet(&Sent {
            id,
            wants_completion: true,
            ranges: &[],
            payload,
        });
        id
    }

    pub(crate) fn send(&mut self, message: &GuestMessage) -> u64 {
        let packet = message.encode(self.form);
        self.send_bytes(packet.as_bytes())
    }

    pub(crate) fn send_with(&mut self, message: &GuestMessage, ranges: &[GpaRange<'_>]) -> u64 {
        let id = self.id();
        let packet = message.encode(self.form);
        self.send_packet(&Sent {
            id,
            wants_completion: true,
            ranges,
            payload: packet.as_bytes(),
        });
        id
    }

    pub(crate) fn receive(&mut self) -> Option<Received> {
        let mut scratch = [0; 256];
        let packet = self.ring.incoming.read(&mut scratch).unwrap()?;
        let received = Received {
            id: packet.transaction_id(),
            len: packet.payload().len(),
            message: HostMessage::decode(packet.payload()).unwrap(),
        };
        let _ = self.ring.incoming.release();
        Some(received)
    }
}

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

/// The first page of data buffers.
pub(crate) const BUFFER_PFN: u64 = 0x100;

/// The pages of a buffer of so many bytes: pairs of neighbours in descending order, so that some pages are
/// merged and some are not.
pub(crate) fn buffer_pages(offset: usize, len: usize) -> Vec<U64> {
    let pages = (offset + len).div_ceil(PAGE);
    (0..pages as u64)
        .map(|page| U64::new(BUFFER_PFN + 2 * (600 - page / 2) + page % 2))
        .collect()
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

static LEAKED: AtomicUsize = AtomicUsize::new(0);

/// Memory for the life of the test.
pub(crate) fn leak<T>(value: T) -> &'static T {
    LEAKED.fetch_add(1, Ordering::Relaxed);
    Box::leak(Box::new(value))
}

/// Both ends of a channel.
pub(crate) fn channel() -> (RingPair<&'static Ring>, RingPair<&'static Ring>) {
    let halves = Halves {
        to_host: leak(Ring::new()),
        to_guest: leak(Ring::new()),
    };
    (RingPair::guest(halves).unwrap(), RingPair::host(halves).unwrap())
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

/// Bytes that differ from block to block.
pub(crate) fn pattern(len: usize, seed: u8) -> Vec<u8> {
    (0..len)
        .map(|at| {
            (at as u8)
                .wrapping_mul(31)
                .wrapping_add((at / 512) as u8)
                .wrapping_add(seed)
        })
        .collect()
}

pub(crate) fn large_blocks() -> Geometry {
    Geometry {
        blocks: 512,
        block_size: BlockSize::B4096,
        physical_block_size: BlockSize::B4096,
        write_cache: true,
        ..Geometry::default()
    }
}
