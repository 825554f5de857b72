//! Who the guest is, and the hypercall page.

use thiserror::Error;

use super::gate::{
    MsrError, Msrs, PageRegister, Plain, RegisterError, SharedPage, turn_off, turn_on, write_plain,
};
use crate::msr::HypercallPage;
use crate::{GuestOsId, Msr};

/// Tells the hypervisor who the guest is, which it has to know before any hypercall, and returns who it was before:
/// firmware may have said so, too. The register is the whole partition's.
///
/// # Errors
///
/// The id is 0, which would take the hypercall page away; or the register was not set.
pub fn identify(msrs: &(impl Msrs + ?Sized), id: GuestOsId) -> Result<GuestOsId, InterfaceError> {
    if id == GuestOsId::default() {
        return Err(InterfaceError::NoIdentity);
    }
    set_identity(msrs, id)
}

/// Sets the guest OS id back to 0, which ends hypercalls and switches the hypercall page off: for a kernel that hands
/// over to another. Disable the [`CallPage`] first.
///
/// # Errors
///
/// The register was not set.
pub fn clear_identity(msrs: &(impl Msrs + ?Sized)) -> Result<(), InterfaceError> {
    set_identity(msrs, GuestOsId::default()).map(drop)
}

fn set_identity(msrs: &(impl Msrs + ?Sized), id: GuestOsId) -> Result<GuestOsId, InterfaceError> {
    let before = msrs.read(Msr::GUEST_OS_ID)?;
    write_plain(msrs, Plain::GuestOsId(id))?;
    let reads = msrs.read(Msr::GUEST_OS_ID)?;
    if reads != id.bits() {
        let wrote = id.bits();
        return Err(RegisterError::NotTaken {
            msr: Msr::GUEST_OS_ID,
            wrote,
            reads,
        }
        .into());
    }
    Ok(GuestOsId::from_bits(before))
}

/// The hypercall page of x86-64: a page of the guest's that the hypervisor covers with code that makes a hypercall.
///
/// One for the whole partition. What lies under it is out of sight while it is on.
#[derive(Debug)]
pub struct CallPage {
    page: SharedPage,
    /// It is known to be on.
    enabled: bool,
    /// The register may name it.
    lent: bool,
}

impl CallPage {
    /// A page that is still off.
    #[must_use]
    pub const fn new(page: SharedPage) -> Self {
        Self {
            page,
            enabled: false,
            lent: false,
        }
    }

    /// Switches the page on, looks whether that took, and returns the register as it was before. A page that firmware
    /// had switched on elsewhere is moved.
    ///
    /// # Errors
    ///
    /// The guest OS id is still 0; the register is locked with another address; or it was not set, and then it is off again
    /// as far as that went. In any case the page counts as off: there is no gate through it.
    pub fn enable(&mut self, msrs: &(impl Msrs + ?Sized)) -> Result<HypercallPage, InterfaceError> {
        self.enabled = false;
        if msrs.read(Msr::GUEST_OS_ID)? == 0 {
            return Err(InterfaceError::NoIdentity);
        }
        let register = HypercallPage::from_bits(msrs.read(HypercallPage::MSR)?);
        if register.is_locked() && register.page() != Some(self.page.gpa()) {
            return Err(InterfaceError::Locked { register });
        }
        if register.is_locked() {
            self.lent = true;
        } else if let Err(error) = turn_on::<HypercallPage>(msrs, &self.page, &mut self.lent) {
            // The first error counts.
            let _also = self.disable(msrs);
            return Err(error.into());
        }
        self.enabled = true;
        Ok(register)
    }

    /// Switches the page off again. It takes `&mut self`, so nobody has a gate through the page any more.
    ///
    /// # Errors
    ///
    /// The register is locked, or was not set. Where it does not read as on, the page counts as off all the same.
    pub fn disable(&mut self, msrs: &(impl Msrs + ?Sized)) -> Result<(), InterfaceError> {
        let was_on = core::mem::take(&mut self.enabled);
        let register = HypercallPage::from_bits(msrs.read(HypercallPage::MSR)?);
        // The processor faults for a write to it.
        let result = if register.is_locked() {
            Err(InterfaceError::Locked { register })
        } else {
            turn_off::<HypercallPage>(msrs, &mut self.lent).map_err(InterfaceError::from)
        };
        let still = match result {
            Err(InterfaceError::Locked { register }) => register.page(),
            Err(InterfaceError::Register(RegisterError::NotTaken { reads, .. })) => {
                HypercallPage::from_bits(reads).page()
            }
            _ => None,
        };
        self.enabled = was_on && still == Some(self.page.gpa());
        result
    }

    /// Whether the page is on, so that there may be gates through it.
    #[must_use]
    pub const fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// The page.
    #[must_use]
    pub const fn page(&self) -> &SharedPage {
        &self.page
    }

    /// Gives the page back, which is off.
    ///
    /// # Errors
    ///
    /// It is on, or may be, as it could not be switched off: the value itself. [`disable`](Self::disable) it first.
    pub fn into_page(self) -> Result<SharedPage, Self> {
        if self.lent { Err(self) } else { Ok(self.page) }
    }
}

/// The interface to the hypervisor was not set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InterfaceError {
    /// The guest has not said who it is, or would say 0.
    #[error("the guest OS id is 0")]
    NoIdentity,
    /// The hypercall page cannot be moved until the machine is reset.
    #[error("the hypercall page is locked: {register:?}")]
    Locked {
        /// The register, with the address at which the page is.
        register: HypercallPage,
    },
    /// A register was not set.
    #[error(transparent)]
    Register(#[from] RegisterError),
}

impl From<MsrError> for InterfaceError {
    fn from(error: MsrError) -> Self {
        Self::Register(error.into())
    }
}

/// The hypercall page is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the hypercall page is off")]
pub struct NotEnabled;
