//! What the service manager is told, and when: ready, reloading, stopping, alive, and in a few words
//! how it goes. The loop sends it, so what tells that we are alive is a turn that really went round. What
//! must not be here: sockets, the environment.

use super::server::Server;
use crate::handler::{Action, Notice};
use crate::wire::Protocol;
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

/// What is told about peers and rooms is told no more often than so: a crowd that comes and goes must
/// not keep the service manager busy. What could not be sent is tried again after as long.
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
    /// What its queue had no room for, and when to try again.
    owed: Option<(Notice, Instant)>,
}

impl Notices {
    fn new(managed: Managed, told: Counts, now: Instant) -> Self {
        let watchdog = managed.watchdog.map(|within| ((within / 2).max(WATCHDOG_MIN), now));
        Notices { watchdog, told, told_at: now, owed: None }
    }

    /// The nearest moment at which something is to be told; `counts` are those of now.
    fn next_deadline(&self, counts: Counts) -> Option<Instant> {
        let status = (counts != self.told).then_some(self.told_at + STATUS_EVERY);
        let owed = self.owed.as_ref().map(|&(_, at)| at);
        let watchdog = self.watchdog.map(|(_, at)| at);
        [status, owed, watchdog].into_iter().flatten().min()
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

    /// True where a service manager started us.
    pub(super) fn is_managed(&self) -> bool {
        self.notices.is_some()
    }

    /// Tells the service manager, where there is one.
    pub(super) fn notify(&mut self, notice: Notice) {
        if self.is_managed() {
            self.actions.push_back(Action::Notify(notice));
        }
    }

    /// What SIGHUP asked for is done.
    pub(super) fn notify_reloaded(&mut self) {
        self.notify(Notice::Ready(self.status_words()));
    }

    /// When the service manager is to be told something next.
    pub(super) fn next_notice(&self) -> Option<Instant> {
        self.notices.as_ref()?.next_deadline(self.counts())
    }

    /// Tells what is due. After a stop has begun no status replaces what was said of it.
    pub(super) fn expire_notices(&mut self, now: Instant) {
        let counts = self.counts();
        let Some(notices) = &mut self.notices else { return };
        if let Some((every, at)) = &mut notices.watchdog
            && *at <= now
        {
            *at = now + *every;
            self.actions.push_back(Action::Notify(Notice::Watchdog));
        }
        if let Some((notice, at)) = notices.owed.take() {
            match at <= now {
                true => self.actions.push_back(Action::Notify(notice)),
                false => notices.owed = Some((notice, at)),
            }
        }
        if counts != notices.told && notices.told_at + STATUS_EVERY <= now {
            (notices.told, notices.told_at) = (counts, now);
            if !self.stopping {
                self.notify(Notice::Status(self.status_words()));
            }
        }
    }

    /// What became of a notice. One that found the queue full is owed, unless a later one says more;
    /// that we are alive is said again anyway.
    pub(super) fn note_notified(&mut self, notice: Notice, outcome: io::Result<()>, now: Instant) {
        let Some(notices) = &mut self.notices else { return };
        match outcome {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if notice != Notice::Watchdog {
                    let keeps = matches!(notice, Notice::Status(_)) && notices.owed.is_some();
                    let owed = notices.owed.take().filter(|_| keeps);
                    notices.owed = owed.or(Some((notice, now + STATUS_EVERY)));
                }
            }
            Err(error) => {
                log::warn!("service manager: {error}; it is told nothing more");
                self.notices = None;
            }
            // What was said since says more, and nothing follows the last word.
            Ok(()) => {
                let last = matches!(notice, Notice::Stopping(_));
                let status = matches!(notices.owed, Some((Notice::Status(_), _)));
                if last || (status && notice != Notice::Watchdog) {
                    notices.owed = None;
                }
            }
        }
    }

    fn counts(&self) -> Counts {
        (self.gate.connections(), self.chat.rooms_open(), self.draining)
    }

    /// `3 peers in 2 rooms`.
    fn status_words(&self) -> String {
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        let (peers, rooms, draining) = self.counts();
        let mut words = format!("{peers} peer{}", plural(peers));
        if self.protocol == Protocol::Chat {
            words.push_str(&format!(" in {rooms} room{}", plural(rooms)));
        }
        if draining {
            words.push_str("; draining");
        }
        words
    }
}
