//! The committed corpus, without a fuzzer: it keeps being read, and nothing in it fails any more.

use std::path::Path;

use arbitrary::Arbitrary;
use vmbus_fuzz::input::run_files;

fn replay<T: for<'a> Arbitrary<'a>>(target: &str, run: impl Fn(T)) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let inputs = run_files([folder].iter(), run).expect("the target has a corpus");
    assert!(inputs > 10, "{inputs} inputs of {target}");
}

macro_rules! replays {
    ($($target:ident = $input:path;)*) => {
        $(
            #[test]
            fn $target() {
                replay(stringify!($target), |input: $input| input.run());
            }
        )*
    };
}

replays! {
    decode_all = vmbus_fuzz::decode::Input;
    hypercall_guest = vmbus_fuzz::hypercall::guest::Input;
    hypercall_host = vmbus_fuzz::hypercall::host::Input;
    ic = vmbus_fuzz::ic::Input;
    netvsc_guest = vmbus_fuzz::netvsc::guest::Input;
    netvsc_host = vmbus_fuzz::netvsc::host::Input;
    netvsc_pair = vmbus_fuzz::netvsc::pair::Input;
    ring_hostile = vmbus_fuzz::ring::hostile::Input;
    ring_pair = vmbus_fuzz::ring::pair::Input;
    storvsc_guest = vmbus_fuzz::storvsc::guest::Input;
    storvsc_host = vmbus_fuzz::storvsc::host::Input;
    storvsc_pair = vmbus_fuzz::storvsc::pair::Input;
    vmbus_guest = vmbus_fuzz::vmbus::guest::Input;
    vmbus_host = vmbus_fuzz::vmbus::host::Input;
    vmbus_pair = vmbus_fuzz::vmbus::pair::Input;
}
