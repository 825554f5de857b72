//! Two honest ends of one ring: all that is written arrives, once and in order, and nobody sleeps over it.

use std::collections::VecDeque;

use vmbus_ringbuf::{Consumer, ControlWord, Producer, RingMem, Signal, WriteError};

use super::packet::{Shape, write_batch};
use crate::input::Steps;
use crate::memory::{Kind, ring};
use crate::steps;

steps! {
    /// What either end does.
    pub enum Step {
        /// The sender writes one.
        Write(shape: Shape),
        /// The sender writes two as a batch.
        Batch(shapes: [Shape; 2]),
        /// The sender begins a batch and thinks better of it.
        Abandon(shape: Shape),
        /// The sender builds a packet in the ring: some of its payload by itself, the rest left as zeros.
        Build(shape: Shape, put: u8),
        /// The sender wants to be told of room.
        Await(payload: u16),
        /// The sender no longer wants to.
        Forget,
        /// The receiver takes the next packet.
        Read,
        /// The receiver takes its descriptor alone.
        Descriptor,
        /// The receiver passes it over.
        Skip,
        /// The receiver gives room back.
        Release,
        /// The receiver looks by itself from now on.
        Mask,
        /// The receiver goes to sleep if there is nothing.
        Sleep,
    }
}

steps! {
    /// The ring and what happens on it.
    pub struct Input {
        pub kind: Kind,
        pub start: u16,
        pub steps: Steps<Step>,
    }
}

/// Both ends, and what is to hold of them.
struct Model<'a> {
    memory: &'a dyn RingMem,
    producer: Producer<&'a dyn RingMem>,
    consumer: Consumer<&'a dyn RingMem>,
    scratch: Vec<u8>,
    /// Published and not yet read.
    sent: VecDeque<Shape>,
    /// Found no room, and is written again at the end.
    refused: VecDeque<Shape>,
    /// The receiver sleeps, and was not signalled since.
    asleep: bool,
    /// The sender waits for more than this many bytes of room, and was not signalled since.
    waits: Option<u32>,
}

impl Input {
    /// Runs the steps.
    pub fn run(self) {
        let memory = ring(&self.kind);
        let memory = &*memory;
        let start = u32::from(self.start) % (memory.data_len() / 8) * 8;
        memory.store(ControlWord::WriteIndex, start);
        memory.store(ControlWord::ReadIndex, start);
        let consumer = Consumer::new(memory).expect("a new ring");
        let mut model = Model {
            memory,
            producer: Producer::new(memory).expect("a new ring"),
            scratch: vec![0; consumer.max_scratch()],
            consumer,
            sent: VecDeque::new(),
            refused: VecDeque::new(),
            asleep: false,
            waits: None,
        };
        for step in self.steps {
            model.step(step);
            model.check();
        }
        model.finish();
    }
}

