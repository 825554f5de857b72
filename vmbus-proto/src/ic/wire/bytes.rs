//! Fields of fixed size that hold text, or what only the two ends know, so that neither fills a trace.

use core::fmt;

use thiserror::Error;
use zerocopy::little_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// UTF-16 text in a field of `UNITS` units, with a NUL after it.
///
/// ```
/// use vmbus_proto::ic::wire::Text;
///
/// let name: Text<8> = Text::new("σ-disk")?;
/// assert_eq!((name.to_string().as_str(), name.size()), ("σ-disk", 14));
/// assert_eq!(Text::<6>::new("σ-disk").unwrap_err().to_string(), "text of 6 units of UTF-16 in a field of 6, one of them for its NUL");
/// # Ok::<(), vmbus_proto::ic::wire::TextTooLong>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(transparent)]
pub struct Text<const UNITS: usize>([U16; UNITS]);

/// The caller's text does not fit its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("text of {units} units of UTF-16 in a field of {most}, one of them for its NUL")]
pub struct TextTooLong {
    /// Units that the text takes, its NUL left out.
    pub units: usize,
    /// Units of the field.
    pub most: usize,
}

impl<const UNITS: usize> Text<UNITS> {
    /// No text.
    pub const EMPTY: Self = Self([U16::ZERO; UNITS]);

    /// The field that holds this text.
    ///
    /// # Errors
    /// When there is no room for the text and a NUL.
    pub fn new(text: &str) -> Result<Self, TextTooLong> {
        let units = text.encode_utf16().count();
        if units >= UNITS {
            return Err(TextTooLong { units, most: UNITS });
        }
        let mut field = Self::EMPTY;
        for (to, from) in field.0.iter_mut().zip(text.encode_utf16()) {
            *to = U16::new(from);
        }
        Ok(field)
    }

    /// The characters up to the NUL, or all where there is none. What is no UTF-16 is
    /// [the replacement character](char::REPLACEMENT_CHARACTER).
    pub fn chars(&self) -> impl Iterator<Item = char> + '_ {
        chars(&self.0)
    }

    /// Bytes that the text and its NUL take: what stands in a size field beside it.
    #[must_use]
    pub fn size(&self) -> usize {
        let units = self.0.iter().take_while(|unit| unit.get() != 0).count();
        units
            .saturating_add(1)
            .min(UNITS)
            .saturating_mul(size_of::<U16>())
    }

    /// Whether there is no text.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.first().is_none_or(|unit| unit.get() == 0)
    }

    /// Whether it is this text.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        self.chars().eq(text.chars())
    }
}

impl<const UNITS: usize> Default for Text<UNITS> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<const UNITS: usize> fmt::Display for Text<UNITS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(&self.0, char::is_control, f)
    }
}

impl<const UNITS: usize> fmt::Debug for Text<UNITS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        show(
            &self.0,
            |character| character.is_control() || matches!(character, '"' | '\\'),
            f,
        )?;
        f.write_str("\"")
    }
}

fn chars(units: &[U16]) -> impl Iterator<Item = char> + '_ {
    let units = units.iter().map(|unit| unit.get()).take_while(|unit| *unit != 0);
    char::decode_utf16(units).map(|character| character.unwrap_or(char::REPLACEMENT_CHARACTER))
}

/// Writes text with an escape for what is to have one, so that it keeps to its line, whatever a peer put into it.
fn show(units: &[U16], escaped: impl Fn(char) -> bool, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    use fmt::Write as _;
    for character in chars(units) {
        if escaped(character) {
            write!(f, "{}", character.escape_default())?;
        } else {
            f.write_char(character)?;
        }
    }
    Ok(())
}

/// `LEN` bytes that this crate gives no meaning.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(transparent)]
pub struct Bytes<const LEN: usize>(pub [u8; LEN]);

impl<const LEN: usize> Bytes<LEN> {
    /// Zeros.
    pub const ZERO: Self = Self([0; LEN]);

    /// The bytes, the zeros at the end left out.
    #[must_use]
    pub fn trimmed(&self) -> &[u8] {
        let len = self
            .0
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |last| last.saturating_add(1));
        self.0.get(..len).unwrap_or(&self.0)
    }
}

impl<const LEN: usize> Default for Bytes<LEN> {
    fn default() -> Self {
        Self::ZERO
    }
}

impl<const LEN: usize> fmt::Debug for Bytes<LEN> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{LEN} bytes ")?;
        hex(self.trimmed(), f)
    }
}

/// Writes the first bytes of something in hexadecimal digits.
pub(crate) fn hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    const SHOWN: usize = 16;
    for byte in bytes.iter().take(SHOWN) {
        write!(f, "{byte:02x}")?;
    }
    if bytes.len() > SHOWN {
        f.write_str("...")
    } else {
        Ok(())
    }
}
