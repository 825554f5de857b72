#![no_main]

libfuzzer_sys::fuzz_target!(|input: vmbus_fuzz::vmbus::guest::Input| input.run());
