//! `reactor bench`: against its own server, and against servers whose faults are known. On a busy
//! machine a run may rightly end INVALID; then it is not asked for the exit code 0.

mod doubles;

use super::support::{Program, skip};
use doubles::{Fault, Plan, echo, echo_server, line_server, wait};
use reactor::bench::report::{Report, json, text};
use rustix::process::Signal;
use std::net::UdpSocket;
use std::os::unix::process::ExitStatusExt;
use std::sync::mpsc::channel;
use std::time::Duration;

/// What a bench ended with.
struct Told {
    code: i32,
    report: Report,
    errors: String,
}

impl Told {
    /// The figure with this label, or the first that has it in its own.
    fn figure(&self, label: &str) -> f64 {
        let figures = &self.report.figures;
        let figure = figures.iter().find(|figure| figure.label == label);
        let figure = figure.or_else(|| figures.iter().find(|figure| figure.label.contains(label)));
        figure.unwrap_or_else(|| panic!("no {label}:\n{}{}", self.text(), self.errors)).value
    }

    fn text(&self) -> String {
        text::text(&self.report)
    }

    /// Nothing was wrong but that this machine was busy.
    fn expect_clean(&self) {
        for label in ["lost", "duplicates", "out of order", "damaged"] {
            assert_eq!(self.figure(label), 0.0, "{label}");
        }
        self.expect_no_fault();
    }

    fn expect_no_fault(&self) {
        let reasons = self.errors.strip_prefix("reactor: ").unwrap_or_default();
        let mut reasons = reasons.split("; ");
        let busy = reasons.all(|why| why.starts_with("INVALID: the bench was the bottleneck"));
        assert!(self.code == 0 || busy, "{}\n{}{}", self.code, self.text(), self.errors);
    }

    /// It ended on this fault and on no other.
    fn expect_fault(&self, line: &str) {
        assert_eq!(self.code, 1, "{}{}", self.text(), self.errors);
        let told = self.errors.trim_end().trim_start_matches("reactor: ");
        let faults: Vec<&str> =
            told.split("; ").filter(|line| !line.starts_with("INVALID")).collect();
        assert_eq!(faults, [line], "{}", self.text());
    }
}

fn bench(words: &str) -> Told {
    finish(start(words))
}

fn start(words: &str) -> Program {
    let words: Vec<&str> =
        ["bench"].into_iter().chain(words.split(' ')).chain(["--json"]).collect();
    Program::start(&words)
}

fn finish(mut program: Program) -> Told {
    program.end_input();
    let (report, code, errors) = (program.out.all(), program.exit(), program.err.text());
    let report = json::from_json(&report).unwrap_or_else(|error| panic!("{error}:\n{errors}"));
    Told { code, report, errors }
}

/// Four subscribers and 100 lines through a line server with this fault.
fn through(plan: Plan) -> Told {
    let at = line_server(plan);
    bench(&format!("fanout --server {at} --subscribers 4 --rate 500 --messages 100 --warmup 0s"))
}

fn fault(fault: impl FnMut(usize, Vec<u8>) -> Vec<Vec<u8>> + Send + 'static) -> Option<Fault> {
    Some(Box::new(fault))
}

#[test]
fn each_scenario_measures_a_server_of_its_own() {
    for (words, label) in [
        ("fanout --subscribers 5 --rate 200", "deliveries"),
        ("fanout --subscribers 5 --stalled 2 --protocol lines --window 8", "deliveries"),
        ("fanout --all-to-all 4 --rate 200", "deliveries"),
        ("fanout --subscribers 3 --protocol raw --rate 50", "deliveries"),
        ("rtt --protocol raw", "round trips"),
        ("udp --clients 3 --burst 4 --window 8", "echoes"),
    ] {
        let told = bench(&format!("{words} --duration 200ms --warmup 50ms"));
        told.expect_clean();
        assert!(told.figure(label) > 0.0, "{words}:\n{}", told.text());
    }
    let told = bench("connect --duration 200ms --warmup 50ms");
    told.expect_no_fault();
    assert!(told.figure("connections") > 0.0, "{}", told.text());
    let told = bench("idle --peers 20");
    told.expect_clean();
    assert!(told.figure("one line to all") > 0.0, "{}", told.text());
}

#[test]
fn a_clean_line_server_of_other_people_is_clean() {
    let told = through(Plan::default());
    told.expect_clean();
    assert_eq!(told.figure("deliveries"), 400.0);
}

#[test]
fn planted_losses_are_counted() {
    let loses = fault(|index, line| if index % 50 == 20 { Vec::new() } else { vec![line] });
    let told = through(Plan { fault: loses, ..Plan::default() });
    told.expect_fault("FAULT: of 400 deliveries 8 are missing");
}

