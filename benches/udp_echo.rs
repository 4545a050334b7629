//! UDP echo: round trips through `reactor serve --udp`, beside the least that an echo can be in the
//! same run, a thread that blocks in recv_from and answers with send_to. The figure to read is the
//! ratio of the two: the load is the same, slice by slice in turn, so that what else the machine
//! does meets both. On few cores it also says who happened to share one with the client: only the
//! full run is long enough for that to even out.
//!
//! The load is a closed loop: each client has one datagram on its way. All clients send, then each
//! waits for its own, so a round trip of many clients includes the others'. `-- --quick` takes
//! seconds; without `--bench`, which is how `cargo test` runs it, it only shows that it works.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// Clients and bytes a datagram; 1,400 fit into an Ethernet frame, 32 are a game's or a probe's.
const RUNS: [(usize, usize); 4] = [(1, 32), (1, 1_400), (64, 32), (64, 1_400)];

/// Slices of each of the two, in turn.
const SLICES: usize = 8;

/// A datagram that is away for so long is lost. Loopback loses none but for want of buffers.
const LOST_AFTER: Duration = Duration::from_secs(1);

/// What the bare echo ends on.
const STOP: &[u8] = b"stop";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| words.iter().any(|word| word == flag);
    let full = has("--bench") && !has("--quick") && !has("--test");
    let slice = Duration::from_millis(if full { 500 } else { 10 });

    let server = Server::start();
    let bare = UdpSocket::bind("127.0.0.1:0").expect("loopback has a free port");
    let bare_at = bare.local_addr().expect("it is bound");
    let echo = std::thread::spawn(move || bare_echo(&bare));

    println!(
        "{:>7} {:>6} {:>12} {:>8} {:>8} {:>12} {:>8} {:>8} {:>7} {:>5}",
        "clients",
        "bytes",
        "reactor/s",
        "p50 µs",
        "p99 µs",
        "bare/s",
        "p50 µs",
        "p99 µs",
        "ratio",
        "lost"
    );
    for (clients, bytes) in RUNS {
        let [mut ours, mut theirs] = [(); 2].map(|()| Taken::default());
        let (our_clients, their_clients) =
            (Clients::to(server.udp, clients), Clients::to(bare_at, clients));
        for _ in 0..SLICES {
            our_clients.run(bytes, slice, &mut ours);
            their_clients.run(bytes, slice, &mut theirs);
        }
        let (our_rate, their_rate) = (ours.rate(), theirs.rate());
        println!(
            "{clients:>7} {bytes:>6} {our_rate:>12.0} {:>8.1} {:>8.1} {their_rate:>12.0} {:>8.1} {:>8.1} {:>7.2} {:>5}",
            ours.micros(0.5),
            ours.micros(0.99),
            theirs.micros(0.5),
            theirs.micros(0.99),
            our_rate / their_rate,
            ours.lost + theirs.lost
        );
    }
    let stop = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.send_to(STOP, bare_at));
    stop.expect("loopback takes four bytes");
    echo.join().expect("the echo ends on STOP");
    ExitCode::SUCCESS
}

/// The least an echo can be: two calls a datagram, no poll.
fn bare_echo(socket: &UdpSocket) {
    let mut buffer = vec![0; 65_536];
    while let Ok((n, from)) = socket.recv_from(&mut buffer) {
        if &buffer[..n] == STOP || socket.send_to(&buffer[..n], from).is_err() {
            return;
        }
    }
}

struct Clients(Vec<UdpSocket>);

/// What came back, and how fast.
#[derive(Default)]
struct Taken {
    round_trips: Vec<Duration>,
    lost: usize,
    time: Duration,
}

impl Clients {
    fn to(server: SocketAddr, clients: usize) -> Self {
        let socket = || -> std::io::Result<UdpSocket> {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            socket.connect(server)?;
            socket.set_read_timeout(Some(LOST_AFTER))?;
            Ok(socket)
        };
        Clients((0..clients).map(|_| socket().expect("loopback has free ports")).collect())
    }

    fn run(&self, bytes: usize, time: Duration, taken: &mut Taken) {
        let (mut datagram, mut buffer) = (vec![b'x'; bytes], vec![0; bytes + 1]);
        let mut sent = vec![Instant::now(); self.0.len()];
        let begun = Instant::now();
        for round in 0u64.. {
            // A late echo of an earlier round is told by its number.
            datagram[..8].copy_from_slice(&round.to_le_bytes());
            for (socket, sent) in self.0.iter().zip(&mut sent) {
                *sent = Instant::now();
                socket.send(&datagram).expect("loopback takes a datagram of a connected client");
            }
            for (socket, sent) in self.0.iter().zip(&sent) {
                loop {
                    match socket.recv(&mut buffer) {
                        Ok(n) if buffer[..n] == datagram => {
                            taken.round_trips.push(sent.elapsed());
                        }
                        Ok(_) => continue,
                        Err(_) => taken.lost += 1,
                    }
                    break;
                }
            }
            if begun.elapsed() >= time {
                break;
            }
        }
        taken.time += begun.elapsed();
    }
}

impl Taken {
    fn rate(&self) -> f64 {
        self.round_trips.len() as f64 / self.time.as_secs_f64()
    }

    fn micros(&mut self, quantile: f64) -> f64 {
        self.round_trips.sort_unstable();
        let last = self.round_trips.len().saturating_sub(1);
        let at = (last as f64 * quantile) as usize;
        self.round_trips.get(at).map_or(0.0, |time| time.as_nanos() as f64 / 1_000.0)
    }
}

/// A `reactor serve --udp`, killed when it is dropped.
struct Server {
    child: Child,
    udp: SocketAddr,
}

impl Server {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_reactor"))
            .args(["serve", "--udp", "127.0.0.1:0", "--console", "off"])
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary that cargo has just built starts");
        let stderr = child.stderr.as_mut().expect("stderr is piped");
        let lines = BufReader::new(stderr).lines().map_while(Result::ok);
        let at = lines
            .into_iter()
            .find_map(|line| line.strip_prefix("listening udp ")?.split(' ').next()?.parse().ok());
        Server { child, udp: at.expect("serve says where it listens") }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already, which is what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
