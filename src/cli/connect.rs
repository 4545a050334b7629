//! `reactor connect` on the command line.

use super::probe::ProbeArgs;
use super::{DEFAULT, Error, FamilyArgs, ProtocolArg, parse_duration, resolve};
use crate::address::{Transport, Use};
use crate::connect;
use crate::os::mio::Settings;
use clap::Args;
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
    #[command(flatten)]
    family: FamilyArgs,
    #[command(flatten)]
    probe: ProbeArgs,
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
        let udp = if self.udp { Some(self.probe.options(addresses[0])?) } else { None };
        Ok(connect::Options {
            server: typed.unwrap_or_else(|| addresses[0].to_string()),
            name: self.name.clone(),
            addresses,
            udp,
            protocol: self.protocol.protocol(),
            turn_timeout: self.turn_timeout,
            stdout_is_terminal,
        })
    }

    /// What holds for its sockets.
    pub fn settings(&self, options: &connect::Options) -> Settings {
        Settings { multicast: self.probe.multicast(options.addresses[0]), ..Settings::default() }
    }
}
