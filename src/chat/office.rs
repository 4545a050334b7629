//! What the operator may do and ask beside what peers may: speak everywhere, mute, look at who lags,
//! change limits.

use super::{Chat, Said, line_len_limit, peer};
use crate::handler::PeerId;
use std::time::Instant;

impl Chat {
    /// The operator's words to every room. False where one is full: to be said again, in all.
    pub fn say_everywhere(&mut self, peer: PeerId, text: &[u8], now: Instant) -> bool {
        let rooms = self.rooms.indexes();
        if rooms.iter().any(|&room| self.rooms.get(room).is_full()) {
            return false;
        }
        for room in rooms {
            // A room without space for the operator loses this like any notice.
            let taken = self.say_in(room, peer, text, now) == Said::Yes;
            self.counts.notices_lost += u64::from(!taken);
        }
        true
    }

    /// Mutes a peer, or lets it speak again; says whether it is muted now.
    pub fn mute(&mut self, peer: PeerId) -> bool {
        let Some(state) = self.get_mut(peer) else { return false };
        let outbox = state.outbox.get_or_insert_default();
        outbox.muted = !outbox.muted;
        outbox.muted
    }

    /// How many members are behind their room's log, and by how many messages at most.
    pub fn lag(&self) -> (usize, u32) {
        let behind: Vec<u32> = self.members().map(|(_, lag)| lag).filter(|&lag| lag > 0).collect();
        (behind.len(), behind.into_iter().max().unwrap_or(0))
    }

    /// The members that are furthest behind, and those that spoke most since this was asked last.
    pub fn top(&mut self, most: usize, now: Instant) -> Vec<String> {
        let seconds = now.saturating_duration_since(*self.top_since.get_or_insert(now)).as_secs();
        self.top_since = Some(now);
        let mut lines = Vec::new();
        let mut behind: Vec<(u32, PeerId)> =
            self.members().map(|(peer, lag)| (lag, peer)).filter(|&(lag, _)| lag > 0).collect();
        behind.sort_unstable_by(|a, b| b.cmp(a));
        for &(lag, peer) in behind.iter().take(most) {
            let lag = peer::Messages(u64::from(lag));
            lines.push(format!("{} {peer} is {lag} behind", self.name_of(peer)));
        }
        let mut talkers: Vec<(u64, PeerId)> =
            std::mem::take(&mut self.spoke).into_iter().map(|(peer, said)| (said, peer)).collect();
        talkers.sort_unstable_by(|a, b| b.cmp(a));
        for &(said, peer) in talkers.iter().filter(|(_, peer)| self.get(*peer).is_some()).take(most)
        {
            let said = peer::Messages(said);
            lines.push(format!("{} {peer} said {said} in {seconds} s", self.name_of(peer)));
        }
        if lines.is_empty() {
            lines.push("nobody is behind, nobody spoke".to_owned());
        }
        lines
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
            format!("slow {}", rules.slow.word()),
        ]
    }

    /// Changes a limit from now on. Errors: one line.
    pub fn limit(&mut self, name: &str, value: &str) -> Result<(), String> {
        let count = || value.parse::<usize>().map_err(|_| format!("{name} takes a whole number"));
        match name {
            "line-max" => {
                let limit = line_len_limit(self.rules.log_bytes);
                let wanted = count()?;
                if !(1..=limit).contains(&wanted) {
                    return Err(format!("line-max takes 1 to {limit} bytes"));
                }
                self.rules.line_len_max = wanted;
            }
            "rooms-max" => self.rules.rooms_max = count()?.max(1),
            "history" => self.rules.history = count()?,
            "log-bytes" | "stall-timeout" | "slow" => {
                return Err(format!("{name} is set when the server starts"));
            }
            _ => return Err(format!("no limit is called {name}")),
        }
        Ok(())
    }
}
