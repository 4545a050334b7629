//! Bytes on their way to the server, whichever connection takes them: pure. What was read and not
//! sent outlives a link that is lost; of a line that was cut by the loss nothing more is sent.

use super::outgoing::Outgoing;
use crate::handler::Slices;

/// Two queues, the first before the second.
///
/// Invariant: the first is filled only while the second stands at the start of a line.
#[derive(Default)]
pub(super) struct Upstream {
    /// What the client itself says to a new server: a name, a room.
    greeting: Outgoing,
    /// What was read.
    ahead: Outgoing,
    /// What was sent of `ahead` ends within a line.
    cut: bool,
    /// What was read ends within a line.
    within: bool,
    /// The rest of a line that the loss of a link cut is dropped as it comes.
    skipping: bool,
}

impl Upstream {
    /// Bytes that are still to be sent.
    pub(super) fn len(&self) -> usize {
        self.greeting.pending().len() + self.ahead.pending().len()
    }

    /// A new link: this goes out first.
    pub(super) fn greet(&mut self, greeting: &[u8]) {
        self.greeting.end().extend_from_slice(greeting);
    }

    /// Adds what was read.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let mut bytes = bytes;
        if self.skipping {
            let Some(end) = bytes.iter().position(|&byte| byte == b'\n') else { return };
            bytes = &bytes[end + 1..];
            self.skipping = false;
        }
        if let Some(&last) = bytes.last() {
            self.within = last != b'\n';
            self.ahead.end().extend_from_slice(bytes);
        }
    }

    /// Adds a line of the client's own, unless it would stand within another one.
    pub(super) fn push_line(&mut self, line: &[u8]) -> bool {
        if self.within || self.skipping {
            return false;
        }
        self.ahead.end().extend_from_slice(line);
        true
    }

    pub(super) fn pending<'a>(&'a self, slices: &mut Slices<'a>) {
        slices.push(self.greeting.pending());
        slices.push(self.ahead.pending());
    }

    pub(super) fn sent(&mut self, n: usize) {
        let first = n.min(self.greeting.pending().len());
        self.greeting.sent(first);
        let n = n - first;
        if n > 0 {
            self.cut = self.ahead.pending()[n - 1] != b'\n';
            self.ahead.sent(n);
        }
    }

    /// The link is lost. What was not begun stays for the next one; the rest of a line that was is
    /// dropped. True where there was such a rest.
    pub(super) fn lost(&mut self) -> bool {
        self.greeting = Outgoing::default();
        if !std::mem::take(&mut self.cut) {
            return false;
        }
        let pending = self.ahead.pending();
        match pending.iter().position(|&byte| byte == b'\n') {
            Some(end) => self.ahead.sent(end + 1),
            None => {
                self.ahead = Outgoing::default();
                self.skipping = self.within;
                self.within = false;
            }
        }
        true
    }

    /// The link is lost, and where a message ends nobody knows: nothing stays.
    pub(super) fn clear(&mut self) {
        *self = Upstream::default();
    }

    #[cfg(test)]
    pub(super) fn capacity(&mut self) -> usize {
        self.ahead.end().capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queued(upstream: &Upstream) -> String {
        let mut slices = Slices::new();
        upstream.pending(&mut slices);
        slices.runs().iter().map(|run| String::from_utf8_lossy(run).into_owned()).collect()
    }

    #[test]
    fn what_was_not_begun_stays_for_the_next_link_behind_its_greeting() {
        let mut upstream = Upstream::default();
        upstream.push(b"one\ntwo\n");
        upstream.sent(4);
        assert!(!upstream.lost(), "nothing was cut");
        upstream.greet(b"/nick ann\n");
        assert_eq!(queued(&upstream), "/nick ann\ntwo\n");
        upstream.sent(12);
        assert_eq!(queued(&upstream), "o\n");
    }

    #[test]
    fn the_rest_of_a_line_that_the_loss_cut_is_not_sent() {
        let mut upstream = Upstream::default();
        upstream.push(b"one\ntwo\n");
        upstream.sent(1);
        assert!(upstream.lost());
        assert_eq!(queued(&upstream), "two\n");
    }

    #[test]
    fn the_rest_that_has_not_been_read_is_not_sent_either() {
        let mut upstream = Upstream::default();
        upstream.push(b"long, lo");
        upstream.sent(6);
        assert!(upstream.lost());
        assert!(!upstream.push_line(b"/ping\n"));
        upstream.push(b"ng line");
        upstream.push(b" ends\nnext\n");
        assert_eq!(queued(&upstream), "next\n");
    }
}
