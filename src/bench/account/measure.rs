//! What a measurement gathers while it runs: which lines are to be made, who got which, and how
//! late. Pure: `now` is an argument. The receive path runs once a line and subscriber, so it
//! allocates nothing.

use super::checker::{Came, Checker};
use super::flights::Flights;
use super::slices::Slices;
use super::watch::Watch;
use super::{DIGITS, histogram};
use crate::bench::load::marker::{Damaged, Marker, PROBE, Run};
use crate::bench::load::pace::Pace;
use crate::bench::options::Load;
use crate::wire::Lines;
use hdrhistogram::Histogram;
use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

/// How a server of ours tells a slow peer what it missed; docs/PROTOCOL.md.
const RECEIPT: &[u8] = b"* you missed ";

/// Who takes part.
#[derive(Clone, Copy, Debug)]
pub(in crate::bench) struct Who {
    pub(in crate::bench) subscribers: usize,
    pub(in crate::bench) publishers: usize,
    /// Publishers that hear too: the first ones of both.
    pub(in crate::bench) overlap: usize,
    /// Publisher 1 says a line for each that it hears from publisher 0, which then goes on: what is
    /// clocked is the way there and back.
    pub(in crate::bench) answering: bool,
}

impl Who {
    /// Publishers that the pace is for.
    fn paced(&self) -> usize {
        if self.answering { 1 } else { self.publishers }
    }
}

/// How far a publisher is held up by others.
#[derive(Clone, Copy)]
struct Hold {
    /// By its window; it is told when that moves on.
    window: bool,
    /// By its socket.
    socket: bool,
    /// When that ended last.
    free_since: Instant,
}

/// One measurement.
pub(in crate::bench) struct Measure {
    who: Who,
    pace: Pace,
    /// Times in ns count from here.
    origin: Instant,
    warm_ns: u64,
    made: u64,
    holds: Vec<Hold>,
    /// Publishers that may go on, until they are asked for.
    released: VecDeque<usize>,
    /// Answering: intended and sent time of lines that are to be answered.
    turned: VecDeque<(u64, u64)>,
    pub(in crate::bench) checker: Checker,
    flights: Flights,
    pub(in crate::bench) watch: Watch,
    /// From the time at which a line should have been sent to each delivery, in ns.
    pub(in crate::bench) intended: Histogram<u64>,
    /// The same from the time at which it was.
    pub(in crate::bench) sent: Histogram<u64>,
    /// From intended time to the last receiver.
    pub(in crate::bench) last: Histogram<u64>,
    /// From the first receiver to the last.
    pub(in crate::bench) skew: Histogram<u64>,
    pub(in crate::bench) slices: Slices,
    /// Reads that brought a subscriber bytes, and the lines of this run in them; after the warm-up.
    pub(in crate::bench) reads: u64,
    pub(in crate::bench) lines: u64,
    /// Deliveries after the warm-up, and when the last of all was.
    pub(in crate::bench) counted: u64,
    pub(in crate::bench) delivered_last: Instant,
    /// Messages that the server told subscribers they had missed.
    pub(in crate::bench) told: u64,
    /// Subscribers that the server closed, and readers that had stopped reading.
    pub(in crate::bench) closed: u64,
    pub(in crate::bench) stalled_closed: u64,
    /// Sends that a socket did not take, or not whole.
    pub(in crate::bench) refused: u64,
}

impl Measure {
    /// Sends from `start` on; times in lines count from `origin`.
    pub(in crate::bench) fn new(who: Who, load: &Load, start: Instant, origin: Instant) -> Self {
        let pace = Pace::new(load, who.paced(), start);
        let warm = pace.warm();
        let hold = Hold { window: false, socket: false, free_since: start };
        Measure {
            who,
            origin,
            warm_ns: (warm - origin).as_nanos() as u64,
            made: 0,
            holds: vec![hold; who.publishers],
            released: VecDeque::new(),
            turned: VecDeque::new(),
            checker: Checker::new(who.subscribers, who.publishers, who.overlap),
            flights: Flights::new(who.publishers),
            watch: Watch::new(start),
            intended: histogram(DIGITS),
            sent: histogram(DIGITS),
            last: histogram(DIGITS),
            skew: histogram(DIGITS),
            slices: Slices::new(pace.expected()),
            reads: 0,
            lines: 0,
            counted: 0,
            delivered_last: warm,
            told: 0,
            closed: 0,
            stalled_closed: 0,
            refused: 0,
            pace,
        }
    }

