//! What NVSP carries: RNDIS, per-packet info, and the NDIS structures that OIDs carry.

use netvsc_proto::wire::condis;
use netvsc_proto::wire::ndis::*;
use netvsc_proto::wire::offload::*;
use netvsc_proto::wire::oid::Oid;
use netvsc_proto::wire::ppi::*;
use netvsc_proto::wire::rndis::*;
use netvsc_proto::wire::rss::*;
use netvsc_proto::wire::status::RndisStatus;

use crate::layouts::mirror::{Alone, Codes, Mirror, alone, codes, mirror};

pub(super) fn mirrors() -> Vec<Mirror> {
    let mut all = messages();
    all.extend(connection_oriented());
    all.extend(per_packet_info());
    all.extend(objects());
    all
}

fn messages() -> Vec<Mirror> {
    vec![
        mirror! { rndis_packet { 0: Packet {
            data_offset, data_length = "data_len", oob_offset = "oob_data_offset", oob_length = "oob_data_len",
            oob_count = "num_oob_data_elements", ppi_offset = "per_pkt_info_offset", ppi_length = "per_pkt_info_len",
            vc_handle, reserved,
        } } },
        mirror! { rndis_oobd { 0: OutOfBandData { size, class = "type", offset = "class_info_offset" } } },
        mirror! { rndis_initialize_request { 0: InitializeRequest {
            request_id = "req_id", major_version = "major_ver", minor_version = "minor_ver",
            max_transfer_size = "max_xfer_size",
        } } },
        mirror! { rndis_initialize_complete { 0: InitializeComplete {
            request_id = "req_id", status, major_version = "major_ver", minor_version = "minor_ver",
            device_flags = "dev_flags", medium, max_packets_per_message = "max_pkt_per_msg",
            max_transfer_size = "max_xfer_size", packet_alignment_factor = "pkt_alignment_factor", af_list_offset,
            af_list_size,
        } } },
        mirror! { rndis_halt_request { 0: HaltRequest { request_id = "req_id" } } },
        mirror! { rndis_query_request { 0: OidRequest {
            request_id = "req_id", oid, info_length = "info_buflen", info_offset = "info_buf_offset",
            vc_handle = "dev_vc_handle",
        } } },
        mirror! { rndis_query_complete { 0: QueryComplete {
            request_id = "req_id", status, info_length = "info_buflen", info_offset = "info_buf_offset",
        } } },
        mirror! { rndis_set_request { 0: OidRequest {
            request_id = "req_id", oid, info_length = "info_buflen", info_offset = "info_buf_offset",
            vc_handle = "dev_vc_handle",
        } } },
        mirror! { rndis_set_complete { 0: Complete { request_id = "req_id", status } } },
        mirror! { rndis_reset_request { 0: ResetRequest { reserved } } },
        mirror! { rndis_reset_complete { 0: ResetComplete { status, addressing_reset } } },
        mirror! { rndis_indicate_status { 0: IndicateStatus {
            status, buffer_length = "status_buflen", buffer_offset = "status_buf_offset",
        } } },
        mirror! { rndis_diagnostic_info { 0: DiagnosticInfo { status = "diag_status", error_offset } } },
        mirror! { rndis_keepalive_request { 0: KeepaliveRequest { request_id = "req_id" } } },
        mirror! { rndis_keepalive_complete { 0: Complete { request_id = "req_id", status } } },
        mirror! { rndis_config_parameter_info { 0: ConfigParameter {
            name_offset = "parameter_name_offset", name_length = "parameter_name_length", parameter_type,
            value_offset = "parameter_value_offset", value_length = "parameter_value_length",
        } } },
        mirror! { rndis_message_container {
            0: Packet = "pkt",
            0: InitializeRequest = "init_req",
            0: HaltRequest = "halt_req",
            0: OidRequest = "query_req",
            0: OidRequest = "set_req",
            0: ResetRequest = "reset_req",
            0: KeepaliveRequest = "keep_alive_req",
            0: IndicateStatus = "indicate_status",
            0: InitializeComplete = "init_complete",
            0: QueryComplete = "query_complete",
            0: Complete = "set_complete",
            0: ResetComplete = "reset_complete",
            0: Complete = "keep_alive_complete",
            0: condis::CreateVc = "co_miniport_create_vc",
            0: condis::DeleteVc = "co_miniport_delete_vc",
            0: condis::IndicateStatus = "co_indicate_status",
            0: condis::ActivateVc = "co_miniport_activate_vc",
            0: condis::DeactivateVc = "co_miniport_deactivate_vc",
            0: condis::CreateVcComplete = "co_miniport_create_vc_complete",
            0: Complete = "co_miniport_delete_vc_complete",
            0: Complete = "co_miniport_activate_vc_complete",
            0: Complete = "co_miniport_deactivate_vc_complete",
            0: PacketId = "pkt_id?",
        } },
        // The union of all messages is as large as the largest.
        mirror! { rndis_message {
            0: MessageHeader { message_type = "ndis_msg_type", message_length = "msg_len" },
            8: InitializeComplete = "msg",
        } },
    ]
}

