//! Accepting: a budget a turn, and the pause when the system has nothing to give.

use super::Reactor;
use crate::handler::{Handler, Origin, PeerId, Remote};
use crate::os::{AcceptTrouble, Os, accept_trouble};
use std::io;
use std::time::{Duration, Instant};

/// The pause after accept found no descriptor or no memory. Edge-triggered readiness will not come
/// again for clients that wait already, so the listener stays ready and is tried again: now and
/// then by this timer, and as soon as a connection closes.
const ACCEPT_PAUSE_MS: u64 = 100;

/// The least time between two warnings of that kind: a full table may last for hours.
const ACCEPT_WARN_MS: u64 = 1_000;

/// After so many lost connections in a row it is no longer about connections (a filter that refuses
/// accept itself, say): pause, or the loop would spin on it.
const FAILURES_MAX: u32 = 64;

pub(super) struct Listener<L> {
    /// None: it is closed, and its place keeps the others' indexes.
    listener: Option<L>,
    ready: bool,
    paused_until: Option<Instant>,
    warned_at: Option<Instant>,
    /// Connections in a row that were lost at accept.
    failures: u32,
}

impl<L> Listener<L> {
    pub(super) fn new(listener: L) -> Self {
        Listener {
            listener: Some(listener),
            ready: false,
            paused_until: None,
            warned_at: None,
            failures: 0,
        }
    }

    /// What is to be closed, if it is open.
    pub(super) fn take(&mut self) -> Option<L> {
        self.ready = false;
        self.paused_until = None;
        self.listener.take()
    }

    #[cfg(test)]
    pub(super) fn is_open(&self) -> bool {
        self.listener.is_some()
    }

    pub(super) fn note(&mut self) {
        self.ready = self.listener.is_some();
    }

    /// A descriptor is free again.
    pub(super) fn retry(&mut self) {
        self.paused_until = None;
    }

    #[cfg(test)]
    pub(super) fn is_ready(&self) -> bool {
        self.ready
    }

    pub(super) fn wants_accept(&self) -> bool {
        self.ready && self.paused_until.is_none()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.paused_until
    }

    fn unpause(&mut self, now: Instant) {
        if self.paused_until.is_some_and(|until| until <= now) {
            self.paused_until = None;
        }
    }
}

impl<O: Os> Reactor<O> {
    /// The accept phase. Who goes comes before who comes: however many are refused, they hold no
    /// more descriptors than a turn accepts and closes.
    pub(super) fn accept<H: Handler>(&mut self, handler: &mut H, now: Instant) -> io::Result<()> {
        if self.doomed.len() > self.budgets.closes || self.waits_for_room(handler) {
            return Ok(());
        }
        for index in 0..self.listeners.len() {
            self.listeners[index].unpause(now);
            for _ in 0..self.budgets.accepts {
                if !self.listeners[index].wants_accept() {
                    break;
                }
                match self.accept_one(index) {
                    Ok((peer, from)) => {
                        self.listeners[index].failures = 0;
                        self.stats.accepted += 1;
                        log::info!(
                            event = "opened", peer = peer.serial, from:% = from;
                            "opened {peer} from {from}"
                        );
                        handler.opened(peer, Origin::Accepted { listener: index, from }, now);
                    }
                    Err(error) => self.accept_failed(index, &error, now)?,
                }
            }
        }
        Ok(())
    }

    fn accept_one(&mut self, index: usize) -> io::Result<(PeerId, Remote)> {
        let peer = self.next_peer();
        let Some(listener) = &mut self.listeners[index].listener else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        let (stream, from) = self.os.accept(listener, peer)?;
        self.insert(peer, stream);
        Ok((peer, from))
    }

    fn accept_failed(&mut self, index: usize, error: &io::Error, now: Instant) -> io::Result<()> {
        let listener = &mut self.listeners[index];
        match accept_trouble(error) {
            AcceptTrouble::Drained => {
                listener.ready = false;
                listener.failures = 0;
            }
            AcceptTrouble::OneConnection if listener.failures < FAILURES_MAX => {
                self.stats.accept_failed += 1;
                listener.failures += 1;
            }
            AcceptTrouble::OneConnection | AcceptTrouble::Exhausted => {
                self.stats.accept_failed += 1;
                listener.failures = 0;
                listener.paused_until = Some(now + Duration::from_millis(ACCEPT_PAUSE_MS));
                let quiet = Duration::from_millis(ACCEPT_WARN_MS);
                if listener.warned_at.is_none_or(|at| now >= at + quiet) {
                    listener.warned_at = Some(now);
                    log::warn!("accept: {error}; trying again when something is free");
                }
            }
            AcceptTrouble::Fatal => {
                return Err(io::Error::new(error.kind(), format!("accept: {error}")));
            }
        }
        Ok(())
    }
}
