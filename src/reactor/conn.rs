//! One connection, as the loop knows it: the slab's value. It knows no other connection.
//!
//! An open connection that is silent owns nothing beyond this struct: no buffer, no timer. What is
//! rare (kept input, a phase other than open) stands together in one box, so that the struct stays
//! small: ten thousand of them are silent at any moment.

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
    /// None: open, and nothing is kept.
    rare: Option<Box<Rare>>,
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

/// What most connections have not.
struct Rare {
    /// Input that the handler has seen and not consumed.
    kept: Option<Kept>,
    phase: Phase,
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
    Flushing(Ending),
    /// Finishing: the FIN is sent; reads and drops until the peer's end.
    Draining(Ending),
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
    /// An open one.
    pub(super) fn new(stream: S, serial: u64, console: bool) -> Self {
        // A fresh socket takes bytes. Whether it has any the first edge tells; the console may be
        // a descriptor that never has an edge, so it is tried at once.
        Conn {
            stream,
            serial,
            rare: None,
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
        self.kept().map_or(0, |kept| kept.bytes.capacity())
    }

    pub(super) fn kept(&self) -> Option<&Kept> {
        self.rare.as_ref()?.kept.as_ref()
    }

    fn kept_mut(&mut self) -> Option<&mut Kept> {
        self.rare.as_mut()?.kept.as_mut()
    }

    /// Keeps this instead of what was kept until now, which is returned.
    pub(super) fn keep(&mut self, kept: Option<Kept>) -> Option<Kept> {
        self.change(|rare| std::mem::replace(&mut rare.kept, kept))
    }

    /// What was kept, which it is no more.
    pub(super) fn take_kept(&mut self) -> Option<Kept> {
        self.kept()?;
        self.keep(None)
    }

    pub(super) fn phase(&self) -> &Phase {
        self.rare.as_ref().map_or(&Phase::Open, |rare| &rare.phase)
    }

    /// The end that is under way, if one is.
    pub(super) fn ending(&mut self) -> Option<&mut Ending> {
        match &mut self.rare.as_mut()?.phase {
            Phase::Flushing(ending) | Phase::Draining(ending) => Some(ending),
            Phase::Dialing { .. } | Phase::Open | Phase::Doomed(_) => None,
        }
    }

    /// Changes the phase and returns the last one.
    pub(super) fn enter(&mut self, phase: Phase) -> Phase {
        self.change(|rare| std::mem::replace(&mut rare.phase, phase))
    }

    /// Gives the box back where nothing is left in it.
    fn change<T>(&mut self, change: impl FnOnce(&mut Rare) -> T) -> T {
        let mut rare = match self.rare.take() {
            Some(rare) => rare,
            None => Box::new(Rare { kept: None, phase: Phase::Open }),
        };
        let changed = change(&mut rare);
        if rare.kept.is_some() || !matches!(rare.phase, Phase::Open) {
            self.rare = Some(rare);
        }
        changed
    }

    /// Takes an event's hints in. Says whether the connection became writable.
    pub(super) fn note(&mut self, hints: Hints) -> bool {
        if hints.any(Hints::ENDED.with(Hints::URGENT)) {
            self.more_hinted = true;
        }
        if hints.any(Hints::READABLE.with(Hints::ENDED)) {
            self.readable = true;
        }
        let unblocked = hints.any(Hints::WRITABLE.with(Hints::ENDED)) && !self.writable;
        self.writable |= unblocked;
        unblocked
    }

    /// True where a turn's read phase has something to do here.
    pub(super) fn wants_read(&self) -> bool {
        match self.phase() {
            Phase::Open => {
                let offer = self.kept().is_some_and(|kept| kept.offer);
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

    /// False where all that had come was taken in, but for a line without its end.
    pub(super) fn may_have_more(&self) -> bool {
        matches!(self.phase(), Phase::Open) && (self.held || self.wants_read())
    }

    pub(super) fn hold(&mut self) {
        self.held = true;
        if let Some(kept) = self.kept_mut() {
            kept.seen = 0;
        }
    }

    pub(super) fn resume(&mut self) {
        self.held = false;
        if let Some(kept) = self.kept_mut() {
            kept.offer = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_connection_takes_forty_bytes() {
        // See `chat::peer`: what an idle peer may cost in all. In a release build a stream takes 16
        // bytes; mio keeps more of it where debug assertions are on.
        assert_eq!(size_of::<Conn<[u64; 2]>>(), 40);
    }
}
