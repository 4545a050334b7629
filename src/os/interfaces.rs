//! What the interfaces of this host say, getifaddrs(3): which addresses are its own, and which one is a
//! broadcast. Asked before the loop, never in it.

use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use std::net::{IpAddr, Ipv4Addr};

/// Longest prefix of a subnet that has a broadcast address: RFC 3021 takes it from those of 31.
const BROADCAST_PREFIX_MAX: u32 = 30;

/// All addresses but loopback's and link-local IPv6 ones, each once: who can reach a socket that is
/// bound to every address. Empty where the system does not tell.
pub fn addresses() -> Vec<IpAddr> {
    let address = |interface: InterfaceAddress| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|address| IpAddr::from(address.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::from(address.ip())))
    };
    let far = |address: &IpAddr| match address {
        IpAddr::V4(ip) => !ip.is_loopback(),
        IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local(),
    };
    let mut addresses: Vec<IpAddr> = interfaces().filter_map(address).filter(far).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

/// True for 255.255.255.255 and for the last address of a subnet that we have an address in, the
/// loopback's 127.255.255.255 among them. False where the system does not tell.
pub fn is_broadcast(ip: Ipv4Addr) -> bool {
    let subnet = |interface: InterfaceAddress| {
        let address = interface.address?.as_sockaddr_in()?.ip();
        Some((address, interface.netmask?.as_sockaddr_in()?.ip()))
    };
    let is_last = |(address, mask)| is_last_of(ip, address, mask);
    ip == Ipv4Addr::BROADCAST || interfaces().filter_map(subnet).any(is_last)
}

fn interfaces() -> impl Iterator<Item = InterfaceAddress> {
    getifaddrs().into_iter().flatten()
}

fn is_last_of(ip: Ipv4Addr, address: Ipv4Addr, mask: Ipv4Addr) -> bool {
    let (ip, address, mask) = (u32::from(ip), u32::from(address), u32::from(mask));
    mask.count_ones() <= BROADCAST_PREFIX_MAX && ip == address | !mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_tells_can_be_bound_and_is_not_loopback() {
        for address in addresses() {
            assert!(!address.is_loopback());
            std::net::UdpSocket::bind((address, 0)).unwrap_or_else(|e| panic!("{address}: {e}"));
        }
    }

    #[test]
    fn the_last_address_of_a_subnet_is_its_broadcast() {
        for (ip, address, mask, is) in [
            ([127, 255, 255, 255], [127, 0, 0, 1], [255, 0, 0, 0], true),
            ([192, 0, 2, 255], [192, 0, 2, 2], [255, 255, 255, 0], true),
            ([192, 0, 2, 254], [192, 0, 2, 2], [255, 255, 255, 0], false),
            ([192, 0, 3, 255], [192, 0, 2, 2], [255, 255, 255, 0], false),
            ([192, 0, 2, 3], [192, 0, 2, 2], [255, 255, 255, 254], false),
            ([192, 0, 2, 2], [192, 0, 2, 2], [255, 255, 255, 255], false),
        ] {
            let [ip, address, mask] = [ip, address, mask].map(Ipv4Addr::from);
            assert_eq!(is_last_of(ip, address, mask), is, "{ip} in {address} {mask}");
        }
    }

    #[test]
    fn the_loopback_of_this_host_has_a_broadcast() {
        assert!(is_broadcast(Ipv4Addr::new(127, 255, 255, 255)));
        assert!(is_broadcast(Ipv4Addr::BROADCAST));
        assert!(!is_broadcast(Ipv4Addr::LOCALHOST));
    }
}
