//! How much each source prefix, or name in the Unix domain, is answered: a token bucket each, in a
//! table of a fixed size.
//!
//! A prefix is the first 24 bits of an IPv4 address and the first 64 of an IPv6 one: what one
//! customer has, and what whoever writes false sources into his datagrams would aim at. BIND's
//! response rate limiting takes 24 too; an IPv6 host picks any address of its /64 at will.
//!
//! The bucket is kept as in the generic cell rate algorithm (ITU-T I.371, virtual scheduling): one
//! instant, at which it is full again. A full bucket is what an unknown prefix has, so forgetting
//! it loses nothing. What must not be here: which sources are exempt.

use super::hash;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Prefixes that are followed at once: 4,096 are 128 KiB, taken where there is a rate. A power of
/// two.
const PREFIXES_MAX: usize = 4_096;

/// Places in which one prefix may stand.
const WAYS: usize = 8;

/// One customer's part of an address, or a hash of a sender's name in the Unix domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prefix {
    V4([u8; 3]),
    V6([u8; 8]),
    Name(u64),
}

impl Prefix {
    pub(super) fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => {
                let [a, b, c, _] = ip.octets();
                Prefix::V4([a, b, c])
            }
            IpAddr::V6(ip) => Prefix::V6(((ip.to_bits() >> 64) as u64).to_be_bytes()),
        }
    }

    fn hash(self) -> u64 {
        match self {
            Prefix::V4(bytes) => hash::of_bytes(&bytes),
            Prefix::V6(bytes) => hash::of_bytes(&bytes),
            Prefix::Name(hash) => hash,
        }
    }
}

/// A bucket, by the instant at which it is full again.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    prefix: Prefix,
    full_at: Instant,
}

/// All buckets. A prefix whose set is full of others that are not full yet shares one bucket with
/// all that are in its case: so answers a second are bounded by the rate times one more than
/// [`PREFIXES_MAX`], and nobody gets a fresh bucket by filling the table.
#[derive(Debug)]
pub(super) struct Prefixes {
    /// Between two answers; zero for no limit.
    interval: Duration,
    /// How far a bucket's `full_at` may be ahead of now.
    depth: Duration,
    buckets: Box<[Option<Bucket>]>,
    shared_full_at: Option<Instant>,
}

impl Prefixes {
    /// `rate` answers a second, and `burst` at once; a `rate` of 0 limits nothing.
    pub(super) fn new(rate: u32, burst: u32) -> Self {
        let limited = rate > 0;
        let interval = if limited { Duration::from_secs(1) / rate } else { Duration::ZERO };
        let buckets = if limited { PREFIXES_MAX } else { 0 };
        Prefixes {
            interval,
            depth: interval * burst,
            buckets: vec![None; buckets].into_boxed_slice(),
            shared_full_at: None,
        }
    }

    /// Takes a token of the prefix; false where it has none.
    pub(super) fn admits(&mut self, prefix: Prefix, now: Instant) -> bool {
        if self.interval.is_zero() {
            return true;
        }
        let sets = PREFIXES_MAX / WAYS;
        let set = &mut self.buckets[prefix.hash() as usize % sets * WAYS..][..WAYS];
        let mut known = set.iter().position(|place| place.is_some_and(|b| b.prefix == prefix));
        if known.is_none() {
            known = set.iter().position(|place| place.is_none_or(|b| b.full_at <= now));
        }
        let full_at = match known.and_then(|place| set[place]) {
            Some(bucket) if bucket.prefix == prefix => bucket.full_at,
            _ if known.is_some() => now,
            _ => self.shared_full_at.unwrap_or(now),
        };
        let full_at = full_at.max(now) + self.interval;
        if full_at > now + self.depth {
            return false;
        }
        match known {
            Some(place) => set[place] = Some(Bucket { prefix, full_at }),
            None => self.shared_full_at = Some(full_at),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn v4(n: u32) -> IpAddr {
        IpAddr::V4((0x0b00_0000 + n).into())
    }

    /// How many of `asked` are admitted at this moment.
    fn admitted(prefixes: &mut Prefixes, from: IpAddr, asked: u32, now: Instant) -> u32 {
        (0..asked).map(|_| u32::from(prefixes.admits(Prefix::of(from), now))).sum()
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let (mut prefixes, start) = (Prefixes::new(10, 5), Instant::now());
        assert_eq!(admitted(&mut prefixes, ip("192.0.2.1"), 100, start), 5);
        let mut later = 0;
        for ms in (100..=2_000).step_by(100) {
            let now = start + Duration::from_millis(ms);
            later += admitted(&mut prefixes, ip("192.0.2.1"), 100, now);
        }
        assert_eq!(later, 20, "ten a second");
        let rested = start + Duration::from_secs(60);
        assert_eq!(admitted(&mut prefixes, ip("192.0.2.1"), 100, rested), 5, "no more is saved up");
    }

    #[test]
    fn a_prefix_is_24_bits_of_ipv4_and_64_of_ipv6() {
        let (mut prefixes, now) = (Prefixes::new(1, 1), Instant::now());
        for (from, fresh) in [
            ("192.0.2.1", true),
            ("192.0.2.255", false),
            ("192.0.3.1", true),
            ("2001:db8::1", true),
            ("2001:db8::ffff:1:2:3", false),
            ("2001:db8:0:1::1", true),
        ] {
            assert_eq!(prefixes.admits(Prefix::of(ip(from)), now), fresh, "{from}");
        }
    }

    #[test]
    fn no_rate_is_no_limit_and_no_table() {
        let (mut prefixes, now) = (Prefixes::new(0, 1), Instant::now());
        assert_eq!(admitted(&mut prefixes, ip("192.0.2.1"), 100_000, now), 100_000);
        assert_eq!(prefixes.buckets.len(), 0);
    }

    #[test]
    fn whoever_fills_the_table_gets_no_fresh_bucket_for_it_and_takes_none_away() {
        let (mut prefixes, now) = (Prefixes::new(1, 2), Instant::now());
        let victim = ip("192.0.2.1");
        assert_eq!(admitted(&mut prefixes, victim, 10, now), 2);
        let strangers = (0..100_000).map(|n| admitted(&mut prefixes, v4(n << 8), 1, now));
        let strangers: u32 = strangers.sum();
        assert!(strangers <= PREFIXES_MAX as u32 + 2, "{strangers} answers");
        assert_eq!(admitted(&mut prefixes, victim, 10, now), 0, "it is remembered");
        assert_eq!(prefixes.buckets.len(), PREFIXES_MAX);
        let later = now + Duration::from_secs(2);
        assert_eq!(
            admitted(&mut prefixes, v4(200_000 << 8), 10, later),
            2,
            "places are free again"
        );
    }
}
