//! The command line: what was typed, turned once into checked options. Only this folder
//! and `main.rs` name clap.

mod admission;
mod bench;
mod bench_output;
mod connect;
mod control;
mod environment;
mod examples;
mod layout;
mod pages;
mod probe;
mod serve;
mod service;
mod units;
mod unix;

use crate::address::{Address, Family, Transport, Use, with_prefix};
use crate::handler::Endpoint;
use crate::terminal::paint::{self, Choice};
use crate::wire::Protocol;
pub use bench::{Bench, BenchArgs, Writer};
use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
pub use connect::ConnectArgs;
pub use control::CtlArgs;
pub use pages::{CompletionsArgs, ManArgs};
pub use serve::ServeArgs;
pub use service::LogFormat;
use std::net::SocketAddr;
use units::{Size, parse_duration};

/// TCP stream chat and UDP echo in one process, on one poll loop.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub struct Cli {
    /// Tell more: -v connections, -vv every call of the loop.
    #[arg(short, long, action = ArgAction::Count, global = true)]
    pub verbose: u8,
    /// Tell errors only; where we listen is told all the same.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Colour on a terminal.
    ///
    /// NO_COLOR, CLICOLOR and CLICOLOR_FORCE are obeyed where it is auto.
    #[arg(long, value_enum, global = true, default_value_t, value_name = "WHEN")]
    color: ColorArg,
    /// How log lines on stderr look; under the journal text has no time stamps.
    #[arg(long, value_enum, global = true, default_value_t, value_name = "FORM")]
    pub log_format: LogFormat,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// `--color`.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum ColorArg {
    /// Where stdout is a terminal that can.
    #[default]
    Auto,
    /// Whatever stdout and the environment are.
    Always,
    /// Never.
    Never,
}

/// What stdin and stdout can do.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// stdout is a terminal.
    pub stdout_is_terminal: bool,
    /// Both are, and it can move its cursor.
    pub terminal: bool,
    /// What is shown there is coloured.
    pub color: bool,
}

impl Cli {
    /// What was typed, with what the environment says besides. Where what was typed makes no sense,
    /// and for `--help` and `--version`, it prints and ends the program, as clap does it.
    pub fn read() -> Result<Self, Error> {
        let typed: Vec<_> = std::env::args_os().collect();
        let matches = environment::parse(&Self::tree(), &typed)?;
        Ok(Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()))
    }

    /// All commands and flags, as help shows them.
    fn tree() -> clap::Command {
        layout::laid_out(Self::command())
    }

    /// What stdin and stdout can do, by what they are (terminals, in this order) and the environment.
    pub fn look(&self, (stdin, stdout): (bool, bool)) -> Look {
        let var = |name: &str| std::env::var(name).ok();
        let choice = match self.color {
            ColorArg::Auto => Choice::Auto,
            ColorArg::Always => Choice::Always,
            ColorArg::Never => Choice::Never,
        };
        Look {
            stdout_is_terminal: stdout,
            terminal: stdin && stdout && paint::can_move(var),
            color: paint::is_wanted(choice, stdout, var),
        }
    }
}

/// The programs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve TCP chat and UDP echo.
    Serve(Box<ServeArgs>),
    /// Connect to a server: talk in a chat, pass lines on, or send datagrams.
    Connect(ConnectArgs),
    /// Give orders to a running server: the operator's words.
    Ctl(CtlArgs),
    /// Measure a server: one that it starts itself, or any that passes lines on or echoes.
    Bench(BenchArgs),
    /// Print a script that completes this command line in a shell.
    Completions(CompletionsArgs),
    /// Print a manual page, or write all of them.
    Man(ManArgs),
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

/// Stands for stdout where a file is asked for.
const STDOUT: &str = "-";

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
    if let Some(unix) = with_prefix(text) {
        return Err(Error::Usage(match (unix, usage, transport) {
            (Err(error), ..) => format!("{text:?}: {error}"),
            (Ok(_), Use::Serve, Transport::Tcp) => {
                format!("--tcp {text:?}: that is a Unix socket; serve it with --unix")
            }
            (Ok(_), ..) => format!("{text:?}: that is a Unix socket, and this is about IP"),
        }));
    }
    let address: Address = text.parse().map_err(|error| Error::Usage(format!("{error}")))?;
    let resolved = address.resolve(family, transport, usage);
    resolved.map_err(|error| Error::Failed(format!("{error}")))
}

/// Where a stream is to be connected to: `unix:PATH`, or what [`resolve`] takes.
fn stream_to(text: &str, family: Family) -> Result<Vec<Endpoint>, Error> {
    match with_prefix(text) {
        Some(Ok(unix)) => Ok(vec![unix.into()]),
        Some(Err(error)) => Err(Error::Usage(format!("{text:?}: {error}"))),
        None => {
            let addresses = resolve(text, family, Transport::Tcp, Use::Connect)?;
            Ok(addresses.into_iter().map(Endpoint::from).collect())
        }
    }
}
