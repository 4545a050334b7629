//! One TCP connection as the kernels and the wire hold it: what our end has to read, what it has
//! sent and the remote end has not read, and what is still under way to us. Pure: no descriptors,
//! no events, no randomness; who calls decides when something arrives and how much.
//!
//! The truths kept are those of Linux (net/ipv4/tcp.c): recv gives all there is up to the buffer's
//! length; a short send means a full queue; the queue counts as writable again when a third of it
//! is free (`sk_stream_is_writeable`); after an RST what had arrived can still be read, then the
//! error comes once, then 0; a socket whose input has ended stays readable for ever.

use crate::handler::Endpoint;
use crate::os::Hints;
use rustix::io::Errno;
use std::collections::VecDeque;
use std::io::IoSlice;

/// Where our end stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// We dialed; nobody has answered.
    Dialing,
    /// The remote end dialed; the listener has not accepted.
    Backlog,
    /// A descriptor is open.
    Open,
    /// No descriptor any more; the kernel still sends what it owes.
    Closed,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Link {
    /// The remote end's address.
    pub(super) address: Endpoint,
    pub(super) stage: Stage,
    /// Our descriptor, while one is open.
    pub(super) fd: Option<usize>,
    /// Arrived, not read. At most `rx_capacity`.
    rx: VecDeque<u8>,
    rx_capacity: usize,
    /// A FIN has arrived (after all of `rx`).
    fin_in: bool,
    /// recv has given the end of input or an error: there is nothing new to be told.
    end_told: bool,
    /// SO_ERROR: told once, by whichever call asks first.
    error: Option<Errno>,
    /// An RST has gone or come: no byte moves any more, but what is in `rx` or `tx` can be read.
    pub(super) dead: bool,
    /// Sent by us, not read by the remote end. At most `tx_capacity`.
    tx: VecDeque<u8>,
    tx_capacity: usize,
    /// The capacity before a squeeze; a squeeze ends with the next edge.
    tx_capacity_own: usize,
    /// We shut down writing: a FIN follows the last byte of `tx`.
    fin_out: bool,
    /// We sent an RST.
    reset_out: bool,
    /// A send came back short or not at all at some time.
    blocked: bool,
    /// SOCK_NOSPACE: somebody was told that there is no room, so an edge is owed.
    nospace: bool,
    /// Sent by the remote end, not arrived. Unbounded: the runner bounds what it says.
    wire: VecDeque<u8>,
    /// A FIN follows the last byte of `wire`.
    wire_fin: bool,
    /// The remote end closed altogether: whatever we send is answered by an RST.
    remote_closed: bool,
    /// The remote end or the network cut the connection.
    cut: bool,
}

impl Link {
    /// A stream of the Unix domain.
    pub(super) fn is_unix(&self) -> bool {
        matches!(self.address, Endpoint::Unix(_))
    }

    /// A new connection, nothing sent on it.
    pub(super) fn new(address: Endpoint, stage: Stage, rx: usize, tx: usize) -> Self {
        Link {
            address,
            stage,
            fd: None,
            rx: VecDeque::new(),
            rx_capacity: rx,
            fin_in: false,
            end_told: false,
            error: None,
            dead: false,
            tx: VecDeque::new(),
            tx_capacity: tx,
            tx_capacity_own: tx,
            fin_out: false,
            reset_out: false,
            blocked: false,
            nospace: false,
            wire: VecDeque::new(),
            wire_fin: false,
            remote_closed: false,
            cut: false,
        }
    }

    // ---- what epoll would say ----

    /// A recv would tell something that none has told yet.
    pub(super) fn readable(&self) -> bool {
        let end = self.fin_in || self.dead;
        self.stage != Stage::Dialing && (!self.rx.is_empty() || (end && !self.end_told))
    }

