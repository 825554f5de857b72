//! The ring and the bus: control page and packets, channel messages, monitor pages.

use hvcall::Sint;
use vmbus_proto::wire::*;
use vmbus_ringbuf::wire as ring;
use zerocopy::little_endian::U32;

use crate::layouts::mirror::{Alone, Code, Codes, Mirror, alone, codes, constants, mirror};

pub(super) fn mirrors() -> Vec<Mirror> {
    let mut all = rings();
    all.extend(channel_messages());
    all.extend(monitor());
    all
}

fn rings() -> Vec<Mirror> {
    vec![
        mirror! { hv_ring_buffer { 0: ring::ControlPage {
            write_index, read_index, interrupt_mask, pending_send_size = "pending_send_sz", reserved1,
            feature_bits = "feature_bits" / {
                "feature_bits.feat_pending_send_sz" = ring::FeatureBits::PENDING_SEND_SIZE.bits(),
                "feature_bits.value" = u32::MAX,
            },
            reserved2,
        }, 64: ring::FeatureBits = "feature_bits" } },
        mirror! { vmpacket_descriptor { 0: ring::PacketDescriptor {
            kind = "type", offset8, len8, flags, transaction_id = "trans_id",
        } } },
        mirror! { vmtransfer_page_range { 0: ring::TransferPageRange { byte_count, byte_offset } } },
        mirror! { vmtransfer_page_packet_header {
            0: ring::PacketDescriptor = "d",
            16: ring::TransferPageHeader {
                set_id = "xfer_pageset_id", sender_owns_set, reserved, range_count = "range_cnt",
            },
            24: ring::TransferPageRange = "ranges",
        } },
        mirror! { gpa_range { 0: ring::GpaRangeHeader { byte_count, byte_offset } } },
        mirror! { vmdata_gpa_direct {
            0: ring::PacketDescriptor = "d",
            16: ring::GpaDirectHeader { reserved, range_count = "range_cnt" },
            24: ring::GpaRangeHeader = "range",
        } },
        // The driver's buffers from which it writes GPA direct packets; what stands behind the head is its own.
        mirror! { vmbus_channel_packet_page_buffer other size "the driver's buffer goes on with its own list of pages" {
            0: ring::PacketDescriptor {
                kind = "type", offset8 = "dataoffset8", len8 = "length8", flags, transaction_id = "transactionid",
            },
            16: ring::GpaDirectHeader { reserved, range_count = "rangecount" },
        } without { "range": "hv_page_buffer, the driver's own" } },
        mirror! { vmbus_packet_mpb_array {
            0: ring::PacketDescriptor {
                kind = "type", offset8 = "dataoffset8", len8 = "length8", flags, transaction_id = "transactionid",
            },
            16: ring::GpaDirectHeader { reserved, range_count = "rangecount" },
            24: ring::GpaRangeHeader = "range",
        } },
        mirror! { hv_mpb_array { 0: ring::GpaRangeHeader { byte_count = "len", byte_offset = "offset" } } },
    ]
}

