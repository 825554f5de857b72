//! Interface ids: which class of device an offer is for.
//!
//! Sources: Linux `include/linux/hyperv.h`, OpenVMM `vm/devices`, and for the activation components Microsoft's support article
//! 2925727. Which GUIDs hvsock services use is up to them; only their transport provider flag tells an offer as one.

use super::Guid;

macro_rules! interfaces {
    ($( $(#[$meta:meta])* $name:ident = ($d1:literal, $d2:literal, $d3:literal, $d4:literal), $text:literal; )+) => {
        $( $(#[$meta])* pub const $name: Guid = Guid::new($d1, $d2, $d3, $d4); )+

        /// Every interface id of this module with a short name.
        pub const NAMED: &[(Guid, &str)] = &[$( ($name, $text) ),+];
    };
}

interfaces! {
    /// Network adapter, served by netvsc.
    NETWORK = (0xf861_5163, 0xdf3e, 0x46c5, 0x913f_f2d2_f965_ed0e), "network";
    /// SCSI controller, served by storvsc.
    SCSI = (0xba61_63d9, 0x04a1, 0x4d29, 0xb605_72e2_ffb1_dc7f), "scsi";
    /// Accelerated IDE controller, served by storvsc; generation 1 machines have one for each emulated disk.
    IDE = (0x3241_2632, 0x86cb, 0x44a2, 0x9b5c_50d1_4173_54f5), "ide";
    /// Fibre Channel adapter, served by storvsc.
    FIBRE_CHANNEL = (0x2f9b_cc4a, 0x0069, 0x4af3, 0xb76b_6fd0_be52_8cda), "fibre channel";
    /// Integration service: orderly shutdown.
    SHUTDOWN = (0x0e0b_6031, 0x5213, 0x4934, 0x818b_38d9_0ced_39db), "shutdown";
    /// Integration service: time synchronization.
    TIME_SYNC = (0x9527_e630, 0xd0ae, 0x497b, 0xadce_e80a_b017_5caf), "time sync";
    /// Integration service: heartbeat.
    HEARTBEAT = (0x5716_4f39, 0x9115, 0x4e78, 0xab55_382f_3bd5_422d), "heartbeat";
    /// Integration service: key-value pair exchange.
    KVP = (0xa9a0_f4e7, 0x5a45, 0x4d96, 0xb827_8a84_1e8c_03e6), "kvp";
    /// Integration service: volume snapshots for backup.
    VSS = (0x35fa_2e29, 0xea23, 0x4236, 0x96ae_3a6e_bacb_a440), "vss";
    /// Integration service: file copy from host to guest.
    FILE_COPY = (0x34d1_4be3, 0xdee4, 0x41c8, 0x9ae7_6b17_4977_c192), "file copy";
    /// Dynamic memory: ballooning and hot add.
    DYNAMIC_MEMORY = (0x5250_74dc, 0x8985, 0x46e2, 0x8057_a307_dc18_a502), "dynamic memory";
    /// Keyboard.
    KEYBOARD = (0xf912_ad6d, 0x2b17, 0x48ea, 0xbd65_f927_a61c_7684), "keyboard";
    /// Mouse, an absolute HID pointer.
    MOUSE = (0xcfa8_b69e, 0x5b4a, 0x4cc0, 0xb98b_8ba1_a1f3_f95a), "mouse";
    /// Video frame buffer.
    VIDEO = (0xda0a_7802, 0xe377, 0x4aac, 0x8e77_0558_eb10_73f8), "video";
    /// PCI pass-through.
    PCI = (0x44c4_f61d, 0x4444, 0x4400, 0x9d52_802e_27ed_e19f), "pci";
    /// NetworkDirect: RDMA in the guest.
    NETWORK_DIRECT = (0x8c2e_af3d, 0x32a7, 0x4b09, 0xab99_bd1f_1c86_b501), "network direct";
    /// Activation of Windows guests, the inherited activation.
    ACTIVATION = (0x3375_baf4, 0x9e15, 0x4b30, 0xb765_67ac_b10d_607b), "activation";
    /// Control channel of remote desktops. Linux counts it with the activation devices.
    REMOTE_DESKTOP_CONTROL = (0xf8e6_5716, 0x3cb3, 0x4a06, 0x9a60_1889_c5cc_cab5), "remote desktop control";
    /// Remote desktop virtualization.
    REMOTE_DESKTOP = (0x276a_acf4, 0xac15, 0x426c, 0x98dd_7521_ad3f_01fe), "remote desktop";
    /// Initial machine configuration; OpenVMM's file system for boot files (`vmbfs`) uses the same id.
    INITIAL_MACHINE_CONFIGURATION = (0xc376_c1c3, 0xd276, 0x48d2, 0x90a9_c047_4807_2c60), "initial machine configuration";
    /// Serial port, offered to VTL2 only. (OpenVMM.)
    UART = (0x8b60_ccf6, 0x709f, 0x4c11, 0x90b5_229c_959a_9e6a), "uart";
    /// Guest emulation transport: a paravisor's own line to its host. (OpenVMM.)
    GUEST_EMULATION = (0x8ded_d1aa, 0x9056, 0x49e4, 0xbfd6_1bf9_0dc3_8ef0), "guest emulation";
    /// Takes a paravisor's crash dump. (OpenVMM.)
    CRASH_DUMP = (0x427b_03e7, 0x4ceb, 0x4286, 0xb5fc_486f_4a1d_d439), "crash dump";
}

/// The short name of an interface id, or `None` for one that this module does not list.
///
/// ```
/// use vmbus_proto::wire::interface;
/// assert_eq!(interface::name(interface::SCSI), Some("scsi"));
/// ```
#[must_use]
pub fn name(interface: Guid) -> Option<&'static str> {
    NAMED
        .iter()
        .find(|(id, _)| *id == interface)
        .map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;

    use super::*;

    #[test]
    fn ids_and_names_are_unique() {
        for (index, (id, name)) in NAMED.iter().enumerate() {
            for (other_id, other_name) in &NAMED[index + 1..] {
                assert_ne!(id, other_id, "{name} and {other_name}");
                assert_ne!(name, other_name);
            }
        }
    }

    #[test]
    fn ids_are_written_as_in_the_sources() {
        assert_eq!(NETWORK.to_string(), "f8615163-df3e-46c5-913f-f2d2f965ed0e");
        assert_eq!(DYNAMIC_MEMORY.to_string(), "525074dc-8985-46e2-8057-a307dc18a502");
    }
}
