//! Which station holds which address.

use std::net::Ipv4Addr;

use smoltcp::time::{Duration, Instant};
use smoltcp::wire::EthernetAddress;

/// How long an offered address is kept for the station that asked.
const OFFER_TIME: Duration = Duration::from_secs(30);
/// How long an address that a station found in use is left alone.
const DECLINE_TIME: Duration = Duration::from_secs(600);

/// A fixed range of addresses. A lease that ran out still names its station, which gets the same address again
/// unless all others are taken.
#[derive(Debug)]
pub(super) struct Leases {
    first: Ipv4Addr,
    slots: Vec<Option<Lease>>,
    lease_time: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Lease {
    /// `None` for an address that a station declined.
    station: Option<EthernetAddress>,
    until: Instant,
}

impl Leases {
    pub(super) fn new(first: Ipv4Addr, count: u16, lease_time: Duration) -> Self {
        Self {
            first,
            slots: vec![None; count.into()],
            lease_time,
        }
    }

    /// Reserves an address for `station` for a short time: the one it has, else the one it asks for, else one that
    /// nobody had, else the one that has been free longest. `None` when all are taken.
    pub(super) fn offer(
        &mut self,
        station: EthernetAddress,
        wanted: Option<Ipv4Addr>,
        now: Instant,
    ) -> Option<Ipv4Addr> {
        let index = self
            .index_of_station(station)
            .or_else(|| {
                wanted
                    .and_then(|wanted| self.index_of(wanted))
                    .filter(|&index| self.is_free(index, now))
            })
            .or_else(|| self.slots.iter().position(Option::is_none))
            .or_else(|| self.longest_free(now))?;
        let slot = self.slots.get_mut(index)?;
        let held_until = slot
            .filter(|lease| lease.station == Some(station))
            .map(|lease| lease.until);
        let until = held_until.map_or(now + OFFER_TIME, |held| held.max(now + OFFER_TIME));
        *slot = Some(Lease {
            station: Some(station),
            until,
        });
        self.address(index)
    }

    /// Leases `address` to `station`; false when it is another's or not in the range.
    #[must_use]
    pub(super) fn bind(&mut self, station: EthernetAddress, address: Ipv4Addr, now: Instant) -> bool {
        let Some(index) = self.index_of(address) else {
            return false;
        };
        let own = self.index_of_station(station);
        if own != Some(index) && !self.is_free(index, now) {
            return false;
        }
        // A station has one address: what it had otherwise is free again.
        self.clear(own);
        if let Some(slot) = self.slots.get_mut(index) {
            *slot = Some(Lease {
                station: Some(station),
                until: now + self.lease_time,
            });
        }
        true
    }

    /// The station gives its address back.
    pub(super) fn release(&mut self, station: EthernetAddress, address: Ipv4Addr, now: Instant) {
        if let Some(lease) = self.held(station, address) {
            lease.until = now;
        }
    }

    /// The station found its address in use by another.
    pub(super) fn decline(&mut self, station: EthernetAddress, address: Ipv4Addr, now: Instant) {
        if let Some(lease) = self.held(station, address) {
            *lease = Lease {
                station: None,
                until: now + DECLINE_TIME,
            };
        }
    }

    fn held(&mut self, station: EthernetAddress, address: Ipv4Addr) -> Option<&mut Lease> {
        let index = self.index_of(address)?;
        self.slots
            .get_mut(index)?
            .as_mut()
            .filter(|lease| lease.station == Some(station))
    }

    fn clear(&mut self, index: Option<usize>) {
        if let Some(slot) = index.and_then(|index| self.slots.get_mut(index)) {
            *slot = None;
        }
    }

    fn index_of_station(&self, station: EthernetAddress) -> Option<usize> {
        self.slots
            .iter()
            .position(|slot| slot.is_some_and(|lease| lease.station == Some(station)))
    }

    fn index_of(&self, address: Ipv4Addr) -> Option<usize> {
        let offset = u32::from(address).checked_sub(u32::from(self.first))?;
        usize::try_from(offset)
            .ok()
            .filter(|&index| index < self.slots.len())
    }

    fn address(&self, index: usize) -> Option<Ipv4Addr> {
        let offset = u32::try_from(index).ok()?;
        u32::from(self.first).checked_add(offset).map(Ipv4Addr::from)
    }

