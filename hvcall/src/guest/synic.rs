//! A processor's SynIC, switched on and off.

use core::sync::atomic::{Ordering, fence};

use thiserror::Error;

use super::detect::Hypervisor;
use super::events::EventPage;
use super::gate::{MsrError, Msrs, Plain, RegisterError, turn_off, turn_on, write_plain};
use super::messages::MessagePage;
use crate::cpuid::{Features, Recommendations};
use crate::synic::{Scontrol, Siefp, Simp, SintRegister};
use crate::{Msr, Sint};

/// The lowest vector that a SINT may raise here. The hypervisor takes any from 16 on; on x86-64 those up to 31 are the
/// processor's exceptions, while on AArch64 they are private interrupts, which is where a SINT belongs.
pub const FIRST_VECTOR: u8 = if cfg!(any(target_arch = "x86_64", target_arch = "x86")) {
    32
} else {
    SintRegister::FIRST_VECTOR
};

/// How a SINT tells the processor of a message or an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SintSetup {
    /// The interrupt's vector, or `None` to be polled.
    vector: Option<u8>,
    auto_eoi: bool,
}

impl SintSetup {
    /// By the interrupt with this vector, whose handler ends it at the interrupt controller.
    #[must_use]
    pub const fn interrupt(vector: u8) -> Self {
        Self {
            vector: Some(vector),
            auto_eoi: false,
        }
    }

    /// By the interrupt with this vector, in the way that the hypervisor recommends: with AutoEOI, unless it
    /// [deprecates](Recommendations::DEPRECATING_AEOI) that. [`is_auto_eoi`](Self::is_auto_eoi) tells the handler.
    ///
    /// Linux does the same on x86-64. AArch64 has no AutoEOI: take [`interrupt`](Self::interrupt).
    #[must_use]
    pub const fn recommended(hypervisor: &Hypervisor, vector: u8) -> Self {
        let recommendations = hypervisor.recommendations.recommendations;
        Self {
            vector: Some(vector),
            auto_eoi: !recommendations.contains(Recommendations::DEPRECATING_AEOI),
        }
    }

    /// The same with AutoEOI on or off. With it the hypervisor ends the interrupt as it delivers it, and the handler
    /// must not.
    #[must_use]
    pub const fn with_auto_eoi(mut self, on: bool) -> Self {
        self.auto_eoi = on;
        self
    }

    /// By no interrupt: the guest looks into the pages. `None` where the hypervisor has no
    /// [polling](Features::SINT_POLLING_MODE).
    #[must_use]
    pub const fn polled(hypervisor: &Hypervisor) -> Option<Self> {
        if hypervisor.features.features.contains(Features::SINT_POLLING_MODE) {
            Some(Self {
                vector: None,
                auto_eoi: false,
            })
        } else {
            None
        }
    }

    /// Whether the hypervisor ends the interrupt, so that the handler must not.
    #[must_use]
    pub const fn is_auto_eoi(self) -> bool {
        self.auto_eoi
    }

    fn register(self, before: SintRegister) -> Result<SintRegister, SynicError> {
        let Some(vector) = self.vector else {
            // The vector does not count, but one that was never set may not stand in an unmasked register.
            return SintRegister::from_bits(before.bits())
                .with_vector(before.vector().max(FIRST_VECTOR))
                .map(|register| register.with_auto_eoi(false).with_polling(true))
                .ok_or(SynicError::Vector { vector: FIRST_VECTOR });
        };
        if vector < FIRST_VECTOR {
            return Err(SynicError::Vector { vector });
        }
        before
            .with_vector(vector)
            .map(|register| register.with_auto_eoi(self.auto_eoi).with_polling(false))
            .ok_or(SynicError::Vector { vector })
    }
}

/// The registers of a SynIC as they were before it was switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SynicRegisters {
    /// SCONTROL.
    pub scontrol: Scontrol,
    /// SIMP.
    pub simp: Simp,
    /// SIEFP.
    pub siefp: Siefp,
}

