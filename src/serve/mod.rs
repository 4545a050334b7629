//! `reactor serve`: TCP chat and UDP echo in one process.

mod bounds;
mod clocks;
mod console;
pub mod control;
mod desk;
mod door;
mod flood;
mod gate;
mod listening;
mod management;
mod memory;
pub mod metrics;
mod notices;
mod operator;
mod server;

pub use crate::address::Group;
pub use crate::chat::{LOG_BYTES, Rules, Slow, line_len_limit};
pub use crate::reactor::{BUFFERS_TOTAL, STALL_TIMEOUT};
pub use clocks::LINE_TIMEOUT;
pub use console::ConsoleMode;
pub use flood::FloodLimits;
pub use gate::access::{self, Access, Rule, Verdict};
pub use gate::sources::{CONNECT_RATE_MAX, Crowd};
pub use gate::{Admission, SECRET_TRIES, SECRET_WITHIN};
pub use listening::Service;
pub use management::{BESIDE_PEERS_MAX, Management};
pub use memory::PEER_BYTES;
pub use notices::Managed;
pub(crate) use server::Role;
pub use server::{STOP_WITHIN, Server};

use crate::echo;
use crate::handler::{Endpoint, OWNER_ALONE, UnixAddress};
use crate::log_form::TOLD;
use crate::log_queue::LogQueue;
use crate::os::Os;
use crate::reactor::{Budgets, Limits, Reactor, Spin};
use listening::Listening;
use rustix::io::Errno;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The send buffer asked for, in bytes, for each accepted connection: what a slow reader hides
/// from the log is at most twice that and what its own side takes. Where the system chooses, it is
/// 4 MiB on a loopback, and the log's own megabyte decides nothing.
pub const SEND_BUFFER: usize = 64 * 1024;

/// Sends that one look at the clock is for: how long a line waited is counted up to seven sends short,
/// some tens of microseconds where the machine is not busy.
const SENDS_A_LOOK: usize = 8;

/// The least that all buffers together may be given: one peer in the middle of the longest line.
pub fn buffers_least(line_len_max: usize) -> usize {
    2 * (line_len_max + Budgets::default().scratch_bytes)
}

/// What `serve` needs to know, checked.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen for connections.
    pub tcp: Vec<SocketAddr>,
    /// Where to answer datagrams.
    pub udp: Vec<SocketAddr>,
    /// Sockets of the Unix domain.
    pub unix: UnixOptions,
    /// Which datagrams are answered.
    pub echo: echo::Rules,
    /// Multicast groups that the UDP sockets join.
    pub udp_groups: Vec<Group>,
    /// What holds for the chat; its stall timeout, not zero, for the loop too.
    pub rules: Rules,
    /// What the kept input and the outboxes of all peers may hold together, in bytes; at least
    /// [`buffers_least`] of the rules' `line_len_max`.
    pub buffers_total: usize,
    /// Who sends nothing for so long is closed; none: nobody is.
    pub idle_timeout: Option<Duration>,
    /// A line must be complete so long after its first byte (`chat` and `lines`).
    pub line_timeout: Duration,
    /// How much one peer may say.
    pub flood: FloodLimits,
    /// How long a stop waits for peers to take what they are owed.
    pub stop_timeout: Duration,
    /// Whether the loop looks again before it sleeps.
    pub spin: Spin,
    /// How long what came in may wait for more before it is passed on; zero: not at all.
    pub gather: Duration,
    /// Who may come in.
    pub admission: Admission,
    /// How it is watched and steered from outside.
    pub management: Management,
    /// This machine's addresses, for the warning about a socket that is bound to all of them.
    pub interfaces: Vec<IpAddr>,
    /// What is told to a service manager and to scripts.
    pub service: Service,
    /// What stdin and stdout are for.
    pub console: ConsoleMode,
    /// stdout is a terminal.
    pub stdout_is_terminal: bool,
    /// stdin is one too, and it can move its cursor: keys are read one by one, and a line to type
    /// stands at the bottom.
    pub terminal: bool,
    /// What is shown there is coloured.
    pub color: bool,
}

