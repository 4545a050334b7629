//! Whose turn it is: in `raw` the two sides take turns, as in the tutorial. In the other protocols
//! it is always ours. Pure.

use std::time::{Duration, Instant};

/// Taking turns.
pub(super) struct Turns {
    timeout: Option<Duration>,
    turn: Turn,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Ours,
    /// Something must come back first, or this deadline.
    Theirs(Option<Instant>),
}

impl Turns {
    /// Ours is the first. `timeout`: how long theirs may last; none for ever.
    pub(super) fn new(timeout: Option<Duration>) -> Self {
        Turns { timeout, turn: Turn::Ours }
    }

    pub(super) fn is_ours(&self) -> bool {
        self.turn == Turn::Ours
    }

    /// We said something.
    pub(super) fn theirs(&mut self, now: Instant) {
        self.turn = Turn::Theirs(self.timeout.map(|timeout| now + timeout));
    }

    /// They answered, or will not any more.
    pub(super) fn ours(&mut self) {
        self.turn = Turn::Ours;
    }

    /// When theirs is over though nothing came.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.turn {
            Turn::Theirs(deadline) => deadline,
            Turn::Ours => None,
        }
    }
}
