//! The one ioctl that turns a descriptor of `/dev/net/tun` into a TAP interface.
#![allow(unsafe_code, reason = "rustix has no safe call for this ioctl")]

use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::ioctl::{Opcode, Updater, ioctl, opcode};

use super::OpenError;

const DEVICE: &str = "/dev/net/tun";
/// Bytes of an interface's name with the zero at its end: `IFNAMSIZ` of linux/if.h.
const NAME_SIZE: usize = 16;
/// Frames with their Ethernet header: `IFF_TAP` of linux/if_tun.h.
const IFF_TAP: u16 = 0x0002;
/// No protocol information before each frame: `IFF_NO_PI` of linux/if_tun.h.
const IFF_NO_PI: u16 = 0x1000;
/// `TUNSETIFF` of linux/if_tun.h: it is declared with an int, and takes an ifreq.
const TUNSETIFF: Opcode = opcode::write::<i32>(b'T', 202);

/// `struct ifreq` of linux/if.h as this ioctl reads and writes it: the name, and a union of 24 bytes on 64-bit machines
/// (16 on 32-bit ones) that holds the flags at its start.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; NAME_SIZE],
    flags: u16,
    rest: [u8; 22],
}

const _: () = assert!(size_of::<InterfaceRequest>() == 40);

/// Opens the TAP interface `name`, makes it where there is none, and gives the name that the kernel gave it.
pub(super) fn open(name: &str) -> Result<(OwnedFd, String), OpenError> {
    let mut request = InterfaceRequest {
        name: [0; NAME_SIZE],
        flags: IFF_TAP | IFF_NO_PI,
        rest: [0; 22],
    };
    if name.len() >= NAME_SIZE {
        return Err(OpenError::NameTooLong {
            name: name.to_owned(),
            max: NAME_SIZE - 1,
        });
    }
    if name.is_empty()
        || name
            .bytes()
            .any(|byte| byte == 0 || byte == b'/' || byte.is_ascii_whitespace())
    {
        return Err(OpenError::Name(name.to_owned()));
    }
    request
        .name
        .iter_mut()
        .zip(name.bytes())
        .for_each(|(to, from)| *to = from);

    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let device = rustix::fs::open(DEVICE, flags, Mode::empty()).map_err(|error| match error {
        Errno::NOENT | Errno::NODEV | Errno::NXIO => OpenError::NoDevice,
        Errno::ACCESS | Errno::PERM => OpenError::NoRightToDevice,
        other => OpenError::System {
            what: DEVICE,
            error: other.into(),
        },
    })?;
    // SAFETY: TUNSETIFF reads and writes one `struct ifreq` at the given address and keeps no pointer to it. The value
    // lives until the call returns, has the layout of that struct for the fields that are used, is at least as large
    // on every Linux target (40 bytes on 64-bit ones, 32 on 32-bit ones), and any bytes are valid for its fields.
    let result = unsafe { ioctl(&device, Updater::<TUNSETIFF, _>::new(&mut request)) };
    result.map_err(|error| match error {
        Errno::PERM | Errno::ACCESS => OpenError::NoRight(name.to_owned()),
        Errno::BUSY => OpenError::Busy(name.to_owned()),
        Errno::INVAL => OpenError::NotTap(name.to_owned()),
        other => OpenError::System {
            what: "TUNSETIFF",
            error: other.into(),
        },
    })?;
    let len = request
        .name
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(NAME_SIZE);
    let given = request.name.get(..len).unwrap_or_default();
    Ok((device, String::from_utf8_lossy(given).into_owned()))
}
