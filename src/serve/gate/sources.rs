//! How many peers there are, from where, and how fast they come: three limits, pure.
//!
//! The rate is a token bucket kept as one moment, the "theoretical arrival time" of the generic
//! cell rate algorithm (ITU-T I.371): a bucket that is full again needs no memory at all.

use crate::handler::CloseReason;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Sources without a peer that are remembered because they connected within the last second. When
/// the table is full, those whose second is over are forgotten; if none is, the newest is not
/// remembered: its rate is not limited, its peers and all peers together still are.
pub(crate) const SOURCES_IDLE_MAX: usize = 16 * 1024;

/// The highest `--connect-rate`: one a microsecond is no limit any more.
pub const CONNECT_RATE_MAX: u32 = 1_000_000;

/// A bucket holds the connections of so long.
const BURST: Duration = Duration::from_secs(1);

/// Of an IPv6 address so many bits count: whoever has a network has at least a /64 (RFC 6177), and
/// takes a new address for each connection where it helps.
const IPV6_BITS: u32 = 64;

/// The limits. None of them is set to begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crowd {
    /// Peers at once, those that are still to say the secret included; at least 1.
    pub peers_max: usize,
    /// Peers at once from one address; 0 for no limit.
    pub per_address_max: usize,
    /// Connections a second from one address, as many at once, at most [`CONNECT_RATE_MAX`]; 0 for
    /// no limit.
    pub connect_rate: u32,
}

impl Default for Crowd {
    fn default() -> Self {
        Crowd { peers_max: usize::MAX, per_address_max: 0, connect_rate: 0 }
    }
}

/// Who is there, by source.
#[derive(Default)]
pub(crate) struct Sources {
    /// Those with a peer, and at most [`SOURCES_IDLE_MAX`] others.
    known: BTreeMap<IpAddr, Source>,
    /// How many of them have no peer.
    idle: usize,
    /// When the idle ones were looked through last.
    looked: Option<Instant>,
    /// Peers that were let in and have not left, loopback's too.
    peers: usize,
}

struct Source {
    peers: usize,
    /// When its bucket is full again.
    full_at: Instant,
}

impl Sources {
    /// One more peer, where the limits allow it; counted until [`Sources::left`]. Those without an
    /// address, by a Unix socket, count among all peers alone, as those of the loopback do.
    pub(crate) fn enter(
        &mut self,
        from: impl Into<Option<IpAddr>>,
        crowd: &Crowd,
        now: Instant,
    ) -> Result<(), CloseReason> {
        if self.peers >= crowd.peers_max {
            return Err(CloseReason::Full);
        }
        if let Some(from) = from.into().filter(|from| !from.is_loopback()) {
            let source = source_of(from);
            let before = self.known.get(&source);
            let (peers, full_at) = before.map_or((0, now), |known| (known.peers, known.full_at));
            if crowd.per_address_max > 0 && peers >= crowd.per_address_max {
                return Err(CloseReason::AddressFull);
            }
            let mut full_at = full_at.max(now);
            if crowd.connect_rate > 0 {
                full_at += BURST / crowd.connect_rate;
                if full_at > now + BURST {
                    return Err(CloseReason::TooFast);
                }
            }
            self.idle -= usize::from(before.is_some() && peers == 0);
            self.known.insert(source, Source { peers: peers + 1, full_at });
        }
        self.peers += 1;
        Ok(())
    }

    /// A peer that was let in is gone.
    pub(crate) fn left(&mut self, from: impl Into<Option<IpAddr>>, now: Instant) {
        self.peers -= 1;
        let source = from.into().filter(|from| !from.is_loopback()).map(source_of);
        let Some((source, known)) =
            source.and_then(|source| Some((source, self.known.get_mut(&source)?)))
        else {
            return;
        };
        known.peers -= 1;
        if known.peers > 0 {
            return;
        }
        self.idle += 1;
        if known.full_at <= now || !self.has_room(now) {
            self.known.remove(&source);
            self.idle -= 1;
        }
    }

    /// Whether the idle ones, the newest included, are no more than they may be. They are looked
    /// through at most once in the time in which all of them can be forgotten.
    fn has_room(&mut self, now: Instant) -> bool {
        let over = self.idle > SOURCES_IDLE_MAX;
        if over && self.looked.is_none_or(|looked| now >= looked + BURST) {
            self.looked = Some(now);
            self.known.retain(|_, known| known.peers > 0 || known.full_at > now);
            self.idle = self.known.values().filter(|known| known.peers == 0).count();
        }
        self.idle <= SOURCES_IDLE_MAX
    }

    /// The most that one peer takes here, in bytes; a place in a tree counts twice.
    #[cfg(test)]
    pub(super) fn peer_bytes() -> usize {
        2 * size_of::<(IpAddr, Source)>()
    }

    /// Peers that were let in and have not left.
    pub(crate) fn peers(&self) -> usize {
        self.peers
    }
}

