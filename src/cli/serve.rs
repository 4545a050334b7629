//! `reactor serve` on the command line.

use super::admission::AdmissionArgs;
use super::control::ManagementArgs;
use super::service::{Passed, ServiceArgs, instead};
use super::unix::UnixArgs;
use super::{DEFAULT, Error, FamilyArgs, Look, ProtocolArg, Size, parse_duration, resolve};
use crate::address::{Group, GroupError, Transport, Use};
use crate::echo;
use crate::handler::FOR_EVER;
use crate::os::activation::Inherited;
use crate::os::interfaces;
use crate::reactor::Spin;
use crate::serve::{self, ConsoleMode, FloodLimits, Rules, Slow};
use crate::wire::{LINE_LEN_MAX, Protocol};
use clap::{Args, ValueEnum, value_parser};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The largest `--udp-rate` and `--udp-burst`: one socket does not get more.
const UDP_RATE_MAX: i64 = 10_000_000;

/// The largest `--send-buffer`: no system gives more.
const SEND_BUFFER_MAX: usize = 1024 * 1024 * 1024;

/// So much longer than `--stall-timeout` TCP itself waits (TCP_USER_TIMEOUT): its clock runs for a
/// peer that reads nothing too, and ours, which tells why, must be the first.
const USER_TIMEOUT_MARGIN: Duration = Duration::from_secs(60);

/// The option takes milliseconds in 32 bits.
const USER_TIMEOUT_MOST: Duration = Duration::from_secs(24 * 3600);

/// `reactor serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Serve chat over TCP at ADDR; may be repeated. Without --tcp, --udp and --unix: both [default
    /// for ADDR: 127.0.0.1:65432].
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = DEFAULT)]
    tcp: Vec<String>,
    /// Answer datagrams at ADDR; may be repeated [default for ADDR: 127.0.0.1:65432].
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = DEFAULT)]
    udp: Vec<String>,
    /// Answer datagrams from source ports below 1024 too: many services there answer in turn.
    #[arg(long)]
    udp_any_port: bool,
    /// Answers a second to one source prefix (IPv4: 24 bits, IPv6: 64), loopback excepted; 0: no
    /// limit.
    #[arg(long, value_name = "N", default_value_t = echo::RATE)]
    #[arg(value_parser = value_parser!(u32).range(..=UDP_RATE_MAX))]
    udp_rate: u32,
    /// Answers at once to such a prefix after a silence.
    #[arg(long, value_name = "N", default_value_t = echo::BURST)]
    #[arg(value_parser = value_parser!(u32).range(1..=UDP_RATE_MAX))]
    udp_burst: u32,
    /// Join a multicast group, and answer what is sent to it; may be repeated [default:
    /// none].
    #[arg(long, value_name = "GROUP[%IFACE]")]
    udp_group: Vec<String>,
    /// Answer what is sent to a broadcast address.
    #[arg(long)]
    udp_broadcast: bool,
    /// What a message is.
    #[arg(long, value_enum, default_value_t = ProtocolArg::Chat)]
    protocol: ProtocolArg,
    /// Longest line; a longer one ends its sender's connection.
    #[arg(long, value_name = "SIZE", default_value_t = Size::bytes(LINE_LEN_MAX as u64))]
    line_max: Size,
    /// What is done for readers slower than their room [default: skip in chat, else disconnect].
    #[arg(long, value_enum)]
    slow: Option<SlowArg>,
    /// Close who takes nothing of what is pending for so long.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
    stall_timeout: Duration,
    /// Close who sends nothing for so long; 0s: nobody.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = parse_duration)]
    idle_timeout: Duration,
    /// Close whose line has no end so long after its first byte (chat and lines).
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
    line_timeout: Duration,
    /// How long a stop waits for peers to take what they are owed.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    stop_timeout: Duration,
    #[command(flatten)]
    flood: FloodArgs,
    /// The log of each room, from which slow readers and newcomers read: at least four of the longest messages.
    #[arg(long, value_name = "SIZE", default_value_t = Size::bytes(serve::LOG_BYTES as u64))]
    log_bytes: Size,
    /// What all peers' buffers may hold together, the rooms' logs apart; past it one is closed.
    #[arg(long, value_name = "SIZE", default_value_t = Size::bytes(serve::BUFFERS_TOTAL as u64))]
    buffers_total: Size,
    /// SO_SNDBUF of each connection, which Linux doubles; 0 leaves it to the system.
    #[arg(long, value_name = "SIZE", default_value_t = Size::bytes(serve::SEND_BUFFER as u64))]
    send_buffer: Size,
    /// Rooms at once.
    #[arg(long, value_name = "N", default_value_t = 64)]
    #[arg(value_parser = value_parser!(u16).range(1..))]
    rooms_max: u16,
    /// Messages that a newcomer to a room gets (chat); 0 for none.
    #[arg(long, value_name = "N", default_value_t = 20)]
    history: u32,
    /// Look for TIME (or `auto`: after traffic) before sleeping: shorter round trips, a busy core
    /// [default: 0s].
    #[arg(long, value_name = "TIME|auto", value_parser = parse_spin)]
    spin: Option<Spin>,
    /// Let what came in wait up to TIME for more of its kind: fewer sends, longer latency.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = parse_duration)]
    gather: Duration,
    /// What stdin and stdout are for.
    #[arg(long, value_enum, default_value_t = ConsoleArg::Chat)]
    console: ConsoleArg,
    #[command(flatten)]
    unix: UnixArgs,
    #[command(flatten)]
    management: ManagementArgs,
    #[command(flatten)]
    admission: AdmissionArgs,
    #[command(flatten)]
    service: ServiceArgs,
    #[command(flatten)]
    family: FamilyArgs,
}

