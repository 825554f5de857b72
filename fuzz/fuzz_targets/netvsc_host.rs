#![no_main]

libfuzzer_sys::fuzz_target!(|input: vmbus_fuzz::netvsc::host::Input| input.run());
