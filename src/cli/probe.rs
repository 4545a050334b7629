//! The flags of `reactor connect --udp` and `--count`: probes that are counted and clocked.

use super::{Error, STDOUT, Size, parse_duration};
use crate::connect::{ChatPingOptions, JsonTo, PING_LENS, PingOptions, ProbeOptions};
use crate::os::interfaces::is_broadcast;
use crate::os::udp::Multicast;
use crate::probes::Audience;
use clap::{ArgGroup, Args, value_parser};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// What `--udp` and `--count` take besides.
#[derive(Debug, Args)]
#[command(next_help_heading = "With --udp, or with --count in a chat")]
#[command(group(ArgGroup::new("probing").args(["udp", "count"]).multiple(true)))]
pub(super) struct ProbeArgs {
    /// How long an echo or an answer is waited for.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, requires = "probing")]
    #[arg(default_value = "1s")]
    timeout: Duration,
    /// Put the time in ms, a tab, the sender and a tab in front of each echo on stdout.
    #[arg(long, requires = "udp", conflicts_with = "count")]
    rtt: bool,
    /// Send N datagrams, or N times /ping without --udp, and end with figures, like ping; 0: until
    /// Ctrl-C [default: stdin is sent].
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// With --count: the time from one to the next; 0s: as fast as they are answered.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, requires = "count")]
    #[arg(default_value = "1s")]
    interval: Duration,
    /// With --udp --count: length of each datagram.
    #[arg(long, value_name = "SIZE", requires_all = ["count", "udp"])]
    #[arg(default_value_t = Size::bytes(56))]
    size: Size,
    /// With --count: the figures as JSON, in FILE or on stdout instead of text [default: text].
    ///
    /// Without FILE, or where it is -, to stdout. FILE is typed with =, as in --json=figures.json, for the
    /// next word may be the server.
    #[arg(long, value_name = "FILE", requires = "count", require_equals = true)]
    #[arg(num_args = 0..=1, default_missing_value = STDOUT)]
    json: Option<PathBuf>,
    /// An address of the interface that IPv4 multicast leaves by; of IPv6 write [GROUP%ZONE]
    /// [default: as the system chooses].
    #[arg(long, value_name = "ADDR", requires = "udp")]
    interface: Option<Ipv4Addr>,
    /// How many hops multicast may go [default: 1, this network alone].
    #[arg(long, value_name = "N", requires = "udp", value_parser = value_parser!(u8).range(1..))]
    hops: Option<u8>,
}

impl ProbeArgs {
    /// True where pings are to be sent.
    pub(super) fn counts(&self) -> bool {
        self.count.is_some()
    }

    /// Without `--udp`.
    pub(super) fn chat_options(&self) -> Result<Option<ChatPingOptions>, Error> {
        self.check_timeout()?;
        let pings = self.count.map(|count| self.pings(count)).transpose()?;
        Ok(pings.map(|pings| ChatPingOptions { timeout: self.timeout, pings }))
    }

    fn check_timeout(&self) -> Result<(), Error> {
        match self.timeout.is_zero() {
            true => Err(Error::Usage("--timeout 0s: an answer takes time".to_owned())),
            false => Ok(()),
        }
    }

    /// With `--udp`. Looks at the interfaces of this host.
    pub(super) fn options(&self, to: SocketAddr) -> Result<ProbeOptions, Error> {
        self.check_timeout()?;
        if self.interface.is_some() && !(to.is_ipv4() && to.ip().is_multicast()) {
            return Err(Error::Usage(format!("--interface: {to} is no IPv4 multicast group")));
        }
        if self.hops.is_some() && !to.ip().is_multicast() {
            return Err(Error::Usage(format!("--hops: {to} is no multicast group")));
        }
        let many = match to.ip() {
            IpAddr::V4(ip) => ip.is_multicast() || is_broadcast(ip),
            IpAddr::V6(ip) => ip.is_multicast(),
        };
        Ok(ProbeOptions {
            audience: if many { Audience::Many } else { Audience::One },
            timeout: self.timeout,
            rtt: self.rtt,
            pings: self.count.map(|count| self.pings(count)).transpose()?,
        })
    }

    fn pings(&self, count: u64) -> Result<PingOptions, Error> {
        let size = usize::try_from(self.size.as_u64()).unwrap_or(usize::MAX);
        if !PING_LENS.contains(&size) {
            let (min, max) = (PING_LENS.start(), PING_LENS.end());
            return Err(Error::Usage(format!("--size {size}: {min} to {max} bytes")));
        }
        let json = self.json.clone().map(|file| match file.as_os_str() == STDOUT {
            true => JsonTo::Stdout,
            false => JsonTo::File(file),
        });
        let count = (count > 0).then_some(count);
        Ok(PingOptions { count, interval: self.interval, size, json })
    }

    /// The zone that was typed behind an IPv6 group is the interface to leave by.
    pub(super) fn multicast(&self, to: SocketAddr) -> Multicast {
        let interface_v6 = match to {
            SocketAddr::V6(v6) if v6.ip().is_multicast() && v6.scope_id() != 0 => {
                Some(v6.scope_id())
            }
            _ => None,
        };
        Multicast { interface_v4: self.interface, interface_v6, hops: self.hops }
    }
}
