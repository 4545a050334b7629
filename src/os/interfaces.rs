//! What the addresses of this machine's interfaces tell, getifaddrs(3): who can reach us, which
//! address is a broadcast, and what kind of address a datagram was sent to and which one its answer
//! leaves from, for IP_PKTINFO tells the address in the datagram's header and not whether all were
//! meant. What must not be here: who is answered.
//!
//! The functions are for what comes before the loop. `Interfaces` is for the loop: it reads when an
//! address is hit that is not known yet, and at most once a second then, for addresses come and go
//! while a server runs.

use crate::handler::Hit;
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::if_nametoindex;
use nix::sys::socket::SockaddrStorage;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

/// How long what was read stands, at least: it costs some 100 µs.
const READ_EVERY: Duration = Duration::from_secs(1);

/// One address of one interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Own {
    interface: u32,
    ip: IpAddr,
    /// As many bits as the address has, the network's part ones.
    mask: u128,
    broadcast: Option<Ipv4Addr>,
}

impl Own {
    fn same_network(&self, ip: IpAddr) -> bool {
        self.ip.is_ipv4() == ip.is_ipv4() && (bits(self.ip) ^ bits(ip)) & self.mask == 0
    }

    /// The address for all of its network: the one that was set, or all ones (RFC 919); a network
    /// of one or two addresses has none (RFC 3021).
    fn is_broadcast(&self, ip: Ipv4Addr) -> bool {
        let hosts = !self.mask as u32;
        let ones = self.ip.is_ipv4() && hosts > 1 && self.same_network(ip.into());
        self.broadcast == Some(ip) || (ones && ip.to_bits() & hosts == hosts)
    }
}

/// All addresses of now. Errors: no descriptor to spare.
fn own_addresses() -> nix::Result<Vec<Own>> {
    let own = |found: InterfaceAddress| {
        let broadcast = found.broadcast.as_ref().and_then(ip_of);
        Some(Own {
            ip: ip_of(found.address.as_ref()?)?,
            interface: if_nametoindex(found.interface_name.as_str()).ok()?,
            mask: bits(found.netmask.as_ref().and_then(ip_of)?),
            broadcast: match broadcast {
                Some(IpAddr::V4(v4)) => Some(v4),
                _ => None,
            },
        })
    };
    Ok(getifaddrs()?.filter_map(own).collect())
}

/// All addresses but loopback's and link-local IPv6 ones, each once: who can reach a socket that is
/// bound to every address. Empty where the system does not tell.
pub fn addresses() -> Vec<IpAddr> {
    let far = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => !ip.is_loopback(),
        IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local(),
    };
    let own = own_addresses().unwrap_or_default();
    let mut addresses: Vec<IpAddr> = own.iter().map(|own| own.ip).filter(far).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

/// True for 255.255.255.255 and for a broadcast address of a network that we have an address in, the
/// loopback's 127.255.255.255 among them. False where the system does not tell.
pub fn is_broadcast(ip: Ipv4Addr) -> bool {
    let own = own_addresses().unwrap_or_default();
    ip == Ipv4Addr::BROADCAST || own.iter().any(|own| own.is_broadcast(ip))
}

/// The interfaces' addresses, as they were read last.
#[derive(Debug, Default)]
pub(super) struct Interfaces {
    own: Vec<Own>,
    read: Option<Instant>,
}

impl Interfaces {
    /// `to` is the address in a datagram's header, `interface` the index of that which received it,
    /// `from` the sender. The address that comes out is one of our own.
    pub(super) fn what_was_hit(
        &mut self,
        to: Option<IpAddr>,
        interface: Option<u32>,
        from: IpAddr,
    ) -> (Hit, Option<IpAddr>) {
        let Some(to) = to else { return (Hit::Own, None) };
        if to.is_multicast() || !self.own.iter().any(|own| own.ip == to) {
            self.read_again();
        }
        let hit = self.kind(to);
        match hit {
            Hit::Own => (hit, Some(to)),
            Hit::Multicast | Hit::Broadcast => (hit, self.of_interface(interface, from)),
        }
    }

    fn kind(&self, to: IpAddr) -> Hit {
        match to {
            _ if to.is_multicast() => Hit::Multicast,
            IpAddr::V4(Ipv4Addr::BROADCAST) => Hit::Broadcast,
            _ if self.own.iter().any(|own| own.ip == to) => Hit::Own,
            IpAddr::V4(v4) if self.own.iter().any(|own| own.is_broadcast(v4)) => Hit::Broadcast,
            _ => Hit::Own,
        }
    }

    /// The interface's own address: that of the sender's network, or else one that is good for
    /// more than its link.
    fn of_interface(&self, interface: Option<u32>, from: IpAddr) -> Option<IpAddr> {
        let fits =
            |own: &&Own| Some(own.interface) == interface && own.ip.is_ipv4() == from.is_ipv4();
        let rank = |own: &&Own| match own.ip {
            _ if own.same_network(from) => 0,
            IpAddr::V6(ip) if ip.is_unicast_link_local() => 2,
            _ => 1,
        };
        self.own.iter().filter(fits).min_by_key(rank).map(|own| own.ip)
    }

