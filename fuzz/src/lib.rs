//! What the fuzz targets run: a module for each crate, and in it a module for each target.
//!
//! A target's input is a sequence of steps: what the peer does, what the embedder does, and what becomes of shared memory.
//! Each is an enum of [`steps!`], which reads it from the fuzzer's bytes and writes it as bytes, so that a corpus can be
//! made from what was seen on a real bus. After each step the target checks what has to hold then.

pub mod channel;
pub mod decode;
pub mod dictionary;
pub mod hypercall;
pub mod ic;
pub mod input;
pub mod memory;
pub mod netvsc;
pub mod ring;
pub mod storvsc;
pub mod vmbus;

#[cfg(fuzzing)]
#[doc(hidden)]
pub use libfuzzer_sys;

/// The program of a target, by its module: a fuzzer, or, without `--cfg fuzzing`, one that runs the inputs in the files
/// and folders that it is given.
#[macro_export]
macro_rules! target {
    ($($module:ident)::+) => {
        #[cfg(fuzzing)]
        $crate::libfuzzer_sys::fuzz_target!(|input: $crate::$($module)::+::Input| input.run());

        #[cfg(not(fuzzing))]
        fn main() -> std::io::Result<()> {
            $crate::input::run_files(std::env::args_os().skip(1), $crate::$($module)::+::Input::run).map(drop)
        }
    };
}
