//! Many clients on one epoll: dialling, reading, writing, and what each has heard. Messages are
//! numbered; each subscriber's count and sum of numbers must be right, and with one publisher their
//! order too.

use crate::protocol::Protocol;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// Room for one recv: more than a whole window of the longest message.
const RECV_BYTES: usize = 256 << 10;

/// Events of one epoll_wait.
const EVENTS: usize = 1_024;

/// Numbers of messages that are no measurement: all must hear the first, then the second.
const READY: u64 = u32::MAX as u64 - 1;
const GO: u64 = u32::MAX as u64;

/// Between two READYs: enough for 10,000 peers to be told.
const READY_EVERY: Duration = Duration::from_millis(250);

/// All must be ready within this.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// The shortest message: number, time, newline.
pub(crate) const SIZE_MIN: usize = 26;

/// The timer's token; clients have their index.
const TIMER: u64 = u64::MAX;

/// One connection.
struct Client {
    socket: TcpStream,
    subscribes: bool,
    /// A piece that is not whole.
    rest: Vec<u8>,
    /// What the socket did not take.
    out: Vec<u8>,
    heard: Heard,
}

/// What a subscriber has heard since GO.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Heard {
    pub(crate) messages: u64,
    /// Sum of the messages' numbers.
    pub(crate) sum: u64,
    ready: bool,
    go: bool,
}

/// One message, heard by one subscriber.
pub(crate) struct Delivery {
    pub(crate) client: usize,
    pub(crate) number: u64,
    /// When it was to be sent, in ns since the load's start.
    pub(crate) intended: u64,
}

/// What the load has done.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) deliveries: u64,
    /// recv calls that brought something.
    pub(crate) reads: u64,
}

pub(crate) struct Crowd {
    epoll: OwnedFd,
    timer: OwnedFd,
    clients: Vec<Client>,
    server: SocketAddr,
    protocol: Protocol,
    size: usize,
    begun: Instant,
    buffer: Vec<u8>,
    template: Vec<u8>,
    pub(crate) counts: Counts,
    subscribers: usize,
    /// Subscribers that have heard READY, and GO.
    are: [usize; 2],
}

