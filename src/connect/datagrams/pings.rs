//! Datagrams of our own: what one looks like, when the next is due, and the lines that ping(8)
//! would write. Pure.
//!
//! A datagram has the run's id, its sequence and the nanoseconds since the first was sent, 8 bytes
//! each in network order, and then bytes that count up. Its echo must be the very same bytes.

use super::lines::told;
use super::{Came, JsonTo, PingOptions, UNANSWERED_MAX};
use crate::probes::{Account, Verdict, WINDOW, milliseconds};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Id, sequence and time.
pub(in crate::connect) const PING_LEN_MIN: usize = 24;

/// What is sent, and what is left to send.
pub(super) struct PingSource {
    run_id: u64,
    size: usize,
    interval: Duration,
    left: Option<u64>,
    /// Nothing is told of each echo: stdout is for the JSON.
    silent: bool,
    started: Option<Instant>,
    next_at: Option<Instant>,
}

impl PingSource {
    pub(super) fn new(options: &PingOptions, run_id: u64) -> Self {
        PingSource {
            run_id,
            size: options.size,
            interval: options.interval,
            left: options.count,
            silent: options.json == Some(JsonTo::Stdout),
            started: None,
            next_at: None,
        }
    }

    /// True where all have been sent.
    pub(super) fn is_done(&self) -> bool {
        self.left == Some(0)
    }

    /// The next datagram, where it is due and there is room for it.
    pub(super) fn next(&mut self, account: &mut Account, now: Instant) -> Option<Vec<u8>> {
        let due = self.next_at.is_none_or(|at| at <= now);
        if !due || self.is_done() || !self.has_room(account) {
            return None;
        }
        self.left = self.left.map(|left| left - 1);
        // From the time at which this one was due, so that the rate is kept; from now on where it
        // is a whole interval late: what was missed is not made up for in a burst.
        let from = self.next_at.filter(|&at| at + self.interval > now).unwrap_or(now);
        self.next_at = Some(from + self.interval);
        let started = *self.started.get_or_insert(now);
        let sequence = account.sent(now);
        Some(self.bytes(sequence, now - started))
    }

    /// When `next` wants to be asked again; `None` where an answer or a loss must come first.
    pub(super) fn next_at(&self, account: &Account) -> Option<Instant> {
        self.next_at.filter(|_| !self.is_done() && self.has_room(account))
    }

    /// Without an interval the answers set the pace. With one only the account's memory is a bound.
    fn has_room(&self, account: &Account) -> bool {
        let most = if self.interval.is_zero() { UNANSWERED_MAX } else { WINDOW };
        account.unanswered() < most
    }

    fn bytes(&self, sequence: u64, since: Duration) -> Vec<u8> {
        let since = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        let mut bytes = [self.run_id, sequence, since].map(u64::to_be_bytes).concat();
        bytes.extend((PING_LEN_MIN..self.size).map(|at| at as u8));
        bytes
    }

    /// The sequence of one of ours that came back as it was.
    pub(super) fn find(&self, account: &Account, bytes: &[u8]) -> Option<u64> {
        let sequence = u64::from_be_bytes(bytes.get(8..16)?.try_into().ok()?);
        let since = account.sent_at(sequence)?.duration_since(self.started?);
        (self.bytes(sequence, since) == bytes).then_some(sequence)
    }

    /// The line of an echo.
    pub(super) fn echo(&self, came: &Came<'_>) -> Option<Vec<u8>> {
        let (len, from) = (came.bytes.len(), came.from);
        let line = match (told(came), came.sequence) {
            ((Some(rtt), odd), Some(sequence)) => {
                let odd = odd.map_or(String::new(), |odd| format!(" ({odd})"));
                let time = milliseconds(rtt);
                format!("{len} bytes from {from}: seq={sequence} time={time}{odd}")
            }
            _ if came.verdict == Verdict::Crowded => return None,
            _ => format!("{len} bytes from {from}: no echo of what was sent"),
        };
        (!self.silent).then(|| line.into_bytes())
    }

    /// The line of a loss.
    pub(super) fn lost(&self, sequence: u64, timeout: Duration) -> Option<String> {
        let within = super::seconds(timeout);
        (!self.silent).then(|| format!("no echo of seq={sequence} within {within}"))
    }
}

/// The first line of the last ones.
pub(super) fn last_head(to: SocketAddr, options: Option<&PingOptions>) -> String {
    let size = options.map_or(0, |options| options.size);
    format!("--- udp {to}, {size} bytes each ---")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::Audience;

    fn source(count: Option<u64>, interval_ms: u64) -> (PingSource, Account) {
        let interval = Duration::from_millis(interval_ms);
        let options = PingOptions { count, interval, size: 30, json: None };
        let account = Account::new(Audience::One, Duration::from_secs(1));
        (PingSource::new(&options, 0xfeed), account)
    }

    #[test]
    fn one_of_ours_is_known_and_an_altered_one_is_not() {
        let ((mut pings, mut account), now) = (source(None, 10), Instant::now());
        let bytes = pings.next(&mut account, now).expect("the first is due at once");
        assert_eq!((bytes.len(), pings.find(&account, &bytes)), (30, Some(1)));
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            assert_eq!(pings.find(&account, &altered), None, "byte {at}");
        }
        assert_eq!(pings.find(&account, &bytes[..29]), None);
        assert_eq!(pings.find(&account, b""), None);
    }

    #[test]
    fn the_rate_is_kept_and_what_was_missed_is_not_sent_in_a_burst() {
        let ((mut pings, mut account), start) = (source(Some(4), 10), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        let mut sent = |ms| {
            let mut n = 0;
            while pings.next(&mut account, at(ms)).is_some() {
                n += 1;
            }
            (n, pings.next_at(&account))
        };
        assert_eq!(sent(0), (1, Some(at(10))));
        assert_eq!(sent(9), (0, Some(at(10))));
        assert_eq!(sent(13), (1, Some(at(20))), "3 ms late, the next is not");
        assert_eq!(sent(75), (1, Some(at(85))));
        assert_eq!(sent(85), (1, None), "that was the last");
    }

    #[test]
    fn without_an_interval_the_answers_set_the_pace() {
        let ((mut pings, mut account), now) = (source(None, 0), Instant::now());
        let sent = std::iter::from_fn(|| pings.next(&mut account, now)).count();
        assert_eq!((sent, pings.next_at(&account)), (UNANSWERED_MAX, None));
        account.received(5, SocketAddr::from(([127, 0, 0, 1], 7)), now);
        assert!(pings.next(&mut account, now).is_some());
        assert!(pings.next(&mut account, now).is_none());
    }
}
