//! The scenario `udp`: datagrams to an echo and back, and where those went that did not come.

use super::account::checker::Tally;
use super::datagrams::Clients;
use super::drive::{Bench, Broken, LEAD};
use super::figures::{Draft, Used};
use super::options::{Error, Load, Options};
use super::ramp::{Climb, step_of};
use super::report::grouped;
use super::report::model::Better;
use super::server::{LoopFigures, drops, ports_of};
use crate::os::Os;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// What is counted where a datagram can be lost.
#[derive(Clone, Copy, Default)]
struct Counters {
    /// Sends of ours that failed or would have blocked.
    refused: u64,
    /// By the kernel, at the server's receive queue and at ours.
    server_queue: u64,
    own_queue: u64,
    server: Option<LoopFigures>,
}

/// Where datagrams were lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Places {
    sender: u64,
    server_queue: u64,
    /// By its guard, which answers no echo; or its socket did not take the answer.
    server: u64,
    own_queue: u64,
    unknown: u64,
}

impl<O: Os> Bench<'_, O> {
    pub(super) fn udp(
        &mut self,
        options: &Options,
        clients: usize,
        load: &Load,
    ) -> Result<Draft, Broken> {
        let own = self.bind(clients)?;
        if !options.ramp {
            return self.echoes(options, &own, load);
        }
        let mut climb = Climb::new(load);
        let begun = self.now();
        while let Some(rate) = climb.next(self.now() - begun) {
            let load = step_of(load, rate);
            climb.tried(self.echoes(options, &own, &load)?);
        }
        Ok(climb.end())
    }

    /// Sockets cannot be given back to the loop: a repeat takes those that are there.
    fn bind(&mut self, clients: usize) -> Result<Vec<SocketAddr>, Broken> {
        let any: SocketAddr = if self.server.ip().is_ipv4() {
            (Ipv4Addr::UNSPECIFIED, 0).into()
        } else {
            (Ipv6Addr::UNSPECIFIED, 0).into()
        };
        let mut own = self.reactor.udp_addresses()?;
        while own.len() < clients {
            let bound = self.reactor.bind_udp(any, false);
            own.push(bound.map_err(|error| Error::Broken(format!("bind udp {any}: {error}")))?);
        }
        Ok(own)
    }

    fn echoes(
        &mut self,
        options: &Options,
        own: &[SocketAddr],
        load: &Load,
    ) -> Result<Draft, Broken> {
        // A step of a ramp must not take the late echoes of the one before it for its own.
        let run = super::new_run(options);
        let ports = [ports_of(&[self.server.ip()]), ports_of(own)];
        let before = self.counters(&ports);
        let memory = self.look();
        let now = self.now();
        let mut handler =
            Clients::new(self.server.ip(), [0, own.len()], run, load, [now + LEAD, now]);
        let looks = self.measure(&mut handler)?;
        let after = self.counters(&ports);
        let (measure, jitter) = handler.measured();
        let (used, tally) = (Used::between(looks), measure.checker.finish());
        let scheduled = measure.is_scheduled();
        let mut draft = Draft::default();
        draft.figure("echoes", "echoes", measure.counted as f64, "", Better::Neither);
        let name = ("echoes_per_s", "echoes a second");
        draft.rate(name, measure.counted, measure.took(), !scheduled, &used);
        draft.latency("rtt", "rtt", "round trip", &measure.sent);
        if scheduled {
            let label = "round trip from intended";
            draft.latency("intended", "latency", label, &measure.intended);
        }
        if !jitter.is_empty() {
            let [mean, max] = [jitter.mean(), jitter.max() as f64].map(|ns| ns / 1_000.0);
            draft.figure("jitter_mean_us", "jitter, mean", mean, "µs", Better::Lower);
            draft.figure("jitter_max_us", "jitter, max", max, "µs", Better::Lower);
        }
        draft.cost(("echo", "datagram echoed"), measure.counted, &used);
        draft.memory([memory, looks[1]], 0);
        draft.generator(&measure.watch, &measure.intended, scheduled, &used);
        draft.unsent(&measure);
        draft.tally(&tally);
        places(&before, &after, &tally).tell(&mut draft);
        draft.judge(options, &measure.intended);
        draft.slices(measure.slices);
        Ok(draft)
    }

    fn counters(&mut self, [server, own]: &[Vec<u16>; 2]) -> Counters {
        Counters {
            refused: self.own_stats().datagrams_dropped(),
            server_queue: drops(server),
            own_queue: drops(own),
            server: self.ask(),
        }
    }
}

fn places(before: &Counters, after: &Counters, tally: &Tally) -> Places {
    let server = |of: fn(&LoopFigures) -> u64| match (&before.server, &after.server) {
        (Some(before), Some(after)) => of(after).saturating_sub(of(before)),
        _ => 0,
    };
    let mut places = Places {
        sender: after.refused - before.refused,
        server_queue: after.server_queue.saturating_sub(before.server_queue),
        own_queue: after.own_queue.saturating_sub(before.own_queue),
        server: server(|figures| figures.datagrams_dropped)
            + server(|figures| figures.datagrams_refused),
        unknown: 0,
    };
    let known = places.sender + places.server_queue + places.own_queue + places.server;
    places.unknown = tally.lost.saturating_sub(known);
    places
}

impl Places {
    fn tell(&self, draft: &mut Draft) {
        for (name, label, count) in [
            ("lost_sender", "lost, refused at the sender", self.sender),
            ("lost_server_queue", "lost, server's receive queue", self.server_queue),
            ("lost_server", "lost, not answered by the server", self.server),
            ("lost_own_queue", "lost, the bench's receive queue", self.own_queue),
            ("lost_unknown", "lost, unknown where", self.unknown),
        ] {
            draft.figure(name, label, count as f64, "", Better::Lower);
        }
        let own = self.sender + self.own_queue;
        if own > 0 {
            draft
                .verdict
                .invalid
                .push(format!("{} datagrams were lost in the bench", grouped(own)));
        }
        if self.server > 0 {
            let line = format!("the server answered {} datagrams not", grouped(self.server));
            draft.verdict.invalid.push(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_counter_knows_is_lost_somewhere() {
        let before =
            Counters { refused: 5, server: Some(LoopFigures::default()), ..Default::default() };
        let server =
            LoopFigures { datagrams_dropped: 1, datagrams_refused: 2, ..Default::default() };
        let after = Counters { refused: 9, server_queue: 8, own_queue: 16, server: Some(server) };
        let tally = Tally { lost: 100, ..Tally::default() };
        let expected = Places { sender: 4, server_queue: 8, server: 3, own_queue: 16, unknown: 69 };
        assert_eq!(places(&before, &after, &tally), expected);
        let few = Tally { lost: 7, ..Tally::default() };
        assert_eq!(places(&before, &after, &few).unknown, 0);
    }
}
