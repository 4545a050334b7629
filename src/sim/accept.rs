//! Listening, accepting, dialing: how connections come to be on our side.
//!
//! A listener's edge comes with a new arrival only, so one whose accept failed for want of
//! descriptors stays silent until somebody else dials. And as Linux has it (net/socket.c), the
//! descriptor is taken before the backlog is looked at: EMFILE comes even if nobody waits.

use super::kernel::{ListenerFd, Listening, SimOs, StreamFd, What, source_of};
use super::link::{Link, Stage};
use super::trace::Step;
use crate::handler::{Credentials, Endpoint, PeerId, Remote};
use crate::os::Source;
use rustix::io::Errno;
use std::collections::VecDeque;
use std::net::SocketAddr;

/// Where port 0 starts to become a number: the ephemeral range, ip(7).
const PORT_FIRST: u16 = 32_768;

/// Attempts for which descriptors or memory are lacking, at most.
const WINDOW_MAX: usize = 8;

/// Errors of one connection, accept(2): the next may be fine.
const LOST: [Errno; 5] =
    [Errno::CONNABORTED, Errno::PROTO, Errno::PERM, Errno::HOSTUNREACH, Errno::NETDOWN];

impl SimOs {
    pub(super) fn do_listen(&mut self, at: &Endpoint, index: usize) -> Result<ListenerFd, Errno> {
        assert_eq!(index, self.listeners.len(), "listeners are numbered in the order of listen");
        let taken = |l: &Listening| l.open.is_some() && l.address == *at;
        if self.listeners.iter().any(taken) {
            self.trace.note(Step::Listen, index, Err(Errno::ADDRINUSE));
            return Err(Errno::ADDRINUSE);
        }
        let address = match at {
            Endpoint::Ip(at) => self.bound(*at, index).into(),
            Endpoint::Unix(_) => at.clone(),
        };
        self.listeners.push(Listening { address, open: None, backlog: VecDeque::new() });
        let fd = self.open(Source::Listener(index), What::Listener(index));
        self.listeners[index].open = Some(fd.number);
        self.trace.note(Step::Listen, fd.number, Ok(index));
        Ok(ListenerFd(fd))
    }

    /// The address with a port where 0 was asked for.
    pub(super) fn bound(&self, at: SocketAddr, index: usize) -> SocketAddr {
        match at.port() {
            0 => SocketAddr::new(at.ip(), PORT_FIRST + index as u16),
            _ => at,
        }
    }

    /// The place of an open listener.
    pub(super) fn listener(&mut self, listener: &ListenerFd, step: Step) -> usize {
        match self.entry(&listener.0, step).what {
            What::Listener(index) => index,
            other => panic!("{step:?} on {other:?}"),
        }
    }

    /// close of a listener: who waits in the backlog is reset.
    pub(super) fn do_close_listener(&mut self, listener: ListenerFd) {
        let index = self.listener(&listener, Step::CloseListener);
        self.trace.note(Step::CloseListener, listener.0.number, Ok(index));
        self.listeners[index].open = None;
        for link in std::mem::take(&mut self.listeners[index].backlog) {
            self.links[link].close();
            self.links[link].reset_out(0);
        }
        self.free(listener.0.number);
    }

    pub(super) fn do_accept(
        &mut self,
        listener: &ListenerFd,
        peer: PeerId,
    ) -> Result<(StreamFd, Remote), Errno> {
        let index = self.listener(listener, Step::Accept);
        let result = self.accept_next(index, peer);
        let told = result.as_ref().map(|(stream, _)| stream.0.number).map_err(|&errno| errno);
        self.trace.note(Step::Accept, listener.0.number, told);
        result
    }

    fn accept_next(&mut self, index: usize, peer: PeerId) -> Result<(StreamFd, Remote), Errno> {
        self.descriptor_to_spare()?;
        let Some(link) = self.listeners[index].backlog.pop_front() else {
            return Err(Errno::AGAIN);
        };
        if self.random.chance(self.faults.aborted) {
            self.links[link].cut();
            self.links[link].close();
            return Err(self.random.pick(&LOST));
        }
        self.links[link].stage = Stage::Open;
        let fd = self.open(source_of(peer), What::Link(link));
        let from = match (&self.listeners[index].address, &self.links[link].address) {
            (Endpoint::Ip(_), Endpoint::Ip(from)) => Remote::Ip(*from),
            _ => Remote::Unix(Credentials { pid: link as i32 + 1, uid: 1_000, gid: 1_000 }),
        };
        Ok((StreamFd(fd), from))
    }

    /// EMFILE at the limit, or whatever is lacking for a while by fault.
    fn descriptor_to_spare(&mut self) -> Result<(), Errno> {
        if self.open_descriptors() >= self.faults.descriptors_max {
            return Err(Errno::MFILE);
        }
        if self.window.is_none() {
            let lacking = if self.random.chance(self.faults.no_descriptor) {
                Some([Errno::MFILE, Errno::NFILE])
            } else if self.random.chance(self.faults.no_memory) {
                Some([Errno::NOBUFS, Errno::NOMEM])
            } else {
                None
            };
            self.window =
                lacking.map(|ways| (self.random.pick(&ways), self.random.range(1..=WINDOW_MAX)));
        }
        let Some((errno, left)) = self.window else {
            return Ok(());
        };
        self.window = (left > 1).then_some((errno, left - 1));
        Err(errno)
    }

    /// A new connection's place, its queues as long as the seed says.
    pub(super) fn new_link(&mut self, address: Endpoint, stage: Stage) -> usize {
        let most = self.faults.capacity_max;
        let (rx, tx) = (self.random.range(1..=most), self.random.range(1..=most));
        self.links.push(Link::new(address, stage, rx, tx));
        self.links.len() - 1
    }

    /// Under way until the runner answers for the remote end.
    pub(super) fn do_connect(&mut self, to: &Endpoint, peer: PeerId) -> Result<StreamFd, Errno> {
        if let Err(errno) = self.descriptor_to_spare() {
            self.trace.note(Step::Connect, 0, Err(errno));
            return Err(errno);
        }
        let link = self.new_link(to.clone(), Stage::Dialing);
        self.dialed.push_back(link);
        let fd = self.open(source_of(peer), What::Link(link));
        self.trace.note(Step::Connect, fd.number, Ok(link));
        Ok(StreamFd(fd))
    }
}
