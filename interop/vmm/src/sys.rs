//! The KVM calls that kvm-ioctls leaves to its user. All `unsafe` around KVM is here.

use crate::error::{Error, Result, kvm};
use crate::memory::Ram;
use hvcall::HypercallResult;
use kvm_bindings::{
    CpuId, KVM_EXIT_HYPERV, KVM_EXIT_HYPERV_HCALL, KVM_EXIT_HYPERV_SYNIC, KVM_HYPERV_EVENTFD_DEASSIGN, KVMIO,
    kvm_cpuid2, kvm_hyperv_eventfd, kvm_userspace_memory_region,
};
use kvm_ioctls::{VcpuFd, VmFd};
use std::io;
use std::os::fd::AsRawFd;
use vm_memory::{Address, GuestMemoryBackend, GuestMemoryRegion};
use vmm_sys_util::eventfd::EventFd;
use vmm_sys_util::ioctl::{ioctl_with_mut_ptr, ioctl_with_ref};
use vmm_sys_util::{ioctl_iow_nr, ioctl_iowr_nr};

ioctl_iow_nr!(KVM_HYPERV_EVENTFD, KVMIO, 0xbd, kvm_hyperv_eventfd);
ioctl_iowr_nr!(KVM_GET_SUPPORTED_HV_CPUID, KVMIO, 0xc1, kvm_cpuid2);

/// Gives every range of `ram` to the virtual machine.
///
/// # Errors
/// [`Error::Kvm`] where KVM refuses a range.
pub(crate) fn map_memory(vm: &VmFd, ram: &'static Ram) -> Result<()> {
    for (slot, region) in (0u32..).zip(ram.iter()) {
        let mapping = kvm_userspace_memory_region {
            slot,
            flags: 0,
            guest_phys_addr: region.start_addr().raw_value(),
            memory_size: region.len(),
            userspace_addr: region.as_ptr() as u64,
        };
        // SAFETY: the range is a whole mapping of this process's, its length is the mapping's, and it is never unmapped since
        // `ram` is borrowed for ever. The guest writes it at any time; nothing in this process makes a reference into it.
        unsafe { vm.set_user_memory_region(mapping) }.map_err(kvm("take the guest's memory"))?;
    }
    Ok(())
}

/// The CPUID leaves of Hyper-V's that KVM can stand for on this vCPU.
///
/// # Errors
/// [`Error::Kvm`] where KVM has none.
pub(crate) fn supported_hv_cpuid(vcpu: &VcpuFd) -> Result<CpuId> {
    // KVM knows about 14 leaves; the call fails with E2BIG when there were more than room.
    const ROOM: usize = 64;
    let doing = "list its Hyper-V CPUID leaves";
    let mut leaves = CpuId::new(ROOM).map_err(|error| Error::Kvm {
        doing,
        source: io::Error::other(error),
    })?;
    // SAFETY: the pointer leads to a `kvm_cpuid2` whose `nent` says how many entries follow it, and so many have been
    // allocated; KVM writes no more of them than that, and then sets `nent` to how many it wrote.
    let status =
        unsafe { ioctl_with_mut_ptr(vcpu, KVM_GET_SUPPORTED_HV_CPUID(), leaves.as_mut_fam_struct_ptr()) };
    if status < 0 {
        return Err(kvm(doing)(io::Error::last_os_error()));
    }
    Ok(leaves)
}

/// What KVM does with the guest's signal-event calls for a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SignalRoute<'a> {
    /// Write the eventfd, without leaving the guest's context for long.
    To(&'a EventFd),
    /// Let the call come to user space again.
    Away,
}

/// Routes signal-event calls for `connection_id`.
///
/// # Errors
/// The kernel's error: the identifier is above [`kvm_bindings::KVM_HYPERV_CONN_ID_MASK`], or already or not routed.
pub(crate) fn route_signal(vm: &VmFd, connection_id: u32, route: SignalRoute<'_>) -> io::Result<()> {
    let (fd, flags) = match route {
        SignalRoute::To(eventfd) => (eventfd.as_raw_fd(), 0),
        SignalRoute::Away => (-1, KVM_HYPERV_EVENTFD_DEASSIGN),
    };
    let argument = kvm_hyperv_eventfd {
        conn_id: connection_id,
        fd,
        flags,
        padding: [0; 3],
    };
    // SAFETY: KVM only reads the structure, which has the call's layout, and takes its own reference to the eventfd.
    match unsafe { ioctl_with_ref(vm, KVM_HYPERV_EVENTFD(), &argument) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Why the guest left for its Hyper-V interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HypervExit {
    /// The guest wrote one of the SynIC's registers; all of them as they are now.
    Synic {
        /// SCONTROL.
        control: u64,
        /// SIEFP.
        event_page: u64,
        /// SIMP.
        message_page: u64,
    },
    /// The guest made a hypercall that KVM does not do itself.
    Hypercall {
        /// Control word.
        control: u64,
        /// The registers after it: guest-physical addresses of input and output, or the input itself where the call is fast.
        parameters: [u64; 2],
    },
    /// An exit of another kind, which is not ours.
    Other(u32),
}

/// Reads what a `VcpuExit::Hyperv` was about.
pub(crate) fn hyperv_exit(vcpu: &mut VcpuFd) -> HypervExit {
    let run = vcpu.get_kvm_run();
    if run.exit_reason != KVM_EXIT_HYPERV {
        return HypervExit::Other(run.exit_reason);
    }
    // SAFETY: `exit_reason` says that KVM filled this member; all of it are integers, for which any bits are a value.
    let exit = unsafe { run.__bindgen_anon_1.hyperv };
    match exit.type_ {
        KVM_EXIT_HYPERV_SYNIC => {
            // SAFETY: `type_` says that KVM filled this member; it is made of integers.
            let synic = unsafe { exit.u.synic };
            HypervExit::Synic {
                control: synic.control,
                event_page: synic.evt_page,
                message_page: synic.msg_page,
            }
        }
        KVM_EXIT_HYPERV_HCALL => {
            // SAFETY: `type_` says that KVM filled this member; it is made of integers.
            let call = unsafe { exit.u.hcall };
            HypervExit::Hypercall {
                control: call.input,
                parameters: call.params,
            }
        }
        other => HypervExit::Other(other),
    }
}

/// Sets what the guest finds as the result of the hypercall that [`hyperv_exit`] told of.
pub(crate) fn set_hypercall_result(vcpu: &mut VcpuFd, result: HypercallResult) {
    let run = vcpu.get_kvm_run();
    // Writing a union's member is safe: KVM copies the bytes out and trusts none of them.
    run.__bindgen_anon_1.hyperv.u.hcall.result = result.bits();
}
