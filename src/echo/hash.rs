//! A fast hash for tables of a fixed size: the same in every run, so that a seed replays. It is no
//! secret: who makes two datagrams collide gets his own second one counted as his first.
//!
//! It is fast because the longest datagram (64 KiB) must not cost more than its way through the
//! kernel. What must not be here: why something is hashed.

use crate::handler::UnixAddress;
use rapidhash::v3::rapidhash_v3;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::ffi::OsStrExt;

/// Of bytes and their length.
pub(super) fn of_bytes(bytes: &[u8]) -> u64 {
    rapidhash_v3(bytes)
}

/// Of a hash and one word more.
pub(super) fn with(hash: u64, word: u64) -> u64 {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&hash.to_le_bytes());
    bytes[8..].copy_from_slice(&word.to_le_bytes());
    of_bytes(&bytes)
}

/// Of an address and its port.
pub(super) fn of_socket(at: SocketAddr) -> u64 {
    let ip = match at.ip() {
        IpAddr::V4(ip) => u64::from(ip.to_bits()),
        IpAddr::V6(ip) => of_bytes(&ip.octets()),
    };
    with(ip, u64::from(at.port()))
}

/// Of a path or a name; a path and a name of the same bytes differ.
pub(super) fn of_name(at: &UnixAddress) -> u64 {
    match at {
        UnixAddress::Path(path) => with(of_bytes(path.as_os_str().as_bytes()), 1),
        UnixAddress::Abstract(name) => with(of_bytes(name), 2),
        UnixAddress::Unnamed => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_bit_every_length_and_every_place_counts() {
        let mut seen = BTreeSet::new();
        let mut datagrams = 0;
        for len in 0..=100 {
            let mut bytes = vec![0; len];
            seen.insert(of_bytes(&bytes));
            datagrams += 1;
            for bit in 0..len * 8 {
                bytes[bit / 8] ^= 1 << (bit % 8);
                seen.insert(of_bytes(&bytes));
                bytes[bit / 8] ^= 1 << (bit % 8);
                datagrams += 1;
            }
        }
        assert_eq!(seen.len(), datagrams);
    }

    /// A table looks at a few bits alone.
    #[test]
    fn counters_spread_over_a_small_table() {
        let mut sets = [0; 256];
        for counter in 0..25_600u64 {
            sets[of_bytes(&counter.to_le_bytes()) as usize % sets.len()] += 1;
        }
        let (least, most) = (sets.iter().min().unwrap(), sets.iter().max().unwrap());
        assert!((50..=150).contains(least) && (50..=150).contains(most), "{least} to {most}");
    }
}
