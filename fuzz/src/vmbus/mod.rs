//! The control plane.

mod devices;
pub mod guest;
pub mod host;
mod kernel;
pub mod pair;

use vmbus_proto::wire::{HEADER_SIZE, Sizes, TABLE};

use crate::input::Bytes;

/// A message by its number and what follows its header; from 128 on, one of those that there are, as long as it has to be.
fn raw(kind: u8, body: &Bytes) -> Vec<u8> {
    let known = kind
        .checked_sub(128)
        .map(|at| &TABLE[usize::from(at) % TABLE.len()]);
    let number = known.map_or(kind.into(), |info| info.message_type.value());
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.resize(HEADER_SIZE, 0);
    bytes.extend(&body.0);
    if let Some(info) = known {
        let len = match info.sizes {
            Sizes::OneOf(sizes) => sizes[body.0.len() % sizes.len()],
            Sizes::Stepped { least, most, step } => {
                let items = bytes.len().clamp(least, most) - least;
                least + items / step * step
            }
        };
        bytes.resize(len, 0);
    }
    bytes
}
