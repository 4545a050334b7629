//! The server that the bench starts for itself: a child of this same program, and the bench's to
//! end on every path. What must not be here: peers, measuring.
//!
//! All waiting is poll(2) on the child's stderr: its first lines say where it listens, and its end
//! of file is the child's end. It is never blocked on it: `serve` writes its log without waiting
//! and drops what a full pipe does not take.

use crate::wire::Protocol;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{self, ErrorKind, Read};
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, Command, Stdio};

/// How long each of the child's first words may take, in seconds. It binds two sockets.
const START_S: i64 = 5;

/// How long it may take to stop, in seconds: `serve` gives its peers five.
const STOP_S: i64 = 8;

/// What is read of its stderr at most: the pipe's size, pipe(7).
const STDERR_BYTES_MAX: usize = 64 * 1024;

/// Its last words that are passed on at most, in lines.
const LAST_LINES_MAX: usize = 10;

/// A running `reactor serve`. Dropped, it is killed.
pub(super) struct ServerChild {
    child: Child,
    stderr: ChildStderr,
    /// What it said on stderr.
    said: Vec<u8>,
    stopped: bool,
    /// Where it listens.
    pub(super) tcp: SocketAddr,
}

/// The child's command line behind the program's name.
pub(super) fn flags(protocol: Protocol) -> Vec<&'static str> {
    let mut flags = vec!["serve", "--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0"];
    flags.extend(["--console", "commands", "--history", "0", "--protocol", protocol.word()]);
    flags
}

impl ServerChild {
    /// Starts it and waits until it listens.
    pub(super) fn start(protocol: Protocol) -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(flags(protocol))
            .env_remove("RUST_LOG") // a log in the measured process would be measured
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = child.stderr.take().expect("stderr is piped, four lines above");
        let tcp = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = ServerChild { child, stderr, said: Vec::new(), stopped: false, tcp };
        while server.tcp.port() == 0 {
            if !server.listen_to(START_S)? {
                let said = String::from_utf8_lossy(&server.said).trim().replace('\n', "; ");
                return Err(io::Error::other(format!("it does not listen; it says: {said}")));
            }
            if let Some(tcp) = listening(&server.said) {
                server.tcp = tcp;
            }
        }
        server.said.clear();
        Ok(server)
    }

    /// The process id.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
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
    /// `seconds`, or when there was too much of it.
    fn listen_to(&mut self, seconds: i64) -> io::Result<bool> {
        let timeout = Timespec { tv_sec: seconds, tv_nsec: 0 };
        let mut fds = [PollFd::new(&self.stderr, PollFlags::IN)];
        match poll(&mut fds, Some(&timeout)) {
            Ok(0) => return Ok(false),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(true),
            Err(error) => return Err(error.into()),
        }
        let mut bytes = [0; 4_096];
        let n = self.stderr.read(&mut bytes)?;
        self.said.extend_from_slice(&bytes[..n]);
        Ok(n > 0 && self.said.len() < STDERR_BYTES_MAX)
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
fn listening(said: &[u8]) -> Option<SocketAddr> {
    let said = std::str::from_utf8(said).ok()?;
    let whole = &said[..said.rfind('\n')?];
    let line = whole.lines().find_map(|line| line.strip_prefix("listening tcp "))?;
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
            assert_eq!(listening(&said[..len]), expected, "{len} bytes");
        }
    }
}
