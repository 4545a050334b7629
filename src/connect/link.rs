//! The link to the server: which address is dialed next and when, and what is told of it; pure.
//! It holds no socket: it answers with dials to be made and lines to be told.

use super::backoff::{Backoff, WAIT_MAX};
use crate::handler::{Action, Call, CloseReason, Endpoint, PeerId};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A link that lasted so long was a good one. A server that accepts and ends at once is dialed ever
/// more seldom.
const GOOD_AFTER: Duration = WAIT_MAX;

/// How the link stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// A dial is under way.
    Dialing,
    /// It is up, since then.
    Up(PeerId, Instant),
    /// The next round of dials begins then.
    Waiting(Instant),
}

/// What follows from the end of a dial or of the link.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Tell this and dial.
    Dial(String),
    /// Tell this; [`Link::due`] will say when to dial.
    Wait(String),
    /// Nothing more is tried, and this is why.
    Over(String),
}

/// One server's addresses, and the way round them.
pub(super) struct Link {
    /// As it was typed.
    server: String,
    /// At least one.
    addresses: Vec<Endpoint>,
    /// Which of them is dialed or connected.
    at: usize,
    /// How many of them failed in this round.
    failed: usize,
    from: Option<SocketAddr>,
    timeout: Duration,
    /// Where a link that is lost is dialed again.
    backoff: Option<Backoff>,
    state: State,
    /// Since when there is no link, where there was one.
    away_since: Option<Instant>,
    /// Rounds that were waited for since the link was up last.
    tries: u64,
}

impl Link {
    /// To be dialed. `addresses` are of `from`'s family.
    pub(super) fn new(
        server: String,
        addresses: Vec<Endpoint>,
        from: Option<SocketAddr>,
        timeout: Duration,
        backoff: Option<Backoff>,
    ) -> Self {
        assert!(!addresses.is_empty(), "a server has an address");
        let state = State::Dialing;
        let (at, failed, away_since, tries) = (0, 0, None, 0);
        Link { server, addresses, at, failed, from, timeout, backoff, state, away_since, tries }
    }

    /// The dial that is wanted now.
    pub(super) fn dial(&mut self) -> Action {
        self.state = State::Dialing;
        Action::Connect {
            to: self.addresses[self.at].clone(),
            from: self.from,
            timeout: self.timeout,
        }
    }

    /// The link's connection, where it is up.
    pub(super) fn peer(&self) -> Option<PeerId> {
        match self.state {
            State::Up(peer, _) => Some(peer),
            State::Dialing | State::Waiting(_) => None,
        }
    }

    /// Whether a link that is lost is dialed again.
    pub(super) fn reconnects(&self) -> bool {
        self.backoff.is_some()
    }

    /// When the next round begins, where one is waited for.
    pub(super) fn due(&self) -> Option<Instant> {
        match self.state {
            State::Waiting(until) => Some(until),
            State::Dialing | State::Up(..) => None,
        }
    }

    /// A dial succeeded. What to tell, where there was trouble before.
    pub(super) fn opened(&mut self, peer: PeerId, now: Instant) -> Option<String> {
        let again = self.away_since.take().map(|since| {
            let away = seconds(now.saturating_duration_since(since));
            format!("connected again to {}, {away} s away", self.place())
        });
        self.state = State::Up(peer, now);
        self.failed = 0;
        self.tries = 0;
        again
    }

    /// The dial under way failed.
    pub(super) fn dial_failed(&mut self, why: CloseReason, now: Instant) -> Next {
        let error = match why {
            CloseReason::Failed(Call::Connect, errno) => io::Error::from_raw_os_error(errno).kind(),
            _ => ErrorKind::Other,
        };
        let hint = match error {
            ErrorKind::ConnectionRefused => "; no server listens there".to_owned(),
            ErrorKind::AddrNotAvailable if self.from.is_some() => {
                let from = self.from.map_or(String::new(), |from| from.ip().to_string());
                format!("; is {from} an address of this host?")
            }
            ErrorKind::NotFound => "; no server listens there".to_owned(),
            ErrorKind::WouldBlock => "; too many wait there to be let in".to_owned(),
            ErrorKind::PermissionDenied if self.is_unix() => {
                "; the permissions of the path do not let us in".to_owned()
            }
            _ => String::new(),
        };
        let tcp = if self.is_unix() { "" } else { "tcp " };
        let line = format!("{tcp}{}: {why}{hint}", self.place());
        self.at = (self.at + 1) % self.addresses.len();
        self.failed += 1;
        if self.failed < self.addresses.len() {
            return Next::Dial(format!("{line}; trying the next address"));
        }
        self.wait(line, now)
    }

    /// The link that was up broke: the line that says so.
    pub(super) fn broken(&self, why: &str) -> String {
        format!("connection to {}: {why}", self.place())
    }

    /// The link that was up is gone, and is to be dialed again.
    pub(super) fn lost(&mut self, why: &str, now: Instant) -> Next {
        let line = self.broken(why);
        if let State::Up(_, since) = self.state
            && now.saturating_duration_since(since) >= GOOD_AFTER
            && let Some(backoff) = &mut self.backoff
        {
            backoff.reset();
        }
        self.away_since = Some(now);
        self.wait(line, now)
    }

    fn wait(&mut self, line: String, now: Instant) -> Next {
        self.failed = 0;
        self.state = State::Dialing;
        match self.backoff.as_mut().and_then(Backoff::next) {
            Some(wait) => {
                self.state = State::Waiting(now + wait);
                self.tries += 1;
                Next::Wait(format!("{line}; trying again in {} s", seconds(wait)))
            }
            None => Next::Over(line),
        }
    }

