//! Which dial comes next, and from where. Pure: it hands out actions.

use crate::handler::{Action, Endpoint};
use std::net::Ipv4Addr;
use std::time::Duration;

/// Dials without an answer at a time. On one machine the answer comes at once, from the kernel and
/// not from the server: what bounds the server's listen queue is `crowd::BATCH`.
pub(in crate::bench) const DIALS_MAX: usize = 256;

/// How long a dial may take. Linux asks again after 1, 3 and 7 seconds.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// Up to so many dials from one address. Linux has 28,232 ports for each (source, destination),
/// but it searches them one by one and half of them first: the last of 19,000 dials took half a
/// millisecond of kernel time each, and a run a minute ago has left its ports in TIME_WAIT.
const DIALS_PER_SOURCE: usize = 2_000;

/// Sources beyond that: 127.0.0.1 to 127.0.0.250.
const SOURCES: usize = 250;

/// The dials of a run, all to one address.
pub(in crate::bench) struct Dials {
    pub(in crate::bench) to: Endpoint,
    /// Round many source addresses: only loopback has them to give.
    many_sources: bool,
    begun: usize,
}

impl Dials {
    /// `peers` are all that will ever be dialed.
    pub(in crate::bench) fn new(to: Endpoint, peers: usize) -> Self {
        let ip = to.ip().map(|to| to.ip());
        let loopback = ip.is_some_and(|ip| ip.is_ipv4() && ip.is_loopback());
        Dials { to, many_sources: loopback && peers > DIALS_PER_SOURCE, begun: 0 }
    }

    /// What is dialed, for what is told of it.
    pub(in crate::bench) fn place(&self) -> String {
        match &self.to {
            Endpoint::Ip(to) => format!("tcp {to}"),
            unix => unix.to_string(),
        }
    }

    /// The next one on the way to `peers`, of which `opened` are connected; None when all are
    /// begun, or when answers must come first.
    pub(in crate::bench) fn next(&mut self, peers: usize, opened: usize) -> Option<Action> {
        if self.begun >= peers || self.begun - opened >= DIALS_MAX {
            return None;
        }
        Some(self.dial())
    }

    /// One more, whatever has become of the others.
    pub(in crate::bench) fn dial(&mut self) -> Action {
        let source = Ipv4Addr::new(127, 0, 0, 1 + (self.begun % SOURCES) as u8);
        let from = self.many_sources.then(|| (source, 0).into());
        self.begun += 1;
        Action::Connect { to: self.to.clone(), from, timeout: DIAL_TIMEOUT }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    fn sources(to: &str, peers: usize) -> Vec<Option<SocketAddr>> {
        let mut dials = Dials::new(Endpoint::Ip(to.parse().unwrap()), peers);
        let dialed = (0..peers).map(|opened| dials.next(peers, opened));
        dialed
            .map(|action| match action {
                Some(Action::Connect { from, .. }) => from,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn a_crowd_on_loopback_comes_from_many_addresses_and_others_from_one() {
        let crowd = sources("127.0.0.1:1", DIALS_PER_SOURCE + 1);
        assert_eq!(crowd[0], Some("127.0.0.1:0".parse().unwrap()));
        assert_eq!(crowd[249], Some("127.0.0.250:0".parse().unwrap()));
        assert_eq!(crowd[250], crowd[0]);
        assert!(sources("127.0.0.1:1", DIALS_PER_SOURCE).iter().all(Option::is_none));
        assert!(sources("10.0.0.1:1", DIALS_PER_SOURCE + 1).iter().all(Option::is_none));
        assert!(sources("[::1]:1", DIALS_PER_SOURCE + 1).iter().all(Option::is_none));
    }

    #[test]
    fn dials_wait_for_answers_and_stop_at_the_number_asked_for() {
        let mut dials = Dials::new(Endpoint::Ip("127.0.0.1:1".parse().unwrap()), 1_000);
        let begun = std::iter::from_fn(|| dials.next(1_000, 0)).count();
        assert_eq!(begun, DIALS_MAX);
        assert!(dials.next(1_000, 1).is_some() && dials.next(1_000, 1).is_none());
        let rest = std::iter::from_fn(|| dials.next(300, 200)).count();
        assert_eq!(rest, 300 - DIALS_MAX - 1);
    }
}
