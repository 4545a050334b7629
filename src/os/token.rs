//! [`Source`] ⇄ mio token: one `usize` that epoll hands back with every event (epoll_data, epoll_ctl(2)).
//!
//! No table stands behind it, so an event of a connection that is gone decodes as well as any
//! other; who is still alive is for the loop to say. The generation beside the slot is libev's way.

use super::Source;
use mio::Token;

/// The fixed sources take the last slot numbers, which no peer reaches: 4 thousand million
/// connections are past any descriptor limit (Linux: `fs.nr_open`, at most 2^31).
const SLOT_SIGNALS: u32 = u32::MAX;
const SLOT_LOG: u32 = u32::MAX - 1;
const SLOT_LISTENER: u32 = u32::MAX - 2;
const SLOT_UDP: u32 = u32::MAX - 3;
const SLOT_UNIX_DGRAM: u32 = u32::MAX - 4;

// Slot and serial need 32 bits each.
const _: () = assert!(usize::BITS >= 64, "reactor needs a 64-bit system");

/// The slot goes into the low 32 bits, the serial's low half (or an index) into the high 32.
pub(super) fn encode(source: Source) -> Token {
    let (slot, high) = match source {
        Source::Peer { slot, serial_low } => {
            assert!(slot < SLOT_UNIX_DGRAM, "slot {slot} is one of the fixed sources");
            (slot, serial_low as usize)
        }
        Source::Listener(index) => (SLOT_LISTENER, index),
        Source::Udp(index) => (SLOT_UDP, index),
        Source::UnixDgram(index) => (SLOT_UNIX_DGRAM, index),
        Source::Signals => (SLOT_SIGNALS, 0),
        Source::Log => (SLOT_LOG, 0),
    };
    assert!(high <= u32::MAX as usize, "index {high} takes more than 32 bits");
    Token(high << 32 | slot as usize)
}

/// The inverse of [`encode`].
pub(super) fn decode(token: Token) -> Source {
    let high = token.0 >> 32;
    match token.0 as u32 {
        SLOT_LISTENER => Source::Listener(high),
        SLOT_UDP => Source::Udp(high),
        SLOT_UNIX_DGRAM => Source::UnixDgram(high),
        SLOT_SIGNALS => Source::Signals,
        SLOT_LOG => Source::Log,
        slot => Source::Peer { slot, serial_low: high as u32 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_comes_back_from_its_token() {
        let sources = [
            Source::Peer { slot: 0, serial_low: 0 },
            Source::Peer { slot: 7, serial_low: u32::MAX },
            Source::Peer { slot: SLOT_UNIX_DGRAM - 1, serial_low: 1 },
            Source::Listener(0),
            Source::Listener(3),
            Source::Udp(0),
            Source::Udp(9),
            Source::UnixDgram(2),
            Source::Signals,
            Source::Log,
        ];
        for source in sources {
            assert_eq!(decode(encode(source)), source);
        }
    }
}