    pub(in crate::bench) fn ns(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.origin).as_nanos() as u64
    }

    /// The clock has gone on. Returns which publishers have something to send by it: all of them
    /// where there is no schedule.
    pub(in crate::bench) fn advance(&mut self, now: Instant) -> Range<usize> {
        if !self.pace.is_scheduled() {
            self.watch.look(now);
        }
        let publishers = self.who.paced();
        let bursts = self.pace.advance(now, self.made);
        if !self.pace.is_scheduled() {
            return 0..publishers;
        }
        let first = (bursts.start % publishers as u64) as usize;
        first..first + bursts.count().min(publishers)
    }

    /// Looks at how many lines are due and not made.
    pub(in crate::bench) fn look_at_queue(&mut self) {
        let overdue = self.pace.overdue(self.made);
        self.watch.queue_max = self.watch.queue_max.max(overdue);
    }

    /// Lines of `publisher` that are due, and that may be on their way.
    fn target(&self, publisher: usize) -> [u32; 2] {
        match (self.who.answering, publisher) {
            (true, 1) => [self.checker.made_of(1) + self.turned.len() as u32, u32::MAX],
            (answering, _) => {
                let back = if answering { 1 } else { publisher };
                let (done, heard) = (self.flights.done(back), self.flights.heard(back));
                [self.pace.due(publisher, self.made), self.pace.allowed(done, heard)]
            }
        }
    }

    /// The next line of `publisher`, if one is to be sent now.
    pub(in crate::bench) fn make(&mut self, publisher: usize, now: Instant) -> Option<Marker> {
        let sequence = self.checker.made_of(publisher);
        let [due, allowed] = self.target(publisher);
        let hold = &mut self.holds[publisher];
        if sequence >= due || sequence >= allowed {
            hold.window = sequence < due;
            return None;
        }
        if std::mem::take(&mut hold.socket) {
            hold.free_since = now;
        }
        let now_ns = self.ns(now);
        let (intended_ns, sent_ns) = match self.turned.pop_front() {
            Some(times) => times,
            None => {
                let intended = self.pace.intended(publisher, sequence, now);
                if self.pace.is_scheduled() {
                    let since = intended.max(self.holds[publisher].free_since);
                    self.watch.late(now.saturating_duration_since(since));
                }
                (self.ns(intended), now_ns)
            }
        };
        if !(self.who.answering && publisher == 1) {
            self.made += 1;
        }
        let waiting = self.checker.made(publisher);
        self.flights.made(publisher, intended_ns, sent_ns, waiting);
        Some(Marker { publisher: publisher as u16, sequence, intended_ns })
    }

    /// The kernel has these lines, which it was offered at `at`.
    pub(in crate::bench) fn sent(&mut self, publisher: usize, lines: Range<u32>, at: Instant) {
        // An answer keeps the time of what it answers.
        if !(self.who.answering && publisher == 1) {
            self.flights.sent(publisher, lines, self.ns(at));
        }
    }

    /// The socket of `publisher` did not take all that it was offered.
    pub(in crate::bench) fn refused(&mut self, publisher: usize) {
        if !std::mem::replace(&mut self.holds[publisher].socket, true) {
            self.refused += 1;
        }
    }

    /// A publisher that may go on since the last time this was asked.
    pub(in crate::bench) fn released(&mut self) -> Option<usize> {
        self.released.pop_front()
    }

    /// One read of a subscriber, at `now`. Returns how many bytes are done with and whether there
    /// was a delivery among them.
    pub(in crate::bench) fn read(
        &mut self,
        run: &mut Run,
        subscriber: usize,
        mut lines: Lines<'_, '_>,
        now: Instant,
    ) -> (usize, bool) {
        let now_ns = self.ns(now);
        let warm = now_ns >= self.warm_ns;
        self.reads += u64::from(warm);
        let delivered = self.checker.delivered();
        while let Some(Ok(line)) = lines.next() {
            match run.find(line) {
                Some(Ok(marker)) if marker.publisher == PROBE => {}
                Some(Ok(marker)) => {
                    self.lines += u64::from(warm);
                    self.line(subscriber, marker, now);
                }
                Some(Err(Damaged)) => self.checker.damaged(),
                None => self.told += missed(line).unwrap_or(0),
            }
        }
        let any = self.checker.delivered() > delivered;
        if any {
            self.delivered_last = now;
        }
        (lines.consumed(), any)
    }

    /// A subscriber has a line. Returns the time since it was sent, in ns, where it is a delivery
    /// that was waited for.
    pub(in crate::bench) fn line(
        &mut self,
        subscriber: usize,
        marker: Marker,
        now: Instant,
    ) -> Option<u64> {
        let now_ns = self.ns(now);
        let publisher = usize::from(marker.publisher);
        let mut arrival = None;
        match self.checker.line(subscriber, publisher, marker.sequence) {
            Came::Not => return None,
            Came::Late => {}
            Came::Next(Range { start, end }) => {
                self.flights.skipped(publisher, start..end - 1);
                arrival = self.flights.arrived(publisher, end - 1, now_ns);
                self.release(publisher, now);
            }
        }
        if self.who.answering && publisher == 0 {
            let times = arrival.map(|arrival| (arrival.intended_ns, arrival.sent_ns));
            self.turned.extend(times);
            self.released.extend(times.map(|_| 1));
            return None;
        }
        if now_ns >= self.warm_ns {
            self.counted += 1;
        }
        let since_sent = arrival.map(|arrival| now_ns.saturating_sub(arrival.sent_ns));
        if marker.intended_ns >= self.warm_ns {
            let latency = now_ns.saturating_sub(marker.intended_ns);
            self.intended.saturating_record(latency);
            self.slices.record(now_ns.saturating_sub(self.warm_ns), latency);
            if let Some(since_sent) = since_sent {
                self.sent.saturating_record(since_sent);
            }
            if let Some(first_ns) = arrival.and_then(|arrival| arrival.first_ns) {
                self.last.saturating_record(latency);
                self.skew.saturating_record(now_ns - first_ns);
            }
        }
        since_sent
    }

    /// The window of the publisher whose lines these were may have moved on.
    fn release(&mut self, publisher: usize, now: Instant) {
        let publisher = if self.who.answering { 0 } else { publisher };
        if self.holds[publisher].window {
            let [due, allowed] = self.target(publisher);
            if self.checker.made_of(publisher) < due.min(allowed) {
                self.holds[publisher] = Hold { window: false, socket: false, free_since: now };
                self.released.push_back(publisher);
            }
        }
    }

    /// This subscriber is gone.
    pub(in crate::bench) fn abandon(&mut self, subscriber: usize, now: Instant) {
        let flights = &mut self.flights;
        self.checker.abandon(subscriber, |publisher, lines| flights.skipped(publisher, lines));
        (0..self.who.publishers).for_each(|publisher| self.release(publisher, now));
    }

    /// Waits no more for lines of `publisher` that were sent longer than `patience` ago. Of one
    /// subscriber alone, as for datagrams.
    pub(in crate::bench) fn give_up(&mut self, publisher: usize, patience: Duration, now: Instant) {
        let Some(before) = self.ns(now).checked_sub(patience.as_nanos() as u64) else { return };
        let lines = self.checker.skip(0, publisher, self.flights.sent_before(publisher, before));
        self.flights.skipped(publisher, lines);
        self.release(publisher, now);
    }

    /// True when nothing is to be sent and nothing to come.
    pub(in crate::bench) fn is_complete(&self, now: Instant) -> bool {
        self.checker.outstanding() == 0
            && self.turned.is_empty()
            && self.pace.is_over(now, self.made)
    }

    /// True while lines are still to be made.
    pub(in crate::bench) fn is_making(&self, now: Instant) -> bool {
        !self.pace.is_over(now, self.made)
    }

    /// When the clock changes something. `early`: how long before a line's time the loop must be
    /// awake.
    pub(in crate::bench) fn next(&self, now: Instant, early: Duration) -> Option<Instant> {
        let next = self.pace.next(now);
        if self.pace.is_scheduled() {
            next.map(|next| next.checked_sub(early).unwrap_or(next))
        } else {
            Some(next.map_or(self.watch.next(), |next| next.min(self.watch.next())))
        }
    }

    /// The warm-up's end.
    pub(in crate::bench) fn warm(&self) -> Instant {
        self.pace.warm()
    }

    /// Lines that the schedule wanted and that were never sent.
    pub(in crate::bench) fn unsent(&self) -> u64 {
        self.pace.unsent(self.made)
    }

    /// Lines made, answers left out.
    pub(in crate::bench) fn made(&self) -> u64 {
        self.made
    }

    /// How much of it is over, 0 to 1, as far as that can be known.
    pub(in crate::bench) fn fraction(&self, now: Instant) -> f64 {
        let whole = self.pace.expected().as_secs_f64();
        let gone = now.saturating_duration_since(self.pace.warm()).as_secs_f64();
        (gone / whole).min(1.0)
    }

    pub(in crate::bench) fn is_scheduled(&self) -> bool {
        self.pace.is_scheduled()
    }

    /// From the warm-up's end to the last delivery.
    pub(in crate::bench) fn took(&self) -> Duration {
        self.delivered_last.saturating_duration_since(self.pace.warm())
    }
}

/// The number in `* you missed 12 messages: …`.
fn missed(line: &[u8]) -> Option<u64> {
    let rest = line.strip_prefix(RECEIPT)?;
    let digits = rest.split(|byte| !byte.is_ascii_digit()).next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
