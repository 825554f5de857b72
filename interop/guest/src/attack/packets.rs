//! Packets around a payload: right ones, and ones whose lengths, offsets and lists of pages lie.

use super::bytes::{Bytes, Dice, put, put_long, short};

/// `VM_PKT_DATA_INBAND`.
const IN_BAND: u32 = 6;
/// `VM_PKT_DATA_USING_GPA_DIRECT`.
const GPA_DIRECT: u32 = 9;
/// A completion is wanted.
const COMPLETION: u32 = 1;
/// Bytes behind a packet.
const TRAILER: usize = 8;

/// A packet with this payload, and room behind it, as it stands in a ring. `pages` are page numbers that the host may read and write.
pub fn packet(dice: &mut Dice, payload: &Bytes, pages: &[u64]) -> Bytes {
    let mut ranges = Bytes::new();
    let kind = if dice.one_in(2) { IN_BAND } else { GPA_DIRECT };
    if kind == GPA_DIRECT {
        let count = if dice.one_in(8) { dice.word() } else { 1 };
        put(&mut ranges, &[0, count]);
        let len = if dice.one_in(4) {
            dice.word()
        } else {
            dice.below(9) * 512
        };
        let offset = if dice.one_in(8) { dice.word() } else { 0 };
        put(&mut ranges, &[len, offset]);
        for _ in 0..=dice.below(3) {
            // Any page but one of this kernel's own: the host may do what it is asked to.
            let page = if dice.one_in(2) {
                dice.number() | 1 << 32
            } else {
                pages
                    .get(dice.below(short(pages.len())) as usize)
                    .copied()
                    .unwrap_or(u64::MAX)
            };
            put_long(&mut ranges, &[page]);
        }
    }
    assemble(kind, &ranges, payload, dice.number())
}

/// A packet whose head lies. It may poison the ring for good.
pub fn broken(dice: &mut Dice, payload: &Bytes) -> Bytes {
    let mut bytes = assemble(IN_BAND, &Bytes::new(), payload, 1);
    let (kind, offset, len, flags) = (dice.word(), dice.word(), dice.word(), dice.word());
    let head = [kind & 0xFFFF | offset << 16, len & 0xFFFF | flags << 16];
    for (at, word) in head.iter().flat_map(|word| word.to_le_bytes()).enumerate() {
        // A right half is worse than none.
        if let Some(byte) = bytes.get_mut(at).filter(|_| !dice.one_in(3)) {
            *byte = word;
        }
    }
    bytes
}

/// A packet of this kind that is right.
pub fn in_band(payload: &Bytes) -> Bytes {
    assemble(IN_BAND, &Bytes::new(), payload, 1)
}

fn assemble(kind: u32, ranges: &Bytes, payload: &Bytes, transaction: u64) -> Bytes {
    let head = 16 + ranges.len();
    let mut bytes = Bytes::new();
    let len = (head + payload.len()).next_multiple_of(8);
    let eighths = |bytes: usize| short(bytes / 8);
    put(
        &mut bytes,
        &[eighths(head) << 16 | kind, COMPLETION << 16 | eighths(len)],
    );
    put_long(&mut bytes, &[transaction]);
    let _fits = bytes.extend_from_slice(ranges);
    let _fits = bytes.extend_from_slice(payload);
    let _fits = bytes.resize(len + TRAILER, 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::payloads;

    #[test]
    fn packets_are_whole_and_name_no_page_of_somebody_elses() {
        let mut dice = Dice::new(2);
        for _ in 0..10_000 {
            let payload = payloads::storage(&mut dice);
            let packet = packet(&mut dice, &payload, &[100, 101]);
            assert_eq!(packet.len() % 8, 0);
            assert_eq!(usize::from(packet[4]) * 8 + TRAILER, packet.len());
            if u32::from(packet[0]) == GPA_DIRECT {
                let end = usize::from(packet[2]) * 8;
                for page in packet[32..end].chunks_exact(8) {
                    let page = u64::from_le_bytes(page.try_into().unwrap());
                    assert!((100..=101).contains(&page) || page >> 32 > 0, "{page:#x}");
                }
            }
        }
    }

    #[test]
    fn heads_lie() {
        let mut dice = Dice::new(2);
        let payload = payloads::storage_hello(0).unwrap();
        let right = in_band(&payload);
        let lying = (0..100).filter(|_| broken(&mut dice, &payload)[..8] != right[..8]);
        assert!(lying.count() > 90);
    }
}
