//! Offloads: how a host describes them, and how they are switched.

use zerocopy::little_endian::U32;
use zerocopy::{FromZeros, IntoBytes};

use crate::nic::{Checksums, Offloads};
use crate::wire::ndis::{ObjectHeader, ObjectType};
use crate::wire::nvsp::Version;
use crate::wire::offload::{
    ChecksumSetting, Encapsulation, Ipv4Checksums, Ipv6Checksums, OFFLOAD_LEN_REVISION_1, Offload,
    OffloadParameters, Setting,
};
use crate::wire::oid::Oid;

use super::fault::Fault;

/// Bytes of the parameters with versions up to 4: revision 2 (Linux).
const PARAMETERS_LEN_BEFORE_5: usize = 22;

/// Reads an `NDIS_OFFLOAD`.
pub(super) fn read(oid: Oid, bytes: &[u8], vlan: bool) -> Result<Offloads, Fault> {
    if bytes.len() < usize::from(OFFLOAD_LEN_REVISION_1) {
        return Err(Fault::OidLength {
            oid,
            len: bytes.len(),
        });
    }
    let mut offload = Offload::new_zeroed();
    for (target, byte) in offload.as_mut_bytes().iter_mut().zip(bytes) {
        *target = *byte;
    }
    let header = offload.header;
    let size = header.size.get();
    let fits = size >= OFFLOAD_LEN_REVISION_1 && usize::from(size) <= bytes.len();
    if header.object_type != ObjectType::OFFLOAD || !fits {
        return Err(Fault::OidObject {
            oid,
            object_type: header.object_type.value(),
            size,
        });
    }
    let sums = &offload.checksum;
    let send = &offload.large_send_v2;
    Ok(Offloads {
        transmit: checksums(sums.ipv4_transmit, sums.ipv6_transmit),
        receive: checksums(sums.ipv4_receive, sums.ipv6_receive),
        large_send_ipv4: large_send(send.ipv4_encapsulation, send.ipv4_max_size),
        large_send_ipv6: large_send(send.ipv6_encapsulation, send.ipv6_max_size),
        vlan,
    })
}

/// TCP counts only where it is done with options too, as no stack sends without.
fn checksums(ipv4: U32, ipv6: U32) -> Checksums {
    let ipv4 = Ipv4Checksums::from_bits_retain(ipv4.get());
    let ipv6 = Ipv6Checksums::from_bits_retain(ipv6.get());
    Checksums {
        ipv4: ipv4.contains(Ipv4Checksums::IP),
        tcp4: ipv4.contains(Ipv4Checksums::TCP | Ipv4Checksums::TCP_OPTIONS),
        udp4: ipv4.contains(Ipv4Checksums::UDP),
        tcp6: ipv6.contains(Ipv6Checksums::TCP | Ipv6Checksums::TCP_OPTIONS),
        udp6: ipv6.contains(Ipv6Checksums::UDP),
    }
}

fn large_send(encapsulation: U32, max_size: U32) -> u32 {
    let encapsulation = Encapsulation::from_bits_retain(encapsulation.get());
    if encapsulation.contains(Encapsulation::IEEE_802_3) {
        max_size.get()
    } else {
        0
    }
}

/// The parameters that switch to `wanted`: everything is on or off, nothing stays as it was. Returns how many bytes
/// the version takes.
pub(super) fn parameters(wanted: &Offloads, version: Version) -> (OffloadParameters, usize) {
    let len = if version < Version::V5 {
        PARAMETERS_LEN_BEFORE_5
    } else {
        size_of::<OffloadParameters>()
    };
    let (sent, received) = (&wanted.transmit, &wanted.receive);
    let switch = |on: bool| if on { Setting::ENABLED } else { Setting::DISABLED };
    let parameters = OffloadParameters {
        header: ObjectHeader::new(ObjectType::DEFAULT, 3, u16::try_from(len).unwrap_or_default()),
        ipv4_checksum: checksum(sent.ipv4, received.ipv4),
        tcp4_checksum: checksum(sent.tcp4, received.tcp4),
        udp4_checksum: checksum(sent.udp4, received.udp4),
        tcp6_checksum: checksum(sent.tcp6, received.tcp6),
        udp6_checksum: checksum(sent.udp6, received.udp6),
        large_send_v1: Setting::DISABLED,
        large_send_v2_ipv4: switch(wanted.large_send_ipv4 > 0),
        large_send_v2_ipv6: switch(wanted.large_send_ipv6 > 0),
        receive_coalescing_ipv4: Setting::DISABLED,
        receive_coalescing_ipv6: Setting::DISABLED,
        ..OffloadParameters::default()
    };
    (parameters, len)
}

