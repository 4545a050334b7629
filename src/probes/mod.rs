//! The account of probes: what was sent, what came back, how fast, in which order. Pure: `now` is
//! an argument, nothing is sent here. It serves datagrams and `/ping` alike: a probe is a sequence
//! number, an answer is a sequence number and a host. What must not be here: what a probe looks
//! like, sockets.
//!
//! The words are those of RFC 4737 (reordered), RFC 5560 (duplicate), RFC 2681 (a round trip that
//! takes longer than one waits has no length) and ping(8). Whether an answer came before is kept in
//! a window of bits for each host, as IPsec does against replay (RFC 6479).

mod contents;
mod report;
mod rtt;
#[cfg(test)]
mod tests;

pub use contents::Contents;
pub use report::{HostReport, Report, Summary, milliseconds};
pub use rtt::Rtt;
use rtt::{Jitter, Rtts};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Probes that are remembered, and so the most that can wait for an answer at once. An answer to
/// an older one cannot be told from one to nothing. 24 KiB of times, and 128 bytes for each host.
pub const WINDOW: usize = 1_024;

/// Hosts that are told apart: a subnet of a /22. Answers of more are counted and nothing else.
pub const HOSTS_MAX: usize = 1_024;

const WORD_BITS: usize = u64::BITS as usize;

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// One host: its answer settles a probe.
    One,
    /// A broadcast or a group: until the timeout one more may answer.
    Many,
}

/// What an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The first of this host to this probe, in time.
    Answer {
        /// Since the probe was sent.
        rtt: Duration,
        /// The first of any host.
        first: bool,
        /// The host has answered a later probe before: RFC 4737 section 3.3.
        reordered: bool,
    },
    /// The first of this host to this probe, after the timeout. It is never called reordered, and
    /// its time is in no figure: one that is not waited for any more counts as lost in RFC 4737.
    Late {
        /// Since the probe was sent.
        rtt: Duration,
    },
    /// This host has answered this probe before.
    Duplicate {
        /// Since the probe was sent.
        rtt: Duration,
    },
    /// Nothing that was sent, or longer than [`WINDOW`] ago.
    Unmatched,
    /// Of a host beyond the first [`HOSTS_MAX`].
    Crowded,
}

/// How a probe stands with one host; the less the more an answer is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Not answered by it, and in time.
    Awaited,
    /// Not answered by it, and the timeout is over.
    Overdue,
    /// Answered by it.
    Answered,
}

/// What was sent and what came back.
///
/// Invariants: `window` holds the probes `next - window.len()` to `next - 1`; all before `due` are
/// settled; `unanswered` counts those that are `Open`. With [`Audience::One`] each probe is sent and
/// then received, late or lost, and nothing twice.
pub struct Account {
    audience: Audience,
    timeout: Duration,
    window: VecDeque<Probe>,
    next: u64,
    due: u64,
    unanswered: usize,
    hosts: BTreeMap<SocketAddr, Host>,
    counts: Counts,
    rtts: Rtts,
}

struct Probe {
    sent_at: Instant,
    fate: Fate,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Open,
    Answered,
    Lost,
    /// Answered, but by nobody in time.
    Late,
}

#[derive(Default)]
struct Counts {
    received: u64,
    answers: u64,
    lost: u64,
    late: u64,
    reordered: u64,
    duplicates: u64,
    unmatched: u64,
    crowded: u64,
}

#[derive(Default)]
struct Host {
    /// The highest sequence that it has answered, late or not; 0 for none. `seen` is about it and
    /// the `WINDOW - 1` before.
    newest: u64,
    seen: [u64; WINDOW / WORD_BITS],
    /// The highest that it has answered in time.
    newest_in_time: u64,
    answers: u64,
    duplicates: u64,
    jitter: Jitter,
}

impl Account {
    /// Nothing sent yet; an answer is waited for as long as `timeout`.
    pub fn new(audience: Audience, timeout: Duration) -> Self {
        Account {
            audience,
            timeout,
            window: VecDeque::with_capacity(WINDOW),
            next: 1,
            due: 1,
            unanswered: 0,
            hosts: BTreeMap::new(),
            counts: Counts::default(),
            rtts: Rtts::new(),
        }
    }

    /// A probe goes out now: its sequence, counted from 1. Where [`WINDOW`] are waited for, the
    /// oldest is lost by this: a sender that asks `unanswered` before never sees it.
    pub fn sent(&mut self, now: Instant) -> u64 {
        if self.window.len() == WINDOW {
            let oldest = self.oldest();
            self.give_up(oldest);
            self.due = self.due.max(oldest + 1);
            self.window.pop_front();
        }
        self.window.push_back(Probe { sent_at: now, fate: Fate::Open });
        self.unanswered += 1;
        self.next += 1;
        self.next - 1
    }

