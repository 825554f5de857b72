extern crate std;

use std::format;
use std::string::ToString;
use std::vec::Vec;

use proptest::collection::vec as vec_of;
use proptest::prelude::*;
use zerocopy::{FromBytes, IntoBytes};

use super::wire::dynamic_memory::{
    Capabilities, CapabilitiesReport, GuestBody, GuestMessage, HostBody, HostMessage, PageRange, Pages,
};
use super::wire::mouse::{HidAttributes, HidDescriptor};
use super::wire::{DecodeError, DeviceVersion, keyboard, mouse};
use super::{Device, DynamicMemory, Keyboard, Mouse, guest, host};

/// Runs a handshake to its end: what the guest has of it, and how often it asked.
fn shake<D: Device>(host: &mut host::Handshake<D>) -> (Result<DeviceVersion, guest::Fault>, usize) {
    let mut guest = guest::Handshake::<D>::new();
    let mut asked = 0;
    loop {
        asked += 1;
        let request = guest.next_message().expect("it asks until it knows");
        assert!(guest.next_message().is_none(), "one at a time");
        let answer = host.handle(&request).unwrap();
        match guest.handle(&answer) {
            Ok(None) => {}
            Ok(Some(version)) => {
                assert_eq!(guest.version(), Some(version));
                assert_eq!(host.version(), Some(version));
                return (Ok(version), asked);
            }
            Err(fault) => {
                assert_eq!(host.version(), None);
                return (Err(fault), asked);
            }
        }
    }
}

fn every_version<D: Device>() {
    assert!(D::VERSIONS.is_sorted_by(|a, b| a > b));
    assert_eq!(shake(&mut host::Handshake::<D>::new()), (Ok(D::VERSIONS[0]), 1));
    for (at, version) in D::VERSIONS.iter().enumerate() {
        let mut host = host::Handshake::<D>::up_to(*version);
        assert_eq!(shake(&mut host), (Ok(*version), at + 1));
        // A driver that was loaded anew.
        assert_eq!(shake(&mut host), (Ok(*version), at + 1));
    }
    let mut host = host::Handshake::<D>::up_to(DeviceVersion::new(0, 0));
    assert_eq!(
        shake(&mut host),
        (Err(guest::Fault::NoVersion), D::VERSIONS.len())
    );
    // A number between the versions is none.
    let odd = D::request(DeviceVersion(D::VERSIONS[0].0 - 1), true, 5);
    let answer = host::Handshake::<D>::new().handle(&odd).unwrap();
    assert_eq!(D::accepted(&answer), Some(false));
}

#[test]
fn both_ends_agree_on_every_version() {
    every_version::<DynamicMemory>();
    every_version::<Keyboard>();
    every_version::<Mouse>();
}

#[test]
fn what_was_not_asked_ends_the_handshake() {
    let accepted = keyboard::HostMessage::ProtocolResponse { accepted: true };
    let key = keyboard::HostMessage::Event(keyboard::Keystroke::default());
    let mut guest = guest::Handshake::<Keyboard>::new();
    assert_eq!(guest.handle(&accepted), Err(guest::Fault::Unasked));
    assert!(guest.next_message().is_none());
    assert_eq!(guest.handle(&accepted), Err(guest::Fault::Unasked));

    let mut guest = guest::Handshake::<Keyboard>::new();
    let _request = guest.next_message();
    assert_eq!(guest.handle(&key), Err(guest::Fault::Early));

    let mut guest = guest::Handshake::<Keyboard>::new();
    let _request = guest.next_message();
    let version = guest.handle(&accepted).unwrap();
    assert_eq!(guest.handle(&key), Ok(version), "no part of the handshake");
    assert_eq!(guest.handle(&accepted), Err(guest::Fault::Unasked));

    let mut host = host::Handshake::<Mouse>::new();
    assert_eq!(host.handle(&mouse::GuestMessage::DeviceInfoAck), Err(host::Early));
}

#[test]
fn the_last_request_says_so() {
    let mut guest = guest::Handshake::<DynamicMemory>::new();
    let mut lasts = Vec::new();
    while let Some(message) = guest.next_message() {
        let GuestBody::VersionRequest { last, .. } = message.body else {
            panic!("{message:?}")
        };
        lasts.push((message.transaction, last));
        let refused = DynamicMemory::response(DeviceVersion::default(), false, message.transaction);
        let _failed = guest.handle(&refused);
    }
    assert_eq!(lasts, [(1, false), (2, false), (3, true)]);
}

fn any_of<T: FromBytes + core::fmt::Debug>() -> impl Strategy<Value = T> {
    vec_of(any::<u8>(), size_of::<T>()).prop_map(|bytes| T::read_from_bytes(&bytes).unwrap())
}

fn ranges() -> impl Strategy<Value = Vec<PageRange>> {
    vec_of(any_of::<PageRange>(), 0..300)
}

