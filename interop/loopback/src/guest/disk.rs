//! The guest's disk driver, over `storvsc-proto`'s queue.

use hvcall::GuestMemory;
use storvsc_proto::guest::{
    Data, Disk, Event, Identify, Outcome, Properties, Queue, Request, RequestId, SubmitError,
};
use storvsc_proto::scsi::Cdb;
use storvsc_proto::wire::{LunAddress, NtStatus, ProtocolVersion};
use vmbus_proto::guest::{ChannelId, OpenedChannel};
use vmbus_proto::ringbuf::gpa::GpaRange;
use vmbus_proto::ringbuf::{RingPair, Signal};
use zerocopy::little_endian::U64;

use super::{Guest, expect};
use crate::error::{Result, unexpected};
use crate::ram::{Frames, PAGE, PAGE_BYTES, Ring};

/// Commands that may be under way.
pub(crate) const DEPTH: usize = 64;

/// A channel of the disk's controller.
#[derive(Debug)]
pub(crate) struct DiskDriver {
    channel: ChannelId,
    queue: Queue<Ring, DEPTH>,
    /// The queue is to be polled, whether the host signals or not.
    again: bool,
    /// The host is to be signalled before it is waited for.
    signal: Signal,
    buffers: Frames,
    pfns: Vec<U64>,
    /// Which page of the buffers a read has, by its command's place.
    pages: [usize; DEPTH],
    /// Pages of the buffers that no command has.
    free: Vec<usize>,
    /// How the command ended that was [started](Self::start).
    completed: Option<Outcome>,
    ready: Option<(ProtocolVersion, Properties)>,
    sub_channels: Option<bool>,
}

impl DiskDriver {
    /// The driver of the primary channel, which negotiates as it is polled.
    pub(crate) fn primary(guest: &Guest, opened: OpenedChannel<Ring>) -> Result<Self> {
        Self::new(guest, opened.channel, opened.rings, Queue::primary)
    }

    /// The driver of a sub-channel, which speaks what the primary one agreed on.
    pub(crate) fn sub_channel(guest: &Guest, opened: OpenedChannel<Ring>, primary: &Self) -> Result<Self> {
        let ready = primary.ready;
        let (version, properties) = ready.ok_or_else(|| unexpected("the guest's disk", "it is not ready"))?;
        let mut driver = Self::new(guest, opened.channel, opened.rings, |rings| {
            Queue::sub_channel(rings, version, properties)
        })?;
        driver.ready = ready;
        Ok(driver)
    }

    fn new(
        guest: &Guest,
        channel: ChannelId,
        rings: RingPair<Ring>,
        queue: impl FnOnce(RingPair<Ring>) -> Queue<Ring, DEPTH>,
    ) -> Result<Self> {
        let buffers = guest.allocate(u32::try_from(DEPTH).unwrap_or(u32::MAX))?;
        Ok(Self {
            channel,
            queue: queue(rings),
            again: true,
            signal: Signal::NotNeeded,
            pfns: buffers.pfns(),
            buffers,
            pages: [0; DEPTH],
            free: (0..DEPTH).collect(),
            completed: None,
            ready: None,
            sub_channels: None,
        })
    }

    /// The channel.
    pub(crate) fn channel(&self) -> ChannelId {
        self.channel
    }

    /// What was agreed on, once it is.
    pub(crate) fn ready(&self) -> Option<(ProtocolVersion, Properties)> {
        self.ready
    }

    /// Serves the channel, if there is reason to: takes completions, and sends what the negotiation is to send.
    pub(crate) fn serve(&mut self, guest: &mut Guest) -> Result<()> {
        self.poll(guest, |driver, _, outcome| {
            driver.completed = Some(outcome);
            Ok(())
        })
    }

    #[inline]
    fn poll(
        &mut self,
        guest: &mut Guest,
        mut completed: impl FnMut(&mut Self, RequestId, Outcome) -> Result<()>,
    ) -> Result<()> {
        self.again |= guest.take_flag(self.channel);
        while self.again {
            let polled = self.queue.poll()?;
            self.signal = self.signal | polled.signal;
            self.again = polled.again;
            match polled.event {
                Some(Event::Completed { id, outcome }) => completed(self, id, outcome)?,
                Some(Event::Ready { version, properties }) => self.ready = Some((version, properties)),
                Some(Event::Answered { status, .. }) => self.sub_channels = Some(status == NtStatus::SUCCESS),
                Some(other) => return Err(unexpected("the guest's disk", format_args!("{other:?}"))),
                None => {}
            }
        }
        self.ring(guest)
    }

    /// Signals the host, if it is to be.
    #[inline]
    fn ring(&mut self, guest: &Guest) -> Result<()> {
        let signal = std::mem::replace(&mut self.signal, Signal::NotNeeded);
        guest.signal(self.channel, signal)
    }

