//! What the server does at its gate: it lets in, asks for the secret, refuses with a word and closes;
//! and it reads the files that say who may come in. Who that is, `gate` decides.

use super::gate::access::{ACCESS_BYTES_MAX, Wrong};
use super::gate::{Entry, Heard};
use super::server::Server;
use crate::handler::{Action, CloseReason, Endpoint, Notice, PeerId, Remote, Taken};
use crate::os::Os;
use crate::secret::{SECRET_BYTES_MAX, Secret};
use crate::visible::visible;
use crate::wire::{self, Lines};
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::time::Instant;

/// Addresses that a warning lists; a host with containers has dozens.
const INTERFACES_TOLD_MAX: usize = 8;

impl Server {
    /// Reads what the options name, before the loop. Errors: one line.
    pub(super) fn read_files<O: Os>(&mut self, os: &mut O) -> Result<(), String> {
        if let Some(path) = self.options.admission.access_file.clone() {
            let file = os.read_file(&path, ACCESS_BYTES_MAX).map(|file| file.bytes);
            self.set_rules(&path, file)?;
        }
        if let Some(path) = &self.options.admission.secret_file {
            self.gate.set_secret(Secret::read(os, path)?);
        }
        Ok(())
    }

    /// Asks for the access file. A service manager that asks where there is none is told that all is
    /// done.
    pub(super) fn reload(&mut self) {
        self.notify(Notice::Reloading);
        match self.options.admission.access_file.clone() {
            Some(path) => {
                self.actions.push_back(Action::ReadFile { path, bytes_max: ACCESS_BYTES_MAX });
            }
            None => {
                log::info!("SIGHUP: no --access file that could be read again");
                self.notify_reloaded();
            }
        }
    }

    /// The access file, as it is now.
    pub(super) fn reloaded(&mut self, contents: io::Result<Vec<u8>>) {
        let Some(path) = self.options.admission.access_file.clone() else { return };
        match self.set_rules(&path, contents) {
            Ok(told) => log::info!("{told}"),
            Err(error) => log::warn!("{error}; the rules before stay"),
        }
        self.notify_reloaded();
    }

    /// Takes the rules of the access file. What was done, or why not, in one line.
    fn set_rules(&mut self, path: &Path, contents: io::Result<Vec<u8>>) -> Result<String, String> {
        let shown = path.to_string_lossy();
        let shown = visible(&shown);
        let told = |why: &dyn std::fmt::Display| format!("access file {shown}: {why}");
        let text = contents.map_err(|error| told(&error))?;
        let set = self.gate.set_rules(&text);
        let (rules, denied) = set.map_err(|error: Wrong| told(&error))?;
        let stay = match denied {
            0 => String::new(),
            peers => format!("; {peers} who are there and could not come in now stay"),
        };
        Ok(told(&format_args!("{rules} rules, the flags' included{stay}")))
    }

    /// An accepted connection comes in, or is asked for the secret, or is refused.
    pub(super) fn let_in(&mut self, peer: PeerId, from: Remote, now: Instant) {
        match self.gate.knock(peer, from, now) {
            Entry::In => self.join(peer, now),
            Entry::Secret => {
                self.chat.keep_outside(peer);
                self.chat.tell(peer, format_args!("say the secret: your first line"));
            }
            Entry::Refused(why) => self.chat.refuse(peer, why, format_args!("{}", last_word(why))),
            Entry::Shut(why) => self.actions.push_back(Action::Close(peer, why)),
        }
    }

    /// A peer is inside. Its clocks begin here: before, the time for the secret bounds it.
    fn join(&mut self, peer: PeerId, now: Instant) {
        self.chat.join(peer);
        self.bounds.clocks.heard(peer, now);
    }

    /// Bytes of a peer that is to say the secret; what follows it is its stream, in the same read
    /// too.
    pub(super) fn receive_secret(
        &mut self,
        peer: PeerId,
        bytes: &[u8],
        seen: usize,
        now: Instant,
    ) -> Taken {
        let mut lines = Lines::new(bytes, seen, SECRET_BYTES_MAX);
        while let Some(line) = lines.next() {
            let heard = match line {
                Ok(line) => self.gate.hear(peer, wire::text(line)),
                Err(wire::TooLong) => self.gate.turn_away(peer),
            };
            match heard {
                Heard::Right => {
                    self.join(peer, now);
                    let consumed = lines.consumed();
                    if consumed == bytes.len() {
                        break;
                    }
                    let taken = self.receive_stream(peer, &bytes[consumed..], 0, now);
                    return Taken { consumed: consumed + taken.consumed, hold: taken.hold };
                }
                Heard::Wrong(left) => {
                    let tries = if left == 1 { "try" } else { "tries" };
                    self.chat
                        .tell(peer, format_args!("that is not the secret: {left} {tries} left"));
                }
                Heard::Refused => {
                    let last_words = format_args!("that is not the secret");
                    self.chat.close(peer, CloseReason::NoSecret, last_words);
                    return Taken { consumed: bytes.len(), hold: false };
                }
            }
        }
        Taken { consumed: lines.consumed(), hold: false }
    }

    /// Closes those whose time for the secret is over.
    pub(super) fn expire_secrets(&mut self, now: Instant) {
        while let Some(peer) = self.gate.expire(now) {
            let last_words = format_args!("the secret did not come in time");
            self.chat.close(peer, CloseReason::NoSecret, last_words);
        }
    }

    /// Tells who can reach a socket that is bound to every address of this machine.
    pub(super) fn warn_of_wildcard(&self, transport: &str, bound: &Endpoint) {
        let Some(bound) = bound.ip().filter(|bound| bound.ip().is_unspecified()) else { return };
        let fits = |ip: &&IpAddr| bound.is_ipv6() || ip.is_ipv4();
        let fitting: Vec<String> =
            self.options.interfaces.iter().filter(fits).map(|ip| ip.to_string()).collect();
        let more = fitting.len().saturating_sub(INTERFACES_TOLD_MAX);
        let mut at = fitting[..fitting.len() - more].join(", ");
        if more > 0 {
            at.push_str(&format!(" and {more} more"));
        }
        if at.is_empty() {
            at.push_str("any address of this host");
        }
        let reached = format!("{transport} {bound}: every network that reaches {at}");
        let secret = transport == "tcp" && self.gate.asks();
        match (self.gate.restricts(), secret) {
            (false, false) => log::warn!(
                "{reached} can come in; bind 127.0.0.1 or [::1] for this host alone, \
                 or take --allow{}",
                if transport == "tcp" { " or --secret-file" } else { "" }
            ),
            (rules, _) => log::info!(
                "{reached} can try; {} come in",
                if rules { "those that the rules allow" } else { "those that know the secret" }
            ),
        }
    }
}

/// What a refused peer is told.
fn last_word(why: CloseReason) -> &'static str {
    match why {
        CloseReason::AddressFull => "too many peers from your address",
        CloseReason::TooFast => "too many connections from your address: try again later",
        _ => why.word(),
    }
}
