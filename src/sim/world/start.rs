//! What a seed draws before the first turn: the server's options, the loop's budgets. Nothing of what
//! happens later belongs here.

use super::super::epoll::LOOK;
use super::super::kernel::SimOs;
use super::super::random::Random;
use super::World;
use crate::chat::line_len_limit;
use crate::handler::{Endpoint, FOR_EVER, OWNER_ALONE, UnixAddress};
use crate::log_queue::LogQueue;
use crate::reactor::{BUFFERS_TOTAL, Budgets, Limits, Reactor, STALL_TIMEOUT, Spin};
use crate::serve::{ConsoleMode, FloodLimits, Options, Role, Rules, Server, Slow, listen};
use crate::wire::Protocol;
use std::net::SocketAddr;
use std::time::Duration;

/// Nobody floods.
pub(super) const UNLIMITED: FloodLimits = FloodLimits {
    messages_rate: 0,
    messages_burst: 1,
    bytes_rate: 0,
    bytes_burst: 0,
    loopback: false,
};

/// Twenty looks of a world in which nothing is ready.
const SPIN: Duration = LOOK.saturating_mul(20);

impl World {
    pub(super) fn new(seed: u64) -> Result<Self, String> {
        let mut random = Random::new(seed ^ 0x5eed_0f7e_57ed);
        let mut os = SimOs::new(seed);
        os.doze(Some(Duration::from_millis(1)));
        let hard_to_send = os.faults_mut().squeeze > 0 || os.faults_mut().pressure > 0;
        let small = random.below(2) == 0;
        let budgets = Budgets {
            events: random.range(1..=64),
            accepts: random.range(1..=4),
            reads: random.range(1..=8),
            scratch_bytes: random.pick(&[1, 7, 64, 1_024]),
            datagram_reads: 8,
            actions: random.range(1..=8),
            closes: random.range(1..=4),
            sends: if small { random.range(1..=3) } else { 64 },
            sends_a_look: if seed.is_multiple_of(2) { 1 } else { 8 },
            visits: if small { random.range(1..=4) } else { 64 },
        };
        let log_bytes = random.pick(&[1_024, 2_048, 8_192]);
        let protocol = if random.below(3) == 0 { Protocol::Lines } else { Protocol::Chat };
        let slow = match protocol {
            Protocol::Chat => random.pick(&[Slow::Skip, Slow::Disconnect, Slow::Pause]),
            Protocol::Lines | Protocol::Raw => random.pick(&[Slow::Disconnect, Slow::Pause]),
        };
        let rules = Rules {
            protocol,
            line_len_max: line_len_limit(log_bytes).min(600),
            log_bytes,
            rooms_max: random.range(1..=4) as u16,
            history: random.pick(&[0, 0, 3]),
            slow,
            stall_timeout: match random.below(3) {
                0 => Duration::from_millis(random.range(1..=40) as u64),
                _ => STALL_TIMEOUT,
            },
        };
        let options = Options {
            rules,
            buffers_total: match random.below(4) {
                0 => random.range(32..=1_024),
                _ => BUFFERS_TOTAL,
            },
            line_timeout: FOR_EVER,
            flood: match random.below(4) {
                // A thousand a second: who is held has its turn soon.
                0 => FloodLimits {
                    messages_rate: 1_000,
                    messages_burst: random.range(1..=4) as u32,
                    ..UNLIMITED
                },
                _ => UNLIMITED,
            },
            spin: match seed % 8 {
                0 => Spin::Auto,
                1 => Spin::For(SPIN),
                _ => Spin::Off,
            },
            gather: Duration::from_millis(random.pick(&[0, 0, 0, 2])),
            console: random.pick(&[ConsoleMode::Off, ConsoleMode::Commands, ConsoleMode::Chat]),
            stdout_is_terminal: random.below(2) == 0,
            terminal: random.below(2) == 0,
            color: random.below(2) == 0,
            ..Options::bare()
        };
        let mut server = Server::new(&options);
        let mut reactor = Reactor::with_budgets(os, LogQueue::new(), budgets);
        let &Options { rules: Rules { stall_timeout, .. }, buffers_total, .. } = &options;
        reactor.set_limits(Limits { stall_timeout, buffers_total });
        reactor.pace_by(options.spin, options.gather);
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let at = match random.below(4) {
            0 => Endpoint::Unix(UnixAddress::Path("/chat".into())),
            _ => any.into(),
        };
        listen(&mut reactor, &mut server, &at, OWNER_ALONE, Role::Chat)
            .map_err(|error| error.to_string())?;
        let bound = reactor.bind_udp(any, false).map_err(|error| error.to_string())?;
        server.bound_udp(bound);
        if options.console != ConsoleMode::Off {
            reactor.open_console(&mut server).map_err(|error| error.to_string())?;
        }
        Ok(World {
            reactor,
            server,
            random,
            clients: Vec::new(),
            protocol,
            budgets,
            options,
            hard_to_send,
            operator_said: 0,
            datagrams: Vec::new(),
            datagrams_lost: false,
            echo: bound,
            guarded: 0,
        })
    }
}