    fn read_again(&mut self) {
        let now = Instant::now();
        if self.read.is_some_and(|read| now.saturating_duration_since(read) < READ_EVERY) {
            return;
        }
        self.read = Some(now);
        // Without a descriptor to spare, what was known stands.
        if let Ok(own) = own_addresses() {
            self.own = own;
        }
    }
}

fn ip_of(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
}

fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => ip.to_bits().into(),
        IpAddr::V6(ip) => Ipv6Addr::to_bits(ip),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn own(interface: u32, address: &str, mask: &str, broadcast: Option<&str>) -> Own {
        let broadcast = broadcast.map(|text| text.parse().unwrap());
        Own { interface, ip: ip(address), mask: bits(ip(mask)), broadcast }
    }

    /// They stand for what was just read.
    fn interfaces() -> Interfaces {
        let own = vec![
            own(1, "127.0.0.1", "255.0.0.0", None),
            own(1, "::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None),
            own(2, "192.0.2.7", "255.255.255.0", Some("192.0.2.255")),
            own(2, "198.51.100.7", "255.255.255.0", None),
            own(2, "fe80::7", "ffff:ffff:ffff:ffff::", None),
            own(2, "2001:db8::7", "ffff:ffff:ffff:ffff::", None),
            own(3, "203.0.113.2", "255.255.255.254", None),
        ];
        Interfaces { own, read: Some(Instant::now()) }
    }

    #[test]
    fn what_all_hear_is_told_from_what_is_ours() {
        for (to, interface, from, hit, answer) in [
            ("127.0.0.1", 1, "127.0.0.1", Hit::Own, "127.0.0.1"),
            ("127.8.9.1", 1, "127.0.0.1", Hit::Own, "127.8.9.1"),
            ("127.255.255.255", 1, "127.0.0.1", Hit::Broadcast, "127.0.0.1"),
            ("192.0.2.7", 2, "192.0.2.9", Hit::Own, "192.0.2.7"),
            ("192.0.2.255", 2, "192.0.2.9", Hit::Broadcast, "192.0.2.7"),
            ("198.51.100.255", 2, "198.51.100.9", Hit::Broadcast, "198.51.100.7"),
            ("255.255.255.255", 2, "198.51.100.9", Hit::Broadcast, "198.51.100.7"),
            ("255.255.255.255", 2, "203.0.113.77", Hit::Broadcast, "192.0.2.7"),
            ("203.0.113.3", 3, "203.0.113.3", Hit::Own, "203.0.113.3"),
            ("224.0.0.1", 2, "192.0.2.9", Hit::Multicast, "192.0.2.7"),
            ("ff02::1", 2, "fe80::9", Hit::Multicast, "fe80::7"),
            ("ff05::1", 2, "2001:db8:1::9", Hit::Multicast, "2001:db8::7"),
        ] {
            let told = interfaces().what_was_hit(Some(ip(to)), Some(interface), ip(from));
            assert_eq!(told, (hit, Some(ip(answer))), "{to}");
        }
    }

    #[test]
    fn an_interface_that_is_not_known_leaves_the_choice_to_the_kernel() {
        let told = interfaces().what_was_hit(Some(ip("224.0.0.1")), Some(9), ip("192.0.2.9"));
        assert_eq!(told, (Hit::Multicast, None));
        assert_eq!(interfaces().what_was_hit(None, None, ip("::1")), (Hit::Own, None));
    }

    #[test]
    fn the_loopback_of_this_machine_is_found() {
        let mut found = Interfaces::default();
        let lo = if_nametoindex("lo").ok();
        let to = Some(ip("127.255.255.255"));
        if lo.is_none() {
            return eprintln!("skipped: no interface called lo");
        }
        let told = found.what_was_hit(to, lo, ip("127.0.0.1"));
        assert_eq!(told, (Hit::Broadcast, Some(ip("127.0.0.1"))));
    }

    #[test]
    fn what_it_tells_can_be_bound_and_is_not_loopback() {
        for address in addresses() {
            assert!(!address.is_loopback());
            std::net::UdpSocket::bind((address, 0)).unwrap_or_else(|e| panic!("{address}: {e}"));
        }
    }

    #[test]
    fn the_last_address_of_a_network_is_its_broadcast() {
        for (to, address, mask, is) in [
            ("127.255.255.255", "127.0.0.1", "255.0.0.0", true),
            ("192.0.2.255", "192.0.2.2", "255.255.255.0", true),
            ("192.0.2.254", "192.0.2.2", "255.255.255.0", false),
            ("192.0.3.255", "192.0.2.2", "255.255.255.0", false),
            ("192.0.2.3", "192.0.2.2", "255.255.255.254", false),
            ("192.0.2.2", "192.0.2.2", "255.255.255.255", false),
        ] {
            let network = own(1, address, mask, None);
            assert_eq!(network.is_broadcast(to.parse().unwrap()), is, "{to} in {address} {mask}");
        }
    }

    #[test]
    fn the_loopback_of_this_host_has_a_broadcast() {
        assert!(is_broadcast(Ipv4Addr::new(127, 255, 255, 255)));
        assert!(is_broadcast(Ipv4Addr::BROADCAST));
        assert!(!is_broadcast(Ipv4Addr::LOCALHOST));
    }
}
