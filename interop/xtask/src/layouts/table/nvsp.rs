//! netvsc's own protocol: NVSP, and PacketDirect in it.

use netvsc_proto::wire::nvsp::*;
use netvsc_proto::wire::packet_direct::*;

use crate::layouts::mirror::{Alone, Codes, Mirror, alone, codes, mirror};

pub(super) fn mirrors() -> Vec<Mirror> {
    let mut all = messages();
    all.extend(unions());
    all.extend(packet_direct());
    all
}

fn messages() -> Vec<Mirror> {
    vec![
        mirror! { nvsp_message_header { 0: MessageType = "msg_type" } },
        mirror! { nvsp_message_init { 0: Init { min_version = "min_protocol_ver", max_version = "max_protocol_ver" } } },
        mirror! { nvsp_message_init_complete { 0: InitComplete {
            negotiated_version = "negotiated_protocol_ver", max_mdl_chain_length = "max_mdl_chain_len", status,
        } } },
        mirror! { nvsp_1_message_send_ndis_version {
            0: SendNdisVersion { major = "ndis_major_ver", minor = "ndis_minor_ver" },
        } },
        mirror! { nvsp_1_message_send_receive_buffer { 0: SendBuffer { gpadl = "gpadl_handle", id } } },
        mirror! { nvsp_1_message_send_send_buffer { 0: SendBuffer { gpadl = "gpadl_handle", id } } },
        mirror! { nvsp_1_receive_buffer_section { 0: ReceiveBufferSection {
            offset, part_size = "sub_alloc_size", part_count = "num_sub_allocs", end_offset,
        } } },
        mirror! { nvsp_1_message_send_receive_buffer_complete { 0: SendReceiveBufferComplete {
            status, section_count = "num_sections", section = "sections",
        } } },
        mirror! { nvsp_1_message_revoke_receive_buffer { 0: RevokeBuffer { id } } },
        mirror! { nvsp_1_message_revoke_send_buffer { 0: RevokeBuffer { id } } },
        mirror! { nvsp_1_message_send_send_buffer_complete { 0: SendSendBufferComplete { status, section_size } } },
        mirror! { nvsp_1_message_send_rndis_packet { 0: SendRndisPacket {
            channel_type, section_index = "send_buf_section_index", section_size = "send_buf_section_size",
        } } },
        mirror! { nvsp_1_message_send_rndis_packet_complete { 0: SendRndisPacketComplete { status } } },
        mirror! { nvsp_2_vsc_capability { 0: NdisCapabilities = "data" / {
            "vmq" = NdisCapabilities::VMQ.bits(),
            "chimney" = NdisCapabilities::CHIMNEY.bits(),
            "sriov" = NdisCapabilities::SRIOV.bits(),
            "ieee8021q" = NdisCapabilities::IEEE_8021Q.bits(),
            "correlation_id" = NdisCapabilities::CORRELATION_ID.bits(),
            "teaming" = NdisCapabilities::TEAMING.bits(),
            "vsubnetid" = NdisCapabilities::VIRTUAL_SUBNET_ID.bits(),
            "rsc" = NdisCapabilities::RSC_OVER_VMBUS.bits(),
        } } },
        mirror! { nvsp_2_send_ndis_config { 0: SendNdisConfig { mtu, reserved, capabilities = "capability" } } },
        mirror! { nvsp_2_alloc_rxbuf { 0: AllocReceiveBuffer { allocation_id = "alloc_id", length = "len" } } },
        mirror! { nvsp_2_alloc_rxbuf_comp { 0: AllocReceiveBufferComplete {
            status, allocation_id = "alloc_id", gpadl = "gpadl_handle", receive_buffer_id = "recv_buf_id",
        } } },
        mirror! { nvsp_2_free_rxbuf { 0: FreeReceiveBuffer { receive_buffer_id = "recv_buf_id" } } },
        mirror! { nvsp_4_send_vf_association { 0: SendVfAssociation { allocated, serial } } },
        mirror! { nvsp_4_sw_datapath { 0: SwitchDataPath { active = "active_datapath" } } },
        mirror! { nvsp_5_subchannel_request { 0: SubchannelRequest { operation = "op", count = "num_subchannels" } } },
        mirror! { nvsp_5_subchannel_complete { 0: SubchannelComplete { status, count = "num_subchannels" } } },
        mirror! { nvsp_5_send_indirect_table { 0: SendIndirectionTable { count, offset } } },
        // What the driver sends to complete received packets: a whole message.
        mirror! { recv_comp_msg { 0: MessageType = "hdr", 4: SendRndisPacketComplete { status } } },
    ]
}

