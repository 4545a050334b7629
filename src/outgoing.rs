//! Bytes on their way out, to the server, to a file or to stdout: pure. The caller bounds what is pending;
//! here is seen to it that what has been sent takes no room beside it.

/// A queue of bytes, handed out as one run.
///
/// Invariant: less than half of `bytes` has been sent already, however long a receiver that is
/// slower than its sender keeps the queue from ever running empty.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    bytes: Vec<u8>,
    sent: usize,
}

impl Outgoing {
    /// What is still to be sent.
    pub(crate) fn pending(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    /// Where more is added, behind what is there.
    pub(crate) fn end(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// The first `n` pending bytes are gone. Each byte is moved at most once for each that is sent.
    pub(crate) fn sent(&mut self, n: usize) {
        self.sent += n;
        if self.sent * 2 >= self.bytes.len() {
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_that_never_runs_empty_stays_small_and_in_order() {
        let mut queue = Outgoing::default();
        let (mut next, mut expected) = (0u32, 0u32);
        for _ in 0..10_000 {
            while queue.pending().len() < 400 {
                queue.end().extend(next.to_be_bytes());
                next += 1;
            }
            for number in queue.pending()[..40].chunks(4) {
                assert_eq!(number, expected.to_be_bytes());
                expected += 1;
            }
            queue.sent(40);
            assert!(queue.bytes.len() <= 800, "{} bytes are kept", queue.bytes.len());
        }
    }
}
