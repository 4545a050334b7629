//! A UDP socket with what the system can do for it: batches in and out (recvmmsg, sendmmsg),
//! coalesced datagrams in and out (UDP_GRO, UDP_SEGMENT), and the address that a datagram hit
//! (IP_PKTINFO). All through quinn-udp and rustix, which are safe code for us. What must not be
//! here: who is answered, and counting.
//!
//! A socket on `[::]` carries IPv4 too; its addresses come out and go in as plain IPv4.

mod together;

use super::interfaces::{self, Interfaces};
use super::{BATCH_READS, Batch, BatchHead, DATAGRAM_BYTES, TRAIN_BYTES_MAX, Transmit};
use crate::handler::Hit;
use mio::net::UdpSocket;
use nix::sys::socket::{setsockopt, sockopt as options};
use quinn_udp::{RecvMeta, UdpSocketState};
use rustix::io::Errno;
use rustix::net::sockopt;
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockRef, Socket, Type};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};

/// Asked for as SO_RCVBUFFORCE, which is for CAP_NET_ADMIN, else as SO_RCVBUF, which the kernel
/// clamps to `net.core.rmem_max`. 64 MiB, which the kernel doubles, hold some 58,000 datagrams of
/// 1,400 bytes or 170,000 small ones, half a second's worth of echoes. A burst is lost
/// for good where the buffer is small, and memory is only taken while datagrams wait, within what
/// `net.ipv4.udp_mem` leaves to all sockets.
const RECEIVE_BUFFER_BYTES: usize = 64 << 20;

/// What sendmsg says of a source address that is not ours to send from.
const NOT_A_SOURCE: [Errno; 3] = [Errno::INVAL, Errno::NETUNREACH, Errno::ADDRNOTAVAIL];

/// What it says where it cannot cut a train: the way out cannot segment (EIO, EINVAL), or a piece
/// is longer than its MTU and would have to be fragmented (EMSGSIZE).
const NOT_A_TRAIN: [Errno; 3] = [Errno::IO, Errno::INVAL, Errno::MSGSIZE];

/// Reads that are prepared on the small way, on which hardly anything is set to zero: few datagrams
/// wait mostly, and headers for all cost as much as an echo.
const FEW_READS: usize = 4;

/// A read that brings fewer datagrams than it could has found the queue empty: only recvmmsg(2) can
/// say so. It ends at an error too, but Linux tells one to a socket that is not connected only where
/// IP_RECVERR asks for it; and one that came while the call was under way would make an event.
const SHORT_IS_DRAINED: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// How multicast leaves a socket, ip(7) and ipv6(7). It comes back to this host too
/// (IP_MULTICAST_LOOP), as the system has it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Multicast {
    /// An address of the interface that IPv4 leaves by (IP_MULTICAST_IF); none: as routed.
    pub interface_v4: Option<Ipv4Addr>,
    /// The index of the one that IPv6 leaves by (IPV6_MULTICAST_IF); none: as routed.
    pub interface_v6: Option<u32>,
    /// IP_MULTICAST_TTL, IPV6_MULTICAST_HOPS; none: the system's 1, this network alone.
    pub hops: Option<u8>,
}

/// A bound UDP socket.
pub struct Udp {
    pub(super) socket: UdpSocket,
    state: UdpSocketState,
    /// True: an AF_INET6 socket, which takes IPv4 destinations as `::ffff:a.b.c.d` only.
    v6: bool,
    /// The address that it is bound to; unspecified for all.
    bound: IpAddr,
    /// That is the only address that a datagram can hit here, so the kernel need not tell it.
    only: bool,
}

