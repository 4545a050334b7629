//! `reactor` is a TCP chat and UDP echo server, their client, and their measurement: one binary, one
//! thread, one hand-written poll loop. The loop ([`reactor::Reactor`]) decides everything about
//! readiness and knows no chat. What it drives is a [`handler::Handler`]: plain data, no socket. What
//! it calls is an [`os::Os`]: the words of sockets, no decision. So the loop that serves real peers is
//! the one that the tests run over a simulated kernel.
//!
//! The program is `main.rs`. Everything else is here, and public, for the tests, the benches and the
//! examples. It makes no promise of stability yet: any version may change any of it. What versions
//! do count is the program's (CHANGELOG.md says what).
//!
//! # A program on the loop
//!
//! What a program has to say is in two methods; the others have bodies. This one says back what it
//! hears, and stops when its one peer has left:
//!
//! ```
//! use reactor::handler::{Action, CloseReason, Handler, OWNER_ALONE};
//! use reactor::handler::{PeerId, Signal, Slices, Taken};
//! use reactor::log_queue::LogQueue;
//! use reactor::os::mio::{MioOs, Settings};
//! use reactor::reactor::Reactor;
//! use std::io::{Read, Write};
//! use std::net::{Shutdown, SocketAddr, TcpStream};
//! use std::time::{Duration, Instant};
//!
//! const WITHIN: Duration = Duration::from_secs(5);
//!
//! #[derive(Default)]
//! struct Echo {
//!     heard: Vec<u8>,
//!     dirty: Option<PeerId>,
//!     action: Option<Action>,
//! }
//!
//! impl Handler for Echo {
//!     fn received(
//!         &mut self,
//!         peer: PeerId,
//!         bytes: &[u8],
//!         _seen: usize,
//!         _now: Instant,
//!     ) -> Taken {
//!         self.heard.extend(bytes);
//!         self.dirty = Some(peer);
//!         Taken { consumed: bytes.len(), hold: false }
//!     }
//!     fn ended(&mut self, peer: PeerId, _: &[u8], _: Instant) -> bool {
//!         let why = CloseReason::Left;
//!         self.action = Some(Action::Finish { peer, why, within: WITHIN });
//!         true
//!     }
//!     fn closed(&mut self, _: PeerId, _: CloseReason, _: Instant) {
//!         self.action = Some(Action::Stop { within: Some(WITHIN) });
//!     }
//!     fn next_dirty(&mut self) -> Option<PeerId> {
//!         self.dirty.take()
//!     }
//!     fn pending<'a>(&'a mut self, _: PeerId, slices: &mut Slices<'a>) {
//!         slices.push(&self.heard);
//!     }
//!     fn sent(&mut self, _: PeerId, n: usize, _: Instant) {
//!         self.heard.drain(..n); // a short send: the loop comes back for the rest
//!     }
//!     fn signalled(&mut self, _: Signal, _: Instant) {
//!         self.action = Some(Action::Stop { within: Some(WITHIN) });
//!     }
//!     fn next_action(&mut self, _: Instant) -> Option<Action> {
//!         self.action.take()
//!     }
//! }
//!
//! let os = MioOs::new(Settings::default())?;
//! let mut reactor = Reactor::new(os, LogQueue::new());
//! let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
//! let bound = reactor.listen(&any_port.into(), OWNER_ALONE)?;
//! // The kernel takes this peer in, and the loop will see it in its first turn.
//! let mut peer = TcpStream::connect(bound.ip().expect("not a path"))?;
//! peer.write_all(b"hello")?;
//! peer.shutdown(Shutdown::Write)?;
//! reactor.run(&mut Echo::default())?;
//! let mut heard = String::new();
//! peer.read_to_string(&mut heard)?;
//! assert_eq!(heard, "hello");
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! Two whole ones are in `examples/`: `qotd.rs`, the quote of the day over TCP and UDP, and `kv.rs`, a
//! store of keys and values. Each says what it need not care about. `docs/LESSONS.md` teaches why.
//!
//! # The modules
//!
//! ```text
//! cli ─▶ serve   connect   bench    three programs: each is a Handler
//!          │ uses   │        │
//! chat, echo, wire, visible,         pure: rooms, the echo, lines,
//! timers, terminal                   safe text, deadlines, the prompt
//!          ▼        ▼        ▼
//!             handler                the upper border: data, one trait
//!                ▲ drives
//!             reactor                the loop: phases and budgets
//!                │ calls
//!             os: the trait Os       the lower border: the loop's calls
//!                ├── os::mio         MioOs, the system's own calls
//!                ├── os::trace       TraceOs, each call told (-vv)
//!                └── sim             SimOs, a kernel from a seed (tests)
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`cli`] | what was typed, turned once into checked options |
//! | [`address`] | host and port in every form, to socket addresses, before the loop |
//! | [`serve`], [`connect`], [`bench`](mod@bench) | the programs |
//! | [`ctl`] | orders for a running server, in blocking calls |
//! | [`chat`] | the room: one log, one cursor for each peer |
//! | [`echo`], [`probes`] | which datagram is answered; what came back of those that one sent |
//! | [`wire`], [`visible`] | bytes to lines; text that cannot steer a terminal |
//! | [`terminal`] | the line being typed, and what is shown above it |
//! | [`secret`] | what a server asks its peers for first |
//! | [`timers`], [`stats`], [`histogram`] | deadlines in order; counters; times by size |
//! | [`log_form`], [`log_queue`] | how a log line looks; log lines on their way to stderr |
//! | [`handler`] | the contract between the loop and the programs |
//! | [`reactor`] | the loop |
//! | [`os`] | the trait, and the real system |
//!
//! # A turn
//!
//! <svg viewBox="0 0 740 112" width="740" role="img" aria-label="One turn: wait, note, accept, read, expire, act, sweep, flush, and again" fill="none" stroke="currentColor" font-family="monospace" font-size="14" text-anchor="middle">
//! <rect x="10" y="14" width="78" height="34" rx="4"/><text x="49" y="36" fill="currentColor" stroke="none">wait</text>
//! <path d="M88 31h11m-5 -4l5 4l-5 4"/>
//! <rect x="100" y="14" width="78" height="34" rx="4"/><text x="139" y="36" fill="currentColor" stroke="none">note</text>
//! <path d="M178 31h11m-5 -4l5 4l-5 4"/>
//! <rect x="190" y="14" width="78" height="34" rx="4"/><text x="229" y="36" fill="currentColor" stroke="none">accept</text>
//! <path d="M268 31h11m-5 -4l5 4l-5 4"/>
//! <rect x="280" y="14" width="78" height="34" rx="4"/><text x="319" y="36" fill="currentColor" stroke="none">read</text>
//! <path d="M358 31h11m-5 -4l5 4l-5 4"/>
//! <rect x="370" y="14" width="78" height="34" rx="4"/><text x="409" y="36" fill="currentColor" stroke="none">expire</text>
//! <path d="M448 31h11m-5 -4l5 4l-5 4"/>
//! <rect x="460" y="14" width="78" height="34" rx="4"/><text x="499" y="36" fill="currentColor" stroke="none">act</text>
//! <path d="M538 31h11m-5 -4l5 4l-5 4"/>
//! <rect x="550" y="14" width="78" height="34" rx="4"/><text x="589" y="36" fill="currentColor" stroke="none">sweep</text>
//! <path d="M628 31h11m-5 -4l5 4l-5 4"/>
//! <rect x="640" y="14" width="78" height="34" rx="4"/><text x="679" y="36" fill="currentColor" stroke="none">flush</text>
//! <path d="M679 48v26H49v-25m-4 5l4 -5l4 5"/>
//! <text x="370" y="96" fill="currentColor" stroke="none">without waiting, while anything is ready, doomed or queued</text>
//! </svg>
//!
//! `wait` polls. `note` turns events into bits, and no handler code runs meanwhile. `accept` and
//! `read` take what came, within budgets. `expire` does what is due. `act` does what the handler
//! wished for. `sweep` frees what is doomed. `flush` is the only phase that sends to connections.
//!
//! Start reading at `reactor/mod.rs`, [`Reactor::turn`](reactor::Reactor::turn).
//! `docs/ARCHITECTURE.md` has the way of one byte, the invariants, the budgets and the tests.

pub mod address;
pub mod bench;
pub mod chat;
pub mod cli;
pub mod connect;
mod count;
pub mod ctl;
pub mod echo;
pub mod handler;
pub mod histogram;
pub mod log_form;
pub mod log_queue;
pub mod os;
mod outgoing;
pub mod probes;
mod random;
pub mod reactor;
pub mod secret;
pub mod serve;
#[cfg(test)]
mod sim;
pub mod stats;
pub mod terminal;
pub mod timers;
pub mod visible;
pub mod wire;
