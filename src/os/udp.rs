//! A UDP socket with what the system can do for it: batches (recvmmsg), coalesced datagrams in and
//! out (UDP_GRO, UDP_SEGMENT), and the address that a datagram hit (IP_PKTINFO). All through
//! quinn-udp, which is safe code for us. What must not be here: who is answered, and counting.
//!
//! A socket on `[::]` carries IPv4 too; its addresses come out and go in as plain IPv4.

use super::interfaces::Interfaces;
use super::{BATCH_READS, Batch, BatchHead, DATAGRAM_BYTES, Transmit};
use mio::net::UdpSocket;
use quinn_udp::{RecvMeta, UdpSocketState};
use rustix::io::Errno;
use rustix::net::sockopt;
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockRef, Socket, Type};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};

/// Asked for as SO_RCVBUF; the kernel clamps it to `net.core.rmem_max`. 64 MiB is above what any
/// distribution allows, and below the `i32` overflow of the kernel's doubling. A burst is lost for
/// good where the buffer is small, and memory is only taken while datagrams wait.
const RECEIVE_BUFFER_BYTES: usize = 64 << 20;

/// The most bytes of one segmented send: the greatest UDP payload over IPv4 (65,535 less the
/// headers of 20 and 8), which the whole train must fit, udp(7).
const TRAIN_BYTES_MAX: usize = 65_507;

/// What sendmsg says of a source address that is not ours to send from.
const NOT_A_SOURCE: [Errno; 3] = [Errno::INVAL, Errno::NETUNREACH, Errno::ADDRNOTAVAIL];

/// What it says where it cannot cut a train: the way out cannot segment (EIO, EINVAL), or a piece
/// is longer than its MTU and would have to be fragmented (EMSGSIZE).
const NOT_A_TRAIN: [Errno; 3] = [Errno::IO, Errno::INVAL, Errno::MSGSIZE];

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
}

impl Udp {
    /// socket, setsockopt, bind. IPV6_V6ONLY as for listeners: only `[::]` takes IPv4 too, and
    /// not where it is `ipv6_only`.
    pub fn bind(at: SocketAddr, broadcast: bool, ipv6_only: bool) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(at), Type::DGRAM, Some(Protocol::UDP))?;
        if at.is_ipv6() {
            socket.set_only_v6(ipv6_only || !at.ip().is_unspecified())?;
        }
        // More is better, less is no error.
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
        socket.bind(&at.into())?;
        socket.set_nonblocking(true)?;
        Udp::of(socket, at, broadcast)
    }

    /// A socket that is bound there already and does not block. Its buffers are as they were set.
    pub(super) fn of(socket: Socket, at: SocketAddr, broadcast: bool) -> io::Result<Self> {
        socket.set_broadcast(broadcast)?;
        let state = state_that_fragments(&socket, at.is_ipv6())?;
        let socket = UdpSocket::from_std(socket.into());
        Ok(Udp { socket, state, v6: at.is_ipv6(), bound: at.ip() })
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

    /// Datagrams that found the receive buffer full: the column `drops` of proc_net(5).
    pub fn lost(&self) -> Option<u64> {
        let inode = rustix::fs::fstat(&self.socket).ok()?.st_ino;
        let path = if self.v6 { "/proc/net/udp6" } else { "/proc/net/udp" };
        lost_in(&std::fs::read_to_string(path).ok()?, inode)
    }

    /// recvmmsg(2): up to [`BATCH_READS`] reads. Any error but `WouldBlock` concerns one datagram
    /// that we sent (ICMP), never the socket.
    pub(super) fn recvfrom(
        &self,
        batch: &mut Batch,
        interfaces: &mut Interfaces,
    ) -> io::Result<usize> {
        let mut pieces = batch.bytes.chunks_exact_mut(DATAGRAM_BYTES);
        let mut bufs: [IoSliceMut<'_>; BATCH_READS] = std::array::from_fn(|_| {
            IoSliceMut::new(pieces.next().expect("Batch::new made room for BATCH_READS reads"))
        });
        let mut metas = [RecvMeta::default(); BATCH_READS];
        let (bufs, metas) = (&mut bufs[..batch.want], &mut metas[..batch.want]);
        let reads = self.state.recv((&self.socket).into(), bufs, metas)?;
        for (head, meta) in batch.heads.iter_mut().zip(&metas[..reads]) {
            let from = plain(meta.addr);
            let to = meta.dst_ip.map(|ip| ip.to_canonical());
            let (hit, to) = interfaces.what_was_hit(to, meta.interface_index, from.ip());
            *head = BatchHead { from, to, hit, len: meta.len, stride: meta.stride };
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
                // One by one, that works.
                Err(error) if is_one_of(&error, &NOT_A_TRAIN) => {
                    for piece in train.chunks(stride) {
                        self.send(to, from, piece, None)?;
                    }
                }
                result => result?,
            }
        }
        Ok(())
    }

    /// One sendto where nothing else is to be said: not the address that the socket is bound to,
    /// which is the source anyway. Else one sendmsg. A broadcast or multicast address is hit but can be nobody's source; that of a
    /// subnet only the kernel knows (EINVAL, since Linux 6 ENETUNREACH): then the kernel chooses.
    /// After an EINVAL quinn-udp segments no more on this socket, which costs speed only.
    fn send(
        &self,
        to: SocketAddr,
        from: Option<IpAddr>,
        bytes: &[u8],
        segment_size: Option<usize>,
    ) -> io::Result<()> {
        let from = from.filter(|&ip| ip != self.bound && !is_group(ip.to_canonical()));
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
        nix::sys::socket::setsockopt(socket, nix::sys::socket::sockopt::Ipv6DontFrag, &false)?;
    }
    Ok(state)
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
mod tests {
    use super::*;
    use std::net::UdpSocket as StdSocket;
    use std::time::{Duration, Instant};

