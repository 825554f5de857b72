//! Parameters of calls, as they stand in guest memory, and the pages that hypervisor and guest share.
//!
//! | module | holds |
//! |---|---|
//! | the root | messages and events, processors, interrupts, memory, ports, partitions: inputs and outputs |
//! | [`intercept`] | intercepts and the payloads of their messages |
//! | [`debug`] | the synthetic debugger's calls |
//!
//! A list that follows a structure (page numbers, ranges, banks of a set, register names) is not part of it; the doc of each
//! tells what follows. Which part of the parameters counts into the variable header of the control word is told at
//! [`VpSet`](crate::vpset::VpSet).
//!
//! ```
//! use hvcall::wire::{Fixed, SignalEventDirectInput, SizeError};
//!
//! let error = SignalEventDirectInput::decode(&[0; 15]).unwrap_err();
//! assert_eq!(error, SizeError { name: "SignalEventDirectInput", needed: 16, len: 15 });
//! assert_eq!(error.to_string(), "SignalEventDirectInput of 15 bytes; it has 16");
//! ```

mod assist;
pub mod debug;
mod flush;
pub mod intercept;
mod interrupt;
mod memory;
mod message;
mod notice;
mod partition;
mod port;
mod processor;

use thiserror::Error;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

pub use assist::{
    APIC_ASSIST_NO_EOI, AssistPage, GhcbCall, NestedEnlightenments, PartitionAssistPage, VtlControl,
    VtlEntryReason,
};
pub use debug::{
    DEBUG_DATA_MAX, PostDebugDataInput, PostDebugDataOutput, ResetDebugSessionInput, ResetDebugSessionOutput,
    RetrieveDebugDataInput, RetrieveDebugDataOutput,
};
pub use flush::{
    FLUSH_GPA_RANGES_MAX, FlushExInput, FlushFlags, FlushGpaInput, FlushInput, GpaPageRange, GvaRange,
};
pub use interrupt::{
    AssertVirtualInterruptInput, DeviceId, DeviceType, InterruptControl, InterruptDescriptor, InterruptEntry,
    InterruptSource, InterruptTarget, InterruptTargetFlags, InterruptType, IoApicRte,
    MapDeviceInterruptInput, MapDeviceInterruptOutput, MsiEntry, RetargetInterruptInput, SendIpiExInput,
    SendIpiInput, TriggerMode, UnmapDeviceInterruptInput,
};
pub use memory::{
    AcceptGpaPagesInput, AccessStateFlags, AccessStatesInput, CheckVtlAccessInput, DepositMemoryInput,
    HOST_VISIBILITY_PAGES_MAX, HeatHint, HostVisibility, MMIO_DATA_MAX, MapGpaFlags, MapGpaPagesInput,
    MemoryHintInput, MmioReadInput, MmioReadOutput, MmioWriteInput, ModifyHostAccessInput,
    ModifyHostVisibilityInput, ModifyVtlProtectionInput, PinGpaPageRangesInput, ProximityDomainFlags,
    ProximityDomainInfo, QueryHostVisibilityInput, UnmapGpaPagesInput, VtlAccess, WithdrawMemoryInput,
};
pub use message::{
    PostMessageDirectInput, PostMessageInput, SignalEventDirectInput, SignalEventDirectOutput,
    SignalEventInput,
};
pub use notice::{AsyncCompletion, SchedulerVpSignalBitset, SchedulerVpSignalPair};
pub use partition::{
    CreatePartitionInput, PARTITION_SELF, PartitionId, PartitionPropertyInput, SetPartitionPropertyInput,
    SystemPropertyInput,
};
pub use port::{
    ConnectPortInput, ConnectionInfo, CreatePortInput, DeletePortInput, DisconnectPortInput,
    NotifyPortRingEmptyInput, PortInfo, PortType,
};
pub use processor::{
    AddLogicalProcessorInput, AddLogicalProcessorOutput, CreateVpInput, DeleteVpInput,
    EnablePartitionVtlInput, InitialVpContextArm64, InitialVpContextX64, InputVtl, RegisterAssoc,
    RegisterValue, SegmentRegister, StartVpInput, SubnodeType, TableRegister, TranslateAddressExOutput,
    TranslateAddressInput, TranslateAddressOutput, TranslateFlags, TranslateResult, VpIndexFromApicIdInput,
    VpRegistersInput,
};

