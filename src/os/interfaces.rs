//! The addresses of this machine's interfaces, getifaddrs(3): who can reach a socket that is bound to
//! every address. Asked once, before the loop.

use nix::ifaddrs::getifaddrs;
use std::net::IpAddr;

/// All but loopback's and link-local IPv6 ones, each once. Empty where the system does not tell.
pub fn addresses() -> Vec<IpAddr> {
    let Ok(interfaces) = getifaddrs() else { return Vec::new() };
    let address = |interface: nix::ifaddrs::InterfaceAddress| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|address| IpAddr::from(address.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::from(address.ip())))
    };
    let far = |address: &IpAddr| match address {
        IpAddr::V4(ip) => !ip.is_loopback(),
        IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local(),
    };
    let mut addresses: Vec<IpAddr> = interfaces.filter_map(address).filter(far).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

#[cfg(test)]
mod tests {
    use super::addresses;

    #[test]
    fn what_it_tells_can_be_bound_and_is_not_loopback() {
        for address in addresses() {
            assert!(!address.is_loopback());
            std::net::UdpSocket::bind((address, 0)).unwrap_or_else(|e| panic!("{address}: {e}"));
        }
    }
}
