//! What the gateway's TCP services say and expect.
//!
//! This module is `no_std` and depends on nothing, so that a bare-metal client and the server read the same facts.
//!
//! | port | service | the client sends | the gateway answers |
//! |---|---|---|---|
//! | [`ECHO_PORT`] 7 | echo | bytes, then its FIN | the same bytes, then FIN |
//! | [`SINK_PORT`] 9 | sink | bytes, then its FIN | one [`Summary`] line of what came, then FIN |
//! | [`SOURCE_PORT`] 19 | source | one [`Request`] line | exactly that many bytes of the [`Pattern`], then FIN |
//! | [`HASH_PORT`] 20 | hash | one [`Request`] line | the [`Summary`] line of those same bytes, then FIN |
//!
//! The port numbers are those of RFC 862 (echo), RFC 863 (discard) and RFC 864 (character generator), whose idea
//! the services follow; 20 is its own.
//!
//! A client may send its FIN as early as it likes: every answer comes over the half-closed connection. That is how
//! busybox `nc` works (it shuts down its sending half at the end of its standard input, and ends at the peer's FIN),
//! so that a guest with nothing but busybox checks a transfer end to end:
//!
//! ```sh
//! # up: the line of the sink is to hold the file's size and hash
//! nc 10.0.2.2 9 <file
//! sha256sum <file
//! # down: the same hash from the bytes and from the hash service
//! echo 16777216 42 | nc 10.0.2.2 19 | sha256sum
//! echo 16777216 42 | nc 10.0.2.2 20
//! # there and back: not more than the gateway's buffer (1 MiB), because nc does not read while it writes
//! nc 10.0.2.2 7 <file | cmp - file
//! ```
//!
//! A client without SHA-256 sends a [`Pattern`] to the sink and compares the sink's line with the line of the hash
//! service; what it gets from the source it compares with a [`Pattern`] of its own.
//!
//! To a request line that is none the source answers with a reset, so that no client takes an error text for data;
//! the hash service answers with a line that begins with [`ERROR_PREFIX`]. busybox `nc` ends with status 0 even after a
//! reset, so that a script should look at what it got and not at the status.

mod pattern;

use core::fmt;

use thiserror::Error;

pub use pattern::{Pattern, word};

/// TCP port of the echo service.
pub const ECHO_PORT: u16 = 7;
/// TCP port of the sink.
pub const SINK_PORT: u16 = 9;
/// TCP port of the source.
pub const SOURCE_PORT: u16 = 19;
/// TCP port of the service that tells the hash of what the source sends.
pub const HASH_PORT: u16 = 20;

/// The longest request line in bytes, its line feed included.
pub const MAX_REQUEST: usize = 64;
/// The longest answer line in bytes, its line feed included: a [`Summary`] of 20 digits, or an error.
pub const MAX_ANSWER: usize = 20 + 1 + 64 + 1;
/// The most bytes that the hash service hashes: 64 GiB, which take minutes. The source has no such limit, because its
/// client sets the pace.
pub const MAX_HASHED: u64 = 1 << 36;
/// How the hash service's line begins when the request was none.
pub const ERROR_PREFIX: &str = "error: ";

/// What a client asks of the source and of the hash service: `LEN SEED` in decimal and a line feed.
///
/// ```
/// use gateway::services::Request;
///
/// let request = Request { len: 1 << 20, seed: 42 };
/// assert_eq!(request.to_string(), "1048576 42");
/// assert_eq!(Request::parse(b"1048576 42\n"), Ok(request));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Bytes of the pattern.
    pub len: u64,
    /// Seed of the pattern.
    pub seed: u64,
}

impl Request {
    /// Reads a request line, with its end (`\n` or `\r\n`) or without. Blanks around the numbers do no harm.
    ///
    /// # Errors
    ///
    /// Says which part of the line is wrong.
    pub fn parse(line: &[u8]) -> Result<Self, RequestError> {
        if line.len() > MAX_REQUEST {
            return Err(RequestError::TooLong);
        }
        let text = core::str::from_utf8(line).map_err(|_| RequestError::NotANumber)?;
        let mut words = text.split_ascii_whitespace();
        let mut number = |missing| {
            words
                .next()
                .ok_or(missing)?
                .parse()
                .map_err(|_| RequestError::NotANumber)
        };
        let len = number(RequestError::NoLength)?;
        let seed = number(RequestError::NoSeed)?;
        match words.next() {
            Some(_) => Err(RequestError::Trailing),
            None => Ok(Self { len, seed }),
        }
    }
}

