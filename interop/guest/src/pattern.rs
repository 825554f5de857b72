//! Bytes by which one sees whether what was read is what was written, wherever one looks.

use gateway::services::word;

const WORD: usize = size_of::<u64>();

/// Fills `buffer` with the pattern of `seed` from byte `offset` of it on, which is a multiple of 8, as the buffer's length is: the
/// same bytes as [`gateway::services::Pattern`] gives in order.
pub fn fill(seed: u64, offset: u64, buffer: &mut [u8]) {
    let (words, _) = buffer.as_chunks_mut::<WORD>();
    for (index, bytes) in (offset / 8..).zip(words) {
        *bytes = word(seed, index).to_le_bytes();
    }
}

/// The first byte of `buffer` that is not what [`fill`] would have put there, by its offset in the pattern.
#[must_use]
pub fn difference(seed: u64, offset: u64, buffer: &[u8]) -> Option<u64> {
    let (words, _) = buffer.as_chunks::<WORD>();
    let (index, bytes) = (offset / 8..)
        .zip(words)
        .find(|(index, bytes)| word(seed, *index).to_le_bytes() != **bytes)?;
    let within = word(seed, index).to_le_bytes();
    let place = within.iter().zip(bytes).position(|(one, other)| one != other)?;
    index.checked_mul(8)?.checked_add(place as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway::services::Pattern;

    #[test]
    fn it_is_the_gateways_pattern_from_anywhere() {
        let (mut whole, mut part) = ([0; 256], [0; 64]);
        Pattern::new(7).fill(&mut whole);
        fill(7, 128, &mut part);
        assert_eq!(part, whole[128..192]);
        assert_eq!(difference(7, 128, &part), None);
        part[13] ^= 1;
        assert_eq!(difference(7, 128, &part), Some(141));
        assert_eq!(difference(8, 0, &whole), Some(0));
    }
}
