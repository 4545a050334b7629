//! What one turn may take: every phase has a budget, so that nobody waits behind a flood.
//!
//! The idea is libuv's and Redis' (64 KiB a write event, 10 accepts a turn); the numbers are ours
//! and each carries its reason.

/// Limits of one turn. What is left over is done in the next one, which then does not wait.
#[derive(Clone, Copy, Debug)]
pub struct Budgets {
    /// Events that a poll may bring. With fewer, quiet peers wait behind busy ones; 1,024 are 16 KiB.
    pub events: usize,
    /// Accepts a listener. One costs 3 µs here, a greeting of 5 µs and an end of 10 µs follow it: with
    /// 8 a turn they take less than half as long as its sends, so that who is there hardly notices
    /// a storm of connects. More would serve the storm no sooner.
    pub accepts: usize,
    /// Connections read. A read and what follows from it costs 1 to 3 µs, so the turn's reads take
    /// a few milliseconds at most; the list goes on next turn where it stopped.
    pub reads: usize,
    /// Bytes that one recv may bring, into one buffer that all connections share. 64 KiB is what a
    /// connection may read a turn: a flooder gets one read, then it is everybody else's turn.
    pub scratch_bytes: usize,
    /// Reads of datagrams a socket, however many calls bring them, so that a datagram storm leaves
    /// the connections their share.
    pub datagram_reads: usize,
    /// Actions carried out; each is at most one system call (a dial, a datagram).
    pub actions: usize,
    /// Connections closed. One costs 10 µs of kernel time: a crowd that leaves at once takes less of
    /// a turn than its sends. More than accepts, so that a crowd that comes and goes is not held up
    /// by itself.
    pub closes: usize,
    /// Sends. One costs 4 to 8 µs of kernel time, so that a broadcast to 10,000 peers lets a
    /// datagram or a new line in every half millisecond. A turn costs no more than a third of a
    /// send, and the lines that come in meanwhile go out together.
    pub sends: usize,
    /// Sends that one look at the clock is for, at least 1. A look is 1 % of a send. Each is timed by
    /// itself here; with 8 the moment told for a send is up to seven sends early.
    pub sends_a_look: usize,
    /// Peers looked at in search of one to send to. A blocked one costs no send and a look of up to
    /// 1 µs.
    pub visits: usize,
}

impl Default for Budgets {
    fn default() -> Self {
        Budgets {
            events: 1_024,
            accepts: 8,
            reads: 1_024,
            scratch_bytes: 64 * 1024,
            datagram_reads: 64,
            actions: 1_024,
            closes: 16,
            sends: 64,
            sends_a_look: 1,
            visits: 1_024,
        }
    }
}
