//! The metrics address: `/metrics` for Prometheus and its like, `/healthz` and `/readyz` for whoever
//! starts and watches the server. A few connections, each with one request at a time, on the loop of
//! the chat: an answer is made from counters that are there, stands in a buffer, and goes out with
//! the ordinary flush. Who asks at the same time gets the same text.

pub(super) mod exposition;
mod http;
mod snapshot;
pub mod table;

pub use snapshot::Snapshot;

use super::desk::Asker;
use super::server::Server;
use crate::handler::{Action, CloseReason, PeerId, Remote, Slices, Taken};
use crate::outgoing::Outgoing;
use http::{Asked, Code, Target};
use std::time::{Duration, Instant};

/// Connections at once: a Prometheus or two, with a spare one each, and a person who looks. An
/// answer is some 10 KiB, so all of them together cost what one line of the chat may.
pub const SCRAPERS_MAX: usize = 8;

/// A request must be complete so long after its first byte, or after the connection came.
const REQUEST_WITHIN: Duration = Duration::from_secs(10);

/// A connection that is kept for the next request: longer than the usual minute between scrapes.
const IDLE_MAX: Duration = Duration::from_secs(150);

/// A text is given to whoever asks for it so long: it costs a look at every member and at the
/// kernel's table of sockets, and a peer may ask in every turn.
const TEXT_KEPT: Duration = Duration::from_millis(100);

/// How long a scraper that is done has to take its answer.
const LEAVE_FLUSH: Duration = Duration::from_secs(5);

const PLAIN: &str = "text/plain; charset=utf-8";

/// Who asks at the metrics address.
#[derive(Debug, Default)]
pub(super) struct Scrapers {
    there: Vec<Scraper>,
    /// The text that was made last.
    text: String,
    /// When it was asked for; none: never.
    asked: Option<Instant>,
}

#[derive(Debug)]
struct Scraper {
    peer: PeerId,
    state: State,
    out: Outgoing,
    /// There is something in `out` that the loop has not been told of.
    dirty: bool,
}

/// How far a scraper is with its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The next request is to begin by then.
    Idle { until: Instant },
    /// It has begun, and is to be complete by then.
    Reading { until: Instant },
    /// It waits for the loop's counters.
    Asked(Asked),
    /// Its answer is on the way; true: the connection is used again.
    Answered { keep: bool },
    /// It is to be closed and is told nothing.
    Refused,
}

impl Scrapers {
    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.there.len()
    }

    /// Bytes of answers that are not sent.
    pub(super) fn buffered(&self) -> usize {
        self.there.iter().map(|scraper| scraper.out.pending().len()).sum()
    }

    /// True for one of them.
    pub(super) fn has(&self, peer: PeerId) -> bool {
        self.there.iter().any(|scraper| scraper.peer == peer)
    }

    /// The connection is gone; says whether it was one of them.
    pub(super) fn gone(&mut self, peer: PeerId) -> bool {
        let before = self.there.len();
        self.there.retain(|scraper| scraper.peer != peer);
        self.there.len() < before
    }

    /// Whether it may be read: not before it has taken its answer.
    pub(super) fn reads(&self, peer: PeerId) -> bool {
        let scraper = self.there.iter().find(|scraper| scraper.peer == peer);
        scraper.is_some_and(|scraper| {
            matches!(scraper.state, State::Idle { .. } | State::Reading { .. })
        })
    }

    /// The text that was made last, where it is not too old.
    fn kept(&self, now: Instant) -> Option<&str> {
        let fresh = self.asked.is_some_and(|at| now.saturating_duration_since(at) < TEXT_KEPT);
        Some(&*self.text).filter(|text| fresh && !text.is_empty())
    }

    /// Keeps a text that was made.
    pub(super) fn keep(&mut self, text: &str) {
        text.clone_into(&mut self.text);
    }

    /// The text that it waits for.
    pub(super) fn answer(&mut self, peer: PeerId, text: &str) {
        if let Some(scraper) = self.get_mut(peer)
            && let State::Asked(asked) = scraper.state
        {
            scraper.write(asked, http::OK, exposition::CONTENT_TYPE, text);
        }
    }

    /// One that has something to send which the loop has not been told of.
    pub(super) fn next_dirty(&mut self) -> Option<PeerId> {
        let scraper = self.there.iter_mut().find(|scraper| scraper.dirty)?;
        scraper.dirty = false;
        Some(scraper.peer)
    }

    pub(super) fn pending<'a>(&'a mut self, peer: PeerId, slices: &mut Slices<'a>) {
        if let Some(scraper) = self.get_mut(peer) {
            slices.push(scraper.out.pending());
            slices.that_is_all();
        }
    }

    /// The nearest moment at which one has taken too long.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.there.iter().filter_map(Scraper::until).min()
    }

    fn get_mut(&mut self, peer: PeerId) -> Option<&mut Scraper> {
        self.there.iter_mut().find(|scraper| scraper.peer == peer)
    }
}