    /// How it stands, for a row of status: the address, and what is done where the link is down. And
    /// when that will be something else by itself: seconds are counted down.
    pub(super) fn status(&self, now: Instant) -> (String, Option<Instant>) {
        let place = self.place();
        match self.state {
            State::Up(..) => (place, None),
            State::Dialing if self.tries == 0 => (format!("{place}  connecting"), None),
            State::Dialing => (format!("{place}  reconnecting, try {}", self.tries), None),
            State::Waiting(until) => {
                let left = until.saturating_duration_since(now);
                let rest = left.as_nanos().saturating_sub(1) / 1_000_000_000;
                let rest = Duration::from_secs(u64::try_from(rest).unwrap_or(u64::MAX));
                let (tries, seconds) = (self.tries, rest.as_secs() + 1);
                let changes = (!rest.is_zero()).then(|| until - rest);
                (format!("{place}  link down, try {tries} in {seconds} s"), changes)
            }
        }
    }

    /// The address that is dialed or connected.
    pub(super) fn address(&self) -> &Endpoint {
        &self.addresses[self.at]
    }

    fn is_unix(&self) -> bool {
        matches!(self.address(), Endpoint::Unix(_))
    }

    /// The server as it was typed, and behind it the address where that says more.
    fn place(&self) -> String {
        let (server, at) = (&self.server, self.addresses[self.at].to_string());
        if *server == at { at } else { format!("{server} ({at})") }
    }
}

/// Seconds with one decimal.
fn seconds(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: PeerId = PeerId { serial: 1, slot: 1 };
    const REFUSED: CloseReason = CloseReason::Failed(Call::Connect, 111);

    fn link(backoff: Option<Backoff>) -> Link {
        let addresses = [1, 2].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let timeout = Duration::from_secs(10);
        Link::new("two".to_owned(), addresses.map(Endpoint::from).to_vec(), None, timeout, backoff)
    }

    fn port(action: &Action) -> u16 {
        let Action::Connect { to, .. } = action else { panic!("{action:?}") };
        to.ip().expect("these are of IP").port()
    }

    #[test]
    fn each_address_is_tried_once_and_the_last_failure_is_told() {
        let (mut link, now) = (link(None), Instant::now());
        assert_eq!(port(&link.dial()), 1);
        assert!(matches!(link.dial_failed(REFUSED, now), Next::Dial(line)
            if line.starts_with("tcp two (127.0.0.1:1): connect: ")));
        assert_eq!(port(&link.dial()), 2);
        assert!(matches!(link.dial_failed(CloseReason::DialTimeout, now), Next::Over(line)
            if line == "tcp two (127.0.0.1:2): connect: timed out"));
    }

    #[test]
    fn with_reconnect_the_rounds_go_on_and_begin_at_the_address_that_was_good() {
        let (mut link, now) = (link(Some(Backoff::new(1, None))), Instant::now());
        link.dial();
        assert!(matches!(link.dial_failed(REFUSED, now), Next::Dial(_)));
        link.dial();
        assert!(matches!(link.dial_failed(REFUSED, now), Next::Wait(_)));
        assert!(link.due().is_some_and(|due| due > now));
        link.dial();
        link.dial_failed(REFUSED, now);
        assert_eq!(port(&link.dial()), 2);
        assert_eq!(link.opened(PEER, now), None, "it was never lost");
        assert!(matches!(link.lost("the server ended it", now), Next::Wait(_)));
        assert_eq!(port(&link.dial()), 2);
        let told = link.opened(PEER, now + Duration::from_millis(1_500));
        assert_eq!(told.as_deref(), Some("connected again to two (127.0.0.1:2), 1.5 s away"));
    }

    #[test]
    fn the_status_counts_the_seconds_and_the_tries() {
        let (mut link, now) = (link(Some(Backoff::new(1, None))), Instant::now());
        link.dial();
        let place = "two (127.0.0.1:1)";
        assert_eq!(link.status(now), (format!("{place}  connecting"), None));
        link.opened(PEER, now);
        assert_eq!(link.status(now), (place.to_owned(), None));
        link.lost("reset", now);
        link.state = State::Waiting(now + Duration::from_millis(2_500));
        let next = now + Duration::from_millis(500);
        assert_eq!(link.status(now), (format!("{place}  link down, try 1 in 3 s"), Some(next)));
        assert_eq!(link.status(next).0, format!("{place}  link down, try 1 in 2 s"));
        let last = now + Duration::from_millis(1_500);
        assert_eq!(link.status(last), (format!("{place}  link down, try 1 in 1 s"), None));
        link.dial();
        assert_eq!(link.status(last).0, format!("{place}  reconnecting, try 1"));
    }

    #[test]
    fn only_a_link_that_lasted_makes_the_waits_short_again() {
        for (lasted, over) in [(GOOD_AFTER, false), (Duration::from_secs(1), true)] {
            let (mut link, now) = (link(Some(Backoff::new(1, Some(1)))), Instant::now());
            link.dial();
            link.opened(PEER, now);
            assert!(matches!(link.lost("reset", now), Next::Wait(_)));
            link.dial();
            link.opened(PEER, now);
            let next = link.lost("reset", now + lasted);
            assert_eq!(matches!(next, Next::Over(_)), over, "{next:?}");
        }
    }
}