/// Where to listen in the Unix domain.
#[derive(Clone, Debug, Default)]
pub struct UnixOptions {
    /// For connections.
    pub streams: Vec<UnixAddress>,
    /// For datagrams, which are answered.
    pub datagrams: Vec<UnixAddress>,
    /// Permissions of their paths, chmod(2).
    pub mode: u32,
}

#[cfg(test)]
impl Options {
    /// No socket, no console, a chat with the default limits: what tests start from.
    pub(crate) fn bare() -> Self {
        Options {
            tcp: Vec::new(),
            udp: Vec::new(),
            echo: echo::Rules::default(),
            unix: UnixOptions::default(),
            udp_groups: Vec::new(),
            rules: Rules {
                protocol: crate::wire::Protocol::Chat,
                line_len_max: crate::wire::LINE_LEN_MAX,
                log_bytes: LOG_BYTES,
                rooms_max: 1,
                history: 0,
                slow: Slow::Skip,
                stall_timeout: STALL_TIMEOUT,
            },
            buffers_total: BUFFERS_TOTAL,
            idle_timeout: None,
            line_timeout: LINE_TIMEOUT,
            flood: FloodLimits::default(),
            stop_timeout: STOP_WITHIN,
            spin: Spin::Off,
            gather: Duration::ZERO,
            admission: Admission::default(),
            management: Management::default(),
            service: Service::default(),
            interfaces: Vec::new(),
            console: ConsoleMode::Off,
            stdout_is_terminal: false,
            terminal: false,
            color: false,
        }
    }
}

/// Why `serve` could not start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A socket could not be bound.
    #[error("bind {transport} {at}: {source}{}", hint(.source))]
    Bind {
        /// `tcp` or `udp`.
        transport: &'static str,
        /// The address that was asked for.
        at: SocketAddr,
        /// bind(2)'s or listen(2)'s error.
        source: io::Error,
    },
    /// A Unix socket could not be bound.
    #[error("bind unix {at}: {source}")]
    BindUnix {
        /// The address that was asked for.
        at: UnixAddress,
        /// bind(2)'s or listen(2)'s error, or why the path is in use.
        source: io::Error,
    },
    /// A file is of no use (access, secret) or cannot be written (pid, port): the whole line.
    #[error("{0}")]
    File(String),
    /// A multicast group could not be joined.
    #[error("--udp-group {group}: {source}{}", group_hint(.source))]
    Join {
        /// As it was asked for.
        group: Group,
        /// setsockopt(2)'s error.
        source: io::Error,
    },
    /// No socket would get what is sent to a group.
    #[error("--udp-group {0}: no --udp address gets it; listen on every address, --udp :PORT")]
    Unheard(Group),
    /// The loop itself failed.
    #[error(transparent)]
    Loop(#[from] io::Error),
}

/// What to try.
fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; stop the program that has it, or take port 0 for a free one",
        io::ErrorKind::AddrNotAvailable => "; no interface here has that address",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need a privilege",
        _ => "",
    }
}

/// What to try where a group cannot be joined.
fn group_hint(error: &io::Error) -> &'static str {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NODEV | Errno::ADDRNOTAVAIL) => {
            "; name an interface that has it, as in --udp-group 239.1.2.3%eth0"
        }
        _ => "",
    }
}

