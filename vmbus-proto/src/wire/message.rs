//! Framing: the header, the sizes that a message may have, decoding and encoding by the [`TABLE`].

use core::fmt;

use thiserror::Error;
use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::macros::wire_struct;
use super::{FeatureFlags, TABLE, Version};

/// The most bytes that a channel message can have: the payload of a SynIC message.
pub const MESSAGE_MAX: usize = hvcall::synic::MESSAGE_PAYLOAD_MAX;

/// The bytes of an encoded message.
pub type Encoded = heapless::Vec<u8, MESSAGE_MAX>;

wire_struct! {
    /// The first 8 bytes of every message.
    ///
    /// Source: Linux `struct vmbus_channel_message_header`.
    pub struct MessageHeader at 0, 8 bytes {
        /// Which message it is.
        0: message_type: MessageType,
        /// Zero when sent, ignored when received: peers leave garbage here.
        4: padding: U32,
    }
}

/// Bytes of the header.
pub const HEADER_SIZE: usize = size_of::<MessageHeader>();

/// The number of a message. Its names are those of the [`TABLE`].
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
pub struct MessageType(U32);

impl MessageType {
    /// The type with this number.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(U32::from_bytes(number.to_le_bytes()))
    }

    /// The number.
    #[must_use]
    pub const fn value(self) -> u32 {
        self.0.get()
    }

    /// The message's name, or `None` when there is no such message.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        MessageInfo::of(self).map(|info| info.name)
    }
}

impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "message {}", self.value()),
        }
    }
}

impl fmt::Debug for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageType({})", self.value())
    }
}

/// Who sends a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The guest, to the host.
    FromGuest,
    /// The host, to the guest.
    FromHost,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FromGuest => "guest",
            Self::FromHost => "host",
        })
    }
}

/// The sizes in bytes, header included, that a message may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sizes {
    /// One of these, in ascending order.
    OneOf(&'static [usize]),
    /// `least`, and then in steps of `step` up to `most`: the message ends in a list.
    Stepped {
        /// The size with an empty list.
        least: usize,
        /// The size with the longest list.
        most: usize,
        /// Bytes of an item of the list.
        step: usize,
    },
}

impl Sizes {
    /// Whether a message may have this many bytes.
    #[must_use]
    pub fn contains(&self, len: usize) -> bool {
        match *self {
            Self::OneOf(sizes) => sizes.contains(&len),
            Self::Stepped { least, most, step } => {
                len <= most && len.checked_sub(least).and_then(|list| list.checked_rem(step)) == Some(0)
            }
        }
    }

    /// The size that a message of `len` received bytes has: `len` itself, or the size that becomes `len` when it is rounded up to a
    /// multiple of 8, as QEMU sends messages. What fills up then counts for nothing.
    ///
    /// Source for the latter: QEMU `hw/hyperv/vmbus.c` with `VMBUS_MESSAGE_SIZE_ALIGN`.
    #[must_use]
    pub fn of_received(&self, len: usize) -> Option<usize> {
        (len.saturating_sub(7)..=len).rev().find(|size| {
            self.contains(*size) && (*size == len || size.checked_next_multiple_of(8) == Some(len))
        })
    }

    /// The smallest size.
    #[must_use]
    pub fn least(&self) -> usize {
        match *self {
            Self::OneOf(sizes) => sizes.first().copied().unwrap_or(HEADER_SIZE),
            Self::Stepped { least, .. } => least,
        }
    }

    /// The largest size.
    #[must_use]
    pub fn most(&self) -> usize {
        match *self {
            Self::OneOf(sizes) => sizes.last().copied().unwrap_or(HEADER_SIZE),
            Self::Stepped { most, .. } => most,
        }
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::OneOf(sizes) => {
                for (index, size) in sizes.iter().enumerate() {
                    write!(f, "{}{size}", if index == 0 { "" } else { " or " })?;
                }
                Ok(())
            }
            Self::Stepped { least, most, step } => write!(f, "{least} to {most} in steps of {step}"),
        }
    }
}

