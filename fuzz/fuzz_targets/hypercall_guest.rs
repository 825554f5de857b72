#![cfg_attr(fuzzing, no_main)]

vmbus_fuzz::target!(hypercall::guest);
