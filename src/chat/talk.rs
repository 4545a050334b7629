//! What peers ask for: a name, a room, a word in private. Each answer goes to who asked alone.

use super::names::Name;
use super::peer::{ANSWERS_BYTES_MAX, Peer};
use super::words::{self, Order, Parsed, Speaker, Target};
use super::{Chat, Said};
use crate::count::Count;
use crate::handler::{Action, CloseReason, PeerId};
use crate::visible::visible;
use std::fmt::{Arguments, Write as _};
use std::time::{Duration, Instant};

/// How long a peer that said `/quit` has to take what it is still owed.
const QUIT_FLUSH: Duration = Duration::from_secs(5);

/// Bytes of names in one answer: a screen's worth of a crowd, a quarter of an outbox.
const LIST_BYTES_MAX: usize = 1_000;

/// Bytes that others' private messages may take in an outbox: half of it, so that they alone can
/// never keep its owner from being read.
const PRIVATE_BYTES_MAX: usize = ANSWERS_BYTES_MAX / 2;

impl Chat {
    /// A line of a peer in chat: words, or an order that begins with `/`.
    pub fn hear(&mut self, peer: PeerId, text: &[u8], now: Instant) -> Said {
        if text.first() != Some(&b'/') {
            return self.say(peer, text, now);
        }
        if self.get(peer).is_none_or(|state| !state.is_member()) {
            return Said::Yes; // it has said /quit
        }
        if self.get(peer).is_some_and(|state| state.answers() >= ANSWERS_BYTES_MAX) {
            return Said::Hold;
        }
        match words::parse(&String::from_utf8_lossy(text), Speaker::Peer) {
            Parsed::Said(text) => return self.say(peer, text.as_bytes(), now),
            Parsed::Order(order) => {
                self.obey(peer, &order);
            }
            Parsed::Wrong(hint) => self.tell(peer, format_args!("{hint}")),
        }
        Said::Yes
    }

    /// An order that peers and the operator have in common; others do nothing here. False where it
    /// was not obeyed, which its answer says.
    pub fn obey(&mut self, peer: PeerId, order: &Order<'_>) -> bool {
        let muted = self.get(peer).is_some_and(|state| state.muted);
        match order {
            Order::Nick(_) if muted => self.deny(peer, format_args!("you are muted")),
            Order::Nick(name) => self.rename(peer, name),
            Order::Join(room) => self.go_to(peer, room),
            Order::Rooms => self.list_rooms(peer),
            Order::Who(room) => self.list_members(peer, room.as_deref()),
            Order::Msg { to, text } => self.whisper(peer, to, text),
            Order::Ping(word) => {
                let word = visible(word.unwrap_or("")).into_owned();
                self.grant(
                    peer,
                    format_args!("pong{}{word}", if word.is_empty() { "" } else { ": " }),
                )
            }
            Order::Help => {
                let operator = self.is_operator(peer);
                let speaker = if operator { Speaker::Operator } else { Speaker::Peer };
                for line in words::help(speaker) {
                    self.tell(peer, format_args!("{line}"));
                }
                true
            }
            Order::Quit(reason) if !self.is_operator(peer) => {
                let reason = reason.filter(|_| !muted).map(|reason| visible(reason).into_owned());
                self.leave(peer, reason.as_deref());
                let (why, within) = (CloseReason::Left, QUIT_FLUSH);
                self.actions.push_back(Action::Finish { peer, why, within });
                true
            }
            _ => false,
        }
    }

    /// The answer to an order that was obeyed.
    fn grant(&mut self, peer: PeerId, answer: Arguments<'_>) -> bool {
        self.tell(peer, answer);
        true
    }

    /// The answer to one that was not.
    fn deny(&mut self, peer: PeerId, answer: Arguments<'_>) -> bool {
        self.tell(peer, answer);
        false
    }

    fn rename(&mut self, peer: PeerId, name: &Name) -> bool {
        let before = self.name_of(peer);
        let Some(room) = self.get(peer).filter(|state| state.is_member()).map(|p| p.room) else {
            return false;
        };
        if before == name.written() {
            return self.grant(peer, format_args!("you are {name}"));
        }
        if self.is_operator(peer) || !self.names.take(name, peer) {
            return self.deny(peer, format_args!("{name} is taken"));
        }
        self.tell(peer, format_args!("you are {name}"));
        self.notice_of(room, format_args!("{before} is now {name}"));
        true
    }