impl Udp {
    /// socket, setsockopt, bind. IPV6_V6ONLY as for listeners: only `[::]` takes IPv4 too, and
    /// not where it is `ipv6_only`.
    pub fn bind(at: SocketAddr, broadcast: bool, ipv6_only: bool) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(at), Type::DGRAM, Some(Protocol::UDP))?;
        if at.is_ipv6() {
            socket.set_only_v6(ipv6_only || !at.ip().is_unspecified())?;
        }
        enlarge(&socket);
        socket.bind(&at.into())?;
        socket.set_nonblocking(true)?;
        Udp::of(socket, at, broadcast)
    }

    /// A socket that is bound there already and does not block. Its buffers are as they were set.
    pub(super) fn of(socket: Socket, at: SocketAddr, broadcast: bool) -> io::Result<Self> {
        socket.set_broadcast(broadcast)?;
        let (v6, only) = (at.is_ipv6(), is_one_host(at.ip()));
        let state = state_that_fragments(&socket, v6)?;
        untell(&socket, v6, only)?;
        let socket = UdpSocket::from_std(socket.into());
        Ok(Udp { socket, state, v6, bound: at.ip(), only })
    }

    /// setsockopt, for what its family has.
    pub fn set_multicast(&self, multicast: &Multicast) -> io::Result<()> {
        let socket = SockRef::from(&self.socket);
        match (self.v6, multicast.interface_v4, multicast.interface_v6) {
            (false, Some(address), _) => socket.set_multicast_if_v4(&address)?,
            (true, _, Some(index)) => socket.set_multicast_if_v6(index)?,
            _ => {}
        }
        match (self.v6, multicast.hops) {
            (false, Some(hops)) => socket.set_multicast_ttl_v4(hops.into()),
            (true, Some(hops)) => socket.set_multicast_hops_v6(hops.into()),
            (_, None) => Ok(()),
        }
    }

    /// The address that it is really bound to.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// setsockopt (IP_ADD_MEMBERSHIP, IPV6_ADD_MEMBERSHIP). Without IP_MULTICAST_ALL off, a socket
    /// bound to a wildcard address gets every group that any program of the host has joined.
    pub fn join(&self, group: IpAddr, interface: u32) -> io::Result<()> {
        let socket = SockRef::from(&self.socket);
        match group {
            IpAddr::V4(group) => {
                set_multicast_all(&socket, self.v6)?;
                socket.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(interface))
            }
            IpAddr::V6(group) => {
                set_multicast_all(&socket, self.v6)?;
                socket.join_multicast_v6(&group, interface)
            }
        }
    }

    /// Datagrams that found these sockets' receive buffers full: the column `drops` of proc_net(5),
    /// of which each table is read once.
    pub fn lost<'a>(udps: impl Iterator<Item = &'a Udp>) -> Option<u64> {
        let mut tables = ["/proc/net/udp", "/proc/net/udp6"].map(|path| (path, None));
        let lost = |udp: &Udp| {
            let inode = rustix::fs::fstat(&udp.socket).ok()?.st_ino;
            let (path, table) = &mut tables[usize::from(udp.v6)];
            let read = || std::fs::read_to_string(path).unwrap_or_default();
            lost_in(table.get_or_insert_with(read), inode)
        };
        udps.map(lost).sum()
    }

    /// recvmmsg(2): up to [`BATCH_READS`] reads. Any error but `WouldBlock` concerns one datagram
    /// that we sent (ICMP), never the socket.
    pub(super) fn recvfrom(
        &self,
        batch: &mut Batch,
        interfaces: &mut Interfaces,
    ) -> io::Result<usize> {
        match batch.want {
            ..=FEW_READS => self.recv_up_to::<FEW_READS>(batch, interfaces),
            _ => self.recv_up_to::<BATCH_READS>(batch, interfaces),
        }
    }

    fn recv_up_to<const READS: usize>(
        &self,
        batch: &mut Batch,
        interfaces: &mut Interfaces,
    ) -> io::Result<usize> {
        let mut pieces = batch.bytes.chunks_exact_mut(DATAGRAM_BYTES);
        let mut bufs: [IoSliceMut<'_>; READS] = std::array::from_fn(|_| {
            IoSliceMut::new(pieces.next().expect("Batch::new made room for BATCH_READS reads"))
        });
        let mut metas = [RecvMeta::default(); READS];
        let (bufs, metas) = (&mut bufs[..batch.want], &mut metas[..batch.want]);
        let reads = self.state.recv((&self.socket).into(), bufs, metas)?;
        for (slot, (head, meta)) in batch.heads.iter_mut().zip(&metas[..reads]).enumerate() {
            let from = plain(meta.addr);
            let (hit, to) = if self.only {
                (Hit::Own, Some(self.bound))
            } else {
                let to = meta.dst_ip.map(|ip| ip.to_canonical());
                interfaces.what_was_hit(to, meta.interface_index, from.ip())
            };
            let at = slot * DATAGRAM_BYTES;
            *head = BatchHead { from, to, hit, at, len: meta.len, stride: meta.stride };
        }
        batch.drained = SHORT_IS_DRAINED && reads < batch.want;
        batch.sends_trains = self.state.max_gso_segments() > 1;
        Ok(reads)
    }

    /// sendmmsg(2) of as many as need nothing said of them but a receiver, else sendmsg(2) of the
    /// first. How many were sent; none is an error, of the first.
    pub(super) fn sendto(&self, transmits: &[Transmit<'_>]) -> io::Result<usize> {
        let plain =
            |transmit: &&Transmit<'_>| !transmit.is_train() && self.source(transmit.from).is_none();
        match transmits.iter().take_while(plain).count() {
            ..=1 => self.send_one(&transmits[0]).map(|()| 1),
            count => together::send(&self.socket, &transmits[..count], |to| self.name(to)),
        }
    }

    /// As few calls as the system allows. What follows in `transmit` is tried after an error too; the
    /// first one is told.
    fn send_one(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let Transmit { to, from, bytes, stride } = *transmit;
        let (to, from) = (self.name(to), self.source(from));
        if !transmit.is_train() {
            return self.send(to, from, bytes, None);
        }
        let pieces = self.state.max_gso_segments().min(TRAIN_BYTES_MAX / stride).max(1);
        let mut outcome = Ok(());
        for train in bytes.chunks(pieces * stride) {
            match self.send(to, from, train, Some(stride)) {
                // One by one, that works.
                Err(error) if is_one_of(&error, &NOT_A_TRAIN) => {
                    for piece in train.chunks(stride) {
                        outcome = outcome.and(self.send(to, from, piece, None));
                    }
                }
                sent => outcome = outcome.and(sent),
            }
        }
        outcome
    }

    /// How the socket calls a receiver.
    fn name(&self, to: SocketAddr) -> SocketAddr {
        if self.v6 { mapped(to) } else { to }
    }

    /// The source that the kernel must be told: not the address that the socket is bound to, which
    /// is the source anyway, and no broadcast or multicast address, which is hit but can be nobody's.
    fn source(&self, from: Option<IpAddr>) -> Option<IpAddr> {
        let from = from.filter(|&ip| ip != self.bound && !is_group(ip.to_canonical()))?;
        Some(if self.v6 { mapped_ip(from) } else { from })
    }

    /// One sendto where nothing else is to be said, else one sendmsg. A subnet's broadcast address
    /// only the kernel knows (EINVAL, since Linux 6 ENETUNREACH): then it chooses the source.
    /// After an EINVAL quinn-udp segments no more on this socket, which costs speed only.
    fn send(
        &self,
        to: SocketAddr,
        from: Option<IpAddr>,
        bytes: &[u8],
        segment_size: Option<usize>,
    ) -> io::Result<()> {
        if from.is_none() && segment_size.is_none() {
            return self.socket.send_to(bytes, to).map(drop);
        }
        let mut transmit = quinn_udp::Transmit {
            destination: to,
            ecn: None,
            contents: bytes,
            segment_size,
            src_ip: from,
        };
        match self.state.try_send((&self.socket).into(), &transmit) {
            Err(error) if from.is_some() && is_one_of(&error, &NOT_A_SOURCE) => {
                transmit.src_ip = None;
                self.state.try_send((&self.socket).into(), &transmit)
            }
            result => result,
        }
    }
}

