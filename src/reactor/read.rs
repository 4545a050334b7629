//! The read phase: one recv a ready connection and turn, offered to the handler.

use super::conn::{Conn, Input, Kept, Phase};
use super::{CONSOLE_RETRY_MS, DRAIN_BYTES_MAX, Reactor};
use crate::handler::{Call, CloseReason, Handler, Origin, PeerId, Taken};
use crate::os::Os;
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

/// What a recv came to.
enum Received {
    /// So many bytes are in the scratch buffer.
    Bytes(usize),
    /// Nothing now; an edge will tell.
    Blocked,
    /// Nothing now, and no edge will tell: the terminal is somebody else's.
    Busy,
    /// End of input.
    End,
    Failed(io::Error),
}

impl<O: Os> Reactor<O> {
    pub(super) fn read<H: Handler>(&mut self, handler: &mut H, now: Instant) {
        self.read_datagrams(handler);
        self.read_unix_datagrams(handler);
        for _ in 0..self.budgets.reads.min(self.readable.len()) {
            if self.waits_for_room(handler) {
                break;
            }
            let Some((peer, waited)) = self.readable.pop(self.stats.turns) else { break };
            let Some(conn) = self.conn(peer) else { continue };
            conn.in_readable = false;
            match conn.phase() {
                Phase::Open => self.read_open(peer, handler, now),
                Phase::Dialing { .. } => self.ask_dialed(peer, handler),
                Phase::Draining(_) => self.drain(peer),
                Phase::Flushing(_) | Phase::Doomed(_) => {}
            }
            self.stats.wait_turns_max = self.stats.wait_turns_max.max(waited);
            self.queue_read(peer);
            if self.is_over_total(handler) {
                break; // the sweep makes room first
            }
        }
    }

    fn read_open<H: Handler>(&mut self, peer: PeerId, handler: &mut H, now: Instant) {
        let Some(conn) = self.conn(peer) else { return };
        if conn.kept().is_some_and(|kept| kept.offer) {
            return self.offer(peer, 0, now, handler);
        }
        if !conn.wants_read() {
            return;
        }
        if conn.input == Input::AtEnd {
            return self.end_input(peer, handler, now);
        }
        if !handler.reads(peer, now) {
            conn.hold();
            return;
        }
        match self.recv(peer) {
            Received::Bytes(n) => {
                let now = self.look();
                self.offer(peer, n, now, handler);
            }
            Received::End => self.end_input(peer, handler, now),
            Received::Blocked => {}
            Received::Busy => {
                self.console_retry = Some(now + Duration::from_millis(CONSOLE_RETRY_MS));
            }
            Received::Failed(error) => {
                if self.conns[peer.slot as usize].console {
                    // A directory, an unplugged terminal: as good as the end of the operator's
                    // words, and no reason to stop showing what the peers say.
                    log::warn!("stdin: {error}; going on without it");
                    self.end_input(peer, handler, now);
                } else {
                    self.doom(peer, CloseReason::failed(Call::Recv, &error));
                }
            }
        }
    }

    /// Offers what is kept, and behind it the first `fresh` bytes of the scratch buffer.
    fn offer<H: Handler>(&mut self, peer: PeerId, fresh: usize, now: Instant, handler: &mut H) {
        let Reactor { conns, scratch, kept_bytes, .. } = self;
        let conn = &mut conns[peer.slot as usize];
        *kept_bytes -= conn.kept_bytes();
        conn.offer(scratch, fresh, |bytes, seen| handler.received(peer, bytes, seen, now));
        *kept_bytes += conn.kept_bytes();
    }

    fn end_input<H: Handler>(&mut self, peer: PeerId, handler: &mut H, now: Instant) {
        let Some(conn) = self.conn(peer) else { return };
        let rest = conn.kept().map_or(&[][..], |kept| &kept.bytes);
        if handler.ended(peer, rest, now) {
            conn.input = Input::Ended;
            let kept = conn.kept_bytes();
            conn.keep(None);
            self.kept_bytes -= kept;
        } else {
            conn.input = Input::AtEnd;
            conn.held = true;
        }
    }

