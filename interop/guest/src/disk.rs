//! A disk driver: a channel of a SCSI controller, buffers for its commands, and the disk behind it.

use storvsc_proto::guest::{
    Data, Disk, Event, IDENTIFY_BUFFER_LEN, Identify, Outcome, Properties, Queue, Request, RequestId,
};
use storvsc_proto::wire::{LunAddress, NtStatus, Operation, ProtocolVersion};
use vmbus_proto::guest::{ChannelId, ChannelOffer};
use vmbus_proto::ringbuf::SharedMem as _;
use vmbus_proto::ringbuf::gpa::GpaRange;
use vmbus_proto::ringbuf::mem::{ContiguousRing, PageList, PagePtr};

use crate::memory::{Block, PAGE_SIZE};
use crate::pattern;
use crate::report::Text;
use crate::session::Session;
use crate::text;

/// Commands that may be under way.
pub const DEPTH: usize = 8;
/// Pages of a command's buffer.
const BUFFER_PAGES: usize = 64;
/// Bytes of a command's buffer.
pub const BUFFER_LEN: usize = BUFFER_PAGES * PAGE_SIZE;

/// One channel of a controller.
#[derive(Debug)]
pub struct Channel<'m> {
    /// The channel.
    pub id: ChannelId,
    queue: Queue<ContiguousRing, DEPTH>,
    slots: [Slot<'m>; DEPTH],
}

/// A command's place: its buffer, and whether the host has it.
#[derive(Debug)]
struct Slot<'m> {
    buffer: Block<'m>,
    bytes: PageList<&'m [PagePtr]>,
    /// The request, and the byte of the disk at which it begins.
    request: Option<(RequestId, u64)>,
}

/// What is to be moved, and which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// To the disk, from it else.
    pub write: bool,
    /// The first byte, a multiple of [`BUFFER_LEN`].
    pub offset: u64,
    /// How many, a multiple of [`BUFFER_LEN`].
    pub len: u64,
    /// The pattern that is written, or that what is read is compared with.
    pub seed: u64,
}

/// How a transfer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// All of it is done.
    All,
    /// The host took the device away while so many commands were under way.
    Rescinded {
        /// Commands that did not end.
        under_way: usize,
    },
}

impl<'m> Channel<'m> {
    /// Opens the primary channel of a controller and negotiates.
    ///
    /// # Errors
    /// The host refuses something.
    pub fn primary(
        session: &mut Session<'m>,
        offer: &ChannelOffer,
    ) -> Result<(Self, ProtocolVersion, Properties), Text> {
        let opened = session.open(offer.channel)?;
        let mut channel = Self::new(session, offer.channel, Queue::primary(opened.rings))?;
        let (version, properties) = channel.wait(session, |event| match event {
            Event::Ready { version, properties } => Some((version, properties)),
            _ => None,
        })?;
        Ok((channel, version, properties))
    }

    /// Opens a sub-channel of a controller whose primary channel agreed on this.
    ///
    /// # Errors
    /// The host refuses it.
    pub fn sub_channel(
        session: &mut Session<'m>,
        id: ChannelId,
        version: ProtocolVersion,
        properties: Properties,
    ) -> Result<Self, Text> {
        let opened = session.open(id)?;
        Self::new(session, id, Queue::sub_channel(opened.rings, version, properties))
    }

    fn new(session: &Session<'m>, id: ChannelId, queue: Queue<ContiguousRing, DEPTH>) -> Result<Self, Text> {
        let mut slots = heapless::Vec::<_, DEPTH>::new();
        for _ in 0..DEPTH {
            let buffer = session.pages(BUFFER_PAGES)?;
            // SAFETY: the region stands in the same slot as its block, and is the only view of it; the host uses other ways.
            let bytes = unsafe { buffer.region() }.ok_or(text!("a buffer of no pages"))?;
            let request = None;
            drop(slots.push(Slot {
                buffer,
                bytes,
                request,
            }));
        }
        let slots = slots.into_array().map_err(|_| text!("too few buffers"))?;
        Ok(Self { id, queue, slots })
    }

