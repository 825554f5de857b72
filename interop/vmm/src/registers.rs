//! The registers that the vCPUs begin with. The first one begins in 64-bit mode with its memory mapped one to one, as the boot protocol
//! wants it; the others wait for the start-up message of the first one's.

use crate::error::{Result, kvm};
use crate::layout;
use crate::memory::Ram;
use kvm_bindings::{Msrs, kvm_msr_entry, kvm_regs, kvm_segment};
use kvm_ioctls::VcpuFd;
use vm_memory::{Bytes, GuestAddress, GuestMemoryError};

const CR0_PROTECTED_AND_PAGED: u64 = 1 << 31 | 1;
const CR4_PAE: u64 = 1 << 5;
const EFER_LONG_MODE: u64 = 1 << 10 | 1 << 8;
/// RFLAGS with nothing but the bit that is always set.
const RFLAGS: u64 = 2;
/// MTRRs on, write-back where none says otherwise: Linux takes no memory away then.
const MSR_MTRR_DEFAULT_TYPE: u32 = 0x2FF;
const MTRR_ENABLED_WRITE_BACK: u64 = 1 << 11 | 6;

const PRESENT_WRITABLE: u64 = 0b11;
const LARGE_PAGE: u64 = 1 << 7;
const TABLE: u64 = 4096;
const DIRECTORIES: u64 = 4;
const ENTRIES: u64 = 512;
const LARGE_PAGE_SIZE: u64 = 2 << 20;

/// A flat segment, as the table in memory and the processor's hidden part have it.
struct Segment {
    selector: u16,
    type_: u8,
    long: bool,
}

// The selectors are the boot protocol's `__BOOT_CS` and `__BOOT_DS`.
const CODE: Segment = Segment {
    selector: 0x10,
    type_: 0b1011,
    long: true,
};
const DATA: Segment = Segment {
    selector: 0x18,
    type_: 0b0011,
    long: false,
};

impl Segment {
    fn descriptor(&self) -> u64 {
        let limit = 0x000F_0000_0000_FFFF;
        let present_and_code_or_data = 0b1001 << 44;
        let granularity = 1 << 55;
        let size = if self.long { 1 << 53 } else { 1 << 54 };
        limit | u64::from(self.type_) << 40 | present_and_code_or_data | granularity | size
    }

    fn register(&self) -> kvm_segment {
        kvm_segment {
            base: 0,
            limit: 0xFFFF_FFFF,
            selector: self.selector,
            type_: self.type_,
            present: 1,
            s: 1,
            g: 1,
            l: u8::from(self.long),
            db: u8::from(!self.long),
            ..kvm_segment::default()
        }
    }
}

/// What every vCPU needs.
///
/// # Errors
/// A KVM call failed.
pub(crate) fn set_msrs(vcpu: &VcpuFd) -> Result<()> {
    let doing = "set a vCPU's MTRRs";
    let entry = kvm_msr_entry {
        index: MSR_MTRR_DEFAULT_TYPE,
        data: MTRR_ENABLED_WRITE_BACK,
        reserved: 0,
    };
    let msrs = Msrs::from_entries(&[entry]).map_err(|error| kvm(doing)(std::io::Error::other(error)))?;
    vcpu.set_msrs(&msrs).map_err(kvm(doing)).map(|_set| ())
}

/// Lets the first vCPU begin at `entry`.
///
/// # Errors
/// A KVM call failed.
pub(crate) fn set_boot_state(vcpu: &VcpuFd, ram: &Ram, entry: u64) -> Result<()> {
    let doing = "set the first vCPU's registers";
    write_tables(ram).map_err(|error| kvm(doing)(std::io::Error::other(error)))?;
    let mut sregs = vcpu.get_sregs().map_err(kvm(doing))?;
    sregs.cs = CODE.register();
    let data = DATA.register();
    (sregs.ds, sregs.es, sregs.fs, sregs.gs, sregs.ss) = (data, data, data, data, data);
    sregs.gdt.base = layout::GDT;
    sregs.gdt.limit = 4 * 8 - 1;
    sregs.cr3 = layout::PAGE_TABLES;
    sregs.cr4 |= CR4_PAE;
    sregs.cr0 |= CR0_PROTECTED_AND_PAGED;
    sregs.efer |= EFER_LONG_MODE;
    vcpu.set_sregs(&sregs).map_err(kvm(doing))?;
    let regs = kvm_regs {
        rip: entry,
        rsi: layout::ZERO_PAGE,
        rflags: RFLAGS,
        ..kvm_regs::default()
    };
    vcpu.set_regs(&regs).map_err(kvm(doing))
}

fn write_tables(ram: &Ram) -> std::result::Result<(), GuestMemoryError> {
    let put = |address: u64, value: u64| ram.write_obj(value, GuestAddress(address));
    for segment in [CODE, DATA] {
        put(layout::GDT + u64::from(segment.selector), segment.descriptor())?;
    }
    let pointers = layout::PAGE_TABLES + TABLE;
    put(layout::PAGE_TABLES, pointers | PRESENT_WRITABLE)?;
    for directory in 0..DIRECTORIES {
        let address = pointers + TABLE * (1 + directory);
        put(pointers + 8 * directory, address | PRESENT_WRITABLE)?;
        for entry in 0..ENTRIES {
            let page = (directory * ENTRIES + entry) * LARGE_PAGE_SIZE;
            put(address + 8 * entry, page | LARGE_PAGE | PRESENT_WRITABLE)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_those_of_a_flat_model() {
        assert_eq!(CODE.descriptor(), 0x00AF_9B00_0000_FFFF);
        assert_eq!(DATA.descriptor(), 0x00CF_9300_0000_FFFF);
    }

    #[test]
    fn the_first_4_gib_are_mapped_one_to_one() {
        let ram = crate::memory::allocate(1).unwrap();
        write_tables(&ram).unwrap();
        let entry =
            |table: u64, index: u64| -> u64 { ram.read_obj(GuestAddress(table + 8 * index)).unwrap() };
        let frame = |entry: u64| entry & !0xFFF;
        for address in [0, 0x20_0000, 0x1234_5678, 0xFFFF_FFFF] {
            let pointers = frame(entry(layout::PAGE_TABLES, 0));
            let directory = frame(entry(pointers, address >> 30));
            let page = entry(directory, address >> 21 & 511);
            assert_eq!(page & !0xFFF, address & !0x1F_FFFF);
            assert_eq!(page & 0xFFF, LARGE_PAGE | PRESENT_WRITABLE);
        }
    }
}
