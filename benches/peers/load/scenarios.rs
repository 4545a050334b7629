//! The scenarios over connections. Each connects its peers, waits until all hear, measures between
//! two looks at the server, and returns the figures as JSON. What no look could see is 0.

use crate::Load;
use crate::crowd::{Counts, Crowd, SIZE_MIN};
use crate::usage::Usage;
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::error::Error;
use std::time::Duration;

/// Messages of a half window: one write.
pub(crate) const HALF: u64 = 32;

/// Nothing came for so long: lost, or a server that stands still.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// A closed loop ends then, however few halves were whole: a slow server is measured too.
const LONGEST: f64 = 12.0;

/// Between two groups of dials.
const DIAL_PAUSE: Duration = Duration::from_millis(5);

/// What had happened at one moment.
#[derive(Clone, Copy)]
struct Look {
    at: u64,
    counts: Counts,
    usage: Usage,
}

fn look(load: &Load, at: u64, counts: Counts) -> Look {
    Look { at, counts, usage: Usage::of(load.pid) }
}

/// Time that is cut at the beginning, in ns.
fn warm_up(load: &Load) -> u64 {
    (load.seconds.min(0.5) * 1e9) as u64
}

fn crowd(load: &Load) -> Result<Crowd, Box<dyn Error>> {
    if load.size < SIZE_MIN {
        return Err(format!("a message has at least {SIZE_MIN} bytes").into());
    }
    Crowd::new(load.server, load.protocol, load.size)
}

/// Connects subscribers until there are `peers` of them.
fn subscribe(
    crowd: &mut Crowd,
    load: &Load,
    peers: std::ops::Range<usize>,
) -> Result<(), Box<dyn Error>> {
    for peer in peers {
        crowd.dial(Some('a'))?;
        if (peer + 1) % load.dials == 0 {
            crowd.wait(Some(DIAL_PAUSE), |_| {})?;
        }
    }
    Ok(())
}

/// Figures that every scenario has, between two looks.
fn told(from: &Look, to: &Look) -> Value {
    let deliveries = to.counts.deliveries - from.counts.deliveries;
    let reads = to.counts.reads - from.counts.reads;
    let seconds = (to.at - from.at) as f64 / 1e9;
    let cpu = (to.usage.cpu_ns - from.usage.cpu_ns) as f64;
    let user = (to.usage.user_ticks - from.usage.user_ticks) as f64;
    let system = (to.usage.system_ticks - from.usage.system_ticks) as f64;
    json!({
        "seconds": seconds,
        "deliveries": deliveries,
        "deliveries_per_s": deliveries as f64 / seconds,
        "cpu_ns_per_delivery": cpu / deliveries.max(1) as f64,
        "server_busy": cpu / 1e9 / seconds,
        "server_user_share": user / (user + system).max(1.0),
        "lines_per_read": deliveries as f64 / reads.max(1) as f64,
        "rss_bytes": to.usage.rss_bytes,
    })
}

/// Nanoseconds with three digits, however many.
pub(crate) fn histogram() -> Result<Histogram<u64>, Box<dyn Error>> {
    let mut histogram = Histogram::new(3)?;
    histogram.auto(true);
    Ok(histogram)
}

fn add_latency(told: &mut Value, latency: &Histogram<u64>) {
    told["p50_us"] = json!(latency.value_at_quantile(0.5) as f64 / 1e3);
    told["p99_us"] = json!(latency.value_at_quantile(0.99) as f64 / 1e3);
    told["max_us"] = json!(latency.max() as f64 / 1e3);
}

