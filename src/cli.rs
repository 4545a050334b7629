//! The command line: what was typed, turned once into checked options. Only this file and
//! `main.rs` name clap.

use crate::address::{Address, Family, Transport, Use};
use crate::handler::FOR_EVER;
use crate::serve::{ConsoleMode, Rules, Slow};
use crate::wire::{LINE_LEN_MAX, Protocol};
use crate::{bench, connect, serve};
use bytesize::ByteSize;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum, value_parser};
use std::net::SocketAddr;
use std::time::Duration;

/// TCP stream chat and UDP echo in one process, on one poll loop.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub struct Cli {
    /// Tell more on stderr: -v connections, -vv every call of the loop.
    #[arg(short, long, action = ArgAction::Count, global = true)]
    pub verbose: u8,
    /// Tell errors only; where we listen is told all the same.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The programs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve TCP chat and UDP echo.
    Serve(ServeArgs),
    /// Be a peer of such a server.
    Connect(ConnectArgs),
    /// Measure such a server: its own child, or any line server.
    Bench(BenchArgs),
}

/// Which addresses a name may become.
#[derive(Debug, Args)]
pub struct FamilyArgs {
    /// IPv4 only.
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    ipv4: bool,
    /// IPv6 only.
    #[arg(short = '6', long)]
    ipv6: bool,
}

/// `reactor serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Serve chat over TCP at ADDR; may be repeated. Without --tcp and --udp: both.
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = DEFAULT)]
    tcp: Vec<String>,
    /// Answer datagrams at ADDR; may be repeated.
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = DEFAULT)]
    udp: Vec<String>,
    /// What a message is.
    #[arg(long, value_enum, default_value_t = ProtocolArg::Chat)]
    protocol: ProtocolArg,
    /// Longest line; a longer one ends its sender's connection.
    #[arg(long, value_name = "BYTES", default_value_t = ByteSize::b(LINE_LEN_MAX as u64))]
    line_max: ByteSize,
    /// What is done for readers slower than their room [default: skip in chat, else disconnect].
    #[arg(long, value_enum)]
    slow: Option<SlowArg>,
    /// Close who takes nothing of what is pending for so long.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
    stall_timeout: Duration,
    /// Log of each room, at least four of the longest messages.
    #[arg(long, value_name = "BYTES", default_value_t = ByteSize::b(serve::LOG_BYTES as u64))]
    log_bytes: ByteSize,
    /// What all peers' buffers may hold together, the rooms' logs apart; past it one is closed.
    #[arg(long, value_name = "BYTES", default_value_t = ByteSize::b(serve::BUFFERS_TOTAL as u64))]
    buffers_total: ByteSize,
    /// SO_SNDBUF of each connection, which Linux doubles; 0 leaves it to the system.
    #[arg(long, value_name = "BYTES", default_value_t = ByteSize::b(serve::SEND_BUFFER as u64))]
    send_buffer: ByteSize,
    /// Rooms at once.
    #[arg(long, value_name = "N", default_value_t = 64)]
    #[arg(value_parser = value_parser!(u32).range(1..))]
    rooms_max: u32,
    /// Messages that a newcomer to a room gets (chat); 0 for none.
    #[arg(long, value_name = "N", default_value_t = 20)]
    history: u32,
    /// What stdin and stdout are for.
    #[arg(long, value_enum, default_value_t = ConsoleArg::Chat)]
    console: ConsoleArg,
    #[command(flatten)]
    family: FamilyArgs,
}

/// `reactor connect`.
#[derive(Debug, Args)]
pub struct ConnectArgs {
    /// The server: HOST:PORT, [V6]:PORT, a port on this host, or a host.
    /// [default: 127.0.0.1:65432].
    #[arg(value_name = "ADDR", default_value = DEFAULT, hide_default_value = true)]
    server: String,
    /// Send each line as a datagram and print its echo.
    #[arg(long)]
    udp: bool,
    /// What a message is.
    #[arg(long, value_enum, default_value_t = ProtocolArg::Chat)]
    protocol: ProtocolArg,
    /// What to be called (chat) [default: guest and a number, as the server gives it].
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// With --protocol raw: how long the next line waits for an answer [default: for ever].
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    turn_timeout: Option<Duration>,
    #[command(flatten)]
    family: FamilyArgs,
}

