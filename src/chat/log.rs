//! The broadcast log: the one copy of a message in user space, however many peers are to hear it.
//!
//! A log is a window on an endless row of messages. Peers do not own copies, they own a
//! [`super::cursor::Cursor`]. Messages are numbered from 0 without gap; bytes have absolute u64
//! offsets. The log drops from its front what does not fit; who has not read that has fallen
//! behind. The idea is Kafka's and Redis' replication backlog.

use super::ring::Ring;
use std::collections::VecDeque;
use std::ops::Range;
use std::time::Instant;

/// The author of a notice: the server itself. No connection has this serial.
pub const NOBODY: u64 = u64::MAX;

/// The unit of the moments that are kept with messages, in microseconds: in 32 bits they go round in
/// 19 hours, and the entry's padding holds them.
const TICK_US: u32 = 16;

/// What a message costs beside its bytes.
pub const ENTRY_BYTES: usize = size_of::<Entry>();

/// A bounded window on the messages of one room.
///
/// Invariants: `entries[i]` is message `first + i` and begins at byte `entries[i].start`; the
/// offsets rise; `bytes` holds exactly the bytes from the first entry's start to the end.
pub struct BroadcastLog {
    bytes: Ring,
    entries: VecDeque<Entry>,
    /// Number of the oldest message.
    first: u64,
    /// How many messages were said by somebody, since the start.
    said: u64,
    /// When the clock was first set.
    begun: Option<Instant>,
    /// When it is now.
    now: Option<Instant>,
    /// The same as it is kept with a message, in ticks since `begun`, modulo 2^32.
    clock: u32,
}

struct Entry {
    /// Offset of the first byte.
    start: u64,
    /// Serial of who said it, or [`NOBODY`].
    author: u64,
    /// `BroadcastLog::said` before this message, modulo 2^32.
    said_before: u32,
    /// `BroadcastLog::clock` when it came.
    said_at: u32,
}

impl BroadcastLog {
    /// An empty log; it takes memory as messages come.
    pub fn new() -> Self {
        BroadcastLog {
            bytes: Ring::default(),
            entries: VecDeque::new(),
            first: 0,
            said: 0,
            begun: None,
            now: None,
            clock: 0,
        }
    }

    /// Number of the oldest message there is.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Number that the next message will have.
    pub fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// Bytes that the log takes: messages and their entries.
    pub fn size(&self) -> usize {
        self.bytes.len() + self.entries.len() * ENTRY_BYTES
    }

    /// Adds a message, its parts end to end. The caller has made room.
    #[inline]
    pub fn append(&mut self, author: u64, parts: &[&[u8]]) {
        let (said_before, said_at) = (self.said as u32, self.clock);
        self.entries.push_back(Entry { start: self.bytes.end(), author, said_before, said_at });
        parts.iter().for_each(|part| self.bytes.push(part));
        if author != NOBODY {
            self.said += 1;
        }
    }

    /// Tells the log when it is now: what is said next is said now, and ages end now. Never goes back.
    pub fn set_clock(&mut self, now: Instant) {
        if self.now != Some(now) {
            self.now = Some(now);
            self.clock = ticks(*self.begun.get_or_insert(now), now);
        }
    }

    /// How long ago a message was said, in microseconds to the next tick, modulo 19 hours; of a
    /// notice nobody knows.
    pub fn age_us(&self, at: u64) -> Option<u64> {
        let entry = self.entry(at).filter(|entry| entry.author != NOBODY)?;
        let age = self.clock.wrapping_sub(entry.said_at);
        Some(u64::from(age) * u64::from(TICK_US))
    }

    /// Drops the oldest message.
    pub fn drop_first(&mut self) {
        if self.entries.pop_front().is_some() {
            self.first += 1;
            self.bytes.drop_before(self.offset(self.first));
        }
    }

    /// Offset of a message's first byte; of the end for `end()`. `at` is in the window.
    pub fn offset(&self, at: u64) -> u64 {
        self.entry(at).map_or(self.bytes.end(), |entry| entry.start)
    }

    /// How many messages were said before this one, modulo 2^32; all of them for `end()`.
    pub fn said_before(&self, at: u64) -> u32 {
        self.entry(at).map_or(self.said as u32, |entry| entry.said_before)
    }

