//! ACPI tables for a machine of ACPI's hardware-reduced kind, which is what Hyper-V's generation 2 machines are: no power-management
//! timer, no system control interrupt, no 8259, no PIT. Power-off and reset are one register each.
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
    let dsdt = image.append(&dsdt());
    let fadt = image.append(&fadt(dsdt));
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
    /// Appends a table and returns its guest-physical address.
    fn append(&mut self, table: &dyn Aml) -> u64 {
        self.bytes.resize(self.bytes.len().next_multiple_of(16), 0);
        let address = layout::ACPI + self.bytes.len() as u64;
        table.to_aml_bytes(&mut self.bytes);
        address
    }
}

fn register(port: u16) -> GAS {
    GAS::new(
        RegisterSpace::SystemIo,
        8,
        0,
        AccessSize::ByteAccess,
        u64::from(port),
    )
}

fn fadt(dsdt: u64) -> impl Aml {
    let mut fadt = FADTBuilder::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION)
        .dsdt_64(dsdt)
        .flag(Flags::HwReducedAcpi)
        .flag(Flags::ResetRegSup)
        .flag(Flags::Headless)
        .flag(Flags::PwrButton)
        .flag(Flags::SlpButton);
    fadt.reset_reg = register(layout::RESET_PORT);
    fadt.reset_value = layout::RESET_VALUE;
    fadt.sleep_control_reg = register(layout::SLEEP_CONTROL_PORT);
    fadt.sleep_status_reg = register(layout::SLEEP_STATUS_PORT);
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
    Name::new("_S5_".into(), &Package::new(vec![&layout::SLEEP_TYPE_OFF])).to_aml_bytes(&mut aml);
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
        assert_eq!(port_of(244), (1, u64::from(layout::SLEEP_CONTROL_PORT)));
        assert_eq!(port_of(256), (1, u64::from(layout::SLEEP_STATUS_PORT)));
    }
}
