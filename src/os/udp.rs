//! A UDP socket with what the system can do for it: batches (recvmmsg), coalesced datagrams in and
//! out (UDP_GRO, UDP_SEGMENT), and the address that a datagram hit (IP_PKTINFO). All through
//! quinn-udp, which is safe code for us. What must not be here: who is answered, and counting.
//!
//! A socket on `[::]` carries IPv4 too; its addresses come out and go in as plain IPv4.

use super::{BATCH_READS, Batch, BatchHead, DATAGRAM_BYTES, Transmit};
use mio::net::UdpSocket;
use quinn_udp::{RecvMeta, UdpSocketState};
use rustix::io::Errno;
use rustix::net::sockopt;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};

/// Asked for as SO_RCVBUF; the kernel clamps it to `net.core.rmem_max`. 64 MiB is above what any
/// distribution allows, and below the `i32` overflow of the kernel's doubling. A burst is lost for
/// good where the buffer is small, and memory is only taken while datagrams wait.
const RECEIVE_BUFFER_BYTES: usize = 64 << 20;

/// The most bytes of one segmented send: the greatest UDP payload over IPv4 (65,535 less the
/// headers of 20 and 8), which the whole train must fit, udp(7).
const TRAIN_BYTES_MAX: usize = 65_507;

/// A bound UDP socket.
pub struct Udp {
    pub(super) socket: UdpSocket,
    state: UdpSocketState,
    /// True: an AF_INET6 socket, which takes IPv4 destinations as `::ffff:a.b.c.d` only.
    v6: bool,
}

impl Udp {
    /// socket, setsockopt, bind. IPV6_V6ONLY as for listeners: only `[::]` takes IPv4 too.
    pub fn bind(at: SocketAddr, broadcast: bool) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(at), Type::DGRAM, Some(Protocol::UDP))?;
        if at.is_ipv6() {
            socket.set_only_v6(!at.ip().is_unspecified())?;
        }
        // More is better, less is no error.
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
        socket.set_broadcast(broadcast)?;
        socket.bind(&at.into())?;
        let state = state_that_fragments(&socket, at.is_ipv6())?;
        socket.set_nonblocking(true)?;
        Ok(Udp { socket: UdpSocket::from_std(socket.into()), state, v6: at.is_ipv6() })
    }

    /// The address that it is really bound to.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// recvmmsg(2): up to [`BATCH_READS`] reads. Any error but `WouldBlock` concerns one datagram
    /// that we sent (ICMP), never the socket.
    pub fn recvfrom(&self, batch: &mut Batch) -> io::Result<usize> {
        let mut pieces = batch.bytes.chunks_exact_mut(DATAGRAM_BYTES);
        let mut bufs: [IoSliceMut<'_>; BATCH_READS] = std::array::from_fn(|_| {
            IoSliceMut::new(pieces.next().expect("Batch::new made room for BATCH_READS reads"))
        });
        let mut metas = [RecvMeta::default(); BATCH_READS];
        let reads = self.state.recv((&self.socket).into(), &mut bufs, &mut metas)?;
        for (head, meta) in batch.heads.iter_mut().zip(&metas[..reads]) {
            *head = BatchHead {
                from: plain(meta.addr),
                to: meta.dst_ip.map(|ip| ip.to_canonical()),
                len: meta.len,
                stride: meta.stride,
            };
        }
        Ok(reads)
    }

    /// sendmsg(2), as few calls as the system allows. The first error ends it: what follows in
    /// `transmit` has not been sent then.
    pub fn sendto(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let Transmit { to, from, bytes, stride } = *transmit;
        let (to, from) = if self.v6 { (mapped(to), from.map(mapped_ip)) } else { (to, from) };
        if stride == 0 || stride >= bytes.len() {
            return self.send(to, from, bytes, None);
        }
        let pieces = self.state.max_gso_segments().min(TRAIN_BYTES_MAX / stride).max(1);
        for train in bytes.chunks(pieces * stride) {
            match self.send(to, from, train, Some(stride)) {
                // This way out cannot segment (EIO, EINVAL), or a piece is longer than its MTU
                // (EMSGSIZE) and would have to be fragmented: one by one, that works.
                Err(error) if is_one_of(&error, &[Errno::IO, Errno::INVAL, Errno::MSGSIZE]) => {
                    for piece in train.chunks(stride) {
                        self.send(to, from, piece, None)?;
                    }
                }
                result => result?,
            }
        }
        Ok(())
    }

    /// One sendmsg. A broadcast or multicast address was hit but can be nobody's source (EINVAL):
    /// then the kernel chooses. quinn-udp stops segmenting after an EINVAL; that costs speed only.
    fn send(
        &self,
        to: SocketAddr,
        from: Option<IpAddr>,
        bytes: &[u8],
        segment_size: Option<usize>,
    ) -> io::Result<()> {
        let from = from.filter(|ip| !is_group(ip.to_canonical()));
        let mut transmit = quinn_udp::Transmit {
            destination: to,
            ecn: None,
            contents: bytes,
            segment_size,
            src_ip: from,
        };
        match self.state.try_send((&self.socket).into(), &transmit) {
            Err(error) if from.is_some() && is_one_of(&error, &[Errno::INVAL]) => {
                transmit.src_ip = None;
                self.state.try_send((&self.socket).into(), &transmit)
            }
            result => result,
        }
    }
}

/// quinn-udp's options, less its path-MTU probing: QUIC wants no fragments, an echo must give back
/// datagrams that are longer than the MTU. Over IPv4 the kernel's own setting is restored. Over
/// IPv6 quinn-udp sets IPV6_DONTFRAG besides, which no safe call here can take back: there a
/// datagram longer than the MTU fails with EMSGSIZE, and the caller counts it.
fn state_that_fragments(socket: &Socket, v6: bool) -> io::Result<UdpSocketState> {
    let v4_before = sockopt::ip_mtu_discover(socket)?;
    let v6_before = if v6 { Some(sockopt::ipv6_mtu_discover(socket)?) } else { None };
    let state = UdpSocketState::new(socket.into())?;
    sockopt::set_ip_mtu_discover(socket, v4_before)?;
    if let Some(before) = v6_before {
        sockopt::set_ipv6_mtu_discover(socket, before)?;
    }
    Ok(state)
}

/// An IPv4-mapped address as plain IPv4; every other as it is, its scope included.
pub(super) fn plain(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::from((ip, address.port())),
        IpAddr::V6(_) => address,
    }
}

/// The inverse of [`plain`], for sockets of AF_INET6.
fn mapped(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) => SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0).into(),
        SocketAddr::V6(_) => address,
    }
}

fn mapped_ip(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().into(),
        IpAddr::V6(_) => ip,
    }
}

fn is_group(ip: IpAddr) -> bool {
    ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST)
}

fn is_one_of(error: &io::Error, errnos: &[Errno]) -> bool {
    errnos.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}
