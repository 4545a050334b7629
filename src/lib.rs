//! `reactor` is a TCP chat and UDP echo server, their client, and their measurement: one binary, one
//! thread, one hand-written poll loop. The loop ([`reactor::Reactor`]) decides everything about
//! readiness and knows no chat. What it drives is a [`handler::Handler`]: plain data, no socket. What
//! it calls is an [`os::Os`]: the words of sockets, no decision. So the loop that serves real peers is
//! the one that the tests run over a simulated kernel. The program is `main.rs`; everything else is
//! here, so that tests and benches can import it. Nothing here is a stable interface.
//!
//! # The modules
//!
//! ```text
//! cli ──▶ serve   connect   bench             three programs: each is a Handler; none names mio
//!           │ uses   │        │
//! chat, echo, wire, visible, timers, terminal pure: the room, the echo, lines, safe text, deadlines
//!           ▼        ▼        ▼
//!              handler                        the upper border: plain data and one trait
//!                 ▲ drives
//!              reactor                        the loop: phases and budgets
//!                 │ calls
//!              os: the trait Os               the lower border: each call that the loop makes
//!                 ├── os::mio                 MioOs, the system's own calls
//!                 ├── os::trace               TraceOs, any Os with each call told (-vv)
//!                 └── sim                     SimOs, a kernel from a seed (tests alone)
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`cli`] | what was typed, turned once into checked options |
//! | [`address`] | host and port in every form, to socket addresses, before the loop |
//! | [`serve`], [`connect`], [`bench`](mod@bench) | the programs |
//! | [`chat`] | the room: one log, one cursor for each peer |
//! | [`echo`] | which datagram is answered |
//! | [`wire`], [`visible`] | bytes to lines; text that cannot steer a terminal |
//! | [`terminal`] | the line being typed, and what is shown above it |
//! | [`secret`] | what a server asks its peers for first |
//! | [`timers`], [`stats`] | deadlines in order; counters |
//! | [`log_form`], [`log_queue`] | how a log line looks; log lines on their way to stderr |
//! | [`handler`] | the contract between the loop and the programs |
//! | [`reactor`] | the loop |
//! | [`os`] | the trait, and the real system |
//!
//! # A turn
//!
//! ```text
//! wait ▸ note ▸ accept ▸ read ▸ expire ▸ act ▸ sweep ▸ flush ─┐
//!  ▲ zero wait while anything is ready, doomed or queued      │
//!  └──────────────────────────────────────────────────────────┘
//! ```
//!
//! `wait` polls. `note` turns events into bits, and no handler code runs meanwhile. `accept` and
//! `read` take what came, within budgets. `expire` looks at the clock. `act` does what the handler
//! wished for. `sweep` frees what is doomed. `flush` is the only phase that sends to connections.
//!
//! Start reading at `reactor/mod.rs`, [`Reactor::turn`](reactor::Reactor::turn).
//! `docs/ARCHITECTURE.md` has the way of one byte, the invariants, the budgets and the tests.

pub mod address;
pub mod bench;
pub mod chat;
pub mod cli;
pub mod connect;
pub mod echo;
pub mod handler;
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
