//! Writes the dictionaries anew, from the crates' tables.
//!
//!     cargo run --manifest-path fuzz/Cargo.toml --example dictionaries

use std::path::Path;

fn main() -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("dictionaries");
    for (target, text) in vmbus_fuzz::dictionary::dictionaries() {
        std::fs::write(folder.join(format!("{target}.dict")), text)?;
    }
    Ok(())
}
