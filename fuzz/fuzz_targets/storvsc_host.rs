#![cfg_attr(fuzzing, no_main)]

vmbus_fuzz::target!(storvsc::host);
