//! Registers, leaves, numbers and structures of the hypervisor's interface: what is set in them is what is told, and
//! nothing is lost on the way from bytes and back.

use std::fmt::Debug;

use hvcall::cpuid::{
    CpuidRegisters, FeatureLeaf, HypervisorVersion, IsolationLeaf, LimitsLeaf, RecommendationLeaf, SvmLeaf,
    VendorLeaf,
};
use hvcall::crash::{CrashControl, CrashReport};
use hvcall::msr::{HypercallPage, ReenlightenmentControl, VpAssistPage};
use hvcall::synic::{Message, MessageType, Siefp, Simp, SintRegister, Sirbp};
use hvcall::time::{ReferenceTsc, StimerConfig, TscConversion};
use hvcall::vpset::VpSetHeader;
use hvcall::wire::intercept::*;
use hvcall::wire::*;
use hvcall::{
    CallCode, GuestOs, GuestOsId, HvStatus, HypercallControl, HypercallResult, Msr, RegisterName,
    RegisterNameArm64, RegisterNameX64, Sint,
};
use zerocopy::FromBytes as _;

fn show(value: &impl Debug) {
    let _ = format!("{value:?}");
}

/// A register or word of 8 bytes.
pub fn word(word: u64) {
    control(word);
    identity(word);
    pages(word);
    sint(word);
    timer(word);
    numbers(word);
    addresses(word);
}

fn control(word: u64) {
    let control = HypercallControl::from_bits(word);
    assert_eq!(control.bits(), word);
    show(&(control, control.code()));
    let simple = control.check_simple().is_ok();
    assert_eq!(simple, word & !0x1_ffff == 0);
    assert!(!(simple && control.check_rep().is_ok()));
    let result = HypercallResult::from_bits(word);
    show(&result);
    let again = HypercallResult::with_reps(result.status(), result.reps_done()).expect("12 bits");
    assert_eq!(
        (again.status(), again.reps_done()),
        (result.status(), result.reps_done())
    );
}

fn identity(word: u64) {
    let id = GuestOsId::from_bits(word);
    show(&id);
    let again = match id.decode() {
        GuestOs::Unset => GuestOsId::default(),
        GuestOs::OpenSource {
            os_type,
            os_id,
            version,
            build,
        } => GuestOsId::open_source(os_type, os_id, version, build),
        GuestOs::Proprietary {
            vendor,
            os_id,
            major,
            minor,
            service,
            build,
        } => GuestOsId::proprietary(vendor, os_id, [major, minor, service], build),
    };
    assert_eq!(again.bits(), word);
}

fn pages(word: u64) {
    macro_rules! pages {
        ($($register:ident)+) => { $(
            let register = $register::from_bits(word);
            show(&register);
            assert_eq!(register.bits(), word);
            assert_eq!(register.page(), register.is_enabled().then_some(register.base()));
            let on = register.with_page(register.base()).expect("a page's address");
            assert_eq!(on.bits(), word | 1);
            assert_eq!(on.without_page().bits(), word & 0xffe);
        )+ };
    }
    pages!(HypercallPage VpAssistPage Simp Siefp Sirbp ReferenceTsc);
    let crash = CrashControl::from_bits_retain(word);
    assert_eq!(u64::from(crash.pre_os_id()), word >> 58 & 7);
    let report = CrashReport {
        control: crash,
        parameters: [word; 5],
    };
    assert_eq!(report.message().is_some(), word >> 62 & 1 != 0);
    let control = ReenlightenmentControl::from_bits(word);
    assert_eq!(ReenlightenmentControl::from_bits(control.bits()), control);
}

fn sint(word: u64) {
    let register = SintRegister::from_bits(word);
    show(&(register, register.is_intercept(), register.is_proxy()));
    let vector = register.vector();
    match register.with_vector(vector) {
        Some(unmasked) => {
            assert!(vector >= SintRegister::FIRST_VECTOR && !unmasked.is_masked());
            let again = if register.is_masked() {
                unmasked.with_masked()
            } else {
                unmasked
            };
            assert_eq!(again, register);
        }
        None => assert!(vector < SintRegister::FIRST_VECTOR),
    }
    let again = register
        .with_auto_eoi(register.is_auto_eoi())
        .with_polling(register.is_polling());
    assert_eq!(again, register);
}

