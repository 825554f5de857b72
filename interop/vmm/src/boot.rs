//! Direct boot of a bzImage by Linux's 64-bit boot protocol (Documentation/arch/x86/boot.rst): the kernel where it wants to lie, the
//! initial ramdisk as high as both allow, the zero page that tells the kernel of memory, command line and ACPI.

use crate::acpi;
use crate::error::{Error, Result};
use crate::layout;
use crate::memory::Ram;
use linux_loader::configurator::linux::LinuxBootConfigurator;
use linux_loader::configurator::{BootConfigurator, BootParams};
use linux_loader::loader::bootparam::{boot_e820_entry, boot_params, setup_header};
use linux_loader::loader::bzimage::BzImage;
use linux_loader::loader::{Error as LoadError, KernelLoader};
use std::fs::File;
use std::path::{Path, PathBuf};
use vm_memory::{Address, Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryRegion};

/// `xloadflags`: the kernel has the 64-bit entry point.
const XLF_KERNEL_64: u16 = 1;
/// `loadflags`: the rest of the protected-mode kernel is loaded high.
const LOADED_HIGH: u8 = 1;
/// The 64-bit entry point's distance from where the kernel is loaded.
const ENTRY_64: u64 = 0x200;
/// The boot protocol, major and minor number, from which on `xloadflags` exists.
const PROTOCOL_2_12: u16 = 0x020C;
/// `type_of_loader` of a loader without a number of its own.
const LOADER_UNDEFINED: u8 = 0xFF;
const E820_RAM: u32 = 1;
const E820_RESERVED: u32 = 2;
const PAGE: u64 = 4096;

/// What to boot.
#[derive(Clone, Debug)]
pub struct Boot {
    /// The kernel, a bzImage.
    pub kernel: PathBuf,
    /// The initial ramdisk.
    pub initrd: Option<PathBuf>,
    /// The kernel's command line.
    pub cmdline: String,
}

/// Loads everything into `ram` and returns the address at which the first vCPU begins.
///
/// # Errors
/// A file that is missing, no kernel, or too large.
pub fn load(boot: &Boot, ram: &Ram, mib: u64, cpus: u8) -> Result<u64> {
    let (header, entry) = load_kernel(&boot.kernel, ram, mib)?;
    let mut params = boot_params {
        hdr: header,
        acpi_rsdp_addr: layout::ACPI,
        ..boot_params::default()
    };
    params.hdr.type_of_loader = LOADER_UNDEFINED;
    let occupied = params
        .hdr
        .pref_address
        .saturating_add(u64::from(params.hdr.init_size));
    if occupied > low_ram_end(ram) {
        return Err(Error::TooLarge {
            path: boot.kernel.clone(),
            mib,
        });
    }
    if let Some(path) = &boot.initrd {
        let (start, len) = load_initrd(path, ram, mib, &params.hdr, occupied)?;
        params.hdr.ramdisk_image = start;
        params.hdr.ramdisk_size = len;
    }
    params.hdr.cmd_line_ptr = write_cmdline(&boot.cmdline, ram, params.hdr.cmdline_size)?;
    fill_memory_map(&mut params, ram);
    let too_small = || Error::TooLarge {
        path: boot.kernel.clone(),
        mib,
    };
    ram.write_slice(&acpi::tables(cpus), GuestAddress(layout::ACPI))
        .map_err(|_| too_small())?;
    let params = BootParams::new::<boot_params>(&params, GuestAddress(layout::ZERO_PAGE));
    LinuxBootConfigurator::write_bootparams(&params, ram).map_err(|_| too_small())?;
    Ok(entry)
}

