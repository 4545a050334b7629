//! What the interfaces of this host say of an address. Asked before the loop, never in it.

use nix::ifaddrs::getifaddrs;
use std::net::Ipv4Addr;

/// Longest prefix of a subnet that has a broadcast address: RFC 3021 takes it from those of 31.
const BROADCAST_PREFIX_MAX: u32 = 30;

/// True for 255.255.255.255 and for the last address of a subnet that we have an address in, the
/// loopback's 127.255.255.255 among them. getifaddrs(3); false where that fails.
pub fn is_broadcast(ip: Ipv4Addr) -> bool {
    let is_last = |(address, mask)| is_last_of(ip, address, mask);
    ip == Ipv4Addr::BROADCAST || subnets().any(is_last)
}

fn subnets() -> impl Iterator<Item = (Ipv4Addr, Ipv4Addr)> {
    getifaddrs().into_iter().flatten().filter_map(|interface| {
        let address = interface.address?.as_sockaddr_in()?.ip();
        Some((address, interface.netmask?.as_sockaddr_in()?.ip()))
    })
}

fn is_last_of(ip: Ipv4Addr, address: Ipv4Addr, mask: Ipv4Addr) -> bool {
    let (ip, address, mask) = (u32::from(ip), u32::from(address), u32::from(mask));
    mask.count_ones() <= BROADCAST_PREFIX_MAX && ip == address | !mask
}

#[cfg(test)]
mod tests {
    use super::*;

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
