//! ACPI tables for a machine that has little: no power-management timer, no general-purpose events, a system control interrupt that
//! never comes. Power-off is a write to the PM1 control register, reset a write to the reset register.
//!
//! The hardware-reduced kind of ACPI would do without the PM1 block, but a Linux that was not started by UEFI then cannot reset the
//! machine: it leaves the reset register alone and jumps to a BIOS (arch/x86/kernel/reboot.c, `efi_reboot_required`).
//!
//! Linux's hv_vmbus binds to an ACPI device whose _HID is `VMBUS` or `VMBus` and takes the window for its devices' registers from
//! the _CRS of that device or of one above it; Hyper-V places the window on the device above, of the module kind (ACPI0004).
//! (Linux drivers/hv/vmbus_drv.c; QEMU hw/i386/acpi-build.c for the interrupt.)

use crate::layout;
use acpi_tables::Aml;
use acpi_tables::aml::{
    AddressSpace, AddressSpaceCacheable, Device, EISAName, IO, Interrupt, Name, Package, ResourceTemplate,
    Scope,
};
use acpi_tables::facs::FACS;
use acpi_tables::fadt::{FADTBuilder, Flags};
use acpi_tables::gas::{AccessSize, AddressSpace as RegisterSpace, GAS};
use acpi_tables::madt::{EnabledStatus, IoApic, LocalInterruptController, MADT, ProcessorLocalApic};
use acpi_tables::rsdp::Rsdp;
use acpi_tables::sdt::Sdt;
use acpi_tables::xsdt::XSDT;

const OEM_ID: [u8; 6] = *b"VMBUS ";
const OEM_TABLE_ID: [u8; 8] = *b"VMBUSVMM";
const OEM_REVISION: u32 = 1;

/// All tables, to be written at [`layout::ACPI`]: the root pointer, then what hangs off it.
pub fn tables(cpus: u8) -> Vec<u8> {
    let mut image = Image {
        bytes: vec![0; Rsdp::len()],
    };
    let facs = image.append(&FACS::new());
    let dsdt = image.append(&dsdt());
    let fadt = image.append(&fadt(facs, dsdt));
    let madt = image.append(&madt(cpus));
    let mut xsdt = XSDT::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    xsdt.add_entry(fadt);
    xsdt.add_entry(madt);
    let xsdt = image.append(&xsdt);
    let mut root = Vec::with_capacity(Rsdp::len());
    Rsdp::new(OEM_ID, xsdt).to_aml_bytes(&mut root);
    image.bytes.splice(..root.len(), root);
    image.bytes
}

struct Image {
    bytes: Vec<u8>,
}

impl Image {
    /// Appends a table, aligned as the FACS must be, and returns its guest-physical address.
    fn append(&mut self, table: &dyn Aml) -> u64 {
        self.bytes.resize(self.bytes.len().next_multiple_of(64), 0);
        let address = layout::ACPI + self.bytes.len() as u64;
        table.to_aml_bytes(&mut self.bytes);
        address
    }
}

fn register(port: u16, bits: u8, access: AccessSize) -> GAS {
    GAS::new(RegisterSpace::SystemIo, bits, 0, access, u64::from(port))
}

fn fadt(facs: u64, dsdt: u64) -> impl Aml {
    /// `iapc_boot_arch`: there is no VGA to probe.
    const NO_VGA: u16 = 1 << 2;
    let mut fadt = FADTBuilder::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION)
        .firmware_ctrl_64(facs)
        .dsdt_64(dsdt)
        .flag(Flags::Wbinvd)
        .flag(Flags::ResetRegSup)
        .flag(Flags::Headless)
        // These three say what the PM1 block lacks: its power button, its sleep button, its clock's alarm.
        .flag(Flags::PwrButton)
        .flag(Flags::SlpButton)
        .flag(Flags::FixRtc);
    fadt.iapc_boot_arch = NO_VGA.into();
    fadt.sci_int = layout::SCI_IRQ.into();
    fadt.pm1a_evt_blk = u32::from(layout::PM1_EVENT_PORT).into();
    fadt.pm1_evt_len = layout::PM1_EVENT_LEN;
    fadt.x_pm1a_evt_blk = register(
        layout::PM1_EVENT_PORT,
        8 * layout::PM1_EVENT_LEN,
        AccessSize::WordAccess,
    );
    fadt.pm1a_cnt_blk = u32::from(layout::PM1_CONTROL_PORT).into();
    fadt.pm1_cnt_len = layout::PM1_CONTROL_LEN;
    fadt.x_pm1a_cnt_blk = register(
        layout::PM1_CONTROL_PORT,
        8 * layout::PM1_CONTROL_LEN,
        AccessSize::WordAccess,
    );
    fadt.reset_reg = register(layout::RESET_PORT, 8, AccessSize::ByteAccess);
    fadt.reset_value = layout::RESET_VALUE;
    fadt.finalize()
}

fn madt(cpus: u8) -> impl Aml {
    let mut madt = MADT::new(
        OEM_ID,
        OEM_TABLE_ID,
        OEM_REVISION,
        LocalInterruptController::Address(layout::LOCAL_APIC),
    );
    for cpu in 0..cpus {
        madt.add_structure(ProcessorLocalApic::new(cpu, cpu, EnabledStatus::Enabled));
    }
    madt.add_structure(IoApic::new(0, layout::IO_APIC, 0));
    madt
}

