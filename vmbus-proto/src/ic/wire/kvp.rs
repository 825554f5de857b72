//! Key-value pairs: what host and guest tell each other about themselves, in pools.

use core::fmt;

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::frame::{prefix, within};
use super::kvp_ip::{IpBinary, IpText};
use super::{Bytes, DecodeError, MessageType, NoRoom, Text, TextTooLong, Version};
use crate::wire::macros::{Byte, wire_number, wire_struct};
use crate::wire::writer::Writer;

/// Bytes of the longest body.
///
/// Source: Linux `struct hv_kvp_msg`.
pub const KVP_MAX: usize = 7432;
/// Bytes of a body that holds a pair or a key, whichever: hosts send the room for all of them.
///
/// Source: OpenVMM `hyperv_ic_protocol`, `KvpMessage`.
const PAIR_SIZE: usize = 2580;
/// Bytes of a body that holds addresses.
///
/// Source: OpenVMM `hyperv_ic_protocol`, `KvpMessage2`.
const IP_SIZE: usize = 7428;
/// Bytes of the longest key, its NUL included.
pub const KEY_MAX: usize = 512;
/// Bytes of the longest value, a NUL included.
pub const VALUE_MAX: usize = 2048;

wire_number! {
    /// What is asked.
    ///
    /// Source: Linux `enum hv_kvp_exchg_op`.
    pub struct KvpOperation(Byte: u8), "{}" {
        /// The value of a key.
        GET = 0,
        /// Set the value of a key.
        SET = 1,
        /// Remove a key.
        DELETE = 2,
        /// The pair with this index.
        ENUMERATE = 3,
        /// The addresses of a network adapter.
        GET_IP_INFO = 4,
        /// Configure a network adapter.
        SET_IP_INFO = 5,
    }
}

wire_number! {
    /// Which set of pairs.
    ///
    /// Source: Linux `enum hv_kvp_exchg_pool`.
    pub struct KvpPool(Byte: u8), "{}" {
        /// What the host tells the guest.
        EXTERNAL = 0,
        /// What programs of the guest tell the host.
        GUEST = 1,
        /// What the guest's system tells of itself: name, version, addresses.
        AUTO = 2,
        /// What the host's system tells of itself.
        AUTO_EXTERNAL = 3,
        /// Never between host and guest.
        AUTO_INTERNAL = 4,
    }
}

wire_number! {
    /// The type of a value: one of the Windows registry's.
    ///
    /// Sources: OpenVMM `hyperv_ic_protocol`; Linux `REG_*`.
    pub struct ValueType(U32: u32), "{}" {
        /// UTF-16 text with a NUL. Linux answers with nothing else.
        TEXT = 1,
        /// The same, with names of variables in it.
        EXPAND_TEXT = 2,
        /// A little-endian number of 32 bits.
        U32 = 4,
        /// A little-endian number of 64 bits, by the number that Linux has for it.
        U64_OF_LINUX = 8,
        /// A little-endian number of 64 bits.
        U64 = 11,
    }
}

wire_struct! {
    /// What every body begins with.
    ///
    /// Source: Linux `struct hv_kvp_hdr`.
    pub struct KvpHeader at 0, 2 bytes {
        /// What is asked.
        0: operation: KvpOperation,
        /// Of which pool.
        1: pool: KvpPool,
    }
}

wire_struct! {
    /// A key with its value.
    ///
    /// Source: Linux `struct hv_kvp_exchg_msg_value`.
    #[derive(Default)]
    pub struct KvpPair at 0, 2572 bytes {
        /// The value's type.
        0: value_type: ValueType,
        /// Bytes of the key, its NUL included.
        4: key_size: U32,
        /// Bytes of the value, a NUL included.
        8: value_size: U32,
        /// The key.
        12: key: Text<256>,
        /// The value.
        524: value: Bytes<2048>,
    }
}

