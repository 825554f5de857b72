//! Dice, and bytes that they make: the raw material of what no host should take.

use fastrand::Rng;

/// The most bytes of one thing.
pub const MOST: usize = 512;

/// A message or packet in the making. What does not fit is left out.
pub type Bytes = heapless::Vec<u8, MOST>;

/// Numbers at which arithmetic goes wrong where it does.
const EDGES: [u64; 12] = [
    0,
    1,
    7,
    8,
    4095,
    4096,
    0x7FFF,
    0xFFFF,
    0x7FFF_FFFF,
    0xFFFF_FFFF,
    0x7FFF_FFFF_FFFF_FFFF,
    u64::MAX,
];

/// A generator, and what one wants of it here.
#[derive(Debug)]
pub struct Dice(Rng);

impl Dice {
    /// All that it gives follows from the seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Rng::with_seed(seed))
    }

    /// One time in `times`.
    pub fn one_in(&mut self, times: u32) -> bool {
        self.0.u32(0..times.max(1)) == 0
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u32) -> u32 {
        self.0.u32(0..end.max(1))
    }

    /// One of these; 0 where there are none.
    pub fn of(&mut self, choices: &[u32]) -> u32 {
        self.0.choice(choices).copied().unwrap_or(0)
    }

    /// A number that is small, at the edge of something, or any.
    pub fn number(&mut self) -> u64 {
        match self.0.u32(0..3) {
            0 => self.0.u64(0..64),
            1 => self.0.choice(EDGES).unwrap_or(0),
            _ => self.0.u64(..),
        }
    }

    /// The low half of a [`number`](Self::number).
    pub fn word(&mut self) -> u32 {
        let [a, b, c, d, ..] = self.number().to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }

    /// A byte.
    pub fn byte(&mut self) -> u8 {
        self.0.u8(..)
    }

    /// Adds so many bytes: as often zeroes as any.
    pub fn fill(&mut self, bytes: &mut Bytes, count: usize) {
        let zero = self.one_in(2);
        for _ in 0..count {
            let byte = if zero { 0 } else { self.byte() };
            let _full = bytes.push(byte);
        }
    }

    /// Cuts bytes off, flips some, or leaves all as it is.
    pub fn spoil(&mut self, bytes: &mut Bytes) {
        match self.0.u32(0..4) {
            0 => bytes.truncate(self.0.usize(0..=bytes.len())),
            1 => {
                for _ in 0..self.0.u32(1..4) {
                    let at = self.0.usize(0..bytes.len().max(1));
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte = self.0.u8(..);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Adds words.
pub fn put(bytes: &mut Bytes, words: &[u32]) {
    for word in words {
        let _full = bytes.extend_from_slice(&word.to_le_bytes());
    }
}

/// Adds words of twice the size.
pub fn put_long(bytes: &mut Bytes, words: &[u64]) {
    for word in words {
        let _full = bytes.extend_from_slice(&word.to_le_bytes());
    }
}

/// A length of something that is made here, none of which is long.
#[must_use]
pub fn short(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_bytes() {
        let make = |seed| {
            let (mut dice, mut bytes) = (Dice::new(seed), Bytes::new());
            for _ in 0..20 {
                let number = dice.number();
                put_long(&mut bytes, &[number]);
                dice.fill(&mut bytes, 3);
            }
            dice.spoil(&mut bytes);
            bytes
        };
        assert_eq!(make(1), make(1));
        assert_ne!(make(1), make(2));
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let (mut dice, mut bytes) = (Dice::new(3), Bytes::new());
        dice.fill(&mut bytes, MOST + 100);
        put(&mut bytes, &[1]);
        assert_eq!(bytes.len(), MOST);
        let mut none = Bytes::new();
        (0..50).for_each(|_| dice.spoil(&mut none));
        assert!(none.is_empty());
    }
}
