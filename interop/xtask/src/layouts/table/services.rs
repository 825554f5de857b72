//! Integration services, dynamic memory, keyboard and mouse: messages in channels of their own.

use vmbus_proto::device::wire::dynamic_memory::{
    self as memory, Capabilities, CapabilitiesReport, PageRange, StatusReport,
};
use vmbus_proto::device::wire::keyboard::{self, Keystroke, KeystrokeFlags, LedFlags};
use vmbus_proto::device::wire::mouse::{self, HidAttributes, HidDescriptor};
use vmbus_proto::device::wire::{DeviceVersion, dynamic_memory};
use vmbus_proto::ic::wire::*;
use vmbus_proto::wire::{PipeHeader, PipePacketType};
use zerocopy::little_endian::{U32, U64};

use crate::layouts::mirror::{Alone, Codes, Mirror, alone, codes, constants, mirror};

pub(super) fn mirrors() -> Vec<Mirror> {
    let mut all = framing();
    all.extend(services());
    all.extend(input());
    all.extend(balloon());
    all
}

fn framing() -> Vec<Mirror> {
    vec![
        mirror! { vmbuspipe_hdr { 0: PipeHeader { packet_type = "flags", size = "msgsize" } } },
        mirror! { pipe_msg_hdr { 0: PipeHeader { packet_type = "type", size } } },
        mirror! { vmpipe_proto_header { 0: PipeHeader { packet_type = "pkt_type", size = "data_size" } } },
        mirror! { pipe_prt_msg other size "declared with the first byte of what follows" {
            0: PipeHeader { packet_type = "type", size },
        } without { "data": "what follows" } },
        mirror! { ic_version { 0: Version { major, minor } } },
        mirror! { icmsg_hdr { 0: MessageHeader {
            framework = "icverframe", message_type = "icmsgtype", version = "icvermsg", size = "icmsgsize", status,
            transaction_id = "ictransaction_id", flags = "icflags", reserved,
        } } },
        mirror! { icmsg_negotiate { 0: NegotiateHeader {
            frameworks = "icframe_vercnt", messages = "icmsg_vercnt", reserved,
        } } },
    ]
}

fn services() -> Vec<Mirror> {
    vec![
        mirror! { heartbeat_msg_data { 0: HeartbeatData { sequence = "seq_num", state ..= reserved = "reserved" } } },
        mirror! { shutdown_msg_data { 0: ShutdownData {
            reason = "reason_code", timeout = "timeout_seconds", flags, message = "display_message",
        } } },
        mirror! { ictimesync_data other size "the host pads it to a multiple of 4" { 0: TimeSample {
            host_time = "parenttime", guest_time = "childtime", round_trip_time = "roundtriptime", flags, reserved = "",
        } } },
        mirror! { ictimesync_ref_data other size "the host pads it to a multiple of 8" { 0: TimeReference {
            host_time = "parenttime", reference_time = "vmreferencetime", flags, leap = "leapflags", stratum,
            reserved = "",
        } } without { "reserved": "the begin of the padding" } },
        mirror! { hv_kvp_hdr { 0: KvpHeader { operation, pool }, 2: [u8; 2] = "pad" } },
        mirror! { hv_kvp_exchg_msg_value { 0: KvpPair {
            value_type, key_size, value_size, key, value = "value",
        }, 524: U32 = "value_u32", 524: U64 = "value_u64" } },
        mirror! { hv_kvp_msg_get { 0: KvpPair = "data" } },
        mirror! { hv_kvp_msg_set { 0: KvpPair = "data" } },
        mirror! { hv_kvp_msg_delete { 0: KvpKey { size = "key_size", key } } },
        mirror! { hv_kvp_msg_enumerate { 0: KvpItem { index, pair = "data" } } },
        mirror! { hv_kvp_ipaddr_value { 0: IpText {
            adapter = "adapter_id", families = "addr_family", dhcp = "dhcp_enabled", addresses = "ip_addr",
            subnets = "sub_net", gateways = "gate_way", name_servers = "dns_addr",
        } } },
        mirror! { hv_kvp_ip_msg { 0: KvpHeader { operation, pool }, 2: IpText = "kvp_ip_val" } },
        mirror! { hv_kvp_msg other size "a multiple of 4, for the driver's daemon" {
            4: KvpPair = "body.kvp_get", 4: KvpPair = "body.kvp_set", 4: KvpKey = "body.kvp_delete",
            4: KvpItem = "body.kvp_enum_data", 4: IpText = "body.kvp_ip_val",
        } without {
            "kvp_hdr": "compared as hv_kvp_hdr", "error": "for the driver's daemon",
            "body.kvp_register": "for the driver's daemon",
        } },
        mirror! { hv_vss_hdr { 0: VssData { operation, reserved } } },
        mirror! { hv_vss_check_feature { 0: VssFlags = "flags" } },
        mirror! { hv_vss_check_dm_info { 0: VssFlags = "flags" } },
        mirror! { hv_vss_msg { 0: VssData { operation ..= reserved = "vss_hdr", flags = "vss_cf + dm_info" } }
        without { "error": "for the driver's daemon" } },
        mirror! { hv_fcopy_hdr { 0: FileCopyHeader {
            operation, service_id_0 = "service_id0", service_id_1 = "service_id1",
        } } },
        mirror! { hv_start_fcopy { 0: FileStart {
            header = "hdr", name = "file_name", path = "path_name", flags = "copy_flags", size = "file_size",
        } } },
        // With the data, which the structure has as its last field.
        mirror! { hv_do_fcopy other size "declared with the room for what is written" { 0: FileFragment {
            header = "hdr", padding = "pad", offset, size,
        } } without { "data": "what is written" } },
    ]
}

