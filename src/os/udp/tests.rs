//! UDP sockets of the real system: what the kernel tells of a datagram, coalesced and cut ones, and
//! which errors end what.

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
        for (head, bytes) in batch.heads[..reads].iter().zip(batch.bytes.chunks(DATAGRAM_BYTES)) {
            match head.stride {
                0 => all.push((*head, Vec::new())),
                stride => all.extend(bytes[..head.len].chunks(stride).map(|b| (*head, b.to_vec()))),
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
    udp.sendto(&[answer]).unwrap();
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
        sender.sendto(&[train]).unwrap();
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
    sender.sendto(&[Transmit { to, from: None, bytes: &bytes, stride: 1_000 }]).unwrap();
    assert!(datagrams(&udp, 130).iter().all(|(_, piece)| piece.len() == 1_000));
}

/// Each to a receiver of its own, by families, and in the middle one that the kernel refuses
/// (EMSGSIZE): the calls go on behind it.
#[test]
fn several_leave_in_one_call_up_to_the_first_that_cannot() {
    for (ip, receivers) in
        [("127.0.0.1", ["127.0.0.1:0"; 3]), ("::", ["[::1]:0", "127.0.0.1:0", "[::1]:0"])]
    {
        let Ok(udp) = Udp::bind(SocketAddr::new(ip.parse().unwrap(), 0), false, false) else {
            continue;
        };
        let clients = receivers.map(client);
        let too_long = vec![0; 65_536];
        let transmit = |client: &StdSocket, bytes| {
            let to = client.local_addr().unwrap();
            Transmit { to, from: None, bytes, stride: 65_536 }
        };
        let transmits = [
            transmit(&clients[0], &b"first"[..]),
            transmit(&clients[1], b""),
            transmit(&clients[1], &too_long),
            transmit(&clients[2], b"last"),
        ];
        let mut rest = &transmits[..];
        let mut refused = Vec::new();
        while !rest.is_empty() {
            let sent = udp.sendto(rest).unwrap_or_else(|error| {
                refused.push((transmits.len() - rest.len(), error.raw_os_error()));
                1
            });
            assert_eq!(sent, if cfg!(target_os = "linux") && rest.len() == 4 { 2 } else { 1 });
            rest = &rest[sent..];
        }
        assert_eq!(refused, [(2, Some(Errno::MSGSIZE.raw_os_error()))]);
        for (client, bytes) in clients.iter().zip([&b"first"[..], b"", b"last"]) {
            let mut into = [0; 8];
            assert_eq!(client.recv(&mut into).unwrap(), bytes.len());
            assert_eq!(&into[..bytes.len()], bytes);
        }
    }
}

/// The kernel doubles what it is given.
#[test]
fn the_receive_buffer_is_as_large_as_the_system_allows() {
    let given = sockopt::socket_recv_buffer_size(&bind("127.0.0.1:0").socket).unwrap();
    let asked = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    asked.set_recv_buffer_size(RECEIVE_BUFFER_BYTES).unwrap();
    let forced = cfg!(target_os = "linux")
        && nix::sys::socket::setsockopt(&asked, options::RcvBufForce, &RECEIVE_BUFFER_BYTES)
            .is_ok();
    assert_eq!(given, asked.recv_buffer_size().unwrap());
    assert!(!forced || given >= RECEIVE_BUFFER_BYTES);
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
        udp.sendto(&[Transmit { to, from, bytes: b"hello", stride: 5 }]).unwrap();
        assert_eq!(client.recv_from(&mut [0; 8]).unwrap(), (5, at(&udp, "127.0.0.1")));
    }
}

#[test]
fn a_closed_port_does_not_spoil_the_socket() {
    let (udp, client) = (bind("127.0.0.1:0"), client("127.0.0.1:0"));
    let closed = StdSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    udp.sendto(&[Transmit { to: closed, from: None, bytes: b"x", stride: 1 }]).unwrap();
    echoes(&udp, &client, "127.0.0.1", b"hello");
}

/// What a short batch says rests on this: no error hides behind the last datagram.
#[test]
fn an_icmp_error_is_not_told_to_a_socket_that_is_not_connected() {
    let (udp, client) = (bind("127.0.0.1:0"), client("127.0.0.1:0"));
    let closed = StdSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    client.send_to(b"before", at(&udp, "127.0.0.1")).unwrap();
    // On loopback the answer to this is there when the call returns.
    udp.sendto(&[Transmit { to: closed, from: None, bytes: b"x", stride: 1 }]).unwrap();
    client.send_to(b"behind", at(&udp, "127.0.0.1")).unwrap();
    let (mut batch, mut interfaces) = (Batch::new(), Interfaces::default());
    if cfg!(target_os = "linux") {
        assert_eq!(udp.recvfrom(&mut batch, &mut interfaces).unwrap(), 2);
        assert!(batch.drained);
    }
}

#[test]
fn only_a_short_batch_says_that_nothing_is_left() {
    let (udp, client) = (bind("127.0.0.1:0"), client("127.0.0.1:0"));
    let (mut batch, mut interfaces) = (Batch::new(), Interfaces::default());
    for (sent, want, drained) in [(1, 2, true), (2, 2, false), (7, 8, true), (8, 8, false)] {
        for _ in 0..sent {
            client.send_to(b"x", at(&udp, "127.0.0.1")).unwrap();
        }
        batch.want = want;
        if cfg!(target_os = "linux") {
            assert_eq!(udp.recvfrom(&mut batch, &mut interfaces).unwrap(), sent);
            assert_eq!(batch.drained, drained, "{sent} of {want}");
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn the_kernel_tells_of_a_datagram_only_what_is_asked() {
    for (at, told) in [("127.0.0.1:0", false), ("0.0.0.0:0", true), ("127.255.255.255:0", true)] {
        let udp = bind(at);
        let socket = &udp.socket;
        let get = nix::sys::socket::getsockopt::<UdpSocket, options::Ipv4PacketInfo>;
        assert_eq!(get(socket, options::Ipv4PacketInfo).unwrap(), told, "{at}");
        let unasked = [
            nix::sys::socket::getsockopt(socket, options::ReceiveTimestampns).unwrap(),
            nix::sys::socket::getsockopt(socket, options::IpRecvTos).unwrap(),
        ];
        assert_eq!(unasked, [false, false], "{at}");
    }
    let Ok(udp) = Udp::bind("[::1]:0".parse().unwrap(), false, false) else { return };
    let told = nix::sys::socket::getsockopt(&udp.socket, options::Ipv6RecvPacketInfo);
    assert!(!told.unwrap());
}

#[test]
fn broadcast_is_allowed_where_it_was_asked_for() {
    for asked in [false, true] {
        let udp = Udp::bind("127.0.0.1:0".parse().unwrap(), asked, false).unwrap();
        assert_eq!(sockopt::socket_broadcast(&udp.socket).unwrap(), asked);
    }
}
