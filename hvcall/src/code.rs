//! Call codes.

use crate::macros::open_code;

open_code! {
    /// Which hypercall. Codes from 0x8000 on are extended ones, which the virtualization stack answers and not the
    /// hypervisor.
    ///
    /// Sources: TLFS "Hypercall Reference"; Linux `HVCALL_*` (6.1 to 6.18); OpenVMM `HypercallCode`.
    pub struct CallCode(u16) as "HVCALL_" {
        /// Change the address space.
        SWITCH_VIRTUAL_ADDRESS_SPACE = 0x0001,
        /// Flush the TLB of a set of processors.
        FLUSH_VIRTUAL_ADDRESS_SPACE = 0x0002,
        /// Flush addresses from the TLB of a set of processors. Rep.
        FLUSH_VIRTUAL_ADDRESS_LIST = 0x0003,
        /// Tell that a spin lock is waited for.
        NOTIFY_LONG_SPIN_WAIT = 0x0008,
        /// Call the debugger. (OpenVMM.)
        INVOKE_HYPERVISOR_DEBUGGER = 0x000a,
        /// Send an interrupt to processors 0 to 63: [`SendIpiInput`](crate::wire::SendIpiInput).
        SEND_IPI = 0x000b,
        /// Change what a lower virtual trust level may access. Rep.
        MODIFY_VTL_PROTECTION_MASK = 0x000c,
        /// Enable a virtual trust level for the partition.
        ENABLE_PARTITION_VTL = 0x000d,
        /// Enable a virtual trust level for a processor.
        ENABLE_VP_VTL = 0x000f,
        /// Switch to the next higher virtual trust level.
        VTL_CALL = 0x0011,
        /// Switch back to the lower virtual trust level.
        VTL_RETURN = 0x0012,
        /// [`FLUSH_VIRTUAL_ADDRESS_SPACE`](Self::FLUSH_VIRTUAL_ADDRESS_SPACE) with a sparse set of processors.
        FLUSH_VIRTUAL_ADDRESS_SPACE_EX = 0x0013,
        /// [`FLUSH_VIRTUAL_ADDRESS_LIST`](Self::FLUSH_VIRTUAL_ADDRESS_LIST) with a sparse set of processors. Rep.
        FLUSH_VIRTUAL_ADDRESS_LIST_EX = 0x0014,
        /// [`SEND_IPI`](Self::SEND_IPI) with a sparse set of processors.
        SEND_IPI_EX = 0x0015,
        /// Create a partition.
        CREATE_PARTITION = 0x0040,
        /// Initialize a partition.
        INITIALIZE_PARTITION = 0x0041,
        /// Undo the initialization of a partition.
        FINALIZE_PARTITION = 0x0042,
        /// Delete a partition.
        DELETE_PARTITION = 0x0043,
        /// Read a property of a partition.
        GET_PARTITION_PROPERTY = 0x0044,
        /// Set a property of a partition.
        SET_PARTITION_PROPERTY = 0x0045,
        /// Ask for the caller's partition id.
        GET_PARTITION_ID = 0x0046,
        /// Give pages to a partition's pool. Rep.
        DEPOSIT_MEMORY = 0x0048,
        /// Take pages from a partition's pool. Rep.
        WITHDRAW_MEMORY = 0x0049,
        /// Map pages into a partition. Rep.
        MAP_GPA_PAGES = 0x004b,
        /// Unmap pages from a partition. Rep.
        UNMAP_GPA_PAGES = 0x004c,
        /// Install an intercept.
        INSTALL_INTERCEPT = 0x004d,
        /// Create a virtual processor.
        CREATE_VP = 0x004e,
        /// Delete a virtual processor.
        DELETE_VP = 0x004f,
        /// Read registers of a virtual processor. Rep.
        GET_VP_REGISTERS = 0x0050,
        /// Set registers of a virtual processor. Rep.
        SET_VP_REGISTERS = 0x0051,
        /// Walk a virtual processor's page tables.
        TRANSLATE_VIRTUAL_ADDRESS = 0x0052,
        /// Take a virtual interrupt back.
        CLEAR_VIRTUAL_INTERRUPT = 0x0056,
        /// Delete a port.
        DELETE_PORT = 0x0058,
        /// Disconnect from a port.
        DISCONNECT_PORT = 0x005b,
        /// Post a message: [`PostMessageInput`](crate::wire::PostMessageInput).
        POST_MESSAGE = 0x005c,
        /// Signal an event: [`SignalEventInput`](crate::wire::SignalEventInput).
        SIGNAL_EVENT = 0x005d,
        /// Send data to the kernel debugger: [`PostDebugDataInput`](crate::wire::PostDebugDataInput).
        POST_DEBUG_DATA = 0x0069,
        /// Fetch data from the kernel debugger: [`RetrieveDebugDataInput`](crate::wire::RetrieveDebugDataInput).
        RETRIEVE_DEBUG_DATA = 0x006a,
        /// Begin with the kernel debugger anew: [`ResetDebugSessionInput`](crate::wire::ResetDebugSessionInput).
        RESET_DEBUG_SESSION = 0x006b,
        /// Map a page of statistics.
        MAP_STATS_PAGE = 0x006c,
        /// Unmap a page of statistics.
        UNMAP_STATS_PAGE = 0x006d,
        /// Print a character to the debugger.
        OUTPUT_DEBUG_CHARACTER = 0x0071,
        /// Add a logical processor.
        ADD_LOGICAL_PROCESSOR = 0x0076,
        /// Read a property of the system.
        GET_SYSTEM_PROPERTY = 0x007b,
        /// Map a device's interrupt.
        MAP_DEVICE_INTERRUPT = 0x007c,
        /// Unmap a device's interrupt.
        UNMAP_DEVICE_INTERRUPT = 0x007d,
        /// Send a device's interrupt to other processors.
        RETARGET_INTERRUPT = 0x007e,
        /// Tell of something that concerns the partition.
        NOTIFY_PARTITION_EVENT = 0x0087,
        /// Tell that a port's ring is empty.
        NOTIFY_PORT_RING_EMPTY = 0x008b,
        /// Tell the result of an intercept.
        REGISTER_INTERCEPT_RESULT = 0x0091,
        /// Assert an interrupt.
        ASSERT_VIRTUAL_INTERRUPT = 0x0094,
        /// Create a port.
        CREATE_PORT = 0x0095,
        /// Connect to a port.
        CONNECT_PORT = 0x0096,
        /// Start a virtual processor.
        START_VP = 0x0099,
        /// Ask for the VP index of an APIC id. Rep.
        GET_VP_INDEX_FROM_APIC_ID = 0x009a,
        /// [`TRANSLATE_VIRTUAL_ADDRESS`](Self::TRANSLATE_VIRTUAL_ADDRESS) with more said about failures.
        TRANSLATE_VIRTUAL_ADDRESS_EX = 0x00ac,
        /// Ask whether an I/O port is intercepted.
        CHECK_FOR_IO_INTERCEPT = 0x00ad,
        /// Flush the second level of address translation.
        FLUSH_GUEST_PHYSICAL_ADDRESS_SPACE = 0x00af,
        /// Flush addresses from the second level of address translation. Rep.
        FLUSH_GUEST_PHYSICAL_ADDRESS_LIST = 0x00b0,
        /// Set an event flag of a processor without a port.
        SIGNAL_EVENT_DIRECT = 0x00c0,
        /// Put a message into a processor's queue without a port.
        POST_MESSAGE_DIRECT = 0x00c1,
        /// Run a virtual processor.
        DISPATCH_VP = 0x00c2,
        /// Ask which pages were accessed. Rep.
        GET_GPA_PAGES_ACCESS_STATES = 0x00c9,
        /// Ask what a virtual trust level may access. Rep.
        CHECK_SPARSE_GPA_PAGE_VTL_ACCESS = 0x00d4,
        /// Take access to pages of an isolated guest. Rep.
        ACQUIRE_SPARSE_SPA_PAGE_HOST_ACCESS = 0x00d7,
        /// Give access to pages of an isolated guest back. Rep.
        RELEASE_SPARSE_SPA_PAGE_HOST_ACCESS = 0x00d8,
        /// Accept pages, in an isolated guest.
        ACCEPT_GPA_PAGES = 0x00d9,
        /// Share pages of an isolated guest with the host. Rep.
        MODIFY_SPARSE_GPA_PAGE_HOST_VISIBILITY = 0x00db,
        /// Map a page of a processor's state.
        MAP_VP_STATE_PAGE = 0x00e1,
        /// Unmap a page of a processor's state.
        UNMAP_VP_STATE_PAGE = 0x00e2,
        /// Read a processor's state.
        GET_VP_STATE = 0x00e3,
        /// Set a processor's state.
        SET_VP_STATE = 0x00e4,
        /// Ask for a processor's CPUID leaves.
        GET_VP_CPUID_VALUES = 0x00f4,
        /// Set the partition's time after it was restored. (OpenVMM.)
        RESTORE_PARTITION_TIME = 0x0103,
        /// Read device memory.
        MMIO_READ = 0x0106,
        /// Write device memory.
        MMIO_WRITE = 0x0107,
        /// Pin pages. Rep.
        PIN_GPA_PAGE_RANGES = 0x0112,
        /// Unpin pages. Rep.
        UNPIN_GPA_PAGE_RANGES = 0x0113,
        /// Ask which pages of an isolated guest the host sees. Rep.
        QUERY_SPARSE_GPA_PAGE_HOST_VISIBILITY = 0x011c,
        /// Ask which extended calls there are: [`ExtendedCapabilities`](crate::wire::ExtendedCapabilities).
        EXT_QUERY_CAPABILITIES = 0x8001,
        /// Ask which memory the host has zeroed.
        EXT_GET_BOOT_ZEROED_MEMORY = 0x8002,
        /// Tell how hot or cold memory is. Rep.
        EXT_MEMORY_HEAT_HINT = 0x8003,
        /// Set up the enlightened page fault.
        EXT_EPF_SETUP = 0x8004,
        /// [`EXT_MEMORY_HEAT_HINT`](Self::EXT_MEMORY_HEAT_HINT), not waited for. Rep.
        EXT_MEMORY_HEAT_HINT_ASYNC = 0x8006,
    }
}

impl CallCode {
    /// Whether the virtualization stack answers it and not the hypervisor: KVM hands every such call to the VMM.
    #[must_use]
    pub const fn is_extended(self) -> bool {
        self.0 & 0x8000 != 0
    }
}