/// `reactor bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    #[command(subcommand)]
    scenario: ScenarioArgs,
}

/// What to measure.
#[derive(Debug, Subcommand)]
enum ScenarioArgs {
    /// Publishers speak at a steady rate, subscribers check and clock what reaches them.
    Fanout {
        /// Peers that hear.
        #[arg(long, value_name = "N", default_value_t = 100)]
        #[arg(value_parser = value_parser!(u32).range(1..))]
        subscribers: u32,
        /// Peers that speak.
        #[arg(long, value_name = "N", default_value_t = 1)]
        #[arg(value_parser = value_parser!(u16).range(1..=i64::from(bench::PUBLISHERS_MAX)))]
        publishers: u16,
        /// Lines that each publisher sends.
        #[arg(long, value_name = "N", default_value_t = 500)]
        #[arg(value_parser = value_parser!(u32).range(1..))]
        messages: u32,
        /// Lines a second that each publisher sends, whatever the server does.
        #[arg(long, value_name = "N", default_value_t = 100)]
        #[arg(value_parser = value_parser!(u32).range(1..))]
        rate: u32,
        #[command(flatten)]
        target: TargetArgs,
    },
    /// Many silent peers: what each costs the server, and how long one line to all takes.
    Idle {
        /// Peers that are silent; one more speaks once.
        #[arg(long, value_name = "N", default_value_t = 5_000)]
        #[arg(value_parser = value_parser!(u32).range(2..))]
        peers: u32,
        #[command(flatten)]
        target: TargetArgs,
    },
}

/// Which server, and what it is sent.
#[derive(Debug, Args)]
struct TargetArgs {
    /// A server that is running [default: a child of our own].
    #[arg(long, value_name = "ADDR")]
    server: Option<String>,
    /// What our own server makes of a message: chat or lines.
    #[arg(long, value_enum, default_value_t = ProtocolArg::Chat)]
    protocol: ProtocolArg,
    /// Length of a line with its newline.
    #[arg(long, value_name = "BYTES", default_value_t = ByteSize::b(64))]
    size: ByteSize,
    #[command(flatten)]
    family: FamilyArgs,
}

/// `--protocol`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ProtocolArg {
    /// Lines of text, with names, greetings and notices.
    Chat,
    /// Lines of any bytes, passed on as they are.
    Lines,
    /// What one recv brings, passed on as it is.
    Raw,
}

/// `--slow`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum SlowArg {
    /// They skip what they missed and are told how much that was; chat only.
    Skip,
    /// They are closed: what they got is a gapless prefix.
    Disconnect,
    /// Who talks waits until the slowest has caught up.
    Pause,
}

/// `--console`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ConsoleArg {
    /// stdin and stdout are left alone.
    Off,
    /// Commands are read from stdin, their answers are shown.
    Commands,
    /// The operator talks and hears.
    Chat,
}

/// Why a command did not end well.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What was typed makes no sense: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// What was typed could not be done: exit code 1.
    #[error("{0}")]
    Failed(String),
}

impl Error {
    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            Error::Usage(_) => 2,
            Error::Failed(_) => 1,
        }
    }
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
        let most = ByteSize::b(SEND_BUFFER_MAX as u64);
        send_buffer.ok_or_else(|| {
            Error::Usage(format!("--send-buffer {}: at most {most}", self.send_buffer))
        })
    }

    /// Resolves the addresses; may block on a name server.
    pub fn options(&self, stdout_is_terminal: bool) -> Result<serve::Options, Error> {
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
        let buffers_total = usize::try_from(self.buffers_total.as_u64()).unwrap_or(usize::MAX);
        let least = serve::buffers_least(line_len_max);
        if buffers_total < least {
            let given = self.buffers_total;
            return Err(Error::Usage(format!("--buffers-total {given}: at least {least} bytes")));
        }
        let default = [DEFAULT.to_owned()];
        let neither = self.tcp.is_empty() && self.udp.is_empty();
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
            tcp: all(tcp, Transport::Tcp)?,
            udp: all(udp, Transport::Udp)?,
            rules: Rules {
                protocol,
                line_len_max,
                log_bytes,
                rooms_max: self.rooms_max as usize,
                history: self.history as usize,
                slow,
                stall_timeout: self.stall_timeout.min(FOR_EVER),
            },
            buffers_total,
            console: match self.console {
                ConsoleArg::Off => ConsoleMode::Off,
                ConsoleArg::Commands => ConsoleMode::Commands,
                ConsoleArg::Chat => ConsoleMode::Chat,
            },
            stdout_is_terminal,
        })
    }
}

