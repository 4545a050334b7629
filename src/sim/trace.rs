//! What happened, call by call: a running hash by which two runs of one seed are compared, counters
//! by which budgets are checked, and, where asked for, a line for each call to read after a failure.

use crate::os::{Event, Source};
use rustix::io::Errno;
use std::io;

/// What may happen in a world: the loop's calls, then what comes from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Now,
    Poll,
    Event,
    Listen,
    CloseListener,
    Accept,
    Connect,
    Connected,
    Console,
    Recv,
    Send,
    Shutdown,
    Close,
    BindUdp,
    RecvFrom,
    SendTo,
    Signal,
    TakeTerminal,
    ReturnTerminal,
    WriteLog,
    Notify,
    /// From here on: the outside.
    DialIn,
    AnswerDial,
    RemoteSend,
    Deliver,
    RemoteRecv,
    RemoteShutdown,
    RemoteClose,
    RemoteReset,
    DatagramIn,
    DatagramsOut,
    UdpError,
    ConsoleIn,
    ConsoleOut,
    LogOut,
    Raise,
    Advance,
}

/// How many kinds of step there are.
const STEPS: usize = Step::Advance as usize + 1;

/// The record of a run.
#[derive(Debug)]
pub(super) struct Trace {
    hash: u64,
    /// Since the start, by [`Step`].
    counts: [u64; STEPS],
    /// Since the last poll.
    turn_counts: [u64; STEPS],
    /// What the calls since the last poll moved: the sum of their results.
    turn_amounts: [u64; STEPS],
    /// Polls so far.
    pub(super) turn: u64,
    /// Kept only where asked for.
    lines: Option<Vec<String>>,
}

impl Trace {
    pub(super) fn new() -> Self {
        let zero = [0; STEPS];
        Trace { hash: 0, counts: zero, turn_counts: zero, turn_amounts: zero, turn: 0, lines: None }
    }

    /// A poll begins: the next turn, or a further look of its wait.
    pub(super) fn next_turn(&mut self) {
        self.turn += 1;
        self.turn_counts = [0; STEPS];
        self.turn_amounts = [0; STEPS];
    }

    /// Counts a call that says nothing about the run (the clock is read often).
    pub(super) fn count(&mut self, step: Step) {
        self.counts[step as usize] += 1;
        self.turn_counts[step as usize] += 1;
    }

    /// A step on `at` and what came of it. `at` is a descriptor in the loop's calls (in a poll the
    /// virtual clock in ms) and a remote end in the outside's.
    pub(super) fn note(&mut self, step: Step, at: usize, result: Result<usize, Errno>) {
        self.count(step);
        let value = match result {
            Ok(n) => {
                self.turn_amounts[step as usize] += n as u64;
                n as u64
            }
            Err(errno) => (-i64::from(errno.raw_os_error())) as u64,
        };
        self.fold((step as u64) << 32 | at as u64);
        self.fold(value);
        if let Some(lines) = &mut self.lines {
            let told = match result {
                Ok(n) => n.to_string(),
                Err(errno) => io::Error::from(errno).to_string(),
            };
            lines.push(format!("turn {} {step:?} {at} = {told}", self.turn));
        }
    }

    /// An event as it is told.
    pub(super) fn event(&mut self, event: &Event) {
        self.count(Step::Event);
        let (kind, place) = match event.source {
            Source::Peer { slot, serial_low } => (1, u64::from(serial_low) << 32 | u64::from(slot)),
            Source::Listener(index) => (2, index as u64),
            Source::Udp(index) => (3, index as u64),
            Source::Signals => (4, 0),
            Source::Log => (5, 0),
            Source::UnixDgram(index) => (6, index as u64),
        };
        self.fold(kind << 8 | u64::from(event.hints.0));
        self.fold(place);
        if let Some(lines) = &mut self.lines {
            lines.push(format!("turn {} {event:?}", self.turn));
        }
    }

    /// Makes bytes that went through a call part of the hash.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let word = chunk.iter().fold(0u64, |word, &byte| word << 8 | u64::from(byte));
            self.fold(word);
        }
    }

    fn fold(&mut self, word: u64) {
        // One round of FNV-1a's idea on whole words, with a rotation so that high bits count too.
        self.hash = (self.hash ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29);
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn total(&self, step: Step) -> u64 {
        self.counts[step as usize]
    }

    pub(super) fn this_turn(&self, step: Step) -> u64 {
        self.turn_counts[step as usize]
    }

    pub(super) fn amount(&self, step: Step) -> u64 {
        self.turn_amounts[step as usize]
    }

    /// Keeps lines from now on, or not.
    pub(super) fn keep_lines(&mut self, keep: bool) {
        self.lines = keep.then(Vec::new);
    }

    pub(super) fn lines(&self) -> &[String] {
        self.lines.as_deref().unwrap_or_default()
    }
}
