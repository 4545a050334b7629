//! What the service manager is told, and when: ready, reloading, stopping, alive, and in a few words
//! how it goes. The loop sends it, so what tells that we are alive is a turn that really went round. What
//! must not be here: sockets, the environment.

use super::server::Server;
use crate::count::Count;
use crate::handler::{Action, Notice};
use crate::wire::Protocol;
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

/// What is told about peers and rooms is told no more often than so: a crowd that comes and goes must
/// not keep the service manager busy. What it did not take is tried again after as long.
const STATUS_EVERY: Duration = Duration::from_secs(1);

/// The least time between two signs of life: the poll waits whole milliseconds.
const WATCHDOG_MIN: Duration = Duration::from_millis(1);

/// Peers, rooms, and whether nobody new comes in.
type Counts = (usize, usize, bool);

/// What a service manager wants of us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Managed {
    /// It wants to hear at least so often that we are alive; none: not at all.
    pub watchdog: Option<Duration>,
}

/// What it was told, and what it is owed.
#[derive(Debug)]
pub(super) struct Notices {
    /// Twice as often as it must hear of us, and when next.
    watchdog: Option<(Duration, Instant)>,
    /// As they were told last, and when that was.
    told: Counts,
    told_at: Instant,
    /// What it is still to hear, in this order: RELOADING comes before the READY that ends it.
    owed: Vec<Notice>,
    /// When to try again, where it did not take the first of those.
    again_at: Option<Instant>,
    /// It could not be reached the last time, and that was said.
    away: bool,
}

impl Notices {
    fn new(managed: Managed, told: Counts, now: Instant) -> Self {
        let watchdog = managed.watchdog.map(|within| ((within / 2).max(WATCHDOG_MIN), now));
        let (owed, again_at) = (Vec::new(), None);
        Notices { watchdog, told, told_at: now, owed, again_at, away: false }
    }

    /// The nearest moment at which something is to be told; `counts` are those of now.
    fn next_deadline(&self, counts: Counts) -> Option<Instant> {
        let status = (counts != self.told).then_some(self.told_at + STATUS_EVERY);
        let watchdog = self.watchdog.map(|(_, at)| at);
        [status, self.again_at, watchdog].into_iter().flatten().min()
    }

    /// Puts one behind those that are owed, less what it says too. That leaves two at most: RELOADING
    /// and one more.
    fn owe(&mut self, notice: Notice) {
        self.again_at = None;
        match (notice, self.owed.last_mut()) {
            // READY has a status of its own, and must not be lost.
            (Notice::Status(status), Some(Notice::Ready(said))) => *said = status,
            (notice @ (Notice::Status(_) | Notice::Ready(_)), _) => {
                self.owed.retain(|owed| *owed == Notice::Reloading);
                self.owed.push(notice);
            }
            (notice, _) => self.owed = vec![notice],
        }
    }

    /// The next one to be sent.
    fn next(&mut self, now: Instant) -> Option<Notice> {
        if self.owed.is_empty() || self.again_at.is_some_and(|at| now < at) {
            return None;
        }
        self.again_at = None;
        Some(self.owed.remove(0))
    }

    /// It did not take this one: what was said since stays behind it.
    fn refused(&mut self, notice: Notice, now: Instant) {
        // That we are alive is said again anyway.
        if notice != Notice::Watchdog {
            let later = std::mem::take(&mut self.owed);
            for notice in std::iter::once(notice).chain(later) {
                self.owe(notice);
            }
            self.again_at = Some(now + STATUS_EVERY);
        }
    }
}

impl Server {
    /// Everything is bound. Tells the service manager so, in the first turn, where there is one.
    pub(crate) fn started(&mut self, now: Instant) {
        if let Some(managed) = self.options.service.managed {
            self.notices = Some(Notices::new(managed, self.counts(), now));
            self.notify(Notice::Ready(self.status_words()));
        }
    }

    /// True where a service manager started us, whether or not it can be reached.
    pub(super) fn is_managed(&self) -> bool {
        self.options.service.managed.is_some()
    }

    /// Tells the service manager, where there is one. Behind the stop nothing is told.
    pub(super) fn notify(&mut self, notice: Notice) {
        if let Some(notices) = &mut self.notices
            && !self.stopping
        {
            notices.owe(notice);
        }
    }

    /// What SIGHUP asked for is done.
    pub(super) fn notify_reloaded(&mut self) {
        self.notify(Notice::Ready(self.status_words()));
    }

    /// When the service manager is to be told something next.
    pub(super) fn next_notice_at(&self) -> Option<Instant> {
        self.notices.as_ref()?.next_deadline(self.counts())
    }

    /// What the service manager is to be told now.
    pub(super) fn next_notice(&mut self, now: Instant) -> Option<Action> {
        self.notices.as_mut()?.next(now).map(Action::Notify)
    }

    /// Tells what is due.
    pub(super) fn expire_notices(&mut self, now: Instant) {
        let counts = self.counts();
        let Some(notices) = &mut self.notices else { return };
        if let Some((every, at)) = &mut notices.watchdog
            && *at <= now
        {
            *at = now + *every;
            self.actions.push_back(Action::Notify(Notice::Watchdog));
        }
        if counts != notices.told && notices.told_at + STATUS_EVERY <= now {
            (notices.told, notices.told_at) = (counts, now);
            self.notify(Notice::Status(self.status_words()));
        }
    }

    /// What became of a notice. A manager that does not take it may do so later, as one does that
    /// starts itself again: it is never given up.
    pub(super) fn note_notified(&mut self, notice: Notice, outcome: io::Result<()>, now: Instant) {
        let Some(notices) = &mut self.notices else { return };
        match outcome {
            Ok(()) => notices.away = false,
            Err(error) => {
                if error.kind() != ErrorKind::WouldBlock && !notices.away {
                    log::warn!("service manager: {error}; it is tried again");
                    notices.away = true;
                }
                notices.refused(notice, now);
            }
        }
    }

    fn counts(&self) -> Counts {
        (self.gate.connections(), self.chat.rooms_count(), self.draining)
    }

    /// `3 peers in 2 rooms`.
    fn status_words(&self) -> String {
        let (peers, rooms, draining) = self.counts();
        let mut words = Count(peers, "peer").to_string();
        if self.protocol == Protocol::Chat {
            words.push_str(&format!(" in {}", Count(rooms, "room")));
        }
        if draining {
            words.push_str("; draining");
        }
        words
    }
}