proptest! {
    #[test]
    fn memory_messages_of_a_guest_are_round_trips(
        kind in 0..7_u8,
        transaction: u32,
        (a, b) in any::<(u32, bool)>(),
        report in any_of::<CapabilitiesReport>(),
        status in any_of(),
        ranges in ranges(),
    ) {
        let pages = Pages { more: b, ranges: &ranges };
        let body = match kind {
            0 => GuestBody::VersionRequest { version: DeviceVersion(a), last: b },
            1 => GuestBody::CapabilitiesReport(report),
            2 => GuestBody::StatusReport(status),
            3 => GuestBody::BalloonResponse(pages),
            4 => GuestBody::UnballoonResponse,
            5 => GuestBody::HotAddResponse { pages: a, success: b },
            _ => GuestBody::HotRemoveResponse { result: a, pages },
        };
        let message = GuestMessage { transaction, body };
        let mut out = [0xee; 4096];
        let len = message.encode(&mut out).unwrap();
        prop_assert_eq!(GuestMessage::decode(&out[..len]), Ok(message));
        prop_assert_eq!(GuestMessage::decode(&out), Ok(message), "the ring rounds up");
        prop_assert!(HostMessage::decode(&out[..len]).is_err());
        for cut in 0..len.min(80) {
            prop_assert!(GuestMessage::decode(&out[..cut]).is_err());
        }
        prop_assert!(!message.to_string().is_empty());
    }

    #[test]
    fn memory_messages_of_a_host_are_round_trips(
        kind in 0..7_u8,
        transaction: u32,
        (a, b, flags) in any::<(u32, bool, u64)>(),
        range in any_of::<PageRange>(),
        region in any::<bool>(),
        info in vec_of(any::<u8>(), 0..200),
        ranges in ranges(),
    ) {
        let body = match kind {
            0 => HostBody::VersionResponse { accepted: b },
            1 => HostBody::CapabilitiesResponse { flags },
            2 => HostBody::BalloonRequest { pages: a },
            3 => HostBody::UnballoonRequest(Pages { more: b, ranges: &ranges }),
            4 => HostBody::HotAddRequest { range, region: region.then_some(range) },
            5 => HostBody::InfoMessage(&info),
            _ => HostBody::HotRemoveRequest { node: a, pages: a ^ 1, qos: a & 3 },
        };
        let message = HostMessage { transaction, body };
        let mut out = [0xee; 4096];
        let len = message.encode(&mut out).unwrap();
        prop_assert_eq!(HostMessage::decode(&out[..len]), Ok(message));
        prop_assert!(GuestMessage::decode(&out[..len]).is_err());
        for cut in 0..len.min(80) {
            prop_assert!(HostMessage::decode(&out[..cut]).is_err());
        }
        prop_assert!(!message.to_string().is_empty());
    }

    #[test]
    fn keyboard_messages_are_round_trips(version: u32, leds: u16, accepted: bool, key in any_of()) {
        let mut out = [0xee; keyboard::MESSAGE_MAX];
        for message in [
            keyboard::GuestMessage::ProtocolRequest(DeviceVersion(version)),
            keyboard::GuestMessage::LedIndicators(keyboard::LedFlags::from_bits_retain(leds)),
        ] {
            let len = message.encode(&mut out).unwrap();
            prop_assert_eq!(keyboard::GuestMessage::decode(&out[..len]), Ok(message));
            prop_assert!(keyboard::HostMessage::decode(&out[..len]).is_err());
            for cut in 0..len {
                prop_assert!(keyboard::GuestMessage::decode(&out[..cut]).is_err());
            }
        }
        for message in [
            keyboard::HostMessage::ProtocolResponse { accepted },
            keyboard::HostMessage::Event(key),
        ] {
            let len = message.encode(&mut out).unwrap();
            prop_assert_eq!(keyboard::HostMessage::decode(&out[..len]), Ok(message));
            prop_assert!(keyboard::GuestMessage::decode(&out[..len]).is_err());
            for cut in 0..len {
                prop_assert!(keyboard::HostMessage::decode(&out[..cut]).is_err());
            }
        }
    }

    #[test]
    fn mouse_messages_are_round_trips(
        version: u32,
        accepted: bool,
        attributes in any_of::<HidAttributes>(),
        mut descriptor in any_of::<HidDescriptor>(),
        report in vec_of(any::<u8>(), 0..300),
    ) {
        let mut out = [0xee; 512];
        let version = DeviceVersion(version);
        for message in [mouse::GuestMessage::ProtocolRequest(version), mouse::GuestMessage::DeviceInfoAck] {
            let len = message.encode(&mut out).unwrap();
            prop_assert_eq!(mouse::GuestMessage::decode(&out[..len]), Ok(message));
            prop_assert!(mouse::HostMessage::decode(&out[..len]).is_err());
            for cut in 0..len {
                prop_assert!(mouse::GuestMessage::decode(&out[..cut]).is_err());
            }
        }
        descriptor.report_size = u16::try_from(report.len()).unwrap().into();
        for message in [
            mouse::HostMessage::ProtocolResponse { version, accepted },
            mouse::HostMessage::DeviceInfo { attributes, descriptor, report: &report },
            mouse::HostMessage::InputReport(&report),
        ] {
            let len = message.encode(&mut out).unwrap();
            prop_assert_eq!(mouse::HostMessage::decode(&out[..len]), Ok(message));
            prop_assert!(mouse::GuestMessage::decode(&out[..len]).is_err());
            for cut in 0..len {
                prop_assert!(mouse::HostMessage::decode(&out[..cut]).is_err());
            }
        }
    }

    #[test]
    fn no_bytes_do_harm(mut bytes in vec_of(any::<u8>(), 0..300), number in 0..16_u8, size in 0..300_u16) {
        if bytes.len() >= 16 {
            (bytes[0], bytes[1]) = (number, 0);
            bytes[2..4].copy_from_slice(&size.to_le_bytes());
        }
        let _any = (HostMessage::decode(&bytes), GuestMessage::decode(&bytes));
        if bytes.len() >= 16 {
            bytes[2..4].fill(0);
        }
        let _any = (keyboard::HostMessage::decode(&bytes), keyboard::GuestMessage::decode(&bytes));
        if bytes.len() >= 16 {
            bytes[4..8].copy_from_slice(&u32::from(size).to_le_bytes());
            bytes[8..12].copy_from_slice(&u32::from(number).to_le_bytes());
        }
        let _any = (mouse::HostMessage::decode(&bytes), mouse::GuestMessage::decode(&bytes));
    }
}