fn connection_oriented() -> Vec<Mirror> {
    vec![
        mirror! { rndis_co_address_family { 0: condis::AddressFamily {
            address_family, major_version = "major_ver", minor_version = "minor_ver",
        } } },
        mirror! { rcondis_mp_create_vc { 0: condis::CreateVc { request_id = "req_id", ndis_vc_handle } } },
        mirror! { rcondis_mp_create_vc_complete { 0: condis::CreateVcComplete {
            request_id = "req_id", device_vc_handle = "dev_vc_handle", status,
        } } },
        mirror! { rcondis_mp_delete_vc { 0: condis::DeleteVc {
            request_id = "req_id", device_vc_handle = "dev_vc_handle",
        } } },
        mirror! { rcondis_mp_delete_vc_complete { 0: Complete { request_id = "req_id", status } } },
        mirror! { rcondis_mp_activate_vc_request { 0: condis::ActivateVc {
            request_id = "req_id", flags, device_vc_handle = "dev_vc_handle", media_offset = "media_params_offset",
            media_length = "media_params_length", call_manager_offset = "call_mgr_params_offset",
            call_manager_length = "call_mgr_params_length",
        } } },
        mirror! { rcondis_mp_activate_vc_complete { 0: Complete { request_id = "req_id", status } } },
        mirror! { rcondis_mp_deactivate_vc_request { 0: condis::DeactivateVc {
            request_id = "req_id", flags, device_vc_handle = "dev_vc_handle",
        } } },
        mirror! { rcondis_mp_deactivate_vc_complete { 0: Complete { request_id = "req_id", status } } },
        mirror! { rcondis_mp_query_request { 0: condis::OidRequest {
            request_id = "req_id", request_type, oid, device_vc_handle = "dev_vc_handle", info_length = "info_buflen",
            info_offset = "info_buf_offset",
        } } },
        mirror! { rcondis_mp_set_request { 0: condis::OidRequest {
            request_id = "req_id", request_type, oid, device_vc_handle = "dev_vc_handle", info_length = "info_buflen",
            info_offset = "info_buf_offset",
        } } },
        mirror! { rcondis_indicate_status { 0: condis::IndicateStatus {
            ndis_vc_handle, status, buffer_length = "status_buflen", buffer_offset = "status_buf_offset",
        } } },
        mirror! { rcondis_specific_parameters { 0: condis::SpecificParameters {
            parameter_type, parameter_length, parameter_offset = "parameter_lffset",
        } } },
        mirror! { rcondis_media_parameters { 0: condis::MediaParameters {
            flags, reserved = "reserved1 + reserved2", media_specific,
        } } },
        mirror! { rndis_flowspec { 0: condis::FlowSpec {
            token_rate, token_bucket_size, peak_bandwidth, latency, delay_variation, service_type, max_sdu_size,
            minimum_policed_size,
        } } },
        mirror! { rcondis_call_manager_parameters { 0: condis::CallManagerParameters {
            transmit, receive, call_manager_specific = "call_mgr_specific",
        } } },
    ]
}

