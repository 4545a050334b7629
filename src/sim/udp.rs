//! Datagram sockets: a bounded queue in, a list of what was sent out.
//!
//! After an error of recvfrom (an ICMP answer to an earlier datagram) the queue is as it was and no
//! new event comes for it: the loop must go on reading.

use super::kernel::{ALL, SimOs, UdpFd, What};
use super::trace::Step;
use crate::handler::Hit;
use crate::os::{BATCH_SENDS, Batch, BatchHead, DATAGRAM_BYTES, Hints, Source, Transmit};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The longest datagram over IPv4: 65,535 less the headers of IP (20) and UDP (8).
const DATAGRAM_MAX: usize = 65_507;

/// Linux's default receive buffer (net.core.rmem_default); what does not fit is dropped.
const INBOX_BYTES: usize = 212_992;

/// What a datagram costs there beside its bytes (`skb->truesize`), so that empty ones cost too.
const DATAGRAM_COST: usize = 768;

/// Datagrams in one send or one coalesced read, at most: UDP_MAX_SEGMENTS, udp(7).
const SEGMENTS_MAX: usize = 64;

/// A datagram on its way in.
#[derive(Debug)]
struct Incoming {
    from: SocketAddr,
    to: Option<IpAddr>,
    bytes: Vec<u8>,
}

/// A datagram that the loop sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    /// Which UDP socket, in the order they were bound.
    pub(crate) socket: usize,
    /// The local address asked for, if any.
    pub(crate) from: Option<IpAddr>,
    /// The receiver.
    pub(crate) to: SocketAddr,
    /// 0 to 65,507 bytes.
    pub(crate) bytes: Vec<u8>,
}

/// A UDP socket.
#[derive(Debug)]
pub(super) struct UdpSocket {
    address: SocketAddr,
    fd: usize,
    inbox: VecDeque<Incoming>,
    /// What the inbox costs, at most [`INBOX_BYTES`].
    cost: usize,
    /// Datagrams that found it full.
    full: u64,
    error: Option<Errno>,
}

impl UdpSocket {
    pub(super) fn readable(&self) -> bool {
        !self.inbox.is_empty() || self.error.is_some()
    }

    /// All that is true now; pressure on sending is the descriptor's.
    pub(super) fn poll(&self) -> Hints {
        let readable = if self.inbox.is_empty() { Hints::default() } else { Hints::READABLE };
        let failed = if self.error.is_some() { Hints::ENDED } else { Hints::default() };
        Hints::WRITABLE.with(readable).with(failed)
    }

    /// One read: a datagram, or several of one sender with one stride where `coalesced`.
    fn read(&mut self, into: &mut [u8], coalesced: bool) -> Option<BatchHead> {
        let first = self.inbox.pop_front()?;
        let stride = first.bytes.len();
        into[..stride].copy_from_slice(&first.bytes);
        self.cost -= stride + DATAGRAM_COST;
        let mut len = stride;
        let mut last = stride;
        for _ in 1..SEGMENTS_MAX {
            // A shorter one ends a run, and an empty one is never part of it.
            let fits = |next: &Incoming| {
                let size = next.bytes.len();
                let same = (next.from, next.to) == (first.from, first.to);
                same && size > 0 && size <= stride && last == stride && len + size <= DATAGRAM_MAX
            };
            if !coalesced || !self.inbox.front().is_some_and(fits) {
                break;
            }
            let next = self.inbox.pop_front().expect("the front was looked at just now");
            last = next.bytes.len();
            into[len..len + last].copy_from_slice(&next.bytes);
            self.cost -= last + DATAGRAM_COST;
            len += last;
        }
        // The answer to what all heard leaves from an address of the kernel's choice.
        let (hit, to) = match first.to {
            Some(to) if to.is_multicast() => (Hit::Multicast, None),
            Some(IpAddr::V4(Ipv4Addr::BROADCAST)) => (Hit::Broadcast, None),
            to => (Hit::Own, to),
        };
        Some(BatchHead { from: first.from, to, hit, at: 0, len, stride })
    }
}

impl SimOs {
    pub(super) fn do_bind_udp(&mut self, at: SocketAddr, index: usize) -> Result<UdpFd, Errno> {
        assert_eq!(index, self.udps.len(), "UDP sockets are numbered in the order of bind_udp");
        if self.udps.iter().any(|udp| udp.address == at) {
            self.trace.note(Step::BindUdp, index, Err(Errno::ADDRINUSE));
            return Err(Errno::ADDRINUSE);
        }
        let address = self.bound(at, index);
        let inbox = VecDeque::new();
        self.udps.push(UdpSocket { address, fd: 0, inbox, cost: 0, full: 0, error: None });
        let fd = self.open(Source::Udp(index), What::Udp(index));
        self.udps[index].fd = fd.number;
        self.trace.note(Step::BindUdp, fd.number, Ok(index));
        Ok(UdpFd(fd))
    }

    pub(super) fn udp_bound(&self, udp: &UdpFd) -> SocketAddr {
        let own = self.udps.iter().find(|socket| socket.fd == udp.0.number);
        own.expect("a UDP handle exists only for a bound socket, and none is ever closed").address
    }

    pub(super) fn udp_full(&self, udp: &UdpFd) -> u64 {
        let own = self.udps.iter().find(|socket| socket.fd == udp.0.number);
        own.map_or(0, |socket| socket.full)
    }

    fn udp(&mut self, udp: &UdpFd, step: Step) -> usize {
        match self.entry(&udp.0, step).what {
            What::Udp(index) => index,
            other => panic!("{step:?} on {other:?}"),
        }
    }

