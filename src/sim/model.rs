//! What a client of the simulated server may hear: the promises of docs/PROTOCOL.md, checked line
//! by line.
//!
//! The model needs no oracle inside the server. Every line names its sender and counts; so a
//! receiver can tell a gap, a double and a damage by itself, and the sum of the gaps must be what
//! the receipts told. The one thing that only the world knows is how much had been said when the
//! receiver was accepted: what is said later must be heard.

use super::remote::RemoteId;
use crate::wire::Protocol;
use std::collections::BTreeMap;
use std::time::Instant;

/// The operator's number among the senders.
pub(super) const OPERATOR: usize = usize::MAX;

/// One client: what it did, and what it heard.
pub(super) struct Client {
    pub(super) remote: RemoteId,
    pub(super) number: usize,
    /// From its greeting (chat), or from its first line there (others).
    pub(super) serial: Option<u64>,
    /// Whole lines that it put on the wire.
    pub(super) said: u64,
    /// It sent its FIN.
    pub(super) ended: bool,
    /// It takes what comes.
    pub(super) reading: bool,
    /// Its socket was full at some time: it may fall behind.
    pub(super) was_blocked: bool,
    /// When it took bytes last; before that, when it dialed.
    pub(super) read_at: Instant,
    /// A limit of the loop has closed it.
    pub(super) thrown: bool,
    /// Received and not a whole line yet.
    rest: Vec<u8>,
    /// By sender: the next line's number.
    next: BTreeMap<usize, u64>,
    /// By sender: how much it had put on its wire when this client was accepted; `None` before.
    floor: Option<BTreeMap<usize, u64>>,
    gaps: u64,
    /// Lines that may have been missed of senders not heard before.
    slack: u64,
    told: u64,
    hints: u64,
    heard: u64,
}

impl Client {
    pub(super) fn new(remote: RemoteId, number: usize, now: Instant) -> Self {
        Client {
            remote,
            number,
            serial: None,
            said: 0,
            ended: false,
            reading: true,
            was_blocked: false,
            read_at: now,
            thrown: false,
            rest: Vec::new(),
            next: BTreeMap::new(),
            floor: None,
            gaps: 0,
            slack: 0,
            told: 0,
            hints: 0,
            heard: 0,
        }
    }

    /// A line of this client, with `filler` bytes to make it longer.
    pub(super) fn line(&mut self, filler: usize) -> Vec<u8> {
        let line = format!("c{} {} {}\n", self.number, self.said, "x".repeat(filler));
        self.said += 1;
        line.into_bytes()
    }

    /// The server has accepted it: what is said from now on must be heard.
    pub(super) fn accepted(&mut self, said: BTreeMap<usize, u64>) {
        self.floor = Some(said);
    }

    pub(super) fn was_accepted(&self) -> bool {
        self.floor.is_some()
    }

    fn floor_of(&self, sender: usize) -> u64 {
        self.floor.as_ref().and_then(|floor| floor.get(&sender).copied()).unwrap_or(0)
    }

