//! The simulated system under the real loop: a kernel whose every answer comes from a seed.
//!
//! [`SimOs`] implements [`Os`](crate::os::Os) and keeps what a Linux kernel keeps: descriptors,
//! queues, the ready list of an edge-triggered epoll, a clock that moves only when nothing is ready.
//! The other ends of the connections, the terminal and the senders of datagrams are played by
//! whoever runs the simulation, through the `remote_…` calls of the same type.
//!
//! The ideas are FoundationDB's and TigerBeetle's: one seed is one world, each world draws which
//! faults exist in it at all (swarm testing, Groce et al. 2012), and a failure replays byte for byte.
//!
//! What must not be here: lines, names, chat, the model that checks them, mio, a clock read anywhere
//! but at the start of a world, a `HashMap`, and any resolving of stale tokens: that is the loop's.

mod accept;
mod calls;
mod checks;
mod console;
mod epoll;
mod faults;
mod growth;
mod kernel;
mod limits;
mod link;
mod model;
mod notices;
mod puppet;
mod random;
mod remote;
mod socket;
mod tests;
mod trace;
mod turns;
mod udp;
mod unix_dgram;
mod world;