    fn go_to(&mut self, peer: PeerId, name: &str) -> bool {
        if !self.is_chat() {
            return self.deny(peer, format_args!("only the chat has rooms"));
        }
        let Some(here) = self.get(peer).filter(|state| state.is_member()).map(|p| p.room) else {
            return self.deny(peer, format_args!("you are in no room, and stay in none"));
        };
        let to = match self.rooms.find(name) {
            Some(room) if room == here => {
                return self.grant(peer, format_args!("you are in {name} already"));
            }
            Some(room) => room,
            None if self.rooms.len() >= usize::from(self.rules.rooms_max) => {
                return self.deny(peer, format_args!("there are enough rooms: /rooms lists them"));
            }
            None => self.rooms.make(name),
        };
        self.change_room(peer, to);
        let members = self.rooms.get(to).members.len();
        self.grant(peer, format_args!("you are in {name}, {}", Count(members, "member")))
    }

    fn list_rooms(&mut self, peer: PeerId) -> bool {
        let rooms = self.rooms.iter();
        let list = listed(rooms.map(|room| format!("{} {}", room.name, room.members.len())));
        self.grant(peer, format_args!("rooms: {list}"))
    }

    fn list_members(&mut self, peer: PeerId, room: Option<&str>) -> bool {
        let index = match room {
            None => self.get(peer).map(|state| state.room),
            Some(name) => self.rooms.find(name),
        };
        let Some(index) = index else {
            let room = room.unwrap_or_default();
            return self.deny(peer, format_args!("there is no {room}: /rooms lists them"));
        };
        let room = self.rooms.get(index);
        let (name, members) = (room.name.clone(), Count(room.members.len(), "member"));
        let ids = self.members_of(peer, Some(&name));
        let list = listed(ids.iter().map(|&id| self.name_of(id)));
        let colon = if list.is_empty() { "" } else { ": " };
        self.grant(peer, format_args!("{name}, {members}{colon}{list}"))
    }

    fn whisper(&mut self, peer: PeerId, to: &Name, text: &str) -> bool {
        if !self.is_chat() {
            return self.deny(peer, format_args!("only the chat has private messages"));
        }
        let text = visible(text);
        let Some(other) = self.find(to) else {
            return self.deny(peer, format_args!("nobody is called {to}"));
        };
        let (from, to) = (self.name_of(peer), self.name_of(other));
        if text.len() > PRIVATE_BYTES_MAX - LIST_BYTES_MAX {
            let most = PRIVATE_BYTES_MAX - LIST_BYTES_MAX;
            return self.deny(peer, format_args!("not delivered: at most {most} bytes in private"));
        }
        let waiting = self.get(other).map_or(0, Peer::answers);
        if self.get(peer).is_some_and(|state| state.muted) {
            return self.deny(peer, format_args!("you are muted"));
        }
        if waiting + text.len() + from.len() > PRIVATE_BYTES_MAX {
            self.counts.undelivered += 1;
            return self.deny(peer, format_args!("not delivered: {to} reads too slowly"));
        }
        self.answer(other, format_args!("[{from}] {text}"));
        self.answer(peer, format_args!("[to {to}] {text}"));
        true
    }

    /// Who is called so: a chosen name, `guestN`, or `operator`.
    fn find(&self, name: &Name) -> Option<PeerId> {
        if name.folded() == "operator" {
            return self.console;
        }
        let serial = name.folded().strip_prefix("guest").and_then(|n| n.parse().ok());
        let Some(serial) = serial else { return self.names.find(name) };
        let guest = |&peer: &PeerId| self.names.name_of(peer).is_none();
        self.find_serial(serial).filter(guest)
    }

    /// The peer that a name or `#serial` means.
    pub fn find_target(&self, target: &Target) -> Option<PeerId> {
        match target {
            Target::Name(name) => self.find(name),
            Target::Serial(serial) => self.find_serial(*serial),
        }
    }

    /// One look at each peer: asked for by people, not by the loop.
    fn find_serial(&self, serial: u64) -> Option<PeerId> {
        let there = |state: &Option<Peer>| {
            state.as_ref().is_some_and(|state| state.serial == serial && state.is_member())
        };
        let slot = self.peers.iter().position(there)?;
        Some(PeerId { serial, slot: slot as u32 })
    }

    /// The peer of a slot.
    pub fn id_of(&self, slot: u32) -> Option<PeerId> {
        let state = self.peers.get(slot as usize)?.as_ref()?;
        Some(PeerId { serial: state.serial, slot })
    }
}

/// `a, b, c` as far as [`LIST_BYTES_MAX`] goes, then how many more there are.
fn listed(names: impl Iterator<Item = String>) -> String {
    let mut list = String::new();
    let mut more = 0;
    for name in names {
        if list.len() + name.len() > LIST_BYTES_MAX {
            more += 1;
        } else {
            let comma = if list.is_empty() { "" } else { ", " };
            let _ = write!(list, "{comma}{name}");
        }
    }
    if more > 0 {
        let _ = write!(list, " and {more} more");
    }
    list
}
