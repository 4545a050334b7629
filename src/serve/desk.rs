//! The operator's words beside those that peers have: who is shown the door, what is limited, what
//! is counted. The list of them is in `chat::words`; each is answered where it was asked, on the
//! console or over the control socket, and nowhere else.

use super::gate::Caller;
use super::gate::sources::CONNECT_RATE_MAX;
use super::metrics::{exposition, table};
use super::server::{Role, Server};
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
/// What became of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    /// It was obeyed.
    Yes,
    /// It was not; its answer says why.
    No,
    /// Its answer comes with the loop's counters.
    Later,
}

impl Done {
    fn only(obeyed: bool) -> Self {
        if obeyed { Done::Yes } else { Done::No }
    }
}

/// Who waits for the loop's counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    /// The operator; `all`: by the names of the metrics.
    Desk { desk: PeerId, all: bool },
    /// A peer of the metrics address.
    Scraper(PeerId),
}

impl Server {
    /// Does what the operator asks; the answer goes to the desk that asks.
    pub(super) fn operate(&mut self, desk: PeerId, order: &Order<'_>, now: Instant) -> Done {
        match order {
            Order::Quit(_) => {
                self.stop("/quit");
                Done::Yes
            }
            Order::All(text) => {
                let end = if self.protocol == Protocol::Lines { "\n" } else { "" };
                let text = format!("{text}{end}");
                let full = self.chat.say_everywhere(desk, text.as_bytes(), now);
                for room in &full {
                    self.answer(desk, &format!("not said in {room}: its log is full"));
                }
                Done::only(full.is_empty())
            }
            Order::Kick { whom, reason } => {
                let why = match reason {
                    Some(reason) => format!("kicked: {}", visible(reason)),
                    None => "kicked".to_owned(),
                };
                match self.guest(whom) {
                    Some(peer) => {
                        let name = self.chat.name_of(peer);
                        self.answer(desk, &format!("{name} is kicked"));
                        self.chat.close(peer, CloseReason::Kicked, format_args!("{why}"));
                        Done::Yes
                    }
                    None => self.refused(desk, &nobody(whom)),
                }
            }
            Order::Mute(whom) => match self.guest(whom) {
                Some(peer) => {
                    let muted = self.chat.mute(peer);
                    let not = if muted { "" } else { " no longer" };
                    let name = self.chat.name_of(peer);
                    self.answered(desk, &format!("{name} is{not} muted"))
                }
                None => self.refused(desk, &nobody(whom)),
            },
            Order::Ban { prefix, for_ } => match self.gate.bans.add(prefix, *for_, now) {
                Ok(net) => {
                    let peers = self.peers_in(|address| net.contains(&address));
                    self.answer(desk, &format!("{net} is banned, {} closed", peers.len()));
                    for peer in peers {
                        self.chat.close(peer, CloseReason::Banned, format_args!("banned"));
                    }
                    Done::Yes
                }
                Err(error) => self.refused(desk, &error),
            },
            Order::Unban(prefix) => match self.gate.bans.remove(prefix) {
                Ok(net) => self.answered(desk, &format!("{net} is no longer banned")),
                Err(error) => self.refused(desk, &error),
            },
            Order::Bans => {
                for line in self.gate.bans.lines(now) {
                    self.answer(desk, &line);
                }
                Done::Yes
            }
            &Order::Stats { all } => {
                self.ask_stats(Asker::Desk { desk, all });
                Done::Later
            }
            Order::Top => {
                for line in self.chat.top(TOP_PEERS, now) {
                    self.answer(desk, &line);
                }
                Done::Yes
            }
            Order::Limits(change) => {
                if let Some((name, value)) = change
                    && let Err(error) = self.limit(name, value)
                {
                    return self.refused(desk, &visible(&error));
                }
                for line in self.limits() {
                    self.answer(desk, &line);
                }
                Done::Yes
            }
            Order::Drain => {
                self.drain();
                self.answer(desk, &format!("draining: {} peers are left", self.gate.connections()));
                self.stop_if_drained();
                Done::Yes
            }
            Order::Who(room) => {
                let done = Done::only(self.chat.obey(desk, order));
                self.tell_processes(desk, room.as_deref());
                done
            }
            shared => Done::only(self.chat.obey(desk, shared)),
        }
    }

    /// Who is meant, the operator apart: no desk closes the console.
    fn guest(&self, whom: &Target) -> Option<PeerId> {
        self.chat.find_target(whom).filter(|&peer| !self.chat.is_operator(peer))
    }

    /// Nobody new comes in; who wants to know how it goes still does.
    fn drain(&mut self) {
        self.draining = true;
        for listener in 0..self.roles.len() {
            if self.roles[listener] == Role::Chat {
                self.actions.push_back(Action::Refuse { listener });
            }
        }
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

    /// Asks the loop for its counters; who asks before they come is answered by the same ones.
    pub(super) fn ask_stats(&mut self, asker: Asker) {
        if self.asked.is_empty() {
            self.actions.push_back(Action::Report);
        }
        self.asked.push(asker);
    }

    /// The loop's counters have come: who asked is answered, in the order in which they asked.
    pub(super) fn answer_stats(&mut self, stats: &Stats) {
        let snapshot = self.snapshot(stats);
        let mut scraped: Option<String> = None;
        for asker in std::mem::take(&mut self.asked) {
            match asker {
                Asker::Desk { desk, all } => {
                    let told: Vec<String> = match all {
                        true => exposition::samples(snapshot.clone()),
                        false => table::lines(&snapshot).collect(),
                    };
                    for line in told {
                        self.answer(desk, &line);
                    }
                    self.end_answer(desk, Done::Yes);
                }
                Asker::Scraper(peer) => {
                    let text =
                        scraped.get_or_insert_with(|| exposition::exposition(snapshot.clone()));
                    self.scrapers.answer(peer, text);
                }
            }
        }
        if let Some(text) = scraped {
            self.scrapers.keep(&text);
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

    /// One line of an answer.
    pub(super) fn answer(&mut self, desk: PeerId, line: &str) {
        self.chat.tell(desk, format_args!("{line}"));
    }

    fn answered(&mut self, desk: PeerId, line: &str) -> Done {
        self.answer(desk, line);
        Done::Yes
    }

    /// The same where that is why it was not obeyed.
    pub(super) fn refused(&mut self, desk: PeerId, line: &str) -> Done {
        self.answer(desk, line);
        Done::No
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