/// The SynIC of one processor, with its message page and its event page.
///
/// Its methods that take `msrs` run on that processor. Reserved bits of all registers are kept.
///
/// ```no_run
/// use hvcall::Sint;
/// use hvcall::guest::{EventPage, Hypervisor, MessagePage, Msrs, SintSetup, Synic, SynicError};
///
/// fn start(
///     hypervisor: &Hypervisor,
///     msrs: &impl Msrs,
///     messages: MessagePage,
///     events: EventPage,
///     vector: u8,
/// ) -> Result<Synic, SynicError> {
///     let mut synic = Synic::new(messages, events);
///     synic.enable(msrs)?;
///     synic.enable_sint(msrs, Sint::VMBUS, SintSetup::recommended(hypervisor, vector))?;
///     Ok(synic)
/// }
/// ```
#[derive(Debug)]
pub struct Synic {
    messages: MessagePage,
    events: EventPage,
    before: Option<SynicRegisters>,
    /// SIMP, and SIEFP, may name its page.
    lent: [bool; 2],
    /// A bit for each SINT that was set up here.
    sints: u16,
}

impl Synic {
    /// A SynIC with these pages, which is still off.
    #[must_use]
    pub const fn new(messages: MessagePage, events: EventPage) -> Self {
        Self {
            messages,
            events,
            before: None,
            lent: [false; 2],
            sints: 0,
        }
    }

    /// Clears the pages, switches them and then the SynIC on, and returns the registers as they were before. Where
    /// firmware left pages on, they are replaced.
    ///
    /// # Errors
    ///
    /// It is on already; or a register was not set, and then what was set before it is off again, as far as that went.
    pub fn enable(&mut self, msrs: &(impl Msrs + ?Sized)) -> Result<SynicRegisters, SynicError> {
        if self.before.is_some() {
            return Err(SynicError::AlreadyOn);
        }
        // Hyper-V lays zeroed pages over these; KVM has the guest's own memory for them.
        self.messages.page().clear();
        self.events.page().clear();
        fence(Ordering::SeqCst);
        let registers = self.set_registers(msrs);
        match registers {
            Ok(registers) => self.before = Some(registers),
            Err(_) => {
                // The first error counts.
                let _also = self.clear_registers(msrs);
            }
        }
        Ok(registers?)
    }

    fn set_registers(&mut self, msrs: &(impl Msrs + ?Sized)) -> Result<SynicRegisters, RegisterError> {
        let [messages, events] = &mut self.lent;
        let simp = turn_on::<Simp>(msrs, self.messages.page(), messages)?;
        let siefp = turn_on::<Siefp>(msrs, self.events.page(), events)?;
        let scontrol = set_scontrol(msrs, true)?;
        Ok(SynicRegisters {
            scontrol,
            simp,
            siefp,
        })
    }

    fn clear_registers(&mut self, msrs: &(impl Msrs + ?Sized)) -> Result<(), RegisterError> {
        let [messages, events] = &mut self.lent;
        let results = [
            turn_off::<Simp>(msrs, messages),
            turn_off::<Siefp>(msrs, events),
            set_scontrol(msrs, false).map(drop),
        ];
        results.into_iter().collect()
    }

    /// Has a SINT tell the processor in this way, and returns its register as it was before.
    ///
    /// The interrupt may come before this returns: its handler is to be in place.
    ///
    /// # Errors
    ///
    /// The SynIC is off; the vector is below [`FIRST_VECTOR`]; or the register was not set.
    pub fn enable_sint(
        &mut self,
        msrs: &(impl Msrs + ?Sized),
        sint: Sint,
        setup: SintSetup,
    ) -> Result<SintRegister, SynicError> {
        if self.before.is_none() {
            return Err(SynicError::Off);
        }
        let before = SintRegister::from_bits(msrs.read(Msr::sint(sint))?);
        let register = setup.register(before)?;
        // Even when it seems to fail it may be unmasked.
        self.sints |= 1 << sint.number();
        set_sint(msrs, sint, register)?;
        Ok(before)
    }

    /// Masks a SINT.
    ///
    /// # Errors
    ///
    /// The register was not set.
    pub fn disable_sint(&mut self, msrs: &(impl Msrs + ?Sized), sint: Sint) -> Result<(), SynicError> {
        mask_sint(msrs, sint)?;
        self.sints &= !(1 << sint.number());
        Ok(())
    }

