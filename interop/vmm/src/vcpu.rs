//! One virtual processor: its KVM state, and the loop that its thread runs.

use crate::error::{Result, kvm};
use crate::machine::{Ending, Partition};
use crate::sys::{self, HypervExit};
use crate::{cpuid, registers};
use hvcall::host::CallRegisters;
use hvcall::msr::Msr;
use kvm_bindings::{
    KVM_CAP_HYPERV_SYNIC2, KVM_SYSTEM_EVENT_CRASH, KVM_SYSTEM_EVENT_RESET, KVM_SYSTEM_EVENT_SHUTDOWN, Msrs,
    kvm_enable_cap, kvm_msr_entry,
};
use kvm_ioctls::{Kvm, VcpuExit, VcpuFd, VmFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tracing::{debug, trace};

/// A virtual processor that has not begun.
#[derive(Debug)]
pub(crate) struct Vcpu {
    fd: VcpuFd,
    index: u8,
}

impl Vcpu {
    /// Makes the vCPU `index` among `count`, with Hyper-V's synthetic interrupt controller.
    ///
    /// # Errors
    /// A KVM call failed.
    pub(crate) fn new(kvm_fd: &Kvm, vm: &VmFd, index: u8, count: u8) -> Result<Self> {
        let fd = vm.create_vcpu(u64::from(index)).map_err(kvm("make a vCPU"))?;
        let synic = kvm_enable_cap {
            cap: KVM_CAP_HYPERV_SYNIC2,
            ..Default::default()
        };
        fd.enable_cap(&synic)
            .map_err(kvm("enable the synthetic interrupt controller"))?;
        cpuid::apply(kvm_fd, &fd, index, count)?;
        registers::set_msrs(&fd)?;
        Ok(Self { fd, index })
    }

    /// KVM's handle.
    pub(crate) fn fd(&self) -> &VcpuFd {
        &self.fd
    }

    /// Runs the guest until the machine ends. Whoever ends it from elsewhere sets the partition's flag and sends this thread a signal.
    pub(crate) fn run(mut self, partition: &Arc<Partition>) -> Option<Ending> {
        while !partition.ended.load(Ordering::Acquire) {
            if let Some(ending) = self.step(partition) {
                return Some(ending);
            }
        }
        None
    }

    /// Runs the guest until it leaves once, and does what it left for.
    fn step(&mut self, partition: &Partition) -> Option<Ending> {
        match self.fd.run() {
            Ok(VcpuExit::IoIn(port, data)) => partition.ports.read(port, data),
            Ok(VcpuExit::IoOut(port, data)) => return partition.ports.write(port, data),
            Ok(VcpuExit::MmioRead(address, data)) => {
                trace!(address, len = data.len(), "read where nothing is");
                data.fill(0xFF);
            }
            Ok(VcpuExit::MmioWrite(address, _)) => trace!(address, "write where nothing is"),
            Ok(VcpuExit::Hyperv) => self.hyperv(partition),
            Ok(VcpuExit::Shutdown) => return Some(Ending::TripleFault),
            Ok(VcpuExit::SystemEvent(KVM_SYSTEM_EVENT_SHUTDOWN, _)) => return Some(Ending::PowerOff),
            Ok(VcpuExit::SystemEvent(KVM_SYSTEM_EVENT_RESET, _)) => return Some(Ending::Reset),
            Ok(VcpuExit::SystemEvent(KVM_SYSTEM_EVENT_CRASH, _)) => {
                return Some(Ending::Crash(self.crash_parameters()));
            }
            Ok(VcpuExit::Intr) => {}
            Ok(VcpuExit::FailEntry(reason, _)) => {
                return Some(Ending::Failed(format!(
                    "the processor refused to enter the guest ({reason:#x})"
                )));
            }
            Ok(exit) => return Some(Ending::Failed(format!("vCPU {} left with {exit:?}", self.index))),
            Err(error) if matches!(error.errno(), libc::EINTR | libc::EAGAIN) => {}
            Err(error) => return Some(Ending::Failed(format!("vCPU {} cannot run: {error}", self.index))),
        }
        None
    }

    fn hyperv(&mut self, partition: &Partition) {
        match sys::hyperv_exit(&mut self.fd) {
            exit @ HypervExit::Synic { .. } => partition.synic.update(self.index, &exit),
            HypervExit::Hypercall {
                control,
                parameters: [input, output],
            } => {
                let registers = CallRegisters {
                    control,
                    input,
                    output,
                    xmm: None,
                };
                sys::set_hypercall_result(&mut self.fd, partition.hypercall(&registers));
            }
            HypervExit::Other(kind) => debug!(kind, "a Hyper-V exit that this VMM does not know"),
        }
    }

    /// What the guest left for its host before it said that it crashed.
    fn crash_parameters(&self) -> [u64; 5] {
        let entries = [0, 1, 2, 3, 4].map(|parameter| kvm_msr_entry {
            index: Msr::CRASH_P0.0 + parameter,
            ..Default::default()
        });
        let Ok(mut msrs) = Msrs::from_entries(&entries) else {
            return [0; 5];
        };
        let read = self.fd.get_msrs(&mut msrs).unwrap_or(0);
        let mut parameters = [0; 5];
        for (parameter, msr) in parameters.iter_mut().zip(msrs.as_slice()).take(read) {
            *parameter = msr.data;
        }
        parameters
    }
}
