//! A host that breaks the protocol once the NIC is up, and rings that are full.

mod answers;
mod completions;
mod messages;
mod ranges;
mod rings;
mod told;

use crate::support::{MAC, frame, packet};

/// A frame whose bytes tell `tag`, as a packet message.
fn plain(tag: u8) -> Vec<u8> {
    packet(&[], &frame(MAC, tag, 60))
}
