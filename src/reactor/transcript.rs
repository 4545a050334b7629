//! The transcript: one more connection, which is only written. So the flush phase, its budget and
//! the one end that each connection has hold for a slow or full disk too.

use super::Reactor;
use super::conn::Input;
use crate::handler::{Handler, Origin};
use crate::os::Os;
use std::io;
use std::path::Path;

impl<O: Os> Reactor<O> {
    /// Opens a file to append to, before the first turn.
    pub fn open_transcript<H: Handler>(&mut self, at: &Path, handler: &mut H) -> io::Result<()> {
        let peer = self.next_peer();
        let stream = self.os.transcript(at, peer)?;
        let now = self.look();
        self.insert(peer, stream);
        self.conns[peer.slot as usize].input = Input::Ended;
        handler.opened(peer, Origin::Transcript, now);
        Ok(())
    }
}