#[test]
fn a_planted_duplicate_is_counted() {
    let doubles = fault(|index, line| vec![line; 1 + usize::from(index == 30)]);
    let told = through(Plan { fault: doubles, ..Plan::default() });
    told.expect_fault("FAULT: of 400 deliveries 4 came twice");
}

#[test]
fn a_planted_swap_is_counted() {
    let mut kept = None;
    let swaps = fault(move |index, line| match index {
        40 => {
            kept = Some(line);
            Vec::new()
        }
        41 => vec![line, kept.take().unwrap()],
        _ => vec![line],
    });
    let told = through(Plan { fault: swaps, ..Plan::default() });
    told.expect_fault("FAULT: of 400 deliveries 4 came out of order");
}

#[test]
fn a_cut_line_is_counted() {
    let cuts = fault(|index, mut line| {
        if index == 50 {
            line.drain(20..40);
        }
        vec![line]
    });
    let told = through(Plan { fault: cuts, ..Plan::default() });
    assert_eq!((told.figure("damaged"), told.figure("lost")), (4.0, 4.0));
}

#[test]
fn a_planted_delay_is_in_every_latency() {
    let told = through(Plan { delay: Duration::from_millis(300), ..Plan::default() });
    told.expect_clean();
    let [p50, max] = ["intended p50", "intended max"].map(|label| told.figure(label) / 1_000.0);
    assert!((300.0..600.0).contains(&p50) && max >= 300.0, "{}", told.text());
}

#[test]
fn a_stall_is_in_the_curve_of_intended_times_and_not_in_that_of_sent_ones() {
    let stall = Some((100, Duration::from_millis(400)));
    let at = line_server(Plan { stall, ..Plan::default() });
    let told = bench(&format!(
        "fanout --server {at} --subscribers 2 --rate 500 --window 1 --duration 2s --warmup 0s"
    ));
    told.expect_clean();
    let ms = |label: &str| told.figure(label) / 1_000.0;
    // One line of 1,000 waited for it; some 200 were meant meanwhile, half of them 200 ms early.
    assert!(ms("sent max") >= 400.0, "{}", told.text());
    assert!(ms("sent p99") < 200.0, "{}", told.text());
    assert!(ms("intended p99") > 300.0, "{}", told.text());
}

#[test]
fn a_generator_that_was_held_up_says_that_its_figures_are_invalid() {
    let (begun, heard) = channel();
    let at = line_server(Plan { begun: Some(begun), ..Plan::default() });
    let words = "--subscribers 2 --rate 500 --duration 1s --warmup 0s";
    let program = start(&format!("fanout --server {at} {words}"));
    heard.recv_timeout(super::support::WITHIN).expect("the first line");
    program.signal(Signal::STOP);
    wait(Duration::from_millis(500));
    program.signal(Signal::CONT);
    let told = finish(program);
    assert_eq!(told.code, 1, "{}", told.text());
    let line = "reactor: INVALID: the bench was the bottleneck: ";
    assert!(told.errors.starts_with(line), "{}", told.errors);
    assert!(told.figure("schedule lag max") >= 400_000.0, "{}", told.text());
    assert_eq!(told.figure("lost"), 0.0);
}

#[test]
fn planted_faults_of_an_echo_are_counted() {
    let mut kept = None;
    let faults = fault(move |index, datagram| match index {
        10 | 20 => Vec::new(),
        30 => vec![datagram.clone(), datagram],
        40 => {
            kept = Some(datagram);
            Vec::new()
        }
        41 => vec![datagram, kept.take().unwrap()],
        _ => vec![datagram],
    });
    let at = echo_server(faults.unwrap());
    let told =
        bench(&format!("udp --server {at} --clients 1 --rate 500 --messages 100 --warmup 0s"));
    assert_eq!(told.code, 1);
    let figures = ["lost", "duplicates", "out of order", "lost, unknown where"];
    assert_eq!(figures.map(|label| told.figure(label)), [2.0, 1.0, 1.0, 2.0], "{}", told.text());
}

#[test]
fn datagrams_that_a_full_receive_queue_lost_are_told_from_others() {
    if !std::path::Path::new("/proc/net/udp").exists() {
        return skip("no /proc/net/udp");
    }
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    rustix::net::sockopt::set_socket_recv_buffer_size(&socket, 1).unwrap();
    let at = socket.local_addr().unwrap();
    // Nobody reads until long after the last one was sent.
    std::thread::spawn(move || {
        wait(Duration::from_millis(700));
        echo(&socket, &mut (Box::new(|_, datagram| vec![datagram]) as Fault));
    });
    let told = bench(&format!(
        "udp --server {at} --clients 1 --rate 1000 --messages 50 --warmup 0s --size 1000"
    ));
    let [lost, queue] = ["lost", "server's receive queue"].map(|label| told.figure(label));
    assert!(lost > 20.0 && lost == queue, "{}", told.text());
}

