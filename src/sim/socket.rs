//! Calls on an open stream: recv, send, shutdown, close. The console takes the same calls; what it
//! does with them is in `console`.

use super::kernel::{ALL, SimOs, StreamFd, What};
use super::link::Stage;
use super::trace::Step;
use rustix::io::Errno;
use std::io::IoSlice;

/// More slices in one call the kernel refuses (UIO_MAXIOV, writev(2)).
const SLICES_LIMIT: usize = 1_024;

/// A squeezed send finds room for at most so many bytes: within one line of a chat.
const SQUEEZE_MAX: usize = 16;

impl SimOs {
    pub(super) fn do_connected(&mut self, stream: &StreamFd) -> Result<bool, Errno> {
        let result = match self.entry(&stream.0, Step::Connected).what {
            What::Link(link) => {
                self.maybe_cut(link);
                self.links[link].connected()
            }
            _ => Ok(true),
        };
        self.trace.note(Step::Connected, stream.0.number, result.map(usize::from));
        result
    }

    pub(super) fn do_recv(&mut self, stream: &StreamFd, into: &mut [u8]) -> Result<usize, Errno> {
        let number = stream.0.number;
        let what = self.entry(&stream.0, Step::Recv).what;
        assert!(!into.is_empty(), "recv without room: its 0 would pass for the end of input");
        let result = match what {
            What::Link(link) => {
                self.maybe_cut(link);
                // Descriptors may have been sent along at any place: a read ends behind them.
                let most = match self.links[link].is_unix() {
                    true => self.random.range(1..=into.len()),
                    false => into.len(),
                };
                self.links[link].recv(&mut into[..most])
            }
            _ => self.read_console(into),
        };
        self.trace.note(Step::Recv, number, result);
        let n = result?;
        self.trace.bytes(&into[..n]);
        self.count_read(number, n);
        Ok(n)
    }

    /// The console and Unix sockets: see `os::stream`.
    pub(super) fn may_stop_short(&self, stream: &StreamFd) -> bool {
        match self.table[stream.0.number].as_ref().map(|entry| entry.what) {
            Some(What::Link(link)) => self.links[link].is_unix(),
            _ => true,
        }
    }

    pub(super) fn do_send(
        &mut self,
        stream: &StreamFd,
        runs: &[IoSlice<'_>],
    ) -> Result<usize, Errno> {
        let number = stream.0.number;
        let what = self.entry(&stream.0, Step::Send).what;
        assert!(runs.len() <= SLICES_LIMIT, "send of {} slices: EINVAL", runs.len());
        assert!(runs.iter().any(|run| !run.is_empty()), "send of nothing");
        let result = match what {
            What::Link(link) => self.send_on(number, link, runs),
            _ => self.write_console(number, runs),
        };
        self.trace.note(Step::Send, number, result);
        let mut left = result?;
        for run in runs {
            let n = run.len().min(left);
            self.trace.bytes(&run[..n]);
            left -= n;
        }
        if let What::Link(link) = what
            && self.links[link].provoked()
        {
            self.cut_link(link);
        }
        result
    }

    fn send_on(
        &mut self,
        number: usize,
        link: usize,
        runs: &[IoSlice<'_>],
    ) -> Result<usize, Errno> {
        self.maybe_cut(link);
        if !self.links[link].dead && self.press(number) {
            self.links[link].note_blocked();
            return Err(Errno::AGAIN);
        }
        if self.random.chance(self.faults.squeeze) {
            let n = self.random.range(1..=SQUEEZE_MAX);
            self.links[link].squeeze(n);
        }
        self.links[link].send(runs)
    }

    /// shutdown(SHUT_WR) wakes whoever waits: from now on the socket counts as writable for ever.
    pub(super) fn do_shutdown(&mut self, stream: &StreamFd) {
        let what = self.entry(&stream.0, Step::Shutdown).what;
        self.trace.note(Step::Shutdown, stream.0.number, Ok(0));
        if let What::Link(link) = what
            && self.links[link].shutdown()
        {
            self.wake(stream.0.number, ALL);
        }
    }

    pub(super) fn do_close(&mut self, stream: StreamFd) {
        let what = self.entry(&stream.0, Step::Close).what;
        let mut unread = false;
        match what {
            What::Link(link) => {
                unread = self.links[link].close();
                if unread {
                    self.reset_link(link);
                }
            }
            _ => {
                self.console.fd = None;
                self.do_return_terminal();
            }
        }
        self.trace.note(Step::Close, stream.0.number, Ok(usize::from(unread)));
        self.free(stream.0.number);
    }

    /// An RST of ours. RFC 2525 §2.17: it overtakes what the remote end has not read, which may be
    /// lost with it.
    pub(super) fn reset_link(&mut self, link: usize) {
        let unread = self.links[link].unread_by_remote();
        let keep = match self.random.chance(self.faults.reset_destroys) {
            true => self.random.range(0..=unread),
            false => unread,
        };
        self.links[link].reset_out(keep);
    }

    /// The fault `reset`: just before a call.
    fn maybe_cut(&mut self, link: usize) {
        let open = self.links[link].stage == Stage::Open;
        if open && self.random.chance(self.faults.reset) {
            self.cut_link(link);
        }
    }

    /// An RST comes in.
    pub(super) fn cut_link(&mut self, link: usize) {
        self.links[link].cut();
        if let Some(number) = self.links[link].fd {
            self.wake(number, ALL);
        }
    }
}
