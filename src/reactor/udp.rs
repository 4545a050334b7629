//! Datagrams: a batch in, the handler is asked for each, a batch out. Knows neither TCP nor chat.
//!
//! Nothing is queued: an answer that the socket does not take at once is dropped and counted, as
//! UDP may. A coalesced read (UDP_GRO, or `trains`) is split here, so that the handler sees single
//! datagrams; answers that are the very bytes that came in leave together again (UDP_SEGMENT).

mod trains;

use super::Reactor;
use crate::handler::{Datagram, Handler};
use crate::os::{BATCH_READS, BATCH_SENDS, Batch, BatchHead, Os, Transmit};
use crate::stats::Stats;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::ops::Range;

/// Failed reads a turn and socket. Each takes one ICMP error off the socket; somebody who sends
/// many must not keep us here.
const ERRORS_MAX: usize = 64;

/// The least that a call prepares: the datagram that an event told of, and room for one more, so
/// that the system can say that there is none: asking again would be a call more.
const WANT_LEAST: usize = 2;

pub(super) struct UdpSocket<U> {
    udp: U,
    ready: bool,
    /// Reads that the next call prepares: one more than the last brought, rounded up to a power of
    /// two. Headers and buffers for 32 cost as much as an echo, and mostly few datagrams wait.
    want: usize,
}

impl<U> UdpSocket<U> {
    pub(super) fn new(udp: U) -> Self {
        UdpSocket { udp, ready: false, want: WANT_LEAST }
    }

    pub(super) fn socket(&self) -> &U {
        &self.udp
    }

    pub(super) fn socket_mut(&mut self) -> &mut U {
        &mut self.udp
    }

    pub(super) fn note(&mut self) {
        self.ready = true;
    }

    pub(super) fn is_ready(&self) -> bool {
        self.ready
    }
}

impl<O: Os> Reactor<O> {
    /// The part of the read phase that is for datagrams.
    pub(super) fn read_datagrams<H: Handler>(&mut self, handler: &mut H) {
        for index in 0..self.udps.len() {
            let (mut left, mut errors) = (self.budgets.datagram_reads, 0);
            while self.udps[index].ready && left > 0 && errors < ERRORS_MAX {
                let batch = self.batch.get_or_insert_default();
                batch.want = self.udps[index].want.min(left);
                match self.os.recvfrom(&mut self.udps[index].udp, batch) {
                    Ok(reads) => {
                        left -= reads;
                        self.udps[index].ready = !batch.drained;
                        let want = (reads + 1).next_power_of_two();
                        self.udps[index].want = want.clamp(WANT_LEAST, BATCH_READS);
                        self.answer(index, reads, handler);
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        self.udps[index].ready = false;
                    }
                    Err(error) => {
                        errors += 1;
                        self.stats.datagram_errors += 1;
                        log::debug!("recvfrom: {error}");
                    }
                }
            }
        }
    }

    fn answer<H: Handler>(&mut self, index: usize, reads: usize, handler: &mut H) {
        let now = self.look();
        let Reactor { os, udps, batch, stats, .. } = self;
        let Some(batch) = batch.as_deref_mut() else { return };
        let reads = trains::join(batch, reads);
        let Batch { bytes, heads, .. } = batch;
        let udp = &mut udps[index].udp;
        // Echoes that are not sent yet. Their bytes lie in the batch; another answer's lie in the
        // handler until it is asked again, and so are sent at once.
        let mut echoes = Echoes::new();
        for head in &heads[..reads] {
            let bytes = &bytes[head.at..];
            // What the last of them holds of this read: its neighbour goes with it.
            let mut last: Option<Range<usize>> = None;
            for piece in pieces(head) {
                stats.datagrams_in += 1;
                let datagram = Datagram {
                    socket: index,
                    from: head.from,
                    to: head.to,
                    hit: head.hit,
                    bytes: &bytes[piece.clone()],
                };
                let Some(answer) = handler.datagram(datagram, now) else { continue };
                if !std::ptr::eq(answer, datagram.bytes) {
                    send_all(os, udp, echoes.take(), stats);
                    last = None;
                    send_all(os, udp, &[back(head, answer, answer.len())], stats);
                    continue;
                }
                match (&mut last, echoes.last()) {
                    (Some(run), Some(echo)) if run.end == piece.start => {
                        run.end = piece.end;
                        *echo = back(head, &bytes[run.clone()], head.stride);
                    }
                    _ => {
                        if echoes.count == BATCH_SENDS {
                            send_all(os, udp, echoes.take(), stats);
                        }
                        echoes.push(back(head, &bytes[piece.clone()], head.stride));
                        last = Some(piece);
                    }
                }
            }
        }
        send_all(os, udp, echoes.take(), stats);
    }

