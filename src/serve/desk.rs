//! The operator's words beside those that peers have: who is shown the door, what is limited, what
//! is counted. The list of them is in `chat::words`; each is answered on the console alone.

use super::gate::Caller;
use super::gate::sources::CONNECT_RATE_MAX;
use super::server::Server;
use crate::chat::words::{Order, Target};
use crate::handler::{Action, CloseReason, FOR_EVER, PeerId};
use crate::stats::Stats;
use crate::visible::visible;
use crate::wire::Protocol;
use std::time::{Duration, Instant};

/// Peers that `/top` lists, by each of its measures.
const TOP_PEERS: usize = 5;

/// Processes that `/who` lists: a screen.
const PROCESSES_TOLD_MAX: usize = 20;

impl Server {
    /// Does what the operator asks. False where a room is full: it is to be asked again.
    pub(super) fn operate(&mut self, desk: PeerId, order: &Order<'_>, now: Instant) -> bool {
        match order {
            Order::Quit(_) => self.stop("/quit"),
            Order::All(text) => {
                let end = if self.protocol == Protocol::Lines { "\n" } else { "" };
                let text = format!("{text}{end}");
                for room in self.chat.say_everywhere(desk, text.as_bytes(), now) {
                    self.answer(desk, &format!("not said in {room}: its log is full"));
                }
            }
            Order::Kick { whom, reason } => {
                let why = match reason {
                    Some(reason) => format!("kicked: {}", visible(reason)),
                    None => "kicked".to_owned(),
                };
                match self.chat.find_target(whom) {
                    Some(peer) if peer != desk => {
                        let name = self.chat.name_of(peer);
                        self.answer(desk, &format!("{name} is kicked"));
                        self.chat.close(peer, CloseReason::Kicked, format_args!("{why}"));
                    }
                    _ => self.answer(desk, &nobody(whom)),
                }
            }
            Order::Mute(whom) => match self.chat.find_target(whom).filter(|&peer| peer != desk) {
                Some(peer) => {
                    let muted = self.chat.mute(peer);
                    let not = if muted { "" } else { " no longer" };
                    let name = self.chat.name_of(peer);
                    self.answer(desk, &format!("{name} is{not} muted"));
                }
                None => self.answer(desk, &nobody(whom)),
            },
            Order::Ban { prefix, for_ } => match self.gate.bans.add(prefix, *for_, now) {
                Ok(net) => {
                    let peers = self.peers_in(|address| net.contains(&address));
                    self.answer(desk, &format!("{net} is banned, {} closed", peers.len()));
                    for peer in peers {
                        self.chat.close(peer, CloseReason::Banned, format_args!("banned"));
                    }
                }
                Err(error) => self.answer(desk, &error),
            },
            Order::Unban(prefix) => {
                let removed = self.gate.bans.remove(prefix);
                let answer = removed.map(|net| format!("{net} is no longer banned"));
                self.answer(desk, &answer.unwrap_or_else(|error| error));
            }
            Order::Bans => {
                for line in self.gate.bans.lines(now) {
                    self.answer(desk, &line);
                }
            }
            Order::Stats => self.actions.push_back(Action::Report),
            Order::Top => {
                for line in self.chat.top(TOP_PEERS, now) {
                    self.answer(desk, &line);
                }
            }
            Order::Limits(change) => {
                if let Some((name, value)) = change
                    && let Err(error) = self.limit(name, value)
                {
                    return self.answered(desk, &error);
                }
                for line in self.limits() {
                    self.answer(desk, &line);
                }
            }
            Order::Drain => {
                self.draining = true;
                self.actions.push_back(Action::Refuse);
                self.answer(desk, &format!("draining: {} peers are left", self.gate.connections()));
                self.stop_if_drained();
            }
            Order::Who(room) => {
                self.chat.obey(desk, order);
                self.tell_processes(desk, room.as_deref());
            }
            shared => self.chat.obey(desk, shared),
        }
        true
    }

    /// Of the members of a room, by default the operator's, those that came by a Unix socket: which
    /// process each was then.
    fn tell_processes(&mut self, desk: PeerId, room: Option<&str>) {
        let mut processes = Vec::new();
        for peer in self.chat.members_of(desk, room) {
            if let Some(Caller::Unix(who)) = self.gate.caller_of(peer) {
                processes.push(format!("{} {peer}: {who}", self.chat.name_of(peer)));
            }
        }
        for line in processes.iter().take(PROCESSES_TOLD_MAX) {
            self.answer(desk, line);
        }
        if let Some(more) = processes.len().checked_sub(PROCESSES_TOLD_MAX).filter(|&more| more > 0)
        {
            self.answer(desk, &format!("and {more} more by a Unix socket"));
        }
    }

