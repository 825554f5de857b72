#![no_main]

libfuzzer_sys::fuzz_target!(|input: vmbus_fuzz::decode::Input| input.run());
