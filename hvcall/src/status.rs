//! What a hypercall answers.

use crate::macros::open_code;

open_code! {
    /// The status of a hypercall: 0 is success, everything else a failure.
    ///
    /// Sources: TLFS appendix B; Linux `hvgdk_mini.h`; OpenVMM `hvdef::HvError`. The three agree where they overlap.
    pub struct HvStatus(u16) as "HV_STATUS_" {
        /// Done.
        SUCCESS = 0x0000,
        /// The call code is not known.
        INVALID_HYPERCALL_CODE = 0x0002,
        /// The control word is wrong: a reserved bit is set, the rep count or start does not fit the call, or the
        /// fast form or a variable header was given to a call that has none.
        INVALID_HYPERCALL_INPUT = 0x0003,
        /// An address of parameters is no multiple of 8, the parameters cross a page, or they lie outside guest
        /// memory.
        INVALID_ALIGNMENT = 0x0004,
        /// A parameter has a value that the call does not take.
        INVALID_PARAMETER = 0x0005,
        /// The caller lacks the privilege.
        ACCESS_DENIED = 0x0006,
        /// The partition's state does not allow it.
        INVALID_PARTITION_STATE = 0x0007,
        /// The present state does not allow it.
        OPERATION_DENIED = 0x0008,
        /// No such partition property.
        UNKNOWN_PROPERTY = 0x0009,
        /// The property cannot have this value.
        PROPERTY_VALUE_OUT_OF_RANGE = 0x000a,
        /// The hypervisor's pool is short of memory. Passing, for a posted message.
        INSUFFICIENT_MEMORY = 0x000b,
        /// Partitions are nested too deep.
        PARTITION_TOO_DEEP = 0x000c,
        /// No such partition.
        INVALID_PARTITION_ID = 0x000d,
        /// No such virtual processor.
        INVALID_VP_INDEX = 0x000e,
        /// Nothing was found, or an iteration came to its end.
        NOT_FOUND = 0x0010,
        /// No such port.
        INVALID_PORT_ID = 0x0011,
        /// No such connection. Passing, for a posted message: a host answers so while it sets up the connection.
        INVALID_CONNECTION_ID = 0x0012,
        /// The port has no free message buffer. Passing.
        INSUFFICIENT_BUFFERS = 0x0013,
        /// A message that stands in a slot is not acknowledged yet.
        NOT_ACKNOWLEDGED = 0x0014,
        /// The virtual processor's state does not allow it.
        INVALID_VP_STATE = 0x0015,
        /// A message was acknowledged.
        ACKNOWLEDGED = 0x0016,
        /// The saved state does not allow it.
        INVALID_SAVE_RESTORE_STATE = 0x0017,
        /// The target's SynIC is off, or its message or event page is.
        INVALID_SYNIC_STATE = 0x0018,
        /// The object is in use.
        OBJECT_IN_USE = 0x0019,
        /// The proximity domain is wrong.
        INVALID_PROXIMITY_DOMAIN_INFO = 0x001a,
        /// There is no data.
        NO_DATA = 0x001b,
        /// Debugging is not active.
        INACTIVE = 0x001c,
        /// A resource ran out.
        NO_RESOURCES = 0x001d,
        /// The feature is not there.
        FEATURE_UNAVAILABLE = 0x001e,
        /// A debug packet was taken in part.
        PARTIAL_PACKET = 0x001f,
        /// The processor lacks a feature.
        PROCESSOR_FEATURE_NOT_SUPPORTED = 0x0020,
        /// Processors flush cache lines of different sizes.
        PROCESSOR_CACHE_LINE_FLUSH_SIZE_INCOMPATIBLE = 0x0030,
        /// The caller's buffer is too small.
        INSUFFICIENT_BUFFER = 0x0033,
        /// The processor does not fit the others.
        INCOMPATIBLE_PROCESSOR = 0x0037,
        /// No device domain is left.
        INSUFFICIENT_DEVICE_DOMAINS = 0x0038,
        /// CPUID features do not hold together.
        CPUID_FEATURE_VALIDATION_ERROR = 0x003c,
        /// CPUID features of XSAVE do not hold together.
        CPUID_XSAVE_FEATURE_VALIDATION_ERROR = 0x003d,
        /// A processor did not start in time.
        PROCESSOR_STARTUP_TIMEOUT = 0x003e,
        /// SMX is on.
        SMX_ENABLED = 0x003f,
        /// No such logical processor.
        INVALID_LP_INDEX = 0x0041,
        /// The register cannot have this value.
        INVALID_REGISTER_VALUE = 0x0050,
        /// The virtual trust level's state does not allow it.
        INVALID_VTL_STATE = 0x0051,
        /// The processor has no NX, or it is off.
        NX_NOT_DETECTED = 0x0055,
        /// No such device.
        INVALID_DEVICE_ID = 0x0057,
        /// The device's state does not allow it.
        INVALID_DEVICE_STATE = 0x0058,
        /// Page requests are pending.
        PENDING_PAGE_REQUESTS = 0x0059,
        /// The page request is wrong.
        PAGE_REQUEST_INVALID = 0x0060,
        /// The key is there already.
        KEY_ALREADY_EXISTS = 0x0065,
        /// The device is in a domain already.
        DEVICE_ALREADY_IN_DOMAIN = 0x0066,
        /// No such CPU group.
        INVALID_CPU_GROUP_ID = 0x006f,
        /// The CPU group's state does not allow it.
        INVALID_CPU_GROUP_STATE = 0x0070,
        /// It failed, and nothing more is said.
        OPERATION_FAILED = 0x0071,
        /// It is not allowed while nested virtualization is active.
        NOT_ALLOWED_WITH_NESTED_VIRT_ACTIVE = 0x0072,
        /// The root partition's pool is short of memory.
        INSUFFICIENT_ROOT_MEMORY = 0x0073,
        /// The event buffer was freed before.
        EVENT_BUFFER_ALREADY_FREED = 0x0074,
        /// The pool is short of contiguous memory.
        INSUFFICIENT_CONTIGUOUS_MEMORY = 0x0075,
        /// It took too long.
        TIME_OUT = 0x0078,
        /// It goes on, and a message will tell the end.
        CALL_PENDING = 0x0079,
        /// The root partition's pool is short of contiguous memory.
        INSUFFICIENT_CONTIGUOUS_ROOT_MEMORY = 0x0083,
        /// The virtual trust level is enabled already.
        VTL_ALREADY_ENABLED = 0x0086,
        /// No such register.
        UNKNOWN_REGISTER_NAME = 0x0087,
    }
}

impl HvStatus {
    /// Whether the call did what it was asked to.
    #[must_use]
    pub const fn is_success(self) -> bool {
        self.0 == Self::SUCCESS.0
    }

    /// Whether a message that was refused with this status can be taken when it is posted again a little later.
    ///
    /// Linux (`vmbus_post_msg`), FreeBSD and the protocol notes of Hyper-V name the same three.
    #[must_use]
    pub const fn is_passing_for_post(self) -> bool {
        matches!(
            self,
            Self::INSUFFICIENT_MEMORY | Self::INVALID_CONNECTION_ID | Self::INSUFFICIENT_BUFFERS
        )
    }

    /// Success as `Ok`, everything else as the error that it is.
    ///
    /// # Errors
    /// The status itself, when it is not success.
    pub const fn ok(self) -> Result<(), Self> {
        if self.is_success() { Ok(()) } else { Err(self) }
    }
}

impl core::error::Error for HvStatus {}