/// Two half windows in turn: a half goes out when the last but one has come to all, and the last to
/// somebody, so that the server has read it and cannot take two halves in one turn. It is measured
/// from the end of one half to the end of another: as much is on its way at both looks.
pub(crate) fn fanout(load: &Load, lockstep: bool) -> Result<Value, Box<dyn Error>> {
    let mut crowd = crowd(load)?;
    let publisher = crowd.dial(None)?;
    subscribe(&mut crowd, load, 0..load.peers)?;
    crowd.settle(publisher, &['a'])?;
    let begun = crowd.now();
    let mut next = vec![0; load.peers + 1];
    // Subscribers that have all of a half, by its number modulo the halves on their way and one.
    let mut whole = [0; 3];
    // Halves by number: sent, begun to be heard, heard by all.
    let (mut said, mut seen, mut done, mut last) = (0, 0, 0, begun);
    let mut first: Option<Look> = None;
    loop {
        while said < done + 2 && said <= if lockstep { done } else { seen } {
            let now = crowd.now();
            crowd.publish(publisher, 'a', said * HALF..(said + 1) * HALF, |_| now);
            said += 1;
        }
        let mut disorder = None;
        let before = crowd.counts.deliveries;
        crowd.wait(Some(Duration::from_secs(1)), |heard| {
            let expected = &mut next[heard.client];
            if heard.number != *expected {
                disorder = Some(format!(
                    "subscriber {} heard message {} and not {expected}",
                    heard.client, heard.number
                ));
            }
            *expected = heard.number + 1;
            seen = seen.max(heard.number / HALF + 1);
            if (*expected).is_multiple_of(HALF) {
                whole[(heard.number / HALF % 3) as usize] += 1;
            }
        })?;
        if let Some(disorder) = disorder {
            return Err(disorder.into());
        }
        let now = crowd.now();
        if crowd.counts.deliveries > before {
            last = now;
        } else if now - last > SILENCE_MAX.as_nanos() as u64 {
            return Err("nothing comes any more: messages are lost".into());
        }
        let ended = whole[(done % 3) as usize] == load.peers;
        if ended {
            whole[(done % 3) as usize] = 0;
            done += 1;
        }
        let overdue =
            (now - begun) as f64 / 1e9 > LONGEST / if first.is_some() { 1.0 } else { 3.0 };
        match &first {
            None if (ended || overdue) && now - begun >= warm_up(load) => {
                first = Some(look(load, now, crowd.counts));
            }
            Some(from) if overdue || ended && (now - from.at) as f64 / 1e9 >= load.seconds => {
                return Ok(told(from, &look(load, now, crowd.counts)));
            }
            _ => {}
        }
    }
}

/// An open loop: message k is to be sent at its time, whatever has come back.
pub(crate) fn rate(load: &Load, deliveries: u64, all: bool) -> Result<Value, Box<dyn Error>> {
    let mut crowd = crowd(load)?;
    let apart = load.protocol.publishes_apart();
    let mut publishers = Vec::new();
    if !all {
        publishers.push(crowd.dial(None)?);
    }
    let first_peer = publishers.len();
    subscribe(&mut crowd, load, 0..load.peers)?;
    for peer in 0..if all { load.peers } else { 0 } {
        publishers.push(if apart { crowd.dial(None)? } else { peer });
    }
    let hearers = if all { load.protocol.hearers(load.peers) } else { load.peers };
    crowd.settle(publishers[0], &['a'])?;
    let gap = 1_000_000_000 * hearers as u64 / deliveries;
    let warm = warm_up(load) / gap;
    let messages = warm + (load.seconds * 1e9) as u64 / gap;
    let mut latency = histogram()?;
    let mut lag = 0;
    let begun = crowd.now() + 10_000_000;
    let mut first = None;
    let (mut said, mut last) = (0, begun);
    while crowd.counts.deliveries < messages * hearers as u64 {
        while said < messages && crowd.now() >= begun + said * gap {
            if said == warm {
                first = Some(look(load, crowd.now(), crowd.counts));
            }
            let publisher = publishers[said as usize % publishers.len()];
            crowd.publish(publisher, 'a', said..said + 1, |number| begun + number * gap);
            lag = lag.max(crowd.now() - (begun + said * gap));
            said += 1;
        }
        if said < messages {
            crowd.wake_in((begun + said * gap).saturating_sub(crowd.now()))?;
        }
        let before = crowd.counts.deliveries;
        let now = crowd.now();
        let clock = std::time::Instant::now();
        crowd.wait(Some(Duration::from_secs(1)), |heard| {
            if heard.number >= warm {
                let at = now + clock.elapsed().as_nanos() as u64;
                latency.record(at - heard.intended).expect("it grows");
            }
        })?;
        if crowd.counts.deliveries > before {
            last = crowd.now();
        } else if said == messages && crowd.now() - last > SILENCE_MAX.as_nanos() as u64 {
            break;
        }
    }
    let to = look(load, crowd.now(), crowd.counts);
    let from = first.ok_or("too short for one message behind the warm-up")?;
    let lost = (messages * hearers as u64).saturating_sub(crowd.counts.deliveries);
    let mut told = told(&from, &to);
    add_latency(&mut told, &latency);
    told["lost"] = json!(lost);
    told["schedule_lag_max_us"] = json!(lag as f64 / 1e3);
    if lost == 0 {
        check(&crowd, first_peer..first_peer + load.peers, messages, all && hearers < load.peers)?;
    }
    Ok(told)
}

/// Each subscriber must have heard all messages, or all but its own, once.
fn check(
    crowd: &Crowd,
    subscribers: std::ops::Range<usize>,
    messages: u64,
    but_own: bool,
) -> Result<(), Box<dyn Error>> {
    let peers = subscribers.len() as u64;
    for (peer, client) in subscribers.enumerate() {
        let own = (peer as u64..messages).step_by(peers as usize).filter(|_| but_own);
        let (own_count, own_sum) = own.fold((0, 0), |(count, sum), own| (count + 1, sum + own));
        let heard = crowd.heard(client);
        let all = messages * (messages - 1) / 2;
        if (heard.messages, heard.sum) != (messages - own_count, all - own_sum) {
            return Err(format!("subscriber {peer} heard other messages than were said").into());
        }
    }
    Ok(())
}

