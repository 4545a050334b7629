//! A fast hash for tables of a fixed size: the same in every run, so that a seed replays. It is no
//! secret: who makes two datagrams collide gets his own second one counted as his first.
//!
//! Four lanes of multiply and rotate over words of eight bytes, as in xxHash and wyhash, because
//! the longest datagram (64 KiB) must not cost more than its way through the kernel. What must not
//! be here: why something is hashed.

use crate::handler::UnixAddress;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::ffi::OsStrExt;

/// An odd constant with its bits well mixed: 2^64 divided by the golden ratio.
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

/// Another such constant, so that a word and a lane are not mixed alike: xxHash's second prime.
const SPREAD: u64 = 0xc2b2_ae3d_27d4_eb4f;

/// Where each lane starts, so that no two are alike: digits of pi.
const SEEDS: [u64; 4] =
    [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344, 0xa409_3822_299f_31d0, 0x082e_fa98_ec4e_6c89];

/// Of bytes and their length.
pub(super) fn of_bytes(bytes: &[u8]) -> u64 {
    let mut lanes = SEEDS;
    let mut blocks = bytes.chunks_exact(32);
    for block in &mut blocks {
        for (lane, word) in lanes.iter_mut().zip(block.as_chunks().0) {
            *lane = step(*lane, u64::from_le_bytes(*word));
        }
    }
    let (words, last) = blocks.remainder().as_chunks::<8>();
    for (lane, word) in lanes.iter_mut().zip(words) {
        *lane = step(*lane, u64::from_le_bytes(*word));
    }
    if !last.is_empty() {
        lanes[words.len()] = step(lanes[words.len()], word_of(last));
    }
    lanes.iter().fold(bytes.len() as u64, |hash, &lane| with(hash, lane))
}

/// Of a hash and one word more.
pub(super) fn with(hash: u64, word: u64) -> u64 {
    let mixed = step(hash, word);
    (mixed ^ (mixed >> 29)).wrapping_mul(MIX)
}

/// Of an address and its port.
pub(super) fn of_socket(at: SocketAddr) -> u64 {
    let (high, low) = match at.ip() {
        IpAddr::V4(ip) => (0, u64::from(ip.to_bits())),
        IpAddr::V6(ip) => ((ip.to_bits() >> 64) as u64, ip.to_bits() as u64),
    };
    [low, u64::from(at.port())].into_iter().fold(with(0, high), with)
}

/// Of a path or a name; a path and a name of the same bytes differ.
pub(super) fn of_name(at: &UnixAddress) -> u64 {
    match at {
        UnixAddress::Path(path) => with(of_bytes(path.as_os_str().as_bytes()), 1),
        UnixAddress::Abstract(name) => with(of_bytes(name), 2),
        UnixAddress::Unnamed => 0,
    }
}

fn step(lane: u64, word: u64) -> u64 {
    // The word is mixed before it meets the lane, or a bit of it could undo one of the word before.
    lane.wrapping_add(word.wrapping_mul(SPREAD)).rotate_left(31).wrapping_mul(MIX)
}

/// Fewer than eight bytes, little-endian. A copy of a length that is not known is a call.
fn word_of(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
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