/// The kernel's unions of what one version may carry: each member where all others are, and the size of the largest.
fn unions() -> Vec<Mirror> {
    vec![
        mirror! { nvsp_message_init_uber { 0: Init = "init", 0: InitComplete = "init_complete" } },
        mirror! { nvsp_1_message_uber {
            0: SendNdisVersion = "send_ndis_ver",
            0: SendBuffer = "send_recv_buf",
            0: SendReceiveBufferComplete = "send_recv_buf_complete",
            0: RevokeBuffer = "revoke_recv_buf",
            0: SendBuffer = "send_send_buf",
            0: SendSendBufferComplete = "send_send_buf_complete",
            0: RevokeBuffer = "revoke_send_buf",
            0: SendRndisPacket = "send_rndis_pkt",
            0: SendRndisPacketComplete = "send_rndis_pkt_complete",
        } },
        mirror! { nvsp_2_message_uber {
            0: SendNdisConfig = "send_ndis_config",
            0: AllocReceiveBuffer = "alloc_rxbuf",
            0: AllocReceiveBufferComplete = "alloc_rxbuf_comp",
            0: FreeReceiveBuffer = "free_rxbuf",
        } },
        mirror! { nvsp_4_message_uber { 0: SendVfAssociation = "vf_assoc", 0: SwitchDataPath = "active_dp" } },
        mirror! { nvsp_5_message_uber {
            0: SubchannelRequest = "subchn_req",
            0: SubchannelComplete = "subchn_comp",
            0: SendIndirectionTable = "send_table",
        } },
        mirror! { nvsp_6_message_uber { 0: PdRequest = "pd_req", 0: PdComplete = "pd_comp" } },
        // Of each version the largest message.
        mirror! { nvsp_all_messages {
            0: InitComplete = "init_msg",
            0: SendReceiveBufferComplete = "v1_msg",
            0: AllocReceiveBufferComplete = "v2_msg",
            0: SendVfAssociation = "v4_msg",
            0: SubchannelRequest = "v5_msg",
            0: PdComplete = "v6_msg",
        } },
        mirror! { nvsp_message { 0: MessageType = "hdr", 4: PdComplete = "msg" } },
    ]
}

fn packet_direct() -> Vec<Mirror> {
    vec![
        mirror! { nvsp_6_pd_api_req {
            0: PdRequest { operation = "op", body = "config + sw_dpath + open_prov + cls_prov + cr_q + del_q + flush_q + alloc_com_buf + free_com_buf" },
            4: PdConfiguration {
                mmio_address = "config.mmio_pa", mmio_length = "config.mmio_len", queue_count = "config.num_subchn",
            },
            4: PdSwitchDataPath {
                host_is_packet_direct = "sw_dpath.host_dpath_is_pd", guest_is_enabled = "sw_dpath.guest_pd_enabled",
            },
            4: PdOpenProvider { provider_id = "open_prov.prov_id", flags = "open_prov.flag" },
            4: PdProvider { provider_id = "cls_prov.prov_id" },
            4: PdCreateQueue {
                provider_id = "cr_q.prov_id", queue_id = "cr_q.q_id", queue_size = "cr_q.q_size",
                is_receive_queue = "cr_q.is_recv_q", is_rss_queue = "cr_q.is_rss_q",
                receive_data_length = "cr_q.recv_data_len", affinity = "cr_q.affy",
            },
            4: PdQueue { provider_id = "del_q.prov_id", queue_id = "del_q.q_id" },
            4: PdQueue { provider_id = "flush_q.prov_id", queue_id = "flush_q.q_id" },
            4: PdAllocBuffer {
                length = "alloc_com_buf.len", preferred_node = "alloc_com_buf.pf_node",
                region_id = "alloc_com_buf.region_id",
            },
            4: PdFreeBuffer {
                length = "free_com_buf.len", address = "free_com_buf.pa", preferred_node = "free_com_buf.pf_node",
                region_id = "free_com_buf.region_id", cache_type = "free_com_buf.cache_type",
            },
        } },
        mirror! { nvsp_6_pd_api_comp {
            0: PdComplete { operation = "op", status, body = "config + open_prov + cr_q + alloc_com_buf" },
            8: PdConfigurationComplete {
                queue_count = "config.num_pd_q", rss_queue_count = "config.num_rss_q",
                is_supported = "config.is_supported", is_enabled = "config.is_enabled",
            },
            8: PdProvider { provider_id = "open_prov.prov_id" },
            8: PdCreateQueueComplete {
                provider_id = "cr_q.prov_id", queue_id = "cr_q.q_id", queue_size = "cr_q.q_size",
                receive_data_length = "cr_q.recv_data_len", affinity = "cr_q.affy",
            },
            8: PdAllocBufferComplete {
                address = "alloc_com_buf.pa", length = "alloc_com_buf.len", preferred_node = "alloc_com_buf.pf_node",
                region_id = "alloc_com_buf.region_id", cache_type = "alloc_com_buf.cache_type",
            },
        } },
        mirror! { grp_affinity { 0: GroupAffinity { mask, group = "grp", reserved } } },
        mirror! { nvsp_6_pd_buf { 0: PdBuffer {
            region_offset, region_id, flags = "is_partial + reserved" / { "is_partial" = 1u16 },
        } } },
        mirror! { nvsp_6_pd_batch_msg {
            0: MessageType = "hdr",
            4: PdPostBatch { count, flags = "guest2host + is_recv + reserved" / {
                "guest2host" = PdBatchFlags::GUEST_TO_HOST.bits(), "is_recv" = PdBatchFlags::IS_RECEIVE.bits(),
            } }, 6: PdBatchFlags = "guest2host + is_recv + reserved",
        } },
    ]
}