/// What the [`TABLE`] knows of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageInfo {
    /// Its number.
    pub message_type: MessageType,
    /// Its name.
    pub name: &'static str,
    /// Who sends it.
    pub direction: Direction,
    /// The version that it came with.
    pub since: Version,
    /// The feature that must have been agreed on; empty for most.
    pub feature: FeatureFlags,
    /// The sizes that it may have.
    pub sizes: Sizes,
}

impl MessageInfo {
    /// The table's entry for this number.
    #[must_use]
    pub fn of(message_type: MessageType) -> Option<&'static Self> {
        TABLE.iter().find(|info| info.message_type == message_type)
    }

    /// Whether both ends may use the message after having agreed on this version and these features.
    #[must_use]
    pub fn is_allowed(&self, version: Version, features: FeatureFlags) -> bool {
        version >= self.since && features.contains(self.feature)
    }
}

/// Bytes that are no message of the expected direction: the peer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Fewer bytes than a header has.
    #[error("{len} bytes are less than a message header")]
    NoHeader {
        /// The bytes that there were.
        len: usize,
    },
    /// A number that no message has.
    #[error("no message has the number {}", message_type.value())]
    UnknownType {
        /// The number.
        message_type: MessageType,
    },
    /// A message that the other end sends.
    #[error("{message_type} is a message of the {direction}, and came from the other end")]
    WrongDirection {
        /// Which message it is.
        message_type: MessageType,
        /// Who may send it.
        direction: Direction,
    },
    /// The message is too short, too long, or of a size between those that it may have.
    #[error("{message_type} of {len} bytes; it has {sizes}")]
    Length {
        /// Which message it is.
        message_type: MessageType,
        /// Its bytes.
        len: usize,
        /// The sizes that it may have.
        sizes: Sizes,
    },
}

/// The caller's list of PFNs does not fit one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{message_type} with {values} values of 8 bytes; at most {most} fit")]
pub struct ListTooLong {
    /// Which message it is.
    pub message_type: MessageType,
    /// The values.
    pub values: usize,
    /// How many fit.
    pub most: usize,
}

/// What a message carries after its header.
pub(crate) trait Body<'a>: Sized {
    /// The body from its bytes; `None` when they are of no size that the message may have.
    fn read(bytes: &'a [u8]) -> Option<Self>;

    /// Appends the bytes. The sizes in the [`TABLE`] are those that this can produce.
    fn write(&self, out: &mut Encoded);

    /// The error for a body that is longer than the message may be. Only lists can be.
    fn check(&self) -> Result<(), ListTooLong> {
        Ok(())
    }
}

impl<'a, T: FromBytes + IntoBytes + Immutable + KnownLayout + Unaligned> Body<'a> for T {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        T::read_from_bytes(bytes).ok()
    }

    fn write(&self, out: &mut Encoded) {
        put(out, self.as_bytes());
    }
}

/// Reads a part of fixed size, and gives what comes after it.
pub(crate) fn take<T: FromBytes>(bytes: &[u8]) -> Option<(T, &[u8])> {
    T::read_from_prefix(bytes).ok()
}

pub(crate) fn put(out: &mut Encoded, bytes: &[u8]) {
    // Every message of the table fits: the lists are checked first, and a test encodes the others at their largest.
    let fits = out.extend_from_slice(bytes).is_ok();
    debug_assert!(fits, "a message is longer than {MESSAGE_MAX} bytes");
}

/// The start of an encoded message.
pub(crate) fn begin(message_type: MessageType) -> Encoded {
    let mut out = Encoded::new();
    put(
        &mut out,
        MessageHeader {
            message_type,
            padding: U32::ZERO,
        }
        .as_bytes(),
    );
    out
}

