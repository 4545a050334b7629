//! What a peer, a connection and a message cost as the peers become many: more than any descriptor
//! limit lets in. The real loop and the real server, in a simulated kernel without faults. That a step is
//! linear in what happened is asserted in system calls; time and memory are told and not asserted,
//! by the two tests that are ignored:
//! `cargo test --release --lib sim::growth -- --ignored --nocapture`.

use super::faults::Faults;
use super::kernel::SimOs;
use super::remote::RemoteId;
use super::trace::Step;
use crate::bench::server::Footprint;
use crate::chat::{Chat, Said};
use crate::handler::{OWNER_ALONE, PeerId, Slices};
use crate::log_queue::LogQueue;
use crate::os::Os;
use crate::reactor::{Budgets, Limits, Reactor};
use crate::serve::{Options, Role, Server, Slow, listen};
use crate::wire::Protocol;
use std::net::SocketAddr;
use std::time::Instant;

/// The rows of the table of peers.
const ROWS: [usize; 6] = [10, 100, 1_000, 10_000, 100_000, 1_000_000];

/// The rows of the table of rooms: up to nearly as many as there may be.
const ROOM_ROWS: [usize; 5] = [10, 100, 1_000, 10_000, 60_000];

/// Connections, events and deliveries whose mean time is told, at least: a tenth of a second or so of each.
const TIMED: usize = 100_000;

/// Each queue's length is drawn from 1 to this: that one is shorter than all that is said here does
/// not happen.
const QUEUE_BYTES_MAX: usize = 1 << 40;

const LINE: &[u8] = b"one line of thirty-two characters\n";

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// The calls that the loop can make while everybody is connected and nothing fails.
const CALLS: [Step; 7] =
    [Step::Now, Step::Poll, Step::Accept, Step::Recv, Step::Send, Step::RecvFrom, Step::SendTo];

fn kernel() -> SimOs {
    SimOs::with(1, Faults { capacity_max: QUEUE_BYTES_MAX, ..Faults::none() })
}

/// A server of lines with so many silent peers.
struct Crowd {
    reactor: Reactor<SimOs>,
    server: Server,
    remotes: Vec<RemoteId>,
    echo: SocketAddr,
}

impl Crowd {
    fn of(peers: usize) -> Self {
        let mut options = Options::bare();
        options.rules.protocol = Protocol::Lines;
        options.rules.slow = Slow::Disconnect;
        let mut server = Server::new(&options);
        let mut reactor = Reactor::new(kernel(), LogQueue::new());
        let stall_timeout = options.rules.stall_timeout;
        reactor.set_limits(Limits { stall_timeout, buffers_total: options.buffers_total });
        let listened = listen(&mut reactor, &mut server, &ANY.into(), OWNER_ALONE, Role::Chat);
        listened.expect("no listen fault exists");
        let echo = reactor.bind_udp(ANY, false).expect("no bind fault exists");
        server.bound_udp(echo);
        let mut crowd = Crowd { reactor, server, remotes: Vec::new(), echo };
        while crowd.remotes.len() < peers {
            match crowd.reactor.os_mut().dial_in(0) {
                Some(remote) if crowd.remotes.len() < peers => crowd.remotes.push(remote),
                _ => crowd.turn(),
            }
        }
        crowd.settle();
        assert_eq!(crowd.reactor.connections(), peers);
        crowd
    }

    fn turn(&mut self) {
        let goes_on = self.reactor.turn(&mut self.server).expect("the simulated poll never fails");
        assert!(goes_on);
    }

    /// Turns until nothing is left to do; the calls that this took, in the order of [`CALLS`].
    fn settle(&mut self) -> [u64; CALLS.len()] {
        let before = self.calls();
        loop {
            self.turn();
            if self.reactor.os_mut().idle_forever() {
                break;
            }
        }
        let after = self.calls();
        std::array::from_fn(|call| after[call] - before[call])
    }

