//! What a runner asks of the simulated system after a turn, and the few things it sets: conditions
//! for the invariant that no edge is lost, counters for budgets, the trace, the end of the faults.
//! Asking changes nothing and is no part of the trace.

use super::faults::Faults;
use super::kernel::{ALL, Descriptor, OWN_FDS, SimOs, What};
use super::remote::RemoteId;
use super::trace::Step;
use crate::os::Source;
use std::time::Duration;

/// What the kernel knows of one source, for the invariant that no edge is lost: whatever is true
/// here and not queued must be remembered by the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Conditions {
    /// A recv, accept, recvfrom or signal would tell something that has not been told. False once
    /// the end of input was told. On the console also false while it is in the background; what
    /// becomes readable when it comes back is announced by no event.
    pub(crate) readable_now: bool,
    /// A send would take bytes and epoll would say so.
    pub(crate) writable_now: bool,
    /// An event for it is on its way: it needs no memory in the loop.
    pub(crate) event_queued: bool,
}

impl SimOs {
    /// Listeners, connections, UDP sockets and the console that are open.
    pub(crate) fn open_descriptors(&self) -> usize {
        self.table.iter().flatten().count() - OWN_FDS
    }

    /// What is true now of each open source, signals and log included, in the order of descriptors.
    pub(crate) fn all_conditions(&self) -> Vec<(Source, Conditions)> {
        let entries = self.table.iter().flatten();
        entries.map(|entry| (entry.source, self.conditions_of(entry))).collect()
    }

    /// The same of one source; `None` where none of that name is open.
    pub(crate) fn conditions(&self, source: Source) -> Option<Conditions> {
        let mut entries = self.table.iter().flatten();
        entries.find(|entry| entry.source == source).map(|entry| self.conditions_of(entry))
    }

    fn conditions_of(&self, entry: &Descriptor) -> Conditions {
        let (readable, writable) = match entry.what {
            What::Signals => (!self.signals.is_empty(), false),
            What::Log => (false, self.log.writable()),
            What::Listener(index) => (!self.listeners[index].backlog.is_empty(), false),
            What::Link(link) => (self.links[link].readable(), self.links[link].writable()),
            What::Console => (self.console.readable(), self.console.output.writable()),
            What::Udp(index) => (self.udps[index].readable(), true),
            What::UnixDgram(index) => (self.unix_dgrams[index].readable(), true),
        };
        let mut taken = self.batch.iter().chain(&self.late);
        Conditions {
            readable_now: readable,
            writable_now: writable && !entry.pressed,
            event_queued: entry.queued.any(ALL) || taken.any(|e| e.source == entry.source),
        }
    }

    /// The remote end of an open connection.
    pub(crate) fn remote_of(&self, source: Source) -> Option<RemoteId> {
        let entry = self.table.iter().flatten().find(|entry| entry.source == source)?;
        match entry.what {
            What::Link(link) => Some(RemoteId(link)),
            _ => None,
        }
    }

    /// The source as which we registered the connection to this remote end; `None` before the
    /// accept and after the close.
    pub(crate) fn source_of(&self, remote: RemoteId) -> Option<Source> {
        let number = self.links[remote.0].fd?;
        self.table[number].as_ref().map(|entry| entry.source)
    }

    /// Events told, since the start, whose connection was closed by then: the loop must know.
    pub(crate) fn stale_told(&self) -> u64 {
        self.stale_told
    }

    /// Nothing was ready in the last poll, and it had no timeout: the loop would sleep until
    /// something comes from outside.
    pub(crate) fn idle_forever(&self) -> bool {
        self.idle_forever
    }

    /// The timeout of the last poll; `None` is for ever.
    pub(crate) fn last_timeout(&self) -> Option<Duration> {
        self.last_timeout
    }

    /// Calls of a kind since the start.
    pub(crate) fn calls(&self, step: Step) -> u64 {
        self.trace.total(step)
    }

    /// Calls of a kind since the last poll began.
    pub(crate) fn calls_this_turn(&self, step: Step) -> u64 {
        self.trace.this_turn(step)
    }

    /// Bytes (recv, send, log), events or datagrams that calls of a kind moved in this turn.
    pub(crate) fn amount_this_turn(&self, step: Step) -> u64 {
        self.trace.amount(step)
    }

    /// Bytes received in this turn from whichever connection gave most.
    pub(crate) fn read_most_this_turn(&self) -> usize {
        self.read_most
    }

    /// Polls so far.
    pub(crate) fn turns(&self) -> u64 {
        self.trace.turn
    }

    /// All that happened, in one number: two runs of a seed must agree.
    pub(crate) fn trace_hash(&self) -> u64 {
        self.trace.hash()
    }

    /// Keeps a line for each step from now on, or none.
    pub(crate) fn trace(&mut self, keep: bool) {
        self.trace.keep_lines(keep);
    }

    /// The lines kept.
    pub(crate) fn trace_lines(&self) -> &[String] {
        self.trace.lines()
    }

    /// The faults of this world, to look at or to change.
    pub(crate) fn faults_mut(&mut self) -> &mut Faults {
        &mut self.faults
    }

    /// No more faults from here on.
    pub(crate) fn calm(&mut self) {
        self.faults.calm();
        self.window = None;
        self.console.busy = 0;
    }

    /// A poll sleeps at most so long at a time and then returns without events, as an interrupted
    /// one does, so that the outside has its turn too; `None`: until the timeout.
    pub(crate) fn doze(&mut self, at_most: Option<Duration>) {
        self.nap_max = at_most;
    }
}
