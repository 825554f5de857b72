//! Tells the linker where the kernel lies in memory.

fn main() {
    println!("cargo::rerun-if-changed=kernel.ld");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        println!("cargo::rustc-link-arg-bins=-T{folder}/kernel.ld");
        // The kernel is loaded where it is linked, so that nobody has to relocate it.
        println!("cargo::rustc-link-arg-bins=--no-pie");
    }
}