    /// A send may take bytes: `sk_stream_is_writeable`, or a send would fail at once.
    pub(super) fn writable(&self) -> bool {
        let room = 3 * self.tx.len() <= 2 * self.tx_capacity;
        self.dead || (self.stage != Stage::Dialing && (room || self.fin_out))
    }

    /// `tcp_poll`: all that is true now. Asking marks that somebody heard of no room.
    pub(super) fn poll(&mut self) -> Hints {
        let mut hints = Hints::default();
        if self.stage == Stage::Dialing && !self.dead {
            return hints;
        }
        if !self.rx.is_empty() || self.fin_in || self.dead {
            hints = hints.with(Hints::READABLE);
        }
        if self.fin_in || self.dead {
            hints = hints.with(Hints::ENDED);
        }
        match self.writable() {
            true => hints.with(Hints::WRITABLE),
            false => {
                self.nospace = true;
                hints
            }
        }
    }

    // ---- our end's calls ----

    /// SO_ERROR, then getpeername.
    pub(super) fn connected(&mut self) -> Result<bool, Errno> {
        match self.error.take() {
            Some(errno) => {
                self.end_told = true;
                Err(errno)
            }
            None => Ok(self.stage != Stage::Dialing && !self.dead),
        }
    }

    pub(super) fn recv(&mut self, into: &mut [u8]) -> Result<usize, Errno> {
        if self.rx.is_empty() {
            let end = self.fin_in || self.dead;
            if !end {
                return Err(Errno::AGAIN);
            }
            self.end_told = true;
            // A FIN that was there before the RST hides it (SOCK_DONE).
            return match self.error.take() {
                Some(errno) if !self.fin_in => Err(errno),
                kept => {
                    self.error = kept;
                    Ok(0)
                }
            };
        }
        let n = into.len().min(self.rx.len());
        for (to, byte) in into.iter_mut().zip(self.rx.drain(..n)) {
            *to = byte;
        }
        Ok(n)
    }

