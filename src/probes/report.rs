//! The figures of an account as text and as JSON. Pure. The schema stands in docs/UDP.md.

use super::{Host, Rtt};
use serde::Serialize;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// Changes when a field of the JSON changes its meaning or goes.
const SCHEMA: u32 = 1;

/// Hosts that the text names: a screenful. The JSON has all of them.
const HOSTS_SHOWN: usize = 20;

/// The figures. With one host asked: `sent` = `received` + `late` + `lost` + `waited_for`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Probes.
    pub sent: u64,
    /// Probes that somebody answered in time.
    pub received: u64,
    /// Probes that nobody has answered, whose time is over.
    pub lost: u64,
    /// Probes that were waited for when it ended, by a signal.
    pub waited_for: u64,
    /// First answers of a host that came after the timeout.
    pub late: u64,
    /// Answers in time that came behind that to a later probe: RFC 4737 section 3.3.
    pub reordered: u64,
    /// Answers beyond a host's first to a probe.
    pub duplicates: u64,
    /// First answers in time, of all hosts.
    pub answers: u64,
    /// Datagrams that answer nothing that is remembered.
    pub unmatched: u64,
    /// Answers of hosts beyond the first [`HOSTS_MAX`](super::HOSTS_MAX).
    pub crowded: u64,
    /// Times of the answers in time; `None` where there was none.
    pub rtt: Option<Rtt>,
    /// Who answered, by address.
    pub hosts: Vec<HostReport>,
}

/// One host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostReport {
    /// Address and port.
    pub host: SocketAddr,
    /// First answers in time.
    pub answers: u64,
    /// Answers beyond the first to a probe.
    pub duplicates: u64,
    /// RFC 3550 section 6.4.1.
    pub jitter_ns: u64,
}

/// A whole run as JSON: what was done, and the figures.
#[derive(Clone, Debug, Serialize)]
pub struct Report<'a> {
    schema: u32,
    /// `udp`, or `chat` for `/ping`.
    pub transport: &'a str,
    /// Whom.
    pub to: &'a str,
    /// Bytes in each probe.
    pub size: usize,
    /// Time between two probes, in ns.
    pub interval_ns: u64,
    /// How long an answer is waited for, in ns.
    pub timeout_ns: u64,
    /// Datagrams of strangers, which were not looked at.
    pub ignored: u64,
    /// The figures.
    #[serde(flatten)]
    pub summary: &'a Summary,
}

impl HostReport {
    pub(super) fn of((&host, of): (&SocketAddr, &Host)) -> Self {
        let jitter_ns = of.jitter.nanoseconds();
        HostReport { host, answers: of.answers, duplicates: of.duplicates, jitter_ns }
    }
}

impl Summary {
    /// True where something was sent and nobody has answered: exit code 1.
    pub fn all_lost(&self) -> bool {
        self.sent > 0 && self.received == 0 && self.late == 0
    }
}

impl<'a> Report<'a> {
    /// With this version's schema.
    pub fn new(
        (transport, to): (&'a str, &'a str),
        size: usize,
        (interval, timeout): (Duration, Duration),
        ignored: u64,
        summary: &'a Summary,
    ) -> Self {
        let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let (interval_ns, timeout_ns) = (ns(interval), ns(timeout));
        Report { schema: SCHEMA, transport, to, size, interval_ns, timeout_ns, ignored, summary }
    }

    /// One line with its newline.
    pub fn json(&self) -> String {
        let json = serde_json::to_string(self);
        json.expect("numbers, texts and addresses are JSON") + "\n"
    }
}

/// Lines, like the last ones of ping(8); what did not happen is not told, but for the first line.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = self.lost as f64 * 100.0 / self.sent.max(1) as f64;
        writeln!(
            f,
            "{} sent, {} received, {} lost ({percent:.1} %), {} late, {} reordered, {} duplicates",
            self.sent, self.received, self.lost, self.late, self.reordered, self.duplicates
        )?;
        if self.waited_for > 0 {
            writeln!(f, "{} were still waited for", self.waited_for)?;
        }
        if self.unmatched > 0 {
            writeln!(f, "{} datagrams answered nothing that was sent", self.unmatched)?;
        }
        if let Some(rtt) = &self.rtt {
            let ms = |ns| millis(Duration::from_nanos(ns));
            writeln!(
                f,
                "round trip min/median/p99/max/mean {}/{}/{}/{}/{} ms, jitter {} ms",
                ms(rtt.min_ns),
                ms(rtt.median_ns),
                ms(rtt.p99_ns),
                ms(rtt.max_ns),
                ms(rtt.mean_ns),
                ms(rtt.jitter_ns)
            )?;
        }
        if self.hosts.len() > 1 {
            writeln!(f, "{} answers of {} hosts:", self.answers, self.hosts.len())?;
            for HostReport { host, answers, duplicates, .. } in self.hosts.iter().take(HOSTS_SHOWN)
            {
                writeln!(f, "  {host}: {answers} answers, {duplicates} duplicates")?;
            }
        }
        match self.hosts.len().saturating_sub(HOSTS_SHOWN) {
            0 => {}
            more => writeln!(f, "  and {more} hosts more")?,
        }
        if self.crowded > 0 {
            writeln!(f, "{} answers of hosts beyond these are not counted", self.crowded)?;
        }
        Ok(())
    }
}

/// `0.213 ms`: ping(8)'s unit, at any length.
pub fn milliseconds(time: Duration) -> String {
    format!("{} ms", millis(time))
}

fn millis(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64() * 1e3)
}
