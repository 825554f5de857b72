//! What may happen.

extern crate std;

use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

#[derive(Clone, Debug)]
pub(super) enum Op {
    /// Messages of a host. Ids of GPADLs and opens count from those that the guest gave last.
    Version(u8),
    Offer {
        relid: u32,
        device: u64,
        index: u16,
        signal: u32,
    },
    Rescind(u32),
    AllOffers,
    Created {
        relid: u32,
        back: usize,
        success: bool,
    },
    Torndown(usize),
    Opened {
        relid: u32,
        back: u32,
        success: bool,
    },
    Modified(u32, bool),
    Unloaded,
    Paused,
    PagesModified,
    Raw(u32, Vec<u8>),
    /// An honest host's answer to what it was asked last.
    Answer(bool),
    /// Calls of the embedder.
    Connect,
    Open(usize, u32),
    Close(usize),
    Lend(usize, u32),
    Teardown(usize),
    Modify(usize),
    Release(usize),
    Unload,
    Lost,
    PauseOrResume(bool),
    ModifyPages,
    Events(usize),
    Post(usize, u16),
    Time(u64),
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    let relid = 0u32..9;
    let pick = 0usize..8;
    prop_oneof![
        2 => (0u8..8).prop_map(Op::Version),
        8 => (relid.clone(), 0u64..4, 0u16..3, 0u32..8).prop_map(|(relid, device, index, signal)| Op::Offer {
            relid,
            device,
            index: index.saturating_sub(1),
            signal,
        }),
        4 => relid.clone().prop_map(Op::Rescind),
        1 => Just(Op::AllOffers),
        4 => (relid.clone(), pick.clone(), any::<bool>())
            .prop_map(|(relid, back, success)| Op::Created { relid, back, success }),
        4 => pick.clone().prop_map(Op::Torndown),
        4 => (relid.clone(), 0u32..3, any::<bool>())
            .prop_map(|(relid, back, success)| Op::Opened { relid, back, success }),
        2 => (relid, any::<bool>()).prop_map(|(relid, success)| Op::Modified(relid, success)),
        1 => Just(Op::Unloaded),
        1 => Just(Op::Paused),
        1 => Just(Op::PagesModified),
        2 => (0u32..32, proptest::collection::vec(any::<u8>(), 0..240)).prop_map(|(kind, body)| Op::Raw(kind, body)),
        24 => any::<bool>().prop_map(Op::Answer),
        2 => Just(Op::Connect),
        8 => (pick.clone(), 0u32..60).prop_map(|(channel, pages)| Op::Open(channel, pages)),
        4 => pick.clone().prop_map(Op::Close),
        6 => (pick.clone(), 0u32..60).prop_map(|(channel, pages)| Op::Lend(channel, pages)),
        3 => pick.clone().prop_map(Op::Teardown),
        3 => pick.clone().prop_map(Op::Modify),
        4 => pick.prop_map(Op::Release),
        1 => Just(Op::Unload),
        1 => Just(Op::Lost),
        1 => any::<bool>().prop_map(Op::PauseOrResume),
        1 => Just(Op::ModifyPages),
        12 => (1usize..5).prop_map(Op::Events),
        16 => (1usize..5, 0u16..12).prop_map(|(count, status)| Op::Post(count, status)),
        4 => (0u64..20).prop_map(Op::Time),
    ]
}
