//! Fan-out to 10, 100, 1,000 and 10,000 peers: the real release binary, `reactor bench fanout`, and
//! one table of what it printed. All rates come to 25,000 deliveries a second, half of what the
//! slowest row can do on two cores: latency is that of a server that is busy and not overrun.
//!
//! `cargo bench --bench many_peers` takes about half a minute, `-- --quick` seconds. Without
//! `--bench`, which is how `cargo test` runs it, it only shows that it works.

use std::process::{Command, ExitCode};

/// Peers, lines a second, lines.
const RUNS: [[u32; 3]; 4] =
    [[10, 2_500, 12_500], [100, 250, 1_250], [1_000, 25, 125], [10_000, 2, 12]];
const QUICK: [[u32; 3]; 2] = [[10, 1_000, 300], [100, 100, 30]];

/// What the bench prints and the table shows, and the table's short head for it.
const COLUMNS: [(&str, &str); 9] = [
    ("deliveries a second", "deliv/s"),
    ("latency from intended p50", "p50 µs"),
    ("latency from intended p99", "p99 µs"),
    ("latency from intended p99.9", "p99.9 µs"),
    ("latency from intended max", "max µs"),
    ("server CPU a delivery", "CPU ns"),
    ("server memory a peer", "bytes/peer"),
    ("lines a read", "lines/read"),
    ("schedule lag max", "lag µs"),
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
            .args(["--rate", &numbers[1], "--messages", &numbers[2]])
            .output()
            .expect("the binary that cargo has just built starts");
        let report = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        // Told beside the row: a machine that is busy is no fault of the server's.
        let busy = errors.starts_with("reactor: INVALID: the bench was") && !errors.contains("; ");
        if !output.status.success() && !busy {
            eprint!("{report}{errors}");
            eprintln!("many_peers: {peers} peers: {}", output.status);
            return ExitCode::FAILURE;
        }
        if !std::mem::replace(&mut machine_told, true) {
            println!("{}", report.split("; fanout").next().unwrap_or_default());
            print!("{:>7} {:>8}", "peers", "lines/s");
            COLUMNS.iter().for_each(|(_, head)| print!(" {head:>10}"));
            println!();
        }
        print!("{peers:>7} {rate:>8}");
        COLUMNS.iter().for_each(|(label, _)| print!(" {:>10}", value(&report, label)));
        println!();
        if busy {
            print!("{errors}");
        }
    }
    ExitCode::SUCCESS
}

/// The figure behind a label; a label ends at two spaces.
fn value<'a>(report: &'a str, label: &str) -> &'a str {
    let line = report.lines().find(|line| line.split("  ").next() == Some(label));
    line.and_then(|line| line[label.len()..].split_whitespace().next()).unwrap_or("-")
}