    const PATIENCE: Duration = Duration::from_secs(10);

    fn client(at: &str) -> StdSocket {
        let client = StdSocket::bind(at).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client
    }

    fn bind(at: &str) -> Udp {
        Udp::bind(at.parse().unwrap(), false, false).unwrap()
    }

    /// A place at which `udp` is reached.
    fn at(udp: &Udp, ip: &str) -> SocketAddr {
        SocketAddr::new(ip.parse().unwrap(), udp.address().unwrap().port())
    }

    /// Reads until `count` datagrams are in: head and bytes of each.
    fn datagrams(udp: &Udp, count: usize) -> Vec<(BatchHead, Vec<u8>)> {
        let deadline = Instant::now() + PATIENCE;
        let (mut batch, mut all) = (Batch::new(), Vec::new());
        while all.len() < count {
            assert!(Instant::now() < deadline, "{} of {count} datagrams came", all.len());
            let reads = match udp.recvfrom(&mut batch, &mut Interfaces::default()) {
                Ok(reads) => reads,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    std::thread::yield_now();
                    continue;
                }
                Err(error) => panic!("{error}"),
            };
            for (head, bytes) in batch.heads[..reads].iter().zip(batch.bytes.chunks(DATAGRAM_BYTES))
            {
                match head.stride {
                    0 => all.push((*head, Vec::new())),
                    stride => {
                        all.extend(bytes[..head.len].chunks(stride).map(|b| (*head, b.to_vec())))
                    }
                }
            }
        }
        all
    }

    /// Sends each to `ip` and expects it back from there, through the address that was hit.
    fn echoes(udp: &Udp, client: &StdSocket, ip: &str, bytes: &[u8]) {
        let place = at(udp, ip);
        client.send_to(bytes, place).unwrap();
        let (head, came) = datagrams(udp, 1).remove(0);
        assert_eq!(came, bytes);
        assert_eq!(head.from, client.local_addr().unwrap());
        assert_eq!(head.to, Some(place.ip()));
        let answer = Transmit { to: head.from, from: head.to, bytes: &came, stride: head.stride };
        udp.sendto(&answer).unwrap();
        let mut into = vec![0; DATAGRAM_BYTES];
        let (len, from) = client.recv_from(&mut into).unwrap();
        assert_eq!((&into[..len], from), (bytes, place));
    }

    #[test]
    fn the_answer_leaves_from_the_address_that_was_hit() {
        let (udp, client) = (bind("0.0.0.0:0"), client("127.0.0.1:0"));
        echoes(&udp, &client, "127.0.0.2", b"hello");
        echoes(&udp, &client, "127.0.0.1", b"hello");
    }

    #[test]
    fn a_dual_stack_socket_shows_plain_ipv4() {
        let Ok(udp) = Udp::bind("[::]:0".parse().unwrap(), false, false) else { return };
        echoes(&udp, &client("127.0.0.1:0"), "127.0.0.2", b"hello");
        echoes(&udp, &client("127.0.0.1:0"), "127.0.0.1", &[1; 65_507]);
        echoes(&udp, &client("[::1]:0"), "::1", b"hello");
    }

    #[test]
    fn an_ipv6_socket_of_one_address_leaves_ipv4_alone() {
        let Ok(udp) = Udp::bind("[::1]:0".parse().unwrap(), false, false) else { return };
        Udp::bind(at(&udp, "127.0.0.1"), false, false).expect("the same port of IPv4 is free");
    }

    #[test]
    fn over_ipv6_a_datagram_longer_than_the_mtu_goes_in_fragments() {
        if StdSocket::bind("[::1]:0").is_err() {
            return eprintln!("skipped: no IPv6 here");
        }
        echoes(&bind("[::1]:0"), &client("[::1]:0"), "::1", &[7; 65_507]);
    }

    #[test]
    fn empty_and_greatest_datagrams_come_through_whole() {
        let (udp, client) = (bind("127.0.0.1:0"), client("127.0.0.1:0"));
        echoes(&udp, &client, "127.0.0.1", b"");
        echoes(&udp, &client, "127.0.0.1", &[7; 65_507]);
        echoes(&udp, &client, "127.0.0.1", b"");
    }

    #[test]
    fn a_train_arrives_coalesced_and_is_cut_by_its_stride() {
        for (any, ip) in [("0.0.0.0:0", "127.0.0.2"), ("[::]:0", "::1"), ("[::]:0", "127.0.0.2")] {
            let Ok(udp) = Udp::bind(any.parse().unwrap(), false, false) else { continue };
            let sender = bind(if ip.contains(':') { "[::1]:0" } else { "127.0.0.1:0" });
            let bytes: Vec<u8> = (0..1_050).map(|i| (i / 100) as u8).collect();
            let train = Transmit { to: at(&udp, ip), from: None, bytes: &bytes, stride: 100 };
            sender.sendto(&train).unwrap();
            let came = datagrams(&udp, 11);
            assert_eq!(came[0].0.to, Some(ip.parse().unwrap()));
            assert!(came[0].0.stride < came[0].0.len, "UDP_GRO is on");
            let pieces: Vec<_> = came.into_iter().map(|(_, piece)| piece).collect();
            assert_eq!(pieces, bytes.chunks(100).map(<[u8]>::to_vec).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_train_longer_than_the_system_takes_is_cut_into_several() {
        let (udp, sender) = (bind("127.0.0.1:0"), bind("127.0.0.1:0"));
        let bytes = vec![9; 130_000];
        let to = udp.address().unwrap();
        sender.sendto(&Transmit { to, from: None, bytes: &bytes, stride: 1_000 }).unwrap();
        assert!(datagrams(&udp, 130).iter().all(|(_, piece)| piece.len() == 1_000));
    }

    #[test]
    fn only_ipv4_has_two_forms() {
        let v4: SocketAddr = "192.0.2.1:7".parse().unwrap();
        assert_eq!(mapped(v4), "[::ffff:192.0.2.1]:7".parse().unwrap());
        assert_eq!(plain(mapped(v4)), v4);
        let scoped: SocketAddr = "[fe80::1%3]:7".parse().unwrap();
        assert_eq!((plain(scoped), mapped(scoped)), (scoped, scoped));
    }

    #[test]
    fn the_kernels_own_mtu_setting_stands() {
        let fresh = StdSocket::bind("127.0.0.1:0").unwrap();
        let udp = bind("127.0.0.1:0");
        let expected = sockopt::ip_mtu_discover(&fresh).unwrap();
        assert_eq!(sockopt::ip_mtu_discover(&udp.socket).unwrap(), expected);
        let Ok(udp) = Udp::bind("[::]:0".parse().unwrap(), false, false) else { return };
        assert_eq!(sockopt::ip_mtu_discover(&udp.socket).unwrap(), expected);
        let fresh = StdSocket::bind("[::]:0").unwrap();
        let expected = sockopt::ipv6_mtu_discover(&fresh).unwrap();
        assert_eq!(sockopt::ipv6_mtu_discover(&udp.socket).unwrap(), expected);
    }

    #[test]
    fn a_broadcast_address_is_not_taken_for_a_source() {
        let (udp, client) = (bind("0.0.0.0:0"), client("127.0.0.1:0"));
        let to = client.local_addr().unwrap();
        for from in ["127.255.255.255", "255.255.255.255", "224.0.0.1"] {
            let from = Some(from.parse().unwrap());
            udp.sendto(&Transmit { to, from, bytes: b"hello", stride: 5 }).unwrap();
            assert_eq!(client.recv_from(&mut [0; 8]).unwrap(), (5, at(&udp, "127.0.0.1")));
        }
    }

    #[test]
    fn a_closed_port_does_not_spoil_the_socket() {
        let (udp, client) = (bind("127.0.0.1:0"), client("127.0.0.1:0"));
        let closed = StdSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        udp.sendto(&Transmit { to: closed, from: None, bytes: b"x", stride: 1 }).unwrap();
        echoes(&udp, &client, "127.0.0.1", b"hello");
    }

    #[test]
    fn broadcast_is_allowed_where_it_was_asked_for() {
        for asked in [false, true] {
            let udp = Udp::bind("127.0.0.1:0".parse().unwrap(), asked, false).unwrap();
            assert_eq!(sockopt::socket_broadcast(&udp.socket).unwrap(), asked);
        }
    }
}
