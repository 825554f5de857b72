//! Per-packet info: walks over records of a hostile peer, and the words in them.

use netvsc_proto::wire::ppi::{
    ChecksumTransmit, LargeSend, PPI_RECORD_LEN, PpiFault, PpiList, PpiType, PpiWalk, TransmitChecksums, Vlan,
};
use proptest::prelude::*;

proptest! {
    /// Case 1: whatever stands there, the walk ends, within as many steps as heads fit, and a fault is its last word.
    #[test]
    fn case_01_walk_over_raw_bytes_ends(bytes in prop::collection::vec(prop_oneof![Just(0_u8), Just(12), Just(16), any::<u8>()], 0..256)) {
        let steps: Vec<_> = PpiWalk::new(&bytes).collect();
        prop_assert!(steps.len() <= bytes.len() / 12 + 1);
        prop_assert!(steps.iter().rev().skip(1).all(Result::is_ok));
    }

    #[test]
    fn packed_words_round_trip(
        mss in 0_u32..0x10_0000,
        offset in 0_u16..0x400,
        ipv6 in any::<bool>(),
        tci in any::<u16>(),
        flags in 0_u32..0x20,
    ) {
        let send = LargeSend::v2(mss, offset, ipv6);
        prop_assert_eq!((send.mss(), send.tcp_offset(), send.is_ipv6(), send.is_v2()), (mss, offset, ipv6, true));
        let send = LargeSend::v1(mss, offset);
        prop_assert_eq!((send.mss(), send.tcp_offset(), send.is_ipv6(), send.is_v2()), (mss, offset, false, false));
        let vlan = Vlan::from_tci(tci);
        prop_assert_eq!(vlan.tci(), tci);
        prop_assert_eq!(Vlan::new(vlan.priority(), vlan.drop_eligible(), vlan.id()), vlan);
        let flags = TransmitChecksums::from_bits_truncate(flags);
        let checksum = ChecksumTransmit::new(flags, offset);
        prop_assert_eq!((checksum.flags(), checksum.transport_offset()), (flags, offset));
    }
}

/// Records as a driver writes them, with chosen size and offset.
fn record(size: u32, offset: u32) -> Vec<u8> {
    [size, 6, offset, 0x1234]
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect()
}

#[test]
fn case_01_record_of_size_zero() {
    let bytes = [record(16, 12), record(0, 12), record(16, 12)].concat();
    let steps: Vec<_> = PpiWalk::new(&bytes).collect();
    assert_eq!(steps.len(), 2);
    assert!(steps[0].is_ok());
    assert_eq!(
        steps[1],
        Err(PpiFault::Size {
            size: 0,
            remaining: 32
        })
    );
}

#[test]
fn case_01_record_larger_than_what_remains() {
    for size in [17, 0x8000_0000, u32::MAX] {
        let bytes = record(size, 12);
        let steps: Vec<_> = PpiWalk::new(&bytes).collect();
        assert_eq!(steps, [Err(PpiFault::Size { size, remaining: 16 })]);
    }
}

#[test]
fn case_01_data_offset_at_or_behind_the_end() {
    for offset in [0, 11, 16, 17, u32::MAX] {
        let bytes = record(16, offset);
        let steps: Vec<_> = PpiWalk::new(&bytes).collect();
        assert_eq!(steps, [Err(PpiFault::Offset { offset, size: 16 })]);
    }
}

#[test]
fn case_01_remainder_that_is_no_head() {
    let bytes = [record(16, 12), vec![1; 11]].concat();
    let steps: Vec<_> = PpiWalk::new(&bytes).collect();
    assert_eq!(steps[1], Err(PpiFault::Remainder { remaining: 11 }));
    assert_eq!(steps.len(), 2);
}

#[test]
fn ppi_list_is_what_drivers_read() {
    let mut list = PpiList::<2>::new();
    list.push(PpiType::VLAN, &Vlan::new(5, false, 100)).unwrap();
    list.push(PpiType::HASH_VALUE, &0x1234_5678_u32.to_le_bytes())
        .unwrap();
    assert_eq!(list.push(PpiType::CHECKSUM, &0_u32), Err(PpiType::CHECKSUM));
    assert_eq!(list.as_bytes().len(), 2 * PPI_RECORD_LEN);
    let records: Vec<_> = PpiWalk::new(list.as_bytes()).map(Result::unwrap).collect();
    assert_eq!(records[0].kind, PpiType::VLAN);
    assert_eq!(records[0].read::<Vlan>().unwrap().tci(), 5 << 13 | 100);
    assert_eq!(records[1].data, [0x78, 0x56, 0x34, 0x12]);
}
