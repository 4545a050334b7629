//! The console and the log: a keyboard or a file to read, a screen, pipe or file to write.
//!
//! stdin and stdout are two descriptors under one token, so an event of one says nothing of the
//! other. A half that is a file is in no epoll (EPERM): no event ever, and never `WouldBlock`.

use super::kernel::{LOG_FD, SimOs, StreamFd, What, source_of};
use super::trace::Step;
use crate::handler::{PeerId, Signal, Window};
use crate::os::{Caught, Hints, Raise};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::io::IoSlice;

/// Reads that a spell in the background makes fail, at most.
const BUSY_MAX: usize = 3;

/// Something that takes bytes: a pipe, a terminal, a file.
#[derive(Debug)]
pub(super) struct Sink {
    bytes: VecDeque<u8>,
    capacity: usize,
    /// Somebody was told that there is no room: an edge is owed.
    nospace: bool,
    /// Nobody reads any more (EPIPE).
    gone: bool,
    /// In no epoll, always room.
    file: bool,
}

impl Sink {
    pub(super) fn new(capacity: usize) -> Self {
        Sink { bytes: VecDeque::new(), capacity, nospace: false, gone: false, file: false }
    }

    /// Something can be written, or the write fails at once. A third must be free, as for sockets.
    pub(super) fn writable(&self) -> bool {
        self.gone || self.file || 3 * self.bytes.len() <= 2 * self.capacity
    }

    /// What an event says; asking marks that somebody heard of no room.
    pub(super) fn poll(&mut self) -> Hints {
        if self.file {
            return Hints::default();
        }
        let ended = if self.gone { Hints::ENDED } else { Hints::default() };
        match self.writable() {
            true => ended.with(Hints::WRITABLE),
            false => {
                self.nospace = true;
                ended
            }
        }
    }

    fn write(&mut self, runs: &[IoSlice<'_>]) -> Result<usize, Errno> {
        if self.gone {
            return Err(Errno::PIPE);
        }
        let free = match self.file {
            true => usize::MAX,
            false => self.capacity.saturating_sub(self.bytes.len()),
        };
        let mut left = free;
        for run in runs {
            let n = run.len().min(left);
            self.bytes.extend(&run[..n]);
            left -= n;
        }
        let n = free - left;
        self.nospace |= n < runs.iter().map(|run| run.len()).sum();
        if n == 0 { Err(Errno::AGAIN) } else { Ok(n) }
    }

    /// The reader takes up to `max` bytes; `true` where this owes the writable edge.
    fn take(&mut self, max: usize) -> (Vec<u8>, bool) {
        let n = max.min(self.bytes.len());
        let bytes = self.bytes.drain(..n).collect();
        let edge = self.nospace && self.writable();
        self.nospace &= !edge;
        (bytes, edge)
    }
}

/// The process's stdin and stdout.
#[derive(Debug)]
pub(super) struct Console {
    typed: VecDeque<u8>,
    /// Nothing follows what was typed.
    ended: bool,
    end_told: bool,
    input_file: bool,
    /// Another process group has the terminal.
    background: bool,
    /// Its modes are changed.
    raw: bool,
    /// Reads that will still fail as if it had.
    pub(super) busy: usize,
    pub(super) output: Sink,
    /// Its descriptor, while open.
    pub(super) fd: Option<usize>,
}

impl Console {
    pub(super) fn new(capacity: usize) -> Self {
        Console {
            typed: VecDeque::new(),
            ended: false,
            end_told: false,
            input_file: false,
            background: false,
            raw: false,
            busy: 0,
            output: Sink::new(capacity),
            fd: None,
        }
    }

    pub(super) fn readable(&self) -> bool {
        let end = (self.ended || self.input_file) && !self.end_told;
        !self.background && self.busy == 0 && (!self.typed.is_empty() || end)
    }

    pub(super) fn poll(&mut self, edges: Hints) -> Hints {
        let mut hints = Hints::default();
        if edges.any(Hints::READABLE) && !self.input_file {
            if !self.typed.is_empty() || self.ended {
                hints = hints.with(Hints::READABLE);
            }
            if self.ended {
                hints = hints.with(Hints::ENDED);
            }
        }
        if edges.any(Hints::WRITABLE) {
            hints = hints.with(self.output.poll());
        }
        hints
    }

    fn read(&mut self, into: &mut [u8]) -> Result<usize, Errno> {
        if self.typed.is_empty() {
            let end = self.ended || self.input_file;
            self.end_told |= end;
            return if end { Ok(0) } else { Err(Errno::AGAIN) };
        }
        let n = into.len().min(self.typed.len());
        for (to, byte) in into.iter_mut().zip(self.typed.drain(..n)) {
            *to = byte;
        }
        Ok(n)
    }
}

impl SimOs {
    pub(super) fn do_console(&mut self, peer: PeerId) -> StreamFd {
        assert!(self.console.fd.is_none(), "a process has one console");
        let fd = self.open(source_of(peer), What::Console);
        self.console.fd = Some(fd.number);
        self.trace.note(Step::Console, fd.number, Ok(0));
        StreamFd(fd)
    }

