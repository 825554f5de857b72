//! OIDs that a guest sets.

use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use crate::nic::{ETHERNET_HEADER, MacAddress, Rss};
use crate::wire::ndis::{ConfigParameter, ObjectType, ParameterType};
use crate::wire::offload::{Encapsulation, OffloadEncapsulation};
use crate::wire::oid::Oid;
use crate::wire::rndis::PacketFilter;
use crate::wire::rss::{HashInfo, KEY_LEN, MAX_TABLE_LEN, ReceiveScaleParameters, RssFlags};
use crate::wire::status::RndisStatus;

use super::config::MulticastList;
use super::control::Indications;
use super::nic::Nic;
use super::offload;

/// The low byte of the hash information: the function.
const HASH_FUNCTION: u32 = 0xff;

/// The setting by which Linux and Windows change the MAC address: twelve hexadecimal digits.
const NETWORK_ADDRESS: &str = "NetworkAddress";

impl Nic {
    /// Sets an OID. What is refused changes nothing.
    pub(super) fn set_oid(&mut self, oid: Oid, input: &[u8]) -> Result<(), RndisStatus> {
        match oid {
            Oid::GEN_CURRENT_PACKET_FILTER => {
                self.data_path.filter = PacketFilter::from_bits_retain(u32_of(input)?);
            }
            Oid::ETHERNET_MULTICAST_LIST => {
                let mut list = MulticastList::default();
                let (addresses, rest) = input.as_chunks();
                if !rest.is_empty() {
                    return Err(RndisStatus::INVALID_LENGTH);
                }
                for address in addresses {
                    add(&mut list, MacAddress(*address))?;
                }
                self.data_path.multicast = list;
            }
            Oid::ETHERNET_ADD_MULTICAST_ADDRESS => {
                let address = address_of(input)?;
                if self.data_path.multicast.as_slice().contains(&address) {
                    return Err(RndisStatus::MULTICAST_EXISTS);
                }
                add(&mut self.data_path.multicast, address)?;
            }
            Oid::ETHERNET_DELETE_MULTICAST_ADDRESS => {
                let address = address_of(input)?;
                if !self.data_path.multicast.remove(address) {
                    return Err(RndisStatus::MULTICAST_NOT_FOUND);
                }
            }
            Oid::ETHERNET_CURRENT_ADDRESS => self.set_mac(address_of(input)?)?,
            Oid::GEN_RNDIS_CONFIG_PARAMETER => return self.set_parameter(input),
            Oid::TCP_OFFLOAD_PARAMETERS => {
                let (enabled, offered) = (&self.data_path.enabled, &self.data_path.offered);
                self.data_path.enabled = offload::switch(enabled, offered, input)?;
                self.control.due |= Indications::OFFLOADS;
            }
            Oid::OFFLOAD_ENCAPSULATION => return check_encapsulation(input),
            Oid::GEN_RECEIVE_SCALE_PARAMETERS => {
                self.data_path.rss = rss(self.data_path.rss.as_ref(), self.config.max_queues, input)?;
            }
            // Hints, of which this NIC makes nothing: how much of a frame is looked at first, what the guest's
            // addresses are, how it would like the link, how it calls itself.
            Oid::GEN_CURRENT_LOOKAHEAD
            | Oid::GEN_PROTOCOL_OPTIONS
            | Oid::GEN_NETWORK_LAYER_ADDRESSES
            | Oid::GEN_LINK_PARAMETERS
            | Oid::GEN_MACHINE_NAME
            | Oid::GEN_INTERRUPT_MODERATION
            | Oid::ETHERNET_MAC_OPTIONS
            | Oid::PNP_SET_POWER => return Ok(()),
            _ => return Err(RndisStatus::NOT_SUPPORTED),
        }
        self.changed();
        Ok(())
    }

    fn set_mac(&mut self, address: MacAddress) -> Result<(), RndisStatus> {
        if !self.config.mac_may_change && address != self.config.mac {
            return Err(RndisStatus::NOT_SUPPORTED);
        }
        if !address.is_station() {
            return Err(RndisStatus::INVALID_DATA);
        }
        self.data_path.mac = address;
        Ok(())
    }

    /// A named setting. Names that mean nothing here are accepted: drivers tell all that they have.
    fn set_parameter(&mut self, input: &[u8]) -> Result<(), RndisStatus> {
        let (parameter, _) =
            ConfigParameter::read_from_prefix(input).map_err(|_| RndisStatus::BUFFER_TOO_SHORT)?;
        let name = part(input, parameter.name_offset, parameter.name_length)?;
        let value = part(input, parameter.value_offset, parameter.value_length)?;
        if parameter.parameter_type == ParameterType::STRING && utf16(name).eq(NETWORK_ADDRESS.encode_utf16())
        {
            self.set_mac(parse_address(value).ok_or(RndisStatus::INVALID_DATA)?)?;
            self.changed();
        }
        Ok(())
    }
}

fn u32_of(input: &[u8]) -> Result<u32, RndisStatus> {
    U32::read_from_bytes(input)
        .map(U32::get)
        .map_err(|_| RndisStatus::INVALID_LENGTH)
}

fn address_of(input: &[u8]) -> Result<MacAddress, RndisStatus> {
    <[u8; 6]>::read_from_bytes(input)
        .map(MacAddress)
        .map_err(|_| RndisStatus::INVALID_LENGTH)
}

