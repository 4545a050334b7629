//! `reactor connect`: a peer of a chat server, or the client of an echo.

mod backoff;
mod chat_pings;
mod client;
mod datagrams;
mod figures;
mod gather;
mod ignore;
mod link;
mod pace;
mod screen;
mod session;
mod transcript;
mod turns;
mod upstream;

use crate::chat::names;
use crate::handler::{CloseReason, Endpoint, Signal};
use crate::log_queue::LogQueue;
use crate::os::Os;
use crate::probes::Audience;
use crate::reactor::Reactor;
use crate::secret::Secret;
use crate::wire::Protocol;
pub use chat_pings::ChatPingOptions;
use chat_pings::ChatPings;
use client::Client;
use datagrams::DatagramClient;
pub use datagrams::{JsonTo, PingOptions, ProbeOptions};
use figures::JsonFile;
use screen::Screen;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// How long each address of a server has to answer a dial, where nothing was said: longer than two
/// lost SYNs (1 s and 2 s, RFC 6298) and a slow network.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What `connect` needs to know, checked.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server as it was typed, for what is told.
    pub server: String,
    /// What to be called (chat).
    pub name: Option<String>,
    /// Its addresses, to be tried in turn; at least one.
    pub addresses: Vec<Endpoint>,
    /// Datagrams instead of a stream, and how.
    pub udp: Option<ProbeOptions>,
    /// Nothing but pings of the chat.
    pub chat_pings: Option<ChatPingOptions>,
    /// What a message is.
    pub protocol: Protocol,
    /// In raw: how long the next line waits for an answer; none for ever.
    pub turn_timeout: Option<Duration>,
    /// What the end of stdin means.
    pub eof: Eof,
    /// How long each address has to answer a dial.
    pub connect_timeout: Duration,
    /// The local address to dial from; all of `addresses` are of its family.
    pub bind: Option<SocketAddr>,
    /// A link that is lost is dialed again.
    pub reconnect: Option<Reconnect>,
    /// Ask a chat for the round-trip time every now and then, unseen.
    pub asks_rtt: bool,
    /// What was shown and said is appended here.
    pub transcript: Option<PathBuf>,
    /// The file with the secret that the server asks for.
    pub secret_file: Option<PathBuf>,
    /// stdout is a terminal: bytes are made visible before they reach it.
    pub stdout_is_terminal: bool,
    /// stdin is one too, and it can move its cursor: keys are read one by one, and a line to type
    /// stands at the bottom.
    pub terminal: bool,
    /// What is shown there is coloured.
    pub color: bool,
    /// What gives the time of the day, in front of each line that is shown.
    pub timestamps: Option<fn() -> String>,
}

#[cfg(test)]
impl Options {
    /// A chat behind two addresses, and pipes.
    pub(crate) fn default_for_tests() -> Self {
        let addresses = [1, 2].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        Options {
            name: None,
            server: "two".to_owned(),
            addresses: addresses.map(Endpoint::from).to_vec(),
            udp: None,
            chat_pings: None,
            protocol: Protocol::Chat,
            turn_timeout: None,
            eof: Eof::HalfClose,
            connect_timeout: CONNECT_TIMEOUT,
            bind: None,
            reconnect: None,
            asks_rtt: false,
            transcript: None,
            secret_file: None,
            stdout_is_terminal: false,
            terminal: false,
            color: false,
            timestamps: None,
        }
    }
}

/// What the end of stdin means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eof {
    /// A FIN behind the last byte; what the server says until its own end is shown.
    HalfClose,
    /// Nothing: what the server says until its own end is shown.
    Wait,
    /// A FIN behind the last byte; what the server says from then on is dropped, and its end is
    /// waited for at most `reactor::DRAIN_MS_MAX`.
    Exit,
}

/// `--reconnect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reconnect {
    /// So many rounds of dials may fail in a row; none: any number.
    pub rounds_max: Option<u32>,
    /// What the jitter is drawn from.
    pub seed: u64,
}

