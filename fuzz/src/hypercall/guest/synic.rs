//! The guest's SynIC, with its messages and flags.

use hvcall::guest::{EventPage, MessagePage, SharedPage, SintSetup, Synic, SynicError};
use hvcall::synic::SintRegister;
use hvcall::{Msr, Sint};

use super::{Guest, Setup, told};
use crate::hypercall::pages::Page;

/// A SynIC that is off.
pub(super) fn synic(messages: SharedPage, events: SharedPage) -> Synic {
    Synic::new(MessagePage::new(messages), EventPage::new(events))
}

impl Guest<'_> {
    pub(super) fn switch_synic(&mut self, on: bool) {
        let synic = self.synic.as_mut().expect("is there");
        let (calm, was) = (self.host.is_calm(), synic.before());
        let result = if on {
            synic.enable(self.msrs).map(drop)
        } else {
            synic.disable(self.msrs)
        };
        assert!(self.host.turns.get() <= 18 + 16 * 3, "each register a few times");
        match result {
            Ok(()) => {
                assert_eq!(synic.before().is_some(), on);
                assert_eq!(self.host.names(Msr::SIMP, Page::Messages), on, "SIMP after {on}");
                assert_eq!(self.host.names(Msr::SIEFP, Page::Events), on, "SIEFP after {on}");
                assert!(on || Sint::all().all(|sint| self.is_masked(sint)));
            }
            Err(error) => {
                told(&error);
                assert_eq!(synic.before(), was, "it is as it was");
                let caller = match error {
                    SynicError::AlreadyOn => was.is_some() && on,
                    SynicError::Off => was.is_none() && !on,
                    _ => false,
                };
                assert!(!calm || caller, "{error}");
            }
        }
    }

    /// Whether the guest has left no interrupt of this on.
    pub(super) fn is_masked(&self, sint: Sint) -> bool {
        let taken = self.host.taken.borrow();
        let register = taken.get(&Msr::sint(sint)).copied().map(SintRegister::from_bits);
        register.is_none_or(SintRegister::is_masked)
    }

    pub(super) fn synic_back(&mut self) {
        let before = self.synic.take().expect("is there");
        let was_on = before.before().is_some();
        self.synic = Some(match before.into_pages() {
            Ok((messages, events)) => {
                assert!(!was_on);
                assert!(!self.host.names(Msr::SIMP, Page::Messages), "SIMP still names it");
                assert!(!self.host.names(Msr::SIEFP, Page::Events), "SIEFP still names it");
                synic(messages.into_page(), events.into_page())
            }
            Err(still_on) => {
                told(&still_on);
                still_on.0
            }
        });
    }

    pub(super) fn sint(&mut self, sint: Sint, setup: &Setup) {
        let setup = match (setup, &self.detected) {
            (Setup::Interrupt(vector), _) => Some(SintSetup::interrupt(*vector)),
            (Setup::AutoEoi(vector, on), _) => {
                let setup = SintSetup::interrupt(*vector).with_auto_eoi(*on);
                assert_eq!(setup.is_auto_eoi(), *on);
                Some(setup)
            }
            (Setup::Recommended(vector), Some(hypervisor)) => {
                Some(SintSetup::recommended(hypervisor, *vector))
            }
            (Setup::Polled, Some(hypervisor)) => SintSetup::polled(hypervisor),
            (_, None) => None,
        };
        let Some(setup) = setup else { return };
        let calm = self.host.is_calm();
        let synic = self.synic.as_mut().expect("is there");
        match synic.enable_sint(self.msrs, sint, setup) {
            Ok(_) => {
                assert!(synic.before().is_some() && !self.is_masked(sint));
                let there = SintRegister::from_bits(self.host.register(Msr::sint(sint)));
                assert!(!calm || there.is_auto_eoi() == setup.is_auto_eoi());
            }
            Err(error) => {
                told(&error);
                let caller = matches!(error, SynicError::Off | SynicError::Vector { .. });
                assert!(!calm || caller, "{error}");
            }
        }
    }

    pub(super) fn take(&mut self, sint: Sint) {
        let at = usize::from(sint.number()) << 8;
        let slot = self.host.pages.bytes(Page::Messages, at, 256);
        let messages = self.synic.as_mut().expect("is there").messages();
        let has_message = messages.has_message(sint);
        assert_eq!(has_message, slot[..4] != [0; 4]);
        let Some(received) = messages.take(sint) else {
            assert!(!has_message, "it is not taken");
            return;
        };
        assert!(has_message && !messages.has_message(sint), "the slot is free");
        let (len, flags) = (usize::from(slot[4]), slot[5]);
        match received.message {
            Ok(message) => {
                let payload = message.payload().expect("no more than there is");
                assert_eq!(payload, &slot[16..16 + len]);
                assert_eq!(message.message_type().0.to_le_bytes(), slot[..4]);
                assert_eq!(message.header.sender.get().to_le_bytes(), slot[8..16]);
                assert!(message.payload[len..].iter().all(|byte| *byte == 0));
                let _ = format!("{message:?}");
                self.taken += 1;
            }
            Err(fault) => {
                told(&fault);
                assert!(len > 240);
            }
        }
        assert_eq!(received.eom.is_some(), flags & 1 != 0);
        if let Some(eom) = received.eom {
            let _ = eom.write(self.msrs).map_err(|error| told(&error));
        }
    }

    /// The flags of a SINT that are set in its page.
    pub(super) fn flags(&self, sint: Sint) -> Vec<u16> {
        let slot = self
            .host
            .pages
            .bytes(Page::Events, usize::from(sint.number()) << 8, 256);
        let is_set = |flag: &u16| slot[usize::from(flag >> 3)] >> (flag & 7) & 1 != 0;
        (0..2048).filter(is_set).collect()
    }

    pub(super) fn take_flags(&mut self, sint: Sint) {
        let expected = self.flags(sint);
        let taken = self.synic.as_ref().expect("is there").events().take(sint);
        assert!(self.flags(sint).is_empty(), "each is taken");
        assert_eq!(
            (taken.len(), taken.is_empty()),
            (expected.len(), expected.is_empty())
        );
        assert!(taken.eq(expected), "in ascending order");
    }

    pub(super) fn take_flag(&mut self, sint: Sint, flag: u16) {
        let mut expected = self.flags(sint);
        let taken = self
            .synic
            .as_ref()
            .expect("is there")
            .events()
            .take_flag(sint, flag);
        assert_eq!(taken, expected.contains(&flag));
        expected.retain(|other| *other != flag);
        assert_eq!(self.flags(sint), expected, "the others stay");
    }
}