    pub(super) fn read_console(&mut self, into: &mut [u8]) -> Result<usize, Errno> {
        if self.console.busy == 0 && self.random.chance(self.faults.busy) {
            self.console.busy = self.random.range(1..=BUSY_MAX);
        }
        if self.console.background || self.console.busy > 0 {
            self.console.busy = self.console.busy.saturating_sub(1);
            return Err(Errno::BUSY);
        }
        self.console.read(into)
    }

    pub(super) fn do_take_terminal(&mut self, console: &StreamFd) -> Result<Window, Errno> {
        let number = console.0.number;
        assert_eq!(self.console.fd, Some(number), "a terminal is taken through the open console");
        let result = match &self.console {
            Console { input_file: true, .. } | Console { output: Sink { file: true, .. }, .. } => {
                Err(Errno::NOTTY)
            }
            Console { background: true, .. } | Console { busy: 1.., .. } => Err(Errno::BUSY),
            _ => Ok(self.random.range(0..=120)),
        };
        self.console.raw |= result.is_ok();
        self.trace.note(Step::TakeTerminal, number, result);
        // stderr is a terminal too in half of them; the loop must do with either.
        result.map(|columns| Window { columns: columns as u16, rows: 24, log: columns % 2 == 0 })
    }

    pub(super) fn do_return_terminal(&mut self) {
        self.console.raw = false;
        self.trace.note(Step::ReturnTerminal, 0, Ok(0));
    }

    /// A stop, which is continued at once.
    pub(super) fn do_raise(&mut self, raise: Raise) {
        assert_eq!(raise, Raise::Stop, "nobody sends SIGQUIT here");
        assert!(!self.console.raw, "stopped with the terminal's modes changed");
        self.catch(Caught::Told(Signal::Continue));
    }

    pub(super) fn write_console(
        &mut self,
        number: usize,
        runs: &[IoSlice<'_>],
    ) -> Result<usize, Errno> {
        if !self.console.output.file && self.press(number) {
            return Err(Errno::AGAIN);
        }
        self.console.output.write(runs)
    }

    pub(super) fn do_write_log(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        assert!(!bytes.is_empty(), "write of nothing");
        let result = match self.press(LOG_FD) {
            true => Err(Errno::AGAIN),
            false => self.log.write(&[IoSlice::new(bytes)]),
        };
        self.trace.note(Step::WriteLog, LOG_FD, result);
        result
    }

    // ---- the outside ----

    /// What stdin and stdout are, before the console is opened: files or (the default) not.
    pub(crate) fn console_files(&mut self, input: bool, output: bool) {
        assert!(self.console.fd.is_none(), "the console is open already");
        self.console.input_file = input;
        self.console.output.file = output;
    }

    /// Bytes that stdout (a pipe or terminal) and the log hold before they are full.
    pub(crate) fn sink_capacities(&mut self, console: usize, log: usize) {
        self.console.output.capacity = console;
        self.log.capacity = log;
    }

    /// Somebody types.
    pub(crate) fn console_type(&mut self, bytes: &[u8]) {
        self.trace.note(Step::ConsoleIn, 0, Ok(bytes.len()));
        self.console.typed.extend(bytes);
        self.wake_console(Hints::READABLE);
    }

    /// The end of stdin, after all that was typed.
    pub(crate) fn console_end(&mut self) {
        self.trace.note(Step::ConsoleIn, 1, Ok(0));
        self.console.ended = true;
        self.wake_console(Hints::READABLE);
    }

    /// Another process group takes the terminal, or gives it back; no event tells of either.
    pub(crate) fn console_background(&mut self, background: bool) {
        self.trace.note(Step::ConsoleIn, 2, Ok(usize::from(background)));
        self.console.background = background;
    }

    /// Takes up to `max` bytes from stdout's reader's end.
    pub(crate) fn console_output(&mut self, max: usize) -> Vec<u8> {
        let (bytes, edge) = self.console.output.take(max);
        self.trace.note(Step::ConsoleOut, 0, Ok(bytes.len()));
        if edge {
            self.wake_console(Hints::WRITABLE);
        }
        bytes
    }

    /// The reader of stdout goes away.
    pub(crate) fn console_gone(&mut self) {
        self.trace.note(Step::ConsoleOut, 1, Ok(0));
        self.console.output.gone = true;
        self.wake_console(Hints::WRITABLE);
    }

    /// Takes up to `max` bytes from the log's reader's end.
    pub(crate) fn log_output(&mut self, max: usize) -> Vec<u8> {
        let (bytes, edge) = self.log.take(max);
        self.trace.note(Step::LogOut, 0, Ok(bytes.len()));
        if edge {
            self.wake(LOG_FD, Hints::WRITABLE);
        }
        bytes
    }

    /// The reader of the log goes away.
    pub(crate) fn log_gone(&mut self) {
        self.trace.note(Step::LogOut, 1, Ok(0));
        self.log.gone = true;
        self.wake(LOG_FD, Hints::WRITABLE);
    }

    fn wake_console(&mut self, edge: Hints) {
        if let Some(number) = self.console.fd {
            self.wake(number, edge);
        }
    }
}
