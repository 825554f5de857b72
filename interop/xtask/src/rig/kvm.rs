//! Whether this machine's KVM can run the VMM.

use std::io::{Error, ErrorKind};

use kvm_ioctls::{Cap, Kvm};

/// Says what is missing where it cannot.
pub(crate) fn emulates_synic() -> Result<(), String> {
    let kvm = Kvm::new().map_err(|error| {
        let error = Error::from_raw_os_error(error.errno());
        match error.kind() {
            ErrorKind::NotFound => "this machine has no /dev/kvm".to_owned(),
            ErrorKind::PermissionDenied => {
                "no right to open /dev/kvm (join its group: usermod -aG kvm USER)".into()
            }
            _ => format!("/dev/kvm cannot be opened: {error}"),
        }
    })?;
    if kvm.check_extension(Cap::HypervSynic2) {
        Ok(())
    } else {
        Err("/dev/kvm does not emulate Hyper-V's SynIC (KVM_CAP_HYPERV_SYNIC2)".into())
    }
}