impl ConnectArgs {
    /// Resolves the server's address; may block on a name server.
    pub fn options(&self, stdout_is_terminal: bool) -> Result<connect::Options, Error> {
        let transport = if self.udp { Transport::Udp } else { Transport::Tcp };
        let addresses = resolve(&self.server, self.family.family(), transport, Use::Connect)?;
        if let Some(name) = &self.name {
            if self.udp || !matches!(self.protocol, ProtocolArg::Chat) {
                return Err(Error::Usage("--name: only the chat has names".to_owned()));
            }
            let refused = |why| Error::Usage(format!("--name {}: {why}", name.escape_debug()));
            connect::check_name(name).map_err(refused)?;
        }
        let typed = (self.server != DEFAULT).then(|| self.server.clone());
        Ok(connect::Options {
            server: typed.unwrap_or_else(|| addresses[0].to_string()),
            name: self.name.clone(),
            addresses,
            udp: self.udp,
            protocol: self.protocol.protocol(),
            turn_timeout: self.turn_timeout,
            stdout_is_terminal,
        })
    }
}

impl BenchArgs {
    /// Resolves the server's address, if there is one; may block on a name server.
    pub fn options(&self) -> Result<bench::Options, Error> {
        let (scenario, target) = match &self.scenario {
            &ScenarioArgs::Fanout { subscribers, publishers, messages, rate, ref target } => {
                let subscribers = subscribers as usize;
                (bench::Scenario::Fanout { subscribers, publishers, messages, rate }, target)
            }
            ScenarioArgs::Idle { peers, target } => {
                (bench::Scenario::Idle { peers: *peers as usize }, target)
            }
        };
        let line_bytes = usize::try_from(target.size.as_u64()).unwrap_or(usize::MAX);
        let (min, max) = (bench::LINE_BYTES_MIN, LINE_LEN_MAX);
        if !(min..=max).contains(&line_bytes) {
            return Err(Error::Usage(format!("--size {line_bytes}: {min} to {max} bytes")));
        }
        if let ProtocolArg::Raw = target.protocol {
            return Err(Error::Usage("--protocol raw: bench measures lines; try lines".into()));
        }
        let family = target.family.family();
        let server = match &target.server {
            Some(text) => resolve(text, family, Transport::Tcp, Use::Connect)?.first().copied(),
            None => None,
        };
        Ok(bench::Options { scenario, server, protocol: target.protocol.protocol(), line_bytes })
    }
}

impl FamilyArgs {
    fn family(&self) -> Family {
        match (self.ipv4, self.ipv6) {
            (true, _) => Family::V4,
            (_, true) => Family::V6,
            _ => Family::Any,
        }
    }
}

impl ProtocolArg {
    fn protocol(self) -> Protocol {
        match self {
            ProtocolArg::Chat => Protocol::Chat,
            ProtocolArg::Lines => Protocol::Lines,
            ProtocolArg::Raw => Protocol::Raw,
        }
    }
}

/// The largest `--send-buffer`: no system gives more.
const SEND_BUFFER_MAX: usize = 1024 * 1024 * 1024;

/// Stands where no address was typed. No address is written so; which one it is depends on `-6`.
const DEFAULT: &str = "(127.0.0.1:65432)";

fn resolve(
    text: &str,
    family: Family,
    transport: Transport,
    usage: Use,
) -> Result<Vec<SocketAddr>, Error> {
    let text = match family {
        _ if text != DEFAULT => text,
        Family::V6 => "[::1]:65432",
        Family::Any | Family::V4 => "127.0.0.1:65432",
    };
    let address: Address = text.parse().map_err(|error| Error::Usage(format!("{error}")))?;
    let resolved = address.resolve(family, transport, usage);
    resolved.map_err(|error| Error::Failed(format!("{error}")))
}

/// `1m30s`, `500ms`: one line of an error otherwise.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let signed: jiff::SignedDuration = text.parse().map_err(|error| format!("{error}"))?;
    Duration::try_from(signed).map_err(|_| "a time cannot be negative".to_owned())
}