fn channel_messages() -> Vec<Mirror> {
    vec![
        mirror! { vmbus_channel_message_header { 0: MessageHeader { message_type = "msgtype", padding } } },
        mirror! { vmbus_channel_offer {
            0: Offer {
                interface = "if_type", instance = "if_instance", reserved = "reserved1 + reserved2",
                flags = "chn_flags", mmio_megabytes, user_defined = "u.std.user_def", sub_channel_index,
                mmio_megabytes_optional = "reserved3",
            },
            52: PipeParameters { pipe_type = "u.pipe.pipe_mode" },
        } without { "u.pipe.user_def": "what the pipe's parameters leave of the user-defined bytes" } },
        mirror! { vmbus_channel_offer_channel {
            0: MessageHeader = "header",
            8: Offer {
                interface ..= mmio_megabytes_optional = "offer", relid = "child_relid", monitor_id = "monitorid",
                monitor_allocated = "monitor_allocated + reserved" / { "monitor_allocated" = 1u8 },
            },
            190: OfferSignal {
                is_dedicated = "is_dedicated_interrupt + reserved1" / { "is_dedicated_interrupt" = 1u16 },
                connection_id,
            },
        } },
        mirror! { vmbus_channel_rescind_offer {
            0: MessageHeader = "header", 8: RescindChannelOffer { relid = "child_relid" },
        } },
        mirror! { vmbus_channel_open_channel {
            0: MessageHeader = "header",
            8: OpenRequest {
                relid = "child_relid", open_id = "openid", ring_gpadl = "ringbuffer_gpadlhandle", target_vp,
                downstream_page_offset = "downstream_ringbuffer_pageoffset", user_data = "userdata",
            },
        } },
        mirror! { vmbus_channel_open_result {
            0: MessageHeader = "header", 8: OpenResult { relid = "child_relid", open_id = "openid", status },
        } },
        mirror! { vmbus_channel_close_channel {
            0: MessageHeader = "header", 8: CloseChannel { relid = "child_relid" },
        } },
        mirror! { vmbus_channel_gpadl_header {
            0: MessageHeader = "header",
            8: GpadlRequest {
                relid = "child_relid", gpadl, range_bytes = "range_buflen", range_count = "rangecount",
            },
        } },
        mirror! { vmbus_channel_gpadl_body {
            0: MessageHeader = "header", 8: GpadlMore { message_number = "msgnumber", gpadl },
        } },
        mirror! { vmbus_channel_gpadl_created {
            0: MessageHeader = "header",
            8: GpadlCreated { relid = "child_relid", gpadl, status = "creation_status" },
        } },
        mirror! { vmbus_channel_gpadl_teardown {
            0: MessageHeader = "header", 8: GpadlTeardown { relid = "child_relid", gpadl },
        } },
        mirror! { vmbus_channel_gpadl_torndown { 0: MessageHeader = "header", 8: GpadlTorndown { gpadl } } },
        mirror! { vmbus_channel_relid_released {
            0: MessageHeader = "header", 8: RelIdReleased { relid = "child_relid" },
        } },
        mirror! { vmbus_channel_initiate_contact {
            0: MessageHeader = "header",
            8: ContactRequest {
                version = "vmbus_version_requested", target_vp = "target_vcpu",
                interrupt_page_or_target = "interrupt_page", parent_to_child_monitor_page = "monitor_page1",
                child_to_parent_monitor_page = "monitor_page2",
            },
            // Linux 6.1 knows of the SINT alone.
            16: TargetInfo {
                sint = "msg_sint", vtl ..= reserved = "padding1?", features = "padding2?", vtl = "msg_vtl?",
                reserved = "reserved?", features = "feature_flags?",
            },
        } },
        mirror! { vmbus_channel_version_supported { 0: MessageHeader = "header", 8: u8 = "version_supported" } },
        mirror! { vmbus_channel_version_response {
            0: MessageHeader = "header",
            8: VersionAnswer {
                version_supported, connection_state, reserved = "padding", connection_id_or_version = "msg_conn_id",
            },
        } },
        mirror! { vmbus_channel_tl_connect_request {
            0: MessageHeader = "header",
            8: ConnectRequest { endpoint = "guest_endpoint_id", service = "host_service_id" },
        } },
        mirror! { vmbus_channel_modifychannel {
            0: MessageHeader = "header", 8: ModifyChannel { relid = "child_relid", target_vp },
        } },
        mirror! { vmbus_channel_modifychannel_response {
            0: MessageHeader = "header", 8: ModifyChannelResponse { relid = "child_relid", status },
        } },
    ]
}

fn monitor() -> Vec<Mirror> {
    vec![
        mirror! { hv_monitor_trigger_state { 0: U32 = "asu32" / { "group_enable" = 0xfu32 } } },
        mirror! { hv_monitor_trigger_group {
            0: MonitorTriggerGroup { pending, armed }, 0: u64 = "as_uint64",
        } },
        mirror! { hv_monitor_parameter {
            0: MonitorParameter { connection_id = "connectionid", flag_number = "flagnumber", reserved = "rsvdz" },
        } },
        mirror! { hv_monitor_page { 0: MonitorPage {
            trigger_state, reserved1 = "rsvdz1", trigger_groups = "trigger_group", reserved2 = "rsvdz2",
            next_check_time = "next_checktime", latency, reserved3 = "rsvdz3", parameters = "parameter",
            reserved4 = "rsvdz4",
        } } },
    ]
}