/// Bytes of the pages that the hypervisor deals in, whatever the guest's own page size is.
pub const PAGE_SIZE: usize = 4096;

/// Bytes that are not as many as a structure has: the peer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{name} of {len} bytes; it has {needed}")]
pub struct SizeError {
    /// The structure.
    pub name: &'static str,
    /// Bytes that it has.
    pub needed: usize,
    /// Bytes that there were.
    pub len: usize,
}

/// A structure of fixed size. Any bytes of that size are one: reserved fields and unknown codes stay as they are.
///
/// [`IntoBytes::as_bytes`] gives the bytes back.
pub trait Fixed: FromBytes + IntoBytes + Immutable + KnownLayout + Unaligned + Copy {
    /// What errors call it.
    const NAME: &'static str;

    /// The structure from exactly its bytes.
    ///
    /// # Errors
    /// When there are fewer or more.
    fn decode(bytes: &[u8]) -> Result<Self, SizeError> {
        Self::read_from_bytes(bytes).map_err(|_| Self::size_error(bytes))
    }

    /// The structure from the begin of `bytes`, and what follows it: a list, or the rest of a page.
    ///
    /// # Errors
    /// When there are fewer bytes than it has.
    fn decode_prefix(bytes: &[u8]) -> Result<(Self, &[u8]), SizeError> {
        Self::read_from_prefix(bytes).map_err(|_| Self::size_error(bytes))
    }

    #[doc(hidden)]
    fn size_error(bytes: &[u8]) -> SizeError {
        SizeError {
            name: Self::NAME,
            needed: size_of::<Self>(),
            len: bytes.len(),
        }
    }
}

/// Gives the trait to structures that are declared without the macro.
macro_rules! fixed {
    ($($name:ident),+ $(,)?) => { $(
        impl Fixed for $name {
            const NAME: &'static str = stringify!($name);
        }
    )+ };
}
fixed!(
    PostMessageInput,
    SignalEventInput,
    PostDebugDataInput,
    PostDebugDataOutput,
    RetrieveDebugDataInput,
    RetrieveDebugDataOutput,
    ResetDebugSessionInput,
    ResetDebugSessionOutput,
);

bitflags::bitflags! {
    /// Output of [`EXT_QUERY_CAPABILITIES`](crate::CallCode::EXT_QUERY_CAPABILITIES), 8 bytes: which other extended
    /// calls there are.
    ///
    /// Source: TLFS "HvExtCallQueryCapabilities".
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct ExtendedCapabilities: u64 {
        /// [`EXT_GET_BOOT_ZEROED_MEMORY`](crate::CallCode::EXT_GET_BOOT_ZEROED_MEMORY).
        const GET_BOOT_ZEROED_MEMORY = 1 << 0;
        /// [`EXT_MEMORY_HEAT_HINT`](crate::CallCode::EXT_MEMORY_HEAT_HINT).
        const MEMORY_HEAT_HINT = 1 << 1;
        /// [`EXT_EPF_SETUP`](crate::CallCode::EXT_EPF_SETUP).
        const EPF_SETUP = 1 << 2;
        /// Set up the scheduler's assistance.
        const SCHEDULER_ASSIST_SETUP = 1 << 3;
        /// [`EXT_MEMORY_HEAT_HINT_ASYNC`](crate::CallCode::EXT_MEMORY_HEAT_HINT_ASYNC).
        const MEMORY_HEAT_HINT_ASYNC = 1 << 4;
        /// Memory told as cold is given back to the host. Source: Linux `HV_EXT_CAPABILITY_MEMORY_COLD_DISCARD_HINT`.
        const MEMORY_COLD_DISCARD_HINT = 1 << 8;
        const _ = !0;
    }
}