    /// Asks for sub-channels.
    pub(crate) fn ask_sub_channels(&mut self, guest: &Guest, count: u16) -> Result<()> {
        self.signal = self.signal | self.queue.create_sub_channels(count)?;
        self.ring(guest)
    }

    /// Whether sub-channels will be offered, once the host has said so.
    pub(crate) fn sub_channels_granted(&self) -> Option<bool> {
        self.sub_channels
    }

    /// Sends a command, whose buffer is `data`, as many pages of the buffers as it takes from the first on. To be used when nothing
    /// else is under way.
    pub(crate) fn start(&mut self, guest: &Guest, request: &Request, data: Option<&[u8]>) -> Result<()> {
        let len = request.len as usize;
        expect(
            self.is_idle() && len <= self.buffers.len(),
            "the buffers are taken",
        )?;
        if let Some(bytes) = data {
            guest.hypervisor.ram.write(self.buffers.gpa(), bytes)?;
        }
        let pfns = self.pfns.get(..len.div_ceil(PAGE)).unwrap_or_default();
        let range = match len {
            0 => None,
            _ => Some(
                GpaRange::new(0, request.len, pfns).map_err(|fault| unexpected("the guest's disk", fault))?,
            ),
        };
        let data = match (range, data) {
            (None, _) => Data::None,
            (Some(range), Some(_)) => Data::Out(range),
            (Some(range), None) => Data::In(range),
        };
        let submitted = self.queue.submit(LunAddress::lun(0), &request.cdb, data)?;
        self.signal = self.signal | submitted.signal;
        self.ring(guest)
    }

    /// How the command ended that was [started](Self::start), and what is in its buffer, of `len` bytes.
    pub(crate) fn finish(&mut self, guest: &mut Guest, len: u32) -> Result<Option<(Outcome, Vec<u8>)>> {
        self.serve(guest)?;
        let Some(outcome) = self.completed.take() else {
            return Ok(None);
        };
        let mut bytes = vec![0; len as usize];
        guest.hypervisor.ram.read(self.buffers.gpa(), &mut bytes)?;
        Ok(Some((outcome, bytes)))
    }

    /// What a LUN is to be asked to be used as a disk.
    pub(crate) fn identify(&self) -> Result<Identify> {
        let (_, properties) = self
            .ready
            .ok_or_else(|| unexpected("the guest's disk", "it is not ready"))?;
        Ok(Identify::new(LunAddress::lun(0), properties))
    }

    /// Sends commands that read a page each, until `depth` are under way or `next` gives no more. The host is signalled once.
    #[inline]
    pub(crate) fn submit_reads(
        &mut self,
        guest: &Guest,
        depth: usize,
        mut next: impl FnMut() -> Option<Cdb>,
    ) -> Result<()> {
        let mut under_way = self.queue.outstanding();
        let mut batch = self.queue.batch()?;
        while under_way < depth {
            let Some(page) = self.free.pop() else { break };
            let Some(cdb) = next() else {
                self.free.push(page);
                break;
            };
            let pfns = self.pfns.get(page..=page).unwrap_or_default();
            let range =
                GpaRange::new(0, PAGE_BYTES, pfns).map_err(|fault| unexpected("the guest's disk", fault))?;
            match batch.submit(LunAddress::lun(0), &cdb, Data::In(range)) {
                Ok(id) => {
                    if let Some(of) = self.pages.get_mut(id.place() as usize) {
                        *of = page;
                    }
                    under_way += 1;
                }
                Err(SubmitError::RingFull) => {
                    self.free.push(page);
                    break;
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.signal = self.signal | batch.finish();
        self.ring(guest)
    }

    /// Takes the completions of reads that there are. Returns how many.
    #[inline]
    pub(crate) fn take_reads(&mut self, guest: &mut Guest) -> Result<usize> {
        let mut count = 0;
        self.poll(guest, |driver, id, outcome| {
            if !outcome.is_good() || outcome.transferred != PAGE_BYTES {
                return Err(unexpected("a read", format_args!("{outcome:?}")));
            }
            driver.free.extend(driver.pages.get(id.place() as usize).copied());
            count += 1;
            Ok(())
        })?;
        Ok(count)
    }

    /// Whether nothing is under way, so that the channel can be closed. The buffers go with the value.
    pub(crate) fn is_idle(&self) -> bool {
        self.queue.outstanding() == 0
    }
}

/// What a disk is, in words.
pub(crate) fn describe(disk: &Disk) -> String {
    format!(
        "{} MiB in blocks of {} bytes, {}, up to {} blocks a command",
        (disk.blocks() * u64::from(disk.block_len())) >> 20,
        disk.block_len(),
        if disk.has_write_cache() {
            "write cache"
        } else {
            "no write cache"
        },
        disk.max_transfer_blocks(),
    )
}