fn input() -> Vec<Mirror> {
    vec![
        mirror! { synth_kbd_version { 0: DeviceVersion = "version" } },
        mirror! { synth_kbd_msg_hdr { 0: keyboard::MessageType = "type" } },
        mirror! { synth_kbd_msg { 0: keyboard::MessageType = "header" } },
        mirror! { synth_kbd_keystroke {
            0: keyboard::MessageType = "header", 4: Keystroke { make_code, reserved = "reserved0", flags = "info" },
        } },
        mirror! { synth_kbd_protocol_request {
            0: keyboard::MessageType = "header", 4: DeviceVersion = "version_requested",
        } },
        mirror! { synth_kbd_protocol_response { 0: keyboard::MessageType = "header", 4: U32 = "proto_status" } },
        mirror! { synthhid_version { 0: DeviceVersion = "version" / {
            "minor_version" = 0xffffu32, "major_version" = 0xffffu32 << 16,
        } } },
        mirror! { synthhid_msg_hdr { 0: mouse::MessageHeader { message_type = "type", size } } },
        mirror! { synthhid_msg other size "declared with the first byte of what follows" {
            0: mouse::MessageHeader = "header",
        } without { "data": "what follows" } },
        mirror! { synthhid_protocol_request {
            0: mouse::MessageHeader = "header", 8: DeviceVersion = "version_requested",
        } },
        mirror! { synthhid_protocol_response {
            0: mouse::MessageHeader = "header", 8: DeviceVersion = "version_requested", 12: u8 = "approved",
        } },
        mirror! { hv_input_dev_info { 0: HidAttributes { size, vendor, product, version, reserved } } },
        mirror! { synthhid_device_info {
            0: mouse::MessageHeader = "header", 8: HidAttributes = "hid_dev_info", 40: HidDescriptor = "hid_descriptor",
        } },
        mirror! { synthhid_device_info_ack { 0: mouse::MessageHeader = "header", 8: u8 = "reserved" } },
        mirror! { synthhid_input_report other size "declared with the first byte of the report" {
            0: mouse::MessageHeader = "header",
        } without { "buffer": "the report" } },
    ]
}

