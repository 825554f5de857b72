//! What the embedder owes an answer for.

use thiserror::Error;

use crate::wire::RelId;

macro_rules! tickets {
    ($( $(#[$meta:meta])* $name:ident; )+) => {
        $(
            $(#[$meta])*
            #[must_use = "the guest waits until the ticket is answered"]
            #[derive(Debug, PartialEq, Eq)]
            pub struct $name {
                pub(super) relid: RelId,
                pub(super) serial: u32,
            }
        )+
    };
}

tickets! {
    /// A channel that the guest wants to open. To be answered with [`Host::complete_open`](super::Host::complete_open).
    OpenTicket;
    /// A channel that the device has to stop working on. To be answered with
    /// [`Host::complete_close`](super::Host::complete_close).
    CloseTicket;
    /// A channel whose interrupts go to another VP from now on. To be answered with
    /// [`Host::complete_modify`](super::Host::complete_modify).
    ModifyTicket;
}

/// A GPADL that a device uses. To be given back with [`Host::release_gpadl`](super::Host::release_gpadl) once nothing accesses the memory
/// any more; until then the guest is not told that it is torn down.
#[must_use = "the guest gets the memory back when the ticket is released"]
#[derive(Debug, PartialEq, Eq)]
pub struct GpadlTicket {
    pub(super) serial: u32,
}

/// Caller: the ticket is not of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the ticket is not of this host")]
pub struct ForeignTicket;
