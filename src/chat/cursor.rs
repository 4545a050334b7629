//! A peer's place in a log: what it has been sent, what it is owed, what it missed.
//!
//! A cursor always rests on a message boundary, and never at the start of the peer's own message
//! (the settle rule): a talkative peer must not lag behind itself. When a send ends inside a
//! message, the rest of that message is handed out at once, to be kept as the peer's own; so the
//! log may drop any message at any time without cutting one.

use super::log::{BroadcastLog, ENTRY_BYTES, NOBODY};
use crate::handler::Slices;
use std::ops::Range;

/// Bytes that one `pending` gathers at most. A socket's buffer takes a few hundred KiB at once;
/// more runs than that would be looked up for nothing.
const GATHER_BYTES_MAX: u64 = 512 * 1024;

/// A place in one log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The next message to send; all before it are sent, skipped or own.
    at: u64,
    /// `said_before(at)`, kept because the log may have dropped that entry when it is asked for.
    said: u32,
    /// Own messages at or after `at`: while 0, which it is for who has said nothing of late, the
    /// log from here on is one run.
    own_ahead: u32,
}

impl Cursor {
    /// At the end: hears what comes from now on.
    pub fn at_end(log: &BroadcastLog) -> Self {
        Cursor { at: log.end(), said: log.said_before(log.end()), own_ahead: 0 }
    }

    /// Early enough for the last `messages` that others said, but not further back than `size_max`
    /// bytes of log, entries included: where a newcomer begins. One look at each message passed.
    pub fn with_history(log: &BroadcastLog, author: u64, messages: usize, size_max: usize) -> Self {
        let mut cursor = Cursor::at_end(log);
        let size = |at| {
            (log.offset(log.end()) - log.offset(at)) as usize
                + (log.end() - at) as usize * ENTRY_BYTES
        };
        let (mut left, mut own) = (messages, 0);
        let mut at = log.end();
        while left > 0 && at > log.first() && size(at - 1) <= size_max {
            at -= 1;
            if log.author(at) == author {
                own += 1;
            } else if log.author(at) != NOBODY {
                left -= 1;
                cursor = Cursor { at, said: log.said_before(at), own_ahead: own };
            }
        }
        cursor
    }

    /// How many messages of others stand between here and the end.
    pub fn behind(&self, log: &BroadcastLog) -> u32 {
        log.said_before(log.end()).wrapping_sub(self.said).wrapping_sub(self.own_ahead)
    }

    /// The next message to send.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// How many messages of others lie between an earlier state of this cursor and this one.
    pub fn passed_since(&self, before: &Cursor) -> u64 {
        (self.at - before.at) - u64::from(before.own_ahead.saturating_sub(self.own_ahead))
    }

    /// True where nothing before `until` is owed.
    pub fn is_done(&self, until: u64) -> bool {
        self.at >= until
    }

    /// To be called after so many messages of the peer's own were appended, with none of others
    /// between them.
    pub fn own_appended(&mut self, log: &BroadcastLog, messages: u64) {
        if self.at + messages == log.end() {
            *self = Cursor::at_end(log);
        } else {
            self.own_ahead += messages as u32;
        }
    }

    /// Where the log has dropped what this cursor was to read: moves on to the oldest complete
    /// message (not past `until`, before which `until_said` messages were said) and returns how
    /// many messages of others it missed, which may be 0 where it missed notices only.
    pub fn skip(
        &mut self,
        log: &BroadcastLog,
        author: u64,
        until: u64,
        until_said: u32,
    ) -> Option<u32> {
        if self.at >= log.first() || self.at >= until {
            return None;
        }
        let all_gone = until <= log.first();
        let (at, said) = if all_gone {
            (until, until_said)
        } else {
            (log.first(), log.said_before(log.first()))
        };
        let own_left = if self.own_ahead == 0 || all_gone {
            0
        } else {
            (at..until).filter(|&at| log.author(at) == author).count() as u32
        };
        let own_gone = self.own_ahead - own_left;
        let missed = said.wrapping_sub(self.said).wrapping_sub(own_gone);
        *self = Cursor { at, said, own_ahead: own_left };
        if !all_gone {
            self.settle(log, author, until);
        }
        Some(missed)
    }

