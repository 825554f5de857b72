//! Storage: the packets of storvsc. What is SCSI's own has no counterpart in a kernel's Hyper-V drivers.

use storvsc_proto::scsi::dvd::*;
use storvsc_proto::scsi::*;
use storvsc_proto::wire::*;

use crate::layouts::mirror::{Alone, Codes, Mirror, alone, codes, mirror};

pub(super) fn mirrors() -> Vec<Mirror> {
    vec![
        mirror! { vmstorage_protocol_version { 0: VersionBody { major_minor, revision } } },
        mirror! { vmstorage_channel_properties { 0: ChannelProperties {
            reserved, max_sub_channels = "max_channel_cnt", reserved2 = "reserved1", flags, max_transfer_bytes,
            reserved3 = "reserved2",
        } } },
        mirror! { hv_fc_wwn_packet { 0: FcHbaData {
            primary_active, reserved = "reserved1", primary_port_wwn, primary_node_wwn, secondary_port_wwn,
            secondary_node_wwn,
        } } },
        mirror! { vmscsi_request { 0: ScsiRequest {
            length, srb_status, scsi_status, port = "port_number", path = "path_id", target = "target_id", lun,
            cdb_length, sense_length = "sense_info_length", direction = "data_in", reserved,
            transfer_length = "data_transfer_length", cdb_or_sense = "cdb + sense_data + reserved_array",
            reserved2 = "reserve", queue_tag, queue_action, flags = "srb_flags", timeout = "time_out_value",
            queue_sort_key = "queue_sort_ey",
        } } },
        mirror! { vstor_packet {
            0: PacketHeader { operation, flags, status },
            12: ScsiRequest = "vm_srb",
            12: ChannelProperties = "storage_channel_properties",
            12: VersionBody = "version",
            12: FcHbaData = "wwn_packet",
            12: SubChannelsBody { count = "sub_channel_count" },
            12: [u8; MAX_BODY_LEN] = "buffer",
        } },
    ]
}

pub(super) fn codes() -> Vec<Codes> {
    vec![codes! { "vstor_packet_operation" = Operation {
        COMPLETE_IO = "VSTOR_OPERATION_COMPLETE_IO",
        REMOVE_DEVICE = "VSTOR_OPERATION_REMOVE_DEVICE",
        EXECUTE_SRB = "VSTOR_OPERATION_EXECUTE_SRB",
        RESET_LUN = "VSTOR_OPERATION_RESET_LUN",
        RESET_ADAPTER = "VSTOR_OPERATION_RESET_ADAPTER",
        RESET_BUS = "VSTOR_OPERATION_RESET_BUS",
        BEGIN_INITIALIZATION = "VSTOR_OPERATION_BEGIN_INITIALIZATION",
        END_INITIALIZATION = "VSTOR_OPERATION_END_INITIALIZATION",
        QUERY_PROTOCOL_VERSION = "VSTOR_OPERATION_QUERY_PROTOCOL_VERSION",
        QUERY_PROPERTIES = "VSTOR_OPERATION_QUERY_PROPERTIES",
        ENUMERATE_BUS = "VSTOR_OPERATION_ENUMERATE_BUS",
        FC_HBA_DATA = "VSTOR_OPERATION_FCHBA_DATA",
        CREATE_SUB_CHANNELS = "VSTOR_OPERATION_CREATE_SUB_CHANNELS",
    } without { "VSTOR_OPERATION_MAXIMUM": "a bound" } beyond "OpenVMM storvsp/src/protocol.rs" }]
}

pub(super) fn alone() -> Vec<Alone> {
    alone! {
        "Linux drivers/scsi/storvsc_drv.c, macros": ProtocolVersion, PacketFlags, PropertyFlags, OfferFlags, SrbFlags,
            SrbStatusByte;
        "OpenVMM storvsp/src/protocol.rs": NotificationBody, OfferProperties;
        "OpenVMM scsi_defs/src/srb.rs": SrbStatus, DataDirection, QueueAction;
        "Windows SDK, ntstatus.h": NtStatus;
        "SPC-4, SBC-3 and SAM-5: SCSI's own, which Linux has as bytes": OperationCode, ScsiStatus, Cdb6, Cdb10, Cdb12,
            Cdb16, InquiryCdb, RequestSenseCdb, ModeSense6Cdb, ModeSense10Cdb, StartStopCdb, UnmapCdb,
            ServiceActionIn16Cdb, ReportLunsCdb, InquiryData, VpdPage, VpdHeader, DesignatorHeader, BlockLimitsPage,
            RotationPage, ProvisioningPage, ReadCapacity10Data, ReadCapacity16Data, ModeHeader6, ModeHeader10,
            ModeBlockDescriptor, CachingPage, ControlPage, LunListHeader, UnmapHeader, UnmapDescriptor, SenseKey,
            AdditionalSense, FixedSense, DescriptorSense, WriteSame16Cdb;
        "MMC-6: an optical drive's own, which Linux has as bytes": ReadTocCdb, GetConfigurationCdb, GetEventStatusCdb,
            ReadDiscInformationCdb, ReadTrackInformationCdb, PreventRemovalCdb, ReadDiscStructureCdb, MechanismStatusCdb,
            SetCdSpeedCdb, TocFormat, TocHeader, TocTrack, Profile, Feature, FeatureHeader, FeatureDescriptor,
            ProfileDescriptor, EventClasses, EventHeader, MediaEventCode, MediaEvent, DiscInformation, MechanismStatus;
    }
}