#[test]
fn a_limit_that_cannot_be_kept_is_broken() {
    let told = bench("rtt --messages 20 --warmup 0s --slo p50=1us --slo max=1h");
    assert_eq!(told.code, 1);
    assert!(told.errors.contains("p50 is over 1µs: "), "{}", told.errors);
    assert!(!told.errors.contains("max is over"), "{}", told.errors);
    let told = bench("rtt --ramp --rate 1 --slo p50=1us");
    assert!(told.code == 1 && told.text().contains("at 10/s: "), "{}", told.text());
}

#[test]
fn somebody_else_s_server_is_looked_at_by_its_process() {
    let server = Program::chat();
    let (at, pid) = (server.tcp(), server.id());
    let told = bench(&format!("rtt --server {at} --pid {pid} --messages 20 --warmup 0s"));
    told.expect_clean();
    assert!(told.figure("server CPU a round trip") > 0.0, "{}", told.text());
    assert!(told.figure("server memory") > 0.0, "{}", told.text());
}

#[test]
fn a_window_goes_out_in_two_halves() {
    let told = bench("fanout --subscribers 4 --window 16 --duration 300ms --warmup 100ms");
    told.expect_clean();
    // A server that reads between the two writes of a half has less.
    let lines = told.figure("lines a send");
    assert!((1.0..=8.5).contains(&lines), "{}", told.text());
}

#[test]
fn round_trips_keep_their_rate() {
    let told = bench("rtt --rate 200 --messages 40 --warmup 0s");
    told.expect_clean();
    assert_eq!(told.figure("round trips"), 40.0, "{}", told.text());
}

#[test]
fn each_repeat_is_a_run_of_its_own() {
    let told = bench("udp --clients 2 --messages 10 --rate 100 --warmup 0s --repeat 2");
    told.expect_clean();
    let told = bench("fanout --subscribers 2 --messages 10 --warmup 0s --repeat 2");
    told.expect_clean();
}

#[test]
fn a_signal_ends_it_and_its_server() {
    let (begun, heard) = channel();
    let at = line_server(Plan { begun: Some(begun), ..Plan::default() });
    let mut program = start(&format!("fanout --server {at} --subscribers 2 --duration 1h"));
    heard.recv_timeout(super::support::WITHIN).expect("the first line");
    program.signal(Signal::INT);
    assert_eq!(program.status().signal(), Some(Signal::INT.as_raw()));
    assert_eq!((program.out.text(), program.err.text()), (String::new(), String::new()));
}

#[test]
fn what_makes_no_sense_is_a_usage_error() {
    for (words, line) in [
        ("fanout --size 10", "--size 10: 27 to 65536 bytes"),
        ("fanout --window 3", "--window 3: 1 or even, for it goes out in two halves"),
        ("fanout --overlap 2", "--overlap 2: at most the publishers and the subscribers"),
        (
            "fanout --subscribers 1 --overlap 1",
            "--overlap 1: nobody would hear the one that is both",
        ),
        (
            "fanout --publishers 2 --protocol raw",
            "--protocol raw: who hears several publishers cannot tell their pieces apart; \
             take --publishers 1, or --protocol lines",
        ),
        ("udp --burst 4 --window 6", "--window 6: whole bursts of 4"),
        ("udp --size 65508", "--size 65508: 27 to 65507 bytes"),
        ("rtt --duration 0s", "--duration 0s: nothing would be measured"),
        (
            "fanout --window 4 --ramp --slo p99=5ms",
            "--ramp: looks for a rate; take --rate with --window",
        ),
    ] {
        start(words).expect_failure(2, line);
    }
    for words in ["fanout --ramp", "fanout --slo p101=1s", "fanout --slo 5ms", "rtt --pid 1"] {
        let mut program = start(words);
        program.end_input();
        assert_eq!(program.exit(), 2, "{words}");
    }
}

#[test]
fn a_server_that_turns_connections_away_is_not_measured() {
    let server = Program::serve(&["--deny", "127.0.0.1/32"]);
    let told = bench(&format!("connect --server {} --messages 20 --warmup 0s", server.tcp()));
    assert_eq!(told.code, 1, "{}{}", told.text(), told.errors);
    assert!(
        told.errors.contains("connections away: a rule, a limit or a secret"),
        "{}",
        told.errors
    );
    let mut program = start(&format!("fanout --server {} --subscribers 3", server.tcp()));
    program.end_input();
    assert_eq!(program.exit(), 1);
    let told = program.err.text();
    assert!(told.contains("INVALID: the server turned a peer away: * not allowed"), "{told}");
}

#[test]
fn a_server_that_is_not_there_is_one_line() {
    let at = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let line = format!("tcp {at}: connect: Connection refused (os error 111)");
    start(&format!("fanout --server {at}")).expect_failure(1, &line);
    start(&format!("connect --server {at}")).expect_failure(1, &line);
}
