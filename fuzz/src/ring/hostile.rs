//! One end of ours, and a peer that writes what it likes where it likes, between any two of our accesses.

use vmbus_ringbuf::{Consumer, ControlWord, Packet, Producer, ReadError, RingFault, RingMem, WriteError};

use super::check_ranges;
use super::packet::{Shape, write_batch};
use crate::input::Steps;
use crate::memory::{Hostile, Kind, Tamper};
use crate::steps;

steps! {
    /// What is done, by the peer or by the embedder.
    pub enum Step {
        /// The peer changes memory now.
        Now(tamper: Tamper),
        /// The peer changes memory before an access to come.
        Later(tamper: Tamper),
        /// The next packet, with a scratch of so many bytes.
        Read(scratch: u16),
        /// With a scratch that is enough for every packet.
        ReadAll,
        /// Its descriptor.
        Descriptor(scratch: u16),
        /// Pass it over.
        Skip,
        /// Give room back.
        Release,
        /// No signals.
        Mask,
        /// Signals again.
        Unmask,
        /// Write a packet.
        Write(shape: Shape),
        /// Write two at once.
        Batch(shapes: [Shape; 2]),
        /// How much can be written.
        Writable,
        /// Wait for room.
        Await(payload: u16),
        /// Wait no more.
        Forget,
        /// Whether all was read.
        Drained,
    }
}

steps! {
    /// The rings and what happens on them.
    pub struct Input {
        pub kind: Kind,
        pub write_index: u16,
        pub read_index: u16,
        pub steps: Steps<Step>,
    }
}

/// Both ends of ours, each on a ring of its own, with what the peer cannot change.
struct Model {
    incoming: Hostile,
    outgoing: Hostile,
    consumer: Consumer<Hostile>,
    producer: Producer<Hostile>,
    scratch: Vec<u8>,
    /// The consumer's index by what was read, until a packet was passed over of which nothing was told.
    read: Option<u32>,
    released: Option<u32>,
    written: u32,
    consumer_fault: Option<RingFault>,
    producer_fault: Option<RingFault>,
}

impl Input {
    /// Runs the steps.
    pub fn run(self) {
        let (incoming, outgoing) = (Hostile::new(&self.kind), Hostile::new(&self.kind));
        let at = |index: u16| u32::from(index) % (incoming.data_len() / 8) * 8;
        for ring in [&incoming, &outgoing] {
            ring.ring.store(ControlWord::WriteIndex, at(self.write_index));
            ring.ring.store(ControlWord::ReadIndex, at(self.read_index));
        }
        let consumer = Consumer::new(incoming.clone()).expect("positions in the ring");
        let mut model = Model {
            scratch: vec![0; consumer.max_scratch()],
            read: Some(at(self.read_index)),
            released: Some(at(self.read_index)),
            written: at(self.write_index),
            producer: Producer::new(outgoing.clone()).expect("positions in the ring"),
            consumer,
            consumer_fault: None,
            producer_fault: None,
            incoming,
            outgoing,
        };
        for step in self.steps {
            model.incoming.accesses.clear();
            model.outgoing.accesses.clear();
            let bound = model.step(step);
            model.check(bound);
        }
    }
}

impl Model {
    /// Does it, and tells how many accesses it may take at most.
    fn step(&mut self, step: Step) -> usize {
        match step {
            Step::Now(tamper) => {
                tamper.apply(&*self.incoming.ring);
                tamper.apply(&*self.outgoing.ring);
                0
            }
            Step::Later(tamper) => {
                self.incoming.later(tamper.clone());
                self.outgoing.later(tamper);
                0
            }
            Step::Read(len) => self.read(usize::from(len), false),
            Step::ReadAll => self.read(usize::MAX, false),
            Step::Descriptor(len) => self.read(usize::from(len), true),
            Step::Skip => {
                match self.consumer.skip() {
                    Ok(true) => {
                        assert_eq!(self.consumer_fault, None);
                        self.read = None;
                    }
                    Ok(false) => {}
                    Err(fault) => self.consumer_failed(fault),
                }
                3
            }
            Step::Release => {
                let signal = self.consumer.release();
                let stores = self.incoming.accesses.stores.take();
                if let [(word, value)] = stores[..] {
                    assert_eq!((word, self.consumer_fault), (ControlWord::ReadIndex, None));
                    assert_eq!(
                        self.read.unwrap_or(value),
                        value,
                        "published from the private index"
                    );
                    (self.read, self.released) = (Some(value), Some(value));
                } else {
                    assert!(stores.is_empty() && !signal.is_needed());
                    let all_released = self.read.is_none() || self.read == self.released;
                    assert!(all_released || self.consumer_fault.is_some(), "room is kept");
                }
                4
            }
            Step::Mask => {
                self.consumer.mask_interrupts();
                1
            }
            Step::Unmask => {
                let again = self.consumer.unmask_interrupts();
                assert!(again || self.read == self.released, "it sleeps over what it read");
                assert!(again || self.consumer_fault.is_none(), "a fault is not told");
                3
            }
            Step::Write(shape) => {
                let size = shape.size();
                match shape.with(|packet| self.producer.write(packet)) {
                    None => {}
                    Some(Ok(_)) => self.wrote(size),
                    Some(Err(error)) => self.producer_failed(&error),
                }
                24 + 2 * pieces(&shape)
            }
            Step::Batch(shapes) => {
                let (written, error, _) = write_batch(self.producer.batch(), &shapes);
                // What was pushed is published, unless a fault on the way took it back.
                let published = self.outgoing.ring.load(ControlWord::WriteIndex);
                let sizes = shapes[..written].iter().map(Shape::size);
                if self.producer.fault().is_none() {
                    sizes.for_each(|size| self.wrote(size));
                } else if let Some((_, index)) = self.stored(ControlWord::WriteIndex) {
                    let _ = published;
                    self.written = index;
                }
                if let Some(error) = error {
                    self.producer_failed(&error);
                }
                shapes.iter().map(|shape| 24 + 2 * pieces(shape)).sum()
            }
            Step::Writable => {
                match self.producer.writable() {
                    Ok(bytes) => assert!(bytes < self.outgoing.data_len()),
                    Err(fault) => self.producer_failed(&fault.into()),
                }
                1
            }
            Step::Await(payload) => {
                if let Err(error) = self.producer.set_pending_send_size(payload.into()) {
                    self.producer_failed(&error);
                }
                4
            }
            Step::Forget => {
                self.producer.clear_pending_send_size();
                1
            }
            Step::Drained => {
                if let Err(fault) = self.producer.is_drained() {
                    self.producer_failed(&fault.into());
                }
                1
            }
        }
    }

