//! The outside, for whoever runs a simulation: the other ends of the connections, signals, time.
//! Datagrams are in `udp`, keyboard and screen in `console`.
//!
//! Nothing of it goes through the loop's trait; a step here is what another host, a user or the
//! network does between two calls of the loop.

use super::calls::number;
use super::kernel::{ALL, SIGNALS_FD, SimOs};
use super::link::Stage;
use super::trace::Step;
use crate::handler::{Endpoint, Signal, UnixAddress};
use crate::os::Caught;
use std::time::Duration;

/// Connections that may wait for an accept; then nobody hears a SYN.
const BACKLOG_MAX: usize = 64;

/// The first port from which remote ends dial in.
const REMOTE_PORT_FIRST: u16 = 1_024;

/// A remote end, in the order in which the connections came to be, dialed by either side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RemoteId(pub(super) usize);

impl SimOs {
    /// A client connects to the listener of this index; `None` where the listener is closed or its
    /// backlog full.
    pub(crate) fn dial_in(&mut self, listener: usize) -> Option<RemoteId> {
        let listening = &self.listeners[listener];
        let number = listening.open.filter(|_| listening.backlog.len() < BACKLOG_MAX)?;
        let id = self.links.len();
        let port = REMOTE_PORT_FIRST + (id % 60_000) as u16;
        let from = match listening.address {
            Endpoint::Ip(_) => Endpoint::Ip(([10, 0, 0, 2], port).into()),
            Endpoint::Unix(_) => Endpoint::Unix(UnixAddress::Unnamed),
        };
        let link = self.new_link(from, Stage::Backlog);
        self.listeners[listener].backlog.push_back(link);
        self.trace.note(Step::DialIn, listener, Ok(link));
        self.wake(number, ALL);
        Some(RemoteId(link))
    }

    /// The next dial of ours that the runner has not been told of, and where to. It stays under way
    /// until [`SimOs::answer_dial`], for ever if that never comes.
    pub(crate) fn next_dialed(&mut self) -> Option<(RemoteId, Endpoint)> {
        let link = self.dialed.pop_front()?;
        Some((RemoteId(link), self.links[link].address.clone()))
    }

    /// The remote end accepts our dial or refuses it. Nothing if we gave up meanwhile.
    pub(crate) fn answer_dial(&mut self, remote: RemoteId, accept: bool) {
        self.trace.note(Step::AnswerDial, remote.0, Ok(usize::from(accept)));
        self.links[remote.0].answer(accept);
        self.wake_link(remote.0);
    }

    /// The remote end sends: onto the wire, from where [`SimOs::deliver`] takes it. How many bytes:
    /// none after its FIN or the connection's end.
    pub(crate) fn remote_send(&mut self, remote: RemoteId, bytes: &[u8]) -> usize {
        let n = self.links[remote.0].remote_send(bytes);
        self.trace.note(Step::RemoteSend, remote.0, Ok(n));
        self.trace.bytes(&bytes[..n]);
        n
    }

    /// Something of what is on the wire arrives, as far as our queue has room: bytes (all, or a
    /// piece by fault), then the FIN, which comes by itself or, by fault, with the last bytes.
    /// How many bytes and FINs. What arrives at a closed socket is answered by an RST.
    pub(crate) fn deliver(&mut self, remote: RemoteId) -> usize {
        let link = remote.0;
        if self.links[link].stage == Stage::Dialing || self.links[link].dead {
            return 0;
        }
        let most = self.links[link].arrivable();
        let bytes = match most > 1 && self.random.chance(self.faults.fragments) {
            true => self.random.range(1..=most),
            false => most,
        };
        let mut arrived = bytes;
        if self.links[link].stage == Stage::Closed && bytes > 0 {
            self.reset_link(link);
        } else {
            self.links[link].arrive(bytes);
            let alone = bytes == 0 || self.random.chance(self.faults.fin_joined);
            if self.links[link].fin_arrivable() && alone {
                self.links[link].arrive_fin();
                arrived += 1;
            }
        }
        if arrived > 0 {
            self.trace.note(Step::Deliver, link, Ok(arrived));
            self.wake_link(link);
        }
        arrived
    }