    /// Masks the SINTs that were set up here, and switches the pages and the SynIC off. Whatever fails, the others are
    /// done.
    ///
    /// The pages stay off, even where they had been on: whose memory that was nobody knows any more. What the registers
    /// held [`enable`](Self::enable) told.
    ///
    /// # Errors
    ///
    /// The SynIC is off; or the first of the registers that were not set. It counts as on then, and `disable` can be
    /// tried again. So it can after an [`enable`](Self::enable) that failed and left a page on.
    pub fn disable(&mut self, msrs: &(impl Msrs + ?Sized)) -> Result<(), SynicError> {
        if !self.may_be_on() {
            return Err(SynicError::Off);
        }
        let mut result = Ok(());
        for sint in Sint::all().filter(|sint| self.sints & 1 << sint.number() != 0) {
            result = result.and(mask_sint(msrs, sint));
        }
        result.and(self.clear_registers(msrs))?;
        self.sints = 0;
        self.before = None;
        Ok(())
    }

    /// The registers as they were before it was switched on; `None` while it is off.
    #[must_use]
    pub const fn before(&self) -> Option<SynicRegisters> {
        self.before
    }

    fn may_be_on(&self) -> bool {
        self.before.is_some() || self.lent != [false; 2]
    }

    /// The message slots.
    pub const fn messages(&mut self) -> &mut MessagePage {
        &mut self.messages
    }

    /// The event flags.
    #[must_use]
    pub const fn events(&self) -> &EventPage {
        &self.events
    }

    /// Gives the pages back, which are off.
    ///
    /// # Errors
    ///
    /// It is on, or a page may be, as it could not be switched off: the value itself.
    pub fn into_pages(self) -> Result<(MessagePage, EventPage), StillOn> {
        if self.may_be_on() {
            Err(StillOn(self))
        } else {
            Ok((self.messages, self.events))
        }
    }
}

fn set_scontrol(msrs: &(impl Msrs + ?Sized), on: bool) -> Result<Scontrol, RegisterError> {
    let before = Scontrol::from_bits_retain(msrs.read(Msr::SCONTROL)?);
    let mut control = before;
    control.set(Scontrol::ENABLE, on);
    write_plain(msrs, Plain::Scontrol(control))?;
    let reads = msrs.read(Msr::SCONTROL)?;
    if Scontrol::from_bits_retain(reads).contains(Scontrol::ENABLE) != on {
        let wrote = control.bits();
        return Err(RegisterError::NotTaken {
            msr: Msr::SCONTROL,
            wrote,
            reads,
        });
    }
    Ok(before)
}

fn mask_sint(msrs: &(impl Msrs + ?Sized), sint: Sint) -> Result<(), RegisterError> {
    let before = SintRegister::from_bits(msrs.read(Msr::sint(sint))?);
    set_sint(msrs, sint, before.with_masked())
}

fn set_sint(msrs: &(impl Msrs + ?Sized), sint: Sint, register: SintRegister) -> Result<(), RegisterError> {
    write_plain(msrs, Plain::Sint(sint, register))?;
    let msr = Msr::sint(sint);
    let reads = msrs.read(msr)?;
    let there = SintRegister::from_bits(reads);
    let what_counts = |sint: SintRegister| {
        (
            sint.vector(),
            sint.is_masked(),
            sint.is_auto_eoi(),
            sint.is_polling(),
        )
    };
    if what_counts(there) != what_counts(register) {
        return Err(RegisterError::NotTaken {
            msr,
            wrote: register.bits(),
            reads,
        });
    }
    Ok(())
}

/// The SynIC was not set as asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SynicError {
    /// It is on already: the caller's fault.
    #[error("the SynIC is on already")]
    AlreadyOn,
    /// It is off: the caller's fault.
    #[error("the SynIC is off")]
    Off,
    /// The vector is reserved: the caller's fault.
    #[error("vector {vector} is reserved; a SINT has one from {FIRST_VECTOR} on")]
    Vector {
        /// The vector.
        vector: u8,
    },
    /// A register was not set.
    #[error(transparent)]
    Register(#[from] RegisterError),
}

impl From<MsrError> for SynicError {
    fn from(error: MsrError) -> Self {
        Self::Register(error.into())
    }
}

/// The pages cannot be given back, as the SynIC is on, or may be: disable it first. The SynIC is inside.
#[derive(Debug, Error)]
#[error("the SynIC is on, or may be")]
pub struct StillOn(pub Synic);
