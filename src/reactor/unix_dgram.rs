//! Datagrams of the Unix domain: one in, the handler asked, one out. As with UDP nothing is queued: an
//! answer that the receiver has no room for is dropped and counted.

use super::Reactor;
use crate::handler::{Handler, UnixAddress, UnixDatagram};
use crate::os::Os;
use std::io::{self, ErrorKind};

pub(super) struct UnixSocket<S> {
    socket: S,
    ready: bool,
}

impl<S> UnixSocket<S> {
    pub(super) fn note(&mut self) {
        self.ready = true;
    }

    pub(super) fn is_ready(&self) -> bool {
        self.ready
    }
}

impl<O: Os> Reactor<O> {
    /// Binds a datagram socket of the Unix domain; `mode` are the permissions of its path. Before
    /// the first turn.
    pub fn bind_unix(&mut self, at: &UnixAddress, mode: u32) -> io::Result<()> {
        let socket = self.os.bind_unix(at, mode, self.unix_dgrams.len())?;
        self.unix_dgrams.push(UnixSocket { socket, ready: false });
        Ok(())
    }

    /// The part of the read phase that is for them.
    pub(super) fn read_unix_datagrams<H: Handler>(&mut self, handler: &mut H) {
        for index in 0..self.unix_dgrams.len() {
            for _ in 0..self.budgets.datagram_reads {
                if !self.unix_dgrams[index].ready {
                    break;
                }
                self.read_unix_datagram(index, handler);
            }
        }
    }

    fn read_unix_datagram<H: Handler>(&mut self, index: usize, handler: &mut H) {
        let Reactor { os, now, unix_dgrams, batch, stats, .. } = self;
        let UnixSocket { socket, ready } = &mut unix_dgrams[index];
        // There is one buffer for datagrams of every kind, and of this kind one comes at a time.
        let into = &mut batch.get_or_insert_default().bytes;
        match os.recvfrom_unix(socket, into) {
            // As long as the buffer: it was longer, and an answer must not be a piece of it.
            Ok((len, _)) if len == into.len() => stats.datagram_errors += 1,
            Ok((len, from)) => {
                stats.datagrams_in += 1;
                let datagram = UnixDatagram { socket: index, from: &from, bytes: &into[..len] };
                *now = os.now();
                let Some(answer) = handler.unix_datagram(datagram, *now) else { return };
                match os.sendto_unix(socket, &from, answer) {
                    Ok(()) => stats.datagrams_out += 1,
                    Err(error) => {
                        *match error.kind() {
                            ErrorKind::WouldBlock => &mut stats.datagrams_blocked,
                            _ => &mut stats.datagrams_failed,
                        } += 1;
                        log::debug!("sendto unix:{from}: {error}: dropped");
                    }
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => *ready = false,
            Err(error) => {
                stats.datagram_errors += 1;
                log::debug!("recvfrom: {error}");
            }
        }
    }
}
