//! The synthetic debugger's calls.

use core::mem::{offset_of, size_of};

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::PAGE_SIZE;

/// Input of [`POST_DEBUG_DATA`](crate::CallCode::POST_DEBUG_DATA), 8 bytes, followed by the data.
///
/// Source: QEMU `hyperv_post_debug_data_input`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct PostDebugDataInput {
    /// Bytes of data behind this header, at most [`DEBUG_DATA_MAX`].
    pub count: U32,
    /// Bit 0: try again until all is sent.
    pub options: U32,
}

/// Bytes of debug data that fit a page behind the header.
pub const DEBUG_DATA_MAX: u32 = 4088;

const _: () = {
    assert!(size_of::<PostDebugDataInput>() == 8);
    assert!(offset_of!(PostDebugDataInput, count) == 0);
    assert!(offset_of!(PostDebugDataInput, options) == 4);
    assert!(PAGE_SIZE.checked_sub(size_of::<PostDebugDataInput>()).unwrap() == DEBUG_DATA_MAX as usize);
};

/// Output of [`POST_DEBUG_DATA`](crate::CallCode::POST_DEBUG_DATA), 4 bytes.
///
/// Source: QEMU `hyperv_post_debug_data_output`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct PostDebugDataOutput {
    /// Bytes that were not sent.
    pub pending_count: U32,
}

const _: () = {
    assert!(size_of::<PostDebugDataOutput>() == 4);
    assert!(offset_of!(PostDebugDataOutput, pending_count) == 0);
};

/// Input of [`RETRIEVE_DEBUG_DATA`](crate::CallCode::RETRIEVE_DEBUG_DATA), 16 bytes.
///
/// Source: QEMU `hyperv_retrieve_debug_data_input`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct RetrieveDebugDataInput {
    /// Bytes that the caller wants.
    pub count: U32,
    /// Bit 0: wait until there is data; bit 1: only ask whether the debugger is there.
    pub options: U32,
    /// How long to wait.
    pub timeout: U64,
}

const _: () = {
    assert!(size_of::<RetrieveDebugDataInput>() == 16);
    assert!(offset_of!(RetrieveDebugDataInput, count) == 0);
    assert!(offset_of!(RetrieveDebugDataInput, options) == 4);
    assert!(offset_of!(RetrieveDebugDataInput, timeout) == 8);
};

/// Output of [`RETRIEVE_DEBUG_DATA`](crate::CallCode::RETRIEVE_DEBUG_DATA), 8 bytes, followed by the data.
///
/// Source: QEMU `hyperv_retrieve_debug_data_output`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct RetrieveDebugDataOutput {
    /// Bytes of data behind this header.
    pub retrieved_count: U32,
    /// Bytes of those that the caller wanted which did not come.
    pub remaining_count: U32,
}

const _: () = {
    assert!(size_of::<RetrieveDebugDataOutput>() == 8);
    assert!(offset_of!(RetrieveDebugDataOutput, retrieved_count) == 0);
    assert!(offset_of!(RetrieveDebugDataOutput, remaining_count) == 4);
};

/// Input of [`RESET_DEBUG_SESSION`](crate::CallCode::RESET_DEBUG_SESSION), 4 bytes, padded to 8.
///
/// Source: QEMU `hyperv_reset_debug_session_input`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct ResetDebugSessionInput {
    /// Bit 0: drop data that came; bit 1: drop data that was not sent.
    pub options: U32,
}

const _: () = {
    assert!(size_of::<ResetDebugSessionInput>() == 4);
    assert!(offset_of!(ResetDebugSessionInput, options) == 0);
};

/// Output of [`RESET_DEBUG_SESSION`](crate::CallCode::RESET_DEBUG_SESSION), 24 bytes: between which two the debugger
/// talks.
///
/// Source: QEMU `hyperv_reset_debug_session_output`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct ResetDebugSessionOutput {
    /// IPv4 address of the debugger.
    pub host_ip: U32,
    /// IPv4 address of the guest.
    pub target_ip: U32,
    /// UDP port of the debugger.
    pub host_port: U16,
    /// UDP port of the guest.
    pub target_port: U16,
    /// MAC address of the debugger.
    pub host_mac: [u8; 6],
    /// MAC address of the guest.
    pub target_mac: [u8; 6],
}

const _: () = {
    assert!(size_of::<ResetDebugSessionOutput>() == 24);
    assert!(offset_of!(ResetDebugSessionOutput, host_ip) == 0);
    assert!(offset_of!(ResetDebugSessionOutput, target_ip) == 4);
    assert!(offset_of!(ResetDebugSessionOutput, host_port) == 8);
    assert!(offset_of!(ResetDebugSessionOutput, target_port) == 10);
    assert!(offset_of!(ResetDebugSessionOutput, host_mac) == 12);
    assert!(offset_of!(ResetDebugSessionOutput, target_mac) == 18);
};
