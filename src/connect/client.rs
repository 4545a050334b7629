//! The stream client: a relay between one dialed peer and the console. Which connection that is,
//! and what becomes of it, is `link`'s to say; here the bytes are passed on and the ends decided.

mod calls;

use super::backoff::Backoff;
use super::gather::Gather;
use super::link::{Link, Next};
use super::screen::Screen;
use super::session::{Heard, Session};
use super::transcript::{Mark, Transcript};
use super::turns::Turns;
use super::upstream::Upstream;
use super::{Ended, Eof, Error, Options};
use crate::handler::{Action, CloseReason, PeerId, Taken};
use crate::wire::{self, LINE_LEN_MAX, Lines, Protocol, Refused};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What stdin may be ahead of the link: one read. Then stdin is not read, so that a file of any
/// size takes no more memory than this.
const AHEAD_BYTES: usize = 64 * 1024;

/// How long stdout and the transcript have, after a signal, to take what came before it. A second
/// signal does not wait at all.
const SIGNAL_FLUSH: Duration = Duration::from_millis(500);

/// How long a transcript has at the end: nobody waits for a file that takes nothing.
const LAST_FLUSH: Duration = Duration::from_secs(2);

/// The program of `reactor connect`.
pub(super) struct Client {
    protocol: Protocol,
    eof: Eof,
    link: Link,
    session: Session,
    turns: Turns,
    console: Option<PeerId>,
    console_held: bool,
    link_held: bool,
    refused: Refused,
    /// What stood on stdin without a newline at its end is on its way; it is told with each
    /// `ended`, and there may be two.
    rest_said: bool,
    /// stdin has ended, and what that means has been set going.
    input_over: bool,
    /// On its way to the server.
    up: Upstream,
    screen: Screen,
    transcript: Option<Transcript>,
    said: Gather,
    heard: Gather,
    outcome: Option<Result<Ended, Error>>,
    actions: VecDeque<Action>,
    /// Each of the three at most once.
    dirty: VecDeque<PeerId>,
}

impl Client {
    pub(super) fn new(options: &Options) -> Self {
        let backoff = options.reconnect.map(|again| Backoff::new(again.seed, again.rounds_max));
        let (server, addresses) = (options.server.clone(), options.addresses.clone());
        let mut link = Link::new(server, addresses, options.bind, options.connect_timeout, backoff);
        Client {
            protocol: options.protocol,
            eof: options.eof,
            actions: VecDeque::from([link.dial()]),
            link,
            session: Session::new(options.name.clone(), options.asks_rtt),
            turns: Turns::new(options.turn_timeout),
            console: None,
            console_held: false,
            link_held: false,
            refused: Refused::default(),
            rest_said: false,
            input_over: false,
            up: Upstream::default(),
            screen: Screen::new(options.stdout_is_terminal),
            transcript: None,
            said: Gather::default(),
            heard: Gather::default(),
            outcome: None,
            dirty: VecDeque::new(),
        }
    }

    /// How it went, after the run.
    pub(super) fn outcome(self) -> Result<Ended, Error> {
        self.outcome.unwrap_or(Ok(Ended::Done))
    }

    /// Tells the user something that is not the server's.
    fn tell(&mut self, line: &str) {
        log::warn!("{line}");
        self.record(Mark::Told, line.as_bytes());
    }

    fn record(&mut self, mark: Mark, text: &[u8]) {
        if let Some(transcript) = &mut self.transcript {
            transcript.line(mark, text);
            let peer = transcript.peer;
            self.offer(Some(peer));
        }
    }

    fn offer(&mut self, peer: Option<PeerId>) {
        self.dirty.extend(peer.filter(|peer| !self.dirty.contains(peer)));
    }