    pub(super) fn send(&mut self, runs: &[IoSlice<'_>]) -> Result<usize, Errno> {
        if self.dead {
            return Err(self.error.take().unwrap_or(Errno::PIPE));
        }
        if self.fin_out {
            return Err(Errno::PIPE);
        }
        let free = self.free();
        if self.stage == Stage::Dialing || free == 0 {
            self.note_blocked();
            self.nospace = true;
            return Err(Errno::AGAIN);
        }
        let mut left = free;
        for run in runs {
            let n = run.len().min(left);
            self.tx.extend(&run[..n]);
            left -= n;
            if n < run.len() {
                self.note_blocked();
                self.nospace = true;
                break;
            }
        }
        Ok(free - left)
    }

    /// A send was told that there is no room.
    pub(super) fn note_blocked(&mut self) {
        self.blocked = true;
    }

    /// It was told so at some time.
    pub(super) fn was_blocked(&self) -> bool {
        self.blocked
    }

    /// Bytes that a send would take now.
    fn free(&self) -> usize {
        self.tx_capacity.saturating_sub(self.tx.len())
    }

    /// Memory is short: the queue will be full with `n` bytes more. Nothing while it is that short.
    pub(super) fn squeeze(&mut self, n: usize) {
        self.tx_capacity = self.tx_capacity.min(self.tx.len() + n);
    }

    /// shutdown(SHUT_WR); false where there is nothing to shut down.
    pub(super) fn shutdown(&mut self) -> bool {
        let was_open = !self.dead && self.stage == Stage::Open && !self.fin_out;
        self.fin_out |= was_open;
        was_open
    }

    /// close; `true` where unread input makes the kernel reset the connection.
    pub(super) fn close(&mut self) -> bool {
        let (dialing, unread) = (self.stage == Stage::Dialing, !self.rx.is_empty());
        self.stage = Stage::Closed;
        self.fd = None;
        self.rx.clear();
        if self.dead {
            return false;
        }
        if dialing {
            self.dead = true; // a SYN answered later meets nobody
            return false;
        }
        self.fin_out = true;
        unread
    }

    /// We send an RST. The remote end can read the first `keep` bytes of what it has not read.
    pub(super) fn reset_out(&mut self, keep: usize) {
        self.tx.truncate(keep);
        self.wire.clear();
        self.reset_out = true;
        self.dead = true;
    }

    // ---- the remote end and the network ----

    /// The remote end's answer to our dial; nothing if we gave up meanwhile.
    pub(super) fn answer(&mut self, accept: bool) {
        if self.stage != Stage::Dialing || self.dead {
            return;
        }
        if accept {
            self.stage = Stage::Open;
        } else {
            self.dead = true;
            self.cut = true;
            self.error = Some(Errno::CONNREFUSED);
        }
    }

    /// An RST comes in, or the network gives up: what was under way is lost both ways.
    pub(super) fn cut(&mut self) {
        let over = self.fin_in && self.fin_out && self.tx.is_empty();
        if self.dead || over {
            return;
        }
        let errno = if self.fin_in && !self.fin_out { Errno::PIPE } else { Errno::CONNRESET };
        self.error = (self.stage != Stage::Closed).then_some(errno);
        self.wire.clear();
        self.tx.clear();
        self.dead = true;
        self.cut = true;
    }

    /// The remote end sends; nothing after its own FIN or the end of the connection.
    pub(super) fn remote_send(&mut self, bytes: &[u8]) -> usize {
        if self.dead || self.wire_fin {
            return 0;
        }
        self.wire.extend(bytes);
        bytes.len()
    }

    pub(super) fn remote_shutdown(&mut self) {
        self.wire_fin |= !self.dead;
    }

    /// The remote end closes; `true` where its unread input must make it reset.
    pub(super) fn remote_close(&mut self) -> bool {
        self.remote_closed = true;
        self.remote_shutdown();
        !self.tx.is_empty()
    }

    /// We sent to one that closed: its RST is due.
    pub(super) fn provoked(&self) -> bool {
        self.remote_closed && !self.dead && !self.tx.is_empty()
    }

    /// Bytes that could arrive now.
    pub(super) fn arrivable(&self) -> usize {
        match self.stage {
            Stage::Dialing => 0,
            Stage::Closed => self.wire.len(),
            _ => self.wire.len().min(self.rx_capacity - self.rx.len()),
        }
    }

    /// A FIN is next on the wire.
    pub(super) fn fin_arrivable(&self) -> bool {
        self.wire.is_empty() && self.wire_fin && !self.fin_in && !self.dead
    }

    /// `n` bytes arrive, at most [`Link::arrivable`].
    pub(super) fn arrive(&mut self, n: usize) {
        self.rx.extend(self.wire.drain(..n));
    }

    pub(super) fn arrive_fin(&mut self) {
        self.fin_in = true;
    }

    /// The remote end reads; `true` where this owes our end the writable edge.
    pub(super) fn remote_recv(&mut self, max: usize) -> (Vec<u8>, bool) {
        let n = max.min(self.tx.len());
        let bytes: Vec<u8> = self.tx.drain(..n).collect();
        let edge = self.nospace && !self.dead && self.writable();
        if edge {
            self.nospace = false;
            self.tx_capacity = self.tx_capacity_own;
        }
        (bytes, edge)
    }

    /// Bytes that we sent and the remote end has not read.
    pub(super) fn unread_by_remote(&self) -> usize {
        self.tx.len()
    }

    /// The remote end has read everything up to our FIN.
    pub(super) fn remote_saw_fin(&self) -> bool {
        self.fin_out && self.tx.is_empty() && !self.reset_out && !self.cut
    }

    /// The remote end has read everything up to our RST.
    pub(super) fn remote_saw_reset(&self) -> bool {
        self.reset_out && self.tx.is_empty()
    }

    /// The connection ended by no doing of ours: refused, reset by the remote end or by a fault.
    pub(super) fn was_cut(&self) -> bool {
        self.cut
    }
}