    /// The counters, with what the kernel alone knows.
    pub fn report(&mut self) -> &Stats {
        self.stats.datagrams_lost = self.os.udp_lost(self.udps.iter().map(UdpSocket::socket));
        &self.stats
    }

    /// Sends datagrams of the program's own.
    pub(super) fn send_datagrams(
        &mut self,
        socket: usize,
        to: SocketAddr,
        bytes: &[u8],
        stride: usize,
    ) {
        let Some(udp) = self.udps.get_mut(socket) else { return };
        let stride = if stride == 0 { bytes.len() } else { stride };
        let transmit = Transmit { to, from: None, bytes, stride };
        send_all(&mut self.os, &mut udp.udp, &[transmit], &mut self.stats);
    }
}

/// What is gathered for one call. On the stack: for a single datagram a heap would be the dearest part.
struct Echoes<'a> {
    transmits: [Transmit<'a>; BATCH_SENDS],
    count: usize,
}

impl<'a> Echoes<'a> {
    fn new() -> Self {
        let nobody = SocketAddr::from(([0, 0, 0, 0], 0));
        let nothing = Transmit { to: nobody, from: None, bytes: b"", stride: 0 };
        Echoes { transmits: [nothing; BATCH_SENDS], count: 0 }
    }

    fn push(&mut self, transmit: Transmit<'a>) {
        self.transmits[self.count] = transmit;
        self.count += 1;
    }

    fn last(&mut self) -> Option<&mut Transmit<'a>> {
        self.transmits[..self.count].last_mut()
    }

    /// All of them; none is left.
    fn take(&mut self) -> &[Transmit<'a>] {
        &self.transmits[..std::mem::take(&mut self.count)]
    }
}

/// An answer to who sent this, from where it hit.
fn back<'a>(head: &BatchHead, bytes: &'a [u8], stride: usize) -> Transmit<'a> {
    Transmit { to: head.from, from: head.to, bytes, stride }
}

/// Sends and counts; drops what is not taken at once, and goes on behind it.
fn send_all<O: Os>(
    os: &mut O,
    udp: &mut O::Udp,
    mut transmits: &[Transmit<'_>],
    stats: &mut Stats,
) {
    while let Some((first, behind)) = transmits.split_first() {
        match os.sendto(udp, transmits) {
            Ok(sent) => {
                let (sent, behind) = transmits.split_at(sent);
                stats.datagrams_out += sent.iter().map(Transmit::datagrams).sum::<usize>() as u64;
                transmits = behind;
            }
            Err(error) => {
                *match error.kind() {
                    ErrorKind::WouldBlock => &mut stats.datagrams_blocked,
                    _ => &mut stats.datagrams_failed,
                } += first.datagrams() as u64;
                log::debug!("sendto {}: {error}: dropped", first.to);
                transmits = behind;
            }
        }
    }
}

/// Where the datagrams of one read lie: pieces of `stride`, the last one shorter; one empty piece
/// for an empty datagram.
fn pieces(head: &BatchHead) -> impl Iterator<Item = Range<usize>> {
    let BatchHead { len, stride, .. } = *head;
    let mut next = Some(0);
    std::iter::from_fn(move || {
        let start = next?;
        let end = if stride == 0 { len } else { len.min(start + stride) };
        next = Some(end).filter(|&end| end < len);
        Some(start..end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::Hit;

    #[test]
    fn a_read_is_cut_into_its_datagrams() {
        let from = SocketAddr::from(([127, 0, 0, 1], 1));
        for (len, stride, starts) in
            [(10, 4, &[0, 4, 8][..]), (8, 4, &[0, 4]), (4, 4, &[0]), (3, 4, &[0]), (0, 0, &[0])]
        {
            let head = BatchHead { from, to: None, hit: Hit::Own, at: 0, len, stride };
            let cut: Vec<Range<usize>> = pieces(&head).collect();
            assert_eq!(cut.iter().map(|piece| piece.start).collect::<Vec<_>>(), starts);
            assert_eq!(cut.iter().map(|piece| piece.len()).sum::<usize>(), len);
            assert_eq!(cut.last().map(|piece| piece.end), Some(len));
        }
    }
}