    /// No new peers, and the last one has left.
    pub(super) fn stop_if_drained(&mut self) {
        if self.draining && self.gate.connections() == 0 && !self.stopping {
            self.stop("drained");
        }
    }

    /// What `/stats` shows.
    pub(super) fn show(&mut self, stats: &Stats) {
        let Some(desk) = self.console.as_ref().map(|console| console.peer) else { return };
        let (slow, lag) = self.chat.lag();
        let counts = self.chat.counts;
        let closes: Vec<String> =
            self.closes.iter().map(|(why, count)| format!("{why} {count}")).collect();
        for line in [
            format!(
                "peers {} (accepted {}, closed {}), turns {}, longest turn {} us, longest wait {} turns",
                self.gate.connections(),
                stats.accepted,
                stats.closed,
                stats.turns,
                stats.turn_us_max,
                stats.wait_turns_max
            ),
            format!(
                "messages said {}, delivered {}, missed {}, private not delivered {}, notices lost {}",
                counts.said,
                counts.delivered,
                counts.missed,
                counts.undelivered,
                counts.notices_lost
            ),
            format!(
                "bytes in {}, out {}; receives {}, sends {}, blocked {}",
                stats.bytes_in, stats.bytes_out, stats.recvs, stats.sends, stats.sends_blocked
            ),
            format!(
                "behind: {slow} peers, at most {lag} messages; throttled {}",
                self.bounds.flood.throttled
            ),
            stats.datagrams(),
            self.tell_datagrams(),
            format!(
                "closes: {}",
                if closes.is_empty() { "none".into() } else { closes.join(", ") }
            ),
        ] {
            self.answer(desk, &line);
        }
    }

    /// The limits as they are now, one line each: a name of `/limits` and its value; and what memory
    /// they come to.
    fn limits(&self) -> Vec<String> {
        let crowd = &self.gate.crowd;
        let [idle, line] = self.timeouts();
        let own = [
            format!("buffers-total {}", self.buffers_total),
            format!("peers-max {}", crowd.peers_max),
            format!("peers-per-address-max {}", crowd.per_address_max),
            format!("connect-rate {}", crowd.connect_rate),
            idle,
            line,
            self.ceiling().to_string(),
        ];
        self.chat.limits().into_iter().chain(own).collect()
    }

    /// Changes a limit of the loop, of the gate or of the chat.
    fn limit(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "stall-timeout" => {
                let wrong = || "stall-timeout takes a time such as 90s".to_owned();
                let time: jiff::SignedDuration = value.parse().map_err(|_| wrong())?;
                let time = Duration::try_from(time).map_err(|_| wrong())?;
                let time = Some(time).filter(|time| !time.is_zero()).ok_or_else(wrong)?;
                self.chat.set_stall_timeout(time.min(FOR_EVER));
                self.actions.push_back(Action::StallTimeout(time.min(FOR_EVER)));
            }
            "buffers-total" => {
                let least = super::buffers_least(self.chat.line_len_max());
                self.buffers_total = value
                    .parse()
                    .ok()
                    .filter(|&bytes| bytes >= least)
                    .ok_or_else(|| format!("buffers-total takes {least} bytes or more"))?;
                self.actions.push_back(Action::BuffersTotal(self.buffers_total));
            }
            "peers-max" => self.gate.crowd.peers_max = count(name, value)?.max(1),
            "peers-per-address-max" => self.gate.crowd.per_address_max = count(name, value)?,
            "connect-rate" => {
                let rate = u32::try_from(count(name, value)?).ok();
                self.gate.crowd.connect_rate = rate
                    .filter(|&rate| rate <= CONNECT_RATE_MAX)
                    .ok_or_else(|| format!("connect-rate takes 0 to {CONNECT_RATE_MAX}"))?;
            }
            _ => self.chat.limit(name, value)?,
        }
        Ok(())
    }

    fn answer(&mut self, desk: PeerId, line: &str) {
        self.chat.tell(desk, format_args!("{line}"));
    }

    fn answered(&mut self, desk: PeerId, line: &str) -> bool {
        self.answer(desk, line);
        true
    }
}

fn count(name: &str, value: &str) -> Result<usize, String> {
    value.parse().map_err(|_| format!("{name} takes a whole number"))
}

fn nobody(target: &Target) -> String {
    match target {
        Target::Name(name) => format!("nobody is called {name}"),
        Target::Serial(serial) => format!("there is no #{serial}"),
    }
}
