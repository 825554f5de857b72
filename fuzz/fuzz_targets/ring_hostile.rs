#![no_main]

libfuzzer_sys::fuzz_target!(|input: vmbus_fuzz::ring::hostile::Input| input.run());
