//! What a client of the simulated server may hear: the promises of docs/PROTOCOL.md, checked line
//! by line.
//!
//! The model needs no oracle inside the server. Every line names its sender and counts; so a
//! receiver can tell a gap, a double and a damage by itself, and the sum of the gaps must be what
//! the receipts told. The one thing that only the world knows is how much had been said when the
//! receiver was accepted: what is said later must be heard.

use super::remote::RemoteId;
use crate::serve::Slow;
use crate::wire::Protocol;
use std::collections::BTreeMap;
use std::time::Instant;

/// Who said it and where: a sender counts its lines apart in each room.
pub(super) type Voice = (usize, usize);

/// How much each voice has put on its wire.
pub(super) type SaidBy = BTreeMap<Voice, u64>;

/// The room in which everybody starts.
pub(super) const LOBBY: usize = 0;

/// No room: a client has left one, and has not heard yet that it is in the next.
const NOWHERE: usize = usize::MAX;

/// The operator's number among the senders.
pub(super) const OPERATOR: usize = usize::MAX;

/// One client: what it did, and what it heard.
pub(super) struct Client {
    pub(super) remote: RemoteId,
    pub(super) number: usize,
    /// From its greeting (chat).
    pub(super) serial: Option<u64>,
    /// Whole lines that it put on the wire, by room.
    pub(super) said: BTreeMap<usize, u64>,
    /// The room that its next line will be said in.
    pub(super) speaks_in: usize,
    /// It sent its FIN.
    pub(super) ended: bool,
    /// It takes what comes.
    pub(super) reading: bool,
    /// Its socket was full at some time: it may fall behind.
    pub(super) was_blocked: bool,
    /// The operator was told to kick it.
    pub(super) kicked: bool,
    /// When it took bytes last; before that, when it dialed.
    pub(super) read_at: Instant,
    /// A limit of the loop has closed it.
    pub(super) thrown: bool,
    /// Received and not a whole line yet.
    rest: Vec<u8>,
    stay: Stay,
    was_accepted: bool,
    greeted: bool,
    hints: u64,
    heard: u64,
}

/// What it heard in the room that it is in.
#[derive(Default)]
struct Stay {
    room: usize,
    /// By sender: the next line's number.
    next: BTreeMap<usize, u64>,
    /// By sender: how much it had said here when the stay began, for those not heard yet.
    floor: BTreeMap<usize, u64>,
    gaps: u64,
    /// Lines that may have been missed of senders not heard before.
    slack: u64,
    told: u64,
}

impl Client {
    pub(super) fn new(remote: RemoteId, number: usize, now: Instant) -> Self {
        Client {
            remote,
            number,
            serial: None,
            said: BTreeMap::new(),
            speaks_in: LOBBY,
            ended: false,
            reading: true,
            was_blocked: false,
            kicked: false,
            read_at: now,
            thrown: false,
            rest: Vec::new(),
            stay: Stay::default(),
            was_accepted: false,
            greeted: false,
            hints: 0,
            heard: 0,
        }
    }

    /// A line of this client, with `filler` bytes to make it longer.
    pub(super) fn line(&mut self, filler: usize) -> Vec<u8> {
        let said = self.said.entry(self.speaks_in).or_default();
        let line = format!("c{} r{} {said} {}\n", self.number, self.speaks_in, "x".repeat(filler));
        *said += 1;
        line.into_bytes()
    }

    /// The last line did not go onto the wire whole.
    pub(super) fn unsay(&mut self) {
        *self.said.entry(self.speaks_in).or_default() -= 1;
    }

    /// The server has accepted it: what is said from now on must be heard.
    pub(super) fn accepted(&mut self, said: &SaidBy) {
        self.was_accepted = true;
        self.begin_stay(LOBBY, said);
    }

    pub(super) fn was_accepted(&self) -> bool {
        self.was_accepted
    }

    fn begin_stay(&mut self, room: usize, said: &SaidBy) {
        let here = said.iter().filter(|((_, place), _)| *place == room);
        let floor = here.map(|(&(sender, _), &said)| (sender, said)).collect();
        self.stay = Stay { room, floor, ..Stay::default() };
    }

    fn floor_of(&self, sender: usize) -> u64 {
        self.stay.floor.get(&sender).copied().unwrap_or(0)
    }

