//! SCSI commands that a disk knows.

use storvsc_proto::guest::unmap_list;
use storvsc_proto::scsi::{Command, PageControl, VpdPage};

use crate::steps;

steps! {
    /// One of them, near the begin and the end of a small disk.
    pub struct Scsi {
        pub which: u8,
        pub lba: u8,
        pub blocks: u8,
        pub detail: u8,
        pub allocation: u8,
    }
}

impl Scsi {
    /// The command.
    pub fn command(&self) -> Command {
        let (lba, blocks) = (u64::from(self.lba % 80), u32::from(self.blocks % 80));
        let flag = self.detail % 2 == 1;
        let allocation = u16::from(self.allocation);
        match self.which % 16 {
            0 => Command::TestUnitReady,
            1 => Command::RequestSense {
                descriptor: flag,
                allocation: self.allocation,
            },
            2 => Command::Inquiry {
                page: None,
                allocation,
            },
            3 => Command::Inquiry {
                page: Some(VpdPage::NAMED[usize::from(self.detail) % VpdPage::NAMED.len()]),
                allocation,
            },
            4 => Command::ModeSense {
                long: flag,
                no_block_descriptor: self.blocks % 2 == 1,
                control: [
                    PageControl::Current,
                    PageControl::Changeable,
                    PageControl::Default,
                    PageControl::Saved,
                ][usize::from(self.lba % 4)],
                page: [0x3f, 8, 0x0a, 1, 0x1c][usize::from(self.detail % 5)],
                subpage: 0,
                allocation,
            },
            5 => Command::StartStopUnit {
                start: flag,
                load_eject: self.blocks % 2 == 1,
                power_condition: self.lba % 16,
            },
            6 => Command::ReadCapacity10,
            7 => Command::ReadCapacity16 {
                allocation: allocation.into(),
            },
            8 => Command::ReportLuns {
                ordinary: flag,
                allocation: allocation.into(),
            },
            9 => Command::Read {
                lba,
                blocks,
                force_unit_access: flag,
            },
            10 => Command::Write {
                lba,
                blocks,
                force_unit_access: flag,
            },
            11 => Command::Verify { lba, blocks },
            12 => Command::SynchronizeCache { lba, blocks },
            13 => Command::WriteSame {
                lba,
                blocks,
                unmap: flag,
                no_data_out: self.allocation % 2 == 1,
            },
            _ => Command::Unmap {
                parameter_length: self.data().len() as u16,
            },
        }
    }

    /// What the guest sends with it, as far as that matters.
    pub fn data(&self) -> Vec<u8> {
        let ranges = [(u64::from(self.lba % 80), u32::from(self.blocks % 80)); 4];
        let mut list = vec![0; 8 + 16 * 4];
        let len = unmap_list(&ranges[..usize::from(self.detail % 5)], &mut list);
        list.truncate(len.unwrap_or_default());
        if self.which % 16 == 15 {
            // Not as long as it says.
            list.truncate(self.allocation.into());
        }
        list
    }

    /// Whether data goes to the disk, and how many bytes there are of it.
    pub fn transfer(&self) -> (bool, u32) {
        let blocks = u32::from(self.blocks % 80) * 512;
        match self.which % 16 {
            9 => (false, blocks),
            10 => (true, blocks),
            13 => (true, 512),
            14 | 15 => (true, self.data().len() as u32),
            _ => (false, self.allocation.into()),
        }
    }
}