    fn calls(&mut self) -> [u64; CALLS.len()] {
        CALLS.map(|step| self.reactor.os_mut().calls(step))
    }

    /// The last peer says a line to all others.
    fn say(&mut self) -> [u64; CALLS.len()] {
        let talker = self.remotes[self.remotes.len() - 1];
        let os = self.reactor.os_mut();
        os.remote_send(talker, LINE);
        os.deliver(talker);
        self.settle()
    }

    /// Everybody reads what came, and says how much it was.
    fn hear(&mut self) -> usize {
        let Crowd { reactor, remotes, .. } = self;
        let read = |remote: &RemoteId| reactor.os_mut().remote_recv(*remote, usize::MAX).len();
        remotes.iter().map(read).sum()
    }

    /// A datagram comes in and is answered.
    fn echo(&mut self) -> [u64; CALLS.len()] {
        let sender = SocketAddr::from(([127, 0, 0, 1], 9_000));
        let echo = self.echo;
        self.reactor.os_mut().datagram_in(0, sender, Some(echo.ip()), b"echo");
        self.settle()
    }
}

fn count(calls: &[u64; CALLS.len()], step: Step) -> u64 {
    CALLS.iter().zip(calls).find_map(|(&call, &n)| (call == step).then_some(n)).unwrap_or(0)
}

/// Resident memory of this process in bytes.
fn rss_bytes() -> f64 {
    Footprint::own().expect("this test is for a system with /proc").rss_bytes as f64
}

/// Processor time of this thread in ns.
fn cpu_ns() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// Memory in bytes that the loop and the server take for so many connections, the simulated kernel's
/// own part taken off: what the same calls take without a loop above. Nothing of it is given
/// back, so that no second look meets what a first one left.
fn bytes_of(peers: usize) -> f64 {
    let before = rss_bytes();
    let mut os = kernel();
    let mut listener = os.listen(&ANY.into(), OWNER_ALONE, 0).expect("no listen fault exists");
    let streams: Vec<_> = (0..peers)
        .map(|slot| {
            os.dial_in(0).expect("the backlog is empty");
            let peer = PeerId { serial: slot as u64 + 1, slot: slot as u32 };
            os.accept(&mut listener, peer).expect("one waits in the backlog").0
        })
        .collect();
    // The handles are part of what the loop keeps.
    let kernel = rss_bytes() - before - std::mem::size_of_val(&streams[..]) as f64;
    let before = rss_bytes();
    std::mem::forget((os, streams, Crowd::of(peers)));
    rss_bytes() - before - kernel
}

#[test]
fn an_event_costs_the_same_calls_whatever_the_number_of_silent_peers() {
    let [few, many] = [10, 3_000].map(|peers| Crowd::of(peers).echo());
    assert_eq!(few, many);
    assert_eq!(count(&many, Step::SendTo), 1);
    assert_eq!(count(&many, Step::Recv) + count(&many, Step::Send), 0);
}

#[test]
fn connecting_costs_each_the_same_calls_however_many_there_are() {
    for peers in [64, 3_200] {
        let calls = Crowd::of(peers).calls();
        let peers = peers as u64;
        // One at a time finds the backlog empty once a turn; nobody is read, nobody is sent to.
        assert!(count(&calls, Step::Accept) <= peers + count(&calls, Step::Poll));
        let turns = peers / Budgets::default().accepts as u64;
        assert!(count(&calls, Step::Poll) <= turns + 4, "{calls:?}");
        assert!(count(&calls, Step::Now) <= peers + 8 * count(&calls, Step::Poll), "{calls:?}");
        assert_eq!(count(&calls, Step::Send), 0);
    }
}

