//! What a host can make the guest hold.

use super::*;

#[test]
fn the_engine_is_of_a_fixed_size() {
    // As the crate's documentation says, on a 64-bit machine.
    let size = size_of::<Guest<Contiguous>>();
    assert!(size <= 37 * 1024, "{size}");
}