/// A value in its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KvpValue<'a> {
    /// Text.
    Text(&'a Text<1024>),
    /// A number of 32 bits.
    U32(u32),
    /// A number of 64 bits.
    U64(u64),
    /// A value of a type that is not known, or of a size that its type cannot have.
    Other(&'a [u8]),
}

impl KvpPair {
    /// A key without a value, as GET asks for one.
    ///
    /// # Errors
    /// When the key is too long.
    pub fn key(key: &str) -> Result<Self, TextTooLong> {
        let key = Text::new(key)?;
        Ok(Self {
            key_size: size(key.size()),
            key,
            ..Self::default()
        })
    }

    /// A key with text.
    ///
    /// # Errors
    /// When one of the two is too long.
    pub fn text(key: &str, value: &str) -> Result<Self, TextTooLong> {
        let text = Text::<1024>::new(value)?;
        let mut pair = Self::key(key)?;
        pair.set(ValueType::TEXT, text.size(), text.as_bytes());
        Ok(pair)
    }

    /// A key with a number of 32 bits.
    ///
    /// # Errors
    /// When the key is too long.
    pub fn u32(key: &str, value: u32) -> Result<Self, TextTooLong> {
        let mut pair = Self::key(key)?;
        pair.set(ValueType::U32, size_of::<u32>(), &value.to_le_bytes());
        Ok(pair)
    }

    /// A key with a number of 64 bits.
    ///
    /// # Errors
    /// When the key is too long.
    pub fn u64(key: &str, value: u64) -> Result<Self, TextTooLong> {
        let mut pair = Self::key(key)?;
        pair.set(ValueType::U64, size_of::<u64>(), &value.to_le_bytes());
        Ok(pair)
    }

    fn set(&mut self, value_type: ValueType, len: usize, bytes: &[u8]) {
        self.value_type = value_type;
        self.value_size = size(len);
        for (to, from) in self.value.0.iter_mut().zip(bytes) {
            *to = *from;
        }
    }

    /// The value in its meaning.
    #[must_use]
    pub fn value(&self) -> KvpValue<'_> {
        let size = usize::try_from(self.value_size.get()).unwrap_or(VALUE_MAX);
        let bytes = self.value.0.get(..size).unwrap_or(&self.value.0);
        let value = match self.value_type {
            ValueType::TEXT | ValueType::EXPAND_TEXT => {
                Text::ref_from_bytes(&self.value.0).ok().map(KvpValue::Text)
            }
            ValueType::U32 => U32::read_from_bytes(bytes)
                .ok()
                .map(|value| KvpValue::U32(value.get())),
            ValueType::U64 | ValueType::U64_OF_LINUX => U64::read_from_bytes(bytes)
                .ok()
                .map(|value| KvpValue::U64(value.get())),
            _ => None,
        };
        value.unwrap_or(KvpValue::Other(bytes))
    }

    fn judge(&self) -> Result<(), DecodeError> {
        within(
            MessageType::KVP_EXCHANGE,
            "a key's size",
            self.key_size.get(),
            KEY_MAX,
        )?;
        within(
            MessageType::KVP_EXCHANGE,
            "a value's size",
            self.value_size.get(),
            VALUE_MAX,
        )
    }
}

impl fmt::Display for KvpPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.key)?;
        if self.value_size.get() == 0 {
            return Ok(());
        }
        match self.value() {
            KvpValue::Text(text) => write!(f, " = {text:?}"),
            KvpValue::U32(number) => write!(f, " = {number}"),
            KvpValue::U64(number) => write!(f, " = {number}"),
            KvpValue::Other(bytes) => write!(f, " = {} bytes of type {}", bytes.len(), self.value_type),
        }
    }
}

wire_struct! {
    /// A key.
    ///
    /// Source: Linux `struct hv_kvp_msg_delete`.
    pub struct KvpKey at 0, 516 bytes {
        /// Bytes of the key, its NUL included.
        0: size: U32,
        /// The key.
        4: key: Text<256>,
    }
}