fn per_packet_info() -> Vec<Mirror> {
    let transmit = |flags| ChecksumTransmit::new(flags, 0).value.get();
    let receive = |flags| ChecksumReceive::new(flags).value.get();
    let v2 = LargeSend::v2(0, 0, false).value.get();
    vec![
        mirror! { rndis_per_packet_info { 0: PpiHeader {
            size, kind = "type + internal" / { "type" = !PPI_INTERNAL, "internal" = PPI_INTERNAL }, offset = "ppi_offset",
        } } },
        mirror! { rndis_pktinfo_id { 0: PacketId { version = "ver", flags = "flag", packet_id = "pkt_id" } } },
        mirror! { ndis_pkt_8021q_info { 0: Vlan { value = "value" / {
            "pri" = Vlan::new(7, false, 0).value.get(),
            "cfi" = Vlan::new(0, true, 0).value.get(),
            "vlanid" = Vlan::new(0, false, 0xfff).value.get(),
        } } } without { "reserved": "zero" } },
        mirror! { ndis_tcp_ip_checksum_info {
            0: ChecksumTransmit { value = "transmit" / {
                "transmit.is_ipv4" = transmit(TransmitChecksums::IS_IPV4),
                "transmit.is_ipv6" = transmit(TransmitChecksums::IS_IPV6),
                "transmit.tcp_checksum" = transmit(TransmitChecksums::TCP),
                "transmit.udp_checksum" = transmit(TransmitChecksums::UDP),
                "transmit.ip_header_checksum" = transmit(TransmitChecksums::IP_HEADER),
                "transmit.tcp_header_offset" = ChecksumTransmit::new(TransmitChecksums::empty(), 0x3ff).value.get(),
            } },
            0: ChecksumReceive { value = "receive" / {
                "receive.tcp_checksum_failed" = receive(ReceiveChecksums::TCP_FAILED),
                "receive.udp_checksum_failed" = receive(ReceiveChecksums::UDP_FAILED),
                "receive.ip_checksum_failed" = receive(ReceiveChecksums::IP_FAILED),
                "receive.tcp_checksum_succeeded" = receive(ReceiveChecksums::TCP_SUCCEEDED),
                "receive.udp_checksum_succeeded" = receive(ReceiveChecksums::UDP_SUCCEEDED),
                "receive.ip_checksum_succeeded" = receive(ReceiveChecksums::IP_SUCCEEDED),
                "receive.loopback" = receive(ReceiveChecksums::LOOPBACK),
                "receive.tcp_checksum_value_invalid" = receive(ReceiveChecksums::TCP_VALUE_INVALID),
                "receive.ip_checksum_value_invalid" = receive(ReceiveChecksums::IP_VALUE_INVALID),
            } },
            0: TransmitChecksums = "transmit", 0: ReceiveChecksums = "receive", 0: u32 = "value",
        } },
        mirror! { ndis_tcp_lso_info {
            0: LargeSend { value = "lso_v2_transmit" / {
                "lso_v2_transmit.mss" = LargeSend::v1(u32::MAX, 0).value.get(),
                "lso_v2_transmit.tcp_header_offset" = LargeSend::v1(0, 0x3ff).value.get(),
                "lso_v2_transmit.type" = v2,
                "lso_v2_transmit.ip_version" = LargeSend::v2(0, 0, true).value.get() & !v2,
                "lso_v1_transmit.mss" = LargeSend::v1(u32::MAX, 0).value.get(),
                "lso_v1_transmit.tcp_header_offset" = LargeSend::v1(0, 0x3ff).value.get(),
                "lso_v1_transmit.type" = v2,
                "transmit.type" = v2,
            } },
            0: u32 = "value",
        } without {
            "lso_v1_transmit_complete": "Linux's own: no host sends it back",
            "lso_v2_transmit_complete": "Linux's own: no host sends it back",
        } },
    ]
}

