//! One peer of the chat: where it stands in its room's log, and what is meant for it alone.

use super::cursor::Cursor;
use super::log::BroadcastLog;
use super::rooms::RoomIndex;
use crate::count::Count;
use std::io::Write as _;
use std::ops::Range;

/// Bytes of answers that an outbox takes beside the rest of one cut message. A screen of text; who
/// does not read that much is not read either.
pub const ANSWERS_BYTES_MAX: usize = 4 * 1024;

/// One peer. Small: ten thousand of them are silent at any moment, so what is rare is boxed or, as
/// names are, kept elsewhere.
pub(super) struct Peer {
    pub(super) serial: u64,
    pub(super) cursor: Cursor,
    pub(super) outbox: Option<Box<Outbox>>,
    /// Its place among the room's members; [`NOT_A_MEMBER`] once it has left.
    pub(super) place: u32,
    pub(super) room: RoomIndex,
    /// Its words are not passed on.
    pub(super) muted: bool,
    /// It has not been sent all of the history that it began with: what is older than it is late
    /// through nobody's fault.
    pub(super) fresh: bool,
}

/// Has left, and is only owed what was said before.
pub(super) const NOT_A_MEMBER: u32 = u32::MAX;

/// What is meant for one peer alone, and what is rare. Given back when it is empty.
#[derive(Default)]
pub(super) struct Outbox {
    pub(super) bytes: Vec<u8>,
    pub(super) sent: usize,
    /// The first so many bytes are the rest of a message that a short write cut, no answers.
    pub(super) rest: usize,
    /// Messages missed and not told yet.
    pub(super) missed: u64,
    /// For who has left: where the log ends for it, and how much was said before that.
    pub(super) until: Option<(u64, u32)>,
    /// It was so full of answers that the peer is not read until it is empty.
    pub(super) holds: bool,
}

impl Peer {
    pub(super) fn is_member(&self) -> bool {
        self.place != NOT_A_MEMBER
    }

    /// Where the log ends for this peer.
    pub(super) fn until(&self, log: &BroadcastLog) -> u64 {
        let left = self.outbox.as_ref().and_then(|outbox| outbox.until);
        left.map_or_else(|| log.end(), |(until, _)| until)
    }

    /// Moves on where the log has dropped what it was to read: how many messages it missed.
    pub(super) fn skip(&mut self, log: &BroadcastLog) -> Option<u32> {
        if self.cursor.at() >= log.first() {
            return None;
        }
        let left = self.outbox.as_ref().and_then(|outbox| outbox.until);
        let (until, said) = left.unwrap_or_else(|| (log.end(), log.said_before(log.end())));
        self.cursor.skip(log, self.serial, until, said)
    }

    /// Keeps the rest of a message that a short write cut, and says how many bytes that are. The
    /// outbox is empty: it was sent before the log.
    pub(super) fn keep_rest(&mut self, log: &BroadcastLog, rest: Range<u64>) -> usize {
        let outbox = self.outbox.get_or_insert_default();
        log.bytes(rest).iter().for_each(|half| outbox.bytes.extend_from_slice(half));
        outbox.rest = outbox.bytes.len();
        outbox.rest
    }

    /// Bytes of answers that are not sent.
    pub(super) fn answers(&self) -> usize {
        let outbox = self.outbox.as_ref();
        outbox.map_or(0, |outbox| outbox.bytes.len() - outbox.sent.max(outbox.rest))
    }
}

impl Outbox {
    /// Makes the receipt of what is missing: one line, whatever came together.
    pub(super) fn tell_missed(&mut self) {
        self.empty();
        let missed = std::mem::take(&mut self.missed);
        let _ =
            writeln!(self.bytes, "* you missed {}: reading too slowly", Count(missed, "message"));
    }

    /// Gives back what is sent where that is half of it, so that an outbox that is filled as fast as
    /// it is sent does not grow. Returns how many bytes that were.
    pub(super) fn trim(&mut self) -> usize {
        if self.sent * 2 < self.bytes.len() {
            return 0;
        }
        let gone = std::mem::take(&mut self.sent);
        self.bytes.drain(..gone);
        self.rest = self.rest.saturating_sub(gone);
        gone
    }

    /// All of it is sent.
    pub(super) fn empty(&mut self) {
        self.bytes = Vec::new();
        self.sent = 0;
        self.rest = 0;
    }

    /// True where nothing in it is worth keeping.
    pub(super) fn is_idle(&self) -> bool {
        self.bytes.is_empty() && self.missed == 0 && self.until.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_peer_takes_forty_bytes() {
        // With its connection (48) and its place among the members (4) under the 96 that an idle
        // peer may cost; docs/ARCHITECTURE.md.
        assert_eq!(size_of::<Option<Peer>>(), 40);
    }
}
