//! What a guest tells when it crashes.

bitflags::bitflags! {
    /// The register that a crashing guest writes last.
    ///
    /// On a read it tells what the host supports. Sources: TLFS "HV_CRASH_CTL_REG_CONTENTS"; Linux `HV_CRASH_CTL_*`;
    /// OpenVMM `GuestCrashCtl` for bit 61 and the pre-OS id in bits 60:58.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct CrashControl: u64 {
        /// No dump of the memory will be taken.
        const NO_CRASH_DUMP = 1 << 61;
        /// P3 is the guest-physical address of a message, P4 its length in bytes.
        const NOTIFY_MESSAGE = 1 << 62;
        /// The guest has crashed, and the five parameters are set.
        const NOTIFY = 1 << 63;
        const _ = !0;
    }
}

impl CrashControl {
    /// Which environment before the operating system crashed, 0 to 7; 0 is none.
    #[must_use]
    pub const fn pre_os_id(self) -> u8 {
        (self.bits() >> 58) as u8 & 7
    }
}

/// A crash as the guest told it: the control register and the five parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CrashReport {
    /// What was written to the control register.
    pub control: CrashControl,
    /// P0 to P4. Linux tells the error, RIP, RAX, message address and message length; Windows a bug check and its
    /// parameters.
    pub parameters: [u64; 5],
}

impl CrashReport {
    /// Guest-physical address and length of the guest's last words, when it left some.
    ///
    /// The guest chose both: bound the length before reading.
    #[must_use]
    pub const fn message(&self) -> Option<(u64, u64)> {
        let [_, _, _, gpa, len] = self.parameters;
        if self.control.contains(CrashControl::NOTIFY_MESSAGE) {
            Some((gpa, len))
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_where_the_last_two_parameters_say() {
        let control = CrashControl::NOTIFY | CrashControl::NOTIFY_MESSAGE;
        assert_eq!(control.bits(), 0xc000_0000_0000_0000);
        let report = CrashReport {
            control,
            parameters: [1, 2, 3, 0x1000, 40],
        };
        assert_eq!(report.message(), Some((0x1000, 40)));
        let silent = CrashReport {
            control: CrashControl::NOTIFY,
            ..report
        };
        assert_eq!(silent.message(), None);
        assert_eq!(CrashControl::from_bits_retain(5 << 58).pre_os_id(), 5);
    }
}
