//! `reactor connect`: a peer of a chat server, or the client of an echo.

mod client;
mod datagrams;
mod outgoing;
mod screen;

use crate::chat::names;
use crate::handler::{CloseReason, Signal};
use crate::log_queue::LogQueue;
use crate::os::Os;
use crate::reactor::Reactor;
use crate::secret::Secret;
use crate::wire::Protocol;
use client::Client;
use datagrams::DatagramClient;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// What `connect` needs to know, checked.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server as it was typed, for what is told.
    pub server: String,
    /// What to be called (chat).
    pub name: Option<String>,
    /// Its addresses, to be tried in turn; at least one.
    pub addresses: Vec<SocketAddr>,
    /// Datagrams instead of a stream.
    pub udp: bool,
    /// What a message is.
    pub protocol: Protocol,
    /// In raw: how long the next line waits for an answer; none for ever.
    pub turn_timeout: Option<Duration>,
    /// The file with the secret that the server asks for.
    pub secret_file: Option<PathBuf>,
    /// stdout is a terminal: bytes are made visible before they reach it.
    pub stdout_is_terminal: bool,
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
    if options.udp {
        let mut to = options.addresses[0];
        if to.ip().is_unspecified() {
            // As connect(2) takes it: this host. An echo comes from the address itself.
            to.set_ip(match to {
                SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        let any: SocketAddr =
            if to.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
        let broadcast = to.ip() == Ipv4Addr::BROADCAST;
        reactor
            .bind_udp(any, broadcast)
            .map_err(|error| Error::Link(format!("bind udp {any}: {error}")))?;
        let mut client = DatagramClient::new(to, broadcast, options.stdout_is_terminal);
        reactor.open_console(&mut client)?;
        reactor.run(&mut client)?;
        client.outcome()
    } else {
        let mut client = Client::new(options);
        client.says_first(secret);
        reactor.open_console(&mut client)?;
        reactor.run(&mut client)?;
        client.outcome()
    }
}