    /// Bytes of memory that the channel takes, without its rings.
    #[must_use]
    pub const fn static_bytes() -> (usize, usize) {
        (size_of::<Queue<ContiguousRing, DEPTH>>(), DEPTH * BUFFER_LEN)
    }

    /// Takes the next event of the queue's, if there is one.
    fn poll(&mut self, session: &Session<'m>) -> Result<Option<Event>, Text> {
        loop {
            let polled = self.queue.poll()?;
            session.signal(self.id, polled.signal)?;
            if polled.event.is_some() || !polled.again {
                return Ok(polled.event);
            }
        }
    }

    /// Waits for an event that `wanted` knows; others are of no interest then.
    fn wait<T>(
        &mut self,
        session: &mut Session<'m>,
        mut wanted: impl FnMut(Event) -> Option<T>,
    ) -> Result<T, Text> {
        session.wait("the disk", |session| {
            while let Some(event) = self.poll(session)? {
                if let Some(result) = wanted(event) {
                    return Ok(Some(result));
                }
            }
            Ok(None)
        })
    }

    /// Sends a command by the first slot and waits for its end.
    ///
    /// # Errors
    /// It cannot be sent, or the host does not answer.
    pub fn command(
        &mut self,
        session: &mut Session<'m>,
        lun: LunAddress,
        request: &Request,
    ) -> Result<Outcome, Text> {
        let [slot, ..] = &self.slots;
        let range = slot.range(request.len)?;
        let data = range.map_or(Data::None, Data::In);
        let submitted = self.queue.submit(lun, &request.cdb, data)?;
        session.signal(self.id, submitted.signal)?;
        self.wait(session, |event| match event {
            Event::Completed { id, outcome } if id == submitted.id => Some(outcome),
            _ => None,
        })
    }

    /// Finds out what the disk at an address is.
    ///
    /// # Errors
    /// There is none, or it does not answer as one.
    pub fn identify(
        &mut self,
        session: &mut Session<'m>,
        lun: LunAddress,
        properties: Properties,
    ) -> Result<Disk, Text> {
        let mut identify = Identify::new(lun, properties);
        while let Some(request) = identify.request() {
            let outcome = self.command(session, lun, &request)?;
            let mut answer = [0; IDENTIFY_BUFFER_LEN];
            let [slot, ..] = &self.slots;
            slot.bytes.read(0, &mut answer)?;
            identify.answer(&outcome, &answer)?;
        }
        identify.disk().ok_or(text!("the disk told too little"))
    }

    /// Moves data with as many commands under way as there are slots. `moved` is told after each command how many bytes are
    /// done.
    ///
    /// # Errors
    /// A command fails, or what is read differs from the pattern.
    pub fn transfer(
        &mut self,
        session: &mut Session<'m>,
        disk: &Disk,
        transfer: &Transfer,
        mut moved: impl FnMut(u64),
    ) -> Result<Moved, Text> {
        let (mut next, mut done) = (0, 0);
        while done < transfer.len {
            while next < transfer.len && self.start(session, disk, transfer, next)? {
                next += BUFFER_LEN as u64;
            }
            let ended = session.wait("the disk", |session| {
                if session.is_rescinded(self.id) {
                    return Ok(Some(None));
                }
                while let Some(event) = self.poll(session)? {
                    if let Event::Completed { id, outcome } = event {
                        return Ok(Some(Some((id, outcome))));
                    }
                }
                Ok(None)
            })?;
            let Some((id, outcome)) = ended else {
                return Ok(Moved::Rescinded {
                    under_way: self.abort(),
                });
            };
            self.end(transfer, id, &outcome)?;
            done += BUFFER_LEN as u64;
            moved(done);
        }
        Ok(Moved::All)
    }

