//! GUIDs: what names interfaces and instances of devices.

use core::fmt;
use core::str::FromStr;

use thiserror::Error;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A GUID as it stands in messages: the first three groups little-endian, the rest in order.
///
/// ```
/// use vmbus_proto::wire::Guid;
/// let network: Guid = "f8615163-df3e-46c5-913f-f2d2f965ed0e".parse()?;
/// assert_eq!(network.to_bytes()[..4], [0x63, 0x51, 0x61, 0xf8]);
/// assert_eq!(network, vmbus_proto::wire::interface::NETWORK);
/// # Ok::<(), vmbus_proto::wire::NoGuid>(())
/// ```
#[derive(
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(transparent)]
pub struct Guid([u8; 16]);

impl Guid {
    /// All zeros.
    pub const ZERO: Self = Self([0; 16]);

    /// The GUID with these 16 bytes, as they stand in a message.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The GUID `data1-data2-data3-data4`, the groups as they are written, the last two as one.
    #[must_use]
    pub const fn new(data1: u32, data2: u16, data3: u16, data4: u64) -> Self {
        let [a0, a1, a2, a3] = data1.to_le_bytes();
        let [b0, b1] = data2.to_le_bytes();
        let [c0, c1] = data3.to_le_bytes();
        let [d0, d1, d2, d3, d4, d5, d6, d7] = data4.to_be_bytes();
        Self([a0, a1, a2, a3, b0, b1, c0, c1, d0, d1, d2, d3, d4, d5, d6, d7])
    }

    /// The 16 bytes as they stand in a message.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a0, a1, a2, a3, b0, b1, c0, c1, d0, d1, d2, d3, d4, d5, d6, d7] = self.0;
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            u32::from_le_bytes([a0, a1, a2, a3]),
            u16::from_le_bytes([b0, b1]),
            u16::from_le_bytes([c0, c1]),
            u16::from_be_bytes([d0, d1]),
            u64::from_be_bytes([0, 0, d2, d3, d4, d5, d6, d7]),
        )
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Guid({self})")
    }
}

impl FromStr for Guid {
    type Err = NoGuid;

    /// Reads the form with four hyphens, with or without braces, in either case.
    fn from_str(text: &str) -> Result<Self, NoGuid> {
        let bare = match text.strip_prefix('{') {
            Some(rest) => rest.strip_suffix('}').ok_or(NoGuid)?,
            None => text,
        };
        let mut groups = bare.as_bytes().split(|byte| *byte == b'-');
        let mut group = |digits: usize| {
            let group = groups
                .next()
                .filter(|group| group.len() == digits)
                .ok_or(NoGuid)?;
            group.iter().try_fold(0u64, |value, byte| {
                let digit = char::from(*byte).to_digit(16).ok_or(NoGuid)?;
                Ok(value << 4 | u64::from(digit))
            })
        };
        let data1 = u32::try_from(group(8)?).map_err(|_| NoGuid)?;
        let data2 = u16::try_from(group(4)?).map_err(|_| NoGuid)?;
        let data3 = u16::try_from(group(4)?).map_err(|_| NoGuid)?;
        let data4 = group(4)? << 48 | group(12)?;
        if groups.next().is_some() {
            return Err(NoGuid);
        }
        Ok(Self::new(data1, data2, data3, data4))
    }
}

/// The caller's text is not a GUID of the form `01234567-89ab-cdef-0123-456789abcdef`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a GUID; the form is 01234567-89ab-cdef-0123-456789abcdef")]
pub struct NoGuid;

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;

    use super::*;

    #[test]
    fn the_text_form_is_the_usual_one() {
        let guid = Guid::new(0xf861_5163, 0xdf3e, 0x46c5, 0x913f_f2d2_f965_ed0e);
        assert_eq!(guid.to_string(), "f8615163-df3e-46c5-913f-f2d2f965ed0e");
        assert_eq!(
            guid.to_bytes(),
            [
                0x63, 0x51, 0x61, 0xf8, 0x3e, 0xdf, 0xc5, 0x46, 0x91, 0x3f, 0xf2, 0xd2, 0xf9, 0x65, 0xed,
                0x0e
            ]
        );
        assert_eq!(guid.to_string().parse(), Ok(guid));
        assert_eq!("{F8615163-DF3E-46C5-913F-F2D2F965ED0E}".parse(), Ok(guid));
    }

    #[test]
    fn other_text_is_refused() {
        for text in [
            "",
            "f8615163",
            "f8615163-df3e-46c5-913f-f2d2f965ed0",
            "f8615163-df3e-46c5-913f-f2d2f965ed0e0",
            "f8615163-df3e-46c5-913f-f2d2f965ed0e-",
            "+8615163-df3e-46c5-913f-f2d2f965ed0e",
            "g8615163-df3e-46c5-913f-f2d2f965ed0e",
            "{f8615163-df3e-46c5-913f-f2d2f965ed0e",
            "f8615163df3e46c5913ff2d2f965ed0e",
            "\u{e9}8615163-df3e-46c5-913f-f2d2f965ed0e",
        ] {
            assert_eq!(text.parse::<Guid>(), Err(NoGuid), "{text}");
        }
    }
}