fn objects() -> Vec<Mirror> {
    vec![
        mirror! { ndis_object_header { 0: ObjectHeader { object_type = "type", revision, size } } },
        mirror! { ndis_obj_header { 0: ObjectHeader { object_type = "type", revision = "rev", size } } },
        mirror! { ndis_csum_offload { 0: ChecksumOffload {
            ipv4_transmit_encapsulation = "ip4_txenc", ipv4_transmit = "ip4_txcsum",
            ipv4_receive_encapsulation = "ip4_rxenc", ipv4_receive = "ip4_rxcsum",
            ipv6_transmit_encapsulation = "ip6_txenc", ipv6_transmit = "ip6_txcsum",
            ipv6_receive_encapsulation = "ip6_rxenc", ipv6_receive = "ip6_rxcsum",
        } } },
        mirror! { ndis_lsov1_offload { 0: LargeSendV1 {
            encapsulation = "encap", max_size = "maxsize", min_segments = "minsegs", options = "opts",
        } } },
        mirror! { ndis_ipsecv1_offload { 0: IpsecV1 {
            encapsulation = "encap", ah_esp, transport_tunnel = "xport_tun", ipv4_options = "ip4_opts", flags,
            ipv4_ah = "ip4_ah", ipv4_esp = "ip4_esp",
        } } },
        mirror! { ndis_lsov2_offload { 0: LargeSendV2 {
            ipv4_encapsulation = "ip4_encap", ipv4_max_size = "ip4_maxsz", ipv4_min_segments = "ip4_minsg",
            ipv6_encapsulation = "ip6_encap", ipv6_max_size = "ip6_maxsz", ipv6_min_segments = "ip6_minsg",
            ipv6_options = "ip6_opts",
        } } },
        mirror! { ndis_ipsecv2_offload { 0: IpsecV2 {
            encapsulation = "encap", ipv6 = "ip6", ipv4_options = "ip4opt", ipv6_extension_headers = "ip6ext", ah, esp,
            ah_esp, transport = "xport", tunnel = "tun", transport_tunnel = "xport_tun", large_send = "lso",
            extended_sequence = "extseq", padding = "", udp_esp, authentication = "auth", encryption = "crypto",
            sa_capacity = "sa_caps",
        } } },
        mirror! { ndis_rsc_offload { 0: ReceiveCoalescing { ipv4 = "ip4", ipv6 = "ip6" } } },
        mirror! { ndis_encap_offload { 0: TunnelOffload { flags, max_header_size = "maxhdr" } } },
        mirror! { ndis_offload { 0: Offload {
            header, checksum = "csum", large_send_v1 = "lsov1", ipsec_v1 = "ipsecv1", large_send_v2 = "lsov2", flags,
            ipsec_v2 = "ipsecv2", receive_coalescing = "rsc", padding = "", nvgre = "encap_gre",
        } } },
        mirror! { ndis_offload_params { 0: OffloadParameters {
            header, ipv4_checksum = "ip_v4_csum", tcp4_checksum = "tcp_ip_v4_csum", udp4_checksum = "udp_ip_v4_csum",
            tcp6_checksum = "tcp_ip_v6_csum", udp6_checksum = "udp_ip_v6_csum", large_send_v1 = "lso_v1",
            ipsec_v1 = "ip_sec_v1", large_send_v2_ipv4 = "lso_v2_ipv4", large_send_v2_ipv6 = "lso_v2_ipv6",
            tcp_connection_ipv4 = "tcp_connection_ip_v4", tcp_connection_ipv6 = "tcp_connection_ip_v6", padding = "",
            flags, ipsec_v2 = "ip_sec_v2", ipsec_v2_ipv4 = "ip_sec_v2_ip_v4", receive_coalescing_ipv4 = "rsc_ip_v4",
            receive_coalescing_ipv6 = "rsc_ip_v6", tunnel_offload = "encapsulated_packet_task_offload",
            tunnel_types = "encapsulation_types", tail = "",
        } } },
        mirror! { ndis_recv_scale_cap { 0: ReceiveScaleCapabilities {
            header = "hdr", capabilities = "cap_flag", interrupt_count = "num_int_msg", queue_count = "num_recv_que",
            table_len = "num_indirect_tabent",
        } } },
        mirror! { ndis_recv_scale_param { 0: ReceiveScaleParameters {
            header = "hdr", flags = "flag", base_cpu = "base_cpu_number", hash_info = "hashinfo",
            table_size = "indirect_tabsize", padding_1 = "", table_offset = "indirect_taboffset",
            key_size = "hashkey_size", padding_2 = "", key_offset = "hashkey_offset", processor_masks_offset,
            processor_mask_count = "num_processor_masks", processor_mask_size = "processor_masks_entry_size",
        } } },
    ]
}

pub(super) fn codes() -> Vec<Codes> {
    vec![codes! { "ndis_per_pkt_info_type" = PpiType {
        CHECKSUM = "TCPIP_CHKSUM_PKTINFO",
        IPSEC = "IPSEC_PKTINFO",
        LARGE_SEND = "TCP_LARGESEND_PKTINFO",
        CLASSIFICATION_HANDLE = "CLASSIFICATION_HANDLE_PKTINFO",
        RESERVED = "NDIS_RESERVED",
        SG_LIST = "SG_LIST_PKTINFO",
        VLAN = "IEEE_8021Q_INFO",
        ORIGINAL = "ORIGINAL_PKTINFO",
        HASH_VALUE = "PACKET_CANCEL_ID",
        HASH_VALUE = "NBL_HASH_VALUE",
        ORIGINAL_LIST = "ORIGINAL_NET_BUFLIST",
        CACHED_LIST = "CACHED_NET_BUFLIST",
        SHORT_PADDING = "SHORT_PKT_PADINFO",
    } without { "MAX_PER_PKT_INFO": "a bound" } beyond "Linux enum rndis_per_pkt_info_interal_type: RNDIS_PKTINFO_ID, with the bit" }]
}

pub(super) fn alone() -> Vec<Alone> {
    alone! {
        "Linux include/linux/rndis.h and drivers/net/hyperv/hyperv_net.h, macros": MessageType, Medium, MediaState,
            DeviceFlags, PacketFilter, Oid, RndisStatus, ParameterType, FragmentFlags;
        "Linux drivers/net/hyperv/hyperv_net.h, macros; Microsoft's NDIS reference": ObjectType, Encapsulation,
            Ipv4Checksums, Ipv6Checksums, Ipv6LargeSend, ChecksumSetting, Setting, RssCapabilities, HashInfo, RssFlags;
        "OpenVMM netvsp/src/rndisprot.rs": MacOptions, ConnectState, DuplexState, LinkState, LinkSpeed,
            OffloadEncapsulation;
        "Microsoft's NDIS reference": InterruptModerationState, InterruptModeration, PnpCapabilities, StatisticsFlags,
            Statistics;
    }
}
