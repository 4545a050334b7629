//! Datagrams that the kernel dropped at a socket's full receive queue, by its own counter: the last
//! column of /proc/net/udp (proc_net(5)). Linux alone has it, and only for sockets of this host.

use std::fs;
use std::net::SocketAddr;

/// How many at all sockets bound to these ports, since they were made; none where the system does
/// not say. Ports and not addresses: a socket on 0.0.0.0 is the one that is hit at 127.0.0.1.
pub(in crate::bench) fn drops(ports: &[u16]) -> u64 {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    ["/proc/net/udp", "/proc/net/udp6"].iter().map(|path| dropped(&read(path), ports)).sum()
}

fn dropped(table: &str, ports: &[u16]) -> u64 {
    let row = |line: &str| -> Option<u64> {
        let (_, port) = line.split_whitespace().nth(1)?.rsplit_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        let drops = line.split_whitespace().next_back()?.parse().ok()?;
        ports.binary_search(&port).is_ok().then_some(drops)
    };
    table.lines().skip(1).filter_map(row).sum()
}

/// The ports, in the order that [`drops`] wants.
pub(in crate::bench) fn ports_of(addresses: &[SocketAddr]) -> Vec<u16> {
    let mut ports: Vec<u16> = addresses.iter().map(SocketAddr::port).collect();
    ports.sort_unstable();
    ports
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_those_of_the_ports_asked_for() {
        let table = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
            1: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000   0        0 1 2 0 7\n\
            2: 00000000:1F90 00000000:0000 07 00000000:00000000 00:00000000 00000000   0        0 2 2 0 30\n";
        assert_eq!(dropped(table, &[0x35]), 7);
        assert_eq!(dropped(table, &[0x35, 0x1f90]), 37);
        assert_eq!((dropped(table, &[1]), dropped("", &[1])), (0, 0));
        let at: Vec<SocketAddr> = ["[::1]:9".parse().unwrap(), "1.2.3.4:5".parse().unwrap()].into();
        assert_eq!(ports_of(&at), [5, 9]);
    }
}
