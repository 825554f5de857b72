//! Commands, as a guest sends them, and what it gets.

mod data;
mod discard;
mod identity;
mod refused;

use storvsc_proto::host::{Geometry, Lun};
use storvsc_proto::scsi::{Command, VpdPage};

use crate::support::{RamDisk, Rig};

fn inquiry(page: Option<VpdPage>, allocation: u16) -> Command {
    Command::Inquiry { page, allocation }
}

fn read(lba: u64, blocks: u32) -> Command {
    Command::Read {
        lba,
        blocks,
        force_unit_access: false,
    }
}

fn write(lba: u64, blocks: u32) -> Command {
    Command::Write {
        lba,
        blocks,
        force_unit_access: false,
    }
}

fn with(geometry: Geometry) -> Rig {
    Rig::ready(vec![Lun::new(0, RamDisk::with(geometry))])
}