    /// The first outcome stands; what is on the screen still goes to stdout.
    fn end(&mut self, outcome: Result<Ended, Error>) {
        if self.outcome.is_none() {
            self.outcome = Some(outcome);
            let link = self.link.peer();
            self.actions.extend(link.map(|link| Action::Close(link, CloseReason::Done)));
            self.end_transcript(LAST_FLUSH);
            self.actions.push_back(Action::Stop { within: None });
        }
    }

    fn end_transcript(&mut self, within: Duration) {
        self.end_lines();
        let peer = self.transcript.as_ref().map(|transcript| transcript.peer);
        let finish = |peer| Action::Finish { peer, why: CloseReason::Done, within };
        self.actions.extend(peer.map(finish));
    }

    /// Both streams are over: what stands there without a newline is a line of the transcript.
    fn end_lines(&mut self) {
        let (mut heard, mut said) = (Vec::new(), Vec::new());
        self.heard.end(|text| heard.extend_from_slice(text.bytes));
        self.said.end(|text| said.extend_from_slice(text.bytes));
        for (mark, text) in [(Mark::Heard, heard), (Mark::Said, said)] {
            if !text.is_empty() {
                self.record(mark, &text);
            }
        }
    }

    fn act_on(&mut self, next: Next) {
        match next {
            Next::Dial(line) => {
                self.tell(&line);
                self.actions.push_back(self.link.dial());
            }
            Next::Wait(line) => self.tell(&line),
            Next::Over(line) => self.end(Err(Error::Link(line))),
        }
    }

    fn link_closed(&mut self, why: CloseReason, now: Instant) {
        if self.outcome.is_some() {
            return; // nothing more is tried
        }
        if self.link.peer().is_none() {
            let next = self.link.dial_failed(why, now);
            return self.act_on(next);
        }
        let ended = matches!(why, CloseReason::Left | CloseReason::Done);
        // Where we have ended, or are not wanted, an end is the end, and a broken link an error.
        let ending = self.input_over && self.eof != Eof::Wait;
        let again = self.link.reconnects() && !ending && !self.session.is_over();
        if ended && !again {
            return self.end(Ok(Ended::Done));
        }
        let why = if ended { "the server ended it".to_owned() } else { why.to_string() };
        if !again {
            return self.end(Err(Error::Link(self.link.broken(&why))));
        }
        let next = self.link.lost(&why, now);
        self.act_on(next);
        self.lost();
    }

    /// What belongs to one connection ends with it.
    fn lost(&mut self) {
        self.end_lines();
        self.session.lost();
        self.turns.ours();
        if self.protocol == Protocol::Raw {
            self.up.clear();
        } else {
            if self.up.lost() {
                self.tell("the line that was being sent is lost");
            }
            self.screen.end_line();
            self.offer(self.console);
        }
    }

    fn free_console(&mut self) {
        if std::mem::take(&mut self.console_held) {
            self.actions.extend(self.console.map(Action::Resume));
        }
    }

    fn hold_console(&mut self) -> bool {
        self.console_held = true;
        true
    }

    /// Bytes of stdin go out as they are, as far as there is room.
    fn relay(&mut self, bytes: &[u8], now: Instant) -> Taken {
        let room = AHEAD_BYTES.saturating_sub(self.up.len());
        let consumed = bytes.len().min(room);
        self.typed(&bytes[..consumed], now);
        let hold = consumed < bytes.len() && self.hold_console();
        Taken { consumed, hold }
    }

    /// What the user typed, or a pipe brought: one line with its newline, or any piece of the
    /// stream. It goes to the server; looked at are whole lines alone.
    fn typed(&mut self, bytes: &[u8], now: Instant) {
        self.up.push(bytes);
        self.offer(self.link.peer());
        if self.protocol == Protocol::Lines && self.transcript.is_none() {
            return;
        }
        let mut said = std::mem::take(&mut self.said);
        said.push(bytes, |text| {
            if text.whole && self.protocol == Protocol::Chat {
                self.session.said(text.bytes, now);
            }
            self.record(Mark::Said, text.bytes);
        });
        self.said = said;
    }

