//! `reactor connect` on the command line.

use super::probe::ProbeArgs;
use super::{DEFAULT, Error, FamilyArgs, Look, ProtocolArg, parse_duration, resolve, stream_to};
use crate::address::{Transport, Use};
use crate::connect::{self, CONNECT_TIMEOUT, Eof, Reconnect};
use crate::handler::{Endpoint, FOR_EVER};
use crate::os::clock::local_time;
use crate::os::mio::Settings;
use clap::{Args, ValueEnum};
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// `reactor connect`.
#[derive(Debug, Args)]
pub struct ConnectArgs {
    /// The server: HOST:PORT, [V6]:PORT, a port on this host, a host, or unix:PATH
    /// [default: 127.0.0.1:65432].
    #[arg(value_name = "ADDR", default_value = DEFAULT, hide_default_value = true)]
    server: String,
    /// Send each line as a datagram and print its echo.
    #[arg(long)]
    udp: bool,
    /// What a message is.
    #[arg(long, value_enum, default_value_t = ProtocolArg::Chat)]
    protocol: ProtocolArg,
    /// What to be called (chat) [default: guest and a number, as the server gives it].
    #[arg(long, value_name = "NAME", conflicts_with = "count")]
    name: Option<String>,
    /// With --protocol raw: how long the next line waits for an answer [default: for ever].
    #[arg(long, value_name = "TIME", value_parser = parse_timeout)]
    turn_timeout: Option<Duration>,
    /// What the end of stdin means.
    #[arg(long, value_enum, default_value_t = EofArg::HalfClose, conflicts_with = "probing")]
    eof: EofArg,
    /// How long one waits for each address of the server to answer [default: 10s].
    #[arg(long, value_name = "TIME", value_parser = parse_timeout, conflicts_with = "udp")]
    connect_timeout: Option<Duration>,
    /// The local address to connect from: an IP address, with or without a port
    /// [default: as the system chooses].
    #[arg(long, value_name = "ADDR", value_parser = parse_local, conflicts_with = "udp")]
    bind: Option<SocketAddr>,
    /// Connect again when the link is lost or cannot be made, ROUNDS times at most [default: never].
    ///
    /// A round is one attempt at each address of the server. Without ROUNDS there is no last one. It is
    /// typed with =, as in --reconnect=5, for the next word may be the server.
    #[arg(
        long,
        value_name = "ROUNDS",
        num_args = 0..=1,
        require_equals = true,
        value_parser = clap::value_parser!(u32).range(1..),
        conflicts_with = "probing"
    )]
    reconnect: Option<Option<u32>>,
    /// Append what is shown and what is said to FILE [default: none].
    #[arg(long, value_name = "FILE", conflicts_with = "probing")]
    transcript: Option<PathBuf>,
    /// Say the first line of FILE first, where a server asks for a secret [default: none].
    ///
    /// A server that does not ask would pass it on to everybody.
    #[arg(long, value_name = "FILE", conflicts_with = "udp")]
    secret_file: Option<PathBuf>,
    /// Put the time of the day in front of each line that is shown.
    #[arg(long, conflicts_with = "json")]
    timestamps: bool,
    #[command(flatten)]
    family: FamilyArgs,
    #[command(flatten)]
    probe: ProbeArgs,
}

/// `--eof`.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum EofArg {
    /// Tell the server that nothing more comes, and listen until its end.
    HalfClose,
    /// Tell nothing, and listen until the server's end.
    Wait,
    /// Tell the server that nothing more comes, and leave.
    Exit,
}

/// A timeout that can come true: more than nothing, and short enough to be added to a clock.
fn parse_timeout(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err("it is longer than that".to_owned()),
        time => Ok(time.min(FOR_EVER)),
    }
}

