//! Where it is measured, and with what: all that the figures depend on, as the report tells it.

use super::options::{Length, Load, Options, Scenario};
use super::report::model::Machine;
use super::server;
use crate::handler::Endpoint;
use crate::os::clock;
use std::collections::BTreeMap;
use std::fs;

/// This machine, now.
pub(super) fn machine(scenario: &Scenario) -> Machine {
    let kernel = rustix::system::uname();
    let kernel = [kernel.sysname(), kernel.release()].map(|part| part.to_string_lossy());
    let debug = if cfg!(debug_assertions) { ", debug build" } else { "" };
    let congestion = match scenario {
        Scenario::Udp { .. } => String::new(),
        _ => first_line("/proc/sys/net/ipv4/tcp_congestion_control"),
    };
    Machine {
        reactor: format!("{}{debug}", env!("CARGO_PKG_VERSION")),
        cpu: cpu(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default()).to_owned(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        kernel: kernel.join(" "),
        congestion,
        at: clock::utc_now(),
    }
}

fn first_line(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// The server's command line where it is our own, else its address.
pub(super) fn server_of(options: &Options, to: &Endpoint) -> String {
    match &options.server {
        Some(_) => to.to_string(),
        None => format!("reactor {}", server::flags(options.protocol).join(" ")),
    }
}

/// Everything else that the figures depend on, by flag name.
pub(super) fn settings(options: &Options) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    let mut set = |name: &str, value: String| drop(settings.insert(name.to_owned(), value));
    if !matches!(options.scenario, Scenario::Udp { .. }) {
        set("protocol", options.protocol.word().to_owned());
    }
    match options.scenario {
        Scenario::Fanout { subscribers, publishers, overlap, stalled, .. } => {
            set("subscribers", subscribers.to_string());
            set("publishers", publishers.to_string());
            set("overlap", overlap.to_string());
            set("stalled", stalled.to_string());
        }
        Scenario::Rtt { .. } => {}
        Scenario::Idle { peers } => set("peers", peers.to_string()),
        Scenario::Connect { window, warmup, length } => {
            set("at-once", window.to_string());
            set("warmup", format!("{warmup:?}"));
            set(length_flag(length), length.to_string());
        }
        Scenario::Udp { clients, load } => {
            set("clients", clients.to_string());
            set("burst", load.burst.to_string());
        }
    }
    if !matches!(options.scenario, Scenario::Connect { .. }) {
        set("size", format!("{} bytes", options.size));
    }
    if let Some(Load { rate, window, warmup, length, .. }) = options.scenario.load() {
        rate.iter().for_each(|rate| set("rate", format!("{rate}/s")));
        window.iter().for_each(|window| set("window", window.to_string()));
        set("warmup", format!("{warmup:?}"));
        set(length_flag(*length), length.to_string());
    }
    if options.ramp {
        set("ramp", "yes".to_owned());
    }
    for slo in &options.slos {
        set(&format!("slo {}", slo.word), format!("{:?}", slo.limit));
    }
    settings
}

fn length_flag(length: Length) -> &'static str {
    match length {
        Length::Time(_) => "duration",
        Length::Messages(_) => "messages",
    }
}

/// The first processor's name: `model name` on x86, `Model` on many others.
fn cpu(info: &str) -> &str {
    let named = |key: &str| {
        let value = info.lines().find_map(|line| line.strip_prefix(key)?.split_once(':'));
        value.map(|(_, name)| name.trim())
    };
    named("model name").or_else(|| named("Model")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_named_where_proc_names_it() {
        let x86 =
            "processor\t: 0\nmodel\t\t: 85\nmodel name\t: Some CPU @ 2.20GHz\nstepping\t: 7\n";
        assert_eq!(cpu(x86), "Some CPU @ 2.20GHz");
        assert_eq!(cpu("processor\t: 0\n\nModel\t\t: Some Board Rev 1.0\n"), "Some Board Rev 1.0");
        assert_eq!(cpu("processor : 0\n"), "");
    }
}