impl KvpKey {
    /// The key of this name.
    ///
    /// # Errors
    /// When it is too long.
    pub fn new(key: &str) -> Result<Self, TextTooLong> {
        let key = Text::new(key)?;
        Ok(Self {
            size: size(key.size()),
            key,
        })
    }
}

wire_struct! {
    /// A pair with its place in a pool.
    ///
    /// Source: Linux `struct hv_kvp_msg_enumerate`.
    #[derive(Default)]
    pub struct KvpItem at 0, 2576 bytes {
        /// The place, from 0. A guest that has no such pair answers [`NO_MORE_ITEMS`](super::Status::NO_MORE_ITEMS).
        0: index: U32,
        /// The pair; in a request it is empty.
        4: pair: KvpPair,
    }
}

impl KvpItem {
    /// What asks for the pair at this place.
    #[must_use]
    pub fn at(index: u32) -> Self {
        Self {
            index: U32::new(index),
            ..Self::default()
        }
    }
}

/// The body of KVP_EXCHANGE, in both directions: a guest answers with the request's body, filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kvp<'a> {
    /// The value of a key.
    Get(KvpPool, &'a KvpPair),
    /// Set the value of a key.
    Set(KvpPool, &'a KvpPair),
    /// Remove a key.
    Delete(KvpPool, &'a KvpKey),
    /// The pair with an index.
    Enumerate(KvpPool, &'a KvpItem),
    /// The addresses of a network adapter.
    GetIpInfo(KvpPool, IpInfo<'a>),
    /// Configure a network adapter.
    SetIpInfo(KvpPool, IpInfo<'a>),
    /// An operation that is not known.
    Other(KvpHeader, &'a [u8]),
}

/// The addresses of a network adapter, in the form that the version has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpInfo<'a> {
    /// Before 5.0.
    Text(&'a IpText),
    /// Since 5.0.
    Binary(&'a IpBinary),
}

impl IpInfo<'_> {
    /// The version from which on addresses are binary.
    pub const BINARY_SINCE: Version = Version::new(5, 0);
}

impl fmt::Display for IpInfo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => text.fmt(f),
            Self::Binary(binary) => binary.fmt(f),
        }
    }
}

/// Where the body goes on after its header: at a multiple of 4, but for addresses as text, which need no such thing.
const ALIGNED: usize = 4;

impl<'a> Kvp<'a> {
    pub(crate) fn read(body: &'a [u8], version: Version) -> Result<Self, DecodeError> {
        let (header, rest) = prefix::<KvpHeader>(MessageType::KVP_EXCHANGE, body, KVP_MAX)?;
        let pool = header.pool;
        match header.operation {
            KvpOperation::GET | KvpOperation::SET => {
                let pair = part::<KvpPair>(body, ALIGNED)?;
                pair.judge()?;
                if header.operation == KvpOperation::GET {
                    Ok(Self::Get(pool, pair))
                } else {
                    Ok(Self::Set(pool, pair))
                }
            }
            KvpOperation::DELETE => {
                let key = part::<KvpKey>(body, ALIGNED)?;
                within(MessageType::KVP_EXCHANGE, "a key's size", key.size.get(), KEY_MAX)?;
                Ok(Self::Delete(pool, key))
            }
            KvpOperation::ENUMERATE => {
                let item = part::<KvpItem>(body, ALIGNED)?;
                item.pair.judge()?;
                Ok(Self::Enumerate(pool, item))
            }
            KvpOperation::GET_IP_INFO | KvpOperation::SET_IP_INFO => {
                let info = if version >= IpInfo::BINARY_SINCE {
                    let binary = part::<IpBinary>(body, ALIGNED)?;
                    binary.judge()?;
                    IpInfo::Binary(binary)
                } else {
                    IpInfo::Text(part(body, size_of::<KvpHeader>())?)
                };
                if header.operation == KvpOperation::GET_IP_INFO {
                    Ok(Self::GetIpInfo(pool, info))
                } else {
                    Ok(Self::SetIpInfo(pool, info))
                }
            }
            _ => Ok(Self::Other(*header, rest)),
        }
    }

    pub(crate) fn write(&self, out: &mut Writer<'_>) -> Result<(), NoRoom> {
        let start = out.len();
        out.put(self.header().as_bytes())?;
        let (at, bytes, whole) = match self {
            Self::Get(_, pair) | Self::Set(_, pair) => (ALIGNED, pair.as_bytes(), PAIR_SIZE),
            Self::Delete(_, key) => (ALIGNED, key.as_bytes(), PAIR_SIZE),
            Self::Enumerate(_, item) => (ALIGNED, item.as_bytes(), PAIR_SIZE),
            Self::GetIpInfo(_, IpInfo::Binary(info)) | Self::SetIpInfo(_, IpInfo::Binary(info)) => {
                (ALIGNED, info.as_bytes(), IP_SIZE)
            }
            Self::GetIpInfo(_, IpInfo::Text(info)) | Self::SetIpInfo(_, IpInfo::Text(info)) => {
                (size_of::<KvpHeader>(), info.as_bytes(), IP_SIZE)
            }
            Self::Other(_, rest) => (size_of::<KvpHeader>(), *rest, 0),
        };
        out.fill_to(start.saturating_add(at))?;
        out.put(bytes)?;
        out.fill_to(start.saturating_add(whole))
    }

    /// Where in the body what is asked for is filled in; `None` when nothing is.
    pub(crate) const fn answer_at(&self) -> Option<usize> {
        match self {
            Self::Get(..) | Self::GetIpInfo(_, IpInfo::Binary(_)) => Some(ALIGNED),
            Self::Enumerate(..) => Some(ALIGNED.saturating_add(core::mem::offset_of!(KvpItem, pair))),
            Self::GetIpInfo(_, IpInfo::Text(_)) => Some(size_of::<KvpHeader>()),
            Self::Set(..) | Self::Delete(..) | Self::SetIpInfo(..) | Self::Other(..) => None,
        }
    }

    /// Operation and pool.
    #[must_use]
    pub const fn header(&self) -> KvpHeader {
        let (operation, pool) = match *self {
            Self::Get(pool, _) => (KvpOperation::GET, pool),
            Self::Set(pool, _) => (KvpOperation::SET, pool),
            Self::Delete(pool, _) => (KvpOperation::DELETE, pool),
            Self::Enumerate(pool, _) => (KvpOperation::ENUMERATE, pool),
            Self::GetIpInfo(pool, _) => (KvpOperation::GET_IP_INFO, pool),
            Self::SetIpInfo(pool, _) => (KvpOperation::SET_IP_INFO, pool),
            Self::Other(header, _) => return header,
        };
        KvpHeader { operation, pool }
    }
}

impl fmt::Display for Kvp<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let KvpHeader { operation, pool } = self.header();
        write!(f, "{operation} {pool} ")?;
        match self {
            Self::Get(_, pair) | Self::Set(_, pair) => pair.fmt(f),
            Self::Delete(_, key) => key.key.fmt(f),
            Self::Enumerate(_, item) => write!(f, "{} {}", item.index, item.pair),
            Self::GetIpInfo(_, info) | Self::SetIpInfo(_, info) => info.fmt(f),
            Self::Other(_, rest) => write!(f, "{} bytes", rest.len()),
        }
    }
}

/// The part of the body that begins at a place.
fn part<T: FromBytes + KnownLayout + Immutable + Unaligned>(
    body: &[u8],
    at: usize,
) -> Result<&T, DecodeError> {
    body.get(at..)
        .and_then(|rest| T::ref_from_prefix(rest).ok())
        .map(|(part, _)| part)
        .ok_or(DecodeError::Length {
            message_type: MessageType::KVP_EXCHANGE,
            len: body.len(),
            least: size_of::<T>().saturating_add(at),
            most: KVP_MAX,
        })
}

/// A size that is small by the type of what has it.
fn size(len: usize) -> U32 {
    U32::new(u32::try_from(len).unwrap_or(u32::MAX))
}