/// `192.0.2.1`, `192.0.2.1:5000`, `2001:db8::1`, `[2001:db8::1]:5000`.
fn parse_local(text: &str) -> Result<SocketAddr, String> {
    let plain = text.parse::<IpAddr>().map(|ip| SocketAddr::from((ip, 0)));
    let unreadable = |_| "an address is like 192.0.2.1, 192.0.2.1:5000 or 2001:db8::1".to_owned();
    plain.or_else(|_| text.parse()).map_err(unreadable)
}

impl ConnectArgs {
    /// Resolves the server's address; may block on a name server.
    pub fn options(&self, look: Look) -> Result<connect::Options, Error> {
        let family = self.family.family();
        let addresses = if self.udp {
            let addresses = resolve(&self.server, family, Transport::Udp, Use::Connect)?;
            addresses.into_iter().map(Endpoint::from).collect()
        } else {
            stream_to(&self.server, family)?
        };
        if let Some(name) = &self.name {
            if self.udp || !matches!(self.protocol, ProtocolArg::Chat) {
                return Err(Error::Usage("--name: only the chat has names".to_owned()));
            }
            let refused = |why| Error::Usage(format!("--name {}: {why}", name.escape_debug()));
            connect::check_name(name).map_err(refused)?;
        }
        let addresses = match self.bind {
            Some(bind) => reachable(&self.server, addresses, bind)?,
            None => addresses,
        };
        // The standard library's only source of numbers that differ from run to run.
        let seed = RandomState::new().hash_one(std::process::id());
        let typed = (self.server != DEFAULT).then(|| self.server.clone());
        let chat = matches!(self.protocol, ProtocolArg::Chat);
        if self.probe.counts() && !self.udp && !chat {
            return Err(Error::Usage("--count: without --udp it asks a chat".to_owned()));
        }
        let chat_pings = if self.udp { None } else { self.probe.chat_options()? };
        let udp = match addresses[0].ip() {
            Some(to) if self.udp => Some(self.probe.options(to)?),
            _ => None,
        };
        Ok(connect::Options {
            server: typed.unwrap_or_else(|| addresses[0].to_string()),
            name: self.name.clone(),
            addresses,
            udp,
            chat_pings,
            protocol: self.protocol.protocol(),
            turn_timeout: self.turn_timeout,
            eof: match self.eof {
                EofArg::HalfClose => Eof::HalfClose,
                EofArg::Wait => Eof::Wait,
                EofArg::Exit => Eof::Exit,
            },
            connect_timeout: self.connect_timeout.unwrap_or(CONNECT_TIMEOUT),
            bind: self.bind,
            reconnect: self.reconnect.map(|rounds_max| Reconnect { rounds_max, seed }),
            asks_rtt: look.stdout_is_terminal && chat,
            transcript: self.transcript.clone(),
            secret_file: self.secret_file.clone(),
            stdout_is_terminal: look.stdout_is_terminal,
            terminal: look.terminal,
            color: look.color,
            timestamps: self.timestamps.then_some(local_time),
        })
    }

    /// What holds for its sockets.
    pub fn settings(&self, options: &connect::Options) -> Settings {
        let multicast = options.addresses[0].ip().map(|to| self.probe.multicast(to));
        Settings { multicast: multicast.unwrap_or_default(), ..Settings::default() }
    }
}

/// The addresses that a socket bound to `bind` can connect to: those of its family.
fn reachable(
    server: &str,
    addresses: Vec<Endpoint>,
    bind: SocketAddr,
) -> Result<Vec<Endpoint>, Error> {
    let family = if bind.is_ipv4() { "IPv4" } else { "IPv6" };
    let fits = |at: &Endpoint| at.ip().is_some_and(|at| at.is_ipv4() == bind.is_ipv4());
    let (reachable, others): (Vec<_>, Vec<_>) = addresses.into_iter().partition(fits);
    if reachable.is_empty() {
        let bind = bind.ip();
        let line = format!("--bind {bind}: the server has no {family} address");
        return Err(Error::Usage(line));
    }
    for other in others {
        log::warn!("{server}: {other} is skipped: --bind is {family}");
    }
    Ok(reachable)
}
