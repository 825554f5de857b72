//! Channel messages that no guest should post.

use super::bytes::{Bytes, Dice, put, put_long};

/// The longest that a hypercall takes.
const LONGEST: usize = 240;
/// Numbers of messages that a guest posts, of which the last two end the connection (`vmbus_proto::wire`'s table).
const CLOSE: u32 = 7;
const TEARDOWN: u32 = 11;
const RELEASED: u32 = 13;
const MODIFY: u32 = 22;
/// Those that a guest posts once it is connected.
const GUESTS: [u32; 9] = [3, 5, CLOSE, 8, 9, TEARDOWN, RELEASED, 21, MODIFY];
const INITIATE: u32 = 14;
const UNLOAD: u32 = 16;

/// A message: of a known type or any, with a body that is nearly right, cut off, or nothing at all. `known` are channels of which the host
/// knows; `spared` is one that somebody uses, and which the host might rightly close where it is asked to.
pub fn message(dice: &mut Dice, known: &[u32], spared: &[u32]) -> Bytes {
    let mut bytes = Bytes::new();
    let kind = match dice.below(8) {
        0 => dice.word(),
        1 | 2 => dice.below(30),
        _ => dice.of(&GUESTS),
    };
    // By these the guest would take leave, which is its right.
    let kind = if matches!(kind, INITIATE | UNLOAD) {
        3
    } else {
        kind
    };
    let relid = if dice.one_in(3) {
        dice.word()
    } else {
        dice.of(known)
    };
    let relid = match kind {
        CLOSE | TEARDOWN | RELEASED | MODIFY if spared.contains(&relid) => u32::MAX,
        _ => relid,
    };
    let gpadl = if dice.one_in(2) {
        dice.word()
    } else {
        dice.below(8)
    };
    put(&mut bytes, &[kind, 0, relid, gpadl]);
    if kind == 8 {
        // A GPADL's header: lengths and counts that lie, and page numbers beyond all memory.
        let (len, ranges) = (dice.word() & 0xFFFF, dice.word() & 0xFFFF);
        put(&mut bytes, &[ranges << 16 | len]);
        let (count, offset) = (dice.word(), dice.word());
        put(&mut bytes, &[count, offset]);
        for _ in 0..dice.below(24) {
            let page = dice.number();
            put_long(&mut bytes, &[page]);
        }
    } else {
        let count = dice.below(200);
        dice.fill(&mut bytes, count as usize);
    }
    if dice.one_in(4) {
        bytes.truncate(dice.below(64) as usize);
    }
    bytes.truncate(LONGEST);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use vmbus_proto::wire::GuestMessage;

    fn word(bytes: &Bytes, at: usize) -> Option<u32> {
        let bytes = bytes.get(at..at + 4)?;
        bytes.try_into().ok().map(u32::from_le_bytes)
    }

    #[test]
    fn nobody_takes_leave_and_what_is_in_use_is_spared() {
        let mut dice = Dice::new(5);
        for _ in 0..100_000 {
            let message = message(&mut dice, &[1, 2, 3], &[2]);
            assert!(message.len() <= LONGEST);
            let (kind, relid) = (word(&message, 0), word(&message, 8));
            assert!(!matches!(kind, Some(INITIATE | UNLOAD)));
            assert!(!matches!(
                (kind, relid),
                (Some(CLOSE | TEARDOWN | RELEASED | MODIFY), Some(2))
            ));
        }
    }

    #[test]
    fn messages_of_every_type_come_some_whole_and_many_not() {
        let mut dice = Dice::new(5);
        let (mut kinds, mut whole, mut broken) = (BTreeSet::new(), 0, 0);
        for _ in 0..5000 {
            let message = message(&mut dice, &[1, 2, 3], &[]);
            kinds.extend(word(&message, 0));
            match GuestMessage::decode(&message) {
                Ok(_) => whole += 1,
                Err(_) => broken += 1,
            }
        }
        assert!((0..14).all(|kind| kinds.contains(&kind)));
        assert!(whole > 250 && broken > 500, "{whole} {broken}");
    }
}