const fn checksum(transmit: bool, receive: bool) -> ChecksumSetting {
    match (transmit, receive) {
        (false, false) => ChecksumSetting::DISABLED,
        (true, false) => ChecksumSetting::TRANSMIT,
        (false, true) => ChecksumSetting::RECEIVE,
        (true, true) => ChecksumSetting::BOTH,
    }
}

/// Whether all that is wanted is offered.
pub(super) fn covers(offered: &Offloads, wanted: &Offloads) -> bool {
    let sums = |offered: &Checksums, wanted: &Checksums| {
        (offered.ipv4 || !wanted.ipv4)
            && (offered.tcp4 || !wanted.tcp4)
            && (offered.udp4 || !wanted.udp4)
            && (offered.tcp6 || !wanted.tcp6)
            && (offered.udp6 || !wanted.udp6)
    };
    sums(&offered.transmit, &wanted.transmit)
        && sums(&offered.receive, &wanted.receive)
        && wanted.large_send_ipv4 <= offered.large_send_ipv4
        && wanted.large_send_ipv6 <= offered.large_send_ipv6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_of_another_type_or_size_is_refused() {
        let oid = Oid::TCP_OFFLOAD_HARDWARE_CAPABILITIES;
        let mut offload = Offload::new_zeroed();
        for (object_type, size) in [
            (ObjectType::DEFAULT, 156),
            (ObjectType::OFFLOAD, 111),
            (ObjectType::OFFLOAD, 157),
        ] {
            offload.header = ObjectHeader::new(object_type, 3, size);
            let object_type = object_type.value();
            assert_eq!(
                read(oid, offload.as_bytes(), false),
                Err(Fault::OidObject {
                    oid,
                    object_type,
                    size
                })
            );
        }
        offload.header = ObjectHeader::new(ObjectType::OFFLOAD, 1, 112);
        assert_eq!(
            read(oid, &offload.as_bytes()[..111], false),
            Err(Fault::OidLength { oid, len: 111 })
        );
        assert_eq!(
            read(oid, &offload.as_bytes()[..112], true),
            Ok(Offloads {
                vlan: true,
                ..Offloads::NONE
            })
        );
    }

    #[test]
    fn tcp_without_options_and_other_encapsulations_do_not_count() {
        let mut offload = Offload::new_zeroed();
        offload.header = ObjectHeader::new(ObjectType::OFFLOAD, 3, 156);
        offload.checksum.ipv4_transmit = Ipv4Checksums::TCP.bits().into();
        offload.checksum.ipv6_receive = (Ipv6Checksums::TCP | Ipv6Checksums::TCP_OPTIONS).bits().into();
        offload.large_send_v2.ipv4_max_size = 60000.into();
        offload.large_send_v2.ipv6_max_size = 50000.into();
        offload.large_send_v2.ipv6_encapsulation = Encapsulation::IEEE_802_3.bits().into();
        let offloads = read(Oid::TCP_OFFLOAD_CURRENT_CONFIG, offload.as_bytes(), false).unwrap();
        assert_eq!(offloads.transmit, Checksums::NONE);
        assert_eq!(
            offloads.receive,
            Checksums {
                tcp6: true,
                ..Checksums::NONE
            }
        );
        assert_eq!((offloads.large_send_ipv4, offloads.large_send_ipv6), (0, 50000));
    }
}