fn open(path: &Path, what: &'static str) -> Result<(File, u64)> {
    let failed = |source| Error::File {
        what,
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let len = file.metadata().map_err(failed)?.len();
    Ok((file, len))
}

fn load_kernel(path: &Path, ram: &Ram, mib: u64) -> Result<(setup_header, u64)> {
    let (mut file, _) = open(path, "kernel")?;
    let none = |why| Error::Kernel {
        path: path.to_owned(),
        why,
    };
    let loaded =
        BzImage::load(ram, None, &mut file, Some(GuestAddress(layout::HIGH_RAM))).map_err(|error| {
            use linux_loader::loader::bzimage::Error as BzImageError;
            match error {
                LoadError::Bzimage(BzImageError::ReadBzImageCompressedKernel) => Error::TooLarge {
                    path: path.to_owned(),
                    mib,
                },
                LoadError::InvalidKernelStartAddress => none("it wants to be loaded below 1 MiB"),
                _ => none("it lacks the boot protocol's header"),
            }
        })?;
    let header = loaded
        .setup_header
        .ok_or_else(|| none("it lacks the boot protocol's header"))?;
    let (version, flags, xflags) = (header.version, header.loadflags, header.xloadflags);
    if version < PROTOCOL_2_12 || xflags & XLF_KERNEL_64 == 0 {
        return Err(none("it has no 64-bit entry point"));
    }
    if flags & LOADED_HIGH == 0 {
        return Err(none("it is a zImage"));
    }
    Ok((header, loaded.kernel_load.raw_value().saturating_add(ENTRY_64)))
}

/// Loads the initial ramdisk below what `header` allows and above `occupied`; returns its address and length.
fn load_initrd(path: &Path, ram: &Ram, mib: u64, header: &setup_header, occupied: u64) -> Result<(u32, u32)> {
    let (mut file, len) = open(path, "initial ramdisk")?;
    let too_large = || Error::TooLarge {
        path: path.to_owned(),
        mib,
    };
    let highest = u64::from(header.initrd_addr_max)
        .saturating_add(1)
        .min(low_ram_end(ram));
    let start = highest.checked_sub(len).ok_or_else(too_large)? & !(PAGE - 1);
    if start < occupied {
        return Err(too_large());
    }
    let (Ok(start32), Ok(len32), Ok(count)) =
        (u32::try_from(start), u32::try_from(len), usize::try_from(len))
    else {
        return Err(too_large());
    };
    ram.read_exact_volatile_from(GuestAddress(start), &mut file, count)
        .map_err(|error| Error::File {
            what: "initial ramdisk",
            path: path.to_owned(),
            source: std::io::Error::other(error),
        })?;
    Ok((start32, len32))
}

fn write_cmdline(cmdline: &str, ram: &Ram, kernel_takes: u32) -> Result<u32> {
    let max = usize::try_from(kernel_takes)
        .unwrap_or(usize::MAX)
        .min(layout::CMDLINE_SIZE - 1);
    let too_long = || Error::Cmdline {
        len: cmdline.len(),
        max,
    };
    if cmdline.len() > max {
        return Err(too_long());
    }
    let bytes = [cmdline.as_bytes(), &[0]].concat();
    ram.write_slice(&bytes, GuestAddress(layout::CMDLINE))
        .map_err(|_| too_long())?;
    u32::try_from(layout::CMDLINE).map_err(|_| too_long())
}

fn low_ram_end(ram: &Ram) -> u64 {
    ram.iter()
        .next()
        .map_or(0, |region| region.len())
        .min(layout::HOLE)
}

fn fill_memory_map(params: &mut boot_params, ram: &Ram) {
    let mut ranges = vec![
        (0, layout::LOW_RAM_END, E820_RAM),
        (layout::LOW_RAM_END, layout::HIGH_RAM, E820_RESERVED),
        (layout::HIGH_RAM, low_ram_end(ram), E820_RAM),
    ];
    for region in ram.iter().skip(1) {
        let start = region.start_addr().raw_value();
        ranges.push((start, start.saturating_add(region.len()), E820_RAM));
    }
    let mut entries = 0;
    let mut table = params.e820_table;
    for (entry, (start, end, kind)) in table.iter_mut().zip(ranges) {
        *entry = boot_e820_entry {
            addr: start,
            size: end.saturating_sub(start),
            r#type: kind,
        };
        entries += 1;
    }
    params.e820_table = table;
    params.e820_entries = entries;
}
