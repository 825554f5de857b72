//! The table: which Rust type is which type of the kernel.
//!
//! | file | crates |
//! |---|---|
//! | `hypervisor.rs`, `calls.rs` | `hvcall` |
//! | `bus.rs` | `vmbus-ringbuf`, `vmbus-proto` |
//! | `services.rs` | `vmbus-proto`: integration services, dynamic memory, keyboard, mouse |
//! | `storage.rs` | `storvsc-proto` |
//! | `nvsp.rs`, `rndis.rs` | `netvsc-proto` |
//! | `left_out.rs` | types of the kernel that are mirrored nowhere, and why |

mod bus;
mod calls;
mod hypervisor;
mod left_out;
mod nvsp;
mod rndis;
mod services;
mod storage;

use std::collections::BTreeMap;

use super::mirror::{Alone, Code, Codes, Mirror};
use crate::workspace::PUBLISHED;

pub(crate) use self::left_out::is_hyperv;

pub(crate) struct Table {
    pub(crate) mirrors: Vec<Mirror>,
    pub(crate) codes: Vec<Codes>,
    /// Rust types without a counterpart.
    pub(crate) alone: Vec<Alone>,
}

impl Table {
    pub(crate) fn new() -> Self {
        let mut table = Self {
            mirrors: Vec::new(),
            codes: Vec::new(),
            alone: Vec::new(),
        };
        table.add(
            "hvcall",
            hypervisor::mirrors(),
            hypervisor::codes(),
            hypervisor::alone(),
        );
        table.add("hvcall", calls::mirrors(), calls::codes(), calls::alone());
        table.add("vmbus-proto", bus::mirrors(), bus::codes(), bus::alone());
        table.add(
            "vmbus-proto",
            services::mirrors(),
            services::codes(),
            services::alone(),
        );
        table.add(
            "storvsc-proto",
            storage::mirrors(),
            storage::codes(),
            storage::alone(),
        );
        table.add("netvsc-proto", nvsp::mirrors(), nvsp::codes(), nvsp::alone());
        table.add("netvsc-proto", rndis::mirrors(), rndis::codes(), rndis::alone());
        table
    }

    /// Adds rows, which are counted for the crate of the first type in them, or for this one where that is no crate's.
    fn add(&mut self, of: &'static str, mut mirrors: Vec<Mirror>, mut codes: Vec<Codes>, alone: Vec<Alone>) {
        for mirror in &mut mirrors {
            mirror.of = mirror
                .parts
                .first()
                .and_then(|part| package(part.rust))
                .unwrap_or(of);
        }
        for codes in &mut codes {
            codes.of = codes.rust.first().and_then(|rust| package(rust)).unwrap_or(of);
        }
        self.mirrors.extend(mirrors);
        self.codes.extend(codes);
        self.alone.extend(alone);
    }

    /// The kernel's names of all rows.
    pub(crate) fn kernel_names(&self) -> impl Iterator<Item = &'static str> {
        let structs = self.mirrors.iter().map(|mirror| mirror.kernel);
        structs.chain(self.codes.iter().map(|codes| codes.kernel))
    }

    /// Why this type of the kernel is in no row, `None` for one that ought to be.
    pub(crate) fn reason_to_leave_out(&self, kernel: &str) -> Option<&'static str> {
        left_out::reason(kernel)
    }

    /// What is wrong with the table itself: bytes of a Rust type that no row names, named numbers that no row names,
    /// and types that are both mirrored and said to be alone.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut bytes: BTreeMap<&str, Vec<bool>> = BTreeMap::new();
        for part in self.mirrors.iter().flat_map(|mirror| &mirror.parts) {
            let named = bytes.entry(part.rust).or_insert_with(|| vec![false; part.size]);
            for pair in &part.fields {
                named
                    .iter_mut()
                    .skip(pair.at)
                    .take(pair.size)
                    .for_each(|byte| *byte = true);
            }
        }
        for (rust, named) in &bytes {
            if let (true, Some(at)) = (package(rust).is_some(), named.iter().position(|named| !named)) {
                faults.push(format!("byte {at} of {rust} is in no row"));
            }
        }
        for codes in &self.codes {
            let mapped = |number: &i64| codes.values.iter().any(|(_, value, _)| value == number);
            match (codes.named.iter().find(|number| !mapped(number)), codes.beyond) {
                (Some(number), None) => {
                    faults.push(format!("{number:#x} of {} is in no row", codes.rust.join(", ")))
                }
                (None, Some(_)) => faults.push(format!("all of {} is in its row", codes.rust.join(", "))),
                _ => {}
            }
        }
        for alone in &self.alone {
            if bytes.contains_key(alone.rust)
                || self.codes.iter().any(|codes| codes.rust.contains(&alone.rust))
            {
                faults.push(format!(
                    "{} is mirrored, and said to have no counterpart",
                    alone.rust
                ));
            }
        }
        faults
    }
}

/// The package that a type is of by its `std::any::type_name`, `None` for one that is of none of ours.
pub(crate) fn package(rust: &str) -> Option<&'static str> {
    let (name, _) = rust.split_once("::")?;
    PUBLISHED
        .into_iter()
        .map(|(package, _)| package)
        .find(|package| package.replace('-', "_") == name)
}

impl Code for vmbus_ringbuf::wire::PacketType {
    fn number(self) -> i64 {
        self.0.into()
    }

    fn named() -> Vec<i64> {
        Self::NAMED.iter().map(|value| value.number()).collect()
    }
}

/// Codes: each has a number and a list of its values with names.
macro_rules! code {
    ($($rust:ty),+ $(,)?) => { $(
        impl Code for $rust {
            fn number(self) -> i64 {
                i64::try_from(u64::from(self.value())).unwrap_or(-1)
            }

            fn named() -> Vec<i64> {
                Self::NAMED.iter().map(|value| value.number()).collect()
            }
        }
    )+ };
}
code!(
    hvcall::synic::MessageType,
    hvcall::vpset::VpSetFormat,
    hvcall::cpuid::IsolationType,
    hvcall::wire::DeviceType,
    hvcall::wire::HeatHint,
    hvcall::wire::HostVisibility,
    hvcall::wire::InterruptSource,
    hvcall::wire::InterruptType,
    hvcall::wire::PortType,
    hvcall::wire::SubnodeType,
    hvcall::wire::TriggerMode,
    hvcall::wire::intercept::InterceptAccess,
    hvcall::wire::intercept::InterceptType,
    netvsc_proto::wire::nvsp::MessageType,
    netvsc_proto::wire::nvsp::Status,
    netvsc_proto::wire::nvsp::DataPath,
    netvsc_proto::wire::nvsp::SubchannelOperation,
    netvsc_proto::wire::packet_direct::PdOperation,
    netvsc_proto::wire::ppi::PpiType,
    vmbus_proto::device::wire::dynamic_memory::MessageType,
    vmbus_proto::device::wire::keyboard::MessageType,
    vmbus_proto::device::wire::mouse::MessageType,
    vmbus_proto::ic::wire::FileCopyOperation,
    vmbus_proto::ic::wire::KvpOperation,
    vmbus_proto::ic::wire::VssOperation,
    vmbus_proto::wire::PipePacketType,
    storvsc_proto::wire::Operation,
);
