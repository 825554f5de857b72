#![no_main]

libfuzzer_sys::fuzz_target!(|input: vmbus_fuzz::vmbus::host::Input| input.run());
