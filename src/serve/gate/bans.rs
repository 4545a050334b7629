//! Addresses that may not come in, as the operator said at run time. A ban stands above every rule
//! of `access`, and ends by itself where it was for a while; the form of a prefix is the same.

use super::access::prefix;
use ipnet::IpNet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Bans at once: each accept looks at all of them.
const BANS_MAX: usize = 1_000;

/// A list of prefixes, each for a while or for good.
#[derive(Default)]
pub(crate) struct Bans {
    list: Vec<(IpNet, Option<Instant>)>,
}

impl Bans {
    /// Bans an address or a prefix, or changes for how long. Errors: one line.
    pub(crate) fn add(
        &mut self,
        text: &str,
        within: Option<Duration>,
        now: Instant,
    ) -> Result<IpNet, String> {
        let net = prefix(text)?;
        self.list.retain(|&(other, until)| other != net && until.is_none_or(|until| until > now));
        if self.list.len() >= BANS_MAX {
            return Err(format!("there are {BANS_MAX} bans already; /unban some"));
        }
        self.list.push((net, within.map(|within| now + within)));
        Ok(net)
    }

    /// Takes a ban back.
    pub(crate) fn remove(&mut self, text: &str) -> Result<IpNet, String> {
        let net = prefix(text)?;
        let before = self.list.len();
        self.list.retain(|&(other, _)| other != net);
        if self.list.len() < before { Ok(net) } else { Err(format!("{net} is not banned")) }
    }

    /// True where this address may not come in.
    pub(crate) fn hit(&self, address: IpAddr, now: Instant) -> bool {
        let lasts = |until: &Option<Instant>| until.is_none_or(|until| until > now);
        self.list.iter().any(|(net, until)| net.contains(&address) && lasts(until))
    }

    /// One line a ban, or one that there is none.
    pub(crate) fn lines(&self, now: Instant) -> Vec<String> {
        let line = |&(net, until): &(IpNet, Option<Instant>)| match until {
            None => Some(format!("{net} is banned")),
            Some(until) if until > now => {
                let seconds = (until - now).as_secs().max(1);
                Some(format!("{net} is banned for {seconds} s more"))
            }
            Some(_) => None,
        };
        let lines: Vec<String> = self.list.iter().filter_map(line).collect();
        if lines.is_empty() { vec!["nobody is banned".to_owned()] } else { lines }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_prefix_hits_what_is_in_it() {
        let (mut bans, now) = (Bans::default(), Instant::now());
        bans.add("10.1.2.3/8", None, now).unwrap();
        bans.add("::ffff:192.0.2.1", None, now).unwrap();
        assert!(bans.hit(ip("10.200.0.1"), now) && bans.hit(ip("192.0.2.1"), now));
        assert!(!bans.hit(ip("11.0.0.1"), now) && !bans.hit(ip("::1"), now));
        bans.remove("10.0.0.0/8").unwrap();
        assert!(!bans.hit(ip("10.200.0.1"), now));
    }

    #[test]
    fn a_ban_for_a_while_ends_by_itself() {
        let (mut bans, now) = (Bans::default(), Instant::now());
        bans.add("10.0.0.1", Some(Duration::from_secs(60)), now).unwrap();
        assert!(bans.hit(ip("10.0.0.1"), now + Duration::from_secs(59)));
        assert!(!bans.hit(ip("10.0.0.1"), now + Duration::from_secs(60)));
        assert_eq!(bans.lines(now + Duration::from_secs(60)), ["nobody is banned"]);
    }

    #[test]
    fn what_is_no_address_is_told_in_one_line() {
        let mut bans = Bans::default();
        for text in ["", "10.0.0.1/33", "x", "10.0.0"] {
            let error = bans.add(text, None, Instant::now()).unwrap_err();
            assert!(error.ends_with("not an address or ADDRESS/PREFIX"), "{error}");
        }
        assert_eq!(bans.remove("10.0.0.1").unwrap_err(), "10.0.0.1/32 is not banned");
    }
}
