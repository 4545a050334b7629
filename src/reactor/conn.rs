//! One connection, as the loop knows it: the slab's value. It knows no other connection.
//!
//! An open connection that is silent owns nothing beyond this struct: no buffer, no timer. What is
//! rare (kept input, the end) is boxed, so that the struct stays small: ten thousand of them are
//! silent at any moment.

use crate::handler::{CloseReason, PeerId};
use crate::os::Hints;
use std::time::Instant;

/// The slab's value.
///
/// Invariant: a connection that may be read stands in the loop's readable list (`in_readable`), or
/// the kernel owes it an edge (`readable` is false), or it is `held` and an action will end that.
/// The same for writing: `writable` is false and the kernel owes an edge, or nothing is pending, or
/// the loop or the handler has it in a list.
pub(super) struct Conn<S> {
    pub(super) stream: S,
    pub(super) serial: u64,
    /// Input that the handler has seen and not consumed.
    pub(super) kept: Option<Box<Kept>>,
    pub(super) phase: Phase,
    /// stdin and stdout: a short read proves nothing there, and its end is milder.
    pub(super) console: bool,
    /// The last read did not say `WouldBlock`, or an edge came since.
    pub(super) readable: bool,
    /// A hint said that the end is near or urgent data are: a short read does not mean drained.
    pub(super) more_hinted: bool,
    /// Stands in the loop's readable list.
    pub(super) in_readable: bool,
    /// The handler wants no bytes of it now.
    pub(super) held: bool,
    /// How far the reading half is.
    pub(super) input: Input,
    /// The last send did not come back short, or an edge came since.
    pub(super) writable: bool,
    /// How far the writing half is on its way to its FIN.
    pub(super) output: Output,
}

/// Input that waits for more, or for a hold to end.
pub(super) struct Kept {
    pub(super) bytes: Vec<u8>,
    /// The first so many were offered before; 0 after a hold.
    pub(super) seen: usize,
    /// A hold has ended: offer these before any recv.
    pub(super) offer: bool,
}

/// The reading half.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    Open,
    /// The last recv gave 0; the handler has not taken it in yet.
    AtEnd,
    /// The handler knows.
    Ended,
}

/// The writing half.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    Open,
    /// To be shut down when nothing is pending.
    Ending,
    /// The FIN is behind the last byte.
    Ended,
}

/// Where a connection stands between its birth and the sweep.
pub(super) enum Phase {
    /// Dialed, no answer yet.
    Dialing {
        deadline: Instant,
    },
    Open,
    /// Finishing: sends what is pending, reads nothing.
    Flushing(Box<Ending>),
    /// Finishing: the FIN is sent; reads and drops until the peer's end.
    Draining(Box<Ending>),
    /// The next sweep closes it.
    Doomed(CloseReason),
}

/// What a finishing connection remembers.
pub(super) struct Ending {
    pub(super) why: CloseReason,
    /// The phase ends then, one way or the other.
    pub(super) deadline: Instant,
    /// Bytes dropped while draining.
    pub(super) dropped: usize,
}

impl Phase {
    /// The deadline that is armed for it.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Phase::Dialing { deadline } => Some(*deadline),
            Phase::Flushing(ending) | Phase::Draining(ending) => Some(ending.deadline),
            Phase::Open | Phase::Doomed(_) => None,
        }
    }
}

impl<S> Conn<S> {
    pub(super) fn new(stream: S, serial: u64, phase: Phase, console: bool) -> Self {
        // A fresh socket takes bytes. Whether it has any the first edge tells; the console may be
        // a descriptor that never has an edge, so it is tried at once.
        Conn {
            stream,
            serial,
            kept: None,
            phase,
            console,
            readable: console,
            more_hinted: false,
            in_readable: false,
            held: false,
            input: Input::Open,
            writable: true,
            output: Output::Open,
        }
    }

    pub(super) fn id(&self, slot: u32) -> PeerId {
        PeerId { serial: self.serial, slot }
    }

    /// What its kept input takes of memory, in bytes: a buffer that was long stays so while it is
    /// in use, whatever stands in it.
    pub(super) fn kept_bytes(&self) -> usize {
        self.kept.as_ref().map_or(0, |kept| kept.bytes.capacity())
    }

    /// Takes an event's hints in. Says whether the connection (wants to be read, became writable).
    pub(super) fn note(&mut self, hints: Hints) -> (bool, bool) {
        if hints.any(Hints::ENDED.with(Hints::URGENT)) {
            self.more_hinted = true;
        }
        if hints.any(Hints::READABLE.with(Hints::ENDED)) {
            self.readable = true;
        }
        let unblocked = hints.any(Hints::WRITABLE.with(Hints::ENDED)) && !self.writable;
        self.writable |= unblocked;
        (self.wants_read(), unblocked)
    }

    /// True where a turn's read phase has something to do here.
    pub(super) fn wants_read(&self) -> bool {
        match self.phase {
            Phase::Open => {
                let offer = self.kept.as_ref().is_some_and(|kept| kept.offer);
                let more = match self.input {
                    Input::Open => self.readable,
                    Input::AtEnd => true,
                    Input::Ended => false,
                };
                !self.held && (offer || more)
            }
            // The outcome of a dial is asked in the read phase too.
            Phase::Dialing { .. } => self.writable || self.more_hinted,
            Phase::Draining(_) => self.readable,
            Phase::Flushing(_) | Phase::Doomed(_) => false,
        }
    }

    pub(super) fn hold(&mut self) {
        self.held = true;
        if let Some(kept) = &mut self.kept {
            kept.seen = 0;
        }
    }

    pub(super) fn resume(&mut self) {
        self.held = false;
        if let Some(kept) = &mut self.kept {
            kept.offer = true;
        }
    }
}
