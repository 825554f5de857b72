//! The ready-made memories, also where the caller keeps to no contract but that of `unsafe`.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "tests"
)]

mod support;

use std::sync::Arc;

use proptest::prelude::*;
#[cfg(target_os = "linux")]
use support::DoubleMapping;
use support::Pages;
use vmbus_ringbuf::mem::{
    ArrayRegion, ArrayRing, ContiguousRing, LayoutError, PageList, PageListRing, PagePtr,
};
use vmbus_ringbuf::{ControlWord, OutOfBounds, RingMem, RingPair, SharedMem};

const DATA: usize = 3 * 4096;

#[derive(Clone, Debug)]
enum Access {
    Read(u32, usize),
    Write(u32, Vec<u8>),
    ReadHead(u32),
    WriteWord(u32, u64),
    WriteHead(u32, [u64; 2]),
    WritePacket(u32, [u64; 2], Vec<u8>, u64),
}

fn access() -> impl Strategy<Value = Access> {
    // Near the ends of pages, and up to twice the length.
    let offset = prop_oneof![
        (0..6u32, -20..20i32).prop_map(|(page, by)| (page * 4096).saturating_add_signed(by)),
        0..2 * DATA as u32
    ]
    .boxed();
    let aligned = offset.clone().prop_map(|offset| offset & !7).boxed();
    prop_oneof![
        (offset.clone(), 0..6000usize).prop_map(|(at, len)| Access::Read(at, len)),
        (
            offset.clone(),
            prop::collection::vec(any::<u8>(), 0..64),
            1..100usize
        )
            .prop_map(|(at, bytes, times)| Access::Write(at, bytes.repeat(times))),
        prop_oneof![offset.clone(), aligned.clone()].prop_map(Access::ReadHead),
        (
            prop_oneof![offset.clone(), aligned.clone()],
            any::<[u64; 2]>(),
            prop::collection::vec(any::<u8>(), 0..40),
            1..40usize,
            any::<u64>()
        )
            .prop_map(|(at, head, bytes, times, trailer)| {
                Access::WritePacket(at, head, bytes.repeat(times), trailer)
            }),
        (prop_oneof![offset.clone(), aligned.clone()], any::<u64>())
            .prop_map(|(at, word)| Access::WriteWord(at, word)),
        (prop_oneof![offset, aligned], any::<[u64; 2]>()).prop_map(|(at, head)| Access::WriteHead(at, head)),
    ]
}

/// Does the same to the memory and to plain bytes, and compares.
fn behaves_like_bytes(mem: &impl RingMem, accesses: &[Access]) {
    let mut bytes = vec![0; DATA];
    mem.write(0, &bytes);
    let put = |bytes: &mut Vec<u8>, at: u32, src: &[u8]| {
        for (i, byte) in src.iter().enumerate() {
            bytes[(at as usize + i) % DATA] = *byte;
        }
    };
    let get = |bytes: &[u8], at: u32, len: usize| -> Vec<u8> {
        (0..len).map(|i| bytes[(at as usize + i) % DATA]).collect()
    };
    for access in accesses {
        match access {
            Access::Read(at, len) => {
                let mut dst = vec![0x55; *len];
                mem.read(*at, &mut dst);
                assert_eq!(dst, get(&bytes, *at, *len));
            }
            Access::Write(at, src) => {
                mem.write(*at, src);
                put(&mut bytes, *at, src);
            }
            Access::ReadHead(at) => {
                let head = mem.read_head(*at).map(u64::to_le_bytes);
                assert_eq!(head.as_flattened(), get(&bytes, *at, 16));
            }
            Access::WriteWord(at, word) => {
                mem.write_word(*at, *word);
                put(&mut bytes, *at, &word.to_le_bytes());
            }
            Access::WriteHead(at, head) => {
                mem.write_head(*at, *head);
                put(&mut bytes, *at, head.map(u64::to_le_bytes).as_flattened());
            }
            Access::WritePacket(at, head, payload, trailer) => {
                mem.write_packet(*at, *head, payload, *trailer);
                let mut packet = head.map(u64::to_le_bytes).as_flattened().to_vec();
                packet.extend(payload);
                packet.resize(packet.len().next_multiple_of(8), 0);
                packet.extend(trailer.to_le_bytes());
                put(&mut bytes, *at, &packet);
            }
        }
    }
    let mut all = vec![0; DATA];
    mem.read(0, &mut all);
    assert!(all == bytes);
}

