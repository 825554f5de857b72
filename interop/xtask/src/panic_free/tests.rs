//! What the check finds, on small libraries that a compiler makes here.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::api::{Api, Callable};
use super::graph::Graph;
use super::program::ROOT;
use super::verdict::{Verdict, judge};
use crate::command;

const HEAD: &str = "#![no_std]\n#[panic_handler] fn panic(_: &core::panic::PanicInfo<'_>) -> ! { loop {} }\n";

fn rustc(folder: &Path, source: &str, arguments: &[&str]) -> PathBuf {
    let file = folder.join("hvcall.rs");
    std::fs::write(&file, source).unwrap();
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let out = folder.join("libhvcall.a");
    let built = Command::new(rustc)
        .args([
            "--edition=2024",
            "--crate-type=staticlib",
            "-Cpanic=abort",
            "-Copt-level=3",
        ])
        .args(["-Csymbol-mangling-version=v0", "--crate-name=hvcall", "-o"])
        .arg(&out)
        .args(arguments)
        .arg(&file)
        .output()
        .unwrap();
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    out
}

/// The verdict on a library whose public function is `called`, of a crate that is called as a published one is.
fn verdict(source: &str) -> Verdict {
    let folder = tempfile::tempdir().unwrap();
    let root = format!(
        "#[unsafe(no_mangle)] extern \"C\" fn {ROOT}0() -> usize {{ called as *const () as usize }}\n"
    );
    let library = rustc(folder.path(), &format!("{HEAD}{root}{source}"), &[]);
    let graph = Graph::read(&std::fs::read(library).unwrap()).unwrap();
    let callable = Callable {
        name: "hvcall::called".into(),
        pointer: Ok("hvcall::called".into()),
    };
    judge(&graph, &[callable])
}

/// The one finding of a verdict that does not hold.
fn finding(source: &str) -> String {
    let verdict = verdict(source);
    assert!(!verdict.holds(), "{verdict}");
    let said = verdict.to_string();
    assert_eq!(said.matches("reached by:").count(), 1, "{said}");
    said
}

#[test]
fn an_index_is_found_and_named() {
    let said = finding(
        "#[inline(never)] fn at(list: &[u32], index: usize) -> u32 { list[index] }\n\
         pub fn called(list: &[u32], index: usize) -> u32 { at(list, index).wrapping_add(1) }",
    );
    assert!(said.contains("PANIC: hvcall::at\n"), "{said}");
    assert!(said.contains("hvcall.rs:4:61"), "{said}");
    assert!(said.contains("core::panicking::panic_bounds_check"), "{said}");
    let (public, private) = (said.find("  hvcall::called"), said.find("  hvcall::at"));
    assert!(public.is_some() && public < private, "{said}");
}

#[test]
fn what_has_no_way_to_a_panic_passes() {
    let verdict = verdict(
        "pub fn called(list: &[u32], index: usize) -> Option<u32> { list.get(index).map(|value| value.wrapping_mul(3)) }",
    );
    assert!(verdict.holds(), "{verdict}");
    assert!(
        verdict.to_string().contains("hvcall: 1 functions called"),
        "{verdict}"
    );
}

#[test]
fn a_panic_behind_a_table_of_methods_is_found() {
    let said = finding(
        "pub trait Sum { fn sum(&self, with: u32) -> u32; }\n\
         impl Sum for u32 { fn sum(&self, with: u32) -> u32 { with / self } }\n\
         pub fn called(number: &u32) -> &dyn Sum { number }",
    );
    assert!(said.contains("PANIC: <u32 as hvcall::Sum>::sum\n"), "{said}");
    assert!(said.contains("panic_const_div_by_zero"), "{said}");
}

#[test]
fn an_unwrap_in_code_of_core_is_found_where_it_is_called() {
    let said = finding("pub fn called(text: &str, at: usize) -> &str { text.split_at(at).0 }");
    assert!(said.contains("PANIC: hvcall::called\n"), "{said}");
}

#[test]
fn of_two_panics_both_are_found() {
    let verdict = verdict(
        "#[inline(never)] fn one(list: &[u32], index: usize) -> u32 { list[index] }\n\
         #[inline(never)] fn other(value: Option<u32>) -> u32 { value.unwrap() }\n\
         pub fn called(list: &[u32], value: Option<u32>) -> u32 { one(list, 5).wrapping_add(other(value)) }",
    );
    let said = verdict.to_string();
    assert!(said.contains("PANIC: hvcall::one\n"), "{said}");
    assert!(said.contains("PANIC: hvcall::other\n"), "{said}");
}

#[test]
fn printing_by_core_passes_and_a_panic_in_a_printer_of_ours_does_not() {
    let printer = |body: &str| {
        format!(
            "#[derive(Debug)] pub struct Outer {{ pub inner: Inner, pub number: u32, pub text: &'static str }}\n\
             pub struct Inner(pub [u32; 4], pub usize);\n\
             impl core::fmt::Debug for Inner {{\n\
                 fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {{ {body} }}\n\
             }}\n\
             pub fn called(outer: &Outer, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {{\n\
                 core::fmt::Debug::fmt(outer, f)\n\
             }}"
        )
    };
    let passes = verdict(&printer("write!(f, \"{:>8}{:x?}\", self.1, self.0)"));
    assert!(passes.holds(), "{passes}");
    let said = finding(&printer("write!(f, \"{}\", self.0[self.1])"));
    assert!(
        said.contains("hvcall::Inner as core::fmt::Debug>::fmt\n"),
        "{said}"
    );
}

