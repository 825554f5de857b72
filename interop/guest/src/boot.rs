//! What the boot protocols tell.

use core::ffi::CStr;
use core::fmt;
use core::ptr;

/// By which protocol the kernel was entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// PVH, in 32-bit mode.
    Pvh,
    /// Linux's, by its 64-bit entry.
    Linux,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pvh => "pvh",
            Self::Linux => "linux",
        })
    }
}

/// How the kernel was started.
#[derive(Clone, Copy, Debug)]
pub struct Boot {
    /// The protocol.
    pub protocol: Protocol,
    /// The command line.
    pub command_line: &'static str,
}

/// `hvm_start_info.magic`, and where in it the command line's address is. Source: Xen `public/arch-x86/hvm/start_info.h`.
const PVH_MAGIC: u32 = 0x336E_C578;
const PVH_COMMAND_LINE: usize = 24;
/// Where in the boot parameters the command line's address is. Source: Linux `Documentation/arch/x86/boot.rst`.
const LINUX_COMMAND_LINE: usize = 0x228;
/// `start.s` has the same numbers.
const PROTOCOL_PVH: u32 = 1;

impl Boot {
    /// Reads what the loader left at `info`.
    ///
    /// # Safety
    ///
    /// The numbers are those with which the kernel was entered, memory is mapped one to one, and nobody has overwritten
    /// what the loader left, nor will: the command line is used where it is.
    pub unsafe fn new(protocol: u32, info: u32) -> Self {
        let info = ptr::with_exposed_provenance::<u8>(info as usize);
        // SAFETY: the loader's structures are there, and longer than these offsets.
        let (protocol, address) = unsafe {
            if protocol == PROTOCOL_PVH && info.cast::<u32>().read_unaligned() == PVH_MAGIC {
                let address = info.add(PVH_COMMAND_LINE).cast::<u64>().read_unaligned();
                (Protocol::Pvh, address)
            } else {
                let address = info.add(LINUX_COMMAND_LINE).cast::<u32>().read_unaligned();
                (Protocol::Linux, u64::from(address))
            }
        };
        let command_line = match usize::try_from(address) {
            Ok(0) | Err(_) => "",
            // SAFETY: the loader put a string with an end there.
            Ok(address) => unsafe { CStr::from_ptr(ptr::with_exposed_provenance(address)) }
                .to_str()
                .unwrap_or_default(),
        };
        Self {
            protocol,
            command_line,
        }
    }
}
