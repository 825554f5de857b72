//! Offloads: how they are described to a guest, and how it switches them.

use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use crate::nic::{Checksums, Offloads};
use crate::wire::ndis::{ObjectHeader, ObjectType};
use crate::wire::nvsp::Version;
use crate::wire::offload::{
    ChecksumOffload, ChecksumSetting, Encapsulation, Ipv4Checksums, Ipv6Checksums, Ipv6LargeSend,
    LargeSendV1, LargeSendV2, OFFLOAD_PARAMETERS_LEN_REVISION_1, Offload, OffloadParameters, Setting,
    offload_revision,
};
use crate::wire::status::RndisStatus;

/// The fewest segments that are worth a large send.
const MIN_SEGMENTS: u32 = 2;

/// Writes an `NDIS_OFFLOAD` with these offloads, at the revision that guests of this NVSP version take. Returns its
/// bytes.
pub(super) fn describe(offloads: &Offloads, version: Version, out: &mut [u8]) -> usize {
    let (revision, size) = offload_revision(version);
    let mut offload = Offload::new_zeroed();
    offload.header = ObjectHeader::new(ObjectType::OFFLOAD, revision, size);
    offload.checksum = checksums(&offloads.transmit, &offloads.receive);
    let ethernet = |on: bool| U32::new(if on { Encapsulation::IEEE_802_3.bits() } else { 0 });
    let segments = |on: bool| U32::new(if on { MIN_SEGMENTS } else { 0 });
    let (ipv4, ipv6) = (offloads.large_send_ipv4, offloads.large_send_ipv6);
    offload.large_send_v1 = LargeSendV1 {
        encapsulation: ethernet(ipv4 > 0),
        max_size: U32::new(ipv4),
        min_segments: segments(ipv4 > 0),
        options: U32::ZERO,
    };
    let options = Ipv6LargeSend::EXTENSION_HEADERS | Ipv6LargeSend::TCP_OPTIONS;
    offload.large_send_v2 = LargeSendV2 {
        ipv4_encapsulation: ethernet(ipv4 > 0),
        ipv4_max_size: U32::new(ipv4),
        ipv4_min_segments: segments(ipv4 > 0),
        ipv6_encapsulation: ethernet(ipv6 > 0),
        ipv6_max_size: U32::new(ipv6),
        ipv6_min_segments: segments(ipv6 > 0),
        ipv6_options: U32::new(if ipv6 > 0 { options.bits() } else { 0 }),
    };
    let bytes = offload.as_bytes().get(..usize::from(size)).unwrap_or_default();
    let Some(target) = out.get_mut(..bytes.len()) else {
        return 0;
    };
    target.copy_from_slice(bytes);
    bytes.len()
}

fn checksums(transmit: &Checksums, receive: &Checksums) -> ChecksumOffload {
    let ethernet = |any: bool| U32::new(if any { Encapsulation::IEEE_802_3.bits() } else { 0 });
    let (ipv4_transmit, ipv6_transmit) = (ipv4(transmit), ipv6(transmit));
    let (ipv4_receive, ipv6_receive) = (ipv4(receive), ipv6(receive));
    ChecksumOffload {
        ipv4_transmit_encapsulation: ethernet(!ipv4_transmit.is_empty()),
        ipv4_transmit: U32::new(ipv4_transmit.bits()),
        ipv4_receive_encapsulation: ethernet(!ipv4_receive.is_empty()),
        ipv4_receive: U32::new(ipv4_receive.bits()),
        ipv6_transmit_encapsulation: ethernet(!ipv6_transmit.is_empty()),
        ipv6_transmit: U32::new(ipv6_transmit.bits()),
        ipv6_receive_encapsulation: ethernet(!ipv6_receive.is_empty()),
        ipv6_receive: U32::new(ipv6_receive.bits()),
    }
}

fn ipv4(sums: &Checksums) -> Ipv4Checksums {
    let mut bits = Ipv4Checksums::empty();
    bits.set(Ipv4Checksums::IP | Ipv4Checksums::IP_OPTIONS, sums.ipv4);
    bits.set(Ipv4Checksums::TCP | Ipv4Checksums::TCP_OPTIONS, sums.tcp4);
    bits.set(Ipv4Checksums::UDP, sums.udp4);
    bits
}

fn ipv6(sums: &Checksums) -> Ipv6Checksums {
    let mut bits = Ipv6Checksums::empty();
    bits.set(
        Ipv6Checksums::TCP | Ipv6Checksums::TCP_OPTIONS | Ipv6Checksums::EXTENSION_HEADERS,
        sums.tcp6,
    );
    bits.set(Ipv6Checksums::UDP, sums.udp6);
    bits
}

/// What is enabled after a guest has set these parameters. Switching on what is not offered is left without effect, as
/// on Hyper-V: guests read the outcome from the status indication that follows.
pub(super) fn switch(enabled: &Offloads, offered: &Offloads, input: &[u8]) -> Result<Offloads, RndisStatus> {
    if input.len() < OFFLOAD_PARAMETERS_LEN_REVISION_1 {
        return Err(RndisStatus::BUFFER_TOO_SHORT);
    }
    let mut bytes = [0; size_of::<OffloadParameters>()];
    for (target, byte) in bytes.iter_mut().zip(input) {
        *target = *byte;
    }
    let parameters = OffloadParameters::read_from_bytes(&bytes).map_err(|_| RndisStatus::FAILURE)?;
    if parameters.header.object_type != ObjectType::DEFAULT {
        return Err(RndisStatus::INVALID_DATA);
    }
    let mut next = *enabled;
    let settings: [(ChecksumSetting, Field); 5] = [
        (parameters.ipv4_checksum, |sums| &mut sums.ipv4),
        (parameters.tcp4_checksum, |sums| &mut sums.tcp4),
        (parameters.udp4_checksum, |sums| &mut sums.udp4),
        (parameters.tcp6_checksum, |sums| &mut sums.tcp6),
        (parameters.udp6_checksum, |sums| &mut sums.udp6),
    ];
    for (setting, field) in settings {
        let (transmit, receive) = match setting {
            ChecksumSetting::NO_CHANGE => continue,
            ChecksumSetting::DISABLED => (false, false),
            ChecksumSetting::TRANSMIT => (true, false),
            ChecksumSetting::RECEIVE => (false, true),
            ChecksumSetting::BOTH => (true, true),
            _ => return Err(RndisStatus::INVALID_DATA),
        };
        let mut offered = *offered;
        *field(&mut next.transmit) = transmit && *field(&mut offered.transmit);
        *field(&mut next.receive) = receive && *field(&mut offered.receive);
    }
    next.large_send_ipv4 = large_send(
        parameters.large_send_v1,
        next.large_send_ipv4,
        offered.large_send_ipv4,
    )?;
    next.large_send_ipv4 = large_send(
        parameters.large_send_v2_ipv4,
        next.large_send_ipv4,
        offered.large_send_ipv4,
    )?;
    next.large_send_ipv6 = large_send(
        parameters.large_send_v2_ipv6,
        next.large_send_ipv6,
        offered.large_send_ipv6,
    )?;
    Ok(next)
}

/// One kind of checksum.
type Field = fn(&mut Checksums) -> &mut bool;

fn large_send(setting: Setting, now: u32, offered: u32) -> Result<u32, RndisStatus> {
    match setting {
        Setting::NO_CHANGE => Ok(now),
        Setting::DISABLED => Ok(0),
        Setting::ENABLED => Ok(offered),
        _ => Err(RndisStatus::INVALID_DATA),
    }
}
