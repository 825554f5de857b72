//! The Toeplitz hash, with which received frames are spread over queues.
//!
//! For each bit of the input that is set, counted from the first byte's highest bit, the 32 bits of the key that
//! begin at the same bit are added (exclusive or). Input is source address, destination address, source port and
//! destination port as they stand in the frame. Source: Microsoft, "RSS hashing functions".

use crate::wire::rss::KEY_LEN;

/// Hashes up to 36 bytes of input; what goes beyond the key's bits adds nothing.
///
/// ```
/// use netvsc_proto::toeplitz::hash;
///
/// let mut key = [0; 40];
/// key[0] = 0x80;
/// assert_eq!(hash(&key, &[0x80]), 0x8000_0000);
/// assert_eq!(hash(&key, &[0x01]), 0);
/// ```
pub fn hash(key: &[u8; KEY_LEN], input: &[u8]) -> u32 {
    let (head, rest) = key.split_at(4);
    let mut window = head
        .iter()
        .fold(0_u32, |window, byte| window << 8 | u32::from(*byte));
    let mut result = 0;
    let next_key_bytes = rest.iter().copied().chain(core::iter::repeat(0));
    for (byte, key_byte) in input.iter().zip(next_key_bytes) {
        for bit in (0..8).rev() {
            if byte >> bit & 1 == 1 {
                result ^= window;
            }
            window = window << 1 | u32::from(key_byte >> bit & 1);
        }
    }
    result
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test may panic")]
mod tests {
    use super::*;

    /// Microsoft, "Verifying the RSS hash calculation".
    const KEY: [u8; 40] = [
        0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0,
        0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42,
        0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
    ];

    fn tuple<const N: usize>(source: [u8; N], destination: [u8; N], ports: (u16, u16)) -> ([u8; 36], usize) {
        let mut input = [0; 36];
        let all = source
            .into_iter()
            .chain(destination)
            .chain(ports.0.to_be_bytes())
            .chain(ports.1.to_be_bytes());
        for (target, byte) in input.iter_mut().zip(all) {
            *target = byte;
        }
        (input, N * 2)
    }

    #[test]
    fn published_ipv4_vectors() {
        let vectors = [
            (
                [66, 9, 149, 187],
                2794,
                [161, 142, 100, 80],
                1766,
                0x323e_8fc2,
                0x51cc_c178,
            ),
            (
                [199, 92, 111, 2],
                14230,
                [65, 69, 140, 83],
                4739,
                0xd718_262a,
                0xc626_b0ea,
            ),
            (
                [24, 19, 198, 95],
                12898,
                [12, 22, 207, 184],
                38024,
                0xd2d0_a5de,
                0x5c2b_394a,
            ),
            (
                [38, 27, 205, 30],
                48228,
                [209, 142, 163, 6],
                2217,
                0x8298_9176,
                0xafc7_327f,
            ),
            (
                [153, 39, 163, 191],
                44251,
                [202, 188, 127, 2],
                1303,
                0x5d18_09c5,
                0x10e8_28a2,
            ),
        ];
        for (source, source_port, destination, destination_port, addresses, ports) in vectors {
            let (input, length) = tuple(source, destination, (source_port, destination_port));
            assert_eq!(hash(&KEY, &input[..length]), addresses);
            assert_eq!(hash(&KEY, &input[..length + 4]), ports);
        }
    }

    #[test]
    fn published_ipv6_vectors() {
        let v6 = |text: &str| text.parse::<core::net::Ipv6Addr>().unwrap().octets();
        let vectors = [
            (
                "3ffe:2501:200:1fff::7",
                2794,
                "3ffe:2501:200:3::1",
                1766,
                0x2cc1_8cd5,
                0x4020_7d3d,
            ),
            (
                "3ffe:501:8::260:97ff:fe40:efab",
                14230,
                "ff02::1",
                4739,
                0x0f0c_461c,
                0xdde5_1bbf,
            ),
            (
                "3ffe:1900:4545:3:200:f8ff:fe21:67cf",
                44251,
                "fe80::200:f8ff:fe21:67cf",
                38024,
                0x4b61_e985,
                0x02d1_feef,
            ),
        ];
        for (source, source_port, destination, destination_port, addresses, ports) in vectors {
            let (input, length) = tuple(v6(source), v6(destination), (source_port, destination_port));
            assert_eq!(hash(&KEY, &input[..length]), addresses);
            assert_eq!(hash(&KEY, &input[..length + 4]), ports);
        }
    }

    #[test]
    fn input_beyond_the_key_adds_nothing() {
        let mut long = [0; 64];
        long[..40].fill(0xff);
        let short = hash(&KEY, &long[..40]);
        long[40..].fill(0xff);
        assert_eq!(hash(&KEY, &long), short);
    }
}
