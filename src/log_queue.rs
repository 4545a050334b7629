//! The queue between whoever has something to tell and stderr, which may be slow, full or gone.
//!
//! A log call must never block the loop (clice#514, node#12970: a full pipe on stdout stopped a
//! server). So lines are put here, the loop writes them when stderr takes them, and what does not
//! fit is dropped whole and counted. What must not be here: log levels, how a line looks
//! (`log_form`), descriptors.

use crate::log_form::LogForm;
use crate::os::clock::utc_now_ms;
use crate::visible::visible_into;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes that may wait. 256 KiB are about 3,000 lines: enough for the burst of a thousand peers
/// that leave at once, and little to lose.
pub const LOG_BYTES_MAX: usize = 256 << 10;

/// Bytes of one write: what a pipe holds (pipe(7)), so that more would be cut anyway.
const CHUNK_BYTES: usize = 64 << 10;

/// A handle on the queue; a copy is a handle on the same one. Behind a lock only because
/// env_logger wants its target to be `Send`: there is one thread, so it is never waited for.
#[derive(Clone)]
pub struct LogQueue(Arc<Mutex<Lines>>);

/// Invariant: `bytes.len() <= bytes_max`, and but for the front, whose start may have been
/// written already, `bytes` holds whole lines.
struct Lines {
    bytes: VecDeque<u8>,
    bytes_max: usize,
    /// How it is told that lines were dropped.
    form: LogForm,
    /// Lines dropped since the last notice of it.
    untold: u64,
    /// Lines dropped since the start.
    dropped: u64,
    /// The line being made, and the chunk being written: kept for their memory only.
    line: Vec<u8>,
    chunk: Vec<u8>,
}

impl LogQueue {
    /// An empty queue of [`LOG_BYTES_MAX`].
    pub fn new() -> Self {
        Self::of(LogForm::default())
    }

    /// The same for lines of this form.
    pub fn of(form: LogForm) -> Self {
        Self::with_room(LOG_BYTES_MAX, form)
    }

    fn with_room(bytes_max: usize, form: LogForm) -> Self {
        LogQueue(Arc::new(Mutex::new(Lines {
            bytes: VecDeque::new(),
            bytes_max,
            form,
            untold: 0,
            dropped: 0,
            line: Vec::new(),
            chunk: Vec::new(),
        })))
    }

    /// Puts in one line, without its newline, for a program that has no logger. Bounded and made
    /// visible like any other.
    pub fn say(&self, line: &str) {
        self.lines().push(line.as_bytes());
    }

    /// True where nothing waits to be written.
    pub fn is_empty(&self) -> bool {
        self.lines().bytes.is_empty()
    }

    /// How many lines were dropped since the start.
    pub fn dropped(&self) -> u64 {
        self.lines().dropped
    }

    /// Gives the waiting bytes to `write`, oldest first, until none is left (`Ok`) or it fails
    /// (`WouldBlock`: wait for the event; another error: stderr is of no use, which is no reason to
    /// stop). `write` says how many it took. It may log: the lock is not held meanwhile.
    pub fn drain(&self, mut write: impl FnMut(&[u8]) -> io::Result<usize>) -> io::Result<()> {
        let mut chunk = std::mem::take(&mut self.lines().chunk);
        let result = loop {
            chunk.clear();
            let lines = self.lines();
            let (front, _) = lines.bytes.as_slices(); // the rest of the ring comes next time round
            chunk.extend_from_slice(&front[..front.len().min(CHUNK_BYTES)]);
            drop(lines);
            if chunk.is_empty() {
                break Ok(());
            }
            match write(&chunk) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => drop(self.lines().bytes.drain(..n)),
                Err(error) => break Err(error),
            }
        };
        self.lines().chunk = chunk;
        result
    }

    /// Moves waiting lines, whole, to the end of `into`, oldest first, until none is left or it holds
    /// `bytes_max` bytes: for a screen of which they are a part.
    pub fn take_lines(&self, into: &mut Vec<u8>, bytes_max: usize) {
        let mut lines = self.lines();
        while into.len() < bytes_max
            && let Some(len) = lines.bytes.iter().position(|&byte| byte == b'\n')
        {
            into.extend(lines.bytes.drain(..=len));
        }
    }

    /// A panic while the lock was held leaves whole lines behind, so the poison means nothing.
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for LogQueue {
    fn default() -> Self {
        Self::new()
    }
}

