//! A LUN: a disk at an address.

use core::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use crate::scsi::{AdditionalSense, Sense, SenseKey};
use crate::wire::LunAddress;

/// What the next command at a LUN is told instead of being run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Attention {
    /// POWER ON, RESET, OR BUS DEVICE RESET OCCURRED. Linux prints a warning.
    PowerOn,
    /// CAPACITY DATA HAS CHANGED: the disk was made larger or smaller. Linux's storvsc looks at the disk
    /// again and runs the command once more.
    CapacityChanged,
    /// TARGET OPERATING CONDITIONS HAVE CHANGED: for instance whether blocks can be given up. Linux as above.
    ConditionsChanged,
    /// INQUIRY DATA HAS CHANGED.
    InquiryChanged,
}

impl Attention {
    /// All, the most important first.
    const ALL: [Self; 4] = [
        Self::PowerOn,
        Self::CapacityChanged,
        Self::ConditionsChanged,
        Self::InquiryChanged,
    ];

    const fn bit(self) -> u8 {
        match self {
            Self::PowerOn => 0x1,
            Self::CapacityChanged => 0x2,
            Self::ConditionsChanged => 0x4,
            Self::InquiryChanged => 0x8,
        }
    }

    pub(crate) const fn sense(self) -> Sense {
        let additional = match self {
            Self::PowerOn => AdditionalSense::POWER_ON_OR_RESET,
            Self::CapacityChanged => AdditionalSense::CAPACITY_DATA_HAS_CHANGED,
            Self::ConditionsChanged => AdditionalSense::TARGET_OPERATING_CONDITIONS_HAVE_CHANGED,
            Self::InquiryChanged => AdditionalSense::INQUIRY_DATA_HAS_CHANGED,
        };
        Sense::new(SenseKey::UNIT_ATTENTION, additional)
    }
}

/// A disk at an address of the controller.
///
/// A controller is a slice of these, shared by the queues of all its channels. Whether there is a disk at the
/// address can change while the guest runs: [`detach`](Self::detach) and [`attach`](Self::attach), each
/// followed by [`Queue::enumerate_bus`](super::Queue::enumerate_bus), are what hot plugging is.
#[derive(Debug)]
pub struct Lun<B> {
    address: LunAddress,
    backend: B,
    attached: AtomicBool,
    attention: AtomicU8,
}

impl<B> Lun<B> {
    /// This disk, attached, as the LUN of this number on path 0 and target 0. Linux scans up to 254.
    #[must_use]
    pub const fn new(lun: u8, backend: B) -> Self {
        Self::at(LunAddress::lun(lun), backend)
    }

    /// This disk, attached, at this address.
    #[must_use]
    pub const fn at(address: LunAddress, backend: B) -> Self {
        Self {
            address,
            backend,
            attached: AtomicBool::new(true),
            attention: AtomicU8::new(0),
        }
    }

    /// Where it is.
    #[must_use]
    pub const fn address(&self) -> LunAddress {
        self.address
    }

    /// The disk.
    #[must_use]
    pub const fn backend(&self) -> &B {
        &self.backend
    }

    /// Whether the guest can see the disk.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        self.attached.load(Ordering::Acquire)
    }

    /// Lets the guest see the disk.
    pub fn attach(&self) {
        self.attention.store(0, Ordering::Relaxed);
        self.attached.store(true, Ordering::Release);
    }

    /// Takes the disk away. Requests that a queue has begun go on; later ones find no LUN.
    pub fn detach(&self) {
        self.attached.store(false, Ordering::Release);
    }

    /// Tells the next command of this instead of running it. INQUIRY, REPORT LUNS and REQUEST SENSE run none
    /// the less, the last with this as its sense data.
    pub fn raise(&self, attention: Attention) {
        self.attention.fetch_or(attention.bit(), Ordering::AcqRel);
    }

    /// The most important attention that is raised; it is raised no more.
    pub(crate) fn take_attention(&self) -> Option<Attention> {
        if self.attention.load(Ordering::Relaxed) == 0 {
            return None;
        }
        // Another queue may take one at the same time: whoever clears the bit has it.
        Attention::ALL.into_iter().find(|attention| {
            self.attention.fetch_and(!attention.bit(), Ordering::AcqRel) & attention.bit() != 0
        })
    }
}