/// Binds everything, tells where, and serves until a stop is complete. What memory peers may take
/// and the `listening` lines are told whatever the log's level; these are `listening TRANSPORT ADDRESS
/// SERVICE`, for scripts too.
pub fn run<O: Os>(mut os: O, options: &Options, log: &LogQueue) -> Result<(), Error> {
    let mut server = Server::new(options);
    server.shows_log(log);
    server.read_files(&mut os).map_err(Error::File)?;
    let budgets = Budgets { sends_a_look: SENDS_A_LOOK, ..Budgets::default() };
    let mut reactor = Reactor::with_budgets(os, log.clone(), budgets);
    let &Options { rules: Rules { stall_timeout, .. }, buffers_total, .. } = options;
    reactor.set_limits(Limits { stall_timeout, buffers_total });
    reactor.pace_by(options.spin, options.gather);
    log::info!(target: TOLD, "{}", server.ceiling());
    let mut listening = Listening::default();
    for &at in &options.tcp {
        let bind = |source| Error::Bind { transport: "tcp", at, source };
        let bound = listen(&mut reactor, &mut server, &at.into(), OWNER_ALONE, Role::Chat);
        let bound = bound.map_err(bind)?;
        listening.tell("tcp", &bound, options.rules.protocol.word());
        server.warn_of_wildcard("tcp", &bound);
    }
    for at in &options.unix.streams {
        let bind = |source| Error::BindUnix { at: at.clone(), source };
        let (endpoint, mode) = (at.clone().into(), options.unix.mode);
        listen(&mut reactor, &mut server, &endpoint, mode, Role::Chat).map_err(bind)?;
        listening.tell("unix", at, options.rules.protocol.word());
    }
    for at in &options.unix.datagrams {
        let bind = |source| Error::BindUnix { at: at.clone(), source };
        reactor.bind_unix(at, options.unix.mode).map_err(bind)?;
        server.bound_unix(at.clone());
        listening.tell("unix-dgram", at, "echo");
    }
    management::listen(&mut reactor, &mut server, options, &mut listening)?;
    let mut udps = Vec::new();
    for &at in &options.udp {
        let bind = |source| Error::Bind { transport: "udp", at, source };
        let bound = reactor.bind_udp(at, options.echo.broadcast).map_err(bind)?;
        server.bound_udp(bound);
        udps.push(bound);
    }
    join_groups(&mut reactor, options)?;
    for bound in udps {
        listening.tell("udp", &bound, "echo");
        server.warn_of_wildcard("udp", &bound.into());
    }
    if options.console != ConsoleMode::Off
        && let Err(error) = reactor.open_console(&mut server)
    {
        log::warn!("stdin and stdout: {error}; going on without a console");
    }
    let held = listening.hold_files(reactor.os_mut(), &options.service)?;
    server.started(reactor.os_mut().now());
    reactor.run(&mut server)?;
    drop(held);
    server.tell_cut();
    let stats = reactor.report();
    log::info!(event = "stopped"; "stopped: {stats:?}");
    if !options.udp.is_empty() || !options.unix.datagrams.is_empty() {
        log::info!("{}", server.tell_datagrams(stats));
    }
    Ok(())
}

/// Binds a listener and tells the server what it is for: here alone, so that the two agree.
pub(crate) fn listen<O: Os>(
    reactor: &mut Reactor<O>,
    server: &mut Server,
    at: &Endpoint,
    mode: u32,
    role: Role,
) -> io::Result<Endpoint> {
    let index = reactor.listeners();
    let bound = reactor.listen(at, mode)?;
    server.bound(index, role, bound.clone());
    Ok(bound)
}

/// Each group, with each socket that can hear it: bound to every address, or to the group itself.
fn join_groups<O: Os>(reactor: &mut Reactor<O>, options: &Options) -> Result<(), Error> {
    for &group in &options.udp_groups {
        let hears = |at: &SocketAddr| {
            let any = at.ip().is_unspecified() && (at.is_ipv6() || group.ip.is_ipv4());
            any || at.ip() == group.ip
        };
        let mut heard = false;
        for (socket, _) in options.udp.iter().enumerate().filter(|(_, at)| hears(at)) {
            let joined = reactor.join(socket, group.ip, group.interface);
            joined.map_err(|source| Error::Join { group, source })?;
            heard = true;
        }
        if !heard {
            return Err(Error::Unheard(group));
        }
    }
    Ok(())
}