/// What counts as one address.
fn source_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & u128::MAX << (128 - IPV6_BITS)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn peers_are_counted_up_to_the_limit_loopback_included() {
        let (mut sources, now) = (Sources::default(), Instant::now());
        let crowd = Crowd { peers_max: 2, ..Crowd::default() };
        assert_eq!(sources.enter(ip("192.0.2.1"), &crowd, now), Ok(()));
        assert_eq!(sources.enter(ip("127.0.0.1"), &crowd, now), Ok(()));
        assert_eq!(sources.enter(ip("127.0.0.1"), &crowd, now), Err(CloseReason::Full));
        sources.left(ip("127.0.0.1"), now);
        assert_eq!(sources.enter(ip("192.0.2.9"), &crowd, now), Ok(()));
    }

    #[test]
    fn one_address_has_so_many_peers_and_another_one_its_own() {
        let (mut sources, now) = (Sources::default(), Instant::now());
        let crowd = Crowd { per_address_max: 2, ..Crowd::default() };
        let (one, other) = (ip("192.0.2.1"), ip("192.0.2.2"));
        for _ in 0..2 {
            assert_eq!(sources.enter(one, &crowd, now), Ok(()));
        }
        assert_eq!(sources.enter(one, &crowd, now), Err(CloseReason::AddressFull));
        assert_eq!(sources.enter(other, &crowd, now), Ok(()));
        sources.left(one, now);
        assert_eq!(sources.enter(one, &crowd, now), Ok(()));
        assert_eq!(sources.peers(), 3);
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one() {
        let (mut sources, now) = (Sources::default(), Instant::now());
        let crowd = Crowd { per_address_max: 1, ..Crowd::default() };
        assert_eq!(sources.enter(ip("2001:db8:0:1::1"), &crowd, now), Ok(()));
        let again = sources.enter(ip("2001:db8:0:1:ffff::2"), &crowd, now);
        assert_eq!(again, Err(CloseReason::AddressFull));
        assert_eq!(sources.enter(ip("2001:db8:0:2::1"), &crowd, now), Ok(()));
    }

    #[test]
    fn the_rate_lets_a_second_s_worth_in_at_once_and_then_one_after_the_other() {
        let (mut sources, start) = (Sources::default(), Instant::now());
        let crowd = Crowd { connect_rate: 4, ..Crowd::default() };
        let from = ip("192.0.2.1");
        let mut knock = |ms| {
            let now = start + Duration::from_millis(ms);
            let entered = sources.enter(from, &crowd, now);
            if entered.is_ok() {
                sources.left(from, now); // it does not help to leave
            }
            entered
        };
        for _ in 0..4 {
            assert_eq!(knock(0), Ok(()));
        }
        assert_eq!(knock(0), Err(CloseReason::TooFast));
        assert_eq!(knock(249), Err(CloseReason::TooFast), "who is refused is not charged");
        assert_eq!(knock(250), Ok(()));
        assert_eq!(knock(250), Err(CloseReason::TooFast));
    }

    #[test]
    fn loopback_has_no_limit_of_its_own() {
        let (mut sources, now) = (Sources::default(), Instant::now());
        let crowd = Crowd { per_address_max: 1, connect_rate: 1, ..Crowd::default() };
        for from in ["127.0.0.1", "127.8.8.8", "::1"] {
            for _ in 0..5 {
                assert_eq!(sources.enter(ip(from), &crowd, now), Ok(()));
            }
        }
        sources.left(ip("::1"), now);
        assert_eq!((sources.peers(), sources.known.len()), (14, 0));
    }

    #[test]
    fn a_limit_that_is_set_later_counts_who_is_there() {
        let (mut sources, now) = (Sources::default(), Instant::now());
        let from = ip("192.0.2.1");
        assert_eq!(sources.enter(from, &Crowd::default(), now), Ok(()));
        let crowd = Crowd { per_address_max: 1, ..Crowd::default() };
        assert_eq!(sources.enter(from, &crowd, now), Err(CloseReason::AddressFull));
    }

    #[test]
    fn nothing_is_remembered_of_a_source_whose_bucket_is_full() {
        let (mut sources, now) = (Sources::default(), Instant::now());
        let from = ip("192.0.2.1");
        sources.enter(from, &Crowd::default(), now).unwrap();
        sources.left(from, now);
        assert_eq!((sources.known.len(), sources.idle), (0, 0));
    }

    #[test]
    fn the_table_is_bounded_and_makes_room_for_new_ones_when_a_second_is_over() {
        let (mut sources, now) = (Sources::default(), Instant::now());
        let crowd = Crowd { connect_rate: 1, ..Crowd::default() };
        let address = |n: u32| IpAddr::from((0x0a00_0000 + n).to_be_bytes());
        let stay = address(0);
        sources.enter(stay, &crowd, now).unwrap();
        let mut pass = |n, now| {
            sources.enter(address(n), &crowd, now).unwrap();
            sources.left(address(n), now);
            (sources.known.len(), sources.idle)
        };
        let all = SOURCES_IDLE_MAX as u32 + 100;
        let full = (1..=all).map(|n| pass(n, now)).last().unwrap();
        assert_eq!(full, (SOURCES_IDLE_MAX + 1, SOURCES_IDLE_MAX));
        let later = now + BURST;
        assert_eq!(pass(all + 1, later), (2, 1), "the newest, and who is still there");
        assert_eq!(sources.enter(stay, &crowd, now), Err(CloseReason::TooFast));
    }
}