    /// Who said a message; [`NOBODY`] for `end()` too.
    pub fn author(&self, at: u64) -> u64 {
        self.entry(at).map_or(NOBODY, |entry| entry.author)
    }

    /// The message that byte `offset` belongs to, among `within`.
    pub fn message_at(&self, offset: u64, within: Range<u64>) -> u64 {
        let (mut low, mut high) = (within.start, within.end);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.offset(middle + 1) <= offset { low = middle + 1 } else { high = middle }
        }
        low
    }

    /// The bytes between two offsets of the window, in two halves because the log is a ring.
    pub fn bytes(&self, offsets: Range<u64>) -> [&[u8]; 2] {
        self.bytes.get(offsets)
    }

    fn entry(&self, at: u64) -> Option<&Entry> {
        let index = at.checked_sub(self.first).expect("a cursor is checked for lag before use");
        self.entries.get(index as usize)
    }
}

/// From one moment to a later one, in ticks modulo 2^32.
fn ticks(from: Instant, to: Instant) -> u32 {
    let past = to.saturating_duration_since(from);
    let a_second = 1_000_000 / TICK_US;
    let ticks = past.subsec_micros() / TICK_US;
    (past.as_secs() as u32).wrapping_mul(a_second).wrapping_add(ticks)
}

impl Default for BroadcastLog {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn joined(halves: [&[u8]; 2]) -> Vec<u8> {
        halves.concat()
    }

    #[test]
    fn bytes_of_any_range_are_those_appended_also_where_the_ring_wraps() {
        let mut log = BroadcastLog::new();
        let mut all = Vec::new();
        for number in 0..300u32 {
            let text = format!("message {number}\n");
            log.append(1, &[b"<a> ", text.as_bytes()]);
            all.extend_from_slice(b"<a> ");
            all.extend_from_slice(text.as_bytes());
            while log.size() > 700 {
                log.drop_first();
            }
            let start = log.offset(log.first());
            for from in start..=all.len() as u64 {
                assert_eq!(joined(log.bytes(from..all.len() as u64)), all[from as usize..]);
            }
        }
        assert!(log.first() > 200, "the window moved");
    }

    #[test]
    fn a_byte_is_found_in_its_message() {
        let mut log = BroadcastLog::new();
        for text in ["a\n", "bcd\n", "\n", "e\n"] {
            log.append(1, &[text.as_bytes()]);
        }
        log.drop_first();
        let found: Vec<u64> = (2..9).map(|at| log.message_at(at, 1..4)).collect();
        assert_eq!(found, [1, 1, 1, 1, 2, 3, 3]);
        assert_eq!(log.message_at(9, 1..4), 4, "the end belongs to what comes next");
    }

    #[test]
    fn only_what_somebody_said_is_counted() {
        let mut log = BroadcastLog::new();
        log.append(NOBODY, &[b"* a joined\n"]);
        log.append(7, &[b"<a> x\n"]);
        log.append(NOBODY, &[b"* a left\n"]);
        let counts: Vec<u32> = (0..=3).map(|at| log.said_before(at)).collect();
        assert_eq!(counts, [0, 0, 1, 1]);
    }

    #[test]
    fn of_each_message_its_age_is_known_and_of_a_notice_not() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut log = BroadcastLog::new();
        log.set_clock(at(0));
        log.append(7, &[b"a\n"]);
        log.append(NOBODY, &[b"* b\n"]);
        log.set_clock(at(2_000));
        log.append(7, &[b"c\n"]);
        log.set_clock(at(5_000));
        let ages: Vec<Option<u64>> = (0..4).map(|message| log.age_us(message)).collect();
        assert_eq!(ages, [Some(5_000_000), None, Some(3_000_000), None]);
        assert_eq!(size_of::<Entry>(), 24, "the moment costs nothing");
    }

    #[test]
    fn an_emptied_log_goes_on_where_it_was() {
        let mut log = BroadcastLog::new();
        log.append(1, &[b"abc"]);
        log.drop_first();
        log.drop_first();
        assert_eq!((log.first(), log.end(), log.size()), (1, 1, 0));
        log.append(1, &[b"de"]);
        assert_eq!(log.offset(1), 3);
        assert_eq!(joined(log.bytes(3..5)), b"de");
    }
}