fn dsdt() -> Sdt {
    let mut aml = Vec::new();
    let (mmio_first, mmio_last) = layout::VMBUS_MMIO;
    Name::new(
        "_S5_".into(),
        &Package::new(vec![&layout::SLEEP_TYPE_OFF, &layout::SLEEP_TYPE_OFF]),
    )
    .to_aml_bytes(&mut aml);
    Scope::new(
        "_SB_".into(),
        vec![
            &Device::new(
                "COM1".into(),
                vec![
                    &Name::new("_HID".into(), &EISAName::new("PNP0501")),
                    &Name::new("_UID".into(), &0u8),
                    &Name::new(
                        "_CRS".into(),
                        &ResourceTemplate::new(vec![
                            &Interrupt::new(true, true, false, false, layout::SERIAL_IRQ),
                            &IO::new(layout::SERIAL_PORT, layout::SERIAL_PORT, 0, 8),
                        ]),
                    ),
                ],
            ),
            &Device::new(
                "RTC0".into(),
                vec![
                    &Name::new("_HID".into(), &EISAName::new("PNP0B00")),
                    &Name::new("_UID".into(), &0u8),
                    &Name::new(
                        "_CRS".into(),
                        &ResourceTemplate::new(vec![&IO::new(layout::RTC_PORT, layout::RTC_PORT, 0, 2)]),
                    ),
                ],
            ),
            &Device::new(
                "VMOD".into(),
                vec![
                    &Name::new("_HID".into(), &"ACPI0004"),
                    &Name::new("_UID".into(), &0u8),
                    &Name::new(
                        "_CRS".into(),
                        &ResourceTemplate::new(vec![&AddressSpace::new_memory(
                            AddressSpaceCacheable::NotCacheable,
                            true,
                            mmio_first,
                            mmio_last,
                            None,
                        )]),
                    ),
                    &Device::new(
                        "VMBS".into(),
                        vec![
                            &Name::new("_HID".into(), &"VMBUS"),
                            &Name::new("_UID".into(), &0u8),
                            &Name::new("_DDN".into(), &"VMBUS"),
                            &Name::new("_STA".into(), &0xFu8),
                            &Name::new(
                                "_CRS".into(),
                                &ResourceTemplate::new(vec![&Interrupt::new(
                                    true,
                                    true,
                                    false,
                                    false,
                                    layout::VMBUS_IRQ,
                                )]),
                            ),
                        ],
                    ),
                ],
            ),
        ],
    )
    .to_aml_bytes(&mut aml);
    let mut table = Sdt::new(*b"DSDT", 36, 6, OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    table.append_slice(&aml);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn u32_at(bytes: &[u8], offset: usize) -> usize {
        u32::from_le_bytes(bytes[offset..offset + 4].try_into().unwrap()) as usize
    }

    fn u64_at(bytes: &[u8], offset: usize) -> u64 {
        u64::from_le_bytes(bytes[offset..offset + 8].try_into().unwrap())
    }

    fn sums_to_zero(bytes: &[u8]) -> bool {
        bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)) == 0
    }

    /// The table at a guest-physical address, its checksum proved.
    fn table(image: &[u8], address: u64) -> &[u8] {
        let start = usize::try_from(address - layout::ACPI).unwrap();
        let table = &image[start..start + u32_at(image, start + 4)];
        assert!(sums_to_zero(table));
        table
    }

    #[test]
    fn root_pointer_leads_to_every_table() {
        let image = tables(8);
        assert!(image.len() as u64 <= layout::ACPI_END - layout::ACPI);
        assert_eq!(&image[..8], b"RSD PTR ");
        assert!(sums_to_zero(&image[..20]) && sums_to_zero(&image[..36]));
        let xsdt = table(&image, u64_at(&image, 24));
        assert_eq!((&xsdt[..4], xsdt.len()), (&b"XSDT"[..], 36 + 2 * 8));
        let fadt = table(&image, u64_at(xsdt, 36));
        let madt = table(&image, u64_at(xsdt, 44));
        assert_eq!((&fadt[..4], &madt[..4]), (&b"FACP"[..], &b"APIC"[..]));
        let facs = usize::try_from(u64_at(fadt, 132) - layout::ACPI).unwrap();
        assert_eq!((&image[facs..facs + 4], facs % 64), (&b"FACS"[..], 0));
        let dsdt = table(&image, u64_at(fadt, 140));
        assert_eq!(&dsdt[..4], b"DSDT");
        assert!(dsdt.windows(6).any(|bytes| bytes == b"VMBUS\0"));
    }

    #[test]
    fn processors_are_listed_one_by_one() {
        let header = 44;
        for cpus in 1..=8 {
            let image = tables(cpus);
            let xsdt = table(&image, u64_at(&image, 24));
            let madt = table(&image, u64_at(xsdt, 44));
            assert_eq!(madt.len(), header + usize::from(cpus) * 8 + 12);
        }
    }

    #[test]
    fn power_off_and_reset_are_one_register_each() {
        let image = tables(1);
        let xsdt = table(&image, u64_at(&image, 24));
        let fadt = table(&image, u64_at(xsdt, 36));
        let port_of = |offset: usize| (fadt[offset], u64_at(fadt, offset + 4));
        assert_eq!(port_of(116), (1, u64::from(layout::RESET_PORT)));
        assert_eq!(u32_at(fadt, 64), usize::from(layout::PM1_CONTROL_PORT));
        assert_eq!(port_of(172), (1, u64::from(layout::PM1_CONTROL_PORT)));
        assert_eq!(u32_at(fadt, 56), usize::from(layout::PM1_EVENT_PORT));
        assert_eq!(port_of(148), (1, u64::from(layout::PM1_EVENT_PORT)));
        assert_eq!(
            (fadt[88], fadt[89]),
            (layout::PM1_EVENT_LEN, layout::PM1_CONTROL_LEN)
        );
    }
}