    /// Adds what is owed before `until`, as far as it fits, and says where that is all. The cursor
    /// does not lag.
    #[inline]
    pub fn pending<'a>(
        &self,
        log: &'a BroadcastLog,
        author: u64,
        until: u64,
        slices: &mut Slices<'a>,
    ) {
        if self.own_ahead == 0 && self.at < until {
            let [front, back] = log.bytes(log.offset(self.at)..log.offset(until));
            if slices.push(front) && slices.push(back) {
                slices.that_is_all();
            }
            return;
        }
        self.pending_around_own(log, author, until, slices);
    }

    /// The same where own messages are ahead: the runs between them.
    fn pending_around_own<'a>(
        &self,
        log: &'a BroadcastLog,
        author: u64,
        until: u64,
        slices: &mut Slices<'a>,
    ) {
        let mut end = self.at;
        for run in self.runs(log, author, until) {
            let [front, back] = log.bytes(log.offset(run.start)..log.offset(run.end));
            if !slices.push(front) || !slices.push(back) {
                return;
            }
            end = run.end;
        }
        if end >= until {
            slices.that_is_all();
        }
    }

    /// Moves on by `n` bytes that the kernel took of what `pending` added. Returns the offsets of
    /// the cut message's rest where the last byte was not a message's last.
    #[inline]
    pub fn sent(
        &mut self,
        log: &BroadcastLog,
        author: u64,
        until: u64,
        n: u64,
    ) -> Option<Range<u64>> {
        if self.own_ahead == 0 && log.offset(self.at) + n == log.offset(until) {
            *self = Cursor { at: until, said: log.said_before(until), own_ahead: 0 };
            return None;
        }
        self.sent_in_part(log, author, until, n)
    }

    /// The same where own messages are ahead, or not all was taken.
    fn sent_in_part(
        &mut self,
        log: &BroadcastLog,
        author: u64,
        until: u64,
        n: u64,
    ) -> Option<Range<u64>> {
        let mut left = n;
        let mut rest = None;
        let mut at = self.at;
        for run in self.runs(log, author, until) {
            let start = log.offset(run.start);
            let end = log.offset(run.end);
            if left < end - start {
                let reached = start + left;
                at = log.message_at(reached, run);
                if log.offset(at) < reached {
                    at += 1;
                    rest = Some(reached..log.offset(at));
                }
                break;
            }
            left -= end - start;
            at = run.end;
            if left == 0 {
                break;
            }
        }
        self.own_ahead -= self.own_between(log, author, at);
        self.at = at;
        self.settle(log, author, until);
        rest
    }

    /// Passes over messages without sending them, one at a time: for a reader that copies whole
    /// messages. Returns the message that was passed, `None` when there is none before `until`.
    pub fn pass(&mut self, log: &BroadcastLog, author: u64, until: u64) -> Option<u64> {
        if self.at >= until {
            return None;
        }
        let passed = self.at;
        self.at += 1;
        self.settle(log, author, until);
        Some(passed)
    }

    fn settle(&mut self, log: &BroadcastLog, author: u64, until: u64) {
        while self.own_ahead > 0 && self.at < until && log.author(self.at) == author {
            self.at += 1;
            self.own_ahead -= 1;
        }
        self.said = log.said_before(self.at);
    }

    fn own_between(&self, log: &BroadcastLog, author: u64, to: u64) -> u32 {
        if self.own_ahead == 0 {
            return 0;
        }
        (self.at..to).filter(|&at| log.author(at) == author).count() as u32
    }

    /// The runs of messages that are not the peer's own, up to `until` or as far as one send
    /// could go.
    fn runs<'a>(
        &self,
        log: &'a BroadcastLog,
        author: u64,
        until: u64,
    ) -> impl Iterator<Item = Range<u64>> + use<'a> {
        let mut at = self.at;
        let mut own_ahead = self.own_ahead;
        let begin = if at < until { log.offset(at) } else { 0 };
        std::iter::from_fn(move || {
            while own_ahead > 0 && at < until && log.author(at) == author {
                at += 1;
                own_ahead -= 1;
            }
            if at >= until || log.offset(at) - begin >= GATHER_BYTES_MAX {
                return None;
            }
            let start = at;
            if own_ahead == 0 {
                at = until;
            } else {
                while at < until && log.author(at) != author {
                    at += 1;
                }
            }
            Some(start..at)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: u64 = 1;
    const OTHER: u64 = 2;

    /// A log in which `authors[i]` says message i, `Mi\n` with 1 to 3 bytes before the LF.
    fn log_of(authors: &[u64]) -> (BroadcastLog, Cursor, Vec<Vec<u8>>) {
        let mut log = BroadcastLog::new();
        let mut mine = Cursor::at_end(&log);
        let mut texts = Vec::new();
        for (number, &author) in authors.iter().enumerate() {
            let text = format!("{}\n", "x".repeat(1 + number % 3)).into_bytes();
            log.append(author, &[&text]);
            if author == ME {
                mine.own_appended(&log, 1);
            }
            texts.push(text);
        }
        (log, mine, texts)
    }

    fn owed(cursor: &Cursor, log: &BroadcastLog) -> Vec<u8> {
        let mut slices = Slices::new();
        cursor.pending(log, ME, log.end(), &mut slices);
        slices.runs().iter().flat_map(|run| run.to_vec()).collect()
    }

    #[test]
    fn every_short_write_leaves_a_boundary_and_the_rest_of_the_cut_message() {
        for pattern in 0..64u32 {
            let authors: Vec<u64> =
                (0..6).map(|bit| if pattern >> bit & 1 == 1 { ME } else { OTHER }).collect();
            let (log, cursor, texts) = log_of(&authors);
            let expected: Vec<u8> = (0..6)
                .filter(|&number| authors[number] != ME)
                .flat_map(|number| texts[number].clone())
                .collect();
            assert_eq!(owed(&cursor, &log), expected, "{authors:?}");
            for n in 0..=expected.len() {
                let mut moved = cursor;
                let rest = moved.sent(&log, ME, log.end(), n as u64);
                let mut got = expected[..n].to_vec();
                got.extend(rest.map_or(Vec::new(), |rest| log.bytes(rest).concat()));
                assert!(got.is_empty() || got.ends_with(b"\n"), "ends on a boundary");
                got.extend(owed(&moved, &log));
                assert_eq!(got, expected, "{authors:?} after {n} bytes");
            }
        }
    }

    #[test]
    fn all_is_said_only_where_nothing_is_left() {
        let says_all = |log: &BroadcastLog, cursor: Cursor| {
            let mut slices = Slices::new();
            cursor.pending(log, ME, log.end(), &mut slices);
            slices.are_all()
        };
        let (log, cursor, _) = log_of(&[OTHER, ME, OTHER]);
        assert!(says_all(&log, cursor));
        let (log, cursor, _) = log_of(&[OTHER, ME].repeat(crate::handler::SLICES_MAX + 1));
        assert!(!says_all(&log, cursor), "more runs than one send takes");
        let mut log = BroadcastLog::new();
        let (mut cursor, half) = (Cursor::at_end(&log), vec![b'x'; GATHER_BYTES_MAX as usize / 2]);
        for _ in 0..3 {
            log.append(OTHER, &[&half]);
            log.append(ME, &[b"mine"]);
            cursor.own_appended(&log, 1);
        }
        assert!(!says_all(&log, cursor), "more bytes than one send is given");
    }

    #[test]
    fn a_cursor_never_rests_at_an_own_message() {
        let (log, mut cursor, _) = log_of(&[OTHER, ME, ME, OTHER, ME]);
        cursor.sent(&log, ME, log.end(), 2);
        assert_eq!(cursor.at(), 3);
        cursor.sent(&log, ME, log.end(), 2);
        assert_eq!((cursor.at(), cursor.own_ahead), (5, 0));
        let (_, caught_up, _) = log_of(&[ME, ME]);
        assert_eq!(caught_up.at(), 2, "own words alone are never owed");
    }

    #[test]
    fn a_skip_counts_what_others_said_and_nothing_else() {
        // Every pattern of notice, own and other, every number of dropped messages.
        for pattern in 0..729u32 {
            let authors: Vec<u64> = (0..6)
                .map(|place| [NOBODY, ME, OTHER][(pattern / 3u32.pow(place) % 3) as usize])
                .collect();
            for dropped in 1..=6 {
                let (mut log, mut cursor, _) = log_of(&authors);
                let was = cursor.at();
                (0..dropped).for_each(|_| log.drop_first());
                let missed = cursor.skip(&log, ME, log.end(), log.said_before(log.end()));
                let expected = (was..dropped).filter(|&at| authors[at as usize] == OTHER).count();
                let lagged = was < dropped;
                assert_eq!(missed, lagged.then_some(expected as u32), "{authors:?} less {dropped}");
                let own_left = authors[cursor.at() as usize..].iter().filter(|&&a| a == ME).count();
                assert_eq!(cursor.own_ahead as usize, own_left);
            }
        }
    }

    #[test]
    fn a_leaver_misses_only_what_was_said_before_it_left() {
        let (mut log, mut cursor, _) = log_of(&[OTHER, OTHER]);
        let (until, until_said) = (log.end(), log.said_before(log.end()));
        (0..5).for_each(|_| log.append(OTHER, &[b"later\n"]));
        (0..4).for_each(|_| log.drop_first());
        assert_eq!(cursor.skip(&log, ME, until, until_said), Some(2));
        assert!(cursor.is_done(until));
    }

    #[test]
    fn more_runs_than_slices_are_offered_in_several_sends() {
        let authors: Vec<u64> = (0..400).map(|n| if n % 2 == 0 { ME } else { OTHER }).collect();
        let (log, mut cursor, texts) = log_of(&authors);
        let mut got = Vec::new();
        loop {
            let part = owed(&cursor, &log);
            if part.is_empty() {
                break;
            }
            assert_eq!(cursor.sent(&log, ME, log.end(), part.len() as u64), None);
            got.extend(part);
        }
        let expected: Vec<u8> =
            (0..400).filter(|n| n % 2 == 1).flat_map(|n| texts[n].clone()).collect();
        assert_eq!(got, expected);
    }
}