    /// One recv into the scratch buffer; keeps the readiness bits. Inlined as `visit` is.
    #[inline(always)]
    fn recv(&mut self, peer: PeerId) -> Received {
        let Reactor { os, conns, scratch, stats, stopping, .. } = self;
        let conn = &mut conns[peer.slot as usize];
        stats.recvs += 1;
        if let Some(stop) = stopping {
            stop.note_recv(peer);
        }
        match os.recv(&mut conn.stream, scratch) {
            Ok(0) => {
                conn.readable = false;
                Received::End
            }
            Ok(n) => {
                stats.bytes_in += n as u64;
                // epoll(7): a short read from a stream socket means that it is drained. But data
                // and FIN arrive in one event, and the FIN is never announced again; and a recv stops
                // at the mark of urgent data (telnet's Ctrl-C sends them): then one more read is
                // owed. A terminal gives a line a read, however many it has.
                let drained = !conn.more_hinted && !os.reads_in_pieces(&conn.stream);
                if n < scratch.len() && drained {
                    conn.readable = false;
                }
                Received::Bytes(n)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                conn.readable = false;
                conn.more_hinted = false;
                Received::Blocked
            }
            Err(error) if error.kind() == ErrorKind::ResourceBusy => {
                conn.readable = false;
                Received::Busy
            }
            Err(error) => {
                conn.readable = false;
                Received::Failed(error)
            }
        }
    }

    /// Reads and drops, so that the close does not destroy what the peer has not read yet.
    fn drain(&mut self, peer: PeerId) {
        let input = self.recv(peer);
        let Some(conn) = self.conn(peer) else { return };
        let Some(ending) = conn.ending() else { return };
        match input {
            Received::Bytes(n) => {
                ending.dropped += n;
                if ending.dropped < DRAIN_BYTES_MAX {
                    return;
                }
            }
            Received::Blocked | Received::Busy => return,
            // Its end, or a reset: nobody reads there any more.
            Received::End | Received::Failed(_) => {}
        }
        let why = ending.why;
        self.doom(peer, why);
    }

    fn ask_dialed<H: Handler>(&mut self, peer: PeerId, handler: &mut H) {
        let Reactor { os, conns, .. } = self;
        let conn = &mut conns[peer.slot as usize];
        match os.connected(&mut conn.stream) {
            Ok(true) => {
                self.enter(peer, Phase::Open);
                let now = self.look();
                log::info!(event = "opened", peer = peer.serial; "opened {peer}: connected");
                handler.opened(peer, Origin::Dialed, now);
            }
            // A spurious event.
            Ok(false) => {
                conn.writable = false;
                conn.more_hinted = false;
            }
            Err(error) => self.doom(peer, CloseReason::failed(Call::Connect, &error)),
        }
    }
}

impl<S> Conn<S> {
    /// Offers what is kept and the first `fresh` bytes of `scratch` behind it, and keeps what is not
    /// consumed. That takes at most as much more memory as one read may bring.
    fn offer(
        &mut self,
        scratch: &[u8],
        fresh: usize,
        mut received: impl FnMut(&[u8], usize) -> Taken,
    ) {
        let (fresh, read_max) = (&scratch[..fresh], scratch.len());
        let taken = match self.take_kept() {
            None => {
                let taken = received(fresh, 0);
                let rest = &fresh[taken.consumed..];
                if !rest.is_empty() {
                    let seen = rest.len();
                    self.keep(Some(Kept { bytes: rest.to_vec(), seen, offer: false }));
                }
                taken
            }
            Some(mut kept) => {
                let memory = kept.bytes.capacity();
                let room = memory - kept.bytes.len();
                if room < fresh.len() {
                    // It doubles, as a vector does by itself, while that is no more than a read.
                    kept.bytes.reserve_exact((room + memory.min(read_max)).max(fresh.len()));
                }
                kept.bytes.extend_from_slice(fresh);
                let taken = received(&kept.bytes, kept.seen);
                kept.bytes.drain(..taken.consumed);
                if !kept.bytes.is_empty() {
                    kept.seen = kept.bytes.len();
                    kept.offer = false;
                    self.keep(Some(kept));
                }
                taken
            }
        };
        if taken.hold {
            self.hold();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_in_pieces_takes_at_most_a_reads_worth_of_memory_more_at_once() {
        for fresh in [1, 7, 64] {
            let (mut conn, scratch) = (Conn::new((), 1, false), [b'x'; 64]);
            let mut growths = 0;
            for reads in 1..=100 {
                let before = conn.kept_bytes();
                conn.offer(&scratch, fresh, |_, _| Taken { consumed: 0, hold: false });
                let grown = conn.kept_bytes() - before;
                assert!(grown <= scratch.len(), "{grown} bytes more");
                growths += usize::from(grown > 0);
                assert_eq!(conn.kept().map(|kept| kept.bytes.len()), Some(reads * fresh));
            }
            assert!(growths <= 8 + 100 * fresh / scratch.len(), "{fresh}: {growths} growths");
        }
    }
}