    /// Whether [`SimOs::deliver`] would bring something now.
    pub(crate) fn deliverable(&self, remote: RemoteId) -> bool {
        let link = &self.links[remote.0];
        let open = link.stage != Stage::Dialing && !link.dead;
        open && (link.arrivable() > 0 || link.fin_arrivable())
    }

    /// The remote end reads up to `max` bytes. Freed space may be our writable edge.
    pub(crate) fn remote_recv(&mut self, remote: RemoteId, max: usize) -> Vec<u8> {
        let (bytes, edge) = self.links[remote.0].remote_recv(max);
        self.trace.note(Step::RemoteRecv, remote.0, Ok(bytes.len()));
        if edge {
            self.wake_link(remote.0);
        }
        bytes
    }

    /// Bytes that wait for [`SimOs::remote_recv`].
    pub(crate) fn remote_unread(&self, remote: RemoteId) -> usize {
        self.links[remote.0].unread_by_remote()
    }

    /// The remote end shuts down writing: a FIN after what is on the wire. It still reads.
    pub(crate) fn remote_shutdown(&mut self, remote: RemoteId) {
        self.trace.note(Step::RemoteShutdown, remote.0, Ok(0));
        self.links[remote.0].remote_shutdown();
    }

    /// The remote end closes: a FIN, or an RST where it had not read everything. What we send to it
    /// afterwards is answered by an RST.
    pub(crate) fn remote_close(&mut self, remote: RemoteId) {
        self.trace.note(Step::RemoteClose, remote.0, Ok(0));
        if self.links[remote.0].remote_close() {
            self.cut_link(remote.0);
        }
    }

    /// The remote end resets. What is on the wire both ways is lost, what has arrived is not.
    pub(crate) fn remote_reset(&mut self, remote: RemoteId) {
        self.trace.note(Step::RemoteReset, remote.0, Ok(0));
        self.cut_link(remote.0);
    }

    /// The remote end has read everything and then our FIN.
    pub(crate) fn remote_saw_fin(&self, remote: RemoteId) -> bool {
        self.links[remote.0].remote_saw_fin()
    }

    /// The remote end has read what an RST of ours left it, and then the RST: we closed with unread
    /// input, or it sent to us after our close.
    pub(crate) fn remote_saw_reset(&self, remote: RemoteId) -> bool {
        self.links[remote.0].remote_saw_reset()
    }

    /// A send of ours found no room at some time.
    pub(crate) fn remote_was_blocked(&self, remote: RemoteId) -> bool {
        self.links[remote.0].was_blocked()
    }

    /// The connection ended by no doing of ours: refused, aborted, reset by the remote end or by a
    /// fault.
    pub(crate) fn remote_was_cut(&self, remote: RemoteId) -> bool {
        self.links[remote.0].was_cut()
    }

    /// A signal arrives. Of one kind that waits already there is only one, signal(7).
    pub(crate) fn raise(&mut self, signal: Signal) {
        self.catch(Caught::Told(signal));
    }

    /// The same for one that may be the loop's own business.
    pub(crate) fn catch(&mut self, caught: Caught) {
        self.trace.note(Step::Raise, number(caught), Ok(0));
        if !self.signals.contains(&caught) {
            self.signals.push(caught);
        }
        self.wake(SIGNALS_FD, ALL);
    }

    /// Time passes outside.
    pub(crate) fn advance(&mut self, by: Duration) {
        self.trace.note(Step::Advance, by.as_micros() as usize, Ok(0));
        self.elapsed += by;
    }

    fn wake_link(&mut self, link: usize) {
        if let Some(number) = self.links[link].fd {
            self.wake(number, ALL);
        }
    }
}