impl Lines {
    /// One record becomes one line, whatever is in it: a forged line break is shown as `\x0a`.
    fn push(&mut self, record: &[u8]) {
        self.line.clear();
        if self.untold > 0 {
            let notice = self.form.dropped(&utc_now_ms(), self.untold);
            self.line.extend_from_slice(notice.as_bytes());
            self.line.push(b'\n');
        }
        visible_into(record, &mut self.line);
        self.line.push(b'\n');
        if self.bytes.len() + self.line.len() > self.bytes_max {
            self.untold += 1;
            self.dropped += 1;
            return;
        }
        self.untold = 0;
        self.bytes.extend(&self.line);
    }
}

/// For env_logger's pipe, which writes each record whole, with its newline. Never fails.
impl Write for LogQueue {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        if !record.is_empty() {
            self.lines().push(record.strip_suffix(b"\n").unwrap_or(record));
        }
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(queue: &LogQueue) -> String {
        let mut text = Vec::new();
        queue.drain(|bytes| text.write(bytes)).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn records_come_out_as_lines_in_order() {
        let mut queue = LogQueue::new();
        assert!(queue.is_empty());
        queue.write_all(b"one\n").unwrap();
        queue.clone().say("two");
        assert!(!queue.is_empty());
        assert_eq!(drained(&queue), "one\ntwo\n");
        assert!(queue.is_empty());
    }

    #[test]
    fn a_record_is_one_line_whatever_is_in_it() {
        let mut queue = LogQueue::new();
        queue.write_all("a\r\nb\u{85}c\u{2028}d\x0b\x0c\u{202e}\n".as_bytes()).unwrap();
        queue.write_all(b"bad \xff\n").unwrap();
        queue.write_all(b"\n").unwrap();
        let expected =
            "a\\x0d\\x0ab\\u{85}c\\u{2028}d\\x0b\\x0c\\u{202e}\nbad \u{fffd}\n\n".to_string();
        assert_eq!(drained(&queue), expected);
    }

    #[test]
    fn what_does_not_fit_is_dropped_whole_and_told_before_the_next_that_fits() {
        let queue = LogQueue::with_room(40, LogForm::default());
        queue.say(&"x".repeat(30));
        queue.say("0123456789");
        queue.say("9876543210");
        assert_eq!(queue.dropped(), 2);
        assert_eq!(drained(&queue), format!("{}\n", "x".repeat(30)));
        queue.say("after");
        queue.say("again");
        assert_eq!(drained(&queue), "2 log lines dropped\nafter\nagain\n");
        queue.say(&"x".repeat(40));
        queue.say("one");
        assert_eq!(drained(&queue), "1 log line dropped\none\n");
        assert_eq!(queue.dropped(), 3);
    }

    #[test]
    fn a_line_for_which_only_the_notice_is_too_much_is_dropped_too() {
        let queue = LogQueue::with_room(20, LogForm::default());
        queue.say(&"x".repeat(20));
        queue.say("0123456789");
        assert_eq!((queue.dropped(), drained(&queue)), (2, String::new()));
    }

    #[test]
    fn lines_are_taken_whole_and_in_order() {
        let queue = LogQueue::new();
        (0..3).for_each(|n| queue.say(&format!("line {n}")));
        let mut taken = Vec::new();
        queue.take_lines(&mut taken, 8);
        assert_eq!(taken, b"line 0\nline 1\n");
        queue.take_lines(&mut taken, usize::MAX);
        assert_eq!(taken, b"line 0\nline 1\nline 2\n");
        assert!(queue.is_empty());
    }

    #[test]
    fn a_short_write_goes_on_where_it_stopped() {
        let queue = LogQueue::new();
        queue.say("hello");
        queue.say("world");
        let mut text = Vec::new();
        let mut calls = 0;
        let result = queue.drain(|bytes| {
            calls += 1;
            if calls == 3 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            text.write(&bytes[..4])
        });
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert_eq!(text, b"hello\nwo");
        assert_eq!(drained(&queue), "rld\n");
    }

    #[test]
    fn the_writer_may_log_itself() {
        let queue = LogQueue::new();
        queue.say("first");
        let mut text = Vec::new();
        queue
            .drain(|bytes| {
                if text.is_empty() {
                    queue.say("from within");
                }
                text.write(bytes)
            })
            .unwrap();
        assert_eq!(text, b"first\nfrom within\n");
    }
}
