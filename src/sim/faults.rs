//! Which faults a world has, and how often. Drawn once from the seed: most faults are absent from
//! most worlds, because a fault that always happens hides what another would have shown (swarm
//! testing, Groce et al. 2012). What each fault does stands where it is done.

use super::random::Random;

/// The faults of one world. Rates are per thousand chances; 0 is never.
#[derive(Clone, Debug)]
pub(crate) struct Faults {
    /// poll: an interrupted wait (EINTR) brings no event and takes no time.
    pub(crate) interrupted: u32,
    /// poll: fewer events than are ready; the rest come with the next polls.
    pub(crate) split: u32,
    /// poll: the events of a batch in any order.
    pub(crate) reordered: u32,
    /// poll: an event for a live source that has nothing to say.
    pub(crate) spurious: u32,
    /// poll: an event for a source that was closed a while ago (a description that outlived its
    /// descriptor, epoll(7) question 6).
    pub(crate) stale: u32,
    /// poll: an event lacks hints; what is not implied by the others comes in a later one.
    pub(crate) hints_late: u32,
    /// poll: the clock has moved on by 1 µs to 1 h.
    pub(crate) clock_step: u32,
    /// deliver: only a piece of what is on the wire arrives.
    pub(crate) fragments: u32,
    /// deliver: a FIN arrives together with the last bytes, in one event.
    pub(crate) fin_joined: u32,
    /// send: there is room for a few bytes only, and the queue is full with them.
    pub(crate) squeeze: u32,
    /// send, sendto, console, log: `WouldBlock` after the event said writable; an event follows.
    pub(crate) pressure: u32,
    /// recv, send, connected: the connection was reset just before the call.
    pub(crate) reset: u32,
    /// close with unread input: the RST destroys bytes that the remote end has not read.
    pub(crate) reset_destroys: u32,
    /// accept: the connection at the front of the backlog is lost (ECONNABORTED and its kin).
    pub(crate) aborted: u32,
    /// accept, connect: no descriptor for the next few attempts (EMFILE, ENFILE).
    pub(crate) no_descriptor: u32,
    /// accept, connect: no memory for the next few attempts (ENOBUFS, ENOMEM).
    pub(crate) no_memory: u32,
    /// recvfrom: ECONNREFUSED of an earlier datagram (ICMP); nothing is consumed.
    pub(crate) refused: u32,
    /// recvfrom: datagrams of one sender in one read, with a stride (UDP_GRO).
    pub(crate) coalesced: u32,
    /// recvfrom: fewer reads than could be had.
    pub(crate) short_batch: u32,
    /// sendto: fewer leave than were given, and nothing says why.
    pub(crate) short_send: u32,
    /// sendto: a packet filter lets a datagram not out (EPERM).
    pub(crate) filtered: u32,
    /// console: the terminal belongs to another process group for the next few reads.
    pub(crate) busy: u32,
    /// Bytes that a connection's queue can have at most; each draws its own from 1 on.
    pub(crate) capacity_max: usize,
    /// Descriptors that may be open before EMFILE.
    pub(crate) descriptors_max: usize,
}

/// One fault in so many is in a given world.
const ONE_IN: usize = 4;

/// How often a fault comes that is there. The rare ones leave a run time to get somewhere.
const RATES: [u32; 4] = [5, 30, 150, 500];

/// How often a fault comes that ends something each time.
const RATES_DEADLY: [u32; 3] = [1, 5, 20];

/// Queue capacities, from a few bytes (every send is short) to more than one read's scratch buffer.
const CAPACITIES: [usize; 6] = [4, 64, 1_024, 16_384, 65_536, 262_144];

impl Faults {
    /// A world in which nothing goes wrong and queues are as long as Linux makes them.
    pub(crate) fn none() -> Self {
        Faults {
            interrupted: 0,
            split: 0,
            reordered: 0,
            spurious: 0,
            stale: 0,
            hints_late: 0,
            clock_step: 0,
            fragments: 0,
            fin_joined: 0,
            squeeze: 0,
            pressure: 0,
            reset: 0,
            reset_destroys: 0,
            aborted: 0,
            no_descriptor: 0,
            no_memory: 0,
            refused: 0,
            coalesced: 0,
            short_batch: 0,
            short_send: 0,
            filtered: 0,
            busy: 0,
            capacity_max: 262_144,
            descriptors_max: usize::MAX,
        }
    }

    /// The faults of a world.
    pub(crate) fn draw(random: &mut Random) -> Self {
        let mut rate = |rates: &[u32]| match random.below(ONE_IN) {
            0 => random.pick(rates),
            _ => 0,
        };
        Faults {
            interrupted: rate(&RATES),
            split: rate(&RATES),
            reordered: rate(&RATES),
            spurious: rate(&RATES),
            stale: rate(&RATES),
            hints_late: rate(&RATES),
            clock_step: rate(&RATES_DEADLY),
            fragments: rate(&RATES),
            fin_joined: rate(&RATES),
            squeeze: rate(&RATES),
            pressure: rate(&RATES),
            reset: rate(&RATES_DEADLY),
            reset_destroys: rate(&RATES),
            aborted: rate(&RATES),
            no_descriptor: rate(&RATES),
            no_memory: rate(&RATES),
            refused: rate(&RATES),
            coalesced: rate(&RATES),
            short_batch: rate(&RATES),
            short_send: rate(&RATES),
            filtered: rate(&RATES),
            busy: rate(&RATES),
            capacity_max: random.pick(&CAPACITIES),
            descriptors_max: match random.below(ONE_IN) {
                0 => random.range(6..=20),
                _ => usize::MAX,
            },
        }
    }

    /// No more faults: what a run does before it checks that everything is delivered. Queues stay
    /// as they are, and so does the number of descriptors.
    pub(crate) fn calm(&mut self) {
        let (capacity_max, descriptors_max) = (self.capacity_max, self.descriptors_max);
        *self = Faults { capacity_max, descriptors_max, ..Faults::none() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_in_some_worlds_and_absent_from_most() {
        let worlds = (0..1_000).map(|seed| Faults::draw(&mut Random::new(seed)));
        let with = worlds.filter(|faults| faults.squeeze > 0).count();
        assert!((150..350).contains(&with), "{with} of 1,000");
    }

    #[test]
    fn calm_keeps_the_queues() {
        let mut faults = Faults { reset: 20, capacity_max: 4, ..Faults::none() };
        faults.calm();
        assert_eq!((faults.reset, faults.capacity_max), (0, 4));
    }
}
