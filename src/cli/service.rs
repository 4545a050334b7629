//! What a service manager and scripts need of `reactor serve`, on the command line.

use super::Error;
use crate::handler::UnixAddress;
use crate::os::activation::{Inherited, Kind};
use crate::os::notify;
use crate::serve::{Managed, Management, Service};
use clap::{Args, ValueEnum};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// `--log-format`.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// True for JSON.
    pub fn is_json(self) -> bool {
        matches!(self, LogFormat::Json)
    }
}

/// The flags of a service.
#[derive(Debug, Args)]
pub(super) struct ServiceArgs {
    /// Write the process id to FILE once everything is bound; removed at the end [default: none].
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// Write a line for each socket to FILE once all are bound, `tcp ADDRESS chat`; removed at the
    /// end [default: none].
    #[arg(long, value_name = "FILE")]
    port_file: Option<PathBuf>,
}

impl ServiceArgs {
    pub(super) fn service(&self) -> Service {
        Service {
            pid_file: self.pid_file.clone(),
            port_file: self.port_file.clone(),
            managed: notify::is_wanted().then(|| Managed { watchdog: notify::watchdog() }),
        }
    }
}

/// Where the sockets that the service manager has bound are for peers: all but those that the flags
/// of management name, which are found by their address when these are bound.
#[derive(Debug)]
pub(super) struct Passed {
    pub(super) tcp: Vec<SocketAddr>,
    pub(super) udp: Vec<SocketAddr>,
    pub(super) streams: Vec<UnixAddress>,
    pub(super) datagrams: Vec<UnixAddress>,
}

impl Passed {
    /// Errors: the control socket among them lets others in than its owner.
    pub(super) fn of(inherited: &Inherited, management: &mut Management) -> Result<Self, Error> {
        let mut passed = Passed {
            tcp: inherited.ip(Kind::Stream),
            udp: inherited.ip(Kind::Datagram),
            streams: inherited.unix(Kind::Stream),
            datagrams: inherited.unix(Kind::Datagram),
        };
        passed.tcp.retain(|at| !management.metrics.contains(at));
        if let Some(control) = &mut management.control {
            let is_control = |at: &UnixAddress| match at {
                UnixAddress::Path(path) => is_same(path, control),
                UnixAddress::Abstract(_) | UnixAddress::Unnamed => false,
            };
            let place = passed.streams.iter().position(is_control);
            if let Some(UnixAddress::Path(path)) = place.map(|place| passed.streams.remove(place)) {
                only_owner(&path)?;
                *control = path; // as the service manager spells it
            }
        }
        Ok(passed)
    }

    /// True where there are none.
    pub(super) fn is_empty(&self) -> bool {
        let Passed { tcp, udp, streams, datagrams } = self;
        tcp.is_empty() && udp.is_empty() && streams.is_empty() && datagrams.is_empty()
    }
}

/// Whether two paths lead to one file, however they are spelled.
fn is_same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().ok();
    one == other || real(one).is_some_and(|one| real(other) == Some(one))
}

/// Whoever can connect to the control socket is the operator.
fn only_owner(path: &Path) -> Result<(), Error> {
    let mode = path.metadata().map(|metadata| metadata.mode() & 0o777);
    match mode {
        Ok(mode) if mode & 0o077 == 0 => Ok(()),
        Ok(mode) => Err(Error::Failed(format!(
            "--control {}: the service manager's socket has mode {mode:o}; its unit needs SocketMode=0600",
            path.display()
        ))),
        Err(error) => Err(Error::Failed(format!("--control {}: {error}", path.display()))),
    }
}

/// The sockets of one kind: those that the service manager has bound, or what a flag asks for.
pub(super) fn instead<A, T>(
    flag: &str,
    passed: Vec<A>,
    asked: &[T],
    resolve: impl FnOnce(&[T]) -> Result<Vec<A>, Error>,
) -> Result<Vec<A>, Error> {
    if passed.is_empty() {
        return resolve(asked);
    }
    if !asked.is_empty() {
        log::warn!("{flag} is left out: the service manager's sockets of that kind replace it");
    }
    Ok(passed)
}