    pub(super) fn do_recvfrom(&mut self, udp: &UdpFd, batch: &mut Batch) -> Result<usize, Errno> {
        let index = self.udp(udp, Step::RecvFrom);
        let result = self.read_batch(index, batch);
        self.trace.note(Step::RecvFrom, udp.0.number, result);
        if let Ok(reads) = result {
            for (slot, head) in batch.heads[..reads].iter().enumerate() {
                self.trace.bytes(&batch.bytes[slot * DATAGRAM_BYTES..][..head.len]);
            }
        }
        result
    }

    fn read_batch(&mut self, index: usize, batch: &mut Batch) -> Result<usize, Errno> {
        if let Some(errno) = self.udps[index].error.take() {
            return Err(errno);
        }
        if self.udps[index].inbox.is_empty() {
            return Err(Errno::AGAIN);
        }
        if self.random.chance(self.faults.refused) {
            return Err(Errno::CONNREFUSED);
        }
        let coalesced = self.random.chance(self.faults.coalesced);
        // Some systems never say that nothing is left.
        let tells = !self.random.chance(self.faults.short_batch);
        let most = match self.random.chance(self.faults.short_batch) {
            true => self.random.range(1..=batch.want),
            false => batch.want,
        };
        let slots = batch.bytes.chunks_mut(DATAGRAM_BYTES).zip(&mut batch.heads);
        let mut reads = 0;
        for (into, head) in slots.take(most) {
            let Some(read) = self.udps[index].read(into, coalesced) else {
                break;
            };
            *head = BatchHead { at: reads * DATAGRAM_BYTES, ..read };
            reads += 1;
        }
        let empty = !self.udps[index].readable();
        batch.drained = tells && empty && reads < batch.want;
        batch.sends_trains = coalesced; // what coalesces does both or none
        Ok(reads)
    }

    /// Sends from the first on; only the first one's error is told, and what keeps a later one ends
    /// the call in silence.
    pub(super) fn do_sendto(
        &mut self,
        udp: &UdpFd,
        transmits: &[Transmit<'_>],
    ) -> Result<usize, Errno> {
        let socket = self.udp(udp, Step::SendTo);
        assert!((1..=BATCH_SENDS).contains(&transmits.len()), "sendto of {}", transmits.len());
        let mut sent = 0;
        let mut refused = None;
        for transmit in transmits {
            if sent > 0 && self.random.chance(self.faults.short_send) {
                break;
            }
            refused = match () {
                () if self.press(udp.0.number) => Some(Errno::AGAIN),
                () if self.random.chance(self.faults.filtered) => Some(Errno::PERM),
                () => None,
            };
            if refused.is_some() {
                break;
            }
            self.send_out(socket, transmit);
            sent += 1;
        }
        let result = match refused {
            Some(errno) if sent == 0 => Err(errno),
            _ => Ok(sent),
        };
        self.trace.note(Step::SendTo, udp.0.number, result);
        result
    }

    fn send_out(&mut self, socket: usize, transmit: &Transmit<'_>) {
        let Transmit { to, from, bytes, stride } = *transmit;
        assert!(bytes.len() <= DATAGRAM_MAX, "sendto of {} bytes: EMSGSIZE", bytes.len());
        assert!(stride > 0 || bytes.is_empty(), "a stride of 0 cuts nothing");
        let segments = bytes.len().div_ceil(stride.max(1));
        assert!(segments <= SEGMENTS_MAX, "sendto of {segments} segments: EINVAL");
        self.trace.bytes(bytes);
        if bytes.is_empty() {
            self.outbox.push(Sent { socket, from, to, bytes: Vec::new() });
        }
        let pieces = bytes.chunks(stride.max(1));
        let sent = pieces.map(|piece| Sent { socket, from, to, bytes: piece.to_vec() });
        self.outbox.extend(sent);
    }

    // ---- the outside ----

    /// A datagram arrives at the UDP socket of this index; false where its queue is full.
    pub(crate) fn datagram_in(
        &mut self,
        socket: usize,
        from: SocketAddr,
        to: Option<IpAddr>,
        bytes: &[u8],
    ) -> bool {
        assert!(bytes.len() <= DATAGRAM_MAX, "no host can send {} bytes", bytes.len());
        self.trace.note(Step::DatagramIn, socket, Ok(bytes.len()));
        self.trace.bytes(bytes);
        let udp = &mut self.udps[socket];
        let cost = bytes.len() + DATAGRAM_COST;
        if udp.cost + cost > INBOX_BYTES {
            udp.full += 1;
            return false;
        }
        udp.cost += cost;
        udp.inbox.push_back(Incoming { from, to, bytes: bytes.to_vec() });
        let number = udp.fd;
        self.wake(number, ALL);
        true
    }

    /// An ICMP error arrives for something that this socket sent: the next recvfrom tells it.
    pub(crate) fn udp_refused(&mut self, socket: usize) {
        self.trace.note(Step::UdpError, socket, Ok(0));
        self.udps[socket].error = Some(Errno::CONNREFUSED);
        let number = self.udps[socket].fd;
        self.wake(number, ALL);
    }

    /// Takes what was sent since the last time, in order.
    pub(crate) fn datagrams_out(&mut self) -> Vec<Sent> {
        self.trace.note(Step::DatagramsOut, 0, Ok(self.outbox.len()));
        std::mem::take(&mut self.outbox)
    }
}
