//! Monitor pages: signals that a host looks for at intervals, so that a guest that has many needs no hypercall for each.

use core::fmt;

use zerocopy::byteorder::little_endian::{I32, U16, U32};

use super::macros::wire_struct;

/// Trigger groups of a monitor page.
pub const MONITOR_GROUPS: usize = 4;
/// Triggers of a group; an offer's [`monitor_id`](super::Offer::monitor_id) is group times 32 plus trigger.
pub const MONITOR_TRIGGERS: usize = 32;

wire_struct! {
    /// 32 triggers, one bit each.
    ///
    /// Source: Linux `union hv_monitor_trigger_group`.
    pub struct MonitorTriggerGroup at 0, 8 bytes {
        /// Triggers that the guest has set, and the host clears when it acts on them. Set with an atomic instruction.
        0: pending: U32,
        /// Triggers that the host has armed. Linux does not look here.
        4: armed: U32,
    }
}

wire_struct! {
    /// What a trigger signals.
    ///
    /// Source: Linux `struct hv_monitor_parameter`.
    pub struct MonitorParameter at 0, 8 bytes {
        /// The connection, as in a signal-event call.
        0: connection_id: U32,
        /// The flag of its port.
        4: flag_number: U16,
        /// Zero.
        6: reserved: U16,
    }
}

wire_struct! {
    /// A monitor page, 4096 bytes. The guest lends two at INITIATE_CONTACT, or the host names them from 6.0 on: one for each direction,
    /// of which only that from guest to host is in use.
    ///
    /// Source: Linux `struct hv_monitor_page`.
    pub struct MonitorPage at 0, 4096 bytes {
        /// Bits 0 to 3: the group with this number is enabled. (Linux `union hv_monitor_trigger_state`.)
        0: trigger_state: U32,
        /// Zero.
        4: reserved1: U32,
        /// The triggers.
        8: trigger_groups: [MonitorTriggerGroup; MONITOR_GROUPS],
        /// Zero.
        40: reserved2: [u8; 24],
        /// When the host looks again at each trigger; the host's own.
        64: next_check_time: [[I32; MONITOR_TRIGGERS]; MONITOR_GROUPS],
        /// For each trigger how long the host may wait until it looks again, in units of 100 ns.
        576: latency: [[U16; MONITOR_TRIGGERS]; MONITOR_GROUPS],
        /// Zero.
        832: reserved3: [u8; 256],
        /// What each trigger signals.
        1088: parameters: [[MonitorParameter; MONITOR_TRIGGERS]; MONITOR_GROUPS],
        /// Zero.
        2112: reserved4: [u8; 1984],
    }
}

impl MonitorPage {
    /// Whether the host looks at the triggers of this group, 0 to 3.
    #[must_use]
    pub const fn is_group_enabled(&self, group: u8) -> bool {
        (group as usize) < MONITOR_GROUPS && self.trigger_state.get() >> group & 1 != 0
    }
}

impl fmt::Display for MonitorPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "monitor page, groups {:#x}, pending", self.trigger_state)?;
        for group in &self.trigger_groups {
            write!(f, " {:#010x}", group.pending)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;

    use zerocopy::FromZeros;

    use super::*;

    #[test]
    fn groups_are_enabled_by_their_bits_and_shown() {
        let mut page = MonitorPage::new_zeroed();
        page.trigger_state = U32::new(0b0101);
        page.trigger_groups[2].pending = U32::new(0x8000_0001);
        let enabled: std::vec::Vec<_> = (0..8).filter(|&group| page.is_group_enabled(group)).collect();
        assert_eq!(enabled, [0, 2]);
        assert!(!page.is_group_enabled(32));
        assert_eq!(
            page.to_string(),
            "monitor page, groups 0x5, pending 0x00000000 0x00000000 0x80000001 0x00000000"
        );
    }
}