    /// What the server sent, as far as it may be shown now.
    fn show(&mut self, bytes: &[u8], now: Instant) -> usize {
        let taken = self.screen.takes(bytes);
        for piece in bytes[..taken].split_inclusive(|&byte| byte == b'\n') {
            match self.hear(piece, now) {
                Heard::Line => self.screen.show_piece(piece, None),
                Heard::Pong(took) => {
                    let note = format!(" in {:.1} ms", took.as_secs_f64() * 1_000.0);
                    self.screen.show_piece(piece, Some(&note));
                }
                Heard::OwnPong => {
                    let rtt = self.session.rtt().unwrap_or_default();
                    log::info!("round trip {:.1} ms", rtt.as_secs_f64() * 1_000.0);
                }
            }
        }
        taken
    }

    /// Looks at the lines that end in a piece of what the server sent.
    fn hear(&mut self, piece: &[u8], now: Instant) -> Heard {
        let mut last = Heard::Line;
        if self.protocol == Protocol::Lines && self.transcript.is_none() {
            return last;
        }
        let mut heard = std::mem::take(&mut self.heard);
        heard.push(piece, |text| {
            if text.whole && self.protocol == Protocol::Chat {
                last = self.session.heard(text.bytes, now);
            }
            if last != Heard::OwnPong {
                self.record(Mark::Heard, text.bytes);
            }
        });
        self.heard = heard;
        last
    }

    /// In raw a line is a message without its newline, and the next one waits for an answer.
    fn take_turns(&mut self, bytes: &[u8], seen: usize, now: Instant) -> Taken {
        let mut refused = self.refused;
        let mut lines = Lines::skipping(bytes, seen, LINE_LEN_MAX, &mut refused);
        let mut drained = false;
        while self.turns.is_ours() && self.outcome.is_none() {
            match lines.next() {
                Some(Ok(line)) => self.say(wire::text(line), now),
                Some(Err(wire::TooLong)) => {
                    self.tell(&format!(
                        "stdin: line too long: at most {LINE_LEN_MAX} bytes; not sent"
                    ));
                }
                None => {
                    drained = true;
                    break;
                }
            }
        }
        let consumed = lines.consumed();
        self.refused = refused;
        // Where nothing is left, `reads` decides what the next turn may be.
        let hold = !drained && consumed < bytes.len() && self.hold_console();
        Taken { consumed, hold }
    }

    fn say(&mut self, text: &[u8], now: Instant) {
        if text.is_empty() {
            // The tutorial's client ends on an empty message.
            return self.end(Ok(Ended::Done));
        }
        self.up.push(text);
        self.record(Mark::Said, text);
        self.offer(self.link.peer());
        self.turns.theirs(now);
    }

    fn our_turn(&mut self) {
        self.turns.ours();
        self.free_console();
    }

    /// stdin is over and nothing of it waits for its turn: `--eof` says what that means.
    fn act_on_eof(&mut self) {
        let Some(link) = self.link.peer().filter(|_| self.input_over) else { return };
        match self.eof {
            Eof::HalfClose => self.actions.push_back(Action::HalfClose(link)),
            // Not before: a connection that is finishing has no clock for a server that stalls.
            Eof::Exit if self.up.len() == 0 => {
                let (peer, why, within) = (link, CloseReason::Done, LAST_FLUSH);
                self.actions.push_back(Action::Finish { peer, why, within });
            }
            Eof::Exit | Eof::Wait => {}
        }
    }

    /// Asks for the round-trip time, where that is due.
    fn ask_rtt(&mut self, now: Instant) {
        if let Some(line) = self.session.own_ping(now)
            && self.up.push_line(line.as_bytes())
        {
            self.session.asked(now);
            self.offer(self.link.peer());
        }
    }

    fn is_transcript(&self, peer: PeerId) -> bool {
        self.transcript.as_ref().is_some_and(|transcript| transcript.peer == peer)
    }
}

#[cfg(test)]
mod tests;