#[test]
fn an_allocator_is_more_than_a_core_library() {
    let said = finding(
        "unsafe extern \"Rust\" { fn __rust_alloc(size: usize, align: usize) -> *mut u8; }\n\
         pub fn called() -> *mut u8 { unsafe { __rust_alloc(8, 8) } }",
    );
    assert!(said.contains("DEFINED NOWHERE: hvcall::called\n"), "{said}");
    assert!(said.contains("__rust_alloc"), "{said}");
}

#[test]
fn a_function_that_is_not_in_the_library_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let library = rustc(folder.path(), HEAD, &[]);
    let graph = Graph::read(&std::fs::read(library).unwrap()).unwrap();
    let callable = Callable {
        name: "hvcall::gone".into(),
        pointer: Ok("hvcall::gone".into()),
    };
    let verdict = judge(&graph, &[callable]);
    assert!(!verdict.holds());
    assert!(
        verdict.to_string().contains("NOT CALLED: hvcall::gone"),
        "{verdict}"
    );
}

/// What rustdoc tells of a library.
fn callables(source: &str) -> Vec<(String, String)> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hvcall.rs");
    std::fs::write(&file, source).unwrap();
    let rustdoc = std::env::var_os("RUSTDOC").unwrap_or_else(|| "rustdoc".into());
    command::output(
        Command::new(rustdoc)
            .env("RUSTC_BOOTSTRAP", "1")
            .args([
                "--edition=2024",
                "--crate-name=hvcall",
                "-Zunstable-options",
                "--output-format=json",
                "-o",
            ])
            .arg(folder.path())
            .arg(&file),
    )
    .unwrap();
    let crates = [super::program::read(&folder.path().join("hvcall.json")).unwrap()];
    let (callables, _) = Api::new(&crates).callables();
    let told = |callable: Callable| {
        let pointer = callable.pointer.unwrap_or_else(|error| error.to_string());
        (callable.name, pointer)
    };
    callables.into_iter().map(told).collect()
}

#[test]
fn every_public_function_is_taken_with_something_for_its_parameters() {
    let found = callables(
        "mod hidden {\n\
             pub struct Ring<M, const N: usize>(M, [u8; N]);\n\
             impl<M: Clone, const N: usize> Ring<M, N> {\n\
                 pub fn len(&self) -> usize { N }\n\
                 pub unsafe fn each(&self, _call: impl FnMut(&[u8]) -> u32) {}\n\
                 pub fn put<T: Copy>(&mut self, _value: T) {}\n\
                 fn secret(&self) {}\n\
             }\n\
             impl<M, const N: usize> From<Ring<M, N>> for u8 { fn from(_: Ring<M, N>) -> u8 { 0 } }\n\
             impl<M, const N: usize> Drop for Ring<M, N> { fn drop(&mut self) {} }\n\
         }\n\
         pub use hidden::Ring as Circle;\n\
         pub trait Duty { fn required(&self); fn provided(&self) {} }\n\
         pub struct Heartbeat; impl Duty for Heartbeat { fn required(&self) {} }\n\
         pub mod inner { pub const fn free<D: crate::Duty>(_duty: &D) {} fn private() {} }\n",
    );
    let expected = [
        (
            "<hvcall::Circle<opaque::Opaque, { 8 }>>::each",
            "<::hvcall::Circle<::opaque::Opaque, { 8 }>>::each as unsafe fn(_, fn(&[u8]) -> u32) -> _",
        ),
        (
            "<hvcall::Circle<opaque::Opaque, { 8 }>>::len",
            "<::hvcall::Circle<::opaque::Opaque, { 8 }>>::len as fn(_) -> _",
        ),
        (
            "<hvcall::Circle<opaque::Opaque, { 8 }>>::put",
            "<::hvcall::Circle<::opaque::Opaque, { 8 }>>::put::<::opaque::Opaque> as fn(_, _) -> _",
        ),
        (
            "<hvcall::Heartbeat as hvcall::Duty>::provided",
            "<::hvcall::Heartbeat as ::hvcall::Duty>::provided as fn(_) -> _",
        ),
        (
            "<hvcall::Heartbeat as hvcall::Duty>::required",
            "<::hvcall::Heartbeat as ::hvcall::Duty>::required as fn(_) -> _",
        ),
        (
            "<u8 as core::convert::From<hvcall::Circle<opaque::Opaque, { 8 }>>>::from",
            "<u8 as ::core::convert::From<::hvcall::Circle<::opaque::Opaque, { 8 }>>>::from as fn(_) -> _",
        ),
        (
            "core::ptr::drop_in_place::<hvcall::Circle<opaque::Opaque, { 8 }>>",
            "::core::ptr::drop_in_place::<::hvcall::Circle<::opaque::Opaque, { 8 }>> as unsafe fn(_) -> _",
        ),
        (
            "hvcall::inner::free",
            "::hvcall::inner::free::<::hvcall::Heartbeat> as fn(_) -> _",
        ),
    ];
    let found: Vec<_> = found
        .iter()
        .map(|(name, pointer)| (name.as_str(), pointer.as_str()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn a_function_for_which_there_is_no_rule_is_told() {
    let found = callables("pub extern \"win64\" fn odd() {}");
    assert_eq!(found.len(), 1);
    assert!(found[0].1.contains("no rule"), "{found:?}");
}