/// What one peer may say.
#[derive(Debug, Args)]
struct FloodArgs {
    /// Messages a second that one peer may say before it is read more slowly; 0 for no limit.
    #[arg(long, value_name = "N", default_value_t = FloodLimits::default().messages_rate)]
    messages_rate: u32,
    /// Messages that it may say at once after a silence.
    #[arg(long, value_name = "N", default_value_t = FloodLimits::default().messages_burst)]
    #[arg(value_parser = value_parser!(u32).range(1..))]
    messages_burst: u32,
    /// Bytes a second that one peer may say; 0 for no limit.
    #[arg(long, value_name = "SIZE", default_value_t = Size::bytes(FloodLimits::default().bytes_rate))]
    bytes_rate: Size,
    /// Bytes that it may say at once after a silence.
    #[arg(long, value_name = "SIZE", default_value_t = Size::bytes(FloodLimits::default().bytes_burst))]
    bytes_burst: Size,
    /// These limits are for peers of this host too [default: only for others].
    #[arg(long)]
    flood_loopback: bool,
}

/// `--slow`.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum SlowArg {
    /// They skip what they missed and are told how much that was; chat only.
    Skip,
    /// They are closed: what they got is a gapless prefix.
    Disconnect,
    /// Who talks waits until the slowest has caught up.
    Pause,
}

/// `--console`.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ConsoleArg {
    /// stdin and stdout are left alone.
    Off,
    /// Commands are read from stdin, their answers are shown.
    Commands,
    /// The operator talks and hears.
    Chat,
}

impl ServeArgs {
    /// `-6`: no socket takes IPv4 as well.
    pub fn ipv6_only(&self) -> bool {
        self.family.ipv6
    }

    /// `--send-buffer` in bytes.
    pub fn send_buffer(&self) -> Result<usize, Error> {
        let bytes = self.send_buffer.as_u64();
        // setsockopt takes a C int, and the kernel doubles it.
        let send_buffer = usize::try_from(bytes).ok().filter(|&bytes| bytes <= SEND_BUFFER_MAX);
        let most = Size::bytes(SEND_BUFFER_MAX as u64);
        send_buffer.ok_or_else(|| {
            Error::Usage(format!("--send-buffer {}: at most {most}", self.send_buffer))
        })
    }

    /// How long TCP waits for a peer that does not answer: longer than the loop's own clock.
    pub fn user_timeout(&self) -> Duration {
        self.stall_timeout.saturating_add(USER_TIMEOUT_MARGIN).min(USER_TIMEOUT_MOST)
    }

    /// This machine's addresses that a socket on all of them can be reached at.
    fn reachable_at(&self) -> Vec<IpAddr> {
        let addresses = interfaces::addresses().into_iter();
        addresses.filter(|address| address.is_ipv6() || !self.ipv6_only()).collect()
    }

