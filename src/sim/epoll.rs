//! Waiting: the ready list of an edge-triggered epoll (fs/eventpoll.c) and a clock that moves only
//! when it is empty. An edge puts a descriptor into the list; a poll takes it out, looks at what is
//! true by then, and tells that once. As with `MioOs`, what does not fit into the caller's vector is
//! told by the next polls, even if its descriptor is closed by then: tokens are not resolved here.

use super::kernel::{ALL, SimOs, What};
use super::trace::Step;
use crate::os::{Event, Hints, Source};
use rustix::io::Errno;
use std::time::Duration;

/// What a look takes that finds nothing: the clock must move for who spins until some moment.
pub(super) const LOOK: Duration = Duration::from_micros(1);

impl SimOs {
    /// One poll: the next turn begins, or a turn's wait looks again.
    pub(super) fn wait(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) {
        assert!(events.capacity() > 0, "poll needs room for at least one event");
        events.clear();
        self.trace.next_turn();
        self.read_most = 0;
        self.idle_forever = false;
        self.last_timeout = timeout;
        if self.random.chance(self.faults.clock_step) {
            self.elapsed += self.random.step();
        }
        if self.batch.is_empty() {
            if self.random.chance(self.faults.interrupted) {
                self.trace.note(Step::Poll, 0, Err(Errno::INTR));
                return;
            }
            self.collect();
        }
        let mut room = self.batch.len().min(events.capacity());
        if room > 1 && self.random.chance(self.faults.split) {
            room = self.random.range(1..=room);
        }
        events.extend(self.batch.drain(..room));
        if events.is_empty() {
            self.sleep(timeout);
        }
        self.trace.note(Step::Poll, self.elapsed.as_millis() as usize, Ok(events.len()));
        for event in events.iter() {
            self.trace.event(event);
            let peer = matches!(event.source, Source::Peer { .. });
            let known = self.sources.contains_key(&event.source);
            self.stale_told += u64::from(peer && !known);
        }
    }

    /// Nothing is ready: time passes, at least a [`LOOK`]. mio rounds a timeout up to whole
    /// milliseconds.
    fn sleep(&mut self, timeout: Option<Duration>) {
        let Some(timeout) = timeout else {
            self.idle_forever = true;
            return;
        };
        let whole = timeout.as_nanos().div_ceil(1_000_000);
        let whole = Duration::from_millis(u64::try_from(whole).unwrap_or(u64::MAX));
        self.elapsed += whole.min(self.nap_max.unwrap_or(whole)).max(LOOK);
    }

    /// Fills the empty batch.
    fn collect(&mut self) {
        let rest_too = self.ready.is_empty() && self.late.is_empty();
        self.relieve(rest_too);
        self.harvest();
        if self.batch.is_empty() && !self.pressed.is_empty() {
            self.relieve(true);
            self.harvest();
        }
        self.invent();
        if self.batch.len() > 1 && self.random.chance(self.faults.reordered) {
            for last in (1..self.batch.len()).rev() {
                let other = self.random.range(0..=last);
                self.batch.swap(last, other);
            }
        }
    }

    /// Ends the pressure on each descriptor with even odds, or on all: their writable edge.
    fn relieve(&mut self, all: bool) {
        for number in std::mem::take(&mut self.pressed) {
            if !all && self.random.chance(500) {
                self.pressed.push(number);
                continue;
            }
            // The number may belong to another by now; an edge is harmless to it.
            if let Some(entry) = &mut self.table[number]
                && entry.pressed
            {
                entry.pressed = false;
                self.wake(number, Hints::WRITABLE);
            }
        }
    }

    /// Takes the ready list out, each with what is true of it now; what has nothing true is dropped.
    fn harvest(&mut self) {
        let late = std::mem::take(&mut self.late);
        self.batch.extend(late);
        while let Some(number) = self.ready.pop_front() {
            let entry = self.table[number].as_mut();
            let entry = entry.expect("a closed descriptor is taken out of the ready list");
            let edges = std::mem::take(&mut entry.queued);
            let (source, what, pressed) = (entry.source, entry.what, entry.pressed);
            let mut hints = self.hints(what, edges);
            if pressed {
                hints = without(hints, Hints::WRITABLE);
            }
            if hints.any(ALL) {
                let hints = self.hold_back(Event { source, hints });
                self.batch.push_back(Event { source, hints });
            }
        }
    }

    /// All that is true now, whatever the edge was; the console is two descriptors under one token.
    fn hints(&mut self, what: What, edges: Hints) -> Hints {
        let readable = |yes| if yes { Hints::READABLE } else { Hints::default() };
        match what {
            What::Signals => readable(!self.signals.is_empty()),
            What::Log => self.log.poll(),
            What::Listener(index) => readable(!self.listeners[index].backlog.is_empty()),
            What::Link(link) => self.links[link].poll(),
            What::Console => self.console.poll(edges),
            What::Udp(index) => self.udps[index].poll(),
            What::UnixDgram(index) => self.unix_dgrams[index].poll(),
        }
    }

    /// The fault `hints_late`: an event that says less than is true. READABLE may go for good where
    /// ENDED stays, for that means a read is owed; anything else comes in an event of its own.
    fn hold_back(&mut self, event: Event) -> Hints {
        let hints = event.hints;
        let flags = [Hints::READABLE, Hints::WRITABLE, Hints::ENDED];
        let told: Vec<_> = flags.into_iter().filter(|&flag| hints.any(flag)).collect();
        if told.len() < 2 || !self.random.chance(self.faults.hints_late) {
            return hints;
        }
        let held = self.random.pick(&told);
        if held != Hints::READABLE || !hints.any(Hints::ENDED) {
            self.late.push(Event { hints: held, ..event });
        }
        without(hints, held)
    }

    /// The faults `spurious` and `stale`: events that mean nothing.
    fn invent(&mut self) {
        if self.random.chance(self.faults.spurious) {
            let sources: Vec<_> = self.table.iter().flatten().map(|entry| entry.source).collect();
            let source = self.random.pick(&sources);
            self.invented(source);
        }
        if !self.closed.is_empty() && self.random.chance(self.faults.stale) {
            let source = self.closed[self.random.below(self.closed.len())];
            self.invented(source);
        }
    }

    fn invented(&mut self, source: Source) {
        let hints = Hints(self.random.range(1..=usize::from(ALL.0)) as u8);
        self.batch.push_back(Event { source, hints });
    }
}

/// The flags of `hints` but those of `less`.
fn without(hints: Hints, less: Hints) -> Hints {
    Hints(hints.0 & !less.0)
}
