//! The scenario without connections: each client keeps a window of datagrams on their way, and every
//! echo must be one of its own, whole.

use crate::Load;
use crate::scenarios::histogram;
use crate::usage::Usage;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::UdpGsoSegment;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::sockopt;
use serde_json::{Value, json};
use std::error::Error;
use std::io::ErrorKind;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

/// A client whose echoes stay away for so long has lost its window and sends another.
const LOST_AFTER: Duration = Duration::from_millis(200);

/// Room for what a client's window brings back at once.
const BUFFER_BYTES: usize = 1 << 20;

/// What one UDP_SEGMENT call may hold: UDP_MAX_SEGMENTS of Linux before 5.18, and one datagram's bytes.
const BURST_MAX: usize = 64;
const BURST_BYTES_MAX: usize = 65_507;

/// The head of a datagram of sockperf's clients, in network order: a number of 64 bits, the flags
/// "of a client" and "to be answered", the length.
const SOCKPERF_HEAD: usize = 16;

struct Client {
    socket: UdpSocket,
    /// Number of the next datagram; those on their way end before it.
    next: u64,
    away: usize,
    /// When the last one came or the window was sent.
    last: Instant,
}

struct Clients {
    size: usize,
    sockperf: bool,
    /// So many leave in one call, which the kernel cuts into datagrams (UDP_SEGMENT).
    burst: usize,
    begun: Instant,
    /// A burst's datagrams, end to end.
    datagrams: Vec<u8>,
    sent: u64,
    refused: u64,
}

/// Figures of the measured time.
#[derive(Default)]
struct Got {
    echoes: u64,
    lost: u64,
    strange: u64,
}

pub(crate) fn udp(
    load: &Load,
    window: usize,
    burst: usize,
    sockperf: bool,
) -> Result<Value, Box<dyn Error>> {
    let head = if sockperf { SOCKPERF_HEAD } else { 0 };
    if load.size < head + 16 {
        return Err(format!("a datagram has at least {} bytes", head + 16).into());
    }
    if burst > BURST_MAX || burst * load.size > BURST_BYTES_MAX || !window.is_multiple_of(burst) {
        return Err(
            format!("a window of whole bursts, each of at most {BURST_MAX} datagrams").into()
        );
    }
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let begun = Instant::now();
    let datagrams = vec![b'x'; burst * load.size];
    let mut all =
        Clients { size: load.size, sockperf, burst, begun, datagrams, sent: 0, refused: 0 };
    let mut clients = Vec::new();
    for index in 0..load.peers {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(load.server)?;
        socket.set_nonblocking(true)?;
        if burst > 1 {
            setsockopt(&socket, UdpGsoSegment, &i32::try_from(load.size)?)?;
        }
        sockopt::set_socket_recv_buffer_size(&socket, BUFFER_BYTES)?;
        epoll::add(&epoll, &socket, EventData::new_u64(index as u64), EventFlags::IN)?;
        clients.push(Client { socket, next: 0, away: 0, last: begun });
    }
    clients.iter_mut().for_each(|client| all.fill(client, window));
    let warm = Duration::from_secs_f64(load.seconds.min(0.5));
    let end = warm + Duration::from_secs_f64(load.seconds);
    let mut first: Option<(Instant, Usage)> = None;
    let (mut got, mut latency) = (Got::default(), histogram()?);
    let mut events: Vec<epoll::Event> = Vec::with_capacity(1_024);
    let mut buffer = vec![0; 65_536];
    let mut looked = Instant::now();
    loop {
        let timeout = LOST_AFTER.try_into()?;
        match epoll::wait(&epoll, spare_capacity(&mut events), Some(&timeout)) {
            Err(Errno::INTR) | Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        for event in events.drain(..) {
            let data = event.data;
            let client = &mut clients[data.u64() as usize];
            loop {
                match client.socket.recv(&mut buffer) {
                    Ok(n) => match all.read(&buffer[..n]) {
                        Some((number, sent)) => {
                            client.last = Instant::now();
                            got.echoes += 1;
                            let now = begun.elapsed().as_nanos() as u64;
                            latency.record(now - sent).expect("it grows");
                            // An echo that comes after its window was given up opens no place.
                            if client.next - number <= window as u64 + client.away as u64 {
                                client.away = client.away.saturating_sub(1);
                            }
                        }
                        None => got.strange += 1,
                    },
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(format!("recv: {error}").into()),
                }
            }
            all.fill(client, window);
        }
        let now = Instant::now();
        if now - looked > LOST_AFTER {
            looked = now;
            for client in clients.iter_mut().filter(|client| now - client.last > LOST_AFTER) {
                got.lost += client.away as u64;
                client.away = 0;
                all.fill(client, window);
            }
        }
        let elapsed = now - begun;
        match &first {
            None if elapsed >= warm => {
                first = Some((now, Usage::of(load.pid)));
                (got, latency) = (Got::default(), histogram()?);
                (all.sent, all.refused) = (0, 0);
            }
            Some((from, usage)) if elapsed >= end => {
                let seconds = (now - *from).as_secs_f64();
                let to = Usage::of(load.pid);
                if got.echoes == 0 {
                    return Err("no echo came".into());
                }
                return Ok(json!({
                    "seconds": seconds,
                    "echoes": got.echoes,
                    "echoes_per_s": got.echoes as f64 / seconds,
                    "cpu_ns_per_echo": (to.cpu_ns - usage.cpu_ns) as f64 / got.echoes as f64,
                    "server_busy": (to.cpu_ns - usage.cpu_ns) as f64 / 1e9 / seconds,
                    "lost": got.lost,
                    "strange": got.strange,
                    "refused_by_own_socket": all.refused,
                    "p50_us": latency.value_at_quantile(0.5) as f64 / 1e3,
                    "p99_us": latency.value_at_quantile(0.99) as f64 / 1e3,
                }));
            }
            _ => {}
        }
    }
}

impl Clients {
    /// Sends bursts while the window has room for a whole one.
    fn fill(&mut self, client: &mut Client, window: usize) {
        let head = if self.sockperf { SOCKPERF_HEAD } else { 0 };
        while client.away + self.burst <= window {
            let now = self.begun.elapsed().as_nanos() as u64;
            for datagram in self.datagrams.chunks_exact_mut(self.size) {
                if self.sockperf {
                    datagram[..8].copy_from_slice(&client.next.to_be_bytes());
                    datagram[8..10].copy_from_slice(&3u16.to_be_bytes());
                    datagram[10..14].copy_from_slice(&(self.size as u32).to_be_bytes());
                }
                datagram[head..head + 8].copy_from_slice(&client.next.to_le_bytes());
                datagram[head + 8..head + 16].copy_from_slice(&now.to_le_bytes());
                client.next += 1;
            }
            client.away += self.burst;
            self.sent += self.burst as u64;
            if client.socket.send(&self.datagrams).is_err() {
                self.refused += self.burst as u64;
            }
        }
    }

    /// Number and time of an echo; None where it is not ours or not whole.
    fn read(&self, echo: &[u8]) -> Option<(u64, u64)> {
        let head = if self.sockperf { SOCKPERF_HEAD } else { 0 };
        if echo.len() != self.size || echo[head + 16..].iter().any(|&byte| byte != b'x') {
            return None;
        }
        let eight =
            |at: usize| echo[head + at..head + at + 8].try_into().ok().map(u64::from_le_bytes);
        eight(0).zip(eight(8))
    }
}