    /// Resolves the addresses; may block on a name server. `descriptors`: how many this process
    /// may have. Of each kind of socket that is `inherited` there are no others.
    pub fn options(
        &self,
        look: Look,
        descriptors: u64,
        inherited: &Inherited,
    ) -> Result<serve::Options, Error> {
        let line_len_max = usize::try_from(self.line_max.as_u64()).unwrap_or(usize::MAX);
        let log_bytes = usize::try_from(self.log_bytes.as_u64()).unwrap_or(usize::MAX);
        let limit = serve::line_len_limit(log_bytes);
        if line_len_max == 0 || line_len_max > limit {
            return Err(Error::Usage(format!(
                "--line-max {}: 1 to {limit} bytes with --log-bytes {}",
                self.line_max.as_u64(),
                self.log_bytes.as_u64()
            )));
        }
        if self.stall_timeout.is_zero() {
            return Err(Error::Usage("--stall-timeout: longer than 0".into()));
        }
        if self.line_timeout.is_zero() {
            return Err(Error::Usage("--line-timeout: longer than 0".into()));
        }
        let buffers_total = usize::try_from(self.buffers_total.as_u64()).unwrap_or(usize::MAX);
        let least = serve::buffers_least(line_len_max);
        if buffers_total < least {
            let given = self.buffers_total;
            return Err(Error::Usage(format!("--buffers-total {given}: at least {least} bytes")));
        }
        if self.gather > PACE_MAX || matches!(self.spin, Some(Spin::For(time)) if time > PACE_MAX) {
            return Err(Error::Usage("--spin and --gather: at most 1s".to_owned()));
        }
        let default = [DEFAULT.to_owned()];
        let neither = self.tcp.is_empty() && self.udp.is_empty() && !self.unix.any();
        let mut management = self.management.management(&self.family)?;
        let passed = Passed::of(inherited, &mut management)?;
        let neither = neither && passed.is_empty();
        let (tcp, udp) =
            if neither { (&default[..], &default[..]) } else { (&*self.tcp, &*self.udp) };
        let family = self.family.family();
        let all = |texts: &[String], transport| -> Result<Vec<SocketAddr>, Error> {
            let mut addresses = Vec::new();
            for text in texts {
                addresses.extend(resolve(text, family, transport, Use::Serve)?);
            }
            Ok(addresses)
        };
        let protocol = self.protocol.protocol();
        let slow = match (self.slow, protocol) {
            (Some(SlowArg::Skip), Protocol::Lines | Protocol::Raw) => {
                let word = protocol.word();
                return Err(Error::Usage(format!(
                    "--slow skip: nothing may be put into a stream of --protocol {word}; \
                     take disconnect or pause"
                )));
            }
            (Some(SlowArg::Skip), _) | (None, Protocol::Chat) => Slow::Skip,
            (Some(SlowArg::Disconnect) | None, _) => Slow::Disconnect,
            (Some(SlowArg::Pause), _) => Slow::Pause,
        };
        Ok(serve::Options {
            tcp: instead("--tcp", passed.tcp, tcp, |tcp| all(tcp, Transport::Tcp))?,
            udp: instead("--udp", passed.udp, udp, |udp| all(udp, Transport::Udp))?,
            unix: self.unix.options(passed.streams, passed.datagrams)?,
            echo: echo::Rules {
                any_port: self.udp_any_port,
                rate: self.udp_rate,
                burst: self.udp_burst,
                groups: !self.udp_group.is_empty(),
                broadcast: self.udp_broadcast,
            },
            udp_groups: self.udp_group.iter().map(|text| group(text)).collect::<Result<_, _>>()?,
            rules: Rules {
                protocol,
                line_len_max,
                log_bytes,
                rooms_max: self.rooms_max,
                history: self.history as usize,
                slow,
                stall_timeout: self.stall_timeout.min(FOR_EVER),
            },
            buffers_total,
            idle_timeout: Some(self.idle_timeout.min(FOR_EVER)).filter(|time| !time.is_zero()),
            line_timeout: self.line_timeout.min(FOR_EVER),
            flood: FloodLimits {
                messages_rate: self.flood.messages_rate,
                messages_burst: self.flood.messages_burst,
                bytes_rate: self.flood.bytes_rate.as_u64(),
                bytes_burst: self.flood.bytes_burst.as_u64(),
                loopback: self.flood.flood_loopback,
            },
            stop_timeout: self.stop_timeout.min(FOR_EVER),
            spin: self.spin.unwrap_or_default(),
            gather: self.gather,
            management,
            admission: self.admission.admission(descriptors)?,
            interfaces: self.reachable_at(),
            service: self.service.service(),
            console: match self.console {
                ConsoleArg::Off => ConsoleMode::Off,
                ConsoleArg::Commands => ConsoleMode::Commands,
                ConsoleArg::Chat => ConsoleMode::Chat,
            },
            stdout_is_terminal: look.stdout_is_terminal,
            terminal: look.terminal,
            color: look.color,
        })
    }
}

/// The longest `--spin` and `--gather`: more is no pace but a stop.
const PACE_MAX: Duration = Duration::from_secs(1);

/// `auto`, or for how long.
fn parse_spin(text: &str) -> Result<Spin, String> {
    match text {
        "auto" => Ok(Spin::Auto),
        time => parse_duration(time).map(Spin::For),
    }
}

fn group(text: &str) -> Result<Group, Error> {
    text.parse().map_err(|error| match error {
        GroupError::Malformed { .. } => Error::Usage(format!("--udp-group {error}")),
        GroupError::Unresolved(_) => Error::Failed(format!("--udp-group {text}: {error}")),
    })
}