proptest! {
    #[test]
    fn contiguous(accesses in prop::collection::vec(access(), 1..20)) {
        let pages = Pages::new(4);
        behaves_like_bytes(&pages.contiguous(), &accesses);
    }

    #[test]
    fn page_list(
        accesses in prop::collection::vec(access(), 1..20),
        order in Just([1usize, 2, 3]).prop_shuffle(),
    ) {
        let pages = Pages::new(4);
        let list: Vec<_> = [0].into_iter().chain(order).map(|page| PagePtr::new(pages.page(page))).collect();
        // SAFETY: the pages outlive the ring.
        behaves_like_bytes(&unsafe { PageListRing::new(list) }.unwrap(), &accesses);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn double_mapped(accesses in prop::collection::vec(access(), 1..20)) {
        let mapping = DoubleMapping::new(3);
        behaves_like_bytes(&mapping.ring(), &accesses);
    }

    #[test]
    fn array(accesses in prop::collection::vec(access(), 1..8)) {
        behaves_like_bytes(&ArrayRing::<{ DATA / 8 }>::new(), &accesses);
    }

    #[test]
    fn a_region_is_what_lies_in_its_pages(
        start in 0..4096usize,
        len in 0..9000usize,
        offset in 0..10_000usize,
        src in prop::collection::vec(any::<u8>(), 0..5000),
        order in Just([0usize, 1, 2, 3]).prop_shuffle(),
    ) {
        let pages = Pages::new(4);
        let list = order.map(|page| PagePtr::new(pages.page(page))).to_vec();
        // SAFETY: the pages outlive the region.
        let region = unsafe { PageList::new(&list, start, len) }.unwrap();
        let array = ArrayRegion::<1250>::new();
        prop_assert_eq!(region.len(), len);
        let written = region.write(offset, &src);
        let mut back = vec![0; src.len()];
        if offset + src.len() <= len {
            prop_assert_eq!(written, Ok(()));
            prop_assert_eq!(region.read(offset, &mut back), Ok(()));
            prop_assert!(back == src);
            prop_assert_eq!(array.write(offset, &src), Ok(()));
            prop_assert_eq!(array.read(offset, &mut back), Ok(()));
            prop_assert!(back == src);
            // The same bytes by way of the pages.
            for (i, byte) in src.iter().enumerate() {
                let at = start + offset + i;
                let page = list[at / 4096].get();
                // SAFETY: within the page.
                prop_assert_eq!(unsafe { page.add(at % 4096).read() }, *byte);
            }
        } else {
            let error = OutOfBounds { offset, len: src.len(), region: len };
            prop_assert_eq!(written, Err(error));
            prop_assert_eq!(region.read(offset, &mut back), Err(error));
        }
    }
}

/// A caller that keeps to no contract but that of `unsafe` loses its data, and nothing else.
fn takes_absurd_accesses(mem: &impl RingMem) {
    let mut large = vec![7; 5 * DATA + 3];
    for offset in [
        0,
        1,
        4095,
        DATA as u32,
        3 * DATA as u32 + 5,
        u32::MAX - 8,
        u32::MAX,
    ] {
        mem.write(offset, &large);
        mem.read(offset, &mut large);
        mem.write_word(offset, 1);
        mem.write_head(offset, [1, 2]);
        mem.write_packet(offset, [1, 2], &large, 3);
        mem.write_packet(offset, [1, 2], &[7; 9], 3);
        let _ = mem.read_head(offset);
    }
}

#[test]
fn absurd_accesses_stay_in_the_area() {
    let pages = Pages::new(4);
    takes_absurd_accesses(&pages.contiguous());
    takes_absurd_accesses(&pages.page_list());
    takes_absurd_accesses(&ArrayRing::<{ DATA / 8 }>::new());
    #[cfg(target_os = "linux")]
    takes_absurd_accesses(&DoubleMapping::new(3).ring());
}

#[test]
fn words_of_the_control_page_are_where_the_wire_has_them() {
    let pages = Pages::new(2);
    let ring = pages.contiguous();
    let words = [
        (ControlWord::WriteIndex, 0),
        (ControlWord::ReadIndex, 4),
        (ControlWord::InterruptMask, 8),
        (ControlWord::PendingSendSize, 12),
        (ControlWord::FeatureBits, 64),
    ];
    for (word, offset) in words {
        ring.store(word, 0x0102_0304 + offset);
        // SAFETY: within the page.
        let bytes: [u8; 4] = unsafe { pages.page(0).add(offset as usize).cast().read() };
        assert_eq!(bytes, (0x0102_0304 + offset).to_le_bytes());
        assert_eq!(ring.load(word), 0x0102_0304 + offset);
    }
}

#[test]
fn memory_that_cannot_be_a_ring_is_refused() {
    let pages = Pages::new(6);
    let list = pages.scattered();
    let unaligned = [list[0], PagePtr::new(pages.page(1).map_addr(|addr| addr | 8))];
    let address = unaligned[1].get().addr().get();
    // SAFETY: the pages outlive these; nothing is accessed where an error is returned.
    unsafe {
        let error = |result: Result<PageListRing<&[PagePtr]>, LayoutError>| result.err();
        assert_eq!(
            error(PageListRing::new(&[])),
            Some(LayoutError::DataLen { len: 0 })
        );
        assert_eq!(
            error(PageListRing::new(&list[..1])),
            Some(LayoutError::DataLen { len: 0 })
        );
        assert_eq!(
            error(PageListRing::new(&unaligned)),
            Some(LayoutError::Unaligned { address, align: 4096 })
        );
        let page = pages.page(1);
        let odd = page.map_addr(|addr| addr | 4);
        let address = odd.addr().get();
        let contiguous = |control, data, len| ContiguousRing::new(control, data, len).err();
        assert_eq!(
            contiguous(odd, page, 4096),
            Some(LayoutError::Unaligned { address, align: 4096 })
        );
        assert_eq!(
            contiguous(page, odd, 4096),
            Some(LayoutError::Unaligned { address, align: 8 })
        );
        for len in [0, 16, 4100, 1 << 40] {
            assert_eq!(
                contiguous(page, pages.page(2), len),
                Some(LayoutError::DataLen { len })
            );
        }
        for offset in [0, 1, 5, 6, 7, u32::MAX] {
            let error = Some(LayoutError::Downstream { offset, pages: 6 });
            assert_eq!(PageListRing::pair(&list[..], offset).err(), error);
            assert_eq!(ContiguousRing::pair(pages.page(0), 6, offset).err(), error);
        }
        for (offset, len) in [(4096, 1), (0, 6 * 4096 + 1), (4095, 6 * 4096), (1, usize::MAX)] {
            let error = LayoutError::Region {
                offset,
                len,
                pages: 6,
            };
            assert_eq!(PageList::new(&list[..], offset, len).err(), Some(error));
        }
        assert!(matches!(
            PageList::new(&unaligned[..], 0, 1),
            Err(LayoutError::Unaligned { .. })
        ));
    }
}

#[test]
fn the_two_rings_of_a_channel_meet() {
    for downstream in 2..=5 {
        let pages = Pages::new(7);
        let list: Arc<[PagePtr]> = (0..7).map(|page| PagePtr::new(pages.page(page))).collect();
        // SAFETY: the pages outlive the rings; each ring has one sender and one receiver.
        let (host, guest) = unsafe {
            let host = PageListRing::pair(Arc::clone(&list), downstream).unwrap();
            (host, ContiguousRing::pair(pages.page(0), 7, downstream).unwrap())
        };
        assert_eq!(host.to_host.data_len(), (downstream - 1) * 4096);
        assert_eq!(host.to_guest.data_len(), (7 - downstream - 1) * 4096);
        let mut host = RingPair::host(host).unwrap();
        let mut guest = RingPair::guest(guest).unwrap();
        let mut scratch = [0; 64];
        let packet = |id| vmbus_ringbuf::Outgoing {
            transaction_id: id,
            request_completion: false,
            descriptor: vmbus_ringbuf::Descriptor::InBand,
            payload: &[],
        };
        assert!(guest.outgoing.write(&packet(1)).unwrap().is_needed());
        assert!(host.outgoing.write(&packet(2)).unwrap().is_needed());
        assert_eq!(
            host.incoming
                .read(&mut scratch)
                .unwrap()
                .unwrap()
                .transaction_id(),
            1
        );
        assert_eq!(
            guest
                .incoming
                .read(&mut scratch)
                .unwrap()
                .unwrap()
                .transaction_id(),
            2
        );
        assert!(!host.incoming.release().is_needed() && !guest.incoming.release().is_needed());
    }
}

#[test]
fn rings_can_be_given_to_other_threads() {
    fn is_send<T: Send>(_: &T) {}
    fn is_sync<T: Sync>(_: &T) {}
    let pages = Pages::new(4);
    is_send(&pages.contiguous());
    is_send(&pages.page_list());
    // SAFETY: the pages outlive the region.
    let region = unsafe { PageList::new(Arc::<[PagePtr]>::from(pages.scattered()), 0, 100) }.unwrap();
    is_send(&region);
    is_sync(&region);
}