/// Checks header, direction and size; gives the entry of the table and the body's bytes.
pub(crate) fn open(bytes: &[u8], from: Direction) -> Result<(&'static MessageInfo, &[u8]), DecodeError> {
    let len = bytes.len();
    let (header, body) = take::<MessageHeader>(bytes).ok_or(DecodeError::NoHeader { len })?;
    let message_type = header.message_type;
    let info = MessageInfo::of(message_type).ok_or(DecodeError::UnknownType { message_type })?;
    if info.direction != from {
        return Err(DecodeError::WrongDirection {
            message_type,
            direction: info.direction,
        });
    }
    let body = info
        .sizes
        .of_received(len)
        .and_then(|size| body.get(..size.checked_sub(HEADER_SIZE)?))
        .ok_or(DecodeError::Length {
            message_type,
            len,
            sizes: info.sizes,
        })?;
    Ok((info, body))
}

macro_rules! sizes {
    ([$least:literal .. $most:literal; $step:literal]) => {
        $crate::wire::Sizes::Stepped { least: $least, most: $most, step: $step }
    };
    ([$($size:literal),+]) => {
        $crate::wire::Sizes::OneOf(&[$($size),+])
    };
}

/// Makes, from the rows of the table, the numbers, the [`TABLE`] and an enum for each direction with its decoder and encoder.
macro_rules! messages {
    (@read [$($make:tt)+] $bytes:ident) => {
        Some($($make)+)
    };
    (@read [$($make:tt)+] $bytes:ident $body:ty) => {
        <$body as $crate::wire::message::Body<'_>>::read($bytes).map($($make)+)
    };
    (
        $(#[$hmeta:meta])*
        pub enum HostMessage {
            $(
                $(#[$hdoc:meta])*
                $hnumber:literal $hname:ident $hvariant:ident $(($hbody:ident: $htype:ty))?
                    since $hsince:ident $(with $hfeature:ident)? sizes $hsizes:tt;
            )+
        }

        $(#[$gmeta:meta])*
        pub enum GuestMessage<'a> {
            $(
                $(#[$gdoc:meta])*
                $gnumber:literal $gname:ident $gvariant:ident $(($gbody:ident: $gtype:ty))?
                    since $gsince:ident $(with $gfeature:ident)? sizes $gsizes:tt;
            )+
        }
    ) => {
        impl $crate::wire::MessageType {
            $( $(#[$hdoc])* pub const $hname: Self = Self::new($hnumber); )+
            $( $(#[$gdoc])* pub const $gname: Self = Self::new($gnumber); )+
        }

        /// Every message, the host's first, each direction in the order of the numbers.
        ///
        /// Sources: OpenVMM `vmbus_core/src/protocol.rs` for versions and features; the sizes as Linux 6.1 has them, and OpenVMM for
        /// what Linux does not declare.
        pub const TABLE: &[$crate::wire::MessageInfo] = &[
            $(
                $crate::wire::MessageInfo {
                    message_type: $crate::wire::MessageType::$hname,
                    name: stringify!($hname),
                    direction: $crate::wire::Direction::FromHost,
                    since: $crate::wire::Version::$hsince,
                    feature: $crate::wire::FeatureFlags::empty()$(.union($crate::wire::FeatureFlags::$hfeature))?,
                    sizes: $crate::wire::message::sizes!($hsizes),
                },
            )+
            $(
                $crate::wire::MessageInfo {
                    message_type: $crate::wire::MessageType::$gname,
                    name: stringify!($gname),
                    direction: $crate::wire::Direction::FromGuest,
                    since: $crate::wire::Version::$gsince,
                    feature: $crate::wire::FeatureFlags::empty()$(.union($crate::wire::FeatureFlags::$gfeature))?,
                    sizes: $crate::wire::message::sizes!($gsizes),
                },
            )+
        ];

        $(#[$hmeta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum HostMessage {
            $( $(#[$hdoc])* $hvariant$(($htype))?, )+
        }

        impl HostMessage {
            /// Which message it is.
            #[must_use]
            pub const fn message_type(&self) -> $crate::wire::MessageType {
                match self {
                    $( Self::$hvariant { .. } => $crate::wire::MessageType::$hname, )+
                }
            }

            /// Reads a message that a host sent.
            ///
            /// # Errors
            /// When the bytes are no message of a host, or one of a size that it cannot have.
            pub fn decode(bytes: &[u8]) -> Result<Self, $crate::wire::DecodeError> {
                let (info, body) = $crate::wire::message::open(bytes, $crate::wire::Direction::FromHost)?;
                let message = match info.message_type.value() {
                    $( $hnumber => $crate::wire::message::messages!(@read [Self::$hvariant] body $($htype)?), )+
                    _ => None,
                };
                message.ok_or($crate::wire::DecodeError::Length {
                    message_type: info.message_type,
                    len: bytes.len(),
                    sizes: info.sizes,
                })
            }

            /// The bytes to send. Reserved fields are sent as they are; the header's padding is zero.
            #[must_use]
            pub fn encode(&self) -> $crate::wire::Encoded {
                let mut out = $crate::wire::message::begin(self.message_type());
                match self {
                    $( Self::$hvariant$(($hbody))? => { $( $crate::wire::message::Body::write($hbody, &mut out); )? } )+
                }
                out
            }
        }

        impl core::fmt::Display for HostMessage {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match self {
                    $( Self::$hvariant$(($hbody))? => {
                        f.write_str(stringify!($hname))?;
                        $( write!(f, " {}", $hbody)?; )?
                    } )+
                }
                Ok(())
            }
        }

        $(#[$gmeta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum GuestMessage<'a> {
            $( $(#[$gdoc])* $gvariant$(($gtype))?, )+
        }

        impl<'a> GuestMessage<'a> {
            /// Which message it is.
            #[must_use]
            pub const fn message_type(&self) -> $crate::wire::MessageType {
                match self {
                    $( Self::$gvariant { .. } => $crate::wire::MessageType::$gname, )+
                }
            }

            /// Reads a message that a guest sent. The lists of GPADL messages stay in `bytes`, which therefore must be a private copy.
            ///
            /// # Errors
            /// When the bytes are no message of a guest, or one of a size that it cannot have.
            pub fn decode(bytes: &'a [u8]) -> Result<Self, $crate::wire::DecodeError> {
                let (info, body) = $crate::wire::message::open(bytes, $crate::wire::Direction::FromGuest)?;
                let message = match info.message_type.value() {
                    $( $gnumber => $crate::wire::message::messages!(@read [Self::$gvariant] body $($gtype)?), )+
                    _ => None,
                };
                message.ok_or($crate::wire::DecodeError::Length {
                    message_type: info.message_type,
                    len: bytes.len(),
                    sizes: info.sizes,
                })
            }

            /// The bytes to send. Reserved fields are sent as they are; the header's padding is zero.
            ///
            /// # Errors
            /// When the list of a GPADL message is longer than a message can be.
            pub fn encode(&self) -> Result<$crate::wire::Encoded, $crate::wire::ListTooLong> {
                let mut out = $crate::wire::message::begin(self.message_type());
                match self {
                    $( Self::$gvariant$(($gbody))? => { $(
                        $crate::wire::message::Body::check($gbody)?;
                        $crate::wire::message::Body::write($gbody, &mut out);
                    )? } )+
                }
                Ok(out)
            }
        }

        impl core::fmt::Display for GuestMessage<'_> {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match self {
                    $( Self::$gvariant$(($gbody))? => {
                        f.write_str(stringify!($gname))?;
                        $( write!(f, " {}", $gbody)?; )?
                    } )+
                }
                Ok(())
            }
        }
    };
}

pub(crate) use {messages, sizes};