fn timer(word: u64) {
    let config = StimerConfig::from_bits(word);
    show(&config);
    let fields =
        config.flags().bits() | u64::from(config.vector()) << 4 | u64::from(config.sint().number()) << 16;
    assert_eq!(fields == word, !config.has_reserved_bits());
    let direct = StimerConfig::direct(config.vector(), config.flags());
    assert_eq!(
        (direct.vector(), direct.has_reserved_bits()),
        (config.vector(), false)
    );
    if let Some(message) = StimerConfig::message(config.sint(), config.flags()) {
        assert_eq!(message.sint(), config.sint());
    }
    if let Some(conversion) = TscConversion::for_frequency(word >> 24) {
        // A tick more or less for each factor that is rounded.
        let second = conversion.reference_time(word >> 24);
        assert!((9_999_999..=10_000_000).contains(&second), "{second}");
    }
    let number = word as u8;
    let timers = (Msr::stimer_config(number), Msr::stimer_count(number));
    assert_eq!(timers.0.is_some() && timers.1.is_some(), number < 4);
    match Sint::try_from(number) {
        Ok(sint) => assert_eq!((u8::from(sint), Msr::sint(sint).0 & 0xf), (number, number.into())),
        Err(error) => assert!(number > 15 && !error.to_string().is_empty()),
    }
}

/// Every number has a text, whether or not it has a name.
fn numbers(word: u64) {
    macro_rules! numbers {
        ($($number:ident: $integer:ty,)+) => { $(
            let number = $number(word as $integer);
            assert!(!number.to_string().is_empty());
            assert_eq!(number.name().is_some(), $number::NAMED.contains(&number));
            show(&number);
        )+ };
    }
    numbers!(
        CallCode: u16,
        HvStatus: u16,
        Msr: u32,
        RegisterName: u32,
        RegisterNameArm64: u32,
        RegisterNameX64: u32,
        MessageType: u32,
    );
    let status = HvStatus(word as u16);
    assert_eq!(status.ok().is_ok(), status.is_success());
    assert_eq!(CallCode(word as u16).is_extended(), word & 0x8000 != 0);
    // What is reached by a call as well has one name for it.
    let msr = Msr(0x4000_0000 | word as u32 & 0x1ff);
    show(&msr.register_name());
}

fn addresses(word: u64) {
    let range = GvaRange(word);
    assert_eq!(GvaRange::new(range.address(), (range.pages() - 1) as u16), range);
    let range = GpaPageRange(word);
    assert!(range.gpa().is_multiple_of(range.page_size().min(1 << 21)));
    if !range.is_large() {
        assert_eq!(GpaPageRange::new(range.gpa(), (range.pages() - 1) as u16), range);
    }
    let device = DeviceId(word);
    let number = DeviceId::logical(word);
    assert_eq!((number.0, number.device_type().0), (word & u64::MAX >> 2, 0));
    show(&(device, device.device_type()));
    let again = match device.device_type() {
        DeviceType::PCI => DeviceId::pci((word >> 16) as u16, word as u16),
        DeviceType::IOAPIC => DeviceId::io_apic(word as u8),
        _ => device,
    };
    assert_eq!(again.device_type(), device.device_type());
    let vtl = InputVtl(word as u8);
    show(&vtl);
    assert_eq!(vtl.vtl().map(InputVtl::target).is_some(), word & 0x10 != 0);
    let state = ExecutionStateX64::from_bits_retain(word as u16);
    assert_eq!(
        (u64::from(state.cpl()), u64::from(state.vtl())),
        (word & 3, word >> 7 & 15)
    );
    let input = SignalEventInput::from_register(word);
    assert_eq!(input.to_register(), word);
}

/// A leaf: nothing of it is lost.
pub fn leaf(words: [u32; 4]) {
    let [eax, ebx, ecx, edx] = words;
    let registers = CpuidRegisters { eax, ebx, ecx, edx };
    macro_rules! leaves {
        ($($leaf:ident)+) => { $(
            let leaf = $leaf::from(registers);
            show(&leaf);
            assert_eq!(CpuidRegisters::from(leaf), registers, stringify!($leaf));
        )+ };
    }
    leaves!(VendorLeaf HypervisorVersion FeatureLeaf RecommendationLeaf LimitsLeaf);
    show(&SvmLeaf::from(registers).max_pasids());
    let isolation = IsolationLeaf::from(registers);
    show(&(isolation, isolation.isolation_type(), isolation.has_paravisor()));
}

