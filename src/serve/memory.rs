//! How much memory peers may take together, computed from the limits. Pure.

use bytesize::ByteSize;

/// What one peer takes beside its buffers, in bytes: its connection, its place in the chat, its
/// name, its clocks and timers, where it comes from, and its places in lists, all of them at once.
/// A test adds up their sizes. A peer that is silent takes a tenth of it.
pub const PEER_BYTES: usize = 2560;

/// The ceiling: what logs, buffers and peers may hold together. What the allocator takes beside
/// is not in it: a buffer that grows may be twice as large as what stands in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ceiling {
    /// Rooms at once.
    pub(super) rooms: usize,
    /// Bytes of each room's log.
    pub(super) log_bytes: usize,
    /// Bytes of all peers' buffers together.
    pub(super) buffers_total: usize,
    /// Connections at once: peers, and those that are told why they are none.
    pub(super) connections: usize,
}

impl Ceiling {
    /// In bytes; `usize::MAX` is no ceiling.
    pub(super) fn bytes(&self) -> usize {
        let logs = self.rooms.saturating_mul(self.log_bytes);
        let connections = self.connections.saturating_mul(PEER_BYTES);
        logs.saturating_add(self.buffers_total).saturating_add(connections)
    }
}

impl std::fmt::Display for Ceiling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let size = |bytes: usize| ByteSize::b(bytes as u64);
        write!(
            f,
            "memory for peers <= {}: {} x {} of logs, {} of buffers, {} connections x {PEER_BYTES} B",
            size(self.bytes()),
            self.rooms,
            size(self.log_bytes),
            size(self.buffers_total),
            self.connections
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_is_the_sum_of_its_parts_and_says_so() {
        let mib = 1024 * 1024;
        let ceiling =
            Ceiling { rooms: 64, log_bytes: mib, buffers_total: 256 * mib, connections: 1024 };
        assert_eq!(ceiling.bytes(), 320 * mib + 1024 * PEER_BYTES);
        let told = "memory for peers <= 322.5 MiB: 64 x 1.0 MiB of logs, 256.0 MiB of buffers, \
                    1024 connections x 2560 B";
        assert_eq!(ceiling.to_string(), told);
    }

    #[test]
    fn what_cannot_be_counted_is_no_ceiling() {
        let ceiling =
            Ceiling { rooms: usize::MAX, log_bytes: 2, buffers_total: 0, connections: usize::MAX };
        assert_eq!(ceiling.bytes(), usize::MAX);
    }
}
