//! `reactor ctl`: an order for a running server, over its control socket, and the answer. One
//! exchange after the other with one server, and nobody else to be fair to: so it waits in plain
//! blocking calls, each bounded by a time, where everything else here is on the loop.

mod answer;

pub use answer::{Answer, json};

use crate::visible::visible;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// How long the server may take to say something: it answers within a turn, unless it is stopped
/// (SIGSTOP) or its machine is.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Bytes of one answer: a hundred times what the longest one has.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;

/// Bytes of a line of stdin: what a server could take at all.
const LINE_BYTES_MAX: u64 = 1024 * 1024;

/// What is asked, and of whom.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server's `--control`.
    pub control: PathBuf,
    /// One order; none: each line of stdin is one.
    pub order: Option<String>,
    /// An object a line for each answer, for programs.
    pub json: bool,
}

/// Why an order got no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens there.
    #[error("connect unix:{}: {source}{}", visible(&.at.to_string_lossy()), hint(.source))]
    Connect {
        /// The path.
        at: PathBuf,
        /// connect(2)'s error.
        source: io::Error,
    },
    /// The server has gone in the middle.
    #[error("the server ended the connection before its answer")]
    Ended,
    /// It took too long, or the connection broke.
    #[error("{}", exchange(.0))]
    Exchange(io::Error),
    /// It said more than an answer is.
    #[error("the answer is longer than {ANSWER_BYTES_MAX} bytes")]
    TooLong,
    /// An order on stdin is longer than any server takes.
    #[error("stdin: a line is longer than {LINE_BYTES_MAX} bytes")]
    LineTooLong,
    /// stdin cannot be read.
    #[error("stdin: {0}")]
    Stdin(io::Error),
    /// stdout cannot be written to.
    #[error("stdout: {0}")]
    Stdout(io::Error),
}

/// What to try.
fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::NotFound => "; is a server running with --control, and at that path?",
        ErrorKind::ConnectionRefused => "; no server is behind it any more",
        ErrorKind::PermissionDenied => "; only the server's own user may",
        _ => "",
    }
}

fn exchange(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            format!("no answer within {} s", ANSWER_WITHIN.as_secs())
        }
        _ => format!("the exchange with the server: {error}"),
    }
}

/// Asks, and writes the answers to `out`. True where every order was obeyed. A reader of `out` that
/// has enough ends it well, as it does with any pipe.
pub fn run(options: &Options, stdin: impl BufRead, out: impl Write) -> Result<bool, Error> {
    let mut all_obeyed = true;
    match ask_all(options, stdin, out, &mut all_obeyed) {
        Err(Error::Stdout(error)) if error.kind() == ErrorKind::BrokenPipe => {}
        outcome => outcome?,
    }
    Ok(all_obeyed)
}

fn ask_all(
    options: &Options,
    mut stdin: impl BufRead,
    mut out: impl Write,
    all_obeyed: &mut bool,
) -> Result<(), Error> {
    let mut server = Server::connect(&options.control)?;
    let mut tell = |order: &str| -> Result<(), Error> {
        let order = order.trim();
        let answer = server.ask(if options.json { answer::asked_as(order) } else { order })?;
        let text = match options.json {
            true => json(order, &answer),
            false => answer.lines.iter().map(|line| format!("{}\n", visible(line))).collect(),
        };
        *all_obeyed &= answer.obeyed;
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Error::Stdout)
    };
    if let Some(order) = &options.order {
        return tell(order);
    }
    loop {
        let mut line = Vec::new();
        let read = stdin.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
        let read = read.map_err(Error::Stdin)?;
        if read == 0 {
            return Ok(());
        }
        if read as u64 == LINE_BYTES_MAX && !line.ends_with(b"\n") {
            return Err(Error::LineTooLong);
        }
        let line = String::from_utf8_lossy(&line);
        if !line.trim().is_empty() {
            tell(&line)?;
        }
    }
}

/// A connection to the control socket.
struct Server(BufReader<UnixStream>);

impl Server {
    fn connect(at: &PathBuf) -> Result<Self, Error> {
        let connected = UnixStream::connect(at).and_then(|stream| {
            stream.set_read_timeout(Some(ANSWER_WITHIN))?;
            stream.set_write_timeout(Some(ANSWER_WITHIN))?;
            Ok(stream)
        });
        let stream = connected.map_err(|source| Error::Connect { at: at.clone(), source })?;
        Ok(Server(BufReader::new(stream)))
    }

    /// One order without an ending, and its answer.
    fn ask(&mut self, order: &str) -> Result<Answer, Error> {
        let gone = |error: io::Error| match error.kind() {
            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => Error::Ended,
            _ => Error::Exchange(error),
        };
        // Where it has been turned away its reason stands there to be read, whatever a write says.
        let written = self.0.get_mut().write_all(format!("{order}\n").as_bytes());
        let mut lines = Vec::new();
        let mut left = ANSWER_BYTES_MAX;
        loop {
            let mut line = Vec::new();
            let read = self.0.by_ref().take(left).read_until(b'\n', &mut line).map_err(gone)?;
            left -= read as u64;
            if !line.ends_with(b"\n") {
                written.map_err(gone)?;
                return Err(if left == 0 { Error::TooLong } else { Error::Ended });
            }
            let line = String::from_utf8_lossy(&line);
            match Answer::end(line.trim_end_matches(['\n', '\r'])) {
                Some(obeyed) => return Ok(Answer { lines, obeyed }),
                None => lines.push(answer::text(&line).to_owned()),
            }
        }
    }
}
