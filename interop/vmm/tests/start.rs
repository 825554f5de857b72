//! A machine that cannot start says why in one line, names the thing, and ends with status 2.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed"
)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use vmm_sys_util::tempdir::TempDir;

fn vmm(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vmm"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Runs the VMM and returns the one line that it says.
fn refusal(arguments: &[&str]) -> String {
    let output = vmm(arguments);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

/// A file that begins as a bzImage does and can be loaded; what it does is nobody's business here.
fn bzimage() -> Vec<u8> {
    let mut image = vec![0; 4096];
    image[0x1F1] = 1; // setup sectors
    image[0x202..0x206].copy_from_slice(b"HdrS");
    image[0x206..0x208].copy_from_slice(&0x020F_u16.to_le_bytes());
    image[0x211] = 1; // loaded high
    image[0x214..0x218].copy_from_slice(&0x10_0000_u32.to_le_bytes());
    image[0x236..0x238].copy_from_slice(&1_u16.to_le_bytes()); // 64-bit entry
    image[0x238..0x23C].copy_from_slice(&2047_u32.to_le_bytes()); // longest command line
    image[0x258..0x260].copy_from_slice(&0x100_0000_u64.to_le_bytes()); // where it wants to lie
    image[0x260..0x264].copy_from_slice(&0x10_0000_u32.to_le_bytes()); // and how long it is there
    image
}

fn write(dir: &TempDir, name: &str, bytes: &[u8]) -> String {
    let path = dir.as_path().join(name);
    fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_kernel_that_is_none_is_named() {
    let dir = TempDir::new().unwrap();
    for (name, bytes) in [("empty", &b""[..]), ("text", &[b'x'; 10_000][..])] {
        let path = write(&dir, name, bytes);
        let text = refusal(&["--kernel", &path]);
        assert!(text.contains(&path) && text.contains("bzImage"), "{text}");
    }
    let mut old = bzimage();
    old[0x236] = 0;
    let path = write(&dir, "old", &old);
    assert!(refusal(&["--kernel", &path]).contains("64-bit entry point"));
    assert!(refusal(&["--kernel", "/nowhere/vmlinuz"]).contains("/nowhere/vmlinuz"));
}

#[test]
fn what_does_not_fit_into_memory_is_named() {
    let dir = TempDir::new().unwrap();
    let mut large = bzimage();
    large[0x260..0x264].copy_from_slice(&0x1000_0000_u32.to_le_bytes());
    let kernel = write(&dir, "large", &large);
    let text = refusal(&["--kernel", &kernel, "--memory", "64"]);
    assert!(text.contains(&kernel) && text.contains("--memory"), "{text}");

    let kernel = write(&dir, "kernel", &bzimage());
    let initrd = dir.as_path().join("initrd");
    fs::File::create(&initrd).unwrap().set_len(64 << 20).unwrap();
    let initrd = initrd.to_str().unwrap();
    let text = refusal(&["--kernel", &kernel, "--initrd", initrd, "--memory", "64"]);
    assert!(text.contains(initrd) && text.contains("--memory"), "{text}");
}

#[test]
fn a_command_line_that_the_kernel_does_not_take_is_told() {
    let dir = TempDir::new().unwrap();
    let kernel = write(&dir, "kernel", &bzimage());
    let text = refusal(&["--kernel", &kernel, "--cmdline", &"x".repeat(2048)]);
    assert!(text.contains("--cmdline") && text.contains("2047"), "{text}");
}

#[test]
fn an_image_that_is_no_disk_is_named() {
    let dir = TempDir::new().unwrap();
    let kernel = write(&dir, "kernel", &bzimage());
    let odd = write(&dir, "odd.img", &[0; 1000]);
    let text = refusal(&["--kernel", &kernel, "--disk", &odd]);
    assert!(
        text.contains(&odd) && text.contains("512") && text.contains("truncate"),
        "{text}"
    );
    let text = refusal(&["--kernel", &kernel, "--disk", "/nowhere.img"]);
    assert!(text.contains("/nowhere.img"), "{text}");
    let disk = write(&dir, "disk.img", &[0; 1024]);
    let text = refusal(&["--kernel", &kernel, "--disk", &disk, "--disk", &disk]);
    assert!(text.contains(&disk) && text.contains("in use"), "{text}");
}

/// What the host lacks comes last, so that everything else has been found right by then.
#[test]
fn a_host_that_cannot_says_how_it_could() {
    let dir = TempDir::new().unwrap();
    let kernel = write(&dir, "kernel", &bzimage());
    if Path::new("/dev/kvm").exists() && vmm(&["--kernel", &kernel]).status.code() != Some(2) {
        // This host can.
        return;
    }
    let text = refusal(&["--kernel", &kernel]);
    assert!(text.contains("/dev/kvm"), "{text}");
    assert!(
        text.contains("cargo xtask linux") || text.contains("usermod"),
        "{text}"
    );
}

#[test]
fn the_command_line_is_explained() {
    let output = vmm(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    for word in [
        "--kernel",
        "--disk",
        "--net",
        "--trace",
        "Exit status",
        "Examples",
    ] {
        assert!(text.contains(word), "{word}");
    }
    assert_eq!(vmm(&["--cpus", "9", "--kernel", "x"]).status.code(), Some(2));
}