/// Dynamic memory. A message's few words are no structure of their own here, so that the rows have them as words.
fn balloon() -> Vec<Mirror> {
    let most = PageRange::new((1 << 40) - 1, 0).map_or(0, bits);
    vec![
        mirror! { dm_version { 0: DeviceVersion = "version" / {
            "minor_version" = 0xffffu32, "major_version" = 0xffffu32 << 16,
        } } },
        mirror! { dm_caps { 0: Capabilities = "caps" / {
            "cap_bits.balloon" = Capabilities::BALLOON.bits(),
            "cap_bits.hot_add" = Capabilities::HOT_ADD.bits(),
            "cap_bits.hot_add_alignment" = Capabilities::HOT_ADD_ALIGNMENT.bits(),
        } } },
        mirror! { dm_mem_page_range { 0: PageRange = "page_range" / {
            "finfo.start_page" = most,
            "finfo.page_cnt" = PageRange::new(0, (1 << 24) - 1).map_or(0, bits),
        } } },
        mirror! { dm_header { 0: memory::MessageHeader { message_type = "type", size, transaction = "trans_id" } } },
        mirror! { dm_message { 0: memory::MessageHeader = "hdr" } },
        mirror! { dm_version_request {
            0: memory::MessageHeader = "hdr", 8: DeviceVersion = "version",
            12: U32 = "is_last_attempt + reservedz" / { "is_last_attempt" = 1u32 },
        } },
        mirror! { dm_version_response {
            0: memory::MessageHeader = "hdr", 8: U64 = "is_accepted + reservedz" / { "is_accepted" = 1u64 },
        } },
        mirror! { dm_capabilities {
            0: memory::MessageHeader = "hdr",
            8: CapabilitiesReport { capabilities = "caps", min_pages = "min_page_cnt", max_page_number },
        } },
        mirror! { dm_capabilities_resp_msg {
            0: memory::MessageHeader = "hdr", 8: U64 = "is_accepted + reservedz" / { "is_accepted" = 1u64 },
        } },
        mirror! { dm_status {
            0: memory::MessageHeader = "hdr",
            8: StatusReport {
                available = "num_avail", committed = "num_committed", page_file = "page_file_size", zero_free,
                page_file_writes, io_difference = "io_diff",
            },
        } },
        mirror! { dm_balloon {
            0: memory::MessageHeader = "hdr", 8: U32 = "num_pages", 12: U32 = "reservedz",
        } },
        mirror! { dm_balloon_response {
            0: memory::MessageHeader = "hdr", 8: U32 = "reservedz",
            12: U32 = "more_pages + range_count" / { "more_pages" = 1u32, "range_count" = !1u32 },
        } },
        mirror! { dm_unballoon_request {
            0: memory::MessageHeader = "hdr", 8: U32 = "more_pages + reservedz" / { "more_pages" = 1u32 },
            12: U32 = "range_count",
        } },
        mirror! { dm_unballoon_response { 0: memory::MessageHeader = "hdr" } },
        mirror! { dm_hot_add { 0: memory::MessageHeader = "hdr", 8: PageRange = "range" } },
        mirror! { dm_hot_add_response {
            0: memory::MessageHeader = "hdr", 8: U32 = "page_count", 12: U32 = "result",
        } },
        mirror! { dm_info_header { 0: U32 = "type", 4: U32 = "data_size" } },
        mirror! { dm_info_msg { 0: memory::MessageHeader = "hdr", 8: U32 = "reserved", 12: U32 = "info_size" } },
    ]
}

fn bits(range: PageRange) -> u64 {
    range.start() | u64::from(range.count()) << 40
}