    /// An answer to probe `sequence` came from `host`.
    pub fn received(&mut self, sequence: u64, host: SocketAddr, now: Instant) -> Verdict {
        let Some(probe) = self.probe(sequence) else { return self.unmatched() };
        let (rtt, fate) = (now.saturating_duration_since(probe.sent_at), probe.fate);
        if self.hosts.len() == HOSTS_MAX && !self.hosts.contains_key(&host) {
            self.counts.crowded += 1;
            return Verdict::Crowded;
        }
        let from = self.hosts.entry(host).or_default();
        if from.has_answered(sequence) {
            from.duplicates += 1;
            self.counts.duplicates += 1;
            return Verdict::Duplicate { rtt };
        }
        from.note(sequence);
        let in_time = rtt <= self.timeout && fate != Fate::Lost;
        if !in_time {
            self.counts.late += 1;
            self.counts.lost -= u64::from(fate == Fate::Lost);
            if matches!(fate, Fate::Open | Fate::Lost) {
                self.settle(sequence, Fate::Late);
            }
            return Verdict::Late { rtt };
        }
        let reordered = sequence < from.newest_in_time;
        from.newest_in_time = from.newest_in_time.max(sequence);
        from.answers += 1;
        from.jitter.add(rtt);
        self.rtts.add(rtt);
        let first = fate != Fate::Answered;
        self.counts.answers += 1;
        self.counts.received += u64::from(first);
        self.counts.reordered += u64::from(reordered);
        self.settle(sequence, Fate::Answered);
        Verdict::Answer { rtt, first, reordered }
    }

    /// Something came that answers no probe.
    pub fn unmatched(&mut self) -> Verdict {
        self.counts.unmatched += 1;
        Verdict::Unmatched
    }

    /// The next probe that is lost: nobody has answered it within the timeout. Ask until it is
    /// `None`, when [`Account::next_deadline`] is reached.
    pub fn overdue(&mut self, now: Instant) -> Option<u64> {
        while let Some(probe) = self.probe(self.due) {
            let (sequence, fate) = (self.due, probe.fate);
            let waited = now.saturating_duration_since(probe.sent_at) >= self.timeout;
            if self.waits(fate) && !waited {
                return None;
            }
            self.due += 1;
            if fate == Fate::Open {
                self.give_up(sequence);
                return Some(sequence);
            }
        }
        None
    }

    /// When the oldest probe that is waited for is given up; `None` where none is waited for.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.probe(self.due).map(|probe| probe.sent_at + self.timeout)
    }

    /// Probes on their way that nobody has answered yet.
    pub fn unanswered(&self) -> usize {
        self.unanswered
    }

    /// How probe `sequence` stands with `host`; `None` where it is not in the window.
    pub fn standing(&self, sequence: u64, host: SocketAddr, now: Instant) -> Option<Standing> {
        let probe = self.probe(sequence)?;
        let answered = self.hosts.get(&host).is_some_and(|host| host.has_answered(sequence));
        let in_time = now.saturating_duration_since(probe.sent_at) <= self.timeout;
        Some(match answered {
            true => Standing::Answered,
            false if in_time && probe.fate != Fate::Lost => Standing::Awaited,
            false => Standing::Overdue,
        })
    }

    /// When probe `sequence` was sent; `None` where it is not in the window.
    pub fn sent_at(&self, sequence: u64) -> Option<Instant> {
        self.probe(sequence).map(|probe| probe.sent_at)
    }

    /// The sequences in the window.
    pub fn remembered(&self) -> std::ops::Range<u64> {
        self.oldest()..self.next
    }

    /// The figures, at any time.
    pub fn summary(&self) -> Summary {
        let counts = &self.counts;
        let jitter = self.hosts.values().map(|host| host.jitter.nanoseconds()).max();
        Summary {
            sent: self.next - 1,
            received: counts.received,
            lost: counts.lost,
            waited_for: self.unanswered as u64,
            late: counts.late,
            reordered: counts.reordered,
            duplicates: counts.duplicates,
            answers: counts.answers,
            unmatched: counts.unmatched,
            crowded: counts.crowded,
            rtt: self.rtts.figures(jitter.unwrap_or(0)),
            hosts: self.hosts.iter().map(HostReport::of).collect(),
        }
    }

    fn oldest(&self) -> u64 {
        self.next - self.window.len() as u64
    }

    fn probe(&self, sequence: u64) -> Option<&Probe> {
        self.window.get(usize::try_from(sequence.checked_sub(self.oldest())?).ok()?)
    }

    /// Whether an answer to a probe of this fate is still waited for.
    fn waits(&self, fate: Fate) -> bool {
        match fate {
            Fate::Open => true,
            Fate::Answered => self.audience == Audience::Many,
            Fate::Lost | Fate::Late => false,
        }
    }

    fn give_up(&mut self, sequence: u64) {
        let open = self.probe(sequence).is_some_and(|probe| probe.fate == Fate::Open);
        if open {
            self.counts.lost += 1;
            self.settle(sequence, Fate::Lost);
        }
    }

    /// A probe has met its fate; those in front that nobody waits for are done with.
    fn settle(&mut self, sequence: u64, fate: Fate) {
        let index = (sequence - self.oldest()) as usize;
        let before = std::mem::replace(&mut self.window[index].fate, fate);
        self.unanswered -= usize::from(before == Fate::Open);
        while self.probe(self.due).is_some_and(|probe| !self.waits(probe.fate)) {
            self.due += 1;
        }
    }
}

impl Host {
    fn has_answered(&self, sequence: u64) -> bool {
        let (word, bit) = place(sequence);
        sequence <= self.newest && self.seen[word] & bit != 0
    }

    /// `sequence` is in the account's window, so that no bit of it is older than that.
    fn note(&mut self, sequence: u64) {
        // Places of sequences between, which stand for older ones until now.
        for between in (self.newest + 1..=sequence).rev().take(WINDOW) {
            let (word, bit) = place(between);
            self.seen[word] &= !bit;
        }
        self.newest = self.newest.max(sequence);
        let (word, bit) = place(sequence);
        self.seen[word] |= bit;
    }
}

fn place(sequence: u64) -> (usize, u64) {
    let place = (sequence % WINDOW as u64) as usize;
    (place / WORD_BITS, 1 << (place % WORD_BITS))
}