#[test]
fn a_line_to_all_costs_a_send_each_and_a_wait_for_each_budget_of_sends() {
    for peers in [11, 3_001] {
        let mut crowd = Crowd::of(peers);
        let calls = crowd.say();
        let others = peers as u64 - 1;
        assert_eq!(crowd.hear(), others as usize * LINE.len());
        assert_eq!(count(&calls, Step::Send), others);
        assert_eq!(count(&calls, Step::Recv), 1, "less than a buffer came, and no end was hinted");
        let turns = others.div_ceil(Budgets::default().sends as u64) + 1;
        assert!(count(&calls, Step::Poll) <= turns, "{calls:?}");
        assert!(count(&calls, Step::Now) <= others + 8 * turns, "{calls:?}");
    }
}

#[test]
#[ignore = "a million peers take some gigabytes and a minute; told, not asserted"]
fn a_million_peers() {
    println!("   peers  connect ns  bytes/peer  event ns  delivery ns");
    for peers in ROWS {
        let bytes = bytes_of(peers);
        let rounds = TIMED.div_ceil(peers);
        let begun = cpu_ns();
        (1..rounds).for_each(|_| drop(Crowd::of(peers)));
        let mut crowd = Crowd::of(peers);
        let connected = cpu_ns();
        for _ in 0..TIMED {
            crowd.echo();
        }
        let echoed = cpu_ns();
        crowd.say(); // the simulated queues take their memory
        crowd.hear();
        let quiet = cpu_ns();
        (0..rounds).for_each(|_| {
            crowd.say();
            crowd.hear();
        });
        let said = cpu_ns();
        println!(
            "{peers:>8} {:>11.0} {:>11.1} {:>9.0} {:>12.1}",
            (connected - begun) / (rounds * peers) as f64,
            bytes / peers as f64,
            (echoed - connected) / TIMED as f64,
            (said - quiet) / (rounds * (peers - 1)) as f64,
        );
    }
}

/// Everybody takes all that is pending: how many sends that took.
fn take_all(chat: &mut Chat) -> usize {
    let mut sends = 0;
    while let Some(peer) = chat.next_dirty() {
        let mut slices = Slices::new();
        chat.pending(peer, &mut slices);
        let pending = slices.bytes();
        chat.sent(peer, pending, Instant::now());
        sends += 1;
    }
    sends
}

#[test]
#[ignore = "sixty thousand rooms take a gigabyte and some seconds; told, not asserted"]
fn sixty_thousand_rooms() {
    println!("   rooms  joining ns  deadline ns  delivery ns");
    for rooms in ROOM_ROWS {
        let mut options = Options::bare();
        options.rules.protocol = Protocol::Chat;
        options.rules.slow = Slow::Pause;
        options.rules.rooms_max = u16::MAX;
        options.rules.history = 0;
        let mut chat = Chat::new(options.rules);
        let now = Instant::now();
        let peer = |slot: usize| PeerId { serial: slot as u64 + 1, slot: slot as u32 };
        let begun = cpu_ns();
        for slot in 0..2 * rooms {
            chat.join(peer(slot));
            take_all(&mut chat); // or each would see all before it come
            chat.hear(peer(slot), format!("/join #r{}", slot % rooms).as_bytes(), now);
            take_all(&mut chat);
        }
        let joined = cpu_ns();
        let looks = TIMED / 100;
        for _ in 0..looks {
            std::hint::black_box(chat.next_deadline());
        }
        let looked = cpu_ns();
        let rounds = TIMED.div_ceil(rooms);
        let mut sends = 0;
        for _ in 0..rounds {
            for slot in 0..rooms {
                assert_eq!(chat.say(peer(slot), b"hello", now), Said::Yes);
            }
            sends += take_all(&mut chat);
        }
        let said = cpu_ns();
        assert_eq!(sends, rounds * rooms);
        println!(
            "{rooms:>8} {:>11.0} {:>12.0} {:>12.0}",
            (joined - begun) / (2 * rooms) as f64,
            (looked - joined) / looks as f64,
            (said - looked) / sends as f64,
        );
    }
}
