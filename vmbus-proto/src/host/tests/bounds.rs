//! What a guest can make the host hold. What of memory lists it refuses is tested with the rest of them:
//! `case_19_more_gpadls_than_there_is_room_for`.

use std::vec;

use super::*;

#[test]
fn case_13_more_sub_channels_than_there_is_room_for() {
    let mut storage = vec![0; 64];
    let mut host = small_host(&mut storage);
    let primary = host.offer(device(1)).unwrap();
    host.connect(Version::IRON);
    host.open(primary.relid(), RING);
    // 6 channels, one of them taken.
    for index in 1..=5 {
        host.offer_subchannel(primary, index).unwrap();
    }
    assert_eq!(
        host.offer_subchannel(primary, 6),
        Err(OfferError::Full { capacity: 6 })
    );
    assert_eq!(host.offer(device(2)), Err(OfferError::Full { capacity: 6 }));
    assert_eq!(host.said().len(), 5);
    // Those that are rescinded have their place until the guest has let go.
    host.hear(&say::close_channel(primary.relid())).unwrap();
    let ticket = host.close_event();
    host.complete_close(ticket).unwrap();
    assert_eq!(host.said().len(), 5);
    assert_eq!(host.offer(device(2)), Err(OfferError::Full { capacity: 6 }));
    for relid in 2..=6 {
        host.hear(&say::released(RelId::new(relid))).unwrap();
    }
    assert_eq!(host.events().len(), 5);
    host.offer(device(2)).unwrap();
}

#[test]
fn case_19_a_guest_that_fetches_no_answers_has_to_wait() {
    let mut storage = vec![0; 64];
    let mut host = small_host(&mut storage);
    let relid = host.offer(device(1)).unwrap().relid();
    host.connect(Version::IRON);
    let lend = |host: &mut SmallHost<'_>, id| {
        host.hear(&say::header(relid, GpadlId::new(id), 16, 1, &say::range(1, 1)))
    };
    for id in 0..4 {
        lend(&mut host, id).unwrap();
    }
    for _ in 0..3 {
        assert_eq!(lend(&mut host, 4), Err(HandleError::Busy));
    }
    // Refused ones too have an answer, so they wait as well.
    assert_eq!(
        host.hear(&say::teardown(relid, GpadlId::new(9))),
        Err(HandleError::Busy)
    );
    // One is fetched, so one is taken. Nothing was lost or done twice.
    assert_eq!(
        host.say().unwrap().message,
        created(relid, GpadlId::new(0), Status::SUCCESS)
    );
    lend(&mut host, 4).unwrap();
    assert_eq!(lend(&mut host, 5), Err(HandleError::Busy));
    assert_eq!(host.said().len(), 4);
    // A guest that crashes is heard.
    while lend(&mut host, 7) != Err(HandleError::Busy) {}
    host.hear(&GuestMessage::Unload).unwrap();
    assert_eq!(host.said(), [HostMessage::UnloadResponse]);
}

#[test]
fn case_19_answers_that_the_embedder_owes_have_their_place() {
    let mut storage = vec![0; 64];
    let mut host = small_host(&mut storage);
    let channels = [1, 2, 3, 4].map(|number| host.offer(device(number)).unwrap());
    host.connect(Version::IRON);
    let mut tickets = std::vec::Vec::new();
    for channel in channels {
        assert_eq!(
            host.lend(channel.relid(), GpadlId::new(channel.relid().value()), 4),
            Status::SUCCESS
        );
    }
    for channel in channels {
        let ring = GpadlId::new(channel.relid().value());
        host.hear(&say::open_channel(say::open(channel.relid(), ring)))
            .unwrap();
        tickets.push(host.open_event().1);
    }
    // 4 answers are owed.
    let late = host.hear(&say::teardown(channels[0].relid(), GPADL));
    assert_eq!(late, Err(HandleError::Busy));
    for ticket in tickets {
        Host::complete_open(&mut host, ticket, Status::SUCCESS).unwrap();
        assert_eq!(
            host.hear(&say::teardown(channels[0].relid(), GPADL)),
            Err(HandleError::Busy)
        );
    }
    assert_eq!(
        host.said(),
        channels.map(|channel| opened(channel.relid(), Status::SUCCESS))
    );
}

#[test]
fn an_id_is_used_again_as_late_as_can_be() {
    let mut host = small_host(&mut []);
    let stays = host.offer(device(0)).unwrap().relid();
    assert_eq!(stays, RelId::new(1));
    for round in 0..5000u32 {
        let channel = host.offer(device(1)).unwrap();
        // 2 to 2047, and again.
        assert_eq!(channel.relid(), RelId::new(2 + round % 2046));
        host.rescind(channel).unwrap();
        assert_eq!(host.events(), [Event::Released { channel }]);
    }
}

#[test]
fn the_engine_is_of_a_fixed_size() {
    // As the crate's documentation says, on a 64-bit machine.
    let size = size_of::<Host<'_>>();
    assert!(size <= 33 * 1024, "{size}");
}