/// More is better, less is no error.
fn enlarge(socket: &Socket) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if sockopt::set_socket_recv_buffer_size_force(socket, RECEIVE_BUFFER_BYTES).is_ok() {
        return;
    }
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
}

/// quinn-udp's options, less its path-MTU probing: QUIC wants no fragments, an echo must give back
/// datagrams that are longer than the MTU. The kernel's own settings are restored, IPV6_DONTFRAG
/// included.
fn state_that_fragments(socket: &Socket, v6: bool) -> io::Result<UdpSocketState> {
    let v4_before = sockopt::ip_mtu_discover(socket)?;
    let v6_before = if v6 { Some(sockopt::ipv6_mtu_discover(socket)?) } else { None };
    let state = UdpSocketState::new(socket.into())?;
    sockopt::set_ip_mtu_discover(socket, v4_before)?;
    if let Some(before) = v6_before {
        sockopt::set_ipv6_mtu_discover(socket, before)?;
        setsockopt(socket, options::Ipv6DontFrag, &false)?;
    }
    Ok(state)
}

/// Switches off what quinn-udp lets the kernel tell of each datagram and nobody here asks: its time
/// (while one socket wants it the kernel looks at the clock for every packet of the machine), its
/// type of service, and, where `only` one address can be hit, that address.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn untell(socket: &Socket, v6: bool, only: bool) -> nix::Result<()> {
    setsockopt(socket, options::ReceiveTimestampns, &false)?;
    setsockopt(socket, options::IpRecvTos, &false)?;
    if v6 {
        setsockopt(socket, options::Ipv6RecvTClass, &false)?;
    }
    match (only, v6) {
        (false, _) => Ok(()),
        (true, false) => setsockopt(socket, options::Ipv4PacketInfo, &false),
        (true, true) => setsockopt(socket, options::Ipv6RecvPacketInfo, &false),
    }
}
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn untell(_: &Socket, _: bool, _: bool) -> nix::Result<()> {
    Ok(()) // there it tells less, and each system something else
}