    fn read(&mut self, len: usize, descriptor: bool) -> usize {
        let len = len.min(self.scratch.len());
        let scratch = &mut self.scratch[..len];
        let result = if descriptor {
            self.consumer.read_descriptor(scratch)
        } else {
            self.consumer.read(scratch)
        };
        match result {
            Ok(None) => assert_eq!(self.consumer_fault, None),
            Ok(Some(packet)) => {
                assert_eq!(self.consumer_fault, None, "a corrupt ring yields nothing");
                let copied = 16 + packet.extension().len() + packet.payload().len();
                assert_eq!(self.incoming.accesses.bytes_read.get(), copied, "each byte once");
                walk(&packet, descriptor);
                let size = 24 + packet.extension().len() + packet.payload_len();
                let data_len = self.incoming.data_len();
                assert!(size < data_len as usize);
                self.read = self.read.map(|at| (at + size as u32) % data_len);
            }
            Err(ReadError::ScratchTooSmall { needed, len: told }) => {
                assert!(told == len && needed > len && needed < self.incoming.data_len() as usize);
            }
            Err(ReadError::Fault(fault)) => self.consumer_failed(fault),
            Err(error) => panic!("{error}"),
        }
        3
    }

    fn consumer_failed(&mut self, fault: RingFault) {
        assert_eq!(*self.consumer_fault.get_or_insert(fault), fault, "sticky");
    }

    fn wrote(&mut self, size: u32) {
        assert_eq!(self.producer_fault, None, "nothing is written to a corrupt ring");
        self.written = (self.written + size) % self.outgoing.data_len();
    }

    fn producer_failed(&mut self, error: &WriteError) {
        match *error {
            WriteError::Full { needed, free } => assert!(free <= needed),
            WriteError::TooLarge { needed, max } => assert!(needed > u64::from(max)),
            WriteError::Fault(fault) => {
                assert_eq!(*self.producer_fault.get_or_insert(fault), fault, "sticky");
            }
            error => panic!("{error}"),
        }
    }

    /// The last store of this word in the ring that is written to.
    fn stored(&self, word: ControlWord) -> Option<(ControlWord, u32)> {
        let stores = self.outgoing.accesses.stores.borrow();
        stores.iter().rev().find(|(stored, _)| *stored == word).copied()
    }

    fn check(&mut self, bound: usize) {
        let (incoming, outgoing) = (&self.incoming.accesses, &self.outgoing.accesses);
        assert!(
            incoming.count.get() <= bound && outgoing.count.get() <= bound,
            "bounded work"
        );
        let own = |loads: &[ControlWord], word| loads.contains(&word);
        assert!(
            !own(&incoming.loads.borrow(), ControlWord::ReadIndex)
                && !own(&outgoing.loads.borrow(), ControlWord::WriteIndex),
            "an end's own index is private"
        );
        for (word, _) in &*incoming.stores.borrow() {
            assert!(
                matches!(word, ControlWord::ReadIndex | ControlWord::InterruptMask),
                "{word:?} is the sender's"
            );
        }
        for (word, _) in &*outgoing.stores.borrow() {
            assert!(
                matches!(word, ControlWord::WriteIndex | ControlWord::PendingSendSize),
                "{word:?} is the receiver's"
            );
        }
        if let Some((_, index)) = self.stored(ControlWord::WriteIndex) {
            assert_eq!(index, self.written, "published from the private index");
        }
        for (known, found) in [
            (&mut self.consumer_fault, self.consumer.fault()),
            (&mut self.producer_fault, self.producer.fault()),
        ] {
            if let Some(found) = found {
                assert_eq!(*known.get_or_insert(found), found, "sticky");
            } else {
                assert_eq!(*known, None, "a fault is forgotten");
            }
        }
    }
}

/// Pieces that a packet is written in, beside its head and trailer.
fn pieces(shape: &Shape) -> usize {
    match shape.content {
        super::packet::Content::GpaDirect(ranges, ..) => usize::from(ranges),
        _ => 0,
    }
}

/// Walks all that a packet lists: it was judged, so that what is told is told in full.
fn walk(packet: &Packet<'_>, descriptor_only: bool) {
    assert!(packet.payload().len() == packet.payload_len() || descriptor_only);
    if let Ok(ranges) = packet.transfer_ranges() {
        assert!(packet.transfer_set_id().is_ok());
        assert!(size_of_val(ranges) + 8 <= packet.extension().len());
    }
    let Ok(ranges) = packet.gpa_ranges() else {
        return;
    };
    check_ranges(&ranges, packet.extension().len() - 8);
}
