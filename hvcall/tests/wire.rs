//! Every structure of the wire: any bytes of its size are one and come back, and no others are taken.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a test that overflows or slices wrongly fails"
)]

use hvcall::synic::{Message, MessageHeader};
use hvcall::vpset::VpSetHeader;
use hvcall::wire::intercept::*;
use hvcall::wire::*;
use hvcall::{RegisterName, RegisterNameArm64, RegisterNameX64};
use proptest::prelude::*;

/// What holds for a structure and these bytes, of which there are more than it has.
fn holds<T: Fixed + std::fmt::Debug + PartialEq>(bytes: &[u8]) -> Result<(), TestCaseError> {
    let size = size_of::<T>();
    let (exact, rest) = bytes.split_at(size);
    let one = T::decode(exact).map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert_eq!(one.as_bytes(), exact);
    prop_assert_eq!(T::decode_prefix(bytes), Ok((one, rest)));
    for wrong in [&bytes[..size - 1], &bytes[..size + 1], &[]] {
        let error = SizeError {
            name: T::NAME,
            needed: size,
            len: wrong.len(),
        };
        prop_assert_eq!(T::decode(wrong), Err(error));
    }
    prop_assert!(T::decode_prefix(&bytes[..size - 1]).is_err());
    // For a trace: its name, and nothing that panics.
    let shown = format!("{one:?}");
    prop_assert!(shown.starts_with(T::NAME), "{}", shown);
    Ok(())
}

macro_rules! structures {
    ($($name:ident: $($structure:ty),+ $(,)?;)+) => { proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        $(
            #[test]
            fn $name(bytes in proptest::collection::vec(any::<u8>(), 4200)) {
                $( holds::<$structure>(&bytes)?; )+
            }
        )+
    } };
}

structures! {
    interrupts_survive: SendIpiInput, SendIpiExInput, MsiEntry, IoApicRte, InterruptEntry, InterruptTarget,
        RetargetInterruptInput, InterruptDescriptor, MapDeviceInterruptInput, MapDeviceInterruptOutput,
        UnmapDeviceInterruptInput, AssertVirtualInterruptInput, VpSetHeader;
    memory_survives: FlushInput, FlushExInput, FlushGpaInput, DepositMemoryInput, WithdrawMemoryInput,
        ProximityDomainInfo, ModifyHostVisibilityInput, QueryHostVisibilityInput, ModifyHostAccessInput,
        AcceptGpaPagesInput, ModifyVtlProtectionInput, CheckVtlAccessInput, VtlAccess, PinGpaPageRangesInput,
        MapGpaPagesInput, UnmapGpaPagesInput, AccessStatesInput, MemoryHintInput, MmioReadInput, MmioReadOutput,
        MmioWriteInput;
    messages_and_events_survive: PostMessageInput, SignalEventInput, PostMessageDirectInput, SignalEventDirectInput, SignalEventDirectOutput;
    processors_survive: SegmentRegister, TableRegister, InitialVpContextX64, InitialVpContextArm64, StartVpInput,
        EnablePartitionVtlInput, VpIndexFromApicIdInput, VpRegistersInput, RegisterValue, RegisterAssoc,
        TranslateAddressInput, TranslateAddressOutput, TranslateAddressExOutput, CreateVpInput, DeleteVpInput,
        AddLogicalProcessorInput, AddLogicalProcessorOutput;
    ports_and_partitions_survive: PortInfo, CreatePortInput, DeletePortInput, ConnectionInfo, ConnectPortInput,
        DisconnectPortInput, NotifyPortRingEmptyInput, PartitionId, CreatePartitionInput, PartitionPropertyInput,
        SetPartitionPropertyInput, SystemPropertyInput;
    debugging_survives: PostDebugDataInput, PostDebugDataOutput, RetrieveDebugDataInput, RetrieveDebugDataOutput,
        ResetDebugSessionInput, ResetDebugSessionOutput;
    shared_pages_survive: VtlControl, NestedEnlightenments, AssistPage, PartitionAssistPage, GhcbCall;
    payloads_survive: InstallInterceptInput, InterceptHeaderX64, InterceptHeaderArm64, MemoryInterceptX64,
        MemoryInterceptArm64, IoPortInterceptX64, MsrInterceptX64, CpuidInterceptX64, ExceptionInterceptX64,
        HypercallInterceptX64, HypercallInterceptArm64, SipiInterceptX64, SintDeliverableX64, SintDeliverableArm64,
        InterruptionDeliverableX64, ResetInterceptArm64, ApicEoiX64, InvalidVpRegister, AsyncCompletion,
        SchedulerVpSignalPair, SchedulerVpSignalBitset;
}

#[test]
fn every_payload_fits_a_message() {
    let most = size_of::<Message>() - size_of::<MessageHeader>();
    for size in [
        size_of::<ExceptionInterceptX64>(),
        size_of::<HypercallInterceptX64>(),
        size_of::<HypercallInterceptArm64>(),
        size_of::<SchedulerVpSignalPair>(),
        size_of::<SchedulerVpSignalBitset>(),
    ] {
        assert!(size <= most, "{size}");
    }
}

#[test]
fn registers_without_a_name_stay_numbers() {
    assert_eq!(RegisterName(0xa0013).to_string(), "HV_REGISTER_SIMP");
    assert_eq!(RegisterNameX64(0x40003).to_string(), "HV_X64_REGISTER_CR4");
    assert_eq!(RegisterNameArm64(0x20022).to_string(), "HV_ARM64_REGISTER_PC");
    assert_eq!(RegisterNameX64(0x0123_4567).to_string(), "0x1234567");
}

/// No number has two names, not even between what both architectures have and what one has.
#[test]
fn registers_have_one_name_each() {
    let both = RegisterName::NAMED.iter().map(|register| register.0);
    for own in [
        RegisterNameX64::NAMED
            .iter()
            .map(|register| register.0)
            .collect::<Vec<_>>(),
        RegisterNameArm64::NAMED
            .iter()
            .map(|register| register.0)
            .collect(),
    ] {
        let mut all: Vec<_> = both.clone().chain(own).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
