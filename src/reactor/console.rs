//! stdin and stdout as one connection: opened once, and tried again where its terminal is another
//! job's. When that terminal is raw is `terminal`'s to say.

use super::Reactor;
use super::conn::Conn;
use crate::handler::{Handler, Origin, PeerId};
use crate::os::Os;
use std::io;

/// How long until a terminal that belongs to another process group is tried again.
pub const CONSOLE_RETRY_MS: u64 = 1_000;

impl<O: Os> Reactor<O> {
    /// Opens stdin and stdout as one connection, once, before the first turn.
    pub fn open_console<H: Handler>(&mut self, handler: &mut H) -> io::Result<()> {
        let slot = self.conns.vacant_key() as u32;
        let peer = PeerId { serial: 0, slot };
        let stream = self.os.console(peer)?;
        let now = self.look();
        self.conns.insert(Conn::new(stream, peer.serial, true));
        self.console = Some(peer);
        self.queue_read(peer);
        handler.opened(peer, Origin::Console, now);
        Ok(())
    }

    /// Tries stdin again: whose terminal it is changes without an event.
    pub(super) fn retry_console<H: Handler>(&mut self, handler: &mut H) {
        self.console_retry = None;
        self.take_terminal(handler);
        self.try_read_console();
    }

    pub(super) fn try_read_console(&mut self) {
        if let Some(peer) = self.console
            && let Some(conn) = self.conn(peer)
        {
            conn.readable = true;
            self.queue_read(peer);
        }
    }
}