impl Model<'_> {
    fn step(&mut self, step: Step) {
        match step {
            Step::Write(shape) => self.write(shape),
            Step::Batch(shapes) => {
                let (written, error, signal) = write_batch(self.producer.batch(), &shapes);
                self.sent.extend(shapes[..written].iter().cloned());
                for shape in &shapes[..written] {
                    self.settled(shape);
                }
                if let Some(error) = error {
                    self.failed(&shapes[written], &error);
                }
                self.signal_receiver(signal);
            }
            Step::Abandon(shape) => {
                let mut batch = self.producer.batch();
                let result = shape.with(|packet| batch.push(packet));
                drop(batch);
                match result {
                    Some(Err(error)) => self.failed(&shape, &error),
                    // Whoever waited for no more than this waits no more, as the packet fitted.
                    Some(Ok(())) => self.settled(&shape),
                    None => {}
                }
            }
            Step::Build(shape, put) => self.build(shape, put),
            Step::Await(payload) => match self.producer.set_pending_send_size(payload.into()) {
                Ok(true) => self.waits = None,
                Ok(false) => self.waits = Some(vmbus_ringbuf::in_band_size(payload.into()) as u32),
                Err(WriteError::TooLarge { needed, max }) => assert!(needed > max.into()),
                Err(error) => panic!("{error}"),
            },
            Step::Forget => {
                self.producer.clear_pending_send_size();
                self.waits = None;
            }
            Step::Read => {
                self.asleep = false;
                let packet = self.consumer.read(&mut self.scratch).expect("an honest peer");
                let sent = self.sent.pop_front();
                assert_eq!(packet.is_some(), sent.is_some());
                if let (Some(packet), Some(sent)) = (packet, sent) {
                    sent.check(&packet);
                }
            }
            Step::Descriptor => {
                self.asleep = false;
                let packet = self
                    .consumer
                    .read_descriptor(&mut self.scratch)
                    .expect("an honest peer");
                let sent = self.sent.pop_front();
                assert_eq!(packet.is_some(), sent.is_some());
                if let (Some(packet), Some(sent)) = (packet, sent) {
                    assert!(packet.payload().is_empty());
                    sent.check(&packet);
                }
            }
            Step::Skip => {
                self.asleep = false;
                let skipped = self.consumer.skip().expect("an honest peer");
                assert_eq!(skipped, self.sent.pop_front().is_some());
            }
            Step::Release => {
                if self.consumer.release().is_needed() {
                    self.waits = None;
                }
            }
            Step::Mask => {
                self.asleep = false;
                self.consumer.mask_interrupts();
            }
            Step::Sleep => self.asleep = !self.consumer.unmask_interrupts(),
        }
    }

    fn write(&mut self, shape: Shape) {
        match shape.with(|packet| self.producer.write(packet)) {
            None => {}
            Some(Ok(signal)) => {
                self.settled(&shape);
                self.sent.push_back(shape);
                self.signal_receiver(signal);
            }
            Some(Err(error)) => self.failed(&shape, &error),
        }
    }

    /// The packet's own bytes first, then as many of `put` as there is room for.
    fn build(&mut self, shape: Shape, put: u8) {
        let more = usize::from(put);
        let mut batch = self.producer.batch();
        let result = shape.with(|packet| {
            let mut writer = batch.start(packet, more)?;
            assert_eq!(writer.remaining(), more);
            writer.put_with(more / 2, |_, piece| piece.fill(1))?;
            assert!(matches!(
                writer.put(&[0; 256]),
                Err(WriteError::PayloadOverrun { len: 256, .. })
            ));
            drop(writer);
            Ok(())
        });
        // It was dropped before it was finished, and so never was.
        let signal = batch.publish();
        if let Some(Err(error)) = result {
            match error {
                WriteError::Full { needed, free } => {
                    assert!(free <= needed);
                    self.waits = Some(needed);
                }
                WriteError::TooLarge { needed, max } => assert!(needed > max.into()),
                error => panic!("{error}"),
            }
        }
        self.signal_receiver(signal);
    }

    fn signal_receiver(&mut self, signal: Signal) {
        if signal.is_needed() {
            self.asleep = false;
        }
    }

    /// A packet was written: who waited for one that is not larger waits no more.
    fn settled(&mut self, shape: &Shape) {
        let size = shape.size();
        if self.waits.is_some_and(|waits| waits <= size) {
            self.waits = None;
        }
    }

    fn failed(&mut self, shape: &Shape, error: &WriteError) {
        match *error {
            WriteError::Full { needed, free } => {
                assert!(free <= needed, "there is room");
                assert_eq!(needed, shape.size());
                self.waits = Some(needed);
                if self.refused.len() < 8 {
                    self.refused.push_back(shape.clone());
                }
            }
            WriteError::TooLarge { needed, max } => {
                assert!(needed > max.into());
                assert!(shape.size() > max);
            }
            error => panic!("{error}"),
        }
    }

    fn check(&mut self) {
        let span = vmbus_ringbuf::model::Span::new(self.memory.data_len()).expect("a ring");
        let write = self.memory.load(ControlWord::WriteIndex);
        let read = self.memory.load(ControlWord::ReadIndex);
        assert!(span.holds(write) && span.holds(read));
        assert_eq!((self.producer.fault(), self.consumer.fault()), (None, None));
        if self.asleep {
            assert!(self.sent.is_empty(), "the receiver sleeps over a packet");
        }
        if let Some(needed) = self.waits {
            assert!(
                span.free(write, read) <= needed,
                "the sender waits for what is there"
            );
        }
    }

    /// In the end everything is done: what was refused fits once the receiver made room.
    fn finish(&mut self) {
        loop {
            while !self.sent.is_empty() {
                self.step(Step::Read);
                self.check();
            }
            self.step(Step::Release);
            self.check();
            assert_eq!(self.producer.is_drained(), Ok(true));
            assert_eq!(self.waits, None, "an empty ring has room for what can ever fit");
            let Some(shape) = self.refused.pop_front() else {
                return;
            };
            self.write(shape);
            assert_eq!(self.sent.len(), 1, "what fits in a ring fits in an empty one");
        }
    }
}