/// Why a name cannot be taken, in one line; a server checks it by the same rules.
pub fn check_name(name: &str) -> Result<(), String> {
    names::check(name).map(drop).map_err(|refusal| refusal.to_string())
}

/// Why `connect` did not end well.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection, or it broke, or the secret file is of no use: the whole line.
    #[error("{0}")]
    Link(String),
    /// The loop itself failed.
    #[error(transparent)]
    Loop(#[from] io::Error),
}

/// How a client's run ended well: its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The server or the user ended it.
    Done,
    /// A signal did; the shell wants to see which.
    By(Signal),
}

impl Ended {
    /// The signal that ended it.
    pub fn signal(self) -> Option<Signal> {
        match self {
            Ended::Done => None,
            Ended::By(signal) => Some(signal),
        }
    }
}

impl From<Ended> for std::process::ExitCode {
    /// 128 and the signal's number, as shells count.
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Done => 0.into(),
            Ended::By(Signal::Interrupt) => 130.into(),
            Ended::By(Signal::Hangup | Signal::Reload) => 129.into(),
            Ended::By(Signal::Terminate | Signal::Continue) => 143.into(),
        }
    }
}

/// How it ends where stdout failed.
fn without_stdout(why: CloseReason) -> Result<Ended, Error> {
    match why {
        // Who reads our output has seen enough: that is success, as for any filter.
        CloseReason::Failed(_, errno)
            if io::Error::from_raw_os_error(errno).kind() == io::ErrorKind::BrokenPipe =>
        {
            Ok(Ended::Done)
        }
        _ => Err(Error::Link(format!("stdout: {why}"))),
    }
}

/// Connects, relays between the server and the console, and returns when it is over.
pub fn run<O: Os>(mut os: O, options: &Options, log: &LogQueue) -> Result<Ended, Error> {
    let secret = options.secret_file.as_deref().map(|path| Secret::read(&mut os, path));
    let secret = secret.transpose().map_err(Error::Link)?;
    let mut reactor = Reactor::new(os, log.clone());
    if let Some(probes) = &options.udp {
        run_datagrams(reactor, options, probes, log)
    } else if let Some(pings) = &options.chat_pings {
        let json = JsonFile::create(Some(&pings.pings))?;
        let mut client = ChatPings::new(options, pings, Screen::new(options, log), run_id());
        reactor.open_console(&mut client)?;
        reactor.run(&mut client)?;
        json.write(|| client.json())?;
        client.outcome()
    } else {
        let mut client = Client::new(options, log);
        if let Some(path) = &options.transcript {
            let failed = |error| Error::Link(format!("open {}: {error}", path.display()));
            reactor.open_transcript(path, &mut client).map_err(failed)?;
        }
        client.says_first(secret);
        reactor.open_console(&mut client)?;
        reactor.run(&mut client)?;
        client.outcome()
    }
}

/// What names one run among others.
fn run_id() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// The sizes that a datagram of our own may have.
pub const PING_LENS: RangeInclusive<usize> = datagrams::PING_LEN_MIN..=datagrams::DATAGRAM_LEN_MAX;

fn run_datagrams<O: Os>(
    mut reactor: Reactor<O>,
    options: &Options,
    probes: &ProbeOptions,
    log: &LogQueue,
) -> Result<Ended, Error> {
    let Some(mut to) = options.addresses[0].ip() else {
        return Err(Error::Link(format!("{}: no datagrams there", options.server)));
    };
    if to.ip().is_unspecified() {
        // As connect(2) takes it: this host. An echo comes from the address itself.
        to.set_ip(match to {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    let json = JsonFile::create(probes.pings.as_ref())?;
    let any: SocketAddr =
        if to.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    let broadcast = to.is_ipv4() && probes.audience == Audience::Many;
    reactor
        .bind_udp(any, broadcast)
        .map_err(|error| Error::Link(format!("bind udp {any}: {error}")))?;
    let mut client = DatagramClient::new(to, probes, Screen::new(options, log), run_id());
    reactor.open_console(&mut client)?;
    reactor.run(&mut client)?;
    json.write(|| client.json())?;
    client.outcome()
}
