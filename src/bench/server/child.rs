//! The server that the bench starts for itself: a child of this same program, and the bench's to
//! end on every path. What must not be here: peers, measuring.
//!
//! All waiting is poll(2) on the child's stderr and stdout: its first lines say where it listens, its
//! answers come on stdout, and the end of file on stderr is the child's end. It is never blocked on
//! either: `serve` writes without waiting, and drops log lines that a full pipe does not take.

use crate::wire::Protocol;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};

/// How long each of the child's first words may take, in seconds. It binds two sockets.
const START_S: i64 = 5;

/// How long it may take to stop, in seconds: `serve` gives its peers five.
const STOP_S: i64 = 8;

/// How long an answer may take, in seconds: its loop may be at the end of a long queue.
const ANSWER_S: i64 = 2;

/// What is kept of its stderr, and of an answer, at most: the pipe's size, pipe(7).
const STDERR_BYTES_MAX: usize = 64 * 1024;

/// Its last words that are passed on at most, in lines.
const LAST_LINES_MAX: usize = 10;

/// A running `reactor serve`. Dropped, it is killed.
pub(super) struct ServerChild {
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    stderr: ChildStderr,
    /// What it said on stderr.
    said: Vec<u8>,
    stopped: bool,
    /// Where it listens.
    pub(super) tcp: SocketAddr,
    /// Where it answers datagrams.
    pub(super) udp: SocketAddr,
}

/// The child's command line behind the program's name.
pub(in crate::bench) fn flags(protocol: Protocol) -> Vec<&'static str> {
    let mut flags = vec!["serve", "--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0"];
    flags.extend(["--console", "commands", "--history", "0", "--protocol", protocol.word()]);
    flags
}

impl ServerChild {
    /// Starts it and waits until it listens.
    pub(super) fn start(protocol: Protocol) -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        // What is measured has the flags above and the defaults, whatever is set for other servers.
        let variables = std::env::vars_os().map(|(name, _)| name);
        for name in variables.filter(|name| name.as_encoded_bytes().starts_with(b"REACTOR_")) {
            command.env_remove(name);
        }
        let mut child = command
            .args(flags(protocol))
            .env_remove("RUST_LOG") // a log in the measured process would be measured
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let stdin = child.stdin.take().expect("stdin is piped, a few lines above");
        let stdout = child.stdout.take().expect("stdout is piped, a few lines above");
        let stderr = child.stderr.take().expect("stderr is piped, a few lines above");
        let at = SocketAddr::from(([127, 0, 0, 1], 0));
        let (said, stopped) = (Vec::new(), false);
        let mut server =
            ServerChild { child, stdin, stdout, stderr, said, stopped, tcp: at, udp: at };
        while server.tcp.port() == 0 || server.udp.port() == 0 {
            if !server.listen_to(START_S)? {
                let said = String::from_utf8_lossy(&server.said).trim().replace('\n', "; ");
                return Err(io::Error::other(format!("it does not listen; it says: {said}")));
            }
            server.tcp = listening(&server.said, "tcp").unwrap_or(at);
            server.udp = listening(&server.said, "udp").unwrap_or(at);
        }
        server.said.clear();
        Ok(server)
    }

    /// The process id.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Says `word` on its console and returns the answer, which ends with the line that holds
    /// `end`. None where none comes in time. What it says on stderr meanwhile is taken in too.
    pub(super) fn ask(&mut self, word: &str, end: &str) -> Option<String> {
        self.stdin.write_all(format!("{word}\n").as_bytes()).ok()?;
        let mut answer = Vec::new();
        loop {
            while waits(&self.stderr, 0).ok()? && self.take_in().ok()? {}
            if !waits(&self.stdout, ANSWER_S).ok()? {
                return None;
            }
            let mut bytes = [0; 4_096];
            let n = self.stdout.read(&mut bytes).ok().filter(|&n| n > 0)?;
            answer.extend_from_slice(&bytes[..n]);
            let text = String::from_utf8_lossy(&answer);
            let whole = text.rfind('\n').map_or("", |at| &text[..at]);
            if whole.lines().any(|line| line.contains(end)) {
                return Some(whole.to_owned());
            }
            if answer.len() > STDERR_BYTES_MAX {
                return None;
            }
        }
    }

    /// Ends it as an operator would, and passes on what it had to say.
    pub(super) fn stop(mut self) -> io::Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        while self.listen_to(STOP_S)? {}
        if self.child.try_wait()?.is_none() {
            // At its end of file it is ending; silent without one it hangs.
            self.child.kill()?;
        }
        self.child.wait()?;
        self.stopped = true;
        for line in String::from_utf8_lossy(&self.said).lines().take(LAST_LINES_MAX) {
            // Our own log line has a time and a level in front; theirs would stand twice.
            let words = line.split_once("] ").map_or(line, |(_, words)| words);
            log::warn!("server: {words}");
        }
        Ok(())
    }

    /// Waits for something on stderr and takes it in. False at its end, or when nothing came for
    /// `seconds`.
    fn listen_to(&mut self, seconds: i64) -> io::Result<bool> {
        if !waits(&self.stderr, seconds)? {
            return Ok(false);
        }
        self.take_in()
    }

    fn take_in(&mut self) -> io::Result<bool> {
        let mut bytes = [0; 4_096];
        let n = self.stderr.read(&mut bytes)?;
        let room = STDERR_BYTES_MAX - self.said.len();
        self.said.extend_from_slice(&bytes[..n.min(room)]);
        Ok(n > 0)
    }
}

/// Whether there is something to read, or an end, within `seconds`.
fn waits(pipe: &impl AsFd, seconds: i64) -> io::Result<bool> {
    let timeout = Timespec { tv_sec: seconds, tv_nsec: 0 };
    loop {
        match poll(&mut [PollFd::new(pipe, PollFlags::IN)], Some(&timeout)) {
            Ok(ready) => return Ok(ready > 0),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

impl Drop for ServerChild {
    fn drop(&mut self) {
        if !self.stopped {
            // It may be gone already, which is what we want.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The address in `listening tcp 127.0.0.1:40000 chat`, once that line is whole.
fn listening(said: &[u8], transport: &str) -> Option<SocketAddr> {
    let said = std::str::from_utf8(said).ok()?;
    let whole = &said[..said.rfind('\n')?];
    let line = whole.lines().find_map(|line| {
        line.strip_prefix("listening ")?.strip_prefix(transport)?.strip_prefix(' ')
    })?;
    line.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_from_a_whole_line_only() {
        let said = b"reactor 0.1.0 on host, pid 7\nlistening tcp 127.0.0.1:40000 chat\nlist";
        let end = said.len() - 5;
        for len in 0..=said.len() {
            let expected = (len > end).then(|| "127.0.0.1:40000".parse().unwrap());
            assert_eq!(listening(&said[..len], "tcp"), expected, "{len} bytes");
        }
    }
}