    fn is_free(&self, index: usize, now: Instant) -> bool {
        self.slots
            .get(index)
            .is_some_and(|slot| slot.is_none_or(|lease| lease.until <= now))
    }

    fn longest_free(&self, now: Instant) -> Option<usize> {
        let ended = self
            .slots
            .iter()
            .enumerate()
            .filter_map(|(index, slot)| Some((index, slot.as_ref()?.until)));
        ended
            .filter(|&(_, until)| until <= now)
            .min_by_key(|&(_, until)| until)
            .map(|(index, _)| index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
    const SECOND: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 16);
    const LEASE: Duration = Duration::from_secs(3600);

    fn station(number: u8) -> EthernetAddress {
        EthernetAddress([2, 0, 0, 0, 0, number])
    }

    fn at(seconds: i64) -> Instant {
        Instant::from_secs(seconds)
    }

    #[test]
    fn a_station_keeps_its_address() {
        let mut leases = Leases::new(FIRST, 2, LEASE);
        assert_eq!(leases.offer(station(1), None, at(0)), Some(FIRST));
        assert!(leases.bind(station(1), FIRST, at(1)));
        assert_eq!(leases.offer(station(2), Some(FIRST), at(2)), Some(SECOND));
        assert_eq!(leases.offer(station(1), Some(SECOND), at(3)), Some(FIRST));
        // The new discovery did not shorten the lease to an offer's time.
        assert!(!leases.bind(station(3), FIRST, at(100)));
        // It has run out, and is still the station's.
        assert_eq!(leases.offer(station(1), None, at(9000)), Some(FIRST));
    }

    #[test]
    fn a_full_range_offers_nothing_until_an_offer_lapses() {
        let mut leases = Leases::new(FIRST, 2, LEASE);
        assert!(leases.bind(station(1), FIRST, at(0)));
        assert_eq!(leases.offer(station(2), None, at(0)), Some(SECOND));
        assert_eq!(leases.offer(station(3), None, at(29)), None);
        assert_eq!(leases.offer(station(3), None, at(30)), Some(SECOND));
        assert!(!leases.bind(station(2), SECOND, at(31)));
    }

    #[test]
    fn the_longest_free_address_is_reused_first() {
        let mut leases = Leases::new(FIRST, 2, LEASE);
        assert!(leases.bind(station(1), FIRST, at(10)));
        assert!(leases.bind(station(2), SECOND, at(0)));
        assert_eq!(leases.offer(station(3), None, at(5000)), Some(SECOND));
    }

    #[test]
    fn one_station_holds_one_address() {
        let mut leases = Leases::new(FIRST, 2, LEASE);
        assert!(leases.bind(station(1), FIRST, at(0)));
        assert!(leases.bind(station(1), SECOND, at(0)));
        assert!(leases.bind(station(2), FIRST, at(0)));
    }

    #[test]
    fn only_the_holder_releases_or_declines() {
        let mut leases = Leases::new(FIRST, 1, LEASE);
        assert!(leases.bind(station(1), FIRST, at(0)));
        leases.release(station(2), FIRST, at(1));
        leases.decline(station(2), FIRST, at(1));
        assert!(!leases.bind(station(2), FIRST, at(1)));
        leases.release(station(1), FIRST, at(1));
        assert!(leases.bind(station(2), FIRST, at(1)));
        leases.decline(station(2), FIRST, at(2));
        assert_eq!(leases.offer(station(2), None, at(3)), None);
        assert_eq!(leases.offer(station(2), None, at(602)), Some(FIRST));
    }

    #[test]
    fn addresses_out_of_the_range_are_nobodys() {
        let mut leases = Leases::new(FIRST, 2, LEASE);
        for address in [
            Ipv4Addr::new(10, 0, 2, 14),
            Ipv4Addr::new(10, 0, 2, 17),
            Ipv4Addr::UNSPECIFIED,
        ] {
            assert!(!leases.bind(station(1), address, at(0)));
        }
        assert_eq!(
            leases.offer(station(1), Some(Ipv4Addr::BROADCAST), at(0)),
            Some(FIRST)
        );
    }
}
