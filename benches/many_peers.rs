//! Fan-out to 10, 100, 1,000 and 10,000 peers: the real release binary, `reactor bench fanout`, and
//! one table of what it printed. All rates come to 25,000 deliveries a second, half of what the
//! slowest row can do on two cores: latency is that of a server that is busy and not overrun.
//!
//! `cargo bench --bench many_peers` takes about half a minute, `-- --quick` seconds. Without
//! `--bench`, which is how `cargo test` runs it, it only shows that it works.

use reactor::bench::report::{Machine, Report, in_unit, json};
use std::process::{Command, ExitCode};

/// Peers, lines a second, lines.
const RUNS: [[u32; 3]; 4] =
    [[10, 2_500, 12_500], [100, 250, 1_250], [1_000, 25, 125], [10_000, 2, 12]];
const QUICK: [[u32; 3]; 2] = [[10, 1_000, 300], [100, 100, 30]];

/// Figures of the bench's JSON report, by name, and the table's short head for each.
const COLUMNS: [(&str, &str); 9] = [
    ("deliveries_per_s", "deliv/s"),
    ("latency_p50_us", "p50 µs"),
    ("latency_p99_us", "p99 µs"),
    ("latency_p99_9_us", "p99.9 µs"),
    ("latency_max_us", "max µs"),
    ("server_cpu_ns_per_delivery", "CPU ns"),
    ("server_rss_bytes_per_peer", "bytes/peer"),
    ("lines_per_read", "lines/read"),
    ("own_lag_max_us", "lag µs"),
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| words.iter().any(|word| word == flag);
    let full = has("--bench") && !has("--quick") && !has("--test");
    let runs = if full { &RUNS[..] } else { &QUICK[..] };
    let mut machine_told = false;
    for &[peers, rate, messages] in runs {
        let numbers = [peers, rate, messages].map(|number| number.to_string());
        let output = Command::new(env!("CARGO_BIN_EXE_reactor"))
            .args(["bench", "fanout", "--subscribers", &numbers[0]])
            .args(["--rate", &numbers[1], "--messages", &numbers[2], "--json"])
            .output()
            .expect("the binary that cargo has just built starts");
        let errors = String::from_utf8_lossy(&output.stderr);
        // Told beside the row: a machine that is busy is no fault of the server's.
        let busy = errors.starts_with("reactor: INVALID: the bench was") && !errors.contains("; ");
        if !output.status.success() && !busy {
            eprint!("{errors}");
            eprintln!("many_peers: {peers} peers: {}", output.status);
            return ExitCode::FAILURE;
        }
        let report = String::from_utf8_lossy(&output.stdout);
        let report = json::from_json(&report).expect("the bench reads what it writes");
        if !std::mem::replace(&mut machine_told, true) {
            let Machine { cpu, cores, kernel, congestion, reactor, .. } = &report.machine;
            println!("{cpu}, {cores} cores, {kernel}, tcp {congestion}; reactor {reactor}");
            println!("server: {}", report.server);
            print!("{:>7} {:>8}", "peers", "lines/s");
            COLUMNS.iter().for_each(|(_, head)| print!(" {head:>10}"));
            println!();
        }
        print!("{peers:>7} {rate:>8}");
        COLUMNS.iter().for_each(|(name, _)| print!(" {:>10}", value(&report, name)));
        println!();
        if busy {
            print!("{errors}");
        }
    }
    ExitCode::SUCCESS
}

/// The figure of that name, or a dash where this system does not tell it.
fn value(report: &Report, name: &str) -> String {
    let figure = report.figures.iter().find(|figure| figure.name == name);
    figure.map_or("-".to_owned(), |figure| in_unit(figure.value, &figure.unit))
}