impl Crowd {
    pub(crate) fn new(
        server: SocketAddr,
        protocol: Protocol,
        size: usize,
    ) -> Result<Self, Box<dyn Error>> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK)?;
        let flags = EventFlags::IN | EventFlags::ET;
        epoll::add(&epoll, &timer, EventData::new_u64(TIMER), flags)?;
        let mut template = vec![b'x'; size];
        template[size - 1] = b'\n';
        Ok(Crowd {
            epoll,
            timer,
            clients: Vec::new(),
            server,
            protocol,
            size,
            begun: Instant::now(),
            buffer: vec![0; RECV_BYTES],
            template,
            counts: Counts::default(),
            subscribers: 0,
            are: [0; 2],
        })
    }

    /// Since the load's start, in ns.
    pub(crate) fn now(&self) -> u64 {
        self.begun.elapsed().as_nanos() as u64
    }

    pub(crate) fn heard(&self, client: usize) -> Heard {
        self.clients[client].heard
    }

    /// Connects one client, a subscriber where it names a topic. The dial blocks: where the server
    /// does not accept fast enough, so it goes on at its pace. Returns its index.
    pub(crate) fn dial(&mut self, topic: Option<char>) -> Result<usize, Box<dyn Error>> {
        let mut socket = TcpStream::connect(self.server)?;
        socket.set_nodelay(true)?;
        socket.write_all(&self.protocol.hello(topic))?;
        socket.set_nonblocking(true)?;
        let index = self.clients.len();
        let flags = EventFlags::IN;
        epoll::add(&self.epoll, &socket, EventData::new_u64(index as u64), flags)?;
        let (heard, subscribes) = (Heard::default(), topic.is_some());
        self.subscribers += usize::from(subscribes);
        let (rest, out) = (Vec::new(), Vec::new());
        self.clients.push(Client { socket, subscribes, rest, out, heard });
        Ok(index)
    }

    /// Says READY until all subscribers have heard it, then GO until all have heard that: from
    /// then on each hears every message.
    pub(crate) fn settle(
        &mut self,
        publisher: usize,
        topics: &[char],
    ) -> Result<(), Box<dyn Error>> {
        let deadline = Instant::now() + READY_WITHIN;
        let deaf = usize::from(self.clients[publisher].subscribes && !self.hears_itself());
        self.are = [0; 2];
        self.clients.iter_mut().for_each(|client| client.heard = Heard::default());
        for (stage, number) in [READY, GO].into_iter().enumerate() {
            let mut said = false;
            let mut next = Instant::now();
            while self.are[stage] + deaf < self.subscribers {
                let now = Instant::now();
                if now > deadline {
                    let [ready, go] = self.are;
                    let all = self.subscribers;
                    return Err(format!(
                        "of {all} subscribers {ready} heard the first message, {go} the second"
                    )
                    .into());
                }
                if now >= next && !(said && stage == 1) {
                    for &topic in topics {
                        self.publish(publisher, topic, number..number + 1, |_| 0);
                    }
                    next = now + READY_EVERY;
                    said = true;
                }
                self.wait(Some(Duration::from_millis(20)), |_| {})?;
            }
        }
        self.counts = Counts::default();
        Ok(())
    }

    fn hears_itself(&self) -> bool {
        self.protocol.hearers(2) == 2
    }

    /// Sends these messages in one write; `intended` says when each was to be sent.
    pub(crate) fn publish(
        &mut self,
        client: usize,
        topic: char,
        numbers: std::ops::Range<u64>,
        intended: impl Fn(u64) -> u64,
    ) {
        for number in numbers {
            let mark = format!("{number:08x} {:016x}", intended(number));
            self.template[..mark.len()].copy_from_slice(mark.as_bytes());
            self.protocol.publish(topic, &self.template, &mut self.clients[client].out);
        }
        self.clients[client].push_out();
    }

    /// Waits for what comes, or for this long, and tells each delivery. A timeout of None is the
    /// timer's.
    pub(crate) fn wait(
        &mut self,
        timeout: Option<Duration>,
        mut heard: impl FnMut(Delivery),
    ) -> Result<(), Box<dyn Error>> {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(EVENTS);
        let timeout = timeout.map(Timespec::try_from).transpose()?;
        match epoll::wait(&self.epoll, spare_capacity(&mut events), timeout.as_ref()) {
            Err(Errno::INTR) | Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            let data = event.data;
            if data.u64() != TIMER {
                self.read(data.u64() as usize, &mut heard)?;
            }
        }
        // What a socket did not take is tried at each turn: a publisher's window is small.
        if self.clients.len() < 2_000 {
            self.clients.iter_mut().for_each(Client::push_out);
        } else {
            self.clients[0].push_out();
        }
        Ok(())
    }

    /// Makes the next `wait` end in so many ns at the latest, to the µs and not to the ms.
    pub(crate) fn wake_in(&self, ns: u64) -> Result<(), Box<dyn Error>> {
        let time = Timespec::try_from(Duration::from_nanos(ns.max(1)))?;
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        let once = Itimerspec { it_interval: never, it_value: time };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }

    fn read(
        &mut self,
        index: usize,
        heard: &mut impl FnMut(Delivery),
    ) -> Result<(), Box<dyn Error>> {
        let client = &mut self.clients[index];
        let n = match client.socket.read(&mut self.buffer) {
            Ok(0) => return Err(format!("the server closed connection {index}").into()),
            Ok(n) => n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(format!("connection {index}: {error}").into()),
        };
        self.counts.reads += u64::from(client.subscribes);
        let kept = !client.rest.is_empty();
        let mut rest = std::mem::take(&mut client.rest);
        if kept {
            rest.extend_from_slice(&self.buffer[..n]);
        }
        let input = if kept { &rest[..] } else { &self.buffer[..n] };
        let mut at = 0;
        while at < input.len() {
            let Some(piece) = self.protocol.piece(&input[at..], self.size)? else { break };
            at += piece.used;
            let Some(message) = piece.message.filter(|_| client.subscribes) else { continue };
            let Some((number, intended)) = mark(message, &self.template) else {
                return Err(format!("damaged: {:?}", String::from_utf8_lossy(message)).into());
            };
            match number {
                READY => {
                    self.are[0] += usize::from(!std::mem::replace(&mut client.heard.ready, true))
                }
                GO => self.are[1] += usize::from(!std::mem::replace(&mut client.heard.go, true)),
                _ => {
                    client.heard.messages += 1;
                    client.heard.sum = client.heard.sum.wrapping_add(number);
                    self.counts.deliveries += 1;
                    heard(Delivery { client: index, number, intended });
                }
            }
        }
        if at < input.len() {
            client.rest = input[at..].to_vec();
        }
        Ok(())
    }
}

impl Client {
    fn push_out(&mut self) {
        if self.out.is_empty() {
            return;
        }
        // An error shows at the next read.
        if let Ok(n) = self.socket.write(&self.out) {
            self.out.drain(..n);
        }
        if self.out.is_empty() {
            self.out = Vec::new();
        }
    }
}

/// Number and intended time of a message that is whole; `template` has the bytes behind them.
fn mark(message: &[u8], template: &[u8]) -> Option<(u64, u64)> {
    let number = hex(&message[..8])?;
    let intended = hex(&message[9..25])?;
    (message[25..] == template[25..]).then_some((number, intended))
}

fn hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value, &digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(digit))
    })
}