#[test]
fn counts_beyond_the_message_are_refused() {
    let range = PageRange::new(5, 1).unwrap();
    let message = GuestMessage {
        transaction: 1,
        body: GuestBody::BalloonResponse(Pages {
            more: false,
            ranges: &[range],
        }),
    };
    let mut out = [0; 64];
    let len = message.encode(&mut out).unwrap();
    for count in [2_u32, 0x7fff_ffff] {
        out[12..16].copy_from_slice(&(count << 1).to_le_bytes());
        let refused = GuestMessage::decode(&out[..len]);
        assert_eq!(refused, Err(DecodeError::Count { count, len: 8 }));
    }
    out[2..4].copy_from_slice(&7_u16.to_le_bytes());
    assert_eq!(
        GuestMessage::decode(&out[..len]),
        Err(DecodeError::Size { size: 7, len: 24 })
    );
    // A report descriptor that is longer than what is there.
    let info = mouse::HostMessage::DeviceInfo {
        attributes: HidAttributes::default(),
        descriptor: HidDescriptor::default(),
        report: &[],
    };
    let len = info.encode(&mut out).unwrap();
    out[len - 2..len].copy_from_slice(&1_u16.to_le_bytes());
    assert_eq!(
        mouse::HostMessage::decode(&out[..len]),
        Err(DecodeError::Count { count: 1, len: 0 })
    );
}

#[test]
fn page_ranges_have_40_and_24_bits() {
    let range = PageRange::new((1 << 40) - 1, (1 << 24) - 1).unwrap();
    assert_eq!((range.start(), range.count()), ((1 << 40) - 1, (1 << 24) - 1));
    assert_eq!(PageRange::new(1 << 40, 1), None);
    assert_eq!(PageRange::new(0, 1 << 24), None);
    assert_eq!(PageRange::new(2, 3).unwrap().as_bytes(), [2, 0, 0, 0, 0, 3, 0, 0]);
    assert_eq!(
        format!("{:?}", PageRange::new(2, 3).unwrap()),
        "PageRange(0x2+0x3)"
    );
    assert_eq!(Capabilities::from_bits_retain(7 << 2 | 3).hot_add_alignment(), 7);
}

#[test]
fn a_trace_reads_well() {
    let range = PageRange::new(0x100, 16).unwrap();
    let pages = Pages {
        more: true,
        ranges: &[range, range],
    };
    let guest = |body| GuestMessage { transaction: 4, body }.to_string();
    let host = |body| HostMessage { transaction: 4, body }.to_string();
    for (shown, text) in [
        (
            guest(GuestBody::VersionRequest {
                version: DeviceVersion::new(0, 3),
                last: true,
            }),
            "VERSION_REQUEST #4 0.3, the last",
        ),
        (
            guest(GuestBody::BalloonResponse(pages)),
            "BALLOON_RESPONSE #4 32 pages in 2 ranges, more to come",
        ),
        (
            host(HostBody::BalloonRequest { pages: 9 }),
            "BALLOON_REQUEST #4 9 pages",
        ),
        (
            host(HostBody::HotAddRequest {
                range,
                region: Some(range),
            }),
            "HOT_ADD_REQUEST #4 0x100+0x10 in 0x100+0x10",
        ),
        (
            keyboard::HostMessage::Event(keyboard::Keystroke {
                make_code: 0x1c.into(),
                flags: 2.into(),
                ..Default::default()
            })
            .to_string(),
            "EVENT code 0x1c flags 0x2",
        ),
        (
            mouse::HostMessage::InputReport(&[0; 7]).to_string(),
            "INPUT_REPORT of 7 bytes",
        ),
    ] {
        assert_eq!(shown, text);
    }
}