    /// Takes in what the socket gave. `said` is how much each voice has said by now.
    pub(super) fn hear(
        &mut self,
        bytes: &[u8],
        (protocol, slow): (Protocol, Slow),
        said: &SaidBy,
    ) -> Result<(), String> {
        self.rest.extend_from_slice(bytes);
        while let Some(end) = self.rest.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = std::str::from_utf8(&line[..end]).map_err(|_| "a damaged line")?;
            match protocol {
                Protocol::Chat => self.hear_chat(line, slow, said)?,
                Protocol::Lines | Protocol::Raw => self.hear_said(line, said)?,
            }
        }
        Ok(())
    }

    fn hear_chat(&mut self, line: &str, slow: Slow, said: &SaidBy) -> Result<(), String> {
        if let Some(text) = line.strip_prefix('<') {
            let (_, text) = text.split_once("> ").ok_or("a damaged prefix")?;
            return self.hear_said(text, said);
        }
        if line.starts_with('[') {
            let whole = line.contains("] private ") && line.ends_with(" word");
            return if whole { Ok(()) } else { Err(format!("a damaged private line {line:?}")) };
        }
        let notice = line.strip_prefix("* ").ok_or_else(|| format!("a damaged line {line:?}"))?;
        if let Some(missed) = notice.strip_prefix("you missed ") {
            let count = missed.split(' ').next().and_then(|count| count.parse::<u64>().ok());
            self.stay.told += count.filter(|&count| count > 0).ok_or("a damaged receipt")?;
            if notice.contains(": you left #") {
                return self.end_stay();
            }
            return match (self.was_blocked, slow) {
                (true, Slow::Skip) => Ok(()),
                (false, _) => Err("a receipt for a reader whose socket was never full".into()),
                (_, Slow::Disconnect | Slow::Pause) => {
                    Err("a receipt where nothing is skipped".into())
                }
            };
        }
        let entered = notice.strip_prefix("you are in #").filter(|n| !n.ends_with(" already"));
        if let Some(room) = entered {
            let room = room.split_once(',').map_or(room, |(room, _)| room);
            let room = if room == "lobby" { Some(LOBBY) } else { room[1..].parse().ok() };
            self.begin_stay(room.ok_or("a damaged room")?, said);
            return Ok(());
        }
        if let Some(serial) = notice.strip_prefix("you are guest") {
            self.serial = Some(serial.parse().map_err(|_| "a damaged greeting")?);
            let again = std::mem::replace(&mut self.greeted, true);
            return if again { Err("greeted twice".into()) } else { Ok(()) };
        }
        if notice.starts_with("no newline yet") {
            self.hints += 1;
            return if self.hints == 1 { Ok(()) } else { Err("the hint came twice".into()) };
        }
        let known = notice.ends_with(" joined")
            || notice.ends_with(" left")
            || notice.contains(" is now n")
            || [
                "you are n",
                "pong",
                "rooms: #",
                "#",
                "not delivered: ",
                "nobody is called ",
                "slow down: ",
            ]
            .iter()
            .any(|start| notice.starts_with(start))
            || [
                "the server is stopping",
                "kicked: out",
                "closed: reading too slowly",
                "closed: flooding",
            ]
            .contains(&notice)
            || notice.ends_with(" already");
        if known { Ok(()) } else { Err(format!("an unknown notice {notice:?}")) }
    }

    /// A stay ends by its own wish: what it missed at its end cannot be known, but not less can
    /// have been told than was seen to be missing.
    fn end_stay(&mut self) -> Result<(), String> {
        let between = Stay { room: NOWHERE, ..Stay::default() };
        let Stay { gaps, told, .. } = std::mem::replace(&mut self.stay, between);
        if told < gaps {
            return Err(format!("missed at least {gaps} in a stay, was told of {told}"));
        }
        Ok(())
    }

    /// `cN rR SEQ xxx` or `op r0 SEQ x`.
    fn hear_said(&mut self, text: &str, said: &SaidBy) -> Result<(), String> {
        let mut words = text.split(' ');
        let sender = match words.next() {
            Some("op") => OPERATOR,
            Some(word) => word
                .strip_prefix('c')
                .and_then(|number| number.parse().ok())
                .ok_or_else(|| format!("a damaged line {text:?}"))?,
            None => return Err("an empty line".into()),
        };
        let room: usize = words
            .next()
            .and_then(|word| word.strip_prefix('r')?.parse().ok())
            .ok_or_else(|| format!("a damaged line {text:?}"))?;
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
        if room != self.stay.room {
            return Err(format!("what was said elsewhere: {text:?}, in room {}", self.stay.room));
        }
        if number >= said.get(&(sender, room)).copied().unwrap_or(0) {
            return Err(format!("what nobody said: {text:?}"));
        }
        self.heard += 1;
        match self.stay.next.insert(sender, number + 1) {
            Some(next) if number < next => Err(format!("{text:?} again, {next} was due")),
            Some(next) => {
                self.stay.gaps += number - next;
                Ok(())
            }
            None => {
                // What was said before the greeting may or may not be heard; the rest must be.
                let floor = self.floor_of(sender);
                self.stay.gaps += number.saturating_sub(floor);
                self.stay.slack += floor.min(number);
                Ok(())
            }
        }
    }

    /// Whether the receipts of this stay fit its gaps, once everything is heard. `said` tells of
    /// each voice how much it said, and whether it is certain that the server took all of it in.
    pub(super) fn check_receipts(
        &mut self,
        said: &BTreeMap<Voice, (u64, bool)>,
    ) -> Result<(), String> {
        for (&(sender, room), &(said, certain)) in said {
            if sender == self.number || room != self.stay.room {
                continue;
            }
            let floor = self.floor_of(sender);
            let next = self.stay.next.get(&sender).copied();
            // What was not heard at the end.
            let missing = said.saturating_sub(next.unwrap_or(floor));
            *(if certain { &mut self.stay.gaps } else { &mut self.stay.slack }) += missing;
            if next.is_none() {
                self.stay.slack += floor;
            }
        }
        let Stay { gaps, slack, told, .. } = self.stay;
        if told < gaps || told > gaps + slack {
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
        self.stay.gaps == 0 && self.stay.told == 0
    }
}