/// One message there and back, again and again; a delivery here is the whole way.
pub(crate) fn rtt(load: &Load) -> Result<Value, Box<dyn Error>> {
    let mut crowd = crowd(load)?;
    let peers = [crowd.dial(Some('a'))?, crowd.dial(Some('b'))?];
    let mut voices = peers;
    if load.protocol.publishes_apart() {
        voices = [crowd.dial(None)?, crowd.dial(None)?];
    }
    // Without topics the other one hears, and nobody else.
    let topics = if load.protocol.has_topics() { ['b', 'a'] } else { ['a', 'a'] };
    let named: &[char] = if load.protocol.has_topics() { &['a', 'b'] } else { &['a'] };
    crowd.settle(voices[0], named)?;
    let mut latency = histogram()?;
    let begun = crowd.now();
    let (mut first, mut trips) = (None, 0u64);
    loop {
        let sent = crowd.now();
        for (side, &voice) in voices.iter().enumerate() {
            crowd.publish(voice, topics[side], trips..trips + 1, |_| sent);
            let mut came = false;
            while !came {
                let before = crowd.now();
                crowd.wait(Some(SILENCE_MAX), |heard| came |= heard.client == peers[1 - side])?;
                if !came && crowd.now() - before >= SILENCE_MAX.as_nanos() as u64 {
                    return Err("a message did not come".into());
                }
            }
        }
        trips += 1;
        let now = crowd.now();
        let mut counts = crowd.counts;
        counts.deliveries = trips;
        if first.is_some() {
            latency.record(now - sent).expect("it grows");
        }
        match &first {
            None if now - begun >= warm_up(load) => first = Some(look(load, now, counts)),
            Some(from) if (now - from.at) as f64 / 1e9 >= load.seconds => {
                let mut told = told(from, &look(load, now, counts));
                add_latency(&mut told, &latency);
                return Ok(told);
            }
            _ => {}
        }
    }
}

/// Memory and CPU time of peers that say nothing, then the time until all of them hear a message.
pub(crate) fn idle(load: &Load, base: usize) -> Result<Value, Box<dyn Error>> {
    let mut crowd = crowd(load)?;
    let base = base.min(load.peers / 2);
    let publisher = crowd.dial(None)?;
    subscribe(&mut crowd, load, 0..base)?;
    crowd.settle(publisher, &['a'])?;
    let from = look(load, crowd.now(), crowd.counts);
    subscribe(&mut crowd, load, base..load.peers)?;
    // Every one of them is served only when the server is done with all of them.
    crowd.wait(Some(Duration::from_millis(200)), |_| {})?;
    let dialed = crowd.now();
    let connected = settled(&mut crowd, load)?;
    let peers = (load.peers - base) as f64;
    let before_message = connected;
    crowd.settle(publisher, &['a'])?;
    let begun = crowd.now();
    crowd.publish(publisher, 'a', 0..1, |_| begun);
    while crowd.counts.deliveries < load.peers as u64 {
        crowd.wait(Some(Duration::from_millis(100)), |_| {})?;
        if crowd.now() - begun > SILENCE_MAX.as_nanos() as u64 {
            return Err("not everybody heard the message".into());
        }
    }
    let all_heard = crowd.now() - begun;
    let grown = before_message.rss_bytes.saturating_sub(from.usage.rss_bytes);
    let cpu = before_message.cpu_ns.saturating_sub(from.usage.cpu_ns) as f64;
    Ok(json!({
        "peers": load.peers,
        "rss_bytes": before_message.rss_bytes,
        "rss_bytes_per_peer": grown as f64 / peers,
        "connect_cpu_ns": cpu / peers,
        "connects_per_s": peers / ((dialed - from.at) as f64 / 1e9),
        "all_heard_ms": all_heard as f64 / 1e6,
    }))
}

/// The server's usage once it uses no more CPU: all who dialled have been accepted.
fn settled(crowd: &mut Crowd, load: &Load) -> Result<Usage, Box<dyn Error>> {
    /// Looks at most: 10 s.
    const LOOKS_MAX: usize = 100;
    /// A server that is done may still wake for its own timers: 2 % of a core.
    const QUIET_NS: u64 = 2_000_000;
    let mut usage = Usage::of(load.pid);
    for _ in 0..LOOKS_MAX {
        crowd.wait(Some(Duration::from_millis(100)), |_| {})?;
        let now = Usage::of(load.pid);
        let quiet = now.cpu_ns - usage.cpu_ns < QUIET_NS;
        usage = now;
        if quiet {
            break;
        }
    }
    Ok(usage)
}