/// True for an address of one host: what is sent to it, and to nothing else, comes in there.
fn is_one_host(ip: IpAddr) -> bool {
    let broadcast = matches!(ip, IpAddr::V4(v4) if interfaces::is_broadcast(v4));
    !ip.is_unspecified() && !ip.is_multicast() && !broadcast
}

#[cfg(target_os = "linux")]
fn set_multicast_all(socket: &Socket, v6: bool) -> io::Result<()> {
    socket.set_multicast_all_v4(false)?;
    if v6 { socket.set_multicast_all_v6(false) } else { Ok(()) }
}
#[cfg(not(target_os = "linux"))]
fn set_multicast_all(_: &Socket, _: bool) -> io::Result<()> {
    Ok(()) // there a socket gets only what it joined
}

/// Reads `drops`, the last column, of the row whose tenth column is `inode`.
fn lost_in(table: &str, inode: u64) -> Option<u64> {
    let columns = |row: &str| {
        let words: Vec<&str> = row.split_whitespace().collect();
        let ours = words.get(9)?.parse::<u64>().ok()? == inode;
        if ours { words.last()?.parse().ok() } else { None }
    };
    table.lines().skip(1).find_map(columns)
}

/// An IPv4-mapped address as plain IPv4; every other as it is, its scope included.
pub(super) fn plain(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::from((ip, address.port())),
        IpAddr::V6(_) => address,
    }
}

/// The inverse of [`plain`], for sockets of AF_INET6: Linux takes plain IPv4 there too, the BSDs
/// do not.
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

#[cfg(test)]
mod tests;
