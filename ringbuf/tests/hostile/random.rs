//! Any calls, over memory that changes in any way.

use proptest::prelude::*;
use vmbus_ringbuf::{Consumer, ControlWord, PacketType, Producer, ReadError, WriteError};

use crate::tampered::{Tamper, Tampered};
use crate::{LEN, head, in_band};

fn tamper() -> impl Strategy<Value = Tamper> {
    let word = prop_oneof![
        Just(ControlWord::WriteIndex),
        Just(ControlWord::ReadIndex),
        Just(ControlWord::InterruptMask),
        Just(ControlWord::PendingSendSize),
        Just(ControlWord::FeatureBits),
    ];
    // Often just what a ring could hold, so that the way through it is long.
    let value = prop_oneof![4 => (0..LEN / 8).prop_map(|units| units * 8), 1 => any::<u32>()];
    let descriptor =
        (0..16u16, 0..6u16, 0..12u16).prop_map(|(kind, offset8, len8)| head(PacketType(kind), offset8, len8));
    let data = prop_oneof![4 => descriptor, 1 => any::<u64>()];
    prop_oneof![
        3 => Just(Tamper::Nothing),
        2 => (word, value).prop_map(|(word, value)| Tamper::Word(word, value)),
        2 => (0..LEN / 8, data).prop_map(|(unit, data)| Tamper::Data(unit * 8, data)),
    ]
}

/// What the embedder does.
#[derive(Clone, Copy, Debug)]
enum Call {
    Read(usize),
    ReadDescriptor(usize),
    Skip,
    Release,
    Mask,
    Unmask,
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        6 => prop_oneof![Just(LEN as usize), 0..LEN as usize].prop_map(Call::Read),
        1 => (0..64usize).prop_map(Call::ReadDescriptor),
        1 => Just(Call::Skip),
        3 => Just(Call::Release),
        1 => Just(Call::Mask),
        1 => Just(Call::Unmask),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn a_consumer_yields_packets_or_faults(
        script in prop::collection::vec(tamper(), 1..60),
        calls in prop::collection::vec(call(), 1..60),
    ) {
        let mem = Tampered::new();
        let mut consumer = Consumer::new(&mem).unwrap();
        mem.follow(script);
        let mut scratch = [0; LEN as usize];
        // Where the private index is, by the packets that were read.
        let mut at = 0;
        let mut released = 0;
        let mut fault = None;
        for call in calls {
            let before = mem.accesses.get();
            let stores = mem.stores.borrow().len();
            mem.loads.borrow_mut().clear();
            let result = match call {
                Call::Read(len) => consumer.read(&mut scratch[..len]),
                Call::ReadDescriptor(len) => consumer.read_descriptor(&mut scratch[..len]),
                Call::Skip => {
                    match consumer.skip() {
                        // It tells nothing of the packet, so where the private index is now is not known.
                        Ok(true) => break,
                        Ok(false) => Ok(None),
                        Err(found) => Err(ReadError::Fault(found)),
                    }
                }
                Call::Release => {
                    let _ = consumer.release();
                    let expected = (at != released && fault.is_none()).then_some((ControlWord::ReadIndex, at));
                    prop_assert_eq!(mem.stores.borrow().get(stores).copied(), expected);
                    released = at;
                    Ok(None)
                }
                Call::Mask => {
                    consumer.mask_interrupts();
                    Ok(None)
                }
                Call::Unmask => {
                    let again = consumer.unmask_interrupts();
                    prop_assert!(again || at == released);
                    Ok(None)
                }
            };
            match result {
                Ok(Some(packet)) => {
                    prop_assert!(fault.is_none());
                    prop_assert!(packet.payload().len() <= packet.payload_len());
                    // What was judged stands in the caller's memory: walking it needs no care.
                    let _ = packet.transfer_ranges().map(<[_]>::len);
                    let _ = packet.gpa_ranges().map(|ranges| ranges.segments().count());
                    let size = 24 + packet.extension().len() + packet.payload_len();
                    prop_assert!(size < LEN as usize);
                    at = (at + size as u32) % LEN;
                }
                Ok(None) => {}
                Err(ReadError::ScratchTooSmall { needed, len }) => prop_assert!(needed > len && needed < LEN as usize),
                Err(ReadError::Fault(found)) => {
                    prop_assert_eq!(*fault.get_or_insert(found), found, "sticky");
                    prop_assert_eq!(consumer.fault(), Some(found));
                }
                Err(error) => panic!("{error}"),
            }
            prop_assert!(mem.accesses.get() - before <= 4, "bounded work");
            prop_assert!(!mem.loads.borrow().contains(&ControlWord::ReadIndex), "the own index is private");
        }
    }

    #[test]
    fn a_producer_publishes_what_it_wrote_or_faults(
        script in prop::collection::vec(tamper(), 1..60),
        calls in prop::collection::vec((0..4usize, 0..200usize), 1..60),
    ) {
        let mem = Tampered::new();
        let mut producer = Producer::new(&mem).unwrap();
        mem.follow(script);
        let payload = [0xa5; 200];
        let mut at = 0;
        let mut fault = None;
        for (batch, len) in calls {
            let before = mem.accesses.get();
            mem.loads.borrow_mut().clear();
            mem.stores.borrow_mut().clear();
            let mut packets = producer.batch();
            let mut next = at;
            for id in 0..batch {
                match packets.push(&in_band(id as u64, &[&payload[..len / 2], &payload[len / 2..len]])) {
                    Ok(()) => next = (next + 24 + len.next_multiple_of(8) as u32) % LEN,
                    Err(WriteError::Full { needed, free }) => prop_assert!(free <= needed),
                    Err(WriteError::TooLarge { .. }) => prop_assert!(len + 24 > LEN as usize - 8),
                    Err(WriteError::Fault(found)) => {
                        prop_assert_eq!(*fault.get_or_insert(found), found, "sticky");
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            let _ = packets.publish();
            let found = producer.fault();
            for &(word, value) in mem.stores.borrow().iter() {
                match word {
                    ControlWord::WriteIndex => at = value,
                    ControlWord::PendingSendSize => {}
                    word => panic!("{word:?} is the receiver's"),
                }
            }
            // What was pushed is published, unless a fault on the way took it back.
            prop_assert!(at == next || found.is_some());
            // For each packet a look at the read index, 4 to publish those before it, 3 to ask for room, 6 to write it; and 4 to
            // publish the batch.
            prop_assert!(mem.accesses.get() - before <= 4 + 14 * batch, "bounded work");
            prop_assert!(!mem.loads.borrow().contains(&ControlWord::WriteIndex), "the own index is private");
            if let Some(found) = found {
                prop_assert_eq!(*fault.get_or_insert(found), found, "sticky");
            }
        }
    }
}
