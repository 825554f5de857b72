//! Where things lie in the guest's physical address space and in its port space.
//!
//! The low page frames hold what the boot protocol needs, the old BIOS area the ACPI tables, and the gigabyte below 4 GiB
//! stays free of memory: the APICs live there, and the window that the DSDT gives to VMBus devices.

/// Global descriptor table that the first vCPU starts with.
pub const GDT: u64 = 0x500;
/// Linux's `boot_params`, the "zero page".
pub const ZERO_PAGE: u64 = 0x7000;
/// Identity page tables that the first vCPU starts with: one PML4, one PDPT, four page directories.
pub const PAGE_TABLES: u64 = 0x9000;
/// The kernel's command line.
pub const CMDLINE: u64 = 0x2_0000;
/// Room for the command line, its final NUL included.
pub const CMDLINE_SIZE: usize = 4096;
/// End of the memory that is usable below 1 MiB.
pub const LOW_RAM_END: u64 = 0x9_FC00;
/// ACPI's root pointer; the tables follow it.
pub const ACPI: u64 = 0xE_0000;
/// End of the room for the ACPI tables.
pub const ACPI_END: u64 = 0x10_0000;
/// Where memory begins again after the BIOS area.
pub const HIGH_RAM: u64 = 0x10_0000;
/// Where the memory hole below 4 GiB begins.
pub const HOLE: u64 = 0xC000_0000;
/// Where memory goes on above the hole.
pub const HOLE_END: u64 = 0x1_0000_0000;
/// The window for memory-mapped registers of VMBus devices, first and last address.
pub const VMBUS_MMIO: (u32, u32) = (0xF800_0000, 0xFEBF_FFFF);
/// The I/O APIC's registers.
pub const IO_APIC: u32 = 0xFEC0_0000;
/// The local APICs' registers.
pub const LOCAL_APIC: u32 = 0xFEE0_0000;
/// Three pages that KVM needs on Intel machines for real mode.
pub const KVM_TSS: usize = 0xFFFB_D000;

/// First port of the serial console, COM1.
pub const SERIAL_PORT: u16 = 0x3F8;
/// The serial console's interrupt line.
pub const SERIAL_IRQ: u32 = 4;
/// Index and data port of the real-time clock.
pub const RTC_PORT: u16 = 0x70;
/// The keyboard controller's command port, which resets a PC when 0xFE is written to it.
pub const I8042_COMMAND_PORT: u16 = 0x64;
/// ACPI's PM1 event block: two bytes of status, two that enable.
pub const PM1_EVENT_PORT: u16 = 0x600;
/// Length of the PM1 event block.
pub const PM1_EVENT_LEN: u8 = 4;
/// ACPI's PM1 control register, two bytes.
pub const PM1_CONTROL_PORT: u16 = 0x604;
/// Length of the PM1 control register.
pub const PM1_CONTROL_LEN: u8 = 2;
/// ACPI's reset register.
pub const RESET_PORT: u16 = 0x608;
/// What the guest writes to [`RESET_PORT`] to be reset.
pub const RESET_VALUE: u8 = 1;
/// The sleep type that means "off" (S5) in [`PM1_CONTROL_PORT`].
pub const SLEEP_TYPE_OFF: u8 = 5;
/// ACPI's system control interrupt. It is never raised: no event is.
pub const SCI_IRQ: u16 = 9;
/// The interrupt that the DSDT names for the VMBus device; Hyper-V and QEMU name one, nobody ever raises it.
pub const VMBUS_IRQ: u32 = 7;
/// By a byte here a guest that tests ends the machine with a status of its choice. The port is the one that people give QEMU's
/// `isa-debug-exit`.
pub const TEST_EXIT_PORT: u16 = 0xF4;
/// By a byte here a guest that tests has a device taken away, or given back.
pub const TEST_DEVICE_PORT: u16 = 0xF5;
/// By a byte here a guest that tests has the host use an integration service.
pub const TEST_SERVICE_PORT: u16 = 0xF6;
/// By a byte here a guest that tests has the processor that writes it hang.
pub const TEST_HANG_PORT: u16 = 0xF7;
/// By a byte here a guest that tests has the faults begin, or tells of its part in one.
pub const TEST_FAULTS_PORT: u16 = 0xF8;
/// By a byte here a guest that tests has the VMM note how much memory it takes.
pub const TEST_WEIGH_PORT: u16 = 0xF9;
