//! File copy: the host writes a file in the guest, piece by piece.

use core::fmt;

use zerocopy::IntoBytes;
use zerocopy::little_endian::{U32, U64};

use super::frame::{prefix, within};
use super::{DecodeError, MessageType, NoRoom, Text, TextTooLong};
use crate::wire::Guid;
use crate::wire::macros::{wire_number, wire_struct};
use crate::wire::writer::Writer;

/// Most bytes of a file in one message.
///
/// Source: Linux `DATA_FRAGMENT`.
pub const FRAGMENT_MAX: usize = 6 * 1024;
/// Bytes of the longest body.
pub const FILE_COPY_MAX: usize = size_of::<FileFragment>().saturating_add(FRAGMENT_MAX);

wire_number! {
    /// What is asked.
    ///
    /// Source: Linux `enum hv_fcopy_op`.
    pub struct FileCopyOperation(U32: u32), "{}" {
        /// Make the file.
        START = 0,
        /// Write to it.
        WRITE = 1,
        /// It is complete.
        COMPLETE = 2,
        /// Remove it again.
        CANCEL = 3,
    }
}

bitflags::bitflags! {
    /// How the file is made.
    ///
    /// Source: Linux `OVER_WRITE` and `CREATE_PATH`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct FileCopyFlags: u32 {
        /// A file that is there already is replaced.
        const OVERWRITE = 0x1;
        /// Folders that are missing are made.
        const CREATE_PATH = 0x2;
        const _ = !0;
    }
}

wire_struct! {
    /// What every body begins with.
    ///
    /// Source: Linux `struct hv_fcopy_hdr`.
    #[derive(Default)]
    pub struct FileCopyHeader at 0, 36 bytes {
        /// What is asked.
        0: operation: FileCopyOperation,
        /// Nobody uses it.
        4: service_id_0: Guid,
        /// Nobody uses it.
        20: service_id_1: Guid,
    }
}

impl FileCopyHeader {
    const fn new(operation: FileCopyOperation) -> Self {
        Self {
            operation,
            service_id_0: Guid::ZERO,
            service_id_1: Guid::ZERO,
        }
    }
}

wire_struct! {
    /// The body of START.
    ///
    /// Source: Linux `struct hv_start_fcopy`.
    #[derive(Default)]
    pub struct FileStart at 0, 1088 bytes {
        /// The operation.
        0: header: FileCopyHeader,
        /// The file's name in its folder.
        36: name: Text<260>,
        /// The folder.
        556: path: Text<260>,
        /// [`FileCopyFlags`].
        1076: flags: U32,
        /// Bytes that the file will have.
        1080: size: U64,
    }
}

impl FileStart {
    /// The file `name` in the folder `path`, of so many bytes.
    ///
    /// # Errors
    /// When one of the two is too long.
    pub fn new(name: &str, path: &str, flags: FileCopyFlags, size: u64) -> Result<Self, TextTooLong> {
        Ok(Self {
            header: FileCopyHeader::new(FileCopyOperation::START),
            name: Text::new(name)?,
            path: Text::new(path)?,
            flags: U32::new(flags.bits()),
            size: U64::new(size),
        })
    }

    /// How the file is made, unknown flags included.
    #[must_use]
    pub fn flags(&self) -> FileCopyFlags {
        FileCopyFlags::from_bits_retain(self.flags.get())
    }
}

wire_struct! {
    /// The body of WRITE, before its bytes.
    ///
    /// Source: Linux `struct hv_do_fcopy`.
    pub struct FileFragment at 0, 52 bytes {
        /// The operation.
        0: header: FileCopyHeader,
        /// 0.
        36: padding: U32,
        /// Where in the file the bytes go.
        40: offset: U64,
        /// How many bytes follow.
        48: size: U32,
    }
}

/// The body of FILE_COPY, in both directions: a guest answers with the request's body.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum FileCopy<'a> {
    /// Make the file.
    Start(&'a FileStart),
    /// Write to it at this offset.
    Write {
        /// Where in the file.
        offset: u64,
        /// What; at most [`FRAGMENT_MAX`] bytes.
        data: &'a [u8],
    },
    /// It is complete.
    Complete,
    /// Remove it again.
    Cancel,
    /// An operation that is not known.
    Other(FileCopyHeader, &'a [u8]),
}

impl<'a> FileCopy<'a> {
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, DecodeError> {
        let (header, rest) = prefix::<FileCopyHeader>(MessageType::FILE_COPY, body, FILE_COPY_MAX)?;
        match header.operation {
            FileCopyOperation::START => {
                let (start, _) = prefix(MessageType::FILE_COPY, body, FILE_COPY_MAX)?;
                Ok(Self::Start(start))
            }
            FileCopyOperation::WRITE => {
                let (fragment, rest) = prefix::<FileFragment>(MessageType::FILE_COPY, body, FILE_COPY_MAX)?;
                let size = fragment.size.get();
                within(
                    MessageType::FILE_COPY,
                    "a fragment's size",
                    size,
                    rest.len().min(FRAGMENT_MAX),
                )?;
                let data = usize::try_from(size).ok().and_then(|size| rest.get(..size));
                Ok(Self::Write {
                    offset: fragment.offset.get(),
                    data: data.unwrap_or(rest),
                })
            }
            FileCopyOperation::COMPLETE => Ok(Self::Complete),
            FileCopyOperation::CANCEL => Ok(Self::Cancel),
            _ => Ok(Self::Other(*header, rest)),
        }
    }

    pub(crate) fn write(&self, out: &mut Writer<'_>) -> Result<(), NoRoom> {
        match self {
            Self::Start(start) => out.put(start.as_bytes()),
            Self::Write { offset, data } => {
                let len = data.len();
                if len > FRAGMENT_MAX {
                    return Err(NoRoom { len: FRAGMENT_MAX });
                }
                let fragment = FileFragment {
                    header: FileCopyHeader::new(FileCopyOperation::WRITE),
                    padding: U32::ZERO,
                    offset: U64::new(*offset),
                    size: U32::new(u32::try_from(len).unwrap_or(u32::MAX)),
                };
                out.put(fragment.as_bytes())?;
                out.put(data)
            }
            Self::Complete | Self::Cancel => out.put(FileCopyHeader::new(self.operation()).as_bytes()),
            Self::Other(header, rest) => {
                out.put(header.as_bytes())?;
                out.put(rest)
            }
        }
    }

    /// What is asked.
    #[must_use]
    pub const fn operation(&self) -> FileCopyOperation {
        match self {
            Self::Start(_) => FileCopyOperation::START,
            Self::Write { .. } => FileCopyOperation::WRITE,
            Self::Complete => FileCopyOperation::COMPLETE,
            Self::Cancel => FileCopyOperation::CANCEL,
            Self::Other(header, _) => header.operation,
        }
    }
}

impl fmt::Display for FileCopy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.operation())?;
        match self {
            Self::Start(start) => write!(
                f,
                " {:?} in {:?}, {} bytes, flags {:#x}",
                start.name, start.path, start.size, start.flags
            ),
            Self::Write { offset, data } => write!(f, " {} bytes at {offset}", data.len()),
            Self::Complete | Self::Cancel => Ok(()),
            Self::Other(_, rest) => write!(f, " {} bytes", rest.len()),
        }
    }
}

impl fmt::Debug for FileCopy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileCopy({self})")
    }
}
