#![no_main]

libfuzzer_sys::fuzz_target!(|input: vmbus_fuzz::hypercall::host::Input| input.run());