impl Scraper {
    fn until(&self) -> Option<Instant> {
        match self.state {
            State::Idle { until } | State::Reading { until } => Some(until),
            State::Asked(_) | State::Answered { .. } | State::Refused => None,
        }
    }

    fn write(&mut self, asked: Asked, code: Code, kind: &str, body: &str) {
        http::answer(self.out.end(), asked, code, kind, body);
        self.state = State::Answered { keep: asked.keep };
        self.dirty = true;
    }
}

impl Server {
    /// A connection to the metrics address. The rules and bans hold there too.
    pub(super) fn open_scraper(&mut self, peer: PeerId, from: Remote, now: Instant) {
        let full = self.scrapers.count() >= SCRAPERS_MAX;
        let refused = match from {
            Remote::Ip(from) => self.gate.admits(from.ip().to_canonical(), now).err(),
            Remote::Unix(_) => None,
        };
        let why = refused.or(full.then_some(CloseReason::Full));
        let state = match why {
            None => State::Idle { until: now + REQUEST_WITHIN },
            Some(why) => {
                self.actions.push_back(Action::Close(peer, why));
                State::Refused
            }
        };
        self.scrapers.there.push(Scraper { peer, state, out: Outgoing::default(), dirty: false });
    }

    /// Bytes of a scraper: a request, and nothing more until it has its answer.
    pub(super) fn receive_request(&mut self, peer: PeerId, bytes: &[u8], now: Instant) -> Taken {
        let stopping = self.draining || self.stopping;
        let kept = self.scrapers.kept(now).is_some();
        let Some(scraper) = self.scrapers.get_mut(peer) else {
            return Taken { consumed: bytes.len(), hold: false };
        };
        let Some((asked, consumed)) = http::parse(bytes) else {
            // Its first bytes may have come behind the last request: then they were seen before.
            if !bytes.is_empty() && matches!(scraper.state, State::Idle { .. }) {
                scraper.state = State::Reading { until: now + REQUEST_WITHIN };
            }
            return Taken { consumed: 0, hold: false };
        };
        match asked.target {
            Target::Metrics => {
                scraper.state = State::Asked(asked);
                if kept {
                    let text = std::mem::take(&mut self.scrapers.text);
                    self.scrapers.answer(peer, &text);
                    self.scrapers.text = text;
                } else {
                    self.scrapers.text.clear();
                    self.scrapers.asked = Some(now);
                    self.ask_stats(Asker::Scraper(peer));
                }
            }
            Target::Health => scraper.write(asked, http::OK, PLAIN, "ok\n"),
            Target::Ready if stopping => {
                scraper.write(asked, http::UNAVAILABLE, PLAIN, "draining\n");
            }
            Target::Ready => scraper.write(asked, http::OK, PLAIN, "ready\n"),
            Target::Wrong(code) => scraper.write(asked, code, PLAIN, &format!("{}\n", code.1)),
        }
        Taken { consumed, hold: true }
    }

    /// A scraper has taken bytes of its answer. Behind the last one it may ask again, or goes.
    pub(super) fn sent_to_scraper(&mut self, peer: PeerId, n: usize, now: Instant) {
        let Some(scraper) = self.scrapers.get_mut(peer) else { return };
        scraper.out.sent(n);
        if !scraper.out.pending().is_empty() {
            return;
        }
        let State::Answered { keep } = scraper.state else { return };
        if keep {
            scraper.state = State::Idle { until: now + IDLE_MAX };
            self.actions.push_back(Action::Resume(peer));
        } else {
            self.finish_scraper(peer);
        }
    }

    /// Its input has ended, between two requests or within one.
    pub(super) fn finish_scraper(&mut self, peer: PeerId) {
        if let Some(scraper) = self.scrapers.get_mut(peer) {
            scraper.state = State::Answered { keep: false };
        }
        let (why, within) = (CloseReason::Done, LEAVE_FLUSH);
        self.actions.push_back(Action::Finish { peer, why, within });
    }

    /// Closes those that have taken too long.
    pub(super) fn expire_scrapers(&mut self, now: Instant) {
        for scraper in &mut self.scrapers.there {
            let why = match scraper.state {
                State::Idle { until } if until <= now => CloseReason::Idle,
                State::Reading { until } if until <= now => CloseReason::LineTimeout,
                _ => continue,
            };
            scraper.state = State::Refused;
            self.actions.push_back(Action::Close(scraper.peer, why));
        }
    }
}

#[cfg(test)]
mod tests;
