//! The bytes that the source sends.

/// The increment of SplitMix64's counter: 2^64 divided by the golden ratio, made odd.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Word `index` of the pattern of `seed`: output `index` of the SplitMix64 generator (Steele, Lea, Flood: "Fast
/// splittable pseudorandom number generators", 2014) started with `seed`.
#[must_use]
pub const fn word(seed: u64, index: u64) -> u64 {
    let mut z = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(STEP));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A reproducible stream of pseudo-random bytes: the words of [`word`] from index 0 on, each as eight bytes, the
/// least significant first.
///
/// ```
/// use gateway::services::Pattern;
///
/// let (mut whole, mut parts) = ([0; 16], [0; 16]);
/// Pattern::new(42).fill(&mut whole);
/// let mut pattern = Pattern::new(42);
/// pattern.fill(&mut parts[..5]);
/// pattern.fill(&mut parts[5..]);
/// assert_eq!(whole, parts);
/// assert_eq!(Pattern::new(42).check(&whole), Ok(()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    seed: u64,
    /// Bytes handed out.
    position: u64,
}

impl Pattern {
    /// The stream of `seed`, from its first byte.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { seed, position: 0 }
    }

    /// Bytes handed out so far.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Writes the next `buffer.len()` bytes of the stream.
    pub fn fill(&mut self, buffer: &mut [u8]) {
        let mut rest = buffer;
        // Up to the next word's boundary byte by byte, then by words, then what is left.
        while !self.position.is_multiple_of(8) {
            let Some((first, tail)) = rest.split_first_mut() else {
                return;
            };
            *first = self.next_byte();
            rest = tail;
        }
        let (words, tail) = rest.as_chunks_mut::<8>();
        for chunk in words {
            *chunk = word(self.seed, self.position / 8).to_le_bytes();
            self.position = self.position.wrapping_add(8);
        }
        for byte in tail {
            *byte = self.next_byte();
        }
    }

    /// Compares received bytes with the stream and moves on past them.
    ///
    /// # Errors
    ///
    /// The position in the stream of the first byte that differs; the pattern then stands after it.
    pub fn check(&mut self, received: &[u8]) -> Result<(), u64> {
        for &byte in received {
            if byte != self.next_byte() {
                return Err(self.position.wrapping_sub(1));
            }
        }
        Ok(())
    }

    fn next_byte(&mut self) -> u8 {
        let shift = (self.position % 8) * 8;
        let [byte, ..] = (word(self.seed, self.position / 8) >> shift).to_le_bytes();
        self.position = self.position.wrapping_add(1);
        byte
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_those_of_splitmix64() {
        // The published generator's first outputs for seed 1234567.
        let expected = [
            6457827717110365317,
            3203168211198807973,
            9817491932198370423,
            4593380528125082431,
        ];
        for (index, word_expected) in (0..).zip(expected) {
            assert_eq!(word(1234567, index), word_expected);
        }
    }

    #[test]
    fn a_changed_byte_is_found() {
        let mut bytes = [0; 100];
        Pattern::new(3).fill(&mut bytes);
        bytes[77] ^= 1;
        assert_eq!(Pattern::new(3).check(&bytes), Err(77));
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(seed: u64, cuts in prop::collection::vec(0_usize..40, 0..20)) {
            let total = cuts.iter().sum();
            let mut whole = vec![0; total];
            Pattern::new(seed).fill(&mut whole);
            let mut pattern = Pattern::new(seed);
            let mut parts = Vec::new();
            for cut in cuts {
                let mut part = vec![0; cut];
                pattern.fill(&mut part);
                parts.extend(part);
            }
            prop_assert_eq!(&parts, &whole);
            prop_assert_eq!(Pattern::new(seed).check(&whole), Ok(()));
        }
    }
}
