//! Who may come in, on the command line of `reactor serve`.

use super::Error;
use crate::serve::{
    Access, Admission, BESIDE_PEERS_MAX, CONNECT_RATE_MAX, Crowd, Rule, Verdict, access,
};
use clap::{Args, value_parser};
use ipnet::IpNet;
use std::path::PathBuf;

/// Descriptors that `--peers-max` leaves by default: 32 for listeners, UDP sockets, the poll, the
/// console, stderr and files, and one for each connection that is no peer's. The help names it.
const DESCRIPTORS_SPARE: u64 = 32 + BESIDE_PEERS_MAX as u64;

/// The least that `--peers-max` is by default.
const PEERS_LEAST: u64 = 64;

/// The flags of the gate.
#[derive(Debug, Args)]
pub(super) struct AdmissionArgs {
    /// Let only these in: an address, ADDRESS/BITS or all; may be repeated. The longest prefix
    /// decides [default: everybody].
    #[arg(long, value_name = "PREFIX", value_parser = parse_prefixes)]
    allow: Vec<Prefixes>,
    /// Keep these out; may be repeated. It wins over an --allow that is as long [default:
    /// nobody].
    #[arg(long, value_name = "PREFIX", value_parser = parse_prefixes)]
    deny: Vec<Prefixes>,
    /// More of both: lines `allow PREFIX` and `deny PREFIX`; read again on SIGHUP [default: none].
    #[arg(long, value_name = "FILE")]
    access: Option<PathBuf>,
    /// Peers at once [default: the descriptor limit less 84].
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    peers_max: Option<u32>,
    /// Peers at once from one IPv4 address or IPv6 /64, never for loopback; 0 for any number.
    #[arg(long, value_name = "N", default_value_t = 0)]
    peers_per_address_max: u32,
    /// Connections a second from one such address or /64, and as many at once; 0 for any number.
    #[arg(long, value_name = "N[/s]", default_value = "0", value_parser = parse_rate)]
    connect_rate: u32,
    /// Each peer must say the first line of FILE first, as a line [default: no secret].
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
}

/// What one PREFIX is: one, or with `all` one of each family.
#[derive(Clone, Debug)]
struct Prefixes(Vec<IpNet>);

impl AdmissionArgs {
    /// `descriptors`: how many this process may have.
    pub(super) fn admission(&self, descriptors: u64) -> Result<Admission, Error> {
        let rules = |prefixes: &[Prefixes], verdict| -> Vec<Rule> {
            let nets = prefixes.iter().flat_map(|prefixes| &prefixes.0);
            nets.map(|&net| Rule { verdict, net }).collect()
        };
        let allow = rules(&self.allow, Verdict::Allow);
        let rules = [allow, rules(&self.deny, Verdict::Deny)].concat();
        let access =
            Access::new(rules).map_err(|why| Error::Usage(format!("--allow, --deny: {why}")))?;
        // Where there are so few that this is too many, accept finds that out.
        let default = descriptors.saturating_sub(DESCRIPTORS_SPARE).max(PEERS_LEAST);
        let peers_max = self.peers_max.map_or(default, u64::from);
        Ok(Admission {
            access,
            access_file: self.access.clone(),
            crowd: Crowd {
                peers_max: usize::try_from(peers_max).unwrap_or(usize::MAX),
                per_address_max: self.peers_per_address_max as usize,
                connect_rate: self.connect_rate,
            },
            secret_file: self.secret_file.clone(),
        })
    }
}

fn parse_prefixes(text: &str) -> Result<Prefixes, String> {
    access::prefixes(text).map(Prefixes)
}

/// `5` or `5/s`.
fn parse_rate(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix("/s").unwrap_or(text).parse::<u32>().ok();
    let rate = number.filter(|&rate| rate <= CONNECT_RATE_MAX);
    rate.ok_or_else(|| format!("a number of connections a second, 0 to {CONNECT_RATE_MAX}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_with_or_without_its_unit() {
        assert_eq!((parse_rate("5"), parse_rate("5/s"), parse_rate("0")), (Ok(5), Ok(5), Ok(0)));
        for text in ["", "/s", "x", "5/m", "-1", "1000001"] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn by_default_so_many_descriptors_are_left_and_never_too_few_are_used() {
        let args = AdmissionArgs {
            allow: Vec::new(),
            deny: Vec::new(),
            access: None,
            peers_max: None,
            peers_per_address_max: 0,
            connect_rate: 0,
            secret_file: None,
        };
        for (descriptors, peers) in [(1_024, 1_024 - 84), (128, 64), (24, 64)] {
            assert_eq!(args.admission(descriptors).unwrap().crowd.peers_max, peers);
        }
    }
}