pub(super) fn codes() -> Vec<Codes> {
    vec![
        codes! { "vmbus_packet_type" = ring::PacketType {
            INVALID = "VM_PKT_INVALID",
            SYNCH = "VM_PKT_SYNCH",
            ADD_TRANSFER_PAGE_SET = "VM_PKT_ADD_XFER_PAGESET",
            REMOVE_TRANSFER_PAGE_SET = "VM_PKT_RM_XFER_PAGESET",
            ESTABLISH_GPADL = "VM_PKT_ESTABLISH_GPADL",
            TEARDOWN_GPADL = "VM_PKT_TEARDOWN_GPADL",
            IN_BAND = "VM_PKT_DATA_INBAND",
            TRANSFER_PAGES = "VM_PKT_DATA_USING_XFER_PAGES",
            GPADL = "VM_PKT_DATA_USING_GPADL",
            GPA_DIRECT = "VM_PKT_DATA_USING_GPA_DIRECT",
            CANCEL_REQUEST = "VM_PKT_CANCEL_REQUEST",
            COMPLETION = "VM_PKT_COMP",
            ADDITIONAL_PACKETS = "VM_PKT_DATA_USING_ADDITIONAL_PKT",
            ADDITIONAL_DATA = "VM_PKT_ADDITIONAL_DATA",
        } },
        codes! { "vmbus_channel_message_type" = MessageType {
            OFFER_CHANNEL = "CHANNELMSG_OFFERCHANNEL",
            RESCIND_CHANNEL_OFFER = "CHANNELMSG_RESCIND_CHANNELOFFER",
            REQUEST_OFFERS = "CHANNELMSG_REQUESTOFFERS",
            ALL_OFFERS_DELIVERED = "CHANNELMSG_ALLOFFERS_DELIVERED",
            OPEN_CHANNEL = "CHANNELMSG_OPENCHANNEL",
            OPEN_CHANNEL_RESULT = "CHANNELMSG_OPENCHANNEL_RESULT",
            CLOSE_CHANNEL = "CHANNELMSG_CLOSECHANNEL",
            GPADL_HEADER = "CHANNELMSG_GPADL_HEADER",
            GPADL_BODY = "CHANNELMSG_GPADL_BODY",
            GPADL_CREATED = "CHANNELMSG_GPADL_CREATED",
            GPADL_TEARDOWN = "CHANNELMSG_GPADL_TEARDOWN",
            GPADL_TORNDOWN = "CHANNELMSG_GPADL_TORNDOWN",
            RELID_RELEASED = "CHANNELMSG_RELID_RELEASED",
            INITIATE_CONTACT = "CHANNELMSG_INITIATE_CONTACT",
            VERSION_RESPONSE = "CHANNELMSG_VERSION_RESPONSE",
            UNLOAD = "CHANNELMSG_UNLOAD",
            UNLOAD_RESPONSE = "CHANNELMSG_UNLOAD_RESPONSE",
            OPEN_RESERVED_CHANNEL = "CHANNELMSG_18",
            CLOSE_RESERVED_CHANNEL = "CHANNELMSG_19",
            CLOSE_RESERVED_RESPONSE = "CHANNELMSG_20",
            TL_CONNECT_REQUEST = "CHANNELMSG_TL_CONNECT_REQUEST",
            MODIFY_CHANNEL = "CHANNELMSG_MODIFYCHANNEL",
            TL_CONNECT_RESULT = "CHANNELMSG_TL_CONNECT_RESULT",
            MODIFY_CHANNEL_RESPONSE = "CHANNELMSG_MODIFYCHANNEL_RESPONSE",
        } without {
            "CHANNELMSG_INVALID": "no message", "CHANNELMSG_COUNT": "a bound",
        } beyond "OpenVMM vmbus_core/src/protocol.rs, messages 25 to 29" },
        constants! { "(anon:VMBUS_MESSAGE_CONNECTION_ID)" = "vmbus_proto::wire, connections for messages" {
            MESSAGE_CONNECTION.0 => "VMBUS_MESSAGE_CONNECTION_ID",
            MESSAGE_CONNECTION_5_0.0 => "VMBUS_MESSAGE_CONNECTION_ID_4",
            MESSAGE_CONNECTION_REDIRECTED.0 => "VMBUS_MESSAGE_CONNECTION_ID_REDIRECT?",
            Sint::VMBUS.number() => "VMBUS_MESSAGE_SINT",
        } without {
            "VMBUS_MESSAGE_PORT_ID": "the host's own name for the other end of the connection",
            "VMBUS_EVENT_CONNECTION_ID": "for interrupt pages, before 1.1",
            "VMBUS_EVENT_PORT_ID": "for interrupt pages, before 1.1",
            "VMBUS_MONITOR_CONNECTION_ID": "not in use",
            "VMBUS_MONITOR_PORT_ID": "not in use",
        } },
    ]
}

pub(super) fn alone() -> Vec<Alone> {
    alone! {
        "Linux drivers/hv/ring_buffer.c: the index of the packet's start, shifted left by 32": ring::PacketTrailer;
        "Linux include/linux/hyperv.h, macros": ring::PacketFlags, Version;
        "Linux include/linux/uuid.h: guid_t, 16 bytes; in it the Windows order of bytes": Guid;
        "Linux include/linux/hyperv.h and OpenVMM vmbus_core/src/protocol.rs: plain u32 in the structures above":
            RelId, GpadlId, Status;
        "OpenVMM vmbus_core/src/protocol.rs": ConnectionState, FeatureFlags, OfferFlags, OpenFlags, OpenSignal, PipeType,
            SocketParameters, SocketParametersVersion, OpenReservedChannel, CloseReservedChannel, CloseReservedResponse,
            TlConnectResult, ModifyConnection, ModifyConnectionResponse;
        "Hyper-V UEFI firmware, ChannelMessages.h": MonitorPages;
    }
}

impl Code for MessageType {
    fn number(self) -> i64 {
        self.value().into()
    }

    fn named() -> Vec<i64> {
        TABLE.iter().map(|info| info.message_type.number()).collect()
    }
}