pub(super) fn codes() -> Vec<Codes> {
    vec![
        codes! { "(anon:NVSP_MSG_TYPE_NONE)" = MessageType {
            INIT = "NVSP_MSG_TYPE_INIT",
            INIT_COMPLETE = "NVSP_MSG_TYPE_INIT_COMPLETE",
            SEND_NDIS_VERSION = "NVSP_MSG1_TYPE_SEND_NDIS_VER",
            SEND_RECEIVE_BUFFER = "NVSP_MSG1_TYPE_SEND_RECV_BUF",
            SEND_RECEIVE_BUFFER_COMPLETE = "NVSP_MSG1_TYPE_SEND_RECV_BUF_COMPLETE",
            REVOKE_RECEIVE_BUFFER = "NVSP_MSG1_TYPE_REVOKE_RECV_BUF",
            SEND_SEND_BUFFER = "NVSP_MSG1_TYPE_SEND_SEND_BUF",
            SEND_SEND_BUFFER_COMPLETE = "NVSP_MSG1_TYPE_SEND_SEND_BUF_COMPLETE",
            REVOKE_SEND_BUFFER = "NVSP_MSG1_TYPE_REVOKE_SEND_BUF",
            SEND_RNDIS_PACKET = "NVSP_MSG1_TYPE_SEND_RNDIS_PKT",
            SEND_RNDIS_PACKET_COMPLETE = "NVSP_MSG1_TYPE_SEND_RNDIS_PKT_COMPLETE",
            SEND_CHIMNEY_DELEGATED_BUFFER = "NVSP_MSG2_TYPE_SEND_CHIMNEY_DELEGATED_BUF",
            SEND_CHIMNEY_DELEGATED_BUFFER_COMPLETE = "NVSP_MSG2_TYPE_SEND_CHIMNEY_DELEGATED_BUF_COMP",
            REVOKE_CHIMNEY_DELEGATED_BUFFER = "NVSP_MSG2_TYPE_REVOKE_CHIMNEY_DELEGATED_BUF",
            RESUME_CHIMNEY_RX_INDICATION = "NVSP_MSG2_TYPE_RESUME_CHIMNEY_RX_INDICATION",
            TERMINATE_CHIMNEY = "NVSP_MSG2_TYPE_TERMINATE_CHIMNEY",
            TERMINATE_CHIMNEY_COMPLETE = "NVSP_MSG2_TYPE_TERMINATE_CHIMNEY_COMP",
            INDICATE_CHIMNEY_EVENT = "NVSP_MSG2_TYPE_INDICATE_CHIMNEY_EVENT",
            SEND_CHIMNEY_PACKET = "NVSP_MSG2_TYPE_SEND_CHIMNEY_PKT",
            SEND_CHIMNEY_PACKET_COMPLETE = "NVSP_MSG2_TYPE_SEND_CHIMNEY_PKT_COMP",
            POST_CHIMNEY_RECEIVE_REQUEST = "NVSP_MSG2_TYPE_POST_CHIMNEY_RECV_REQ",
            POST_CHIMNEY_RECEIVE_REQUEST_COMPLETE = "NVSP_MSG2_TYPE_POST_CHIMNEY_RECV_REQ_COMP",
            ALLOC_RECEIVE_BUFFER = "NVSP_MSG2_TYPE_ALLOC_RXBUF",
            ALLOC_RECEIVE_BUFFER_COMPLETE = "NVSP_MSG2_TYPE_ALLOC_RXBUF_COMP",
            FREE_RECEIVE_BUFFER = "NVSP_MSG2_TYPE_FREE_RXBUF",
            SEND_VMQ_RNDIS_PACKET = "NVSP_MSG2_TYPE_SEND_VMQ_RNDIS_PKT",
            SEND_VMQ_RNDIS_PACKET_COMPLETE = "NVSP_MSG2_TYPE_SEND_VMQ_RNDIS_PKT_COMP",
            SEND_NDIS_CONFIG = "NVSP_MSG2_TYPE_SEND_NDIS_CONFIG",
            ALLOC_CHIMNEY_HANDLE = "NVSP_MSG2_TYPE_ALLOC_CHIMNEY_HANDLE",
            ALLOC_CHIMNEY_HANDLE_COMPLETE = "NVSP_MSG2_TYPE_ALLOC_CHIMNEY_HANDLE_COMP",
            SEND_VF_ASSOCIATION = "NVSP_MSG4_TYPE_SEND_VF_ASSOCIATION",
            SWITCH_DATA_PATH = "NVSP_MSG4_TYPE_SWITCH_DATA_PATH",
            UPLINK_CONNECT_STATE = "NVSP_MSG4_TYPE_UPLINK_CONNECT_STATE_DEPRECATED",
            OID_QUERY_EX = "NVSP_MSG5_TYPE_OID_QUERY_EX",
            OID_QUERY_EX_COMPLETE = "NVSP_MSG5_TYPE_OID_QUERY_EX_COMP",
            SUBCHANNEL = "NVSP_MSG5_TYPE_SUBCHANNEL",
            SEND_INDIRECTION_TABLE = "NVSP_MSG5_TYPE_SEND_INDIRECTION_TABLE",
            PD_API = "NVSP_MSG6_TYPE_PD_API",
            PD_POST_BATCH = "NVSP_MSG6_TYPE_PD_POST_BATCH",
        } without {
            "NVSP_MSG_TYPE_NONE": "no message",
            "NVSP_VERSION_MSG_START": "the first number of version 1",
            "NVSP_MSG2_MAX": "a bound",
            "NVSP_MSG4_MAX": "a bound",
            "NVSP_MSG5_MAX": "a bound",
            "NVSP_MSG6_MAX": "a bound",
        } },
        codes! { "(anon:NVSP_STAT_NONE)" = Status {
            NONE = "NVSP_STAT_NONE",
            SUCCESS = "NVSP_STAT_SUCCESS",
            FAILURE = "NVSP_STAT_FAIL",
            PROTOCOL_TOO_NEW = "NVSP_STAT_PROTOCOL_TOO_NEW",
            PROTOCOL_TOO_OLD = "NVSP_STAT_PROTOCOL_TOO_OLD",
            INVALID_RNDIS_PACKET = "NVSP_STAT_INVALID_RNDIS_PKT",
            BUSY = "NVSP_STAT_BUSY",
            PROTOCOL_UNSUPPORTED = "NVSP_STAT_PROTOCOL_UNSUPPORTED",
        } without { "NVSP_STAT_MAX": "a bound" } },
        codes! { "nvsp_vm_datapath" = DataPath {
            SYNTHETIC = "NVSP_DATAPATH_SYNTHETIC", VF = "NVSP_DATAPATH_VF",
        } without { "NVSP_DATAPATH_MAX": "a bound" } },
        codes! { "nvsp_subchannel_operation" = SubchannelOperation {
            NONE = "NVSP_SUBCHANNEL_NONE", ALLOCATE = "NVSP_SUBCHANNEL_ALLOCATE",
        } without { "NVSP_SUBCHANNEL_MAX": "a bound" } },
        codes! { "nvsp_6_pd_api_op" = PdOperation {
            CONFIGURATION = "PD_API_OP_CONFIG",
            SWITCH_DATA_PATH = "PD_API_OP_SW_DATAPATH",
            OPEN_PROVIDER = "PD_API_OP_OPEN_PROVIDER",
            CLOSE_PROVIDER = "PD_API_OP_CLOSE_PROVIDER",
            CREATE_QUEUE = "PD_API_OP_CREATE_QUEUE",
            FLUSH_QUEUE = "PD_API_OP_FLUSH_QUEUE",
            FREE_QUEUE = "PD_API_OP_FREE_QUEUE",
            ALLOC_COMMON_BUFFER = "PD_API_OP_ALLOC_COM_BUF",
            FREE_COMMON_BUFFER = "PD_API_OP_FREE_COM_BUF",
        } without { "PD_API_OP_MAX": "a bound" } },
    ]
}

pub(super) fn alone() -> Vec<Alone> {
    alone! {
        "Linux drivers/net/hyperv/hyperv_net.h, macros": Version, ChannelType;
        "OpenVMM netvsp/src/protocol.rs": OidQueryEx, OidQueryExComplete;
    }
}