/// The line without its line feed.
impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.len, self.seed)
    }
}

/// Why a line is no [`Request`]: the client's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RequestError {
    /// No line end within [`MAX_REQUEST`] bytes.
    #[error("the request line is longer than {MAX_REQUEST} bytes")]
    TooLong,
    /// The line is empty.
    #[error("no length: the line is to read LEN SEED")]
    NoLength,
    /// The line ends after the length.
    #[error("no seed: the line is to read LEN SEED")]
    NoSeed,
    /// A word is no decimal number of 64 bits.
    #[error("not a decimal number of 64 bits")]
    NotANumber,
    /// More follows after the seed.
    #[error("more than LEN SEED")]
    Trailing,
    /// More than [`MAX_HASHED`] bytes are to be hashed.
    #[error("more than {MAX_HASHED} bytes to hash")]
    TooMuch,
}

/// The line with which the sink and the hash service answer: the count of bytes in decimal, a blank, and their
/// SHA-256 in 64 lower-case hexadecimal digits, as `sha256sum` prints it.
///
/// ```
/// use gateway::services::Summary;
///
/// let summary = Summary { len: 3, sha256: [0xab; 32] };
/// let line = summary.to_string();
/// assert!(line.starts_with("3 abab"));
/// assert_eq!(Summary::parse(line.as_bytes()), Some(summary));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Bytes.
    pub len: u64,
    /// Their SHA-256.
    pub sha256: [u8; 32],
}

impl Summary {
    /// Reads such a line, with its end or without; `None` when it is none (an error line among others).
    #[must_use]
    pub fn parse(line: &[u8]) -> Option<Self> {
        let mut words = core::str::from_utf8(line).ok()?.split_ascii_whitespace();
        let len = words.next()?.parse().ok()?;
        let digits = words.next()?.as_bytes();
        if words.next().is_some() || digits.len() != 64 {
            return None;
        }
        let mut sha256 = [0; 32];
        for (byte, pair) in sha256.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = core::str::from_utf8(pair)
                .ok()
                .filter(|pair| !pair.starts_with('+'))?;
            *byte = u8::from_str_radix(pair, 16).ok()?;
        }
        Some(Self { len, sha256 })
    }
}

/// The line without its line feed.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.len)?;
        self.sha256.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn request_lines_are_read_as_people_write_them() {
        let request = Request { len: 5, seed: 7 };
        for line in ["5 7", "5 7\n", "5 7\r\n", "  5\t7  \n"] {
            assert_eq!(Request::parse(line.as_bytes()), Ok(request), "{line:?}");
        }
        for (line, error) in [
            ("", RequestError::NoLength),
            ("\n", RequestError::NoLength),
            ("5\n", RequestError::NoSeed),
            ("5 x", RequestError::NotANumber),
            ("-5 1", RequestError::NotANumber),
            ("18446744073709551616 1", RequestError::NotANumber),
            ("5 7 9", RequestError::Trailing),
        ] {
            assert_eq!(Request::parse(line.as_bytes()), Err(error), "{line:?}");
        }
        assert_eq!(
            Request::parse(&[b' '; MAX_REQUEST + 1]),
            Err(RequestError::TooLong)
        );
        assert_eq!(Request::parse(&[0xff]), Err(RequestError::NotANumber));
    }

    #[test]
    fn the_longest_lines_fit() {
        let summary = Summary {
            len: u64::MAX,
            sha256: [0xff; 32],
        };
        assert_eq!(summary.to_string().len() + 1, MAX_ANSWER);
        let request = Request {
            len: u64::MAX,
            seed: u64::MAX,
        };
        assert!(request.to_string().len() < MAX_REQUEST);
        for error in [
            RequestError::TooLong,
            RequestError::NoLength,
            RequestError::NoSeed,
        ] {
            assert!(ERROR_PREFIX.len() + error.to_string().len() < MAX_ANSWER);
        }
    }

    proptest! {
        #[test]
        fn lines_round_trip(len: u64, seed: u64, sha256: [u8; 32]) {
            let request = Request { len, seed };
            prop_assert_eq!(Request::parse(request.to_string().as_bytes()), Ok(request));
            let summary = Summary { len, sha256 };
            prop_assert_eq!(Summary::parse(summary.to_string().as_bytes()), Some(summary));
        }

        #[test]
        fn any_bytes_are_read_or_refused(line: Vec<u8>) {
            let _ = Request::parse(&line);
            let _ = Summary::parse(&line);
        }
    }
}