    /// Sends the command for the bytes from `next` on, if a slot is free.
    fn start(
        &mut self,
        session: &Session<'m>,
        disk: &Disk,
        transfer: &Transfer,
        next: u64,
    ) -> Result<bool, Text> {
        let Some(slot) = self.slots.iter_mut().find(|slot| slot.request.is_none()) else {
            return Ok(false);
        };
        let at = transfer.offset + next;
        let block_len = u64::from(disk.block_len());
        let (lba, count) = (at / block_len, u32::try_from(BUFFER_LEN as u64 / block_len)?);
        let request = if transfer.write {
            slot.fill(transfer.seed, next)?;
            disk.write(lba, count, false)?
        } else {
            disk.read(lba, count)?
        };
        let range = slot.range(request.len)?.ok_or(text!("a transfer of nothing"))?;
        let data = if transfer.write {
            Data::Out(range)
        } else {
            Data::In(range)
        };
        let submitted = self.queue.submit(disk.address(), &request.cdb, data)?;
        slot.request = Some((submitted.id, next));
        session.signal(self.id, submitted.signal)?;
        Ok(true)
    }

    fn end(&mut self, transfer: &Transfer, id: RequestId, outcome: &Outcome) -> Result<(), Text> {
        let mut slots = self.slots.iter_mut();
        let found = slots.find_map(|slot| match slot.request {
            Some((request, at)) if request == id => Some((slot, at)),
            _ => None,
        });
        let (slot, at) = found.ok_or(text!("a command ended that nobody sent"))?;
        slot.request = None;
        if !outcome.is_good() || outcome.transferred as usize != BUFFER_LEN {
            return Err(text!("at byte {at}: {outcome:?}"));
        }
        match slot.difference(transfer.seed, at)? {
            Some(place) if !transfer.write => Err(text!("what was read differs at byte {place}")),
            _ => Ok(()),
        }
    }

    /// Ends what is under way, and tells how much that was.
    fn abort(&mut self) -> usize {
        core::iter::from_fn(|| self.queue.abort()).count()
    }

    /// Asks for sub-channels and waits for the answer.
    ///
    /// # Errors
    /// The host refuses.
    pub fn create_sub_channels(&mut self, session: &mut Session<'m>, count: u16) -> Result<(), Text> {
        let signal = self.queue.create_sub_channels(count)?;
        session.signal(self.id, signal)?;
        let status = self.wait(session, |event| match event {
            Event::Answered { operation, status } if operation == Operation::CREATE_SUB_CHANNELS => {
                Some(status)
            }
            _ => None,
        })?;
        if status == NtStatus::SUCCESS {
            Ok(())
        } else {
            Err(text!("the host answered {status} to {count} sub-channels"))
        }
    }

    /// Gives the channel's rings up, so that it can be closed or released. The buffers are free with it: they are no GPADL, and a host
    /// has let go of them when it has closed the channel, or taken it back.
    pub fn give_up(self) -> ChannelId {
        self.id
    }
}

impl Slot<'_> {
    /// The first bytes of the buffer as a command names them.
    fn range(&self, len: u32) -> Result<Option<GpaRange<'_>>, Text> {
        if len == 0 {
            return Ok(None);
        }
        let pages = (len as usize).div_ceil(PAGE_SIZE);
        let pfns = self
            .buffer
            .pfns()
            .get(..pages)
            .ok_or(text!("{len} bytes in a buffer"))?;
        Ok(Some(GpaRange::new(0, len, pfns)?))
    }

    fn fill(&self, seed: u64, at: u64) -> Result<(), Text> {
        let mut page = [0; PAGE_SIZE];
        for offset in (0..BUFFER_LEN).step_by(PAGE_SIZE) {
            pattern::fill(seed, at + offset as u64, &mut page);
            self.bytes.write(offset, &page)?;
        }
        Ok(())
    }

    fn difference(&self, seed: u64, at: u64) -> Result<Option<u64>, Text> {
        let mut page = [0; PAGE_SIZE];
        for offset in (0..BUFFER_LEN).step_by(PAGE_SIZE) {
            self.bytes.read(offset, &mut page)?;
            if let Some(place) = pattern::difference(seed, at + offset as u64, &page) {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }
}