pub(super) fn codes() -> Vec<Codes> {
    vec![
        codes! { "pipe_msg_type" = PipePacketType { DATA = "PIPE_MSG_DATA" }
        without { "PIPE_MSG_INVALID": "no message", "PIPE_MSG_MAX": "a bound" } },
        codes! { "pipe_prot_msg_type" = PipePacketType { DATA = "PIPE_MESSAGE_DATA" }
        without { "PIPE_MESSAGE_INVALID": "no message", "PIPE_MESSAGE_MAXIMUM": "a bound" } },
        codes! { "hv_kvp_exchg_op" = KvpOperation {
            GET = "KVP_OP_GET",
            SET = "KVP_OP_SET",
            DELETE = "KVP_OP_DELETE",
            ENUMERATE = "KVP_OP_ENUMERATE",
            GET_IP_INFO = "KVP_OP_GET_IP_INFO",
            SET_IP_INFO = "KVP_OP_SET_IP_INFO",
        } without { "KVP_OP_COUNT": "a bound" } },
        codes! { "hv_vss_op" = VssOperation {
            CREATE = "VSS_OP_CREATE",
            DELETE = "VSS_OP_DELETE",
            HOT_BACKUP = "VSS_OP_HOT_BACKUP",
            GET_DM_INFO = "VSS_OP_GET_DM_INFO",
            BACKUP_COMPLETE = "VSS_OP_BU_COMPLETE",
            FREEZE = "VSS_OP_FREEZE",
            THAW = "VSS_OP_THAW",
            AUTO_RECOVER = "VSS_OP_AUTO_RECOVER",
        } without { "VSS_OP_COUNT": "a bound" } },
        codes! { "hv_fcopy_op" = FileCopyOperation {
            START = "START_FILE_COPY",
            WRITE = "WRITE_TO_FILE",
            COMPLETE = "COMPLETE_FCOPY",
            CANCEL = "CANCEL_FCOPY",
        } },
        codes! { "synth_kbd_msg_type" = keyboard::MessageType {
            PROTOCOL_REQUEST = "SYNTH_KBD_PROTOCOL_REQUEST",
            PROTOCOL_RESPONSE = "SYNTH_KBD_PROTOCOL_RESPONSE",
            EVENT = "SYNTH_KBD_EVENT",
            LED_INDICATORS = "SYNTH_KBD_LED_INDICATORS",
        } },
        codes! { "synthhid_msg_type" = mouse::MessageType {
            PROTOCOL_REQUEST = "SYNTH_HID_PROTOCOL_REQUEST",
            PROTOCOL_RESPONSE = "SYNTH_HID_PROTOCOL_RESPONSE",
            INITIAL_DEVICE_INFO = "SYNTH_HID_INITIAL_DEVICE_INFO",
            INITIAL_DEVICE_INFO_ACK = "SYNTH_HID_INITIAL_DEVICE_INFO_ACK",
            INPUT_REPORT = "SYNTH_HID_INPUT_REPORT",
        } without { "SYNTH_HID_MAX": "a bound" } },
        codes! { "dm_message_type" = dynamic_memory::MessageType {
            VERSION_REQUEST = "DM_VERSION_REQUEST",
            VERSION_RESPONSE = "DM_VERSION_RESPONSE",
            CAPABILITIES_REPORT = "DM_CAPABILITIES_REPORT",
            CAPABILITIES_RESPONSE = "DM_CAPABILITIES_RESPONSE",
            STATUS_REPORT = "DM_STATUS_REPORT",
            BALLOON_REQUEST = "DM_BALLOON_REQUEST",
            BALLOON_RESPONSE = "DM_BALLOON_RESPONSE",
            UNBALLOON_REQUEST = "DM_UNBALLOON_REQUEST",
            UNBALLOON_RESPONSE = "DM_UNBALLOON_RESPONSE",
            HOT_ADD_REQUEST = "DM_MEM_HOT_ADD_REQUEST",
            HOT_ADD_RESPONSE = "DM_MEM_HOT_ADD_RESPONSE",
            INFO_MESSAGE = "DM_INFO_MESSAGE",
        } without { "DM_ERROR": "no message", "DM_VERSION_03_MAX": "a bound", "DM_VERSION_1_MAX": "a bound",
        } beyond "QEMU include/hw/hyperv/dynmem-proto.h" },
        constants! { "(anon:DYNMEM_PROTOCOL_VERSION_1)" = "vmbus_proto::device::wire::DeviceVersion" {
            DeviceVersion::new(0, 3).0 => "DYNMEM_PROTOCOL_VERSION_1",
            DeviceVersion::new(1, 0).0 => "DYNMEM_PROTOCOL_VERSION_2",
            DeviceVersion::new(2, 0).0 => "DYNMEM_PROTOCOL_VERSION_3",
        } without {
            "DYNMEM_PROTOCOL_VERSION_WIN7": "the same under another name",
            "DYNMEM_PROTOCOL_VERSION_WIN8": "the same under another name",
            "DYNMEM_PROTOCOL_VERSION_WIN10": "the same under another name",
            "DYNMEM_PROTOCOL_VERSION_CURRENT": "the same under another name",
        } },
    ]
}

pub(super) fn alone() -> Vec<Alone> {
    alone! {
        "Linux include/linux/hyperv.h and include/uapi/linux/hyperv.h, macros": MessageType, Status, MessageFlags, KvpPool,
            ValueType, AddressFamilies, TimeSyncFlags, ShutdownFlags, FileCopyFlags;
        "Linux drivers/input/serio/hyperv-keyboard.c, macros": KeystrokeFlags;
        "Linux: arrays in the structures above": Bytes<2048>, Text<256>;
        "OpenVMM hyperv_ic_protocol": ApplicationState, ShutdownReason, IpBinary, Ipv4, Ipv6;
        "Windows driver kit, KEYBOARD_INDICATOR_PARAMETERS": LedFlags;
    }
}
