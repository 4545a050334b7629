//! `reactor connect` on the command line.

use super::{DEFAULT, Error, FamilyArgs, ProtocolArg, parse_duration, resolve};
use crate::address::{Transport, Use};
use crate::connect;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

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
    /// Say the first line of FILE first, to a server that asks for a secret. One that does not would
    /// pass it on.
    #[arg(long, value_name = "FILE", conflicts_with = "udp")]
    secret_file: Option<PathBuf>,
    #[command(flatten)]
    family: FamilyArgs,
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
            secret_file: self.secret_file.clone(),
            stdout_is_terminal,
        })
    }
}
