//! What the operator may do and ask beside what peers may: speak everywhere, mute, look at who lags,
//! change limits.

use super::rooms::RoomIndex;
use super::{Chat, Said, line_len_limit};
use crate::count::Count;
use crate::handler::PeerId;
use std::cmp::Reverse;
use std::iter;
use std::time::Instant;

/// Talkers that are counted for `/top`, so that who spoke once costs no more than who never did.
/// Where they are more, the half of them that said most is remembered.
const TALKERS_MAX: usize = 1_024;

impl Chat {
    /// The operator's words to every room. Returns the rooms that are too full to take them.
    pub fn say_everywhere(&mut self, peer: PeerId, text: &[u8], now: Instant) -> Vec<String> {
        let mut full = Vec::new();
        for room in self.rooms.indexes() {
            if self.say_in(room, peer, iter::once(text), now) != Said::Yes {
                full.push(self.rooms.get(room).name.to_string());
            }
        }
        full
    }

    /// How many rooms there are.
    pub fn rooms_count(&self) -> usize {
        self.rooms.len()
    }

    /// The name of the room that a peer is in.
    pub fn room_of(&self, peer: PeerId) -> Option<String> {
        self.get(peer).map(|state| self.rooms.get(state.room).name.to_string())
    }

    /// Who is in a room, or in that of `peer`.
    pub fn members_of(&self, peer: PeerId, room: Option<&str>) -> Vec<PeerId> {
        let index = match room {
            None => self.get(peer).map(|state| state.room),
            Some(name) => self.rooms.find(name),
        };
        let members = index.map(|index| &self.rooms.get(index).members[..]).unwrap_or_default();
        members.iter().filter_map(|&slot| self.id_of(slot)).collect()
    }

    /// Mutes a peer, or lets it speak again; says whether it is muted now.
    pub fn mute(&mut self, peer: PeerId) -> bool {
        let Some(state) = self.get_mut(peer) else { return false };
        state.muted = !state.muted;
        state.muted
    }

    /// How many members are behind their room's log, and by how many messages at most.
    pub fn lag(&self) -> (usize, u32) {
        let behind: Vec<u32> = self.members().map(|(_, lag)| lag).filter(|&lag| lag > 0).collect();
        (behind.len(), behind.into_iter().max().unwrap_or(0))
    }

    /// The members that are furthest behind, and those that spoke most since this was asked last.
    pub fn top(&mut self, most: usize, now: Instant) -> Vec<String> {
        let since = match self.top_since.replace(now) {
            Some(before) => format!("in {} s", now.saturating_duration_since(before).as_secs()),
            None => "since the start".to_owned(),
        };
        let mut lines = Vec::new();
        let mut behind: Vec<(u32, PeerId)> =
            self.members().map(|(peer, lag)| (lag, peer)).filter(|&(lag, _)| lag > 0).collect();
        behind.sort_unstable_by(|a, b| b.cmp(a));
        for &(lag, peer) in behind.iter().take(most) {
            let lag = Count(lag, "message");
            lines.push(format!("{} {peer} is {lag} behind", self.name_of(peer)));
        }
        self.settle_spoke();
        let mut talkers: Vec<(u64, PeerId)> =
            std::mem::take(&mut self.spoke).into_iter().map(|(peer, said)| (said, peer)).collect();
        talkers.sort_unstable_by(|a, b| b.cmp(a));
        for &(said, peer) in talkers.iter().filter(|(_, peer)| self.get(*peer).is_some()).take(most)
        {
            let said = Count(said, "message");
            lines.push(format!("{} {peer} said {said} {since}", self.name_of(peer)));
        }
        if lines.is_empty() {
            lines.push("nobody is behind, nobody spoke".to_owned());
        }
        lines
    }

    /// So many more messages of this peer's, for `/top`.
    pub(super) fn note_spoke(&mut self, peer: PeerId, messages: u64) {
        if self.speaking.0 != peer {
            self.settle_spoke();
            self.speaking.0 = peer;
        }
        self.speaking.1 += messages;
    }

    /// Puts the last speaker's share to the others'.
    pub(super) fn settle_spoke(&mut self) {
        let (peer, said) = (self.speaking.0, std::mem::take(&mut self.speaking.1));
        if said == 0 {
            return;
        }
        *self.spoke.entry(peer).or_default() += said;
        if self.spoke.len() > TALKERS_MAX {
            let mut talkers: Vec<(PeerId, u64)> =
                std::mem::take(&mut self.spoke).into_iter().collect();
            talkers.select_nth_unstable_by_key(TALKERS_MAX / 2, |&(_, said)| Reverse(said));
            self.spoke = talkers.into_iter().take(TALKERS_MAX / 2).collect();
        }
    }

    /// The members and how far each is behind.
    fn members(&self) -> impl Iterator<Item = (PeerId, u32)> {
        let there = self.peers.iter().enumerate().filter_map(|(slot, state)| {
            let state = state.as_ref().filter(|state| state.is_member())?;
            let log = &self.rooms.get(state.room).log;
            let peer = PeerId { serial: state.serial, slot: slot as u32 };
            Some((peer, state.cursor.behind(log)))
        });
        there.filter(|&(peer, _)| self.console != Some(peer))
    }

    /// The limits as they are now, one line each: a name of `/limits` and its value.
    pub fn limits(&self) -> Vec<String> {
        let rules = &self.rules;
        vec![
            format!("line-max {}", rules.line_len_max),
            format!("log-bytes {}", rules.log_bytes),
            format!("rooms-max {}", rules.rooms_max),
            format!("history {}", rules.history),
            format!("stall-timeout {} s", rules.stall_timeout.as_secs_f64()),
        ]
    }

    /// Changes a limit from now on. Errors: one line.
    pub fn limit(&mut self, name: &str, value: &str) -> Result<(), String> {
        let count = || value.parse::<usize>().map_err(|_| format!("{name} takes a whole number"));
        match name {
            "line-max" => {
                let limit = line_len_limit(self.rules.log_bytes);
                self.rules.line_len_max = Some(count()?)
                    .filter(|wanted| (1..=limit).contains(wanted))
                    .ok_or_else(|| format!("line-max takes 1 to {limit} bytes"))?;
            }
            "log-bytes" => {
                let least = self.rules.line_len_max;
                self.rules.log_bytes = Some(count()?)
                    .filter(|&wanted| line_len_limit(wanted) >= least)
                    .ok_or_else(|| format!("log-bytes: four lines of {least} bytes must fit"))?;
                self.rooms.resize(self.rules.log_bytes);
            }
            "rooms-max" => {
                let wrong = || format!("rooms-max takes 1 to {}", RoomIndex::MAX);
                let wanted = u16::try_from(count()?).ok().filter(|&wanted| wanted > 0);
                self.rules.rooms_max = wanted.ok_or_else(wrong)?;
            }
            "history" => self.rules.history = count()?,
            _ => return Err(format!("{name} is none of the limits that /limits can change")),
        }
        Ok(())
    }
}
