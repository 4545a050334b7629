//! Datagram sockets of the Unix domain: a bounded queue in, a list of what was sent out. Senders
//! wait where the queue is full, so nothing is lost on its way in; a receiver may have no room.

use super::kernel::{ALL, SimOs, UnixDgramFd, What};
use super::trace::Step;
use crate::handler::UnixAddress;
use crate::os::{Hints, Source};
use rustix::io::Errno;
use std::collections::VecDeque;

/// net.unix.max_dgram_qlen: datagrams that may wait in one queue.
const QUEUE_MAX: usize = 512;

/// A bound socket.
#[derive(Debug)]
pub(super) struct UnixDgram {
    fd: usize,
    inbox: VecDeque<(UnixAddress, Vec<u8>)>,
}

impl UnixDgram {
    pub(super) fn readable(&self) -> bool {
        !self.inbox.is_empty()
    }

    pub(super) fn poll(&self) -> Hints {
        if self.readable() { Hints::WRITABLE.with(Hints::READABLE) } else { Hints::WRITABLE }
    }
}

impl SimOs {
    pub(super) fn do_bind_unix(&mut self, index: usize) -> UnixDgramFd {
        assert_eq!(index, self.unix_dgrams.len(), "they are numbered in the order of bind_unix");
        self.unix_dgrams.push(UnixDgram { fd: 0, inbox: VecDeque::new() });
        let fd = self.open(Source::UnixDgram(index), What::UnixDgram(index));
        self.unix_dgrams[index].fd = fd.number;
        self.trace.note(Step::BindUdp, fd.number, Ok(index));
        UnixDgramFd(fd)
    }

    fn unix_dgram(&mut self, socket: &UnixDgramFd, step: Step) -> usize {
        match self.entry(&socket.0, step).what {
            What::UnixDgram(index) => index,
            other => panic!("{step:?} on {other:?}"),
        }
    }

    pub(super) fn do_recvfrom_unix(
        &mut self,
        socket: &UnixDgramFd,
        into: &mut [u8],
    ) -> Result<(usize, UnixAddress), Errno> {
        let index = self.unix_dgram(socket, Step::RecvFrom);
        let next = self.unix_dgrams[index].inbox.pop_front();
        let result = next.ok_or(Errno::AGAIN).map(|(from, bytes)| {
            let len = bytes.len().min(into.len());
            into[..len].copy_from_slice(&bytes[..len]);
            (len, from)
        });
        let told = result.as_ref().map(|(len, _)| *len).map_err(|&errno| errno);
        self.trace.note(Step::RecvFrom, socket.0.number, told);
        result
    }

    /// The fault `pressure` stands for a receiver whose queue is full.
    pub(super) fn do_sendto_unix(
        &mut self,
        socket: &UnixDgramFd,
        to: &UnixAddress,
        bytes: &[u8],
    ) -> Result<(), Errno> {
        assert_ne!(*to, UnixAddress::Unnamed, "sendto nobody: EINVAL");
        self.unix_dgram(socket, Step::SendTo);
        if self.press(socket.0.number) {
            self.trace.note(Step::SendTo, socket.0.number, Err(Errno::AGAIN));
            return Err(Errno::AGAIN);
        }
        self.trace.note(Step::SendTo, socket.0.number, Ok(1));
        self.unix_outbox.push((to.clone(), bytes.to_vec()));
        Ok(())
    }

    // ---- the outside ----

    /// A datagram arrives at the socket of this index; false where its sender would wait.
    pub(crate) fn unix_datagram_in(
        &mut self,
        socket: usize,
        from: UnixAddress,
        bytes: &[u8],
    ) -> bool {
        let dgram = &mut self.unix_dgrams[socket];
        if dgram.inbox.len() == QUEUE_MAX {
            return false;
        }
        dgram.inbox.push_back((from, bytes.to_vec()));
        let number = dgram.fd;
        self.trace.note(Step::DatagramIn, socket, Ok(bytes.len()));
        self.wake(number, ALL);
        true
    }

    /// Takes what was sent since the last time, in order.
    pub(crate) fn unix_datagrams_out(&mut self) -> Vec<(UnixAddress, Vec<u8>)> {
        self.trace.note(Step::DatagramsOut, 0, Ok(self.unix_outbox.len()));
        std::mem::take(&mut self.unix_outbox)
    }
}