fn structure<T: Fixed + Debug + PartialEq>(bytes: &[u8]) {
    match T::decode_prefix(bytes) {
        Ok((value, rest)) => {
            let (own, behind) = bytes.split_at(size_of::<T>());
            assert_eq!(rest, behind);
            assert_eq!(value.as_bytes(), own, "{}", T::NAME);
            assert_eq!(T::decode(own), Ok(value));
            assert_eq!(T::decode(bytes).is_ok(), behind.is_empty());
            show(&value);
        }
        Err(error) => {
            assert_eq!((error.needed, error.len), (size_of::<T>(), bytes.len()));
            assert!(error.len < error.needed && !error.to_string().is_empty());
        }
    }
}

macro_rules! structures {
    ($($structure:ident)+) => {
        const STRUCTURES: &[fn(&[u8])] = &[$(structure::<$structure>),+];
    };
}

structures! {
    AcceptGpaPagesInput AccessStatesInput AddLogicalProcessorInput AddLogicalProcessorOutput ApicEoiX64
    AssertVirtualInterruptInput AssistPage AsyncCompletion CheckVtlAccessInput ConnectPortInput ConnectionInfo
    CpuidInterceptX64 CreatePartitionInput CreatePortInput CreateVpInput DeletePortInput DeleteVpInput
    DepositMemoryInput DisconnectPortInput EnablePartitionVtlInput ExceptionInterceptX64 FlushExInput FlushGpaInput
    FlushInput GhcbCall HypercallInterceptArm64 HypercallInterceptX64 InitialVpContextArm64 InitialVpContextX64
    InstallInterceptInput InterceptHeaderArm64 InterceptHeaderX64 InterruptDescriptor InterruptEntry InterruptTarget
    InterruptionDeliverableX64 InvalidVpRegister IoApicRte IoPortInterceptX64 MapDeviceInterruptInput
    MapDeviceInterruptOutput MapGpaPagesInput MemoryHintInput MemoryInterceptArm64 MemoryInterceptX64 MmioReadInput
    MmioReadOutput MmioWriteInput ModifyHostAccessInput ModifyHostVisibilityInput ModifyVtlProtectionInput
    MsiEntry MsrInterceptX64 NestedEnlightenments NotifyPortRingEmptyInput PartitionAssistPage PartitionId
    PartitionPropertyInput PinGpaPageRangesInput PortInfo PostDebugDataInput PostDebugDataOutput
    PostMessageDirectInput PostMessageInput ProximityDomainInfo QueryHostVisibilityInput RegisterAssoc RegisterValue
    ResetDebugSessionInput ResetDebugSessionOutput ResetInterceptArm64 RetargetInterruptInput RetrieveDebugDataInput
    RetrieveDebugDataOutput SchedulerVpSignalBitset SchedulerVpSignalPair SegmentRegister SendIpiExInput
    SendIpiInput SetPartitionPropertyInput SignalEventDirectInput SignalEventDirectOutput SignalEventInput
    SintDeliverableArm64 SintDeliverableX64 SipiInterceptX64 StartVpInput SystemPropertyInput TableRegister
    TranslateAddressExOutput TranslateAddressInput TranslateAddressOutput UnmapDeviceInterruptInput
    UnmapGpaPagesInput VpIndexFromApicIdInput VpRegistersInput VpSetHeader VtlAccess VtlControl WithdrawMemoryInput
}

/// Bytes as one of the structures, and as a message.
pub fn bytes(which: u8, bytes: &[u8]) {
    STRUCTURES[usize::from(which) % STRUCTURES.len()](bytes);
    let Ok((message, _)) = Message::read_from_prefix(bytes) else {
        return;
    };
    show(&message);
    let Some(payload) = message.payload() else {
        assert!(message.header.payload_size > 240);
        return;
    };
    match Message::new(message.message_type(), message.header.sender.get(), payload) {
        Ok(again) => assert_eq!(again.payload(), Some(payload)),
        Err(error) => assert!(message.message_type() == MessageType::NONE && !error.to_string().is_empty()),
    }
}