    /// Takes in what the socket gave. `said(sender)` is how much each sender has said by now.
    pub(super) fn hear(
        &mut self,
        bytes: &[u8],
        protocol: Protocol,
        said: &BTreeMap<usize, u64>,
    ) -> Result<(), String> {
        self.rest.extend_from_slice(bytes);
        while let Some(end) = self.rest.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = std::str::from_utf8(&line[..end]).map_err(|_| "a damaged line")?;
            match protocol {
                Protocol::Chat => self.hear_chat(line, said)?,
                Protocol::Lines | Protocol::Raw => self.hear_said(line, said)?,
            }
        }
        Ok(())
    }

    fn hear_chat(&mut self, line: &str, said: &BTreeMap<usize, u64>) -> Result<(), String> {
        if let Some(text) = line.strip_prefix("<guest") {
            let (_, text) = text.split_once("> ").ok_or("a damaged prefix")?;
            return self.hear_said(text, said);
        }
        if let Some(text) = line.strip_prefix("<operator> ") {
            return self.hear_said(text, said);
        }
        let notice = line.strip_prefix("* ").ok_or_else(|| format!("a damaged line {line:?}"))?;
        if let Some(serial) = notice.strip_prefix("you are guest") {
            if self.serial.is_some() {
                return Err("greeted twice".into());
            }
            self.serial = Some(serial.parse().map_err(|_| "a damaged greeting")?);
            return Ok(());
        }
        if let Some(missed) = notice.strip_prefix("you missed ") {
            let count = missed.split(' ').next().and_then(|count| count.parse::<u64>().ok());
            self.told += count.filter(|&count| count > 0).ok_or("a damaged receipt")?;
            return match self.was_blocked {
                true => Ok(()),
                false => Err("a receipt for a reader whose socket was never full".into()),
            };
        }
        if notice.starts_with("no newline yet") {
            self.hints += 1;
            return if self.hints == 1 { Ok(()) } else { Err("the hint came twice".into()) };
        }
        let of_somebody = |what| notice.starts_with("guest") && notice.ends_with(what);
        match of_somebody(" joined") || of_somebody(" left") || notice == "the server is stopping" {
            true => Ok(()),
            false => Err(format!("an unknown notice {notice:?}")),
        }
    }

    /// `cN SEQ xxx` or `op SEQ xxx`.
    fn hear_said(&mut self, text: &str, said: &BTreeMap<usize, u64>) -> Result<(), String> {
        let mut words = text.split(' ');
        let sender = match words.next() {
            Some("op") => OPERATOR,
            Some(word) => word
                .strip_prefix('c')
                .and_then(|number| number.parse().ok())
                .ok_or_else(|| format!("a damaged line {text:?}"))?,
            None => return Err("an empty line".into()),
        };
        let number: u64 = words
            .next()
            .and_then(|word| word.parse().ok())
            .ok_or_else(|| format!("a damaged line {text:?}"))?;
        let whole = words.next().is_some_and(|filler| filler.bytes().all(|byte| byte == b'x'));
        if !whole || words.next().is_some() {
            return Err(format!("a damaged line {text:?}"));
        }
        if sender == self.number {
            return Err(format!("its own words {text:?}"));
        }
        if number >= said.get(&sender).copied().unwrap_or(0) {
            return Err(format!("what nobody said: {text:?}"));
        }
        self.heard += 1;
        match self.next.insert(sender, number + 1) {
            Some(next) if number < next => Err(format!("{text:?} again, {next} was due")),
            Some(next) => {
                self.gaps += number - next;
                Ok(())
            }
            None => {
                // What was said before the greeting may or may not be heard; the rest must be.
                let floor = self.floor_of(sender);
                self.gaps += number.saturating_sub(floor);
                self.slack += floor.min(number);
                Ok(())
            }
        }
    }

    /// Whether the receipts fit the gaps, once everything is heard. `said` tells of each sender how
    /// much it said, and whether it is certain that the server took all of it in.
    pub(super) fn check_receipts(
        &mut self,
        said: &BTreeMap<usize, (u64, bool)>,
    ) -> Result<(), String> {
        for (&sender, &(said, certain)) in said {
            if sender == self.number {
                continue;
            }
            let floor = self.floor_of(sender);
            let next = self.next.get(&sender).copied();
            // What was not heard at the end.
            let missing = said.saturating_sub(next.unwrap_or(floor));
            *(if certain { &mut self.gaps } else { &mut self.slack }) += missing;
            if next.is_none() {
                self.slack += floor;
            }
        }
        if self.told < self.gaps || self.told > self.gaps + self.slack {
            let (gaps, slack, told) = (self.gaps, self.slack, self.told);
            return Err(format!("missed {gaps} (and {slack} perhaps), was told of {told}"));
        }
        Ok(())
    }

    /// The start of a line that was never completed.
    pub(super) fn rest(&self) -> &[u8] {
        &self.rest
    }

    /// Lines of others that it heard.
    pub(super) fn heard(&self) -> u64 {
        self.heard
    }

    /// It has missed nothing so far.
    pub(super) fn is_gapless(&self) -> bool {
        self.gaps == 0 && self.told == 0
    }
}
