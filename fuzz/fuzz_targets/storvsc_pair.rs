#![no_main]

libfuzzer_sys::fuzz_target!(|input: vmbus_fuzz::storvsc::pair::Input| input.run());