fn add(list: &mut MulticastList, address: MacAddress) -> Result<(), RndisStatus> {
    if !address.is_group() {
        return Err(RndisStatus::INVALID_DATA);
    }
    if list.push(address) {
        Ok(())
    } else {
        Err(RndisStatus::MULTICAST_FULL)
    }
}

/// The bytes that an offset and a length name.
fn part(input: &[u8], offset: U32, length: U32) -> Result<&[u8], RndisStatus> {
    let offset = usize::try_from(offset.get()).unwrap_or(usize::MAX);
    let length = usize::try_from(length.get()).unwrap_or(usize::MAX);
    input
        .get(offset..)
        .and_then(|rest| rest.get(..length))
        .ok_or(RndisStatus::INVALID_DATA)
}

/// UTF-16 units; a byte without its pair ends the text.
fn utf16(bytes: &[u8]) -> impl Iterator<Item = u16> {
    let (units, _) = bytes.as_chunks();
    units.iter().map(|unit| u16::from_le_bytes(*unit))
}

/// Twelve hexadecimal digits in UTF-16, with or without a zero at the end.
fn parse_address(value: &[u8]) -> Option<MacAddress> {
    let mut digits = utf16(value).take_while(|unit| *unit != 0);
    let mut address = [0; 6];
    for byte in &mut address {
        let mut digit = || {
            let digit = char::from_u32(digits.next()?.into())?.to_digit(16)?;
            u8::try_from(digit).ok()
        };
        *byte = digit()? << 4 | digit()?;
    }
    digits.next().is_none().then_some(MacAddress(address))
}

/// Frames are Ethernet, so that is all that can be set.
fn check_encapsulation(input: &[u8]) -> Result<(), RndisStatus> {
    let (object, _) =
        OffloadEncapsulation::read_from_prefix(input).map_err(|_| RndisStatus::BUFFER_TOO_SHORT)?;
    if object.header.object_type != ObjectType::OFFLOAD_ENCAPSULATION {
        return Err(RndisStatus::INVALID_DATA);
    }
    let is_ethernet = |enabled: U32, encapsulation: U32, header_size: U32| {
        enabled.get() != 1
            || encapsulation.get() == Encapsulation::IEEE_802_3.bits() && header_size.get() == ETHERNET_HEADER
    };
    let ipv4 = is_ethernet(
        object.ipv4_enabled,
        object.ipv4_encapsulation,
        object.ipv4_header_size,
    );
    let ipv6 = is_ethernet(
        object.ipv6_enabled,
        object.ipv6_encapsulation,
        object.ipv6_header_size,
    );
    if ipv4 && ipv6 {
        Ok(())
    } else {
        Err(RndisStatus::NOT_SUPPORTED)
    }
}

/// What receive scaling is after a guest has set these parameters.
fn rss(now: Option<&Rss>, max_queues: u16, input: &[u8]) -> Result<Option<Rss>, RndisStatus> {
    // Revision 1 ends after the key's offset.
    const LEAST: usize = 28;
    if input.len() < LEAST {
        return Err(RndisStatus::BUFFER_TOO_SHORT);
    }
    let mut parameters = ReceiveScaleParameters::new_zeroed();
    for (target, byte) in parameters.as_mut_bytes().iter_mut().zip(input) {
        *target = *byte;
    }
    let flags = RssFlags::from_bits_retain(parameters.flags.get());
    let hash_info = if flags.contains(RssFlags::HASH_INFO_UNCHANGED) {
        now.ok_or(RndisStatus::INVALID_DATA)?.hash_info
    } else {
        HashInfo::from_bits_retain(parameters.hash_info.get())
    };
    let function = hash_info.bits() & HASH_FUNCTION;
    if flags.contains(RssFlags::DISABLE) || function == 0 {
        return Ok(None);
    }
    if function != HashInfo::TOEPLITZ.bits() {
        return Err(RndisStatus::NOT_SUPPORTED);
    }
    let table = if flags.contains(RssFlags::TABLE_UNCHANGED) {
        now.ok_or(RndisStatus::INVALID_DATA)?.table
    } else {
        let size = parameters.table_size.get().into();
        table(part(input, parameters.table_offset, U32::new(size))?, max_queues)?
    };
    let key = if flags.contains(RssFlags::KEY_UNCHANGED) {
        now.ok_or(RndisStatus::INVALID_DATA)?.key
    } else {
        let key = part(
            input,
            parameters.key_offset,
            U32::new(parameters.key_size.get().into()),
        )?;
        <[u8; KEY_LEN]>::read_from_bytes(key).map_err(|_| RndisStatus::INVALID_DATA)?
    };
    Ok(Some(Rss {
        hash_info,
        key,
        table,
    }))
}

/// The indirection table, repeated to full length. Refuses one that is empty, too long, or leads to a channel that
/// cannot be.
fn table(entries: &[u8], max_queues: u16) -> Result<[u16; MAX_TABLE_LEN], RndisStatus> {
    let entries = <[U32]>::ref_from_bytes(entries).map_err(|_| RndisStatus::INVALID_LENGTH)?;
    if entries.is_empty() || entries.len() > MAX_TABLE_LEN {
        return Err(RndisStatus::INVALID_LENGTH);
    }
    let mut table = [0; MAX_TABLE_LEN];
    for (target, entry) in table.iter_mut().zip(entries.iter().cycle()) {
        let entry = u16::try_from(entry.get())
            .ok()
            .filter(|entry| *entry < max_queues);
        *target = entry.ok_or(RndisStatus::INVALID_DATA)?;
    }
    Ok(table)
}
